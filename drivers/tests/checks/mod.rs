//! Two endpoints under any inputs, and what must hold whatever they are.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use asap_pu::Instant;
use asap_pu_tokio::sctp_userspace::{AssociationId, Datagram, Endpoint, Event, Settings, UDP_PORT};

const PORT: u16 = 7;
/// As much as an endpoint may say to one input.
const MAX_OUTPUTS: usize = 4_000;

struct Side {
    at: SocketAddr,
    endpoint: Endpoint<u32>,
    /// What is on its way from here.
    out: VecDeque<Datagram>,
    up: Vec<AssociationId>,
    /// What was told of each message: written, delivered, unsent.
    fates: BTreeMap<u32, [u8; 3]>,
    next: u32,
}

/// Does what the bytes say, then lets everything come to its end.
pub(crate) fn live(data: &[u8]) {
    let mut now = Instant::EPOCH + Duration::from_secs(1);
    let mut sides = [1, 2].map(|n| Side {
        at: SocketAddr::new([10, 0, 0, n].into(), UDP_PORT),
        endpoint: Endpoint::new(Settings::default(), n.into()).unwrap(),
        out: VecDeque::new(),
        up: Vec::new(),
        fates: BTreeMap::new(),
        next: 0,
    });
    sides.iter_mut().for_each(|side| side.endpoint.listen(PORT));
    let mut bytes = data.iter().copied();
    while let Some(command) = bytes.next() {
        let (at, argument) = (usize::from(command & 1), bytes.next().unwrap_or_default());
        let peer = sides[1 - at].at;
        match command >> 1 & 0xf {
            0 => {
                let _ = sides[at].endpoint.connect(now, [SocketAddr::new(peer.ip(), PORT)]);
            }
            1 => {
                let Some(&id) = sides[at].up.first() else { continue };
                let (name, data) = (sides[at].next, vec![argument; usize::from(argument) * 20]);
                sides[at].next += 1;
                let ppid = u32::from(argument);
                sides[at].endpoint.send(now, id, name, ppid, &data, command & 0x20 != 0);
            }
            2 => {
                let Some(id) = sides[at].up.pop() else { continue };
                sides[at].endpoint.close(now, id);
            }
            3 => now += Duration::from_millis(u64::from(argument) * 20),
            4 => now += Duration::from_secs(u64::from(argument)),
            5 => drop(sides[at].out.pop_front()),
            6 => {
                let Some(copy) = sides[at].out.front().cloned() else { continue };
                sides[at].out.push_back(copy);
            }
            7 => {
                let len = sides[at].out.len().max(1);
                sides[at].out.rotate_left(usize::from(argument) % len);
            }
            8 => sides[at].at.set_port(UDP_PORT + u16::from(argument)),
            9 => {
                let Some(refused) = sides[at].out.pop_front() else { continue };
                let why = io::ErrorKind::ConnectionRefused.into();
                sides[at].endpoint.handle_unreachable(now, refused.to, &refused.bytes, why);
            }
            // What is on its way is altered, as by a peer that is not what it should be.
            10..=12 => {
                let Some(datagram) = sides[at].out.front_mut() else { continue };
                for _ in 0..=argument % 8 {
                    let place = usize::from(bytes.next().unwrap_or_default()) << 2
                        | usize::from(bytes.next().unwrap_or_default() & 3);
                    let len = datagram.bytes.len();
                    let place = 12.min(len - 1) + place % (len - 12).max(1);
                    let value = bytes.next().unwrap_or_default();
                    datagram.bytes[place] = value;
                }
                if argument & 0x40 != 0 {
                    datagram.bytes.truncate(16 + usize::from(argument & 0x38) * 4);
                }
                if argument & 0x80 == 0 {
                    seal(&mut datagram.bytes);
                }
            }
            // Chunks of its own follow the header.
            13 => {
                let Some(datagram) = sides[at].out.front_mut() else { continue };
                datagram.bytes.truncate(12);
                datagram.bytes.extend(bytes.by_ref().take(usize::from(argument)));
                let padded = datagram.bytes.len().next_multiple_of(4);
                datagram.bytes.resize(padded, 0);
                seal(&mut datagram.bytes);
            }
            _ => {
                let Some(datagram) = sides[at].out.pop_front() else { continue };
                let from = sides[at].at;
                sides[1 - at].endpoint.handle_datagram(now, from, &datagram.bytes);
            }
        }
        sides.iter_mut().for_each(|side| side.attend(now));
    }
    finish(sides, now);
}

impl Side {
    /// Takes what the endpoint says, and calls it when it wants that.
    fn attend(&mut self, now: Instant) {
        for turn in 0.. {
            assert!(turn < MAX_OUTPUTS, "it does not come to rest");
            if let Some(datagram) = self.endpoint.poll_datagram() {
                assert!(datagram.bytes.len() <= 1_232);
                self.out.push_back(datagram);
            } else if let Some((id, event)) = self.endpoint.poll_event() {
                self.hear(id, event);
            } else if self.endpoint.poll_timeout().is_some_and(|at| at <= now) {
                self.endpoint.handle_timeout(now);
            } else {
                break;
            }
        }
        // What nobody fetches is lost.
        self.out.truncate(64);
    }

    fn hear(&mut self, id: AssociationId, event: Event<u32>) {
        let (name, fate) = match event {
            Event::Up | Event::Accepted { .. } => {
                assert!(!self.up.contains(&id));
                return self.up.push(id);
            }
            Event::Ended(_) => return self.up.retain(|up| *up != id),
            Event::Message { .. } => return,
            Event::Written(name) => (name, 0),
            Event::Delivered(name) => (name, 1),
            Event::Unsent(name) => (name, 2),
        };
        assert!(name < self.next);
        let fates = self.fates.entry(name).or_default();
        fates[fate] += 1;
        // Each is told once; what was delivered was written, what was unsent was neither.
        assert!(matches!(fates, [1, 0 | 1, 0] | [0, 0, 1]), "{fates:?}");
    }
}

/// From here on everything arrives: what is closed comes to its end on both sides.
fn finish(mut sides: [Side; 2], mut now: Instant) {
    for side in &mut sides {
        side.at.set_port(UDP_PORT);
    }
    let end = now + Duration::from_secs(120);
    while now < end {
        for at in 0..2 {
            sides[at].attend(now);
            while let Some(id) = sides[at].up.pop() {
                sides[at].endpoint.close(now, id);
            }
            sides[at].attend(now);
            let from = sides[at].at;
            for datagram in std::mem::take(&mut sides[at].out) {
                sides[1 - at].endpoint.handle_datagram(now, from, &datagram.bytes);
            }
        }
        now += Duration::from_millis(100);
    }
    for side in &sides {
        assert_eq!(side.endpoint.associations(), 0);
        assert_eq!(side.endpoint.poll_timeout(), None);
    }
}

/// Gives a packet its checksum, CRC32c bit by bit.
fn seal(packet: &mut [u8]) {
    packet[8..12].fill(0);
    let mut crc = !0_u32;
    for byte in &*packet {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    packet[8..12].copy_from_slice(&(!crc).to_le_bytes());
}
