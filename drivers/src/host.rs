//! What all drivers need of this host, whatever they speak: multicast groups, link-local zones, the time
//! that the machine has slept, and whose fault an error is.

use std::fmt::{self, Display};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
#[cfg(feature = "tls")]
use std::path::Path;
use std::sync::mpsc::Sender;
use std::time::Duration;

use asap_pu::capture::Capture;
#[cfg(any(all(target_os = "linux", feature = "sctp-kernel"), feature = "sctp"))]
use asap_pu::wire::ASAP_PPID;
use asap_pu::wire::Transport;
use asap_pu::{CloseReason, Instant, NoteKind, Payload, PoolUser};
use socket2::{Domain, Socket, Type};

/// Where registrars announce themselves in practice; what IANA assigned is 224.0.1.185.
pub const ANNOUNCE_GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 0, 0, 50), 3863);

/// The group of IPv6 that IANA assigned (RFC 5352 §8.4), of a site: who sends to a smaller one does so
/// from an address that is good on one link.
pub const ANNOUNCE_GROUP_V6: SocketAddrV6 =
    SocketAddrV6::new(Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0x133), 3863, 0, 0);

/// How long what was sent may take to be through once a channel is closed; a peer that takes longer is cut
/// off.
pub(crate) const LINGER: Duration = Duration::from_secs(30);

/// The payload protocol identifier of data: any but that of ASAP messages.
#[cfg(any(all(target_os = "linux", feature = "sctp-kernel"), feature = "sctp"))]
pub(crate) fn data_ppid(ppid: u32) -> io::Result<u32> {
    match ppid {
        ASAP_PPID => Err(io::Error::new(io::ErrorKind::InvalidInput, "11 marks ASAP messages")),
        ppid => Ok(ppid),
    }
}

/// Hands on to `tracing` what was noted since the last time: mistakes of the driver as warnings, all else
/// for whoever debugs.
pub(crate) fn trace(user: &mut PoolUser) {
    while let Some(note) = user.poll_note() {
        match note.what {
            NoteKind::Misused { .. } => tracing::warn!(target: "asap_pu", "{note}"),
            _ => tracing::debug!(target: "asap_pu", "{note}"),
        }
    }
}

/// What passes a driver, for tools that show it (`watcher` in each driver).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// When, as the pool user sees it.
    pub at: Instant,
    /// Who is at the other end, by one address.
    pub peer: SocketAddr,
    /// What passed.
    pub what: Passed,
}

/// What passed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Passed {
    /// An ASAP message that goes out.
    Sent(Vec<u8>),
    /// An ASAP message that came in.
    Received(Vec<u8>),
    /// What came in of a stream of ASAP messages: any part of one or of several.
    Streamed(Vec<u8>),
    /// Data of the application that goes out.
    SentData(Vec<u8>),
    /// Data of the application that came in.
    ReceivedData(Vec<u8>),
    /// A channel is no more; of a stream nothing follows.
    Ended,
    /// A datagram that came to the multicast group of the registrars.
    Announced(Vec<u8>),
}

impl Seen {
    /// What passed on a channel to such a transport.
    pub(crate) fn on(to: &Transport, at: Instant, what: Passed) -> Self {
        let peer = to.socket_addrs().next();
        Self { at, peer: peer.unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into()), what }
    }

    /// Writes it into a capture, which then has everything that passed, whatever the transport was. The pool user
    /// is shown at 0.0.0.0 or ::, as a driver does not know which of its addresses a system has taken, and its
    /// clock began at `began`, for instance so long after 1970.
    pub fn capture(&self, began: Duration, capture: &mut Capture) {
        /// The first of those that a system takes for whoever does not say.
        const SOME_PORT: u16 = 49_152;
        let (at, peer) = (began + self.at.since(Instant::EPOCH), self.peer);
        let own = match peer {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, SOME_PORT).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, SOME_PORT).into(),
        };
        match &self.what {
            Passed::Sent(message) => capture.control(at, own, peer, message),
            Passed::Received(message) => capture.control(at, peer, own, message),
            Passed::Streamed(bytes) => capture.stream(at, peer, own, bytes),
            Passed::SentData(data) => capture.data(at, own, peer, data),
            Passed::ReceivedData(data) => capture.data(at, peer, own, data),
            Passed::Ended => capture.end(own, peer),
            Passed::Announced(message) => {
                let group = match peer {
                    SocketAddr::V4(_) => ANNOUNCE_GROUP.into(),
                    SocketAddr::V6(_) => ANNOUNCE_GROUP_V6.into(),
                };
                capture.control(at, peer, group, message);
            }
        }
    }
}

