//! The client: pools and sessions for the tasks of an application.
//!
//! ```text
//!   Client, Session, Pool, Watch     handles, for any number of tasks
//!        │ commands     ▲ wakes
//!        ▼              │
//!   ┌────────────────────────┐
//!   │ State, behind a lock   │   who waits for what (`state`), and for each session what is to be read,
//!   ├────────────────────────┤   who waits to send, and which requests are open (`desk`)
//!   │ a driver (`Drive`)     │
//!   └────────────────────────┘
//!                 ▲ polls
//!                Run                 one task, which does all the work
//! ```
//!
//! It is built as a connection of hyper's or quinn's is: [`Client::over`] takes a driver and comes back
//! with a handle and a future, [`Run`], that some task has to await. Nothing here knows a runtime or a
//! transport: there are wakers, a lock that is held for a step at a time, and the deadlines that the driver
//! is asked to keep. [`Builder`] makes the usual case of it, TCP on tokio. The simulator is a driver too
//! (`sim`), so that an application's tasks run unchanged in virtual time.
//!
//! *Waiting instead of errors.* What finds no room waits for it: a message until its session's queue has
//! room, a resolution until another one has ended. A session whose application does not read is not read
//! from, and TCP slows the element down.
//!
//! *Requests.* A session with a [`Codec`] sends each request "until it is confirmed"
//! ([`Failover::Unconfirmed`](asap_pu::Failover::Unconfirmed)) and confirms it by its answer: an element
//! that dies, or owes an answer for longer than the session's patience, is left, and what it has not
//! answered goes to the next one. Answers are matched in the order of the requests unless the codec knows
//! better, which holds across failovers since what goes again keeps its order.
//!
//! *Dropping.* A future that is dropped has not happened, or is taken back: a message that still waited
//! for room was never sent, a resolution is cancelled, a request is withdrawn or, if an element has it
//! already, confirmed as abandoned, so that no other will get it; its answer is passed over when it comes.
//! A [`Session`] that is dropped closes behind what it has sent. When the last handle is gone, the client
//! shuts down, and `Run` ends. If `Run` is dropped, as a runtime that ends does, everyone who waits hears
//! [`Error::Gone`].

#[cfg(feature = "tcp")]
mod builder;
mod codec;
mod desk;
mod error;
mod pool;
mod session;
mod state;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use asap_pu::wire::PoolHandle;
use asap_pu::{Instant, PoolUser};

#[cfg(feature = "tcp")]
pub use builder::Builder;
pub use codec::{Codec, Lines, Messages};
pub use error::{Error, Undelivered};
pub use pool::{Change, Element, Pool, Watch};
pub use session::{Received, Session, SessionBuilder};
pub use state::Run;
use state::{Handle, Shared};

use crate::Drive;

/// A pool user that any number of tasks share. Clones are the same client.
///
/// It shuts down when the last of its handles is dropped: of it, its sessions and its pools.
#[derive(Clone)]
pub struct Client(Arc<Handle>);

impl Client {
    /// A client over this driver, and what has to be awaited for it to do anything: on tokio
    /// `tokio::spawn(run)`, elsewhere what spawns a task there.
    pub fn over(driver: impl Drive + Send + 'static) -> (Self, Run) {
        let shared = Shared::new(Box::new(driver));
        (Self(Arc::new(Handle(shared.clone()))), Run(shared))
    }

    /// Waits until a registrar is found, and begins to look for one if nobody has.
    ///
    /// # Errors
    /// [`Error::NoRegistrar`], once all that are known have been tried in vain. The search goes on; until it
    /// has found one, this fails at once.
    pub async fn connected(&self) -> Result<(), Error> {
        self.0.0.lock().find_home()?;
        poll_fn(|context| self.0.0.lock().poll_home(context)).await
    }

    /// Resolves a pool handle: the pool, to select elements from. May be dropped at any time.
    ///
    /// # Errors
    /// The pool is not known, no registrar answers in time, or the handle cannot be one.
    pub async fn resolve(&self, handle: impl Into<PoolHandle>) -> Result<Pool, Error> {
        let pool = Pool::new(self.clone(), handle.into());
        pool.look_up().await?;
        Ok(pool)
    }

    /// A session with a pool, to be opened.
    pub fn session(&self, handle: impl Into<PoolHandle>) -> SessionBuilder {
        SessionBuilder::new(self.clone(), handle.into())
    }

    /// Hands the pool user and the time to `command`, for what has no method here: counters, notes,
    /// business cards, registrars to add. Its actions and events are the client's. The client is locked
    /// meanwhile: no method of it, its sessions or pools may be called within.
    ///
    /// # Errors
    /// The client is shut down.
    pub fn with<T>(&self, command: impl FnOnce(&mut PoolUser, Instant) -> T) -> Result<T, Error> {
        self.0.0.lock().call(command)
    }

    /// Shuts the client down, and waits until everything is sent and closed: sessions close behind what
    /// they have queued, within `sessions.session_deadline`, and channels within half a minute. Who waits
    /// for something meanwhile hears how that ends.
    pub async fn shut_down(self) {
        let _ = self.0.0.lock().call(|user, now| user.shut_down(now));
        poll_fn(|context| self.0.0.lock().poll_end(context)).await;
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").finish_non_exhaustive()
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Run").finish_non_exhaustive()
    }
}

/// Runs `future` and the client that it uses in this thread, for drivers that block ([`Drive`]): whenever
/// the future has nothing to do, the driver waits for what comes next. The future is to wait for nothing
/// but its client.
pub fn block_on<T>(run: &mut Run, future: impl Future<Output = T>) -> T {
    let (mut future, mut context) = (pin!(future), Context::from_waker(Waker::noop()));
    loop {
        if let Poll::Ready(outcome) = future.as_mut().poll(&mut context) {
            return outcome;
        }
        run.0.lock().step(&mut context);
    }
}
