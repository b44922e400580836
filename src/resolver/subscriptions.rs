//! Subscriptions: pools that the application wants to be kept up to date (RFC 5352 §2.2.5).
//!
//! A request for such a pool carries the S bit. If the home grants it (A bit), it sends a list
//! whenever the pool changes, for as long as the channel lives. Where no word came for
//! `resolution.subscription_check` it is asked again all the same: a registrar that is gone without a word sends
//! no updates either (decision 44; a grant that holds for ever is the other reading). If it does not
//! grant it (real registrars never do), or sends an update without the A bit, the pool is asked for
//! again whenever its list has become stale. A new home knows nothing of the former one's subscribers
//! and is asked. A negative answer ends the subscription (§2.2.5: "no further updates"), and the
//! application hears of it.
//!
//! So that registrars are not asked in bursts (RFC 3237 §2.5), the time until a pool is asked for again
//! is shortened to 75–100 %, and what nobody waits for is sent in turn, no more than
//! `limits.max_requests_per_second` (decision 45).
//!
//! A subscription wants a home registrar, but does not wait for an announce where none is known: it
//! sleeps until there is one.

use alloc::collections::VecDeque;
use core::time::Duration;

use super::Resolver;
use crate::Instant;
use crate::context::Context;
use crate::error::{CommandError, ResolveError};
use crate::event::Entry;
use crate::ordered::Map;
use crate::timers::{Timers, jitter};
use crate::wire::PoolHandle;

/// The time over which requests are counted that nobody waits for.
const SECOND: Duration = Duration::from_secs(1);

/// All subscriptions.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) struct Subscriptions<W> {
    list: Map<PoolHandle, Subscription<W>>,
    /// When those without updates ask again.
    renewals: Timers<PoolHandle>,
    /// Those that a registrar ended, until the application has heard of it.
    ended: VecDeque<(PoolHandle, ResolveError)>,
    /// Whether a note of that is in the queue of events.
    noted: bool,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
struct Subscription<W> {
    /// Who waits for its requests.
    waiter: W,
    /// Whether the home has granted updates.
    updates: bool,
    /// Whether any registrar has listed the pool.
    listed: bool,
    /// When it is asked again.
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

    /// Every pool that is subscribed to, and whether the home sends updates of it.
    pub(crate) fn subscriptions(&self) -> impl Iterator<Item = (&PoolHandle, bool)> {
        let list = self.subscriptions.list.iter();
        list.map(|(handle, subscription)| (handle, subscription.updates))
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
        if list.len() + ended.len() >= ctx.config.limits.max_subscriptions {
            return Err(CommandError::TooManySubscriptions);
        }
        let new = Subscription { waiter, updates: false, listed: false, renew: None };
        list.insert(handle.clone(), new);
        match self.home {
            Some(_) => {
                self.subscriptions.ask_at(handle.as_bytes(), now);
                self.renew(now, ctx);
            }
            None => drop(self.join(now, ctx, handle, waiter)),
        }
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
        let Subscriptions { list, renewals, .. } = &mut self.subscriptions;
        for (handle, subscription) in list.iter_mut() {
            renewals.set(&mut subscription.renew, Some(now), handle.clone());
        }
        self.renew(now, ctx);
    }

    /// When a pool is asked for next that nobody waits for.
    pub(super) fn next_renewal(&self, ctx: &Context) -> Option<Instant> {
        let due = [self.subscriptions.renewals.next(), self.disputes.next_timeout()];
        let due = due.into_iter().flatten().min()?;
        Some(due.max(self.next_turn(ctx)))
    }

    /// When the next request may be sent that nobody waits for.
    fn next_turn(&self, ctx: &Context) -> Instant {
        let most = ctx.config.limits.max_requests_per_second as usize;
        let index = self.paced.len().checked_sub(most);
        let before = index.and_then(|index| self.paced.get(index));
        before.map_or(Instant::EPOCH, |at| *at + SECOND)
    }

    /// Pools that have become stale, and those that a young home did not know, are asked for again, in
    /// turn.
    pub(super) fn renew(&mut self, now: Instant, ctx: &mut Context) {
        while self.next_turn(ctx) <= now {
            let (handle, waiter) = match self.subscriptions.pop_due(now, ctx) {
                Some(due) => due,
                None => match self.disputes.pop_due(now) {
                    // The next asker asks for it; it is not worth a hunt.
                    Some(_) if self.home.is_none() => continue,
                    Some(due) => due,
                    None => break,
                },
            };
            if self.join(now, ctx, &handle, waiter) {
                while self.paced.front().is_some_and(|at| now.since(*at) >= SECOND) {
                    self.paced.pop_front();
                }
                self.paced.push_back(now);
            }
        }
    }

