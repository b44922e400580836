use super::*;

fn list_of(weight: impl Strategy<Value = u32>) -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(weight, 1..50)
}

proptest! {
    /// [SELECT-2]
    #[test]
    fn no_prefix_strays(weights in list_of(0..60_u32)) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        assert_even(&weights, 2);
    }

    /// [SELECT-2]
    #[test]
    fn no_prefix_strays_with_large_weights(
        weights in list_of(prop_oneof![0..9_u32, any::<u32>(), u32::MAX - 9..=u32::MAX]),
    ) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        assert_even_prefix(&weights, 2_000);
    }
}

/// Whole cycles: exactly its weight in turns for each, no prefix more than one turn from the ideal,
/// the first first.
fn assert_even(weights: &[u32], cycles: usize) {
    let sum: u64 = weights.iter().copied().map(u64::from).sum();
    let mut selector = selector(PolicyKind::WeightedRoundRobin, &members(weights));
    for _ in 0..cycles {
        let served = walk(&mut selector, weights, sum);
        assert_eq!(served, weights.iter().copied().map(u64::from).collect::<Vec<_>>());
    }
}

fn assert_even_prefix(weights: &[u32], turns: u64) {
    walk(&mut selector(PolicyKind::WeightedRoundRobin, &members(weights)), weights, turns);
}

fn walk(selector: &mut Selector, weights: &[u32], turns: u64) -> Vec<u64> {
    let mut rng = Rng::new(0);
    let sum: i128 = weights.iter().copied().map(i128::from).sum();
    let mut served = alloc::vec![0_u64; weights.len()];
    // How far a member is from its ideal share, in turns times the sum of weights.
    let stray = |served: &[u64], at: usize, time: u64| {
        i128::from(served[at]) * sum - i128::from(time) * i128::from(weights[at])
    };
    for time in 0..turns {
        let at = selector.pick(&mut rng, all).expect("a member with weight");
        if time == 0 {
            assert_eq!(Some(at), weights.iter().position(|&weight| weight > 0));
        }
        // Between its turns a member only falls behind: it is farthest off just before and just
        // after one.
        assert!(-stray(&served, at, time) <= sum, "{at} late at {time}");
        served[at] += 1;
        assert!(stray(&served, at, time + 1) <= sum, "{at} early at {time}");
    }
    for at in 0..weights.len() {
        assert!(stray(&served, at, turns).abs() <= sum, "{at} at the end");
    }
    served
}

fn hundred_and_ones(large: u32, ones: usize) -> Vec<u32> {
    core::iter::once(large).chain(core::iter::repeat_n(1, ones)).collect()
}

/// [SELECT-2] The sets on which simpler rules fail.
#[test]
fn hard_sets_are_even() {
    assert_even(&hundred_and_ones(100, 100), 3);
    assert_even(&hundred_and_ones(20, 20), 3);
    assert_even(&[10, 9, 8, 1, 1, 1, 1, 1], 3);
    assert_even(&[1, 1, 1, 1, 1, 8, 9, 10], 3);
    assert_even(&[0, 1, 0, 1_000], 3);
}

/// [SELECT-2] Whole cycles of up to a million turns.
#[test]
fn long_cycles_are_exact() {
    assert_even(&[999_983, 17], 1);
    assert_even(&[1, 2, 3, 500_000, 70_001], 1);
    let mut rng = Rng::new(3);
    let weights: Vec<_> = (0..300).map(|_| rng.below(6_000) as u32).collect();
    assert_even(&weights, 1);
}

/// [SELECT-2] The largest weights that can be sent.
#[test]
fn the_largest_weights_are_even() {
    assert_even_prefix(&[u32::MAX, u32::MAX - 1, u32::MAX - 2], 10_000);
    assert_even_prefix(&[u32::MAX, 1, u32::MAX, 0x8000_0000], 10_000);
    assert_even_prefix(&alloc::vec![u32::MAX; 2_000], 10_000);
    assert_even_prefix(&hundred_and_ones(u32::MAX, 1_000), 10_000);
}

