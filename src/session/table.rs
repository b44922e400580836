//! Puts a session in each state, lets each event happen, and compares with the table in the
//! module's documentation.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::Bytes;

use super::{Env, LinkId, SendOptions, SessionOptions, Sessions};
use crate::cache::Cache;
use crate::channel::{Authentication, CloseReason};
use crate::context::Context;
use crate::error::ResolveError;
use crate::id::{MessageId, PoolId, SessionId};
use crate::wire::{
    BodyRef, Message, MessageRef, Notes, PeIdentifier, Policy, PolicyType, PoolElement, PoolHandle,
    Transport,
};
use crate::{Capabilities, Config, Instant};

const TABLE: &str = include_str!("table.md");

const STATES: [&str; 7] = ["Resolving", "Calling", "Pausing", "Up", "Resting", "Choosing", "Over"];

const EVENTS: [&str; 13] = [
    "resolved",
    "unresolved",
    "opened",
    "failed",
    "closed",
    "timer",
    "send",
    "withdraw",
    "give_up",
    "move_to",
    "resume",
    "close",
    "abort",
];

/// A session machine on its own, with one session.
struct Alone {
    sessions: Sessions,
    ctx: Context,
    cache: Cache,
    now: Instant,
    id: SessionId,
    pool: PoolId,
}

impl Alone {
    /// With a session in the state named, which has one message: handed over in `Up` and `Resting`,
    /// waiting in the others.
    fn new(state: &str) -> Self {
        let now = Instant::EPOCH;
        let mut ctx = Context::new(Config::default(), Capabilities::TCP, 1);
        let mut cache = Cache::new();
        let mut sessions = Sessions::new(&ctx);
        let pool = store_pool(&mut ctx, &mut cache);
        let choose_per_message = state == "Choosing";
        let options = SessionOptions { choose_per_message, ..SessionOptions::default() };
        let handle = PoolHandle::from("pool");
        let mut env = Env { now, ctx: &mut ctx, cache: &mut cache };
        let id = sessions.open(&mut env, handle, options).unwrap();
        let mut alone = Self { sessions, ctx, cache, now, id, pool };
        if state == "Over" {
            alone.happen("unresolved");
        }
        if !["Resolving", "Over"].contains(&state) {
            alone.happen("resolved");
        }
        alone.happen("send");
        if ["Up", "Resting"].contains(&state) {
            alone.happen("opened");
            alone.hand_over();
        }
        match state {
            "Pausing" => (0..3).for_each(|_| drop(alone.happen("failed"))),
            "Resting" => drop(alone.happen("closed")),
            _ => {}
        }
        if state != "Over" {
            let (sessions, mut env) = alone.env();
            while sessions.next_event(&mut env, id).is_some() {}
        }
        assert_eq!(alone.state(), state);
        alone
    }

    const fn env(&mut self) -> (&mut Sessions, Env<'_>) {
        let Self { sessions, ctx, cache, now, .. } = self;
        (sessions, Env { now: *now, ctx, cache })
    }

    fn hand_over(&mut self) {
        let link = self.link();
        let (sessions, mut env) = self.env();
        if let Some(link) = link {
            sessions.pull(&mut env, link);
        }
    }

    fn state(&self) -> String {
        let Self { sessions, ctx, cache, now, id, .. } = self;
        let Some(session) = sessions.look(ctx, cache, *now, *id) else { return "gone".into() };
        // What the session is said to wait for is what the machine waits for.
        let next = session.next_step().map(|(at, _)| at);
        assert_eq!(next, sessions.next_timeout(), "{session:?}");
        format!("{:?}", session.state())
    }

    /// The link of the session, if it has one.
    fn link(&self) -> Option<LinkId> {
        self.sessions.slab.get(self.id.0)?.links().next()
    }

    /// Everything that a command which is refused must leave as it is.
    fn all(&self) -> String {
        format!("{:?} {:?}", self.sessions.slab, self.sessions.links)
    }

