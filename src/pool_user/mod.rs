//! The pool user: routes between the network, the application, the clock and the four machines.
//!
//! The machines do not know each other. What one needs of another passes through here, most of it
//! as a state that is compared rather than as a message that could be lost: whether anyone waits
//! for a registrar, and which channel leads to the home. [`PoolUser::route`] brings all of that up
//! to date after every input.

mod network;
mod pools;
mod registrars;
mod sessions;

use core::fmt;

pub use self::pools::PoolMut;
pub use self::registrars::{RegistrarsMut, RegistrarsRef};
pub use self::sessions::SessionMut;
use crate::cache::{Cache, Freshness};
#[cfg(test)]
use crate::channel::ChannelUser;
use crate::channel::{Action, Authentication, Next, Payload};
use crate::config::StaleAnswers;
use crate::context::Context;
use crate::error::ResolveError;
use crate::event::{Entry, Event};
#[cfg(test)]
use crate::explorer::{Kind, fingerprint};
#[cfg(test)]
use crate::id::ChannelId;
use crate::id::{PoolId, RequestId, SessionId};
use crate::journal::{Note, NoteKind};
use crate::pool::{Change, Pool};
use crate::registrar::{self, Home, Registrars};
use crate::report::Reports;
use crate::resolver::{self, Resolver, Route};
#[cfg(test)]
use crate::session::Sessions;
use crate::session::{self, Env, SessionLevel};
#[cfg(test)]
use crate::slab::Key;
use crate::slab::Slab;
use crate::timers::TimerKind;
#[cfg(test)]
use crate::wire::PeIdentifier;
use crate::wire::PoolHandle;
use crate::{Capabilities, Config, ConfigError, Instant, Stats};

/// A pool user: resolves pool handles, selects pool elements, and keeps sessions alive across their
/// failures.
///
/// It does no I/O. The program around it, the *driver*, owns sockets and a clock, says what it can do
/// ([`Capabilities`]), and connects itself and the application to three ways in and three ways out:
///
/// | | in | out |
/// |---|---|---|
/// | network | `handle_opened`, `handle_closed`, `handle_control`, `handle_stream`, `handle_data`, `handle_announce`, `handle_written`, `handle_delivered`, `handle_unsent`, `handle_control_unsent` | [`poll_action`](Self::poll_action) |
/// | application | the commands, below | [`poll_event`](Self::poll_event) |
/// | clock | [`handle_timeout`](Self::handle_timeout) | [`poll_timeout`](Self::poll_timeout) |
///
/// | what for | commands | to look at |
/// |---|---|---|
/// | registrars | [`registrars_mut`](Self::registrars_mut): `find_home`, `add`, `remove` | [`registrars`](Self::registrars) |
/// | pools | [`resolve`](Self::resolve), [`populate`](Self::populate), [`refresh`](Self::refresh), [`cancel`](Self::cancel), [`subscribe`](Self::subscribe), [`unsubscribe`](Self::unsubscribe), [`purge_all`](Self::purge_all) | [`pools`](Self::pools), [`find_pool`](Self::find_pool), [`subscription`](Self::subscription), [`subscriptions`](Self::subscriptions) |
/// | one pool | [`pool_mut`](Self::pool_mut): `select`, `fail_over`, `report_unreachable`, `clear_failure`, … | [`pool`](Self::pool) |
/// | sessions | [`open_session`](Self::open_session), [`open_session_at`](Self::open_session_at), [`accept`](Self::accept), [`set_card`](Self::set_card) | [`sessions`](Self::sessions) |
/// | one session | [`session_mut`](Self::session_mut): `send`, `confirm`, `withdraw`, `give_up`, `move_to`, `close`, … | [`session`](Self::session) |
/// | all of it | [`shut_down`](Self::shut_down) | [`stats`](Self::stats), [`next_timer`](Self::next_timer) |
///
/// Every call that may act on time takes the current time. The polls may be called in any order and
/// as often as one likes; none has to be drained before another call. Time that goes backwards
/// counts as standing still.
///
/// # Why something happened
///
/// Each decision leaves a [`Note`]: who was tried, passed over, marked, left, and for which reason.
/// [`poll_note`](Self::poll_note) hands them out one after the other, for a log; [`notes`](Self::notes)
/// shows the latest, for a dump after the fact.
///
/// # For those who write drivers
///
/// Input is always accepted, so that a driver which breaks a rule gets no error: things only go worse.
/// Each rule that can be broken is a [`Misuse`](crate::Misuse), which is counted
/// ([`Stats::misuses`](crate::Stats::misuses)) and noted. The tests of a driver are strict if they fail at
/// the first, as those in the simulator do:
///
/// ```
/// # use asap_pu::{Capabilities, Config, Instant, NoteKind, PoolUser, wire::Protocol};
/// # let can = Capabilities::NONE.with_registrars(Protocol::Tcp);
/// # let mut pool_user = PoolUser::new(Config::default(), can, 1)?;
/// # pool_user.registrars_mut(Instant::EPOCH).find_home();
/// while let Some(note) = pool_user.poll_note() {
///     assert!(!matches!(note.what, NoteKind::Misused { .. }), "{note}");
/// }
/// # Ok::<(), asap_pu::ConfigError>(())
/// ```
#[cfg_attr(test, derive(Clone))]
pub struct PoolUser {
    ctx: Context,
    registrars: Registrars,
    resolver: Resolver<Waiter>,
    reports: Reports,
    sessions: SessionLevel,
    cache: Cache,
    /// The resolutions that the application asked for and has not heard the end of.
    requests: Slab<PoolHandle>,
    now: Instant,
    ending: Ending,
}

