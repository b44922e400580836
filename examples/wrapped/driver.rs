//! A driver to copy: the crate inside a transport of your own.
//!
//! Not every program reaches its peers over sockets of its own. This one has a single link to a
//! gateway, which might be a serial line, a WebSocket or a tunnel: it carries frames in order, and
//! nothing else. All channels of the pool user share it, those to registrars and those to elements,
//! control messages and data.
//!
//! Three things make a transport fit.
//!
//! *Channels.* The pool user asks for a channel with `Action::Open` and names it; the driver tells
//! when it is up, and when it is no more. The link has numbers instead of names, so the driver
//! keeps the list of which is which.
//!
//! *Control and data.* Cookies and business cards travel beside the application's data, and only
//! where the two can be told apart (RFC 5352 §3.8). Here every message has a payload protocol
//! identifier, as in SCTP: 11 is ASAP, all others are the application's. The driver declares that
//! with `Capabilities::with_control`; without it the pool user keeps cookies from such a channel.
//!
//! *Addresses.* An element is listed with a transport, and one kind of them is opaque: bytes that
//! only the application understands (RFC 5354 §3.16), here the names that the gateway knows. A
//! registrar has to be at a TCP or SCTP address, but nobody says that it is the driver who goes
//! there.
//!
//! *Silence.* A peer that is cut off without a word ends no channel by itself. Whoever carries frames
//! across a network, here the gateway, has to find out by asking, and to say then that the channel broke;
//! `docs/failures.md` has the times of the other drivers.
//!
//! ```text
//! 01 00 00 00 02 61 6c 70 68 61     open channel 2 to "alpha"
//! 02 00 00 00 02                    it is up
//! 03 00 00 00 02 00 00 00 0b …      a message on it: the identifier (11) and the bytes
//! 04 00 00 00 02                    it is closed, in good order
//! 05 00 00 00 02                    it broke, or cannot be set up
//! ```
//!
//! Closed and broken are told apart: an element that closes a channel is well and may be called
//! again, one whose channel breaks has failed and is reported.
#![allow(clippy::disallowed_methods, reason = "a driver reads the clock")]
#![allow(clippy::std_instead_of_alloc, reason = "programs have `std`")]

use core::error::Error;
use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, Sender};

use asap_pu::wire::{ASAP_PPID, Message, Protocol, Transport};
use asap_pu::{
    Action, Authentication, Capabilities, ChannelId, CloseReason, Config, ConfigError, Confirms,
    Event, Instant, Payload, PeerKind, PoolUser,
};

/// The application's own payload protocol identifier; any but 11 will do.
pub(crate) const DATA_PPID: u32 = 0;

/// What the gateway calls the registrar.
const REGISTRAR: &[u8] = b"registrar";

/// A pool user, and the link that all its channels share.
pub(crate) struct Driver {
    /// The pool user, for commands and to look at. Its actions and events are the driver's.
    pub(crate) user: PoolUser,
    /// What the pool user calls [`Instant::EPOCH`].
    start: std::time::Instant,
    pub(crate) link: Link,
    /// The channels that the pool user asked for and has not closed, by their number on the link.
    channels: BTreeMap<u32, ChannelId>,
    last_number: u32,
    /// What passed over the link, for people.
    pub(crate) frames: Vec<String>,
}

/// One end of the link.
pub(crate) type Link = (Sender<Vec<u8>>, Receiver<Vec<u8>>);

/// What the link carries.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) channel: u32,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// To whoever has this name.
    Open(Vec<u8>),
    Opened,
    /// The payload protocol identifier and the bytes.
    Message(u32, Vec<u8>),
    /// It is no more, in good order.
    Closed,
    /// It is no more, or there is none.
    Broken,
}

/// Registrars and elements behind one link, with control and data apart.
const CAPABILITIES: Capabilities = Capabilities::NONE
    .with_registrars(Protocol::Tcp)
    .with_elements(Protocol::Opaque, Confirms::Nothing)
    .with_control(Protocol::Opaque);

impl Driver {
    /// A driver around a new pool user.
    ///
    /// # Errors
    /// The configuration contradicts itself.
    pub(crate) fn new(config: Config, link: Link) -> Result<Self, ConfigError> {
        Ok(Self {
            user: PoolUser::new(config, CAPABILITIES, 1)?,
            start: std::time::Instant::now(),
            link,
            channels: BTreeMap::new(),
            last_number: 0,
            frames: Vec::new(),
        })
    }

    /// The time as the pool user sees it.
    pub(crate) fn now(&self) -> Instant {
        Instant::EPOCH + self.start.elapsed()
    }

    /// The next event; `None` if there is none to come after a
    /// [`shut_down`](PoolUser::shut_down). Fails where the link does.
    pub(crate) fn event(&mut self) -> Result<Option<Event>, Box<dyn Error>> {
        loop {
            while let Some(action) = self.user.poll_action() {
                self.perform(action)?;
            }
            let event = self.user.poll_event();
            if event.is_some() || self.user.is_shut_down() {
                return Ok(event);
            }
            let wake = self.user.poll_timeout().map(|at| at.since(self.now()));
            match self.link.1.recv_timeout(wake.unwrap_or(Duration::MAX)) {
                Ok(frame) => self.take(Frame::decode(&frame).ok_or("no frame")?),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(error) => return Err(error.into()),
            }
            // Also when frames do not cease to come.
            self.user.handle_timeout(self.now());
        }
    }

