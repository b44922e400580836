//! The driver: what a [`PoolUser`] needs of the world, made of sockets, threads and the clock of
//! the standard library.
//!
//! One thread owns the pool user. It does what [`PoolUser::poll_action`] asks for, then sleeps
//! until something arrives or the next deadline has come, whichever is first. All that it waits for
//! at a socket is room to write. The rest is left to other threads: one dials, and each channel
//! that is up has one that reads. All of them tell what happened through one queue.
//!
//! Registrars speak ASAP over TCP as it is, a stream of messages. Elements are reached over the
//! message transport of [`frame`](super::frame).
//!
//! To use this elsewhere, copy the file and leave the ladder and the tape out.

use std::collections::BTreeMap;
use std::io::ErrorKind::{
    self, AddrNotAvailable, BrokenPipe, ConnectionReset, NetworkDown, NetworkUnreachable,
    PermissionDenied,
};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use asap_pu::wire::{Protocol, Transport};
use asap_pu::{
    Action, Authentication, Capabilities, ChannelId, CloseReason, Config, ConfigError, Confirms,
    Event, Instant, Payload, PeerKind, PoolUser,
};

use super::frame::Frame;
use super::ladder::Ladder;
use super::tape::Tape;

/// How long one attempt to connect, or to write, may take.
const IO_TIMEOUT: Duration = Duration::from_millis(500);

/// A pool user in touch with the world.
pub(crate) struct Driver<'a> {
    /// For commands, and to look at.
    pub(crate) pool_user: PoolUser,
    /// Shows what passes through here.
    pub(crate) ladder: Ladder<'a>,
    /// Keeps it.
    pub(crate) tape: Tape,
    /// What the pool user calls [`Instant::EPOCH`].
    start: std::time::Instant,
    channels: BTreeMap<ChannelId, Channel>,
    dial: Sender<(ChannelId, Transport)>,
    dialler: JoinHandle<()>,
    inputs: Receiver<(ChannelId, Input)>,
    /// For the threads that read.
    to_inputs: Sender<(ChannelId, Input)>,
}

/// What can happen to a channel.
pub(crate) enum Input {
    /// The attempt to connect is over.
    Dialled(io::Result<TcpStream>),
    /// A registrar sent some bytes.
    Bytes(Vec<u8>),
    /// An element sent a message.
    Frame(Frame),
    /// It is no more.
    Ended(CloseReason),
}

/// A channel that the pool user has asked for and has not closed.
struct Channel {
    peer: PeerKind,
    /// The connection, once there is one, and the thread that reads from it.
    connection: Option<(TcpStream, JoinHandle<()>)>,
}

/// TCP. Frames tell ASAP messages from data, so there is a control channel to each element.
const CAPABILITIES: Capabilities = Capabilities::NONE
    .with_registrars(Protocol::Tcp)
    .with_elements(Protocol::Tcp, Confirms::Nothing)
    .with_control(Protocol::Tcp);

impl<'a> Driver<'a> {
    /// A driver around a new pool user.
    pub(crate) fn new(config: Config, seed: u64, ladder: Ladder<'a>) -> Result<Self, ConfigError> {
        let pool_user = PoolUser::new(config, CAPABILITIES, seed)?;
        let (to_inputs, inputs) = mpsc::channel();
        let (dial, wanted) = mpsc::channel();
        let dialled = to_inputs.clone();
        let dialler = thread::spawn(move || dial_all(wanted, dialled));
        let (start, channels) = (clock(), BTreeMap::new());
        let tape = Tape::default();
        Ok(Self { pool_user, ladder, tape, start, channels, dial, dialler, inputs, to_inputs })
    }

    /// The time as the pool user sees it.
    pub(crate) fn now(&self) -> Instant {
        Instant::EPOCH + clock().duration_since(self.start)
    }

