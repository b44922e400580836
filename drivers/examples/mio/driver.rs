//! A driver to copy: TCP in one thread, by `mio`, which is epoll on Linux.
//!
//! The application owns the [`Driver`] and calls [`Driver::event`], which does all the work that is
//! the pool user's. No socket ever blocks: what can be read or written is listed as the system says so,
//! and the driver goes through that list, one connection and one buffer at a time, until the pool user
//! has something to tell. Between that, it sleeps until the system has something or the next deadline is
//! there:
//!
//! ```text
//!             ┌────────┐ ─ Action ─▶ ┌─────────────┐
//!  Event ◀─── │  pool  │             │ connections │ ◀─ bytes ─▶ registrar or element
//!             │  user  │ ◀─ handle_… └─────────────┘
//!             └────────┘                    ▲ readable, writable
//!                  └───── poll_timeout ─▶ mio::Poll
//! ```
//!
//! An application which does not ask for events slows its peers down instead of filling memory: nothing
//! more is read while there is something to tell. What is to be written waits with its connection, as far as the
//! peer has not taken it; the pool user keeps that short, for it is told of each message when the
//! whole of it is written, and hands over no more than its window allows.
//!
//! Elements speak plain TCP: data only, in pieces of any size (RFC 5354 §3.5). There is one address in a
//! TCP transport, and so one to call. What registrars announce is not listened to: `examples/std` in the
//! crate does that.
//!
//! A peer that is gone without a word, cut off or without power, answers to nothing: the system is
//! asked to find out, by keep-alives where nothing is on its way. A peer that is there and takes
//! nothing of what is written to it has failed as well; one that takes a little at a time has not.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::Shutdown;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;
use std::time::Duration;

use asap_pu::wire::{Protocol, Transport};
use asap_pu::{
    Action, Authentication, Capabilities, ChannelId, CloseReason, Config, ConfigError, Confirms,
    Event, Instant, Payload, PeerKind, PoolUser,
};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{SockRef, TcpKeepalive};

/// How much is read at once.
const READ_LEN: usize = 16 << 10;

/// Of how many connections the system tells at once.
const MAX_EVENTS: usize = 1024;

/// The longest sleep, for a system that counts in few bits.
const MAX_SLEEP: Duration = Duration::from_secs(3600);

/// How long a peer may take to answer a call. A pool user with less patience closes the channel.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a peer's host may say nothing, and a peer accept nothing of what is written to it, before
/// it counts as failed.
const SILENCE: Duration = Duration::from_secs(20);

/// How long what was sent may go on to be written once a channel is closed; a peer that takes nothing
/// more has [`SILENCE`] all the same.
const LINGER: Duration = Duration::from_secs(30);

/// How long a peer may take to close its side once this side is closed.
const HALF_CLOSED: Duration = Duration::from_secs(2);

/// The application's, not a connection's.
const WOKEN: Token = Token(usize::MAX);

/// TCP, and each message told when it is written.
const CAPABILITIES: Capabilities = Capabilities::NONE
    .with_registrars(Protocol::Tcp)
    .with_elements(Protocol::Tcp, Confirms::Written);

/// A pool user in touch with the world.
pub(crate) struct Driver {
    user: PoolUser,
    /// What the pool user calls [`Instant::EPOCH`].
    start: std::time::Instant,
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    /// Those of open channels, and those that are closed and not yet through.
    connections: BTreeMap<Token, Connection>,
    /// Which connection is a channel's. The pool user has closed the others.
    channels: BTreeMap<ChannelId, Token>,
    /// How many connections there were.
    count: usize,
    /// Connections to read from or to write to, each once.
    ready: VecDeque<Token>,
    /// No connection has to be looked at for being late before this.
    due: Option<Instant>,
    buffer: Box<[u8]>,
    /// Why the registrar's channel ended that ended last.
    failure: Option<String>,
}

/// The driver's end of a channel.
struct Connection {
    /// `None` once the pool user has closed it.
    channel: Option<ChannelId>,
    peer: PeerKind,
    to: Transport,
    stream: TcpStream,
    phase: Phase,
    queue: VecDeque<Payload>,
    /// How much is written of the first in the queue.
    written: usize,
    /// The system has not yet said that there is no more to read.
    is_readable: bool,
    /// The system has not yet said that it takes no more.
    is_writable: bool,
    is_listed: bool,
    /// When the peer has taken nothing for too long, if something waits for it.
    stalled: Instant,
    /// When it ends in any case.
    end: Option<Instant>,
}

enum Phase {
    Connecting,
    Up,
    /// Nothing can be written any more, and what the peer had said before that is still read.
    Broken(io::Error),
    /// This side is closed.
    HalfClosed,
}

