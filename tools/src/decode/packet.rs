//! What is around SCTP, TCP and UDP in a captured packet: the link layer, IP, and tunnels with any of these
//! in them.
//!
//! A packet is peeled, one wrapping after the other, until there is one of the three protocols or something
//! that is not known here. Ethernet with its tags and IP with its extensions are etherparse's; the tunnels
//! are a few fixed bytes each.

use std::net::{IpAddr, SocketAddr};

use etherparse::err::{ip::LaxHeaderSliceError, packet::SliceError};
use etherparse::{EtherType, IpNumber, LaxNetSlice, LaxSlicedPacket, TcpSlice, UdpSlice};
use pcap_parser::Linktype;

use super::fragments::Fragment;
use super::left::Left;

/// The UDP port of those who take SCTP over UDP (RFC 6951 §5.1).
const SCTP_OVER_UDP: u16 = 9_899;
/// The UDP port of VXLAN (RFC 7348 §8), and the one that Linux had before.
const VXLAN: [u16; 2] = [4_789, 8_472];
/// So many wrappings are taken off.
const MAX_WRAPPINGS: usize = 16;

/// A packet between two ends.
pub(crate) struct Packet<'a> {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) payload: Payload<'a>,
}

pub(crate) enum Payload<'a> {
    /// A whole SCTP packet.
    Sctp(&'a [u8]),
    Tcp(TcpSlice<'a>),
    Udp(UdpSlice<'a>),
}

/// Why nothing can be read from a packet.
pub(crate) enum Unread<'a> {
    /// It is a piece of an IP packet.
    Fragment(Fragment<'a>),
    /// It is not read.
    Left(Left),
}

/// What bytes begin with.
#[derive(Clone, Copy)]
enum Layer {
    Ethernet,
    /// What an Ethernet frame of this type holds.
    Ether(EtherType),
    Ppp,
    Ip,
    /// What an IP packet between these ends holds.
    Over(Ends, IpNumber),
}

type Ends = (IpAddr, IpAddr);

/// One step of peeling.
enum Step<'a> {
    Next(Layer, &'a [u8]),
    Done(Packet<'a>),
}

impl<'a> Packet<'a> {
    /// What is in a frame of such a link.
    pub(crate) fn read(link: Linktype, frame: &'a [u8]) -> Result<Self, Unread<'a>> {
        const RAW_BSD: Linktype = Linktype(12);
        const RAW_OPENBSD: Linktype = Linktype(14);
        const LOOP: Linktype = Linktype(108);
        const PPP: Linktype = Linktype(9);

        let cooked = |protocol: usize, header: usize| {
            let ether_type = EtherType(word(behind(frame, protocol)?)?);
            Ok((Layer::Ether(ether_type), behind(frame, header)?))
        };
        let (layer, bytes) = match link {
            Linktype::ETHERNET => (Layer::Ethernet, frame),
            Linktype::NULL | LOOP => (Layer::Ip, behind(frame, 4)?),
            Linktype::RAW | RAW_BSD | RAW_OPENBSD | Linktype::IPV4 | Linktype::IPV6 => {
                (Layer::Ip, frame)
            }
            Linktype::LINUX_SLL => cooked(14, 16)?,
            Linktype::LINUX_SLL2 => cooked(0, 20)?,
            PPP => (Layer::Ppp, frame),
            Linktype(other) => return Err(Unread::Left(Left::Link(other))),
        };
        Self::peel(layer, bytes)
    }

    /// What is in an IP packet.
    pub(crate) fn over(
        ends: Ends,
        protocol: IpNumber,
        bytes: &'a [u8],
    ) -> Result<Self, Unread<'a>> {
        Self::peel(Layer::Over(ends, protocol), bytes)
    }

    fn peel(mut layer: Layer, mut bytes: &'a [u8]) -> Result<Self, Unread<'a>> {
        for _ in 0..MAX_WRAPPINGS {
            let step = match layer {
                Layer::Ethernet => frame(LaxSlicedPacket::from_ethernet(bytes).map_err(|_| cut())?),
                Layer::Ether(EtherType(0x8847 | 0x8848)) => mpls(bytes),
                Layer::Ether(EtherType(0x8864)) => {
                    behind(bytes, 6).map(|inner| Step::Next(Layer::Ppp, inner))
                }
                Layer::Ether(kind) => frame(LaxSlicedPacket::from_ether_type(kind, bytes)),
                Layer::Ppp => ppp(bytes),
                Layer::Ip => match LaxSlicedPacket::from_ip(bytes) {
                    Ok(packet) => frame(packet),
                    Err(LaxHeaderSliceError::Len(_)) => Err(cut()),
                    Err(LaxHeaderSliceError::Content(_)) => Err(left(Left::EtherType(0x0800))),
                },
                Layer::Over(ends, protocol) => over(ends, protocol, bytes),
            };
            match step? {
                Step::Next(next, inner) => (layer, bytes) = (next, inner),
                Step::Done(packet) => return Ok(packet),
            }
        }
        Err(left(Left::TooDeep))
    }
}

/// What is behind Ethernet and IP.
fn frame(packet: LaxSlicedPacket<'_>) -> Result<Step<'_>, Unread<'_>> {
    let is_cut = matches!(packet.stop_err, Some((SliceError::Len(_), _)));
    let ends: Ends = match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        Some(LaxNetSlice::Arp(_)) => return Err(left(Left::EtherType(EtherType::ARP.0))),
        None => {
            let inner = packet.ether_payload().ok_or_else(cut)?;
            return match inner.ether_type {
                EtherType::IPV4 | EtherType::IPV6 | EtherType::ARP => {
                    Err(if is_cut { cut() } else { left(Left::EtherType(inner.ether_type.0)) })
                }
                // Tags beyond those that are taken off at once, and what is in tunnels.
                EtherType(0x8100 | 0x88a8 | 0x9100 | 0x8847 | 0x8848 | 0x8864) if !is_cut => {
                    Ok(Step::Next(Layer::Ether(inner.ether_type), inner.payload))
                }
                EtherType(_) if is_cut => Err(cut()),
                EtherType(kind) => Err(left(Left::EtherType(kind))),
            };
        }
    };
    let ip = packet.net.as_ref().and_then(LaxNetSlice::ip_payload_ref).ok_or_else(cut)?;
    if ip.incomplete {
        return Err(cut());
    }
    match packet.net.as_ref().and_then(|net| Fragment::of(ends, net, ip)) {
        Some(fragment) => Err(Unread::Fragment(fragment)),
        None => Ok(Step::Next(Layer::Over(ends, ip.ip_number), ip.payload)),
    }
}

/// Labels of four bytes each, the last of which is marked; no word says what they stand before (RFC 3032,
/// RFC 4385 §3).
fn mpls(mut bytes: &[u8]) -> Result<Step<'_>, Unread<'_>> {
    loop {
        let &[_, _, mark, _] = bytes.first_chunk().ok_or_else(cut)?;
        bytes = behind(bytes, 4)?;
        if mark & 1 != 0 {
            break;
        }
    }
    match bytes.first().ok_or_else(cut)? >> 4 {
        4 | 6 => Ok(Step::Next(Layer::Ip, bytes)),
        0 => Ok(Step::Next(Layer::Ethernet, behind(bytes, 4)?)),
        _ => Err(left(Left::UnderMpls)),
    }
}

/// A protocol and what it carries, in HDLC-like framing or without (RFC 1661 §2, RFC 1662 §3.1).
fn ppp(bytes: &[u8]) -> Result<Step<'_>, Unread<'_>> {
    let bytes = bytes.strip_prefix(&[0xff, 0x03]).unwrap_or(bytes);
    // The first of two bytes is even, unless it was left out.
    let (protocol, header) = match bytes.first().ok_or_else(cut)? {
        odd if odd & 1 != 0 => ((*odd).into(), 1),
        _ => (word(bytes)?, 2),
    };
    let inner = behind(bytes, header)?;
    match protocol {
        0x0021 | 0x0057 => Ok(Step::Next(Layer::Ip, inner)),
        0x0281 | 0x0283 => Ok(Step::Next(Layer::Ether(EtherType(0x8847)), inner)),
        other => Err(left(Left::Ppp(other))),
    }
}

/// What is over IP: one of the three protocols, or a tunnel.
fn over(ends: Ends, protocol: IpNumber, bytes: &[u8]) -> Result<Step<'_>, Unread<'_>> {
    let (from, to, payload) = match protocol {
        IpNumber::TCP => {
            let tcp = TcpSlice::from_slice(bytes).map_err(|_| cut())?;
            (tcp.source_port(), tcp.destination_port(), Payload::Tcp(tcp))
        }
        IpNumber::UDP => {
            let udp = UdpSlice::from_slice_lax(bytes).map_err(|_| cut())?;
            let (from, to) = (udp.source_port(), udp.destination_port());
            if [from, to].contains(&SCTP_OVER_UDP) {
                return Ok(Step::Next(Layer::Over(ends, IpNumber::SCTP), udp.payload()));
            }
            // A flag says that the network's number is valid; all else is zero (RFC 7348 §5).
            if VXLAN.contains(&to) && matches!(udp.payload(), [0x08, 0, 0, 0, ..]) {
                return Ok(Step::Next(Layer::Ethernet, behind(udp.payload(), 8)?));
            }
            (from, to, Payload::Udp(udp))
        }
        IpNumber::SCTP => (word(bytes)?, word(behind(bytes, 2)?)?, Payload::Sctp(bytes)),
        IpNumber::IPV4 | IpNumber::IPV6 => return Ok(Step::Next(Layer::Ip, bytes)),
        IpNumber::GRE => return gre(bytes),
        IpNumber(other) => return Err(left(Left::Protocol(other))),
    };
    let (source, destination) = (SocketAddr::new(ends.0, from), SocketAddr::new(ends.1, to));
    Ok(Step::Done(Packet { source, destination, payload }))
}

/// Flags that say which fields there are, the type of what is carried, and those fields (RFC 2784, RFC 2890;
/// version 1 is that of PPTP, RFC 2637 §4.1).
fn gre(bytes: &[u8]) -> Result<Step<'_>, Unread<'_>> {
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const ACKNOWLEDGMENT: u16 = 0x0080;
    /// Ethernet, as if it were a protocol above it.
    const BRIDGED: u16 = 0x6558;
    let (flags, kind) = (word(bytes)?, word(behind(bytes, 2)?)?);
    let fields = [CHECKSUM, KEY, SEQUENCE, ACKNOWLEDGMENT];
    let header = 4 + fields.iter().filter(|field| flags & **field != 0).count() * 4;
    let layer = match (flags & 7, kind) {
        _ if flags & ROUTING != 0 => return Err(left(Left::Gre)),
        (0, BRIDGED) => Layer::Ethernet,
        (0, kind) => Layer::Ether(EtherType(kind)),
        (1, _) => Layer::Ppp,
        _ => return Err(left(Left::Gre)),
    };
    Ok(Step::Next(layer, behind(bytes, header)?))
}

const fn left<'a>(what: Left) -> Unread<'a> {
    Unread::Left(what)
}

const fn cut<'a>() -> Unread<'a> {
    Unread::Left(Left::CutShort)
}

/// The bytes behind a header.
fn behind(bytes: &[u8], header: usize) -> Result<&[u8], Unread<'_>> {
    bytes.get(header..).ok_or_else(cut)
}

/// The first two bytes as a number.
fn word<'a>(bytes: &[u8]) -> Result<u16, Unread<'a>> {
    bytes.first_chunk().map(|word| u16::from_be_bytes(*word)).ok_or_else(cut)
}
