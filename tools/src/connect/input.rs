//! The input, a message for each line, read by a thread of its own: a terminal or a pipe may be silent for long.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

/// The longest message.
const LONGEST: usize = 16_384;

/// The longest line of hex, which may have spaces wherever one likes.
const LONGEST_HEX: usize = 1 << 20;

/// What was read ahead.
#[derive(Debug)]
pub(crate) struct Input {
    lines: Receiver<Line>,
    is_hex: bool,
    /// What is left of a line of hex that is longer than a message.
    left: Vec<u8>,
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
        Self { lines, is_hex, left: Vec::new(), is_over: false }
    }

    /// The next message, if it was read already.
    pub(crate) fn next(&mut self) -> Next {
        if self.is_over {
            return Next::End;
        }
        if !self.left.is_empty() {
            let rest = self.left.split_off(self.left.len().min(LONGEST));
            return Next::Message(std::mem::replace(&mut self.left, rest));
        }
        match self.lines.try_recv() {
            Ok(Ok(line)) if line.len() == LONGEST_HEX => {
                Next::Unusable(format!("a line of the input is longer than {LONGEST_HEX} bytes"))
            }
            Ok(Ok(line)) if self.is_hex => match bytes(&line) {
                Some(bytes) if bytes.is_empty() => Next::Nothing,
                Some(bytes) => {
                    self.left = bytes;
                    self.next()
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
        assert_eq!(read(b"00 ff\n\nAb", true), [of(&[0, 255]), of(&[0xab]), Next::End]);
        let spaced = "ab ".repeat(LONGEST + 1);
        let whole = vec![0xab; LONGEST];
        assert_eq!(read(spaced.as_bytes(), true), [of(&whole), of(&[0xab]), Next::End]);
        let endless = vec![b'0'; LONGEST_HEX + 1];
        assert!(matches!(&read(&endless, true)[0], Next::Unusable(why) if why.contains("longer")));
        let why = |what: &str| Next::Unusable(format!("the input is not hex: {what}"));
        assert_eq!(read(b"0\n0g\n", true), [why("0"), why("0g"), Next::End]);
    }
}
