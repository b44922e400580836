//! The one place where offsets into received bytes are computed.
//!
//! Everything that ASAP sends is nested type-length-value: a header of four bytes whose length
//! covers itself and the value but not the padding that brings the next one to a multiple of four
//! (RFC 5354 §3). The last one in its container may lack its padding, because senders differ in
//! whether the container's length covers it.
//!
//! The few functions that every parameter goes through, here and in the modules built on this one,
//! are `inline(always)`: left to itself, the compiler passes their results through memory, and a
//! response takes five times as long to decode.

use super::ParameterType;
use super::error::{DecodeError, Reason};

/// Bytes not yet read, with their place in the message for the sake of errors.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// The offset behind the last byte. The one of the next byte follows from it, if an error
    /// asks.
    end: usize,
    within: Option<ParameterType>,
}

/// One type-length-value whose length is known to be sound: a parameter, or a cause.
#[derive(Clone, Copy)]
pub(super) struct Tlv<'a> {
    /// The type, or the cause's code.
    pub(super) code: u16,
    /// Header and value, without padding.
    pub(super) encoded: &'a [u8],
    /// The offset behind the last byte of it.
    pub(super) end: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, end: bytes.len(), within: None }
    }

    /// An error about what comes next.
    pub(super) const fn error(&self, reason: Reason) -> DecodeError {
        DecodeError::new(self.offset(), self.within, reason)
    }

    #[inline(always)]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.bytes.split_first_chunk() {
            Some((array, rest)) => {
                self.bytes = rest;
                Ok(*array)
            }
            None => Err(self.error(Reason::Truncated { needed: N, available: self.bytes.len() })),
        }
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Everything that is left.
    #[inline]
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Holds the value to its size: nothing may be left.
    #[inline(always)]
    pub(super) const fn end(&self) -> Result<(), DecodeError> {
        match self.bytes.len() {
            0 => Ok(()),
            count => Err(self.error(Reason::LeftOver { count })),
        }
    }

    /// The parameter that makes up these bytes, with its padding or without.
    pub(super) fn only(mut self) -> Result<Tlv<'a>, DecodeError> {
        match self.tlv()? {
            Some(tlv) => self.end().map(|()| tlv),
            None => Err(self.error(Reason::Truncated { needed: 4, available: 0 })),
        }
    }

    /// The next parameter or cause, and the padding behind it if it is there.
    #[inline(always)]
    pub(super) fn tlv(&mut self) -> Result<Option<Tlv<'a>>, DecodeError> {
        let Some(&[c0, c1, l0, l1]) = self.bytes.first_chunk() else {
            return self.end().map(|()| None);
        };
        let code = u16::from_be_bytes([c0, c1]);
        let length = u16::from_be_bytes([l0, l1]);
        let (encoded, rest) = match self.bytes.split_at_checked(usize::from(length)) {
            Some(parts) if length >= 4 => parts,
            _ => return Err(self.bad_length(code, length)),
        };
        self.bytes = match usize::from(length & 3) {
            0 => rest,
            beyond => rest.get(4_usize.wrapping_sub(beyond)..).unwrap_or_default(),
        };
        Ok(Some(Tlv { code, encoded, end: self.end.wrapping_sub(rest.len()) }))
    }

    /// The header of a message: type, flags, and a reader of what its length covers.
    pub(super) fn message(mut self) -> Result<(u8, u8, Self), DecodeError> {
        let available = self.bytes.len();
        let whole = self.bytes;
        let [message_type, flags, l0, l1] = self.array()?;
        let length = u16::from_be_bytes([l0, l1]);
        let error = |reason| DecodeError::new(0, None, reason);
        if length < 4 {
            return Err(error(Reason::LengthUnderHeader { length }));
        }
        let Some((covered, beyond)) = whole.split_at_checked(usize::from(length)) else {
            return Err(error(Reason::LengthBeyondEnd { length, available }));
        };
        let padding = usize::from(length.wrapping_neg() & 3);
        if beyond.len() > padding {
            let offset = usize::from(length).wrapping_add(padding);
            let count = beyond.len().wrapping_sub(padding);
            return Err(DecodeError::new(offset, None, Reason::LeftOver { count }));
        }
        let value = covered.get(4..).unwrap_or_default();
        Ok((message_type, flags, Self { bytes: value, end: covered.len(), within: None }))
    }

    #[cold]
    fn bad_length(&self, code: u16, length: u16) -> DecodeError {
        let available = self.bytes.len();
        let reason = match length {
            ..4 => Reason::LengthUnderHeader { length },
            _ => Reason::LengthBeyondEnd { length, available },
        };
        // A cause is in no parameter of its own.
        let parameter = match self.within {
            Some(ParameterType::OPERATION_ERROR) => ParameterType::OPERATION_ERROR,
            _ => ParameterType::new(code),
        };
        DecodeError::new(self.offset(), Some(parameter), reason)
    }

    const fn offset(&self) -> usize {
        self.end.wrapping_sub(self.bytes.len())
    }
}

