//! Pools, for applications that keep their own connections (RFC 5351 §4.1).

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use asap_pu::wire::{PeIdentifier, PoolHandle, Transport};
use asap_pu::{CommandError, ElementRef, PoolId, PoolMut, RequestId};
use futures_core::Stream;

use super::state::Handle;
use super::{Client, Error};

/// A pool, to select elements from; see [`Client::resolve`]. What is known of it is brought up to date
/// whenever it is asked and has grown old.
#[derive(Debug, Clone)]
pub struct Pool {
    client: Client,
    handle: PoolHandle,
}

/// A pool element: what to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Element {
    /// Names it within its pool.
    pub identifier: PeIdentifier,
    /// Where it serves its users.
    pub transport: Transport,
}

/// What has changed in a pool, in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Change {
    /// How many came.
    pub joined: u32,
    /// How many left.
    pub left: u32,
    /// How many have other values, or another transport.
    pub altered: u32,
}

/// The changes of a pool; see [`Pool::watch`].
pub struct Watch {
    handle: Arc<Handle>,
    number: u64,
    is_over: bool,
}

impl Pool {
    pub(super) const fn new(client: Client, handle: PoolHandle) -> Self {
        Self { client, handle }
    }

    /// Its pool handle.
    #[must_use]
    pub const fn handle(&self) -> &PoolHandle {
        &self.handle
    }

    /// The elements, in the registrar's order.
    ///
    /// # Errors
    /// As [`Client::resolve`].
    pub async fn elements(&self) -> Result<Vec<Element>, Error> {
        let pool = self.look_up().await?;
        self.client.with(|user, _| {
            user.pool(pool).into_iter().flat_map(|pool| pool.elements().map(Element::of)).collect()
        })
    }

    /// Chooses an element by the pool's policy; one that was found unreachable only where no other is left.
    ///
    /// # Errors
    /// As [`Client::resolve`], or no element can be used.
    pub async fn select(&self) -> Result<Element, Error> {
        self.command(|pool| pool.select(&[]).map(Element::of)).await
    }

    /// An element could not be reached: reports it, and chooses another one.
    ///
    /// # Errors
    /// As [`select`](Self::select), or that element was never selected.
    pub async fn fail_over(&self, failed: &Element) -> Result<Element, Error> {
        self.command(|pool| pool.fail_over(failed.identifier).map(Element::of)).await
    }

    /// Any other command for the pool: several elements at once, a report, taking one back. Within it the
    /// client can do nothing else, as in [`Client::with`].
    ///
    /// # Errors
    /// As [`Client::resolve`], or what the command says.
    pub async fn command<T>(
        &self,
        command: impl FnOnce(PoolMut<'_>) -> Result<T, CommandError>,
    ) -> Result<T, Error> {
        let pool = self.look_up().await?;
        Ok(self.client.with(|user, now| user.pool_mut(now, pool).and_then(command))??)
    }

    /// Keeps the pool up to date from here on, and tells of its changes (RFC 5352 §2.2.5). The first is
    /// what it has to begin with, if it is not known yet.
    ///
    /// # Errors
    /// Too many pools are watched, or the client is shut down.
    pub fn watch(&self) -> Result<Watch, Error> {
        let handle = self.client.0.clone();
        let number = handle.0.lock().watch(&self.handle)?;
        Ok(Watch { handle, number, is_over: false })
    }

    /// What the pool user calls it, from the cache or from a registrar.
    pub(super) async fn look_up(&self) -> Result<PoolId, Error> {
        let Client(handle) = &self.client;
        let request = poll_fn(|context| handle.0.lock().poll_ask(context, &self.handle)).await?;
        let resolution = Resolution { handle, request };
        poll_fn(|context| handle.0.lock().poll_resolved(context, resolution.request)).await
    }
}

/// A resolution that somebody waits for.
struct Resolution<'a> {
    handle: &'a Handle,
    request: RequestId,
}

impl Drop for Resolution<'_> {
    fn drop(&mut self) {
        self.handle.0.lock().forget_resolution(self.request);
    }
}

impl Element {
    fn of(element: ElementRef<'_>) -> Self {
        Self { identifier: element.identifier(), transport: element.transport().to_owned() }
    }

    /// Its first address, if it has one.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.transport.socket_addrs().next()
    }
}

impl Change {
    /// This, and what came after it.
    pub(super) const fn and(self, joined: u32, left: u32, altered: u32) -> Self {
        Self {
            joined: self.joined.saturating_add(joined),
            left: self.left.saturating_add(left),
            altered: self.altered.saturating_add(altered),
        }
    }
}

impl Watch {
    /// What has changed since the last time. May be dropped at any time.
    ///
    /// # Errors
    /// The registrar does not know the pool any more, or the client is shut down: there will be no more.
    pub async fn changed(&mut self) -> Result<Change, Error> {
        poll_fn(|context| self.handle.0.lock().poll_watch(context, self.number)).await
    }
}

impl Stream for Watch {
    type Item = Result<Change, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let polled = self.handle.0.lock().poll_watch(context, self.number);
        self.is_over = matches!(polled, Poll::Ready(Err(_)));
        polled.map(Some)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.handle.0.lock().forget_watch(self.number);
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Watch").field(&self.number).finish()
    }
}
