//! What one seed leads to, written down, so that a machine with another order of bytes or another
//! width of words is held to the same [CORE-2].

mod lab;

use asap_pu::wire::{Message, OverallPolicy, Policy, PolicyType};
use asap_pu::{Action, Instant, Payload};
use lab::*;

/// The draws of the hunt: who is tried, in which order, and for how long.
#[test]
fn the_hunt_is_the_same() {
    let mut lab = Lab::knowing(&FIVE);
    lab.pu.registrars_mut(lab.now).find_home();
    let tried: Vec<_> = lab.opens().into_iter().map(|open| open.to.to_string()).collect();
    assert_eq!(tried, ["192.0.2.3:3863", "192.0.2.4:3863", "192.0.2.2:3863"]);
    assert_eq!(lab.pu.poll_timeout().map(Instant::as_nanos), Some(9_087_561_441));
}

/// The bytes of a request, and the draws of a weighted policy.
#[test]
fn requests_and_choices_are_the_same() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    let Some(Action::Send { payload: Payload::Control(request), .. }) = lab.pu.poll_action() else {
        panic!("a request")
    };
    assert_eq!(request[..], *b"\x05\0\0\x18\0\x09\0\x0cEchoPool\x80\x3f\0\x08\0\0\0\x80");
    let elements = (1..=3).map(|id| {
        let mut element = element(id);
        element.policy = Policy::WeightedRandom { weight: id };
        element
    });
    let policy = OverallPolicy::new(PolicyType::WEIGHTED_RANDOM, Default::default());
    let list = Message::handle_resolution_response(POOL, Some(policy), elements.collect());
    lab.receive(home, &list);
    let (_, pool) = resolved(lab.event());
    assert_eq!(lab.choose(pool), [2, 3, 3, 2, 3, 3, 3, 3, 3, 3, 2, 3, 1, 2, 3, 3]);
}
