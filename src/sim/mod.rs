//! A deterministic simulator: registrars, pool elements and pool users in virtual time, with
//! everything that can go wrong between them.
//!
//! It exists to test failover. [`PoolUser`]s in it are the real ones, driven through the same public
//! calls that any driver uses; around them, a network, registrars and elements are made of numbers.
//! A simulated minute takes microseconds, and a run follows from its seed to the last byte: one
//! that went wrong can be repeated, and [`Sim::hash`] tells two runs apart.
//!
//! An application under test is a loop. [`Sim::call`] hands a pool user and the time to it for its
//! commands; [`Sim::next`] lets time pass until a pool user has something to tell, or until a point
//! in time that the application chooses. In between, faults are calls: [`Sim::fail`],
//! [`Sim::heal`], [`Sim::sever`], [`Sim::leave`]. When they come is for the loop to say.
//!
//! ```
//! use core::time::Duration;
//!
//! use asap_pu::sim::{Fault, Sim};
//! use asap_pu::wire::Policy;
//! use asap_pu::{Event, Failover, SessionOptions};
//!
//! let mut sim = Sim::new(7);
//! sim.registrar();
//! let [a, b] = [(), ()].map(|()| sim.element("EchoPool", Policy::RoundRobin));
//! let user = sim.user(sim.config())?;
//! let session =
//!     sim.call(user, |pu, now| pu.open_session(now, "EchoPool", SessionOptions::default()))?;
//!
//! let until = sim.now() + Duration::from_secs(10);
//! while let Some((_, event)) = sim.next(until) {
//!     match event {
//!         Event::Connected { element, .. } => {
//!             assert_eq!(element, Some(a));
//!             sim.fail(a, Fault::Crash);
//!         }
//!         Event::FailedOver { from, to, .. } => {
//!             assert_eq!((from, to), (Some(a), b));
//!             sim.call(user, |pu, now| {
//!                 pu.session_mut(now, session).unwrap().send("hello", Failover::Unconfirmed)
//!             })?;
//!         }
//!         Event::Received { element, data, .. } => {
//!             assert_eq!((element, &data[..]), (Some(b), &b"hello"[..]));
//!         }
//!         _ => {}
//!     }
//! }
//! assert_eq!((sim.served(a), sim.served(b)), (0, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is simulated
//!
//! * The *network* behaves as SCTP does: messages arrive whole, once
//!   and in order, after a time that varies. Over TCP what peers say is a stream of bytes, cut anywhere and
//!   put together anywhere. A host that is cut off keeps everybody waiting; a
//!   channel breaks when something could not pass for as long as its transport has patience.
//! * *Registrars* share one handlespace, as those that speak ENRP do (RFC 5353). They look after an
//!   element half a minute after it failed or when it was reported three times, and strike it off
//!   if it does not answer. Each answer begins with another element of the list. They give no updates
//!   to subscribers, as real ones do not, unless [`Sim::grant_updates`] has been called.
//! * *Elements* run a [`Service`] and leave the state of a session with its user in cookies, on a
//!   control channel beside the data (RFC 5352 §3.8). Without a service of their own they echo. Those of
//!   a pool that [listens on TCP](Sim::listen_on_tcp) have no control channel; each message of a user is
//!   taken to be whole for them, as a service finds out by itself.
//!
//! It is for tests of what comes of a failure in the end. A test of single messages, such as those in
//! the crate's own `tests/`, is told better with peers that the test plays by hand.
//!
//! Names say where things are found again: an element is known by its [`PeIdentifier`], which
//! events carry, and a registrar by its [`ServerIdentifier`].
//!
//! # Panics
//!
//! Methods panic where they are given a name from another simulation, and [`Sim::next`] where a pool
//! user notes a mistake of its driver ([`Sim::set_strict`]); a test wants to know.

mod element;
mod host;
mod network;
mod registrar;
mod transcript;
mod user;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::time::Duration;

pub use element::Service;
pub use host::{Fault, Host, Lie, UserId};
pub use transcript::{Record, What};

