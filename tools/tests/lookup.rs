//! `asap-lookup`, asking registrars on sockets of this host.

#[path = "../../tests/dissect/mod.rs"]
mod dissect;
#[path = "../../drivers/tests/peers/mod.rs"]
#[allow(dead_code, reason = "the tests of drivers use the rest")]
mod peers;
#[path = "../../drivers/tests/sctp_peer/mod.rs"]
mod sctp_peer;

use std::ffi::OsString;
use std::future::pending;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use std::{fs, iter, thread};

use asap_pu::wire::{
    Body, Cause, CauseCode, Message, OverallPolicy, PeIdentifier, Policy, PolicyType, PoolElement,
    ServerIdentifier, StreamDecoder, Transport, TransportUse,
};
use asap_tools::lookup;
use serde_json::{Value, json};
use tokio::runtime::Builder;

use peers::{Authority, POOL};

/// What the program leaves behind.
#[derive(Debug, PartialEq)]
struct Outcome {
    status: u8,
    out: String,
    err: String,
}

fn run(arguments: &[&str]) -> Outcome {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = ["asap-lookup"].iter().chain(arguments).map(OsString::from);
    let status = lookup::run(arguments, &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { status, out: text(out), err: text(err) }
}

/// A registrar that gives the first of these answers to the first question, and so on; the last
/// one for ever. It knows only one pool.
fn registrar(answers: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut answers = answers.into_iter().peekable();
        for mut stream in listener.incoming().flatten() {
            let (mut decoder, mut buffer) = (StreamDecoder::new(65_535), [0; 4096]);
            while let Ok(len @ 1..) = stream.read(&mut buffer) {
                let mut bytes = &buffer[..len];
                while let Some(message) = decoder.next(&mut bytes).unwrap() {
                    let asked = Message::decode(message).unwrap();
                    assert!(matches!(asked.body, Body::HandleResolution { .. }));
                    let answer = answers.next().unwrap();
                    stream.write_all(&answer).unwrap();
                    if answers.peek().is_none() {
                        answers = vec![answer].into_iter().peekable();
                    }
                }
            }
        }
    });
    at.to_string()
}

/// A registrar that says this when it is asked, and hangs up.
fn leaving(last_words: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            stream.write_all(last_words).unwrap();
        }
    });
    at.to_string()
}

fn listing(policy: impl Into<OverallPolicy>, elements: &[PoolElement]) -> Vec<u8> {
    let message = Message::handle_resolution_response(POOL, Some(policy.into()), elements.to_vec());
    message.to_bytes().unwrap().to_vec()
}

fn refusal(code: CauseCode) -> Vec<u8> {
    let message = Message::handle_resolution_failure(POOL, vec![Cause::from(code)]);
    message.to_bytes().unwrap().to_vec()
}

fn element(id: u32, weight: u32) -> PoolElement {
    let at = SocketAddr::from(([10, 0, 0, u8::try_from(id).unwrap()], 7000));
    let policy = Policy::WeightedRoundRobin { weight };
    let mut element = PoolElement::new(PeIdentifier::new(id), Transport::tcp(at), policy);
    element.home = ServerIdentifier::new(0x1234);
    element
}

/// The lines without those that differ from run to run.
fn steady(out: &str) -> Vec<&str> {
    let varies = ["; query time: ", "; when: "];
    out.lines().filter(|line| !varies.iter().any(|start| line.starts_with(start))).collect()
}

