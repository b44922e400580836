//! The pool policies of RFC 5356: which member of a pool is chosen next.
//!
//! A *pool* is a list of servers that offer the same service; a registrar hands the list out
//! together with the *policy* by which its members are to be used: in turn, at random, the least
//! loaded first. This module makes that choice. It knows nothing about networks and messages:
//! members are positions in a list, each with the one or two numbers that its policy weighs, and an
//! identifier by which it is recognised when the list comes again.
//!
//! ```
//! use asap_pu::Rng;
//! use asap_pu::selection::{Member, Policy, Selector};
//!
//! let mut rng = Rng::new(1);
//! let mut selector = Selector::new();
//! let members = [Member::new(0xa, 3), Member::new(0xb, 1)];
//! selector.refresh(Policy::WeightedRoundRobin, &members);
//!
//! let cycle = [0; 4].map(|_| selector.pick(&mut rng, |_| false));
//! assert_eq!(cycle, [Some(0), Some(1), Some(0), Some(0)]);
//!
//! // The first has failed: pass it over.
//! assert_eq!(selector.pick(&mut rng, |at| at == 0), Some(1));
//! ```
//!
//! # The policies
//!
//! | policy | RFC 5356 | chosen is |
//! |---|---|---|
//! | [`RoundRobin`](Policy::RoundRobin) | §4.1 | each in turn, beginning with the first |
//! | [`WeightedRoundRobin`](Policy::WeightedRoundRobin) | §4.2 | each as often as its weight says, as evenly as can be |
//! | [`Random`](Policy::Random) | §4.3 | any, all with the same chance |
//! | [`WeightedRandom`](Policy::WeightedRandom) | §4.4 | any, with chances in proportion to the weights |
//! | [`Priority`](Policy::Priority) | §4.5 | the one of highest priority |
//! | [`LeastUsed`](Policy::LeastUsed) | §5.1 | the one of lowest load |
//! | [`LeastUsedDegradation`](Policy::LeastUsedDegradation) | §5.2 | the lowest load, where each choice adds to the load |
//! | [`PriorityLeastUsed`](Policy::PriorityLeastUsed) | §5.3 | the lowest load after one more choice |
//! | [`RandomizedLeastUsed`](Policy::RandomizedLeastUsed) | §5.4 | any, with chances in proportion to what is unused |
//!
//! A policy that is none of these is followed by [`Listed`](Policy::Listed), the registrar's order
//! in turn, unless the user supplies it as a [`CustomPolicy`].
//!
//! # What the texts leave open
//!
//! - **Ties** (§5.1.2 asks for round robin among equals; §4.5 leaves the order free). Among equals
//!   of `Priority`, `LeastUsed` and `PriorityLeastUsed` goes the first one listed behind the one of
//!   them that was chosen last, around the end. With `LeastUsedDegradation`, where equals come and
//!   go, it is the one that was not chosen for longest; of those never chosen, the first listed.
//! - **Sums** (§5.2.2, §5.3.1) are exact: a load beyond 100 % stays comparable and nothing wraps.
//!   The sum of load and degradations stops at 2⁶⁴ − 1, after more than four billion choices of one
//!   member.
//! - **Weight 0** (§3.2: "not capable of providing any service") is chosen only when no member with
//!   weight is left, and then all that have weight 0 with the same chance. A fully loaded member of
//!   `RandomizedLeastUsed` has weight 0.
//! - **A member passed over** keeps its place. Random policies give its chances to the others in
//!   proportion; round robin goes on to the next; weighted round robin drops the turns that it
//!   would have had. When it is back it joins where the policy stands, and there is nothing to
//!   catch up.
//! - **A refresh** keeps what still means something. Round robin and ties go on behind the member
//!   chosen last if that is still listed, and begin with the first otherwise. Weighted round robin
//!   keeps the turns of each member whose weight is the same; others join where the cycle stands. A
//!   degradation counter restarts when load or degradation changed (§5.2.2: "updated"). A change of
//!   policy starts afresh.
//! - **Several at once** ([`Selector::pick_many`]): the first is the choice, the others are
//!   backups, and only the choice moves the state on: §5.2.2 would count all that are handed out,
//!   but backups are rarely used.
//! - **A cycle of weighted round robin** (§4.2.2: "as evenly distributed as possible") serves the
//!   earliest deadline among the turns that are due, which keeps every member within one turn of
//!   its ideal share at any time; the first listed member with weight begins.
//!
//! # What it costs
//!
//! A pick allocates nothing. Round robin, both random policies, priority and least used cost the
//! same at any length of the list; weighted round robin and least used with degradation grow with
//! its logarithm. Passing members over adds a term linear in their number. A refresh is linear in
//! the length of the list, or sorts once where the list comes in another order. Some policies do a
//! part of the work at the first pick that needs it: once for a list, in time linear in its length
//! (or a sort where all members of the best rank are passed over).

mod calendar;
mod carry;
mod custom;
mod least_used_degradation;
mod random;
mod ranked;
mod round_robin;
mod tournament;
mod weighted_round_robin;

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec::Vec;

pub use custom::CustomPolicy;

