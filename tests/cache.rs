//! The cache: freshness, staleness, bounds, what a new list keeps (RFC 5352 §3.3 C1–C4, §6.3,
//! §6.4).
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

mod lab;

use core::time::Duration;
use std::collections::BTreeSet;

use asap_pu::wire::{
    CauseCode, Message, OverallPolicy, PeIdentifier, Policy, PolicyType, PoolElement, Transport,
};
use asap_pu::{Action, CommandError, Event, ResolveError, StaleAnswers};
use lab::*;

/// [CACHE-1] [CACHE-2]: a fresh pool is served without a message; a stale one is served and
/// refreshed [CACHE-3].
#[test]
fn the_cache_is_asked_first() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.answer(home, POOL, &[element(1)]);
    let (_, pool) = resolved(lab.event());
    lab.secs(29);
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert!(matches!(lab.event(), Event::Resolved { pool: of, stale: false, .. } if of == pool));
    assert!(lab.actions().is_empty());
    lab.secs(1);
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert!(matches!(lab.event(), Event::Resolved { pool: of, stale: true, .. } if of == pool));
    assert_eq!(lab.requests(), [(home, POOL.into())]);
    lab.answer(home, POOL, &[element(1), element(2)]);
    assert!(lab.events().is_empty(), "nobody waited");
    assert_eq!(lab.pu.pool(pool).unwrap().elements().len(), 2);
    let stats = lab.pu.stats();
    assert_eq!((stats.cache_misses, stats.cache_hits, stats.cache_stale), (1, 1, 1));
}

/// [CACHE-2] [CACHE-3]: by configuration a stale pool is held back until it is refreshed, and with a
/// stale timeout of zero every pool is stale.
#[test]
fn a_stale_pool_can_be_held_back() {
    let mut config = config(&[REGISTRAR]);
    config.cache.stale_answers = StaleAnswers::Withheld;
    config.cache.stale_cache_value = Duration::ZERO;
    let (mut lab, home) = Lab::at_home_with(config);
    for _ in 0..2 {
        lab.pu.resolve(lab.now, POOL).unwrap();
        assert_eq!(lab.requests().len(), 1);
        assert!(lab.events().is_empty());
        lab.answer(home, POOL, &[element(1)]);
        assert!(matches!(lab.event(), Event::Resolved { stale: false, .. }));
        lab.secs(1);
    }
}

/// [CACHE-6]: the pool used the longest ago makes room; a pool with a session never does.
#[test]
fn the_cache_is_bounded() {
    let mut config = config(&[REGISTRAR]);
    config.limits.max_pools = 3;
    let (mut lab, home) = Lab::at_home_with(config);
    lab.pu.open_session(lab.now, "pinned", Default::default()).unwrap();
    let store = |lab: &mut Lab, handle: &str| {
        if handle != "pinned" {
            lab.pu.resolve(lab.now, handle).unwrap();
        }
        lab.answer(home, handle, &[element(1)]);
        lab.pu.find_pool(handle.as_bytes()).unwrap()
    };
    lab.actions();
    store(&mut lab, "pinned");
    let a = store(&mut lab, "a");
    store(&mut lab, "b");
    lab.pu.pool_mut(lab.now, a).unwrap().select(&[]).unwrap();
    store(&mut lab, "c");
    let kept =
        ["pinned", "a", "b", "c"].map(|handle| lab.pu.find_pool(handle.as_bytes()).is_some());
    assert_eq!(kept, [true, true, false, true]);
    assert_eq!(lab.pu.stats().cache_evicted, 1);
}

