//! Registrars that come back without knowing anything, and subscriptions over long times (RFC 5352
//! §2.2.5, §3.3; RFC 3237 §2.5).
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

mod lab;

use core::time::Duration;
use std::collections::BTreeMap;

use asap_pu::sim::{Fault, Lie, Sim};
use asap_pu::wire::{Body, CauseCode, Message, Policy, PoolElement, Transport};
use asap_pu::{
    Action, ChannelId, Event, Failover, Instant, Payload, ResolveError, SessionOptions,
    StaleAnswers,
};
use lab::*;

/// A list with the A bit or without.
fn list(updates: bool, elements: &[PoolElement]) -> Message {
    let mut message = response(POOL, elements);
    if let Body::HandleResolutionResponse { updates: a, .. } = &mut message.body {
        *a = updates;
    }
    message
}

fn unknown() -> Message {
    refusal(POOL, CauseCode::UNKNOWN_POOL_HANDLE)
}

/// The registrar of a pool user that knows the pool is started anew: the channel breaks, and the next
/// one leads to a home that is as young as can be. The request that the pool user then has for it.
fn restart(lab: &mut Lab, home: ChannelId) -> ChannelId {
    lab.fail(home);
    lab.secs(1);
    lab.pu.refresh(lab.now, POOL).unwrap();
    let again = opens_among(&lab.actions()).remove(0);
    lab.up(again.channel);
    lab.events();
    assert_eq!(lab.requests(), [(again.channel, POOL.into())]);
    again.channel
}

/// [RES-17]: a registrar that comes back empty does not take away what was known. It is asked again,
/// until it knows the pool, or until its grace is over.
#[test]
fn a_registrar_that_comes_back_empty_is_not_believed_at_once() {
    for learns in [true, false] {
        let (mut lab, home) = Lab::at_home();
        let pool = lab.pool(home, &three());
        let home = restart(&mut lab, home);
        let began = lab.now;
        lab.receive(home, &unknown());
        assert!(matches!(lab.event(), Event::Resolved { stale: true, .. }));
        let mut asked = 0;
        let end = loop {
            lab.wait();
            assert_eq!(lab.requests(), [(home, POOL.into())]);
            asked += 1;
            if learns && asked == 3 {
                lab.answer(home, POOL, &three());
            } else {
                lab.receive(home, &unknown());
            }
            if lab.pu.poll_timeout().is_none() {
                break lab.now - began;
            }
            assert!(lab.pu.pool(pool).is_some());
        };
        assert_eq!(lab.pu.find_pool(POOL.as_bytes()).is_some(), learns);
        let expected = if learns { 11..=15 } else { 30..=35 };
        assert!(expected.contains(&end.as_secs()), "{end:?}");
        assert!(asked <= 9, "{asked} requests");
    }
}

/// [RES-17]: nor does it end a subscription, of whichever kind; what is unknown after the grace ends
/// it.
#[test]
fn a_registrar_that_comes_back_empty_ends_no_subscription() {
    for updates in [true, false] {
        for learns in [true, false] {
            let (mut lab, home) = Lab::at_home();
            lab.pu.subscribe(lab.now, POOL).unwrap();
            lab.actions();
            lab.receive(home, &list(updates, &three()));
            lab.events();
            let home = restart(&mut lab, home);
            lab.receive(home, &unknown());
            let began = lab.now;
            lab.events();
            while lab.now - began < secs(29) {
                lab.wait();
                for (on, _) in lab.requests() {
                    let knows = learns && lab.now - began > secs(10);
                    lab.receive(on, &if knows { list(updates, &three()) } else { unknown() });
                }
                assert_eq!(lab.events(), []);
            }
            assert_eq!(lab.pu.subscription(POOL.as_bytes()), Some(updates && learns));
            if !learns {
                while lab.pu.subscription(POOL.as_bytes()).is_some() {
                    lab.wait();
                    lab.requests();
                    lab.receive(home, &unknown());
                }
                assert!(lab.now - began < secs(36));
                let Event::SubscriptionEnded { error, .. } = lab.event() else { panic!() };
                assert_eq!(error, ResolveError::UnknownPoolHandle);
            }
        }
    }
}

/// [RES-17]: once the registrar has listed the pool there is nothing to ask for, and without a registrar
/// nobody is hunted for a pool that is in doubt.
#[test]
fn a_doubt_ends_with_the_list() {
    let doubted = || {
        let (mut lab, home) = Lab::at_home();
        lab.pool(home, &three());
        let home = restart(&mut lab, home);
        lab.receive(home, &unknown());
        assert!(matches!(lab.event(), Event::Resolved { stale: true, .. }));
        (lab, home)
    };
    let (mut lab, home) = doubted();
    lab.secs(1);
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.wait();
    assert_eq!(lab.requests(), [(home, POOL.into())]);
    lab.answer(home, POOL, &three());
    assert_eq!(lab.pu.poll_timeout(), None);

    let (mut lab, home) = doubted();
    lab.fail(home);
    while lab.pu.poll_timeout().is_some() {
        lab.wait();
        assert_eq!(lab.actions(), []);
    }
}

