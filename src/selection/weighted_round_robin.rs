//! Weighted round robin (RFC 5356 §4.2): each member as many turns a cycle as its weight says,
//! spread as evenly as possible.
//!
//! A cycle has W turns, the sum of all weights (divided by what they have in common). With ideal
//! spreading a member of weight w would have had t·w/W turns after t of them, so its turn number k
//! (from 0) is *due* from the moment k·W/w, and its *deadline* is the moment (k+1)·W/w, when the
//! next one is due. At each moment the earliest deadline among the turns that are due is served; of
//! equal ones the first listed. A cycle begins with the first listed member that has weight
//! (§4.1.3: "starting with the first"). No member then ever strays more than one turn from its
//! ideal share. Without the due rule members of large weight would have all their turns early: with
//! one weight of 100 and a hundred of 1 that is 25 turns from the ideal.
//!
//! All of it is exact integer arithmetic, also for weights of 2³² − 1. The turns that are due play
//! a [`Tournament`] by deadline, those that are not yet due stand in a [`Calendar`]. Where the
//! cycle is short it is written down as it is served for the first time, and then read.
//!
//! A member that is passed over loses the turns that come to it; the cycle goes on to the next
//! turn. Weights can be such that very many turns in a row would be lost, so after [`LOST_TURNS`]
//! time leaps to the next moment at which a turn of a usable member is due.

use alloc::vec::Vec;

use super::calendar::Calendar;
use super::carry::Finder;
use super::random::uniform;
use super::tournament::{Key as _, Tournament};
use super::{Member, heap};
use crate::Rng;

/// The longest cycle that is written down: this, or this many turns a member.
const SHORT_CYCLE: usize = 512;
const SHORT_CYCLE_PER_MEMBER: usize = 8;

/// Turns that a pick passes over one by one.
const LOST_TURNS: usize = 32;

/// One cycle on the scale of deadlines.
///
/// Deadlines are compared as fractions (k+1)/w of a cycle. Two different ones of weights below 2³²
/// are at least 1/((2³² − 1)·(2³² − 2)) apart, which is more than 1 on this scale: rounding down
/// neither swaps nor merges any. The largest stays below `u64::ABSENT`.
const CYCLE: u64 = u64::MAX - 1;

#[derive(Debug, Default)]
pub(super) struct WeightedRoundRobin {
    entries: Vec<Entry>,
    /// What the weights have in common: their greatest common divisor.
    divisor: u32,
    /// The turns of a cycle; 0 where no member has weight.
    length: u64,
    /// The first listed member that has weight.
    first: usize,
    /// The turns of this cycle that were served or passed over.
    time: u64,
    /// The turns that are due, by deadline.
    due: Tournament<u64>,
    /// The others, by the moment from which they are due.
    waiting: Calendar,
    /// The members of the turns of this cycle so far, where it is short; of a whole cycle once one
    /// is over.
    written: Vec<u16>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    id: u32,
    /// Turns a cycle: the weight divided by what all weights have in common.
    weight: u32,
    /// Turns of this cycle that are over; not kept up while the cycle is read.
    served: u32,
}

impl WeightedRoundRobin {
    pub(super) fn refresh(&mut self, members: &[Member]) {
        let divisor = members.iter().fold(0, |divisor, m| gcd(m.value, divisor)).max(1);
        if self.is_same(divisor, members) {
            return;
        }
        self.recount();
        let mut old = Finder::new(&self.entries, |entry| entry.id);
        let entries: Vec<Entry> = members
            .iter()
            .map(|m| {
                let weight = m.value / divisor;
                // Where the cycle stands, and for a member that stays, how far it was before or
                // behind that.
                let lead = match old.find(m.id).map(|at| self.entries[at]) {
                    Some(old) if old.weight * self.divisor == m.value => {
                        i64::from(old.served) - i64::from(self.share(old.weight))
                    }
                    _ => 0,
                };
                let served = (i64::from(self.share(weight)) + lead).clamp(0, weight.into());
                Entry { id: m.id, weight, served: served as u32 }
            })
            .collect();
        self.entries = entries;
        self.divisor = divisor;
        self.length = self.entries.iter().map(|entry| u64::from(entry.weight)).sum();
        self.first = self.entries.iter().position(|entry| entry.weight > 0).unwrap_or(0);
        self.written.clear();
        if self.is_short() {
            self.written.reserve(self.length as usize);
        }
        self.settle();
    }

