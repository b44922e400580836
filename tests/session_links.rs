//! Links beside the one that is kept, at the edges: copies that fail, are still to be made, or meet a session that looks for an
//! element (RFC 5352 §6.5.2, §6.5.5).

mod lab;

use asap_pu::wire::Message;
use asap_pu::{
    Action, CommandError, Event, Failover, Identity, PeerKind, Recipient, SessionOptions,
    StaleAnswers,
};
use lab::*;

/// The elements that the application hears of, in order, and whether they got their copies.
fn copies(events: &[Event]) -> Vec<(u32, bool)> {
    let mut copies: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::CopyResult { element, failure, .. } => {
                Some((element.unwrap().get(), failure.is_none()))
            }
            _ => None,
        })
        .collect();
    copies.sort_unstable();
    copies
}

/// [SESSION-5]: a message to all goes once to each element, wherever its session is by the time that
/// the copies are made.
#[test]
fn to_all_counts_the_element_that_was_served() {
    for moves in [false, true] {
        let (mut lab, _, session, own) = Lab::in_session(mapped(), Default::default(), &three());
        lab.pu.session_mut(lab.now, session).unwrap().send("all", to(Recipient::All)).unwrap();
        let actions = lab.actions();
        assert_eq!(data_among(&actions), [(own.channel, "all".into())]);
        if moves {
            lab.pu.session_mut(lab.now, session).unwrap().move_to(Some(id(2))).unwrap();
        } else {
            lab.fail(own.channel);
        }
        for open in opens_among(&actions) {
            lab.up(open.channel);
        }
        assert_eq!(data_among(&lab.actions()).len(), 2);
        assert_eq!(copies(&lab.events()), [(1, true), (2, true), (3, true)]);
    }
}

/// [SESSION-5] [SESSION-13]: a session that closes and loses its element makes the copies that are
/// still to be made.
#[test]
fn closing_waits_for_copies_without_an_element_too() {
    let (mut lab, _, session, own) = Lab::in_session(mapped(), Default::default(), &three());
    lab.pu.session_mut(lab.now, session).unwrap().send("all", to(Recipient::All)).unwrap();
    let actions = lab.actions();
    assert_eq!(data_among(&actions), [(own.channel, "all".into())]);
    lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
    lab.fail(own.channel);
    for open in opens_among(&actions) {
        lab.up(open.channel);
    }
    assert_eq!(data_among(&lab.actions()).len(), 2);
    let events = lab.events();
    assert_eq!(copies(&events), [(1, true), (2, true), (3, true)]);
    assert!(matches!(events.last(), Some(Event::SessionEnded { error: None, .. })), "{events:?}");
}

/// [SESSION-5] [SESSION-13]: a session that ends before it could make the copies tells of each that
/// it was not sent.
#[test]
fn copies_that_are_not_made_are_told() {
    let (mut lab, _, session, own) = Lab::in_session(mapped(), Default::default(), &three());
    lab.pu.session_mut(lab.now, session).unwrap().send("all", to(Recipient::All)).unwrap();
    assert_eq!(data_among(&lab.actions()), [(own.channel, "all".into())]);
    lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
    lab.secs(600);
    lab.pu.handle_timeout(lab.now);
    let events = lab.events();
    assert_eq!(copies(&events), [(1, true), (2, false), (3, false)]);
    assert!(matches!(events.last(), Some(Event::SessionEnded { error: Some(_), .. })));
}

/// [SESSION-13] [SESSION-17]: aborting gives back a message to all whose copies have not all gone.
#[test]
fn aborting_collects_what_is_to_be_copied() {
    let (mut lab, _, session, own) = Lab::in_session(mapped(), Default::default(), &three());
    let all =
        lab.pu.session_mut(lab.now, session).unwrap().send("all", to(Recipient::All)).unwrap();
    assert_eq!(data_among(&lab.actions()), [(own.channel, "all".into())]);
    let next = send(&mut lab, session, "next", Failover::Unsent);
    let back = lab.pu.session_mut(lab.now, session).unwrap().abort();
    assert_eq!(back.iter().map(|back| back.message).collect::<Vec<_>>(), [all, next]);
    assert_eq!(lab.events(), []);
}

