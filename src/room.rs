//! Room for one more thing, doubled from that for one on.
//!
//! The standard library begins with room for four, and most lists here hold one thing, or three: on a
//! small device that is a third of what is held.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// A list that grows.
pub(crate) trait Room {
    /// Makes room for one more thing.
    fn for_one_more(&mut self);
}

impl<T> Room for Vec<T> {
    fn for_one_more(&mut self) {
        if self.len() == self.capacity() {
            self.reserve_exact(self.len().max(1));
        }
    }
}

impl<T> Room for VecDeque<T> {
    fn for_one_more(&mut self) {
        if self.len() == self.capacity() {
            self.reserve_exact(self.len().max(1));
        }
    }
}
