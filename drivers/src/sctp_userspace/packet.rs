//! What has to be seen in an SCTP packet (RFC 9260 §3) to know whose it is, and the two packets that
//! are sent without an association.
//!
//! The library reads and writes packets; this reads the little that it does not tell.

/// The header that all packets have.
pub(super) const HEADER: usize = 12;
/// The header that all chunks have.
pub(super) const CHUNK_HEADER: usize = 4;

/// The T bit: the tag is the receiver's own, reflected (RFC 9260 §8.5.1).
const TAG_REFLECTED: u8 = 0x1;

/// What a chunk is (RFC 9260 §3.2), as far as that matters here.
pub(super) mod chunk {
    pub(in super::super) const DATA: u8 = 0;
    pub(in super::super) const INIT: u8 = 1;
    pub(in super::super) const INIT_ACK: u8 = 2;
    pub(in super::super) const SACK: u8 = 3;
    pub(in super::super) const HEARTBEAT: u8 = 4;
    pub(in super::super) const HEARTBEAT_ACK: u8 = 5;
    pub(in super::super) const ABORT: u8 = 6;
    pub(in super::super) const SHUTDOWN: u8 = 7;
    pub(in super::super) const SHUTDOWN_ACK: u8 = 8;
    pub(in super::super) const ERROR: u8 = 9;
    pub(in super::super) const COOKIE_ECHO: u8 = 10;
    pub(in super::super) const COOKIE_ACK: u8 = 11;
    pub(in super::super) const SHUTDOWN_COMPLETE: u8 = 14;
}

/// The State Cookie of an INIT ACK (RFC 9260 §3.3.3).
const STATE_COOKIE: u16 = 7;
/// What an INIT or INIT ACK has before its parameters.
const INIT_HEADER: usize = 16;

/// A packet whose sender left the checksum to its network card, and that never went through one:
/// Linux does so between containers and namespaces, where it also leaves several packets for one
/// peer together, behind one header. With its checksum, it is a packet like any other.
pub(super) fn completed(bytes: &[u8]) -> Option<Vec<u8>> {
    let has_none = bytes.len() >= HEADER && bytes[8..HEADER] == [0; 4];
    has_none.then(|| {
        let mut packet = bytes.to_vec();
        seal(&mut packet);
        packet
    })
}

/// A packet that is whole: its checksum is right, and its first chunk lies within it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet<'a>(&'a [u8]);

