//! Every limit of the configuration, reached: what becomes of the thing too many, and which counter
//! or error tells of it [CORE-6].
//!
//! Each test has the name of the limit that it reaches. The first test holds them against the
//! fields of [`Config`], so that a limit without a test fails; the second one does the same for the
//! counters of [`Stats`].
#![allow(clippy::std_instead_of_alloc, reason = "tests have `std`")]

mod checks;
mod lab;

use core::fmt::Debug;
use core::time::Duration;
use std::collections::BTreeMap;

use asap_pu::wire::{Body, CauseCode, Message, ParameterType, PolicyType, RawParameter, Transport};
use asap_pu::{
    CloseReason, CommandError, Config, Confirms, Event, Failover, Note, NoteKind, Registrar,
    ResolveError, Rng, SendErrorReason, SendOptions, SessionError, SessionOptions, Stats,
    UndeliveredReason,
};
use lab::*;

/// [CORE-6]: a field that holds a number is a limit, and has a test here.
#[test]
fn every_limit_is_reached() {
    let source = include_str!("limits.rs");
    let mut limits = fields(&Config::default());
    limits.retain(|(_, value)| value.parse::<u64>().is_ok());
    assert!(limits.len() >= 20, "{limits:?}");
    for (limit, _) in limits {
        assert!(source.contains(&format!("#[test]\nfn {limit}() {{")), "{limit} has no test");
    }
}

/// [CORE-15]: the latest notes are kept, and where none are to be, none.
#[test]
fn max_notes() {
    for max in [0, 1, 3] {
        let (mut lab, home) = at_home(|config| config.limits.max_notes = max);
        lab.pool(home, &three());
        assert_eq!(lab.pu.notes().len(), max);
        let list = |note: &Note| matches!(note.what, NoteKind::ListReplaced { .. });
        assert_eq!(lab.pu.notes().next_back().is_some_and(list), max > 0);
        assert_eq!(core::iter::from_fn(|| lab.pu.poll_note()).count(), max + usize::from(max > 0));
    }
}

/// [CORE-7]: each counter moves: among enough calls of all kinds, or in what no peer says by chance.
#[test]
fn every_counter_moves() {
    let mut rng = Rng::new(1);
    let mut bytes = || (0..150).flat_map(|_| rng.next_u64().to_be_bytes()).collect::<Vec<_>>();
    let calls = (0..1_000).map(|_| checks::pool_user::counted(&bytes()));
    let mut moved = BTreeMap::<String, u64>::new();
    for (counter, count) in calls.chain(rarities()).flat_map(|stats| fields(&stats)) {
        *moved.entry(counter).or_default() += count.parse::<u64>().unwrap();
    }
    assert_eq!(moved.len(), fields(&Stats::default()).len());
    let still: Vec<_> = moved.iter().filter(|(_, count)| **count == 0).collect();
    assert!(still.is_empty(), "{still:?}");
}

/// What is counted once in a life, each by a pool user of its own.
fn rarities() -> Vec<Stats> {
    let asking = || {
        let (mut lab, home) = at_home(|_| {});
        lab.pu.resolve(lab.now, POOL).unwrap();
        (lab, home)
    };
    let mut all = Vec::new();
    let mut told = |message: Message| {
        let (mut lab, home) = asking();
        lab.receive(home, &message);
        all.push(*lab.pu.stats());
    };
    let mut nowhere = element(1);
    nowhere.transport = Transport::opaque("");
    told(response(POOL, &[nowhere]));
    let mut weighted = response(POOL, &three());
    if let Body::HandleResolutionResponse { policy, .. } = &mut weighted.body {
        *policy = Some(PolicyType::WEIGHTED_RANDOM.into());
    }
    told(weighted);
    let mut out_of_place = response(POOL, &three());
    out_of_place.extra = vec![RawParameter::new(ParameterType::COOKIE, "?".into())];
    told(out_of_place);

    let (mut lab, home) = at_home(|config| config.cache.stale_cache_value = secs(1));
    lab.pool(home, &three());
    lab.secs(2);
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.receive(home, &refusal(POOL, CauseCode::UNKNOWN_POOL_HANDLE));
    all.push(*lab.pu.stats());

    let (mut lab, home) = asking();
    let mut unknown = vec![0; 0xfffc];
    unknown[..4].copy_from_slice(&[0x4f, 0, 0xff, 0xfc]);
    lab.pu.handle_control(lab.now, home, &unknown);
    lab.pu.handle_stream(lab.now, home, &[6, 0, 0, 3]);
    all.push(*lab.pu.stats());

    let (mut lab, _, _, first) = Lab::in_session(mapped(), SessionOptions::default(), &three());
    lab.receive(first.channel, &Message::business_card(POOL, vec![element(2); 33]));
    all.push(*lab.pu.stats());
    all
}