/// Takes a copy of what passes, announces and application data included. It is bounded by nothing but memory:
/// whoever asks for it has to keep up. A driver goes on all the same if nobody is at the other end any more.
pub type Watcher = Sender<Seen>;

/// Why the registrar's channel ended that ended last.
#[derive(Debug, Default)]
pub(crate) struct LastFailure(pub(crate) Option<String>);

impl LastFailure {
    pub(crate) fn set(&mut self, to: &Transport, why: impl Display) {
        self.0 = Some(format!("{to}: {why}"));
    }
}

/// What to tell people where no registrar can be reached.
impl Display for LastFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = self.0.as_deref().unwrap_or("none of them answers");
        write!(f, "no registrar can be reached: {why}")
    }
}

/// What the end of a channel is put down to. An element or a registrar is not to blame for what
/// this host lacks: descriptors, memory, watches, a route, an address to call from, leave to call, TLS.
pub(crate) fn reason(error: &io::Error) -> CloseReason {
    use io::ErrorKind::{
        AddrNotAvailable, NetworkDown, NetworkUnreachable, OutOfMemory, PermissionDenied,
        StorageFull, Unsupported,
    };
    let lacks = matches!(
        error.kind(),
        AddrNotAvailable
            | NetworkDown
            | NetworkUnreachable
            | OutOfMemory
            | PermissionDenied
            | StorageFull
            | Unsupported
    );
    // What the standard library has no words for.
    #[cfg(unix)]
    let lacks = lacks
        || matches!(
            error.raw_os_error(),
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::EAFNOSUPPORT)
        );
    if lacks { CloseReason::Local } else { CloseReason::Failed }
}

/// TLS that believes those whom the certificates in a PEM file vouch for.
///
/// # Errors
/// The file cannot be read, or holds no certificate; says which file.
#[cfg(feature = "tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
pub fn trust(file: &Path) -> Result<rustls::ClientConfig, String> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let found =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = found.map_err(|error| format!("{}: {error}", file.display()))?;
    let mut roots = rustls::RootCertStore::empty();
    match roots.add_parsable_certificates(found) {
        (0, _) => Err(format!("{}: holds no PEM certificate", file.display())),
        _ => {
            let config = rustls::ClientConfig::builder();
            Ok(config.with_root_certificates(roots).with_no_client_auth())
        }
    }
}

/// A socket for what registrars announce to a multicast group: on the interface with this address, or
/// in the scope of an IPv6 group; where that says nothing, on one that the system chooses. Other
/// programs on the host can have one too.
pub(crate) fn join(group: SocketAddr, interface: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Where the system allows it, not what is sent to this host alone.
    let at = match group {
        SocketAddr::V4(_) if !cfg!(unix) => (Ipv4Addr::UNSPECIFIED, group.port()).into(),
        SocketAddr::V6(at) if !cfg!(unix) || lacks_scope(at) => {
            (Ipv6Addr::UNSPECIFIED, group.port()).into()
        }
        group => group,
    };
    if group.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&at.into())?;
    match group {
        SocketAddr::V4(group) => socket.join_multicast_v4(group.ip(), &interface)?,
        SocketAddr::V6(group) => socket.join_multicast_v6(group.ip(), group.scope_id())?,
    }
    Ok(socket.into())
}

