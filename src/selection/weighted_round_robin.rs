//! Weighted round robin (RFC 5356 §4.2): each member as many turns as its weight says, spread as
//! evenly as possible, in one list and from list to list.
//!
//! With ideal spreading a member of weight w would have the share w/W of each turn, W being the sum
//! of all weights. What it should have had so far less the turns that it had is its *lag*: positive
//! where it is behind, negative where it is ahead. Lags are what goes with the members *from list to
//! list*, whatever becomes of their weights; one that joins begins with none. While a member is not in
//! the choice (not listed, marked as failed, without weight) its lag stands still.
//!
//! *A list whose members begin evenly* is served by deadlines. A member is *due* while its lag is not
//! negative, and the *deadline* of its next turn is when its lag would reach one. At each turn the
//! earliest deadline among the members that are due is served; of equal ones the first listed. No
//! member then strays more than one turn from its ideal share (the quota method of Balinski and
//! Young, 1975; earliest eligible virtual deadlines, Stoica and Abdel-Wahab, 1995). Without the due
//! rule members of large weight would have all their turns early: with one weight of 100 and a
//! hundred of 1 that is 25 turns from the ideal. Each cycle of W turns begins with the first listed
//! member that has weight (§4.1.3: "starting with the first").
//!
//! *A list that others were before* finds its members ahead and behind, and may be gone before any
//! deadline. There whoever would be farthest behind without this turn is served, which keeps lags below
//! two. (Deadlines let small members wait until they are nearly one turn behind; where the next list
//! makes many of those large, they cannot all be served at once.) Where the list stands for a cycle,
//! or for more turns than it pays to look at all members for each, deadlines take over.
//!
//! *What can be kept behind a change*, by any rule, is less than in one list. Of 2n equals n are served,
//! and then the weight is with the others, who are half a turn behind: the last of those is 3/2 − 1/n
//! turns behind before its turn comes. Whoever sees the choices, and always gives the weight to those
//! who were not served yet, makes the last of n wait for 1/n + … + 1/2 turns, about ln n − 0.4, and
//! there are rules that keep to that order and none that do better (Adler, Berenbrink, Friedetzky,
//! Goldberg, Goldberg and Paterson, 2003). But a list that stands becomes even: once each member
//! that began ahead has fallen due, after a cycle or two, no more turns have deadlines by any moment than
//! there were turns, so that by earliest deadlines all are kept, and the due rule keeps the other side.
//!
//! *A choice that came to nothing* is taken back with the shares of it, among those that were in the
//! choice. Taken together these were turns of nobody.
//!
//! Those who left the choice were ahead or behind, so the lags of those who are in it need not add up
//! to nothing. For who is due, each one's equal part of that *surplus* is left aside.
//!
//! The order by deadlines is exact: while they decide a lag is a whole number of W-ths, the *credit*;
//! only deadlines millions of turns away are all the same until they come into sight. Otherwise
//! lags are rounded, once for each list and when deadlines take over, to [`LAG_BITS`] binary places.
//! Where they decide themselves, a turn is taken off at once and the shares of all turns come in at the
//! end; to find who is farthest behind they are compared in fewer places, whose errors end with that list.
//!
//! Two numbers of 32 bits a member decide, so that processors compare several at once: in lists of up
//! to 64 members, looking at all takes less than anything that knows the lowest. In longer ones two
//! tournaments hold those that are due by deadline, and the others by when they will be: other than
//! by deadlines alone a turn changes both, which is what the due rule costs.
//!
//! A member that is passed over loses the turns that come to it, and time goes on. Weights can be
//! such that very many turns in a row would be lost, so after [`LOST_TURNS`] time leaps to the next
//! moment at which a usable member is due.

use alloc::vec::Vec;

use super::carry::{Absent, are_same};
use super::random::uniform_of;
use super::tournament::{Key as _, Tournament};
use super::{Member, Positions, heap};
use crate::Rng;

/// Up to so many members all are looked at for each turn, several at once as processors can; among
/// more, deadlines play a tournament.
const FEW: usize = 1 << FEW_BITS;
const FEW_BITS: u32 = 6;

/// The turns by lag before deadlines take over: in short lists a cycle, but not more than this.
const TURNS_BY_LAG: i64 = 1 << 10;
/// The same in long lists: by then they have cost about as much as it takes to place the deadlines.
const TURNS_BY_LAG_IF_LONG: i64 = 32;

