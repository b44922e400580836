//! The simulator itself: that a run can be repeated, what each fault does, and what holds for pool
//! users whatever goes wrong around them.
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

mod world;

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use asap_pu::sim::{Fault, Host, Lie, Sim, UserId};
use asap_pu::wire::{PeIdentifier, Policy, PolicyType, Protocol, ServerIdentifier};
use asap_pu::{
    Capabilities, Confirms, Event, Failover, Instant, LossReason, MessageId, ResolveError,
    SessionId, SessionOptions,
};
use proptest::prelude::*;
use world::*;

/// Three elements, and a user with a session.
fn with_session(seed: u64) -> (Sim, [PeIdentifier; 3], UserId, SessionId) {
    let (mut sim, elements) = three(seed);
    let (user, session) = user(&mut sim);
    (sim, elements, user, session)
}

/// Which elements sent something.
fn received(events: &[Event]) -> Vec<PeIdentifier> {
    let from = |event: &Event| match event {
        Event::Received { element, .. } => *element,
        _ => None,
    };
    events.iter().filter_map(from).collect()
}

/// A session that outlives two of its elements.
fn story(seed: u64, log: impl FnMut(&asap_pu::sim::Record<'_>) + Send + 'static) -> Sim {
    let (mut sim, [a, b, c], user, session) = with_session(seed);
    sim.log(log);
    sim.announce();
    for (dying, message) in [(a, "one"), (b, "two")] {
        send(&mut sim, user, session, message.as_bytes());
        events(&mut sim, secs(1));
        sim.fail(dying, Fault::Crash);
    }
    send(&mut sim, user, session, b"three");
    assert_eq!(received(&events(&mut sim, secs(60))).last(), Some(&c));
    sim
}

/// [CORE-2]: a run follows from its seed; listening to it changes nothing.
#[test]
fn the_same_seed_is_the_same_run() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&lines);
    let told = story(1, move |line| log.lock().unwrap().push(line.to_string()));
    assert_eq!(story(1, |_| {}).hash(), told.hash());
    assert_ne!(story(2, |_| {}).hash(), told.hash());
    let told = |words: &str| lines.lock().unwrap().iter().any(|line| line.contains(words));
    assert!(told("sends ASAP_HANDLE_RESOLUTION to registrar 1"), "{lines:#?}");
    assert!(told("sends \"two\" to element 2"), "{lines:#?}");
    assert!(told("element 1      fails: Crash"), "{lines:#?}");
}

/// The hash is the same on every platform: this one was computed on x86-64.
#[test]
fn the_hash_is_known() {
    assert_eq!(format!("{:#x}", story(7, |_| {}).hash()), "0xeff9b2d1f04d03d3");
}

/// [SESSION-7]: the element that takes a session over goes on with the state that the last one left
/// in a cookie.
#[test]
fn state_moves_with_the_cookie() {
    let (mut sim, [a, ..], user, session) = with_session(1);
    sim.set_service(POOL, |state, message| {
        state.extend_from_slice(message);
        Some(state.clone().into())
    });
    sim.call(user, |pu, now| pu.session_mut(now, session).unwrap().send("to", Failover::Unsent))
        .unwrap();
    events(&mut sim, secs(1));
    sim.fail(a, Fault::Crash);
    events(&mut sim, secs(1));
    send(&mut sim, user, session, b"gether");
    let events = events(&mut sim, secs(1));
    let last = events.last();
    assert!(matches!(last, Some(Event::Received { data, .. }) if data == "together"), "{last:?}");
}

/// How long after a fault at its element a session goes on at the next one, and whether that is the
/// one that answers.
fn takes_over(fault: Fault) -> Option<Duration> {
    let (mut sim, [a, b, _], user, session) = with_session(3);
    events(&mut sim, secs(1));
    sim.fail(a, fault);
    let began = sim.now();
    send(&mut sim, user, session, b"hello");
    let until = began + secs(60);
    let mut after = None;
    while let Some((_, event)) = sim.next(until) {
        match event {
            Event::FailedOver { to, .. } => {
                assert_eq!(to, b);
                after = Some(sim.now() - began);
            }
            Event::Received { element, .. } => assert_eq!(element == Some(b), after.is_some()),
            _ => {}
        }
    }
    after
}

