//! SCTP in user space, for hosts whose kernel has none: over UDP (RFC 6951), which takes no privilege,
//! or over plain IP, which does.
//!
//! The kernel's SCTP is the better one where it is there. This one is for all others: most desktops,
//! containers, cloud images without the module. Over UDP, the hosts of registrars and elements must
//! take SCTP that comes so; with Linux that is one `sysctl` there, `net.sctp.udp_port=9899`. Over IP
//! there must be no SCTP in this host's kernel, which would answer to everything with an ABORT.
//!
//! There is no I/O but in [`Driver`], which is a loop of thirty lines:
//!
//! ```text
//!                 ┌───────────────── SctpPoolUser ─────────────────┐
//!   commands ───▶ │ asap_pu::PoolUser ◀──▶ Endpoint                │ ◀── datagrams ── ┌─────────┐
//!   events ◀───── │                         └ associations: dcsctp │ ─── datagrams ─▶ │ sockets │
//!                 └────────────────────────────────────────────────┘ ◀── time         └─────────┘
//! ```
//!
//! A channel is an association. ASAP messages go out and come in on it marked with payload protocol
//! identifier 11, data with any other (RFC 5352 §5); everything travels in stream 0. What an
//! association reports becomes a channel's event:
//!
//! | from the association | to the pool user |
//! |---|---|
//! | it is up | `handle_opened` |
//! | it was shut down by the peer | `handle_closed`, `Closed` |
//! | it was broken off, refused, silent, could not be set up; the peer restarted | `handle_closed`, `Failed` |
//! | this host lacks something: a route, an address family, leave to send | `handle_closed`, `Local` |
//! | all of a message was on its way | `handle_written` |
//! | all of a message was acknowledged | `handle_delivered` |
//! | nothing of a message was on its way when the association ended; or it is empty or too long | `handle_unsent` |
//!
//! So a session knows what to send again after a failover, message by message, as with the kernel's
//! SCTP. Two things are less exact: what the peer acknowledged out of order counts as unknown when the
//! association breaks, not as delivered, and so does a message of which only a part was on its way.
//!
//! # What is lost without the kernel
//!
//! The library knows one address of its peer and none of its own. All addresses of a peer are called
//! when an association is set up, one a quarter of a second after the other, and the first that
//! answers is it. When that one fails later the association ends, where the kernel's would go on at
//! another; the session fails over or calls again. There is no path MTU discovery: packets keep to a
//! size that every network takes ([`Settings::path_mtu`]), and to what the driver knows of its routes
//! ([`Endpoint::set_route_mtu`]).
//!
//! # The two libraries
//!
//! | | `dcsctp` 0.1.16 | `sctp-proto` 0.10.8 |
//! |---|---|---|
//! | what became of each message | fully sent, delivered, expired; bytes not sent | bytes not yet acknowledged |
//! | a silent peer, data on its way | ends after a number of retransmissions | never ("T3-rtx timer will not fail by design") |
//! | a silent peer, idle | heartbeats | answers heartbeats, sends none |
//! | the peer restarts (RFC 9260 §5.2.4) | told | its INIT is an error |
//! | multi-homing | none | none |
//! | several associations | one each; they are told apart here | by tag |
//! | payload protocol identifier, unordered messages, fragmentation | yes | yes |
//! | path MTU | given | given |
//! | retransmission time-outs | all of them | initial, least, most |
//! | UDP, IP | neither: SCTP packets | the same |
//! | state cookie | with a fixed value, unsigned; believed here from nobody but who was answered | random, compared |
//! | depends on | `fastrand`, `log`, `thiserror` | `bytes`, `crc`, `log`, `rand`, `rustc-hash`, `slab`, `thiserror` |
//! | kept by | the authors of the one in WebRTC, a release a month or two | the authors of `webrtc-rs` and `str0m`, the same |
//!
//! A pool user lives on hearing of dead peers and on the fates of messages, so it is `dcsctp`. What it
//! does not do is in `association`: see there.

mod association;
mod driver;
mod endpoint;
#[cfg(target_os = "linux")]
mod linux;
mod packet;
mod pool_user;
mod socket;
mod sockets;

use std::fmt;
use std::io;
use std::net::SocketAddr;

use packet::Packet;

pub use driver::Driver;
pub use endpoint::{Counters, Endpoint, Settings};
pub use pool_user::{CAPABILITIES, SctpPoolUser};

/// The UDP port of those who take SCTP over UDP (RFC 6951 §5.1).
pub const UDP_PORT: u16 = 9_899;

/// What carries SCTP packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// UDP, to that port of the peers (RFC 6951).
    Udp(u16),
    /// IP itself, protocol 132.
    Ip,
}

/// One of the associations of an [`Endpoint`]. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssociationId(u64);

/// An SCTP packet, without the headers of what carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// The peer's address and UDP port; the port is 0 over plain IP.
    pub to: SocketAddr,
    /// The packet.
    pub bytes: Vec<u8>,
}

impl Datagram {
    /// Whether it calls a peer: its chunk is an INIT.
    fn is_call(&self) -> bool {
        Packet::beginning(&self.bytes).is_some_and(|packet| packet.kind() == packet::chunk::INIT)
    }
}

/// What happens to an association.
#[derive(Debug)]
pub enum Event<M> {
    /// It is up.
    Up,
    /// A peer has called, and it is up.
    Accepted {
        /// From where.
        from: SocketAddr,
    },
    /// A message has come.
    Message {
        /// The payload protocol identifier.
        ppid: u32,
        /// What it says.
        data: Vec<u8>,
    },
    /// All of a message was on its way.
    Written(M),
    /// All of a message was acknowledged.
    Delivered(M),
    /// Nothing of a message was ever on its way: it is empty, too long, or the association ends.
    Unsent(M),
    /// The association is no more.
    Ended(End),
}

/// Why an association is no more.
#[derive(Debug)]
pub enum End {
    /// It was shut down in good order.
    Closed,
    /// The peer broke it off, and says why.
    Aborted(String),
    /// The peer began anew and has forgotten everything.
    Restarted,
    /// The peer says nothing any more.
    Silent,
    /// None of the addresses answered.
    Unanswered,
    /// All addresses were refused, and the last one why.
    Unreachable(io::Error),
    /// The peer does not keep to the rules.
    Violation(String),
}

impl Carrier {
    /// The port of the datagrams.
    const fn port(self) -> u16 {
        match self {
            Self::Udp(port) => port,
            Self::Ip => 0,
        }
    }

    /// The longest headers before an SCTP packet.
    const fn overhead(self) -> usize {
        match self {
            Self::Udp(_) => 48,
            Self::Ip => 40,
        }
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(port) => write!(f, "UDP port {port}"),
            Self::Ip => f.write_str("IP"),
        }
    }
}
