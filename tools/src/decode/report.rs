//! What is shown of each message, and the count of them.

use std::fmt::Display;
use std::io::{self, Write};

use asap_pu::wire::{Message, MessageType};

use super::fault::Fault;
use super::summary::Summary;
use super::tree::Tree;

/// Shows messages as they come.
pub(crate) struct Report<W> {
    out: W,
    tree: bool,
    messages: usize,
    malformed: usize,
}

impl<W: Write> Report<W> {
    pub(crate) const fn new(out: W, tree: bool) -> Self {
        Self { out, tree, messages: 0, malformed: 0 }
    }

    /// Shows the message that was found at `place`.
    pub(crate) fn message(&mut self, place: impl Display, bytes: &[u8]) -> io::Result<()> {
        self.messages += 1;
        let decoded = Message::decode(bytes);
        match &decoded {
            Ok(message) => writeln!(self.out, "{place}  {}", Summary(message))?,
            Err(error) => {
                self.malformed += 1;
                let name = bytes.first().and_then(|first| MessageType::new(*first).name());
                let name = name.unwrap_or("message").trim_start_matches("ASAP_");
                writeln!(self.out, "{place}  malformed {name}, {error}")?;
            }
        }
        if self.tree {
            write!(self.out, "{}", Tree::new(bytes))?;
        }
        let fault = decoded.err().and_then(|error| Fault::new(bytes, &error));
        fault.map_or(Ok(()), |fault| write!(self.out, "{fault}"))
    }

    /// Says that a stream cannot be cut into messages any further.
    pub(crate) fn broken(&mut self, place: impl Display, what: impl Display) -> io::Result<()> {
        self.malformed += 1;
        writeln!(self.out, "{place}  malformed stream, {what}")
    }

    /// Says something about the capture rather than about a message.
    pub(crate) fn note(&mut self, place: impl Display, what: impl Display) -> io::Result<()> {
        writeln!(self.out, "{place}  ({what})")
    }

    /// How many there were.
    pub(crate) const fn messages(&self) -> usize {
        self.messages
    }

    /// How many were malformed.
    pub(crate) const fn malformed(&self) -> usize {
        self.malformed
    }

    /// The count in words.
    pub(crate) fn tally(&self) -> String {
        format!("messages: {}, malformed: {}", self.messages, self.malformed)
    }
}
