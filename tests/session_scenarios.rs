//! Stories of sessions that meet trouble, message by message (RFC 5352 §3.7, §3.8, §6.9). Those that
//! are told by what comes of it in the end are in `session_failures.rs`.

mod lab;

use asap_pu::wire::{CauseCode, Message, Policy, PoolElement, Transport};
use asap_pu::{
    Action, CommandError, Event, Failover, SendOptions, SessionError, SessionId, SessionOptions,
};
use lab::*;

/// [SESSION-4]: a pool whose elements the driver cannot speak to ends the session at once.
#[test]
fn no_element_can_be_used() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    lab.actions();
    let udp = Transport::udp("10.0.0.1:7".parse().unwrap());
    lab.answer(home, POOL, &[PoolElement::new(id(1), udp, Policy::RoundRobin)]);
    let event = lab.event();
    let Event::SessionEnded { error, .. } = event else { panic!("{event:?}") };
    assert_eq!(error, Some(SessionError::NoUsableElement));
}

/// [SESSION-4]: the deadline passes while a channel is being set up; the attempt is given up.
#[test]
fn the_deadline_passes_while_connecting() {
    let mut config = mapped();
    config.sessions.connect_timeout = secs(100);
    let (mut lab, home) = Lab::at_home_with(config);
    let session = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    send(&mut lab, session, "hello", Failover::Undelivered);
    lab.actions();
    lab.answer(home, POOL, &three());
    let open = lab.open_one();
    assert_eq!(lab.wait(), secs(60));
    assert!(
        matches!(lab.actions()[..], [Action::Close { channel, .. }] if channel == open.channel)
    );
    let events = lab.events();
    let [Event::Returned { .. }, Event::SessionEnded { error, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(*error, Some(SessionError::DeadlineReached));
    lab.up(open.channel);
    assert_eq!((lab.actions(), lab.events(), lab.pu.poll_timeout()), (vec![], vec![], None));
}

/// [SESSION-2] [SESSION-3] [REPORT-1]: the element dies before its channel is up: the queue goes to the next one whole.
#[test]
fn the_element_dies_before_it_is_up() {
    let (mut lab, home) = Lab::at_home_with(mapped());
    let session = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    for data in ["one", "two"] {
        send(&mut lab, session, data, Failover::Unsent);
    }
    lab.actions();
    lab.answer(home, POOL, &three());
    let first = lab.open_one();
    lab.fail(first.channel);
    let actions = lab.actions();
    let second = opens_among(&actions)[0].clone();
    assert_eq!(control(actions[1].clone()), (home, Message::endpoint_unreachable(POOL, id(1))));
    lab.up(second.channel);
    assert_eq!(lab.data(), ["one", "two"].map(|data| (second.channel, data.into())));
    let event = lab.event();
    assert!(
        matches!(event, Event::Connected { element, .. } if element == Some(id(2))),
        "{event:?}"
    );
}

/// [SESSION-3] [SESSION-7]: two elements die in a row, the second before it has been heard of; what may arrive twice goes
/// to the third, with the first one's cookie ahead, and the application hears of one failover.
#[test]
fn two_die_in_a_row() {
    let (mut lab, _, session, first) = Lab::in_session(mapped(), Default::default(), &three());
    lab.receive(first.channel, &Message::cookie("of the first"));
    send(&mut lab, session, "one", Failover::Undelivered);
    assert_eq!(lab.data().len(), 1);
    let second = fail_over(&mut lab, &first);
    assert_eq!(lab.controls().len(), 1, "the echo, and no data before the application knows");
    let third = fail_over(&mut lab, &second);
    assert_eq!(lab.controls(), [(third.channel, Message::cookie_echo("of the first"))]);
    let events = lab.events();
    let [Event::ElementLost { element, .. }, Event::FailedOver { from, to, .. }] = events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((element, from, to), (Some(id(1)), Some(id(1)), id(3)));
    assert_eq!(lab.data(), [(third.channel, "one".into())]);
}

/// [SESSION-7]: a cookie that arrives between the failover and the echo's sending comes too late for it; the next failover
/// echoes it. The latest one received counts, from whichever element.
#[test]
fn a_cookie_is_replaced_in_flight() {
    let (mut lab, _, _, first) = Lab::in_session(mapped(), Default::default(), &three());
    lab.receive(first.channel, &Message::cookie("old"));
    lab.fail(first.channel);
    let second = opens_among(&lab.actions())[0].clone();
    lab.receive(first.channel, &Message::cookie("from the grave"));
    lab.receive(second.channel, &Message::cookie("before it is up"));
    assert_eq!(lab.pu.stats().unknown_channels, 2);
    lab.up(second.channel);
    lab.receive(second.channel, &Message::cookie("new"));
    assert_eq!(lab.controls(), [(second.channel, Message::cookie_echo("old"))]);
    let third = fail_over(&mut lab, &second);
    assert_eq!(lab.controls(), [(third.channel, Message::cookie_echo("new"))]);
}

/// [SESSION-3] [SESSION-14]: the pool is refreshed in the middle of a failover: the next choice is made from the new list,
/// and the element that is being called may be gone from it.
#[test]
fn the_pool_is_refreshed_during_a_failover() {
    let (mut lab, home, _, first) = Lab::in_session(mapped(), Default::default(), &three());
    lab.fail(first.channel);
    let second = opens_among(&lab.actions())[0].clone();
    lab.secs(31);
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.answer(home, POOL, &[element(4), element(5)]);
    lab.fail(second.channel);
    let next = opens_among(&lab.actions())[0].clone();
    assert_eq!(next.to, "10.0.0.4:7".parse().unwrap());
    lab.up(next.channel);
    assert!(
        lab.events()
            .iter()
            .any(|event| matches!(event, Event::FailedOver { to, .. } if *to == id(4)))
    );
    assert_eq!(lab.pu.stats().failures, 2);
}

const STATES: [&str; 7] =
    ["resolving", "connecting", "up", "yielding", "pausing", "choosing", "over"];

/// A session in the state named, with one message that was not confirmed, in a pool of two.
fn in_state(state: &str) -> (Lab, SessionId) {
    let mut config = mapped();
    config.sessions.failover_burst = if state == "yielding" { 0 } else { 64 };
    let (mut lab, home) = Lab::at_home_with(config);
    let mut options = SessionOptions::default();
    options.choose_per_message = state == "choosing";
    let session = lab.pu.open_session(lab.now, POOL, options).unwrap();
    send(&mut lab, session, "hello", Failover::Undelivered);
    lab.actions();
    match state {
        "resolving" => return (lab, session),
        "over" => lab.receive(home, &refusal(POOL, CauseCode::UNKNOWN_POOL_HANDLE)),
        _ => lab.answer(home, POOL, &[element(1), element(2)]),
    }
    if ["up", "yielding", "pausing"].contains(&state) {
        let first = lab.open_one();
        lab.up(first.channel);
        if state != "up" {
            lab.fail(first.channel);
        }
        if state == "pausing" {
            let second = opens_among(&lab.actions())[0].clone();
            lab.fail(second.channel);
        }
    }
    lab.actions();
    let calls = ["connecting", "up", "choosing"].contains(&state);
    assert_eq!(
        lab.pu.channel_count(),
        1 + usize::from(calls),
        "{state}: the home, and the element"
    );
    assert_eq!(lab.pu.stats().failovers_spread, u64::from(state == "yielding"));
    (lab, session)
}

/// [SESSION-13] [CORE-5]: closed in each state, a session ends within the deadline, its message is handed over or given
/// back, and nothing refers to it afterwards.
#[test]
fn closed_in_each_state() {
    for state in STATES {
        let (mut lab, session) = in_state(state);
        let closed = lab.pu.session_mut(lab.now, session).unwrap().close();
        assert_eq!(closed.is_err(), state == "over", "{state}");
        let late = lab
            .pu
            .session_mut(lab.now, session)
            .unwrap()
            .send("late", SendOptions::default())
            .unwrap_err();
        assert!(!is_full(&late), "{state}");
        let began = lab.now;
        let mut ends = Vec::new();
        loop {
            lab.actions();
            let is_end = |event: &Event| matches!(event, Event::SessionEnded { .. });
            ends.extend(lab.events().iter().filter(|event| is_end(event)).map(|_| lab.now));
            if lab.pu.sessions().count() == 0 {
                break;
            }
            lab.wait();
        }
        lab.actions();
        assert!(ends.len() == 1 && ends[0] - began <= secs(60), "{state}: {ends:?}");
        assert_eq!(
            lab.pu.session_mut(lab.now, session).and_then(|mut session| session.close()),
            Err(CommandError::UnknownSession)
        );
        assert!(lab.pu.channel_count() <= 1, "{state}: the home, unless it was silent");
    }
}

/// [SESSION-13] [CORE-5]: aborted in each state, a session gives back its message and is gone: no action, event or timer
/// is left.
#[test]
fn aborted_in_each_state() {
    for state in STATES {
        let (mut lab, session) = in_state(state);
        let back = lab.pu.session_mut(lab.now, session).unwrap().abort();
        assert_eq!(back.len(), 1, "{state}");
        assert!(lab.actions().iter().all(|a| matches!(a, Action::Close { .. })), "{state}");
        assert_eq!((lab.events(), lab.pu.poll_timeout()), (vec![], None), "{state}");
        assert_eq!(lab.pu.channel_count(), 1, "{state}: the home");
    }
}

/// [SESSION-12] [SESSION-13]: data for sessions that have ended is dropped and counted.
#[test]
fn data_on_ended_sessions_is_dropped() {
    let (mut lab, _, session, first) = Lab::in_session(mapped(), Default::default(), &three());
    lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
    lab.pu.handle_data(lab.now, first.channel, b"late");
    lab.receive(first.channel, &Message::cookie("late"));
    assert_eq!((lab.events().len(), lab.pu.stats().unknown_channels), (1, 2));
    let gone = lab.pu.session_mut(lab.now, session).err();
    assert_eq!(gone, Some(CommandError::UnknownSession));
}

/// [SESSION-12] [SESSION-13]: what was received before the end is read before the end, also by an application that reads late.
#[test]
fn what_was_received_comes_before_the_end() {
    let (mut lab, home) = Lab::at_home_with(mapped());
    let session = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    lab.actions();
    lab.answer(home, POOL, &three());
    let first = lab.open_one();
    lab.up(first.channel);
    lab.pu.handle_data(lab.now, first.channel, b"last words");
    lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
    let events = lab.events();
    assert!(
        matches!(
            events[..],
            [Event::Connected { .. }, Event::Received { .. }, Event::SessionEnded { .. }]
        ),
        "{events:?}"
    );
}

/// [SESSION-12]: received data names its session, its pool and its element.
#[test]
fn received_data_names_pool_and_element() {
    let (mut lab, _, session, first) = Lab::in_session(mapped(), Default::default(), &three());
    lab.pu.handle_data(lab.now, first.channel, b"answer");
    let event = lab.event();
    let Event::Received { session: of, handle, element, .. } = event else { panic!("{event:?}") };
    assert_eq!((of, handle, element), (session, Some(POOL.into()), Some(id(1))));
    assert_eq!(lab.pu.session(session).and_then(|session| session.handle()), Some(&POOL.into()));
}

/// [SESSION-6]: over SCTP the control channel exists where the element says data plus control, and nowhere else.
#[test]
fn sctp_says_whether_there_is_a_control_channel() {
    use asap_pu::wire::TransportUse;
    for (transport_use, control) in
        [(TransportUse::DATA_ONLY, false), (TransportUse::DATA_PLUS_CONTROL, true)]
    {
        let at = "10.0.0.1".parse().unwrap();
        let transport = Transport::sctp(7, transport_use, [at]);
        let element = PoolElement::new(id(1), transport, Policy::RoundRobin);
        let mut config = config(&[REGISTRAR]);
        config.tell_control();
        let (mut lab, _, session, channel) =
            Lab::in_session(config, Default::default(), &[element]);
        lab.receive(channel.channel, &Message::cookie("x"));
        assert_eq!(lab.pu.session(session).and_then(|session| session.cookie()).is_some(), control);
    }
}
