//! The registrars of a simulation: one handlespace that all of them know, as ENRP would have it
//! (RFC 5353), and what each of them says of it.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::host::{Place, element_transport, registrar_address};
use super::network::Packet;
use super::transcript::What;
use super::{Fault, Host, Lie, Occurrence, Sim, UserId};
use crate::Registrar as Known;
use crate::slab::Key;
use crate::wire::{
    BodyRef, CauseCode, Message, MessageRef, MessageType, Notes, OverallPolicy, PeIdentifier,
    Policy, PoolElement, PoolHandle, Protocol, ServerIdentifier, Transport,
};

/// T6-Serverannounce for each registrar there is (RFC 5352 §2.2.10).
const ANNOUNCE: Duration = Duration::from_secs(1);
/// How long after its failure registrars miss an element without being told (RFC 5352 §2.2.7).
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// MAX-BAD-PE-REPORT: so many reports make registrars look after an element (RFC 5352 §2.2.9).
const MAX_REPORTS: u32 = 3;
/// Elements beginning with this number do not exist.
const STRANGERS: u32 = 0x00f0_0000;
/// As many elements as fit into one message.
const CROWD: u32 = 1_480;

/// Which elements each pool has, in the order in which they joined.
pub(super) type Handlespace = BTreeMap<PoolHandle, Pool>;

#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    elements: Vec<(PeIdentifier, Policy)>,
    /// Which element the next answer begins with.
    first: usize,
    /// The whole list as an answer, by its first element, where somebody has asked for it.
    answers: BTreeMap<usize, Bytes>,
}

#[derive(Debug)]
pub(super) struct Registrar {
    pub(super) place: Place,
    /// What it knows, if that is not what all know.
    lagging: Option<Handlespace>,
}

impl Sim {
    /// A registrar joins the others.
    pub fn registrar(&mut self) -> ServerIdentifier {
        let registrar = Registrar { place: Place::default(), lagging: None };
        let server = ServerIdentifier::new(self.registrars.add(registrar));
        if self.announces {
            self.later(Duration::ZERO, Occurrence::Announce(server));
        }
        server
    }

    /// Where a registrar listens, by SCTP; it listens by TCP at the same address and port.
    #[must_use]
    pub fn registrar_at(&self, server: ServerIdentifier) -> Known {
        let at = registrar_address(server);
        Known::sctp(at.port(), [at.ip()])
    }

    /// Where a registrar listens by TCP.
    pub(super) fn registrar_at_tcp(&self, server: ServerIdentifier) -> Known {
        Known::tcp(registrar_address(server))
    }

    /// Lets the registrars announce themselves to all pool users that listen, each every
    /// (N+1) seconds where there are N others.
    pub fn announce(&mut self) {
        if !core::mem::replace(&mut self.announces, true) {
            for n in 1..=self.registrars.len() {
                let phase = Duration::from_millis(self.rng.below(1_000));
                self.later(phase, Occurrence::Announce(ServerIdentifier::new(n)));
            }
        }
    }

    /// Lets the registrars grant updates to those who subscribe to a pool (RFC 5352 §2.2.5): while
    /// the channel lives, a registrar that nothing ails sends the list of the pool whenever that
    /// changes, and that it is unknown once nobody is listed.
    pub const fn grant_updates(&mut self) {
        self.grants = true;
    }

    pub(super) fn announced(&mut self, server: ServerIdentifier) {
        let every = ANNOUNCE * self.registrars.len();
        self.later(every, Occurrence::Announce(server));
        let place = self.place(server.into()).copied().unwrap_or_default();
        if let Some(Fault::Crash | Fault::Cut | Fault::Hang) = place.fault {
            return;
        }
        let at = registrar_address(server);
        let transports = vec![Transport::tcp(at), self.registrar_at(server).transport];
        let Ok(datagram) = Message::server_announce(server, transports).to_bytes() else { return };
        self.note(server, None, &What::Announces(&datagram));
        for user in (1..=self.users.len()).map(UserId) {
            let listens = self.users[user].pool_user.config().discovery.accept_announces;
            if listens && self.can_hear(user, server) {
                self.call(user, |pu, now| pu.handle_announce(now, at, &datagram));
            }
        }
    }

