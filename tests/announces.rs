//! Registrars that announce themselves: T7, what an announce may say and what not (RFC 5352
//! §2.2.10, §3.6; RFC 5355 §2.12).

mod lab;

use core::net::SocketAddr;

use asap_pu::wire::{Message, ServerIdentifier, Transport, TransportUse};
use asap_pu::{Action, CloseReason, Config, Event, HomeSearch, ResolveError, Security, TimerKind};
use lab::*;

/// [HUNT-13]: without an address, where none can be announced, the user is told at once.
#[test]
fn no_address_and_no_announces_is_told_at_once() {
    let mut config = config(&[REGISTRAR]);
    config.discovery.accept_announces = false;
    let mut lab = Lab::new(config);
    assert!(lab.pu.registrars_mut(lab.now).remove(&Transport::tcp(REGISTRAR.parse().unwrap())));
    let request = lab.pu.resolve(lab.now, POOL).unwrap();
    let events = lab.events();
    let [Event::NoRegistrarKnown, Event::ResolutionFailed { request: of, error, .. }] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((*of, error), (request, &ResolveError::NoRegistrarKnown));
    assert_eq!((lab.actions(), lab.pu.poll_timeout()), (vec![], None));
}

/// [HUNT-13]: where announces are accepted, a request waits five seconds for one, and then fails.
#[test]
fn a_request_waits_for_an_announce() {
    let mut lab = Lab::new(Config::default());
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert_eq!(lab.events(), [Event::NoRegistrarKnown]);
    assert_eq!(lab.wait(), secs(5));
    let event = lab.event();
    let Event::ResolutionFailed { error, .. } = event else { panic!("{event:?}") };
    assert_eq!(error, ResolveError::NoRegistrarKnown);
    assert_eq!(lab.pu.poll_timeout(), None);
}

/// [HUNT-7] [HUNT-8]: an announce without transports stands for SCTP at its source, the port it
/// came from first.
#[test]
fn an_announce_is_heard_and_used() {
    let mut lab = Lab::new(Config::default());
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.events();
    announce(&mut lab, "10.0.0.1:40001", 0x1234, vec![]);
    let practice = lab.open_one();
    assert_eq!(
        practice.to,
        "10.0.0.1:40001".parse().unwrap(),
        "one attempt for a server at a time"
    );
    lab.fail(practice.channel);
    let rfc = lab.open_one();
    assert_eq!(rfc.to, "10.0.0.1:3863".parse().unwrap());
    lab.up(rfc.channel);
    assert_eq!(lab.requests(), [(rfc.channel, POOL.into())]);
}

/// [HUNT-7]: T7 removes an address that is not announced again; a home that was found goes on.
#[test]
fn announced_addresses_outdate() {
    let mut lab = Lab::new(Config::default());
    announce(&mut lab, "10.0.0.1:3863", 1, vec![]);
    assert!(lab.actions().is_empty(), "nobody needs it");
    lab.secs(4);
    announce(&mut lab, "10.0.0.1:3863", 1, vec![]);
    lab.pu.resolve(lab.now, POOL).unwrap();
    let home = lab.open_one();
    lab.up(home.channel);
    assert_eq!(lab.requests().len(), 1);
    assert_eq!(lab.wait(), secs(5), "T7, restarted by the second announce");
    assert_eq!(lab.pu.stats().announced_outdated, 1);
    lab.answer(home.channel, POOL, &[element(1)]);
    assert!(lab.events().iter().any(|event| matches!(event, Event::Resolved { .. })));
}

/// [HUNT-8] [HUNT-15]: only SCTP and TCP that the driver speaks count.
#[test]
fn what_cannot_be_a_registrar_is_ignored() {
    let mut config = config(&[REGISTRAR]);
    config.capabilities = TCP;
    let mut lab = Lab::new(config);
    let at = "10.0.0.9:3863".parse::<SocketAddr>().unwrap();
    let sctp = Transport::sctp(3863, TransportUse::DATA_ONLY, [at.ip()]);
    announce(&mut lab, "10.0.0.9:3863", 9, vec![sctp]);
    announce(&mut lab, "10.0.0.9:3863", 9, vec![]);
    assert_eq!((lab.pu.stats().announces_ignored, lab.pu.stats().announces), (2, 0));
    lab.pu.registrars_mut(lab.now).find_home();
    assert_eq!(lab.open_one().to, REGISTRAR.parse().unwrap());
}

