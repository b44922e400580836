//! A network in virtual time that loses, delays, doubles and reorders datagrams, and the hosts on it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use asap_pu::{Instant, Rng};
use asap_pu_tokio::sctp_userspace::{
    AssociationId, Datagram, Endpoint, Event, SctpPoolUser, Settings, UDP_PORT,
};

pub(crate) use crate::sctp_peer::PORT;

/// What may happen to datagrams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// In per cent.
    pub(crate) loss: u64,
    pub(crate) doubled: u64,
    /// The shortest time they take, and the longest, so that they overtake each other.
    pub(crate) delay: (Duration, Duration),
}

pub(crate) const FAIR: Weather =
    Weather { loss: 0, doubled: 0, delay: (Duration::from_millis(10), Duration::from_millis(10)) };

pub(crate) const FOUL: Weather =
    Weather { loss: 20, doubled: 5, delay: (Duration::from_millis(1), Duration::from_millis(100)) };

/// Whoever takes and gives datagrams.
pub(crate) enum Machine {
    Endpoint(Box<Endpoint<u32>>),
    User(Box<SctpPoolUser>),
}

/// What an endpoint does with what it hears, if anything.
pub(crate) type Role = Box<dyn FnMut(&mut Endpoint<u32>, Instant, AssociationId, &Event<u32>)>;

pub(crate) struct Host {
    /// Its addresses, as others see them.
    pub(crate) at: Vec<SocketAddr>,
    pub(crate) machine: Machine,
    pub(crate) role: Role,
    /// What it was told.
    pub(crate) log: Vec<(Instant, AssociationId, Event<u32>)>,
    /// Nothing comes or goes.
    pub(crate) is_cut: bool,
    /// The last one of its addresses that somebody called.
    called: BTreeMap<SocketAddr, SocketAddr>,
}

impl Host {
    /// An endpoint that listens at these addresses.
    pub(crate) fn endpoint(at: &[&str], secret: u128) -> Self {
        let mut endpoint = Endpoint::new(Settings::default(), secret).unwrap();
        endpoint.listen(PORT);
        Self::new(at, Machine::Endpoint(endpoint.into()))
    }

    pub(crate) fn new(at: &[&str], machine: Machine) -> Self {
        let at = at.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), UDP_PORT)).collect();
        let role: Role = Box::new(|_, _, _, _| ());
        Self { at, machine, role, log: Vec::new(), is_cut: false, called: BTreeMap::new() }
    }

    pub(crate) fn with(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    pub(crate) fn sctp(&mut self) -> &mut Endpoint<u32> {
        match &mut self.machine {
            Machine::Endpoint(endpoint) => endpoint,
            Machine::User(_) => panic!("a pool user"),
        }
    }

    pub(crate) fn user(&mut self) -> &mut SctpPoolUser {
        match &mut self.machine {
            Machine::User(user) => user,
            Machine::Endpoint(_) => panic!("no pool user"),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.machine {
            Machine::Endpoint(endpoint) => endpoint.poll_timeout(),
            Machine::User(user) => user.poll_timeout(),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match &mut self.machine {
            Machine::Endpoint(endpoint) => endpoint.handle_timeout(now),
            Machine::User(user) => user.handle_timeout(now),
        }
    }

    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        match &mut self.machine {
            Machine::Endpoint(endpoint) => endpoint.handle_datagram(now, from, bytes),
            Machine::User(user) => user.handle_datagram(now, from, bytes),
        }
    }

    fn poll_datagram(&mut self) -> Option<Datagram> {
        match &mut self.machine {
            Machine::Endpoint(endpoint) => endpoint.poll_datagram(),
            Machine::User(user) => user.poll_datagram(),
        }
    }

    fn attend(&mut self, now: Instant) {
        let Machine::Endpoint(endpoint) = &mut self.machine else { return };
        while let Some((id, event)) = endpoint.poll_event() {
            (self.role)(endpoint, now, id, &event);
            self.log.push((now, id, event));
        }
    }

    /// From where it sends to somebody.
    fn source(&self, to: SocketAddr) -> SocketAddr {
        let same = |at: &&SocketAddr| at.is_ipv4() == to.is_ipv4();
        let called = self.called.get(&to).filter(|at| self.at.contains(at));
        *called.or_else(|| self.at.iter().find(same)).unwrap_or(&self.at[0])
    }
}

pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) weather: Weather,
    pub(crate) hosts: Vec<Host>,
    /// Every datagram that was sent, from where and to where.
    pub(crate) sent: Vec<(SocketAddr, Datagram)>,
    rng: Rng,
    flying: BTreeMap<(Instant, usize), (SocketAddr, Datagram)>,
    number: usize,
}

