//! What is in these bytes? Reads ASAP messages from a packet capture, or from hex, and says what
//! they mean.
//!
//! ```text
//! asap-decode capture.pcap
//! echo "05 00 00 0c 00 09 00 08 65 63 68 6f" | asap-decode --tree
//! ```
//!
//! A capture (pcap or pcapng) passes through four floors. `capture` opens the file and gives out
//! its packets, `packet` takes off what is around SCTP, TCP and UDP, `sctp` and `tcp` put together
//! the messages that were cut into pieces, and `left` counts what was none of all that. `hex` is the short way for those who have bytes already.
//! Either way a message reaches the `report`, which shows it on one line (`summary`), with all its
//! parameters (`tree`), or with the place where it is broken (`fault`).
//!
//! Over SCTP every chunk with ASAP's payload protocol identifier counts (RFC 5352 §8.3), whatever
//! the port; over TCP and UDP the port decides.

mod beginning;
mod capture;
mod fault;
mod fragments;
mod hex;
mod left;
mod packet;
mod report;
mod sctp;
mod summary;
mod tcp;
mod tree;

use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use asap_pu::wire::ASAP_PORT;
use clap::Parser;

use crate::command_line;
use report::Report;

const ABOUT: &str = "\
A line of text is one message in hex, or several in a row, behind a label and a tab if there is one.
Lines that begin with an offset, as xxd and tshark write them, continue the message of the line
before; # begins a comment.

In a capture VLAN tags, MPLS, PPPoE, GRE, IP in IP, VXLAN and SCTP over UDP are taken off. What is left
out is counted by kind on the standard error.

Exit status:
  0  all messages are in order
  1  a message is malformed
  2  the command line makes no sense, or the input is unusable";

type Failure = Box<dyn Error>;

/// Shows the ASAP messages in a packet capture, or in hex.
#[derive(Debug, Parser)]
#[command(name = "asap-decode", after_help = ABOUT)]
struct Options {
    /// A capture (pcap, pcapng) or text; without it, or with -, the standard input.
    file: Option<PathBuf>,

    /// Show all parameters of a message, each with its offset and length.
    #[arg(long)]
    tree: bool,

    /// Take TCP and UDP port N for ASAP too, besides 3863; may be given several times.
    #[arg(long = "port", value_name = "N")]
    ports: Vec<u16>,
}

/// Does what the arguments say; the exit status.
pub fn run(
    arguments: impl Iterator<Item = OsString>,
    input: impl Read + Send + 'static,
    mut out: impl Write,
    mut err: impl Write,
) -> u8 {
    let mut options: Options = match command_line::parse(arguments, &mut out, &mut err) {
        Ok(options) => options,
        Err(status) => return status,
    };
    options.ports.push(ASAP_PORT);
    options.file = options.file.filter(|file| file != Path::new("-"));
    match show(&options, input, &mut out, &mut err) {
        Ok(malformed) => (malformed > 0).into(),
        Err(error) if is_broken_pipe(&*error) => 0,
        Err(error) => {
            // If even that fails, the exit status still tells.
            let _ = writeln!(err, "asap-decode: {error}");
            2
        }
    }
}

/// Shows all messages of the input; how many of them are malformed.
fn show(
    options: &Options,
    input: impl Read + Send + 'static,
    mut out: impl Write,
    mut err: impl Write,
) -> Result<usize, Failure> {
    let name = options.file.as_deref().unwrap_or(Path::new("standard input")).display();
    let unreadable = |error| format!("{name}: {error}");
    let input: Box<dyn Read + Send> = match &options.file {
        None => Box::new(input),
        Some(path) => Box::new(File::open(path).map_err(unreadable)?),
    };
    let mut input = BufReader::new(input);
    // A pipe may give it out byte by byte.
    let mut beginning = Vec::new();
    input.by_ref().take(capture::MAGIC as u64).read_to_end(&mut beginning).map_err(unreadable)?;
    let is_capture = capture::is_capture(&beginning);
    let input = Cursor::new(beginning).chain(input);
    let mut report = Report::new(&mut out, options.tree);
    let named = |error: Failure| match error.is::<io::Error>() {
        true => error,
        false => format!("{name}: {error}").into(),
    };
    match is_capture {
        true => {
            let tally = capture::decode(input, &options.ports, &mut report).map_err(named)?;
            writeln!(err, "packets: {}, {}{}", tally.packets, report.tally(), tally.left)?;
        }
        false => hex::decode(input, &mut report).map_err(named)?,
    }
    Ok(report.malformed())
}

/// The reader of the output went away: it has seen enough.
fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
