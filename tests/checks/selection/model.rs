//! The policies of RFC 5356 told plainly: slow, and easy to believe.

use std::collections::BTreeMap;

use asap_pu::Rng;
use asap_pu::selection::{Member, PolicyKind};

use super::raw;

/// A policy told plainly. Which members may be chosen next is one, none, or, where chance decides,
/// several.
pub(crate) trait Model {
    fn refresh(&mut self, members: &[Member]);

    /// Who is in the choice, after a change of that or of the list; the others are skipped too.
    fn arrange(&mut self, _is_in: &dyn Fn(usize) -> bool) {}

    /// What may be picked; the model goes on from there. `rng` is what the policy draws from.
    fn pick(&mut self, rng: &Rng, skip: &dyn Fn(usize) -> bool) -> Vec<usize>;

    /// What may be picked as a further one, which moves nothing on.
    fn backup(&self, skip: &dyn Fn(usize) -> bool) -> Vec<usize>;
}

/// The model of a policy.
pub(crate) fn model(policy: PolicyKind) -> Box<dyn Model> {
    match policy {
        PolicyKind::WeightedRoundRobin => Box::<Fair>::default(),
        PolicyKind::Random => Box::new(ByChance::new(|_| 1)),
        PolicyKind::WeightedRandom => Box::new(ByChance::new(|m| m.value)),
        PolicyKind::RandomizedLeastUsed => Box::new(ByChance::new(|m| u32::MAX - m.value)),
        PolicyKind::Priority => Box::new(BestRank::new(|m| u64::from(u32::MAX - m.value))),
        PolicyKind::LeastUsed => Box::new(BestRank::new(|m| m.value.into())),
        PolicyKind::PriorityLeastUsed => {
            Box::new(BestRank::new(|m| u64::from(m.value) + u64::from(m.degradation)))
        }
        PolicyKind::LeastUsedDegradation => Box::<Counting>::default(),
        PolicyKind::Custom(_) => Box::<Greatest>::default(),
        _ => Box::new(BestRank::new(|_| 0)),
    }
}

/// The lowest rank, and equals in turn: in the order in which they were chosen last when the list
/// came.
struct BestRank {
    rank: fn(&Member) -> u64,
    list: Vec<Member>,
    chosen: Chosen,
    /// Of each rank, the positions in the order of their turns.
    groups: BTreeMap<u64, Vec<usize>>,
}

/// The lowest load + counter × degradation, and among equals the one that was not chosen for
/// longest.
#[derive(Default)]
struct Counting {
    list: Vec<Member>,
    /// Of each that was ever listed, the load and degradation, and the choices since it had them.
    counters: BTreeMap<u32, (u32, u32, u32)>,
    chosen: Chosen,
}

/// When each that was ever listed was chosen last. One that joins has its turn behind the one listed
/// before it, and as the first listed counts as chosen just then.
#[derive(Default)]
struct Chosen {
    times: BTreeMap<u32, u32>,
    now: u32,
}

/// A point on the line of all weights laid end to end. Where the member there is passed over it is
/// any other that has weight, and where none has, any.
struct ByChance {
    weight: fn(&Member) -> u32,
    list: Vec<Member>,
    /// The weights of those in the choice.
    weights: Vec<u64>,
    uniform: bool,
}

/// Deadlines that are farther away are all one.
const FAR: i128 = 1 << 24;

/// Weighted round robin with all lags written out at each turn. Turns that come to members passed
/// over are lost.
#[derive(Default)]
struct Fair {
    list: Vec<Member>,
    /// The weights of those in the choice.
    weights: Vec<i128>,
    /// Of each that was ever listed, the lag when the list came, in turns / 2⁵⁶.
    lags: BTreeMap<u32, i128>,
    /// Of each listed member, its lag when the list came, in turns / W, and the turns since.
    stands: Vec<(i128, i128)>,
    time: i128,
    /// When time last leapt.
    leapt: i128,
    /// Until when whoever would be farthest behind is served.
    by_lag: i128,
    /// Whether all began evenly: then each cycle begins with the first.
    in_cycles: bool,
}

