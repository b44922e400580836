//! A client on tokio: over TCP and TLS, or over SCTP.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
#[cfg(feature = "tls")]
use std::sync::Arc;

use asap_pu::{Config, Registrar, Security};
#[cfg(feature = "tls")]
use rustls::ClientConfig;

use super::{Client, Error};
use crate::Drive;
#[cfg(any(all(unix, feature = "sctp"), all(target_os = "linux", feature = "sctp-kernel")))]
use crate::on_tokio::OnTokio;
#[cfg(all(unix, feature = "sctp"))]
use crate::sctp_userspace::Carrier;
use crate::tcp::Driver;
#[cfg(all(unix, feature = "sctp"))]
use crate::{any_sctp, sctp_userspace};

/// A client that is to be, see [`Client::builder`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Builder {
    config: Config,
    registrars: Vec<(String, Security)>,
    announces: Vec<(SocketAddr, Ipv4Addr)>,
    seed: Option<u64>,
    #[cfg(feature = "tls")]
    tls: Option<Arc<ClientConfig>>,
    #[cfg(any(all(unix, feature = "sctp"), all(target_os = "linux", feature = "sctp-kernel")))]
    is_sctp: bool,
    /// The carrier that was asked for.
    #[cfg(all(unix, feature = "sctp"))]
    carrier: Option<Carrier>,
}

impl Client {
    /// A client over TCP on tokio.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), asap_pu_tokio::Error> {
    /// let client = asap_pu_tokio::Client::builder().registrar("10.0.0.1:3863").connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Builder {
    /// A registrar, by address and port, or by its address alone where it listens at the usual port. A
    /// link-local address names the index of its interface, as in `[fe80::1%2]:3863`; all such have to be on
    /// the same one.
    pub fn registrar(mut self, at: impl ToString) -> Self {
        self.registrars.push((at.to_string(), Security::None));
        self
    }

    /// A registrar that is asked over TLS, and believed only if it proves to be `identity`, a DNS name or
    /// an address (RFC 5352 §9.2).
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn registrar_with_tls(mut self, at: impl ToString, identity: &str) -> Self {
        self.registrars.push((at.to_string(), Security::tls(identity)));
        self
    }

    /// Whose certificates to trust; [`trust`](crate::trust) reads them from a file.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn tls(mut self, tls: impl Into<Arc<ClientConfig>>) -> Self {
        self.tls = Some(tls.into());
        self
    }

    /// Speaks SCTP instead of TCP, with registrars and elements: with the feature `sctp-kernel` that of the
    /// kernel; where it has none, with the feature `sctp`, from user space over UDP. What became of each message is known,
    /// and elements leave the state of a session in cookies.
    #[cfg(any(all(unix, feature = "sctp"), all(target_os = "linux", feature = "sctp-kernel")))]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "sctp", feature = "sctp-kernel"))))]
    pub const fn sctp(mut self) -> Self {
        self.is_sctp = true;
        self
    }

    /// Speaks SCTP from user space in any case, by this carrier.
    #[cfg(all(unix, feature = "sctp"))]
    #[cfg_attr(docsrs, doc(cfg(all(unix, feature = "sctp"))))]
    pub const fn sctp_over(mut self, carrier: Carrier) -> Self {
        self.carrier = Some(carrier);
        self.sctp()
    }

    /// Finds registrars by what they announce to a multicast group, such as
    /// [`ANNOUNCE_GROUP`](crate::ANNOUNCE_GROUP), on the interface with this address; where that is
    /// unspecified, the system chooses. Announces are not authenticated.
    pub fn announces(mut self, group: impl Into<SocketAddr>, interface: Ipv4Addr) -> Self {
        self.announces.push((group.into(), interface));
        self
    }

    /// Times, limits and choices, and registrars beside those that are named here.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// What chance follows from. If nothing is said it differs from client to client.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Starts the client, and waits until it has found a registrar.
    ///
    /// # Errors
    /// No registrar can be reached, an address is none, or the configuration contradicts itself.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect(self) -> Result<Client, Error> {
        let client = self.start()?;
        client.connected().await?;
        Ok(client)
    }

    /// Starts the client. It looks for a registrar when the first is needed; whoever needs it waits as
    /// long as `resolution.request_deadline`.
    ///
    /// # Errors
    /// An address is none, the configuration contradicts itself, or a group cannot be listened to.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(self) -> Result<Client, Error> {
        let mut config = self.config;
        let zone = zone(&self.registrars)?;
        // Nobody announces anything where nobody listens.
        config.discovery.accept_announces &= !self.announces.is_empty();
        let registrars = self.registrars.into_iter().map(|(at, security)| {
            let at = parse(&at, &security).ok_or(Error::Address(at))?;
            #[cfg(any(
                all(unix, feature = "sctp"),
                all(target_os = "linux", feature = "sctp-kernel")
            ))]
            let is_sctp = self.is_sctp;
            #[cfg(not(any(
                all(unix, feature = "sctp"),
                all(target_os = "linux", feature = "sctp-kernel")
            )))]
            let is_sctp = false;
            let mut registrar = match is_sctp {
                true => Registrar::sctp(at.port(), [at.ip()]),
                false => Registrar::tcp(at),
            };
            registrar.security = security;
            Ok(registrar)
        });
        let registrars = registrars.collect::<Result<Vec<_>, Error>>()?;
        config.discovery.registrars.extend(registrars);
        let seed = self.seed.unwrap_or_else(|| RandomState::new().hash_one(()));

        #[cfg(any(all(unix, feature = "sctp"), all(target_os = "linux", feature = "sctp-kernel")))]
        if self.is_sctp {
            #[cfg(all(unix, feature = "sctp"))]
            config.validate(&sctp_userspace::CAPABILITIES)?;
            #[cfg(all(unix, feature = "sctp"))]
            let mut driver = any_sctp::Driver::new(config, seed, self.carrier)?;
            #[cfg(not(all(unix, feature = "sctp")))]
            let mut driver = crate::sctp::Driver::new(config, seed)?;
            if let Some(zone) = zone {
                driver.find_link_local(zone);
            }
            for (group, interface) in self.announces {
                driver.listen(group, interface)?;
            }
            return Ok(run(OnTokio::new(driver)?));
        }
        let mut driver = Driver::new(config, seed)?;
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls {
            driver = driver.with_tls(tls);
        }
        if let Some(zone) = zone {
            driver.find_link_local(zone);
        }
        for (group, interface) in self.announces {
            driver.listen(group, interface)?;
        }
        Ok(run(driver))
    }
}

fn run(driver: impl Drive + Send + 'static) -> Client {
    let (client, run) = Client::over(driver);
    tokio::spawn(run);
    client
}

/// The interface that link-local addresses are on, by its index, where they name one: a driver looks for
/// them on one alone.
fn zone(registrars: &[(String, Security)]) -> Result<Option<u32>, Error> {
    let mut found = None;
    for (at, security) in registrars {
        if let Some(SocketAddr::V6(address)) = parse(at, security) {
            let zone = address.scope_id();
            if zone != 0 && *found.get_or_insert(zone) != zone {
                return Err(Error::OtherInterface(at.clone()));
            }
        }
    }
    Ok(found)
}

fn parse(at: &str, security: &Security) -> Option<SocketAddr> {
    match at.parse::<SocketAddr>() {
        Ok(at) => Some(at).filter(|at| at.port() != 0),
        Err(_) => Some(SocketAddr::new(at.parse::<IpAddr>().ok()?, security.default_port())),
    }
}
