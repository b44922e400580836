//! What the application is told, and how it stays bounded.
//!
//! *Answers* (a resolution ended) belong to something that the application started, which counts
//! against its limit until the answer has been read. *States* (the home registrar, those that are
//! barred, what changed in a pool) are not queued at all: the queue holds a note that there is
//! something to tell, and the event is made from the state at the time it is read, so that an
//! application that reads seldom hears where things stand rather than all that happened. What there
//! is to read of a *session* stands in an inbox of its own, in order, and the queue holds a note of
//! that too. *Received data* is bounded in bytes over all of them; what exceeds the bound is dropped
//! and counted, and the session's next event says so.

use alloc::collections::VecDeque;

use bytes::Bytes;

use crate::channel::Authentication;
use crate::error::{ResolveError, SessionError};
#[cfg(test)]
use crate::explorer::fingerprint;
use crate::id::{MessageId, PoolId, RequestId, SessionId};
use crate::room::Room as _;
use crate::session::{LossReason, UndeliveredReason};
use crate::wire::{PeIdentifier, PoolHandle, Transport};

/// What the application is told by [`PoolUser::poll_event`](crate::PoolUser::poll_event).
///
/// With the feature `test-util` events can be made up, to test what an application makes of them:
///
#[cfg_attr(feature = "test-util", doc = "```")]
#[cfg_attr(not(feature = "test-util"), doc = "```ignore")]
/// use asap_pu::{Event, MessageId, SessionId, UndeliveredReason};
///
/// fn is_to_be_sent_again(event: &Event) -> bool {
///     matches!(event, Event::Returned { reason: UndeliveredReason::NotSent, .. })
/// }
///
/// let returned = Event::Returned {
///     session: SessionId::from_u64(1),
///     message: MessageId::from_u64(7),
///     data: "hello".into(),
///     reason: UndeliveredReason::NotSent,
/// };
/// assert!(is_to_be_sent_again(&returned));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// A home registrar was found.
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    RegistrarFound {
        /// Where it listens.
        transport: Transport,
        /// Whether the driver knows who it is.
        authentication: Authentication,
    },
    /// A registrar is not who it should be, or did not prove that it is (RFC 5352 §9.2): it is left alone
    /// for `discovery.bar_time`, see [`RegistrarsRef::barred`](crate::RegistrarsRef::barred).
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    RegistrarBarred {
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
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    Resolved {
        /// The request.
        request: RequestId,
        /// The pool, to select from.
        pool: PoolId,
        /// Whether the pool may be out of date: the list is older than `cache.stale_cache_value` (RFC 5352
        /// §3.3 C3) and nobody tells of its changes, or no registrar could be asked for a newer one.
        stale: bool,
        /// Whether the registrar that listed it was authenticated (RFC 5352 §9.3).
        authentication: Authentication,
    },
    /// A pool handle could not be resolved.
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
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
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    PoolChanged {
        /// The pool.
        pool: PoolId,
        /// How many elements came.
        joined: u32,
        /// How many elements left.
        left: u32,
        /// How many elements have another home, another transport, or other values by which they are chosen;
        /// those of a policy that is not the crate's are not compared.
        altered: u32,
    },
    /// A registrar refused to list a pool that the application subscribes to, which ends the
    /// subscription (RFC 5352 §2.2.5).
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    SubscriptionEnded {
        /// The pool handle.
        handle: PoolHandle,
        /// Why.
        error: ResolveError,
    },

    /// A session has its first element. Those that could not be reached before it are no failover; the
    /// journal tells of them ([`NoteKind::ChannelLost`](crate::NoteKind::ChannelLost)).
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    Connected {
        /// The session.
        session: SessionId,
        /// The element; `None` where the session was opened at an address.
        element: Option<PeIdentifier>,
    },
    /// A session lost the channel to its element. If the element closed it in good order and
    /// nothing waits, the session rests; else it looks for another element, or for the same one
    /// again. Where it chooses for each message, this is all that it says of a failover, and
    /// nothing goes elsewhere before this was read (RFC 5355 §2.9).
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    ElementLost {
        /// The session.
        session: SessionId,
        /// The element; `None` where a peer had opened the session.
        element: Option<PeIdentifier>,
        /// Why.
        reason: LossReason,
    },
    /// A session goes on at another element, or over a new channel to the same one. No data has
    /// gone there yet (RFC 5355 §2.9); it goes once this event has been read, or, where the session
    /// was opened to hold, after [`resume`](crate::SessionMut::resume).
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    FailedOver {
        /// The session.
        session: SessionId,
        /// The element that the application last heard of; `None` where a peer had opened the
        /// session.
        from: Option<PeIdentifier>,
        /// The element; the same as `from` where that was called again.
        to: PeIdentifier,
        /// Whether a cookie was sent ahead, so that the element can restore the session's state.
        cookie_echoed: bool,
    },
    /// Data arrived.
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    Received {
        /// The session.
        session: SessionId,
        /// The pool; `None` where the session was opened at an address, or by a peer that has not
        /// named its pool.
        handle: Option<PoolHandle>,
        /// The element that sent it; `None` where the session was opened at an address, or by the
        /// peer.
        element: Option<PeIdentifier>,
        /// One message, or with a byte stream what arrived of it.
        data: Bytes,
    },
    /// Received data of a session was dropped because the application left too much unread.
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    Dropped {
        /// The session.
        session: SessionId,
        /// How many messages.
        messages: u64,
    },
    /// A cookie was too long to store; the former one is forgotten too, since it is out of date.
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    CookieTooLong {
        /// The session.
        session: SessionId,
    },
    /// One copy of a message to all elements has met its fate. There is one such event for each
    /// element.
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    CopyResult {
        /// The session.
        session: SessionId,
        /// The message.
        message: MessageId,
        /// The element that the copy was for; `None` where the session has no pool.
        element: Option<PeIdentifier>,
        /// Why it is not known to have arrived; `None` if it was handed over, and written or
        /// delivered where the driver tells.
        failure: Option<UndeliveredReason>,
    },
    /// A peer that opened the session hands back a cookie that another element gave it (RFC 5352
    /// §3.8): the state to go on from.
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    CookieEchoed {
        /// The session.
        session: SessionId,
        /// The cookie. Whether it can be trusted is for the pool's elements to know; they should
        /// have signed it.
        cookie: Bytes,
    },
    /// A session that refused a message because its queue was full has room again: half of it or
    /// more.
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    Writable {
        /// The session.
        session: SessionId,
    },
    /// A message that was sent with a [`receipt`](crate::SendOptions::receipt) is done.
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    Sent {
        /// The session.
        session: SessionId,
        /// The message.
        message: MessageId,
        /// Whether the transport says that it was delivered; else it was written.
        delivered: bool,
    },
    /// A message of a session was certainly not delivered and is given back.
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    Returned {
        /// The session.
        session: SessionId,
        /// The message.
        message: MessageId,
        /// What it says.
        data: Bytes,
        /// Why.
        reason: UndeliveredReason,
    },
    /// A message of a session was handed over, and nobody knows whether it was delivered.
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    Lost {
        /// The session.
        session: SessionId,
        /// The message.
        message: MessageId,
        /// What it says.
        data: Bytes,
        /// Why.
        reason: UndeliveredReason,
    },
    /// A session is over; nothing refers to it afterwards.
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    SessionEnded {
        /// The session.
        session: SessionId,
        /// Why, or `None` where it was closed as asked.
        error: Option<SessionError>,
    },
}

