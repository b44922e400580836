//! `asap-decode`: what it makes of text, of captures, and of input that is none.

use std::ffi::OsString;
use std::io::{self, Cursor, Read};
use std::ops::Range;
use std::process::Command;
use std::slice;

use asap_pu::wire::{
    ASAP_PPID, Message, MessageType, PeIdentifier, Policy, PoolElement, Transport,
};
use asap_tools::decode;
use etherparse::{EtherType, IpNumber, PacketBuilder, PacketBuilderStep, VlanId};
use proptest::prelude::*;

const ETHERNET: u16 = 1;
const RAW: u16 = 101;
const LINUX_SLL: u16 = 113;
const LINUX_SLL2: u16 = 276;
const LOOPBACK: u16 = 0;

const FIRST: u8 = 2;
const LAST: u8 = 1;

/// What the program leaves behind.
#[derive(Debug, PartialEq)]
struct Outcome {
    status: u8,
    out: String,
    err: String,
}

fn run(arguments: &[&str], input: &[u8]) -> Outcome {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = ["asap-decode"].iter().chain(arguments).map(OsString::from);
    let status = decode::run(arguments, Cursor::new(input.to_vec()), &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { status, out: text(out), err: text(err) }
}

fn lines(arguments: &[&str], input: &[u8]) -> Vec<String> {
    run(arguments, input).out.lines().map(str::to_owned).collect()
}

/// [TLV-20]: every message that a real registrar, elements and users exchanged is found
/// in the capture, in order, and means there what its bytes mean alone.
#[test]
fn a_capture_of_real_peers_is_read_in_full() {
    let capture = include_bytes!("../../tests/vectors/policies.pcap");
    let outcome = run(&[], capture);
    assert_eq!(
        (outcome.status, &*outcome.err),
        (0, "packets: 412, messages: 411, malformed: 0; left out: IGMP: 1\n")
    );
    let mut found = outcome.out.lines();
    let mut expected = 0;
    for line in lines(&[], include_bytes!("../../tests/vectors/messages.hex")) {
        let Some(label) = line.strip_prefix("policies.pcap#") else { continue };
        let (label, message) = label.split_once("  ").unwrap();
        // Number, time, type, source->destination/protocol, handle.
        let mut fields = label.split(':');
        let time = fields.nth(1).unwrap();
        let (ends, _) = label.split_once('/').unwrap();
        let (from, to) = ends.split_once("->").unwrap();
        let from = &from[from.rmatch_indices(':').nth(1).unwrap().0 + 1..];
        let line = format!("{time:>10}  {from:>16} > {to:<16}  {message}");
        assert!(found.any(|found| found == line), "{line}");
        expected += 1;
    }
    assert_eq!(expected, 405);
}

/// Wireshark finds the same messages in the same packets.
#[test]
fn wireshark_finds_the_same_messages() {
    let mut tshark = Command::new("tshark");
    tshark.args(["-r", concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/policies.pcap")]);
    tshark.args(["-Y", "asap", "-T", "fields", "-e", "frame.time_relative"]);
    let Ok(output) = tshark.args(["-e", "asap.message_type"]).output() else {
        println!("skipped: tshark not installed");
        return;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = text.lines().flat_map(|line| {
        let (time, types) = line.split_once('\t').unwrap();
        let seconds = time.parse::<f64>().unwrap();
        types.split(',').map(move |kind| {
            let kind = MessageType::new(kind.parse().unwrap());
            (format!("{seconds:.6}"), kind.name().unwrap()["ASAP_".len()..].to_owned())
        })
    });
    let found =
        lines(&[], include_bytes!("../../tests/vectors/policies.pcap")).into_iter().map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            (words[0].to_owned(), words[4].to_owned())
        });
    assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

/// However people have their bytes, they mean the same.
#[test]
fn hex_is_read_in_all_its_forms() {
    let request = "HANDLE_RESOLUTION          \"echo\"";
    for (text, labels) in [
        ("05 00 00 0c 00 09 00 08 65 63 68 6f", vec!["line 1"]),
        ("0500000C000900086563686F # a comment\r\n", vec!["line 1"]),
        ("# a comment\n\n  0500 000c 0009 0008 6563 686f", vec!["line 3"]),
        ("05:00:00:0c:00:09:00:08:65:63:68:6f", vec!["line 1"]),
        ("0x05000000c 0x00090008 0x6563686f", vec![]),
        ("0x0500000c 0x00090008 0x6563686f", vec!["line 1"]),
        ("a#1:2:rr\t0500000c000900086563686f", vec!["a#1:2:rr"]),
        ("0500000c000900086563686f 0500000c000900086563686f", vec!["line 1", "line 1+0xc"]),
        ("\u{feff}05 00 00 0c 00 09 00 08 65 63 68 6f", vec!["line 1"]),
        ("\t05 00 00 0c 00 09 00 08 65 63 68 6f", vec!["line 1"]),
        ("\t0x0000:  0500 000c 0009 0008 6563 686f", vec!["line 1"]),
        ("0x05, 0x00, 0x00, 0x0c, 0x00,0x09,0x00,0x08, 0x65, 0x63, 0x68, 0x6f,", vec!["line 1"]),
        ("000000 05 00 00 0c 00 09 00 08\n000008 65 63 68 6f\n00000c", vec!["line 1"]),
        (
            "0500000c000900086563686f0500000c000900086563686f0500000c0009\n00086563686f",
            vec!["line 1", "line 1+0xc", "line 1+0x18"],
        ),
        ("00000000: 0500 000c 0009 0008 6563 686f            ........echo", vec!["line 1"]),
        ("00000000  05 00 00 0c 00 09 00 08  65 63 68 6f     |....|", vec!["line 1"]),
        ("00000000  05 00 00 0c 00 09 00 08  65 63 68 6f    |....|\n0000000c\n", vec!["line 1"]),
        (
            "0000  05 00 00 0c 00 09 00 08   ........\n0008  65 63 68 6f   echo\n\n\
             0000  05 00 00 0c 00 09 00 08   ........\n0008  65 63 68 6f   echo\n",
            vec!["line 1", "line 4"],
        ),
    ] {
        let expected: Vec<_> = labels.iter().map(|label| format!("{label}  {request}")).collect();
        assert_eq!(lines(&[], text.as_bytes()), expected, "{text}");
    }
}

/// The text beside a dump is no part of it, however much it looks like hex.
#[test]
fn text_beside_a_dump_is_text() {
    let dump = "00000000: 0b00 0010 000d 000c  ........\n00000008: 6465 6164 6265 6566  deadbeef";
    let expected = ["line 1  COOKIE                     8 bytes: \"deadbeef\""];
    assert_eq!(lines(&[], dump.as_bytes()), expected);
}

/// [TLV-9]: the place where a message is broken is shown, and the next one is read.
#[test]
fn a_malformed_message_shows_where() {
    let text = "\
05 00 00 0c 00 09 00 08 65 63 68 6f
01000034000900067272000000 0a0028000001030000000000 00ea60 0004003c1b580001000100080a00000d0008000800000001
4f000004
09 00 00 0c 00 09 00 08 65 63 68 6f
05 00 00 0c 00 09 00 08 65 63 68 6f";
    let expected = r#"line 1  HANDLE_RESOLUTION          "echo"
line 2  malformed REGISTRATION, at byte 28, in SCTP transport (0x4): length 60 goes beyond the 24 bytes at hand
    0000  01 00 00 34 00 09 00 06  72 72 00 00 00 0a 00 28
    0010  00 00 01 03 00 00 00 00  00 00 ea 60 00 04 00 3c
                                                     ^^ ^^
line 3  malformed message, at byte 0, in the message: the message type 0x4f is not known
    0000  4f 00 00 04
          ^^
line 4  malformed ENDPOINT_UNREACHABLE, at byte 4, in the message: PE identifier (0xe) is missing
line 5  HANDLE_RESOLUTION          "echo"
"#;
    let outcome = run(&[], text.as_bytes());
    assert_eq!(outcome, Outcome { status: 1, out: expected.to_owned(), err: String::new() });
}

/// Every parameter at every depth, with its offset and length; those of a malformed message up to
/// the place where it is broken.
#[test]
fn the_tree_shows_all_parameters() {
    let element = "000a0028 00000103 00000000 ffffffff 000400101b580001 000100080a00000d";
    let text = format!(
        "01000038 0009000672720000 {element} 0008000800000001 c0110004\n\
         0e00001c 000c0018 00010008c0110004 0005000c 0102030405060708\n\
         01000034 0009000672720000 {element} 0008000c00000002"
    );
    let expected = r#"line 1  REGISTRATION               "rr" 0x00000103 at SCTP 10.0.0.13:7000, data plus control; Round Robin + 0xc011
        0    56  ASAP_REGISTRATION (0x1)
        4     6    pool handle (0x9): "rr"
       12    40    pool element (0xa): 0x00000103, home 0x00000000, life -1
       28    16      SCTP transport (0x4): port 7000, data plus control (0x1)
       36     8        IPv4 address (0x1): 10.0.0.13
       44     8      pool member selection policy (0x8): Round Robin
       52     4    0xc011: empty
line 2  ERROR                      Unrecognized Parameter (0x1): 0xc011, Inconsistent Pooling Policy (0x5)
        0    28  ASAP_ERROR (0xe)
        4    24    operation error (0xc)
        8     8      Unrecognized Parameter (0x1): 0xc011: c0 11 00 04
       16    12      Inconsistent Pooling Policy (0x5): 01 02 03 04 05 06 07 08
line 3  malformed REGISTRATION, at byte 44, in pool member selection policy (0x8): length 12 goes beyond the 8 bytes at hand
        0    52  ASAP_REGISTRATION (0x1)
        4     6    pool handle (0x9): "rr"
       12    40    pool element (0xa): 0x00000103, home 0x00000000, life -1
       28    16      SCTP transport (0x4): port 7000, data plus control (0x1)
       36     8        IPv4 address (0x1): 10.0.0.13
    0010  00 00 01 03 00 00 00 00  ff ff ff ff 00 04 00 10
    0020  1b 58 00 01 00 01 00 08  0a 00 00 0d 00 08 00 0c
                                                     ^^ ^^
"#;
    assert_eq!(run(&["--tree"], text.as_bytes()).out, expected);
}

/// Every kind of link, IPv4 and IPv6, with a VLAN tag and without.
#[test]
fn every_link_is_taken_off() {
    let payload = sctp(7, &[data(1, FIRST | LAST, ASAP_PPID, &cookie("x"))]);
    let build = |step: PacketBuilderStep<etherparse::IpHeaders>| {
        let mut packet = Vec::new();
        step.write(&mut packet, IpNumber::SCTP, &payload).unwrap();
        packet
    };
    let v4 = || PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
    let v6 = || PacketBuilder::ipv6([0xfd; 16], [0xfe; 16], 64);
    let ethernet = || PacketBuilder::ethernet2([1; 6], [2; 6]);
    let cooked = |header: &[u8]| [header, &build(v4())].concat();
    let [e0, e1] = EtherType::IPV4.0.to_be_bytes();
    let sll =
        [[0, 0, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0], [e0, e1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]];
    let sll2 = [[e0, e1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0]];
    for (link, packet) in [
        (ETHERNET, build(ethernet().ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64))),
        (ETHERNET, build(ethernet().ipv6([0xfd; 16], [0xfe; 16], 64))),
        (
            ETHERNET,
            build(ethernet().single_vlan(VlanId::try_new(7).unwrap()).ipv4(
                [10, 0, 0, 1],
                [10, 0, 0, 2],
                64,
            )),
        ),
        (RAW, build(v4())),
        (RAW, build(v6())),
        (LOOPBACK, cooked(&[2, 0, 0, 0])),
        (LINUX_SLL, cooked(&sll.concat()[..16])),
        (LINUX_SLL2, cooked(&sll2.concat())),
    ] {
        let outcome = run(&[], &pcap(link, &[packet]));
        let (ends, message) = outcome.out.split_at(outcome.out.find("COOKIE").unwrap());
        assert!(ends.contains(":3863 > "), "{link}: {ends}");
        assert_eq!(message, "COOKIE                     1 bytes: \"x\"\n", "{link}");
    }
}

/// Pieces are put together in whatever order they come, copies are seen once, and what is
/// not marked as ASAP is passed over.
#[test]
fn pieces_of_sctp_messages_are_put_together() {
    let long = cookie("abcdefghijklmnop");
    let pieces = [
        data(u32::MAX, FIRST, ASAP_PPID, &long[..8]),
        data(0, 0, ASAP_PPID, &long[8..16]),
        data(1, LAST, ASAP_PPID, &long[16..]),
    ];
    let other = data(2, FIRST | LAST, 0, &cookie("data"));
    let whole = data(3, FIRST | LAST, ASAP_PPID, &cookie("whole"));
    let lone = data(9, FIRST, ASAP_PPID, &long[..8]);
    let [first, middle, last] = &pieces;
    // The same numbers the other way round are another message.
    let packets = [
        sctp(1, slice::from_ref(last)),
        sctp(2, slice::from_ref(first)),
        sctp(1, &[other, whole.clone(), first.clone()]),
        sctp(1, &[whole, first.clone()]),
        sctp(2, &[middle.clone(), last.clone()]),
        sctp(1, &[middle.clone(), lone]),
        sctp(1, &pieces),
    ];
    let packets: Vec<_> = packets.iter().map(|payload| ip(IpNumber::SCTP, payload)).collect();
    let outcome = run(&[], &pcap(RAW, &packets));
    let cookies = ["\"whole\"", "\"abcdefghijklmnop\"", "\"abcdefghijklmnop\""];
    assert!(outcome.out.lines().map(last_word).eq(cookies), "{outcome:?}");
    let expected = "packets: 7, messages: 3, malformed: 0; left out: pieces of SCTP messages without the others: 1, SCTP data other than ASAP: 1\n";
    assert_eq!(outcome.err, expected);
}

/// I-DATA chunks (RFC 8260): messages in several streams at once, their pieces in any order.
#[test]
fn interleaved_messages_are_put_together() {
    let (one, two) = (cookie("the first one"), cookie("the second one"));
    let chunk = |tsn: u32, flags, stream: u16, last: u32, data: &[u8]| {
        let length = u16::try_from(20 + data.len()).unwrap().to_be_bytes();
        let stream = u32::from(stream) << 16;
        let words = [tsn, stream, 0, last].map(u32::to_be_bytes).concat();
        let mut chunk = [&[0x40, flags][..], &length, &words, data].concat();
        chunk.resize(chunk.len().next_multiple_of(4), 0);
        chunk
    };
    let chunks = [
        chunk(1, FIRST, 0, ASAP_PPID, &one[..8]),
        chunk(2, FIRST, 1, ASAP_PPID, &two[..8]),
        chunk(3, FIRST, 2, 0, b"data"),
        chunk(4, LAST, 1, 1, &two[8..]),
        chunk(5, LAST, 2, 1, b"more"),
        chunk(6, LAST, 0, 1, &one[8..]),
        chunk(7, FIRST | LAST, 3, ASAP_PPID, &one),
        chunk(8, FIRST, 4, ASAP_PPID, b"alone"),
    ];
    let packets = |chunks: &mut dyn Iterator<Item = &Vec<u8>>| -> Vec<_> {
        chunks.map(|chunk| ip(IpNumber::SCTP, &sctp(1, slice::from_ref(chunk)))).collect()
    };
    for packets in [packets(&mut chunks.iter()), packets(&mut chunks.iter().rev())] {
        let outcome = run(&[], &pcap(RAW, &[packets.clone(), packets].concat()));
        let mut said: Vec<_> =
            outcome.out.lines().map(|line| line.split_once('"').unwrap().1).collect();
        said.sort_unstable();
        assert_eq!(said, ["the first one\"", "the first one\"", "the second one\""]);
        assert!(
            outcome.err.contains(
                "messages: 3, malformed: 0; left out: pieces of SCTP messages without the others: 1"
            ),
            "{outcome:?}"
        );
    }
}

/// IP packets in fragments, in any order; those of which one is missing are counted.
#[test]
fn fragments_are_put_together() {
    let whole = sctp(1, &[data(1, FIRST | LAST, ASAP_PPID, &cookie("of three fragments"))]);
    let four = (0..).zip(whole.chunks(24)).map(|(n, piece)| {
        let mut packet = ip(IpNumber::SCTP, piece);
        let more = if (n + 1) * 24 < whole.len() { 0x20 } else { 0 };
        (packet[6], packet[7]) = (more, u8::try_from(n * 3).unwrap());
        packet
    });
    let six = (0..).zip(whole.chunks(24)).map(|(n, piece)| {
        let more = u8::from((n + 1) * 24 < whole.len());
        let header = [132, 0, 0, u8::try_from(n * 24).unwrap() | more, 0, 0, 0, 7];
        let fragment = [&header[..], piece].concat();
        let mut packet = Vec::new();
        let step = PacketBuilder::ipv6([0xfd; 16], [0xfe; 16], 64);
        step.write(&mut packet, IpNumber::IPV6_FRAGMENTATION_HEADER, &fragment).unwrap();
        packet
    });
    let (four, six): (Vec<_>, Vec<_>) = (four.collect(), six.collect());
    for mut packets in [four, six] {
        assert_eq!(packets.len(), 3);
        packets.reverse();
        let outcome = run(&[], &pcap(RAW, &packets));
        assert_eq!(outcome.err, "packets: 3, messages: 1, malformed: 0\n", "{outcome:?}");
        let outcome = run(&[], &pcap(RAW, &packets[1..]));
        assert!(
            outcome.err.contains("left out: IP fragments without the others: 2"),
            "{outcome:?}"
        );
    }
}

/// A stream is read in order, whatever the order of its segments; what is missing is
/// said.
#[test]
fn tcp_streams_are_read_in_order() {
    let bytes = [cookie("one"), cookie("two"), cookie("three"), cookie("four")].concat();
    let segment = |number: u32, range: Range<usize>| {
        let mut packet = Vec::new();
        // The numbers turn over on the way.
        let number = (u32::MAX - 20).wrapping_add(number);
        PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .tcp(4000, 3863, number, 1000)
            .write(&mut packet, &bytes[range])
            .unwrap();
        packet
    };
    let at = |range: Range<usize>| segment(u32::try_from(range.start).unwrap(), range);
    let shown = |packets: &[Vec<u8>]| -> Vec<String> {
        let outcome = run(&[], &pcap(RAW, packets));
        outcome.out.lines().map(|line| line[49..].trim_end().to_owned()).collect()
    };
    let cookies = ["one", "two", "three", "four"]
        .map(|it| format!("COOKIE                     {} bytes: \"{it}\"", it.len()));
    assert_eq!(bytes.len(), 52);
    // Late, twice, overlapping.
    assert_eq!(shown(&[at(0..5), at(20..30), at(3..24), at(0..5), at(30..52)]), cookies);
    // A whole message is missing, and the last is cut off.
    let found = shown(&[at(0..12), at(24..40), at(40..44)]);
    let gap = "(12 bytes of the stream are missing; it is read on behind them)";
    let end = "(the stream ends after 4 bytes of a message)";
    assert_eq!(found, [&*cookies[0], gap, &cookies[2], end]);
    // A new connection between the same ends, and a stream that is no ASAP.
    let mut opening = at(0..0);
    opening[33] |= 0x02;
    let found = shown(&[at(0..8), opening.clone(), segment(1, 12..24), segment(13, 1..3)]);
    let begun = "(the stream ends after 8 bytes of a message)";
    assert_eq!(found, [begun, &*cookies[1], "(the stream ends after 2 bytes of a message)"]);
    // The opening comes late, and again.
    let mut opening = segment(u32::MAX, 0..0);
    opening[33] |= 0x02;
    let late = [at(0..12), opening.clone(), at(12..24), opening, at(24..40), at(40..52)];
    assert_eq!(shown(&late), cookies);
    // The capture begins inside of a message; the next connection, without its opening, has lower
    // numbers.
    let left_out = "(8 bytes of a message that began before are left out)";
    let lower = segment(1_u32.wrapping_neg() << 25, 24..40);
    let found = shown(&[at(4..12), at(12..24), lower]);
    assert_eq!(found, [left_out, &*cookies[1], &*cookies[2]]);
    let broken = "malformed stream, at byte 12 of it: message length 0 is under 4";
    assert_eq!(shown(&[at(0..12), segment(12, 11..15), segment(16, 12..24)])[1], broken);
}

/// However much is missing, what is kept is bounded, and what comes later is read.
#[test]
fn gaps_do_not_pile_up() {
    let (long, short) = (cookie("abcdefghijkl"), cookie("x"));
    let lone = |tsn| ip(IpNumber::SCTP, &sctp(1, &[data(tsn, FIRST, ASAP_PPID, &long[..8])]));
    let mut packets: Vec<_> = (0..2_000).map(|n| lone(n * 2)).collect();
    packets
        .extend([lone(5_000), ip(IpNumber::SCTP, &sctp(1, &[data(5_001, LAST, 11, &long[8..])]))]);
    let segment = |number: u32| {
        let mut packet = Vec::new();
        let step = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
        step.tcp(4000, 3863, number, 1000).write(&mut packet, &short).unwrap();
        packet
    };
    // The first is there, the second is missing.
    packets.extend([segment(0)].into_iter().chain((2..100).map(|n| segment(n * 12))));
    let Outcome { status, out, err } = run(&[], &pcap(RAW, &packets));
    assert_eq!(status, 0);
    let words: Vec<_> = out.lines().map(last_word).collect();
    assert_eq!(words[..4], ["\"abcdefghijkl\"", "\"x\"", "them)", "\"x\""]);
    assert_eq!(words.len(), 3 + 98);
    assert!(err.contains("pieces of SCTP messages without the others: 2000"), "{err}");
    // It was not the end of the capture that showed the rest.
    let gap = out.lines().nth(2).unwrap();
    assert!(gap.starts_with("2067.000000  "), "{gap}");
}

/// Datagrams count by their port, and by those that the user names.
#[test]
fn udp_counts_by_its_port() {
    let datagram = |port| {
        let mut packet = Vec::new();
        let announce = [0x0a, 0, 0, 8, 0, 0, 0x12, 0x34];
        let step = PacketBuilder::ipv4([10, 0, 0, 1], [239, 0, 0, 50], 1).udp(9999, port);
        step.write(&mut packet, &announce).unwrap();
        packet
    };
    let capture = pcap(RAW, &[datagram(3863), datagram(4000), datagram(4001)]);
    assert_eq!(lines(&[], &capture).len(), 1);
    let both = lines(&["--port", "4000"], &capture);
    let expected = "  1.000000     10.0.0.1:9999 > 239.0.0.50:4000   SERVER_ANNOUNCE            server 0x00001234";
    assert_eq!(both[1..], [expected]);
}

/// SCTP may come in UDP, from or to the port that is for it (RFC 6951); its own ports are shown.
#[test]
fn sctp_is_found_in_udp() {
    let packet = sctp(1, &[data(1, FIRST | LAST, ASAP_PPID, &cookie("wrapped"))]);
    let datagram = |from, to| {
        let mut wrapped = Vec::new();
        let step = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(from, to);
        step.write(&mut wrapped, &packet).unwrap();
        wrapped
    };
    let capture = pcap(RAW, &[datagram(9899, 50_000), datagram(50_000, 50_001)]);
    let expected = "  0.000000     10.0.0.1:3863 > 10.0.0.2:4000     COOKIE                     7 bytes: \"wrapped\"";
    assert_eq!(lines(&[], &capture), [expected]);
}

/// Whatever an SCTP packet is wrapped in, it is found, wrappings in wrappings too; IP fragments inside of tunnels
/// are put together.
#[test]
fn tunnels_are_taken_off() {
    let inner = ip(IpNumber::SCTP, &sctp(7, &[data(1, FIRST | LAST, ASAP_PPID, &cookie("x"))]));
    let mut inner_v6 = Vec::new();
    let payload = sctp(7, &[data(1, FIRST | LAST, ASAP_PPID, &cookie("x"))]);
    let step = PacketBuilder::ipv6([0xfd; 16], [0xfe; 16], 64);
    step.write(&mut inner_v6, IpNumber::SCTP, &payload).unwrap();
    let frame = |kind: u16, payload: &[u8]| [&[2; 12][..], &kind.to_be_bytes(), payload].concat();
    let udp = |to: u16, payload: &[u8]| {
        let mut packet = Vec::new();
        let step = PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).udp(50_000, to);
        step.write(&mut packet, payload).unwrap();
        packet
    };
    let behind = |header: &[u8], payload: &[u8]| [header, payload].concat();
    let tags = [0, 5, 0x81, 0, 0, 6, 0x81, 0, 0, 7, 0x81, 0, 0, 8, 0x08, 0];
    let (label, last) = ([0, 1, 0, 64], [0, 1, 0x01, 64]);
    let pppoe = [0x11, 0, 0, 1, 0, 0];
    let gre = |header: &[u8], payload: &[u8]| ip(IpNumber::GRE, &behind(header, payload));
    let vxlan = behind(&[8, 0, 0, 0, 0, 0, 7, 0], &frame(0x0800, &inner));
    for (what, packet) in [
        ("four tags", frame(0x8100, &behind(&tags, &inner))),
        ("MPLS", frame(0x8847, &behind(&[label, last].concat(), &inner))),
        ("IPv6 in MPLS", frame(0x8847, &behind(&last, &inner_v6))),
        (
            "Ethernet in MPLS",
            frame(0x8847, &behind(&[last, [0; 4]].concat(), &frame(0x0800, &inner))),
        ),
        ("PPPoE", frame(0x8864, &behind(&pppoe, &behind(&[0, 0x21], &inner)))),
        ("IPv6 in PPPoE", frame(0x8864, &behind(&pppoe, &behind(&[0, 0x57], &inner_v6)))),
        ("IP in IP", frame(0x0800, &ip(IpNumber::IPV4, &inner))),
        ("IPv6 in IP", frame(0x0800, &ip(IpNumber::IPV6, &inner_v6))),
        ("GRE", frame(0x0800, &gre(&[0, 0, 8, 0], &inner))),
        (
            "GRE with all its fields",
            frame(0x0800, &gre(&[&[0xb0, 0, 8, 0][..], &[0; 12]].concat(), &inner)),
        ),
        ("Ethernet in GRE", frame(0x0800, &gre(&[0, 0, 0x65, 0x58], &frame(0x86dd, &inner_v6)))),
        (
            "PPTP",
            frame(
                0x0800,
                &gre(
                    &[0x30, 1, 0x88, 0x0b, 0, 0, 0, 1, 0, 0, 0, 1],
                    &behind(&[0xff, 3, 0x21], &inner),
                ),
            ),
        ),
        ("VXLAN", frame(0x0800, &udp(4_789, &vxlan))),
        (
            "VXLAN in GRE in MPLS",
            frame(0x8847, &behind(&last, &gre(&[0, 0, 8, 0], &udp(8_472, &vxlan)))),
        ),
        ("SCTP over UDP in IP in IP", frame(0x0800, &ip(IpNumber::IPV4, &udp(9_899, &payload)))),
    ] {
        let outcome = run(&[], &pcap(ETHERNET, &[packet]));
        assert_eq!(outcome.err, "packets: 1, messages: 1, malformed: 0\n", "{what}: {outcome:?}");
        assert!(outcome.out.contains(":3863 > "), "{what}: {outcome:?}");
    }
    let halves = [(&payload[..16], 0x20, 0), (&payload[16..], 0, 2)].map(|(piece, more, at)| {
        let mut packet = ip(IpNumber::SCTP, piece);
        (packet[6], packet[7]) = (more, at);
        ip(IpNumber::GRE, &behind(&[0, 0, 8, 0], &packet))
    });
    assert_eq!(run(&[], &pcap(RAW, &halves)).err, "packets: 2, messages: 1, malformed: 0\n");
    let ppp = pcap(9, &[behind(&[0xff, 3, 0, 0x21], &inner)]);
    assert_eq!(run(&[], &ppp).err, "packets: 1, messages: 1, malformed: 0\n");
}

/// Nothing is passed over in silence: what was not read is named with its number, and it is no error.
#[test]
fn what_is_left_out_is_named() {
    let frame = |kind: u16, payload: &[u8]| [&[2; 12][..], &kind.to_be_bytes(), payload].concat();
    let over = |protocol, payload: &[u8]| frame(0x0800, &ip(protocol, payload));
    let mut nested = sctp(1, &[data(1, FIRST | LAST, ASAP_PPID, &cookie("x"))]);
    for _ in 0..20 {
        nested = ip(IpNumber::IPV4, &nested);
    }
    let broken = [&data(2, FIRST | LAST, ASAP_PPID, &cookie("whole"))[..], &[0, 3, 0, 0]].concat();
    let mut port_80 = Vec::new();
    let step = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
    step.tcp(4000, 80, 1, 1000).write(&mut port_80, b"GET").unwrap();
    let packets = [
        frame(0x0806, &[0; 28]),
        frame(0x88cc, &[0; 28]),
        frame(0x1234, &[0; 28]),
        frame(40, &[0; 40]),
        frame(0x8847, &[0, 1, 1, 64, 0xff]),
        frame(0x8864, &[0x11, 0, 0, 1, 0, 4, 0xc0, 0x21, 1, 1]),
        over(IpNumber::ICMP, &[0; 8]),
        over(IpNumber(253), &[0; 8]),
        over(IpNumber::GRE, &[0, 7, 8, 0]),
        over(IpNumber::SCTP, &sctp(1, &[broken])),
        over(IpNumber::SCTP, &sctp(1, &[data(3, FIRST | LAST, 0, b"data")])),
        over(IpNumber::SCTP, &[0; 11]),
        frame(0x0800, &nested),
        port_80,
    ];
    let outcome = run(&[], &pcap(ETHERNET, &packets));
    assert_eq!((outcome.status, outcome.out.lines().count()), (0, 1));
    let expected = "packets: 14, messages: 1, malformed: 0; left out: SCTP packets with a broken chunk: 2, \
        TCP segments of other ports: 1, SCTP data other than ASAP: 1, packets in too many wrappings: 1, \
        IEEE 802.3 frames of 40 bytes: 1, ARP: 1, EtherType 0x1234: 1, LLDP: 1, PPP protocol 0xc021: 1, \
        neither IP nor Ethernet under MPLS: 1, GRE of another kind: 1, ICMP: 1, IP protocol 253: 1\n";
    assert_eq!(outcome.err, expected);
}

/// A connection is read on after a lost segment, and from the first whole message on where the capture begins in the
/// middle: whichever segment is lost, wherever it begins. What comes with a reset is no message.
#[test]
fn a_lost_segment_loses_no_connection() {
    let element = |n: u32| {
        let at = ([10, 0, 0, n as u8], 80).into();
        PoolElement::new(
            PeIdentifier::new(n),
            Transport::tcp(at),
            Policy::WeightedRoundRobin { weight: 10 },
        )
    };
    let elements = (1..=128).map(element).collect();
    let response =
        Message::handle_resolution_response("EchoPool", None, elements).to_bytes().unwrap();
    let segment = |number: usize, payload: &[u8]| {
        let mut packet = Vec::new();
        let number = u32::try_from(number).unwrap();
        let step =
            PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(3863, 4000, number, 1000);
        step.write(&mut packet, payload).unwrap();
        packet
    };
    let opening = || {
        let mut packet = segment(0, b"");
        packet[33] |= 0x02;
        packet
    };
    let stream = response.repeat(4);
    for size in [536, 1220, 1380, 1400, 1428, 1440, 1448, 1452, 1460] {
        let cut: Vec<_> =
            (0..).zip(stream.chunks(size)).map(|(n, it)| segment(1 + n * size, it)).collect();
        for lost in 0..response.len() / size {
            let mut packets = cut.clone();
            packets.remove(lost);
            packets.insert(0, opening());
            for packets in [&packets[..], &cut[lost + 1..]] {
                let Outcome { status, out, err } = run(&[], &pcap(RAW, packets));
                let whole = out.lines().filter(|line| line.contains("128 elements")).count();
                assert_eq!((status, whole), (0, 3), "{size}, {lost}: {out}{err}");
            }
        }
    }
    let short = cookie("short one");
    for at in 1..short.len() {
        let packets = [segment(at, &short[at..]), segment(short.len(), &short.repeat(50))];
        let Outcome { status, out, err } = run(&[], &pcap(RAW, &packets));
        assert_eq!((status, out.lines().count()), (0, 51), "{at}: {out}{err}");
    }
    let mut reset = segment(1 + short.len(), b"connection reset by peer");
    reset[33] |= 0x04;
    let outcome = run(&[], &pcap(RAW, &[opening(), segment(1, &short), reset]));
    assert_eq!((outcome.status, outcome.out.lines().count()), (0, 1), "{outcome:?}");
    // Where a length cannot be, the next message is found.
    let stream = [&short[..], &[5, 0, 0, 0], &short, &short].concat();
    let outcome = run(&[], &pcap(RAW, &[opening(), segment(1, &stream)]));
    assert_eq!((outcome.status, &*outcome.err), (1, "packets: 2, messages: 3, malformed: 1\n"));
}

/// The other format of captures, with interfaces whose clocks differ, and one of a kind not known
/// here.
#[test]
fn pcapng_is_read_too() {
    const USB: u16 = 189;
    let block = |kind: u32, body: &[u8]| {
        let length = u32::try_from(body.len() + 12).unwrap().to_le_bytes();
        [&kind.to_le_bytes(), &length, body, &length].concat()
    };
    let packet = |tsn, interface: u32, at: u32| {
        let chunk = data(tsn, FIRST | LAST, ASAP_PPID, &cookie("x"));
        let packet = ip(IpNumber::SCTP, &sctp(1, &[chunk]));
        let length = u32::try_from(packet.len()).unwrap().to_le_bytes();
        let padding = vec![0; packet.len().next_multiple_of(4) - packet.len()];
        let head = [interface, 0, at].map(u32::to_le_bytes).concat();
        block(6, &[&head, &length[..], &length, &packet, &padding].concat())
    };
    let interface = |link: u16, resolution: u8| {
        let options = [&[9, 0, 1, 0, resolution, 0, 0, 0][..], &[0; 4]].concat();
        block(1, &[&link.to_le_bytes()[..], &[0; 6], &options].concat())
    };
    let section = [0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255];
    let (nanos, sixteenths) = (9, 0x84);
    let capture = [
        block(0x0a0d_0d0a, &section),
        interface(RAW, nanos),
        interface(USB, nanos),
        interface(RAW, sixteenths),
        // Longer than what is read at once.
        block(0x0bad, &vec![0; 3 << 20]),
        packet(1, 0, 1000),
        packet(2, 1, 2000),
        packet(1, 0, 250_001_000),
        packet(3, 2, 8),
    ];
    let outcome = run(&[], &capture.concat());
    let times: Vec<_> = outcome.out.lines().map(|line| &line[..12]).collect();
    assert_eq!((outcome.status, times), (0, vec!["  0.000000  ", "  0.499999  "]), "{outcome:?}");
    let expected = "packets: 4, messages: 2, malformed: 0; left out: packets of link type 189, which is not known here: 1\n";
    assert_eq!(outcome.err, expected, "a copy is seen once");
}

/// Packets in blocks as they were before there were enhanced ones, in both byte orders; blocks that nobody knows.
#[test]
fn old_packet_blocks_are_read() {
    for big in [false, true] {
        let word = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
        let half = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
        let block = |kind: u32, body: &[u8]| {
            let padded = body.len().next_multiple_of(4);
            let length = word(u32::try_from(padded + 12).unwrap());
            let padding = vec![0; padded - body.len()];
            [&word(kind)[..], &length, body, &padding, &length].concat()
        };
        let packet = |tsn, at: u32| {
            let chunk = data(tsn, FIRST | LAST, ASAP_PPID, &cookie("x"));
            let packet = ip(IpNumber::SCTP, &sctp(1, &[chunk]));
            let length = u32::try_from(packet.len()).unwrap();
            let times = [0, at, length, length].map(word).concat();
            block(2, &[&half(0)[..], &half(0xffff), &times, &packet].concat())
        };
        let section = [&word(0x1a2b_3c4d)[..], &half(1), &half(0), &[0xff; 8]].concat();
        let interface = [&half(RAW)[..], &half(0), &word(0)].concat();
        let capture = [
            block(0x0a0d_0d0a, &section),
            block(1, &interface),
            packet(1, 1_000_000),
            block(0x77, b"what is this?"),
            packet(2, 2_500_000),
        ];
        let outcome = run(&[], &capture.concat());
        let times: Vec<_> = outcome.out.lines().map(|line| &line[..12]).collect();
        assert_eq!(
            (outcome.status, times),
            (0, vec!["  0.000000  ", "  1.500000  "]),
            "{outcome:?}"
        );
        let expected =
            "packets: 2, messages: 2, malformed: 0; left out: pcapng blocks of type 0x77: 1\n";
        assert_eq!(outcome.err, expected);
        let cut_short = [&capture[0][..], &capture[1], &block(2, &[0; 16])].concat();
        assert_eq!(run(&[], &cut_short).status, 2);
    }
}

/// Captures in nanoseconds, from links that keep checksums, through pipes that give out byte by
/// byte.
#[test]
fn pcap_is_read_in_all_its_forms() {
    struct Pipe(Cursor<Vec<u8>>);
    impl Read for Pipe {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(1);
            self.0.read(&mut buffer[..most])
        }
    }
    let message = |tsn| {
        let chunk = data(tsn, FIRST | LAST, ASAP_PPID, &cookie("x"));
        ip(IpNumber::SCTP, &sctp(1, &[chunk]))
    };
    // A message may come again long after it.
    let mut packets: Vec<_> = (0..600).map(message).collect();
    packets.push(message(0));
    let mut capture = pcap(RAW, &packets);
    capture[..4].copy_from_slice(&0xa1b2_3c4d_u32.to_be_bytes());
    capture[20] = 0x14;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let pipe = Pipe(Cursor::new(capture.clone()));
    let status = decode::run(["asap-decode".into()].into_iter(), pipe, &mut out, &mut err);
    let expected = "packets: 601, messages: 600, malformed: 0\n";
    assert_eq!((status, String::from_utf8(err).unwrap()), (0, expected.to_owned()));
    assert_eq!(out, run(&[], &capture).out.into_bytes());
}

