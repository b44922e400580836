//! How a session behaves, and how a message is sent.

/// How a session behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SessionOptions {
    /// After a failover, hold data back until [`resume`](crate::PoolUser::resume): the application has
    /// something to restore first, its state or its credentials. Default: no.
    pub hold_after_failover: bool,
}

/// How one message is sent (RFC 5352 §6.5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SendOptions {
    /// What becomes of it when the element fails. Default: it goes to the next element if it still waits.
    pub failover: Failover,
    /// It may overtake others, where the transport can do that (ASAP_SCTP_UNORDER). Default: no.
    pub unordered: bool,
}

/// What becomes of a message when the element it was meant for fails (RFC 5352 §6.5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Failover {
    /// It goes to no other element: it is given back if it still waits (ASAP_SEND_NO_FAILOVER).
    Never,
    /// It goes to the next element if it was not handed to the driver yet. Delivered at most once.
    #[default]
    Unsent,
    /// It goes to the next element unless its delivery was confirmed (ASAP_SEND_FAILOVER). Delivered at least once while
    /// any element is left; the element may see it twice.
    Always,
}
