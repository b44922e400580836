//! What the command lines of all programs here have in common: how they are read, and what they generate of
//! themselves.

use std::ffi::OsString;
use std::io::Write;

use asap_pu::wire::PoolHandle;
use clap::builder::EnumValueParser;
use clap::{Arg, Parser, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;

/// The exit status of a command line that makes no sense.
pub(crate) const USAGE: u8 = 2;

/// What a program tells of its command line, for others to read.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Page {
    /// A manual page, for `man`.
    Man,
    /// Completions for the shell of that name.
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

/// What the arguments say. `Err` with the exit status if there is nothing else to do: help and pages have been
/// written to `out`, what is wrong to `err`.
pub(crate) fn parse<T: Parser>(
    arguments: impl Iterator<Item = OsString>,
    mut out: impl Write,
    mut err: impl Write,
) -> Result<T, u8> {
    let generate = Arg::new("generate")
        .long("generate")
        .value_name("PAGE")
        .value_parser(EnumValueParser::<Page>::new())
        .exclusive(true)
        .help("Print a manual page, or completions for a shell");
    let mut command = T::command().arg(generate).version(env!("CARGO_PKG_VERSION"));
    let found = command.try_get_matches_from_mut(arguments).and_then(|found| {
        match found.get_one::<Page>("generate") {
            Some(page) => Ok(Err(*page)),
            None => T::from_arg_matches(&found).map(Ok),
        }
    });
    match found {
        Ok(Ok(options)) => Ok(options),
        Ok(Err(page)) => {
            // If it cannot be written, nobody reads it.
            let _ = page.write(command, &mut out);
            Err(0)
        }
        Err(error) if error.use_stderr() => {
            // If even that cannot be written, the exit status still tells.
            let _ = write!(err, "{error}");
            Err(USAGE)
        }
        Err(help) => {
            let _ = write!(out, "{help}");
            Err(0)
        }
    }
}

impl Page {
    fn write(self, mut command: clap::Command, out: &mut impl Write) -> std::io::Result<()> {
        let shell = match self {
            Self::Man => return Man::new(command).render(out),
            Self::Bash => Shell::Bash,
            Self::Elvish => Shell::Elvish,
            Self::Fish => Shell::Fish,
            Self::Powershell => Shell::PowerShell,
            Self::Zsh => Shell::Zsh,
        };
        let name = command.get_name().to_owned();
        // It panics where the output cannot be written.
        let mut page = Vec::new();
        clap_complete::generate(shell, &mut command, name, &mut page);
        out.write_all(&page)
    }
}

/// A pool handle, with bytes escaped as they are when it is shown.
pub(crate) fn handle(text: &str) -> Result<PoolHandle, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend(plain.as_bytes());
        let (byte, len) = match escape.as_bytes() {
            [b'x', ..] => (escape.get(1..3).and_then(|hex| u8::from_str_radix(hex, 16).ok()), 3),
            [b't', ..] => (Some(b'\t'), 1),
            [b'r', ..] => (Some(b'\r'), 1),
            [b'n', ..] => (Some(b'\n'), 1),
            [mark @ (b'\\' | b'\'' | b'"'), ..] => (Some(*mark), 1),
            _ => (None, 0),
        };
        bytes.push(byte.ok_or("a backslash is written \\\\, any byte like \\x00")?);
        rest = &escape[len..];
    }
    bytes.extend(rest.as_bytes());
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown of a handle is how to ask for it.
    #[test]
    fn handles_are_written_as_they_are_shown() {
        let every = PoolHandle::new((0..=u8::MAX).collect::<Vec<_>>());
        assert_eq!(handle(&every.to_string()), Ok(every));
        for text in ["\\", "\\x", "\\x0", "\\xg0", "\\a", "\\xé"] {
            handle(text).unwrap_err();
        }
        assert_eq!(handle("Echo é"), Ok("Echo é".into()));
    }
}
