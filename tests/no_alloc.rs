//! Reading what was received, and writing into a buffer that is large enough, allocates nothing.

use core::hint::black_box;

use allocation_counter::measure;
use asap_pu::wire::{
    BodyRef, Message, MessageRef, Notes, PeIdentifier, Policy, PoolElement, StreamDecoder,
    Transport, TransportRef, TransportUse, encode_cookie_echo, encode_endpoint_unreachable,
    encode_handle_resolution,
};

mod support;
use support::vectors;

/// [CORE-8]: decoding, and everything that views offer but values of their own.
#[test]
fn decoding_allocates_nothing() {
    let mut messages: Vec<Vec<u8>> = vectors().into_iter().map(|(_, bytes)| bytes).collect();
    messages.push(large_response());
    for bytes in &messages {
        let info = measure(|| read(bytes));
        assert_eq!(info.count_total, 0);
    }
}

/// An error on the way, and an unknown parameter at any depth that is not to be reported.
#[test]
fn faults_and_skipped_parameters_allocate_nothing() {
    let mut bytes = large_response();
    let end = bytes.len();
    // The type of the last policy becomes one that may be skipped; then the policy is missing.
    bytes[end - 12] = 0x80;
    let info = measure(|| {
        let mut notes = Notes::default();
        assert!(MessageRef::decode(&bytes, &mut notes).is_err());
        assert_eq!(notes.skipped, 1);
    });
    assert_eq!(info.count_total, 0);
}

/// [CORE-8]: the messages that a pool user sends.
#[test]
fn encoding_into_a_large_buffer_allocates_nothing() {
    let mut buf = Vec::with_capacity(256);
    let info = measure(|| {
        for _ in 0..10 {
            buf.clear();
            encode_handle_resolution(&mut buf, b"pool", false, Some(128)).unwrap();
            encode_endpoint_unreachable(&mut buf, b"pool", PeIdentifier::new(1)).unwrap();
            encode_cookie_echo(&mut buf, b"state").unwrap();
        }
    });
    assert_eq!(info.count_total, 0);
}

/// [TLV-21]: messages that lie whole in the input are not copied.
#[test]
fn whole_messages_of_a_stream_allocate_nothing() {
    let stream: Vec<u8> = vectors().into_iter().flat_map(|(_, bytes)| bytes).collect();
    let info = measure(|| {
        let mut decoder = StreamDecoder::new(65_535);
        let mut input = &stream[..];
        while let Some(message) = decoder.next(&mut input).unwrap() {
            black_box(message);
        }
    });
    assert_eq!(info.count_total, 0);
}

fn read(bytes: &[u8]) {
    let mut notes = Notes::default();
    let message = MessageRef::decode(bytes, &mut notes).unwrap();
    black_box(message.extra().count());
    match message.body {
        BodyRef::Registration { element, .. } => read_transport(element.transport),
        BodyRef::HandleResolutionResponse { elements, causes, .. } => {
            for element in elements {
                read_transport(element.transport);
                black_box((element.policy, element.extra().count()));
            }
            black_box(causes.map(Iterator::count));
        }
        BodyRef::ServerAnnounce { transports, .. } => transports.for_each(read_transport),
        body => {
            black_box(body);
        }
    }
}

fn read_transport(transport: TransportRef<'_>) {
    black_box((transport.port(), transport.transport_use(), transport.service_code()));
    black_box((transport.addresses().count(), transport.extra().count()));
    black_box(TransportRef::decode(transport.encoded())).unwrap();
}

fn large_response() -> Vec<u8> {
    let element = |number: u32| {
        let addresses = [[10, 0, 0, 1].into(), [0_u16; 8].into()];
        let transport = Transport::sctp(4242, TransportUse::DATA_ONLY, addresses);
        PoolElement::new(
            PeIdentifier::new(number),
            transport,
            Policy::Priority { priority: number },
        )
    };
    let elements = (0..128).map(element).collect();
    Message::handle_resolution_response("large", None, elements).to_bytes().unwrap().to_vec()
}
