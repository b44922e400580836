//! Shows the ASAP messages in a packet capture, or in hex.

use std::process::ExitCode;
use std::{env, io};

fn main() -> ExitCode {
    let (out, err) = (io::stdout().lock(), io::stderr());
    ExitCode::from(asap_tools::decode::run(env::args_os(), io::stdin(), out, err))
}
