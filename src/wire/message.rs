//! Messages as values of their own: what tools, tests and simulated registrars build, keep and
//! send.

use alloc::vec::Vec;

use bytes::Bytes;

use super::encode::{write_element_of, write_handle_resolution};
use super::error::{DecodeError, EncodeError};
use super::grammar;
use super::notes::Notes;
use super::parameter::{RawParameter, write_causes};
use super::view::{BodyRef, MessageRef};
use super::writer::Writer;
use super::{
    Cause, MessageType, OverallPolicy, ParameterType, PeIdentifier, PoolElement, PoolHandle,
    ServerIdentifier, Transport,
};

/// A message as a value of its own.
///
/// It keeps everything that is in a received message and may be there, so that what a peer sent
/// becomes the same bytes again: parameters in the RFC's order, extra ones behind them, padding of
/// zeros.
///
/// ```
/// use asap_pu::wire::{Message, PeIdentifier};
///
/// let message = Message::endpoint_unreachable("echo", PeIdentifier::new(0x17));
/// assert_eq!(Message::decode(&message.to_bytes()?)?, message);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Message {
    /// What the message says.
    pub body: Body,
    /// The flag bits that this type of message gives no meaning to: 0, or as received.
    pub flags: u8,
    /// Parameters that mean nothing here: unknown ones that may be skipped, and known ones in a
    /// place where they are not expected. They are written behind all others.
    pub extra: Vec<RawParameter>,
}

/// What a message says: one variant for each of the fourteen types of RFC 5352. The fields are
/// those of [`BodyRef`]; [`Message`] has a constructor for each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[expect(missing_docs, reason = "the fields are those of `BodyRef`")]
#[non_exhaustive]
pub enum Body {
    /// ASAP_REGISTRATION (§2.2.1).
    #[non_exhaustive]
    Registration { handle: PoolHandle, element: PoolElement },
    /// ASAP_DEREGISTRATION (§2.2.2).
    #[non_exhaustive]
    Deregistration { handle: PoolHandle, identifier: PeIdentifier },
    /// ASAP_REGISTRATION_RESPONSE (§2.2.3).
    #[non_exhaustive]
    RegistrationResponse {
        rejected: bool,
        handle: PoolHandle,
        identifier: PeIdentifier,
        causes: Option<Vec<Cause>>,
    },
    /// ASAP_DEREGISTRATION_RESPONSE (§2.2.4).
    #[non_exhaustive]
    DeregistrationResponse {
        handle: PoolHandle,
        identifier: PeIdentifier,
        causes: Option<Vec<Cause>>,
    },
    /// ASAP_HANDLE_RESOLUTION (§2.2.5).
    #[non_exhaustive]
    HandleResolution { subscribe: bool, handle: PoolHandle, wanted: Option<u32> },
    /// ASAP_HANDLE_RESOLUTION_RESPONSE (§2.2.6).
    #[non_exhaustive]
    HandleResolutionResponse {
        updates: bool,
        handle: PoolHandle,
        policy: Option<OverallPolicy>,
        elements: Vec<PoolElement>,
        causes: Option<Vec<Cause>>,
    },
    /// ASAP_ENDPOINT_KEEP_ALIVE (§2.2.7).
    #[non_exhaustive]
    EndpointKeepAlive { home: bool, server: ServerIdentifier, handle: PoolHandle },
    /// ASAP_ENDPOINT_KEEP_ALIVE_ACK (§2.2.8).
    #[non_exhaustive]
    EndpointKeepAliveAck { handle: PoolHandle, identifier: PeIdentifier },
    /// ASAP_ENDPOINT_UNREACHABLE (§2.2.9).
    #[non_exhaustive]
    EndpointUnreachable { handle: PoolHandle, identifier: PeIdentifier },
    /// ASAP_SERVER_ANNOUNCE (§2.2.10).
    #[non_exhaustive]
    ServerAnnounce { server: ServerIdentifier, transports: Vec<Transport> },
    /// ASAP_COOKIE (§2.2.11).
    #[non_exhaustive]
    Cookie {
        #[cfg_attr(feature = "arbitrary", arbitrary(with = super::arbitrary_bytes))]
        cookie: Bytes,
    },
    /// ASAP_COOKIE_ECHO (§2.2.12).
    #[non_exhaustive]
    CookieEcho {
        #[cfg_attr(feature = "arbitrary", arbitrary(with = super::arbitrary_bytes))]
        cookie: Bytes,
    },
    /// ASAP_BUSINESS_CARD (§2.2.13).
    #[non_exhaustive]
    BusinessCard { handle: PoolHandle, elements: Vec<PoolElement> },
    /// ASAP_ERROR (§2.2.14).
    #[non_exhaustive]
    Error { causes: Vec<Cause> },
}

