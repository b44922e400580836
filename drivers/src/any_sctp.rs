//! SCTP by whatever this host has: the kernel's, else the one in user space, over UDP.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use asap_pu::{Config, Event, Instant, PoolUser};

use crate::host::Watcher;
#[cfg(all(unix, feature = "tcp"))]
use crate::on_tokio::Turns;
#[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
use crate::sctp;
use crate::sctp_userspace::{self, Carrier, Settings};

/// One of the two drivers, with the face that they share.
#[derive(Debug)]
pub struct Driver {
    inner: Inner,
    choice: Choice,
}

#[derive(Debug)]
enum Inner {
    #[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
    Kernel(Box<sctp::Driver>),
    UserSpace(Box<sctp_userspace::Driver>),
}

/// What was chosen, and why.
#[derive(Debug)]
enum Choice {
    #[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
    Kernel,
    /// It was asked for.
    UserSpace(Carrier),
    /// There is nothing else, and why.
    Fallback(Carrier, String),
}

impl Driver {
    /// A pool user over the kernel's SCTP if it has one, else over UDP from user space; or, if that is
    /// said, from user space by this carrier in any case. The seed and the configuration are as with
    /// [`sctp_userspace::Driver::new`].
    ///
    /// # Errors
    /// Those of the driver that was chosen.
    pub fn new(config: Config, seed: u64, carrier: Option<Carrier>) -> io::Result<Self> {
        let (settings, choice) = match carrier {
            Some(carrier) => {
                (Settings { carrier, ..Settings::default() }, Choice::UserSpace(carrier))
            }
            None => {
                let why = match kernel(&config, seed) {
                    Err(why) if why.kind() == io::ErrorKind::Unsupported => why.to_string(),
                    outcome => return outcome,
                };
                let settings = Settings::default();
                let choice = Choice::Fallback(settings.carrier, why);
                (settings, choice)
            }
        };
        let driver = sctp_userspace::Driver::new(config, seed, settings)?;
        Ok(Self { inner: Inner::UserSpace(driver.into()), choice })
    }

    /// Listens to what registrars announce to a multicast group.
    ///
    /// # Errors
    /// The socket cannot be had, or the group not be joined.
    pub fn listen(&mut self, group: impl Into<SocketAddr>, interface: Ipv4Addr) -> io::Result<()> {
        match &mut self.inner {
            #[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
            Inner::Kernel(driver) => driver.listen(group, interface),
            Inner::UserSpace(driver) => driver.listen(group, interface),
        }
    }

    /// Looks for link-local addresses on the interface with this index.
    pub fn find_link_local(&mut self, interface: u32) {
        match &mut self.inner {
            #[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
            Inner::Kernel(driver) => driver.find_link_local(interface),
            Inner::UserSpace(driver) => driver.find_link_local(interface),
        }
    }

    /// Has a copy sent there of [what passes](Watcher).
    pub fn watch(&mut self, watcher: Watcher) {
        match &mut self.inner {
            #[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
            Inner::Kernel(driver) => driver.watcher = Some(watcher),
            Inner::UserSpace(driver) => driver.watcher = Some(watcher),
        }
    }

    /// Marks data with this payload protocol identifier from now on.
    ///
    /// # Errors
    /// It is 11, which marks ASAP messages.
    pub fn mark_data(&mut self, ppid: u32) -> io::Result<()> {
        match &mut self.inner {
            #[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
            Inner::Kernel(driver) => driver.mark_data(ppid),
            Inner::UserSpace(driver) => driver.mark_data(ppid),
        }
    }

    /// The pool user, for commands and to look at.
    pub fn user(&mut self) -> &mut PoolUser {
        match &mut self.inner {
            #[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
            Inner::Kernel(driver) => driver.user(),
            Inner::UserSpace(driver) => driver.user(),
        }
    }

    /// The time as the pool user sees it.
    #[must_use]
    pub fn now(&self) -> Instant {
        match &self.inner {
            #[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
            Inner::Kernel(driver) => driver.now(),
            Inner::UserSpace(driver) => driver.now(),
        }
    }

    /// What to tell people where no registrar can be reached.
    #[must_use]
    pub fn no_registrar(&self) -> String {
        match &self.inner {
            #[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
            Inner::Kernel(driver) => driver.no_registrar(),
            Inner::UserSpace(driver) => driver.no_registrar(),
        }
    }

    /// Why the channel to an element failed that failed last, where that is known.
    #[must_use]
    pub fn element_failure(&self) -> Option<&str> {
        match &self.inner {
            #[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
            Inner::Kernel(_) => None,
            Inner::UserSpace(driver) => driver.element_failure(),
        }
    }

    /// The next event, or `None` if there is none in that time.
    pub fn event(&mut self, patience: Duration) -> Option<Event> {
        match &mut self.inner {
            #[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
            Inner::Kernel(driver) => driver.event(patience),
            Inner::UserSpace(driver) => driver.event(patience),
        }
    }

    /// Closes everything in good order, within `patience` if that can be; says whether it could.
    pub fn shut_down(self, patience: Duration) -> bool {
        match self.inner {
            #[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
            Inner::Kernel(driver) => driver.shut_down(patience),
            Inner::UserSpace(driver) => driver.shut_down(patience),
        }
    }
}

#[cfg(all(unix, feature = "tcp"))]
impl Turns for Driver {
    fn turn(&mut self) -> Option<Event> {
        self.event(Duration::ZERO)
    }

    fn call(&mut self, command: &mut dyn FnMut(&mut PoolUser, Instant)) {
        let now = self.now();
        command(self.user(), now);
    }

    fn no_registrar(&self) -> String {
        self.no_registrar()
    }

    fn readiness(&self) -> io::Result<std::os::fd::OwnedFd> {
        match &self.inner {
            #[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
            Inner::Kernel(driver) => driver.readiness(),
            Inner::UserSpace(driver) => driver.readiness(),
        }
    }

    fn has_more(&mut self) -> bool {
        match &mut self.inner {
            #[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
            Inner::Kernel(driver) => driver.has_more(),
            Inner::UserSpace(driver) => driver.has_more(),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.inner {
            #[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
            Inner::Kernel(driver) => driver.poll_timeout(),
            Inner::UserSpace(driver) => driver.poll_timeout(),
        }
    }

    fn is_shut_down(&self) -> bool {
        match &self.inner {
            #[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
            Inner::Kernel(driver) => driver.is_shut_down(),
            Inner::UserSpace(driver) => driver.is_shut_down(),
        }
    }
}

/// What was chosen, and why, in a line.
impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.choice {
            #[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
            Choice::Kernel => f.write_str("SCTP from the kernel, which has it"),
            Choice::UserSpace(carrier) => write!(f, "SCTP in user space over {carrier}, as told"),
            Choice::Fallback(carrier, why) => {
                write!(f, "SCTP in user space over {carrier}, because {why}")
            }
        }
    }
}

#[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
fn kernel(config: &Config, seed: u64) -> io::Result<Driver> {
    let driver = sctp::Driver::new(config.clone(), seed)?;
    Ok(Driver { inner: Inner::Kernel(driver.into()), choice: Choice::Kernel })
}

#[cfg(not(all(target_os = "linux", feature = "sctp-kernel")))]
fn kernel(_: &Config, _: u64) -> io::Result<Driver> {
    let why = match cfg!(target_os = "linux") {
        true => "this was built without the kernel's (feature `sctp-kernel`)",
        false => "only Linux has SCTP in the kernel",
    };
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}
