//! What the application asks of the session machine.

use alloc::vec::Vec;

use bytes::Bytes;

use super::inbox::note_fate;
use super::options::{LossReason, UndeliveredReason, Unsettled};
use super::queue::Fate;
use super::search::Search;
use super::{Busy, Env, Gate, Life, Mode, Pool, SendOptions, Session, SessionOptions, Sessions};
use crate::error::{CommandError, SendError, SendErrorReason};
use crate::event::Events;
use crate::id::{MessageId, SessionId};
use crate::wire::{PeIdentifier, PoolHandle, Transport};

impl Sessions {
    /// Opens a session with a pool.
    pub(crate) fn open(
        &mut self,
        env: &mut Env<'_>,
        handle: PoolHandle,
        options: SessionOptions,
    ) -> Result<SessionId, CommandError> {
        let mode = if options.choose_per_message { Mode::Choose } else { Mode::Keep };
        let mut session = Session::new(mode, Pool::Named(handle.into()), options);
        if let Some(named) = options.element {
            let busy = Busy::of(&mut session.busy, &mut self.spare);
            busy.search(env.now).named = Some((named, false));
            session.element = Some(named).filter(|_| mode == Mode::Keep);
        }
        let id = self.insert(env, session)?;
        self.advance(env, id);
        Ok(id)
    }

    /// Opens a session at an address, without a pool.
    pub(crate) fn open_at(
        &mut self,
        env: &mut Env<'_>,
        to: Transport,
        options: SessionOptions,
    ) -> Result<SessionId, CommandError> {
        let id = self.insert(env, Session::new(Mode::Keep, Pool::None, options))?;
        let link = self.open_link(env, id, None, to);
        let Self { slab, spare, .. } = self;
        if let Some(session) = slab.get_mut(id.0) {
            session.kept = Some(link);
            Busy::of(&mut session.busy, spare).search(env.now);
        }
        self.advance(env, id);
        Ok(id)
    }

    pub(super) fn insert(
        &mut self,
        env: &Env<'_>,
        session: Session,
    ) -> Result<SessionId, CommandError> {
        if self.slab.len() >= env.ctx.config.limits.max_sessions {
            return Err(CommandError::TooManySessions);
        }
        self.live += 1;
        Ok(SessionId(self.slab.insert(session)))
    }

    /// Queues a message.
    pub(crate) fn send(
        &mut self,
        env: &mut Env<'_>,
        id: SessionId,
        data: Bytes,
        options: SendOptions,
    ) -> Result<MessageId, SendError> {
        let Self { slab, spare, .. } = self;
        let Some(session) = slab.get_mut(id.0) else {
            return Err(SendError { reason: SendErrorReason::Closing, data });
        };
        if *session.life() != Life::Open {
            return Err(SendError { reason: SendErrorReason::Closing, data });
        }
        let Busy { queue, inbox, .. } = Busy::of(&mut session.busy, spare);
        let message = session.next_message;
        if let Err(data) = queue.push(env.now, &env.ctx.config, message, data, options) {
            inbox.room = false;
            let (waiting, unsettled) = (queue.waiting() + queue.assigned(), queue.unsettled());
            return Err(SendError {
                reason: SendErrorReason::QueueFull { waiting, unsettled },
                data,
            });
        }
        session.next_message = MessageId(message.0 + 1);
        self.advance(env, id);
        Ok(message)
    }

    /// Takes a message back that is not handed over.
    pub(crate) fn withdraw(
        &mut self,
        env: &mut Env<'_>,
        id: SessionId,
        message: MessageId,
    ) -> Result<Bytes, CommandError> {
        let session = self.slab.get_mut(id.0).ok_or(CommandError::UnknownSession)?;
        let queue = session.busy.as_mut().map(|busy| &mut busy.queue);
        let data = queue.and_then(|queue| queue.withdraw(message));
        let data = data.ok_or(CommandError::NotWaiting)?;
        self.advance(env, id);
        Ok(data)
    }

    /// Lets data flow that was held back after a failover.
    pub(crate) fn resume(&mut self, env: &mut Env<'_>, id: SessionId) -> Result<(), CommandError> {
        let session = self.slab.get_mut(id.0).ok_or(CommandError::UnknownSession)?;
        let kept = session.kept.and_then(|link| self.links.get(link.0));
        let serves = match session.mode {
            Mode::Keep => kept.is_some_and(|link| link.up.is_some()),
            Mode::Choose => !session.is_over(),
        };
        if !serves {
            return Err(CommandError::NotConnected);
        }
        if session.gate == Gate::Held {
            session.gate = Gate::Open;
        }
        self.advance(env, id);
        Ok(())
    }

