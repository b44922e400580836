//! The `tokio` driver and its example, over real sockets and real certificates.

#[path = "../examples/tokio.rs"]
#[allow(dead_code, reason = "only the example has a `main`")]
mod example;
mod peers;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Duration;

use asap_pu::wire::{Message, ServerIdentifier, Transport};
use asap_pu::{
    Authentication, Config, Event, Failover, LossReason, PoolUser, Registrar, SendOptions,
    SessionError, SessionOptions,
};
use asap_pu_tokio::tcp::Driver;
use asap_pu_tokio::{ANNOUNCE_GROUP, trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio::time;

use peers::{Authority, Heard, POOL, element, mortal, nobody, registrar};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of a certificate that is good, and of one that was.
const LATER: i32 = 4000;
const BEFORE: i32 = 2000;

/// A driver that asks for the pool and knows these registrars.
fn asking(registrars: &[Registrar]) -> Driver {
    let mut config = Config::default();
    config.discovery.registrars = registrars.to_vec();
    let mut driver = Driver::new(config, 1).unwrap();
    command(&mut driver, |user, now| user.resolve(now, POOL)).unwrap();
    driver
}

fn command<T>(driver: &mut Driver, order: impl FnOnce(&mut PoolUser, asap_pu::Instant) -> T) -> T {
    let now = driver.now();
    order(driver.user(), now)
}

/// How the resolution ends: with an authenticated answer or another one, or the reason why none
/// comes.
async fn outcome(driver: &mut Driver) -> Result<Authentication, String> {
    loop {
        match driver.event(PATIENCE).await {
            Some(Event::Resolved { authentication, .. }) => return Ok(authentication),
            Some(Event::NoRegistrarReachable) => return Err(driver.no_registrar()),
            Some(_) => {}
            None => panic!("nothing happens"),
        }
    }
}

/// Tasks of the application's may own a driver.
#[test]
fn a_driver_can_be_moved_between_threads() {
    fn assert_send(_: impl Send) {}
    assert_send(|mut driver: Driver| async move { driver.event(PATIENCE).await });
    assert_send(|driver: Driver| async move { driver.shut_down(PATIENCE).await });
}

#[tokio::test]
async fn a_pool_is_resolved_over_tcp() {
    let registrar = registrar(&[nobody().await], None).await;
    let mut driver = asking(&[Registrar::tcp(registrar.at)]);
    assert_eq!(outcome(&mut driver).await, Ok(Authentication::None));
}

/// [HUNT-14]: over TLS the registrar is the one that the open request names, by a DNS name or an
/// address, and the resolution says so.
#[tokio::test]
async fn a_registrar_with_the_right_certificate_is_authenticated() {
    let authority = Authority::new("authority");
    for name in ["pr.example", "127.0.0.1"] {
        let registrar = registrar(&[nobody().await], Some(authority.vouch(name, LATER))).await;
        let mut driver =
            asking(&[Registrar::tcp(registrar.at).with_tls(name)]).with_tls(authority.believer());
        let found = driver.event(PATIENCE).await;
        assert!(
            matches!(
                found,
                Some(Event::RegistrarFound { authentication: Authentication::Verified, .. })
            ),
            "{found:?}"
        );
        assert_eq!(outcome(&mut driver).await, Ok(Authentication::Verified));
    }
}

/// [HUNT-14] [HUNT-18]: names are compared as RFC 5352 §9.2 wants it: a wildcard stands for one whole
/// label, the left-most; internationalised names are compared in ACE, by the mapping of RFC 3490; types
/// are not mixed. Who is not meant is told of as a suspect.
#[tokio::test]
async fn names_are_compared_as_the_rfc_wants_it() {
    let authority = Authority::new("authority");
    for (certificate, reference, is_meant) in [
        ("*.example.com", "a.example.com", true),
        ("*.example.com", "A.EXAMPLE.com", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", "a.b.example.com", false),
        ("a*.example.com", "ab.example.com", false),
        ("a.*.com", "a.example.com", false),
        ("xn--bcher-kva.example", "b\u{fc}cher.example", true),
        ("xn--bcher-kva.example", "B\u{dc}CHER\u{3002}EXAMPLE", true),
        ("*.example.com", "b\u{fc}cher.example.com", true),
        ("bucher.example", "b\u{fc}cher.example", false),
        ("strasse.example", "stra\u{df}e.example", true),
        ("127.0.0.1", "127.0.0.1", true),
        ("127.0.0.2", "127.0.0.1", false),
        ("localhost", "127.0.0.1", false),
    ] {
        let tls = authority.vouch(certificate, LATER);
        let registrar = registrar(&[nobody().await], Some(tls)).await;
        let mut driver = asking(&[Registrar::tcp(registrar.at).with_tls(reference)])
            .with_tls(authority.believer());
        let told = driver.event(PATIENCE).await;
        let expected = match &told {
            Some(Event::RegistrarFound { .. }) => true,
            Some(Event::RegistrarBarred { .. }) => false,
            other => panic!("{certificate} for {reference}: {other:?}"),
        };
        assert_eq!(expected, is_meant, "{certificate} for {reference}");
    }
}

/// [HUNT-14]: what is no name is nobody's, and no reason to suspect anybody.
#[tokio::test]
async fn a_reference_that_is_no_name_authenticates_nobody() {
    let authority = Authority::new("authority");
    for reference in
        ["a..example", "-a.example", "a b.example", "b\u{fc}cher_.example", "xn--\u{fc}"]
    {
        let tls = authority.vouch("pr.example", LATER);
        let registrar = registrar(&[nobody().await], Some(tls)).await;
        let mut driver = asking(&[Registrar::tcp(registrar.at).with_tls(reference)])
            .with_tls(authority.believer());
        let error = outcome(&mut driver).await.unwrap_err();
        assert!(error.contains("no domain name"), "{error}");
        assert_eq!(driver.user().stats().registrars_barred, 0);
    }
}

/// [HUNT-10]: a registrar whose certificate is not good is never the home, is left alone from then
/// on, and another one answers.
#[tokio::test]
async fn a_registrar_with_a_wrong_certificate_is_left() {
    let (authority, stranger) = (Authority::new("authority"), Authority::new("stranger"));
    let wrong = [
        (authority.vouch("other.example", LATER), "not valid for name"),
        (stranger.vouch("pr.example", LATER), "UnknownIssuer"),
        (authority.vouch("pr.example", BEFORE), "expired"),
    ];
    for (certificate, complaint) in wrong {
        let mut impostor = registrar(&[nobody().await], Some(certificate)).await;
        let mut driver = asking(&[Registrar::tcp(impostor.at).with_tls("pr.example")])
            .with_tls(authority.believer());
        let error = outcome(&mut driver).await.unwrap_err();
        assert!(error.contains(complaint), "{error}");
        assert!(error.contains(&impostor.at.to_string()), "{error}");
        assert_eq!(driver.user().stats().registrars_barred, 1);
        assert_eq!(driver.user().stats().homes_found, 0);

        let certificate = authority.vouch("pr.example", LATER);
        let honest = registrar(&[nobody().await], Some(certificate)).await;
        let honest = Registrar::tcp(honest.at).with_tls("pr.example");
        command(&mut driver, |user, now| user.registrars_mut(now).add(honest)).unwrap();
        assert_eq!(outcome(&mut driver).await, Ok(Authentication::Verified));
        assert_eq!(impostor.heard.try_recv().ok(), None);
    }
}

/// [HUNT-14]: what is to be secured is not opened without, and what is no more than a failure does
/// not bar the registrar.
#[tokio::test]
async fn a_registrar_without_tls_has_failed() {
    let authority = Authority::new("authority");
    let at = registrar(&[nobody().await], None).await.at;
    let mut driver = asking(&[Registrar::tcp(at).with_tls("pr.example")]);
    let error = outcome(&mut driver).await.unwrap_err();
    assert!(error.ends_with("TLS is wanted, but no certificate is trusted"), "{error}");

    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = mute.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = mute.accept().await.unwrap();
        stream.write_all(b"220 this is something else\r\n").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let mut driver =
        asking(&[Registrar::tcp(at).with_tls("pr.example")]).with_tls(authority.believer());
    outcome(&mut driver).await.unwrap_err();
    assert_eq!(driver.user().stats().registrars_barred, 0);
    assert_eq!(driver.user().stats().homes_found, 0);
}

#[tokio::test]
async fn an_address_where_nobody_is_is_told() {
    let at = nobody().await;
    let mut driver = asking(&[Registrar::tcp(at)]);
    let error = outcome(&mut driver).await.unwrap_err();
    assert!(error.starts_with(&format!("no registrar can be reached: TCP {at}: ")), "{error}");
}

/// A registrar that was reached and gives no answer is told from one that is not there.
#[tokio::test]
async fn a_registrar_that_hangs_up_is_told() {
    let at = element(1, 0).await;
    let mut driver = asking(&[Registrar::tcp(at)]);
    let error = outcome(&mut driver).await.unwrap_err();
    assert_eq!(error, format!("no registrar can be reached: TCP {at}: it hung up"));
}

/// [HUNT-7]: a registrar that announces itself by multicast is found, by two programs of one host.
#[tokio::test]
async fn announces_are_heard() {
    let registrar = registrar(&[nobody().await], None).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let group = SocketAddrV4::new(Ipv4Addr::new(239, 0, 0, 50), port);
    let mut drivers = [asking(&[]), asking(&[])];
    for driver in &mut drivers {
        driver.listen(group, Ipv4Addr::LOCALHOST).unwrap();
    }
    let server = ServerIdentifier::new(0x5afe);
    let announce = Message::server_announce(server, vec![Transport::tcp(registrar.at)]);
    // Its source address chooses the interface.
    socket.send_to(&announce.to_bytes().unwrap(), group).await.unwrap();
    for driver in &mut drivers {
        assert_eq!(outcome(driver).await, Ok(Authentication::None));
    }
}

/// [HUNT-7] [HUNT-8]: the same over IPv6, where registrars announce themselves from a link-local address
/// and listen there.
#[cfg(target_os = "linux")]
#[test]
fn announces_are_heard_over_ipv6() {
    if !peers::has_own_network("announces_are_heard_over_ipv6") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let local = tokio::net::lookup_host("fe80::1%d0:0").await.unwrap().next().unwrap();
        let SocketAddr::V6(v6) = local else { panic!("{local}") };
        let registrar = peers::registrar_at(local, &[([192, 0, 2, 1], 7).into()]).await;
        let socket = UdpSocket::bind(local).await.unwrap();
        let transport = Transport::tcp(registrar.at);
        let announce = Message::server_announce(ServerIdentifier::new(0x5afe), vec![transport]);
        let mut group =
            SocketAddrV6::new([0xff02, 0, 0, 0, 0, 0, 0, 0x133].into(), 3863, 0, v6.scope_id());
        tokio::spawn(async move {
            loop {
                socket.send_to(&announce.to_bytes().unwrap(), group).await.unwrap();
                time::sleep(Duration::from_millis(20)).await;
            }
        });
        for scope in [0, v6.scope_id()] {
            let mut driver = asking(&[]);
            group.set_scope_id(scope);
            driver.listen(ANNOUNCE_GROUP, Ipv4Addr::LOCALHOST).unwrap();
            driver.listen(group, Ipv4Addr::UNSPECIFIED).unwrap();
            assert_eq!(outcome(&mut driver).await, Ok(Authentication::None), "scope {scope}");
        }
    });
}

