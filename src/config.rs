//! Every timer, limit and choice, by the name the RFCs give it where they give one.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use thiserror::Error;

use crate::wire::{PeIdentifier, PoolHandle, Protocol, Transport, TransportUse};

/// How a [`PoolUser`](crate::PoolUser) behaves.
///
/// Start from [`Config::default`] and change what differs; [`PoolUser::new`](crate::PoolUser::new) refuses a
/// configuration that contradicts itself.
///
/// ```
/// use asap_pu::{Config, Registrar};
///
/// let mut config = Config::default();
/// config.registrars.push(Registrar::tcp("192.0.2.1:3863".parse().unwrap()));
/// assert_eq!(config.validate(), Ok(()));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Registrars known from the start; they are never aged out (RFC 5352 §3.6).
    pub registrars: Vec<Registrar>,
    /// Whether registrars announced by multicast are taken into the list. Announces are not authenticated
    /// (RFC 5355 §2.12). Default: yes.
    pub accept_announces: bool,
    /// How many announced addresses are kept at most; a full list turns newcomers away. Default: 64.
    pub max_announced: usize,
    /// The transports over which the driver can reach a registrar; others are never tried. Default: SCTP and TCP.
    pub registrar_protocols: Protocols,
    /// The transports over which the driver can reach a pool element; elements with others are passed over.
    /// Default: SCTP and TCP.
    pub element_protocols: Protocols,
    /// Transports, besides SCTP, whose mapping by the driver tells control messages from data, so that cookies
    /// and business cards can travel (RFC 5352 §3.8). RFC 5354 §3.5 forbids it for plain TCP. Default: none.
    pub control_mapping: Protocols,
    /// Refuse registrars that the driver did not authenticate (RFC 5352 §9.2). Default: no.
    pub authenticated_only: bool,
    /// How long a registrar that failed authentication is left alone. Default: 10 minutes.
    pub bar_time: Duration,

    /// T1-ENRPrequest: how long a registrar has for an answer. Default: 15 s.
    pub t1_request: Duration,
    /// MAX-REQUEST-RETRANSMIT: how often a request is repeated after its first sending. Default: 2.
    pub max_request_retransmit: u32,
    /// T5-Serverhunt: how long the first round of a hunt lasts; each further one lasts twice as long.
    /// Default: 10 s.
    pub t5_hunt: Duration,
    /// RETRAN.max: the longest that T5 grows to. Default: 60 s.
    pub t5_max: Duration,
    /// T7-ENRPoutdate: how long an announced address is believed. Registrars announce every (N+1) seconds where
    /// they know N others, so raise it where there are more than a few. Default: 5 s.
    pub t7_outdate: Duration,
    /// How long a request waits for an announce where no registrar is known. Default: 5 s.
    pub announce_wait: Duration,
    /// How long a request may take in all, hunting included. Default: 60 s.
    pub request_deadline: Duration,
    /// How many elements a resolution asks for (parameter 0x803f; `None` leaves it out, and real registrars then
    /// list three). Default: 128.
    pub elements_wanted: Option<u32>,

    /// stale_cache_value: how long a resolved pool counts as fresh (RFC 5352 §7.2); zero means never.
    /// Default: 30 s.
    pub stale_cache_value: Duration,
    /// What becomes of an asker who meets a stale pool (RFC 5352 §3.3 C3). Default: served at once.
    pub stale_answers: StaleAnswers,
    /// How many pools are kept. Default: 1,024.
    pub max_pools: usize,
    /// How many elements of a pool are kept; the first ones of the list count. Default: 1,024.
    pub max_elements: usize,
    /// The longest pool handle in bytes; real registrars end at more than 32. Default: 32.
    pub max_handle_len: usize,
    /// How many resolutions may be asked for and not yet told to the application. Default: 65,536.
    pub max_requests: usize,

    /// How long an element found unreachable is passed over. Default: 60 s.
    pub failure_mark: Duration,
    /// How many unreachable reports are sent in a second at most (RFC 5355 §2.13). Default: 10.
    pub max_reports_per_second: u32,
    /// How many reports wait for a registrar at most. Default: 64.
    pub max_pending_reports: usize,

    /// How many sessions may exist. Default: 65,536.
    pub max_sessions: usize,
    /// How many messages a session queues. Default: 256.
    pub max_queued_messages: usize,
    /// How many bytes a session queues. Default: 1 MiB.
    pub max_queued_bytes: usize,
    /// The longest cookie in bytes that is stored. Default: 4,096.
    pub max_cookie_len: usize,
    /// How long the channel to an element may take to come up. Default: 5 s.
    pub connect_timeout: Duration,
    /// How many elements a session tries before it gives up, in one failover. Default: 16.
    pub max_attempts: u32,
    /// How long a session looks for an element before it gives up. Default: 60 s.
    pub session_deadline: Duration,
    /// How long a session pauses when it has tried every element of the pool; the pause doubles with each
    /// further round. Default: 1 s.
    pub session_backoff: Duration,
    /// How many failovers may begin within `failover_spread` without delay. Default: 64.
    pub failover_burst: u32,
    /// The longest that a failover beyond the burst is put off, so that the sessions which one element leaves behind
    /// do not all come to the next at the same instant; zero puts none off. Default: 1 s.
    pub failover_spread: Duration,

    /// The transports over which the driver tells what became of each message, by
    /// [`handle_delivered`](crate::PoolUser::handle_delivered) and [`handle_unsent`](crate::PoolUser::handle_unsent).
    /// Messages on them are kept until then. SCTP can tell, TCP cannot. Default: none.
    pub confirms_delivery: Protocols,
    /// Whether the driver confirms what it has written, by [`handle_written`](crate::PoolUser::handle_written). Without
    /// that, a message counts as written when the driver polls for the next action, so that a driver which cannot
    /// write is one that does not poll. Default: no.
    pub confirms_writes: bool,
    /// How many messages may be handed over on one channel and not yet be confirmed as written. Default: 64.
    pub window_messages: usize,
    /// How many bytes likewise; a longer message goes alone. Default: 256 KiB.
    pub window_bytes: usize,

    /// The pool element that this node is as well, if it is one (RFC 5352 §3.9).
    pub identity: Option<Identity>,
    /// Whether elements that only a business card lists may be used, at the addresses in the card. Whoever sends a card
    /// can then send this user anywhere. Default: no.
    pub trust_card_addresses: bool,
    /// How many elements of a business card are heeded; the first ones count. Default: 32.
    pub max_card_elements: usize,

    /// How many bytes of received data wait for the application; more is dropped, counted and told.
    /// Default: 16 MiB.
    pub max_unread_bytes: usize,
    /// The longest message taken from a registrar's byte stream. Default: 65,535, the longest there is.
    pub max_message_len: usize,
    /// How many control messages wait on one channel for a driver that does not poll; more are dropped and counted.
    /// Default: 65,536.
    pub max_waiting_control: usize,
    /// How many ASAP_ERROR messages answer one channel in ten seconds at most. Default: 4.
    pub max_error_reports: u32,
}

