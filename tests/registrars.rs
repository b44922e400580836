//! Finding a home registrar: configured and announced addresses, the hunt, T5 and T7 (RFC 5352
//! §3.6, §3.7).
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

mod lab;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeSet;

use asap_pu::wire::{Message, Protocol, ServerIdentifier, Transport, TransportUse};
use asap_pu::{
    Action, Authentication, Capabilities, CloseReason, CommandError, Config, Event, HomeSearch,
    Registrar, Security, TimerKind,
};
use lab::*;

/// [HUNT-2] [HUNT-3] [HUNT-6]: three of five addresses are tried at once, the first to come up is the home, the others
/// are closed.
#[test]
fn three_are_tried_and_one_is_kept() {
    let mut lab = Lab::knowing(&FIVE);
    assert!(lab.actions().is_empty(), "nothing before it is asked for");
    lab.pu.registrars_mut(lab.now).find_home();
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
    assert_eq!(lab.pu.registrars().home(), Some(&transport));
    assert_eq!(lab.pu.poll_timeout(), None, "an idle home costs nothing");
}

/// [HUNT-5]: an address that refuses is replaced at once, each is tried once in a round, and then T5 is waited for.
#[test]
fn a_refused_address_is_replaced_at_once() {
    let mut lab = Lab::knowing(&FIVE);
    lab.pu.registrars_mut(lab.now).find_home();
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
    lab.pu.registrars_mut(lab.now).find_home();
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
        assert_eq!((tried.len(), lab.pu.channel_count()), (3, 3));
        let fresh = tried.iter().filter(|open| before.iter().all(|old| old.to != open.to)).count();
        assert_eq!(fresh, 2, "of five addresses, the two that were not tried come first");
        before = tried;
    }
}

/// [HUNT-12]: who is tried first differs from seed to seed and is the same for the same seed.
#[test]
fn the_seed_decides_who_is_first() {
    let first = |seed| {
        let mut pu = config(&FIVE).pool_user(seed);
        pu.registrars_mut(asap_pu::Instant::EPOCH).find_home();
        opened(pu.poll_action().unwrap()).to
    };
    let firsts: BTreeSet<SocketAddr> = (0..50).map(first).collect();
    assert_eq!(firsts.len(), 5);
    assert_eq!(first(7), first(7));
}

/// [HUNT-5] [HUNT-6]: a lone registrar that refuses, or accepts and closes, cannot make the pool
/// user spin.
#[test]
fn an_hour_with_a_lone_registrar() {
    for accepts in [false, true] {
        let mut config = config(&[REGISTRAR]);
        config.resolution.request_deadline = secs(7_200);
        let mut lab = Lab::new(config);
        lab.pu.resolve(lab.now, POOL).unwrap();
        let mut attempts = 0;
        while lab.now.since(asap_pu::Instant::EPOCH) < secs(3_600) {
            for action in lab.actions() {
                if let Action::Open { channel, .. } = action {
                    attempts += 1;
                    if accepts {
                        lab.up(channel);
                    }
                    lab.pu.handle_closed(lab.now, channel, CloseReason::Closed);
                }
            }
            lab.wait();
        }
        // T5 doubles up to 60 s, shortened by a quarter at most.
        assert!((60..=85).contains(&attempts), "{attempts} attempts in an hour");
        assert!(lab.pu.poll_timeout().is_some(), "still trying");
    }
}

/// [HUNT-6]: the home that was lost while somebody waits is tried last, and the request goes to the new one [RES-5].
#[test]
fn a_lost_home_is_tried_last() {
    let mut lab = Lab::knowing(&FIVE[..3]);
    lab.pu.registrars_mut(lab.now).find_home();
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
    let stats = lab.pu.stats();
    assert_eq!((stats.homes_found, stats.homes_lost), (2, 1));
    assert_eq!((stats.requests_sent, stats.requests_moved), (2, 1));
    lab.answer(next[0].channel, POOL, &[element(1)]);
    assert!(lab.events().iter().any(|event| matches!(event, Event::Resolved { .. })));
}

