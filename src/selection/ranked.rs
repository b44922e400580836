//! Policies that choose by a rank that does not change between two lists: priority (RFC 5356 §4.5),
//! least used (§5.1), priority least used (§5.3); and round robin (§4.1), where all have the same
//! rank.
//!
//! Among equals they take turns: the one that was not chosen for longest is next, and of those never
//! chosen the first listed. In one list that is round robin in its order. From list to list it is
//! fair where order, members and ranks change, since each member keeps the number of its last
//! choice. One that joins has its turn behind the one listed before it, and as the first listed
//! counts as chosen just then: else an element that is new in each list would get every choice.
//!
//! So arranging finds the members of the best rank and puts them into the order of their turns, and
//! a pick goes round among those. Only when all of them are passed over the others are sorted, once,
//! and the next best group has its turn.

use alloc::boxed::Box;

use super::carry::{Absent, are_same};
use super::{Member, Positions};

/// The number of the last choice of a member that was never chosen.
const NEVER: u32 = 0;

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Ranked {
    /// The order: positions in the list, first those of the best rank in the order of their turns, and
    /// the others behind them, by rank once they were needed. Behind as many as are listed, the number
    /// of each member's last choice. One block for both, as most lists are short.
    places: Box<[u32]>,
    absent: Absent<u32>,
    /// The number of choices so far.
    choices: u32,
    /// How many are listed.
    listed: u32,
    /// How many are in the choice, and so in the order.
    len: u32,
    /// How many share the best rank.
    best: u32,
    /// The index in the best group to begin with.
    turn: u32,
    /// Whether the others are sorted.
    is_sorted: bool,
}

impl Ranked {
    pub(super) fn new() -> Self {
        Self {
            places: Box::default(),
            absent: Absent::new(),
            choices: NEVER,
            listed: 0,
            len: 0,
            best: 0,
            turn: 0,
            is_sorted: false,
        }
    }

    pub(super) fn refresh(&mut self, old: &[Member], new: &[Member]) {
        let now = self.count();
        if !are_same(old, new) {
            let joined = |_: &Member, before: Option<u32>| before.unwrap_or(now);
            let (_, chosen) = self.places.split_at(self.listed as usize);
            let carried = self.absent.carry(chosen, old, new, joined, |_, _, chosen| chosen);
            let mut places = alloc::vec![0; 2 * new.len()].into_boxed_slice();
            places[new.len()..].copy_from_slice(&carried);
            (self.places, self.listed) = (places, new.len() as u32);
        }
        (self.len, self.best, self.turn) = (0, 0, 0);
    }

    /// Puts those in the choice into order.
    pub(super) fn arrange(
        &mut self,
        members: &[Member],
        rank: impl Fn(&Member) -> u64,
        out: &Positions,
    ) {
        let (order, chosen) = self.places.split_at_mut(self.listed as usize);
        let (mut len, mut equal, mut best) = (0, 0, u64::MAX);
        for (at, member) in members.iter().enumerate().filter(|(at, _)| !out.contains(*at)) {
            let rank = rank(member);
            order[len] = at as u32;
            if rank < best {
                (best, equal) = (rank, 0);
            }
            if rank == best {
                order.swap(equal, len);
                equal += 1;
            }
            len += 1;
        }
        (self.len, self.best, self.is_sorted) = (len as u32, equal as u32, false);
        // Mostly they are in order but for where it begins.
        let equals = &mut order[..equal];
        let chosen = |at: u32| chosen[at as usize];
        let mut begins = (1..equal).filter(|&at| chosen(equals[at]) < chosen(equals[at - 1]));
        self.turn = match (begins.next(), begins.next()) {
            (None, _) => 0,
            (Some(begin), None) if chosen(equals[equal - 1]) < chosen(equals[0]) => begin as u32,
            _ => {
                sort(equals, &|at| (0, chosen(at), at));
                0
            }
        };
    }

    #[inline]
    pub(super) fn pick(
        &mut self,
        rank: impl Fn(usize) -> u64,
        skip: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let place = self.find(&rank, skip)?;
        let at = self.places[place] as usize;
        if place < self.best as usize {
            self.turn = place as u32 + 1;
        } else {
            self.turn_further(place, rank);
        }
        let chosen = self.listed as usize + at;
        self.places[chosen] = self.count();
        Some(at)
    }

    pub(super) fn backup(
        &mut self,
        rank: impl Fn(usize) -> u64,
        skip: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        self.find(rank, skip).map(|place| self.places[place] as usize)
    }

    pub(super) fn heap_size(&self) -> usize {
        size_of_val(&*self.places) + self.absent.heap_size()
    }

    /// The place in `order` of the member to choose.
    #[inline]
    fn find(&mut self, rank: impl Fn(usize) -> u64, skip: impl Fn(usize) -> bool) -> Option<usize> {
        let is_usable = |place: &usize| !skip(self.places[*place] as usize);
        let (turn, best) = (self.turn as usize, self.best as usize);
        match (turn..best).chain(0..turn).find(is_usable) {
            Some(place) => Some(place),
            None => self.find_further(rank, skip),
        }
    }

    /// The same when the whole best group is passed over.
    #[cold]
    fn find_further(
        &mut self,
        rank: impl Fn(usize) -> u64,
        skip: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let (order, chosen) = self.places.split_at_mut(self.listed as usize);
        let mut further = self.best as usize..self.len as usize;
        if !self.is_sorted {
            self.is_sorted = true;
            let key = |at: u32| (rank(at as usize), chosen[at as usize], at);
            sort(&mut order[further.clone()], &key);
        }
        further.find(|&place| !skip(order[place] as usize))
    }

    /// Lets the turn in its own group go behind the member at this place, which is not in the best.
    #[cold]
    fn turn_further(&mut self, place: usize, rank: impl Fn(usize) -> u64) {
        let rank = |at: u32| rank(at as usize);
        let (order, _) = self.places.split_at_mut(self.listed as usize);
        let (own, best) = (rank(order[place]), self.best as usize);
        let others = &mut order[best..self.len as usize];
        let (begin, end) = (
            others.partition_point(|&at| rank(at) < own),
            others.partition_point(|&at| rank(at) <= own),
        );
        others[begin..end].rotate_left(place - best - begin + 1);
    }

    /// The number of a choice, or of a list that comes between two.
    #[inline]
    fn count(&mut self) -> u32 {
        if self.choices == u32::MAX {
            self.forget_times();
        }
        self.choices += 1;
        self.choices
    }

    /// After four billion choices the turns of equals begin anew.
    #[cold]
    fn forget_times(&mut self) {
        self.choices = NEVER;
        self.places[self.listed as usize..].fill(NEVER);
    }
}

/// Sorts positions by rank, last choice and place; one copy of the code for all that do.
fn sort(order: &mut [u32], key: &dyn Fn(u32) -> (u64, u32, u32)) {
    order.sort_unstable_by_key(|&at| key(at));
}

/// In the explorer's fingerprints: without places that are behind the last one in the choice.
#[cfg(test)]
impl core::hash::Hash for Ranked {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        let Self { places, absent, choices, listed, len, best, turn, is_sorted } = self;
        let (order, chosen) = places.split_at(*listed as usize);
        let (equals, others) = order[..*len as usize].split_at(*best as usize);
        // It goes round among the best, wherever that begins.
        let turns = equals.split_at(*turn as usize);
        (chosen, absent, choices, turns.1, turns.0, others, is_sorted).hash(state);
    }
}
