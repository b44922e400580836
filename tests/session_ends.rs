//! What the end of a channel means: who is to blame, and who is called next (RFC 5352 §3.5, §6.9).

mod lab;

use asap_pu::wire::{Message, Protocol};
use asap_pu::{
    Action, CloseReason, CommandError, Confirms, Event, Failover, LossReason, Recipient,
    SessionError, SessionOptions,
};
use lab::*;

fn end(lab: &mut Lab, channel: asap_pu::ChannelId, reason: CloseReason) {
    lab.pu.handle_closed(lab.now, channel, reason);
}

/// The reason of the one loss among events.
fn reason(events: &[Event]) -> LossReason {
    let mut reasons = events.iter().filter_map(|event| match event {
        Event::ElementLost { reason, .. } => Some(*reason),
        _ => None,
    });
    let reason = reasons.next().expect("a loss");
    assert_eq!(reasons.next(), None);
    reason
}

/// [REPORT-7]: an element that closes an idle channel in good order is neither marked nor reported.
/// The session rests: it calls nobody and never ends by itself. When there is something to be sent,
/// it turns to the same element first, with the cookie ahead.
#[test]
fn an_idle_channel_that_is_closed_is_no_failure() {
    let (mut lab, _, session, one) = Lab::in_session(mapped(), Default::default(), &three());
    send(&mut lab, session, "hello", Failover::Unsent);
    assert_eq!(lab.data().len(), 1);
    lab.receive(one.channel, &Message::cookie("state"));
    lab.pu.handle_data(lab.now, one.channel, b"bye");
    end(&mut lab, one.channel, CloseReason::Closed);
    assert_eq!(lab.actions(), [], "no report, no call");
    let events = lab.events();
    assert!(matches!(events[0], Event::Received { .. }), "what came first is read first");
    assert_eq!((events.len(), reason(&events)), (2, LossReason::Closed));
    lab.secs(1_000_000);
    lab.pu.handle_timeout(lab.now);
    assert_eq!((lab.actions(), lab.events(), lab.pu.poll_timeout()), (vec![], vec![], None));
    let stats = lab.pu.stats();
    assert_eq!((stats.failures, stats.failovers, stats.channels_closed), (0, 0, 1));

    send(&mut lab, session, "once more", Failover::Never);
    let again = opens_among(&lab.actions()).remove(0);
    assert_eq!(again.to, one.to);
    lab.up(again.channel);
    assert_eq!(lab.controls(), [(again.channel, Message::cookie_echo("state"))]);
    let told = lab.event();
    let Event::FailedOver { from, to, cookie_echoed: true, .. } = told else { panic!("{told:?}") };
    assert_eq!((from, to), (Some(id(1)), id(1)));
    assert_eq!(lab.data(), [(again.channel, "once more".into())]);
    assert_eq!(lab.pu.stats().failovers, 0);
}

/// [REPORT-7] [SESSION-18]: where something is left to be sent the same element is called again at
/// once, once; after the second close in good order the next one. Nobody is marked.
#[test]
fn who_closes_with_work_left_is_called_once_more() {
    let (mut lab, home) = Lab::at_home();
    let session = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    send(&mut lab, session, "work", Failover::Unsent);
    lab.actions();
    lab.answer(home, POOL, &three());
    let mut called = Vec::new();
    for _ in 0..3 {
        let open = lab.open_one();
        called.push(open.to.ip().to_string());
        lab.up(open.channel);
        end(&mut lab, open.channel, CloseReason::Closed);
    }
    assert_eq!(called, ["10.0.0.1", "10.0.0.1", "10.0.0.2"]);
    assert_eq!((lab.pu.stats().failures, lab.pu.stats().reports_sent), (0, 0));
    assert!(lab.actions().is_empty() && lab.pu.poll_timeout().is_some(), "now it pauses");
}

/// [REPORT-7]: a process that died and left its channel closed refuses the next call, which is the
/// failure.
#[test]
fn who_closed_and_refuses_has_failed() {
    let (mut lab, home, session, one) =
        Lab::in_session(config(&[REGISTRAR]), Default::default(), &three());
    end(&mut lab, one.channel, CloseReason::Closed);
    send(&mut lab, session, "x", Failover::Unsent);
    let again = lab.open_one();
    lab.fail(again.channel);
    let actions = lab.actions();
    assert_eq!(opens_among(&actions)[0].to, "10.0.0.2:7".parse().unwrap());
    let report = control(actions.last().unwrap().clone());
    assert_eq!(report, (home, Message::endpoint_unreachable(POOL, id(1))));
}

