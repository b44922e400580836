//! Sessions other than the ordinary one: on an element, at an address, with a choice for each
//! message, to all elements, opened by a peer (RFC 5352 §6.5.2 to §6.5.5; RFC 5351 §4.2).

mod lab;

use asap_pu::wire::{Message, PoolHandle, Protocol, Transport};
use asap_pu::{
    Action, CommandError, Event, Failover, Identity, LossReason, Recipient, SessionError,
    SessionOptions, StaleAnswers, UndeliveredReason,
};
use lab::*;

fn on(element: u32) -> SessionOptions {
    let mut options = SessionOptions::default();
    options.element = Some(id(element));
    options
}

/// [SESSION-11] [REPORT-3]: a session on an element handle begins at that element, whatever the
/// policy says; that counts as using it.
#[test]
fn an_element_handle_comes_first() {
    let (mut lab, home) = Lab::at_home_with(mapped());
    lab.pu.open_session(lab.now, POOL, on(3)).unwrap();
    assert_eq!(lab.requests(), [(home, POOL.into())], "the cache misses the pool");
    lab.answer(home, POOL, &three());
    let element = lab.open_one();
    assert_eq!(element.to, "10.0.0.3:7".parse().unwrap());
    lab.up(element.channel);
    assert!(matches!(lab.event(), Event::Connected { element, .. } if element == Some(id(3))));
    let next = fail_over(&mut lab, &element);
    assert_eq!(next.to, "10.0.0.1:7".parse().unwrap(), "then the policy chooses");
    let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
    let reported = lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(3));
    assert_eq!(reported, Ok(()), "it was used");
}

/// [SESSION-11]: the element is called at once where a stale list has it; the list is refreshed beside that.
#[test]
fn an_element_handle_refreshes_a_stale_cache() {
    let (mut lab, home) = Lab::at_home_with(mapped());
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.answer(home, POOL, &three());
    lab.events();
    lab.secs(31);
    lab.pu.open_session(lab.now, POOL, on(2)).unwrap();
    let actions = lab.actions();
    assert_eq!(control(actions[0].clone()).0, home, "a request goes out");
    assert_eq!(opened(actions[1].clone()).to, "10.0.0.2:7".parse().unwrap());
    lab.pu.open_session(lab.now, POOL, on(1)).unwrap();
    assert_eq!(lab.open_one().to, "10.0.0.1:7".parse().unwrap(), "one request is enough");
}

/// [SESSION-11] [REPORT-3]: an element that is not listed counts as lost, but is not reported: nobody used it.
#[test]
fn an_element_that_is_not_listed_is_passed_over() {
    let (mut lab, home) = Lab::at_home_with(mapped());
    let session = lab.pu.open_session(lab.now, POOL, on(9)).unwrap();
    let stays = send(&mut lab, session, "for 9 alone", Failover::Never);
    send(&mut lab, session, "for anyone", Failover::Unsent);
    lab.actions();
    lab.answer(home, POOL, &three());
    let element = lab.open_one();
    assert!(matches!(lab.event(), Event::Returned { message, .. } if message == stays));
    lab.up(element.channel);
    assert_eq!(lab.data(), [(element.channel, "for anyone".into())]);
    assert_eq!((lab.pu.stats().failures, lab.pu.stats().reports_sent), (0, 0));
}

