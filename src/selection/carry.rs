//! What a policy knows of members goes with them from list to list.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;

use super::Member;

/// Lookups by scan before an index is made.
const SCANS: usize = 4;

/// How many that are not listed are remembered, or as many as are listed.
const REMEMBERED: usize = 256;

/// Whether the same members stand in the same places, so that what is known of them stays where it is.
pub(super) fn are_same(old: &[Member], new: &[Member]) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| old.id == new.id)
}

/// Members that were listed, and what was known of them when they left.
///
/// An element that comes and goes, or stands in every other part of a pool, goes on where it was.
/// The oldest are forgotten.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) struct Absent<T>(Box<[(Member, T)]>);

impl<T: Copy> Absent<T> {
    pub(super) fn new() -> Self {
        Self(Box::default())
    }

    /// What is `known` of the members of one list, for those of the next, which are others or in another
    /// order: as `adapt` changes it for a member whose values may be others, and `joined` for one that
    /// is new, from what is known of the one listed before it.
    pub(super) fn carry(
        &mut self,
        known: &[T],
        old: &[Member],
        new: &[Member],
        joined: impl Fn(&Member, Option<T>) -> T,
        adapt: impl Fn(&Member, &Member, T) -> T,
    ) -> Vec<T> {
        let mut listed = Finder::new(old, |m| m.id);
        let mut absent = Finder::new(&self.0, |(m, _)| m.id);
        let (mut stayed, mut returned, mut before) = (0, 0, None);
        let carried: Vec<T> = new
            .iter()
            .map(|m| {
                let carried = if let Some(at) = listed.find(m.id) {
                    stayed += 1;
                    adapt(&old[at], m, known[at])
                } else if let Some(at) = absent.find(m.id) {
                    returned += 1;
                    adapt(&self.0[at].0, m, self.0[at].1)
                } else {
                    joined(m, before)
                };
                *before.insert(carried)
            })
            .collect();
        if returned > 0 || stayed < old.len() {
            let mut listed = Finder::new(new, |m| m.id);
            let mut absent = mem::take(&mut self.0).into_vec();
            absent.retain(|(m, _)| listed.find(m.id).is_none());
            let left = old.iter().zip(known).filter(|(m, _)| listed.find(m.id).is_none());
            absent.extend(left.map(|(m, known)| (*m, *known)));
            let many = absent.len().saturating_sub(new.len().max(REMEMBERED));
            absent.drain(..many);
            self.0 = absent.into();
        }
        carried
    }

    pub(super) fn heap_size(&self) -> usize {
        size_of_val(&*self.0)
    }
}

impl<T: Copy> Default for Absent<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Finds entries of one list by identifier, asked in the order of another.
///
/// Lists mostly come in the order of the last time, perhaps turned by some places or with a few
/// members gone or new. So each lookup tries the entry behind the last one found, a few scan for
/// it, and the rest use an index that costs one allocation.
struct Finder<'a, T> {
    list: &'a [T],
    id: fn(&T) -> u32,
    expected: usize,
    scans: usize,
    /// Identifiers and positions, in order.
    index: Vec<(u32, u32)>,
}

impl<'a, T> Finder<'a, T> {
    const fn new(list: &'a [T], id: fn(&T) -> u32) -> Self {
        Self { list, id, expected: 0, scans: 0, index: Vec::new() }
    }

    /// The position of the entry in the list.
    fn find(&mut self, id: u32) -> Option<usize> {
        let at = self.position(id)?;
        self.expected = if at + 1 == self.list.len() { 0 } else { at + 1 };
        Some(at)
    }

    fn position(&mut self, id: u32) -> Option<usize> {
        if self.list.get(self.expected).is_some_and(|entry| (self.id)(entry) == id) {
            return Some(self.expected);
        }
        if self.scans < SCANS {
            self.scans += 1;
            return self.list.iter().position(|entry| (self.id)(entry) == id);
        }
        if self.index.len() < self.list.len() {
            self.index = self.list.iter().map(self.id).zip(0..).collect();
            self.index.sort_unstable();
        }
        let found = self.index.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.index[found].1 as usize)
    }
}