    /// What comes of an event, as the table says it.
    fn happen(&mut self, event: &str) -> String {
        let Self { id, pool, .. } = *self;
        let (before, all, link) = (self.state(), self.all(), self.link());
        let timer = self.sessions.next_timeout();
        let former = link;
        let (sessions, mut env) = self.env();
        let env = &mut env;
        let refused = match (event, link) {
            ("resolved", _) => {
                sessions.resolved(env, id, pool);
                None
            }
            ("unresolved", _) => {
                sessions.unresolved(env, id, ResolveError::NotAnswered);
                None
            }
            ("opened", Some(link)) if before != "Up" => {
                sessions.opened(env, link);
                None
            }
            ("failed", Some(link)) => {
                sessions.closed(env, link, CloseReason::Failed);
                None
            }
            ("closed", Some(link)) => {
                sessions.closed(env, link, CloseReason::Closed);
                None
            }
            // A channel that the machine has no more is nobody's.
            ("opened" | "failed" | "closed", _) => return "—".into(),
            ("timer", _) => {
                let calls = before == "Calling" || before == "Choosing";
                if let Some(link) = link.filter(|_| calls) {
                    sessions.called(env, link);
                }
                let Some(at) = sessions.next_timeout().or(timer) else { return "—".into() };
                env.now = at;
                sessions.handle_timeout(env);
                self.now = at;
                None
            }
            ("send", _) => {
                let sent = sessions.send(env, id, Bytes::from("hello"), SendOptions::default());
                sent.err().map(|error| format!("{:?}", error.reason))
            }
            ("withdraw", _) => refusal(sessions.withdraw(env, id, MessageId(0))),
            ("give_up", _) => refusal(sessions.give_up(env, id)),
            ("move_to", _) => refusal(sessions.move_to(env, id, Some(PeIdentifier::new(3)))),
            ("resume", _) => refusal(sessions.resume(env, id)),
            ("close", _) => refusal(sessions.close(env, id)),
            ("abort", _) => {
                sessions.abort(env, id);
                None
            }
            (other, _) => panic!("{other}"),
        };
        match refused {
            Some(error) => {
                assert_eq!(all, self.all(), "a command that is refused changes nothing");
                format!("`{error}`")
            }
            None if before == self.state() && former == self.link() => "·".into(),
            None => self.state(),
        }
    }
}

fn refusal<T>(result: Result<T, crate::CommandError>) -> Option<String> {
    result.err().map(|error| format!("{error:?}"))
}

fn transport(id: u8) -> Transport {
    Transport::tcp(SocketAddr::from(([10, 0, 0, id], 7)))
}

/// A pool with three elements.
fn store_pool(ctx: &mut Context, cache: &mut Cache) -> PoolId {
    let element =
        |id: u8| PoolElement::new(PeIdentifier::new(id.into()), transport(id), Policy::RoundRobin);
    let elements = [1, 2, 3].map(element).to_vec();
    let response = Message::handle_resolution_response("pool", None, elements).to_bytes().unwrap();
    let decoded = MessageRef::decode(&response, &mut Notes::default()).unwrap();
    let BodyRef::HandleResolutionResponse { elements, .. } = decoded.body else { panic!() };
    let list = (PolicyType::ROUND_ROBIN, elements);
    cache.store(Instant::EPOCH, ctx, b"pool", list, Authentication::None, false).unwrap()
}

/// [SESSION-3] [SESSION-4] [SESSION-13] [CORE-5]: the whole table.
#[test]
fn every_state_meets_every_event() {
    let mut table = format!("| | {} |\n|---|{}\n", EVENTS.join(" | "), "---|".repeat(EVENTS.len()));
    for state in STATES {
        let cells: Vec<_> = EVENTS.iter().map(|event| Alone::new(state).happen(event)).collect();
        table += &format!("| {state} | {} |\n", cells.join(" | "));
    }
    assert!(TABLE.contains(&table), "the documentation says otherwise:\n{table}");
}
