//! A driver to copy: TCP, threads and the clock of the standard library around a [`PoolUser`].
//!
//! One thread owns the pool user. Dialling and reading, which block, have threads of their own for
//! each channel; all that happens comes through one queue, where the owner waits for it or for the
//! next deadline, whichever is first. Elements speak plain TCP: data only, in pieces of any size.
#![allow(clippy::disallowed_methods, reason = "a driver reads the clock")]
#![allow(clippy::std_instead_of_alloc, reason = "programs have `std`")]
#![allow(dead_code, reason = "each example uses a part")]

use core::time::Duration;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::{process, thread};

use asap_pu::wire::Transport;
use asap_pu::{
    Action, Authentication, ChannelId, CloseReason, Config, ConfigError, Event, Instant, Payload,
    PeerKind, PoolUser,
};

/// A pool user in touch with the world.
pub(crate) struct Driver {
    /// For commands; events are read through [`Driver::event`].
    pub(crate) user: PoolUser,
    start: std::time::Instant,
    /// The channels asked for, and their streams once they are up.
    channels: BTreeMap<ChannelId, (PeerKind, Option<TcpStream>)>,
    inputs: Receiver<(ChannelId, Input)>,
    to_inputs: Sender<(ChannelId, Input)>,
}

/// What happens to a channel.
enum Input {
    Dialled(io::Result<TcpStream>),
    Received(Vec<u8>),
    Ended,
}

impl Driver {
    pub(crate) fn new(config: Config) -> Result<Self, ConfigError> {
        // Every process has a seed of its own, so that not all choose the same element first.
        let user = PoolUser::new(config, process::id().into())?;
        let (to_inputs, inputs) = mpsc::channel();
        let (start, channels) = (std::time::Instant::now(), BTreeMap::new());
        Ok(Self { user, start, channels, inputs, to_inputs })
    }

    /// The time as the pool user sees it.
    pub(crate) fn now(&self) -> Instant {
        Instant::EPOCH + self.start.elapsed()
    }

    /// The next event, or `None` if there is none within `patience`.
    pub(crate) fn event(&mut self, patience: Duration) -> Option<Event> {
        let end = self.now() + patience;
        loop {
            self.act();
            if let Some(event) = self.user.poll_event() {
                return Some(event);
            }
            let now = self.now();
            if now >= end {
                return None;
            }
            let wake = self.user.poll_timeout().map_or(end, |at| at.min(end));
            if let Ok((channel, input)) = self.inputs.recv_timeout(wake.since(now)) {
                self.take(channel, input);
            }
            self.user.handle_timeout(self.now());
        }
    }

    /// Does what the pool user asks for.
    pub(crate) fn act(&mut self) {
        while let Some(action) = self.user.poll_action() {
            match action {
                Action::Open { channel, peer, to, .. } => {
                    self.channels.insert(channel, (peer, None));
                    let inputs = self.to_inputs.clone();
                    thread::spawn(move || inputs.send((channel, Input::Dialled(dial(&to)))));
                }
                Action::Send { channel, payload, .. } => {
                    let message = match payload {
                        Payload::Control(message) => message,
                        Payload::Data { data, .. } => data,
                        _ => continue,
                    };
                    if let Some((_, Some(stream))) = self.channels.get_mut(&channel) {
                        // A failure shows when reading.
                        let _ = stream.write_all(&message);
                    }
                }
                Action::Close { channel, .. } => self.forget(channel),
                _ => {}
            }
        }
    }

    /// Hands in what happened, unless the pool user has closed the channel meanwhile.
    fn take(&mut self, channel: ChannelId, input: Input) {
        let now = self.now();
        let Some((peer, stream)) = self.channels.get_mut(&channel) else { return };
        match input {
            Input::Dialled(Ok(dialled)) => {
                if let Ok(reader) = dialled.try_clone() {
                    let inputs = self.to_inputs.clone();
                    thread::spawn(move || read(reader, channel, &inputs));
                }
                *stream = Some(dialled);
                self.user.handle_opened(now, channel, Authentication::None);
            }
            Input::Received(bytes) => match peer {
                PeerKind::Registrar => self.user.handle_stream(now, channel, &bytes),
                _ => self.user.handle_data(now, channel, &bytes),
            },
            Input::Dialled(Err(_)) | Input::Ended => {
                self.forget(channel);
                self.user.handle_closed(now, channel, CloseReason::Failed);
            }
        }
    }

    fn forget(&mut self, channel: ChannelId) {
        if let Some((_, Some(stream))) = self.channels.remove(&channel) {
            // The thread that reads ends with it.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let channels: Vec<_> = self.channels.keys().copied().collect();
        channels.into_iter().for_each(|channel| self.forget(channel));
    }
}

/// Connects to the first address that answers.
pub(crate) fn dial(to: &Transport) -> io::Result<TcpStream> {
    let mut outcome = Err(io::ErrorKind::AddrNotAvailable.into());
    for at in to.socket_addrs() {
        outcome = TcpStream::connect_timeout(&at, Duration::from_secs(5));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn read(mut stream: TcpStream, channel: ChannelId, inputs: &Sender<(ChannelId, Input)>) {
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = stream.read(&mut buffer) {
        if inputs.send((channel, Input::Received(buffer[..len].to_vec()))).is_err() {
            return;
        }
    }
    let _ = inputs.send((channel, Input::Ended));
}
