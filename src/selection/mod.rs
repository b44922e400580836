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
//! use asap_pu::selection::{Member, PolicyKind, Selector};
//!
//! let mut rng = Rng::new(1);
//! let mut selector = Selector::new();
//! let members = [Member::new(0xa, 3), Member::new(0xb, 1)];
//! selector.refresh(PolicyKind::WeightedRoundRobin, &members);
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
//! | [`RoundRobin`](PolicyKind::RoundRobin) | §4.1 | each in turn, beginning with the first |
//! | [`WeightedRoundRobin`](PolicyKind::WeightedRoundRobin) | §4.2 | each as often as its weight says, as evenly as can be |
//! | [`Random`](PolicyKind::Random) | §4.3 | any, all with the same chance |
//! | [`WeightedRandom`](PolicyKind::WeightedRandom) | §4.4 | any, with chances in proportion to the weights |
//! | [`Priority`](PolicyKind::Priority) | §4.5 | the one of highest priority |
//! | [`LeastUsed`](PolicyKind::LeastUsed) | §5.1 | the one of lowest load |
//! | [`LeastUsedDegradation`](PolicyKind::LeastUsedDegradation) | §5.2 | the lowest load, where each choice adds to the load |
//! | [`PriorityLeastUsed`](PolicyKind::PriorityLeastUsed) | §5.3 | the lowest load after one more choice |
//! | [`RandomizedLeastUsed`](PolicyKind::RandomizedLeastUsed) | §5.4 | any, with chances in proportion to what is unused |
//!
//! A policy that is none of these is followed by [`Listed`](PolicyKind::Listed), the registrar's order
//! in turn, unless the user supplies it as a [`CustomPolicy`].
//!
//! # What the texts leave open
//!
//! - **Ties** (§5.1.2 asks for round robin among equals; §4.5 leaves the order free). Among equals goes
//!   the one that was not chosen for longest; of those never chosen, the first listed.
//! - **Sums** (§5.2.2, §5.3.1) are exact: a load beyond 100 % stays comparable and nothing wraps.
//!   The sum of load and degradations stops at 2⁶³ − 1, after more than two billion choices of one
//!   member.
//! - **Weight 0** (§3.2: "not capable of providing any service") is chosen only when no member with
//!   weight is left, and then all that have weight 0 with the same chance. A fully loaded member of
//!   `RandomizedLeastUsed` has weight 0.
//! - **A member passed over** by a choice: random policies give its chances to the others in
//!   proportion, round robin goes on to the next, weighted round robin drops the turns that it would
//!   have had. One that is taken out of the choice ([`Selector::set_usable`]) keeps its place. Either
//!   way there is nothing to catch up when it is back.
//! - **Several at once** ([`Selector::pick_many`]): the first is the choice, the others are
//!   backups, and only the choice moves the state on: §5.2.2 would count all that are handed out,
//!   but backups are rarely used.
//! - **A cycle of weighted round robin** (§4.2.2: "as evenly distributed as possible") serves the
//!   earliest deadline among the turns that are due, which keeps every member within one turn of
//!   its ideal share at any time; the first listed member with weight begins.
//!
//! # From list to list
//!
//! A pool user meets a new list every half minute, often with other values, and chooses once or twice
//! in between. Members are recognised by their identifiers, whatever the order; of those that are
//! not listed, as many as are listed (and 256) are remembered for when they return. A change of policy
//! starts afresh. So over any sequence of lists and choices:
//!
//! | policy | what holds |
//! |---|---|
//! | round robin, and equals of `Priority`, `LeastUsed`, `PriorityLeastUsed` | none has a second turn while another that was listed (and equal) all the time waits for one; one that joins has its turn behind the one listed before it |
//! | weighted round robin | what a member got is within two turns of the sum of its shares, w/W at each choice; within one in a list whose members begin evenly, and in any list that has stood for some cycles |
//! | random policies | each choice by itself has the chances of its list |
//! | `LeastUsedDegradation` | a member has its choices counted until its load or degradation is another (§5.2.2: "updated"), also over lists that leave it out; equals as above |
//!
//! The two turns of weighted round robin are what the tests show for lists that do not depend on the
//! choices; that one turn cannot be kept behind a change, and nothing but the logarithm of their number
//! against whoever sees the choices and makes lists against them, has the same reason for any rule: the
//! shares to come are not known (`weighted_round_robin.rs` has both examples).
//!
//! A choice that came to nothing counts for nothing, where that is told ([`Selector::take_back`]).
//!
//! # What it costs
//!
//! A pick allocates nothing. Round robin, both random policies, priority and least used cost the
//! same at any length of the list; weighted round robin and least used with degradation look at all
//! members of a short list, and in longer ones grow with the logarithm of its length; behind a change
//! weighted round robin looks at all for some turns there too. Members taken out of the choice cost nothing, those passed over by a single choice
//! a term linear in their number. A list that is the same as before is compared, and that is all.
//! Another one takes time linear in its length, or sorts once where it comes in another order; a part
//! of that is done at the first pick that needs it. So is the change of who is in the choice. One with the
//! same members in the same order is met in place, and for a single member whose policy goes by weights
//! nothing is built.

