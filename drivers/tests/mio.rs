//! The `mio` driver and its example, over real sockets.

#[path = "../examples/mio/main.rs"]
#[allow(dead_code, reason = "only the example has a `main`")]
mod example;
#[allow(dead_code, reason = "another test uses the rest")]
mod peers;

use std::future::pending;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use asap_pu::wire::Transport;
use asap_pu::{
    Config, Event, Failover, Instant, LossReason, PoolUser, Registrar, SessionError, SessionId,
    SessionOptions,
};
use socket2::SockRef;
use tokio::runtime::{Builder, Handle};

use example::driver::Driver;
use peers::{Heard, POOL, Peer, element, mortal, nobody, registrar};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A thread in which peers live, as long as the process does.
fn elsewhere() -> Handle {
    let (tell, handle) = mpsc::channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        tell.send(runtime.handle().clone()).unwrap();
        runtime.block_on(pending::<()>());
    });
    handle.recv().unwrap()
}

fn command<T>(driver: &mut Driver, order: impl FnOnce(&mut PoolUser, Instant) -> T) -> T {
    let now = driver.now();
    order(driver.user(), now)
}

/// A driver that knows this registrar.
fn knowing(registrar: SocketAddr) -> Driver {
    let mut config = Config::default();
    config.limits.max_queued_bytes = 16 << 20;
    config.discovery.registrars.push(Registrar::tcp(registrar));
    Driver::new(config, 1).unwrap()
}

fn open(driver: &mut Driver) -> SessionId {
    command(driver, |user, now| user.open_session(now, POOL, SessionOptions::default())).unwrap()
}

fn open_at(driver: &mut Driver, at: SocketAddr) -> SessionId {
    let (at, options) = (Transport::tcp(at), SessionOptions::default());
    command(driver, |user, now| user.open_session_at(now, at, options)).unwrap()
}

fn send(driver: &mut Driver, session: SessionId, data: impl Into<Vec<u8>>, failover: Failover) {
    let data = data.into();
    command(driver, |user, now| user.session_mut(now, session).unwrap().send(data, failover))
        .unwrap();
}

/// The next event, which there is.
fn next(driver: &mut Driver) -> Event {
    driver.event(PATIENCE).expect("nothing happens")
}

/// The driver has made no mistake, and goes in good order.
fn leave(mut driver: Driver) {
    let notes: Vec<_> = driver.user().notes().cloned().collect();
    assert_eq!(driver.user().stats().misuses, 0, "{notes:?}");
    assert!(driver.shut_down(PATIENCE));
}

/// What a registrar heard of until it was left.
fn heard(mut registrar: Peer) -> Vec<Heard> {
    let mut heard = Vec::new();
    while heard.last() != Some(&Heard::End) {
        heard.push(registrar.heard.blocking_recv().unwrap());
    }
    heard
}

/// A pool is resolved, or is not, over one connection that is closed in good order.
#[test]
fn pools_are_resolved() {
    let elsewhere = elsewhere();
    let elements = [([192, 0, 2, 1], 7).into(), ([192, 0, 2, 2], 7).into()];
    let registrar = elsewhere.block_on(registrar(&elements, None));
    let mut driver = knowing(registrar.at);
    command(&mut driver, |user, now| user.resolve(now, POOL)).unwrap();
    let pool = loop {
        if let Event::Resolved { pool, .. } = next(&mut driver) {
            break pool;
        }
    };
    let found = driver.user().pool(pool).unwrap().elements();
    let found: Vec<_> =
        found.flat_map(|it| it.transport().to_owned().socket_addrs().collect::<Vec<_>>()).collect();
    assert_eq!(found, elements);
    command(&mut driver, |user, now| user.resolve(now, "nowhere")).unwrap();
    while !matches!(next(&mut driver), Event::ResolutionFailed { .. }) {}
    leave(driver);
    assert_eq!(heard(registrar), [Heard::Question, Heard::Question, Heard::End]);
}

/// [SESSION-1] [SESSION-3] [REPORT-1]: an element that is not there and one that is killed are left for
/// the one that lives, and reported; every line is answered once, in order.
#[test]
fn a_conversation_outlives_elements() {
    let elsewhere = elsewhere();
    let registrar = elsewhere.block_on(async {
        registrar(&[nobody().await, mortal(2, 2).await, element(3, 9).await], None).await
    });
    let driver = example::driver(&registrar.at.to_string()).unwrap();
    let (to_lines, lines) = mpsc::channel();
    ["a", "b", "c", "d"].into_iter().for_each(|line| to_lines.send(line.to_owned()).unwrap());
    drop(to_lines);
    let mut answers = Vec::new();
    example::converse(driver, POOL, &lines, |line| answers.push(line.to_owned())).unwrap();
    assert_eq!(answers, ["2: a", "2: b", "3: c", "3: d"]);
    let expected = [Heard::Question, Heard::Report(1), Heard::Report(2), Heard::End];
    assert_eq!(heard(registrar), expected);
}