use crate::Rng;
use custom::Custom;
use least_used_degradation::LeastUsedDegradation;
use random::{Random, WeightedRandom};
use ranked::Ranked;
use round_robin::RoundRobin;
use weighted_round_robin::WeightedRoundRobin;

/// Chooses members of one pool by the pool's policy.
///
/// Feed it the list whenever one arrives ([`refresh`](Self::refresh)), then [`pick`](Self::pick) as
/// often as needed. Picking allocates nothing.
#[derive(Debug)]
pub struct Selector {
    policy: Policy,
    chooser: Chooser,
    len: usize,
    /// One bit a member: already handed out in this [`pick_many`](Self::pick_many).
    taken: Vec<u64>,
}

/// A pool policy (RFC 5356 §7.1), in the order of their type numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// Round Robin (0x00000001, §4.1): each in turn; the default of RSerPool.
    RoundRobin,
    /// Weighted Round Robin (0x00000002, §4.2); [`Member::value`] is the weight.
    WeightedRoundRobin,
    /// Random (0x00000003, §4.3).
    Random,
    /// Weighted Random (0x00000004, §4.4); [`Member::value`] is the weight.
    WeightedRandom,
    /// Priority (0x00000005, §4.5); [`Member::value`] is the priority, larger is better.
    Priority,
    /// Least Used (0x40000001, §5.1); [`Member::value`] is the load.
    LeastUsed,
    /// Least Used with Degradation (0x40000002, §5.2); [`Member::value`] is the load, and each
    /// choice of a member adds its [`Member::degradation`].
    LeastUsedDegradation,
    /// Priority Least Used (0x40000003, §5.3); [`Member::value`] is the load, to which
    /// [`Member::degradation`] is added once.
    PriorityLeastUsed,
    /// Randomized Least Used (0x40000004, §5.4); [`Member::value`] is the load.
    RandomizedLeastUsed,
    /// Not a policy of RFC 5356: the order of the list, in turn. Stands in for policies that are
    /// not known.
    Listed,
    /// A policy of the user's own, with its 32-bit type; see [`CustomPolicy`].
    Custom(u32),
}

/// One member of a pool as its policy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Member {
    /// Recognises the member in the next list: its pool element identifier. Unique within a list.
    pub id: u32,
    /// The weight, priority or load, whichever the policy knows; otherwise ignored. Loads run from
    /// 0 (idle) to 0xffffffff (100 %, §3.1).
    pub value: u32,
    /// How much one more choice adds to the load, in units of load; ignored where the policy knows
    /// no degradation.
    pub degradation: u32,
}

/// One machine for each family of policies.
#[derive(Debug)]
#[repr(u8)]
enum Chooser {
    RoundRobin(RoundRobin),
    WeightedRoundRobin(Box<WeightedRoundRobin>),
    Random(Random),
    WeightedRandom(WeightedRandom),
    Ranked(Ranked),
    LeastUsedDegradation(Box<LeastUsedDegradation>),
    Custom(Custom),
}