/// What is sent to this host alone is no announce.
#[cfg(unix)]
#[tokio::test]
async fn announces_come_by_multicast_only() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut config = Config::default();
    config.discovery.announce_wait = Duration::from_millis(200);
    let mut driver = Driver::new(config, 1).unwrap();
    driver
        .listen(SocketAddrV4::new(Ipv4Addr::new(239, 0, 0, 50), port), Ipv4Addr::LOCALHOST)
        .unwrap();
    command(&mut driver, |user, now| user.resolve(now, POOL)).unwrap();
    let transport = Transport::tcp(nobody().await);
    let announce = Message::server_announce(ServerIdentifier::new(0x5afe), vec![transport]);
    // Where nobody listens, a datagram before it may have been answered with an error.
    let _ = socket.send_to(&announce.to_bytes().unwrap(), ("127.0.0.1", port)).await;
    while !matches!(driver.event(PATIENCE).await, Some(Event::ResolutionFailed { .. })) {}
    assert_eq!(driver.user().stats().announces, 0);
}

/// A future of `event` that is dropped takes nothing with it.
#[tokio::test]
async fn waiting_can_be_given_up_at_any_time() {
    let authority = Authority::new("authority");
    let tls = authority.vouch("pr.example", LATER);
    let registrar = registrar(&[nobody().await], Some(tls)).await;
    let mut driver = asking(&[Registrar::tcp(registrar.at).with_tls("pr.example")])
        .with_tls(authority.believer());
    loop {
        tokio::select! {
            biased;
            event = driver.event(PATIENCE) => match event {
                Some(Event::Resolved { .. }) => return,
                Some(Event::RegistrarFound { .. }) => {}
                other => panic!("{other:?}"),
            },
            () = tokio::task::yield_now() => {}
        }
    }
}

