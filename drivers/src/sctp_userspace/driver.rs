//! The pool user on sockets of this host, and the loop around it.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use asap_pu::{Config, Event, Instant};

use super::sockets::{Incoming, Sockets};
use super::{SctpPoolUser, Settings};
use crate::host::{Sleep, join};

/// How many datagrams are read before the application hears of any, and before they are acknowledged.
const BURST: usize = 16;

/// A [pool user](SctpPoolUser) in touch with the world.
#[derive(Debug)]
pub struct Driver {
    machine: SctpPoolUser,
    sockets: Sockets,
    start: std::time::Instant,
    sleep: Sleep,
    buffer: Vec<u8>,
}

impl Driver {
    /// A pool user that reaches registrars and elements over SCTP from user space. The seed should
    /// differ from process to process, so that not all choose alike. For `config` see
    /// [`SctpPoolUser::new`].
    ///
    /// # Errors
    /// The configuration or the settings are wrong ([`InvalidInput`](io::ErrorKind::InvalidInput));
    /// over plain IP, this process may not do that
    /// ([`PermissionDenied`](io::ErrorKind::PermissionDenied)), or the kernel has SCTP itself, whose
    /// ABORTs would end all associations ([`Unsupported`](io::ErrorKind::Unsupported)); or there are
    /// no sockets to be had.
    pub fn new(config: Config, seed: u64, settings: Settings) -> io::Result<Self> {
        let sockets = Sockets::new(settings.carrier)?;
        Ok(Self {
            machine: SctpPoolUser::new(config, seed, settings, secret())?,
            sockets,
            start: std::time::Instant::now(),
            sleep: Sleep::observe(),
            buffer: vec![0; 0x1_0000],
        })
    }

    /// Listens to what registrars announce to the multicast `group` (RFC 5352 §2.2.10), such as
    /// [`ANNOUNCE_GROUP`](crate::ANNOUNCE_GROUP), and to other groups as before. The interface is the
    /// one with this address, or of an IPv6 group the one that its scope names
    /// ([`SocketAddrV6::scope_id`](std::net::SocketAddrV6::scope_id)); where that is unspecified, the
    /// system chooses. Other programs on the host can do the same.
    ///
    /// # Errors
    /// The socket cannot be had, or the group not be joined.
    pub fn listen(&mut self, group: impl Into<SocketAddr>, interface: Ipv4Addr) -> io::Result<()> {
        let group = group.into();
        self.sockets.add_announces(join(group, interface)?)?;
        if let SocketAddr::V6(at) = group {
            if at.scope_id() != 0 {
                self.machine.find_link_local(at.scope_id());
            }
        }
        Ok(())
    }

    /// The time as the pool user sees it, which goes on while the machine sleeps.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::EPOCH + self.start.elapsed() + self.sleep.so_far()
    }

    /// Runs until the pool user has something to tell. `None` if there is nothing within `patience`,
    /// or nothing to come after a [`shut_down`](asap_pu::PoolUser::shut_down). Outside of this call
    /// nothing moves.
    pub fn event(&mut self, patience: Duration) -> Option<Event> {
        let end = self.now() + patience;
        let mut is_over = false;
        self.machine.handle_commands(self.now());
        self.send();
        loop {
            let event = self.machine.poll_event();
            if event.is_some() || is_over || self.machine.is_shut_down() {
                return event;
            }
            let wake = self.machine.poll_timeout().map_or(end, |at| at.min(end));
            // What has come while the application did something else, before timers that wait for it.
            self.receive(wake.since(self.now()));
            self.machine.handle_timeout(self.now());
            self.send();
            is_over = self.now() >= end;
        }
    }

    /// Shuts the pool user down and waits until everything is delivered, or given up, and closed,
    /// `patience` at most; says whether it came to that. Events are passed over: who wants them
    /// tells the pool user first and reads on until there are none.
    pub fn shut_down(mut self, patience: Duration) -> bool {
        let end = self.now() + patience;
        let now = self.now();
        self.machine.user().shut_down(now);
        while !self.machine.is_shut_down() && self.now() < end {
            self.event(end.since(self.now()));
        }
        self.machine.is_shut_down()
    }

    /// Readable while something has come that was not waited for.
    #[cfg(all(unix, feature = "tcp"))]
    pub(crate) fn readiness(&self) -> io::Result<std::os::fd::OwnedFd> {
        self.sockets.readiness()
    }

    /// Whether something has come that is not read.
    #[cfg(all(unix, feature = "tcp"))]
    pub(crate) fn has_more(&self) -> bool {
        self.sockets.has_more()
    }

    fn send(&mut self) {
        while let Some(datagram) = self.machine.poll_datagram() {
            // The route is looked at whenever a peer is called; the first one is a registrar, which is
            // told little.
            let route_mtu = datagram.is_call().then(|| Sockets::route_mtu(datagram.to)).flatten();
            if let Some(mtu) = route_mtu {
                self.machine.set_route_mtu(mtu);
            }
            if let Err(why) = self.sockets.send(datagram.to, &datagram.bytes) {
                let now = self.now();
                self.machine.handle_unreachable(now, datagram.to, &datagram.bytes, why);
            }
        }
    }

    /// Waits until something comes, for `patience` at most, and takes it in.
    fn receive(&mut self, patience: Duration) {
        // What cannot be waited for is looked for again at the next deadline.
        let _ = self.sockets.wait(patience);
        let now = self.now();
        for _ in 0..BURST {
            match self.sockets.receive(&mut self.buffer) {
                None => return,
                Some(Incoming::Packet(from, bytes)) => {
                    self.machine.handle_datagram(now, from, bytes);
                }
                Some(Incoming::Announce(from, bytes)) => {
                    self.machine.handle_announce(now, from, bytes);
                }
                Some(Incoming::Unreachable(to, bytes, why)) => {
                    self.machine.handle_unreachable(now, to, bytes, why);
                }
            }
        }
    }
}

/// The pool user, for commands and to look at. Its inputs and outputs are the driver's.
impl Deref for Driver {
    type Target = SctpPoolUser;

    fn deref(&self) -> &SctpPoolUser {
        &self.machine
    }
}

impl DerefMut for Driver {
    fn deref_mut(&mut self) -> &mut SctpPoolUser {
        &mut self.machine
    }
}

/// What nobody can guess: the standard library has it from the system.
fn secret() -> u128 {
    let half = || u128::from(RandomState::new().hash_one(()));
    half() << 64 | half()
}
