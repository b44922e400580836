//! Every timer, limit and choice, by the name the RFCs give it where they give one.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use thiserror::Error;

use crate::reach::Origin;
use crate::selection::CustomPolicy;
use crate::wire::{
    ASAP_PORT, ASAP_TLS_PORT, PeIdentifier, PolicyType, PoolHandle, Protocol, Transport,
    TransportUse,
};

/// What [`Protocols`] may contain.
const ALL_PROTOCOLS: [Protocol; 6] = [
    Protocol::Dccp,
    Protocol::Sctp,
    Protocol::Tcp,
    Protocol::Udp,
    Protocol::UdpLite,
    Protocol::Opaque,
];

/// How a [`PoolUser`](crate::PoolUser) behaves.
///
/// Start from [`Config::default`] and change what differs; [`PoolUser::new`](crate::PoolUser::new)
/// refuses a configuration that contradicts itself.
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
    /// How many registrars may be in the list for good, configured or added (HUNT-16). Default: 256.
    pub max_registrars: usize,
    /// Whether registrars announced by multicast are taken into the list. Announces are not
    /// authenticated (RFC 5355 §2.12). Default: yes.
    pub accept_announces: bool,
    /// How many announced addresses are kept at most; a full list turns newcomers away. Default:
    /// 64.
    pub max_announced: usize,
    /// How channels to announced registrars are secured; their identity cannot come from the
    /// announce, which is not authenticated. Default: not at all.
    pub announced_security: Security,
    /// Whether an announced registrar without TLS may become the home although every configured one
    /// demands it. Whoever can send a datagram can then be the home (RFC 5352 §9.2). Default: no.
    pub announced_unsecured: bool,
    /// The transports over which the driver can reach a registrar; others are never tried.
    /// Default: SCTP and TCP.
    pub registrar_protocols: Protocols,
    /// The transports over which the driver can reach a pool element; elements with others are
    /// passed over. Default: SCTP and TCP.
    pub element_protocols: Protocols,
    /// Transports, besides SCTP, whose mapping by the driver tells control messages from data, so
    /// that cookies and business cards can travel (RFC 5352 §3.8). RFC 5354 §3.5 forbids it
    /// for plain TCP. Default: none.
    pub control_mapping: Protocols,
    /// Refuse every registrar that the driver did not authenticate (RFC 5352 §9.2), not only those
    /// with [`Security::Tls`]. Default: no.
    pub authenticated_only: bool,
    /// How long a registrar that failed authentication is left alone; announces do not shorten it.
    /// Default: 10 minutes.
    pub bar_time: Duration,
    /// How many such registrars are remembered; beyond that the oldest is forgotten. Default: 64.
    pub max_barred: usize,

    /// T1-ENRPrequest: how long a registrar has for an answer. Default: 15 s.
    pub t1_request: Duration,
    /// MAX-REQUEST-RETRANSMIT: how often a request is repeated after its first sending. Default:
    /// 2.
    pub max_request_retransmit: u32,
    /// T5-Serverhunt: how long the first round of a hunt lasts; each further one lasts twice as
    /// long. Default: 10 s.
    pub t5_hunt: Duration,
    /// RETRAN.max: the longest that T5 grows to. Default: 60 s.
    pub t5_max: Duration,
    /// T7-ENRPoutdate: how long an announced address is believed. Registrars announce every (N+1)
    /// seconds where they know N others, so raise it where there are more than a few. Default:
    /// 5 s.
    pub t7_outdate: Duration,
    /// How long a request waits for an announce where no registrar is known. Default: 5 s.
    pub announce_wait: Duration,
    /// How long a request may take in all, hunting included. Default: 60 s.
    pub request_deadline: Duration,
    /// How long the same pool handle is not asked for again, whatever came of it the last time:
    /// who asks earlier waits for the rest of it (RFC 3237 §2.5). Default: 500 ms, less than a
    /// session pauses.
    pub resolution_interval: Duration,
    /// How long a registrar that has become the home may be wrong when it says that there is no such
    /// pool: within that time, a pool that was known is kept as stale and asked for again. One that
    /// was just started knows nothing for a while. Zero: it is believed at once. Default: 30 s.
    pub registrar_grace: Duration,
    /// How long a pool whose updates were granted is taken to be up to date without a word from the
    /// registrar; then it is asked again. Default: 5 minutes.
    pub subscription_check: Duration,
    /// How many requests that nobody waits for (subscriptions that ask again, or ask a new home) are
    /// sent in a second at most (RFC 3237 §2.5). Default: 50.
    pub max_requests_per_second: u32,
    /// How many pools may be subscribed to. Default: 1,024.
    pub max_subscriptions: usize,
    /// How many elements a resolution asks for (parameter 0x803f; `None` leaves it out, and real
    /// registrars then list three). Default: 128.
    pub elements_wanted: Option<u32>,

    /// stale_cache_value: how long a resolved pool counts as fresh (RFC 5352 §7.2); zero means
    /// never. Default: 30 s.
    pub stale_cache_value: Duration,
    /// What becomes of an asker who meets a stale pool (RFC 5352 §3.3 C3). Default: served at
    /// once.
    pub stale_answers: StaleAnswers,
    /// How long it is remembered that a registrar does not know a pool handle; zero means not at
    /// all. Default: 0.
    pub negative_cache_value: Duration,
    /// How many pools are kept, and how many unknown handles. Default: 1,024.
    pub max_pools: usize,
    /// How many bytes the lists of all pools may take; the pools used the longest ago make room.
    /// Default: 64 MiB.
    pub max_cache_bytes: usize,
    /// How many elements of a pool are kept; the first ones of the list count. Default: 1,024.
    pub max_elements: usize,
    /// The longest pool handle in bytes; real registrars end at more than 32. Default: 32.
    pub max_handle_len: usize,
    /// How many resolutions may be asked for and not yet told to the application. Default: 65,536.
    pub max_requests: usize,

    /// Policies of the user's own, for types that this crate does not know (RFC 5356 §7.1), each
    /// with what makes one for a pool. Pools with other unknown policies are served in the
    /// registrar's order. Default: none.
    pub custom_policies: Vec<(PolicyType, MakePolicy)>,
    /// How long an element found unreachable is passed over. Default: 60 s.
    pub failure_mark: Duration,
    /// How many unreachable reports are sent in a second at most (RFC 5355 §2.13). Default: 10.
    pub max_reports_per_second: u32,
    /// How long the same element is not reported again, also if it was reached in between.
    /// Default: 1 s.
    pub report_interval: Duration,
    /// How many reports wait for a registrar at most; with zero none is ever sent. Default: 64.
    pub max_pending_reports: usize,
    /// How long a report waits for a registrar; an older one says nothing about the present.
    /// Default: 60 s.
    pub report_age: Duration,

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
    /// How long a channel to an element has to last until it counts as one that serves, also if
    /// nothing is heard on it; until then the search that led to it goes on where it was if it
    /// ends. Default: 10 s.
    pub stable_after: Duration,
    /// How often a session tries every element of the pool in one search before it gives up.
    /// Default: 16.
    pub max_rounds: u32,
    /// How long a session looks for an element before it gives up, and how long one message waits
    /// for an element in all, however often it was put back. Default: 60 s.
    pub session_deadline: Duration,
    /// How long a session pauses when it has tried every element of the pool, or elements come up
    /// and end one after the other; each further pause of the search is twice as long. Default:
    /// 1 s.
    pub session_backoff: Duration,
    /// The longest that such a pause grows to. Default: 30 s.
    pub session_backoff_max: Duration,
    /// How often one message is handed over at most: one that kills who receives it must not kill
    /// the whole pool. Default: 5.
    pub max_handovers: u32,
    /// How many failovers may begin within `failover_spread` without delay. Default: 64.
    pub failover_burst: u32,
    /// The longest that a failover beyond the burst is put off, so that the sessions which one
    /// element leaves behind do not all come to the next at the same instant; zero puts none
    /// off. Default: 1 s.
    pub failover_spread: Duration,

    /// The transports over which the driver tells what became of each message, by
    /// [`handle_delivered`](crate::PoolUser::handle_delivered) and
    /// [`handle_unsent`](crate::PoolUser::handle_unsent). Messages on them are kept until
    /// then. SCTP can tell, TCP cannot. Default: none.
    pub confirms_delivery: Protocols,
    /// Whether the driver confirms what it has written, by
    /// [`handle_written`](crate::PoolUser::handle_written). Without that, a message counts as
    /// written when the driver polls for the next action, so that a driver which cannot
    /// write is one that does not poll. Default: no.
    pub confirms_writes: bool,
    /// How many messages may be handed over on one channel and not yet be confirmed as written.
    /// Default: 64.
    pub window_messages: usize,
    /// How many bytes likewise; a longer message goes alone. Default: 256 KiB.
    pub window_bytes: usize,

    /// The pool element that this node is as well, if it is one (RFC 5352 §3.9).
    pub identity: Option<Identity>,
    /// Whether elements that only a business card lists may be used, at the addresses in the card.
    /// Whoever sends a card can then send this user anywhere. Default: no.
    pub trust_card_addresses: bool,
    /// How many elements of a business card are heeded; the first ones count. Default: 32.
    pub max_card_elements: usize,

    /// How many bytes of received data wait for the application; more is dropped, counted and
    /// told. Default: 16 MiB.
    pub max_unread_bytes: usize,
    /// The longest message taken from a registrar's byte stream. Default: 65,535, the longest
    /// there is.
    pub max_message_len: usize,
    /// How many bytes of control messages wait for a driver that does not poll; more are dropped
    /// and counted, but for the cookie and the business card that a channel begins with. Default:
    /// 16 MiB.
    pub max_control_bytes: usize,
    /// How many ASAP_ERROR messages answer one channel in ten seconds at most. Default: 4.
    pub max_error_reports: u32,
    /// How many of the latest [`Note`](crate::Note)s are kept; 0 keeps none. One takes 96 bytes, and up
    /// to a few hundred more where it names an SCTP transport with many addresses. Default: 64, which
    /// take 6 KiB.
    pub max_notes: usize,
}

