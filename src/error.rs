//! What can go wrong: a caller's mistake, a resolution that failed, a session that ended.
//!
//! Peers cause none of the `Err`s that a command returns; what they do wrong is counted in
//! [`Stats`](crate::Stats) and reaches the application, if at all, as an [`Event`](crate::Event).

use alloc::vec::Vec;

use bytes::Bytes;
use thiserror::Error;

use crate::session::LossReason;
use crate::wire::{CauseCode, EncodeError};

/// Why a command was refused. Nothing has changed, but that
/// [`fail_over`](crate::PoolMut::fail_over) has reported the element also where it ends in
/// [`NoElementLeft`](Self::NoElementLeft).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CommandError {
    /// A pool handle has at least one byte.
    #[error("the pool handle is empty")]
    EmptyHandle,
    /// The pool handle is longer than `limits.max_handle_len`.
    #[error("the pool handle has {len} bytes and may have {max}")]
    HandleTooLong {
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// `limits.max_requests` resolutions are under way or not yet read.
    #[error("too many resolutions are under way")]
    TooManyRequests,
    /// `limits.max_sessions` sessions exist.
    #[error("too many sessions exist")]
    TooManySessions,
    /// `limits.max_registrars` registrars are in the list for good.
    #[error("too many registrars")]
    TooManyRegistrars,
    /// `limits.max_subscriptions` pools are subscribed to, counting those whose end was not yet read.
    #[error("too many pools are subscribed to")]
    TooManySubscriptions,
    /// There is no such request, or it has ended.
    #[error("no such request")]
    UnknownRequest,
    /// There is no such pool in the cache, or it was replaced.
    #[error("no such pool")]
    UnknownPool,
    /// The pool has no such element.
    #[error("no such element in the pool")]
    UnknownElement,
    /// Several elements of the pool are reached at that address (RFC 5352 §6.9.2).
    #[error("several elements of the pool are reached there")]
    AmbiguousAddress,
    /// No element is left to choose: all are excluded or use transports that the driver does not
    /// speak.
    #[error("no element of the pool is left to choose")]
    NoElementLeft,
    /// The element was never selected, so that its failure is hearsay and is not reported (RFC 5352
    /// §3.5).
    #[error("the element was never used")]
    NeverUsed,
    /// There is no such session, or it has ended.
    #[error("no such session")]
    UnknownSession,
    /// The session has no element at the moment.
    #[error("the session is not connected")]
    NotConnected,
    /// The session is closing or over.
    #[error("the session is closing")]
    Closing,
    /// Nobody can be reached there: it has no address and port that can be called, the driver does not
    /// speak it, or it is to be a registrar's, and the driver does not reach or cannot secure it.
    #[error("nobody can be reached on this transport")]
    UnusableTransport,
    /// There is no such message, or it was handed over.
    #[error("the message does not wait")]
    NotWaiting,
    /// The cookie is longer than `limits.max_cookie_len`.
    #[error("the cookie has {len} bytes and may have {max}")]
    CookieTooLong {
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The node is no pool element (`sessions.identity`), and only those send business
    /// cards.
    #[error("a pool user that is no pool element has no business card")]
    NoIdentity,
    /// The elements do not fit into one message, or one of them cannot be written down.
    #[error("the business card cannot be written: {0}")]
    InvalidCard(EncodeError),
    /// The whole machine is shutting down.
    #[error("the pool user is shutting down")]
    ShuttingDown,
}

/// Why a message was not taken into a session's queue; it is given back.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
#[non_exhaustive]
pub struct SendError {
    /// Why.
    pub reason: SendErrorReason,
    /// The message.
    pub data: Bytes,
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendErrorReason {
    /// The session is closing or over.
    #[error("the session is closing")]
    Closing,
    /// The message alone is longer than `limits.max_queued_bytes`, or than what the driver can send.
    #[error("the message is longer than a session may queue or the driver can send")]
    TooLong,
    /// The session holds `limits.max_queued_messages` or would hold more than `limits.max_queued_bytes`.
    #[error("the session's queue is full: {waiting} messages wait, {unsettled} are not settled")]
    #[non_exhaustive]
    QueueFull {
        /// How many messages wait to be handed over. Many of them: the element or the driver is
        /// slow, or there is none.
        waiting: usize,
        /// How many were handed over and not confirmed, or have a fate that was not read. Many of
        /// them: it is for the peer or for the application to make room.
        unsettled: usize,
    },
}

/// Why a pool handle could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The registrar knows no such pool (RFC 5354 §3.12.11).
    #[error("no such pool")]
    UnknownPoolHandle,
    /// The registrar refused for other reasons: the first sixteen that it names.
    #[error("the registrar refused: {0:?}")]
    Rejected(Vec<CauseCode>),
    /// No registrar is known: none is configured, and none announced itself in time.
    #[error("no registrar is known")]
    NoRegistrarKnown,
    /// No known registrar could be reached.
    #[error("no registrar could be reached")]
    NoRegistrarReachable,
    /// The pool user was shut down before there was an answer.
    #[error("the pool user was shut down")]
    ShutDown,
    /// A registrar was reached and gave no answer that could be used.
    #[error("no registrar answered")]
    NotAnswered,
}

/// Why a session ended by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The pool could not be resolved.
    #[error("the pool could not be resolved: {0}")]
    Unresolved(#[from] ResolveError),
    /// The pool has no element that the driver can speak to.
    #[error("no element of the pool can be used")]
    NoUsableElement,
    /// All elements have failed in as many rounds over the pool as `sessions.max_rounds` allows.
    #[error("all elements have failed")]
    AllElementsFailed,
    /// No element could be reached within `sessions.session_deadline`, or a session that was closing
    /// was not done within it.
    #[error("no element could be reached in time")]
    DeadlineReached,
    /// The channel ended or never came up, and there is no pool to fail over in: the session was
    /// opened at an address (RFC 5352 §6.5.4), or the peer that opened it has not said which
    /// pool it belongs to.
    #[error("the channel is lost ({0}) and there is no pool to turn to")]
    ChannelLost(LossReason),
}
