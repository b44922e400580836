//! What comes from the network, and what the driver fetches for it.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::inbox::Notice;
use super::link::{Facts, Link};
use super::options::{LossReason, UndeliveredReason};
use super::queue::{Confirmation, Limits};
use super::search::{Search, Step};
use super::{Busy, Env, Gate, Mode, Need, Pool, Session, SessionOptions, Sessions, Wake};
use crate::Confirms;
use crate::channel::{ChannelUser, CloseReason, Payload};
use crate::error::{CommandError, SessionError};
use crate::id::{ChannelId, LinkId, MessageId, PoolId, SessionId};
use crate::journal::{MarkEnd, NoteKind};
use crate::misuse::Misuse;
use crate::wire::{self, BodyRef, PeIdentifier, PoolHandle, Protocol};

impl Sessions {
    /// The session that a link belongs to.
    pub(crate) fn owner(&self, link: LinkId) -> Option<SessionId> {
        self.links.get(link.0).map(|link| link.session)
    }

    /// A channel that a peer has opened becomes a session of its own.
    pub(crate) fn accept(
        &mut self,
        env: &mut Env<'_>,
        protocol: Protocol,
        control: bool,
        options: SessionOptions,
    ) -> Result<(SessionId, ChannelId), CommandError> {
        let mut session = Session::new(Mode::Keep, Pool::None, options);
        session.accepted = true;
        // The application handed the channel in itself and need not be told of it.
        session.known = Some(None);
        let id = self.insert(env, session)?;
        let facts = Facts::over(env.ctx, protocol, control);
        let link = LinkId(self.links.insert_with(|key| {
            let channel = env.ctx.channels.accept(ChannelUser::Session(LinkId(key)));
            let mut link = Link::new(id, None, channel, facts);
            env.ctx.note(|| NoteKind::ChannelUp { channel, peer: link.peer() });
            link.up = Some(env.now);
            link
        }));
        if let Some(session) = self.slab.get_mut(id.0) {
            session.kept = Some(link);
        }
        self.greet(env, link);
        let channel = self.links.get(link.0).map(|link| link.channel);
        Ok((id, channel.ok_or(CommandError::UnknownSession)?))
    }

    /// The driver has begun to set up the channel of a link; from here on that takes time.
    pub(crate) fn called(&mut self, env: &Env<'_>, id: LinkId) {
        if let Some(link) = self.links.get_mut(id.0) {
            let until = env.now + env.ctx.config.sessions.connect_timeout;
            self.timers.set(&mut link.timer, Some(until), Wake::Link(id));
        }
    }

    /// The channel of a link is up.
    pub(crate) fn opened(&mut self, env: &mut Env<'_>, id: LinkId) {
        let Self { slab, links, timers, .. } = self;
        let Some(link) = links.get_mut(id.0) else { return };
        let Some(session) = slab.get_mut(link.session.0) else { return };
        let owner = link.session;
        link.up = Some(env.now);
        env.ctx.note(|| NoteKind::ChannelUp { channel: link.channel, peer: link.peer() });
        if let Some(busy) = &mut session.busy {
            busy.queue.link_up(env.now, id);
        }
        let remembers = session.busy.as_ref().and_then(|busy| busy.search.as_ref());
        let remembers = remembers.is_some_and(|search| !search.is_blank());
        let is_marked = match (&session.pool, link.element) {
            (Pool::Known(pool), Some(element)) => {
                env.cache.get(*pool).is_some_and(|pool| pool.is_marked(env.now, element))
            }
            _ => false,
        };
        let proves = remembers || is_marked;
        let stable = proves.then(|| env.now + env.ctx.config.sessions.stable_after);
        timers.set(&mut link.timer, stable, Wake::Link(id));
        if session.kept != Some(id) {
            session.extra().calling -= 1;
        }
        link.wake(&mut env.ctx.channels);
        let cookie_echoed = self.greet(env, id);
        self.serves(env, id, cookie_echoed);
        self.advance(env, owner);
    }

