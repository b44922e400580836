//! Messages from a byte stream (TCP, TLS), however it was cut into pieces.
//!
//! Over SCTP a user message is an ASAP message. A stream has no such boundaries, so there each
//! message is cut by its length field, rounded up to the multiple of four that its padding reaches
//! (RFC 5354 §4).

use alloc::vec::Vec;

/// Cuts a byte stream into messages.
///
/// What lies whole in the input is given out as it lies there; only a message that arrives in
/// pieces is copied. Memory grows with what was received, not with what a length field claims, and
/// never beyond one message.
///
/// ```
/// use asap_pu::wire::{MessageType, StreamDecoder};
///
/// let stream = [0x0b, 0, 0, 8, 0, 0xd, 0, 4, 0x0c, 0, 0, 9, 0, 0xd, 0, 5, b'x', 0, 0, 0];
/// let mut decoder = StreamDecoder::new(1024);
/// let mut seen = Vec::new();
/// for mut received in stream.chunks(7) {
///     while let Some(message) = decoder.next(&mut received)? {
///         seen.push((MessageType::new(message[0]), message.len()));
///     }
/// }
/// assert_eq!(seen, [(MessageType::COOKIE, 8), (MessageType::COOKIE_ECHO, 12)]);
/// assert_eq!(decoder.pending(), 0);
/// # Ok::<(), asap_pu::wire::FramingError>(())
/// ```
#[derive(Debug, Clone)]
#[cfg_attr(test, derive(Hash))]
pub struct StreamDecoder {
    max_message_len: usize,
    partial: Vec<u8>,
    /// `partial` was a whole message, given out by the last call.
    spent: bool,
    failed: Option<FramingError>,
}

/// Why a byte stream cannot be cut into messages. Where the next one would begin is then unknown,
/// so nothing further comes out of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(test, derive(Hash))]
#[non_exhaustive]
pub enum FramingError {
    /// The length field of a message does not even cover its header.
    #[error("message length {length} is under 4")]
    LengthUnderHeader {
        /// The value of the field.
        length: u16,
    },
    /// The length field of a message is over the bound given to [`StreamDecoder::new`].
    #[error("message length {length} is over {max}")]
    LengthOverBound {
        /// The value of the field.
        length: u16,
        /// The bound.
        max: usize,
    },
}

impl StreamDecoder {
    /// A decoder at the start of a stream whose messages have a length field of at most
    /// `limits.max_message_len`; from 65,535 on every message passes.
    #[must_use]
    pub const fn new(max_message_len: usize) -> Self {
        Self { max_message_len, partial: Vec::new(), spent: false, failed: None }
    }

    /// The next whole message with its padding, and `input` without the bytes that were used up for
    /// it. `None` if more has to be received first: `input` is then empty, and what it held is
    /// kept.
    ///
    /// # Errors
    /// A length field is out of bounds. Every later call gives the same error and leaves `input` as
    /// it is.
    #[inline]
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<&'a [u8]>, FramingError> {
        if self.spent {
            self.partial.clear();
            self.spent = false;
        }
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.partial.is_empty() {
            if let Some(len) = self.message_len(input.first_chunk().copied())? {
                if let Some((message, rest)) = input.split_at_checked(len) {
                    *input = rest;
                    return Ok(Some(message));
                }
            }
        }
        // The header first, then what it asks for.
        self.take_up_to(4, input);
        if let Some(len) = self.message_len(self.partial.first_chunk().copied())? {
            self.take_up_to(len, input);
            if self.partial.len() == len {
                self.spent = true;
                return Ok(Some(&self.partial));
            }
        }
        Ok(None)
    }

    /// How many bytes of an incomplete message are held; not 0 at the end of a stream means that it
    /// was cut off.
    #[must_use]
    pub fn pending(&self) -> usize {
        if self.spent { 0 } else { self.partial.len() }
    }

    /// The length of a message with this header, padding included.
    #[inline]
    fn message_len(&mut self, header: Option<[u8; 4]>) -> Result<Option<usize>, FramingError> {
        let Some([_, _, l0, l1]) = header else { return Ok(None) };
        let length = u16::from_be_bytes([l0, l1]);
        let max = self.max_message_len;
        let error = match usize::from(length) {
            ..4 => FramingError::LengthUnderHeader { length },
            len if len > max => FramingError::LengthOverBound { length, max },
            // At most 0x10000, since `length` has 16 bits.
            len => return Ok(Some(len.wrapping_add(3) & !3)),
        };
        self.failed = Some(error);
        Err(error)
    }

    /// Moves bytes from the input until `len` are held.
    fn take_up_to(&mut self, len: usize, input: &mut &[u8]) {
        let missing = len.saturating_sub(self.partial.len()).min(input.len());
        if let Some((taken, rest)) = input.split_at_checked(missing) {
            self.partial.extend_from_slice(taken);
            *input = rest;
        }
    }
}