/// The policy of the user's own in these stories: the greatest raw values.
#[derive(Default)]
struct Greatest(Vec<Member>);

impl Chosen {
    fn list(&mut self, members: &[Member]) {
        self.now += 1;
        let mut before = self.now;
        for m in members {
            before = *self.times.entry(m.id).or_insert(before);
        }
    }

    fn choose(&mut self, member: &Member) {
        self.now += 1;
        self.times.insert(member.id, self.now);
    }
}

impl BestRank {
    fn new(rank: fn(&Member) -> u64) -> Self {
        Self { rank, list: Vec::new(), chosen: Chosen::default(), groups: BTreeMap::new() }
    }
}

impl Model for BestRank {
    fn refresh(&mut self, members: &[Member]) {
        if self.list != members {
            self.list = members.to_vec();
            self.chosen.list(members);
        }
    }

    fn arrange(&mut self, is_in: &dyn Fn(usize) -> bool) {
        let mut all: Vec<_> = (0..self.list.len()).filter(|&at| is_in(at)).collect();
        all.sort_by_key(|&at| self.chosen.times[&self.list[at].id]);
        self.groups.clear();
        for at in all {
            self.groups.entry((self.rank)(&self.list[at])).or_default().push(at);
        }
    }

    fn pick(&mut self, _: &Rng, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        let next = self.backup(skip);
        for &at in &next {
            self.chosen.choose(&self.list[at]);
            let group = self.groups.get_mut(&(self.rank)(&self.list[at])).unwrap();
            let turn = group.iter().position(|&it| it == at).unwrap();
            group.rotate_left(turn + 1);
        }
        next
    }

    fn backup(&self, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        self.groups.values().flatten().copied().find(|&at| !skip(at)).into_iter().collect()
    }
}

impl Model for Counting {
    fn refresh(&mut self, members: &[Member]) {
        if self.list != members {
            self.list = members.to_vec();
            self.chosen.list(members);
            for m in members {
                let counter = self.counters.entry(m.id).or_default();
                if (counter.0, counter.1) != (m.value, m.degradation) {
                    *counter = (m.value, m.degradation, 0);
                }
            }
        }
    }

    fn pick(&mut self, _: &Rng, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        let next = self.backup(skip);
        for &at in &next {
            self.chosen.choose(&self.list[at]);
            self.counters.get_mut(&self.list[at].id).unwrap().2 += 1;
        }
        next
    }

    fn backup(&self, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        let key = |at: &usize| {
            let (load, degradation, counter) = self.counters[&self.list[*at].id];
            let sum = u128::from(load) + u128::from(counter) * u128::from(degradation);
            (sum, self.chosen.times[&self.list[*at].id], *at)
        };
        (0..self.list.len()).filter(|&at| !skip(at)).min_by_key(key).into_iter().collect()
    }
}

impl ByChance {
    fn new(weight: fn(&Member) -> u32) -> Self {
        Self {
            weight,
            list: Vec::new(),
            weights: Vec::new(),
            uniform: weight(&Member::new(0, 2)) == 1 && weight(&Member::new(0, 3)) == 1,
        }
    }
}

impl Model for ByChance {
    fn refresh(&mut self, members: &[Member]) {
        self.list = members.to_vec();
    }

    fn arrange(&mut self, is_in: &dyn Fn(usize) -> bool) {
        let weight = |at: usize| if is_in(at) { (self.weight)(&self.list[at]).into() } else { 0 };
        self.weights = (0..self.list.len()).map(weight).collect();
    }

