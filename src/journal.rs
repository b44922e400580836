//! Why: what the machines decided and for which reason, one typed note for each decision.
//!
//! A session that does not fail over as expected, a registrar that is not tried, a message that comes
//! back: [`Event`](crate::Event)s tell what came of it, and the notes tell how it came to that. The
//! machines write them where they decide, beside the counters in [`Stats`](crate::Stats). The latest
//! [`max_notes`](crate::Limits::max_notes) are kept in a ring, which bounds them whatever happens. They
//! are read one after the other with [`PoolUser::poll_note`](crate::PoolUser::poll_note), to be handed to
//! a log as they come, or all at once with [`PoolUser::notes`](crate::PoolUser::notes), as a dump after
//! the fact. Nobody has to read them, and nothing depends on them.
//!
//! What a note tells is what it concerns, as fields, and one plain line as [`Display`](fmt::Display). No
//! note holds what a message says.

use alloc::collections::VecDeque;
use core::fmt;

use thiserror::Error;

use crate::Instant;
use crate::error::{ResolveError, SessionError};
use crate::id::{ChannelId, MessageId, SessionId};
use crate::misuse::Misuse;
use crate::session::{LossReason, UndeliveredReason};
use crate::wire::{PeIdentifier, PoolHandle, Transport};

/// So many notes have their place reserved with the first one, if the ring holds as many.
const RESERVED: usize = 1_024;

/// What was decided, and when; see [`PoolUser::poll_note`](crate::PoolUser::poll_note).
///
/// ```
/// use asap_pu::wire::Protocol;
/// use asap_pu::{Capabilities, Config, Instant, NoteKind, PoolUser, Registrar};
///
/// let mut config = Config::default();
/// config.discovery.registrars.push(Registrar::tcp("192.0.2.1:3863".parse()?));
/// let tcp = Capabilities::NONE.with_registrars(Protocol::Tcp);
/// let mut pool_user = PoolUser::new(config, tcp, 1)?;
/// pool_user.registrars_mut(Instant::EPOCH).find_home();
///
/// let notes: Vec<_> = pool_user.notes().collect();
/// assert!(matches!(notes[0].what, NoteKind::HuntRound { round: 1, .. }));
/// assert!(matches!(notes[1].what, NoteKind::RegistrarTried { .. }));
/// assert_eq!(notes[1].to_string(), "0ns: tries registrar TCP 192.0.2.1:3863 (channel 0.1)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Note {
    /// The time of the input, the command or the poll in which it was decided.
    pub at: Instant,
    /// What was decided.
    pub what: NoteKind,
}

/// Who is at the other end of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Peer {
    /// A registrar.
    #[non_exhaustive]
    Registrar {
        /// Where it listens.
        transport: Transport,
    },
    /// An element.
    #[non_exhaustive]
    Element {
        /// The session that the channel is for.
        session: SessionId,
        /// The element; `None` where the session was opened at an address or by the peer.
        element: Option<PeIdentifier>,
    },
}

/// Defines an enum whose variants can be listed by name.
macro_rules! named {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[$doc:meta])* $variant:ident $({ $($fields:tt)* })?,)*
        }
    ) => {
        $(#[$meta])*
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* #[non_exhaustive] $variant $({ $($fields)* })?,)*
        }

        impl $name {
            /// The names of all kinds, in the order of their declaration.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($variant)),*];

            /// The name of its kind, one of [`NAMES`](Self::NAMES): for a log or a counter.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => stringify!($variant),)*
                }
            }
        }
    };
}
pub(crate) use named;