    /// A link that is up serves its session, which has the application told.
    pub(super) fn serves(&mut self, env: &mut Env<'_>, id: LinkId, cookie_echoed: bool) {
        let Self { slab, links, spare, .. } = self;
        let Some(link) = links.get(id.0) else { return };
        let Some(session) = slab.get_mut(link.session.0) else { return };
        let Busy { inbox, search, .. } = Busy::of(&mut session.busy, spare);
        let is_kept = session.kept == Some(id);
        match (session.known, link.element) {
            // A session that keeps its element makes copies for others only once it has one.
            (None, element) => {
                inbox.push(Notice::Connected(element));
                let owner = link.session;
                env.ctx.note(|| NoteKind::SessionConnected { session: owner, element });
                session.known = Some(element);
            }
            (Some(from), Some(to)) if is_kept => {
                inbox.push(Notice::FailedOver { from, to, cookie_echoed });
                env.ctx.stats.failovers += u64::from(from != Some(to));
                let owner = link.session;
                env.ctx.note(|| NoteKind::FailedOver { session: owner, from, to, cookie_echoed });
                session.known = Some(Some(to));
                session.gate = Gate::Untold;
            }
            _ => {}
        }
        let serves = is_kept || session.mode == Mode::Choose;
        if let Some(search) = search.as_mut().filter(|_| serves) {
            search.came_up(env.now);
        }
    }

    /// What a control channel hears first: the cookie of the element that was lost (§3.8), then this
    /// node's business card (§3.9). Both once a channel, so that they are bounded with it and never
    /// dropped. Says whether there was a cookie.
    fn greet(&mut self, env: &mut Env<'_>, id: LinkId) -> bool {
        let Some(link) = self.links.get(id.0).filter(|link| link.facts.control) else {
            return false;
        };
        let (channel, cookie) = (link.channel, link.cookie.as_deref().cloned());
        let echoed = cookie.is_some_and(|cookie| self.echo(env, channel, &cookie));
        if let Some(card) = &self.card {
            env.ctx.channels.send_control(channel, card.clone());
            env.ctx.stats.cards_sent += 1;
        }
        echoed
    }

    fn echo(&mut self, env: &mut Env<'_>, channel: ChannelId, cookie: &[u8]) -> bool {
        self.buffer.clear();
        // A cookie that was stored fits: its length is bounded by the configuration, or it came in a
        // message.
        let fits = wire::encode_cookie_echo(&mut self.buffer, cookie).is_ok();
        if fits {
            env.ctx.channels.send_control(channel, Bytes::copy_from_slice(&self.buffer));
        }
        fits
    }

    /// A link takes over from the element that its session lost, and gets the cookie of that; says
    /// whether it was sent.
    pub(super) fn take_over(&mut self, env: &mut Env<'_>, id: LinkId) -> bool {
        let Self { slab, links, .. } = self;
        let Some(link) = links.get_mut(id.0) else { return false };
        let extra = slab.get_mut(link.session.0).and_then(|session| session.extra.as_mut());
        let Some(cookie) = extra.and_then(|extra| extra.cookie.take()) else { return false };
        let (channel, goes) = (link.channel, link.up.is_some() && link.facts.control);
        let echoed = goes && self.echo(env, channel, &cookie);
        if let Some(link) = self.links.get_mut(id.0) {
            match &mut link.cookie {
                // It has sent one itself.
                Some(_) if link.up.is_some() => {}
                given => *given = Some(cookie.into()),
            }
        }
        echoed
    }

    /// The channel of a link is no more, as the driver reports.
    pub(crate) fn closed(&mut self, env: &mut Env<'_>, id: LinkId, reason: CloseReason) {
        let was_up = self.links.get(id.0).is_some_and(|link| link.up.is_some());
        self.lose(env, id, LossReason::of(reason, was_up));
    }

    /// A link is no more.
    pub(super) fn lose(&mut self, env: &mut Env<'_>, id: LinkId, reason: LossReason) {
        let session = self.links.get(id.0).map(|link| link.session);
        self.unlink(env, id, reason);
        if let Some(session) = session {
            self.advance(env, session);
        }
    }

    /// The deadline of a link has come: its channel has not come up, or has proven stable.
    pub(super) fn link_timeout(&mut self, env: &mut Env<'_>, id: LinkId) {
        let Some(link) = self.links.get_mut(id.0) else { return };
        link.timer = None;
        let owner = link.session;
        if link.up.is_some() {
            self.progress(env, id);
            self.advance(env, owner);
        } else {
            env.ctx.channels.close(link.channel);
            self.lose(env, id, LossReason::TimedOut);
        }
    }

