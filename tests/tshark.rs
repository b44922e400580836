//! Wireshark as a second opinion: it dissects one message of every type and one parameter of every
//! type, and reads back what was put in.
#![allow(clippy::std_instead_of_core, reason = "tests have `std`")]

mod dissect;

use std::time::Duration;

use asap_pu::capture::Capture;
use asap_pu::wire::{
    ASAP_PORT, Cause, CauseCode, IpTransport, Message, MessageType, OverallPolicy, Parameter,
    PeIdentifier, Policy, PolicyType, PoolElement, ServerIdentifier, ServerInformation, Transport,
    TransportUse,
};

/// A message, the types of its parameters at all depths, and some fields with their values.
struct Case {
    bytes: Vec<u8>,
    types: &'static str,
    fields: &'static [(&'static str, &'static str)],
}

/// [TLV-20], [TLV-22], [TLV-12] to [TLV-19]: another implementation agrees on every type.
#[test]
fn wireshark_reads_what_was_written() {
    let cases: Vec<Case> = messages().into_iter().chain(parameters()).collect();
    let mut written = Capture::new();
    let [from, to] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(|ip| (ip, ASAP_PORT).into());
    for (second, case) in (1..).zip(&cases) {
        written.control(Duration::from_secs(second), from, to, &case.bytes);
    }

    let mut names = vec!["_ws.expert.message"];
    names.extend(["asap.message_type", "asap.message_length", "asap.parameter_type"]);
    let of_cases = cases.iter().flat_map(|case| case.fields).map(|(name, _)| *name);
    names.extend(of_cases);
    names.sort_unstable();
    names.dedup();
    for (number, case) in cases.iter().enumerate() {
        println!("packet {}: {:02x?}", number + 1, case.bytes);
    }
    let Some(lines) = dissect::lines("wire", &written.take(), &names) else { return };
    assert_eq!(lines.len(), cases.len());
    for (case, line) in cases.iter().zip(lines) {
        let value = |name| line[names.iter().position(|it| *it == name).unwrap()].as_str();
        assert_eq!(value("_ws.expert.message"), "");
        assert_eq!(value("asap.message_type"), case.bytes[0].to_string());
        assert_eq!(value("asap.message_length"), case.bytes.len().to_string());
        assert_eq!(value("asap.parameter_type").replace("0x00", ""), case.types);
        for (name, expected) in case.fields {
            assert_eq!(value(name), *expected, "{name}");
        }
    }
}

/// What was exchanged over any transport is read as SCTP: pieces of a stream, messages that take several packets,
/// IPv6 and both families at once, data beside messages, and what is no message at all.
#[test]
fn wireshark_reads_what_was_captured() {
    let [user, registrar] = [1, 2].map(|host| ([10, 0, 0, host], ASAP_PORT).into());
    let [user_v6, registrar_v6] =
        ["[fd00::1]:3863", "[fd00::2]:3863"].map(|at| at.parse().unwrap());
    let request = Message::handle_resolution(false, "echo!", None).to_bytes().unwrap();
    let long = Message::cookie(vec![7; 65_000]).to_bytes().unwrap();
    let mut capture = Capture::new();
    let at = Duration::from_millis;
    for (n, piece) in (0..).zip(request.repeat(2).chunks(13)) {
        capture.stream(at(n), user, registrar, piece);
    }
    capture.control(at(1_500), registrar, user, &long);
    capture.control(at(2_000), user_v6, registrar_v6, &request);
    capture.control(at(2_500), user, registrar_v6, &request);
    let [from, to] = [40_000, 7].map(|port| ([10, 0, 0, 3], port).into());
    capture.data(at(3_000), from, to, &request);
    capture.data(at(3_000), from, to, b"");
    // A stream that ends in mid-message is followed by another one.
    capture.stream(at(4_000), user, registrar, &request[..9]);
    capture.end(registrar, user);
    capture.stream(at(5_000), user, registrar, &request);
    let names = ["frame.time_epoch", "sctp.data_payload_proto_id", "asap.message_type"];
    let Some(lines) = dissect::lines("captured", &capture.take(), &names) else { return };
    let lines: Vec<_> = lines.iter().map(|line| line.join(" ")).collect();
    let expected = [
        "0.001000000 11 5",
        "0.002000000 11 5",
        "1.500000000 11 ",
        "1.500000000 11 11",
        "2.000000000 11 5",
        "2.500000000 11 5",
        "3.000000000 0 ",
        "3.000000000 0 ",
        "5.000000000 11 5",
    ];
    assert_eq!(lines, expected);
}

