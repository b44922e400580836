//! A simulated world for the tasks of an application: registrars, elements and the network between them
//! are those of [`asap_pu::sim`], and the clock is tokio's, which runs ahead whenever all tasks wait.
//!
//! The client is the one that runs on sockets; only its driver is another one. So the code of an
//! application is tested as it is, with its tasks, timeouts and intervals, while elements are killed, hang
//! and are cut off; a simulated minute takes milliseconds, and a run follows from its seed.
//!
//! ```
//! use std::time::Duration;
//!
//! use asap_pu::{sim::Fault, wire::Policy};
//! use asap_pu_tokio::{Lines, sim};
//!
//! sim::run(7, async |world| {
//!     let [a, b] = world.with(|sim| {
//!         sim.registrar();
//!         sim.listen_on_tcp("EchoPool");
//!         [(), ()].map(|()| sim.element("EchoPool", Policy::RoundRobin))
//!     });
//!     let client = world.client(Default::default())?;
//!     let session = client.session("EchoPool").codec(Lines).open().await?;
//!     assert_eq!(session.request("hello\n").await?, "hello");
//!     assert_eq!(session.element(), Some(a));
//!
//!     world.with(|sim| sim.fail(a, Fault::Hang));
//!     let start = tokio::time::Instant::now();
//!     assert_eq!(session.request("are you there?\n").await?, "are you there?");
//!     assert_eq!(session.element(), Some(b));
//!     assert!(start.elapsed() >= Duration::from_secs(5)); // of that clock
//!     Ok::<_, asap_pu_tokio::Error>(())
//! })?;
//! # Ok::<_, asap_pu_tokio::Error>(())
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use asap_pu::sim::{Sim, UserId};
use asap_pu::wire::Protocol;
use asap_pu::{Capabilities, Config, ConfigError, Event, Instant, PoolUser};
use tokio::time::{self, Sleep};

use crate::{Client, Drive, Error, tcp};

/// A simulated world on the clock of the tokio runtime in which it is made. Clones are the same world.
///
/// In a runtime whose clock is [paused](tokio::time::pause) time is virtual: [`run`] makes one. In any other
/// one, the world is as slow as ours.
#[derive(Debug, Clone)]
pub struct World(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    sim: Sim,
    /// What the simulation calls [`Instant::EPOCH`].
    start: time::Instant,
    drivers: BTreeMap<UserId, Mailbox>,
}

/// What a driver is to tell, and who is to be woken for it.
#[derive(Debug, Default)]
struct Mailbox {
    events: VecDeque<Event>,
    waiter: Option<Waker>,
}

/// The driver of a pool user in a simulated world.
#[derive(Debug)]
pub struct SimDriver {
    world: World,
    user: UserId,
    alarm: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// Runs an application in a simulated world of its own, in virtual time.
///
/// # Panics
/// Inside of a runtime.
pub fn run<T>(seed: u64, application: impl AsyncFnOnce(World) -> T) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime
        .expect("a runtime without sockets can be had")
        .block_on(async { application(World::new(seed)).await })
}

impl World {
    /// An empty world. What is left to chance follows from `seed`.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or in one without a clock.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let (sim, start) = (Sim::new(seed), time::Instant::now());
        Self(Arc::new(Mutex::new(Inner { sim, start, drivers: BTreeMap::new() })))
    }

    /// The simulation at the present time, to build the world, and to have things go wrong in it. Its users
    /// are this world's: their events are not to be read there.
    pub fn with<T>(&self, change: impl FnOnce(&mut Sim) -> T) -> T {
        let mut inner = self.lock();
        inner.advance();
        let told = change(&mut inner.sim);
        // What they wait for may be earlier now.
        inner.drivers.values_mut().for_each(Mailbox::wake);
        told
    }

    /// A client with a host of its own, whose driver can do what that for TCP can; where `config` names
    /// no registrars, it knows all there are.
    ///
    /// # Errors
    /// The configuration contradicts itself.
    pub fn client(&self, config: Config) -> Result<Client, Error> {
        let (client, run) = Client::over(self.driver(config, tcp::CAPABILITIES)?);
        tokio::spawn(run);
        Ok(client)
    }

    /// A driver that can do what you say: with SCTP elements leave cookies, and it is known what has
    /// arrived.
    ///
    /// # Errors
    /// The configuration contradicts itself, or what the driver can do.
    pub fn driver(
        &self,
        mut config: Config,
        capabilities: Capabilities,
    ) -> Result<SimDriver, ConfigError> {
        let mut inner = self.lock();
        inner.advance();
        if config.discovery.registrars.is_empty() {
            let protocol = match capabilities.reaches_registrars(Protocol::Sctp) {
                true => Protocol::Sctp,
                false => Protocol::Tcp,
            };
            let known = inner.sim.config_over(protocol);
            config.discovery.registrars = known.discovery.registrars;
        }
        let user = inner.sim.user_with(config, capabilities)?;
        inner.drivers.insert(user, Mailbox::default());
        drop(inner);
        Ok(SimDriver { world: self.clone(), user, alarm: None })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Lets happen what is due by the clock.
    fn advance(&mut self) -> Instant {
        let now = Instant::EPOCH + self.start.elapsed();
        while let Some((user, event)) = self.sim.next(now) {
            // Others are users of the application's own, or are gone.
            if let Some(mailbox) = self.drivers.get_mut(&user) {
                mailbox.events.push_back(event);
                mailbox.wake();
            }
        }
        now
    }
}

impl Mailbox {
    fn wake(&mut self) {
        self.waiter.take().into_iter().for_each(Waker::wake);
    }
}

impl Drive for SimDriver {
    fn call(&mut self, command: &mut dyn FnMut(&mut PoolUser, Instant)) {
        let mut inner = self.world.lock();
        inner.advance();
        inner.sim.call(self.user, command);
    }

    fn poll_event(
        &mut self,
        context: &mut Context<'_>,
        until: Option<Instant>,
    ) -> Poll<Option<Event>> {
        loop {
            let mut inner = self.world.lock();
            let now = inner.advance();
            let due = inner.sim.poll_timeout().into_iter().chain(until).min();
            let is_shut_down = inner.sim.pool_user(self.user).is_shut_down();
            let Some(mailbox) = inner.drivers.get_mut(&self.user) else { return Poll::Ready(None) };
            let event = mailbox.events.pop_front();
            if event.is_some() || is_shut_down || until.is_some_and(|until| until <= now) {
                return Poll::Ready(event);
            }
            mailbox.waiter = Some(context.waker().clone());
            let (Some(due), start) = (due, inner.start) else { return Poll::Pending };
            drop(inner);
            let at = start + due.since(Instant::EPOCH);
            let alarm = match &mut self.alarm {
                Some((set, alarm)) => {
                    if *set != due {
                        *set = due;
                        alarm.as_mut().reset(at);
                    }
                    alarm
                }
                alarm => &mut alarm.insert((due, Box::pin(time::sleep_until(at)))).1,
            };
            if alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.alarm = None;
        }
    }

    fn poll_closed(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn no_registrar(&self) -> String {
        "no registrar can be reached in this world".to_owned()
    }
}

/// The user's host stays, and does no more.
impl Drop for SimDriver {
    fn drop(&mut self) {
        let mut inner = self.world.lock();
        inner.drivers.remove(&self.user);
        inner.sim.call(self.user, |user, now| user.shut_down(now));
    }
}
