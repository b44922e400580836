//! Drivers that wait in `poll(2)` or the like, in a tokio runtime.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use asap_pu::{Event, Instant, PoolUser};
use tokio::io::{Interest, unix::AsyncFd};
use tokio::time::{self, Sleep};

use crate::Drive;

/// A driver that can do its work without waiting, a turn at a time.
pub(crate) trait Turns {
    /// Takes in what has come, does what follows, and waits for nothing.
    fn turn(&mut self) -> Option<Event>;

    /// As [`Drive::call`].
    fn call(&mut self, command: &mut dyn FnMut(&mut PoolUser, Instant));

    /// As [`Drive::no_registrar`].
    fn no_registrar(&self) -> String;

    /// Readable while something has come.
    fn readiness(&self) -> io::Result<OwnedFd>;

    /// Whether another turn would find something; looks after new sockets, too.
    fn has_more(&mut self) -> bool;

    /// When a turn is due whatever comes.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Whether the pool user is shut down and every channel closed.
    fn is_shut_down(&self) -> bool;
}

/// Such a driver, which is woken when there is something on its sockets.
#[derive(Debug)]
pub(crate) struct OnTokio<D> {
    driver: D,
    readiness: AsyncFd<OwnedFd>,
    alarm: Pin<Box<Sleep>>,
}

impl<D: Turns> OnTokio<D> {
    /// The driver in the present runtime.
    ///
    /// # Errors
    /// The runtime cannot watch it.
    pub(crate) fn new(driver: D) -> io::Result<Self> {
        // The descriptor is this value's own.
        #[allow(deprecated, reason = "what is to be used instead is not in older versions")]
        let readiness = AsyncFd::with_interest(driver.readiness()?, Interest::READABLE)?;
        let alarm = Box::pin(time::sleep(std::time::Duration::ZERO));
        Ok(Self { driver, readiness, alarm })
    }

    /// Does what is to be done, until there is an event, it is `until`, or `is_over`.
    fn poll_turns(
        &mut self,
        context: &mut Context<'_>,
        until: Option<Instant>,
        is_over: fn(&mut D) -> bool,
    ) -> Poll<Option<Event>> {
        let Self { driver, readiness, alarm } = self;
        loop {
            // Word of what comes after this look is not cleared below.
            let ready = readiness.poll_read_ready(context);
            let event = driver.turn();
            let has_more = driver.has_more();
            if event.is_some() || is_over(driver) {
                return Poll::Ready(event);
            }
            if let Poll::Ready(Ok(mut ready)) = ready {
                if !has_more {
                    ready.clear_ready();
                }
                continue;
            }
            // It had its fill of one turn, and found it before the runtime heard of it.
            if has_more {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let now = time_of(driver);
            if until.is_some_and(|until| until <= now) {
                return Poll::Ready(None);
            }
            let Some(wake) = driver.poll_timeout().into_iter().chain(until).min() else {
                return Poll::Pending;
            };
            alarm.as_mut().reset(time::Instant::now() + wake.since(now));
            if alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

fn time_of(driver: &mut impl Turns) -> Instant {
    let mut time = Instant::EPOCH;
    driver.call(&mut |_, now| time = now);
    time
}

impl<D: Turns> Drive for OnTokio<D> {
    fn call(&mut self, command: &mut dyn FnMut(&mut PoolUser, Instant)) {
        self.driver.call(command);
    }

    fn poll_event(
        &mut self,
        context: &mut Context<'_>,
        until: Option<Instant>,
    ) -> Poll<Option<Event>> {
        self.poll_turns(context, until, |driver| {
            let mut is_over = false;
            driver.call(&mut |user, _| is_over = user.is_shut_down());
            is_over
        })
    }

    fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_turns(context, None, |driver| driver.is_shut_down()).map(drop)
    }

    fn no_registrar(&self) -> String {
        self.driver.no_registrar()
    }
}