/// In lists longer than this, positions would leave too few bits to compare lags by.
const LONGEST_BY_LAG: usize = 1 << 16;

/// Turns that a pick passes over one by one.
const LOST_TURNS: usize = 32;

/// The binary places of a lag behind the point. A billion lists round by less than 2⁻²⁶ turns.
const LAG_BITS: u32 = 56;
const TURN: i64 = 1 << LAG_BITS;
/// Lags are kept below this many turns, which only what is passed over on purpose could reach.
const LAG_LIMIT: i64 = 32 * TURN;

/// For how many turns time is counted before it begins anew, so that moments fit into few bits. Tests
/// cannot wait for that.
const HORIZON: i64 = if cfg!(test) { 1 << 12 } else { 1 << 23 };
/// Moments before and behind this are all one, being out of sight until time begins anew.
const FAR: i64 = 2 * HORIZON;
/// When a member is due that is not in the choice.
const NEVER: i32 = i32::MAX;

/// The bits of a lag in `ahead`, behind the point and of the position together; six are before it.
const LAG_KEY_BITS: u32 = 25;

#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) struct WeightedRoundRobin {
    /// How far each member was behind when time began; while lags decide, less the turns since.
    lags: Vec<i64>,
    absent: Absent<i64>,
    /// The weight of each; 0 where it is not in the choice.
    weights: Vec<u32>,
    /// While deadlines decide.
    credits: Vec<Credit>,
    /// While lags decide: how far each member is ahead when the next turn is over, with its position
    /// in the lowest bits; and its share of a turn.
    ahead: Vec<i32>,
    shares: Vec<i32>,
    /// While deadlines decide, in whole turns: the first moment at which each member's next turn is
    /// due, and the first moment at which the one behind that is due, which is the deadline.
    from: Vec<i32>,
    until: Vec<i32>,
    /// The sum of all weights; 0 where nobody has any.
    sum: i64,
    /// What a W-th of a turn is; of no meaning while nobody has weight.
    turns: Turns,
    /// Each member's part of what the lags add up to.
    surplus: i64,
    /// The turns since time is counted, also those that were lost.
    time: i64,
    /// When the next cycle begins, or another rule, or time anew.
    end: i64,
    /// The first member that has weight.
    first: usize,
    rule: Rule,
    /// In long lists, the members that are due, by deadline.
    due: Tournament<u64>,
    /// In long lists, the others, by the moment from which they are due.
    waiting: Tournament<u64>,
    /// How many bits of a key are the position.
    shift: u32,
    /// The members in the choice that have no weight.
    weightless: Vec<u32>,
}

/// Who is served.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(test, derive(Hash))]
enum Rule {
    /// The earliest deadline among those that are due, in cycles.
    Cycle,
    /// The earliest deadline among those that are due.
    Deadline,
    /// Who would be farthest behind.
    #[default]
    Lag,
}

/// Where a member stands.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(test, derive(Hash))]
struct Credit {
    /// Its lag in W-ths when the count of time began, less W for each turn that it had since.
    credit: i64,
    /// From one turn to the next, W/w: the whole turns, and what is left of it in w-ths.
    step: i32,
    rest: u32,
}

/// Turns for W-ths of a turn: multiplies instead of dividing.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, Hash))]
struct Turns {
    /// 1/W, and by how many bits more than a lag it is shifted to have 62 or 63.
    factor: i64,
    shift: u32,
}

impl WeightedRoundRobin {
    pub(super) fn refresh(&mut self, old: &[Member], new: &[Member]) {
        self.settle();
        if !are_same(old, new) {
            self.lags = self.absent.carry(&self.lags, old, new, |_, _| 0, |_, _, lag| lag);
        }
        if old.len() != new.len() {
            self.make_room(new.len());
        }
        // Nothing is to be settled until it is known who is in the choice.
        self.weights.clear();
        self.weightless.clear();
        self.weightless.reserve_exact(new.iter().filter(|m| m.value == 0).count());
    }

