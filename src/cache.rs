//! The cache: pool handle → pool, within bounds (RFC 5352 §3.3 C1–C4).
//!
//! A pool is *fresh* for `cache.stale_cache_value` after its registrar listed it; a stale one is kept and
//! may be served while it is refreshed. When the cache is full, the pool that was used the longest
//! ago makes room. Pools with live sessions are pinned and never do. Where everything is pinned, a
//! new pool is kept beside the limits, and counted, so that whoever asked for it can choose from
//! it: one that an application asked for goes when the next one comes, one of a session is pinned
//! too. So the limits bound what nobody uses; what sessions use is bounded by their number.
//!
//! The limit in bytes is one of the memory that is really held, within a tenth (`tests/cache_cost.rs`
//! measures it with a counting allocator). With one IPv4 address an element, in bytes:
//!
//! | policy | a pool of one | of 30 | of 1,000 |
//! |---|---|---|---|
//! | random | 370 | 2,100 | 56,000 |
//! | round robin, priority, least used, priority least used | 380 | 2,200 | 60,000 |
//! | weighted random, randomized least used | 370 | 2,600 | 72,000 |
//! | least used with degradation | 390 | 2,700 | 74,000 |
//! | weighted round robin | 370 | 3,600 | 118,000 |
//!
//! A pool of one that has not failed takes one block or two: itself, and its choices where a policy
//! remembers them.
//!
//! A pool that a registrar does not know any more, or that the application wants to be forgotten,
//! is *gone*: it is not found again by its handle. Where sessions hold it they go on with what was
//! listed (CACHE-8), and a new list of the same handle finds it in its place, with its failure
//! marks. That a handle is unknown may itself be remembered for a while (CACHE-7).

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::Instant;
use crate::channel::Authentication;
use crate::config::Config;
use crate::context::Context;
use crate::event::Entry as Note;
#[cfg(test)]
use crate::explorer::fingerprint;
use crate::id::PoolId;
use crate::ordered::Map;
use crate::pool::{Change, Pool, Scratch};
use crate::reach::Origin;
use crate::recent::Recent;
use crate::slab::{Key, Slab};
use crate::wire::{Elements, PolicyType, PoolHandle};

/// All pools that are known.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Cache {
    by_handle: Map<PoolHandle, PoolId>,
    slab: Slab<Box<Entry>>,
    /// The ends of the list of unpinned pools, in the order of use.
    newest: Option<Key>,
    oldest: Option<Key>,
    /// What all pools keep in memory.
    bytes: usize,
    /// Handles that a registrar did not know a moment ago.
    unknown: Recent<PoolHandle>,
    /// What the application has not heard of the pools that it subscribes to.
    changes: Map<PoolId, Change>,
    /// Whether a note of that is in the queue of events.
    queued: bool,
    scratch: Scratch,
}

