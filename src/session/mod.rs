//! Sessions: a pool used as if it were one server (RFC 5352 §3.8, §3.9, §6.5 to §6.9).
//!
//! A session is opened on a pool handle. It has the pool resolved, selects an element by the pool's
//! policy, asks for a channel to it, and sends what the application has queued meanwhile (§6.5.1).
//! When the element fails — its channel does not come up in time, breaks, or the application says
//! so — the element is marked and reported, another one is selected without those that failed, and
//! the session goes on there:
//!
//! ```text
//!          resolved          came up
//! Resolving ─────▶ Connecting ─────▶ Up ──┐
//!   ▲  ▲             ▲ │ ▲ └──────┐       │ lost: mark, report,
//!   │  │ pool known  │ │ │ failed:│       │ select another
//!   │  └─────────────│─│─┘ the    │       │
//!   │                │ │   next ◀─┴───────┤
//!   │          turn  │ │                  │ many lost theirs at once
//!   │ pause over     └─│── Yielding ◀─────┘
//!   └──────── Pausing ◀┘ every element was tried           any state ──▶ Over: closed, or failed
//! ```
//!
//! When a session loses its element it goes on with the list it has; where that is stale it is asked
//! for meanwhile (§3.3 C2). Elements that come up and break off before they have said anything are
//! not called one after the other without end: after two of them in a row there is a pause.
//!
//! The search for an element is bounded: by a number of attempts, by a deadline, and by pauses that
//! grow once every element was tried; after a pause the pool is resolved anew, and where no registrar
//! answers in time the session goes on with the elements it knows. When the search fails the session
//! is over, and every message that was not delivered is given back, in order.
//!
//! # Cookies and business cards
//!
//! Where a *control channel* exists, that is, where control messages can be told from data, the
//! element may send cookies. The latest one is kept and is the first thing that the next element
//! hears, as ASAP_COOKIE_ECHO, so that it can restore the state that the former one had (§3.8).
//! Then the application hears of the failover; data flows once it has (RFC 5355 §2.9). An element
//! may also send a business card: whom to turn to first if it fails (§3.9). Its order counts among
//! the elements that the registrar lists as well.
//!
//! # Other sessions than that
//!
//! * One opened *on an element* begins there and is an ordinary session from then on (§6.5.3).
//! * One opened *at an address* knows no pool, and ends when its channel does (§6.5.4).
//! * One that a *peer* opened, on a node that is a pool element too, ends likewise, unless the peer
//!   has sent its business card. Then the session goes on with the peer's pool (RFC 5351 §4.2).
//! * One that *chooses for each message* (§6.5.2), and a message *to all* elements (§6.5.5), need
//!   channels to several elements. For each there is a *leg*: a session of the machine's own, which
//!   leads to one element, does not fail over, and gives back to its session what it could not
//!   send. Each choice is a hit on the cache: a stale list is refreshed (§3.3 C2).
//!
//! # Many at once
//!
//! When an element dies, all of its sessions notice at the same instant, and a policy that fits the
//! pool need not fit the moment. The first `failover_burst` sessions (64) turn to another element
//! at once, which is all of them in the ordinary case. Those beyond wait for a time that the seeded
//! generator draws, between nothing and `failover_spread` (1 s). Opening sessions is never put off:
//! the application knows what it asks for.
//!
//! What is guaranteed of a message over which kind of transport is told at [`Failover`].
#![doc = include_str!("table.md")]

mod card;
mod commands;
mod legs;
mod network;
mod notice;
mod options;
mod outbox;
mod search;
#[cfg(test)]
mod table;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use self::card::Preferred;
use self::legs::Legs;
use self::notice::Heard;
pub use self::options::{Failover, Recipient, SendOptions, SessionOptions};
use self::outbox::{Handover, Load, Outbox};
use self::search::Search;
use crate::Instant;
use crate::cache::Cache;
use crate::context::Context;
use crate::error::SessionError;
use crate::id::{ChannelId, PoolId, SessionId};
use crate::slab::Slab;
use crate::timers::Timers;
use crate::wire::{PeIdentifier, PoolHandle};

/// What a peer is called that is known by its address or its channel only.
const NOBODY: PeIdentifier = PeIdentifier::new(0);

/// The session machine.
#[derive(Debug)]
pub(crate) struct Sessions {
    slab: Slab<Session>,
    timers: Timers<SessionId>,
    needs: VecDeque<Need>,
    /// Sessions that have handed over their last message and are to close.
    drained: Vec<SessionId>,
    /// How many are not over, without legs.
    live: usize,
    /// How many of those in the slab are legs.
    legs: usize,
    /// The failovers of late, and the resolutions that cards have caused.
    failovers: Recent,
    card_lookups: Recent,
    /// The business card of this node.
    card: Option<Bytes>,
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
    /// The elements of another pool in the cache, if they are not there.
    LookUp { handle: PoolHandle },
}

