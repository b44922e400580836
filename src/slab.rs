//! Numbered places for things that come and go, where a number that outlived its thing finds
//! nothing.

use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;

use crate::room::Room as _;

/// A place in a [`Slab`] and the generation of what is there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    index: u32,
    generation: NonZeroU32,
}

/// Things by [`Key`].
///
/// A place is given to the next thing with its generation raised; one that has used up all four
/// thousand million of them is not given again.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Place<T> {
    generation: NonZeroU32,
    thing: Option<T>,
}

impl Key {
    /// A number that no other key of the same slab has or will have.
    pub(crate) const fn as_u64(self) -> u64 {
        (self.generation.get() as u64 - 1) << 32 | self.index as u64
    }

    #[cfg(feature = "test-util")]
    pub(crate) const fn from_u64(number: u64) -> Self {
        let generation = NonZeroU32::MIN.saturating_add((number >> 32) as u32);
        Self { index: number as u32, generation }
    }

    /// The number of the place, small and dense.
    pub(crate) const fn index(self) -> usize {
        self.index as usize
    }
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), len: 0 }
    }

    pub(crate) fn insert(&mut self, thing: T) -> Key {
        self.insert_with(|_| thing)
    }

    /// Inserts a thing that knows its key.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.for_one_more();
            self.places.push(Place { generation: NonZeroU32::MIN, thing: None });
            // Four thousand million places would need more memory than any limit lets them have.
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let place = &mut self.places[index as usize];
        let key = Key { index, generation: place.generation };
        place.thing = Some(make(key));
        self.len += 1;
        key
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.places.get_mut(key.index())?;
        if place.generation != key.generation {
            return None;
        }
        let thing = place.thing.take()?;
        self.len -= 1;
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            self.free.push(key.index);
        }
        Some(thing)
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let place = self.places.get(key.index())?;
        place.thing.as_ref().filter(|_| place.generation == key.generation)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let place = self.places.get_mut(key.index())?;
        place.thing.as_mut().filter(|_| place.generation == key.generation)
    }

    /// Everything there is, in order of place.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.places.iter().enumerate().filter_map(|(index, place)| {
            let key = Key { index: u32::try_from(index).ok()?, generation: place.generation };
            place.thing.as_ref().map(|thing| (key, thing))
        })
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// In the explorer's fingerprints: what there is, in order of place.
#[cfg(test)]
impl<T: core::hash::Hash> core::hash::Hash for Slab<T> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.len.hash(state);
        self.iter().for_each(|(_, thing)| thing.hash(state));
    }
}

#[cfg(test)]
mod tests {
    use super::Slab;

    /// [CORE-5]
    #[test]
    fn a_key_that_outlived_its_thing_finds_nothing() {
        let mut slab = Slab::new();
        let first = slab.insert('a');
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b');
        assert_eq!(first.index(), second.index());
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!((slab.get(second), slab.len()), (Some(&'b'), 1));
        assert_eq!(size_of_val(&Some(second)), 8);
    }
}
