//! Subscriptions: pools that the application wants to be kept up to date (RFC 5352 §2.2.5).
//!
//! A request for such a pool carries the S bit. If the home grants it (A bit), it sends a list
//! whenever the pool changes, for as long as the channel lives, and nobody need ask again. If it
//! does not (real registrars never do), the pool is asked for again whenever its list has become
//! stale. A new home knows nothing of the former one's subscribers and is asked at once. A negative
//! answer ends the subscription (§2.2.5: "no further updates"), and the application hears of it.
//!
//! A subscription wants a home registrar, but does not wait for an announce where none is known: it
//! sleeps until there is one.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::Resolver;
use crate::Instant;
use crate::context::Context;
use crate::error::{CommandError, ResolveError};
use crate::event::Entry;
use crate::timers::Timers;
use crate::wire::PoolHandle;

/// All subscriptions.
#[derive(Debug)]
pub(super) struct Subscriptions<W> {
    list: BTreeMap<PoolHandle, Subscription<W>>,
    /// When those without updates ask again.
    renewals: Timers<PoolHandle>,
    /// Those that a registrar ended, until the application has heard of it.
    ended: VecDeque<(PoolHandle, ResolveError)>,
    /// Whether a note of that is in the queue of events.
    noted: bool,
}

#[derive(Debug)]
struct Subscription<W> {
    /// Who waits for its requests.
    waiter: W,
    /// Whether the home has granted updates.
    updates: bool,
    renew: Option<Instant>,
}

impl<W: Copy + Ord> Resolver<W> {
    /// Whether anything is subscribed to, so that a registrar is wanted.
    pub(crate) fn is_subscribed(&self) -> bool {
        !self.subscriptions.list.is_empty()
    }

    /// Whether a pool is subscribed to, and if so whether the home sends updates of it.
    pub(crate) fn subscription(&self, handle: &[u8]) -> Option<bool> {
        self.subscriptions.list.get(handle).map(|subscription| subscription.updates)
    }

    /// Keeps a pool up to date from here on. `waiter` waits for all the requests that this takes.
    pub(crate) fn subscribe(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        handle: &PoolHandle,
        waiter: W,
    ) -> Result<(), CommandError> {
        let Subscriptions { list, ended, .. } = &mut self.subscriptions;
        if list.contains_key(handle) {
            return Ok(());
        }
        if list.len() + ended.len() >= ctx.config.max_subscriptions {
            return Err(CommandError::TooManySubscriptions);
        }
        list.insert(handle.clone(), Subscription { waiter, updates: false, renew: None });
        self.join(now, ctx, handle, waiter);
        Ok(())
    }

    /// Lets a pool age again; says whether it was subscribed to. There is no message for it:
    /// updates that still come count as unsolicited.
    pub(crate) fn unsubscribe(&mut self, handle: &[u8]) -> bool {
        self.subscriptions.remove(handle).is_some()
    }

    /// Ends all subscriptions, without a word.
    pub(crate) fn unsubscribe_all(&mut self) {
        let Subscriptions { list, renewals, .. } = &mut self.subscriptions;
        list.clear();
        renewals.clear();
    }

    /// A subscription that a registrar ended.
    pub(crate) fn take_ended(&mut self) -> Option<(PoolHandle, ResolveError)> {
        let ended = self.subscriptions.ended.pop_front();
        self.subscriptions.noted = ended.is_some();
        ended
    }

    /// There is a new home, or none: what was granted is void, and a new home is asked.
    pub(super) fn resubscribe(&mut self, now: Instant, ctx: &mut Context) {
        self.subscriptions.lapse();
        if self.home.is_none() {
            return;
        }
        let list = self.subscriptions.list.iter();
        let all: Vec<_> = list.map(|(handle, s)| (handle.clone(), s.waiter)).collect();
        for (handle, waiter) in all {
            self.join(now, ctx, &handle, waiter);
        }
    }

    /// Subscriptions whose pool has become stale ask again.
    pub(super) fn renew(&mut self, now: Instant, ctx: &mut Context) {
        while let Some(handle) = self.subscriptions.renewals.pop_due(now) {
            let Some(subscription) = self.subscriptions.list.get_mut(&handle) else { continue };
            subscription.renew = None;
            let waiter = subscription.waiter;
            self.join(now, ctx, &handle, waiter);
        }
    }

    /// Waits for a list: for that of a request under way too, which would otherwise end with those
    /// who asked for it.
    fn join(&mut self, now: Instant, ctx: &mut Context, handle: &PoolHandle, waiter: W) {
        let query = self.queries.get(handle);
        if !query.is_some_and(|query| query.waiting.contains(&waiter)) {
            self.ask(now, ctx, handle, waiter);
        }
    }

    /// A list came, with the A bit or without; `asked` says whether the request had the S bit.
    pub(super) fn answer_subscription(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        handle: &[u8],
        (asked, granted): (bool, bool),
    ) {
        let Some(subscription) = self.subscriptions.list.get_mut(handle) else { return };
        subscription.updates = granted && asked;
        let waiter = subscription.waiter;
        if !asked {
            self.ask(now, ctx, &PoolHandle::from(handle), waiter);
        } else if !granted {
            self.subscriptions.renew_later(now, ctx, handle);
        }
    }
}

impl<W> Subscriptions<W> {
    pub(super) const fn new() -> Self {
        Self {
            list: BTreeMap::new(),
            renewals: Timers::new(),
            ended: VecDeque::new(),
            noted: false,
        }
    }

    pub(super) fn has(&self, handle: &[u8]) -> bool {
        self.list.contains_key(handle)
    }

    pub(super) fn has_updates(&self, handle: &[u8]) -> bool {
        self.list.get(handle).is_some_and(|subscription| subscription.updates)
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.renewals.next()
    }

    /// A negative answer ends the subscription.
    pub(super) fn end(&mut self, ctx: &mut Context, handle: &[u8], error: &ResolveError) {
        let Some(handle) = self.remove(handle) else { return };
        self.ended.push_back((handle, error.clone()));
        if !core::mem::replace(&mut self.noted, true) {
            ctx.events.push(Entry::Subscriptions);
        }
    }

    /// Asks again when what was listed has become stale, or when a registrar that did not answer
    /// may do better.
    pub(super) fn renew_later(&mut self, now: Instant, ctx: &Context, handle: &[u8]) {
        let period = ctx.config.stale_cache_value.max(ctx.config.resolution_interval);
        let Some((handle, _)) = self.list.get_key_value(handle) else { return };
        let handle = handle.clone();
        if let Some(subscription) = self.list.get_mut(&handle) {
            self.renewals.set(&mut subscription.renew, Some(now + period), handle);
        }
    }

    fn remove(&mut self, handle: &[u8]) -> Option<PoolHandle> {
        let (handle, mut gone) = self.list.remove_entry(handle)?;
        self.renewals.set(&mut gone.renew, None, handle.clone());
        Some(handle)
    }

    fn lapse(&mut self) {
        for subscription in self.list.values_mut() {
            (subscription.updates, subscription.renew) = (false, None);
        }
        self.renewals.clear();
    }
}
