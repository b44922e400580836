//! What `dig` is for DNS: asks a registrar who is in a pool, and shows the answer.
//!
//! ```text
//! asap-lookup --tcp --registrar 192.0.2.1 EchoPool
//! asap-lookup EchoPool
//! ```
//!
//! The first command asks one registrar over TCP, the second, over SCTP, whichever announces itself
//! first. `options` has the command line, `answer` what is shown of a pool, `json` the same for other
//! programs, `trace` the messages in hex; the conversation with the pool user is here.

mod answer;
mod json;
mod options;
mod trace;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::mem;
use std::time::{Duration, SystemTime};

use asap_pu::wire::Transport;
use asap_pu::{Authentication, Event, Instant, Pool, PoolId, ResolveError, Stats};
use humantime::format_rfc3339_seconds;

use crate::command_line;
use crate::failure::{Failure, Status};
use crate::link::Link;
use answer::List;
use options::Options;
use trace::Trace;

/// How often what was seen is shown while nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// How long closing in good order may take.
const LINGER: Duration = Duration::from_millis(200);

/// One question and all its answers.
struct Lookup<'a, W> {
    options: &'a Options,
    out: W,
    link: Link,
    trace: Trace,
    asked: Instant,
    /// The registrar that was reached last, and when.
    home: Option<(Transport, Instant)>,
    /// What was shown last.
    list: Option<List>,
    /// Whether it was said that there is no registrar for now.
    alone: bool,
}

/// Does what the arguments say; the exit status.
pub fn run(
    arguments: impl Iterator<Item = OsString>,
    mut out: impl Write,
    mut err: impl Write,
) -> u8 {
    let options: Options = match command_line::parse(arguments, &mut out, &mut err) {
        Ok(options) => options,
        Err(status) => return status,
    };
    let lookup = Lookup::new(&options, &mut out).inspect(|lookup| {
        if let Some(choice) = lookup.link.choice() {
            let _ = writeln!(err, "asap-lookup: {choice}");
        }
    });
    match lookup.and_then(Lookup::run) {
        Ok(()) | Err(Failure { status: Status::Done, .. }) => Status::Done as u8,
        Err(Failure { status, why }) => {
            if options.json {
                let facts = [("error", why.as_str().into()), ("status", (status as u8).into())];
                let _ = writeln!(out, "{}", json::event("failed", facts));
            }
            let _ = writeln!(err, "asap-lookup: {why}");
            status as u8
        }
    }
}

impl<'a, W: Write> Lookup<'a, W> {
    fn new(options: &'a Options, out: W) -> Result<Self, Failure> {
        let link = Link::open(&options.registrars, options.config(), options.seed(), options.hex)?;
        let (trace, asked) = (Trace::default(), link.now());
        Ok(Self { options, out, link, trace, asked, home: None, list: None, alone: false })
    }

    /// Asks, and shows what comes of it until that is all.
    fn run(mut self) -> Result<(), Failure> {
        let outcome = self.converse();
        let seen = self.link.shut_down(LINGER)?;
        if self.options.hex {
            self.trace.show(seen, &mut self.out)?;
            self.trace.end(&mut self.out)?;
        }
        outcome
    }

    fn converse(&mut self) -> Result<(), Failure> {
        let (handle, now) = (&self.options.handle, self.asked);
        if self.options.watch.is_some() {
            self.link.user().subscribe(now, handle.clone())?;
        }
        self.link.user().resolve(now, handle.clone())?;
        loop {
            let event = self.link.event(TICK);
            self.show_seen()?;
            if event.map_or(Ok(false), |event| self.hear(event))? {
                return Ok(());
            }
        }
    }

    /// Shows what has passed, if that is wanted.
    fn show_seen(&mut self) -> Result<(), Failure> {
        let seen = self.link.seen()?;
        if self.options.hex {
            self.trace.show(seen, &mut self.out)?;
        }
        Ok(())
    }

    /// Takes in what the pool user tells; says whether that was all.
    fn hear(&mut self, event: Event) -> Result<bool, Failure> {
        let now = self.link.now();
        match event {
            Event::RegistrarFound { transport, .. } => {
                self.trace.end(&mut self.out)?;
                if mem::take(&mut self.alone) {
                    self.tell("registrar", format_args!("registrar: {transport}"))?;
                }
                self.home = Some((transport, now));
            }
            Event::RegistrarLost if self.list.is_some() => {
                self.alone = true;
                self.tell("alone", "the registrar is lost; looking for another one")?;
            }
            Event::NoRegistrarReachable if self.list.is_some() => {
                self.alone = true;
                let why = self.link.no_registrar();
                self.tell("alone", format_args!("{why}; trying again"))?;
            }
            // The last one that could have come up has failed, and none will announce itself.
            Event::NoRegistrarReachable
                if self.link.user().channel_count() == 0 && !self.options.registrars.listens() =>
            {
                return Err(self.failure(ResolveError::NoRegistrarReachable));
            }
            Event::Resolved { pool, authentication, .. } if self.list.is_none() => {
                self.show_answer(pool, authentication, now)?;
                return Ok(self.options.watch.is_none());
            }
            Event::PoolChanged { pool, .. } if self.list.is_some() => self.show_change(pool)?,
            Event::ResolutionFailed { error, .. } | Event::SubscriptionEnded { error, .. } => {
                return Err(self.failure(error));
            }
            _ => {}
        }
        Ok(false)
    }

