//! Who there is in a simulation, and what can be wrong with them.

use alloc::format;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::ops::{Index, IndexMut};
use core::time::Duration;

use crate::wire::{ASAP_PORT, PeIdentifier, Protocol, ServerIdentifier, Transport, TransportUse};

/// Element number `n` lives at this address plus `n`.
const ELEMENTS: u32 = 0x0a00_0000; // 10.0.0.0
/// Registrar number `n` lives at this address plus `n`.
const REGISTRARS: u32 = 0xac10_0000; // 172.16.0.0
/// Pool user number `n` lives at this address plus `n`.
const USERS: u32 = 0xc0a8_0000; // 192.168.0.0
/// Where elements listen.
const ELEMENT_PORT: u16 = 7;
/// What pool users call from.
const USER_PORT: u16 = 49_152;

/// A host of a simulation: a pool user, a registrar or a pool element, each on a host of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Host {
    /// A pool user's.
    User(UserId),
    /// A registrar's.
    Registrar(ServerIdentifier),
    /// A pool element's.
    Element(PeIdentifier),
}

/// Names a pool user of a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub(super) u32);

/// What can be wrong with a registrar or an element, or be its manner. Of a pool user only
/// [`Cut`](Self::Cut) and [`Exhausted`](Self::Exhausted) can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The process is dead and its host is not: channels break, new ones are refused.
    Crash,
    /// The next message kills it; it is crashed from there on.
    Doomed,
    /// Every message kills it, and it is started again at once.
    Mortal,
    /// New channels are refused; those that are up go on.
    Refuse,
    /// Nothing gets to the host or away from it: what is sent is held until it can pass, or until
    /// the transport loses its [patience](super::Sim::set_patience).
    Cut,
    /// It takes channels and messages, and does nothing.
    Hang,
    /// It is not who it should be: new channels end for want of authentication.
    Impostor,
    /// Every answer comes this much later.
    Delay(Duration),
    /// Every answer comes twice.
    Repeat,
    /// A registrar lists the pools as they were when this began.
    Lag,
    /// A registrar answers requests with something else than the pool.
    Lie(Lie),
    /// It takes new channels and closes them in good order at once.
    Close,
    /// It takes new channels, and they break at once.
    Break,
    /// It says "good day" to whoever comes, and closes the channel in good order, as a service does
    /// that tells the time of day.
    Greet,
    /// It closes in good order what was not used for so long. Nothing is wrong with that.
    Tidy(Duration),
    /// The driver of a pool user lacks what it takes to open a channel: descriptors, or a route.
    Exhausted,
}

/// What a registrar that lies answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lie {
    /// That there is no such pool.
    UnknownPool,
    /// The pool under another name.
    WrongHandle,
    /// Neither elements nor an error, which is malformed (RFC 5352 §2.2.6).
    EmptyList,
    /// Elements that do not exist.
    Strangers,
    /// As many of those as a message can hold.
    Crowd,
    /// Random bytes.
    Garbage,
}

/// Hosts of one kind, by the numbers in their names: 1, 2, 3 …
#[derive(Debug)]
pub(super) struct Cast<T>(Vec<T>);

/// How a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) fault: Option<Fault>,
    pub(super) side: u8,
}

impl Host {
    /// Its number among its kind, from 1 on.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::User(user) => user.0,
            Self::Registrar(server) => server.get(),
            Self::Element(element) => element.get(),
        }
    }

    /// Where it is: registrars and elements where they listen, a pool user somewhere.
    #[must_use]
    pub fn socket_addr(self) -> SocketAddr {
        let (network, port) = match self {
            Self::User(_) => (USERS, USER_PORT),
            Self::Registrar(_) => (REGISTRARS, ASAP_PORT),
            Self::Element(_) => (ELEMENTS, ELEMENT_PORT),
        };
        (Ipv4Addr::from_bits(network.wrapping_add(self.number())), port).into()
    }

    /// Whom an address belongs to, if anybody is there.
    pub(super) fn at(transport: &Transport) -> Option<Self> {
        let IpAddr::V4(ip) = transport.socket_addrs().next()?.ip() else { return None };
        match ip.to_bits() {
            bits if bits >= REGISTRARS => {
                Some(Self::Registrar(ServerIdentifier::new(bits - REGISTRARS)))
            }
            bits => bits.checked_sub(ELEMENTS).map(|n| Self::Element(PeIdentifier::new(n))),
        }
    }
}

impl<T> Cast<T> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Takes in a host; its number.
    pub(super) fn add(&mut self, host: T) -> u32 {
        self.0.push(host);
        self.len()
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.0.get((number as usize).checked_sub(1)?)
    }
}

impl<T, N: Into<Host>> Index<N> for Cast<T> {
    type Output = T;

    fn index(&self, name: N) -> &T {
        &self.0[name.into().number() as usize - 1]
    }
}

impl<T, N: Into<Host>> IndexMut<N> for Cast<T> {
    fn index_mut(&mut self, name: N) -> &mut T {
        &mut self.0[name.into().number() as usize - 1]
    }
}

/// Where a registrar listens, over any transport.
pub(super) fn registrar_address(server: ServerIdentifier) -> SocketAddr {
    Host::from(server).socket_addr()
}

/// Where an element listens: by SCTP for data and control messages, by TCP for data.
pub(super) fn element_transport(identifier: PeIdentifier, protocol: Protocol) -> Transport {
    let at = Host::from(identifier).socket_addr();
    match protocol {
        Protocol::Tcp => Transport::tcp(at),
        _ => Transport::sctp(at.port(), TransportUse::DATA_PLUS_CONTROL, [at.ip()]),
    }
}

impl From<UserId> for Host {
    fn from(user: UserId) -> Self {
        Self::User(user)
    }
}

impl From<ServerIdentifier> for Host {
    fn from(server: ServerIdentifier) -> Self {
        Self::Registrar(server)
    }
}

impl From<PeIdentifier> for Host {
    fn from(element: PeIdentifier) -> Self {
        Self::Element(element)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::User(_) => "user",
            Self::Registrar(_) => "registrar",
            Self::Element(_) => "element",
        };
        f.pad(&format!("{kind} {}", self.number()))
    }
}
