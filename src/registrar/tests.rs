//! The whole machine in one table: every state × every event (RFC 5352 §3.6, §3.7).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::{HomeSearch, Registrars};
use crate::channel::{Action, Authentication, CloseReason, Next};
use crate::config::Registrar;
use crate::context::Context;
use crate::id::ChannelId;
use crate::journal::HomeLossReason;
use crate::wire::{BodyRef, Message, MessageRef, Notes, ServerIdentifier};
use crate::{Capabilities, Config, Instant};

/// The states. A home is idle, or somebody needs it.
const STATES: [&str; 7] =
    ["Idle", "Listening", "Reopening", "Hunting", "Home", "Home, needed", "Doubted"];

/// What becomes of each state: the new one, how many channels are asked for (+) and closed (-); `.`
/// is nothing at all. Five registrars are known, in `Listening` none, and none refused before.
#[rustfmt::skip]
const TABLE: &[(&str, [&str; 7])] = &[
    //                  Idle          Listening     Reopening        Hunting            Home            Home, needed     Doubted
    ("request",       ["Hunting +3", ".",          ".",             ".",               "Home, needed", ".",             "."]),
    ("report",        ["Hunting +3", "Idle",       ".",             ".",               "Home, needed", ".",             "."]),
    ("nobody waits",  [".",          "Idle",       "Idle -1",       "Idle -3",         ".",            "Home",          "Home -2"]),
    ("start",         ["Hunting +3", ".",          ".",             ".",               ".",            ".",             "."]),
    ("attempt up",    [".",          ".",          "Home, needed",  "Home, needed -2", ".",            ".",             "Home, needed -2"]),
    ("attempt fails", [".",          ".",          "Hunting +3",    "Hunting +1",      ".",            ".",             "Doubted +1"]),
    ("own failure",   [".",          ".",          ".",             ".",               ".",            ".",             "."]),
    ("home fails",    [".",          ".",          ".",             ".",               "Idle",         "Hunting +3",    "Hunting +1"]),
    ("own link down", [".",          ".",          ".",             ".",               "Idle",         "Hunting +3",    "Hunting +1"]),
    ("home closes",   [".",          ".",          ".",             ".",               "Idle",         "Hunting +3",    "Hunting +1"]),
    ("T1",            [".",          ".",          ".",             ".",               "Doubted +2",   "Doubted +2",    "."]),
    ("in vain",       [".",          ".",          ".",             ".",               ".",            ".",             "Hunting +1 -1"]),
    ("refused thrice", [".",         ".",          ".",             ".",               "Hunting +3 -1", "Hunting +3 -1", "Hunting +3 -3"]),
    ("answer",        [".",          ".",          ".",             ".",               ".",            ".",             "Home, needed -2"]),
    ("T5 or wait",    [".",          "Idle",       "Hunting +3 -1", "Hunting +3 -3",   ".",            ".",             "Doubted +2 -2"]),
    ("announce",      [".",          "Hunting +1", ".",             ".",               ".",            ".",             "."]),
    ("added",         [".",          "Hunting +1", ".",             ".",               ".",            ".",             "."]),
    ("home removed",  [".",          ".",          ".",             ".",               "Hunting +3 -1", "Hunting +3 -1", "Hunting +1 -1"]),
    ("home no good",  [".",          ".",          ".",             ".",               "Idle -1",      "Hunting +3 -1", "Hunting +1 -1"]),
    ("shut down",     [".",          "Idle",       "Idle -1",       "Idle -3",         "Idle -1",      "Idle -1",       "Idle -3"]),
];

fn registrar(n: u8) -> Registrar {
    Registrar::tcp(SocketAddr::from(([192, 0, 2, n], 3863)))
}

/// A registrar machine, what it works with, and the channels that it has asked for.
struct Bench {
    machine: Registrars,
    ctx: Context,
    now: Instant,
    open: Vec<ChannelId>,
}

impl Bench {
    fn new(known: u8) -> Self {
        let mut config = Config::default();
        config.discovery.registrars = (1..=known).map(registrar).collect();
        let mut ctx = Context::new(config, Capabilities::TCP, 1);
        let (now, open) = (Instant::EPOCH + Duration::from_secs(100), Vec::new());
        Self { machine: Registrars::new(&mut ctx), ctx, now, open }
    }

    fn in_state(state: &str) -> Self {
        let mut bench = Self::new(if state == "Listening" { 0 } else { 5 });
        let happen: &[&str] = match state {
            "Idle" => &[],
            "Listening" | "Hunting" => &["request"],
            "Reopening" => &["start", "attempt up", "answer", "home closes", "request"],
            "Home" => &["start", "attempt up"],
            "Home, needed" => &["request", "attempt up"],
            _ => &["request", "attempt up", "T1"],
        };
        for event in happen {
            bench.event(event);
            bench.effects();
        }
        assert_eq!(bench.state(), state);
        bench
    }

