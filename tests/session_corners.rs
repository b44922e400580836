//! What sessions make of calls in an unlucky order. Most were found by fuzzing.
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

mod lab;

use core::time::Duration;
use std::collections::BTreeSet;

use asap_pu::wire::{
    CauseCode, Message, OverallPolicy, Policy, PolicyType, Transport, TransportUse,
};
use asap_pu::{
    Action, CloseReason, CommandError, Confirms, Event, Failover, Instant, Payload, PeerKind,
    Recipient, SendOptions, SessionError, SessionOptions, SessionTimer, UndeliveredReason,
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

/// [SESSION-10] [SESSION-20]: where several failovers are unread, no data flows before the last of
/// them has been read.
#[test]
fn no_data_flows_before_the_last_failover_is_read() {
    let (mut lab, _, session, one) =
        Lab::in_session(config(&[REGISTRAR]), SessionOptions::default(), &three());
    let two = fail_over(&mut lab, &one);
    lab.pu.handle_data(lab.now, two.channel, b"a word");
    let three = fail_over(&mut lab, &two);
    send(&mut lab, session, "work", Failover::Unsent);
    loop {
        let event = lab.pu.poll_event().expect("a failover to the last one");
        if matches!(event, Event::FailedOver { to, .. } if to == id(3)) {
            break;
        }
        assert_eq!(data_among(&lab.actions()), [], "after {event:?}");
    }
    assert_eq!(data_among(&lab.actions()), [(three.channel, "work".into())]);
}

/// [SESSION-13] [SESSION-17]: what a closing session waits for in vain is lost for that reason.
#[test]
fn a_session_that_closes_too_long_says_so() {
    let mut config = config(&[REGISTRAR]);
    config.confirm(Confirms::Delivered);
    let (mut lab, _, session, element) =
        Lab::in_session(config, SessionOptions::default(), &three());
    let message = send(&mut lab, session, "last", Failover::Unsent);
    lab.data();
    lab.pu.handle_written(lab.now, element.channel, message);
    lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
    assert!(lab.events().is_empty(), "it may yet be delivered");
    let end = lab.now + secs(60);
    lab.wait_until(end);
    let events = lab.events();
    assert!(
        matches!(
            events[..],
            [
                Event::Lost { reason: UndeliveredReason::DeadlineReached, .. },
                Event::SessionEnded { error: Some(SessionError::DeadlineReached), .. }
            ]
        ),
        "{events:?}"
    );
    assert_eq!(lab.pu.stats().messages_lost, 1);
}

/// [SESSION-13]: where the driver tells no more than that a message was written, a closing session
/// waits for no more.
#[test]
fn a_closing_session_waits_for_what_the_driver_tells() {
    let mut config = config(&[REGISTRAR]);
    config.confirm(Confirms::Written);
    let (mut lab, _, session, element) =
        Lab::in_session(config, SessionOptions::default(), &three());
    let message = send(&mut lab, session, "last", Failover::Undelivered);
    lab.data();
    lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
    assert!(lab.events().is_empty(), "it is not written");
    lab.pu.handle_written(lab.now, element.channel, message);
    assert!(matches!(lab.event(), Event::SessionEnded { error: None, .. }));
}

/// [SESSION-13]: an abort counts what was lost, and what came back.
#[test]
fn an_abort_is_counted() {
    let mut config = config(&[REGISTRAR]);
    config.confirm(Confirms::Written);
    config.limits.window_messages = 1;
    let (mut lab, _, session, _) = Lab::in_session(config, SessionOptions::default(), &three());
    for data in ["out", "waits", "waits too"] {
        send(&mut lab, session, data, Failover::Unsent);
    }
    assert_eq!(lab.data().len(), 1);
    let unsettled = lab.pu.session_mut(lab.now, session).unwrap().abort();
    assert_eq!(unsettled.len(), 3);
    let stats = lab.pu.stats();
    assert_eq!((stats.messages_lost, stats.messages_returned), (1, 2));
}

/// [SESSION-12] [SESSION-13]: what nobody reads of a session that is aborted takes no room from others.
#[test]
fn an_abort_makes_room_for_what_others_receive() {
    let mut config = config(&[REGISTRAR]);
    config.limits.max_unread_bytes = 1_500;
    let (mut lab, _, session, first) = Lab::in_session(config, SessionOptions::default(), &three());
    let other = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    let second = lab.open_one();
    lab.up(second.channel);
    lab.events();
    assert_eq!(lab.pu.session_of(first.channel), Some(session));
    assert_eq!(lab.pu.session_of(second.channel), Some(other));
    lab.pu.handle_data(lab.now, first.channel, &[0; 1_000]);
    lab.pu.session_mut(lab.now, session).unwrap().abort();
    lab.pu.handle_data(lab.now, second.channel, &[0; 1_000]);
    assert!(matches!(lab.event(), Event::Received { .. }));
}

/// [SESSION-12]: however many messages are dropped while nobody reads, that is told once, with their
/// number.
#[test]
fn drops_are_told_once() {
    let mut config = config(&[REGISTRAR]);
    config.limits.max_unread_bytes = 0;
    let (mut lab, _, _, element) = Lab::in_session(config, SessionOptions::default(), &three());
    for count in [1, 3] {
        (0..count).for_each(|_| lab.pu.handle_data(lab.now, element.channel, b"1"));
        let events = lab.events();
        assert!(
            matches!(events[..], [Event::Dropped { messages, .. }] if messages == count),
            "{events:?}"
        );
    }
}

/// [CACHE-8] [SESSION-4]: after a round the answer of the registrar is waited for, whatever happens
/// meanwhile, as long as an element may take to come up.
#[test]
fn the_newest_list_is_waited_for() {
    let (mut lab, _, session, only) =
        Lab::in_session(config(&[REGISTRAR]), SessionOptions::default(), &[element(1)]);
    lab.fail(only.channel);
    lab.actions();
    let asked = loop {
        lab.wait();
        let step = lab.pu.session(session).unwrap().next_step();
        if let Some((at, SessionTimer::List)) = step {
            break at;
        }
        assert_eq!(opens_among(&lab.actions()), []);
    };
    send(&mut lab, session, "more", Failover::Unsent);
    assert_eq!(opens_among(&lab.actions()), []);
    lab.now = asked;
    lab.pu.handle_timeout(lab.now);
    assert_eq!(opens_among(&lab.actions()).len(), 1);
}

/// [SESSION-4]: a session that looks for nobody any more waits for no list.
#[test]
fn nobody_waits_for_a_list_without_a_message() {
    let mut config = config(&[REGISTRAR]);
    config.sessions.session_deadline = secs(600);
    let (mut lab, _) = Lab::at_home_with(config);
    let session = lab.pu.open_session(lab.now, POOL, choosing()).unwrap();
    let [(home, _)] = lab.requests().try_into().unwrap();
    lab.answer(home, POOL, &[element(1)]);
    let message = send(&mut lab, session, "work", Failover::Undelivered);
    let mut waits = false;
    for _ in 0..100 {
        opens_among(&lab.actions()).iter().for_each(|open| lab.fail(open.channel));
        let step = lab.pu.session(session).unwrap().next_step();
        if matches!(step, Some((_, SessionTimer::List))) {
            waits = true;
            break;
        }
        lab.wait();
    }
    assert!(waits, "for the newest list");
    lab.pu.session_mut(lab.now, session).unwrap().withdraw(message).unwrap();
    let step = lab.pu.session(session).unwrap().next_step();
    assert!(!matches!(step, Some((_, SessionTimer::List))), "{step:?}");
}

/// [SESSION-11] [SESSION-5]: a message that may go nowhere else goes to the element that the session
/// was opened on.
#[test]
fn a_message_for_the_named_element_goes_there() {
    let (mut lab, home) = Lab::at_home();
    let mut options = SessionOptions::default();
    options.element = Some(id(2));
    let session = lab.pu.open_session(lab.now, POOL, options).unwrap();
    send(&mut lab, session, "for 2 alone", Failover::Never);
    lab.actions();
    lab.answer(home, POOL, &three());
    let two = lab.open_one();
    lab.up(two.channel);
    assert_eq!(lab.data(), [(two.channel, "for 2 alone".into())]);
    assert!(matches!(lab.event(), Event::Connected { .. }));
}

/// [SESSION-9]: where each message has its element chosen, a card counts for those that somebody has
/// failed; the others are the policy's.
#[test]
fn cards_count_after_a_failure() {
    let (mut lab, home) = Lab::at_home_with(mapped());
    let session = lab.pu.open_session(lab.now, POOL, choosing()).unwrap();
    lab.actions();
    lab.answer(home, POOL, &[1, 2, 3, 4].map(element));
    send(&mut lab, session, "one", Failover::Undelivered);
    let [one] = settle(&mut lab).try_into().unwrap();
    lab.actions();
    lab.receive(one.channel, &Message::business_card(POOL, vec![element(4)]));
    send(&mut lab, session, "two", Failover::Unsent);
    let [two] = settle(&mut lab).try_into().unwrap();
    assert_eq!(two.to, "10.0.0.2:7".parse().unwrap());
    lab.actions();
    lab.fail(one.channel);
    lab.events();
    let [four] = settle(&mut lab).try_into().unwrap();
    assert_eq!(four.to, "10.0.0.4:7".parse().unwrap());
}

/// [SESSION-2]: a message that has its element, or one whose channel is up, does not run out of time
/// while others look for theirs.
#[test]
fn time_runs_for_those_who_look() {
    let mut config = config(&[REGISTRAR]);
    config.confirm(Confirms::Written);
    config.limits.window_messages = 1;
    config.sessions.session_deadline = secs(3);
    let (mut lab, _, session) = choosing_lab(config.clone());
    let kept = send(&mut lab, session, "a", Failover::Unsent);
    let one = lab.open_one();
    let mut same = to(Recipient::SameAsLast);
    same.failover = Failover::Unsent;
    lab.pu.session_mut(lab.now, session).unwrap().send("b", same).unwrap();
    lab.up(one.channel);
    assert_eq!(lab.data().len(), 1, "the window is full");
    let step = lab.pu.session(session).unwrap().next_step();
    assert!(!matches!(step, Some((_, SessionTimer::Message))), "{step:?}");
    lab.events();
    let late = send(&mut lab, session, "c", Failover::Unsent);
    lab.open_one();
    lab.wait_until(lab.now + secs(4));
    let events = lab.events();
    assert!(
        matches!(events[..], [Event::Returned { message, .. }] if message == late),
        "{events:?}"
    );
    lab.pu.handle_written(lab.now, one.channel, kept);
    assert_eq!(data_among(&lab.actions()), [(one.channel, "b".into())]);

    // One that keeps its element, and calls others for copies.
    let (mut lab, _, session, _) = Lab::in_session(config, SessionOptions::default(), &three());
    lab.pu.session_mut(lab.now, session).unwrap().send("all", to(Recipient::All)).unwrap();
    send(&mut lab, session, "waits", Failover::Unsent);
    assert_eq!(opens_among(&lab.actions()).len(), 2);
    lab.wait_until(lab.now + secs(4));
    assert!(lab.events().is_empty());
}

/// [SESSION-2]: the time for which one session looked in vain does not count for the messages of
/// another.
#[test]
fn time_of_one_session_is_not_that_of_another() {
    let mut config = config(&[REGISTRAR]);
    config.confirm(Confirms::Written);
    config.limits.window_messages = 1;
    let (mut lab, home, session, one) =
        Lab::in_session(config, SessionOptions::default(), &three());
    lab.wait_until(lab.now + secs(20));
    lab.pu.open_session(lab.now, "nowhere", SessionOptions::default()).unwrap();
    assert_eq!(lab.requests(), [(home, "nowhere".into())]);
    lab.receive(home, &refusal("nowhere", CauseCode::UNKNOWN_POOL_HANDLE));
    assert!(matches!(lab.event(), Event::SessionEnded { .. }));
    send(&mut lab, session, "out", Failover::Undelivered);
    send(&mut lab, session, "waits", Failover::Undelivered);
    assert_eq!(lab.data().len(), 1);
    lab.wait_until(lab.now + secs(100));
    fail_over(&mut lab, &one);
    let events = lab.events();
    assert!(
        matches!(events[..], [Event::ElementLost { .. }, Event::FailedOver { .. }]),
        "{events:?}"
    );
}

/// [SESSION-7]: a cookie may be as long as the limit says.
#[test]
fn a_cookie_may_be_as_long_as_the_limit() {
    let mut config = config(&[REGISTRAR]);
    config.limits.max_cookie_len = 3;
    let (mut lab, _, session, _) = Lab::in_session(config, SessionOptions::default(), &three());
    let mut session = lab.pu.session_mut(lab.now, session).unwrap();
    session.set_cookie(Some("abc".into())).unwrap();
    assert!(session.set_cookie(Some("abcd".into())).is_err());
}

/// [SESSION-15]: what is written leaves its bytes to the next in the window.
#[test]
fn written_bytes_leave_the_window() {
    let mut config = config(&[REGISTRAR]);
    config.confirm(Confirms::Written);
    config.limits.window_bytes = 4;
    let (mut lab, _, session, element) =
        Lab::in_session(config, SessionOptions::default(), &three());
    let first = send(&mut lab, session, "aa", Failover::Unsent);
    for data in ["bb", "cc", "dd"] {
        send(&mut lab, session, data, Failover::Unsent);
    }
    assert_eq!(lab.data().len(), 2);
    lab.pu.handle_written(lab.now, element.channel, first);
    assert_eq!(lab.data(), [(element.channel, "cc".into())]);
}

/// Decisions 13, 30: an element that was chosen although it is marked, as there is no other, is marked
/// no longer when its channel has lasted.
#[test]
fn a_channel_that_lasts_ends_the_mark() {
    let (mut lab, home) = Lab::at_home();
    let session = lab.pu.open_session(lab.now, POOL, choosing()).unwrap();
    lab.actions();
    lab.answer(home, POOL, &[element(1)]);
    let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
    lab.pu.pool_mut(lab.now, pool).unwrap().select(&[]).unwrap();
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(1)).unwrap();
    lab.actions();
    send(&mut lab, session, "work", Failover::Unsent);
    let [one] = settle(&mut lab).try_into().unwrap();
    assert_eq!(one.to, "10.0.0.1:7".parse().unwrap());
    assert!(lab.pu.pool(pool).unwrap().is_marked(lab.now, id(1)));
    lab.wait_until(lab.now + secs(11));
    assert!(!lab.pu.pool(pool).unwrap().is_marked(lab.now, id(1)));
}

