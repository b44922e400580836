//! Sessions: queue, connect, send, cookie, failover (RFC 5352 §3.8, §6.5; RFC 5351 §4.2).

mod lab;

use asap_pu::wire::{CauseCode, Message};
use asap_pu::{
    Action, CloseReason, CommandError, Event, Failover, HomeSearch, Payload, ResolveError,
    SendErrorReason, SendOptions, SessionError, SessionOptions,
};
use bytes::Bytes;
use lab::*;

/// [SESSION-1] [SESSION-2]: messages sent while resolving and connecting leave in order when the channel is up.
#[test]
fn what_is_sent_early_leaves_in_order() {
    let mut lab = Lab::knowing(&[REGISTRAR]);
    let session = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    send(&mut lab, session, "one", Failover::Unsent);
    let registrar = lab.open_one();
    lab.up(registrar.channel);
    lab.actions();
    send(&mut lab, session, "two", Failover::Unsent);
    lab.answer(registrar.channel, POOL, &three());
    let element = lab.open_one();
    send(&mut lab, session, "three", Failover::Unsent);
    assert!(lab.actions().is_empty(), "the channel is not up");
    assert_eq!(lab.pu.session(session).map(|session| session.queued()), Some(3));
    lab.up(element.channel);
    let sent: Vec<_> = lab.data();
    assert_eq!(sent, ["one", "two", "three"].map(|data| (element.channel, data.into())));
    assert_eq!(lab.pu.session(session).and_then(|session| session.element()), Some(id(1)));
    assert_eq!(lab.pu.poll_timeout(), None);
}

/// [SESSION-2]: a full queue gives the message back.
#[test]
fn a_full_queue_gives_back() {
    let mut config = config(&[REGISTRAR]);
    (config.limits.max_queued_messages, config.limits.max_queued_bytes) = (3, 10);
    let mut lab = Lab::new(config);
    let session = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    let mut push = |data: &'static str| {
        lab.pu.session_mut(lab.now, session).unwrap().send(data, SendOptions::default())
    };
    push("12345").unwrap();
    let refused = push("123456").unwrap_err();
    assert!(is_full(&refused) && refused.data == "123456");
    push("").unwrap();
    push("").unwrap();
    assert!(is_full(&push("").unwrap_err()));
}

/// [SESSION-12]: data is delivered with its session and element; data on unknown channels is dropped.
#[test]
fn data_is_delivered_with_its_element() {
    let (mut lab, home, session, element) = Lab::in_session(mapped(), Default::default(), &three());
    lab.pu.handle_data(lab.now, element.channel, b"answer");
    let Event::Received { session: of, element: from, data, .. } = lab.event() else { panic!() };
    assert_eq!((of, from, &data[..]), (session, Some(id(1)), &b"answer"[..]));
    lab.pu.handle_data(lab.now, home, b"?");
    lab.fail(element.channel);
    lab.pu.handle_data(lab.now, element.channel, b"?");
    assert_eq!((lab.pu.stats().unexpected_messages, lab.pu.stats().unknown_channels), (1, 1));
}

/// [SESSION-3] [SESSION-7] [SESSION-10] [REPORT-1]: the whole story of a failover. The element is reported, another one
/// is selected, the latest cookie is the first thing it hears, the application is told, and then
/// data flows.
#[test]
fn a_failover_from_loss_to_resent_data() {
    let (mut lab, home, session, first) = Lab::in_session(mapped(), Default::default(), &three());
    for cookie in ["old", "new"] {
        lab.receive(first.channel, &Message::cookie(cookie));
    }
    assert_eq!(
        lab.pu.session(session).and_then(|session| session.cookie()),
        Some(&Bytes::from("new"))
    );
    send(&mut lab, session, "at most once", Failover::Unsent);
    send(&mut lab, session, "at least once", Failover::Undelivered);
    let confirmed = send(&mut lab, session, "confirmed", Failover::Undelivered);
    assert_eq!(lab.data().len(), 3);
    lab.pu.handle_delivered(lab.now, first.channel, confirmed);
    lab.fail(first.channel);

    send(&mut lab, session, "later", Failover::Unsent);
    let actions = lab.actions();
    let second = opened(actions[0].clone());
    assert_eq!(control(actions[1].clone()), (home, Message::endpoint_unreachable(POOL, id(1))));
    assert_eq!((actions.len(), second.to), (2, "10.0.0.2:7".parse().unwrap()));
    let Event::ElementLost { element, .. } = lab.event() else { panic!() };
    assert_eq!(element, Some(id(1)));

    lab.up(second.channel);
    assert_eq!(lab.controls(), [(second.channel, Message::cookie_echo("new"))], "and no data");
    let event = lab.event();
    let Event::FailedOver { from, to, cookie_echoed: true, .. } = event else {
        panic!("{event:?}")
    };
    assert_eq!((from, to), (Some(id(1)), id(2)));
    let sent = lab.data();
    assert_eq!(sent, ["at least once", "later"].map(|data| (second.channel, data.into())));
    let stats = lab.pu.stats();
    assert_eq!((stats.failovers, stats.messages_resent, stats.reports_sent), (1, 1, 1));
}