/// [SESSION-4] [SESSION-5]: copies that fail, however many, leave the attempts to a message that has
/// to find an element later.
#[test]
fn copies_use_up_no_attempts() {
    let (mut lab, home) = Lab::at_home();
    let session = lab.pu.open_session(lab.now, POOL, choosing()).unwrap();
    lab.actions();
    lab.answer(home, POOL, &(1..=20).map(element).collect::<Vec<_>>());
    lab.pu.session_mut(lab.now, session).unwrap().send("all", to(Recipient::All)).unwrap();
    for open in lab.opens() {
        lab.fail(open.channel);
    }
    assert_eq!(copies(&lab.events()), (1..=20).map(|id| (id, false)).collect::<Vec<_>>());
    lab.actions();
    send(&mut lab, session, "one", Failover::Unsent);
    assert_eq!(lab.opens().len(), 1, "an element that failed is called where no other is left");
    assert_eq!(lab.events(), []);
}

/// [SESSION-4]: a search ends with the last message that it was for, and is forgotten.
#[test]
fn nothing_waits_so_nothing_is_searched_for() {
    let (mut lab, _, session) = choosing_lab(config(&[REGISTRAR]));
    send(&mut lab, session, "moves on", Failover::Unsent);
    let never = send(&mut lab, session, "does not", Failover::Never);
    for open in lab.opens() {
        lab.fail(open.channel);
    }
    let last = opens_among(&lab.actions()).remove(0);
    lab.up(last.channel);
    lab.actions();
    lab.fail(last.channel);
    let events = lab.events();
    assert!(matches!(events[1], Event::Connected { .. }), "{events:?}");
    let returned =
        |event: &&Event| matches!(event, Event::Returned { message, .. } if *message == never);
    assert_eq!(events.iter().filter(returned).count(), 1);
    lab.secs(20);
    lab.pu.handle_timeout(lab.now);
    send(&mut lab, session, "alone", Failover::Never);
    let alone = opens_among(&lab.actions()).remove(0);
    lab.fail(alone.channel);
    lab.actions();
    lab.secs(600);
    lab.pu.handle_timeout(lab.now);
    let ended = |event: &Event| matches!(event, Event::SessionEnded { .. });
    assert!(!lab.events().iter().any(ended), "nobody waits");
}

/// [SESSION-3]: giving up the element of a choosing session gives up the one that got the last
/// message: it is marked and reported, and what may fail over goes on.
#[test]
fn a_choosing_session_gives_up_the_last_element() {
    let (mut lab, home, session) = choosing_lab(mapped());
    assert_eq!(
        lab.pu.session_mut(lab.now, session).unwrap().give_up(),
        Err(CommandError::NotConnected)
    );
    send(&mut lab, session, "one", Failover::Undelivered);
    send(&mut lab, session, "two", Failover::Undelivered);
    let [one, two] = settle(&mut lab).try_into().unwrap();
    assert_eq!(data_among(&lab.actions()).len(), 2);
    lab.events();
    assert_eq!(lab.pu.session_mut(lab.now, session).unwrap().give_up(), Ok(()));
    let actions = lab.actions();
    assert!(matches!(actions[0], Action::Close { channel, .. } if channel == two.channel));
    assert_eq!(control(actions[1].clone()), (home, Message::endpoint_unreachable(POOL, id(2))));
    assert_eq!(
        lab.pu.session_mut(lab.now, session).unwrap().give_up(),
        Err(CommandError::NotConnected),
        "it is gone"
    );
    assert!(matches!(lab.event(), Event::ElementLost { element, .. } if element == Some(id(2))));
    let [three] = settle(&mut lab).try_into().unwrap();
    assert_ne!(three.to, one.to);
    assert_eq!(lab.data(), [(three.channel, "two".into())]);
}

/// [SESSION-5] [SESSION-11]: the first message of a choosing session goes to the element that it was
/// opened on, whenever it is sent.
#[test]
fn a_choosing_session_begins_at_the_element_asked_for() {
    let (mut lab, home) = Lab::at_home();
    let mut options = choosing();
    options.element = Some(id(3));
    let session = lab.pu.open_session(lab.now, POOL, options).unwrap();
    lab.actions();
    lab.answer(home, POOL, &three());
    assert_eq!(lab.pu.poll_timeout(), None, "nothing is sent, so nothing is waited for");
    lab.secs(20);
    send(&mut lab, session, "first", Failover::Unsent);
    send(&mut lab, session, "second", Failover::Unsent);
    let [third, first] = settle(&mut lab).try_into().unwrap();
    assert_eq!(third.to, "10.0.0.3:7".parse().unwrap());
    assert_eq!(first.to, "10.0.0.1:7".parse().unwrap(), "then the policy chooses");
    let mut sent = lab.data();
    sent.sort();
    let expected = [(third.channel, "first".into()), (first.channel, "second".into())];
    assert_eq!(sent, expected);
}

