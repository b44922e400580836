//! How long it takes until a failure is noticed and repaired, with the default configuration: the
//! table in `docs/failures.md` is measured here, in the crate's own simulator.
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

use core::time::Duration;

use asap_pu::sim::{Fault, Sim, UserId};
use asap_pu::wire::{Policy, ServerIdentifier};
use asap_pu::{Event, Rng};

/// How a registrar is.
type Health = Option<Fault>;

const WORKS: Health = None;
const REFUSES: Health = Some(Fault::Refuse);
const SILENT: Health = Some(Fault::Cut);
const HANGS: Health = Some(Fault::Hang);
const DIES: Health = Some(Fault::Doomed);
const IMPOSTOR: Health = Some(Fault::Impostor);

/// When the application heard of the trouble, if it did, and when its request was answered or
/// failed.
struct Outcome {
    heard: Option<Duration>,
    end: Result<Duration, Duration>,
}

/// What came before: nothing, or whatever follows from the seed.
#[derive(Clone, Copy, PartialEq)]
enum History {
    None,
    Any,
}

/// Registrars fail and recover while the application asks, or does not. In the end all of them are
/// dead, and for a minute (RETRAN.max) nobody asks.
fn live_through(sim: &mut Sim, user: UserId, registrars: &[ServerIdentifier], seed: u64) {
    const FAULTS: [Fault; 6] = [
        Fault::Crash,
        Fault::Doomed,
        Fault::Refuse,
        Fault::Cut,
        Fault::Hang,
        Fault::Delay(Duration::from_secs(20)),
    ];
    let mut rng = Rng::new(seed);
    let pass = |sim: &mut Sim, secs| {
        let until = sim.now() + Duration::from_secs(secs);
        while sim.next(until).is_some() {}
    };
    for n in 0..rng.below(40) {
        for registrar in registrars {
            match rng.below(4) {
                0 => sim.fail(*registrar, FAULTS[rng.below(6) as usize]),
                1 => sim.heal(*registrar),
                _ => {}
            }
        }
        if rng.below(3) > 0 {
            let handle = format!("pool {n}");
            sim.call(user, |pu, now| pu.resolve(now, handle.as_str())).unwrap();
        }
        let magnitude = rng.below(8);
        pass(sim, 1 + rng.below(1 << magnitude));
    }
    registrars.iter().for_each(|registrar| sim.fail(*registrar, Fault::Crash));
    // The last request ends in the first minute.
    pass(sim, 60 + 60);
    registrars.iter().for_each(|registrar| sim.heal(*registrar));
}

/// Resolves a pool, once. The first registrar fails when it is the home and has answered, or before
/// it has been tried.
fn resolve(registrars: &[Health], as_home: bool, history: History, seed: u64) -> Outcome {
    let mut sim = Sim::new(seed);
    sim.element("EchoPool", Policy::RoundRobin);
    let registrars: Vec<_> = registrars.iter().map(|health| (sim.registrar(), *health)).collect();
    let user = sim.user(sim.config()).unwrap();
    if history == History::Any {
        let all: Vec<_> = registrars.iter().map(|(registrar, _)| *registrar).collect();
        live_through(&mut sim, user, &all, seed);
    }
    if as_home {
        registrars[1..].iter().for_each(|(other, _)| sim.fail(*other, Fault::Refuse));
        sim.call(user, |pu, now| pu.resolve(now, "unknown")).unwrap();
        let until = sim.now() + Duration::from_secs(1);
        while sim.next(until).is_some() {}
        assert!(sim.pool_user(user).registrars().home().is_some());
    }
    for (registrar, health) in registrars {
        match health {
            Some(fault) => sim.fail(registrar, fault),
            None => sim.heal(registrar),
        }
    }
    let began = sim.now();
    let mut heard = None;
    sim.call(user, |pu, now| pu.resolve(now, "EchoPool")).unwrap();
    while let Some((_, event)) = sim.next(began + Duration::from_secs(600)) {
        let after = sim.now() - began;
        match event {
            Event::Resolved { .. } => return Outcome { heard, end: Ok(after) },
            Event::ResolutionFailed { .. } => {
                return Outcome { heard: heard.or(Some(after)), end: Err(after) };
            }
            Event::RegistrarFound { .. } => {}
            _ => heard = heard.or(Some(after)),
        }
    }
    panic!("[RES-13]: every request ends");
}

/// One row of the table: over many seeds, rounded to seconds.
fn row(
    name: &str,
    as_home: bool,
    registrars: &[Health],
    reference: &str,
    history: History,
) -> String {
    let outcomes = (0..50).map(|seed| resolve(registrars, as_home, history, seed));
    let outcomes: Vec<_> = outcomes.collect();
    let heard = match span(outcomes.iter().filter_map(|outcome| outcome.heard)) {
        none if none.is_empty() => "never".into(),
        heard => heard,
    };
    let answered = span(outcomes.iter().filter_map(|outcome| outcome.end.ok()));
    let failed = span(outcomes.iter().filter_map(|outcome| outcome.end.err()));
    let end = match (&answered[..], &failed[..]) {
        (answered, "") => format!("answered {answered}"),
        ("", failed) => format!("error {failed}"),
        (answered, failed) => format!("answered {answered} or error {failed}"),
    };
    format!("| {name} | {heard} | {end} | {reference} |\n")
}

fn span(times: impl Iterator<Item = Duration>) -> String {
    let seconds: Vec<_> = times.map(|time| time.as_secs_f64().round() as u64).collect();
    match (seconds.iter().min(), seconds.iter().max()) {
        (Some(0), Some(0)) => "at once".into(),
        (Some(min), Some(max)) if min == max => format!("after {min} s"),
        (Some(min), Some(max)) => format!("after {min}–{max} s"),
        _ => String::new(),
    }
}

fn table(history: History) -> String {
    let mut table = String::new();
    for (name, as_home, registrars, reference) in [
        ("no registrar is known", false, &[][..], "error after 22.5 s"),
        ("the only registrar refuses", false, &[REFUSES][..], "error after 22.6 s"),
        ("one of two refuses", false, &[REFUSES, WORKS], ""),
        ("four of five refuse", false, &[REFUSES, REFUSES, REFUSES, REFUSES, WORKS], ""),
        ("the only registrar is silent", false, &[SILENT], "error after 45 s"),
        ("two of three are silent", false, &[SILENT, SILENT, WORKS], ""),
        ("four of five are silent", false, &[SILENT, SILENT, SILENT, SILENT, WORKS], ""),
        ("the only registrar takes the request and hangs", true, &[HANGS], "error after 3 s"),
        (
            "the home takes the request and hangs, another works",
            true,
            &[HANGS, WORKS],
            "error after 3 s",
        ),
        ("the home dies with the request, another works", true, &[DIES, WORKS], ""),
        ("the home is an impostor, another works", false, &[IMPOSTOR, WORKS], ""),
    ] {
        table += &row(name, as_home, registrars, reference, history);
    }
    table
}

/// [HUNT-4] [HUNT-5] [HUNT-10] [HUNT-13] [RES-3] [RES-4] [RES-5] [RES-13]
#[test]
fn the_table_says_what_is_measured() {
    let measured = table(History::None);
    let documented = include_str!("../docs/failures.md");
    assert!(documented.contains(&measured), "the table should be:\n{measured}");
}

/// [HUNT-17] [RES-16]: the same holds after any history.
#[test]
fn the_table_holds_after_any_history() {
    let (fresh, old) = (table(History::None), table(History::Any));
    for (fresh, old) in fresh.lines().zip(old.lines()) {
        assert_eq!(old, fresh);
    }
}
