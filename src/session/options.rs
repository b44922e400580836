//! How a session behaves, how a message is sent, and what can become of both.

use bytes::Bytes;
use thiserror::Error;

use crate::channel::CloseReason;
use crate::id::MessageId;
use crate::wire::PeIdentifier;

/// How a session behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(test, derive(Hash))]
#[non_exhaustive]
pub struct SessionOptions {
    /// After a failover, hold data back until [`resume`](crate::SessionMut::resume): the application
    /// has something to restore first, its state or its credentials. Default: no.
    pub hold_after_failover: bool,
    /// Begin with this element of the pool (RFC 5352 §6.5.3: sending to a pool element handle).
    /// One that is not in a fresh list of the pool is passed over, without a report. With
    /// `choose_per_message`, the first message goes there, unless one to all went before it.
    /// Default: none, the pool's policy chooses.
    pub element: Option<PeIdentifier>,
    /// Choose an element for each message (RFC 5352 §6.5.2) instead of keeping one as long as it
    /// serves. Default: no.
    pub choose_per_message: bool,
}

/// How one message is sent (RFC 5352 §6.5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(test, derive(Hash))]
#[non_exhaustive]
pub struct SendOptions {
    /// What becomes of it when the element fails. Default: it goes to the next element if it was
    /// not sent.
    pub failover: Failover,
    /// It may overtake others, where the transport can do that (ASAP_SCTP_UNORDER). Default: no.
    pub unordered: bool,
    /// Who gets it. Default: the session's element, or the one chosen for it.
    pub to: Recipient,
    /// Tell with [`Event::Sent`](crate::Event::Sent) when it has been written or delivered; until
    /// that is read it counts against the session's limits. Of a message to all,
    /// [`Event::CopyResult`](crate::Event::CopyResult) tells anyway. Default: no.
    pub receipt: bool,
}

/// Who gets a message (RFC 5352 §6.5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(test, derive(Hash))]
#[non_exhaustive]
pub enum Recipient {
    /// The element that the session keeps; where it chooses for each message, the policy's choice.
    #[default]
    One,
    /// The element that got the session's previous message (ASAP_SEND_TO_LAST). The same as `One`
    /// where the session keeps its element.
    SameAsLast,
    /// A copy for every element listed, except this node itself (ASAP_SEND_TO_ALL). No copy fails
    /// over; the fate of each is told by [`Event::CopyResult`](crate::Event::CopyResult). One that is for
    /// nobody comes back, as [`Event::Returned`](crate::Event::Returned).
    All,
    /// The same, and a copy for this node itself, as [`Event::Received`](crate::Event::Received),
    /// if it is an element of the pool (ASAP_SEND_TO_ALL with ASAP_SEND_TO_SELF).
    AllAndSelf,
}

/// What becomes of a message when the element it was meant for is lost (RFC 5352 §6.5.5).
///
/// That depends on the transport too. One that *confirms* tells what it delivered and gives back
/// what it did not send, as SCTP can (RFC 6458 §6.1.11); the driver declares it in
/// [`Confirms::Delivered`](crate::Confirms::Delivered). One that is *silent*, as TCP is,
/// swallows what was handed to it when it breaks; for it a message is done when it was written:
/// when the driver says so, if it [confirms writes](crate::Confirms::Written), else when
/// it was handed over. Only what is to be sent again until it was delivered cannot be done there by itself:
/// like `Unconfirmed`, `Undelivered` then ends with the application's confirmation, and fills the queue without.
///
/// | | not handed over, or given back | handed over, and not known to be done |
/// |---|---|---|
/// | `Never` | returned | lost |
/// | `Unsent` | to the next element | lost |
/// | `Undelivered` | to the next element | to the next element, unless the transport says that it was delivered |
/// | `Unconfirmed` | to the next element | to the next element, whatever the transport says, until the application [`confirm`](crate::SessionMut::confirm)s it |
///
/// What is *returned* was certainly not delivered and comes back with
/// [`Event::Returned`](crate::Event::Returned); of what is *lost* nobody knows, and
/// [`Event::Lost`](crate::Event::Lost) tells it. Each message ends in one of four ways, told once:
/// it is done, silently unless a [`receipt`](SendOptions::receipt) was asked for; it is confirmed;
/// it is returned; or it is lost.
///
/// At each element messages arrive in the order of sending, but for unordered ones; those sent
/// again come first. Where a session chooses for each message, one that was meant for a lost
/// element may come to the next one behind later ones.
///
/// What the transport of a peer took is not what its application has read. **Requests that must not
/// be lost use `Unconfirmed`**, and are confirmed by their answers. An element may then see one
/// twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(test, derive(Hash))]
#[non_exhaustive]
pub enum Failover {
    /// It goes to no other element (ASAP_SEND_NO_FAILOVER).
    Never,
    /// It goes to the next element if it was certainly not sent. Delivered at most once.
    #[default]
    Unsent,
    /// It goes to the next element unless the transport says that it was delivered
    /// (ASAP_SEND_FAILOVER). Over a silent transport that is always.
    Undelivered,
    /// It goes to the next element until the application confirms it.
    Unconfirmed,
}

