//! IP packets out of their fragments (RFC 791 §3.2, RFC 8200 §4.5).

use std::collections::VecDeque;
use std::net::IpAddr;

use etherparse::defrag::IpDefragBuf;
use etherparse::{IpFragOffset, IpNumber, Ipv6ExtensionSlice, LaxIpPayloadSlice, LaxNetSlice};

/// So many packets wait for their other fragments; then the oldest is given up.
const MAX_PACKETS: usize = 64;

/// A piece of an IP packet.
pub(crate) struct Fragment<'a> {
    packet: Identity,
    offset: IpFragOffset,
    more: bool,
    payload: &'a [u8],
}

/// What all fragments of a packet have in common.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Identity {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: IpNumber,
    number: u32,
}

/// Puts packets together again.
#[derive(Default)]
pub(crate) struct Fragments {
    waiting: VecDeque<(Identity, IpDefragBuf, usize)>,
    given_up: usize,
}

impl<'a> Fragment<'a> {
    /// `None` if it is a packet of its own.
    pub(crate) fn of(
        (source, destination): (IpAddr, IpAddr),
        net: &LaxNetSlice<'a>,
        ip: &LaxIpPayloadSlice<'a>,
    ) -> Option<Self> {
        let (number, offset, more) = match net {
            LaxNetSlice::Ipv4(ip) => {
                let header = ip.header();
                let number = header.identification().into();
                (number, header.fragments_offset(), header.more_fragments())
            }
            LaxNetSlice::Ipv6(ip) => {
                ip.extensions().clone().into_iter().find_map(|it| match it {
                    Ipv6ExtensionSlice::Fragment(it) => {
                        Some((it.identification(), it.fragment_offset(), it.more_fragments()))
                    }
                    _ => None,
                })?
            }
            LaxNetSlice::Arp(_) => return None,
        };
        let packet = Identity { source, destination, protocol: ip.ip_number, number };
        ip.fragmented.then_some(Self { packet, offset, more, payload: ip.payload })
    }
}

impl Fragments {
    /// The packet that a fragment completes.
    pub(crate) fn take(&mut self, fragment: &Fragment<'_>) -> Option<(Identity, Vec<u8>)> {
        let Fragment { packet, offset, more, payload } = *fragment;
        let known = self.waiting.iter().position(|(it, ..)| *it == packet);
        let (_, mut buffer, mut count) = known
            .and_then(|at| self.waiting.remove(at))
            .unwrap_or_else(|| (packet, IpDefragBuf::new(packet.protocol, vec![], vec![]), 0));
        count += 1;
        // One that contradicts those before it is not used.
        let _ = buffer.add(offset, more, payload);
        if buffer.is_complete() {
            return Some((packet, buffer.take_bufs().0));
        }
        self.waiting.push_back((packet, buffer, count));
        if self.waiting.len() > MAX_PACKETS {
            self.given_up += self.waiting.pop_front().map_or(0, |(_, _, count)| count);
        }
        None
    }

    /// How many fragments never became a packet.
    pub(crate) fn left_over(&self) -> usize {
        self.given_up + self.waiting.iter().map(|(_, _, count)| count).sum::<usize>()
    }
}
