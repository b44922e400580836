//! What a session may cost others whatever the elements of its pool do: the second table in
//! `docs/failures.md` is measured here, in the crate's own simulator.
#![allow(clippy::std_instead_of_alloc, reason = "tests have the standard library")]

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use asap_pu::sim::{Fault, Sim, UserId};
use asap_pu::wire::{PeIdentifier, Policy};
use asap_pu::{
    Confirms, Event, Failover, Instant, MessageId, SessionError, SessionId, SessionOptions,
    UndeliveredReason,
};

const POOL: &str = "pool";
const POOLS: [usize; 4] = [1, 3, 20, 1_000];
const HOUR: Duration = Duration::from_secs(3_600);
/// An application that has lost its session waits so long before it opens another one, and so long
/// for an answer of an element that hangs.
const TOO_LONG: Duration = Duration::from_secs(10);
/// How long it thinks about an answer.
const THOUGHT: Duration = Duration::from_secs(1);
/// How long elements that come and go are there, and then not.
const TIDE: Duration = Duration::from_secs(60);

/// What all elements of a pool do.
const MANNERS: [(&str, Manner); 7] = [
    ("accept and close", Manner::Always(Fault::Close)),
    ("accept and break", Manner::Always(Fault::Break)),
    ("speak and close", Manner::Always(Fault::Greet)),
    ("refuse", Manner::Always(Fault::Refuse)),
    ("hang", Manner::Always(Fault::Hang)),
    ("die of a message", Manner::Always(Fault::Mortal)),
    ("come and go", Manner::ComeAndGo),
];

#[derive(Clone, Copy)]
enum Manner {
    Always(Fault),
    ComeAndGo,
}

/// How a session is used.
const KEEP: Mode = Mode { choose: false, hold: false, window: false, confirm: false };
const CHOOSE: Mode = Mode { choose: true, ..KEEP };
const WINDOWS: Mode = Mode { window: true, ..KEEP };

#[derive(Clone, Copy)]
struct Mode {
    /// An element is chosen for each message.
    choose: bool,
    /// Data is held back after a failover until the application says so, which it does at once.
    hold: bool,
    /// The transport tells what was delivered, and takes one message at a time; ten wait.
    window: bool,
    /// Requests go again until they are confirmed by their answers.
    confirm: bool,
}

/// An application that always has something to say.
struct Application {
    user: UserId,
    mode: Mode,
    session: Option<SessionId>,
    /// What has no answer yet.
    open: BTreeMap<MessageId, u32>,
    number: u32,
    /// When it acts next.
    alarm: Instant,
    /// Whether it gives up elements that do not answer.
    impatient: bool,
}

/// What an hour cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    calls: u64,
    reports: u64,
    hand_overs: u64,
}

/// To two digits: what chance does to the rest is nobody's concern.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [calls, reports, hand_overs] = [self.calls, self.reports, self.hand_overs].map(about);
        write!(f, "{calls} / {reports} / {hand_overs}")
    }
}

fn about(number: u64) -> String {
    let scale = 10_u64.pow(number.checked_ilog10().unwrap_or(0).saturating_sub(1));
    match (number + scale / 2) / scale * scale {
        number @ 1_000.. => format!("{},{:03}", number / 1_000, number % 1_000),
        number => number.to_string(),
    }
}

fn world(elements: usize, mode: Mode) -> (Sim, Vec<PeIdentifier>, Application) {
    let mut sim = Sim::new(elements as u64);
    sim.registrar();
    sim.strike_nobody();
    let elements = (0..elements).map(|_| sim.element(POOL, Policy::RoundRobin)).collect();
    let mut config = sim.config();
    if mode.window {
        config.limits.window_messages = 1;
    }
    let confirms = if mode.window { Confirms::Delivered } else { Confirms::Nothing };
    let user = sim.user_that_confirms(config, confirms).unwrap();
    let (session, open) = (None, BTreeMap::new());
    let app =
        Application { user, mode, session, open, number: 0, alarm: sim.now(), impatient: false };
    (sim, elements, app)
}

