//! What the application asks of the session machine.

use alloc::vec::Vec;

use bytes::Bytes;

use super::legs::Legs;
use super::search::Search;
use super::{Gate, NOBODY, Role, SendOptions, Session, SessionOptions, Sessions, State};
use crate::Instant;
use crate::cache::Cache;
use crate::context::Context;
use crate::error::{CommandError, SendError, SendErrorReason};
use crate::id::{MessageId, SessionId};
use crate::wire::{PeIdentifier, PoolHandle, Transport};

impl Sessions {
    /// Opens a session with a pool.
    pub(crate) fn open(
        &mut self,
        now: Instant,
        ctx: &Context,
        cache: &Cache,
        handle: PoolHandle,
        options: SessionOptions,
    ) -> Result<SessionId, CommandError> {
        let role = if options.choose_per_message { Role::Choosing } else { Role::Keeping };
        let mut session = Session::new(role, options);
        session.extra().handle = Some(handle);
        let mut search = Search::begin(now, ctx);
        search.first = options.element;
        session.search = Some(search.into());
        let id = self.insert(ctx, session)?;
        self.resolve(cache, id, false);
        Ok(id)
    }

    /// Opens a session at an address, without a pool.
    pub(crate) fn open_at(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        to: Transport,
        options: SessionOptions,
    ) -> Result<SessionId, CommandError> {
        let id = self.insert(ctx, Session::new(Role::AtAddress, options))?;
        if let Some(session) = self.slab.get_mut(id.0) {
            let mut search = Search::begin(now, ctx);
            search.attempt(now, ctx, NOBODY);
            session.search = Some(search.into());
            session.call(ctx, id, NOBODY, to);
            session.rearm(&mut self.timers, id);
        }
        Ok(id)
    }

    pub(super) fn insert(
        &mut self,
        ctx: &Context,
        session: Session,
    ) -> Result<SessionId, CommandError> {
        if self.slab.len() - self.legs >= ctx.config.max_sessions {
            return Err(CommandError::TooManySessions);
        }
        self.live += 1;
        Ok(SessionId(self.slab.insert(session)))
    }