impl Selector {
    /// A selector without members, which chooses nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            policy: Policy::RoundRobin,
            chooser: Chooser::RoundRobin(RoundRobin::new()),
            len: 0,
            taken: Vec::new(),
        }
    }

    /// Takes over a whole list: from here on, picks are positions in `members`.
    ///
    /// The [module documentation](self) says what state survives. [`Policy::Custom`] needs raw
    /// values, which are not in this list: it is followed as [`Policy::Listed`];
    /// [`refresh_custom`](Self::refresh_custom) is the way.
    pub fn refresh(&mut self, policy: Policy, members: &[Member]) {
        let policy = if let Policy::Custom(_) = policy { Policy::Listed } else { policy };
        if policy != self.policy {
            self.policy = policy;
            self.chooser = Chooser::new(policy);
        }
        match &mut self.chooser {
            Chooser::RoundRobin(chooser) => chooser.refresh(members),
            Chooser::WeightedRoundRobin(chooser) => chooser.refresh(members),
            Chooser::Random(chooser) => chooser.refresh(members),
            Chooser::WeightedRandom(chooser) => {
                chooser.refresh(members.iter().map(|m| {
                    if policy == Policy::RandomizedLeastUsed { !m.value } else { m.value }
                }))
            }
            Chooser::Ranked(chooser) => chooser.refresh(members, |m| match policy {
                Policy::Priority => u64::from(!m.value),
                Policy::LeastUsed => u64::from(m.value),
                _ => u64::from(m.value) + u64::from(m.degradation),
            }),
            Chooser::LeastUsedDegradation(chooser) => chooser.refresh(members),
            Chooser::Custom(_) => unreachable!("made by refresh_custom only"),
        }
        self.resize(members.len());
    }

    /// Takes over a whole list under a policy of the user's own: of each member its identifier and
    /// the raw bytes of its policy parameter behind the policy type.
    ///
    /// `make` is called when the selector did not follow policy `kind` before; otherwise the policy
    /// at hand is refreshed and keeps what it likes. [`CustomPolicy`] has an example.
    pub fn refresh_custom(
        &mut self,
        kind: u32,
        make: impl FnOnce() -> Box<dyn CustomPolicy>,
        members: &mut dyn Iterator<Item = (u32, &[u8])>,
    ) {
        if self.policy != Policy::Custom(kind) {
            self.policy = Policy::Custom(kind);
            self.chooser = Chooser::Custom(Custom::new(make()));
        }
        if let Chooser::Custom(chooser) = &mut self.chooser {
            let len = chooser.refresh(members);
            self.resize(len);
        }
    }

    /// Chooses a member: its position in the list, or `None` where all are passed over or the list
    /// is empty.
    ///
    /// `skip` says which positions to pass over (failed, excluded, unusable); the proportions among
    /// the others stay what the policy makes them. It may be asked about any position, any number
    /// of times, and must give the same answer throughout one call.
    #[inline]
    pub fn pick(&mut self, rng: &mut Rng, skip: impl Fn(usize) -> bool) -> Option<usize> {
        match &mut self.chooser {
            Chooser::RoundRobin(chooser) => chooser.pick(skip),
            Chooser::WeightedRoundRobin(chooser) => chooser.pick(rng, skip),
            Chooser::Random(chooser) => chooser.pick(rng, skip),
            Chooser::WeightedRandom(chooser) => chooser.pick(rng, skip),
            Chooser::Ranked(chooser) => chooser.pick(skip),
            Chooser::LeastUsedDegradation(chooser) => chooser.pick(skip),
            Chooser::Custom(chooser) => chooser.pick(rng, &skip),
        }
    }

    /// Chooses `wanted` different members, best first, and hands their positions to `out`; fewer
    /// where fewer can be chosen. Returns how many.
    ///
    /// The first is what [`pick`](Self::pick) would have chosen, and the only one that counts as a
    /// choice; the others are backups by the same policy. Meant for a handful: the cost grows with
    /// the square of `wanted`.
    pub fn pick_many(
        &mut self,
        rng: &mut Rng,
        wanted: usize,
        skip: impl Fn(usize) -> bool,
        mut out: impl FnMut(usize),
    ) -> usize {
        self.taken.fill(0);
        for count in 0..wanted {
            let picked = if count == 0 {
                self.pick(rng, &skip)
            } else {
                let taken = &self.taken;
                let skip = |at| skip(at) || taken[at / 64] >> (at % 64) & 1 == 1;
                match &mut self.chooser {
                    Chooser::RoundRobin(chooser) => chooser.backup(skip),
                    Chooser::WeightedRoundRobin(chooser) => chooser.backup(rng, skip),
                    Chooser::Random(chooser) => chooser.pick(rng, skip),
                    Chooser::WeightedRandom(chooser) => chooser.pick(rng, skip),
                    Chooser::Ranked(chooser) => chooser.backup(skip),
                    Chooser::LeastUsedDegradation(chooser) => chooser.backup(skip),
                    Chooser::Custom(chooser) => chooser.backup(rng, &skip),
                }
            };
            let Some(at) = picked else { return count };
            self.taken[at / 64] |= 1 << (at % 64);
            out(at);
        }
        wanted
    }

    /// The policy that is followed.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// The number of members.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no members.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes kept on the heap, not counting what a custom policy keeps.
    #[must_use]
    pub fn heap_size(&self) -> usize {
        heap(&self.taken)
            + match &self.chooser {
                Chooser::RoundRobin(chooser) => chooser.heap_size(),
                Chooser::WeightedRoundRobin(chooser) => chooser.heap_size(),
                Chooser::Random(_) | Chooser::Custom(_) => 0,
                Chooser::WeightedRandom(chooser) => chooser.heap_size(),
                Chooser::Ranked(chooser) => chooser.heap_size(),
                Chooser::LeastUsedDegradation(chooser) => chooser.heap_size(),
            }
    }

    fn resize(&mut self, len: usize) {
        self.len = len;
        self.taken.resize(len.div_ceil(64), 0);
    }
}

impl Default for Selector {
    fn default() -> Self {
        Self::new()
    }
}

impl Member {
    /// A member without degradation.
    #[must_use]
    pub const fn new(id: u32, value: u32) -> Self {
        Self { id, value, degradation: 0 }
    }

    /// The same with a degradation.
    #[must_use]
    pub const fn with_degradation(self, degradation: u32) -> Self {
        Self { degradation, ..self }
    }
}

impl Chooser {
    fn new(policy: Policy) -> Self {
        match policy {
            Policy::RoundRobin | Policy::Listed | Policy::Custom(_) => {
                Self::RoundRobin(RoundRobin::new())
            }
            Policy::WeightedRoundRobin => Self::WeightedRoundRobin(Box::default()),
            Policy::Random => Self::Random(Random::default()),
            Policy::WeightedRandom | Policy::RandomizedLeastUsed => {
                Self::WeightedRandom(WeightedRandom::default())
            }
            Policy::Priority | Policy::LeastUsed | Policy::PriorityLeastUsed => {
                Self::Ranked(Ranked::default())
            }
            Policy::LeastUsedDegradation => Self::LeastUsedDegradation(Box::default()),
        }
    }
}

fn heap<T>(buffer: &Vec<T>) -> usize {
    buffer.capacity() * size_of::<T>()
}
