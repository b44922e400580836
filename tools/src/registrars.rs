//! Which registrars are asked, over what, and for how long: the options that programs share, and the
//! configuration that they come to.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use asap_pu::wire::ASAP_PORT;
use asap_pu::{Config, Registrar, Security};
use asap_pu_tokio::ANNOUNCE_GROUP;
use asap_pu_tokio::sctp_userspace::Carrier;
use clap::Args;
use rustls::pki_types::ServerName;

/// The options.
#[derive(Debug, Args)]
pub(crate) struct Registrars {
    /// A registrar to ask, instead of those that announce themselves; may be given several times.
    /// The port is 3863 where none is given, with --tls 3864.
    #[arg(short, long = "registrar", value_name = "HOST[:PORT]")]
    registrars: Vec<Place>,

    /// Ask over SCTP, as registrars do in practice, and so by default: the kernel's if it has one, else with
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

    /// Where registrars announce themselves, of IPv6 for instance ff05::133; heeded only without
    /// --registrar.
    #[arg(long, value_name = "GROUP[:PORT]", default_value_t = ANNOUNCE_GROUP.into(), value_parser = group)]
    pub(crate) group: SocketAddr,

    /// The interface to listen on for announces: for a group of IPv4 by its address, for one of IPv6
    /// by its name. Link-local addresses are looked for there too, if none of them says where.
    #[arg(long, default_value = "0.0.0.0")]
    pub(crate) interface: Interface,

    /// Write what is exchanged with registrars and elements to this file, for Wireshark.
    #[arg(long, value_name = "FILE")]
    pub(crate) pcap: Option<PathBuf>,

    /// How long to wait for an answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) timeout: u32,
}

/// An interface of this host.
#[derive(Debug, Clone)]
pub(crate) enum Interface {
    At(Ipv4Addr),
    Named { name: String, index: u32 },
}

/// A host, and the port there if it is not the usual one.
#[derive(Debug, Clone)]
struct Place {
    host: String,
    port: Option<NonZeroU16>,
}

impl Registrars {
    /// Whether registrars are taken from announces.
    pub(crate) fn listens(&self) -> bool {
        self.registrars.is_empty()
    }

    /// The multicast group to listen to, and the address of the interface if it is known by that.
    ///
    /// # Errors
    /// A group of IPv4 is to be listened to on an interface that is known by its name.
    pub(crate) fn announces(&self) -> io::Result<(SocketAddr, Ipv4Addr)> {
        let mut group = self.group;
        match (&mut group, &self.interface) {
            (_, Interface::At(address)) => Ok((group, *address)),
            (SocketAddr::V6(at), Interface::Named { index, .. }) => {
                at.set_scope_id(*index);
                Ok((group, Ipv4Addr::UNSPECIFIED))
            }
            (SocketAddr::V4(_), Interface::Named { .. }) => {
                let why = "for IPv4 an interface is given by its address";
                Err(io::Error::new(io::ErrorKind::InvalidInput, why))
            }
        }
    }

    /// The index of the interface where link-local addresses are, if somebody says that.
    ///
    /// # Errors
    /// A link-local address without an interface, an interface that is not there, or two of them: a transport
    /// has no place for one, so that there can be but one for all (RFC 5354 §3.2).
    pub(crate) fn link_local(&self) -> Result<Option<u32>, String> {
        let mut found = match self.interface {
            Interface::Named { index, .. } => Some((index, None)),
            Interface::At(_) => None,
        };
        for Place { host, .. } in &self.registrars {
            let (address, zone) =
                host.split_once('%').map_or((&**host, None), |(a, z)| (a, Some(z)));
            let is_link_local =
                address.parse().is_ok_and(|address: Ipv6Addr| address.is_unicast_link_local());
            match zone {
                Some(zone) => {
                    let index = index(zone).ok_or(format!("{host}: there is no such interface"))?;
                    match found {
                        Some((other, Some(before))) if other != index => {
                            return Err(format!(
                                "{host} and {before} are on two interfaces; ask them one by one"
                            ));
                        }
                        _ => found = Some((index, Some(host))),
                    }
                }
                None if is_link_local && found.is_none() => {
                    return Err(format!("{host} needs an interface, like {host}%eth0"));
                }
                None => {}
            }
        }
        Ok(found.map(|(index, _)| index))
    }

    pub(crate) fn uses_sctp(&self) -> bool {
        !self.tcp && self.tls.is_none()
    }

    /// How SCTP in user space is carried, if it is wanted in any case.
    pub(crate) fn carrier(&self) -> Option<Carrier> {
        self.encapsulate.map(Carrier::Udp).or(self.raw.then_some(Carrier::Ip))
    }

