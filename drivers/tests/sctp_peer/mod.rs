//! A registrar and element that speaks SCTP over UDP, on a socket of this host.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant as Clock};

use asap_pu::Instant;
use asap_pu::wire::{ASAP_PPID, Body, Message, PeIdentifier, Policy, PoolElement};
use asap_pu::wire::{Transport, TransportUse};
use asap_pu_tokio::sctp_userspace::{Endpoint, Event as Sctp, Settings};

/// Where it listens for SCTP.
pub(crate) const PORT: u16 = 7;
const PATIENCE: Duration = Duration::from_secs(30);

/// A registrar and element in one, over UDP, until it has no association left.
pub(crate) fn peer(at: &str) -> (SocketAddr, thread::JoinHandle<()>) {
    let socket = UdpSocket::bind(at).unwrap();
    let at = socket.local_addr().unwrap();
    let serve = move || {
        let mut endpoint = Endpoint::<()>::new(Settings::default(), 1).unwrap();
        endpoint.listen(PORT);
        let (start, mut buffer, mut has_begun) = (Clock::now(), [0; 2048], false);
        while !has_begun || endpoint.associations() > 0 {
            let now = || Instant::EPOCH + start.elapsed();
            let wait = endpoint.poll_timeout().map_or(PATIENCE, |at| at.since(now()));
            socket.set_read_timeout(Some(wait.max(Duration::from_millis(1)))).unwrap();
            match socket.recv_from(&mut buffer) {
                Ok((len, from)) => endpoint.handle_datagram(now(), from, &buffer[..len]),
                Err(_) => endpoint.handle_timeout(now()),
            }
            while let Some((id, event)) = endpoint.poll_event() {
                has_begun = true;
                let Sctp::Message { ppid, data } = event else { continue };
                let answer = match Message::decode(&data) {
                    Ok(message) if ppid == ASAP_PPID => match message.body {
                        Body::HandleResolution { handle, .. } => {
                            let to = Transport::sctp(PORT, TransportUse::DATA_ONLY, [at.ip()]);
                            let element =
                                PoolElement::new(PeIdentifier::new(1), to, Policy::RoundRobin);
                            let answer =
                                Message::handle_resolution_response(handle, None, vec![element]);
                            answer.to_bytes().unwrap().to_vec()
                        }
                        _ => continue,
                    },
                    _ => data,
                };
                endpoint.send(now(), id, (), ppid, &answer, false);
            }
            while let Some(datagram) = endpoint.poll_datagram() {
                socket.send_to(&datagram.bytes, datagram.to).unwrap();
            }
        }
    };
    (at, thread::spawn(serve))
}