/// [RES-5]: a home that closes an idle channel is no error; it is opened again at need, alone, and only its failure
/// starts a hunt.
#[test]
fn an_idle_home_may_close() {
    let mut lab = Lab::knowing(&FIVE);
    lab.pu.registrars_mut(lab.now).find_home();
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

/// [HUNT-10] [HUNT-14]: a registrar that is not who it should be is left alone, and so is one that nobody checked
/// where only authenticated ones are wanted.
#[test]
fn unauthenticated_registrars_are_barred() {
    let mut config = config(&[]);
    let at =
        |n: u8| Registrar::tcp(SocketAddr::from(([192, 0, 2, n], 3864))).with_tls("pr.example");
    config.discovery.registrars = vec![at(1), at(2), at(3)];
    config.discovery.authenticated_only = true;
    let mut lab = Lab::new(config);
    lab.pu.registrars_mut(lab.now).find_home();
    let mut tried = Vec::new();
    for action in lab.actions() {
        let Action::Open { security, .. } = &action else { panic!() };
        assert_eq!(*security, Security::Tls { identity: "pr.example".into() });
        tried.push(opened(action));
    }
    lab.pu.handle_closed(lab.now, tried[0].channel, CloseReason::Unauthenticated);
    lab.up(tried[1].channel);
    assert_eq!(lab.pu.stats().registrars_barred, 2);
    assert_eq!(lab.pu.registrars().home(), None);
    lab.actions();
    lab.wait();
    let again = lab.actions().into_iter().filter(|a| matches!(a, Action::Open { .. }));
    let again: Vec<_> = again.map(opened).collect();
    assert_eq!(again.len(), 1, "the barred ones are passed over");
    assert_eq!(again[0].to, tried[2].to);
    lab.pu.handle_opened(lab.now, again[0].channel, Authentication::Verified);
    let Some(Event::RegistrarFound { authentication, .. }) = lab.events().pop() else { panic!() };
    assert_eq!(authentication, Authentication::Verified);
}

/// [HUNT-14]: a registrar that was to be authenticated and was not is refused, whatever holds for
/// the others.
#[test]
fn what_was_asked_of_one_registrar_holds_for_it() {
    let mut config = config(&FIVE[..1]);
    config.discovery.registrars[0] = config.discovery.registrars[0].clone().with_tls("pr.example");
    let mut lab = Lab::new(config);
    lab.pu.registrars_mut(lab.now).find_home();
    let open = lab.open_one();
    lab.up(open.channel);
    assert!(
        matches!(lab.actions()[..], [Action::Close { channel, .. }] if channel == open.channel)
    );
    assert_eq!((lab.pu.registrars().home(), lab.pu.stats().registrars_barred), (None, 1));
}

/// [HUNT-16]: registrars come and go while running; removing the home hunts for another one.
#[test]
fn registrars_are_added_and_removed() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.pu.registrars_mut(lab.now).add(Registrar::tcp(FIVE[1].parse().unwrap())).unwrap();
    assert!(lab.pu.registrars_mut(lab.now).remove(&Transport::tcp(REGISTRAR.parse().unwrap())));
    assert!(!lab.pu.registrars_mut(lab.now).remove(&Transport::tcp(REGISTRAR.parse().unwrap())));
    let actions = lab.actions();
    assert!(matches!(actions[0], Action::Close { channel, .. } if channel == home));
    assert_eq!(opened(actions[1].clone()).to, FIVE[1].parse().unwrap());
}

/// [CORE-9]: a driver that never polls lets nothing grow.
#[test]
fn a_driver_that_never_polls() {
    let mut config = config(&FIVE);
    config.resolution.request_deadline = secs(1_000_000);
    let mut lab = Lab::new(config);
    lab.pu.resolve(lab.now, POOL).unwrap();
    for _ in 0..1_000 {
        lab.wait();
    }
    assert_eq!(lab.pu.channel_count(), 3);
    assert_eq!(lab.opens().len(), 3, "only what is still wanted");
}

