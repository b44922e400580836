//! Several associations over one socket, and the books that tell whose a packet is.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use asap_pu::Instant;
use dcsctp::api::Options;

use super::association::{Association, Outputs};
use super::packet::{self, Packet, chunk};
use super::{AssociationId, Carrier, Datagram, Event};

/// The ports that nobody listens to (RFC 6335 §6), from which peers are called.
const FIRST_DYNAMIC_PORT: u16 = 49_152;
/// What every host takes (RFC 791).
const LEAST_MTU: u16 = 576;
/// As many associations as peers can set up.
const MAX_ACCEPTED: usize = 256;
/// The longest message, which the peer's buffer has to take whole; as with the kernel's SCTP.
pub(super) const LONGEST: usize = 0x2_0000;
/// Where a peer's messages wait for their missing pieces.
const RECEIVE_BUFFER: usize = 2 * LONGEST;

/// What an [`Endpoint`] is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What carries packets.
    pub carrier: Carrier,
    /// The longest IP packet that is sent, in bytes, from 576 to 9,000: no more than every network on
    /// the way lets through, since nothing finds out what that is. 1,280 if not changed, which IPv6
    /// warrants, and IPv4 in practice.
    pub path_mtu: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self { carrier: Carrier::Udp(super::UDP_PORT), path_mtu: 1_280 }
    }
}

/// What was counted; nothing of it is an error of this side.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Packets that were sent, and taken in for an association.
    pub sent: u64,
    /// See `sent`.
    pub received: u64,
    /// Dropped: too short, cut, or with a wrong checksum.
    pub damaged: u64,
    /// Dropped: of no association here, or forged.
    pub strangers: u64,
    /// Packets that came from another UDP port than those before, which was taken up (RFC 6951 §5.4).
    pub rebound: u64,
    /// Calls of peers that were turned away because there are too many.
    pub turned_away: u64,
}

/// SCTP without I/O: datagrams in, datagrams out, one deadline. `M` is what messages are called by.
///
/// Every peer is called from an SCTP port of its own, which the ports of a packet and the tag that
/// this side gave its peer tell: whatever address it comes from, since a peer may have several.
#[derive(Debug)]
pub struct Endpoint<M> {
    settings: Settings,
    route_mtu: u16,
    secret: u128,
    /// How many random numbers were made of it.
    drawn: u64,
    last_id: u64,
    entries: BTreeMap<AssociationId, Entry<M>>,
    /// By this side's and the peer's SCTP port.
    by_ports: BTreeMap<(u16, u16), Vec<AssociationId>>,
    deadlines: BTreeSet<(Instant, AssociationId)>,
    /// Where peers may call.
    listening: Option<u16>,
    outputs: Outputs<M>,
    counters: Counters,
}

/// An association and what is in the books of it.
#[derive(Debug)]
struct Entry<M> {
    association: Association<M>,
    ports: (u16, u16),
    deadline: Option<Instant>,
}

impl<M: Clone> Endpoint<M> {
    /// Nobody must be able to guess the secret: who knows it can take part in what is said. The same
    /// one and the same inputs give the same outputs.
    ///
    /// # Errors
    /// The MTU is out of its range.
    pub fn new(settings: Settings, secret: u128) -> io::Result<Self> {
        if !(LEAST_MTU..=9_000).contains(&settings.path_mtu) {
            let why = "the path MTU is not between 576 and 9000";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(Self {
            settings,
            route_mtu: u16::MAX,
            secret,
            drawn: 0,
            last_id: 0,
            entries: BTreeMap::new(),
            by_ports: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            listening: None,
            outputs: Outputs::default(),
            counters: Counters::default(),
        })
    }

    /// What carries its packets.
    #[must_use]
    pub const fn carrier(&self) -> Carrier {
        self.settings.carrier
    }

    /// What was counted.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many associations there are, those included that are being closed.
    #[must_use]
    pub fn associations(&self) -> usize {
        self.entries.len()
    }

    /// The longest IP packet that the routes of this host take, in bytes, as far as is known: those that
    /// are sent on associations from now on are no longer.
    pub fn set_route_mtu(&mut self, mtu: u16) {
        self.route_mtu = mtu.max(LEAST_MTU);
    }

    /// Lets peers call at this SCTP port. A pool user does not need that; its peers do, in tests.
    pub fn listen(&mut self, port: u16) {
        self.listening = Some(port);
    }

    /// Calls a peer at its addresses, one after the other, and at the SCTP port of the first of them.
    /// Comes to [`Event::Up`] or [`Event::Ended`].
    ///
    /// # Errors
    /// No address was given.
    pub fn connect(
        &mut self,
        now: Instant,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> io::Result<AssociationId> {
        let mut to: Vec<_> = addresses.into_iter().collect();
        let port = to.first().map_or(0, SocketAddr::port);
        to.iter_mut().for_each(|at| at.set_port(self.settings.carrier.port()));
        if to.is_empty() {
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "the peer has no address"));
        }
        let ports = (self.free_port(port), port);
        let (id, random) = (self.next_id(), self.draw());
        let options = self.options(ports);
        let new = Association::call(id, now, &options, random, to, &mut self.outputs);
        self.insert(id, ports, new);
        self.note(id);
        Ok(id)
    }