    /// The application says that the element of a session has failed, or where it chooses one for
    /// each message, the one that got the last.
    pub(crate) fn give_up(&mut self, env: &mut Env<'_>, id: SessionId) -> Result<(), CommandError> {
        let session = self.slab.get(id.0).ok_or(CommandError::UnknownSession)?;
        let link = session.responsible().ok_or(CommandError::NotConnected)?;
        if let Some(link) = self.links.get(link.0) {
            env.ctx.channels.close(link.channel);
        }
        self.lose(env, link, LossReason::GivenUp);
        Ok(())
    }

    /// Moves a session to another element, the one named or the policy's choice; nobody has failed.
    pub(crate) fn move_to(
        &mut self,
        env: &mut Env<'_>,
        id: SessionId,
        to: Option<PeIdentifier>,
    ) -> Result<(), CommandError> {
        let session = self.slab.get(id.0).ok_or(CommandError::UnknownSession)?;
        let link = session.kept.ok_or(CommandError::NotConnected)?;
        let (channel, from) = match self.links.get(link.0) {
            Some(link) => (link.channel, link.element),
            None => return Err(CommandError::NotConnected),
        };
        let Pool::Known(pool) = session.pool else { return Err(CommandError::UnknownPool) };
        let pool = env.cache.get(pool).ok_or(CommandError::UnknownPool)?;
        match (to.map(|to| pool.is_supported(to)), from) {
            (Some(None), _) => return Err(CommandError::UnknownElement),
            (Some(Some(_)), _) if to == from => return Ok(()),
            (Some(Some(false)), _) => return Err(CommandError::UnusableTransport),
            (None, Some(from)) if !pool.has_other_than(env.now, from) => {
                return Err(CommandError::NoElementLeft);
            }
            _ => {}
        }
        env.ctx.channels.close(channel);
        env.ctx.stats.moves += 1;
        self.unlink(env, link, LossReason::Moved);
        let session = self.slab.get_mut(id.0);
        if let Some(busy) = session.and_then(|session| session.busy.as_mut()) {
            busy.search = Some(Search::elsewhere(env.now, from, to));
        }
        self.advance(env, id);
        Ok(())
    }

    /// Replaces the cookie of a session.
    pub(crate) fn set_cookie(
        &mut self,
        env: &Env<'_>,
        id: SessionId,
        cookie: Option<Bytes>,
    ) -> Result<(), CommandError> {
        let max = env.ctx.config.limits.max_cookie_len;
        let session = self.slab.get_mut(id.0).ok_or(CommandError::UnknownSession)?;
        if let Some(len) = cookie.as_ref().map(Bytes::len).filter(|len| *len > max) {
            return Err(CommandError::CookieTooLong { len, max });
        }
        if let Some(extra) = &mut session.extra {
            extra.cookie = None;
        }
        match session.responsible().and_then(|link| self.links.get_mut(link.0)) {
            Some(link) => link.cookie = cookie.map(Into::into),
            None => session.extra().cookie = cookie,
        }
        Ok(())
    }

    /// Ends a session once everything queued was handed over, and delivered where the driver tells.
    pub(crate) fn close(&mut self, env: &mut Env<'_>, id: SessionId) -> Result<(), CommandError> {
        let session = self.slab.get_mut(id.0).ok_or(CommandError::UnknownSession)?;
        if *session.life() != Life::Open {
            return Err(CommandError::Closing);
        }
        session.extra().life = Life::Closing(env.now + env.ctx.config.sessions.session_deadline);
        self.advance(env, id);
        Ok(())
    }

    /// Closes them all.
    pub(crate) fn close_all(&mut self, env: &mut Env<'_>) {
        let all: Vec<_> = self.ids().collect();
        for session in all {
            // One that is closing or over is on its way.
            let _ = self.close(env, session);
        }
    }

    /// Ends a session at once; what was not done comes back here.
    pub(crate) fn abort(&mut self, env: &mut Env<'_>, id: SessionId) -> Vec<Unsettled> {
        let Some(session) = self.slab.get_mut(id.0) else { return Vec::new() };
        let mut busy = session.busy.take().unwrap_or_default();
        env.ctx.events.release(busy.inbox.unread(Events::cost));
        let unsettled: Vec<_> = busy.queue.take_all().collect();
        for Unsettled { message, handed_over, .. } in &unsettled {
            let fate = if *handed_over { Fate::Lost } else { Fate::Returned };
            let fate = fate(UndeliveredReason::SessionEnded);
            note_fate(&mut env.ctx.journal, id, *message, fate);
        }
        self.end(env, id, None);
        self.remove(env, id);
        let handed_over = unsettled.iter().filter(|message| message.handed_over).count();
        env.ctx.stats.messages_lost += handed_over as u64;
        env.ctx.stats.messages_returned += (unsettled.len() - handed_over) as u64;
        unsettled
    }
}