/// [RES-17]: nor is a pool unknown that is subscribed to and was purged meanwhile.
#[test]
fn what_was_listed_once_is_known_without_the_list() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.subscribe(lab.now, POOL).unwrap();
    lab.actions();
    lab.receive(home, &list(false, &three()));
    lab.events();
    let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
    lab.pu.pool_mut(lab.now, pool).unwrap().purge();
    let home = restart(&mut lab, home);
    lab.receive(home, &unknown());
    assert!(lab.pu.subscription(POOL.as_bytes()).is_some(), "it is in doubt");
}

/// [RES-17]: a pool that was never known is unknown, however young the home is.
#[test]
fn a_pool_that_was_never_known_is_unknown() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.subscribe(lab.now, POOL).unwrap();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.requests();
    lab.receive(home, &unknown());
    let [Event::SubscriptionEnded { .. }, failed] = &lab.events()[..] else { panic!() };
    assert!(matches!(
        failed,
        Event::ResolutionFailed { error: ResolveError::UnknownPoolHandle, .. }
    ));
    assert_eq!((lab.pu.poll_timeout(), lab.pu.stats().answers_disputed), (None, 0));
}

/// [RES-17]: the grace is that of the pool. A registrar that goes after each answer is young for ever,
/// and does not keep a pool alive that is gone.
#[test]
fn a_registrar_that_is_always_young_is_believed_in_the_end() {
    let (mut lab, mut home) = Lab::at_home();
    lab.pool(home, &three());
    let began = lab.now;
    while lab.pu.find_pool(POOL.as_bytes()).is_some() {
        home = restart(&mut lab, home);
        lab.receive(home, &unknown());
        lab.secs(4);
        assert!(lab.now - began < secs(60), "for ever");
    }
    assert!(lab.now - began >= secs(30));
}

/// [RES-17]: who does not want a stale pool hears that there was no answer, not that there is no pool.
#[test]
fn who_wants_no_stale_pool_hears_of_no_answer() {
    for (stale_answers, served) in [
        (StaleAnswers::Served, true),
        (StaleAnswers::Fallback, true),
        (StaleAnswers::Withheld, false),
    ] {
        let (mut lab, home) = at_home(|config| config.cache.stale_answers = stale_answers);
        lab.pool(home, &three());
        let home = restart(&mut lab, home);
        lab.receive(home, &unknown());
        match served {
            true => assert!(matches!(lab.event(), Event::Resolved { stale: true, .. })),
            false => assert_eq!(failed(lab.event()).1, ResolveError::NotAnswered),
        }
    }
}

/// [RES-17] [CACHE-8]: all registrars of a running system are restarted and know nothing for twenty
/// seconds. No session ends, none loses its pool, no subscription ends.
#[test]
fn a_system_goes_on_while_its_registrars_come_back_empty() {
    for seed in 0..20 {
        let mut sim = Sim::new(seed);
        let registrars = [(); 2].map(|()| sim.registrar());
        let elements = [(); 3].map(|()| sim.element(POOL, Policy::RoundRobin));
        let user = sim.user(sim.config()).unwrap();
        sim.call(user, |pu, now| {
            pu.open_session(now, POOL, SessionOptions::default()).unwrap();
            pu.subscribe(now, POOL).unwrap();
        });
        let pass = |sim: &mut Sim, secs: u64| {
            let until = sim.now() + Duration::from_secs(secs);
            core::iter::from_fn(|| sim.next(until)).map(|(_, event)| event).collect::<Vec<_>>()
        };
        pass(&mut sim, 100);
        registrars.iter().for_each(|registrar| sim.fail(*registrar, Fault::Crash));
        pass(&mut sim, 5);
        registrars.iter().for_each(|it| sim.fail(*it, Fault::Lie(Lie::UnknownPool)));
        let mut events = pass(&mut sim, 10);
        // The session has to find another element just now.
        sim.fail(elements[0], Fault::Crash);
        events.extend(pass(&mut sim, 10));
        registrars.iter().for_each(|registrar| sim.heal(*registrar));
        events.extend(pass(&mut sim, 300));
        let ends = |event: &Event| {
            matches!(event, Event::SessionEnded { .. } | Event::SubscriptionEnded { .. })
        };
        assert!(!events.iter().any(ends), "{events:?}");
        let failed_over = |event: &Event| matches!(event, Event::FailedOver { .. });
        assert_eq!(events.iter().filter(|event| failed_over(event)).count(), 1);
        let pu = sim.pool_user(user);
        assert!(pu.find_pool(POOL.as_bytes()).is_some());
        assert!(pu.stats().answers_disputed > 0);
    }
}

