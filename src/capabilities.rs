//! What a driver can do. That is a fact about the driver, which hands it over, not a wish of its
//! user's: those are in [`Config`](crate::Config).

use core::fmt;

use crate::Security;
use crate::reach::Origin;
use crate::wire::{Protocol, Transport};

/// What registrars can be reached over.
const REGISTRAR_PROTOCOLS: [Protocol; 3] = [Protocol::Sctp, Protocol::Tcp, Protocol::Opaque];

/// What a driver can do, handed by it to [`PoolUser::new`](crate::PoolUser::new).
///
/// A pool user never asks for a channel that its driver did not claim to be able to open, and waits
/// for no word that the driver did not promise to give. [`NONE`](Self::NONE) claims nothing.
///
/// ```
/// use asap_pu::{Capabilities, Confirms, wire::Protocol};
///
/// /// TCP in both directions, each message told when it is written.
/// const TCP: Capabilities =
///     Capabilities::NONE.with_registrars(Protocol::Tcp).with_elements(Protocol::Tcp, Confirms::Written);
///
/// assert!(TCP.reaches_elements(Protocol::Tcp) && !TCP.reaches_elements(Protocol::Sctp));
/// assert_eq!(TCP.confirms(Protocol::Tcp), Confirms::Written);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    registrars: Protocols,
    /// By the code of the protocol.
    elements: [Option<Confirms>; Protocol::Opaque as usize + 1],
    control: Protocols,
    longest_message: usize,
    authenticates: bool,
}

/// What a driver tells of each message that was handed over on a channel to an element.
///
/// What it promises here it must tell: messages are kept until then, and a channel takes no more
/// than its window of those that are not known to be written
/// ([`window_messages`](crate::Limits::window_messages)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Confirms {
    /// Nothing. A message counts as written when the driver polls for it, so that a driver which
    /// cannot write is one that does not poll.
    #[default]
    Nothing,
    /// That it was written, by [`handle_written`](crate::PoolUser::handle_written); or that it was
    /// certainly not sent, by [`handle_unsent`](crate::PoolUser::handle_unsent).
    Written,
    /// That it was delivered, by [`handle_delivered`](crate::PoolUser::handle_delivered), or
    /// certainly not, by [`handle_unsent`](crate::PoolUser::handle_unsent); and before that, if the
    /// driver likes, that it was written. SCTP can tell (RFC 6458 §6.1.11), TCP cannot.
    Delivered,
}

/// A set of transport protocols.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Protocols(u32);

impl Capabilities {
    /// Claims nothing: what to begin from. A pool user is refused with it
    /// ([`NoRegistrarProtocol`](crate::ConfigError::NoRegistrarProtocol)); add at least
    /// [`with_registrars`](Self::with_registrars).
    pub const NONE: Self = Self {
        registrars: Protocols(0),
        elements: [None; Protocol::Opaque as usize + 1],
        control: Protocols(0),
        longest_message: usize::MAX,
        authenticates: false,
    };

    /// It can open channels to registrars over `protocol`: SCTP or TCP, on which registrars listen
    /// (RFC 5352 §2), or opaque transports, whatever those mean to the driver. Others count for
    /// nothing.
    #[must_use]
    pub const fn with_registrars(mut self, protocol: Protocol) -> Self {
        self.registrars = self.registrars.with(protocol);
        self
    }

    /// It can open channels to pool elements over `protocol`, or, at the resolver level, its
    /// application can; and what it tells of messages on them. The last that is said of a protocol
    /// counts. Elements that are reached by nothing of the kind are passed over.
    #[must_use]
    pub const fn with_elements(mut self, protocol: Protocol, confirms: Confirms) -> Self {
        self.elements[protocol as usize] = Some(confirms);
        self
    }

    /// Its mapping of `protocol` tells control messages from data on channels to elements, so that
    /// cookies and business cards can travel (RFC 5352 §3.8). RFC 5354 §3.5 forbids it for plain
    /// TCP; with SCTP the element's address says whether it can
    /// ([`TransportUse`](crate::wire::TransportUse)).
    #[must_use]
    pub const fn with_control(mut self, protocol: Protocol) -> Self {
        self.control = self.control.with(protocol);
        self
    }

    /// It can authenticate registrars, and tells whom it has authenticated
    /// ([`Authentication`](crate::Authentication)). Without that a configuration that demands it is
    /// refused.
    #[must_use]
    pub const fn with_authentication(mut self) -> Self {
        self.authenticates = true;
        self
    }

    /// It can send no message to an element that is longer than so many bytes; such messages are
    /// refused ([`SendErrorReason::TooLong`](crate::SendErrorReason::TooLong)).
    #[must_use]
    pub const fn with_longest_message(mut self, bytes: usize) -> Self {
        self.longest_message = bytes;
        self
    }