    /// What the pool user is to know of them.
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
        Ok(config)
    }
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = match text.rsplit_once(':') {
            // The colons of an IPv6 address have another meaning.
            Some((_, rest)) if rest.ends_with(']') || is_ipv6(text) => (text, None),
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

/// Whom a certificate can speak for.
fn name(text: &str) -> Result<String, String> {
    ServerName::try_from(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// A multicast group, of IPv6 with the interface or without.
fn group(text: &str) -> Result<SocketAddr, &'static str> {
    let Place { host, port } = text.parse()?;
    let (address, zone) = host.split_once('%').map_or((&*host, None), |(a, z)| (a, Some(z)));
    let address = address.parse::<IpAddr>().ok().filter(IpAddr::is_multicast);
    let address = address.ok_or("a multicast group is like 239.0.0.50:3863 or [ff02::133]:3863")?;
    let mut group = SocketAddr::new(address, port.map_or(ASAP_PORT, NonZeroU16::get));
    if let (SocketAddr::V6(group), Some(zone)) = (&mut group, zone) {
        group.set_scope_id(index(zone).ok_or("there is no such interface")?);
    }
    Ok(group)
}

fn is_ipv6(text: &str) -> bool {
    text.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// The index of an interface, by its name or by itself.
fn index(name: &str) -> Option<u32> {
    // What knows names in the standard library is the look-up of an address with one in it.
    let found = (&*format!("fe80::1%{name}"), 0).to_socket_addrs().ok()?.next();
    match found {
        Some(SocketAddr::V6(at)) if at.scope_id() != 0 => Some(at.scope_id()),
        _ => None,
    }
}

impl FromStr for Interface {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = name.parse() {
            return Ok(Self::At(address));
        }
        let index = index(name).ok_or("there is no such interface")?;
        Ok(Self::Named { name: name.to_owned(), index })
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Named { name, .. } => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

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
            ("fd00::1", "fd00::1", None),
            ("fe80::1%lo", "fe80::1%lo", None),
            ("[fe80::1%lo]:7", "fe80::1%lo", Some(7)),
        ] {
            let place: Place = text.parse().unwrap();
            assert_eq!((&*place.host, place.port.map(NonZeroU16::get)), (host, port), "{text}");
        }
        for text in ["", ":7", "[]:7", "pr.example:", "pr.example:0", "192.0.2.1:99999"] {
            text.parse::<Place>().unwrap_err();
        }
    }

    /// Groups of both families are told from what is none, and interfaces by their names.
    #[test]
    fn groups_are_multicast() {
        for (text, expected) in [
            ("239.0.0.50:7", "239.0.0.50:7"),
            ("239.0.0.50", "239.0.0.50:3863"),
            ("[ff02::133]:7", "[ff02::133]:7"),
            ("ff02::133", "[ff02::133]:3863"),
            ("[ff02::133%9]:7", "[ff02::133%9]:7"),
        ] {
            assert_eq!(group(text).map(|group| group.to_string()), Ok(expected.into()), "{text}");
        }
        for text in ["192.0.2.1:7", "fd00::1", "all:7", "239.0.0.50:0", "ff02::133%nowhere"] {
            group(text).unwrap_err();
        }
        if let Some(loopback) = index("lo") {
            assert_eq!(group("ff02::133%lo"), group(&format!("ff02::133%{loopback}")));
            assert_eq!(link_local(&["--interface", "lo"]), Ok(Some(loopback)));
            assert_eq!(link_local(&["-r", "[fe80::1%lo]:7"]), Ok(Some(loopback)));
            assert_eq!(link_local(&["-r", "fd00::1"]), Ok(None));
            assert_eq!(link_local(&["-r", "fe80::1", "--interface", "lo"]), Ok(Some(loopback)));
            let again = format!("fe80::2%{loopback}");
            let zones = ["-r", "fe80::1%lo", "-r", &again];
            assert_eq!(link_local(&zones), Ok(Some(loopback)));
        }
    }

    /// An address that is good on one link only is told from the others, and where it is has to be said once.
    #[test]
    fn link_local_addresses_have_an_interface() {
        let why = |arguments: &[&str]| link_local(arguments).unwrap_err();
        assert_eq!(why(&["-r", "fe80::1"]), "fe80::1 needs an interface, like fe80::1%eth0");
        let nowhere = why(&["-r", "[fe80::1%nowhere]:7"]);
        assert_eq!(nowhere, "fe80::1%nowhere: there is no such interface");
        if let (Some(_), Some(_)) = (index("1"), index("2")) {
            let two = why(&["-r", "fe80::1%1", "-r", "fe80::2%2"]);
            assert_eq!(two, "fe80::2%2 and fe80::1%1 are on two interfaces; ask them one by one");
        }
    }

    fn link_local(arguments: &[&str]) -> Result<Option<u32>, String> {
        #[derive(Parser)]
        struct Program {
            #[command(flatten)]
            registrars: Registrars,
        }
        let arguments = ["program"].iter().chain(arguments);
        Program::parse_from(arguments).registrars.link_local()
    }
}