/// [REPORT-7] [SESSION-3]: elements that answer once and close in good order are called again when
/// there is something to say, and nothing of that is a failure.
#[test]
fn elements_that_close_are_well() {
    let elsewhere = elsewhere();
    let registrar = elsewhere
        .block_on(async { registrar(&[element(1, 1).await, element(2, 1).await], None).await });
    let mut driver = knowing(registrar.at);
    let session = open(&mut driver);
    let mut answers = Vec::new();
    for line in 0..5 {
        send(&mut driver, session, format!("{line}\n"), Failover::Unsent);
        loop {
            match next(&mut driver) {
                Event::Received { data, .. } => answers.extend_from_slice(&data),
                Event::ElementLost { reason, .. } => {
                    assert_eq!(reason, LossReason::Closed);
                    break;
                }
                _ => {}
            }
        }
    }
    let answers = String::from_utf8(answers).unwrap();
    let first = &answers[..1];
    assert_eq!(answers, (0..5).map(|line| format!("{first}: {line}\n")).collect::<String>());
    let stats = *driver.user().stats();
    assert_eq!((stats.failures, stats.reports_sent, stats.channels_closed), (0, 0, 5));
    leave(driver);
    assert_eq!(heard(registrar), [Heard::Question, Heard::End]);
}

/// [SESSION-20] [REPORT-7]: an element that speaks and closes in good order has done so, also if
/// something was to be written to it at that moment; its words come first.
#[test]
fn last_words_are_heard() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let mut driver = knowing(at);
    let session = open_at(&mut driver, at);
    while !matches!(next(&mut driver), Event::Connected { .. }) {}
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(b"the time is noon").unwrap();
    drop(stream);
    for _ in 0..3 {
        send(&mut driver, session, vec![0; 64 << 10], Failover::Unsent);
    }
    let mut heard = Vec::new();
    loop {
        match next(&mut driver) {
            Event::Received { data, .. } => heard.extend_from_slice(&data),
            Event::SessionEnded { error, .. } => {
                assert_eq!(error, Some(SessionError::ChannelLost(LossReason::Closed)));
                break;
            }
            _ => {}
        }
    }
    assert_eq!(heard, b"the time is noon");
    leave(driver);
}

/// [SESSION-3]: an element that is killed while something is written to it has not closed in good order, though
/// the system tells of that once only, and of an end after it.
#[test]
fn a_killed_element_has_not_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let mut driver = knowing(at);
    let session = open_at(&mut driver, at);
    while !matches!(next(&mut driver), Event::Connected { .. }) {}
    let (stream, _) = listener.accept().unwrap();
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    send(&mut driver, session, "never read", Failover::Unsent);
    let error = loop {
        if let Event::SessionEnded { error, .. } = next(&mut driver) {
            break error;
        }
    };
    assert_eq!(error, Some(SessionError::ChannelLost(LossReason::Broken)));
    leave(driver);
}

/// [SESSION-13] [SESSION-15]: what does not fit into the system's buffers is written in parts, each
/// message told when the last of it is written; all of it arrives before the driver is gone.
#[test]
fn all_that_was_sent_arrives() {
    const MESSAGE: usize = 1 << 20;
    const MESSAGES: u8 = 12;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    SockRef::from(&listener).set_recv_buffer_size(4 << 10).unwrap();
    let at = listener.local_addr().unwrap();
    let (go, gone) = mpsc::channel();
    let element = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        gone.recv().unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        received
    });
    let mut driver = knowing(at);
    let session = open_at(&mut driver, at);
    let mut handed = 0;
    for number in 0..MESSAGES {
        send(&mut driver, session, vec![number; MESSAGE], Failover::Never);
        // The element takes nothing yet: what was not written stays here.
        while driver.event(Duration::from_millis(20)).is_some() {}
        handed = command(&mut driver, |user, _| {
            usize::from(number) + 1 - user.session(session).unwrap().queued()
        });
    }
    assert!(handed < usize::from(MESSAGES), "{handed}");
    go.send(()).unwrap();
    leave(driver);
    let received = element.join().unwrap();
    assert_eq!(received.len(), MESSAGE * usize::from(MESSAGES));
    assert!(received.chunks(MESSAGE).map(|message| message[0]).eq(0..MESSAGES));
}

