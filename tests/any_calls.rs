//! Any sequence of calls is safe: legal and illegal ones, from all three sides, in any order.
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

mod checks;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

proptest! {
    // The same calls every time: looking for others is what the fuzzer is for.
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    /// [CORE-2] [CORE-4] [CORE-5] [CORE-6] [CORE-9] [CORE-11] [CORE-12] [HUNT-3] [REPORT-2] [REPORT-4]
    /// [REPORT-7] [REPORT-9] [RES-13] [RES-15] [SESSION-4] [SESSION-5] [SESSION-7] [SESSION-10]
    /// [SESSION-13] [SESSION-15] [SESSION-17] [SESSION-18] [SESSION-19] [SESSION-20] [SESSION-21]
    /// [SESSION-22]
    #[test]
    fn any_calls_are_safe_and_repeatable(calls in prop::collection::vec(any::<u8>(), 0..1_200)) {
        checks::pool_user::live(&calls);
    }
}
