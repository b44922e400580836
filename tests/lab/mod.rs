//! A pool user with a clock made of numbers, and the messages that its peers would send.
//!
//! The test plays all peers by hand, message by message. That is for duties that speak of single
//! messages: what is sent, in which order, on which channel, and what a strange answer does. Duties
//! that speak of what comes of it in the end, whatever the messages, are tested among peers that act
//! for themselves, in the simulator (`asap_pu::sim`).
#![allow(dead_code, reason = "each test uses a part")]

use core::net::SocketAddr;
use core::time::Duration;

use asap_pu::wire::{
    Cause, CauseCode, Message, OverallPolicy, PeIdentifier, Policy, PolicyType, PoolElement,
    Protocol, ServerIdentifier, Transport,
};
use asap_pu::{
    Action, Authentication, Capabilities, ChannelId, CloseReason, Config, ConfigError, Confirms,
    Event, Failover, Instant, MessageId, Payload, PeerKind, PoolId, PoolUser, Recipient, Registrar,
    RequestId, ResolveError, SendError, SendErrorReason, SendOptions, SessionId, SessionOptions,
    TimerKind,
};

/// A pool user, its time, and what it wants of its driver and its application.
pub(crate) struct Lab {
    pub(crate) pu: PoolUser,
    pub(crate) now: Instant,
}

/// What the user wishes, and what the driver can do; by itself it reads and writes as the former.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) capabilities: Capabilities,
}

impl Setup {
    pub(crate) fn pool_user(self, seed: u64) -> PoolUser {
        PoolUser::new(self.config, self.capabilities, seed).expect("configuration")
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        self.config.validate(&self.capabilities)
    }

    /// What the driver tells of messages over TCP.
    pub(crate) fn confirm(&mut self, confirms: Confirms) {
        self.capabilities = self.capabilities.with_elements(Protocol::Tcp, confirms);
    }

    /// The driver tells control messages from data over TCP.
    pub(crate) fn tell_control(&mut self) {
        self.capabilities = self.capabilities.with_control(Protocol::Tcp);
    }
}

impl From<Config> for Setup {
    fn from(config: Config) -> Self {
        Self { config, capabilities: SCTP_AND_TCP }
    }
}

impl core::ops::Deref for Setup {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}

impl core::ops::DerefMut for Setup {
    fn deref_mut(&mut self) -> &mut Config {
        &mut self.config
    }
}

/// The parts of an `Open` that tests look at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Opened {
    pub(crate) channel: ChannelId,
    pub(crate) peer: PeerKind,
    pub(crate) to: SocketAddr,
}

impl Lab {
    pub(crate) fn new(setup: impl Into<Setup>) -> Self {
        Self { pu: setup.into().pool_user(1), now: Instant::EPOCH }
    }

    /// A pool user that knows the registrars at these addresses.
    pub(crate) fn knowing(registrars: &[&str]) -> Self {
        Self::new(config(registrars))
    }

    /// A pool user with a home, reached on the channel returned.
    pub(crate) fn at_home() -> (Self, ChannelId) {
        Self::at_home_with(config(&[REGISTRAR]))
    }

    pub(crate) fn at_home_with(config: impl Into<Setup>) -> (Self, ChannelId) {
        let mut lab = Self::new(config);
        lab.pu.registrars_mut(lab.now).find_home();
        let home = lab.open_one();
        lab.up(home.channel);
        assert!(matches!(lab.event(), Event::RegistrarFound { .. }));
        (lab, home.channel)
    }

    /// A pool user with a session at one of `elements`, and the channel to that.
    pub(crate) fn in_session(
        config: impl Into<Setup>,
        options: SessionOptions,
        elements: &[PoolElement],
    ) -> (Self, ChannelId, SessionId, Opened) {
        let (mut lab, home) = Self::at_home_with(config);
        let session = lab.pu.open_session(lab.now, POOL, options).unwrap();
        assert_eq!(lab.requests(), [(home, POOL.into())]);
        lab.answer(home, POOL, elements);
        let element = lab.open_one();
        lab.up(element.channel);
        assert!(matches!(lab.event(), Event::Connected { .. }));
        (lab, home, session, element)
    }

    pub(crate) fn secs(&mut self, secs: u64) {
        self.now += Duration::from_secs(secs);
    }

    /// Lets time pass to the next deadline, and says how long that took. No time passes while an
    /// action waits.
    pub(crate) fn wait(&mut self) -> Duration {
        let at = self.pu.poll_timeout().expect("a deadline");
        let passed = at.since(self.now);
        self.now = self.now.max(at);
        self.pu.handle_timeout(self.now);
        let next = self.pu.next_timer();
        let moved_on = |(at, kind)| at > self.now || kind == TimerKind::Action;
        assert!(next.is_none_or(moved_on), "the deadline moved on");
        passed
    }

    /// Lets time pass to `at`, second by second, while the driver does nothing.
    pub(crate) fn wait_until(&mut self, at: Instant) {
        while self.now < at {
            self.now = at.min(self.now + secs(1));
            self.pu.handle_timeout(self.now);
        }
    }

