//! How a session behaves, and how a message is sent.

use crate::wire::PeIdentifier;

/// How a session behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SessionOptions {
    /// After a failover, hold data back until [`resume`](crate::PoolUser::resume): the application
    /// has something to restore first, its state or its credentials. Default: no.
    pub hold_after_failover: bool,
    /// Begin with this element of the pool (RFC 5352 §6.5.3: sending to a pool element handle).
    /// One that the registrar does not list counts as lost, without a report. With
    /// `choose_per_message`, the first message goes there, unless one to all went before it.
    /// Default: none, the pool's policy chooses.
    pub element: Option<PeIdentifier>,
    /// Choose an element for each message (RFC 5352 §6.5.2) instead of keeping one as long as it
    /// serves. Default: no.
    pub choose_per_message: bool,
}

/// How one message is sent (RFC 5352 §6.5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SendOptions {
    /// What becomes of it when the element fails. Default: it goes to the next element if it still
    /// waits.
    pub failover: Failover,
    /// It may overtake others, where the transport can do that (ASAP_SCTP_UNORDER). Default: no.
    pub unordered: bool,
    /// Who gets it. Default: the session's element, or the one chosen for it.
    pub to: Recipient,
}

/// Who gets a message (RFC 5352 §6.5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Recipient {
    /// The element that the session keeps; where it chooses for each message, the policy's choice.
    #[default]
    One,
    /// The element that got the session's previous message (ASAP_SEND_TO_LAST). The same as `One`
    /// where the session keeps its element.
    SameAsLast,
    /// A copy for every element listed, except this node itself (ASAP_SEND_TO_ALL). No copy fails
    /// over; the fate of each is told by [`Event::Copied`](crate::Event::Copied). One that is for
    /// nobody comes back, as [`Event::Undelivered`](crate::Event::Undelivered).
    All,
    /// The same, and a copy for this node itself, as [`Event::Received`](crate::Event::Received),
    /// if it is an element of the pool (ASAP_SEND_TO_ALL with ASAP_SEND_TO_SELF).
    AllAndSelf,
}

/// What becomes of a message when the element it was meant for fails (RFC 5352 §6.5.5).
///
/// That depends on the transport too. One that *confirms* tells what it delivered and gives back
/// what it did not send, as SCTP can (RFC 6458 §6.1.11); the driver declares it in
/// [`confirms_delivery`](crate::Config::confirms_delivery). One that is *silent*, as TCP is,
/// swallows what was handed to it when it breaks. What was handed over on a channel that the
/// machine itself closes, because the element was given up or the session moved, counts as handed
/// to a silent one.
///
/// | | silent transport | transport that confirms |
/// |---|---|---|
/// | `Never` | at most once, at one element; comes back if it was not handed over | at most once, at one element; comes back if it was not sent |
/// | `Unsent` | at most once; fails over if it was not handed over, else is lost with the element | at most once; fails over if it was not sent |
/// | `Always` | at least once while an element is left; again unless the application confirmed it | at least once while an element is left; again unless it was delivered |
///
/// At each element messages arrive in the order of sending, but for unordered ones; those sent
/// again come first. Where a session chooses for each message, one that was meant for a lost
/// element may come to the next one behind later ones.
///
/// Delivery to the transport of a peer is not processing by its application. A session whose
/// requests must not be lost uses `Always`, and [`confirm`](crate::PoolUser::confirm)s each by its
/// answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Failover {
    /// It goes to no other element: it is given back if it was not sent (ASAP_SEND_NO_FAILOVER).
    Never,
    /// It goes to the next element if it was not handed to the driver yet, or came back from the
    /// transport unsent. Delivered at most once.
    #[default]
    Unsent,
    /// It goes to the next element unless its delivery was confirmed (ASAP_SEND_FAILOVER).
    /// Delivered at least once while any element is left; the element may see it twice.
    Always,
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
