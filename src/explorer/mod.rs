//! The explorer: everything that can happen in a small world, and what comes of it.
//!
//! A fuzzer tries long random sequences of inputs; this tries *all* short ones. A world is a pool
//! user with a registrar or two, a pool of two or three elements, and a session or two with a few
//! messages ([`worlds`]). From its beginning every input that is possible is tried, from every state
//! that this leads to again, and so on, until the budget of the world is used up: so many messages,
//! so many failures, so many deadlines ([`step`]). States that behave alike are one state
//! ([`fingerprint`]), so that most worlds come to their end within some ten thousand of them.
//!
//! While it goes, the world keeps books: of what went in and came out, a model much smaller than
//! the machine tells what has to hold ([`world`], [`sessions`]). And from every new state five
//! followers go on to the end ([`later`]): one where everybody does what is expected, one where
//! nobody says anything any more, and three where elements refuse, break off, or close. There every
//! message must meet one fate, every session must end, rest or be served, nothing may stay on the
//! books, and nothing may go in circles.
//!
//! What is found comes with the shortest way that leads there, since states are visited in the
//! order of their distance. `cargo test` goes through small worlds; the large ones take a while:
//!
//! ```text
//! cargo test --release --lib explorer -- --ignored --nocapture
//! ```

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::std_instead_of_core,
    reason = "tests have the standard library, and say how long they took"
)]

mod fingerprint;
mod later;
mod sessions;
mod step;
mod world;
mod worlds;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::time::Duration;
use std::collections::HashSet;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::time::Instant as Clock;
use std::{eprintln, println, thread_local};

pub(crate) use self::fingerprint::{Kind, ahead, fingerprint, now};
use self::later::{Known, WAYS, Way};
use self::step::{Rules, Step};
use self::world::World;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    /// How many deadlines have come since the explorer looked.
    static TIRED: Cell<u32> = const { Cell::new(0) };
}

/// A deadline has come. When very many do within one call, that call would never end.
pub(crate) fn tire() {
    let tired = TIRED.get() + 1;
    TIRED.set(tired);
    assert!(tired < 20_000, "deadlines come without end");
}

/// What came of exploring a world.
struct Report {
    states: usize,
    transitions: usize,
    /// The longest way to a state.
    depth: u32,
    complete: bool,
    time: Duration,
    /// What does not hold, each with the shortest way to it.
    findings: BTreeMap<String, Finding>,
}

struct Finding {
    what: String,
    steps: Vec<Step>,
    way: Option<Way>,
}

/// Bounds of an exploration.
#[derive(Clone, Copy)]
struct Limits {
    states: usize,
    /// How many different findings are enough.
    findings: usize,
}

/// Runs something that may panic, silently; what it said.
fn guarded<R>(run: impl FnOnce() -> R) -> Result<R, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let former = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                former(info);
            }
        }));
    });
    QUIET.set(true);
    TIRED.set(0);
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    QUIET.set(false);
    result.map_err(|said| {
        let said = said.downcast_ref::<String>().cloned().or_else(|| {
            let said = said.downcast_ref::<&str>();
            said.map(ToString::to_string)
        });
        said.unwrap_or_default()
    })
}

/// The steps that led to a state.
fn steps_to(parents: &[(usize, Step)], mut state: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    while state > 0 {
        let (parent, step) = parents[state];
        steps.push(step);
        state = parent;
    }
    steps.reverse();
    steps
}

/// Without the numbers in it, what is said of one fault is the same wherever it shows.
fn kind_of(what: &str) -> String {
    let first = what.split(['{', ':', '\n']).next().unwrap_or_default();
    let words = first.chars().filter(|c| !c.is_ascii_digit());
    let mut kind: String = words.take(70).collect();
    if kind.starts_with("assertion") {
        kind = what.chars().filter(|c| !c.is_ascii_digit()).take(160).collect();
    }
    kind
}

