//! Why something happened can be read: in each situation the notes that lead to what came of
//! it, in order, as the lines that a person reads.
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

mod lab;

use core::iter;
use std::collections::BTreeSet;

use asap_pu::wire::{CauseCode, Message, Transport};
use asap_pu::{
    Action, ChannelId, CloseReason, Confirms, Failover, Instant, Misuse, NoteKind, SessionId,
    SessionOptions,
};
use lab::*;

/// Reads the notes, and remembers of which kinds there were any.
#[derive(Default)]
struct Reader {
    kinds: BTreeSet<&'static str>,
    misuses: BTreeSet<&'static str>,
}

impl Reader {
    /// One that has read what led to where things stand.
    fn from_here(lab: &mut Lab) -> Self {
        let mut reader = Self::default();
        reader.read(lab);
        reader
    }

    /// What was noted since the last time.
    fn read(&mut self, lab: &mut Lab) -> Vec<String> {
        let notes: Vec<_> = iter::from_fn(|| lab.pu.poll_note()).collect();
        self.kinds.extend(notes.iter().map(|note| note.what.name()));
        self.misuses.extend(notes.iter().filter_map(|note| match &note.what {
            NoteKind::Misused { misuse, .. } => Some(misuse.name()),
            _ => None,
        }));
        notes.iter().map(|note| note.what.to_string()).collect()
    }

    /// These lines were noted since the last time, and no others.
    #[track_caller]
    fn expect(&mut self, lab: &mut Lab, lines: &[&str]) {
        assert_eq!(self.read(lab), lines);
    }
}

/// A session with three elements, at the first of them.
fn in_session(config: Setup) -> (Lab, Reader, SessionId, Opened) {
    let (mut lab, _, session, one) = Lab::in_session(config, SessionOptions::default(), &three());
    let reader = Reader::from_here(&mut lab);
    (lab, reader, session, one)
}

fn hunting() -> Reader {
    let mut lab = Lab::knowing(&FIVE[..3]);
    let mut reader = Reader::default();
    lab.pu.registrars_mut(lab.now).find_home();
    let first = lab.opens().swap_remove(0);
    lab.fail(first.channel);
    reader.expect(
        &mut lab,
        &[
            "round 1 of the hunt for a home registrar begins, until 8.445985575s",
            "tries registrar TCP 192.0.2.3:3863 (channel 0.1)",
            "tries registrar TCP 192.0.2.2:3863 (channel 1.1)",
            "tries registrar TCP 192.0.2.1:3863 (channel 2.1)",
            "channel 0.1 to registrar TCP 192.0.2.3:3863 is lost: it could not be reached",
        ],
    );
    lab.wait();
    reader.expect(
        &mut lab,
        &[
            "no registrar could be reached in round 1 of the hunt",
            "channel 2.1 to registrar TCP 192.0.2.1:3863 is lost: it did not answer in time",
            "channel 1.1 to registrar TCP 192.0.2.2:3863 is lost: it did not answer in time",
            "round 2 of the hunt for a home registrar begins, until 24.266642159s",
            "tries registrar TCP 192.0.2.3:3863 (channel 1.2)",
            "tries registrar TCP 192.0.2.2:3863 (channel 2.2)",
            "tries registrar TCP 192.0.2.1:3863 (channel 0.2)",
        ],
    );
    let opens = opens_among(&lab.actions());
    lab.up(opens[0].channel);
    reader.expect(
        &mut lab,
        &[
            "channel 1.2 to registrar TCP 192.0.2.3:3863 is up",
            "closes channel 0.2 to registrar TCP 192.0.2.1:3863, which is of no more use",
            "closes channel 2.2 to registrar TCP 192.0.2.2:3863, which is of no more use",
            "registrar TCP 192.0.2.3:3863 is the home (channel 1.2)",
        ],
    );
    reader
}

/// [CORE-15]: a registrar refuses, two are silent, and the hunt goes on in another round.
#[test]
fn registrars_are_hunted_for() {
    hunting();
}

fn without_registrars() -> Reader {
    let mut lab = Lab::knowing(&[]);
    let mut reader = Reader::default();
    let request = lab.pu.resolve(lab.now, POOL).unwrap();
    reader.expect(&mut lab, &["no registrar is known; waits for an announce until 5s"]);
    lab.pu.cancel(lab.now, request).unwrap();
    reader.expect(&mut lab, &["nobody waits for a registrar; the hunt ends"]);
    let mut lab = with(|config| {
        (config.discovery.accept_announces, config.resolution.request_deadline) = (false, secs(15))
    });
    lab.pu.registrars_mut(lab.now).remove(&Transport::tcp(REGISTRAR.parse().unwrap()));
    lab.pu.resolve(lab.now, POOL).unwrap();
    reader.expect(
        &mut lab,
        &[
            "no registrar is known, and none can announce itself",
            r#"the request for pool "EchoPool" failed: no registrar is known"#,
        ],
    );
    reader
}

/// [CORE-15]: nobody is known, and somebody may announce itself or not.
#[test]
fn no_registrar_is_known() {
    without_registrars();
}

