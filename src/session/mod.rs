//! Sessions: a pool used as if it were one server (RFC 5352 §3.8, §6.5; RFC 5351 §4.2).
//!
//! A session is opened on a pool handle. It has the pool resolved, selects an element by the pool's policy, asks for a channel
//! to it, and sends what the application has queued meanwhile (§6.5.1). When the element fails — its channel does not
//! come up in time, breaks, or the application says so — the element is marked and reported, another one is selected
//! without those that failed, and the session goes on there:
//!
//! ```text
//!          resolved          came up
//! Resolving ─────▶ Connecting ─────▶ Up ──┐
//!   ▲  ▲               │ ▲ └──────┐       │ lost: mark, report,
//!   │  │ pool pinned   │ │ failed:│       │ select another
//!   │  └───────────────│─┘ the    │       │
//!   │ pause over       │   next ◀─┴───────┘
//!   └──────── Pausing ◀┘ every element was tried           any state ──▶ Over: closed, or no element left
//! ```
//!
//! Where a *control channel* exists, that is, where control messages can be told from data, the element may send cookies.
//! The latest one is kept and is the first thing that the next element hears, as ASAP_COOKIE_ECHO, so that it can restore
//! the state that the former one had (§3.8). Then the application hears of the failover; data flows once it has (RFC 5355
//! §2.9).
//!
//! The search for an element is bounded: by a number of attempts, by a deadline, and by pauses that grow once every element
//! was tried; after a pause the pool is resolved anew. When the search fails the session is over, and every message
//! that was not delivered is given back, in order.

mod notice;
mod options;
mod outbox;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use self::notice::Heard;
pub use self::options::{Failover, SendOptions, SessionOptions};
use self::outbox::Outbox;
use crate::cache::Cache;
use crate::channel::{ChannelUser, Payload};
use crate::context::Context;
use crate::error::{CommandError, ResolveError, SendError, SendErrorReason, SessionError};
use crate::id::{ChannelId, MessageId, PoolId, SessionId};
use crate::slab::Slab;
use crate::timers::{Timers, jitter};
use crate::wire::{self, BodyRef, PeIdentifier, PoolHandle, Protocol, TransportRef, TransportUse};
use crate::{Instant, Security};

/// The session machine.
#[derive(Debug)]
pub(crate) struct Sessions {
    slab: Slab<Session>,
    timers: Timers<SessionId>,
    needs: VecDeque<Need>,
    /// Sessions that have handed over their last message and are to close.
    drained: Vec<SessionId>,
    /// How many are not over.
    live: usize,
    buffer: Vec<u8>,
}

/// What a session needs of the other machines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The elements of its pool; `anew` also if the cache has them.
    Resolve { session: SessionId, handle: PoolHandle, anew: bool },
    /// No longer the elements of its pool.
    Forget { session: SessionId, handle: PoolHandle },
    /// An element failed, as an event of its own.
    Report { handle: PoolHandle, identifier: PeIdentifier },
}

#[derive(Debug)]
struct Session {
    handle: PoolHandle,
    options: SessionOptions,
    state: State,
    /// The pool, pinned.
    pool: Option<PoolId>,
    /// The element that is connected to, or used.
    element: Option<PeIdentifier>,
    /// Whether the channel to it carries control messages.
    control: bool,
    gate: Gate,
    outbox: Outbox,
    cookie: Option<Bytes>,
    search: Search,
    timer: Option<Instant>,
    /// Set once it is closing: when it is over even if not everything was handed over.
    draining: Option<Instant>,
    heard: Heard,
}

/// Where a session stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Waits for the elements of its pool.
    Resolving,
    /// Waits for a channel to come up.
    Connecting(ChannelId),
    /// Every element was tried: waits before it begins again.
    Pausing,
    /// Has a channel.
    Up(ChannelId),
    /// Has ended; the application has not read that yet.
    Over(Option<SessionError>),
}

/// Whether data may flow to the element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    /// Not before the application has read that there was a failover.
    Untold,
    /// Not before the application says so.
    Held,
}

/// The search for an element: from the loss of the former one until the next one is up.
#[derive(Debug)]
struct Search {
    /// The elements tried in this round over the pool.
    tried: Vec<PeIdentifier>,
    attempts: u32,
    rounds: u32,
    /// When it is given up.
    until: Option<Instant>,
    /// When the attempt, or the pause, is over.
    step: Option<Instant>,
}

impl Sessions {
    pub(crate) const fn new() -> Self {
        Self {
            slab: Slab::new(),
            timers: Timers::new(),
            needs: VecDeque::new(),
            drained: Vec::new(),
            live: 0,
            buffer: Vec::new(),
        }
    }