/// [SESSION-11] decision 23: at an address the pool is not consulted, nothing fails over, nothing
/// is reported.
#[test]
fn an_address_has_no_failover() {
    let (mut lab, _) = Lab::at_home_with(mapped());
    let to = Transport::tcp("10.9.9.9:7".parse().unwrap());
    let session = lab.pu.open_session_at(lab.now, to, SessionOptions::default()).unwrap();
    send(&mut lab, session, "one", Failover::Undelivered);
    let peer = lab.open_one();
    assert_eq!(peer.to, "10.9.9.9:7".parse().unwrap());
    lab.up(peer.channel);
    assert!(matches!(lab.event(), Event::Connected { element, .. } if element.is_none()));
    assert_eq!(lab.data(), [(peer.channel, "one".into())]);
    lab.pu.handle_data(lab.now, peer.channel, b"answer");
    let event = lab.event();
    assert!(matches!(event, Event::Received { handle: None, element: None, .. }));
    assert_eq!(lab.pu.session(session).and_then(|session| session.handle()), None);
    let refused = lab.pu.session_mut(lab.now, session).unwrap().move_to(None);
    assert_eq!(refused, Err(CommandError::UnknownPool));
    lab.fail(peer.channel);
    assert!(lab.actions().is_empty(), "no request, no report, no other element");
    let events = lab.events();
    let [Event::ElementLost { .. }, Event::Lost { .. }, Event::SessionEnded { error, .. }] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(*error, Some(SessionError::ChannelLost(LossReason::Broken)));
    assert_eq!((lab.pu.stats().failures, lab.pu.poll_timeout()), (0, None));
}

/// [SESSION-4] [SESSION-11]: an address that does not answer ends the session when an element would be left.
#[test]
fn an_address_that_does_not_answer_ends_the_session() {
    let (mut lab, _) = Lab::at_home_with(mapped());
    let to = Transport::tcp("10.9.9.9:7".parse().unwrap());
    lab.pu.open_session_at(lab.now, to, SessionOptions::default()).unwrap();
    lab.open_one();
    assert_eq!(lab.wait(), secs(5));
    assert!(matches!(lab.actions()[..], [Action::Close { .. }]));
    let event = lab.event();
    assert!(matches!(
        event,
        Event::SessionEnded { error: Some(SessionError::ChannelLost(LossReason::TimedOut)), .. }
    ));
    let nowhere = Transport::opaque("");
    let refused = lab.pu.open_session_at(lab.now, nowhere, SessionOptions::default());
    assert_eq!(refused, Err(CommandError::UnusableTransport));
}

/// [SESSION-5] decision 20: a session that chooses for each message spreads them by policy, over
/// one channel for each element; "same as last" stays where the previous message went.
#[test]
fn each_message_has_an_element_of_its_own() {
    let (mut lab, _, session) = choosing_lab(mapped());
    let say = |lab: &mut Lab, data: &'static str, whom| {
        lab.pu.session_mut(lab.now, session).unwrap().send(data, to(whom)).unwrap();
    };
    for data in ["a", "b", "c", "d"] {
        say(&mut lab, data, Recipient::One);
    }
    say(&mut lab, "like d", Recipient::SameAsLast);
    say(&mut lab, "e", Recipient::One);
    let opens = settle(&mut lab);
    let [one, two, three] = &opens[..] else { panic!("{opens:?}") };
    assert!(matches!(lab.event(), Event::Connected { element, .. } if element == Some(id(1))));
    let mut sent = lab.data();
    sent.sort();
    let expected = [(one, "a"), (one, "d"), (one, "like d"), (two, "b"), (two, "e"), (three, "c")];
    assert_eq!(sent, expected.map(|(open, data)| (open.channel, data.into())));
    lab.pu.handle_data(lab.now, two.channel, b"answer");
    let event = lab.event();
    let Event::Received { session: of, element, .. } = event else { panic!("{event:?}") };
    assert_eq!((of, element, lab.pu.poll_timeout()), (session, Some(id(2)), None));
}

