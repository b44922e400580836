//! What `dig` is for DNS: asks a registrar who is in a pool, and shows the answer.
//!
//! ```text
//! asap-lookup --tcp --registrar 192.0.2.1 EchoPool
//! asap-lookup EchoPool
//! ```
//!
//! The first command asks one registrar over TCP, the second, over SCTP, whichever announces itself
//! first. `options` has the command line, `link` the driver that it asks for, `answer` what is
//! shown of a pool, `trace` the messages in hex; the conversation with the pool user is here.

mod answer;
mod link;
mod options;
mod trace;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::mem;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use asap_pu::wire::Transport;
use asap_pu::{Authentication, CommandError, Event, Instant, Pool, PoolId, ResolveError, Stats};
use clap::Parser as _;
use humantime::format_rfc3339_seconds;

use answer::List;
use link::Link;
use options::Options;
use trace::Trace;

/// How often what was seen is shown while nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// How long closing in good order may take.
const LINGER: Duration = Duration::from_millis(200);

/// How the program ends. The numbers are part of its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// The pool was found, or nobody reads the output any more.
    Found = 0,
    /// The pool does not exist.
    NotFound = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// No registrar is known, or none can be reached.
    NoRegistrar = 3,
    /// A registrar was reached, and gave no answer that can be used.
    Useless = 4,
    /// This machine cannot do what it takes.
    Unable = 5,
    /// A registrar was reached, and refused or did not answer in time.
    NoAnswer = 6,
}

/// Why there is nothing to show.
#[derive(Debug)]
pub(crate) struct Failure {
    status: Status,
    why: String,
}

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
    let options = match Options::try_parse_from(arguments) {
        Ok(options) => options,
        // If even that cannot be written, the exit status still tells.
        Err(error) if error.use_stderr() => {
            let _ = write!(err, "{error}");
            return Status::Usage as u8;
        }
        Err(help) => {
            let _ = write!(out, "{help}");
            return Status::Found as u8;
        }
    };
    let lookup = Lookup::new(&options, &mut out).inspect(|lookup| {
        if let Some(choice) = lookup.link.choice() {
            let _ = writeln!(err, "asap-lookup: {choice}");
        }
    });
    match lookup.and_then(Lookup::run) {
        Ok(()) | Err(Failure { status: Status::Found, .. }) => Status::Found as u8,
        Err(Failure { status, why }) => {
            let _ = writeln!(err, "asap-lookup: {why}");
            status as u8
        }
    }
}

impl<'a, W: Write> Lookup<'a, W> {
    fn new(options: &'a Options, out: W) -> Result<Self, Failure> {
        let (watcher, seen) = mpsc::channel();
        let link = Link::open(options, watcher)?;
        let (trace, asked) = (Trace::new(seen), link.now());
        Ok(Self { options, out, link, trace, asked, home: None, list: None, alone: false })
    }

    /// Asks, and shows what comes of it until that is all.
    fn run(mut self) -> Result<(), Failure> {
        let outcome = self.converse();
        self.link.shut_down(LINGER);
        self.trace.end(&mut self.out)?;
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
            self.trace.show(&mut self.out)?;
            if event.map_or(Ok(false), |event| self.hear(event))? {
                return Ok(());
            }
        }
    }

    /// Takes in what the pool user tells; says whether that was all.
    fn hear(&mut self, event: Event) -> Result<bool, Failure> {
        let now = self.link.now();
        match event {
            Event::RegistrarFound { transport, .. } => {
                self.trace.end(&mut self.out)?;
                if mem::take(&mut self.alone) {
                    self.remark(format_args!("registrar: {transport}"))?;
                }
                self.home = Some((transport, now));
            }
            Event::RegistrarLost if self.list.is_some() => {
                self.alone = true;
                self.remark("the registrar is lost; looking for another one")?;
            }
            Event::NoRegistrarReachable if self.list.is_some() => {
                self.alone = true;
                self.remark(format_args!("{}; trying again", self.link.no_registrar()))?;
            }
            // The last one that could have come up has failed, and none will announce itself.
            Event::NoRegistrarReachable
                if self.link.user().channel_count() == 0 && !self.options.listens() =>
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
        let Some(pool) = self.link.user().pool(pool) else { return Ok(()) };
        let list = List::of(pool);
        let picks = answer::picks(pool, self.options.pick.into(), seed);
        let heading = heading(pool);
        writeln!(self.out, "; {heading}\n\n{list}")?;
        if !picks.is_empty() {
            writeln!(self.out, "; picked: {}", picks.join(" "))?;
        }
        let reached = self.home.as_ref().map_or(self.asked, |(_, at)| *at);
        let (reaching, answering) = (reached.since(self.asked), now.since(reached));
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
        let former = self.list.replace(list).unwrap_or_default();
        let changes = self.list.as_ref().map(|list| list.changes(&former)).unwrap_or_default();
        if !changes.is_empty() {
            self.remark(heading)?;
            write!(self.out, "{changes}")?;
        }
        self.out.flush()
    }

    /// Says something with the time.
    fn remark(&mut self, what: impl Display) -> io::Result<()> {
        writeln!(self.out, "; {what}: {}", format_rfc3339_seconds(SystemTime::now()))
    }

    /// What it means to the user that there is no answer.
    fn failure(&mut self, error: ResolveError) -> Failure {
        let Options { handle, timeout, group, .. } = self.options;
        let &Stats { malformed, unknown_messages, broken_streams, answers_useless, .. } =
            self.link.user().stats();
        let bad = malformed + unknown_messages + broken_streams + answers_useless;
        let (status, why) = match error {
            ResolveError::UnknownPoolHandle => {
                (Status::NotFound, format!("{handle}: no such pool"))
            }
            ResolveError::Rejected(codes) => {
                let codes: Vec<_> = codes.iter().map(ToString::to_string).collect();
                let why = format!(
                    "{handle}: the registrar refuses: {}; --hex shows its answer",
                    codes.join(", ")
                );
                (Status::NoAnswer, why)
            }
            ResolveError::NoRegistrarKnown => {
                let why = format!(
                    "no registrar announces itself to {group} within {timeout} s; \
                     --registrar names one"
                );
                (Status::NoRegistrar, why)
            }
            // Nobody was reached, whatever strangers say where registrars announce themselves.
            _ if self.home.is_none() => {
                let why =
                    format!("{}; --sctp, --tcp and --tls say how to ask", self.link.no_registrar());
                (Status::NoRegistrar, why)
            }
            _ if bad > 0 => {
                let why = format!(
                    "what came is malformed or useless (messages: {bad}); --hex shows it, and \
                     asap-decode where it breaks"
                );
                (Status::Useless, why)
            }
            ResolveError::NoRegistrarReachable => {
                let why = "the registrar hung up before it had answered; --hex shows what came";
                (Status::Useless, why.to_owned())
            }
            ResolveError::NotAnswered => {
                let why = format!(
                    "the registrar does not answer within {timeout} s; --timeout waits longer"
                );
                (Status::NoAnswer, why)
            }
            other => (Status::NoAnswer, other.to_string()),
        };
        Failure { status, why }
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

impl Failure {
    pub(crate) fn new(status: Status, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }
}

/// A command is refused only for what the user asked for.
impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        Self::new(Status::Usage, error.to_string())
    }
}

/// The output cannot be written.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let status = match error.kind() {
            io::ErrorKind::BrokenPipe => Status::Found,
            _ => Status::Unable,
        };
        Self::new(status, error.to_string())
    }
}
