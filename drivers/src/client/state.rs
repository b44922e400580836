//! What a client's handles and its [`Run`] share: the driver, and who waits for what of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};

use asap_pu::wire::PoolHandle;
use asap_pu::{Event, HomeSearch, Instant, PoolId, PoolUser, RequestId, ResolveError, SessionId};

use super::desk::Desk;
use super::{Change, Error};
use crate::Drive;

/// How many events are handed on before the other tasks of the runtime have their turn.
const BURST: usize = 64;

/// Where the state is, behind a lock that nobody holds for longer than a step.
pub(crate) struct Shared(Mutex<State>);

/// All handles of a client have it together: the last of them shuts the client down.
pub(crate) struct Handle(pub(crate) Arc<Shared>);

pub(crate) struct State {
    /// None once it has run to its end, or the runtime has let go of it.
    drive: Option<Box<dyn Drive + Send>>,
    /// Wakes who runs the driver, if that sleeps.
    run: Option<Waker>,
    home: Home,
    /// Until when an announce is waited for.
    announce_due: Option<Instant>,
    home_waiters: Waiters,
    resolutions: BTreeMap<RequestId, Slot<Result<PoolId, ResolveError>>>,
    /// Who waits until there may be one more of them.
    resolution_waiters: Waiters,
    pub(super) desks: BTreeMap<SessionId, Desk>,
    /// When whose element has been silent for too long.
    deadlines: BTreeSet<(Instant, SessionId)>,
    watches: BTreeMap<u64, WatchDesk>,
    watches_made: u64,
    end_waiters: Waiters,
}

/// How the search for a home registrar stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Home {
    Looking,
    Found,
    /// None is known. There is none once the wait for an announce is over.
    Unknown,
    /// Those that are known were tried in vain.
    Nowhere(String),
}

/// Somebody waits for one thing.
pub(super) struct Slot<T> {
    outcome: Option<T>,
    /// Whether there was one.
    is_over: bool,
    waiter: Option<Waker>,
}

/// Some wait for the same.
#[derive(Default)]
pub(super) struct Waiters(Vec<Waker>);

/// One who watches a pool.
struct WatchDesk {
    handle: PoolHandle,
    news: Slot<Result<Change, ResolveError>>,
}

/// What a step of the driver came to.
pub(super) enum Step {
    /// There may be more to be done.
    Done,
    /// There is nothing to be done before somebody is woken.
    Idle,
    /// There will be no more.
    Over,
}

/// Does the work of a client; to be awaited by some task for as long as the client lives.
///
/// It ends once the client is shut down, by [`Client::shut_down`](crate::Client::shut_down) or because
/// nobody has a handle to it any more. If it is dropped before, as a runtime does that is shut down,
/// everybody who waits for something is told ([`Error::Gone`]), and channels close.
#[must_use = "a client does nothing unless its `Run` is awaited"]
pub struct Run(pub(super) Arc<Shared>);

impl Shared {
    pub(super) fn new(drive: Box<dyn Drive + Send>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            drive: Some(drive),
            run: None,
            home: Home::Looking,
            announce_due: None,
            home_waiters: Waiters::default(),
            resolutions: BTreeMap::new(),
            resolution_waiters: Waiters::default(),
            desks: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            watches: BTreeMap::new(),
            watches_made: 0,
            end_waiters: Waiters::default(),
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, where nobody is at it, not even who asks.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        match self.0.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = self.0.lock().call(|user, now| user.shut_down(now));
    }
}

impl<T> Slot<T> {
    pub(super) const fn new() -> Self {
        Self { outcome: None, is_over: false, waiter: None }
    }

    pub(super) fn fill(&mut self, outcome: T) {
        (self.outcome, self.is_over) = (Some(outcome), true);
        self.waiter.take().into_iter().for_each(Waker::wake);
    }

