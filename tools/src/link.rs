//! The driver for the transport that the user wants.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, SystemTime};

use asap_pu::capture::Capture;
use asap_pu::wire::PoolHandle;
use asap_pu::{Config, Event, Instant, PoolUser, ResolveError, Stats};
use asap_pu_tokio::{Seen, Watcher, any_sctp, tcp, trust};
use tokio::runtime::{Builder, Runtime};

use crate::failure::{Failure, Status};
use crate::registrars::Registrars;

/// A driver with the same face for all transports, and what passes it.
pub(crate) struct Link {
    driver: Driver,
    seen: Receiver<Seen>,
    tape: Option<Tape>,
}

enum Driver {
    Sctp(Box<any_sctp::Driver>),
    Tokio(Box<tcp::Driver>, Runtime),
}

/// A capture that is being written.
struct Tape {
    file: File,
    capture: Capture,
    /// How long after 1970 the clock of the pool user began.
    began: Duration,
}

impl Link {
    /// A driver for a pool user with this configuration; whether what passes is to be seen, although it is not
    /// written to a file.
    pub(crate) fn open(
        registrars: &Registrars,
        config: Result<Config, String>,
        seed: u64,
        is_seen: bool,
    ) -> Result<Self, Failure> {
        let config = config.map_err(|why| Failure::new(Status::NoRegistrar, why))?;
        let link_local = registrars.link_local();
        let link_local = link_local.map_err(|why| Failure::new(Status::Usage, why))?;
        let tape = registrars.pcap.as_deref().map(Tape::begin).transpose()?;
        let (watcher, seen) = mpsc::channel();
        let watcher = Some(watcher).filter(|_| is_seen || tape.is_some());
        let mut driver = match registrars.uses_sctp() {
            true => Driver::sctp(registrars, config, seed, watcher)?,
            false => Driver::tokio(registrars, config, seed, watcher)?,
        };
        if let Some(interface) = link_local {
            match &mut driver {
                Driver::Sctp(driver) => driver.find_link_local(interface),
                Driver::Tokio(driver, _) => driver.find_link_local(interface),
            }
        }
        if registrars.listens() {
            let announces = registrars.announces();
            let heard = announces.and_then(|(group, interface)| match &mut driver {
                Driver::Sctp(driver) => driver.listen(group, interface),
                Driver::Tokio(driver, runtime) => {
                    let _inside = runtime.enter();
                    driver.listen(group, interface)
                }
            });
            heard.map_err(|error| deaf(registrars, &error))?;
        }
        Ok(Self { driver, seen, tape })
    }

