//! The other side of the link: a gateway, and behind it a registrar and the elements "alpha", which
//! dies when it has to add a third number, and "beta".

use std::collections::BTreeMap;

use asap_pu::wire::{ASAP_PPID, Body, Message, PeIdentifier, Policy, PoolElement, Transport};

use super::driver::{DATA_PPID, Frame, Kind, Link};

/// Serves until the other end is gone.
pub(crate) fn run((link, frames): Link) {
    let mut peers = BTreeMap::new();
    for frame in frames {
        let Frame { channel, kind } = Frame::decode(&frame).expect("the driver sends frames");
        let reply = |kind: Kind| drop(link.send(Frame { channel, kind }.encode()));
        let control = |message: Message| {
            reply(Kind::Message(ASAP_PPID, message.to_bytes().expect("it fits").into()));
        };
        match (kind, peers.get_mut(&channel)) {
            (Kind::Open(name), _) => {
                let lives = if name == b"alpha" { 2 } else { 9 };
                peers.insert(channel, (0, lives));
                reply(Kind::Opened);
            }
            (Kind::Message(ASAP_PPID, bytes), Some((sum, _))) => {
                match Message::decode(&bytes).expect("the pool user sends messages").body {
                    Body::HandleResolution { handle, .. } => {
                        let element = |(id, name)| {
                            let id = PeIdentifier::new(id);
                            PoolElement::new(id, Transport::opaque(name), Policy::RoundRobin)
                        };
                        let elements = [(1, "alpha"), (2, "beta")].map(element).into();
                        control(Message::handle_resolution_response(handle, None, elements));
                    }
                    Body::CookieEcho { cookie, .. } => *sum = number(&cookie),
                    _ => {}
                }
            }
            (Kind::Message(..), Some((_, 0))) => {
                peers.remove(&channel);
                reply(Kind::Broken);
            }
            (Kind::Message(_, bytes), Some((sum, lives))) => {
                *sum += number(&bytes);
                *lives -= 1;
                let sum = sum.to_string();
                control(Message::cookie(sum.clone()));
                reply(Kind::Message(DATA_PPID, sum.into()));
            }
            _ => {}
        }
    }
}

fn number(digits: &[u8]) -> u32 {
    core::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}