    /// Has these members in the choice, but for those that are out of it.
    pub(super) fn arrange(&mut self, members: &[Member], out: &Positions) {
        self.settle();
        self.weights.clear();
        self.weights.extend(members.iter().map(|m| m.value));
        out.iter().for_each(|at| self.weights[at] = 0);
        self.weightless.clear();
        let weightless = (0..).zip(members).filter(|(_, m)| m.value == 0).map(|(at, _)| at);
        self.weightless.extend(weightless.filter(|at| !out.contains(*at as usize)));
        self.sum = self.weights.iter().map(|weight| i64::from(*weight)).sum();
        self.turns = Turns::new(self.sum);
        self.first = self.weights.iter().position(|weight| *weight > 0).unwrap_or(0);
        self.begin();
    }

    #[inline]
    pub(super) fn pick(&mut self, rng: &mut Rng, skip: impl Fn(usize) -> bool) -> Option<usize> {
        if self.sum == 0 {
            return uniform_of(rng, &self.weightless, skip);
        }
        let at = self.turn();
        if skip(at) {
            return self.pick_on(at, rng, skip);
        }
        self.take(at);
        Some(at)
    }

    /// The usable member that is the farthest behind, or whose next deadline comes first.
    pub(super) fn backup(&self, rng: &mut Rng, skip: impl Fn(usize) -> bool) -> Option<usize> {
        let usable = (0..self.weights.len()).filter(|&at| self.weights[at] > 0 && !skip(at));
        let next = usable.min_by_key(|&at| match self.rule {
            Rule::Lag => self.ahead[at].into(),
            _ => self.credits[at].deadline(self.weights[at], self.sum),
        });
        next.or_else(|| uniform_of(rng, &self.weightless, skip))
    }

    /// The choice of the member at `at` was none: those among whom it was, as far as they are known,
    /// lose their shares of that turn, and it has the turn back.
    pub(super) fn take_back(&mut self, member: &Member, at: usize) {
        if member.value == 0 {
            return;
        }
        self.settle();
        let own = self.weights[at];
        let turns = Turns::new(self.sum + i64::from(member.value - own));
        let share = |weight: u32| turns.of(weight.into());
        for (lag, weight) in self.lags.iter_mut().zip(&self.weights) {
            *lag = (*lag - share(*weight)).max(-LAG_LIMIT);
        }
        let back = TURN - share(member.value - own);
        self.lags[at] = (self.lags[at] + back).min(LAG_LIMIT);
        self.begin();
    }

    pub(super) fn heap_size(&self) -> usize {
        heap(&self.lags)
            + self.absent.heap_size()
            + heap(&self.weights)
            + heap(&self.credits)
            + heap(&self.ahead)
            + heap(&self.shares)
            + heap(&self.from)
            + heap(&self.until)
            + self.due.heap_size()
            + self.waiting.heap_size()
            + heap(&self.weightless)
    }

    /// The position whose turn it is.
    #[inline]
    fn turn(&mut self) -> usize {
        if self.time >= self.end {
            if let Some(first) = self.begin_again() {
                return first;
            }
        }
        if self.rule == Rule::Lag {
            return self.farthest_behind();
        }
        loop {
            let next = if self.is_short() { self.earliest() } else { self.winner() };
            match next {
                Some(at) => return at,
                None => self.idle(),
            }
        }
    }

    /// Who would have the largest lag without this turn.
    #[inline]
    fn farthest_behind(&self) -> usize {
        let lowest = self.ahead.iter().copied().fold(i32::MAX, i32::min);
        self.position(lowest as u64)
    }

    /// Who has the earliest deadline among those that are due.
    #[inline]
    fn earliest(&self) -> Option<usize> {
        let time = self.time as i32;
        let turns = self.from.iter().zip(&self.until).zip(0..);
        let deadlines = turns.map(|((from, until), at)| {
            // All ones where it is not due: other than a branch, that is done for several at once.
            let waits = (time - from) >> 31;
            (until << FEW_BITS) | at | (waits & i32::MAX)
        });
        let earliest = deadlines.fold(i32::MAX, i32::min);
        (earliest < i32::MAX).then_some(earliest as usize % FEW)
    }

    /// The same by the tournament.
    #[inline]
    fn winner(&self) -> Option<usize> {
        let winner = self.due.lowest();
        (winner < u64::ABSENT).then(|| self.position(winner))
    }

