//! What is fair from list to list.

use alloc::collections::BTreeMap;

use super::*;

/// What happens between some choices.
#[derive(Debug, Clone)]
enum Step {
    /// A member comes with this weight, goes, or has another weight.
    Toggle(usize, u32),
    Weigh(usize, u32),
    /// The list begins elsewhere.
    Turn(usize),
    /// A member is taken out of the choice, as long as the list is there.
    Mark(usize),
    /// A member cannot be reached: a choice of it comes to nothing, and it is taken out.
    Down(usize),
}

fn weight() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 1..9_u32, 2 => 1..101_u32, 1 => any::<u32>(), 1 => u32::MAX - 9..=u32::MAX]
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0..40_usize;
    prop_oneof![
        (at.clone(), weight()).prop_map(|(at, weight)| Step::Toggle(at, weight)),
        (at.clone(), weight()).prop_map(|(at, weight)| Step::Weigh(at, weight)),
        at.clone().prop_map(Step::Turn),
        at.clone().prop_map(Step::Mark),
        at.prop_map(Step::Down),
    ]
}

/// Lives through lists and choices, and returns the farthest that any member that was in the choice
/// strayed from the sum of its shares, in turns, over all lists.
fn farthest(members: usize, steps: &[(Vec<Step>, usize)]) -> f64 {
    let mut list: Vec<_> = (0..members as u32).map(|id| Member::new(id, 1 + id % 7)).collect();
    let mut stray: BTreeMap<u32, f64> = BTreeMap::new();
    let (mut selector, mut rng, mut farthest) = (Selector::new(), Rng::new(0), 0.0_f64);
    for (steps, choices) in steps {
        let (mut out, mut down) = (alloc::vec![], alloc::vec![]);
        for step in steps {
            match *step {
                Step::Toggle(at, weight) => {
                    let id = at as u32 % (members as u32 + 3);
                    match list.iter().position(|m| m.id == id) {
                        Some(at) => drop(list.remove(at)),
                        None => list.push(Member::new(id, weight)),
                    }
                }
                Step::Weigh(at, weight) if !list.is_empty() => {
                    let at = at % list.len();
                    list[at].value = weight;
                }
                Step::Turn(by) if !list.is_empty() => {
                    let by = by % list.len();
                    list.rotate_left(by);
                }
                Step::Mark(at) => out.push(at),
                Step::Down(at) => down.push(at),
                _ => {}
            }
        }
        selector.refresh(Policy::WeightedRoundRobin, &list);
        out.iter().for_each(|&at| selector.set_usable(at, false));
        for _ in 0..*choices {
            let Some(picked) = selector.pick(&mut rng, all) else { break };
            if down.contains(&picked) {
                selector.take_back(picked);
                selector.set_usable(picked, false);
                out.push(picked);
                continue;
            }
            let usable = |at: &usize| !out.contains(at);
            let sum: f64 = (0..list.len()).filter(usable).map(|at| f64::from(list[at].value)).sum();
            for at in (0..list.len()).filter(usable) {
                let turns = if at == picked { 1.0 } else { 0.0 };
                let stray = stray.entry(list[at].id).or_default();
                *stray += turns - f64::from(list[at].value) / sum;
                farthest = farthest.max(stray.abs());
            }
        }
    }
    farthest
}

proptest! {
    /// [SELECT-11] Whatever lists come, in whatever order, with whatever weights, and however often
    /// is chosen in between: what a member got is within two turns of the sum of its shares.
    #[test]
    fn shares_add_up_over_lists(
        members in 1..30_usize,
        steps in proptest::collection::vec(
            (proptest::collection::vec(step(), 0..6), prop_oneof![4 => 0..4_usize, 1 => 0..60_usize]),
            0..60,
        ),
    ) {
        let farthest = farthest(members, &steps);
        prop_assert!(farthest < 2.0, "{}", farthest);
    }
}

