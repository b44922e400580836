//! The driver for the transport that the user wants.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::time::Duration;

use ::tokio::runtime::{Builder, Runtime};
use asap_pu::wire::PoolHandle;
use asap_pu::{Config, Event, Instant, PoolUser, ResolveError, Stats};
use asap_pu_tokio::{Watcher, any_sctp, tokio, trust};

use crate::failure::{Failure, Status};
use crate::registrars::Registrars;

/// A driver with the same face for all transports.
pub(crate) enum Link {
    Sctp(Box<any_sctp::Driver>),
    Tokio(Box<tokio::Driver>, Runtime),
}

impl Link {
    /// A driver for a pool user with this configuration; who watches gets a copy of every ASAP message.
    pub(crate) fn open(
        registrars: &Registrars,
        config: Result<Config, String>,
        seed: u64,
        watcher: Option<Watcher>,
    ) -> Result<Self, Failure> {
        let config = config.map_err(|why| Failure::new(Status::NoRegistrar, why))?;
        let link_local = registrars.link_local();
        let link_local = link_local.map_err(|why| Failure::new(Status::Usage, why))?;
        let mut link = match registrars.uses_sctp() {
            true => Self::sctp(registrars, config, seed, watcher)?,
            false => Self::tokio(registrars, config, seed, watcher)?,
        };
        if let Some(interface) = link_local {
            match &mut link {
                Self::Sctp(driver) => driver.find_link_local(interface),
                Self::Tokio(driver, _) => driver.find_link_local(interface),
            }
        }
        if registrars.listens() {
            let announces = registrars.announces();
            let heard = announces.and_then(|(group, interface)| match &mut link {
                Self::Sctp(driver) => driver.listen(group, interface),
                Self::Tokio(driver, runtime) => {
                    let _inside = runtime.enter();
                    driver.listen(group, interface)
                }
            });
            heard.map_err(|error| deaf(registrars, &error))?;
        }
        Ok(link)
    }

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
        let mut driver = tokio::Driver::new(config, seed)
            .map_err(|error| Failure::new(Status::Usage, error.to_string()))?;
        if let Some(file) = &registrars.ca {
            driver = driver.with_tls(trust(file).map_err(unable)?);
        }
        driver.watcher = watcher;
        Ok(Self::Tokio(driver.into(), runtime))
    }

    /// Marks data with this payload protocol identifier, where the transport has one.
    pub(crate) fn mark_data(&mut self, ppid: u32) -> Result<(), Failure> {
        let marked = match self {
            Self::Sctp(driver) => driver.mark_data(ppid).map_err(|error| error.to_string()),
            Self::Tokio(..) => Err("--ppid is for SCTP".to_owned()),
        };
        marked.map_err(|why| Failure::new(Status::Usage, why))
    }

    pub(crate) fn user(&mut self) -> &mut PoolUser {
        match self {
            Self::Sctp(driver) => driver.user(),
            Self::Tokio(driver, _) => driver.user(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::Sctp(driver) => driver.now(),
            Self::Tokio(driver, _) => driver.now(),
        }
    }

    pub(crate) fn event(&mut self, patience: Duration) -> Option<Event> {
        match self {
            Self::Sctp(driver) => driver.event(patience),
            Self::Tokio(driver, runtime) => runtime.block_on(driver.event(patience)),
        }
    }

    /// Why no registrar can be reached.
    pub(crate) fn no_registrar(&self) -> String {
        match self {
            Self::Sctp(driver) => driver.no_registrar(),
            Self::Tokio(driver, _) => driver.no_registrar(),
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
        match self {
            Self::Sctp(driver) => Some(driver.to_string()),
            Self::Tokio(..) => None,
        }
    }

    /// Closes everything in good order, within `patience` if that can be.
    pub(crate) fn shut_down(self, patience: Duration) {
        match self {
            Self::Sctp(driver) => driver.shut_down(patience),
            Self::Tokio(driver, runtime) => runtime.block_on(driver.shut_down(patience)),
        };
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