fn messages() -> Vec<Case> {
    let identifier = PeIdentifier::new(7);
    let server = ServerIdentifier::new(0x1234);
    let causes = || vec![Cause::from(CauseCode::LACK_OF_RESOURCES)];
    let case = |message: Message, types, fields| {
        let bytes = message.to_bytes().unwrap().to_vec();
        Case { bytes, types, fields }
    };
    vec![
        case(
            Message::registration("echo!", element()),
            "09,0a,04,01,02,08,04,01",
            &[
                ("asap.pool_handle_pool_handle", "6563686f21"),
                ("asap.pool_element_pe_identifier", "0x00000007"),
                ("asap.pool_element_home_enrp_server_identifier", "0x00001234"),
                ("asap.pool_element_registration_life", "-1"),
                ("asap.sctp_transport_port", "4242,4243"),
                ("asap.transport_use", "1,0"),
                ("asap.ipv4_address", "10.0.0.1,10.0.0.2"),
                ("asap.ipv6_address", "fd00::1"),
                ("asap.pool_member_selection_policy_type", "0x00000002"),
                ("asap.pool_member_selection_policy_weight", "5"),
            ],
        ),
        case(
            Message::deregistration("echo!", identifier),
            "09,0e",
            &[("asap.pe_identifier", "0x00000007")],
        ),
        case(
            Message::registration_response(true, "echo!", identifier, Some(causes())),
            "09,0e,0c",
            &[("asap.r_bit", "1"), ("asap.cause_code", "0x0006")],
        ),
        case(Message::deregistration_response("echo!", identifier, None), "09,0e", &[]),
        case(
            Message::handle_resolution(true, "echo!", Some(128)),
            "09,0x803f",
            &[("asap.message_flags", "0x01"), ("asap.hropt_items", "128")],
        ),
        case(
            Message::handle_resolution_response(
                "echo!",
                // Wireshark asks for the values here too.
                Some(OverallPolicy::new(PolicyType::PRIORITY, vec![0, 0, 0, 9].into())),
                vec![element()],
            ),
            "09,08,0a,04,01,02,08,04,01",
            &[],
        ),
        case(Message::handle_resolution_failure("echo!", causes()), "09,0c", &[]),
        case(
            Message::endpoint_keep_alive(true, server, "echo!"),
            "09",
            &[("asap.h_bit", "1"), ("asap.server_identifier", "0x00001234")],
        ),
        case(Message::endpoint_keep_alive_ack("echo!", identifier), "09,0e", &[]),
        case(Message::endpoint_unreachable("echo!", identifier), "09,0e", &[]),
        case(
            Message::server_announce(
                server,
                vec![Transport::Sctp(sctp()), Transport::tcp("10.0.0.3:80".parse().unwrap())],
            ),
            "04,01,05,01",
            &[("asap.tcp_transport_port", "80"), ("asap.server_identifier", "0x00001234")],
        ),
        case(Message::cookie("state"), "0d", &[("asap.cookie", "7374617465")]),
        case(Message::cookie_echo("state"), "0d", &[("asap.cookie", "7374617465")]),
        case(
            Message::business_card("echo!", vec![element(), element()]),
            "09,0a,04,01,02,08,04,01,0a,04,01,02,08,04,01",
            &[],
        ),
        case(Message::error(causes()), "0c", &[("asap.cause_length", "4")]),
    ]
}