/// An application that has a loop of its own, and only looks in, is served too.
#[tokio::test]
async fn looking_in_is_enough() {
    let registrar = registrar(&[nobody().await], None).await;
    let mut driver = asking(&[Registrar::tcp(registrar.at)]);
    while !matches!(driver.event(Duration::ZERO).await, Some(Event::Resolved { .. })) {
        tokio::task::yield_now().await;
    }
}

/// [SESSION-1] [SESSION-3]: every line is answered once, in order, by whoever is left; the elements
/// that failed are reported before the driver is gone.
#[tokio::test]
async fn the_conversation_goes_on_elsewhere() {
    let elements = [nobody().await, mortal(2, 2).await, element(3, 9).await];
    let authority = Authority::new("authority");
    let tls = authority.vouch("pr.example", LATER);
    let mut registrar = registrar(&elements, Some(tls)).await;
    let identity = Some(("pr.example", authority.believer()));
    let driver = example::driver(&registrar.at.to_string(), identity).unwrap();
    let mut answers = Vec::new();
    let lines = &b"a\nb\nc\nd\n"[..];
    example::converse(driver, POOL, lines, |line| answers.push(line.to_owned())).await.unwrap();
    assert_eq!(answers, ["2: a", "2: b", "3: c", "3: d"]);
    let mut heard = Vec::new();
    while heard.last() != Some(&Heard::End) {
        heard.push(registrar.heard.recv().await.unwrap());
    }
    assert_eq!(heard, [Heard::Question, Heard::Report(1), Heard::Report(2), Heard::End]);
}