    /// Runs until the pool user has something to tell. `None` where `deadline` has come first, or
    /// where nothing can happen any more.
    pub(crate) fn next_event(&mut self, deadline: Option<Instant>) -> Option<Event> {
        loop {
            self.explain();
            while let Some(action) = self.pool_user.poll_action() {
                self.perform(action);
            }
            self.explain();
            if let Some(event) = self.pool_user.poll_event() {
                self.ladder.event(self.now(), &event);
                return Some(event);
            }
            let timeout = self.pool_user.poll_timeout();
            if self.channels.is_empty() && timeout.is_none() {
                return None;
            }
            match self.next_input(timeout.into_iter().chain(deadline).min()) {
                Some((channel, input)) => self.handle(channel, input),
                None if deadline.is_some_and(|deadline| deadline <= self.now()) => return None,
                None => self.pool_user.handle_timeout(self.now()),
            }
        }
    }

    /// Shows why the pool user does what it does; elsewhere this is for the log.
    fn explain(&mut self) {
        while let Some(note) = self.pool_user.poll_note() {
            self.ladder.note(&note);
        }
    }

    /// Ends the threads. A pool user that was not shut down before loses its channels.
    pub(crate) fn stop(self) -> (PoolUser, Ladder<'a>, Tape) {
        self.channels.into_values().for_each(Channel::end);
        drop(self.dial);
        join(self.dialler);
        (self.pool_user, self.ladder, self.tape)
    }

    /// Does what the pool user asks for.
    fn perform(&mut self, action: Action) {
        self.ladder.action(self.now(), &action);
        self.tape.action(self.now(), &action);
        match action {
            Action::Open { channel, peer, to, .. } => {
                self.channels.insert(channel, Channel { peer, connection: None });
                self.dial.send((channel, to)).expect("the dialler runs as long as the driver");
            }
            Action::Send { channel, payload, .. } => {
                let Some(found) = self.channels.get(&channel) else { return };
                match found.send(&payload) {
                    // How it ended stands behind what came before, for its reader to find.
                    Err(error) if matches!(error.kind(), BrokenPipe | ConnectionReset) => {}
                    Err(_) => {
                        let ended = (channel, Input::Ended(CloseReason::Failed));
                        self.to_inputs.send(ended).expect("the driver has the other end");
                    }
                    Ok(()) => {}
                }
            }
            Action::Close { channel, .. } => {
                self.channels.remove(&channel).into_iter().for_each(Channel::end);
            }
            other => unimplemented!("{other:?}"),
        }
    }

    /// Waits for something to happen, until `wake`.
    fn next_input(&self, wake: Option<Instant>) -> Option<(ChannelId, Input)> {
        match wake {
            Some(wake) => self.inputs.recv_timeout(wake.since(self.now())).ok(),
            None => self.inputs.recv().ok(),
        }
    }

    /// Tells the pool user what happened.
    fn handle(&mut self, channel: ChannelId, input: Input) {
        let now = self.now();
        // What was under way when the pool user closed the channel is nobody's any more.
        let Some(found) = self.channels.get_mut(&channel) else { return };
        self.ladder.input(now, channel, &input);
        self.tape.input(now, channel, &input);
        match input {
            Input::Dialled(outcome) => {
                let inputs = self.to_inputs.clone();
                match outcome.and_then(|stream| found.come_up(channel, stream, inputs)) {
                    Ok(()) => self.pool_user.handle_opened(now, channel, Authentication::None),
                    Err(error) => self.end(now, channel, reason(&error)),
                }
            }
            Input::Bytes(bytes) => self.pool_user.handle_stream(now, channel, &bytes),
            Input::Frame(Frame::Control(message)) => {
                self.pool_user.handle_control(now, channel, &message);
            }
            Input::Frame(Frame::Data(data)) => self.pool_user.handle_data(now, channel, &data),
            Input::Ended(reason) => self.end(now, channel, reason),
        }
    }

