//! Parameters standing alone: for tools, and for the ones that error causes carry (RFC 5354 §3).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

use super::error::{DecodeError, EncodeError, Reason};
use super::grammar::{self, Extra, Walk};
use super::notes::Notes;
use super::reader::{Reader, Tlv};
use super::transport::{Protocol, address, write_address};
use super::writer::Writer;
use super::{
    Cause, Causes, ParameterType, PeIdentifier, Policy, PoolElement, PoolElementRef, PoolHandle,
    SctpTransport, ServerIdentifier, Transport, TransportRef,
};

/// A parameter of any type.
///
/// ```
/// use asap_pu::wire::Parameter;
///
/// let parameter = Parameter::PeChecksum(0xabcd);
/// let mut bytes = Vec::new();
/// parameter.encode(&mut bytes)?;
/// assert_eq!(bytes, [0x00, 0x0f, 0x00, 0x06, 0xab, 0xcd, 0x00, 0x00]);
/// assert_eq!(Parameter::decode(&bytes)?, parameter);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum Parameter {
    /// An IPv4 address (§3.1).
    Ipv4Address(Ipv4Addr),
    /// An IPv6 address (§3.2).
    Ipv6Address(Ipv6Addr),
    /// A transport of any protocol (§3.3 to §3.7, §3.16).
    Transport(Transport),
    /// A policy with an element's values (§3.8).
    Policy(Policy),
    /// The name of a pool (§3.9).
    PoolHandle(PoolHandle),
    /// A pool element (§3.10).
    PoolElement(PoolElement),
    /// A registrar and its transport (§3.11).
    ServerInformation(ServerInformation),
    /// What went wrong (§3.12).
    OperationError(Vec<Cause>),
    /// State that an element leaves with its users (§3.13).
    Cookie(#[cfg_attr(feature = "arbitrary", arbitrary(with = super::arbitrary_bytes))] Bytes),
    /// The name of a pool element (§3.14).
    PeIdentifier(PeIdentifier),
    /// A checksum over the elements that a registrar owns (§3.15).
    PeChecksum(u16),
    /// How many elements a resolution is to list at most; an extension that real registrars know.
    ElementsWanted(u32),
    /// A parameter of a type that is not known.
    Unknown(RawParameter),
}

/// A registrar and its transport (RFC 5354 §3.11). ASAP has no message for it; ENRP does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub struct ServerInformation {
    /// Names the registrar.
    pub server: ServerIdentifier,
    /// Where it is reached.
    pub transport: SctpTransport,
    /// Parameters inside that have no meaning there.
    pub extra: Vec<RawParameter>,
}

/// A parameter as it came: its type and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct RawParameter<B = Bytes> {
    /// The type.
    pub parameter: ParameterType,
    /// The value, without padding.
    pub value: B,
}

impl Parameter {
    /// The parameter that `bytes` are, padded or not.
    ///
    /// # Errors
    /// `bytes` are not exactly one parameter, or its value does not fit its type. An unknown type
    /// alone is no error, whatever its upper bits ask for; inside of a known one it may be.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let tlv = Reader::new(bytes).only()?;
        let notes = &mut Notes::default();
        Ok(match tlv.parameter() {
            ParameterType::IPV4_ADDRESS | ParameterType::IPV6_ADDRESS => match address(tlv)? {
                IpAddr::V4(v4) => Self::Ipv4Address(v4),
                IpAddr::V6(v6) => Self::Ipv6Address(v6),
            },
            ParameterType::DCCP_TRANSPORT
            | ParameterType::SCTP_TRANSPORT
            | ParameterType::TCP_TRANSPORT
            | ParameterType::UDP_TRANSPORT
            | ParameterType::UDP_LITE_TRANSPORT
            | ParameterType::OPAQUE_TRANSPORT => {
                Self::Transport(TransportRef::parse(tlv, notes)?.to_owned())
            }
            ParameterType::POLICY => Self::Policy(Policy::parse(tlv)?.to_owned()),
            ParameterType::POOL_HANDLE => Self::PoolHandle(tlv.bytes().into()),
            ParameterType::POOL_ELEMENT => {
                Self::PoolElement(PoolElementRef::parse(tlv, notes)?.to_owned())
            }
            ParameterType::SERVER_INFORMATION => {
                Self::ServerInformation(ServerInformation::parse(tlv, notes)?)
            }
            ParameterType::OPERATION_ERROR => Self::OperationError(Causes::parse(tlv)?.to_owned()),
            ParameterType::COOKIE => Self::Cookie(Bytes::copy_from_slice(tlv.bytes())),
            ParameterType::PE_IDENTIFIER => Self::PeIdentifier(PeIdentifier::new(tlv.u32()?)),
            ParameterType::PE_CHECKSUM => {
                let mut value = tlv.value();
                let checksum = value.u16()?;
                value.end()?;
                Self::PeChecksum(checksum)
            }
            ParameterType::ELEMENTS_WANTED => Self::ElementsWanted(tlv.u32()?),
            parameter => Self::Unknown(RawParameter { parameter, value: tlv.bytes() }.to_owned()),
        })
    }

    /// Appends the parameter with its padding.
    ///
    /// # Errors
    /// See [`EncodeError`]; `buf` is then as it was.
    pub fn encode(&self, buf: &mut Vec<u8>) -> Result<(), EncodeError> {
        Writer::whole(buf, |w| match self {
            Self::Ipv4Address(v4) => write_address(w, IpAddr::V4(*v4)),
            Self::Ipv6Address(v6) => write_address(w, IpAddr::V6(*v6)),
            Self::Transport(transport) => transport.write(w),
            Self::Policy(policy) => policy.write(w),
            Self::PoolHandle(handle) => w.value(ParameterType::POOL_HANDLE, handle.as_bytes()),
            Self::PoolElement(element) => element.write(w),
            Self::ServerInformation(information) => information.write(w),
            Self::OperationError(causes) => write_causes(w, causes),
            Self::Cookie(cookie) => w.value(ParameterType::COOKIE, cookie),
            Self::PeIdentifier(identifier) => {
                w.value(ParameterType::PE_IDENTIFIER, &identifier.get().to_be_bytes())
            }
            Self::PeChecksum(checksum) => {
                w.value(ParameterType::PE_CHECKSUM, &checksum.to_be_bytes())
            }
            Self::ElementsWanted(wanted) => {
                w.value(ParameterType::ELEMENTS_WANTED, &wanted.to_be_bytes())
            }
            Self::Unknown(raw) if grammar::is_known(raw.parameter) => {
                Err(EncodeError::Misread { parameter: Some(raw.parameter) })
            }
            Self::Unknown(raw) => raw.write(w),
        })
    }
}

