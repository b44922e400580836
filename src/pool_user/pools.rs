//! Pools (RFC 5351 §4.1): how an application has them resolved, and selects from them.

use alloc::vec::Vec;

use super::{Ending, PoolUser, Waiter};
use crate::Instant;
use crate::context::Context;
use crate::error::CommandError;
use crate::id::{PoolId, RequestId};
use crate::journal::MarkEnd;
use crate::pool::{ElementRef, Pool};
use crate::reach::Origin;
use crate::wire::{PeIdentifier, PoolHandle, Transport};

/// A pool and the time, for commands; see [`PoolUser::pool_mut`].
#[derive(Debug)]
pub struct PoolMut<'a> {
    user: &'a mut PoolUser,
    id: PoolId,
    now: Instant,
}

/// # Pools
impl PoolUser {
    /// Resolves a pool handle, from the cache where that is fresh. Ends in
    /// [`Event::Resolved`](crate::Event::Resolved) or
    /// [`Event::ResolutionFailed`](crate::Event::ResolutionFailed), within `resolution.request_deadline`.
    ///
    /// # Errors
    /// The handle is empty or too long, or too many resolutions are under way.
    pub fn resolve(
        &mut self,
        now: Instant,
        handle: impl Into<PoolHandle>,
    ) -> Result<RequestId, CommandError> {
        self.request(now, handle.into(), |this, now, handle, waiter| {
            this.look_up(now, handle, waiter, false);
        })
    }

    /// Fetches a pool ahead of need, unless the cache has it and it is fresh (RFC 5352 §6.3). As
    /// [`resolve`](Self::resolve), but for a stale pool, which is always waited for.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn populate(
        &mut self,
        now: Instant,
        handle: impl Into<PoolHandle>,
    ) -> Result<RequestId, CommandError> {
        self.request(now, handle.into(), |this, now, handle, waiter| {
            match this.cache.find(handle.as_bytes()) {
                Some(pool) if this.is_fresh(now, pool) => this.answer(now, waiter, pool, false),
                _ => this.resolver.ask(now, &mut this.ctx, handle, waiter),
            }
        })
    }

    /// Fetches a pool whatever the cache has, for an application that knows its list to be out of
    /// date. As [`resolve`](Self::resolve), but for the cache, which is not asked; the same handle is
    /// asked for once in a `resolution.resolution_interval` all the same.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn refresh(
        &mut self,
        now: Instant,
        handle: impl Into<PoolHandle>,
    ) -> Result<RequestId, CommandError> {
        self.request(now, handle.into(), |this, now, handle, waiter| {
            this.resolver.ask(now, &mut this.ctx, handle, waiter);
        })
    }

    /// Forgets a resolution; no event will speak of it.
    ///
    /// # Errors
    /// There is no such resolution, or its end was read.
    pub fn cancel(&mut self, now: Instant, request: RequestId) -> Result<(), CommandError> {
        let now = self.advance(now);
        let handle = self.requests.remove(request.0).ok_or(CommandError::UnknownRequest)?;
        if !self.resolver.cancel(&handle, &Waiter::Request(request)) {
            self.forget_events();
        }
        self.route(now);
        Ok(())
    }

    /// Forgets all pools, and which handles are unknown.
    pub fn purge_all(&mut self) {
        self.cache.purge_all();
    }

    /// Keeps a pool up to date from here on, and tells of its changes with
    /// [`Event::PoolChanged`](crate::Event::PoolChanged) (RFC 5352 §2.2.5): by updates where the
    /// home registrar grants them, else by asking again whenever the list has become stale. A
    /// negative answer ends it with [`Event::SubscriptionEnded`](crate::Event::SubscriptionEnded),
    /// unless it may be that the registrar does not know the pool yet (`discovery.registrar_grace`);
    /// nothing else does but [`unsubscribe`](Self::unsubscribe) and [`shut_down`](Self::shut_down).
    ///
    /// Subscribing twice changes nothing. A subscription does not hold its pool in the cache
    /// against others.
    ///
    /// # Errors
    /// The handle is empty or too long, too many pools are subscribed to, or the pool user is
    /// shutting down.
    pub fn subscribe(
        &mut self,
        now: Instant,
        handle: impl Into<PoolHandle>,
    ) -> Result<(), CommandError> {
        let now = self.advance(now);
        let handle = self.check(handle.into())?;
        self.resolver.subscribe(now, &mut self.ctx, &handle, Waiter::Refresh)?;
        self.route(now);
        Ok(())
    }

    /// Lets a pool age again; says whether it was subscribed to. The RFC has no message for this:
    /// updates that still come change nothing and are counted.
    pub fn unsubscribe(&mut self, now: Instant, handle: &[u8]) -> bool {
        let now = self.advance(now);
        let known = self.resolver.unsubscribe(handle);
        self.cache.forget_change(handle);
        self.route(now);
        known
    }

    /// A pool in the cache.
    #[must_use]
    pub fn pool(&self, pool: PoolId) -> Option<&Pool> {
        self.cache.get(pool)
    }

    /// A pool in the cache, for commands.
    ///
    /// # Errors
    /// The pool is not in the cache.
    pub fn pool_mut(&mut self, now: Instant, pool: PoolId) -> Result<PoolMut<'_>, CommandError> {
        let now = self.advance(now);
        self.cache.get(pool).ok_or(CommandError::UnknownPool)?;
        Ok(PoolMut { user: self, id: pool, now })
    }

    /// The pool in the cache with this handle.
    #[must_use]
    pub fn find_pool(&self, handle: &[u8]) -> Option<PoolId> {
        self.cache.find(handle)
    }

    /// All pools in the cache, also those that are purged or unknown by now and still held by
    /// sessions.
    pub fn pools(&self) -> impl Iterator<Item = (PoolId, &Pool)> {
        self.cache.iter()
    }

    /// How many bytes the lists of all pools in the cache take.
    #[must_use]
    pub fn cache_bytes(&self) -> usize {
        self.cache.bytes()
    }

    /// Whether a pool is subscribed to, and if so whether the home registrar tells of its changes;
    /// if it does not, the pool is asked for again whenever its list has become stale.
    #[must_use]
    pub fn subscription(&self, handle: &[u8]) -> Option<bool> {
        self.resolver.subscription(handle)
    }

    /// All pools that are subscribed to, and of each whether the home registrar tells of its changes.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&PoolHandle, bool)> {
        self.resolver.subscriptions()
    }
}

