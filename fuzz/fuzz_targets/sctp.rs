//! Any inputs to two endpoints of SCTP in user space, against what may come of them.
#![no_main]

#[path = "../../drivers/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::live(data));
