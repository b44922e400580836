//! What a decoder noticed that is not a reason to refuse the message.

use alloc::vec::Vec;

use super::error::{DecodeError, Reason};
use super::reader::Tlv;
use super::{Cause, CauseCode, UnknownAction};

/// What a decode passed over, and what the sender is to be told of it (RFC 5354 §3, §4).
///
/// The causes in [`report`](Self::report) make up the ASAP_ERROR to answer with, by way of
/// [`encode_error`](super::encode_error): each is a parameter that was not recognised and asks to
/// be reported, or the whole message if that is what was not recognised. They are there also when
/// decoding failed. An ASAP_ERROR is never answered with another one, so decoding one adds none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notes<'a> {
    /// How many parameters were skipped because their type is not known.
    pub skipped: usize,
    /// How many parameters of a known type were ignored because they stand where they are not
    /// expected.
    pub unexpected: usize,
    /// What to report to the sender; empty for nearly every message, and then nothing is
    /// allocated.
    pub report: Vec<Cause<&'a [u8]>>,
    /// An ASAP_ERROR is being decoded.
    pub(super) muted: bool,
}

/// Who is told of the parameters that are passed over.
pub(super) trait Listener<'a> {
    /// Whether the bytes are read for the first time, so that what lies within has to be looked into.
    fn is_first(&self) -> bool;

    /// Takes note of a parameter that has no place where it stands; an error if it makes the
    /// message void.
    fn pass_over(&mut self, tlv: Tlv<'a>) -> Result<(), DecodeError>;
}

/// Nobody is told: the bytes are read a second time, and all has been said before.
pub(super) struct Silence;

impl<'a> Listener<'a> for Silence {
    #[inline]
    fn is_first(&self) -> bool {
        false
    }

    #[inline]
    fn pass_over(&mut self, _: Tlv<'a>) -> Result<(), DecodeError> {
        Ok(())
    }
}

impl<'a> Listener<'a> for Notes<'a> {
    #[inline]
    fn is_first(&self) -> bool {
        true
    }

    /// Does what the type of the parameter asks for.
    #[cold]
    fn pass_over(&mut self, tlv: Tlv<'a>) -> Result<(), DecodeError> {
        if tlv.parameter().name().is_some() {
            self.unexpected = self.unexpected.saturating_add(1);
            return Ok(());
        }
        let action = tlv.parameter().unknown_action();
        if matches!(action, UnknownAction::DiscardAndReport | UnknownAction::SkipAndReport) {
            self.add(CauseCode::UNRECOGNIZED_PARAMETER, tlv.encoded);
        }
        match action {
            UnknownAction::Discard | UnknownAction::DiscardAndReport => {
                Err(tlv.error(Reason::UnknownParameter))
            }
            UnknownAction::Skip | UnknownAction::SkipAndReport => {
                self.skipped = self.skipped.saturating_add(1);
                Ok(())
            }
        }
    }
}

impl<'a> Notes<'a> {
    /// Puts something on the list of what to report.
    pub(super) fn add(&mut self, code: CauseCode, info: &'a [u8]) {
        if !self.muted {
            self.report.push(Cause { code, info });
        }
    }
}
