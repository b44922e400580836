//! A pool user over SCTP that does what it is told: commands on standard input, one a line, what
//! comes of them on standard output.
//!
//! `cargo run --example sctp` listens to the registrars that announce themselves;
//! `cargo run --example sctp -- 10.0.0.1,fd00::1:3863` has one with two addresses instead. Then for
//! instance `resolve EchoPool`, `select EchoPool 3`, or `open EchoPool`, `send hello`. Where the kernel
//! has no SCTP it goes in user space over UDP; `--encapsulate`, `--encapsulate=PORT` and `--raw`
//! before the registrars want that in any case, the last one over plain IP. `interop/` runs it
//! against real registrars and elements.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::mpsc::{self, TryRecvError};
use std::time::Duration;
use std::{env, io, process, thread};

use asap_pu::wire::{PeIdentifier, Transport, TransportUse};
use asap_pu::{Config, Event, Failover, MessageId, PoolId, Registrar, SessionId};
use asap_pu_tokio::any_sctp::Driver;
use asap_pu_tokio::sctp_userspace::{Carrier, UDP_PORT};
use asap_pu_tokio::{ANNOUNCE_GROUP, ANNOUNCE_GROUP_V6};

const USAGE: &str = "usage: sctp [--encapsulate[=PORT] | --raw] [ADDRESS,...:PORT]...";

const COMMANDS: &str = "\
resolve HANDLE             who is in the pool
select HANDLE [N]          choose one element by the pool's policy, or N different ones
report HANDLE ELEMENT      it could not be reached: tell the registrar
trust HANDLE ELEMENT       it can be used again
purge HANDLE               forget what is known of the pool
subscribe HANDLE           keep the pool up to date
open HANDLE                a session with the pool; those below act on it
open ADDRESS,...:PORT      a session with whatever is there
send TEXT                  send a message, again if it was not delivered
ask TEXT                   send one, again and again until `answered`
answered                   the messages sent before have been dealt with
hex BYTES                  the same, the message in hexadecimal
flood N                    send N messages of a thousand bytes, each at most once
ppid NUMBER                mark data with this payload protocol identifier
leave                      the element has failed: go to another one
close                      end the session
stats                      the counters that are not zero
wait SECONDS               read no command for so long
quit                       shut down; so does the end of the input";

/// How often commands are looked for.
const TURN: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(5);

/// A pool user at a prompt.
struct Prompt {
    driver: Driver,
    session: Option<SessionId>,
    /// What was sent and not yet `answered`.
    sent: Vec<MessageId>,
}

