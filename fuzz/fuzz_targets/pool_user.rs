//! Any calls of the whole machine, from all three sides, against what may come of them.
#![no_main]

#[path = "../../tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::pool_user::live(data));
