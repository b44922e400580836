//! Messages in received bytes: decoded once, as a whole, without a copy and without an allocation.
//!
//! [`MessageRef::decode`] goes through every parameter at every depth before it returns. What it
//! returns borrows from the bytes, and iterating over it cannot fail.

use super::error::{DecodeError, Reason};
use super::grammar::{self, Extra, Walk};
use super::notes::{Notes, Silence};
use super::reader::{Reader, Tlv};
use super::transport::TransportRef;
use super::{
    CauseCode, Causes, Elements, MessageType, OverallPolicy, ParameterType, PeIdentifier,
    PoolElementRef, ServerIdentifier, UnknownAction,
};

/// No message has more slots for its parameters.
const MAX_SLOTS: usize = 4;

/// A message in received bytes.
///
/// ```
/// use asap_pu::wire::{BodyRef, MessageRef, Notes};
///
/// let bytes = [0x05, 0x00, 0x00, 0x0c, 0x00, 0x09, 0x00, 0x08, b'e', b'c', b'h', b'o'];
/// let message = MessageRef::decode(&bytes, &mut Notes::default())?;
/// let BodyRef::HandleResolution { handle, .. } = message.body else { panic!() };
/// assert_eq!(handle, b"echo");
/// # Ok::<(), asap_pu::wire::DecodeError>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct MessageRef<'a> {
    /// What the message says.
    pub body: BodyRef<'a>,
    /// The flag bits that this type of message gives no meaning to, as received.
    pub flags: u8,
    message_type: MessageType,
    extra: Extra<'a>,
}

/// What a message says: one variant for each of the fourteen types of RFC 5352.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum BodyRef<'a> {
    /// ASAP_REGISTRATION (§2.2.1): an element joins a pool.
    #[non_exhaustive]
    Registration {
        /// The pool.
        handle: &'a [u8],
        /// The element.
        element: PoolElementRef<'a>,
    },
    /// ASAP_DEREGISTRATION (§2.2.2): an element leaves its pool.
    #[non_exhaustive]
    Deregistration {
        /// The pool.
        handle: &'a [u8],
        /// The element.
        identifier: PeIdentifier,
    },
    /// ASAP_REGISTRATION_RESPONSE (§2.2.3).
    #[non_exhaustive]
    RegistrationResponse {
        /// The R bit: the element was not taken in.
        rejected: bool,
        /// The pool.
        handle: &'a [u8],
        /// The element.
        identifier: PeIdentifier,
        /// Why it was rejected, or what was changed.
        causes: Option<Causes<'a>>,
    },
    /// ASAP_DEREGISTRATION_RESPONSE (§2.2.4).
    #[non_exhaustive]
    DeregistrationResponse {
        /// The pool.
        handle: &'a [u8],
        /// The element.
        identifier: PeIdentifier,
        /// What went wrong.
        causes: Option<Causes<'a>>,
    },
    /// ASAP_HANDLE_RESOLUTION (§2.2.5): which elements does a pool have?
    #[non_exhaustive]
    HandleResolution {
        /// The S bit: changes of the pool shall be told from here on.
        subscribe: bool,
        /// The pool.
        handle: &'a [u8],
        /// How many elements to list at most; `None` leaves it to the registrar.
        wanted: Option<u32>,
    },
    /// ASAP_HANDLE_RESOLUTION_RESPONSE (§2.2.6). It is negative if it has causes, be there elements
    /// or not; it has elements, causes or both.
    #[non_exhaustive]
    HandleResolutionResponse {
        /// The A bit: changes of the pool will be told.
        updates: bool,
        /// The pool.
        handle: &'a [u8],
        /// The policy of the pool; `None` means Round Robin.
        policy: Option<OverallPolicy<&'a [u8]>>,
        /// The elements.
        elements: Elements<'a>,
        /// Why there is no answer.
        causes: Option<Causes<'a>>,
    },
    /// ASAP_ENDPOINT_KEEP_ALIVE (§2.2.7): a registrar asks whether an element lives.
    #[non_exhaustive]
    EndpointKeepAlive {
        /// The H bit: the sender wants to be the receiver's home.
        home: bool,
        /// The sender.
        server: ServerIdentifier,
        /// The pool.
        handle: &'a [u8],
    },
    /// ASAP_ENDPOINT_KEEP_ALIVE_ACK (§2.2.8): it does.
    #[non_exhaustive]
    EndpointKeepAliveAck {
        /// The pool.
        handle: &'a [u8],
        /// The element.
        identifier: PeIdentifier,
    },
    /// ASAP_ENDPOINT_UNREACHABLE (§2.2.9): an element does not answer its users.
    #[non_exhaustive]
    EndpointUnreachable {
        /// The pool.
        handle: &'a [u8],
        /// The element.
        identifier: PeIdentifier,
    },
    /// ASAP_SERVER_ANNOUNCE (§2.2.10): here is a registrar.
    #[non_exhaustive]
    ServerAnnounce {
        /// The registrar.
        server: ServerIdentifier,
        /// Where it is reached: SCTP and TCP, others have no meaning here. None at all means where
        /// this came from.
        transports: Transports<'a>,
    },
    /// ASAP_COOKIE (§2.2.11): an element leaves state with its user.
    #[non_exhaustive]
    Cookie {
        /// The state.
        cookie: &'a [u8],
    },
    /// ASAP_COOKIE_ECHO (§2.2.12): the user gives the state to another element.
    #[non_exhaustive]
    CookieEcho {
        /// The state.
        cookie: &'a [u8],
    },
    /// ASAP_BUSINESS_CARD (§2.2.13): whom to turn to if the sender fails.
    #[non_exhaustive]
    BusinessCard {
        /// The sender's pool.
        handle: &'a [u8],
        /// The elements in the order to try them.
        elements: Elements<'a>,
    },
    /// ASAP_ERROR (§2.2.14): something was not understood.
    #[non_exhaustive]
    Error {
        /// What it was.
        causes: Causes<'a>,
    },
}