/// [SESSION-3]: what each fault of an element does to a session that is there.
#[test]
fn faults_of_elements() {
    let quick = |after: Option<Duration>| after.is_some_and(|after| after < secs(1));
    assert!(quick(takes_over(Fault::Crash)));
    assert!(quick(takes_over(Fault::Doomed)));
    let patience = takes_over(Fault::Cut);
    assert!(patience.is_some_and(|after| (secs(10)..secs(11)).contains(&after)), "{patience:?}");
    for goes_on in [Fault::Refuse, Fault::Hang, Fault::Delay(secs(1)), Fault::Repeat] {
        assert_eq!(takes_over(goes_on), None, "{goes_on:?}");
    }
}

/// Why a session loses elements with this manner, and what it hears of them, within a minute in
/// which it says nothing.
fn left(fault: Fault) -> (Vec<LossReason>, Vec<PeIdentifier>) {
    let (mut sim, elements, ..) = with_session(3);
    elements.into_iter().for_each(|element| sim.fail(element, fault));
    let events = events(&mut sim, secs(60));
    let reason = |event: &Event| match event {
        Event::ElementLost { reason, .. } => Some(*reason),
        _ => None,
    };
    (events.iter().filter_map(reason).collect(), received(&events))
}

/// [REPORT-7] [SESSION-20]: elements that close in good order are left alone until there is
/// something to say to them, whether they have said something before or not.
#[test]
fn elements_close_channels() {
    assert_eq!(left(Fault::Close), (vec![LossReason::Closed], vec![]));
    let (reasons, heard) = left(Fault::Greet);
    assert_eq!((reasons, heard.len()), (vec![LossReason::Closed], 1));
    let (reasons, _) = left(Fault::Break);
    assert!(reasons.len() > 1 && reasons.iter().all(|reason| *reason == LossReason::Broken));
}

/// [REPORT-7]: an element that closes what is not used serves on as soon as there is something to
/// say, and is the only one that does.
#[test]
fn tidy_elements_close_what_is_not_used() {
    let (mut sim, elements, user, session) = with_session(3);
    events(&mut sim, secs(1));
    elements.into_iter().for_each(|element| sim.fail(element, Fault::Tidy(secs(5))));
    for round in 1..=3 {
        events(&mut sim, secs(20));
        assert_eq!(elements.map(|element| sim.sessions(element)), [0; 3], "round {round}");
        sim.call(user, |pu, now| {
            pu.session_mut(now, session).unwrap().send("hello", Failover::Unsent)
        })
        .unwrap();
        let events = events(&mut sim, secs(4));
        assert_eq!(received(&events), [elements[0]]);
        assert_eq!(elements.map(|element| sim.sessions(element)), [1, 0, 0], "round {round}");
    }
    let stats = sim.pool_user(user).stats();
    assert_eq!((stats.channels_closed, stats.failures), (3, 0));
}

/// [REPORT-9]: a driver that lacks what it takes to open channels blames nobody, and goes on when
/// it has that again.
#[test]
fn a_driver_is_exhausted() {
    let (mut sim, [a, ..], user, session) = with_session(3);
    events(&mut sim, secs(1));
    sim.fail(user, Fault::Exhausted);
    sim.call(user, |pu, now| pu.session_mut(now, session).unwrap().send("one", Failover::Unsent))
        .unwrap();
    assert_eq!(received(&events(&mut sim, secs(1))), [a], "what is there goes on");
    sim.fail(a, Fault::Crash);
    events(&mut sim, secs(20));
    sim.heal(user);
    send(&mut sim, user, session, b"two");
    let heard = received(&events(&mut sim, secs(30)));
    assert!(heard.len() == 1 && heard != [a], "{heard:?}");
    let stats = sim.pool_user(user).stats();
    assert_eq!((stats.failures, stats.reports_sent), (1, 1));
    assert!((3..12).contains(&stats.local_failures), "{}", stats.local_failures);
}

