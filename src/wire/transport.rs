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

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::error::{DecodeError, EncodeError, Reason};
use super::grammar::{self, Extra, Slot, Walk};
use super::notes::{Listener, Notes, Silence};
use super::parameter::RawParameter;
use super::reader::{Reader, Tlv};
use super::writer::Writer;
use super::{ParameterType, TransportUse};

/// The protocol of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u16)]
pub enum Protocol {
    /// DCCP (RFC 5354 §3.3).
    Dccp = 0x3,
    /// SCTP (RFC 5354 §3.4), the one that can carry a control channel.
    Sctp = 0x4,
    /// TCP (RFC 5354 §3.5).
    Tcp = 0x5,
    /// UDP (RFC 5354 §3.6).
    Udp = 0x6,
    /// UDP-Lite (RFC 5354 §3.7).
    UdpLite = 0x7,
    /// Something that the application knows (RFC 5354 §3.16).
    Opaque = 0x10,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Dccp, Self::Sctp, Self::Tcp, Self::Udp, Self::UdpLite, Self::Opaque];
}

/// A transport in received bytes.
///
/// Two are equal if they consist of the same bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TransportRef<'a> {
    protocol: Protocol,
    encoded: &'a [u8],
}

/// The addresses of a transport, in the order received.
#[derive(Clone, Copy)]
pub struct Addresses<'a>(Option<Walk<'a>>);

/// A transport as a value of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum Transport {
    /// DCCP (RFC 5354 §3.3).
    Dccp(DccpTransport),
    /// SCTP (RFC 5354 §3.4).
    Sctp(SctpTransport),
    /// TCP (RFC 5354 §3.5).
    Tcp(PlainTransport),
    /// UDP (RFC 5354 §3.6).
    Udp(PlainTransport),
    /// UDP-Lite (RFC 5354 §3.7).
    UdpLite(PlainTransport),
    /// Bytes that the application understands (RFC 5354 §3.16).
    Opaque(#[cfg_attr(feature = "arbitrary", arbitrary(with = super::arbitrary_bytes))] Bytes),
}

/// An SCTP transport (RFC 5354 §3.4).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub struct SctpTransport {
    /// The SCTP port.
    pub port: u16,
    /// Data only, or data plus control; other values as received.
    pub transport_use: TransportUse,
    /// IPv4 and IPv6 addresses in any mix; one at least for it to be of use.
    pub addresses: Vec<IpAddr>,
    /// Parameters inside that have no meaning there.
    pub extra: Vec<RawParameter>,
}

/// A TCP, UDP or UDP-Lite transport (RFC 5354 §3.5 to §3.7): one port, one address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub struct PlainTransport {
    /// The port.
    pub port: u16,
    /// The reserved field: 0, or as received. Some peers put a transport use here; it means
    /// nothing.
    pub reserved: u16,
    /// The address; `None` only in what was received without one.
    pub address: Option<IpAddr>,
    /// Parameters inside that have no meaning there.
    pub extra: Vec<RawParameter>,
}

/// A DCCP transport (RFC 5354 §3.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub struct DccpTransport {
    /// The DCCP port.
    pub port: u16,
    /// The reserved field: 0, or as received.
    pub reserved: u16,
    /// The DCCP service code.
    pub service_code: u32,
    /// The address; `None` only in what was received without one.
    pub address: Option<IpAddr>,
    /// Parameters inside that have no meaning there.
    pub extra: Vec<RawParameter>,
}

/// What stands in front of the addresses.
#[derive(Clone, Copy)]
struct Fields {
    port: u16,
    /// The transport use of SCTP, reserved in all others.
    second: u16,
    /// DCCP has one.
    service_code: Option<u32>,
}

