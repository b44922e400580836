//! The rules for what is unknown, unexpected, missing or broken, one by one.
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core, reason = "tests have `std`")]

use asap_pu::wire::{
    ASAP_PPID, Body, BodyRef, Cause, CauseCode, DecodeError, EncodeError, Message, MessageRef,
    MessageType, Notes, OverallPolicy, Parameter, ParameterType, PeIdentifier, Policy, PolicyType,
    PoolElement, Protocol, RawParameter, Reason, ServerIdentifier, Transport, TransportRef,
    TransportUse, UnknownAction, encode_cookie_echo, encode_endpoint_unreachable, encode_error,
    encode_handle_resolution,
};

mod support;
use support::unhex;

const HANDLE: &str = "00090005 78000000";
const IDENTIFIER: &str = "000e0008 00000007";
/// Element 7 at 10.0.0.1, SCTP port 1, round robin.
const ELEMENT: &str =
    "000a0028 00000007 00000000 ffffffff 00040010 00010000 00010008 0a000001 00080008 00000001";

/// A message of this type with these parameters, in hex.
fn message(message_type: u8, flags: u8, value: &str) -> Vec<u8> {
    let value = unhex(&value.replace(' ', ""));
    let length = u16::try_from(value.len() + 4).unwrap().to_be_bytes();
    [&[message_type, flags], &length[..], &value].concat()
}

fn decode(bytes: &[u8]) -> Result<(MessageRef<'_>, Notes<'_>), (DecodeError, Notes<'_>)> {
    let mut notes = Notes::default();
    match MessageRef::decode(bytes, &mut notes) {
        Ok(message) => Ok((message, notes)),
        Err(error) => Err((error, notes)),
    }
}

fn fault(bytes: &[u8]) -> (usize, Option<ParameterType>, Reason) {
    let (error, _) = decode(bytes).unwrap_err();
    (error.offset(), error.parameter(), error.reason())
}

/// [TLV-4]: a flag bit without a meaning changes nothing, and is kept.
#[test]
fn undefined_flags_are_ignored_and_kept() {
    let bytes = message(0x05, 0xff, HANDLE);
    let (view, _) = decode(&bytes).unwrap();
    assert!(matches!(view.body, BodyRef::HandleResolution { subscribe: true, .. }));
    assert_eq!(view.flags, 0xfe);
    assert_eq!(view.to_owned().to_bytes().unwrap(), bytes);
    let bytes = message(0x09, 0xff, &[HANDLE, IDENTIFIER].concat());
    assert_eq!(decode(&bytes).unwrap().0.to_owned().to_bytes().unwrap(), bytes);
}

/// [TLV-5]: of the unknown message types only those with 01 are reported, whole.
#[test]
fn unknown_messages_are_dropped_and_some_reported() {
    for (message_type, reported) in [(0x00, 0), (0x0f, 0), (0x4f, 1), (0x8f, 0), (0xcf, 0)] {
        let bytes = message(message_type, 0, HANDLE);
        let (error, notes) = decode(&bytes).unwrap_err();
        let unknown = MessageType::new(message_type);
        assert_eq!(error.reason(), Reason::UnknownMessage(unknown));
        assert_eq!(notes.report.len(), reported);
        assert!(
            notes.report.iter().all(|cause| {
                cause.info == bytes && cause.unrecognized_message() == Some(unknown)
            })
        );
    }
}

