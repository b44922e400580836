//! The client on other runtimes and drivers than tokio's; their peers stay where they are.

#[path = "../examples/mio/driver.rs"]
#[allow(dead_code, reason = "only a part of it is needed")]
mod mio_driver;
#[allow(dead_code, reason = "other tests need more of it")]
mod peers;
#[path = "../examples/smol.rs"]
#[allow(dead_code, reason = "only the example has a `main`")]
mod smol_page;

use std::task::{Context, Poll};
use std::time::Duration;

use asap_pu::{Config, Event, Instant, PoolUser, Registrar};
use asap_pu_tokio::{Client, Drive, Error, Lines, block_on};

use peers::{POOL, element, mortal, nobody, registrar};

/// What any application does.
async fn converse(client: Client) -> Result<(), Error> {
    client.connected().await?;
    assert_eq!(client.resolve(POOL).await?.elements().await?.len(), 3);
    let session = client.session(POOL).codec(Lines).open().await?;
    let mut answers = Vec::new();
    for request in ["a\n", "b\n", "c\n", "d\n"] {
        answers.push(session.request(request).await?);
    }
    assert_eq!(answers.last().unwrap(), "3: d");
    session.close().await?;
    client.shut_down().await;
    Ok(())
}

/// A registrar and three elements, on a runtime of their own.
fn peers() -> (tokio::runtime::Runtime, std::net::SocketAddr) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
    let at = runtime.block_on(async {
        registrar(&[nobody().await, mortal(2, 2).await, element(3, 9).await], None).await.at
    });
    (runtime, at)
}

#[test]
fn the_client_runs_on_smol() {
    let (_peers, at) = peers();
    smol::block_on(async { converse(smol_page::client(at).await.unwrap()).await.unwrap() });
}

/// A driver that blocks, and knows nothing of tasks.
struct Blocking(mio_driver::Driver);

impl Drive for Blocking {
    fn call(&mut self, command: &mut dyn FnMut(&mut PoolUser, Instant)) {
        let now = self.0.now();
        command(self.0.user(), now);
    }

    fn poll_event(&mut self, _: &mut Context<'_>, until: Option<Instant>) -> Poll<Option<Event>> {
        let patience = until.map_or(Duration::MAX, |until| until.since(self.0.now()));
        Poll::Ready(self.0.event(patience.min(Duration::from_secs(1))))
    }

    fn poll_closed(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn no_registrar(&self) -> String {
        self.0.no_registrar()
    }
}

#[test]
fn the_client_runs_over_a_driver_that_blocks() {
    let (_peers, at) = peers();
    let mut config = Config::default();
    config.discovery.registrars.push(Registrar::tcp(at));
    let (client, mut run) = Client::over(Blocking(mio_driver::Driver::new(config, 1).unwrap()));
    block_on(&mut run, converse(client)).unwrap();
}
