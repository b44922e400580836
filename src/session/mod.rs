//! Sessions: a pool used as if it were one server (RFC 5352 §3.8, §3.9, §6.5 to §6.9).
//!
//! A session is opened on a pool handle. It has the pool resolved, selects an element by the pool's
//! policy, asks for a channel to it, and sends what the application has queued meanwhile (§6.5.1).
//! When the element fails — its channel does not come up in time, breaks, or the application says
//! so — the element is marked and reported, another one is selected without those that failed, and
//! the session goes on there.
//!
//! # What it is made of
//!
//! ```text
//!  Session ── queue    every message, each in its place: waiting, on a link, done
//!    │   ──── search   whom to turn to next, and when; only while somebody waits
//!    │   ──── inbox    what the application has to read, in order
//!    └─────── links    none, one or many: one element over one channel each
//! ```
//!
//! Inputs from the network, the clock and the application change fields, and then one function,
//! `advance`, looks at what is and does what follows: looks for an element, calls it, hands
//! messages to links, gives up what has waited too long, sets the timer, ends what is drained.
//!
//! A session *keeps* its element as long as that serves: it has one link, which takes what waits
//! when the driver polls. Or it *chooses* an element for each message (§6.5.2), and assigns the
//! message to the link that leads there. A message *to all* (§6.5.5) is assigned to a link for each
//! element, whatever the session does else. That is all that the kinds differ in. Links stay until
//! they end or their session does, as answers may come on them at any time.
//!
//! # What the end of a channel means
//!
//! A channel that does not come up, or breaks, is a failure of its element. One that the element
//! *closes* in good order is not: nothing is marked or reported. Where nothing is left to be sent,
//! the session then *rests* without a channel, and turns to the same element first when there is.
//! Where something is left, the same element is called again, once. Trouble of the driver's own is
//! nobody's fault and makes a pause.
//!
//! When a session loses its element it goes on with the list it has; where that is stale it is asked
//! for meanwhile (§3.3 C2). What bounds the search is told in `search.rs`: rounds over the pool,
//! pauses that grow, and a deadline for whatever waits. A session that keeps its element and finds
//! none within `sessions.session_deadline` is over; a message that has waited as long in all is returned.
//! Without anything that waits there is no deadline.
//!
//! # Cookies and business cards
//!
//! Where a *control channel* exists, that is, where control messages can be told from data, the
//! element may send cookies. The latest one stays with the link it came on. When the element is lost,
//! its cookie goes to whoever takes over, as the first thing that one hears, as ASAP_COOKIE_ECHO, so
//! that it can restore the state that the former one had (§2.2.12, §3.8). Then the application hears
//! of the failover; data flows once it has (RFC 5355 §2.9). An element may also send a business
//! card: whom to turn to first if it fails (§3.9). Its order counts among the elements that the
//! registrar lists as well.
//!
//! # Sessions without a pool
//!
//! * One opened *at an address* ends when its channel does (§6.5.4).
//! * One that a *peer* opened, on a node that is a pool element too, ends likewise, unless the peer
//!   has sent its business card. Then the session goes on with the peer's pool (RFC 5351 §4.2).
//!
//! # Many at once
//!
//! When an element dies, all of its sessions notice at the same instant, and a policy that fits the
//! pool need not fit the moment. The first `sessions.failover_burst` sessions (64) turn to another element
//! at once, which is all of them in the ordinary case. Those beyond wait for a time that the seeded
//! generator draws, between nothing and `sessions.failover_spread` (1 s). First connections are never put
//! off: the application knows what it asks for.
//!
//! What is guaranteed of a message over which kind of transport is told at [`Failover`].
#![doc = include_str!("table.md")]

