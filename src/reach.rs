//! Which addresses can be called at all (decision 46).
//!
//! Peers list what they like: nothing listens at port 0, at an unspecified, a multicast or a broadcast
//! address, and a loopback address means another host to everyone who reads it, so that it counts only
//! where it comes from this very host. Such addresses are left out of a transport at every door, and a
//! transport without any other is as good as none. IPv4-mapped IPv6 addresses, which sockets for both
//! families yield, are IPv4 addresses, so that one place has one name.
//!
//! The other reading, to leave it to the driver, costs a failed attempt for each such address, and a
//! mark and a report for the element that has it.

use core::mem;
use core::net::{IpAddr, SocketAddr};

use crate::wire::{IpTransport, Transport, TransportRef};

/// Where the word about an address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Origin {
    /// From another host.
    #[default]
    Afar,
    /// From this host, or from the user's own configuration.
    Here,
}

impl Origin {
    /// The origin of what somebody at `address` says.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical().is_loopback() {
            true => Self::Here,
            false => Self::Afar,
        }
    }

    /// The origin of what is heard over a channel to `transport`.
    pub(crate) fn of_peer(transport: &Transport) -> Self {
        let mut origins = transport.socket_addrs().map(|at| Self::of(at.ip()));
        origins.find(|origin| *origin == Self::Here).unwrap_or_default()
    }

    /// Whether somebody may be called at `address`, and that is how it is written.
    fn takes(self, address: IpAddr) -> bool {
        address == address.to_canonical() && self.can_call(address)
    }

    fn can_call(self, address: IpAddr) -> bool {
        let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
        let is_somebody = !address.is_unspecified() && !address.is_multicast() && !is_broadcast;
        is_somebody && (self == Self::Here || !address.is_loopback())
    }

    /// Whether nothing has to be left out of a transport or written in another way.
    pub(crate) fn takes_all(self, transport: TransportRef<'_>) -> bool {
        let Some(port) = transport.port() else { return has_opaque(transport) };
        let mut addresses = transport.addresses();
        port != 0
            && addresses.next().is_some_and(|first| self.takes(first))
            && addresses.all(|address| self.takes(address))
    }

    /// What is left of a transport; nothing if nobody can be called there.
    pub(crate) fn callable(self, mut transport: Transport) -> Option<Transport> {
        let kept = |address: IpAddr| Some(address.to_canonical()).filter(|at| self.can_call(*at));
        let Some(at) = transport.ip_mut() else {
            let is_named = matches!(&transport, Transport::Opaque(data) if !data.is_empty());
            return is_named.then_some(transport);
        };
        let extra = mem::take(&mut at.extra);
        *at = IpTransport::new(
            at.port,
            at.transport_use,
            at.addresses().iter().copied().filter_map(kept),
        );
        at.extra = extra;
        let is_somewhere = transport.socket_addrs().any(|at: SocketAddr| at.port() != 0);
        is_somewhere.then_some(transport)
    }
}

fn has_opaque(transport: TransportRef<'_>) -> bool {
    transport.opaque().is_some_and(|data| !data.is_empty())
}