use crate::slab::{Key, Slab};
use crate::wire::{PeIdentifier, PoolHandle, Protocol, ServerIdentifier};
use crate::{
    Capabilities, CloseReason, Config, ConfigError, Confirms, Event, Instant, PoolUser, Rng,
};
use element::Element;
use host::{Cast, Place};
use network::{Link, Network, Packet, Way};
use registrar::{Handlespace, Registrar};
use transcript::Transcript;
use user::User;

/// A world of pool users, registrars and elements. See the [module](self).
#[derive(Debug)]
pub struct Sim {
    now: Instant,
    rng: Rng,
    /// What is to happen when; the number keeps what is due at the same time in order.
    queue: BTreeMap<(Instant, u64), Occurrence>,
    queued: u64,
    users: Cast<User>,
    /// Users that may have actions, events or another deadline.
    touched: VecDeque<UserId>,
    registrars: Cast<Registrar>,
    announces: bool,
    grants: bool,
    lenient: bool,
    handlespace: Handlespace,
    elements: Cast<Element>,
    services: BTreeMap<PoolHandle, Service>,
    /// The pools whose elements listen on TCP.
    tcp_pools: BTreeSet<PoolHandle>,
    links: Slab<Link>,
    network: Network,
    transcript: Transcript,
    strict: bool,
}

/// What is to happen.
#[derive(Debug)]
enum Occurrence {
    /// A user's deadline may have come.
    Wake(UserId),
    /// An attempt to set up a channel arrives.
    Call(Key),
    /// The user learns what became of it.
    Settled(Key, Result<(), CloseReason>),
    /// What is at the head of a pipe arrives.
    Carry(Key, Way),
    /// A delayed answer leaves.
    Say(Key, Packet),
    /// A registrar announces itself.
    Announce(ServerIdentifier),
    /// Registrars look after an element that failed at that time.
    KeepAlive(PeIdentifier, Instant),
    /// A peer looks whether a channel is still used.
    TidyUp(Key),
}

/// What the driver of every pool user in it can do.
const CAPABILITIES: Capabilities = Capabilities::NONE
    .with_registrars(Protocol::Sctp)
    .with_registrars(Protocol::Tcp)
    .with_authentication();

