//! The whole machine under any calls at all: legal and illegal ones, from all three sides, in any
//! order, peers that send anything, and time that advances, stands still and jumps.
//!
//! A driver that does what it is told and an application that remembers what it asked for keep
//! books ([`driver`], [`application`], [`session`], [`messages`]), which say of each output whether
//! it may come, and when nothing is left to be polled, whether something was left out. Between the
//! steps the bounds hold and the deadlines are honest, and once everything is shut down it all
//! ends.

mod application;
mod commands;
mod driver;
mod messages;
mod network;
mod session;
mod setup;
mod step;

use core::fmt::Debug;
use core::time::Duration;
use std::collections::BTreeMap;

use arbitrary::Unstructured;
use asap_pu::wire::PeIdentifier;
use asap_pu::{
    Action, Authentication, ChannelId, CommandError, Event, Instant, MessageId, Payload, PeerKind,
    Pool, PoolId, PoolUser, RequestId, SessionId, Stats, TimerKind,
};
use bytes::Bytes;

use self::application::Application;
use self::driver::{Channel, Driver};
use self::session::Session;
use self::setup::{Compared, Setup};
use self::step::Step;

/// The steps of one run. Longer ones find nothing that shorter ones do not.
const STEPS: usize = 200;

/// Lives through the calls that `data` tells.
pub(crate) fn live(data: &[u8]) {
    counted(data);
}

/// The same; what was counted meanwhile.
pub(crate) fn counted(data: &[u8]) -> Stats {
    told(data).map_or_else(Stats::default, |(setup, steps)| run(&setup, &steps))
}

/// What the bytes say.
pub(crate) fn told(data: &[u8]) -> Option<(Setup, Vec<Step>)> {
    let mut u = Unstructured::new(data);
    let setup = u.arbitrary::<Setup>().ok()?;
    let mut steps: Vec<Step> = Vec::new();
    while !u.is_empty() && steps.len() < STEPS {
        let Ok(step) = u.arbitrary() else { break };
        steps.push(step);
    }
    Some((setup, steps))
}

/// Lives through these calls.
pub(crate) fn run(setup: &Setup, steps: &[Step]) -> Stats {
    let run = |order| World::new(setup, order).live(steps);
    match setup.compared {
        Compared::Alone => run(Order::AsTold).1,
        Compared::WithItself => {
            let told = run(Order::AsTold);
            // Notes are no part of what happens: the same without.
            let mut unnoted = setup.clone();
            unnoted.config.limits.max_notes = 0;
            let again = World::new(&unnoted, Order::AsTold).live(steps);
            assert!(told == again, "[CORE-2] [CORE-15] the same to the byte");
            told.1
        }
        Compared::InAnyOrder => {
            let (told, stats) = run(Order::ActionsFirst);
            compare(&told, &run(Order::EventsFirst).0);
            compare(&told, &run(Order::InTurn).0);
            stats
        }
    }
}

/// A number for each call: what happened at a lower one happened before.
type Moment = u64;

/// In which order the outputs are polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// As the steps say, also one at a time.
    AsTold,
    /// Until there is nothing left: first all actions, then all events, and again.
    ActionsFirst,
    EventsFirst,
    /// The same, one of each.
    InTurn,
}

/// What an output is about. Between those of different subjects there is no order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Channel(ChannelId),
    Session(SessionId),
    Request(RequestId),
    /// Copies go out on channels of their own. Each session counts its messages from 0.
    Copy(SessionId, MessageId, Option<PeIdentifier>),
    Pool(PoolId),
    Subscriptions,
    Registrars,
    /// The order in which names of one kind fell free, those of sessions with their channels.
    Freed(&'static str),
}

/// What came out from one settling to the next.
type Outputs = BTreeMap<Subject, Vec<Output>>;

/// What can be polled.
#[derive(Debug, Clone, PartialEq)]
enum Output {
    Action(Action),
    Event(Event),
}

/// A pool user, a driver and an application.
struct World {
    pu: PoolUser,
    /// The time, and the latest that was handed in.
    now: Instant,
    latest: Instant,
    is_late: bool,
    order: Order,
    driver: Driver,
    application: Application,
    /// How many calls there were.
    moment: Moment,
    /// What was made up so far, each under a number of its own.
    made: u32,
    /// The most sessions that there were at once.
    most_alive: usize,
    outputs: Vec<Outputs>,
    is_compared: bool,
}

