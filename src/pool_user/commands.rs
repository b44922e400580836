//! What the application asks for.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{Ending, PoolUser, Waiter};
use crate::Instant;
use crate::config::Registrar;
use crate::error::{CommandError, ResolveError, SendError, SendErrorReason};
use crate::id::{ChannelId, MessageId, PoolId, RequestId, SessionId};
use crate::journal::MarkEnd;
use crate::pool::ElementRef;
use crate::reach::Origin;
use crate::session::{SendOptions, SessionOptions, Unsettled};
use crate::wire::{PeIdentifier, PoolElement, PoolHandle, Protocol, Transport};

/// Commands: registrars and resolution.
impl PoolUser {
    /// Finds a home registrar before anyone needs it (RFC 5352 §3.6). Without this call the hunt
    /// begins at first need.
    pub fn start(&mut self, now: Instant) {
        let now = self.advance(now);
        if self.ending == Ending::No {
            self.registrars.start(now, &mut self.ctx);
            self.route(now);
        }
    }

    /// Takes a registrar into the list for good.
    ///
    /// # Errors
    /// Its transport is not one that a registrar can be reached on, or there are too many.
    pub fn add_registrar(
        &mut self,
        now: Instant,
        registrar: Registrar,
    ) -> Result<(), CommandError> {
        let now = self.advance(now);
        let Registrar { transport, security } = registrar;
        let Some(transport) = self.ctx.config.reachable(Origin::Here, transport) else {
            return Err(CommandError::UnusableTransport);
        };
        let registrar = Registrar { transport, security };
        let added = self.registrars.add(now, &mut self.ctx, registrar);
        self.route(now);
        added
    }

    /// Takes a registrar out of the list, and hunts for another one if it is the home; says whether
    /// it was known.
    pub fn remove_registrar(&mut self, now: Instant, transport: &Transport) -> bool {
        let now = self.advance(now);
        let transport = Origin::Here.callable(transport.clone());
        let known = transport.is_some_and(|at| self.registrars.remove(now, &mut self.ctx, &at));
        self.route(now);
        known
    }

    /// Resolves a pool handle, from the cache where that is fresh. Ends in
    /// [`Event::Resolved`](crate::Event::Resolved) or
    /// [`Event::ResolutionFailed`](crate::Event::ResolutionFailed), within `request_deadline`.
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
    /// asked for once in a `resolution_interval` all the same.
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

    /// Forgets a pool; says whether it was there (RFC 5352 §6.4). Its failure marks are forgotten
    /// too, unless sessions use it: they go on, and a new list finds the marks again.
    pub fn purge(&mut self, pool: PoolId) -> bool {
        self.cache.purge(pool)
    }

    /// Forgets all pools, and which handles are unknown.
    pub fn purge_all(&mut self) {
        self.cache.purge_all();
    }

    /// Keeps a pool up to date from here on, and tells of its changes with
    /// [`Event::PoolChanged`](crate::Event::PoolChanged) (RFC 5352 §2.2.5): by updates where the
    /// home registrar grants them, else by asking again whenever the list has become stale. A
    /// negative answer ends it with [`Event::SubscriptionEnded`](crate::Event::SubscriptionEnded),
    /// unless it may be that the registrar does not know the pool yet (`registrar_grace`);
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
}

