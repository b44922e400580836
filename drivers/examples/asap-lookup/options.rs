//! The command line, and the configuration that it comes to.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, ToSocketAddrs};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use asap_pu::wire::PoolHandle;
use asap_pu::{Config, Registrar, Security};
use asap_pu_drivers::ANNOUNCE_GROUP;
use asap_pu_drivers::sctp_userspace::Carrier;
use clap::Parser;
use rustls::pki_types::ServerName;

const STATUS: &str = "\
Exit status:
  0  the pool was found
  1  there is no such pool
  2  the command line makes no sense
  3  no registrar is known, or none can be reached
  4  the registrar gave no answer that can be used
  5  this machine cannot do what it takes
  6  the registrar refused, or did not answer in time";

/// Asks a registrar who is in a pool.
#[derive(Debug, Parser)]
#[command(name = "asap-lookup", after_help = STATUS)]
pub(crate) struct Options {
    /// The pool handle; bytes that are no text as they are shown, like \x00.
    #[arg(value_parser = handle)]
    pub(crate) handle: PoolHandle,

    /// A registrar to ask, instead of those that announce themselves; may be given several times.
    /// The port is 3863 where none is given, with --tls 3864.
    #[arg(short, long = "registrar", value_name = "HOST[:PORT]")]
    registrars: Vec<Place>,

    /// Ask over SCTP, as registrars do in practice [default]: the kernel's if it has one, else with
    /// --encapsulate.
    #[arg(long, group = "transport")]
    sctp: bool,

    /// Ask over SCTP in user space and over UDP, to this port; the hosts of registrars must take that
    /// (on Linux, `sysctl net.sctp.udp_port=9899`).
    #[arg(long, group = "transport", value_name = "PORT", num_args = 0..=1, require_equals = true,
          default_missing_value = "9899", value_parser = clap::value_parser!(u16).range(1..))]
    encapsulate: Option<u16>,

    /// Ask over SCTP in user space and over plain IP, which takes CAP_NET_RAW and a kernel without
    /// SCTP.
    #[arg(long, group = "transport")]
    raw: bool,

    /// Ask over TCP.
    #[arg(long, group = "transport")]
    tcp: bool,

    /// Ask over TLS, and believe only who proves to be NAME.
    #[arg(long, group = "transport", value_name = "NAME", requires = "ca", value_parser = name)]
    pub(crate) tls: Option<String>,

    /// Whose certificates to trust, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub(crate) ca: Option<PathBuf>,

    /// Where registrars announce themselves; heeded only without --registrar.
    #[arg(long, value_name = "GROUP:PORT", default_value_t = ANNOUNCE_GROUP, value_parser = group)]
    pub(crate) group: SocketAddrV4,

    /// The interface to listen on for announces, by its address; heeded only without --registrar.
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

/// A host, and the port there if it is not the usual one.
#[derive(Debug, Clone)]
struct Place {
    host: String,
    port: Option<NonZeroU16>,
}

impl Options {
    /// Whether registrars are taken from announces.
    pub(crate) fn listens(&self) -> bool {
        self.registrars.is_empty()
    }

    pub(crate) fn uses_sctp(&self) -> bool {
        !self.tcp && self.tls.is_none()
    }

