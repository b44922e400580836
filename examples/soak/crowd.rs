//! The pool users, and the application that each of them runs: one request after the other, with a
//! pause for thought in between, some to a session.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BinaryHeap;

use asap_pu::sim::UserId;
use asap_pu::wire::{PeIdentifier, ServerIdentifier};
use asap_pu::{Event, Failover, Instant, MessageId, Rng, SessionId, SessionOptions};

use super::scene::Scene;
use super::tally::Tally;
use super::trouble::{Kind, Trouble};

/// The longest pause between two requests.
const THOUGHT: Duration = Duration::from_secs(120);
/// Most requests of one session.
const REQUESTS: u64 = 40;
/// An application that waits longer for its answer believes that the element hangs.
const TOO_LONG: Duration = Duration::from_secs(10);
/// A fault of an element may be noticed so long after its end: what was sent is missed.
const NOTICED: Duration = Duration::from_secs(20);
/// A false list may be felt so long after its end: it was cached, and tried.
const REPAIRED: Duration = Duration::from_secs(120);
/// One pool user in so many knows registrars by their announces alone.
const LISTENERS: u32 = 100;

/// All pool users.
pub(crate) struct Crowd {
    rng: Rng,
    pub(crate) ids: Vec<UserId>,
    users: Vec<User>,
    /// When whom has to be looked after; out of date where the user has another alarm.
    alarms: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Nothing new is begun: what has begun is brought to its end.
    pub(crate) closing: bool,
}

struct User {
    pool: usize,
    session: Option<SessionId>,
    element: Option<PeIdentifier>,
    /// When the application acts next.
    alarm: Instant,
    /// Requests to come in this session.
    left: u64,
    request: Option<Request>,
    /// How many requests there were.
    number: u64,
    outage: Option<Outage>,
    /// When it asked for an element that it does not have yet.
    searching: Option<Instant>,
}

/// What an application waits for.
struct Request {
    /// None where the session has given it back.
    message: Option<MessageId>,
    since: Instant,
}

/// A user is without an element, or its request without an answer.
struct Outage {
    kind: Kind,
    since: Instant,
}

impl Crowd {
    pub(crate) fn new(scene: &mut Scene, seed: u64, users: usize) -> Self {
        let Scene { sim, registrars, pools } = scene;
        let mut config = sim.config();
        // Each of the registrars announces itself every so many seconds (RFC 5352 §2.2.10).
        config.discovery.t7_outdate = Duration::from_secs(5 + 2 * registrars.len() as u64);
        config.discovery.accept_announces = false;
        let mut listener = config.clone();
        (listener.discovery.accept_announces, listener.discovery.registrars) = (true, Vec::new());
        let config = |n: u32| if n % LISTENERS == 0 { &listener } else { &config };
        let ids: Vec<_> = (0..users as u32)
            .map(|n| sim.user(config(n).clone()).expect("a configuration without contradictions"))
            .collect();
        let mut crowd = Self {
            users: (0..users).map(|n| User::new(n % pools.len())).collect(),
            ids,
            alarms: BinaryHeap::new(),
            closing: false,
            rng: Rng::new(seed),
        };
        for at in 0..users {
            let alarm = Instant::EPOCH + crowd.up_to(THOUGHT);
            crowd.set_alarm(at, alarm);
        }
        crowd
    }

    /// When an application has to act, as far as is known.
    pub(crate) fn due(&self) -> Instant {
        self.alarms.peek().map_or(Instant::EPOCH + Duration::MAX, |Reverse((at, _))| *at)
    }

    /// Lets applications act whose time has come.
    pub(crate) fn act(&mut self, scene: &mut Scene, trouble: &Trouble, tally: &mut Tally) {
        while let Some(&Reverse((at, user))) = self.alarms.peek() {
            if at > scene.sim.now() {
                break;
            }
            self.alarms.pop();
            if self.users[user].alarm == at {
                self.step(user, scene, trouble, tally);
            }
        }
    }

