//! What may stand where: the figures of the RFCs as tables.
//!
//! A message, and a parameter that contains others, is a row of slots. Going through the parameters
//! in the order received, each takes the first slot that admits its type and is still free. One
//! that finds no slot is passed over: a known type is merely in the wrong place, an unknown one
//! says by its upper bits what is to be done (RFC 5354 §3). So the order of parameters does not
//! matter, with one exception that falls out of the rule: in a pool element the first transport is
//! the user's, and a later SCTP one is ASAP's.
//!
//! Only a second pool handle is an error, since two names leave open which pool is meant.

use super::error::{DecodeError, Reason};
use super::notes::Listener;
use super::parameter::RawParameter;
use super::reader::{Reader, Tlv};
use super::{MessageType, ParameterType as P};

// The messages, RFC 5352 §2.2.1 to §2.2.14.
const REGISTRATION: &[Slot] = &[one(&[P::POOL_HANDLE]), one(&[P::POOL_ELEMENT])];
const DEREGISTRATION: &[Slot] = &[one(&[P::POOL_HANDLE]), one(&[P::PE_IDENTIFIER])];
const REGISTRATION_RESPONSE: &[Slot] =
    &[one(&[P::POOL_HANDLE]), one(&[P::PE_IDENTIFIER]), one(&[P::OPERATION_ERROR])];
const DEREGISTRATION_RESPONSE: &[Slot] = REGISTRATION_RESPONSE;
const HANDLE_RESOLUTION: &[Slot] = &[one(&[P::POOL_HANDLE]), one(&[P::ELEMENTS_WANTED])];
const HANDLE_RESOLUTION_RESPONSE: &[Slot] = &[
    one(&[P::POOL_HANDLE]),
    one(&[P::POLICY]),
    many(&[P::POOL_ELEMENT]),
    one(&[P::OPERATION_ERROR]),
];
const ENDPOINT_KEEP_ALIVE: &[Slot] = &[one(&[P::POOL_HANDLE])];
const ENDPOINT_KEEP_ALIVE_ACK: &[Slot] = DEREGISTRATION;
const ENDPOINT_UNREACHABLE: &[Slot] = DEREGISTRATION;
pub(super) const SERVER_ANNOUNCE: &[Slot] = &[many(&[P::SCTP_TRANSPORT, P::TCP_TRANSPORT])];
const COOKIE: &[Slot] = &[one(&[P::COOKIE])];
const COOKIE_ECHO: &[Slot] = COOKIE;
const BUSINESS_CARD: &[Slot] = &[one(&[P::POOL_HANDLE]), many(&[P::POOL_ELEMENT])];
const ERROR: &[Slot] = &[one(&[P::OPERATION_ERROR])];
/// The pool elements alone, where the rest of a message does not matter.
pub(super) const ELEMENTS: &[Slot] = &[many(&[P::POOL_ELEMENT])];

// The parameters that contain others, RFC 5354 §3.3 to §3.11.
pub(super) const SCTP_TRANSPORT: &[Slot] = &[many(&[P::IPV4_ADDRESS, P::IPV6_ADDRESS])];
pub(super) const OTHER_TRANSPORT: &[Slot] = &[one(&[P::IPV4_ADDRESS, P::IPV6_ADDRESS])];
pub(super) const POOL_ELEMENT: &[Slot] = &[
    one(&[
        P::DCCP_TRANSPORT,
        P::SCTP_TRANSPORT,
        P::TCP_TRANSPORT,
        P::UDP_TRANSPORT,
        P::UDP_LITE_TRANSPORT,
        P::OPAQUE_TRANSPORT,
    ]),
    one(&[P::POLICY]),
    one(&[P::SCTP_TRANSPORT]),
];
pub(super) const SERVER_INFORMATION: &[Slot] = &[one(&[P::SCTP_TRANSPORT])];

/// The row of a message; `None` for a type that is not known.
#[inline]
pub(super) const fn message(message_type: MessageType) -> Option<&'static [Slot]> {
    Some(match message_type {
        MessageType::REGISTRATION => REGISTRATION,
        MessageType::DEREGISTRATION => DEREGISTRATION,
        MessageType::REGISTRATION_RESPONSE => REGISTRATION_RESPONSE,
        MessageType::DEREGISTRATION_RESPONSE => DEREGISTRATION_RESPONSE,
        MessageType::HANDLE_RESOLUTION => HANDLE_RESOLUTION,
        MessageType::HANDLE_RESOLUTION_RESPONSE => HANDLE_RESOLUTION_RESPONSE,
        MessageType::ENDPOINT_KEEP_ALIVE => ENDPOINT_KEEP_ALIVE,
        MessageType::ENDPOINT_KEEP_ALIVE_ACK => ENDPOINT_KEEP_ALIVE_ACK,
        MessageType::ENDPOINT_UNREACHABLE => ENDPOINT_UNREACHABLE,
        MessageType::SERVER_ANNOUNCE => SERVER_ANNOUNCE,
        MessageType::COOKIE => COOKIE,
        MessageType::COOKIE_ECHO => COOKIE_ECHO,
        MessageType::BUSINESS_CARD => BUSINESS_CARD,
        MessageType::ERROR => ERROR,
        _ => return None,
    })
}

