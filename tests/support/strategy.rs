//! Any message and any parameter that can be written down.

use std::net::{IpAddr, SocketAddr};

use asap_pu::wire::{
    Cause, CauseCode, IpTransport, Message, OverallPolicy, Parameter, ParameterType, PeIdentifier,
    Policy, PolicyType, PoolElement, PoolHandle, RawParameter, ServerIdentifier, ServerInformation,
    Transport, TransportUse,
};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

pub(crate) fn message() -> impl Strategy<Value = Message> {
    (plain_message(), any::<u8>(), vec(raw(), 0..3)).prop_map(|(mut message, flags, extra)| {
        // Bit 0 is the only one that has a meaning, in some types.
        message.flags = flags & !0x01;
        message.extra = extra;
        message
    })
}

/// One of each type, without anything that the RFC does not name.
fn plain_message() -> impl Strategy<Value = Message> {
    let of_element = || (handle(), identifier());
    let elements = |least| vec(element(), least..4);
    prop_oneof![
        (handle(), element()).prop_map(|(h, e)| Message::registration(h, e)),
        of_element().prop_map(|(h, i)| Message::deregistration(h, i)),
        (any::<bool>(), of_element(), option::of(causes()))
            .prop_map(|(r, (h, i), c)| Message::registration_response(r, h, i, c)),
        (of_element(), option::of(causes()))
            .prop_map(|((h, i), c)| Message::deregistration_response(h, i, c)),
        (any::<bool>(), handle(), any::<Option<u32>>())
            .prop_map(|(s, h, w)| Message::handle_resolution(s, h, w)),
        (handle(), option::of(overall()), elements(1))
            .prop_map(|(h, p, e)| Message::handle_resolution_response(h, p, e)),
        (handle(), causes()).prop_map(|(h, c)| Message::handle_resolution_failure(h, c)),
        (any::<bool>(), server(), handle())
            .prop_map(|(home, s, h)| Message::endpoint_keep_alive(home, s, h)),
        of_element().prop_map(|(h, i)| Message::endpoint_keep_alive_ack(h, i)),
        of_element().prop_map(|(h, i)| Message::endpoint_unreachable(h, i)),
        (server(), vec(prop_oneof![sctp().prop_map(Transport::Sctp), tcp()], 0..4))
            .prop_map(|(s, t)| Message::server_announce(s, t)),
        bytes().prop_map(Message::cookie),
        bytes().prop_map(Message::cookie_echo),
        (handle(), elements(0)).prop_map(|(h, e)| Message::business_card(h, e)),
        causes().prop_map(Message::error),
    ]
}

pub(crate) fn parameter() -> impl Strategy<Value = Parameter> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|v4| Parameter::Ipv4Address(v4.into())),
        any::<[u8; 16]>().prop_map(|v6| Parameter::Ipv6Address(v6.into())),
        transport().prop_map(Parameter::Transport),
        policy().prop_map(Parameter::Policy),
        handle().prop_map(Parameter::PoolHandle),
        element().prop_map(Parameter::PoolElement),
        (server(), sctp())
            .prop_map(|(s, t)| Parameter::ServerInformation(ServerInformation::new(s, t))),
        causes().prop_map(Parameter::OperationError),
        bytes().prop_map(Parameter::Cookie),
        identifier().prop_map(Parameter::PeIdentifier),
        any::<u16>().prop_map(Parameter::PeChecksum),
        any::<u32>().prop_map(Parameter::ElementsWanted),
        raw().prop_map(Parameter::Unknown),
    ]
}

fn element() -> impl Strategy<Value = PoolElement> {
    let fields = (identifier(), server(), any::<i32>());
    (fields, transport(), policy(), option::of(sctp()), vec(raw(), 0..2)).prop_map(
        |((identifier, home, life), transport, policy, asap, extra)| {
            let mut element = PoolElement::new(identifier, transport, policy);
            element.home = home;
            element.registration_life = life;
            element.asap_transport = asap;
            element.extra = extra;
            element
        },
    )
}

fn transport() -> impl Strategy<Value = Transport> {
    prop_oneof![
        sctp().prop_map(Transport::Sctp),
        tcp(),
        socket().prop_map(Transport::udp),
        socket().prop_map(Transport::udp_lite),
        (socket(), any::<u32>()).prop_map(|(at, code)| Transport::dccp(at, code)),
        bytes().prop_map(Transport::Opaque),
    ]
}

fn sctp() -> impl Strategy<Value = IpTransport> {
    (any::<u16>(), 0..3_u16, vec(any::<IpAddr>(), 0..4), vec(raw(), 0..2)).prop_map(
        |(port, transport_use, addresses, extra)| {
            let mut transport = IpTransport::new(port, TransportUse::new(transport_use), addresses);
            transport.extra = extra;
            transport
        },
    )
}

/// With a reserved field that is not 0, as real peers write it, and at times without an address.
fn tcp() -> impl Strategy<Value = Transport> {
    (socket(), any::<u16>(), any::<bool>()).prop_map(|(at, reserved, reachable)| {
        let addresses = reachable.then_some(at.ip());
        Transport::Tcp(IpTransport::new(at.port(), TransportUse::new(reserved), addresses))
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    (0..10_u8, any::<u32>(), any::<u32>(), bytes()).prop_map(|(which, a, b, values)| match which {
        0 => Policy::RoundRobin,
        1 => Policy::WeightedRoundRobin { weight: a },
        2 => Policy::Random,
        3 => Policy::WeightedRandom { weight: a },
        4 => Policy::Priority { priority: a },
        5 => Policy::LeastUsed { load: a },
        6 => Policy::LeastUsedDegradation { load: a, degradation: b },
        7 => Policy::PriorityLeastUsed { load: a, degradation: b },
        8 => Policy::RandomizedLeastUsed { load: a },
        _ => {
            // Private ones, and the two numbers that are never valid.
            let policy = [0, 0x4000_0000, a | 0x8000_0000][(b % 3) as usize];
            Policy::Other { policy: PolicyType::new(policy), values }
        }
    })
}

fn overall() -> impl Strategy<Value = OverallPolicy> {
    (any::<u32>(), bytes()).prop_map(|(p, values)| OverallPolicy::new(PolicyType::new(p), values))
}

fn causes() -> impl Strategy<Value = Vec<Cause>> {
    let cause = (any::<u16>(), bytes());
    vec(cause.prop_map(|(code, info)| Cause::new(CauseCode::new(code), info)), 0..4)
}

/// Of a type that is unknown and may be skipped.
fn raw() -> impl Strategy<Value = RawParameter> {
    let unknown = (0x8000_u16..).prop_map(ParameterType::new);
    (unknown.prop_filter("known", |it| it.name().is_none()), bytes())
        .prop_map(|(parameter, value)| RawParameter::new(parameter, value))
}

fn handle() -> impl Strategy<Value = PoolHandle> {
    bytes().prop_map(PoolHandle::from)
}

fn identifier() -> impl Strategy<Value = PeIdentifier> {
    any::<u32>().prop_map(PeIdentifier::new)
}

fn server() -> impl Strategy<Value = ServerIdentifier> {
    any::<u32>().prop_map(ServerIdentifier::new)
}

fn socket() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(SocketAddr::from)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}
