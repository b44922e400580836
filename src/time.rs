//! Time as the machines see it: nanoseconds since an epoch that the caller chooses.
//!
//! The library never reads a clock. Every call that may act on time takes the current [`Instant`],
//! and `core` has none, so the crate brings its own: a number in a newtype, made so that arithmetic
//! saturates instead of panicking and `Option<Instant>` is as small as `Instant`.

use core::fmt;
use core::num::NonZeroU64;
use core::ops::{Add, AddAssign, Sub, SubAssign};
use core::time::Duration;

/// A point in time, in nanoseconds since any epoch that stays fixed for the life of a machine.
///
/// 584 years fit. Arithmetic saturates at both ends.
///
/// ```
/// use asap_pu::Instant;
/// use core::time::Duration;
///
/// let t = Instant::EPOCH + Duration::from_secs(3);
/// assert_eq!(t - Instant::EPOCH, Duration::from_secs(3));
/// assert_eq!(Instant::EPOCH - t, Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(not(test), derive(Hash))]
pub struct Instant(NonZeroU64);

impl Instant {
    /// The epoch itself: zero nanoseconds.
    pub const EPOCH: Self = Self(NonZeroU64::MIN);

    /// What sums that are too large come to.
    pub(crate) const END: Self = Self::from_nanos(u64::MAX);

    /// `nanos` nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }

    /// `millis` milliseconds after the epoch, for drivers whose clock counts those.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_nanos(millis.saturating_mul(1_000_000))
    }

    /// The nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// The time from `earlier` to `self`; zero where `earlier` is the later one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self::from_nanos(self.as_nanos().saturating_sub(nanos(duration)))
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.since(Self::EPOCH))
    }
}

/// What fits of a duration, in one place: a device that is short of room needs it there once.
#[inline(never)]
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Ties [`Instant`] to [`std::time::Instant`]: a pure conversion, which reads no clock.
///
/// ```
/// use asap_pu::Epoch;
///
/// let start = std::time::Instant::now();
/// let epoch = Epoch::new(start);
/// let deadline = epoch.instant(start) + core::time::Duration::from_secs(1);
/// assert_eq!(epoch.std(deadline), Some(start + core::time::Duration::from_secs(1)));
/// ```
#[cfg(feature = "std")]
#[cfg_attr(docsrs, doc(cfg(feature = "std")))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(std::time::Instant);

#[cfg(feature = "std")]
impl Epoch {
    /// Lets [`Instant::EPOCH`] mean `start`.
    #[must_use]
    pub const fn new(start: std::time::Instant) -> Self {
        Self(start)
    }

    /// `at` as the machines see it; a time before the start is the start.
    #[must_use]
    pub fn instant(self, at: std::time::Instant) -> Instant {
        Instant::EPOCH + at.saturating_duration_since(self.0)
    }

    /// `at` as the standard library sees it, or `None` beyond the range of the platform.
    #[must_use]
    pub fn std(self, at: Instant) -> Option<std::time::Instant> {
        self.0.checked_add(at.since(Instant::EPOCH))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_optional_instant_costs_nothing() {
        assert_eq!(size_of::<Option<Instant>>(), 8);
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let end = Instant::from_nanos(u64::MAX);
        assert_eq!(end + Duration::MAX, end);
        assert_eq!(Instant::EPOCH + Duration::MAX, end);
        assert_eq!(Instant::EPOCH.since(end), Duration::ZERO);
        assert_eq!(Instant::EPOCH - Duration::from_secs(1), Instant::EPOCH);
        assert_eq!(end - Duration::MAX, Instant::EPOCH);
        assert_eq!(Instant::from_nanos(5).as_nanos(), 5);
        assert_eq!(Instant::from_millis(u64::MAX), end);
        let mut at = Instant::from_millis(2);
        at += Duration::from_millis(3);
        at -= Duration::from_millis(4);
        assert_eq!(at, Instant::from_nanos(1_000_000));
    }
}