/// A place for one parameter, or for any number of them, of one type or of a few.
#[derive(Debug)]
pub(super) struct Slot {
    types: u32,
    repeats: bool,
}

/// Goes through the parameters of a container and finds each its slot.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    reader: Reader<'a>,
    slots: &'static [Slot],
    taken: u8,
}

/// The parameters of a message or container that are kept but have no meaning there: unknown ones
/// that may be skipped, and known ones in a place where they are not expected.
#[derive(Clone, Copy)]
pub struct Extra<'a>(Walk<'a>);

const fn one(types: &[P]) -> Slot {
    Slot { types: set(types), repeats: false }
}

const fn many(types: &[P]) -> Slot {
    Slot { types: set(types), repeats: true }
}

/// Whether the type is one of RFC 5354's, or the extension for the number of elements wanted.
pub(super) const fn is_known(parameter: P) -> bool {
    parameter.name().is_some()
}

/// A set of known types, one bit each.
const fn set(types: &[P]) -> u32 {
    match types {
        [first, rest @ ..] => bit(*first) | set(rest),
        [] => 0,
    }
}

#[inline]
const fn bit(parameter: P) -> u32 {
    match parameter.get() {
        number @ 0x1..=0x10 => 1 << number,
        0x803f => 1,
        _ => 0,
    }
}

impl<'a> Walk<'a> {
    #[inline]
    pub(super) const fn new(reader: Reader<'a>, slots: &'static [Slot]) -> Self {
        Self { reader, slots, taken: 0 }
    }

    /// The next parameter that has a slot, with the slot's place in the row.
    #[inline(always)]
    pub(super) fn next(
        &mut self,
        listener: &mut impl Listener<'a>,
    ) -> Result<Option<(usize, Tlv<'a>)>, DecodeError> {
        while let Some(tlv) = self.reader.tlv()? {
            match self.place(tlv.parameter()) {
                Some(slot) => return Ok(Some((slot, tlv))),
                None => self.pass_over(tlv.code, tlv.encoded, tlv.end, listener)?,
            }
        }
        Ok(None)
    }

    #[inline(always)]
    fn place(&mut self, parameter: P) -> Option<usize> {
        let mut mark = 1;
        for (place, slot) in self.slots.iter().enumerate() {
            let admits = slot.types & bit(parameter) != 0;
            if admits && (slot.repeats || self.taken & mark == 0) {
                self.taken |= mark;
                return Some(place);
            }
            mark <<= 1;
        }
        None
    }

    /// A parameter without a slot. It comes in pieces because a reference to the whole would keep
    /// it out of registers on the way that nearly all take.
    #[cold]
    fn pass_over(
        &self,
        code: u16,
        encoded: &'a [u8],
        end: usize,
        listener: &mut impl Listener<'a>,
    ) -> Result<(), DecodeError> {
        let tlv = Tlv { code, encoded, end };
        let names_a_pool = self.slots.iter().any(|slot| slot.types & bit(P::POOL_HANDLE) != 0);
        if tlv.parameter() == P::POOL_HANDLE && names_a_pool {
            return Err(tlv.error(Reason::SecondPoolHandle));
        }
        listener.pass_over(tlv)
    }
}

impl<'a> Extra<'a> {
    pub(super) const fn new(walk: Walk<'a>) -> Self {
        Self(walk)
    }
}

impl<'a> Iterator for Extra<'a> {
    type Item = RawParameter<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        // The bytes have been decoded before, so there is no error to come across.
        while let Ok(Some(tlv)) = self.0.reader.tlv() {
            if self.0.place(tlv.parameter()).is_none() {
                return Some(RawParameter { parameter: tlv.parameter(), value: tlv.bytes() });
            }
        }
        None
    }
}

impl core::fmt::Debug for Extra<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_takes_the_first_free_slot() {
        let mut walk = Walk::new(Reader::new(&[]), POOL_ELEMENT);
        let places = [P::POLICY, P::SCTP_TRANSPORT, P::TCP_TRANSPORT, P::SCTP_TRANSPORT, P::POLICY]
            .map(|parameter| walk.place(parameter));
        assert_eq!(places, [Some(1), Some(0), None, Some(2), None]);
    }
}