impl Driver {
    /// A driver around a new pool user. The seed should differ from process to process, so
    /// that not all choose the same element first.
    ///
    /// # Errors
    /// The configuration contradicts itself ([`ConfigError`]), or the system has no descriptors left.
    pub(crate) fn new(config: Config, seed: u64) -> io::Result<Self> {
        let invalid = |error: ConfigError| io::Error::new(ErrorKind::InvalidInput, error);
        let user = PoolUser::new(config, CAPABILITIES, seed).map_err(invalid)?;
        let poll = Poll::new()?;
        Ok(Self {
            user,
            start: std::time::Instant::now(),
            waker: Arc::new(Waker::new(poll.registry(), WOKEN)?),
            poll,
            events: Events::with_capacity(MAX_EVENTS),
            connections: BTreeMap::new(),
            channels: BTreeMap::new(),
            count: 0,
            ready: VecDeque::new(),
            due: None,
            buffer: vec![0; READ_LEN].into(),
            failure: None,
        })
    }

    /// Ends the wait in [`event`](Self::event), from any thread: the application has something else
    /// to do.
    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// The pool user, for commands and to look at. Its actions and events are the driver's.
    pub(crate) fn user(&mut self) -> &mut PoolUser {
        &mut self.user
    }

    /// The time as the pool user sees it. It stands still while the machine sleeps.
    pub(crate) fn now(&self) -> Instant {
        Instant::EPOCH + self.start.elapsed()
    }

    /// What to tell people where [`Event::NoRegistrarReachable`] is the end.
    pub(crate) fn no_registrar(&self) -> String {
        let why = self.failure.as_deref().unwrap_or("none of them answers");
        format!("no registrar can be reached: {why}")
    }

    /// Runs until the pool user has something to tell. `None` if there is nothing within `patience`,
    /// or the [`waker`](Self::waker) was used, or nothing is to come after a
    /// [`shut_down`](PoolUser::shut_down). Outside of this call nothing moves.
    pub(crate) fn event(&mut self, patience: Duration) -> Option<Event> {
        let end = self.now() + patience;
        let mut is_over = false;
        loop {
            self.act();
            let event = self.user.poll_event();
            if event.is_some() || is_over || self.user.is_shut_down() {
                return event;
            }
            is_over = self.turn(end) || self.now() >= end;
        }
    }

    /// Shuts the pool user down and waits until everything is written and closed, `patience` at
    /// most; says whether it came to that. Events are passed over: who wants them tells the pool
    /// user first and reads on until there are none.
    ///
    /// A driver that is dropped instead closes its connections as they are.
    pub(crate) fn shut_down(mut self, patience: Duration) -> bool {
        let end = self.now() + patience;
        self.user.shut_down(self.now());
        loop {
            self.act();
            while self.user.poll_event().is_some() {}
            if self.user.is_shut_down() && self.connections.is_empty() {
                return true;
            }
            if self.now() >= end {
                return false;
            }
            self.turn(end);
        }
    }

    /// Does what the pool user asks for.
    fn act(&mut self) {
        while let Some(action) = self.user.poll_action() {
            let now = self.now();
            match action {
                Action::Open { channel, peer, to, .. } => self.open(channel, peer, to),
                Action::Send { channel, payload, .. } => {
                    let Some(token) = self.channels.get(&channel) else { continue };
                    let Some(found) = self.connections.get_mut(token) else { continue };
                    if found.queue.is_empty() {
                        found.stalled = now + SILENCE;
                    }
                    found.queue.push_back(payload);
                    self.list(*token);
                }
                Action::Close { channel, .. } => {
                    let Some(token) = self.channels.remove(&channel) else { continue };
                    let Some(found) = self.connections.get_mut(&token) else { continue };
                    found.channel = None;
                    match found.phase {
                        Phase::Up => {
                            found.end = Some(now + LINGER);
                            self.list(token);
                        }
                        _ => drop(self.connections.remove(&token)),
                    }
                }
                _ => {}
            }
        }
    }

