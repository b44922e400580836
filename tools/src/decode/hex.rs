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

use std::io::{self, BufRead, Read, Write};

use asap_pu::wire::StreamDecoder;

use super::Failure;
use super::report::Report;

/// The longest line: the longest message with spaces between its bytes takes a fifth of that.
const LONGEST: u64 = 1 << 20;
/// The digits in a full line of `xxd -p`.
const FULL_LINE: usize = 60;
/// So much is shown of a line that is not hex.
const SHOWN: usize = 60;
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
pub(crate) fn decode(
    mut input: impl BufRead,
    report: &mut Report<impl Write>,
) -> Result<(), Failure> {
    let (mut dump, mut is_cut) = (Vec::new(), false);
    let mut dump_at = String::new();
    for number in 1_usize.. {
        let mut line = Vec::new();
        if input.by_ref().take(LONGEST).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let text = String::from_utf8(line).ok().filter(|line| line.len() < LONGEST as usize);
        let line = text
            .ok_or("the input is neither text nor a packet capture (pcap, pcapng); see --help")?;
        let line = if number == 1 { line.trim_start_matches('\u{feff}') } else { &line };
        let here = format!("line {number}");
        match Line::read(line, dump.len()) {
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
                // What `xxd -p` shows goes on until a line is not full.
                let goes_on = is_cut && label.is_none();
                is_cut = label.is_none() && line.trim().len() == FULL_LINE;
                if !goes_on {
                    show(&dump_at, &dump, report)?;
                    dump.clear();
                    dump_at = label.unwrap_or(here);
                }
                dump.extend(bytes);
                is_cut &= is_unfinished(&dump);
                if !is_cut {
                    show(&dump_at, &dump, report)?;
                    dump.clear();
                }
            }
            None => {
                let start: String = line.trim().chars().take(SHOWN).collect();
                return Err(
                    format!("{here} is not hex: {}; see --help", start.escape_debug()).into()
                );
            }
        }
    }
    show(&dump_at, &dump, report)?;
    match report.messages() {
        0 => Err("there is no message in it; see --help".into()),
        _ => Ok(()),
    }
}

/// Shows the messages that lie one behind the other in `bytes`, those behind the first with the
/// place where they begin.
fn show(label: &str, mut bytes: &[u8], report: &mut Report<impl Write>) -> io::Result<()> {
    let (mut decoder, length) = (StreamDecoder::new(usize::MAX), bytes.len());
    while !bytes.is_empty() {
        let rest = bytes;
        let at = match length - rest.len() {
            0 => label.to_owned(),
            at => format!("{label}+{at:#x}"),
        };
        match decoder.next(&mut bytes) {
            Ok(Some(message)) => report.message(at, message)?,
            // What cannot be cut off is shown as it is; it says itself what is wrong with it.
            _ => return report.message(at, rest),
        }
    }
    Ok(())
}

/// Whether the last of the messages in `bytes` has not ended.
fn is_unfinished(mut bytes: &[u8]) -> bool {
    let mut decoder = StreamDecoder::new(usize::MAX);
    while let Ok(Some(_)) = decoder.next(&mut bytes) {}
    decoder.pending() > 0
}

impl Line {
    /// `None` if it is not hex. A dump goes on at the offset `held`.
    fn read(line: &str, held: usize) -> Option<Self> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
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
    let (digits, rest) = line.split_once([':', ' '])?;
    // `od -A x -t x1` has one space behind the offset too, `hexdump` alone has words of two bytes
    // in the machine's order.
    let is_pairs = || digits.len() >= 6 && rest.split(' ').all(|group| group.len() == 2);
    if !(rest.starts_with(' ') || is_pairs()) {
        return None;
    }
    let offset = offset(digits.strip_prefix("0x").unwrap_or(digits))?;
    let mut columns = rest.trim_start().split("  ");
    let mut dumped = bytes(columns.next()?)?;
    // xxd, which has a colon, has no gap: what comes next is the text.
    let has_gap = line[digits.len()..].starts_with(' ');
    if has_gap && dumped.len() == HALF_A_LINE {
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
    let groups: Option<Vec<_>> = text.split([' ', ':', ',']).map(digits).collect();
    groups.map(|groups| groups.concat())
}
