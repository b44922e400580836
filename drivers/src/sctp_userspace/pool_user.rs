//! The pool user and its SCTP in one: one state machine around the other.

use std::collections::BTreeMap;
use std::io::{
    self,
    ErrorKind::{InvalidInput, Unsupported},
};
use std::net::SocketAddr;

use asap_pu::wire::{ASAP_PPID, Protocol, Transport};
use asap_pu::{
    Action, Authentication, Capabilities, ChannelId, CloseReason, Config, Confirms, Event, Instant,
    MessageId, Payload, PeerKind, PoolUser, Security,
};
use bytes::Bytes;

use super::endpoint::LONGEST;
use super::{AssociationId, Carrier, Datagram, End, Endpoint, Event as Sctp, Settings};
use crate::host::{LastFailure, Passed, Seen, Watcher, Zone, reason, show, show_sent};

/// A pool user that speaks SCTP by itself: datagrams in, datagrams out, one deadline.
///
/// Its channels are associations: what these report becomes a channel's event as the table in the
/// [module](super) has it.
#[derive(Debug)]
pub struct SctpPoolUser {
    user: PoolUser,
    endpoint: Endpoint<Name>,
    channels: BTreeMap<ChannelId, Channel>,
    by_association: BTreeMap<AssociationId, ChannelId>,
    data_ppid: u32,
    /// Where a copy goes of [what passes](crate::Watcher); nowhere if not changed.
    pub watcher: Option<Watcher>,
    zone: Zone,
    registrar_failure: LastFailure,
    element_failure: LastFailure,
}

#[derive(Debug)]
struct Channel {
    peer: PeerKind,
    to: Transport,
    association: AssociationId,
}

/// What a message is called by that SCTP has.
#[derive(Debug, Clone)]
enum Name {
    Data(MessageId),
    Control(Bytes),
}

/// What this driver can do: SCTP, telling what became of each message.
pub const CAPABILITIES: Capabilities = Capabilities::NONE
    .with_registrars(Protocol::Sctp)
    .with_elements(Protocol::Sctp, Confirms::Delivered)
    .with_longest_message(LONGEST);

impl SctpPoolUser {
    /// A pool user that reaches registrars and elements over SCTP. Seed and secret should differ from
    /// process to process: of the seed, that not all choose alike, of the secret, that nobody can
    /// guess it ([`Endpoint::new`]).
    ///
    /// No message is sent that is longer than 128 KiB. Nor is an empty one, which then counts as unsent.
    ///
    /// # Errors
    /// The configuration contradicts itself, or the settings are out of their range
    /// ([`InvalidInput`]).
    pub fn new(config: Config, seed: u64, settings: Settings, secret: u128) -> io::Result<Self> {
        let invalid = |error| io::Error::new(InvalidInput, error);
        Ok(Self {
            user: PoolUser::new(config, CAPABILITIES, seed).map_err(invalid)?,
            endpoint: Endpoint::new(settings, secret)?,
            channels: BTreeMap::new(),
            by_association: BTreeMap::new(),
            data_ppid: 0,
            watcher: None,
            zone: Zone::default(),
            registrar_failure: LastFailure::default(),
            element_failure: LastFailure::default(),
        })
    }

    /// Marks data with this payload protocol identifier from now on; if not changed, with 0, which
    /// says nothing.
    ///
    /// # Errors
    /// It is 11, which marks ASAP messages ([`InvalidInput`]).
    pub fn mark_data(&mut self, ppid: u32) -> io::Result<()> {
        self.data_ppid = crate::host::data_ppid(ppid)?;
        Ok(())
    }

    /// The pool user, for commands and to look at. Its actions and events are this one's.
    pub fn user(&mut self) -> &mut PoolUser {
        &mut self.user
    }