impl Application {
    /// Says what is to be said, in a new session if need be.
    fn speak(&mut self, sim: &mut Sim) {
        let mut options = SessionOptions::default();
        options.choose_per_message = self.mode.choose;
        options.hold_after_failover = self.mode.hold;
        let open = || sim.call(self.user, |pu, now| pu.open_session(now, POOL, options)).unwrap();
        let session = *self.session.get_or_insert_with(open);
        let again = self.mode.confirm || self.mode.window;
        let failover = if again { Failover::Unconfirmed } else { Failover::Undelivered };
        let wanted = if self.mode.window { 10 } else { 1 };
        while self.open.len() < wanted {
            let data = self.number.to_be_bytes().to_vec();
            let message = sim.call(self.user, |pu, now| {
                pu.session_mut(now, session).unwrap().send(data, failover)
            });
            // The session may be over, which is told next.
            let Ok(message) = message else { break };
            self.open.insert(message, self.number);
            self.number += 1;
        }
        self.alarm = sim.now() + TOO_LONG;
    }

    fn run(&mut self, sim: &mut Sim, until: Instant) {
        loop {
            match sim.next(self.alarm.min(until)) {
                Some((_, event)) => self.react(sim, event),
                None if sim.now() >= until => return,
                None => {
                    if let Some(session) = self.session.filter(|_| self.impatient) {
                        // Where it has no element there is nobody to give up.
                        let _ = sim.call(self.user, |pu, now| {
                            pu.session_mut(now, session).unwrap().give_up()
                        });
                    }
                    self.speak(sim);
                }
            }
        }
    }

    fn react(&mut self, sim: &mut Sim, event: Event) {
        let user = self.user;
        match event {
            Event::Received { session, data, .. } => {
                // An element may say other things.
                let answered = self.open.iter().find(|(_, open)| open.to_be_bytes() == data[..]);
                let Some(message) = answered.map(|(message, _)| *message) else { return };
                sim.call(user, |pu, now| pu.session_mut(now, session).unwrap().confirm(message));
                self.open.remove(&message);
                self.alarm = sim.now() + THOUGHT;
            }
            // There is always something to say, unless the session is over.
            Event::Returned { message, reason, .. } | Event::Lost { message, reason, .. } => {
                self.open.remove(&message);
                if reason != UndeliveredReason::SessionEnded {
                    self.speak(sim);
                }
            }
            Event::FailedOver { session, .. } | Event::ElementLost { session, .. }
                if self.mode.hold =>
            {
                let _ = sim.call(user, |pu, now| pu.session_mut(now, session).unwrap().resume());
            }
            Event::SessionEnded { .. } => {
                self.session = None;
                self.open.clear();
                self.alarm = sim.now() + TOO_LONG;
            }
            _ => {}
        }
    }
}

/// An hour of one session, or of one after the other, in a pool whose elements have this manner.
fn hour(elements: usize, manner: Manner, mode: Mode) -> Cost {
    let (mut sim, elements, mut app) = world(elements, mode);
    let end = sim.now() + HOUR;
    match manner {
        Manner::Always(fault) => {
            elements.iter().for_each(|element| sim.fail(*element, fault));
            app.impatient = fault == Fault::Hang;
            app.run(&mut sim, end);
        }
        Manner::ComeAndGo => {
            while sim.now() < end {
                let until = sim.now() + TIDE;
                app.run(&mut sim, until);
                elements.iter().for_each(|element| sim.fail(*element, Fault::Crash));
                let until = sim.now() + TIDE;
                app.run(&mut sim, until);
                elements.iter().for_each(|element| sim.heal(*element));
            }
        }
    }
    let stats = sim.pool_user(app.user).stats();
    Cost {
        calls: elements.iter().map(|element| sim.calls(*element)).sum(),
        reports: stats.reports_sent,
        hand_overs: stats.messages_sent,
    }
}

/// The rows of one manner: what is the same in several modes is told once.
fn rows((name, manner): (&str, Manner)) -> String {
    let row = |elements: usize| {
        let [keep, choose] = [KEEP, CHOOSE].map(|mode| {
            let cost = hour(elements, manner, mode);
            check(cost, elements, manner);
            if elements < POOLS[2] {
                let held = hour(elements, manner, Mode { hold: true, ..mode });
                assert_eq!(held, cost, "to hold data back changes nothing: {name}, {elements}");
                let confirmed = hour(elements, manner, Mode { confirm: true, ..mode });
                assert_eq!(confirmed, cost, "nor does it to confirm: {name}, {elements}");
            }
            format!("{cost}")
        });
        // The largest pool takes its time.
        let windows = (elements < POOLS[3]).then(|| hour(elements, manner, WINDOWS));
        let windows = windows.inspect(|cost| check(*cost, elements, manner));
        let windows = windows.map_or_else(String::new, |cost| cost.to_string());
        format!("| {name} | {elements} | {keep} | {choose} | {windows} |\n")
    };
    POOLS.map(row).concat()
}

