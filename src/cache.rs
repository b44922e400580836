//! The cache: pool handle → pool, within bounds (RFC 5352 §3.3 C1–C4).
//!
//! A pool is *fresh* for `stale_cache_value` after its registrar listed it; a stale one is kept and may be served while
//! it is refreshed. When the cache is full, the pool that was used the longest ago makes room. Pools with live sessions
//! are pinned and never do; where everything is pinned, one more pool is kept beside the limit until the next one comes,
//! so that whoever asked for it can still choose from it.

use alloc::collections::BTreeMap;

use crate::Instant;
use crate::channel::Authentication;
use crate::context::Context;
use crate::id::PoolId;
use crate::pool::{Pool, Scratch};
use crate::slab::{Key, Slab};
use crate::wire::{Elements, PolicyType, PoolHandle};

/// All pools that are known.
#[derive(Debug)]
pub(crate) struct Cache {
    by_handle: BTreeMap<PoolHandle, PoolId>,
    slab: Slab<Entry>,
    /// The ends of the list of unpinned pools, in the order of use.
    newest: Option<Key>,
    oldest: Option<Key>,
    scratch: Scratch,
}

#[derive(Debug)]
struct Entry {
    pool: Pool,
    /// How many sessions hold the pool; it is in the list while there are none.
    pins: u32,
    newer: Option<Key>,
    older: Option<Key>,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            by_handle: BTreeMap::new(),
            slab: Slab::new(),
            newest: None,
            oldest: None,
            scratch: Scratch::default(),
        }
    }

    /// The pool with this handle, fresh or stale.
    pub(crate) fn find(&self, handle: &[u8]) -> Option<PoolId> {
        self.by_handle.get(handle).copied()
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

    /// Takes in a registrar's list; `None` where no element of it can be used.
    pub(crate) fn store(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        handle: &[u8],
        list: (PolicyType, Elements<'_>),
        authentication: Authentication,
    ) -> Option<PoolId> {
        if let Some(id) = self.find(handle) {
            self.touch(id.0);
            let pool = &mut self.slab.get_mut(id.0)?.pool;
            return pool.refresh(now, ctx, &mut self.scratch, list, authentication).then_some(id);
        }
        let handle = PoolHandle::from(handle);
        let mut pool = Pool::new(handle.clone(), now);
        if !pool.refresh(now, ctx, &mut self.scratch, list, authentication) {
            return None;
        }
        while self.slab.len() >= ctx.config.max_pools {
            let Some(oldest) = self.oldest else { break };
            self.remove(PoolId(oldest));
            ctx.stats.cache_evicted += 1;
        }
        let key = self.slab.insert(Entry { pool, pins: 0, newer: None, older: None });
        self.link(key);
        self.by_handle.insert(handle, PoolId(key));
        Some(PoolId(key))
    }

    /// Forgets a pool, unless a session holds it; says whether it is gone.
    pub(crate) fn purge(&mut self, id: PoolId) -> bool {
        let unpinned = self.slab.get(id.0).is_some_and(|entry| entry.pins == 0);
        if unpinned {
            self.remove(id);
        }
        unpinned
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

    /// Lets go of a pool that was held.
    pub(crate) fn unpin(&mut self, id: PoolId) {
        if let Some(entry) = self.slab.get_mut(id.0) {
            entry.pins = entry.pins.saturating_sub(1);
            if entry.pins == 0 {
                self.link(id.0);
            }
        }
    }

    fn remove(&mut self, id: PoolId) {
        self.unlink(id.0);
        if let Some(gone) = self.slab.remove(id.0) {
            self.by_handle.remove(gone.pool.handle());
        }
    }

    fn touch(&mut self, key: Key) {
        let unpinned = self.slab.get(key).is_some_and(|entry| entry.pins == 0);
        if unpinned && self.newest != Some(key) {
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