impl Net {
    pub(crate) fn new(seed: u64, weather: Weather, hosts: impl Into<Vec<Host>>) -> Self {
        Self {
            now: Instant::EPOCH + Duration::from_secs(1),
            weather,
            hosts: hosts.into(),
            sent: Vec::new(),
            rng: Rng::new(seed),
            flying: BTreeMap::new(),
            number: 0,
        }
    }

    /// Host `from` calls host `to` at all its addresses.
    pub(crate) fn connect(&mut self, from: usize, to: usize) -> AssociationId {
        let at: Vec<_> =
            self.hosts[to].at.iter().map(|at| SocketAddr::new(at.ip(), PORT)).collect();
        let now = self.now;
        self.hosts[from].sctp().connect(now, at).unwrap()
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        assert!(!self.run_until(end, |_| false));
    }

    /// Goes on until that is so, for a minute at most.
    pub(crate) fn until(&mut self, done: impl FnMut(&mut Self) -> bool) {
        let end = self.now + Duration::from_secs(60);
        assert!(self.run_until(end, done), "not within a minute");
    }

    pub(crate) fn run_until(
        &mut self,
        end: Instant,
        mut done: impl FnMut(&mut Self) -> bool,
    ) -> bool {
        let mut steps_at_once = 0;
        loop {
            for at in 0..self.hosts.len() {
                self.hosts[at].attend(self.now);
                while let Some(datagram) = self.hosts[at].poll_datagram() {
                    self.fly(at, datagram);
                }
            }
            if done(self) {
                return true;
            }
            let deadlines = self.hosts.iter().filter_map(Host::poll_timeout);
            let next = deadlines.chain(self.flying.keys().map(|(at, _)| *at)).min();
            let next = next.map_or(end, |at| at.max(self.now)).min(end);
            steps_at_once = if next == self.now { steps_at_once + 1 } else { 0 };
            assert!(steps_at_once < 10_000, "it does not come to rest");
            if next >= end && self.now >= end {
                return false;
            }
            self.now = next;
            while let Some(first) = self.flying.first_entry().filter(|e| e.key().0 <= self.now) {
                let (from, datagram) = first.remove();
                self.land(from, &datagram);
            }
            for host in &mut self.hosts {
                if host.poll_timeout().is_some_and(|at| at <= self.now) {
                    host.handle_timeout(self.now);
                }
            }
            if self.now >= end {
                return done(self);
            }
        }
    }

    fn fly(&mut self, host: usize, datagram: Datagram) {
        let host = &self.hosts[host];
        let from = host.source(datagram.to);
        self.sent.push((from, datagram.clone()));
        let copies = 1 + usize::from(self.rng.below(100) < self.weather.doubled);
        for _ in 0..copies {
            if host.is_cut || self.rng.below(100) < self.weather.loss {
                continue;
            }
            let (least, most) = self.weather.delay;
            let spread = (most - least).as_micros() as u64;
            let delay = least + Duration::from_micros(self.rng.below(spread + 1));
            self.number += 1;
            self.flying.insert((self.now + delay, self.number), (from, datagram.clone()));
        }
    }

    fn land(&mut self, from: SocketAddr, datagram: &Datagram) {
        let to = datagram.to;
        if let Some(host) = self.hosts.iter_mut().find(|host| host.at.contains(&to) && !host.is_cut)
        {
            host.called.insert(from, to);
            host.handle_datagram(self.now, from, &datagram.bytes);
        }
    }
}
