//! ASAP messages out of SCTP packets (RFC 9260).
//!
//! A packet is a header and chunks. A DATA chunk carries a user message, or a piece of one: the
//! flags B and E mark the first and the last, and the transmission sequence numbers (TSN) in
//! between go up by one. A receiver is allowed to see them in any order and more than once.
//!
//! An association direction is known by its two ports and the verification tag, not by addresses:
//! an association may use several of them at each end.

use std::collections::{BTreeMap, VecDeque};
use std::iter;

use asap_pu::wire::ASAP_PPID;

const COMMON_HEADER: usize = 12;
const CHUNK_HEADER: usize = 4;
/// The chunk type of DATA (§3.3.1).
const DATA: u8 = 0x00;
/// The flag of the last piece of a message.
const END: u8 = 0x01;
/// The flag of the first piece of a message.
const BEGIN: u8 = 0x02;

/// So many pieces are kept; beyond, those that wait are given up.
const MAX_PIECES: usize = 1024;
/// A chunk is known for a copy as long as there were not so many since.
const MAX_SEEN: usize = 512;

/// Puts messages together again.
#[derive(Default)]
pub(crate) struct Reassembly {
    pieces: BTreeMap<(Direction, u32), Piece>,
    seen: VecDeque<(Direction, u32)>,
    given_up: usize,
}

/// Ports and verification tag of an association, one way.
type Direction = [u8; 8];

struct Piece {
    flags: u8,
    data: Vec<u8>,
}

/// What of a DATA chunk matters here.
struct Chunk<'a> {
    flags: u8,
    tsn: u32,
    data: &'a [u8],
}

impl Reassembly {
    /// The ASAP messages that an SCTP packet completes.
    pub(crate) fn take(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        let Some((direction, chunks)) = packet.split_at_checked(COMMON_HEADER) else {
            return Vec::new();
        };
        let Some(&direction) = direction.first_chunk() else { return Vec::new() };
        asap_chunks(chunks).filter_map(|chunk| self.chunk(direction, &chunk)).collect()
    }

    /// How many pieces never became a message.
    pub(crate) fn left_over(&self) -> usize {
        self.given_up + self.pieces.len()
    }

    fn chunk(&mut self, direction: Direction, chunk: &Chunk<'_>) -> Option<Vec<u8>> {
        let key = (direction, chunk.tsn);
        if self.seen.contains(&key) {
            return None;
        }
        self.seen.push_back(key);
        if self.seen.len() > MAX_SEEN {
            self.seen.pop_front();
        }
        if chunk.flags & (BEGIN | END) == BEGIN | END {
            return Some(chunk.data.to_vec());
        }
        if self.pieces.len() == MAX_PIECES {
            self.given_up += self.pieces.len();
            self.pieces.clear();
        }
        self.pieces.insert(key, Piece { flags: chunk.flags, data: chunk.data.to_vec() });
        self.complete(direction, chunk.tsn)
    }

    /// The message around a piece, if all of it is there.
    fn complete(&mut self, direction: Direction, tsn: u32) -> Option<Vec<u8>> {
        let flags = |tsn| self.pieces.get(&(direction, tsn)).map(|piece| piece.flags);
        let mut first = tsn;
        while flags(first)? & BEGIN == 0 {
            first = first.wrapping_sub(1);
        }
        let mut last = tsn;
        while flags(last)? & END == 0 {
            last = last.wrapping_add(1);
        }
        let mut message = Vec::new();
        for ahead in 0..=last.wrapping_sub(first) {
            let piece = self.pieces.remove(&(direction, first.wrapping_add(ahead)))?;
            message.extend(piece.data);
        }
        Some(message)
    }
}

/// The DATA chunks among these that carry ASAP.
fn asap_chunks(mut chunks: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let every = iter::from_fn(move || {
        let &[kind, flags, l0, l1] = chunks.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let value = chunks.get(CHUNK_HEADER..length)?;
        chunks = chunks.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, flags, value))
    });
    every.filter_map(|(kind, flags, value)| {
        // TSN, stream identifier and sequence number, payload protocol identifier.
        let (&[t0, t1, t2, t3, _, _, _, _, p0, p1, p2, p3], data) = value.split_first_chunk()?;
        let is_asap = kind == DATA && u32::from_be_bytes([p0, p1, p2, p3]) == ASAP_PPID;
        is_asap.then_some(Chunk { flags, tsn: u32::from_be_bytes([t0, t1, t2, t3]), data })
    })
}
