//! Any sequence of calls is safe: legal and illegal ones, from all three sides, in any order
//! [CORE-5].
//!
//! A driver that does what it is told keeps a book on the channels. After every step the book, the
//! deadlines and the bounds are checked; the same steps with the same seed give the same bytes.
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

mod lab;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use asap_pu::wire::{Body, CauseCode, Message, PeIdentifier, Protocol};
use asap_pu::{
    Action, Authentication, ChannelId, CloseReason, Config, Event, Failover, Identity, Instant,
    MessageId, Payload, PeerKind, PoolUser, Protocols, Recipient, RequestId, SendOptions,
    SessionId, SessionOptions,
};
use lab::{config, element, error, refusal, response};
use proptest::prelude::*;

const HANDLES: [&str; 4] = ["", "a", "b", "a handle that is longer than thirty-two bytes"];

#[derive(Debug, Clone)]
enum Step {
    Start,
    Resolve(usize),
    Cancel(usize),
    Populate(usize),
    Subscribe(usize),
    Unsubscribe(usize),
    Purge(usize),
    OpenSession(usize, bool, bool, Option<u32>),
    OpenAt(u32),
    Accept(bool),
    Send(usize, Failover, Recipient),
    Move(usize, Option<u32>),
    SetCookie(usize, usize),
    SetCard(usize),
    Confirm(usize, usize),
    GiveUp(usize),
    Resume(usize),
    Close(usize),
    Abort(usize),
    Select(usize),
    FailOver(usize, u32),
    ShutDown,
    Opened(usize),
    Closed(usize, bool),
    Control(usize, Vec<u8>),
    Stream(usize, Vec<u8>),
    Answer(usize, usize, u32),
    Grant(usize, usize, u32),
    Refuse(usize, usize),
    Misunderstand(usize, usize),
    Cookie(usize, usize),
    Data(usize, usize),
    Delivered(usize, usize),
    Written(usize, usize),
    Unsent(usize, usize),
    Card(usize, usize, u32),
    Echo(usize, usize),
    Announce(u8),
    PollAction,
    PollEvent,
    Wait,
    Jump(u64),
    Back,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let n = || 0..6_usize;
    let failover =
        prop_oneof![Just(Failover::Never), Just(Failover::Unsent), Just(Failover::Always)];
    let recipient = prop_oneof![
        6 => Just(Recipient::One),
        2 => Just(Recipient::SameAsLast),
        1 => Just(Recipient::All),
        1 => Just(Recipient::AllAndSelf),
    ];
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        2 => Just(Start),
        6 => n().prop_map(Resolve),
        1 => n().prop_map(Cancel),
        1 => n().prop_map(Populate),
        2 => n().prop_map(Subscribe),
        1 => n().prop_map(Unsubscribe),
        1 => n().prop_map(Purge),
        4 => (n(), any::<bool>(), any::<bool>(), prop::option::of(0..5_u32))
            .prop_map(|(n, hold, choose, on)| OpenSession(n, hold, choose, on)),
        1 => (0..3_u32).prop_map(OpenAt),
        1 => any::<bool>().prop_map(Accept),
        10 => (n(), failover, recipient).prop_map(|(n, failover, to)| Send(n, failover, to)),
        2 => (n(), prop::option::of(0..4_u32)).prop_map(|(n, to)| Move(n, to)),
        1 => (n(), 0..5_000_usize).prop_map(|(n, len)| SetCookie(n, len)),
        1 => (0..3_usize).prop_map(SetCard),
        2 => (n(), n()).prop_map(|(n, m)| Confirm(n, m)),
        2 => n().prop_map(GiveUp),
        2 => n().prop_map(Resume),
        1 => n().prop_map(Close),
        1 => n().prop_map(Abort),
        3 => n().prop_map(Select),
        2 => (n(), 0..4_u32).prop_map(|(n, id)| FailOver(n, id)),
        12 => n().prop_map(Opened),
        6 => (n(), any::<bool>()).prop_map(|(n, failed)| Closed(n, failed)),
        2 => (n(), bytes()).prop_map(|(n, bytes)| Control(n, bytes)),
        2 => (n(), bytes()).prop_map(|(n, bytes)| Stream(n, bytes)),
        12 => (n(), 1..3_usize, 0..5_u32).prop_map(|(n, handle, size)| Answer(n, handle, size)),
        4 => (n(), 1..3_usize, 1..5_u32).prop_map(|(n, handle, size)| Grant(n, handle, size)),
        2 => (n(), 1..3_usize).prop_map(|(n, handle)| Refuse(n, handle)),
        1 => (n(), 1..3_usize).prop_map(|(n, handle)| Misunderstand(n, handle)),
        4 => (n(), 0..5_000_usize).prop_map(|(n, len)| Cookie(n, len)),
        4 => (n(), 0..600_usize).prop_map(|(n, len)| Data(n, len)),
        2 => (n(), n()).prop_map(|(n, m)| Delivered(n, m)),
        4 => (n(), n()).prop_map(|(n, m)| Written(n, m)),
        2 => (n(), n()).prop_map(|(n, m)| Unsent(n, m)),
        3 => (n(), 0..4_usize, 0..5_u32).prop_map(|(n, handle, size)| Card(n, handle, size)),
        1 => (n(), 0..500_usize).prop_map(|(n, len)| Echo(n, len)),
        2 => any::<u8>().prop_map(Announce),
        1 => Just(ShutDown),
        20 => Just(PollAction),
        10 => Just(PollEvent),
        8 => Just(Wait),
        2 => (0..100_000_u64).prop_map(Jump),
        1 => Just(Back),
    ]
}