    fn show_answer(
        &mut self,
        pool: PoolId,
        authentication: Authentication,
        now: Instant,
    ) -> io::Result<()> {
        let seed = self.options.seed();
        let reached = self.home.as_ref().map_or(self.asked, |(_, at)| *at);
        let (reaching, answering) = (reached.since(self.asked), now.since(reached));
        let Some(pool) = self.link.user().pool(pool) else { return Ok(()) };
        let list = List::of(pool);
        let picks = answer::picks(pool, self.options.pick.into(), seed);
        if self.options.json {
            let millis = |time: Duration| (time.as_secs_f64() * 1e3).into();
            let facts: Vec<_> = json::pool(pool).collect();
            let stats = *self.link.user().stats();
            let registrar = self.home.as_ref().map(|(registrar, _)| registrar.to_string());
            let more = [
                ("picked", picks.into()),
                ("query_ms", millis(answering)),
                ("reach_ms", millis(reaching)),
                ("registrar", registrar.into()),
                ("authenticated", (authentication == Authentication::Verified).into()),
                ("left_out", (stats.elements_dropped + stats.elements_cut).into()),
            ];
            let event = json::event("found", facts.into_iter().chain(more));
            writeln!(self.out, "{event}")?;
            self.list = Some(list);
            return self.out.flush();
        }
        let heading = heading(pool);
        writeln!(self.out, "; {heading}\n\n{list}")?;
        if !picks.is_empty() {
            writeln!(self.out, "; picked: {}", picks.join(" "))?;
        }
        writeln!(
            self.out,
            "; query time: {answering:.1?}, after {reaching:.1?} to reach the registrar"
        )?;
        if let Some((registrar, _)) = &self.home {
            let trust = match authentication {
                Authentication::Verified => "authenticated",
                _ => "not authenticated",
            };
            writeln!(self.out, "; registrar: {registrar}, {trust}")?;
        }
        self.show_doubts()?;
        self.remark("when")?;
        self.list = Some(list);
        self.out.flush()
    }

    /// What was left out of the answer, or put in.
    fn show_doubts(&mut self) -> io::Result<()> {
        let Stats { elements_dropped, elements_cut, elements_revalued, .. } =
            *self.link.user().stats();
        for (count, what) in [
            (
                elements_dropped,
                "left out, because they have no address or the identifier of another",
            ),
            (elements_cut, "left out, because there are too many"),
            (elements_revalued, "with values of another policy, which do not count"),
        ] {
            if count > 0 {
                writeln!(self.out, "; elements {what}: {count}")?;
            }
        }
        Ok(())
    }

    fn show_change(&mut self, pool: PoolId) -> io::Result<()> {
        let Some(pool) = self.link.user().pool(pool) else { return Ok(()) };
        let (list, heading) = (List::of(pool), heading(pool));
        let event = self.options.json.then(|| json::event("changed", json::pool(pool)));
        let former = self.list.replace(list).unwrap_or_default();
        let changes = self.list.as_ref().map(|list| list.changes(&former)).unwrap_or_default();
        if let (false, Some(event)) = (changes.is_empty(), &event) {
            writeln!(self.out, "{event}")?;
        } else if !changes.is_empty() {
            self.remark(heading)?;
            write!(self.out, "{changes}")?;
        }
        self.out.flush()
    }

    /// Says something with the time.
    fn remark(&mut self, what: impl Display) -> io::Result<()> {
        writeln!(self.out, "; {what}: {}", format_rfc3339_seconds(SystemTime::now()))
    }

    /// Says what became of the registrar.
    fn tell(&mut self, event: &str, what: impl Display) -> io::Result<()> {
        match self.options.json {
            true => {
                let event = json::event(event, [("what", what.to_string().into())]);
                writeln!(self.out, "{event}")?;
                self.out.flush()
            }
            false => self.remark(what),
        }
    }

    fn failure(&mut self, error: ResolveError) -> Failure {
        let Options { registrars, handle, .. } = self.options;
        self.link.unresolved(registrars, handle, self.home.is_some(), error)
    }
}

/// The pool in a line.
fn heading(pool: &Pool) -> String {
    let unknown = match pool.follows_policy() {
        true => "",
        false => " (not known here: elements are taken in the registrar's order)",
    };
    format!(
        "{}, policy {}{unknown}, elements: {}",
        pool.handle(),
        pool.policy(),
        pool.elements().len()
    )
}
