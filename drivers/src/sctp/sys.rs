//! The four system calls for which neither the standard library nor `socket2` has safe words, and
//! all the `unsafe` there is.

use std::io;
use std::mem;
use std::os::fd::AsRawFd;
use std::ptr;
use std::time::Duration;

use socket2::Socket;

/// `MSG_NOTIFICATION` of RFC 6458 §6: what was received is not a message but word of the
/// association. The value is Linux's.
const MSG_NOTIFICATION: libc::c_int = 0x8000;

/// Something to wait for, and what came of it.
pub(super) type Poll = libc::pollfd;

/// What [`receive`] found besides the bytes.
#[derive(Debug)]
pub(super) struct Received {
    /// How many bytes.
    pub(super) len: usize,
    /// Whether the record ends with them.
    pub(super) end_of_record: bool,
    /// Whether the record is a notification.
    pub(super) notification: bool,
    control: Control,
    control_len: usize,
}

/// Room for ancillary data, aligned as its headers are.
#[derive(Debug)]
#[repr(align(8))]
struct Control([u8; 48]);

impl Received {
    /// The ancillary data.
    pub(super) fn control(&self) -> &[u8] {
        &self.control.0[..self.control_len]
    }
}

/// Sets an option of the SCTP layer to `value`, which is laid out as C has it.
pub(super) fn set_option<T: ?Sized>(
    socket: &Socket,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let (fd, len) = (socket.as_raw_fd(), mem::size_of_val(value) as libc::socklen_t);
    let value = ptr::from_ref(value).cast();
    // SAFETY: `value` points to `len` bytes, which the kernel copies before it returns.
    let outcome = unsafe { libc::setsockopt(fd, libc::IPPROTO_SCTP, name, value, len) };
    checked(outcome as isize).map(drop)
}

/// Reads an option into `value`, as far as that goes.
pub(super) fn option(
    socket: &Socket,
    level: libc::c_int,
    name: libc::c_int,
    value: &mut [u32],
) -> io::Result<()> {
    let mut len = mem::size_of_val(value) as libc::socklen_t;
    let (fd, value) = (socket.as_raw_fd(), value.as_mut_ptr().cast());
    // SAFETY: `value` points to `len` bytes, of which the kernel writes some, any value being good.
    let outcome = unsafe { libc::getsockopt(fd, level, name, value, &raw mut len) };
    checked(outcome as isize).map(drop)
}

/// Receives a record, or a part of one, with its ancillary data. Does not wait.
pub(super) fn receive(socket: &Socket, buffer: &mut [u8]) -> io::Result<Received> {
    let mut control = Control([0; 48]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: null pointers and lengths of zero are a valid header.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len() as _;
    // SAFETY: the header points to `part` and `control`, and `part` to `buffer`; all of them are
    // writable for the lengths given and outlive the call.
    let outcome = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
    Ok(Received {
        len: checked(outcome)?,
        end_of_record: header.msg_flags & libc::MSG_EOR != 0,
        notification: header.msg_flags & MSG_NOTIFICATION != 0,
        control,
        control_len: header.msg_controllen as usize,
    })
}

/// Waits until one of `polls` is ready, or for `patience`, rounded up to milliseconds.
pub(super) fn poll(polls: &mut [Poll], patience: Duration) -> io::Result<()> {
    let millis = patience.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as libc::c_int;
    // SAFETY: `polls` is that many entries, readable and writable for the length of the call.
    let outcome = unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, millis) };
    checked(outcome as isize).map(drop)
}

fn checked(outcome: isize) -> io::Result<usize> {
    usize::try_from(outcome).map_err(|_| io::Error::last_os_error())
}
