//! Transports: where a pool element, or a registrar, can be reached (RFC 5354 §3.3 to §3.7, §3.16).
//!
//! Six parameters, one idea. A port, a second field that only SCTP gives a meaning to (what the
//! transport is for), with DCCP a service code, then addresses: any number in any mix for SCTP, one
//! for the others. An opaque transport is bytes that only the application understands.
//!
//! The RFC asks for at least one address. A transport without any is nevertheless decoded, as one
//! with no addresses: its bytes are in order, the message around it may list other elements that
//! are fine, and leaving out what cannot be used is up to the user of the list. A second address of
//! a transport that has one only is kept as an extra parameter.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::error::{DecodeError, EncodeError};
use super::grammar::{self, Extra, Slot, Walk};
use super::notes::{Listener, Notes, Silence};
use super::raw::RawParameter;
use super::reader::{Reader, Tlv};
use super::value::{Value, list};
use super::writer::Writer;
use super::{ParameterType, Reason, TransportUse};

macro_rules! protocols {
    ($($(#[$meta:meta])+ $Protocol:ident: $PARAMETER:ident, $name:literal;)+) => {
        /// The protocol of a transport.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum Protocol {
            $($(#[$meta])+ $Protocol = ParameterType::$PARAMETER.get(),)+
        }

        impl Protocol {
            /// All of them.
            pub const ALL: [Self; Self::PARAMETERS.len()] = [$(Self::$Protocol),+];

            /// The types of their parameters.
            pub(super) const PARAMETERS: &[ParameterType] = &[$(ParameterType::$PARAMETER),+];

            /// The one whose transports are parameters of this type.
            #[inline]
            pub(crate) const fn of(parameter: ParameterType) -> Option<Self> {
                match parameter {
                    $(ParameterType::$PARAMETER => Some(Self::$Protocol),)+
                    _ => None,
                }
            }

            /// The type of the parameters that its transports are.
            pub(super) const fn parameter(self) -> ParameterType {
                ParameterType::new(self as u16)
            }

            const fn name(self) -> &'static str {
                match self {
                    $(Self::$Protocol => $name,)+
                }
            }
        }
    };
}

protocols! {
    /// DCCP (RFC 5354 §3.3).
    Dccp: DCCP_TRANSPORT, "DCCP";
    /// SCTP (RFC 5354 §3.4), the one that can carry a control channel.
    Sctp: SCTP_TRANSPORT, "SCTP";
    /// TCP (RFC 5354 §3.5).
    Tcp: TCP_TRANSPORT, "TCP";
    /// UDP (RFC 5354 §3.6).
    Udp: UDP_TRANSPORT, "UDP";
    /// UDP-Lite (RFC 5354 §3.7).
    UdpLite: UDP_LITE_TRANSPORT, "UDP-Lite";
    /// Something that the application knows (RFC 5354 §3.16).
    Opaque: OPAQUE_TRANSPORT, "opaque";
}

/// A transport in received bytes.
///
/// Two are equal if they consist of the same bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TransportRef<'a> {
    protocol: Protocol,
    encoded: &'a [u8],
}

list! {
    /// The transports of an announce, in the order received.
    Transports: TransportRef<'a>, Transport
}

list! {
    /// The addresses of a transport, in the order received.
    Addresses: IpAddr, IpAddr
}

/// A transport as a value of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum Transport {
    /// DCCP (RFC 5354 §3.3).
    #[non_exhaustive]
    Dccp {
        /// The DCCP service code.
        service_code: u32,
        /// Where.
        at: IpTransport,
    },
    /// SCTP (RFC 5354 §3.4).
    Sctp(IpTransport),
    /// TCP (RFC 5354 §3.5).
    Tcp(IpTransport),
    /// UDP (RFC 5354 §3.6).
    Udp(IpTransport),
    /// UDP-Lite (RFC 5354 §3.7).
    UdpLite(IpTransport),
    /// Bytes that the application understands (RFC 5354 §3.16).
    Opaque(#[cfg_attr(feature = "arbitrary", arbitrary(with = super::arbitrary_bytes))] Bytes),
}

/// Where a protocol over IP is spoken (RFC 5354 §3.3 to §3.7).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct IpTransport {
    /// The port.
    pub port: u16,
    /// With SCTP data only, or data plus control. With all others a reserved field, 0 or as
    /// received: some peers put a transport use there, but it means nothing.
    pub transport_use: TransportUse,
    addresses: AddressList,
    /// Parameters inside that have no meaning there.
    pub extra: Vec<RawParameter>,
}

/// One address, which is what nearly all transports have, takes no memory of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum AddressList {
    One(IpAddr),
    /// None, or more than one.
    Others(Box<[IpAddr]>),
}