/// [REPORT-7] [SESSION-3]: elements that answer once and close in good order are called again when
/// there is something to say, each time the same one, and nothing of that is a failure: nobody is
/// reported, marked or counted.
#[tokio::test]
async fn elements_that_close_are_well() {
    let elements = [element(1, 1).await, element(2, 1).await, element(3, 1).await];
    let mut registrar = registrar(&elements, None).await;
    let mut driver = asking(&[Registrar::tcp(registrar.at)]);
    let session = command(&mut driver, |user, now| {
        user.open_session(now, POOL, SessionOptions::default()).unwrap()
    });
    let mut answers = Vec::new();
    for line in 0..9 {
        let line = format!("{line}\n");
        command(&mut driver, |user, now| {
            user.session_mut(now, session).unwrap().send(line, Failover::Unsent)
        })
        .unwrap();
        loop {
            match driver.event(PATIENCE).await {
                Some(Event::Received { data, .. }) => answers.extend_from_slice(&data),
                Some(Event::ElementLost { reason, .. }) => {
                    assert_eq!(reason, LossReason::Closed);
                    break;
                }
                Some(Event::FailedOver { from, to, .. }) => assert_eq!(from, Some(to)),
                Some(_) => {}
                None => panic!("nothing happens"),
            }
        }
    }
    let answers = String::from_utf8(answers).unwrap();
    let first = &answers[..1];
    assert_eq!(answers, (0..9).map(|line| format!("{first}: {line}\n")).collect::<String>());
    let stats = *driver.user().stats();
    assert_eq!((stats.failures, stats.reports_sent, stats.channels_closed), (0, 0, 9));
    driver.shut_down(PATIENCE).await;
    let mut heard = Vec::new();
    while heard.last() != Some(&Heard::End) {
        heard.push(registrar.heard.recv().await.unwrap());
    }
    assert_eq!(heard, [Heard::Question, Heard::End]);
}

