//! The policies that choose the best by a number.

use alloc::collections::BTreeMap;

use super::*;

/// The lowest rank, and among equals the first listed behind the one of them that was chosen last.
struct BestRank {
    rank: fn(&Member) -> u64,
    list: Vec<Member>,
    /// For each rank, one behind the position where round robin among those of this rank is.
    turns: BTreeMap<u64, usize>,
    last: Option<u32>,
}

impl Model for BestRank {
    fn refresh(&mut self, members: &[Member]) {
        let key = |m: &Member| (m.id, (self.rank)(m));
        if self.list.iter().map(key).eq(members.iter().map(key)) {
            return;
        }
        let last = members.iter().position(|m| Some(m.id) == self.last);
        self.last = last.and(self.last);
        let begin = last.map_or(0, |at| at + 1);
        self.list = members.to_vec();
        self.turns = members.iter().map(|m| ((self.rank)(m), begin)).collect();
    }

    fn pick(&mut self, skip: &dyn Fn(usize) -> bool) -> Option<usize> {
        let usable = || (0..self.list.len()).filter(|&at| !skip(at));
        let best = usable().map(|at| (self.rank)(&self.list[at])).min()?;
        let turn = self.turns[&best];
        let at = usable()
            .filter(|&at| (self.rank)(&self.list[at]) == best)
            .min_by_key(|&at| (at < turn, at))?;
        self.turns.insert(best, at + 1);
        self.last = Some(self.list[at].id);
        Some(at)
    }
}

fn best_rank(rank: fn(&Member) -> u64) -> BestRank {
    BestRank { rank, list: Vec::new(), turns: BTreeMap::new(), last: None }
}

/// The lowest load + counter × degradation, and among equals the one that was not chosen for
/// longest.
#[derive(Default)]
struct Counting {
    list: Vec<Member>,
    counters: BTreeMap<(u32, u32, u32), u32>,
    /// The number of the last choice of each identifier.
    chosen: BTreeMap<u32, u32>,
    choices: u32,
}

fn key(m: &Member) -> (u32, u32, u32) {
    (m.id, m.value, m.degradation)
}

impl Model for Counting {
    fn refresh(&mut self, members: &[Member]) {
        self.counters.retain(|known, _| members.iter().any(|m| key(m) == *known));
        self.chosen.retain(|known, _| members.iter().any(|m| m.id == *known));
        self.list = members.to_vec();
    }

    fn pick(&mut self, skip: &dyn Fn(usize) -> bool) -> Option<usize> {
        let sum = |at: usize| {
            let m = &self.list[at];
            let counter = self.counters.get(&key(m)).copied().unwrap_or(0);
            u128::from(m.value) + u128::from(counter) * u128::from(m.degradation)
        };
        let at = (0..self.list.len())
            .filter(|&at| !skip(at))
            .min_by_key(|&at| (sum(at), self.chosen.get(&self.list[at].id), at))?;
        *self.counters.entry(key(&self.list[at])).or_default() += 1;
        self.choices += 1;
        self.chosen.insert(self.list[at].id, self.choices);
        Some(at)
    }
}

fn few_or_any(few: u32) -> impl Strategy<Value = u32> {
    prop_oneof![0..few, any::<u32>()]
}

proptest! {
    /// [SELECT-4] [SELECT-9]
    #[test]
    fn priority_is_the_plain_story(story in story(0..3_u32)) {
        compare(Policy::Priority, &mut best_rank(|m| u64::from(u32::MAX - m.value)), &story)?;
    }

    /// [SELECT-5] [SELECT-9]
    #[test]
    fn least_used_is_the_plain_story(story in story(0..3_u32)) {
        compare(Policy::LeastUsed, &mut best_rank(|m| m.value.into()), &story)?;
    }

    /// [SELECT-5] [SELECT-9]
    #[test]
    fn priority_least_used_is_the_plain_story(
        story in story(prop_oneof![0..3_u32, u32::MAX - 2..=u32::MAX]),
    ) {
        let rank = |m: &Member| u64::from(m.value) + u64::from(m.degradation);
        compare(Policy::PriorityLeastUsed, &mut best_rank(rank), &story)?;
    }

    /// [SELECT-5] [SELECT-9]
    #[test]
    fn degradation_is_the_plain_story(
        story in story(prop_oneof![0..5_u32, u32::MAX - 2..=u32::MAX]),
    ) {
        compare(Policy::LeastUsedDegradation, &mut Counting::default(), &story)?;
    }

    /// [SELECT-5] The same with pools larger than one group of the tournament, and any values.
    #[test]
    fn degradation_of_large_pools(
        list in proptest::collection::vec((few_or_any(9), few_or_any(3)), 1..200),
        mask in any::<[u64; 4]>(),
    ) {
        let member = |(id, (value, degradation))| {
            Member::new(id, value).with_degradation(degradation)
        };
        let list: Vec<_> = (0..).zip(list).map(member).collect();
        let mut model = Counting::default();
        let mut selector = selector(Policy::LeastUsedDegradation, &list);
        model.refresh(&list);
        for round in 0..3_u64 {
            // A quarter is passed over in the second round, nearly all in the third.
            let skip = |at: usize| match round {
                0 => false,
                1 => mask[at / 64] & mask[3 - at / 64] >> (at % 64) & 1 == 1,
                _ => at % 50 != 7,
            };
            for _ in 0..50 {
                let picked = selector.pick(&mut Rng::new(0), skip);
                prop_assert_eq!(picked, model.pick(&skip));
            }
        }
    }
}