/// [SESSION-21]: who is called when two elements are lost in turn hears the cookie of the latest.
#[test]
fn the_latest_cookie_goes_to_whoever_is_called() {
    let (mut lab, _, session) = choosing_lab(mapped());
    let two = ["one", "two"].map(|data| {
        send(&mut lab, session, data, Failover::Undelivered);
        let [open] = settle(&mut lab).try_into().unwrap();
        open
    });
    lab.actions();
    lab.events();
    for (open, cookie) in two.iter().zip(["first", "second"]) {
        lab.receive(open.channel, &Message::cookie(cookie));
    }
    let mut called = vec![];
    for open in &two {
        lab.fail(open.channel);
        lab.events();
        called.extend(opens_among(&lab.actions()));
    }
    let [third] = called.try_into().unwrap();
    lab.up(third.channel);
    let heard = lab.actions().into_iter().find(|action| {
        matches!(action, Action::Send { payload: Payload::Control(_), channel, .. } if *channel == third.channel)
    });
    assert_eq!(control(heard.unwrap()).1, Message::cookie_echo("second"));
}

/// [SESSION-4]: no failover is put off on account of first connections, of elements that close, or
/// of moves.
#[test]
fn only_failovers_count_as_such() {
    let mut config = config(&[REGISTRAR]);
    config.sessions.failover_burst = 0;
    let (mut lab, home) = Lab::at_home_with(config);
    let session = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    lab.actions();
    lab.answer(home, POOL, &three());
    let one = lab.open_one();
    lab.fail(one.channel);
    let [two] = opens_among(&lab.actions()).try_into().unwrap();
    lab.up(two.channel);
    lab.events();
    lab.pu.session_mut(lab.now, session).unwrap().move_to(Some(id(3))).unwrap();
    let [three] = opens_among(&lab.actions()).try_into().unwrap();
    lab.up(three.channel);
    lab.events();
    lab.pu.handle_closed(lab.now, three.channel, CloseReason::Closed);
    lab.events();
    send(&mut lab, session, "work", Failover::Unsent);
    let [three] = opens_among(&lab.actions()).try_into().unwrap();
    assert_eq!(lab.pu.stats().failovers_spread, 0);
    lab.up(three.channel);
    lab.events();
    lab.actions();
    lab.fail(three.channel);
    assert_eq!((opens_among(&lab.actions()).len(), lab.pu.stats().failovers_spread), (0, 1));
}