/// One registrar's address, and what it takes to trust it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registrar {
    /// Where it listens: SCTP or TCP.
    pub transport: Transport,
    /// How the channel to it is secured.
    pub security: Security,
}

/// What a node is called as a pool element, where it is one besides being a pool user.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The pool it belongs to.
    pub handle: PoolHandle,
    /// Its identifier there.
    pub identifier: PeIdentifier,
}

/// How a channel is to be secured (RFC 5352 §9.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Security {
    /// Not at all.
    #[default]
    None,
    /// TLS, the peer's certificate checked against this reference identity (a DNS name or an address).
    Tls {
        /// What the certificate must stand for.
        identity: Box<str>,
    },
}

/// Whether a stale pool is used while it is refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StaleAnswers {
    /// The asker gets what is there, marked as stale, and a refresh is sent beside it.
    #[default]
    Served,
    /// The asker waits for the refresh.
    Withheld,
}

/// A set of transport protocols.
///
/// ```
/// use asap_pu::{Protocols, wire::Protocol};
///
/// let spoken = Protocols::NONE.with(Protocol::Tcp);
/// assert!(spoken.contains(Protocol::Tcp) && !spoken.contains(Protocol::Sctp));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Protocols(u8);

/// Why a [`Config`] was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no registrar, and none may announce itself.
    #[error("registrars: none is configured and accept_announces is off")]
    NoRegistrar,
    /// A registrar has a transport that no registrar uses, that the driver does not speak, or without address.
    #[error("registrars: number {0} has no transport that can be used")]
    UnusableRegistrar(usize),
    /// A limit or time that must not be zero is.
    #[error("{0}: must not be zero")]
    Zero(&'static str),
    /// One field is over what another one allows.
    #[error("{0}: must not be greater than {1}")]
    Exceeds(&'static str, &'static str),
}

impl Default for Config {
    fn default() -> Self {
        let secs = Duration::from_secs;
        let reliable = Protocols::NONE.with(Protocol::Sctp).with(Protocol::Tcp);
        Self {
            registrars: Vec::new(),
            accept_announces: true,
            max_announced: 64,
            registrar_protocols: reliable,
            element_protocols: reliable,
            control_mapping: Protocols::NONE,
            authenticated_only: false,
            bar_time: secs(600),
            t1_request: secs(15),
            max_request_retransmit: 2,
            t5_hunt: secs(10),
            t5_max: secs(60),
            t7_outdate: secs(5),
            announce_wait: secs(5),
            request_deadline: secs(60),
            elements_wanted: Some(128),
            stale_cache_value: secs(30),
            stale_answers: StaleAnswers::Served,
            max_pools: 1_024,
            max_elements: 1_024,
            max_handle_len: 32,
            max_requests: 65_536,
            failure_mark: secs(60),
            max_reports_per_second: 10,
            max_pending_reports: 64,
            max_sessions: 65_536,
            max_queued_messages: 256,
            max_queued_bytes: 1 << 20,
            max_cookie_len: 4_096,
            connect_timeout: secs(5),
            max_attempts: 16,
            session_deadline: secs(60),
            session_backoff: secs(1),
            failover_burst: 64,
            failover_spread: secs(1),
            confirms_delivery: Protocols::NONE,
            confirms_writes: false,
            window_messages: 64,
            window_bytes: 256 << 10,
            identity: None,
            trust_card_addresses: false,
            max_card_elements: 32,
            max_unread_bytes: 16 << 20,
            max_message_len: 65_535,
            max_waiting_control: 65_536,
            max_error_reports: 4,
        }
    }
}