named! {
/// What was decided: *when* stands first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NoteKind {
    /// A round of the hunt for a home registrar begins (RFC 5352 §3.6): the first when a home is
    /// wanted or doubted, another whenever T5-Serverhunt expires.
    HuntRound {
        /// Which round of this hunt it is, from 1 on.
        round: u32,
        /// When T5-Serverhunt expires.
        ends: Instant,
    },
    /// The hunt has a place for one more channel, and a registrar's turn has come.
    RegistrarTried {
        /// The channel that is asked for.
        channel: ChannelId,
        /// Where it listens.
        transport: Transport,
    },
    /// A registrar's turn has come, or its channel is up, and it may not be the home.
    RegistrarPassedOver {
        /// Where it listens.
        transport: Transport,
        /// Why.
        reason: PassedOver,
    },
    /// A registrar is not who it should be, or did not prove it (RFC 5352 §9.2).
    RegistrarBarred {
        /// Where it listens.
        transport: Transport,
        /// Until when it is left alone.
        until: Instant,
    },
    /// No registrar came up in a whole round; told once in a hunt.
    HuntInVain {
        /// In which round.
        round: u32,
    },
    /// A home registrar is wanted and no registrar is known.
    AnnounceAwaited {
        /// Until when an announce is waited for; `None` where none can come.
        until: Option<Instant>,
    },
    /// Nobody waits for a registrar any more.
    HuntEnded,
    /// The first channel of a hunt came up: it leads to the home registrar from here on.
    HomeFound {
        /// The channel.
        channel: ChannelId,
        /// Where it listens.
        transport: Transport,
    },
    /// The home registrar left a request unanswered: another one is looked for beside it (§3.7.2).
    HomeDoubted {
        /// Its channel.
        channel: ChannelId,
        /// Where it listens.
        transport: Transport,
    },
    /// The home registrar was doubted and has answered.
    HomeAnswered {
        /// Its channel.
        channel: ChannelId,
        /// Where it listens.
        transport: Transport,
    },
    /// The home registrar is not the home any more.
    HomeLost {
        /// Its channel, which is no more.
        channel: ChannelId,
        /// Where it listens.
        transport: Transport,
        /// Why.
        reason: HomeLossReason,
    },

    /// A channel came up, or was taken over from a peer.
    ChannelUp {
        /// The channel.
        channel: ChannelId,
        /// Who is there.
        peer: Peer,
    },
    /// A channel did not come up, or ended other than by being of no more use. For the end of a home
    /// registrar's channel there is [`HomeLost`](Self::HomeLost).
    ChannelLost {
        /// The channel.
        channel: ChannelId,
        /// Who was there, or was called.
        peer: Peer,
        /// Why.
        reason: LossReason,
    },
    /// A channel is of no more use and is closed.
    ChannelClosed {
        /// The channel.
        channel: ChannelId,
        /// Who was there, or was called.
        peer: Peer,
    },

    /// A request for a pool goes to the home registrar for the first time.
    RequestSent {
        /// The pool.
        handle: PoolHandle,
        /// The channel to the home.
        channel: ChannelId,
    },
    /// T1-ENRPrequest expired, and the request is sent again.
    RequestRepeated {
        /// The pool.
        handle: PoolHandle,
        /// The channel to the home.
        channel: ChannelId,
        /// Which repetition it is, from 1 on.
        repetition: u32,
        /// How many there may be (`resolution.max_request_retransmit`).
        of: u32,
    },
    /// There is a new home registrar, or the way to it has changed, and an outstanding request goes
    /// there (§3.7.1).
    RequestMoved {
        /// The pool.
        handle: PoolHandle,
        /// The channel to the home.
        channel: ChannelId,
    },
    /// The same pool was asked for a moment before (`resolution.resolution_interval`).
    RequestPaused {
        /// The pool.
        handle: PoolHandle,
        /// When the request may go.
        until: Instant,
    },
    /// A registrar refused a request for other reasons than that there is no such pool.
    RequestRefused {
        /// The pool.
        handle: PoolHandle,
        /// Why.
        error: ResolveError,
    },
    /// A request is given up for some or all who waited for it.
    RequestFailed {
        /// The pool.
        handle: PoolHandle,
        /// Why.
        error: ResolveError,
    },

    /// A registrar's list replaces the one that there was, if there was any.
    ListReplaced {
        /// The pool.
        handle: PoolHandle,
        /// How many elements are listed now.
        elements: u32,
        /// How many of them are new.
        joined: u32,
        /// How many are not listed any more.
        left: u32,
        /// How many have other values or another transport.
        altered: u32,
        /// How many of those listed have no transport that the driver speaks.
        unsupported: u32,
    },
    /// A registrar's list has no element that can be used, and changes nothing.
    ListUnusable {
        /// The pool.
        handle: PoolHandle,
    },
    /// A pool is wanted and its list is out of date: a newer one is asked for.
    PoolStale {
        /// The pool.
        handle: PoolHandle,
        /// When its list came.
        fetched: Instant,
    },
    /// A registrar does not know a pool.
    PoolUnknown {
        /// The pool.
        handle: PoolHandle,
    },
    /// A registrar that became the home a moment ago does not know a pool that was known, which is
    /// not believed yet (`discovery.registrar_grace`).
    PoolDisputed {
        /// The pool.
        handle: PoolHandle,
        /// When it is asked for again.
        again: Instant,
    },

    /// A session turns to an element; to a marked one where nothing else is left.
    ElementTried {
        /// The session.
        session: SessionId,
        /// The element; `None` where the session was opened at an address.
        element: Option<PeIdentifier>,
        /// The channel that is asked for.
        channel: ChannelId,
        /// Where the element listens.
        transport: Transport,
    },
    /// A session looks for an element and does not turn to this one. Where all are marked, the one that
    /// failed the longest ago is tried nonetheless. Of those that the policy passes
    /// over each is told once in a round, and eight for their marks at most.
    ElementPassedOver {
        /// The session.
        session: SessionId,
        /// The element.
        element: PeIdentifier,
        /// Why.
        reason: PassedOver,
    },
    /// An element was found unreachable.
    ElementMarked {
        /// The pool.
        handle: PoolHandle,
        /// The element.
        element: PeIdentifier,
        /// Until when others are preferred (`cache.failure_mark`).
        until: Instant,
    },
    /// The failure mark of an element does not count any more.
    MarkEnded {
        /// The pool.
        handle: PoolHandle,
        /// The element.
        element: PeIdentifier,
        /// Why.
        reason: MarkEnd,
    },

    /// An unreachable report leaves for the home registrar (RFC 5352 §3.5).
    ReportSent {
        /// The pool.
        handle: PoolHandle,
        /// The element that is reported.
        element: PeIdentifier,
        /// The channel to the home.
        channel: ChannelId,
    },
    /// A report that had left may be lost with its home, or came back: it waits once more.
    ReportRepeated {
        /// The pool.
        handle: PoolHandle,
        /// The element that is reported.
        element: PeIdentifier,
    },
    /// The element proved to be well before its report left.
    ReportWithdrawn {
        /// The pool.
        handle: PoolHandle,
        /// The element.
        element: PeIdentifier,
    },
    /// A report will not be sent.
    ReportDropped {
        /// The pool.
        handle: PoolHandle,
        /// The element.
        element: PeIdentifier,
        /// Why.
        reason: ReportDrop,
    },

    /// A session needs the list of its pool, or a newer one, and waits for it.
    SessionResolves {
        /// The session.
        session: SessionId,
        /// Its pool.
        handle: PoolHandle,
    },
    /// A session has its first element.
    SessionConnected {
        /// The session.
        session: SessionId,
        /// The element; `None` where the session was opened at an address.
        element: Option<PeIdentifier>,
    },
    /// A session has lost an element, or leaves it as the application wishes, and looks for another one.
    FailoverBegan {
        /// The session.
        session: SessionId,
        /// The element; `None` where a peer had opened the session.
        from: Option<PeIdentifier>,
    },
    /// Many sessions lost their elements at once (`sessions.failover_burst`), and this one waits for its turn.
    FailoverSpread {
        /// The session.
        session: SessionId,
        /// Until when.
        until: Instant,
    },
    /// A session goes on at another element, or over another channel to the same one.
    FailedOver {
        /// The session.
        session: SessionId,
        /// The element that the application last heard of.
        from: Option<PeIdentifier>,
        /// The element that takes over.
        to: PeIdentifier,
        /// Whether a cookie went ahead (RFC 5352 §3.8).
        cookie_echoed: bool,
    },
    /// A session tried every element of its pool in this round.
    RoundEnded {
        /// The session.
        session: SessionId,
        /// Which round of its search it was, from 1 on.
        round: u32,
        /// How many there may be (`sessions.max_rounds`).
        of: u32,
    },
    /// A session waits before it turns to another element.
    SessionPaused {
        /// The session.
        session: SessionId,
        /// Until when.
        until: Instant,
        /// Why.
        reason: PauseReason,
    },
    /// The element of a session closed the channel in good order and nothing waits to be sent.
    SessionRested {
        /// The session.
        session: SessionId,
        /// The element, which the session turns to first.
        element: Option<PeIdentifier>,
    },
    /// A session is over.
    SessionEnded {
        /// The session.
        session: SessionId,
        /// Why, or `None` where it was closed or aborted as asked.
        error: Option<SessionError>,
    },

    /// Messages of a session that were meant for an element, or handed over, wait for the next one.
    MessagesPutBack {
        /// The session.
        session: SessionId,
        /// The first of them.
        message: MessageId,
        /// How many others share its fate in the same step.
        more: u32,
    },
    /// Messages of a session were certainly not delivered and are given back.
    MessagesReturned {
        /// The session.
        session: SessionId,
        /// The first of them.
        message: MessageId,
        /// How many others share its fate in the same step.
        more: u32,
        /// Why.
        reason: UndeliveredReason,
    },
    /// Messages of a session were handed over, and nobody knows whether they were delivered.
    MessagesLost {
        /// The session.
        session: SessionId,
        /// The first of them.
        message: MessageId,
        /// How many others share its fate in the same step.
        more: u32,
        /// Why.
        reason: UndeliveredReason,
    },

    /// The driver made a mistake.
    Misused {
        /// Which.
        misuse: Misuse,
    },
    /// Notes were overwritten before [`poll_note`](crate::PoolUser::poll_note) came to them. This one is
    /// made when that is called, and not kept.
    NotesMissed {
        /// How many.
        notes: u64,
    },
}
}

