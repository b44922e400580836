//! What the cache costs: few bytes for an element, and it knows how many.

mod lab;

use allocation_counter::measure;
use asap_pu::wire::{Message, OverallPolicy, PolicyType};
use lab::*;

const POLICIES: [PolicyType; 9] = [
    PolicyType::ROUND_ROBIN,
    PolicyType::WEIGHTED_ROUND_ROBIN,
    PolicyType::RANDOM,
    PolicyType::WEIGHTED_RANDOM,
    PolicyType::PRIORITY,
    PolicyType::LEAST_USED,
    PolicyType::LEAST_USED_DEGRADATION,
    PolicyType::PRIORITY_LEAST_USED,
    PolicyType::RANDOMIZED_LEAST_USED,
];

/// A pool user with `pools` of `elements` each.
fn cached(pools: usize, elements: u32) -> Lab {
    cached_by(pools, elements, PolicyType::ROUND_ROBIN, 200_000)
}

/// The same by a policy, after a choice from each, where at most so many are kept.
fn cached_by(pools: usize, elements: u32, policy: PolicyType, max_pools: usize) -> Lab {
    let mut config = config(&[REGISTRAR]);
    config.limits.max_pools = max_pools;
    config.limits.max_cache_bytes = 1 << 30;
    let (mut lab, home) = Lab::at_home_with(config);
    let elements: Vec<_> = (0..elements).map(element).collect();
    for n in 0..pools {
        let handle = format!("pool {n:06}");
        lab.pu.resolve(lab.now, handle.as_str()).unwrap();
        lab.actions();
        let list = elements.clone();
        let policy = OverallPolicy::new(policy, Default::default());
        lab.receive(home, &Message::handle_resolution_response(&*handle, Some(policy), list));
        let (_, pool) = resolved(lab.event());
        lab.pu.pool_mut(lab.now, pool).unwrap().select(&[]).unwrap();
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
    assert!(pool <= 500.0, "{pool} bytes a pool, with what is remembered of its resolution");
    let claimed = (two.1 - one.1) / 128_000.0;
    assert!((claimed - element).abs() < 2.0, "{claimed} claimed");
}

/// [CORE-13] [CACHE-6]: what `cache_bytes` says is what is held, within a tenth, for pools of one
/// element to a thousand, by every policy; and a pool of one takes little.
#[test]
fn what_is_claimed_is_held() {
    let (mut told, mut is_true, mut is_small) = (String::new(), true, true);
    for policy in POLICIES {
        for (pools, elements) in [(1_000, 1), (500, 3), (100, 30), (8, 1_000)] {
            let kept = |max_pools| {
                let mut lab = None;
                let info = measure(|| lab = Some(cached_by(pools, elements, policy, max_pools)));
                let claimed = lab.map_or(0, |lab| lab.pu.cache_bytes());
                [info.bytes_current as f64, claimed as f64, info.count_current as f64]
            };
            // What else was asked for and kept is the same in both.
            let (all, one) = (kept(pools), kept(1));
            let [held, claimed, blocks] =
                [0, 1, 2].map(|at| (all[at] - one[at]) / (pools - 1) as f64);
            told += &format!(
                "{policy:?} {elements}: {held:.0} held, {claimed:.0} claimed, {blocks:.1} blocks\n"
            );
            is_true &= (claimed / held - 1.0).abs() < 0.1;
            if elements == 1 {
                is_small &= held <= 400.0 && blocks < 2.1;
            }
        }
    }
    println!("{told}");
    assert!(is_true, "more than a tenth from what is held");
    assert!(is_small, "a pool of one in more than 400 bytes or two blocks");
}