/// [TLV-6], [TLV-7]: the upper bits of an unknown parameter decide, at any depth, over the whole
/// message.
#[test]
fn unknown_parameters_do_as_their_type_says() {
    let at_the_top = |tlv: &str| [HANDLE, tlv, ELEMENT].concat();
    let in_an_element = |tlv: &str| {
        let longer = ELEMENT.replace("000a0028", "000a0030");
        [HANDLE, &longer, tlv].concat()
    };
    let in_a_transport = |tlv: &str| {
        let longer = ELEMENT.replace("000a0028", "000a0030").replace("00040010", "00040018");
        [HANDLE, &longer.replace("0a000001", &format!("0a000001 {tlv}"))].concat()
    };
    for (unknown, action) in [
        ("0011", UnknownAction::Discard),
        ("4011", UnknownAction::DiscardAndReport),
        ("8011", UnknownAction::Skip),
        ("c011", UnknownAction::SkipAndReport),
    ] {
        let tlv = format!("{unknown}0005 ab000000");
        for value in [at_the_top(&tlv), in_an_element(&tlv), in_a_transport(&tlv)] {
            let bytes = message(0x06, 0, &value);
            let (skipped, notes) = match decode(&bytes) {
                Ok((message, notes)) => {
                    assert_eq!(
                        message.to_owned().extra.len(),
                        usize::from(value == at_the_top(&tlv))
                    );
                    assert_eq!(
                        Message::decode(&message.to_owned().to_bytes().unwrap()),
                        Ok(message.to_owned())
                    );
                    (true, notes)
                }
                Err((error, notes)) => {
                    assert_eq!(error.reason(), Reason::UnknownParameter);
                    (false, notes)
                }
            };
            assert_eq!(
                skipped,
                matches!(action, UnknownAction::Skip | UnknownAction::SkipAndReport)
            );
            assert_eq!(notes.skipped, usize::from(skipped));
            let report =
                matches!(action, UnknownAction::DiscardAndReport | UnknownAction::SkipAndReport);
            let cause =
                Cause::new(CauseCode::UNRECOGNIZED_PARAMETER, &unhex(&tlv.replace(' ', ""))[..5])
                    .to_owned();
            let reported: Vec<Cause> = notes.report.iter().map(|cause| cause.to_owned()).collect();
            assert_eq!(reported, vec![cause; usize::from(report)]);
        }
    }
}

/// [TLV-7]: causes that do not fit are left out, and with none nothing is written.
#[test]
fn a_report_holds_what_fits() {
    let big = vec![0; 40_000];
    let cause = |info| Cause::new(CauseCode::UNRECOGNIZED_PARAMETER, info);
    let mut buf = vec![1];
    let report = encode_error(&mut buf, [cause(&big[..]), cause(&big), cause(&big[..9])]);
    assert_eq!((report.included, report.left_out), (2, 1));
    let Body::Error { causes, .. } = Message::decode(&buf[1..]).unwrap().body else { panic!() };
    assert_eq!(causes.iter().map(|cause| cause.info.len()).collect::<Vec<_>>(), [40_000, 9]);

    // The largest that fits: 65,532 bytes in all, 12 of them headers.
    let info = vec![0; 65_521];
    let mut buf = vec![1];
    let report = encode_error(&mut buf, [cause(&info[..])]);
    assert_eq!((report.included, report.left_out, buf.len()), (0, 1, 1));
    let report = encode_error(&mut buf, [cause(&info[..65_520])]);
    assert_eq!((report.included, report.left_out, buf.len()), (1, 0, 65_533));

    let mut empty = Vec::new();
    assert_eq!(encode_error(&mut empty, []).included, 0);
    assert!(empty.is_empty());
}

/// [TLV-8]: nothing in an ASAP_ERROR is reported.
#[test]
fn an_error_is_not_answered() {
    for unknown in ["c0110004", "40110004"] {
        let bytes = message(0x0e, 0, &["000c0008 00090004", unknown].concat());
        let notes = match decode(&bytes) {
            Ok((_, notes)) | Err((_, notes)) => notes,
        };
        assert!(notes.report.is_empty());
    }
}

