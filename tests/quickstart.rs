//! The example that newcomers run first, run as they do.
#![allow(clippy::std_instead_of_alloc, reason = "tests have `std`")]

#[path = "../examples/quickstart/main.rs"]
#[allow(dead_code, reason = "only the example has a `main`")]
mod quickstart;

mod dissect;

use std::thread;

/// Tells the story with `seed`; the lines of the ladder without their times.
fn tell(seed: u64) -> Vec<String> {
    let mut out = Vec::new();
    let told = quickstart::run(seed, false, &mut out);
    let out = String::from_utf8(out).expect("text");
    assert!(matches!(told, Ok((true, _))), "with seed {seed}: {told:?}\n{out}");
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

/// Wireshark reads the whole story: every message is one of ASAP or of the application, and whole.
#[test]
#[cfg_attr(miri, ignore = "it has sockets")]
fn the_story_can_be_read_in_wireshark() {
    let (_, capture) = quickstart::run(1, false, &mut Vec::new()).expect("a run");
    let Some(lines) = dissect::lines("quickstart", &capture, &["asap.message_type"]) else {
        return;
    };
    let of = |kind: &str| lines.iter().filter(|line| line[0] == kind).count();
    // Questions and answers; reports; cookies and their echoes.
    let counts = ["5", "6", "9", "11", "12"].map(of);
    assert_eq!(counts, [2, 2, 2, 7, 2], "{lines:?}");
    assert!(of("") >= 14, "requests and their answers");
}