impl<'a> Tlv<'a> {
    /// The type of a parameter.
    #[inline]
    pub(super) const fn parameter(&self) -> ParameterType {
        ParameterType::new(self.code)
    }

    /// The value of a parameter.
    #[inline]
    pub(super) fn value(&self) -> Reader<'a> {
        Reader { bytes: self.bytes(), end: self.end, within: Some(self.parameter()) }
    }

    /// The value, of a parameter or a cause.
    #[inline]
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.encoded.get(4..).unwrap_or_default()
    }

    /// An error about the parameter itself.
    pub(super) const fn error(&self, reason: Reason) -> DecodeError {
        DecodeError::new(self.end.wrapping_sub(self.encoded.len()), Some(self.parameter()), reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [TLV-3]: the last parameter may lack its padding, or a part of it; [TLV-9]: less than a
    /// header is left over.
    #[test]
    fn the_last_parameter_may_lack_padding() {
        for end in 13..=16 {
            let bytes = [0, 9, 0, 5, b'x', 1, 2, 3, 0, 9, 0, 5, b'y', 0, 0, 0];
            let mut reader = Reader::new(&bytes[..end]);
            assert_eq!(reader.tlv().unwrap().unwrap().bytes(), b"x");
            assert_eq!(reader.tlv().unwrap().unwrap().bytes(), b"y");
            assert!(reader.tlv().unwrap().is_none());
        }
        let mut reader = Reader::new(&[0, 9, 0, 4, 0, 9, 0]);
        assert!(reader.tlv().unwrap().is_some());
        let error = reader.tlv().err().unwrap();
        assert_eq!((error.offset(), error.reason()), (4, Reason::LeftOver { count: 3 }));
    }

    /// [TLV-1] and [TLV-9]: a length that is too small or too large, by the type that carries it.
    #[test]
    fn lengths_are_held_to_their_bounds() {
        let mut reader = Reader::new(&[0, 4, 0, 3]);
        let error = reader.tlv().err().unwrap();
        assert_eq!(error.parameter(), Some(ParameterType::SCTP_TRANSPORT));
        assert_eq!(error.reason(), Reason::LengthUnderHeader { length: 3 });
        let mut reader = Reader::new(&[0, 4, 0, 5]);
        let error = reader.tlv().err().unwrap();
        assert_eq!(error.reason(), Reason::LengthBeyondEnd { length: 5, available: 4 });
    }

    /// [TLV-1] and [TLV-2]: a message's length may cover the last padding or not, and nothing may
    /// follow it.
    #[test]
    fn a_message_ends_with_its_padding() {
        for bytes in [&[1, 0, 0, 5, 9][..], &[1, 0, 0, 5, 9, 0, 0, 0]] {
            assert_eq!(Reader::new(bytes).message().unwrap().2.rest(), [9]);
        }
        let reason = |bytes| Reader::new(bytes).message().err().unwrap().reason();
        assert_eq!(reason(&[1, 0, 0, 5, 9, 0, 0, 0, 0]), Reason::LeftOver { count: 1 });
        assert_eq!(reason(&[1, 0, 0, 3]), Reason::LengthUnderHeader { length: 3 });
        assert_eq!(reason(&[1, 0, 0, 5]), Reason::LengthBeyondEnd { length: 5, available: 4 });
        assert_eq!(reason(&[1, 0, 0]), Reason::Truncated { needed: 4, available: 3 });
    }
}
