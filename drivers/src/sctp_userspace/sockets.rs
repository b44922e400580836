//! The sockets under it: one for IPv4 and one for IPv6, and those for announces.

use std::io::{self, ErrorKind::WouldBlock};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use super::Carrier;
#[cfg(target_os = "linux")]
use super::linux;

/// Where datagrams wait to be read.
const RECEIVE_BUFFER: usize = 1 << 20;

/// What has come.
#[derive(Debug)]
pub(super) enum Incoming<'a> {
    /// An SCTP packet.
    Packet(SocketAddr, &'a [u8]),
    /// What registrars say to everybody.
    Announce(SocketAddr, &'a [u8]),
    /// A packet could not be delivered there; the beginning of it, and why.
    Unreachable(SocketAddr, &'a [u8], io::Error),
}

#[derive(Debug)]
pub(super) struct Sockets {
    carrier: Carrier,
    poll: Poll,
    events: Events,
    all: Vec<Watched>,
    /// Which one is read next, so that none has to wait for another.
    turn: usize,
}

/// A socket, and whether there may be something to read.
#[derive(Debug)]
struct Watched {
    socket: UdpSocket,
    is_ready: bool,
    /// Whether there may be word of datagrams that could not be delivered.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "others give no such word"))]
    has_errors: bool,
    /// Of what it takes packets, if it does.
    packets: Option<Domain>,
}

impl Sockets {
    /// Those for packets, of the families that this host has.
    pub(super) fn new(carrier: Carrier) -> io::Result<Self> {
        let (poll, events) = (Poll::new()?, Events::with_capacity(16));
        let mut new = Self { carrier, poll, events, all: Vec::new(), turn: 0 };
        let four = open(carrier, Domain::IPV4);
        let six = open(carrier, Domain::IPV6);
        match (four, six) {
            (Err(why), Err(_)) => return Err(why),
            (four, six) => {
                for (domain, socket) in [(Domain::IPV4, four), (Domain::IPV6, six)] {
                    if let Ok(socket) = socket {
                        new.watch(socket.into(), Some(domain))?;
                    }
                }
            }
        }
        Ok(new)
    }

    /// One for announces.
    pub(super) fn add_announces(&mut self, socket: std::net::UdpSocket) -> io::Result<()> {
        self.watch(socket, None)
    }

    fn watch(&mut self, socket: std::net::UdpSocket, packets: Option<Domain>) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        let mut socket = UdpSocket::from_std(socket);
        let token = Token(self.all.len());
        self.poll.registry().register(&mut socket, token, Interest::READABLE)?;
        self.all.push(Watched { socket, is_ready: true, has_errors: false, packets });
        Ok(())
    }

    /// Sends a packet. One for which there is no room at the moment is lost, as it might be on the
    /// way.
    pub(super) fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let domain = if to.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let Some(found) = self.all.iter().find(|watched| watched.packets == Some(domain)) else {
            let why = "this host has no such addresses";
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, why));
        };
        // What the socket says may have come of one before; then that is over with this.
        let again = |_| found.socket.send_to(bytes, to);
        match found.socket.send_to(bytes, to).or_else(again) {
            Err(error) if error.kind() != WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// The longest IP packet that the route there takes, where the system says so.
    pub(super) fn route_mtu(to: SocketAddr) -> Option<u16> {
        #[cfg(target_os = "linux")]
        return linux::route_mtu(to).ok();
        #[cfg(not(target_os = "linux"))]
        return {
            let _ = to;
            None
        };
    }

    /// Waits until something comes, for `patience` at most.
    pub(super) fn wait(&mut self, patience: Duration) -> io::Result<()> {
        let patience = match self.all.iter().any(|watched| watched.is_ready) {
            true => Duration::ZERO,
            false => patience,
        };
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &self.events {
            let watched = &mut self.all[event.token().0];
            watched.is_ready = true;
            watched.has_errors |= event.is_error();
        }
        Ok(())
    }

    #[cfg(all(unix, feature = "tcp"))]
    pub(super) fn readiness(&self) -> io::Result<std::os::fd::OwnedFd> {
        std::os::fd::AsFd::as_fd(self.poll.registry()).try_clone_to_owned()
    }

    #[cfg(all(unix, feature = "tcp"))]
    pub(super) fn has_more(&self) -> bool {
        self.all.iter().any(|watched| watched.is_ready)
    }

    /// What has come, if anything has.
    pub(super) fn receive<'a>(&mut self, buffer: &'a mut [u8]) -> Option<Incoming<'a>> {
        for _ in 0..self.all.len() {
            self.turn = (self.turn + 1) % self.all.len();
            let watched = &mut self.all[self.turn];
            if !watched.is_ready {
                continue;
            }
            #[cfg(target_os = "linux")]
            if watched.has_errors {
                if let Some((to, len, why)) = linux::next(&watched.socket, buffer) {
                    return Some(Incoming::Unreachable(to, &buffer[..len], why));
                }
                watched.has_errors = false;
            }
            match watched.socket.recv_from(buffer) {
                Ok((len, from)) => {
                    let bytes = &buffer[..len];
                    return Some(match watched.packets {
                        None => Incoming::Announce(from, bytes),
                        Some(domain) => match (self.carrier, domain) {
                            (Carrier::Ip, Domain::IPV4) => {
                                Incoming::Packet(from, behind_header(bytes))
                            }
                            _ => Incoming::Packet(from, bytes),
                        },
                    });
                }
                Err(error) if error.kind() == WouldBlock => watched.is_ready = false,
                // What came of a datagram that was sent.
                Err(_) => watched.has_errors = true,
            }
        }
        None
    }
}

/// What an IPv4 packet carries.
fn behind_header(packet: &[u8]) -> &[u8] {
    let len = packet.first().map_or(0, |first| usize::from(first & 0xf) * 4);
    packet.get(len..).unwrap_or_default()
}

fn open(carrier: Carrier, domain: Domain) -> io::Result<Socket> {
    let socket = match carrier {
        Carrier::Udp(_) => Socket::new(domain, Type::DGRAM, None)?,
        Carrier::Ip => raw(domain)?,
    };
    let any = match domain {
        Domain::IPV4 => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        _ => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
    }
    socket.bind(&any.into())?;
    // All associations share it; what it has no room for is lost. The system may give less.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    #[cfg(target_os = "linux")]
    linux::prepare(&socket, domain == Domain::IPV4)?;
    Ok(socket)
}

/// A socket for IP packets with the protocol of SCTP.
#[cfg(target_os = "linux")]
fn raw(domain: Domain) -> io::Result<Socket> {
    if std::path::Path::new("/proc/net/sctp").exists() {
        let why = "this host's kernel speaks SCTP, and would break off what it does not know of";
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    Socket::new(domain, Type::RAW, Some(socket2::Protocol::SCTP)).map_err(|error| {
        match error.kind() {
            io::ErrorKind::PermissionDenied => io::Error::new(
                error.kind(),
                "SCTP over IP takes the right to raw sockets (CAP_NET_RAW)",
            ),
            _ => error,
        }
    })
}

#[cfg(not(target_os = "linux"))]
fn raw(_: Domain) -> io::Result<Socket> {
    let why = "SCTP over IP takes Linux; over UDP it goes without";
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_left_out_whatever_its_length() {
        let packet = |first| [&[first][..], &[0; 30]].concat();
        assert_eq!(behind_header(&packet(0x45)).len(), 11);
        assert_eq!(behind_header(&packet(0x46)).len(), 7);
        assert!(behind_header(&packet(0x4f)).is_empty() && behind_header(&[]).is_empty());
    }
}