/// [RES-18]: a subscription that was granted is asked again when no word came for `subscription_check`,
/// again and again; a home that is gone is found out that way.
#[test]
fn a_grant_is_checked() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.subscribe(lab.now, POOL).unwrap();
    assert_eq!(lab.requests().len(), 1);
    for _ in 0..3 {
        lab.receive(home, &list(true, &three()));
        lab.events();
        let check = lab.wait();
        assert!(check <= secs(300) && check >= secs(225), "{check:?}");
        let request = Message::handle_resolution(true, POOL, Some(128));
        assert_eq!(lab.controls(), [(home, request)]);
        lab.pu.resolve(lab.now, POOL).unwrap();
        assert!(
            matches!(lab.event(), Event::Resolved { stale: false, .. }),
            "until it is in doubt"
        );
    }
    // Nobody is there any more.
    for _ in 0..3 {
        lab.wait_until(lab.now + secs(15));
    }
    assert_eq!(lab.pu.subscription(POOL.as_bytes()), Some(false));
    assert_eq!(lab.pu.registrars().home(), None);
}

/// [RES-18]: an update puts the check off, and a list of yesterday is not taken for a fresh one even
/// where nobody has woken the pool user up since.
#[test]
fn a_list_of_yesterday_is_stale() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.subscribe(lab.now, POOL).unwrap();
    lab.actions();
    for _ in 0..10 {
        lab.receive(home, &list(true, &three()));
        lab.secs(200);
        lab.pu.handle_timeout(lab.now);
        assert_eq!(lab.actions(), []);
    }
    lab.events();
    lab.secs(86_400);
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert!(matches!(lab.event(), Event::Resolved { stale: true, .. }));
    assert_eq!(lab.requests().len(), 1);
}

/// [RES-18]: an update without the A bit is the last one: the pool ages from there on, and is asked for
/// again.
#[test]
fn an_update_without_the_a_bit_ends_the_grant() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.subscribe(lab.now, POOL).unwrap();
    lab.actions();
    lab.receive(home, &list(true, &[element(1)]));
    lab.secs(5);
    lab.receive(home, &list(false, &[element(1), element(2)]));
    assert_eq!(lab.pu.subscription(POOL.as_bytes()), Some(false));
    lab.events();
    assert!(lab.wait() <= secs(30));
    assert_eq!(lab.requests().len(), 1);
    lab.receive(home, &list(true, &[element(1)]));
    assert_eq!(lab.pu.subscription(POOL.as_bytes()), Some(true));
}

/// [RES-18]: an update of which nothing can be used says that the list is out of date, and nothing more:
/// a better one is asked for.
#[test]
fn an_update_of_no_use_makes_the_list_stale() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.subscribe(lab.now, POOL).unwrap();
    lab.actions();
    lab.receive(home, &list(true, &[element(1)]));
    lab.events();
    let mut nowhere = element(2);
    nowhere.transport = Transport::opaque(vec![]);
    lab.secs(1);
    lab.receive(home, &list(true, &[nowhere]));
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert!(matches!(lab.event(), Event::Resolved { stale: true, .. }));
    assert_eq!(lab.requests().len(), 1);
    lab.receive(home, &list(true, &[element(3)]));
    lab.events();
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert!(matches!(lab.event(), Event::Resolved { stale: false, .. }));
}

/// [RES-18] [CACHE-2]: sessions do not choose from a list that a registrar called out of date either.
#[test]
fn an_answer_of_no_use_makes_the_list_stale_for_sessions() {
    let mut setup = mapped();
    setup.cache.stale_answers = StaleAnswers::Withheld;
    let (mut lab, home, session) = choosing_lab(setup);
    let mut nowhere = element(2);
    nowhere.transport = Transport::opaque(vec![]);
    lab.secs(1);
    lab.pu.refresh(lab.now, POOL).unwrap();
    lab.actions();
    lab.receive(home, &list(false, &[nowhere]));
    assert_eq!(lab.pu.stats().answers_useless, 1);
    send(&mut lab, session, "a", Failover::Unsent);
    assert_eq!(lab.actions(), [], "what was asked will be answered better");
    lab.receive(home, &list(false, &[element(3)]));
    let [open] = opens_among(&lab.actions()).try_into().unwrap();
    assert_eq!(open.to.ip(), core::net::IpAddr::from([10, 0, 0, 3]));
}