/// Why somebody was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum PassedOver {
    /// It was found unreachable.
    #[error("it is marked until {until:?}")]
    #[non_exhaustive]
    Marked {
        /// When the mark ends.
        until: Instant,
    },
    /// It was tried in this round.
    #[error("it was tried in this round")]
    Tried,
    /// It is not in the registrar's list.
    #[error("it is not listed")]
    NotListed,
    /// It has no transport that the driver speaks.
    #[error("the driver does not speak its transport")]
    NotSupported,
    /// It is a registrar that is not who it should be.
    #[error("it is barred until {until:?}")]
    #[non_exhaustive]
    Barred {
        /// When the bar ends.
        until: Instant,
    },
    /// It is a registrar that was announced without TLS where all others demand it.
    #[error("it does without the security that all others demand")]
    Unsecured,
}

/// Why a home registrar is not the home any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum HomeLossReason {
    /// Its channel ended.
    #[error("{0}")]
    Channel(LossReason),
    /// It was doubted, and an alternate came up (RFC 5352 §3.7.2).
    #[error("another one came up while it was doubted")]
    Replaced,
    /// It was doubted, and a request ended without an answer.
    #[error("it left a request unanswered")]
    Silent,
    /// It refused several requests in a row, and another registrar is known.
    #[error("it refused too many requests in a row")]
    Refusals,
    /// It lost the framing of its byte stream.
    #[error("its byte stream lost its framing")]
    Framing,
    /// It does not know what a handle resolution is.
    #[error("it does not know the request")]
    UnknownRequest,
    /// The transport gave back what was to be sent to it.
    #[error("the transport did not send to it")]
    NotSent,
    /// The application took it out of the list.
    #[error("it was taken out of the list")]
    Removed,
    /// The pool user was shut down.
    #[error("the pool user is shut down")]
    ShutDown,
}

