//! Messages as text: bytes in hex, as people paste them and as tools dump them.
//!
//! A line stands for itself, unless it begins with an offset that fits:
//!
//! ```text
//! 0500000c 00090008 6563686f                     bytes, in groups of any even length
//! a request<TAB>05 00 00 0c 00 09 00 08 65 63 68 6f
//! 00000000: 0500 000c 0009 0008 6563 686f        ........echo      xxd
//! 0000  05 00 00 0c 00 09 00 08 65 63 68 6f      ........echo      tshark -x, hexdump -Cv
//! # a comment
//! ```
//!
//! The line with nothing but the length that ends what `hexdump` shows belongs to the dump.

use std::io::{self, BufRead, Write};

use asap_pu::wire::StreamDecoder;

use super::Failure;
use super::report::Report;

/// Where a dump has its gap in the middle of a line.
const HALF_A_LINE: usize = 8;

/// What a line holds.
enum Line {
    Nothing,
    /// Messages of its own, with their label.
    Whole(Option<String>, Vec<u8>),
    /// The bytes of a dump from this offset on.
    Dump(usize, Vec<u8>),
}

/// Shows all messages in the text.
pub(crate) fn decode(input: impl BufRead, report: &mut Report<impl Write>) -> Result<(), Failure> {
    let mut dump = Vec::new();
    let mut dump_at = String::new();
    for (number, line) in (1..).zip(input.split(b'\n')) {
        let line = String::from_utf8(line?).map_err(
            |_| "the input is neither text nor a packet capture (pcap, pcapng); see --help",
        )?;
        let here = format!("line {number}");
        match Line::read(&line, dump.len()) {
            Some(Line::Dump(offset, bytes)) => {
                if offset == 0 {
                    show(&dump_at, &dump, report)?;
                    dump.clear();
                    dump_at = here;
                }
                dump.extend(bytes);
                continue;
            }
            Some(Line::Nothing) => {}
            Some(Line::Whole(label, bytes)) => {
                show(&dump_at, &dump, report)?;
                dump.clear();
                show(&label.unwrap_or(here), &bytes, report)?;
            }
            None => return Err(format!("{here} is not hex: {}", line.trim_end()).into()),
        }
    }
    show(&dump_at, &dump, report)?;
    Ok(())
}

/// Shows the messages that lie one behind the other in `bytes`.
fn show(label: &str, mut bytes: &[u8], report: &mut Report<impl Write>) -> io::Result<()> {
    let mut decoder = StreamDecoder::new(usize::MAX);
    while !bytes.is_empty() {
        let rest = bytes;
        match decoder.next(&mut bytes) {
            Ok(Some(message)) => report.message(label, message)?,
            // What cannot be cut off is shown as it is; it says itself what is wrong with it.
            _ => return report.message(label, rest),
        }
    }
    Ok(())
}

impl Line {
    /// `None` if it is not hex. A dump goes on at the offset `held`.
    fn read(line: &str, held: usize) -> Option<Self> {
        let line = line.trim_end();
        if line.trim_start().is_empty() || line.trim_start().starts_with('#') {
            return Some(Self::Nothing);
        }
        if let Some((label, digits)) = line.rsplit_once('\t') {
            return Some(Self::Whole(Some(label.trim().to_owned()), bytes(digits)?));
        }
        let line = match line.split_once(" #") {
            Some((line, _comment)) => line,
            None => line,
        };
        // The end of a dump in progress.
        if held > 0 && offset(line) == Some(held) {
            return Some(Self::Nothing);
        }
        let dumped = dump(line).filter(|(offset, _)| *offset == 0 || *offset == held);
        match dumped {
            Some((offset, bytes)) => Some(Self::Dump(offset, bytes)),
            None => Some(Self::Whole(None, bytes(line)?)),
        }
    }
}

/// The offset and the bytes of a line of a dump, without the text behind them.
fn dump(line: &str) -> Option<(usize, Vec<u8>)> {
    let (digits, rest) = line.trim_start().split_once([':', ' '])?;
    if !(line.contains(": ") || rest.starts_with(' ')) {
        return None;
    }
    let offset = offset(digits)?;
    let mut columns = rest.trim_start().split("  ");
    let mut dumped = bytes(columns.next()?)?;
    if dumped.len() == HALF_A_LINE {
        dumped.extend(columns.next().and_then(bytes).unwrap_or_default());
    }
    Some((offset, dumped))
}

/// Four hex digits or more.
fn offset(digits: &str) -> Option<usize> {
    let is_offset = digits.len() >= 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    usize::from_str_radix(digits, 16).ok().filter(|_| is_offset)
}

/// Pairs of hex digits, with spaces or colons between them, or `0x` in front.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = |group: &str| -> Option<Vec<u8>> {
        let group = group.strip_prefix("0x").unwrap_or(group);
        let pairs = group.as_bytes().chunks(2).map(|pair| {
            let [high, low] = *pair else { return None };
            let digit = |d: u8| char::from(d).to_digit(16);
            u8::try_from(digit(high)? << 4 | digit(low)?).ok()
        });
        pairs.collect()
    };
    let groups: Option<Vec<_>> = text.split([' ', ':', '\r']).map(digits).collect();
    groups.map(|groups| groups.concat())
}
