//! What the user wishes, by the name the RFCs give it where they give one.
//!
//! What the driver can do stands apart, in [`Capabilities`].

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use thiserror::Error;

use crate::Capabilities;
use crate::reach::Origin;
use crate::selection::CustomPolicy;
use crate::wire::{
    ASAP_PORT, ASAP_TLS_PORT, PeIdentifier, PolicyType, PoolHandle, Transport, TransportUse,
};

/// How a [`PoolUser`](crate::PoolUser) behaves.
///
/// Start from [`Config::default`], or on a small device from [`Config::small`], and change what
/// differs; [`PoolUser::new`](crate::PoolUser::new) refuses a configuration that contradicts itself
/// or what the driver can do.
///
/// ```
/// use asap_pu::{Config, Registrar};
/// use core::time::Duration;
///
/// let mut config = Config::default();
/// config.discovery.registrars.push(Registrar::tcp("192.0.2.1:3863".parse().unwrap()));
/// config.sessions.connect_timeout = Duration::from_secs(2);
/// config.limits.max_sessions = 100;
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Config {
    /// Which registrars there are, and how one of them becomes the home.
    pub discovery: DiscoveryConfig,
    /// What is asked of the home, and what it is told.
    pub resolution: ResolutionConfig,
    /// What is known of pools, and how elements are selected from it.
    pub cache: CacheConfig,
    /// How a session finds an element, and another one.
    pub sessions: SessionConfig,
    /// How much there may be of everything.
    pub limits: Limits,
}

