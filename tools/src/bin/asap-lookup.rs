//! Asks a registrar who is in a pool.

use std::process::ExitCode;
use std::{env, io};

fn main() -> ExitCode {
    ExitCode::from(asap_tools::lookup::run(env::args_os(), io::stdout().lock(), io::stderr()))
}
