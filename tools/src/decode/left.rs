//! What of a capture could not be read, or was not to be: counted by kind, and named at the end.

use std::collections::BTreeMap;
use std::fmt;

use etherparse::IpNumber;

/// Something that was left out. What can be helped comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Left {
    /// A packet of a link of this type.
    Link(i32),
    /// A packet of which the capture does not hold all.
    CutShort,
    /// An IP fragment without the others.
    Fragment,
    /// A piece of an SCTP message without the others.
    Piece,
    /// An SCTP packet with a chunk whose length cannot be.
    BrokenChunk,
    /// A TCP segment with data of a port that is not ASAP's.
    TcpPort,
    /// A UDP datagram of a port that is not ASAP's.
    UdpPort,
    /// An SCTP chunk with data that is marked as something else than ASAP.
    OtherData,
    /// A packet in more wrappings than anybody uses.
    TooDeep,
    /// A packet with this in a frame.
    EtherType(u16),
    /// A packet with this over PPP.
    Ppp(u16),
    /// A packet under MPLS labels that do not say what it is.
    UnderMpls,
    /// A packet in GRE of a version or a kind that is not known here.
    Gre,
    /// A packet of this protocol over IP.
    Protocol(u8),
    /// A block of a pcapng file, of this type.
    Block(u32),
}

/// How much of each kind.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<Left, usize>);

impl Tally {
    pub(crate) fn add(&mut self, what: Left, count: usize) {
        if count > 0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// The one link that everything was captured on, if it is not known here.
    pub(crate) fn only_link(&self, packets: usize) -> Option<i32> {
        match self.0.iter().next() {
            Some((&Left::Link(link), &count)) if count == packets => Some(link),
            _ => None,
        }
    }
}

/// What is said behind other counts.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut mark = "; left out: ";
        self.0.iter().try_for_each(|(what, count)| {
            write!(f, "{mark}{what}: {count}")?;
            mark = ", ";
            Ok(())
        })
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Link(link) => write!(f, "packets of link type {link}, which is not known here"),
            Self::CutShort => f.write_str("packets cut short by the capture"),
            Self::Fragment => f.write_str("IP fragments without the others"),
            Self::Piece => f.write_str("pieces of SCTP messages without the others"),
            Self::BrokenChunk => f.write_str("SCTP packets with a broken chunk"),
            Self::TcpPort => f.write_str("TCP segments of other ports"),
            Self::UdpPort => f.write_str("UDP datagrams of other ports"),
            Self::OtherData => f.write_str("SCTP data other than ASAP"),
            Self::TooDeep => f.write_str("packets in too many wrappings"),
            Self::EtherType(0x0806) => f.write_str("ARP"),
            Self::EtherType(0x88cc) => f.write_str("LLDP"),
            Self::EtherType(0x8863) => f.write_str("PPPoE discovery"),
            Self::EtherType(kind @ ..0x600) => write!(f, "IEEE 802.3 frames of {kind} bytes"),
            Self::EtherType(kind) => write!(f, "EtherType {kind:#06x}"),
            Self::Ppp(protocol) => write!(f, "PPP protocol {protocol:#06x}"),
            Self::UnderMpls => f.write_str("neither IP nor Ethernet under MPLS"),
            Self::Gre => f.write_str("GRE of another kind"),
            Self::Protocol(number) => match IpNumber(number).keyword_str() {
                Some(name) => f.write_str(name),
                None => write!(f, "IP protocol {number}"),
            },
            Self::Block(kind) => write!(f, "pcapng blocks of type {kind:#x}"),
        }
    }
}
