//! What each policy promises, by example and by the statistics that it must have.
//!
//! Any stories against slow models of the policies are in `tests/checks/selection`.

mod custom;
mod over_lists;
mod ranked;
mod round_robin;
mod several;
mod weighted_random;
mod weighted_round_robin;

use alloc::vec::Vec;

use proptest::prelude::*;

use super::{Member, PolicyKind, Selector};
use crate::Rng;

const POLICIES: [PolicyKind; 10] = [
    PolicyKind::RoundRobin,
    PolicyKind::WeightedRoundRobin,
    PolicyKind::Random,
    PolicyKind::WeightedRandom,
    PolicyKind::Priority,
    PolicyKind::LeastUsed,
    PolicyKind::LeastUsedDegradation,
    PolicyKind::PriorityLeastUsed,
    PolicyKind::RandomizedLeastUsed,
    PolicyKind::Listed,
];

/// Passes nobody over.
fn all(_: usize) -> bool {
    false
}

/// Members 0, 1, 2, … with these values.
fn members(values: &[u32]) -> Vec<Member> {
    (0..).zip(values).map(|(id, &value)| Member::new(id, value)).collect()
}

fn selector(policy: PolicyKind, members: &[Member]) -> Selector {
    let mut selector = Selector::new();
    selector.refresh(policy, members);
    selector
}

fn picks(selector: &mut Selector, count: usize, skip: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut rng = Rng::new(0);
    (0..count).map(|_| selector.pick(&mut rng, &skip).expect("a usable member")).collect()
}

#[test]
fn nothing_to_choose_from_is_none() {
    for policy in POLICIES {
        let mut rng = Rng::new(0);
        assert_eq!(Selector::new().pick(&mut rng, all), None);
        assert_eq!(selector(policy, &[]).pick(&mut rng, all), None, "{policy:?}");
        for len in [1, 3, 40, 600] {
            let mut selector = selector(policy, &members(&alloc::vec![7; len]));
            assert_eq!(selector.pick(&mut rng, |_| true), None, "{policy:?}");
            assert!(selector.pick(&mut rng, all).is_some(), "{policy:?}");
        }
    }
}

/// [SELECT-9] Whatever is passed over, a usable member is found where there is one, and only such.
#[test]
fn finds_the_one_usable_member() {
    for policy in POLICIES {
        for len in [1, 2, 16, 17, 64, 300] {
            for value in [0, 1, 3, u32::MAX] {
                let mut selector = selector(policy, &members(&alloc::vec![value; len]));
                for only in [0, len / 2, len - 1] {
                    let picked = picks(&mut selector, 3, |at| at != only);
                    assert_eq!(picked, [only; 3], "{policy:?} {value}");
                }
            }
        }
    }
}

#[test]
fn a_change_of_policy_starts_afresh() {
    let list = members(&[1, 1, 1]);
    let mut selector = selector(PolicyKind::RoundRobin, &list);
    assert_eq!(picks(&mut selector, 2, all), [0, 1]);
    selector.refresh(PolicyKind::Listed, &list);
    assert_eq!(picks(&mut selector, 1, all), [0]);
    selector.refresh(PolicyKind::LeastUsed, &list);
    assert_eq!(picks(&mut selector, 1, all), [0]);
    selector.refresh(PolicyKind::Priority, &list);
    assert_eq!(picks(&mut selector, 1, all), [0]);
}

/// Some 16 to 96 bytes a member, the list with it.
#[test]
fn memory_is_small() {
    for policy in POLICIES {
        let list: Vec<_> = (0..1_000).map(|id| Member::new(id, 1_000 + id)).collect();
        let heap = selector(policy, &list).heap_size();
        assert!(heap <= 96 * list.len(), "{policy:?} {heap}");
    }
}
