//! Real messages, damaged in every way: cut short, bits flipped, lengths and types replaced.
#![allow(clippy::std_instead_of_alloc, reason = "tests have `std`")]

use std::collections::BTreeMap;

use asap_pu::wire::{Body, Cause, CauseCode, Message, MessageRef, MessageType, Notes, Reason};
use bytes::Bytes;

mod checks;
mod support;
use support::vectors;

/// The real message of each type that is the longest, and those of the two types that no real peer
/// sends.
fn one_of_each_type() -> Vec<Vec<u8>> {
    let mut longest = BTreeMap::<MessageType, Vec<u8>>::new();
    for (_, bytes) in vectors() {
        let slot = longest.entry(MessageType::new(bytes[0])).or_default();
        if slot.len() < bytes.len() {
            *slot = bytes;
        }
    }
    let response = Message::decode(&longest[&MessageType::HANDLE_RESOLUTION_RESPONSE]);
    let Body::HandleResolutionResponse { elements, .. } = response.unwrap().body else { panic!() };
    let request = Bytes::copy_from_slice(&longest[&MessageType::HANDLE_RESOLUTION]);
    let causes = vec![Cause::new(CauseCode::UNRECOGNIZED_MESSAGE, request)];
    for message in [Message::business_card("card", elements), Message::error(causes)] {
        longest.insert(message.message_type(), message.to_bytes().unwrap().to_vec());
    }
    longest.into_values().collect()
}

/// [TLV-9]: an error names a place within the bytes, and the parameter that the place is in.
fn check(bytes: &[u8]) {
    if let Err(error) = MessageRef::decode(bytes, &mut Notes::default()) {
        let place = format!("at byte {}, in ", error.offset());
        assert!(error.to_string().starts_with(&place), "{error}");
        assert!(error.offset() <= bytes.len(), "{error}");
        let inside = match error.reason() {
            Reason::UnknownMessage(_) | Reason::NoAnswer => false,
            Reason::UnknownParameter | Reason::SecondPoolHandle | Reason::MissingTransport => true,
            Reason::LengthUnderHeader { .. } | Reason::LengthBeyondEnd { .. } => error.offset() > 0,
            _ => return,
        };
        assert_eq!(error.parameter().is_some(), inside, "{error}");
    }
}

/// [TLV-1], [TLV-9], [TLV-20]: cut short anywhere, and with any bit flipped on top.
#[test]
fn cut_short_and_flipped() {
    let all = one_of_each_type();
    assert_eq!(all.len(), 14);
    for bytes in all {
        assert_eq!(Message::decode(&bytes).unwrap().to_bytes().unwrap(), bytes);
        for len in 0..bytes.len() {
            let mut damaged = bytes[..len].to_vec();
            assert!(MessageRef::decode(&damaged, &mut Notes::default()).is_err());
            for bit in 0..len * 8 {
                damaged[bit / 8] ^= 1 << (bit % 8);
                check(&damaged);
                damaged[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}

/// [TLV-9]: any bit of any real message flipped, under all the checks.
#[test]
fn flipped() {
    for (_, mut bytes) in vectors() {
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            check(&bytes);
            if bit % 3 == 0 {
                checks::decode(&bytes);
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

/// [TLV-9]: every field that may be a length or a type, with every value near the edges; also with
/// the message's length put right after the message was cut.
#[test]
fn lengths_and_types_replaced() {
    const TYPES: [u16; 8] = [0x0011, 0x4011, 0x8011, 0xc011, 0x0009, 0x000a, 0x0004, 0x0008];
    for bytes in one_of_each_type() {
        let len = u16::try_from(bytes.len()).unwrap();
        let lengths =
            (0..24).chain(len.saturating_sub(20)..len + 8).chain([0x7fff, 0x8000, 0xffff]);
        let values: Vec<u16> = lengths.chain(TYPES).collect();
        for at in (0..bytes.len() - 1).step_by(2) {
            for value in &values {
                let mut damaged = bytes.clone();
                damaged[at..at + 2].copy_from_slice(&value.to_be_bytes());
                check(&damaged);
                checks::decode(&damaged);
            }
        }
        for cut in 4..len {
            let mut damaged = bytes[..usize::from(cut)].to_vec();
            damaged[2..4].copy_from_slice(&cut.to_be_bytes());
            check(&damaged);
            checks::decode(&damaged);
        }
    }
}