/// One session. There may be very many, so what is rare is boxed.
#[derive(Debug)]
struct Session {
    role: Role,
    state: State,
    gate: Gate,
    /// Whether the channel to the element carries control messages.
    control: bool,
    /// Whether the driver tells what becomes of each message on it.
    confirms: bool,
    hold_after_failover: bool,
    /// How many elements in a row came up and were lost before any sign of life.
    flaps: u8,
    /// Whether it has asked for the elements of its pool and not been told; it may have gone on
    /// with those it knows.
    asked: bool,
    /// The pool, pinned.
    pool: Option<PoolId>,
    /// The element that is connected to, or used.
    element: Option<PeIdentifier>,
    outbox: Outbox,
    cookie: Option<Box<Bytes>>,
    timer: Option<Instant>,
    heard: Heard,
    /// Only while it looks for an element.
    search: Option<Box<Search>>,
    extra: Option<Box<Extra>>,
}

/// What kind of session it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Keeps its element as long as it serves.
    Keeping,
    /// Chooses an element for each message.
    Choosing,
    /// Leads to one element, for the session named.
    Leg(SessionId),
    /// Was opened at an address.
    AtAddress,
    /// Was opened by the peer.
    Accepted,
}

/// Where a session stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Waits for the elements of its pool.
    Resolving,
    /// Waits for a channel to come up.
    Connecting(ChannelId),
    /// Lost its element with many others: waits for its turn.
    Yielding,
    /// Every element was tried: waits before it begins again.
    Pausing,
    /// Has a channel.
    Up(ChannelId),
    /// Knows its pool and chooses an element for each message.
    Choosing,
    /// Has ended; the application has not read that yet.
    Over(Option<Box<SessionError>>),
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

/// What few sessions have.
#[derive(Debug, Default)]
struct Extra {
    /// The handle of the pool, while that is not resolved.
    handle: Option<PoolHandle>,
    /// Set once the session is closing: when it is over even if not everything was handed over.
    draining: Option<Instant>,
    /// Whom to turn to first (§3.9 BC2).
    preferred: Vec<Preferred>,
    legs: Option<Box<Legs>>,
}

/// How often something happened of late.
#[derive(Debug)]
struct Recent {
    since: Instant,
    count: u32,
}