/// What an IP transport consists of in received bytes.
#[derive(Clone, Copy)]
struct Parts<'a> {
    port: u16,
    /// Reserved in all but SCTP.
    transport_use: TransportUse,
    /// DCCP has one.
    service_code: Option<u32>,
    parameters: Reader<'a>,
    slots: &'static [Slot],
}

/// The slots for what follows the fields.
#[inline]
const fn slots(protocol: Protocol) -> &'static [Slot] {
    const ADDRESS: &[ParameterType] = &[ParameterType::IPV4_ADDRESS, ParameterType::IPV6_ADDRESS];
    match protocol {
        Protocol::Sctp => const { &[Slot::many(ADDRESS)] },
        _ => const { &[Slot::one(ADDRESS)] },
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl<'a> TransportRef<'a> {
    /// Takes up a transport again from its [encoded](Self::encoded) bytes, with padding behind them
    /// or without.
    ///
    /// # Errors
    /// The bytes are not one transport parameter.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Transport::read(Reader::new(bytes).only()?, &mut Notes::default())
    }

    /// Takes up a transport again that was kept: `encoded` is what [`encoded`](Self::encoded) gave
    /// for one of this protocol. Other bytes yield nonsense, but no panic.
    pub(crate) const fn kept(protocol: Protocol, encoded: &'a [u8]) -> Self {
        Self { protocol, encoded }
    }

    /// The protocol.
    #[must_use]
    #[inline]
    pub const fn protocol(self) -> Protocol {
        self.protocol
    }

    /// The port; an opaque transport has none.
    #[must_use]
    #[inline]
    pub fn port(self) -> Option<u16> {
        self.parts().map(|parts| parts.port)
    }

    /// What the transport is for. Only SCTP says so; all others are for data only (RFC 5354 §3.4 to
    /// §3.7).
    #[must_use]
    #[inline]
    pub fn transport_use(self) -> TransportUse {
        match (self.protocol, self.parts()) {
            (Protocol::Sctp, Some(parts)) => parts.transport_use,
            _ => TransportUse::DATA_ONLY,
        }
    }

    /// The addresses: any number for SCTP, at most one for the others, none for an opaque
    /// transport.
    #[inline]
    pub fn addresses(self) -> Addresses<'a> {
        match self.parts() {
            Some(parts) => Addresses::new(parts.parameters, parts.slots),
            None => Addresses::new(Reader::new(&[]), &[]),
        }
    }

    /// The service code; only DCCP has one.
    #[must_use]
    pub fn service_code(self) -> Option<u32> {
        self.parts().and_then(|parts| parts.service_code)
    }

    /// The data of an opaque transport; `None` for all others.
    #[must_use]
    pub fn opaque(self) -> Option<&'a [u8]> {
        match self.protocol {
            Protocol::Opaque => self.encoded.get(4..),
            _ => None,
        }
    }

    /// Parameters inside that have no meaning there.
    pub fn extra(self) -> impl Iterator<Item = RawParameter<&'a [u8]>> {
        let walk = self.parts().map(|parts| Walk::new(parts.parameters, parts.slots));
        walk.into_iter().flat_map(Extra::new)
    }

    /// The whole parameter as received: header and value, without padding. To keep a transport is
    /// to keep these bytes; [`decode`](Self::decode) takes it up again.
    #[must_use]
    #[inline]
    pub const fn encoded(self) -> &'a [u8] {
        self.encoded
    }

    /// The same transport as a value of its own.
    #[must_use]
    pub fn to_owned(&self) -> Transport {
        let Some(at) = self.to_ip() else {
            return Transport::Opaque(Bytes::copy_from_slice(self.opaque().unwrap_or_default()));
        };
        match self.protocol {
            Protocol::Sctp => Transport::Sctp(at),
            Protocol::Tcp => Transport::Tcp(at),
            Protocol::Udp => Transport::Udp(at),
            Protocol::UdpLite => Transport::UdpLite(at),
            Protocol::Dccp | Protocol::Opaque => {
                Transport::Dccp { service_code: self.service_code().unwrap_or_default(), at }
            }
        }
    }

    pub(super) fn to_ip(self) -> Option<IpTransport> {
        let Parts { port, transport_use, .. } = self.parts()?;
        let extra = self.extra().map(|raw| raw.to_owned()).collect();
        Some(IpTransport { extra, ..IpTransport::new(port, transport_use, self.addresses()) })
    }

    #[inline]
    fn parts(self) -> Option<Parts<'a>> {
        // The bytes have been decoded before, so there is no error to come across.
        let value = Reader::new(self.encoded.get(4..)?);
        Parts::read(self.protocol, value).ok()?
    }
}