    pub(super) fn poll(&mut self, context: &Context<'_>) -> Poll<T> {
        match self.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                self.waiter = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Whether it was filled, be it read or not.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }
}

impl Waiters {
    pub(super) fn add<T>(&mut self, context: &Context<'_>) -> Poll<T> {
        if !self.0.iter().any(|waiter| waiter.will_wake(context.waker())) {
            self.0.push(context.waker().clone());
        }
        Poll::Pending
    }

    pub(super) fn wake(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}

impl State {
    /// Gives the pool user a command, and sees to it that it is carried out.
    pub(super) fn call<T>(
        &mut self,
        command: impl FnOnce(&mut PoolUser, Instant) -> T,
    ) -> Result<T, Error> {
        let told = command_to(self.drive.as_deref_mut().ok_or(Error::Gone)?, command);
        self.run.take().into_iter().for_each(Waker::wake);
        Ok(told)
    }

    /// Waits until the driver has come to its end.
    pub(super) fn poll_end(&mut self, context: &Context<'_>) -> Poll<()> {
        match self.drive {
            None => Poll::Ready(()),
            Some(_) => self.end_waiters.add(context),
        }
    }

    /// The driver is no more: nobody waits in vain.
    fn end(&mut self) {
        self.drive = None;
        self.deadlines.clear();
        self.home_waiters.wake();
        self.resolution_waiters.wake();
        self.resolutions.values_mut().for_each(|slot| slot.fill(Err(ResolveError::ShutDown)));
        self.desks.values_mut().for_each(Desk::abandon);
        self.watches.values_mut().for_each(|watch| watch.news.fill(Err(ResolveError::ShutDown)));
        self.end_waiters.wake();
    }

    /// One step: what the driver has to tell, or what is due.
    pub(super) fn step(&mut self, context: &mut Context<'_>) -> Step {
        let patience = self.deadlines.first().map(|(at, _)| *at);
        let until = patience.into_iter().chain(self.announce_due).min();
        let Some(drive) = &mut self.drive else { return Step::Over };
        match drive.poll_event(context, until) {
            Poll::Pending => return Step::Idle,
            Poll::Ready(Some(event)) => self.hear(event),
            Poll::Ready(None) => {
                let (is_shut_down, now) =
                    command_to(&mut **drive, |user, now| (user.is_shut_down(), now));
                if is_shut_down {
                    if drive.poll_closed(context).is_pending() {
                        return Step::Idle;
                    }
                    self.end();
                    return Step::Over;
                }
                self.lose_patience(now);
                if self.announce_due.take_if(|due| *due <= now).is_some() {
                    self.home_waiters.wake();
                }
            }
        }
        Step::Done
    }

    fn hear(&mut self, event: Event) {
        if let Some(session) = event.session() {
            // What the application has given up at once is told nobody.
            let _ = self.with_desk(session, |desk, drive| desk.hear(event, drive));
            return;
        }
        match event {
            Event::RegistrarFound { .. } => self.set_home(Home::Found),
            Event::RegistrarLost => self.set_home(Home::Looking),
            Event::NoRegistrarReachable => {
                let why = self.drive.as_ref().map(|drive| drive.no_registrar());
                self.set_home(Home::Nowhere(why.unwrap_or_default()));
            }
            Event::NoRegistrarKnown => {
                self.set_home(Home::Unknown);
                self.announce_due = self.drive.as_deref_mut().and_then(|drive| {
                    command_to(drive, |user, now| {
                        let waits = user.registrars().home_search() == HomeSearch::Listening;
                        waits.then(|| now + user.config().discovery.announce_wait)
                    })
                });
            }
            Event::Resolved { request, pool, .. } => self.resolved(request, Ok(pool)),
            Event::ResolutionFailed { request, error, .. } => self.resolved(request, Err(error)),
            Event::PoolChanged { pool, joined, left, altered, .. } => {
                let handle = self.drive.as_deref_mut().and_then(|drive| {
                    command_to(drive, |user, _| user.pool(pool).map(|pool| pool.handle().clone()))
                });
                let Some(handle) = handle else { return };
                let of_pool = self.watches.values_mut().filter(|watch| watch.handle == handle);
                for WatchDesk { news, .. } in of_pool {
                    // Whoever does not look hears of all changes together.
                    match news.outcome.take() {
                        Some(Ok(before)) => news.fill(Ok(before.and(joined, left, altered))),
                        Some(end) => news.fill(end),
                        None => news.fill(Ok(Change { joined, left, altered })),
                    }
                }
            }
            Event::SubscriptionEnded { handle, error, .. } => {
                for watch in self.watches.values_mut().filter(|watch| watch.handle == handle) {
                    watch.news.fill(Err(error.clone()));
                }
            }
            _ => {}
        }
    }

