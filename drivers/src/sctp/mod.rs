//! SCTP from the Linux kernel, one thread and `poll(2)`: the transport that real registrars speak.
//!
//! Each channel is one association on a socket of its own, opened to all addresses of the peer at
//! once. ASAP messages go out and come in on it marked with payload protocol identifier 11, data
//! with any other (RFC 5352 §5); everything travels in stream 0. What the association reports
//! becomes a channel's event:
//!
//! | from the kernel (RFC 6458 §6.1) | to the pool user |
//! |---|---|
//! | the association is up | `handle_opened` |
//! | it was shut down | `handle_closed`, `Closed` |
//! | it was lost, refused, could not be set up | `handle_closed`, `Failed` |
//! | this host lacks something: descriptors, memory, a route, an address | `handle_closed`, `Local` |
//! | the peer restarted: it is there, but has forgotten everything | `handle_closed`, `Failed` |
//! | a message is refused, or could not be delivered and was never on its way | `handle_unsent`, `handle_control_unsent` |
//! | everything was acknowledged ("sender dry"), and still is | `handle_delivered` for all of it |
//! | the association was lost, without a word of the message | the same: it was acknowledged |
//! | it was shut down, and the kernel holds nothing | the same |
//!
//! So a session that runs over SCTP knows what to send again after a failover, and `Failover`'s
//! column for transports that confirm applies. When the kernel's buffer is full, messages wait
//! here, at most `limits.window_messages` of a channel, until there is room.
//!
//! `sys` has the system calls, `association` and `options` what they mean, because no crate for
//! SCTP sockets tells of undelivered messages.

mod association;
mod channel;
mod options;
mod sys;

use std::collections::BTreeMap;
use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, InvalidInput, WouldBlock};
#[cfg(feature = "tcp")]
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
#[cfg(feature = "tcp")]
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::{io, mem};

use asap_pu::wire::{ASAP_PPID, Protocol, Transport};
use asap_pu::{
    Action, Authentication, Capabilities, ChannelId, CloseReason, Config, Confirms, Event, Instant,
    Payload, PeerKind, PoolUser, Security,
};
#[cfg(feature = "tcp")]
use rustix::event::{
    Timespec,
    epoll::{self, EventData, EventFlags},
};
use socket2::Domain;

use crate::host::{
    LINGER, LastFailure, Passed, Seen, Sleep, Watcher, Zone, join, reason, show, show_sent,
};
use association::LONGEST;
pub use association::{Association, Incoming};
use channel::Channel;

/// How many messages are read before the application hears of any, from all channels together. With
/// the longest ones that is half of what may be unread by default.
const BURST: usize = 64;

/// A pool user in touch with the world.
#[derive(Debug)]
pub struct Driver {
    user: PoolUser,
    data_ppid: u32,
    /// Where a copy goes of [what passes](crate::Watcher); nowhere if not changed.
    pub watcher: Option<Watcher>,
    /// What the pool user calls [`Instant::EPOCH`].
    start: std::time::Instant,
    sleep: Sleep,
    announces: Vec<UdpSocket>,
    zone: Zone,
    channels: BTreeMap<ChannelId, Channel>,
    /// Channels that the pool user has done with and their peers have not.
    lingering: Vec<(Instant, Channel)>,
    failure: LastFailure,
    buffer: Vec<u8>,
    /// Goes round, so that each time another channel is read first.
    turn: usize,
    /// All sockets, for those who cannot wait in here, and how many of those for announces are in it.
    #[cfg(feature = "tcp")]
    readiness: OwnedFd,
    #[cfg(feature = "tcp")]
    announces_watched: usize,
}

/// SCTP, telling what became of each message.
const CAPABILITIES: Capabilities = Capabilities::NONE
    .with_registrars(Protocol::Sctp)
    .with_elements(Protocol::Sctp, Confirms::Delivered)
    .with_longest_message(LONGEST);

impl Driver {
    /// A pool user that reaches registrars and elements over SCTP. The seed should differ from
    /// process to process, so that not all choose alike.
    ///
    /// The kernel takes no message that is longer than 128 KiB. Nor does it take an empty one, which
    /// then counts as unsent.
    ///
    /// # Errors
    /// The configuration contradicts itself ([`InvalidInput`]), or the kernel has no SCTP
    /// ([`Unsupported`](io::ErrorKind::Unsupported)).
    pub fn new(config: Config, seed: u64) -> io::Result<Self> {
        Association::new(Domain::IPV4).map_err(explain)?;
        let invalid = |error| io::Error::new(InvalidInput, error);
        Ok(Self {
            user: PoolUser::new(config, CAPABILITIES, seed).map_err(invalid)?,
            data_ppid: 0,
            watcher: None,
            start: std::time::Instant::now(),
            sleep: Sleep::observe(),
            announces: Vec::new(),
            zone: Zone::default(),
            channels: BTreeMap::new(),
            lingering: Vec::new(),
            failure: LastFailure::default(),
            buffer: vec![0; 0x1_0000],
            turn: 0,
            #[cfg(feature = "tcp")]
            readiness: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            #[cfg(feature = "tcp")]
            announces_watched: 0,
        })
    }

