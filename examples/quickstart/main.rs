//! The crate at work, on this machine and with nothing else installed.
//!
//! ```text
//! cargo run --example quickstart
//! ```
//!
//! Three servers count requests. They make up a *pool* by the name of "counter", and a *registrar*
//! knows who they are. An *application* wants its requests counted and does not care by which of
//! them: it leaves that to a *pool user*, the subject of this crate, which finds a registrar, has
//! the pool resolved, chooses one of its *elements*, and another one when that fails.
//!
//! All of them speak ASAP (RFC 5352), byte for byte and over sockets. `run` tells the story; the
//! module `driver` is what a program of your own needs too.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc, reason = "programs have `std`")]

mod cast;
mod driver;
mod element;
mod frame;
mod ladder;
mod peer;
mod registrar;
mod summary;
mod tape;

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use asap_pu::wire::PeIdentifier;
use asap_pu::{CommandError, Config, Event, Failover, Instant, SessionId, SessionOptions};

use cast::{Cast, DEAD, POOL};
use driver::Driver;
use element::{Fate, number_in};
use ladder::Ladder;
use summary::Outcome;

const USAGE: &str = "\
A pool user, a registrar and three pool elements meet on this machine.

Usage: cargo run --example quickstart -- [--seed N] [--pcap FILE]

  --seed N      makes the pool user choose as it did in another run with N (default: 1)
  --pcap FILE   writes what it exchanged with others, for Wireshark
  --help        prints this";

/// How long the application waits for anything before it does something about it.
const PATIENCE: Duration = Duration::from_secs(2);

type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    let (mut seed, mut pcap) = (Some(1), None);
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (&argument[..], arguments.next()) {
            ("--seed", Some(value)) => seed = value.parse().ok(),
            ("--pcap", Some(value)) => pcap = Some(value),
            ("--help", None) => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            _ => seed = None,
        }
    }
    let Some(seed) = seed else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let mut out = io::stdout();
    let colour = out.is_terminal();
    let told = run(seed, colour, &mut out).and_then(|(is_complete, capture)| {
        pcap.map_or(Ok(()), |file| fs::write(file, capture))?;
        Ok(is_complete)
    });
    match told {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the story broke off: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tells the story to `out`; whether all of it happened, and a capture of it.
pub(crate) fn run(
    seed: u64,
    colour: bool,
    out: &mut dyn Write,
) -> Result<(bool, Vec<u8>), Failure> {
    let cast = Cast::assemble()?;
    let ladder = Ladder::new(out, colour, cast.parties());
    let mut story = Story::begin(seed, ladder)?;

    story.find_home(&cast)?;
    let session = story.open_session()?;
    story.count_requests(session, 3)?;

    story.chapter("Its element is killed; another one goes on from the cookie (§3.8)");
    cast.strike(story.element(session)?, Fate::Die);
    story.count_requests(session, 2)?;

    story.chapter("That one hangs; the application gives it up");
    cast.strike(story.element(session)?, Fate::Hang);
    story.count_requests(session, 2)?;

    story.ask_for_nobody()?;
    story.end(session, cast)
}

/// The application: its driver, and what it heard.
struct Story<'a> {
    driver: Driver<'a>,
    events: Vec<Event>,
    counts: Vec<u32>,
}

impl<'a> Story<'a> {
    fn begin(seed: u64, mut ladder: Ladder<'a>) -> Result<Self, Failure> {
        ladder.title(seed);
        let mut config = Config::default();
        config.discovery.registrars = DEAD.map(asap_pu::Registrar::tcp).to_vec();
        config.discovery.accept_announces = false;
        let driver = Driver::new(config, seed, ladder)?;
        Ok(Self { driver, events: Vec::new(), counts: Vec::new() })
    }

    /// Two registrars are configured, and dead. A third one becomes known while they are tried: a
    /// hunt tries three at once.
    fn find_home(&mut self, cast: &Cast) -> Result<(), Failure> {
        self.chapter("The pool user hunts for a home registrar (RFC 5352 §3.6)");
        let now = self.command("start", "two registrars are configured");
        self.driver.pool_user.registrars_mut(now).find_home();
        let now = self.command("add_registrar", "a third became known");
        let third = asap_pu::Registrar::tcp(cast.registrar.address);
        self.driver.pool_user.registrars_mut(now).add(third)?;
        self.wait_for(|event| matches!(event, Event::RegistrarFound { .. }))
    }