/// [CACHE-6]: elements beyond the limit are left out, the first ones count; repeated identifiers
/// likewise.
#[test]
fn a_pool_is_bounded() {
    let mut config = config(&[REGISTRAR]);
    config.limits.max_elements = 4;
    let (mut lab, home) = Lab::at_home_with(config);
    lab.pu.resolve(lab.now, POOL).unwrap();
    let ids = [5, 0, 5, 3, 9, 7, 8];
    let mut elements = ids.map(element).to_vec();
    elements[2].transport = Transport::tcp("10.9.9.9:7".parse().unwrap());
    lab.answer(home, POOL, &elements);
    let (_, pool) = resolved(lab.event());
    let found: Vec<_> = (lab.pu.pool(pool).unwrap().elements())
        .map(|e| (e.identifier().get(), e.transport().addresses().next().unwrap().to_string()))
        .collect();
    assert_eq!(found, [(5, "10.0.0.5".into()), (0, "10.0.0.0".into()), (3, "10.0.0.3".into())]);
    assert_eq!((lab.pu.stats().elements_dropped, lab.pu.stats().elements_cut), (1, 3));
    let chosen: Vec<_> = (0..4)
        .map(|_| lab.pu.pool_mut(lab.now, pool).unwrap().select(&[]).unwrap().identifier().get())
        .collect();
    assert_eq!(chosen, [5, 0, 3, 5]);
}

/// [CACHE-6]: the bytes of all lists are bounded too; a pool that is alone over the limit is kept
/// for who asked for it.
#[test]
fn the_bytes_of_the_cache_are_bounded() {
    let mut config = config(&[REGISTRAR]);
    config.limits.max_cache_bytes = 20_000;
    let (mut lab, home) = Lab::at_home_with(config);
    let elements: Vec<_> = (0..100).map(element).collect();
    for n in 0..10 {
        let handle = format!("pool {n}");
        lab.pu.resolve(lab.now, handle.as_str()).unwrap();
        lab.answer(home, &handle, &elements);
        assert!(lab.pu.cache_bytes() <= 20_000);
    }
    let kept: Vec<_> = lab.pu.pools().map(|(_, pool)| pool.handle().to_string()).collect();
    assert_eq!(BTreeSet::from_iter(kept), ["pool 7", "pool 8", "pool 9"].map(String::from).into());
    assert_eq!(lab.pu.stats().cache_evicted, 7);

    lab.pu.resolve(lab.now, "large").unwrap();
    let elements: Vec<_> = (0..500).map(element).collect();
    lab.answer(home, "large", &elements);
    assert_eq!(lab.pu.pools().count(), 1);
    assert!(matches!(lab.events().last(), Some(Event::Resolved { .. })));
}

/// [CACHE-4] [RES-20]: a pool can be fetched before anyone needs it, is not fetched twice, and it is
/// told when it is there.
#[test]
fn a_pool_can_be_fetched_ahead() {
    let (mut lab, home) = Lab::at_home();
    let ahead = [(); 2].map(|()| lab.pu.populate(lab.now, POOL).unwrap());
    assert_eq!(lab.requests(), [(home, POOL.into())]);
    lab.answer(home, POOL, &[element(1)]);
    let told: Vec<_> = lab.events().into_iter().map(|event| resolved(event).0).collect();
    assert_eq!(told, ahead);
    lab.secs(29);
    let ahead = lab.pu.populate(lab.now, POOL).unwrap();
    assert_eq!(resolved(lab.event()).0, ahead, "it is there");
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert!(lab.actions().is_empty());
    assert!(matches!(lab.event(), Event::Resolved { stale: false, .. }));
    lab.secs(1);
    lab.pu.populate(lab.now, POOL).unwrap();
    assert_eq!(lab.requests().len(), 1, "the list was stale");
    assert_eq!(lab.events(), [], "and is waited for");
    lab.receive(home, &refusal(POOL, CauseCode::new(0x5)));
    failed(lab.event());
}