    /// Listens to what registrars announce to the multicast `group` (RFC 5352 §2.2.10), such as
    /// [`ANNOUNCE_GROUP`](crate::ANNOUNCE_GROUP), and to other groups as before. The interface is the
    /// one with this address, or of an IPv6 group the one that its scope names
    /// ([`SocketAddrV6::scope_id`](std::net::SocketAddrV6::scope_id)); where that is unspecified, the
    /// system chooses. Other programs on the host can do the same.
    ///
    /// # Errors
    /// The socket cannot be had, or the group not be joined.
    pub fn listen(&mut self, group: impl Into<SocketAddr>, interface: Ipv4Addr) -> io::Result<()> {
        let group = group.into();
        self.announces.push(join(group, interface)?);
        self.zone.learn(group);
        Ok(())
    }

    /// Looks for link-local addresses on the interface with this index. An announce from such an
    /// address says itself where it came in.
    pub fn find_link_local(&mut self, interface: u32) {
        self.zone = Zone(interface);
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

    /// The pool user, for commands and to look at. Its actions and events are the driver's.
    pub fn user(&mut self) -> &mut PoolUser {
        &mut self.user
    }

    /// The time as the pool user sees it, which goes on while the machine sleeps.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::EPOCH + self.start.elapsed() + self.sleep.so_far()
    }

    /// What to tell people where [`Event::NoRegistrarReachable`] is the end.
    #[must_use]
    pub fn no_registrar(&self) -> String {
        self.failure.to_string()
    }

    /// Runs until the pool user has something to tell. `None` if there is nothing within `patience`,
    /// or nothing to come after a [`shut_down`](PoolUser::shut_down). Outside of this call nothing
    /// moves.
    pub fn event(&mut self, patience: Duration) -> Option<Event> {
        let end = self.now() + patience;
        let mut is_over = false;
        loop {
            self.act();
            let event = self.user.poll_event();
            if event.is_some() || is_over || self.is_shut_down() {
                return event;
            }
            let deadlines = self.lingering.iter().map(|(end, _)| *end);
            let wake = deadlines.chain(self.user.poll_timeout()).fold(end, Instant::min);
            self.wait(wake.since(self.now()));
            self.user.handle_timeout(self.now());
            is_over = self.now() >= end;
        }
    }

    /// Shuts the pool user down and waits until everything is delivered, or given up, and closed,
    /// `patience` at most; says whether it came to that. Events are passed over: who wants them
    /// tells the pool user first and reads on until there are none.
    pub fn shut_down(mut self, patience: Duration) -> bool {
        let end = self.now() + patience;
        self.user.shut_down(self.now());
        while !self.is_shut_down() && self.now() < end {
            self.event(end.since(self.now()));
        }
        self.is_shut_down()
    }

    fn is_shut_down(&self) -> bool {
        self.user.is_shut_down() && self.lingering.is_empty()
    }

    /// Does what the pool user asks for.
    fn act(&mut self) {
        crate::host::trace(&mut self.user);
        while let Some(action) = self.user.poll_action() {
            match action {
                Action::Open { channel, peer, to, security, .. } => match self.open(&to, &security)
                {
                    Ok(association) => {
                        let new = Channel::new(peer, to, association);
                        self.channels.insert(channel, new);
                    }
                    Err(why) => self.fail(channel, peer, &to, &why),
                },
                Action::Send { channel, payload, .. } => {
                    let now = self.now();
                    if let Some(found) = self.channels.get_mut(&channel) {
                        show_sent(&self.watcher, now, &found.to, &payload);
                        found.waiting.push_back(payload);
                        self.write(channel);
                    }
                }
                Action::Close { channel, .. } => self.close(channel),
                _ => {}
            }
        }
    }

