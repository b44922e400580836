//! The configuration of a pool user and the messages of its peers.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};
use asap_pu::wire::{
    Message, OverallPolicy, PeIdentifier, Policy, PolicyType, PoolElement, Protocol, Transport,
    TransportUse,
};
use asap_pu::{Capabilities, Config, Confirms, Identity, Registrar, StaleAnswers};

use super::step::{Element, List, Reach};
use crate::checks::selection::Greatest;

/// The type of the policy of the user's own.
const GREATEST: PolicyType = PolicyType::new(0x8000_0001);

/// How the pool user is configured, and how it is polled.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) capabilities: Capabilities,
    pub(crate) seed: u64,
    pub(crate) compared: Compared,
}

/// What a run is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compared {
    /// With nothing.
    Alone,
    /// With the same calls again.
    WithItself,
    /// With the same calls, the outputs polled in another order.
    InAnyOrder,
}

impl<'a> Arbitrary<'a> for Setup {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let seed = u.arbitrary::<u8>()?.into();
        let compared = match u.arbitrary::<u8>()? % 4 {
            0 => Compared::WithItself,
            1 => Compared::InAnyOrder,
            _ => Compared::Alone,
        };
        let (config, capabilities) = config(u)?;
        Ok(Self { config, capabilities, seed, compared })
    }
}

/// Few registrars, small limits, and every choice that changes what happens.
fn config(u: &mut Unstructured<'_>) -> Result<(Config, Capabilities)> {
    let mut config = Config::default();
    let secs = |u: &mut Unstructured<'_>, of: &[u64]| Ok(Duration::from_secs(*u.choose(of)?));
    let flags = u.arbitrary::<u16>()?;
    let flag = |bit: u16| flags >> bit & 1 == 1;

    config.discovery.accept_announces = flag(0);
    let least = u8::from(!flag(0));
    config.discovery.registrars = (0..u.int_in_range(least..=4)?).map(registrar).collect();
    config.discovery.authenticated_only = flag(1) && flag(2);
    let confirms = |delivered: bool| match (delivered, flag(6)) {
        (true, _) => Confirms::Delivered,
        (false, true) => Confirms::Written,
        (false, false) => Confirms::Nothing,
    };
    let mut capabilities = Capabilities::NONE
        .with_registrars(Protocol::Tcp)
        .with_registrars(Protocol::Sctp)
        .with_elements(Protocol::Tcp, confirms(flag(4)))
        .with_elements(Protocol::Sctp, confirms(flag(5)))
        .with_authentication();
    if flag(11) {
        capabilities = capabilities.with_elements(Protocol::Opaque, confirms(false));
    }
    if flag(3) {
        capabilities = capabilities.with_control(Protocol::Tcp);
    }
    config.sessions.trust_card_addresses = flag(7);
    config.sessions.identity = flag(8).then(|| Identity::new("a", PeIdentifier::new(1)));
    if flag(9) {
        config.cache.custom_policies = vec![(GREATEST, || Box::<Greatest>::default())];
    }
    config.resolution.elements_wanted = flag(10).then_some(128);
    // Which deadline comes first, and which never comes.
    let short = |bit: u16, secs: u64, other: Duration| {
        if flag(bit) { Duration::from_secs(secs) } else { other }
    };
    config.sessions.session_deadline = short(12, 7, config.sessions.session_deadline);
    config.resolution.request_deadline = short(13, 16, config.resolution.request_deadline);
    config.sessions.connect_timeout = short(14, 20, config.sessions.connect_timeout);
    config.sessions.session_backoff = short(15, 30, config.sessions.session_backoff);
    config.resolution.max_request_retransmit = if flag(15) { 0 } else { 2 };
    let stale = [StaleAnswers::Served, StaleAnswers::Fallback, StaleAnswers::Withheld];
    config.cache.stale_answers = *u.choose(&stale)?;
    config.cache.stale_cache_value = secs(u, &[30, 0, 1])?;
    config.cache.negative_cache_value = secs(u, &[0, 3])?;
    config.cache.failure_mark = secs(u, &[60, 2, 0])?;
    config.resolution.report_interval = secs(u, &[1, 0, 30])?;
    config.sessions.failover_spread = secs(u, &[1, 0])?;

    config.limits.max_announced = u.int_in_range(1..=3)?;
    config.limits.max_barred = u.int_in_range(1..=2)?;
    config.limits.max_subscriptions = u.int_in_range(1..=2)?;
    config.limits.max_pools = u.int_in_range(1..=3)?;
    config.limits.max_cache_bytes = *u.choose(&[64 << 20, 300])?;
    config.limits.max_elements = *u.choose(&[64, 2])?;
    config.limits.max_requests = *u.choose(&[1_000, 1, 2, 5])?;
    config.limits.max_reports_per_second = u.int_in_range(1..=3)?;
    config.limits.max_pending_reports = u.int_in_range(0..=3)?;
    config.limits.max_sessions = *u.choose(&[1, 1, 2, 5])?;
    config.limits.max_queued_messages = u.int_in_range(1..=6)?;
    config.limits.max_queued_bytes = *u.choose(&[1_000, 150])?;
    config.limits.max_cookie_len = 2_000;
    config.sessions.max_rounds = u.int_in_range(1..=9)?;
    config.sessions.max_handovers = u.int_in_range(1..=4)?;
    config.sessions.stable_after = secs(u, &[10, 2])?;
    config.sessions.session_backoff_max = secs(u, &[30, 3])?;
    config.sessions.failover_burst = u.int_in_range(0..=3)?;
    config.limits.window_messages = u.int_in_range(1..=3)?;
    config.limits.window_bytes = *u.choose(&[250, 1, 100_000])?;
    config.limits.max_unread_bytes = *u.choose(&[2_000, 400, 0])?;
    config.limits.max_control_bytes = u.int_in_range(40..=295)?;
    config.limits.max_error_reports = u.int_in_range(0..=3)?;
    Ok((config, capabilities))
}

