//! The crate inside a transport of your own.
//!
//! Not every program reaches its peers over sockets of its own. This one has a single link to a
//! gateway, which might be a serial line, a WebSocket or a tunnel: it carries frames in order, and
//! nothing else. All channels of the pool user share it, those to registrars and those to elements,
//! control messages and data. Run it with `cargo run --example wrapped`: it prints every frame.
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
//! with `control_mapping`; without it the pool user keeps cookies from such a channel.
//!
//! *Addresses.* An element is listed with a transport, and one kind of them is opaque: bytes that
//! only the application understands (RFC 5354 §3.16), here the names that the gateway knows. A
//! registrar has to be at a TCP or SCTP address, but nobody says that it is the driver who goes
//! there.
//!
//! ```text
//! 01 00 00 00 02 61 6c 70 68 61     open channel 2 to "alpha"
//! 02 00 00 00 02                    it is up
//! 03 00 00 00 02 00 00 00 0b …      a message on it: the identifier (11) and the bytes
//! 04 00 00 00 02                    it is no more
//! ```
#![allow(clippy::disallowed_methods, reason = "a driver reads the clock")]
#![allow(clippy::std_instead_of_alloc, reason = "programs have `std`")]

use core::error::Error;
use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use asap_pu::wire::{
    ASAP_PORT, ASAP_PPID, Body, Message, PeIdentifier, Policy, PoolElement, Protocol, Transport,
};
use asap_pu::{
    Action, Authentication, ChannelId, CloseReason, Config, ConfigError, Event, Failover, Instant,
    Payload, PeerKind, PoolUser, Registrar,
};

/// The application's own payload protocol identifier; any but 11 will do.
const DATA_PPID: u32 = 0;

/// What the gateway calls the registrar.
const REGISTRAR: &[u8] = b"registrar";

fn main() -> Result<(), Box<dyn Error>> {
    let (sums, frames) = run()?;
    frames.iter().for_each(|frame| println!("{frame}"));
    println!("the sums: {sums:?}");
    Ok(())
}

/// The application: has a pool of adders sum up the numbers from 1 to 5. What an adder knows is in
/// its cookie, so that the next one goes on where the former has died. Returns the sums and what
/// passed over the link.
pub(crate) fn run() -> Result<(Vec<String>, Vec<String>), Box<dyn Error>> {
    let mut config = Config::default();
    config.registrars.push(Registrar::tcp(([192, 0, 2, 1], ASAP_PORT).into()));
    config.element_protocols = Protocol::Opaque.into();
    config.control_mapping = Protocol::Opaque.into();
    let (link, far_end) = link();
    let gateway = thread::spawn(|| gateway(far_end));
    let mut driver = Driver::new(config, link)?;

    let session = driver.user.open_session(driver.now(), "Adders", Default::default())?;
    let (mut waiting, mut sums) = (VecDeque::new(), Vec::new());
    for number in 1..=5 {
        let (now, number) = (driver.now(), number.to_string());
        waiting.push_back(driver.user.send(now, session, number, Failover::Always)?);
    }
    while let Some(first) = waiting.front() {
        match driver.event()? {
            Event::Received { data, .. } => {
                driver.user.confirm(driver.now(), session, *first);
                waiting.pop_front();
                sums.push(String::from_utf8(data.into())?);
            }
            Event::SessionEnded { error: Some(error), .. } => return Err(error.into()),
            _ => {}
        }
    }
    let frames = driver.frames;
    drop(driver.link); // The gateway hears of nobody any more.
    gateway.join().expect("the gateway does not panic");
    Ok((sums, frames))
}

/// The driver: a pool user, and the link that all its channels share.
struct Driver {
    user: PoolUser,
    /// What the pool user calls [`Instant::EPOCH`].
    start: std::time::Instant,
    link: Link,
    /// The channels that the pool user asked for and has not closed, by their number on the link.
    channels: BTreeMap<u32, ChannelId>,
    last_number: u32,
    /// What passed over the link, for people.
    frames: Vec<String>,
}