/// What holds whatever the figures are.
fn check(Cost { calls, reports, hand_overs }: Cost, elements: usize, manner: Manner) {
    // A registrar lists no more at once, if not asked to.
    let known = elements.min(128) as u64;
    // As often as it is marked, which is once a minute, unless its transport has taken a message
    // meanwhile.
    assert!(reports <= 70 * known, "{reports} reports");
    match manner {
        Manner::Always(Fault::Close | Fault::Greet) => assert_eq!(reports, 0, "nobody has failed"),
        // Each of them is tried once a round, and what looks in vain for a minute ends.
        Manner::Always(Fault::Refuse) | Manner::ComeAndGo => {
            assert!(calls <= 8 * 60 * known, "{calls} calls");
            return;
        }
        _ => {}
    }
    // After a few at once, a pause of up to half a minute between any two.
    assert!(calls <= 200, "{calls} calls");
    assert!(hand_overs <= 10 * calls, "{hand_overs} hand-overs");
}

fn documented(manners: &[(&str, Manner)]) {
    let table: String = manners.iter().copied().map(rows).collect();
    let documented = include_str!("../docs/failures.md");
    assert!(documented.contains(&table), "the table should be:\n{table}");
}

/// [SESSION-18] [REPORT-7]: elements that take channels, and do no more for whoever comes, are
/// called less and less often; those that close in good order are not reported.
#[test]
fn elements_that_come_up_and_serve_nobody() {
    documented(&MANNERS[..3]);
}

/// [SESSION-18] [REPORT-4]: nor do elements make their users spin that refuse.
#[test]
fn elements_that_refuse() {
    documented(&MANNERS[3..4]);
}

/// [SESSION-18] [SESSION-17]: a message that kills whoever gets it does not go round for ever, and
/// one that nobody answers costs as much as its sender is impatient.
#[test]
fn elements_that_hang_or_die() {
    documented(&MANNERS[4..6]);
}

/// [SESSION-18]: what is served in between is no licence to spin.
#[test]
fn elements_that_come_and_go() {
    documented(&MANNERS[6..]);
}

/// When a session without anything to say ends of whose pool all elements refuse from some time on,
/// counted from then.
fn ends_after(elements: usize, seed: u64, heals_after: Option<Duration>) -> Option<Duration> {
    let mut sim = Sim::new(seed);
    sim.registrar();
    let elements: Vec<_> = (0..elements).map(|_| sim.element(POOL, Policy::RoundRobin)).collect();
    let user = sim.user(sim.config()).unwrap();
    sim.call(user, |pu, now| pu.open_session(now, POOL, SessionOptions::default())).unwrap();
    let until = sim.now() + Duration::from_secs(2);
    while sim.next(until).is_some() {}
    elements.iter().for_each(|element| sim.fail(*element, Fault::Crash));
    let failed = sim.now();
    if let Some(after) = heals_after {
        while let Some((_, event)) = sim.next(failed + after) {
            assert!(!matches!(event, Event::SessionEnded { .. }), "{event:?}");
        }
        elements.iter().for_each(|element| sim.heal(*element));
    }
    while let Some((_, event)) = sim.next(failed + Duration::from_secs(200)) {
        if let Event::SessionEnded { error, .. } = event {
            assert_eq!(error, Some(SessionError::DeadlineReached));
            return Some(sim.now() - failed);
        }
    }
    assert!(
        sim.pool_user(user).sessions().all(|s| sim
            .pool_user(user)
            .session(s)
            .and_then(|session| session.element())
            .is_some())
    );
    None
}

/// [SESSION-18] [SESSION-4]: a large pool does not end a session sooner than a small one: all of it
/// may be gone for two seconds, and if it is gone for good the session ends at its deadline.
#[test]
fn a_large_pool_is_no_worse_than_a_small_one() {
    for elements in [1, 3, 20, 50] {
        for seed in 0..10 {
            assert_eq!(ends_after(elements, seed, Some(Duration::from_secs(2))), None);
            let end = ends_after(elements, seed, None).map(|end| end.as_secs());
            assert_eq!(end, Some(60), "{elements} elements, seed {seed}");
        }
    }
}