    /// How many requests wait for their answers.
    pub(crate) fn waiting(&self) -> usize {
        self.users.iter().filter(|user| user.request.is_some()).count()
    }

    /// One application acts.
    fn step(&mut self, at: usize, scene: &mut Scene, trouble: &Trouble, tally: &mut Tally) {
        let now = scene.sim.now();
        let (id, user) = (self.ids[at], &mut self.users[at]);
        match (user.session, &user.request) {
            // It has waited long enough.
            (Some(session), Some(Request { message: Some(_), since })) => {
                if let (None, Some(element)) = (&user.outage, user.element) {
                    let (kind, began) = trouble.ails(now, id, element.into(), NOTICED);
                    tally.unexplained_losses += u64::from(kind == Kind::Nothing);
                    user.outage = Some(Outage { kind, since: began.max(*since) });
                }
                // Where it has no element there is nobody to give up.
                let given_up = scene.sim.call(id, |pu, now| {
                    pu.session_mut(now, session).and_then(|mut session| session.give_up())
                });
                tally.given_up += u64::from(given_up.is_ok());
                return self.set_alarm(at, now + TOO_LONG);
            }
            (_, None) if self.closing => return,
            // All that was to be done in this session is done.
            (Some(session), None) if user.left == 0 => {
                let _ = scene.sim.call(id, |pu, now| {
                    pu.session_mut(now, session).and_then(|mut session| session.close())
                });
                user.session = None;
            }
            _ => {}
        }
        let user = &mut self.users[at];
        let session = user.session.unwrap_or_else(|| {
            let handle = scene.pools[user.pool].handle.as_str();
            let open = scene
                .sim
                .call(id, |pu, now| pu.open_session(now, handle, SessionOptions::default()));
            user.left = 1 + self.rng.below(REQUESTS);
            // As long as it has asked for nothing, it has lost no registrar either.
            let began = user.number > 0;
            if user.outage.is_none() && began && home_ails(scene, trouble, id, Duration::ZERO) {
                user.outage = Some(Outage { kind: Kind::Registrar, since: now });
            }
            user.searching = Some(now);
            user.element = None;
            tally.sessions += 1;
            open.expect("within the limits")
        });
        user.session = Some(session);
        let request = user.request.take();
        if request.is_none() {
            user.number += 1;
            user.left -= 1;
            tally.requests += 1;
        }
        let data = user.number.to_be_bytes().to_vec();
        let sent = scene.sim.call(id, |pu, now| {
            let mut session = pu.session_mut(now, session).expect("it has not ended");
            session.send(data, Failover::Unconfirmed)
        });
        let since = request.map_or(now, |request| request.since);
        user.request = Some(Request { message: Some(sent.expect("within the limits")), since });
        self.set_alarm(at, now + TOO_LONG);
    }