/// [RES-20]: a pool can be fetched anew although its list is fresh; the answer goes to everybody who
/// waits, and an impatient application does not outrun `resolution_interval`.
#[test]
fn a_refresh_can_be_forced() {
    let (mut lab, home) = Lab::at_home();
    lab.pool(home, &[element(1)]);
    lab.secs(5);
    let forced = [(); 2].map(|()| lab.pu.refresh(lab.now, POOL).unwrap());
    assert_eq!(lab.requests(), [(home, POOL.into())]);
    lab.answer(home, POOL, &[element(2)]);
    let told: Vec<_> = lab.events().into_iter().map(|event| resolved(event).0).collect();
    assert_eq!(told, forced);
    let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
    assert_eq!(lab.choose(pool), [2]);
    lab.pu.refresh(lab.now, POOL).unwrap();
    assert!(lab.actions().is_empty());
    lab.wait();
    assert_eq!(lab.requests(), [(home, POOL.into())]);
    assert_eq!(lab.pu.stats().requests_paused, 1);
    lab.pu.cancel(lab.now, forced[0]).unwrap_err();
}

/// [CACHE-4] [CORE-6]: pools fetched ahead count as requests.
#[test]
fn fetching_ahead_is_bounded() {
    let mut config = config(&[REGISTRAR]);
    config.limits.max_requests = 2;
    let mut lab = Lab::new(config);
    lab.pu.populate(lab.now, "a").unwrap();
    lab.pu.populate(lab.now, "b").unwrap();
    assert_eq!(lab.pu.populate(lab.now, "c"), Err(CommandError::TooManyRequests));
}

/// [CACHE-4]: one pool or all can be forgotten; a session that uses one goes on with it.
#[test]
fn pools_can_be_forgotten() {
    let options = Default::default();
    let (mut lab, _, session, _) =
        Lab::in_session(config(&[REGISTRAR]), options, &[element(1), element(2)]);
    let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
    lab.pu.pool_mut(lab.now, pool).unwrap().purge();
    assert_eq!(lab.pu.pool_mut(lab.now, pool).err(), Some(CommandError::UnknownPool));
    assert_eq!(lab.pu.find_pool(POOL.as_bytes()), None);
    lab.pu.session_mut(lab.now, session).unwrap().give_up().unwrap();
    let actions = lab.actions();
    let next = actions.into_iter().find(|action| matches!(action, Action::Open { .. }));
    assert_eq!(opened(next.unwrap()).to, "10.0.0.2:7".parse().unwrap());
    lab.pu.session_mut(lab.now, session).unwrap().abort();
    assert_eq!(lab.pu.pools().count(), 0, "the last one who held it let go");

    let (mut lab, home) = Lab::at_home();
    for handle in ["a", "b"] {
        lab.pu.resolve(lab.now, handle).unwrap();
        lab.answer(home, handle, &[element(1)]);
    }
    lab.pu.purge_all();
    assert_eq!((lab.pu.pools().count(), lab.pu.cache_bytes()), (0, 0));
}

/// [CACHE-7]: that there is no such pool is forgotten at once, or remembered for as long as the
/// configuration says.
#[test]
fn unknown_handles_may_be_remembered() {
    for (remembered, asked) in [(0, 2), (10, 1)] {
        let mut config = config(&[REGISTRAR]);
        config.cache.negative_cache_value = secs(remembered);
        let (mut lab, home) = Lab::at_home_with(config);
        let mut sent = 0;
        for _ in 0..2 {
            let request = lab.pu.resolve(lab.now, "nowhere").unwrap();
            let requests = lab.requests().len();
            sent += requests;
            if requests > 0 {
                lab.receive(home, &refusal("nowhere", CauseCode::UNKNOWN_POOL_HANDLE));
            }
            assert_eq!(failed(lab.event()), (request, ResolveError::UnknownPoolHandle));
            lab.secs(9);
        }
        assert_eq!((sent, lab.pu.stats().cache_unknown), (asked, 2 - asked as u64));
        lab.pu.resolve(lab.now, "nowhere").unwrap();
        assert_eq!(lab.requests().len(), 1, "18 s later");
    }
}

