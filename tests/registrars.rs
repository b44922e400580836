//! Finding a home registrar: configured and announced addresses, the hunt, T5 and T7 (RFC 5352 §3.6, §3.7).
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

mod lab;

use core::net::SocketAddr;
use std::collections::BTreeSet;

use asap_pu::wire::{Message, ServerIdentifier, Transport, TransportUse};
use asap_pu::{
    Action, Authentication, CloseReason, Config, Event, Registrar, ResolveError, Security,
};
use lab::*;

const FIVE: [&str; 5] =
    ["192.0.2.1:3863", "192.0.2.2:3863", "192.0.2.3:3863", "192.0.2.4:3863", "192.0.2.5:3863"];

fn announce(lab: &mut Lab, source: &str, server: u32, transports: Vec<Transport>) {
    let message = Message::server_announce(ServerIdentifier::new(server), transports);
    lab.pu.handle_announce(lab.now, source.parse().unwrap(), &message.to_bytes().unwrap());
}

/// [HUNT-2] [HUNT-3] [HUNT-6]: three of five addresses are tried at once, the first to come up is the home, the others
/// are closed.
#[test]
fn three_are_tried_and_one_is_kept() {
    let mut lab = Lab::knowing(&FIVE);
    assert!(lab.actions().is_empty(), "nothing before it is asked for");
    lab.pu.start(lab.now);
    let tried = lab.opens();
    assert_eq!(tried.len(), 3);
    lab.up(tried[1].channel);
    let closed: BTreeSet<_> = lab
        .actions()
        .into_iter()
        .map(|action| match action {
            Action::Close { channel, .. } => channel,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(closed, BTreeSet::from([tried[0].channel, tried[2].channel]));
    let Event::RegistrarFound { transport, .. } = lab.event() else { panic!() };
    assert_eq!(transport, Transport::tcp(tried[1].to));
    assert_eq!(lab.pu.home(), Some(&transport));
    assert_eq!(lab.pu.poll_timeout(), None, "an idle home costs nothing");
}

/// [HUNT-5]: an address that refuses is replaced at once, each is tried once in a round, and then T5 is waited for.
#[test]
fn a_refused_address_is_replaced_at_once() {
    let mut lab = Lab::knowing(&FIVE);
    lab.pu.start(lab.now);
    let mut tried: Vec<_> = lab.opens();
    let mut seen: BTreeSet<_> = tried.iter().map(|open| open.to).collect();
    while let Some(open) = tried.pop() {
        lab.fail(open.channel);
        for next in lab.opens() {
            assert!(seen.insert(next.to), "{} twice in a round", next.to);
            tried.push(next);
        }
    }
    assert_eq!(seen.len(), 5);
    let pause = lab.wait();
    assert!((7_500..=10_000).contains(&pause.as_millis()), "{pause:?}");
    assert_eq!(lab.opens().len(), 3, "a new round");
}

/// [HUNT-4] [HUNT-12]: with silent registrars T5 runs 10, 20, 40, 60, 60 s within its jitter, attempts end with it,
/// the next three addresses are others, and there are never more than three channels.
#[test]
fn silent_registrars_are_tried_in_turn_at_growing_intervals() {
    let mut lab = Lab::knowing(&FIVE);
    lab.pu.start(lab.now);
    let mut before: Vec<_> = lab.opens();
    for nominal in [10, 20, 40, 60, 60] {
        let round = lab.wait();
        assert!(round <= secs(nominal) && round >= secs(nominal) * 3 / 4, "{round:?} of {nominal}");
        let mut closed = Vec::new();
        let mut tried = Vec::new();
        for action in lab.actions() {
            match action {
                Action::Close { channel, .. } => closed.push(channel),
                open => tried.push(opened(open)),
            }
        }
        assert_eq!(closed, before.iter().map(|open| open.channel).collect::<Vec<_>>());
        assert_eq!((tried.len(), lab.pu.channels()), (3, 3));
        let fresh = tried.iter().filter(|open| before.iter().all(|old| old.to != open.to)).count();
        assert_eq!(fresh, 2, "of five addresses, the two that were not tried come first");
        before = tried;
    }
}

/// [HUNT-12]: who is tried first differs from seed to seed and is the same for the same seed.
#[test]
fn the_seed_decides_who_is_first() {
    let first = |seed| {
        let mut pu = asap_pu::PoolUser::new(config(&FIVE), seed).unwrap();
        pu.start(asap_pu::Instant::EPOCH);
        opened(pu.poll_action().unwrap()).to
    };
    let firsts: BTreeSet<SocketAddr> = (0..50).map(first).collect();
    assert_eq!(firsts.len(), 5);
    assert_eq!(first(7), first(7));
}

/// [HUNT-6]: a lone registrar that accepts and closes cannot make the pool user spin.
#[test]
fn an_hour_with_a_registrar_that_accepts_and_closes() {
    let mut config = config(&[REGISTRAR]);
    config.request_deadline = secs(7_200);
    let mut lab = Lab::new(config);
    lab.pu.resolve(lab.now, POOL).unwrap();
    let mut attempts = 0;
    while lab.now.since(asap_pu::Instant::EPOCH) < secs(3_600) {
        for action in lab.actions() {
            if let Action::Open { channel, .. } = action {
                attempts += 1;
                lab.up(channel);
                lab.pu.handle_closed(lab.now, channel, CloseReason::Closed);
            }
        }
        lab.wait();
    }
    // T5 doubles up to 60 s, shortened by a quarter at most.
    assert!((60..=85).contains(&attempts), "{attempts} attempts in an hour");
    lab.pu.poll_action();
    assert!(lab.pu.poll_timeout().is_some(), "still trying");
}

/// [HUNT-6]: the home that was lost while somebody waits is tried last, and the request goes to the new one [RES-5].
#[test]
fn a_lost_home_is_tried_last() {
    let mut lab = Lab::knowing(&FIVE[..3]);
    lab.pu.start(lab.now);
    let tried = lab.opens();
    lab.up(tried[0].channel);
    lab.actions();
    lab.pu.resolve(lab.now, "warm-up").unwrap();
    assert_eq!(lab.requests().len(), 1);
    lab.answer(tried[0].channel, "warm-up", &[element(1)]);
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert_eq!(lab.requests(), [(tried[0].channel, POOL.into())]);
    lab.fail(tried[0].channel);
    let next = lab.opens();
    let order: Vec<_> = next.iter().map(|open| open.to).collect();
    assert_eq!(order.last(), Some(&tried[0].to));
    assert_eq!(order.len(), 3);
    lab.up(next[0].channel);
    let sent: Vec<_> =
        lab.actions().into_iter().filter(|a| matches!(a, Action::Send { .. })).collect();
    assert_eq!(sent.len(), 1);
    lab.answer(next[0].channel, POOL, &[element(1)]);
    assert!(lab.events().iter().any(|event| matches!(event, Event::Resolved { .. })));
}

/// [RES-5]: a home that closes an idle channel is no error; it is opened again at need, alone, and only its failure
/// starts a hunt.
#[test]
fn an_idle_home_may_close() {
    let mut lab = Lab::knowing(&FIVE);
    lab.pu.start(lab.now);
    let home = lab.opens()[0].clone();
    lab.up(home.channel);
    lab.actions();
    lab.events();
    lab.pu.handle_closed(lab.now, home.channel, CloseReason::Closed);
    assert_eq!((lab.actions(), lab.events()), (vec![], vec![]));
    assert_eq!(lab.pu.poll_timeout(), None);

    lab.pu.resolve(lab.now, POOL).unwrap();
    let again = lab.open_one();
    assert_eq!(again.to, home.to);
    lab.fail(again.channel);
    let hunted = lab.opens();
    assert_eq!(hunted.len(), 3);
    assert!(hunted.iter().all(|open| open.to != home.to));
}

/// [HUNT-13]: without an address, where none can be announced, the user is told at once.
#[test]
fn no_address_and_no_announces_is_told_at_once() {
    let mut config = config(&[REGISTRAR]);
    config.accept_announces = false;
    let mut lab = Lab::new(config);
    assert!(lab.pu.remove_registrar(lab.now, &Transport::tcp(REGISTRAR.parse().unwrap())));
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

/// [HUNT-7] [HUNT-8]: an announce without transports stands for SCTP at its source, the port it came from first.
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
    config.registrar_protocols = asap_pu::Protocols::NONE.with(asap_pu::wire::Protocol::Tcp);
    let mut lab = Lab::new(config);
    let at = "10.0.0.9:3863".parse::<SocketAddr>().unwrap();
    let sctp = Transport::sctp(3863, TransportUse::DATA_ONLY, [at.ip()]);
    announce(&mut lab, "10.0.0.9:3863", 9, vec![sctp]);
    announce(&mut lab, "10.0.0.9:3863", 9, vec![]);
    assert_eq!((lab.pu.stats().announces_ignored, lab.pu.stats().announces), (2, 0));
    lab.pu.start(lab.now);
    assert_eq!(lab.open_one().to, REGISTRAR.parse().unwrap());
}

/// [HUNT-9]: ten thousand announced addresses leave a bounded list, in which the configured one survives.
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
    lab.pu.start(lab.now);
    assert_eq!(lab.open_one().to, REGISTRAR.parse().unwrap());
}

/// [HUNT-10] [HUNT-14]: a registrar that is not who it should be is left alone, and so is one that nobody checked
/// where only authenticated ones are wanted.
#[test]
fn unauthenticated_registrars_are_barred() {
    let mut config = config(&[]);
    let at =
        |n: u8| Registrar::tcp(SocketAddr::from(([192, 0, 2, n], 3864))).with_tls("pr.example");
    config.registrars = vec![at(1), at(2), at(3)];
    config.authenticated_only = true;
    let mut lab = Lab::new(config);
    lab.pu.start(lab.now);
    let mut tried = Vec::new();
    for action in lab.actions() {
        let Action::Open { security, .. } = &action else { panic!() };
        assert_eq!(*security, Security::Tls { identity: "pr.example".into() });
        tried.push(opened(action));
    }
    lab.pu.handle_closed(lab.now, tried[0].channel, CloseReason::Unauthenticated);
    lab.up(tried[1].channel);
    assert_eq!(lab.pu.stats().registrars_barred, 2);
    assert_eq!(lab.pu.home(), None);
    lab.wait();
    let again = lab.actions().into_iter().filter(|a| matches!(a, Action::Open { .. }));
    let again: Vec<_> = again.map(opened).collect();
    assert_eq!(again.len(), 1, "the barred ones are passed over");
    assert_eq!(again[0].to, tried[2].to);
    lab.pu.handle_opened(lab.now, again[0].channel, Authentication::Verified);
    let Event::RegistrarFound { authentication, .. } = lab.event() else { panic!() };
    assert_eq!(authentication, Authentication::Verified);
}

/// [HUNT-16]: registrars come and go while running; removing the home hunts for another one.
#[test]
fn registrars_are_added_and_removed() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.pu.add_registrar(lab.now, Registrar::tcp(FIVE[1].parse().unwrap())).unwrap();
    assert!(lab.pu.remove_registrar(lab.now, &Transport::tcp(REGISTRAR.parse().unwrap())));
    assert!(!lab.pu.remove_registrar(lab.now, &Transport::tcp(REGISTRAR.parse().unwrap())));
    let actions = lab.actions();
    assert!(matches!(actions[0], Action::Close { channel, .. } if channel == home));
    assert_eq!(opened(actions[1].clone()).to, FIVE[1].parse().unwrap());
}

/// [CORE-9]: a driver that never polls lets nothing grow.
#[test]
fn a_driver_that_never_polls() {
    let mut config = config(&FIVE);
    config.request_deadline = secs(1_000_000);
    let mut lab = Lab::new(config);
    lab.pu.resolve(lab.now, POOL).unwrap();
    for _ in 0..1_000 {
        lab.wait();
    }
    assert_eq!(lab.pu.channels(), 3);
    assert_eq!(lab.opens().len(), 3, "only what is still wanted");
}
