//! ASAP messages out of SCTP packets (RFC 9260).
//!
//! A packet is a header and chunks. A DATA chunk carries a user message, or a piece of one: the
//! flags B and E mark the first and the last, and the transmission sequence numbers (TSN) in
//! between go up by one. A receiver is allowed to see them in any order and more than once. Of an
//! I-DATA chunk (RFC 8260 §2.1) the TSN only tells it from its copies: the message has a number in
//! its stream, the pieces are numbered in the message, and only the first says what it carries.
//!
//! An association direction is known by its two ports and the verification tag, not by addresses:
//! an association may use several of them at each end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use asap_pu::wire::ASAP_PPID;

const COMMON_HEADER: usize = 12;
const CHUNK_HEADER: usize = 4;
/// The chunk type of DATA (§3.3.1).
const DATA: u8 = 0x00;
/// The one of I-DATA (RFC 8260 §2.1).
const I_DATA: u8 = 0x40;
/// The flag of the last piece of a message.
const END: u8 = 0x01;
/// The flag of the first piece of a message.
const BEGIN: u8 = 0x02;
/// The flag of a message outside of the order, which has numbers of its own with I-DATA.
const UNORDERED: u8 = 0x04;

/// So many pieces are kept; beyond, those that wait are given up.
const MAX_PIECES: usize = 1024;
/// A chunk is known for a copy as long as there were not so many since.
const MAX_SEEN: usize = 0x1_0000;

/// Puts messages together again.
#[derive(Default)]
pub(crate) struct Reassembly {
    pieces: BTreeMap<(Direction, Message, u32), Piece>,
    seen: BTreeSet<(Direction, u32)>,
    /// The same, in the order in which they came.
    recent: VecDeque<(Direction, u32)>,
    given_up: usize,
    broken: usize,
    other_data: usize,
}

/// Ports and verification tag of an association, one way.
type Direction = [u8; 8];
/// Order, stream and number of a message in I-DATA chunks. Those in DATA chunks have none, and need
/// none: no piece of another one can be between theirs.
type Message = Option<(u8, [u8; 8])>;

struct Piece {
    flags: u8,
    is_asap: bool,
    data: Vec<u8>,
}

/// What of a chunk with data matters here.
struct Chunk<'a> {
    flags: u8,
    tsn: u32,
    message: Message,
    /// Pieces of a message go up by one.
    number: u32,
    /// Not known of the later pieces in I-DATA chunks.
    is_asap: bool,
    data: &'a [u8],
}

impl Reassembly {
    /// The ASAP messages that an SCTP packet completes.
    pub(crate) fn take(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        let header = packet.split_at_checked(COMMON_HEADER);
        let header = header.and_then(|(header, chunks)| Some((*header.first_chunk()?, chunks)));
        let Some((direction, mut chunks)) = header else {
            self.broken += 1;
            return Vec::new();
        };
        let mut messages = Vec::new();
        while !chunks.is_empty() {
            match Chunk::read(&mut chunks) {
                None => {
                    self.broken += 1;
                    break;
                }
                Some(Content::Data(chunk)) => messages.extend(self.chunk(direction, &chunk)),
                Some(Content::OtherData) => self.other_data += 1,
                Some(Content::Other) => {}
            }
        }
        messages
    }

    /// In how many packets a chunk had a length that cannot be.
    pub(crate) const fn broken(&self) -> usize {
        self.broken
    }

    /// How many chunks had data of another kind.
    pub(crate) const fn other_data(&self) -> usize {
        self.other_data
    }

    /// How many pieces never became a message.
    pub(crate) fn left_over(&self) -> usize {
        self.given_up + self.pieces.values().filter(|piece| piece.is_asap).count()
    }

    fn chunk(&mut self, direction: Direction, chunk: &Chunk<'_>) -> Option<Vec<u8>> {
        let &Chunk { flags, tsn, message, number, is_asap, data } = chunk;
        if !self.seen.insert((direction, tsn)) {
            return None;
        }
        self.recent.push_back((direction, tsn));
        if self.recent.len() > MAX_SEEN {
            self.recent.pop_front().map(|oldest| self.seen.remove(&oldest));
        }
        if flags & (BEGIN | END) == BEGIN | END {
            return self.of_asap(is_asap, data.to_vec());
        }
        if self.pieces.len() == MAX_PIECES {
            self.given_up = self.left_over();
            self.pieces.clear();
        }
        let piece = Piece { flags, is_asap, data: data.to_vec() };
        self.pieces.insert((direction, message, number), piece);
        self.complete(direction, message, number)
    }

    /// The message around a piece, if all of it is there and it is one of ASAP.
    fn complete(&mut self, direction: Direction, message: Message, number: u32) -> Option<Vec<u8>> {
        let piece = |number| self.pieces.get(&(direction, message, number));
        let mut first = number;
        while piece(first)?.flags & BEGIN == 0 {
            first = first.wrapping_sub(1);
        }
        let is_asap = piece(first)?.is_asap;
        let mut last = number;
        while piece(last)?.flags & END == 0 {
            last = last.wrapping_add(1);
        }
        let mut whole = Vec::new();
        for ahead in 0..=last.wrapping_sub(first) {
            let piece = self.pieces.remove(&(direction, message, first.wrapping_add(ahead)))?;
            whole.extend(piece.data);
        }
        self.of_asap(is_asap, whole)
    }

    fn of_asap(&mut self, is_asap: bool, whole: Vec<u8>) -> Option<Vec<u8>> {
        self.other_data += usize::from(!is_asap);
        is_asap.then_some(whole)
    }
}

/// What is in a chunk.
enum Content<'a> {
    /// Data that may be ASAP.
    Data(Chunk<'a>),
    OtherData,
    /// No data.
    Other,
}

impl<'a> Chunk<'a> {
    /// Takes the first one of these chunks. `None` if it is broken.
    fn read(chunks: &mut &'a [u8]) -> Option<Content<'a>> {
        let &[kind, flags, l0, l1] = chunks.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let value = chunks.get(CHUNK_HEADER..length)?;
        *chunks = chunks.get(length.next_multiple_of(4)..).unwrap_or_default();
        // Both have the payload protocol identifier at the end of the header; I-DATA has it in the
        // first piece only, and the number of the piece in the others.
        let (tsn, message, last, data) = match kind {
            DATA => {
                let (&[t0, t1, t2, t3, _, _, _, _, ref last @ ..], data) =
                    value.split_first_chunk::<12>()?;
                ([t0, t1, t2, t3], None, *last, data)
            }
            I_DATA => {
                let (&[t0, t1, t2, t3, ref rest @ ..], data) = value.split_first_chunk::<16>()?;
                let (stream_and_number, last) = rest.split_first_chunk()?;
                let message = Some((flags & UNORDERED, *stream_and_number));
                ([t0, t1, t2, t3], message, *last.first_chunk()?, data)
            }
            _ => return Some(Content::Other),
        };
        let (tsn, last) = (u32::from_be_bytes(tsn), u32::from_be_bytes(last));
        let (number, is_asap) = match message {
            None => (tsn, last == ASAP_PPID),
            Some(_) if flags & BEGIN != 0 => (0, last == ASAP_PPID),
            Some(_) => (last, false),
        };
        Some(match is_asap || message.is_some() {
            true => Content::Data(Self { flags, tsn, message, number, is_asap, data }),
            false => Content::OtherData,
        })
    }
}