    /// Whether it can open channels to registrars over `protocol`.
    #[must_use]
    pub const fn reaches_registrars(&self, protocol: Protocol) -> bool {
        self.registrars.contains(protocol)
    }

    /// Whether it can open channels to pool elements over `protocol`.
    #[must_use]
    pub const fn reaches_elements(&self, protocol: Protocol) -> bool {
        self.elements[protocol as usize].is_some()
    }

    /// Whether it tells control messages from data on channels to elements over `protocol`.
    #[must_use]
    pub const fn separates_control(&self, protocol: Protocol) -> bool {
        self.control.contains(protocol)
    }

    /// What it tells of messages on channels to elements over `protocol`: nothing where it cannot open
    /// any.
    #[must_use]
    pub const fn confirms(&self, protocol: Protocol) -> Confirms {
        match self.elements[protocol as usize] {
            Some(confirms) => confirms,
            None => Confirms::Nothing,
        }
    }

    /// How many bytes the longest message to an element has that it can send.
    #[must_use]
    pub const fn longest_message(&self) -> usize {
        self.longest_message
    }

    /// Whether it can authenticate registrars.
    #[must_use]
    pub const fn authenticates(&self) -> bool {
        self.authenticates
    }

    /// Where a registrar at `transport` is to be called, if it is worth a try (HUNT-8, HUNT-15).
    pub(crate) fn reachable_registrar(
        &self,
        origin: Origin,
        transport: Transport,
    ) -> Option<Transport> {
        let protocol = transport.protocol();
        let supported =
            REGISTRAR_PROTOCOLS.contains(&protocol) && self.reaches_registrars(protocol);
        origin.callable(transport).filter(|_| supported)
    }

    /// Whether it can open channels to any registrar.
    pub(crate) fn reaches_any_registrar(&self) -> bool {
        REGISTRAR_PROTOCOLS.into_iter().any(|protocol| self.reaches_registrars(protocol))
    }

    /// Whether it can secure channels like that.
    pub(crate) fn can_secure(&self, security: &Security) -> bool {
        self.authenticates || *security == Security::None
    }

    /// Where an element at `transport` is to be called, if that can be.
    pub(crate) fn reachable_element(&self, transport: Transport) -> Option<Transport> {
        let supported = self.reaches_elements(transport.protocol());
        Origin::Here.callable(transport).filter(|_| supported)
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::NONE
    }
}

impl Confirms {
    pub(crate) fn includes_written(self) -> bool {
        self >= Self::Written
    }

    pub(crate) fn includes_delivered(self) -> bool {
        self == Self::Delivered
    }
}

impl Protocols {
    const fn with(self, protocol: Protocol) -> Self {
        Self(self.0 | 1 << protocol as u32)
    }

    const fn contains(self, protocol: Protocol) -> bool {
        self.0 & 1 << protocol as u32 != 0
    }
}

impl fmt::Debug for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(Protocol::ALL.into_iter().filter(|p| self.contains(*p))).finish()
    }
}

#[cfg(test)]
impl Capabilities {
    /// A driver that speaks TCP and tells nothing.
    pub(crate) const TCP: Self = Self::NONE
        .with_registrars(Protocol::Tcp)
        .with_elements(Protocol::Tcp, Confirms::Nothing)
        .with_authentication();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [HUNT-15] [SELECT-9] [SESSION-6]: each claim is made for one protocol, also for the one with
    /// the largest code.
    #[test]
    fn what_is_claimed_for_one_protocol_is_claimed_for_no_other() {
        for one in Protocol::ALL {
            let can = Capabilities::NONE
                .with_registrars(one)
                .with_elements(one, Confirms::Delivered)
                .with_control(one);
            for other in Protocol::ALL {
                let same = one == other;
                assert_eq!(can.reaches_registrars(other), same, "{other:?} in {can:?}");
                assert_eq!(can.reaches_elements(other), same, "{other:?} in {can:?}");
                assert_eq!(can.separates_control(other), same, "{other:?} in {can:?}");
                assert_eq!(
                    can.confirms(other) == Confirms::Delivered,
                    same,
                    "{other:?} in {can:?}"
                );
            }
        }
    }

    /// [SESSION-2]: what is said last of a protocol counts, also if it is less.
    #[test]
    fn the_last_claim_counts() {
        let can = Capabilities::TCP.with_elements(Protocol::Tcp, Confirms::Delivered);
        let can = can.with_elements(Protocol::Tcp, Confirms::Nothing);
        assert_eq!(can, Capabilities::TCP);
    }
}