/// [TLV-9]: faults are named by their place, their parameter and their reason.
#[test]
fn faults_have_a_place_and_a_reason() {
    let (sctp, element) = (ParameterType::SCTP_TRANSPORT, ParameterType::POOL_ELEMENT);
    let broken =
        |from: &str, to: &str| message(0x01, 0, &[HANDLE, &ELEMENT.replace(from, to)].concat());
    // The element's parameters begin at byte 28, the transport's addresses at 36.
    let beyond = |length, available| Reason::LengthBeyondEnd { length, available };
    assert_eq!(
        fault(&broken("00040010", "00040003")),
        (28, Some(sctp), Reason::LengthUnderHeader { length: 3 })
    );
    assert_eq!(fault(&broken("00040010", "00040019")), (28, Some(sctp), beyond(25, 24)));
    let ipv4 = Some(ParameterType::IPV4_ADDRESS);
    assert_eq!(fault(&broken("00010008", "00010009")), (36, ipv4, beyond(9, 8)));
    assert_eq!(
        fault(&broken("00010008", "00010007")),
        (40, ipv4, Reason::Truncated { needed: 4, available: 3 })
    );
    let longer = "00040014 00010000 0001000c 0a000001 00000000";
    assert_eq!(
        fault(&broken("00040010 00010000 00010008 0a000001", longer)),
        (44, ipv4, Reason::LeftOver { count: 4 })
    );
    let policy = Some(ParameterType::POLICY);
    assert_eq!(
        fault(&broken("00080008 00000001", "00080008 00000002")),
        (52, policy, Reason::Truncated { needed: 4, available: 0 })
    );
    assert_eq!(
        fault(&broken("000a0028", "000a000f")),
        (24, Some(element), Reason::Truncated { needed: 4, available: 3 })
    );
    assert_eq!(
        fault(&message(0x02, 0, &[HANDLE, "000e000c 00000007 00000000"].concat())),
        (20, Some(ParameterType::PE_IDENTIFIER), Reason::LeftOver { count: 4 })
    );
    assert_eq!(
        fault(&message(0x02, 0, &[HANDLE, IDENTIFIER, "0000"].concat())),
        (20, None, Reason::LeftOver { count: 2 })
    );
    assert_eq!(
        fault(&message(0x07, 0, "0000")),
        (4, None, Reason::Truncated { needed: 4, available: 2 })
    );
    let cause = message(0x0e, 0, "000c0008 00090005");
    assert_eq!(fault(&cause), (8, Some(ParameterType::OPERATION_ERROR), beyond(5, 4)));
}

/// [TLV-16], [TLV-20]: what must be there is asked for by name.
#[test]
fn what_is_missing_is_named() {
    let missing = |message_type, value: &str| fault(&message(message_type, 0, value)).2;
    use ParameterType as P;
    assert_eq!(missing(0x05, ""), Reason::Missing(P::POOL_HANDLE));
    assert_eq!(missing(0x09, HANDLE), Reason::Missing(P::PE_IDENTIFIER));
    assert_eq!(missing(0x01, HANDLE), Reason::Missing(P::POOL_ELEMENT));
    assert_eq!(missing(0x0b, ""), Reason::Missing(P::COOKIE));
    assert_eq!(missing(0x0e, ""), Reason::Missing(P::OPERATION_ERROR));
    let element = |parameters: &str| {
        let length = 16 + parameters.replace(' ', "").len() / 2;
        format!("{HANDLE} 000a{length:04x} 00000007 00000000 ffffffff {parameters}")
    };
    assert_eq!(missing(0x01, &element("00080008 00000001")), Reason::MissingTransport);
    assert_eq!(missing(0x01, &element("00100004")), Reason::Missing(P::POLICY));
}

/// [TLV-17]: policies that are not known, private ones and the two invalid ones keep their values,
/// whatever their number.
#[test]
fn unknown_policies_are_kept() {
    for policy in ["00000000", "00000006", "40000000", "40000005", "b0001001", "ffffffff"] {
        for values in ["", "01020304", "0102030405060708"] {
            let parameter = format!("0008{:04x} {policy} {values}", 8 + values.len() / 2);
            let length = 0x28 + values.len() / 2;
            let element = ELEMENT.replacen("0028", &format!("{length:04x}"), 1);
            let element = element.replace("00080008 00000001", &parameter);
            let bytes = message(0x01, 0, &[HANDLE, &element].concat());
            let owned = Message::decode(&bytes).unwrap();
            let Body::Registration { element, .. } = &owned.body else { panic!() };
            let Policy::Other { policy: of, values: raw } = &element.policy else {
                panic!("{:?}", element.policy)
            };
            assert_eq!(
                (format!("{:08x}", of.get()), &raw[..]),
                (policy.into(), &unhex(values)[..])
            );
            assert_eq!(owned.to_bytes().unwrap(), bytes);
        }
    }
}