/// Declares a group of the configuration: each field once, with its default and its range.
macro_rules! group {
    ($(#[$doc:meta])* $name:ident as $path:literal {
        $( $(#[$field_doc:meta])*
        $field:ident: $type:ty = $default:expr $(, $nonzero:ident)? $(, <= $bound:ident)?; )*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        #[non_exhaustive]
        pub struct $name {
            $( $(#[$field_doc])*
            #[doc = ""]
            #[doc = concat!("Default: `", stringify!($default), "`."
                $(, " Must not be zero.", group!(@nothing $nonzero))?
                $(, " At most [`", stringify!($bound), "`](Self::", stringify!($bound), ").")?)]
            pub $field: $type, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $name {
            /// # Errors
            /// The first field that is out of its range.
            fn check_ranges(&self) -> Result<(), ConfigError> {
                $( $( if self.$field == group!(@zero $nonzero $type) {
                    return Err(ConfigError::Zero(group!(@path $path $field)));
                } )? )*
                $( $( if self.$field > self.$bound {
                    let (field, bound) = (group!(@path $path $field), group!(@path $path $bound));
                    return Err(ConfigError::Exceeds(field, bound));
                } )? )*
                Ok(())
            }
        }
    };
    (@nothing nonzero) => { "" };
    (@zero nonzero $type:ty) => { <$type>::default() };
    (@path $path:literal $field:ident) => { concat!($path, ".", stringify!($field)) };
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

group! {
    /// Which registrars there are, and how one of them becomes the home (RFC 5352 §3.6).
    DiscoveryConfig as "discovery" {
        /// Registrars known from the start; they are never aged out (RFC 5352 §3.6).
        registrars: Vec<Registrar> = Vec::new();
        /// Whether registrars announced by multicast are taken into the list. Announces are not
        /// authenticated (RFC 5355 §2.12).
        accept_announces: bool = true;
        /// How channels to announced registrars are secured; their identity cannot come from the
        /// announce, which is not authenticated.
        announced_security: Security = Security::None;
        /// Whether an announced registrar without TLS may become the home although every configured one
        /// demands it. Whoever can send a datagram can then be the home (RFC 5352 §9.2).
        announced_unsecured: bool = false;
        /// Refuse every registrar that the driver did not authenticate (RFC 5352 §9.2), not only those
        /// with [`Security::Tls`].
        authenticated_only: bool = false;
        /// How long a registrar that failed authentication is left alone; announces do not shorten it.
        bar_time: Duration = secs(600);
        /// T5-Serverhunt: how long the first round of a hunt lasts; each further one lasts twice as
        /// long. Each is shortened by chance, by a quarter at most.
        t5_hunt: Duration = secs(10), nonzero, <= t5_max;
        /// RETRAN.max: the longest that T5 grows to.
        t5_max: Duration = secs(60);
        /// T7-ENRPoutdate: how long an announced address is believed. Registrars announce every (N+1)
        /// seconds where they know N others, so raise it where there are more than a few.
        t7_outdate: Duration = secs(5), nonzero;
        /// How long a request waits for an announce where no registrar is known.
        announce_wait: Duration = secs(5);
        /// How long a registrar that has become the home may be wrong when it says that there is no
        /// such pool: within that time, a pool that was known is kept as stale and asked for again. One
        /// that was just started knows nothing for a while. Zero: it is believed at once.
        registrar_grace: Duration = secs(30);
    }
}

group! {
    /// What the home registrar is asked, and what it is told: resolutions, subscriptions and unreachable
    /// reports (RFC 5352 §3.3, §3.5).
    ResolutionConfig as "resolution" {
        /// T1-ENRPrequest: how long a registrar has for an answer.
        t1_request: Duration = secs(15), nonzero, <= request_deadline;
        /// MAX-REQUEST-RETRANSMIT: how often a request is repeated after its first sending.
        max_request_retransmit: u32 = 2;
        /// How long a request may take in all, hunting included.
        request_deadline: Duration = secs(60), nonzero;
        /// How long the same pool handle is not asked for again, whatever came of it the last time: who
        /// asks earlier waits for the rest of it (RFC 3237 §2.5).
        resolution_interval: Duration = millis(500), nonzero, <= t1_request;
        /// How long a pool whose updates were granted is taken to be up to date without a word from the
        /// registrar; then it is asked again.
        subscription_check: Duration = secs(300), nonzero;
        /// How many elements a resolution asks for (parameter 0x803f; `None` leaves it out, and real
        /// registrars then list three).
        elements_wanted: Option<u32> = Some(128);
        /// How long the same element is not reported again, also if it was reached in between.
        report_interval: Duration = secs(1);
        /// How long a report waits for a registrar; an older one says nothing about the present.
        report_age: Duration = secs(60), nonzero;
    }
}

group! {
    /// What is known of pools, and how elements are selected from it (RFC 5352 §7.2, RFC 5356).
    CacheConfig as "cache" {
        /// stale_cache_value: how long a resolved pool counts as fresh (RFC 5352 §7.2); zero means
        /// never.
        stale_cache_value: Duration = secs(30);
        /// What becomes of an asker who meets a stale pool (RFC 5352 §3.3 C3).
        stale_answers: StaleAnswers = StaleAnswers::Served;
        /// How long it is remembered that a registrar does not know a pool handle; zero means not at
        /// all.
        negative_cache_value: Duration = Duration::ZERO;
        /// How long an element found unreachable is passed over as long as the pool has others. Where all
        /// are marked they are tried in turn, the one that failed the longest ago first.
        failure_mark: Duration = secs(60);
        /// Policies of the user's own, for types that this crate does not know (RFC 5356 §7.1), each
        /// with what makes one for a pool. Pools with other unknown policies are served in the
        /// registrar's order.
        custom_policies: Vec<(PolicyType, MakePolicy)> = Vec::new();
    }
}

group! {
    /// How a session finds an element, and another one when that fails (RFC 5352 §6.5 to §6.9).
    SessionConfig as "sessions" {
        /// How long the channel to an element may take to come up.
        connect_timeout: Duration = secs(5), nonzero;
        /// How long a channel to an element has to last until it counts as one that serves, also if
        /// nothing is heard on it; until then the search that led to it goes on where it was if it
        /// ends.
        stable_after: Duration = secs(10);
        /// How long a session looks for an element before it gives up, and how long one message waits
        /// for an element in all, however often it was put back.
        session_deadline: Duration = secs(60), nonzero;
        /// How often a session tries every element of the pool in one search before it gives up. With the
        /// default times `session_deadline` ends a session that keeps its element first, in about the
        /// seventh round; this bound matters where pauses are shorter or the deadline is longer.
        max_rounds: u32 = 16, nonzero;
        /// How long a session pauses when it has tried every element of the pool, or elements come up
        /// and end one after the other; each further pause of the search is twice as long. Each is
        /// shortened by chance, by a quarter at most, and none is longer than `session_backoff_max`.
        session_backoff: Duration = secs(1), nonzero;
        /// The longest that such a pause grows to, the first included; with zero there is none.
        session_backoff_max: Duration = secs(30);
        /// How often one message is handed over at most: one that kills who receives it must not kill
        /// the whole pool.
        max_handovers: u32 = 5, nonzero;
        /// How many failovers may begin within `failover_spread` without delay.
        failover_burst: u32 = 64;
        /// The longest that a failover beyond the burst is put off, so that the sessions which one
        /// element leaves behind do not all come to the next at the same instant; zero puts none off.
        failover_spread: Duration = secs(1), <= session_deadline;
        /// The pool element that this node is as well, if it is one (RFC 5352 §3.9).
        identity: Option<Identity> = None;
        /// Whether elements that only a business card lists may be used, at the addresses in the card.
        /// Whoever sends a card can then send this user anywhere.
        trust_card_addresses: bool = false;
    }
}

group! {
    /// How much there may be of everything. What is beyond is refused where a command asks for it, else
    /// dropped and counted in [`Stats`](crate::Stats).
    Limits as "limits" {
        /// How many registrars may be in the list for good, configured or added.
        max_registrars: usize = 256;
        /// How many announced addresses are kept at most; a full list turns newcomers away.
        max_announced: usize = 64;
        /// How many registrars that failed authentication are remembered for `discovery.bar_time`; beyond
        /// that the oldest is forgotten.
        max_barred: usize = 64, nonzero;
        /// How many resolutions may be asked for and not yet told to the application.
        max_requests: usize = 65_536, nonzero;
        /// How many requests that nobody waits for (subscriptions that ask again, or ask a new home)
        /// are sent in a second at most (RFC 3237 §2.5).
        max_requests_per_second: u32 = 50, nonzero;
        /// How many pools may be subscribed to.
        max_subscriptions: usize = 1_024;
        /// How many pools are kept, and how many unknown handles.
        max_pools: usize = 1_024, nonzero;
        /// How many bytes the lists of all pools may take; the pools used the longest ago make room.
        max_cache_bytes: usize = 64 << 20, nonzero;
        /// How many elements of a pool are kept; the first ones of the list count.
        max_elements: usize = 1_024, nonzero;
        /// The longest pool handle in bytes; real registrars end at more than 32.
        max_handle_len: usize = 32, nonzero;
        /// How many reports wait for a registrar at most; with zero none is ever sent.
        max_pending_reports: usize = 64;
        /// How many unreachable reports are sent in a second at most (RFC 5355 §2.13).
        max_reports_per_second: u32 = 10, nonzero;
        /// How many sessions may exist.
        max_sessions: usize = 65_536;
        /// How many messages a session holds: those that wait, that were handed over and are not done, and
        /// that an event tells of which was not read.
        max_queued_messages: usize = 256, nonzero;
        /// How many bytes those may have together; a longer message is refused
        /// ([`TooLong`](crate::SendErrorReason::TooLong)).
        max_queued_bytes: usize = 1 << 20;
        /// The longest cookie in bytes that is stored.
        max_cookie_len: usize = 4_096;
        /// How many elements of a business card are heeded; the first ones count.
        max_card_elements: usize = 32;
        /// How many messages may be handed over on one channel and not yet be confirmed as written.
        window_messages: usize = 64, nonzero;
        /// How many bytes likewise; a longer message goes alone.
        window_bytes: usize = 256 << 10;
        /// How many bytes of received data wait for the application; more is dropped, counted and told.
        max_unread_bytes: usize = 16 << 20;
        /// The longest message taken from a registrar's byte stream.
        max_message_len: usize = 65_535, nonzero;
        /// How many bytes of control messages wait for a driver that does not poll; more are dropped
        /// and counted, but for the cookie and the business card that a channel begins with.
        max_control_bytes: usize = 16 << 20, nonzero;
        /// How many of the latest [`Note`](crate::Note)s are kept; 0 keeps none. One takes 96 bytes, and
        /// up to a few hundred more where it names an SCTP transport with many addresses.
        max_notes: usize = 64;
        /// How many ASAP_ERROR messages answer one channel in ten seconds at most.
        max_error_reports: u32 = 4;
    }
}

/// Makes a policy of the user's own for one pool.
pub type MakePolicy = fn() -> Box<dyn CustomPolicy>;

/// One registrar's address, and what it takes to trust it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registrar {
    /// Where it listens: SCTP, TCP, or something that the driver knows (opaque).
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
    /// answers. A session waits for `sessions.connect_timeout` at most, as for an element.
    Fallback,
    /// The asker waits for the refresh, and gets an error if no registrar answers.
    Withheld,
}

/// Why a [`Config`] was refused. Fields are named with their group, as `discovery.t5_hunt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no registrar, and none may announce itself.
    #[error("discovery.registrars: none is configured and discovery.accept_announces is off")]
    NoRegistrar,
    /// The driver has no protocol on which a registrar can be reached.
    #[error("the driver can open no channel to any registrar")]
    NoRegistrarProtocol,
    /// Only authenticated registrars are wanted, and the driver can authenticate nobody.
    #[error("{0}: the driver cannot authenticate registrars")]
    NoAuthentication(&'static str),
    /// TLS is wanted without saying who the peer must be.
    #[error("{0}: TLS without a reference identity")]
    NoIdentity(&'static str),
    /// A registrar has a transport that no registrar uses, that the driver does not speak, or
    /// without an address and a port that can be called. Its place in the list, from 0 on.
    #[error("discovery.registrars: number {0} has no transport that can be used")]
    UnusableRegistrar(usize),
    /// A limit or time that must not be zero is, or the handle of `sessions.identity` is empty.
    #[error("{0}: must not be zero")]
    Zero(&'static str),
    /// A policy of the user's own has the type of one that this crate knows.
    #[error("cache.custom_policies: {0} is a standard policy")]
    StandardPolicy(PolicyType),
    /// One field is over what another one allows.
    #[error("{0}: must not be greater than {1}")]
    Exceeds(&'static str, &'static str),
}

impl Limits {
    /// Whether a pool handle may have so many bytes.
    pub(crate) fn allow_handle_len(&self, len: usize) -> bool {
        (1..=self.max_handle_len).contains(&len)
    }
}

impl Config {
    /// Bounds for a small device: a few pools, sessions and messages at a time, and no notes of what was
    /// decided. Times are those of [`Config::default`].
    #[must_use]
    pub fn small() -> Self {
        let mut config = Self::default();
        config.resolution.elements_wanted = Some(16);
        config.limits = Limits {
            max_registrars: 4,
            max_announced: 4,
            max_barred: 4,
            max_requests: 8,
            max_subscriptions: 4,
            max_pools: 4,
            max_cache_bytes: 8 << 10,
            max_elements: 16,
            max_pending_reports: 4,
            max_sessions: 4,
            max_queued_messages: 8,
            max_queued_bytes: 4 << 10,
            max_cookie_len: 256,
            max_card_elements: 4,
            window_messages: 4,
            window_bytes: 2 << 10,
            max_unread_bytes: 4 << 10,
            max_message_len: 4 << 10,
            max_control_bytes: 4 << 10,
            max_notes: 0,
            ..Limits::default()
        };
        config
    }

    /// Says which field contradicts which, or what the driver can do, if any does.
    ///
    /// # Errors
    /// The first contradiction found, by field.
    pub fn validate(&self, capabilities: &Capabilities) -> Result<(), ConfigError> {
        let DiscoveryConfig { registrars, announced_security, .. } = &self.discovery;
        let (announces, limits) = (self.discovery.accept_announces, &self.limits);
        if registrars.is_empty() && !announces {
            return Err(ConfigError::NoRegistrar);
        }
        if !capabilities.reaches_any_registrar() {
            return Err(ConfigError::NoRegistrarProtocol);
        }
        let reachable = |at: &Transport| capabilities.reachable_registrar(Origin::Here, at.clone());
        if let Some(n) = registrars.iter().position(|r| reachable(&r.transport).is_none()) {
            return Err(ConfigError::UnusableRegistrar(n));
        }
        let secured =
            registrars.iter().map(|registrar| ("discovery.registrars", &registrar.security));
        for (field, security) in
            secured.chain([("discovery.announced_security", announced_security)])
        {
            security.check(field, capabilities)?;
        }
        if self.discovery.authenticated_only && !capabilities.authenticates() {
            return Err(ConfigError::NoAuthentication("discovery.authenticated_only"));
        }
        self.discovery.check_ranges()?;
        self.resolution.check_ranges()?;
        self.cache.check_ranges()?;
        self.sessions.check_ranges()?;
        self.limits.check_ranges()?;
        if registrars.is_empty() && limits.max_announced == 0 {
            return Err(ConfigError::Zero("limits.max_announced"));
        }
        if registrars.len() > limits.max_registrars {
            return Err(ConfigError::Exceeds("discovery.registrars", "limits.max_registrars"));
        }
        match self.sessions.identity.as_ref().map(|own| own.handle.len()) {
            Some(0) => return Err(ConfigError::Zero("sessions.identity")),
            Some(len) if !limits.allow_handle_len(len) => {
                return Err(ConfigError::Exceeds("sessions.identity", "limits.max_handle_len"));
            }
            _ => {}
        }
        let standard =
            self.cache.custom_policies.iter().find(|(policy, _)| policy.name().is_some());
        standard.map_or(Ok(()), |(policy, _)| Err(ConfigError::StandardPolicy(*policy)))
    }

    /// What makes the user's own policy of this type, if there is one.
    pub(crate) fn custom_policy(&self, policy: PolicyType) -> Option<MakePolicy> {
        self.cache.custom_policies.iter().find(|(of, _)| *of == policy).map(|(_, make)| *make)
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

    /// # Errors
    /// It names nobody, or the driver could not find out who the peer is.
    fn check(&self, field: &'static str, capabilities: &Capabilities) -> Result<(), ConfigError> {
        match self {
            Self::Tls { identity } if identity.is_empty() => Err(ConfigError::NoIdentity(field)),
            _ if !capabilities.can_secure(self) => Err(ConfigError::NoAuthentication(field)),
            _ => Ok(()),
        }
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

    /// A registrar that listens at `transport`, its channel not secured; an opaque transport means what
    /// the driver makes of it.
    #[must_use]
    pub fn new(transport: Transport) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Protocol;

    fn refused_by(capabilities: Capabilities, change: impl FnOnce(&mut Config)) -> ConfigError {
        let mut config = Config::default();
        config.discovery.registrars.push(Registrar::tcp(([192, 0, 2, 1], 3863).into()));
        assert_eq!(config.validate(&Capabilities::TCP), Ok(()));
        change(&mut config);
        config.validate(&capabilities).expect_err("a contradiction")
    }

    fn refused(change: impl FnOnce(&mut Config)) -> ConfigError {
        refused_by(Capabilities::TCP, change)
    }

    /// [HUNT-13] [HUNT-15] [CORE-6]: what contradicts itself is refused, and the error names the
    /// field.
    #[test]
    fn contradictions_are_refused_by_name() {
        let nobody = refused(|c| {
            c.discovery.accept_announces = false;
            c.discovery.registrars.clear();
        });
        assert_eq!(nobody, ConfigError::NoRegistrar);
        let no_port =
            refused(|c| c.discovery.registrars.push(Registrar::tcp(([192, 0, 2, 2], 0).into())));
        assert_eq!(no_port, ConfigError::UnusableRegistrar(1));
        let no_address = refused(|c| c.discovery.registrars = [Registrar::sctp(3863, [])].into());
        assert_eq!(no_address, ConfigError::UnusableRegistrar(0));
        let nobody_in_particular = refused(|c| c.discovery.announced_security = Security::tls(""));
        assert_eq!(nobody_in_particular, ConfigError::NoIdentity("discovery.announced_security"));
        let exceeds = |field, bound, change: fn(&mut Config)| {
            assert_eq!(refused(change), ConfigError::Exceeds(field, bound));
        };
        exceeds("discovery.t5_hunt", "discovery.t5_max", |c| {
            c.discovery.t5_hunt = c.discovery.t5_max + secs(1);
        });
        exceeds("resolution.t1_request", "resolution.request_deadline", |c| {
            c.resolution.request_deadline = secs(14);
        });
        exceeds("resolution.resolution_interval", "resolution.t1_request", |c| {
            c.resolution.resolution_interval = secs(16);
        });
        exceeds("sessions.failover_spread", "sessions.session_deadline", |c| {
            c.sessions.failover_spread = secs(61);
        });
        exceeds("discovery.registrars", "limits.max_registrars", |c| c.limits.max_registrars = 0);
    }

    /// [HUNT-13] [HUNT-14] [HUNT-15]: what the driver cannot do is not wished for in vain.
    #[test]
    fn what_the_driver_cannot_do_is_refused() {
        let unchanged = |_: &mut Config| {};
        let nothing = refused_by(Capabilities::NONE, unchanged);
        assert_eq!(nothing, ConfigError::NoRegistrarProtocol);
        let udp = Capabilities::NONE.with_registrars(Protocol::Udp);
        assert_eq!(refused_by(udp, unchanged), ConfigError::NoRegistrarProtocol);
        let sctp = Capabilities::NONE.with_registrars(Protocol::Sctp);
        assert_eq!(refused_by(sctp, unchanged), ConfigError::UnusableRegistrar(0));

        let plain = Capabilities::NONE.with_registrars(Protocol::Tcp);
        let demands: [(_, fn(&mut Config)); 3] = [
            ("discovery.authenticated_only", |c| c.discovery.authenticated_only = true),
            ("discovery.announced_security", |c| {
                c.discovery.announced_security = Security::tls("pr.example");
            }),
            ("discovery.registrars", |c| {
                c.discovery.registrars[0].security = Security::tls("pr.example");
            }),
        ];
        for (field, demand) in demands {
            assert_eq!(refused_by(plain, demand), ConfigError::NoAuthentication(field));
        }
    }

    /// [RES-2] [RES-3] [HUNT-4] [HUNT-7] [CACHE-2]: what the RFCs name has the value that they give it
    /// (RFC 5352 §7).
    #[test]
    fn the_defaults_are_those_of_the_rfc() {
        let Config { discovery, resolution, cache, .. } = Config::default();
        let times = [
            (resolution.t1_request, 15),
            (discovery.t5_hunt, 10),
            (discovery.t7_outdate, 5),
            (discovery.t5_max, 60),
            (cache.stale_cache_value, 30),
        ];
        for (time, seconds) in times {
            assert_eq!(time, secs(seconds));
        }
        assert_eq!(resolution.max_request_retransmit, 2);
    }

    /// [CORE-6]: the bounds for a device are in their ranges too.
    #[test]
    fn small_is_valid() {
        assert_eq!(Config::small().validate(&Capabilities::TCP), Ok(()));
    }

    /// [CORE-6]: times and limits that must not be zero.
    #[test]
    fn zeros_are_refused_by_name() {
        macro_rules! refuses {
            ($($group:ident: $($field:ident)*;)*) => {$($(
                let zero = refused(|c| c.$group.$field = Default::default());
                let name = concat!(stringify!($group), ".", stringify!($field));
                assert_eq!(zero, ConfigError::Zero(name));
            )*)*};
        }
        refuses! {
            discovery: t5_hunt t7_outdate;
            resolution: t1_request request_deadline resolution_interval report_age
                subscription_check;
            sessions: connect_timeout session_deadline session_backoff max_rounds max_handovers;
            limits: max_barred max_reports_per_second max_requests_per_second max_pools
                max_elements max_cache_bytes max_handle_len max_requests max_queued_messages
                max_message_len max_control_bytes window_messages;
        }
        let deaf = refused(|c| {
            c.discovery.registrars.clear();
            c.limits.max_announced = 0;
        });
        assert_eq!(deaf, ConfigError::Zero("limits.max_announced"));
    }
}
