//! Sessions (RFC 5351 §4.2): what an application can open, look at and ask for.

use alloc::vec::Vec;

use bytes::Bytes;

use super::PoolUser;
use crate::Instant;
use crate::channel::ChannelUser;
use crate::error::{CommandError, SendError, SendErrorReason};
use crate::id::{ChannelId, MessageId, SessionId};
use crate::session::{Env, SendOptions, SessionOptions, SessionRef, Sessions, Unsettled};
use crate::wire::{PeIdentifier, PoolElement, PoolHandle, Protocol, Transport};

/// A session and the time, for commands; see [`PoolUser::session_mut`].
#[derive(Debug)]
pub struct SessionMut<'a> {
    user: &'a mut PoolUser,
    id: SessionId,
    now: Instant,
}

/// # Sessions
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
        let (sessions, mut env) = self.session_commands(now);
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
        self.check_open()?;
        let to = self.ctx.capabilities.reachable_element(to);
        let to = to.ok_or(CommandError::UnusableTransport)?;
        let (sessions, mut env) = self.session_commands(now);
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
        self.check_open()?;
        let (sessions, mut env) = self.session_commands(now);
        sessions.accept(&mut env, protocol, control, options)
    }

    /// A session to look at; `None` if there is no such session, or its end was read.
    #[must_use]
    pub fn session(&self, session: SessionId) -> Option<SessionRef<'_>> {
        let Self { sessions, ctx, cache, now, .. } = self;
        sessions.get()?.look(ctx, cache, *now, session)
    }

    /// A session, for commands.
    ///
    /// # Errors
    /// There is no such session, or its end was read.
    pub fn session_mut(
        &mut self,
        now: Instant,
        session: SessionId,
    ) -> Result<SessionMut<'_>, CommandError> {
        let now = self.advance(now);
        if !self.sessions.exists(session) {
            return Err(CommandError::UnknownSession);
        }
        Ok(SessionMut { user: self, id: session, now })
    }

    /// All sessions whose end was not read yet, in no particular order.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.sessions.ids()
    }

    /// The session that a channel is for, as long as the machine has it; `None` where it leads to a
    /// registrar. So a driver knows what not to read where an application does not keep up.
    #[must_use]
    pub fn session_of(&self, channel: ChannelId) -> Option<SessionId> {
        match self.ctx.channels.whose(channel)? {
            ChannelUser::Registrar => None,
            ChannelUser::Session(link) => self.sessions.get()?.owner(link),
        }
    }

    /// Says whom peers are to turn to if this node fails, best first. That goes into the business
    /// card that every control channel to an element begins with, and at once to those that are
    /// up (RFC 5352 §3.9).
    ///
    /// # Errors
    /// The node is no pool element by its configuration, or the card does not fit into a message.
    pub fn set_card(&mut self, elements: Vec<PoolElement>) -> Result<(), CommandError> {
        self.sessions.get_mut(&self.ctx).set_card(&mut self.ctx, elements)
    }
}

impl PoolUser {
    /// The session machine for commands, and what its steps may use.
    fn session_commands(&mut self, now: Instant) -> (&mut Sessions, Env<'_>) {
        let Self { sessions, ctx, cache, .. } = self;
        (sessions.get_mut(ctx), Env { now, ctx, cache })
    }
}