/// [TLV-22]: what marks an ASAP message over SCTP.
#[test]
fn the_payload_protocol_identifier_is_eleven() {
    assert_eq!(ASAP_PPID, 11);
}

/// [RES-7]: a response with neither an element nor an error is no answer; an error without causes
/// is one.
#[test]
fn a_response_must_answer() {
    assert_eq!(fault(&message(0x06, 0, HANDLE)).2, Reason::NoAnswer);
    let bytes = message(0x06, 0, &[HANDLE, "000c0004"].concat());
    let BodyRef::HandleResolutionResponse { causes: Some(mut causes), .. } =
        decode(&bytes).unwrap().0.body
    else {
        panic!()
    };
    assert_eq!(causes.next(), None);
    let silent = Message::handle_resolution_response("x", None, Vec::new());
    assert_eq!(silent.to_bytes(), Err(EncodeError::NoAnswer));
}

/// Decision 10: order does not matter; what is there once too often is ignored and kept, a second
/// pool handle is not.
#[test]
fn known_parameters_in_the_wrong_place_are_ignored() {
    let bytes = message(0x09, 0, &[IDENTIFIER, "000d0004", HANDLE, "000e0003"].concat());
    assert_eq!(fault(&bytes).2, Reason::LengthUnderHeader { length: 3 });
    // Its value is not looked at: an identifier of five bytes.
    let bytes = message(0x09, 0, &[IDENTIFIER, "000d0004", HANDLE, "000e0005 01000000"].concat());
    let (view, notes) = decode(&bytes).unwrap();
    assert!(
        matches!(view.body, BodyRef::EndpointUnreachable { handle: b"x", identifier, .. } if identifier.get() == 7)
    );
    assert_eq!((notes.unexpected, notes.skipped), (2, 0));
    let extra = [
        RawParameter::new(ParameterType::COOKIE, &[][..]),
        RawParameter::new(ParameterType::PE_IDENTIFIER, &[1][..]),
    ];
    assert!(view.extra().eq(extra));

    let twice = message(0x09, 0, &[HANDLE, IDENTIFIER, HANDLE].concat());
    assert_eq!(fault(&twice), (20, Some(ParameterType::POOL_HANDLE), Reason::SecondPoolHandle));
    // An announce has no pool handle at all, so one or two of them are merely out of place.
    let announce = message(0x0a, 0, &["00000001", HANDLE, HANDLE].concat());
    assert_eq!(decode(&announce).unwrap().1.unexpected, 2);
}

/// Decision 10, [TLV-16]: the first transport is the user's, a later SCTP one is ASAP's.
#[test]
fn transports_of_an_element_go_by_order() {
    let tcp = "00050010 00020000 00010008 0a000002";
    let sctp = |port: u8| format!("00040010 00{port:02x}0000 00010008 0a000001");
    let policy = "00080008 00000001";
    let parameters = [policy, &sctp(3), tcp, &sctp(4), &sctp(5)].concat();
    let element = format!("000a0058 00000007 00000000 ffffffff {parameters}");
    let bytes = message(0x01, 0, &[HANDLE, &element].concat());
    let (view, notes) = decode(&bytes).unwrap();
    let BodyRef::Registration { element, .. } = view.body else { panic!() };
    assert_eq!((element.transport.protocol(), element.transport.port()), (Protocol::Sctp, Some(3)));
    assert_eq!(element.asap_transport.unwrap().port(), Some(4));
    assert_eq!(notes.unexpected, 2);
    assert!(
        element
            .extra()
            .map(|raw| raw.parameter)
            .eq([ParameterType::TCP_TRANSPORT, ParameterType::SCTP_TRANSPORT])
    );
}