/// For applications that own their connections (RFC 5351 §4.1).
impl<'a> PoolMut<'a> {
    /// Chooses an element by the pool's policy, none of `avoid` (RFC 5352 §6.5.2). Elements found
    /// unreachable are chosen only where nothing else is left.
    ///
    /// # Errors
    /// No element of the pool is left.
    pub fn select(self, avoid: &[PeIdentifier]) -> Result<ElementRef<'a>, CommandError> {
        let (now, (pool, ctx)) = (self.now, self.into_parts()?);
        pool.select(now, ctx, avoid).ok_or(CommandError::NoElementLeft)
    }

    /// Chooses as many as `wanted` different elements, best first, none of `avoid`; fewer where
    /// there are fewer. Only the first counts as a choice of the policy, the others are its
    /// backups (RFC 5356 §5.1.3). Elements found unreachable come last.
    #[must_use]
    pub fn select_several(self, wanted: usize, avoid: &[PeIdentifier]) -> Vec<ElementRef<'a>> {
        let (now, parts) = (self.now, self.into_parts());
        let chosen = |(pool, ctx): (&'a mut Pool, &mut Context)| {
            pool.select_several(now, ctx, wanted, avoid)
        };
        parts.map(chosen).unwrap_or_default()
    }

    /// Reports that an element could not be reached, and chooses the next one in the same step.
    ///
    /// # Errors
    /// As [`report_unreachable`](Self::report_unreachable) and [`select`](Self::select). Where no
    /// element is left, the failed one is marked and reported all the same.
    pub fn fail_over(mut self, failed: PeIdentifier) -> Result<ElementRef<'a>, CommandError> {
        self.report_unreachable(failed)?;
        self.select(&[failed])
    }

    /// Reports that an element could not be reached: it is passed over for `cache.failure_mark` as long as
    /// others are left, and the home registrar is told once (RFC 5352 §3.5).
    ///
    /// # Errors
    /// The pool has no such element, or the element was never selected.
    pub fn report_unreachable(&mut self, element: PeIdentifier) -> Result<(), CommandError> {
        let Self { user, id, now } = self;
        let found = user.cache.get_mut(*id).ok_or(CommandError::UnknownPool)?;
        if !found.was_used(element).ok_or(CommandError::UnknownElement)? {
            return Err(CommandError::NeverUsed);
        }
        if found.mark(*now, &mut user.ctx, element) {
            let handle = found.handle().clone();
            user.reports.unreachable(*now, &mut user.ctx, (handle, Some(*id)), element);
        }
        user.route(*now);
        Ok(())
    }

    /// The application says that an element has failed, for all its sessions at once: reports it,
    /// and each session that uses it goes on elsewhere (RFC 5352 §6.9.2).
    ///
    /// # Errors
    /// As [`report_unreachable`](Self::report_unreachable).
    pub fn fail_element(&mut self, element: PeIdentifier) -> Result<(), CommandError> {
        self.report_unreachable(element)?;
        let Self { user, id, now } = self;
        let (sessions, mut env) = user.session_machine(*now);
        sessions.element_failed(&mut env, *id, element);
        user.route(*now);
        Ok(())
    }

    /// The same as [`report_unreachable`](Self::report_unreachable), where the application knows
    /// only where it failed (RFC 5352 §6.9.2): at this protocol, port and one of these addresses.
    /// Says which element that is.
    ///
    /// # Errors
    /// As [`report_unreachable`](Self::report_unreachable), or several elements are reached there.
    pub fn report_unreachable_at(
        &mut self,
        transport: &Transport,
    ) -> Result<PeIdentifier, CommandError> {
        let found = self.user.cache.get(self.id).ok_or(CommandError::UnknownPool)?;
        let at = Origin::Here.callable(transport.clone()).ok_or(CommandError::UnknownElement)?;
        let element = found.element_at(&at)?;
        self.report_unreachable(element)?;
        Ok(element)
    }

    /// Ends the failure mark of an element that the application knows to be well, and takes back the
    /// report of its failure if that has not left yet.
    pub fn clear_failure(&mut self, element: PeIdentifier) {
        let Self { user, id, now } = self;
        let PoolUser { cache, ctx, .. } = &mut **user;
        if let Some(pool) = cache.get_mut(*id) {
            pool.unmark(ctx, element, MarkEnd::Cleared);
        }
        user.route(*now);
    }

    /// Forgets the pool (RFC 5352 §6.4). Its failure marks are forgotten too, unless sessions use
    /// it: they go on, and a new list finds the marks again.
    pub fn purge(self) {
        self.user.cache.purge(self.id);
    }

    fn into_parts(self) -> Result<(&'a mut Pool, &'a mut Context), CommandError> {
        let PoolUser { cache, ctx, .. } = self.user;
        Ok((cache.get_mut(self.id).ok_or(CommandError::UnknownPool)?, ctx))
    }
}

