//! One SCTP association on a socket of its own (RFC 6458 §4, the one-to-one style), in Rust's words.
//!
//! What goes to the kernel and comes from it is written and read byte by byte, in the machine's
//! order but for addresses, ports and payload protocol identifiers, which are in the network's.

use std::io;
use std::mem;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsRawFd;

use socket2::{Domain, MsgHdr, Protocol, Socket, Type};

use super::options;
use super::sys::{self, Poll};

/// The longest message, which the kernel's buffer has to take whole.
pub(super) const LONGEST: usize = 0x2_0000;

// Options, flags and notifications of RFC 6458, with Linux's numbers.
const SCTP_STATUS: libc::c_int = 14;
const SCTP_SOCKOPT_CONNECTX: libc::c_int = 110;
const SCTP_SNDINFO: libc::c_int = 2;
const SCTP_RCVINFO: libc::c_int = 3;
const SCTP_UNORDERED: u16 = 0x1;
pub(super) const SCTP_ASSOC_CHANGE: u16 = 0x8001;
pub(super) const SCTP_PARTIAL_DELIVERY_EVENT: u16 = 0x8006;
pub(super) const SCTP_SENDER_DRY_EVENT: u16 = 0x8009;
pub(super) const SCTP_SEND_FAILED_EVENT: u16 = 0x800d;
const SCTP_COMM_UP: u16 = 0;
const SCTP_RESTART: u16 = 2;
const SCTP_SHUTDOWN_COMP: u16 = 3;

/// The length of a header of ancillary data.
const HEADER: usize = size_of::<libc::cmsghdr>();

/// An association, up or on its way there.
#[derive(Debug)]
pub struct Association {
    socket: Socket,
    /// What came of a message that has not ended, and of a notification; the latter may come
    /// between two parts of the former.
    message: Vec<u8>,
    notification: Vec<u8>,
}

/// What comes from an association.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// It is up.
    Up,
    /// The peer began anew and has forgotten everything.
    Restarted,
    /// It broke, or could not be set up.
    Lost,
    /// It was shut down in good order.
    Ended,
    /// A message.
    Message {
        /// The payload protocol identifier.
        ppid: u32,
        /// What it says.
        data: Vec<u8>,
    },
    /// A message, or a fragment of it, was not acknowledged.
    Failed {
        /// What it was sent with.
        context: u32,
        /// Whether it was ever on its way.
        sent: bool,
    },
    /// Everything sent had been acknowledged when this was said.
    Dry,
    /// A message of which a part had come will not be completed.
    Abandoned,
    /// Something that says nothing here.
    Other,
}

impl Association {
    /// A socket of its own with the options that every association has.
    pub(super) fn new(domain: Domain) -> io::Result<Self> {
        Self::over(Socket::new(domain, Type::STREAM, Some(Protocol::SCTP))?)
    }

    /// An association over a socket that a listening one has accepted.
    ///
    /// # Errors
    /// It is no SCTP socket of the one-to-one style.
    pub fn over(socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        // The kernel doubles it.
        socket.set_send_buffer_size(LONGEST / 2)?;
        options::set(&socket)?;
        Ok(Self { socket, message: Vec::new(), notification: Vec::new() })
    }

