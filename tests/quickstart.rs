//! The example that newcomers run first, run as they do.
#![allow(clippy::std_instead_of_alloc, reason = "tests have `std`")]

#[path = "../examples/quickstart/main.rs"]
#[allow(dead_code, reason = "only the example has a `main`")]
mod quickstart;

use std::thread;

/// Tells the story with `seed`; the lines of the ladder without their times.
fn tell(seed: u64) -> Vec<String> {
    let mut out = Vec::new();
    let told = quickstart::run(seed, false, &mut out);
    let out = String::from_utf8(out).expect("text");
    assert!(matches!(told, Ok(true)), "with seed {seed}: {told:?}\n{out}");
    let without_time = |line: &str| {
        line.trim_start_matches(|c: char| c.is_ascii_digit() || " .".contains(c)).to_owned()
    };
    out.lines().skip(1).map(without_time).collect()
}

/// [HUNT-2] [RES-1] [RES-6] [SESSION-3] [SESSION-6] [SESSION-7] [REPORT-1]: every step of the story
/// happens over real sockets. [CORE-2]: the same seed tells the same story again.
#[test]
#[cfg_attr(miri, ignore = "it has sockets")]
fn the_story_is_told_to_its_end_and_can_be_repeated() {
    let [first, again, other] = thread::scope(|scope| {
        [1, 1, 2].map(|seed| scope.spawn(move || tell(seed))).map(|run| run.join().expect("a run"))
    });
    assert_eq!(first, again);
    assert_ne!(first, other, "a seed makes a difference");
}