    /// How many sessions are not over.
    pub(crate) const fn live(&self) -> usize {
        self.live
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// What a session needs next of the other machines.
    pub(crate) fn poll_need(&mut self) -> Option<Need> {
        self.needs.pop_front()
    }

    /// The element that a session uses, if it is connected.
    pub(crate) fn element(&self, id: SessionId) -> Option<PeIdentifier> {
        let session = self.slab.get(id.0)?;
        session.element.filter(|_| matches!(session.state, State::Up(_)))
    }

    /// How many messages of a session wait to be handed over.
    pub(crate) fn queued(&self, id: SessionId) -> Option<usize> {
        self.slab.get(id.0).map(|session| session.outbox.len())
    }

    /// The latest cookie of a session.
    pub(crate) fn cookie(&self, id: SessionId) -> Option<&Bytes> {
        self.slab.get(id.0)?.cookie.as_ref()
    }

    pub(crate) fn open(
        &mut self,
        now: Instant,
        ctx: &Context,
        handle: PoolHandle,
        options: SessionOptions,
    ) -> Result<SessionId, CommandError> {
        if self.slab.len() >= ctx.config.max_sessions {
            return Err(CommandError::TooManySessions);
        }
        let id = SessionId(self.slab.insert(Session {
            handle,
            options,
            state: State::Resolving,
            pool: None,
            element: None,
            control: false,
            gate: Gate::Open,
            outbox: Outbox::default(),
            cookie: None,
            search: Search::begin(now, ctx),
            timer: None,
            draining: None,
            heard: Heard::default(),
        }));
        self.live += 1;
        self.resolve(id, false);
        Ok(id)
    }

    /// Queues a message.
    pub(crate) fn send(
        &mut self,
        ctx: &mut Context,
        id: SessionId,
        data: Bytes,
        options: SendOptions,
    ) -> Result<MessageId, SendError> {
        let Some(session) = self.slab.get_mut(id.0) else {
            return Err(SendError { reason: SendErrorReason::UnknownSession, data });
        };
        if session.draining.is_some() || matches!(session.state, State::Over(_)) {
            return Err(SendError { reason: SendErrorReason::Closing, data });
        }
        let pushed = session.outbox.push(&ctx.config, data, options);
        let queued =
            pushed.map_err(|data| SendError { reason: SendErrorReason::QueueFull, data })?;
        if let State::Up(channel) = session.state {
            ctx.channels.touch(channel);
        }
        Ok(queued)
    }

    /// Hands over the next message, at the moment when the driver asks for it.
    pub(crate) fn pull(&mut self, stats: &mut crate::Stats, id: SessionId) -> Option<Payload> {
        let session = self.slab.get_mut(id.0)?;
        if !matches!(session.state, State::Up(_)) || session.gate != Gate::Open {
            return None;
        }
        let (payload, again) = session.outbox.pull()?;
        if session.draining.is_some() && session.outbox.is_empty() {
            self.drained.push(id);
        }
        stats.messages_sent += 1;
        stats.messages_resent += u64::from(again);
        Some(payload)
    }

    /// Closes the sessions that have handed over their last message.
    pub(crate) fn end_drained(&mut self, ctx: &mut Context, cache: &mut Cache) {
        while let Some(id) = self.drained.pop() {
            self.end(ctx, cache, id, None);
        }
    }

    /// A message was delivered; says whether it was waited for.
    pub(crate) fn delivered(&mut self, id: SessionId, message: MessageId) -> bool {
        self.slab.get_mut(id.0).is_some_and(|session| session.outbox.delivered(message))
    }

    /// Lets data flow that was held back after a failover.
    pub(crate) fn resume(&mut self, ctx: &mut Context, id: SessionId) -> Result<(), CommandError> {
        let session = self.slab.get_mut(id.0).ok_or(CommandError::UnknownSession)?;
        let State::Up(channel) = session.state else { return Err(CommandError::NotConnected) };
        if session.gate == Gate::Held {
            session.gate = Gate::Open;
            ctx.channels.touch(channel);
        }
        Ok(())
    }

    /// The application's word that the element of a session has failed.
    pub(crate) fn give_up(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
    ) -> Result<(), CommandError> {
        let session = self.slab.get(id.0).ok_or(CommandError::UnknownSession)?;
        let channel = session.channel().ok_or(CommandError::NotConnected)?;
        ctx.channels.close(channel);
        self.lost(now, ctx, cache, id);
        Ok(())
    }

    /// Ends a session once everything queued was handed over.
    pub(crate) fn close(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
    ) -> Result<(), CommandError> {
        let session = self.slab.get_mut(id.0).ok_or(CommandError::UnknownSession)?;
        if session.draining.is_some() || matches!(session.state, State::Over(_)) {
            return Err(CommandError::Closing);
        }
        session.draining = Some(now + ctx.config.session_deadline);
        session.rearm(&mut self.timers, id);
        if session.outbox.is_empty() {
            self.end(ctx, cache, id, None);
        }
        Ok(())
    }

    /// Ends a session at once; what was not delivered comes back here.
    pub(crate) fn abort(
        &mut self,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
    ) -> Result<Vec<(MessageId, Bytes)>, CommandError> {
        if self.slab.get(id.0).is_none() {
            return Err(CommandError::UnknownSession);
        }
        self.end(ctx, cache, id, None);
        let mut session = self.slab.remove(id.0).ok_or(CommandError::UnknownSession)?;
        session.outbox.give_back();
        let returned: Vec<_> = core::iter::from_fn(|| session.outbox.pop_returned()).collect();
        ctx.stats.messages_undelivered += returned.len() as u64;
        Ok(returned)
    }

    /// Every session there is.
    pub(crate) fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.slab.iter().map(|(key, _)| SessionId(key))
    }