mod carry;
mod custom;
mod least_used_degradation;
mod random;
mod ranked;
mod tournament;
mod weighted_round_robin;

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec::Vec;

pub use custom::CustomPolicy;
pub(crate) use tournament::{Key, Tournament};

use crate::Rng;
use crate::few::Few;
use custom::Custom;
use least_used_degradation::LeastUsedDegradation;
use random::{Random, WeightedRandom};
use ranked::Ranked;
use weighted_round_robin::WeightedRoundRobin;

/// Chooses members of one pool by the pool's policy.
///
/// Feed it the list whenever one arrives ([`refresh`](Self::refresh)), then [`pick`](Self::pick) as
/// often as needed. Picking allocates nothing.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
pub struct Selector {
    policy: PolicyKind,
    chooser: Chooser,
    members: Few<Member>,
    /// The members that are out of the choice until further notice.
    out: Positions,
    /// The same as the chooser knows it.
    left_out: Positions,
    /// Whether the chooser has not seen the list.
    is_new: bool,
    /// Whether it has to be looked after before the next pick.
    is_stale: bool,
    /// The members handed out in this [`pick_many`](Self::pick_many).
    taken: Positions,
}

/// A pool policy (RFC 5356 §7.1), in the order of their type numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PolicyKind {
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

/// A set of positions, one bit a member.
#[derive(Debug, Clone, Default)]
#[cfg_attr(test, derive(Hash))]
struct Positions(Few<u64>);

/// One machine for each family of policies.
///
/// Each takes over what it knows when another list comes (`refresh`), and is arranged for the
/// members in the choice before the first pick and when that has changed (`arrange`).
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
#[repr(u8)]
enum Chooser {
    /// One member, of which a policy of weights has nothing to remember.
    Alone,
    WeightedRoundRobin(Box<WeightedRoundRobin>),
    Random(Random),
    WeightedRandom(Box<WeightedRandom>),
    Ranked(Ranked),
    LeastUsedDegradation(LeastUsedDegradation),
    Custom(Custom),
}