impl PoolUser {
    /// A resolution of the application's, which `begin` sets going.
    fn request(
        &mut self,
        now: Instant,
        handle: PoolHandle,
        begin: impl FnOnce(&mut Self, Instant, &PoolHandle, Waiter),
    ) -> Result<RequestId, CommandError> {
        let now = self.advance(now);
        let handle = self.check(handle)?;
        if self.requests.len() >= self.ctx.config.limits.max_requests {
            return Err(CommandError::TooManyRequests);
        }
        let request = RequestId(self.requests.insert(handle.clone()));
        begin(self, now, &handle, Waiter::Request(request));
        self.route(now);
        Ok(request)
    }

    /// Nothing new begins once the pool user is shutting down.
    pub(super) fn check_open(&self) -> Result<(), CommandError> {
        match self.ending {
            Ending::No => Ok(()),
            Ending::Begun | Ending::Done => Err(CommandError::ShuttingDown),
        }
    }

    pub(super) fn check(&self, handle: PoolHandle) -> Result<PoolHandle, CommandError> {
        self.check_open()?;
        let (len, limits) = (handle.len(), &self.ctx.config.limits);
        match len {
            _ if limits.allow_handle_len(len) => Ok(handle),
            0 => Err(CommandError::EmptyHandle),
            _ => Err(CommandError::HandleTooLong { len, max: limits.max_handle_len }),
        }
    }
}
