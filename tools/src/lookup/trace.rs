//! The messages in hex, each with a label and a tab before it, as `asap-decode` reads them.

use std::io::{self, Write};
use std::sync::mpsc::Receiver;

use asap_pu::wire::StreamDecoder;
use asap_pu_tokio::Seen;

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
                Seen::Received(message) => line(&mut out, "received", &message)?,
                Seen::Streamed(bytes) => self.streamed(&mut out, &bytes)?,
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

    fn streamed(&mut self, mut out: impl Write, bytes: &[u8]) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A message that came as one is shown as one, whatever length it claims; of a stream, whatever
    /// the pieces are.
    #[test]
    fn messages_are_shown_as_they_came() {
        let (to_trace, seen) = mpsc::channel();
        let (mut trace, mut out) = (Trace::new(seen), Vec::new());
        to_trace.send(Seen::Received(vec![6, 0, 0, 9])).unwrap();
        to_trace.send(Seen::Received(vec![6, 0, 0, 4])).unwrap();
        to_trace.send(Seen::Streamed(vec![5, 0])).unwrap();
        to_trace.send(Seen::Streamed(vec![0, 4, 7])).unwrap();
        trace.show(&mut out).unwrap();
        trace.end(&mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let shown: Vec<_> = out.lines().collect();
        let label = "received\t";
        let expected = ["06000009", "06000004", "05000004"].map(|hex| format!("{label}{hex}"));
        assert_eq!(shown, [&expected[..], &["received a piece\t07".to_owned()]].concat());
    }
}