/// [SESSION-10]: an application that asked for it holds data back until its own recovery is done.
#[test]
fn data_can_be_held_back_after_a_failover() {
    let mut options = SessionOptions::default();
    options.hold_after_failover = true;
    let (mut lab, _, session, first) = Lab::in_session(mapped(), options, &three());
    send(&mut lab, session, "first", Failover::Unsent);
    assert_eq!(lab.data().len(), 1, "nothing is held at first");
    let second = fail_over(&mut lab, &first);
    send(&mut lab, session, "second", Failover::Unsent);
    let told = lab.events();
    assert!(
        matches!(told.last(), Some(Event::FailedOver { cookie_echoed: false, .. })),
        "{told:?}"
    );
    assert!(lab.actions().is_empty());
    lab.pu.session_mut(lab.now, session).unwrap().resume().unwrap();
    assert_eq!(lab.data(), [(second.channel, "second".into())]);
}

/// [SESSION-5]: a message for which failover is forbidden comes back.
#[test]
fn what_must_not_fail_over_comes_back() {
    let (mut lab, _, session, first) = Lab::in_session(mapped(), Default::default(), &three());
    send(&mut lab, session, "stays", Failover::Never);
    send(&mut lab, session, "goes on", Failover::Unsent);
    let second = fail_over(&mut lab, &first);
    let events = lab.events();
    let [Event::ElementLost { .. }, Event::Returned { data, .. }, Event::FailedOver { .. }] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(data, "stays");
    assert_eq!(lab.data(), [(second.channel, "goes on".into())]);
}

/// [SESSION-3]: an element that does not come up in time is reported and left, before and after the first connection.
#[test]
fn an_element_that_does_not_come_up_is_left() {
    let (mut lab, home) = Lab::at_home();
    let session = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    lab.actions();
    lab.answer(home, POOL, &three());
    let first = lab.open_one();
    assert_eq!(lab.wait(), secs(5));
    let actions = lab.actions();
    assert!(matches!(actions[0], Action::Close { channel, .. } if channel == first.channel));
    let mut rest: Vec<_> = actions[1..].to_vec();
    rest.retain(|action| matches!(action, Action::Open { .. }));
    let second = opened(rest.pop().unwrap());
    lab.up(second.channel);
    let event = lab.event();
    let Event::Connected { element, session: of, .. } = event else { panic!("{event:?}") };
    assert_eq!((element, of), (Some(id(2)), session));
}

/// [SESSION-3]: the application's own timeout counts as a failure; the session's element is reported.
#[test]
fn the_application_gives_an_element_up() {
    let (mut lab, home, session, first) = Lab::in_session(mapped(), Default::default(), &three());
    lab.pu.session_mut(lab.now, session).unwrap().give_up().unwrap();
    let actions = lab.actions();
    assert!(matches!(actions[0], Action::Close { channel, .. } if channel == first.channel));
    assert_eq!(control(actions[2].clone()), (home, Message::endpoint_unreachable(POOL, id(1))));
    assert_eq!(opened(actions[1].clone()).to, "10.0.0.2:7".parse().unwrap());
    lab.pu.session_mut(lab.now, session).unwrap().give_up().unwrap();
    lab.pu.session_mut(lab.now, session).unwrap().give_up().unwrap();
    assert_eq!(
        lab.pu.session_mut(lab.now, session).unwrap().give_up(),
        Err(CommandError::NotConnected),
        "it pauses"
    );
}

