//! Any message that can be written down, to bytes and back.
#![no_main]

use asap_pu::wire::Message;

libfuzzer_sys::fuzz_target!(|message: Message| {
    let bytes = message.to_bytes().unwrap();
    assert_eq!(Message::decode(&bytes), Ok(message));
});