    fn pick(&mut self, rng: &Rng, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        let mut rng = rng.clone();
        let mut left = self.weights.clone();
        let mut draw = |left: &[u64]| {
            let mut point = rng.below(left.iter().sum());
            left.iter().position(|&weight| {
                let here = point < weight;
                point -= if here { 0 } else { weight };
                here
            })
        };
        for _ in 0..if self.uniform { 16 } else { 17 } {
            match draw(&left) {
                Some(at) if !skip(at) => return vec![at],
                Some(_) if self.uniform => {}
                // Drawn again on the line without it.
                Some(at) => left[at] = 0,
                None => return self.backup(skip),
            }
        }
        (0..left.len()).filter(|&at| skip(at)).for_each(|at| left[at] = 0);
        draw(&left).map_or_else(|| self.backup(skip), |at| vec![at])
    }

    fn backup(&self, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        heavy_or_any(&self.weights, skip)
    }
}

impl Fair {
    fn sum(&self) -> i128 {
        self.weights.iter().sum()
    }

    /// The lag at a time, in turns / W.
    fn lag(&self, at: usize, time: i128) -> i128 {
        let (began, turns) = self.stands[at];
        began + time * self.weights[at] - turns * self.sum()
    }

    /// When the lag is so much or more.
    fn reaches(&self, at: usize, lag: i128) -> i128 {
        let missing = lag - self.lag(at, 0);
        -((-missing).div_euclid(self.weights[at]))
    }

    fn heavy(&self) -> impl DoubleEndedIterator<Item = usize> {
        (0..self.weights.len()).filter(|&at| self.weights[at] > 0)
    }

    /// The member whose turn it is.
    fn turn(&mut self) -> usize {
        let sum = self.sum();
        if self.in_cycles && self.time % sum == 0 {
            return self.heavy().next().unwrap();
        }
        if self.time < self.by_lag {
            return self.heavy().min_by_key(|&at| self.ahead(at)).unwrap();
        }
        self.by_deadlines();
        let due = self.heavy().map(|at| self.reaches(at, 0)).min().unwrap();
        if due > self.time {
            (self.time, self.leapt) = (due, due);
        }
        let due = self.heavy().filter(|&at| self.lag(at, self.time) >= 0);
        due.min_by_key(|&at| (self.reaches(at, sum) - self.leapt).clamp(-FAR, FAR)).unwrap()
    }

    /// How far a member is ahead when the next turn is over, in as many binary places as positions
    /// leave of 25.
    fn ahead(&self, at: usize) -> i128 {
        let places = 25 - (usize::BITS - self.list.len().leading_zeros());
        let share = ((self.weights[at] * (self.factor() >> 32)) >> (5 + self.sum().ilog2()))
            >> (25 - places);
        let began = -self.lags[&self.list[at].id] >> (56 - places);
        began - (self.time + 1) * share + (self.stands[at].1 << places)
    }

    fn take(&mut self, at: usize) {
        self.stands[at].1 += 1;
        self.time += 1;
    }

    /// Passes over all turns until a usable member is due.
    fn leap(&mut self, skip: &dyn Fn(usize) -> bool) -> usize {
        self.by_deadlines();
        let usable: Vec<_> = self.heavy().filter(|&at| !skip(at)).collect();
        let due = usable.iter().map(|&at| self.reaches(at, 0)).min().unwrap();
        self.time = self.time.max(due);
        self.leapt = self.time;
        let ready = usable.into_iter().filter(|&at| self.lag(at, self.time) >= 0);
        let next = ready.min_by_key(|&at| self.reaches(at, self.sum())).unwrap();
        for at in (0..self.list.len()).filter(|&at| skip(at)) {
            let behind = self.lag(at, self.time).max(0);
            self.stands[at].0 -= behind;
        }
        self.in_cycles = false;
        self.take(next);
        next
    }

    /// 1/W, to 62 binary places from the first on.
    fn factor(&self) -> i128 {
        (1 << (62 + self.sum().ilog2())) / self.sum()
    }