    pub(super) fn take_link(&mut self, id: LinkId) -> Option<Link> {
        let mut link = self.links.remove(id.0)?;
        self.timers.set(&mut link.timer, None, Wake::Link(id));
        Some(link)
    }

    /// Takes a link away: marks its element if that has failed, lets its messages go where they may,
    /// has the application told, and the search go on.
    pub(super) fn unlink(&mut self, env: &mut Env<'_>, id: LinkId, reason: LossReason) {
        let Some(link) = self.links.get(id.0) else { return };
        let (owner, element) = (link.session, link.element);
        let was_up = link.up.is_some();
        let has_lasted =
            link.up.is_some_and(|since| env.now >= since + env.ctx.config.sessions.stable_after);
        if has_lasted {
            // That it did is no news of after a mark.
            self.prove(id);
        }
        let Some(link) = self.take_link(id) else { return };
        let channel = link.channel;
        env.ctx.note(|| NoteKind::ChannelLost { channel, peer: link.peer(), reason });
        match reason {
            LossReason::Closed => env.ctx.stats.channels_closed += 1,
            LossReason::Local => env.ctx.stats.local_failures += 1,
            _ => {}
        }
        if !was_up {
            self.take_back(env, &link);
        }
        if let Some(element) = element.filter(|_| reason.is_failure()) {
            self.failed(env, owner, element);
        }
        let (proven, chosen) = (link.proven, link.chosen);
        let Self { slab, spare, .. } = self;
        let Some(session) = slab.get_mut(owner.0) else { return };
        let was_kept = session.kept == Some(id);
        let chooses = session.mode == Mode::Choose;
        if was_kept {
            session.kept = None;
        } else if let Some(extra) = &mut session.extra {
            element.map(|element| extra.links.remove(&element));
            extra.calling -= usize::from(!was_up);
        }
        if let Some(element) = element {
            session.last_lost(element, reason);
        }
        let Busy { queue, inbox, .. } = Busy::of(&mut session.busy, spare);
        let notices = &mut inbox.with_journal(&mut env.ctx.journal, owner);
        queue.link_lost(env.now, id, reason, env.ctx.config.sessions.max_handovers, notices);
        let cookie = link.cookie.as_deref().cloned();
        self.end_lane(link, UndeliveredReason::ElementLost(reason));
        if !was_kept && !chooses {
            // It led to copies of messages to all.
            return;
        }
        let Some(session) = self.slab.get_mut(owner.0) else { return };
        if cookie.is_some() && (was_kept || chosen) {
            session.extra().cookie = cookie;
        }
        session.left = Some(reason);
        let Session { busy: Some(busy), .. } = session else { return };
        let Busy { queue, inbox, search } = &mut **busy;
        if was_up {
            // The application knows that it moved the session, and has not heard of an element whose
            // failover it has not read.
            match inbox.take_back_failover() {
                Some(from) => session.known = Some(from),
                None if reason == LossReason::Moved => {}
                None => inbox.push(Notice::Lost { element, reason, closes_gate: chooses }),
            }
            if chooses {
                session.gate = Gate::Untold;
            }
        }
        if was_kept && reason.is_failure() {
            let notices = &mut inbox.with_journal(&mut env.ctx.journal, owner);
            queue.element_left(UndeliveredReason::ElementLost(reason), notices);
            session.element = None;
        }
        if matches!(session.pool, Pool::None) {
            let done = self.is_drained(owner);
            let error = (!done).then_some(SessionError::ChannelLost(reason));
            return self.end(env, owner, error);
        }
        if !was_kept && !chosen {
            // Copies do not fail over, so nobody looks for another element on their account.
            return;
        }
        session.accepted = false;
        let idle = was_up && reason == LossReason::Closed && queue.waiting() == 0;
        session.rests = was_kept && idle;
        if session.rests {
            env.ctx.note(|| NoteKind::SessionRested { session: owner, element });
        } else if was_up {
            env.ctx.note(|| NoteKind::FailoverBegan { session: owner, from: element });
        }
        if idle && (proven || search.is_none()) {
            return;
        }
        // Without progress the search goes on from where it was.
        let flapped = was_up && !proven;
        let search = search.get_or_insert_with(|| Search::begin(env.now));
        let pauses = search.element_lost(env.now, env.ctx, owner, (element, reason), flapped);
        if !was_up || pauses || session.rests || reason == LossReason::Moved {
            return;
        }
        let spread = env.ctx.config.sessions.failover_spread;
        let lost = self.failovers.count(env.now, spread);
        if lost > env.ctx.config.sessions.failover_burst
            && !spread.is_zero()
            && search.step == Step::Ready
        {
            env.ctx.stats.failovers_spread += 1;
            let until = search.yield_within(env.now, &mut env.ctx.rng, spread);
            env.ctx.note(|| NoteKind::FailoverSpread { session: owner, until });
        }
        if was_kept {
            self.refresh_stale_list(env, owner);
        }
    }