    /// Serves the member at `at`.
    #[inline]
    fn take(&mut self, at: usize) {
        if self.time == self.end {
            self.begin_cycle();
        }
        self.time += 1;
        if self.rule == Rule::Lag {
            // It may wrap until its shares come in.
            self.lags[at] = self.lags[at].wrapping_sub(TURN);
            self.ahead[at] += 1 << LAG_KEY_BITS;
            return self.share_out();
        }
        let (it, weight) = (&mut self.credits[at], self.weights[at]);
        it.credit -= self.sum;
        let (mut from, mut until) = (self.until[at], it.next(self.until[at], weight));
        if from <= -FAR as i32 {
            (from, until) = it.turns(weight, self.sum);
        }
        (self.from[at], self.until[at]) = (from, until);
        if self.is_short() {
            return;
        }
        if i64::from(from) <= self.time {
            self.due.set(at, self.key(until, at));
        } else {
            self.due.set(at, u64::ABSENT);
            self.waiting.lower(at, self.key(from, at));
        }
        self.admit();
    }

    /// Another turn to be had: each member has its share of it.
    #[inline]
    fn share_out(&mut self) {
        for (ahead, share) in self.ahead.iter_mut().zip(&self.shares) {
            *ahead -= share;
        }
    }

    /// In a long list, lets those be due whose moment has come.
    #[inline]
    fn admit(&mut self) {
        let behind = self.key(self.time as i32 + 1, 0);
        loop {
            let next = self.waiting.lowest();
            if next >= behind {
                return;
            }
            let at = self.position(next);
            self.waiting.set(at, u64::ABSENT);
            self.due.lower(at, self.key(self.until[at], at));
        }
    }

    /// What happens at the end: the next cycle begins, with the first; deadlines take over; or time
    /// is counted anew.
    #[cold]
    fn begin_again(&mut self) -> Option<usize> {
        if self.rule == Rule::Lag {
            self.begin_deadlines();
        }
        if self.time >= HORIZON {
            self.count_anew(self.time);
        }
        if self.rule == Rule::Cycle {
            return Some(self.first);
        }
        self.end = HORIZON;
        None
    }

    /// The first turn of a cycle is taken. One that is longer than time is counted goes on by deadlines
    /// alone.
    #[cold]
    fn begin_cycle(&mut self) {
        if self.sum < HORIZON {
            self.end += self.sum;
        } else {
            (self.rule, self.end) = (Rule::Deadline, HORIZON);
        }
    }

    /// Where nobody is due, time goes on until somebody is.
    #[cold]
    fn idle(&mut self) {
        let all = self.credits.iter().zip(&self.weights).filter(|(_, weight)| **weight > 0);
        let due = all.map(|(it, weight)| it.due(*weight));
        self.count_anew(due.min().unwrap_or(0).max(self.time));
    }

    /// Time is counted anew from a moment on.
    fn count_anew(&mut self, from: i64) {
        for (it, weight) in self.credits.iter_mut().zip(&self.weights) {
            it.credit += from * i64::from(*weight);
        }
        (self.time, self.end) = (0, self.end - from);
        self.place();
    }

    /// Goes on when the member whose turn it is has to be passed over.
    #[cold]
    fn pick_on(
        &mut self,
        mut at: usize,
        rng: &mut Rng,
        skip: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let usable = |at: usize| self.weights[at] > 0 && !skip(at);
        if !(0..self.weights.len()).any(usable) {
            return uniform_of(rng, &self.weightless, skip);
        }
        for _ in 0..LOST_TURNS {
            self.take(at);
            at = self.turn();
            if !skip(at) {
                self.take(at);
                return Some(at);
            }
        }
        self.leap(&skip)
    }

    /// Lets time pass until a usable member is due, and serves it. Those that are passed over join
    /// there.
    #[cold]
    fn leap(&mut self, skip: &impl Fn(usize) -> bool) -> Option<usize> {
        if self.rule == Rule::Lag {
            self.begin_deadlines();
        }
        let usable = |at: &usize| self.weights[*at] > 0 && !skip(*at);
        let positions = 0..self.credits.len();
        let due = |at: usize| self.credits[at].due(self.weights[at]);
        let now = positions.clone().filter(usable).map(due).min()?.max(self.time);
        let ready = positions.filter(usable).filter(|at| due(*at) <= now);
        let next =
            ready.min_by_key(|at| self.credits[*at].deadline(self.weights[*at], self.sum))?;
        for (at, (it, weight)) in self.credits.iter_mut().zip(&self.weights).enumerate() {
            // Too large for a product of 64 bits, where it was passed over for long.
            let lag = i128::from(it.credit) + i128::from(now) * i128::from(*weight);
            it.credit = if skip(at) { lag.min(0) } else { lag } as i64;
        }
        (self.time, self.rule, self.end) = (0, Rule::Deadline, HORIZON);
        self.place();
        self.take(next);
        Some(next)
    }

