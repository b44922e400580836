//! What was exchanged, as a capture that Wireshark reads.
//!
//! Whatever carried the messages in truth (SCTP, TCP, TLS, frames of one's own, a simulation), each is written as
//! a message of SCTP between the two ends, ASAP marked with its payload protocol identifier (RFC 5352 §8.3). So
//! a dissector shows it without being told of ports or keys.
//!
//! ```
//! use core::time::Duration;
//!
//! use asap_pu::capture::Capture;
//! use asap_pu::wire::Message;
//!
//! let user = ([192, 0, 2, 1], 40_000).into();
//! let registrar = ([192, 0, 2, 2], 3863).into();
//! let request = Message::handle_resolution(false, "EchoPool", None).to_bytes()?;
//! let mut capture = Capture::new();
//! capture.control(Duration::from_millis(1500), user, registrar, &request);
//! let file: Vec<u8> = capture.take();
//! assert_eq!(file[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The format is pcapng (draft-ietf-opsawg-pcapng): a section, an interface of raw IP, and a packet for each
//! message, or several for one that does not fit into one. There are no packets for how channels are set up and
//! end, and none for acknowledgements.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::time::nanos;
use crate::wire::{ASAP_PPID, StreamDecoder};

/// The payload protocol identifier of data that says nothing of itself (RFC 9260 §3.3.1).
const NO_PPID: u32 = 0;
/// A packet carries this much of a message at most, so that its lengths fit into 16 bits.
const MAX_PIECE: usize = 32_768;

/// Block types, an option and a link type of pcapng.
const SECTION: u32 = 0x0a0d_0d0a;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
const RESOLUTION: [u8; 8] = [0, 9, 0, 1, NANOS, 0, 0, 0];
const NANOS: u8 = 9;
const END_OF_OPTIONS: [u8; 4] = [0; 4];
const RAW_IP: [u8; 2] = [0, 101];

/// A DATA chunk, and the flags of the first and the last piece of a message (RFC 9260 §3.3.1).
const DATA: u8 = 0;
const FIRST: u8 = 2;
const LAST: u8 = 1;

/// A capture that is being written. See the [module](self).
///
/// Memory grows with what was not [taken](Self::take) yet, and by some 100 bytes with each pair of ends.
#[derive(Debug)]
pub struct Capture {
    written: Vec<u8>,
    flows: BTreeMap<(SocketAddr, SocketAddr), Flow>,
}

/// One direction between two ends.
#[derive(Debug)]
struct Flow {
    /// The verification tag, by which dissectors tell associations apart.
    tag: u32,
    /// The transmission sequence number of the next packet, and the number of the next message.
    next_packet: u32,
    next_message: u16,
    stream: StreamDecoder,
}

impl Default for Capture {
    fn default() -> Self {
        Self::new()
    }
}

impl Capture {
    /// A capture without a packet.
    #[must_use]
    pub fn new() -> Self {
        let mut capture = Self { written: Vec::new(), flows: BTreeMap::new() };
        let version = [0, 1, 0, 0];
        let length_not_known = [0xff; 8];
        capture.block(SECTION, &[&BYTE_ORDER.to_be_bytes(), &version, &length_not_known]);
        let (reserved, no_limit) = ([0; 2], [0; 4]);
        capture.block(INTERFACE, &[&RAW_IP, &reserved, &no_limit, &RESOLUTION, &END_OF_OPTIONS]);
        capture
    }

    /// An ASAP message passes from one end to another, or to a multicast group. The time is since 1970, where it is
    /// to be shown as a date, or since any other moment. What is no message is written as it is, for the dissector
    /// to judge.
    pub fn control(&mut self, at: Duration, from: SocketAddr, to: SocketAddr, message: &[u8]) {
        self.message(at, from, to, ASAP_PPID, message);
    }

    /// A part of a stream of ASAP messages passes, as registrars are spoken to over TCP: whatever ends in it is
    /// written, with the time of its end.
    pub fn stream(&mut self, at: Duration, from: SocketAddr, to: SocketAddr, mut bytes: &[u8]) {
        let mut messages = Vec::new();
        let flow = self.flow(from, to);
        loop {
            match flow.stream.next(&mut bytes) {
                Ok(Some(message)) => messages.push(message.to_vec()),
                Ok(None) => break,
                // It cannot be cut any further; what it is then, the dissector shows.
                Err(_) => {
                    messages.push(bytes.to_vec());
                    break;
                }
            }
        }
        for message in messages {
            self.message(at, from, to, ASAP_PPID, &message);
        }
    }

    /// A stream is over, or a channel with one: what may have come of a message is forgotten. Another one between
    /// the same ends begins with a message.
    pub fn end(&mut self, from: SocketAddr, to: SocketAddr) {
        for ends in [(from, to), (to, from)] {
            if let Some(flow) = self.flows.get_mut(&ends) {
                flow.stream = StreamDecoder::new(usize::MAX);
            }
        }
    }

    /// Data of an application passes between a pool user and an element.
    pub fn data(&mut self, at: Duration, from: SocketAddr, to: SocketAddr, data: &[u8]) {
        self.message(at, from, to, NO_PPID, data);
    }

