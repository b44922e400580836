//! The network of a simulation: channels as links of two pipes each, latency, and what cannot pass.
//!
//! A link behaves as an SCTP association does, or a connection that keeps messages apart: nothing is
//! lost or changes its order while the link lives. What cannot pass, because one of the hosts is cut
//! off or the two are separated, is held at the head of its pipe and tried again; if it has been
//! held for as long as the transport has patience, the link breaks. An attempt to set one up is
//! repeated until its caller gives it up.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::iter;
use core::time::Duration;

use bytes::Bytes;

use super::transcript::What;
use super::{Fault, Host, Occurrence, Sim, UserId};
use crate::slab::Key;
use crate::wire::{PoolHandle, Protocol, Transport};
use crate::{Authentication, ChannelId, CloseReason, Instant, Security};

/// How often something that cannot pass is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What holds for all links.
#[derive(Debug)]
pub(super) struct Network {
    /// The shortest and the longest time that a message is on its way.
    pub(super) latency: (Duration, Duration),
    /// How long a link holds what cannot pass.
    pub(super) patience: Duration,
    /// Pairs of hosts, the lower one first, that do not hear each other.
    pub(super) severed: BTreeSet<(Host, Host)>,
}

/// A channel, as the network sees it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) user: UserId,
    pub(super) channel: ChannelId,
    pub(super) peer: Host,
    /// Over TCP, what the peer says is a stream of bytes (RFC 5354 §3.5).
    pub(super) protocol: Protocol,
    authentication: Authentication,
    /// Whether the process that the peer had when it took the channel still lives.
    pub(super) alive: bool,
    /// Whether the user knows that it is up.
    up: bool,
    /// When the peer took the channel, or heard or said something on it for the last time.
    used: Instant,
    /// What the element knows of the session.
    pub(super) state: Vec<u8>,
    /// The pools whose changes the registrar tells.
    pub(super) subscribed: BTreeSet<PoolHandle>,
    /// The peer says nothing earlier than this: what it says later does not come before.
    says: Instant,
    to_peer: Pipe,
    to_user: Pipe,
}

/// What is on its way in one direction, and since when.
type Pipe = VecDeque<(Instant, Packet)>;

/// Where something is on its way to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    ToPeer,
    ToUser,
}

/// What is on its way.
#[derive(Debug, Clone)]
pub(super) enum Packet {
    Control(Bytes),
    Data(crate::MessageId, Bytes),
    /// An answer of an element.
    Reply(Bytes),
    /// The peer's transport has this message.
    Receipt(crate::MessageId),
    /// The other side has closed the channel.
    End,
}

impl Network {
    pub(super) const fn new() -> Self {
        Self {
            latency: (Duration::from_millis(1), Duration::from_millis(20)),
            patience: Duration::from_secs(10),
            severed: BTreeSet::new(),
        }
    }
}

impl Sim {
    /// How long something is on its way this time.
    pub(super) fn latency(&mut self) -> Duration {
        let (least, most) = self.network.latency;
        let spread = most.saturating_sub(least).as_nanos();
        let spread = u64::try_from(spread).unwrap_or(u64::MAX);
        least + Duration::from_nanos(self.rng.below(spread))
    }

    /// A user wants a channel.
    pub(super) fn open(
        &mut self,
        user: UserId,
        channel: ChannelId,
        to: &Transport,
        security: &Security,
    ) {
        let peer = Host::at(to).filter(|peer| self.place(*peer).is_some());
        self.note(user, peer, &What::Opens);
        if self.users[user].place.fault == Some(Fault::Exhausted) {
            return self.fail_channel(user, channel, CloseReason::Local);
        }
        let Some(peer) = peer else {
            return self.fail_channel(user, channel, CloseReason::Failed);
        };
        let authentication = match security {
            Security::None => Authentication::None,
            Security::Tls { .. } => Authentication::Verified,
        };
        if let Host::Element(element) = peer {
            self.elements[element].calls += 1;
        }
        let link = self.links.insert(Link {
            user,
            channel,
            peer,
            protocol: to.protocol(),
            authentication,
            alive: false,
            up: false,
            used: self.now,
            state: Vec::new(),
            subscribed: BTreeSet::new(),
            says: self.now,
            to_peer: Pipe::new(),
            to_user: Pipe::new(),
        });
        self.users[user].channels.insert(channel, link);
        let latency = self.latency();
        self.later(latency, Occurrence::Call(link));
    }

