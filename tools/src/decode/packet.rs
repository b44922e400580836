//! What is around SCTP, TCP and UDP in a captured packet: the link layer and IP.

use std::net::{IpAddr, SocketAddr};

use etherparse::err::{ip::LaxHeaderSliceError, packet::SliceError};
use etherparse::{EtherType, IpNumber, LaxNetSlice, LaxSlicedPacket, TcpSlice, UdpSlice};
use pcap_parser::Linktype;

use super::fragments::Fragment;

/// The UDP port of those who take SCTP over UDP (RFC 6951 §5.1).
const SCTP_OVER_UDP: u16 = 9_899;

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
    /// It is none of the three protocols.
    Other,
    /// It is a piece of an IP packet.
    Fragment(Fragment<'a>),
    /// The capture does not hold all of it.
    CutShort,
    /// Its link layer is not known here.
    Link(Linktype),
}

impl<'a> Packet<'a> {
    pub(crate) fn read(link: Linktype, frame: &'a [u8]) -> Result<Self, Unread<'a>> {
        let packet = slice(link, frame)?;
        let is_cut = matches!(packet.stop_err, Some((SliceError::Len(_), _)));
        let nothing = || if is_cut { Unread::CutShort } else { Unread::Other };
        let net = packet.net.as_ref().ok_or_else(nothing)?;
        let ends: (IpAddr, IpAddr) = match net {
            LaxNetSlice::Ipv4(ip) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            LaxNetSlice::Ipv6(ip) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            LaxNetSlice::Arp(_) => return Err(Unread::Other),
        };
        let ip = packet.ip_payload().ok_or(Unread::Other)?;
        if ip.incomplete {
            return Err(Unread::CutShort);
        }
        match Fragment::of(ends, net, ip) {
            Some(fragment) => Err(Unread::Fragment(fragment)),
            None => Self::of(ends, ip.ip_number, ip.payload).map_err(|_| nothing()),
        }
    }

    /// The packet with this payload. `Err` if it is none of the three protocols.
    pub(crate) fn of(
        (source, destination): (IpAddr, IpAddr),
        protocol: IpNumber,
        bytes: &'a [u8],
    ) -> Result<Self, ()> {
        let (from, to, payload) = match protocol {
            IpNumber::TCP => {
                let tcp = TcpSlice::from_slice(bytes).map_err(drop)?;
                (tcp.source_port(), tcp.destination_port(), Payload::Tcp(tcp))
            }
            IpNumber::UDP => {
                let udp = UdpSlice::from_slice_lax(bytes).map_err(drop)?;
                if [udp.source_port(), udp.destination_port()].contains(&SCTP_OVER_UDP) {
                    return Self::of((source, destination), IpNumber::SCTP, udp.payload());
                }
                (udp.source_port(), udp.destination_port(), Payload::Udp(udp))
            }
            IpNumber::SCTP => {
                let &[s0, s1, d0, d1] = bytes.first_chunk().ok_or(())?;
                let port = u16::from_be_bytes;
                (port([s0, s1]), port([d0, d1]), Payload::Sctp(bytes))
            }
            _ => return Err(()),
        };
        let (source, destination) =
            (SocketAddr::new(source, from), SocketAddr::new(destination, to));
        Ok(Self { source, destination, payload })
    }
}

/// The layers of a packet, by the type of the link that it was captured on.
fn slice(link: Linktype, frame: &[u8]) -> Result<LaxSlicedPacket<'_>, Unread<'_>> {
    const RAW_BSD: Linktype = Linktype(12);
    const RAW_OPENBSD: Linktype = Linktype(14);
    const LOOP: Linktype = Linktype(108);

    let behind = |header: usize| frame.get(header..).ok_or(Unread::CutShort);
    let ip = |bytes| {
        LaxSlicedPacket::from_ip(bytes).map_err(|error| match error {
            LaxHeaderSliceError::Len(_) => Unread::CutShort,
            LaxHeaderSliceError::Content(_) => Unread::Other,
        })
    };
    let cooked = |protocol: usize, header: usize| {
        let &[t0, t1] = behind(protocol)?.first_chunk().ok_or(Unread::CutShort)?;
        let ether_type = EtherType(u16::from_be_bytes([t0, t1]));
        Ok(LaxSlicedPacket::from_ether_type(ether_type, behind(header)?))
    };
    match link {
        Linktype::ETHERNET => LaxSlicedPacket::from_ethernet(frame).map_err(|_| Unread::CutShort),
        Linktype::NULL | LOOP => ip(behind(4)?),
        Linktype::RAW | RAW_BSD | RAW_OPENBSD | Linktype::IPV4 | Linktype::IPV6 => ip(frame),
        Linktype::LINUX_SLL => cooked(14, 16),
        Linktype::LINUX_SLL2 => cooked(0, 20),
        other => Err(Unread::Link(other)),
    }
}