/// Who waits for a resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(test, derive(Hash))]
enum Waiter {
    Request(RequestId),
    Session(SessionId),
    /// Nobody in particular: the cache is to be brought up to date.
    Refresh,
}

/// How far the shutting down is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
enum Ending {
    No,
    Begun,
    Done,
}

/// What the driver and the application can look at.
impl PoolUser {
    /// A pool user that has done nothing yet. Runs with the same configuration, seed and calls are
    /// the same to the byte.
    ///
    /// # Errors
    /// The configuration contradicts itself, or what the driver can do.
    pub fn new(
        mut config: Config,
        capabilities: Capabilities,
        seed: u64,
    ) -> Result<Self, ConfigError> {
        config.validate(&capabilities)?;
        config.discovery.registrars.shrink_to_fit();
        let mut ctx = Context::new(config, capabilities, seed);
        Ok(Self {
            registrars: Registrars::new(&mut ctx),
            resolver: Resolver::new(),
            reports: Reports::new(),
            sessions: SessionLevel::default(),
            cache: Cache::new(),
            requests: Slab::new(),
            now: Instant::EPOCH,
            ending: Ending::No,
            ctx,
        })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.ctx.config
    }

    /// What the driver can do.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.ctx.capabilities
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.ctx.stats
    }

    /// What is known of registrars.
    #[must_use]
    pub const fn registrars(&self) -> RegistrarsRef<'_> {
        RegistrarsRef { machine: &self.registrars, now: self.now }
    }

    /// Commands that concern registrars.
    pub fn registrars_mut(&mut self, now: Instant) -> RegistrarsMut<'_> {
        let now = self.advance(now);
        RegistrarsMut { user: self, now }
    }

    /// Shuts everything down: sessions close in good order, resolutions end, reports go out if a
    /// home registrar is there, then its channel is closed. Once the events of all that are
    /// read, nothing more comes out.
    pub fn shut_down(&mut self, now: Instant) {
        let now = self.advance(now);
        if self.ending != Ending::No {
            return;
        }
        self.ending = Ending::Begun;
        let of_session = |waiter: &Waiter| matches!(waiter, Waiter::Session(_));
        self.resolver.unsubscribe_all();
        self.resolver.fail(&mut self.ctx, &ResolveError::ShutDown, |waiter| !of_session(waiter));
        let (sessions, mut env) = self.session_machine(now);
        sessions.close_all(&mut env);
        self.route(now);
    }

    /// Whether [`shut_down`](Self::shut_down) is done: nothing is left to be polled but events.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.ending == Ending::Done && self.ctx.channels.is_idle()
    }

    /// What was decided and why, as far back as it is kept ([`max_notes`](crate::Limits::max_notes)),
    /// the oldest first, whether or not it was read.
    pub fn notes(&self) -> impl DoubleEndedIterator<Item = &Note> + ExactSizeIterator {
        self.ctx.journal.iter()
    }

    /// How many channels are being set up or are up.
    #[must_use]
    pub fn channel_count(&self) -> usize {
        self.ctx.channels.len()
    }
}