    /// Queues a message.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        id: SessionId,
        data: Bytes,
        options: SendOptions,
    ) -> Result<MessageId, SendError> {
        let Some(session) = self.slab.get_mut(id.0) else {
            return Err(SendError { reason: SendErrorReason::UnknownSession, data });
        };
        if session.is_closing() {
            return Err(SendError { reason: SendErrorReason::Closing, data });
        }
        match session.outbox.push(&ctx.config, data, options) {
            Ok(queued) => {
                self.stir(now, ctx, id);
                Ok(queued)
            }
            Err(data) => {
                session.heard.room = false;
                Err(SendError { reason: SendErrorReason::QueueFull, data })
            }
        }
    }

    /// Lets data flow that was held back after a failover.
    pub(crate) fn resume(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        id: SessionId,
    ) -> Result<(), CommandError> {
        let session = self.slab.get_mut(id.0).ok_or(CommandError::UnknownSession)?;
        let serves = match session.state {
            State::Up(_) => true,
            // Also while its list is refreshed.
            _ => session.role == Role::Choosing && !matches!(session.state, State::Over(_)),
        };
        if !serves {
            return Err(CommandError::NotConnected);
        }
        if session.gate == Gate::Held {
            session.gate = Gate::Open;
            self.stir(now, ctx, id);
        }
        Ok(())
    }

    /// Has the session looked after: it may have something to hand over.
    fn stir(&mut self, now: Instant, ctx: &mut Context, id: SessionId) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        match session.state {
            State::Up(channel) => ctx.channels.touch(channel),
            State::Choosing => {
                session.make_due(now);
                session.rearm(&mut self.timers, id);
            }
            _ => {}
        }
    }

    /// The application's word that the element of a session has failed, or where it chooses one for
    /// each message, the one that got the last.
    pub(crate) fn give_up(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
    ) -> Result<(), CommandError> {
        let session = self.slab.get(id.0).ok_or(CommandError::UnknownSession)?;
        let at = session.last_leg().unwrap_or(id);
        let channel = self.slab.get(at.0).and_then(Session::channel);
        ctx.channels.close(channel.ok_or(CommandError::NotConnected)?);
        self.lost(now, ctx, cache, at);
        Ok(())
    }

    /// Moves a session to another element, the one named or the policy's choice; nobody has failed.
    pub(crate) fn move_to(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
        to: Option<PeIdentifier>,
    ) -> Result<(), CommandError> {
        let session = self.slab.get_mut(id.0).ok_or(CommandError::UnknownSession)?;
        let (Some(channel), Some(from)) = (session.channel(), session.element) else {
            return Err(CommandError::NotConnected);
        };
        let pool =
            session.pool.and_then(|pool| cache.get(pool)).ok_or(CommandError::UnknownPool)?;
        match to {
            Some(to) if pool.element(to).is_none() => return Err(CommandError::UnknownElement),
            Some(to) if to == from => return Ok(()),
            None if !pool.has_other_than(now, from) => return Err(CommandError::NoElementLeft),
            _ => {}
        }
        let mut search = Search::begin(now, ctx);
        search.first = to;
        search.tried.push(from);
        session.search = Some(search.into());
        ctx.channels.close(channel);
        ctx.stats.moves += 1;
        session.outbox.element_lost();
        // The application knows that the session leaves its element.
        session.heard.lost = true;
        session.note(ctx, id);
        session.look_for_room(ctx, id);
        self.connect(now, ctx, cache, id);
        self.check_drained(id);
        Ok(())
    }

    /// Replaces the cookie of a session.
    pub(crate) fn set_cookie(
        &mut self,
        ctx: &Context,
        id: SessionId,
        cookie: Option<Bytes>,
    ) -> Result<(), CommandError> {
        let max = ctx.config.max_cookie_len;
        let session = self.slab.get_mut(id.0).ok_or(CommandError::UnknownSession)?;
        if let Some(len) = cookie.as_ref().map(Bytes::len).filter(|len| *len > max) {
            return Err(CommandError::CookieTooLong { len, max });
        }
        session.cookie = cookie.map(Into::into);
        Ok(())
    }

    /// The application's word that a message has arrived, wherever it went.
    pub(crate) fn confirm(
        &mut self,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
        message: MessageId,
    ) -> bool {
        let Some(session) = self.slab.get(id.0) else { return false };
        let channels: Vec<_> = core::iter::once(id).chain(session.legs()).collect();
        let awaited = channels.into_iter().any(|at| self.delivered(ctx, at, message));
        self.end_drained(ctx, cache);
        awaited
    }

    /// Ends a session once everything queued was handed over, and delivered where the driver tells.
    pub(crate) fn close(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
    ) -> Result<(), CommandError> {
        let session = self.slab.get_mut(id.0).ok_or(CommandError::UnknownSession)?;
        if session.is_closing() {
            return Err(CommandError::Closing);
        }
        session.extra().draining = Some(now + ctx.config.session_deadline);
        session.rearm(&mut self.timers, id);
        self.check_drained(id);
        self.end_drained(ctx, cache);
        Ok(())
    }

    /// Ends a session at once; what was not delivered comes back here.
    pub(crate) fn abort(
        &mut self,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
    ) -> Result<Vec<(MessageId, Bytes)>, CommandError> {
        let session = self.slab.get_mut(id.0).ok_or(CommandError::UnknownSession)?;
        let uncopied = session.legs_mut().map(Legs::take_uncopied).unwrap_or_default();
        self.end(ctx, cache, id, None);
        let mut session = self.slab.remove(id.0).ok_or(CommandError::UnknownSession)?;
        session.outbox.give_back();
        let mut returned: Vec<_> = core::iter::from_fn(|| session.outbox.pop_returned()).collect();
        returned.extend(uncopied.into_iter().map(|(message, _)| (message.id, message.data)));
        returned.sort_unstable_by_key(|(message, _)| *message);
        ctx.stats.messages_undelivered += returned.len() as u64;
        Ok(returned)
    }
}
