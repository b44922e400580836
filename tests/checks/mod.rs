//! What must hold for any bytes at all. The fuzz targets and the tests on stored inputs share it.

#![allow(dead_code, reason = "each test program uses a part of it")]

use arbitrary::{Arbitrary, Unstructured};
use asap_pu::wire::{
    Body, BodyRef, Causes, DecodeError, EncodeError, Message, MessageRef, Notes, Parameter, Policy,
    PoolElementRef, StreamDecoder, TransportRef, encode_error,
};

use self::walker::{Found, parameters};

pub(crate) mod pool_user;
pub(crate) mod selection;
pub(crate) mod walker;

/// Decoding never panics. What it accepts is what an independent walker sees, and encodes to
/// something that decodes to the same value and encodes to the same bytes.
pub(crate) fn decode(data: &[u8]) {
    let mut notes = Notes::default();
    match MessageRef::decode(data, &mut notes) {
        Ok(view) => {
            agrees_with_walker(data, &view);
            let message = view.to_owned();
            assert_eq!(Message::decode(data).as_ref(), Ok(&message));
            round_trip(
                &message,
                || message.to_bytes().map(|bytes| bytes.to_vec()),
                Message::decode,
            );
        }
        Err(error) => assert!(error.offset() <= data.len(), "{error}"),
    }
    can_be_reported(&notes);

    if let Ok(parameter) = Parameter::decode(data) {
        let encode = || {
            let mut bytes = Vec::new();
            parameter.encode(&mut bytes).map(|()| bytes)
        };
        round_trip(&parameter, encode, Parameter::decode);
    }
}

/// Any message that can be written down decodes to itself; the bytes spell it.
pub(crate) fn roundtrip(data: &[u8]) {
    let Ok(message) = Message::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let bytes = message.to_bytes().unwrap();
    assert_eq!(Message::decode(&bytes), Ok(message));
}

/// However a stream is cut into pieces, the same messages come out, and no more is held than was
/// received. The first two bytes say how to cut it and which length to accept.
pub(crate) fn stream(data: &[u8]) {
    let &[cut, bound, ref stream @ ..] = data else { return };
    let max = usize::from(bound) * 16;
    let expected = cut_plainly(stream, max);
    for pieces in [&[255][..], &[1], &[cut % 13 + 1], &[cut % 7 + 1, 1, cut / 7 + 1]] {
        assert_eq!(messages(stream, max, pieces), expected);
    }
}

/// The same with an index into the whole stream, and with nothing of the crate in it.
fn cut_plainly(stream: &[u8], max: usize) -> Vec<Option<Vec<u8>>> {
    let (mut messages, mut at) = (Vec::new(), 0);
    while at + 4 <= stream.len() {
        let length = usize::from(stream[at + 2]) * 256 + usize::from(stream[at + 3]);
        if length < 4 || length > max {
            messages.push(None);
            break;
        }
        let end = at + length.div_ceil(4) * 4;
        if end > stream.len() {
            break;
        }
        messages.push(Some(stream[at..end].to_vec()));
        at = end;
    }
    messages
}

/// The messages in a stream that arrives in pieces of these sizes in turn; `None` in the end stands
/// for an error.
fn messages(stream: &[u8], max: usize, pieces: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut decoder = StreamDecoder::new(max);
    let mut messages = Vec::new();
    let (mut rest, mut sizes) = (stream, pieces.iter().cycle());
    while !rest.is_empty() {
        let size = usize::from(*sizes.next().unwrap()).min(rest.len());
        let mut input;
        (input, rest) = rest.split_at(size);
        loop {
            match decoder.next(&mut input) {
                Ok(Some(message)) => messages.push(Some(message.to_vec())),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.next(&mut &b"\x0b\0\0\x04"[..]), Err(error));
                    messages.push(None);
                    return messages;
                }
            }
        }
        assert!(input.is_empty());
        assert!(decoder.pending() < max.next_multiple_of(4).max(4));
    }
    messages
}

fn round_trip<T: PartialEq + core::fmt::Debug>(
    value: &T,
    encode: impl Fn() -> Result<Vec<u8>, EncodeError>,
    decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
) {
    match encode() {
        Ok(bytes) => assert_eq!(decode(&bytes).as_ref(), Ok(value)),
        // Received without its last padding, it needs a byte more than there can be.
        Err(EncodeError::TooLong { length, .. }) if length > 0xfffc => {}
        Err(error) => panic!("{error}"),
    }
}

fn can_be_reported(notes: &Notes<'_>) {
    let mut buf = Vec::new();
    let report = encode_error(&mut buf, notes.report.iter().copied());
    assert_eq!(report.included + report.left_out, notes.report.len());
    if report.included == 0 {
        assert!(buf.is_empty());
    } else {
        let Body::Error { causes, .. } = Message::decode(&buf).unwrap().body else { panic!() };
        assert_eq!(causes.len(), report.included);
    }
}

