//! A driver to copy: TCP, threads and the clock of the standard library around a [`PoolUser`], and
//! `socket2` for two options of sockets that the library has no words for.
//!
//! The application owns the [`Driver`] and calls [`Driver::event`], which does all the work that is
//! the pool user's. What blocks has threads of its own, two for each channel: one connects and then
//! writes, the other reads. Another one listens to the announces of registrars. They share nothing
//! with the driver but queues:
//!
//! ```text
//!             ┌────────┐ ─ Payload ─▶ ┌───────────────────────┐
//!  Event ◀─── │ Driver │              │ threads for a channel │ ◀─ bytes ─▶ registrar or element
//!             └────────┘ ◀── Input ── └───────────────────────┘
//!                 ▲ announces
//! ```
//!
//! All that happens comes through one bounded queue, where the driver waits for it or for the next
//! deadline, whichever is first; an application which does not ask for events slows its peers down
//! instead of filling memory. What is to be written waits in a queue for each channel, which the
//! pool user keeps short: as each write is confirmed, it hands over no more data than its window allows,
//! and control messages are few.
//!
//! Elements speak plain TCP: data only, in pieces of any size (RFC 5354 §3.5). The standard library
//! knows no TLS, so channels that are to be secured fail.
//!
//! A peer that is gone without a word, cut off or without power, answers to nothing: the system is
//! asked to find out, by keep-alives where nothing is on its way. A peer that is there and takes
//! nothing of what is written to it has failed as well; one that takes a little at a time has not.
//!
//! The clock is one that nobody sets. On most systems it stands still while the machine sleeps, and
//! with it all deadlines: what a pool user knew then counts as fresh as it was, and channels that have
//! ended meanwhile are found out about like those whose peer is cut off.
#![allow(clippy::disallowed_methods, reason = "a driver reads the clock")]
#![allow(clippy::std_instead_of_alloc, reason = "programs have `std`")]
#![allow(dead_code, reason = "each example uses a part")]

use core::iter;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Weak};
use std::thread;

use asap_pu::wire::{Protocol, Transport};
use asap_pu::{
    Action, Authentication, Capabilities, ChannelId, CloseReason, Config, ConfigError, Confirms,
    Event, Instant, MessageId, Payload, PeerKind, PoolUser,
};
use socket2::{SockRef, TcpKeepalive};

/// How much is read at once.
const READ_LEN: usize = 16 << 10;

/// How much is written at once.
const WRITE_LEN: usize = 64 << 10;

/// How many inputs wait for the driver before the threads have to.
const MAX_INPUTS: usize = 64;

/// How long an address may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a peer's host may say nothing, and a peer accept nothing of what is written to it, before
/// it counts as failed.
const SILENCE: Duration = Duration::from_secs(20);

/// How long what was sent may go on to be written once a channel is closed; a peer that takes nothing
/// more has [`SILENCE`] all the same.
const LINGER: Duration = Duration::from_secs(30);

/// How long a peer may take to close its side once this side is closed.
const HALF_CLOSED: Duration = Duration::from_secs(2);

/// How often the thread that listens looks whether it is still wanted.
const LISTEN_INTERVAL: Duration = Duration::from_millis(100);

/// TCP, and each message told when it is written.
const CAPABILITIES: Capabilities = Capabilities::NONE
    .with_registrars(Protocol::Tcp)
    .with_elements(Protocol::Tcp, Confirms::Written);

/// A pool user in touch with the world.
pub(crate) struct Driver {
    user: PoolUser,
    /// What the pool user calls [`Instant::EPOCH`].
    start: std::time::Instant,
    /// The channels that the pool user asked for and has not closed.
    channels: BTreeMap<ChannelId, Channel>,
    inputs: Receiver<Input>,
    /// Threads hold it too, those that a shutdown has to wait for.
    to_inputs: Arc<SyncSender<Input>>,
    /// Why the registrar's channel ended that ended last.
    failure: Option<String>,
    /// The interface for link-local addresses, which mean nothing without one (RFC 4007 §6): where the
    /// registrar is that has announced itself last from such an address.
    zone: u32,
}