    /// What has passed since the last call. If that is to be written to a file, it has been.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn seen(&mut self) -> Result<Vec<Seen>, Failure> {
        let seen: Vec<_> = self.seen.try_iter().collect();
        if let Some(tape) = &mut self.tape {
            tape.write(&seen)?;
        }
        Ok(seen)
    }

    /// Marks data with this payload protocol identifier, where the transport has one.
    pub(crate) fn mark_data(&mut self, ppid: u32) -> Result<(), Failure> {
        let marked = match &mut self.driver {
            Driver::Sctp(driver) => driver.mark_data(ppid).map_err(|error| error.to_string()),
            Driver::Tokio(..) => Err("--ppid is for SCTP".to_owned()),
        };
        marked.map_err(|why| Failure::new(Status::Usage, why))
    }

    pub(crate) fn user(&mut self) -> &mut PoolUser {
        match &mut self.driver {
            Driver::Sctp(driver) => driver.user(),
            Driver::Tokio(driver, _) => driver.user(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        match &self.driver {
            Driver::Sctp(driver) => driver.now(),
            Driver::Tokio(driver, _) => driver.now(),
        }
    }

    pub(crate) fn event(&mut self, patience: Duration) -> Option<Event> {
        match &mut self.driver {
            Driver::Sctp(driver) => driver.event(patience),
            Driver::Tokio(driver, runtime) => runtime.block_on(driver.event(patience)),
        }
    }

    /// Why no registrar can be reached.
    pub(crate) fn no_registrar(&self) -> String {
        match &self.driver {
            Driver::Sctp(driver) => driver.no_registrar(),
            Driver::Tokio(driver, _) => driver.no_registrar(),
        }
    }

    /// What it means to the user that there is no answer.
    pub(crate) fn unresolved(
        &mut self,
        registrars: &Registrars,
        handle: &PoolHandle,
        was_reached: bool,
        error: ResolveError,
    ) -> Failure {
        let Registrars { timeout, group, .. } = registrars;
        let &Stats { malformed, unknown_messages, broken_streams, answers_useless, .. } =
            self.user().stats();
        let bad = malformed + unknown_messages + broken_streams + answers_useless;
        let (status, why) = match error {
            ResolveError::UnknownPoolHandle => {
                (Status::NotFound, format!("{handle}: no such pool"))
            }
            ResolveError::Rejected(codes) => {
                let codes: Vec<_> = codes.iter().map(ToString::to_string).collect();
                let why = format!(
                    "{handle}: the registrar refuses: {}; asap-lookup --hex shows its answer",
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
            _ if !was_reached => {
                let why =
                    format!("{}; --sctp, --tcp and --tls say how to ask", self.no_registrar());
                (Status::NoRegistrar, why)
            }
            _ if bad > 0 => {
                let why = format!(
                    "what came is malformed or useless (messages: {bad}); asap-lookup --hex \
                     shows it, and asap-decode where it breaks"
                );
                (Status::Useless, why)
            }
            ResolveError::NoRegistrarReachable => {
                let why = "the registrar hung up before it had answered; asap-lookup --hex \
                           shows what came";
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

    /// What was chosen to reach registrars by, and why, where there was a choice.
    pub(crate) fn choice(&self) -> Option<String> {
        match &self.driver {
            Driver::Sctp(driver) => Some(driver.to_string()),
            Driver::Tokio(..) => None,
        }
    }

    /// Closes everything in good order, within `patience` if that can be; what passed until then.
    ///
    /// # Errors
    /// A file for it cannot be written.
    pub(crate) fn shut_down(self, patience: Duration) -> Result<Vec<Seen>, Failure> {
        let Self { driver, seen, mut tape } = self;
        match driver {
            Driver::Sctp(driver) => driver.shut_down(patience),
            Driver::Tokio(driver, runtime) => runtime.block_on(driver.shut_down(patience)),
        };
        let seen: Vec<_> = seen.try_iter().collect();
        if let Some(tape) = &mut tape {
            tape.write(&seen)?;
        }
        Ok(seen)
    }
}

impl Driver {
    fn sctp(
        registrars: &Registrars,
        config: Config,
        seed: u64,
        watcher: Option<Watcher>,
    ) -> Result<Self, Failure> {
        let carrier = registrars.carrier();
        let driver = any_sctp::Driver::new(config, seed, carrier);
        let mut driver = driver.map_err(|error| match error.kind() {
            io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied => {
                unable(format!("{error}; --encapsulate goes without"))
            }
            io::ErrorKind::InvalidInput => Failure::new(Status::Usage, error.to_string()),
            _ => unable(error.to_string()),
        })?;
        if let Some(watcher) = watcher {
            driver.watch(watcher);
        }
        Ok(Self::Sctp(driver.into()))
    }

    fn tokio(
        registrars: &Registrars,
        config: Config,
        seed: u64,
        watcher: Option<Watcher>,
    ) -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut driver = tcp::Driver::new(config, seed)
            .map_err(|error| Failure::new(Status::Usage, error.to_string()))?;
        if let Some(file) = &registrars.ca {
            driver = driver.with_tls(trust(file).map_err(unable)?);
        }
        driver.watcher = watcher;
        Ok(Self::Tokio(driver.into(), runtime))
    }
}

impl Tape {
    fn begin(file: &Path) -> Result<Self, Failure> {
        let unusable = |error| unable(format!("{}: {error}", file.display()));
        let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(Self { file: File::create(file).map_err(unusable)?, capture: Capture::new(), began })
    }

    fn write(&mut self, seen: &[Seen]) -> Result<(), Failure> {
        seen.iter().for_each(|seen| seen.capture(self.began, &mut self.capture));
        let written = self.file.write_all(&self.capture.take());
        written.map_err(|error| unable(format!("the capture cannot be written: {error}")))
    }
}

fn unable(why: impl Into<String>) -> Failure {
    Failure::new(Status::Unable, why)
}

fn deaf(registrars: &Registrars, error: &io::Error) -> Failure {
    unable(format!(
        "cannot listen to announces at {} on the interface {}: {error}; --interface names another \
         one, --registrar a registrar",
        registrars.group, registrars.interface
    ))
}

/// A seed that nobody else has.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
