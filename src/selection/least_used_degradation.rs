//! Least used with degradation (RFC 5356 §5.2): the lowest load, to which each choice adds.
//!
//! Each member has a counter of the times it was chosen since the registrar last changed its values. Chosen is the
//! lowest load + counter × degradation. One sum changes at a pick, so the sums play a [`Tournament`].

use alloc::vec::Vec;

use super::carry::Finder;
use super::round_robin::behind;
use super::tournament::{ABSENT, Tournament};
use super::{Member, heap};

#[derive(Debug, Default)]
pub(super) struct LeastUsedDegradation {
    entries: Vec<Entry>,
    sums: Tournament,
    /// One behind the position chosen last: equals go on from there.
    next: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    id: u32,
    load: u32,
    degradation: u32,
    chosen: u32,
}

impl LeastUsedDegradation {
    pub(super) fn refresh(&mut self, members: &[Member]) {
        let last = self.next.checked_sub(1).map(|last| self.entries[last].id);
        self.next = behind(last, members);
        let mut old = Finder::new(&self.entries, |entry| entry.id);
        self.entries = members
            .iter()
            .map(|m| {
                let new = Entry { id: m.id, load: m.value, degradation: m.degradation, chosen: 0 };
                match old.find(m.id) {
                    Some(old) => Entry {
                        chosen: if old.values() == new.values() { old.chosen } else { 0 },
                        ..new
                    },
                    None => new,
                }
            })
            .collect();
        self.sums.fill(self.entries.iter().map(Entry::sum));
    }

    #[inline]
    pub(super) fn pick(&mut self, skip: impl Fn(usize) -> bool) -> Option<usize> {
        let at = self.backup(skip)?;
        let entry = &mut self.entries[at];
        entry.chosen = entry.chosen.saturating_add(1);
        self.sums.set(at, entry.sum());
        self.next = at + 1;
        Some(at)
    }

    #[inline]
    pub(super) fn backup(&self, skip: impl Fn(usize) -> bool) -> Option<usize> {
        let usable = |at| !skip(at);
        let after = self.sums.lowest(self.next..self.entries.len(), ABSENT, usable);
        let bound = after.map_or(ABSENT, |at| self.sums.key(at));
        self.sums.lowest(0..self.next, bound, usable).or(after)
    }

    pub(super) fn heap_size(&self) -> usize {
        heap(&self.entries) + self.sums.heap_size()
    }
}

impl Entry {
    const fn values(&self) -> (u32, u32) {
        (self.load, self.degradation)
    }

    /// Cannot overflow: (2³² − 1) + (2³² − 1)² is below 2⁶⁴.
    fn sum(&self) -> u64 {
        u64::from(self.load) + u64::from(self.chosen) * u64::from(self.degradation)
    }
}