    /// An attempt to set up a channel arrives at the peer.
    pub(super) fn called(&mut self, key: Key) {
        let Some(link) = self.links.get(key) else { return };
        let (user, peer) = (link.user, link.peer);
        if !self.can_hear(user, peer) {
            return self.later(RETRY, Occurrence::Call(key));
        }
        let outcome = match self.place(peer).and_then(|place| place.fault) {
            Some(Fault::Crash | Fault::Refuse) => Err(CloseReason::Failed),
            Some(Fault::Impostor) => Err(CloseReason::Unauthenticated),
            _ => Ok(()),
        };
        if let Some(link) = self.links.get_mut(key) {
            (link.alive, link.used) = (outcome.is_ok(), self.now);
        }
        if let (Ok(()), Host::Element(element)) = (outcome, peer) {
            self.elements[element].sessions += 1;
        }
        let latency = self.latency();
        self.later(latency, Occurrence::Settled(key, outcome));
    }

    /// The user learns whether its channel is up, or that it broke.
    pub(super) fn settled(&mut self, key: Key, outcome: Result<(), CloseReason>) {
        let Some(link) = self.links.get_mut(key) else { return };
        let (user, peer, channel) = (link.user, link.peer, link.channel);
        let (authentication, known) = (link.authentication, link.up);
        match outcome {
            _ if !self.can_hear(user, peer) => self.later(RETRY, Occurrence::Settled(key, outcome)),
            Ok(()) if known => {}
            Ok(()) => {
                if let Some(link) = self.links.get_mut(key) {
                    link.up = true;
                }
                self.note(user, Some(peer), &What::Opened);
                self.call(user, |pu, now| pu.handle_opened(now, channel, authentication));
                self.welcome(key, peer);
            }
            Err(reason) => self.break_link(key, reason),
        }
    }

    /// What a peer does first on a channel that it has taken.
    fn welcome(&mut self, key: Key, peer: Host) {
        match self.place(peer).and_then(|place| place.fault) {
            Some(Fault::Close) => self.leave_channel(key),
            Some(Fault::Greet) => {
                self.push(key, Way::ToUser, Packet::Reply(Bytes::from_static(b"good day")));
                self.leave_channel(key);
            }
            Some(Fault::Break) => {
                self.let_go(key);
                let latency = self.latency();
                self.later(latency, Occurrence::Settled(key, Err(CloseReason::Failed)));
            }
            Some(Fault::Tidy(_)) => self.tidy_up(key),
            _ => {}
        }
    }

    /// A peer that closes what is not used looks whether a channel is.
    pub(super) fn tidy_up(&mut self, key: Key) {
        let Some(link) = self.links.get(key).filter(|link| link.alive) else { return };
        let Some(Fault::Tidy(after)) = self.place(link.peer).and_then(|place| place.fault) else {
            return;
        };
        match (link.used + after).since(self.now) {
            Duration::ZERO => self.leave_channel(key),
            left => self.later(left, Occurrence::TidyUp(key)),
        }
    }

    /// A peer closes a channel in good order, behind what it has said.
    fn leave_channel(&mut self, key: Key) {
        self.let_go(key);
        self.push(key, Way::ToUser, Packet::End);
    }

    /// A peer has done with a channel.
    fn let_go(&mut self, key: Key) {
        let Some(link) = self.links.get_mut(key) else { return };
        let alive = core::mem::replace(&mut link.alive, false);
        if let (true, Host::Element(element)) = (alive, link.peer) {
            self.elements[element].sessions -= 1;
        }
    }

    /// A user closes a channel: at once if it is not up, else behind what is on its way.
    pub(super) fn close(&mut self, user: UserId, channel: ChannelId) {
        let Some(key) = self.users[user].channels.remove(&channel) else { return };
        let Some(link) = self.links.get_mut(key) else { return };
        link.to_user.clear();
        let (peer, up) = (link.peer, link.up);
        self.note(user, Some(peer), &What::Closes);
        match up {
            true => self.push(key, Way::ToPeer, Packet::End),
            false => self.hang_up(key),
        }
    }

    /// Nobody can use a link any more: the user learns it, if it has not closed it.
    fn break_link(&mut self, key: Key, reason: CloseReason) {
        let Some(&Link { user, channel, peer, .. }) = self.links.get(key) else { return };
        let open = self.users[user].channels.contains_key(&channel);
        self.hang_up(key);
        if open {
            self.note(user, Some(peer), &What::Closed(reason));
            self.fail_channel(user, channel, reason);
        }
    }

    fn fail_channel(&mut self, user: UserId, channel: ChannelId, reason: CloseReason) {
        self.call(user, |pu, now| pu.handle_closed(now, channel, reason));
    }

