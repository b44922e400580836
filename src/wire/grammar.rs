//! What may stand where.
//!
//! A message, and a parameter that contains others, is a row of slots. Going through the parameters
//! in the order received, each takes the first slot that admits its type and is still free. One
//! that finds no slot is passed over: a known type is merely in the wrong place, an unknown one
//! says by its upper bits what is to be done (RFC 5354 §3). So the order of parameters does not
//! matter, with one exception that falls out of the rule: in a pool element the first transport is
//! the user's, and a later SCTP one is ASAP's.
//!
//! Only a second pool handle is an error, since two names leave open which pool is meant.

use core::fmt;

use super::ParameterType;
use super::error::{DecodeError, EncodeError, Reason};
use super::notes::Listener;
use super::raw::RawParameter;
use super::reader::{Reader, Tlv};
use super::writer::Writer;

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

impl Slot {
    /// For one parameter, of any of these types.
    pub(super) const fn one(types: &[ParameterType]) -> Self {
        Self { types: set(types), repeats: false }
    }

    /// For one parameter, which need not be there.
    pub(super) const fn optional(types: &[ParameterType]) -> Self {
        Self::one(types)
    }

    /// For any number of parameters.
    pub(super) const fn many(types: &[ParameterType]) -> Self {
        Self { types: set(types), repeats: true }
    }
}

/// A set of types; those that are not known are in none.
pub(super) const fn set(types: &[ParameterType]) -> u32 {
    match types {
        [first, rest @ ..] => first.bit() | set(rest),
        [] => 0,
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
    pub(super) fn place(&mut self, parameter: ParameterType) -> Option<usize> {
        let mut mark = 1;
        for (place, slot) in self.slots.iter().enumerate() {
            let admits = slot.types & parameter.bit() != 0;
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
        let handle = ParameterType::POOL_HANDLE;
        let names_a_pool = self.slots.iter().any(|slot| slot.types & handle.bit() != 0);
        if tlv.parameter() == handle && names_a_pool {
            return Err(tlv.error(Reason::SecondPoolHandle));
        }
        listener.pass_over(tlv)
    }
}

/// Writes the parameters inside of another one that has these slots: first what `fill` writes, then
/// the extra ones. Refused if a reader would not tell the two apart again.
pub(super) fn write(
    w: &mut Writer<'_>,
    within: ParameterType,
    slots: &'static [Slot],
    extra: &[RawParameter],
    fill: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = w.len();
    fill(w)?;
    extra.iter().try_for_each(|raw| raw.write(w))?;
    let walk = Walk::new(Reader::new(w.since(start)), slots);
    match Extra::new(walk).is(extra) {
        true => Ok(()),
        false => Err(EncodeError::Misread { parameter: Some(within) }),
    }
}

impl<'a> Extra<'a> {
    pub(super) const fn new(walk: Walk<'a>) -> Self {
        Self(walk)
    }

    pub(super) fn is(self, extra: &[RawParameter]) -> bool {
        self.eq(extra.iter().map(RawParameter::as_ref))
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

impl fmt::Debug for Extra<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}
