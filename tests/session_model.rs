//! Sessions against a simple model of what they promise, under random outcomes of the transport
//! (RFC 5352 §3.8, §6.5.5).
//!
//! The world has four elements, one of which never fails. Everything else happens at random:
//! channels that do not come up or break, messages that are delivered, confirmed, given back or
//! swallowed, cookies, failures reported by the application, moves, time. The model knows what each
//! element was given and what was promised of each message.
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

mod lab;

use std::collections::BTreeMap;

use asap_pu::wire::Message;
use asap_pu::{
    Action, ChannelId, Confirms, Event, Failover, MessageId, Payload, SendOptions, SessionId,
    SessionOptions,
};
use lab::*;
use proptest::prelude::*;

/// The element that never fails.
const IMMORTAL: u16 = 4;

#[derive(Debug, Clone)]
enum Step {
    Send(Failover),
    /// Carries out what the machine asks for; a channel to a mortal element comes up, fails or
    /// stays silent.
    Drive(u8),
    /// Breaks a channel that is up. What was handed over and not delivered is given back or
    /// swallowed.
    Break(bool),
    /// Delivers the oldest message that was handed over; the transport confirms it.
    Deliver,
    /// An element sends a cookie of this length.
    Cookie(usize),
    GiveUp,
    Move,
    Read,
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let failover =
        prop_oneof![Just(Failover::Never), Just(Failover::Unsent), Just(Failover::Undelivered)];
    let step = prop_oneof![
        8 => failover.prop_map(Step::Send),
        8 => any::<u8>().prop_map(Step::Drive),
        3 => any::<bool>().prop_map(Step::Break),
        4 => Just(Step::Deliver),
        2 => (0..12_usize).prop_map(Step::Cookie),
        1 => Just(Step::GiveUp),
        1 => Just(Step::Move),
        6 => Just(Step::Read),
        3 => Just(Step::Wait),
    ];
    prop::collection::vec(step, 0..120)
}

/// A channel to an element, as the driver sees it.
struct Path {
    element: u16,
    up: bool,
    /// The cookie that was the latest when it came up, until it has been echoed.
    echo: Option<Vec<u8>>,
    /// Whether data was sent on it.
    data: bool,
    /// Handed over, and neither delivered nor given back.
    pending: Vec<MessageId>,
    last: Option<MessageId>,
}

/// What became of a message.
struct Fate {
    failover: Failover,
    /// How often it was handed over and not given back.
    gone: usize,
    delivered: usize,
    confirmed: bool,
    returned: usize,
    lost: usize,
}

struct World {
    lab: Lab,
    home: ChannelId,
    session: SessionId,
    choosing: bool,
    paths: BTreeMap<ChannelId, Path>,
    fates: BTreeMap<MessageId, Fate>,
    cookie: Option<Vec<u8>>,
    /// The element that the application has been told of, and whether it is told before data
    /// flows.
    told: Option<u32>,
    ended: bool,
    cookies: u8,
}

