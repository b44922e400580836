//! The command line.

use asap_pu::Failover;
use asap_pu::wire::PoolHandle;
use clap::{Parser, ValueEnum};

use crate::command_line::handle;
use crate::failure::{Failure, Status};
use crate::registrars::Registrars;

const ABOUT: &str = "\
Each line of the input is a message, with its end of line; a longer one than 16384 bytes goes in pieces.
What the pool answers is written as it comes. Who serves, and what becomes of him, is said on the standard
error. When the input has ended and nothing has come for a while, the session is closed in good order.

Exit status:
  0  everything was sent, and the session closed in good order
  1  there is no such pool
  2  the command line makes no sense
  3  no registrar is known, or none can be reached
  4  the registrar gave no answer that can be used
  5  this machine cannot do what it takes
  6  the registrar refused, or did not answer in time
  7  no element could be had, or not every message was delivered";

/// Connects the standard input and output with a pool, as if that were one server that does not die.
#[derive(Debug, Parser)]
#[command(name = "asap-connect", after_help = ABOUT)]
pub(crate) struct Options {
    /// The pool handle; bytes that are no text as they are shown, like \\x00.
    #[arg(value_parser = handle)]
    pub(crate) handle: PoolHandle,

    /// Each line of the input is a message in hex, and so is each of the output.
    #[arg(long)]
    pub(crate) hex: bool,

    /// Mark data with this payload protocol identifier, over SCTP.
    #[arg(long, value_name = "N")]
    pub(crate) ppid: Option<u32>,

    /// Which messages go to the next element when one is lost [default: over SCTP undelivered, over TCP unsent].
    #[arg(long, value_enum)]
    failover: Option<Wish>,

    /// How long to wait for more answers when the input has ended, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    pub(crate) wait: f64,

    /// How long to look for an element that serves, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    pub(crate) patience: f64,

    /// Say nothing of elements and registrars.
    #[arg(short, long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) registrars: Registrars,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Wish {
    /// None.
    Never,
    /// Those that were certainly not sent: each is delivered once at most.
    Unsent,
    /// Those that are not known to be delivered: some may be delivered twice.
    Undelivered,
}

impl Options {
    /// What becomes of messages at a failover.
    ///
    /// # Errors
    /// What is wished for takes a transport that confirms.
    pub(crate) fn failover(&self) -> Result<Failover, Failure> {
        match self.failover {
            Some(Wish::Never) => Ok(Failover::Never),
            Some(Wish::Unsent) => Ok(Failover::Unsent),
            Some(Wish::Undelivered) | None if self.registrars.uses_sctp() => {
                Ok(Failover::Undelivered)
            }
            None => Ok(Failover::Unsent),
            Some(Wish::Undelivered) => {
                let why = "--failover=undelivered is for SCTP: over TCP nobody knows what arrived";
                Err(Failure::new(Status::Usage, why))
            }
        }
    }
}

/// A time in seconds that is none of the odd numbers.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=1e6).contains(seconds));
    seconds.ok_or_else(|| "a time is a number of seconds up to a million".into())
}
