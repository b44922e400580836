//! Connects the standard input and output with a pool.

use std::process::ExitCode;
use std::{env, io};

fn main() -> ExitCode {
    let (out, err) = (io::stdout().lock(), io::stderr());
    ExitCode::from(asap_tools::connect::run(env::args_os(), io::stdin(), out, err))
}