fn agrees_with_walker(data: &[u8], view: &MessageRef<'_>) {
    let start = match view.body {
        BodyRef::EndpointKeepAlive { .. } | BodyRef::ServerAnnounce { .. } => 8,
        _ => 4,
    };
    let end = usize::from(u16::from_be_bytes([data[2], data[3]]));
    let found = parameters(data, start, end).expect("the walker finds a fault");
    let value = |parameter: u16| {
        let found = found.iter().find(|found| found.parameter == parameter);
        found.map(|found| &data[found.start + 4..found.end])
    };
    let id = |value: &[u8]| u32::from_be_bytes(value.try_into().unwrap());
    let causes_agree = |causes: Option<Causes<'_>>| {
        let it = found.iter().find(|found| found.parameter == 0xc);
        assert_eq!(causes.is_some(), it.is_some());
        let (Some(causes), Some(it)) = (causes, it) else { return };
        let inside = parameters(data, it.start + 4, it.end).unwrap();
        let plain = inside.iter().map(|it| (it.parameter, &data[it.start + 4..it.end]));
        assert!(causes.map(|cause| (cause.code.get(), cause.info)).eq(plain));
    };
    match view.body {
        BodyRef::Deregistration { identifier, .. }
        | BodyRef::EndpointKeepAliveAck { identifier, .. }
        | BodyRef::EndpointUnreachable { identifier, .. } => {
            assert_eq!(Some(identifier.get()), value(0xe).map(id));
        }
        BodyRef::RegistrationResponse { identifier, causes, .. }
        | BodyRef::DeregistrationResponse { identifier, causes, .. } => {
            assert_eq!(Some(identifier.get()), value(0xe).map(id));
            causes_agree(causes);
        }
        BodyRef::HandleResolution { wanted, .. } => assert_eq!(wanted, value(0x803f).map(id)),
        BodyRef::HandleResolutionResponse { policy, causes, .. } => {
            let first = value(8).map(|it| id(&it[..4]));
            assert_eq!(policy.map(|it| it.policy.get()), first);
            causes_agree(causes);
        }
        BodyRef::EndpointKeepAlive { server, .. } | BodyRef::ServerAnnounce { server, .. } => {
            assert_eq!(server.get(), id(&data[4..8]));
        }
        BodyRef::Cookie { cookie, .. } | BodyRef::CookieEcho { cookie, .. } => {
            assert_eq!(Some(cookie), value(0xd));
        }
        BodyRef::Error { causes, .. } => causes_agree(Some(causes)),
        _ => {}
    }
    match view.body {
        BodyRef::Registration { handle, .. }
        | BodyRef::Deregistration { handle, .. }
        | BodyRef::RegistrationResponse { handle, .. }
        | BodyRef::DeregistrationResponse { handle, .. }
        | BodyRef::HandleResolution { handle, .. }
        | BodyRef::HandleResolutionResponse { handle, .. }
        | BodyRef::EndpointKeepAlive { handle, .. }
        | BodyRef::EndpointKeepAliveAck { handle, .. }
        | BodyRef::EndpointUnreachable { handle, .. }
        | BodyRef::BusinessCard { handle, .. } => assert_eq!(Some(handle), value(9)),
        _ => {}
    }
    let mut expected: Vec<Found> = found.clone();
    let mut take = |parameter: u16| {
        let place = expected.iter().position(|found| found.parameter == parameter);
        expected.remove(place.unwrap())
    };
    match &view.body {
        BodyRef::Registration { element, .. } => element_agrees(data, element, take(0xa)),
        BodyRef::HandleResolutionResponse { elements, .. }
        | BodyRef::BusinessCard { elements, .. } => {
            elements.for_each(|element| element_agrees(data, &element, take(0xa)));
            assert!(expected.iter().all(|found| found.parameter != 0xa));
        }
        BodyRef::ServerAnnounce { transports, .. } => {
            let mut found = found.iter().filter(|found| matches!(found.parameter, 4 | 5));
            transports.for_each(|it| transport_agrees(data, it, *found.next().unwrap()));
            assert_eq!(found.next(), None);
        }
        _ => {}
    }
}

fn element_agrees(data: &[u8], element: &PoolElementRef<'_>, found: Found) {
    let identifier = &data[found.start + 4..found.start + 8];
    assert_eq!(element.identifier.get().to_be_bytes(), identifier);
    let inside = parameters(data, found.start + 16, found.end).unwrap();
    let policy = inside.iter().find(|it| it.parameter == 8);
    let kind = match policy.map(|policy| &data[policy.start + 4..policy.end]) {
        Some(value @ [_, _, _, _, ..]) => &value[..4],
        Some(value) => {
            assert_eq!(element.policy, Policy::Truncated { value });
            &[0; 4]
        }
        None => {
            assert_eq!(element.policy, Policy::Absent);
            &[0; 4]
        }
    };
    assert_eq!(element.policy.policy_type().get().to_be_bytes(), kind);
    let mut transports = inside.iter().filter(|it| matches!(it.parameter, 3..=7 | 0x10));
    transport_agrees(data, element.transport, *transports.next().unwrap());
    let asap = transports.find(|it| it.parameter == 4);
    assert_eq!(element.asap_transport.is_some(), asap.is_some());
    if let (Some(transport), Some(found)) = (element.asap_transport, asap) {
        transport_agrees(data, transport, *found);
    }
}

fn transport_agrees(data: &[u8], transport: TransportRef<'_>, found: Found) {
    assert_eq!(transport.encoded(), &data[found.start..found.end]);
    assert_eq!(TransportRef::decode(transport.encoded()), Ok(transport));
    let fields = match found.parameter {
        3 => 8,
        0x10 => return assert_eq!(transport.addresses().count(), 0),
        _ => 4,
    };
    let inside = parameters(data, found.start + 4 + fields, found.end).unwrap();
    let addresses = inside.iter().filter(|it| matches!(it.parameter, 1 | 2));
    let most = if found.parameter == 4 { usize::MAX } else { 1 };
    assert_eq!(transport.addresses().count(), addresses.count().min(most));
}
