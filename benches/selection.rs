//! What a choice costs: `selection/pick`, with a refresh before every so many choices
//! `selection/refresh_then_k`, and with failed members `selection/failover`.
//!
//! Weights, priorities and loads are from 1 to 100. `peers/` measures the same beside what others
//! offer.
#![allow(missing_docs, reason = "criterion's macro documents nothing")]

use core::hint::black_box;
use core::time::Duration;

use asap_pu::Rng;
use asap_pu::selection::{Member, PolicyKind, Selector};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const POLICIES: [(&str, PolicyKind); 9] = [
    ("rr", PolicyKind::RoundRobin),
    ("wrr", PolicyKind::WeightedRoundRobin),
    ("rand", PolicyKind::Random),
    ("wrand", PolicyKind::WeightedRandom),
    ("prio", PolicyKind::Priority),
    ("lu", PolicyKind::LeastUsed),
    ("lud", PolicyKind::LeastUsedDegradation),
    ("plu", PolicyKind::PriorityLeastUsed),
    ("rlu", PolicyKind::RandomizedLeastUsed),
];
const SIZES: [usize; 6] = [4, 16, 64, 256, 1024, 10_000];

fn members(n: usize, seed: u64) -> Vec<Member> {
    let mut rng = Rng::new(seed);
    (0..n as u32)
        .map(|id| Member::new(id, 1 + rng.below(100) as u32).with_degradation(10))
        .collect()
}

fn pick(criterion: &mut Criterion) {
    for (name, policy) in POLICIES {
        let mut group = criterion.benchmark_group(format!("selection/pick/{name}"));
        for n in SIZES {
            let mut selector = Selector::new();
            selector.refresh(policy, &members(n, 1));
            let mut rng = Rng::new(1);
            group.bench_function(BenchmarkId::from_parameter(n), |bencher| {
                bencher.iter(|| selector.pick(&mut rng, |_| false));
            });
        }
    }
}

/// What a pool user does: a list from the registrar, then so many choices. Each list has other
/// values.
fn refresh_then_k(criterion: &mut Criterion) {
    for (name, policy) in POLICIES {
        let mut group = criterion.benchmark_group(format!("selection/refresh_then_k/{name}"));
        for n in [4, 16, 128, 1024] {
            let lists = [members(n, 1), members(n, 2)];
            for k in [1, 10, 100, 1000] {
                let mut selector = Selector::new();
                let mut rng = Rng::new(1);
                let mut round = 0;
                group.bench_function(BenchmarkId::from_parameter(format!("{n}/{k}")), |bencher| {
                    bencher.iter(|| {
                        round += 1;
                        selector.refresh(policy, black_box(&lists[round % 2]));
                        for _ in 0..k {
                            black_box(selector.pick(&mut rng, |_| false));
                        }
                    });
                });
            }
        }
    }
}

/// A tenth of the members has failed.
fn failover(criterion: &mut Criterion) {
    for (name, policy) in POLICIES {
        let mut group = criterion.benchmark_group(format!("selection/failover/{name}"));
        for n in SIZES {
            let mut selector = Selector::new();
            selector.refresh(policy, &members(n, 1));
            let mut rng = Rng::new(1);
            let mut dice = Rng::new(7);
            let failed: Vec<bool> = (0..n).map(|at| at == 0 || dice.below(10) == 0).collect();
            group.bench_function(BenchmarkId::from_parameter(n), |bencher| {
                bencher.iter(|| selector.pick(&mut rng, |at| failed[at]));
            });
        }
    }
}

fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(200))
        .sample_size(20)
}

criterion_group! {
    name = benches;
    config = quick();
    targets = pick, refresh_then_k, failover
}
criterion_main!(benches);
