//! What registrars cost, by how many there are: each line is one announce, one attempt that fails, one
//! registrar that is barred, one request that is cancelled, among so many. Names are
//! `registrars/<case>/<number>`; the time of one is what `thrpt` is the inverse of.
#![allow(clippy::std_instead_of_core, reason = "benches have `std`")]
#![allow(missing_docs, reason = "criterion's macro documents nothing")]

use std::net::SocketAddr;
use std::time::Duration;

use asap_pu::wire::{Message, Protocol, ServerIdentifier, Transport};
use asap_pu::{
    Action, Authentication, Capabilities, CloseReason, Config, Confirms, Instant, PoolUser,
    Registrar, RequestId, Rng,
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .sample_size(10);
    targets = announce, hunt, bar, cancel
}
criterion_main!(benches);

const NOW: Instant = Instant::EPOCH;

/// A driver that speaks TCP and tells nothing.
const TCP: Capabilities = Capabilities::NONE
    .with_registrars(Protocol::Tcp)
    .with_elements(Protocol::Tcp, Confirms::Nothing);
const DECADES: [u32; 4] = [10, 100, 1_000, 10_000];

fn at(n: u32) -> SocketAddr {
    let [_, b, c, d] = n.to_be_bytes();
    SocketAddr::from(([10, b, c, d], 3863))
}

fn announcement(n: u32) -> (SocketAddr, Vec<u8>) {
    let server = ServerIdentifier::new(n);
    let message = Message::server_announce(server, vec![Transport::tcp(at(n))]);
    (at(n), message.to_bytes().unwrap().to_vec())
}

/// A pool user that knows `n` registrars for good.
fn knowing(n: u32) -> PoolUser {
    let mut config = Config::default();
    config.discovery.registrars = (1..=n).map(|n| Registrar::tcp(at(n))).collect();
    (config.limits.max_registrars, config.limits.max_barred) = (n as usize, n as usize);
    PoolUser::new(config, TCP, 1).unwrap()
}

/// An announce of one that is known, and of one that is not and finds the list full, among `n`.
fn announce(c: &mut Criterion) {
    let mut group = c.benchmark_group("registrars/announce");
    for n in DECADES {
        let mut config = Config::default();
        config.limits.max_announced = n as usize;
        let mut pool_user = PoolUser::new(config, TCP, 1).unwrap();
        for n in 1..=n {
            let (source, bytes) = announcement(n);
            pool_user.handle_announce(NOW, source, &bytes);
        }
        assert_eq!(pool_user.registrars().iter().count(), n as usize);
        let mut rng = Rng::new(1);
        let announcements: Vec<_> =
            (0..64).map(|_| announcement(1 + rng.below(2 * u64::from(n)) as u32)).collect();
        group.throughput(Throughput::Elements(64));
        group.bench_function(BenchmarkId::from_parameter(n), |b| {
            b.iter(|| {
                for (source, bytes) in &announcements {
                    pool_user.handle_announce(NOW, *source, bytes);
                }
            });
        });
    }
}

/// A hunt in which every one of `n` addresses fails.
fn fail_all(mut pool_user: PoolUser, reason: CloseReason) -> PoolUser {
    pool_user.registrars_mut(NOW).find_home();
    while let Some(action) = pool_user.poll_action() {
        if let Action::Open { channel, .. } = action {
            pool_user.handle_closed(NOW, channel, reason);
        }
    }
    pool_user
}

fn hunt(c: &mut Criterion) {
    fails(c, "registrars/hunt", CloseReason::Failed);
}

fn bar(c: &mut Criterion) {
    fails(c, "registrars/bar", CloseReason::Unauthenticated);
}

fn fails(c: &mut Criterion, name: &str, reason: CloseReason) {
    let mut group = c.benchmark_group(name);
    for n in DECADES {
        group.throughput(Throughput::Elements(n.into()));
        group.bench_function(BenchmarkId::from_parameter(n), |b| {
            let run = |pool_user| fail_all(pool_user, reason);
            b.iter_batched(|| knowing(n), run, BatchSize::LargeInput);
        });
    }
}

/// `n` requests, for one pool or for one each, that are cancelled in one order or another.
fn cancel(c: &mut Criterion) {
    type Order = fn(&mut [RequestId]);
    let orders: [(&str, Order); 3] = [
        ("in order", |_| {}),
        ("backwards", |requests| requests.reverse()),
        ("at random", |requests| {
            let mut rng = Rng::new(1);
            for n in (1..requests.len()).rev() {
                requests.swap(n, rng.below(n as u64 + 1) as usize);
            }
        }),
    ];
    for (pools, one) in [("one pool", true), ("a pool each", false)] {
        for (name, order) in orders {
            let mut group = c.benchmark_group(format!("registrars/cancel {name}, {pools}"));
            for n in DECADES {
                let asked = || {
                    let mut pool_user = knowing(1);
                    pool_user.registrars_mut(NOW).find_home();
                    let Some(Action::Open { channel, .. }) = pool_user.poll_action() else {
                        panic!()
                    };
                    pool_user.handle_opened(NOW, channel, Authentication::None);
                    let handle = |n| if one { "pool".into() } else { format!("pool {n}") };
                    let mut requests: Vec<_> = (0..n)
                        .map(|n| pool_user.resolve(NOW, handle(n).as_str()).unwrap())
                        .collect();
                    order(&mut requests);
                    (pool_user, requests)
                };
                group.throughput(Throughput::Elements(n.into()));
                group.bench_function(BenchmarkId::from_parameter(n), |b| {
                    b.iter_batched(
                        asked,
                        |(mut pool_user, requests)| {
                            for request in requests {
                                pool_user.cancel(NOW, request).unwrap();
                            }
                            pool_user
                        },
                        BatchSize::LargeInput,
                    );
                });
            }
        }
    }
}
