//! Unknown Pool Handle from a registrar that may not know better yet.
//!
//! A registrar that has just been started knows nothing for a while, until its peers or the elements
//! themselves tell it. If it says of a pool that was known that there is none, within `discovery.registrar_grace`
//! of becoming the home, that is not believed yet: the pool is kept as stale and asked for again,
//! several times within the grace, and only what is unknown after it is unknown (decision 43). The
//! grace begins once for a pool and not anew with each change of home, so that a registrar which goes
//! away after each answer cannot keep a pool alive that is gone.
//!
//! The other reading, to believe each answer at once, ends every session's refresh and every
//! subscription whenever a registrar is restarted.

use alloc::vec::Vec;
use core::time::Duration;

use crate::Instant;
use crate::context::Context;
use crate::ordered::Map;
use crate::timers::{Timers, jitter};
use crate::wire::PoolHandle;

/// How often a pool is asked for within the grace.
const TIMES: u32 = 6;

/// The pools that a young home did not know.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) struct Disputes<W> {
    list: Map<PoolHandle, Dispute<W>>,
    /// When those are asked for again that nobody subscribes to.
    again: Timers<PoolHandle>,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
struct Dispute<W> {
    waiter: W,
    /// Until when it is not believed that there is no such pool.
    until: Instant,
    again: Option<Instant>,
}

impl<W: Copy> Disputes<W> {
    pub(super) const fn new() -> Self {
        Self { list: Map::new(), again: Timers::new() }
    }

    /// The home, which is one since `since`, does not know a pool. Says whether that is not believed
    /// yet, and when the pool is to be asked for again then.
    pub(super) fn add(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        handle: &[u8],
        since: Instant,
        waiter: W,
    ) -> Option<Instant> {
        let grace = ctx.config.discovery.registrar_grace;
        self.forget_old(now, grace);
        let until = self.list.get(handle).map_or(since + grace, |dispute| dispute.until);
        let full =
            !self.list.contains_key(handle) && self.list.len() >= ctx.config.limits.max_pools;
        if until <= now || full {
            self.end(handle);
            return None;
        }
        let dispute = Dispute { waiter, until, again: None };
        if !self.list.contains_key(handle) {
            self.list.insert(PoolHandle::from(handle), dispute);
        }
        let pause = (grace / TIMES).max(ctx.config.resolution.resolution_interval);
        Some(now + jitter(&mut ctx.rng, pause))
    }

    /// Forgets what nobody has asked about for as long as a grace lasts after its end: a registrar that says
    /// the same later is another one that has just come back.
    fn forget_old(&mut self, now: Instant, grace: Duration) {
        let old = self.list.iter().filter(|(_, dispute)| dispute.until + grace <= now);
        let old: Vec<_> = old.map(|(handle, _)| handle.clone()).collect();
        old.iter().for_each(|handle| self.end(handle.as_bytes()));
    }

    /// Asks for a disputed pool at `at`.
    pub(super) fn ask_at(&mut self, handle: &[u8], at: Instant) {
        if let Some(dispute) = self.list.get_mut(handle) {
            self.again.set(&mut dispute.again, Some(at), PoolHandle::from(handle));
        }
    }

    /// It is settled whether there is such a pool.
    pub(super) fn end(&mut self, handle: &[u8]) {
        if let Some((handle, mut dispute)) = self.list.remove_entry(handle) {
            self.again.set(&mut dispute.again, None, handle);
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.again.next()
    }

    /// A pool that is to be asked for now, and who waits for it.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(PoolHandle, W)> {
        while let Some(handle) = self.again.pop_due(now) {
            if let Some(dispute) = self.list.get_mut(&handle) {
                dispute.again = None;
                return Some((handle, dispute.waiter));
            }
        }
        None
    }
}
