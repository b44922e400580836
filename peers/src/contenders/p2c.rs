//! tower's power of two choices: the less loaded of two random endpoints, with the load that the
//! member has.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt as _;
use tower::Service;
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::Load;

use super::{Contender, picks};

struct Endpoint {
    at: usize,
    load: u32,
}

impl Load for Endpoint {
    type Metric = u32;

    fn load(&self) -> u32 {
        self.load
    }
}

impl Service<()> for Endpoint {
    type Response = usize;
    type Error = Infallible;
    type Future = Ready<Result<usize, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(self.at))
    }
}

pub fn contender(loads: &[u32]) -> Contender {
    let endpoints = loads.iter().enumerate().map(|(at, &load)| Endpoint { at, load });
    let balance = Balance::new(ServiceList::new::<()>(endpoints.collect::<Vec<_>>()));
    let mut cx = Context::from_waker(Waker::noop());
    picks("p2c", balance, move |balance| {
        assert!(balance.poll_ready(&mut cx).is_ready());
        balance.call(()).now_or_never().and_then(Result::ok).unwrap_or_default()
    })
}
