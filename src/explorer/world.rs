//! A small world: a pool user, the driver and the application around it, and what they know.
//!
//! The world does what a step says, polls, and checks what comes out: here what concerns channels,
//! registrars and resolutions, in [`sessions`](super::sessions) what concerns sessions. It believes
//! nothing that the machine says of itself; it knows only what went in and what came out.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use bytes::Bytes;

use super::fingerprint;
use super::sessions::Session;
use super::step::{Budget, Kind, Rules, Step};
use crate::id::{ChannelId, RequestId};
use crate::wire::{
    Body, Cause, CauseCode, Message, OverallPolicy, PeIdentifier, Policy, PolicyType, PoolElement,
    Protocol, ServerIdentifier, Transport,
};
use crate::{
    Action, Authentication, CloseReason, Confirms, Event, HomeSearch, Instant, LossReason, Payload,
    PeerKind, PoolUser, Registrar,
};

/// The pool that all worlds are about.
pub(super) const POOL: &str = "p";

/// The pool that is asked for where everybody does what is expected.
pub(super) const PROBE: &str = "q";

/// For how long a report may be lost with the channel that it left on.
const RESEND: Duration = Duration::from_secs(2);

/// More polls than this in no time are an endless loop.
const MANY_POLLS: usize = 200;

/// A pool user and the small world around it.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) rules: Rc<Rules>,
    pub(super) user: PoolUser,
    pub(super) now: Instant,
    /// What may still happen.
    left: Budget,
    /// The channels that the driver keeps.
    pub(super) channels: BTreeMap<ChannelId, Channel>,
    /// All names of channels that the driver ever heard of.
    heard_of: BTreeSet<ChannelId>,
    /// What registrars were asked for and have not answered.
    pub(super) asked: BTreeSet<(ChannelId, String)>,
    /// The resolutions that the application waits for, and until when at the latest.
    pub(super) requests: BTreeMap<RequestId, Instant>,
    pub(super) subscribed: bool,
    pub(super) sessions: Vec<Session>,
    /// The elements that have failed, and until when they are passed over.
    pub(super) marks: BTreeMap<u32, Instant>,
    /// How many failures are to be reported, and how many reports came.
    pub(super) reports_due: u64,
    pub(super) reports: u64,
    /// When the last reports left for the present home: they may be lost with it, and go again.
    reported: Vec<Instant>,
    /// How many cookies and pieces of data were made, so that no two are the same.
    pub(super) made: u8,
    pub(super) shut_down: bool,
    /// The channels that the application has given up.
    pub(super) given_up: Vec<ChannelId>,
    /// Elements that were said to have failed while a session had a channel to them: whether they
    /// are marked is open.
    pub(super) contested: BTreeSet<u32>,
    /// Channels that the driver ended while the machine asked it to.
    crossed: BTreeSet<ChannelId>,
    /// Whether everybody does what is expected from here on.
    pub(super) fair: bool,
    /// How often elements were called.
    pub(super) calls: u32,
    /// How often since time passed, without the application's doing.
    pub(super) calls_at_once: u8,
    /// What happened, where somebody wants to read it.
    pub(super) trace: Option<Rc<RefCell<Vec<String>>>>,
}