/// [HUNT-9]: ten thousand announced addresses leave a bounded list, in which the configured one
/// survives.
#[test]
fn announces_are_bounded() {
    let mut lab = Lab::knowing(&[REGISTRAR]);
    for n in 0..10_000_u32 {
        let source = SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 3863));
        announce(&mut lab, &source.to_string(), n, vec![]);
    }
    assert_eq!(lab.pu.stats().announced_full, 10_000 - 64);
    lab.secs(6);
    lab.pu.handle_timeout(lab.now);
    assert_eq!(lab.pu.stats().announced_outdated, 64);
    lab.pu.registrars_mut(lab.now).find_home();
    assert_eq!(lab.open_one().to, REGISTRAR.parse().unwrap());
}

/// [HUNT-9]: where announces are not accepted, one is counted and that is all.
#[test]
fn announces_need_not_be_accepted() {
    let mut config = config(&[REGISTRAR]);
    config.discovery.accept_announces = false;
    let mut lab = Lab::new(config);
    lab.pu.registrars_mut(lab.now).find_home();
    assert_eq!(lab.opens().len(), 1);
    announce(&mut lab, "10.0.0.1:3863", 1, vec![]);
    assert_eq!((lab.actions(), lab.pu.registrars().iter().count()), (vec![], 1));
    assert_eq!((lab.pu.stats().announces_ignored, lab.pu.stats().announces), (1, 0));
}

/// [HUNT-7] [HUNT-13]: when the last announced address has outdated, an announce is waited for at
/// once.
#[test]
fn the_last_address_may_outdate_during_the_hunt() {
    let mut lab = Lab::new(Config::default());
    lab.pu.resolve(lab.now, POOL).unwrap();
    announce(&mut lab, "10.0.0.1:3863", 1, vec![]);
    let open = lab.opens().remove(0);
    lab.fail(open.channel);
    assert_eq!(lab.wait(), secs(5), "T7");
    assert_eq!(lab.pu.registrars().home_search(), HomeSearch::Listening);
    assert_eq!(lab.pu.next_timer(), Some((lab.now + secs(5), TimerKind::AnnounceWait)));
}

/// [HUNT-7]: the address of the home may outdate; the home works until it fails.
#[test]
fn the_home_outlives_its_address() {
    let mut lab = Lab::new(Config::default());
    announce(&mut lab, "10.0.0.1:3863", 1, vec![]);
    lab.pu.registrars_mut(lab.now).find_home();
    let home = lab.open_one();
    lab.up(home.channel);
    lab.wait();
    assert_eq!(lab.pu.registrars().iter().count(), 0);
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert_eq!(lab.requests(), [(home.channel, POOL.into())]);
    lab.fail(home.channel);
    assert_eq!(lab.pu.registrars().home_search(), HomeSearch::Listening);
}

/// [HUNT-3] [HUNT-7]: the home whose address has outdated and is announced again is the same
/// registrar: in doubt, nobody tries it beside itself.
#[test]
fn the_home_is_known_when_it_is_announced_again() {
    let mut lab = Lab::new(Config::default());
    let announced = |lab: &mut Lab| announce(lab, "10.0.0.1:3863", 1, vec![]);
    announced(&mut lab);
    lab.pu.registrars_mut(lab.now).find_home();
    let home = lab.open_one();
    lab.up(home.channel);
    lab.wait();
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert_eq!(lab.requests().len(), 1);
    for _ in 0..4 {
        lab.secs(4);
        announced(&mut lab);
        lab.pu.handle_timeout(lab.now);
    }
    assert_eq!(
        (lab.pu.registrars().home_search(), lab.pu.registrars().iter().count()),
        (HomeSearch::Doubted, 1)
    );
    assert_eq!(lab.requests(), [(home.channel, POOL.into())], "and no second channel");
}