/// The messages in the order of the RFC.
impl Message {
    /// ASAP_REGISTRATION (§2.2.1): `element` joins the pool.
    #[must_use]
    pub fn registration(handle: impl Into<PoolHandle>, element: PoolElement) -> Self {
        Body::Registration { handle: handle.into(), element }.into()
    }

    /// ASAP_DEREGISTRATION (§2.2.2): the element leaves the pool.
    #[must_use]
    pub fn deregistration(handle: impl Into<PoolHandle>, identifier: PeIdentifier) -> Self {
        Body::Deregistration { handle: handle.into(), identifier }.into()
    }

    /// ASAP_REGISTRATION_RESPONSE (§2.2.3): `rejected` is the R bit.
    #[must_use]
    pub fn registration_response(
        rejected: bool,
        handle: impl Into<PoolHandle>,
        identifier: PeIdentifier,
        causes: Option<Vec<Cause>>,
    ) -> Self {
        Body::RegistrationResponse { rejected, handle: handle.into(), identifier, causes }.into()
    }

    /// ASAP_DEREGISTRATION_RESPONSE (§2.2.4).
    #[must_use]
    pub fn deregistration_response(
        handle: impl Into<PoolHandle>,
        identifier: PeIdentifier,
        causes: Option<Vec<Cause>>,
    ) -> Self {
        Body::DeregistrationResponse { handle: handle.into(), identifier, causes }.into()
    }

    /// ASAP_HANDLE_RESOLUTION (§2.2.5): `subscribe` is the S bit, `wanted` the number of elements
    /// to list at most.
    #[must_use]
    pub fn handle_resolution(
        subscribe: bool,
        handle: impl Into<PoolHandle>,
        wanted: Option<u32>,
    ) -> Self {
        Body::HandleResolution { subscribe, handle: handle.into(), wanted }.into()
    }

    /// ASAP_HANDLE_RESOLUTION_RESPONSE (§2.2.6), positive: without updates, and with one element at
    /// least.
    #[must_use]
    pub fn handle_resolution_response(
        handle: impl Into<PoolHandle>,
        policy: Option<OverallPolicy>,
        elements: Vec<PoolElement>,
    ) -> Self {
        let (handle, updates, causes) = (handle.into(), false, None);
        Body::HandleResolutionResponse { updates, handle, policy, elements, causes }.into()
    }

    /// ASAP_HANDLE_RESOLUTION_RESPONSE (§2.2.6), negative.
    #[must_use]
    pub fn handle_resolution_failure(handle: impl Into<PoolHandle>, causes: Vec<Cause>) -> Self {
        Body::HandleResolutionResponse {
            updates: false,
            handle: handle.into(),
            policy: None,
            elements: Vec::new(),
            causes: Some(causes),
        }
        .into()
    }

    /// ASAP_ENDPOINT_KEEP_ALIVE (§2.2.7): `home` is the H bit.
    #[must_use]
    pub fn endpoint_keep_alive(
        home: bool,
        server: ServerIdentifier,
        handle: impl Into<PoolHandle>,
    ) -> Self {
        Body::EndpointKeepAlive { home, server, handle: handle.into() }.into()
    }

    /// ASAP_ENDPOINT_KEEP_ALIVE_ACK (§2.2.8).
    #[must_use]
    pub fn endpoint_keep_alive_ack(
        handle: impl Into<PoolHandle>,
        identifier: PeIdentifier,
    ) -> Self {
        Body::EndpointKeepAliveAck { handle: handle.into(), identifier }.into()
    }

    /// ASAP_ENDPOINT_UNREACHABLE (§2.2.9).
    #[must_use]
    pub fn endpoint_unreachable(handle: impl Into<PoolHandle>, identifier: PeIdentifier) -> Self {
        Body::EndpointUnreachable { handle: handle.into(), identifier }.into()
    }

    /// ASAP_SERVER_ANNOUNCE (§2.2.10), with SCTP and TCP transports only.
    #[must_use]
    pub fn server_announce(server: ServerIdentifier, transports: Vec<Transport>) -> Self {
        Body::ServerAnnounce { server, transports }.into()
    }

    /// ASAP_COOKIE (§2.2.11).
    #[must_use]
    pub fn cookie(cookie: impl Into<Bytes>) -> Self {
        Body::Cookie { cookie: cookie.into() }.into()
    }

    /// ASAP_COOKIE_ECHO (§2.2.12).
    #[must_use]
    pub fn cookie_echo(cookie: impl Into<Bytes>) -> Self {
        Body::CookieEcho { cookie: cookie.into() }.into()
    }