    /// The pool of a session was resolved.
    pub(crate) fn resolved(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
        pool: PoolId,
    ) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        if session.state != State::Resolving {
            return;
        }
        if session.pool != Some(pool) {
            cache.pin(pool);
            if let Some(former) = session.pool.replace(pool) {
                cache.unpin(former);
            }
        }
        self.connect(now, ctx, cache, id);
    }

    /// The pool of a session could not be resolved; one that has a list from before goes on with it (CACHE-8).
    pub(crate) fn unresolved(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
        error: ResolveError,
    ) {
        match self.slab.get(id.0) {
            Some(Session { state: State::Resolving, pool: Some(_), .. }) => {
                self.connect(now, ctx, cache, id);
            }
            Some(Session { state: State::Resolving, .. }) => {
                self.end(ctx, cache, id, Some(SessionError::Unresolved(error)));
            }
            _ => {}
        }
    }

    /// The driver's word that the channel of a session is up.
    pub(crate) fn opened(
        &mut self,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
        channel: ChannelId,
    ) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        if session.state != State::Connecting(channel) {
            return;
        }
        session.state = State::Up(channel);
        if let (Some(pool), Some(element)) = (session.pool, session.element) {
            if let Some(pool) = cache.get_mut(pool) {
                pool.unmark(element);
            }
        }
        let failover = session.heard.ups > 0;
        session.heard.ups = session.heard.ups.wrapping_add(1);
        session.gate = if failover { Gate::Untold } else { Gate::Open };
        ctx.stats.failovers += u64::from(failover);
        (session.search.until, session.search.step) = (None, None);
        session.rearm(&mut self.timers, id);
        session.heard.cookie_echoed = false;
        if let Some(cookie) = session.cookie.as_ref().filter(|_| session.control) {
            self.buffer.clear();
            // A cookie that was stored came in a message of the same size.
            if wire::encode_cookie_echo(&mut self.buffer, cookie).is_ok() {
                ctx.send_control(channel, Bytes::copy_from_slice(&self.buffer));
                session.heard.cookie_echoed = true;
            }
        }
        session.note(ctx, id);
    }

    /// The channel of a session is no more, or did not come up in time.
    pub(crate) fn lost(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
    ) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        let Some(element) = session.element else { return };
        if let Some(pool) = session.pool.and_then(|pool| cache.get_mut(pool)) {
            if pool.mark(now, ctx, element) {
                let handle = session.handle.clone();
                self.needs.push_back(Need::Report { handle, identifier: element });
            }
        }
        session.outbox.element_lost();
        if session.draining.is_some() && session.outbox.is_empty() {
            self.end(ctx, cache, id, None);
            return;
        }
        if matches!(session.state, State::Up(_)) {
            session.search = Search::begin(now, ctx);
            session.search.tried.push(element);
        }
        session.note(ctx, id);
        self.connect(now, ctx, cache, id);
    }

    /// Data came from the element of a session.
    pub(crate) fn received(&mut self, ctx: &mut Context, id: SessionId, data: &[u8]) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        let Some(element) = session.element else { return };
        if ctx.events.push_received(id, element, data, ctx.config.max_unread_bytes) {
            ctx.stats.messages_received += 1;
        } else {
            ctx.stats.messages_dropped += 1;
            session.heard.dropped += 1;
            session.note(ctx, id);
        }
    }

    /// A control message came from the element of a session.
    pub(crate) fn control(&mut self, ctx: &mut Context, id: SessionId, body: &BodyRef<'_>) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        match body {
            _ if !session.control => ctx.stats.unexpected_messages += 1,
            BodyRef::Cookie { cookie, .. } if cookie.len() <= ctx.config.max_cookie_len => {
                ctx.stats.cookies += 1;
                session.cookie = Some(Bytes::copy_from_slice(cookie));
            }
            BodyRef::Cookie { .. } => {
                ctx.stats.cookies_too_long += 1;
                session.cookie = None;
                session.heard.cookie_too_long = true;
                session.note(ctx, id);
            }
            _ => ctx.stats.unexpected_messages += 1,
        }
    }

    /// Whether control messages may be exchanged with the element of a session.
    pub(crate) fn has_control(&self, id: SessionId) -> bool {
        self.slab.get(id.0).is_some_and(|session| session.control)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, ctx: &mut Context, cache: &mut Cache) {
        while let Some(id) = self.timers.pop_due(now) {
            let Some(session) = self.slab.get_mut(id.0) else { continue };
            session.timer = None;
            if session.search.until.into_iter().chain(session.draining).any(|at| at <= now) {
                self.end(ctx, cache, id, Some(SessionError::DeadlineReached));
                continue;
            }
            match session.state {
                State::Connecting(channel) => {
                    ctx.channels.close(channel);
                    self.lost(now, ctx, cache, id);
                }
                State::Pausing => {
                    session.state = State::Resolving;
                    session.search.step = None;
                    self.resolve(id, true);
                }
                _ => {}
            }
        }
    }

    fn resolve(&mut self, id: SessionId, anew: bool) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        session.rearm(&mut self.timers, id);
        let handle = session.handle.clone();
        self.needs.push_back(Need::Resolve { session: id, handle, anew });
    }

    /// Goes to the next element.
    fn connect(&mut self, now: Instant, ctx: &mut Context, cache: &mut Cache, id: SessionId) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        let Some(pool) = session.pool.and_then(|pool| cache.get_mut(pool)) else { return };
        let search = &mut session.search;
        if search.attempts >= ctx.config.max_attempts {
            self.end(ctx, cache, id, Some(SessionError::AllElementsFailed));
            return;
        }
        session.element = pool.select(now, &mut ctx.rng, &search.tried);
        let transport =
            session.element.and_then(|id| pool.element(id)).map(|element| element.transport());
        match (session.element, transport) {
            (Some(element), Some(transport)) => {
                search.attempts += 1;
                search.tried.push(element);
                search.step = Some(now + ctx.config.connect_timeout);
                session.control = is_control(ctx, transport);
                let user = ChannelUser::Session(id);
                let to = transport.to_owned();
                session.state = State::Connecting(ctx.channels.open(user, to, Security::None));
            }
            _ if search.tried.is_empty() => {
                self.end(ctx, cache, id, Some(SessionError::NoUsableElement));
                return;
            }
            _ => {
                search.tried.clear();
                let pause =
                    ctx.config.session_backoff * 2_u32.saturating_pow(search.rounds.min(16));
                search.rounds += 1;
                search.step = Some(now + jitter(&mut ctx.rng, pause));
                session.state = State::Pausing;
            }
        }
        session.rearm(&mut self.timers, id);
    }

    /// The session is over.
    fn end(
        &mut self,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
        error: Option<SessionError>,
    ) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        if matches!(session.state, State::Over(_)) {
            return;
        }
        if let Some(channel) = session.channel() {
            ctx.channels.close(channel);
        }
        if session.state == State::Resolving {
            let handle = session.handle.clone();
            self.needs.push_back(Need::Forget { session: id, handle });
        }
        if let Some(pool) = session.pool.take() {
            cache.unpin(pool);
        }
        self.timers.set(&mut session.timer, None, id);
        if error.is_some() {
            session.outbox.give_back();
        }
        session.state = State::Over(error);
        self.live -= 1;
        session.note(ctx, id);
    }
}

impl Session {
    /// The channel that is up or being set up.
    fn channel(&self) -> Option<ChannelId> {
        match self.state {
            State::Connecting(channel) | State::Up(channel) => Some(channel),
            _ => None,
        }
    }

    /// Sets the timer to what comes first: the end of the step, of the search, or of the closing.
    fn rearm(&mut self, timers: &mut Timers<SessionId>, id: SessionId) {
        let Search { step, until, .. } = self.search;
        timers.set(&mut self.timer, [step, until, self.draining].into_iter().flatten().min(), id);
    }
}

impl Search {
    fn begin(now: Instant, ctx: &Context) -> Self {
        let until = Some(now + ctx.config.session_deadline);
        Self { tried: Vec::new(), attempts: 0, rounds: 0, until, step: None }
    }
}

/// Whether control messages can be told from data on a transport (SESSION-6): SCTP where the element says so, others
/// where the driver does.
fn is_control(ctx: &Context, transport: TransportRef<'_>) -> bool {
    match transport.protocol() {
        Protocol::Sctp => transport.transport_use() == TransportUse::DATA_PLUS_CONTROL,
        other => ctx.config.control_mapping.contains(other),
    }
}