/// [SELECT-2] [CACHE-9]: elements of every kind in a table, and what the policy chooses among them,
/// also among those that no driver here could reach.
#[test]
fn a_pool_is_shown_as_a_table() {
    let addresses = ["10.0.0.9".parse().unwrap(), "fd00::9".parse().unwrap()];
    let mut second = element(2, 1);
    second.transport = Transport::sctp(9, TransportUse::DATA_PLUS_CONTROL, addresses);
    let mut opaque = element(3, 0);
    opaque.transport = Transport::opaque("by pigeon");
    let list = listing(PolicyType::WEIGHTED_ROUND_ROBIN, &[element(1, 2), second, opaque]);
    let at = registrar(vec![list]);
    let Outcome { status, out, err } = run(&["--tcp", "-r", &at, POOL, "--pick", "4"]);
    let registrar = format!("; registrar: TCP {at}, not authenticated");
    let expected = [
        "; EchoPool, policy Weighted Round Robin (0x2), elements: 3",
        "",
        "IDENTIFIER  HOME        TRANSPORT       VALUES    ADDRESSES",
        "0x00000001  0x00001234  TCP             weight 2  10.0.0.1:7000",
        "0x00000002  0x00001234  SCTP + control  weight 1  10.0.0.9:9 [fd00::9]:9",
        "0x00000003  0x00001234  opaque          weight 0  opaque \"by pigeon\"",
        "",
        "; picked: 0x00000001 0x00000002 0x00000001 0x00000001",
        &registrar,
    ];
    assert_eq!((steady(&out), status, &*err), (expected.to_vec(), 0, ""), "{out}");
    assert_eq!(out.lines().filter(|line| line.starts_with("; query time: ")).count(), 1);
    assert_eq!(out.lines().filter(|line| line.starts_with("; when: 2")).count(), 1);
}

/// What to think of an answer that is not all that it could be is said below it.
#[test]
fn doubtful_answers_say_so() {
    let unknown = PolicyType::new(0xb000_1001);
    let at = registrar(vec![listing(unknown, &[element(1, 2), element(1, 2)])]);
    let Outcome { status, out, .. } = run(&["--tcp", "-r", &at, POOL]);
    assert_eq!(status, 0);
    let heading = "; EchoPool, policy 0xb0001001 (not known here: elements are taken in the \
                   registrar's order), elements: 1";
    assert!(out.starts_with(heading), "{out}");
    let left_out = "because they have no address or the identifier of another: 1";
    let unfit = "elements with values of another policy, which do not count: 2";
    assert!(out.contains(left_out) && out.contains(unfit), "{out}");
}

/// For other programs the same is JSON: an object on a line for each answer, change and failure.
#[test]
fn what_is_found_is_json_for_others() {
    let one = [element(1, 2)];
    let mut two = one.to_vec();
    two.push(element(2, 3));
    let answers = [&one[..], &two].map(|it| listing(PolicyType::WEIGHTED_ROUND_ROBIN, it));
    let end = refusal(CauseCode::UNKNOWN_POOL_HANDLE);
    let at = registrar(vec![answers[0].clone(), answers[1].clone(), end]);
    let Outcome { status, out, err } =
        run(&["--tcp", "-r", &at, "--json", "--pick=2", "--watch=1", "--timeout=1", POOL]);
    assert_eq!((status, &*err), (1, "asap-lookup: EchoPool: no such pool\n"), "{out}");
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["found", "changed", "failed"]);
    let found = &events[0];
    assert_eq!((&found["handle"], &found["policy_type"]), (&json!(POOL), &json!(2)));
    assert_eq!(found["registrar"], json!(format!("TCP {at}")));
    assert_eq!(found["picked"], json!(["0x00000001", "0x00000001"]));
    let expected = json!({
        "identifier": "0x00000001", "home": "0x00001234", "protocol": "TCP", "control": false,
        "addresses": ["10.0.0.1:7000"], "weight": 2,
    });
    assert_eq!(found["elements"], json!([expected]));
    assert_eq!(events[1]["elements"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&events[2]["status"], &events[2]["error"]),
        (&json!(1), &json!("EchoPool: no such pool"))
    );
    assert_eq!(run(&["--json", "--hex", POOL]).status, 2);
}

/// A registrar at an address that is good on one link is found by the name of the interface, and by its number.
#[test]
#[cfg(target_os = "linux")]
fn registrars_on_a_link_are_found_by_its_zone() {
    if !peers::has_own_network("registrars_on_a_link_are_found_by_its_zone") {
        return;
    }
    let index = fs::read_to_string("/sys/class/net/d0/ifindex");
    let index = index.map_or("d0".to_owned(), |index| index.trim().to_owned());
    let listener = TcpListener::bind(("fe80::1%d0", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = listing(PolicyType::ROUND_ROBIN, &[element(1, 1)]);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            stream.write_all(&answer).unwrap();
        }
    });
    for zone in ["d0", &index] {
        let at = format!("[fe80::1%{zone}]:{port}");
        let Outcome { status, out, err } = run(&["--tcp", "-r", &at, POOL]);
        assert_eq!((status, &*err), (0, ""), "{out}");
    }
    let bare = format!("[fe80::1]:{port}");
    let with_interface = run(&["--tcp", "-r", &bare, "--interface", "d0", POOL]);
    assert_eq!(with_interface.status, 0, "{with_interface:?}");
    let without = run(&["--tcp", "-r", &bare, POOL]);
    assert_eq!(without.status, 2, "{without:?}");
    assert!(without.err.contains("fe80::1 needs an interface, like fe80::1%eth0"), "{without:?}");
}

