//! What sessions make of calls in an unlucky order. Most were found by fuzzing.
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

mod lab;

use core::time::Duration;
use std::collections::BTreeSet;

use asap_pu::wire::{Message, OverallPolicy, Policy, PolicyType};
use asap_pu::{
    Action, CloseReason, CommandError, Confirms, Event, Failover, Instant, Payload, PeerKind,
    SessionOptions,
};
use lab::*;

/// [SESSION-3] [SESSION-13]: the last message was handed over, and comes back as the channel ends,
/// while the session closes. It goes to the next element first.
#[test]
fn a_closing_session_sends_again_what_came_back() {
    let mut config = config(&[REGISTRAR]);
    config.confirm(Confirms::Delivered);
    let (mut lab, _, session, element) =
        Lab::in_session(config, SessionOptions::default(), &three());
    let message = send(&mut lab, session, "last", Failover::Unsent);
    lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
    let handed = lab.pu.poll_action();
    assert!(matches!(handed, Some(Action::Send { payload: Payload::Data { .. }, .. })));
    lab.pu.handle_unsent(lab.now, element.channel, message);

    let next = fail_over(&mut lab, &element);
    assert!(matches!(lab.events()[..], [Event::ElementLost { .. }, Event::FailedOver { .. }]));
    assert_eq!(data_among(&lab.actions()), [(next.channel, "last".into())]);
    assert!(lab.events().is_empty(), "it may come back once more");
    lab.pu.handle_delivered(lab.now, next.channel, message);
    assert!(matches!(lab.actions()[..], [Action::Close { .. }]));
    assert!(matches!(lab.event(), Event::SessionEnded { error: None, .. }));
}

/// [SESSION-15] [CORE-9]: room that was there when nobody read, and is gone, is not told.
#[test]
fn room_is_told_as_it_stands() {
    let mut config = config(&[REGISTRAR]);
    config.limits.max_queued_messages = 2;
    let (mut lab, _, session, element) =
        Lab::in_session(config, SessionOptions::default(), &three());
    let refused = |lab: &mut Lab| {
        lab.pu.session_mut(lab.now, session).unwrap().send("more", Failover::Never).is_err()
    };
    send(&mut lab, session, "a", Failover::Unsent);
    send(&mut lab, session, "b", Failover::Unsent);
    assert!(refused(&mut lab));
    assert_eq!(lab.data().len(), 2, "there is room");
    send(&mut lab, session, "c", Failover::Unsent);
    send(&mut lab, session, "d", Failover::Unsent);
    assert!(refused(&mut lab), "it is gone");
    assert!(lab.events().is_empty());

    assert_eq!(lab.data(), [(element.channel, "c".into()), (element.channel, "d".into())]);
    assert!(matches!(lab.events()[..], [Event::Writable { .. }]));
}

/// [SESSION-13]: a session that is closing ends in good order when the application confirms the
/// last message, which waited to be sent again.
#[test]
fn a_confirmed_message_is_the_last_one_too() {
    let (mut lab, _, session, element) =
        Lab::in_session(config(&[REGISTRAR]), SessionOptions::default(), &three());
    let message = send(&mut lab, session, "last", Failover::Undelivered);
    assert_eq!(lab.data().len(), 1);
    lab.fail(element.channel);
    lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
    lab.actions();
    lab.events();
    assert!(lab.pu.session_mut(lab.now, session).unwrap().confirm(message));
    assert!(matches!(lab.event(), Event::SessionEnded { error: None, .. }));
}

/// [SESSION-13]: a closing session whose only message is for an element that is not listed gives it
/// back and ends.
#[test]
fn a_closing_session_gives_back_what_is_for_nobody() {
    let (mut lab, home) = Lab::at_home();
    let mut options = SessionOptions::default();
    options.element = Some(id(9));
    let session = lab.pu.open_session(lab.now, POOL, options).unwrap();
    send(&mut lab, session, "for 9 alone", Failover::Never);
    lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
    lab.actions();
    lab.answer(home, POOL, &three());
    let end = lab.events();
    assert!(
        matches!(end[..], [Event::Returned { .. }, Event::SessionEnded { error: None, .. }]),
        "{end:?}"
    );
}