/// Decision 11, [TLV-13]: no address, or one too many, does not lose the message.
#[test]
fn transports_are_read_with_any_number_of_addresses() {
    let transport = |hex: &str| unhex(&hex.replace(' ', ""));
    for hex in ["00040008 00010001", "00050008 00010000", "0003000c 00010000 0000002a"] {
        let bytes = transport(hex);
        let view = TransportRef::decode(&bytes).unwrap();
        assert_eq!((view.port(), view.addresses().count()), (Some(1), 0));
    }
    let bytes = transport("00060018 00010000 00010008 0a000001 00010008 0a000002");
    let udp = TransportRef::decode(&bytes).unwrap();
    assert!(udp.addresses().eq(["10.0.0.1".parse::<std::net::IpAddr>().unwrap()]));
    assert_eq!(udp.extra().count(), 1);
    let Transport::Udp(owned) = udp.to_owned() else { panic!() };
    assert_eq!(owned.extra.len(), 1);
}

/// [TLV-13], [TLV-14]: the fields of each transport.
#[test]
fn transports_have_their_fields() {
    let bytes = unhex("0003001400500000000000050001000 80a000001".replace(' ', "").as_str());
    let dccp = TransportRef::decode(&bytes).unwrap();
    assert_eq!(
        (dccp.protocol(), dccp.service_code(), dccp.opaque()),
        (Protocol::Dccp, Some(5), None)
    );
    let bytes = unhex("00100007616263");
    let opaque = TransportRef::decode(&bytes).unwrap();
    assert_eq!(
        (opaque.opaque(), opaque.port(), opaque.addresses().count()),
        (Some(&b"abc"[..]), None, 0)
    );
    let bytes = unhex("0004000800010007");
    let sctp = TransportRef::decode(&bytes).unwrap();
    assert_eq!(sctp.transport_use(), TransportUse::new(7));
    assert!(!sctp.transport_use().carries_control());
    let bytes = unhex("0005000800010001");
    assert_eq!(TransportRef::decode(&bytes).unwrap().transport_use(), TransportUse::DATA_ONLY);
    assert_eq!(
        TransportRef::decode(&unhex("00090004")).unwrap_err().reason(),
        Reason::MissingTransport
    );
}

/// [TLV-17]: the overall policy is read for its type alone, an element's in full.
#[test]
fn the_overall_policy_may_be_of_any_length() {
    for values in ["", "00", "000000050000000600000007"] {
        let length = 8 + values.len() / 2;
        let policy =
            format!("0008{length:04x} 00000002 {values:0<0$}", values.len().next_multiple_of(8));
        let bytes = message(0x06, 0, &[HANDLE, &policy, ELEMENT].concat());
        let BodyRef::HandleResolutionResponse { policy: Some(policy), .. } =
            decode(&bytes).unwrap().0.body
        else {
            panic!()
        };
        assert_eq!(
            (policy.policy, policy.values.len()),
            (PolicyType::WEIGHTED_ROUND_ROBIN, values.len() / 2)
        );
    }
    assert!(Parameter::decode(&unhex("0008000800000002")).is_err());
    assert!(Parameter::decode(&unhex("0008000c0000000100000000")).is_err());
    let private = Parameter::decode(&unhex("00080009b000100107000000")).unwrap();
    let values = vec![7].into();
    assert_eq!(
        private,
        Parameter::Policy(Policy::Other { policy: PolicyType::new(0xb000_1001), values })
    );
}

/// [TLV-19]: sizes are held to, and parameters may be decoded with their padding or without.
#[test]
fn parameters_of_fixed_size_have_that_size() {
    for hex in ["000f0006abcd", "000f0006abcd0000", "000f0006abcdff"] {
        assert_eq!(Parameter::decode(&unhex(hex)), Ok(Parameter::PeChecksum(0xabcd)));
    }
    for hex in [
        "000f0008abcd0000",
        "000f0005ab",
        "000e0007000000",
        "0001000c0a00000100000000",
        "0002000800000000",
        "803f0004",
        "00",
        "",
    ] {
        assert!(Parameter::decode(&unhex(hex)).is_err(), "{hex}");
    }
}