    /// A link is no more.
    fn hang_up(&mut self, key: Key) {
        self.let_go(key);
        let Some(link) = self.links.remove(key) else { return };
        self.users[link.user].channels.remove(&link.channel);
    }

    /// The process of a peer dies, and its host says so to everyone it had a channel with.
    pub(super) fn break_links_of(&mut self, peer: Host) {
        for key in self.links_of(peer) {
            self.let_go(key);
            let latency = self.latency();
            self.later(latency, Occurrence::Settled(key, Err(CloseReason::Failed)));
        }
    }

    /// The channels that a peer has taken and not done with.
    pub(super) fn links_of(&self, peer: Host) -> Vec<Key> {
        let of_peer = self.links.iter().filter(|(_, link)| link.alive && link.peer == peer);
        of_peer.map(|(key, _)| key).collect()
    }

    /// Sends something on a link.
    pub(super) fn push(&mut self, key: Key, way: Way, mut packet: Packet) {
        let now = self.now;
        let is_stream = self.links.get(key).is_some_and(Link::is_stream);
        loop {
            let rest = if is_stream && way == Way::ToUser { self.cut(&mut packet) } else { None };
            let Some(link) = self.links.get_mut(key) else { return };
            let pipe = link.pipe(way);
            pipe.push_back((now, packet));
            if pipe.len() == 1 {
                let latency = self.latency();
                self.later(latency, Occurrence::Carry(key, way));
            }
            match rest {
                Some(rest) => packet = rest,
                None => return,
            }
        }
    }

    /// Cuts bytes in two somewhere, as often as not; the rest.
    fn cut(&mut self, packet: &mut Packet) -> Option<Packet> {
        let (Packet::Control(bytes) | Packet::Reply(bytes)) = packet else { return None };
        let at = 1 + self.rng.below(2 * bytes.len() as u64) as usize;
        if at >= bytes.len() {
            return None;
        }
        let rest = bytes.split_off(at);
        Some(match packet {
            Packet::Control(_) => Packet::Control(rest),
            _ => Packet::Reply(rest),
        })
    }

    /// Puts what comes next in a stream behind what has come, as often as not.
    fn glue(&mut self, key: Key, packet: &mut Packet) {
        while self.rng.below(2) == 0 {
            let Some(link) = self.links.get_mut(key).filter(|link| link.is_stream()) else {
                return;
            };
            let ((Packet::Control(bytes), Some((_, Packet::Control(next))))
            | (Packet::Reply(bytes), Some((_, Packet::Reply(next))))) =
                (&mut *packet, link.to_user.front())
            else {
                return;
            };
            *bytes = [&bytes[..], next].concat().into();
            link.to_user.pop_front();
        }
    }

    /// The head of a pipe arrives, if it can pass.
    pub(super) fn carry(&mut self, key: Key, way: Way) {
        let (now, patience) = (self.now, self.network.patience);
        let Some(link) = self.links.get(key) else { return };
        let can_hear = self.can_hear(link.user, link.peer);
        let Some(link) = self.links.get_mut(key) else { return };
        let pipe = link.pipe(way);
        let Some((sent, _)) = pipe.front() else { return };
        let held = now.since(*sent);
        if !can_hear {
            return match patience.checked_sub(held) {
                None | Some(Duration::ZERO) => self.lose_patience(key),
                Some(left) => self.later(RETRY.min(left), Occurrence::Carry(key, way)),
            };
        }
        let Some((_, mut packet)) = pipe.pop_front() else { return };
        if way == Way::ToUser && link.is_stream() {
            self.glue(key, &mut packet);
        }
        let Some(link) = self.links.get_mut(key) else { return };
        if let Some(next) = link.pipe(way).front().map(|(sent, _)| now.since(*sent)) {
            let latency = self.latency().saturating_sub(next);
            self.later(latency, Occurrence::Carry(key, way));
        }
        match way {
            Way::ToPeer => self.arrive_at_peer(key, packet),
            Way::ToUser => self.arrive_at_user(key, packet),
        }
    }