impl Protocol {
    #[inline]
    pub(super) const fn of(parameter: ParameterType) -> Option<Self> {
        Some(match parameter {
            ParameterType::DCCP_TRANSPORT => Self::Dccp,
            ParameterType::SCTP_TRANSPORT => Self::Sctp,
            ParameterType::TCP_TRANSPORT => Self::Tcp,
            ParameterType::UDP_TRANSPORT => Self::Udp,
            ParameterType::UDP_LITE_TRANSPORT => Self::UdpLite,
            ParameterType::OPAQUE_TRANSPORT => Self::Opaque,
            _ => return None,
        })
    }

    /// The slots for what follows the fields.
    #[inline]
    const fn slots(self) -> &'static [Slot] {
        match self {
            Self::Sctp => grammar::SCTP_TRANSPORT,
            _ => grammar::OTHER_TRANSPORT,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Dccp => "DCCP",
            Self::Sctp => "SCTP",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::UdpLite => "UDP-Lite",
            Self::Opaque => "opaque",
        })
    }
}

impl<'a> TransportRef<'a> {
    /// Takes up a transport again from its [encoded](Self::encoded) bytes, with padding behind them
    /// or without.
    ///
    /// # Errors
    /// The bytes are not one transport parameter.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::parse(Reader::new(bytes).only()?, &mut Notes::default())
    }

    /// Takes up a transport again that was kept: `encoded` is what [`encoded`](Self::encoded) gave
    /// for one of this protocol. Other bytes yield nonsense, but no panic.
    pub(crate) const fn kept(protocol: Protocol, encoded: &'a [u8]) -> Self {
        Self { protocol, encoded }
    }

    #[inline(always)]
    pub(super) fn parse(
        tlv: Tlv<'a>,
        listener: &mut impl Listener<'a>,
    ) -> Result<Self, DecodeError> {
        let Some(protocol) = Protocol::of(tlv.parameter()) else {
            return Err(tlv.error(Reason::MissingTransport));
        };
        if let Some((_, mut walk)) = Fields::read(protocol, tlv.value())? {
            while let Some((_, tlv)) = walk.next(listener)? {
                address(tlv)?;
            }
        }
        Ok(Self { protocol, encoded: tlv.encoded })
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
        self.parts().map(|(fields, _)| fields.port)
    }

    /// What the transport is for. Only SCTP says so; all others are for data only (RFC 5354 §3.4 to
    /// §3.7).
    #[must_use]
    #[inline]
    pub fn transport_use(self) -> TransportUse {
        match (self.protocol, self.parts()) {
            (Protocol::Sctp, Some((fields, _))) => TransportUse::new(fields.second),
            _ => TransportUse::DATA_ONLY,
        }
    }

    /// The addresses: any number for SCTP, at most one for the others, none for an opaque
    /// transport.
    #[inline]
    pub fn addresses(self) -> Addresses<'a> {
        Addresses(self.parts().map(|(_, walk)| walk))
    }

    /// The service code; only DCCP has one.
    #[must_use]
    pub fn service_code(self) -> Option<u32> {
        self.parts().and_then(|(fields, _)| fields.service_code)
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
        self.parts().into_iter().flat_map(|(_, walk)| Extra::new(walk))
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
        let fields = self.parts().map(|(fields, _)| fields);
        let Some(Fields { port, second, service_code }) = fields else {
            return Transport::Opaque(Bytes::copy_from_slice(self.opaque().unwrap_or_default()));
        };
        let extra = self.extra().map(|raw| raw.to_owned()).collect();
        let plain = |extra| PlainTransport {
            port,
            reserved: second,
            address: self.addresses().next(),
            extra,
        };
        match self.protocol {
            Protocol::Sctp => Transport::Sctp(SctpTransport {
                port,
                transport_use: TransportUse::new(second),
                addresses: self.addresses().collect(),
                extra,
            }),
            Protocol::Tcp => Transport::Tcp(plain(extra)),
            Protocol::Udp => Transport::Udp(plain(extra)),
            Protocol::UdpLite => Transport::UdpLite(plain(extra)),
            Protocol::Dccp | Protocol::Opaque => Transport::Dccp(DccpTransport {
                port,
                reserved: second,
                service_code: service_code.unwrap_or_default(),
                address: self.addresses().next(),
                extra,
            }),
        }
    }

    #[inline]
    fn parts(self) -> Option<(Fields, Walk<'a>)> {
        // The bytes have been decoded before, so there is no error to come across.
        let value = Reader::new(self.encoded.get(4..)?);
        Fields::read(self.protocol, value).ok()?
    }
}

