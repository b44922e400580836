//! A device in a pool's network, in virtual time: one without an operating system, with the driver in
//! `stack.rs` around `smoltcp`.
//!
//! `cargo run --example smoltcp` has it resolve a pool and open a session; the element that answers
//! first is then killed, and the session goes on at the other one. `cargo run --example smoltcp cut-off`
//! has the element's host cut off instead, which says nothing. The registrar and both elements live on a
//! second interface at the other end of a wire. Nobody waits: the clock is set to whatever happens next.

pub(crate) mod stack;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error;
use std::mem::{swap, take};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use asap_pu::wire::{Body, Message, PeIdentifier, Policy, PoolElement, StreamDecoder, Transport};
use asap_pu::{Config, Event, Failover, Instant, Registrar, Stats};
use smoltcp::iface::{self, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::socket::tcp;
use smoltcp::time;
use smoltcp::wire::{HardwareAddress, IpCidr};

use stack::Stack;

const POOL: &str = "EchoPool";
const DEVICE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PEERS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const REGISTRAR_PORT: u16 = 3863;
/// Of the two elements, by number.
const ELEMENT_PORTS: [u16; 2] = [7001, 7002];

/// How long a packet is on the wire.
const LATENCY: time::Duration = time::Duration::from_millis(5);

/// How often at most the clock is set before this counts as endless.
const MAX_STEPS: usize = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let end = match std::env::args().nth(1).as_deref() {
        None => End::Killed,
        Some("cut-off") => End::CutOff,
        Some(_) => return Err("usage: smoltcp [cut-off]".into()),
    };
    let outcome = run(std::process::id().into(), end)?;
    outcome.said.iter().for_each(|line| println!("{line}"));
    Ok(())
}

/// What becomes of the element that answers first.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// Its connection is broken, and calls are refused.
    Killed,
    /// No packet comes from it or gets there.
    CutOff,
}

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// What happened, each with its time.
    pub(crate) said: Vec<String>,
    /// Which element answered first, and was lost.
    pub(crate) lost: u32,
    /// What was answered.
    pub(crate) answers: Vec<String>,
    /// Which elements the registrar heard of as unreachable.
    pub(crate) reports: Vec<u32>,
    pub(crate) stats: Stats,
}

/// What is sent, each line in so many messages: the first is longer than any buffer, the second has more
/// messages than the window.
pub(crate) fn lines() -> [Vec<String>; 2] {
    let second = "bbbbbb\n".chars().map(String::from).collect();
    [vec!["a".repeat(3_000) + "\n"], second]
}

/// The whole story, which is the same each time for the same seed.
pub(crate) fn run(seed: u64, end: End) -> Result<Outcome, Box<dyn Error>> {
    let (mut near, far) = wire();
    let mut config = Config::small();
    config.discovery.registrars.push(Registrar::tcp((PEERS, REGISTRAR_PORT).into()));
    let interface = interface(DEVICE, &mut near);
    let mut stack = Stack::new(config, seed, near.clone(), interface)?;
    let mut peers = Peers::new(far.clone());

    let mut now = Instant::EPOCH;
    let session = stack.user().open_session(now, POOL, Default::default())?;
    let mut lines = lines().into_iter();
    let mut waiting = Vec::new();
    for message in lines.next().into_iter().flatten() {
        let mut session = stack.user().session_mut(now, session)?;
        waiting.push(session.send(message, Failover::Unconfirmed)?);
    }
    let (mut said, mut received) = (Vec::new(), String::new());
    let (mut answers, mut lost) = (Vec::new(), 0);
    for _ in 0..MAX_STEPS {
        while let Some(event) = stack.poll(now) {
            let at = now.since(Instant::EPOCH);
            match event {
                Event::RegistrarFound { transport, .. } => {
                    said.push(format!("{at:?}: the registrar is at {transport}"));
                }
                Event::Connected { element: Some(element), .. } => {
                    said.push(format!("{at:?}: element {element} serves"));
                }
                Event::ElementLost { element: Some(element), reason, .. } => {
                    said.push(format!("{at:?}: element {element} is lost: {reason}"));
                }
                Event::FailedOver { to, .. } => {
                    said.push(format!("{at:?}: element {to} serves"));
                    received.clear();
                }
                Event::Received { data, element: Some(element), .. } => {
                    received.push_str(&String::from_utf8_lossy(&data));
                    if !received.ends_with('\n') {
                        continue;
                    }
                    said.push(format!("{at:?}: {} bytes, {received:.4}...", received.len()));
                    answers.push(take(&mut received));
                    let mut of_session = stack.user().session_mut(now, session)?;
                    for message in waiting.drain(..) {
                        of_session.confirm(message);
                    }
                    let Some(line) = lines.next() else {
                        of_session.close()?;
                        continue;
                    };
                    for message in line {
                        waiting.push(of_session.send(message, Failover::Unconfirmed)?);
                    }
                    lost = element.get();
                    peers.end(lost, end);
                }
                Event::SessionEnded { error: None, .. } => stack.user().shut_down(now),
                Event::SessionEnded { error: Some(error), .. } => return Err(error.into()),
                other => return Err(format!("{at:?}: {other:?}").into()),
            }
        }
        if stack.is_shut_down() {
            let (reports, stats) = (peers.reports, *stack.user().stats());
            return Ok(Outcome { said, lost, answers, reports, stats });
        }
        peers.poll(now);
        let arrivals = near.arrival().into_iter().chain(far.arrival());
        let of_peers = peers.poll_at(now);
        let next = arrivals.chain(of_peers).map(from_stack).chain(stack.poll_timeout(now)).min();
        now = now.max(next.ok_or("nothing is to happen any more")?);
    }
    Err(format!("no end by {:?}", now.since(Instant::EPOCH)).into())
}

