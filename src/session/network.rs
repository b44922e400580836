//! What comes from the network, and what the driver fetches for it.

use bytes::Bytes;

use super::{Gate, Handover, Load, NOBODY, Need, Role, Session, SessionOptions, Sessions, State};
use crate::Instant;
use crate::cache::Cache;
use crate::channel::{ChannelUser, Payload};
use crate::context::Context;
use crate::error::CommandError;
use crate::event::Event;
use crate::id::{ChannelId, MessageId, SessionId};
use crate::wire::{self, BodyRef, PoolHandle};

impl Sessions {
    /// A channel that a peer has opened becomes a session of its own.
    pub(crate) fn accept(
        &mut self,
        ctx: &mut Context,
        control: bool,
        options: SessionOptions,
    ) -> Result<(SessionId, ChannelId), CommandError> {
        let id = self.insert(ctx, Session::new(Role::Accepted, options))?;
        let channel = ctx.channels.accept(ChannelUser::Session(id));
        if let Some(session) = self.slab.get_mut(id.0) {
            session.state = State::Up(channel);
            session.control = control;
            session.element = Some(NOBODY);
            session.heard.up_already(NOBODY);
        }
        self.greet(ctx, id, channel);
        Ok((id, channel))
    }

    /// The driver's word that the channel of a session is up.
    pub(crate) fn opened(
        &mut self,
        now: Instant,
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
        session.search = None;
        session.rearm(&mut self.timers, id);
        let element = session.element;
        let owner = self.owner(id);
        let pool = self.slab.get(owner.0).and_then(|session| session.pool);
        if let (Some(pool), Some(element)) = (pool.and_then(|pool| cache.get_mut(pool)), element) {
            pool.unmark(element);
        }
        if owner != id {
            self.bring_cookie(id, owner);
            self.greet(ctx, id, channel);
            return self.leg_opened(now, ctx, id, owner);
        }
        self.greet(ctx, id, channel);
        let Some(session) = self.slab.get_mut(id.0) else { return };
        let failover = session.heard.came_up(session.peer());
        session.gate = if failover { Gate::Untold } else { Gate::Open };
        ctx.stats.failovers += u64::from(failover);
        session.note(ctx, id);
    }

    /// A leg that takes its session's cookie to the next element takes the latest one.
    fn bring_cookie(&mut self, leg: SessionId, owner: SessionId) {
        let latest = self.slab.get(owner.0).and_then(|session| session.cookie.clone());
        if let Some(leg) = self.slab.get_mut(leg.0).filter(|leg| leg.cookie.is_some()) {
            leg.cookie = latest;
        }
    }

