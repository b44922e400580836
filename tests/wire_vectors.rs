//! Messages that real peers sent: each is understood, and becomes the same bytes again.
#![allow(clippy::std_instead_of_alloc, reason = "tests have `std`")]

use std::collections::BTreeMap;

use asap_pu::wire::{
    Body, CauseCode, Message, MessageRef, MessageType, Notes, Policy, PolicyType, Protocol,
    ServerIdentifier, Transport, TransportUse,
};

mod support;
use support::vectors;

/// [TLV-11], [TLV-2]: what real peers send is in canonical form, and is kept in full.
#[test]
fn real_traffic_encodes_to_itself() {
    for (label, bytes) in vectors() {
        let message = Message::decode(&bytes).unwrap_or_else(|e| panic!("{label}: {e}"));
        assert_eq!(message.to_bytes().as_deref(), Ok(&bytes[..]), "{label}");
    }
}

/// [TLV-20], [RES-12]: twelve of the fourteen types occur, and nothing in them is unknown.
#[test]
fn real_traffic_is_understood() {
    let mut types = BTreeMap::<MessageType, usize>::new();
    let mut unexpected = BTreeMap::<MessageType, usize>::new();
    for (label, bytes) in vectors() {
        let mut notes = Notes::default();
        let message = MessageRef::decode(&bytes, &mut notes).unwrap();
        let name = message.message_type().name().unwrap().strip_prefix("ASAP_").unwrap();
        assert!(label.contains(&format!(":{name}:")), "{label} is not {name}");
        assert_eq!((notes.skipped, notes.report.len()), (0, 0), "{label}");
        *types.entry(message.message_type()).or_default() += 1;
        if notes.unexpected > 0 {
            *unexpected.entry(message.message_type()).or_default() += 1;
        }
    }
    assert_eq!(types.len(), 12);
    // A keep-alive names its element, which RFC 5352 does not foresee.
    let keep_alives = types[&MessageType::ENDPOINT_KEEP_ALIVE];
    assert_eq!(unexpected, BTreeMap::from([(MessageType::ENDPOINT_KEEP_ALIVE, keep_alives)]));
}

/// [TLV-13], [TLV-16], [TLV-17]: the fields of one registration, spelled out.
#[test]
fn a_registration_reads_as_it_was_meant() {
    let Body::Registration { handle, element, .. } = find("#38:5.046095:REGISTRATION:") else {
        panic!()
    };
    assert_eq!(handle.as_bytes(), b"rr");
    assert_eq!((element.identifier.get(), element.registration_life), (0x103, 60_000));
    assert_eq!(element.home, ServerIdentifier::UNDETERMINED);
    assert_eq!(element.policy, Policy::RoundRobin);
    assert_eq!(element.asap_transport, None);
    let address = "10.0.0.13".parse().unwrap();
    let expected = Transport::sctp(7000, TransportUse::DATA_PLUS_CONTROL, [address]);
    assert_eq!(element.transport, expected);
}

/// [TLV-17], [RES-8]: the overall policy and those of the elements, private ones too.
#[test]
fn policies_are_told_apart() {
    let mut overall = BTreeMap::<PolicyType, usize>::new();
    for (label, bytes) in vectors() {
        let message = Message::decode(&bytes).unwrap();
        let Body::HandleResolutionResponse { policy: Some(policy), elements, .. } = message.body
        else {
            continue;
        };
        *overall.entry(policy.policy).or_default() += 1;
        for element in &elements {
            assert_eq!(element.policy.policy_type(), policy.policy, "{label}");
            let is_private = matches!(element.policy, Policy::Other { .. });
            assert_eq!(is_private, policy.policy.is_private(), "{label}");
        }
    }
    assert_eq!(overall.keys().filter(|policy| policy.name().is_some()).count(), 9);
    assert_eq!(overall.keys().filter(|policy| policy.is_private()).count(), 7);
}

/// [RES-6]: an unknown pool is told by its cause.
#[test]
fn an_unknown_pool_is_a_cause() {
    let Body::HandleResolutionResponse { policy: None, elements, causes: Some(causes), .. } =
        find("HANDLE_RESOLUTION_RESPONSE:10.0.0.1:3863->10.0.0.101:50472/sctp:NoSuchPool")
    else {
        panic!()
    };
    assert!(elements.is_empty());
    assert_eq!(
        causes.iter().map(|cause| cause.code).collect::<Vec<_>>(),
        [CauseCode::UNKNOWN_POOL_HANDLE]
    );
}

/// [TLV-13]: SCTP, TCP and UDP transports occur; a reserved field is not a transport use.
#[test]
fn transports_of_three_protocols_occur() {
    let mut protocols = BTreeMap::<Protocol, usize>::new();
    for (_, bytes) in vectors() {
        let message = MessageRef::decode(&bytes, &mut Notes::default()).unwrap();
        if let asap_pu::wire::BodyRef::Registration { element, .. } = message.body {
            *protocols.entry(element.transport.protocol()).or_default() += 1;
            assert_eq!(element.transport.addresses().count(), 1);
            if element.transport.protocol() != Protocol::Sctp {
                assert!(!element.transport.transport_use().carries_control());
            }
        }
    }
    assert!(protocols.into_keys().eq([Protocol::Sctp, Protocol::Tcp, Protocol::Udp]));
}

fn find(label: &str) -> Body {
    let (_, bytes) = vectors().into_iter().find(|(l, _)| l.contains(label)).expect(label);
    Message::decode(&bytes).unwrap().body
}
