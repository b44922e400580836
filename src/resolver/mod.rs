//! Resolutions under way: one request per pool handle, however many wait for it (RFC 5352 §3.3,
//! §3.7).
//!
//! A request is sent to the home registrar as soon as there is one, and T1-ENRPrequest runs from
//! then (NR1–NR4). When T1 expires the request is sent again, and the home is doubted
//! (§3.7.2); after the first sending and MAX-REQUEST-RETRANSMIT repetitions everyone who waits
//! is told that there was no answer. A new home gets every request that is outstanding: T1 starts
//! anew there, and the repetitions are neither raised nor reset, so that registrars that come and
//! go cannot keep a request alive. Nor can anything else: each waiter has a deadline of its own,
//! counted from its asking.
//!
//! The same handle is asked for once in a `resolution.resolution_interval` at most, whoever wants it how often
//! and whatever came of it the last time (RFC 3237 §2.5): who asks earlier waits for the rest of
//! it.
//!
//! ```text
//!               home                  T1, repetitions left
//!    Waiting ─────────▶ Asked(n) ─────────────────────────▶ Asked(n+1)
//!    ▲  ▲    home lost    │ └── T1, none left, or deadline ──▶ failed
//!    │  └─────────────────┘ └── answer ──▶ done
//!    └── Pausing: the same was asked for a moment ago
//! ```
//!
//! A registrar that does not know the parameter for the number of elements wanted (0x803f) and says
//! so gets the requests again without it; that is a change of the [`Route`] to it.

mod disputes;
mod subscriptions;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;

use bytes::Bytes;

use self::disputes::Disputes;
use self::subscriptions::Subscriptions;
use crate::Instant;
use crate::context::Context;
use crate::error::ResolveError;
#[cfg(test)]
use crate::explorer::ahead;
use crate::id::ChannelId;
use crate::journal::NoteKind;
use crate::ordered::Map;
use crate::recent::Recent;
use crate::timers::{TimerKind, Timers};
use crate::wire::{self, PoolHandle};

/// The resolver machine; `W` is what a waiter is known by.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Resolver<W> {
    queries: Map<PoolHandle, Query<W>>,
    home: Option<Route>,
    /// T1-ENRPrequest of each query that was sent, the end of the pause of each that must not be
    /// yet.
    t1: Timers<PoolHandle>,
    /// The deadline of each query's longest waiter.
    deadlines: Timers<PoolHandle>,
    /// What was asked for a moment ago.
    recent: Recent<PoolHandle>,
    subscriptions: Subscriptions<W>,
    disputes: Disputes<W>,
    /// When the last requests were sent that nobody waited for, as many as may be in a second.
    paced: VecDeque<Instant>,
    /// Since when the home owes an answer to a request that nobody waits for any more.
    overdue: Option<Instant>,
    /// Whether a request to the home has ended without an answer.
    abandoned: bool,
    /// Whether T1 has expired.
    late: bool,
    needs: VecDeque<Need<W>>,
    /// The request last encoded, to be reused.
    buffer: Vec<u8>,
}

/// What the resolver needs of the other machines.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(crate) enum Need<W> {
    /// Another registrar beside the home, which has not answered in time (§3.7.2).
    Doubt,
    /// The same as soon as a request waits: the home has left an earlier one unanswered.
    Suspect,
    /// The waiter to be told that its query failed.
    Fail { waiter: W, handle: PoolHandle, error: ResolveError },
}

/// One outstanding resolution.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Query<W> {
    /// In the order of asking, which is the order of the deadlines too; those who wait no longer
    /// among them, and who left and came back stands there twice.
    waiters: VecDeque<(W, Instant)>,
    /// Those who wait, and until when.
    waiting: Map<W, Instant>,
    state: State,
    t1: Option<Instant>,
    /// When T1 was to expire, also after it was stopped.
    t1_at: Option<Instant>,
    deadline: Option<Instant>,
    /// What was sent last.
    request: Bytes,
}

/// How far a query is: what it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) enum State {
    /// For its turn.
    Pausing,
    /// For a home registrar; sent this often to former ones.
    Waiting { sendings: u32 },
    /// For an answer on this channel, after so many sendings, the last one with or without the S
    /// bit.
    Asked { on: ChannelId, sendings: u32, subscribing: bool },
}

