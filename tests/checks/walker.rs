//! A second opinion on where parameters begin and end: written from RFC 5354 §3 with an index into
//! the message, and with nothing of the crate in it.

/// A parameter's type, and where its header begins and its value ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) parameter: u16,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The parameters between `start` and `end`; `None` if they do not fill it exactly.
pub(crate) fn parameters(bytes: &[u8], start: usize, end: usize) -> Option<Vec<Found>> {
    let mut found = Vec::new();
    let mut at = start;
    // The padding of the last one may be there in part.
    while at < end {
        if at + 4 > end {
            return None;
        }
        let parameter = u16::from(bytes[at]) * 256 + u16::from(bytes[at + 1]);
        let length = usize::from(bytes[at + 2]) * 256 + usize::from(bytes[at + 3]);
        if length < 4 || at + length > end {
            return None;
        }
        found.push(Found { parameter, start: at, end: at + length });
        at += length.div_ceil(4) * 4;
    }
    Some(found)
}