/// [HUNT-2]: without `start` nothing is hunted before the first need, by configuration of the
/// driver's program; with it the hunt begins at once, and the first to come up stays the home
/// without anyone asking for it.
#[test]
fn the_hunt_begins_at_the_start_or_at_need() {
    let mut lab = Lab::knowing(&[REGISTRAR]);
    announce(&mut lab, "10.0.0.1:40001", 1, vec![]);
    lab.secs(1);
    lab.pu.handle_timeout(lab.now);
    assert_eq!((lab.actions(), lab.pu.registrars().home_search()), (vec![], HomeSearch::Idle));
    lab.pu.registrars_mut(lab.now).find_home();
    assert_eq!((lab.opens().len(), lab.pu.registrars().home_search()), (2, HomeSearch::Hunting));
    assert_eq!(lab.pu.registrars().iter().count(), 2 + 1, "the announced one at two ports");
}

/// [HUNT-6]: asking and giving up in turn does not outrun T5 either: the round goes on where it was
/// left.
#[test]
fn impatience_does_not_outrun_the_timer() {
    let mut lab = Lab::knowing(&FIVE);
    let mut attempts = 0;
    for _ in 0..1_200 {
        let request = lab.pu.resolve(lab.now, POOL).unwrap();
        while let [open, ..] = &lab.opens()[..] {
            attempts += 1;
            lab.fail(open.channel);
        }
        lab.pu.cancel(lab.now, request).unwrap();
        lab.actions();
        lab.now += Duration::from_millis(10);
        lab.pu.handle_timeout(lab.now);
    }
    assert_eq!(attempts, 10, "two rounds in twelve seconds");
}

/// [HUNT-6]: T5 keeps what it has grown to over homes that give no answer, and falls back with a
/// valid one.
#[test]
fn only_an_answer_resets_the_timer() {
    let mut lab = Lab::knowing(&[REGISTRAR]);
    lab.pu.resolve(lab.now, POOL).unwrap();
    let silent = lab.open_one();
    lab.wait();
    let registrar = lab.actions().into_iter().find_map(|action| match action {
        Action::Open { .. } => Some(opened(action)),
        _ => None,
    });
    let registrar = registrar.unwrap();
    assert_eq!(registrar.to, silent.to);
    lab.up(registrar.channel);
    lab.actions();
    lab.fail(registrar.channel);
    let round = lab.pu.next_timer().unwrap();
    assert!(round.0 - lab.now > secs(10) && round.1 == TimerKind::Hunt, "{round:?}");
    lab.wait();
    let registrar = lab.open_one();
    lab.up(registrar.channel);
    lab.actions();
    lab.answer(registrar.channel, POOL, &[element(1)]);
    lab.pu.resolve(lab.now, "other").unwrap();
    lab.fail(registrar.channel);
    lab.actions();
    let round = lab.pu.next_timer().unwrap();
    assert!(round.0 - lab.now <= secs(10), "{round:?}");
}

/// [HUNT-10]: an announce does not lift a bar; time does.
#[test]
fn a_barred_registrar_stays_barred() {
    let mut lab = Lab::new(Config::default());
    lab.pu.registrars_mut(lab.now).find_home();
    let tcp = || vec![Transport::tcp("10.0.0.1:3863".parse().unwrap())];
    announce(&mut lab, "10.0.0.1:3863", 1, tcp());
    let open = lab.open_one();
    lab.pu.handle_closed(lab.now, open.channel, CloseReason::Unauthenticated);
    let began = lab.now;
    let barred = loop {
        lab.secs(1);
        lab.pu.handle_timeout(lab.now);
        announce(&mut lab, "10.0.0.1:3863", 1, tcp());
        if lab.actions().iter().any(|action| matches!(action, Action::Open { .. })) {
            break lab.now - began;
        }
    };
    assert!(barred >= secs(600) && barred <= secs(660), "{barred:?}");
}

/// [HUNT-10] [CORE-6]: the list of barred registrars is bounded.
#[test]
fn bars_are_bounded() {
    let mut config = config(&FIVE);
    config.limits.max_barred = 2;
    let mut lab = Lab::new(config);
    lab.pu.registrars_mut(lab.now).find_home();
    while let [open, ..] = &lab.opens()[..] {
        lab.pu.handle_closed(lab.now, open.channel, CloseReason::Unauthenticated);
    }
    assert_eq!((lab.pu.stats().registrars_barred, lab.pu.stats().bars_forgotten), (3, 1));
    lab.wait();
    let opens = |action: &Action| matches!(action, Action::Open { .. });
    assert_eq!(lab.actions().into_iter().filter(opens).count(), 3, "of five, two are barred");
}

