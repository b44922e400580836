//! `asap-connect`, between an input and elements on sockets of this host.

#[path = "../../tests/dissect/mod.rs"]
mod dissect;
#[path = "../../drivers/tests/peers/mod.rs"]
#[allow(dead_code, reason = "the tests of drivers use the rest")]
mod peers;

use std::ffi::OsString;
use std::fs;
use std::future::{Future, pending};
use std::io::{self, Cursor, Read};
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use asap_tools::{connect, decode};
use tokio::runtime::Builder;

use peers::POOL;

/// What the program leaves behind.
#[derive(Debug, PartialEq)]
struct Outcome {
    status: u8,
    out: String,
    err: String,
}

fn run(arguments: &[&str], input: impl Read + Send + 'static) -> Outcome {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = ["asap-connect"].iter().chain(arguments).map(OsString::from);
    let status = connect::run(arguments, input, &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { status, out: text(out), err: text(err) }
}

/// Peers that serve beside the program, as long as the test runs.
fn beside<T: Send + 'static>(peers: impl Future<Output = T> + Send + 'static) -> T {
    let (ready, made) = mpsc::channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        ready.send(runtime.block_on(peers)).unwrap();
        runtime.block_on(pending::<()>());
    });
    made.recv().unwrap()
}

/// An input that is typed: a line when it is told.
struct Typed(Receiver<&'static str>);

impl Read for Typed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line = self.0.recv().unwrap_or_default().as_bytes();
        buffer[..line.len()].copy_from_slice(line);
        Ok(line.len())
    }
}

/// Lines go in, answers come out, and the session is closed behind the last one.
#[test]
fn lines_are_answered() {
    let registrar = beside(async {
        let element = peers::element(1, 100).await;
        peers::registrar(&[element], None).await.at.to_string()
    });
    let arguments = ["--tcp", "-r", &registrar, "--wait=0.3", POOL];
    let outcome = run(&arguments, Cursor::new("one\ntwo\nthree"));
    // The last one is no whole line, and so gets no answer.
    assert_eq!((outcome.status, &*outcome.out), (0, "1: one\n1: two\n"), "{outcome:?}");
    let said: Vec<_> = outcome.err.lines().collect();
    let registrar = format!("asap-connect: registrar: TCP {registrar}");
    assert_eq!(said, [&*registrar, "asap-connect: connected to 0x00000001"]);
    let quiet = [&arguments[..], &["--quiet"]].concat();
    assert_eq!(run(&quiet, Cursor::new("one\n")).err, "");
    let hex = [&arguments[..], &["--hex"]].concat();
    assert_eq!(run(&hex, Cursor::new("6f 6e 65 0a\n")).out, "313a206f6e650a\n");
}

/// [SESSION-3]: when the element dies the conversation goes on at the next one, which is said beside the answers.
#[test]
fn a_conversation_outlives_its_element() {
    let registrar = beside(async {
        let elements = [peers::mortal(1, 1).await, peers::element(2, 100).await];
        peers::registrar(&elements, None).await.at.to_string()
    });
    let (to_input, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in ["one\n", "two\n", "three\n"] {
            to_input.send(line).unwrap();
            thread::sleep(Duration::from_millis(400));
        }
    });
    let arguments = ["--tcp", "-r", &registrar, "--wait=0.5", POOL];
    let Outcome { status, out, err } = run(&arguments, Typed(lines));
    assert_eq!((status, &*out), (0, "1: one\n2: two\n2: three\n"), "{err}");
    assert!(err.contains("asap-connect: lost 0x00000001: "), "{err}");
    assert!(err.contains("asap-connect: failed over from 0x00000001 to 0x00000002\n"), "{err}");
}