/// Input from the clock.
impl PoolUser {
    /// When [`handle_timeout`](Self::handle_timeout) is to be called next; `None` where nothing is
    /// waited for. While an action waits to be polled, that is now: a loop that sleeps until then
    /// never sleeps on work, in whatever order it polls.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_timer().map(|(at, _)| at)
    }

    /// The same, and what it is for.
    #[must_use]
    pub fn next_timer(&self) -> Option<(Instant, TimerKind)> {
        if self.ctx.channels.has_action() || self.ending == Ending::Begun && self.is_quiet() {
            return Some((self.now, TimerKind::Action));
        }
        if self.ending == Ending::Done {
            return None;
        }
        let of_machines = [
            self.registrars.next_timeout(),
            self.resolver.next_timeout(&self.ctx),
            self.reports.next_timeout(&self.ctx),
            self.sessions.next_timeout().map(|at| (at, TimerKind::Session)),
        ];
        of_machines.into_iter().flatten().min()
    }

    /// Does what is due. Calling it early or late is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        if self.ending == Ending::Done {
            return;
        }
        self.registrars.handle_timeout(now, &mut self.ctx);
        let unreached = match self.registrars.knows_any() {
            true => ResolveError::NoRegistrarReachable,
            false => ResolveError::NoRegistrarKnown,
        };
        self.resolver.handle_timeout(now, &mut self.ctx, &unreached);
        self.reports.handle_timeout(now, &mut self.ctx);
        // A session whose deadline comes together with its resolution's hears the reason, not the
        // consequence.
        self.route(now);
        let (sessions, mut env) = self.session_machine(now);
        sessions.handle_timeout(&mut env);
        self.route(now);
    }
}

/// Output.
impl PoolUser {
    /// What the driver is to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.ctx.watch.polled();
        loop {
            let action = self.next_action();
            if action.is_some() || self.ending != Ending::Begun || !self.is_quiet() {
                return action;
            }
            self.registrars.shut_down(&mut self.ctx);
            self.ending = Ending::Done;
        }
    }

    /// What was decided and why: the next [`Note`] that was not read. Where some were overwritten before
    /// that, [`NoteKind::NotesMissed`] says so first. Unlike the other outputs, this one may be left
    /// alone.
    pub fn poll_note(&mut self) -> Option<Note> {
        self.ctx.journal.poll()
    }

    /// What the application is to know next.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            // These notes stay in front until there is nothing more to say.
            let told = match *self.ctx.events.front()? {
                Entry::Session(session) => {
                    let (sessions, mut env) = self.session_machine(self.now);
                    let event = sessions.next_event(&mut env, session);
                    self.serve_sessions(self.now);
                    event
                }
                Entry::Barred => {
                    let barred = self.registrars.take_barred();
                    barred.map(|transport| Event::RegistrarBarred { transport })
                }
                Entry::Pools => self.cache.take_change().map(|(pool, change)| {
                    let Change { joined, left, altered } = change;
                    Event::PoolChanged { pool, joined, left, altered }
                }),
                Entry::Subscriptions => {
                    let ended = self.resolver.take_ended();
                    ended.map(|(handle, error)| Event::SubscriptionEnded { handle, error })
                }
                _ => None,
            };
            if told.is_some() {
                return told;
            }
            let entry = self.ctx.events.pop()?;
            if !is_wanted(&self.requests, &self.sessions, &entry) {
                continue;
            }
            let event = match entry {
                Entry::Registrar => self.registrars.take_notice(),
                Entry::Barred | Entry::Pools | Entry::Subscriptions => None,
                Entry::Session(_) => None,
                Entry::Ready(event) => Some(event),
            };
            if let Some(Event::Resolved { request, .. } | Event::ResolutionFailed { request, .. }) =
                event
            {
                self.requests.remove(request.0);
            }
            if event.is_some() {
                return event;
            }
        }
    }
}

impl PoolUser {
    /// What the channels and, through them, the sessions have for the driver.
    fn next_action(&mut self) -> Option<Action> {
        loop {
            match self.ctx.channels.poll()? {
                Next::Action(action) => return Some(action),
                Next::Open { action, link } => {
                    let (sessions, env) = self.session_machine(self.now);
                    sessions.called(&env, link);
                    return Some(action);
                }
                Next::Pull { channel, link } => {
                    let (sessions, mut env) = self.session_machine(self.now);
                    if let Some(payload) = sessions.pull(&mut env, link) {
                        self.serve_sessions(self.now);
                        return Some(Action::Send { channel, payload });
                    }
                }
                Next::Report { channel } => {
                    self.withdraw_reports(self.now);
                    if let Some(report) = self.reports.pull(self.now, &mut self.ctx, channel) {
                        self.ctx.channels.touch(channel);
                        let payload = Payload::Control(report);
                        return Some(Action::Send { channel, payload });
                    }
                }
            }
        }
    }

