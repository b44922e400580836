//! What a decoder noticed that is not a reason to refuse the message.

use alloc::vec::Vec;

use super::error::{DecodeError, Reason};
use super::grammar;
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
    /// What to report to the sender; empty for nearly every message, and then nothing is allocated.
    pub report: Vec<Cause<&'a [u8]>>,
    pub(super) muted: bool,
}

impl<'a> Notes<'a> {
    /// Notes that will stay without reports.
    #[inline]
    pub(super) const fn muted() -> Self {
        Self { skipped: 0, unexpected: 0, report: Vec::new(), muted: true }
    }

    /// Takes down a parameter that has no place where it stands, and does what its type asks for.
    #[cold]
    pub(super) fn pass_over(&mut self, tlv: Tlv<'a>) -> Result<(), DecodeError> {
        if grammar::is_known(tlv.parameter()) {
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

    pub(super) fn add(&mut self, code: CauseCode, info: &'a [u8]) {
        if !self.muted {
            self.report.push(Cause { code, info });
        }
    }
}
