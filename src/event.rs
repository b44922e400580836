//! What the application is told, and how it stays bounded.
//!
//! Three kinds of events share one queue. *Answers* (a resolution ended, a session ended, a message
//! came back) belong to something that the application started, which counts against its limit
//! until the answer has been read. *Received data* is bounded in bytes; what exceeds the bound is
//! dropped and counted, and the session's next event says so. *States* (the home registrar, those that
//! are barred, the element of a session, what changed in a pool) are not queued at all: the queue holds a note that
//! there is something to tell, and the event is made from the state at the time it is read, so that
//! an application that reads seldom hears where things stand rather than all that happened.

use alloc::collections::VecDeque;

use bytes::Bytes;

use crate::channel::Authentication;
use crate::error::{ResolveError, SessionError};
use crate::id::{MessageId, PoolId, RequestId, SessionId};
use crate::wire::{PeIdentifier, PoolHandle, Transport};

/// What the application is told by [`PoolUser::poll_event`](crate::PoolUser::poll_event).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// A home registrar was found.
    #[non_exhaustive]
    RegistrarFound {
        /// Where it listens.
        transport: Transport,
        /// Whether the driver knows who it is.
        authentication: Authentication,
    },
    /// A registrar is not who it should be, or did not prove that it is (RFC 5352 §9.2): it is left alone
    /// for `bar_time`, see [`PoolUser::barred`](crate::PoolUser::barred).
    #[non_exhaustive]
    RegistrarSuspect {
        /// Where it listens.
        transport: Transport,
    },
    /// The home registrar was lost and another one is looked for.
    RegistrarLost,
    /// A registrar is needed and none is known; requests wait for an announce.
    NoRegistrarKnown,
    /// A registrar is needed and those that are known did not come up when they were tried; they
    /// are tried again, and requests wait until their deadline. Told once in a hunt.
    NoRegistrarReachable,

    /// A pool handle was resolved.
    #[non_exhaustive]
    Resolved {
        /// The request.
        request: RequestId,
        /// The pool, to select from.
        pool: PoolId,
        /// Whether the pool is older than `stale_cache_value` (RFC 5352 §3.3 C3), or is otherwise known
        /// to be out of date.
        stale: bool,
        /// Whether the registrar that listed it was authenticated (RFC 5352 §9.3).
        authentication: Authentication,
    },
    /// A pool handle could not be resolved.
    #[non_exhaustive]
    ResolutionFailed {
        /// The request.
        request: RequestId,
        /// The pool handle.
        handle: PoolHandle,
        /// Why.
        error: ResolveError,
    },

    /// A pool that the application subscribes to has changed since it last heard of it; see
    /// [`PoolUser::pool`](crate::PoolUser::pool) for what it is.
    #[non_exhaustive]
    PoolChanged {
        /// The pool.
        pool: PoolId,
        /// How many elements came.
        joined: u32,
        /// How many elements left.
        left: u32,
        /// How many elements have other values or another transport.
        altered: u32,
    },
    /// A registrar refused to list a pool that the application subscribes to, which ends the
    /// subscription (RFC 5352 §2.2.5).
    #[non_exhaustive]
    SubscriptionEnded {
        /// The pool handle.
        handle: PoolHandle,
        /// Why.
        error: ResolveError,
    },

    /// A session has its first element.
    #[non_exhaustive]
    Connected {
        /// The session.
        session: SessionId,
        /// The element; 0 where the session was opened at an address.
        element: PeIdentifier,
    },
    /// A session lost its element and looks for another one. Where it chooses for each message,
    /// this is all that it says of a failover, and nothing meant for the lost element has gone
    /// elsewhere yet.
    #[non_exhaustive]
    ElementLost {
        /// The session.
        session: SessionId,
        /// The element.
        element: PeIdentifier,
    },
    /// A session goes on at another element. No data has gone there yet (RFC 5355 §2.9); it goes
    /// once this event has been read, or, where the session was opened to hold, after
    /// [`resume`](crate::PoolUser::resume).
    #[non_exhaustive]
    FailedOver {
        /// The session.
        session: SessionId,
        /// The element that the application last heard of.
        from: PeIdentifier,
        /// The new element; the same as `from` where only that one was left.
        to: PeIdentifier,
        /// Whether a cookie was sent ahead, so that the element can restore the session's state.
        cookie_echoed: bool,
    },
    /// Data arrived.
    #[non_exhaustive]
    Received {
        /// The session.
        session: SessionId,
        /// The pool; the empty handle where the session was opened at an address, or by the peer.
        handle: PoolHandle,
        /// The element that sent it; 0 where the session was opened at an address, or by the peer.
        element: PeIdentifier,
        /// One message, or with a byte stream what arrived of it.
        data: Bytes,
    },
    /// Received data of a session was dropped because the application left too much unread.
    #[non_exhaustive]
    Dropped {
        /// The session.
        session: SessionId,
        /// How many messages.
        messages: u64,
    },
    /// A cookie was too long to store; the former one is forgotten too, since it is out of date.
    #[non_exhaustive]
    CookieTooLong {
        /// The session.
        session: SessionId,
    },
    /// One copy of a message to all elements has met its fate. There is one such event for each
    /// element.
    #[non_exhaustive]
    Copied {
        /// The session.
        session: SessionId,
        /// The message.
        message: MessageId,
        /// The element that the copy was for.
        element: PeIdentifier,
        /// Whether the copy was handed to the driver; if not, the element could not be reached.
        sent: bool,
    },
    /// A peer that opened the session hands back a cookie that another element gave it (RFC 5352
    /// §3.8): the state to go on from.
    #[non_exhaustive]
    CookieEchoed {
        /// The session.
        session: SessionId,
        /// The cookie. Whether it can be trusted is for the pool's elements to know; they should
        /// have signed it.
        cookie: Bytes,
    },
    /// A session that refused a message because its queue was full has room again: half of it or
    /// more.
    #[non_exhaustive]
    Room {
        /// The session.
        session: SessionId,
    },
    /// A message of a session was not delivered and is given back.
    #[non_exhaustive]
    Undelivered {
        /// The session.
        session: SessionId,
        /// The message.
        message: MessageId,
        /// What it says.
        data: Bytes,
    },
    /// A session is over; nothing refers to it afterwards.
    #[non_exhaustive]
    SessionEnded {
        /// The session.
        session: SessionId,
        /// Why, or `None` where it was closed as asked.
        error: Option<SessionError>,
    },
}

