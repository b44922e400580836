//! How long it takes until a failure is noticed and repaired, with the default configuration: the
//! table in `docs/failures.md` is measured here.
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

mod lab;

use core::time::Duration;
use std::collections::BTreeMap;

use asap_pu::wire::{Body, Message};
use asap_pu::{Action, Authentication, CloseReason, Config, Event, Instant, Payload, PoolUser};
use lab::{FIVE, POOL, config, element, response};

/// What a registrar does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Registrar {
    Works,
    /// Refuses channels.
    Refuses,
    /// Does not react to attempts to set up a channel.
    Silent,
    /// Takes the channel and the request, and does nothing more.
    Hangs,
    /// Takes the channel, and breaks it when the request comes.
    Dies,
    /// Is not who it should be.
    Impostor,
}

use Registrar::*;

/// When the application heard of the trouble, if it did, and when its request was answered or
/// failed.
struct Outcome {
    heard: Option<Duration>,
    end: Result<Duration, Duration>,
}

/// What the network brings.
enum Arrival {
    Opened,
    Closed(CloseReason),
    Answer,
}

/// Resolves a pool, once. Registrars that work are a little slower than others, so that the others
/// come first.
fn resolve(registrars: &[Registrar], config: Config, seed: u64) -> Outcome {
    let mut pu = PoolUser::new(config, seed).unwrap();
    let began = Instant::EPOCH;
    let mut now = began;
    let mut arrivals = BTreeMap::new();
    let mut peers = BTreeMap::new();
    let mut heard = None;
    pu.resolve(now, POOL).unwrap();
    loop {
        while let Some(action) = pu.poll_action() {
            let (channel, arrival) = match action {
                Action::Open { channel, to, .. } => {
                    let at = to.socket_addrs().next().unwrap().to_string();
                    let peer = registrars[FIVE.iter().position(|known| *known == at).unwrap()];
                    peers.insert(channel, peer);
                    (
                        channel,
                        match peer {
                            Works | Hangs | Dies => Arrival::Opened,
                            Refuses => Arrival::Closed(CloseReason::Failed),
                            Impostor => Arrival::Closed(CloseReason::Unauthenticated),
                            Silent => continue,
                        },
                    )
                }
                Action::Send { channel, payload: Payload::Control(message), .. } => {
                    let message = Message::decode(&message).unwrap();
                    assert!(matches!(message.body, Body::HandleResolution { .. }));
                    (
                        channel,
                        match peers[&channel] {
                            Works => Arrival::Answer,
                            Dies => Arrival::Closed(CloseReason::Failed),
                            _ => continue,
                        },
                    )
                }
                _ => continue,
            };
            let latency = if peers[&channel] == Works { 20 } else { 10 };
            let at = now + Duration::from_millis(latency);
            arrivals.insert((at, arrivals.len(), channel), arrival);
        }
        while let Some(event) = pu.poll_event() {
            match event {
                Event::Resolved { .. } => return Outcome { heard, end: Ok(now - began) },
                Event::ResolutionFailed { .. } => {
                    heard = heard.or(Some(now - began));
                    return Outcome { heard, end: Err(now - began) };
                }
                Event::RegistrarFound { .. } => {}
                _ => heard = heard.or(Some(now - began)),
            }
        }
        let due = pu.poll_timeout().unwrap();
        match arrivals.first_entry() {
            Some(first) if first.key().0 <= due => {
                let ((at, _, channel), arrival) = first.remove_entry();
                now = at;
                match arrival {
                    Arrival::Opened => pu.handle_opened(now, channel, Authentication::None),
                    Arrival::Closed(reason) => pu.handle_closed(now, channel, reason),
                    Arrival::Answer => {
                        let answer = response(POOL, &[element(1)]).to_bytes().unwrap();
                        pu.handle_control(now, channel, &answer);
                    }
                }
            }
            _ => {
                now = due;
                pu.handle_timeout(now);
            }
        }
    }
}

/// One row of the table: over many seeds, rounded to seconds.
fn row(name: &str, registrars: &[Registrar], reference: &str) -> String {
    let outcomes = (0..50).map(|seed| {
        let config = config(&FIVE[..registrars.len()]);
        resolve(registrars, config, seed)
    });
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

/// [HUNT-4] [HUNT-5] [HUNT-10] [HUNT-13] [RES-3] [RES-4] [RES-5] [RES-13]
#[test]
fn the_table_says_what_is_measured() {
    let documented = include_str!("../docs/failures.md");
    let mut table = String::new();
    for (name, registrars, reference) in [
        ("no registrar is known", &[][..], "error after 22.5 s"),
        ("the only registrar refuses", &[Refuses][..], "error after 22.6 s"),
        ("one of two refuses", &[Refuses, Works], ""),
        ("four of five refuse", &[Refuses, Refuses, Refuses, Refuses, Works], ""),
        ("the only registrar is silent", &[Silent], "error after 45 s"),
        ("two of three are silent", &[Silent, Silent, Works], ""),
        ("four of five are silent", &[Silent, Silent, Silent, Silent, Works], ""),
        ("the only registrar takes the request and hangs", &[Hangs], "error after 3 s"),
        ("the home takes the request and hangs, another works", &[Hangs, Works], "error after 3 s"),
        ("the home dies with the request, another works", &[Dies, Works], ""),
        ("the home is an impostor, another works", &[Impostor, Works], ""),
    ] {
        table += &row(name, registrars, reference);
    }
    assert!(documented.contains(&table), "the table should be:\n{table}");
}