/// Commands: pool elements, for applications that own their connections (RFC 5351 §4.1).
impl PoolUser {
    /// Chooses an element of a pool by its policy, none of `avoid` (RFC 5352 §6.5.2). Elements
    /// found unreachable are chosen only where nothing else is left.
    ///
    /// # Errors
    /// The pool is not in the cache, or no element of it is left.
    pub fn select(
        &mut self,
        now: Instant,
        pool: PoolId,
        avoid: &[PeIdentifier],
    ) -> Result<ElementRef<'_>, CommandError> {
        let now = self.advance(now);
        let found = self.cache.get_mut(pool).ok_or(CommandError::UnknownPool)?;
        found.select(now, &mut self.ctx, avoid).ok_or(CommandError::NoElementLeft)
    }

    /// Chooses as many as `wanted` different elements, best first, none of `avoid`; fewer where
    /// there are fewer. Only the first counts as a choice of the policy, the others are its
    /// backups (RFC 5356 §5.1.3). Elements found unreachable come last.
    ///
    /// # Errors
    /// The pool is not in the cache.
    pub fn select_several(
        &mut self,
        now: Instant,
        pool: PoolId,
        wanted: usize,
        avoid: &[PeIdentifier],
    ) -> Result<Vec<ElementRef<'_>>, CommandError> {
        let now = self.advance(now);
        let found = self.cache.get_mut(pool).ok_or(CommandError::UnknownPool)?;
        Ok(found.select_several(now, &mut self.ctx, wanted, avoid))
    }

    /// Reports that an element could not be reached, and chooses the next one in the same step.
    ///
    /// # Errors
    /// As [`report_unreachable`](Self::report_unreachable) and [`select`](Self::select).
    pub fn fail_over(
        &mut self,
        now: Instant,
        pool: PoolId,
        failed: PeIdentifier,
    ) -> Result<ElementRef<'_>, CommandError> {
        self.report_unreachable(now, pool, failed)?;
        self.select(now, pool, &[failed])
    }

    /// Reports that an element could not be reached: it is passed over for `failure_mark`, and the
    /// home registrar is told once (RFC 5352 §3.5).
    ///
    /// # Errors
    /// The pool is not in the cache, it has no such element, or the element was never selected.
    pub fn report_unreachable(
        &mut self,
        now: Instant,
        pool: PoolId,
        element: PeIdentifier,
    ) -> Result<(), CommandError> {
        let now = self.advance(now);
        let found = self.cache.get_mut(pool).ok_or(CommandError::UnknownPool)?;
        if !found.was_used(element).ok_or(CommandError::UnknownElement)? {
            return Err(CommandError::NeverUsed);
        }
        if found.mark(now, &mut self.ctx, element) {
            let handle = found.handle().clone();
            self.reports.unreachable(now, &mut self.ctx, (handle, Some(pool)), element);
        }
        self.route(now);
        Ok(())
    }

    /// The application's word that an element has failed, for all its sessions at once: reports it,
    /// and each session that uses it goes on elsewhere (RFC 5352 §6.9.2).
    ///
    /// # Errors
    /// As [`report_unreachable`](Self::report_unreachable).
    pub fn fail_element(
        &mut self,
        now: Instant,
        pool: PoolId,
        element: PeIdentifier,
    ) -> Result<(), CommandError> {
        self.report_unreachable(now, pool, element)?;
        let now = self.now;
        let (sessions, mut env) = self.session_machine(now);
        sessions.element_failed(&mut env, pool, element);
        self.route(now);
        Ok(())
    }

    /// The same as [`report_unreachable`](Self::report_unreachable), where the application knows
    /// only where it failed (RFC 5352 §6.9.2): at this
    /// protocol, port and one of these addresses. Says which element that is.
    ///
    /// # Errors
    /// As [`report_unreachable`](Self::report_unreachable), or several elements are reached there.
    pub fn report_unreachable_at(
        &mut self,
        now: Instant,
        pool: PoolId,
        transport: &Transport,
    ) -> Result<PeIdentifier, CommandError> {
        let found = self.cache.get(pool).ok_or(CommandError::UnknownPool)?;
        let at = Origin::Here.callable(transport.clone()).ok_or(CommandError::UnknownElement)?;
        let element = found.element_at(&at)?;
        self.report_unreachable(now, pool, element)?;
        Ok(element)
    }

    /// Ends the failure mark of an element that the application knows to be well, and takes back the
    /// report of its failure if that has not left yet. Says whether the pool is in the cache.
    pub fn trust(&mut self, pool: PoolId, element: PeIdentifier) -> bool {
        let Self { cache, ctx, .. } = self;
        let found = cache.get_mut(pool);
        let known = found.map(|pool| pool.unmark(ctx, element, MarkEnd::Trusted)).is_some();
        self.route(self.now);
        known
    }
}

/// Commands: sessions (RFC 5351 §4.2).
impl PoolUser {
    /// Opens a session with a pool, or with an element of a pool if `options` name one. It ends in
    /// [`Event::SessionEnded`](crate::Event::SessionEnded), unless it is aborted.
    ///
    /// # Errors
    /// The handle is empty or too long, too many sessions exist, or the pool user is shutting down.
    pub fn open_session(
        &mut self,
        now: Instant,
        handle: impl Into<PoolHandle>,
        options: SessionOptions,
    ) -> Result<SessionId, CommandError> {
        let now = self.advance(now);
        let handle = self.check(handle.into())?;
        let (sessions, mut env) = self.session_machine(now);
        let session = sessions.open(&mut env, handle, options)?;
        self.route(now);
        Ok(session)
    }

