//! The inputs kept for the fuzz targets, under the same checks, without a fuzzer.
#![allow(clippy::std_instead_of_alloc, reason = "tests have `std`")]

use std::fs;

mod checks;

/// [TLV-9], [TLV-11]: messages and parameters.
#[test]
fn decode() {
    replay("decode", checks::decode);
}

/// [TLV-21]: streams.
#[test]
fn stream() {
    replay("stream", checks::stream);
}

/// [TLV-11]: any message that can be written down.
#[test]
fn roundtrip() {
    replay("roundtrip", checks::roundtrip);
}

/// [SELECT-9]: stories of lists and picks.
#[test]
fn selection() {
    replay("selection", checks::selection::live);
}

/// [CORE-5]: calls of the whole machine.
#[test]
fn pool_user() {
    replay("pool_user", checks::pool_user::live);
}

fn replay(target: &str, check: fn(&[u8])) {
    let folder = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut replayed = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        check(&fs::read(path).unwrap());
        replayed += 1;
    }
    assert!(replayed >= 5);
}