    /// The element of a link has shown that it serves: neither a failure nor what was remembered of a
    /// search counts any more.
    pub(super) fn progress(&mut self, env: &mut Env<'_>, id: LinkId) {
        let Some(link) = self.links.get(id.0).filter(|link| !link.proven) else { return };
        let pool = self.slab.get(link.session.0).map(|session| &session.pool);
        if let (Some(Pool::Known(pool)), Some(element)) = (pool, link.element) {
            if let Some(pool) = env.cache.get_mut(*pool) {
                pool.unmark(env.ctx, element, MarkEnd::Proven);
            }
        }
        self.prove(id);
    }

    /// What was remembered of the search that led to a link does not count any more.
    fn prove(&mut self, id: LinkId) {
        let Self { slab, links, timers, .. } = self;
        let Some(link) = links.get_mut(id.0) else { return };
        link.proven = true;
        timers.set(&mut link.timer, None, Wake::Link(id));
        let Some(session) = slab.get_mut(link.session.0) else { return };
        let serves = session.kept == Some(id) || session.mode == Mode::Choose;
        let search = session.busy.as_mut().and_then(|busy| busy.search.as_mut());
        if let Some(search) = search.filter(|_| serves) {
            search.progress();
        }
    }

    /// Something was heard on a link, which may be an answer. What is not done before the application
    /// confirms it, is answered when it does.
    fn received_on(&mut self, env: &mut Env<'_>, id: LinkId) -> Option<&Link> {
        let link = self.links.get(id.0)?;
        env.ctx.watch.delivered.heard(link.channel);
        if link.answers && !link.proven {
            self.progress(env, id);
        }
        self.links.get(id.0)
    }

    /// Data came on a link.
    pub(crate) fn received(&mut self, env: &mut Env<'_>, id: LinkId, data: &[u8]) {
        let Some(link) = self.received_on(env, id) else { return };
        let (owner, element) = (link.session, link.element);
        self.receive(env, owner, data, |data| Notice::Received { element, data });
        self.advance(env, owner);
    }

    /// A control message came on a link.
    pub(crate) fn control(&mut self, env: &mut Env<'_>, id: LinkId, body: &BodyRef<'_>) {
        let Some(link) = self.received_on(env, id) else { return };
        let owner = link.session;
        match body {
            BodyRef::Cookie { cookie, .. } => self.cookie_received(env, id, cookie),
            BodyRef::CookieEcho { cookie, .. } => {
                // A peer that turned to this node hands it the state it had elsewhere.
                if self.slab.get(owner.0).is_some_and(|session| session.accepted) {
                    self.receive(env, owner, cookie, Notice::CookieEchoed);
                } else {
                    env.ctx.stats.unexpected_messages += 1;
                }
            }
            BodyRef::BusinessCard { handle, elements, .. } => {
                self.card_received(env, id, handle, *elements);
            }
            _ => env.ctx.stats.unexpected_messages += 1,
        }
        self.advance(env, owner);
    }

    /// The latest cookie replaces the former one (§3.8).
    fn cookie_received(&mut self, env: &mut Env<'_>, id: LinkId, cookie: &[u8]) {
        let Self { slab, links, spare, .. } = self;
        let Some(link) = links.get_mut(id.0) else { return };
        if cookie.len() <= env.ctx.config.limits.max_cookie_len {
            env.ctx.stats.cookies += 1;
            link.cookie = Some(Bytes::copy_from_slice(cookie).into());
            return;
        }
        env.ctx.stats.cookies_too_long += 1;
        link.cookie = None;
        if let Some(session) = slab.get_mut(link.session.0) {
            Busy::of(&mut session.busy, spare).inbox.push_cookie_too_long();
        }
    }