    /// A request or session was taken away, of which something may be queued.
    fn forget_events(&mut self) {
        let Self { ctx, requests, sessions, .. } = self;
        ctx.events.forget(|entry| is_wanted(requests, sessions, entry));
    }

    /// The session machine, and what its steps may use.
    const fn session_machine(&mut self, now: Instant) -> (&mut SessionLevel, Env<'_>) {
        let Self { sessions, ctx, cache, .. } = self;
        (sessions, Env { now, ctx, cache })
    }

    /// Does what sessions need, if they need anything; what they heard may prove an element well whose
    /// report waits.
    fn serve_sessions(&mut self, now: Instant) {
        if self.sessions.needs_any() || self.reports.is_waiting() {
            self.route(now);
        }
    }

    /// The time never goes back.
    fn advance(&mut self, now: Instant) -> Instant {
        self.ctx.time_passes(self.now, now);
        self.now = self.now.max(now);
        self.now
    }

    /// Brings the machines up to date with each other: serves what they need, then compares what
    /// they know, from which more may follow.
    fn route(&mut self, now: Instant) {
        while self.ending != Ending::Done {
            if let Some(need) = self.resolver.poll_need() {
                self.serve_resolver(now, need);
            } else if let Some(need) = self.sessions.poll_need() {
                self.serve_session(now, need);
            } else if let Some(registrar::Need::FailAll) = self.registrars.poll_need() {
                self.resolver.fail(&mut self.ctx, &ResolveError::NoRegistrarKnown, |_| true);
            } else if self.is_settled(now) {
                return;
            }
        }
    }

    fn serve_resolver(&mut self, now: Instant, need: resolver::Need<Waiter>) {
        match need {
            resolver::Need::Doubt => self.registrars.doubt(now, &mut self.ctx),
            resolver::Need::Suspect => self.registrars.suspect(),
            resolver::Need::Fail { waiter, handle, error } => {
                self.fail(now, waiter, handle, error);
            }
        }
    }

    fn serve_session(&mut self, now: Instant, need: session::Need) {
        match need {
            session::Need::Resolve { session, handle, anew } => {
                self.look_up(now, &handle, Waiter::Session(session), anew);
            }
            session::Need::Forget { session, handle } => {
                self.resolver.cancel(&handle, &Waiter::Session(session));
            }
            session::Need::Report { handle, identifier } => {
                let pool = self.cache.find_held(handle.as_bytes());
                let of = (handle, pool);
                self.reports.unreachable(now, &mut self.ctx, of, identifier);
            }
            session::Need::LookUp { handle } => {
                self.look_up(now, &handle, Waiter::Refresh, false);
            }
        }
    }

    /// Lets each machine know who is the home, and whether one is wanted; says whether nothing
    /// follows from it for the others.
    fn is_settled(&mut self, now: Instant) -> bool {
        let Self { registrars, resolver, reports, ctx, .. } = self;
        let home = registrars.home();
        let channel = home.map(|home| home.channel);
        let wanted =
            |home: &Home| ctx.config.resolution.elements_wanted.filter(|_| home.takes_wanted);
        let route = home.map(|home| Route { channel: home.channel, wanted: wanted(home) });
        resolver.set_home(now, ctx, route);
        reports.set_home(now, ctx, channel);
        self.withdraw_reports(now);
        let Self { registrars, resolver, reports, ctx, .. } = self;
        let beside = reports.is_waiting() || resolver.is_subscribed();
        registrars.set_wanted(now, ctx, resolver.is_waiting(), beside);
        // Whether a home that is left is missed depends on who still waits.
        let left = resolver.take_abandoned() && registrars.abandoned(now, ctx);
        !left && !registrars.needs_any()
    }

    /// Reports of elements whose mark has ended before its time are not true any more.
    fn withdraw_reports(&mut self, now: Instant) {
        if self.reports.is_waiting() {
            let Self { ctx, cache, reports, .. } = self;
            let lasts = ctx.config.cache.failure_mark;
            reports.withdraw(ctx, |report| {
                let pool = report.pool.and_then(|pool| cache.get(pool));
                now.since(report.since) < lasts
                    && pool.is_some_and(|pool| !pool.is_marked(now, report.identifier))
            });
        }
    }

