//! Values at the edge of what a field may hold, and what the machine makes of them.

mod lab;

use asap_pu::wire::{Message, OverallPolicy, Policy, PolicyType, Transport, TransportUse};
use asap_pu::{Identity, SessionOptions};
use lab::*;

/// [TLV-14] [SESSION-9]: a transport use other than 0 and 1 is for data only: nothing but data is sent
/// there.
#[test]
fn an_unknown_transport_use_is_data_only() {
    for (transport_use, cards) in [(0, 0), (1, 1), (2, 0), (0xffff, 0)] {
        let mut config = config(&[REGISTRAR]);
        config.sessions.identity = Some(Identity::new("own", id(77)));
        let mut element = element(1);
        let transport_use = TransportUse::new(transport_use);
        element.transport = Transport::sctp(7, transport_use, ["10.0.0.1".parse().unwrap()]);
        let (mut lab, _, _, _) = Lab::in_session(config, SessionOptions::default(), &[element]);
        assert_eq!(lab.actions().len(), cards, "{transport_use:?}");
    }
}

/// [SELECT-6]: a fully loaded element has no weight at all beside one that is not.
#[test]
fn a_fully_loaded_element_is_not_chosen_beside_another() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.requests();
    let elements = [u32::MAX, u32::MAX - 1].into_iter().zip(1..).map(|(load, id)| {
        let mut element = element(id);
        element.policy = Policy::RandomizedLeastUsed { load };
        element
    });
    let overall = OverallPolicy::new(PolicyType::RANDOMIZED_LEAST_USED, Default::default());
    let list = Message::handle_resolution_response(POOL, Some(overall), elements.collect());
    lab.receive(home, &list);
    let pool = resolved(lab.event()).1;
    assert_eq!(lab.choose::<200>(pool), [2; 200]);
}
