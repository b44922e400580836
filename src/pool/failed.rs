//! The elements that have failed and could be handed out where nothing else is left, the oldest
//! failure first.

use crate::selection::{Key as _, Tournament};

/// Positions by the number of their last failure, or of the choice that came behind it.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Failed(Tournament<u128>);

impl Failed {
    /// Says of one of `len` elements which was its last failure; `None` where it is none of these.
    pub(super) fn set(&mut self, len: usize, index: usize, failure: Option<u64>) {
        if self.0.len() < len {
            if failure.is_none() {
                return;
            }
            self.0.fill((0..len).map(|_| u128::ABSENT));
        }
        let key = failure.map(|failure| u128::from(failure) << 32 | index as u128);
        self.0.set(index, key.unwrap_or(u128::ABSENT));
    }

    /// The one that failed the longest ago of those that are not to be skipped.
    pub(super) fn oldest(&self, skip: impl Fn(usize) -> bool) -> Option<usize> {
        self.0.lowest_of(|key| !skip(index(key))).map(index)
    }

    /// All that are not to be skipped, one behind the other.
    pub(super) fn in_order(&self, skip: impl Fn(usize) -> bool) -> impl Iterator<Item = usize> {
        let mut last = None;
        core::iter::from_fn(move || {
            last = self.0.lowest_of(|key| Some(key) > last && !skip(index(key)));
            last.map(index)
        })
    }

    pub(super) fn heap_size(&self) -> usize {
        self.0.heap_size()
    }
}

const fn index(key: u128) -> usize {
    key as u32 as usize
}