/// [SESSION-18]: an element that has served ends the search that led to it, so those that failed
/// before it may be turned to again at once.
#[test]
fn an_element_that_serves_ends_the_search() {
    let (mut lab, _, session, mut element) =
        Lab::in_session(config(&[REGISTRAR]), SessionOptions::default(), &three());
    for _ in 0..5 {
        element = fail_over(&mut lab, &element);
        lab.events();
        send(&mut lab, session, "work", Failover::Unsent);
        assert_eq!(data_among(&lab.actions()).len(), 1);
        lab.pu.handle_data(lab.now, element.channel, b"an answer");
        lab.events();
    }
}

/// [SESSION-16]: the echo of a cookie is for those who were called.
#[test]
fn a_cookie_echo_from_an_element_is_unexpected() {
    let (mut lab, _, _, element) = Lab::in_session(mapped(), SessionOptions::default(), &three());
    let before = lab.pu.stats().unexpected_messages;
    lab.receive(element.channel, &Message::cookie_echo("state"));
    assert_eq!(lab.pu.stats().unexpected_messages, before + 1);
    assert!(lab.events().is_empty());
}

/// Decision 30: what proves that an element serves: that a message is delivered, be it a copy, or
/// something that is heard after one is done.
#[test]
fn what_proves_an_element() {
    #[derive(Debug, Clone, Copy)]
    enum Heard {
        Written,
        Delivered,
        Unsent,
        Data,
    }
    use Heard::*;
    let proves = |confirms, options: SendOptions, words: &[Heard]| {
        let mut config = config(&[REGISTRAR]);
        config.confirm(confirms);
        let (mut lab, home) = Lab::at_home_with(config);
        let session = lab.pu.open_session(lab.now, POOL, choosing()).unwrap();
        lab.actions();
        lab.answer(home, POOL, &[element(1)]);
        let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
        lab.pu.pool_mut(lab.now, pool).unwrap().select(&[]).unwrap();
        lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(1)).unwrap();
        lab.actions();
        let message = lab.pu.session_mut(lab.now, session).unwrap().send("a", options).unwrap();
        let [one] = settle(&mut lab).try_into().unwrap();
        lab.actions();
        for word in words {
            match word {
                Written => lab.pu.handle_written(lab.now, one.channel, message),
                Delivered => lab.pu.handle_delivered(lab.now, one.channel, message),
                Unsent => lab.pu.handle_unsent(lab.now, one.channel, message),
                Data => lab.pu.handle_data(lab.now, one.channel, b"1"),
            }
        }
        !lab.pu.pool(pool).unwrap().is_marked(lab.now, id(1))
    };
    let one = || SendOptions::from(Failover::Unsent);
    let all = || to(Recipient::All);
    assert!(proves(Confirms::Delivered, one(), &[Delivered]));
    assert!(proves(Confirms::Delivered, all(), &[Delivered]));
    assert!(!proves(Confirms::Delivered, Failover::Unconfirmed.into(), &[Delivered, Data]));
    assert!(!proves(Confirms::Delivered, all(), &[Written, Data]));
    assert!(!proves(Confirms::Delivered, all(), &[Unsent, Data]));
    assert!(!proves(Confirms::Written, one(), &[Written]));
    assert!(proves(Confirms::Written, one(), &[Written, Data]));
    assert!(!proves(Confirms::Written, one(), &[Data]));
}