/// [HUNT-16]: one more is refused; one that is there can be changed.
#[test]
fn max_registrars() {
    let mut lab = with(|config| config.limits.max_registrars = 2);
    let [again, second, third] = [REGISTRAR, "192.0.2.2:3863", "192.0.2.3:3863"]
        .map(|at| Registrar::tcp(at.parse().unwrap()));
    lab.pu.registrars_mut(lab.now).add(second).unwrap();
    let refused = lab.pu.registrars_mut(lab.now).add(third);
    assert_eq!(refused, Err(CommandError::TooManyRegistrars));
    lab.pu.registrars_mut(lab.now).add(again).unwrap();
    assert_eq!(lab.pu.registrars().iter().count(), 2);
}

/// [HUNT-9] [HUNT-16]: those that were announced take nobody's place, until they are taken in for good.
#[test]
fn max_registrars_counts_those_that_stay() {
    let mut lab = with(|config| {
        (config.limits.max_registrars, config.limits.max_announced) = (2, 1);
    });
    let [second, third] = ["192.0.2.2:3863", "192.0.2.3:3863"].map(|at| at.parse().unwrap());
    for (server, at) in [(2, second), (3, third)] {
        announce(&mut lab, "10.0.0.1:3863", server, vec![Transport::tcp(at)]);
        let stays = lab.pu.registrars_mut(lab.now).add(Registrar::tcp(at));
        assert_eq!(stays.is_ok(), server == 2, "the first beside the configured one");
    }
    assert_eq!((lab.pu.registrars().iter().count(), lab.pu.stats().announced_full), (3, 0));
    assert_eq!(lab.pu.registrars().announced().count(), 1);
}

/// [HUNT-9]: a full list turns newcomers away.
#[test]
fn max_announced() {
    let mut lab = with(|config| config.limits.max_announced = 2);
    for (server, source) in (1..).zip(["10.0.0.1:3863", "10.0.0.2:3863", "10.0.0.3:3863"]) {
        announce(&mut lab, source, server, vec![]);
    }
    assert_eq!(lab.pu.registrars().iter().count(), 1 + 2);
    assert_eq!((lab.pu.stats().announces, lab.pu.stats().announced_full), (3, 1));
}

/// [HUNT-10]: the bar that ends first is forgotten.
#[test]
fn max_barred() {
    let mut lab = with(|config| {
        config.discovery.registrars = lab::config(&FIVE).config.discovery.registrars;
        config.limits.max_barred = 2;
    });
    lab.pu.registrars_mut(lab.now).find_home();
    while let [open, ..] = &lab.opens()[..] {
        lab.pu.handle_closed(lab.now, open.channel, CloseReason::Unauthenticated);
    }
    assert_eq!((lab.pu.stats().registrars_barred, lab.pu.stats().bars_forgotten), (3, 1));
}

/// [RES-3]: after the last repetition everybody who waits is told.
#[test]
fn max_request_retransmit() {
    let (mut lab, _) = at_home(|config| config.resolution.max_request_retransmit = 1);
    let requests = [(); 2].map(|()| lab.pu.resolve(lab.now, POOL).unwrap());
    lab.wait_until(lab.now + secs(30));
    let told: Vec<_> = lab.events().into_iter().map(failed).collect();
    assert_eq!(told, requests.map(|request| (request, ResolveError::NotAnswered)));
    let stats = lab.pu.stats();
    assert_eq!((stats.requests_sent, stats.requests_repeated, stats.requests_failed), (1, 1, 2));
}

/// [RES-11]: one more subscription is refused.
#[test]
fn max_subscriptions() {
    let (mut lab, _) = at_home(|config| config.limits.max_subscriptions = 1);
    lab.pu.subscribe(lab.now, "a").unwrap();
    assert_eq!(lab.pu.subscribe(lab.now, "b"), Err(CommandError::TooManySubscriptions));
}

