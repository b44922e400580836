//! Recognises the members of a list in the next one.

use alloc::vec::Vec;

/// Lookups by scan before an index is made.
const SCANS: usize = 4;

/// Finds entries of an old list by identifier, asked in the order of a new list.
///
/// Lists mostly come in the order of the last time, perhaps turned by some places or with a few
/// members gone or new. So each lookup tries the entry behind the last one found, a few scan for
/// it, and the rest use an index that costs one allocation.
pub(super) struct Finder<'a, T> {
    old: &'a [T],
    id: fn(&T) -> u32,
    expected: usize,
    scans: usize,
    index: Vec<u32>,
}

impl<'a, T> Finder<'a, T> {
    pub(super) const fn new(old: &'a [T], id: fn(&T) -> u32) -> Self {
        Self { old, id, expected: 0, scans: 0, index: Vec::new() }
    }

    /// The position of the entry in the old list.
    pub(super) fn find(&mut self, id: u32) -> Option<usize> {
        let at = self.position(id)?;
        self.expected = if at + 1 == self.old.len() { 0 } else { at + 1 };
        Some(at)
    }

    fn position(&mut self, id: u32) -> Option<usize> {
        if self.old.get(self.expected).is_some_and(|entry| (self.id)(entry) == id) {
            return Some(self.expected);
        }
        if self.scans < SCANS {
            self.scans += 1;
            return self.old.iter().position(|entry| (self.id)(entry) == id);
        }
        let id_at = |at: u32| (self.id)(&self.old[at as usize]);
        if self.index.len() < self.old.len() {
            self.index = (0..self.old.len() as u32).collect();
            self.index.sort_unstable_by_key(|&at| id_at(at));
        }
        let found = self.index.binary_search_by_key(&id, |&at| id_at(at)).ok()?;
        Some(self.index[found] as usize)
    }
}