    #[inline]
    pub(super) fn pick(&mut self, rng: &mut Rng, skip: impl Fn(usize) -> bool) -> Option<usize> {
        if self.length == 0 {
            return self.pick_weightless(rng, skip);
        }
        let at = self.turn();
        if skip(at) {
            return self.pick_on(rng, skip);
        }
        self.take(at);
        Some(at)
    }

    /// The usable member whose next deadline comes first.
    pub(super) fn backup(&mut self, rng: &mut Rng, skip: impl Fn(usize) -> bool) -> Option<usize> {
        self.recount();
        self.usable(&skip)
            .min_by(|(_, a), (_, b)| a.next_fraction_of(b).cmp(&b.next_fraction_of(a)))
            .map(|(at, _)| at)
            .or_else(|| self.pick_weightless(rng, skip))
    }

    pub(super) fn heap_size(&self) -> usize {
        heap(&self.entries) + heap(&self.written) + self.due.heap_size() + self.waiting.heap_size()
    }

    /// The position whose turn it is.
    #[inline]
    fn turn(&self) -> usize {
        if self.is_written() {
            self.written[self.time as usize].into()
        } else if self.time == 0 {
            self.first
        } else {
            self.due.winner()
        }
    }

    /// Goes on behind this turn of the member at `at`.
    #[inline]
    fn take(&mut self, at: usize) {
        if self.is_written() {
            self.time = if self.time + 1 == self.length { 0 } else { self.time + 1 };
            return;
        }
        if self.is_short() && self.written.len() as u64 == self.time {
            self.written.push(at as u16);
        }
        self.entries[at].served += 1;
        self.time += 1;
        if self.time == self.length {
            return self.settle();
        }
        let (time, length, entries) = (self.time, self.length, &self.entries);
        let entry = &entries[at];
        let due = entry.due(length);
        if due <= time {
            self.due.set(at, entry.deadline());
        } else {
            self.due.set(at, u64::ABSENT);
            if entry.served < entry.weight {
                self.waiting.enter(at, due);
            }
        }
        let is_it = |at: usize| length <= u32::MAX.into() || entries[at].due(length) == time;
        self.waiting.take(time, is_it, |at| self.due.lower(at, entries[at].deadline()));
    }

    /// Goes on when the member whose turn it is has to be passed over.
    #[cold]
    fn pick_on(&mut self, rng: &mut Rng, skip: impl Fn(usize) -> bool) -> Option<usize> {
        if self.usable(&skip).next().is_none() {
            return self.pick_weightless(rng, skip);
        }
        let mut lost = 0;
        while self.is_short() || lost < LOST_TURNS {
            let at = self.turn();
            self.take(at);
            if !skip(at) {
                return Some(at);
            }
            lost += 1;
        }
        self.leap(&skip)
    }

    /// Lets time pass until a turn of a usable member is due, and takes it.
    #[cold]
    fn leap(&mut self, skip: &impl Fn(usize) -> bool) -> Option<usize> {
        let length = self.length;
        let mut now = self.usable(skip).map(|(_, entry)| entry.due(length)).min()?.max(self.time);
        if now == length {
            self.entries.iter_mut().for_each(|entry| entry.served = 0);
            self.time = 0;
            now = 0;
        }
        let due = self.usable(skip).filter(|(_, entry)| entry.due(length) <= now);
        let (at, _) = due.min_by_key(|(_, entry)| entry.deadline())?;

        self.time = now;
        for lost in 0..self.entries.len() {
            if skip(lost) {
                let share = self.share(self.entries[lost].weight);
                self.entries[lost].served = self.entries[lost].served.max(share);
            }
        }
        self.entries[at].served += 1;
        self.settle();
        Some(at)
    }