    /// The transport of a user gives a link up. What stood behind the head of its pipe has never
    /// left, and a transport that can tell says so (RFC 6458 §6.1.11).
    fn lose_patience(&mut self, key: Key) {
        let Some(link) = self.links.get_mut(key) else { return };
        let (user, peer, channel) = (link.user, link.peer, link.channel);
        let (held, protocol) = (core::mem::take(&mut link.to_peer), link.protocol);
        let told = if self.confirms(user, protocol).includes_delivered() { held.len() } else { 0 };
        for (_, packet) in held.into_iter().take(told).skip(1) {
            // What came back of it may have ended the channel.
            if !self.users[user].channels.contains_key(&channel) {
                break;
            }
            match packet {
                Packet::Data(message, _) => {
                    self.note(user, Some(peer), &What::Unsent(message));
                    self.call(user, |pu, now| pu.handle_unsent(now, channel, message));
                }
                Packet::Control(message) => {
                    self.note(user, Some(peer), &What::ControlUnsent(&message));
                    self.call(user, |pu, now| pu.handle_control_unsent(now, channel, &message));
                }
                Packet::Reply(_) | Packet::Receipt(_) | Packet::End => {}
            }
        }
        self.break_link(key, CloseReason::Failed);
    }

    fn arrive_at_user(&mut self, key: Key, packet: Packet) {
        let Some(link) = self.links.get(key) else { return };
        let (user, channel, stream, peer) = (link.user, link.channel, link.is_stream(), link.peer);
        if !self.users[user].channels.contains_key(&channel) {
            // Its driver has forgotten the channel.
            return;
        }
        match packet {
            Packet::Control(message) => {
                let gets = match stream {
                    true => What::GetsStream(&message),
                    false => What::GetsControl(&message),
                };
                self.note(user, Some(peer), &gets);
                self.call(user, |pu, now| match stream {
                    true => pu.handle_stream(now, channel, &message),
                    false => pu.handle_control(now, channel, &message),
                });
            }
            Packet::Reply(data) => {
                self.note(user, Some(peer), &What::GetsData(&data));
                self.call(user, |pu, now| pu.handle_data(now, channel, &data));
            }
            Packet::Receipt(message) => {
                self.note(user, Some(peer), &What::Delivered(message));
                self.call(user, |pu, now| pu.handle_delivered(now, channel, message));
            }
            Packet::End => self.break_link(key, CloseReason::Closed),
            Packet::Data(..) => {}
        }
    }

    fn arrive_at_peer(&mut self, key: Key, packet: Packet) {
        let Some(link) = self.links.get(key) else { return };
        let (user, peer, alive, protocol) = (link.user, link.peer, link.alive, link.protocol);
        if let Packet::End = packet {
            return self.hang_up(key);
        }
        if !alive {
            return;
        }
        self.use_link(key);
        let fault = self.place(peer).and_then(|place| place.fault);
        if let (Packet::Data(message, _), true) =
            (&packet, self.confirms(user, protocol).includes_delivered())
        {
            self.push(key, Way::ToUser, Packet::Receipt(*message));
        }
        let answers = match fault {
            Some(Fault::Doomed) => return self.fail(peer, Fault::Crash),
            Some(Fault::Mortal) => return self.break_links_of(peer),
            Some(Fault::Hang) => return,
            _ => self.answers(key, peer, packet),
        };
        let delay = if let Some(Fault::Delay(delay)) = fault { delay } else { Duration::ZERO };
        let times = if fault == Some(Fault::Repeat) { 2 } else { 1 };
        for answer in answers.into_iter().flat_map(|answer| iter::repeat_n(answer, times)) {
            self.say(key, delay, answer);
        }
    }

    fn use_link(&mut self, key: Key) {
        if let Some(link) = self.links.get_mut(key) {
            link.used = self.now;
        }
    }

    /// A peer answers, at once or later.
    pub(super) fn say(&mut self, key: Key, delay: Duration, answer: Packet) {
        let now = self.now;
        self.use_link(key);
        let Some(link) = self.links.get_mut(key) else { return };
        link.says = link.says.max(now + delay);
        let wait = link.says - now;
        match wait.is_zero() {
            true => self.push(key, Way::ToUser, answer),
            false => self.later(wait, Occurrence::Say(key, answer)),
        }
    }

    /// What a peer has to say to what it got.
    fn answers(&mut self, key: Key, peer: Host, packet: Packet) -> Vec<Packet> {
        match (peer, packet) {
            (Host::Registrar(server), Packet::Control(message)) => {
                self.ask_registrar(key, server, &message).into_iter().map(Packet::Control).collect()
            }
            (Host::Element(_), Packet::Control(message)) => {
                self.restore(key, &message);
                Vec::new()
            }
            (Host::Element(element), Packet::Data(_, data)) => self.serve(key, element, &data),
            _ => Vec::new(),
        }
    }
}

impl Link {
    fn is_stream(&self) -> bool {
        self.protocol == Protocol::Tcp
    }

    fn pipe(&mut self, way: Way) -> &mut Pipe {
        match way {
            Way::ToPeer => &mut self.to_peer,
            Way::ToUser => &mut self.to_user,
        }
    }
}
