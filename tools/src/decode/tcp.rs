//! ASAP messages out of TCP segments.
//!
//! Each direction of a connection is a stream of bytes, and every byte has a number. Segments may
//! come late, twice, or overlap; what runs ahead is kept until the bytes before it have come. A
//! capture can also lack bytes for good, or begin in the middle of a connection: then the next place is
//! looked for where a message [begins](super::beginning).

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::net::SocketAddr;

use asap_pu::wire::{FramingError, StreamDecoder};
use etherparse::TcpSlice;

use super::beginning::Beginning;

/// A stream waits for missing bytes until there are more segments than these behind them.
const MAX_AHEAD: usize = 64;
/// What comes again is not further back than this.
const MAX_BACK: i32 = 1 << 24;
/// So many streams are followed; those that were silent longest are given up.
const MAX_STREAMS: usize = 256;

/// All streams of a capture.
#[derive(Default)]
pub(crate) struct Streams {
    streams: BTreeMap<Direction, Stream>,
    /// The same, in the order of their last segment.
    recent: VecDeque<Direction>,
}

/// Where a segment comes from and where it goes to.
pub(crate) type Direction = (SocketAddr, SocketAddr);

/// What comes to light in a stream.
pub(crate) enum Found {
    /// A message with its padding.
    Message(Vec<u8>),
    /// So many bytes belong to messages whose beginning was not captured.
    Inside(u64),
    /// So many bytes are missing from the capture.
    Gap(u64),
    /// What is at this byte cannot be the length of a message.
    Broken(u64, FramingError),
    /// The stream is over, and so many bytes of a message are there.
    CutOff(usize),
}

/// One direction of a connection. Bytes are counted on beyond the 32 bits of a sequence number.
struct Stream {
    first: u64,
    next: u64,
    ahead: BTreeMap<u64, Vec<u8>>,
    reading: Reading,
}

enum Reading {
    /// It is known where messages begin.
    Aligned(StreamDecoder),
    /// It is not; so many bytes were passed over, and these may begin one.
    Searching { passed: u64, bytes: Vec<u8> },
}

impl Streams {
    /// Takes a segment; what it brings to light, in this and in other streams.
    pub(crate) fn take(
        &mut self,
        direction: Direction,
        segment: &TcpSlice<'_>,
    ) -> Vec<(Direction, Found)> {
        let mut ended = None;
        let number = segment.sequence_number();
        let stream = self.streams.get(&direction);
        // What comes with a reset is for people, and no part of the stream.
        if segment.rst() {
            return Vec::new();
        }
        if segment.syn() {
            let number = number.wrapping_add(1);
            // Unless it comes twice, or late.
            if stream.is_none_or(|stream| stream.first as u32 != number) {
                ended = self.end(direction);
                self.streams.insert(direction, Stream::new(number, Reading::aligned()));
            }
        } else if segment.payload().is_empty() {
            return Vec::new();
        } else if stream.is_some_and(|stream| stream.is_long_past(number)) {
            ended = self.end(direction);
        }
        self.recent.retain(|other| *other != direction);
        self.recent.push_back(direction);
        if self.recent.len() > MAX_STREAMS {
            ended = self.recent.front().copied().and_then(|oldest| self.end(oldest));
        }
        let mut found: Vec<_> = ended.into_iter().flatten().collect();
        let stream = self
            .streams
            .entry(direction)
            .or_insert_with(|| Stream::new(number, Reading::searching()));
        let start = number.wrapping_add(u32::from(segment.syn()));
        let here = stream.segment(start, segment.payload());
        found.extend(here.into_iter().map(|it| (direction, it)));
        found
    }

    /// The capture is over: what is still in the streams.
    pub(crate) fn finish(mut self) -> Vec<(Direction, Found)> {
        let mut found = Vec::new();
        while let Some(direction) = self.recent.front().copied() {
            found.extend(self.end(direction).into_iter().flatten());
        }
        found
    }

    /// What is still in a stream that is followed no longer.
    fn end(
        &mut self,
        direction: Direction,
    ) -> Option<impl Iterator<Item = (Direction, Found)> + use<>> {
        self.recent.retain(|other| *other != direction);
        let stream = self.streams.remove(&direction)?;
        Some(stream.finish().into_iter().map(move |it| (direction, it)))
    }
}

impl Stream {
    const fn new(number: u32, reading: Reading) -> Self {
        // One lap ahead, so that a byte before the first one has a number too.
        let first = (1 << 32) + number as u64;
        Self { first, next: first, ahead: BTreeMap::new(), reading }
    }

