//! Who is in a pool? The smallest program on a driver made of threads and the standard library.
//!
//! `cargo run --example std -- 192.0.2.1:3863 EchoPool` asks the registrar at that address.
//! `cargo run --example std -- announced EchoPool` asks the first one that announces itself on the
//! local network. The driver to copy is `driver.rs`; `resolver_level` and `session_level` do more
//! with it.
#![allow(clippy::std_instead_of_alloc, reason = "programs have `std`")]

pub(crate) mod driver;

use core::error::Error;
use core::fmt::Write;
use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;
use std::env;
use std::process::{self, ExitCode};

use asap_pu::{Config, Event, Registrar, ResolveError};
use driver::Driver;

/// Where registrars announce themselves: the group of the implementation that is in use. IANA has
/// assigned 224.0.1.185.
const ANNOUNCES: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 0, 0, 50), 3863);

/// How long closing in good order may take.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    let outcome = match &args[..] {
        [registrar, pool] => run(registrar, (ANNOUNCES, Ipv4Addr::UNSPECIFIED), pool),
        _ => Err("usage: std REGISTRAR-ADDRESS|announced POOL-HANDLE".into()),
    };
    match outcome {
        Ok(listing) => print!("{listing}"),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Lists the pool, as `registrar` knows it. Where that is `announced`, listens to the `group` at an
/// interface.
pub(crate) fn run(
    registrar: &str,
    (group, interface): (SocketAddrV4, Ipv4Addr),
    handle: &str,
) -> Result<String, Box<dyn Error>> {
    let mut config = Config::default();
    if registrar != "announced" {
        config.discovery.registrars.push(Registrar::tcp(registrar.parse().map_err(|_| {
            format!("{registrar} is no address of a registrar, which is like 192.0.2.1:3863")
        })?));
    }
    let mut driver = Driver::new(config, process::id().into())?;
    if registrar == "announced" {
        driver
            .listen(group, interface)
            .map_err(|error| format!("listening to {group}: {error}"))?;
    }
    let now = driver.now();
    driver.user().resolve(now, handle)?;
    let pool = loop {
        match driver.event(Duration::MAX) {
            Some(Event::Resolved { pool, .. }) => break pool,
            Some(Event::ResolutionFailed { error: ResolveError::NoRegistrarKnown, .. }) => {
                return Err(format!("no registrar has announced itself to {group} in time").into());
            }
            Some(Event::ResolutionFailed { error, .. }) => return Err(error.into()),
            Some(Event::NoRegistrarReachable) => return Err(driver.no_registrar().into()),
            _ => {}
        }
    };
    let mut listing = String::new();
    if let Some(pool) = driver.user().pool(pool) {
        for element in pool.elements() {
            let at: Vec<_> = element.transport().to_owned().socket_addrs().collect();
            writeln!(listing, "{}: {at:?}", element.identifier())?;
        }
    }
    driver.shut_down(PATIENCE);
    Ok(listing)
}
