//! Puts a session in each state, lets each event happen, and compares with the table in the
//! module's documentation.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::Bytes;

use super::{SendOptions, SessionOptions, Sessions};
use crate::cache::Cache;
use crate::channel::{Authentication, ChannelUser};
use crate::context::Context;
use crate::error::ResolveError;
use crate::id::{ChannelId, PoolId, SessionId};
use crate::wire::{
    BodyRef, Message, MessageRef, Notes, PeIdentifier, Policy, PolicyType, PoolElement, PoolHandle,
    Transport,
};
use crate::{Config, Instant, Security};

const TABLE: &str = include_str!("table.md");

const STATES: [&str; 7] =
    ["Resolving", "Connecting", "Yielding", "Pausing", "Up", "Choosing", "Over"];

const EVENTS: [&str; 11] = [
    "resolved",
    "unresolved",
    "opened",
    "closed",
    "timer",
    "send",
    "give_up",
    "move_session",
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
    /// With a session in the state named, which has one message: sent in `Up`, waiting in the
    /// others.
    fn new(state: &str) -> Self {
        let now = Instant::EPOCH;
        let mut ctx = Context::new(Config::default(), 1);
        let mut cache = Cache::new();
        let mut sessions = Sessions::new(&ctx);
        let pool = store_pool(&mut ctx, &mut cache);
        let choose_per_message = state == "Choosing";
        let options = SessionOptions { choose_per_message, ..SessionOptions::default() };
        let handle = PoolHandle::from("pool");
        let id = sessions.open(now, &ctx, &cache, handle, options).unwrap();
        let mut alone = Self { sessions, ctx, cache, now, id, pool };
        if state == "Over" {
            alone.happen("unresolved");
        }
        if !["Resolving", "Over"].contains(&state) {
            alone.happen("resolved");
        }
        alone.happen("send");
        match state {
            "Up" => alone.happen("opened"),
            "Yielding" => {
                alone.ctx.config.failover_burst = 0;
                alone.happen("closed")
            }
            "Pausing" => (0..3).map(|_| alone.happen("closed")).last().unwrap_or_default(),
            "Choosing" => alone.happen("timer"),
            _ => String::new(),
        };
        alone.ctx.config.failover_burst = 64;
        while state != "Over" && alone.sessions.notice(now, &mut alone.ctx, id).is_some() {}
        alone.sessions.pull(now, &mut alone.ctx, id);
        assert_eq!(alone.state(), state);
        alone
    }

    fn state(&self) -> String {
        let state = self.state_and_channel();
        state.split('(').next().unwrap_or_default().to_string()
    }

    fn state_and_channel(&self) -> String {
        let session = self.sessions.slab.get(self.id.0);
        session.map_or("gone".into(), |session| format!("{:?}", session.state))
    }

    /// The channel of the session or of its leg, or any other.
    fn channel(&mut self) -> (SessionId, ChannelId) {
        let session = self.sessions.slab.get(self.id.0).unwrap();
        let leg = session.legs().next();
        let of = leg.unwrap_or(self.id);
        let channel = self.sessions.slab.get(of.0).and_then(super::Session::channel);
        let user = ChannelUser::Session(self.id);
        let other = || self.ctx.channels.open(user, transport(9), Security::None);
        (of, channel.unwrap_or_else(other))
    }

    /// What comes of an event, as the table says it.
    fn happen(&mut self, event: &str) -> String {
        let Self { now, id, pool, .. } = *self;
        let before = self.state_and_channel();
        let has_channel = ["Connecting", "Up", "Choosing"].iter().any(|s| before.starts_with(s));
        let channel = match event {
            "opened" | "closed" => Some(self.channel()),
            _ => None,
        };
        let Self { sessions, ctx, cache, .. } = self;
        let refused = match event {
            "resolved" => {
                sessions.resolved(now, ctx, cache, id, pool);
                None
            }
            "unresolved" => {
                sessions.unresolved(now, ctx, cache, id, ResolveError::NotAnswered);
                None
            }
            "opened" => {
                let (of, channel) = channel.unwrap();
                sessions.opened(now, ctx, cache, of, channel);
                None
            }
            // A channel that the machine has no more is nobody's.
            "closed" if has_channel => {
                sessions.lost(now, ctx, cache, channel.unwrap().0);
                None
            }
            "closed" => return "—".into(),
            "timer" => match sessions.slab.get(id.0).unwrap().timer {
                Some(at) => {
                    self.now = at;
                    sessions.handle_timeout(at, ctx, cache);
                    None
                }
                None => return "—".into(),
            },
            "send" => {
                let sent =
                    sessions.send(now, ctx, id, Bytes::from("hello"), SendOptions::default());
                sent.err().map(|error| format!("{:?}", error.reason))
            }
            "give_up" => sessions.give_up(now, ctx, cache, id).err().map(|e| format!("{e:?}")),
            "move_session" => {
                let to = Some(PeIdentifier::new(3));
                sessions.move_to(now, ctx, cache, id, to).err().map(|e| format!("{e:?}"))
            }
            "resume" => sessions.resume(now, ctx, id).err().map(|e| format!("{e:?}")),
            "close" => sessions.close(now, ctx, cache, id).err().map(|e| format!("{e:?}")),
            "abort" => sessions.abort(ctx, cache, id).err().map(|e| format!("{e:?}")),
            other => panic!("{other}"),
        };
        let after = self.state_and_channel();
        match refused {
            Some(error) => {
                assert_eq!(before, after, "a command that is refused changes nothing");
                format!("`{error}`")
            }
            None if before == after => "·".into(),
            None => self.state(),
        }
    }
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