impl Selector {
    /// A selector without members, which chooses nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            policy: PolicyKind::RoundRobin,
            chooser: Chooser::Ranked(Ranked::new()),
            members: Few::default(),
            out: Positions::default(),
            left_out: Positions::default(),
            is_new: false,
            is_stale: false,
            taken: Positions::default(),
        }
    }

    /// Takes over a whole list: from here on, picks are positions in `members`, and all of them are
    /// in the choice.
    ///
    /// The [module documentation](self) says what state survives. [`PolicyKind::Custom`] needs raw
    /// values, which are not in this list: it is followed as [`PolicyKind::Listed`];
    /// [`refresh_custom`](Self::refresh_custom) is the way.
    pub fn refresh(&mut self, policy: PolicyKind, members: &[Member]) {
        let policy = if let PolicyKind::Custom(_) = policy { PolicyKind::Listed } else { policy };
        if !self.out.is_empty() {
            self.is_stale = true;
            self.out.clear();
        }
        if policy == self.policy && *self.members == *members {
            return;
        }
        let was_alone = matches!(self.chooser, Chooser::Alone);
        if policy != self.policy || was_alone && members.len() != 1 {
            self.policy = policy;
            self.chooser = Chooser::new(policy, members.len());
            self.members.clear();
        }
        match &mut self.chooser {
            Chooser::Alone => {}
            Chooser::WeightedRoundRobin(chooser) => chooser.refresh(&self.members, members),
            Chooser::Random(chooser) => chooser.reserve(members.len()),
            Chooser::WeightedRandom(chooser) => {
                chooser.refresh(members.iter().map(|m| weight(policy, m)));
            }
            Chooser::Ranked(chooser) => chooser.refresh(&self.members, members),
            Chooser::LeastUsedDegradation(chooser) => chooser.refresh(&self.members, members),
            Chooser::Custom(_) => unreachable!("made by refresh_custom only"),
        }
        self.members.replace(members);
        self.make_room();
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
        if self.policy != PolicyKind::Custom(kind) {
            self.policy = PolicyKind::Custom(kind);
            self.chooser = Chooser::Custom(Custom::new(make()));
        }
        if let Chooser::Custom(chooser) = &mut self.chooser {
            let mut known = Vec::new();
            chooser.refresh(&mut members.inspect(|(id, _)| known.push(Member::new(*id, u32::MAX))));
            self.members = known.into();
            self.out.clear();
            self.make_room();
        }
    }

    /// Takes a member out of the choice until further notice (failed, or not to be reached), or
    /// puts it back; ignored where `at` is not in the list.
    ///
    /// Other than with `skip`, which is for a single choice, picks then cost what they cost where
    /// the list has the other members only. The first one behind a change takes time in proportion
    /// to the list.
    pub fn set_usable(&mut self, at: usize, usable: bool) {
        if at < self.members.len() {
            self.out.set(self.members.len(), at, !usable);
            self.is_stale = true;
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
        if self.is_stale {
            self.arrange();
        }
        let (policy, members) = (self.policy, &self.members);
        match &mut self.chooser {
            Chooser::Alone => (!self.out.contains(0) && !skip(0)).then_some(0),
            Chooser::WeightedRoundRobin(chooser) => chooser.pick(rng, skip),
            Chooser::Random(chooser) => chooser.pick(rng, skip),
            Chooser::WeightedRandom(chooser) => chooser.pick(rng, skip),
            Chooser::Ranked(chooser) => chooser.pick(|at| rank(policy, &members[at]), skip),
            Chooser::LeastUsedDegradation(chooser) => chooser.pick(members, skip),
            Chooser::Custom(chooser) => chooser.pick(rng, &|at| self.out.contains(at) || skip(at)),
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
        self.taken.0.fill(0);
        for count in 0..wanted {
            let picked = if count == 0 { self.pick(rng, &skip) } else { self.backup(rng, &skip) };
            let Some(at) = picked else { return count };
            self.taken.0[at / 64] |= 1 << (at % 64);
            out(at);
        }
        wanted
    }

    /// Takes back a choice that came to nothing, since the member could not be reached; ignored where
    /// `at` is not in the list.
    ///
    /// Nobody had that turn: weighted round robin gives it back to the member, and to the others what
    /// they were owed for it. (Else whoever tries all members in vain, being cut off from them, has had
    /// one turn of each, whatever their weights, and for long makes up for that.) Least used with
    /// degradation takes the degradation off the load. The other policies keep nothing that adds up.
    pub fn take_back(&mut self, at: usize) {
        if self.is_new {
            self.arrange();
        }
        let Some(member) = self.members.get(at) else { return };
        match &mut self.chooser {
            Chooser::WeightedRoundRobin(chooser) => chooser.take_back(member, at),
            Chooser::LeastUsedDegradation(chooser) => chooser.take_back(member, at),
            _ => {}
        }
    }

    /// The policy that is followed.
    #[must_use]
    pub const fn policy(&self) -> PolicyKind {
        self.policy
    }

    /// The list.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The bytes kept on the heap, not counting what a custom policy keeps.
    #[must_use]
    pub fn heap_size(&self) -> usize {
        self.members.heap_size()
            + [&self.out, &self.left_out, &self.taken]
                .map(|set| set.0.heap_size())
                .iter()
                .sum::<usize>()
            + match &self.chooser {
                Chooser::WeightedRoundRobin(chooser) => {
                    size_of::<WeightedRoundRobin>() + chooser.heap_size()
                }
                Chooser::Random(chooser) => chooser.heap_size(),
                Chooser::Alone | Chooser::Custom(_) => 0,
                Chooser::WeightedRandom(chooser) => {
                    size_of::<WeightedRandom>() + chooser.heap_size()
                }
                Chooser::Ranked(chooser) => chooser.heap_size(),
                Chooser::LeastUsedDegradation(chooser) => chooser.heap_size(),
            }
    }

    /// A further member of the same call.
    fn backup(&mut self, rng: &mut Rng, skip: impl Fn(usize) -> bool) -> Option<usize> {
        let (policy, members) = (self.policy, &self.members[..]);
        let skip = |at: usize| self.taken.contains(at) || skip(at);
        match &mut self.chooser {
            Chooser::Alone => (!self.out.contains(0) && !skip(0)).then_some(0),
            Chooser::WeightedRoundRobin(chooser) => chooser.backup(rng, skip),
            Chooser::Random(chooser) => chooser.pick(rng, skip),
            Chooser::WeightedRandom(chooser) => chooser.pick(rng, skip),
            Chooser::Ranked(chooser) => chooser.backup(|at| rank(policy, &members[at]), skip),
            Chooser::LeastUsedDegradation(chooser) => chooser.backup(skip),
            Chooser::Custom(chooser) => {
                chooser.backup(rng, &|at| self.out.contains(at) || skip(at))
            }
        }
    }

    /// Tells the chooser who is in the choice.
    #[cold]
    fn arrange(&mut self) {
        self.is_stale = false;
        if !self.is_new && *self.out.0 == *self.left_out.0 {
            return;
        }
        let (policy, members, out) = (self.policy, &self.members[..], &self.out);
        match &mut self.chooser {
            Chooser::WeightedRoundRobin(chooser) => chooser.arrange(members, out),
            Chooser::Random(chooser) => chooser.arrange(members.len(), out),
            Chooser::WeightedRandom(chooser) => {
                chooser.arrange(members.iter().map(|m| weight(policy, m)), out);
            }
            Chooser::Ranked(chooser) => chooser.arrange(members, |m| rank(policy, m), out),
            Chooser::LeastUsedDegradation(chooser) => chooser.arrange(members.len(), out),
            Chooser::Alone | Chooser::Custom(_) => {}
        }
        self.left_out.0.replace(&self.out.0);
        self.is_new = false;
    }

    fn make_room(&mut self) {
        (self.is_new, self.is_stale) = (true, true);
        self.taken.0.fill_with(self.members.len().div_ceil(64), 0);
    }
}

impl Positions {
    fn clear(&mut self) {
        self.0.clear();
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in order.
    fn iter(&self) -> impl Iterator<Item = usize> {
        (0..64 * self.0.len()).filter(|&at| self.contains(at))
    }

    #[inline]
    fn contains(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Puts one of `len` in or takes it out. No words are kept where none is in.
    fn set(&mut self, len: usize, at: usize, is_in: bool) {
        if is_in && self.is_empty() {
            self.0.fill_with(len.div_ceil(64), 0);
        }
        let Some(word) = self.0.get_mut(at / 64) else { return };
        if is_in {
            *word |= 1 << (at % 64);
        } else {
            *word &= !(1 << (at % 64));
            if self.0.iter().all(|word| *word == 0) {
                self.clear();
            }
        }
    }
}

/// What a policy of weights knows of a member.
fn weight(policy: PolicyKind, member: &Member) -> u32 {
    if policy == PolicyKind::RandomizedLeastUsed { !member.value } else { member.value }
}

/// What a policy of ranks knows of a member; the lowest is chosen.
fn rank(policy: PolicyKind, member: &Member) -> u64 {
    match policy {
        PolicyKind::Priority => u64::from(!member.value),
        PolicyKind::LeastUsed => u64::from(member.value),
        PolicyKind::PriorityLeastUsed => u64::from(member.value) + u64::from(member.degradation),
        _ => 0,
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
    /// One for a first list of so many members.
    fn new(policy: PolicyKind, len: usize) -> Self {
        match policy {
            PolicyKind::WeightedRoundRobin
            | PolicyKind::WeightedRandom
            | PolicyKind::RandomizedLeastUsed
                if len == 1 =>
            {
                Self::Alone
            }
            PolicyKind::WeightedRoundRobin => Self::WeightedRoundRobin(Box::default()),
            PolicyKind::Random => Self::Random(Random::default()),
            PolicyKind::WeightedRandom | PolicyKind::RandomizedLeastUsed => {
                Self::WeightedRandom(Box::default())
            }
            PolicyKind::LeastUsedDegradation => {
                Self::LeastUsedDegradation(LeastUsedDegradation::default())
            }
            _ => Self::Ranked(Ranked::new()),
        }
    }
}

fn heap<T>(buffer: &Vec<T>) -> usize {
    buffer.capacity() * size_of::<T>()
}