/// [SELECT-11] A choice that came to nothing is no turn, and nobody is owed a share of it; also where
/// it is known only when the member is out of the choice.
#[test]
fn choices_in_vain_are_no_turns() {
    let weights = [4, 2, 1, 0];
    let mut selector = selector(Policy::WeightedRoundRobin, &members(&weights));
    for round in 0..30 {
        for at in picks(&mut selector, 3, all) {
            selector.set_usable(at, false);
            selector.take_back(at);
        }
        (0..3).for_each(|at| selector.set_usable(at, true));
        // Two that were under way at the same time.
        let both = picks(&mut selector, 2, all);
        both.iter().for_each(|at| selector.take_back(*at));
        let mut got = [0; 4];
        picks(&mut selector, 7, all).into_iter().for_each(|at| got[at] += 1);
        assert_eq!(got, weights, "{round}");
    }
}

/// [SELECT-5] Nor does one add to a load.
#[test]
fn choices_in_vain_do_not_degrade() {
    let loads = [(10, 5), (12, 5)].map(|(load, by)| Member::new(load, load).with_degradation(by));
    let mut selector = selector(Policy::LeastUsedDegradation, &loads);
    assert_eq!(picks(&mut selector, 2, all), [0, 1]);
    selector.take_back(0);
    assert_eq!(picks(&mut selector, 1, all), [0]);
    (0..9).for_each(|_| selector.take_back(0));
    assert_eq!(picks(&mut selector, 2, all), [0, 0], "not below the load that it tells");
}

/// [SELECT-11] The same over many more lists than a story has, each with other weights, and half of
/// the members in it.
#[test]
fn shares_add_up_over_thousands_of_lists() {
    let mut rng = Rng::new(5);
    for members in [2, 3, 5, 9, 17, 40] {
        for most in [1_u64, 4, 30] {
            let steps: Vec<_> = (0..3_000 / members)
                .map(|_| {
                    let toggles = (0..members).filter(|_| rng.below(2) == 0).collect::<Vec<_>>();
                    let toggle = |at| Step::Toggle(at, 1 + rng.below(100) as u32);
                    (toggles.into_iter().map(toggle).collect(), 1 + rng.below(most) as usize)
                })
                .collect();
            let farthest = farthest(members, &steps);
            assert!(farthest < 1.7, "{members} members, up to {most} choices: {farthest}");
        }
    }
}

/// The turns of a list, and how far each member was behind in the end, in turns.
fn serve(selector: &mut Selector, weights: &[u32], behind: &mut [f64], turns: u32) -> f64 {
    selector.refresh(Policy::WeightedRoundRobin, &members(weights));
    let sum: f64 = weights.iter().copied().map(f64::from).sum();
    let mut farthest = 0.0_f64;
    for at in picks(selector, turns as usize, all) {
        behind[at] -= 1.0;
        for (behind, weight) in behind.iter_mut().zip(weights) {
            *behind += f64::from(*weight) / sum;
            farthest = farthest.max(behind.abs());
        }
    }
    farthest
}

proptest! {
    /// [SELECT-11] Whatever weights were before, when a list has stood for some cycles no member is
    /// more than one turn from the sum of its shares.
    #[test]
    fn a_list_that_stands_is_even(
        lists in proptest::collection::vec((proptest::collection::vec(weight(), 80), 0..9_u32), 0..30),
        last in proptest::collection::vec(1..5_u32, 2..80),
    ) {
        let (mut selector, mut behind) = (Selector::new(), alloc::vec![0.0; last.len()]);
        for (weights, turns) in &lists {
            serve(&mut selector, &weights[..last.len()], &mut behind, *turns);
        }
        let cycle: u32 = last.iter().sum();
        serve(&mut selector, &last, &mut behind, 4 * cycle);
        let farthest = serve(&mut selector, &last, &mut behind, 2 * cycle);
        prop_assert!(farthest < 1.0 + 1e-9, "{}", farthest);
    }
}

/// [SELECT-11] Why it is not one turn behind a change, by any rule: of equals half were served, and then
/// the weight is with the others, all of which are half a turn behind. One of them is the last.
#[test]
fn a_change_may_cost_half_a_turn_more() {
    for half in [4_usize, 20, 100] {
        let (mut selector, mut behind) = (Selector::new(), alloc::vec![0.0; 2 * half]);
        serve(&mut selector, &alloc::vec![1; 2 * half], &mut behind, half as u32);
        let weights: Vec<_> = behind.iter().map(|b| if *b > 0.0 { u32::MAX } else { 1 }).collect();
        let farthest = serve(&mut selector, &weights, &mut behind, half as u32);
        let last = 1.5 - 1.0 / half as f64;
        assert!((last - 0.01..=1.51).contains(&farthest), "{half}: {farthest}");
    }
}

