//! The library's socket, as something that may be moved between threads.

use std::ops::{Deref, DerefMut};

use dcsctp::api::{DcSctpSocket, Options};

/// One of dcsctp's sockets.
pub(super) struct Socket(Box<dyn DcSctpSocket>);

// SAFETY: what keeps dcsctp's socket from being `Send` are its counted references (`Rc`), by which its own
// parts share their clock and their queue of events. Those of version 0.1.16, which is the one that this
// package takes, are made in `Socket::new` and never leave the socket: what it hands out are owned bytes and
// strings. Whoever moves this value moves all of them, and nobody reaches them but through it. From its
// thread it uses but the generator of random numbers, which `Association::with_randomness` sets each time.
#[allow(unsafe_code)]
unsafe impl Send for Socket {}

impl Socket {
    pub(super) fn new(options: &Options) -> Self {
        Self(dcsctp::new_socket("", options))
    }
}

impl Deref for Socket {
    type Target = dyn DcSctpSocket;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl DerefMut for Socket {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.0
    }
}