/// Why a failure mark does not count any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum MarkEnd {
    /// Its time is over; noted when somebody looks at it.
    #[error("its time is over")]
    Expired,
    /// The element showed that it serves.
    #[error("the element serves")]
    Proven,
    /// A new list has another transport for the element.
    #[error("the element has moved")]
    Moved,
    /// The application ended it ([`clear_failure`](crate::PoolMut::clear_failure)).
    #[error("the application cleared it")]
    Cleared,
    /// There were too many marks in its pool (`limits.max_elements`).
    #[error("there are too many")]
    TooMany,
}

/// Why a report will not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ReportDrop {
    /// Too many wait (`limits.max_pending_reports`).
    #[error("too many wait")]
    TooMany,
    /// The same element was reported a moment ago (`resolution.report_interval`).
    #[error("it was reported a moment ago")]
    TooSoon,
    /// It has waited for a registrar as long as it may (`resolution.report_age`).
    #[error("it is too old")]
    TooOld,
    /// It does not fit into a message.
    #[error("it does not fit into a message")]
    TooLong,
}

/// Why a session waits before it turns to another element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum PauseReason {
    /// Every element was tried.
    #[error("every element was tried")]
    RoundEnded,
    /// Several elements in a row came up and were lost without having served.
    #[error("elements come up and are lost, over and over")]
    Flapping,
    /// The driver had trouble of its own.
    #[error("the driver could not")]
    Local,
}

