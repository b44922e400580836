//! A client over TCP and TLS on tokio.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
#[cfg(feature = "tls")]
use std::sync::Arc;

use asap_pu::{Config, Registrar, Security};
#[cfg(feature = "tls")]
use rustls::ClientConfig;

use super::{Client, Error};
use crate::tokio::Driver;

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
    /// A registrar, by address and port, or by its address alone where it listens at the usual port.
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
        let mut driver = self.driver()?;
        for (group, interface) in self.announces {
            driver.listen(group, interface)?;
        }
        let (client, run) = Client::over(driver);
        tokio::spawn(run);
        Ok(client)
    }

    fn driver(&self) -> Result<Driver, Error> {
        let mut config = self.config.clone();
        // Nobody announces anything where nobody listens.
        config.discovery.accept_announces &= !self.announces.is_empty();
        for (at, security) in &self.registrars {
            config.discovery.registrars.push(parse(at, security)?);
        }
        let driver =
            Driver::new(config, self.seed.unwrap_or_else(|| RandomState::new().hash_one(())))?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return Ok(driver.with_tls(tls.clone()));
        }
        Ok(driver)
    }
}

fn parse(at: &str, security: &Security) -> Result<Registrar, Error> {
    let mut registrar = match (at.parse::<SocketAddr>(), at.parse::<IpAddr>()) {
        (Ok(at), _) if at.port() != 0 => Registrar::tcp(at),
        (_, Ok(at)) => Registrar::at(at, security.clone()),
        _ => return Err(Error::Address(at.to_owned())),
    };
    registrar.security = security.clone();
    Ok(registrar)
}
