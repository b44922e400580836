//! What the pool user exchanged with others, for Wireshark: every ASAP message, and every one of the application's.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use asap_pu::capture::Capture;
use asap_pu::{Action, ChannelId, Instant, Payload};

use super::driver::Input;
use super::frame::Frame;

/// Where the pool user is; each of its channels has a port of its own.
const USER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const FIRST_PORT: u16 = 49_152;

/// Writes while things happen.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    capture: Capture,
    /// The two ends of each channel, here and there.
    channels: BTreeMap<ChannelId, (SocketAddr, SocketAddr)>,
    opened: u16,
}

impl Tape {
    /// The pool user wants something done.
    pub(crate) fn action(&mut self, now: Instant, action: &Action) {
        let at = now.since(Instant::EPOCH);
        match action {
            Action::Open { channel, to, .. } => {
                let Some(to) = to.socket_addrs().next() else { return };
                let here = (USER, FIRST_PORT + self.opened).into();
                self.opened = (self.opened + 1) % (u16::MAX - FIRST_PORT);
                self.channels.insert(*channel, (here, to));
            }
            Action::Send { channel, payload, .. } => {
                let Some(&(here, there)) = self.channels.get(channel) else { return };
                match payload {
                    Payload::Control(message) => self.capture.control(at, here, there, message),
                    Payload::Data { data, .. } => self.capture.data(at, here, there, data),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// Something came on a channel.
    pub(crate) fn input(&mut self, now: Instant, channel: ChannelId, input: &Input) {
        let Some(&(here, there)) = self.channels.get(&channel) else { return };
        let at: Duration = now.since(Instant::EPOCH);
        match input {
            Input::Bytes(bytes) => self.capture.stream(at, there, here, bytes),
            Input::Frame(Frame::Control(message)) => self.capture.control(at, there, here, message),
            Input::Frame(Frame::Data(data)) => self.capture.data(at, there, here, data),
            Input::Dialled(_) | Input::Ended(_) => {}
        }
    }

    /// The file.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.capture.take()
    }
}
