//! Error causes: what an operation error consists of (RFC 5354 §3.12).

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use super::error::{DecodeError, EncodeError};
use super::reader::{Reader, Tlv};
use super::writer::Writer;
use super::{CauseCode, MessageType, ParameterType};

/// Why an operation failed: a code, and information whose meaning depends on it. Unknown codes are
/// kept as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[cfg_attr(feature = "arbitrary", arbitrary(bound = "B: From<Vec<u8>>"))]
#[non_exhaustive]
pub struct Cause<B = Bytes> {
    /// What went wrong.
    pub code: CauseCode,
    /// What it is about; empty for most codes.
    #[cfg_attr(feature = "arbitrary", arbitrary(with = super::arbitrary_bytes))]
    pub info: B,
}

/// The causes of an operation error in received bytes, in order. There may be none, although the
/// RFC asks for one.
#[derive(Clone, Copy)]
pub struct Causes<'a>(Reader<'a>);

impl<B> Cause<B> {
    /// A cause with this information.
    pub const fn new(code: CauseCode, info: B) -> Self {
        Self { code, info }
    }
}

impl From<CauseCode> for Cause {
    fn from(code: CauseCode) -> Self {
        Self { code, info: Bytes::new() }
    }
}

/// The code, and what was not recognised if it is about that.
///
/// ```
/// use asap_pu::wire::{Cause, CauseCode};
///
/// let cause = Cause::new(CauseCode::UNRECOGNIZED_PARAMETER, [0xc0, 0x11, 0x00, 0x04]);
/// assert_eq!(cause.to_string(), "Unrecognized Parameter (0x1): 0xc011");
/// ```
impl<B: AsRef<[u8]>> fmt::Display for Cause<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        match (self.unrecognized_parameter(), self.unrecognized_message()) {
            (Some(parameter), _) => write!(f, ": {parameter}"),
            (_, Some(message)) => write!(f, ": {message}"),
            (None, None) => Ok(()),
        }
    }
}

impl<B: AsRef<[u8]>> Cause<B> {
    /// The type of the parameter that was not recognised; `None` for causes with another code (RFC
    /// 5354 §3.12.2).
    #[must_use]
    pub fn unrecognized_parameter(&self) -> Option<ParameterType> {
        match (self.code, self.info.as_ref()) {
            (CauseCode::UNRECOGNIZED_PARAMETER, &[t0, t1, ..]) => {
                Some(ParameterType::new(u16::from_be_bytes([t0, t1])))
            }
            _ => None,
        }
    }

    /// The type of the message that was not recognised; `None` for causes with another code (RFC
    /// 5354 §3.12.3).
    #[must_use]
    pub fn unrecognized_message(&self) -> Option<MessageType> {
        match (self.code, self.info.as_ref()) {
            (CauseCode::UNRECOGNIZED_MESSAGE, &[message_type, ..]) => {
                Some(MessageType::new(message_type))
            }
            _ => None,
        }
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.tlv(self.code.get(), ParameterType::OPERATION_ERROR, |w| {
            w.bytes(self.info.as_ref());
            Ok(())
        })
    }
}

impl Cause<&[u8]> {
    /// The same cause as a value of its own.
    #[must_use]
    pub fn to_owned(&self) -> Cause {
        Cause { code: self.code, info: Bytes::copy_from_slice(self.info) }
    }
}

impl<'a> Causes<'a> {
    pub(super) fn parse(tlv: Tlv<'a>) -> Result<Self, DecodeError> {
        let mut reader = tlv.value();
        while reader.tlv()?.is_some() {}
        Ok(Self(tlv.value()))
    }

    /// The same causes as values of their own.
    #[must_use]
    pub fn to_owned(&self) -> Vec<Cause> {
        self.map(|cause| cause.to_owned()).collect()
    }
}

impl<'a> Iterator for Causes<'a> {
    type Item = Cause<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        // The bytes have been decoded before, so there is no error to come across.
        let tlv = self.0.tlv().ok()??;
        Some(Cause { code: CauseCode::new(tlv.code), info: tlv.bytes() })
    }
}

impl fmt::Debug for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}