/// [SESSION-17]: what a driver tells of a message on a channel that it is not on any more is not
/// heard.
#[test]
fn words_count_on_the_channel_of_the_message() {
    let mut config = config(&[REGISTRAR]);
    config.confirm(Confirms::Delivered);
    let (mut lab, _, session) = choosing_lab(config);
    let message = send(&mut lab, session, "work", Failover::Unsent);
    let [one] = settle(&mut lab).try_into().unwrap();
    lab.data();
    lab.pu.handle_unsent(lab.now, one.channel, message);
    let [two] = settle(&mut lab).try_into().unwrap();
    assert_eq!(lab.data().len(), 1);
    lab.pu.handle_delivered(lab.now, one.channel, message);
    assert_eq!(lab.pu.stats().misuses, 1);
    assert_eq!(lab.pu.session(session).unwrap().unconfirmed(), 1);
    lab.pu.handle_delivered(lab.now, two.channel, message);
    assert_eq!(lab.pu.session(session).unwrap().unconfirmed(), 0);
}

/// [SESSION-17]: a driver is mistaken that tells of a message which waits, or twice that one was
/// delivered.
#[test]
fn mistaken_words_are_counted() {
    let mut config = config(&[REGISTRAR]);
    config.confirm(Confirms::Delivered);
    let (mut lab, _, session, element) =
        Lab::in_session(config, SessionOptions::default(), &three());
    let message = send(&mut lab, session, "work", Failover::Unconfirmed);
    lab.pu.handle_delivered(lab.now, element.channel, message);
    assert_eq!(lab.pu.stats().misuses, 1, "it waits");
    lab.data();
    lab.pu.handle_delivered(lab.now, element.channel, message);
    lab.pu.handle_written(lab.now, element.channel, message);
    assert_eq!(lab.pu.stats().misuses, 1);
    lab.pu.handle_delivered(lab.now, element.channel, message);
    assert_eq!(lab.pu.stats().misuses, 2, "twice");
}