    fn end(&mut self, now: Instant, channel: ChannelId, reason: CloseReason) {
        self.channels.remove(&channel).into_iter().for_each(Channel::end);
        self.pool_user.handle_closed(now, channel, reason);
    }
}

impl Channel {
    /// Has a connection from here on, and reads from it.
    fn come_up(
        &mut self,
        channel: ChannelId,
        stream: TcpStream,
        inputs: Sender<(ChannelId, Input)>,
    ) -> io::Result<()> {
        let (peer, incoming) = (self.peer, stream.try_clone()?);
        let reader = thread::spawn(move || {
            // Where the driver has stopped listening, nobody is left to be told.
            let hand_in = |input| drop(inputs.send((channel, input)));
            let ended = match peer {
                PeerKind::Registrar => read_bytes(incoming, hand_in),
                _ => read_frames(incoming, hand_in),
            };
            hand_in(Input::Ended(ended.map_or(CloseReason::Failed, |()| CloseReason::Closed)));
        });
        self.connection = Some((stream, reader));
        Ok(())
    }

    fn send(&self, payload: &Payload) -> io::Result<()> {
        let (stream, _) = self.connection.as_ref().ok_or(ErrorKind::NotConnected)?;
        let mut stream: &TcpStream = stream;
        match (payload, self.peer) {
            (Payload::Control(message), PeerKind::Registrar) => stream.write_all(message),
            (Payload::Control(message), _) => Frame::write_control(stream, message),
            (Payload::Data { data, .. }, _) => Frame::write_data(stream, data),
            (other, _) => unimplemented!("{other:?}"),
        }
    }

    /// Closes the connection; what was written before still arrives.
    fn end(self) {
        if let Some((stream, reader)) = self.connection {
            // It fails where the peer was faster.
            let _ = stream.shutdown(Shutdown::Both);
            join(reader);
        }
    }
}

/// Connects to one peer after the other, in the order in which the pool user asks for them, so that
/// a run can be repeated. Where an attempt can take long, each would have a thread of its own.
fn dial_all(wanted: Receiver<(ChannelId, Transport)>, inputs: Sender<(ChannelId, Input)>) {
    for (channel, to) in wanted {
        // Where the driver has stopped listening, the orders end too.
        let _ = inputs.send((channel, Input::Dialled(connect(&to))));
    }
}

fn connect(to: &Transport) -> io::Result<TcpStream> {
    let at = to.socket_addrs().next().ok_or(AddrNotAvailable)?;
    let stream = TcpStream::connect_timeout(&at, IO_TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(IO_TIMEOUT))?;
    Ok(stream)
}

/// What the end of a channel is put down to: a peer is not to blame for what this host lacks.
fn reason(error: &io::Error) -> CloseReason {
    match error.kind() {
        AddrNotAvailable | NetworkDown | NetworkUnreachable | PermissionDenied => {
            CloseReason::Local
        }
        // Too many open files, here or in the whole system: there is no word for that yet.
        _ if matches!(error.raw_os_error(), Some(23 | 24)) && cfg!(unix) => CloseReason::Local,
        _ => CloseReason::Failed,
    }
}

/// Hands in what a registrar sends, until it closes the connection.
fn read_bytes(mut stream: TcpStream, hand_in: impl Fn(Input)) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            len => hand_in(Input::Bytes(buffer[..len].to_vec())),
        }
    }
}

/// Hands in what an element sends, until it closes the connection.
fn read_frames(mut stream: TcpStream, hand_in: impl Fn(Input)) -> io::Result<()> {
    while let Some(frame) = Frame::read(&mut stream)? {
        hand_in(Input::Frame(frame));
    }
    Ok(())
}

fn join(thread: JoinHandle<()>) {
    thread.join().expect("no thread of the driver panics");
}

#[expect(clippy::disallowed_methods, reason = "a driver is what reads the clock")]
fn clock() -> std::time::Instant {
    std::time::Instant::now()
}