impl fmt::Debug for TransportRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_owned().fmt(f)
    }
}

impl<'a> Parts<'a> {
    /// The parts of every protocol but the opaque one.
    #[inline(always)]
    fn read(protocol: Protocol, mut value: Reader<'a>) -> Result<Option<Self>, DecodeError> {
        if protocol == Protocol::Opaque {
            return Ok(None);
        }
        let [p0, p1, u0, u1] = value.array()?;
        let port = u16::from_be_bytes([p0, p1]);
        let transport_use = TransportUse::new(u16::from_be_bytes([u0, u1]));
        let service_code = match protocol {
            Protocol::Dccp => Some(value.u32()?),
            _ => None,
        };
        let slots = slots(protocol);
        Ok(Some(Self { port, transport_use, service_code, parameters: value, slots }))
    }
}

impl Transport {
    /// SCTP at these addresses.
    #[must_use]
    pub fn sctp(
        port: u16,
        transport_use: TransportUse,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Self {
        Self::Sctp(IpTransport::new(port, transport_use, addresses))
    }

    /// TCP at this address.
    #[must_use]
    pub fn tcp(at: SocketAddr) -> Self {
        Self::Tcp(at.into())
    }

    /// UDP at this address.
    #[must_use]
    pub fn udp(at: SocketAddr) -> Self {
        Self::Udp(at.into())
    }

    /// UDP-Lite at this address.
    #[must_use]
    pub fn udp_lite(at: SocketAddr) -> Self {
        Self::UdpLite(at.into())
    }

    /// DCCP at this address.
    #[must_use]
    pub fn dccp(at: SocketAddr, service_code: u32) -> Self {
        Self::Dccp { service_code, at: at.into() }
    }

    /// Bytes that the application understands.
    #[must_use]
    pub fn opaque(data: impl Into<Bytes>) -> Self {
        Self::Opaque(data.into())
    }

    /// Which protocol it is.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        match self {
            Self::Dccp { .. } => Protocol::Dccp,
            Self::Sctp(_) => Protocol::Sctp,
            Self::Tcp(_) => Protocol::Tcp,
            Self::Udp(_) => Protocol::Udp,
            Self::UdpLite(_) => Protocol::UdpLite,
            Self::Opaque(_) => Protocol::Opaque,
        }
    }

    /// Port and addresses; an opaque transport has none.
    #[must_use]
    pub const fn ip(&self) -> Option<&IpTransport> {
        match self {
            Self::Dccp { at, .. }
            | Self::Sctp(at)
            | Self::Tcp(at)
            | Self::Udp(at)
            | Self::UdpLite(at) => Some(at),
            Self::Opaque(_) => None,
        }
    }

    /// Port and addresses, to be changed.
    #[must_use]
    pub const fn ip_mut(&mut self) -> Option<&mut IpTransport> {
        match self {
            Self::Dccp { at, .. }
            | Self::Sctp(at)
            | Self::Tcp(at)
            | Self::Udp(at)
            | Self::UdpLite(at) => Some(at),
            Self::Opaque(_) => None,
        }
    }

    /// Its addresses, each with its port, as the standard library's sockets take them.
    pub fn socket_addrs(&self) -> impl Iterator<Item = SocketAddr> + use<'_> {
        self.ip()
            .into_iter()
            .flat_map(|at| at.addresses().iter().map(|address| SocketAddr::new(*address, at.port)))
    }

    /// The whole parameter without padding, as [`TransportRef::encoded`] has it; nothing where it is
    /// too long for one.
    pub(crate) fn to_encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoded = Writer::whole(&mut bytes, |w| self.write(self.protocol().parameter(), w));
        let len = match (encoded, &bytes[..]) {
            (Ok(()), [_, _, high, low, ..]) => usize::from(u16::from_be_bytes([*high, *low])),
            _ => 0,
        };
        bytes.truncate(len);
        bytes
    }
}

impl Value for Transport {
    const HAS_PARAMETERS: bool = true;

    type View<'a> = TransportRef<'a>;

    #[inline(always)]
    fn read<'a>(
        tlv: Tlv<'a>,
        listener: &mut impl Listener<'a>,
    ) -> Result<TransportRef<'a>, DecodeError> {
        let Some(protocol) = Protocol::of(tlv.parameter()) else {
            return Err(tlv.error(Reason::MissingTransport));
        };
        let parts = match listener.is_first() {
            true => Parts::read(protocol, tlv.value())?,
            false => None,
        };
        if let Some(parts) = parts {
            let mut walk = Walk::new(parts.parameters, parts.slots);
            while let Some((_, tlv)) = walk.next(listener)? {
                IpAddr::read(tlv, listener)?;
            }
        }
        Ok(TransportRef { protocol, encoded: tlv.encoded })
    }

    fn own(view: TransportRef<'_>) -> Self {
        view.to_owned()
    }

    fn write(&self, _: ParameterType, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self {
            Self::Dccp { service_code, at } => at.write(Protocol::Dccp, Some(*service_code), w),
            Self::Sctp(at) | Self::Tcp(at) | Self::Udp(at) | Self::UdpLite(at) => {
                at.write(self.protocol(), None, w)
            }
            Self::Opaque(data) => data.write(ParameterType::OPAQUE_TRANSPORT, w),
        }
    }
}