/// Whether the system wants to know the interface for a group of one interface or one link.
fn lacks_scope(group: SocketAddrV6) -> bool {
    group.scope_id() == 0 && group.ip().segments()[0] & 0xf <= 2
}

/// Where link-local addresses are, which mean nothing without an interface (RFC 4007 §6) and are listed
/// without one: where the registrar is that has announced itself last from such an address.
#[derive(Debug, Default)]
pub(crate) struct Zone(pub(crate) u32);

impl Zone {
    /// Takes the interface from an address that has one.
    pub(crate) fn learn(&mut self, from: SocketAddr) {
        if let SocketAddr::V6(from) = from {
            if from.scope_id() != 0 {
                self.0 = from.scope_id();
            }
        }
    }

    /// The address as the system wants it.
    pub(crate) fn complete(&self, mut at: SocketAddr) -> SocketAddr {
        if let SocketAddr::V6(at) = &mut at {
            if at.ip().is_unicast_link_local() && at.scope_id() == 0 {
                at.set_scope_id(self.0);
            }
        }
        at
    }
}

/// How long this machine has slept since it was observed first. The clocks of the standard library stand
/// still meanwhile, and what a pool user knows grows old.
#[derive(Debug)]
pub(crate) struct Sleep(Duration);

impl Sleep {
    pub(crate) fn observe() -> Self {
        Self(slept())
    }

    pub(crate) fn so_far(&self) -> Duration {
        slept().saturating_sub(self.0)
    }
}

/// How long this machine has slept since it was started.
#[cfg(target_os = "linux")]
fn slept() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    loop {
        let (before, all, after) =
            (read(ClockId::Monotonic), read(ClockId::Boottime), read(ClockId::Monotonic));
        // Unless this thread was held up in between.
        if after.saturating_sub(before) < Duration::from_millis(1) {
            return all.saturating_sub(after);
        }
    }
}

/// Nobody tells.
#[cfg(not(target_os = "linux"))]
fn slept() -> Duration {
    Duration::ZERO
}

pub(crate) fn show(watcher: &Option<Watcher>, seen: impl FnOnce() -> Seen) {
    if let Some(watcher) = watcher {
        let _ = watcher.send(seen());
    }
}

/// Shows what a pool user sends on a channel to such a transport.
pub(crate) fn show_sent(watcher: &Option<Watcher>, at: Instant, to: &Transport, payload: &Payload) {
    match payload {
        Payload::Control(message) => {
            show(watcher, || Seen::on(to, at, Passed::Sent(message.to_vec())));
        }
        Payload::Data { data, .. } => {
            show(watcher, || Seen::on(to, at, Passed::SentData(data.to_vec())));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [REPORT-9]: trouble of this host is told from that of a peer.
    #[cfg(unix)]
    #[test]
    fn nobody_else_is_to_blame_for_what_this_host_lacks() {
        use libc::{
            EACCES, EADDRNOTAVAIL, EAFNOSUPPORT, ECONNABORTED, ECONNREFUSED, ECONNRESET,
            EHOSTUNREACH, EMFILE, ENETDOWN, ENETUNREACH, ENFILE, ENOBUFS, ENOMEM, ENOSPC, EPERM,
            EPIPE, ETIMEDOUT,
        };
        let of = |code| reason(&io::Error::from_raw_os_error(code));
        for own in [
            EMFILE,
            ENFILE,
            ENOBUFS,
            ENOMEM,
            ENOSPC,
            ENETDOWN,
            ENETUNREACH,
            EADDRNOTAVAIL,
            EAFNOSUPPORT,
            EACCES,
            EPERM,
        ] {
            assert_eq!(of(own), CloseReason::Local, "{}", io::Error::from_raw_os_error(own));
        }
        for theirs in [ECONNREFUSED, ECONNRESET, ECONNABORTED, ETIMEDOUT, EHOSTUNREACH, EPIPE] {
            assert_eq!(of(theirs), CloseReason::Failed, "{}", io::Error::from_raw_os_error(theirs));
        }
    }
}
