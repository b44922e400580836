//! A conversation with a pool, as if it were one server that does not die.
//!
//! `cargo run --example tokio -- 192.0.2.1:3863 EchoPool` sends each line of the standard input to
//! a pool whose elements answer a line with a line, and prints the answers. Kill the element that
//! serves it: the conversation goes on at another one, and what was not answered is sent again.
//!
//! `cargo run --example tokio -- 192.0.2.1:3864 EchoPool pr.example ca.pem` asks the registrar over
//! TLS, and believes it only if a certificate that the ones in `ca.pem` vouch for says that it is
//! `pr.example`.

use std::collections::VecDeque;
use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::process::{self, ExitCode};
use std::time::Duration;

use asap_pu::{Config, Event, Failover, Registrar, UndeliveredReason};
use asap_pu_tokio::tcp::Driver;
use asap_pu_tokio::trust;
use rustls::ClientConfig;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};
use tokio::runtime::Builder;

/// How long an element has for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long an answer may be.
const MAX_LINE: usize = 4096;

/// How many lines may wait for their answer; then no more are read.
const MAX_WAITING: usize = 64;

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let outcome = runtime.block_on(async {
        let (driver, pool) = match args[..] {
            [registrar, pool] => (driver(registrar, None)?, pool),
            [registrar, pool, identity, path] => {
                (driver(registrar, Some((identity, trust(path.as_ref())?)))?, pool)
            }
            _ => return Err("usage: tokio REGISTRAR-ADDRESS POOL-HANDLE [IDENTITY CA-FILE]".into()),
        };
        converse(driver, pool, BufReader::new(tokio::io::stdin()), |line| println!("{line}")).await
    });
    // Not to wait for one more line of input.
    runtime.shutdown_background();
    if let Err(error) = outcome {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// A driver that knows one registrar, by its address and, for TLS, by its identity.
pub(crate) fn driver(
    registrar: &str,
    tls: Option<(&str, ClientConfig)>,
) -> Result<Driver, Box<dyn Error>> {
    let at: SocketAddr = registrar.parse().map_err(|_| {
        format!("{registrar} is no address of a registrar, which is like 192.0.2.1:3863")
    })?;
    let (mut config, registrar) = (Config::default(), Registrar::tcp(at));
    let seed = process::id().into();
    Ok(match tls {
        None => {
            config.discovery.registrars.push(registrar);
            Driver::new(config, seed)?
        }
        Some((identity, tls)) => {
            config.discovery.registrars.push(registrar.with_tls(identity));
            Driver::new(config, seed)?.with_tls(tls)
        }
    })
}

/// Sends the pool all `lines`, hands each answer on, and shuts the driver down.
pub(crate) async fn converse(
    mut driver: Driver,
    handle: &str,
    lines: impl AsyncBufRead + Unpin,
    answered: impl FnMut(&str),
) -> Result<(), Box<dyn Error>> {
    let outcome = exchange(&mut driver, handle, lines, answered).await;
    driver.shut_down(PATIENCE).await;
    outcome
}

async fn exchange(
    driver: &mut Driver,
    handle: &str,
    lines: impl AsyncBufRead + Unpin,
    mut answered: impl FnMut(&str),
) -> Result<(), Box<dyn Error>> {
    let now = driver.now();
    let session = driver.user().open_session(now, handle, Default::default())?;
    let (mut lines, mut is_over) = (lines.lines(), false);
    let (mut waiting, mut received) = (VecDeque::new(), Vec::new());
    let mut due = now + PATIENCE;
    while !is_over || !waiting.is_empty() {
        let left = due.since(driver.now());
        let event = tokio::select! {
            line = lines.next_line(), if !is_over && waiting.len() < MAX_WAITING => {
                match line? {
                    Some(line) => {
                        // An element may see it twice, but it is not lost while one is left.
                        let (now, line) = (driver.now(), format!("{line}\n"));
                        // More to answer does not buy more time.
                        if waiting.is_empty() {
                            due = now + PATIENCE;
                        }
                        waiting.push_back(driver.user().session_mut(now, session)?.send(line, Failover::Unconfirmed)?);
                    }
                    None => is_over = true,
                }
                continue;
            }
            event = driver.event(left) => event,
        };
        let now = driver.now();
        due = now + PATIENCE;
        match event {
            Some(Event::RegistrarFound { transport, authentication, .. }) => {
                let at: Vec<_> = transport.socket_addrs().collect();
                eprintln!("registrar: {at:?}, authentication: {authentication:?}");
            }
            Some(Event::Connected { element: Some(element), .. }) => {
                eprintln!("element: {element}")
            }
            Some(Event::Received { data, .. }) if received.len() < MAX_LINE => {
                received.extend_from_slice(&data);
                while let Some(end) = received.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<_> = received.drain(..=end).collect();
                    answered(String::from_utf8_lossy(&line).trim_end());
                    if let Some(message) = waiting.pop_front() {
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
            }
            // It waited for an element for as long as it may, or went to one after the other. What
            // ended the session is told by that.
            Some(Event::Returned { reason, .. } | Event::Lost { reason, .. })
                if reason != UndeliveredReason::SessionEnded =>
            {
                return Err(format!("a line was not answered: {reason}").into());
            }
            Some(Event::SessionEnded { error, .. }) => {
                return Err(error.map_or("the session was closed".into(), Into::into));
            }
            Some(Event::NoRegistrarReachable) => return Err(driver.no_registrar().into()),
            None if waiting.is_empty() => {}
            // No line comes, or no end of it: the element is as good as dead. In a pause there is
            // none to be given up.
            None | Some(Event::Received { .. }) => {
                let _ = driver.user().session_mut(now, session)?.give_up();
            }
            Some(_) => {}
        }
    }
    Ok(())
}