    /// Begins to connect to one peer at all of its addresses; [`Incoming::Up`] tells when it is done.
    ///
    /// # Errors
    /// It cannot be tried: the kernel has no SCTP, for instance.
    pub fn connect(to: &[SocketAddr]) -> io::Result<Self> {
        let four: Vec<_> = to.iter().copied().filter(SocketAddr::is_ipv4).collect();
        let new = match four.len() == to.len() {
            true => Self::new(Domain::IPV4)?,
            false => match Self::new(Domain::IPV6) {
                // A system without IPv6 reaches the peer at its other addresses.
                Err(_) if !four.is_empty() => return Self::connect(&four),
                new => new?,
            },
        };
        let addresses: Vec<_> = to.iter().flat_map(socket_address).collect();
        match sys::set_option(&new.socket, SCTP_SOCKOPT_CONNECTX, &addresses[..]) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            _ => Ok(new),
        }
    }

    /// Hands one message for stream 0 to the kernel, which calls it by `context` if it fails.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) where there is no room for it at the moment.
    pub fn send(&self, data: &[u8], ppid: u32, context: u32, unordered: bool) -> io::Result<()> {
        let control = send_info(ppid, context, unordered);
        let data = [io::IoSlice::new(data)];
        let message = MsgHdr::new().with_buffers(&data).with_control(&control);
        self.socket.sendmsg(&message, libc::MSG_NOSIGNAL).map(drop)
    }

    /// Whether everything sent by now is acknowledged: the kernel holds none of it. Of one that is
    /// lost it holds nothing either, so ask in this order whether it still stands.
    pub(super) fn is_dry(&self) -> bool {
        let mut status = [0; 44];
        self.holds_nothing()
            && sys::option(&self.socket, libc::IPPROTO_SCTP, SCTP_STATUS, &mut status).is_ok()
    }

    /// Whether the kernel holds nothing that it was given to send.
    pub(super) fn holds_nothing(&self) -> bool {
        let mut memory = [0; 9];
        sys::option(&self.socket, libc::SOL_SOCKET, libc::SO_MEMINFO, &mut memory).is_ok()
            && memory[libc::SK_MEMINFO_WMEM_QUEUED as usize] == 0
    }

    /// What is next, as far as it is there.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) where nothing is there; any other error ends the
    /// association.
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Incoming> {
        loop {
            let received = sys::receive(&self.socket, buffer)?;
            if received.len == 0 {
                return Ok(Incoming::Ended);
            }
            let record = match received.notification {
                true => &mut self.notification,
                false => &mut self.message,
            };
            record.extend_from_slice(&buffer[..received.len]);
            if received.end_of_record {
                let data = mem::take(record);
                let ppid = ppid(received.control()).unwrap_or(0);
                let incoming = match received.notification {
                    true => notification(&data).unwrap_or(Incoming::Other),
                    false => Incoming::Message { ppid, data },
                };
                if incoming == Incoming::Abandoned {
                    self.message.clear();
                }
                return Ok(incoming);
            }
            if self.message.len() > LONGEST {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }

    /// Shuts it down behind what was sent; [`Incoming::Ended`] tells when the peer has all of it.
    ///
    /// # Errors
    /// It never came up.
    pub fn shut_down(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// What to wait for: that something comes, and that there is room, if that is `wanted`.
    pub(super) fn poll(&self, room_wanted: bool) -> Poll {
        let room = if room_wanted { libc::POLLOUT } else { 0 };
        Poll { fd: self.socket.as_raw_fd(), events: libc::POLLIN | room, revents: 0 }
    }
}

#[cfg(feature = "tcp")]
impl std::os::fd::AsFd for Association {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A `struct sockaddr_in` or `sockaddr_in6`.
fn socket_address(at: &SocketAddr) -> Vec<u8> {
    let port = at.port().to_be_bytes();
    match at {
        SocketAddr::V4(at) => {
            let family = (libc::AF_INET as u16).to_ne_bytes();
            [&family[..], &port, &at.ip().octets(), &[0; 8]].concat()
        }
        SocketAddr::V6(at) => {
            let family = (libc::AF_INET6 as u16).to_ne_bytes();
            let (flow, scope) = (at.flowinfo().to_be_bytes(), at.scope_id().to_ne_bytes());
            [&family[..], &port, &flow, &at.ip().octets(), &scope].concat()
        }
    }
}

/// Ancillary data with a `struct sctp_sndinfo` (RFC 6458 §5.3.4).
fn send_info(ppid: u32, context: u32, unordered: bool) -> Vec<u8> {
    let (stream, association) = (0_u16.to_ne_bytes(), 0_u32.to_ne_bytes());
    let flags = if unordered { SCTP_UNORDERED } else { 0 }.to_ne_bytes();
    let (ppid, context) = (ppid.to_be_bytes(), context.to_ne_bytes());
    let info = [&stream[..], &flags, &ppid, &context, &association].concat();
    let (level, kind) = (libc::IPPROTO_SCTP.to_ne_bytes(), SCTP_SNDINFO.to_ne_bytes());
    [&(HEADER + info.len()).to_ne_bytes()[..], &level, &kind, &info].concat()
}

/// The payload protocol identifier from ancillary data, which is a `struct sctp_rcvinfo` (RFC 6458
/// §5.3.5), since nothing else was asked for.
fn ppid(control: &[u8]) -> Option<u32> {
    let kind = field(control, HEADER - 4).map(i32::from_ne_bytes)?;
    let ppid = field(control, HEADER + 8).map(u32::from_be_bytes)?;
    (kind == SCTP_RCVINFO).then_some(ppid)
}

/// What a notification says (RFC 6458 §6.1).
fn notification(bytes: &[u8]) -> Option<Incoming> {
    let u16_at = |at| field(bytes, at).map(u16::from_ne_bytes);
    Some(match u16_at(0)? {
        SCTP_ASSOC_CHANGE => match u16_at(8)? {
            SCTP_COMM_UP => Incoming::Up,
            SCTP_RESTART => Incoming::Restarted,
            SCTP_SHUTDOWN_COMP => Incoming::Ended,
            _ => Incoming::Lost,
        },
        SCTP_SEND_FAILED_EVENT => {
            let context = field(bytes, 20).map(u32::from_ne_bytes)?;
            Incoming::Failed { context, sent: u16_at(2)? != 0 }
        }
        SCTP_PARTIAL_DELIVERY_EVENT => Incoming::Abandoned,
        SCTP_SENDER_DRY_EVENT => Incoming::Dry,
        _ => Incoming::Other,
    })
}

/// As many bytes as asked for, from `at` on.
fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A multi-homed peer's addresses are packed without a gap, each as C has it.
    #[test]
    fn addresses_are_packed_as_c_has_them() {
        let four = socket_address(&"10.1.2.3:3863".parse().unwrap());
        assert_eq!(four[2..], [0x0f, 0x17, 10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
        let six = socket_address(&"[fd00::17]:9".parse().unwrap());
        assert_eq!((six.len(), &six[2..4], six[8], six[23]), (28, &[0, 9][..], 0xfd, 0x17));
        assert_eq!(four[..2], 2_u16.to_ne_bytes());
        assert_eq!(six[..2], 10_u16.to_ne_bytes());
    }

    /// [TLV-22]: what is sent carries its payload protocol identifier, and what comes is told by
    /// it.
    #[test]
    fn the_payload_protocol_identifier_is_in_network_order() {
        let sent = send_info(11, 7, true);
        assert_eq!(sent.len(), HEADER + 16);
        assert_eq!(sent[HEADER + 4..HEADER + 8], [0, 0, 0, 11]);
        assert_eq!(sent[HEADER + 2..HEADER + 4], 1_u16.to_ne_bytes());

        let mut received = vec![0; HEADER + 28];
        received[HEADER - 4..HEADER].copy_from_slice(&SCTP_RCVINFO.to_ne_bytes());
        received[HEADER + 11] = 11;
        assert_eq!(ppid(&received), Some(11));
        received[HEADER - 4] ^= 1;
        assert_eq!(ppid(&received), None);
        assert_eq!(ppid(&[]), None);
    }

    /// Notifications, as far as they matter, and cut short.
    #[test]
    fn notifications_are_told_apart() {
        let halves = |halves: &[u16]| -> Vec<_> {
            halves.iter().flat_map(|half| half.to_ne_bytes()).collect()
        };
        let change = |state| halves(&[SCTP_ASSOC_CHANGE, 0, 20, 0, state, 0, 1, 1, 0, 0]);
        let told: Vec<_> = (0..5).map(|state| notification(&change(state)).unwrap()).collect();
        use Incoming::{Ended, Lost, Restarted, Up};
        assert_eq!(told, [Up, Lost, Restarted, Ended, Lost]);
        let mut failed = halves(&[SCTP_SEND_FAILED_EVENT, 1, 32, 0, 0, 0, 0, 0, 0, 0]);
        failed.extend(9_u32.to_ne_bytes());
        assert_eq!(notification(&failed), Some(Incoming::Failed { context: 9, sent: true }));
        assert_eq!(notification(&failed[..21]), None);
        assert_eq!(notification(&halves(&[SCTP_SENDER_DRY_EVENT, 0])), Some(Incoming::Dry));
        let abandoned = notification(&halves(&[SCTP_PARTIAL_DELIVERY_EVENT, 0]));
        assert_eq!(abandoned, Some(Incoming::Abandoned));
        assert_eq!(notification(&[]), None);
    }
}