/// [CACHE-3] [SESSION-5]: each choice is a hit on the cache. A stale list is refreshed, beside the
/// choice or before it, as the configuration says.
#[test]
fn a_choice_from_a_stale_list_has_it_refreshed() {
    for stale_answers in [StaleAnswers::Served, StaleAnswers::Withheld] {
        let mut config = mapped();
        config.cache.stale_answers = stale_answers;
        let (mut lab, home, session) = choosing_lab(config);
        lab.secs(31);
        lab.pu.session_mut(lab.now, session).unwrap().send("a", to(Recipient::One)).unwrap();
        lab.pu.session_mut(lab.now, session).unwrap().send("b", to(Recipient::One)).unwrap();
        let mut actions = lab.actions();
        assert_eq!(control(actions.remove(0)).0, home, "one request");
        let served = stale_answers == StaleAnswers::Served;
        assert_eq!(actions.len(), if served { 2 } else { 0 });
        lab.answer(home, POOL, &[4, 5, 6].map(element));
        lab.pu.session_mut(lab.now, session).unwrap().send("c", to(Recipient::One)).unwrap();
        let new = opens_among(&lab.actions());
        assert_eq!(new.len(), if served { 1 } else { 3 });
        assert!(
            new.iter().all(|open| open.to.ip() >= core::net::IpAddr::from([10, 0, 0, 4])),
            "{new:?}"
        );
    }
}

/// [CACHE-2] [SESSION-5]: also a list that is never fresh serves, once it was asked for.
#[test]
fn a_choice_from_a_list_that_is_never_fresh() {
    for stale_answers in [StaleAnswers::Served, StaleAnswers::Fallback, StaleAnswers::Withheld] {
        let mut config = mapped();
        config.cache.stale_answers = stale_answers;
        config.cache.stale_cache_value = secs(0);
        let (mut lab, home, session) = choosing_lab(config);
        lab.secs(1);
        lab.pu.session_mut(lab.now, session).unwrap().send("a", to(Recipient::One)).unwrap();
        if stale_answers != StaleAnswers::Served {
            assert_eq!(lab.requests(), [(home, POOL.into())]);
            lab.answer(home, POOL, &three());
        }
        assert_eq!(opens_among(&lab.actions()).len(), 1, "{stale_answers:?}");
    }
}

/// [SESSION-3] [SESSION-5] [SESSION-7] [SESSION-10]: when one of its elements dies, the application of a choosing session
/// hears of it first; then what may go on goes on, the rest comes back, and the latest cookie goes
/// ahead to elements that are new.
#[test]
fn what_was_meant_for_a_lost_element_is_chosen_for_anew() {
    let (mut lab, home, session) = choosing_lab(mapped());
    send(&mut lab, session, "again", Failover::Undelivered);
    let [one] = settle(&mut lab).try_into().unwrap();
    lab.events();
    assert_eq!(lab.data(), [(one.channel, "again".into())]);
    lab.receive(one.channel, &Message::cookie("state"));
    assert_eq!(
        lab.pu.session(session).and_then(|session| session.cookie()).map(|cookie| &cookie[..]),
        Some(&b"state"[..])
    );
    send(&mut lab, session, "to another", Failover::Unsent);
    let [two] = settle(&mut lab).try_into().unwrap();
    assert_eq!(lab.data(), [(two.channel, "to another".into())], "no failover, no cookie");

    lab.fail(one.channel);
    assert_eq!(lab.controls(), [(home, Message::endpoint_unreachable(POOL, id(1)))]);
    send(&mut lab, session, "later", Failover::Unsent);
    assert_eq!(lab.actions(), [], "the application is to hear first");
    assert_eq!(lab.pu.session(session).map(|session| session.queued()), Some(2));
    assert!(matches!(lab.event(), Event::ElementLost { element, .. } if element == Some(id(1))));
    let actions = lab.actions();
    assert_eq!(data_among(&actions), [(two.channel, "later".into())], "there is a link to it");
    let [three] = opens_among(&actions).try_into().unwrap();
    lab.up(three.channel);
    let actions = lab.actions();
    assert_eq!(control(actions[0].clone()), (three.channel, Message::cookie_echo("state")));
    assert_eq!(data(actions[1].clone()), (three.channel, "again".into()));
}

