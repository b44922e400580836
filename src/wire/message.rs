//! Messages: in received bytes, and as values of their own.
//!
//! What a message consists of stands in the [table](super::table). Here is told, once for all of
//! them, what becomes of a part: its types, and how it is read, owned and written.
//!
//! [`MessageRef::decode`] goes through every parameter at every depth before it returns. What it
//! returns borrows from the bytes, and iterating over it cannot fail. It finds the parameters of a
//! message first, each in its slot, and looks into those that consist of parameters in turn; then
//! it reads what was found, in the order in which the table has it.
//!
//! [`Message`] is what tools, tests and simulated registrars build, keep and send. What it encodes
//! to is decoded once more, so that all rules for messages are those of the decoder.

use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

use super::element::check_policy;
use super::error::{DecodeError, EncodeError, Reason};
use super::grammar::{Extra, Slot, Walk, set};
use super::notes::{Notes, Silence};
use super::raw::RawParameter;
use super::reader::{Reader, Tlv};
use super::table::{messages, parameters};
use super::value::Value;
#[cfg(feature = "arbitrary")]
use super::value::{any_value, any_variant};
use super::writer::Writer;
use super::{
    Cause, CauseCode, Causes, Elements, MessageType, OverallPolicy, ParameterType as P,
    PeIdentifier, Policy, PoolElement, PoolElementRef, PoolHandle, ServerIdentifier,
    ServerInformation, Transport, Transports, UnknownAction,
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
    extra: Extra<'a>,
}

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

// What each kind of part is, by the words of the table: first its types, then what is done with it.

macro_rules! forms {
    ($($(#[$meta:meta])+ $Variant:ident($Value:ty, $View:ty) {
        $($NAME:ident = $number:literal, $label:literal, $section:literal;)+
    })+) => {
        /// What a parameter of this type holds, as a value of its own.
        macro_rules! value {
            $($(($NAME) => { $Value };)+)+
        }

        /// What it holds in received bytes.
        macro_rules! view {
            $($(($NAME) => { $View };)+)+
        }

        /// Looks into a parameter of a message that consists of others.
        #[inline(always)]
        fn look_into<'a>(tlv: Tlv<'a>, notes: &mut Notes<'a>) -> Result<(), DecodeError> {
            match tlv.parameter() {
                $($(P::$NAME)|+ if const {
                    <$Value>::HAS_PARAMETERS && SLOTTED & set(&[$(P::$NAME),+]) != 0
                } => <$Value>::read(tlv, notes).map(drop),)+
                _ => Ok(()),
            }
        }
    };
}
parameters!(forms);

/// The type of a part as a value of its own.
macro_rules! owned {
    (flag) => { bool };
    (one($P:ident)) => { value!($P) };
    (optional($P:ident)) => { Option<value!($P)> };
    (optional($P:ident as $Value:ident)) => { Option<$Value> };
    (many($P:ident $(| $Q:ident)* as $List:ident)) => { Vec<value!($P)> };
    ($Number:ident) => { $Number };
}