    /// Something changed in a registrar's health: one that begins to lag knows what all know.
    pub(super) fn mind(&mut self, server: ServerIdentifier) {
        let lags = self.place(server.into()).is_some_and(|place| place.fault == Some(Fault::Lag));
        let lagging = lags.then(|| self.handlespace.clone());
        self.registrars[server].lagging = lagging;
    }

    /// Puts an element on the list of its pool, or changes what stands there.
    pub(super) fn list(&mut self, handle: &PoolHandle, element: PeIdentifier, policy: Policy) {
        let pool = self.handlespace.entry(handle.clone()).or_default();
        pool.answers.clear();
        match pool.elements.iter_mut().find(|(listed, _)| *listed == element) {
            Some((_, value)) => *value = policy,
            None => {
                pool.elements.push((element, policy));
                self.note(element, None, &What::Joins(handle));
            }
        }
        self.update(handle);
    }

    /// A pool has changed: tells those who subscribe to it.
    fn update(&mut self, handle: &PoolHandle) {
        if !self.grants {
            return;
        }
        let subscribed = self.links.iter().filter(|(_, link)| link.subscribed.contains(handle));
        let subscribed: Vec<_> = subscribed.map(|(key, link)| (key, link.peer)).collect();
        for (key, peer) in subscribed {
            let Host::Registrar(server) = peer else { continue };
            if self.registrars[server].place.fault.is_none() {
                if let Some(list) = self.resolve(server, handle, None) {
                    self.say(key, Duration::ZERO, Packet::Control(with_updates(&list)));
                }
            }
        }
    }

    /// Strikes an element off the list; says whether it was there.
    pub(super) fn strike(&mut self, handle: &PoolHandle, element: PeIdentifier) -> bool {
        let Some(pool) = self.handlespace.get_mut(handle) else { return false };
        let before = pool.elements.len();
        pool.elements.retain(|(listed, _)| *listed != element);
        pool.answers.clear();
        let there = pool.elements.len() < before;
        if pool.elements.is_empty() {
            self.handlespace.remove(handle);
        }
        if there {
            self.update(handle);
        }
        there
    }

    /// From here on registrars strike nobody off: an element stays listed whatever is wrong with it,
    /// as one does whose service is gone and whose registration is kept up by something else.
    pub fn strike_nobody(&mut self) {
        self.lenient = true;
    }

    /// Whether the registrars list an element.
    #[must_use]
    pub fn is_listed(&self, element: PeIdentifier) -> bool {
        let handle = &self.elements[element].pool;
        let pool = self.handlespace.get(handle);
        pool.is_some_and(|pool| pool.elements.iter().any(|(listed, _)| *listed == element))
    }

    /// The registrars look after an element a while after it failed.
    pub(super) fn expect_keep_alive(&mut self, element: PeIdentifier) {
        self.later(KEEP_ALIVE, Occurrence::KeepAlive(element, self.now));
    }

    /// The registrars look after an element that failed at `since`.
    pub(super) fn keep_alive(&mut self, element: PeIdentifier, since: crate::Instant) {
        if self.elements[element].failed == since {
            self.probe(element);
        }
    }

    /// Strikes an element off if it does not answer.
    fn probe(&mut self, element: PeIdentifier) {
        if self.lenient {
            return;
        }
        let found = &mut self.elements[element];
        found.reports = 0;
        let Some(Fault::Crash | Fault::Cut | Fault::Hang | Fault::Refuse) = found.place.fault
        else {
            return;
        };
        let handle = found.pool.clone();
        if self.strike(&handle, element) {
            self.note(element, None, &What::Unlisted(&handle));
        }
    }

    /// A message came to a registrar; its answer, if it has one.
    pub(super) fn ask_registrar(
        &mut self,
        key: Key,
        server: ServerIdentifier,
        message: &[u8],
    ) -> Option<Bytes> {
        match MessageRef::decode(message, &mut Notes::default()).ok()?.body {
            BodyRef::HandleResolution { subscribe, handle, wanted } => {
                let handle = handle.into();
                let answer = self.resolve(server, &handle, wanted)?;
                if !subscribe || !self.grants {
                    return Some(answer);
                }
                self.links.get_mut(key)?.subscribed.insert(handle);
                Some(with_updates(&answer))
            }
            BodyRef::EndpointUnreachable { identifier, .. } => {
                self.elements.get(identifier.get())?;
                let reports = &mut self.elements[identifier].reports;
                *reports += 1;
                if *reports >= MAX_REPORTS {
                    self.probe(identifier);
                }
                None
            }
            _ => None,
        }
    }

