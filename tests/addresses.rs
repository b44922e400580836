//! Addresses that cannot be called, or not by that name, at every door (RFC 5352 §2.2.10, §3.6).

mod lab;

use core::net::{IpAddr, SocketAddr};

use asap_pu::wire::{
    Message, Parameter, PoolElement, Protocol, ServerIdentifier, Transport, TransportUse,
};
use asap_pu::{Action, CommandError, Config, ConfigError, Confirms, Registrar, SessionOptions};
use lab::*;

/// Where nobody can be called from anywhere.
const NOBODY: [&str; 9] = [
    "10.0.0.1:0",
    "0.0.0.0:7",
    "[::]:7",
    "224.0.1.185:7",
    "[ff02::1]:7",
    "255.255.255.255:7",
    "[::ffff:0.0.0.0]:7",
    "[::ffff:224.0.0.1]:7",
    "[::ffff:255.255.255.255]:7",
];

/// Where only those on the same host can be called.
const LOCAL: [&str; 3] = ["127.0.0.1:7", "[::1]:7", "[::ffff:127.8.8.8]:7"];

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

fn tcp(at: &str) -> Transport {
    Transport::tcp(at.parse().unwrap())
}

fn sctp(addresses: &[&str]) -> Transport {
    Transport::sctp(7, TransportUse::DATA_ONLY, addresses.iter().map(|address| ip(address)))
}

fn element_at(id: u32, transport: Transport) -> PoolElement {
    let mut element = element(id);
    element.transport = transport;
    element
}

fn known(lab: &Lab) -> Vec<String> {
    lab.pu.registrars().iter().map(|registrar| registrar.transport.to_string()).collect()
}

/// The transports that the pool lists after an answer of `elements`.
fn listed(lab: &mut Lab, home: asap_pu::ChannelId, elements: &[PoolElement]) -> Vec<String> {
    let pool = lab.pool(home, elements);
    let pool = lab.pu.pool(pool).unwrap();
    pool.elements().map(|element| element.transport().to_owned().to_string()).collect()
}

/// [HUNT-20]: where nobody can be called no registrar is, whoever says so; an announce that names no
/// other place is ignored, and does not stand for its source.
#[test]
fn nobody_is_a_registrar() {
    for at in NOBODY {
        let mut lab = Lab::new(Config::default());
        lab.pu.registrars_mut(lab.now).find_home();
        announce(&mut lab, "10.0.0.9:3863", 7, vec![tcp(at)]);
        assert_eq!((known(&lab), lab.actions()), (vec![], vec![]), "{at}");
        assert_eq!(lab.pu.stats().announces_ignored, 1);
        let refused = lab.pu.registrars_mut(lab.now).add(Registrar::tcp(at.parse().unwrap()));
        assert_eq!(refused, Err(CommandError::UnusableTransport), "{at}");
        assert!(!lab.pu.registrars_mut(lab.now).remove(&tcp(at)));

        let config = config(&[REGISTRAR, at]);
        assert_eq!(config.validate(), Err(ConfigError::UnusableRegistrar(1)), "{at}");
    }
}

/// [HUNT-20]: a loopback address means something only where it is heard on the same host, or configured.
#[test]
fn loopback_is_for_those_on_the_same_host() {
    for at in LOCAL {
        for (source, taken) in
            [("10.0.0.9:3863", 0), ("127.0.0.2:3863", 1), ("[::ffff:127.0.0.1]:3863", 1)]
        {
            let mut lab = Lab::new(Config::default());
            announce(&mut lab, source, 7, vec![tcp(at)]);
            assert_eq!(known(&lab).len(), taken, "{at} from {source}");
        }
        let mut lab = Lab::knowing(&[at]);
        assert_eq!(known(&lab).len(), 1);
        lab.pu.registrars_mut(lab.now).find_home();
        lab.open_one();
    }
}

/// [HUNT-20]: an announce from where nobody can be called, which does not say where else, is ignored.
#[test]
fn an_announce_from_nowhere_is_ignored() {
    for (source, taken) in [("10.0.0.9:0", 1), ("0.0.0.0:4000", 0), ("[::]:0", 0)] {
        let mut lab = Lab::new(Config::default());
        announce(&mut lab, source, 7, vec![]);
        assert_eq!(known(&lab).len(), taken, "{source}");
    }
}

/// [HUNT-20] [HUNT-8]: an announce with a transport of a kind that no registrar uses is not one without
/// transports.
#[test]
fn an_announce_with_other_transports_does_not_stand_for_its_source() {
    let at = "192.0.2.77:9999".parse().unwrap();
    for (transport, taken) in [
        (Some(Transport::udp(at)), 0),
        (Some(Transport::udp_lite(at)), 0),
        (Some(Transport::dccp(at, 1)), 0),
        (Some(Transport::opaque("there")), 0),
        (None, 2),
    ] {
        let mut lab = Lab::new(Config::default());
        let message = Message::server_announce(ServerIdentifier::new(7), vec![]);
        let mut bytes = message.to_bytes().unwrap().to_vec();
        if let Some(transport) = transport {
            Parameter::Transport(transport).encode(&mut bytes).unwrap();
        }
        let len = u16::try_from(bytes.len()).unwrap();
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        lab.pu.handle_announce(lab.now, "192.0.2.77:4444".parse().unwrap(), &bytes);
        assert_eq!(known(&lab).len(), taken);
        assert_eq!(lab.pu.stats().announces_ignored, u64::from(taken == 0));
    }
}