/// [SELECT-2]
#[test]
fn known_orders() {
    let order = |weights: &[u32], turns| {
        picks(&mut selector(PolicyKind::WeightedRoundRobin, &members(weights)), turns, all)
    };
    assert_eq!(order(&[1, 1, 1], 4), [0, 1, 2, 0]);
    assert_eq!(order(&[5, 1, 1], 7), [0, 1, 0, 0, 2, 0, 0]);
    assert_eq!(order(&[1, 3], 4), [0, 1, 1, 1]);
    assert_eq!(order(&[200, 100, 0], 6), [0, 1, 0, 0, 1, 0], "what is in common does not count");
}

/// [SELECT-9] Each of the others has exactly its turns in each cycle.
#[test]
fn the_rest_keep_their_turns() {
    for weights in [&[7, 3, 5, 2, 1, 0][..], &[700, 301, 503, 202, 101, 0]] {
        for failed in 0..weights.len() {
            let mut selector = selector(PolicyKind::WeightedRoundRobin, &members(weights));
            let rest = weights.iter().sum::<u32>() - weights[failed];
            let mut served = alloc::vec![0; weights.len()];
            for at in picks(&mut selector, rest as usize * 2, |at| at == failed) {
                served[at] += 1;
            }
            let expected: Vec<_> = (0..weights.len())
                .map(|at| if at == failed { 0 } else { weights[at] * 2 })
                .collect();
            assert_eq!(served, expected);
        }
    }
}

/// [SELECT-9] [SELECT-2] Also when nearly all the weight has failed, in time that does not grow
/// with it.
#[test]
fn the_rest_keep_their_turns_beside_giants() {
    for giant in [1_000_000, u32::MAX] {
        let weights = [giant, 3, 1, 2, giant, 6];
        let mut selector = selector(PolicyKind::WeightedRoundRobin, &members(&weights));
        let mut served = [0; 6];
        for at in picks(&mut selector, 12 * 50, |at| weights[at] == giant) {
            served[at] += 1;
        }
        assert_eq!(served, [0, 150, 50, 100, 0, 300], "{giant}");
        // Back again: nothing to catch up, the others have to wait for their turns.
        let back = picks(&mut selector, 1_000, all);
        let giants = |at: usize| back.iter().filter(|&&picked| picked == at).count();
        assert!((490..=510).contains(&giants(0)) && (490..=510).contains(&giants(4)), "{giant}");
    }
}

/// [SELECT-9] Who comes back joins where the cycle stands: no burst to catch up with the others.
#[test]
fn a_giant_that_comes_back_has_its_share() {
    let weights = [10_007, 101, 99];
    let mut selector = selector(PolicyKind::WeightedRoundRobin, &members(&weights));
    picks(&mut selector, 150, |at| at == 0);
    let rest = picks(&mut selector, 1_000, all).into_iter().filter(|&at| at != 0).count();
    assert!((17..=22).contains(&rest), "{rest} of a share of 20 in 1000");
}

/// [CACHE-5] Members that come or change join where the cycle stands.
#[test]
fn a_refresh_goes_on_in_the_cycle() {
    let mut list = members(&[1, 1, 1, 1]);
    let mut selector = selector(PolicyKind::WeightedRoundRobin, &list);
    assert_eq!(picks(&mut selector, 2, all), [0, 1]);
    list.rotate_left(3);
    selector.refresh(PolicyKind::WeightedRoundRobin, &list);
    assert_eq!(picks(&mut selector, 2, all), [0, 3], "identifiers 3 and 2 had no turn yet");

    let mut list = members(&[40; 10]);
    selector.refresh(PolicyKind::WeightedRoundRobin, &list);
    list[0] = Member::new(77, 200);
    for _ in 0..100 {
        selector.refresh(PolicyKind::WeightedRoundRobin, &list);
        let joined = picks(&mut selector, 14, all).iter().filter(|&&at| at == 0).count();
        assert!((4..=6).contains(&joined), "a share of five in fourteen, no burst");
        list[0].id += 1;
    }
}