    /// What a control channel hears first: the latest cookie (§3.8), then this node's business card
    /// (§3.9). Both once a channel, so that they are bounded with it and never dropped.
    fn greet(&mut self, ctx: &mut Context, id: SessionId, channel: ChannelId) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        session.heard.cookie_echoed = false;
        if !session.control {
            return;
        }
        if let Some(cookie) = &session.cookie {
            self.buffer.clear();
            // A cookie that was stored fits: its length is bounded by the configuration, or it came
            // in a message.
            if wire::encode_cookie_echo(&mut self.buffer, cookie).is_ok() {
                ctx.channels.send_control(channel, Bytes::copy_from_slice(&self.buffer));
                session.heard.cookie_echoed = true;
            }
        }
        if let Some(card) = &self.card {
            ctx.channels.send_control(channel, card.clone());
            ctx.stats.cards_sent += 1;
        }
    }

    /// The element of a session is there for more than to come up.
    fn gives_a_sign(&mut self, id: SessionId) {
        let owner = self.owner(id);
        if let Some(session) = self.slab.get_mut(owner.0) {
            session.flaps = 0;
        }
    }

    /// Data came from the element of a session.
    pub(crate) fn received(
        &mut self,
        ctx: &mut Context,
        cache: &Cache,
        id: SessionId,
        data: &[u8],
    ) {
        self.gives_a_sign(id);
        let Some(session) = self.slab.get(id.0) else { return };
        let element = session.peer();
        let session = self.owner(id);
        let handle = self.handle(cache, session).cloned();
        let handle = handle.unwrap_or_else(|| PoolHandle::from(&[][..]));
        let max = ctx.config.max_unread_bytes;
        let fits = ctx.events.push_received(data.len(), max, || Event::Received {
            session,
            handle,
            element,
            data: Bytes::copy_from_slice(data),
        });
        self.count_received(ctx, session, fits);
    }

    /// Counts what came for the application, and has it told what was dropped.
    pub(super) fn count_received(&mut self, ctx: &mut Context, id: SessionId, fits: bool) {
        if fits {
            ctx.stats.messages_received += 1;
            return;
        }
        ctx.stats.messages_dropped += 1;
        if let Some(session) = self.slab.get_mut(id.0) {
            session.heard.dropped = session.heard.dropped.saturating_add(1);
            session.note(ctx, id);
        }
    }

    /// A control message came from the element of a session.
    pub(crate) fn control(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &Cache,
        id: SessionId,
        body: &BodyRef<'_>,
    ) {
        self.gives_a_sign(id);
        match body {
            BodyRef::Cookie { cookie, .. } => self.cookie_received(ctx, id, cookie),
            BodyRef::CookieEcho { cookie, .. } => self.cookie_echoed(ctx, id, cookie),
            BodyRef::BusinessCard { handle, elements, .. } => {
                self.card_received(now, ctx, cache, id, handle, *elements);
            }
            _ => ctx.stats.unexpected_messages += 1,
        }
    }

    /// The latest cookie replaces the former one (§3.8). What a leg receives is its session's,
    /// where that has no element of its own.
    fn cookie_received(&mut self, ctx: &mut Context, id: SessionId, cookie: &[u8]) {
        let owner = self.owner(id);
        let Some(session) = self.slab.get_mut(owner.0) else { return };
        if owner != id && session.role != Role::Choosing {
            ctx.stats.unexpected_messages += 1;
        } else if cookie.len() <= ctx.config.max_cookie_len {
            ctx.stats.cookies += 1;
            session.cookie = Some(Bytes::copy_from_slice(cookie).into());
        } else {
            ctx.stats.cookies_too_long += 1;
            session.cookie = None;
            session.heard.cookie_too_long = true;
            session.note(ctx, owner);
        }
    }

    /// A peer that turned to this node hands it the state it had elsewhere.
    fn cookie_echoed(&mut self, ctx: &mut Context, id: SessionId, cookie: &[u8]) {
        let accepted = self.slab.get(id.0).is_some_and(|session| session.role == Role::Accepted);
        if !accepted {
            ctx.stats.unexpected_messages += 1;
            return;
        }
        let max = ctx.config.max_unread_bytes;
        let fits = ctx.events.push_received(cookie.len(), max, || Event::CookieEchoed {
            session: id,
            cookie: Bytes::copy_from_slice(cookie),
        });
        self.count_received(ctx, id, fits);
    }

    /// Whether control messages may be exchanged with the element of a session.
    pub(crate) fn has_control(&self, id: SessionId) -> bool {
        self.slab.get(id.0).is_some_and(|session| session.control)
    }

    /// Hands over the next message, at the moment when the driver asks for it.
    pub(crate) fn pull(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        id: SessionId,
    ) -> Option<Payload> {
        let session = self.slab.get(id.0)?;
        if !matches!(session.state, State::Up(_)) || session.gate != Gate::Open {
            return None;
        }
        let window = Load { messages: ctx.config.window_messages, bytes: ctx.config.window_bytes };
        let handover = Handover {
            confirms_delivery: session.confirms,
            window: ctx.config.confirms_writes.then_some(window),
        };
        let element = session.peer();
        let (message, again) = self.with_outbox(ctx, id, |outbox| outbox.pull(handover))??;
        ctx.stats.messages_sent += 1;
        ctx.stats.messages_resent += u64::from(again);
        let payload = Payload::Data {
            message: message.id,
            data: message.data.clone(),
            unordered: message.options.unordered,
        };
        let owner = self.owner(id);
        if message.copy {
            self.copied(ctx, owner, message.id, element, true);
        } else if message.options.to.is_all() {
            self.begin_copies(now, ctx, id, message, Some(element));
        }
        self.check_drained(owner);
        Some(payload)
    }

    /// A message was written; says whether that was waited for.
    pub(crate) fn written(
        &mut self,
        ctx: &mut Context,
        id: SessionId,
        channel: ChannelId,
        message: MessageId,
    ) -> bool {
        let written = self.with_outbox(ctx, id, |outbox| outbox.written(message));
        ctx.channels.touch(channel);
        written == Some(true)
    }

    /// A message was delivered; says whether it was waited for.
    pub(crate) fn delivered(
        &mut self,
        ctx: &mut Context,
        id: SessionId,
        message: MessageId,
    ) -> bool {
        let delivered = self.with_outbox(ctx, id, |outbox| outbox.delivered(message));
        if let Some(State::Up(channel)) = self.slab.get(id.0).map(|session| &session.state) {
            ctx.channels.touch(*channel);
        }
        if delivered == Some(true) {
            self.gives_a_sign(id);
            // It may have waited to be sent again, as the last one.
            self.check_drained(self.owner(id));
        }
        delivered == Some(true)
    }

    /// The transport gives a message back; says whether it was waited for.
    pub(crate) fn unsent(&mut self, ctx: &mut Context, id: SessionId, message: MessageId) -> bool {
        let kept = self.with_outbox(ctx, id, |outbox| outbox.unsent(message)) == Some(true);
        ctx.stats.messages_unsent += u64::from(kept);
        kept
    }

    /// Has a card looked up that names a pool which is not this session's, once a second at most.
    pub(super) fn look_up(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &Cache,
        handle: &[u8],
    ) {
        const SPAN: core::time::Duration = core::time::Duration::from_secs(1);
        if cache.find(handle).is_some() {
            return;
        }
        let valid = (1..=ctx.config.max_handle_len).contains(&handle.len());
        if valid && self.card_lookups.count(now, SPAN) == 1 {
            self.needs.push_back(Need::LookUp { handle: PoolHandle::from(handle) });
        } else {
            ctx.stats.cards_ignored += 1;
        }
    }
}