    /// ASAP_BUSINESS_CARD (§2.2.13): the elements in the order to try them.
    #[must_use]
    pub fn business_card(handle: impl Into<PoolHandle>, elements: Vec<PoolElement>) -> Self {
        Body::BusinessCard { handle: handle.into(), elements }.into()
    }

    /// ASAP_ERROR (§2.2.14).
    #[must_use]
    pub fn error(causes: Vec<Cause>) -> Self {
        Body::Error { causes }.into()
    }
}

impl Message {
    /// The message that `bytes` are, with its last padding or without.
    ///
    /// # Errors
    /// As [`MessageRef::decode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        MessageRef::decode(bytes, &mut Notes::default()).map(|message| message.to_owned())
    }

    /// Appends the message with its padding.
    ///
    /// # Errors
    /// See [`EncodeError`]; `buf` is then as it was.
    pub fn encode(&self, buf: &mut Vec<u8>) -> Result<(), EncodeError> {
        let message_type = self.message_type();
        if self.flags & message_type.defined_flags() != 0 {
            return Err(EncodeError::Misread { parameter: None });
        }
        let slots = grammar::message(message_type).unwrap_or_default();
        Writer::message(buf, message_type, self.body.flags() | self.flags, |w| {
            if let Body::EndpointKeepAlive { server, .. } | Body::ServerAnnounce { server, .. } =
                &self.body
            {
                w.u32(server.get());
            }
            w.parameters(None, slots, &self.extra, |w| self.body.write(w))
        })
    }

    /// The message with its padding.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub fn to_bytes(&self) -> Result<Bytes, EncodeError> {
        let mut buf = Vec::new();
        self.encode(&mut buf)?;
        Ok(buf.into())
    }

    /// The type of the message.
    #[must_use]
    pub const fn message_type(&self) -> MessageType {
        match self.body {
            Body::Registration { .. } => MessageType::REGISTRATION,
            Body::Deregistration { .. } => MessageType::DEREGISTRATION,
            Body::RegistrationResponse { .. } => MessageType::REGISTRATION_RESPONSE,
            Body::DeregistrationResponse { .. } => MessageType::DEREGISTRATION_RESPONSE,
            Body::HandleResolution { .. } => MessageType::HANDLE_RESOLUTION,
            Body::HandleResolutionResponse { .. } => MessageType::HANDLE_RESOLUTION_RESPONSE,
            Body::EndpointKeepAlive { .. } => MessageType::ENDPOINT_KEEP_ALIVE,
            Body::EndpointKeepAliveAck { .. } => MessageType::ENDPOINT_KEEP_ALIVE_ACK,
            Body::EndpointUnreachable { .. } => MessageType::ENDPOINT_UNREACHABLE,
            Body::ServerAnnounce { .. } => MessageType::SERVER_ANNOUNCE,
            Body::Cookie { .. } => MessageType::COOKIE,
            Body::CookieEcho { .. } => MessageType::COOKIE_ECHO,
            Body::BusinessCard { .. } => MessageType::BUSINESS_CARD,
            Body::Error { .. } => MessageType::ERROR,
        }
    }
}

/// A message that says this and nothing else.
impl From<Body> for Message {
    fn from(body: Body) -> Self {
        Self { body, flags: 0, extra: Vec::new() }
    }
}