/// [SELECT-4]
#[test]
fn priority_takes_the_highest_and_turns_among_equals() {
    let mut selector = selector(Policy::Priority, &members(&[1, 9, 5, 9, 5]));
    assert_eq!(picks(&mut selector, 3, all), [1, 3, 1]);
    assert_eq!(picks(&mut selector, 3, |at| at == 3), [1, 1, 1]);
    assert_eq!(picks(&mut selector, 3, |at| at % 2 == 1), [2, 4, 2]);
    assert_eq!(picks(&mut selector, 2, all), [3, 1], "each group has its own turns");
}

/// [SELECT-5] The example of RFC 5356 §5.3.1: 50 % + 10 % comes before 50 % + 50 %.
#[test]
fn priority_least_used_looks_one_choice_ahead() {
    let percent = |n: u32| u32::MAX / 100 * n;
    let a = Member::new(1, percent(50)).with_degradation(percent(10));
    let b = Member::new(2, percent(50)).with_degradation(percent(50));
    assert_eq!(picks(&mut selector(Policy::PriorityLeastUsed, &[b, a]), 3, all), [1, 1, 1]);
    // Beyond 100 % the sums do not wrap.
    let c = Member::new(3, percent(99)).with_degradation(u32::MAX);
    assert_eq!(picks(&mut selector(Policy::PriorityLeastUsed, &[c, b]), 2, all), [1, 1]);
}

/// [SELECT-5] Loads 0 and 0x10, degradation 8, in the units that registrars use.
#[test]
fn degradation_counts_the_choices() {
    let unit = 0x0100_0000;
    let list = [0, 0x10].map(|load| Member::new(load, load * unit).with_degradation(8 * unit));
    let mut selector = selector(Policy::LeastUsedDegradation, &list);
    assert_eq!(picks(&mut selector, 4, all), [0, 0, 1, 0]);
}

/// [SELECT-5] Sums go on beyond 100 %, and beyond 32 bits.
#[test]
fn degradation_does_not_wrap() {
    let list = [
        Member::new(1, 0).with_degradation(u32::MAX),
        Member::new(2, u32::MAX).with_degradation(u32::MAX),
        Member::new(3, u32::MAX).with_degradation(1),
    ];
    let mut selector = selector(Policy::LeastUsedDegradation, &list);
    assert_eq!(picks(&mut selector, 6, all), [0, 1, 2, 0, 2, 2]);
}

/// [SELECT-5] Equal loads without degradation are plain round robin.
#[test]
fn equals_take_turns() {
    for policy in [Policy::LeastUsed, Policy::LeastUsedDegradation, Policy::PriorityLeastUsed] {
        let mut selector = selector(policy, &members(&[5, 5, 9, 5]));
        assert_eq!(picks(&mut selector, 5, all), [0, 1, 3, 0, 1], "{policy:?}");
    }
}

/// [SELECT-5] [CACHE-5] A counter restarts when load or degradation changed, and only then.
#[test]
fn degradation_counters_survive_a_refresh() {
    let member = |id, load| Member::new(id, load).with_degradation(4);
    let mut selector = selector(Policy::LeastUsedDegradation, &[member(1, 0), member(2, 6)]);
    assert_eq!(picks(&mut selector, 2, all), [0, 0]);
    // Sums are 8 and 6.
    selector.refresh(Policy::LeastUsedDegradation, &[member(2, 6), member(3, 7), member(1, 0)]);
    assert_eq!(picks(&mut selector, 3, all), [0, 1, 2]);
    // Identifier 1 is updated and counts from 0 again.
    selector.refresh(Policy::LeastUsedDegradation, &[member(2, 6), member(3, 7), member(1, 1)]);
    assert_eq!(picks(&mut selector, 3, all), [2, 2, 2]);
}