/// Goes through a world.
fn explore(rules: Rules, limits: Limits) -> Report {
    let begun = Clock::now();
    let rules = Rc::new(rules);
    let mut findings = BTreeMap::new();
    let mut find = |what: String, steps: Vec<Step>, way: Option<Way>| {
        findings.entry(kind_of(&what)).or_insert(Finding { what, steps, way });
        findings.len()
    };
    let mut first = World::new(&rules);
    let (mut seen, mut known) = (HashSet::new(), Known::default());
    // The state from which each state was reached first, and how.
    let mut parents = Vec::new();
    let mut queue = VecDeque::new();
    let (mut transitions, mut depth, mut complete) = (0, 0, true);
    match guarded(|| first.begin()) {
        Ok(()) => {
            seen.insert(first.fingerprint(true));
            parents.push((0, Step::Timer));
            queue.push_back((0, 0, first));
        }
        Err(what) => _ = find(what, Vec::new(), None),
    }
    'all: while let Some((state, distance, world)) = queue.pop_front() {
        depth = distance;
        for step in world.possible() {
            transitions += 1;
            let mut next = world.clone();
            let steps = || steps_to(&parents, state).into_iter().chain([step]).collect();
            if let Err(what) = guarded(|| next.take(step)) {
                if find(what, steps(), None) >= limits.findings {
                    complete = false;
                    break 'all;
                }
                continue;
            }
            if !seen.insert(next.fingerprint(true)) {
                continue;
            }
            for way in WAYS {
                let follower = next.clone();
                if let Err(what) = guarded(|| follower.follow(way, &mut known)) {
                    if find(what, steps(), Some(way)) >= limits.findings {
                        complete = false;
                        break 'all;
                    }
                }
            }
            if parents.len() >= limits.states {
                complete = false;
                break 'all;
            }
            parents.push((state, step));
            queue.push_back((parents.len() - 1, distance + 1, next));
        }
    }
    let states = parents.len();
    Report { states, transitions, depth, complete, time: begun.elapsed(), findings }
}

/// Goes the way to a finding once more, and tells what happens on it.
fn tell(rules: Rules, finding: &Finding) -> Vec<String> {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let mut world = World::new(&Rc::new(rules));
    let _ = guarded(|| {
        world.begin();
        world.trace = Some(lines.clone());
        finding.steps.iter().for_each(|step| world.take(*step));
        if let Some(way) = finding.way {
            world.say(|| format!("- from here on: {way:?}"));
            world.follow(way, &mut Known::default());
        }
    });
    lines.take()
}

/// Goes through a world, says what came of it, and whether that is as it should be.
fn holds(rules: Rules, limits: Limits) -> bool {
    let report = explore(rules.clone(), limits);
    let Report { states, transitions, depth, complete, time, findings } = &report;
    println!(
        "{:<22}{states:>9} states {transitions:>10} transitions, {} at depth {depth:>2}, {:>7.1} s",
        rules.name,
        if *complete { "complete" } else { "cut off " },
        time.as_secs_f64(),
    );
    for finding in findings.values() {
        let Finding { what, steps, way } = finding;
        eprintln!("in the world `{}`, {way:?}: {what}\n  {steps:?}", rules.name);
        let lines = tell(rules.clone(), finding);
        lines.iter().for_each(|line| eprintln!("    {line}"));
    }
    findings.is_empty()
}

/// [CORE-14]: small worlds, each to its end.
#[test]
fn nothing_goes_wrong_in_small_worlds() {
    let limits = Limits { states: 20_000, findings: 1 };
    let worlds = worlds::small();
    let bad: Vec<_> =
        worlds.into_iter().filter(|rules| !holds(rules.clone(), limits)).map(|r| r.name).collect();
    assert!(bad.is_empty(), "{bad:?}");
}

/// [CORE-14]: all worlds, each to its end; `WORLD=name` picks those whose name contains that, and
/// `STATES=number` bounds the states of each.
#[test]
#[ignore = "takes a while"]
fn nothing_goes_wrong_in_any_world() {
    let picked = std::env::var("WORLD").unwrap_or_default();
    let states = std::env::var("STATES").ok().and_then(|states| states.parse().ok());
    let limits = Limits { states: states.unwrap_or(3_000_000), findings: 20 };
    let worlds = worlds::small().into_iter().chain(worlds::large());
    let worlds = worlds.filter(|rules| rules.name.contains(&picked));
    let bad: Vec<_> =
        worlds.filter(|rules| !holds(rules.clone(), limits)).map(|rules| rules.name).collect();
    assert!(bad.is_empty(), "{bad:?}");
}