/// Answers that are late or come twice do so; what cannot pass for a while comes later.
#[test]
fn answers_come_late_twice_or_not_at_all() {
    let answers = |fault, heal_after| {
        let (mut sim, [a, ..], user, session) = with_session(4);
        events(&mut sim, secs(1));
        sim.fail(a, fault);
        send(&mut sim, user, session, b"hello");
        let early = received(&events(&mut sim, heal_after)).len();
        sim.heal(a);
        (early, received(&events(&mut sim, secs(30))).len())
    };
    assert_eq!(answers(Fault::Delay(secs(3)), secs(2)), (0, 1));
    assert_eq!(answers(Fault::Repeat, secs(1)), (2, 0));
    assert_eq!(answers(Fault::Hang, secs(1)), (0, 0));
    assert_eq!(answers(Fault::Cut, secs(5)), (0, 1));
}

/// What a request for a pool comes to, with one registrar in this health.
fn resolution(fault: Fault) -> (Result<usize, ResolveError>, asap_pu::Stats) {
    let mut sim = Sim::new(5);
    let registrar = sim.registrar();
    sim.element(POOL, Policy::RoundRobin);
    sim.fail(registrar, fault);
    sim.element(POOL, Policy::RoundRobin);
    let user = sim.user(sim.config()).unwrap();
    sim.call(user, |pu, now| pu.resolve(now, POOL)).unwrap();
    let ends = events(&mut sim, secs(100)).into_iter().filter_map(|event| match event {
        Event::Resolved { pool, .. } => Some(Ok(pool)),
        Event::ResolutionFailed { error, .. } => Some(Err(error)),
        _ => None,
    });
    let [end] = <[_; 1]>::try_from(ends.collect::<Vec<_>>()).expect("one end");
    let pu = sim.pool_user(user);
    let size = |pool| pu.pool(pool).unwrap().elements().len();
    (end.map(size), *pu.stats())
}

/// [RES-6] [RES-7] [RES-10] [TLV-9] [HUNT-10]: what each fault of a registrar does to a request.
#[test]
fn faults_of_registrars() {
    let lie = |lie| resolution(Fault::Lie(lie));
    let [none, late, twice] =
        [Fault::Refuse, Fault::Delay(secs(20)), Fault::Repeat].map(resolution);
    assert_eq!(none.0, Err(ResolveError::NoRegistrarReachable));
    assert_eq!((late.0, late.1.requests_repeated), (Ok(2), 1));
    assert_eq!((twice.0, twice.1.answers_unsolicited), (Ok(2), 1));
    assert_eq!(resolution(Fault::Lag).0, Ok(1), "the element that came later is not known");
    assert_eq!(resolution(Fault::Impostor).0, Err(ResolveError::NoRegistrarReachable));
    assert_eq!(resolution(Fault::Hang).0, Err(ResolveError::NotAnswered));
    assert_eq!(lie(Lie::UnknownPool).0, Err(ResolveError::UnknownPoolHandle));
    for (told, wrong) in [(lie(Lie::WrongHandle), "handle"), (lie(Lie::EmptyList), "list")] {
        assert_eq!(told.0, Err(ResolveError::NotAnswered), "{wrong}");
    }
    assert_eq!(lie(Lie::WrongHandle).1.answers_unsolicited, 3);
    assert_eq!(lie(Lie::EmptyList).1.malformed, 3);
    assert_eq!(lie(Lie::Strangers).0, Ok(3));
    assert_eq!(lie(Lie::Crowd).0, Ok(1_024));
    assert_eq!(lie(Lie::Garbage).0, Err(ResolveError::NotAnswered));
}

/// Registrars strike off an element that does not answer: after half a minute, or as soon as it was
/// reported three times. It comes back when it is well, unless it left.
#[test]
fn failed_elements_are_struck_off() {
    let (mut sim, [a, b, _], ..) = with_session(6);
    sim.fail(a, Fault::Crash);
    events(&mut sim, secs(29));
    assert!(sim.is_listed(a));
    events(&mut sim, secs(2));
    assert!(!sim.is_listed(a));
    sim.heal(a);
    assert!(sim.is_listed(a));
    sim.leave(b);
    sim.fail(b, Fault::Crash);
    sim.heal(b);
    assert!(!sim.is_listed(b));
    sim.join(b);
    assert!(sim.is_listed(b));
}

