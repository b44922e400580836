//! What sessions cost. Names are `session/<case>/<how many>`.
//!
//! `open` is a whole session up to its first message; `message` is one message out and one in, and
//! `idle` a step with nothing to do, both beside so many idle sessions; `round_trip` is one message
//! out and its answer in, through each of so many sessions in turn, beside what one would write by
//! hand, a queue and two maps, which knows nothing of failures (`floor`); `death` is one element
//! failing with so many sessions on it, among a hundred thousand on a thousand elements, until all
//! of them are elsewhere.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc, reason = "benches have `std`")]
#![allow(missing_docs, reason = "criterion's macro documents nothing")]

use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;
use std::time::Duration;

use asap_pu::wire::{Message, PeIdentifier, Policy, PoolElement, Protocol, Transport};
use asap_pu::{
    Action, Authentication, Capabilities, ChannelId, CloseReason, Config, Confirms, Instant,
    PoolUser, Registrar, SendOptions, SessionId, SessionOptions,
};
use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = open, message, round_trip, idle, death
}
criterion_main!(benches);

const NOW: Instant = Instant::EPOCH;

/// A driver that speaks TCP and tells nothing.
const TCP: Capabilities = Capabilities::NONE
    .with_registrars(Protocol::Tcp)
    .with_elements(Protocol::Tcp, Confirms::Nothing);
const ELEMENTS: u32 = 1_000;

/// A pool user that knows a pool of a thousand elements.
fn at_pool() -> PoolUser {
    let mut config = Config::default();
    config.discovery.registrars.push(Registrar::tcp("192.0.2.1:3863".parse().unwrap()));
    config.cache.stale_cache_value = Duration::from_secs(3_600);
    config.limits.max_sessions = 200_000;
    let mut pool_user = PoolUser::new(config, TCP, 1).unwrap();
    pool_user.resolve(NOW, "pool").unwrap();
    let Some(Action::Open { channel: home, .. }) = pool_user.poll_action() else { panic!() };
    pool_user.handle_opened(NOW, home, Authentication::None);
    let element = |id: u32| {
        let [_, _, high, low] = id.to_be_bytes();
        let at = std::net::SocketAddr::from(([10, 0, high, low], 7));
        PoolElement::new(PeIdentifier::new(id), Transport::tcp(at), Policy::RoundRobin)
    };
    let elements = (1..=ELEMENTS).map(element).collect();
    let answer = Message::handle_resolution_response("pool", None, elements).to_bytes().unwrap();
    while pool_user.poll_action().is_some() {}
    pool_user.handle_control(NOW, home, &answer);
    while pool_user.poll_event().is_some() {}
    pool_user
}

/// One session that is up and has sent a message.
fn open_one(pool_user: &mut PoolUser, options: SessionOptions) -> (SessionId, ChannelId) {
    let session = pool_user.open_session(NOW, "pool", options).unwrap();
    let Some(Action::Open { channel, .. }) = pool_user.poll_action() else { panic!() };
    pool_user.handle_opened(NOW, channel, Authentication::None);
    pool_user.session_mut(NOW, session).unwrap().send("hello", SendOptions::default()).unwrap();
    while pool_user.poll_action().is_some() {}
    while pool_user.poll_event().is_some() {}
    (session, channel)
}

fn with_sessions(sessions: usize) -> PoolUser {
    let mut pool_user = at_pool();
    for _ in 0..sessions {
        open_one(&mut pool_user, SessionOptions::default());
    }
    pool_user
}

fn open(c: &mut Criterion) {
    let mut pool_user = at_pool();
    c.bench_function("session/open/1", |b| {
        b.iter(|| {
            let (session, _) = open_one(&mut pool_user, SessionOptions::default());
            pool_user.session_mut(NOW, session).unwrap().abort();
            while pool_user.poll_action().is_some() {}
        });
    });
}

