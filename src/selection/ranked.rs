//! Policies that choose by a fixed rank: priority (RFC 5356 §4.5), least used (§5.1), priority
//! least used (§5.3).
//!
//! Nothing that they weigh changes between two refreshes. So a refresh finds the best rank and the
//! members that share it, and a pick is a step of round robin among those. Only when all of them
//! are passed over the members are sorted, once, and the next best group has its turn. Each group
//! remembers whose turn it is in it.

use alloc::vec::Vec;

use super::round_robin::{around, behind};
use super::{Member, heap};

/// A group that was not used since the refresh.
const UNUSED: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(super) struct Ranked {
    ids: Vec<u32>,
    /// The rank of each member; the lowest is chosen.
    ranks: Vec<u64>,
    /// Positions in the list: first those of the best rank, and the others by rank once they were
    /// needed.
    order: Vec<u32>,
    /// How many share the best rank.
    best: usize,
    /// The index in the best group to begin with.
    turn: usize,
    /// The same for the group that begins at this index of `order`, once the others were needed.
    turns: Vec<u32>,
    /// One behind the position chosen last, at the refresh: where groups begin.
    start: usize,
    /// One behind the position chosen last.
    next: usize,
}

impl Ranked {
    pub(super) fn refresh(&mut self, members: &[Member], rank: impl Fn(&Member) -> u64) {
        let last = self.next.checked_sub(1).map(|last| self.ids[last]);
        let known = self.ids.iter().copied().zip(self.ranks.iter().copied());
        if known.eq(members.iter().map(|m| (m.id, rank(m)))) {
            return;
        }
        self.next = behind(last, members);
        self.start = self.next;
        self.ids.clear();
        self.ids.extend(members.iter().map(|m| m.id));
        self.ranks.clear();
        self.ranks.extend(members.iter().map(rank));

        self.turns.clear();
        self.turns.reserve(members.len());
        self.order.clear();
        self.order.reserve(members.len());
        let best = self.ranks.iter().min();
        let ranks = (0..).zip(&self.ranks);
        self.order.extend(ranks.filter(|(_, rank)| Some(*rank) == best).map(|(at, _)| at));
        self.best = self.order.len();
        self.turn = self.order.partition_point(|&at| (at as usize) < self.start);
    }

    #[inline]
    pub(super) fn pick(&mut self, skip: impl Fn(usize) -> bool) -> Option<usize> {
        let (group, turn) = self.find(skip)?;
        if group == 0 {
            self.turn = turn + 1;
        } else {
            self.turns[group] = turn as u32 + 1;
        }
        let at = self.order[group + turn] as usize;
        self.next = at + 1;
        Some(at)
    }

    pub(super) fn backup(&mut self, skip: impl Fn(usize) -> bool) -> Option<usize> {
        let (group, turn) = self.find(skip)?;
        Some(self.order[group + turn] as usize)
    }

    pub(super) fn heap_size(&self) -> usize {
        heap(&self.ids) + heap(&self.ranks) + heap(&self.order) + heap(&self.turns)
    }

    /// Where the group of the member to choose begins in `order`, and its index in the group.
    #[inline]
    fn find(&mut self, skip: impl Fn(usize) -> bool) -> Option<(usize, usize)> {
        let group = &self.order[..self.best];
        match around(group.len(), self.turn, |turn| skip(group[turn] as usize)) {
            Some(turn) => Some((0, turn)),
            None => self.find_further(skip),
        }
    }

    /// The same when the whole best group is passed over.
    #[cold]
    fn find_further(&mut self, skip: impl Fn(usize) -> bool) -> Option<(usize, usize)> {
        self.sort();
        let mut begin = self.best;
        while let Some(&leader) = self.order.get(begin) {
            let rank = self.ranks[leader as usize];
            let rest = &self.order[begin..];
            let group = &rest[..rest.partition_point(|&at| self.ranks[at as usize] == rank)];
            let turn = match self.turns[begin] {
                UNUSED => group.partition_point(|&at| (at as usize) < self.start),
                turn => turn as usize,
            };
            match around(group.len(), turn, |turn| skip(group[turn] as usize)) {
                Some(turn) => return Some((begin, turn)),
                None => begin += group.len(),
            }
        }
        None
    }

    fn sort(&mut self) {
        let len = self.ranks.len();
        if self.order.len() < len {
            self.order.clear();
            self.order.extend(0..len as u32);
            self.order.sort_unstable_by_key(|&at| (self.ranks[at as usize], at));
            self.turns.resize(len, UNUSED);
        }
    }
}