fn barring() -> Reader {
    let mut lab = Lab::new({
        let mut config = config(&FIVE[..2]);
        config.discovery.authenticated_only = true;
        config
    });
    let mut reader = Reader::default();
    lab.pu.registrars_mut(lab.now).find_home();
    let opens = lab.opens();
    lab.up(opens[0].channel);
    reader.expect(
        &mut lab,
        &[
            "round 1 of the hunt for a home registrar begins, until 9.502463275s",
            "tries registrar TCP 192.0.2.2:3863 (channel 0.1)",
            "tries registrar TCP 192.0.2.1:3863 (channel 1.1)",
            "channel 0.1 to registrar TCP 192.0.2.2:3863 is up",
            "bars registrar TCP 192.0.2.2:3863, which is not authenticated, until 600s",
        ],
    );
    lab.wait_until(lab.now + secs(10));
    reader.expect(
        &mut lab,
        &[
            "mistake of the driver: actions wait since 0ns and were not polled",
            "no registrar could be reached in round 1 of the hunt",
            "channel 1.1 to registrar TCP 192.0.2.1:3863 is lost: it did not answer in time",
            "round 2 of the hunt for a home registrar begins, until 26.891971149s",
            "passes over registrar TCP 192.0.2.2:3863: it is barred until 600s",
            "tries registrar TCP 192.0.2.1:3863 (channel 1.2)",
        ],
    );
    reader
}

/// [CORE-15]: a registrar that does not prove who it is, is left alone, also in the next round.
#[test]
fn a_registrar_is_barred() {
    barring();
}

fn doubting() -> Reader {
    let mut lab = Lab::knowing(&FIVE[..2]);
    lab.pu.registrars_mut(lab.now).find_home();
    let opens = lab.opens();
    lab.up(opens[0].channel);
    let home = opens[0].channel;
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    let mut reader = Reader::from_here(&mut lab);
    lab.wait();
    reader.expect(
        &mut lab,
        &[
            r#"T1 sends the request for pool "EchoPool" again, 1 of 2, on channel 0.1"#,
            "doubts the home registrar TCP 192.0.2.2:3863 (channel 0.1), which leaves a request unanswered",
            "round 1 of the hunt for a home registrar begins, until 22.910328292s",
            "tries registrar TCP 192.0.2.1:3863 (channel 1.2)",
        ],
    );
    lab.answer(home, POOL, &three());
    reader.expect(
        &mut lab,
        &[
            r#"pool "EchoPool" has 3 elements: 3 joined, 0 left, 0 altered"#,
            "the home registrar TCP 192.0.2.2:3863 (channel 0.1) has answered after all",
            "closes channel 1.2 to registrar TCP 192.0.2.1:3863, which is of no more use",
        ],
    );

    lab.pu.refresh(lab.now, "another").unwrap();
    lab.actions();
    lab.wait();
    let opens = opens_among(&lab.actions());
    lab.up(opens[0].channel);
    reader.expect(
        &mut lab,
        &[
            r#"asks for pool "another" on channel 0.1"#,
            r#"T1 sends the request for pool "another" again, 1 of 2, on channel 0.1"#,
            "doubts the home registrar TCP 192.0.2.2:3863 (channel 0.1), which leaves a request unanswered",
            "round 1 of the hunt for a home registrar begins, until 38.043083409s",
            "tries registrar TCP 192.0.2.1:3863 (channel 1.3)",
            "channel 1.3 to registrar TCP 192.0.2.1:3863 is up",
            "leaves the home registrar TCP 192.0.2.2:3863 (channel 0.1): another one came up while it was doubted",
            "registrar TCP 192.0.2.1:3863 is the home (channel 1.3)",
            r#"moves the request for pool "another" to channel 1.3"#,
        ],
    );
    lab.actions();
    while lab.pu.registrars().home().is_some() && lab.pu.poll_timeout().is_some() {
        lab.wait();
        lab.actions();
    }
    reader.expect(
        &mut lab,
        &[
            r#"T1 sends the request for pool "another" again, 2 of 2, on channel 1.3"#,
            "doubts the home registrar TCP 192.0.2.1:3863 (channel 1.3), which leaves a request unanswered",
            "round 1 of the hunt for a home registrar begins, until 53.011704655s",
            "tries registrar TCP 192.0.2.2:3863 (channel 0.2)",
            "channel 0.2 to registrar TCP 192.0.2.2:3863 is lost: it did not answer in time",
            "round 2 of the hunt for a home registrar begins, until 69.454877982s",
            "tries registrar TCP 192.0.2.2:3863 (channel 0.3)",
            r#"the request for pool "another" failed: no registrar answered"#,
            "closes channel 0.3 to registrar TCP 192.0.2.2:3863, which is of no more use",
            "nobody waits for a registrar; the hunt ends",
            "leaves the home registrar TCP 192.0.2.1:3863 (channel 1.3): it left a request unanswered",
        ],
    );
    reader
}

/// [CORE-15]: T1 sends again, the home is doubted, trusted, replaced, and left.
#[test]
fn a_home_is_doubted() {
    doubting();
}