/// [CACHE-8]: a stale pool that cannot be refreshed is kept, and served as what it is where the
/// configuration says so; else who waited gets the error.
#[test]
fn a_refresh_may_fail() {
    for (stale_answers, served) in [(StaleAnswers::Fallback, true), (StaleAnswers::Withheld, false)]
    {
        let mut config = config(&[REGISTRAR]);
        config.cache.stale_answers = stale_answers;
        let (mut lab, home) = Lab::at_home_with(config);
        let pool = lab.pool(home, &[element(1)]);
        lab.secs(30);
        let request = lab.pu.resolve(lab.now, POOL).unwrap();
        assert_eq!(lab.events(), []);
        lab.wait_until(lab.now + secs(45));
        match (served, lab.event()) {
            (true, Event::Resolved { pool: of, stale: true, .. }) => assert_eq!(of, pool),
            (true, other) => panic!("{other:?}"),
            (false, event) => assert_eq!(failed(event), (request, ResolveError::NotAnswered)),
        }
        assert_eq!(lab.pu.find_pool(POOL.as_bytes()), Some(pool), "kept in both cases");
    }
}

/// [CACHE-8]: a registrar that knows the pool no longer makes it go; its session goes on, and a new
/// list finds the pool in its place, with the failure mark that it had [CACHE-5].
#[test]
fn a_pool_may_disappear() {
    let options = Default::default();
    let elements = [1, 2, 3].map(element);
    let (mut lab, home, session, _) = Lab::in_session(config(&[REGISTRAR]), options, &elements);
    let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
    assert_eq!(lab.choose(pool), [2]);
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(PeIdentifier::new(2)).unwrap();
    lab.secs(30);
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.receive(home, &refusal(POOL, CauseCode::UNKNOWN_POOL_HANDLE));
    lab.events();
    assert_eq!(lab.pu.find_pool(POOL.as_bytes()), None);
    assert_eq!(
        lab.pu.session(session).and_then(|session| session.element()),
        Some(PeIdentifier::new(1))
    );

    lab.secs(1);
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.answer(home, POOL, &elements);
    assert_eq!(resolved(lab.event()).1, pool);
    assert_eq!(lab.choose(pool), [3, 1, 3], "2 is marked");
}

/// [CACHE-5]: a refresh keeps the turn, the marks of elements that stayed and of those that were
/// absent for a while, and what may be reported; an element that moved is given a new chance; new
/// ones join.
#[test]
fn a_refresh_keeps_what_must_survive() {
    let (mut lab, home) = Lab::at_home();
    let pool = lab.pool(home, &[1, 2, 3].map(element));
    let refresh = |lab: &mut Lab, elements: &[PoolElement]| {
        lab.secs(30);
        lab.pu.populate(lab.now, POOL).unwrap();
        lab.actions();
        lab.answer(home, POOL, elements);
    };
    lab.pu.pool_mut(lab.now, pool).unwrap().select(&[]).unwrap();
    refresh(&mut lab, &[1, 2, 3, 4].map(element));
    assert_eq!(lab.choose(pool), [2, 3, 4, 1], "the turn goes on behind 1");

    let two = PeIdentifier::new(2);
    refresh(&mut lab, &[1, 3].map(element));
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(two).unwrap();
    assert_eq!(lab.pu.stats().failures, 1, "it was used, although it is not listed at present");
    refresh(&mut lab, &[1, 2, 3].map(element));
    assert!(lab.pu.pool(pool).unwrap().is_marked(lab.now, two), "absence ends no mark");
    assert!(!lab.choose::<6>(pool).contains(&2));

    lab.pu.pool_mut(lab.now, pool).unwrap().trust(two);
    assert!(lab.choose::<3>(pool).contains(&2), "the user's word does");
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(two).unwrap();
    let mut moved = element(2);
    moved.transport = element(9).transport;
    refresh(&mut lab, &[element(1), moved]);
    assert!(lab.choose::<2>(pool).contains(&2), "so does another address");
}

