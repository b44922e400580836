//! The policies of RFC 5356 told plainly: slow, and easy to believe.

use std::collections::BTreeMap;

use asap_pu::Rng;
use asap_pu::selection::{Member, Policy};

use super::raw;

/// A policy told plainly. Which members may be chosen next is one, none, or, where chance decides,
/// several.
pub(crate) trait Model {
    fn refresh(&mut self, members: &[Member]);

    /// What may be picked; the model goes on from there. `rng` is what the policy draws from.
    fn pick(&mut self, rng: &Rng, skip: &dyn Fn(usize) -> bool) -> Vec<usize>;

    /// What may be picked as a further one, which moves nothing on.
    fn backup(&self, skip: &dyn Fn(usize) -> bool) -> Vec<usize>;
}

/// The model of a policy.
pub(crate) fn model(policy: Policy) -> Box<dyn Model> {
    match policy {
        Policy::WeightedRoundRobin => Box::<EarliestDue>::default(),
        Policy::Random => Box::new(ByChance::new(|_| 1)),
        Policy::WeightedRandom => Box::new(ByChance::new(|m| m.value)),
        Policy::RandomizedLeastUsed => Box::new(ByChance::new(|m| u32::MAX - m.value)),
        Policy::Priority => Box::new(BestRank::new(|m| u64::from(u32::MAX - m.value))),
        Policy::LeastUsed => Box::new(BestRank::new(|m| m.value.into())),
        Policy::PriorityLeastUsed => {
            Box::new(BestRank::new(|m| u64::from(m.value) + u64::from(m.degradation)))
        }
        Policy::LeastUsedDegradation => Box::<Counting>::default(),
        Policy::Custom(_) => Box::<Greatest>::default(),
        _ => Box::<InTurn>::default(),
    }
}

/// In list order, behind the one chosen last, which is known by its identifier.
#[derive(Default)]
struct InTurn {
    ids: Vec<u32>,
    last: Option<u32>,
}

/// The lowest rank, and among equals the first listed behind the one of them that was chosen last.
struct BestRank {
    rank: fn(&Member) -> u64,
    list: Vec<Member>,
    /// For each rank, one behind the position where round robin among those of this rank is.
    turns: BTreeMap<u64, usize>,
    last: Option<u32>,
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

/// A point on the line of all weights laid end to end. Where the member there is passed over it is
/// any other that has weight, and where none has, any.
struct ByChance {
    weight: fn(&Member) -> u32,
    weights: Vec<u64>,
    uniform: bool,
}

/// The earliest deadline among the turns that are due, found by looking at all of them each time.
/// Turns that come to members passed over are lost.
#[derive(Default)]
struct EarliestDue {
    list: Vec<Member>,
    weights: Vec<u128>,
    served: Vec<u128>,
}

/// The policy of the user's own in these stories: the greatest raw values.
#[derive(Default)]
struct Greatest(Vec<Member>);

impl InTurn {
    fn next(&self, skip: &dyn Fn(usize) -> bool) -> Option<usize> {
        let behind = self.ids.iter().position(|id| Some(*id) == self.last).map_or(0, |at| at + 1);
        (0..self.ids.len()).filter(|&at| !skip(at)).min_by_key(|&at| (at < behind, at))
    }
}

impl Model for InTurn {
    fn refresh(&mut self, members: &[Member]) {
        self.ids = members.iter().map(|m| m.id).collect();
        self.last = self.last.filter(|last| self.ids.contains(last));
    }

    fn pick(&mut self, _: &Rng, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        let next = self.next(skip);
        self.last = next.map(|at| self.ids[at]).or(self.last);
        next.into_iter().collect()
    }

    fn backup(&self, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        self.next(skip).into_iter().collect()
    }
}

impl BestRank {
    fn new(rank: fn(&Member) -> u64) -> Self {
        Self { rank, list: Vec::new(), turns: BTreeMap::new(), last: None }
    }

    fn next(&self, skip: &dyn Fn(usize) -> bool) -> Option<usize> {
        let rank = |at: usize| (self.rank)(&self.list[at]);
        let usable = || (0..self.list.len()).filter(|&at| !skip(at));
        let best = usable().map(rank).min()?;
        let turn = self.turns[&best];
        usable().filter(|&at| rank(at) == best).min_by_key(|&at| (at < turn, at))
    }
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

    fn pick(&mut self, _: &Rng, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        let next = self.next(skip);
        if let Some(at) = next {
            self.turns.insert((self.rank)(&self.list[at]), at + 1);
            self.last = Some(self.list[at].id);
        }
        next.into_iter().collect()
    }

    fn backup(&self, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        self.next(skip).into_iter().collect()
    }
}

impl Counting {
    fn key(m: &Member) -> (u32, u32, u32) {
        (m.id, m.value, m.degradation)
    }

    fn next(&self, skip: &dyn Fn(usize) -> bool) -> Option<usize> {
        let sum = |m: &Member| {
            let counter = self.counters.get(&Self::key(m)).copied().unwrap_or(0);
            u128::from(m.value) + u128::from(counter) * u128::from(m.degradation)
        };
        let usable = (0..self.list.len()).filter(|&at| !skip(at));
        usable.min_by_key(|&at| (sum(&self.list[at]), self.chosen.get(&self.list[at].id), at))
    }
}

impl Model for Counting {
    fn refresh(&mut self, members: &[Member]) {
        self.counters.retain(|known, _| members.iter().any(|m| Self::key(m) == *known));
        self.chosen.retain(|known, _| members.iter().any(|m| m.id == *known));
        self.list = members.to_vec();
    }