/// [REPORT-1]: three reports make the registrars look after an element at once.
#[test]
fn reported_elements_are_struck_off() {
    let (mut sim, [a, ..], ..) = with_session(6);
    events(&mut sim, secs(1));
    sim.fail(a, Fault::Crash);
    let mut with_a = SessionOptions::default();
    with_a.element = Some(a);
    for listed in [true, true, false] {
        events(&mut sim, secs(1));
        assert_eq!(sim.is_listed(a), listed);
        let user = sim.user(sim.config()).unwrap();
        sim.call(user, |pu, now| pu.open_session(now, POOL, with_a)).unwrap();
    }
}

/// Hosts on different sides, and pairs that are severed, hear nothing of each other.
#[test]
fn partitions() {
    let (mut sim, [a, b, c], user, session) = with_session(7);
    sim.set_side(user, 1);
    for host in [Host::from(b), user.into()] {
        assert_eq!(sim.serves(host, user), host == user.into(), "{host}");
    }
    assert!(events(&mut sim, secs(7)).is_empty());
    sim.set_side(user, 0);
    sim.sever(a, user);
    assert!(!sim.serves(a, user) && sim.serves(b, user));
    send(&mut sim, user, session, b"hello");
    let events = events(&mut sim, secs(30));
    assert_eq!(received(&events), [b]);
    sim.mend(user, a);
    assert!(sim.serves(a, user) && sim.serves(c, user));
}

/// [HUNT-7] [HUNT-8]: registrars are found by their announces alone, and missed when they fall
/// silent.
#[test]
fn registrars_announce_themselves() {
    let mut sim = Sim::new(8);
    let config = sim.config();
    let servers = [(); 3].map(|()| sim.registrar());
    let user = sim.user(config).unwrap();
    sim.announce();
    events(&mut sim, secs(5));
    assert_eq!(
        sim.pool_user(user).registrars().iter().count(),
        6,
        "three, each by SCTP and by TCP"
    );
    sim.fail(servers[0], Fault::Crash);
    events(&mut sim, secs(10));
    assert_eq!(sim.pool_user(user).registrars().iter().count(), 4);
}

/// [SESSION-2] [SESSION-15]: a driver that confirms writes and deliveries is simulated where the
/// configuration asks for it.
#[test]
fn confirmations() {
    let mut sim = Sim::new(9);
    sim.registrar();
    sim.element(POOL, Policy::RoundRobin);
    let mut config = sim.config();
    config.limits.window_messages = 1;
    let user = sim.user_that_confirms(config, Confirms::Delivered).unwrap();
    let session = open(&mut sim, user);
    for message in ["one", "two", "three"] {
        sim.call(user, |pu, now| {
            pu.session_mut(now, session).unwrap().send(message, Failover::Undelivered)
        })
        .unwrap();
    }
    assert_eq!(received(&events(&mut sim, secs(1))).len(), 3);
    sim.call(user, |pu, now| pu.session_mut(now, session).unwrap().close()).unwrap();
    let events = events(&mut sim, secs(1));
    assert!(matches!(events[..], [Event::SessionEnded { error: None, .. }]), "{events:?}");
    assert_eq!(sim.pool_user(user).stats().unknown_confirmations, 0);
}

/// Something that goes wrong, or right again if there is no fault.
type Mishap = (Duration, usize, Option<Fault>);

fn mishap(hosts: usize) -> impl Strategy<Value = Mishap> {
    let lies = prop::sample::select(vec![
        Lie::UnknownPool,
        Lie::WrongHandle,
        Lie::EmptyList,
        Lie::Strangers,
        Lie::Garbage,
    ]);
    let fault = prop_oneof![
        prop::sample::select(vec![
            Fault::Crash,
            Fault::Doomed,
            Fault::Refuse,
            Fault::Cut,
            Fault::Hang,
            Fault::Impostor,
            Fault::Repeat,
            Fault::Lag,
            Fault::Close,
            Fault::Break,
            Fault::Greet,
            Fault::Tidy(Duration::from_secs(2)),
        ]),
        lies.prop_map(Fault::Lie),
        (0..20_000_u64).prop_map(|late| Fault::Delay(Duration::from_millis(late))),
    ];
    let after = (0..30_000_u64).prop_map(Duration::from_millis);
    (after, 0..hosts, prop::option::weighted(0.6, fault))
}