    /// Closes everything in good order. Events are passed over.
    pub(crate) fn shut_down(&mut self) -> Result<(), Box<dyn Error>> {
        self.user.shut_down(self.now());
        while self.event()?.is_some() {}
        Ok(())
    }

    /// From the pool user to the link.
    fn perform(&mut self, action: Action) -> Result<(), Box<dyn Error>> {
        let (channel, kind) = match action {
            Action::Open { channel, peer, to, .. } => {
                self.last_number += 1;
                self.channels.insert(self.last_number, channel);
                let name = match (peer, to) {
                    (PeerKind::Element, Transport::Opaque(name)) => name.into(),
                    _ => REGISTRAR.into(),
                };
                (self.last_number, Kind::Open(name))
            }
            Action::Send { channel, payload, .. } => {
                let (ppid, bytes) = match payload {
                    Payload::Control(message) => (ASAP_PPID, message.into()),
                    Payload::Data { data, .. } => (DATA_PPID, data.into()),
                    other => return Err(format!("cannot send {other:?}").into()),
                };
                (self.number(channel)?, Kind::Message(ppid, bytes))
            }
            Action::Close { channel, .. } => {
                let channel = self.number(channel)?;
                self.channels.remove(&channel);
                (channel, Kind::Closed)
            }
            other => return Err(format!("cannot do {other:?}").into()),
        };
        let frame = Frame { channel, kind };
        self.frames.push(format!("-> {frame}"));
        Ok(self.link.0.send(frame.encode())?)
    }

    /// From the link to the pool user.
    fn take(&mut self, frame: Frame) {
        self.frames.push(format!("<- {frame}"));
        let now = self.now();
        // A frame can cross the one by which its channel was closed.
        let Some(&channel) = self.channels.get(&frame.channel) else { return };
        match frame.kind {
            // A link that authenticates its peers says so here.
            Kind::Opened => self.user.handle_opened(now, channel, Authentication::None),
            // Whole messages, from registrars too: nothing is left to be cut as on a byte stream.
            Kind::Message(ASAP_PPID, bytes) => self.user.handle_control(now, channel, &bytes),
            Kind::Message(_, bytes) => self.user.handle_data(now, channel, &bytes),
            Kind::Closed | Kind::Broken => {
                self.channels.remove(&frame.channel);
                let reason = match frame.kind {
                    Kind::Closed => CloseReason::Closed,
                    _ => CloseReason::Failed,
                };
                self.user.handle_closed(now, channel, reason);
            }
            Kind::Open(_) => {}
        }
    }

    fn number(&self, channel: ChannelId) -> Result<u32, &'static str> {
        let found = self.channels.iter().find(|(_, name)| **name == channel);
        found.map(|(number, _)| *number).ok_or("no such channel")
    }
}

impl Frame {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let channel = self.channel.to_be_bytes();
        match &self.kind {
            Kind::Open(name) => [&[0x01], &channel[..], name].concat(),
            Kind::Opened => [&[0x02], &channel[..]].concat(),
            Kind::Message(ppid, bytes) => {
                [&[0x03], &channel[..], &ppid.to_be_bytes(), bytes].concat()
            }
            Kind::Closed => [&[0x04], &channel[..]].concat(),
            Kind::Broken => [&[0x05], &channel[..]].concat(),
        }
    }

    pub(crate) fn decode(frame: &[u8]) -> Option<Self> {
        let (kind, rest) = frame.split_first()?;
        let (channel, rest) = rest.split_first_chunk()?;
        let kind = match kind {
            0x01 => Kind::Open(rest.into()),
            0x02 => Kind::Opened,
            0x03 => {
                let (ppid, bytes) = rest.split_first_chunk()?;
                Kind::Message(u32::from_be_bytes(*ppid), bytes.into())
            }
            0x04 => Kind::Closed,
            0x05 => Kind::Broken,
            _ => return None,
        };
        Some(Self { channel: u32::from_be_bytes(*channel), kind })
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channel = self.channel;
        match &self.kind {
            Kind::Open(name) => write!(f, "open {channel} to {}", name.escape_ascii()),
            Kind::Opened => write!(f, "opened {channel}"),
            Kind::Message(ASAP_PPID, bytes) => match Message::decode(bytes) {
                Ok(message) => write!(f, "control {channel} {:?}", message.message_type()),
                Err(error) => write!(f, "control {channel} {error}"),
            },
            Kind::Message(_, bytes) => write!(f, "data {channel} {}", bytes.escape_ascii()),
            Kind::Closed => write!(f, "closed {channel}"),
            Kind::Broken => write!(f, "broken {channel}"),
        }
    }
}