    /// Takes down the lags, to 56 binary places, and begins time anew.
    fn settle(&mut self) {
        let turns = |credit: i128| (credit * self.factor()) >> (6 + self.sum().ilog2());
        let gained = |at: usize| {
            let gained = if self.by_lag > 0 {
                turns(self.time * self.weights[at]) - (self.stands[at].1 << 56)
            } else {
                turns(self.lag(at, self.time) - self.begins(at))
            };
            (self.list[at].id, gained)
        };
        let gained: Vec<_> = self.heavy().map(gained).collect();
        if self.time > 0 {
            gained.into_iter().for_each(|(id, gained)| *self.lags.get_mut(&id).unwrap() += gained);
        }
        (self.time, self.leapt) = (0, 0);
    }

    /// Where lags decided, deadlines do from here on.
    fn by_deadlines(&mut self) {
        if self.by_lag > 0 {
            self.settle();
            self.by_lag = 0;
            self.stand();
        }
    }

    /// Lets each begin where it is.
    fn stand(&mut self) {
        let begins = |at| (if self.weights[at] > 0 { self.begins(at) } else { 0 }, 0);
        self.stands = (0..self.list.len()).map(begins).collect();
    }

    /// The lag when the list came, in turns / W, less the part that all have in common.
    fn begins(&self, at: usize) -> i128 {
        let lag = |at: usize| self.lags[&self.list[at].id];
        let surplus = self.heavy().map(lag).sum::<i128>();
        let surplus = (surplus >> 16).div_euclid(self.heavy().count() as i128) << 16;
        let lag = lag(at) - surplus;
        -((-lag * self.sum()) >> 56)
    }
}

impl Model for Fair {
    fn refresh(&mut self, members: &[Member]) {
        if self.list != members {
            self.settle();
            self.weights = Vec::new();
            self.list = members.to_vec();
            members.iter().for_each(|m| _ = self.lags.entry(m.id).or_default());
        }
    }

    fn arrange(&mut self, is_in: &dyn Fn(usize) -> bool) {
        self.settle();
        let weight = |at: usize| if is_in(at) { self.list[at].value.into() } else { 0 };
        self.weights = (0..self.list.len()).map(weight).collect();
        self.stand();
        let is_even = self.heavy().all(|at| self.lags[&self.list[at].id] == 0);
        self.in_cycles = is_even;
        let most = if self.list.len() > 64 { 32 } else { self.sum().min(1 << 10) };
        self.by_lag = if is_even { 0 } else { most };
    }

    fn pick(&mut self, _: &Rng, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        if self.heavy().all(skip) {
            return self.backup(skip);
        }
        for lost in 0.. {
            let at = self.turn();
            if lost == 32 && skip(at) {
                return vec![self.leap(skip)];
            }
            self.take(at);
            if !skip(at) {
                return vec![at];
            }
        }
        unreachable!("a leap ends it");
    }

    fn backup(&self, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        let usable = self.heavy().filter(|&at| !skip(at));
        let next = usable.min_by_key(|&at| match self.by_lag {
            0 => self.reaches(at, self.sum()),
            _ => self.ahead(at),
        });
        match next {
            Some(next) => vec![next],
            None => (0..self.list.len()).filter(|&at| !skip(at)).collect(),
        }
    }
}

impl Model for Greatest {
    fn refresh(&mut self, members: &[Member]) {
        self.0 = members.to_vec();
    }

    fn pick(&mut self, _: &Rng, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        self.backup(skip)
    }

    fn backup(&self, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        let usable = (0..self.0.len()).filter(|&at| !skip(at));
        usable.max_by_key(|&at| raw(&self.0[at])).into_iter().collect()
    }
}

/// The members with weight that are not passed over, or where there are none, those without.
fn heavy_or_any<W: From<u8> + PartialEq>(
    weights: &[W],
    skip: &dyn Fn(usize) -> bool,
) -> Vec<usize> {
    let usable = || (0..weights.len()).filter(|&at| !skip(at));
    let heavy: Vec<_> = usable().filter(|&at| weights[at] != 0.into()).collect();
    if heavy.is_empty() { usable().collect() } else { heavy }
}