    fn open(&mut self, channel: ChannelId, peer: PeerKind, to: Transport) {
        let token = Token(self.count);
        self.count += 1;
        let opened = to.socket_addrs().next().ok_or(ErrorKind::AddrNotAvailable.into());
        let opened = opened.and_then(|at| {
            let mut stream = TcpStream::connect(at)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, token, interest)?;
            Ok(stream)
        });
        match opened {
            Ok(stream) => {
                let end = self.now() + CONNECT_TIMEOUT;
                let connection = Connection {
                    channel: Some(channel),
                    peer,
                    to,
                    stream,
                    phase: Phase::Connecting,
                    queue: VecDeque::new(),
                    written: 0,
                    is_readable: false,
                    is_writable: false,
                    is_listed: false,
                    stalled: end,
                    end: Some(end),
                };
                self.connections.insert(token, connection);
                self.channels.insert(channel, token);
                self.look_again(end);
            }
            Err(error) => self.ended(channel, peer, &to, Err(error)),
        }
    }

    /// Waits for something to do, until `end` at most, and does a part of it. Says whether the
    /// application was woken.
    fn turn(&mut self, end: Instant) -> bool {
        let deadlines = [self.user.poll_timeout(), self.due];
        let wake = deadlines.into_iter().flatten().fold(end, Instant::min);
        let patience = match self.ready.is_empty() {
            true => wake.since(self.now()).min(MAX_SLEEP),
            false => Duration::ZERO,
        };
        let is_woken = match self.poll.poll(&mut self.events, Some(patience)) {
            Ok(()) => self.note_events(),
            Err(error) if error.kind() == ErrorKind::Interrupted => false,
            Err(error) => panic!("the system does not say what happens: {error}"),
        };
        if let Some(token) = self.ready.pop_front() {
            self.proceed(token);
        }
        self.end_late();
        self.user.handle_timeout(self.now());
        is_woken
    }

    fn note_events(&mut self) -> bool {
        let Self { events, connections, ready, .. } = self;
        let mut is_woken = false;
        for event in &*events {
            is_woken |= event.token() == WOKEN;
            let Some(found) = connections.get_mut(&event.token()) else { continue };
            found.is_readable |= event.is_readable() || event.is_error();
            found.is_writable |= event.is_writable() || event.is_error();
            if !mem::replace(&mut found.is_listed, true) {
                ready.push_back(event.token());
            }
        }
        is_woken
    }

    fn list(&mut self, token: Token) {
        let Some(found) = self.connections.get_mut(&token) else { return };
        if !mem::replace(&mut found.is_listed, true) {
            self.ready.push_back(token);
        }
        let deadline = found.deadline();
        deadline.into_iter().for_each(|at| self.look_again(at));
    }

    /// Reads from a connection, and writes to it.
    fn proceed(&mut self, token: Token) {
        let now = self.now();
        let Some(found) = self.connections.get_mut(&token) else { return };
        found.is_listed = false;
        match found.proceed(now, &mut self.user, &mut self.buffer) {
            Break(outcome) => self.remove(token, outcome),
            Continue(()) if found.is_readable => self.list(token),
            Continue(()) => {
                let deadline = found.deadline();
                deadline.into_iter().for_each(|at| self.look_again(at));
            }
        }
    }

    fn look_again(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Ends connections whose peers have taken too long, unless they have just come to it.
    fn end_late(&mut self) {
        let now = self.now();
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        let is_late = |found: &Connection| found.deadline().is_some_and(|at| at <= now);
        let late = self.connections.iter().filter(|(_, found)| is_late(found) && !found.is_listed);
        let late: Vec<_> = late.map(|(token, _)| *token).collect();
        for token in late {
            let Some(found) = self.connections.get_mut(&token) else { continue };
            let outcome = match mem::replace(&mut found.phase, Phase::HalfClosed) {
                Phase::HalfClosed => Ok(()),
                Phase::Broken(error) => Err(error),
                Phase::Connecting | Phase::Up => {
                    // It shall not take what it has of a message for the whole, nor occupy the system.
                    let _ = SockRef::from(&found.stream).set_linger(Some(Duration::ZERO));
                    Err(ErrorKind::TimedOut.into())
                }
            };
            self.remove(token, outcome);
        }
        self.due = self.connections.values().filter_map(Connection::deadline).min();
    }

    /// A connection is no more.
    fn remove(&mut self, token: Token, outcome: io::Result<()>) {
        let Some(gone) = self.connections.remove(&token) else { return };
        if let Some(channel) = gone.channel {
            self.channels.remove(&channel);
            self.ended(channel, gone.peer, &gone.to, outcome);
        }
    }

    fn ended(
        &mut self,
        channel: ChannelId,
        peer: PeerKind,
        to: &Transport,
        outcome: io::Result<()>,
    ) {
        let (reason, why) = match outcome {
            Ok(()) => (CloseReason::Closed, "it hung up".to_owned()),
            Err(error) => (reason(&error), error.to_string()),
        };
        if peer == PeerKind::Registrar {
            self.failure = Some(format!("{to}: {why}"));
        }
        self.user.handle_closed(self.now(), channel, reason);
    }
}

impl Connection {
    /// When it is to end if nothing happens.
    fn deadline(&self) -> Option<Instant> {
        let stalled = Some(self.stalled).filter(|_| !self.queue.is_empty());
        stalled.into_iter().chain(self.end).min()
    }