impl fmt::Debug for TransportRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_owned().fmt(f)
    }
}

impl Iterator for Addresses<'_> {
    type Item = IpAddr;

    #[inline]
    fn next(&mut self) -> Option<IpAddr> {
        let (_, tlv) = self.0.as_mut()?.next(&mut Silence).ok()??;
        address(tlv).ok()
    }
}

impl fmt::Debug for Addresses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

impl Fields {
    /// The fields of every protocol but the opaque one, and the way through what follows them.
    #[inline(always)]
    fn read(
        protocol: Protocol,
        mut value: Reader<'_>,
    ) -> Result<Option<(Self, Walk<'_>)>, DecodeError> {
        if protocol == Protocol::Opaque {
            return Ok(None);
        }
        let [p0, p1, s0, s1] = value.array()?;
        let port = u16::from_be_bytes([p0, p1]);
        let second = u16::from_be_bytes([s0, s1]);
        let service_code = match protocol {
            Protocol::Dccp => Some(value.u32()?),
            _ => None,
        };
        Ok(Some((Self { port, second, service_code }, Walk::new(value, protocol.slots()))))
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
        Self::Sctp(SctpTransport::new(port, transport_use, addresses))
    }

    /// TCP at this address.
    #[must_use]
    pub fn tcp(at: SocketAddr) -> Self {
        Self::Tcp(PlainTransport::new(at))
    }

    /// UDP at this address.
    #[must_use]
    pub fn udp(at: SocketAddr) -> Self {
        Self::Udp(PlainTransport::new(at))
    }

    /// UDP-Lite at this address.
    #[must_use]
    pub fn udp_lite(at: SocketAddr) -> Self {
        Self::UdpLite(PlainTransport::new(at))
    }

    /// DCCP at this address.
    #[must_use]
    pub fn dccp(at: SocketAddr, service_code: u32) -> Self {
        let PlainTransport { port, reserved, address, extra } = PlainTransport::new(at);
        Self::Dccp(DccpTransport { port, reserved, service_code, address, extra })
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
            Self::Dccp(_) => Protocol::Dccp,
            Self::Sctp(_) => Protocol::Sctp,
            Self::Tcp(_) => Protocol::Tcp,
            Self::Udp(_) => Protocol::Udp,
            Self::UdpLite(_) => Protocol::UdpLite,
            Self::Opaque(_) => Protocol::Opaque,
        }
    }

    /// Its addresses, each with its port, as the standard library's sockets take them.
    pub fn socket_addrs(&self) -> impl Iterator<Item = SocketAddr> + use<'_> {
        let (port, addresses) = match self {
            Self::Dccp(it) => (it.port, it.address.as_slice()),
            Self::Sctp(it) => (it.port, it.addresses.as_slice()),
            Self::Tcp(it) | Self::Udp(it) | Self::UdpLite(it) => (it.port, it.address.as_slice()),
            Self::Opaque(_) => (0, [].as_slice()),
        };
        addresses.iter().map(move |address| SocketAddr::new(*address, port))
    }

    /// The whole parameter without padding, as [`TransportRef::encoded`] has it; nothing where it is
    /// too long for one.
    pub(crate) fn to_encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoded = Writer::whole(&mut bytes, |w| self.write(w));
        let len = match (encoded, &bytes[..]) {
            (Ok(()), [_, _, high, low, ..]) => usize::from(u16::from_be_bytes([*high, *low])),
            _ => 0,
        };
        bytes.truncate(len);
        bytes
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self {
            Self::Dccp(it) => write(
                w,
                ParameterType::DCCP_TRANSPORT,
                Fields { port: it.port, second: it.reserved, service_code: Some(it.service_code) },
                it.address.as_slice(),
                &it.extra,
            ),
            Self::Sctp(it) => it.write(w),
            Self::Tcp(it) => it.write(w, ParameterType::TCP_TRANSPORT),
            Self::Udp(it) => it.write(w, ParameterType::UDP_TRANSPORT),
            Self::UdpLite(it) => it.write(w, ParameterType::UDP_LITE_TRANSPORT),
            Self::Opaque(data) => w.value(ParameterType::OPAQUE_TRANSPORT, data),
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
            Self::Sctp(it) if it.transport_use == TransportUse::DATA_ONLY => Ok(()),
            Self::Sctp(it) => match it.transport_use.name() {
                Some(name) => write!(f, ", {name}"),
                None => write!(f, ", transport use {}", it.transport_use),
            },
            Self::Dccp(it) => write!(f, ", service code {:#010x}", it.service_code),
            _ => Ok(()),
        }
    }
}