/// [HUNT-11]: the home may name itself the home, and stays it; in doubt it stays in doubt, since
/// that is no answer. A pool user has no identity to acknowledge with.
#[test]
fn a_keep_alive_names_the_home() {
    let mut lab = Lab::knowing(&["192.0.2.1:3863", "192.0.2.2:3863"]);
    lab.pu.resolve(lab.now, POOL).unwrap();
    let tried = lab.opens();
    lab.up(tried[0].channel);
    lab.actions();
    lab.events();
    let keep_alive = |home| Message::endpoint_keep_alive(home, ServerIdentifier::new(1), POOL);
    lab.receive(tried[0].channel, &keep_alive(true));
    lab.receive(tried[0].channel, &keep_alive(false));
    assert_eq!((lab.pu.stats().homes_named, lab.pu.stats().keep_alives), (1, 1));
    assert_eq!((lab.actions(), lab.events()), (vec![], vec![]));
    assert_eq!(lab.pu.registrars().home_search(), HomeSearch::Home);
    lab.wait();
    lab.actions();
    lab.receive(tried[0].channel, &keep_alive(true));
    assert_eq!((lab.pu.registrars().home_search(), lab.actions()), (HomeSearch::Doubted, vec![]));
    lab.receive(tried[1].channel, &keep_alive(true));
    assert_eq!(lab.pu.stats().unknown_channels, 1, "an attempt is not up and says nothing");
    assert_eq!(lab.pu.stats().homes_named, 2);
}

/// [HUNT-14]: who authenticated the registrar's list reaches whoever resolves the pool, also from
/// the cache.
#[test]
fn a_resolution_tells_whether_its_registrar_was_authenticated() {
    for authentication in [Authentication::None, Authentication::Verified] {
        let mut lab = Lab::knowing(&[REGISTRAR]);
        lab.pu.resolve(lab.now, POOL).unwrap();
        let open = lab.open_one();
        lab.pu.handle_opened(lab.now, open.channel, authentication);
        lab.events();
        lab.answer(open.channel, POOL, &[element(1)]);
        lab.pu.resolve(lab.now, POOL).unwrap();
        let told = lab.events().into_iter().map(|event| match event {
            Event::Resolved { authentication, .. } => authentication,
            other => panic!("{other:?}"),
        });
        assert_eq!(told.collect::<Vec<_>>(), [authentication; 2]);
    }
}

/// [HUNT-16]: a home that is removed is left at once, and another one is hunted, needed or not.
#[test]
fn a_removed_home_is_replaced() {
    let mut lab = Lab::knowing(&FIVE[..2]);
    lab.pu.registrars_mut(lab.now).find_home();
    let tried = lab.opens();
    lab.up(tried[0].channel);
    lab.actions();
    assert!(lab.pu.registrars_mut(lab.now).remove(&Transport::tcp(tried[0].to)));
    let actions = lab.actions();
    assert!(matches!(actions[0], Action::Close { channel, .. } if channel == tried[0].channel));
    assert_eq!(opened(actions[1].clone()).to, tried[1].to);
    assert_eq!((actions.len(), lab.pu.registrars().home()), (2, None));
}

/// [HUNT-15] [HUNT-16]: a registrar that the driver cannot speak to is refused to the caller.
#[test]
fn a_registrar_must_be_reachable() {
    let mut config = config(&[REGISTRAR]);
    config.capabilities = Capabilities::NONE.with_registrars(Protocol::Tcp);
    let mut lab = Lab::new(config);
    let at: SocketAddr = "192.0.2.9:3863".parse().unwrap();
    for refused in [
        Registrar::sctp(3863, [at.ip()]),
        Registrar::tcp("192.0.2.9:0".parse().unwrap()),
        Registrar::tcp(at).with_tls("pr.example"),
    ] {
        let added = lab.pu.registrars_mut(lab.now).add(refused);
        assert_eq!(added, Err(CommandError::UnusableTransport));
    }
}

