//! A tournament: the lowest of many keys, kept up to date as single keys change.
//!
//! Keys play in groups of [`FAN`], the winners in groups of `FAN` again, up to one. When a key
//! changes, only the rounds on its way up are played anew: the cost grows with the logarithm of the
//! number of keys. Where the way leads does not depend on who wins, so a processor can look ahead;
//! a heap has to wait for each comparison.
//!
//! No two keys that take part are equal, since each has its player's position in its lowest bits:
//! one comparison of numbers, and no branch that a processor could guess wrong, tells the winner
//! and who it is. Of a few the lowest is found by looking at all of them, which takes less than the
//! rounds would.

use alloc::vec::Vec;

use super::heap;

/// How many play in a group; a power of two.
const FAN: usize = 4;

/// Up to so many do not play: all are looked at.
pub(super) const FEW: usize = 16;

#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(crate) struct Tournament<K> {
    /// Round after round: first the keys of all players, in the end the one that won. Where they play,
    /// each is filled up with absent keys to a multiple of `FAN`.
    keys: Vec<K>,
    /// How many keys the first round has.
    players: usize,
}

/// What can be compared in a tournament.
pub(crate) trait Key: Copy + Ord {
    /// A key that does not take part; above all others.
    const ABSENT: Self;
}

impl<K: Key> Tournament<K> {
    /// Begins anew with these keys.
    pub(crate) fn fill(&mut self, keys: impl ExactSizeIterator<Item = K>) {
        self.seat(keys);
        self.play();
    }

    /// The same, where [`play`](Self::play) follows before anybody asks for the lowest.
    pub(crate) fn seat(&mut self, keys: impl ExactSizeIterator<Item = K>) {
        self.keys.clear();
        self.players = players(keys.len());
        self.keys.reserve_exact(size(self.players));
        self.keys.extend(keys);
        self.keys.resize(self.players, K::ABSENT);
    }

    /// The keys of all players, also absent ones, to be changed before all rounds are played anew.
    pub(crate) fn keys_mut(&mut self) -> &mut [K] {
        &mut self.keys[..self.players]
    }

    /// Plays all rounds behind the first.
    pub(crate) fn play(&mut self) {
        self.keys.truncate(self.players);
        let (mut first, mut round) = (0, self.players);
        while round > 1 && self.players > FEW {
            let next = first + round;
            for group in (first..next).step_by(FAN) {
                let winner = self.keys[group..group + FAN].iter().min().copied();
                self.keys.push(winner.unwrap_or(K::ABSENT));
            }
            (first, round) = (next, following(round));
            self.keys.resize(first + round, K::ABSENT);
        }
    }

    /// Makes room for so many players.
    pub(crate) fn reserve(&mut self, players: usize) {
        let size = size(self::players(players));
        self.keys.reserve_exact(size.saturating_sub(self.keys.len()));
    }

    /// Changes one key.
    #[inline]
    pub(crate) fn set(&mut self, at: usize, key: K) {
        if self.players <= FEW {
            self.keys[at] = key;
            return;
        }
        let (mut first, mut round, mut at, mut winner) = (0, self.players, at, key);
        while round > 1 {
            self.keys[first + at] = winner;
            winner = winner.min(self.rival(first, at));
            (first, round, at) = (first + round, following(round), at / FAN);
        }
        self.keys[first] = winner;
    }

    /// Changes one key to a lower one among more than a few, which ends where it does not win.
    #[inline]
    pub(crate) fn lower(&mut self, at: usize, key: K) {
        let (mut first, mut round, mut at) = (0, self.players, at);
        while key < self.keys[first + at] {
            self.keys[first + at] = key;
            if round == 1 {
                return;
            }
            (first, round, at) = (first + round, following(round), at / FAN);
        }
    }

    /// How many keys the first round has, also absent ones.
    pub(crate) const fn len(&self) -> usize {
        self.players
    }

    /// The keys of all players, also absent ones.
    pub(crate) fn keys(&self) -> &[K] {
        &self.keys[..self.players]
    }

    /// The key of one player.
    #[inline]
    pub(crate) fn key(&self, at: usize) -> K {
        self.keys[at]
    }

    /// The lowest key; `K::ABSENT` where there is none.
    #[inline]
    pub(crate) fn lowest(&self) -> K {
        if self.players <= FEW {
            return self.keys.iter().copied().fold(K::ABSENT, K::min);
        }
        self.keys.last().copied().unwrap_or(K::ABSENT)
    }

    /// The lowest key among those that are usable.
    ///
    /// Looks behind no more winners than it takes to leave aside what is not usable.
    pub(crate) fn lowest_of(&self, usable: impl Fn(K) -> bool) -> Option<K> {
        let mut best = K::ABSENT;
        if self.players <= FEW {
            return self.keys.iter().copied().filter(|key| *key < best && usable(*key)).min();
        }
        if let Some(last) = self.keys.len().checked_sub(1) {
            self.search(last, &mut best, &usable);
        }
        (best < K::ABSENT).then_some(best)
    }

    pub(crate) fn heap_size(&self) -> usize {
        heap(&self.keys)
    }

    /// Looks for something lower than `best` at one place and behind it.
    fn search(&self, place: usize, best: &mut K, usable: &impl Fn(K) -> bool) {
        let key = self.keys[place];
        if key >= *best {
            return;
        }
        if usable(key) {
            *best = key;
            return;
        }
        // Only behind a winner that is low enough but not usable there may be more.
        let (mut below, mut first, mut round) = (None, 0, self.players);
        while place >= first + round {
            below = Some(first);
            (first, round) = (first + round, following(round));
        }
        if let Some(below) = below {
            let group = below + (place - first) * FAN;
            (group..group + FAN).for_each(|place| self.search(place, best, usable));
        }
    }

    /// The lowest of the others in the group of the one at `at`.
    #[inline]
    fn rival(&self, first: usize, at: usize) -> K {
        let [a, b, c] = [1, 2, 3].map(|other| self.keys[first + (at ^ other)]);
        a.min(b).min(c)
    }
}

/// How many keys the first round has: groups are full where they play.
const fn players(len: usize) -> usize {
    if len <= FEW { len } else { len.next_multiple_of(FAN) }
}

/// How many keys the round behind one of this size has.
#[inline]
const fn following(round: usize) -> usize {
    let groups = round / FAN;
    if groups > 1 { groups.next_multiple_of(FAN) } else { 1 }
}

/// How many keys all rounds have.
const fn size(mut round: usize) -> usize {
    let mut size = round;
    while round > 1 && size > FEW {
        round = following(round);
        size += round;
    }
    size
}

impl Key for u64 {
    const ABSENT: Self = Self::MAX;
}

impl Key for u128 {
    const ABSENT: Self = Self::MAX;
}