impl Event {
    /// The session that it is about, if it is about one.
    #[must_use]
    pub const fn session(&self) -> Option<SessionId> {
        match self {
            Self::Connected { session, .. }
            | Self::ElementLost { session, .. }
            | Self::FailedOver { session, .. }
            | Self::Received { session, .. }
            | Self::Dropped { session, .. }
            | Self::CookieTooLong { session }
            | Self::CopyResult { session, .. }
            | Self::CookieEchoed { session, .. }
            | Self::Writable { session }
            | Self::Sent { session, .. }
            | Self::Returned { session, .. }
            | Self::Lost { session, .. }
            | Self::SessionEnded { session, .. } => Some(*session),
            Self::RegistrarFound { .. }
            | Self::RegistrarBarred { .. }
            | Self::RegistrarLost
            | Self::NoRegistrarKnown
            | Self::NoRegistrarReachable
            | Self::Resolved { .. }
            | Self::ResolutionFailed { .. }
            | Self::PoolChanged { .. }
            | Self::SubscriptionEnded { .. } => None,
        }
    }
}

/// An entry of the queue: an event, or a note that there is one to be made.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(crate) enum Entry {
    Registrar,
    Barred,
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
            Self::Session(session) => Some(*session),
            _ => None,
        }
    }
}

/// The queue.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
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
        self.queue.for_one_more();
        self.queue.push_back(entry);
    }

    /// Counts something of `len` bytes that was received, if it fits beside what is unread.
    pub(crate) fn reserve(&mut self, len: usize, max_unread_bytes: usize) -> bool {
        let unread = self.unread_bytes.saturating_add(Self::cost(len));
        let fits = unread <= max_unread_bytes;
        if fits {
            self.unread_bytes = unread;
        }
        fits
    }

    /// So many bytes that were [counted](Self::cost) are not unread any more.
    pub(crate) fn release(&mut self, bytes: usize) {
        self.unread_bytes -= bytes;
    }

    pub(crate) fn front(&self) -> Option<&Entry> {
        self.queue.front()
    }

    pub(crate) fn pop(&mut self) -> Option<Entry> {
        self.queue.pop_front()
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
    }

    /// Empty messages cost something too.
    pub(crate) const fn cost(len: usize) -> usize {
        len + size_of::<Entry>()
    }
}

#[cfg(test)]
fingerprint!(Events { queue, unread_bytes } others { since });