/// [TLV-10], [TLV-11]: what would be read back as something else is not written.
#[test]
fn what_would_be_misread_is_refused() {
    let element = || {
        let transport = Transport::sctp(1, TransportUse::DATA_ONLY, [[10, 0, 0, 1].into()]);
        PoolElement::new(PeIdentifier::new(1), transport, Policy::RoundRobin)
    };
    let misread = |message: &Message, parameter| {
        let mut buf = vec![7];
        assert_eq!(message.encode(&mut buf), Err(EncodeError::Misread { parameter }));
        assert_eq!(buf, [7]);
    };
    let raw = |parameter| RawParameter::new(parameter, vec![].into());

    let mut message = Message::handle_resolution(true, "x", None);
    message.flags = 0x01;
    misread(&message, None);
    // A second handle, one that must not be skipped, a value that does not fit where it would count.
    for extra in
        [ParameterType::POOL_HANDLE, ParameterType::new(0x11), ParameterType::ELEMENTS_WANTED]
    {
        let mut message = Message::handle_resolution(true, "x", None);
        message.extra = vec![raw(extra)];
        misread(&message, Some(extra));
    }
    // A slot that is free.
    let mut message = Message::handle_resolution(true, "x", None);
    message.extra = vec![RawParameter::new(ParameterType::ELEMENTS_WANTED, vec![0; 4].into())];
    misread(&message, None);
    let mut second_transport = element();
    second_transport.extra = vec![raw(ParameterType::SCTP_TRANSPORT)];
    misread(&Message::registration("x", second_transport), Some(ParameterType::POOL_ELEMENT));
    let mut hidden = element();
    hidden.policy = Policy::Other { policy: PolicyType::ROUND_ROBIN, values: vec![].into() };
    misread(&Message::registration("x", hidden), Some(ParameterType::POLICY));
    let udp = Transport::udp("10.0.0.1:1".parse().unwrap());
    let mut announce = Message::server_announce(ServerIdentifier::new(1), vec![udp]);
    misread(&announce, None);
    // One parameter is out of place, as announced, but it is not the one.
    let tcp = unhex("00010000");
    announce.extra = vec![RawParameter::new(ParameterType::TCP_TRANSPORT, tcp.into())];
    misread(&announce, None);
    let mut buf = Vec::new();
    let known = Parameter::Unknown(raw(ParameterType::COOKIE));
    assert_eq!(
        known.encode(&mut buf),
        Err(EncodeError::Misread { parameter: Some(ParameterType::COOKIE) })
    );
}

/// [TLV-20]: the functions for a reused buffer write what the values write.
#[test]
fn there_is_one_way_to_write_a_message() {
    let mut buf = vec![9];
    encode_handle_resolution(&mut buf, b"pool", true, Some(3)).unwrap();
    encode_endpoint_unreachable(&mut buf, b"pool!", PeIdentifier::new(4)).unwrap();
    encode_cookie_echo(&mut buf, b"state").unwrap();
    let mut expected = vec![9];
    Message::handle_resolution(true, "pool", Some(3)).encode(&mut expected).unwrap();
    Message::endpoint_unreachable("pool!", PeIdentifier::new(4)).encode(&mut expected).unwrap();
    Message::cookie_echo(&b"state"[..]).encode(&mut expected).unwrap();
    assert_eq!(buf, expected);
    assert!(encode_cookie_echo(&mut buf, &vec![0; 65_530]).is_err());
    assert_eq!(buf, expected);
}