    /// Answers from the cache, or asks (RFC 5352 §3.3 C1–C4).
    fn look_up(&mut self, now: Instant, handle: &PoolHandle, waiter: Waiter, anew: bool) {
        let cached = self.cache.find(handle.as_bytes()).filter(|_| !anew);
        let Some(pool) = cached else {
            if !anew && self.cache.is_unknown(now, handle.as_bytes()) {
                self.ctx.stats.cache_unknown += 1;
                self.fail(now, waiter, handle.clone(), ResolveError::UnknownPoolHandle);
                return;
            }
            self.ctx.stats.cache_misses += u64::from(!anew);
            self.resolver.ask(now, &mut self.ctx, handle, waiter);
            return;
        };
        if self.is_fresh(now, pool) {
            self.ctx.stats.cache_hits += 1;
            self.answer(now, waiter, pool, false);
            return;
        }
        self.ctx.stats.cache_stale += 1;
        if !self.resolver.is_asked(handle) {
            let fetched = self.cache.get(pool).map_or(now, Pool::fetched);
            self.ctx.note(|| NoteKind::PoolStale { handle: handle.clone(), fetched });
        }
        match self.ctx.config.cache.stale_answers {
            StaleAnswers::Served => {
                if !self.resolver.is_asked(handle) {
                    self.resolver.ask(now, &mut self.ctx, handle, Waiter::Refresh);
                }
                self.answer(now, waiter, pool, true);
            }
            StaleAnswers::Fallback | StaleAnswers::Withheld => {
                if waiter != Waiter::Refresh || !self.resolver.is_asked(handle) {
                    self.resolver.ask(now, &mut self.ctx, handle, waiter);
                }
            }
        }
    }

    /// Whether a pool, which counts as used, need not be asked for: its list is young enough, or
    /// the home registrar would have told of a change.
    fn is_fresh(&mut self, now: Instant, pool: PoolId) -> bool {
        self.cache.get_mut(pool);
        match self.cache.freshness(now, &self.ctx.config, pool) {
            Some(Freshness::Fresh) => true,
            Some(Freshness::Stale) => self
                .cache
                .get(pool)
                .is_some_and(|pool| self.resolver.is_up_to_date(now, pool.handle().as_bytes())),
            Some(Freshness::Outdated) | None => false,
        }
    }

    /// A pool was resolved: tells who waited.
    fn answer(&mut self, now: Instant, waiter: Waiter, pool: PoolId, stale: bool) {
        match waiter {
            Waiter::Request(request) => {
                let authentication =
                    self.cache.get(pool).map_or(Authentication::None, Pool::authentication);
                let event = Event::Resolved { request, pool, stale, authentication };
                self.ctx.events.push(Entry::Ready(event));
            }
            Waiter::Session(session) => {
                let (sessions, mut env) = self.session_machine(now);
                sessions.resolved(&mut env, session, pool);
            }
            Waiter::Refresh => {}
        }
    }

    /// A registrar may not know a pool yet: who waited is served with what there is, unless a stale
    /// pool is no answer to anyone.
    fn answer_disputed(&mut self, now: Instant, waiter: Waiter, handle: &[u8]) {
        let served = self.ctx.config.cache.stale_answers == StaleAnswers::Served;
        match self.cache.find(handle).filter(|_| served) {
            Some(pool) => self.answer(now, waiter, pool, true),
            None => self.fail(now, waiter, PoolHandle::from(handle), ResolveError::NotAnswered),
        }
    }

    /// A pool could not be resolved: tells who waited, or serves what there is (CACHE-8).
    fn fail(&mut self, now: Instant, waiter: Waiter, handle: PoolHandle, error: ResolveError) {
        if self.ctx.config.cache.stale_answers == StaleAnswers::Fallback
            && error != ResolveError::ShutDown
        {
            if let Some(pool) = self.cache.find(handle.as_bytes()) {
                self.answer(now, waiter, pool, true);
                return;
            }
        }
        match waiter {
            Waiter::Request(request) => {
                let event = Event::ResolutionFailed { request, handle, error };
                self.ctx.events.push(Entry::Ready(event));
            }
            Waiter::Session(session) => {
                let (sessions, mut env) = self.session_machine(now);
                sessions.unresolved(&mut env, session, error);
            }
            Waiter::Refresh => {}
        }
    }

