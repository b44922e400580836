//! A map in order of keys, for few things or for a hundred thousand.
//!
//! Entries stand in order in runs of at most [`RUN`], and the runs in order behind one another. So a
//! search halves twice, and what is moved when a thing comes or goes is a run at most. The standard
//! library's `BTreeMap` does the same with nodes that have room for eleven entries from the first one on,
//! and with some 2.5 kB of code for each type of entry on a small device, where this takes a fifth of it:
//! the machines have a dozen types, and most maps hold one thing or three (`no-std/size` shows both).

use alloc::vec::Vec;
use core::borrow::Borrow;
use core::mem;

use crate::room::Room as _;

/// How many entries a run has at most.
const RUN: usize = 32;

/// Entries in the order of their keys.
///
/// No run is empty but the only one, and none has more than four times the room that it needs, or for four.
#[derive(Debug, Clone)]
pub(crate) struct Map<K, V> {
    runs: Vec<Vec<(K, V)>>,
    len: usize,
}

/// Keys in order.
#[derive(Debug, Clone)]
#[cfg_attr(test, derive(Hash))]
pub(crate) struct Set<K>(Map<K, ()>);

impl<K, V> Map<K, V> {
    pub(crate) const fn new() -> Self {
        Self { runs: Vec::new(), len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.runs.iter().flatten().map(|(key, value)| (key, value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.runs.iter_mut().flatten().map(|(key, value)| (&*key, value))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub(crate) fn first_key_value(&self) -> Option<(&K, &V)> {
        self.iter().next()
    }

    pub(crate) fn pop_first(&mut self) -> Option<(K, V)> {
        (!self.is_empty()).then(|| self.take(0, 0))
    }

    /// What is kept on the heap, in bytes, not counting what the entries themselves keep there.
    pub(crate) fn heap_size(&self) -> usize {
        let room = self.runs.iter().map(Vec::capacity).sum::<usize>();
        self.runs.capacity() * size_of::<Vec<(K, V)>>() + room * size_of::<(K, V)>()
    }

    /// Puts an entry into its place in a run.
    fn put(&mut self, at: usize, place: usize, entry: (K, V)) {
        self.len += 1;
        let end = self.runs.len();
        match self.runs.get_mut(at) {
            Some(run) if run.len() < RUN => push(run, place, entry),
            Some(run) if place < RUN || at + 1 < end => {
                let mut upper = run.split_off(RUN / 2);
                match place.checked_sub(RUN / 2) {
                    Some(place) => push(&mut upper, place, entry),
                    None => push(run, place, entry),
                }
                push(&mut self.runs, at + 1, upper);
            }
            // The first of all, or the last: keys that only grow fill their runs.
            _ => {
                let mut run = Vec::new();
                push(&mut run, 0, entry);
                push(&mut self.runs, end, run);
            }
        }
    }

    fn take(&mut self, at: usize, place: usize) -> (K, V) {
        self.len -= 1;
        let run = &mut self.runs[at];
        let entry = run.remove(place);
        trim(run);
        // The last one stays: a timer that is set anew, say, allocates nothing.
        if run.is_empty() && self.runs.len() > 1 {
            self.runs.remove(at);
            trim(&mut self.runs);
        }
        entry
    }
}

impl<K: Ord, V> Map<K, V> {
    /// The run of a key, and its place in there: where it is, or where it belongs.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> (usize, Result<usize, usize>)
    where
        K: Borrow<Q>,
    {
        let begins_before = |run: &Vec<(K, V)>| run.first().is_some_and(|(k, _)| k.borrow() <= key);
        let at = self.runs.partition_point(begins_before).saturating_sub(1);
        let run = self.runs.get(at).map_or(&[][..], Vec::as_slice);
        (at, run.binary_search_by(|(k, _)| k.borrow().cmp(key)))
    }

    pub(crate) fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let (at, place) = self.find(key);
        let (key, value) = &self.runs.get(at)?[place.ok()?];
        Some((key, value))
    }

    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    pub(crate) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (at, place) = self.find(key);
        Some(&mut self.runs.get_mut(at)?[place.ok()?].1)
    }

    pub(crate) fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).1.is_ok()
    }