    fn resolve(
        &mut self,
        server: ServerIdentifier,
        handle: &PoolHandle,
        wanted: Option<u32>,
    ) -> Option<Bytes> {
        let protocol = match self.tcp_pools.contains(handle) {
            true => Protocol::Tcp,
            false => Protocol::Sctp,
        };
        let registrar = &mut self.registrars[server];
        if let Some(Fault::Lie(lie)) = registrar.place.fault {
            return self.lie(lie, handle, protocol);
        }
        let known = registrar.lagging.as_mut().unwrap_or(&mut self.handlespace);
        match known.get_mut(handle) {
            Some(pool) => pool.answer(handle, wanted, protocol),
            None => unknown(handle),
        }
    }

    fn lie(&mut self, lie: Lie, handle: &PoolHandle, protocol: Protocol) -> Option<Bytes> {
        let strangers = |n| {
            let stranger = |n| (PeIdentifier::new(n), Policy::RoundRobin);
            Pool::of((STRANGERS..STRANGERS + n).map(stranger).collect())
                .answer(handle, None, protocol)
        };
        match lie {
            Lie::UnknownPool => unknown(handle),
            Lie::WrongHandle => {
                let wrong = PoolHandle::from(&[handle.as_bytes(), b"?"].concat()[..]);
                let elements = self.handlespace.get(handle)?.elements.clone();
                Pool::of(elements).answer(&wrong, None, protocol)
            }
            Lie::EmptyList => {
                let request = Message::handle_resolution(false, handle.clone(), None);
                let mut bytes = request.to_bytes().ok()?.to_vec();
                bytes[0] = MessageType::HANDLE_RESOLUTION_RESPONSE.get();
                Some(bytes.into())
            }
            Lie::Strangers => strangers(3),
            Lie::Crowd => strangers(CROWD),
            Lie::Garbage => {
                let words = (0..self.rng.below(16)).map(|_| self.rng.next_u64().to_be_bytes());
                Some(words.collect::<Vec<_>>().concat().into())
            }
        }
    }
}

impl Pool {
    fn of(elements: Vec<(PeIdentifier, Policy)>) -> Self {
        Self { elements, ..Self::default() }
    }

    /// The elements have moved.
    pub(super) fn forget_answers(&mut self) {
        self.answers.clear();
    }

    /// The list, or as much of it as is wanted; each begins one element later than the one before,
    /// so that users who begin with the first do not all begin with the same. One that does not fit
    /// into a message is not sent.
    fn answer(
        &mut self,
        handle: &PoolHandle,
        wanted: Option<u32>,
        protocol: Protocol,
    ) -> Option<Bytes> {
        let len = self.elements.len();
        let first = self.first % len.max(1);
        self.first = first + 1;
        let wanted = wanted.map_or(usize::MAX, |wanted| wanted as usize);
        if wanted >= len && self.answers.contains_key(&first) {
            return self.answers.get(&first).cloned();
        }
        let element = |(identifier, policy): &(PeIdentifier, Policy)| {
            let transport = element_transport(*identifier, protocol);
            PoolElement::new(*identifier, transport, policy.clone())
        };
        let (before, behind) = self.elements.split_at(first);
        let elements: Vec<_> = behind.iter().chain(before).take(wanted).map(element).collect();
        let policy = OverallPolicy::from(&self.elements.first()?.1);
        let answer = Message::handle_resolution_response(handle.clone(), Some(policy), elements);
        let answer = answer.to_bytes().ok()?;
        if wanted >= len {
            self.answers.insert(first, answer.clone());
        }
        Some(answer)
    }
}

/// The same answer with the A bit (RFC 5352 §2.2.6).
fn with_updates(answer: &Bytes) -> Bytes {
    let mut bytes = answer.to_vec();
    if let Some(flags) = bytes.get_mut(1) {
        *flags |= 1;
    }
    bytes.into()
}

fn unknown(handle: &PoolHandle) -> Option<Bytes> {
    let causes = vec![CauseCode::UNKNOWN_POOL_HANDLE.into()];
    Message::handle_resolution_failure(handle.clone(), causes).to_bytes().ok()
}