    /// Whether control messages may be exchanged on a link.
    pub(crate) fn has_control(&self, id: LinkId) -> bool {
        self.links.get(id.0).is_some_and(|link| link.facts.control)
    }

    /// Whether it is for the driver, and not for the peer, to say what is a control message on a link.
    pub(crate) fn is_mapped(&self, id: LinkId) -> bool {
        self.links.get(id.0).is_some_and(|link| link.facts.protocol != Protocol::Sctp)
    }

    /// Hands over the next message on a link, at the moment when the driver asks for it.
    pub(crate) fn pull(&mut self, env: &mut Env<'_>, id: LinkId) -> Option<Payload> {
        let owner = self.links.get(id.0)?.session;
        let payload = self.next_payload(env, id, owner);
        if payload.is_some() {
            self.finish(env, owner);
        }
        payload
    }

    fn next_payload(&mut self, env: &mut Env<'_>, id: LinkId, owner: SessionId) -> Option<Payload> {
        loop {
            let Self { slab, links, .. } = self;
            let link = links.get_mut(id.0).filter(|link| link.up.is_some())?;
            let session = slab.get_mut(owner.0)?;
            let Busy { queue, inbox, .. } = session.busy.as_deref_mut()?;
            let assigned = link.next();
            let message = match assigned {
                Some(next) => match queue.assigned_to(next, id) {
                    Some(message) => message,
                    None => {
                        link.pass_next();
                        continue;
                    }
                },
                None if session.kept == Some(id) && session.gate == Gate::Open => queue.head()?,
                None => return None,
            };
            let (options, len) = (message.options, message.data.len());
            let copy = options.to.is_all().then(|| message.data.clone());
            if !link.has_room(&env.ctx.config, len) {
                return None;
            }
            if copy.is_some() && assigned.is_none() {
                self.copy_to_all(env, owner, Some(id));
                continue;
            }
            if assigned.is_some() {
                link.pass_next();
            }
            link.hand_over(len);
            link.wake(&mut env.ctx.channels);
            let (confirms, element) = (link.facts.confirms, link.element);
            env.ctx.stats.messages_sent += 1;
            let (message, unordered) = (message.id, options.unordered);
            match confirms {
                Confirms::Nothing => {}
                Confirms::Written => env.ctx.watch.written.owe(env.now, link.channel, true),
                Confirms::Delivered => env.ctx.watch.delivered.owe(env.now, link.channel, false),
            }
            let Some(data) = copy else {
                let notices = &mut inbox.with_journal(&mut env.ctx.journal, owner);
                let (data, again, done) =
                    queue.hand_over(env.now, message, id, confirms, notices)?;
                link.answers |= done;
                env.ctx.stats.messages_resent += u64::from(again);
                return Some(Payload::Data { message, data, unordered });
            };
            if confirms.includes_written() {
                link.await_copy(message, len);
            } else {
                self.copied(owner, element, message, None);
            }
            return Some(Payload::Data { message, data, unordered });
        }
    }

    /// The driver tells what became of a message on a link; says whether that was waited for.
    pub(crate) fn confirmed(
        &mut self,
        env: &mut Env<'_>,
        id: LinkId,
        message: MessageId,
        confirmation: Confirmation,
    ) -> bool {
        let Some(link) = self.links.get(id.0) else { return false };
        let (channel, input) = (link.channel, confirmation.into());
        let is_declared = link.facts.confirms.tells(confirmation);
        match (confirmation, link.facts.confirms) {
            _ if !is_declared => {
                env.ctx.misuse(Misuse::ConfirmationNotDeclared { channel, message, input });
            }
            (_, Confirms::Nothing | Confirms::Written) => env.ctx.watch.written.settle(),
            (Confirmation::Written, Confirms::Delivered) => {}
            (_, Confirms::Delivered) => env.ctx.watch.delivered.settle(),
        }
        let heard = self.apply_confirmation(env, id, message, confirmation);
        if !heard && is_declared && self.is_mistaken(id, message, confirmation) {
            env.ctx.misuse(Misuse::ConfirmationNotAwaited { channel, message, input });
        }
        heard
    }