impl World {
    fn new(setup: &Setup, order: Order) -> Self {
        Self {
            pu: PoolUser::new(setup.config.clone(), setup.capabilities, setup.seed)
                .expect("a valid configuration"),
            now: Instant::EPOCH,
            latest: Instant::EPOCH,
            is_late: false,
            order,
            driver: Driver::new(setup.capabilities),
            application: Application::default(),
            moment: 0,
            made: 0,
            most_alive: 0,
            outputs: vec![Outputs::new()],
            is_compared: setup.compared != Compared::Alone,
        }
    }

    fn live(mut self, steps: &[Step]) -> (Vec<Outputs>, Stats) {
        for step in steps {
            self.step(step);
            self.is_bounded();
        }
        // When the last channel to a registrar is closed depends on who polled last.
        self.is_compared = false;
        let compared = self.outputs.len();
        self.finish();
        self.outputs.truncate(compared);
        (self.outputs, *self.pu.stats())
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Wait | Step::Jump(_) | Step::Late(_) => self.clock(step),
            Step::PollAction if self.order == Order::AsTold => drop(self.act()),
            Step::PollEvent if self.order == Order::AsTold => drop(self.hear()),
            Step::PollAction | Step::PollEvent => {}
            Step::Settle => self.settle(),
            _ => {
                let now = self.time();
                if !self.command(now, step) && !self.drive(now, step) {
                    self.peer(now, step);
                }
            }
        }
    }

    /// Another call.
    fn happens(&mut self) -> Moment {
        self.moment += 1;
        self.moment
    }

    /// The time as the caller believes it to be.
    fn time(&mut self) -> Instant {
        let late = if self.is_late { 3_000_000_000 } else { 0 };
        let now = Instant::from_nanos(self.now.as_nanos().saturating_sub(late));
        self.latest = self.latest.max(now);
        now
    }
}

/// The clock.
impl World {
    fn clock(&mut self, step: &Step) {
        match *step {
            Step::Wait => match self.pu.next_timer() {
                // The driver is busy elsewhere.
                Some((_, TimerKind::Action)) => {
                    self.now += Duration::from_secs(1);
                    self.tick();
                }
                Some((at, _)) => {
                    let before = Instant::from_nanos(at.as_nanos().saturating_sub(1));
                    if before > self.latest.max(self.now) {
                        let mut stats = *self.pu.stats();
                        self.now = before;
                        self.tick();
                        // Time alone can show that the driver does not do what it should.
                        stats.misuses = self.pu.stats().misuses;
                        let after = (self.pu.poll_timeout(), *self.pu.stats());
                        assert_eq!(after, (Some(at), stats), "before its time");
                    }
                    self.now = self.now.max(at);
                    self.tick();
                }
                None => {}
            },
            Step::Jump(by) => {
                // Up to four seconds, to nine minutes, or to a day.
                let most = u64::from(by >> 13) + if by % 64 == 63 { 8 } else { 0 };
                self.now += Duration::from_millis(u64::from(by % 0x1000) << most);
                self.tick();
            }
            Step::Late(late) => self.is_late = late,
            _ => {}
        }
    }

    /// [CORE-4]: what is due is done, and nothing is due again at once.
    fn tick(&mut self) {
        let (before, at) = (self.latest, self.happens());
        self.latest = self.latest.max(self.now);
        let Self { pu, driver, application, latest, .. } = self;
        for session in application.alive_mut() {
            session.passes(*latest - before, driver);
        }
        driver.passes(*latest, pu.config(), at);
        self.sees_progress();
        self.pu.handle_timeout(self.now);
        let next = self.pu.next_timer();
        assert_eq!(self.pu.poll_timeout(), next.map(|(at, _)| at));
        let next = next.filter(|(_, kind)| *kind != TimerKind::Action);
        let is_later = next.is_none_or(|(at, _)| at > self.latest);
        assert!(is_later, "a deadline that stays is a spin: {next:?}");
    }
}