/// [HUNT-20]: of several addresses those count that can be called.
#[test]
fn what_can_be_called_is_left_of_a_transport() {
    let many = ["0.0.0.0", "10.0.0.1", "127.0.0.1", "ff02::1", "::ffff:10.0.0.2", "fd00::1"];
    let shown = "SCTP 10.0.0.1:7 10.0.0.2:7 [fd00::1]:7";

    let mut lab = Lab::new(Config::default());
    announce(&mut lab, "10.0.0.9:3863", 7, vec![sctp(&many)]);
    assert_eq!(known(&lab), [shown]);

    let (mut lab, home) = Lab::at_home();
    let elements = [element_at(1, sctp(&many)), element(2), element_at(3, sctp(&["0.0.0.0"]))];
    assert_eq!(listed(&mut lab, home, &elements), [shown, "TCP 10.0.0.2:7"]);
    assert_eq!(lab.pu.stats().elements_dropped, 1);
}

/// [HUNT-20]: an element where nobody can be called is not listed, nor called; a loopback address
/// counts where the registrar is on the same host.
#[test]
fn nobody_is_an_element() {
    for at in NOBODY.iter().chain(&LOCAL) {
        let (mut lab, home) = Lab::at_home();
        lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
        lab.requests();
        lab.answer(home, POOL, &[element_at(1, tcp(at)), element(2)]);
        assert_eq!(lab.open_one().to, "10.0.0.2:7".parse().unwrap(), "{at}");
        let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
        assert_eq!(lab.pu.pool(pool).unwrap().elements().len(), 1);
    }
    for at in LOCAL {
        let (mut lab, home) = Lab::at_home_with(config(&["127.0.0.1:3863"]));
        assert_eq!(listed(&mut lab, home, &[element_at(1, tcp(at))]).len(), 1, "{at}");
    }
}

/// [HUNT-20]: elements of other protocols likewise, in whatever order they are listed; what policies and
/// reports know of them belongs to those that are left.
#[test]
fn the_other_elements_keep_their_places() {
    let protocols = [Protocol::Dccp, Protocol::Sctp, Protocol::Tcp, Protocol::Udp];
    let (mut lab, home) = at_home(|setup| {
        for protocol in protocols {
            setup.capabilities = setup.capabilities.with_elements(protocol, Confirms::Nothing);
        }
    });
    let nowhere: SocketAddr = "0.0.0.0:7".parse().unwrap();
    let elements = [
        element_at(1, Transport::udp(nowhere)),
        element(2),
        element_at(3, Transport::dccp(nowhere, 1)),
        element_at(4, tcp("[::ffff:10.0.0.4]:7")),
        element_at(5, sctp(&[])),
        element(6),
    ];
    let expected = ["TCP 10.0.0.2:7", "TCP 10.0.0.4:7", "TCP 10.0.0.6:7"];
    assert_eq!(listed(&mut lab, home, &elements), expected);
    let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
    assert_eq!(lab.choose(pool), [2, 4, 6, 2]);
    let mapped = tcp("[::ffff:10.0.0.4]:7");
    assert_eq!(lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable_at(&mapped), Ok(id(4)));
    assert_eq!(lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable_at(&tcp("0.0.0.0:7")), {
        Err(CommandError::UnknownElement)
    });
}

/// [HUNT-20]: an IPv4-mapped address is the IPv4 address: one registrar has one place in the list,
/// whichever way its address is written.
#[test]
fn mapped_addresses_are_ipv4() {
    let mut lab = Lab::knowing(&["[::ffff:192.0.2.1]:3863"]);
    assert_eq!(known(&lab), ["TCP 192.0.2.1:3863"]);
    let mapped = || tcp("[::ffff:192.0.2.1]:3863");
    announce(&mut lab, "10.0.0.9:3863", 7, vec![mapped()]);
    announce(&mut lab, "[::ffff:10.0.0.8]:3863", 8, vec![]);
    lab.pu
        .registrars_mut(lab.now)
        .add(Registrar::tcp("[::ffff:192.0.2.1]:3863".parse().unwrap()))
        .unwrap();
    assert_eq!(known(&lab), ["TCP 192.0.2.1:3863", "SCTP 10.0.0.8:3863"]);
    lab.pu.registrars_mut(lab.now).find_home();
    let home = lab.opens().into_iter().find(|open| open.to == "192.0.2.1:3863".parse().unwrap());
    lab.up(home.unwrap().channel);
    lab.actions();
    assert!(lab.pu.registrars_mut(lab.now).remove(&mapped()));
    assert_eq!(known(&lab), ["SCTP 10.0.0.8:3863"]);
    assert!(matches!(lab.actions()[0], Action::Close { .. }));
}

/// [HUNT-20]: a session at an address is opened by the same rules.
#[test]
fn a_session_at_an_address_needs_somebody_there() {
    let (mut lab, _) = Lab::at_home();
    let options = SessionOptions::default;
    for at in NOBODY {
        let refused = lab.pu.open_session_at(lab.now, tcp(at), options());
        assert_eq!(refused, Err(CommandError::UnusableTransport), "{at}");
    }
    for (at, to) in [("[::ffff:10.0.0.3]:7", "10.0.0.3:7"), ("127.0.0.1:7", "127.0.0.1:7")] {
        lab.pu.open_session_at(lab.now, tcp(at), options()).unwrap();
        assert_eq!(lab.open_one().to, to.parse().unwrap(), "the user may mean this host");
    }
}
