#![doc = include_str!("../README.md")]

use std::net::SocketAddr;
use std::sync::mpsc::Sender;

#[cfg(target_os = "linux")]
pub mod sctp;
pub mod tokio;

/// What passes a driver, for tools that show it (`watcher` in each driver).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// An ASAP message that goes out.
    Sent(Vec<u8>),
    /// An ASAP message that came in or, of a byte stream, any piece of some.
    Received(Vec<u8>),
    /// A datagram that came to the multicast group of the registrars, and from where.
    Announced(SocketAddr, Vec<u8>),
}

/// Takes what passes; a driver goes on all the same if nobody is at the other end any more.
pub type Watcher = Sender<Seen>;

fn show(watcher: &Option<Watcher>, seen: impl FnOnce() -> Seen) {
    if let Some(watcher) = watcher {
        let _ = watcher.send(seen());
    }
}