/// What registrars of the crowd are asked, by second.
fn crowd(users: usize, subscriptions: usize, lost: bool) -> BTreeMap<u64, u64> {
    let config = || {
        let mut config = config(&[REGISTRAR]);
        config.limits.max_pools = 4_096;
        config
    };
    let mut users: Vec<_> =
        (0..users).map(|seed| (config().pool_user(seed as u64), None)).collect();
    for (pu, _) in &mut users {
        for n in 0..subscriptions {
            pu.subscribe(Instant::EPOCH, format!("pool {n}").as_str()).unwrap();
        }
    }
    let mut asked: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut now, end) = (Instant::EPOCH, Instant::EPOCH + secs(200));
    let mut breaks = lost.then_some(Instant::EPOCH + secs(100));
    loop {
        for (pu, home) in &mut users {
            pu.handle_timeout(now);
            while let Some(action) = pu.poll_action() {
                match action {
                    Action::Open { channel, .. } => {
                        *home = Some(channel);
                        pu.handle_opened(now, channel, Default::default());
                    }
                    Action::Send { channel, payload: Payload::Control(bytes), .. } => {
                        let Body::HandleResolution { handle, .. } =
                            Message::decode(&bytes).unwrap().body
                        else {
                            panic!()
                        };
                        let second = (now - Instant::EPOCH).as_secs();
                        *asked.entry(second).or_default() += 1;
                        let answer = response(&handle.to_string(), &[element(1)]);
                        pu.handle_control(now, channel, &answer.to_bytes().unwrap());
                    }
                    _ => {}
                }
            }
            while pu.poll_event().is_some() {}
        }
        if breaks.take_if(|at| *at <= now).is_some() {
            for (pu, home) in &mut users {
                let home = home.take().unwrap();
                pu.handle_closed(now, home, asap_pu::CloseReason::Failed);
            }
            continue;
        }
        let next = users.iter().filter_map(|(pu, _)| pu.poll_timeout()).chain(breaks).min();
        match next.filter(|at| *at < end) {
            Some(next) => now = next,
            None => return asked,
        }
    }
}

/// [RES-19]: two hundred pool users that were started together come apart: what they ask for again is
/// spread over the quarter by which they may be early.
#[test]
fn users_that_started_together_come_apart() {
    let asked = crowd(200, 1, false);
    let peak = *asked.range(2..).map(|(_, n)| n).max().unwrap();
    println!("200 users started together: {} in the first second, then at most {peak}", asked[&0]);
    assert!(peak <= 50, "{asked:?}");
}

/// [RES-19]: one pool user with five hundred subscriptions asks for fifty pools in a second at most: at
/// the start, when they have become stale, and at a new home.
#[test]
fn many_subscriptions_are_asked_for_in_turn() {
    let asked = crowd(1, 500, true);
    let peak = *asked.values().max().unwrap();
    println!("500 subscriptions of one user: at most {peak} in a second");
    assert!(peak <= 50, "{asked:?}");
    assert!(
        asked.range(100..111).map(|(_, n)| n).sum::<u64>() >= 500,
        "the new home knows them all"
    );
}

/// [RES-19] [RES-13]: more subscriptions than can be asked for within their time are asked for as fast
/// as may be, each in its turn.
#[test]
fn too_many_subscriptions_take_turns() {
    let mut config = config(&[REGISTRAR]);
    (config.limits.max_subscriptions, config.limits.max_pools) = (3_000, 3_000);
    config.limits.max_requests_per_second = 10;
    let (mut lab, home) = Lab::at_home_with(config);
    for n in 0..3_000 {
        lab.pu.subscribe(lab.now, format!("pool {n}").as_str()).unwrap();
    }
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    while lab.now < Instant::EPOCH + secs(700) {
        for (_, handle) in lab.requests() {
            lab.answer(home, &handle, &[element(1)]);
            *times.entry(handle).or_default() += 1;
        }
        lab.events();
        lab.wait();
    }
    assert_eq!(times.len(), 3_000);
    assert!(times.values().all(|times| (2..=3).contains(times)));
}

/// [RES-19]: what somebody waits for is not put off, however many subscriptions there are.
#[test]
fn who_waits_goes_first() {
    let (mut lab, home) = at_home(|c: &mut Setup| c.limits.max_requests_per_second = 1);
    for n in 0..10 {
        lab.pu.subscribe(lab.now, format!("pool {n}").as_str()).unwrap();
    }
    lab.actions();
    for n in 5..10 {
        let handle = format!("pool {n}");
        lab.pu.resolve(lab.now, handle.as_str()).unwrap();
        assert_eq!(lab.requests(), [(home, handle)]);
    }
}