fn leaving_home() -> Reader {
    let mut reader = Reader::default();
    let mut why = |lose: &dyn Fn(&mut Lab, ChannelId)| {
        let mut lab = Lab::knowing(&FIVE[..2]);
        lab.pu.registrars_mut(lab.now).find_home();
        let home = lab.opens()[0].channel;
        lab.up(home);
        lab.pu.resolve(lab.now, POOL).unwrap();
        lab.actions();
        reader.read(&mut lab);
        lose(&mut lab, home);
        let lines = reader.read(&mut lab);
        let line =
            lines.iter().find(|line| line.starts_with("leaves the home")).expect("it is left");
        line.split_once("): ").expect("a reason").1.to_owned()
    };
    assert_eq!(why(&|lab, home| lab.fail(home)), "the channel broke");
    assert_eq!(
        why(&|lab, home| lab.pu.handle_closed(lab.now, home, CloseReason::Closed)),
        "the peer closed the channel"
    );
    assert_eq!(
        why(&|lab, home| lab.pu.handle_stream(lab.now, home, &[0x05, 0, 0, 0])),
        "its byte stream lost its framing"
    );
    assert_eq!(
        why(&|lab, home| {
            let request = Message::handle_resolution(false, POOL, None).to_bytes().unwrap();
            lab.receive(home, &error(CauseCode::UNRECOGNIZED_MESSAGE, &request));
        }),
        "it does not know the request"
    );
    assert_eq!(
        why(&|lab, home| {
            let request = Message::handle_resolution(false, POOL, None).to_bytes().unwrap();
            lab.pu.handle_control_unsent(lab.now, home, &request);
        }),
        "the transport did not send to it"
    );
    assert_eq!(
        why(&|lab, home| {
            for handle in [POOL, "another", "a third"] {
                lab.pu.refresh(lab.now, handle).unwrap();
                lab.receive(home, &refusal(handle, CauseCode::LACK_OF_RESOURCES));
            }
        }),
        "it refused too many requests in a row"
    );
    assert_eq!(
        why(&|lab, _| {
            let home = lab.pu.registrars().home().cloned().expect("a home");
            assert!(lab.pu.registrars_mut(lab.now).remove(&home));
        }),
        "it was taken out of the list"
    );
    reader
}

/// [CORE-15]: why a home is left.
#[test]
fn a_home_is_left() {
    leaving_home();
}

