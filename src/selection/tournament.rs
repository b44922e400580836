//! A tournament: the lowest of many keys, kept up to date as single keys change.
//!
//! Keys play in groups of [`FAN`], the winners in groups of `FAN` again, up to one. When a key changes, only the
//! rounds on its way up are played anew: the cost grows with the logarithm of the number of keys. Of equal keys
//! the first one wins.

use alloc::vec::Vec;
use core::ops::Range;

use super::heap;

/// A key that does not take part.
pub(super) const ABSENT: u64 = u64::MAX;

/// How many play in a group.
const FAN: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Tournament {
    /// The keys, filled up with absent ones to a multiple of `FAN`, and one more absent one as the winner of
    /// groups without players.
    keys: Vec<u64>,
    /// Which key won each group, as a complete tree: the final first, the groups of group `g` from `g * FAN + 1` on.
    winners: Vec<u32>,
    /// The first group of the first round, where keys themselves play.
    first_round: usize,
}

impl Tournament {
    /// Begins anew with these keys.
    pub(super) fn fill(&mut self, keys: impl ExactSizeIterator<Item = u64>) {
        let players = keys.len().next_multiple_of(FAN).max(FAN);
        self.keys.clear();
        self.keys.reserve(players + 1);
        self.keys.extend(keys);
        self.keys.resize(players + 1, ABSENT);

        let groups = players / FAN;
        let mut round = 1;
        self.first_round = 0;
        while round < groups {
            self.first_round += round;
            round *= FAN;
        }
        self.winners.clear();
        self.winners.resize(self.first_round + round, players as u32);
        for group in (0..self.first_round + groups).rev() {
            self.winners[group] = self.play(group);
        }
    }

    pub(super) fn set(&mut self, at: usize, key: u64) {
        self.keys[at] = key;
        let mut group = self.first_round + at / FAN;
        loop {
            self.winners[group] = self.play(group);
            if group == 0 {
                return;
            }
            group = (group - 1) / FAN;
        }
    }

    pub(super) fn key(&self, at: usize) -> u64 {
        self.keys[at]
    }

    /// The first of the lowest keys; anything where all are absent.
    pub(super) fn winner(&self) -> usize {
        self.winners[0] as usize
    }

    /// The first of the lowest keys in a range of positions, among those that are below `bound` and `usable`.
    ///
    /// Looks into no more groups than it takes to leave the range's ends and what is not usable aside.
    pub(super) fn lowest(
        &self,
        range: Range<usize>,
        bound: u64,
        usable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let mut search = Search { range, bound, found: None };
        let mut span = FAN;
        let mut first = 0;
        while first < self.first_round {
            first = first * FAN + 1;
            span *= FAN;
        }
        self.search(0, 0, span, &mut search, &usable);
        search.found
    }

    pub(super) fn heap_size(&self) -> usize {
        heap(&self.keys) + heap(&self.winners)
    }

    /// Looks into a group whose keys are the `span` ones from `first` on.
    fn search(
        &self,
        group: usize,
        first: usize,
        span: usize,
        search: &mut Search,
        usable: &impl Fn(usize) -> bool,
    ) {
        let winner = self.winners[group] as usize;
        let Range { start, end } = search.range;
        if end <= first || first + span <= start || self.keys[winner] >= search.bound {
            return;
        }
        if search.offer(winner, self.keys[winner], usable) {
            return;
        }
        let span = span / FAN;
        for player in 0..FAN {
            let first = first + player * span;
            if span > 1 {
                self.search(group * FAN + 1 + player, first, span, search, usable);
            } else if self.keys[first] < search.bound {
                search.offer(first, self.keys[first], usable);
            }
        }
    }

    #[inline]
    fn play(&self, group: usize) -> u32 {
        if let Some(group) = group.checked_sub(self.first_round) {
            let first = (group * FAN) as u32;
            self.lower_of(core::array::from_fn(|player| first + player as u32))
        } else {
            let first = group * FAN + 1;
            self.lower_of(core::array::from_fn(|player| self.winners[first + player]))
        }
    }

    #[inline]
    fn lower_of(&self, players: [u32; FAN]) -> u32 {
        let key = |player: u32| self.keys[player as usize];
        players.into_iter().reduce(|a, b| if key(b) < key(a) { b } else { a }).unwrap_or_default()
    }
}

/// What is looked for, and the best that was found.
struct Search {
    range: Range<usize>,
    bound: u64,
    found: Option<usize>,
}

impl Search {
    fn offer(&mut self, at: usize, key: u64, usable: &impl Fn(usize) -> bool) -> bool {
        let good = self.range.contains(&at) && usable(at);
        if good {
            self.bound = key;
            self.found = Some(at);
        }
        good
    }
}