    /// Opens a session at an address, past the pools (RFC 5352 §6.5.4): it has no failover, nothing
    /// is reported, and of `options` only those count that need no pool.
    ///
    /// # Errors
    /// The driver cannot speak to that transport, too many sessions exist, or the pool user is
    /// shutting down.
    pub fn open_session_at(
        &mut self,
        now: Instant,
        to: Transport,
        options: SessionOptions,
    ) -> Result<SessionId, CommandError> {
        let now = self.advance(now);
        if self.ending != Ending::No {
            return Err(CommandError::ShuttingDown);
        }
        if !self.ctx.config.can_call(&to) {
            return Err(CommandError::UnusableTransport);
        }
        let to = Origin::Here.callable(to).ok_or(CommandError::UnusableTransport)?;
        let (sessions, mut env) = self.session_machine(now);
        sessions.open_at(&mut env, to, options)
    }

    /// Takes over a channel that a peer has opened, on a node that is a pool element too: gives it
    /// a name, by which the driver and the machine speak of it, and makes it a session. `protocol`
    /// says what it runs over, and so what the driver tells of messages on it; `control` whether
    /// control messages can be told from data. Business cards and cookies on it are handled as on
    /// any other; when it is lost the session goes on with the pool that the peer named in its card
    /// (RFC 5351 §4.2), or ends.
    ///
    /// # Errors
    /// Too many sessions exist, or the pool user is shutting down.
    pub fn accept(
        &mut self,
        now: Instant,
        protocol: Protocol,
        control: bool,
        options: SessionOptions,
    ) -> Result<(SessionId, ChannelId), CommandError> {
        let now = self.advance(now);
        if self.ending != Ending::No {
            return Err(CommandError::ShuttingDown);
        }
        let (sessions, mut env) = self.session_machine(now);
        sessions.accept(&mut env, protocol, control, options)
    }

    /// Queues a message for the element of a session, whichever that is when its turn comes. The
    /// options may be a [`Failover`](crate::Failover) alone.
    ///
    /// # Errors
    /// The session is unknown or closing, its queue is full, or the message would never fit; it is
    /// given back. After a full queue [`Event::Room`](crate::Event::Room) tells when to try again.
    pub fn send(
        &mut self,
        now: Instant,
        session: SessionId,
        data: impl Into<Bytes>,
        options: impl Into<SendOptions>,
    ) -> Result<MessageId, SendError> {
        let (now, data) = (self.advance(now), data.into());
        if data.len() > self.ctx.config.max_queued_bytes && self.sessions.queued(session).is_some()
        {
            return Err(SendError { reason: SendErrorReason::TooLong, data });
        }
        let (sessions, mut env) = self.session_machine(now);
        let sent = sessions.send(&mut env, session, data, options.into());
        self.serve_sessions(now);
        sent
    }

    /// Takes a message back that was not handed over yet, or was given back by the transport; no
    /// event will speak of it.
    ///
    /// # Errors
    /// The session is unknown, or the message does not wait: it was handed over, has met its fate,
    /// or is one to all elements whose copies are made.
    pub fn withdraw(
        &mut self,
        now: Instant,
        session: SessionId,
        message: MessageId,
    ) -> Result<Bytes, CommandError> {
        let now = self.advance(now);
        let (sessions, mut env) = self.session_machine(now);
        let data = sessions.withdraw(&mut env, session, message)?;
        self.route(now);
        Ok(data)
    }

    /// The application knows that a message arrived (it got the answer, say); it will not be sent
    /// again. Says whether that is news: whether it might have been sent again, or was not known to
    /// be written.
    pub fn confirm(&mut self, now: Instant, session: SessionId, message: MessageId) -> bool {
        let now = self.advance(now);
        let (sessions, mut env) = self.session_machine(now);
        let awaited = sessions.confirm(&mut env, session, message);
        self.route(now);
        awaited
    }

    /// The application's word that the element of a session has failed, by a timeout of its own for
    /// instance: fails over. Where the session chooses for each message, it is the element that got
    /// the last one that has failed; its messages go on as far as they may.
    ///
    /// # Errors
    /// The session is unknown, or has no element at the moment.
    pub fn give_up(&mut self, now: Instant, session: SessionId) -> Result<(), CommandError> {
        let now = self.advance(now);
        let (sessions, mut env) = self.session_machine(now);
        sessions.give_up(&mut env, session)?;
        self.route(now);
        Ok(())
    }