/// [REPORT-9]: trouble of the driver's own blames nobody: no mark, no report. The same element may
/// be tried again, after a pause, which grows.
#[test]
fn nobody_is_blamed_for_trouble_of_the_drivers_own() {
    let (mut lab, home) = Lab::at_home();
    let session = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    send(&mut lab, session, "x", Failover::Unsent);
    lab.actions();
    lab.answer(home, POOL, &[element(1)]);
    let mut pauses = Vec::new();
    let began = lab.now;
    loop {
        let open = lab.open_one();
        end(&mut lab, open.channel, CloseReason::Local);
        assert_eq!(lab.actions(), [], "no report, and no call at once");
        pauses.push(lab.wait());
        if lab.now - began >= secs(60) {
            break;
        }
    }
    for pair in pauses[..5].windows(2) {
        assert!(pair[1] > pair[0], "{pauses:?}");
    }
    let events = lab.events();
    let [Event::Returned { .. }, Event::SessionEnded { error, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(*error, Some(SessionError::DeadlineReached));
    let stats = lab.pu.stats();
    assert_eq!((stats.failures, stats.local_failures as usize), (0, pauses.len()));
}

/// [REPORT-9]: `connect_timeout` runs from the moment when the driver polled the `Open`.
#[test]
fn nobody_is_blamed_for_a_driver_that_stalls() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    lab.requests();
    lab.answer(home, POOL, &three());
    lab.secs(30);
    lab.pu.handle_timeout(lab.now);
    lab.open_one();
    assert_eq!((lab.pu.stats().failures, lab.wait()), (0, secs(5)));
    assert_eq!(lab.pu.stats().failures, 1);
}

/// [SESSION-17]: each loss tells why.
#[test]
fn a_loss_has_a_reason() {
    let ends = [
        (CloseReason::Failed, LossReason::Broken),
        (CloseReason::Closed, LossReason::Closed),
        (CloseReason::Unauthenticated, LossReason::Unauthenticated),
        (CloseReason::Local, LossReason::Local),
    ];
    for (close, expected) in ends {
        for options in [SessionOptions::default(), choosing()] {
            let (mut lab, home) = Lab::at_home();
            let session = lab.pu.open_session(lab.now, POOL, options).unwrap();
            send(&mut lab, session, "x", Failover::Unsent);
            lab.actions();
            lab.answer(home, POOL, &three());
            let one = lab.open_one();
            lab.up(one.channel);
            lab.actions();
            end(&mut lab, one.channel, close);
            assert_eq!(reason(&lab.events()), expected);
        }
    }
    let (mut lab, _, session, _) = Lab::in_session(mapped(), Default::default(), &three());
    lab.pu.session_mut(lab.now, session).unwrap().give_up().unwrap();
    assert_eq!(reason(&lab.events()), LossReason::GivenUp);
    for (close, expected) in
        [(CloseReason::Failed, LossReason::Refused), (CloseReason::Closed, LossReason::Closed)]
    {
        let (mut lab, _) = Lab::at_home();
        let to = element(1).transport;
        lab.pu.open_session_at(lab.now, to, SessionOptions::default()).unwrap();
        let open = lab.open_one();
        end(&mut lab, open.channel, close);
        let Event::SessionEnded { error, .. } = lab.event() else { panic!() };
        assert_eq!(error, Some(SessionError::ChannelLost(expected)));
    }
}

/// [SESSION-22]: one word of the application about an element counts for all sessions that use it,
/// whatever kind they are, and is one report.
#[test]
fn one_word_counts_for_all_sessions() {
    let (mut lab, home) = Lab::at_home();
    let on = |lab: &mut Lab, n, mut options: SessionOptions| {
        options.element = Some(id(n));
        let session = lab.pu.open_session(lab.now, POOL, options).unwrap();
        send(lab, session, "x", Failover::Undelivered);
        session
    };
    let sessions = [
        on(&mut lab, 1, SessionOptions::default()),
        on(&mut lab, 1, SessionOptions::default()),
        on(&mut lab, 1, choosing()),
        on(&mut lab, 2, SessionOptions::default()),
    ];
    lab.actions();
    lab.answer(home, POOL, &three());
    let opens = lab.opens();
    opens.iter().for_each(|open| lab.up(open.channel));
    assert_eq!(lab.data().len(), 4);
    lab.events();
    let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
    assert_eq!(
        lab.pu.pool_mut(lab.now, pool).unwrap().fail_element(id(3)),
        Err(CommandError::NeverUsed)
    );
    lab.pu.pool_mut(lab.now, pool).unwrap().fail_element(id(1)).unwrap();
    let actions = lab.actions();
    let closed = actions.iter().filter(|action| matches!(action, Action::Close { .. })).count();
    assert_eq!((closed, opens_among(&actions).len()), (3, 2));
    let lost = lab.events().into_iter().map(|event| match event {
        Event::ElementLost { session, reason: LossReason::GivenUp, .. } => session,
        other => panic!("{other:?}"),
    });
    assert_eq!(lost.collect::<Vec<_>>(), sessions[..3]);
    assert_eq!((lab.pu.stats().failures, lab.pu.stats().reports_sent), (1, 1));
    assert_eq!(lab.pu.session(sessions[3]).and_then(|session| session.element()), Some(id(2)));
}

/// [SESSION-11] [SESSION-18]: an element named by its identifier is looked for in a fresh list before
/// it is passed over, and is not waited for longer than an element has to come up.
#[test]
fn a_named_element_is_looked_for_in_a_fresh_list() {
    for comes in [true, false] {
        let (mut lab, home) = Lab::at_home();
        lab.pool(home, &[element(1)]);
        lab.secs(31);
        let mut options = SessionOptions::default();
        options.element = Some(id(2));
        lab.pu.open_session(lab.now, POOL, options).unwrap();
        assert_eq!(lab.requests(), [(home, POOL.into())], "and nobody is called");
        if comes {
            lab.answer(home, POOL, &[element(1), element(2)]);
        } else {
            assert_eq!(lab.wait(), secs(5));
        }
        let expected = if comes { "10.0.0.2:7" } else { "10.0.0.1:7" };
        assert_eq!(lab.open_one().to, expected.parse().unwrap());
    }
}

/// [SESSION-14]: a session is not moved to an element that the driver cannot speak to.
#[test]
fn nobody_moves_to_whom_the_driver_cannot_speak_to() {
    let mut udp = element(2);
    udp.transport = asap_pu::wire::Transport::udp("10.0.0.2:7".parse().unwrap());
    let (mut lab, _, session, _) =
        Lab::in_session(mapped(), SessionOptions::default(), &[element(1), udp, element(3)]);
    let refused = lab.pu.session_mut(lab.now, session).unwrap().move_to(Some(id(2)));
    assert_eq!(refused, Err(CommandError::UnusableTransport));
    assert_eq!((lab.actions(), lab.events()), (vec![], vec![]));
}

/// [SESSION-18]: elements that accept a channel and break it off, over and over, are called less and
/// less often; without a message that waits there is no deadline.
#[test]
fn elements_that_break_off_are_called_less_and_less() {
    for options in [SessionOptions::default(), choosing()] {
        let (mut lab, home) = Lab::at_home();
        let session = lab.pu.open_session(lab.now, POOL, options).unwrap();
        lab.actions();
        lab.answer(home, POOL, &three());
        let (mut opens, mut reports) = (0, 0);
        let end = lab.now + secs(600);
        while lab.now < end {
            let actions = lab.actions();
            for open in opens_among(&actions) {
                opens += 1;
                lab.up(open.channel);
                lab.fail(open.channel);
            }
            for action in &actions {
                if let Action::Send { channel, .. } = action {
                    if control(action.clone()).1
                        == Message::handle_resolution(false, POOL, Some(128))
                    {
                        lab.answer(*channel, POOL, &three());
                    } else {
                        reports += 1;
                    }
                }
            }
            for event in lab.events() {
                assert!(!matches!(event, Event::SessionEnded { .. }), "{event:?}");
                if let (Event::ElementLost { .. }, true) = (event, options.choose_per_message) {
                    send(&mut lab, session, "again", Failover::Never);
                }
            }
            match lab.pu.poll_timeout() {
                Some(_) => drop(lab.wait()),
                None => break,
            }
        }
        assert!(opens < 40, "in ten minutes {opens} calls");
        assert!(reports <= 30, "at most one for each mark: {reports}");
    }
}

/// [SESSION-18] [SESSION-4]: a message that waits while elements come up and end has a deadline, in
/// every kind of session; the time in which a channel was up does not count.
#[test]
fn a_message_waits_no_longer_than_the_deadline_in_all() {
    for close in [CloseReason::Failed, CloseReason::Closed] {
        for hold in [false, true] {
            for choose in [false, true] {
                let mut options = SessionOptions::default();
                (options.hold_after_failover, options.choose_per_message) = (hold, choose);
                let (mut lab, home) = Lab::at_home();
                let session = lab.pu.open_session(lab.now, POOL, options).unwrap();
                lab.actions();
                lab.answer(home, POOL, &three());
                let message = send(&mut lab, session, "x", Failover::Unsent);
                let (began, mut calls) = (lab.now, 0);
                let waited = 'waits: loop {
                    let actions = lab.actions();
                    for open in opens_among(&actions) {
                        calls += 1;
                        lab.up(open.channel);
                        end(&mut lab, open.channel, close);
                    }
                    for (channel, request) in actions
                        .iter()
                        .filter(|a| matches!(a, Action::Send { .. }))
                        .cloned()
                        .map(control)
                    {
                        if request == Message::handle_resolution(false, POOL, Some(128)) {
                            lab.answer(channel, POOL, &three());
                        }
                    }
                    for event in lab.events() {
                        if matches!(event, Event::Returned { message: it, .. } if it == message) {
                            break 'waits lab.now - began;
                        }
                        let _ = lab.pu.session_mut(lab.now, session).unwrap().resume();
                    }
                    lab.wait();
                };
                assert_eq!(waited, secs(60), "hold {hold}, choose {choose}");
                assert!((5..12).contains(&calls), "{calls} calls, {options:?} {close:?}");
            }
        }
    }
}

