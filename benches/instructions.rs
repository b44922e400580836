//! Each case so many times over, for `instructions.sh` to count instructions with valgrind.

use core::hint::black_box;

use asap_pu::Rng;
use asap_pu::selection::{Member, PolicyKind, Selector};
use asap_pu::wire::{
    Message, MessageRef, Notes, PeIdentifier, Policy, PolicyType, PoolElement, Transport,
    TransportUse, encode_handle_resolution,
};

/// A name, and what is counted.
type Case = (String, Box<dyn FnMut()>);

/// Runs of a case that are counted.
const RUNS: u32 = 100;

fn main() {
    if !std::env::args().any(|arg| arg == "--count") {
        // A plain `cargo bench` comes by here.
        return println!("run benches/instructions.sh");
    }
    for (name, mut run) in cases() {
        // What is allocated the first time is not counted.
        (0..10).for_each(|_| run());
        mark();
        (0..RUNS).for_each(|_| run());
        mark();
        println!("{name} {RUNS}");
    }
}

/// By its name the script knows where a case begins and ends.
#[inline(never)]
fn mark() {
    black_box(());
}

fn cases() -> Vec<Case> {
    codec().into_iter().chain(selection()).collect()
}

fn codec() -> Vec<Case> {
    let decode = |size: u32| {
        let bytes = response(size).to_bytes().expect("it fits");
        let run = move || _ = black_box(MessageRef::decode(&bytes, &mut Notes::default()));
        (format!("codec/decode/{size}"), Box::new(run) as Box<dyn FnMut()>)
    };
    let mut buf = Vec::new();
    let request = move || {
        buf.clear();
        _ = black_box(encode_handle_resolution(&mut buf, b"EchoPool", false, Some(128)));
    };
    let request =
        ("codec/encode_handle_resolution/1".to_owned(), Box::new(request) as Box<dyn FnMut()>);
    [1, 10, 128].map(decode).into_iter().chain([request]).collect()
}

/// A response as real registrars write it, with one IPv4 address an element.
fn response(elements: u32) -> Message {
    let element = |id: u32| {
        let transport =
            Transport::sctp(4242, TransportUse::DATA_ONLY, [[10, 0, 0, id as u8].into()]);
        let policy = Policy::WeightedRandom { weight: id + 1 };
        PoolElement::new(PeIdentifier::new(id), transport, policy)
    };
    let policy = Some(PolicyType::WEIGHTED_RANDOM.into());
    Message::handle_resolution_response("bench", policy, (0..elements).map(element).collect())
}

fn selection() -> Vec<Case> {
    const POLICIES: [(&str, PolicyKind); 9] = [
        ("rr", PolicyKind::RoundRobin),
        ("wrr", PolicyKind::WeightedRoundRobin),
        ("rand", PolicyKind::Random),
        ("wrand", PolicyKind::WeightedRandom),
        ("prio", PolicyKind::Priority),
        ("lu", PolicyKind::LeastUsed),
        ("lud", PolicyKind::LeastUsedDegradation),
        ("plu", PolicyKind::PriorityLeastUsed),
        ("rlu", PolicyKind::RandomizedLeastUsed),
    ];
    let mut cases: Vec<Case> = Vec::new();
    for (name, policy) in POLICIES {
        for n in [4, 8, 16, 128, 1024] {
            let mut rng = Rng::new(1);
            let mut selector = Selector::new();
            selector.refresh(policy, &members(n, 1));
            let pick = move || _ = black_box(selector.pick(&mut rng, |_| false));
            cases.push((format!("selection/pick/{name}/{n}"), Box::new(pick)));

            let (list, mut selector) = (members(n, 1), Selector::new());
            let same = move || selector.refresh(policy, black_box(&list));
            cases.push((format!("selection/same/{name}/{n}"), Box::new(same)));

            for k in [1, 10, 100] {
                let lists = [1, 2].map(|seed| members(n, seed));
                let (mut selector, mut rng, mut round) = (Selector::new(), Rng::new(1), 0);
                let changed = move || {
                    round += 1;
                    selector.refresh(policy, black_box(&lists[round % 2]));
                    (0..k).for_each(|_| _ = black_box(selector.pick(&mut rng, |_| false)));
                };
                cases.push((format!("selection/refresh_then_{k}/{name}/{n}"), Box::new(changed)));
            }
        }
        type IsLeft = fn(usize) -> bool;
        let left: [(&str, IsLeft); 3] =
            [("half", |at| at % 2 == 1), ("all_but_one", |at| at == 2), ("all", |_| false)];
        for (marked, left) in left {
            let (mut selector, mut rng) = (Selector::new(), Rng::new(1));
            selector.refresh(policy, &members(1024, 1));
            (0..1024).for_each(|at| selector.set_usable(at, left(at)));
            let pick = move || _ = black_box(selector.pick(&mut rng, |_| false));
            cases.push((format!("selection/marked_{marked}/{name}/1024"), Box::new(pick)));
        }
    }
    cases
}

fn members(n: u32, seed: u64) -> Vec<Member> {
    let mut rng = Rng::new(seed);
    (0..n).map(|id| Member::new(id, 1 + rng.below(100) as u32).with_degradation(10)).collect()
}