fn interface(address: Ipv4Addr, device: &mut Plug) -> Interface {
    let config = iface::Config::new(HardwareAddress::Ip);
    let mut interface = Interface::new(config, device, time::Instant::ZERO);
    interface.update_ip_addrs(|addresses| {
        addresses.push(IpCidr::new(address.into(), 24)).expect("room for one");
    });
    interface
}

fn to_stack(at: Instant) -> time::Instant {
    time::Instant::from_micros(i64::try_from(at.as_nanos() / 1_000).unwrap_or(i64::MAX))
}

fn from_stack(at: time::Instant) -> Instant {
    Instant::from_nanos(u64::try_from(at.total_micros()).unwrap_or(0) * 1_000)
}

/// Packets in one direction, each with the time when it is there.
type Direction = Rc<RefCell<VecDeque<(time::Instant, Vec<u8>)>>>;

/// One end of a wire.
#[derive(Clone)]
struct Plug {
    incoming: Direction,
    outgoing: Direction,
    /// The port whose packets get lost.
    cut_off: Rc<Cell<Option<u16>>>,
}

/// Both ends of a wire.
fn wire() -> (Plug, Plug) {
    let near = Plug {
        incoming: Direction::default(),
        outgoing: Direction::default(),
        cut_off: Rc::default(),
    };
    let mut far = near.clone();
    swap(&mut far.incoming, &mut far.outgoing);
    (near, far)
}

impl Plug {
    /// When the next packet is there.
    fn arrival(&self) -> Option<time::Instant> {
        self.incoming.borrow().front().map(|(at, _)| *at)
    }
}

struct Incoming(Vec<u8>);

struct Outgoing {
    plug: Plug,
    arrival: time::Instant,
}

impl Device for Plug {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing;

    fn receive(&mut self, now: time::Instant) -> Option<(Incoming, Outgoing)> {
        self.arrival().filter(|at| *at <= now)?;
        let (_, packet) = self.incoming.borrow_mut().pop_front()?;
        Some((Incoming(packet), self.transmit(now)?))
    }

    fn transmit(&mut self, now: time::Instant) -> Option<Outgoing> {
        Some(Outgoing { plug: self.clone(), arrival: now + LATENCY })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        (capabilities.medium, capabilities.max_transmission_unit) = (Medium::Ip, 1500);
        capabilities
    }
}