/// [SESSION-10]: data flows to the first element before the application has read of it. If that one
/// is lost, the next one still is a failover, of which it reads before anything goes there.
#[test]
fn a_failover_from_an_element_not_heard_of_is_one() {
    let (mut lab, home) = Lab::at_home();
    let mut options = SessionOptions::default();
    options.hold_after_failover = true;
    let session = lab.pu.open_session(lab.now, POOL, options).unwrap();
    send(&mut lab, session, "login", Failover::Unsent);
    send(&mut lab, session, "work", Failover::Undelivered);
    lab.actions();
    lab.answer(home, POOL, &three());
    let one = lab.open_one();
    lab.up(one.channel);
    assert_eq!(lab.data().len(), 2);
    let two = fail_over(&mut lab, &one);
    let told = lab.events();
    assert!(
        matches!(
            told[..],
            [Event::Connected { element, .. }, Event::ElementLost { .. }, Event::FailedOver { from, .. }]
                if element == Some(id(1)) && from == Some(id(1))
        ),
        "{told:?}"
    );
    assert_eq!(data_among(&lab.actions()), [], "held back");
    lab.pu.session_mut(lab.now, session).unwrap().resume().unwrap();
    assert_eq!(data_among(&lab.actions()), [(two.channel, "work".into())]);
}

/// [CACHE-3] [SESSION-4]: a session that loses its element goes on with the list it has at once, and
/// has it refreshed where it is stale.
#[test]
fn a_failover_from_a_stale_list_has_it_refreshed() {
    let (mut lab, home, _, one) =
        Lab::in_session(config(&[REGISTRAR]), SessionOptions::default(), &three());
    lab.secs(3_600);
    lab.fail(one.channel);
    let actions = lab.actions();
    let [two] = opens_among(&actions).try_into().unwrap();
    let asked = actions
        .iter()
        .filter(|action| matches!(action, Action::Send { channel, .. } if *channel == home));
    assert_eq!(asked.count(), 2, "a report and a request");
    lab.answer(home, POOL, &[element(9)]);
    lab.fail(two.channel);
    assert_eq!(opens_among(&lab.actions())[0].to, "10.0.0.9:7".parse().unwrap());
}

/// [CACHE-8] [SESSION-4]: after a round over the pool the registrar is asked first, but not waited for
/// longer than for an element: one that failed may be back.
#[test]
fn a_session_does_not_wait_for_a_registrar_that_is_gone() {
    let (mut lab, home, _, only) =
        Lab::in_session(config(&[REGISTRAR]), SessionOptions::default(), &[element(1)]);
    lab.fail(home);
    lab.fail(only.channel);
    let lost = lab.now;
    let back = loop {
        let opens = opens_among(&lab.actions());
        if let Some(open) = opens.iter().find(|open| open.peer == PeerKind::Element) {
            break open.clone();
        }
        opens.iter().for_each(|open| lab.fail(open.channel));
        lab.wait();
    };
    assert!(back.to == only.to && lab.now - lost < secs(10), "{:?}", lab.now - lost);
    lab.up(back.channel);
    assert!(lab.events().iter().any(|event| matches!(event, Event::FailedOver { .. })));
}

/// [SESSION-4] [SESSION-18]: elements that come up and break off at once, before they have said
/// anything, do not make a session spin.
#[test]
fn elements_that_break_off_at_once_are_not_called_at_once() {
    let (mut lab, home, _, element) =
        Lab::in_session(config(&[REGISTRAR]), SessionOptions::default(), &three());
    lab.fail(element.channel);
    let (end, mut calls) = (lab.now + secs(60), 0);
    while lab.now < end {
        let actions = lab.actions();
        for open in opens_among(&actions) {
            calls += 1;
            lab.up(open.channel);
            lab.pu.handle_closed(lab.now, open.channel, CloseReason::Failed);
        }
        if actions.is_empty() {
            lab.wait();
            lab.answer(home, POOL, &three());
        }
        lab.events();
    }
    assert!((5..10).contains(&calls), "{calls} calls in a minute");
}

/// [CORE-4]: a pause without end has no end, and overflows nothing.
#[test]
fn pauses_may_be_as_long_as_one_likes() {
    let mut config = config(&[REGISTRAR]);
    config.sessions.session_backoff = Duration::MAX;
    config.sessions.session_deadline = Duration::MAX;
    let (mut lab, _, _, only) = Lab::in_session(config, SessionOptions::default(), &[element(1)]);
    lab.fail(only.channel);
    lab.actions();
    for _ in 0..4 {
        let Some(at) = lab.pu.poll_timeout() else { break };
        lab.now = lab.now.max(at);
        lab.pu.handle_timeout(lab.now);
        for open in opens_among(&lab.actions()) {
            lab.fail(open.channel);
        }
    }
}