    pub(crate) fn actions(&mut self) -> Vec<Action> {
        core::iter::from_fn(|| self.pu.poll_action()).collect()
    }

    /// All that is asked for, which must be channels to open.
    pub(crate) fn opens(&mut self) -> Vec<Opened> {
        self.actions().into_iter().map(opened).collect()
    }

    pub(crate) fn open_one(&mut self) -> Opened {
        let [one] = <[_; 1]>::try_from(self.opens()).expect("one channel to open");
        one
    }

    /// All that is asked for, which must be resolution requests: on which channel, for which
    /// handle.
    pub(crate) fn requests(&mut self) -> Vec<(ChannelId, String)> {
        let handle = |message: Message| match message.body {
            asap_pu::wire::Body::HandleResolution { handle, .. } => handle.to_string(),
            other => panic!("{other:?}"),
        };
        self.controls().into_iter().map(|(channel, message)| (channel, handle(message))).collect()
    }

    /// All that is asked for, which must be control messages to send.
    pub(crate) fn controls(&mut self) -> Vec<(ChannelId, Message)> {
        self.actions().into_iter().map(control).collect()
    }

    /// All that is asked for, which must be data to send.
    pub(crate) fn data(&mut self) -> Vec<(ChannelId, String)> {
        self.actions().into_iter().map(data).collect()
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.pu.poll_event()).collect()
    }

    pub(crate) fn event(&mut self) -> Event {
        let events = self.events();
        let [event] = <[_; 1]>::try_from(events).expect("one event");
        event
    }

    pub(crate) fn up(&mut self, channel: ChannelId) {
        self.pu.handle_opened(self.now, channel, Authentication::None);
    }

    pub(crate) fn fail(&mut self, channel: ChannelId) {
        self.pu.handle_closed(self.now, channel, CloseReason::Failed);
    }

    pub(crate) fn receive(&mut self, channel: ChannelId, message: &Message) {
        self.pu.handle_control(self.now, channel, &message.to_bytes().unwrap());
    }

    /// A pool that the home registrar on `home` has listed.
    pub(crate) fn pool(&mut self, home: ChannelId, elements: &[PoolElement]) -> PoolId {
        self.pu.resolve(self.now, POOL).unwrap();
        assert_eq!(self.requests(), [(home, POOL.into())]);
        self.answer(home, POOL, elements);
        resolved(self.event()).1
    }

    /// What the policy chooses, in turn.
    pub(crate) fn choose<const N: usize>(&mut self, pool: PoolId) -> [u32; N] {
        [(); N].map(|()| {
            self.pu.pool_mut(self.now, pool).unwrap().select(&[]).unwrap().identifier().get()
        })
    }

    /// The registrar lists `elements` for `handle`.
    pub(crate) fn answer(&mut self, channel: ChannelId, handle: &str, elements: &[PoolElement]) {
        self.receive(channel, &response(handle, elements));
    }
}

pub(crate) const REGISTRAR: &str = "192.0.2.1:3863";
pub(crate) const POOL: &str = "EchoPool";
pub(crate) const FIVE: [&str; 5] =
    ["192.0.2.1:3863", "192.0.2.2:3863", "192.0.2.3:3863", "192.0.2.4:3863", "192.0.2.5:3863"];

/// A driver that speaks what drivers speak, and tells nothing.
pub(crate) const SCTP_AND_TCP: Capabilities = Capabilities::NONE
    .with_registrars(Protocol::Sctp)
    .with_registrars(Protocol::Tcp)
    .with_elements(Protocol::Sctp, Confirms::Nothing)
    .with_elements(Protocol::Tcp, Confirms::Nothing)
    .with_authentication();

/// One that speaks nothing but TCP.
pub(crate) const TCP: Capabilities = Capabilities::NONE
    .with_registrars(Protocol::Tcp)
    .with_elements(Protocol::Tcp, Confirms::Nothing)
    .with_authentication();

pub(crate) fn config(registrars: &[&str]) -> Setup {
    let mut config = Config::default();
    config.discovery.registrars =
        registrars.iter().map(|at| Registrar::tcp(at.parse().unwrap())).collect();
    config.into()
}

/// A pool user that knows one registrar, with a change of the configuration.
pub(crate) fn with(change: impl FnOnce(&mut Setup)) -> Lab {
    let mut config = config(&[REGISTRAR]);
    change(&mut config);
    Lab::new(config)
}

/// The same, with a home, reached on the channel returned.
pub(crate) fn at_home(change: impl FnOnce(&mut Setup)) -> (Lab, ChannelId) {
    let mut config = config(&[REGISTRAR]);
    change(&mut config);
    Lab::at_home_with(config)
}

/// An element of a round robin pool at 10.0.0.0 plus `id`, port 7, by TCP.
pub(crate) fn element(id: u32) -> PoolElement {
    let [_, b, c, d] = id.to_be_bytes();
    let at = SocketAddr::from(([10, b, c, d], 7));
    PoolElement::new(PeIdentifier::new(id), Transport::tcp(at), Policy::RoundRobin)
}