/// A few registrars, the odd ones by TLS.
pub(crate) fn registrar(n: u8) -> Registrar {
    let registrar = Registrar::tcp(SocketAddr::from(([192, 0, 2, n], 3863)));
    if n % 2 == 1 { registrar.with_tls("pr.example") } else { registrar }
}

impl Element {
    pub(crate) const fn identifier(self) -> PeIdentifier {
        PeIdentifier::new(self.0 as u32)
    }

    /// Where it is reached: its number is in the address.
    pub(crate) fn transport(self, reach: Reach) -> Transport {
        let ip = IpAddr::from([10, 0, 0, self.0]);
        match reach {
            Reach::Tcp => Transport::tcp(SocketAddr::new(ip, 7)),
            Reach::Sctp => Transport::sctp(7, TransportUse::DATA_PLUS_CONTROL, [ip]),
            Reach::Udp => Transport::udp(SocketAddr::new(ip, 7)),
            Reach::Opaque => Transport::opaque(vec![self.0]),
        }
    }

    /// Who is reached at an address.
    pub(crate) fn at(transport: &Transport) -> PeIdentifier {
        let number = match (transport, transport.socket_addrs().next()) {
            (Transport::Opaque(number), _) => number[0],
            (_, Some(SocketAddr::V4(at))) => at.ip().octets()[3],
            _ => panic!("nobody is at {transport:?}"),
        };
        PeIdentifier::new(number.into())
    }
}

impl List {
    /// The elements, with what their pool's policy weighs.
    pub(crate) fn elements(&self) -> Vec<PoolElement> {
        let listed = self.elements.iter().map(|&(element, reach, value)| {
            let policy = self.policy_of(value);
            PoolElement::new(element.identifier(), element.transport(reach), policy)
        });
        listed.collect()
    }

    /// What a registrar answers when asked for `handle`; one without elements is malformed.
    pub(crate) fn response(&self, handle: &str) -> Message {
        let policy = self.policy_of(0).policy_type();
        let overall = (self.policy < 12).then(|| OverallPolicy::new(policy, Default::default()));
        Message::handle_resolution_response(handle, overall, self.elements())
    }

    fn policy_of(&self, value: u32) -> Policy {
        let degradation = 1 + value % 2;
        match self.policy {
            1 => Policy::WeightedRoundRobin { weight: value },
            2 => Policy::Random,
            3 => Policy::WeightedRandom { weight: value },
            4 => Policy::Priority { priority: value },
            5 => Policy::LeastUsed { load: value },
            6 => Policy::LeastUsedDegradation { load: value, degradation },
            7 => Policy::PriorityLeastUsed { load: value, degradation },
            8 => Policy::RandomizedLeastUsed { load: value },
            9 | 10 => {
                let values = value.to_be_bytes()[2..].to_vec().into();
                Policy::Other { policy: GREATEST, values }
            }
            _ => Policy::RoundRobin,
        }
    }
}
