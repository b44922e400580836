//! Legs: channels to several elements for one session (RFC 5352 §6.5.2, §6.5.5).
//!
//! A leg is a session of the machine's own that leads to one element. A session that chooses for
//! each message hands the message to the leg that leads to the chosen element; a message to all
//! becomes one copy for each element, each on its leg. A leg that fails ends. What it could not
//! send goes back to its session, which has the application told before it sends anything on, and
//! copies are reported as not sent. Legs stay until they fail or their session ends, as answers may
//! come on them at any time.
//!
//! Work that opens channels needs to know the time, and sending a message does not ask for it. So
//! it is left to the clock: it is *due at once*, at the latest time known, and is done when the
//! driver hands in the next one.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use super::outbox::{Load, Message};
use super::search::{MAX_FLAPS, Search};
use super::{Gate, Recipient, Role, Session, SessionOptions, Sessions, State};
use crate::Instant;
use crate::cache::Cache;
use crate::config::Identity;
use crate::context::Context;
use crate::event::Event;
use crate::id::{MessageId, SessionId};
use crate::timers::jitter;
use crate::wire::PeIdentifier;

/// The legs of one session, and what is told of them.
#[derive(Debug, Default)]
pub(super) struct Legs {
    by_element: BTreeMap<PeIdentifier, SessionId>,
    /// The element that got the previous message.
    last: Option<PeIdentifier>,
    /// Messages to all whose copies are still to be made, and the element that has got each
    /// already.
    to_copy: VecDeque<(Message, Option<PeIdentifier>)>,
    /// Messages to all that the application has not heard the end of.
    copied: VecDeque<Copied>,
    results: VecDeque<(MessageId, PeIdentifier, bool)>,
    /// Elements lost that the application has not heard of.
    lost: VecDeque<PeIdentifier>,
    /// How long to pause once the application has heard of the loss: elements come and go.
    pause: Duration,
    /// Whether messages of an element that was lost wait for another one.
    fails_over: bool,
    /// Set while there is work to do at once.
    due: Option<Instant>,
}

/// A message to all, on the books of its session until all has been told.
#[derive(Debug)]
struct Copied {
    message: MessageId,
    load: Load,
    /// How many results have not been read, and one more while the copies are not made.
    open: usize,
}

impl Sessions {
    /// Hands waiting messages to the legs that they belong on.
    pub(super) fn dispatch(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
    ) {
        while self.dispatch_one(now, ctx, cache, id) {}
        let is_served = self.has_leg_up(id);
        let Some(session) = self.slab.get_mut(id.0) else { return };
        let waits = !session.outbox.is_empty();
        if is_served && !waits && session.state == State::Choosing {
            session.search.take_if(|search| search.first.is_none());
        }
        if let Some(legs) = session.legs_mut() {
            legs.due = None;
            legs.fails_over &= waits;
        }
        session.rearm(&mut self.timers, id);
        self.check_drained(id);
    }

    fn dispatch_one(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
    ) -> bool {
        let Some(session) = self.slab.get_mut(id.0) else { return false };
        let to_copy = session.legs_mut().and_then(|legs| legs.to_copy.pop_front());
        if let Some((message, served)) = to_copy {
            self.copy_to_all(now, ctx, cache, id, message, served);
            return true;
        }
        if session.state != State::Choosing || session.gate != Gate::Open {
            return false;
        }
        let Some(to) = session.outbox.front().map(|message| message.options.to) else {
            return false;
        };
        if to.is_all() {
            let message = session.outbox.take_front();
            message.map(|message| self.begin_copies(now, ctx, id, message, None)).is_some()
        } else {
            self.send_on_a_leg(now, ctx, cache, id, to)
        }
    }

