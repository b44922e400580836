//! The face that drivers share, whatever they speak and whoever calls them.

use std::task::{Context, Poll};

use asap_pu::{Event, Instant, PoolUser, SessionId};

/// A pool user and whatever carries its channels: sockets, or a simulation of them.
///
/// A [`Client`](crate::Client) is built on this and knows nothing else of transports and runtimes. Who
/// implements it for a driver that *blocks* (one of `std`'s, of mio's, one around `poll(2)`) waits within
/// [`poll_event`](Self::poll_event) instead of returning [`Poll::Pending`], and lets the client run in one
/// thread by [`block_on`](crate::block_on).
pub trait Drive {
    /// Hands the pool user to `command`, once, with the time as it sees it: for commands and to look at.
    /// Its actions and events are the driver's.
    fn call(&mut self, command: &mut dyn FnMut(&mut PoolUser, Instant));

    /// Does what is to be done, until the pool user has something to tell. `None` once it is `until`, or
    /// when it is shut down and has told everything. Commands that were given since the last call are
    /// carried out by the next.
    fn poll_event(
        &mut self,
        context: &mut Context<'_>,
        until: Option<Instant>,
    ) -> Poll<Option<Event>>;

    /// Waits until everything is written and closed, of a pool user that
    /// [is shut down](PoolUser::is_shut_down). It has to come to an end whatever the peers do.
    fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// What to tell people where no registrar can be reached.
    fn no_registrar(&self) -> String;

    /// Whether to read on what comes for a session: an application that does not keep up slows its
    /// elements down. Says whether the driver can do that; where it cannot, what is too much is dropped,
    /// and told.
    fn set_reading(&mut self, session: SessionId, reading: bool) -> bool {
        let _ = (session, reading);
        false
    }
}
