//! A tournament: the lowest of many keys, kept up to date as single keys change.
//!
//! Keys play in groups of [`FAN`], the winners in groups of `FAN` again, up to one. When a key
//! changes, only the rounds on its way up are played anew: the cost grows with the logarithm of the
//! number of keys. Of equal keys the first one wins.

use alloc::vec::Vec;

use super::heap;

/// How many play in a group.
const FAN: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Tournament<K> {
    /// The keys, filled up with absent ones to a multiple of `FAN`, and one more absent one as the
    /// winner of groups without players.
    keys: Vec<K>,
    /// Which key won each group, as a complete tree: the final first, the groups of group `g` from
    /// `g * FAN + 1` on.
    winners: Vec<u32>,
    /// The first group of the first round, where keys themselves play.
    first_round: usize,
}

/// What can be compared in a tournament.
pub(super) trait Key: Copy + Ord {
    /// A key that does not take part; above all others.
    const ABSENT: Self;

    /// The key with its position behind it in the lowest 32 bits. No two are equal, so one
    /// comparison of numbers, and no branch that a processor could guess wrong, tells the winner.
    fn at(self, position: u32) -> u128;
}

impl<K: Key> Tournament<K> {
    /// Begins anew with these keys.
    pub(super) fn fill(&mut self, keys: impl ExactSizeIterator<Item = K>) {
        let players = keys.len().next_multiple_of(FAN).max(FAN);
        self.keys.clear();
        self.keys.reserve(players + 1);
        self.keys.extend(keys);
        self.keys.resize(players + 1, K::ABSENT);

        let groups = players / FAN;
        let mut round = 1;
        self.first_round = 0;
        while round < groups {
            self.first_round += round;
            round *= FAN;
        }
        self.winners.clear();
        self.winners.resize(self.first_round + round, players as u32);
        self.play();
    }

    /// Changes all keys.
    pub(super) fn change(&mut self, change: impl Fn(K) -> K) {
        // The last one is nobody's.
        let players = self.keys.len() - 1;
        self.keys[..players].iter_mut().for_each(|key| *key = change(*key));
        self.play();
    }

    /// Changes one key.
    #[inline]
    pub(super) fn set(&mut self, at: usize, key: K) {
        self.keys[at] = key;
        let first = (at - at % FAN) as u32;
        let mut winner = self.lowest_of(core::array::from_fn(|slot| first + slot as u32));
        let mut group = self.first_round + at / FAN;
        while group > 0 {
            // Taken before the winner is entered, so that nothing waits for it: the former winner
            // of the group may still be among them, one more with the key that it has.
            let next = (group - 1) / FAN;
            let rivals = self.players(next);
            self.winners[group] = winner as u32;
            winner = winner.min(self.lowest_of(rivals));
            group = next;
        }
        self.winners[0] = winner as u32;
    }

    /// Changes one key to a lower one, which ends where it does not win.
    #[inline]
    pub(super) fn lower(&mut self, at: usize, key: K) {
        self.keys[at] = key;
        let mut group = self.first_round + at / FAN;
        while key.at(at as u32) <= self.ranked(self.winners[group]) {
            self.winners[group] = at as u32;
            if group == 0 {
                return;
            }
            group = (group - 1) / FAN;
        }
    }

    #[inline]
    pub(super) fn key(&self, at: usize) -> K {
        self.keys[at]
    }

    /// The first of the lowest keys; any position where all are absent.
    #[inline]
    pub(super) fn winner(&self) -> usize {
        self.winners[0] as usize
    }

    /// The first of the lowest keys among those that are usable.
    ///
    /// Looks behind no more winners than it takes to leave aside what is not usable.
    pub(super) fn lowest(&self, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let mut best = (K::ABSENT, None);
        self.search(0, &mut best, &usable);
        best.1
    }

    pub(super) fn heap_size(&self) -> usize {
        heap(&self.keys) + heap(&self.winners)
    }

    /// Looks for something lower than `best` in a group.
    fn search(&self, group: usize, best: &mut (K, Option<usize>), usable: &impl Fn(usize) -> bool) {
        let mut consider = |at: usize| {
            let better = self.keys[at] < best.0;
            if better && usable(at) {
                *best = (self.keys[at], Some(at));
            }
            // Only behind a winner that is low enough but not usable there may be more.
            better && best.1 != Some(at)
        };
        if !consider(self.winners[group] as usize) {
            return;
        }
        match group.checked_sub(self.first_round) {
            Some(group) => (group * FAN..group * FAN + FAN).for_each(|at| _ = consider(at)),
            None => (group * FAN + 1..group * FAN + 1 + FAN)
                .for_each(|group| self.search(group, best, usable)),
        }
    }

    /// Plays all rounds.
    fn play(&mut self) {
        let groups = self.keys.chunks_exact(FAN).zip((0..).step_by(FAN));
        for (winner, (group, first)) in self.winners[self.first_round..].iter_mut().zip(groups) {
            let ranked = (first..).zip(group).map(|(at, key)| key.at(at));
            *winner = ranked.min().unwrap_or_default() as u32;
        }
        for group in (0..self.first_round).rev() {
            self.winners[group] = self.lowest_of(self.players(group)) as u32;
        }
    }

    /// Who won the groups whose winners meet in this one.
    #[inline]
    fn players(&self, group: usize) -> [u32; FAN] {
        core::array::from_fn(|slot| self.winners[group * FAN + 1 + slot])
    }

    #[inline]
    fn lowest_of(&self, players: [u32; FAN]) -> u128 {
        let [a, b, c, d] = players.map(|at| self.ranked(at));
        a.min(b).min(c.min(d))
    }

    #[inline]
    fn ranked(&self, at: u32) -> u128 {
        self.keys[at as usize].at(at)
    }
}

impl Key for u64 {
    const ABSENT: Self = Self::MAX;

    #[inline]
    fn at(self, position: u32) -> u128 {
        u128::from(self) << 32 | u128::from(position)
    }
}

/// For keys of 96 bits, which leave the lowest 32 for the position.
impl Key for u128 {
    const ABSENT: Self = !0 << 32;

    #[inline]
    fn at(self, position: u32) -> u128 {
        self | Self::from(position)
    }
}