/// [SESSION-4]: once every element was tried the session pauses, resolves anew, and begins again; pauses grow.
#[test]
fn when_all_fail_it_pauses_and_resolves_anew() {
    let (mut lab, home, _, first) =
        Lab::in_session(mapped(), Default::default(), &[element(1), element(2)]);
    let second = fail_over(&mut lab, &first);
    lab.events();
    lab.fail(second.channel);
    let mut pauses = Vec::new();
    for round in 0..3 {
        let mut open = lab.actions();
        open.retain(|action| matches!(action, Action::Open { .. }));
        for action in open {
            lab.fail(opened(action).channel);
            for action in lab.actions() {
                if let Action::Open { channel, .. } = action {
                    lab.fail(channel);
                }
            }
        }
        pauses.push(lab.wait());
        assert_eq!(lab.requests(), [(home, POOL.into())], "round {round}: fresh or not");
        lab.answer(home, POOL, &[element(1), element(2)]);
    }
    for (pause, nominal) in pauses.iter().zip([1, 2, 4]) {
        assert!(*pause <= secs(nominal) && *pause >= secs(nominal) * 3 / 4, "{pauses:?}");
    }
}

/// [SESSION-4] [SESSION-17]: rounds are bounded by number; then the application gets the reason and every message back,
/// in order; of those that were handed over nobody knows.
#[test]
fn a_session_that_finds_nobody_ends() {
    let mut config = mapped();
    config.sessions.max_rounds = 3;
    let (mut lab, home, session, first) = Lab::in_session(config, Default::default(), &three());
    let ids = ["a", "b", "c"].map(|data| send(&mut lab, session, data, Failover::Undelivered));
    lab.actions();
    send(&mut lab, session, "d", Failover::Unsent);
    lab.fail(first.channel);
    while lab.pu.sessions().count() > 0 && lab.pu.next_timer().is_some() {
        let actions = lab.actions();
        for action in &actions {
            match action {
                Action::Open { channel, .. } => lab.fail(*channel),
                Action::Send { payload: Payload::Control(_), .. } => {
                    lab.answer(home, POOL, &three())
                }
                _ => {}
            }
        }
        if actions.is_empty() {
            lab.wait();
        }
    }
    let events = lab.events();
    let back: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Lost { message, data, .. } => Some((*message, data.clone())),
            Event::Returned { message, data, .. } => {
                assert_eq!(data, "d");
                Some((*message, data.clone()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(back.len(), 4);
    assert!(back.is_sorted_by_key(|(id, _)| *id));
    assert_eq!(back.iter().map(|(id, _)| *id).take(3).collect::<Vec<_>>(), ids);
    let last = events.last().unwrap();
    let Event::SessionEnded { error, .. } = last else { panic!("{last:?}") };
    assert_eq!(*error, Some(SessionError::AllElementsFailed));
    assert_eq!((lab.actions(), lab.pu.poll_timeout()), (vec![], None));
    assert_eq!(
        lab.pu.session_mut(lab.now, session).and_then(|mut session| session.close()),
        Err(CommandError::UnknownSession)
    );
}

/// [SESSION-4]: the search ends at its deadline too.
#[test]
fn a_search_ends_at_its_deadline() {
    let mut config = mapped();
    config.sessions.max_rounds = 1_000;
    let (mut lab, home, _, first) = Lab::in_session(config, Default::default(), &three());
    let began = lab.now;
    lab.fail(first.channel);
    lab.events();
    loop {
        for action in lab.actions() {
            match action {
                Action::Open { channel, .. } => lab.fail(channel),
                Action::Send { payload: Payload::Control(_), .. } => {
                    lab.answer(home, POOL, &three())
                }
                _ => {}
            }
        }
        lab.wait();
        if let Some(event) = lab.pu.poll_event() {
            let Event::SessionEnded { error, .. } = event else { panic!("{event:?}") };
            assert_eq!(error, Some(SessionError::DeadlineReached));
            break;
        }
    }
    assert_eq!(lab.now - began, secs(60));
}

/// [SESSION-4]: a pool that is unknown ends the session with that reason.
#[test]
fn a_session_with_an_unknown_pool_ends() {
    let (mut lab, home) = Lab::at_home();
    let session = lab.pu.open_session(lab.now, "nowhere", SessionOptions::default()).unwrap();
    send(&mut lab, session, "hello", Failover::Unsent);
    lab.actions();
    lab.receive(home, &refusal("nowhere", CauseCode::UNKNOWN_POOL_HANDLE));
    let events = lab.events();
    let [Event::Returned { .. }, Event::SessionEnded { error, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(*error, Some(SessionError::Unresolved(ResolveError::UnknownPoolHandle)));
}

/// [SESSION-6]: without a control channel no cookie is taken and none is echoed.
#[test]
fn a_data_only_transport_has_no_control_channel() {
    let (mut lab, _, session, first) =
        Lab::in_session(config(&[REGISTRAR]), Default::default(), &three());
    lab.receive(first.channel, &Message::cookie("x"));
    assert_eq!(
        (
            lab.pu.session(session).and_then(|session| session.cookie()),
            lab.pu.stats().unexpected_messages
        ),
        (None, 1)
    );
    fail_over(&mut lab, &first);
    assert!(lab.actions().is_empty());
    let told = lab.events();
    assert!(
        matches!(told.last(), Some(Event::FailedOver { cookie_echoed: false, .. })),
        "{told:?}"
    );
}

/// [SESSION-7]: a cookie that is too long clears the former one, and the user is told.
#[test]
fn an_oversized_cookie_clears_the_former() {
    let (mut lab, _, session, first) = Lab::in_session(mapped(), Default::default(), &three());
    lab.receive(first.channel, &Message::cookie("fits"));
    lab.receive(first.channel, &Message::cookie(vec![0; 4_097]));
    assert_eq!(lab.pu.session(session).and_then(|session| session.cookie()), None);
    assert!(matches!(lab.event(), Event::CookieTooLong { .. }));
    assert_eq!((lab.pu.stats().cookies, lab.pu.stats().cookies_too_long), (1, 1));
}

/// [SESSION-13]: closing hands over what is queued first; nothing comes out afterwards.
#[test]
fn closing_drains_the_queue() {
    let (mut lab, _, session, element) = Lab::in_session(mapped(), Default::default(), &three());
    for data in ["one", "two"] {
        send(&mut lab, session, data, Failover::Unsent);
    }
    lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
    let late = lab
        .pu
        .session_mut(lab.now, session)
        .unwrap()
        .send("late", SendOptions::default())
        .unwrap_err();
    assert_eq!(late.reason, SendErrorReason::Closing);
    let actions = lab.actions();
    assert_eq!(data(actions[0].clone()).1, "one");
    assert_eq!(data(actions[1].clone()).1, "two");
    assert!(matches!(actions[2..], [Action::Close { channel, .. }] if channel == element.channel));
    assert!(matches!(lab.event(), Event::SessionEnded { error: None, .. }));
    let gone = lab.pu.session_mut(lab.now, session).err();
    assert_eq!(gone, Some(CommandError::UnknownSession));
}

/// [SESSION-13]: ending at once gives back what was not delivered, and no event speaks of the session.
#[test]
fn aborting_gives_back_at_once() {
    let (mut lab, _, session, element) = Lab::in_session(mapped(), Default::default(), &three());
    lab.pu.handle_data(lab.now, element.channel, b"unread");
    let kept = send(&mut lab, session, "sent", Failover::Undelivered);
    lab.actions();
    let waiting = send(&mut lab, session, "waiting", Failover::Unsent);
    let back = lab.pu.session_mut(lab.now, session).unwrap().abort();
    let back: Vec<_> =
        back.into_iter().map(|back| (back.message, back.data, back.handed_over)).collect();
    let expected = [(kept, "sent".into(), true), (waiting, "waiting".into(), false)];
    assert_eq!(back, expected);
    assert!(matches!(lab.actions()[..], [Action::Close { .. }]));
    assert_eq!((lab.events(), lab.pu.poll_timeout()), (vec![], None));
    assert_eq!(
        lab.pu.session_mut(lab.now, session).map(|session| session.abort()),
        Err(CommandError::UnknownSession)
    );
}

/// [CORE-9]: an application that never reads costs no more than its bound, and hears what it missed.
#[test]
fn unread_data_is_bounded() {
    let mut config = mapped();
    config.limits.max_unread_bytes = 4_000;
    let (mut lab, _, session, element) = Lab::in_session(config, Default::default(), &three());
    for _ in 0..100 {
        lab.pu.handle_data(lab.now, element.channel, &[0; 1_000]);
    }
    let events = lab.events();
    let received = events.iter().filter(|event| matches!(event, Event::Received { .. })).count();
    assert_eq!((received, lab.pu.stats().messages_dropped), (3, 97));
    assert!(events.iter().any(
        |event| matches!(event, Event::Dropped { session: of, messages: 97, .. } if *of == session)
    ));
    lab.pu.handle_data(lab.now, element.channel, &[0; 1_000]);
    assert!(matches!(lab.event(), Event::Received { .. }));
}

/// [REPORT-2] [SESSION-3]: an element noticed by a thousand sessions is reported once. They spread over the others by
/// policy, the first of them at once, and the rest within a second, no two waves at the same
/// instant.
#[test]
fn a_thousand_sessions_lose_one_element() {
    let (mut lab, home) = Lab::at_home();
    for _ in 0..1_000 {
        lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    }
    lab.actions();
    lab.answer(home, POOL, &three());
    let opens = lab.opens();
    assert_eq!(opens.len(), 1_000, "opening is not put off");
    for open in &opens {
        lab.up(open.channel);
    }
    lab.events();
    let dead = "10.0.0.1:7".parse().unwrap();
    let on_it: Vec<_> = opens.iter().filter(|open| open.to == dead).collect();
    assert_eq!(on_it.len(), 334);
    for open in &on_it {
        lab.fail(open.channel);
    }
    let began = lab.now;
    let (mut reports, mut moved, mut waves) = (0, [0; 4], Vec::new());
    loop {
        let mut wave = 0;
        for action in lab.actions() {
            match action {
                Action::Send { .. } => reports += 1,
                open => {
                    let open = opened(open);
                    lab.up(open.channel);
                    wave += 1;
                    match open.to.ip() {
                        core::net::IpAddr::V4(v4) => moved[usize::from(v4.octets()[3])] += 1,
                        v6 => panic!("{v6}"),
                    }
                }
            }
        }
        waves.push(wave);
        if lab.pu.poll_timeout().is_none_or(|at| at > began + secs(5)) {
            break;
        }
        lab.wait();
    }
    assert_eq!((reports, moved), (1, [0, 0, 167, 167]));
    assert_eq!((waves[0], lab.pu.stats().failovers_spread), (64, 270));
    assert!(waves[1..].iter().all(|wave| *wave <= 2), "{waves:?}");
    assert!(lab.now - began <= secs(1) && lab.now - began > secs(1) / 2);
}

/// [CORE-11]: shutting down lets sessions drain, sends what can go, closes everything, and is silent after that.
#[test]
fn shutting_down() {
    let (mut lab, home, session, element) = Lab::in_session(mapped(), Default::default(), &three());
    send(&mut lab, session, "last words", Failover::Unsent);
    lab.pu.shut_down(lab.now);
    let refused = lab.pu.open_session(lab.now, POOL, SessionOptions::default());
    assert_eq!(refused, Err(CommandError::ShuttingDown));
    let actions = lab.actions();
    assert_eq!(data(actions[0].clone()), (element.channel, "last words".into()));
    let closed: Vec<_> = actions[1..]
        .iter()
        .map(|action| match action {
            Action::Close { channel, .. } => *channel,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(closed, [element.channel, home]);
    assert!(matches!(lab.event(), Event::SessionEnded { error: None, .. }));
    lab.pu.handle_closed(lab.now, home, CloseReason::Closed);
    assert_eq!((lab.actions(), lab.events(), lab.pu.poll_timeout()), (vec![], vec![], None));
    assert_eq!(lab.pu.channel_count(), 0);
}

/// [CORE-10]: what the machine knows can be looked at.
#[test]
fn looking_inside() {
    let options = SessionOptions::default();
    let (mut lab, _, session, element) = Lab::in_session(mapped(), options, &three());
    lab.fail(element.channel);
    let [(pool, listed)] = lab.pu.pools().collect::<Vec<_>>()[..] else { panic!() };
    let marks = [1, 2, 3].map(|n| listed.is_marked(lab.now, id(n)));
    assert_eq!((listed.handle().as_bytes(), marks), (POOL.as_bytes(), [true, false, false]));
    assert_eq!(lab.pu.find_pool(POOL.as_bytes()), Some(pool));
    assert_eq!(lab.pu.sessions().collect::<Vec<_>>(), [session]);
    assert_eq!(lab.pu.session(session).and_then(|session| session.handle()), Some(listed.handle()));
    assert_eq!(
        (
            lab.pu.session(session).and_then(|session| session.element()),
            lab.pu.session(session).map(|session| session.queued())
        ),
        (None, Some(0))
    );
    assert_eq!(lab.pu.registrars().iter().count(), 1);
    assert_eq!((lab.pu.registrars().home_search(), lab.pu.stats().failures), (HomeSearch::Home, 1));
    assert!(lab.pu.registrars().home().is_some() && lab.pu.cache_bytes() > 0);
    assert_eq!(lab.pu.session_mut(lab.now, session).unwrap().abort(), []);
    assert_eq!(lab.pu.sessions().next(), None);
}