impl<'a> Packet<'a> {
    /// Nothing where the bytes are no such packet.
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let packet = Self(bytes);
        (bytes.len() >= HEADER + CHUNK_HEADER && bytes.len() % 4 == 0 && packet.is_intact())
            .then_some(packet)
    }

    /// The beginning of a packet that was sent, as ICMP quotes it; the checksum says nothing then.
    pub(super) fn beginning(bytes: &'a [u8]) -> Option<Self> {
        (bytes.len() >= HEADER + CHUNK_HEADER).then_some(Self(bytes))
    }

    /// One of the library's.
    pub(super) fn own(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn source_port(self) -> u16 {
        u16_at(self.0, 0)
    }

    pub(super) fn destination_port(self) -> u16 {
        u16_at(self.0, 2)
    }

    pub(super) fn tag(self) -> u32 {
        u32_at(self.0, 4)
    }

    pub(super) fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The type of the first chunk. Those that decide about an association come first or alone.
    pub(super) fn kind(self) -> u8 {
        self.0[HEADER]
    }

    /// Whether the tag is the one that the receiver gave its peer.
    pub(super) fn reflects_tag(self) -> bool {
        matches!(self.kind(), chunk::ABORT | chunk::SHUTDOWN_COMPLETE)
            && self.0[HEADER + 1] & TAG_REFLECTED != 0
    }

    /// Whether a chunk of that type is in it.
    pub(super) fn has(self, kind: u8) -> bool {
        self.chunks().any(|(of, _)| of == kind)
    }

    /// Whether the peer is to answer something in it.
    pub(super) fn asks(self) -> bool {
        const ASKING: [u8; 5] = [
            chunk::DATA,
            chunk::HEARTBEAT,
            chunk::SHUTDOWN,
            chunk::SHUTDOWN_ACK,
            chunk::COOKIE_ECHO,
        ];
        self.chunks().any(|(kind, _)| ASKING.contains(&kind))
    }

    /// Whether it answers something.
    pub(super) fn answers(self) -> bool {
        const ANSWERING: [u8; 5] = [
            chunk::SACK,
            chunk::HEARTBEAT_ACK,
            chunk::COOKIE_ACK,
            // Both say what has arrived.
            chunk::SHUTDOWN,
            chunk::SHUTDOWN_ACK,
        ];
        self.chunks().any(|(kind, _)| ANSWERING.contains(&kind))
    }

    /// The tag that its sender wants to be called by from now on, in an INIT or INIT ACK.
    pub(super) fn initiate_tag(self) -> Option<u32> {
        let is_init = matches!(self.kind(), chunk::INIT | chunk::INIT_ACK);
        let tag = self.0.get(HEADER + CHUNK_HEADER..)?.first_chunk().filter(|_| is_init)?;
        Some(u32::from_be_bytes(*tag))
    }

    /// The length of the cookie in an INIT ACK, which has to fit into the packet that echoes it.
    pub(super) fn cookie_len(self) -> Option<usize> {
        let (_, value) = self.chunks().next().filter(|(kind, _)| *kind == chunk::INIT_ACK)?;
        let parameters = Records { rest: value.get(INIT_HEADER..)?, of_type: u16_at };
        parameters
            .into_iter()
            .find(|(kind, _)| *kind == STATE_COOKIE)
            .map(|(_, cookie)| cookie.len())
    }

    /// What is due to a packet that belongs to no association (RFC 9260 §8.4). It is no longer than
    /// what it answers.
    pub(super) fn answer_to_stranger(self) -> Option<Vec<u8>> {
        let (kind, flags, tag) = match self.kind() {
            // The one that completed the shutdown was lost.
            chunk::SHUTDOWN_ACK => (chunk::SHUTDOWN_COMPLETE, TAG_REFLECTED, self.tag()),
            chunk::INIT => (chunk::ABORT, 0, self.initiate_tag()?),
            chunk::INIT_ACK | chunk::COOKIE_ECHO | chunk::COOKIE_ACK => return None,
            _ if [chunk::ABORT, chunk::SHUTDOWN_COMPLETE, chunk::ERROR]
                .into_iter()
                .any(|kind| self.has(kind)) =>
            {
                return None;
            }
            _ => (chunk::ABORT, TAG_REFLECTED, self.tag()),
        };
        let ports = [self.destination_port(), self.source_port()].map(u16::to_be_bytes).concat();
        let mut answer = [&ports[..], &tag.to_be_bytes(), &[0; 4], &[kind, flags, 0, 4]].concat();
        seal(&mut answer);
        Some(answer)
    }

    fn chunks(self) -> impl Iterator<Item = (u8, &'a [u8])> {
        Records { rest: &self.0[HEADER..], of_type: |bytes, at| bytes[at] }
    }

    fn is_intact(self) -> bool {
        checksum(self.0).to_le_bytes() == self.0[8..HEADER]
    }
}

/// Chunks or parameters: a type, a length at the third byte that counts the header, a value, padding.
struct Records<'a, T> {
    rest: &'a [u8],
    of_type: fn(&[u8], usize) -> T,
}

