//! A conversation with a pool, in one thread and without a runtime.
//!
//! `cargo run --example mio -- 192.0.2.1:3863 EchoPool` sends each line of the standard input to
//! a pool whose elements answer a line with a line, and prints the answers. Kill the element that serves it: the
//! conversation goes on at another one. The driver to copy is `driver.rs`.

pub(crate) mod driver;

use std::env;
use std::error::Error;
use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::process::{self, ExitCode};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::Duration;

use asap_pu::{Config, Event, Failover, Registrar, UndeliveredReason};
use driver::Driver;

/// How long an element has for an answer, and closing in good order may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long an answer may be.
const MAX_LINE: usize = 4096;

/// How many lines are read ahead.
const MAX_LINES: usize = 16;

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    let outcome = match &args[..] {
        [registrar, pool] => driver(registrar).and_then(|driver| {
            let lines = read_lines(&driver)?;
            converse(driver, pool, &lines, |answer| println!("{answer}"))
        }),
        _ => Err("usage: mio REGISTRAR-ADDRESS POOL-HANDLE".into()),
    };
    if let Err(error) = outcome {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// A driver that knows one registrar, by its address.
pub(crate) fn driver(registrar: &str) -> Result<Driver, Box<dyn Error>> {
    let at: SocketAddr = registrar.parse().map_err(|_| {
        format!("{registrar} is no address of a registrar, which is like 192.0.2.1:3863")
    })?;
    let mut config = Config::default();
    config.discovery.registrars.push(Registrar::tcp(at));
    Ok(Driver::new(config, process::id().into())?)
}

/// The lines of the standard input, for which the driver is woken. Not everything that this can be is
/// something that `mio` can wait for: hence a thread, of the application and not of the driver.
fn read_lines(driver: &Driver) -> io::Result<Receiver<String>> {
    let (to_lines, lines) = mpsc::sync_channel(MAX_LINES);
    let waker = driver.waker();
    thread::Builder::new().spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if to_lines.send(line).is_err() || waker.wake().is_err() {
                return;
            }
        }
        drop(to_lines);
        let _ = waker.wake();
    })?;
    Ok(lines)
}

/// Sends the pool all `lines`, each when the one before is answered, hands each answer on, and shuts the
/// driver down.
pub(crate) fn converse(
    mut driver: Driver,
    handle: &str,
    lines: &Receiver<String>,
    answered: impl FnMut(&str),
) -> Result<(), Box<dyn Error>> {
    let outcome = exchange(&mut driver, handle, lines, answered);
    driver.shut_down(PATIENCE);
    outcome
}

fn exchange(
    driver: &mut Driver,
    handle: &str,
    lines: &Receiver<String>,
    mut answered: impl FnMut(&str),
) -> Result<(), Box<dyn Error>> {
    let now = driver.now();
    let session = driver.user().open_session(now, handle, Default::default())?;
    let (mut waiting, mut due, mut received) = (None, now, Vec::new());
    loop {
        if waiting.is_none() {
            match lines.try_recv() {
                Ok(line) => {
                    let (now, line) = (driver.now(), format!("{line}\n"));
                    let mut session = driver.user().session_mut(now, session)?;
                    // An element may see it twice, but it is not lost while one is left.
                    waiting = Some(session.send(line, Failover::Unconfirmed)?);
                    due = now + PATIENCE;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
        let patience = waiting.map_or(Duration::MAX, |_| due.since(driver.now()));
        let event = driver.event(patience);
        let now = driver.now();
        match event {
            Some(Event::RegistrarFound { transport, .. }) => eprintln!("registrar: {transport}"),
            Some(Event::Connected { element: Some(element), .. }) => {
                eprintln!("element: {element}");
            }
            Some(Event::Received { data, .. }) if received.len() < MAX_LINE => {
                received.extend_from_slice(&data);
                while let Some(end) = received.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<_> = received.drain(..=end).collect();
                    answered(String::from_utf8_lossy(&line).trim_end());
                    if let Some(message) = waiting.take() {
                        // It has been dealt with: no other element needs to see it.
                        driver.user().session_mut(now, session)?.confirm(message);
                    }
                }
            }
            Some(Event::ElementLost { element: Some(element), reason, .. }) => {
                eprintln!("element: {element} no more: {reason}");
            }
            Some(Event::FailedOver { to, .. }) => {
                eprintln!("element: {to}");
                // A line that was half received will be received again whole.
                received.clear();
                due = now + PATIENCE;
            }
            // What ended the session is told by that.
            Some(Event::Returned { reason, .. } | Event::Lost { reason, .. })
                if reason != UndeliveredReason::SessionEnded =>
            {
                return Err(format!("a line was not answered: {reason}").into());
            }
            Some(Event::SessionEnded { error, .. }) => {
                return Err(error.map_or("the session was closed".into(), Into::into));
            }
            Some(Event::NoRegistrarReachable) => return Err(driver.no_registrar().into()),
            // No line comes, or no end of it: the element is as good as dead.
            None if waiting.is_none() || now < due => {}
            None | Some(Event::Received { .. }) => {
                let _ = driver.user().session_mut(now, session)?.give_up();
                received.clear();
                due = now + PATIENCE;
            }
            Some(_) => {}
        }
    }
}
