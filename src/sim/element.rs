//! The elements of a simulation: a server each, and the state of its sessions in cookies.

use alloc::vec::Vec;

use bytes::Bytes;

use super::host::Place;
use super::network::Packet;
use super::transcript::What;
use super::{Fault, Sim};
use crate::Instant;
use crate::slab::Key;
use crate::wire::{
    BodyRef, Message, MessageRef, Notes, PeIdentifier, Policy, PoolHandle, Protocol,
};

/// The application on the elements of a pool: from the state of a session, empty where the session
/// is new, and a message it makes the answer, if there is to be one.
///
/// Whenever it changes the state, the element leaves it with its user in a cookie, ahead of the
/// answer; an element that gets the session by a failover goes on from there (RFC 5352 §3.8).
pub type Service = fn(state: &mut Vec<u8>, message: &[u8]) -> Option<Bytes>;

#[derive(Debug)]
pub(super) struct Element {
    pub(super) pool: PoolHandle,
    policy: Policy,
    pub(super) place: Place,
    /// Whether it wants to be in its pool.
    member: bool,
    /// When it failed the last time.
    pub(super) failed: Instant,
    /// How often it was reported since registrars looked after it.
    pub(super) reports: u32,
    pub(super) sessions: usize,
    pub(super) calls: u64,
    served: u64,
}

impl Sim {
    /// An element joins a pool. All elements of a pool should have the same type of policy; the
    /// first one's is the pool's.
    ///
    /// Its identifier is unique in the whole simulation.
    pub fn element(&mut self, pool: impl Into<PoolHandle>, policy: Policy) -> PeIdentifier {
        let pool = pool.into();
        let identifier = PeIdentifier::new(self.elements.add(Element {
            pool: pool.clone(),
            policy: policy.clone(),
            place: Place::default(),
            member: true,
            failed: self.now,
            reports: 0,
            sessions: 0,
            calls: 0,
            served: 0,
        }));
        self.list(&pool, identifier, policy);
        identifier
    }

    /// Says what the elements of a pool do. Where nothing is said they echo what they get, and
    /// count the messages of a session in its state, as a `u64` in network byte order.
    pub fn set_service(&mut self, pool: impl Into<PoolHandle>, service: Service) {
        self.services.insert(pool.into(), service);
    }

    /// The elements of a pool listen on TCP instead of SCTP: what they say arrives in pieces of any size, and
    /// they have no control channel, so that they leave no cookies (RFC 5354 §3.5).
    pub fn listen_on_tcp(&mut self, pool: impl Into<PoolHandle>) {
        let pool = pool.into();
        if let Some(known) = self.handlespace.get_mut(&pool) {
            known.forget_answers();
        }
        self.tcp_pools.insert(pool);
    }

    /// An element leaves its pool in good order; its channels stay (RFC 5352 §3.2).
    pub fn leave(&mut self, element: PeIdentifier) {
        let found = &mut self.elements[element];
        found.member = false;
        let handle = found.pool.clone();
        if self.strike(&handle, element) {
            self.note(element, None, &What::Leaves(&handle));
        }
    }

    /// An element joins its pool again.
    pub fn join(&mut self, element: PeIdentifier) {
        self.elements[element].member = true;
        self.register(element);
    }

    /// An element registers again with other values: another load for instance.
    pub fn revalue(&mut self, element: PeIdentifier, policy: Policy) {
        self.elements[element].policy = policy;
        self.register(element);
    }

    /// How many messages an element has answered or taken.
    #[must_use]
    pub fn served(&self, element: PeIdentifier) -> u64 {
        self.elements[element].served
    }

    /// How often pool users wanted a channel to an element, whether it came to be or not.
    #[must_use]
    pub fn calls(&self, element: PeIdentifier) -> u64 {
        self.elements[element].calls
    }

    /// How many channels an element has with pool users.
    #[must_use]
    pub fn sessions(&self, element: PeIdentifier) -> usize {
        self.elements[element].sessions
    }

    /// An element registers, if it can and wants to.
    pub(super) fn register(&mut self, element: PeIdentifier) {
        let found = &mut self.elements[element];
        let fault = found.place.fault;
        if !found.member || matches!(fault, Some(Fault::Crash | Fault::Cut | Fault::Hang)) {
            return;
        }
        found.reports = 0;
        found.failed = self.now;
        if fault.is_some() {
            self.expect_keep_alive(element);
        }
        let found = &self.elements[element];
        let (pool, policy) = (found.pool.clone(), found.policy.clone());
        self.list(&pool, element, policy);
    }

    /// A user echoes a cookie.
    pub(super) fn restore(&mut self, key: Key, message: &[u8]) {
        let decoded = MessageRef::decode(message, &mut Notes::default());
        if let Ok(BodyRef::CookieEcho { cookie }) = decoded.map(|message| message.body) {
            if let Some(link) = self.links.get_mut(key) {
                link.state = cookie.to_vec();
            }
        }
    }

    /// A message came to an element: what goes back.
    pub(super) fn serve(&mut self, key: Key, element: PeIdentifier, data: &[u8]) -> Vec<Packet> {
        let Some(link) = self.links.get_mut(key) else { return Vec::new() };
        let found = &mut self.elements[element];
        found.served += 1;
        let service = self.services.get(&found.pool).copied().unwrap_or(echo);
        let before = link.state.clone();
        let answer = service(&mut link.state, data);
        let changed = link.state != before && link.protocol != Protocol::Tcp;
        let cookie = changed.then(|| Message::cookie(link.state.clone()).to_bytes().ok()).flatten();
        cookie.map(Packet::Control).into_iter().chain(answer.map(Packet::Reply)).collect()
    }
}

fn echo(state: &mut Vec<u8>, message: &[u8]) -> Option<Bytes> {
    let count = <[u8; 8]>::try_from(&state[..]).map_or(0, u64::from_be_bytes);
    *state = (count + 1).to_be_bytes().to_vec();
    Some(Bytes::copy_from_slice(message))
}