/// [CACHE-6]: the pool used the longest ago makes room.
#[test]
fn max_pools() {
    let lab = list_pools(1, |config| config.limits.max_pools = 2);
    assert_eq!((lab.pu.pools().count(), lab.pu.stats().cache_evicted), (2, 1));
    assert_eq!(lab.pu.find_pool(b"a"), None);
}

/// [CACHE-7]: as many handles are remembered that no registrar knows.
#[test]
fn max_pools_bounds_the_unknown_ones_too() {
    let (mut lab, home) = at_home(|config| {
        (config.limits.max_pools, config.cache.negative_cache_value) = (2, secs(60));
    });
    for (handle, asked) in [("a", 1), ("b", 1), ("c", 1), ("c", 0), ("b", 0), ("a", 1)] {
        lab.secs(1);
        lab.pu.resolve(lab.now, handle).unwrap();
        assert_eq!(lab.requests().len(), asked, "{handle}");
        if asked > 0 {
            lab.receive(home, &refusal(handle, CauseCode::UNKNOWN_POOL_HANDLE));
        }
        failed(lab.event());
    }
}

/// [CACHE-6]: likewise.
#[test]
fn max_cache_bytes() {
    let lab = list_pools(100, |config| config.limits.max_cache_bytes = 15_000);
    assert!(lab.pu.cache_bytes() <= 15_000, "{}", lab.pu.cache_bytes());
    let all = list_pools(100, |_| {});
    assert!(all.pu.cache_bytes() > 15_000);
    assert_eq!((lab.pu.stats().cache_evicted, all.pu.stats().cache_evicted), (1, 0));
}

/// [CACHE-6]: the first elements of a list count.
#[test]
fn max_elements() {
    let (mut lab, home) = at_home(|config| config.limits.max_elements = 2);
    let pool = lab.pool(home, &three());
    assert_eq!(lab.choose(pool), [1, 2, 1]);
    assert_eq!(lab.pu.stats().elements_cut, 1);
}

/// [TLV-15]: a longer handle is refused to the user; of a peer's, nothing comes.
#[test]
fn max_handle_len() {
    let mut config = mapped();
    config.limits.max_handle_len = POOL.len();
    let (mut lab, _, _, element) = Lab::in_session(config, SessionOptions::default(), &three());
    let long = format!("{POOL}!");
    let error = CommandError::HandleTooLong { len: long.len(), max: POOL.len() };
    assert_eq!(lab.pu.resolve(lab.now, long.as_str()), Err(error));
    lab.receive(element.channel, &Message::business_card(long.as_str(), vec![]));
    assert_eq!((lab.actions(), lab.pu.stats().cards_ignored), (vec![], 1));
}

/// [RES-13]: one more request is refused until an answer has been read, not just given.
#[test]
fn max_requests() {
    let (mut lab, home) = at_home(|config| config.limits.max_requests = 1);
    lab.pu.resolve(lab.now, POOL).unwrap();
    let full = Err(CommandError::TooManyRequests);
    assert_eq!(lab.pu.resolve(lab.now, POOL), full);
    lab.answer(home, POOL, &three());
    assert_eq!(lab.pu.resolve(lab.now, POOL), full);
    lab.event();
    assert!(lab.pu.resolve(lab.now, POOL).is_ok());
}

/// [REPORT-4]: what is over the share of a second waits for the next one.
#[test]
fn max_reports_per_second() {
    let (mut lab, home) = at_home(|config| config.limits.max_reports_per_second = 2);
    let pool = lab.pool(home, &three());
    lab.choose::<3>(pool);
    for element in 1..=3 {
        lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(element)).unwrap();
    }
    assert_eq!((lab.controls().len(), lab.pu.stats().reports_sent), (2, 2));
    assert_eq!(lab.wait(), secs(1));
    assert_eq!((lab.controls().len(), lab.pu.stats().reports_sent), (1, 3));
}

/// [RES-19]: subscriptions ask for no more pools in a second.
#[test]
fn max_requests_per_second() {
    let (mut lab, home) = at_home(|config| config.limits.max_requests_per_second = 2);
    for handle in ["a", "b", "c", "d", "e"] {
        lab.pu.subscribe(lab.now, handle).unwrap();
    }
    for asked in [["a", "b"].as_slice(), &["c", "d"], &["e"]] {
        let requests: Vec<_> = lab.requests().into_iter().map(|(_, handle)| handle).collect();
        assert_eq!(requests, asked);
        asked.iter().for_each(|handle| lab.answer(home, handle, &three()));
        if asked.len() > 1 {
            assert_eq!(lab.wait(), secs(1));
        }
    }
}

