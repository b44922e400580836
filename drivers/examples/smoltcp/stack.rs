//! A driver to copy: a device without an operating system, where the pool user shares one loop and one
//! clock with the TCP/IP stack `smoltcp`. Nothing here needs more than `core` and `alloc`.
//!
//! Both are machines without I/O of their own, so that a [`Stack`] is one as well: [`Stack::poll`] takes
//! the time, moves packets from and to the device, hands what came out of them to the pool user, and
//! carries out what that asks for; [`Stack::poll_timeout`] is the earlier of their two deadlines. A
//! device's loop is then:
//!
//! ```text
//! loop {
//!     while let Some(event) = stack.poll(now()) { … }
//!     sleep until stack.poll_timeout(), or until the network hardware has a packet
//! }
//! ```
//!
//! Memory is bounded by the configuration ([`Config::small`]): a socket with two buffers for each channel,
//! and one of each channel that is closed and not yet through. What comes in is taken from a socket's
//! buffer when the application has read all events, a buffer at a time; a peer that sends more finds
//! its window closed. A message counts as written when the socket's buffer has the last of it.
//!
//! Elements speak plain TCP: data only, in pieces of any size (RFC 5354 §3.5). A peer that is gone without
//! a word is found out about by the stack: it sends keep-alives, and gives up a connection where nothing
//! is answered.

extern crate alloc;

use alloc::collections::VecDeque;
use alloc::vec;
use core::net::SocketAddr;
use core::time::Duration;

use asap_pu::wire::{Protocol, Transport};
use asap_pu::{
    Action, Authentication, Capabilities, ChannelId, CloseReason, Config, ConfigError, Confirms,
    Event, Instant, Payload, PeerKind, PoolUser,
};
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::phy::Device;
use smoltcp::socket::tcp::{self, RecvError};
use smoltcp::time;
use smoltcp::wire::IpEndpoint;

/// How long a socket's buffers are, each.
const BUFFER_LEN: usize = 2 << 10;

/// How much is handed to the pool user at once.
const READ_LEN: usize = 512;

/// How long a peer may answer nothing before it counts as failed.
const SILENCE: time::Duration = time::Duration::from_secs(20);

/// How long nothing has to be said before the stack asks whether a peer is still there.
const KEEP_ALIVE: time::Duration = time::Duration::from_secs(10);

/// How long what was sent may take to be through once a channel is closed.
const LINGER: Duration = Duration::from_secs(30);

/// The ports that calls come from (RFC 6335 §6).
const FIRST_PORT: u16 = 49_152;

/// TCP, and each message told when it is written.
const CAPABILITIES: Capabilities = Capabilities::NONE
    .with_registrars(Protocol::Tcp)
    .with_elements(Protocol::Tcp, Confirms::Written);

/// A pool user, and the interface that is all it sees of the world.
pub(crate) struct Stack<D> {
    user: PoolUser,
    device: D,
    interface: Interface,
    sockets: SocketSet<'static>,
    /// The first is the one whose turn it is.
    connections: VecDeque<Connection>,
    /// How many calls there were.
    calls: u16,
}

/// The driver's end of a channel.
struct Connection {
    /// `None` once the pool user has closed it, or knows that it has ended.
    channel: Option<ChannelId>,
    peer: PeerKind,
    socket: SocketHandle,
    is_up: bool,
    queue: VecDeque<Payload>,
    /// How much is written of the first in the queue.
    written: usize,
    /// When it is cut off.
    end: Option<Instant>,
}