/// A channel that was closed ends also if the peer takes nothing of what was sent before: it is cut off,
/// and does not take a part for the whole.
#[test]
fn a_closed_channel_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let mut driver = knowing(at);
    let session = open_at(&mut driver, at);
    while !matches!(next(&mut driver), Event::Connected { .. }) {}
    let (mut stream, _) = listener.accept().unwrap();
    send(&mut driver, session, vec![7; 12 << 20], Failover::Never);
    while driver.event(Duration::from_millis(20)).is_some() {}
    command(&mut driver, |user, now| drop(user.session_mut(now, session).unwrap().abort()));
    leave(driver);
    let mut received = Vec::new();
    let error = stream.read_to_end(&mut received).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(received.len() < 12 << 20, "{}", received.len());
}

/// An application that does not read stops its element, and misses nothing.
#[test]
fn an_element_cannot_send_more_than_is_read() {
    const FLOOD: usize = 64 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let mut driver = knowing(at);
    open_at(&mut driver, at);
    while !matches!(next(&mut driver), Event::Connected { .. }) {}
    let (mut stream, _) = listener.accept().unwrap();
    let element = thread::spawn(move || stream.write_all(&vec![7; FLOOD]).unwrap());
    let mut received = 0;
    while received < FLOOD {
        match next(&mut driver) {
            Event::Received { data, .. } => received += data.len(),
            other => panic!("{other:?}"),
        }
    }
    element.join().unwrap();
    leave(driver);
}

/// A registrar that is not there is said to refuse, and one that hangs up to have done that.
#[test]
fn a_registrar_that_is_not_there_is_told() {
    let (_keyboard, lines) = mpsc::channel();
    let told = |registrar: &str| {
        let driver = example::driver(registrar).unwrap();
        example::converse(driver, POOL, &lines, |_| {}).unwrap_err().to_string()
    };
    let at = elsewhere().block_on(nobody());
    let refused = told(&at.to_string());
    assert!(refused.starts_with(&format!("no registrar can be reached: TCP {at}: ")), "{refused}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 64]);
        }
    });
    assert_eq!(told(&at.to_string()), format!("no registrar can be reached: TCP {at}: it hung up"));
    let error = example::driver("example.org").err().unwrap().to_string();
    assert_eq!(error, "example.org is no address of a registrar, which is like 192.0.2.1:3863");
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
    let elsewhere = elsewhere();
    let registrar = elsewhere
        .block_on(async { registrar(&[element(1, 1).await, element(2, 1).await], None).await });
    let mut driver = knowing(registrar.at);
    command(&mut driver, |user, now| user.resolve(now, POOL)).unwrap();
    while !matches!(next(&mut driver), Event::Resolved { .. }) {}
    let mut taken = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        taken.push(file);
    }
    open(&mut driver);
    while driver.user().stats().local_failures == 0 {
        assert_eq!(driver.event(Duration::from_millis(10)), None);
    }
    drop(taken);
    let event = next(&mut driver);
    assert!(matches!(event, Event::Connected { .. }), "{event:?}");
    let stats = *driver.user().stats();
    assert_eq!((stats.failures, stats.reports_sent), (0, 0));
    leave(driver);
    assert_eq!(heard(registrar), [Heard::Question, Heard::End]);
}

/// [SESSION-3]: an element whose host is cut off without a word is noticed, whether something is on its
/// way to it or not.
#[cfg(target_os = "linux")]
#[test]
fn an_element_that_is_cut_off_is_noticed() {
    if !peers::has_own_network("an_element_that_is_cut_off_is_noticed") {
        return;
    }
    let at = elsewhere().block_on(element(1, usize::MAX));
    let mut driver = knowing(at);
    let sessions = [(); 2].map(|()| open_at(&mut driver, at));
    for session in sessions {
        send(&mut driver, session, "hello\n", Failover::Never);
        while !matches!(next(&mut driver), Event::Received { .. }) {}
    }
    let cut = std::process::Command::new("ip").args(["link", "set", "lo", "down"]).status();
    assert!(cut.unwrap().success());
    send(&mut driver, sessions[0], "hello\n", Failover::Never);
    let mut ended = Vec::new();
    while ended.len() < 2 {
        if let Event::SessionEnded { session, .. } = next(&mut driver) {
            ended.push(session);
        }
    }
}

/// Who has patience without end is served as well, and can be woken.
#[test]
fn patience_may_be_without_end() {
    let registrar = elsewhere().block_on(async { registrar(&[nobody().await], None).await });
    let mut driver = knowing(registrar.at);
    command(&mut driver, |user, now| user.resolve(now, POOL)).unwrap();
    while !matches!(driver.event(Duration::MAX), Some(Event::Resolved { .. })) {}
    driver.waker().wake().unwrap();
    assert_eq!(driver.event(Duration::MAX), None);
    leave(driver);
}