fn listing() -> Reader {
    let (mut lab, home) = at_home(|config| config.capabilities = TCP);
    let mut reader = Reader::from_here(&mut lab);
    lab.pool(home, &three());
    let mut two = element(2);
    two.transport = Transport::udp("10.0.0.2:7".parse().unwrap());
    lab.secs(31);
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.answer(home, POOL, &[two, element(3), element(4), element(5)]);
    reader.expect(
        &mut lab,
        &[
            r#"asks for pool "EchoPool" on channel 0.1"#,
            r#"pool "EchoPool" has 3 elements: 3 joined, 0 left, 0 altered"#,
            r#"the list of pool "EchoPool", of 0ns, is out of date; asks for it"#,
            r#"asks for pool "EchoPool" on channel 0.1"#,
            r#"pool "EchoPool" has 4 elements: 2 joined, 1 left, 1 altered; the driver does not speak to 1 of them"#,
        ],
    );
    lab.pu.refresh(lab.now, POOL).unwrap();
    reader.expect(&mut lab, &[r#"pool "EchoPool" was asked for a moment ago; waits until 31.5s"#]);
    lab.wait();
    lab.actions();
    let mut nowhere = element(1);
    nowhere.transport = Transport::opaque("");
    lab.answer(home, POOL, &[nowhere]);
    lab.receive(home, &refusal(POOL, CauseCode::LACK_OF_RESOURCES));
    reader.expect(
        &mut lab,
        &[
            r#"asks for pool "EchoPool" on channel 0.1"#,
            r#"a list of pool "EchoPool" has no element that can be used"#,
            r#"the request for pool "EchoPool" failed: the registrar refused: [Lack of Resources (0x6)]"#,
        ],
    );
    lab.pu.resolve(lab.now, "nobody").unwrap();
    lab.actions();
    lab.receive(home, &refusal("nobody", CauseCode::UNKNOWN_POOL_HANDLE));
    reader.expect(
        &mut lab,
        &[r#"asks for pool "nobody" on channel 0.1"#, r#"the registrar knows no pool "nobody""#],
    );
    reader
}

/// [CORE-15]: a list is replaced, stale, of no use, refused, and there is no such pool.
#[test]
fn lists_come_and_go() {
    listing();
}

fn disputing() -> Reader {
    let (mut lab, home) = Lab::at_home();
    lab.pool(home, &three());
    lab.fail(home);
    lab.secs(31);
    lab.pu.resolve(lab.now, POOL).unwrap();
    let again = opens_among(&lab.actions())[0].clone();
    lab.up(again.channel);
    lab.actions();
    let mut reader = Reader::from_here(&mut lab);
    lab.receive(again.channel, &refusal(POOL, CauseCode::UNKNOWN_POOL_HANDLE));
    reader.expect(
        &mut lab,
        &[
            r#"the new home knows no pool "EchoPool", which is not believed; asks again at 35.54378072s"#,
        ],
    );
    reader
}

/// [CORE-15]: a new home does not know a pool, and may not know it yet.
#[test]
fn a_pool_is_disputed() {
    disputing();
}

fn failing_over() -> Reader {
    let mut config = mapped();
    config.confirm(Confirms::Written);
    let (mut lab, mut reader, session, one) = in_session(config);
    for failover in [Failover::Unconfirmed, Failover::Unconfirmed, Failover::Unsent] {
        send(&mut lab, session, "out", failover);
    }
    lab.actions();
    send(&mut lab, session, "waits", Failover::Never);
    let two = fail_over(&mut lab, &one);
    reader.expect(
        &mut lab,
        &[
            "channel 1.1 to element 0x00000001 of session 0.1 is lost: the channel broke",
            r#"marks element 0x00000001 of pool "EchoPool" as unreachable until 60s"#,
            "message 0 of session 0.1 and 1 more are put back",
            "message 2 of session 0.1 is lost: the element was lost: the channel broke",
            "message 3 of session 0.1 is returned: the element was lost: the channel broke",
            "session 0.1 leaves element 0x00000001 and looks for another one",
            "session 0.1 passes over element 0x00000001: it was tried in this round",
            "session 0.1 tries element 0x00000002 at TCP 10.0.0.2:7 (channel 1.2)",
            r#"reports element 0x00000001 of pool "EchoPool" as unreachable on channel 0.1"#,
            "channel 1.2 to element 0x00000002 of session 0.1 is up",
            "session 0.1 goes from element 0x00000001 to element 0x00000002, without a cookie",
        ],
    );
    lab.events();
    lab.actions();
    lab.pu.handle_data(lab.now, two.channel, b"hello");
    lab.wait();
    lab.fail(two.channel);
    reader.expect(
        &mut lab,
        &[
            "channel 1.2 to element 0x00000002 of session 0.1 is lost: the channel broke",
            r#"marks element 0x00000002 of pool "EchoPool" as unreachable until 70s"#,
            "message 0 of session 0.1 and 1 more are put back",
            "session 0.1 leaves element 0x00000002 and looks for another one",
            "session 0.1 passes over element 0x00000002: it was tried in this round",
            "session 0.1 passes over element 0x00000001: it is marked until 60s",
            "session 0.1 tries element 0x00000003 at TCP 10.0.0.3:7 (channel 1.3)",
        ],
    );
    reader
}

/// [CORE-15]: an element is lost, and another one takes over.
#[test]
fn a_session_fails_over() {
    failing_over();
}

fn giving_up() -> Reader {
    let mut config = config(&[REGISTRAR]);
    (config.sessions.max_rounds, config.sessions.session_deadline) = (2, secs(600));
    let (mut lab, home) = Lab::at_home_with(config);
    let session = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    send(&mut lab, session, "waits", Failover::Unsent);
    lab.actions();
    lab.answer(home, POOL, &three()[..2]);
    let mut reader = Reader::from_here(&mut lab);
    let one = lab.open_one();
    lab.fail(one.channel);
    lab.actions();
    lab.wait();
    reader.expect(
        &mut lab,
        &[
            "channel 1.1 to element 0x00000001 of session 0.1 is lost: it could not be reached",
            r#"marks element 0x00000001 of pool "EchoPool" as unreachable until 60s"#,
            "session 0.1 passes over element 0x00000001: it was tried in this round",
            "session 0.1 tries element 0x00000002 at TCP 10.0.0.2:7 (channel 1.2)",
            r#"reports element 0x00000001 of pool "EchoPool" as unreachable on channel 0.1"#,
            "channel 1.2 to element 0x00000002 of session 0.1 is lost: it did not answer in time",
            r#"marks element 0x00000002 of pool "EchoPool" as unreachable until 65s"#,
            "session 0.1 passes over element 0x00000002: it was tried in this round",
            "session 0.1 tried every element, round 1 of 2",
            "session 0.1 pauses until 5.950246328s: every element was tried",
        ],
    );
    while lab.pu.sessions().next().is_some() {
        for action in lab.actions() {
            match action {
                Action::Open { channel, .. } => lab.fail(channel),
                _ => lab.answer(home, POOL, &three()[..2]),
            }
        }
        if lab.events().is_empty() {
            lab.wait();
        }
    }
    reader.expect(
        &mut lab,
        &[
            r#"reports element 0x00000002 of pool "EchoPool" as unreachable on channel 0.1"#,
            r#"session 0.1 waits for the list of pool "EchoPool""#,
            r#"asks for pool "EchoPool" on channel 0.1"#,
            r#"pool "EchoPool" has 2 elements: 0 joined, 0 left, 0 altered"#,
            "session 0.1 passes over element 0x00000002: it is marked until 65s",
            "session 0.1 tries element 0x00000001 at TCP 10.0.0.1:7 (channel 1.3)",
            "channel 1.3 to element 0x00000001 of session 0.1 is lost: it could not be reached",
            "session 0.1 passes over element 0x00000001: it was tried in this round",
            "session 0.1 tries element 0x00000002 at TCP 10.0.0.2:7 (channel 1.4)",
            "channel 1.4 to element 0x00000002 of session 0.1 is lost: it could not be reached",
            "session 0.1 passes over element 0x00000002: it was tried in this round",
            "session 0.1 tried every element, round 2 of 2",
            "session 0.1 pauses until 7.639443443s: every element was tried",
            "message 0 of session 0.1 is returned: all elements have failed",
            "session 0.1 ends: all elements have failed",
        ],
    );
    reader
}

/// [CORE-15]: nobody can be reached, in round after round.
#[test]
fn a_session_gives_up() {
    giving_up();
}

fn resting() -> Reader {
    let (mut lab, mut reader, session, one) = in_session(config(&[REGISTRAR]));
    lab.pu.handle_closed(lab.now, one.channel, CloseReason::Closed);
    reader.expect(
        &mut lab,
        &[
            "channel 1.1 to element 0x00000001 of session 0.1 is lost: the peer closed the channel",
            "session 0.1 rests, closed by element 0x00000001",
        ],
    );
    lab.events();
    send(&mut lab, session, "again", Failover::Unsent);
    let again = lab.open_one();
    lab.up(again.channel);
    lab.pu.handle_closed(lab.now, again.channel, CloseReason::Local);
    reader.expect(
        &mut lab,
        &[
            "session 0.1 tries element 0x00000001 at TCP 10.0.0.1:7 (channel 1.2)",
            "channel 1.2 to element 0x00000001 of session 0.1 is up",
            "session 0.1 goes from element 0x00000001 to element 0x00000001, without a cookie",
            "channel 1.2 to element 0x00000001 of session 0.1 is lost: the driver could not",
            "session 0.1 leaves element 0x00000001 and looks for another one",
            "session 0.1 pauses until 950.246328ms: the driver could not",
        ],
    );
    reader
}

/// [CORE-15]: an element closes in good order, and the driver has trouble of its own.
#[test]
fn a_session_rests() {
    resting();
}

fn flapping() -> Reader {
    let (mut lab, mut reader, _, one) = in_session(config(&[REGISTRAR]));
    let two = fail_over(&mut lab, &one);
    let three = fail_over(&mut lab, &two);
    reader.read(&mut lab);
    lab.fail(three.channel);
    reader.expect(
        &mut lab,
        &[
            "channel 1.3 to element 0x00000003 of session 0.1 is lost: the channel broke",
            r#"marks element 0x00000003 of pool "EchoPool" as unreachable until 60s"#,
            "session 0.1 leaves element 0x00000003 and looks for another one",
            "session 0.1 pauses until 950.246328ms: elements come up and are lost, over and over",
        ],
    );
    reader
}

/// [CORE-15]: elements that come up and are lost, over and over, are called less often.
#[test]
fn elements_flap() {
    flapping();
}

fn moving() -> Reader {
    let (mut lab, mut reader, session, one) = in_session(config(&[REGISTRAR]));
    lab.pu.session_mut(lab.now, session).unwrap().move_to(Some(id(3))).unwrap();
    reader.expect(
        &mut lab,
        &[
            "channel 1.1 to element 0x00000001 of session 0.1 is lost: the session was moved",
            "session 0.1 leaves element 0x00000001 and looks for another one",
            "session 0.1 tries element 0x00000003 at TCP 10.0.0.3:7 (channel 1.2)",
        ],
    );
    let three = opens_among(&lab.actions())[0].clone();
    assert_ne!(three.channel, one.channel);
    lab.up(three.channel);
    lab.events();
    lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
    reader.expect(
        &mut lab,
        &[
            "channel 1.2 to element 0x00000003 of session 0.1 is up",
            "session 0.1 goes from element 0x00000001 to element 0x00000003, without a cookie",
            "closes channel 1.2 to element 0x00000003 of session 0.1, which is of no more use",
            "session 0.1 ends as asked",
        ],
    );
    reader
}

/// [CORE-15]: a session is moved, and ends.
#[test]
fn a_session_is_moved() {
    moving();
}

fn naming() -> Reader {
    let (mut lab, home) = at_home(|config| config.capabilities = TCP);
    let mut reader = Reader::from_here(&mut lab);
    let mut two = element(2);
    two.transport = Transport::udp("10.0.0.2:7".parse().unwrap());
    lab.pool(home, &[element(1), two]);
    reader.read(&mut lab);
    let mut open_on = |lab: &mut Lab, named| {
        let mut options = SessionOptions::default();
        options.element = Some(id(named));
        lab.pu.open_session(lab.now, POOL, options).unwrap();
        reader.read(lab)
    };
    assert_eq!(
        open_on(&mut lab, 2),
        [
            r#"session 0.1 waits for the list of pool "EchoPool""#,
            "session 0.1 passes over element 0x00000002: the driver does not speak its transport",
            "session 0.1 tries element 0x00000001 at TCP 10.0.0.1:7 (channel 1.1)",
        ]
    );
    assert_eq!(
        open_on(&mut lab, 9)[1],
        "session 1.1 passes over element 0x00000009: it is not listed"
    );
    reader
}

/// [CORE-15]: the element asked for is not there, or cannot be spoken to.
#[test]
fn an_element_that_was_named_is_passed_over() {
    naming();
}

fn spreading() -> Reader {
    let mut config = config(&[REGISTRAR]);
    config.sessions.failover_burst = 0;
    let (mut lab, mut reader, _, one) = in_session(config);
    lab.fail(one.channel);
    reader.expect(
        &mut lab,
        &[
            "channel 1.1 to element 0x00000001 of session 0.1 is lost: the channel broke",
            r#"marks element 0x00000001 of pool "EchoPool" as unreachable until 60s"#,
            "session 0.1 leaves element 0x00000001 and looks for another one",
            "session 0.1 lets others go first and waits until 199.01469ms",
        ],
    );
    reader
}

/// [CORE-15]: many lose their element at once.
#[test]
fn failovers_are_spread() {
    spreading();
}

fn reporting() -> Reader {
    let (mut lab, home) = at_home(|config| config.limits.max_pending_reports = 1);
    let pool = lab.pool(home, &three());
    assert_eq!(lab.choose(pool), [1, 2, 3]);
    let mut reader = Reader::from_here(&mut lab);
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(1)).unwrap();
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(2)).unwrap();
    reader.expect(
        &mut lab,
        &[
            r#"marks element 0x00000001 of pool "EchoPool" as unreachable until 60s"#,
            r#"marks element 0x00000002 of pool "EchoPool" as unreachable until 60s"#,
            r#"drops the report of element 0x00000002 of pool "EchoPool": too many wait"#,
        ],
    );
    lab.pu.pool_mut(lab.now, pool).unwrap().clear_failure(id(1));
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(3)).unwrap();
    lab.actions();
    reader.expect(
        &mut lab,
        &[
            r#"the mark of element 0x00000001 of pool "EchoPool" ends: the application cleared it"#,
            r#"withdraws the report of element 0x00000001 of pool "EchoPool", which is well"#,
            r#"marks element 0x00000003 of pool "EchoPool" as unreachable until 60s"#,
            r#"reports element 0x00000003 of pool "EchoPool" as unreachable on channel 0.1"#,
        ],
    );
    lab.fail(home);
    reader.expect(
        &mut lab,
        &[
            "leaves the home registrar TCP 192.0.2.1:3863 (channel 0.1): the channel broke",
            "round 1 of the hunt for a home registrar begins, until 8.445985575s",
            "tries registrar TCP 192.0.2.1:3863 (channel 0.2)",
            r#"the report of element 0x00000003 of pool "EchoPool" waits again"#,
        ],
    );
    lab.wait_until(lab.now + secs(61));
    assert_eq!(lab.choose(pool), [1]);
    reader.expect(
        &mut lab,
        &[
            "no registrar could be reached in round 1 of the hunt",
            "channel 0.2 to registrar TCP 192.0.2.1:3863 is lost: it did not answer in time",
            "round 2 of the hunt for a home registrar begins, until 24.820656584s",
            "tries registrar TCP 192.0.2.1:3863 (channel 0.3)",
            "mistake of the driver: actions wait since 0ns and were not polled",
            "channel 0.3 to registrar TCP 192.0.2.1:3863 is lost: it did not answer in time",
            "round 3 of the hunt for a home registrar begins, until 61.350245762s",
            "tries registrar TCP 192.0.2.1:3863 (channel 0.4)",
            r#"drops the report of element 0x00000003 of pool "EchoPool": it is too old"#,
            "closes channel 0.4 to registrar TCP 192.0.2.1:3863, which is of no more use",
            "nobody waits for a registrar; the hunt ends",
            r#"the mark of element 0x00000002 of pool "EchoPool" ends: its time is over"#,
            r#"the mark of element 0x00000003 of pool "EchoPool" ends: its time is over"#,
        ],
    );
    reader
}