impl ServerInformation {
    /// The registrar of this name at this transport.
    #[must_use]
    pub const fn new(server: ServerIdentifier, transport: SctpTransport) -> Self {
        Self { server, transport, extra: Vec::new() }
    }

    fn parse<'a>(tlv: Tlv<'a>, notes: &mut Notes<'a>) -> Result<Self, DecodeError> {
        let mut value = tlv.value();
        let server = ServerIdentifier::new(value.u32()?);
        let walk = Walk::new(value, grammar::SERVER_INFORMATION);
        let missing = || tlv.error(Reason::Missing(ParameterType::SCTP_TRANSPORT));
        let mut transports = walk;
        let (_, transport) = transports.next(notes)?.ok_or_else(missing)?;
        while transports.next(notes)?.is_some() {}
        let transport = TransportRef::parse(transport, notes)?;
        let Transport::Sctp(transport) = transport.to_owned() else { return Err(missing()) };
        let extra = Extra::new(walk).map(|raw| raw.to_owned()).collect();
        Ok(Self { server, transport, extra })
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.parameter(ParameterType::SERVER_INFORMATION, |w| {
            w.u32(self.server.get());
            let within = Some(ParameterType::SERVER_INFORMATION);
            w.parameters(within, grammar::SERVER_INFORMATION, &self.extra, |w| {
                self.transport.write(w)
            })
        })
    }
}

impl<B> RawParameter<B> {
    /// A parameter of this type with this value.
    pub const fn new(parameter: ParameterType, value: B) -> Self {
        Self { parameter, value }
    }
}

impl RawParameter<&[u8]> {
    /// Whether it says where somebody can be reached, in whatever way.
    pub(crate) const fn is_transport(&self) -> bool {
        Protocol::of(self.parameter).is_some()
    }

    /// The same parameter as a value of its own.
    #[must_use]
    pub fn to_owned(&self) -> RawParameter {
        RawParameter { parameter: self.parameter, value: Bytes::copy_from_slice(self.value) }
    }
}

impl<B: AsRef<[u8]>> RawParameter<B> {
    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.value(self.parameter, self.value.as_ref())
    }
}

pub(super) fn write_causes(w: &mut Writer<'_>, causes: &[Cause]) -> Result<(), EncodeError> {
    w.parameter(ParameterType::OPERATION_ERROR, |w| {
        causes.iter().try_for_each(|cause| cause.write(w))
    })
}

/// One of an unknown type that may be skipped, so that it can stand anywhere.
#[cfg(feature = "arbitrary")]
impl<'a> arbitrary::Arbitrary<'a> for RawParameter {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        let parameter = ParameterType::new(u.arbitrary::<u16>()? | 0x8000);
        if grammar::is_known(parameter) {
            return Err(arbitrary::Error::IncorrectFormat);
        }
        Ok(Self { parameter, value: super::arbitrary_bytes(u)? })
    }
}
