//! [SELECT-10] Choosing allocates nothing, whatever the policy, the size of the list and the
//! members passed over.

use allocation_counter::measure;
use asap_pu::Rng;
use asap_pu::selection::{Member, Policy, Selector};

const POLICIES: [Policy; 10] = [
    Policy::RoundRobin,
    Policy::WeightedRoundRobin,
    Policy::Random,
    Policy::WeightedRandom,
    Policy::Priority,
    Policy::LeastUsed,
    Policy::LeastUsedDegradation,
    Policy::PriorityLeastUsed,
    Policy::RandomizedLeastUsed,
    Policy::Listed,
];

fn members(n: usize, largest: u64) -> Vec<Member> {
    let mut rng = Rng::new(n as u64);
    (0..n as u32)
        .map(|id| Member::new(id, 1 + rng.below(largest) as u32).with_degradation(3))
        .collect()
}

#[test]
fn picks_allocate_nothing() {
    for policy in POLICIES {
        // Small weights, whose cycles are written down, and large ones.
        for largest in [3, 1_000_000] {
            for n in [1, 4, 100, 3_000] {
                let mut selector = Selector::new();
                selector.refresh(policy, &members(n, largest));
                let mut rng = Rng::new(1);
                let allocated = measure(|| {
                    for pick in 0..3_000 {
                        selector.pick(&mut rng, |_| false);
                        selector.pick(&mut rng, |at| (at + pick) % 3 == 0);
                    }
                    for pick in 0..20 {
                        selector.pick(&mut rng, |at| at % 50 != pick);
                        selector.pick(&mut rng, |_| true);
                        selector.pick_many(&mut rng, 5, |at| at == pick, |_| ());
                    }
                });
                assert_eq!(allocated.count_total, 0, "{policy:?}, {n} members up to {largest}");
            }
        }
    }
}

/// A refresh allocates a few times at most, however long the list, and not at all when nothing
/// changed.
#[test]
fn refreshes_allocate_a_constant_number_of_times() {
    for policy in POLICIES {
        for n in [10, 100, 1_000] {
            let mut list = members(n, 1_000_000);
            let mut selector = Selector::new();
            selector.refresh(policy, &list);
            for _ in 0..3 {
                selector.pick(&mut Rng::new(1), |_| false);
                list.rotate_left(n / 3);
                list.swap(0, n / 2);
                list.swap(1, n - 1);
                list[n - 2] = Member::new(0xffff_0000, 7);
                let allocated = measure(|| selector.refresh(policy, &list));
                assert!(allocated.count_total <= 6, "{policy:?} {n} {}", allocated.count_total);
            }
            let allocated = measure(|| selector.refresh(policy, &list));
            assert!(allocated.count_total <= 1, "{policy:?} {n} {}", allocated.count_total);
        }
    }
}