/// The driver's end of a channel; to drop it is to close the channel behind what is queued.
struct Channel {
    peer: PeerKind,
    to: Transport,
    queue: Sender<Payload>,
    /// To drop it tells the threads that the channel is closed, whatever is queued.
    _open: Arc<()>,
}

/// What happens.
enum Input {
    Announce(SocketAddr, Vec<u8>),
    Opened(ChannelId),
    Received(ChannelId, Vec<u8>),
    Written(ChannelId, MessageId),
    /// The peer has closed the channel, or it failed.
    Ended(ChannelId, io::Result<()>),
}

impl Driver {
    /// A driver around a new pool user. The seed should differ from process to process, so
    /// that not all choose the same element first.
    ///
    /// # Errors
    /// The configuration contradicts itself, or lists a registrar that is not reached over TCP.
    pub(crate) fn new(config: Config, seed: u64) -> Result<Self, ConfigError> {
        let (to_inputs, inputs) = mpsc::sync_channel(MAX_INPUTS);
        Ok(Self {
            user: PoolUser::new(config, CAPABILITIES, seed)?,
            start: std::time::Instant::now(),
            channels: BTreeMap::new(),
            inputs,
            to_inputs: Arc::new(to_inputs),
            failure: None,
            zone: 0,
        })
    }

    /// Listens to what registrars announce to the multicast `group` (RFC 5352 §2.2.10). The interface is
    /// the one with this address, or of an IPv6 group the one that its scope names; where that is
    /// unspecified, the system chooses.
    ///
    /// # Errors
    /// The group cannot be joined, or another program listens on the port: the standard library
    /// cannot share it.
    pub(crate) fn listen(
        &self,
        group: impl Into<SocketAddr>,
        interface: Ipv4Addr,
    ) -> io::Result<()> {
        let group = group.into();
        // Where the system allows it, not what is sent to this host alone.
        let at = match group {
            SocketAddr::V4(_) if !cfg!(unix) => (Ipv4Addr::UNSPECIFIED, group.port()).into(),
            // A system wants to know the interface for a group of one link.
            SocketAddr::V6(at) if !cfg!(unix) || at.scope_id() == 0 => {
                (Ipv6Addr::UNSPECIFIED, group.port()).into()
            }
            group => group,
        };
        let socket = UdpSocket::bind(at)?;
        match group {
            SocketAddr::V4(group) => socket.join_multicast_v4(group.ip(), &interface)?,
            SocketAddr::V6(group) => socket.join_multicast_v6(group.ip(), group.scope_id())?,
        }
        socket.set_read_timeout(Some(LISTEN_INTERVAL))?;
        let inputs = Arc::downgrade(&self.to_inputs);
        thread::Builder::new().spawn(move || listen(&socket, &inputs)).map(drop)
    }

    /// The pool user, for commands and to look at. Its actions and events are the driver's.
    pub(crate) fn user(&mut self) -> &mut PoolUser {
        &mut self.user
    }

    /// The time as the pool user sees it.
    pub(crate) fn now(&self) -> Instant {
        Instant::EPOCH + self.start.elapsed()
    }

    /// What to tell people where [`Event::NoRegistrarReachable`] is the end.
    pub(crate) fn no_registrar(&self) -> String {
        let why = self.failure.as_deref().unwrap_or("none of them answers");
        format!("no registrar can be reached: {why}")
    }

    /// Runs until the pool user has something to tell. `None` if there is nothing within `patience`,
    /// or nothing to come after a [`shut_down`](PoolUser::shut_down). Outside of this call nothing
    /// moves.
    pub(crate) fn event(&mut self, patience: Duration) -> Option<Event> {
        let end = self.now() + patience;
        let mut is_over = false;
        loop {
            self.act();
            let event = self.user.poll_event();
            if event.is_some() || is_over || self.user.is_shut_down() {
                return event;
            }
            let wake = self.user.poll_timeout().map_or(end, |at| at.min(end));
            if let Ok(input) = self.inputs.recv_timeout(wake.since(self.now())) {
                self.take(input);
            }
            self.user.handle_timeout(self.now());
            is_over = self.now() >= end;
        }
    }