/// [HUNT-15] [HUNT-16] [HUNT-10]: a registrar may be where no IP address leads, if the driver knows the way:
/// it is called, becomes the home, is lost, barred and removed like any other.
#[test]
fn a_registrar_without_an_ip_address() {
    let at = |name: &str| Transport::Opaque(name.as_bytes().to_vec().into());
    let mut config = config(&[]);
    config.capabilities =
        Capabilities::NONE.with_registrars(Protocol::Opaque).with_authentication();
    config.discovery.registrars = vec![Registrar::new(at("bus 1")), Registrar::new(at("bus 2"))];
    config.discovery.authenticated_only = true;
    let mut lab = Lab::new(config);
    lab.pu.registrars_mut(lab.now).find_home();
    let opened = |action| match action {
        Action::Open { channel, to, .. } => (channel, to),
        other => panic!("{other:?}"),
    };
    let calls: Vec<_> = lab.actions().into_iter().map(opened).collect();
    let called: BTreeSet<_> = calls.iter().map(|(_, to)| to.clone()).collect();
    assert_eq!(called, [at("bus 1"), at("bus 2")].into());
    lab.up(calls[0].0);
    assert!(
        matches!(lab.event(), Event::RegistrarBarred { transport, .. } if transport == calls[0].1)
    );
    assert_eq!(lab.pu.registrars().barred().count(), 1);
    lab.pu.handle_opened(lab.now, calls[1].0, Authentication::Verified);
    assert_eq!(lab.pu.registrars().home(), Some(&calls[1].1));
    assert!(lab.pu.registrars_mut(lab.now).remove(&calls[1].1));
    assert_eq!((lab.pu.registrars().home(), lab.pu.registrars().iter().count()), (None, 1));
    lab.pu.registrars_mut(lab.now).add(Registrar::new(at("bus 3"))).unwrap();
}

/// [HUNT-1]: configured addresses stay for good, also through a year without use.
#[test]
fn configured_addresses_stay() {
    let mut lab = Lab::knowing(&FIVE);
    lab.secs(365 * 86_400);
    lab.pu.handle_timeout(lab.now);
    assert_eq!((lab.pu.registrars().iter().count(), lab.pu.poll_timeout()), (5, None));
}

/// [CORE-4]: a jump over many deadlines fires each once, and the next one lies ahead.
#[test]
fn a_jump_fires_each_timer_once() {
    let mut lab = Lab::knowing(&FIVE);
    lab.pu.registrars_mut(lab.now).find_home();
    lab.opens();
    lab.secs(86_400);
    lab.pu.handle_timeout(lab.now);
    assert_eq!(lab.pu.stats().t5_expired, 1);
    lab.actions();
    let ahead = lab.pu.poll_timeout().unwrap() - lab.now;
    assert!(ahead >= secs(15) && ahead <= secs(20), "{ahead:?}");
}

/// [HUNT-10]: a home that turns out to be an impostor is not called again when it is left.
#[test]
fn an_impostor_is_not_called_again() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, "warm-up").unwrap();
    lab.actions();
    lab.answer(home, "warm-up", &[element(1)]);
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.pu.handle_closed(lab.now, home, CloseReason::Unauthenticated);
    assert_eq!((lab.actions(), lab.pu.stats().registrars_barred), (vec![], 1));
}

/// [RES-3] [HUNT-2] [RES-16]: a home that left a request unanswered until nobody waited for it is left,
/// and its registrar tried again as one among others.
#[test]
fn a_silent_home_is_left_with_its_last_request() {
    let mut config = config(&FIVE[..2]);
    config.resolution.request_deadline = config.resolution.t1_request;
    let mut lab = Lab::new(config);
    lab.pu.registrars_mut(lab.now).find_home();
    let [silent, other] = lab.opens().try_into().unwrap();
    lab.up(silent.channel);
    lab.actions();
    lab.events();
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert_eq!(lab.requests(), [(silent.channel, POOL.into())]);
    lab.wait_until(lab.now + secs(15));
    failed(lab.event());
    assert_eq!(lab.pu.registrars().home_search(), HomeSearch::Idle);
    let is_close =
        |a: &Action| matches!(a, Action::Close { channel, .. } if *channel == silent.channel);
    assert!(lab.actions().iter().any(is_close));

    lab.secs(1);
    lab.pu.resolve(lab.now, POOL).unwrap();
    let tried: BTreeSet<_> = lab.opens().into_iter().map(|open| open.to).collect();
    assert_eq!(tried, BTreeSet::from([silent.to, other.to]));
}

