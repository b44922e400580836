//! Messages from a byte stream.

use asap_pu::wire::{FramingError, StreamDecoder};

mod support;
use support::vectors;

/// [TLV-21]: real messages one behind the other come out as they went in, whatever the pieces; what
/// lies whole in the input is not copied.
#[test]
#[cfg_attr(miri, ignore = "it cuts in more places than Miri has time for")]
fn real_messages_come_out_of_a_stream() {
    let messages: Vec<Vec<u8>> = vectors().into_iter().map(|(_, bytes)| bytes).collect();
    let stream = messages.concat();
    for piece in [1, 3, 4, 5, 64, 1000, stream.len()] {
        let mut decoder = StreamDecoder::new(65_535);
        let mut expected = messages.iter();
        for mut input in stream.chunks(piece) {
            let piece = input.as_ptr_range();
            let whole = decoder.pending() == 0;
            let mut first = true;
            while let Some(message) = decoder.next(&mut input).unwrap() {
                assert_eq!(Some(message), expected.next().map(Vec::as_slice));
                let lies_in_piece = piece.contains(&message.as_ptr());
                assert_eq!(lies_in_piece, whole || !first);
                first = false;
            }
        }
        assert_eq!((expected.next(), decoder.pending()), (None, 0));
    }
}

/// [TLV-21]: a partial message waits.
#[test]
fn a_partial_message_waits() {
    let mut decoder = StreamDecoder::new(100);
    for byte in [0x0b, 0, 0, 9, 0, 0xd, 0, 5, b'x', 0, 0] {
        assert_eq!(decoder.next(&mut &[byte][..]), Ok(None));
    }
    assert_eq!(decoder.pending(), 11);
    // The length does not cover the padding, yet the padding belongs to the message.
    let mut last = &[0, 0x0c][..];
    assert_eq!(decoder.next(&mut last).unwrap().map(<[u8]>::len), Some(12));
    assert_eq!(last, [0x0c]);
    assert_eq!(decoder.next(&mut last), Ok(None));
    assert_eq!(decoder.pending(), 1);
}

/// [TLV-21]: after a length out of bounds the stream is not trusted further.
#[test]
fn a_length_out_of_bounds_ends_it() {
    let under = FramingError::LengthUnderHeader { length: 3 };
    let over = FramingError::LengthOverBound { length: 101, max: 100 };
    for (length, error) in [(3, under), (101, over)] {
        for piece in [1, 2, 4] {
            let mut decoder = StreamDecoder::new(100);
            let header = [0x0b, 0, 0, length];
            let mut outcome = Ok(false);
            for mut input in header.chunks(piece) {
                outcome = decoder.next(&mut input).map(|message| message.is_some());
            }
            assert_eq!(outcome, Err(error));
            let mut sound = &[0x0b, 0, 0, 4][..];
            assert_eq!(decoder.next(&mut sound), Err(error));
            assert_eq!(sound.len(), 4);
        }
    }
    let mut decoder = StreamDecoder::new(100);
    assert!(decoder.next(&mut &[&[0x0b, 0, 0, 100][..], &[0; 96]].concat()[..]).unwrap().is_some());
}

/// [TLV-21]: a claimed length reserves nothing.
#[test]
fn memory_follows_what_was_received() {
    let mut decoder = StreamDecoder::new(65_535);
    assert_eq!(decoder.next(&mut &[0x0b, 0, 0xff, 0xff, 1][..]), Ok(None));
    assert_eq!(decoder.pending(), 5);
}
