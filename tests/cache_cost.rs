//! What the cache costs: few bytes for an element, and it knows how many.

mod lab;

use allocation_counter::measure;
use lab::*;

/// A pool user with `pools` of `elements` each.
fn cached(pools: usize, elements: u32) -> Lab {
    let mut config = config(&[REGISTRAR]);
    config.max_pools = 200_000;
    config.max_cache_bytes = 1 << 30;
    let (mut lab, home) = Lab::at_home_with(config);
    let elements: Vec<_> = (0..elements).map(element).collect();
    for n in 0..pools {
        let handle = format!("pool {n:06}");
        lab.pu.resolve(lab.now, handle.as_str()).unwrap();
        lab.actions();
        lab.answer(home, &handle, &elements);
        resolved(lab.event());
    }
    lab
}

/// [CACHE-6]: an element with one IPv4 address takes 64 bytes at most, and `cache_bytes` says what
/// all of them take.
#[test]
fn an_element_takes_few_bytes() {
    let kept = |pools, elements| {
        let mut lab = None;
        let info = measure(|| lab = Some(cached(pools, elements)));
        let claimed = lab.map_or(0, |lab| lab.pu.cache_bytes());
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