/// A driver, an application, and what they know.
struct World {
    pu: PoolUser,
    now: Instant,
    /// Every channel that was ever asked for.
    channels: Vec<ChannelId>,
    /// Those of them that are being set up or up.
    live: BTreeMap<ChannelId, (PeerKind, bool)>,
    requests: Vec<RequestId>,
    unread: BTreeSet<RequestId>,
    sessions: Vec<SessionId>,
    alive: BTreeSet<SessionId>,
    /// What came out, for comparison.
    transcript: Vec<String>,
}

fn limits() -> Config {
    let mut config =
        config(&["192.0.2.1:3863", "192.0.2.2:3863", "192.0.2.3:3863", "192.0.2.4:3863"]);
    config.control_mapping = Protocols::NONE.with(Protocol::Tcp);
    config.max_sessions = 4;
    config.max_requests = 5;
    config.max_pools = 1;
    config.max_unread_bytes = 2_000;
    config.max_queued_messages = 4;
    config.confirms_writes = true;
    (config.window_messages, config.window_bytes) = (2, 250);
    config.confirms_delivery = Protocols::NONE.with(Protocol::Tcp);
    config.failover_burst = 1;
    config.identity = Some(Identity::new("a", PeIdentifier::new(1)));
    config
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            pu: PoolUser::new(limits(), seed).unwrap(),
            now: Instant::EPOCH,
            channels: Vec::new(),
            live: BTreeMap::new(),
            requests: Vec::new(),
            unread: BTreeSet::new(),
            sessions: Vec::new(),
            alive: BTreeSet::new(),
            transcript: Vec::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        let now = self.now;
        let channel = |n: usize| self.channels.iter().rev().nth(n).copied();
        let session = |n: usize| self.sessions.iter().rev().nth(n).copied();
        let pool = |pu: &PoolUser, n: usize| pu.find_pool(HANDLES[n % 4].as_bytes());
        match *step {
            Step::Start => self.pu.start(now),
            Step::Resolve(n) => {
                if let Ok(request) = self.pu.resolve(now, HANDLES[n % 4]) {
                    self.requests.push(request);
                    assert!(self.unread.insert(request));
                }
            }
            Step::Cancel(n) => {
                if let Some(request) = self.requests.iter().rev().nth(n) {
                    let known = self.pu.cancel(now, *request).is_ok();
                    assert_eq!(known, self.unread.remove(request));
                }
            }
            Step::Populate(n) => drop(self.pu.populate(now, HANDLES[n % 4])),
            Step::Subscribe(n) => drop(self.pu.subscribe(now, HANDLES[n % 4])),
            Step::Unsubscribe(n) => {
                self.pu.unsubscribe(now, HANDLES[n % 4].as_bytes());
            }
            Step::Purge(n) => {
                pool(&self.pu, n).map(|pool| self.pu.purge(pool));
            }
            Step::OpenSession(n, hold, choose, on) => {
                let mut options = SessionOptions::default();
                options.hold_after_failover = hold;
                options.choose_per_message = choose;
                options.element = on.map(PeIdentifier::new);
                if let Ok(session) = self.pu.open_session(now, HANDLES[n % 4], options) {
                    self.sessions.push(session);
                    assert!(self.alive.insert(session));
                }
            }
            Step::OpenAt(n) => {
                let to = element(n).transport;
                if let Ok(session) = self.pu.open_session_at(now, to, SessionOptions::default()) {
                    self.sessions.push(session);
                    assert!(self.alive.insert(session));
                }
            }
            Step::Accept(control) => {
                let accepted = self.pu.accept(now, control, SessionOptions::default());
                if let Ok((session, channel)) = accepted {
                    self.sessions.push(session);
                    assert!(self.alive.insert(session));
                    self.channels.push(channel);
                    assert!(self.live.insert(channel, (PeerKind::Element, true)).is_none());
                }
            }
            Step::Move(n, to) => {
                let to = to.map(PeIdentifier::new);
                let _ = session(n).map(|session| self.pu.move_session(now, session, to));
            }
            Step::SetCookie(n, len) => {
                let cookie = (len > 0).then(|| vec![3; len].into());
                let _ = session(n).map(|session| self.pu.set_cookie(session, cookie));
            }
            Step::SetCard(n) => {
                let _ = self.pu.set_card((0..n as u32).map(element).collect());
            }
            Step::Send(n, failover, to) => {
                let mut options = SendOptions::default();
                options.failover = failover;
                options.to = to;
                if let Some(session) = session(n) {
                    let sent = self.pu.send(self.now, session, vec![0; 100], options);
                    assert!(sent.is_err() || self.alive.contains(&session));
                }
            }
            Step::Confirm(n, m) => {
                if let Some(session) = session(n) {
                    let message = self.message(m);
                    message.map(|message| self.pu.confirm(self.now, session, message));
                }
            }
            Step::GiveUp(n) => drop(session(n).map(|session| self.pu.give_up(now, session))),
            Step::Resume(n) => drop(session(n).map(|session| self.pu.resume(self.now, session))),
            Step::Close(n) => drop(session(n).map(|session| self.pu.close(now, session))),
            Step::Abort(n) => {
                if let Some(session) = session(n) {
                    let known = self.pu.abort(now, session).is_ok();
                    assert_eq!(known, self.alive.remove(&session));
                }
            }
            Step::Select(n) => {
                if let Some(pool) = pool(&self.pu, n) {
                    let _ = self.pu.select(now, pool, &[PeIdentifier::new(1)]);
                }
            }
            Step::FailOver(n, id) => {
                if let Some(pool) = pool(&self.pu, n) {
                    let _ = self.pu.fail_over(now, pool, PeIdentifier::new(id));
                }
            }
            Step::ShutDown => self.pu.shut_down(now),
            Step::Opened(n) => {
                if let Some(channel) = channel(n) {
                    if let Some((_, up)) = self.live.get_mut(&channel) {
                        *up = true;
                    }
                    self.pu.handle_opened(now, channel, Authentication::None);
                }
            }
            Step::Closed(n, failed) => {
                if let Some(channel) = channel(n) {
                    self.live.remove(&channel);
                    let reason = if failed { CloseReason::Failed } else { CloseReason::Closed };
                    self.pu.handle_closed(now, channel, reason);
                }
            }
            Step::Control(n, ref bytes) => {
                let _ = channel(n).map(|channel| self.pu.handle_control(now, channel, bytes));
            }
            Step::Stream(n, ref bytes) => {
                let _ = channel(n).map(|channel| self.pu.handle_stream(now, channel, bytes));
            }
            Step::Answer(n, handle, size) => {
                let elements: Vec<_> = (0..size).map(element).collect();
                let message = match size {
                    0 => return,
                    _ => response(HANDLES[handle], &elements),
                };
                self.receive(n, &message);
            }
            Step::Refuse(n, handle) => {
                self.receive(n, &refusal(HANDLES[handle], CauseCode::UNKNOWN_POOL_HANDLE));
            }
            Step::Grant(n, handle, size) => {
                let mut message =
                    response(HANDLES[handle], &(0..size).map(element).collect::<Vec<_>>());
                if let Body::HandleResolutionResponse { updates, .. } = &mut message.body {
                    *updates = true;
                }
                self.receive(n, &message);
            }
            Step::Misunderstand(n, handle) => {
                let request = Message::handle_resolution(false, HANDLES[handle], Some(128));
                let request = request.to_bytes().unwrap();
                self.receive(n, &error(CauseCode::UNRECOGNIZED_MESSAGE, &request));
                let wanted = &request[request.len() - 8..];
                self.receive(n, &error(CauseCode::UNRECOGNIZED_PARAMETER, wanted));
            }
            Step::Cookie(n, len) => self.receive(n, &Message::cookie(vec![1; len])),
            Step::Data(n, len) => {
                let _ = channel(n).map(|channel| self.pu.handle_data(now, channel, &vec![2; len]));
            }
            Step::Delivered(n, m) => {
                if let (Some(channel), Some(message)) = (channel(n), self.message(m)) {
                    self.pu.handle_delivered(self.now, channel, message);
                }
            }
            Step::Written(n, m) => {
                if let (Some(channel), Some(message)) = (channel(n), self.message(m)) {
                    self.pu.handle_written(self.now, channel, message);
                }
            }
            Step::Unsent(n, m) => {
                if let (Some(channel), Some(message)) = (channel(n), self.message(m)) {
                    self.pu.handle_unsent(self.now, channel, message);
                }
            }
            Step::Card(n, handle, size) => {
                let elements = (0..size).map(element).collect();
                self.receive(n, &Message::business_card(HANDLES[handle], elements));
            }
            Step::Echo(n, len) => self.receive(n, &Message::cookie_echo(vec![4; len])),
            Step::Announce(n) => {
                let message = Message::server_announce(
                    asap_pu::wire::ServerIdentifier::new(n.into()),
                    vec![],
                );
                let source = core::net::SocketAddr::from(([10, 1, 0, n], 3863));
                self.pu.handle_announce(now, source, &message.to_bytes().unwrap());
            }
            Step::PollAction => self.act(),
            Step::PollEvent => self.hear(),
            Step::Wait => {
                if let Some(at) = self.pu.poll_timeout() {
                    self.now = self.now.max(at);
                    self.pu.handle_timeout(self.now);
                    let next = self.pu.poll_timeout();
                    assert!(
                        next.is_none_or(|next| next > self.now),
                        "a deadline that stays is a spin"
                    );
                }
            }
            Step::Jump(secs) => {
                self.now = self.now + Duration::from_secs(secs);
                self.pu.handle_timeout(self.now);
            }
            Step::Back => self.pu.handle_timeout(Instant::EPOCH),
        }
        assert!(
            self.pu.pools().count() <= 1 + 1 + 4,
            "the limit, one beside it, and the pinned ones"
        );
    }

    fn receive(&mut self, n: usize, message: &Message) {
        if let Some(channel) = self.channels.iter().rev().nth(n) {
            self.pu.handle_control(self.now, *channel, &message.to_bytes().unwrap());
        }
    }

    /// A message identifier, made from one that was sent: identifiers are not for making up.
    fn message(&self, n: usize) -> Option<MessageId> {
        let mut lab = PoolUser::new(limits(), 0).unwrap();
        let session = lab.open_session(self.now, "a", SessionOptions::default()).ok()?;
        (0..=n).map_while(|_| lab.send(self.now, session, "", SendOptions::default()).ok()).last()
    }

    fn act(&mut self) {
        let Some(action) = self.pu.poll_action() else { return };
        self.transcript.push(format!("{action:?}"));
        match action {
            Action::Open { channel, peer, .. } => {
                self.channels.push(channel);
                assert!(self.live.insert(channel, (peer, false)).is_none(), "a name used twice");
                let registrars =
                    self.live.values().filter(|(peer, _)| *peer == PeerKind::Registrar);
                assert!(registrars.count() <= 3, "[HUNT-3]");
            }
            Action::Send { channel, payload, .. } => {
                let (peer, up) = self.live.get(&channel).expect("a channel that lives");
                assert!(*up, "a channel that is up");
                assert!(*peer == PeerKind::Element || matches!(payload, Payload::Control(_)));
            }
            Action::Close { channel, .. } => {
                self.live.remove(&channel);
            }
            _ => {}
        }
    }

    fn hear(&mut self) {
        let Some(event) = self.pu.poll_event() else { return };
        self.transcript.push(format!("{event:?}"));
        match event {
            Event::Resolved { request, .. } | Event::ResolutionFailed { request, .. } => {
                assert!(self.unread.remove(&request), "told once");
            }
            Event::SessionEnded { session, .. } => {
                assert!(self.alive.remove(&session), "told once")
            }
            Event::Connected { session, .. }
            | Event::ElementLost { session, .. }
            | Event::FailedOver { session, .. }
            | Event::Received { session, .. }
            | Event::Copied { session, .. }
            | Event::CookieEchoed { session, .. }
            | Event::Room { session, .. }
            | Event::Undelivered { session, .. } => {
                assert!(self.alive.contains(&session), "nothing refers to an ended session");
            }
            _ => {}
        }
    }

    /// The driver and the application catch up, then everything is shut down: it all ends.
    fn finish(&mut self) {
        self.pu.shut_down(self.now);
        for _ in 0..300 {
            for _ in 0..100 {
                self.act();
                self.hear();
            }
            self.step(&Step::Wait);
        }
        assert_eq!((self.unread.len(), self.alive.len()), (0, 0), "everything has ended");
        assert_eq!((self.pu.poll_timeout(), self.pu.channels()), (None, 0));
        assert!(self.pu.poll_action().is_none() && self.pu.poll_event().is_none());
    }
}

fn run(steps: &[Step], seed: u64) -> Vec<String> {
    let mut world = World::new(seed);
    for step in steps {
        world.step(step);
    }
    world.finish();
    world.transcript
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// [CORE-2] [CORE-4] [CORE-5] [CORE-9] [HUNT-3] [RES-13] [SESSION-13]
    #[test]
    fn any_calls_are_safe_and_repeatable(
        steps in prop::collection::vec(step(), 0..120),
        seed in any::<u64>(),
    ) {
        prop_assert_eq!(run(&steps, seed), run(&steps, seed));
    }
}