    /// Begins to look for a registrar if nobody has.
    pub(super) fn find_home(&mut self) -> Result<(), Error> {
        let search = self.call(|user, now| {
            let before = user.registrars().home_search();
            user.registrars_mut(now).find_home();
            before
        })?;
        if search == HomeSearch::Idle {
            self.home = Home::Looking;
        }
        Ok(())
    }

    /// Waits until a registrar is found, or there is none.
    pub(super) fn poll_home(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        let Some(drive) = self.drive.as_deref_mut() else { return Poll::Ready(Err(Error::Gone)) };
        let search = command_to(drive, |user, _| user.registrars().home_search());
        let is_tried = matches!(search, HomeSearch::Hunting | HomeSearch::Reopening);
        let why = match &self.home {
            Home::Found => return Poll::Ready(Ok(())),
            Home::Nowhere(why) => why,
            Home::Unknown if self.announce_due.is_none() && !is_tried => {
                "no registrar is known: none is configured, and none announces itself"
            }
            Home::Unknown | Home::Looking => return self.home_waiters.add(context),
        };
        Poll::Ready(Err(Error::NoRegistrar(why.to_owned())))
    }

    fn set_home(&mut self, home: Home) {
        (self.home, self.announce_due) = (home, None);
        self.home_waiters.wake();
    }

    fn resolved(&mut self, request: RequestId, outcome: Result<PoolId, ResolveError>) {
        if let Some(slot) = self.resolutions.get_mut(&request) {
            slot.fill(outcome);
        }
        self.resolution_waiters.wake();
    }

    /// Elements that owe an answer for too long are as good as dead.
    fn lose_patience(&mut self, now: Instant) {
        while let Some((at, session)) = self.deadlines.first().copied() {
            if at > now {
                return;
            }
            self.deadlines.pop_first();
            let _ = self.with_desk(session, |desk, drive| desk.lose_patience(now, drive));
        }
    }

    /// Does something at a session's desk, and keeps its deadline.
    pub(super) fn with_desk<T>(
        &mut self,
        session: SessionId,
        act: impl FnOnce(&mut Desk, &mut dyn Drive) -> T,
    ) -> Result<T, Error> {
        let drive = self.drive.as_deref_mut().ok_or(Error::Gone)?;
        let desk = self.desks.get_mut(&session).ok_or(Error::SessionClosed)?;
        let before = desk.due();
        let told = act(desk, drive);
        let after = desk.due();
        if before != after {
            if let Some(at) = before {
                self.deadlines.remove(&(at, session));
            }
            self.deadlines.extend(after.map(|at| (at, session)));
        }
        if desk.is_finished() {
            self.desks.remove(&session);
        }
        self.run.take().into_iter().for_each(Waker::wake);
        Ok(told)
    }

    /// What is to be read next of a session, also after the end of the client.
    pub(super) fn poll_read(
        &mut self,
        context: &Context<'_>,
        session: SessionId,
    ) -> Poll<Result<Option<Event>, Error>> {
        let Self { desks, drive, .. } = self;
        let drive = drive.as_mut().map(|drive| &mut **drive as &mut dyn Drive);
        match desks.get_mut(&session) {
            Some(desk) => desk.poll_read(context, drive),
            None => Poll::Ready(Err(Error::Gone)),
        }
    }