/// [CORE-15]: a report is sent, waits again, is withdrawn or dropped.
#[test]
fn failures_are_reported() {
    reporting();
}

fn proving() -> Reader {
    let (mut lab, home, _, one) =
        Lab::in_session(config(&[REGISTRAR]), SessionOptions::default(), &three()[..1]);
    lab.fail(one.channel);
    lab.wait();
    lab.actions();
    lab.wait();
    lab.answer(home, POOL, &three()[..1]);
    settle(&mut lab);
    let mut reader = Reader::from_here(&mut lab);
    lab.wait_until(lab.now + secs(11));
    reader.expect(
        &mut lab,
        &[r#"the mark of element 0x00000001 of pool "EchoPool" ends: the element serves"#],
    );
    lab.pu
        .pool_mut(lab.now, lab.pu.find_pool(POOL.as_bytes()).unwrap())
        .unwrap()
        .fail_element(id(1))
        .unwrap();
    lab.pu.refresh(lab.now, POOL).unwrap();
    lab.actions();
    reader.read(&mut lab);
    let mut moved = element(1);
    moved.transport = Transport::tcp("10.9.9.9:7".parse().unwrap());
    lab.answer(home, POOL, &[moved]);
    assert_eq!(
        reader.read(&mut lab)[1],
        r#"the mark of element 0x00000001 of pool "EchoPool" ends: the element has moved"#
    );
    reader
}

/// [CORE-15]: an element that failed serves after all.
#[test]
fn a_mark_ends() {
    proving();
}

/// One misuse after the other, each the only one.
fn misusing() -> Reader {
    let mut all = Reader::default();
    let mut misuse = |(lab, home): (Lab, ChannelId), misuse: &dyn Fn(&mut Lab, ChannelId)| {
        let mut lab = lab;
        let before = lab.pu.stats().misuses;
        all.read(&mut lab);
        misuse(&mut lab, home);
        assert_eq!(lab.pu.stats().misuses, before + 1);
        let lines = all.read(&mut lab);
        let mistakes = lines.iter().filter_map(|line| line.strip_prefix("mistake of the driver: "));
        let [mistake] = mistakes.collect::<Vec<_>>()[..] else { panic!("{lines:#?}") };
        mistake.to_owned()
    };
    let with = |change: fn(&mut Setup)| {
        let mut config = config(&[REGISTRAR]);
        change(&mut config);
        let (lab, _, session, one) = Lab::in_session(config, Default::default(), &three());
        (lab, session, one.channel)
    };
    let sent = |change: fn(&mut Setup)| {
        let (mut lab, session, one) = with(change);
        let message = send(&mut lab, session, "secret", Failover::Unconfirmed);
        assert_eq!(lab.data().len(), 1);
        (lab, one, message)
    };
    let plain = || {
        let (lab, _, one) = with(|_| {});
        (lab, one)
    };

    let back = misuse(plain(), &|lab, _| {
        lab.secs(9);
        lab.pu.handle_timeout(lab.now);
        lab.pu.handle_timeout(Instant::EPOCH + secs(2));
    });
    assert_eq!(back, "time went backwards by 7s");
    let unpolled = misuse(plain(), &|lab, one| {
        lab.fail(one);
        lab.wait_until(lab.now + secs(30));
    });
    assert_eq!(unpolled, "actions wait since 0ns and were not polled");
    let after_end = misuse(plain(), &|lab, one| {
        lab.fail(one);
        lab.pu.handle_data(lab.now, one, b"secret");
    });
    assert_eq!(after_end, "handle_data on channel 1.1, which has ended or never was");
    let after_close = misuse(plain(), &|lab, one| {
        let session = lab.pu.sessions().next().expect("a session");
        lab.pu.session_mut(lab.now, session).unwrap().give_up().unwrap();
        lab.actions();
        lab.pu.handle_data(lab.now, one, b"secret");
    });
    assert_eq!(after_close, "handle_data on channel 1.1, which has ended or never was");
    let before_opened = misuse(plain(), &|lab, one| {
        lab.fail(one);
        let next = opens_among(&lab.actions())[0].channel;
        lab.pu.handle_data(lab.now, next, b"secret");
    });
    assert_eq!(before_opened, "handle_data on channel 1.2, of which it was not told that it is up");
    let twice = misuse(plain(), &|lab, one| lab.up(one));
    assert_eq!(twice, "channel 1.1 was opened a second time");
    let to_data = misuse(Lab::at_home(), &|lab, home| {
        lab.pu.handle_data(lab.now, home, b"secret");
    });
    assert_eq!(to_data, "data on channel 0.1, which leads to a registrar");
    let to_stream = misuse(plain(), &|lab, one| lab.pu.handle_stream(lab.now, one, b"secret"));
    assert_eq!(to_stream, "a registrar's byte stream on channel 1.1, which leads to an element");
    let to_control = misuse(plain(), &|lab, one| {
        lab.receive(one, &Message::cookie("secret"));
    });
    assert_eq!(to_control, "a control message on channel 1.1, where none was declared to come");

    let undeclared = {
        let (lab, one, message) = sent(|_| {});
        misuse((lab, one), &|lab, one| lab.pu.handle_written(lab.now, one, message))
    };
    assert_eq!(undeclared, "handle_written of message 0 on channel 1.1, which was not declared");
    let twice = {
        let (lab, one, message) = sent(|config| config.confirm(Confirms::Written));
        misuse((lab, one), &|lab, one| {
            lab.pu.handle_written(lab.now, one, message);
            lab.pu.handle_written(lab.now, one, message);
        })
    };
    assert_eq!(twice, "handle_written of message 0 on channel 1.1, which is not waited for");
    let never_written = {
        let (lab, one, _) = sent(|config| config.confirm(Confirms::Written));
        misuse((lab, one), &|lab, _| lab.wait_until(lab.now + secs(200)))
    };
    let expected =
        "no message was ever told to be written, not in the minute since 0ns on channel 1.1";
    assert_eq!(never_written, expected);
    let given_back = {
        let (mut lab, one, message) = sent(|config| config.confirm(Confirms::Written));
        lab.pu.handle_unsent(lab.now, one, message);
        lab.wait_until(lab.now + secs(5));
        lab.actions();
        lab.wait_until(lab.now + secs(120));
        lab.pu.stats().misuses
    };
    assert_eq!(given_back, 0, "who gives one back confirms");
    let never_delivered = {
        let (lab, one, _) = sent(|config| config.confirm(Confirms::Delivered));
        misuse((lab, one), &|lab, one| {
            lab.pu.handle_data(lab.now, one, b"an answer");
            lab.wait_until(lab.now + secs(200));
        })
    };
    let expected =
        "no message was ever told to be delivered, not in the minute since 0ns on channel 1.1";
    assert_eq!(never_delivered, expected);
    all
}

/// [CORE-15]: what a driver does wrong is counted and told.
#[test]
fn mistakes_of_drivers_are_told() {
    let Reader { misuses, .. } = misusing();
    assert_eq!(misuses, Misuse::NAMES.iter().copied().collect());
}

/// [CORE-15]: what a driver cannot know is no mistake of its own.
#[test]
fn what_drivers_cannot_know_is_no_mistake() {
    let mut config = config(&[REGISTRAR]);
    config.confirm(Confirms::Delivered);
    let (mut lab, mut reader, session, one) = in_session(config);
    let channel = one.channel;
    let messages = [(); 3].map(|()| send(&mut lab, session, "out", Failover::Unconfirmed));
    assert_eq!(lab.data().len(), 3);
    // The application has confirmed it.
    assert!(lab.pu.session_mut(lab.now, session).unwrap().confirm(messages[0]));
    lab.pu.handle_written(lab.now, channel, messages[0]);
    lab.pu.handle_delivered(lab.now, channel, messages[0]);
    // In any order.
    lab.pu.handle_delivered(lab.now, channel, messages[1]);
    lab.pu.handle_written(lab.now, channel, messages[1]);
    // A peer that does not read for long.
    lab.wait_until(lab.now + secs(300));
    // It has not polled that the channel is to be closed.
    lab.pu.session_mut(lab.now, session).unwrap().give_up().unwrap();
    lab.pu.handle_data(lab.now, channel, b"on its way");
    lab.pu.handle_written(lab.now, channel, messages[2]);
    lab.pu.handle_closed(lab.now, channel, CloseReason::Failed);
    lab.actions();
    lab.pu.handle_closed(lab.now, channel, CloseReason::Failed);
    assert_eq!((lab.pu.stats().misuses, reader.read(&mut lab).is_empty()), (0, false));
    assert!(reader.misuses.is_empty());
}

/// [CORE-15]: neither the notes nor the pool user show what is said; a pool handle is shown escaped.
#[test]
fn nothing_is_shown_of_what_is_said() {
    const SECRET: &str = "SECRET";
    let mut config = mapped();
    config.confirm(Confirms::Written);
    let (mut lab, _, session, one) = Lab::in_session(config, Default::default(), &three());
    for failover in [Failover::Never, Failover::Unsent, Failover::Unconfirmed] {
        send(&mut lab, session, SECRET, failover);
        lab.actions();
        send(&mut lab, session, SECRET, failover);
    }
    lab.pu.handle_data(lab.now, one.channel, SECRET.as_bytes());
    lab.receive(one.channel, &Message::cookie(SECRET));
    lab.pu.resolve(lab.now, "a\0b").unwrap();
    lab.actions();
    fail_over(&mut lab, &one);
    lab.pu.session_mut(lab.now, session).unwrap().abort();
    let shown = format!("{:?}", lab.pu) + &format!("{:#?}", lab.pu);
    assert!(!shown.contains(SECRET) && shown.lines().count() < 40, "{shown}");
    let mut handles = 0;
    for note in lab.pu.notes() {
        let shown = format!("{note} {note:?}");
        assert!(!shown.contains(SECRET) && !shown.contains('\0'), "{shown}");
        handles += usize::from(shown.contains(r#""a\x00b""#));
    }
    assert!(handles > 0, "the handle is shown");
}

/// [CORE-15]: each kind of note is seen in one of the situations above, so that a new one has to be
/// shown.
#[test]
fn every_kind_is_seen() {
    let situations = [
        hunting,
        without_registrars,
        barring,
        doubting,
        leaving_home,
        listing,
        disputing,
        failing_over,
        giving_up,
        resting,
        flapping,
        moving,
        naming,
        spreading,
        reporting,
        proving,
        misusing,
        missing,
    ];
    let seen: BTreeSet<_> = situations.iter().flat_map(|situation| situation().kinds).collect();
    assert_eq!(seen, NoteKind::NAMES.iter().copied().collect());
}

fn missing() -> Reader {
    let (mut lab, home) = at_home(|config| config.limits.max_notes = 2);
    let mut reader = Reader::from_here(&mut lab);
    lab.pool(home, &three());
    lab.pu.shut_down(lab.now);
    lab.actions();
    reader.expect(
        &mut lab,
        &[
            "1 notes before this were not read",
            r#"pool "EchoPool" has 3 elements: 3 joined, 0 left, 0 altered"#,
            "leaves the home registrar TCP 192.0.2.1:3863 (channel 0.1): the pool user is shut down",
        ],
    );
    reader
}

/// [CORE-15]: who reads too seldom is told so.
#[test]
fn notes_are_missed() {
    missing();
}
