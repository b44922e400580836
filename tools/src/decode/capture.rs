//! Packet captures, pcap and pcapng: the packets in them, and the messages in those.

use std::fmt;
use std::io::{self, Cursor, Read, Write};
use std::net::SocketAddr;

use etherparse::TcpSlice;
use pcap_parser::pcapng::Block;
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Linktype, PcapBlockOwned, PcapError, create_reader};

use super::Failure;
use super::fragments::{Fragment, Fragments};
use super::left::{self, Left};
use super::packet::{Packet, Payload, Unread};
use super::report::Report;
use super::sctp::Reassembly;
use super::tcp::{Found, Streams};

/// What is read at once; captures hold packets of at most a quarter of that.
const BUFFER: usize = 1 << 20;
/// The longest block of a pcapng file that can be read: not all of them are packets.
const MAX_BUFFER: usize = 1 << 26;
const NANOS: i128 = 1_000_000_000;
/// The resolution of time stamps where a pcapng file does not say.
const DEFAULT_RESOLUTION: i128 = 1_000_000;

/// What was in a capture besides messages.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) packets: usize,
    pub(crate) left: left::Tally,
}

/// An interface that packets were captured on.
struct Interface {
    link: Linktype,
    /// Time stamps a second.
    resolution: i128,
    /// What is to be added to time stamps, in seconds.
    offset: i128,
}

/// The type of the block that pcapng once had for packets.
const OLD_PACKET: u32 = 2;

/// What goes on in a capture.
struct Conversation<'a, W> {
    ports: &'a [u16],
    report: &'a mut Report<W>,
    fragments: Fragments,
    sctp: Reassembly,
    tcp: Streams,
    tally: Tally,
    /// Whether numbers have their highest byte first, in this section of a pcapng file.
    is_big_endian: bool,
    /// When the first packet was captured, and how long after it this one, in nanoseconds.
    began: Option<i128>,
    elapsed: i128,
}

/// The line that a message stands on: when it was captured, from where to where.
struct Place {
    elapsed: i128,
    source: SocketAddr,
    destination: SocketAddr,
}

/// So many bytes tell whether it is a capture.
pub(crate) const MAGIC: usize = 4;

/// Whether bytes are the beginning of a capture, not of text.
pub(crate) fn is_capture(beginning: &[u8]) -> bool {
    let magic = beginning.first_chunk().copied().map(u32::from_be_bytes);
    let pcapng = 0x0a0d_0d0a;
    let pcap = [0xa1b2_c3d4, 0xa1b2_3c4d, 0xd4c3_b2a1, 0x4d3c_b2a1_u32];
    magic.is_some_and(|magic| magic == pcapng || pcap.contains(&magic))
}

/// Shows all ASAP messages of a capture.
pub(crate) fn decode(
    input: impl Read + Send,
    ports: &[u16],
    report: &mut Report<impl Write>,
) -> Result<Tally, Failure> {
    let mut conversation = Conversation {
        ports,
        report,
        fragments: Fragments::default(),
        sctp: Reassembly::default(),
        tcp: Streams::default(),
        tally: Tally::default(),
        is_big_endian: false,
        began: None,
        elapsed: 0,
    };
    let complete = conversation.read(input);
    let tally = conversation.finish()?;
    complete.map(|()| tally)
}