/// [RES-6] [RES-7] [RES-13]: each way not to find a pool has a number and one line of its own.
#[test]
fn failures_are_told_apart() {
    let unknown = registrar(vec![refusal(CauseCode::UNKNOWN_POOL_HANDLE)]);
    let strict = registrar(vec![refusal(CauseCode::SECURITY)]);
    let mut broken = listing(PolicyType::ROUND_ROBIN, &[element(1, 1)]);
    broken[26] = 0xff;
    let broken = registrar(vec![broken]);
    let silent = registrar(vec![Vec::new()]);
    let (rude, senseless) = (leaving(&[6, 0, 0]), leaving(&[6, 0, 0, 3]));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let missing = format!("{}/nowhere.pem", env!("CARGO_TARGET_TMPDIR"));
    let long = "x".repeat(33);
    let ask = |at: &str| vec!["--tcp".to_owned(), "-r".to_owned(), at.to_owned(), POOL.to_owned()];
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for (mut arguments, status, expected) in [
        (ask(&unknown), 1, "EchoPool: no such pool\n".to_owned()),
        (words(&format!("--tcp -r ::1 {long}")), 2, "the pool handle has 33 bytes and may".into()),
        (words("-r"), 2, "error: a value is required".into()),
        (words("--pick 70000 x"), 2, "error: invalid value '70000'".into()),
        (words("-r ::1:0 -r x:0 x"), 2, "error: invalid value 'x:0' for '--registrar".into()),
        (words("-r 192.0.2.1:99999 x"), 2, "error: invalid value '192.0.2.1:99999' for".into()),
        (words("--tls a..b --ca x x"), 2, "error: invalid value 'a..b' for '--tls".into()),
        (words("--tls= --ca x x"), 2, "error: invalid value '' for '--tls".into()),
        (words("--group 10.0.0.1:3863 x"), 2, "error: invalid value '10.0.0.1:3863' for".into()),
        (words(r"\x0"), 2, r"error: invalid value '\x0' for".into()),
        (words("--tls pr.example x"), 2, "error: the following required arguments".into()),
        (ask(&nobody), 3, format!("no registrar can be reached: TCP {nobody}: Connection refused")),
        (ask("no.host.invalid"), 3, "no.host.invalid has no address: ".into()),
        (ask(&strict), 6, "EchoPool: the registrar refuses: Rejected due to security".into()),
        (ask(&broken), 4, "what came is malformed or useless (messages: ".into()),
        (ask(&senseless), 4, "what came is malformed or useless (messages: ".into()),
        (ask(&rude), 4, "the registrar hung up before it had answered; asap-lookup --hex ".into()),
        (ask(&silent), 6, "the registrar does not answer within 1 s; --timeout waits ".into()),
        (
            words("--tcp --interface 192.0.2.99 x"),
            5,
            "cannot listen to announces at 239.0.0.50:3863 on the interface 192.0.2.99: ".into(),
        ),
        (
            words("--tcp --interface lo x"),
            5,
            "cannot listen to announces at 239.0.0.50:3863 on the interface lo: for IPv4 ".into(),
        ),
        (words("--interface nowhere0 x"), 2, "error: invalid value 'nowhere0' for '--int".into()),
        (words(&format!("-r ::1 --tls pr.example --ca {missing} x")), 5, format!("{missing}: ")),
    ] {
        arguments.push("--timeout=1".to_owned());
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let outcome = run(&arguments);
        let said = outcome.err.strip_prefix("asap-lookup: ").unwrap_or(&outcome.err);
        assert!(outcome.status == status && said.starts_with(&expected), "{outcome:?}");
        assert_eq!(outcome.out, "");
        assert!(outcome.err.lines().count() == 1 || status == 2, "{outcome:?}");
    }
}