/// One end of the link.
type Link = (Sender<Vec<u8>>, Receiver<Vec<u8>>);

/// What the link carries.
#[derive(Debug)]
enum Frame {
    Open { channel: u32, name: Vec<u8> },
    Opened { channel: u32 },
    Message { channel: u32, ppid: u32, bytes: Vec<u8> },
    Closed { channel: u32 },
}

impl Driver {
    fn new(config: Config, link: Link) -> Result<Self, ConfigError> {
        Ok(Self {
            user: PoolUser::new(config, 1)?,
            start: std::time::Instant::now(),
            link,
            channels: BTreeMap::new(),
            last_number: 0,
            frames: Vec::new(),
        })
    }

    fn now(&self) -> Instant {
        Instant::EPOCH + self.start.elapsed()
    }

    /// The next event. Fails where the link does.
    fn event(&mut self) -> Result<Event, Box<dyn Error>> {
        loop {
            while let Some(action) = self.user.poll_action() {
                self.perform(action)?;
            }
            if let Some(event) = self.user.poll_event() {
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

    /// From the pool user to the link.
    fn perform(&mut self, action: Action) -> Result<(), Box<dyn Error>> {
        let frame = match action {
            Action::Open { channel, peer, to, .. } => {
                self.last_number += 1;
                self.channels.insert(self.last_number, channel);
                let name = match (peer, to) {
                    (PeerKind::Element, Transport::Opaque(name)) => name.into(),
                    _ => REGISTRAR.into(),
                };
                Frame::Open { channel: self.last_number, name }
            }
            Action::Send { channel, payload, .. } => {
                let channel = self.number(channel)?;
                let (ppid, bytes) = match payload {
                    Payload::Control(message) => (ASAP_PPID, message.into()),
                    Payload::Data { data, .. } => (DATA_PPID, data.into()),
                    other => return Err(format!("cannot send {other:?}").into()),
                };
                Frame::Message { channel, ppid, bytes }
            }
            Action::Close { channel, .. } => {
                let channel = self.number(channel)?;
                self.channels.remove(&channel);
                Frame::Closed { channel }
            }
            other => return Err(format!("cannot do {other:?}").into()),
        };
        self.frames.push(format!("-> {frame}"));
        Ok(self.link.0.send(frame.encode())?)
    }

    /// From the link to the pool user.
    fn take(&mut self, frame: Frame) {
        self.frames.push(format!("<- {frame}"));
        let now = self.now();
        // A frame can cross the one by which its channel was closed.
        let Some(&channel) = self.channels.get(&frame.channel()) else { return };
        match frame {
            // A link that authenticates its peers says so here.
            Frame::Opened { .. } => self.user.handle_opened(now, channel, Authentication::None),
            // Whole messages, from registrars too: nothing is left to be cut as on a byte stream.
            Frame::Message { ppid: ASAP_PPID, bytes, .. } => {
                self.user.handle_control(now, channel, &bytes);
            }
            Frame::Message { bytes, .. } => self.user.handle_data(now, channel, &bytes),
            Frame::Closed { channel: number } => {
                self.channels.remove(&number);
                self.user.handle_closed(now, channel, CloseReason::Failed);
            }
            Frame::Open { .. } => {}
        }
    }

    fn number(&self, channel: ChannelId) -> Result<u32, &'static str> {
        let found = self.channels.iter().find(|(_, name)| **name == channel);
        found.map(|(number, _)| *number).ok_or("no such channel")
    }
}

impl Frame {
    fn encode(&self) -> Vec<u8> {
        let channel = self.channel().to_be_bytes();
        match self {
            Self::Open { name, .. } => [&[0x01], &channel[..], name].concat(),
            Self::Opened { .. } => [&[0x02], &channel[..]].concat(),
            Self::Message { ppid, bytes, .. } => {
                [&[0x03], &channel[..], &ppid.to_be_bytes(), bytes].concat()
            }
            Self::Closed { .. } => [&[0x04], &channel[..]].concat(),
        }
    }

    fn decode(frame: &[u8]) -> Option<Self> {
        let (kind, rest) = frame.split_first()?;
        let (channel, rest) = rest.split_first_chunk()?;
        let channel = u32::from_be_bytes(*channel);
        Some(match kind {
            0x01 => Self::Open { channel, name: rest.into() },
            0x02 => Self::Opened { channel },
            0x03 => {
                let (ppid, bytes) = rest.split_first_chunk()?;
                let ppid = u32::from_be_bytes(*ppid);
                Self::Message { channel, ppid, bytes: bytes.into() }
            }
            0x04 => Self::Closed { channel },
            _ => return None,
        })
    }

    fn channel(&self) -> u32 {
        match self {
            Self::Open { channel, .. }
            | Self::Opened { channel }
            | Self::Message { channel, .. }
            | Self::Closed { channel } => *channel,
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channel = self.channel();
        match self {
            Self::Open { name, .. } => write!(f, "open {channel} to {}", name.escape_ascii()),
            Self::Opened { .. } => write!(f, "opened {channel}"),
            Self::Message { ppid: ASAP_PPID, bytes, .. } => match Message::decode(bytes) {
                Ok(message) => write!(f, "control {channel} {:?}", message.message_type()),
                Err(error) => write!(f, "control {channel} {error}"),
            },
            Self::Message { bytes, .. } => write!(f, "data {channel} {}", bytes.escape_ascii()),
            Self::Closed { .. } => write!(f, "closed {channel}"),
        }
    }
}

fn link() -> (Link, Link) {
    let ((a, from_a), (b, from_b)) = (mpsc::channel(), mpsc::channel());
    ((a, from_b), (b, from_a))
}

/// The other side, which is not part of what to copy: a registrar, and the elements "alpha", which
/// dies when it has to add a third number, and "beta".
fn gateway((link, frames): Link) {
    let reply = |frame: Frame| drop(link.send(frame.encode()));
    let mut peers = BTreeMap::new();
    for frame in frames {
        let frame = Frame::decode(&frame).expect("the driver sends frames");
        let channel = frame.channel();
        let say = |ppid, bytes: &[u8]| reply(Frame::Message { channel, ppid, bytes: bytes.into() });
        let control = |message: Message| say(ASAP_PPID, &message.to_bytes().expect("it fits"));
        match (frame, peers.get_mut(&channel)) {
            (Frame::Open { name, .. }, _) => {
                let lives = if name == b"alpha" { 2 } else { 9 };
                peers.insert(channel, (0, lives));
                reply(Frame::Opened { channel });
            }
            (Frame::Message { ppid: ASAP_PPID, bytes, .. }, Some((sum, _))) => {
                match Message::decode(&bytes).expect("the pool user sends messages").body {
                    Body::HandleResolution { handle, .. } => {
                        let element = |(id, name)| {
                            let id = PeIdentifier::new(id);
                            PoolElement::new(id, Transport::opaque(name), Policy::RoundRobin)
                        };
                        let elements = [(1, "alpha"), (2, "beta")].map(element).into();
                        control(Message::handle_resolution_response(handle, None, elements));
                    }
                    Body::CookieEcho { cookie, .. } => *sum = number(&cookie),
                    _ => {}
                }
            }
            (Frame::Message { .. }, Some((_, 0))) => {
                peers.remove(&channel);
                reply(Frame::Closed { channel });
            }
            (Frame::Message { bytes, .. }, Some((sum, lives))) => {
                *sum += number(&bytes);
                *lives -= 1;
                let sum = sum.to_string();
                control(Message::cookie(sum.clone()));
                say(DATA_PPID, sum.as_bytes());
            }
            _ => {}
        }
    }
}

fn number(digits: &[u8]) -> u32 {
    core::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}
