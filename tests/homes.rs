//! Homes that are no good, and how a new one is found after whatever came before (RFC 5352 §3.6,
//! §3.7).
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

mod lab;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeSet;

use asap_pu::wire::{CauseCode, Message};
use asap_pu::{
    Action, Authentication, ChannelId, CloseReason, Config, Event, HomeSearch, Payload, Registrar,
    ResolveError, TimerKind,
};
use lab::*;

/// Lets `secs` pass, while every channel comes up at once and all requests on channels that are not
/// `dead` are answered. Says when channels were asked for.
fn answer_for(lab: &mut Lab, secs: u64, dead: &[ChannelId]) -> Vec<(Duration, Opened)> {
    let (began, end) = (lab.now, lab.now + Duration::from_secs(secs));
    let mut opens = Vec::new();
    loop {
        let actions = lab.actions();
        let idle = actions.is_empty();
        for action in actions {
            match action {
                Action::Open { channel, .. } => {
                    opens.push((lab.now - began, opened(action)));
                    lab.up(channel);
                }
                Action::Send { channel, payload: Payload::Control(bytes), .. }
                    if !dead.contains(&channel) =>
                {
                    let message = Message::decode(&bytes).unwrap();
                    if let asap_pu::wire::Body::HandleResolution { handle, .. } = message.body {
                        let handle = handle.to_string();
                        lab.answer(channel, &handle, &three());
                    }
                }
                _ => {}
            }
        }
        match lab.pu.poll_timeout().filter(|at| *at <= end) {
            Some(at) => {
                lab.now = lab.now.max(at);
                lab.pu.handle_timeout(lab.now);
            }
            None if idle => break,
            None => {}
        }
    }
    lab.now = end;
    opens
}

fn outcomes(lab: &mut Lab) -> (usize, Vec<ResolveError>) {
    let (mut resolved, mut errors) = (0, Vec::new());
    for event in lab.events() {
        match event {
            Event::Resolved { .. } => resolved += 1,
            Event::ResolutionFailed { error, .. } => errors.push(error),
            _ => {}
        }
    }
    (resolved, errors)
}

/// [RES-16]: the channel to the only registrar goes dead without a word. One request finds that out,
/// and a new channel serves those that follow.
#[test]
fn a_dead_channel_is_replaced() {
    let (mut lab, dead) = Lab::at_home();
    let mut failures = 0;
    for n in 0..20 {
        lab.pu.resolve(lab.now, format!("pool {n}").as_str()).unwrap();
        let opens = answer_for(&mut lab, 90, &[dead]);
        let (resolved, errors) = outcomes(&mut lab);
        assert_eq!(resolved + errors.len(), 1);
        failures += errors.len();
        assert!(opens.len() <= 1);
    }
    assert_eq!(failures, 1);
}

/// [RES-16]: the same where requests come all the time, so that somebody always waits.
#[test]
fn a_dead_channel_is_replaced_under_load() {
    let (mut lab, dead) = Lab::at_home();
    let mut opens = Vec::new();
    for n in 0..60 {
        lab.pu.resolve(lab.now, format!("pool {n}").as_str()).unwrap();
        opens.extend(answer_for(&mut lab, 2, &[dead]));
    }
    assert_eq!(opens.len(), 1, "{opens:?}");
    let (resolved, errors) = outcomes(&mut lab);
    assert_eq!(errors, [ResolveError::NotAnswered], "the one that waited 45 s");
    assert_eq!(resolved, 59);
}

/// [RES-16]: and where the application loses its patience long before the request has ended, or just
/// before T1 expires.
#[test]
fn a_dead_channel_is_replaced_for_impatient_ones() {
    for patience in [20, 14, 4] {
        let (mut lab, dead) = Lab::at_home();
        let mut resolved = 0;
        for n in 0..20 {
            let request = lab.pu.resolve(lab.now, format!("pool {n}").as_str()).unwrap();
            answer_for(&mut lab, patience, &[dead]);
            resolved += outcomes(&mut lab).0;
            let _ = lab.pu.cancel(lab.now, request);
            lab.secs(1);
        }
        assert!(resolved >= 13, "{resolved} of 20 with patience for {patience} s");
    }
}

/// [RES-16]: a subscription that nobody asks about finds out as well.
#[test]
fn a_dead_channel_is_replaced_for_subscriptions() {
    let (mut lab, dead) = Lab::at_home();
    lab.pu.subscribe(lab.now, POOL).unwrap();
    answer_for(&mut lab, 120, &[dead]);
    let answers = lab.pu.stats().answers;
    assert!((3..=4).contains(&answers), "{answers}: one in 23 to 30 seconds from 45 s on");
}