/// The way to the home registrar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) struct Route {
    pub(crate) channel: ChannelId,
    /// How many elements it is to list, if it understands that.
    pub(crate) wanted: Option<u32>,
}

impl<W: Copy + Ord> Resolver<W> {
    pub(crate) const fn new() -> Self {
        Self {
            queries: Map::new(),
            home: None,
            t1: Timers::new(),
            deadlines: Timers::new(),
            recent: Recent::new(),
            subscriptions: Subscriptions::new(),
            disputes: Disputes::new(),
            paced: VecDeque::new(),
            overdue: None,
            abandoned: false,
            late: false,
            needs: VecDeque::new(),
            buffer: Vec::new(),
        }
    }

    /// Whether anyone waits for an answer, and so for a registrar.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.queries.is_empty()
    }

    pub(crate) fn next_timeout(&self, ctx: &Context) -> Option<(Instant, TimerKind)> {
        let of_each = [
            self.t1.next().map(|at| (at, TimerKind::Request)),
            self.deadlines.next().map(|at| (at, TimerKind::RequestDeadline)),
            self.next_renewal(ctx).map(|at| (at, TimerKind::Subscription)),
        ];
        of_each.into_iter().flatten().min()
    }

    /// What it needs next of the other machines.
    pub(crate) fn poll_need(&mut self) -> Option<Need<W>> {
        let late = mem::take(&mut self.late).then_some(Need::Doubt);
        late.or_else(|| self.needs.pop_front())
    }

    /// Whether `handle` is being resolved.
    pub(crate) fn is_asked(&self, handle: &PoolHandle) -> bool {
        self.queries.contains_key(handle)
    }

    /// Adds a waiter; asks the home if nobody has asked yet.
    pub(crate) fn ask(&mut self, now: Instant, ctx: &mut Context, handle: &PoolHandle, waiter: W) {
        let deadline = now + ctx.config.resolution.request_deadline;
        if self.overdue.take_if(|at| *at <= now).is_some() {
            self.needs.push_back(Need::Suspect);
        }
        if let Some(query) = self.queries.get_mut(handle) {
            if !query.waiting.contains_key(&waiter) {
                query.waiting.insert(waiter, deadline);
                query.waiters.push_back((waiter, deadline));
            }
            return;
        }
        let mut waiting = Map::new();
        waiting.insert(waiter, deadline);
        let mut query = Query {
            waiters: VecDeque::from([(waiter, deadline)]),
            waiting,
            state: State::Waiting { sendings: 0 },
            t1: None,
            t1_at: None,
            deadline: None,
            request: Bytes::new(),
        };
        if let Some(turn) = self.recent.until(now, handle) {
            query.state = State::Pausing;
            self.t1.set(&mut query.t1, Some(turn), handle.clone());
            ctx.stats.requests_paused += 1;
            ctx.note(|| NoteKind::RequestPaused { handle: handle.clone(), until: turn });
        }
        self.deadlines.set(&mut query.deadline, Some(deadline), handle.clone());
        self.queries.insert(handle.clone(), query);
        self.send(now, ctx, handle);
    }

    /// Removes a waiter, and says whether it waited; a query without any is dropped, and an answer
    /// to it is then nobody's.
    pub(crate) fn cancel(&mut self, handle: &PoolHandle, waiter: &W) -> bool {
        let Some(query) = self.queries.get_mut(handle) else { return false };
        if query.waiting.remove(waiter).is_none() {
            return false;
        }
        let Query { waiters, waiting, .. } = query;
        if waiters.len() > 2 * waiting.len() + 16 {
            waiters.retain(|waiter| waits(waiting, waiter));
        }
        self.rearm(handle);
        true
    }

    /// Anything came from the home that could be an answer.
    pub(crate) const fn heard(&mut self) {
        self.overdue = None;
    }

    /// Whether a request to the home has ended without an answer, whoever ended it; told once.
    pub(crate) const fn take_abandoned(&mut self) -> bool {
        mem::replace(&mut self.abandoned, false)
    }

    /// Says which way leads to the home registrar, if any.
    pub(crate) fn set_home(&mut self, now: Instant, ctx: &mut Context, home: Option<Route>) {
        let former = mem::replace(&mut self.home, home);
        if former == home {
            return;
        }
        let is_new = former.map(|route| route.channel) != home.map(|route| route.channel);
        let handles: Vec<_> = self.queries.keys().cloned().collect();
        for handle in handles {
            match home {
                // It is subscribed to below, in its turn.
                Some(_) if is_new && self.waits_for_updates_only(&handle) => {
                    self.take(handle.as_bytes());
                }
                Some(_) => self.send(now, ctx, &handle),
                None => self.unsend(&handle),
            }
        }
        if is_new {
            (self.overdue, self.abandoned) = (None, false);
            self.resubscribe(now, ctx);
        }
    }

    /// Whether a request for `handle` on `channel` is unanswered.
    pub(crate) fn is_unanswered(&self, handle: &[u8], channel: ChannelId) -> bool {
        let state = self.queries.get(handle).map(|query| query.state);
        matches!(state, Some(State::Asked { on, .. }) if on == channel)
    }

    /// Whether a list for `handle` on `channel` was asked for: by a request, or by a subscription
    /// that the home has granted (RES-4, RES-10, RES-11).
    pub(crate) fn expects(&self, handle: &[u8], channel: ChannelId) -> bool {
        let is_home = self.home.is_some_and(|home| home.channel == channel);
        let is_update = || is_home && self.subscriptions.has_updates(handle);
        self.is_unanswered(handle, channel) || is_update()
    }

    /// A list came, with the A bit or without, asked for or as an update: everyone who waited for it.
    pub(crate) fn finish(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        handle: &[u8],
        granted: bool,
    ) -> impl Iterator<Item = W> + use<W> {
        let query = self.take(handle);
        let asked = match query {
            Some(Query { state: State::Asked { subscribing, .. }, .. }) => subscribing,
            _ => true,
        };
        self.disputes.end(handle);
        self.answer_subscription(now, ctx, handle, (asked, granted));
        waiters(query)
    }

    /// The home, which is one since `since`, does not know a pool that was known, and that is not
    /// believed yet: everyone who waited. The pool is asked for again; `None` if it is believed.
    pub(crate) fn dispute(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        handle: &[u8],
        since: Instant,
        waiter: W,
    ) -> Option<impl Iterator<Item = W> + use<W>> {
        let again = self.disputes.add(now, ctx, handle, since, waiter)?;
        ctx.note(|| NoteKind::PoolDisputed { handle: handle.into(), again });
        if !self.subscriptions.ask_at(handle, again) {
            self.disputes.ask_at(handle, again);
        }
        Some(waiters(self.take(handle)))
    }

    /// A refusal came: everyone who waited. It ends a subscription too (§2.2.5).
    pub(crate) fn refuse(
        &mut self,
        ctx: &mut Context,
        handle: &[u8],
        error: &ResolveError,
    ) -> impl Iterator<Item = W> + use<W> {
        self.disputes.end(handle);
        self.subscriptions.end(ctx, handle, error);
        waiters(self.take(handle))
    }

    /// Tells waiters that there will be no answer, those that `which` picks.
    pub(crate) fn fail(
        &mut self,
        ctx: &mut Context,
        error: &ResolveError,
        which: impl Fn(&W) -> bool,
    ) {
        let handles: Vec<_> = self.queries.keys().cloned().collect();
        for handle in handles {
            self.fail_query(ctx, &handle, error, &which);
        }
    }

    /// Something is due. A request that reached no registrar in time fails with `unreached`.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        unreached: &ResolveError,
    ) {
        while let Some(handle) = self.t1.pop_due(now) {
            self.late |= self.repeat(now, ctx, &handle);
        }
        while let Some(handle) = self.deadlines.pop_due(now) {
            self.expire(now, ctx, &handle, unreached);
        }
        self.renew(now, ctx);
    }

    /// The pause is over, or T1 expired: sends once more, or gives up. Says whether it was T1.
    fn repeat(&mut self, now: Instant, ctx: &mut Context, handle: &PoolHandle) -> bool {
        let Some(query) = self.queries.get_mut(handle) else { return false };
        query.t1 = None;
        let State::Asked { sendings, .. } = query.state else {
            query.state = State::Waiting { sendings: 0 };
            self.send(now, ctx, handle);
            return false;
        };
        if sendings > ctx.config.resolution.max_request_retransmit {
            self.fail_query(ctx, handle, &ResolveError::NotAnswered, |_| true);
            self.subscriptions.renew_later(now, ctx, handle.as_bytes());
        } else {
            let sent = self.transmit(now, ctx, handle, sendings.saturating_add(1));
            if let Some(channel) = sent {
                ctx.stats.requests_repeated += 1;
                let of = ctx.config.resolution.max_request_retransmit;
                ctx.note(|| NoteKind::RequestRepeated {
                    handle: handle.clone(),
                    channel,
                    repetition: sendings,
                    of,
                });
            }
        }
        true
    }

    /// Tells the waiters whose time is up.
    fn expire(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        handle: &PoolHandle,
        unreached: &ResolveError,
    ) {
        let Some(query) = self.queries.get_mut(handle) else { return };
        query.deadline = None;
        let error = match query.state {
            State::Pausing | State::Waiting { sendings: 0 } => unreached,
            _ => &ResolveError::NotAnswered,
        };
        let mut failed = 0;
        while query.waiters.front().is_some_and(|(_, at)| *at <= now) {
            let Some(waiter) = query.waiters.pop_front() else { break };
            if waits(&query.waiting, &waiter) {
                let (waiter, _) = waiter;
                query.waiting.remove(&waiter);
                let (handle, error) = (handle.clone(), error.clone());
                self.needs.push_back(Need::Fail { waiter, handle, error });
                failed += 1;
            }
        }
        note_failure(ctx, handle, error, failed);
        self.rearm(handle);
        if self.home.is_some() && !self.is_asked(handle) {
            self.subscriptions.renew_later(now, ctx, handle.as_bytes());
        }
    }

    /// Sends the request to the home, if there is one: for the first time, or because it is another
    /// one.
    fn send(&mut self, now: Instant, ctx: &mut Context, handle: &PoolHandle) {
        let (Some(_), Some(query)) = (self.home, self.queries.get(handle)) else { return };
        let sendings = match query.state {
            State::Pausing => return,
            State::Waiting { sendings } | State::Asked { sendings, .. } => sendings,
        };
        let Some(channel) = self.transmit(now, ctx, handle, sendings.max(1)) else { return };
        if sendings == 0 {
            ctx.stats.requests_sent += 1;
            ctx.note(|| NoteKind::RequestSent { handle: handle.clone(), channel });
        } else {
            ctx.stats.requests_moved += 1;
            ctx.note(|| NoteKind::RequestMoved { handle: handle.clone(), channel });
        }
    }

    /// Sends the request for the `sendings`th time, which counts whether or not the driver has left
    /// room for it; says on which channel if it has.
    fn transmit(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        handle: &PoolHandle,
        sendings: u32,
    ) -> Option<ChannelId> {
        let home = self.home?;
        let query = self.queries.get_mut(handle)?;
        let Route { channel: on, wanted } = home;
        let subscribing = self.subscriptions.has(handle.as_bytes());
        query.state = State::Asked { on, sendings, subscribing };
        query.t1_at = Some(now + ctx.config.resolution.t1_request);
        self.t1.set(&mut query.t1, query.t1_at, handle.clone());
        let turn = now + ctx.config.resolution.resolution_interval;
        self.recent.remember(now, turn, ctx.config.limits.max_requests, handle.clone());
        self.buffer.clear();
        let encoded = wire::encode_handle_resolution(
            &mut self.buffer,
            handle.as_bytes(),
            subscribing,
            wanted,
        );
        // A handle that was let in fits into a message: its length is bounded by the configuration,
        // and what is too long after all is never answered and fails at its deadline.
        if encoded.is_err() {
            return None;
        }
        if query.request != self.buffer {
            query.request = Bytes::copy_from_slice(&self.buffer);
        }
        ctx.send_control(on, query.request.clone()).then_some(on)
    }

    /// The home is gone: the query waits for another one.
    fn unsend(&mut self, handle: &PoolHandle) {
        let Some(query) = self.queries.get_mut(handle) else { return };
        if let State::Asked { sendings, .. } = query.state {
            query.state = State::Waiting { sendings };
            self.t1.set(&mut query.t1, None, handle.clone());
        }
    }

    fn fail_query(
        &mut self,
        ctx: &mut Context,
        handle: &PoolHandle,
        error: &ResolveError,
        which: impl Fn(&W) -> bool,
    ) {
        let Some(query) = self.queries.get_mut(handle) else { return };
        let Query { waiters, waiting, .. } = query;
        let (needs, mut failed) = (&mut self.needs, 0);
        waiters.retain(|&(waiter, at)| {
            let waits = waits(waiting, &(waiter, at));
            if waits && which(&waiter) {
                let (handle, error) = (handle.clone(), error.clone());
                needs.push_back(Need::Fail { waiter, handle, error });
                waiting.remove(&waiter);
                failed += 1;
                return false;
            }
            waits
        });
        note_failure(ctx, handle, error, failed);
        self.rearm(handle);
    }

    /// Sets a query's deadline to that of its longest waiter; a query without any is dropped.
    fn rearm(&mut self, handle: &PoolHandle) {
        let Some(query) = self.queries.get_mut(handle) else { return };
        let Query { waiters, waiting, .. } = query;
        while waiters.front().is_some_and(|waiter| !waits(waiting, waiter)) {
            waiters.pop_front();
        }
        match query.waiters.front().map(|(_, at)| *at) {
            Some(at) => self.deadlines.set(&mut query.deadline, Some(at), handle.clone()),
            None => {
                let dropped = self.take(handle.as_bytes());
                if let Some(Query { state: State::Asked { .. }, t1_at: Some(at), .. }) = dropped {
                    self.overdue = Some(self.overdue.map_or(at, |other| other.min(at)));
                    self.abandoned = true;
                }
            }
        }
    }

    fn take(&mut self, handle: &[u8]) -> Option<Query<W>> {
        let (handle, mut query) = self.queries.remove_entry(handle)?;
        self.t1.set(&mut query.t1, None, handle.clone());
        self.deadlines.set(&mut query.deadline, None, handle);
        Some(query)
    }
}