    /// Asks for a pool, once there may be one more resolution.
    pub(super) fn poll_ask(
        &mut self,
        context: &Context<'_>,
        handle: &PoolHandle,
    ) -> Poll<Result<RequestId, Error>> {
        match self.call(|user, now| user.resolve(now, handle.clone())) {
            Ok(Ok(request)) => {
                self.resolutions.insert(request, Slot::new());
                Poll::Ready(Ok(request))
            }
            Ok(Err(asap_pu::CommandError::TooManyRequests)) => self.resolution_waiters.add(context),
            Ok(Err(error)) => Poll::Ready(Err(error.into())),
            Err(gone) => Poll::Ready(Err(gone)),
        }
    }

    pub(super) fn poll_resolved(
        &mut self,
        context: &Context<'_>,
        request: RequestId,
    ) -> Poll<Result<PoolId, Error>> {
        let slot = self.resolutions.get_mut(&request);
        match slot.map_or(Poll::Ready(Err(ResolveError::ShutDown)), |slot| slot.poll(context)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(ResolveError::ShutDown)) => Poll::Ready(Err(Error::Gone)),
            Poll::Ready(outcome) => Poll::Ready(outcome.map_err(Into::into)),
        }
    }

    /// Nobody waits for a resolution any more.
    pub(super) fn forget_resolution(&mut self, request: RequestId) {
        self.resolutions.remove(&request);
        // One that has been told is not known any more.
        let _ = self.call(|user, now| user.cancel(now, request));
        self.resolution_waiters.wake();
    }

    pub(super) fn watch(&mut self, handle: &PoolHandle) -> Result<u64, Error> {
        self.call(|user, now| user.subscribe(now, handle.clone()))??;
        self.watches_made += 1;
        let desk = WatchDesk { handle: handle.clone(), news: Slot::new() };
        self.watches.insert(self.watches_made, desk);
        Ok(self.watches_made)
    }

    pub(super) fn poll_watch(
        &mut self,
        context: &Context<'_>,
        watch: u64,
    ) -> Poll<Result<Change, Error>> {
        let Some(watch) = self.watches.get_mut(&watch) else {
            return Poll::Ready(Err(Error::Gone));
        };
        match watch.news.poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(change)) => Poll::Ready(Ok(change)),
            Poll::Ready(Err(end)) => {
                // Once over it stays so.
                watch.news.fill(Err(end.clone()));
                let error =
                    if end == ResolveError::ShutDown { Error::Gone } else { Error::from(end) };
                Poll::Ready(Err(error))
            }
        }
    }

    pub(super) fn forget_watch(&mut self, watch: u64) {
        let Some(WatchDesk { handle, .. }) = self.watches.remove(&watch) else { return };
        if self.watches.values().all(|watch| watch.handle != handle) {
            let _ = self.call(|user, now| user.unsubscribe(now, handle.as_bytes()));
        }
    }
}

impl Future for Run {
    type Output = ();

    fn poll(self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        for _ in 0..BURST {
            match state.step(context) {
                Step::Done => {}
                Step::Idle => {
                    state.run = Some(context.waker().clone());
                    return Poll::Pending;
                }
                Step::Over => return Poll::Ready(()),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.0.lock().end();
    }
}

/// Gives a driver's pool user a command.
pub(super) fn command_to<T>(
    drive: &mut dyn Drive,
    command: impl FnOnce(&mut PoolUser, Instant) -> T,
) -> T {
    let (mut command, mut told) = (Some(command), None);
    drive.call(&mut |user, now| told = command.take().map(|command| command(user, now)));
    told.expect("a driver hands its pool user to a command")
}