/// [CACHE-9]: a pool can be listed: who is in it, where, with what values, and who failed.
#[test]
fn a_pool_can_be_listed() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    let weighted = |id, weight| {
        let mut element = element(id);
        element.policy = Policy::WeightedRandom { weight };
        element
    };
    let policy = OverallPolicy::new(PolicyType::WEIGHTED_RANDOM, Default::default());
    let elements = vec![weighted(1, 10), weighted(2, 20), element(3)];
    lab.receive(home, &Message::handle_resolution_response(POOL, Some(policy), elements));
    let (_, pool) = lab.events().pop().map(resolved).unwrap();
    while lab.choose(pool) != [2] {}
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(PeIdentifier::new(2)).unwrap();
    let (_, pool) = lab.pu.pools().next().unwrap();
    let listed: Vec<_> = pool
        .elements()
        .map(|e| {
            let at = e.transport().to_owned().socket_addrs().next().unwrap().to_string();
            (e.identifier().get(), at, e.member().value, pool.is_marked(lab.now, e.identifier()))
        })
        .collect();
    assert_eq!(
        listed,
        [
            (1, "10.0.0.1:7".into(), 10, false),
            (2, "10.0.0.2:7".into(), 20, true),
            (3, "10.0.0.3:7".into(), 1, false),
        ]
    );
}

/// [CACHE-6] [CORE-7]: where sessions hold every pool, a new one is kept beside the limit and counted.
#[test]
fn held_pools_are_kept_beside_the_limit() {
    let mut config = config(&[REGISTRAR]);
    config.limits.max_pools = 1;
    let (mut lab, home) = Lab::at_home_with(config);
    for handle in ["a", "b"] {
        lab.pu.open_session(lab.now, handle, Default::default()).unwrap();
        lab.actions();
        lab.answer(home, handle, &[element(1)]);
    }
    assert_eq!((lab.pu.pools().count(), lab.pu.stats().cache_overfull), (2, 1));
    for handle in ["c", "d"] {
        lab.pu.resolve(lab.now, handle).unwrap();
        lab.actions();
        lab.answer(home, handle, &[element(1)]);
    }
    assert_eq!((lab.pu.pools().count(), lab.pu.stats().cache_evicted), (3, 1));
}

/// [CORE-6] [CORE-7] [REPORT-5]: where more elements failed than a pool may have, the mark that is
/// the oldest is forgotten, and that is counted.
#[test]
fn the_oldest_of_too_many_marks_is_forgotten() {
    let mut config = config(&[REGISTRAR]);
    config.limits.max_elements = 2;
    config.cache.stale_answers = StaleAnswers::Withheld;
    let (mut lab, home) = Lab::at_home_with(config);
    let pool = lab.pool(home, &[element(9), element(8)]);
    lab.choose::<2>(pool);
    for failed in [9, 8] {
        lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(failed)).unwrap();
        lab.secs(1);
    }
    lab.secs(30);
    lab.actions();
    assert_eq!(lab.pool(home, &[element(1), element(2)]), pool);
    lab.choose::<1>(pool);
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(1)).unwrap();
    let marked = |n| lab.pu.pool(pool).unwrap().is_marked(lab.now, id(n));
    assert_eq!([9, 8, 1].map(marked), [false, true, true]);
    assert_eq!(lab.pu.stats().marks_forgotten, 1);
}

/// [CACHE-4] [CACHE-7]: all is forgotten, also what is not there.
#[test]
fn unknown_handles_are_forgotten_with_all_pools() {
    let mut config = config(&[REGISTRAR]);
    config.cache.negative_cache_value = secs(60);
    let (mut lab, home) = Lab::at_home_with(config);
    for asked in [1, 0] {
        lab.pu.resolve(lab.now, "nowhere").unwrap();
        assert_eq!(lab.requests().len(), asked);
        lab.receive(home, &refusal("nowhere", CauseCode::UNKNOWN_POOL_HANDLE));
        lab.events();
        lab.secs(1);
    }
    lab.pu.purge_all();
    lab.pu.resolve(lab.now, "nowhere").unwrap();
    assert_eq!(lab.requests().len(), 1);
}
