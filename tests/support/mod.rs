//! What several test programs share. Each uses a part of it.
#![allow(dead_code)]

use std::fs;

/// The messages of real peers, with their labels; see `tests/vectors/README.md`.
pub(crate) fn vectors() -> Vec<(String, Vec<u8>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/messages.hex");
    let text = fs::read_to_string(path).unwrap();
    let vectors = text.lines().map(|line| {
        let (label, hex) = line.split_once('\t').unwrap();
        (label.to_owned(), unhex(hex))
    });
    vectors.collect()
}

/// The bytes that a string of hex digits spells.
pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().map(|d| char::from(d).to_digit(16).unwrap() as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