    /// Whether a driver that tells this of a message, and is not heard, is mistaken.
    fn is_mistaken(&self, id: LinkId, message: MessageId, confirmation: Confirmation) -> bool {
        let session = self.links.get(id.0).and_then(|link| self.slab.get(link.session.0));
        session.is_some_and(|session| {
            let queue = session.busy.as_ref().map(|busy| &busy.queue);
            message >= session.next_message
                || queue.is_some_and(|queue| queue.is_mistaken(message, id, confirmation))
        })
    }

    fn apply_confirmation(
        &mut self,
        env: &mut Env<'_>,
        id: LinkId,
        message: MessageId,
        confirmation: Confirmation,
    ) -> bool {
        let Self { slab, links, .. } = self;
        let Some(link) = links.get_mut(id.0) else { return false };
        let Some(Session { busy: Some(busy), .. }) = slab.get_mut(link.session.0) else {
            return false;
        };
        let Busy { queue, inbox, .. } = &mut **busy;
        let max_handovers = env.ctx.config.sessions.max_handovers;
        let limits = Limits { confirms: link.facts.confirms, max_handovers };
        let mut copied = None;
        let notices = &mut inbox.with_journal(&mut env.ctx.journal, link.session);
        let applied = queue
            .apply_confirmation(env.now, message, id, confirmation, limits, notices)
            .or_else(|| {
                let is_last =
                    confirmation != Confirmation::Written || !limits.confirms.includes_delivered();
                copied = is_last.then_some(
                    (confirmation == Confirmation::Unsent).then_some(UndeliveredReason::NotSent),
                );
                Some((
                    link.confirm_copy(message, is_last)?,
                    is_last && confirmation != Confirmation::Unsent,
                ))
            });
        let Some((room, done)) = applied else { return false };
        env.ctx.stats.messages_unsent += u64::from(confirmation == Confirmation::Unsent);
        link.free(room);
        link.answers |= done;
        let (owner, element) = (link.session, link.element);
        link.wake(&mut env.ctx.channels);
        if let Some(failure) = copied {
            self.copied(owner, element, message, failure);
        }
        if done && confirmation == Confirmation::Delivered {
            self.progress(env, id);
        }
        self.advance(env, owner);
        true
    }

    /// The application says that a message has arrived, wherever it went.
    pub(crate) fn confirm(&mut self, env: &mut Env<'_>, id: SessionId, message: MessageId) -> bool {
        let session = self.slab.get_mut(id.0).filter(|session| !session.is_over());
        let queue = session.and_then(|session| Some(&mut session.busy.as_mut()?.queue));
        let Some(on) = queue.and_then(|queue| queue.confirm(message)) else { return false };
        if let Some((on, room)) = on {
            if let Some(link) = self.links.get_mut(on.0) {
                link.free(room);
                link.wake(&mut env.ctx.channels);
            }
            self.progress(env, on);
        }
        self.advance(env, id);
        true
    }

    /// All sessions that use an element of a pool lose it, as the application says.
    pub(crate) fn element_failed(
        &mut self,
        env: &mut Env<'_>,
        pool: PoolId,
        element: PeIdentifier,
    ) {
        let concerned = |link: &Link| {
            let session = self.slab.get(link.session.0);
            link.element == Some(element)
                && session
                    .is_some_and(|session| matches!(session.pool, Pool::Known(p) if p == pool))
        };
        let links = self.links.iter().filter(|(_, link)| concerned(link));
        let links: Vec<_> = links.map(|(key, link)| (LinkId(key), link.channel)).collect();
        for (link, channel) in links {
            env.ctx.channels.close(channel);
            self.lose(env, link, LossReason::GivenUp);
        }
    }

    /// Has a card looked up that names a pool which is not this session's, once a second at most.
    pub(super) fn look_up(&mut self, env: &mut Env<'_>, handle: &[u8]) {
        const SPAN: Duration = Duration::from_secs(1);
        if env.cache.find(handle).is_some() {
            return;
        }
        let valid = env.ctx.config.limits.allow_handle_len(handle.len());
        if valid && self.card_lookups.count(env.now, SPAN) == 1 {
            self.needs.push_back(Need::LookUp { handle: PoolHandle::from(handle) });
        } else {
            env.ctx.stats.cards_ignored += 1;
        }
    }
}