/// So many who waited for a request hear that it failed.
fn note_failure(ctx: &mut Context, handle: &PoolHandle, error: &ResolveError, waiters: usize) {
    ctx.stats.requests_failed += waiters as u64;
    if waiters > 0 {
        ctx.note(|| NoteKind::RequestFailed { handle: handle.clone(), error: error.clone() });
    }
}

/// Whether this is the wait that a waiter is in, and not one that it gave up.
fn waits<W: Ord>(waiting: &Map<W, Instant>, (waiter, until): &(W, Instant)) -> bool {
    waiting.get(waiter) == Some(until)
}

fn waiters<W: Ord>(query: Option<Query<W>>) -> impl Iterator<Item = W> {
    let both = query.map(|query| (query.waiters, query.waiting));
    let (waiters, waiting) = both.unwrap_or_default();
    waiters.into_iter().filter(move |waiter| waits(&waiting, waiter)).map(|(waiter, _)| waiter)
}

/// In the explorer's fingerprints: of times that matter only when they have come, whether they have.
#[cfg(test)]
impl<W: core::hash::Hash> core::hash::Hash for Resolver<W> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        let Self { queries, home, t1, deadlines, recent, subscriptions, needs, .. } = self;
        (queries, home, t1, deadlines, recent, subscriptions, needs).hash(state);
        let Self { disputes, paced, overdue, abandoned, late, .. } = self;
        (disputes, paced, overdue.map(ahead), abandoned, late).hash(state);
    }
}

#[cfg(test)]
impl<W: core::hash::Hash> core::hash::Hash for Query<W> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        let Self { waiters, waiting, state: step, t1, deadline, request, .. } = self;
        (waiters, waiting, step, t1, deadline, request, self.t1_at.map(ahead)).hash(state);
    }
}
