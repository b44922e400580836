//! One association: the library's socket, and what it does not do itself.
//!
//! *Setting up.* The library knows one address of its peer. So INIT packets are sent from here: one
//! after the other to all addresses that the peer has, a quarter of a second apart, and again, until
//! one is answered. The association then runs over the address that answered.
//!
//! *What becomes of messages.* The library tells when the last byte of a message went out, and when
//! all of it was acknowledged. When the association ends, it still tells how many bytes it never
//! sent. Messages go out in the order in which they came, so those bytes are the ends of the last
//! messages; the ones that are whole in there were never sent.
//!
//! *Shutting down.* The library begins to shut down as soon as nothing is on its way, even if
//! something waits behind that. So it is not told before all of that was sent.
//!
//! *A peer that is silent.* The library counts what it sends in vain, and counts the acknowledgements
//! of a peer that reads nothing, whose window is shut, as nothing. So the counting is done here: the
//! peer is lost when it has left seven rounds without any answer, of messages or of heartbeats.
//!
//! *Time that nobody saw.* If the host slept, every timer is overdue by all of that time, and a few
//! of them in a row would end the association. So the library's clock stands still while nobody
//! looks: each timer that is overdue fires once, and goes on from now.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use asap_pu::Instant;
use dcsctp::api::{
    DcSctpSocket, ErrorKind, LifecycleId, Message, Options, PpId, SendError, SendOptions,
    SocketEvent, SocketState, SocketTime, StreamId,
};

use super::packet::{self, Packet, chunk};
use super::socket::Socket;
use super::{AssociationId, Datagram, End, Event};
use crate::host::LINGER;

/// How long setting up may take: less than a session waits for it, so that the reason is heard.
const PATIENCE: Duration = Duration::from_millis(4_500);
/// How soon the next address is called; a half of `PATIENCE` is enough for all of them.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);
/// How soon all addresses are called again, the first time and later.
const NEXT_ROUND: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];
/// How often in a row the peer may leave something without an answer: where one packet of five is lost,
/// few associations end by chance.
const ROUNDS: u32 = 7;
/// By how much a timer may be late before that counts as time that nobody saw.
const LATE: Duration = Duration::from_millis(500);
/// As many tags as are offered to a peer that calls again and again before the first is forgotten.
const OFFERS: usize = 4;
/// Everything travels in this stream.
const STREAM: StreamId = StreamId(0);

/// What comes of what is done with associations.
#[derive(Debug)]
pub(super) struct Outputs<M> {
    pub(super) datagrams: VecDeque<Datagram>,
    pub(super) events: VecDeque<(AssociationId, Event<M>)>,
}

impl<M> Default for Outputs<M> {
    fn default() -> Self {
        Self { datagrams: VecDeque::new(), events: VecDeque::new() }
    }
}

pub(super) struct Association<M> {
    id: AssociationId,
    socket: Socket,
    /// Where the library's own generator of random numbers stands when this association uses it.
    random: u64,
    born: Instant,
    unseen: Duration,
    phase: Phase,
    /// Where packets go.
    path: SocketAddr,
    /// By which the peer calls this side, once that is settled.
    tag: Option<u32>,
    /// By which the peer may call it from its next packet on, the newest one first.
    offered: VecDeque<u32>,
    /// By which this side calls the peer.
    peer_tag: Option<u32>,
    /// What the library has, in the order in which it was sent.
    messages: VecDeque<Handed<M>>,
    last_message: u64,
    /// What came when the peer was shutting down already.
    held: Vec<M>,
    /// How often something was sent since the peer has answered anything.
    rounds: u32,
    /// The peer has shut down and was told that it is done.
    acknowledged_shutdown: bool,
    /// How it ended, until that was told.
    end: Option<End>,
    mtu: usize,
}

/// A message that the library has.
struct Handed<M> {
    id: u64,
    name: M,
    len: usize,
    /// All of it was on its way.
    sent: bool,
}

