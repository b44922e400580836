//! What can be wrong with bytes, and with a value that is to become bytes.

use core::fmt;

use super::{MessageType, ParameterType};

/// Why bytes are not a message, or not the parameter they were taken for: where, in which
/// parameter, for what reason (RFC 5354 §3, §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    offset: usize,
    parameter: Option<ParameterType>,
    reason: Reason,
}

/// The reason of a [`DecodeError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The message type is not known (§4). Whether it is to be reported is in
    /// [`Notes`](super::Notes).
    #[error("the message type {0} is not known")]
    UnknownMessage(MessageType),
    /// A parameter is not known, and its type says that the message is to be dropped then (§3).
    #[error("a parameter that is not known and must not be skipped")]
    UnknownParameter,
    /// The length field is too small to cover even the header that it stands in.
    #[error("length {length} is under 4")]
    LengthUnderHeader {
        /// The value of the field.
        length: u16,
    },
    /// The length field reaches beyond the bytes received, or beyond the parameter that contains
    /// this one.
    #[error("length {length} goes beyond the {available} bytes at hand")]
    LengthBeyondEnd {
        /// The value of the field.
        length: u16,
        /// How many bytes there are from the start of the header.
        available: usize,
    },
    /// The bytes end before a header or a field of fixed size does.
    #[error("{needed} bytes are needed where {available} are left")]
    Truncated {
        /// What the header or the field takes.
        needed: usize,
        /// What is there.
        available: usize,
    },
    /// Bytes that nothing accounts for: too few for another parameter, more than a value of fixed
    /// size takes, or beyond the end of the message and its padding.
    #[error("{count} bytes are left over")]
    LeftOver {
        /// How many.
        count: usize,
    },
    /// A parameter that must be there is not.
    #[error("{0} is missing")]
    Missing(ParameterType),
    /// A transport must be there, of whichever protocol, and is not.
    #[error("a transport is missing")]
    MissingTransport,
    /// A resolution response with neither a pool element nor an operation error answers nothing
    /// (RFC 5352 §2.2.6).
    #[error("neither a pool element nor an operation error")]
    NoAnswer,
    /// Two pool handles: which pool the message speaks of cannot be told.
    #[error("a second pool handle")]
    SecondPoolHandle,
}

/// Why a value cannot become bytes. Nothing is ever cut short to make it fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Lengths are 16-bit fields: 65,535 bytes at most for a parameter, 65,532 for a message with
    /// its padding.
    #[error("{} of {length} bytes is too long for a length of 16 bits", Place(*.parameter))]
    TooLong {
        /// The parameter that is too long; `None` where it is the whole message.
        parameter: Option<ParameterType>,
        /// The bytes that it takes.
        length: usize,
    },
    /// A receiver would take these bytes for something else: an extra parameter that the place has
    /// a meaning for or that makes the message void, the number of a standard policy on raw values,
    /// a flag bit with a meaning, a transport in an announce that none may have.
    #[error("{} would not be read back as what it was", Place(*.parameter))]
    Misread {
        /// The parameter that is meant, or that contains it; `None` where it is the message
        /// itself.
        parameter: Option<ParameterType>,
    },
    /// A resolution response needs a pool element or an operation error (RFC 5352 §2.2.6).
    #[error("a resolution response with neither a pool element nor an operation error")]
    NoAnswer,
}

struct Place(Option<ParameterType>);

impl DecodeError {
    #[cold]
    pub(super) const fn new(
        offset: usize,
        parameter: Option<ParameterType>,
        reason: Reason,
    ) -> Self {
        Self { offset, parameter, reason }
    }

    /// Where the fault is: bytes from the start of what was decoded.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// The innermost parameter around the fault; `None` where it is in the message outside of any
    /// parameter.
    #[must_use]
    pub const fn parameter(&self) -> Option<ParameterType> {
        self.parameter
    }

    /// What is wrong.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}, in {}: {}", self.offset, Place(self.parameter), self.reason)
    }
}

impl core::error::Error for DecodeError {}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(parameter) => parameter.fmt(f),
            None => f.write_str("the message"),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    /// [TLV-9] and [TLV-10]: errors name the place and the reason in words.
    #[test]
    fn errors_read_as_sentences() {
        let sctp = Some(ParameterType::SCTP_TRANSPORT);
        assert_eq!(
            DecodeError::new(12, sctp, Reason::LengthUnderHeader { length: 3 }).to_string(),
            "at byte 12, in SCTP transport (0x4): length 3 is under 4"
        );
        assert_eq!(
            DecodeError::new(0, None, Reason::LeftOver { count: 9 }).to_string(),
            "at byte 0, in the message: 9 bytes are left over"
        );
        assert_eq!(
            EncodeError::TooLong { parameter: sctp, length: 70_000 }.to_string(),
            "SCTP transport (0x4) of 70000 bytes is too long for a length of 16 bits"
        );
    }
}