/// An application that sends work to a pool and must not lose any of it.
struct Work {
    user: UserId,
    session: SessionId,
    /// What has no answer yet, and since when.
    open: BTreeMap<MessageId, u32>,
    answered: u32,
    returned: u32,
    asked: u32,
    ended: u32,
}

impl Work {
    fn react(&mut self, sim: &mut Sim, event: Event) {
        let (user, session) = (self.user, self.session);
        match event {
            Event::Received { data, .. } => {
                // A greeting is no answer to anything.
                let Ok(number) = data[..].try_into().map(u32::from_be_bytes) else { return };
                let found = self.open.iter().find(|(_, open)| **open == number);
                if let Some(message) = found.map(|(message, _)| *message) {
                    sim.call(user, |pu, now| {
                        pu.session_mut(now, session).unwrap().confirm(message)
                    });
                    self.open.remove(&message);
                    self.answered += 1;
                }
            }
            Event::Returned { message, .. } | Event::Lost { message, .. } => {
                assert!(self.open.remove(&message).is_some(), "given back once");
                self.returned += 1;
            }
            Event::SessionEnded { .. } => {
                assert!(self.open.is_empty(), "nothing is lost: {:?}", self.open);
                self.session = open(sim, user);
            }
            Event::Resolved { .. } | Event::ResolutionFailed { .. } => self.ended += 1,
            _ => {}
        }
    }