impl<W: Write> Conversation<'_, W> {
    fn read(&mut self, mut input: impl Read + Send) -> Result<(), Failure> {
        let header = header(&mut input)?;
        let input = Cursor::new(header).chain(input);
        let mut reader = create_reader(BUFFER, input).map_err(|error| self.unusable(&error))?;
        let (mut interfaces, mut buffer) = (Vec::new(), BUFFER);
        loop {
            match reader.next() {
                Ok((length, block)) => {
                    self.block(block, &mut interfaces)?;
                    reader.consume(length);
                }
                Err(PcapError::Eof) => return Ok(()),
                Err(PcapError::BufferTooSmall) if buffer < MAX_BUFFER => {
                    buffer *= 2;
                    reader.grow(buffer);
                }
                Err(PcapError::Incomplete(_)) => {
                    reader.refill().map_err(|error| self.unusable(&error))?;
                }
                Err(error) => return Err(self.unusable(&error)),
            }
        }
    }

    fn block(
        &mut self,
        block: PcapBlockOwned<'_>,
        interfaces: &mut Vec<Interface>,
    ) -> Result<(), Failure> {
        let interface = |id: u32| {
            let known = usize::try_from(id).ok().and_then(|id| interfaces.get(id));
            known.ok_or("the capture has a packet of an interface that it does not describe")
        };
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                let resolution =
                    if header.is_nanosecond_precision() { NANOS } else { DEFAULT_RESOLUTION };
                // The upper half says how long a checksum behind each frame is.
                let link = Linktype(header.network.0 & 0xffff);
                interfaces.push(Interface { link, resolution, offset: 0 });
            }
            PcapBlockOwned::Legacy(packet) => {
                let interface = interface(0)?;
                let stamp =
                    i128::from(packet.ts_sec) * interface.resolution + i128::from(packet.ts_usec);
                self.clock(interface.nanos(stamp));
                self.packet(interface.link, packet.data)?;
            }
            PcapBlockOwned::NG(Block::SectionHeader(section)) => {
                self.is_big_endian = section.big_endian();
                interfaces.clear();
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(it)) => {
                let base = if it.if_tsresol & 0x80 == 0 { 10_i128 } else { 2 };
                let resolution = base.checked_pow((it.if_tsresol & 0x7f).into());
                let resolution = resolution.unwrap_or(DEFAULT_RESOLUTION);
                let (link, offset) = (it.linktype, it.ts_offset().into());
                interfaces.push(Interface { link, resolution, offset });
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                let interface = interface(packet.if_id)?;
                let stamp = i128::from(packet.ts_high) << 32 | i128::from(packet.ts_low);
                self.clock(interface.nanos(stamp));
                self.packet(interface.link, packet.packet_data())?;
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                self.packet(interface(0)?.link, packet.packet_data())?;
            }
            PcapBlockOwned::NG(Block::Unknown(block)) => {
                // It is read as if the lowest byte came first, whatever the section says.
                let kind = match self.is_big_endian {
                    true => block.block_type.swap_bytes(),
                    false => block.block_type,
                };
                if kind != OLD_PACKET {
                    self.tally.left.add(Left::Block(kind), 1);
                    return Ok(());
                }
                let packet = OldPacket::read(block.data, self.is_big_endian);
                let packet = packet.ok_or("the capture has a packet that ends before its bytes")?;
                let interface = interface(packet.interface.into())?;
                self.clock(interface.nanos(packet.stamp.into()));
                self.packet(interface.link, packet.data)?;
            }
            // Names, statistics, secrets and what else comes with packets.
            PcapBlockOwned::NG(_) => {}
        }
        Ok(())
    }

    fn clock(&mut self, now: i128) {
        self.elapsed = now - *self.began.get_or_insert(now);
    }

    fn packet(&mut self, link: Linktype, frame: &[u8]) -> Result<(), Failure> {
        self.tally.packets += 1;
        match Packet::read(link, frame) {
            Ok(packet) => self.read_packet(packet)?,
            Err(Unread::Fragment(fragment)) => self.fragment(&fragment)?,
            Err(Unread::Left(what)) => self.tally.left.add(what, 1),
        }
        Ok(())
    }

    /// What the fragment completes may be a fragment itself, of what is in a tunnel.
    fn fragment(&mut self, fragment: &Fragment<'_>) -> Result<(), Failure> {
        let Some((whole, payload)) = self.fragments.take(fragment) else { return Ok(()) };
        match Packet::over((whole.source, whole.destination), whole.protocol, &payload) {
            Ok(packet) => self.read_packet(packet),
            Err(Unread::Fragment(inner)) => self.fragment(&inner),
            Err(Unread::Left(what)) => {
                self.tally.left.add(what, 1);
                Ok(())
            }
        }
    }

    fn read_packet(&mut self, packet: Packet<'_>) -> Result<(), Failure> {
        let Packet { source, destination, payload } = packet;
        let place = Place { elapsed: self.elapsed, source, destination };
        let is_asap = [source, destination].iter().any(|end| self.ports.contains(&end.port()));
        match payload {
            Payload::Sctp(packet) => {
                for message in self.sctp.take(packet) {
                    self.report.message(&place, &message)?;
                }
            }
            Payload::Tcp(segment) if is_asap => self.segment(source, destination, &segment)?,
            Payload::Udp(datagram) if is_asap => self.report.message(&place, datagram.payload())?,
            Payload::Tcp(segment) if segment.payload().is_empty() => {}
            Payload::Tcp(_) => self.tally.left.add(Left::TcpPort, 1),
            Payload::Udp(_) => self.tally.left.add(Left::UdpPort, 1),
        }
        Ok(())
    }

    fn segment(
        &mut self,
        source: SocketAddr,
        destination: SocketAddr,
        segment: &TcpSlice<'_>,
    ) -> Result<(), Failure> {
        for (direction, found) in self.tcp.take((source, destination), segment) {
            show(self.report, self.elapsed, direction, found)?;
        }
        Ok(())
    }

    /// Shows what was still waiting for the rest of it.
    fn finish(mut self) -> Result<Tally, Failure> {
        for (direction, found) in self.tcp.finish() {
            show(self.report, self.elapsed, direction, found)?;
        }
        if let Some(link) = self.tally.left.only_link(self.tally.packets) {
            return Err(format!(
                "link type {link} is none of Ethernet, Linux cooked, PPP, raw IP and loopback; \
                 capture on another interface"
            )
            .into());
        }
        for (what, count) in [
            (Left::Fragment, self.fragments.left_over()),
            (Left::Piece, self.sctp.left_over()),
            (Left::BrokenChunk, self.sctp.broken()),
            (Left::OtherData, self.sctp.other_data()),
        ] {
            self.tally.left.add(what, count);
        }
        Ok(self.tally)
    }

    fn unusable<I>(&self, error: &PcapError<I>) -> Failure {
        let packets = self.tally.packets;
        match error {
            PcapError::UnexpectedEof | PcapError::Incomplete(_) => {
                format!("the capture breaks off behind packet {packets}")
            }
            PcapError::BufferTooSmall => {
                format!("what follows packet {packets} is over {MAX_BUFFER} bytes long")
            }
            PcapError::ReadError => format!("the capture cannot be read behind packet {packets}"),
            _ => format!("the capture is damaged behind packet {packets}"),
        }
        .into()
    }
}

