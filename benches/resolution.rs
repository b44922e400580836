//! What the cache and the resolver cost. Names are `cache/<case>/<pools or elements>` and
//! `resolver/<case>/<outstanding resolutions>`.
#![allow(clippy::std_instead_of_core, reason = "benches have `std`")]
#![allow(clippy::std_instead_of_alloc, reason = "benches have `std`")]
#![allow(missing_docs, reason = "criterion's macro documents nothing")]

use std::hint::black_box;
use std::time::Duration;

use asap_pu::wire::PoolHandle;
use asap_pu::{ChannelId, PoolId};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

#[path = "../tests/lab/mod.rs"]
mod lab;

use lab::{Lab, REGISTRAR, Setup, config, element, resolved, response};

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = hits, idle, refreshes, resolutions, bytes
}
criterion_main!(benches);

fn large() -> Setup {
    let mut config = config(&[REGISTRAR]);
    config.limits.max_pools = 200_000;
    config.limits.max_cache_bytes = 1 << 30;
    config.limits.max_requests = 200_000;
    config
}

/// A pool user with so many pools of so many elements, and what it calls them.
fn cached(pools: usize, elements: u32) -> (Lab, ChannelId, Vec<(PoolHandle, PoolId)>) {
    let (mut lab, home) = Lab::at_home_with(large());
    let elements: Vec<_> = (0..elements).map(element).collect();
    let mut resolve = |n| {
        let handle = PoolHandle::new(format!("pool {n:06}").as_str());
        lab.pu.resolve(lab.now, handle.clone()).unwrap();
        lab.actions();
        lab.answer(home, &handle.to_string(), &elements);
        (handle, resolved(lab.event()).1)
    };
    let pools = (0..pools).map(&mut resolve).collect();
    (lab, home, pools)
}

/// Asking for a pool that is there and fresh, by its handle; choosing from it, by its name.
fn hits(c: &mut Criterion) {
    let mut group = c.benchmark_group("cache");
    for pools in [10, 1_000, 100_000] {
        let (mut lab, _, names) = cached(pools, 10);
        let mut turn = (0..pools).map(|n| n * 7_919 % pools).cycle();
        group.bench_function(BenchmarkId::new("hit", pools), |b| {
            b.iter(|| {
                let (handle, _) = &names[turn.next().unwrap()];
                lab.pu.resolve(lab.now, handle.clone()).unwrap();
                lab.pu.poll_event()
            });
        });
        group.bench_function(BenchmarkId::new("select", pools), |b| {
            b.iter(|| {
                let (_, pool) = names[turn.next().unwrap()];
                lab.pu.pool_mut(lab.now, pool).unwrap().select(&[]).unwrap().identifier()
            });
        });
    }
}

/// Every call that a driver makes when nothing is to be done.
fn idle(c: &mut Criterion) {
    let mut group = c.benchmark_group("cache");
    for pools in [10, 100_000] {
        let (mut lab, ..) = cached(pools, 1);
        group.bench_function(BenchmarkId::new("idle", pools), |b| {
            b.iter(|| {
                lab.pu.handle_timeout(black_box(lab.now));
                black_box((lab.pu.poll_action(), lab.pu.poll_event(), lab.pu.poll_timeout()))
            });
        });
    }
}

/// Asking for a pool that is not fresh, and taking in its new list.
fn refreshes(c: &mut Criterion) {
    let mut group = c.benchmark_group("cache");
    for elements in [1, 10, 128] {
        let (mut lab, home, names) = cached(1, elements);
        let elements: Vec<_> = (0..elements).map(element).collect();
        let answer = response("pool 000000", &elements).to_bytes().unwrap();
        group.throughput(Throughput::Elements(elements.len() as u64));
        group.bench_function(BenchmarkId::new("refresh", elements.len()), |b| {
            b.iter(|| {
                lab.secs(30);
                lab.pu.resolve(lab.now, names[0].0.clone()).unwrap();
                while let Some(action) = lab.pu.poll_action() {
                    black_box(action);
                }
                lab.pu.handle_control(lab.now, home, &answer);
                lab.pu.poll_event()
            });
        });
    }
}

/// A request and its answer, beside others that are outstanding.
fn resolutions(c: &mut Criterion) {
    let mut group = c.benchmark_group("resolver");
    for outstanding in [0, 10_000] {
        let (mut lab, home) = Lab::at_home_with(large());
        for n in 0..outstanding {
            lab.pu.resolve(lab.now, format!("other {n}").as_str()).unwrap();
        }
        lab.actions();
        let handle = PoolHandle::new("pool");
        let answer = response("pool", &[element(1)]).to_bytes().unwrap();
        group.bench_function(BenchmarkId::new("ask_and_answer", outstanding), |b| {
            b.iter(|| {
                lab.secs(1);
                lab.pu.purge_all();
                let request = lab.pu.resolve(lab.now, handle.clone()).unwrap();
                while let Some(action) = lab.pu.poll_action() {
                    black_box(action);
                }
                lab.pu.handle_control(lab.now, home, &answer);
                lab.pu.cancel(lab.now, request)
            });
        });
    }
}

/// Prints what is kept of pools and elements.
fn bytes(_: &mut Criterion) {
    let kept = |pools, elements| {
        let info = allocation_counter::measure(|| std::mem::forget(cached(pools, elements)));
        info.bytes_current as f64
    };
    for elements in [1, 10, 100, 1_000] {
        let pool = (kept(2_000, elements) - kept(1_000, elements)) / 1_000.0;
        let share = pool / f64::from(elements);
        println!("cache/bytes/{elements}: {pool:.0} a pool, {share:.1} an element with its share");
    }
}
