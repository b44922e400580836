//! The transport between pool user and elements: messages over TCP, each marked with what it is.
//!
//! SCTP gives every message a *payload protocol identifier*, by which control messages of ASAP are
//! told from the application's data (RFC 5352 §3.8). TCP has neither messages nor marks, so a frame
//! adds both:
//!
//! ```text
//! 00 00 00 0b   payload protocol identifier: 11 is ASAP, 0 is data
//! 00 00 00 10   length of the message
//! 0b 00 00 10   the message
//! ...
//! ```

use std::io::{self, Read, Write};

use asap_pu::wire::ASAP_PPID;

/// The payload protocol identifier of application data: unspecified, as SCTP has it by default.
const DATA_PPID: u32 = 0;

/// The longest message that is taken from a peer.
const MAX_LEN: u32 = 0x1_0000;

/// One message.
pub(crate) enum Frame {
    /// An ASAP message.
    Control(Vec<u8>),
    /// What the application sends.
    Data(Vec<u8>),
}

impl Frame {
    /// Writes an ASAP message.
    pub(crate) fn write_control(to: impl Write, message: &[u8]) -> io::Result<()> {
        write(to, ASAP_PPID, message)
    }

    /// Writes application data.
    pub(crate) fn write_data(to: impl Write, message: &[u8]) -> io::Result<()> {
        write(to, DATA_PPID, message)
    }

    /// Waits for the next message; `None` where the peer closed the connection in good order.
    pub(crate) fn read(mut from: impl Read) -> io::Result<Option<Self>> {
        let mut header = Vec::new();
        from.by_ref().take(8).read_to_end(&mut header)?;
        let [p0, p1, p2, p3, l0, l1, l2, l3] = header[..] else {
            let cut_off = Err(io::ErrorKind::UnexpectedEof.into());
            return if header.is_empty() { Ok(None) } else { cut_off };
        };
        let len = u32::from_be_bytes([l0, l1, l2, l3]);
        if len > MAX_LEN {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut message = vec![0; len as usize];
        from.read_exact(&mut message)?;
        Ok(Some(match u32::from_be_bytes([p0, p1, p2, p3]) {
            ASAP_PPID => Self::Control(message),
            _ => Self::Data(message),
        }))
    }
}

/// Header and message go out in one piece.
fn write(mut to: impl Write, ppid: u32, message: &[u8]) -> io::Result<()> {
    let len = u32::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    to.write_all(&[&ppid.to_be_bytes(), &len.to_be_bytes(), message].concat())
}