/// The type of a part in received bytes.
macro_rules! borrowed {
    (flag) => { bool };
    (one($P:ident)) => { view!($P) };
    (optional($P:ident)) => { Option<view!($P)> };
    (optional($P:ident as $Value:ident)) => { Option<$Value<&'a [u8]>> };
    (many($P:ident $(| $Q:ident)* as $List:ident)) => { $List<'a> };
    ($Number:ident) => { $Number };
}

/// The type of the argument for a part: what can be made of many things is.
macro_rules! argument {
    (one(POOL_HANDLE)) => { impl Into<PoolHandle> };
    (one(COOKIE)) => { impl Into<Bytes> };
    ($($part:tt)+) => { owned!($($part)+) };
}

/// The types of the parameters of a part.
macro_rules! types {
    ($($P:ident)|+ $(as $As:ident)?) => { [$(P::$P),+] };
}

/// The constructor of a message, if it is to have one.
macro_rules! constructor {
    (, $($rest:tt)+) => {};
    ($constructor:ident, $Variant:ident, {$($doc:tt)+},
        $($field:ident: $of:ident $(($($types:tt)+))?),+
    ) => {
        $($doc)+
        #[must_use]
        pub fn $constructor($($field: argument!($of $(($($types)+))?)),+) -> Self {
            Body::$Variant { $($field: $field.into()),+ }.into()
        }
    };
}

/// Whether a part is a number.
macro_rules! is_number {
    (flag) => {
        false
    };
    ($of:ident($($types:tt)+)) => {
        false
    };
    ($Number:ident) => {
        true
    };
}

/// Reads a part.
macro_rules! read {
    ($found:ident, flag) => { $found.flag() };
    ($found:ident, one($P:ident)) => { $found.one::<value!($P)>(P::$P)? };
    ($found:ident, optional($P:ident)) => { $found.optional::<value!($P)>()? };
    ($found:ident, optional($P:ident as $Value:ident)) => { $found.optional::<$Value>()? };
    ($found:ident, many($($P:ident)|+ as $List:ident)) => {{
        // They have been looked into, so that to go through the list cannot fail.
        $(const { assert!(<value!($P)>::HAS_PARAMETERS) };)+
        $List::new($found.many(), const { &[Slot::many(&types!($($P)|+))] })
    }};
    ($found:ident, $Number:ident) => { $Number::new($found.number) };
}

/// Makes a part of a view a value of its own.
macro_rules! own {
    ($part:ident, one($P:ident)) => {
        <value!($P)>::own($part)
    };
    ($part:ident, optional($P:ident)) => {
        $part.map(<value!($P)>::own)
    };
    ($part:ident, optional($P:ident as $Value:ident)) => {
        $part.map($Value::own)
    };
    ($part:ident, many($($P:ident)|+ as $List:ident)) => {
        $part.to_owned()
    };
    ($part:ident, $head:ident) => {
        $part
    };
}

/// Writes a part.
macro_rules! write {
    ($part:ident, $w:ident, flag) => {
        $w.flag(*$part)
    };
    ($part:ident, $w:ident, one($P:ident)) => {
        $part.write(P::$P, $w)?
    };
    ($part:ident, $w:ident, $each:ident($P:ident $($more:tt)*)) => {
        $part.iter().try_for_each(|part| part.write(P::$P, $w))?
    };
    ($part:ident, $w:ident, $Number:ident) => {
        $w.u32($part.get())
    };
}

macro_rules! bodies {
    ($($(#[$meta:meta])+
        $NAME:ident = $number:literal, $label:literal, $section:literal:
        $Variant:ident $(, fn $constructor:ident)? $(, where $rule:ident)? {
            $($(#[$what:meta])+ $field:ident: $of:ident $(($($types:tt)+))?,)+
        }
    )+) => {
        /// What a message says in received bytes: one variant for each of the fourteen types of RFC
        /// 5352.
        #[derive(Debug, Clone, Copy)]
        #[non_exhaustive]
        pub enum BodyRef<'a> {$(
            #[doc = concat!($label, " (§", $section, "):")]
            $(#[$meta])+
            #[non_exhaustive]
            $Variant {
                $($(#[$what])+ $field: borrowed!($of $(($($types)+))?),)+
            },
        )+}

        /// What a message says: one variant for each of the fourteen types of RFC 5352. [`Message`]
        /// has a constructor for each.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Body {$(
            #[doc = concat!($label, " (§", $section, "):")]
            $(#[$meta])+
            #[non_exhaustive]
            $Variant {
                $($(#[$what])+ $field: owned!($of $(($($types)+))?),)+
            },
        )+}

        /// The messages in the order of the RFC. The arguments are what the variants of [`Body`]
        /// hold.
        impl Message {$(
            constructor! {
                $($constructor)?, $Variant,
                {#[doc = concat!($label, " (§", $section, "):")] $(#[$meta])+},
                $($field: $of $(($($types)+))?),+
            }
        )+}

        impl Body {
            const fn message_type(&self) -> MessageType {
                match self {
                    $(Self::$Variant { .. } => MessageType::$NAME,)+
                }
            }

            fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
                match self {
                    $(Self::$Variant { $($field),+ } => {
                        $(write!($field, w, $of $(($($types)+))?);)+
                    })+
                }
                Ok(())
            }
        }

        /// What a message of this type consists of: whether there is a number in front of its
        /// parameters, and the slots for these. `None` for a type that is not known.
        const fn layout(message_type: MessageType) -> Option<(bool, &'static [Slot])> {
            Some(match message_type {
                $(MessageType::$NAME => (
                    false $(|| is_number!($of $(($($types)+))?))+,
                    const {
                        const SLOTS: &[Slot] = &[$($(Slot::$of(&types!($($types)+)),)?)+];
                        assert!(SLOTS.len() <= MAX_SLOTS);
                        SLOTS
                    },
                ),)+
                _ => return None,
            })
        }

        impl<'a> BodyRef<'a> {
            const fn message_type(&self) -> MessageType {
                match self {
                    $(Self::$Variant { .. } => MessageType::$NAME,)+
                }
            }

            #[inline(always)]
            fn read(
                message_type: MessageType,
                found: &mut Found<'a>,
            ) -> Result<Self, DecodeError> {
                Ok(match message_type {
                    $(MessageType::$NAME => {
                        $($rule(found)?;)?
                        Self::$Variant {
                            $($field: read!(found, $of $(($($types)+))?)),+
                        }
                    })+
                    unknown => {
                        return Err(DecodeError::new(0, None, Reason::UnknownMessage(unknown)));
                    }
                })
            }

            fn to_owned(self) -> Body {
                match self {
                    $(Self::$Variant { $($field),+ } => Body::$Variant {
                        $($field: own!($field, $of $(($($types)+))?)),+
                    },)+
                }
            }
        }

        /// The types that have a slot in any message.
        const SLOTTED: u32 = 0 $($($(| set(&types!($($types)+)))?)+)+;

        #[cfg(feature = "arbitrary")]
        impl<'a> arbitrary::Arbitrary<'a> for Body {
            fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
                any_variant(u, &[$(
                    |u| Ok(Self::$Variant { $($field: any_value!(u, $($($types)+)?)),+ }),
                )+])
            }
        }
    };
}
messages!(bodies);

/// What was found in a message: its parts by where they stand.
struct Found<'a> {
    flags: u8,
    /// The number in front of the parameters; 0 if there is none.
    number: u32,
    parameters: Reader<'a>,
    /// The first parameter of each slot.
    first: [Option<Tlv<'a>>; MAX_SLOTS],
    /// The slot to be read next.
    slot: usize,
}

impl<'a> Found<'a> {
    /// Goes through the parameters of a message, and looks into those that have a slot.
    fn walk(&mut self, mut walk: Walk<'a>, notes: &mut Notes<'a>) -> Result<(), DecodeError> {
        while let Some((slot, tlv)) = walk.next(notes)? {
            look_into(tlv, notes)?;
            if let Some(first @ None) = self.first.get_mut(slot) {
                *first = Some(tlv);
            }
        }
        Ok(())
    }

    /// Takes out the one flag that may have a meaning.
    const fn flag(&mut self) -> bool {
        let flag = self.flags & 0x01 != 0;
        self.flags &= !0x01;
        flag
    }

    #[inline(always)]
    fn optional<V: Value>(&mut self) -> Result<Option<V::View<'a>>, DecodeError> {
        let tlv = self.first.get(self.slot).copied().flatten();
        self.slot = self.slot.wrapping_add(1);
        tlv.map(|tlv| V::read(tlv, &mut Silence)).transpose()
    }

    #[inline(always)]
    fn one<V: Value>(&mut self, parameter: P) -> Result<V::View<'a>, DecodeError> {
        self.optional::<V>()?.ok_or_else(|| self.missing(parameter))
    }

    /// The parameters among which the many are.
    #[inline(always)]
    const fn many(&mut self) -> Reader<'a> {
        self.slot = self.slot.wrapping_add(1);
        self.parameters
    }

    fn missing(&self, parameter: P) -> DecodeError {
        self.parameters.error(Reason::Missing(parameter))
    }
}

/// The element that registers has a policy (RFC 5354 §3.10).
fn registers(found: &Found<'_>) -> Result<(), DecodeError> {
    let is_element = |tlv: &&Tlv<'_>| tlv.parameter() == P::POOL_ELEMENT;
    let element = found.first.iter().flatten().find(is_element);
    check_policy(*element.ok_or_else(|| found.missing(P::POOL_ELEMENT))?)
}

/// There is an element or an error (RFC 5352 §2.2.6).
fn answers(found: &Found<'_>) -> Result<(), DecodeError> {
    let is_answer = |tlv: &Tlv<'_>| matches!(tlv.parameter(), P::POOL_ELEMENT | P::OPERATION_ERROR);
    match found.first.iter().flatten().any(is_answer) {
        true => Ok(()),
        false => Err(found.parameters.error(Reason::NoAnswer)),
    }
}

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
        let (message_type, flags, mut parameters) = Reader::new(bytes).message()?;
        let message_type = MessageType::new(message_type);
        notes.muted = message_type == MessageType::ERROR;
        let Some((has_number, slots)) = layout(message_type) else {
            if message_type.unknown_action() == UnknownAction::DiscardAndReport {
                notes.add(CauseCode::UNRECOGNIZED_MESSAGE, bytes);
            }
            return Err(DecodeError::new(0, None, Reason::UnknownMessage(message_type)));
        };
        let number = if has_number { parameters.u32()? } else { 0 };
        let walk = Walk::new(parameters, slots);
        let mut found = Found { flags, number, parameters, first: [None; MAX_SLOTS], slot: 0 };
        found.walk(walk, notes)?;
        let body = BodyRef::read(message_type, &mut found)?;
        Ok(Self { body, flags: found.flags, extra: Extra::new(walk) })
    }

    /// The type of the message.
    #[must_use]
    pub const fn message_type(&self) -> MessageType {
        self.body.message_type()
    }

    /// Parameters that are kept but mean nothing here: unknown ones that may be skipped, and known
    /// ones in a place where they are not expected.
    #[must_use]
    pub const fn extra(&self) -> Extra<'a> {
        self.extra
    }

    /// The same message as a value of its own.
    #[must_use]
    pub fn to_owned(&self) -> Message {
        let extra = self.extra().map(|raw| raw.to_owned()).collect();
        Message { body: self.body.to_owned(), flags: self.flags, extra }
    }
}

