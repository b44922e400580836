//! What can be seen of a session from outside. Nothing here changes or allocates anything, and an
//! idle session keeps nothing for it.

use core::fmt;

use bytes::Bytes;

use super::link::Link;
use super::options::LossReason;
use super::search::{Search, Step};
use super::{Busy, Gate, Life, Mode, Pool, Session, Sessions};
use crate::Instant;
use crate::cache::Cache;
use crate::context::Context;
use crate::id::SessionId;
use crate::slab::Slab;
use crate::wire::{PeIdentifier, PoolHandle};

/// A session to look at, see [`PoolUser::session`](crate::PoolUser::session).
#[derive(Clone, Copy)]
pub struct SessionRef<'a> {
    session: &'a Session,
    links: &'a Slab<Link>,
    cache: &'a Cache,
    ctx: &'a Context,
    now: Instant,
}

/// Where a session stands, see [`SessionRef::state`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SessionState {
    /// It has no element and waits for a registrar's list of its pool.
    Resolving,
    /// It waits for the channel to an element.
    Calling,
    /// It has no element, and waits until it may call the next one, or all of them once more.
    Pausing,
    /// The channel to its element is up.
    Up,
    /// Its element has closed the channel in good order, and nothing waits to be sent. The next
    /// message has the same element called first.
    Resting,
    /// It knows its pool and chooses an element for each message
    /// ([`choose_per_message`](crate::SessionOptions::choose_per_message)).
    Choosing,
    /// It is over, and [`Event::SessionEnded`](crate::Event::SessionEnded) was not read yet.
    Over,
}

/// What the next deadline of a session is for, see [`SessionRef::next_step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SessionTimer {
    /// The registrar's newest list is waited for; then the session goes on with the one it has
    /// (`sessions.connect_timeout`).
    List,
    /// A pause ends, and the next element is called (`sessions.session_backoff`, `sessions.failover_spread`).
    Pause,
    /// An element that is called and has not come up has failed (`sessions.connect_timeout`).
    Connect,
    /// A message that has found no element is returned (`sessions.session_deadline`).
    Message,
    /// The session ends, as it has found no element (`sessions.session_deadline`).
    Deadline,
    /// A channel that is still up has proven that its element serves (`sessions.stable_after`).
    Stable,
    /// What is remembered of elements that were tried does not count any more (`sessions.stable_after`).
    Forget,
    /// A session that is closing ends, even if not everything was handed over
    /// (`sessions.session_deadline`).
    Close,
}

/// What messages wait for although elements could take them, see [`SessionRef::held_back`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HeldBack {
    /// [`Event::FailedOver`](crate::Event::FailedOver) or
    /// [`Event::ElementLost`](crate::Event::ElementLost) is unread.
    Unread,
    /// [`resume`](crate::SessionMut::resume) was not called yet after a failover
    /// ([`hold_after_failover`](crate::SessionOptions::hold_after_failover)).
    NotResumed,
}

impl Sessions {
    /// A session to look at, if there is such a session, be it over.
    pub(crate) fn look<'a>(
        &'a self,
        ctx: &'a Context,
        cache: &'a Cache,
        now: Instant,
        id: SessionId,
    ) -> Option<SessionRef<'a>> {
        let session = self.slab.get(id.0)?;
        Some(SessionRef { session, links: &self.links, cache, ctx, now })
    }
}