/// A round robin response.
pub(crate) fn response(handle: &str, elements: &[PoolElement]) -> Message {
    let policy = OverallPolicy::new(PolicyType::ROUND_ROBIN, Default::default());
    Message::handle_resolution_response(handle, Some(policy), elements.to_vec())
}

pub(crate) fn refusal(handle: &str, code: CauseCode) -> Message {
    Message::handle_resolution_failure(handle, vec![Cause::new(code, Default::default())])
}

/// An ASAP_ERROR with one cause.
pub(crate) fn error(code: CauseCode, info: &[u8]) -> Message {
    Message::error(vec![Cause::new(code, info.to_vec().into())])
}

pub(crate) fn opened(action: Action) -> Opened {
    match action {
        Action::Open { channel, peer, to, .. } => {
            Opened { channel, peer, to: to.socket_addrs().next().expect("an address") }
        }
        other => panic!("not an open: {other:?}"),
    }
}

pub(crate) fn control(action: Action) -> (ChannelId, Message) {
    match action {
        Action::Send { channel, payload: Payload::Control(bytes), .. } => {
            (channel, Message::decode(&bytes).unwrap())
        }
        other => panic!("not a control message: {other:?}"),
    }
}

pub(crate) fn data(action: Action) -> (ChannelId, String) {
    match action {
        Action::Send { channel, payload: Payload::Data { data, .. }, .. } => {
            (channel, String::from_utf8(data.to_vec()).unwrap())
        }
        other => panic!("not data: {other:?}"),
    }
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn resolved(event: Event) -> (RequestId, PoolId) {
    match event {
        Event::Resolved { request, pool, .. } => (request, pool),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn failed(event: Event) -> (RequestId, ResolveError) {
    match event {
        Event::ResolutionFailed { request, error, .. } => (request, error),
        other => panic!("{other:?}"),
    }
}

/// A datagram on the multicast channel of the registrars.
pub(crate) fn announce(lab: &mut Lab, source: &str, server: u32, transports: Vec<Transport>) {
    let message = Message::server_announce(ServerIdentifier::new(server), transports);
    lab.pu.handle_announce(lab.now, source.parse().unwrap(), &message.to_bytes().unwrap());
}

/// A driver whose mapping for TCP tells control messages from data.
pub(crate) fn mapped() -> Setup {
    let mut config = config(&[REGISTRAR]);
    config.tell_control();
    config
}

pub(crate) fn three() -> [PoolElement; 3] {
    [1, 2, 3].map(element)
}

pub(crate) fn id(id: u32) -> PeIdentifier {
    PeIdentifier::new(id)
}

pub(crate) fn send(
    lab: &mut Lab,
    session: SessionId,
    data: &'static str,
    failover: Failover,
) -> MessageId {
    lab.pu.session_mut(lab.now, session).unwrap().send(data, failover).unwrap()
}

/// The element on `from` dies; the session goes on at another one. Returns the new channel.
pub(crate) fn fail_over(lab: &mut Lab, from: &Opened) -> Opened {
    lab.fail(from.channel);
    let mut opens: Vec<_> = lab.actions();
    opens.retain(|action| matches!(action, Action::Open { .. }));
    let next = opened(opens.pop().expect("another element"));
    lab.up(next.channel);
    next
}

/// Every channel that is asked for, whatever else is.
pub(crate) fn opens_among(actions: &[Action]) -> Vec<Opened> {
    let opens = actions.iter().filter(|action| matches!(action, Action::Open { .. }));
    opens.cloned().map(opened).collect()
}

/// What data says that is to be sent, and where, whatever else is asked for.
pub(crate) fn data_among(actions: &[Action]) -> Vec<(ChannelId, String)> {
    let is_data =
        |action: &&Action| matches!(action, Action::Send { payload: Payload::Data { .. }, .. });
    actions.iter().filter(is_data).cloned().map(data).collect()
}

/// A session that chooses an element for each message.
pub(crate) fn choosing() -> SessionOptions {
    let mut options = SessionOptions::default();
    options.choose_per_message = true;
    options
}

/// Whether a message was refused because its session's queue is full.
pub(crate) fn is_full(refused: &SendError) -> bool {
    matches!(refused.reason, SendErrorReason::QueueFull { .. })
}

/// A message for `to`.
pub(crate) fn to(to: Recipient) -> SendOptions {
    let mut options = SendOptions::default();
    options.to = to;
    options
}

/// A session that chooses for each message, in a pool of three.
pub(crate) fn choosing_lab(config: impl Into<Setup>) -> (Lab, ChannelId, SessionId) {
    let (mut lab, home) = Lab::at_home_with(config);
    let session = lab.pu.open_session(lab.now, POOL, choosing()).unwrap();
    lab.actions();
    lab.answer(home, POOL, &three());
    assert!(lab.actions().is_empty(), "nothing is sent, so nobody is called");
    (lab, home, session)
}

/// Brings up every channel that is asked for.
pub(crate) fn settle(lab: &mut Lab) -> Vec<Opened> {
    let opens = opens_among(&lab.actions());
    for open in &opens {
        lab.up(open.channel);
    }
    opens
}
