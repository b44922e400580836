//! The configuration of a pool user and the messages of its peers.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};
use asap_pu::wire::{
    Message, OverallPolicy, PeIdentifier, Policy, PolicyType, PoolElement, Protocol, Transport,
    TransportUse,
};
use asap_pu::{Config, Identity, Protocols, Registrar, StaleAnswers};

use super::step::{Element, List, Reach};
use crate::checks::selection::Greatest;

/// The type of the policy of the user's own.
const GREATEST: PolicyType = PolicyType::new(0x8000_0001);

/// How the pool user is configured, and how it is polled.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) config: Config,
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
        Ok(Self { config: config(u)?, seed, compared })
    }
}

/// Few registrars, small limits, and every choice that changes what happens.
fn config(u: &mut Unstructured<'_>) -> Result<Config> {
    let mut config = Config::default();
    let secs = |u: &mut Unstructured<'_>, of: &[u64]| Ok(Duration::from_secs(*u.choose(of)?));
    let flags = u.arbitrary::<u16>()?;
    let flag = |bit: u16| flags >> bit & 1 == 1;

    config.accept_announces = flag(0);
    let least = u8::from(!flag(0));
    config.registrars = (0..u.int_in_range(least..=4)?).map(registrar).collect();
    config.authenticated_only = flag(1) && flag(2);
    config.element_protocols = Protocols::NONE.with(Protocol::Tcp).with(Protocol::Sctp);
    if flag(11) {
        config.element_protocols = config.element_protocols.with(Protocol::Opaque);
    }
    if flag(3) {
        config.control_mapping = Protocol::Tcp.into();
    }
    config.confirms_delivery = [
        Protocols::NONE,
        Protocol::Tcp.into(),
        Protocol::Sctp.into(),
        Protocols::NONE.with(Protocol::Tcp).with(Protocol::Sctp),
    ][usize::from(flags >> 4 & 3)];
    config.confirms_writes = flag(6);
    config.trust_card_addresses = flag(7);
    config.identity = flag(8).then(|| Identity::new("a", PeIdentifier::new(1)));
    if flag(9) {
        config.custom_policies = vec![(GREATEST, || Box::<Greatest>::default())];
    }
    config.elements_wanted = flag(10).then_some(128);
    // Which deadline comes first, and which never comes.
    let short = |bit: u16, secs: u64, other: Duration| {
        if flag(bit) { Duration::from_secs(secs) } else { other }
    };
    config.session_deadline = short(12, 7, config.session_deadline);
    config.request_deadline = short(13, 16, config.request_deadline);
    config.connect_timeout = short(14, 20, config.connect_timeout);
    config.session_backoff = short(15, 30, config.session_backoff);
    config.max_request_retransmit = if flag(15) { 0 } else { 2 };
    let stale = [StaleAnswers::Served, StaleAnswers::Fallback, StaleAnswers::Withheld];
    config.stale_answers = *u.choose(&stale)?;
    config.stale_cache_value = secs(u, &[30, 0, 1])?;
    config.negative_cache_value = secs(u, &[0, 3])?;
    config.failure_mark = secs(u, &[60, 2, 0])?;
    config.report_interval = secs(u, &[1, 0, 30])?;
    config.failover_spread = secs(u, &[1, 0])?;

    config.max_announced = u.int_in_range(1..=3)?;
    config.max_barred = u.int_in_range(1..=2)?;
    config.max_subscriptions = u.int_in_range(1..=2)?;
    config.max_pools = u.int_in_range(1..=3)?;
    config.max_cache_bytes = *u.choose(&[64 << 20, 300])?;
    config.max_elements = *u.choose(&[64, 2])?;
    config.max_requests = *u.choose(&[1_000, 1, 2, 5])?;
    config.max_reports_per_second = u.int_in_range(1..=3)?;
    config.max_pending_reports = u.int_in_range(0..=3)?;
    config.max_sessions = *u.choose(&[1, 1, 2, 5])?;
    config.max_queued_messages = u.int_in_range(1..=6)?;
    config.max_queued_bytes = *u.choose(&[1_000, 150])?;
    config.max_cookie_len = 2_000;
    config.max_rounds = u.int_in_range(1..=9)?;
    config.max_handovers = u.int_in_range(1..=4)?;
    config.stable_after = secs(u, &[10, 2])?;
    config.session_backoff_max = secs(u, &[30, 3])?;
    config.failover_burst = u.int_in_range(0..=3)?;
    config.window_messages = u.int_in_range(1..=3)?;
    config.window_bytes = *u.choose(&[250, 1, 100_000])?;
    config.max_unread_bytes = *u.choose(&[2_000, 400, 0])?;
    config.max_control_bytes = u.int_in_range(40..=295)?;
    config.max_error_reports = u.int_in_range(0..=3)?;
    Ok(config)
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