/// The transports of an announce, in the order received.
#[derive(Clone, Copy)]
pub struct Transports<'a>(Walk<'a>);

impl<'a> MessageRef<'a> {
    /// The message that `bytes` are, with its last padding or without.
    ///
    /// What was passed over, and what is to be reported to the sender, is added to `notes` even if
    /// the message is refused.
    ///
    /// # Errors
    /// The bytes are not one whole message of a known type, a parameter inside is malformed or
    /// missing, or one is not known and its type says that the message is to be dropped then. See
    /// [`Reason`].
    pub fn decode(bytes: &'a [u8], notes: &mut Notes<'a>) -> Result<Self, DecodeError> {
        let (message_type, flags, mut reader) = Reader::new(bytes).message()?;
        let message_type = MessageType::new(message_type);
        notes.muted = message_type == MessageType::ERROR;
        let Some(slots) = grammar::message(message_type) else {
            if message_type.unknown_action() == UnknownAction::DiscardAndReport {
                notes.add(CauseCode::UNRECOGNIZED_MESSAGE, bytes);
            }
            return Err(DecodeError::new(0, None, Reason::UnknownMessage(message_type)));
        };
        let server = match message_type {
            MessageType::ENDPOINT_KEEP_ALIVE | MessageType::SERVER_ANNOUNCE => reader.u32()?,
            _ => 0,
        };
        let server = ServerIdentifier::new(server);
        let walk = Walk::new(reader, slots);
        let found = fill(walk, notes)?;

        let flag = flags & message_type.defined_flags() != 0;
        let missing = |parameter| reader.error(Reason::Missing(parameter));
        let value = |tlv: Option<Tlv<'a>>, parameter| match tlv {
            Some(tlv) => Ok(tlv.bytes()),
            None => Err(missing(parameter)),
        };
        let handle = |tlv| value(tlv, ParameterType::POOL_HANDLE);
        let identifier = |tlv: Option<Tlv<'a>>| match tlv {
            Some(tlv) => tlv.u32().map(PeIdentifier::new),
            None => Err(missing(ParameterType::PE_IDENTIFIER)),
        };
        let causes = |tlv: Option<Tlv<'a>>| tlv.map(Causes::parse).transpose();

        let body = match message_type {
            MessageType::REGISTRATION => {
                let [name, element, ..] = found;
                let element = element.ok_or_else(|| missing(ParameterType::POOL_ELEMENT))?;
                let element = PoolElementRef::parse_registering(element)?;
                BodyRef::Registration { handle: handle(name)?, element }
            }
            MessageType::DEREGISTRATION => {
                let [name, element, ..] = found;
                BodyRef::Deregistration { handle: handle(name)?, identifier: identifier(element)? }
            }
            MessageType::REGISTRATION_RESPONSE => {
                let [name, element, error, _] = found;
                BodyRef::RegistrationResponse {
                    rejected: flag,
                    handle: handle(name)?,
                    identifier: identifier(element)?,
                    causes: causes(error)?,
                }
            }
            MessageType::DEREGISTRATION_RESPONSE => {
                let [name, element, error, _] = found;
                BodyRef::DeregistrationResponse {
                    handle: handle(name)?,
                    identifier: identifier(element)?,
                    causes: causes(error)?,
                }
            }
            MessageType::HANDLE_RESOLUTION => {
                let [name, wanted, ..] = found;
                BodyRef::HandleResolution {
                    subscribe: flag,
                    handle: handle(name)?,
                    wanted: wanted.map(|tlv| tlv.u32()).transpose()?,
                }
            }
            MessageType::HANDLE_RESOLUTION_RESPONSE => {
                let [name, policy, element, error] = found;
                if element.is_none() && error.is_none() {
                    return Err(reader.error(Reason::NoAnswer));
                }
                BodyRef::HandleResolutionResponse {
                    updates: flag,
                    handle: handle(name)?,
                    policy: policy.map(OverallPolicy::parse).transpose()?,
                    elements: Elements::new(reader),
                    causes: causes(error)?,
                }
            }
            MessageType::ENDPOINT_KEEP_ALIVE => {
                let [name, ..] = found;
                BodyRef::EndpointKeepAlive { home: flag, server, handle: handle(name)? }
            }
            MessageType::ENDPOINT_KEEP_ALIVE_ACK => {
                let [name, element, ..] = found;
                let (handle, identifier) = (handle(name)?, identifier(element)?);
                BodyRef::EndpointKeepAliveAck { handle, identifier }
            }
            MessageType::ENDPOINT_UNREACHABLE => {
                let [name, element, ..] = found;
                let (handle, identifier) = (handle(name)?, identifier(element)?);
                BodyRef::EndpointUnreachable { handle, identifier }
            }
            MessageType::SERVER_ANNOUNCE => {
                BodyRef::ServerAnnounce { server, transports: Transports(walk) }
            }
            MessageType::COOKIE => {
                let [cookie, ..] = found;
                BodyRef::Cookie { cookie: value(cookie, ParameterType::COOKIE)? }
            }
            MessageType::COOKIE_ECHO => {
                let [cookie, ..] = found;
                BodyRef::CookieEcho { cookie: value(cookie, ParameterType::COOKIE)? }
            }
            MessageType::BUSINESS_CARD => {
                let [name, ..] = found;
                let elements = Elements::new(reader);
                BodyRef::BusinessCard { handle: handle(name)?, elements }
            }
            // ASAP_ERROR, the last of those that have slots.
            _ => {
                let [error, ..] = found;
                let error = causes(error)?;
                let causes = error.ok_or_else(|| missing(ParameterType::OPERATION_ERROR))?;
                BodyRef::Error { causes }
            }
        };
        let flags = flags & !message_type.defined_flags();
        Ok(Self { body, flags, message_type, extra: Extra::new(walk) })
    }

    /// The type of the message.
    #[must_use]
    pub const fn message_type(&self) -> MessageType {
        self.message_type
    }

    /// Parameters that are kept but mean nothing here: unknown ones that may be skipped, and known
    /// ones in a place where they are not expected.
    #[must_use]
    pub const fn extra(&self) -> Extra<'a> {
        self.extra
    }
}

impl<'a> Iterator for Transports<'a> {
    type Item = TransportRef<'a>;

    fn next(&mut self) -> Option<TransportRef<'a>> {
        // The bytes have been decoded before, so there is no error to come across.
        let (_, tlv) = self.0.next(&mut Silence).ok()??;
        TransportRef::parse(tlv, &mut Silence).ok()
    }
}

impl core::fmt::Debug for Transports<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// Goes through the parameters of a message and gives the first one of each slot. Those that may
/// repeat are decoded on the way.
fn fill<'a>(
    mut walk: Walk<'a>,
    notes: &mut Notes<'a>,
) -> Result<[Option<Tlv<'a>>; MAX_SLOTS], DecodeError> {
    let mut found = [None; MAX_SLOTS];
    while let Some((slot, tlv)) = walk.next(notes)? {
        match tlv.parameter() {
            ParameterType::POOL_ELEMENT => drop(PoolElementRef::parse(tlv, notes)?),
            ParameterType::SCTP_TRANSPORT | ParameterType::TCP_TRANSPORT => {
                TransportRef::parse(tlv, notes)?;
            }
            _ => {}
        }
        if let Some(first @ None) = found.get_mut(slot) {
            *first = Some(tlv);
        }
    }
    Ok(found)
}