    /// Shuts the pool user down and waits until everything is written and closed, `patience` at
    /// most; says whether it came to that. Events are passed over: who wants them tells the pool
    /// user first and reads on until there are none.
    ///
    /// A driver that is dropped instead closes its channels too, but nobody waits for it.
    pub(crate) fn shut_down(mut self, patience: Duration) -> bool {
        let end = self.now() + patience;
        self.user.shut_down(self.now());
        while !self.user.is_shut_down() {
            if self.now() >= end {
                return false;
            }
            self.event(end.since(self.now()));
        }
        let Self { start, inputs, to_inputs, .. } = self;
        drop(to_inputs);
        let left = || end.since(Instant::EPOCH + start.elapsed());
        let over = iter::from_fn(|| Some(inputs.recv_timeout(left()))).find_map(Result::err);
        over == Some(RecvTimeoutError::Disconnected)
    }

    /// Does what the pool user asks for.
    fn act(&mut self) {
        while let Some(action) = self.user.poll_action() {
            match action {
                Action::Open { channel, peer, to, .. } => {
                    let (queue, payloads) = mpsc::channel();
                    let (at, inputs) = (self.place(&to), Arc::downgrade(&self.to_inputs));
                    let open = Arc::new(());
                    let is_open = Arc::downgrade(&open);
                    self.channels.insert(channel, Channel { peer, to, queue, _open: open });
                    let thread = thread::Builder::new().spawn(move || {
                        let connected = connect(at);
                        let Some(inputs) = inputs.upgrade() else { return };
                        // If the driver is gone nobody is left to be told, and the payloads have
                        // come to their end.
                        let tell = |input| drop(inputs.send(input));
                        let ended = connected
                            .and_then(|to| carry(channel, &to, &payloads, &is_open, &tell));
                        tell(Input::Ended(channel, ended));
                    });
                    if let Err(error) = thread {
                        self.take(Input::Ended(channel, Err(error)));
                    }
                }
                Action::Send { channel, payload, .. } => {
                    if let Some(found) = self.channels.get(&channel) {
                        // If the thread is gone it has said why.
                        let _ = found.queue.send(payload);
                    }
                }
                Action::Close { channel, .. } => drop(self.channels.remove(&channel)),
                _ => {}
            }
        }
    }

    /// The one address that a TCP transport has, as the system wants it.
    fn place(&self, to: &Transport) -> Option<SocketAddr> {
        let mut at = to.socket_addrs().next()?;
        if let SocketAddr::V6(at) = &mut at {
            if at.ip().is_unicast_link_local() {
                at.set_scope_id(self.zone);
            }
        }
        Some(at)
    }

    /// Hands in what happened. What comes on a channel that the pool user has closed meanwhile it
    /// passes over.
    fn take(&mut self, input: Input) {
        let now = self.now();
        let Self { user, channels, .. } = self;
        match input {
            Input::Announce(source, datagram) => {
                if let SocketAddr::V6(source) = source {
                    self.zone = source.scope_id();
                }
                user.handle_announce(now, source, &datagram);
            }
            Input::Opened(channel) => user.handle_opened(now, channel, Authentication::None),
            Input::Received(channel, bytes) => match channels.get(&channel) {
                Some(Channel { peer: PeerKind::Registrar, .. }) => {
                    user.handle_stream(now, channel, &bytes);
                }
                _ => user.handle_data(now, channel, &bytes),
            },
            Input::Written(channel, message) => user.handle_written(now, channel, message),
            Input::Ended(channel, outcome) => {
                let Some(Channel { peer, to, .. }) = channels.remove(&channel) else { return };
                let (reason, why) = match outcome {
                    Ok(()) => (CloseReason::Closed, "it hung up".to_owned()),
                    Err(error) => (reason(&error), error.to_string()),
                };
                if peer == PeerKind::Registrar {
                    self.failure = Some(format!("{to}: {why}"));
                }
                user.handle_closed(now, channel, reason);
            }
        }
    }
}

