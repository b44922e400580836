//! What Linux tells that others do not: what became of datagrams that could not be delivered, from its
//! error queue, since an unconnected socket hears of it in no other way; and how long a packet may be
//! on a route. And all the `unsafe` there is.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

use libc::{c_int, socklen_t};
use socket2::SockAddr;

/// The length of a header of ancillary data, and where its level and type are.
const HEADER: usize = size_of::<libc::cmsghdr>();
const LEVEL: usize = size_of::<usize>();

/// Has the errors of a socket's datagrams queued, and the datagrams taken apart on the way where they
/// are too long for a network, which nothing would find out.
pub(super) fn prepare(socket: &impl AsRawFd, is_ipv4: bool) -> io::Result<()> {
    let fd = socket.as_raw_fd();
    if is_ipv4 {
        set(fd, libc::IPPROTO_IP, libc::IP_RECVERR, 1)?;
        set(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT)
    } else {
        set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)
    }
}

/// The next error: where a datagram was sent to, how much of it was quoted into the buffer, and why it
/// did not arrive. Does not wait.
pub(super) fn next(
    socket: &impl AsRawFd,
    buffer: &mut [u8],
) -> Option<(SocketAddr, usize, io::Error)> {
    loop {
        let (len, address, control) = receive(socket.as_raw_fd(), buffer)?;
        // Without it there is nobody to be told.
        if let (Some(to), Some(code)) = (address.and_then(|at| at.as_socket()), code(&control)) {
            return Some((to, len, io::Error::from_raw_os_error(code)));
        }
    }
}

/// `ee_errno` of a `struct sock_extended_err`, which is the first ancillary data there is.
fn code(control: &[u8]) -> Option<c_int> {
    let field = |at: usize| Some(c_int::from_ne_bytes(*control.get(at..)?.first_chunk()?));
    let kind = (field(LEVEL)?, field(LEVEL + 4)?);
    let is_error = [(libc::IPPROTO_IP, libc::IP_RECVERR), (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)]
        .contains(&kind);
    field(HEADER).filter(|_| is_error)
}

/// The longest IP packet that the route there takes, as far as this host knows. Sends nothing.
pub(super) fn route_mtu(to: SocketAddr) -> io::Result<u16> {
    let here = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = std::net::UdpSocket::bind(here)?;
    // Any port: the socket is only asked.
    socket.connect(SocketAddr::new(to.ip(), 9))?;
    let (level, name) = match to.is_ipv4() {
        true => (libc::IPPROTO_IP, libc::IP_MTU),
        false => (libc::IPPROTO_IPV6, libc::IPV6_MTU),
    };
    let (mut mtu, mut len): (c_int, _) = (0, size_of::<c_int>() as socklen_t);
    let fd = socket.as_raw_fd();
    // SAFETY: `mtu` has room for `len` bytes, of which the kernel writes no more.
    match unsafe { libc::getsockopt(fd, level, name, (&raw mut mtu).cast(), &raw mut len) } {
        0 => Ok(u16::try_from(mtu).unwrap_or(u16::MAX)),
        _ => Err(io::Error::last_os_error()),
    }
}

fn set(fd: RawFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let (len, value) = (size_of::<c_int>() as socklen_t, ptr::from_ref(&value).cast());
    // SAFETY: `value` points to `len` bytes, which the kernel copies before it returns.
    match unsafe { libc::setsockopt(fd, level, name, value, len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What is next in the error queue: the length of what was quoted, to whom it was sent, and what is
/// said of it.
fn receive(fd: RawFd, buffer: &mut [u8]) -> Option<(usize, Option<SockAddr>, Vec<u8>)> {
    // Aligned as headers of ancillary data are.
    let mut control = [0_u64; 32];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: null pointers and lengths of zero are a valid header.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control) as _;
    let mut received = -1;
    // SAFETY: the header points to `part` and `control`, `part` to `buffer`, and the name to the room
    // given for it; all of them are writable for the lengths given and outlive the call.
    let address = unsafe {
        SockAddr::try_init(|storage, len| {
            header.msg_name = storage.cast();
            header.msg_namelen = *len;
            received = libc::recvmsg(fd, &raw mut header, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT);
            *len = header.msg_namelen;
            Ok(())
        })
    };
    let len = usize::try_from(received).ok()?;
    let control = control.iter().flat_map(|word| word.to_ne_bytes());
    let control = control.take(header.msg_controllen as usize).collect();
    Some((len, address.ok().map(|((), address)| address), control))
}
