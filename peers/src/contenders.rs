//! Who takes part in which line.

use std::hint::black_box;

use asap_pu::Rng;
use asap_pu::selection::{Member, PolicyKind, Selector};
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng};
use rand_distr::weighted::{WeightedAliasIndex, WeightedTreeIndex};

use crate::order::{
    Carried, DeadlineScan, Edf, FourAry, Interleaved, SlotExpansion, SmoothWrr, TwoHeaps, Wrr,
};

mod least_loaded;
mod p2c;

use least_loaded::{ByFourAry, ByHeap, ByPackedScan, ByScan, CarriedScan};

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

pub struct Contender {
    pub name: &'static str,
    /// Does the thing so many times.
    pub run: Box<dyn FnMut(usize) -> usize>,
}

/// Two lists of weights from 1 to 100 for the same members: refreshes alternate between them, so
/// that nobody gets away with noticing that nothing changed.
#[derive(Clone)]
pub struct Weights([Vec<u32>; 2]);

impl Weights {
    pub fn new(n: usize) -> Self {
        let mut rng = Rng::new(42);
        Self([0, 1].map(|_| (0..n).map(|_| 1 + rng.below(100) as u32).collect()))
    }
}

pub fn bare(weights: &Weights) -> Vec<(&'static str, Vec<Contender>)> {
    let w = &weights.0[0];
    let n = w.len();
    let ours = |policy| ours(policy, w);
    vec![
        ("rr", vec![ours(PolicyKind::RoundRobin), counter(n)]),
        ("rand", vec![ours(PolicyKind::Random), random_range(n), fast_random(n)]),
        ("prio", vec![ours(PolicyKind::Priority), p2c::contender(w)]),
        (
            "wrand",
            vec![
                ours(PolicyKind::WeightedRandom),
                distribution("WeightedIndex", WeightedIndex::new(w).unwrap()),
                distribution("alias", WeightedAliasIndex::new(w.clone()).unwrap()),
                distribution("tree", WeightedTreeIndex::new(w).unwrap()),
                p2c::contender(w),
            ],
        ),
        ("rlu", vec![ours(PolicyKind::RandomizedLeastUsed), p2c::contender(w)]),
        (
            "wrr",
            vec![
                ours(PolicyKind::WeightedRoundRobin),
                order::<SmoothWrr>("smooth", w),
                order::<DeadlineScan>("scan", w),
                order::<FourAry>("four-ary", w),
                order::<TwoHeaps>("two-heaps", w),
                order::<Edf>("edf", w),
                order::<Interleaved>("interleaved", w),
                order::<SlotExpansion>("slots", w),
            ],
        ),
        ("lu", vec![ours(PolicyKind::LeastUsed), p2c::contender(w)]),
        ("plu", vec![ours(PolicyKind::PriorityLeastUsed), p2c::contender(w)]),
        (
            "lud",
            vec![
                ours(PolicyKind::LeastUsedDegradation),
                picks("scan", ByScan::new(w), ByScan::pick),
                picks("packed", ByPackedScan::new(w), ByPackedScan::pick),
                picks("heap", ByHeap::new(w), ByHeap::pick),
                picks("four-ary", ByFourAry::new(w), ByFourAry::pick),
                p2c::contender(w),
            ],
        ),
    ]
}

/// A list that is the same as before, beside what it takes to compare it.
pub fn same(weights: &Weights) -> Vec<(&'static str, Vec<Contender>)> {
    let list = members(&weights.0[0]);
    let compare = || {
        let lists = [list.clone(), list.clone()];
        let run = move |rounds| {
            let [a, b] = &lists;
            (0..rounds).filter(|_| black_box(a) == black_box(b)).count()
        };
        Contender { name: "compare", run: Box::new(run) }
    };
    let ours = |policy| {
        let (list, mut selector) = (list.clone(), Selector::new());
        let run = move |rounds| {
            (0..rounds).for_each(|_| selector.refresh(policy, black_box(&list)));
            rounds
        };
        Contender { name: "ours", run: Box::new(run) }
    };
    POLICIES.into_iter().map(|(name, policy)| (name, vec![ours(policy), compare()])).collect()
}

/// A choice while all but one are out of it, beside one among all.
pub fn marked(weights: &Weights) -> Vec<(&'static str, Vec<Contender>)> {
    let ours = |name, policy, left: fn(usize) -> bool| {
        let mut selector = Selector::new();
        selector.refresh(policy, &members(&weights.0[0]));
        (0..selector.len()).for_each(|at| selector.set_usable(at, left(at)));
        let mut rng = Rng::new(1);
        picks(name, selector, move |selector| {
            selector.pick(&mut rng, |_| false).unwrap_or_default()
        })
    };
    let line = |(name, policy)| {
        let contenders = vec![
            ours("ours", policy, |at| at == 3),
            ours("half", policy, |at| at % 2 == 1),
            ours("all", policy, |_| true),
        ];
        (name, contenders)
    };
    POLICIES.into_iter().map(line).collect()
}