/// [SESSION-4]: the only element that is listed refuses, while a link to one that is no longer listed
/// is up: it is not called over and over.
#[test]
fn a_lone_element_that_refuses_is_not_run_after() {
    let (mut lab, home, session) = choosing_lab(config(&[REGISTRAR]));
    send(&mut lab, session, "first", Failover::Unsent);
    settle(&mut lab);
    lab.data();
    lab.secs(31);
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.answer(home, POOL, &[element(2)]);
    send(&mut lab, session, "second", Failover::Unsent);
    let (began, mut calls) = (lab.now, 0);
    while lab.now.since(began) < secs(30) && calls < 1_000 {
        for open in opens_among(&lab.actions()) {
            calls += 1;
            lab.fail(open.channel);
        }
        lab.events();
        lab.wait();
    }
    assert!((4..=7).contains(&calls), "{calls} calls in half a minute");
}

/// [SESSION-10] [CACHE-3]: what is held back may be resumed while the list is refreshed too.
#[test]
fn data_is_resumed_while_the_list_is_refreshed() {
    let mut config = config(&[REGISTRAR]);
    config.cache.stale_answers = StaleAnswers::Withheld;
    let (mut lab, home) = Lab::at_home_with(config);
    let mut options = choosing();
    options.hold_after_failover = true;
    let session = lab.pu.open_session(lab.now, POOL, options).unwrap();
    lab.actions();
    lab.answer(home, POOL, &three());
    send(&mut lab, session, "a", Failover::Unsent);
    let opens = settle(&mut lab);
    assert_eq!(lab.data().len(), 1);
    lab.secs(31);
    send(&mut lab, session, "b", Failover::Unsent);
    assert_eq!(lab.requests().len(), 1);
    lab.fail(opens[0].channel);
    lab.events();
    lab.pu.session_mut(lab.now, session).unwrap().resume().unwrap();
    lab.answer(home, POOL, &three());
    assert_eq!(opens_among(&lab.actions()).len(), 1);
}

/// [REPORT-3]: an element that a copy was sent to counts as tried.
#[test]
fn copies_count_as_use() {
    let (mut lab, _, session, _) = Lab::in_session(mapped(), Default::default(), &three());
    lab.pu.session_mut(lab.now, session).unwrap().send("all", to(Recipient::All)).unwrap();
    assert_eq!(settle(&mut lab).len(), 2);
    let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
    assert_eq!(lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(3)), Ok(()));
}

/// [SESSION-5]: what is for one element alone comes back when that is lost or not listed, also where
/// another one could be chosen.
#[test]
fn what_is_for_one_alone_comes_back() {
    let (mut lab, home, session) = choosing_lab(config(&[REGISTRAR]));
    send(&mut lab, session, "one", Failover::Unsent);
    let [one] = settle(&mut lab).try_into().unwrap();
    lab.actions();
    lab.fail(one.channel);
    lab.actions();
    lab.events();
    let mut options = to(Recipient::SameAsLast);
    options.failover = Failover::Never;
    let message =
        lab.pu.session_mut(lab.now, session).unwrap().send("for the same alone", options).unwrap();
    assert_eq!(lab.actions(), []);
    let back = lab.event();
    assert!(matches!(back, Event::Returned { message: it, .. } if it == message), "{back:?}");

    let mut options = choosing();
    options.element = Some(id(9));
    let session = lab.pu.open_session(lab.now, "a", options).unwrap();
    send(&mut lab, session, "for 9 alone", Failover::Never);
    lab.actions();
    lab.answer(home, "a", &three());
    assert_eq!(lab.actions(), []);
    assert!(matches!(lab.event(), Event::Returned { session: it, .. } if it == session));
}

/// [SESSION-3]: the application hears that its session has an element also while the list is
/// refreshed.
#[test]
fn an_element_that_comes_up_during_a_refresh_is_told() {
    let mut config = config(&[REGISTRAR]);
    config.cache.stale_answers = StaleAnswers::Withheld;
    config.cache.stale_cache_value = secs(1);
    let (mut lab, home, session) = choosing_lab(config);
    send(&mut lab, session, "one", Failover::Unsent);
    let one = lab.open_one();
    lab.secs(2);
    send(&mut lab, session, "two", Failover::Unsent);
    assert_eq!(lab.requests(), [(home, POOL.into())]);
    lab.up(one.channel);
    assert!(matches!(lab.event(), Event::Connected { .. }));
}