mod advance;
mod card;
mod commands;
mod copies;
mod inbox;
mod level;
mod link;
mod network;
mod options;
mod queue;
mod search;
#[cfg(test)]
mod table;
mod view;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use self::card::Preferred;
use self::inbox::{Inbox, Notice};
pub(crate) use self::level::SessionLevel;
use self::link::Link;
pub use self::options::{
    Failover, LossReason, Recipient, SendOptions, SessionOptions, UndeliveredReason, Unsettled,
};
pub(crate) use self::queue::Confirmation;
use self::queue::{Fate, Queue};
use self::search::Search;
pub use self::view::{HeldBack, SessionRef, SessionState, SessionTimer};
use crate::Instant;
use crate::cache::Cache;
use crate::context::Context;
use crate::error::SessionError;
use crate::event::{Entry, Event, Events};
#[cfg(test)]
use crate::explorer::{ahead, fingerprint};
#[cfg(test)]
use crate::id::ChannelId;
use crate::id::{LinkId, MessageId, PoolId, SessionId};
use crate::journal::NoteKind;
use crate::ordered::Map;
use crate::slab::Slab;
use crate::timers::Timers;
use crate::wire::{PeIdentifier, PoolHandle};

/// So many sessions that have nothing to do leave the memory for it to others.
const MAX_SPARE: usize = 1_024;

/// The session machine.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Sessions {
    slab: Slab<Session>,
    links: Slab<Link>,
    timers: Timers<Wake>,
    needs: VecDeque<Need>,
    /// How many sessions are not over.
    live: usize,
    /// The failovers of late, and the resolutions that cards have caused.
    failovers: Rate,
    card_lookups: Rate,
    /// The business card of this node.
    card: Option<Bytes>,
    /// What sessions that are idle do not need.
    #[expect(clippy::vec_box, reason = "the boxes are what is kept")]
    spare: Vec<Box<Busy>>,
    buffer: Vec<u8>,
}

/// What every step of a session may use.
#[derive(Debug)]
pub(crate) struct Env<'a> {
    pub(crate) now: Instant,
    pub(crate) ctx: &'a mut Context,
    pub(crate) cache: &'a mut Cache,
}

/// What a session needs of the other machines.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Clone, Hash))]
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

/// Whose deadline it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(test, derive(Hash))]
enum Wake {
    Session(SessionId),
    Link(LinkId),
}

/// One session. There may be very many, so what an idle one does not need is boxed.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
struct Session {
    mode: Mode,
    pool: Pool,
    /// Whether it has asked for the elements of its pool and not been told; it may have gone on
    /// with those it knows.
    asked: bool,
    /// Whether a peer has opened it.
    accepted: bool,
    hold_after_failover: bool,
    gate: Gate,
    /// The link to the element that it keeps.
    kept: Option<LinkId>,
    /// The element that it keeps, or will turn to: what may go nowhere else is for this one.
    element: Option<PeIdentifier>,
    /// Why it has lost an element for the last time, if it has lost any.
    left: Option<LossReason>,
    /// Whether the element has closed the channel, and nothing is to be sent.
    rests: bool,
    /// The element that the application last heard of, if it has of any.
    known: Option<Option<PeIdentifier>>,
    /// Whether there is a note for it in the queue of events.
    noted: bool,
    next_message: MessageId,
    timer: Option<Instant>,
    busy: Option<Box<Busy>>,
    extra: Option<Box<Extra>>,
}

/// Whether it keeps its element as long as that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
enum Mode {
    Keep,
    /// Chooses an element for each message.
    Choose,
}

#[derive(Debug, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Clone, Hash))]
enum Life {
    #[default]
    Open,
    /// Closing; over at this time even if not everything was handed over.
    Closing(Instant),
    /// Over; the application has not read that yet.
    Over(Option<SessionError>),
}

/// The pool of a session.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
enum Pool {
    None,
    Named(Box<PoolHandle>),
    /// Resolved, and pinned in the cache.
    Known(PoolId),
}

/// Whether data may flow to elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
enum Gate {
    Open,
    /// Not before the application has read that an element was lost, or taken over.
    Untold,
    /// Not before the application says so.
    Held,
}

/// What a session has while it is not idle.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, Hash))]
struct Busy {
    queue: Queue,
    inbox: Inbox,
    search: Option<Search>,
}