impl<D: Device> Stack<D> {
    /// A new pool user on an interface that has its addresses and routes, and the device of that. The seed
    /// should differ from start to start: ports come from it, and which element is chosen first.
    ///
    /// # Errors
    /// The configuration contradicts itself, or lists a registrar that is not reached over TCP.
    pub(crate) fn new(
        config: Config,
        seed: u64,
        device: D,
        interface: Interface,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            user: PoolUser::new(config, CAPABILITIES, seed)?,
            device,
            interface,
            sockets: SocketSet::new(vec![]),
            connections: VecDeque::new(),
            calls: (seed & 0xffff) as u16,
        })
    }

    /// The pool user, for commands and to look at. Its actions and events are the driver's.
    pub(crate) fn user(&mut self) -> &mut PoolUser {
        &mut self.user
    }

    /// Does all that is to do at this time, until the pool user has something to tell: `None` if it
    /// has nothing before [`poll_timeout`](Self::poll_timeout) or the next packet, whichever is first.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Event> {
        self.user.handle_timeout(now);
        loop {
            let mut has_moved = self.act(now);
            let event = self.user.poll_event();
            if event.is_some() {
                return event;
            }
            let Self { interface, device, sockets, .. } = self;
            interface.poll(to_stack(now), device, sockets);
            for _ in 0..self.connections.len() {
                let Some(connection) = self.connections.pop_front() else { break };
                has_moved |= self.proceed(now, connection);
                if has_moved {
                    break;
                }
            }
            if !has_moved {
                return None;
            }
        }
    }

    /// When [`poll`](Self::poll) is to be called next if no packet comes; `None` where nothing is waited
    /// for.
    pub(crate) fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let of_stack = self.interface.poll_at(to_stack(now), &self.sockets).map(from_stack);
        let ends = self.connections.iter().filter_map(|connection| connection.end);
        ends.chain(of_stack).chain(self.user.poll_timeout()).min()
    }

    /// Whether the pool user is shut down and everything is written and closed.
    pub(crate) fn is_shut_down(&self) -> bool {
        self.user.is_shut_down() && self.connections.is_empty()
    }

    /// Does what the pool user asks for; says whether it asked for anything.
    fn act(&mut self, now: Instant) -> bool {
        let mut has_acted = false;
        while let Some(action) = self.user.poll_action() {
            has_acted = true;
            match action {
                Action::Open { channel, peer, to, .. } => match self.call(&to) {
                    Some(socket) => self.connections.push_back(Connection {
                        channel: Some(channel),
                        peer,
                        socket,
                        is_up: false,
                        queue: VecDeque::new(),
                        written: 0,
                        end: None,
                    }),
                    None => self.user.handle_closed(now, channel, CloseReason::Local),
                },
                Action::Send { channel, payload, .. } => {
                    if let Some(found) = self.find(channel) {
                        found.queue.push_back(payload);
                    }
                }
                Action::Close { channel, .. } => {
                    if let Some(found) = self.find(channel) {
                        (found.channel, found.end) = (None, Some(now + LINGER));
                    }
                }
                _ => {}
            }
        }
        has_acted
    }

    fn find(&mut self, channel: ChannelId) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|connection| connection.channel == Some(channel))
    }

    /// Calls a peer, unless it is at an address that this interface has no way to.
    fn call(&mut self, to: &Transport) -> Option<SocketHandle> {
        let Some(SocketAddr::V4(to)) = to.socket_addrs().next() else { return None };
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER_LEN]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_timeout(Some(SILENCE));
        socket.set_keep_alive(Some(KEEP_ALIVE));
        // There are far fewer connections than ports, and each port is used again as late as possible.
        self.calls = self.calls.wrapping_add(1);
        let from = FIRST_PORT | self.calls;
        socket.connect(self.interface.context(), IpEndpoint::from(to), from).ok()?;
        Some(self.sockets.add(socket))
    }

    /// Lets a connection do one thing, and keeps it unless that was its end; says whether there was
    /// anything to do.
    fn proceed(&mut self, now: Instant, mut connection: Connection) -> bool {
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(connection.socket);
        let state = socket.state();
        if connection.channel.is_none() {
            // Gone are one that is closed on both sides and one that the peer has been told is no more.
            if socket.remote_endpoint().is_none() || socket.state() == tcp::State::TimeWait {
                self.sockets.remove(connection.socket);
                return true;
            }
            if connection.end.take_if(|end| *end <= now).is_some() {
                connection.queue.clear();
                socket.abort();
            }
        }
        let has_moved = connection.proceed(now, socket, &mut self.user);
        self.connections.push_back(connection);
        // What closes or is cut off has a packet to send.
        has_moved || socket.state() != state
    }
}

impl Connection {
    fn proceed(&mut self, now: Instant, socket: &mut tcp::Socket<'_>, user: &mut PoolUser) -> bool {
        if let (Some(channel), false) = (self.channel, self.is_up) {
            if socket.may_send() {
                self.is_up = true;
                user.handle_opened(now, channel, Authentication::None);
                return true;
            }
            if socket.is_open() {
                return false;
            }
        }
        self.write(now, socket, user) || self.read(now, socket, user)
    }

    /// Writes what the socket has room for, and closes this side behind it once the channel is closed.
    fn write(&mut self, now: Instant, socket: &mut tcp::Socket<'_>, user: &mut PoolUser) -> bool {
        let mut has_written = false;
        while let Some(payload) = self.queue.front() {
            let (bytes, message) = match payload {
                Payload::Control(bytes) => (&bytes[..], None),
                Payload::Data { data, message, .. } => (&data[..], Some(*message)),
                _ => (&[][..], None),
            };
            // Nothing more is taken where there is no room, or no connection.
            let taken = socket.send_slice(&bytes[self.written..]).unwrap_or(0);
            self.written += taken;
            has_written |= taken > 0;
            if self.written < bytes.len() {
                break;
            }
            self.queue.pop_front();
            self.written = 0;
            if let (Some(message), Some(channel)) = (message, self.channel) {
                user.handle_written(now, channel, message);
            }
        }
        if self.channel.is_none() && (self.queue.is_empty() || !socket.may_send()) {
            socket.close();
        }
        has_written
    }

    /// Reads once. A closed channel is read from as well, or else the peer could not write on to the
    /// end of what it has to say.
    fn read(&mut self, now: Instant, socket: &mut tcp::Socket<'_>, user: &mut PoolUser) -> bool {
        let mut buffer = [0; READ_LEN];
        let received = socket.recv_slice(&mut buffer);
        let Some(channel) = self.channel else { return matches!(received, Ok(1..)) };
        let reason = match received {
            Ok(0) => return false,
            Ok(len) => {
                match self.peer {
                    PeerKind::Registrar => user.handle_stream(now, channel, &buffer[..len]),
                    _ => user.handle_data(now, channel, &buffer[..len]),
                }
                return true;
            }
            Err(RecvError::Finished) => CloseReason::Closed,
            Err(RecvError::InvalidState) => CloseReason::Failed,
        };
        (self.channel, self.end) = (None, Some(now + LINGER));
        self.queue.clear();
        socket.close();
        user.handle_closed(now, channel, reason);
        true
    }
}

/// The stack counts in microseconds.
fn to_stack(at: Instant) -> time::Instant {
    time::Instant::from_micros(i64::try_from(at.as_nanos() / 1_000).unwrap_or(i64::MAX))
}

fn from_stack(at: time::Instant) -> Instant {
    let micros = u64::try_from(at.total_micros()).unwrap_or(0);
    Instant::from_nanos(micros.saturating_mul(1_000))
}