    /// Whether nothing is left to be done before the home registrar is left for good.
    fn is_quiet(&self) -> bool {
        let has_said_all = |home: &Home| {
            !self.reports.is_waiting() && !self.ctx.channels.has_control(home.channel)
        };
        self.sessions.live() == 0 && self.registrars.home().is_none_or(has_said_all)
    }
}

/// How it stands at a glance, and what has happened so far: each counter that is not zero. Nothing of
/// what was sent, received or resolved.
impl fmt::Debug for PoolUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Counters<'a>(&'a Stats);
        impl fmt::Debug for Counters<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut map = f.debug_map();
                for (name, count) in self.0.iter().filter(|(_, count)| *count > 0) {
                    map.entry(&format_args!("{name}"), &count);
                }
                map.finish()
            }
        }
        // One line each, whatever the form.
        f.debug_struct("PoolUser")
            .field("now", &self.now)
            .field("registrars", &format_args!("{:?}", self.registrars()))
            .field("pools", &self.pools().count())
            .field("subscriptions", &self.subscriptions().count())
            .field("requests", &self.requests.len())
            .field("sessions", &self.sessions().count())
            .field("channels", &self.channel_count())
            .field("next_timer", &format_args!("{:?}", self.next_timer()))
            .field("notes", &self.notes().len())
            .field("stats", &format_args!("{:?}", Counters(self.stats())))
            .finish_non_exhaustive()
    }
}

/// Whether what an entry of the queue is about was not taken away by the application.
fn is_wanted(requests: &Slab<PoolHandle>, sessions: &SessionLevel, entry: &Entry) -> bool {
    entry.request().is_none_or(|request| requests.get(request.0).is_some())
        && entry.session().is_none_or(|session| sessions.exists(session))
}

/// For the explorer.
#[cfg(test)]
impl PoolUser {
    /// One whose generator always draws what lies so many eighths on the way to the bound.
    pub(crate) fn with_frozen_chance(
        config: Config,
        capabilities: Capabilities,
        eighths: u64,
    ) -> Self {
        let mut user =
            Self::new(config, capabilities, 0).expect("a world's configuration is valid");
        user.ctx.rng = crate::Rng::frozen(eighths);
        user
    }

    /// The names of all that there is.
    pub(crate) fn names(&self) -> impl Iterator<Item = (Kind, Key)> {
        let channels = self.ctx.channels.ids().map(|id| (Kind::Channel, id.0));
        let sessions = self.sessions.ids().map(|id| (Kind::Session, id.0));
        let links = self
            .sessions
            .get()
            .into_iter()
            .flat_map(Sessions::link_ids)
            .map(|id| (Kind::Link, id.0));
        let pools = self.cache.iter().map(|(id, _)| (Kind::Pool, id.0));
        let requests = self.requests.iter().map(|(key, _)| (Kind::Request, key));
        channels.chain(sessions).chain(links).chain(pools).chain(requests)
    }

    /// The channels that the machine has.
    pub(crate) fn channel_ids(&self) -> impl Iterator<Item = ChannelId> {
        self.ctx.channels.ids()
    }

    /// The channel to the element that a session keeps.
    pub(crate) fn kept_channel(&self, session: SessionId) -> Option<ChannelId> {
        self.sessions.get()?.kept_channel(session)
    }

    /// Whether an element is in the list of a pool.
    pub(crate) fn lists(&self, handle: &str, element: u32) -> bool {
        let pool = self.cache.find(handle.as_bytes()).and_then(|pool| self.cache.get(pool));
        pool.is_some_and(|pool| pool.element(PeIdentifier::new(element)).is_some())
    }

    /// The element that a channel leads to.
    pub(crate) fn channel_element(&self, channel: ChannelId) -> Option<PeIdentifier> {
        match self.ctx.channels.whose(channel)? {
            ChannelUser::Registrar => None,
            ChannelUser::Session(link) => self.sessions.get()?.link_element(link),
        }
    }

    /// The channel to the element that would be given up.
    pub(crate) fn responsible_channel(&self, session: SessionId) -> Option<ChannelId> {
        self.sessions.get()?.responsible_channel(session)
    }

    pub(crate) fn session_is_over(&self, session: SessionId) -> bool {
        self.sessions.get().is_none_or(|sessions| sessions.is_over(session))
    }
}

#[cfg(test)]
fingerprint!(PoolUser {
    ctx, registrars, resolver, reports, sessions, cache, requests, ending
} others { now });