/// A channel as its driver sees it.
#[derive(Debug, Clone, Hash)]
pub(super) struct Channel {
    pub(super) peer: Peer,
    /// The session that it is for.
    pub(super) session: Option<usize>,
    /// Whether that keeps it, as opposed to using it beside others.
    pub(super) kept: bool,
    pub(super) up: bool,
    /// When it has to be up; once it is, when it counts as stable, if it does not already.
    pub(super) due: Option<Instant>,
    /// The machine has let go of it, and the driver has not heard of that.
    pub(super) gone: bool,
    /// The driver has given something back on it, and is about to end it.
    pub(super) doomed: bool,
    /// Whether anything was sent on it.
    pub(super) talked: bool,
    /// The cookie that has to be the first thing that is sent.
    pub(super) echo: Option<Bytes>,
    /// The cookie of the peer at its other end.
    pub(super) cookie: Option<Bytes>,
    /// Whether a message that was handed over on it is done, so that what comes may be an answer.
    pub(super) answers: bool,
    /// Whether its peer has shown that it serves.
    pub(super) proven: bool,
    /// Messages that are not written, and that are not known to be delivered: session and number.
    pub(super) unwritten: Vec<(usize, usize)>,
    pub(super) undelivered: Vec<(usize, usize)>,
    /// The message handed over last.
    pub(super) last: Option<usize>,
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Peer {
    Registrar(u8),
    Element(u32),
    /// Somebody who called.
    Caller,
}

fn place(net: u8, host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, net, host)), port)
}

/// The registrar with this number.
pub(super) fn registrar(number: u8) -> Registrar {
    Registrar::tcp(place(0, number, 3863))
}

/// Where the element with this number serves.
pub(super) fn transport(number: u32) -> Transport {
    Transport::tcp(place(1, number as u8, 7))
}

fn element(number: u32) -> PoolElement {
    PoolElement::new(PeIdentifier::new(number), transport(number), Policy::RoundRobin)
}

/// The elements whose bits are set: bit 0 is element 0, whose identifier is as good as any.
pub(super) fn members(bits: u8) -> impl Iterator<Item = u32> {
    (0..8).filter(move |number| bits >> number & 1 == 1)
}

fn response(handle: &str, bits: u8, granted: bool) -> Bytes {
    let policy = OverallPolicy::new(PolicyType::ROUND_ROBIN, Bytes::new());
    let elements = members(bits).map(element).collect();
    let mut message = Message::handle_resolution_response(handle, Some(policy), elements);
    if let Body::HandleResolutionResponse { updates, .. } = &mut message.body {
        *updates = granted;
    }
    message.to_bytes().expect("a short message")
}

impl World {
    pub(super) fn new(rules: &Rc<Rules>) -> Self {
        let mut world = Self {
            rules: rules.clone(),
            user: PoolUser::with_frozen_chance(
                rules.config.clone(),
                rules.capabilities,
                rules.chance,
            ),
            now: Instant::EPOCH + Duration::from_secs(1_000),
            left: rules.budget.clone(),
            channels: BTreeMap::new(),
            heard_of: BTreeSet::new(),
            asked: BTreeSet::new(),
            requests: BTreeMap::new(),
            subscribed: false,
            sessions: Vec::new(),
            marks: BTreeMap::new(),
            reports_due: 0,
            reports: 0,
            reported: Vec::new(),
            made: 0,
            shut_down: false,
            given_up: Vec::new(),
            contested: BTreeSet::new(),
            crossed: BTreeSet::new(),
            fair: false,
            calls: 0,
            calls_at_once: 0,
            trace: None,
        };
        world.user.handle_timeout(world.now);
        world
    }

    /// Leads to where exploring begins.
    pub(super) fn begin(&mut self) {
        let rules = self.rules.clone();
        for step in &rules.before {
            self.apply(*step);
            self.settle();
        }
        self.left = rules.budget.clone();
    }