/// Outputs.
impl World {
    /// Polls until there is nothing more to do at this time.
    fn settle(&mut self) {
        self.tick();
        self.application.read = 0;
        for _ in 0..100 {
            match self.order {
                Order::AsTold | Order::ActionsFirst => {
                    while self.act() {}
                    while self.hear() {}
                }
                Order::EventsFirst => {
                    while self.hear() {}
                    while self.act() {}
                }
                Order::InTurn => while self.hear() | self.act() {},
            }
            if self.act() || self.hear() {
                continue;
            }
            if self.pu.poll_timeout().is_none_or(|at| at > self.latest) {
                return self.is_settled();
            }
            // What it opens now takes names that fell free before.
            self.outputs.push(Outputs::new());
            self.tick();
        }
        panic!("it never settles");
    }

    /// [CORE-4] [CORE-8]: the same time again changes nothing, and nobody is kept waiting.
    fn is_settled(&mut self) {
        let before = (self.pu.poll_timeout(), *self.pu.stats());
        self.tick();
        assert!(self.pu.poll_action().is_none() && self.pu.poll_event().is_none());
        assert_eq!(before, (self.pu.poll_timeout(), *self.pu.stats()));
        assert!(self.application.read <= self.pu.config().limits.max_unread_bytes, "[CORE-9]");
        self.driver.gives_up_in_time(self.latest, self.pu.config());
        self.application.is_settled(self.latest, &self.pu, &self.driver);
        self.application.alive_mut().for_each(Session::has_read_all);
        assert_eq!(self.driver.live.len(), self.pu.channel_count(), "nobody's channel");
        let mut live = self.driver.live.values();
        let leads_to_elements = live.any(|channel| channel.peer == PeerKind::Element);
        assert!(!leads_to_elements || self.application.alive().next().is_some(), "[SESSION-13]");
        for view in self.pu.sessions().filter_map(|session| self.pu.session(session)) {
            let wakes = self.pu.poll_timeout();
            let in_time = |(at, _)| wakes.is_some_and(|wakes| wakes <= at);
            assert!(view.next_step().is_none_or(in_time), "[CORE-10] {wakes:?} for {view:?}");
        }
        self.outputs.push(Outputs::new());
    }

    /// Writes down what came out, where it is compared with another run.
    fn tell(&mut self, subject: Subject, output: Output) {
        if self.is_compared {
            let outputs = self.outputs.last_mut().expect("never empty");
            outputs.entry(subject).or_default().push(output);
        }
    }

    /// Carries out one action; says whether there was one.
    fn act(&mut self) -> bool {
        let due = self.pu.poll_timeout().is_some_and(|at| at <= self.latest);
        let Some(action) = self.pu.poll_action() else { return false };
        assert!(due, "[CORE-12] nobody wakes up for {action:?}");
        let at = self.happens();
        let Self { pu, driver, application, latest, .. } = self;
        let config = pu.config();
        let channel = match &action {
            Action::Open { channel, peer, to, security, .. } => {
                let opened = driver.open(config, *latest, *channel, *peer, to, security);
                let sole = application.sole(config).filter(|_| *peer == PeerKind::Element);
                if let Some(session) = sole {
                    opened.owner = Some(session);
                    let listed = application.listed.len();
                    application.session(session).calls(*latest, config, listed);
                }
                *channel
            }
            Action::Send { channel, payload, .. } => {
                assert!(driver.live.get(channel).is_some_and(|it| it.up), "a channel that is up");
                match payload {
                    Payload::Control(bytes) => driver.control(config, *channel, bytes),
                    Payload::Data { message, data, unordered, .. } => {
                        let session = u16::from_be_bytes([data[4], data[5]]);
                        let session = &mut application.sessions[usize::from(session)];
                        let sent = (*message, data, *unordered);
                        session.handed_over(driver, config, at, sent, *channel);
                    }
                    other => panic!("{other:?}"),
                }
                *channel
            }
            Action::Close { channel, .. } => {
                let owner = driver.live.get(channel).and_then(|closed| closed.owner);
                application.channel_ended(owner, *channel);
                driver.close(*channel);
                let channel = *channel;
                self.tell(Subject::Freed("sessions"), Output::Action(action.clone()));
                channel
            }
            other => panic!("{other:?}"),
        };
        self.tell(Subject::Channel(channel), Output::Action(action));
        true
    }