/// Why a session lost an element, or the channel to it; also of channels to registrars
/// ([`HomeLossReason::Channel`](crate::HomeLossReason::Channel)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
#[non_exhaustive]
pub enum LossReason {
    /// The channel could not be set up.
    #[error("it could not be reached")]
    Refused,
    /// The channel did not come up within `sessions.connect_timeout`.
    #[error("it did not answer in time")]
    TimedOut,
    /// The channel broke.
    #[error("the channel broke")]
    Broken,
    /// The element closed the channel in good order, which is no failure: it is neither marked nor
    /// reported. If nothing is left to be sent, the session rests until there is, and then turns to
    /// the same element first.
    #[error("the peer closed the channel")]
    Closed,
    /// The application said that the element has failed.
    #[error("the application gave it up")]
    GivenUp,
    /// The application moved the session elsewhere.
    #[error("the session was moved")]
    Moved,
    /// The element is not who it should be.
    #[error("it is not who it should be")]
    Unauthenticated,
    /// The driver had trouble of its own, for which no element is to blame.
    #[error("the driver could not")]
    Local,
}

/// Why a message was returned, or is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum UndeliveredReason {
    /// The element that it was meant for, or handed to, is lost.
    #[error("the element was lost: {0}")]
    ElementLost(LossReason),
    /// It was for the element that the session was opened on, which is not listed.
    #[error("the element is not listed")]
    NotListed,
    /// The transport gave it back, and it may not go again.
    #[error("the transport did not send it")]
    NotSent,
    /// It has waited for an element as long as it may, or its session was closing for as long as that
    /// may take (`sessions.session_deadline`).
    #[error("no element could be reached in time")]
    DeadlineReached,
    /// All elements have failed in as many rounds as there may be (`sessions.max_rounds`).
    #[error("all elements have failed")]
    AllElementsFailed,
    /// It was handed over as often as it may be (`sessions.max_handovers`).
    #[error("it was handed over too often")]
    TooManyHandovers,
    /// It was for all elements, and there is none beside this node.
    #[error("there is nobody to send it to")]
    NoRecipient,
    /// The session is over.
    #[error("the session is over")]
    SessionEnded,
}

/// A message that was not done when its session was aborted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Unsettled {
    /// The message.
    pub message: MessageId,
    /// What it says.
    pub data: Bytes,
    /// Whether it was handed over, so that it may have been delivered.
    pub handed_over: bool,
}

impl From<Failover> for SendOptions {
    fn from(failover: Failover) -> Self {
        Self { failover, ..Self::default() }
    }
}

impl Recipient {
    /// Whether there is one copy for each element.
    pub(super) const fn is_all(self) -> bool {
        matches!(self, Self::All | Self::AllAndSelf)
    }
}

impl Failover {
    /// Whether a message may go to another element than the one it is meant for.
    pub(super) const fn goes_on(self) -> bool {
        !matches!(self, Self::Never)
    }

    /// Whether it goes again although it may have arrived.
    pub(super) const fn repeats(self) -> bool {
        matches!(self, Self::Undelivered | Self::Unconfirmed)
    }
}

impl LossReason {
    /// What the end of a channel comes to that was up, or was not.
    pub(crate) const fn of(reason: CloseReason, was_up: bool) -> Self {
        match reason {
            CloseReason::Closed => Self::Closed,
            CloseReason::Failed if was_up => Self::Broken,
            CloseReason::Failed => Self::Refused,
            CloseReason::Unauthenticated => Self::Unauthenticated,
            CloseReason::Local => Self::Local,
        }
    }

    /// Whether the element has failed, as opposed to having closed, or not being concerned.
    pub(super) const fn is_failure(self) -> bool {
        !matches!(self, Self::Closed | Self::Moved | Self::Local)
    }
}