fn message(c: &mut Criterion) {
    for sessions in [10, 100_000] {
        let mut pool_user = with_sessions(sessions - 1);
        let (session, channel) = open_one(&mut pool_user, SessionOptions::default());
        c.bench_function(&format!("session/message/{sessions}"), |b| {
            b.iter(|| {
                pool_user
                    .session_mut(NOW, session)
                    .unwrap()
                    .send("hello", SendOptions::default())
                    .unwrap();
                black_box(pool_user.poll_action());
                pool_user.handle_data(NOW, channel, b"hello");
                black_box(pool_user.poll_event());
            });
        });
    }
}

/// What is left if nothing ever fails: who sends on which channel, and who hears from it.
#[derive(Default)]
struct ByHand {
    channels: BTreeMap<u64, u64>,
    sessions: BTreeMap<u64, u64>,
    out: VecDeque<(u64, Bytes)>,
    unread: VecDeque<(u64, Bytes)>,
}

impl ByHand {
    fn round_trip(&mut self, session: u64) {
        self.out.push_back((self.channels[&session], Bytes::from_static(b"hello")));
        let sent = black_box(self.out.pop_front());
        let (channel, _) = sent.unwrap();
        self.unread.push_back((self.sessions[&channel], Bytes::copy_from_slice(b"hello")));
        black_box(self.unread.pop_front());
    }
}

fn round_trip(c: &mut Criterion) {
    let mut group = c.benchmark_group("session/round_trip");
    for sessions in [1, 1_000] {
        let mut pool_user = at_pool();
        let open = |_| open_one(&mut pool_user, SessionOptions::default());
        let all: Vec<_> = (0..sessions).map(open).collect();
        let mut turn = all.iter().cycle();
        group.bench_function(BenchmarkId::from_parameter(sessions), |b| {
            b.iter(|| {
                let (session, channel) = *turn.next().unwrap();
                pool_user
                    .session_mut(NOW, session)
                    .unwrap()
                    .send("hello", SendOptions::default())
                    .unwrap();
                black_box(pool_user.poll_action());
                pool_user.handle_data(NOW, channel, b"hello");
                black_box(pool_user.poll_event());
            });
        });
        let mut by_hand = ByHand::default();
        let ids = 0..sessions as u64;
        by_hand.channels = ids.clone().map(|id| (id, id + 7)).collect();
        by_hand.sessions = ids.clone().map(|id| (id + 7, id)).collect();
        let mut turn = ids.cycle();
        group.bench_function(BenchmarkId::new("floor", sessions), |b| {
            b.iter(|| by_hand.round_trip(turn.next().unwrap()));
        });
    }
}

fn idle(c: &mut Criterion) {
    for sessions in [10, 100_000] {
        let mut pool_user = with_sessions(sessions);
        c.bench_function(&format!("session/idle/{sessions}"), |b| {
            b.iter(|| {
                pool_user.handle_timeout(NOW);
                black_box(pool_user.poll_action());
                black_box(pool_user.poll_event());
                black_box(pool_user.poll_timeout())
            });
        });
    }
}

fn death(c: &mut Criterion) {
    let mut group = c.benchmark_group("session/death");
    let mut on_the_first = SessionOptions::default();
    on_the_first.element = Some(PeIdentifier::new(1));
    for dying in [10, 100, 1_000, 10_000] {
        let setup = || {
            let mut pool_user = with_sessions(100_000);
            let open = |_| open_one(&mut pool_user, on_the_first).1;
            let channels: Vec<_> = (0..dying).map(open).collect();
            (pool_user, channels)
        };
        group.bench_function(BenchmarkId::from_parameter(dying), |b| {
            b.iter_batched(setup, |(user, channels)| die(user, channels), BatchSize::PerIteration);
        });
    }
}

/// The channels fail; whoever was on them is elsewhere in the end. Gives back what is left, so that
/// its end is not measured.
fn die(mut pool_user: PoolUser, channels: Vec<ChannelId>) -> PoolUser {
    for channel in channels {
        pool_user.handle_closed(NOW, channel, CloseReason::Failed);
    }
    loop {
        while let Some(action) = pool_user.poll_action() {
            if let Action::Open { channel, .. } = action {
                pool_user.handle_opened(NOW, channel, Authentication::None);
            }
        }
        while pool_user.poll_event().is_some() {}
        let Some(next) = pool_user.poll_timeout() else { return pool_user };
        pool_user.handle_timeout(next);
    }
}
