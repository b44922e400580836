//! What happened, as one number and, if wished, as records to read.

use alloc::boxed::Box;
use core::fmt;
use core::hash::{Hash, Hasher};

use super::{Fault, Host};
use crate::capture::Capture;
use crate::wire::{ASAP_PORT, MessageType, PoolHandle};
use crate::{CloseReason, Event, Instant, MessageId};

/// Folds everything that happens into a hash, and tells it to whoever listens.
pub(super) struct Transcript {
    hash: Fnv,
    sink: Option<Box<Sink>>,
}

type Sink = dyn FnMut(&Record<'_>) + Send;

/// Something that happened in a simulation ([`Sim::log`](super::Sim::log)). Displayed, it is a line.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Record<'a> {
    /// When.
    pub at: Instant,
    /// To whom, or by whom.
    pub host: Host,
    /// The other host, if there is one.
    pub with: Option<Host>,
    /// What.
    pub what: What<'a>,
}

/// What happened to a host, or was done by it; the other one, if there is one, stands beside.
#[derive(Debug, Clone, Copy, Hash)]
#[non_exhaustive]
pub enum What<'a> {
    /// A pool user wants a channel to the other.
    Opens,
    /// A channel is up.
    Opened,
    /// A pool user closes a channel.
    Closes,
    /// A channel did not come up, or ended, other than by its user's wish.
    Closed(CloseReason),
    /// A pool user sends an ASAP message.
    SendsControl(&'a [u8]),
    /// A pool user sends data.
    SendsData(MessageId, &'a [u8]),
    /// An ASAP message came to a pool user.
    GetsControl(&'a [u8]),
    /// A part of a stream of ASAP messages came to a pool user, over TCP.
    GetsStream(&'a [u8]),
    /// Data came to a pool user.
    GetsData(&'a [u8]),
    /// The transport of a pool user knows that its message has arrived.
    Delivered(MessageId),
    /// A registrar sends this to the multicast group.
    Announces(&'a [u8]),
    /// A deadline of a pool user has come.
    Wakes,
    /// A pool user tells its application.
    Told(&'a Event),
    /// A pool user notes why it does what it does.
    Notes(&'a crate::Note),
    /// Something is wrong with a host.
    Fails(Fault),
    /// Nothing is wrong with it any more.
    Heals,
    /// Two hosts do not hear each other any more.
    Severed,
    /// They do again.
    Mended,
    /// A host is on this side of a partition.
    Moves(u8),
    /// An element is listed in a pool.
    Joins(&'a PoolHandle),
    /// An element leaves its pool.
    Leaves(&'a PoolHandle),
    /// Registrars list an element no more.
    Unlisted(&'a PoolHandle),
    /// The transport of a pool user knows that its message has never left.
    Unsent(MessageId),
    /// The transport of a pool user knows that its ASAP message has never left.
    ControlUnsent(&'a [u8]),
}

/// FNV-1a with 64 bits (Fowler, Noll, Vo): short, the same everywhere, and no match for anyone who
/// wants two runs to look alike.
struct Fnv(u64);

impl Transcript {
    pub(super) const fn new() -> Self {
        Self { hash: Fnv(0xcbf2_9ce4_8422_2325), sink: None }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash.finish()
    }

    pub(super) fn log(&mut self, sink: Box<Sink>) {
        self.sink = Some(sink);
    }

    /// Takes in what happened. What a pool user notes is no part of the number: it follows from what is.
    pub(super) fn record(&mut self, record: &Record<'_>) {
        let Record { at, host, with, what } = record;
        if !matches!(what, What::Notes(_)) {
            (at, host, with, what).hash(&mut self.hash);
        }
        if let Some(sink) = &mut self.sink {
            sink(record);
        }
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.hash())
    }
}

/// A line: when, who, what, and with whom.
impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, host, with, what } = self;
        let at = at.since(Instant::EPOCH).as_secs_f64();
        write!(f, "{at:12.6} {host:<14} {what}")?;
        with.map_or(Ok(()), |with| write!(f, " {with}"))
    }
}

/// The words that stand before the other host, if there is one.
impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opens => f.write_str("calls"),
            Self::Opened => f.write_str("is connected with"),
            Self::Closes => f.write_str("closes the channel to"),
            Self::Closed(CloseReason::Failed) => f.write_str("cannot reach"),
            Self::Closed(CloseReason::Closed) => f.write_str("is left by"),
            Self::Closed(CloseReason::Local) => f.write_str("has no means to reach"),
            Self::Closed(CloseReason::Unauthenticated) => f.write_str("does not trust"),
            Self::SendsControl(message) => write!(f, "sends {} to", Type(message)),
            Self::SendsData(_, data) => write!(f, "sends \"{}\" to", data.escape_ascii()),
            Self::GetsControl(message) => write!(f, "gets {} from", Type(message)),
            Self::GetsStream(bytes) => write!(f, "gets {} bytes from", bytes.len()),
            Self::GetsData(data) => write!(f, "gets \"{}\" from", data.escape_ascii()),
            Self::Delivered(message) => write!(f, "knows that {message:?} has arrived at"),
            Self::Announces(_) => f.write_str("announces itself"),
            Self::Notes(note) => write!(f, "notes: {}", note.what),
            Self::Wakes => f.write_str("wakes"),
            Self::Told(event) => write!(f, "tells: {event:?}"),
            Self::Fails(fault) => write!(f, "fails: {fault:?}"),
            Self::Heals => f.write_str("is well again"),
            Self::Severed => f.write_str("is severed from"),
            Self::Mended => f.write_str("is not severed any more from"),
            Self::Moves(side) => write!(f, "is on side {side}"),
            Self::Joins(pool) => write!(f, "joins {pool}"),
            Self::Leaves(pool) => write!(f, "leaves {pool}"),
            Self::Unlisted(pool) => write!(f, "is struck off the list of {pool}"),
            Self::Unsent(message) => write!(f, "knows that {message:?} has not gone to"),
            Self::ControlUnsent(message) => {
                write!(f, "knows that {} has not gone to", Type(message))
            }
        }
    }
}

impl Record<'_> {
    /// Writes into a capture what passed between two hosts, if that is what happened: what a pool user sent when it
    /// left, what came to one when it arrived. Announces go to the group that RFC 5352 §8.3 assigns.
    pub fn capture(&self, capture: &mut Capture) {
        const GROUP: core::net::Ipv4Addr = core::net::Ipv4Addr::new(224, 0, 1, 185);
        let (at, host) = (self.at.since(Instant::EPOCH), self.host.socket_addr());
        let with = self.with.map(Host::socket_addr);
        match (self.what, with) {
            (What::SendsControl(message), Some(to)) => capture.control(at, host, to, message),
            (What::SendsData(_, data), Some(to)) => capture.data(at, host, to, data),
            (What::GetsControl(message), Some(from)) => capture.control(at, from, host, message),
            (What::GetsStream(bytes), Some(from)) => capture.stream(at, from, host, bytes),
            // What was under way of a message is lost with its channel.
            (What::Opened | What::Closes | What::Closed(_), Some(with)) => capture.end(host, with),
            (What::GetsData(data), Some(from)) => capture.data(at, from, host, data),
            (What::Announces(message), _) => {
                capture.control(at, host, (GROUP, ASAP_PORT).into(), message);
            }
            _ => {}
        }
    }
}

/// What kind of message it is.
struct Type<'a>(&'a [u8]);

impl fmt::Display for Type<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.first().and_then(|byte| MessageType::new(*byte).name());
        f.write_str(name.unwrap_or("gibberish"))
    }
}

/// Numbers count with all eight bytes, the lowest first, so that no platform differs.
impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.write(&[n]);
    }

    fn write_u16(&mut self, n: u16) {
        self.write_u64(n.into());
    }

    fn write_u32(&mut self, n: u32) {
        self.write_u64(n.into());
    }

    fn write_u64(&mut self, n: u64) {
        self.write(&n.to_le_bytes());
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }

    fn write_isize(&mut self, n: isize) {
        self.write_u64(n as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        let of = |bytes: &[u8]| {
            let mut hash = Transcript::new().hash;
            hash.write(bytes);
            hash.finish()
        };
        assert_eq!(of(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(of(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(of(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