/// [RES-16]: one request without an answer to its end is enough, whatever else was answered; one that
/// somebody gave up is not, while the home answers others.
#[test]
fn one_request_without_an_answer_is_enough() {
    for cancelled in [false, true] {
        let (mut lab, home) = Lab::at_home();
        let request = lab.pu.resolve(lab.now, "never answered").unwrap();
        lab.actions();
        for n in 1..45 {
            lab.secs(1);
            lab.pu.handle_timeout(lab.now);
            let handle = format!("pool {n}");
            lab.pu.resolve(lab.now, handle.as_str()).unwrap();
            lab.actions();
            lab.answer(home, &handle, &three());
        }
        lab.events();
        match cancelled {
            true => lab.pu.cancel(lab.now, request).unwrap(),
            false => assert_eq!(lab.wait(), secs(1)),
        }
        assert_eq!(lab.pu.registrars().home().is_some(), cancelled);
    }
}

/// [RES-16]: a channel that breaks while nobody needs it is no reason to try its registrar alone.
#[test]
fn an_idle_channel_that_broke_is_not_the_only_one_tried() {
    let mut lab = Lab::knowing(&FIVE);
    lab.pu.registrars_mut(lab.now).find_home();
    let home = lab.opens().remove(0);
    lab.up(home.channel);
    lab.actions();
    lab.fail(home.channel);
    lab.secs(600);
    lab.pu.resolve(lab.now, POOL).unwrap();
    let tried = lab.opens();
    assert_eq!(tried.len(), 3);
    assert!(tried.iter().all(|open| open.to != home.to), "the others first: {tried:?}");
}

/// [RES-16]: a home that refuses whatever is asked, three times in a row, is left for another one;
/// unknown pools are no refusals, and an answer in between begins the count anew.
#[test]
fn a_home_that_only_refuses_is_left() {
    // O: overloaded, U: there is no such pool, A: the list.
    for (answers, is_left) in [("OOO", true), ("OOAOO", false), ("OOUO", false), ("UUUU", false)] {
        let mut lab = Lab::knowing(&FIVE[..2]);
        lab.pu.registrars_mut(lab.now).find_home();
        let [home, other] = lab.opens().try_into().unwrap();
        lab.up(home.channel);
        lab.actions();
        for answer in answers.chars() {
            lab.secs(31);
            lab.pu.resolve(lab.now, POOL).unwrap();
            assert_eq!(lab.requests(), [(home.channel, POOL.into())]);
            let message = match answer {
                'O' => refusal(POOL, CauseCode::new(0x5)),
                'U' => refusal(POOL, CauseCode::UNKNOWN_POOL_HANDLE),
                _ => response(POOL, &three()),
            };
            lab.receive(home.channel, &message);
        }
        assert_eq!(lab.pu.registrars().home().is_none(), is_left, "{answers}");
        let actions = lab.actions();
        let opens = opens_among(&actions).into_iter().map(|open| open.to);
        let expected = if is_left { vec![other.to] } else { vec![] };
        assert_eq!(opens.collect::<Vec<_>>(), expected, "nor is it tried beside the other");
    }
}

/// [RES-16]: where no other registrar is known, one that refuses is better than none.
#[test]
fn a_lone_home_may_refuse() {
    let (mut lab, home) = Lab::at_home();
    for _ in 0..10 {
        lab.pu.resolve(lab.now, POOL).unwrap();
        assert_eq!(lab.requests(), [(home, POOL.into())]);
        lab.receive(home, &refusal(POOL, CauseCode::new(0x5)));
        lab.secs(1);
    }
    assert!(lab.pu.registrars().home().is_some());
}