impl<'a, T> Iterator for Records<'a, T> {
    type Item = (T, &'a [u8]);

    /// Ends where a length leads nowhere.
    fn next(&mut self) -> Option<Self::Item> {
        let len = usize::from(u16_at(self.rest.get(..CHUNK_HEADER)?, 2));
        let value = self.rest.get(CHUNK_HEADER..len)?;
        let kind = (self.of_type)(self.rest, 0);
        self.rest = self.rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// Writes the checksum into a packet. It must have a header.
pub(super) fn seal(packet: &mut [u8]) {
    let checksum = checksum(packet).to_le_bytes();
    packet[8..HEADER].copy_from_slice(&checksum);
}

/// CRC32c over a packet whose checksum counts as zero (RFC 9260 §6.8, appendix A).
fn checksum(packet: &[u8]) -> u32 {
    let bytes = packet[..8].iter().chain(&[0; 4]).chain(&packet[HEADER..]);
    !bytes.fold(!0, |crc, byte| CRC32C[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

/// What each byte does to the remainder.
const CRC32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(tag: u32, chunks: &[u8]) -> Vec<u8> {
        let mut packet =
            [&[0x0f, 0x17, 0xc0, 0x00][..], &tag.to_be_bytes(), &[0; 4], chunks].concat();
        seal(&mut packet);
        packet
    }

    /// The check value of CRC32c, from RFC 3720 §B.4: 32 bytes of zero. The checksum's own place
    /// counts as zero, so a packet of zeros serves.
    #[test]
    fn the_checksum_is_crc32c() {
        assert_eq!(checksum(&[0; 32]), 0x8a91_36aa);
    }

    /// A packet that was cut or altered is none.
    #[test]
    fn damage_is_seen() {
        let whole = packet(7, &[chunk::ABORT, 0, 0, 4]);
        assert_eq!(Packet::new(&whole).unwrap().tag(), 7);
        for len in 0..whole.len() {
            assert!(Packet::new(&whole[..len]).is_none(), "{len}");
        }
        for at in 0..whole.len() * 8 {
            let mut altered = whole.clone();
            altered[at / 8] ^= 1 << (at % 8);
            assert!(Packet::new(&altered).is_none(), "bit {at}");
        }
    }

    /// One without a checksum gets it; one with a wrong checksum does not.
    #[test]
    fn a_checksum_that_was_left_out_is_made_up_for() {
        let whole = packet(7, &[chunk::ABORT, 0, 0, 4]);
        let mut bytes = whole.clone();
        assert_eq!(completed(&bytes), None);
        bytes[8..12].fill(0);
        assert_eq!(completed(&bytes), Some(whole));
        assert_eq!(completed(&bytes[..11]), None);
    }

    /// Lengths that lead nowhere end the walk.
    #[test]
    fn chunks_end_where_a_length_is_wrong() {
        for chunks in [[3, 0, 0, 0], [3, 0, 0, 3], [3, 0, 0, 5], [3, 0, 0xff, 0xff]] {
            let bytes = packet(7, &chunks);
            assert!(!Packet::new(&bytes).unwrap().has(3), "{chunks:?}");
        }
        let bytes = packet(7, &[3, 0, 0, 5, 9, 0, 0, 0, 5, 0, 0, 4]);
        let two = Packet::new(&bytes).unwrap();
        assert!(two.has(3) && two.has(5) && !two.has(9));
    }

    /// RFC 9260 §8.4: who speaks to nobody is told so, but for those who would answer that.
    #[test]
    fn strangers_are_answered() {
        let answer = |chunks: &[u8]| {
            let bytes = packet(7, chunks);
            let answer = Packet::new(&bytes).unwrap().answer_to_stranger()?;
            let answer = Packet::new(&answer).unwrap();
            assert_eq!((answer.source_port(), answer.destination_port()), (0xc000, 0x0f17));
            Some((answer.kind(), answer.reflects_tag(), answer.tag()))
        };
        let data = [0, 3, 0, 4];
        assert_eq!(answer(&data), Some((chunk::ABORT, true, 7)));
        assert_eq!(answer(&[8, 0, 0, 4]), Some((chunk::SHUTDOWN_COMPLETE, true, 7)));
        let init = [&[1, 0, 0, 20, 0, 0, 0, 9][..], &[0; 12]].concat();
        assert_eq!(answer(&init), Some((chunk::ABORT, false, 9)));
        for silent in [chunk::ABORT, chunk::SHUTDOWN_COMPLETE, chunk::ERROR, chunk::COOKIE_ECHO] {
            assert_eq!(answer(&[silent, 0, 0, 4]), None, "{silent}");
        }
        assert_eq!(answer(&[data, [chunk::ABORT, 0, 0, 4]].concat()), None);
    }

    #[test]
    fn the_cookie_is_measured() {
        let init_ack = [&[2, 0, 0, 32, 0, 0, 0, 9][..], &[0; 12], &[0, 7, 0, 11], &[1; 8]].concat();
        let bytes = packet(7, &init_ack);
        let init_ack = Packet::new(&bytes).unwrap();
        assert_eq!((init_ack.initiate_tag(), init_ack.cookie_len()), (Some(9), Some(7)));
    }
}
