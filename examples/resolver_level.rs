//! The resolver level (RFC 5351 §4.1): the application owns its connections, and asks whom to
//! connect to.
//!
//! `cargo run --example resolver_level -- 192.0.2.1:3863 EchoPool` exchanges a line with an element
//! of the pool. One that fails is reported, and the next one is taken in the same step. To copy it,
//! take `std/driver.rs` along and replace `talk`.
#![allow(clippy::std_instead_of_alloc, reason = "programs have `std`")]

#[path = "std/driver.rs"]
mod driver;

use core::error::Error;
use core::time::Duration;
use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{self, ExitCode};

use asap_pu::{Config, Event, PoolId, Registrar, wire::Transport};
use driver::Driver;

/// How long things may take that are not the pool user's.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer may be.
const MAX_LINE: u64 = 4096;

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    let outcome = match &args[..] {
        [registrar, pool] => run(registrar, pool),
        _ => Err("usage: resolver_level REGISTRAR-ADDRESS POOL-HANDLE".into()),
    };
    match outcome {
        Ok(answer) => print!("{answer}"),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

pub(crate) fn run(registrar: &str, handle: &str) -> Result<String, Box<dyn Error>> {
    let mut config = Config::default();
    config.discovery.registrars.push(Registrar::tcp(registrar.parse().map_err(|_| {
        format!("{registrar} is no address of a registrar, which is like 192.0.2.1:3863")
    })?));
    let mut driver = Driver::new(config, process::id().into())?;
    let now = driver.now();
    driver.user().resolve(now, handle)?;
    let pool = loop {
        match driver.event(Duration::MAX) {
            Some(Event::Resolved { pool, .. }) => break pool,
            Some(Event::ResolutionFailed { error, .. }) => return Err(error.into()),
            Some(Event::NoRegistrarReachable) => return Err(driver.no_registrar().into()),
            _ => {}
        }
    };
    let answer = converse(&mut driver, pool);
    driver.shut_down(PATIENCE); // the reports go out
    answer
}

/// Goes from one element to the next until one answers.
fn converse(driver: &mut Driver, pool: PoolId) -> Result<String, Box<dyn Error>> {
    let now = driver.now();
    let mut chosen = driver.user().pool_mut(now, pool)?.select(&[])?; // get primary
    for _ in 0..8 {
        let (element, transport) = (chosen.identifier(), chosen.transport().to_owned());
        match talk(&transport) {
            Ok(answer) => return Ok(answer),
            Err(_) => {
                let now = driver.now();
                chosen = driver.user().pool_mut(now, pool)?.fail_over(element)?; // get next
            }
        }
    }
    Err("no element answers".into())
}

fn talk(to: &Transport) -> io::Result<String> {
    let at = to.socket_addrs().next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"hello\n")?;
    let mut answer = String::new();
    BufReader::new(stream.take(MAX_LINE)).read_line(&mut answer)?;
    match answer.ends_with('\n') {
        true => Ok(answer),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
