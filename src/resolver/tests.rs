//! The whole machine in one table: every state of one handle × every event (RFC 5352 §3.3, §3.7).

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use super::{Need, Resolver, Route, State};
use crate::channel::{Action, ChannelUser, Channels, Next};
use crate::context::Context;
use crate::error::ResolveError;
use crate::id::ChannelId;
use crate::journal::{Journal, NoteKind};
use crate::timers::TimerKind;
use crate::wire::{PoolHandle, Transport};
use crate::{Capabilities, Config, Instant, Security};

const STATES: [&str; 9] = [
    "no home", "home", "Pausing", "Waiting", "Waiting'", "Asked 1", "Asked 3", "updated", "polled",
];

/// What becomes of each state: the new one, `^` a request is sent (`^S` with the S bit), `!` the
/// waiter is told of a failure, `+` the waiter gets the answer; `.` is nothing at all.
///
/// `no home` and `home`: nobody waits. `Waiting'`: was sent to a former home. `Asked 3`: for the
/// last time. `updated` and `polled`: nobody waits, the pool is subscribed to, with updates or
/// without.
#[rustfmt::skip]
const TABLE: &[(&str, [&str; 9])] = &[
    //                   no home    home          Pausing      Waiting      Waiting'     Asked 1      Asked 3      updated    polled
    ("ask",             ["Waiting", "Asked 1 ^",  ".",         ".",         ".",         ".",         ".",         "Pausing", "Pausing"]),
    ("cancel",          [".",       ".",          "home",      "no home",   "no home",   "home",      "home",      ".",       "."]),
    ("subscribe",       ["Waiting", "Asked 1 ^S", ".",         ".",         ".",         ".",         ".",         ".",       "."]),
    ("unsubscribe",     [".",       ".",          ".",         ".",         ".",         ".",         ".",         "home",    "home"]),
    ("new home",        ["home",    ".",          ".",         "Asked 1 ^", "Asked 1 ^", "Asked 1 ^", "Asked 3 ^", "Pausing", "Pausing"]),
    ("0x803f refused",  [".",       ".",          ".",         ".",         ".",         "Asked 1 ^", "Asked 3 ^", ".",       "."]),
    ("home lost",       [".",       "no home",    ".",         ".",         ".",         "Waiting",   "Waiting",   "polled",  "."]),
    ("list",            [".",       ".",          ".",         ".",         ".",         "home +",    "home +",    "polled",  "."]),
    ("list, A bit",     [".",       ".",          ".",         ".",         ".",         "home +",    "home +",    ".",       "."]),
    ("refusal",         [".",       ".",          ".",         ".",         ".",         "home +",    "home +",    "home",    "."]),
    ("timer",           [".",       ".",          "Asked 1 ^", "no home !", "no home !", "Asked 2 ^", "home !",    "Asked 1 ^S", "Asked 1 ^S"]),
    ("deadline",        [".",       ".",          "home !",    "no home !", "no home !", "home !",    "home !",    "Asked 1 ^S", "Asked 1 ^S"]),
];

/// A resolver, what it works with, and one handle.
struct Bench {
    machine: Resolver<u8>,
    ctx: Context,
    now: Instant,
    homes: [ChannelId; 2],
}

impl Bench {
    fn new() -> Self {
        let mut ctx = Context::new(Config::default(), Capabilities::TCP, 1);
        // So long that the deadline of the waiter comes last.
        ctx.config.resolution.request_deadline = Duration::from_secs(1_000);
        let open = |channels: &mut Channels| {
            let to = Transport::tcp(([192, 0, 2, 1], 3863).into());
            let channel = channels.open(ChannelUser::Registrar, to, Security::None);
            while channels.poll().is_some() {}
            channels.opened(channel);
            channel
        };
        let homes = [open(&mut ctx.channels), open(&mut ctx.channels)];
        let now = Instant::EPOCH + Duration::from_secs(100);
        Self { machine: Resolver::new(), ctx, now, homes }
    }