/// The ring of the latest notes.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Journal {
    /// The time of the present input.
    pub(crate) now: Instant,
    max: usize,
    notes: VecDeque<Note>,
    /// How many of the latest were not read.
    unread: usize,
    /// How many were overwritten unread since that was told.
    missed: u64,
}

impl Journal {
    pub(crate) const fn new(max: usize) -> Self {
        Self { now: Instant::EPOCH, max, notes: VecDeque::new(), unread: 0, missed: 0 }
    }

    /// Whether notes are kept at all.
    pub(crate) const fn is_on(&self) -> bool {
        self.max > 0
    }

    /// Keeps a note, which is not even made where none are kept.
    #[inline]
    pub(crate) fn note(&mut self, what: impl FnOnce() -> NoteKind) {
        if self.is_on() {
            self.push(what());
        }
    }

    #[inline(never)]
    fn push(&mut self, what: NoteKind) {
        if self.unread > 0
            && self.notes.back_mut().is_some_and(|last| last.takes_in(self.now, &what))
        {
            return;
        }
        if self.notes.capacity() == 0 {
            self.notes.reserve_exact(self.max.min(RESERVED));
        }
        if self.notes.len() >= self.max {
            self.notes.pop_front();
            if self.unread > self.notes.len() {
                self.unread -= 1;
                self.missed += 1;
            }
        }
        self.notes.push_back(Note { at: self.now, what });
        self.unread += 1;
    }

    /// The next note that was not read.
    pub(crate) fn poll(&mut self) -> Option<Note> {
        let next = self.notes.get(self.notes.len() - self.unread)?;
        if self.missed > 0 {
            let notes = core::mem::take(&mut self.missed);
            return Some(Note { at: next.at, what: NoteKind::NotesMissed { notes } });
        }
        self.unread -= 1;
        Some(next.clone())
    }

    /// All that are kept, the oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Note> + ExactSizeIterator {
        self.notes.iter()
    }
}

impl Note {
    /// Makes one note of two that follow each other and tell of messages with the same fate: when a
    /// session with many messages loses its element, they must not displace all else.
    fn takes_in(&mut self, at: Instant, next: &NoteKind) -> bool {
        use NoteKind::{
            MessagesLost as Lost, MessagesPutBack as PutBack, MessagesReturned as Returned,
        };
        let more = match (&mut self.what, next) {
            (PutBack { session, more, .. }, PutBack { session: of, .. }) if session == of => more,
            (Returned { session, more, reason, .. }, Returned { session: of, reason: why, .. })
            | (Lost { session, more, reason, .. }, Lost { session: of, reason: why, .. })
                if session == of && reason == why =>
            {
                more
            }
            _ => return false,
        };
        if self.at == at {
            *more = more.saturating_add(1);
        }
        self.at == at
    }
}