    /// Goes on as far as the system lets it, but for reading, which is done once. Breaks where that is
    /// the end of the connection.
    fn proceed(
        &mut self,
        now: Instant,
        user: &mut PoolUser,
        buffer: &mut [u8],
    ) -> ControlFlow<io::Result<()>> {
        if let (Phase::Connecting, Some(channel)) = (&self.phase, self.channel) {
            match self.is_connected() {
                Ok(true) => {
                    (self.phase, self.end) = (Phase::Up, None);
                    user.handle_opened(now, channel, Authentication::None);
                }
                Ok(false) => {
                    (self.is_readable, self.is_writable) = (false, false);
                    return Continue(());
                }
                Err(error) => return Break(Err(error)),
            }
        }
        if let Err(error) = self.write(now, user) {
            // What came before a failure counts.
            self.queue.clear();
            self.phase = Phase::Broken(error);
            (self.is_readable, self.end) = (true, Some(now + HALF_CLOSED));
        }
        if self.is_readable {
            return self.read(now, user, buffer);
        }
        Continue(())
    }

    fn is_connected(&self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
            Err(error) => return Err(error),
        }
        self.stream.set_nodelay(true)?;
        watch_host(&self.stream)?;
        Ok(true)
    }

    /// Writes what waits, as far as the system takes it, and closes this side behind it where the pool
    /// user has closed the channel.
    fn write(&mut self, now: Instant, user: &mut PoolUser) -> io::Result<()> {
        let Phase::Up = self.phase else { return Ok(()) };
        while let Some(payload) = self.queue.front() {
            let (bytes, message) = match payload {
                Payload::Control(bytes) => (bytes, None),
                Payload::Data { data, message, .. } => (data, Some(*message)),
                _ => {
                    self.queue.pop_front();
                    continue;
                }
            };
            if self.written < bytes.len() {
                if !self.is_writable {
                    return Ok(());
                }
                match self.stream.write(&bytes[self.written..]) {
                    Ok(0) => return Err(ErrorKind::WriteZero.into()),
                    Ok(len) => (self.written, self.stalled) = (self.written + len, now + SILENCE),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_writable = false,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
                continue;
            }
            self.queue.pop_front();
            self.written = 0;
            if let (Some(message), Some(channel)) = (message, self.channel) {
                user.handle_written(now, channel, message);
            }
        }
        if self.channel.is_none() {
            self.stream.shutdown(Shutdown::Write)?;
            (self.phase, self.end) = (Phase::HalfClosed, Some(now + HALF_CLOSED));
        }
        Ok(())
    }

    /// Reads once. A closed channel is read from as well, or else the system would cut off what was
    /// just written.
    fn read(
        &mut self,
        now: Instant,
        user: &mut PoolUser,
        buffer: &mut [u8],
    ) -> ControlFlow<io::Result<()>> {
        let outcome = self.stream.read(buffer);
        match (outcome, mem::replace(&mut self.phase, Phase::HalfClosed)) {
            // A peer that has closed in good order takes nothing more, which is no failure.
            (Ok(0), Phase::Broken(error)) if error.kind() != ErrorKind::BrokenPipe => {
                return Break(Err(error));
            }
            (Ok(0), _) => return Break(Ok(())),
            (Ok(len), phase) => {
                self.phase = phase;
                match (self.channel, self.peer) {
                    (None, _) => {}
                    (Some(channel), PeerKind::Registrar) => {
                        user.handle_stream(now, channel, &buffer[..len]);
                    }
                    (Some(channel), _) => user.handle_data(now, channel, &buffer[..len]),
                }
            }
            (Err(error), phase) if error.kind() == ErrorKind::WouldBlock => {
                (self.phase, self.is_readable) = (phase, false);
            }
            (Err(error), phase) if error.kind() == ErrorKind::Interrupted => self.phase = phase,
            (Err(_), Phase::Broken(error)) | (Err(error), _) => return Break(Err(error)),
        }
        Continue(())
    }
}

/// Has the system find out about a peer whose host is gone without a word. Where it cannot say after
/// which time what was sent counts as lost, its own value applies to that, many minutes in most.
fn watch_host(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(SILENCE / 2).with_interval(SILENCE / 4);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(SILENCE))?;
    Ok(())
}

/// What the end of a channel is put down to. A peer is not to blame for what this host lacks:
/// descriptors, memory, watches, a route, an address to call from, leave to call.
fn reason(error: &io::Error) -> CloseReason {
    #[cfg(unix)]
    if let Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::EAFNOSUPPORT) =
        error.raw_os_error()
    {
        return CloseReason::Local;
    }
    match error.kind() {
        ErrorKind::AddrNotAvailable
        | ErrorKind::NetworkDown
        | ErrorKind::NetworkUnreachable
        | ErrorKind::OutOfMemory
        | ErrorKind::PermissionDenied
        | ErrorKind::StorageFull
        | ErrorKind::Unsupported => CloseReason::Local,
        _ => CloseReason::Failed,
    }
}
