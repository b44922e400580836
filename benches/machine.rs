//! What the whole machine adds to its parts. Names are `machine/<case>/<size>`.
//!
//! `select` stands beside the bare pick of the same policy on the same pool, and `find` looks a
//! pool up by its handle among many. What a resolution costs is in `resolution.rs`.
#![allow(clippy::std_instead_of_core, reason = "benches have `std`")]
#![allow(missing_docs, reason = "criterion's macro documents nothing")]

use std::hint::black_box;
use std::time::Duration;

use asap_pu::selection::{Member, Selector};
use asap_pu::wire::{
    Message, OverallPolicy, PeIdentifier, Policy, PolicyType, PoolElement, Protocol, Transport,
};
use asap_pu::{
    Action, Authentication, Capabilities, ChannelId, Config, Confirms, Event, Instant, PoolId,
    PoolUser, Registrar, Rng, selection,
};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = select, find
}
criterion_main!(benches);

const NOW: Instant = Instant::EPOCH;

/// A driver that speaks TCP and tells nothing.
const TCP: Capabilities = Capabilities::NONE
    .with_registrars(Protocol::Tcp)
    .with_elements(Protocol::Tcp, Confirms::Nothing);

/// A pool user with a home registrar, and the channel to that.
fn at_home() -> (PoolUser, ChannelId) {
    let mut config = Config::default();
    config.discovery.registrars.push(Registrar::tcp("192.0.2.1:3863".parse().unwrap()));
    config.limits.max_pools = 20_000;
    let mut pool_user = PoolUser::new(config, TCP, 1).unwrap();
    pool_user.registrars_mut(NOW).find_home();
    let Some(Action::Open { channel, .. }) = pool_user.poll_action() else { panic!() };
    pool_user.handle_opened(NOW, channel, Authentication::None);
    while pool_user.poll_event().is_some() {}
    (pool_user, channel)
}

fn response(handle: &str, weighted: bool, size: u32) -> Vec<u8> {
    let element = |id: u32| {
        let policy = match weighted {
            true => Policy::WeightedRandom { weight: 1 + id % 100 },
            false => Policy::RoundRobin,
        };
        let at = core::net::SocketAddr::from(([10, 0, (id >> 8) as u8, id as u8], 7));
        PoolElement::new(PeIdentifier::new(id), Transport::tcp(at), policy)
    };
    let policy = if weighted { PolicyType::WEIGHTED_RANDOM } else { PolicyType::ROUND_ROBIN };
    let policy = Some(OverallPolicy::from(policy));
    let message =
        Message::handle_resolution_response(handle, policy, (0..size).map(element).collect());
    message.to_bytes().unwrap().to_vec()
}

/// Asks, is answered, and reads which pool it is.
fn learn(pool_user: &mut PoolUser, home: ChannelId, handle: &str, response: &[u8]) -> PoolId {
    pool_user.resolve(NOW, handle).unwrap();
    while pool_user.poll_action().is_some() {}
    pool_user.handle_control(NOW, home, response);
    match pool_user.poll_event() {
        Some(Event::Resolved { pool, .. }) => pool,
        other => panic!("{other:?}"),
    }
}

fn select(c: &mut Criterion) {
    let mut group = c.benchmark_group("machine");
    for (name, policy) in [
        ("rr", selection::PolicyKind::RoundRobin),
        ("wrand", selection::PolicyKind::WeightedRandom),
    ] {
        let weighted = name == "wrand";
        for size in [16, 128, 1_000] {
            let mut rng = Rng::new(1);
            let mut selector = Selector::new();
            let members: Vec<_> = (0..size).map(|id| Member::new(id, 1 + id % 100)).collect();
            selector.refresh(policy, &members);
            group.bench_function(BenchmarkId::new(format!("bare_pick_{name}"), size), |b| {
                b.iter(|| selector.pick(&mut rng, |_| false));
            });
            let (mut pool_user, home) = at_home();
            let pool = learn(&mut pool_user, home, "pool", &response("pool", weighted, size));
            group.bench_function(BenchmarkId::new(format!("select_{name}"), size), |b| {
                b.iter(|| {
                    pool_user
                        .pool_mut(NOW, black_box(pool))
                        .unwrap()
                        .select(&[])
                        .map(|e| e.identifier())
                });
            });
        }
    }
}

fn find(c: &mut Criterion) {
    let mut group = c.benchmark_group("machine");
    for size in [10, 10_000_u32] {
        let (mut pool_user, home) = at_home();
        let handles: Vec<String> = (0..size).map(|n| format!("pool number {n}")).collect();
        for handle in &handles {
            learn(&mut pool_user, home, handle, &response(handle, false, 1));
        }
        let mut next = 0;
        group.bench_function(BenchmarkId::new("find", size), |b| {
            b.iter(|| {
                next = (next + 7_919) % handles.len();
                pool_user.find_pool(handles[next].as_bytes())
            });
        });
    }
}