    /// Lets time begin, by the lags of those in the choice.
    fn begin(&mut self) {
        self.shift = usize::BITS - self.weights.len().leading_zeros();
        let mut known = self.lags.iter().zip(&self.weights);
        let is_even = known.all(|(lag, weight)| *lag == 0 || *weight == 0);
        (self.rule, self.time) = (Rule::Lag, 0);
        if !is_even && self.weights.len() <= LONGEST_BY_LAG {
            self.end =
                if self.is_short() { TURNS_BY_LAG.min(self.sum) } else { TURNS_BY_LAG_IF_LONG };
            return self.compare_lags();
        }
        self.begin_deadlines();
        if is_even {
            (self.rule, self.end) = (Rule::Cycle, 0);
        }
    }

    /// Finds by the lags how far each member is ahead. To decide who is served they need not be exact.
    fn compare_lags(&mut self) {
        let Self { lags, weights, ahead, shares, shift, .. } = self;
        let (shift, turns) = (*shift, &self.turns);
        let mask = (1 << shift) - 1;
        shares.clear();
        shares.extend(weights.iter().map(|weight| turns.about(*weight) & !mask));
        ahead.clear();
        let known = lags.iter().zip(weights.iter().zip(shares.iter()));
        ahead.extend(known.zip(0..).map(|((lag, (weight, share)), at)| {
            let behind = (-lag >> (LAG_BITS + shift - LAG_KEY_BITS)) as i32;
            let ahead = if *weight == 0 { i32::MAX & !mask } else { behind << shift };
            (ahead | at) - share
        }));
    }

    /// Has deadlines decide from here on.
    fn begin_deadlines(&mut self) {
        self.settle();
        let known = self.lags.iter().zip(&self.weights).filter(|(_, weight)| **weight > 0);
        let (count, sum) =
            known.fold((0, 0), |(count, sum), (lag, _)| (count + 1, sum + i128::from(*lag)));
        // In whole steps of few bits, as that is a division of 64 bits.
        self.surplus = ((sum >> 16) as i64).div_euclid(i64::max(count, 1)) << 16;
        self.credits.clear();
        self.credits.extend(self.lags.iter().map(|lag| Credit {
            credit: credit(lag - self.surplus, self.sum),
            step: 0,
            rest: 0,
        }));
        (self.rule, self.end) = (Rule::Deadline, HORIZON);
        self.place();
    }

    /// Finds by the credits when the turns fall due.
    fn place(&mut self) {
        let Self { weights, credits, from, until, .. } = self;
        from.clear();
        until.clear();
        for (it, weight) in credits.iter_mut().zip(weights.iter()) {
            let (due, deadline) = it.turns(*weight, self.sum);
            from.push(due);
            until.push(deadline);
        }
        if self.is_short() {
            return;
        }
        let Self { from, until, due, waiting, shift, time, .. } = self;
        let (shift, time) = (*shift, *time);
        let turns = || from.iter().zip(until.iter()).enumerate();
        due.fill(turns().map(|(at, (from, until))| {
            if i64::from(*from) <= time { key(shift, *until, at) } else { u64::ABSENT }
        }));
        waiting.fill(turns().map(|(at, (from, _))| {
            let waits = i64::from(*from) > time && *from < NEVER;
            if waits { key(shift, *from, at) } else { u64::ABSENT }
        }));
    }

    /// Brings the lags up to the present; behind it time has to begin anew.
    fn settle(&mut self) {
        let known = self.lags.iter_mut().zip(&self.weights);
        if self.rule == Rule::Lag {
            for (lag, weight) in known {
                let share = self.turns.of(self.time * i64::from(*weight));
                *lag = lag.wrapping_add(share).clamp(-LAG_LIMIT, LAG_LIMIT);
            }
        } else {
            let most = self.sum << 6;
            for ((lag, weight), it) in known.zip(&self.credits).filter(|((_, w), _)| **w > 0) {
                let now = it.credit + self.time * i64::from(*weight);
                let gained = now - credit(*lag - self.surplus, self.sum);
                let gained = self.turns.of(gained.clamp(-most, most));
                *lag = (*lag + gained).clamp(-LAG_LIMIT, LAG_LIMIT);
            }
        }
        self.time = 0;
    }