    /// Its SCTP, to look at.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint<impl Clone> {
        &self.endpoint
    }

    /// What to tell people where [`Event::NoRegistrarReachable`] is the end.
    #[must_use]
    pub fn no_registrar(&self) -> String {
        self.registrar_failure.to_string()
    }

    /// Why the channel to an element ended that failed last, if one did.
    #[must_use]
    pub fn element_failure(&self) -> Option<&str> {
        self.element_failure.0.as_deref()
    }

    /// Whether the pool user is shut down and every association closed.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.user.is_shut_down() && self.endpoint.associations() == 0
    }

    /// Looks for link-local addresses on the interface with this index. An announce from such an
    /// address says itself where it came in.
    pub fn find_link_local(&mut self, interface: u32) {
        self.zone = Zone(interface);
    }

    /// How long packets may be from now on ([`Endpoint::set_route_mtu`]).
    pub fn set_route_mtu(&mut self, mtu: u16) {
        self.endpoint.set_route_mtu(mtu);
    }

    /// A datagram has come, an SCTP packet ([`Endpoint::handle_datagram`]).
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        self.endpoint.handle_datagram(now, from, bytes);
        self.step(now);
    }

    /// A datagram could not be sent, or not be delivered ([`Endpoint::handle_unreachable`]).
    pub fn handle_unreachable(
        &mut self,
        now: Instant,
        to: SocketAddr,
        bytes: &[u8],
        why: io::Error,
    ) {
        self.endpoint.handle_unreachable(now, to, bytes, why);
        self.step(now);
    }

    /// A datagram has come to the multicast group of the registrars (RFC 5352 §2.2.10).
    pub fn handle_announce(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        let what = || Passed::Announced(bytes.to_vec());
        show(&self.watcher, || Seen { at: now, peer: from, what: what() });
        self.zone.learn(from);
        self.user.handle_announce(now, from, bytes);
        self.step(now);
    }

    /// Commands were given: does what follows from them.
    pub fn handle_commands(&mut self, now: Instant) {
        self.step(now);
    }

    /// The time has come that [`poll_timeout`](Self::poll_timeout) told. What has come by then is better
    /// handed in before, since timers may wait for it.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        self.user.handle_timeout(now);
        self.step(now);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout): at once while anything waits to be done
    /// or polled.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.user.poll_timeout().into_iter().chain(self.endpoint.poll_timeout()).min()
    }

    /// What is to be sent next.
    pub fn poll_datagram(&mut self) -> Option<Datagram> {
        self.endpoint.poll_datagram()
    }

    /// What the application is to be told next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.user.poll_event()
    }

    /// Carries to and fro what the two have to say to each other, until neither has anything.
    fn step(&mut self, now: Instant) {
        loop {
            if let Some((association, event)) = self.endpoint.poll_event() {
                self.report(now, association, event);
            } else if let Some(action) = self.user.poll_action() {
                self.act(now, action);
            } else {
                return crate::host::trace(&mut self.user);
            }
        }
    }

    /// Does what the pool user asks for.
    fn act(&mut self, now: Instant, action: Action) {
        match action {
            Action::Open { channel, peer, to, security, .. } => {
                match self.open(now, &to, &security) {
                    Ok(association) => {
                        self.by_association.insert(association, channel);
                        self.channels.insert(channel, Channel { peer, to, association });
                    }
                    Err(why) => self.fail(now, channel, peer, &to, &why),
                }
            }
            Action::Send { channel, payload, .. } => {
                let Some(channel) = self.channels.get(&channel) else { return };
                show_sent(&self.watcher, now, &channel.to, &payload);
                let (name, ppid, data, unordered) = match payload {
                    Payload::Control(message) => {
                        (Name::Control(message.clone()), ASAP_PPID, message, false)
                    }
                    Payload::Data { message, data, unordered, .. } => {
                        (Name::Data(message), self.data_ppid, data, unordered)
                    }
                    _ => return,
                };
                self.endpoint.send(now, channel.association, name, ppid, &data, unordered);
            }
            Action::Close { channel, .. } => {
                if let Some(channel) = self.channels.remove(&channel) {
                    self.by_association.remove(&channel.association);
                    self.endpoint.close(now, channel.association);
                }
            }
            _ => {}
        }
    }

    fn open(
        &mut self,
        now: Instant,
        to: &Transport,
        security: &Security,
    ) -> io::Result<AssociationId> {
        if *security != Security::None {
            let why = "TLS is wanted, and this driver does not speak it";
            return Err(io::Error::new(Unsupported, why));
        }
        let zone = &self.zone;
        self.endpoint.connect(now, to.socket_addrs().map(|at| zone.complete(at)))
    }

    /// Tells the pool user what has happened to an association.
    fn report(&mut self, now: Instant, association: AssociationId, event: Sctp<Name>) {
        let Some(&id) = self.by_association.get(&association) else { return };
        let user = &mut self.user;
        match event {
            Sctp::Up => user.handle_opened(now, id, Authentication::None),
            Sctp::Message { ppid: ASAP_PPID, data } => {
                let what = || Passed::Received(data.clone());
                self.channels.get(&id).inspect(|channel| {
                    show(&self.watcher, || Seen::on(&channel.to, now, what()));
                });
                user.handle_control(now, id, &data);
            }
            Sctp::Message { data, .. } => {
                let what = || Passed::ReceivedData(data.clone());
                self.channels.get(&id).inspect(|channel| {
                    show(&self.watcher, || Seen::on(&channel.to, now, what()));
                });
                user.handle_data(now, id, &data);
            }
            Sctp::Written(Name::Data(message)) => user.handle_written(now, id, message),
            Sctp::Delivered(Name::Data(message)) => user.handle_delivered(now, id, message),
            Sctp::Unsent(Name::Data(message)) => user.handle_unsent(now, id, message),
            Sctp::Unsent(Name::Control(message)) => user.handle_control_unsent(now, id, &message),
            // Nobody calls a pool user.
            Sctp::Written(_) | Sctp::Delivered(_) | Sctp::Accepted { .. } => {}
            Sctp::Ended(end) => {
                self.by_association.remove(&association);
                let Some(Channel { peer, to, .. }) = self.channels.remove(&id) else { return };
                match end {
                    End::Closed => user.handle_closed(now, id, CloseReason::Closed),
                    end => {
                        let why = error(end, self.endpoint.carrier());
                        self.fail(now, id, peer, &to, &why);
                    }
                }
            }
        }
    }

    fn fail(
        &mut self,
        now: Instant,
        id: ChannelId,
        peer: PeerKind,
        to: &Transport,
        why: &io::Error,
    ) {
        match peer {
            PeerKind::Registrar => self.registrar_failure.set(to, why),
            _ => self.element_failure.set(to, why),
        }
        self.user.handle_closed(now, id, reason(why));
    }
}

