//! What decoding and encoding cost. Names are `codec/<case>/<size>`; sizes are elements or
//! messages.
//!
//! An element of a usual list is decoded in about 13 ns and 260 instructions: four nested parameters
//! (element, transport, address, policy), each with its bounds and with what has to be said of a fault.
//! 12 ns were aimed at. A check for the usual shape by whole words (one IPv4 address, one standard policy)
//! was tried and takes 102 instructions, but is a second way to read what the first has to read as well.
#![allow(clippy::std_instead_of_core, reason = "benches have `std`")]
#![allow(missing_docs, reason = "criterion's macro documents nothing")]

use std::hint::black_box;
use std::time::Duration;

use asap_pu::wire::{
    BodyRef, Message, MessageRef, Notes, PeIdentifier, Policy, PolicyType, PoolElement, Transport,
    TransportUse, encode_endpoint_unreachable, encode_handle_resolution,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

#[path = "../tests/support/mod.rs"]
mod support;

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = responses, real_traffic, hot_messages
}
criterion_main!(benches);

/// A response as real registrars write it, with one IPv4 address an element.
fn response(elements: u32) -> Message {
    let element = |number: u32| {
        let address = [10, 0, 0, 0].map(|octet: u8| octet + (number % 100) as u8);
        let transport = Transport::sctp(4242, TransportUse::DATA_ONLY, [address.into()]);
        let policy = Policy::WeightedRandom { weight: number + 1 };
        PoolElement::new(PeIdentifier::new(number), transport, policy)
    };
    let policy = Some(PolicyType::WEIGHTED_RANDOM.into());
    Message::handle_resolution_response("bench", policy, (0..elements).map(element).collect())
}

fn responses(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    for size in [1, 10, 100, 128] {
        let message = response(size);
        let bytes = message.to_bytes().unwrap();
        let decode = || MessageRef::decode(black_box(&bytes), &mut Notes::default()).unwrap();
        group.throughput(Throughput::Elements(u64::from(size)));
        group.bench_function(BenchmarkId::new("decode", size), |b| b.iter(decode));
        group.bench_function(BenchmarkId::new("decode_and_read", size), |b| {
            b.iter(|| {
                let BodyRef::HandleResolutionResponse { elements, .. } = decode().body else {
                    panic!()
                };
                for element in elements {
                    black_box(element.identifier);
                    black_box(element.transport.encoded());
                    black_box(element.policy);
                }
            });
        });
        group.bench_function(BenchmarkId::new("decode_to_owned", size), |b| {
            b.iter(|| decode().to_owned());
        });
        group.bench_function(BenchmarkId::new("encode", size), |b| {
            let mut buf = Vec::new();
            b.iter(|| {
                buf.clear();
                black_box(&message).encode(&mut buf)
            });
        });
    }
}

fn real_traffic(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    let vectors: Vec<Vec<u8>> = support::vectors().into_iter().map(|(_, bytes)| bytes).collect();
    let owned: Vec<Message> = vectors.iter().map(|v| Message::decode(v).unwrap()).collect();
    let size = vectors.len();
    group.throughput(Throughput::Bytes(vectors.iter().map(|v| v.len() as u64).sum()));
    group.bench_function(BenchmarkId::new("decode_real", size), |b| {
        b.iter(|| {
            for bytes in black_box(&vectors) {
                let _ = black_box(MessageRef::decode(bytes, &mut Notes::default()));
            }
        });
    });
    group.bench_function(BenchmarkId::new("encode_real", size), |b| {
        let mut buf = Vec::new();
        b.iter(|| {
            buf.clear();
            black_box(&owned).iter().try_for_each(|message| message.encode(&mut buf))
        });
    });
}

fn hot_messages(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    let mut buf = Vec::new();
    group.bench_function(BenchmarkId::new("encode_handle_resolution", 1), |b| {
        b.iter(|| {
            buf.clear();
            encode_handle_resolution(black_box(&mut buf), black_box(b"EchoPool"), false, Some(128))
        });
    });
    group.bench_function(BenchmarkId::new("encode_endpoint_unreachable", 1), |b| {
        let identifier = PeIdentifier::new(7);
        b.iter(|| {
            buf.clear();
            encode_endpoint_unreachable(black_box(&mut buf), black_box(b"EchoPool"), identifier)
        });
    });
}