impl Config {
    /// Says which field contradicts which, if any does.
    ///
    /// # Errors
    /// The first contradiction found, by field.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.registrars.is_empty() && !self.accept_announces {
            return Err(ConfigError::NoRegistrar);
        }
        if let Some(n) = self.registrars.iter().position(|r| !self.can_reach(&r.transport)) {
            return Err(ConfigError::UnusableRegistrar(n));
        }
        let times = [
            (self.t1_request, "t1_request"),
            (self.t5_hunt, "t5_hunt"),
            (self.t7_outdate, "t7_outdate"),
            (self.request_deadline, "request_deadline"),
            (self.connect_timeout, "connect_timeout"),
            (self.session_deadline, "session_deadline"),
            (self.session_backoff, "session_backoff"),
        ];
        let limits = [
            (self.max_pools, "max_pools"),
            (self.max_elements, "max_elements"),
            (self.max_handle_len, "max_handle_len"),
            (self.max_requests, "max_requests"),
            (self.max_queued_messages, "max_queued_messages"),
            (self.max_message_len, "max_message_len"),
            (self.window_messages, "window_messages"),
            (self.identity.as_ref().map_or(1, |own| own.handle.len()), "identity"),
        ];
        let zero = times.iter().find(|(time, _)| time.is_zero()).map(|(_, name)| *name);
        let zero = zero.or_else(|| limits.iter().find(|(n, _)| *n == 0).map(|(_, name)| *name));
        if let Some(name) = zero {
            return Err(ConfigError::Zero(name));
        }
        if self.max_attempts == 0 {
            return Err(ConfigError::Zero("max_attempts"));
        }
        if self.identity.as_ref().is_some_and(|own| own.handle.len() > self.max_handle_len) {
            return Err(ConfigError::Exceeds("identity", "max_handle_len"));
        }
        if self.t5_hunt > self.t5_max {
            return Err(ConfigError::Exceeds("t5_hunt", "t5_max"));
        }
        Ok(())
    }

    /// Whether a registrar at `transport` is worth a try (HUNT-8, HUNT-15).
    pub(crate) fn can_reach(&self, transport: &Transport) -> bool {
        let addressed = match transport {
            Transport::Sctp(sctp) => !sctp.addresses.is_empty(),
            Transport::Tcp(_) => true,
            _ => false,
        };
        addressed && self.registrar_protocols.contains(transport.protocol())
    }

    /// Whether anything at `transport` can be called as a pool element is.
    pub(crate) fn can_call(&self, transport: &Transport) -> bool {
        let addressed = match transport {
            Transport::Opaque(data) => !data.is_empty(),
            addressed => addressed.socket_addrs().next().is_some(),
        };
        addressed && self.element_protocols.contains(transport.protocol())
    }
}

impl Registrar {
    /// A registrar that listens on TCP, its channel not secured.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self::new(Transport::tcp(address))
    }

    /// A registrar that listens on SCTP at one or more addresses, its channel not secured.
    #[must_use]
    pub fn sctp(port: u16, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self::new(Transport::sctp(port, TransportUse::DATA_ONLY, addresses))
    }

    /// The same registrar with TLS, authenticated as `identity`. The customary port is
    /// [`ASAP_TLS_PORT`](crate::wire::ASAP_TLS_PORT).
    #[must_use]
    pub fn with_tls(self, identity: &str) -> Self {
        Self { security: Security::Tls { identity: identity.into() }, ..self }
    }

    pub(crate) fn new(transport: Transport) -> Self {
        Self { transport, security: Security::None }
    }
}

impl Identity {
    /// The element `identifier` of the pool `handle`.
    #[must_use]
    pub fn new(handle: impl Into<PoolHandle>, identifier: PeIdentifier) -> Self {
        Self { handle: handle.into(), identifier }
    }
}

impl Protocols {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// This set and `protocol`.
    #[must_use]
    pub const fn with(self, protocol: Protocol) -> Self {
        Self(self.0 | 1 << protocol as u8)
    }

    /// Whether `protocol` is in the set.
    #[must_use]
    pub const fn contains(self, protocol: Protocol) -> bool {
        self.0 & 1 << protocol as u8 != 0
    }
}

impl From<Protocol> for Protocols {
    fn from(protocol: Protocol) -> Self {
        Self::NONE.with(protocol)
    }
}

impl fmt::Debug for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            Protocol::Dccp,
            Protocol::Sctp,
            Protocol::Tcp,
            Protocol::Udp,
            Protocol::UdpLite,
            Protocol::Opaque,
        ];
        f.debug_set().entries(all.into_iter().filter(|p| self.contains(*p))).finish()
    }
}
