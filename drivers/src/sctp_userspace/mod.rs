//! SCTP in user space.

mod association;
mod endpoint;
mod packet;
mod pool_user;

use std::fmt;
use std::io;
use std::net::SocketAddr;

pub use endpoint::{Counters, Endpoint, Settings};
pub use pool_user::SctpPoolUser;

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