impl World {
    fn new(config: Setup, choosing: bool) -> Self {
        let (mut lab, home) = Lab::at_home_with(config);
        let mut options = SessionOptions::default();
        options.choose_per_message = choosing;
        let session = lab.pu.open_session(lab.now, POOL, options).unwrap();
        Self {
            lab,
            home,
            session,
            choosing,
            paths: BTreeMap::new(),
            fates: BTreeMap::new(),
            cookie: None,
            told: None,
            ended: false,
            cookies: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        let now = self.lab.now;
        match *step {
            Step::Send(failover) => {
                let mut options = SendOptions::default();
                options.failover = failover;
                if let Ok(id) = self
                    .lab
                    .pu
                    .session_mut(self.lab.now, self.session)
                    .unwrap()
                    .send("data", options)
                {
                    let fate = Fate {
                        failover,
                        gone: 0,
                        delivered: 0,
                        confirmed: false,
                        returned: 0,
                        lost: 0,
                    };
                    self.fates.insert(id, fate);
                }
            }
            Step::Drive(chance) => self.drive(chance),
            Step::Break(gives_back) => {
                let mortal = |(_, path): &(&ChannelId, &Path)| path.up && path.element != IMMORTAL;
                if let Some(channel) = self.paths.iter().find(mortal).map(|(channel, _)| *channel) {
                    self.break_path(channel, gives_back);
                }
            }
            Step::Deliver => {
                let up = self.paths.iter_mut().find(|(_, path)| !path.pending.is_empty());
                if let Some((channel, path)) = up {
                    let (channel, message) = (*channel, path.pending.remove(0));
                    let fate = self.fates.get_mut(&message).unwrap();
                    fate.delivered += 1;
                    fate.confirmed = true;
                    self.lab.pu.handle_delivered(self.lab.now, channel, message);
                }
            }
            Step::Cookie(len) => {
                let up = self.paths.iter().find(|(_, path)| path.up);
                if let Some(channel) = up.map(|(channel, _)| *channel) {
                    self.cookies = self.cookies.wrapping_add(1);
                    let cookie = vec![self.cookies; len];
                    let before = self.lab.pu.stats().unknown_channels;
                    self.lab.receive(channel, &Message::cookie(cookie.clone()));
                    // On a channel that the machine has closed it comes too late.
                    if self.lab.pu.stats().unknown_channels == before {
                        self.cookie = Some(cookie).filter(|_| len <= 8);
                    }
                }
            }
            Step::GiveUp => drop(self.lab.pu.session_mut(now, self.session).unwrap().give_up()),
            Step::Move => drop(self.lab.pu.session_mut(now, self.session).unwrap().move_to(None)),
            Step::Read => self.read(),
            Step::Wait => {
                if self.lab.pu.poll_timeout().is_some() {
                    self.lab.wait();
                }
            }
        }
    }

    fn break_path(&mut self, channel: ChannelId, gives_back: bool) {
        let Some(path) = self.paths.remove(&channel) else { return };
        for message in path.pending.into_iter().filter(|_| gives_back) {
            let before = self.lab.pu.stats().messages_unsent;
            self.lab.pu.handle_unsent(self.lab.now, channel, message);
            // On a channel that the machine has closed the driver comes too late.
            let taken = self.lab.pu.stats().messages_unsent > before;
            self.fates.get_mut(&message).unwrap().gone -= usize::from(taken);
        }
        self.lab.fail(channel);
    }

    fn drive(&mut self, mut chance: u8) {
        for action in self.lab.actions() {
            match action {
                Action::Open { channel, to, .. } => {
                    let octets = to.socket_addrs().next().unwrap().ip().to_string();
                    let element: u16 = octets.rsplit('.').next().unwrap().parse().unwrap();
                    let path = Path {
                        element,
                        up: false,
                        echo: None,
                        data: false,
                        pending: vec![],
                        last: None,
                    };
                    self.paths.insert(channel, path);
                    chance = chance.wrapping_mul(5).wrapping_add(7);
                    if element == IMMORTAL || chance % 3 == 0 {
                        let path = self.paths.get_mut(&channel).unwrap();
                        (path.up, path.echo) = (true, self.cookie.clone());
                        self.lab.up(channel);
                    } else if chance % 3 == 1 {
                        self.break_path(channel, false);
                    }
                }
                Action::Close { channel, .. } => {
                    // What was sent before the close still arrives.
                    for message in self.paths.remove(&channel).map_or(vec![], |path| path.pending) {
                        self.fates.get_mut(&message).unwrap().delivered += 1;
                    }
                }
                Action::Send { channel, payload: Payload::Control(bytes), .. } => {
                    if channel == self.home {
                        self.lab.answer(self.home, POOL, &[1, 2, 3, 4].map(element));
                        continue;
                    }
                    let path = self.paths.get_mut(&channel).unwrap();
                    assert!(
                        self.choosing || !path.data,
                        "[SESSION-7] the echo is the first message"
                    );
                    let echo = Message::decode(&bytes).unwrap();
                    let latest = path.echo.take().map(Message::cookie_echo);
                    assert!(self.choosing || Some(echo) == latest, "[SESSION-7] the latest cookie");
                }
                Action::Send { channel, payload: Payload::Data { message, .. }, .. } => {
                    let Some(path) = self.paths.get_mut(&channel) else { continue };
                    assert!(self.choosing || path.last < Some(message), "in order at each element");
                    (path.last, path.data) = (Some(message), true);
                    path.pending.push(message);
                    self.fates.get_mut(&message).unwrap().gone += 1;
                    if !self.choosing {
                        assert_eq!(path.echo, None, "[SESSION-7] the cookie goes ahead");
                        let told = self.told.unwrap_or(path.element.into());
                        assert_eq!(told, u32::from(path.element), "[SESSION-10] told before data");
                        self.told = Some(told);
                    }
                }
                _ => {}
            }
        }
    }

    fn read(&mut self) {
        for event in self.lab.events() {
            match event {
                Event::Connected { element, .. } => self.told = element.map(|id| id.get()),
                Event::FailedOver { to, .. } => self.told = Some(to.get()),
                Event::Returned { message, .. } => {
                    self.fates.get_mut(&message).unwrap().returned += 1;
                }
                Event::Lost { message, .. } => {
                    self.fates.get_mut(&message).unwrap().lost += 1;
                }
                Event::SessionEnded { .. } => self.ended = true,
                _ => {}
            }
        }
    }

    /// The immortal element is reached in the end, and everything that waits goes there or comes
    /// back.
    fn finish(&mut self) {
        for _ in 0..40 {
            self.drive(2);
            self.read();
            for _ in 0..40 {
                self.step(&Step::Deliver);
            }
            if self.lab.pu.poll_timeout().is_some() {
                self.lab.wait();
            }
        }
        let queued = self.lab.pu.session(self.session).map(|session| session.queued()).unwrap_or(0);
        assert!(self.ended || queued == 0, "nothing waits while an element is there");
        for (id, fate) in &self.fates {
            let Fate { failover, gone, delivered, confirmed, returned, lost } = *fate;
            assert!(returned + lost <= 1, "{id:?} has one fate, told once");
            match failover {
                Failover::Never | Failover::Unsent => {
                    assert!(gone <= 1 && delivered <= 1, "{id:?} at most once");
                    assert_eq!(gone + returned, 1, "{id:?} is accounted for");
                    assert!(confirmed || returned + lost == 1, "{id:?} is not lost in silence");
                }
                Failover::Undelivered if self.ended => {
                    assert!(delivered + returned + lost >= 1, "{id:?} delivered or told of");
                }
                _ => {
                    assert!(confirmed && returned + lost == 0, "{id:?} at least once");
                }
            }
        }
    }
}

fn confirming() -> Setup {
    let mut config = mapped();
    config.confirm(Confirms::Delivered);
    config.limits.max_cookie_len = 8;
    config.sessions.max_rounds = 1_000;
    config.sessions.max_handovers = 1_000;
    config.sessions.session_deadline = secs(100_000);
    config.sessions.session_backoff_max = secs(1);
    config.sessions.failover_burst = 2;
    config
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// [SESSION-2] [SESSION-3] [SESSION-5] [SESSION-7] [SESSION-10] [SESSION-17]: no message is lost where failover is allowed and an
    /// element lives, none is doubled where that is forbidden, order is kept, the cookie is the latest one and comes
    /// first, and the application knows where its data goes.
    #[test]
    fn promises_are_kept(steps in steps(), choosing: bool) {
        let mut world = World::new(confirming(), choosing);
        for step in &steps {
            world.step(step);
        }
        world.finish();
    }
}