/// [SESSION-20] [REPORT-7]: an element that speaks and closes in good order has done so, also if
/// something was to be written to it at that moment; its words come first.
#[tokio::test]
async fn an_element_that_closes_is_not_broken_by_what_is_written_to_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    // What is ready at once is taken up in any order.
    for _ in 0..20 {
        let mut driver = Driver::new(Config::default(), 1).unwrap();
        let session = command(&mut driver, |user, now| {
            user.open_session_at(now, Transport::tcp(at), SessionOptions::default()).unwrap()
        });
        while !matches!(driver.event(PATIENCE).await, Some(Event::Connected { .. })) {}
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"the time is noon").await.unwrap();
        drop(stream);
        for _ in 0..3 {
            command(&mut driver, |user, now| {
                user.session_mut(now, session)
                    .unwrap()
                    .send(vec![0; 64 << 10], Failover::Unsent)
                    .unwrap()
            });
        }
        let (mut heard, mut lost) = (Vec::new(), None);
        loop {
            match driver.event(PATIENCE).await {
                Some(Event::Received { data, .. }) => {
                    assert_eq!(lost, None, "heard of a lost one");
                    heard.extend_from_slice(&data);
                }
                Some(Event::ElementLost { reason, .. }) => lost = Some(reason),
                Some(Event::SessionEnded { error, .. }) => {
                    assert_eq!(error, Some(SessionError::ChannelLost(LossReason::Closed)));
                    break;
                }
                Some(_) => {}
                None => panic!("nothing happens"),
            }
        }
        assert_eq!((&heard[..], lost), (&b"the time is noon"[..], Some(LossReason::Closed)));
    }
}

/// [REPORT-9]: where this process has no descriptor left, no element is blamed for it: none is
/// marked or reported, and the session is connected when there is one again. Takes place in a
/// process of its own, which may have few.
#[cfg(target_os = "linux")]
#[test]
fn no_element_is_blamed_for_a_lack_of_descriptors() {
    const CHILD: &str = "ASAP_PU_FEW_DESCRIPTORS";
    if std::env::var_os(CHILD).is_none() {
        let this = std::env::current_exe().unwrap();
        let told = std::process::Command::new("sh")
            .args(["-c", "ulimit -n 64 && exec \"$0\" --exact \"$1\" --nocapture"])
            .arg(this)
            .arg("no_element_is_blamed_for_a_lack_of_descriptors")
            .env(CHILD, "")
            .output()
            .unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let elements = [element(1, 1).await, element(2, 1).await];
        let mut registrar = registrar(&elements, None).await;
        let mut driver = asking(&[Registrar::tcp(registrar.at)]);
        outcome(&mut driver).await.unwrap();
        let mut taken = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            taken.push(file);
        }
        command(&mut driver, |user, now| {
            user.open_session(now, POOL, SessionOptions::default()).unwrap()
        });
        while driver.user().stats().local_failures == 0 {
            assert_eq!(driver.event(Duration::from_millis(10)).await, None);
        }
        drop(taken);
        let event = driver.event(PATIENCE).await;
        assert!(matches!(event, Some(Event::Connected { .. })), "{event:?}");
        let stats = *driver.user().stats();
        assert_eq!((stats.failures, stats.reports_sent), (0, 0));
        drop(driver);
        assert_eq!(registrar.heard.recv().await, Some(Heard::Question));
        assert_eq!(registrar.heard.recv().await, Some(Heard::End));
    });
}

/// [SESSION-3]: an element whose host is cut off without a word is noticed, whether something is on its
/// way to it or not.
#[cfg(target_os = "linux")]
#[test]
fn an_element_that_is_cut_off_is_noticed() {
    if !peers::has_own_network("an_element_that_is_cut_off_is_noticed") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let at = element(1, usize::MAX).await;
        let mut driver = Driver::new(Config::default(), 1).unwrap();
        let sessions = [(); 2].map(|()| {
            command(&mut driver, |user, now| {
                user.open_session_at(now, Transport::tcp(at), SessionOptions::default()).unwrap()
            })
        });
        let send = |driver: &mut Driver, session| {
            command(driver, |user, now| {
                user.session_mut(now, session).unwrap().send("hello\n", Failover::Never)
            })
            .unwrap();
        };
        sessions.iter().for_each(|session| send(&mut driver, *session));
        for _ in sessions {
            while !matches!(driver.event(PATIENCE).await, Some(Event::Received { .. })) {}
        }
        let cut = std::process::Command::new("ip").args(["link", "set", "lo", "down"]).status();
        assert!(cut.unwrap().success());
        send(&mut driver, sessions[0]);
        let mut ended = Vec::new();
        while ended.len() < 2 {
            match driver.event(PATIENCE).await {
                Some(Event::SessionEnded { session, .. }) => ended.push(session),
                Some(_) => {}
                None => panic!("nothing is noticed but of {ended:?}"),
            }
        }
    });
}