    /// Whether a byte lies so far back that nobody sends it again: a new connection between the
    /// same ends, whose beginning was not captured.
    fn is_long_past(&self, number: u32) -> bool {
        (number.wrapping_sub(self.next as u32) as i32) < -MAX_BACK
    }

    fn segment(&mut self, number: u32, payload: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        // The byte with this number that is nearest to the next one.
        let distance = number.wrapping_sub(self.next as u32) as i32;
        let start = self.next.saturating_add_signed(distance.into());
        let kept = self.ahead.entry(start).or_default();
        if kept.len() < payload.len() {
            *kept = payload.to_vec();
        }
        self.read(&mut found);
        if self.ahead.len() > MAX_AHEAD {
            self.skip_gap(&mut found);
        }
        found
    }

    fn finish(mut self) -> Vec<Found> {
        let mut found = Vec::new();
        while !self.ahead.is_empty() {
            self.skip_gap(&mut found);
        }
        self.cut_off(&mut found);
        found
    }

    /// Reads what has arrived up to the next gap.
    fn read(&mut self, found: &mut Vec<Found>) {
        while let Some(entry) = self.ahead.first_entry() {
            if *entry.key() > self.next {
                break;
            }
            let (start, bytes) = entry.remove_entry();
            let known = usize::try_from(self.next - start).unwrap_or(usize::MAX);
            let fresh = bytes.get(known..).unwrap_or_default();
            self.next += fresh.len() as u64;
            let at = self.next - self.first;
            self.reading.take(fresh, at, found);
        }
    }

    /// Gives up the bytes before the first that are there.
    fn skip_gap(&mut self, found: &mut Vec<Found>) {
        let Some((&start, _)) = self.ahead.first_key_value() else { return };
        self.cut_off(found);
        found.push(Found::Gap(start.saturating_sub(self.next)));
        self.next = start;
        self.reading = Reading::searching();
        self.read(found);
    }

    /// Nothing follows what has arrived.
    fn cut_off(&mut self, found: &mut Vec<Found>) {
        self.reading.search(true, self.next - self.first, found);
        match &self.reading {
            Reading::Aligned(decoder) if decoder.pending() > 0 => {
                found.push(Found::CutOff(decoder.pending()));
            }
            Reading::Searching { passed: passed @ 1.., .. } => found.push(Found::Inside(*passed)),
            _ => {}
        }
    }
}

impl Reading {
    const fn aligned() -> Self {
        Self::Aligned(StreamDecoder::new(usize::MAX))
    }

    const fn searching() -> Self {
        Self::Searching { passed: 0, bytes: Vec::new() }
    }

    /// Reads on; `end` is where in the stream these bytes end.
    fn take(&mut self, mut fresh: &[u8], end: u64, found: &mut Vec<Found>) {
        match self {
            Self::Searching { bytes, .. } => {
                bytes.extend(fresh);
                self.search(false, end, found);
            }
            Self::Aligned(decoder) => loop {
                match decoder.next(&mut fresh) {
                    Ok(Some(message)) => found.push(Found::Message(message.to_vec())),
                    Ok(None) => return,
                    Err(error) => {
                        let unread = (fresh.len() + decoder.pending()) as u64;
                        found.push(Found::Broken(end - unread, error));
                        *self = Self::searching();
                        return self.take(fresh, end, found);
                    }
                }
            },
        }
    }

    /// Looks for a place where a message begins, and reads on there. If that `is_all` there will be, what may
    /// be a beginning counts only where there is no better one.
    fn search(&mut self, is_all: bool, end: u64, found: &mut Vec<Found>) {
        let Self::Searching { passed, bytes } = self else { return };
        let mut perhaps = None;
        let mut at = 0;
        let begins = loop {
            match bytes.get(at..).filter(|rest| !rest.is_empty()).map(Beginning::of) {
                Some(Beginning::Yes) => break true,
                Some(Beginning::Perhaps) if !is_all => break false,
                Some(Beginning::Perhaps) => perhaps = perhaps.or(Some(at)),
                Some(Beginning::No) => {}
                None => {
                    at = perhaps.unwrap_or(at);
                    break perhaps.is_some();
                }
            }
            at += 1;
        };
        *passed += at as u64;
        bytes.drain(..at);
        if begins {
            if *passed > 0 {
                found.push(Found::Inside(*passed));
            }
            let rest = mem::take(bytes);
            *self = Self::aligned();
            self.take(&rest, end, found);
        }
    }
}