/// SCTP is what is asked for if nothing else is said: the kernel's, or else in user space. What was
/// chosen is said, and why.
#[test]
fn what_carries_sctp_is_chosen_and_told() {
    let outcome = run(&["-r", "127.0.0.1:9", "--timeout", "1", POOL]);
    assert_eq!(outcome.status, 3, "{outcome:?}");
    let choice = outcome.err.lines().next().unwrap();
    #[cfg(target_os = "linux")]
    let has_kernel = asap_pu_tokio::sctp::Driver::new(Default::default(), 1).is_ok();
    #[cfg(not(target_os = "linux"))]
    let has_kernel = false;
    match has_kernel {
        true => assert_eq!(choice, "asap-lookup: SCTP from the kernel, which has it"),
        false => {
            let said = "asap-lookup: SCTP in user space over UDP port 9899, because ";
            assert!(choice.starts_with(said), "{choice}");
        }
    }
}

/// A registrar is asked over SCTP in user space where that is wanted, over IPv4 and IPv6; of one that
/// cannot be reached so it is said what its host needs.
#[test]
fn sctp_goes_over_udp_where_that_is_wanted() {
    for at in ["127.0.0.1:0", "[::1]:0"] {
        if UdpSocket::bind(at).is_err() {
            continue;
        }
        let (at, serving) = sctp_peer::peer(at);
        let encapsulate = format!("--encapsulate={}", at.port());
        let registrar = SocketAddr::new(at.ip(), sctp_peer::PORT).to_string();
        let file = format!("{}/lookup.pcapng", env!("CARGO_TARGET_TMPDIR"));
        let outcome = run(&[&encapsulate, "-r", &registrar, "--pcap", &file, POOL]);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        let seen = dissect::lines("looked_up", &fs::read(&file).unwrap(), &["asap.message_type"]);
        assert!(seen.is_none_or(|seen| seen == [["5"], ["6"]]));
        let said = format!("SCTP in user space over UDP port {}, as told", at.port());
        assert!(outcome.err.contains(&said), "{outcome:?}");
        assert!(
            outcome
                .out
                .contains(&format!("0x00000001  0x00000000  SCTP       -       {registrar}"))
        );
        serving.join().unwrap();

        let outcome = run(&[&encapsulate, "-r", &registrar, "--timeout", "6", POOL]);
        assert_eq!(outcome.status, 3, "{outcome:?}");
        let said = format!("over UDP port {}", at.port());
        let why = outcome.err.lines().last().unwrap();
        assert!(why.contains(&said) && why.contains("net.sctp.udp_port"), "{outcome:?}");
    }
    for wrong in ["--encapsulate=0", "--encapsulate=70000", "--encapsulate --raw"] {
        let arguments: Vec<_> = wrong.split(' ').chain([POOL]).collect();
        assert_eq!(run(&arguments).status, 2, "{wrong}");
    }
}

/// [RES-12]: the messages as they were, to be read by `asap-decode`; how many elements to ask for
/// is up to the user.
#[test]
fn messages_are_shown_in_hex() {
    let answer = listing(PolicyType::ROUND_ROBIN, &[element(1, 2)]);
    let hex: String = answer.iter().map(|byte| format!("{byte:02x}")).collect();
    let at = registrar(vec![answer]);
    for (wanted, parameter) in [("7", "803f000800000007"), ("0", "")] {
        let length = 16 + parameter.len() / 2;
        let question = format!("sent\t050000{length:02x}0009000c4563686f506f6f6c{parameter}");
        let Outcome { out, .. } = run(&["--tcp", "-r", &at, "--hex", "--wanted", wanted, POOL]);
        let found: Vec<_> = out.lines().take(2).collect();
        assert_eq!(found, [question, format!("received\t{hex}")]);
    }
}

/// What breaks off or makes no sense is shown too.
#[test]
fn broken_messages_are_shown_in_hex() {
    let answer = listing(PolicyType::ROUND_ROBIN, &[element(1, 2)]);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let piece = &answer[..answer.len() - 4];
    for (bad, expected) in [(piece, 6), (&[6, 0, 0, 3, 7], 4)] {
        let at = registrar(vec![bad.to_vec(), Vec::new()]);
        let ask = ["--tcp", "-r", &at, "--hex", "--timeout", "1", POOL];
        let Outcome { status, out, .. } = run(&ask);
        assert_eq!(status, expected);
        let expected = format!("received a piece\t{}", hex(bad));
        assert!(out.lines().any(|line| line.starts_with(&expected)), "{out}");
    }
}