/// What few sessions have.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, Hash))]
struct Extra {
    life: Life,
    /// The cookie that goes to whoever takes over from the element that was lost.
    cookie: Option<Bytes>,
    /// Whom to turn to first (§3.9 BC2).
    preferred: Vec<Preferred>,
    /// The links beside the one that is kept.
    links: Map<PeIdentifier, LinkId>,
    /// How many of those are not up.
    calling: usize,
    /// The element that got the previous message, and why it was lost if it was.
    last: Option<(PeIdentifier, Option<LossReason>)>,
}

/// How often something happened of late.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Rate {
    since: Instant,
    count: u32,
}

impl Sessions {
    pub(crate) fn new(ctx: &Context) -> Self {
        Self {
            slab: Slab::new(),
            links: Slab::new(),
            timers: Timers::new(),
            needs: VecDeque::new(),
            live: 0,
            failovers: Rate::NEVER,
            card_lookups: Rate::NEVER,
            card: Self::plain_card(ctx),
            spare: Vec::new(),
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

    /// Whether any session needs something of the other machines.
    pub(crate) fn needs_any(&self) -> bool {
        !self.needs.is_empty()
    }

    /// Every session there is.
    pub(crate) fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.slab.iter().map(|(key, _)| SessionId(key))
    }

    /// Whether there is such a session, be it over.
    pub(crate) fn exists(&self, id: SessionId) -> bool {
        self.slab.get(id.0).is_some()
    }

    pub(crate) fn handle_timeout(&mut self, env: &mut Env<'_>) {
        // Each deadline that has come is heeded once, whatever follows from it.
        for _ in 0..self.timers.len() {
            let Some(wake) = self.timers.pop_due(env.now) else { break };
            match wake {
                Wake::Session(id) => {
                    if let Some(session) = self.slab.get_mut(id.0) {
                        session.timer = None;
                        self.advance(env, id);
                    }
                }
                Wake::Link(id) => self.link_timeout(env, id),
            }
        }
        #[cfg(any(test, debug_assertions))]
        self.check();
    }

    /// What the application has to read next of a session.
    pub(crate) fn next_event(&mut self, env: &mut Env<'_>, session: SessionId) -> Option<Event> {
        let found = self.slab.get_mut(session.0)?;
        let Some(Busy { queue, inbox, .. }) = found.busy.as_deref_mut() else {
            return self.last_event(env, session);
        };
        let Some(notice) = inbox.pop() else {
            if core::mem::take(&mut inbox.room) && !found.is_over() {
                return Some(Event::Writable { session });
            }
            self.finish(env, session);
            return self.last_event(env, session);
        };
        let opens = !inbox.closes_gate();
        let event = match notice {
            Notice::Connected(element) => Event::Connected { session, element },
            Notice::FailedOver { from, to, cookie_echoed } => {
                found.events_read(opens);
                Event::FailedOver { session, from, to, cookie_echoed }
            }
            Notice::Lost { element, reason, .. } => {
                found.events_read(opens);
                Event::ElementLost { session, element, reason }
            }
            Notice::Received { element, data } => {
                env.ctx.events.release(Events::cost(data.len()));
                let handle = found.handle(env.cache).cloned();
                self.finish(env, session);
                return Some(Event::Received { session, handle, element, data });
            }
            Notice::CookieEchoed(cookie) => {
                env.ctx.events.release(Events::cost(cookie.len()));
                Event::CookieEchoed { session, cookie }
            }
            Notice::Dropped(messages) => Event::Dropped { session, messages: messages.into() },
            Notice::CookieTooLong => Event::CookieTooLong { session },
            Notice::Copied(message, element, failure) => {
                queue.copy_read(message);
                Event::CopyResult { session, message, element, failure }
            }
            Notice::Fate(message) => match queue.take_done(message)? {
                (Fate::Sent { delivered }, _) => Event::Sent { session, message, delivered },
                (Fate::Returned(reason), data) => {
                    env.ctx.stats.messages_returned += 1;
                    Event::Returned { session, message, data, reason }
                }
                (Fate::Lost(reason), data) => {
                    env.ctx.stats.messages_lost += 1;
                    Event::Lost { session, message, data, reason }
                }
            },
        };
        self.advance(env, session);
        Some(event)
    }

    /// Where nothing else is to be read: that the session is over, if it is.
    fn last_event(&mut self, env: &mut Env<'_>, session: SessionId) -> Option<Event> {
        let found = self.slab.get_mut(session.0)?;
        found.noted = false;
        let Life::Over(error) = &mut found.extra.as_mut()?.life else { return None };
        let error = error.take();
        self.remove(env, session);
        Some(Event::SessionEnded { session, error })
    }

    /// Takes a session away that is over.
    fn remove(&mut self, env: &mut Env<'_>, id: SessionId) -> Option<Session> {
        let session = self.slab.remove(id.0)?;
        if let Pool::Known(pool) = session.pool {
            env.cache.unpin(pool);
        }
        Some(session)
    }

    /// The session is over.
    fn end(&mut self, env: &mut Env<'_>, id: SessionId, error: Option<SessionError>) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        if session.is_over() {
            return;
        }
        let reason = match error {
            Some(SessionError::DeadlineReached) => UndeliveredReason::DeadlineReached,
            Some(SessionError::AllElementsFailed) => UndeliveredReason::AllElementsFailed,
            Some(SessionError::ChannelLost(reason)) => UndeliveredReason::ElementLost(reason),
            _ => UndeliveredReason::SessionEnded,
        };
        if session.asked {
            if let Some(handle) = session.handle(env.cache).cloned() {
                self.needs.push_back(Need::Forget { session: id, handle });
            }
        }
        self.end_links(env, id, reason);
        let Some(session) = self.slab.get_mut(id.0) else { return };
        if let Some(busy) = &mut session.busy {
            busy.search = None;
            let notices = &mut busy.inbox.with_journal(&mut env.ctx.journal, id);
            busy.queue.end(error.is_none(), reason, notices);
        }
        self.timers.set(&mut session.timer, None, Wake::Session(id));
        env.ctx.note(|| NoteKind::SessionEnded { session: id, error: error.clone() });
        session.extra().life = Life::Over(error);
        self.live -= 1;
    }

