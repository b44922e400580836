//! What can go wrong, in words for people.

use std::io;

use asap_pu::{
    CommandError, ConfigError, MessageId, ResolveError, SessionError, UndeliveredReason,
};
use bytes::Bytes;
use thiserror::Error;

/// Why something that was asked of a client did not come to be.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// That is no address of a registrar.
    #[error("{0:?} is no address of a registrar, which is like 192.0.2.1:3863")]
    Address(String),
    /// That registrar is on another interface than one before it, and link-local addresses are looked for on one.
    #[error("{0:?} is on another interface than a registrar before it")]
    OtherInterface(String),
    /// The configuration contradicts itself, or what the transport can do.
    #[error("the configuration is wrong: {0}")]
    Config(#[from] ConfigError),
    /// The system does not let the client begin.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No registrar can be reached, or none is known; says why. The client goes on trying.
    #[error("{0}")]
    NoRegistrar(String),
    /// The pool could not be resolved.
    #[error("the pool could not be resolved: {0}")]
    Unresolved(#[from] ResolveError),
    /// The pool user refuses that.
    #[error(transparent)]
    Refused(#[from] CommandError),
    /// The message alone is longer than a session may queue, or than the transport can send.
    #[error("the message is longer than a session may queue or the transport can send")]
    TooLong(
        /// The message.
        Bytes,
    ),
    /// A message has not been delivered, or nobody knows whether it has. The session goes on.
    #[error(transparent)]
    Undelivered(#[from] Undelivered),
    /// A session that chooses an element for each message has no codec and makes no requests.
    #[error("a session that chooses an element for each message can make no requests")]
    ChoosesPerMessage,
    /// The codec could not make an answer of what came from elements, however many were tried.
    #[error("the answers of the elements make no sense: {0}")]
    Codec(String),
    /// So much of what came, or was to be told, was dropped because nobody read it. The session goes on.
    #[error("{0} messages were dropped because too much was unread")]
    Dropped(u64),
    /// The session has ended by itself.
    #[error("the session has ended: {0}")]
    SessionEnded(SessionError),
    /// The session is closed.
    #[error("the session is closed")]
    SessionClosed,
    /// The client was shut down, or the runtime that it ran on was.
    #[error("the client is shut down, or the runtime that it ran on is")]
    Gone,
}

/// A message that has not been delivered, or may not have been.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
#[error("a message {}: {reason}", match may_have_arrived {
    true => "was lost, and may have arrived or not",
    false => "was not delivered",
})]
#[non_exhaustive]
pub struct Undelivered {
    /// The message.
    pub message: MessageId,
    /// What it says.
    pub data: Bytes,
    /// Why.
    pub reason: UndeliveredReason,
    /// Whether it was handed over, so that it may have been delivered all the same.
    pub may_have_arrived: bool,
}