/// An entry of the queue: an event, or a note that there is one to be made.
#[derive(Debug)]
pub(crate) enum Entry {
    Registrar,
    Suspects,
    Pools,
    Subscriptions,
    Session(SessionId),
    Ready(Event),
}

impl Entry {
    /// The request whose end it tells.
    pub(crate) const fn request(&self) -> Option<RequestId> {
        match self {
            Self::Ready(
                Event::Resolved { request, .. } | Event::ResolutionFailed { request, .. },
            ) => Some(*request),
            _ => None,
        }
    }

    /// The session that it is about.
    pub(crate) const fn session(&self) -> Option<SessionId> {
        match self {
            Self::Session(session)
            | Self::Ready(Event::Received { session, .. } | Event::CookieEchoed { session, .. }) => {
                Some(*session)
            }
            _ => None,
        }
    }
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Events {
    queue: VecDeque<Entry>,
    unread_bytes: usize,
    /// How many entries came, and requests and sessions were taken away, since the queue was last
    /// rid of those.
    since: usize,
}

impl Events {
    pub(crate) const fn new() -> Self {
        Self { queue: VecDeque::new(), unread_bytes: 0, since: 0 }
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.since += 1;
        self.queue.push_back(entry);
    }

    /// Queues what was received, if it fits beside what is unread; makes the event only then.
    pub(crate) fn push_received(
        &mut self,
        len: usize,
        max_unread_bytes: usize,
        event: impl FnOnce() -> Event,
    ) -> bool {
        let cost = Self::cost(len);
        if self.unread_bytes.saturating_add(cost) > max_unread_bytes {
            return false;
        }
        self.unread_bytes += cost;
        self.push(Entry::Ready(event()));
        true
    }

    pub(crate) fn front(&self) -> Option<&Entry> {
        self.queue.front()
    }

    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let entry = self.queue.pop_front()?;
        self.unread_bytes -= Self::unread(&entry);
        Some(entry)
    }

    /// The application wants to hear no more of a request or session. So that taking away many of
    /// them costs no more than each its share, entries that are not `wanted` are dropped once there
    /// was as much to do as half of the queue is long; who reads passes over those left.
    pub(crate) fn forget(&mut self, wanted: impl Fn(&Entry) -> bool) {
        self.since += 1;
        if 2 * self.since < self.queue.len() {
            return;
        }
        self.since = 0;
        self.queue.retain(wanted);
        self.unread_bytes = self.queue.iter().map(Self::unread).sum();
    }

    /// What an entry counts for among what is unread.
    fn unread(entry: &Entry) -> usize {
        match entry {
            Entry::Ready(
                Event::Received { data, .. } | Event::CookieEchoed { cookie: data, .. },
            ) => Self::cost(data.len()),
            _ => 0,
        }
    }

    /// Empty messages cost something too.
    const fn cost(len: usize) -> usize {
        len + size_of::<Entry>()
    }
}