    /// The first entry whose key is not less than `key`.
    pub(crate) fn first_from(&self, key: &K) -> Option<(&K, &V)> {
        let (at, place) = self.find(key);
        let (Ok(place) | Err(place)) = place;
        let here = self.runs.get(at)?.get(place);
        let next = || self.runs.get(at + 1)?.first();
        here.or_else(next).map(|(key, value)| (key, value))
    }

    /// Puts a value in, and returns the former one.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            (at, Ok(place)) => Some(mem::replace(&mut self.runs[at][place].1, value)),
            (at, Err(place)) => {
                self.put(at, place, (key, value));
                None
            }
        }
    }

    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.remove_entry(key).map(|(_, value)| value)
    }

    pub(crate) fn remove_entry<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<(K, V)>
    where
        K: Borrow<Q>,
    {
        let (at, place) = self.find(key);
        place.ok().map(|place| self.take(at, place))
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = core::iter::Flatten<alloc::vec::IntoIter<Vec<(K, V)>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.runs.into_iter().flatten()
    }
}

impl<K> Default for Set<K> {
    fn default() -> Self {
        Self(Map::new())
    }
}

impl<K: Ord> Set<K> {
    pub(crate) const fn new() -> Self {
        Self(Map::new())
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    pub(crate) fn first(&self) -> Option<&K> {
        self.0.first_key_value().map(|(key, ())| key)
    }

    pub(crate) fn pop_first(&mut self) -> Option<K> {
        self.0.pop_first().map(|(key, ())| key)
    }

    /// Says whether it is new.
    pub(crate) fn insert(&mut self, key: K) -> bool {
        self.0.insert(key, ()).is_none()
    }

    /// Says whether it was there.
    pub(crate) fn remove(&mut self, key: &K) -> bool {
        self.0.remove(key).is_some()
    }
}

fn push<T>(list: &mut Vec<T>, at: usize, thing: T) {
    list.for_one_more();
    list.insert(at, thing);
}

/// Gives back what is much more than enough.
fn trim<T>(list: &mut Vec<T>) {
    let few = list.len().max(1);
    if list.capacity() > 4 * few {
        list.shrink_to(2 * few);
    }
}

/// In the explorer's fingerprints: what there is, in order.
#[cfg(test)]
impl<K: core::hash::Hash, V: core::hash::Hash> core::hash::Hash for Map<K, V> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.len.hash(state);
        self.iter().for_each(|entry| entry.hash(state));
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;
    use crate::Rng;

    /// As the standard library's, whatever comes and goes in whatever order, and no larger than it says.
    #[test]
    fn as_any_ordered_map() {
        let mut rng = Rng::new(1);
        for (range, turns) in [(4, 300), (100, 3_000), (1 << 40, 5_000)] {
            let (mut map, mut model) = (Map::new(), BTreeMap::new());
            for turn in 0..2 * turns {
                let key = if rng.below(4) == 0 { turn } else { rng.below(range) };
                let known = model.keys().nth(rng.below(range.min(500)) as usize).copied();
                let goes = rng.below(8) < if turn < turns { 2 } else { 6 };
                let key = known.filter(|_| goes).unwrap_or(key);
                match rng.below(9) {
                    0 => assert_eq!(map.pop_first(), model.pop_first()),
                    _ if goes => assert_eq!(map.remove_entry(&key), model.remove_entry(&key)),
                    _ => assert_eq!(map.insert(key, turn), model.insert(key, turn)),
                }
                assert_eq!(map.get_mut(&key), model.get_mut(&key));
                let from = rng.below(range);
                assert_eq!(map.first_from(&from), model.range(from..).next());
                assert_eq!(
                    (map.first_key_value(), map.len()),
                    (model.first_key_value(), model.len())
                );
                assert!(map.runs.iter().all(|run| {
                    let fits = run.capacity() <= 4 * run.len().max(1);
                    fits && (!run.is_empty() || map.runs.len() == 1)
                }));
            }
            assert!(map.iter().eq(&model));
            assert!(!map.is_empty() || range == 4, "nothing was tried");
        }
    }

    /// Timers are set ever later, names are numbered: those fill their runs.
    #[test]
    fn keys_that_grow_fill_their_runs() {
        let mut map = Map::new();
        for key in 0..1_000_u32 {
            map.insert(key, key);
        }
        assert!(map.heap_size() < 1_000 * 8 * 11 / 10, "{} bytes", map.heap_size());
    }
}