/// [HUNT-5] [HUNT-6]: who failed in a round that is over may be tried at once when the home is lost.
#[test]
fn a_round_of_long_ago_bars_nobody() {
    let mut lab = Lab::knowing(&FIVE[..2]);
    lab.pu.registrars_mut(lab.now).find_home();
    let [home, other] = lab.opens().try_into().unwrap();
    lab.fail(other.channel);
    lab.up(home.channel);
    lab.secs(100);
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.fail(home.channel);
    assert!(lab.opens().iter().any(|open| open.to == other.to));
}

/// [HUNT-2]: a home whose idle channel ended is the first to be tried also after a search for it that
/// was broken off (decision 2).
#[test]
fn a_reopening_that_is_broken_off_is_taken_up_again() {
    let mut lab = Lab::knowing(&FIVE);
    lab.pu.registrars_mut(lab.now).find_home();
    let home = lab.opens().remove(0);
    lab.up(home.channel);
    lab.actions();
    lab.pu.handle_closed(lab.now, home.channel, CloseReason::Closed);
    for _ in 0..2 {
        let request = lab.pu.resolve(lab.now, POOL).unwrap();
        assert_eq!(
            opens_among(&lab.actions()).iter().map(|it| it.to).collect::<Vec<_>>(),
            [home.to]
        );
        lab.pu.cancel(lab.now, request).unwrap();
    }
}

/// [HUNT-10] [HUNT-14]: where only authenticated registrars are wanted, one that nobody checked is
/// refused although nothing else asked for TLS.
#[test]
fn only_authenticated_registrars_are_taken() {
    let mut config = config(&FIVE[..1]);
    config.discovery.authenticated_only = true;
    let mut lab = Lab::new(config.clone());
    lab.pu.registrars_mut(lab.now).find_home();
    let open = lab.open_one();
    lab.up(open.channel);
    assert!(
        matches!(lab.actions()[..], [Action::Close { channel, .. }] if channel == open.channel)
    );
    assert_eq!((lab.pu.registrars().home(), lab.pu.stats().registrars_barred), (None, 1));

    let mut lab = Lab::new(config);
    lab.pu.registrars_mut(lab.now).find_home();
    let open = lab.open_one();
    lab.pu.handle_opened(lab.now, open.channel, Authentication::Verified);
    assert!(lab.pu.registrars().home().is_some());
}

/// [HUNT-10]: of too many bars the oldest is forgotten.
#[test]
fn the_oldest_bar_is_forgotten() {
    let mut config = config(&FIVE[..3]);
    config.limits.max_barred = 2;
    let mut lab = Lab::new(config);
    lab.pu.registrars_mut(lab.now).find_home();
    let tried = lab.opens();
    for open in &tried {
        lab.pu.handle_closed(lab.now, open.channel, CloseReason::Unauthenticated);
        lab.secs(1);
    }
    lab.wait();
    let again = opens_among(&lab.actions());
    assert_eq!(again.iter().map(|open| open.to).collect::<Vec<_>>(), [tried[0].to]);
}

/// [HUNT-2]: a home that answers nobody is doubted also where nobody waits as long as T1.
#[test]
fn those_who_give_up_early_leave_their_doubts_behind() {
    let mut lab = Lab::knowing(&FIVE[..2]);
    lab.pu.registrars_mut(lab.now).find_home();
    let [silent, other] = lab.opens().try_into().unwrap();
    lab.up(silent.channel);
    lab.actions();
    let doubted = (0..3).any(|_| {
        let request = lab.pu.resolve(lab.now, POOL).unwrap();
        let tried = opens_among(&lab.actions());
        lab.secs(10);
        lab.pu.cancel(lab.now, request).unwrap();
        lab.actions();
        tried.iter().any(|open| open.to == other.to)
    });
    assert!(doubted);
}