/// [SESSION-10]: a choosing session holds data back after a failover too, if it was opened so.
#[test]
fn a_choosing_session_can_hold_back() {
    let (mut lab, home) = Lab::at_home_with(mapped());
    let mut options = choosing();
    options.hold_after_failover = true;
    let session = lab.pu.open_session(lab.now, POOL, options).unwrap();
    lab.actions();
    lab.answer(home, POOL, &three());
    send(&mut lab, session, "again", Failover::Undelivered);
    let [one] = settle(&mut lab).try_into().unwrap();
    lab.actions();
    lab.fail(one.channel);
    lab.events();
    assert!(opens_among(&lab.actions()).is_empty());
    lab.pu.session_mut(lab.now, session).unwrap().resume().unwrap();
    let [two] = settle(&mut lab).try_into().unwrap();
    assert_eq!(lab.data(), [(two.channel, "again".into())]);
}

/// [SESSION-4] [SESSION-18]: where every element fails, a choosing session pauses, resolves anew, and
/// gives every message back in bounded time. It goes on itself, since nobody waits then.
#[test]
fn a_choosing_session_that_finds_nobody_gives_back() {
    let (mut lab, home, session) = choosing_lab(mapped());
    let began = lab.now;
    let ids = ["a", "b", "c"].map(|data| send(&mut lab, session, data, Failover::Unsent));
    let (mut resolved, mut back) = (0, Vec::new());
    while back.len() < 3 {
        let actions = lab.actions();
        let calm = actions.is_empty();
        for action in actions {
            match action {
                Action::Open { channel, .. } => lab.fail(channel),
                action if matches!(action, Action::Send { .. }) => {
                    let (_, message) = control(action);
                    if message == Message::handle_resolution(false, POOL, Some(128)) {
                        resolved += 1;
                        lab.answer(home, POOL, &three());
                    }
                }
                _ => {}
            }
        }
        for event in lab.events() {
            let Event::Returned { message, reason, .. } = event else { panic!("{event:?}") };
            assert_eq!(reason, UndeliveredReason::DeadlineReached);
            back.push(message);
        }
        if calm && back.is_empty() {
            lab.wait();
        }
    }
    assert_eq!((back, lab.now - began), (ids.to_vec(), secs(60)));
    assert!(resolved > 1, "resolved anew");
    lab.secs(3_600);
    lab.pu.handle_timeout(lab.now);
    assert_eq!((lab.events(), lab.pu.channel_count()), (vec![], 1), "the home");
}