    /// What was written since the last call, to be appended to the file; what comes first begins the file.
    #[must_use = "it is not written a second time"]
    pub fn take(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.written)
    }

    fn message(
        &mut self,
        at: Duration,
        from: SocketAddr,
        to: SocketAddr,
        ppid: u32,
        message: &[u8],
    ) {
        let flow = self.flow(from, to);
        let (tag, first, number) = (flow.tag, flow.next_packet, flow.next_message);
        let pieces: Vec<_> = match message {
            // A chunk has to have some data; it is told as it was all the same.
            [] => [&[][..]].into(),
            message => message.chunks(MAX_PIECE).collect(),
        };
        let count = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
        flow.next_packet = first.wrapping_add(count);
        flow.next_message = number.wrapping_add(1);
        for (nth, piece) in (0..count).zip(pieces) {
            let mut flags = 0;
            flags |= if nth == 0 { FIRST } else { 0 };
            flags |= if nth + 1 == count { LAST } else { 0 };
            let chunk = chunk(flags, first.wrapping_add(nth), number, ppid, piece);
            let packet = sctp(from.port(), to.port(), tag, &chunk);
            self.packet(at, &ip(from.ip(), to.ip(), &packet));
        }
    }

    fn flow(&mut self, from: SocketAddr, to: SocketAddr) -> &mut Flow {
        let tag = u32::try_from(self.flows.len() + 1).unwrap_or(u32::MAX);
        self.flows.entry((from, to)).or_insert_with(|| Flow {
            tag,
            next_packet: 1,
            next_message: 0,
            stream: StreamDecoder::new(usize::MAX),
        })
    }

    fn packet(&mut self, at: Duration, packet: &[u8]) {
        let interface = [0; 4];
        let nanos = nanos(at).to_be_bytes();
        let length = length32(packet.len());
        self.block(PACKET, &[&interface, &nanos, &length, &length, packet]);
    }

    /// A type, the length of all, the body up to a multiple of four bytes, and the length again.
    fn block(&mut self, kind: u32, body: &[&[u8]]) {
        let unpadded: usize = body.iter().map(|part| part.len()).sum();
        let padding = unpadded.next_multiple_of(4) - unpadded;
        let length = length32(unpadded + padding + 12);
        self.written.extend(kind.to_be_bytes());
        self.written.extend(length);
        body.iter().for_each(|part| self.written.extend(*part));
        self.written.extend(&[0; 3][..padding]);
        self.written.extend(length);
    }
}

/// A packet between two addresses; one of each family makes both IPv6.
fn ip(from: IpAddr, to: IpAddr, payload: &[u8]) -> Vec<u8> {
    const SCTP: u8 = 132;
    const HOPS: u8 = 64;
    let mut packet = Vec::new();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let [l0, l1] = length16(payload.len() + 20);
            let mut header = [0x45, 0, l0, l1, 0, 0, 0x40, 0, HOPS, SCTP, 0, 0];
            let sum = ones_complement([&header[..], &from.octets(), &to.octets()]);
            header[10..].copy_from_slice(&sum);
            packet.extend(header);
            packet.extend(from.octets());
            packet.extend(to.octets());
        }
        _ => {
            let octets = |address| match address {
                IpAddr::V4(it) => it.to_ipv6_mapped().octets(),
                IpAddr::V6(it) => it.octets(),
            };
            let [l0, l1] = length16(payload.len());
            packet.extend([0x60, 0, 0, 0, l0, l1, SCTP, HOPS]);
            packet.extend(octets(from));
            packet.extend(octets(to));
        }
    }
    packet.extend(payload);
    packet
}

/// The checksum of an IPv4 header (RFC 791 §3.1): what it stands in is zero.
fn ones_complement(parts: [&[u8]; 3]) -> [u8; 2] {
    let words = parts.into_iter().flat_map(|part| part.chunks_exact(2));
    let words = words.map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    (!(((folded & 0xffff) + (folded >> 16)) as u16)).to_be_bytes()
}

/// A packet with one chunk (RFC 9260 §3).
fn sctp(from: u16, to: u16, tag: u32, chunk: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(from.to_be_bytes());
    packet.extend(to.to_be_bytes());
    packet.extend(tag.to_be_bytes());
    let checksum = packet.len()..packet.len() + 4;
    packet.extend([0; 4]);
    packet.extend(chunk);
    let sum = crc32c(&packet).to_le_bytes();
    packet[checksum].copy_from_slice(&sum);
    packet
}

/// A DATA chunk with its padding (RFC 9260 §3.3.1).
fn chunk(flags: u8, tsn: u32, number: u16, ppid: u32, data: &[u8]) -> Vec<u8> {
    const HEADER: usize = 16;
    const STREAM: [u8; 2] = [0; 2];
    let mut chunk = Vec::new();
    chunk.extend([DATA, flags]);
    chunk.extend(length16(data.len() + HEADER));
    chunk.extend(tsn.to_be_bytes());
    chunk.extend(STREAM);
    chunk.extend(number.to_be_bytes());
    chunk.extend(ppid.to_be_bytes());
    chunk.extend(data);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

/// The checksum of SCTP, bit by bit (RFC 9260 appendix A).
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| crc >> 1 ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

fn length16(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

fn length32(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}
