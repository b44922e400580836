//! The command line, and the configuration that it comes to.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use asap_pu::wire::{ASAP_PORT, ASAP_TLS_PORT};
use asap_pu::{Config, Registrar, Security};
use asap_pu_drivers::ANNOUNCE_GROUP;
use clap::Parser;

const STATUS: &str = "\
Exit status:
  0  the pool was found
  1  there is no such pool
  2  the command line makes no sense
  3  no registrar is known, or none can be reached
  4  the registrar gave no answer that can be used
  5  this machine cannot do what it takes";

/// Asks a registrar who is in a pool.
#[derive(Debug, Parser)]
#[command(name = "asap-lookup", after_help = STATUS)]
pub(crate) struct Options {
    /// The pool handle.
    pub(crate) handle: String,

    /// A registrar to ask, instead of those that announce themselves; may be given several times.
    #[arg(short, long = "registrar", value_name = "HOST[:PORT]")]
    registrars: Vec<String>,

    /// Ask over SCTP, as registrars do in practice [default].
    #[arg(long, group = "transport")]
    sctp: bool,

    /// Ask over TCP.
    #[arg(long, group = "transport")]
    tcp: bool,

    /// Ask over TLS, and believe only who proves to be NAME.
    #[arg(long, group = "transport", value_name = "NAME", requires = "ca")]
    pub(crate) tls: Option<String>,

    /// Whose certificates to trust, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub(crate) ca: Option<PathBuf>,

    /// Where registrars announce themselves.
    #[arg(long, value_name = "GROUP:PORT", default_value_t = ANNOUNCE_GROUP)]
    pub(crate) group: SocketAddrV4,

    /// The interface to listen on for announces, by its address.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    pub(crate) interface: Ipv4Addr,

    /// How many elements to list at most; 0 leaves it to the registrar.
    #[arg(long, value_name = "N", default_value_t = 128)]
    wanted: u32,

    /// Choose so many times by the pool's policy.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) pick: u16,

    /// Choose as another run with this seed did.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Go on until the pool is no more, and show what changes; ask again after so many seconds
    /// where the registrar does not tell of changes.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true,
          default_missing_value = "5", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) watch: Option<u32>,

    /// Show the messages, in hex.
    #[arg(long)]
    pub(crate) hex: bool,

    /// How long to wait for an answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) timeout: u32,
}

impl Options {
    /// Whether registrars are taken from announces.
    pub(crate) fn listens(&self) -> bool {
        self.registrars.is_empty()
    }

    pub(crate) fn uses_sctp(&self) -> bool {
        !self.tcp && self.tls.is_none()
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish())
    }

    /// What the pool user is to know.
    ///
    /// # Errors
    /// A registrar has no address; says which.
    pub(crate) fn config(&self) -> Result<Config, String> {
        let security = self.tls.as_deref().map_or(Security::None, Security::tls);
        let timeout = Duration::from_secs(self.timeout.into());
        let mut config = Config::default();
        for name in &self.registrars {
            let port = if self.tls.is_some() { ASAP_TLS_PORT } else { ASAP_PORT };
            let at = address(name, port).ok_or_else(|| format!("{name} has no address"))?;
            let mut registrar = match self.uses_sctp() {
                true => Registrar::sctp(at.port(), [at.ip()]),
                false => Registrar::tcp(at),
            };
            registrar.security = security.clone();
            config.registrars.push(registrar);
        }
        config.accept_announces = self.listens();
        config.announced_security = security;
        config.announce_wait = timeout;
        config.request_deadline = timeout;
        // All tries together take as long as the user waits.
        config.t1_request = timeout / (config.max_request_retransmit + 1);
        config.resolution_interval = config.resolution_interval.min(config.t1_request);
        config.t7_outdate = config.t7_outdate.max(timeout);
        config.elements_wanted = Some(self.wanted).filter(|wanted| *wanted > 0);
        if let Some(seconds) = self.watch {
            config.stale_cache_value = Duration::from_secs(seconds.into());
        }
        Ok(config)
    }
}

/// The address that `name` stands for, at the port in it or else at this one.
fn address(name: &str, port: u16) -> Option<SocketAddr> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, port));
    }
    let with_port = name.to_socket_addrs().ok().and_then(|mut found| found.next());
    with_port.or_else(|| (name, port).to_socket_addrs().ok()?.next())
}