/// Input that cannot be used is answered with one line that says why.
#[test]
fn unusable_input_is_one_clear_line() {
    let capture = include_bytes!("../../tests/vectors/policies.pcap");
    let strange = pcap(127, &[vec![0; 40]]);
    for (arguments, input, expected) in [
        (&["/nonexistent"][..], &b""[..], "/nonexistent: "),
        (&["/"], b"", "/: "),
        (&[], b"", "standard input: there is no message in it"),
        (&[], b"05 00 00 0\n", "standard input: line 1 is not hex: 05 00 00 0"),
        (&[], b"hello\n", "standard input: line 1 is not hex: hello"),
        (
            &[],
            b"\x7fELF\xff\n",
            "standard input: the input is neither text nor a packet capture (pcap, pcapng); see --help",
        ),
        (&[], &capture[..20], "standard input: the capture breaks off behind packet 0"),
        (&[], &capture[..300], "standard input: the capture breaks off behind packet 3"),
        (
            &[],
            &strange,
            "standard input: link type 127 is none of Ethernet, Linux cooked, PPP, raw IP and loopback; \
             capture on another interface",
        ),
    ] {
        let outcome = run(arguments, input);
        assert_eq!((outcome.status, outcome.err.lines().count()), (2, 1), "{outcome:?}");
        assert!(outcome.err.starts_with(&format!("asap-decode: {expected}")), "{outcome:?}");
    }
}

