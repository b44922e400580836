//! The few messages that a pool user sends, written straight into a buffer that is used again and
//! again.

use alloc::vec::Vec;

use super::error::EncodeError;
use super::value::Value;
use super::writer::Writer;
use super::{Cause, MessageType, ParameterType, PeIdentifier};

/// What [`encode_error`] found room for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorReport {
    /// How many causes the message has; with 0 nothing was written.
    pub included: usize,
    /// How many causes did not fit.
    pub left_out: usize,
}

/// Appends an ASAP_HANDLE_RESOLUTION (RFC 5352 §2.2.5): which elements does the pool have?
///
/// `subscribe` asks to be told of changes from here on; `wanted` is how many elements to list at
/// most.
///
/// # Errors
/// The handle is too long for a message; `buf` is then as it was.
///
/// ```
/// use asap_pu::wire::encode_handle_resolution;
///
/// let mut buf = Vec::new();
/// encode_handle_resolution(&mut buf, b"echo", false, None)?;
/// assert_eq!(buf, [0x05, 0x00, 0x00, 0x0c, 0x00, 0x09, 0x00, 0x08, b'e', b'c', b'h', b'o']);
/// # Ok::<(), asap_pu::wire::EncodeError>(())
/// ```
#[inline]
pub fn encode_handle_resolution(
    buf: &mut Vec<u8>,
    handle: &[u8],
    subscribe: bool,
    wanted: Option<u32>,
) -> Result<(), EncodeError> {
    Writer::message(buf, MessageType::HANDLE_RESOLUTION, 0, |w| {
        w.flag(subscribe);
        w.value(ParameterType::POOL_HANDLE, handle)?;
        wanted.iter().try_for_each(|wanted| wanted.write(ParameterType::ELEMENTS_WANTED, w))
    })
}

/// Appends an ASAP_ENDPOINT_UNREACHABLE (RFC 5352 §2.2.9): an element does not answer.
///
/// # Errors
/// The handle is too long for a message; `buf` is then as it was.
#[inline]
pub fn encode_endpoint_unreachable(
    buf: &mut Vec<u8>,
    handle: &[u8],
    identifier: PeIdentifier,
) -> Result<(), EncodeError> {
    Writer::message(buf, MessageType::ENDPOINT_UNREACHABLE, 0, |w| {
        w.value(ParameterType::POOL_HANDLE, handle)?;
        identifier.write(ParameterType::PE_IDENTIFIER, w)
    })
}

/// Appends an ASAP_COOKIE_ECHO (RFC 5352 §2.2.12): the state that the former element left behind,
/// unmodified.
///
/// # Errors
/// The cookie is too long for a message; `buf` is then as it was.
#[inline]
pub fn encode_cookie_echo(buf: &mut Vec<u8>, cookie: &[u8]) -> Result<(), EncodeError> {
    Writer::message(buf, MessageType::COOKIE_ECHO, 0, |w| w.value(ParameterType::COOKIE, cookie))
}

/// Appends an ASAP_ERROR (RFC 5352 §2.2.14) with as many of `causes` as it has room for, in order;
/// nothing if that is none.
///
/// ```
/// use asap_pu::wire::{MessageRef, Notes, encode_error};
///
/// // A message of type 0x4f: not known, and by its upper bits to be reported.
/// let mut notes = Notes::default();
/// let received = [0x4f, 0x00, 0x00, 0x04];
/// assert!(MessageRef::decode(&received, &mut notes).is_err());
///
/// let mut buf = Vec::new();
/// assert_eq!(encode_error(&mut buf, notes.report).included, 1);
/// assert_eq!(buf[12..], received);
/// ```
pub fn encode_error<'a>(
    buf: &mut Vec<u8>,
    causes: impl IntoIterator<Item = Cause<&'a [u8]>>,
) -> ErrorReport {
    let mut report = ErrorReport::default();
    // An error here only takes the headers back, and the report says so.
    let _ = Writer::message(buf, MessageType::ERROR, 0, |w| {
        w.parameter(ParameterType::OPERATION_ERROR, |w| {
            for cause in causes {
                let count = match w.attempt(|w| cause.write(w)) {
                    Ok(()) => &mut report.included,
                    Err(_) => &mut report.left_out,
                };
                *count = count.saturating_add(1);
            }
            match report.included {
                0 => Err(EncodeError::NoAnswer),
                _ => Ok(()),
            }
        })
    });
    report
}