    /// Waits for a list: for that of a request under way too, which would otherwise end with those
    /// who asked for it. Says whether that took a request.
    fn join(&mut self, now: Instant, ctx: &mut Context, handle: &PoolHandle, waiter: W) -> bool {
        let query = self.queries.get(handle);
        if !query.is_some_and(|query| query.waiting.contains_key(&waiter)) {
            let asks = query.is_none();
            self.ask(now, ctx, handle, waiter);
            return asks;
        }
        false
    }

    /// Whether nobody waits for a request but the subscription.
    pub(super) fn waits_for_updates_only(&self, handle: &PoolHandle) -> bool {
        let subscription = self.subscriptions.list.get(handle);
        let query = self.queries.get(handle);
        subscription.zip(query).is_some_and(|(subscription, query)| {
            query.waiting.len() == 1 && query.waiting.contains_key(&subscription.waiter)
        })
    }

    /// Whether a registrar has listed a pool that is subscribed to.
    pub(crate) fn was_listed(&self, handle: &[u8]) -> bool {
        self.subscriptions.list.get(handle).is_some_and(|subscription| subscription.listed)
    }

    /// Whether the home tells of the changes of a pool, and was heard of it not too long ago.
    pub(crate) fn is_up_to_date(&self, now: Instant, handle: &[u8]) -> bool {
        let subscription = self.subscriptions.list.get(handle);
        subscription.is_some_and(|it| it.updates && it.renew.is_some_and(|at| at > now))
    }

    /// A list came that is of no use: a better one is asked for before the subscription is checked.
    pub(crate) fn hasten(&mut self, now: Instant, ctx: &mut Context, handle: &[u8]) {
        let at = renewal(now, ctx);
        self.subscriptions.ask_at(handle, at);
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
        (subscription.updates, subscription.listed) = (granted && asked, true);
        let waiter = subscription.waiter;
        if !asked {
            self.ask(now, ctx, &PoolHandle::from(handle), waiter);
        } else if granted {
            let check = now + jitter(&mut ctx.rng, ctx.config.resolution.subscription_check);
            self.subscriptions.ask_at(handle, check);
        } else {
            self.subscriptions.renew_later(now, ctx, handle);
        }
    }
}

impl<W> Subscriptions<W> {
    pub(super) const fn new() -> Self {
        Self { list: Map::new(), renewals: Timers::new(), ended: VecDeque::new(), noted: false }
    }

    pub(super) fn has(&self, handle: &[u8]) -> bool {
        self.list.contains_key(handle)
    }

    pub(super) fn has_updates(&self, handle: &[u8]) -> bool {
        self.list.get(handle).is_some_and(|subscription| subscription.updates)
    }

    /// Asks again at `at`; says whether the pool is subscribed to.
    pub(super) fn ask_at(&mut self, handle: &[u8], at: Instant) -> bool {
        let Some((handle, _)) = self.list.get_key_value(handle) else { return false };
        let handle = handle.clone();
        if let Some(subscription) = self.list.get_mut(&handle) {
            self.renewals.set(&mut subscription.renew, Some(at), handle);
        }
        true
    }

    /// A pool that is to be asked for now, and who waits for it. One whose updates are granted counts
    /// as up to date until the next check.
    fn pop_due(&mut self, now: Instant, ctx: &mut Context) -> Option<(PoolHandle, W)>
    where
        W: Copy,
    {
        while let Some(handle) = self.renewals.pop_due(now) {
            if let Some(subscription) = self.list.get_mut(&handle) {
                subscription.renew = None;
                let waiter = subscription.waiter;
                if subscription.updates {
                    let check =
                        now + jitter(&mut ctx.rng, ctx.config.resolution.subscription_check);
                    self.renewals.set(&mut subscription.renew, Some(check), handle.clone());
                }
                return Some((handle, waiter));
            }
        }
        None
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
    pub(super) fn renew_later(&mut self, now: Instant, ctx: &mut Context, handle: &[u8]) {
        if let Some(subscription) = self.list.get_mut(handle) {
            subscription.updates = false;
            let at = renewal(now, ctx);
            self.ask_at(handle, at);
        }
    }

    fn remove(&mut self, handle: &[u8]) -> Option<PoolHandle> {
        let (handle, mut gone) = self.list.remove_entry(handle)?;
        self.renewals.set(&mut gone.renew, None, handle.clone());
        Some(handle)
    }

    /// What was granted is void.
    fn lapse(&mut self) {
        for (_, subscription) in self.list.iter_mut() {
            (subscription.updates, subscription.renew) = (false, None);
        }
        self.renewals.clear();
    }
}

/// When a list that comes now has become stale.
fn renewal(now: Instant, ctx: &mut Context) -> Instant {
    let period = ctx.config.cache.stale_cache_value.max(ctx.config.resolution.resolution_interval);
    now + jitter(&mut ctx.rng, period)
}