/// Makes a policy of the user's own for one pool.
pub type MakePolicy = fn() -> Box<dyn CustomPolicy>;

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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Security {
    /// Not at all.
    #[default]
    None,
    /// TLS, the peer's certificate checked against this reference identity (a DNS name or an
    /// address). A peer that was not verified is refused.
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
    /// The asker waits for the refresh, and gets what is there, marked as stale, if no registrar
    /// answers.
    Fallback,
    /// The asker waits for the refresh, and gets an error if no registrar answers.
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
pub struct Protocols(u32);

/// Why a [`Config`] was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no registrar, and none may announce itself.
    #[error("registrars: none is configured and accept_announces is off")]
    NoRegistrar,
    /// The driver speaks no transport on which a registrar can be reached.
    #[error("registrar_protocols: neither SCTP nor TCP is among them")]
    NoRegistrarProtocol,
    /// TLS is wanted without saying who the peer must be.
    #[error("{0}: TLS without a reference identity")]
    NoIdentity(&'static str),
    /// A registrar has a transport that no registrar uses, that the driver does not speak, or
    /// without an address and a port that can be called.
    #[error("registrars: number {0} has no transport that can be used")]
    UnusableRegistrar(usize),
    /// A limit or time that must not be zero is.
    #[error("{0}: must not be zero")]
    Zero(&'static str),
    /// A policy of the user's own has the type of one that this crate knows.
    #[error("custom_policies: {0} is a standard policy")]
    StandardPolicy(PolicyType),
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
            max_registrars: 256,
            max_announced: 64,
            announced_security: Security::None,
            announced_unsecured: false,
            registrar_protocols: reliable,
            element_protocols: reliable,
            control_mapping: Protocols::NONE,
            authenticated_only: false,
            bar_time: secs(600),
            max_barred: 64,
            t1_request: secs(15),
            max_request_retransmit: 2,
            t5_hunt: secs(10),
            t5_max: secs(60),
            t7_outdate: secs(5),
            announce_wait: secs(5),
            request_deadline: secs(60),
            resolution_interval: Duration::from_millis(500),
            registrar_grace: secs(30),
            subscription_check: secs(300),
            max_requests_per_second: 50,
            max_subscriptions: 1_024,
            elements_wanted: Some(128),
            stale_cache_value: secs(30),
            stale_answers: StaleAnswers::Served,
            negative_cache_value: Duration::ZERO,
            max_pools: 1_024,
            max_cache_bytes: 64 << 20,
            max_elements: 1_024,
            max_handle_len: 32,
            max_requests: 65_536,
            custom_policies: Vec::new(),
            failure_mark: secs(60),
            max_reports_per_second: 10,
            report_interval: secs(1),
            max_pending_reports: 64,
            report_age: secs(60),
            max_sessions: 65_536,
            max_queued_messages: 256,
            max_queued_bytes: 1 << 20,
            max_cookie_len: 4_096,
            connect_timeout: secs(5),
            stable_after: secs(10),
            max_rounds: 16,
            session_deadline: secs(60),
            session_backoff: secs(1),
            session_backoff_max: secs(30),
            max_handovers: 5,
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
            max_control_bytes: 16 << 20,
            max_error_reports: 4,
            max_notes: 64,
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
        if self.registrars.iter().any(|registrar| registrar.security.lacks_identity()) {
            return Err(ConfigError::NoIdentity("registrars"));
        }
        if self.announced_security.lacks_identity() {
            return Err(ConfigError::NoIdentity("announced_security"));
        }
        let reachable = |at: &Transport| self.reachable(Origin::Here, at.clone());
        if let Some(n) = self.registrars.iter().position(|r| reachable(&r.transport).is_none()) {
            return Err(ConfigError::UnusableRegistrar(n));
        }
        if ![Protocol::Sctp, Protocol::Tcp].iter().any(|p| self.registrar_protocols.contains(*p)) {
            return Err(ConfigError::NoRegistrarProtocol);
        }
        let times = [
            (self.t1_request, "t1_request"),
            (self.t5_hunt, "t5_hunt"),
            (self.t7_outdate, "t7_outdate"),
            (self.request_deadline, "request_deadline"),
            (self.resolution_interval, "resolution_interval"),
            (self.subscription_check, "subscription_check"),
            (self.report_age, "report_age"),
            (self.connect_timeout, "connect_timeout"),
            (self.session_deadline, "session_deadline"),
            (self.session_backoff, "session_backoff"),
        ];
        let limits = [
            (self.max_barred, "max_barred"),
            (self.max_reports_per_second as usize, "max_reports_per_second"),
            (self.max_rounds as usize, "max_rounds"),
            (self.max_handovers as usize, "max_handovers"),
            (self.max_requests_per_second as usize, "max_requests_per_second"),
            (self.max_pools, "max_pools"),
            (self.max_cache_bytes, "max_cache_bytes"),
            (self.max_elements, "max_elements"),
            (self.max_handle_len, "max_handle_len"),
            (self.max_requests, "max_requests"),
            (self.max_queued_messages, "max_queued_messages"),
            (self.max_message_len, "max_message_len"),
            (self.window_messages, "window_messages"),
            (self.max_control_bytes, "max_control_bytes"),
            (self.identity.as_ref().map_or(1, |own| own.handle.len()), "identity"),
        ];
        let zero = times.iter().find(|(time, _)| time.is_zero()).map(|(_, name)| *name);
        let zero = zero.or_else(|| limits.iter().find(|(n, _)| *n == 0).map(|(_, name)| *name));
        if let Some(name) = zero {
            return Err(ConfigError::Zero(name));
        }
        if self.accept_announces && self.registrars.is_empty() && self.max_announced == 0 {
            return Err(ConfigError::Zero("max_announced"));
        }
        if self.identity.as_ref().is_some_and(|own| own.handle.len() > self.max_handle_len) {
            return Err(ConfigError::Exceeds("identity", "max_handle_len"));
        }
        if let Some((policy, _)) =
            self.custom_policies.iter().find(|(policy, _)| policy.name().is_some())
        {
            return Err(ConfigError::StandardPolicy(*policy));
        }
        let bounded = [
            (self.t5_hunt, self.t5_max, "t5_hunt", "t5_max"),
            (self.t1_request, self.request_deadline, "t1_request", "request_deadline"),
            (self.resolution_interval, self.t1_request, "resolution_interval", "t1_request"),
            (self.failover_spread, self.session_deadline, "failover_spread", "session_deadline"),
        ];
        if self.registrars.len() > self.max_registrars {
            return Err(ConfigError::Exceeds("registrars", "max_registrars"));
        }
        match bounded.iter().find(|(value, bound, ..)| value > bound) {
            Some((.., name, bound)) => Err(ConfigError::Exceeds(name, bound)),
            None => Ok(()),
        }
    }

    /// Where a registrar at `transport` is to be called, if it is worth a try (HUNT-8, HUNT-15).
    pub(crate) fn reachable(&self, origin: Origin, transport: Transport) -> Option<Transport> {
        let protocol = transport.protocol();
        let speaks = matches!(protocol, Protocol::Sctp | Protocol::Tcp)
            && self.registrar_protocols.contains(protocol);
        origin.callable(transport).filter(|_| speaks)
    }

    /// What makes the user's own policy of this type, if there is one.
    pub(crate) fn custom_policy(&self, policy: PolicyType) -> Option<MakePolicy> {
        self.custom_policies.iter().find(|(of, _)| *of == policy).map(|(_, make)| *make)
    }

    /// Whether anything at `transport` can be called as a pool element is.
    pub(crate) fn can_call(&self, transport: &Transport) -> bool {
        let spoken = self.element_protocols.contains(transport.protocol());
        spoken && Origin::Here.callable(transport.clone()).is_some()
    }
}

impl Security {
    /// TLS, the peer's certificate checked against `identity`.
    #[must_use]
    pub fn tls(identity: &str) -> Self {
        Self::Tls { identity: identity.into() }
    }

    /// The port that registrars with this security listen on where nothing else is said: 3863, or
    /// with TLS 3864 (RFC 5352 §8, §9).
    #[must_use]
    pub const fn default_port(&self) -> u16 {
        match self {
            Self::None => ASAP_PORT,
            Self::Tls { .. } => ASAP_TLS_PORT,
        }
    }

    fn lacks_identity(&self) -> bool {
        matches!(self, Self::Tls { identity } if identity.is_empty())
    }
}

impl Registrar {
    /// A registrar that listens on TCP, its channel not secured.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self::new(Transport::tcp(address))
    }

    /// A registrar that listens on TCP at the default port of its security.
    ///
    /// ```
    /// use asap_pu::{Registrar, Security, wire::Transport};
    ///
    /// let registrar = Registrar::at("192.0.2.1".parse().unwrap(), Security::tls("pr.example"));
    /// assert_eq!(registrar.transport, Transport::tcp("192.0.2.1:3864".parse().unwrap()));
    /// ```
    #[must_use]
    pub fn at(address: IpAddr, security: Security) -> Self {
        let transport = Transport::tcp(SocketAddr::new(address, security.default_port()));
        Self { transport, security }
    }

    /// A registrar that listens on SCTP at one or more addresses, its channel not secured.
    #[must_use]
    pub fn sctp(port: u16, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self::new(Transport::sctp(port, TransportUse::DATA_ONLY, addresses))
    }

    /// The same registrar with TLS, authenticated as `identity`. The port stays what it is;
    /// 3864 is the customary one.
    #[must_use]
    pub fn with_tls(self, identity: &str) -> Self {
        Self { security: Security::tls(identity), ..self }
    }

    fn new(transport: Transport) -> Self {
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
        Self(self.0 | 1 << protocol as u32)
    }

    /// Whether `protocol` is in the set.
    #[must_use]
    pub const fn contains(self, protocol: Protocol) -> bool {
        self.0 & 1 << protocol as u32 != 0
    }
}