/// [SESSION-4] [SESSION-18]: a message finds no element in as many rounds as there may be, and comes
/// back.
#[test]
fn a_message_is_given_up_after_the_last_round() {
    let mut config = config(&[REGISTRAR]);
    config.sessions.max_rounds = 1;
    let (mut lab, _, session) = choosing_lab(config);
    send(&mut lab, session, "work", Failover::Undelivered);
    for _ in 0..3 {
        let [open] = opens_among(&lab.actions()).try_into().unwrap();
        lab.fail(open.channel);
    }
    let events = lab.events();
    let is_it = |event: &Event| {
        matches!(event, Event::Returned { reason: UndeliveredReason::AllElementsFailed, .. })
    };
    assert!(events.iter().any(is_it), "{events:?}");
}

/// [SESSION-15]: room is told of when there is more than at the refusal, be it for empty messages,
/// and not when there is less.
#[test]
fn room_is_told_when_there_is_more() {
    let mut config = config(&[REGISTRAR]);
    config.limits.max_queued_messages = 4;
    config.limits.max_queued_bytes = 10;
    let (mut lab, _, session, _) = Lab::in_session(config, SessionOptions::default(), &three());
    let refused = |lab: &mut Lab, data: &'static str| {
        lab.pu.session_mut(lab.now, session).unwrap().send(data, Failover::Unsent).is_err()
    };
    (0..4).for_each(|_| _ = send(&mut lab, session, "", Failover::Unsent));
    assert!(refused(&mut lab, ""));
    assert_eq!(lab.data().len(), 4);
    assert!(matches!(lab.event(), Event::Writable { .. }));

    send(&mut lab, session, "a", Failover::Unsent);
    assert!(refused(&mut lab, "a long one"));
    send(&mut lab, session, "b", Failover::Unsent);
    assert!(lab.events().is_empty(), "there is less");
    assert_eq!(lab.data().len(), 2);
    assert!(matches!(lab.event(), Event::Writable { .. }));
}

/// [SESSION-6]: over SCTP it is the element that says whether there is a control channel. Where it has
/// none and sends control messages all the same, that is no mistake of the driver.
#[test]
fn control_that_an_element_has_not_promised_is_no_misuse() {
    let mut plain = element(1);
    plain.transport = Transport::sctp(7, TransportUse::DATA_ONLY, ["10.0.0.1".parse().unwrap()]);
    let (mut lab, _, _, one) =
        Lab::in_session(config(&[REGISTRAR]), SessionOptions::default(), &[plain]);
    lab.receive(one.channel, &Message::cookie("state"));
    let stats = lab.pu.stats();
    assert_eq!((stats.unexpected_messages, stats.misuses, stats.cookies), (1, 0, 0));
}