    /// Moves a session to another element: `to`, or the one that the policy chooses where that is
    /// `None`. Nobody has failed, so nothing is marked or reported; the cookie goes ahead, and
    /// data flows once [`Event::FailedOver`](crate::Event::FailedOver) has been read, as after
    /// a failover. What was handed over and may be sent again is, so confirm first what needs
    /// not be. If `to` cannot be reached the session goes on elsewhere, perhaps where it was.
    ///
    /// # Errors
    /// The session is unknown, has no element at the moment or no pool, there is no such element, or
    /// the driver cannot speak to it.
    pub fn move_session(
        &mut self,
        now: Instant,
        session: SessionId,
        to: Option<PeIdentifier>,
    ) -> Result<(), CommandError> {
        let now = self.advance(now);
        let (sessions, mut env) = self.session_machine(now);
        sessions.move_to(&mut env, session, to)?;
        self.route(now);
        Ok(())
    }

    /// Replaces the cookie of a session, for applications whose elements have no control channel
    /// and give it to them in their own messages. It is read with
    /// [`session_cookie`](Self::session_cookie).
    ///
    /// # Errors
    /// The session is unknown, or the cookie is too long.
    pub fn set_cookie(
        &mut self,
        session: SessionId,
        cookie: Option<Bytes>,
    ) -> Result<(), CommandError> {
        let (sessions, env) = self.session_machine(self.now);
        sessions.set_cookie(&env, session, cookie)
    }

    /// Says whom peers are to turn to if this node fails, best first. That goes into the business
    /// card that every control channel to an element begins with, and at once to those that are
    /// up (RFC 5352 §3.9).
    ///
    /// # Errors
    /// The node is no pool element by its configuration, or the card does not fit into a message.
    pub fn set_card(&mut self, elements: Vec<PoolElement>) -> Result<(), CommandError> {
        self.sessions.set_card(&mut self.ctx, elements)
    }

    /// Lets data flow again after a failover, where the session was opened with
    /// `hold_after_failover`.
    ///
    /// # Errors
    /// The session is unknown, or has no element at the moment.
    pub fn resume(&mut self, now: Instant, session: SessionId) -> Result<(), CommandError> {
        let now = self.advance(now);
        let (sessions, mut env) = self.session_machine(now);
        sessions.resume(&mut env, session)?;
        self.route(now);
        Ok(())
    }

    /// Closes a session once everything queued was handed to the driver, and delivered where the
    /// driver tells ([`confirms_delivery`](crate::Config::confirms_delivery)), within `session_deadline`.
    ///
    /// # Errors
    /// The session is unknown or closing.
    pub fn close(&mut self, now: Instant, session: SessionId) -> Result<(), CommandError> {
        let now = self.advance(now);
        let (sessions, mut env) = self.session_machine(now);
        sessions.close(&mut env, session)?;
        self.route(now);
        Ok(())
    }

    /// Ends a session at once. Gives back what is not known to be delivered, in order, a message to
    /// all among it if its copies are still to be made; no event will speak of the session.
    ///
    /// # Errors
    /// The session is unknown.
    pub fn abort(
        &mut self,
        now: Instant,
        session: SessionId,
    ) -> Result<Vec<Unsettled>, CommandError> {
        let now = self.advance(now);
        let (sessions, mut env) = self.session_machine(now);
        let unsettled = sessions.abort(&mut env, session)?;
        self.forget_events();
        self.route(now);
        Ok(unsettled)
    }

    /// Shuts everything down: sessions close in good order, resolutions end, reports go out if a
    /// home registrar is there, then its channel is closed. Once the events of all that are
    /// read, nothing more comes out.
    pub fn shut_down(&mut self, now: Instant) {
        let now = self.advance(now);
        if self.ending != Ending::No {
            return;
        }
        self.ending = Ending::Begun;
        let of_session = |waiter: &Waiter| matches!(waiter, Waiter::Session(_));
        self.resolver.unsubscribe_all();
        self.resolver.fail(&mut self.ctx, &ResolveError::ShutDown, |waiter| !of_session(waiter));
        let sessions: Vec<_> = self.sessions.ids().collect();
        for session in sessions {
            // One that is closing or over is on its way.
            let (sessions, mut env) = self.session_machine(now);
            let _ = sessions.close(&mut env, session);
        }
        self.route(now);
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
        if self.requests.len() >= self.ctx.config.max_requests {
            return Err(CommandError::TooManyRequests);
        }
        let request = RequestId(self.requests.insert(handle.clone()));
        begin(self, now, &handle, Waiter::Request(request));
        self.route(now);
        Ok(request)
    }

    fn check(&self, handle: PoolHandle) -> Result<PoolHandle, CommandError> {
        let (len, max) = (handle.len(), self.ctx.config.max_handle_len);
        match len {
            _ if self.ending != Ending::No => Err(CommandError::ShuttingDown),
            0 => Err(CommandError::EmptyHandle),
            len if len > max => Err(CommandError::HandleTooLong { len, max }),
            _ => Ok(handle),
        }
    }
}
