//! What the cache costs: no allocation for a hit, few bytes for an element.

mod lab;

use allocation_counter::measure;
use asap_pu::wire::PoolHandle;
use asap_pu::{Event, PoolId};
use lab::*;

/// A pool user with `pools` of `elements` each, the last of which has this handle and name.
fn cached(pools: usize, elements: u32) -> (Lab, PoolHandle, PoolId) {
    let mut config = config(&[REGISTRAR]);
    config.max_pools = 200_000;
    config.max_cache_bytes = 1 << 30;
    let (mut lab, home) = Lab::at_home_with(config);
    let elements: Vec<_> = (0..elements).map(element).collect();
    let mut last = None;
    for n in 0..pools {
        let handle = format!("pool {n:06}");
        lab.pu.resolve(lab.now, handle.as_str()).unwrap();
        lab.actions();
        lab.answer(home, &handle, &elements);
        last = Some((PoolHandle::from(handle.as_str()), resolved(lab.event()).1));
    }
    let (handle, pool) = last.unwrap();
    (lab, handle, pool)
}

/// [CACHE-1] [CORE-8] [SELECT-10]: a hit, a choice and idle polling allocate nothing.
#[test]
fn a_hit_allocates_nothing() {
    let (mut lab, handle, pool) = cached(1_000, 10);
    let mut hits = || {
        for _ in 0..1_000 {
            let request = lab.pu.resolve(lab.now, handle.clone()).unwrap();
            let told = lab.pu.poll_event();
            assert!(matches!(told, Some(Event::Resolved { request: of, .. }) if of == request));
            lab.pu.select(lab.now, pool, &[]).unwrap();
            lab.pu.handle_timeout(lab.now);
            assert!(lab.pu.poll_action().is_none() && lab.pu.poll_timeout().is_none());
        }
    };
    hits();
    assert_eq!(measure(hits).count_total, 0);
}

/// [CACHE-6]: an element with one IPv4 address takes 64 bytes at most, and `cache_bytes` says what
/// all of them take.
#[test]
fn an_element_takes_few_bytes() {
    let kept = |pools, elements| {
        let mut lab = None;
        let info = measure(|| lab = Some(cached(pools, elements)));
        let claimed = lab.map_or(0, |(lab, ..)| lab.pu.cache_bytes());
        (info.bytes_current as f64, claimed as f64)
    };
    let (one, two, three) = (kept(1_000, 1), kept(1_000, 129), kept(2_000, 1));
    let element = (two.0 - one.0) / 128_000.0;
    let pool = (three.0 - one.0) / 1_000.0;
    println!("{element:.1} bytes an element, {pool:.0} a pool with one element");
    assert!(element <= 64.0, "{element} bytes an element");
    assert!(pool <= 1_000.0, "{pool} bytes a pool");
    let claimed = (two.1 - one.1) / 128_000.0;
    assert!((claimed - element).abs() < 2.0, "{claimed} claimed");
}