    fn event(&mut self, event: &str) {
        let Self { machine, ctx, now, open } = self;
        let now = *now;
        let home = machine.home().map(|home| (home.channel, home.transport.clone()));
        let attempt = || open.iter().copied().find(|it| Some(*it) != home.as_ref().map(|h| h.0));
        let mut lost = None;
        match event {
            "request" => machine.set_wanted(now, ctx, true, false),
            "report" => machine.set_wanted(now, ctx, false, true),
            "nobody waits" => machine.set_wanted(now, ctx, false, false),
            "start" => machine.start(now, ctx),
            "attempt up" => {
                if let Some(channel) = attempt() {
                    machine.opened(now, ctx, channel, Authentication::None);
                }
            }
            "attempt fails" => {
                if let Some(channel) = attempt() {
                    lost = Some(channel);
                    machine.closed(now, ctx, channel, CloseReason::Failed);
                }
            }
            "own failure" => {
                if let Some(channel) = attempt() {
                    lost = Some(channel);
                    machine.closed(now, ctx, channel, CloseReason::Local);
                }
            }
            "home closes" | "home fails" | "own link down" => {
                if let Some((channel, _)) = home {
                    lost = Some(channel);
                    let reason = match event {
                        "home closes" => CloseReason::Closed,
                        "home fails" => CloseReason::Failed,
                        _ => CloseReason::Local,
                    };
                    machine.closed(now, ctx, channel, reason);
                }
            }
            "in vain" => _ = machine.abandoned(now, ctx),
            "refused thrice" => (0..3).for_each(|_| machine.refused(now, ctx)),
            "T1" => machine.doubt(now, ctx),
            "answer" => machine.answered(ctx),
            "T5 or wait" => {
                let due = machine.next_timeout().map_or(now, |(at, _)| at);
                self.now = due;
                machine.handle_timeout(due, ctx);
            }
            "announce" => {
                let message = Message::server_announce(
                    ServerIdentifier::new(9),
                    [registrar(9).transport].into(),
                );
                let bytes = message.to_bytes().unwrap();
                let decoded = MessageRef::decode(&bytes, &mut Notes::default()).unwrap();
                if let BodyRef::ServerAnnounce { server, transports } = decoded.body {
                    let source = ([192, 0, 2, 9], 1).into();
                    machine.announced(now, ctx, source, server, Some(transports));
                }
            }
            "added" => machine.add(now, ctx, registrar(8)).unwrap(),
            "home removed" => {
                if let Some((_, transport)) = home {
                    machine.remove(now, ctx, &transport);
                }
            }
            "home no good" => machine.leave(now, ctx, HomeLossReason::Framing),
            "shut down" => machine.shut_down(ctx),
            other => panic!("{other}"),
        }
        if let Some(channel) = lost {
            ctx.channels.closed(channel);
            open.retain(|other| *other != channel);
        }
    }

    /// How many channels were asked for and closed.
    fn effects(&mut self) -> (usize, usize) {
        let (mut opened, mut closed) = (0, 0);
        while let Some(next) = self.ctx.channels.poll() {
            let Next::Action(action) = next else { continue };
            match action {
                Action::Open { channel, .. } => {
                    opened += 1;
                    self.open.push(channel);
                }
                Action::Close { channel } => {
                    closed += 1;
                    self.open.retain(|other| *other != channel);
                }
                Action::Send { .. } => {}
            }
        }
        (opened, closed)
    }

    fn state(&self) -> String {
        match self.machine.search() {
            HomeSearch::Home if self.machine.wanted => "Home, needed".into(),
            search => format!("{search:?}"),
        }
    }
}

/// [HUNT-2] [HUNT-3] [HUNT-4] [HUNT-5] [HUNT-6] [HUNT-7] [HUNT-13] [HUNT-16] [RES-3] [RES-4]
/// [RES-5] [RES-16]
#[test]
fn every_state_meets_every_event() {
    for (event, cells) in TABLE {
        for (state, expected) in STATES.iter().zip(cells) {
            let mut bench = Bench::in_state(state);
            bench.event(event);
            let (opened, closed) = bench.effects();
            let mut cell = bench.state();
            if opened > 0 {
                cell += &format!(" +{opened}");
            }
            if closed > 0 {
                cell += &format!(" -{closed}");
            }
            let expected = if *expected == "." { state } else { expected };
            assert_eq!(cell, *expected, "{event} in {state}");
        }
    }
}