impl SessionMut<'_> {
    /// Queues a message for the element of a session, whichever that is when its turn comes. The
    /// options may be a [`Failover`](crate::Failover) alone.
    ///
    /// # Errors
    /// The session is closing, its queue is full, or the message would never fit; it is given back. After a full queue [`Event::Writable`](crate::Event::Writable) tells when to try again.
    pub fn send(
        &mut self,
        data: impl Into<Bytes>,
        options: impl Into<SendOptions>,
    ) -> Result<MessageId, SendError> {
        let (Self { user, id, now }, data) = (self, data.into());
        let longest = user.ctx.capabilities.longest_message();
        if data.len() > longest.min(user.ctx.config.limits.max_queued_bytes) {
            return Err(SendError { reason: SendErrorReason::TooLong, data });
        }
        let (sessions, mut env) = user.session_commands(*now);
        let sent = sessions.send(&mut env, *id, data, options.into());
        user.serve_sessions(*now);
        sent
    }

    /// Takes a message back that was not handed over yet, or was given back by the transport; no
    /// event will speak of it.
    ///
    /// # Errors
    /// The message does not wait: it was handed over, has met its fate,
    /// or is one to all elements whose copies are made.
    pub fn withdraw(&mut self, message: MessageId) -> Result<Bytes, CommandError> {
        self.step(|sessions, env, id| sessions.withdraw(env, id, message))
    }

    /// The application knows that a message arrived (it got the answer, say); it will not be sent
    /// again. Says whether that is news: whether it might have been sent again, or was not known to
    /// be written.
    pub fn confirm(&mut self, message: MessageId) -> bool {
        self.step(|sessions, env, id| sessions.confirm(env, id, message))
    }

    /// The application says that the element of a session has failed, by a timeout of its own for
    /// instance: fails over. Where the session chooses for each message, it is the element that got
    /// the last one that has failed; its messages go on as far as they may.
    ///
    /// # Errors
    /// The session neither has an element nor calls one.
    pub fn give_up(&mut self) -> Result<(), CommandError> {
        self.step(|sessions, env, id| sessions.give_up(env, id))
    }

    /// Moves a session to another element: `to`, or the one that the policy chooses where that is
    /// `None`. Nobody has failed, so nothing is marked or reported; the cookie goes ahead, and
    /// data flows once [`Event::FailedOver`](crate::Event::FailedOver) has been read, as after
    /// a failover. What was handed over and may be sent again is, so confirm first what needs
    /// not be. If `to` cannot be reached the session goes on elsewhere, perhaps where it was; if it is
    /// the element that it has, nothing happens.
    ///
    /// # Errors
    /// The session neither has an element nor calls one, or has no pool; there is no such element, no
    /// other one where `to` is `None`, or the driver cannot speak to it.
    pub fn move_to(&mut self, to: Option<PeIdentifier>) -> Result<(), CommandError> {
        self.step(|sessions, env, id| sessions.move_to(env, id, to))
    }

    /// Replaces the cookie of a session, for applications whose elements have no control channel
    /// and give it to them in their own messages. It is read with
    /// [`SessionRef::cookie`].
    ///
    /// # Errors
    /// The cookie is too long.
    pub fn set_cookie(&mut self, cookie: Option<Bytes>) -> Result<(), CommandError> {
        self.step(|sessions, env, id| sessions.set_cookie(env, id, cookie))
    }

    /// Lets data flow again after a failover, where the session was opened with
    /// `hold_after_failover`.
    ///
    /// # Errors
    /// The session has no element at the moment.
    pub fn resume(&mut self) -> Result<(), CommandError> {
        self.step(|sessions, env, id| sessions.resume(env, id))
    }

    /// Closes a session once everything queued was handed to the driver, and delivered where the
    /// driver tells ([`Confirms::Delivered`](crate::Confirms::Delivered)), within `sessions.session_deadline`.
    ///
    /// # Errors
    /// The session is closing.
    pub fn close(&mut self) -> Result<(), CommandError> {
        self.step(|sessions, env, id| sessions.close(env, id))
    }

    /// Ends a session at once. Gives back what is not known to be delivered, in order, a message to
    /// all among it if its copies are still to be made; no event will speak of the session.
    pub fn abort(mut self) -> Vec<Unsettled> {
        let unsettled = self.step(|sessions, env, id| sessions.abort(env, id));
        self.user.forget_events();
        unsettled
    }

    /// One step of the session machine, and what follows from it elsewhere.
    fn step<T>(&mut self, step: impl FnOnce(&mut Sessions, &mut Env<'_>, SessionId) -> T) -> T {
        let Self { user, id, now } = self;
        let (sessions, mut env) = user.session_commands(*now);
        let result = step(sessions, &mut env, *id);
        user.route(*now);
        result
    }
}
