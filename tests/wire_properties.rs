//! What holds for every message, every parameter and every way to cut a stream.
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core, reason = "tests have `std`")]

use asap_pu::wire::{EncodeError, Message, Parameter, PoolHandle};
use proptest::prelude::*;

mod checks;
mod support {
    pub(crate) mod strategy;
}
use support::strategy;

proptest! {
    /// [TLV-11], [TLV-20]: all fourteen messages come back as they were, and go out as they were.
    #[test]
    fn messages_round_trip(message in strategy::message()) {
        let bytes = message.to_bytes().unwrap();
        prop_assert_eq!(bytes.len() % 4, 0);
        prop_assert_eq!(usize::from(bytes[2]) << 8 | usize::from(bytes[3]), bytes.len());
        let again = Message::decode(&bytes);
        prop_assert_eq!(again.as_ref(), Ok(&message));
        prop_assert_eq!(again.unwrap().to_bytes().unwrap(), bytes);
    }

    /// [TLV-9]: what is encoded passes all the checks for any bytes, the walker's opinion included.
    #[test]
    fn messages_agree_with_the_walker(message in strategy::message()) {
        checks::decode(&message.to_bytes().unwrap());
    }

    /// [TLV-11], [TLV-12], [TLV-13], [TLV-16] to [TLV-19]: so do parameters that stand alone.
    #[test]
    fn parameters_round_trip(parameter in strategy::parameter()) {
        let mut bytes = vec![0xee; 3];
        parameter.encode(&mut bytes).unwrap();
        prop_assert_eq!(bytes.len() % 4, 3);
        prop_assert_eq!(Parameter::decode(&bytes[3..]), Ok(parameter));
    }

    /// [TLV-3]: a message may come without its last padding, and with a length that leaves it out.
    #[test]
    fn the_last_padding_does_not_matter(message in strategy::message()) {
        let bytes = message.to_bytes().unwrap();
        let Some(padding) = last_padding(&bytes) else { return Ok(()) };
        for cut in 0..=padding {
            let mut shorter = bytes[..bytes.len() - cut].to_vec();
            let length = u16::try_from(bytes.len() - padding).unwrap();
            for length in [length, u16::try_from(shorter.len()).unwrap()] {
                shorter[2..4].copy_from_slice(&length.to_be_bytes());
                prop_assert_eq!(Message::decode(&shorter), Ok(message.clone()));
            }
        }
    }

    /// [TLV-2]: what padding contains does not matter.
    #[test]
    fn padding_is_not_looked_at(message in strategy::message(), junk in any::<u8>()) {
        let mut bytes = message.to_bytes().unwrap().to_vec();
        let Some(padding) = last_padding(&bytes) else { return Ok(()) };
        let from = bytes.len() - padding;
        bytes[from..].fill(junk);
        prop_assert_eq!(Message::decode(&bytes), Ok(message));
    }

    /// [TLV-9]: any bytes whatever.
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        checks::decode(&bytes);
    }

    /// [TLV-21]: the messages that come out of a stream do not depend on how it was cut.
    #[test]
    fn streams_may_be_cut_anywhere(
        messages in proptest::collection::vec(strategy::message(), 0..5),
        cut in any::<u8>(),
        bound in any::<u8>(),
    ) {
        let mut stream = vec![cut, bound];
        for message in &messages {
            message.encode(&mut stream).unwrap();
        }
        checks::stream(&stream);
    }

    /// [TLV-10]: what does not fit is refused, and the buffer is as it was.
    #[test]
    fn nothing_is_cut_short(len in 65_530_usize..65_550) {
        let message = Message::handle_resolution(false, vec![b'x'; len], None);
        let mut buf = vec![1, 2, 3];
        match message.encode(&mut buf) {
            // Two headers of four bytes, and padding.
            Ok(()) => prop_assert!(len + 8 <= 65_532),
            Err(error) => {
                let is_length = matches!(error, EncodeError::TooLong { .. });
                prop_assert!(is_length && len + 8 > 65_532);
                prop_assert_eq!(buf, [1, 2, 3]);
            }
        }
    }

    /// [TLV-15]: handles are compared and shown as bytes.
    #[test]
    fn handles_are_bytes(a in any::<Vec<u8>>(), b in any::<Vec<u8>>()) {
        let (x, y) = (PoolHandle::from(a.clone()), PoolHandle::from(b.clone()));
        prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        prop_assert!(x.to_string().is_ascii());
    }
}

/// How many bytes of padding end a message that consists of parameters.
fn last_padding(bytes: &[u8]) -> Option<usize> {
    let start = if matches!(bytes[0], 0x07 | 0x0a) { 8 } else { 4 };
    let found = checks::walker::parameters(bytes, start, bytes.len()).unwrap();
    found.last().map(|last| bytes.len() - last.end)
}
