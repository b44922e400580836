//! The session level (RFC 5351 §4.2): a pool is used as if it were one server that does not die.
//!
//! `cargo run --example session_level -- 192.0.2.1:3863 EchoPool one two three` sends three lines
//! to a pool whose elements answer each line with a line, and prints the answers. Kill the element
//! that serves it: the session goes on at another one, and the lines that were not answered are
//! sent again. To copy it, take `std/driver.rs` along.
#![allow(clippy::std_instead_of_alloc, reason = "programs have `std`")]

#[path = "std/driver.rs"]
mod driver;

use core::error::Error;
use core::time::Duration;
use std::collections::VecDeque;
use std::env;
use std::process::{self, ExitCode};

use asap_pu::{Config, Event, Failover, MessageId, Registrar, SessionId, UndeliveredReason};
use driver::Driver;

/// How long an element has for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long an answer may be.
const MAX_LINE: usize = 4096;

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    let outcome = match &args[..] {
        [registrar, pool, lines @ ..] => {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            run(registrar, pool, &lines, |answer| println!("{answer}"))
        }
        _ => Err("usage: session_level REGISTRAR-ADDRESS POOL-HANDLE LINE...".into()),
    };
    if let Err(error) = outcome {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Sends `lines` to the pool, and hands each answer on.
pub(crate) fn run(
    registrar: &str,
    handle: &str,
    lines: &[&str],
    answered: impl FnMut(&str),
) -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.discovery.registrars.push(Registrar::tcp(registrar.parse().map_err(|_| {
        format!("{registrar} is no address of a registrar, which is like 192.0.2.1:3863")
    })?));
    let mut driver = Driver::new(config, process::id().into())?;
    let outcome = converse(&mut driver, handle, lines, answered);
    driver.shut_down(PATIENCE);
    outcome
}

fn converse(
    driver: &mut Driver,
    handle: &str,
    lines: &[&str],
    mut answered: impl FnMut(&str),
) -> Result<(), Box<dyn Error>> {
    let now = driver.now();
    let session = driver.user().open_session(now, handle, Default::default())?;
    let mut waiting = VecDeque::new();
    for line in lines {
        waiting.push_back(send(driver, session, line)?);
    }
    let mut received = Vec::new();
    while !waiting.is_empty() {
        match driver.event(PATIENCE) {
            Some(Event::Received { data, .. }) if received.len() < MAX_LINE => {
                received.extend_from_slice(&data);
                while let Some(end) = received.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<_> = received.drain(..=end).collect();
                    answered(String::from_utf8_lossy(&line).trim_end());
                    if let Some(message) = waiting.pop_front() {
                        // It has been dealt with: no other element needs to see it.
                        let now = driver.now();
                        driver.user().session_mut(now, session)?.confirm(message);
                    }
                }
            }
            // A line that was half received will be received again whole.
            Some(Event::FailedOver { .. }) => received.clear(),
            Some(Event::SessionEnded { error, .. }) => {
                return Err(error.map_or("the session was closed".into(), Into::into));
            }
            // It waited for an element for as long as it may, or went to one after the other. What
            // ended the session is told by that.
            Some(Event::Returned { reason, .. } | Event::Lost { reason, .. })
                if reason != UndeliveredReason::SessionEnded =>
            {
                return Err(format!("a line was not answered: {reason}").into());
            }
            Some(Event::NoRegistrarReachable) => return Err(driver.no_registrar().into()),
            // No line comes, or no end of it: the element is as good as dead. In a pause there is
            // none to be given up.
            None | Some(Event::Received { .. }) => {
                let now = driver.now();
                let _ = driver.user().session_mut(now, session)?.give_up();
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// A line that is sent until it is answered: an element may see it twice, but it is never lost
/// while one is left.
fn send(driver: &mut Driver, session: SessionId, line: &str) -> Result<MessageId, Box<dyn Error>> {
    let now = driver.now();
    Ok(driver.user().session_mut(now, session)?.send(format!("{line}\n"), Failover::Unconfirmed)?)
}