    fn in_state(state: &str) -> Self {
        let mut bench = Self::new();
        let happen: &[&str] = match state {
            "no home" => &[],
            "home" => &["new home"],
            "Pausing" => &["new home", "ask", "list", "ask"],
            "Waiting" => &["ask"],
            "Waiting'" => &["new home", "ask", "home lost"],
            "Asked 1" => &["new home", "ask"],
            "Asked 3" => &["new home", "ask", "timer", "timer"],
            "updated" => &["new home", "subscribe", "list, A bit"],
            _ => &["new home", "subscribe", "list"],
        };
        for event in happen {
            bench.event(event);
            bench.sent();
            while bench.machine.poll_need().is_some() {}
        }
        assert_eq!(bench.state(), state.trim_end_matches('\''));
        bench
    }

    /// Lets something happen; says how many waiters got an answer.
    fn event(&mut self, event: &str) -> usize {
        let Self { machine, ctx, now, homes } = self;
        let (at, handle) = (*now, PoolHandle::from("pool"));
        let route = |n: usize, wanted| Some(Route { channel: homes[n], wanted });
        let is_asked = |machine: &Resolver<u8>| machine.expects(b"pool", homes[0]);
        let is_first = machine.home.is_none_or(|home| home.channel == homes[1]);
        let unreached = ResolveError::NoRegistrarReachable;
        match event {
            "ask" => machine.ask(at, ctx, &handle, 1),
            "cancel" => _ = machine.cancel(&handle, &1),
            "subscribe" => machine.subscribe(at, ctx, &handle, 2).unwrap(),
            "unsubscribe" => drop(machine.unsubscribe(b"pool")),
            "new home" => machine.set_home(at, ctx, route(usize::from(!is_first), Some(128))),
            "0x803f refused" => {
                if let Some(Route { channel, .. }) = machine.home {
                    machine.set_home(at, ctx, Some(Route { channel, wanted: None }));
                }
            }
            "home lost" => machine.set_home(at, ctx, None),
            "list" if is_asked(machine) => return machine.finish(at, ctx, b"pool", false).count(),
            "list, A bit" if is_asked(machine) => {
                return machine.finish(at, ctx, b"pool", true).count();
            }
            "refusal" if is_asked(machine) => {
                let error = ResolveError::UnknownPoolHandle;
                return machine.refuse(ctx, b"pool", &error).count();
            }
            "list" | "list, A bit" | "refusal" => {}
            "timer" => {
                if let Some((due, _)) = machine.next_timeout(ctx) {
                    *now = due;
                    machine.handle_timeout(due, ctx, &unreached);
                }
            }
            "deadline" => {
                *now = at + Duration::from_secs(1_000);
                machine.t1.clear();
                machine.queries.iter_mut().for_each(|(_, query)| query.t1 = None);
                machine.handle_timeout(*now, ctx, &unreached);
            }
            other => panic!("{other}"),
        }
        0
    }

    /// What was sent: each request, and whether it had the S bit.
    fn sent(&mut self) -> String {
        let mut sent = String::new();
        while let Some(next) = self.ctx.channels.poll() {
            let Next::Action(action) = next else { continue };
            if let Action::Send { payload: crate::Payload::Control(message), .. } = action {
                sent += if message[1] == 1 { " ^S" } else { " ^" };
            }
        }
        sent
    }

    fn state(&self) -> String {
        match self.machine.queries.get(b"pool".as_slice()).map(|query| query.state) {
            Some(State::Pausing) => "Pausing".into(),
            Some(State::Waiting { .. }) => "Waiting".into(),
            Some(State::Asked { sendings, .. }) => format!("Asked {sendings}"),
            None => match self.machine.subscription(b"pool") {
                Some(true) => "updated".into(),
                Some(false) => "polled".into(),
                None if self.machine.home.is_some() => "home".into(),
                None => "no home".into(),
            },
        }
    }
}

/// [RES-1] [RES-2] [RES-3] [RES-4] [RES-5] [RES-9] [RES-10] [RES-11] [RES-13] [RES-14] [RES-15]
#[test]
fn every_state_meets_every_event() {
    for (event, cells) in TABLE {
        for (state, expected) in STATES.iter().zip(cells) {
            let mut bench = Bench::in_state(state);
            let answered = bench.event(event);
            let mut cell = bench.state() + &bench.sent();
            if answered > 0 {
                cell += " +";
            }
            let mut needs = core::iter::from_fn(|| bench.machine.poll_need());
            if needs.any(|need| matches!(need, Need::Fail { .. })) {
                cell += " !";
            }
            let expected = if *expected == "." { state.trim_end_matches('\'') } else { expected };
            assert_eq!(cell, *expected, "{event} in {state}");
        }
    }
}

