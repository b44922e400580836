//! What happened, as one number and, if wished, as lines to read.

use alloc::boxed::Box;
use core::fmt;
use core::hash::{Hash, Hasher};

use super::{Fault, Host, UserId};
use crate::wire::{MessageType, PoolHandle};
use crate::{CloseReason, Event, Instant, MessageId};

/// Folds everything that happens into a hash, and tells it to whoever listens.
pub(super) struct Transcript {
    hash: Fnv,
    sink: Option<Box<Sink>>,
}

type Sink = dyn FnMut(fmt::Arguments<'_>) + Send;

/// What happened to a host, or was done by it; the other one, if there is one, stands beside.
#[derive(Debug, Hash)]
pub(super) enum Note<'a> {
    Opens,
    Opened,
    Closes,
    Closed(CloseReason),
    SendsControl(&'a [u8]),
    SendsData(MessageId, &'a [u8]),
    GetsControl(&'a [u8]),
    GetsData(&'a [u8]),
    Delivered(MessageId),
    Announces,
    Wakes,
    Told(&'a Event),
    Fails(Fault),
    Heals,
    Severed,
    Mended,
    Moves(u8),
    Joins(&'a PoolHandle),
    Leaves(&'a PoolHandle),
    Unlisted(&'a PoolHandle),
    Unsent(MessageId),
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

    pub(super) fn note(&mut self, now: Instant, who: Host, with: Option<Host>, what: &Note<'_>) {
        (now, who, with, what).hash(&mut self.hash);
        if let Some(sink) = &mut self.sink {
            let at = now.since(Instant::EPOCH).as_secs_f64();
            match with {
                Some(with) => sink(format_args!("{at:12.6} {who:<14} {what} {with}")),
                None => sink(format_args!("{at:12.6} {who:<14} {what}")),
            }
        }
    }
}

/// What a pool user notes is no part of the number: it follows from what is.
impl Transcript {
    pub(super) fn explain(&mut self, user: UserId, note: &crate::Note) {
        if let Some(sink) = &mut self.sink {
            let (at, who) = (note.at.since(Instant::EPOCH).as_secs_f64(), Host::from(user));
            sink(format_args!("{at:12.6} {who:<14} notes: {}", note.what));
        }
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.hash())
    }
}

/// The words that stand before the other host, if there is one.
impl fmt::Display for Note<'_> {
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
            Self::GetsData(data) => write!(f, "gets \"{}\" from", data.escape_ascii()),
            Self::Delivered(message) => write!(f, "knows that {message:?} has arrived at"),
            Self::Announces => f.write_str("announces itself"),
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