pub fn refreshed(weights: &Weights, k: usize) -> Vec<(&'static str, Vec<Contender>)> {
    let ours = |policy| ours_refreshed(policy, weights, k);
    let w = weights;
    vec![
        ("rr", vec![ours(PolicyKind::RoundRobin)]),
        ("rand", vec![ours(PolicyKind::Random)]),
        ("prio", vec![ours(PolicyKind::Priority)]),
        (
            "wrand",
            vec![
                ours(PolicyKind::WeightedRandom),
                sampled("WeightedIndex", w, k, |w| WeightedIndex::new(w).unwrap()),
                sampled("alias", w, k, |w| WeightedAliasIndex::new(w.to_vec()).unwrap()),
                sampled("tree", w, k, |w| WeightedTreeIndex::new(w).unwrap()),
            ],
        ),
        ("rlu", vec![ours(PolicyKind::RandomizedLeastUsed)]),
        (
            "wrr",
            vec![
                ours(PolicyKind::WeightedRoundRobin),
                carried("carried", w, k, Carried::refresh, Carried::pick),
                rebuilt("smooth", w, k, SmoothWrr::new, SmoothWrr::pick),
                rebuilt("scan", w, k, DeadlineScan::new, DeadlineScan::pick),
                rebuilt("four-ary", w, k, FourAry::new, FourAry::pick),
                rebuilt("two-heaps", w, k, TwoHeaps::new, TwoHeaps::pick),
                rebuilt("edf", w, k, Edf::new, Edf::pick),
                rebuilt("interleaved", w, k, Interleaved::new, Interleaved::pick),
                rebuilt("slots", w, k, SlotExpansion::new, SlotExpansion::pick),
            ],
        ),
        ("lu", vec![ours(PolicyKind::LeastUsed)]),
        (
            "lud",
            vec![
                ours(PolicyKind::LeastUsedDegradation),
                carried("carried", w, k, CarriedScan::refresh, CarriedScan::pick),
                rebuilt("scan", w, k, ByScan::new, ByScan::pick),
                rebuilt("packed", w, k, ByPackedScan::new, ByPackedScan::pick),
                rebuilt("heap", w, k, ByHeap::new, ByHeap::pick),
                rebuilt("four-ary", w, k, ByFourAry::new, ByFourAry::pick),
            ],
        ),
    ]
}

fn members(weights: &[u32]) -> Vec<Member> {
    (0..).zip(weights).map(|(id, &weight)| Member::new(id, weight).with_degradation(10)).collect()
}

fn ours(policy: PolicyKind, weights: &[u32]) -> Contender {
    let mut selector = Selector::new();
    selector.refresh(policy, &members(weights));
    let mut rng = Rng::new(1);
    picks("ours", selector, move |selector| selector.pick(&mut rng, |_| false).unwrap_or_default())
}

fn ours_refreshed(policy: PolicyKind, weights: &Weights, k: usize) -> Contender {
    let mut rng = Rng::new(1);
    let pick =
        move |selector: &mut Selector| selector.pick(&mut rng, |_| false).unwrap_or_default();
    carried("ours", weights, k, move |selector, list| selector.refresh(policy, list), pick)
}

/// One that takes from each list to the next what is to be kept.
fn carried<T: Default + 'static>(
    name: &'static str,
    weights: &Weights,
    k: usize,
    refresh: impl Fn(&mut T, &[Member]) + 'static,
    mut pick: impl FnMut(&mut T) -> usize + 'static,
) -> Contender {
    let lists = weights.0.clone().map(|weights| members(&weights));
    let mut state = T::default();
    let run = move |rounds| {
        let mut sum = 0;
        for round in 0..rounds {
            refresh(&mut state, black_box(&lists[round % 2]));
            for _ in 0..k {
                sum += black_box(pick(&mut state));
            }
        }
        sum
    };
    Contender { name, run: Box::new(run) }
}

fn picks<T: 'static>(
    name: &'static str,
    mut state: T,
    mut pick: impl FnMut(&mut T) -> usize + 'static,
) -> Contender {
    let run = move |rounds| {
        let mut sum = 0;
        for _ in 0..rounds {
            sum += black_box(pick(&mut state));
        }
        sum
    };
    Contender { name, run: Box::new(run) }
}

fn rebuilt<T: 'static>(
    name: &'static str,
    weights: &Weights,
    k: usize,
    build: fn(&[u32]) -> T,
    pick: fn(&mut T) -> usize,
) -> Contender {
    let weights = weights.0.clone();
    let run = move |rounds| {
        let mut sum = 0;
        for round in 0..rounds {
            let mut state = build(black_box(&weights[round % 2]));
            for _ in 0..k {
                sum += black_box(pick(&mut state));
            }
        }
        sum
    };
    Contender { name, run: Box::new(run) }
}

fn distribution(name: &'static str, distribution: impl Distribution<usize> + 'static) -> Contender {
    let mut rng = SmallRng::seed_from_u64(1);
    picks(name, distribution, move |distribution| distribution.sample(&mut rng))
}

fn sampled<T: Distribution<usize> + 'static>(
    name: &'static str,
    weights: &Weights,
    k: usize,
    build: fn(&[u32]) -> T,
) -> Contender {
    let weights = weights.0.clone();
    let mut rng = SmallRng::seed_from_u64(1);
    let run = move |rounds| {
        let mut sum = 0;
        for round in 0..rounds {
            let state = build(black_box(&weights[round % 2]));
            for _ in 0..k {
                sum += black_box(state.sample(&mut rng));
            }
        }
        sum
    };
    Contender { name, run: Box::new(run) }
}

fn order<T: Wrr + 'static>(name: &'static str, weights: &[u32]) -> Contender {
    picks(name, T::new(weights), T::pick)
}

fn counter(n: usize) -> Contender {
    picks("counter", 0, move |next| {
        let at = *next;
        *next = if at + 1 == n { 0 } else { at + 1 };
        at
    })
}

fn fast_random(n: usize) -> Contender {
    picks("fastrand", fastrand::Rng::with_seed(1), move |rng| rng.usize(0..n))
}

fn random_range(n: usize) -> Contender {
    picks("random_range", SmallRng::seed_from_u64(1), move |rng| rng.random_range(0..n))
}