/// [RES-16] [HUNT-10] [HUNT-19]: nor is a home left for one that is barred, or that may not be one; those
/// with TLS may.
#[test]
fn a_home_that_refuses_is_left_for_one_that_may_be_tried() {
    let refuse = |lab: &mut Lab, home: ChannelId| {
        for _ in 0..3 {
            lab.secs(31);
            lab.pu.resolve(lab.now, POOL).unwrap();
            assert_eq!(lab.requests(), [(home, POOL.into())]);
            lab.receive(home, &refusal(POOL, CauseCode::new(0x5)));
        }
        lab.pu.registrars().home().is_none()
    };
    let mut lab = Lab::knowing(&FIVE[..2]);
    lab.pu.registrars_mut(lab.now).find_home();
    let [home, impostor] = lab.opens().try_into().unwrap();
    lab.pu.handle_closed(lab.now, impostor.channel, CloseReason::Unauthenticated);
    lab.up(home.channel);
    lab.actions();
    assert!(!refuse(&mut lab, home.channel));

    for others in [0, 1] {
        let secure = |at: &&str| Registrar::tcp(at.parse().unwrap()).with_tls("pr.example");
        let mut setup = config(&[]);
        setup.discovery.registrars = FIVE[..1 + others].iter().map(secure).collect();
        let mut lab = Lab::new(setup);
        announce(&mut lab, "203.0.113.66:3863", 66, vec![]);
        lab.pu.registrars_mut(lab.now).find_home();
        let home = lab.opens().remove(0);
        lab.pu.handle_opened(lab.now, home.channel, Authentication::Verified);
        lab.actions();
        assert_eq!(refuse(&mut lab, home.channel), others > 0);
    }
}

/// [HUNT-2] [HUNT-6]: a home that leaves while it is needed is not the first to be called at the next need,
/// and one that may not be a home any more is not called at all [HUNT-19].
#[test]
fn a_former_home_is_called_first_only_where_that_helps() {
    let mut lab = Lab::knowing(&FIVE);
    lab.pu.registrars_mut(lab.now).find_home();
    let home = lab.opens().remove(0);
    lab.up(home.channel);
    lab.actions();
    let request = lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.pu.handle_closed(lab.now, home.channel, CloseReason::Closed);
    assert_eq!(lab.opens().len(), 3);
    lab.pu.cancel(lab.now, request).unwrap();
    lab.actions();
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert_eq!(lab.opens().len(), 3, "not the former home alone");

    let mut lab = Lab::new(Config::default());
    announce(&mut lab, "203.0.113.66:3863", 66, vec![]);
    lab.pu.registrars_mut(lab.now).find_home();
    let home = lab.open_one();
    lab.up(home.channel);
    lab.pu.handle_closed(lab.now, home.channel, CloseReason::Closed);
    let secure = Registrar::tcp("192.0.2.1:3864".parse().unwrap()).with_tls("pr.example");
    lab.pu.registrars_mut(lab.now).add(secure).unwrap();
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert_eq!(lab.open_one().to, "192.0.2.1:3864".parse().unwrap());
}

/// [RES-16] [HUNT-5]: two registrars that refuse everything cost one change of home for three
/// requests, and no more.
#[test]
fn homes_that_refuse_are_not_run_through() {
    let mut lab = Lab::knowing(&FIVE);
    for _ in 0..100 {
        lab.pu.resolve(lab.now, POOL).unwrap();
        while let actions @ [_, ..] = &lab.actions()[..] {
            for action in actions {
                match action {
                    Action::Open { channel, .. } => lab.up(*channel),
                    Action::Send { channel, .. } => {
                        lab.receive(*channel, &refusal(POOL, CauseCode::new(0x5)));
                    }
                    _ => {}
                }
            }
        }
        lab.secs(1);
        lab.pu.handle_timeout(lab.now);
    }
    let found = lab.pu.stats().homes_found;
    assert!((33..=35).contains(&found), "{found}");
}

/// [HUNT-17]: after hours of failure and an hour of peace, all five registrars are tried within the
/// first two rounds of ten and twenty seconds.
#[test]
fn a_new_hunt_begins_with_the_initial_t5() {
    let mut lab = Lab::knowing(&FIVE);
    for n in 0..5 {
        lab.pu.resolve(lab.now, format!("pool {n}").as_str()).unwrap();
        while outcomes(&mut lab).1.is_empty() {
            lab.actions();
            lab.wait();
        }
    }
    lab.actions();
    assert_eq!(lab.pu.registrars().home_search(), HomeSearch::Idle);
    lab.secs(3_600);
    lab.pu.resolve(lab.now, POOL).unwrap();
    let began = lab.now;
    let mut tried: BTreeSet<SocketAddr> = BTreeSet::new();
    while tried.len() < 5 {
        tried.extend(opens_among(&lab.actions()).iter().map(|open| open.to));
        assert_eq!(lab.pu.next_timer().unwrap().1, TimerKind::Hunt);
        lab.wait();
    }
    assert!(lab.now - began <= secs(30), "{:?}", lab.now - began);
}