/// The time and what was decided, in one line.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.at, self.what)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registrar { transport } => write!(f, "registrar {transport}"),
            Self::Element { session, element } => {
                write!(f, "{} of {session:?}", Element(*element))
            }
        }
    }
}

/// One plain line.
impl fmt::Display for NoteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HuntRound { round, ends } => {
                write!(f, "round {round} of the hunt for a home registrar begins, until {ends:?}")
            }
            Self::RegistrarTried { channel, transport } => {
                write!(f, "tries registrar {transport} ({channel:?})")
            }
            Self::RegistrarPassedOver { transport, reason } => {
                write!(f, "passes over registrar {transport}: {reason}")
            }
            Self::RegistrarBarred { transport, until } => {
                write!(f, "bars registrar {transport}, which is not authenticated, until {until:?}")
            }
            Self::HuntInVain { round } => {
                write!(f, "no registrar could be reached in round {round} of the hunt")
            }
            Self::AnnounceAwaited { until: Some(until) } => {
                write!(f, "no registrar is known; waits for an announce until {until:?}")
            }
            Self::AnnounceAwaited { until: None } => {
                f.write_str("no registrar is known, and none can announce itself")
            }
            Self::HuntEnded => f.write_str("nobody waits for a registrar; the hunt ends"),
            Self::HomeFound { channel, transport } => {
                write!(f, "registrar {transport} is the home ({channel:?})")
            }
            Self::HomeDoubted { channel, transport } => write!(
                f,
                "doubts the home registrar {transport} ({channel:?}), which leaves a request unanswered"
            ),
            Self::HomeAnswered { channel, transport } => {
                write!(f, "the home registrar {transport} ({channel:?}) has answered after all")
            }
            Self::HomeLost { channel, transport, reason } => {
                write!(f, "leaves the home registrar {transport} ({channel:?}): {reason}")
            }
            Self::ChannelUp { channel, peer } => write!(f, "{channel:?} to {peer} is up"),
            Self::ChannelLost { channel, peer, reason } => {
                write!(f, "{channel:?} to {peer} is lost: {reason}")
            }
            Self::ChannelClosed { channel, peer } => {
                write!(f, "closes {channel:?} to {peer}, which is of no more use")
            }
            Self::RequestSent { handle, channel } => {
                write!(f, "asks for pool {handle:?} on {channel:?}")
            }
            Self::RequestRepeated { handle, channel, repetition, of } => {
                write!(
                    f,
                    "T1 sends the request for pool {handle:?} again, {repetition} of {of}, "
                )?;
                write!(f, "on {channel:?}")
            }
            Self::RequestMoved { handle, channel } => {
                write!(f, "moves the request for pool {handle:?} to {channel:?}")
            }
            Self::RequestPaused { handle, until } => {
                write!(f, "pool {handle:?} was asked for a moment ago; waits until {until:?}")
            }
            Self::RequestRefused { handle, error } | Self::RequestFailed { handle, error } => {
                write!(f, "the request for pool {handle:?} failed: {error}")
            }
            Self::ListReplaced { handle, elements, joined, left, altered, unsupported } => {
                write!(f, "pool {handle:?} has {elements} elements: ")?;
                write!(f, "{joined} joined, {left} left, {altered} altered")?;
                match unsupported {
                    0 => Ok(()),
                    _ => write!(f, "; the driver does not speak to {unsupported} of them"),
                }
            }
            Self::ListUnusable { handle } => {
                write!(f, "a list of pool {handle:?} has no element that can be used")
            }
            Self::PoolStale { handle, fetched } => {
                write!(
                    f,
                    "the list of pool {handle:?}, of {fetched:?}, is out of date; asks for it"
                )
            }
            Self::PoolUnknown { handle } => write!(f, "the registrar knows no pool {handle:?}"),
            Self::PoolDisputed { handle, again } => write!(
                f,
                "the new home knows no pool {handle:?}, which is not believed; asks again at {again:?}"
            ),
            Self::ElementTried { session, element, channel, transport } => {
                write!(f, "{session:?} tries {} at {transport} ({channel:?})", Element(*element))
            }
            Self::ElementPassedOver { session, element, reason } => {
                write!(f, "{session:?} passes over {}: {reason}", Element(Some(*element)))
            }
            Self::ElementMarked { handle, element, until } => {
                let element = Element(Some(*element));
                write!(f, "marks {element} of pool {handle:?} as unreachable until {until:?}")
            }
            Self::MarkEnded { handle, element, reason } => {
                let element = Element(Some(*element));
                write!(f, "the mark of {element} of pool {handle:?} ends: {reason}")
            }
            Self::ReportSent { handle, element, channel } => {
                let element = Element(Some(*element));
                write!(f, "reports {element} of pool {handle:?} as unreachable on {channel:?}")
            }
            Self::ReportRepeated { handle, element } => {
                write!(
                    f,
                    "the report of {} of pool {handle:?} waits again",
                    Element(Some(*element))
                )
            }
            Self::ReportWithdrawn { handle, element } => {
                let element = Element(Some(*element));
                write!(f, "withdraws the report of {element} of pool {handle:?}, which is well")
            }
            Self::ReportDropped { handle, element, reason } => {
                let element = Element(Some(*element));
                write!(f, "drops the report of {element} of pool {handle:?}: {reason}")
            }
            Self::SessionResolves { session, handle } => {
                write!(f, "{session:?} waits for the list of pool {handle:?}")
            }
            Self::SessionConnected { session, element } => {
                write!(f, "{session:?} is connected with {}", Element(*element))
            }
            Self::FailoverBegan { session, from } => {
                write!(f, "{session:?} leaves {} and looks for another one", Element(*from))
            }
            Self::FailoverSpread { session, until } => {
                write!(f, "{session:?} lets others go first and waits until {until:?}")
            }
            Self::FailedOver { session, from, to, cookie_echoed } => {
                let (from, to) = (Element(*from), Element(Some(*to)));
                let cookie = if *cookie_echoed { "with" } else { "without" };
                write!(f, "{session:?} goes from {from} to {to}, {cookie} a cookie")
            }
            Self::RoundEnded { session, round, of } => {
                write!(f, "{session:?} tried every element, round {round} of {of}")
            }
            Self::SessionPaused { session, until, reason } => {
                write!(f, "{session:?} pauses until {until:?}: {reason}")
            }
            Self::SessionRested { session, element } => {
                write!(f, "{session:?} rests, closed by {}", Element(*element))
            }
            Self::SessionEnded { session, error: None } => write!(f, "{session:?} ends as asked"),
            Self::SessionEnded { session, error: Some(error) } => {
                write!(f, "{session:?} ends: {error}")
            }
            Self::MessagesPutBack { session, message, more } => {
                write!(f, "{} put back", Messages(*session, *message, *more))
            }
            Self::MessagesReturned { session, message, more, reason } => {
                write!(f, "{} returned: {reason}", Messages(*session, *message, *more))
            }
            Self::MessagesLost { session, message, more, reason } => {
                write!(f, "{} lost: {reason}", Messages(*session, *message, *more))
            }
            Self::Misused { misuse } => write!(f, "mistake of the driver: {misuse}"),
            Self::NotesMissed { notes } => write!(f, "{notes} notes before this were not read"),
        }
    }
}