/// [HUNT-7] [HUNT-16]: removing the home leaves it, whatever became of its address meanwhile.
#[test]
fn the_home_is_removed_without_its_address() {
    for announced_again in [false, true] {
        let mut lab = Lab::new(Config::default());
        announce(&mut lab, "10.0.0.1:3863", 1, vec![]);
        lab.pu.registrars_mut(lab.now).find_home();
        let home = lab.open_one();
        lab.up(home.channel);
        lab.wait();
        if announced_again {
            announce(&mut lab, "10.0.0.1:3863", 1, vec![]);
        }
        let transport = lab.pu.registrars().home().unwrap().clone();
        assert!(lab.pu.registrars_mut(lab.now).remove(&transport));
        assert_eq!((lab.pu.registrars().home(), lab.pu.registrars().iter().count()), (None, 0));
        assert!(
            matches!(lab.actions()[..], [Action::Close { channel, .. }] if channel == home.channel)
        );
    }
}

/// [HUNT-8]: transports in an announce are what counts, of those SCTP and TCP, not UDP; its source
/// then does not.
#[test]
fn announced_transports_count() {
    let mut lab = Lab::new(Config::default());
    lab.pu.registrars_mut(lab.now).find_home();
    lab.events();
    let tcp = "10.0.0.2:5000".parse().unwrap();
    let sctp = Transport::sctp(5002, TransportUse::DATA_ONLY, ["10.0.0.3".parse().unwrap()]);
    let nowhere = Transport::tcp("10.0.0.4:0".parse().unwrap());
    let transports = vec![Transport::tcp(tcp), sctp.clone(), nowhere];
    let message = Message::server_announce(ServerIdentifier::new(1), transports);
    let mut bytes = message.to_bytes().unwrap().to_vec();
    bytes.extend([0x00, 0x06, 0x00, 0x10, 0x13, 0x89, 0, 0]);
    bytes.extend([0x00, 0x01, 0x00, 0x08, 10, 0, 0, 2]);
    bytes[3] += 0x10;
    lab.pu.handle_announce(lab.now, "10.0.0.1:3863".parse().unwrap(), &bytes);
    let known: Vec<_> =
        lab.pu.registrars().iter().map(|registrar| registrar.transport.clone()).collect();
    assert_eq!(known, [Transport::tcp(tcp), sctp]);
}

/// [HUNT-9]: what is announced changes nothing about configured registrars: they do not outdate,
/// and nobody can group them so that they are tried one after the other.
#[test]
fn announces_do_not_touch_configured_registrars() {
    let mut lab = Lab::knowing(&FIVE[..3]);
    let all = FIVE[..3].iter().map(|at| Transport::tcp(at.parse().unwrap())).collect();
    announce(&mut lab, "10.6.6.6:3863", 6, all);
    assert_eq!(lab.pu.poll_timeout(), None, "no T7");
    lab.pu.registrars_mut(lab.now).find_home();
    assert_eq!(lab.opens().len(), 3);
}

/// [HUNT-14]: announced registrars are called with the security of the configuration, at its port
/// by default.
#[test]
fn announced_registrars_have_to_be_secure_too() {
    let mut config = Config::default();
    config.discovery.announced_security = Security::tls("pr.example");
    config.discovery.authenticated_only = true;
    let mut lab = Lab::new(config);
    lab.pu.registrars_mut(lab.now).find_home();
    announce(&mut lab, "10.0.0.1:40001", 1, vec![]);
    let ports: Vec<_> =
        lab.pu.registrars().iter().map(|r| r.transport.socket_addrs().next()).collect();
    let ports: Vec<_> = ports.into_iter().map(|at| at.unwrap().port()).collect();
    assert_eq!(ports, [40_001, 3_864]);
    let [Action::Open { security, .. }] = &lab.actions()[..] else { panic!() };
    assert_eq!(*security, Security::tls("pr.example"));
    assert_eq!(Security::None.default_port(), 3_863);
}

/// [HUNT-10]: no announce lifts a bar by naming the same place in another way.
#[test]
fn a_barred_place_is_barred_by_any_name() {
    let mut config = config(&[REGISTRAR]);
    config.discovery.registrars[0] = config.discovery.registrars[0].clone().with_tls("pr.example");
    let mut lab = Lab::new(config);
    lab.pu.registrars_mut(lab.now).find_home();
    let open = lab.open_one();
    lab.pu.handle_closed(lab.now, open.channel, CloseReason::Unauthenticated);
    let mut same = Transport::tcp(REGISTRAR.parse().unwrap());
    same.ip_mut().unwrap().transport_use = TransportUse::DATA_PLUS_CONTROL;
    announce(&mut lab, REGISTRAR, 1, vec![same]);
    assert_eq!(lab.opens(), []);
}
