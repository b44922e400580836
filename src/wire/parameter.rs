//! Parameters standing alone: for tools, and for the ones that error causes carry (RFC 5354 §3).

use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

use super::error::{DecodeError, EncodeError, Reason};
use super::grammar::{self, Extra, Slot, Walk};
use super::notes::{Listener, Notes};
use super::raw::RawParameter;
use super::reader::{Reader, Tlv};
use super::table::parameters;
use super::value::Value;
#[cfg(feature = "arbitrary")]
use super::value::{any_value, any_variant};
use super::writer::Writer;
use super::{
    Cause, IpTransport, ParameterType, PeIdentifier, Policy, PoolElement, PoolHandle, Protocol,
    ServerIdentifier, Transport,
};

macro_rules! alone {
    ($($(#[$meta:meta])+ $Variant:ident($Value:ty, $View:ty) {
        $($NAME:ident = $number:literal, $label:literal, $section:literal;)+
    })+) => {
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
        #[non_exhaustive]
        pub enum Parameter {
            $(
                $(#[$meta])+
                #[doc = concat!("(RFC 5354", $(" §", $section,)+ ").")]
                $Variant($Value),
            )+
            /// A parameter of a type that is not known.
            Unknown(RawParameter),
        }

        impl Parameter {
            fn read<'a>(tlv: Tlv<'a>, notes: &mut Notes<'a>) -> Result<Self, DecodeError> {
                Ok(match tlv.parameter() {
                    $($(ParameterType::$NAME)|+ => {
                        Self::$Variant(<$Value>::own(<$Value>::read(tlv, notes)?))
                    })+
                    unknown => Self::Unknown(RawParameter::new(unknown, tlv.bytes()).to_owned()),
                })
            }

            fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
                match self {
                    $(Self::$Variant(value) => {
                        let [parameter, ..] = [$(ParameterType::$NAME),+];
                        value.write(parameter, w)
                    })+
                    Self::Unknown(raw) => raw.write(w),
                }
            }
        }

        #[cfg(feature = "arbitrary")]
        impl<'a> arbitrary::Arbitrary<'a> for Parameter {
            fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
                any_variant(u, &[
                    $(|u| Ok(Self::$Variant(any_value!(u, $($NAME)+))),)+
                    |u| u.arbitrary().map(Self::Unknown),
                ])
            }
        }
    };
}
parameters!(alone);

/// What follows the number of server information.
const SERVER_INFORMATION: &[Slot] = &[Slot::one(&[ParameterType::SCTP_TRANSPORT])];

/// A registrar and its transport (RFC 5354 §3.11). ASAP has no message for it; ENRP does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub struct ServerInformation {
    /// Names the registrar.
    pub server: ServerIdentifier,
    /// Where it is reached, over SCTP.
    pub transport: IpTransport,
    /// Parameters inside that have no meaning there.
    pub extra: Vec<RawParameter>,
}

impl Parameter {
    /// The parameter that `bytes` are, padded or not.
    ///
    /// # Errors
    /// `bytes` are not exactly one parameter, or its value does not fit its type. An unknown type
    /// alone is no error, whatever its upper bits ask for; inside of a known one it may be.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::read(Reader::new(bytes).only()?, &mut Notes::default())
    }

    /// Appends the parameter with its padding.
    ///
    /// # Errors
    /// See [`EncodeError`]; `buf` is then as it was.
    pub fn encode(&self, buf: &mut Vec<u8>) -> Result<(), EncodeError> {
        Writer::whole(buf, |w| {
            let start = w.len();
            self.write(w)?;
            let written = w.since(start);
            match Self::decode(written) {
                Ok(read) if read == *self => Ok(()),
                _ => {
                    let parameter = Reader::new(written).only().ok().map(|tlv| tlv.parameter());
                    Err(EncodeError::Misread { parameter })
                }
            }
        })
    }
}

impl ServerInformation {
    /// The registrar of this name at this transport.
    #[must_use]
    pub const fn new(server: ServerIdentifier, transport: IpTransport) -> Self {
        Self { server, transport, extra: Vec::new() }
    }
}

impl Value for ServerInformation {
    const HAS_PARAMETERS: bool = true;

    type View<'a> = Self;

    fn read<'a>(tlv: Tlv<'a>, listener: &mut impl Listener<'a>) -> Result<Self, DecodeError> {
        let mut value = tlv.value();
        let server = ServerIdentifier::new(value.u32()?);
        let walk = Walk::new(value, SERVER_INFORMATION);
        let missing = || tlv.error(Reason::Missing(ParameterType::SCTP_TRANSPORT));
        let mut transports = walk;
        let (_, transport) = transports.next(listener)?.ok_or_else(missing)?;
        while transports.next(listener)?.is_some() {}
        let transport = Transport::read(transport, listener)?.to_ip().ok_or_else(missing)?;
        let extra = Extra::new(walk).map(|raw| raw.to_owned()).collect();
        Ok(Self { server, transport, extra })
    }

    fn own(view: Self) -> Self {
        view
    }

    fn write(&self, parameter: ParameterType, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.parameter(parameter, |w| {
            w.u32(self.server.get());
            grammar::write(w, parameter, SERVER_INFORMATION, &self.extra, |w| {
                self.transport.write(Protocol::Sctp, None, w)
            })
        })
    }
}
