//! What is around SCTP, TCP and UDP in a captured packet: the link layer and IP.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, IpNumber, LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice, UdpSlice,
};
use pcap_parser::Linktype;

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
pub(crate) enum Unread {
    /// It is none of the three protocols.
    Other,
    /// It is a piece of an IP packet. SCTP and TCP take care that there are none.
    Fragment,
    /// The capture does not hold all of it.
    CutShort,
    /// Its link layer is not known here.
    Link(Linktype),
}

impl<'a> Packet<'a> {
    pub(crate) fn read(link: Linktype, frame: &'a [u8]) -> Result<Self, Unread> {
        let packet = slice(link, frame)?;
        let (source, destination): (IpAddr, IpAddr) = match packet.net.as_ref() {
            Some(LaxNetSlice::Ipv4(ip)) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            Some(LaxNetSlice::Ipv6(ip)) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            _ => return Err(Unread::Other),
        };
        let ip = packet.ip_payload().ok_or(Unread::Other)?;
        let (from, to, payload) = match packet.transport {
            _ if ip.fragmented => return Err(Unread::Fragment),
            _ if ip.incomplete => return Err(Unread::CutShort),
            Some(TransportSlice::Tcp(tcp)) => {
                (tcp.source_port(), tcp.destination_port(), Payload::Tcp(tcp))
            }
            Some(TransportSlice::Udp(udp)) => {
                (udp.source_port(), udp.destination_port(), Payload::Udp(udp))
            }
            None if ip.ip_number == IpNumber::SCTP => {
                let &[s0, s1, d0, d1] = ip.payload.first_chunk().ok_or(Unread::CutShort)?;
                let port = u16::from_be_bytes;
                (port([s0, s1]), port([d0, d1]), Payload::Sctp(ip.payload))
            }
            _ => return Err(Unread::Other),
        };
        let (source, destination) =
            (SocketAddr::new(source, from), SocketAddr::new(destination, to));
        Ok(Self { source, destination, payload })
    }
}

/// The layers of a packet, by the type of the link that it was captured on.
fn slice(link: Linktype, frame: &[u8]) -> Result<LaxSlicedPacket<'_>, Unread> {
    const RAW_BSD: Linktype = Linktype(12);
    const RAW_OPENBSD: Linktype = Linktype(14);
    const LOOP: Linktype = Linktype(108);

    let behind = |header: usize| frame.get(header..).ok_or(Unread::CutShort);
    let ip = |bytes| LaxSlicedPacket::from_ip(bytes).map_err(|_| Unread::Other);
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