/// The life of a channel: until its peer closes it, it fails, or the driver drops its end.
fn carry(
    channel: ChannelId,
    stream: &TcpStream,
    payloads: &Receiver<Payload>,
    is_open: &Weak<()>,
    tell: &(impl Fn(Input) + Sync),
) -> io::Result<()> {
    tell(Input::Opened(channel));
    thread::scope(|scope| {
        let (reading, is_read) = mpsc::channel::<()>();
        thread::Builder::new().spawn_scoped(scope, || {
            tell(Input::Ended(channel, read(channel, stream, tell)));
            drop(reading);
        })?;
        let written = write(channel, stream, payloads, is_open, tell);
        // A system that closes with something unread cuts off what was just written, and what came
        // before a failure counts.
        let _ = is_read.recv_timeout(HALF_CLOSED);
        tell(Input::Ended(channel, written));
        // This ends the other thread. It fails where the peer was faster.
        let _ = stream.shutdown(Shutdown::Both);
        Ok(())
    })
}

/// Connects, and has the system find out about a peer whose host is gone without a word. Where it cannot
/// say after which time what was sent counts as lost, its own value applies to that, many minutes in
/// most.
fn connect(at: Option<SocketAddr>) -> io::Result<TcpStream> {
    let at = at.ok_or(ErrorKind::AddrNotAvailable)?;
    let stream = TcpStream::connect_timeout(&at, CONNECT_TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(SILENCE))?;
    let socket = SockRef::from(&stream);
    let keepalive = TcpKeepalive::new().with_time(SILENCE / 2).with_interval(SILENCE / 4);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(SILENCE))?;
    Ok(stream)
}

/// What the end of a channel is put down to. A peer is not to blame for what this host lacks:
/// descriptors, memory, threads, a route, an address to call from, leave to call, TLS.
fn reason(error: &io::Error) -> CloseReason {
    // The standard library has no words for these.
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    match (error.kind(), error.raw_os_error()) {
        (
            ErrorKind::AddrNotAvailable
            | ErrorKind::NetworkDown
            | ErrorKind::NetworkUnreachable
            | ErrorKind::OutOfMemory
            | ErrorKind::PermissionDenied
            | ErrorKind::Unsupported
            | ErrorKind::WouldBlock,
            _,
        ) => CloseReason::Local,
        (_, Some(ENFILE | EMFILE)) if cfg!(unix) => CloseReason::Local,
        _ => CloseReason::Failed,
    }
}

/// Hands in what the peer sends, until it closes its side.
fn read(channel: ChannelId, mut stream: &TcpStream, tell: &impl Fn(Input)) -> io::Result<()> {
    let mut buffer = vec![0; READ_LEN];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => tell(Input::Received(channel, buffer[..len].to_vec())),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes until the driver drops its end, and closes this side then.
fn write(
    channel: ChannelId,
    stream: &TcpStream,
    payloads: &Receiver<Payload>,
    is_open: &Weak<()>,
    tell: &impl Fn(Input),
) -> io::Result<()> {
    let mut closed = None;
    let mut is_late = || {
        is_open.strong_count() == 0
            && closed.get_or_insert_with(std::time::Instant::now).elapsed() >= LINGER
    };
    for payload in payloads {
        match payload {
            Payload::Control(message) => write_all(stream, &message, &mut is_late)?,
            Payload::Data { message, data, .. } => {
                write_all(stream, &data, &mut is_late)?;
                tell(Input::Written(channel, message));
            }
            _ => {}
        }
    }
    stream.shutdown(Shutdown::Write)
}

/// Writes all of it, however slowly the peer reads, as long as it does.
fn write_all(
    mut stream: &TcpStream,
    mut bytes: &[u8],
    is_late: &mut impl FnMut() -> bool,
) -> io::Result<()> {
    while !bytes.is_empty() {
        if is_late() {
            return Err(ErrorKind::TimedOut.into());
        }
        match stream.write(&bytes[..bytes.len().min(WRITE_LEN)]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(len) => bytes = &bytes[len..],
            // What a system calls a time-out of its own.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(ErrorKind::TimedOut.into());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Hands in announces, as long as there is a driver.
fn listen(socket: &UdpSocket, inputs: &Weak<SyncSender<Input>>) {
    let mut datagram = vec![0; 0x1_0000];
    loop {
        let received = socket.recv_from(&mut datagram);
        let Some(inputs) = inputs.upgrade() else { return };
        match received {
            Ok((len, source)) => {
                let _ = inputs.send(Input::Announce(source, datagram[..len].to_vec()));
            }
            // None in time, or the network is down for the moment.
            Err(_) => thread::sleep(LISTEN_INTERVAL),
        }
    }
}