/// [HUNT-18] [HUNT-10]: a registrar that is not who it should be, or does not prove it, is told of, each
/// once, however late the application reads; and it can be seen how long it is left alone.
#[test]
fn a_suspect_registrar_is_told_of() {
    let mut config = config(&[]);
    let at =
        |n: u8| Registrar::tcp(SocketAddr::from(([192, 0, 2, n], 3864))).with_tls("pr.example");
    config.discovery.registrars = [1, 2, 3].map(at).into();
    let mut lab = Lab::new(config);
    lab.pu.registrars_mut(lab.now).find_home();
    let tried = lab.opens();
    lab.pu.handle_closed(lab.now, tried[0].channel, CloseReason::Unauthenticated);
    lab.secs(1);
    lab.up(tried[1].channel);
    let suspects = |lab: &mut Lab| {
        let suspects = lab.events().into_iter().filter_map(|event| match event {
            Event::RegistrarBarred { transport, .. } => Some(transport),
            _ => None,
        });
        suspects.collect::<Vec<_>>()
    };
    let expected = [0, 1].map(|n| Transport::tcp(tried[n].to));
    assert_eq!(suspects(&mut lab), expected);
    assert_eq!(suspects(&mut lab), []);
    let barred: Vec<_> = lab
        .pu
        .registrars()
        .barred()
        .map(|(transport, until)| (transport.clone(), until - lab.now))
        .collect();
    let [first, second] = expected;
    assert_eq!(barred, [(first, secs(599)), (second, secs(600))]);

    lab.pu.handle_opened(lab.now, tried[2].channel, Authentication::Verified);
    lab.actions();
    lab.pu.handle_closed(lab.now, tried[2].channel, CloseReason::Unauthenticated);
    assert_eq!(suspects(&mut lab), [Transport::tcp(tried[2].to)], "as the home too");
    lab.secs(601);
    lab.pu.handle_timeout(lab.now);
    assert_eq!(lab.pu.registrars().barred().count(), 0);
}

/// [HUNT-18] [HUNT-9]: bars that nobody reads of stay bounded, and the latest ones are told.
#[test]
fn suspects_are_bounded() {
    let mut lab = Lab::new({
        let mut config = config(&[]);
        config.discovery.registrars =
            (1..=100).map(|n| Registrar::tcp(SocketAddr::from(([192, 0, 2, n], 3864)))).collect();
        (config.discovery.authenticated_only, config.limits.max_barred) = (true, 10);
        config
    });
    lab.pu.registrars_mut(lab.now).find_home();
    for _ in 0..30 {
        while let [open, ..] = &opens_among(&lab.actions())[..] {
            lab.up(open.channel);
        }
        lab.wait();
    }
    assert!(lab.pu.stats().registrars_barred >= 90);
    assert_eq!(lab.pu.registrars().barred().count(), 10);
    let told = lab.events();
    let suspects = told.iter().filter(|event| matches!(event, Event::RegistrarBarred { .. }));
    assert_eq!(suspects.count(), 10);
}

/// [HUNT-18]: announced registrars are listed with the time for which they are believed.
#[test]
fn announced_registrars_are_listed_apart() {
    let mut lab = Lab::knowing(&[REGISTRAR]);
    let tcp = |at: &str| Transport::tcp(at.parse().unwrap());
    announce(&mut lab, "10.0.0.1:3863", 1, vec![tcp("10.0.0.1:3863"), tcp(REGISTRAR)]);
    lab.secs(2);
    announce(&mut lab, "10.0.0.2:3863", 2, vec![tcp("10.0.0.2:3863")]);
    let listed: Vec<_> = lab
        .pu
        .registrars()
        .announced()
        .map(|(registrar, until)| (registrar.transport.clone(), until - lab.now))
        .collect();
    assert_eq!(listed, [(tcp("10.0.0.1:3863"), secs(3)), (tcp("10.0.0.2:3863"), secs(5))]);
    assert_eq!(lab.pu.registrars().iter().count(), 3);
    lab.pu.registrars_mut(lab.now).add(Registrar::tcp("10.0.0.2:3863".parse().unwrap())).unwrap();
    assert_eq!(lab.pu.registrars().announced().count(), 1, "it is kept for good now");
}