    /// Hands the first message of a session to a leg; says whether there was an element for it.
    fn send_on_a_leg(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
        to: Recipient,
    ) -> bool {
        let Some(session) = self.slab.get_mut(id.0) else { return false };
        let asked = session.search.as_mut().and_then(|search| {
            search.until.get_or_insert(now + ctx.config.session_deadline);
            search.first
        });
        let goes_on = session.outbox.front().is_some_and(Message::fails_over);
        let legs = session.make_legs();
        let meant = legs.last.filter(|_| to == Recipient::SameAsLast);
        let last = meant.filter(|last| legs.by_element.contains_key(last));
        if meant.is_some() && last.is_none() && !goes_on {
            session.return_front(ctx, id);
            return true;
        }
        let chosen = last.or_else(|| Some(self.choose(now, ctx, cache, id)?.0));
        let Some(element) = chosen else { return false };
        let element = self.one_that_is_up(now, cache, id, element).unwrap_or(element);
        let Some(session) = self.slab.get_mut(id.0) else { return false };
        if asked.is_some_and(|asked| asked != element) && !goes_on {
            session.return_front(ctx, id);
            return true;
        }
        let Some(leg) = self.leg(now, ctx, cache, id, element) else { return false };
        let Some(session) = self.slab.get_mut(id.0) else { return false };
        session.make_legs().last = Some(element);
        if let Some(message) = session.outbox.take_front() {
            self.put_on_leg(ctx, leg, message);
        }
        true
    }

    /// One that has failed is chosen where no other is left. An element that the session has a
    /// channel to is better than that.
    fn one_that_is_up(
        &self,
        now: Instant,
        cache: &Cache,
        id: SessionId,
        chosen: PeIdentifier,
    ) -> Option<PeIdentifier> {
        let session = self.slab.get(id.0)?;
        let pool = cache.get(session.pool?).filter(|pool| pool.is_marked(now, chosen))?;
        let mut legs = session.legs().filter_map(|leg| self.slab.get(leg.0));
        let up = legs
            .find(|leg| matches!(leg.state, State::Up(_)) && pool.element(leg.peer()).is_some());
        up.map(Session::peer)
    }

    fn put_on_leg(&mut self, ctx: &mut Context, leg: SessionId, message: Message) {
        let Some(leg) = self.slab.get_mut(leg.0) else { return };
        leg.outbox.admit(message);
        if let State::Up(channel) = leg.state {
            ctx.channels.touch(channel);
        }
    }

    /// The leg of a session to an element, new if there is none; `None` if the element cannot be
    /// called.
    fn leg(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        owner: SessionId,
        element: PeIdentifier,
    ) -> Option<SessionId> {
        let session = self.slab.get_mut(owner.0)?;
        let legs = session.make_legs();
        if let Some(leg) = legs.by_element.get(&element) {
            return Some(*leg);
        }
        // A cookie that a lost element left behind goes to the next one (§3.8).
        let cookie = Some(legs.fails_over).and_then(|yes| session.cookie.clone().filter(|_| yes));
        let pool = cache.get_mut(session.pool?)?;
        pool.hand_out(element);
        let to = pool.element(element)?.transport().to_owned();
        if !ctx.config.can_call(&to) {
            return None;
        }
        let mut leg = Session::new(Role::Leg(owner), SessionOptions::default());
        leg.cookie = cookie;
        let mut search = Search::begin(now, ctx);
        search.until = None;
        search.attempt(now, ctx, element);
        leg.search = Some(search.into());
        let id = SessionId(self.slab.insert(leg));
        self.legs += 1;
        if let Some(leg) = self.slab.get_mut(id.0) {
            leg.call(ctx, id, element, to);
            leg.rearm(&mut self.timers, id);
        }
        self.slab.get_mut(owner.0)?.make_legs().by_element.insert(element, id);
        Some(id)
    }

    /// The channel of a leg is up: its session need not look further.
    pub(super) fn leg_opened(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        id: SessionId,
        owner: SessionId,
    ) {
        let element = self.slab.get(id.0).and_then(|leg| leg.element);
        let Some(session) = self.slab.get_mut(owner.0) else { return };
        if session.role == Role::Choosing {
            // After the pause it may have asked for the list anew, and need not wait for that.
            let asks_anew = session.search.take().is_some_and(|search| search.step.is_some());
            if session.state == State::Pausing || session.state == State::Resolving && asks_anew {
                session.state = State::Choosing;
                session.make_due(now);
            }
            session.rearm(&mut self.timers, owner);
            session.element = session.element.or(element);
            session.note(ctx, owner);
        }
    }

