//! Keys remembered for a while: which handles were asked for a moment ago, which do not exist,
//! which elements were reported.
//!
//! Nothing wakes up to forget. What is over is dropped when the next key comes, and a bound on the
//! number makes the oldest go first.

use alloc::collections::VecDeque;
use core::borrow::Borrow;

use crate::Instant;
#[cfg(test)]
use crate::explorer::ahead;
use crate::ordered::Map;
use crate::room::Room as _;

/// Keys, each with the time until which it counts. Later keys must not count for less long.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Recent<K> {
    until: Map<K, Instant>,
    /// In the order of `until`; a key that was remembered anew stands here twice for a while.
    order: VecDeque<(Instant, K)>,
}

impl<K: Ord + Clone> Recent<K> {
    pub(crate) const fn new() -> Self {
        Self { until: Map::new(), order: VecDeque::new() }
    }

    /// Until when `key` counts, if it still does.
    pub(crate) fn until<Q: Ord + ?Sized>(&self, now: Instant, key: &Q) -> Option<Instant>
    where
        K: Borrow<Q>,
    {
        self.until.get(key).copied().filter(|until| *until > now)
    }

    /// Remembers `key`, and as many as `max` in all.
    pub(crate) fn remember(&mut self, now: Instant, until: Instant, max: usize, key: K) {
        while self.order.front().is_some_and(|(at, _)| *at <= now || self.order.len() >= max) {
            if let Some((at, old)) = self.order.pop_front() {
                if self.until.get(&old) == Some(&at) {
                    self.until.remove(&old);
                }
            }
        }
        if until > now && max > 0 && self.until.insert(key.clone(), until) != Some(until) {
            self.order.for_one_more();
            self.order.push_back((until, key));
        }
    }

    /// Forgets `key` before its time.
    pub(crate) fn forget<Q: Ord + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.until.remove(key);
    }
}

/// In the explorer's fingerprints: what still counts.
#[cfg(test)]
impl<K: core::hash::Hash> core::hash::Hash for Recent<K> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        let counts = self.until.iter().filter(|(_, until)| !ahead(**until).is_zero());
        counts.for_each(|entry| entry.hash(state));
        0xff_u8.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::EPOCH + Duration::from_secs(secs)
    }

    #[test]
    fn a_key_counts_for_its_time() {
        let mut recent = Recent::new();
        recent.remember(at(0), at(5), 9, 'a');
        recent.remember(at(3), at(8), 9, 'a');
        recent.remember(at(6), at(11), 9, 'b');
        assert_eq!(recent.until(at(7), &'a'), Some(at(8)), "the later word counts");
        assert_eq!(recent.until(at(8), &'a'), None);
        recent.forget(&'b');
        assert_eq!(recent.until(at(7), &'b'), None);
        recent.remember(at(20), at(20), 9, 'c');
        assert_eq!((recent.until.len(), recent.order.len()), (0, 0), "nothing stays behind");
    }

    /// [CORE-6]
    #[test]
    fn the_oldest_key_makes_room() {
        let mut recent = Recent::new();
        for _ in 0..9 {
            recent.remember(at(0), at(5), 3, 0);
        }
        recent.remember(at(0), at(5), 3, 1);
        recent.remember(at(0), at(5), 3, 2);
        assert!(recent.until(at(1), &0).is_some(), "the same key again takes no room");
        for key in 0..1_000 {
            recent.remember(at(0), at(5), 3, key);
            recent.remember(at(0), at(5), 0, key + 1_000);
        }
        assert!(recent.order.is_empty(), "room for none");
        for key in 0..1_000 {
            recent.remember(at(0), at(5), 3, key);
        }
        assert_eq!(recent.until.keys().copied().collect::<alloc::vec::Vec<_>>(), [997, 998, 999]);
        assert_eq!(recent.order.len(), 3);
    }
}