/// [SESSION-5] decision 22: a message to all goes to every element, one result each, without
/// failover, the session's own element included, in order with what the session sends there.
#[test]
fn to_all_has_one_result_for_each() {
    let (mut lab, _, session, own) = Lab::in_session(mapped(), Default::default(), &three());
    send(&mut lab, session, "before", Failover::Unsent);
    let all =
        lab.pu.session_mut(lab.now, session).unwrap().send("all", to(Recipient::All)).unwrap();
    send(&mut lab, session, "after", Failover::Unsent);
    let actions = lab.actions();
    let here = ["before", "all", "after"].map(|data| (own.channel, data.into()));
    assert_eq!(data_among(&actions), here);
    let [two, three] = opens_among(&actions).try_into().unwrap();
    lab.up(two.channel);
    lab.fail(three.channel);
    assert_eq!(data_among(&lab.actions()), [(two.channel, "all".into())]);
    let results: Vec<_> = lab
        .events()
        .into_iter()
        .map(|event| match event {
            Event::CopyResult { message, element, failure, .. } => {
                (message == all, element.map_or(0, |id| id.get()), failure.is_none())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(results, [(true, 1, true), (true, 3, false), (true, 2, true)]);
    lab.pu.handle_data(lab.now, two.channel, b"answer");
    assert!(matches!(lab.event(), Event::Received { element, .. } if element == Some(id(2))));
    lab.fail(two.channel);
    assert_eq!(lab.events(), [], "the session is where it was");
    assert_eq!(lab.pu.session(session).and_then(|session| session.element()), Some(id(1)));
}

/// [SESSION-5] decision 22: to self is a local event, for an element of the pool; the node does not
/// call itself.
#[test]
fn to_self_is_a_local_event() {
    let mut config = mapped();
    config.sessions.identity = Some(Identity::new(POOL, id(2)));
    let (mut lab, _, session) = choosing_lab(config);
    let all = lab
        .pu
        .session_mut(lab.now, session)
        .unwrap()
        .send("all", to(Recipient::AllAndSelf))
        .unwrap();
    let opens = settle(&mut lab);
    assert_eq!(opens.len(), 2);
    lab.actions();
    let events = lab.events();
    let mut local = 0;
    let mut results = 0;
    for event in &events {
        match event {
            Event::Received { element, data, .. } => {
                assert_eq!((*element, &data[..]), (Some(id(2)), &b"all"[..]));
                local += 1;
            }
            Event::CopyResult { message, failure: None, .. } if *message == all => results += 1,
            Event::Connected { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((local, results), (1, 2));

    let mut config = mapped();
    config.sessions.identity = Some(Identity::new("AnotherPool", id(2)));
    let (mut lab, _, session) = choosing_lab(config);
    lab.pu.session_mut(lab.now, session).unwrap().send("all", to(Recipient::AllAndSelf)).unwrap();
    assert_eq!(settle(&mut lab).len(), 3, "no element of this pool");
    lab.actions();
    assert!(!lab.events().iter().any(|event| matches!(event, Event::Received { .. })));
}

/// [SESSION-2] [SESSION-5]: a message to all is on the books until the application has read its last result.
#[test]
fn to_all_is_bounded() {
    let mut config = mapped();
    config.limits.max_queued_messages = 1;
    let (mut lab, _, session) = choosing_lab(config);
    lab.pu.session_mut(lab.now, session).unwrap().send("all", to(Recipient::All)).unwrap();
    for open in lab.opens() {
        lab.fail(open.channel);
    }
    assert!(
        lab.pu.session_mut(lab.now, session).unwrap().send("more", to(Recipient::All)).is_err()
    );
    let copies = lab.events().len();
    assert_eq!(copies, 4, "three results, and room again");
    lab.pu.session_mut(lab.now, session).unwrap().send("more", to(Recipient::All)).unwrap();
}

/// [SESSION-13]: closing waits for the copies and the messages on links; afterwards nothing refers to the session.
#[test]
fn closing_drains_the_links() {
    let (mut lab, home, session) = choosing_lab(mapped());
    send(&mut lab, session, "one", Failover::Unsent);
    lab.pu.session_mut(lab.now, session).unwrap().send("all", to(Recipient::All)).unwrap();
    lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
    settle(&mut lab);
    let actions = lab.actions();
    assert_eq!(data_among(&actions).len(), 4);
    let closed = actions.iter().filter(|action| matches!(action, Action::Close { .. })).count();
    assert_eq!(closed, 3);
    let events = lab.events();
    assert!(matches!(events.last(), Some(Event::SessionEnded { error: None, .. })), "{events:?}");
    assert_eq!((lab.pu.channel_count(), lab.pu.poll_timeout()), (1, None));
    assert_eq!(lab.pu.stats().unknown_channels, 0);
    lab.pu.handle_data(lab.now, home, b"");
}

/// [SESSION-13]: a session that keeps its element does not end before its message to all is copied.
#[test]
fn closing_waits_for_the_copies() {
    let (mut lab, _, session, own) = Lab::in_session(mapped(), Default::default(), &three());
    lab.pu.session_mut(lab.now, session).unwrap().send("all", to(Recipient::All)).unwrap();
    lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
    let actions = lab.actions();
    assert_eq!(data_among(&actions), [(own.channel, "all".into())]);
    let others = opens_among(&actions);
    assert_eq!(others.len(), 2);
    others.iter().for_each(|open| lab.up(open.channel));
    assert_eq!(data_among(&lab.actions()).len(), 2);
    let events = lab.events();
    let copies =
        events.iter().filter(|event| matches!(event, Event::CopyResult { failure: None, .. }));
    assert_eq!(copies.count(), 3);
    assert!(matches!(events.last(), Some(Event::SessionEnded { error: None, .. })), "{events:?}");
}

/// [SESSION-13]: aborting gives back in order what waited on links and in the queue.
#[test]
fn aborting_collects_from_the_links() {
    let (mut lab, _, session) = choosing_lab(mapped());
    let ids = ["a", "b", "c", "d"].map(|data| send(&mut lab, session, data, Failover::Unsent));
    lab.opens();
    let back = lab.pu.session_mut(lab.now, session).unwrap().abort();
    assert_eq!(back.iter().map(|back| back.message).collect::<Vec<_>>(), ids);
    assert_eq!((lab.events(), lab.pu.channel_count()), (vec![], 1));
    assert!(lab.actions().iter().all(|action| matches!(action, Action::Close { .. })));
    assert_eq!(lab.pu.poll_timeout(), None);
}

/// [SESSION-14]: an element that is gone from the pool keeps its session until it fails.
#[test]
fn an_element_that_left_the_pool_keeps_its_sessions() {
    let (mut lab, home, session, first) = Lab::in_session(mapped(), Default::default(), &three());
    lab.secs(31);
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.answer(home, POOL, &[element(2), element(3)]);
    lab.events();
    send(&mut lab, session, "still here", Failover::Unsent);
    assert_eq!(lab.data(), [(first.channel, "still here".into())]);
    let second = fail_over(&mut lab, &first);
    assert_eq!(second.to, "10.0.0.2:7".parse().unwrap());
}

/// [SESSION-14] [SESSION-7] decision 23: moving on request closes the old channel, sends the cookie
/// ahead on the new one, tells the application before data goes there, and reports nobody.
#[test]
fn a_session_moves_on_request() {
    let (mut lab, _, session, first) = Lab::in_session(mapped(), Default::default(), &three());
    lab.receive(first.channel, &Message::cookie("state"));
    lab.pu.session_mut(lab.now, session).unwrap().move_to(Some(id(3))).unwrap();
    send(&mut lab, session, "there", Failover::Unsent);
    let actions = lab.actions();
    assert!(matches!(actions[0], Action::Close { channel, .. } if channel == first.channel));
    let third = opened(actions[1].clone());
    assert_eq!((actions.len(), third.to), (2, "10.0.0.3:7".parse().unwrap()), "no report");
    assert_eq!(lab.events(), [], "the application knows that it leaves");
    lab.up(third.channel);
    assert_eq!(lab.controls(), [(third.channel, Message::cookie_echo("state"))]);
    let event = lab.event();
    let Event::FailedOver { from, to, cookie_echoed: true, .. } = event else {
        panic!("{event:?}")
    };
    assert_eq!((from, to), (Some(id(1)), id(3)));
    assert_eq!(lab.data(), [(third.channel, "there".into())]);
    assert_eq!((lab.pu.stats().moves, lab.pu.stats().failures), (1, 0));

    lab.pu.session_mut(lab.now, session).unwrap().move_to(None).unwrap();
    let next = opens_among(&lab.actions())[0].clone();
    assert_ne!(next.to, third.to, "the policy chooses among the others");
    lab.up(next.channel);
    assert!(matches!(lab.event(), Event::FailedOver { .. }));
}

/// [SESSION-14]: a move that makes no sense is refused and changes nothing.
#[test]
fn a_move_to_nowhere_is_refused() {
    let (mut lab, _, session, _) = Lab::in_session(mapped(), Default::default(), &[element(1)]);
    let mut to = |to| lab.pu.session_mut(lab.now, session).unwrap().move_to(to);
    assert_eq!(to(None), Err(CommandError::NoElementLeft));
    assert_eq!(to(Some(id(7))), Err(CommandError::UnknownElement));
    assert_eq!(to(Some(id(1))), Ok(()), "it is there");
    assert_eq!((lab.actions(), lab.events()), (vec![], vec![]));
}

/// [SESSION-14] [REPORT-2]: an element that has just failed can be asked for; it gets one attempt, no second report,
/// and the session goes on elsewhere.
#[test]
fn a_move_to_an_element_that_just_failed() {
    let (mut lab, home, session, first) = Lab::in_session(mapped(), Default::default(), &three());
    let second = fail_over(&mut lab, &first);
    lab.events();
    lab.pu.session_mut(lab.now, session).unwrap().move_to(Some(id(1))).unwrap();
    let back = opens_among(&lab.actions())[0].clone();
    assert_eq!(back.to, first.to);
    lab.fail(back.channel);
    let actions = lab.actions();
    assert!(
        !actions
            .iter()
            .any(|action| matches!(action, Action::Send { channel, .. } if *channel == home))
    );
    let third = opens_among(&actions)[0].clone();
    assert!(third.to != first.to && third.to != second.to);
    lab.up(third.channel);
    let event = lab.event();
    let Event::FailedOver { from, to, .. } = event else { panic!("{event:?}") };
    assert_eq!((from, to, lab.pu.stats().reports_sent), (Some(id(2)), id(3), 1));
}

/// [SESSION-16]: a channel that a peer opened carries data, cookies and cards like any other; a cookie echo is for the
/// application. When the peer is lost the session goes on in the pool that its card named.
#[test]
fn a_peer_that_called_is_failed_over_by_its_card() {
    let mut config = mapped();
    config.sessions.identity = Some(Identity::new("MyPool", id(77)));
    let (mut lab, home) = Lab::at_home_with(config);
    let (session, channel) =
        lab.pu.accept(lab.now, Protocol::Tcp, true, SessionOptions::default()).unwrap();
    assert_eq!(lab.controls(), [(channel, Message::business_card("MyPool", vec![]))]);
    assert_eq!(lab.events(), [], "the application knows");
    lab.receive(channel, &Message::cookie_echo("from another of us"));
    let event = lab.event();
    assert!(matches!(event, Event::CookieEchoed { cookie, .. } if cookie == "from another of us"));
    lab.pu.handle_data(lab.now, channel, b"hello");
    assert!(matches!(lab.event(), Event::Received { element, .. } if element.is_none()));
    lab.receive(channel, &Message::cookie("peer's state"));
    lab.receive(channel, &Message::business_card(POOL, vec![element(3), element(2)]));
    assert_eq!(lab.requests(), [(home, POOL.into())], "the card's pool is looked up");
    lab.answer(home, POOL, &three());
    assert_eq!(
        lab.pu.session(session).and_then(|session| session.handle()),
        Some(&PoolHandle::from(POOL))
    );
    send(&mut lab, session, "reply", Failover::Undelivered);
    assert_eq!(lab.data(), [(channel, "reply".into())]);

    lab.fail(channel);
    let third = lab.open_one();
    assert_eq!(third.to, "10.0.0.3:7".parse().unwrap(), "as the card prefers");
    assert!(matches!(lab.event(), Event::ElementLost { element, .. } if element.is_none()));
    lab.up(third.channel);
    let card = Message::business_card("MyPool", vec![]);
    let echo = Message::cookie_echo("peer's state");
    assert_eq!(lab.controls(), [(third.channel, echo), (third.channel, card)]);
    assert!(matches!(lab.event(), Event::FailedOver { to, .. } if to == id(3)));
    assert_eq!(lab.data(), [(third.channel, "reply".into())]);
    assert_eq!(lab.pu.stats().reports_sent, 0, "nobody knows who the peer was");
}

/// [SESSION-16]: a peer that never said who it is cannot be failed over from.
#[test]
fn a_peer_without_a_card_ends_its_session() {
    let (mut lab, _) = Lab::at_home_with(mapped());
    let (session, channel) =
        lab.pu.accept(lab.now, Protocol::Tcp, false, SessionOptions::default()).unwrap();
    lab.receive(channel, &Message::business_card(POOL, vec![element(1)]));
    assert_eq!(lab.pu.stats().unexpected_messages, 1, "no control channel");
    lab.fail(channel);
    let events = lab.events();
    let [Event::ElementLost { .. }, Event::SessionEnded { session: of, error, .. }] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((of, error), (&session, &Some(SessionError::ChannelLost(LossReason::Broken))));
}
