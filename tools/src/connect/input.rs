//! The input, a message for each line, read by a thread of its own: a terminal or a pipe may be silent for long.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

/// The longest message; what is longer goes in pieces.
const LONGEST: usize = 16_384;

/// The longest line of hex, which is read as a whole: it can be cut only where a byte ends.
const LONGEST_HEX: usize = 1 << 20;

/// What was read ahead.
#[derive(Debug)]
pub(crate) struct Input {
    lines: Receiver<Line>,
    is_hex: bool,
    /// The messages of a line that was too long for one.
    pieces: VecDeque<Vec<u8>>,
    /// It has ended, for whatever reason.
    is_over: bool,
}

type Line = std::io::Result<Vec<u8>>;

/// What comes next.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    Message(Vec<u8>),
    /// There may be more later.
    Nothing,
    End,
    /// It is no hex, or cannot be read.
    Unusable(String),
}

impl Input {
    pub(crate) fn new(input: impl Read + Send + 'static, is_hex: bool) -> Self {
        let (to_lines, lines) = mpsc::sync_channel(1);
        // It ends with the input, or with the first line that nobody waits for.
        thread::spawn(move || {
            let mut input = BufReader::new(input);
            let longest = if is_hex { LONGEST_HEX } else { LONGEST };
            loop {
                let mut line = Vec::new();
                let line = match input.by_ref().take(longest as u64).read_until(b'\n', &mut line) {
                    Ok(0) => return,
                    Ok(_) => Ok(line),
                    Err(error) => Err(error),
                };
                let is_last = line.is_err();
                if to_lines.send(line).is_err() || is_last {
                    return;
                }
            }
        });
        Self { lines, is_hex, pieces: VecDeque::new(), is_over: false }
    }

    /// The next message, if it was read already.
    pub(crate) fn next(&mut self) -> Next {
        if self.is_over {
            return Next::End;
        }
        if let Some(piece) = self.pieces.pop_front() {
            return Next::Message(piece);
        }
        match self.lines.try_recv() {
            Ok(Ok(line)) if self.is_hex && line.len() == LONGEST_HEX && !line.ends_with(b"\n") => {
                Next::Unusable(format!("a line of hex is longer than {LONGEST_HEX} characters"))
            }
            Ok(Ok(line)) if self.is_hex => match bytes(&line) {
                Some(bytes) => {
                    self.pieces.extend(bytes.chunks(LONGEST).map(<[u8]>::to_vec));
                    self.pieces.pop_front().map_or(Next::Nothing, Next::Message)
                }
                None => {
                    let start = &line.get(..60).unwrap_or(&line).trim_ascii();
                    Next::Unusable(format!("the input is not hex: {}", start.escape_ascii()))
                }
            },
            Ok(Ok(line)) => Next::Message(line),
            Ok(Err(error)) => Next::Unusable(format!("the input cannot be read: {error}")),
            Err(TryRecvError::Empty) => Next::Nothing,
            Err(TryRecvError::Disconnected) => {
                self.is_over = true;
                Next::End
            }
        }
    }
}

/// Pairs of hex digits, with spaces wherever one likes.
fn bytes(line: &[u8]) -> Option<Vec<u8>> {
    let digits = line.iter().filter(|byte| !byte.is_ascii_whitespace());
    let digits: Option<Vec<_>> = digits.map(|digit| char::from(*digit).to_digit(16)).collect();
    let pairs = digits?;
    let pairs = pairs.chunks(2).map(|pair| match *pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn read(text: &[u8], is_hex: bool) -> Vec<Next> {
        let mut input = Input::new(Cursor::new(text.to_vec()), is_hex);
        let mut found = Vec::new();
        while found.last() != Some(&Next::End) {
            match input.next() {
                Next::Nothing => thread::yield_now(),
                next => found.push(next),
            }
        }
        found
    }

    /// A line is a message, the last one too if it has no end; one that is too long goes in pieces.
    #[test]
    fn lines_are_messages() {
        let of = |text: &[u8]| Next::Message(text.to_vec());
        assert_eq!(read(b"", false), [Next::End]);
        assert_eq!(read(b"one\n\ntwo", false), [of(b"one\n"), of(b"\n"), of(b"two"), Next::End]);
        let long = vec![b'x'; LONGEST + 1];
        assert_eq!(read(&long, false), [of(&long[1..]), of(b"x"), Next::End]);
    }

    /// Hex may have spaces, and nothing else between its digits.
    #[test]
    fn hex_is_bytes() {
        let of = |bytes: &[u8]| Next::Message(bytes.to_vec());
        let long = "0f ".repeat(LONGEST + 1);
        let pieces = [of(&[15; LONGEST]), of(&[15]), Next::End];
        assert_eq!(read(long.as_bytes(), true), pieces);
        let endless = vec![b'0'; LONGEST_HEX + 2];
        assert!(matches!(read(&endless, true)[0], Next::Unusable(_)));
        assert_eq!(read(b"00 ff\n\nAb", true), [of(&[0, 255]), of(&[0xab]), Next::End]);
        let why = |what: &str| Next::Unusable(format!("the input is not hex: {what}"));
        assert_eq!(read(b"0\n0g\n", true), [why("0"), why("0g"), Next::End]);
    }
}
