//! What comes of sessions when things fail around them, among peers that act for themselves
//! (RFC 5352 §3.7, RFC 5351 §2.5). What goes over the wire meanwhile is in `session_scenarios.rs`.

mod world;

use core::time::Duration;

use asap_pu::sim::{Fault, Sim};
use asap_pu::wire::ServerIdentifier;
use asap_pu::{Event, ResolveError, SendOptions, SessionError};
use world::*;

/// How a session of a new user ends by itself, and how long that takes, to the second.
fn end_of(sim: &mut Sim) -> (SessionError, Duration) {
    user(sim);
    let began = sim.now();
    while let Some((_, event)) = sim.next(began + secs(600)) {
        if let Event::SessionEnded { error, .. } = event {
            let after = sim.now() - began;
            return (error.expect("not as asked"), secs(after.as_secs()));
        }
    }
    panic!("the session goes on");
}

/// [SESSION-4]: no registrar is known, and none announces itself: the session ends with that after
/// the wait for one.
#[test]
fn no_registrar_is_known() {
    let expected = SessionError::Unresolved(ResolveError::NoRegistrarKnown);
    assert_eq!(end_of(&mut Sim::new(1)), (expected, secs(5)));
}

/// [SESSION-4]: registrars are known and none can be reached: the session says so, not that its
/// time is up.
#[test]
fn no_registrar_can_be_reached() {
    for fault in [Fault::Crash, Fault::Cut, Fault::Impostor] {
        let (mut sim, _) = three(2);
        let registrar = sim.registrar();
        for registrar in [ServerIdentifier::new(1), registrar] {
            sim.fail(registrar, fault);
        }
        let expected = SessionError::Unresolved(ResolveError::NoRegistrarReachable);
        assert_eq!(end_of(&mut sim), (expected, secs(60)), "{fault:?}");
    }
}

/// [SESSION-4]: a registrar that does not answer fails the session after three requests.
#[test]
fn the_registrar_is_silent() {
    let mut sim = Sim::new(3);
    let registrar = sim.registrar();
    sim.fail(registrar, Fault::Hang);
    let expected = SessionError::Unresolved(ResolveError::NotAnswered);
    assert_eq!(end_of(&mut sim), (expected, secs(45)));
}

/// [SESSION-4] [SESSION-18]: all elements refuse, or stay silent: the deadline ends it, in a pause or
/// in the middle of an attempt.
#[test]
fn all_elements_fail() {
    for fault in [Fault::Refuse, Fault::Cut] {
        let (mut sim, elements) = three(4);
        for element in elements {
            sim.fail(element, fault);
        }
        let (error, after) = end_of(&mut sim);
        assert_eq!((error, after), (SessionError::DeadlineReached, secs(60)));
    }
}

/// [SESSION-3] [SESSION-4]: all elements die at once, and one comes back: the session goes on there,
/// with all that was sent meanwhile.
#[test]
fn all_die_and_one_returns() {
    let (mut sim, elements) = three(5);
    let (user, session) = user(&mut sim);
    events(&mut sim, secs(1));
    for element in elements {
        sim.fail(element, Fault::Crash);
    }
    for _ in 0..3 {
        send(&mut sim, user, session, b"hello");
        for event in events(&mut sim, secs(2)) {
            assert!(matches!(event, Event::ElementLost { .. }), "{event:?}");
        }
    }
    let back = elements[2];
    sim.heal(back);
    let mut answers = 0;
    for event in events(&mut sim, secs(40)) {
        match event {
            Event::FailedOver { to, .. } => assert_eq!(to, back),
            Event::Received { element, .. } => {
                assert_eq!(element, Some(back));
                answers += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(answers, 3);
}

/// [SESSION-10] [CORE-5]: an application that reacts to every event by calling back, in the most
/// awkward way there is, meets no panic, and its sessions still end in order.
#[test]
fn user_code_calls_back_in_every_event() {
    for reaction in 0..6 {
        let (mut sim, elements) = three(reaction);
        let user = sim.user(sim.config()).unwrap();
        let mut alive: Vec<_> = (0..20).map(|_| open(&mut sim, user)).collect();
        for &session in &alive {
            send(&mut sim, user, session, b"hello");
        }
        for round in 0..40_usize {
            let until = sim.now() + secs(1);
            // An application that answers everything with a message never comes to an end.
            for _ in 0..1_000 {
                let Some((_, event)) = sim.next(until) else { break };
                let session = match event {
                    Event::Connected { session, .. }
                    | Event::ElementLost { session, .. }
                    | Event::FailedOver { session, .. }
                    | Event::Received { session, .. }
                    | Event::Returned { session, .. } => session,
                    Event::SessionEnded { session, .. } => {
                        assert!(alive.contains(&session), "told once");
                        alive.retain(|other| *other != session);
                        session
                    }
                    _ => continue,
                };
                sim.call(user, |pu, now| {
                    let Ok(mut known) = pu.session_mut(now, session) else { return };
                    match reaction {
                        0 => drop(known.give_up()),
                        1 => drop(known.move_to(None)),
                        2 => drop(known.send("more", SendOptions::default())),
                        3 => drop(known.close()),
                        4 => {
                            known.abort();
                            alive.retain(|other| *other != session);
                        }
                        _ => drop(known.resume()),
                    }
                });
            }
            let faults = [Fault::Crash, Fault::Cut, Fault::Doomed, Fault::Refuse];
            sim.fail(elements[round % 3], faults[round % 4]);
            sim.heal(elements[(round + 1) % 3]);
        }
        sim.call(user, |pu, now| pu.shut_down(now));
        while let Some((_, event)) = sim.next(sim.now() + secs(120)) {
            if let Event::SessionEnded { session, .. } = event {
                alive.retain(|other| *other != session);
            }
        }
        let left = sim.pool_user(user).channel_count();
        assert_eq!((alive.len(), left), (0, 0), "reaction {reaction}");
    }
}