/// An element, which may not be known by its identifier.
struct Element(Option<PeIdentifier>);

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(element) => write!(f, "element {element}"),
            None => f.write_str("the peer"),
        }
    }
}

/// A message of a session, and others.
struct Messages(SessionId, MessageId, u32);

impl fmt::Display for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(session, message, more) = self;
        match more {
            0 => write!(f, "{message:?} of {session:?} is"),
            _ => write!(f, "{message:?} of {session:?} and {more} more are"),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::time::Duration;

    use super::*;
    use crate::slab::Slab;

    fn journal(max: usize) -> (Journal, SessionId) {
        (Journal::new(max), SessionId(Slab::new().insert(())))
    }

    fn round(round: u32) -> NoteKind {
        NoteKind::HuntRound { round, ends: Instant::EPOCH }
    }

    fn rounds(journal: &Journal) -> Vec<u32> {
        let round = |note: &Note| match note.what {
            NoteKind::HuntRound { round, .. } => round,
            _ => 0,
        };
        journal.iter().map(round).collect()
    }

    /// [CORE-15]: what the documentation of `limits.max_notes` says that the notes cost.
    #[test]
    fn notes_cost_what_is_said() {
        assert_eq!(size_of::<Note>(), 96);
        assert_eq!(64 * size_of::<Note>(), 6 << 10);
    }

    /// [CORE-15]: the latest are kept, read or not; what was overwritten unread is told, once, where it
    /// would have stood.
    #[test]
    fn the_latest_are_kept() {
        let (mut journal, _) = journal(3);
        (1..=2).for_each(|n| journal.note(|| round(n)));
        assert_eq!(journal.poll().map(|note| note.what), Some(round(1)));
        (3..=6).for_each(|n| journal.note(|| round(n)));
        assert_eq!(rounds(&journal), [4, 5, 6]);
        let read: Vec<_> = core::iter::from_fn(|| journal.poll()).map(|note| note.what).collect();
        assert_eq!(read, [NoteKind::NotesMissed { notes: 2 }, round(4), round(5), round(6)]);
        assert_eq!(rounds(&journal), [4, 5, 6], "reading takes nothing away");
        journal.note(|| round(7));
        assert_eq!((rounds(&journal), journal.missed), (alloc::vec![5, 6, 7], 0));
    }

    /// [CORE-15]: with none to be kept, none is made.
    #[test]
    fn no_note_is_made_for_nothing() {
        let (mut journal, _) = journal(0);
        journal.note(|| panic!("nobody wants it"));
        assert_eq!((journal.poll(), journal.iter().count()), (None, 0));
    }

    /// [CORE-15]: many messages with one fate are one note, unless that was read, or time has passed.
    #[test]
    fn one_fate_is_one_note() {
        let (mut journal, session) = journal(9);
        let put_back = |n| {
            move || {
                let message = MessageId(n);
                NoteKind::MessagesPutBack { session, message, more: 0 }
            }
        };
        let lost = |reason| {
            move || {
                let message = MessageId(9);
                NoteKind::MessagesLost { session, message, more: 0, reason }
            }
        };
        (1..=3).for_each(|n| journal.note(put_back(n)));
        journal.note(lost(UndeliveredReason::NotSent));
        journal.note(lost(UndeliveredReason::SessionEnded));
        journal.note(lost(UndeliveredReason::SessionEnded));
        while journal.poll().is_some() {}
        journal.note(lost(UndeliveredReason::SessionEnded));
        journal.now += Duration::from_secs(1);
        journal.note(lost(UndeliveredReason::SessionEnded));
        let more = journal.iter().map(|note| match note.what {
            NoteKind::MessagesPutBack { message, more, .. } => (message.0, more),
            NoteKind::MessagesLost { message, more, .. } => (message.0, more),
            _ => panic!("{note}"),
        });
        let expected = [(1, 2), (9, 0), (9, 1), (9, 0), (9, 0)];
        assert_eq!(more.collect::<Vec<_>>(), expected);
    }

    /// Whoever wants no bound gets none, and no more memory than the notes need.
    #[test]
    fn any_bound_is_a_bound() {
        let (mut journal, _) = journal(usize::MAX);
        (0..3_000).for_each(|n| journal.note(|| round(n)));
        assert_eq!(rounds(&journal).len(), 3_000);
    }
}