    /// Sends a message that is to be called `name`. Its fate is told: [`Event::Written`] and
    /// [`Event::Delivered`], or [`Event::Unsent`]. Nothing more is told of one that was on its way when
    /// the association ended, or if there is no such association.
    pub fn send(
        &mut self,
        now: Instant,
        id: AssociationId,
        name: M,
        ppid: u32,
        data: &[u8],
        unordered: bool,
    ) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.association.send(now, name, ppid, data, unordered, &mut self.outputs);
            self.note(id);
        }
    }

    /// Closes an association in good order behind what was sent, if the peer acknowledges that within
    /// thirty seconds. Nothing more is told of it.
    pub fn close(&mut self, now: Instant, id: AssociationId) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.association.close(now, &mut self.outputs);
            self.note(id);
        }
    }

    /// A datagram has come: an SCTP packet, without the headers of what carried it.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        let completed = packet::completed(bytes);
        let Some(packet) = Packet::new(completed.as_deref().unwrap_or(bytes)) else {
            self.counters.damaged += 1;
            return;
        };
        let ports = (packet.destination_port(), packet.source_port());
        let found = self.by_ports.get(&ports).into_iter().flatten().copied();
        let mut found = found.filter(|id| self.entries[id].association.is_from_peer(from, packet));
        let id = match found.next() {
            Some(id) => id,
            None if packet.kind() == chunk::INIT && self.listening == Some(ports.0) => {
                if self.entries.len() >= MAX_ACCEPTED {
                    self.counters.turned_away += 1;
                    return;
                }
                let (id, random) = (self.next_id(), self.draw());
                let options = self.options(ports);
                let new = Association::answer(id, now, &options, random, from);
                self.insert(id, ports, new);
                id
            }
            None => return self.handle_stranger(from, packet),
        };
        self.counters.received += 1;
        if let Some(entry) = self.entries.get_mut(&id) {
            let has_moved = entry.association.handle_packet(now, from, packet, &mut self.outputs);
            self.counters.rebound += u64::from(has_moved);
            self.note(id);
        }
    }

    fn handle_stranger(&mut self, from: SocketAddr, packet: Packet<'_>) {
        self.counters.strangers += 1;
        // What comes as plain IP may be for another program on this host.
        let Carrier::Udp(_) = self.settings.carrier else { return };
        // Of an association that is there, it is forged, or late.
        if self.by_ports.contains_key(&(packet.destination_port(), packet.source_port())) {
            return;
        }
        if let Some(bytes) = packet.answer_to_stranger() {
            self.outputs.datagrams.push_back(Datagram { to: from, bytes });
        }
    }

    /// A datagram could not be sent, or the network said that it could not be delivered (ICMP). Of
    /// an attempt to call a peer, that ends the attempt at this address.
    pub fn handle_unreachable(
        &mut self,
        now: Instant,
        to: SocketAddr,
        bytes: &[u8],
        why: io::Error,
    ) {
        // Of what comes back there may be but the beginning.
        let Some(packet) = Packet::beginning(bytes) else { return };
        let ports = (packet.source_port(), packet.destination_port());
        let Some([id]) = self.by_ports.get(&ports).map(Vec::as_slice) else { return };
        let id = *id;
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.association.handle_unreachable(now, to, packet, why, &mut self.outputs);
            self.note(id);
        }
    }

    /// The time has come that [`poll_timeout`](Self::poll_timeout) told.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = self.deadlines.range(..=(now, AssociationId(u64::MAX)));
        let due: Vec<_> = due.map(|(_, id)| *id).collect();
        for id in due {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.association.handle_timeout(now, &mut self.outputs);
                self.note(id);
            }
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout): at once while anything waits to be polled.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.outputs.datagrams.is_empty() && self.outputs.events.is_empty() {
            true => self.deadlines.first().map(|(at, _)| *at),
            false => Some(Instant::EPOCH),
        }
    }

    /// What is to be sent next.
    pub fn poll_datagram(&mut self) -> Option<Datagram> {
        let next = self.outputs.datagrams.pop_front();
        self.counters.sent += u64::from(next.is_some());
        next
    }

    /// What has happened next.
    pub fn poll_event(&mut self) -> Option<(AssociationId, Event<M>)> {
        self.outputs.events.pop_front()
    }

    fn insert(&mut self, id: AssociationId, ports: (u16, u16), association: Association<M>) {
        self.by_ports.entry(ports).or_default().push(id);
        self.entries.insert(id, Entry { association, ports, deadline: None });
    }

    /// Brings the books in line with what an association has come to.
    fn note(&mut self, id: AssociationId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let (is_over, new) = (entry.association.is_over(), entry.association.poll_timeout());
        if let Some(old) = entry.deadline {
            self.deadlines.remove(&(old, id));
        }
        entry.deadline = new.filter(|_| !is_over);
        self.deadlines.extend(entry.deadline.map(|at| (at, id)));
        if is_over {
            let ports = entry.ports;
            self.entries.remove(&id);
            if let Some(others) = self.by_ports.get_mut(&ports) {
                others.retain(|other| *other != id);
                if others.is_empty() {
                    self.by_ports.remove(&ports);
                }
            }
        }
    }

    fn next_id(&mut self) -> AssociationId {
        self.last_id += 1;
        AssociationId(self.last_id)
    }

    /// A port of this side that no other association with that port of a peer has.
    fn free_port(&mut self, remote: u16) -> u16 {
        let ports = FIRST_DYNAMIC_PORT..=u16::MAX;
        let first = self.draw() as usize;
        let at = |n| FIRST_DYNAMIC_PORT + ((first.wrapping_add(n)) % ports.len()) as u16;
        let mut candidates = (0..ports.len()).map(at);
        let is_free = |port: &u16| !self.by_ports.contains_key(&(*port, remote));
        candidates.find(is_free).unwrap_or(FIRST_DYNAMIC_PORT)
    }

    /// A number that tells nothing of those before it.
    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        let mut hasher = DefaultHasher::new();
        (self.secret, self.drawn).hash(&mut hasher);
        hasher.finish()
    }

    /// What the library is to do.
    fn options(&self, (local_port, remote_port): (u16, u16)) -> Options {
        let second = Duration::from_secs(1);
        let path_mtu = self.settings.path_mtu.min(self.route_mtu);
        Options {
            local_port,
            remote_port,
            mtu: usize::from(path_mtu) - self.settings.carrier.overhead(),
            max_message_size: LONGEST,
            max_receiver_window_buffer_size: RECEIVE_BUFFER,
            // How much may wait, the pool user says.
            max_send_buffer_size: usize::MAX / 2,
            per_stream_send_queue_limit: usize::MAX / 2,
            announced_maximum_incoming_streams: u16::MAX,
            announced_maximum_outgoing_streams: 1,
            // A silent peer is lost after nine seconds if anything is on its way, and after half a minute
            // if heartbeats have to find out: about as with the kernel driver's values.
            rto_initial: second / 2,
            rto_min: second / 2,
            rto_max: 3 * second / 2,
            max_timer_backoff_duration: Some(3 * second / 2),
            // Counted in `association`.
            max_retransmissions: None,
            heartbeat_interval: 4 * second,
            t1_init_timeout: second / 2,
            t1_cookie_timeout: second / 2,
            t2_shutdown_timeout: second / 2,
            max_init_retransmits: Some(4),
            // A message that is late is not a message that is lost.
            enable_partial_reliability: false,
            ..Options::default()
        }
    }
}
