//! The day among failures, made small: an hour of a hundred pool users.
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

#[path = "../examples/soak/main.rs"]
#[allow(dead_code, reason = "only the example has a `main`")]
mod soak;

fn run(seed: u64) -> soak::Statement {
    let options = soak::Options { users: 100, hours: 1.0, seed, svg: None, html: None };
    soak::run(&options, |_| {}, |_| {})
}

/// [SESSION-3] [SESSION-4] [RES-13]: no message is lost that may not be, whatever fails.
#[test]
fn promises_are_kept() {
    for seed in 0..3 {
        let statement = run(seed);
        assert!(statement.holds(), "{statement}");
    }
}

/// [CORE-2]: a run follows from its seed.
#[test]
fn the_same_seed_is_the_same_day() {
    let hashes = [1, 1, 2].map(|seed| run(seed).hash);
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[0], hashes[2]);
}
