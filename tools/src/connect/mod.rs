//! What `netcat` is for a server, for a pool: lines of the input go to a session, what it answers goes to the
//! output, and when an element fails the conversation goes on at the next one.
//!
//! ```text
//! asap-connect EchoPool
//! asap-connect --tcp --registrar 192.0.2.1 EchoPool < requests > answers
//! ```
//!
//! One thread reads the input, `input`, a line ahead; all else happens in one loop, which hands a line to the
//! session when there is room for it, waits for what the pool user tells, and shows it.

mod input;
mod options;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{Read, Write};
use std::time::Duration;

use asap_pu::wire::PeIdentifier;
use asap_pu::{
    Event, Failover, Instant, ResolveError, SendErrorReason, SessionError, SessionId,
    SessionOptions, SessionState, UndeliveredReason,
};

use crate::command_line;
use crate::failure::{Failure, Status};
use crate::link::{Link, random};
use input::{Input, Next};
use options::Options;

/// How often lines are looked for while nothing happens.
const TICK: Duration = Duration::from_millis(5);
/// So many messages may be on their way; then no more are read.
const MAX_WAITING: usize = 64;
/// How long closing in good order may take.
const LINGER: Duration = Duration::from_secs(5);

/// A session between the input and the output.
struct Conversation<'a, W, E> {
    options: &'a Options,
    out: W,
    err: E,
    link: Link,
    session: SessionId,
    failover: Failover,
    input: Input,
    /// A line that the session had no room for yet.
    unsent: Option<Vec<u8>>,
    /// Whether a registrar was reached, and an element.
    has_home: bool,
    was_connected: bool,
    /// When the last thing happened, sent or received.
    last: Instant,
    /// Whether the input has ended and the session is being closed.
    is_closing: bool,
    undelivered: usize,
}

/// Does what the arguments say; the exit status.
pub fn run(
    arguments: impl Iterator<Item = OsString>,
    input: impl Read + Send + 'static,
    mut out: impl Write,
    mut err: impl Write,
) -> u8 {
    let options: Options = match command_line::parse(arguments, &mut out, &mut err) {
        Ok(options) => options,
        Err(status) => return status,
    };
    let conversation = Conversation::new(&options, input, &mut out, &mut err);
    match conversation.and_then(Conversation::run) {
        Ok(()) | Err(Failure { status: Status::Done, .. }) => Status::Done as u8,
        Err(Failure { status, why }) => {
            let _ = writeln!(err, "asap-connect: {why}");
            status as u8
        }
    }
}

impl<'a, W: Write, E: Write> Conversation<'a, W, E> {
    fn new(
        options: &'a Options,
        input: impl Read + Send + 'static,
        out: W,
        mut err: E,
    ) -> Result<Self, Failure> {
        let failover = options.failover()?;
        let config = options.registrars.config().map(|mut config| {
            let sessions = &mut config.sessions;
            sessions.session_deadline = Duration::from_secs_f64(options.patience);
            sessions.failover_spread = sessions.failover_spread.min(sessions.session_deadline);
            config
        });
        let mut link = Link::open(&options.registrars, config, random(), false)?;
        if let Some(ppid) = options.ppid {
            link.mark_data(ppid)?;
        }
        if let (false, Some(choice)) = (options.quiet, link.choice()) {
            let _ = writeln!(err, "asap-connect: {choice}");
        }
        let last = link.now();
        let (handle, settings) = (options.handle.clone(), SessionOptions::default());
        let session = link.user().open_session(last, handle, settings)?;
        let input = Input::new(input, options.hex);
        Ok(Self {
            options,
            out,
            err,
            link,
            session,
            failover,
            input,
            unsent: None,
            has_home: false,
            was_connected: false,
            last,
            is_closing: false,
            undelivered: 0,
        })
    }

    /// Goes on until the session has ended.
    fn run(mut self) -> Result<(), Failure> {
        let outcome = self.converse();
        self.link.shut_down(LINGER)?;
        outcome?;
        match self.undelivered {
            0 => Ok(()),
            count => {
                let why = format!("messages that were not delivered: {count}");
                Err(Failure::new(Status::Undelivered, why))
            }
        }
    }

    fn converse(&mut self) -> Result<(), Failure> {
        loop {
            self.link.seen()?;
            self.read()?;
            while let Some(event) = self.link.event(TICK) {
                if self.hear(event)? {
                    return Ok(());
                }
                self.link.seen()?;
                self.read()?;
            }
        }
    }

