//! Any policies, members, exclusions and refreshes, against slow models.
#![no_main]

#[path = "../../tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::selection::live(data));