    /// One application is told something.
    pub(crate) fn react(
        &mut self,
        id: UserId,
        event: Event,
        scene: &mut Scene,
        trouble: &Trouble,
        tally: &mut Tally,
    ) {
        let now = scene.sim.now();
        let at = self.ids.partition_point(|other| *other < id);
        let user = &mut self.users[at];
        match event {
            Event::Connected { session, element: Some(element), .. }
                if user.session == Some(session) =>
            {
                let since = user.searching.take().unwrap_or(now);
                tally.connected.push(now - since);
                tally.longest_search = tally.longest_search.max(now - since);
                user.element = Some(element);
                scene.chosen(user.pool, element, id);
            }
            Event::ElementLost { session, element: Some(element), .. }
                if user.session == Some(session) =>
            {
                user.searching = Some(now);
                if user.outage.is_none() {
                    let (kind, began) = trouble.ails(now, id, element.into(), NOTICED);
                    let since = user.request.as_ref().map_or(began, |r| began.max(r.since));
                    user.outage = Some(Outage { kind, since });
                    tally.unexplained_losses += u64::from(kind == Kind::Nothing);
                }
            }
            Event::FailedOver { session, to, .. } if user.session == Some(session) => {
                tally.failovers += 1;
                if let Some(since) = user.searching.take() {
                    tally.longest_search = tally.longest_search.max(now - since);
                }
                user.element = Some(to);
                scene.chosen(user.pool, to, id);
                match user.request {
                    Some(_) => self.set_alarm(at, now + TOO_LONG),
                    None => tally.end(user.outage.take(), now),
                }
            }
            Event::Received { session, data, .. } if user.session == Some(session) => {
                let awaited = |request: &mut Request| {
                    data[..] == user.number.to_be_bytes() && request.message.is_some()
                };
                let Some(Request { message: Some(message), since }) = user.request.take_if(awaited)
                else {
                    return;
                };
                scene.sim.call(id, |pu, now| {
                    pu.session_mut(now, session).expect("it has not ended").confirm(message)
                });
                tally.answered(now - since);
                tally.end(user.outage.take(), now);
                let alarm = now + self.up_to(THOUGHT);
                self.set_alarm(at, alarm);
            }
            // It has waited too long for an element, has been at too many, or its session is over.
            Event::Returned { session, message, .. } | Event::Lost { session, message, .. }
                if user.session == Some(session) =>
            {
                tally.given_back += 1;
                let Some(request) = &mut user.request else { return };
                if request.message == Some(message) {
                    request.message = None;
                    let alarm = now + self.moment();
                    self.set_alarm(at, alarm);
                }
            }
            Event::SessionEnded { session, error: Some(_), .. }
                if user.session == Some(session) =>
            {
                tally.sessions_failed += 1;
                let kind = match () {
                    () if trouble.was_parted(now, id, REPAIRED) => Kind::Partition,
                    () if home_ails(scene, trouble, id, REPAIRED) => Kind::Registrar,
                    () if !scene.anyone_serves(user.pool, id) => Kind::Crash,
                    () => Kind::Nothing,
                };
                tally.unexplained_ends += u64::from(kind == Kind::Nothing);
                if let Some(since) = user.searching.take() {
                    tally.longest_search = tally.longest_search.max(now - since);
                }
                if let Some(Request { message, since }) = &mut user.request {
                    tally.swallowed += u64::from(message.take().is_some());
                    let since = *since;
                    user.outage.get_or_insert(Outage { kind, since });
                }
                (user.session, user.element) = (None, None);
                let alarm = now + self.moment();
                self.set_alarm(at, alarm);
            }
            _ => {}
        }
    }

    fn set_alarm(&mut self, at: usize, alarm: Instant) {
        self.users[at].alarm = alarm;
        self.alarms.push(Reverse((alarm, at)));
    }

    /// After this an application tries again what has failed.
    fn moment(&mut self) -> Duration {
        Duration::from_secs(1) + self.up_to(Duration::from_secs(4))
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_millis(self.rng.below(most.as_millis() as u64))
    }
}

/// Whether a user's home registrar fails or lies, or did `aftermath` ago; where it has none, whether
/// all that it could find do.
fn home_ails(scene: &Scene, trouble: &Trouble, id: UserId, aftermath: Duration) -> bool {
    let now = scene.sim.now();
    let ails = |server: ServerIdentifier| {
        trouble.ails(now, id, server.into(), aftermath).0 != Kind::Nothing
    };
    let home =
        scene.sim.pool_user(id).registrars().home().and_then(|home| scene.registrar_at(home));
    home.map_or_else(|| scene.registrars.iter().all(|server| ails(*server)), ails)
}

impl Tally {
    /// A user is served again.
    fn end(&mut self, outage: Option<Outage>, now: Instant) {
        if let Some(Outage { kind, since }) = outage {
            self.recovered(kind, now - since);
        }
    }
}

impl User {
    fn new(pool: usize) -> Self {
        Self {
            pool,
            session: None,
            element: None,
            alarm: Instant::EPOCH,
            left: 0,
            request: None,
            number: 0,
            outage: None,
            searching: None,
        }
    }
}
