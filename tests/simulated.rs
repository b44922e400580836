//! The example that tests an application in the simulator, with many seeds.
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

#[path = "../examples/simulated.rs"]
#[allow(dead_code, reason = "only the example has a `main`")]
mod simulated;

/// [SESSION-3] [SESSION-4]: no job is lost, whichever worker dies when.
#[test]
fn no_job_is_lost() {
    for seed in 0..50 {
        let outcome = simulated::run(seed, |_| {}).expect("a run");
        assert!(outcome.is_complete(), "seed {seed}");
    }
}