    /// Makes room for a list of another length.
    fn make_room(&mut self, len: usize) {
        self.weights.clear();
        self.weights.reserve_exact(len);
        self.credits.clear();
        self.credits.reserve_exact(len);
        for numbers in [&mut self.ahead, &mut self.shares, &mut self.from, &mut self.until] {
            numbers.clear();
            numbers.reserve_exact(len);
        }
        if len > FEW {
            self.due.reserve(len);
            self.waiting.reserve(len);
        }
    }

    fn is_short(&self) -> bool {
        self.weights.len() <= FEW
    }

    #[inline]
    const fn key(&self, turn: i32, at: usize) -> u64 {
        key(self.shift, turn, at)
    }

    #[inline]
    const fn position(&self, key: u64) -> usize {
        (key & ((1 << self.shift) - 1)) as usize
    }
}

impl Credit {
    /// The first moment at which its next turn is due: when its lag is not negative.
    fn due(&self, weight: u32) -> i64 {
        div_ceil(-self.credit, weight)
    }

    /// The first moment at which the one behind that is due.
    fn deadline(&self, weight: u32, sum: i64) -> i64 {
        div_ceil(sum - self.credit, weight)
    }

    /// When its next turn is due, and its deadline.
    fn turns(&mut self, weight: u32, sum: i64) -> (i32, i32) {
        if weight == 0 {
            return (NEVER, 0);
        }
        let (step, due) = (sum / i64::from(weight), self.due(weight));
        // From any moment in sight the longest step leads out of it.
        (self.step, self.rest) = (step.min(2 * FAR) as i32, (sum % i64::from(weight)) as u32);
        (near(due), near(due + step + self.late(due, weight)))
    }

    /// The deadline of the turn that is due from `from` on, its credit being that of when it falls due.
    #[inline]
    fn next(&self, from: i32, weight: u32) -> i32 {
        (from + self.step + self.late(from.into(), weight) as i32).min(FAR as i32)
    }

    /// Whether the rest of a step makes a moment more.
    #[inline]
    fn late(&self, from: i64, weight: u32) -> i64 {
        // By how many w-ths of a turn it is due before the moment that is a whole turn.
        let early = from * i64::from(weight) + self.credit;
        i64::from(early < i64::from(self.rest))
    }
}

impl Turns {
    fn new(sum: i64) -> Self {
        let bits = sum.max(1).ilog2();
        let factor = (1_u128 << (62 + bits)) / sum.max(1) as u128;
        Self { factor: factor as i64, shift: 62 + bits - LAG_BITS }
    }

    /// So many W-ths as a lag; what exceeds 64 bits is cut.
    #[inline]
    fn of(&self, credit: i64) -> i64 {
        // The shift is less than 64, which saves a case.
        ((i128::from(credit) * i128::from(self.factor)) >> (self.shift & 63)) as i64
    }

    /// The share of a weight, in the places in which lags are compared.
    #[inline]
    fn about(&self, weight: u32) -> i32 {
        ((u64::from(weight) * (self.factor as u64 >> 32))
            >> (self.shift + LAG_BITS - 32 - LAG_KEY_BITS)) as i32
    }
}

/// A lag in W-ths, rounded up so that together they are not negative: at each turn somebody is due.
fn credit(lag: i64, sum: i64) -> i64 {
    -((i128::from(-lag) * i128::from(sum)) >> LAG_BITS) as i64
}

/// A moment that is in sight.
fn near(turn: i64) -> i32 {
    turn.clamp(-FAR, FAR) as i32
}

/// A moment, and the position behind it.
#[inline]
const fn key(shift: u32, turn: i32, at: usize) -> u64 {
    ((turn as i64 + FAR) as u64) << shift | at as u64
}

/// Division by a weight, rounded up.
#[inline]
const fn div_ceil(a: i64, weight: u32) -> i64 {
    let weight = weight as i64;
    if a > 0 { ((a as u64 - 1) / weight as u64) as i64 + 1 } else { a / weight }
}