/// [SESSION-1] [REPORT-5]: where all elements have failed, one that the session has a channel to
/// serves.
#[test]
fn a_link_that_is_up_is_better_than_a_dead_element() {
    let mut config = config(&[REGISTRAR]);
    config.cache.stale_cache_value = secs(3_600);
    let (mut lab, _, session) = choosing_lab(config);
    send(&mut lab, session, "a", Failover::Unsent);
    let [one] = settle(&mut lab).try_into().unwrap();
    lab.actions();
    let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
    for n in [2, 3, 1] {
        let _ = lab.pu.pool_mut(lab.now, pool).unwrap().select_several(3, &[]);
        lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(n)).unwrap();
        lab.secs(1);
    }
    lab.actions();
    send(&mut lab, session, "b", Failover::Unsent);
    assert_eq!(lab.data(), [(one.channel, "b".into())]);
}

/// [SESSION-9]: a card that comes on a link is its session's, where that has no element of its own.
#[test]
fn cards_on_links_are_their_sessions() {
    let (mut lab, _, session) = choosing_lab(mapped());
    send(&mut lab, session, "one", Failover::Unsent);
    let [one] = settle(&mut lab).try_into().unwrap();
    lab.actions();
    lab.events();
    lab.receive(one.channel, &Message::business_card(POOL, vec![element(3), element(2)]));
    assert_eq!(lab.pu.stats().cards, 1);

    let (mut lab, _, session, _) = Lab::in_session(mapped(), Default::default(), &three());
    lab.pu.session_mut(lab.now, session).unwrap().send("all", to(Recipient::All)).unwrap();
    let link = settle(&mut lab).remove(0);
    lab.receive(link.channel, &Message::business_card(POOL, vec![element(3), element(2)]));
    assert_eq!((lab.pu.stats().cards, lab.pu.stats().unexpected_messages), (0, 1));
}

/// [SESSION-5]: a message to all that is for nobody comes back.
#[test]
fn to_all_of_nobody_comes_back() {
    let mut config = config(&[REGISTRAR]);
    config.sessions.identity = Some(Identity::new(POOL, id(1)));
    let (mut lab, home) = Lab::at_home_with(config);
    let session = lab.pu.open_session(lab.now, POOL, choosing()).unwrap();
    lab.actions();
    lab.answer(home, POOL, &[element(1)]);
    let message =
        lab.pu.session_mut(lab.now, session).unwrap().send("all", to(Recipient::All)).unwrap();
    assert_eq!(lab.actions(), []);
    assert!(matches!(lab.event(), Event::Returned { message: it, .. } if it == message));
    assert_eq!(lab.pu.session_mut(lab.now, session).unwrap().abort(), [], "nothing is left");
}

/// Elements come up whenever they are called and die of the message; returns how many were called
/// within a minute.
fn calls_in_a_minute(lab: &mut Lab) -> usize {
    let (end, mut calls) = (lab.now + secs(60), 0);
    while lab.now < end {
        let actions = lab.actions();
        let events = lab.events();
        for open in opens_among(&actions) {
            calls += 1;
            lab.up(open.channel);
        }
        data_among(&actions).iter().for_each(|(channel, _)| lab.fail(*channel));
        if actions.is_empty() && events.is_empty() {
            if lab.pu.poll_timeout().is_none() {
                break;
            }
            lab.wait();
        }
    }
    calls
}

/// [SESSION-4]: a message that kills each element it comes to does not make its session spin.
#[test]
fn a_deadly_message_does_not_spin() {
    let mut config = config(&[REGISTRAR]);
    config.cache.stale_cache_value = secs(3_600);
    let (mut lab, _, session) = choosing_lab(config);
    send(&mut lab, session, "deadly", Failover::Undelivered);
    assert_eq!(calls_in_a_minute(&mut lab), 5, "as often as it may be handed over");
}

/// [SESSION-9]: links that were chosen lead to elements that the registrar lists, whatever a card says.
#[test]
fn cards_on_links_send_nobody_elsewhere() {
    let mut config = mapped();
    config.sessions.trust_card_addresses = true;
    let (mut lab, _, session) = choosing_lab(config);
    send(&mut lab, session, "one", Failover::Undelivered);
    let [one] = settle(&mut lab).try_into().unwrap();
    lab.actions();
    lab.receive(one.channel, &Message::business_card(POOL, vec![element(9)]));
    lab.fail(one.channel);
    lab.events();
    assert_eq!(opens_among(&lab.actions())[0].to, "10.0.0.2:7".parse().unwrap());
}

