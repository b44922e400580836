//! A small simulated world, for tests of what comes of a failure in the end.
#![allow(dead_code, reason = "each test uses a part")]

use core::iter;
use core::time::Duration;

use asap_pu::sim::{Sim, UserId};
use asap_pu::wire::{PeIdentifier, Policy};
use asap_pu::{Event, Failover, MessageId, SessionId, SessionOptions};

pub(crate) const POOL: &str = "EchoPool";

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// One registrar, and a pool of three elements that echo.
pub(crate) fn three(seed: u64) -> (Sim, [PeIdentifier; 3]) {
    let mut sim = Sim::new(seed);
    sim.registrar();
    let elements = [(); 3].map(|()| sim.element(POOL, Policy::RoundRobin));
    (sim, elements)
}

/// A user that knows all registrars there are, with a session.
pub(crate) fn user(sim: &mut Sim) -> (UserId, SessionId) {
    let user = sim.user(sim.config()).unwrap();
    (user, open(sim, user))
}

pub(crate) fn open(sim: &mut Sim, user: UserId) -> SessionId {
    sim.call(user, |pu, now| pu.open_session(now, POOL, SessionOptions::default())).unwrap()
}

/// Sends what may be sent again.
pub(crate) fn send(sim: &mut Sim, user: UserId, session: SessionId, data: &[u8]) -> MessageId {
    let data = data.to_vec();
    sim.call(user, |pu, now| {
        pu.session_mut(now, session).unwrap().send(data, Failover::Unconfirmed)
    })
    .unwrap()
}

/// What is told within a time.
pub(crate) fn events(sim: &mut Sim, within: Duration) -> Vec<Event> {
    let until = sim.now() + within;
    iter::from_fn(|| sim.next(until)).map(|(_, event)| event).collect()
}
