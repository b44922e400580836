//! The cache: freshness, staleness, bounds, what a new list keeps (RFC 5352 §3.3 C1–C4, §6.3, §6.4).

mod lab;

use core::time::Duration;

use asap_pu::wire::{CauseCode, PeIdentifier, Transport};
use asap_pu::{Event, StaleAnswers};
use lab::*;

/// [CACHE-1] [CACHE-2]: a fresh pool is served without a message; a stale one is served and refreshed [CACHE-3].
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

/// [CACHE-3]: by configuration a stale pool is held back until it is refreshed.
#[test]
fn a_stale_pool_can_be_held_back() {
    let mut config = config(&[REGISTRAR]);
    config.stale_answers = StaleAnswers::Withheld;
    config.stale_cache_value = Duration::ZERO;
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
    config.max_pools = 3;
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
    lab.pu.select(lab.now, a, &[]).unwrap();
    store(&mut lab, "c");
    let kept =
        ["pinned", "a", "b", "c"].map(|handle| lab.pu.find_pool(handle.as_bytes()).is_some());
    assert_eq!(kept, [true, true, false, true]);
    assert_eq!(lab.pu.stats().cache_evicted, 1);
}

/// [CACHE-6]: elements beyond the limit are left out, the first ones count; repeated identifiers likewise.
#[test]
fn a_pool_is_bounded() {
    let mut config = config(&[REGISTRAR]);
    config.max_elements = 4;
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
    let chosen: Vec<_> =
        (0..4).map(|_| lab.pu.select(lab.now, pool, &[]).unwrap().identifier().get()).collect();
    assert_eq!(chosen, [5, 0, 3, 5]);
}