/// [REPORT-1] [REPORT-4]: a report too many is dropped.
#[test]
fn max_pending_reports() {
    let (mut lab, home) = at_home(|config| config.limits.max_pending_reports = 1);
    let pool = lab.pool(home, &three());
    lab.choose::<3>(pool);
    lab.fail(home);
    for element in 1..=3 {
        lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(element)).unwrap();
    }
    assert_eq!((lab.pu.stats().failures, lab.pu.stats().reports_dropped), (3, 2));
}

/// [SESSION-13]: one more session is refused until the end of another one has been read.
#[test]
fn max_sessions() {
    let mut lab = with(|config| config.limits.max_sessions = 1);
    let open = |lab: &mut Lab| lab.pu.open_session(lab.now, POOL, SessionOptions::default());
    let session = open(&mut lab).unwrap();
    assert_eq!(open(&mut lab), Err(CommandError::TooManySessions));
    lab.pu.session_mut(lab.now, session).unwrap().abort();
    lab.events();
    assert!(open(&mut lab).is_ok());
}

/// [SESSION-2]: a message too many comes back.
#[test]
fn max_queued_messages() {
    queue_is_full_after("ab", |config| config.limits.max_queued_messages = 2);
}

/// [SESSION-2]: likewise; one that would never fit is refused as such.
#[test]
fn max_queued_bytes() {
    queue_is_full_after("ab", |config| config.limits.max_queued_bytes = 4);
    let mut lab = with(|config| config.limits.max_queued_bytes = 4);
    let session = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    let refused = lab
        .pu
        .session_mut(lab.now, session)
        .unwrap()
        .send("12345", SendOptions::default())
        .unwrap_err();
    assert_eq!(refused.reason, SendErrorReason::TooLong);
}

/// [SESSION-7] [SESSION-8]: a longer cookie is not stored, whoever brings it.
#[test]
fn max_cookie_len() {
    let mut config = mapped();
    config.limits.max_cookie_len = 4;
    let (mut lab, _, session, element) =
        Lab::in_session(config, SessionOptions::default(), &three());
    lab.receive(element.channel, &Message::cookie("1234"));
    lab.receive(element.channel, &Message::cookie("12345"));
    assert_eq!(
        lab.pu.session(session).and_then(|session| session.cookie()),
        None,
        "the former one is out of date"
    );
    assert!(matches!(lab.event(), Event::CookieTooLong { session: of, .. } if of == session));
    assert_eq!((lab.pu.stats().cookies, lab.pu.stats().cookies_too_long), (1, 1));
    let error = CommandError::CookieTooLong { len: 5, max: 4 };
    assert_eq!(
        lab.pu.session_mut(lab.now, session).unwrap().set_cookie(Some("12345".into())),
        Err(error)
    );
}

/// [SESSION-18]: a message that is handed over as often is lost, and its session goes on.
#[test]
fn max_handovers() {
    let mut config = config(&[REGISTRAR]);
    config.sessions.max_handovers = 2;
    let (mut lab, _, session, mut element) =
        Lab::in_session(config, SessionOptions::default(), &three());
    let message = send(&mut lab, session, "deadly", Failover::Unconfirmed);
    for handovers in 1..=2 {
        assert_eq!(lab.data(), [(element.channel, "deadly".to_owned())], "{handovers}");
        lab.fail(element.channel);
        if handovers < 2 {
            element = opens_among(&lab.actions()).remove(0);
            lab.up(element.channel);
            lab.events();
        }
    }
    let events = lab.events();
    let lost = events.iter().find_map(|event| match event {
        Event::Lost { message, reason, .. } => Some((*message, *reason)),
        _ => None,
    });
    assert_eq!(lost, Some((message, UndeliveredReason::TooManyHandovers)), "{events:?}");
    assert!(!events.iter().any(|event| matches!(event, Event::SessionEnded { .. })));
}