impl Sessions {
    pub(crate) fn new(ctx: &Context) -> Self {
        Self {
            slab: Slab::new(),
            timers: Timers::new(),
            needs: VecDeque::new(),
            drained: Vec::new(),
            live: 0,
            legs: 0,
            failovers: Recent::NEVER,
            card_lookups: Recent::NEVER,
            card: Self::plain_card(ctx),
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

    /// The pool of a session, if it has one.
    pub(crate) fn handle<'a>(&'a self, cache: &'a Cache, id: SessionId) -> Option<&'a PoolHandle> {
        self.slab.get(id.0)?.handle(cache)
    }

    /// How many messages of a session wait to be handed over.
    pub(crate) fn queued(&self, id: SessionId) -> Option<usize> {
        let session = self.slab.get(id.0)?;
        let of_legs = session.legs().filter_map(|leg| self.slab.get(leg.0));
        Some(session.outbox.len() + of_legs.map(|leg| leg.outbox.len()).sum::<usize>())
    }

    /// The latest cookie of a session.
    pub(crate) fn cookie(&self, id: SessionId) -> Option<&Bytes> {
        self.slab.get(id.0)?.cookie.as_deref()
    }

    /// Every session there is, without legs.
    pub(crate) fn ids(&self) -> impl Iterator<Item = SessionId> {
        let all = self.slab.iter().filter(|(_, session)| !matches!(session.role, Role::Leg(_)));
        all.map(|(key, _)| SessionId(key))
    }

    /// Whether there is such a session, be it over.
    pub(crate) fn exists(&self, id: SessionId) -> bool {
        self.slab.get(id.0).is_some()
    }

    /// The session that the application knows: the one that a leg belongs to.
    fn owner(&self, id: SessionId) -> SessionId {
        match self.slab.get(id.0).map(|session| session.role) {
            Some(Role::Leg(owner)) => owner,
            _ => id,
        }
    }

    /// Does something to an outbox. What a leg gets rid of is off the books of its session.
    fn with_outbox<R>(
        &mut self,
        ctx: &mut Context,
        id: SessionId,
        act: impl FnOnce(&mut Outbox) -> R,
    ) -> Option<R> {
        let session = self.slab.get_mut(id.0)?;
        let before = session.outbox.load();
        let result = act(&mut session.outbox);
        let freed = session.outbox.load().freed_since(before);
        let owner = self.owner(id);
        let session = self.slab.get_mut(owner.0)?;
        if owner != id {
            session.outbox.release(freed);
        }
        session.look_for_room(ctx, owner);
        Some(result)
    }

    /// Closes the sessions that have handed over their last message, unless it has come back.
    /// Says whether there was any.
    pub(crate) fn end_drained(&mut self, ctx: &mut Context, cache: &mut Cache) -> bool {
        let mut ended = false;
        while let Some(id) = self.drained.pop() {
            if self.is_drained(id) {
                self.end(ctx, cache, id, None);
                ended = true;
            }
        }
        ended
    }

    /// Has a session closed that is closing and has nothing left to hand over.
    fn check_drained(&mut self, id: SessionId) {
        if self.is_drained(id) {
            self.drained.push(id);
        }
    }

    /// Whether a session is closing and has nothing left to hand over, or to hear of.
    fn is_drained(&self, id: SessionId) -> bool {
        let Some(session) = self.slab.get(id.0) else { return false };
        let mut legs = session.legs().filter_map(|leg| self.slab.get(leg.0));
        let copied = session.extra.as_ref().and_then(|extra| extra.legs.as_ref());
        session.draining().is_some()
            && session.is_settled()
            && copied.is_none_or(|legs| !legs.has_copies_to_make())
            && legs.all(Session::is_settled)
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
        if session.asked {
            if let Some(handle) = session.handle(cache).cloned() {
                self.needs.push_back(Need::Forget { session: id, handle });
            }
        }
        self.end_legs(ctx, id);
        self.drop_copies(ctx, cache, id);
        let Some(session) = self.slab.get_mut(id.0) else { return };
        if let Some(pool) = session.pool.take() {
            cache.unpin(pool);
        }
        session.search = None;
        self.timers.set(&mut session.timer, None, id);
        match error {
            Some(_) => session.outbox.give_back(),
            None => session.outbox.give_back_unsent(),
        }
        session.state = State::Over(error.map(Box::new));
        self.live -= 1;
        session.note_again(ctx, id);
    }
}

impl Session {
    fn new(role: Role, options: SessionOptions) -> Self {
        Self {
            role,
            state: State::Resolving,
            gate: Gate::Open,
            control: false,
            confirms: false,
            hold_after_failover: options.hold_after_failover,
            flaps: 0,
            asked: false,
            pool: None,
            element: None,
            outbox: Outbox::default(),
            cookie: None,
            timer: None,
            heard: Heard::default(),
            search: None,
            extra: None,
        }
    }

    /// The channel that is up or being set up.
    fn channel(&self) -> Option<ChannelId> {
        match self.state {
            State::Connecting(channel) | State::Up(channel) => Some(channel),
            _ => None,
        }
    }

    fn handle<'a>(&'a self, cache: &'a Cache) -> Option<&'a PoolHandle> {
        let unresolved = self.extra.as_ref().and_then(|extra| extra.handle.as_ref());
        unresolved.or_else(|| Some(cache.get(self.pool?)?.handle()))
    }

    /// Whether nothing waits to be handed over, nor, where the driver tells, to be delivered.
    fn is_settled(&self) -> bool {
        self.outbox.is_empty() && !(self.confirms && self.outbox.awaits_word())
    }

    fn draining(&self) -> Option<Instant> {
        self.extra.as_ref()?.draining
    }

    fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// The legs to single elements.
    fn legs(&self) -> impl Iterator<Item = SessionId> {
        let legs = self.extra.as_ref().and_then(|extra| extra.legs.as_ref());
        legs.into_iter().flat_map(|legs| legs.ids())
    }

    fn is_closing(&self) -> bool {
        self.draining().is_some() || matches!(self.state, State::Over(_))
    }

    /// Sets the timer to what comes first: the end of the step, of the search, or of the closing,
    /// or work at once.
    fn rearm(&mut self, timers: &mut Timers<SessionId>, id: SessionId) {
        let (step, until) = self.search.as_ref().map_or((None, None), |s| (s.step, s.until));
        let due = self.extra.as_ref().and_then(|extra| extra.legs.as_ref()?.due());
        let over = matches!(self.state, State::Over(_));
        let first = [step, until, due, self.draining()].into_iter().flatten().min();
        timers.set(&mut self.timer, first.filter(|_| !over), id);
    }

    /// Drops the box of what few sessions have, once this one has none of it.
    fn tidy(&mut self) {
        let idle = |extra: &mut Box<Extra>| {
            let Extra { handle, draining, preferred, legs } = &**extra;
            handle.is_none() && draining.is_none() && preferred.is_empty() && legs.is_none()
        };
        self.extra.take_if(idle);
    }
}

impl Recent {
    const NEVER: Self = Self { since: Instant::EPOCH, count: 0 };

    /// Counts once more; how often that is within `span`.
    fn count(&mut self, now: Instant, span: Duration) -> u32 {
        if now.since(self.since) >= span {
            *self = Self { since: now, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}
