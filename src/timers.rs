//! Deadlines in order of time, and the jitter that keeps many pool users from moving in step.

use core::time::Duration;

use crate::ordered::Set;
use crate::time::nanos;
use crate::{Instant, Rng};

/// What is due when: each key has at most one deadline, which its owner keeps in a slot of its own.
#[derive(Debug, Clone)]
#[cfg_attr(test, derive(Hash))]
pub(crate) struct Timers<K>(Set<(Instant, K)>);

impl<K: Ord + Clone> Timers<K> {
    pub(crate) const fn new() -> Self {
        Self(Set::new())
    }

    /// Moves the deadline of `key` from what `slot` says to `at`; `None` disarms it. The end of time does not
    /// come: what is due again and again would otherwise be due without end there.
    pub(crate) fn set(&mut self, slot: &mut Option<Instant>, at: Option<Instant>, key: K) {
        let at = at.filter(|at| *at < Instant::END);
        if *slot == at {
            return;
        }
        if let Some(old) = core::mem::replace(slot, at) {
            self.0.remove(&(old, key.clone()));
        }
        if let Some(at) = at {
            self.0.insert((at, key));
        }
    }

    /// Disarms everything; the owners clear their slots.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// How many deadlines there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes out the key whose deadline is the earliest, once that has come.
    ///
    /// The owner clears its slot.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        #[cfg(test)]
        crate::explorer::tire();
        self.0.pop_first().map(|(_, key)| key)
    }
}

/// What a deadline is for, see [`PoolUser::next_timer`](crate::PoolUser::next_timer).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TimerKind {
    /// Something waits for [`poll_action`](crate::PoolUser::poll_action): the time is now.
    Action,
    /// T1-ENRPrequest: the home registrar has not answered in time (RFC 5352 §3.7.2); or a request
    /// that had to pause goes out (`resolution.resolution_interval`).
    Request,
    /// A request has taken as long as it may (`resolution.request_deadline`).
    RequestDeadline,
    /// A pool that nobody waits for is asked for again: one that is subscribed to (RFC 5352 §2.2.5), or
    /// that a registrar may not know yet.
    Subscription,
    /// T5-Serverhunt: the round of the hunt ends (§3.6 SH5).
    Hunt,
    /// No registrar announced itself in time (`discovery.announce_wait`).
    AnnounceWait,
    /// T7-ENRPoutdate: an announced address is forgotten (§3.6).
    Outdate,
    /// An unreachable report may go out, or is too old to (§3.5).
    Report,
    /// A session has waited long enough: for a channel, in a pause, or for its end.
    Session,
}

/// 75 to 100 % of `nominal`, so that pool users that lost one registrar together come back apart.
pub(crate) fn jitter(rng: &mut Rng, nominal: Duration) -> Duration {
    let nanos = nanos(nominal);
    Duration::from_nanos(nanos - rng.below(nanos / 4 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::EPOCH + Duration::from_secs(secs)
    }

    #[test]
    fn keys_come_out_in_order_and_only_when_due() {
        let mut timers = Timers::new();
        let mut slots = [None; 3];
        for (key, secs) in [30, 10, 20].into_iter().enumerate() {
            timers.set(&mut slots[key], Some(at(secs)), key);
        }
        timers.set(&mut slots[2], Some(at(5)), 2);
        assert_eq!(timers.next(), Some(at(5)));
        assert_eq!(timers.pop_due(at(4)), None);
        assert_eq!(timers.pop_due(at(10)), Some(2));
        assert_eq!(timers.pop_due(at(10)), Some(1));
        assert_eq!(timers.pop_due(at(10)), None);
        timers.set(&mut slots[0], None, 0);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn jitter_shortens_by_a_quarter_at_most() {
        let mut rng = Rng::new(3);
        let drawn: alloc::vec::Vec<_> =
            (0..1_000).map(|_| jitter(&mut rng, Duration::from_secs(10))).collect();
        assert!(drawn.iter().all(|d| (7_500..=10_000).contains(&d.as_millis())));
        assert!(drawn.iter().any(|d| d.as_millis() < 7_600));
        assert!(drawn.iter().any(|d| d.as_millis() > 9_900));
        assert_eq!(jitter(&mut rng, Duration::ZERO), Duration::ZERO);
    }
}