/// [CACHE-3] [CACHE-8]: a session that has gone on without the registrar's answer does not wait for it
/// once its list is stale.
#[test]
fn an_old_question_holds_nobody_up() {
    let (mut lab, home, session) = choosing_lab(config(&[REGISTRAR]));
    lab.fail(home);
    send(&mut lab, session, "one", Failover::Unsent);
    let (began, mut sent) = (lab.now, Vec::new());
    while lab.now < began + secs(55) {
        let actions = lab.actions();
        for open in opens_among(&actions) {
            // The registrar is gone; elements are back after three seconds.
            let serves = open.peer == PeerKind::Element && lab.now >= began + secs(3);
            if serves { lab.up(open.channel) } else { lab.fail(open.channel) }
        }
        sent.extend(data_among(&actions));
        lab.events();
        if sent.len() == 1 && lab.now < began + secs(33) {
            lab.now = began + secs(33);
            send(&mut lab, session, "two", Failover::Unsent);
        }
        if actions.is_empty() {
            lab.wait();
        }
    }
    assert_eq!(sent.len(), 2, "stale lists are served");
}

/// [CACHE-8]: while no registrar can be reached, a session goes on with the list that there is, of whichever
/// kind it is, whatever becomes of the pool in the cache, and wherever stale pools may serve at all.
#[test]
fn a_stale_list_serves_sessions_while_registrars_are_away() {
    for stale_answers in [StaleAnswers::Served, StaleAnswers::Fallback, StaleAnswers::Withheld] {
        for (chooses, begun, purged) in
            [(false, false, false), (true, false, false), (true, true, false), (true, true, true)]
        {
            let (mut lab, home) = at_home(|config| config.cache.stale_answers = stale_answers);
            lab.pool(home, &three());
            let options = if chooses { choosing() } else { SessionOptions::default() };
            let open = |lab: &mut Lab| lab.pu.open_session(lab.now, POOL, options).unwrap();
            let session = begun.then(|| open(&mut lab));
            if purged {
                lab.pu.purge_all();
            }
            lab.secs(31);
            lab.actions();
            lab.fail(home);
            let session = session.unwrap_or_else(|| open(&mut lab));
            send(&mut lab, session, "one", Failover::Unsent);
            let (began, mut sent) = (lab.now, Vec::new());
            while sent.is_empty() && lab.now < began + secs(61) {
                let actions = lab.actions();
                for open in opens_among(&actions) {
                    let serves = open.peer == PeerKind::Element;
                    if serves { lab.up(open.channel) } else { lab.fail(open.channel) }
                }
                sent.extend(data_among(&actions));
                if actions.is_empty() {
                    if lab.pu.poll_timeout().is_none() {
                        break;
                    }
                    lab.wait();
                }
            }
            let serves = stale_answers != StaleAnswers::Withheld;
            let case = (stale_answers, chooses, begun, purged);
            assert_eq!(sent.len(), usize::from(serves), "{case:?}");
            assert!(!serves || lab.now <= began + secs(5), "{case:?}: {:?}", lab.now - began);
        }
    }
}

/// [SESSION-7]: the next element hears the latest cookie, also one that came while its channel was set
/// up.
#[test]
fn a_link_brings_the_latest_cookie() {
    let (mut lab, _, session) = choosing_lab(mapped());
    send(&mut lab, session, "one", Failover::Unsent);
    let [one] = settle(&mut lab).try_into().unwrap();
    lab.actions();
    lab.receive(one.channel, &Message::cookie("old"));
    lab.fail(one.channel);
    lab.actions();
    lab.events();
    send(&mut lab, session, "two", Failover::Unsent);
    let two = opens_among(&lab.actions()).remove(0);
    lab.pu.session_mut(lab.now, session).unwrap().set_cookie(Some("new".into())).unwrap();
    lab.up(two.channel);
    let echo = control(lab.pu.poll_action().unwrap());
    assert_eq!(echo, (two.channel, Message::cookie_echo("new")));
}

/// [SESSION-4]: the deadline of a search counts from the message that waits, also while the list that it
/// is to choose from is refreshed in vain.
#[test]
fn a_message_waits_no_longer_than_a_search() {
    let mut config = config(&[REGISTRAR]);
    config.cache.stale_answers = StaleAnswers::Withheld;
    let (mut lab, _, session) = choosing_lab(config);
    lab.secs(31);
    send(&mut lab, session, "x", Failover::Unsent);
    let began = lab.now;
    let told = loop {
        lab.actions();
        if let Some(event) =
            lab.events().into_iter().find(|it| matches!(it, Event::Returned { .. }))
        {
            break event;
        }
        lab.wait();
    };
    assert!(lab.now - began <= secs(60), "{told:?} after {:?}", lab.now - began);
}