/// Who reads only the first lines gets no complaint.
#[test]
fn a_reader_may_go_away() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let at = registrar(vec![listing(PolicyType::ROUND_ROBIN, &[element(1, 2)])]);
    let arguments = ["asap-lookup", "--tcp", "-r", &at, POOL].into_iter().map(OsString::from);
    let mut err = Vec::new();
    assert_eq!((lookup::run(arguments, Gone, &mut err), err), (0, Vec::new()));
}

/// [RES-11] [CACHE-9]: what changes is shown until the pool is no more.
#[test]
fn changes_are_watched() {
    let wrr = PolicyType::WEIGHTED_ROUND_ROBIN;
    let at = registrar(vec![
        listing(wrr, &[element(1, 2), element(2, 1)]),
        listing(wrr, &[element(1, 2), element(2, 1)]),
        listing(wrr, &[element(1, 20), element(3, 1)]),
        refusal(CauseCode::UNKNOWN_POOL_HANDLE),
    ]);
    let Outcome { status, out, err } = run(&["--tcp", "-r", &at, "--watch=1", POOL]);
    assert_eq!((status, &*err), (1, "asap-lookup: EchoPool: no such pool\n"));
    let (_, changes) = out.split_once("; when: ").unwrap();
    let changes: Vec<_> = changes.lines().skip(1).collect();
    assert!(
        changes[0].starts_with("; EchoPool, policy Weighted Round Robin (0x2), elements: 2: 2")
    );
    let expected = [
        "- 0x00000002  0x00001234  TCP        weight 1   10.0.0.2:7000",
        "~ 0x00000001  0x00001234  TCP        weight 20  10.0.0.1:7000",
        "+ 0x00000003  0x00001234  TCP        weight 1   10.0.0.3:7000",
    ];
    assert_eq!(changes[1..], expected);
}

