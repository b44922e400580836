use super::*;

fn several(selector: &mut Selector, wanted: usize, skip: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut out = Vec::new();
    let count = selector.pick_many(&mut Rng::new(5), wanted, skip, |at| out.push(at));
    assert_eq!(count, out.len());
    out
}

proptest! {
    /// [SELECT-8] Different ones, as many as there are, the first as `pick` would have it.
    #[test]
    fn are_different_and_begin_with_the_choice(
        values in proptest::collection::vec(0..5_u32, 0..90),
        mask in any::<u128>(),
        wanted in 0..100_usize,
        before in 0..20_usize,
    ) {
        let skip = |at: usize| mask >> at & 1 == 1;
        let list = members(&values);
        for policy in POLICIES {
            let (mut one, mut many) = (selector(policy, &list), selector(policy, &list));
            for _ in 0..before {
                one.pick(&mut Rng::new(9), all);
                many.pick(&mut Rng::new(9), all);
            }
            let picked = several(&mut many, wanted, skip);
            let usable = (0..values.len()).filter(|&at| !skip(at)).count();
            prop_assert_eq!(picked.len(), wanted.min(usable));
            prop_assert!(picked.iter().all(|&at| !skip(at)));
            let mut distinct = picked.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), picked.len());
            if wanted > 0 {
                prop_assert_eq!(picked.first().copied(), one.pick(&mut Rng::new(5), skip));
                // The backups moved nothing: both go on alike.
                for _ in 0..20 {
                    let one = one.pick(&mut Rng::new(1), all);
                    prop_assert_eq!(one, many.pick(&mut Rng::new(1), all), "{:?}", policy);
                }
            }
        }
    }
}

/// [SELECT-8] Round robin advances by one a call.
#[test]
fn round_robin_goes_on_by_one() {
    let mut selector = selector(PolicyKind::RoundRobin, &members(&[0; 4]));
    assert_eq!(several(&mut selector, 2, all), [0, 1]);
    assert_eq!(several(&mut selector, 3, all), [1, 2, 3]);
    assert_eq!(several(&mut selector, 9, all), [2, 3, 0, 1]);
}

/// [SELECT-8] Least used with degradation counts the choice, not the backups.
#[test]
fn degradation_counts_only_the_choice() {
    let list = [0, 1, 3].map(|load| Member::new(load, load).with_degradation(2));
    let mut selector = selector(PolicyKind::LeastUsedDegradation, &list);
    assert_eq!(several(&mut selector, 3, all), [0, 1, 2]);
    assert_eq!(several(&mut selector, 3, all), [1, 0, 2], "sums 2, 1, 3");
    assert_eq!(several(&mut selector, 3, all), [0, 2, 1], "sums 2, 3, 3, the last not chosen yet");
}

/// [SELECT-8] Best first.
#[test]
fn are_in_the_order_of_the_policy() {
    let list = [Member::new(0, 5), Member::new(1, 9), Member::new(2, 7), Member::new(3, 9)];
    assert_eq!(several(&mut selector(PolicyKind::Priority, &list), 4, all), [1, 3, 2, 0]);
    assert_eq!(several(&mut selector(PolicyKind::LeastUsed, &list), 4, all), [0, 2, 1, 3]);
    assert_eq!(
        several(&mut selector(PolicyKind::WeightedRoundRobin, &members(&[1, 4, 0, 2])), 4, all),
        [0, 1, 3, 2]
    );
}

/// [SELECT-8] Weighted: the backups follow the chances among those that are left.
#[test]
fn random_backups_keep_the_proportions() {
    let mut selector = selector(PolicyKind::WeightedRandom, &members(&[1, 2, 3]));
    let mut rng = Rng::new(11);
    let mut second = [[0_u32; 3]; 3];
    for _ in 0..60_000 {
        let mut out = Vec::new();
        selector.pick_many(&mut rng, 2, all, |at| out.push(at));
        second[out[0]][out[1]] += 1;
    }
    // Behind the last one, the others are chosen 1 : 2.
    let ratio = f64::from(second[2][1]) / f64::from(second[2][0]);
    assert!((1.9..2.1).contains(&ratio), "{second:?}");
}
