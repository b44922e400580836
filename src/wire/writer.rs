//! The one place where lengths and padding of what is sent are computed.
//!
//! Padding is written late, in front of what needs the alignment rather than behind what is too
//! short. Thereby a container's length leaves out the padding of its last parameter, and a
//! message's length covers it, without any of them counting (RFC 5354 §2, §3).

use alloc::vec::Vec;

use super::error::EncodeError;
use super::{MessageType, ParameterType};

/// Appends one message, or one parameter that stands alone, to a buffer.
pub(super) struct Writer<'b> {
    buf: &'b mut Vec<u8>,
    start: usize,
}

impl<'b> Writer<'b> {
    /// Appends a message, whose value is what `fill` writes; on an error the buffer is as it was.
    #[inline]
    pub(super) fn message(
        buf: &'b mut Vec<u8>,
        message_type: MessageType,
        flags: u8,
        fill: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        Self::whole(buf, |w| {
            let start = w.start;
            w.bytes(&[message_type.get(), flags, 0, 0]);
            fill(w)?;
            w.pad();
            w.close(start, None)
        })
    }

    /// Appends what `fill` writes and pads it; on an error the buffer is as it was.
    #[inline]
    pub(super) fn whole(
        buf: &'b mut Vec<u8>,
        fill: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let start = buf.len();
        let mut writer = Self { buf, start };
        let written = fill(&mut writer);
        match written {
            Ok(()) => writer.pad(),
            Err(_) => writer.buf.truncate(start),
        }
        written
    }

    /// A parameter, whose value is what `fill` writes.
    #[inline]
    pub(super) fn parameter(
        &mut self,
        parameter: ParameterType,
        fill: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.tlv(parameter.get(), parameter, fill)
    }

    /// A parameter whose value is these bytes.
    #[inline]
    pub(super) fn value(
        &mut self,
        parameter: ParameterType,
        value: &[u8],
    ) -> Result<(), EncodeError> {
        self.parameter(parameter, |w| {
            w.bytes(value);
            Ok(())
        })
    }

    /// A header with `code` and what `fill` writes; `within` is the parameter to name if it gets
    /// too long.
    #[inline]
    pub(super) fn tlv(
        &mut self,
        code: u16,
        within: ParameterType,
        fill: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.pad();
        let start = self.buf.len();
        let [c0, c1] = code.to_be_bytes();
        self.bytes(&[c0, c1, 0, 0]);
        fill(self)?;
        self.close(start, Some(within))
    }

    /// Writes what `fill` writes if the message keeps within its bounds by it; otherwise nothing.
    pub(super) fn attempt(
        &mut self,
        fill: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        const LONGEST: usize = u16::MAX as usize & !3;
        let mark = self.buf.len();
        let written = fill(self).and_then(|()| match self.buf.len().wrapping_sub(self.start) {
            ..=LONGEST => Ok(()),
            length => Err(EncodeError::TooLong { parameter: None, length }),
        });
        if written.is_err() {
            self.buf.truncate(mark);
        }
        written
    }

    /// How many bytes there are by now.
    pub(super) fn len(&self) -> usize {
        self.buf.len()
    }

    /// What was written since there were `start` bytes.
    pub(super) fn since(&self, start: usize) -> &[u8] {
        self.buf.get(start..).unwrap_or_default()
    }

    /// Sets the one flag of the message that may have a meaning.
    #[inline]
    pub(super) fn flag(&mut self, flag: bool) {
        if let Some([_, flags, ..]) = self.buf.get_mut(self.start..) {
            *flags |= u8::from(flag);
        }
    }

    #[inline]
    pub(super) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    #[inline]
    pub(super) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    #[inline]
    fn pad(&mut self) {
        const ZEROS: [u8; 3] = [0; 3];
        let missing = self.start.wrapping_sub(self.buf.len()) & 3;
        self.bytes(ZEROS.get(..missing).unwrap_or_default());
    }

    /// Puts the length into the header at `start`.
    #[inline]
    fn close(&mut self, start: usize, parameter: Option<ParameterType>) -> Result<(), EncodeError> {
        let written = self.buf.get_mut(start..).unwrap_or_default();
        let length = written.len();
        let too_long = EncodeError::TooLong { parameter, length };
        let length = u16::try_from(length).map_err(|_| too_long)?;
        if let Some(field) = written.get_mut(2..4) {
            field.copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }
}
