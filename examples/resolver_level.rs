//! The resolver level (RFC 5351 §4.1): the application owns its connections, and asks whom to
//! connect to.
//!
//! `cargo run --example resolver_level -- 192.0.2.1:3863 EchoPool` exchanges a line with an element
//! of the pool. One that fails is reported, and the next one is taken in the same step. To copy it,
//! take `tcp` along and replace `talk`.
#![allow(clippy::std_instead_of_alloc, reason = "programs have `std`")]

mod tcp;

use core::error::Error;
use core::time::Duration;
use std::env;
use std::io::{self, BufRead, BufReader, Write};

use asap_pu::{Config, Event, Registrar, wire::Transport};
use tcp::Driver;

fn main() -> Result<(), Box<dyn Error>> {
    let given = env::args().nth(1).zip(env::args().nth(2));
    let (registrar, pool) = given.ok_or("usage: resolver_level REGISTRAR-ADDRESS POOL-HANDLE")?;
    run(&registrar, &pool).map(|answer| print!("{answer}"))
}

pub(crate) fn run(registrar: &str, handle: &str) -> Result<String, Box<dyn Error>> {
    let mut config = Config::default();
    config.registrars.push(Registrar::tcp(registrar.parse()?));
    let mut driver = Driver::new(config)?;
    driver.user.resolve(driver.now(), handle)?;
    let pool = loop {
        match driver.event(Duration::MAX) {
            Some(Event::Resolved { pool, .. }) => break pool,
            Some(Event::ResolutionFailed { error, .. }) => return Err(error.into()),
            _ => {}
        }
    };
    let now = driver.now();
    let mut chosen = driver.user.select(now, pool, &[])?; // get primary
    for _ in 0..8 {
        let (element, transport) = (chosen.identifier(), chosen.transport().to_owned());
        driver.act(); // the report of the former one goes out
        match talk(&transport) {
            Ok(answer) => return Ok(answer),
            Err(_) => chosen = driver.user.fail_over(now, pool, element)?, // get next
        }
    }
    Err("no element answers".into())
}

fn talk(to: &Transport) -> io::Result<String> {
    let (mut stream, mut answer) = (tcp::dial(to)?, String::new());
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"hello\n")?;
    match BufReader::new(stream).read_line(&mut answer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(answer),
    }
}