    /// Reads one event; says whether there was one.
    fn hear(&mut self) -> bool {
        let Some(event) = self.pu.poll_event() else { return false };
        let at = self.happens();
        self.application.hear(self.latest, at, &self.pu, &mut self.driver, &event);
        let subject = Subject::of(&event);
        let freed = match event {
            Event::SessionEnded { .. } => Some("sessions"),
            Event::Resolved { .. } | Event::ResolutionFailed { .. } => Some("requests"),
            _ => None,
        };
        let output = Output::Event(event);
        if let Some(kind) = freed {
            self.tell(Subject::Freed(kind), output.clone());
        }
        self.tell(subject, output);
        true
    }

    /// A channel that has been up for long enough is progress.
    fn sees_progress(&mut self) {
        let Self { pu, driver, application, latest, .. } = self;
        for session in application.alive_mut() {
            let is_stable = |(_, it): (ChannelId, &Channel)| it.is_stable(*latest, pu.config());
            if driver.channels_of(session.id).any(is_stable) {
                session.progressed(*latest);
            }
        }
    }

    /// [CORE-6] [CACHE-6] [RES-15] [REPORT-4]
    fn is_bounded(&mut self) {
        self.most_alive = self.most_alive.max(self.application.alive().count());
        let (pu, config) = (&self.pu, self.pu.config());
        let (alive, requests) = (self.application.alive().count(), &self.application.requests);
        assert!(pu.notes().len() <= config.limits.max_notes, "[CORE-15]");
        assert!(requests.len() <= config.limits.max_requests);
        assert!(alive <= config.limits.max_sessions);
        // Where sessions hold, or held, all others, one is kept beside the limits.
        let pools = pu.pools().count();
        let fits =
            pools <= config.limits.max_pools && pu.cache_bytes() <= config.limits.max_cache_bytes;
        assert!(fits || pools <= self.most_alive + 1, "[CACHE-6]");
        assert!(pu.pools().all(|(_, pool)| pool.elements().len() <= config.limits.max_elements));
        assert!(pu.registrars().iter().count() <= 7 + config.limits.max_announced);
        let mut sessions: Vec<_> = pu.sessions().collect();
        sessions.sort_unstable();
        let mut known: Vec<_> = self.application.alive().map(|it| it.id).collect();
        known.sort_unstable();
        assert_eq!(sessions, known);
        for session in self.application.alive() {
            let queued = pu
                .session(session.id)
                .map(|session| session.queued())
                .expect("a session that is not over");
            assert!(queued <= config.limits.max_queued_messages);
            let cookie =
                pu.session(session.id).and_then(|session| session.cookie()).map_or(0, Bytes::len);
            assert!(cookie <= config.limits.max_cookie_len);
        }
        // A session may have a channel to each element.
        assert!(pu.channel_count() <= 3 + alive * 7);
        let mut listed =
            pu.pools().flat_map(|(_, pool)| pool.elements().map(move |it| (pool, it.identifier())));
        let is_fair = |(pool, it): (&Pool, PeIdentifier)| {
            !pool.is_marked(self.latest, it) || self.driver.has_blamed(it)
        };
        assert!(listed.all(is_fair), "[REPORT-7] [REPORT-9] marked without a reason");
        self.driver.is_moderate(self.latest, config, pu.stats());
    }

    /// [CORE-11]: the driver and the application catch up, everything is shut down, and it all
    /// ends.
    fn finish(&mut self) {
        self.is_late = false;
        self.command(self.latest, &Step::ShutDown);
        for _ in 0..1_000 {
            self.settle();
            if self.pu.poll_timeout().is_none() {
                break;
            }
            self.clock(&Step::Wait);
        }
        assert!(self.application.requests.is_empty() && self.application.alive().next().is_none());
        assert_eq!((self.pu.poll_timeout(), self.pu.channel_count()), (None, 0));
        assert!(self.pu.is_shut_down() && self.driver.live.is_empty());

        let now = self.latest + Duration::from_secs(100);
        assert_eq!(self.pu.resolve(now, "a"), Err(CommandError::ShuttingDown));
        for n in 0..self.driver.known.len().min(9) as u8 {
            self.drive(now, &Step::Opened { n, authentication: Authentication::Verified });
            self.peer(now, &Step::Data { n, len: 1 });
            self.peer(now, &Step::Announce { n, listed: true });
        }
        self.pu.registrars_mut(now).find_home();
        self.pu.handle_timeout(now);
        assert!(self.pu.poll_action().is_none() && self.pu.poll_event().is_none());
        assert_eq!(self.pu.poll_timeout(), None);
    }
}