/// Each parameter alone in an announce, where all but SCTP and TCP transports are out of place.
fn parameters() -> Vec<Case> {
    let case = |parameter: Parameter, types, fields| {
        let mut bytes = vec![MessageType::SERVER_ANNOUNCE.get(), 0, 0, 0, 0, 0, 0, 1];
        parameter.encode(&mut bytes).unwrap();
        let length = u16::try_from(bytes.len()).unwrap();
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        Case { bytes, types, fields }
    };
    let at = "10.0.0.3:80".parse().unwrap();
    let transport = Parameter::Transport;
    let policy = Parameter::Policy;
    let load = 0xffff_ffff;
    const FULL: (&str, &str) = ("asap.pool_member_selection_policy_load", "100");
    vec![
        case(
            Parameter::Ipv4Address([10, 0, 0, 1].into()),
            "01",
            &[("asap.ipv4_address", "10.0.0.1")],
        ),
        case(
            Parameter::Ipv6Address("fd00::1".parse().unwrap()),
            "02",
            &[("asap.ipv6_address", "fd00::1")],
        ),
        case(
            transport(Transport::dccp(at, 42)),
            "03,01",
            &[("asap.dccp_transport_port", "80"), ("asap.dccp_transport_service_code", "42")],
        ),
        case(transport(Transport::Sctp(sctp())), "04,01", &[("asap.sctp_transport_port", "4243")]),
        case(transport(Transport::tcp(at)), "05,01", &[("asap.tcp_transport_port", "80")]),
        case(transport(Transport::udp(at)), "06,01", &[("asap.udp_transport_port", "80")]),
        case(
            transport(Transport::udp_lite(at)),
            "07,01",
            &[("asap.udp_lite_transport_port", "80")],
        ),
        case(policy(Policy::RoundRobin), "08", &[]),
        case(policy(Policy::Random), "08", &[]),
        case(
            policy(Policy::WeightedRandom { weight: 9 }),
            "08",
            &[("asap.pool_member_selection_policy_weight", "9")],
        ),
        case(
            policy(Policy::Priority { priority: 9 }),
            "08",
            &[("asap.pool_member_selection_policy_priority", "9")],
        ),
        case(policy(Policy::LeastUsed { load }), "08", &[FULL]),
        case(
            policy(Policy::LeastUsedDegradation { load, degradation: load }),
            "08",
            &[FULL, ("asap.pool_member_selection_policy_degradation", "100")],
        ),
        case(
            policy(Policy::PriorityLeastUsed { load, degradation: load }),
            "08",
            &[FULL, ("asap.pool_member_selection_policy_degradation", "100")],
        ),
        case(policy(Policy::RandomizedLeastUsed { load }), "08", &[FULL]),
        case(Parameter::PoolHandle("echo!".into()), "09", &[]),
        case(Parameter::PoolElement(element()), "0a,04,01,02,08,04,01", &[]),
        case(
            Parameter::ServerInformation(ServerInformation::new(ServerIdentifier::new(2), sctp())),
            "0b,04,01",
            &[("asap.server_identifier", "0x00000001,0x00000002")],
        ),
        case(
            Parameter::OperationError(vec![Cause::from(CauseCode::SECURITY)]),
            "0c",
            &[("asap.cause_code", "0x000a")],
        ),
        case(Parameter::Cookie("state".into()), "0d", &[]),
        case(Parameter::PeIdentifier(PeIdentifier::new(7)), "0e", &[]),
        case(Parameter::PeChecksum(0xabcd), "0f", &[("asap.pe_checksum", "0xabcd")]),
        case(transport(Transport::opaque("opaque")), "10", &[]),
        case(Parameter::ElementsWanted(3), "0x803f", &[]),
    ]
}

fn element() -> PoolElement {
    let addresses = ["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
    let transport = Transport::sctp(4242, TransportUse::DATA_PLUS_CONTROL, addresses);
    let policy = Policy::WeightedRoundRobin { weight: 5 };
    let mut element = PoolElement::new(PeIdentifier::new(7), transport, policy);
    element.home = ServerIdentifier::new(0x1234);
    element.asap_transport = Some(sctp());
    element
}

fn sctp() -> IpTransport {
    IpTransport::new(4243, TransportUse::DATA_ONLY, ["10.0.0.2".parse().unwrap()])
}