    /// Begins to connect.
    fn open(&self, to: &Transport, security: &Security) -> io::Result<Association> {
        if *security != Security::None {
            let why = "TLS is wanted, and this driver does not speak it";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let at: Vec<_> = to.socket_addrs().map(|at| self.zone.complete(at)).collect();
        Association::connect(&at)
    }

    /// Gives the kernel what waits on a channel, as far as it has room.
    fn write(&mut self, id: ChannelId) {
        let now = self.now();
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let user = &mut self.user;
        let written = channel.write(self.data_ppid, |payload, taken| match (payload, taken) {
            (Payload::Data { message, .. }, true) => user.handle_written(now, id, message),
            (_, true) => {}
            (refused, false) => give_back(user, now, id, refused),
        });
        if let Err(why) = written {
            // What came before the end is heard before it, and how it ended stands there too.
            let mut all = usize::MAX;
            self.read(id, &mut all);
            self.end(id, Err(why));
        }
    }

    /// Takes from the kernel what came on a channel, and from `left` how much that was.
    fn read(&mut self, id: ChannelId, left: &mut usize) {
        let now = self.now();
        // Of one that is lost, nothing wakes `poll` any more when the kernel has said it all: that
        // is read now.
        while *left > 0 || self.channels.get(&id).is_some_and(|channel| channel.is_lost) {
            *left = left.saturating_sub(1);
            let Some(channel) = self.channels.get_mut(&id) else { return };
            match channel.association.receive(&mut self.buffer) {
                Ok(Incoming::Up) => self.user.handle_opened(now, id, Authentication::None),
                Ok(Incoming::Message { ppid: ASAP_PPID, data }) => {
                    let what = || Passed::Received(data.clone());
                    show(&self.watcher, || Seen::on(&channel.to, now, what()));
                    self.user.handle_control(now, id, &data);
                }
                Ok(Incoming::Message { data, .. }) => {
                    let what = || Passed::ReceivedData(data.clone());
                    show(&self.watcher, || Seen::on(&channel.to, now, what()));
                    self.user.handle_data(now, id, &data);
                }
                // What was sent may have arrived nevertheless.
                Ok(Incoming::Failed { context, sent }) => {
                    if let (Some(payload), false) = (channel.take(context), sent) {
                        give_back(&mut self.user, now, id, payload);
                    }
                }
                // More may have been sent since.
                Ok(Incoming::Dry) if channel.association.is_dry() => self.delivered(id),
                Ok(Incoming::Dry | Incoming::Abandoned | Incoming::Other) => {}
                Ok(Incoming::Lost) => channel.is_lost = true,
                Ok(Incoming::Restarted) => return self.end(id, Err(ConnectionReset.into())),
                Ok(Incoming::Ended) if !channel.is_lost => {
                    if channel.association.holds_nothing() {
                        self.delivered(id);
                    }
                    return self.end(id, Ok(()));
                }
                Err(error) if error.kind() != WouldBlock => return self.end(id, Err(error)),
                Err(_) if !channel.is_lost => return,
                // There is no more to be said of it, not even why.
                Ok(Incoming::Ended) | Err(_) => return self.end(id, Err(ConnectionAborted.into())),
            }
        }
    }

    /// All that the kernel has taken on a channel was acknowledged.
    fn delivered(&mut self, id: ChannelId) {
        let now = self.now();
        let Some(channel) = self.channels.get_mut(&id) else { return };
        for (_, payload) in mem::take(&mut channel.taken) {
            if let Payload::Data { message, .. } = payload {
                self.user.handle_delivered(now, id, message);
            }
        }
    }

    /// A channel is no more. What waited on it was never sent; what no word came of when it was
    /// lost was acknowledged.
    fn end(&mut self, id: ChannelId, outcome: io::Result<()>) {
        let now = self.now();
        if self.channels.get(&id).is_some_and(|channel| channel.is_lost) {
            self.delivered(id);
        }
        let Some(channel) = self.channels.remove(&id) else { return };
        for payload in channel.waiting {
            give_back(&mut self.user, now, id, payload);
        }
        match outcome {
            Ok(()) => self.user.handle_closed(now, id, CloseReason::Closed),
            Err(why) => self.fail(id, channel.peer, &channel.to, &why),
        }
    }

    fn fail(&mut self, id: ChannelId, peer: PeerKind, to: &Transport, why: &io::Error) {
        if peer == PeerKind::Registrar {
            self.failure.set(to, why);
        }
        self.user.handle_closed(self.now(), id, reason(why));
    }

    /// Lets go of a channel, which is over at once only where it never came up.
    fn close(&mut self, id: ChannelId) {
        let Some(mut channel) = self.channels.remove(&id) else { return };
        if channel.finish(self.data_ppid, &mut self.buffer) {
            self.lingering.push((self.now() + LINGER, channel));
        }
    }

    /// Waits until something happens on a socket, for `patience` at most, and sees to it.
    fn wait(&mut self, patience: Duration) {
        let ids: Vec<_> = self.channels.keys().copied().collect();
        let lingering = self.lingering.iter().map(|(_, channel)| channel);
        let channels = self.channels.values().chain(lingering);
        let poll = |channel: &Channel| channel.association.poll(!channel.waiting.is_empty());
        let mut polls: Vec<_> = channels.map(poll).collect();
        let announces = self.announces.iter().map(AsRawFd::as_raw_fd);
        polls.extend(announces.map(|fd| sys::Poll { fd, events: libc::POLLIN, revents: 0 }));
        // Interrupted by a signal, it has simply found nothing.
        let _ = sys::poll(&mut polls, patience);
        let found = ids.into_iter().zip(polls);
        let mut ready: Vec<_> = found.filter(|(_, poll)| poll.revents != 0).collect();
        self.turn = self.turn.wrapping_add(1);
        let (mut left, first) = (BURST, self.turn % ready.len().max(1));
        ready.rotate_left(first);
        for (id, poll) in ready {
            if poll.revents & libc::POLLOUT != 0 {
                self.write(id);
            }
            if poll.revents & !libc::POLLOUT != 0 {
                self.read(id, &mut left);
            }
        }
        let (now, ppid, buffer) = (self.now(), self.data_ppid, &mut self.buffer);
        self.lingering.retain_mut(|(end, channel)| channel.finish(ppid, buffer) && now < *end);
        for socket in &self.announces {
            for _ in 0..BURST {
                let Ok((len, source)) = socket.recv_from(buffer) else { break };
                let what = || Passed::Announced(buffer[..len].to_vec());
                show(&self.watcher, || Seen { at: now, peer: source, what: what() });
                self.zone.learn(source);
                self.user.handle_announce(now, source, &buffer[..len]);
            }
        }
    }
}

#[cfg(feature = "tcp")]
impl crate::on_tokio::Turns for Driver {
    fn turn(&mut self) -> Option<Event> {
        self.event(Duration::ZERO)
    }