    /// How SCTP in user space is carried, if it is wanted in any case.
    pub(crate) fn carrier(&self) -> Option<Carrier> {
        self.encapsulate.map(Carrier::Udp).or(self.raw.then_some(Carrier::Ip))
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
        for Place { host, port } in &self.registrars {
            let port = port.map_or(security.default_port(), NonZeroU16::get);
            let found = (&**host, port).to_socket_addrs();
            // It is whoever answers first at one of them.
            for at in found.map_err(|error| format!("{host} has no address: {error}"))? {
                let mut registrar = match self.uses_sctp() {
                    true => Registrar::sctp(at.port(), [at.ip()]),
                    false => Registrar::tcp(at),
                };
                registrar.security = security.clone();
                config.discovery.registrars.push(registrar);
            }
        }
        config.discovery.accept_announces = self.listens();
        config.discovery.announced_security = security;
        config.discovery.announce_wait = timeout;
        config.resolution.request_deadline = timeout;
        // All tries together take as long as the user waits.
        config.resolution.t1_request = timeout / (config.resolution.max_request_retransmit + 1);
        // Three are tried at once. Where there are more, each three have their share of the time.
        config.discovery.t5_hunt =
            match u32::try_from(config.discovery.registrars.len().div_ceil(3)) {
                Ok(rounds @ 2..) => timeout / rounds,
                _ => timeout * 2,
            };
        config.discovery.t5_max = config.discovery.t5_hunt;
        config.resolution.resolution_interval =
            config.resolution.resolution_interval.min(config.resolution.t1_request);
        config.discovery.t7_outdate = config.discovery.t7_outdate.max(timeout);
        config.resolution.elements_wanted = Some(self.wanted).filter(|wanted| *wanted > 0);
        if let Some(seconds) = self.watch {
            config.cache.stale_cache_value = Duration::from_secs(seconds.into());
        }
        Ok(config)
    }
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = match text.rsplit_once(':') {
            // The colons of an IPv6 address have another meaning.
            Some((_, rest)) if rest.ends_with(']') || text.parse::<Ipv6Addr>().is_ok() => {
                (text, None)
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if bare.is_empty() {
            return Err("there is no host in it");
        }
        let port = port.map(str::parse).transpose();
        let port = port.map_err(|_| "a port is a number from 1 to 65535")?;
        Ok(Self { host: bare.to_owned(), port })
    }
}

/// A pool handle, with bytes escaped as they are when it is shown.
fn handle(text: &str) -> Result<PoolHandle, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend(plain.as_bytes());
        let (byte, len) = match escape.as_bytes() {
            [b'x', ..] => (escape.get(1..3).and_then(|hex| u8::from_str_radix(hex, 16).ok()), 3),
            [b't', ..] => (Some(b'\t'), 1),
            [b'r', ..] => (Some(b'\r'), 1),
            [b'n', ..] => (Some(b'\n'), 1),
            [mark @ (b'\\' | b'\'' | b'"'), ..] => (Some(*mark), 1),
            _ => (None, 0),
        };
        bytes.push(byte.ok_or("a backslash is written \\\\, any byte like \\x00")?);
        rest = &escape[len..];
    }
    bytes.extend(rest.as_bytes());
    Ok(bytes.into())
}

/// Whom a certificate can speak for.
fn name(text: &str) -> Result<String, String> {
    ServerName::try_from(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn group(text: &str) -> Result<SocketAddrV4, &'static str> {
    let group = text.parse::<SocketAddrV4>().ok();
    let group = group.filter(|group| group.ip().is_multicast() && group.port() > 0);
    group.ok_or("a multicast group is like 239.0.0.50:3863")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hosts and ports are told apart in every way to write them.
    #[test]
    fn registrars_are_places() {
        for (text, host, port) in [
            ("pr.example", "pr.example", None),
            ("pr.example:7", "pr.example", Some(7)),
            ("192.0.2.1:7", "192.0.2.1", Some(7)),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[::1]:7", "::1", Some(7)),
        ] {
            let place: Place = text.parse().unwrap();
            assert_eq!((&*place.host, place.port.map(NonZeroU16::get)), (host, port), "{text}");
        }
        for text in ["", ":7", "[]:7", "pr.example:", "pr.example:0", "192.0.2.1:99999"] {
            text.parse::<Place>().unwrap_err();
        }
    }

    /// What is shown of a handle is how to ask for it.
    #[test]
    fn handles_are_written_as_they_are_shown() {
        let every = PoolHandle::new((0..=u8::MAX).collect::<Vec<_>>());
        assert_eq!(handle(&every.to_string()), Ok(every));
        for text in ["\\", "\\x", "\\x0", "\\xg0", "\\a", "\\xé"] {
            handle(text).unwrap_err();
        }
        assert_eq!(handle("Echo é"), Ok("Echo é".into()));
    }
}
