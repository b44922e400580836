//! Statistics of the random policies, over fixed seeds.

use super::*;

const PICKS: u32 = 30_000;

/// Draws, and holds the counts against the weights among the members that are not passed over.
fn assert_proportions(
    policy: PolicyKind,
    values: &[u32],
    weights: &[u64],
    skip: impl Fn(usize) -> bool,
) {
    for seed in 1..=3 {
        let mut selector = selector(policy, &members(values));
        let mut rng = Rng::new(seed);
        let mut counts = alloc::vec![0_u32; values.len()];
        for _ in 0..PICKS {
            counts[selector.pick(&mut rng, &skip).expect("a usable member")] += 1;
        }
        let usable: Vec<usize> = (0..values.len()).filter(|&at| !skip(at)).collect();
        let total: u64 = usable.iter().map(|&at| weights[at]).sum();
        let mut square = 0.0;
        let mut cells = 0;
        for at in usable {
            let expected = f64::from(PICKS) * weights[at] as f64 / total as f64;
            if weights[at] == 0 {
                assert_eq!(counts[at], 0, "weight 0 was chosen");
            } else {
                square += (f64::from(counts[at]) - expected).powi(2) / expected;
                cells += 1;
            }
        }
        // Mean and deviation of chi-square are the degrees of freedom d and √2d: five deviations
        // are far out.
        let freedom = f64::from(cells - 1);
        let bound = freedom + 5.0 * (2.0 * freedom).sqrt() + 5.0;
        assert!(square < bound, "{policy:?} {square} over {cells} cells, seed {seed}");
    }
}

/// [SELECT-3]
#[test]
fn random_is_uniform() {
    for len in [1, 2, 7, 100] {
        assert_proportions(PolicyKind::Random, &alloc::vec![0; len], &alloc::vec![1; len], all);
    }
}

/// [SELECT-3] [SELECT-9]
#[test]
fn random_is_uniform_among_the_rest() {
    let ones = [1; 100];
    assert_proportions(PolicyKind::Random, &[0; 100], &ones, |at| at % 3 == 0);
    assert_proportions(PolicyKind::Random, &[0; 100], &ones, |at| at % 50 != 1);
}

/// Weights of very different size, also none.
fn weights(len: usize) -> Vec<u32> {
    (0..len).map(|at| [5, 0, 1, 100, 40, 7][at % 6] * (1 + at as u32 / 6)).collect()
}

fn wide(weights: &[u32]) -> Vec<u64> {
    weights.iter().copied().map(u64::from).collect()
}

/// [SELECT-3]
#[test]
fn weighted_random_is_in_proportion() {
    for len in [2, 6, 60] {
        let weights = weights(len);
        assert_proportions(PolicyKind::WeightedRandom, &weights, &wide(&weights), all);
    }
    assert_proportions(PolicyKind::WeightedRandom, &[u32::MAX; 9], &[1; 9], all);
}

/// [SELECT-3] [SELECT-9] Few passed over, so many that they are no longer remembered, and the heavy
/// ones.
#[test]
fn weighted_random_keeps_the_proportions_among_the_rest() {
    let weights = weights(60);
    let wide = wide(&weights);
    assert_proportions(PolicyKind::WeightedRandom, &weights, &wide, |at| at == 3);
    assert_proportions(PolicyKind::WeightedRandom, &weights, &wide, |at| at % 3 == 0);
    assert_proportions(PolicyKind::WeightedRandom, &weights, &wide, |at| at % 10 != 2);
    assert_proportions(PolicyKind::WeightedRandom, &weights, &wide, |at| weights[at] > 60);
    let mut heavy = alloc::vec![1; 40];
    heavy[20] = u32::MAX;
    assert_proportions(PolicyKind::WeightedRandom, &heavy, &[1; 40], |at| at == 20);
}

/// [SELECT-3] Weight 0 is chosen when nothing else is left, and then uniformly.
#[test]
fn weight_zero_is_the_last_resort() {
    let weights = weights(60);
    for policy in [PolicyKind::WeightedRandom, PolicyKind::WeightedRoundRobin] {
        assert_proportions(policy, &weights, &[1; 60], |at| weights[at] > 0);
        assert_proportions(policy, &[0; 7], &[1; 7], all);
        assert_proportions(policy, &[0, 9, 0, 9, 0], &[1; 5], |at| at == 2 || at % 2 == 1);
    }
}

/// [SELECT-6]
#[test]
fn randomized_least_used_goes_by_what_is_unused() {
    let loads = [0, 0x8000_0000, 0xf000_0000, 0xffff_ffff];
    let unused = loads.map(|load| u64::from(0xffff_ffff - load));
    assert_proportions(PolicyKind::RandomizedLeastUsed, &loads, &unused, all);
    assert_proportions(PolicyKind::RandomizedLeastUsed, &loads, &unused, |at| at == 0);
    assert_proportions(PolicyKind::RandomizedLeastUsed, &[u32::MAX; 5], &[1; 5], all);
}