    fn pick(&mut self, _: &Rng, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        let next = self.next(skip);
        if let Some(at) = next {
            *self.counters.entry(Self::key(&self.list[at])).or_default() += 1;
            self.choices += 1;
            self.chosen.insert(self.list[at].id, self.choices);
        }
        next.into_iter().collect()
    }

    fn backup(&self, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        self.next(skip).into_iter().collect()
    }
}

impl ByChance {
    fn new(weight: fn(&Member) -> u32) -> Self {
        Self {
            weight,
            weights: Vec::new(),
            uniform: weight(&Member::new(0, 2)) == 1 && weight(&Member::new(0, 3)) == 1,
        }
    }
}

impl Model for ByChance {
    fn refresh(&mut self, members: &[Member]) {
        self.weights = members.iter().map(|m| (self.weight)(m).into()).collect();
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

impl EarliestDue {
    /// The turn that comes next, and the turns served after it.
    fn turn(&self, mut served: Vec<u128>) -> (usize, Vec<u128>) {
        let (weights, sum) = (&self.weights, self.weights.iter().sum::<u128>());
        let time: u128 = served.iter().sum();
        let mut turns = (0..weights.len()).filter(|&at| served[at] < weights[at]);
        let at = if time == 0 {
            turns.next()
        } else {
            turns.filter(|&at| served[at] * sum <= time * weights[at]).min_by(|&a, &b| {
                ((served[a] + 1) * weights[b]).cmp(&((served[b] + 1) * weights[a]))
            })
        };
        let at = at.expect("a turn is due");
        served[at] += 1;
        if time + 1 == sum {
            served.fill(0);
        }
        (at, served)
    }

    /// Passes over all turns until one of a usable member is due.
    fn leap(&mut self, skip: &dyn Fn(usize) -> bool) -> usize {
        let (weights, sum) = (self.weights.clone(), self.weights.iter().sum::<u128>());
        let due = |served: &[u128], at: usize| (served[at] * sum).div_ceil(weights[at]);
        let usable = || (0..weights.len()).filter(|&at| weights[at] > 0 && !skip(at));
        let first = usable().map(|at| due(&self.served, at)).min().unwrap();
        let mut now = first.max(self.served.iter().sum());
        if now == sum {
            self.served.fill(0);
            now = 0;
        }
        let ready = usable().filter(|&at| due(&self.served, at) <= now);
        let deadline = |at: usize, other: usize| (self.served[at] + 1) * weights[other];
        let at = ready.min_by(|&a, &b| deadline(a, b).cmp(&deadline(b, a))).unwrap();
        for lost in (0..weights.len()).filter(|&at| skip(at)) {
            self.served[lost] = self.served[lost].max(now * weights[lost] / sum);
        }
        self.served[at] += 1;
        if self.served == weights {
            self.served.fill(0);
        }
        at
    }

    fn usable(&self, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        heavy_or_any(&self.weights, skip)
    }
}

impl Model for EarliestDue {
    fn refresh(&mut self, members: &[Member]) {
        let length = self.weights.iter().sum::<u128>().max(1);
        let time = self.served.iter().sum::<u128>();
        let share = |weight: u128| (time * weight / length) as i128;
        // How far each member was ahead of the whole turns of its ideal share.
        let known = self.list.iter().zip(self.weights.iter().zip(&self.served));
        let lead: BTreeMap<(u32, u32), i128> = known
            .map(|(m, (weight, served))| ((m.id, m.value), *served as i128 - share(*weight)))
            .collect();

        let divisor = u128::from(members.iter().fold(0, |divisor, m| gcd(m.value, divisor)).max(1));
        self.weights = members.iter().map(|m| u128::from(m.value) / divisor).collect();
        let joined = members.iter().zip(&self.weights).map(|(m, weight)| {
            let lead = lead.get(&(m.id, m.value)).copied().unwrap_or(0);
            (share(*weight) + lead).clamp(0, *weight as i128) as u128
        });
        let same = |m: &Member| (m.id, m.value);
        if !self.list.iter().map(same).eq(members.iter().map(same)) {
            self.served = joined.collect();
        }
        if self.served == self.weights {
            self.served.fill(0);
        }
        self.list = members.to_vec();
    }

    fn pick(&mut self, _: &Rng, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        let usable = self.usable(skip);
        if usable.iter().all(|&at| self.weights[at] == 0) {
            return usable;
        }
        let (mut served, mut lost) = (self.served.clone(), 0);
        loop {
            let (at, after) = self.turn(served);
            served = after;
            if !skip(at) {
                self.served = served;
                return vec![at];
            }
            lost += 1;
            let short = 512.max(8 * self.list.len()) as u128;
            if lost > 31 && self.weights.iter().sum::<u128>() > short {
                self.served = served;
                return vec![self.leap(skip)];
            }
        }
    }

    fn backup(&self, skip: &dyn Fn(usize) -> bool) -> Vec<usize> {
        let usable = self.usable(skip);
        if usable.iter().all(|&at| self.weights[at] == 0) {
            return usable;
        }
        let next = usable.into_iter().min_by(|&a, &b| {
            let deadline = |at: usize, other: usize| (self.served[at] + 1) * self.weights[other];
            deadline(a, b).cmp(&deadline(b, a))
        });
        next.into_iter().collect()
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

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