impl From<Protocol> for Protocols {
    fn from(protocol: Protocol) -> Self {
        Self::NONE.with(protocol)
    }
}

impl fmt::Debug for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(ALL_PROTOCOLS.into_iter().filter(|p| self.contains(*p))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Config)) -> ConfigError {
        let mut config = Config::default();
        config.registrars.push(Registrar::tcp(([192, 0, 2, 1], 3863).into()));
        assert_eq!(config.validate(), Ok(()));
        change(&mut config);
        config.validate().expect_err("a contradiction")
    }

    /// [HUNT-13] [HUNT-15] [CORE-6]: what contradicts itself is refused, and the error names the
    /// field.
    #[test]
    fn contradictions_are_refused_by_name() {
        let nobody = |c: &mut Config| (c.accept_announces, c.registrars) = (false, Vec::new());
        assert_eq!(refused(nobody), ConfigError::NoRegistrar);
        let no_protocol = |c: &mut Config| {
            (c.registrars, c.registrar_protocols) = (Vec::new(), Protocol::Udp.into());
        };
        assert_eq!(refused(no_protocol), ConfigError::NoRegistrarProtocol);
        let no_port =
            |c: &mut Config| c.registrars.push(Registrar::tcp(([192, 0, 2, 2], 0).into()));
        assert_eq!(refused(no_port), ConfigError::UnusableRegistrar(1));
        let no_address = |c: &mut Config| c.registrars = [Registrar::sctp(3863, [])].into();
        assert_eq!(refused(no_address), ConfigError::UnusableRegistrar(0));
        let nobody_in_particular = |c: &mut Config| c.announced_security = Security::tls("");
        assert_eq!(refused(nobody_in_particular), ConfigError::NoIdentity("announced_security"));
        let backwards = |c: &mut Config| c.t5_hunt = c.t5_max + Duration::from_secs(1);
        assert_eq!(refused(backwards), ConfigError::Exceeds("t5_hunt", "t5_max"));
        let hasty = |c: &mut Config| c.request_deadline = Duration::from_secs(14);
        assert_eq!(refused(hasty), ConfigError::Exceeds("t1_request", "request_deadline"));
        let slow = |c: &mut Config| c.resolution_interval = Duration::from_secs(16);
        assert_eq!(refused(slow), ConfigError::Exceeds("resolution_interval", "t1_request"));
    }

    /// [RES-2] [RES-3] [HUNT-4] [HUNT-7] [CACHE-2]: what the RFCs name has the value that they give it
    /// (RFC 5352 §7).
    #[test]
    fn the_defaults_are_those_of_the_rfc() {
        let config = Config::default();
        let times = [
            (config.t1_request, 15),
            (config.t5_hunt, 10),
            (config.t7_outdate, 5),
            (config.t5_max, 60),
            (config.stale_cache_value, 30),
        ];
        for (time, secs) in times {
            assert_eq!(time, Duration::from_secs(secs));
        }
        assert_eq!(config.max_request_retransmit, 2);
    }

    /// [HUNT-15] [SELECT-9]: each protocol is one member of a set, also the one with the largest
    /// code.
    #[test]
    fn a_set_has_the_protocols_that_were_put_in() {
        for one in ALL_PROTOCOLS {
            let set = Protocols::from(one);
            for other in ALL_PROTOCOLS {
                assert_eq!(set.contains(other), one == other, "{other:?} in {set:?}");
            }
        }
    }

    /// [CORE-6]: times and limits that must not be zero.
    #[test]
    fn zeros_are_refused_by_name() {
        let zero = |change: fn(&mut Config)| match refused(change) {
            ConfigError::Zero(name) => name,
            other => panic!("{other}"),
        };
        assert_eq!(zero(|c| c.t1_request = Duration::ZERO), "t1_request");
        assert_eq!(zero(|c| c.t5_hunt = Duration::ZERO), "t5_hunt");
        assert_eq!(zero(|c| c.t7_outdate = Duration::ZERO), "t7_outdate");
        assert_eq!(zero(|c| c.request_deadline = Duration::ZERO), "request_deadline");
        assert_eq!(zero(|c| c.resolution_interval = Duration::ZERO), "resolution_interval");
        assert_eq!(zero(|c| c.report_age = Duration::ZERO), "report_age");
        assert_eq!(zero(|c| c.subscription_check = Duration::ZERO), "subscription_check");
        assert_eq!(zero(|c| c.max_requests_per_second = 0), "max_requests_per_second");
        assert_eq!(zero(|c| c.connect_timeout = Duration::ZERO), "connect_timeout");
        assert_eq!(zero(|c| c.session_deadline = Duration::ZERO), "session_deadline");
        assert_eq!(zero(|c| c.session_backoff = Duration::ZERO), "session_backoff");
        assert_eq!(zero(|c| c.max_barred = 0), "max_barred");
        assert_eq!(zero(|c| c.max_reports_per_second = 0), "max_reports_per_second");
        assert_eq!(zero(|c| c.max_pools = 0), "max_pools");
        assert_eq!(zero(|c| c.max_elements = 0), "max_elements");
        assert_eq!(zero(|c| c.max_cache_bytes = 0), "max_cache_bytes");
        assert_eq!(zero(|c| c.max_handle_len = 0), "max_handle_len");
        assert_eq!(zero(|c| c.max_requests = 0), "max_requests");
        assert_eq!(zero(|c| c.max_queued_messages = 0), "max_queued_messages");
        assert_eq!(zero(|c| c.max_message_len = 0), "max_message_len");
        assert_eq!(zero(|c| c.max_control_bytes = 0), "max_control_bytes");
        assert_eq!(zero(|c| c.window_messages = 0), "window_messages");
        assert_eq!(zero(|c| c.max_rounds = 0), "max_rounds");
        let deaf = |c: &mut Config| (c.registrars, c.max_announced) = (Vec::new(), 0);
        assert_eq!(zero(deaf), "max_announced");
    }
}