/// Who has patience without end is served as well.
#[tokio::test]
async fn patience_may_be_without_end() {
    let registrar = registrar(&[nobody().await], None).await;
    let mut driver = asking(&[Registrar::tcp(registrar.at)]);
    while !matches!(driver.event(Duration::MAX).await, Some(Event::Resolved { .. })) {}
    tokio::select! {
        biased;
        event = driver.event(Duration::MAX) => panic!("{event:?}"),
        () = tokio::task::yield_now() => {}
    }
    assert!(driver.shut_down(Duration::MAX).await);
}

/// Who types on and on does not keep a silent element: it is left before as many lines wait as may.
#[tokio::test]
async fn typing_buys_no_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elements = [silent.local_addr().unwrap(), element(2, 99).await];
    let registrar = registrar(&elements, None).await;
    let driver = example::driver(&registrar.at.to_string(), None).unwrap();
    let (mut keyboard, lines) = tokio::io::duplex(1);
    let (answers, mut answered) = mpsc::unbounded_channel();
    let typing = async move {
        let mut typed = 0;
        while answered.is_empty() {
            keyboard.write_all(b"a\n").await.unwrap();
            typed += 1;
            time::sleep(Duration::from_millis(100)).await;
        }
        answered.close();
        typed
    };
    let answer = |line: &str| drop(answers.send(line.to_owned()));
    let conversation = example::converse(driver, POOL, BufReader::new(lines), answer);
    let (typed, outcome) = tokio::join!(typing, conversation);
    outcome.unwrap();
    assert!(typed < 64, "{typed}");
}

/// What cannot go well is told in one line that says what is wrong.
#[tokio::test]
async fn the_example_says_what_is_wrong() {
    let error = example::driver("example.org", None).unwrap_err().to_string();
    assert_eq!(error, "example.org is no address of a registrar, which is like 192.0.2.1:3863");
    let registrar = registrar(&[], None).await;
    let driver = example::driver(&registrar.at.to_string(), None).unwrap();
    let error = example::converse(driver, "nowhere", &b"a\n"[..], |_| {}).await.unwrap_err();
    assert_eq!(error.to_string(), "the pool could not be resolved: no such pool");
}

/// Whom to trust is said in a file, or what is wrong with it.
#[test]
fn a_file_says_whom_to_trust() {
    let path = std::env::temp_dir().join(format!("asap-pu-tokio-{}.pem", std::process::id()));
    let error = trust(&path).unwrap_err();
    assert!(error.starts_with(path.to_str().unwrap()), "{error}");
    std::fs::write(&path, "nothing\n").unwrap();
    let error = trust(&path).unwrap_err();
    assert_eq!(error, format!("{}: holds no PEM certificate", path.display()));
    std::fs::write(&path, Authority::new("authority").pem()).unwrap();
    trust(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
}

/// [SESSION-13] [SESSION-15]: more than the window holds goes out as fast as the element takes it, all of it
/// before the driver is gone, and without a registrar.
#[tokio::test]
async fn all_that_was_sent_arrives() {
    const MESSAGE: usize = 8 << 10;
    const MESSAGES: usize = 120;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let element = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.unwrap();
        received
    });
    let mut driver = asking(&[Registrar::tcp(nobody().await)]);
    command(&mut driver, |user, now| {
        let session = user.open_session_at(now, Transport::tcp(at), SessionOptions::default());
        let session = session.unwrap();
        for number in 0..MESSAGES {
            let data = vec![u8::try_from(number).unwrap(); MESSAGE];
            user.session_mut(now, session)
                .unwrap()
                .send(data, SendOptions::from(Failover::Never))
                .unwrap();
        }
    });
    assert!(driver.shut_down(PATIENCE).await);
    let received = element.await.unwrap();
    assert_eq!(received.len(), MESSAGES * MESSAGE);
    assert!(received.chunks(MESSAGE).map(|message| message[0]).is_sorted());
}