impl Message {
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
        let (handle, updates, causes) = (handle.into(), false, Some(causes));
        let (policy, elements) = (None, Vec::new());
        Body::HandleResolutionResponse { updates, handle, policy, elements, causes }.into()
    }

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
        let start = buf.len();
        Writer::message(buf, self.message_type(), self.flags, |w| {
            self.body.write(w)?;
            self.extra.iter().try_for_each(|raw| raw.write(w))
        })?;
        let read = self.check(buf.get(start..).unwrap_or_default());
        if read.is_err() {
            buf.truncate(start);
        }
        read
    }

    /// Whether these bytes, to which the message was encoded, are read back as what it is.
    fn check(&self, encoded: &[u8]) -> Result<(), EncodeError> {
        let misread = |parameter| Err(EncodeError::Misread { parameter });
        match MessageRef::decode(encoded, &mut Notes::default()) {
            Ok(view) if view.flags == self.flags && view.extra().is(&self.extra) => Ok(()),
            Ok(_) => misread(None),
            Err(error) => match error.reason() {
                Reason::NoAnswer => Err(EncodeError::NoAnswer),
                Reason::Missing(parameter) => misread(Some(parameter)),
                _ => misread(error.parameter()),
            },
        }
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
        self.body.message_type()
    }
}

/// A message that says this and nothing else.
impl From<Body> for Message {
    fn from(body: Body) -> Self {
        Self { body, flags: 0, extra: Vec::new() }
    }
}

/// One that can be encoded.
#[cfg(feature = "arbitrary")]
impl<'a> arbitrary::Arbitrary<'a> for Message {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        let mut message = Self::from(u.arbitrary::<Body>()?);
        message.flags = u.arbitrary::<u8>()? & !0x01;
        message.extra = u.arbitrary()?;
        match message.encode(&mut Vec::new()) {
            Ok(()) => Ok(message),
            Err(_) => Err(arbitrary::Error::IncorrectFormat),
        }
    }
}