fn main() {
    if let Err(error) = run() {
        eprintln!("sctp: {error}");
        process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    let mut carrier = None;
    for argument in env::args().skip(1) {
        match argument.strip_prefix("--") {
            Some("encapsulate") => carrier = Some(Carrier::Udp(UDP_PORT)),
            Some("raw") => carrier = Some(Carrier::Ip),
            Some(option) => {
                let port = option.strip_prefix("encapsulate=").ok_or(USAGE)?;
                carrier = Some(Carrier::Udp(port.parse()?));
            }
            None => {
                let (port, addresses) = parse(&argument).ok_or(USAGE)?;
                config.discovery.registrars.push(Registrar::sctp(port, addresses));
            }
        }
    }
    let discover = config.discovery.registrars.is_empty();
    let mut driver = Driver::new(config, process::id().into(), carrier)?;
    eprintln!("sctp: {driver}");
    if discover {
        driver.listen(ANNOUNCE_GROUP, Ipv4Addr::UNSPECIFIED)?;
        // Where there is IPv6.
        let _ = driver.listen(ANNOUNCE_GROUP_V6, Ipv4Addr::UNSPECIFIED);
    }
    let (to_commands, commands) = mpsc::sync_channel(1);
    thread::spawn(move || {
        io::stdin().lines().map_while(Result::ok).all(|line| to_commands.send(line).is_ok())
    });
    let mut prompt = Prompt { driver, session: None, sent: Vec::new() };
    loop {
        let turn = match commands.try_recv() {
            Ok(line) if line == "quit" => break,
            Ok(line) => prompt.obey(&line).unwrap_or_else(|error| {
                println!("refused {line}: {error}");
                TURN
            }),
            Err(TryRecvError::Empty) => TURN,
            Err(TryRecvError::Disconnected) => break,
        };
        prompt.attend(turn);
    }
    match prompt.driver.shut_down(PATIENCE) {
        true => Ok(()),
        false => Err("not everything could be closed in good order".into()),
    }
}

impl Prompt {
    /// Does what a command says; how long to wait for the next one.
    fn obey(&mut self, line: &str) -> Result<Duration, Box<dyn Error>> {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<_> = rest.split_whitespace().collect();
        let now = self.driver.now();
        match (command, &words[..]) {
            ("resolve", [handle]) => drop(self.driver.user().resolve(now, *handle)?),
            ("select", [handle]) => self.select(handle, 1)?,
            ("select", [handle, wanted]) => self.select(handle, wanted.parse()?)?,
            ("report", [handle, element]) => {
                let pool = self.pool(handle)?;
                self.driver.user().pool_mut(now, pool)?.report_unreachable(identifier(element)?)?;
            }
            ("trust", [handle, element]) => {
                let pool = self.pool(handle)?;
                self.driver.user().pool_mut(now, pool)?.clear_failure(identifier(element)?);
            }
            ("purge", [handle]) => {
                let pool = self.pool(handle)?;
                self.driver.user().pool_mut(now, pool)?.purge();
            }
            ("subscribe", [handle]) => self.driver.user().subscribe(now, *handle)?,
            ("open", [to]) => self.open(to)?,
            ("send", [_, ..]) => self.send(rest.as_bytes().to_vec(), Failover::Undelivered)?,
            ("hex", _) => {
                self.send(unhex(rest).ok_or("not hexadecimal")?, Failover::Undelivered)?
            }
            ("ask", [_, ..]) => self.send(rest.as_bytes().to_vec(), Failover::Unconfirmed)?,
            ("answered", []) => {
                let session = self.session()?;
                for message in self.sent.drain(..) {
                    self.driver.user().session_mut(now, session)?.confirm(message);
                }
            }
            ("flood", [number]) => {
                for n in 0..number.parse::<u8>()? {
                    self.send(vec![n; 1_000], Failover::Unsent)?;
                }
            }
            ("ppid", [number]) => self.driver.mark_data(number.parse()?)?,
            ("leave", []) => {
                let session = self.session()?;
                self.driver.user().session_mut(now, session)?.give_up()?;
            }
            ("close", []) => {
                let session = self.session()?;
                self.driver.user().session_mut(now, session)?.close()?;
            }
            ("stats", []) => println!("{}", self.stats()),
            ("wait", [seconds]) => return Ok(Duration::try_from_secs_f64(seconds.parse()?)?),
            _ => println!("{COMMANDS}"),
        }
        Ok(TURN)
    }

    /// Tells what happens in the time given.
    fn attend(&mut self, turn: Duration) {
        let end = self.driver.now() + turn;
        while let Some(event) = self.driver.event(end.since(self.driver.now())) {
            self.tell(event);
        }
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::RegistrarFound { transport, .. } => {
                println!("registrar {}", places(&transport));
            }
            Event::NoRegistrarReachable => println!("{event:?}: {}", self.driver.no_registrar()),
            Event::Resolved { pool, .. } => self.show(pool),
            Event::ResolutionFailed { handle, error, .. } => println!("failed {handle}: {error}"),
            Event::PoolChanged { pool, joined, left, altered, .. } => {
                println!("changed: {joined} joined, {left} left, {altered} altered");
                self.show(pool);
            }
            Event::Connected { element, .. } => println!("connected {}", name(element)),
            Event::ElementLost { element, reason, .. } => {
                println!("lost {}: {reason}", name(element));
                if let Some(why) = self.driver.element_failure() {
                    println!("the last to fail was {why}");
                }
            }
            Event::FailedOver { from, to, cookie_echoed, .. } => {
                let cookie = if cookie_echoed { "cookie echoed" } else { "no cookie" };
                println!("failed over from {} to {to}, {cookie}", name(from));
            }
            Event::Received { element, data, .. } => {
                let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
                println!("received {} {hex} {}", name(element), data.escape_ascii());
            }
            Event::SessionEnded { error, .. } => match error {
                None => println!("closed"),
                Some(error) => println!("session failed: {error}"),
            },
            other => println!("{other:?}"),
        }
    }

    fn show(&mut self, pool: PoolId) {
        let Some(pool) = self.driver.user().pool(pool) else { return };
        let own = if pool.follows_policy() { "" } else { ", taken in order" };
        println!("pool {}: policy {}{own}", pool.handle(), pool.policy());
        for element in pool.elements() {
            println!("  {} at {}", element.identifier(), places(&element.transport().to_owned()));
        }
    }

    fn select(&mut self, handle: &str, wanted: usize) -> Result<(), Box<dyn Error>> {
        let (now, pool) = (self.driver.now(), self.pool(handle)?);
        let chosen = self.driver.user().pool_mut(now, pool)?.select_several(wanted, &[]);
        let chosen: Vec<_> = chosen.iter().map(|e| e.identifier().to_string()).collect();
        println!("selected {handle}: {}", chosen.join(" "));
        Ok(())
    }

    fn open(&mut self, to: &str) -> Result<(), Box<dyn Error>> {
        let (now, options) = (self.driver.now(), Default::default());
        self.session = Some(match parse(to) {
            Some((port, addresses)) => {
                let to = Transport::sctp(port, TransportUse::DATA_ONLY, addresses);
                self.driver.user().open_session_at(now, to, options)?
            }
            None => self.driver.user().open_session(now, to, options)?,
        });
        Ok(())
    }

    fn send(&mut self, data: Vec<u8>, failover: Failover) -> Result<(), Box<dyn Error>> {
        let (now, session) = (self.driver.now(), self.session()?);
        self.sent.push(self.driver.user().session_mut(now, session)?.send(data, failover)?);
        Ok(())
    }

    fn session(&self) -> Result<SessionId, &'static str> {
        self.session.ok_or("no session is open")
    }

    fn pool(&mut self, handle: &str) -> Result<PoolId, &'static str> {
        self.driver.user().find_pool(handle.as_bytes()).ok_or("resolve it first")
    }

    /// The counters that count something, from their own debug output.
    fn stats(&mut self) -> String {
        let all = format!("{:?}", self.driver.user().stats());
        let fields = all.trim_start_matches("Stats { ").trim_end_matches(" }").split(", ");
        let counted: Vec<_> = fields.filter(|field| !field.ends_with(": 0")).collect();
        format!("stats {}", counted.join(", "))
    }
}

/// A port and the addresses in front of it.
fn parse(text: &str) -> Option<(u16, Vec<IpAddr>)> {
    let (addresses, port) = text.rsplit_once(':')?;
    let addresses: Result<_, _> = addresses.split(',').map(str::parse).collect();
    Some((port.parse().ok()?, addresses.ok()?))
}

/// What an element is called; whatever is at an address has no name.
fn name(element: Option<PeIdentifier>) -> String {
    element.map_or_else(|| "-".into(), |element| element.to_string())
}

fn identifier(text: &str) -> Result<PeIdentifier, Box<dyn Error>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    Ok(PeIdentifier::new(u32::from_str_radix(digits, 16)?))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

fn places(transport: &Transport) -> String {
    let places: Vec<_> = transport.socket_addrs().map(|at: SocketAddr| at.to_string()).collect();
    places.join(" ")
}
