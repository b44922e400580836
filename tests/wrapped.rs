//! The example of a transport of one's own.
#![allow(clippy::std_instead_of_alloc, reason = "tests have `std`")]
#![cfg(not(miri))]

#[path = "../examples/wrapped/main.rs"]
#[allow(dead_code, reason = "only the example has a `main`")]
mod wrapped;

/// [SESSION-6] [SESSION-7]: where the driver's mapping tells control from data, the state of an
/// element that died reaches the next one in its cookie, ahead of any data.
#[test]
fn sums_survive_an_adder() {
    let (sums, frames) = wrapped::run().unwrap();
    assert_eq!(sums, ["1", "3", "6", "10", "15"]);
    let on_the_new_channel: Vec<_> =
        frames.iter().filter(|frame| frame.starts_with("-> ") && frame.contains(" 3 ")).collect();
    assert_eq!(
        on_the_new_channel[..3],
        ["-> open 3 to beta", "-> control 3 ASAP_COOKIE_ECHO (0xc)", "-> data 3 3"]
    );
    let ends: Vec<_> = frames
        .iter()
        .filter(|frame| frame[3..].starts_with("closed ") || frame[3..].starts_with("broken "))
        .collect();
    assert_eq!(ends, ["<- broken 2", "-> closed 3", "-> closed 1"]);
}
