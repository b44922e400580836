//! What goes wrong, when, and for how long; and the book that is kept of it, which says afterwards
//! what a pool user had to suffer from.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::{BTreeMap, BinaryHeap};

use asap_pu::sim::{Fault, Host, Lie, UserId};
use asap_pu::{Instant, Rng};

use super::scene::Scene;

/// One part of everything is cut off from the rest by a partition: one in so many.
const PART: u32 = 20;

/// So long at least a host is well between two mishaps, so that the book can tell them apart.
const PAUSE: Duration = Duration::from_secs(60);

/// A kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Crash,
    Doomed,
    Cut,
    Hang,
    Partition,
    Refusal,
    Delay,
    Leave,
    Registrar,
    Nothing,
}

pub(crate) const KINDS: [Kind; 9] = [
    Kind::Crash,
    Kind::Doomed,
    Kind::Cut,
    Kind::Hang,
    Kind::Partition,
    Kind::Refusal,
    Kind::Delay,
    Kind::Leave,
    Kind::Registrar,
];

/// Lets things go wrong, and keeps the book.
pub(crate) struct Trouble {
    rng: Rng,
    /// When something goes wrong next with an element, with a registrar, and between all; and the
    /// mean time between two such mishaps.
    next: [(Instant, Duration); 3],
    /// When which mishap ends.
    ends: BinaryHeap<Reverse<(Instant, Victim)>>,
    /// The last thing that went wrong with each host: its kind, its beginning and its end.
    book: BTreeMap<Host, (Kind, Instant, Instant)>,
    /// Which part was cut off the last time, from when to when.
    partition: Option<(u32, Instant, Instant)>,
    pub(crate) mishaps: BTreeMap<Kind, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Host(Host),
    Part(u32),
}

impl Trouble {
    /// Each element fails about every half hour, each registrar about every hour.
    pub(crate) fn new(seed: u64, scene: &Scene) -> Self {
        let (ends, book, mishaps) = (BinaryHeap::new(), BTreeMap::new(), BTreeMap::new());
        let elements = scene.pools.iter().map(|pool| pool.members.len() as u32).sum::<u32>();
        let next = [
            Duration::from_secs(2_000) / elements,
            Duration::from_secs(3_600) / scene.registrars.len() as u32,
            Duration::from_secs(1_800),
        ];
        let next = next.map(|mean| (Instant::EPOCH + mean, mean));
        Self { rng: Rng::new(seed), next, ends, book, partition: None, mishaps }
    }

    /// When the next mishap begins or ends.
    pub(crate) fn due(&self) -> Instant {
        let begins = self.next.map(|(at, _)| at);
        let ends = self.ends.peek().map(|Reverse((at, _))| *at);
        begins.into_iter().chain(ends).fold(Instant::EPOCH + Duration::MAX, Instant::min)
    }

    /// Lets begin and end what is due.
    pub(crate) fn act(&mut self, scene: &mut Scene, users: &[UserId]) {
        let now = scene.sim.now();
        while let Some(&Reverse((at, victim))) = self.ends.peek() {
            if at > now {
                break;
            }
            self.ends.pop();
            mend(scene, victim, users);
        }
        for what in 0..self.next.len() {
            let (at, mean) = self.next[what];
            if at <= now {
                self.next[what].0 = now + self.up_to(2 * mean);
                let until = now + Duration::from_secs(20) + self.up_to(Duration::from_secs(280));
                match what {
                    0 => self.strike_element(scene, until),
                    1 => self.strike_registrar(scene, until),
                    _ => self.part(scene, users, until),
                }
            }
        }
    }

    /// Lets all be well from here on.
    pub(crate) fn end(&mut self, scene: &mut Scene, users: &[UserId]) {
        for Reverse((_, victim)) in core::mem::take(&mut self.ends) {
            mend(scene, victim, users);
        }
        self.next.iter_mut().for_each(|(at, _)| *at = Instant::EPOCH + Duration::MAX);
    }

    /// What ails a user's way to an element or registrar, or did `aftermath` ago: its kind, and
    /// since when.
    pub(crate) fn ails(
        &self,
        now: Instant,
        user: UserId,
        host: Host,
        aftermath: Duration,
    ) -> (Kind, Instant) {
        let recent = |until: Instant| now <= until + aftermath;
        let of_host =
            self.book.get(&host).filter(|(kind, _, until)| kind.hurts() && recent(*until));
        let parted = self.partition.filter(|(.., until)| recent(*until));
        let parted = parted.filter(|(part, ..)| is_in(user.into(), *part) != is_in(host, *part));
        match (of_host, parted) {
            (Some((_, earlier, _)), Some((_, since, _))) if since > *earlier => {
                (Kind::Partition, since)
            }
            // Its fate was settled earlier, but it lived until a request came, and its death is
            // told at once.
            (Some((Kind::Doomed, ..)), _) => (Kind::Doomed, now),
            (Some((kind, since, _)), _) => (*kind, *since),
            (None, Some((_, since, _))) => (Kind::Partition, since),
            (None, None) => (Kind::Nothing, now),
        }
    }