/// What a command line means that makes no sense is said, and nothing is read.
#[test]
fn a_command_line_may_make_no_sense() {
    for (arguments, expected) in [
        (&["--branch"][..], "error: unexpected argument '--branch' found"),
        (&["--port", "70000"], "error: invalid value '70000' for '--port <N>'"),
        (&["a", "b"], "error: unexpected argument 'b' found"),
    ] {
        let outcome = run(arguments, b"");
        assert_eq!((outcome.status, &*outcome.out), (2, ""));
        assert!(outcome.err.starts_with(expected), "{outcome:?}");
    }
}

/// A file may have a name that is no text.
#[test]
#[cfg(unix)]
fn names_need_not_be_text() {
    use std::os::unix::ffi::OsStringExt;
    let (name, mut err) = (OsString::from_vec(b"/nonexistent\xff".to_vec()), Vec::new());
    let status = decode::run(
        ["asap-decode".into(), name].into_iter(),
        Cursor::new([]),
        Vec::new(),
        &mut err,
    );
    assert_eq!(status, 2);
    assert!(err.starts_with(b"asap-decode: /nonexistent"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever links and frames a capture has, whatever wrappings those begin with, and whatever is in them, the
    /// program comes to its end, and every packet that holds no message is accounted for.
    #[test]
    fn no_packet_makes_it_panic(
        link in prop::sample::select(vec![0_u16, 1, 9, 12, 14, 101, 108, 113, 228, 229, 276, 127]),
        frames in prop::collection::vec(frame(), 1..20),
    ) {
        let outcome = run(&["--tree"], &pcap(link, &frames));
        prop_assert!(outcome.status <= 2);
        prop_assert!(outcome.err.ends_with('\n'));
    }

    /// As much of a stream as there is, cut anywhere, with bytes that are no messages in between.
    #[test]
    fn every_message_behind_a_gap_is_found(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        parts in prop::collection::vec(1..40_usize, 1..20),
    ) {
        let message = cookie("some state that is remembered");
        // What looks like a beginning at the end of the noise takes bytes of the first message.
        let stream = [&noise[..], &message.repeat(40)].concat();
        let (mut packets, mut rest, mut at) = (Vec::new(), &stream[..], 1);
        for part in parts.iter().cycle() {
            let (piece, more) = rest.split_at(rest.len().min(*part));
            let mut packet = Vec::new();
            let step = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
            step.tcp(4000, 3863, at, 1000).write(&mut packet, piece).unwrap();
            packets.push(packet);
            at += piece.len() as u32;
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        let outcome = run(&[], &pcap(RAW, &packets));
        let found = outcome.out.lines().filter(|line| line.contains("some state")).count();
        prop_assert!(found >= 39, "{} {}", found, outcome.out);
    }

    /// Whatever is in a capture or in a message, the program comes to its end.
    #[test]
    fn nothing_makes_it_panic(
        at in 0..50_000_usize,
        noise in prop::collection::vec(any::<u8>(), 1..40),
        message in prop::collection::vec(any::<u8>(), 1..80),
    ) {
        let mut capture = include_bytes!("../../tests/vectors/policies.pcap")[..].to_vec();
        let from = at.min(capture.len() - noise.len());
        capture[from..from + noise.len()].copy_from_slice(&noise);
        capture.truncate(from + 2_000);
        prop_assert!(run(&["--tree"], &capture).status <= 2);
        let mut framed = message.clone();
        if let [_, _, l0, l1, ..] = &mut framed[..] {
            [*l0, *l1] = u16::try_from(message.len()).unwrap().to_be_bytes();
        }
        let text = framed.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        prop_assert!(run(&["--tree"], text.as_bytes()).status <= 1);
    }
}

/// Bytes that begin as frames do, behind any wrappings.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let ethernet = |kind: u16| [&[2; 12][..], &kind.to_be_bytes()].concat();
    let four = |protocol: u8| {
        vec![0x45, 0, 0, 200, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
    };
    let mut six = vec![0x60, 0, 0, 0, 0, 100, 132, 64];
    six.extend([0xfd; 32]);
    let wrappings = vec![
        ethernet(0x0800),
        ethernet(0x86dd),
        ethernet(0x8100),
        ethernet(0x8847),
        ethernet(0x8864),
        vec![0, 1, 0, 64],
        vec![0, 1, 1, 64],
        vec![0x11, 0, 0, 1, 0, 0, 0, 0x21],
        four(132),
        four(6),
        four(17),
        four(4),
        four(47),
        six,
        vec![0, 0, 8, 0],
        vec![0xb0, 0, 0x65, 0x58],
        vec![0x0f, 0x17, 0x0f, 0x17, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x18, 0, 0, 0, 0, 0, 0],
        vec![0x12, 0xb5, 0x12, 0xb5, 0, 100, 0, 0, 8, 0, 0, 0, 0, 0, 7, 0],
        vec![0, 3, 0, 40, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 11],
        vec![0x40, 3, 0, 40, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 11],
        vec![6, 0, 0, 40, 0, 9, 0, 8, 1, 2, 3, 4, 0, 10, 0, 40],
    ];
    let wrapping = prop::sample::select(wrappings);
    let parts = prop::collection::vec(wrapping, 0..8);
    (parts, prop::collection::vec(any::<u8>(), 0..60))
        .prop_map(|(parts, rest)| [parts.concat(), rest].concat())
}

fn last_word(line: &str) -> &str {
    line.rsplit(' ').next().unwrap()
}

fn cookie(text: &'static str) -> Vec<u8> {
    Message::cookie(text).to_bytes().unwrap().to_vec()
}

/// An SCTP packet of the association with this verification tag (RFC 9260 §3).
fn sctp(tag: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    let ports = [3863_u16, 4000].map(u16::to_be_bytes).concat();
    [&ports[..], &tag.to_be_bytes(), &[0; 4], &chunks.concat()].concat()
}

/// A DATA chunk (RFC 9260 §3.3.1).
fn data(tsn: u32, flags: u8, ppid: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(16 + data.len()).unwrap().to_be_bytes();
    let mut chunk =
        [&[0, flags][..], &length, &tsn.to_be_bytes(), &[0; 4], &ppid.to_be_bytes(), data].concat();
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

fn ip(protocol: IpNumber, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let step = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
    step.write(&mut packet, protocol, payload).unwrap();
    packet
}

/// A capture with a packet every second.
fn pcap(link: u16, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0002_0004, 0, 0, 0xffff, u32::from(link)] {
        file.extend(u32::to_be_bytes(word));
    }
    for (second, packet) in (0..).zip(packets) {
        let length = u32::try_from(packet.len()).unwrap();
        for word in [second, 0, length, length] {
            file.extend(u32::to_be_bytes(word));
        }
        file.extend(packet);
    }
    file
}