/// [SESSION-4]: the session ends, and says why.
#[test]
fn max_rounds() {
    let (mut lab, home) = at_home(|config| config.sessions.max_rounds = 2);
    let session = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    let message = send(&mut lab, session, "hello", Failover::Unsent);
    lab.actions();
    lab.answer(home, POOL, &three());
    for round in 1..=2 {
        for _ in 0..3 {
            let element = opens_among(&lab.actions()).remove(0);
            lab.fail(element.channel);
        }
        // Between two rounds there is a pause, and the registrar is asked again.
        if round < 2 {
            lab.actions();
            lab.wait();
            lab.actions();
            lab.answer(home, POOL, &three());
        }
    }
    assert!(opens_among(&lab.actions()).is_empty(), "as many and no more");
    let [Event::Returned { message: of, .. }, Event::SessionEnded { error, .. }] =
        &lab.events()[..]
    else {
        panic!("a message and the end")
    };
    assert_eq!((*of, error), (message, &Some(SessionError::AllElementsFailed)));
    assert_eq!((lab.pu.stats().failures, lab.pu.stats().messages_returned), (3, 1));
}

/// [SESSION-3]: failovers beyond the burst are put off, by no more than the spread.
#[test]
fn failover_burst() {
    let (mut lab, home) = at_home(|config| config.sessions.failover_burst = 1);
    let pool = lab.pool(home, &three());
    let mut on_the_first = SessionOptions::default();
    on_the_first.element = Some(id(1));
    let mut open = || {
        lab.pu.open_session(lab.now, POOL, on_the_first).unwrap();
        let element = lab.open_one();
        lab.up(element.channel);
        element.channel
    };
    let channels = [open(), open(), open()];
    lab.events();
    for channel in channels {
        lab.fail(channel);
    }
    assert_eq!(opens_among(&lab.actions()).len(), 1);
    assert_eq!(lab.pu.stats().failovers_spread, 2);
    let began = lab.now;
    let mut later = 0;
    while later < 2 {
        lab.wait();
        later += opens_among(&lab.actions()).len();
    }
    assert!(lab.now - began <= secs(1));
    assert!(lab.pu.pool(pool).is_some());
}

/// [SESSION-15]: what is over the window stays in the queue.
#[test]
fn window_messages() {
    window_is_full_after(2, |config| config.limits.window_messages = 2);
}

/// [SESSION-15]: likewise.
#[test]
fn window_bytes() {
    window_is_full_after(2, |config| config.limits.window_bytes = 4);
}

/// [SESSION-9]: the first elements of a card count.
#[test]
fn max_card_elements() {
    let mut config = mapped();
    config.limits.max_card_elements = 1;
    let (mut lab, _, _, first) = Lab::in_session(config, SessionOptions::default(), &three());
    lab.receive(first.channel, &Message::business_card(POOL, vec![element(3), element(2)]));
    assert_eq!((lab.pu.stats().cards, lab.pu.stats().card_elements_cut), (1, 1));
    assert_eq!(fail_over(&mut lab, &first).to, "10.0.0.3:7".parse().unwrap());
}

/// [CORE-9]: what the application leaves unread beyond it is dropped, and told.
#[test]
fn max_unread_bytes() {
    let mut config = mapped();
    config.limits.max_unread_bytes = 1_000;
    let (mut lab, _, session, element) =
        Lab::in_session(config, SessionOptions::default(), &three());
    for _ in 0..3 {
        lab.pu.handle_data(lab.now, element.channel, &[0; 600]);
    }
    let events = lab.events();
    let [Event::Received { .. }, Event::Dropped { session: of, messages: 2, .. }] = events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(of, session);
    assert_eq!((lab.pu.stats().messages_received, lab.pu.stats().messages_dropped), (1, 2));
}

/// [TLV-21]: a stream that announces a longer message is given up.
#[test]
fn max_message_len() {
    for (length, broken) in [(64, 0), (68, 1)] {
        let (mut lab, home) = at_home(|config| config.limits.max_message_len = 64);
        lab.pu.handle_stream(lab.now, home, &[0x06, 0, 0, length]);
        assert_eq!((lab.pu.stats().broken_streams, lab.actions().len()), (broken, broken as usize));
    }
}