enum Phase {
    Calling(Call),
    /// The peer's INIT was answered.
    Answering {
        until: Instant,
    },
    Up,
    /// Nobody wants to hear of it any more.
    Closing {
        until: Instant,
    },
    Over,
}

/// The search for an address that answers.
struct Call {
    init: Vec<u8>,
    /// Those that have not refused.
    addresses: Vec<SocketAddr>,
    /// Which of them is called next, and when.
    next: usize,
    again: Instant,
    round: usize,
    until: Instant,
}

impl<M: Clone> Association<M> {
    /// Calls a peer at its addresses, of which there is at least one.
    pub(super) fn call(
        id: AssociationId,
        now: Instant,
        options: &Options,
        random: u64,
        addresses: Vec<SocketAddr>,
        out: &mut Outputs<M>,
    ) -> Self {
        let path = addresses[0];
        let call = Call {
            init: Vec::new(),
            addresses,
            next: 0,
            again: now,
            round: 0,
            until: now + PATIENCE,
        };
        let mut new = Self::new(id, now, options, random, path, Phase::Calling(call));
        new.with_randomness(|socket| socket.connect());
        new.settle(out);
        new.handle_timeout(now, out);
        new
    }

    /// Takes in who calls from an address. What it says is then to be handed in.
    pub(super) fn answer(
        id: AssociationId,
        now: Instant,
        options: &Options,
        random: u64,
        from: SocketAddr,
    ) -> Self {
        Self::new(id, now, options, random, from, Phase::Answering { until: now + PATIENCE })
    }