    /// A leg has failed: it ends, and what it could not send is its session's again.
    pub(super) fn leg_lost(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
        owner: SessionId,
    ) {
        let Some(leg) = self.slab.get(id.0) else { return };
        let (element, was_up) = (leg.peer(), matches!(leg.state, State::Up(_)));
        let pool = self.slab.get(owner.0).and_then(|session| cache.get(session.pool?));
        let again = pool.is_some_and(|pool| pool.is_marked(now, element))
            || ctx.config.failure_mark.is_zero();
        self.failed(now, ctx, cache, owner, element);
        let queued = |sessions: &Self| sessions.slab.get(owner.0).map(|s| s.outbox.len());
        let before = queued(self);
        self.end_leg(ctx, id, owner, element);
        // Copies do not fail over, so a leg that had nothing else is no attempt of the session's.
        let is_attempt = queued(self) > before && !self.has_leg_up(owner);
        let is_idle = self.is_idle(owner);
        let Some(session) = self.slab.get_mut(owner.0) else { return };
        if session.role == Role::Choosing {
            if is_attempt {
                let search = session.search.get_or_insert_with(|| {
                    let mut search = Search::begin(now, ctx);
                    search.until = None;
                    search.into()
                });
                search.attempts = search.attempts.saturating_add(1);
                search.tried.push(element);
            } else if is_idle {
                session.search = None;
            }
            session.flaps = session.flaps.saturating_add(was_up.into());
            let flaps = session.flaps;
            let legs = session.make_legs();
            legs.fails_over = true;
            if was_up {
                legs.pause = match flaps > MAX_FLAPS {
                    true => jitter(&mut ctx.rng, ctx.config.session_backoff),
                    false => Duration::ZERO,
                };
                legs.lost.push_back(element);
                session.gate = Gate::Untold;
                ctx.stats.failovers += 1;
            } else if again && !is_attempt {
                // What does not count as an attempt is not bounded by their number.
                legs.due = Some(now + jitter(&mut ctx.rng, ctx.config.session_backoff));
            } else {
                legs.due = Some(now);
            }
        }
        session.note(ctx, owner);
        session.look_for_room(ctx, owner);
        session.rearm(&mut self.timers, owner);
        self.check_drained(owner);
    }

    fn has_leg_up(&self, owner: SessionId) -> bool {
        let Some(session) = self.slab.get(owner.0) else { return false };
        let mut legs = session.legs().filter_map(|leg| self.slab.get(leg.0));
        legs.any(|leg| matches!(leg.state, State::Up(_)))
    }

    /// Whether none of a session's messages waits for an element, or for word from one; copies
    /// aside.
    fn is_idle(&self, owner: SessionId) -> bool {
        let Some(session) = self.slab.get(owner.0) else { return true };
        let mut legs = session.legs().filter_map(|leg| self.slab.get(leg.0));
        session.outbox.is_empty() && legs.all(|leg| leg.outbox.load() == Load::default())
    }

    /// Takes a leg away; its session takes back what is left of its messages.
    fn end_leg(
        &mut self,
        ctx: &mut Context,
        id: SessionId,
        owner: SessionId,
        element: PeIdentifier,
    ) {
        let Some(mut leg) = self.slab.remove(id.0) else { return };
        self.legs -= 1;
        self.timers.set(&mut leg.timer, None, id);
        let before = leg.outbox.load();
        leg.outbox.element_lost();
        let freed = leg.outbox.load().freed_since(before);
        let Some(session) = self.slab.get_mut(owner.0) else { return };
        session.outbox.release(freed);
        session.make_legs().by_element.remove(&element);
        let mut copies = Vec::new();
        session.outbox.take_back(leg.outbox, |copy| copies.push(copy.id));
        for copy in copies {
            self.copied(ctx, owner, copy, element, false);
        }
    }

