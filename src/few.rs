//! A list that has no more room than it needs, and none on the heap where it has one entry.
//!
//! Many pools have one element, and a device may know no other: what is kept of its elements stands
//! in the pool itself then.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};
use core::slice;

/// A list whose length changes as a whole.
#[derive(Debug, Clone)]
pub(crate) enum Few<T> {
    One(T),
    Many(Box<[T]>),
}

impl<T: Copy> Few<T> {
    /// Takes over other entries, in the same place where there are as many.
    pub(crate) fn replace(&mut self, entries: &[T]) {
        match (&mut *self, entries) {
            (_, [one]) => *self = Self::One(*one),
            (Self::Many(kept), _) if kept.len() == entries.len() => kept.copy_from_slice(entries),
            _ => *self = Self::Many(entries.into()),
        }
    }

    /// So many times the same.
    pub(crate) fn fill_with(&mut self, len: usize, entry: T) {
        match self {
            Self::Many(kept) if kept.len() == len => kept.fill(entry),
            _ if len == 1 => *self = Self::One(entry),
            _ => *self = Self::Many(alloc::vec![entry; len].into()),
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What is kept on the heap, in bytes.
    pub(crate) const fn heap_size(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Many(kept) => kept.len() * size_of::<T>(),
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::Many(Box::default())
    }
}

impl<T: Copy> From<Vec<T>> for Few<T> {
    fn from(entries: Vec<T>) -> Self {
        match entries[..] {
            [one] => Self::One(one),
            _ => Self::Many(entries.into()),
        }
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::One(entry) => slice::from_ref(entry),
            Self::Many(entries) => entries,
        }
    }
}

impl<T> DerefMut for Few<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::One(entry) => slice::from_mut(entry),
            Self::Many(entries) => entries,
        }
    }
}

/// In the explorer's fingerprints.
#[cfg(test)]
impl<T: core::hash::Hash> core::hash::Hash for Few<T> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::Few;

    #[test]
    fn entries_are_those_given_last() {
        let mut few = Few::default();
        for len in [0, 1, 1, 2, 2, 5, 1, 0, 3] {
            let entries: alloc::vec::Vec<u32> = (0..len).collect();
            few.replace(&entries);
            assert_eq!(*few, entries);
            few[..].reverse();
            assert_eq!(few.first().copied(), entries.last().copied());
            assert_eq!(few.heap_size(), if len == 1 { 0 } else { entries.len() * 4 });
            few.fill_with(entries.len(), 9);
            assert!(few.iter().eq(core::iter::repeat_n(&9, entries.len())));
            assert_eq!(*Few::from(entries.clone()), entries);
        }
        assert_eq!(size_of_val(&few), 2 * size_of::<usize>());
    }
}