/// The world and its users.
impl Sim {
    /// An empty world at [`Instant::EPOCH`]. Everything that is left to chance follows from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            now: Instant::EPOCH,
            rng: Rng::new(seed),
            queue: BTreeMap::new(),
            queued: 0,
            users: Cast::new(),
            touched: VecDeque::new(),
            registrars: Cast::new(),
            announces: false,
            grants: false,
            lenient: false,
            handlespace: Handlespace::new(),
            elements: Cast::new(),
            services: BTreeMap::new(),
            tcp_pools: BTreeSet::new(),
            links: Slab::new(),
            network: Network::new(),
            transcript: Transcript::new(),
            strict: true,
        }
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// A number that stands for everything that has happened: every action, input, event and fault,
    /// with its time. Two runs with the same hash were, in all likelihood, the same.
    ///
    /// It is no protection against anyone who looks for two runs with the same hash.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.transcript.hash()
    }

    /// Tells everything that happens from here on, and what the pool users note of their reasons: each record
    /// displays as a line. Nothing else changes.
    pub fn log(&mut self, sink: impl FnMut(&Record<'_>) + Send + 'static) {
        self.transcript.log(Box::new(sink));
    }

    /// Whether to panic on the first [`Misuse`](crate::Misuse) of a pool user. Its driver here is clean,
    /// so that only a command in [`call`](Self::call) can be at fault, such as one with another time, or
    /// one of the `handle_` methods, which are not for commands. Default: yes.
    pub const fn set_strict(&mut self, strict: bool) {
        self.strict = strict;
    }

    /// The default configuration for a pool user that knows all registrars there are, by SCTP.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config_over(Protocol::Sctp)
    }

    /// The same by TCP, or by SCTP if it is anything else.
    #[must_use]
    pub fn config_over(&self, protocol: Protocol) -> Config {
        let registrars = (1..=self.registrars.len()).map(ServerIdentifier::new);
        let known = |server| match protocol {
            Protocol::Tcp => self.registrar_at_tcp(server),
            _ => self.registrar_at(server),
        };
        let mut config = Config::default();
        config.discovery.registrars = registrars.map(known).collect();
        config
    }

    /// A pool user, with a host of its own and a driver that speaks SCTP and tells nothing of what
    /// it sends.
    ///
    /// # Errors
    /// The configuration contradicts itself.
    pub fn user(&mut self, config: Config) -> Result<UserId, ConfigError> {
        self.user_that_confirms(config, Confirms::Nothing)
    }

    /// The same with a driver that tells what becomes of each message.
    ///
    /// # Errors
    /// The configuration contradicts itself.
    pub fn user_that_confirms(
        &mut self,
        config: Config,
        confirms: Confirms,
    ) -> Result<UserId, ConfigError> {
        self.user_with(config, CAPABILITIES.with_elements(Protocol::Sctp, confirms))
    }

    /// The same with a driver that can do what you say, which may be what your own can do: what it tells
    /// of each message, and whether it speaks TCP or SCTP with registrars and elements.
    ///
    /// # Errors
    /// The configuration contradicts itself, or what the driver can do.
    pub fn user_with(
        &mut self,
        config: Config,
        capabilities: Capabilities,
    ) -> Result<UserId, ConfigError> {
        let pool_user = PoolUser::new(config, capabilities, self.rng.next_u64())?;
        let (place, channels) = (Place::default(), BTreeMap::new());
        let user = User { pool_user, place, channels, wakes: None, touched: false };
        Ok(UserId(self.users.add(user)))
    }

    /// A pool user, to look at.
    #[must_use]
    pub fn pool_user(&self, user: UserId) -> &PoolUser {
        &self.users[user].pool_user
    }

    /// A pool user and the time, for commands. What follows from them happens in [`Sim::next`].
    pub fn call<R>(
        &mut self,
        user: UserId,
        commands: impl FnOnce(&mut PoolUser, Instant) -> R,
    ) -> R {
        let called = &mut self.users[user];
        if !core::mem::replace(&mut called.touched, true) {
            self.touched.push_back(user);
        }
        commands(&mut called.pool_user, self.now)
    }

    /// When something happens next by itself, if anything does; at once while commands are to be carried
    /// out.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.touched.is_empty() {
            false => Some(self.now),
            true => self.queue.first_key_value().map(|((at, _), _)| *at),
        }
    }

    /// Lets time pass until a pool user has something to tell its application, at `until` at the
    /// latest; `None` where nobody has, and it is then `until`.
    pub fn next(&mut self, until: Instant) -> Option<(UserId, Event)> {
        loop {
            while let Some(&user) = self.touched.front() {
                self.read_notes(user);
                self.carry_out(user);
                self.read_notes(user);
                if let Some(event) = self.users[user].pool_user.poll_event() {
                    self.note(user, None, &What::Told(&event));
                    return Some((user, event));
                }
                self.touched.pop_front();
                self.users[user].touched = false;
                self.set_alarm(user);
            }
            match self.queue.first_entry().filter(|first| first.key().0 <= until) {
                Some(first) => {
                    let ((at, _), occurrence) = first.remove_entry();
                    self.now = at;
                    self.happen(occurrence);
                }
                None => {
                    self.now = self.now.max(until);
                    return None;
                }
            }
        }
    }
}

/// What goes wrong, and right again.
impl Sim {
    /// Something is wrong with a host, in place of what was wrong before.
    pub fn fail(&mut self, host: impl Into<Host>, fault: Fault) {
        let host = host.into();
        self.note(host, None, &What::Fails(fault));
        self.place_mut(host).fault = Some(fault);
        match host {
            Host::User(_) => {}
            Host::Registrar(server) => self.mind(server),
            Host::Element(element) => {
                self.elements[element].failed = self.now;
                self.expect_keep_alive(element);
            }
        }
        match fault {
            Fault::Crash => self.break_links_of(host),
            Fault::Tidy(_) => self.links_of(host).into_iter().for_each(|link| self.tidy_up(link)),
            _ => {}
        }
    }

    /// Nothing is wrong with a host any more. An element that was struck off joins its pool again,
    /// unless it had left.
    pub fn heal(&mut self, host: impl Into<Host>) {
        let host = host.into();
        self.note(host, None, &What::Heals);
        self.place_mut(host).fault = None;
        match host {
            Host::User(_) => {}
            Host::Registrar(server) => self.mind(server),
            Host::Element(element) => self.register(element),
        }
    }