/// [RES-17]: who watches a pool is told that there is no registrar for now, and when there is one again;
/// that it does not know the pool, having just come back, does not end the watch.
#[test]
fn a_watcher_is_told_of_registrars() {
    struct Loud(mpsc::Sender<u8>);
    impl Write for Loud {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let told = bytes.iter().try_for_each(|byte| self.0.send(*byte));
            told.map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (saying, said) = mpsc::channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    // Answers one question, and is gone at the next; how long that was.
    let serve = |listener: TcpListener, answer: Vec<u8>| {
        let (mut stream, _) = listener.accept().unwrap();
        drop(listener);
        let mut question = [0; 4096];
        let _ = stream.read(&mut question).unwrap();
        stream.write_all(&answer).unwrap();
        stream.read(&mut question).unwrap()
    };
    let registrar = thread::spawn(move || {
        serve(listener, listing(PolicyType::ROUND_ROBIN, &[element(1, 2)]));
        let mut heard = Vec::new();
        while !heard.ends_with(b"trying again") {
            heard.push(said.recv().unwrap());
        }
        let unknown = refusal(CauseCode::UNKNOWN_POOL_HANDLE);
        let next = serve(TcpListener::bind(at).unwrap(), unknown);
        let back = format!("; registrar: TCP {at}: 2");
        while !(String::from_utf8_lossy(&heard).contains(&back) && heard.ends_with(b"\n")) {
            heard.push(said.recv().unwrap());
        }
        // That nobody listens any longer ends the watch.
        (next, String::from_utf8(heard).unwrap())
    });
    let at = at.to_string();
    let arguments = ["asap-lookup", "--tcp", "-r", &at, "--watch=1", "--timeout=1", POOL];
    let arguments = arguments.into_iter().map(OsString::from);
    assert_eq!(lookup::run(arguments, Loud(saying), Vec::new()), 0);
    let (next, heard) = registrar.join().unwrap();
    assert!(next > 0, "it is asked again");
    let remarks: Vec<_> = heard.lines().skip_while(|line| !line.starts_with("; when")).collect();
    assert_eq!(remarks.len(), 4, "{heard}");
    let refused = format!("; no registrar can be reached: TCP {at}: Connection refused");
    for (remark, expected) in remarks[1..].iter().zip([
        "; the registrar is lost; looking for another one: 2",
        &refused,
        &format!("; registrar: TCP {at}: 2"),
    ]) {
        assert!(remark.starts_with(expected), "{heard}");
    }
}

/// [HUNT-7] [HUNT-13]: without a registrar to ask, the first that announces itself is asked; if
/// there is none, the user is told.
#[test]
fn announces_are_heard() {
    let at = registrar(vec![listing(PolicyType::ROUND_ROBIN, &[element(1, 2)])]);
    let transport = Transport::tcp(at.parse().unwrap());
    let announce = Message::server_announce(ServerIdentifier::new(7), vec![transport]);
    let announce = announce.to_bytes().unwrap();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let group = format!("239.0.0.50:{port}");
    let listen = ["--tcp", "--group", &group, "--interface", "127.0.0.1", "--timeout", "1", POOL];

    // What makes no sense is no registrar's word.
    let Outcome { status, err, .. } = among(b"noise".to_vec(), port, || run(&listen));
    let expected = format!(
        "asap-lookup: no registrar announces itself to {group} within 1 s; --registrar names one\n"
    );
    assert_eq!((status, err), (3, expected));

    let Outcome { status, out, err } = among(announce.to_vec(), port, || run(&listen));
    assert_eq!((status, &*err), (0, ""));
    assert!(out.contains(&format!("; registrar: TCP {at}, not authenticated")), "{out}");
}

/// Does something while this is announced again and again.
fn among<T>(announce: Vec<u8>, port: u16, something: impl FnOnce() -> T) -> T {
    let over = Arc::new(());
    let running = Arc::downgrade(&over);
    let announcing = thread::spawn(move || {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        while running.upgrade().is_some() {
            socket.send_to(&announce, (Ipv4Addr::new(239, 0, 0, 50), port)).unwrap();
            thread::sleep(Duration::from_millis(20));
        }
    });
    let done = something();
    drop(over);
    announcing.join().unwrap();
    done
}

/// A name with several addresses, and several registrars, are tried one after the other within the
/// time: nobody is left out because others do not answer.
#[test]
#[cfg(target_os = "linux")]
fn every_registrar_is_tried() {
    let answering = registrar(vec![listing(PolicyType::ROUND_ROBIN, &[element(1, 2)])]);
    // The queue before this one is full, at every address that a host is to itself.
    let mute = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    let knock = || {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        TcpStream::connect_timeout(&at, Duration::from_millis(200)).ok()
    };
    let _waiting: Vec<_> = iter::from_fn(knock).collect();
    let mut places: Vec<_> = (1..=8).map(|host| format!("-r127.0.0.{host}:{port}")).collect();
    places.push(format!("-r{answering}"));
    for seed in ["--seed=1", "--seed=2", "--seed=3"] {
        let arguments = places.iter().map(String::as_str);
        let arguments: Vec<_> = arguments.chain(["--tcp", "--timeout=3", seed, POOL]).collect();
        let Outcome { status, out, err } = run(&arguments);
        assert_eq!((status, &*err), (0, ""), "{seed}: {out}");
    }
}

/// [HUNT-14] [HUNT-10]: over TLS the answer says that the registrar is who it should be; one that
/// is not is not asked.
#[test]
fn registrars_are_authenticated() {
    let authority = Authority::new("authority");
    let file = format!("{}/lookup.pem", env!("CARGO_TARGET_TMPDIR"));
    fs::write(&file, authority.pem()).unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let element = SocketAddr::from((Ipv4Addr::LOCALHOST, 7000));
    let tls = authority.vouch("pr.example", 4000);
    let registrar = runtime.block_on(peers::registrar(&[element], Some(tls)));
    thread::spawn(move || runtime.block_on(pending::<()>()));
    let at = registrar.at.to_string();
    let ask = |name| run(&["-r", &at, "--tls", name, "--ca", &file, POOL]);

    let Outcome { status, out, err } = ask("pr.example");
    assert_eq!((status, &*err), (0, ""));
    assert!(out.contains(&format!("; registrar: TCP {at}, authenticated")), "{out}");

    let Outcome { status, err, .. } = ask("other.example");
    assert_eq!(status, 3);
    let expected =
        format!("asap-lookup: no registrar can be reached: TCP {at}: invalid peer certificate");
    assert!(err.starts_with(&expected), "{err}");
}