    /// Whether a user is on the smaller side of a partition, or was `aftermath` ago.
    pub(crate) fn was_parted(&self, now: Instant, user: UserId, aftermath: Duration) -> bool {
        self.partition
            .is_some_and(|(part, _, until)| now <= until + aftermath && is_in(user.into(), part))
    }

    fn strike_element(&mut self, scene: &mut Scene, until: Instant) {
        let pool = self.any(scene.pools.len());
        let members = &scene.pools[pool].members;
        let element = members[self.any(members.len())].element;
        let (kind, fault) = match self.any(10) {
            0..3 => (Kind::Crash, Some(Fault::Crash)),
            3 => (Kind::Doomed, Some(Fault::Doomed)),
            4 | 5 => (Kind::Cut, Some(Fault::Cut)),
            6 => (Kind::Hang, Some(Fault::Hang)),
            7 => (Kind::Refusal, Some(Fault::Refuse)),
            8 => (Kind::Delay, Some(Fault::Delay(Duration::from_secs(2)))),
            _ => (Kind::Leave, None),
        };
        self.strike(scene, element.into(), kind, fault, until);
    }

    fn strike_registrar(&mut self, scene: &mut Scene, until: Instant) {
        let faults = [
            Fault::Crash,
            Fault::Cut,
            Fault::Hang,
            Fault::Refuse,
            Fault::Impostor,
            Fault::Lag,
            Fault::Repeat,
            Fault::Delay(Duration::from_secs(3)),
            Fault::Lie(Lie::UnknownPool),
            Fault::Lie(Lie::WrongHandle),
            Fault::Lie(Lie::EmptyList),
            Fault::Lie(Lie::Strangers),
            Fault::Lie(Lie::Garbage),
        ];
        let registrar = scene.registrars[self.any(scene.registrars.len())];
        let fault = faults[self.any(faults.len())];
        self.strike(scene, registrar.into(), Kind::Registrar, Some(fault), until);
    }

    /// Something goes wrong with a host, unless something has a moment ago.
    fn strike(
        &mut self,
        scene: &mut Scene,
        host: Host,
        kind: Kind,
        fault: Option<Fault>,
        until: Instant,
    ) {
        let now = scene.sim.now();
        if self.book.get(&host).is_some_and(|(.., until)| *until + PAUSE >= now) {
            return;
        }
        match (fault, host) {
            (Some(fault), _) => scene.sim.fail(host, fault),
            (None, Host::Element(element)) => scene.sim.leave(element),
            _ => return,
        }
        self.book.insert(host, (kind, now, until));
        self.ends.push(Reverse((until, Victim::Host(host))));
        *self.mishaps.entry(kind).or_default() += 1;
    }

    /// A part of everything is cut off from the rest, if all is one at the time: users, registrars
    /// and elements, some of every pool.
    fn part(&mut self, scene: &mut Scene, users: &[UserId], until: Instant) {
        let now = scene.sim.now();
        if self.partition.is_some_and(|(.., until)| until >= now) {
            return;
        }
        // One that a registrar belongs to: a part without would be no test.
        let part = Host::from(scene.registrars[self.any(scene.registrars.len())]).number() % PART;
        set_side(scene, users, part, 1);
        self.partition = Some((part, now, until));
        self.ends.push(Reverse((until, Victim::Part(part))));
        *self.mishaps.entry(Kind::Partition).or_default() += 1;
    }

    /// Any of so many.
    fn any(&mut self, many: usize) -> usize {
        self.rng.below(many as u64) as usize
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_millis(self.rng.below(most.as_millis() as u64))
    }
}

fn mend(scene: &mut Scene, victim: Victim, users: &[UserId]) {
    match victim {
        Victim::Part(part) => set_side(scene, users, part, 0),
        Victim::Host(host) => {
            scene.sim.heal(host);
            if let Host::Element(element) = host {
                scene.sim.join(element);
            }
        }
    }
}

fn set_side(scene: &mut Scene, users: &[UserId], part: u32, side: u8) {
    let users = users.iter().map(|user| Host::from(*user));
    let registrars = scene.registrars.iter().map(|server| Host::from(*server));
    let elements = scene.pools.iter().flat_map(|pool| &pool.members);
    let all = users.chain(registrars).chain(elements.map(|member| member.element.into()));
    for host in all.filter(|host| is_in(*host, part)).collect::<Vec<_>>() {
        scene.sim.set_side(host, side);
    }
}

/// Whether a host belongs to a part.
fn is_in(host: Host, part: u32) -> bool {
    host.number() % PART == part
}

impl Kind {
    /// Whether a session that has begun can suffer from it.
    const fn hurts(self) -> bool {
        !matches!(self, Self::Refusal | Self::Delay | Self::Leave | Self::Nothing)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Crash => "element crashed",
            Self::Doomed => "element died of a request",
            Self::Cut => "element fell silent",
            Self::Hang => "element hung",
            Self::Partition => "partition",
            Self::Refusal => "element refused",
            Self::Delay => "element was slow",
            Self::Leave => "element left its pool",
            Self::Registrar => "registrar failed or lied",
            Self::Nothing => "nothing",
        }
    }
}