    /// Two hosts hear nothing of each other, as if either were [cut off](Fault::Cut) from the
    /// other.
    pub fn sever(&mut self, one: impl Into<Host>, other: impl Into<Host>) {
        let (one, other) = (one.into(), other.into());
        self.note(one, Some(other), &What::Severed);
        self.network.severed.insert((one.min(other), one.max(other)));
    }

    /// Two hosts hear each other again.
    pub fn mend(&mut self, one: impl Into<Host>, other: impl Into<Host>) {
        let (one, other) = (one.into(), other.into());
        self.note(one, Some(other), &What::Mended);
        self.network.severed.remove(&(one.min(other), one.max(other)));
    }

    /// Puts a host on a side of a partition. Hosts on different sides hear nothing of each other;
    /// all begin on side 0. Registrars agree with each other all the same.
    pub fn set_side(&mut self, host: impl Into<Host>, side: u8) {
        let host = host.into();
        self.note(host, None, &What::Moves(side));
        self.place_mut(host).side = side;
    }

    /// The shortest and the longest time that a message is on its way. Default: 1 and 20 ms.
    pub fn set_latency(&mut self, least: Duration, most: Duration) {
        self.network.latency = (least, most);
    }

    /// How long a transport holds what cannot pass before its channel breaks. Default: 10 s.
    pub fn set_patience(&mut self, patience: Duration) {
        self.network.patience = patience;
    }

    /// Whether a registrar or an element would do its work for a pool user that turned to it anew:
    /// they hear each other, and nothing worse is wrong with it than that its answers are late,
    /// repeated or old, or that it closes what is not used.
    #[must_use]
    pub fn serves(&self, host: impl Into<Host>, user: UserId) -> bool {
        let host = host.into();
        let fault = self.place(host).and_then(|place| place.fault);
        self.can_hear(user, host)
            && matches!(
                fault,
                None | Some(Fault::Delay(_) | Fault::Repeat | Fault::Lag | Fault::Tidy(_))
            )
    }
}

impl Sim {
    fn later(&mut self, after: Duration, what: Occurrence) {
        self.queued += 1;
        self.queue.insert((self.now + after, self.queued), what);
    }

    fn happen(&mut self, what: Occurrence) {
        match what {
            Occurrence::Wake(user) => self.wake(user),
            Occurrence::Call(link) => self.called(link),
            Occurrence::Settled(link, outcome) => self.settled(link, outcome),
            Occurrence::Carry(link, way) => self.carry(link, way),
            Occurrence::Say(link, packet) => self.push(link, Way::ToUser, packet),
            Occurrence::Announce(server) => self.announced(server),
            Occurrence::KeepAlive(element, since) => self.keep_alive(element, since),
            Occurrence::TidyUp(link) => self.tidy_up(link),
        }
    }

    fn note(&mut self, who: impl Into<Host>, with: Option<Host>, what: &What<'_>) {
        let record = Record { at: self.now, host: who.into(), with, what: *what };
        self.transcript.record(&record);
    }

    fn place(&self, host: Host) -> Option<&Place> {
        match host {
            Host::User(user) => self.users.get(user.0).map(|user| &user.place),
            Host::Registrar(server) => self.registrars.get(server.get()).map(|found| &found.place),
            Host::Element(element) => self.elements.get(element.get()).map(|found| &found.place),
        }
    }

    fn place_mut(&mut self, host: Host) -> &mut Place {
        match host {
            Host::User(user) => &mut self.users[user].place,
            Host::Registrar(server) => &mut self.registrars[server].place,
            Host::Element(element) => &mut self.elements[element].place,
        }
    }

    /// Whether anything gets from one host to another.
    fn can_hear(&self, one: impl Into<Host>, other: impl Into<Host>) -> bool {
        let (one, other) = (one.into(), other.into());
        let (Some(a), Some(b)) = (self.place(one), self.place(other)) else { return false };
        a.side == b.side
            && ![a.fault, b.fault].contains(&Some(Fault::Cut))
            && !self.network.severed.contains(&(one.min(other), one.max(other)))
    }
}