    /// Panics where the machine contradicts itself; a large one is looked at now and then by the
    /// steps of its sessions.
    #[cfg(any(test, debug_assertions))]
    fn check(&self) {
        const FEW: usize = 32;
        if self.slab.len() > FEW || self.links.len() > FEW {
            return;
        }
        let live = self.slab.iter().filter(|(_, session)| !session.is_over()).count();
        assert_eq!(self.live, live);
        let of_sessions = self.slab.iter().filter(|(_, session)| session.timer.is_some()).count();
        let of_links = self.links.iter().filter(|(_, link)| link.timer.is_some()).count();
        assert_eq!(self.timers.len(), of_sessions + of_links);
        for (key, link) in self.links.iter() {
            let session = self.slab.get(link.session.0).expect("a link has a session");
            assert!(session.links().any(|id| id == LinkId(key)));
        }
        let links: usize = self.slab.iter().map(|(_, session)| session.links().count()).sum();
        assert_eq!(self.links.len(), links);
    }
}

impl Session {
    fn new(mode: Mode, pool: Pool, options: SessionOptions) -> Self {
        Self {
            mode,
            pool,
            asked: false,
            accepted: false,
            hold_after_failover: options.hold_after_failover,
            gate: Gate::Open,
            kept: None,
            element: None,
            left: None,
            rests: false,
            known: None,
            noted: false,
            next_message: MessageId::default(),
            timer: None,
            busy: None,
            extra: None,
        }
    }

    fn handle<'a>(&'a self, cache: &'a Cache) -> Option<&'a PoolHandle> {
        match &self.pool {
            Pool::None => None,
            Pool::Named(handle) => Some(handle),
            Pool::Known(pool) => cache.get(*pool).map(|pool| pool.handle()),
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.life(), Life::Over(_))
    }

    fn life(&self) -> &Life {
        self.extra.as_ref().map_or(&Life::Open, |extra| &extra.life)
    }

    /// The link that is kept, or the one that got the last message.
    fn responsible(&self) -> Option<LinkId> {
        self.kept.or_else(|| {
            let extra = self.extra.as_ref()?;
            extra.links.get(&extra.last?.0).copied().filter(|_| self.mode == Mode::Choose)
        })
    }

