//! Round robin (RFC 5356 §4.1.3): through the list, beginning with the first, and around.
//!
//! All the state is whose turn it is, and the identifiers, which find that place again when the
//! registrar sends the list once more (it turns the list by one at each answer, §4.1.2).

use alloc::vec::Vec;

use super::{Member, heap};

#[derive(Debug)]
pub(super) struct RoundRobin {
    ids: Vec<u32>,
    /// The position to begin with: one behind the member chosen last.
    next: usize,
}

impl RoundRobin {
    pub(super) const fn new() -> Self {
        Self { ids: Vec::new(), next: 0 }
    }

    pub(super) fn refresh(&mut self, members: &[Member]) {
        let last = self.next.checked_sub(1).map(|last| self.ids[last]);
        self.next = behind(last, members);
        self.ids.clear();
        self.ids.extend(members.iter().map(|m| m.id));
    }

    #[inline]
    pub(super) fn pick(&mut self, skip: impl Fn(usize) -> bool) -> Option<usize> {
        let at = around(self.ids.len(), self.next, skip)?;
        self.next = at + 1;
        Some(at)
    }

    pub(super) fn backup(&self, skip: impl Fn(usize) -> bool) -> Option<usize> {
        around(self.ids.len(), self.next, skip)
    }

    pub(super) fn heap_size(&self) -> usize {
        heap(&self.ids)
    }
}

/// The first position of `0..len`, from `from` on and around the end, that is not to be skipped.
#[inline]
pub(super) fn around(len: usize, from: usize, skip: impl Fn(usize) -> bool) -> Option<usize> {
    (from..len).chain(0..from).find(|&at| !skip(at))
}

/// The position one behind the member with identifier `last`, or the first where there is none.
pub(super) fn behind(last: Option<u32>, members: &[Member]) -> usize {
    last.and_then(|last| members.iter().position(|m| m.id == last)).map_or(0, |at| at + 1)
}