/// [HUNT-19]: where every configured registrar demands TLS, whoever can send a datagram does not become
/// the home: not before they have failed, nor after.
#[test]
fn an_announced_stranger_does_not_replace_those_with_tls() {
    let liar = || Transport::tcp("203.0.113.66:3863".parse().unwrap());
    let secure =
        |n: u8| Registrar::tcp(SocketAddr::from(([192, 0, 2, n], 3864))).with_tls("pr.example");
    for (change, taken) in [
        ((|_| {}) as fn(&mut Setup), false),
        (|c| c.discovery.announced_unsecured = true, true),
        (|c| c.discovery.announced_security = Security::tls("pr.example"), true),
        (|c| c.discovery.registrars.push(Registrar::tcp("192.0.2.9:3863".parse().unwrap())), true),
        (|c| c.discovery.registrars.clear(), true),
    ] {
        let mut config = config(&[]);
        config.discovery.registrars = vec![secure(1), secure(2)];
        change(&mut config);
        let mut lab = Lab::new(config);
        let mut called = false;
        lab.pu.resolve(lab.now, POOL).unwrap();
        for _ in 0..8 {
            announce(&mut lab, "203.0.113.66:3863", 66, vec![liar()]);
            for open in opens_among(&lab.actions()) {
                called |= Transport::tcp(open.to) == liar();
                lab.fail(open.channel);
            }
            lab.secs(2);
            lab.pu.handle_timeout(lab.now);
        }
        assert_eq!(called, taken);
    }
}

/// [HUNT-19]: the same where registrars come and go meanwhile.
#[test]
fn who_may_be_the_home_follows_who_is_configured() {
    let liar = Transport::tcp("203.0.113.66:3863".parse().unwrap());
    let secure = Registrar::tcp("192.0.2.1:3864".parse().unwrap()).with_tls("pr.example");
    let mut lab = Lab::new(Config::default());
    announce(&mut lab, "203.0.113.66:3863", 66, vec![liar.clone()]);
    lab.pu.registrars_mut(lab.now).find_home();
    let open = lab.open_one();
    assert_eq!(open.to, "203.0.113.66:3863".parse().unwrap(), "nobody else is known");
    lab.pu.registrars_mut(lab.now).add(secure.clone()).unwrap();
    lab.opens();
    lab.up(open.channel);
    assert_eq!(lab.pu.registrars().home(), None, "it came too late");
    lab.actions();
    lab.pu.registrars_mut(lab.now).remove(&secure.transport);
    assert_eq!(lab.pu.registrars().iter().count(), 1);
    announce(&mut lab, "203.0.113.66:3863", 66, vec![liar]);
    while opens_among(&lab.actions()).is_empty() {
        lab.secs(2);
        lab.pu.handle_timeout(lab.now);
        let liar = Transport::tcp("203.0.113.66:3863".parse().unwrap());
        announce(&mut lab, "203.0.113.66:3863", 66, vec![liar]);
    }
}

/// [HUNT-10]: a bar is on a place: the peer at that address and port by that protocol, whatever else its
/// transport says, and nobody else.
#[test]
fn a_bar_is_on_a_place() {
    let place = |addresses: &[&str], port| {
        Transport::sctp(
            port,
            TransportUse::DATA_ONLY,
            addresses.iter().map(|address| address.parse().unwrap()),
        )
    };
    let barred = place(&["192.0.2.1", "192.0.2.2"], 3863);
    for (other, is_free) in [
        (place(&["192.0.2.1"], 3863), false),
        (place(&["192.0.2.9", "192.0.2.2"], 3863), false),
        (place(&["192.0.2.1"], 3864), true),
        (place(&["192.0.2.9"], 3863), true),
        (Transport::tcp("192.0.2.1:3863".parse().unwrap()), true),
    ] {
        let mut lab = Lab::new(Config::default());
        lab.pu.registrars_mut(lab.now).find_home();
        announce(&mut lab, "192.0.2.7:3863", 1, vec![barred.clone()]);
        let open = lab.open_one();
        lab.pu.handle_closed(lab.now, open.channel, CloseReason::Unauthenticated);
        announce(&mut lab, "192.0.2.8:3863", 2, vec![other.clone()]);
        assert_eq!(lab.opens().len(), usize::from(is_free), "{other}");
    }
}
