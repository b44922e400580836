//! The messages in hex, each with a label and a tab before it, as `asap-decode` reads them.

use std::io::{self, Write};

use asap_pu::wire::StreamDecoder;
use asap_pu_tokio::{Passed, Seen};

/// What was shown of a stream.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// What came of a message that is not complete.
    piece: Vec<u8>,
}

impl Trace {
    /// Shows the messages that have passed.
    pub(crate) fn show(&mut self, seen: Vec<Seen>, mut out: impl Write) -> io::Result<()> {
        for Seen { peer, what, .. } in seen {
            match what {
                Passed::Sent(message) => line(&mut out, "sent", &message)?,
                Passed::Received(message) => line(&mut out, "received", &message)?,
                Passed::Streamed(bytes) => self.streamed(&mut out, &bytes)?,
                Passed::Announced(datagram) => {
                    line(&mut out, &format!("announced by {peer}"), &datagram)?;
                }
                _ => {}
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
    use asap_pu::Instant;

    /// A message that came as one is shown as one, whatever length it claims; of a stream, whatever
    /// the pieces are.
    #[test]
    fn messages_are_shown_as_they_came() {
        let (mut trace, mut out) = (Trace::default(), Vec::new());
        let (at, peer) = (Instant::EPOCH, ([192, 0, 2, 1], 3863).into());
        let passed = [
            Passed::Received(vec![6, 0, 0, 9]),
            Passed::Received(vec![6, 0, 0, 4]),
            Passed::Streamed(vec![5, 0]),
            Passed::Streamed(vec![0, 4, 7]),
        ];
        let seen = passed.map(|what| Seen { at, peer, what });
        trace.show(seen.into(), &mut out).unwrap();
        trace.end(&mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let shown: Vec<_> = out.lines().collect();
        let label = "received\t";
        let expected = ["06000009", "06000004", "05000004"].map(|hex| format!("{label}{hex}"));
        assert_eq!(shown, [&expected[..], &["received a piece\t07".to_owned()]].concat());
    }
}