impl Body {
    /// The flag bits that have a meaning.
    const fn flags(&self) -> u8 {
        match self {
            Self::RegistrationResponse { rejected: flag, .. }
            | Self::HandleResolution { subscribe: flag, .. }
            | Self::HandleResolutionResponse { updates: flag, .. }
            | Self::EndpointKeepAlive { home: flag, .. } => *flag as u8,
            _ => 0,
        }
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self {
            Self::Registration { handle, element } => {
                if !element.can_register() {
                    let parameter = Some(ParameterType::POLICY);
                    return Err(EncodeError::Misread { parameter });
                }
                w.value(ParameterType::POOL_HANDLE, handle.as_bytes())?;
                element.write(w)
            }
            Self::RegistrationResponse { handle, identifier, causes, .. }
            | Self::DeregistrationResponse { handle, identifier, causes } => {
                write_element_of(w, handle.as_bytes(), *identifier)?;
                causes.iter().try_for_each(|causes| write_causes(w, causes))
            }
            Self::HandleResolution { handle, wanted, .. } => {
                write_handle_resolution(w, handle.as_bytes(), *wanted)
            }
            Self::HandleResolutionResponse { handle, policy, elements, causes, .. } => {
                if elements.is_empty() && causes.is_none() {
                    return Err(EncodeError::NoAnswer);
                }
                w.value(ParameterType::POOL_HANDLE, handle.as_bytes())?;
                policy.iter().try_for_each(|policy| policy.write(w))?;
                elements.iter().try_for_each(|element| element.write(w))?;
                causes.iter().try_for_each(|causes| write_causes(w, causes))
            }
            Self::EndpointKeepAlive { handle, .. } => {
                w.value(ParameterType::POOL_HANDLE, handle.as_bytes())
            }
            Self::Deregistration { handle, identifier }
            | Self::EndpointKeepAliveAck { handle, identifier }
            | Self::EndpointUnreachable { handle, identifier } => {
                write_element_of(w, handle.as_bytes(), *identifier)
            }
            Self::ServerAnnounce { transports, .. } => {
                transports.iter().try_for_each(|transport| match transport {
                    Transport::Sctp(_) | Transport::Tcp(_) => transport.write(w),
                    _ => Err(EncodeError::Misread { parameter: None }),
                })
            }
            Self::Cookie { cookie } | Self::CookieEcho { cookie } => {
                w.value(ParameterType::COOKIE, cookie)
            }
            Self::BusinessCard { handle, elements } => {
                w.value(ParameterType::POOL_HANDLE, handle.as_bytes())?;
                elements.iter().try_for_each(|element| element.write(w))
            }
            Self::Error { causes } => write_causes(w, causes),
        }
    }
}

impl MessageRef<'_> {
    /// The same message as a value of its own.
    #[must_use]
    pub fn to_owned(&self) -> Message {
        let body = match self.body {
            BodyRef::Registration { handle, element } => {
                Body::Registration { handle: handle.into(), element: element.to_owned() }
            }
            BodyRef::Deregistration { handle, identifier } => {
                Body::Deregistration { handle: handle.into(), identifier }
            }
            BodyRef::RegistrationResponse { rejected, handle, identifier, causes } => {
                Body::RegistrationResponse {
                    rejected,
                    handle: handle.into(),
                    identifier,
                    causes: causes.map(|causes| causes.to_owned()),
                }
            }
            BodyRef::DeregistrationResponse { handle, identifier, causes } => {
                Body::DeregistrationResponse {
                    handle: handle.into(),
                    identifier,
                    causes: causes.map(|causes| causes.to_owned()),
                }
            }
            BodyRef::HandleResolution { subscribe, handle, wanted } => {
                Body::HandleResolution { subscribe, handle: handle.into(), wanted }
            }
            BodyRef::HandleResolutionResponse { updates, handle, policy, elements, causes } => {
                Body::HandleResolutionResponse {
                    updates,
                    handle: handle.into(),
                    policy: policy.map(|policy| policy.to_owned()),
                    elements: elements.to_owned(),
                    causes: causes.map(|causes| causes.to_owned()),
                }
            }
            BodyRef::EndpointKeepAlive { home, server, handle } => {
                Body::EndpointKeepAlive { home, server, handle: handle.into() }
            }
            BodyRef::EndpointKeepAliveAck { handle, identifier } => {
                Body::EndpointKeepAliveAck { handle: handle.into(), identifier }
            }
            BodyRef::EndpointUnreachable { handle, identifier } => {
                Body::EndpointUnreachable { handle: handle.into(), identifier }
            }
            BodyRef::ServerAnnounce { server, transports } => {
                let transports = transports.map(|transport| transport.to_owned()).collect();
                Body::ServerAnnounce { server, transports }
            }
            BodyRef::Cookie { cookie } => Body::Cookie { cookie: Bytes::copy_from_slice(cookie) },
            BodyRef::CookieEcho { cookie } => {
                Body::CookieEcho { cookie: Bytes::copy_from_slice(cookie) }
            }
            BodyRef::BusinessCard { handle, elements } => {
                Body::BusinessCard { handle: handle.into(), elements: elements.to_owned() }
            }
            BodyRef::Error { causes } => Body::Error { causes: causes.to_owned() },
        };
        let extra = self.extra().map(|raw| raw.to_owned()).collect();
        Message { body, flags: self.flags, extra }
    }
}

/// One that can be encoded.
#[cfg(feature = "arbitrary")]
impl<'a> arbitrary::Arbitrary<'a> for Message {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        let mut message = Self::from(u.arbitrary::<Body>()?);
        message.flags = u.arbitrary::<u8>()? & !message.message_type().defined_flags();
        message.extra = u.arbitrary()?;
        match message.encode(&mut Vec::new()) {
            Ok(()) => Ok(message),
            Err(_) => Err(arbitrary::Error::IncorrectFormat),
        }
    }
}