/// [HUNT-17]: nor has the application that asks again at once to sit out the long round of the
/// request that failed.
#[test]
fn a_hunt_does_not_inherit_a_long_round() {
    let mut lab = Lab::knowing(&FIVE);
    lab.pu.resolve(lab.now, POOL).unwrap();
    while outcomes(&mut lab).1.is_empty() {
        lab.actions();
        lab.wait();
    }
    lab.actions();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    let (at, kind) = lab.pu.next_timer().unwrap();
    assert_eq!(kind, TimerKind::Hunt);
    assert!(at - lab.now <= secs(10), "{:?}", at - lab.now);
}

/// [HUNT-17] [HUNT-6]: a registrar that accepts and gives no answer does not get the pool user to run
/// after it; a minute after the last time, T5 is the initial one again.
#[test]
fn the_memory_of_a_home_that_fell_ends() {
    for (peace, expected) in [(30, 15..=20), (61, 7..=10)] {
        let mut lab = Lab::knowing(&[REGISTRAR]);
        let request = lab.pu.resolve(lab.now, POOL).unwrap();
        lab.open_one();
        lab.wait();
        let second = opens_among(&lab.actions()).remove(0);
        lab.up(second.channel);
        lab.fail(second.channel);
        lab.pu.cancel(lab.now, request).unwrap();
        lab.actions();
        lab.secs(peace);
        lab.pu.handle_timeout(lab.now);
        lab.pu.resolve(lab.now, POOL).unwrap();
        lab.actions();
        let t5 = lab.pu.next_timer().unwrap().0 - lab.now;
        assert!(expected.contains(&t5.as_secs()), "{t5:?} after {peace} s");
    }
}

/// [HUNT-5] [REPORT-9]: a failure of the driver's own is nobody's fault. No other address is tried in
/// its stead, which would fail too, and the address counts as untried.
#[test]
fn a_failure_of_the_drivers_own_is_held_against_nobody() {
    let mut lab = Lab::knowing(&FIVE);
    lab.pu.resolve(lab.now, POOL).unwrap();
    let tried = lab.opens();
    for open in &tried {
        lab.pu.handle_closed(lab.now, open.channel, CloseReason::Local);
    }
    assert_eq!((lab.actions(), lab.events()), (vec![], vec![]));
    assert_eq!(lab.pu.registrars().home_search(), HomeSearch::Hunting);
    assert!(lab.wait() <= secs(10));
    let home = lab.opens().remove(0);
    lab.up(home.channel);
    lab.actions();
    lab.answer(home.channel, POOL, &three());
    lab.events();

    // As the home it keeps its rank: nobody waited, and it is called first.
    lab.pu.handle_closed(lab.now, home.channel, CloseReason::Local);
    lab.secs(100);
    lab.pu.resolve(lab.now, "other").unwrap();
    assert_eq!(lab.open_one().to, home.to);
}

/// [HUNT-5]: a driver whose every channel fails at once for reasons of its own, or comes up and then
/// does, is asked no more than three times in T5 for each of five registrars.
#[test]
fn a_driver_without_means_is_not_asked_in_a_loop() {
    let mut lab = Lab::new({
        let mut config = config(&FIVE);
        config.resolution.request_deadline = secs(7_200);
        config
    });
    lab.pu.resolve(lab.now, POOL).unwrap();
    let mut asked = 0;
    while lab.now < asap_pu::Instant::EPOCH + secs(3_600) {
        for open in opens_among(&lab.actions()) {
            asked += 1;
            // It may also come up and end at once.
            if asked % 2 == 0 {
                lab.up(open.channel);
            }
            lab.pu.handle_closed(lab.now, open.channel, CloseReason::Local);
        }
        lab.wait();
    }
    assert!(asked <= 3_600 / 7 * 15, "{asked} in an hour");
}

/// [HUNT-16] [RES-16]: a registrar that joins while a refusing home is kept for want of another one is
/// tried with the next refusal.
#[test]
fn a_home_that_refuses_is_left_when_another_becomes_known() {
    let (mut lab, home) = Lab::at_home();
    let refused = |lab: &mut Lab| {
        lab.secs(1);
        lab.pu.resolve(lab.now, POOL).unwrap();
        assert_eq!(lab.requests(), [(home, POOL.into())]);
        lab.receive(home, &refusal(POOL, CauseCode::new(0x5)));
    };
    (0..5).for_each(|_| refused(&mut lab));
    lab.pu.registrars_mut(lab.now).add(Registrar::tcp(FIVE[1].parse().unwrap())).unwrap();
    refused(&mut lab);
    assert!(lab.pu.registrars().home().is_none());
    assert_eq!(opens_among(&lab.actions()).len(), 1);
}