    /// Ends all legs of a session that is over.
    pub(super) fn end_legs(&mut self, ctx: &mut Context, owner: SessionId) {
        let Some(session) = self.slab.get(owner.0) else { return };
        let legs: Vec<_> = session.legs().collect();
        for id in legs {
            let Some(leg) = self.slab.get(id.0) else { continue };
            if let Some(channel) = leg.channel() {
                ctx.channels.close(channel);
            }
            let element = leg.peer();
            self.end_leg(ctx, id, owner, element);
        }
    }

    /// One copy of a message to all has met its fate.
    pub(super) fn copied(
        &mut self,
        ctx: &mut Context,
        owner: SessionId,
        message: MessageId,
        element: PeIdentifier,
        sent: bool,
    ) {
        let Some(session) = self.slab.get_mut(owner.0) else { return };
        session.make_legs().results.push_back((message, element, sent));
        session.note(ctx, owner);
    }

    /// A message to all begins to be copied; `served`, the session's own element if it has one,
    /// has got it already.
    pub(super) fn begin_copies(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        id: SessionId,
        message: Message,
        served: Option<PeIdentifier>,
    ) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        let legs = session.make_legs();
        let open = 1 + usize::from(served.is_some());
        legs.copied.push_back(Copied { message: message.id, load: message.load(), open });
        legs.due = Some(now);
        let of = message.id;
        legs.to_copy.push_back((message, served));
        session.rearm(&mut self.timers, id);
        if let Some(element) = served {
            self.copied(ctx, id, of, element, true);
        }
    }

    /// Delivers a message to this node itself, as the element `own` of the session's pool.
    fn copy_to_self(
        &mut self,
        ctx: &mut Context,
        session: SessionId,
        own: Identity,
        message: &Message,
    ) {
        let max = ctx.config.max_unread_bytes;
        let fits = ctx.events.push_received(message.data.len(), max, || Event::Received {
            session,
            handle: own.handle,
            element: own.identifier,
            data: message.data.clone(),
        });
        self.count_received(ctx, session, fits);
    }

    /// Makes a copy of a message for every element listed, but for this node itself and the
    /// one that was served already. A message for nobody comes back.
    fn copy_to_all(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
        message: Message,
        served: Option<PeIdentifier>,
    ) {
        let elements = self.recipients(ctx, cache, id, &message, served);
        let own = self.own_identity(ctx, cache, id);
        let own = own.filter(|_| message.options.to == Recipient::AllAndSelf);
        if elements.is_empty() && served.is_none() && own.is_none() {
            self.return_uncopied(ctx, id, message);
            return;
        }
        for element in elements {
            match self.leg(now, ctx, cache, id, element) {
                Some(leg) => self.put_on_leg(ctx, leg, message.to_copy()),
                None => self.copied(ctx, id, message.id, element, false),
            }
        }
        if let Some(own) = own {
            self.copy_to_self(ctx, id, own, &message);
        }
        self.settle_copy(ctx, id, message.id);
    }

    /// The session is over: copies that are still to be made are not sent.
    pub(super) fn drop_copies(&mut self, ctx: &mut Context, cache: &Cache, id: SessionId) {
        let uncopied = self.slab.get_mut(id.0).and_then(Session::legs_mut);
        for (message, served) in uncopied.map(Legs::take_uncopied).unwrap_or_default() {
            let elements = self.recipients(ctx, cache, id, &message, served);
            if elements.is_empty() && served.is_none() {
                self.return_uncopied(ctx, id, message);
                continue;
            }
            for element in elements {
                self.copied(ctx, id, message.id, element, false);
            }
            self.settle_copy(ctx, id, message.id);
        }
    }

    /// There is nobody whose copy could be told of.
    fn return_uncopied(&mut self, ctx: &mut Context, id: SessionId, message: Message) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        session.make_legs().copied.retain(|copied| copied.message != message.id);
        session.outbox.return_one(message);
        session.note(ctx, id);
    }

    /// The elements that are to get a copy of a message; the result of each is open from then on.
    fn recipients(
        &mut self,
        ctx: &Context,
        cache: &Cache,
        id: SessionId,
        message: &Message,
        served: Option<PeIdentifier>,
    ) -> Vec<PeIdentifier> {
        let here = self.own_identity(ctx, cache, id).map(|own| own.identifier);
        let pool = self.slab.get(id.0).and_then(|session| cache.get(session.pool?));
        let elements: Vec<_> = pool
            .into_iter()
            .flat_map(|pool| pool.elements().map(|element| element.identifier()))
            .filter(|element| Some(*element) != here && Some(*element) != served)
            .collect();
        if let Some(copied) = self.copied_mut(id, message.id) {
            copied.open += elements.len();
        }
        elements
    }

    /// This node, if it is an element of the session's pool.
    fn own_identity(&self, ctx: &Context, cache: &Cache, id: SessionId) -> Option<Identity> {
        let pool = cache.get(self.slab.get(id.0)?.pool?)?;
        ctx.config.identity.clone().filter(|own| *pool.handle() == own.handle)
    }

    /// One thing less is open about a message to all.
    fn settle_copy(&mut self, ctx: &mut Context, id: SessionId, message: MessageId) {
        let Some(copied) = self.copied_mut(id, message) else { return };
        copied.open -= 1;
        if copied.open > 0 {
            return;
        }
        let load = copied.load;
        let Some(session) = self.slab.get_mut(id.0) else { return };
        session.make_legs().copied.retain(|copied| copied.message != message);
        session.outbox.release(load);
        session.look_for_room(ctx, id);
    }

    fn copied_mut(&mut self, id: SessionId, message: MessageId) -> Option<&mut Copied> {
        let legs = self.slab.get_mut(id.0)?.legs_mut()?;
        legs.copied.iter_mut().find(|copied| copied.message == message)
    }

    /// What the application has not heard of the legs of a session.
    pub(super) fn news_of_legs(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        session: SessionId,
    ) -> Option<Event> {
        let found = self.slab.get_mut(session.0)?;
        let over = matches!(found.state, State::Over(_));
        let legs = found.legs_mut()?;
        if let Some(element) = legs.lost.pop_front().filter(|_| !over) {
            if legs.lost.is_empty() {
                legs.due = Some(now + legs.pause);
                found.told();
                found.rearm(&mut self.timers, session);
            }
            return Some(Event::ElementLost { session, element });
        }
        let (message, element, sent) = legs.results.pop_front()?;
        self.settle_copy(ctx, session, message);
        Some(Event::Copied { session, message, element, sent })
    }
}