/// [SELECT-11] Nor is it two turns against whoever sees the choices: with the weight always on those who
/// had no turn yet, the last of n is 1/n + … + 1/2 turns behind. It is no more than that.
#[test]
fn against_an_adversary_it_is_the_logarithm() {
    for n in [2_usize, 10, 100, 300] {
        let (mut selector, mut behind) = (Selector::new(), alloc::vec![0.0; n]);
        let (mut weights, mut farthest) = (alloc::vec![u32::MAX; n], 0.0_f64);
        for _ in 0..n {
            let before = behind.clone();
            farthest = farthest.max(serve(&mut selector, &weights, &mut behind, 1));
            let served = |at: &usize| behind[*at] < before[*at];
            weights[(0..n).find(served).expect("somebody was")] = 1;
        }
        let harmonic: f64 = (1..=n).map(|k| 1.0 / k as f64).sum();
        assert!((harmonic - 1.0 - 0.01..harmonic).contains(&farthest), "{n}: {farthest}");
    }
}

/// Chooses once from each list, and says how often each identifier was chosen.
fn once_each(policy: Policy, lists: impl Iterator<Item = Vec<Member>>) -> BTreeMap<u32, u32> {
    let (mut selector, mut got) = (Selector::new(), BTreeMap::new());
    for list in lists {
        selector.refresh(policy, &list);
        *got.entry(list[picks(&mut selector, 1, all)[0]].id).or_default() += 1;
    }
    got
}

/// [SELECT-11] A weight that changes with each list gets its member no more than its share.
#[test]
fn a_weight_that_changes_gets_no_more_than_its_share() {
    let lists = (0..300).map(|n| alloc::vec![Member::new(1, 10 + n % 3), Member::new(2, 10)]);
    let got = once_each(Policy::WeightedRoundRobin, lists);
    assert!((156..=159).contains(&got[&1]), "a share of 157.3: {got:?}");
}

/// [SELECT-11] One that is in every other list only gets its share, wherever it is listed.
#[test]
fn one_that_comes_and_goes_gets_its_share() {
    for ids in [[9, 1, 2, 3], [1, 2, 3, 9]] {
        let here = |n: u32| ids.into_iter().filter(move |id| *id != 9 || n % 2 == 0);
        let lists = (0..400).map(|n| here(n).map(|id| Member::new(id, 10)).collect());
        let got = once_each(Policy::WeightedRoundRobin, lists);
        assert!((49..=51).contains(&got[&9]), "{got:?}");
        assert!([1, 2, 3].iter().all(|id| (116..=118).contains(&got[id])), "{got:?}");
    }
}

/// [SELECT-11] One that is new in each list does not take the turns of the others.
#[test]
fn newcomers_do_not_take_all() {
    for policy in [Policy::WeightedRoundRobin, Policy::RoundRobin, Policy::LeastUsed] {
        let list = |n: u32| [100 + n, 1, 2, 3].map(|id| Member::new(id, 10)).to_vec();
        let got = once_each(policy, (0..400).map(list));
        assert!([1, 2, 3].iter().all(|id| got[id] >= 98), "{policy:?} {got:?}");
    }
}

/// [SELECT-11] Nothing adds up over very many lists: what is rounded is far less than a turn.
#[test]
fn nothing_drifts() {
    let lists = [[3, 5, 7], [7, 5, 3]].map(|weights| members(&weights));
    let (mut selector, mut got) = (Selector::new(), [0_u32; 3]);
    let rounds = 200_000;
    for round in 0..rounds {
        selector.refresh(Policy::WeightedRoundRobin, &lists[round % 2]);
        got[picks(&mut selector, 1, all)[0]] += 1;
    }
    assert!(got.iter().all(|got| got.abs_diff(rounds as u32 / 3) <= 1), "{got:?}");
}