/// The header of the file, or what is there of it: `create_reader` reads once and wants all of it.
fn header(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // As long as the header of pcap; that of pcapng says how long it is, in the byte order that
    // its third word shows.
    input.take(24).read_to_end(&mut bytes)?;
    if let [0x0a, 0x0d, 0x0d, 0x0a, l0, l1, l2, l3, order, ..] = bytes[..] {
        let length = match order {
            0x1a => u32::from_be_bytes([l0, l1, l2, l3]),
            _ => u32::from_le_bytes([l0, l1, l2, l3]),
        };
        let rest = u64::from(length).saturating_sub(24).min(MAX_BUFFER as u64);
        input.take(rest).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Shows what came to light in a stream.
fn show(
    report: &mut Report<impl Write>,
    elapsed: i128,
    (source, destination): (SocketAddr, SocketAddr),
    found: Found,
) -> Result<(), Failure> {
    let place = Place { elapsed, source, destination };
    match found {
        Found::Message(message) => report.message(&place, &message),
        Found::Inside(count) => report.note(
            &place,
            format_args!("{count} bytes of a message that began before are left out"),
        ),
        Found::Gap(count) => report.note(
            &place,
            format_args!("{count} bytes of the stream are missing; it is read on behind them"),
        ),
        Found::Broken(at, error) => {
            report.broken(&place, format_args!("at byte {at} of it: {error}"))
        }
        Found::CutOff(count) => {
            report.note(&place, format_args!("the stream ends after {count} bytes of a message"))
        }
    }?;
    Ok(())
}

/// A packet block as it was before there were enhanced ones; pcap-parser does not read it.
struct OldPacket<'a> {
    interface: u16,
    stamp: u64,
    data: &'a [u8],
}

impl<'a> OldPacket<'a> {
    /// Interface, drops, time stamp, length in the capture and on the wire, and the bytes.
    fn read(body: &'a [u8], is_big_endian: bool) -> Option<Self> {
        let &[i0, i1, _, _] = body.first_chunk()?;
        let words = body.get(4..20)?;
        let mut words = words.chunks_exact(4).map(|word| match (word, is_big_endian) {
            (&[a, b, c, d], true) => u32::from_be_bytes([a, b, c, d]),
            (&[a, b, c, d], false) => u32::from_le_bytes([a, b, c, d]),
            _ => 0,
        });
        let (high, low, captured) = (words.next()?, words.next()?, words.next()?);
        let interface = match is_big_endian {
            true => u16::from_be_bytes([i0, i1]),
            false => u16::from_le_bytes([i0, i1]),
        };
        let stamp = u64::from(high) << 32 | u64::from(low);
        let data = body.get(20..)?.get(..usize::try_from(captured).ok()?)?;
        Some(Self { interface, stamp, data })
    }
}

impl Interface {
    /// A time stamp in nanoseconds.
    fn nanos(&self, stamp: i128) -> i128 {
        stamp * NANOS / self.resolution + self.offset * NANOS
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { elapsed, source, destination } = self;
        let seconds = *elapsed as f64 / NANOS as f64;
        let (source, destination) = (source.to_string(), destination.to_string());
        write!(f, "{seconds:>10.6}  {source:>16} > {destination:<16}")
    }
}