impl Session {
    pub(super) fn legs_mut(&mut self) -> Option<&mut Legs> {
        self.extra.as_mut()?.legs.as_deref_mut()
    }

    /// The leg to the element that got the last message, of a session that chooses for each.
    pub(super) fn last_leg(&self) -> Option<SessionId> {
        let legs = self.extra.as_ref()?.legs.as_ref()?;
        legs.by_element.get(&legs.last?).copied()
    }

    fn make_legs(&mut self) -> &mut Legs {
        self.extra().legs.get_or_insert_default()
    }

    /// Gives back the first message, which may go nowhere but to an element that is lost.
    fn return_front(&mut self, ctx: &mut Context, id: SessionId) {
        if let Some(message) = self.outbox.take_front() {
            self.outbox.return_one(message);
            self.note(ctx, id);
        }
    }

    /// Has the session look after its legs as soon as the time is known.
    pub(super) fn make_due(&mut self, now: Instant) {
        self.make_legs().due = Some(now);
    }
}

impl Legs {
    pub(super) fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.by_element.values().copied()
    }

    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Messages to all of which no copies were made, and who has got each already.
    pub(super) fn take_uncopied(&mut self) -> VecDeque<(Message, Option<PeIdentifier>)> {
        core::mem::take(&mut self.to_copy)
    }

    pub(super) fn has_copies_to_make(&self) -> bool {
        !self.to_copy.is_empty()
    }
}