    fn call(&mut self, command: &mut dyn FnMut(&mut PoolUser, Instant)) {
        let now = self.now();
        command(&mut self.user, now);
    }

    fn no_registrar(&self) -> String {
        self.no_registrar()
    }

    fn readiness(&self) -> io::Result<OwnedFd> {
        self.readiness.try_clone()
    }

    fn has_more(&mut self) -> bool {
        let lingering = self.lingering.iter_mut().map(|(_, channel)| channel);
        for channel in self.channels.values_mut().chain(lingering) {
            channel.watch(&self.readiness);
        }
        for socket in self.announces.iter().skip(self.announces_watched) {
            // What cannot be watched is looked at whenever something else happens.
            let _ = epoll::add(&self.readiness, socket, EventData::new_u64(0), EventFlags::IN);
        }
        self.announces_watched = self.announces.len();
        let mut found = [const { MaybeUninit::uninit() }; 1];
        epoll::wait(&self.readiness, &mut found, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))
            .is_ok_and(|(found, _)| !found.is_empty())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = self.lingering.iter().map(|(end, _)| *end);
        deadlines.chain(self.user.poll_timeout()).min()
    }

    fn is_shut_down(&self) -> bool {
        self.is_shut_down()
    }
}

/// Tells of a message that it was never sent.
fn give_back(user: &mut PoolUser, now: Instant, channel: ChannelId, payload: Payload) {
    match payload {
        Payload::Data { message, .. } => user.handle_unsent(now, channel, message),
        Payload::Control(message) => user.handle_control_unsent(now, channel, &message),
        _ => {}
    }
}

/// Says what to do where the kernel does not know what SCTP is.
fn explain(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT) => io::Error::new(
            io::ErrorKind::Unsupported,
            "this kernel has no SCTP: `modprobe sctp` loads it",
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where there is no SCTP the error says what to do, in one line.
    #[test]
    fn a_kernel_without_sctp_is_told_in_one_line() {
        let error = explain(io::Error::from_raw_os_error(libc::EPROTONOSUPPORT));
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(
            error.to_string().contains("modprobe sctp") && error.to_string().lines().count() == 1
        );
        let other = explain(io::Error::from_raw_os_error(libc::EMFILE));
        assert_eq!(other.raw_os_error(), Some(libc::EMFILE));
    }
}