/// [TLV-18]: causes keep unknown codes, and tell which type was not recognised.
#[test]
fn causes_are_kept_whatever_their_code() {
    let causes =
        ["10000006 00ff0000", "0001000c 803f0008 00000080", "00020008 05000004", "f0000004"];
    let bytes = message(0x0e, 0, &["000c0024", &causes.concat()].concat());
    let BodyRef::Error { causes, .. } = decode(&bytes).unwrap().0.body else { panic!() };
    let causes: Vec<_> = causes.collect();
    assert_eq!(causes[0], Cause::new(CauseCode::new(0x1000), &[0x00, 0xff][..]));
    assert_eq!(causes[1].unrecognized_parameter(), Some(ParameterType::ELEMENTS_WANTED));
    assert_eq!(causes[2].unrecognized_message(), Some(MessageType::HANDLE_RESOLUTION));
    assert_eq!((causes[2].unrecognized_parameter(), causes[3].code.get()), (None, 0xf000));
    assert_eq!(Message::decode(&bytes).unwrap().to_bytes().unwrap(), bytes);
}

/// [RES-8]: an overall policy can be given by its type alone.
#[test]
fn an_overall_policy_needs_no_values() {
    let policy = OverallPolicy::from(PolicyType::PRIORITY);
    assert_eq!((policy.policy, policy.values.len()), (PolicyType::PRIORITY, 0));
}

/// [TLV-23] [TLV-11]: an element that is listed, or on a card, may come without a policy or with one
/// whose values do not fit; it is kept as it came. One that registers may not.
#[test]
fn a_listed_element_needs_no_policy() {
    let policy = "00080008 00000001";
    assert!(ELEMENT.ends_with(policy) && ELEMENT.starts_with("000a0028"));
    for (odd, length) in [
        ("", 0),
        ("00080004", 4),
        ("00080007 00000200", 7),
        ("00080008 00000002", 8),
        ("0008000c 00000001 00000000", 12),
        ("0008000b 00000002 00000700", 11),
        ("00080010 00000002 00000007 00000000", 16),
        ("0008000c 40000002 00000007", 12),
    ] {
        let element = ELEMENT.replace(policy, odd);
        let element = element.replace("000a0028", &format!("000a{:04x}", 0x20 + length));
        for (message_type, is_taken) in [(0x06, true), (0x0d, true), (0x01, false)] {
            let bytes = message(message_type, 0, &[HANDLE, &element].concat());
            let decoded = Message::decode(&bytes);
            assert_eq!(decoded.is_ok(), is_taken, "{odd} in {message_type}");
            if let Ok(message) = decoded {
                assert_eq!(message.to_bytes().unwrap(), bytes, "{odd}");
                let (Body::HandleResolutionResponse { elements, .. }
                | Body::BusinessCard { elements, .. }) = message.body
                else {
                    panic!()
                };
                let registering = Message::registration("x", elements[0].clone());
                let parameter = Some(ParameterType::POLICY);
                assert_eq!(registering.to_bytes(), Err(EncodeError::Misread { parameter }));
            }
        }
    }
}

/// [TLV-11] [TLV-23]: values that fit their policy after all cannot be written as ones that do not.
#[test]
fn values_that_fit_are_not_written_as_others() {
    let with = |policy| {
        let transport = Transport::tcp("10.0.0.1:7".parse().unwrap());
        let element = PoolElement::new(PeIdentifier::new(1), transport, policy);
        Message::handle_resolution_response("x", None, vec![element]).to_bytes()
    };
    let other = |policy, len: usize| Policy::Other { policy, values: vec![0; len].into() };
    for (policy, fits) in [
        (PolicyType::ROUND_ROBIN, 0),
        (PolicyType::WEIGHTED_ROUND_ROBIN, 4),
        (PolicyType::RANDOM, 0),
        (PolicyType::WEIGHTED_RANDOM, 4),
        (PolicyType::PRIORITY, 4),
        (PolicyType::LEAST_USED, 4),
        (PolicyType::LEAST_USED_DEGRADATION, 8),
        (PolicyType::PRIORITY_LEAST_USED, 8),
        (PolicyType::RANDOMIZED_LEAST_USED, 4),
    ] {
        for len in 0..10 {
            assert_eq!(with(other(policy, len)).is_err(), len == fits, "{policy} {len}");
        }
    }
    assert!(with(Policy::Truncated { value: vec![0; 4].into() }).is_err());
    assert!(with(Policy::Truncated { value: vec![0; 3].into() }).is_ok());
}
