//! Why a program did not do what it was asked for, and the exit status that says so.

use std::io;

use asap_pu::CommandError;

/// How a program that asks registrars ends. The numbers are part of its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// All is done, or nobody reads the output any more.
    Done = 0,
    /// The pool does not exist.
    NotFound = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// No registrar is known, or none can be reached.
    NoRegistrar = 3,
    /// A registrar was reached, and gave no answer that can be used.
    Useless = 4,
    /// This machine cannot do what it takes.
    Unable = 5,
    /// A registrar was reached, and refused or did not answer in time.
    NoAnswer = 6,
    /// No element could be had, or not everything was delivered.
    Undelivered = 7,
}

/// Why there is nothing to show.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    pub(crate) why: String,
}

impl Failure {
    pub(crate) fn new(status: Status, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }
}

/// A command is refused only for what the user asked for.
impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        Self::new(Status::Usage, error.to_string())
    }
}

/// The output cannot be written.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let status = match error.kind() {
            io::ErrorKind::BrokenPipe => Status::Done,
            _ => Status::Unable,
        };
        Self::new(status, error.to_string())
    }
}