    fn pick_weightless(&self, rng: &mut Rng, skip: impl Fn(usize) -> bool) -> Option<usize> {
        uniform(rng, self.entries.len(), |at| self.entries[at].weight == 0 && !skip(at))
    }

    /// The members that have weight and are not passed over.
    fn usable<'a>(
        &'a self,
        skip: &'a impl Fn(usize) -> bool,
    ) -> impl Iterator<Item = (usize, &'a Entry)> {
        self.entries.iter().enumerate().filter(|(at, entry)| entry.weight > 0 && !skip(*at))
    }

    /// Derives time and what is due from the turns served.
    fn settle(&mut self) {
        self.time = self.entries.iter().map(|entry| u64::from(entry.served)).sum();
        if self.time == self.length {
            self.entries.iter_mut().for_each(|entry| entry.served = 0);
            self.time = 0;
        }
        if self.is_written() {
            return;
        }
        let (time, length) = (self.time, self.length);
        self.waiting.clear(self.entries.len());
        let waiting = &mut self.waiting;
        self.due.fill(self.entries.iter().enumerate().map(|(at, entry)| {
            if entry.served == entry.weight {
                return u64::ABSENT;
            }
            let due = entry.due(length);
            if due <= time {
                return entry.deadline();
            }
            waiting.enter(at, due);
            u64::ABSENT
        }));
    }

    /// Makes up for the turns that were read.
    fn recount(&mut self) {
        if self.is_written() {
            self.entries.iter_mut().for_each(|entry| entry.served = 0);
            for &at in &self.written[..self.time as usize] {
                self.entries[usize::from(at)].served += 1;
            }
        }
    }

    /// The whole turns that a member of this weight would have had with ideal spreading.
    fn share(&self, weight: u32) -> u32 {
        let share = match self.time.checked_mul(weight.into()) {
            Some(product) => product.checked_div(self.length).unwrap_or(0),
            None => (u128::from(self.time) * u128::from(weight) / u128::from(self.length)) as u64,
        };
        share as u32
    }

    fn is_same(&self, divisor: u32, members: &[Member]) -> bool {
        let known = self.entries.iter().map(|entry| (entry.id, entry.weight));
        divisor == self.divisor && known.eq(members.iter().map(|m| (m.id, m.value / divisor)))
    }

    fn is_short(&self) -> bool {
        let members = self.entries.len();
        let short = SHORT_CYCLE.max(members * SHORT_CYCLE_PER_MEMBER) as u64;
        self.length <= short && members <= usize::from(u16::MAX)
    }

    fn is_written(&self) -> bool {
        self.written.len() as u64 == self.length
    }
}

impl Entry {
    /// The moment from which its next turn is due: the first whole one not before k·W/w.
    fn due(&self, length: u64) -> u64 {
        let weight = u64::from(self.weight);
        match u64::from(self.served).checked_mul(length) {
            Some(product) => product.div_ceil(weight),
            None => (u128::from(self.served) * u128::from(length)).div_ceil(weight.into()) as u64,
        }
    }

    /// The deadline of its next turn, (k+1)/w of a cycle.
    fn deadline(&self) -> u64 {
        // (k + 1) · CYCLE / w without exceeding 64 bits.
        let (turns, weight) = (u64::from(self.served) + 1, u64::from(self.weight));
        turns * (CYCLE / weight) + turns * (CYCLE % weight) / weight
    }

    /// Compares deadlines with those of `other`, also beyond the end of the cycle.
    fn next_fraction_of(&self, other: &Self) -> u64 {
        (u64::from(self.served) + 1) * u64::from(other.weight)
    }
}

const fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