/// The protocol, each address with the port, and what else the protocol has to say.
///
/// ```
/// use asap_pu::wire::{Transport, TransportUse};
///
/// let at = ["10.0.0.1".parse()?, "fd00::1".parse()?];
/// let transport = Transport::sctp(7000, TransportUse::DATA_PLUS_CONTROL, at);
/// let shown = "SCTP 10.0.0.1:7000 [fd00::1]:7000, data plus control";
/// assert_eq!(transport.to_string(), shown);
/// # Ok::<(), core::net::AddrParseError>(())
/// ```
impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.protocol())?;
        self.socket_addrs().try_for_each(|at| write!(f, " {at}"))?;
        match self {
            Self::Opaque(data) => return write!(f, " \"{}\"", data.escape_ascii()),
            _ if self.socket_addrs().next().is_none() => f.write_str(" without an address")?,
            _ => {}
        }
        match self {
            Self::Sctp(at) if at.transport_use != TransportUse::DATA_ONLY => {
                match at.transport_use.name() {
                    Some(name) => write!(f, ", {name}"),
                    None => write!(f, ", transport use {}", at.transport_use),
                }
            }
            Self::Dccp { service_code, .. } => write!(f, ", service code {service_code:#010x}"),
            _ => Ok(()),
        }
    }
}

impl IpTransport {
    /// This port at these addresses.
    #[must_use]
    pub fn new(
        port: u16,
        transport_use: TransportUse,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Self {
        let mut rest = addresses.into_iter();
        let addresses = match (rest.next(), rest.next()) {
            (Some(address), None) => AddressList::One(address),
            (first, second) => {
                AddressList::Others(first.into_iter().chain(second).chain(rest).collect())
            }
        };
        Self { port, transport_use, addresses, extra: Vec::new() }
    }

    /// The addresses. With SCTP any number, IPv4 and IPv6 in any mix; with all others one, and more
    /// are refused on encoding. None is of no use, and only in what was received.
    #[must_use]
    pub const fn addresses(&self) -> &[IpAddr] {
        match &self.addresses {
            AddressList::One(address) => core::slice::from_ref(address),
            AddressList::Others(addresses) => addresses,
        }
    }

    pub(super) fn write(
        &self,
        protocol: Protocol,
        service_code: Option<u32>,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let parameter = protocol.parameter();
        w.parameter(parameter, |w| {
            w.u16(self.port);
            w.u16(self.transport_use.get());
            if let Some(service_code) = service_code {
                w.u32(service_code);
            }
            grammar::write(w, parameter, slots(protocol), &self.extra, |w| {
                self.addresses().iter().try_for_each(|address| address.write(parameter, w))
            })
        })
    }
}

/// For data only.
impl From<SocketAddr> for IpTransport {
    fn from(at: SocketAddr) -> Self {
        Self::new(at.port(), TransportUse::DATA_ONLY, [at.ip()])
    }
}

#[cfg(feature = "arbitrary")]
impl<'a> arbitrary::Arbitrary<'a> for IpTransport {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        let addresses: Vec<IpAddr> = u.arbitrary()?;
        let (port, transport_use, extra) = u.arbitrary()?;
        Ok(Self { extra, ..Self::new(port, transport_use, addresses) })
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    /// Transports of every kind are shown with what tells them apart.
    #[test]
    fn a_transport_is_shown_with_its_addresses() {
        let at = SocketAddr::from(([10, 0, 0, 1], 80));
        assert_eq!(Transport::tcp(at).to_string(), "TCP 10.0.0.1:80");
        assert_eq!(Transport::udp_lite(at).to_string(), "UDP-Lite 10.0.0.1:80");
        let dccp = Transport::dccp(at, 0x2a);
        assert_eq!(dccp.to_string(), "DCCP 10.0.0.1:80, service code 0x0000002a");
        assert_eq!(Transport::opaque("a\0").to_string(), r#"opaque "a\x00""#);
        let odd = Transport::sctp(80, TransportUse::new(2), []);
        assert_eq!(odd.to_string(), "SCTP without an address, transport use 0x2");
    }
}