/// [SESSION-20]: what an element said before it died is heard, also if something more was to be sent to it.
#[tokio::test]
async fn last_words_are_heard() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    // What is ready at once is taken up in any order.
    for _ in 0..20 {
        let mut driver = Driver::new(Config::default(), 1).unwrap();
        let session = command(&mut driver, |user, now| {
            user.open_session_at(now, Transport::tcp(at), SessionOptions::default()).unwrap()
        });
        let send = |driver: &mut Driver, data: &'static str| {
            command(driver, |user, now| {
                user.session_mut(now, session).unwrap().send(data, Failover::Never)
            })
            .unwrap();
        };
        send(&mut driver, "never read");
        while !matches!(driver.event(PATIENCE).await, Some(Event::Connected { .. })) {}
        let (stream, _) = listener.accept().await.unwrap();
        tokio::select! {
            _ = driver.event(PATIENCE) => panic!("nothing is to come"),
            readable = stream.readable() => readable.unwrap(),
        }
        stream.try_write(b"last words").unwrap();
        drop(stream);
        send(&mut driver, "never sent");
        let mut heard = Vec::new();
        loop {
            match driver.event(PATIENCE).await {
                Some(Event::Received { data, .. }) => heard.extend_from_slice(&data),
                Some(Event::SessionEnded { .. }) => break,
                Some(_) => {}
                None => panic!("nothing happens"),
            }
        }
        assert_eq!(heard, b"last words");
    }
}

/// An application that does not read stops its element, and misses nothing.
#[tokio::test]
async fn an_element_cannot_send_more_than_is_read() {
    const FLOOD: usize = 64 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let mut driver = asking(&[Registrar::tcp(nobody().await)]);
    command(&mut driver, |user, now| {
        user.open_session_at(now, Transport::tcp(at), SessionOptions::default()).unwrap()
    });
    while !matches!(driver.event(PATIENCE).await, Some(Event::Connected { .. })) {}
    let (stream, _) = listener.accept().await.unwrap();
    let (mut sent, mut refused) = (0, 0);
    while sent < FLOOD && refused < 10_000 {
        match stream.try_write(&[0; 16 << 10]) {
            Ok(len) => (sent, refused) = (sent + len, 0),
            // The driver's task has a turn.
            Err(_) => {
                refused += 1;
                tokio::task::yield_now().await;
            }
        }
    }
    assert!(sent < FLOOD, "all was taken");
    let mut received = 0;
    while received < sent {
        if let Some(Event::Received { data, .. }) = driver.event(PATIENCE).await {
            received += data.len();
        }
    }
}

/// A peer that does not close its side holds the end up for a moment only.
#[tokio::test]
async fn a_peer_that_does_not_close_is_not_waited_for_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let mut driver = asking(&[Registrar::tcp(nobody().await)]);
    command(&mut driver, |user, now| {
        user.open_session_at(now, Transport::tcp(at), SessionOptions::default()).unwrap()
    });
    while !matches!(driver.event(PATIENCE).await, Some(Event::Connected { .. })) {}
    let held = listener.accept().await.unwrap();
    assert!(driver.shut_down(PATIENCE).await);
    drop(held);
}

/// A driver that is dropped closes its channels.
#[tokio::test]
async fn a_driver_that_is_dropped_closes_its_channels() {
    let mut registrar = registrar(&[nobody().await], None).await;
    let mut driver = asking(&[Registrar::tcp(registrar.at)]);
    outcome(&mut driver).await.unwrap();
    drop(driver);
    assert_eq!(registrar.heard.recv().await, Some(Heard::Question));
    assert_eq!(registrar.heard.recv().await, Some(Heard::End));
}

/// A registrar that the driver cannot speak to is refused at once.
#[test]
fn transports_that_are_not_spoken_are_refused() {
    let mut config = Config::default();
    config.discovery.registrars.push(Registrar::sctp(3863, [IpAddr::from([192, 0, 2, 1])]));
    let error = Driver::new(config, 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "discovery.registrars: number 0 has no transport that can be used"
    );
}