impl phy::RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl phy::TxToken for Outgoing {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut packet = vec![0; len];
        let outcome = write(&mut packet);
        // Behind twenty bytes of IPv4 come the ports.
        let is_lost = |port: u16| packet[20..24].chunks(2).any(|at| at == port.to_be_bytes());
        if !self.plug.cut_off.get().is_some_and(is_lost) {
            self.plug.outgoing.borrow_mut().push_back((self.arrival, packet));
        }
        outcome
    }
}

/// A registrar and two elements, each a socket that takes one call after the other.
struct Peers {
    device: Plug,
    interface: Interface,
    sockets: SocketSet<'static>,
    services: Vec<Service>,
    reports: Vec<u32>,
}

struct Service {
    port: u16,
    socket: SocketHandle,
    decoder: StreamDecoder,
    line: Vec<u8>,
    is_alive: bool,
}

impl Peers {
    fn new(mut device: Plug) -> Self {
        let interface = interface(PEERS, &mut device);
        let mut sockets = SocketSet::new(Vec::new());
        let service = |port| {
            let buffer = || tcp::SocketBuffer::new(vec![0; 4096]);
            let socket = sockets.add(tcp::Socket::new(buffer(), buffer()));
            let decoder = StreamDecoder::new(4096);
            Service { port, socket, decoder, line: Vec::new(), is_alive: true }
        };
        let ports = [REGISTRAR_PORT].into_iter().chain(ELEMENT_PORTS);
        let services = ports.map(service).collect();
        Self { device, interface, sockets, services, reports: Vec::new() }
    }

    /// An element is no more.
    fn end(&mut self, number: u32, end: End) {
        let port = ELEMENT_PORTS[number as usize - 1];
        match end {
            End::CutOff => self.device.cut_off.set(Some(port)),
            End::Killed => {
                for service in self.services.iter_mut().filter(|service| service.port == port) {
                    service.is_alive = false;
                    self.sockets.get_mut::<tcp::Socket<'_>>(service.socket).abort();
                }
            }
        }
    }

    fn poll_at(&mut self, now: Instant) -> Option<time::Instant> {
        self.interface.poll_at(to_stack(now), &self.sockets)
    }

    fn poll(&mut self, now: Instant) {
        let Self { device, interface, sockets, services, reports } = self;
        interface.poll(to_stack(now), device, sockets);
        for service in services.iter_mut().filter(|service| service.is_alive) {
            let socket = sockets.get_mut::<tcp::Socket<'_>>(service.socket);
            if !socket.is_open() {
                socket.listen(service.port).expect("a port");
                service.decoder = StreamDecoder::new(4096);
                service.line.clear();
            }
            let mut buffer = [0; 4096];
            if let Ok(len @ 1..) = socket.recv_slice(&mut buffer) {
                let answer = service.answer(&buffer[..len], reports);
                assert_eq!(socket.send_slice(&answer), Ok(answer.len()), "short answers");
            } else if !socket.may_recv() && socket.may_send() {
                socket.close();
            }
        }
        interface.poll(to_stack(now), device, sockets);
    }
}

impl Service {
    fn answer(&mut self, mut received: &[u8], reports: &mut Vec<u32>) -> Vec<u8> {
        if let Some(number) = ELEMENT_PORTS.iter().position(|port| *port == self.port) {
            self.line.extend_from_slice(received);
            return match self.line.ends_with(b"\n") {
                true => [format!("{}: ", number + 1).into_bytes(), take(&mut self.line)].concat(),
                false => Vec::new(),
            };
        }
        let mut answers = Vec::new();
        while let Some(message) = self.decoder.next(&mut received).expect("ASAP") {
            match Message::decode(message).expect("ASAP").body {
                Body::HandleResolution { handle, .. } => {
                    let element = |(id, port)| {
                        let at = SocketAddr::from((PEERS, port));
                        PoolElement::new(
                            PeIdentifier::new(id),
                            Transport::tcp(at),
                            Policy::RoundRobin,
                        )
                    };
                    let elements = (1..).zip(ELEMENT_PORTS).map(element).collect();
                    let answer = Message::handle_resolution_response(handle, None, elements);
                    answers.extend(answer.to_bytes().expect("a short list"));
                }
                Body::EndpointUnreachable { identifier, .. } => reports.push(identifier.get()),
                other => panic!("{other:?}"),
            }
        }
        answers
    }
}