/// [CORE-9]: what a driver that does not poll leaves waiting beyond it is dropped; T1 makes good for
/// it. A peer cannot fill more than that with what it has reported back to it.
#[test]
fn max_control_bytes() {
    let request = 20 + size_of::<bytes::Bytes>();
    let (mut lab, home) = at_home(|config| config.limits.max_control_bytes = 2 * request + 1);
    for handle in ["a", "b", "c"] {
        lab.pu.resolve(lab.now, handle).unwrap();
    }
    assert_eq!((lab.requests().len(), lab.pu.stats().control_dropped), (2, 1));
    assert_eq!(lab.pu.stats().requests_sent, 2, "what was dropped was not sent");
    lab.wait();
    assert_eq!(lab.pu.stats().control_dropped, 2, "two of three have room");
    assert_eq!(lab.controls().len(), 2);
    lab.answer(home, "c", &three());
    resolved(lab.event());

    let (mut lab, home) = at_home(|config| config.limits.max_control_bytes = 10_000);
    let mut unknown = vec![0; 4_000];
    unknown[..4].copy_from_slice(&[0x4f, 0, 0x0f, 0xa0]);
    for _ in 0..3 {
        lab.pu.handle_control(lab.now, home, &unknown);
    }
    assert_eq!((lab.pu.stats().errors_sent, lab.pu.stats().control_dropped), (2, 1));
    lab.pu.handle_closed(lab.now, home, CloseReason::Closed);
    assert!(lab.actions().is_empty(), "what waited went with its channel");
    lab.pu.resolve(lab.now, POOL).unwrap();
    let again = lab.open_one().channel;
    lab.up(again);
    lab.pu.handle_control(lab.now, again, &unknown);
    lab.pu.handle_control(lab.now, again, &unknown);
    assert_eq!((lab.actions().len(), lab.pu.stats().control_dropped), (3, 1), "and left room");
}

/// [TLV-8]: one more ASAP_ERROR in ten seconds is suppressed.
#[test]
fn max_error_reports() {
    let (mut lab, home) = at_home(|config| config.limits.max_error_reports = 1);
    let unknown = [0x4f, 0, 0, 4];
    for _ in 0..3 {
        lab.pu.handle_control(lab.now, home, &unknown);
    }
    assert_eq!(lab.controls().len(), 1);
    assert_eq!((lab.pu.stats().errors_sent, lab.pu.stats().errors_suppressed), (1, 2));
    lab.now += Duration::from_secs(10);
    lab.pu.handle_control(lab.now, home, &unknown);
    assert_eq!(lab.controls().len(), 1);
}

/// A pool user with a home and three pools that it lists.
fn list_pools(elements: u32, limit: impl FnOnce(&mut Setup)) -> Lab {
    let (mut lab, home) = at_home(limit);
    let elements: Vec<_> = (0..elements).map(element).collect();
    for handle in ["a", "b", "c"] {
        lab.pu.resolve(lab.now, handle).unwrap();
        lab.actions();
        lab.answer(home, handle, &elements);
        resolved(lab.event());
    }
    lab
}

/// A session that has no element takes two messages `data` and gives back the third.
fn queue_is_full_after(data: &'static str, limit: impl FnOnce(&mut Setup)) {
    let mut lab = with(limit);
    let session = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    for _ in 0..2 {
        send(&mut lab, session, data, Failover::Unsent);
    }
    let refused = lab
        .pu
        .session_mut(lab.now, session)
        .unwrap()
        .send(data, SendOptions::default())
        .unwrap_err();
    let full =
        matches!(refused.reason, SendErrorReason::QueueFull { waiting: 2, unsettled: 0, .. });
    assert!(full && refused.data == data, "{refused:?}");
}

/// A session hands over so many messages of two bytes and keeps the rest.
fn window_is_full_after(messages: usize, limit: impl FnOnce(&mut Setup)) {
    let mut config = config(&[REGISTRAR]);
    config.confirm(Confirms::Written);
    limit(&mut config);
    let (mut lab, _, session, _) = Lab::in_session(config, SessionOptions::default(), &three());
    for _ in 0..4 {
        send(&mut lab, session, "ab", Failover::Unsent);
    }
    assert_eq!((lab.data().len(), lab.pu.stats().messages_sent), (messages, messages as u64));
    assert_eq!(lab.pu.session(session).map(|session| session.queued()), Some(4 - messages));
}

/// The fields of a structure, with their values, as its `Debug` output tells them.
fn fields(structure: &impl Debug) -> Vec<(String, String)> {
    let text = format!("{structure:#?}");
    let field = |line: &str| {
        let (name, value) = line.trim_start().split_once(": ")?;
        Some((name.to_owned(), value.trim_end_matches(',').to_owned()))
    };
    text.lines().filter_map(field).collect()
}
