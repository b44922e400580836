//! A driver as a device has one, all of its loop, with messages from a table in place of a network.

use core::time::Duration;

use asap_pu::wire::{Protocol, Transport};
use asap_pu::{
    Action, Authentication, Capabilities, ChannelId, CloseReason, Config, Confirms, Event, Instant,
    Payload, PeerKind, PoolUser, Registrar,
};

use crate::messages::{ANNOUNCE, ANSWER, REPORT, REQUEST};

/// A pool user and its peers: a registrar, and elements that echo, of which the first refuses.
pub struct Driver {
    pub user: PoolUser,
    pub now: Instant,
    registrar: Option<ChannelId>,
    /// How many reports the registrar got.
    pub reports: u32,
    /// How many elements were called.
    pub called: u32,
}

impl Driver {
    /// One that speaks TCP and knows a registrar.
    pub fn new() -> Option<Self> {
        let can = Capabilities::NONE
            .with_registrars(Protocol::Tcp)
            .with_elements(Protocol::Tcp, Confirms::Written);
        let mut config = Config::small();
        let registrar = Transport::tcp(([192, 0, 2, 1], 3863).into());
        config.discovery.registrars.push(Registrar::new(registrar));
        let user = PoolUser::new(config, can, 1).ok()?;
        Some(Self { user, now: Instant::EPOCH, registrar: None, reports: 0, called: 0 })
    }

    /// Does what there is to do, and then, where nothing is to be told, lets time pass to the next deadline.
    pub fn event(&mut self) -> Option<Event> {
        loop {
            while let Some(action) = self.user.poll_action() {
                self.act(action);
            }
            if let Some(event) = self.user.poll_event() {
                return Some(event);
            }
            self.now = self.user.poll_timeout()?;
            self.user.handle_timeout(self.now);
        }
    }

    fn act(&mut self, action: Action) {
        let Self { user, now, .. } = self;
        match action {
            Action::Open { channel, peer: PeerKind::Registrar, .. } => {
                self.registrar = Some(channel);
                user.handle_opened(*now, channel, Authentication::None);
            }
            Action::Open { channel, to, .. } => {
                self.called += 1;
                match to.socket_addrs().next() {
                    Some(_) if self.called > 1 => {
                        user.handle_opened(*now, channel, Authentication::None);
                    }
                    _ => user.handle_closed(*now, channel, CloseReason::Failed),
                }
            }
            Action::Send { channel, payload: Payload::Control(message), .. } => {
                if message == REQUEST[..] {
                    // A byte stream comes in pieces.
                    let (one, two) = ANSWER.split_at(50);
                    user.handle_stream(*now, channel, one);
                    user.handle_stream(*now, channel, two);
                } else if message == REPORT[..] {
                    self.reports += 1;
                }
            }
            Action::Send { channel, payload: Payload::Data { message, data, .. }, .. } => {
                user.handle_written(*now, channel, message);
                user.handle_data(*now, channel, &data);
            }
            Action::Close { channel, .. } if self.registrar == Some(channel) => {
                self.registrar = None;
            }
            _ => {}
        }
    }

    /// Another registrar announces itself, and the one that was the home goes.
    pub fn change_registrar(&mut self) {
        let source = ([192, 0, 2, 9], 3863).into();
        self.user.handle_announce(self.now, source, &ANNOUNCE);
        if let Some(registrar) = self.registrar.take() {
            self.user.handle_closed(self.now, registrar, CloseReason::Failed);
        }
        self.now += Duration::from_secs(1);
    }
}