    fn new(
        id: AssociationId,
        now: Instant,
        options: &Options,
        random: u64,
        path: SocketAddr,
        phase: Phase,
    ) -> Self {
        Self {
            id,
            socket: Socket::new(options),
            random,
            born: now,
            unseen: Duration::ZERO,
            phase,
            path,
            tag: None,
            offered: VecDeque::new(),
            peer_tag: None,
            messages: VecDeque::new(),
            last_message: 0,
            held: Vec::new(),
            rounds: 0,
            acknowledged_shutdown: false,
            end: None,
            mtu: options.mtu,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Whether a packet is from the peer: it knows the tag that this side gave it, or reflects the
    /// one that it gave (RFC 9260 §8.5). An INIT has no tag, and has to come from where the peer is.
    pub(super) fn is_from_peer(&self, from: SocketAddr, packet: Packet<'_>) -> bool {
        let is_calling = matches!(self.phase, Phase::Calling(_));
        match packet.kind() {
            chunk::INIT => packet.tag() == 0 && !is_calling && from.ip() == self.path.ip(),
            // The library believes any cookie that looks like one of its own.
            chunk::COOKIE_ECHO if is_calling => false,
            _ if packet.reflects_tag() => Some(packet.tag()) == self.peer_tag,
            _ => self.tag == Some(packet.tag()) || self.offered.contains(&packet.tag()),
        }
    }

    /// A packet that is from the peer. Says whether the peer's UDP port has changed (RFC 6951 §5.4).
    pub(super) fn handle_packet(
        &mut self,
        now: Instant,
        from: SocketAddr,
        packet: Packet<'_>,
        out: &mut Outputs<M>,
    ) -> bool {
        match (packet.kind(), self.peer_tag) {
            // The library takes no notice of that before it has an answer.
            (chunk::ABORT, None) => {
                self.refuse(now, from.ip(), io::ErrorKind::ConnectionRefused.into(), out);
                return false;
            }
            (chunk::INIT_ACK, None) if self.is_too_long(packet) => {
                self.end = Some(End::Violation("its cookie does not fit into a packet".into()));
                self.settle(out);
                return false;
            }
            (chunk::INIT_ACK, None) => {
                self.peer_tag = packet.initiate_tag();
                if let Phase::Calling(call) = &self.phase {
                    let answers = |called: &&SocketAddr| called.ip() == from.ip();
                    self.path = call.addresses.iter().find(answers).copied().unwrap_or(self.path);
                }
            }
            (chunk::INIT, _) if matches!(self.phase, Phase::Answering { .. }) => {
                self.peer_tag = packet.initiate_tag();
            }
            _ => {}
        }
        // An INIT may be anybody's.
        let has_moved = packet.kind() != chunk::INIT
            && from.ip() == self.path.ip()
            && from.port() != self.path.port();
        if has_moved {
            self.path.set_port(from.port());
        }
        if packet.answers() {
            self.rounds = 0;
        }
        self.look(now);
        self.with_randomness(|socket| socket.handle_input(packet.bytes()));
        self.settle(out);
        if matches!(self.phase, Phase::Up) {
            self.tag.get_or_insert(packet.tag());
        }
        has_moved
    }

    /// The packet that echoes a cookie has to hold it: the library takes that for granted.
    fn is_too_long(&self, init_ack: Packet<'_>) -> bool {
        let room = self.mtu - packet::HEADER - packet::CHUNK_HEADER;
        init_ack.cookie_len().is_some_and(|len| len.next_multiple_of(4) > room)
    }

    /// The network, or this host, says that a packet could not be brought there.
    pub(super) fn handle_unreachable(
        &mut self,
        now: Instant,
        to: SocketAddr,
        packet: Packet<'_>,
        why: io::Error,
        out: &mut Outputs<M>,
    ) {
        // Only who saw it can say so. Once the peer has answered, timers find out.
        if self.tag.is_some() && packet.initiate_tag() == self.tag {
            self.refuse(now, to.ip(), why, out);
        }
    }

    /// An address need not be called any more.
    fn refuse(&mut self, now: Instant, address: IpAddr, why: io::Error, out: &mut Outputs<M>) {
        let Phase::Calling(call) = &mut self.phase else { return };
        let at = call.addresses.iter().position(|called| called.ip() == address);
        let (Some(at), None) = (at, self.peer_tag) else { return };
        call.addresses.remove(at);
        if at < call.next {
            call.next -= 1;
        }
        if call.addresses.is_empty() {
            self.end = Some(End::Unreachable(why));
        } else if call.next == at {
            call.next %= call.addresses.len();
            call.again = now;
        }
        self.settle(out);
    }

    /// Sends a message.
    pub(super) fn send(
        &mut self,
        now: Instant,
        name: M,
        ppid: u32,
        data: &[u8],
        unordered: bool,
        out: &mut Outputs<M>,
    ) {
        self.look(now);
        let id = self.last_message + 1;
        let message = Message::new(STREAM, PpId(ppid), data.to_vec());
        let lifecycle_id = LifecycleId::new(id);
        let options = SendOptions { unordered, lifecycle_id, ..SendOptions::default() };
        // Before that, for it may be on its way when this returns.
        self.messages.push_back(Handed { id, name, len: data.len(), sent: false });
        self.last_message = id;
        if let Err(why) = self.socket.send(message, &options) {
            let refused = self.messages.pop_back().expect("it was pushed").name;
            match why {
                // It would only come again.
                SendError::ShuttingDown => self.held.push(refused),
                _ => self.tell(Event::Unsent(refused), out),
            }
        }
        self.settle(out);
    }

    /// Closes it in good order, behind what was sent. Nothing is told of it from now on.
    pub(super) fn close(&mut self, now: Instant, out: &mut Outputs<M>) {
        if self.socket.state() == SocketState::Connecting {
            self.socket.close();
        }
        self.look(now);
        self.phase = Phase::Closing { until: now + LINGER };
        self.settle(out);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let own = match &self.phase {
            Phase::Calling(call) if self.peer_tag.is_none() => Some(call.again.min(call.until)),
            Phase::Calling(Call { until, .. })
            | Phase::Answering { until }
            | Phase::Closing { until } => Some(*until),
            Phase::Up | Phase::Over => None,
        };
        own.into_iter().chain(self.library_timeout()).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Outputs<M>) {
        match &mut self.phase {
            Phase::Calling(Call { until, .. }) | Phase::Answering { until } if *until <= now => {
                self.end = Some(End::Unanswered);
            }
            Phase::Closing { until } if *until <= now => self.socket.close(),
            Phase::Calling(call) if self.peer_tag.is_none() => {
                if let Some(to) = call.due(now) {
                    self.path = to;
                    out.datagrams.push_back(Datagram { to, bytes: call.init.clone() });
                }
            }
            _ => {}
        }
        let (rounds, waiting) = (self.rounds, out.datagrams.len());
        self.advance(now);
        self.settle(out);
        let asks = |datagram: &Datagram| Packet::own(&datagram.bytes).asks();
        if matches!(self.phase, Phase::Up) && out.datagrams.range(waiting..).any(asks) {
            self.rounds = rounds + 1;
            if self.rounds > ROUNDS {
                let is_done = self.acknowledged_shutdown;
                self.end = Some(if is_done { End::Closed } else { End::Silent });
                self.settle(out);
            }
        }
    }

    fn library_timeout(&self) -> Option<Instant> {
        match self.socket.poll_timeout() {
            never if never == SocketTime::infinite_future() => None,
            at => Some(self.born + self.unseen + (at - SocketTime::zero())),
        }
    }

    /// Lets the library know what time it is, and fires no timer: what it waits for may have come
    /// meanwhile, and not been read.
    fn look(&mut self, now: Instant) {
        let before_any = self.socket.poll_timeout() - Duration::from_nanos(1);
        let now = SocketTime::zero() + now.since(self.born + self.unseen);
        self.socket.advance_time(now.min(before_any));
    }

    /// Fires the timers that are due.
    fn advance(&mut self, now: Instant) {
        let late = self.library_timeout().map_or(Duration::ZERO, |due| now.since(due));
        if late > LATE {
            self.unseen += late;
        }
        self.socket.advance_time(SocketTime::zero() + now.since(self.born + self.unseen));
    }

    /// Deals with what the library has to say, and with what follows from that.
    fn settle(&mut self, out: &mut Outputs<M>) {
        loop {
            self.drain(out);
            let state = self.socket.state();
            match (&self.phase, &self.end) {
                (Phase::Closing { .. }, _) if state == SocketState::Closed => {
                    self.phase = Phase::Over;
                }
                (Phase::Closing { .. }, _)
                    if state == SocketState::Connected && !self.has_unsent() =>
                {
                    self.socket.shutdown();
                }
                (Phase::Calling(_) | Phase::Answering { .. } | Phase::Up, Some(_)) => match state {
                    SocketState::Closed => return self.over(out),
                    _ => self.socket.close(),
                },
                _ => return,
            }
        }
    }

    fn drain(&mut self, out: &mut Outputs<M>) {
        while let Some(event) = self.socket.poll_event() {
            match event {
                SocketEvent::SendPacket(packet) => self.outgoing(packet, out),
                SocketEvent::OnConnected() if self.end.is_none() => match self.phase {
                    Phase::Calling(_) => {
                        self.phase = Phase::Up;
                        self.tell(Event::Up, out);
                    }
                    Phase::Answering { .. } => {
                        self.phase = Phase::Up;
                        self.tell(Event::Accepted { from: self.path }, out);
                    }
                    _ => {}
                },
                SocketEvent::OnConnectionRestarted() => self.end = Some(End::Restarted),
                SocketEvent::OnClosed() => drop(self.end.get_or_insert(End::Closed)),
                SocketEvent::OnAborted(kind, why) => {
                    let end = match kind {
                        ErrorKind::TooManyRetries => End::Silent,
                        ErrorKind::PeerReported => End::Aborted(why),
                        _ => End::Violation(why),
                    };
                    self.end.get_or_insert(end);
                }
                SocketEvent::OnLifecycleMessageFullySent(of) => {
                    if let Some(message) = self.handed(of) {
                        message.sent = true;
                        let name = message.name.clone();
                        self.tell(Event::Written(name), out);
                    }
                }
                SocketEvent::OnLifecycleMessageDelivered(of) => {
                    if let Some(message) = self.handed(of) {
                        let name = message.name.clone();
                        self.tell(Event::Delivered(name), out);
                    }
                }
                SocketEvent::OnLifecycleEnd(of) => {
                    self.messages.retain(|message| message.id != of.value());
                }
                _ => {}
            }
        }
        while let Some(message) = self.socket.get_next_message() {
            let Message { ppid: PpId(ppid), payload: data, .. } = message;
            self.tell(Event::Message { ppid, data }, out);
        }
    }

    /// What the user hears of an association that it knows and has not closed.
    fn tell(&self, event: Event<M>, out: &mut Outputs<M>) {
        if matches!(self.phase, Phase::Calling(_) | Phase::Up) {
            out.events.push_back((self.id, event));
        }
    }

    /// It has ended by itself.
    fn over(&mut self, out: &mut Outputs<M>) {
        for name in self.unsent() {
            self.tell(Event::Unsent(name), out);
        }
        if let Some(end) = self.end.take() {
            self.tell(Event::Ended(end), out);
        }
        self.phase = Phase::Over;
    }

    /// Notes what a packet says that is to be sent, and sends it on its way.
    fn outgoing(&mut self, bytes: Vec<u8>, out: &mut Outputs<M>) {
        let packet = Packet::own(&bytes);
        match packet.kind() {
            chunk::INIT => self.tag = packet.initiate_tag(),
            chunk::INIT_ACK => {
                self.offered.extend(packet.initiate_tag());
                self.offered.rotate_right(1);
                self.offered.truncate(OFFERS);
            }
            _ => {}
        }
        self.acknowledged_shutdown |= packet.has(chunk::SHUTDOWN_ACK);
        if packet.asks() {
            self.rounds = self.rounds.max(1);
        }
        match (&mut self.phase, packet.kind()) {
            (Phase::Calling(call), chunk::INIT) => call.init = bytes,
            _ => out.datagrams.push_back(Datagram { to: self.path, bytes }),
        }
    }

    /// Whether something waits that was not yet sent.
    fn has_unsent(&self) -> bool {
        self.socket.buffered_amount(STREAM) > 0
    }

    fn handed(&mut self, of: LifecycleId) -> Option<&mut Handed<M>> {
        self.messages.iter_mut().find(|message| message.id == of.value())
    }

    /// Takes out those messages of which nothing was ever sent, in their order.
    fn unsent(&mut self) -> Vec<M> {
        let mut left = self.socket.buffered_amount(STREAM);
        let mut messages = mem::take(&mut self.messages);
        let mut first = messages.len();
        for (at, message) in messages.iter().enumerate().rev() {
            if message.sent || message.len > left {
                break;
            }
            left -= message.len;
            first = at;
        }
        let unsent = messages.split_off(first).into_iter().map(|message| message.name);
        unsent.chain(mem::take(&mut self.held)).collect()
    }

    /// The library takes random numbers, tags among them, from a generator that the whole thread
    /// has. Each association has one of its own instead, so that what one peer sees tells nothing
    /// of the others, and the same seed gives the same packets.
    fn with_randomness(&mut self, act: impl FnOnce(&mut dyn DcSctpSocket)) {
        let others = fastrand::get_seed();
        fastrand::seed(self.random);
        act(&mut *self.socket);
        self.random = fastrand::get_seed();
        fastrand::seed(others);
    }
}

impl Call {
    /// Whom to call now.
    fn due(&mut self, now: Instant) -> Option<SocketAddr> {
        if now < self.again {
            return None;
        }
        let to = self.addresses[self.next];
        self.next += 1;
        let pause = if self.next < self.addresses.len() {
            NEXT_ADDRESS.min(PATIENCE / 2 / self.addresses.len() as u32)
        } else {
            let pause = NEXT_ROUND[self.round.min(1)];
            (self.next, self.round) = (0, self.round + 1);
            pause
        };
        self.again = now + pause;
        Some(to)
    }
}

impl<M> std::fmt::Debug for Association<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.socket.state();
        f.debug_struct("Association")
            .field("path", &self.path)
            .field("state", &state)
            .field("messages", &self.messages.len())
            .finish_non_exhaustive()
    }
}