impl<'a> SessionRef<'a> {
    /// Its pool; none where it was opened at an address, or by a peer that has not named its pool.
    #[must_use]
    pub fn handle(&self) -> Option<&'a PoolHandle> {
        self.session.handle(self.cache)
    }

    /// Where it stands. [`is_closing`](Self::is_closing) tells beside this whether it is to end.
    #[must_use]
    pub fn state(&self) -> SessionState {
        let step = self.search().map(|search| search.step);
        match (self.session.mode, self.kept(), step) {
            _ if self.session.is_over() => SessionState::Over,
            (_, Some(link), _) if link.up.is_some() => SessionState::Up,
            (_, Some(_), _) => SessionState::Calling,
            (Mode::Choose, ..) if matches!(self.session.pool, Pool::Known(_)) => {
                SessionState::Choosing
            }
            (_, None, Some(Step::Resolving(_))) => SessionState::Resolving,
            (_, None, Some(Step::Pausing { .. })) if !self.session.rests => SessionState::Pausing,
            (_, None, _) => SessionState::Resting,
        }
    }

    /// Whether it ends once everything was handed over
    /// ([`close`](crate::SessionMut::close)).
    #[must_use]
    pub fn is_closing(&self) -> bool {
        matches!(self.session.life(), Life::Closing(_))
    }

    /// The element that it is connected to; none where it chooses one for each message.
    #[must_use]
    pub fn element(&self) -> Option<PeIdentifier> {
        self.kept().filter(|link| link.up.is_some())?.element
    }

    /// The element that is [called](SessionState::Calling).
    #[must_use]
    pub fn calling(&self) -> Option<PeIdentifier> {
        self.kept().filter(|link| link.up.is_none())?.element
    }

    /// Every element that it has a channel to, and since when that is up: several where it chooses
    /// one for each message, and after messages to all.
    pub fn elements(&self) -> impl Iterator<Item = (PeIdentifier, Instant)> + use<'a> {
        let links = self.links;
        let links = self.session.links().filter_map(move |link| links.get(link.0));
        links.filter_map(|link| link.element.zip(link.up))
    }

    /// Since when its channel is up, or since when it is without one and looks for an element, all
    /// of resolving, calling and pausing together. None while it rests, chooses, or is over, for
    /// which nothing is kept.
    #[must_use]
    pub fn since(&self) -> Option<Instant> {
        let up = self.kept().and_then(|link| link.up);
        up.or_else(|| self.search()?.since)
    }

    /// How many of its messages wait to be handed to the driver.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.busy().map_or(0, |busy| busy.queue.waiting() + busy.queue.assigned())
    }

    /// How many of its messages were handed to the driver and have not met their fate. Looks at each
    /// of them.
    #[must_use]
    pub fn unconfirmed(&self) -> usize {
        self.busy().map_or(0, |busy| busy.queue.unconfirmed())
    }

    /// When the oldest message was sent of those that are queued or unconfirmed.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        self.busy()?.queue.oldest()
    }

    /// What data waits for although elements could take it, if it does.
    #[must_use]
    pub fn held_back(&self) -> Option<HeldBack> {
        match self.session.gate {
            Gate::Open => None,
            Gate::Untold => Some(HeldBack::Unread),
            Gate::Held => Some(HeldBack::NotResumed),
        }
    }

    /// The elements that were tried in vain in the present round of the search, in this order. They
    /// are remembered until an element has proven that it serves.
    #[must_use]
    pub fn tried(&self) -> &'a [PeIdentifier] {
        self.search().map_or(&[], |search| &search.tried)
    }

    /// How many rounds over all elements of the pool were in vain; at `sessions.max_rounds` the search is
    /// given up.
    #[must_use]
    pub fn rounds(&self) -> u32 {
        self.search().map_or(0, |search| search.rounds)
    }

    /// Why it has lost an element for the last time, or has not got to one.
    #[must_use]
    pub fn last_loss(&self) -> Option<LossReason> {
        self.session.left
    }

    /// When it goes on by itself if nothing comes before, and with what. What it waits for is told
    /// by [`state`](Self::state); none where that may take as long as it likes. A registrar's list
    /// is waited for no longer than the resolver does (`resolution.request_deadline`).
    #[must_use]
    pub fn next_step(&self) -> Option<(Instant, SessionTimer)> {
        if self.session.is_over() {
            return None;
        }
        let own = self.session.next_step(self.now, self.ctx, self.links);
        let links = self.session.links().filter_map(|link| {
            let link = self.links.get(link.0)?;
            let what = if link.up.is_some() { SessionTimer::Stable } else { SessionTimer::Connect };
            link.timer.map(|at| (at, what))
        });
        own.into_iter().chain(links).min()
    }

    /// The latest cookie: received from an element, or given with
    /// [`set_cookie`](crate::SessionMut::set_cookie).
    #[must_use]
    pub fn cookie(&self) -> Option<&'a Bytes> {
        let link = self.session.responsible().and_then(|link| self.links.get(link.0));
        let latest = link.and_then(|link| link.cookie.as_deref());
        latest.or_else(|| self.session.extra.as_ref()?.cookie.as_ref())
    }

    /// The link that it keeps.
    fn kept(&self) -> Option<&'a Link> {
        self.links.get(self.session.kept?.0)
    }

    fn busy(&self) -> Option<&'a Busy> {
        self.session.busy.as_deref()
    }

    fn search(&self) -> Option<&'a Search> {
        self.busy()?.search.as_ref()
    }
}

/// Without any data.
impl fmt::Debug for SessionRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRef")
            .field("handle", &self.handle())
            .field("state", &self.state())
            .field("is_closing", &self.is_closing())
            .field("element", &self.element())
            .field("calling", &self.calling())
            .field("since", &self.since())
            .field("queued", &self.queued())
            .field("unconfirmed", &self.unconfirmed())
            .field("oldest", &self.oldest())
            .field("held_back", &self.held_back())
            .field("rounds", &self.rounds())
            .field("last_loss", &self.last_loss())
            .field("next_step", &self.next_step())
            .finish_non_exhaustive()
    }
}