    pub(super) fn say(&self, what: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            trace.borrow_mut().push(what());
        }
    }

    /// What tells this state from others; of what may still happen only if that is to be `told`.
    pub(super) fn fingerprint(&self, left: bool) -> u64 {
        let Self { user, channels, asked, requests, subscribed, sessions, .. } = self;
        let Self { marks, reports_due, reports, shut_down, calls_at_once, .. } = self;
        let marks: Vec<_> = marks.iter().filter(|(_, until)| **until > self.now).collect();
        let known = (channels, asked, requests, subscribed, sessions, marks);
        let rest = (reports_due - reports, shut_down, calls_at_once, left.then_some(&self.left));
        let recent = |at: &&Instant| self.now.since(**at) <= RESEND;
        let reported: Vec<_> = self.reported.iter().filter(recent).collect();
        let rest = (rest, &self.contested, &self.crossed, reported);
        fingerprint::of(self.now, user.names(), &(user, known, rest))
    }

    /// Everything that can happen now.
    pub(super) fn possible(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let has = |kind| self.left.has(kind);
        let mut may = |kind, step| steps.extend(has(kind).then_some(step));
        if self.next_deadline().is_some() {
            may(Kind::Timer, Step::Timer);
            may(Kind::Half, Step::Half);
        }
        if !self.shut_down {
            may(Kind::Start, Step::Start);
            may(Kind::Resolve, Step::Resolve);
            (0..self.requests.len()).for_each(|k| may(Kind::Cancel, Step::Cancel(k)));
            may(Kind::Subscribe, Step::Subscribe);
            may(Kind::Unsubscribe, Step::Unsubscribe);
            for number in 1..=3 {
                may(Kind::AddRegistrar, Step::AddRegistrar(number));
                may(Kind::RemoveRegistrar, Step::RemoveRegistrar(number));
            }
            may(Kind::Announce, Step::Announce(3));
            may(Kind::Purge, Step::Purge);
            for number in members(self.rules.lists[0]) {
                may(Kind::Report, Step::Report(number));
                may(Kind::FailElement, Step::FailElement(number));
            }
            may(Kind::ShutDown, Step::ShutDown);
            may(Kind::Open, Step::Open);
            may(Kind::OpenAt, Step::OpenAt);
            may(Kind::Accept, Step::Accept);
        }
        for (k, channel) in self.channels.values().enumerate() {
            let is_registrar = matches!(channel.peer, Peer::Registrar(_));
            if !channel.up {
                may(Kind::Opened, Step::Opened(k));
            }
            if is_registrar {
                may(Kind::HomeEnds, Step::Failed(k));
                if channel.up && self.subscribed {
                    self.rules.lists.iter().for_each(|bits| may(Kind::Update, Step::Update(*bits)));
                }
                continue;
            }
            may(Kind::Failed, Step::Failed(k));
            may(Kind::Local, Step::Local(k));
            may(Kind::Impostor, Step::Impostor(k));
            if !channel.up {
                continue;
            }
            may(Kind::Closed, Step::Closed(k));
            if !channel.undelivered.is_empty() {
                may(Kind::Unsent, Step::Unsent(k));
            }
            if channel.doomed {
                continue;
            }
            may(Kind::Data, Step::Data(k));
            may(Kind::Cookie, Step::Cookie(k));
            may(Kind::Card, Step::Card(k, false));
            may(Kind::Card, Step::Card(k, true));
            if !channel.unwritten.is_empty() && self.confirms().includes_written() {
                may(Kind::Written, Step::Written(k));
            }
            if !channel.undelivered.is_empty() && self.confirms().includes_delivered() {
                may(Kind::Delivered, Step::Delivered(k));
            }
        }
        for k in 0..self.asked.len() {
            self.rules.lists.iter().for_each(|bits| may(Kind::Answer, Step::Answer(k, *bits)));
            may(Kind::Refuse, Step::Refuse(k));
        }
        self.possible_in_sessions(&mut may);
        if !self.rules.eager {
            steps.extend([Step::PollAction, Step::PollEvent]);
        }
        steps
    }

    /// Does what a step says; where everything is polled at once, that too.
    pub(super) fn take(&mut self, step: Step) {
        if let Some(kind) = self.kind(step) {
            self.left.spend(kind);
        }
        self.apply(step);
        if self.rules.eager {
            self.settle();
        }
    }

    fn kind(&self, step: Step) -> Option<Kind> {
        let of_registrar = |k| matches!(self.nth(k).1.peer, Peer::Registrar(_));
        Some(match step {
            Step::Timer => Kind::Timer,
            Step::Half => Kind::Half,
            Step::PollAction | Step::PollEvent => return None,
            Step::Start => Kind::Start,
            Step::Resolve => Kind::Resolve,
            Step::Cancel(_) => Kind::Cancel,
            Step::Subscribe => Kind::Subscribe,
            Step::Unsubscribe => Kind::Unsubscribe,
            Step::AddRegistrar(_) => Kind::AddRegistrar,
            Step::RemoveRegistrar(_) => Kind::RemoveRegistrar,
            Step::Announce(_) => Kind::Announce,
            Step::Purge => Kind::Purge,
            Step::Report(_) => Kind::Report,
            Step::FailElement(_) => Kind::FailElement,
            Step::ShutDown => Kind::ShutDown,
            Step::Open => Kind::Open,
            Step::OpenAt => Kind::OpenAt,
            Step::Accept => Kind::Accept,
            Step::Send(..) => Kind::Send,
            Step::Withdraw(..) => Kind::Withdraw,
            Step::Confirm(..) => Kind::Confirm,
            Step::Resume(_) => Kind::Resume,
            Step::GiveUp(_) => Kind::GiveUp,
            Step::Move(..) => Kind::Move,
            Step::SetCookie(_) => Kind::SetCookie,
            Step::Close(_) => Kind::Close,
            Step::Abort(_) => Kind::Abort,
            Step::Opened(_) => Kind::Opened,
            Step::Failed(k) if of_registrar(k) => Kind::HomeEnds,
            Step::Failed(_) => Kind::Failed,
            Step::Closed(_) => Kind::Closed,
            Step::Local(_) => Kind::Local,
            Step::Impostor(_) => Kind::Impostor,
            Step::Answer(..) => Kind::Answer,
            Step::Refuse(_) => Kind::Refuse,
            Step::Update(_) => Kind::Update,
            Step::Data(_) => Kind::Data,
            Step::Cookie(_) => Kind::Cookie,
            Step::Card(..) => Kind::Card,
            Step::Written(_) => Kind::Written,
            Step::Delivered(_) => Kind::Delivered,
            Step::Unsent(_) => Kind::Unsent,
        })
    }

    pub(super) fn apply(&mut self, step: Step) {
        self.say(|| format!("- {step:?}"));
        let now = self.now;
        self.note_given_up(step);
        match step {
            Step::Timer => {
                self.pass_to_deadline();
            }
            Step::Half => {
                if let Some(at) = self.next_deadline() {
                    self.pass(at.since(now) / 2);
                }
            }
            Step::PollAction => {
                self.act();
            }
            Step::PollEvent => {
                self.read();
            }
            Step::Start => self.user.registrars_mut(now).find_home(),
            Step::Resolve => self.resolve(POOL),
            Step::Cancel(k) => {
                let request = *self.requests.keys().nth(k).expect("a request");
                self.requests.remove(&request);
                assert_eq!(self.user.cancel(now, request), Ok(()), "a request that is under way");
            }
            Step::Subscribe => self.subscribed |= self.user.subscribe(now, POOL).is_ok(),
            Step::Unsubscribe => {
                self.user.unsubscribe(now, POOL.as_bytes());
                self.subscribed = false;
            }
            Step::AddRegistrar(number) => {
                assert_eq!(self.user.registrars_mut(now).add(registrar(number)), Ok(()));
            }
            Step::RemoveRegistrar(number) => {
                self.user.registrars_mut(now).remove(&registrar(number).transport);
            }
            Step::Announce(number) => {
                let at = Transport::tcp(place(0, number, 3863));
                let server = ServerIdentifier::new(number.into());
                let announce = Message::server_announce(server, [at].to_vec()).to_bytes();
                let announce = announce.expect("a short message");
                self.user.handle_announce(now, place(0, number, 3863), &announce);
            }
            Step::Purge => {
                // Marks in pools that sessions hold stay.
                self.user.purge_all();
                self.contested.extend(self.marks.keys());
            }
            Step::Report(number) => self.report(number),
            Step::ShutDown => self.shut_down(),
            Step::Opened(k) => self.opened(k),
            Step::Failed(k) => self.channel_ends(k, CloseReason::Failed),
            Step::Closed(k) => self.channel_ends(k, CloseReason::Closed),
            Step::Local(k) => self.channel_ends(k, CloseReason::Local),
            Step::Impostor(k) => self.channel_ends(k, CloseReason::Unauthenticated),
            Step::Answer(k, bits) => self.answer(k, bits),
            Step::Refuse(k) => {
                let (channel, handle) = self.take_asked(k);
                let cause = Cause::new(CauseCode::UNKNOWN_POOL_HANDLE, Bytes::new());
                let refusal = Message::handle_resolution_failure(handle.as_str(), [cause].to_vec());
                let refusal = refusal.to_bytes().expect("a short message");
                // Where nobody holds the pool, its marks go with it.
                self.contested.extend(self.marks.keys());
                self.user.handle_control(now, channel, &refusal);
            }
            Step::Update(bits) => {
                let is_home = |c: &Channel| matches!(c.peer, Peer::Registrar(_)) && c.up;
                let home = self.channels.iter().find(|(_, channel)| is_home(channel));
                let home = *home.expect("a home").0;
                self.user.handle_control(now, home, &response(POOL, bits, true));
            }
            _ => self.apply_to_session(step),
        }
        let cause = match step {
            Step::GiveUp(_) | Step::FailElement(_) => Some(LossReason::GivenUp),
            Step::Move(..) => Some(LossReason::Moved),
            _ => None,
        };
        self.look(cause);
        self.given_up.clear();
        if !matches!(step, Step::Timer | Step::Half | Step::PollAction | Step::PollEvent) {
            // A command or a word of a peer may lead to a call or two of its own.
            self.calls_at_once = 0;
        }
    }

    /// Asks for a pool; the answer has to come in time.
    pub(super) fn resolve(&mut self, handle: &str) {
        let request = self.user.resolve(self.now, handle).expect("few requests");
        let until = self.now + self.rules.config.resolution.request_deadline;
        assert!(self.requests.insert(request, until).is_none(), "{request:?} twice");
    }

    fn report(&mut self, number: u32) {
        let Some(pool) = self.user.find_pool(POOL.as_bytes()) else { return };
        let element = PeIdentifier::new(number);
        let _ = self.user.pool_mut(self.now, pool).unwrap().select(&[]);
        if self.user.pool_mut(self.now, pool).unwrap().report_unreachable(element).is_ok() {
            self.mark(number);
        }
    }

    /// An element has failed.
    pub(super) fn mark(&mut self, element: u32) {
        let is_marked = self.marks.get(&element).is_some_and(|until| *until > self.now);
        let is_up = |channel: &Channel| channel.up && channel.element() == Some(element);
        if self.channels.values().any(is_up) {
            self.contested.insert(element);
        }
        if !is_marked {
            self.marks.insert(element, self.now + self.rules.config.cache.failure_mark);
            self.reports_due += 1;
        }
    }

    pub(super) fn shut_down(&mut self) {
        self.user.shut_down(self.now);
        self.shut_down = true;
        self.subscribed = false;
        self.sessions_close();
    }

    pub(super) fn nth(&self, k: usize) -> (ChannelId, &Channel) {
        let (id, channel) = self.channels.iter().nth(k).expect("a channel");
        (*id, channel)
    }

    /// Says that a channel is up.
    pub(super) fn opened(&mut self, k: usize) {
        let id = self.nth(k).0;
        self.channel_up(id);
        self.user.handle_opened(self.now, id, Authentication::None);
    }

    /// Says that a channel is no more.
    pub(super) fn channel_ends(&mut self, k: usize, reason: CloseReason) {
        let id = self.nth(k).0;
        self.channel_lost(id, reason);
        if self.channels[&id].gone {
            self.crossed.insert(id);
        }
        self.forget(id);
        self.user.handle_closed(self.now, id, reason);
    }

    fn forget(&mut self, id: ChannelId) {
        if self.channels.get(&id).is_some_and(|c| matches!(c.peer, Peer::Registrar(_)) && c.up) {
            let again = self.reported.iter().filter(|at| self.now.since(**at) <= RESEND);
            self.reports_due += again.count() as u64;
            self.reported.clear();
        }
        self.asked.retain(|(on, _)| *on != id);
        self.channels.remove(&id);
    }

    fn take_asked(&mut self, k: usize) -> (ChannelId, String) {
        let asked = self.asked.iter().nth(k).expect("a request").clone();
        self.asked.remove(&asked);
        asked
    }

    /// A registrar answers; it grants updates to whoever wants them.
    pub(super) fn answer(&mut self, k: usize, bits: u8) {
        let (channel, handle) = self.take_asked(k);
        let granted = self.subscribed && handle == POOL;
        self.user.handle_control(self.now, channel, &response(&handle, bits, granted));
    }

    /// When something is due next, other than what the driver has not polled.
    fn next_deadline(&self) -> Option<Instant> {
        let next = self.user.poll_timeout();
        if next.is_none_or(|at| at > self.now) {
            return next;
        }
        let mut polled = self.user.clone();
        while polled.poll_action().is_some() {}
        polled.poll_timeout()
    }

    /// Lets time pass to the next deadline; says whether there is any.
    pub(super) fn pass_to_deadline(&mut self) -> bool {
        let next = self.next_deadline();
        next.map(|at| self.pass(at.since(self.now))).is_some()
    }

    /// Lets time pass to the next deadline, but no further than this.
    pub(super) fn pass_until(&mut self, until: Instant) {
        let next = self.next_deadline().map_or(until, |next| next.min(until));
        self.pass(next.since(self.now));
    }

    fn pass(&mut self, time: Duration) {
        let at = self.now + time;
        self.sessions_wait(time);
        self.calls_at_once = if time.is_zero() { self.calls_at_once } else { 0 };
        self.now = at;
        self.user.handle_timeout(at);
        self.prove_stable();
        self.look(Some(LossReason::TimedOut));
        self.say(|| format!("  at {at:?}"));
    }

    /// Polls and reads everything there is, and looks whether all of it fits.
    pub(super) fn settle(&mut self) {
        self.look(None);
        for _ in 0..MANY_POLLS {
            let acts = self.act();
            let reads = self.read();
            if acts || reads {
                continue;
            }
            let next = self.user.poll_timeout();
            if next.is_none_or(|at| at > self.now) {
                return self.check();
            }
            self.pass(Duration::ZERO);
        }
        panic!("it has something to do without end");
    }

    /// Carries out what the driver is to do next.
    pub(super) fn act(&mut self) -> bool {
        let due = self.user.poll_timeout();
        let Some(action) = self.user.poll_action() else { return false };
        let is_due = due.is_some_and(|at| at <= self.now);
        assert!(is_due, "{action:?} waits, and due is {due:?}");
        self.say(|| format!("  {action:?}"));
        match action {
            Action::Open { channel, peer, to, .. } => self.open(channel, peer, &to),
            Action::Close { channel } => {
                self.look(None);
                let known = self.channels.get(&channel).map(|known| known.gone);
                let crossed = self.crossed.remove(&channel);
                assert!(known == Some(true) || crossed, "{channel:?} is closed: {known:?}");
                self.forget(channel);
            }
            Action::Send { channel, payload } => self.send(channel, payload),
        }
        self.look(None);
        true
    }

    fn open(&mut self, id: ChannelId, kind: PeerKind, to: &Transport) {
        assert!(self.heard_of.insert(id), "{id:?} twice");
        let Some(SocketAddr::V4(at)) = to.socket_addrs().next() else { panic!("{to:?}") };
        let [_, net, host] = [0, 2, 3].map(|at_byte: usize| at.ip().octets()[at_byte]);
        let peer = match kind {
            PeerKind::Registrar => Peer::Registrar(host),
            PeerKind::Element => Peer::Element(host.into()),
        };
        assert_eq!(net, u8::from(kind == PeerKind::Element), "{kind:?} at {to:?}");
        if kind == PeerKind::Registrar {
            let others = self.channels.values().filter(|channel| !channel.gone);
            let others = others.filter(|channel| matches!(channel.peer, Peer::Registrar(_)));
            let others: Vec<_> = others.map(|channel| channel.peer).collect();
            assert!(others.len() < 3, "a fourth channel to registrars");
            assert!(!others.contains(&peer), "two channels to {peer:?}");
        }
        let due = self.now + self.rules.config.sessions.connect_timeout;
        let due = (kind == PeerKind::Element).then_some(due);
        let session = self.user.session_of(id);
        let session = session.map(|id| self.session(id));
        self.channels.insert(id, Channel { session, due, ..Channel::new(peer) });
        self.look(None);
        if let Some(session) = session {
            self.called(session, peer);
        }
    }

    fn send(&mut self, id: ChannelId, payload: Payload) {
        let channel = self.channels.get_mut(&id).expect("a channel to send on");
        assert!(channel.up, "{payload:?} on a channel that is not up");
        assert!(!channel.gone, "{payload:?} on a channel that the machine has let go of");
        let is_first = !core::mem::replace(&mut channel.talked, true);
        let echo = channel.echo.take();
        let is_registrar = matches!(channel.peer, Peer::Registrar(_));
        let bytes = match payload {
            Payload::Data { message, data, .. } => {
                assert_eq!(echo, None, "data before the cookie");
                assert!(!is_registrar, "data to a registrar");
                return self.handed_over(id, message, &data);
            }
            Payload::Control(bytes) => bytes,
        };
        let message = Message::decode(&bytes).expect("a message that can be decoded");
        match message.body {
            Body::CookieEcho { cookie } => {
                if !self.echoed_to_chosen(id, &cookie) {
                    assert!(is_first, "a cookie that is not the first on its channel");
                    assert_eq!(Some(cookie), echo, "the cookie");
                }
            }
            body => {
                assert_eq!(echo, None, "{body:?} before the cookie");
                match body {
                    Body::HandleResolution { handle, .. } => {
                        assert!(is_registrar, "an element is asked");
                        let handle = String::from_utf8_lossy(handle.as_bytes()).to_string();
                        self.asked.insert((id, handle));
                    }
                    Body::EndpointUnreachable { .. } => {
                        assert!(is_registrar, "a report to an element");
                        self.reports += 1;
                        self.reported.push(self.now);
                        assert!(self.reports <= self.reports_due, "a report without a failure");
                    }
                    Body::BusinessCard { .. } => assert!(!is_registrar, "a card to a registrar"),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// Reads what the application is to know next.
    pub(super) fn read(&mut self) -> bool {
        let Some(event) = self.user.poll_event() else { return false };
        self.say(|| format!("  {event:?}"));
        match event {
            Event::RegistrarFound { .. }
            | Event::RegistrarLost
            | Event::NoRegistrarKnown
            | Event::NoRegistrarReachable => {}
            Event::Resolved { request, .. } => {
                assert!(self.requests.remove(&request).is_some(), "an answer to nothing");
            }
            Event::ResolutionFailed { request, handle, error } => {
                assert!(self.requests.remove(&request).is_some(), "an answer to nothing");
                let is_new = self.fair && handle.as_bytes() == PROBE.as_bytes();
                assert!(!is_new, "fair, and yet a new request fails: {error:?}");
            }
            Event::PoolChanged { .. } => assert!(self.subscribed, "a change that nobody wants"),
            Event::SubscriptionEnded { .. } => {
                assert!(self.subscribed, "the end of no subscription");
                self.subscribed = false;
            }
            event => self.read_of_session(event),
        }
        self.look(None);
        true
    }

    /// Looks which channels the machine has let go of, and why.
    fn look(&mut self, cause: Option<LossReason>) {
        let there: BTreeSet<_> = self.user.channel_ids().collect();
        let left = self.channels.iter().filter(|(id, c)| !c.gone && !there.contains(id));
        let left: Vec<_> = left.map(|(id, _)| *id).collect();
        for id in left {
            self.channel_left(id, cause);
            if let Some(channel) = self.channels.get_mut(&id) {
                channel.gone = true;
                channel.echo = None;
            }
        }
        let mut adopted = Vec::new();
        for (s, session) in self.sessions.iter().enumerate() {
            let kept = self.user.kept_channel(session.id);
            let of_session = self.channels.iter_mut().filter(|(_, c)| c.session == Some(s));
            for (id, channel) in of_session.filter(|(_, channel)| !channel.gone) {
                let was_kept = core::mem::replace(&mut channel.kept, kept == Some(*id));
                if channel.kept && !was_kept && channel.up {
                    adopted.push(*id);
                }
            }
        }
        adopted.into_iter().for_each(|id| self.adopted(id));
    }

    /// What has to hold whenever everything was polled and read.
    fn check(&self) {
        let known = self.channels.values().filter(|channel| !channel.gone).count();
        assert_eq!(known, self.user.channel_count(), "channels that nobody knows");
        assert_eq!(self.user.stats().misuses, 0, "this driver makes no mistake");
        assert!(self.channels.values().all(|c| !c.gone), "a channel that is not closed");
        for (request, until) in &self.requests {
            assert!(*until > self.now, "{request:?} has not ended in time");
        }
        let of_registrars =
            || self.channels.values().filter(|channel| matches!(channel.peer, Peer::Registrar(_)));
        let homes = of_registrars().filter(|channel| channel.up).count();
        assert_eq!(
            homes,
            usize::from(self.user.registrars().home().is_some()),
            "homes that are up"
        );
        let waits = !self.requests.is_empty()
            || self.subscribed && self.user.registrars().iter().count() > 0;
        let seeks = self.user.registrars().home_search() != HomeSearch::Idle;
        assert!(!waits || seeks, "somebody waits for a registrar, and it looks for none");
        if let Some(pool) = self.user.find_pool(POOL.as_bytes()) {
            let pool = self.user.pool(pool).expect("a pool that was found");
            for element in pool.elements() {
                let number = element.identifier().get();
                if self.contested.contains(&number) {
                    continue;
                }
                let marked = self.marks.get(&number).is_some_and(|until| *until > self.now);
                let is = pool.is_marked(self.now, element.identifier());
                assert_eq!(is, marked, "whether element {number} is marked");
            }
        }
        if self.user.is_shut_down() {
            assert_eq!(self.user.poll_timeout(), None, "shut down, and it waits for something");
            assert!(self.channels.is_empty(), "shut down, and there are channels");
        }
        self.check_sessions();
    }

    /// What the driver tells of messages.
    pub(super) fn confirms(&self) -> Confirms {
        self.rules.capabilities.confirms(Protocol::Tcp)
    }

    pub(super) fn has_control(&self) -> bool {
        self.rules.capabilities.separates_control(Protocol::Tcp)
    }
}

impl Channel {
    pub(super) const fn new(peer: Peer) -> Self {
        Self {
            peer,
            session: None,
            kept: false,
            up: false,
            due: None,
            gone: false,
            doomed: false,
            talked: false,
            echo: None,
            cookie: None,
            answers: false,
            proven: false,
            unwritten: Vec::new(),
            undelivered: Vec::new(),
            last: None,
        }
    }

    /// The element at the other end, if it is one.
    pub(super) const fn element(&self) -> Option<u32> {
        match self.peer {
            Peer::Element(number) => Some(number),
            _ => None,
        }
    }
}