/// [SESSION-14]: there is nowhere to move to by the policy's choice where all others have failed; to
/// one that is named a session goes all the same.
#[test]
fn nobody_moves_to_those_that_failed() {
    let two = [1, 2].map(element);
    let (mut lab, _, session, _) =
        Lab::in_session(config(&[REGISTRAR]), SessionOptions::default(), &two);
    let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
    lab.pu.pool_mut(lab.now, pool).unwrap().select(&[id(1)]).unwrap();
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(2)).unwrap();
    let refused = lab.pu.session_mut(lab.now, session).unwrap().move_to(None);
    assert_eq!(refused, Err(CommandError::NoElementLeft));
    lab.pu.session_mut(lab.now, session).unwrap().move_to(Some(id(2))).unwrap();
}

/// [SESSION-14]: asked for another element, the policy does not choose the same again.
#[test]
fn a_move_leaves_the_favourite_of_the_policy() {
    let ranked = [(1, 9), (2, 1)].map(|(n, priority)| {
        let mut element = element(n);
        element.policy = Policy::Priority { priority };
        element
    });
    let (mut lab, home) = Lab::at_home();
    let session = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    lab.actions();
    let policy = OverallPolicy::from(PolicyType::PRIORITY);
    lab.receive(home, &Message::handle_resolution_response(POOL, Some(policy), ranked.to_vec()));
    let best = lab.open_one();
    lab.up(best.channel);
    lab.events();
    lab.pu.session_mut(lab.now, session).unwrap().move_to(None).unwrap();
    let next = opens_among(&lab.actions()).remove(0);
    assert_eq!((best.to, next.to), ("10.0.0.1:7".parse().unwrap(), "10.0.0.2:7".parse().unwrap()));
}

/// Decisions 13, 30: an element that serves after all is marked no longer; that its channel comes up
/// is not enough.
#[test]
fn proven_contact_ends_the_mark() {
    let (mut lab, _, session, first) =
        Lab::in_session(mapped(), SessionOptions::default(), &three());
    let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
    fail_over(&mut lab, &first);
    lab.events();
    lab.pu.session_mut(lab.now, session).unwrap().move_to(Some(id(1))).unwrap();
    let back = opens_among(&lab.actions()).remove(0);
    let is_marked = |lab: &Lab| lab.pu.pool(pool).unwrap().is_marked(lab.now, id(1));
    assert!(is_marked(&lab));
    lab.up(back.channel);
    assert!(is_marked(&lab));
    lab.pu.handle_data(lab.now, back.channel, b"welcome");
    assert!(is_marked(&lab), "it says so to anyone");
    lab.events();
    send(&mut lab, session, "hello", Failover::Unsent);
    lab.actions();
    lab.pu.handle_data(lab.now, back.channel, b"an answer");
    assert!(!is_marked(&lab));
}

/// [SESSION-4] [HUNT-12]: pauses are shortened by chance, so that those who wait do not move in step.
#[test]
fn pauses_are_not_all_the_same() {
    let pause = |seed| {
        let mut pu = config(&[REGISTRAR]).pool_user(seed);
        pu.registrars_mut(Instant::EPOCH).find_home();
        let mut lab = Lab { pu, now: Instant::EPOCH };
        let home = lab.open_one().channel;
        lab.up(home);
        lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
        lab.actions();
        lab.answer(home, POOL, &[element(1)]);
        let only = lab.open_one();
        lab.fail(only.channel);
        lab.actions();
        lab.wait()
    };
    let pauses: BTreeSet<_> = (0..20).map(pause).collect();
    assert!(pauses.len() > 10, "{pauses:?}");
}

/// [SESSION-13]: what the transport could not send does not hold up the closing, and comes back.
#[test]
fn a_closing_session_gives_back_what_was_not_sent() {
    let mut config = config(&[REGISTRAR]);
    config.confirm(Confirms::Delivered);
    let (mut lab, _, session, element) =
        Lab::in_session(config, SessionOptions::default(), &three());
    let message = send(&mut lab, session, "", Failover::Never);
    lab.data();
    lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
    lab.pu.handle_unsent(lab.now, element.channel, message);
    let end = lab.events();
    assert!(
        matches!(end[..], [Event::Returned { .. }, Event::SessionEnded { error: None, .. }]),
        "{end:?}"
    );
}