impl From<SctpTransport> for Transport {
    fn from(transport: SctpTransport) -> Self {
        Self::Sctp(transport)
    }
}

impl SctpTransport {
    /// SCTP at these addresses.
    #[must_use]
    pub fn new(
        port: u16,
        transport_use: TransportUse,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Self {
        let addresses = addresses.into_iter().collect();
        Self { port, transport_use, addresses, extra: Vec::new() }
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let fields =
            Fields { port: self.port, second: self.transport_use.get(), service_code: None };
        write(w, ParameterType::SCTP_TRANSPORT, fields, &self.addresses, &self.extra)
    }
}

impl PlainTransport {
    /// The protocol's port at this address.
    #[must_use]
    pub const fn new(at: SocketAddr) -> Self {
        Self { port: at.port(), reserved: 0, address: Some(at.ip()), extra: Vec::new() }
    }

    fn write(&self, w: &mut Writer<'_>, parameter: ParameterType) -> Result<(), EncodeError> {
        let fields = Fields { port: self.port, second: self.reserved, service_code: None };
        write(w, parameter, fields, self.address.as_slice(), &self.extra)
    }
}

fn write(
    w: &mut Writer<'_>,
    parameter: ParameterType,
    fields: Fields,
    addresses: &[IpAddr],
    extra: &[RawParameter],
) -> Result<(), EncodeError> {
    let slots = match parameter {
        ParameterType::SCTP_TRANSPORT => grammar::SCTP_TRANSPORT,
        _ => grammar::OTHER_TRANSPORT,
    };
    w.parameter(parameter, |w| {
        w.u16(fields.port);
        w.u16(fields.second);
        if let Some(service_code) = fields.service_code {
            w.u32(service_code);
        }
        w.parameters(Some(parameter), slots, extra, |w| {
            addresses.iter().try_for_each(|address| write_address(w, *address))
        })
    })
}

#[inline(always)]
pub(super) fn address(tlv: Tlv<'_>) -> Result<IpAddr, DecodeError> {
    let mut value = tlv.value();
    let address = match tlv.parameter() {
        ParameterType::IPV4_ADDRESS => IpAddr::from(value.array::<4>()?),
        _ => IpAddr::from(value.array::<16>()?),
    };
    value.end()?;
    Ok(address)
}

pub(super) fn write_address(w: &mut Writer<'_>, address: IpAddr) -> Result<(), EncodeError> {
    let (parameter, octets): (_, &[u8]) = match &address {
        IpAddr::V4(v4) => (ParameterType::IPV4_ADDRESS, &v4.octets()),
        IpAddr::V6(v6) => (ParameterType::IPV6_ADDRESS, &v6.octets()),
    };
    w.value(parameter, octets)
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