/// What to tell people of an end that is a failure, and what the pool user makes of it.
fn error(end: End, carrier: Carrier) -> io::Error {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, TimedOut};
    let (kind, why) = match end {
        End::Closed => (ConnectionAborted, "it was closed".to_owned()),
        End::Aborted(why) if why.is_empty() => {
            (ConnectionReset, "the peer broke the association off".to_owned())
        }
        End::Aborted(why) => {
            (ConnectionReset, format!("the peer broke the association off: {why}"))
        }
        End::Restarted => (ConnectionReset, "the peer began anew".to_owned()),
        End::Silent => (TimedOut, "the peer says nothing any more".to_owned()),
        End::Violation(why) => (ConnectionAborted, why),
        End::Unanswered => {
            (TimedOut, format!("no answer to SCTP over {carrier}{}", needs(carrier)))
        }
        End::Unreachable(why) => {
            // The pool user is to make of it what it is.
            return match why.kind() {
                io::ErrorKind::ConnectionRefused if why.raw_os_error().is_none() => {
                    io::Error::new(why.kind(), "nothing listens at that SCTP port")
                }
                io::ErrorKind::ConnectionRefused => io::Error::new(
                    why.kind(),
                    format!("SCTP over {carrier} is refused{}", needs(carrier)),
                ),
                _ => why,
            };
        }
    };
    io::Error::new(kind, why)
}

/// What to look at where a peer cannot be reached.
const fn needs(carrier: Carrier) -> &'static str {
    match carrier {
        Carrier::Udp(_) => ": the host there has to take it (on Linux, sysctl net.sctp.udp_port)",
        Carrier::Ip => "",
    }
}
