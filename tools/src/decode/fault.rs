//! Where a message is broken: the bytes around the place, and a mark under those that are wrong.
//!
//! ```text
//!     0010  00 00 00 00 00 00 ea 60  00 04 00 3c 1b 58 00 01
//!                                          ^^ ^^
//! ```

use std::fmt;
use std::iter;
use std::ops::Range;

use asap_pu::wire::{DecodeError, Reason};

/// The bytes on a line.
const WIDTH: usize = 16;

/// Shows the place of an error in the bytes that were decoded.
pub(crate) struct Fault<'a> {
    bytes: &'a [u8],
    wrong: Range<usize>,
}

impl<'a> Fault<'a> {
    /// `None` where nothing is wrong with what is there, but something is missing.
    pub(crate) fn new(bytes: &'a [u8], error: &DecodeError) -> Option<Self> {
        let at = error.offset();
        let wrong = match error.reason() {
            // The length field: behind the type of a parameter, or the type and flags of a message.
            Reason::LengthUnderHeader { .. } | Reason::LengthBeyondEnd { .. } => at + 2..at + 4,
            Reason::UnknownMessage(_) => at..at + 1,
            Reason::UnknownParameter | Reason::SecondPoolHandle => at..at + 2,
            Reason::Truncated { available, .. } => at..at + available,
            Reason::LeftOver { count } => at..at + count,
            _ => return None,
        };
        Some(Self { bytes, wrong })
    }
}

/// The line with the first wrong byte, and the one before it.
impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.wrong.start - self.wrong.start % WIDTH;
        for from in [line.checked_sub(WIDTH), Some(line)].into_iter().flatten() {
            let bytes = self.bytes.iter().skip(from).take(WIDTH);
            let shown = bytes.map(|byte| format!("{byte:02x}"));
            writeln!(f, "    {from:04x}  {}", columns(shown))?;
        }
        // Where the bytes end too early, the mark is behind the last one.
        let end = self.wrong.end.clamp(self.wrong.start + 1, line + WIDTH);
        let marks = iter::repeat_n("  ", self.wrong.start - line);
        let marks = marks.chain(iter::repeat_n("^^", end - self.wrong.start));
        writeln!(f, "          {}", columns(marks.map(str::to_owned)))
    }
}

/// With a gap in the middle.
fn columns(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.collect();
    let halves = cells.chunks(WIDTH / 2).map(|half| half.join(" "));
    halves.collect::<Vec<_>>().join("  ")
}