/// What is exchanged can be read in Wireshark, and by `asap-decode`: questions and answers, reports, and the data of the
/// session.
#[test]
fn what_is_exchanged_is_captured() {
    let registrar = beside(async {
        let elements = [peers::mortal(1, 1).await, peers::element(2, 100).await];
        peers::registrar(&elements, None).await.at.to_string()
    });
    let file = format!("{}/connect.pcapng", env!("CARGO_TARGET_TMPDIR"));
    let (to_input, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in ["one\n", "two\n"] {
            to_input.send(line).unwrap();
            thread::sleep(Duration::from_millis(400));
        }
    });
    let arguments = ["--tcp", "-r", &registrar, "--wait=0.3", "--pcap", &file, POOL];
    let outcome = run(&arguments, Typed(lines));
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let capture = fs::read(&file).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = ["asap-decode"].map(OsString::from).into_iter();
    assert_eq!(decode::run(arguments, Cursor::new(capture.clone()), &mut out, &mut err), 0);
    let out = String::from_utf8(out).unwrap();
    for name in ["HANDLE_RESOLUTION ", "HANDLE_RESOLUTION_RESPONSE ", "ENDPOINT_UNREACHABLE "] {
        assert!(out.contains(name), "{out}");
    }
    assert!(out.lines().next().unwrap().contains(&registrar), "{out}");
    let fields = ["asap.message_type", "sctp.data_payload_proto_id"];
    let Some(lines) = dissect::lines("connected", &capture, &fields) else { return };
    let asap = lines.iter().filter(|line| line[1] == "11" && !line[0].is_empty()).count();
    assert_eq!(asap, out.lines().count());
    // Two lines go out and come back, of which one may have to go twice.
    let data = lines.iter().filter(|line| line[1] == "0").count();
    assert!((4..=5).contains(&data), "{lines:?}");
}

/// Much input waits for room, and nothing of it is lost or out of order.
#[test]
fn much_input_waits_for_room() {
    let registrar = beside(async {
        let element = peers::element(1, usize::MAX).await;
        peers::registrar(&[element], None).await.at.to_string()
    });
    let lines: String = (0..5_000).map(|n| format!("{n}\n")).collect();
    let answers: String = (0..5_000).map(|n| format!("1: {n}\n")).collect();
    let outcome = run(&["--tcp", "-r", &registrar, "-q", POOL], Cursor::new(lines));
    assert_eq!((outcome.status, outcome.out == answers), (0, true), "{}", outcome.err);
}

/// Each way to fail has its number and one line of its own.
#[test]
fn failures_are_told_apart() {
    let (registrar, lonely) = beside(async {
        let nobody = peers::nobody().await;
        let registrar = peers::registrar(&[], None).await.at.to_string();
        (registrar, peers::registrar(&[nobody], None).await.at.to_string())
    });
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (arguments, status, expected) in [
        (["--tcp", "-r", &registrar, "OtherPool"], 1, "OtherPool: no such pool\n"),
        (["--tcp", "-r", &nobody, POOL], 3, "no registrar can be reached: "),
        (["--tcp", "-r", "no.host.invalid", POOL], 3, "no.host.invalid has no address: "),
        (["--tcp", "--ppid=7", "-r::1", POOL], 2, "--ppid is for SCTP\n"),
        (["--tcp", "--failover=undelivered", "-r::1", POOL], 2, "--failover=undelivered is for "),
        (["--tcp", "-r", &lonely, POOL], 7, "no element could be reached in time\n"),
    ] {
        let outcome = run(
            &[&arguments[..], &["--quiet", "--timeout=2", "--patience=1"]].concat(),
            Cursor::new("x\n"),
        );
        let said = outcome.err.strip_prefix("asap-connect: ").unwrap_or_default();
        assert!(outcome.status == status && said.starts_with(expected), "{status} {outcome:?}");
        assert_eq!((&*outcome.out, outcome.err.lines().count()), ("", 1));
    }
    // Whoever has nothing to say hears of it too.
    let outcome = run(&["--tcp", "-r", &registrar, "-q", "--wait=0", "OtherPool"], io::empty());
    assert_eq!((outcome.status, &*outcome.err), (1, "asap-connect: OtherPool: no such pool\n"));
    let outcome = run(&["--wait=soon", POOL], io::empty());
    assert_eq!(outcome.status, 2, "{outcome:?}");
    let outcome = run(&["--tcp", "-r", &registrar, "--hex", "-q", POOL], Cursor::new("no hex\n"));
    assert_eq!(
        (outcome.status, &*outcome.err),
        (2, "asap-connect: the input is not hex: no hex\n")
    );
}