    /// Hands lines to the session while it has room for them, and closes it behind the last one.
    fn read(&mut self) -> Result<(), Failure> {
        let (now, session) = (self.link.now(), self.session);
        while !self.is_closing {
            let Some(state) = self.link.user().session(session) else { return Ok(()) };
            if state.state() == SessionState::Over {
                return Ok(());
            }
            let queued = state.queued();
            if queued + state.unconfirmed() >= MAX_WAITING {
                return Ok(());
            }
            let next = self.unsent.take().map_or_else(|| self.input.next(), Next::Message);
            match next {
                Next::Message(message) => {
                    let failover = self.failover;
                    let mut session = self.link.user().session_mut(now, session)?;
                    match session.send(message, failover) {
                        Ok(_) => self.last = now,
                        // Messages whose end is still to be heard of have their room, too.
                        Err(error) if matches!(error.reason, SendErrorReason::QueueFull { .. }) => {
                            self.unsent = Some(error.data.into());
                            return Ok(());
                        }
                        Err(error) => {
                            return Err(Failure::new(Status::Undelivered, error.to_string()));
                        }
                    }
                }
                Next::Nothing => return Ok(()),
                Next::Unusable(why) => return Err(Failure::new(Status::Usage, why)),
                Next::End if queued > 0 || !self.was_connected => return Ok(()),
                Next::End if now.since(self.last).as_secs_f64() < self.options.wait => {
                    return Ok(());
                }
                Next::End => {
                    self.is_closing = true;
                    self.link.user().session_mut(now, session)?.close()?;
                }
            }
        }
        Ok(())
    }

    /// Takes in what the pool user tells; says whether that was all.
    fn hear(&mut self, event: Event) -> Result<bool, Failure> {
        match event {
            Event::RegistrarFound { transport, .. } => {
                self.has_home = true;
                self.say(format_args!("registrar: {transport}"));
            }
            Event::NoRegistrarReachable => {
                let is_over = self.link.user().channel_count() == 0;
                if is_over && !self.has_home && !self.options.registrars.listens() {
                    return Err(self.unresolved(ResolveError::NoRegistrarReachable));
                }
                let why = self.link.no_registrar();
                self.say(format_args!("{why}; trying again"));
            }
            Event::Connected { element, .. } => {
                (self.was_connected, self.last) = (true, self.link.now());
                self.say(format_args!("connected to {}", name(element)));
            }
            Event::ElementLost { element, reason, .. } => {
                self.say(format_args!("lost {}: {reason}", name(element)));
            }
            Event::FailedOver { from, to, cookie_echoed, .. } => {
                let cookie = if cookie_echoed { ", which has its cookie" } else { "" };
                self.say(format_args!("failed over from {} to {to}{cookie}", name(from)));
            }
            Event::Received { data, .. } => {
                self.last = self.link.now();
                match self.options.hex {
                    true => {
                        let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
                        writeln!(self.out, "{hex}")?;
                    }
                    false => self.out.write_all(&data)?,
                }
                self.out.flush()?;
            }
            Event::Dropped { messages, .. } => {
                self.say(format_args!("messages that came too fast and were dropped: {messages}"));
            }
            // What ended the session is told by that.
            Event::Returned { reason, .. } | Event::Lost { reason, .. } => {
                self.undelivered += 1;
                if reason != UndeliveredReason::SessionEnded {
                    self.say(format_args!("a message was not delivered: {reason}"));
                }
            }
            Event::SessionEnded { error: None, .. } => return Ok(true),
            Event::SessionEnded { error: Some(SessionError::Unresolved(error)), .. } => {
                return Err(self.unresolved(error));
            }
            Event::SessionEnded { error: Some(error), .. } => {
                return Err(Failure::new(Status::Undelivered, error.to_string()));
            }
            _ => {}
        }
        Ok(false)
    }

    fn unresolved(&mut self, error: ResolveError) -> Failure {
        let Options { registrars, handle, .. } = self.options;
        self.link.unresolved(registrars, handle, self.has_home, error)
    }

    /// Says something that is no answer. If it cannot be written, the conversation goes on.
    fn say(&mut self, what: impl Display) {
        if !self.options.quiet {
            let _ = writeln!(self.err, "asap-connect: {what}");
        }
    }
}

fn name(element: Option<PeIdentifier>) -> String {
    element.map_or_else(|| "the element".into(), |element| element.to_string())
}
