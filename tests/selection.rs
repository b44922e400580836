//! Each policy against a slow model of it, over any lists, exclusions and refreshes.
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

mod checks;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// [SELECT-1] [SELECT-2] [SELECT-3] [SELECT-4] [SELECT-5] [SELECT-6] [SELECT-7] [SELECT-8]
    /// [SELECT-9] [CACHE-5]
    #[test]
    fn is_the_plain_story(story in prop::collection::vec(any::<u8>(), 0..600)) {
        checks::selection::live(&story);
    }
}
