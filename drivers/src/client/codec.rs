//! Where an answer ends, and which request it answers: what only the application can know.

use bytes::{Bytes, BytesMut};

/// What a session needs to know of its application's protocol, for
/// [`Session::request`](crate::Session::request).
pub trait Codec: Send + 'static {
    /// Takes the first whole answer from the front of what has come from an element; `None` while it is
    /// not whole. Over TCP that is cut anywhere, and may hold several answers.
    ///
    /// # Errors
    /// What has come makes no sense. The element counts as failed, and what it has not answered goes to
    /// the next one.
    fn decode(&mut self, received: &mut BytesMut) -> Result<Option<Bytes>, String>;

    /// Whether that is the answer to that request. The oldest request for which it is gets the answer. If
    /// nothing else is said, elements answer in the order of the requests and leave none out; where that
    /// cannot be relied on, this has to tell answers apart.
    fn answers(&self, request: &[u8], answer: &[u8]) -> bool {
        let _ = (request, answer);
        true
    }
}

/// Each line answers one request, in their order. Requests are to end in `\n`; answers come without it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lines;

impl Codec for Lines {
    fn decode(&mut self, received: &mut BytesMut) -> Result<Option<Bytes>, String> {
        let end = received.iter().position(|byte| *byte == b'\n');
        Ok(end.map(|end| {
            let mut line = received.split_to(end + 1).freeze();
            line.truncate(end);
            line
        }))
    }
}

/// Each message that comes answers one request, in their order: for transports that keep messages apart,
/// as SCTP does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Messages;

impl Codec for Messages {
    fn decode(&mut self, received: &mut BytesMut) -> Result<Option<Bytes>, String> {
        Ok(Some(received.split().freeze()).filter(|message| !message.is_empty()))
    }
}
