//! The messages in hex, each with a label and a tab before it, as `asap-decode` reads them.

use std::io::{self, Write};
use std::sync::mpsc::Receiver;

use asap_pu::wire::StreamDecoder;
use asap_pu_drivers::Seen;

/// What passed the driver and was not shown yet.
pub(crate) struct Trace {
    seen: Receiver<Seen>,
    /// What came of a message that is not complete.
    piece: Vec<u8>,
}

impl Trace {
    pub(crate) const fn new(seen: Receiver<Seen>) -> Self {
        Self { seen, piece: Vec::new() }
    }

    /// Shows the messages that have passed.
    pub(crate) fn show(&mut self, mut out: impl Write) -> io::Result<()> {
        while let Ok(seen) = self.seen.try_recv() {
            match seen {
                Seen::Sent(message) => line(&mut out, "sent", &message)?,
                Seen::Received(bytes) => self.received(&mut out, &bytes)?,
                Seen::Announced(source, datagram) => {
                    line(&mut out, &format!("announced by {source}"), &datagram)?;
                }
            }
        }
        out.flush()
    }

    /// A stream is over: shows what came of a message whose rest will not come.
    pub(crate) fn end(&mut self, mut out: impl Write) -> io::Result<()> {
        match &self.piece[..] {
            [] => {}
            piece => line(&mut out, "received a piece", piece)?,
        }
        self.piece.clear();
        out.flush()
    }

    fn received(&mut self, mut out: impl Write, bytes: &[u8]) -> io::Result<()> {
        self.piece.extend(bytes);
        let mut decoder = StreamDecoder::new(usize::MAX);
        let (mut bytes, mut rest) = (&self.piece[..], &self.piece[..]);
        while let Ok(Some(message)) = decoder.next(&mut bytes) {
            line(&mut out, "received", message)?;
            rest = bytes;
        }
        self.piece = rest.to_vec();
        Ok(())
    }
}

fn line(mut out: impl Write, label: &str, bytes: &[u8]) -> io::Result<()> {
    write!(out, "{label}\t")?;
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))?;
    writeln!(out)
}
