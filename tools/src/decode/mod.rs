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

use report::Report;

const USAGE: &str = "\
Shows the ASAP messages in a packet capture, or in hex.

Usage: asap-decode [--tree] [--port N]... [FILE]

  FILE       a capture (pcap, pcapng) or text; without it, or with -, standard input
  --tree     shows all parameters of a message, each with its offset and length
  --port N   takes TCP and UDP port N for ASAP too, besides 3863
  --help     prints this

A line of text is one message in hex, or several in a row, behind a label and a tab if there is one.
Lines that begin with an offset, as xxd and tshark write them, continue the message of the line
before; # begins a comment.

Exit status: 0 all messages are in order, 1 one is malformed, 2 the input is unusable.";

type Failure = Box<dyn Error>;

/// What the user asked for.
struct Options {
    tree: bool,
    ports: Vec<u16>,
    file: Option<PathBuf>,
}

/// Does what the arguments say; the exit status.
pub fn run(
    arguments: impl Iterator<Item = OsString>,
    input: impl Read + Send + 'static,
    mut out: impl Write,
    mut err: impl Write,
) -> u8 {
    let result = match Options::read(arguments) {
        Ok(Some(options)) => show(&options, input, &mut out, &mut err),
        Ok(None) => writeln!(out, "{USAGE}").map(|()| 0).map_err(Failure::from),
        Err(error) => Err(format!("{error}; see --help").into()),
    };
    match result {
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

impl Options {
    /// `None` if all that is asked for is help.
    fn read(mut arguments: impl Iterator<Item = OsString>) -> Result<Option<Self>, Failure> {
        let mut options = Self { tree: false, ports: vec![ASAP_PORT], file: None };
        while let Some(argument) = arguments.next() {
            match argument.to_string_lossy().as_ref() {
                "--help" => return Ok(None),
                "--tree" => options.tree = true,
                "--port" => {
                    let port = arguments.next().and_then(|port| port.to_str()?.parse().ok());
                    options.ports.push(port.ok_or("--port needs a number up to 65535")?);
                }
                "-" => {}
                option if option.starts_with('-') => {
                    return Err(format!("there is no option {option}").into());
                }
                _ if options.file.is_some() => return Err("more than one file".into()),
                _ => options.file = Some(argument.into()),
            }
        }
        Ok(Some(options))
    }
}