/// How far the list of a pool can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    Fresh,
    /// Older than `cache.stale_cache_value` (RFC 5352 §3.3 C2).
    Stale,
    /// Not what the home registrar has, as it let know, however young it is.
    Outdated,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Entry {
    pool: Pool,
    bytes: usize,
    /// Whether the list is out of date, however young it is.
    outdated: bool,
    /// Whether it is not to be found again, and goes when the last session lets go of it.
    gone: bool,
    /// How many sessions hold the pool; it is in the list while there are none.
    pins: u32,
    newer: Option<Key>,
    older: Option<Key>,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            by_handle: Map::new(),
            slab: Slab::new(),
            newest: None,
            oldest: None,
            bytes: 0,
            unknown: Recent::new(),
            changes: Map::new(),
            queued: false,
            scratch: Scratch::default(),
        }
    }

    /// The pool with this handle, fresh or stale.
    pub(crate) fn find(&self, handle: &[u8]) -> Option<PoolId> {
        let id = *self.by_handle.get(handle)?;
        self.slab.get(id.0).filter(|entry| !entry.gone).map(|_| id)
    }

    /// The same, also where it is gone and sessions hold it.
    pub(crate) fn find_held(&self, handle: &[u8]) -> Option<PoolId> {
        self.by_handle.get(handle).copied()
    }

    /// Whether a registrar said a moment ago that there is no such pool.
    pub(crate) fn is_unknown(&self, now: Instant, handle: &[u8]) -> bool {
        self.unknown.until(now, handle).is_some()
    }

    /// What all pools keep in memory, in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What changed in a pool that the application subscribes to.
    pub(crate) fn take_change(&mut self) -> Option<(PoolId, Change)> {
        let change = self.changes.pop_first();
        self.queued = change.is_some();
        change
    }

    /// The application wants to hear no more of a pool.
    pub(crate) fn forget_change(&mut self, handle: &[u8]) {
        if let Some(id) = self.by_handle.get(handle) {
            self.changes.remove(id);
        }
    }

    pub(crate) fn get(&self, id: PoolId) -> Option<&Pool> {
        self.slab.get(id.0).map(|entry| &entry.pool)
    }

    /// The pool, which counts as used.
    pub(crate) fn get_mut(&mut self, id: PoolId) -> Option<&mut Pool> {
        self.touch(id.0);
        self.slab.get_mut(id.0).map(|entry| &mut entry.pool)
    }

    /// Every pool.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PoolId, &Pool)> {
        self.slab.iter().map(|(key, entry)| (PoolId(key), &entry.pool))
    }

    /// Where the registrar is whose lists come from here on.
    pub(crate) const fn set_origin(&mut self, origin: Origin) {
        self.scratch.origin = origin;
    }

    /// Takes in a registrar's list, and notes what changed where somebody is to be `subscribed`; `None`
    /// where no element of it can be used.
    pub(crate) fn store(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        handle: &[u8],
        list: (PolicyType, Elements<'_>),
        authentication: Authentication,
        subscribed: bool,
    ) -> Option<PoolId> {
        let (id, change) = match self.by_handle.get(handle).copied() {
            Some(id) => {
                let entry = self.slab.get_mut(id.0)?;
                let change = entry.pool.refresh(
                    now,
                    ctx,
                    &mut self.scratch,
                    list,
                    authentication,
                    subscribed,
                )?;
                (entry.gone, entry.outdated) = (false, false);
                self.bytes -= core::mem::replace(&mut entry.bytes, held(&entry.pool));
                self.bytes += entry.bytes;
                self.touch(id.0);
                self.make_room(ctx, id.0);
                (id, change)
            }
            None => {
                let mut pool = Pool::new(PoolHandle::from(handle), now);
                let change =
                    pool.refresh(now, ctx, &mut self.scratch, list, authentication, subscribed)?;
                (self.insert(ctx, pool), change)
            }
        };
        self.unknown.forget(handle);
        if change != Change::default() {
            let mut told = self.changes.get(&id).copied().unwrap_or_default();
            told.add(change);
            self.changes.insert(id, told);
            if !core::mem::replace(&mut self.queued, true) {
                ctx.events.push(Note::Pools);
            }
        }
        Some(id)
    }

    /// The list of this handle is out of date, as a registrar let know.
    pub(crate) fn outdate(&mut self, handle: &[u8]) {
        if let Some(id) = self.by_handle.get(handle) {
            if let Some(entry) = self.slab.get_mut(id.0) {
                entry.outdated = true;
            }
        }
    }

    /// How far the list of a pool can be relied on; `None` if there is no such pool.
    pub(crate) fn freshness(&self, now: Instant, config: &Config, id: PoolId) -> Option<Freshness> {
        let entry = self.slab.get(id.0)?;
        let is_old = now.since(entry.pool.fetched()) >= config.cache.stale_cache_value;
        Some(match entry.outdated {
            true => Freshness::Outdated,
            false if is_old => Freshness::Stale,
            false => Freshness::Fresh,
        })
    }

    /// A registrar does not know this handle.
    pub(crate) fn store_unknown(&mut self, now: Instant, ctx: &Context, handle: &[u8]) {
        if let Some(id) = self.find(handle) {
            self.purge(id);
        }
        let until = now + ctx.config.cache.negative_cache_value;
        self.unknown.remember(now, until, ctx.config.limits.max_pools, PoolHandle::from(handle));
    }

    /// Forgets a pool, and what changed in it; says whether it was there. Sessions that hold it keep
    /// it.
    pub(crate) fn purge(&mut self, id: PoolId) -> bool {
        let Some(entry) = self.slab.get_mut(id.0).filter(|entry| !entry.gone) else { return false };
        entry.gone = true;
        if entry.pins == 0 {
            self.remove(id);
        }
        self.changes.remove(&id);
        true
    }

    /// Forgets all pools, and which handles are unknown.
    pub(crate) fn purge_all(&mut self) {
        let all: Vec<_> = self.iter().map(|(id, _)| id).collect();
        for id in all {
            self.purge(id);
        }
        self.unknown = Recent::new();
    }

    /// Holds a pool for a session.
    pub(crate) fn pin(&mut self, id: PoolId) {
        if self.slab.get(id.0).is_some_and(|entry| entry.pins == 0) {
            self.unlink(id.0);
        }
        if let Some(entry) = self.slab.get_mut(id.0) {
            entry.pins += 1;
        }
    }

    /// Lets go of a pool that was held. If there are too many, room is made when the next list
    /// comes: an end inside of a poll must not take away what another poll would tell.
    pub(crate) fn unpin(&mut self, id: PoolId) {
        if let Some(entry) = self.slab.get_mut(id.0) {
            entry.pins = entry.pins.saturating_sub(1);
            if entry.pins == 0 {
                let gone = entry.gone;
                self.link(id.0);
                if gone {
                    self.remove(id);
                }
            }
        }
    }

    fn insert(&mut self, ctx: &mut Context, pool: Pool) -> PoolId {
        let bytes = held(&pool);
        let handle = pool.handle().clone();
        let (outdated, gone) = (false, false);
        let entry = Entry { pool, bytes, outdated, gone, pins: 0, newer: None, older: None };
        let key = self.slab.insert(Box::new(entry));
        self.bytes += bytes;
        self.link(key);
        self.by_handle.insert(handle, PoolId(key));
        self.make_room(ctx, key);
        PoolId(key)
    }

    /// Lets the pools go that were used the longest ago until the limits are kept, but not
    /// `newest`, which somebody is about to use.
    fn make_room(&mut self, ctx: &mut Context, newest: Key) {
        let Context { config, stats, .. } = ctx;
        while self.slab.len() > config.limits.max_pools
            || self.bytes > config.limits.max_cache_bytes
        {
            let Some(oldest) = self.oldest.filter(|oldest| *oldest != newest) else {
                stats.cache_overfull += 1;
                break;
            };
            self.remove(PoolId(oldest));
            stats.cache_evicted += 1;
        }
    }

    fn remove(&mut self, id: PoolId) {
        self.unlink(id.0);
        self.changes.remove(&id);
        if let Some(gone) = self.slab.remove(id.0) {
            self.bytes -= gone.bytes;
            self.by_handle.remove(gone.pool.handle());
        }
    }

    fn touch(&mut self, key: Key) {
        if self.newest == Some(key) {
            return;
        }
        if self.slab.get(key).is_some_and(|entry| entry.pins == 0) {
            self.unlink(key);
            self.link(key);
        }
    }

    /// Puts an entry at the newest end.
    fn link(&mut self, key: Key) {
        let older = self.newest.replace(key);
        match older.and_then(|older| self.slab.get_mut(older)) {
            Some(entry) => entry.newer = Some(key),
            None => self.oldest = Some(key),
        }
        if let Some(entry) = self.slab.get_mut(key) {
            (entry.newer, entry.older) = (None, older);
        }
    }

    fn unlink(&mut self, key: Key) {
        let Some(entry) = self.slab.get_mut(key) else { return };
        let (newer, older) = (entry.newer.take(), entry.older.take());
        match newer.and_then(|newer| self.slab.get_mut(newer)) {
            Some(entry) => entry.older = older,
            None if self.newest == Some(key) => self.newest = older,
            None => {}
        }
        match older.and_then(|older| self.slab.get_mut(older)) {
            Some(entry) => entry.newer = newer,
            None if self.oldest == Some(key) => self.oldest = newer,
            None => {}
        }
    }
}

/// What a pool keeps in memory, in bytes: itself and what it has on the heap, its place here, and its
/// name in the map, the room for both of which is a quarter larger in the mean.
fn held(pool: &Pool) -> usize {
    const PLACE: usize = size_of::<(Option<Box<Entry>>, Key)>();
    const NAME: usize = size_of::<(PoolHandle, PoolId)>();
    size_of::<Entry>() + pool.heap_size() + (PLACE + NAME) * 5 / 4
}

#[cfg(test)]
fingerprint!(Cache { by_handle, slab, unknown, changes, queued } others { newest, oldest, bytes, scratch });
#[cfg(test)]
fingerprint!(Entry { pool, outdated, gone, pins } others { bytes, newer, older });