/// [SESSION-16] [SESSION-15]: what the driver tells of messages counts on channels that a peer has
/// opened too.
#[test]
fn confirmations_count_on_accepted_channels() {
    let mut config = mapped();
    config.confirm(Confirms::Delivered);
    let (mut lab, _) = Lab::at_home_with(config);
    let options = SessionOptions::default();
    let (session, channel) = lab.pu.accept(lab.now, Protocol::Tcp, true, options).unwrap();
    let ids = ["a", "b"].map(|data| send(&mut lab, session, data, Failover::Never));
    assert_eq!(lab.data().len(), 2);
    lab.pu.handle_delivered(lab.now, channel, ids[0]);
    lab.pu.handle_unsent(lab.now, channel, ids[1]);
    assert_eq!(lab.pu.stats().unknown_confirmations, 0);
    let back = lab.event();
    assert!(matches!(back, Event::Returned { message, .. } if message == ids[1]), "{back:?}");
}

/// [SESSION-7] [SESSION-21]: in a session that chooses, the cookie of the element that was lost goes to
/// whoever takes over, also if that has sent one itself, and where nothing waited at the loss.
#[test]
fn the_cookie_goes_to_whoever_takes_over() {
    let (mut lab, _, session) = choosing_lab(mapped());
    send(&mut lab, session, "a", Failover::Unsent);
    send(&mut lab, session, "b", Failover::Unsent);
    let [one, two] = settle(&mut lab).try_into().unwrap();
    lab.actions();
    lab.receive(one.channel, &Message::cookie("of one"));
    lab.receive(two.channel, &Message::cookie("of two"));
    lab.fail(one.channel);
    lab.actions();
    lab.events();
    lab.pu.session_mut(lab.now, session).unwrap().send("c", to(Recipient::SameAsLast)).unwrap();
    let mut actions = lab.actions();
    let echo = (two.channel, Message::cookie_echo("of one"));
    assert_eq!(control(actions.remove(0)), echo);
    assert_eq!(data(actions.remove(0)), (two.channel, "c".into()));
    lab.fail(two.channel);
    lab.actions();
    lab.events();
    lab.secs(1);
    send(&mut lab, session, "d", Failover::Unsent);
    let three = opens_among(&lab.actions()).remove(0);
    lab.up(three.channel);
    let first = control(lab.pu.poll_action().unwrap());
    assert_eq!(first, (three.channel, Message::cookie_echo("of two")));
}

/// Element identifier 0 is an ordinary value.
#[test]
fn an_element_may_be_called_zero() {
    let (mut lab, _, session, zero) =
        Lab::in_session(mapped(), Default::default(), &[element(0), element(1)]);
    lab.pu.handle_data(lab.now, zero.channel, b"x");
    let Event::Received { element, .. } = lab.event() else { panic!() };
    assert_eq!(
        (element, lab.pu.session(session).and_then(|session| session.element())),
        (Some(id(0)), Some(id(0)))
    );
    lab.fail(zero.channel);
    let Event::ElementLost { element, .. } = lab.event() else { panic!() };
    assert_eq!(element, Some(id(0)));
}
