//! The driver for the transport that the user wants.

use std::io;
use std::time::Duration;

use ::tokio::runtime::{Builder, Runtime};
use asap_pu::{Event, Instant, PoolUser};
use asap_pu_tokio::{Watcher, any_sctp, tokio, trust};

use super::options::Options;
use super::{Failure, Status};

/// A driver with the same face for all transports.
pub(crate) enum Link {
    Sctp(Box<any_sctp::Driver>),
    Tokio(Box<tokio::Driver>, Runtime),
}

impl Link {
    pub(crate) fn open(options: &Options, watcher: Watcher) -> Result<Self, Failure> {
        match options.uses_sctp() {
            true => Self::sctp(options, watcher),
            false => Self::tokio(options, watcher),
        }
    }

    fn sctp(options: &Options, watcher: Watcher) -> Result<Self, Failure> {
        let config = options.config().map_err(unknown)?;
        let mut driver =
            any_sctp::Driver::new(config, options.seed(), options.carrier()).map_err(|error| {
                match error.kind() {
                    io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied => {
                        unable(format!("{error}; --encapsulate goes without"))
                    }
                    io::ErrorKind::InvalidInput => Failure::new(Status::Usage, error.to_string()),
                    _ => unable(error.to_string()),
                }
            })?;
        if options.hex {
            driver.watch(watcher);
        }
        if let Some(interface) = options.link_local() {
            driver.find_link_local(interface);
        }
        if options.listens() {
            let announces = options.announces();
            let heard = announces.and_then(|(group, interface)| driver.listen(group, interface));
            heard.map_err(|error| deaf(options, &error))?;
        }
        Ok(Self::Sctp(driver.into()))
    }

    fn tokio(options: &Options, watcher: Watcher) -> Result<Self, Failure> {
        let config = options.config().map_err(unknown)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut driver = tokio::Driver::new(config, options.seed())
            .map_err(|error| Failure::new(Status::Usage, error.to_string()))?;
        if let Some(file) = &options.ca {
            driver = driver.with_tls(trust(file).map_err(unable)?);
        }
        driver.watcher = Some(watcher).filter(|_| options.hex);
        if let Some(interface) = options.link_local() {
            driver.find_link_local(interface);
        }
        if options.listens() {
            let _inside = runtime.enter();
            let announces = options.announces();
            let heard = announces.and_then(|(group, interface)| driver.listen(group, interface));
            heard.map_err(|error| deaf(options, &error))?;
        }
        Ok(Self::Tokio(driver.into(), runtime))
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

fn unknown(why: String) -> Failure {
    Failure::new(Status::NoRegistrar, why)
}

fn deaf(options: &Options, error: &io::Error) -> Failure {
    unable(format!(
        "cannot listen to announces at {} on the interface {}: {error}; --interface names another \
         one, --registrar a registrar",
        options.group, options.interface
    ))
}
