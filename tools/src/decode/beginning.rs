//! Where in a stream of bytes a message begins, found without knowing where the one before it ended.
//!
//! One byte that is the type of a message proves nothing: in a pool of a hundred elements there are hundreds.
//! So all that a message is held to is asked of the bytes: the type, its flags, a length, and then parameters
//! as the decoder takes them. A short message has to be there as a whole; of a long one the first part is
//! enough, so that nobody has to wait for the rest.

use asap_pu::wire::{Message, MessageType, Reason};

/// So much of a long message is looked at.
const PART: usize = 1024;
/// The header of a message and that of its first parameter.
const HEADERS: usize = 8;
/// The only flag that any message has (RFC 5352 §2.2).
const FLAG: u8 = 0x01;

/// Whether a message begins with these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beginning {
    Yes,
    No,
    /// So far they look like it, and there are too few to tell.
    Perhaps,
}

impl Beginning {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let Some(&kind) = bytes.first() else { return Self::Perhaps };
        let message_type = MessageType::new(kind);
        // Announces go to a multicast group and never into a stream, and need no parameter that would tell.
        let may_come =
            message_type.name().is_some() && message_type != MessageType::SERVER_ANNOUNCE;
        if !may_come || bytes.get(1).is_some_and(|flags| flags & !FLAG != 0) {
            return Self::No;
        }
        let Some(&[_, _, l0, l1]) = bytes.first_chunk() else { return Self::Perhaps };
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if length < HEADERS {
            return Self::No;
        }
        let wanted = length.next_multiple_of(4).min(PART);
        let part = bytes.get(..wanted).unwrap_or(bytes);
        let is_whole = part.len() >= length;
        let fits = match is_whole {
            true => Message::decode(part).is_ok(),
            false => may_go_on(part, length),
        };
        match fits {
            false => Self::No,
            true if part.len() < wanted => Self::Perhaps,
            true => Self::Yes,
        }
    }
}

/// Whether the first part of a message of this length is in order.
fn may_go_on(part: &[u8], length: usize) -> bool {
    // As if the message ended here, behind a whole word.
    let end = part.len() / 4 * 4;
    let Some(shortened) = part.get(..end).filter(|part| part.len() >= HEADERS) else { return true };
    let mut shortened = shortened.to_vec();
    shortened[2..4].copy_from_slice(&(end as u16).to_be_bytes());
    let Err(error) = Message::decode(&shortened) else { return true };
    match error.reason() {
        // It goes on behind the part, and ends no later than the message.
        Reason::LengthBeyondEnd { length: inner, .. } => {
            let is_known = error.parameter().is_none_or(|it| it.name().is_some());
            is_known && error.offset() + usize::from(inner) <= length.next_multiple_of(4)
        }
        Reason::Truncated { .. } | Reason::NoAnswer | Reason::MissingTransport => true,
        // What a message begins with has been seen.
        Reason::Missing(_) => end < PART,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use asap_pu::wire::{PeIdentifier, Policy, PoolElement, Transport};

    fn response() -> Vec<u8> {
        // Addresses that look like headers: 10.0.0.8, and ports that are types.
        let element = |n: u8| {
            let at = ([10, 0, 0, n], 0x0500 + u16::from(n)).into();
            let policy = Policy::WeightedRoundRobin { weight: 0x0500_0008 };
            PoolElement::new(
                PeIdentifier::new(0x0b00_0000 + u32::from(n)),
                Transport::tcp(at),
                policy,
            )
        };
        let elements = (1..=120).map(element).collect();
        Message::handle_resolution_response("pool", None, elements).to_bytes().unwrap().to_vec()
    }

    /// A message begins where it begins and nowhere else, whatever numbers its elements have.
    #[test]
    fn a_message_begins_in_one_place() {
        let request = Message::handle_resolution(true, "pool", Some(7)).to_bytes().unwrap();
        let stream = [&response()[..], &request].concat();
        let second = response().len();
        for at in 0..stream.len() {
            let expected = at == 0 || at == second;
            let found = Beginning::of(&stream[at..]);
            assert_eq!(found == Beginning::Yes, expected, "{at}: {found:?}");
        }
    }

    /// While there is too little of it, it may be a message.
    #[test]
    fn a_message_is_not_given_up_before_its_end() {
        let cookie = Message::cookie("a state of some length").to_bytes().unwrap();
        for message in [&response()[..], &cookie] {
            let enough = message.len().min(PART);
            for len in 0..message.len() {
                let expected = if len < enough { Beginning::Perhaps } else { Beginning::Yes };
                assert_eq!(Beginning::of(&message[..len]), expected, "{len}");
            }
        }
    }
}