    fn open_session(&mut self) -> Result<SessionId, Failure> {
        self.chapter("It resolves a pool (§3.3) and keeps a session with one of its elements");
        let now = self.command("open_session", &format!("{POOL:?}"));
        let session = self.driver.pool_user.open_session(now, POOL, SessionOptions::default())?;
        self.wait_for(|event| matches!(event, Event::Connected { .. }))?;
        Ok(session)
    }

    fn count_requests(&mut self, session: SessionId, requests: usize) -> Result<(), Failure> {
        for _ in 0..requests {
            let count = self.request(session)?;
            self.counts.push(count);
        }
        Ok(())
    }

    /// Has one request counted, by whichever element it comes to in the end.
    fn request(&mut self, session: SessionId) -> Result<u32, Failure> {
        let message = self
            .driver
            .pool_user
            .session_mut(self.driver.now(), session)?
            .send("hello", Failover::Unconfirmed)?;
        loop {
            match self.hear() {
                Some(Event::Received { data, .. }) => {
                    // It has arrived, and need not be sent again if the element fails later.
                    self.driver.pool_user.session_mut(self.driver.now(), session)?.confirm(message);
                    return Ok(number_in(&data).ok_or("an answer without a number")?);
                }
                Some(Event::SessionEnded { error, .. }) => {
                    return Err(format!("the session is over: {error:?}").into());
                }
                Some(_) => {}
                None => {
                    let now = self.command("give_up", "no answer");
                    self.driver.pool_user.session_mut(now, session)?.give_up()?;
                }
            }
        }
    }

    fn ask_for_nobody(&mut self) -> Result<(), Failure> {
        self.chapter("A pool that nobody has heard of");
        let now = self.command("resolve", "\"nobody\"");
        self.driver.pool_user.resolve(now, "nobody")?;
        self.wait_for(|event| matches!(event, Event::ResolutionFailed { .. }))
    }

    /// Closes everything, and compares what the pool user told with what the others saw.
    fn end(mut self, session: SessionId, cast: Cast) -> Result<(bool, Vec<u8>), Failure> {
        self.chapter("The end");
        let now = self.command("close", "the session");
        self.driver.pool_user.session_mut(now, session)?.close()?;
        self.wait_for(|event| matches!(event, Event::SessionEnded { .. }))?;
        let now = self.command("shut_down", "");
        self.driver.pool_user.shut_down(now);
        while self.hear().is_some() {}

        let Self { driver, events, counts } = self;
        let (pool_user, mut ladder, tape) = driver.stop();
        let (registrar, elements) = cast.dismiss()?;
        let outcome = Outcome { pool_user, events, counts, registrar, elements };
        Ok((outcome.show(&mut ladder), tape.end()))
    }

    /// The element that the session is at.
    fn element(&self, session: SessionId) -> Result<PeIdentifier, CommandError> {
        self.driver
            .pool_user
            .session(session)
            .and_then(|session| session.element())
            .ok_or(CommandError::NotConnected)
    }

    /// Shows a call of the application, and says when that was.
    fn command(&mut self, call: &str, detail: &str) -> Instant {
        let now = self.driver.now();
        self.driver.ladder.command(now, call, detail);
        now
    }

    fn chapter(&mut self, title: &str) {
        self.driver.ladder.chapter(title);
    }

    /// What the pool user tells next; `None` if patience or the whole run is over.
    fn hear(&mut self) -> Option<Event> {
        let event = self.driver.next_event(Some(self.driver.now() + PATIENCE));
        self.events.extend(event.clone());
        event
    }

    /// Waits for one event, whatever else is told before.
    fn wait_for(&mut self, wanted: impl Fn(&Event) -> bool) -> Result<(), Failure> {
        loop {
            let event = self.hear().ok_or("nothing happened")?;
            if wanted(&event) {
                return Ok(());
            }
        }
    }
}