proptest! {
    /// [SELECT-1] [SELECT-4] [SELECT-5] Among equals no member has a second turn while another one
    /// that was listed all the time has none, whatever order the lists come in and whoever joins or
    /// leaves.
    #[test]
    fn equals_take_turns_over_lists(
        lists in proptest::collection::vec((any::<u8>(), 0..8_usize, 1..4_usize), 1..60),
    ) {
        for policy in [Policy::RoundRobin, Policy::Priority, Policy::LeastUsed] {
            let (mut selector, mut waits) = (Selector::new(), BTreeMap::<u32, Vec<u32>>::new());
            for (mask, turn, choices) in &lists {
                let mut ids: Vec<u32> = (0..8).filter(|id| mask >> id & 1 == 1).collect();
                if ids.is_empty() {
                    continue;
                }
                let turn = turn % ids.len();
                ids.rotate_left(turn);
                let list: Vec<_> = ids.iter().map(|&id| Member::new(id, 5)).collect();
                selector.refresh(policy, &list);
                waits.retain(|id, _| ids.contains(id));
                ids.iter().for_each(|id| _ = waits.entry(*id).or_default());
                for at in picks(&mut selector, *choices, all) {
                    // Who of those was chosen since this one's last turn, or since it is there.
                    for (id, chosen) in &mut waits {
                        prop_assert!(*id == ids[at] || !chosen.contains(&ids[at]), "{} waits", id);
                        chosen.push(ids[at]);
                    }
                    waits.insert(ids[at], Vec::new());
                }
            }
        }
    }
}

/// [SELECT-5] [CACHE-5] A member that was away for a list goes on with the choices that it had: its
/// load would look low else.
#[test]
fn choices_are_remembered_of_one_that_was_away() {
    let member = |id| Member::new(id, 10).with_degradation(4);
    let mut selector = selector(Policy::LeastUsedDegradation, &[member(1), member(2)]);
    assert_eq!(picks(&mut selector, 4, all), [0, 1, 0, 1]);
    selector.refresh(Policy::LeastUsedDegradation, &[member(2)]);
    selector.refresh(Policy::LeastUsedDegradation, &[member(1), member(2)]);
    assert_eq!(picks(&mut selector, 2, all), [0, 1]);
}

/// One that has served the first half of a list of equals.
fn selector_of_half(list: &[Member]) -> Selector {
    let mut selector = selector(Policy::WeightedRoundRobin, list);
    picks(&mut selector, list.len() / 2, all);
    selector
}

/// [SELECT-11] Lists that nobody means: identifiers twice, no weights and the largest ones in turn,
/// half of a long list behind and half of it ahead.
#[test]
fn odd_lists_are_served() {
    let list = |ids: &mut dyn Iterator<Item = u32>, weight: fn(u32) -> u32| -> Vec<_> {
        ids.map(|id| Member::new(id, weight(id))).collect()
    };
    let lists = [
        list(&mut (0..1_000), |_| u32::MAX),
        list(&mut (0..1_000).rev(), |id| u32::from(id % 2 == 0)),
        list(&mut (0..1_000), |_| 0),
        list(&mut (500..1_500), |id| if id == 700 { u32::MAX } else { 1 }),
        list(&mut (0..1_000).map(|id| id / 2), |id| id),
        list(&mut (0..3).chain(0..3), |_| u32::MAX),
        Vec::new(),
    ];
    let (mut selector, mut rng) = (Selector::new(), Rng::new(1));
    for round in 0..200 {
        let list = &lists[rng.below(7) as usize];
        selector.refresh(Policy::WeightedRoundRobin, list);
        for _ in 0..rng.below(600) {
            let picked = selector.pick(&mut rng, |at| round % 3 == 0 && at % 7 == 0);
            let weight = picked.map(|at| list[at].value);
            assert_eq!(weight.is_some(), !list.is_empty(), "{round}");
            let has_weight =
                |(at, m): (usize, &Member)| m.value > 0 && (round % 3 > 0 || at % 7 > 0);
            assert!(weight != Some(0) || !list.iter().enumerate().any(has_weight), "{round}");
        }
    }
    // Those that were not served come first, and are behind by hundreds of turns together.
    let turned = list(&mut (0..1_000).rev(), |_| 7);
    let mut selector = selector_of_half(&lists[0]);
    selector.refresh(Policy::WeightedRoundRobin, &turned);
    assert_eq!(picks(&mut selector, 1, all), [0]);
}