/// One who gives up and asks again, while others keep the query alive, waits anew.
#[test]
fn a_waiter_that_comes_back_has_its_whole_time() {
    let Bench { mut machine, mut ctx, now, .. } = Bench::new();
    let (handle, unreached) = (PoolHandle::from("pool"), ResolveError::NoRegistrarReachable);
    let first = now + Duration::from_secs(1);
    for waiter in [2, 1] {
        machine.ask(now, &mut ctx, &handle, waiter);
    }
    assert!(machine.cancel(&handle, &1));
    machine.ask(first, &mut ctx, &handle, 1);
    for (deadline, expected) in [(now, 2), (first, 1)] {
        let due = deadline + ctx.config.resolution.request_deadline;
        assert_eq!(machine.next_timeout(&ctx).map(|(at, _)| at), Some(due));
        machine.handle_timeout(due, &mut ctx, &unreached);
        let Some(Need::Fail { waiter, .. }) = machine.poll_need() else { panic!("at {due:?}") };
        assert_eq!((waiter, machine.poll_need()), (expected, None));
    }
    assert_eq!(ctx.stats.requests_failed, 2);
    assert!(!machine.is_waiting());
}

/// Those who gave up leave no more behind than those who wait.
#[test]
fn many_who_give_up_leave_nothing() {
    let Bench { mut machine, mut ctx, now, .. } = Bench::new();
    let handle = PoolHandle::from("pool");
    machine.ask(now, &mut ctx, &handle, 0);
    let queued = |machine: &Resolver<u8>| {
        machine.queries.get(&handle).map_or(0, |query| query.waiters.len())
    };
    for _ in 0..100 {
        machine.ask(now, &mut ctx, &handle, 1);
        assert!(machine.cancel(&handle, &1));
        assert!(queued(&machine) <= 2 + 16);
    }
    // Room is made now and then, not each time.
    for waiter in 1..=100 {
        machine.ask(now, &mut ctx, &handle, waiter);
    }
    let before = queued(&machine);
    assert!(machine.cancel(&handle, &50));
    assert_eq!(queued(&machine), before);
}

/// [RES-11]: a subscription whose request found no answer in time is renewed, if there is a home to ask.
#[test]
fn a_subscription_outlives_the_deadline_of_its_request() {
    for at_home in [true, false] {
        let mut bench = Bench::new();
        if at_home {
            bench.event("new home");
        }
        bench.event("subscribe");
        bench.event("deadline");
        assert!(matches!(bench.machine.poll_need(), Some(Need::Fail { waiter: 2, .. })));
        let next = bench.machine.next_timeout(&bench.ctx).map(|(_, kind)| kind);
        assert_eq!(next, at_home.then_some(TimerKind::Subscription));
    }
}

/// [CORE-15]: a request of which nobody hears has not failed.
#[test]
fn only_those_who_are_meant_fail() {
    let Bench { mut machine, mut ctx, now, .. } = Bench::new();
    let (handle, error) = (PoolHandle::from("pool"), ResolveError::NoRegistrarKnown);
    ctx.journal = Journal::new(10);
    machine.ask(now, &mut ctx, &handle, 1);
    machine.ask(now, &mut ctx, &handle, 2);
    let failures = |ctx: &Context| {
        ctx.journal
            .iter()
            .filter(|note| matches!(note.what, NoteKind::RequestFailed { .. }))
            .count()
    };
    machine.fail(&mut ctx, &error, |_| false);
    assert_eq!((machine.poll_need(), failures(&ctx)), (None, 0));
    machine.fail(&mut ctx, &error, |waiter| *waiter == 1);
    assert!(matches!(machine.poll_need(), Some(Need::Fail { waiter: 1, .. })));
    assert_eq!((machine.poll_need(), failures(&ctx), machine.is_waiting()), (None, 1, true));
}