impl Subject {
    fn of(event: &Event) -> Self {
        match *event {
            Event::Resolved { request, .. } | Event::ResolutionFailed { request, .. } => {
                Self::Request(request)
            }
            Event::PoolChanged { pool, .. } => Self::Pool(pool),
            Event::SubscriptionEnded { .. } => Self::Subscriptions,
            Event::CopyResult { session, message, element, .. } => {
                Self::Copy(session, message, element)
            }
            Event::Connected { session, .. }
            | Event::ElementLost { session, .. }
            | Event::FailedOver { session, .. }
            | Event::Received { session, .. }
            | Event::Dropped { session, .. }
            | Event::CookieTooLong { session, .. }
            | Event::CookieEchoed { session, .. }
            | Event::Writable { session, .. }
            | Event::Sent { session, .. }
            | Event::Returned { session, .. }
            | Event::Lost { session, .. }
            | Event::SessionEnded { session, .. } => Self::Session(session),
            _ => Self::Registrars,
        }
    }
}

impl Output {
    fn opens(&self) -> bool {
        matches!(self, Self::Action(Action::Open { .. }))
    }

    /// Whether it tells how things stand with a session that goes on.
    fn is_news(&self) -> bool {
        matches!(
            self,
            Self::Event(
                Event::Connected { .. }
                    | Event::ElementLost { .. }
                    | Event::FailedOver { .. }
                    | Event::Writable { .. }
            )
        )
    }

    /// Its name.
    fn kind(&self) -> String {
        let kind = format!("{self:?}");
        kind.split(' ').next().unwrap_or_default().to_owned()
    }
}

/// Two runs have the same to say about each subject. Of a session that has ended meanwhile it need
/// not be told how things stood.
///
/// Names are given again in the order in which they fell free, and sessions turn to elements in the
/// order in which they were told. From where that differs, runs are not to be compared.
fn compare(one: &[Outputs], other: &[Outputs]) {
    let told = |outputs: &Outputs, subject| {
        let mut told: Vec<Output> = outputs.get(subject).cloned().unwrap_or_default();
        if let Some(Output::Event(Event::SessionEnded { .. })) = told.last() {
            told.retain(|output| !output.is_news());
        }
        // How often it was told that data was dropped depends on who asks, and when a report goes on
        // how many went before.
        told.retain(|output| {
            !matches!(
                output,
                Output::Event(Event::Dropped { .. })
                    | Output::Action(Action::Send { payload: Payload::Control(_), .. })
            )
        });
        // Events of different kinds come in the order in which they are asked for.
        told.sort_by_key(Output::kind);
        // A channel that ends takes with it what the driver has not come to, all of it if that has
        // not heard of the channel.
        let is_new = told.iter().any(Output::opens);
        if is_new && told.iter().any(|it| matches!(it, Output::Action(Action::Close { .. }))) {
            told.clear();
        }
        told
    };
    let is_freed = |subject: &Subject| matches!(subject, Subject::Freed(_));
    let opened = |outputs: &Outputs| -> Vec<Output> {
        outputs.values().flatten().filter(|output| output.opens()).cloned().collect()
    };
    for (one, other) in one.iter().zip(other) {
        if opened(one) != opened(other) {
            return;
        }
        let (mut freed, told_of): (Vec<_>, Vec<_>) =
            one.keys().chain(other.keys()).partition(|subject| is_freed(subject));
        for it in told_of {
            assert_eq!(told(one, it), told(other, it), "{it:?}");
        }
        if freed.drain(..).any(|kind| one.get(kind) != other.get(kind)) {
            return;
        }
    }
    assert_eq!(one.len(), other.len());
}

/// One of several, whatever the number.
fn nth<T>(mut all: impl Iterator<Item = T> + Clone, n: u8) -> Option<T> {
    let count = all.clone().count();
    all.nth(usize::from(n).checked_rem(count)?)
}