    fn run(&mut self, sim: &mut Sim, until: Instant) {
        while let Some((_, event)) = sim.next(until) {
            self.react(sim, event);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// [SESSION-3] [SESSION-4] [SESSION-17] [RES-13]: whatever goes wrong with three elements and two
    /// registrars, every request ends, and no message that goes again until it is confirmed
    /// vanishes: it is answered, or given back once. With one element and one registrar well in the
    /// end, all that is left is answered.
    #[test]
    fn nothing_is_lost(seed: u64, plan in prop::collection::vec(mishap(5), 0..30)) {
        let (mut sim, elements, user, session) = with_session(seed);
        let other = sim.registrar();
        let first = ServerIdentifier::new(1);
        let registrar = sim.registrar_at(other);
        sim.call(user, |pu, now| pu.registrars_mut(now).add(registrar)).unwrap();
        let mut hosts: Vec<Host> = vec![first.into(), other.into()];
        hosts.extend(elements.map(Host::from));
        let (answered, returned, asked, ended) = (0, 0, 0, 0);
        let open = BTreeMap::new();
        let mut work = Work { user, session, open, answered, returned, asked, ended };
        let mut sent = 0_u32;
        for (after, host, fault) in plan {
            let until = sim.now() + after;
            work.run(&mut sim, until);
            match fault {
                Some(fault) => sim.fail(hosts[host], fault),
                None => sim.heal(hosts[host]),
            }
            let message = send(&mut sim, user, work.session, &sent.to_be_bytes());
            work.open.insert(message, sent);
            sent += 1;
            sim.call(user, |pu, now| pu.resolve(now, POOL)).unwrap();
            work.asked += 1;
        }
        sim.heal(elements[1]);
        sim.heal(first);
        for _ in 0..20 {
            let until = sim.now() + secs(60);
            work.run(&mut sim, until);
            if !work.open.is_empty() {
                // Whoever has the work hangs.
                let session = work.session;
                let _ = sim.call(user, |pu, now| pu.session_mut(now, session).unwrap().give_up());
            }
        }
        prop_assert!(work.open.is_empty(), "never answered: {:?}", work.open);
        prop_assert_eq!(work.answered + work.returned, sent);
        prop_assert_eq!(work.ended, work.asked);
    }
}

/// What an element says later does not come earlier, also once it is quick again: the cookie that
/// counts is the latest.
#[test]
fn a_slow_element_keeps_its_order() {
    let (mut sim, [a, ..]) = three(1);
    let (user, session) = user(&mut sim);
    events(&mut sim, secs(1));
    sim.fail(a, Fault::Delay(secs(3)));
    send(&mut sim, user, session, b"one");
    events(&mut sim, secs(1));
    sim.heal(a);
    send(&mut sim, user, session, b"two");
    let answers: Vec<_> = events(&mut sim, secs(9))
        .into_iter()
        .filter_map(|e| match e {
            Event::Received { data, .. } => Some(data),
            _ => None,
        })
        .collect();
    assert_eq!(answers, ["one", "two"]);
    assert_eq!(
        sim.pool_user(user).session(session).and_then(|session| session.cookie()).map(|c| c[7]),
        Some(2)
    );
}

/// An element that hangs does not register; one that registers while something ails it is looked after again.
#[test]
fn who_hangs_does_not_register() {
    let mut sim = Sim::new(1);
    sim.registrar();
    let [hangs, refuses] = [(), ()].map(|()| sim.element(POOL, Policy::LeastUsed { load: 1 }));
    sim.fail(hangs, Fault::Hang);
    sim.fail(refuses, Fault::Refuse);
    events(&mut sim, secs(31));
    for element in [hangs, refuses] {
        assert!(!sim.is_listed(element));
        sim.revalue(element, Policy::LeastUsed { load: 0 });
    }
    assert!(!sim.is_listed(hangs) && sim.is_listed(refuses));
    events(&mut sim, secs(31));
    assert!(!sim.is_listed(refuses));
}

/// [SESSION-3]: a transport that can tell hands back what it never sent, and that goes elsewhere.
#[test]
fn what_never_left_is_handed_back() {
    let mut sim = Sim::new(1);
    sim.registrar();
    let elements = [(); 3].map(|()| sim.element(POOL, Policy::RoundRobin));
    let user = sim.user_that_confirms(sim.config(), Confirms::Delivered).unwrap();
    let session = open(&mut sim, user);
    events(&mut sim, secs(1));
    sim.fail(elements[0], Fault::Cut);
    for data in ["1", "2", "3"] {
        sim.call(user, |pu, now| {
            pu.session_mut(now, session).unwrap().send(data, Failover::Unsent)
        })
        .unwrap();
    }
    events(&mut sim, secs(60));
    assert_eq!(elements.map(|e| sim.served(e)), [0, 2, 0]);
    let stats = sim.pool_user(user).stats();
    assert_eq!((stats.messages_unsent, stats.unknown_confirmations), (2, 0));
}

/// [REPORT-8]: the same goes for what is said to registrars: of two reports to one that is cut off, the
/// one that never left goes to the next.
#[test]
fn a_report_that_never_left_is_handed_back() {
    let mut sim = Sim::new(1);
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&lines);
    sim.log(move |line| log.lock().unwrap().push(line.to_string()));
    let registrars = [(); 2].map(|()| sim.registrar());
    let elements = [(); 3].map(|()| sim.element(POOL, Policy::RoundRobin));
    let user = sim.user_that_confirms(sim.config(), Confirms::Delivered).unwrap();
    sim.call(user, |pu, now| pu.resolve(now, POOL)).unwrap();
    events(&mut sim, secs(1));
    let told = |words: &str, of: &str| {
        let lines = lines.lock().unwrap();
        lines.iter().filter(|line| line.contains(words) && line.contains(of)).count()
    };
    let home = registrars
        .into_iter()
        .find(|home| told("sends ASAP_HANDLE_RESOLUTION to", &Host::from(*home).to_string()) > 0);
    let home = home.unwrap();
    sim.fail(home, Fault::Cut);
    let pool = sim.pool_user(user).find_pool(POOL.as_bytes()).unwrap();
    // Only who was chosen can have failed.
    sim.call(user, |pu, now| pu.pool_mut(now, pool).unwrap().select_several(2, &[]).len());
    for element in &elements[..2] {
        sim.call(user, |pu, now| pu.pool_mut(now, pool).unwrap().report_unreachable(*element))
            .unwrap();
    }
    events(&mut sim, secs(60));
    let reports = |to| told("sends ASAP_ENDPOINT_UNREACHABLE to", &Host::from(to).to_string());
    for to in registrars {
        assert_eq!(reports(to), if to == home { 2 } else { 1 }, "{:#?}", lines.lock().unwrap());
    }
    assert_eq!(sim.pool_user(user).stats().control_unsent, 1);
}

/// [RES-11]: updates are granted where the simulation says so, end with the channel, and are asked
/// for again from the next registrar.
#[test]
fn updates_are_granted() {
    let (mut sim, [a, b, c]) = three(1);
    let other = sim.registrar();
    sim.grant_updates();
    let user = sim.user(sim.config()).unwrap();
    sim.call(user, |pu, now| pu.subscribe(now, POOL)).unwrap();
    let changes = |sim: &mut Sim| -> Vec<_> {
        events(sim, secs(2))
            .into_iter()
            .filter_map(|e| match e {
                Event::PoolChanged { joined, left, .. } => Some((joined, left)),
                Event::SubscriptionEnded { .. } => Some((0, 0)),
                _ => None,
            })
            .collect()
    };
    assert_eq!(changes(&mut sim), [(3, 0)]);
    assert_eq!(sim.pool_user(user).subscription(POOL.as_bytes()), Some(true));
    sim.leave(a);
    assert_eq!(changes(&mut sim), [(0, 1)]);
    sim.join(a);
    assert_eq!(changes(&mut sim), [(1, 0)]);
    let home = sim.pool_user(user).registrars().home().unwrap().clone();
    let first = ServerIdentifier::new(1);
    let home = if sim.registrar_at(first).transport == home { first } else { other };
    sim.fail(home, Fault::Crash);
    sim.leave(b);
    assert_eq!(changes(&mut sim), [(0, 1)]);
    assert_eq!(sim.pool_user(user).subscription(POOL.as_bytes()), Some(true));
    // A home so young might not know the pool yet.
    events(&mut sim, secs(30));
    for last in [a, c] {
        sim.leave(last);
    }
    assert_eq!(changes(&mut sim), [(0, 1), (0, 0)]);
}

/// The pool's policy is that of the element that joined first, whichever an answer begins with; each
/// answer begins with another one.
#[test]
fn answers_begin_with_another_element_each() {
    let mut sim = Sim::new(1);
    sim.registrar();
    for policy in [Policy::RoundRobin, Policy::Random, Policy::Random] {
        sim.element(POOL, policy);
    }
    let first = [(); 3].map(|()| {
        let user = sim.user(sim.config()).unwrap();
        sim.call(user, |pu, now| pu.resolve(now, POOL)).unwrap();
        events(&mut sim, secs(1));
        let pu = sim.pool_user(user);
        let pool = pu.pool(pu.find_pool(POOL.as_bytes()).unwrap()).unwrap();
        (pool.policy(), pool.elements().next().unwrap().identifier().get())
    });
    let rr = PolicyType::ROUND_ROBIN;
    assert_eq!(first, [(rr, 1), (rr, 2), (rr, 3)]);
}

/// [SESSION-1]: over TCP what elements say is a stream of bytes, cut and put together anywhere; a
/// configuration for TCP is taken.
#[test]
fn what_comes_over_tcp_is_cut_anywhere() {
    let (mut pieces, mut whole, mut joined) = (0, 0, 0);
    for seed in 0..50 {
        let mut sim = Sim::new(seed);
        sim.registrar();
        sim.listen_on_tcp(POOL);
        let element = sim.element(POOL, Policy::RoundRobin);
        let can = Capabilities::NONE
            .with_registrars(Protocol::Tcp)
            .with_elements(Protocol::Tcp, Confirms::Written);
        let user = sim.user_with(sim.config_over(Protocol::Tcp), can).unwrap();
        let session = sim
            .call(user, |pu, now| pu.open_session(now, POOL, SessionOptions::default()).unwrap());
        for message in ["one ", "two ", "three "] {
            send(&mut sim, user, session, message.as_bytes());
        }
        let mut received = Vec::new();
        for event in events(&mut sim, secs(2)) {
            if let Event::Received { data, .. } = event {
                let messages: [&[u8]; 3] = [b"one ", b"two ", b"three "];
                match messages.contains(&&data[..]) {
                    true => whole += 1,
                    false if data.len() > 6 => joined += 1,
                    false => pieces += 1,
                }
                received.extend_from_slice(&data);
            }
        }
        assert_eq!(received, b"one two three ");
        assert_eq!(sim.served(element), 3);
        assert_eq!(sim.pool_user(user).session(session).unwrap().cookie(), None);
    }
    assert!(pieces > 10 && whole > 10 && joined > 10, "{pieces} {whole} {joined}");
}