    /// Every link.
    fn links(&self) -> impl Iterator<Item = LinkId> {
        let others = self.extra.iter().flat_map(|extra| extra.links.values().copied());
        self.kept.into_iter().chain(others)
    }

    fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Panics where the count of its links does not add up.
    #[cfg(any(test, debug_assertions))]
    fn check(&self, all: &Slab<Link>) {
        const FEW: usize = 32;
        if let Some(extra) = self.extra.as_ref().filter(|extra| extra.links.len() <= FEW) {
            let is_called = |id: &&LinkId| all.get(id.0).is_some_and(|link| link.up.is_none());
            assert_eq!(extra.calling, extra.links.values().filter(is_called).count());
        }
    }

    /// The application has read of an element that was lost or taken over; `opens` if there is
    /// nothing more of that to be read.
    fn events_read(&mut self, opens: bool) {
        if opens && self.gate == Gate::Untold {
            self.gate = if self.hold_after_failover { Gate::Held } else { Gate::Open };
        }
    }

    /// Lets the application know that it has something to read.
    fn note(&mut self, events: &mut Events, id: SessionId) {
        let unread = self.is_over() || self.busy.as_ref().is_some_and(|b| !b.inbox.is_empty());
        if unread && !core::mem::replace(&mut self.noted, true) {
            events.push(Entry::Session(id));
        }
    }
}

impl Busy {
    /// What is there, or made of what others have left.
    #[expect(clippy::vec_box, reason = "the boxes are what is kept")]
    fn of<'a>(slot: &'a mut Option<Box<Self>>, spare: &mut Vec<Box<Self>>) -> &'a mut Self {
        slot.get_or_insert_with(|| spare.pop().unwrap_or_default())
    }

    /// The search, begun if there is none.
    fn search(&mut self, now: Instant) -> &mut Search {
        self.search.get_or_insert_with(|| Search::begin(now))
    }

    fn is_idle(&self) -> bool {
        self.search.is_none() && self.queue.is_idle() && self.inbox.is_empty()
    }

    /// Whether its buffers are worth keeping.
    fn is_small(&self) -> bool {
        const FEW: usize = 64;
        self.queue.capacity() <= FEW && self.inbox.capacity() <= FEW
    }
}

impl Extra {
    /// Whether there is nothing of all this.
    fn is_empty(&self) -> bool {
        let Self { life, cookie, preferred, links, calling: _, last } = self;
        *life == Life::Open
            && cookie.is_none()
            && preferred.is_empty()
            && links.is_empty()
            && last.is_none()
    }
}

impl Rate {
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

/// For the explorer.
#[cfg(test)]
impl Sessions {
    pub(crate) fn link_ids(&self) -> impl Iterator<Item = LinkId> {
        self.links.iter().map(|(key, _)| LinkId(key))
    }

    pub(crate) fn link_element(&self, link: LinkId) -> Option<PeIdentifier> {
        self.links.get(link.0).and_then(|link| link.element)
    }

    /// The channel to the element that a session keeps.
    pub(crate) fn kept_channel(&self, id: SessionId) -> Option<ChannelId> {
        let link = self.slab.get(id.0)?.kept?;
        self.links.get(link.0).map(|link| link.channel)
    }

    /// The channel to the element that would be given up.
    pub(crate) fn responsible_channel(&self, id: SessionId) -> Option<ChannelId> {
        let link = self.slab.get(id.0)?.responsible()?;
        self.links.get(link.0).map(|link| link.channel)
    }

    pub(crate) fn is_over(&self, id: SessionId) -> bool {
        self.slab.get(id.0).is_none_or(Session::is_over)
    }
}

#[cfg(test)]
fingerprint!(Sessions {
    slab, links, timers, needs, live, failovers, card_lookups, card
} others { spare, buffer });

/// In the explorer's fingerprints: without what is over. No span is longer than a second.
#[cfg(test)]
impl core::hash::Hash for Rate {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        let counts = ahead(self.since + Duration::from_secs(1));
        (counts, if counts.is_zero() { 0 } else { self.count }).hash(state);
    }
}
