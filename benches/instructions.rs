//! One case a time, so many times over, for `instructions.sh` to count instructions with valgrind.
//!
//! `--list` prints the names of the cases; a name and a number run it.

use core::hint::black_box;

use asap_pu::Rng;
use asap_pu::selection::{Member, Policy, Selector};
use asap_pu::wire::{
    Message, MessageRef, Notes, PeIdentifier, Policy as PoolPolicy, PolicyType, PoolElement,
    Transport, TransportUse, encode_handle_resolution,
};

/// A name, and what is counted.
type Case = (String, Box<dyn FnMut()>);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.as_slice() {
        [list] if list == "--list" => cases().iter().for_each(|(name, _)| println!("{name}")),
        [name, count] => {
            let count: u32 = count.parse().expect("a number");
            let (_, mut run) = cases().into_iter().find(|case| case.0 == *name).expect("a case");
            (0..count).for_each(|_| run());
        }
        // A plain `cargo bench` comes by here.
        _ => println!("run benches/instructions.sh"),
    }
}

fn cases() -> Vec<Case> {
    let mut cases = codec();
    cases.append(&mut selection());
    cases
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
        let policy = PoolPolicy::WeightedRandom { weight: id + 1 };
        PoolElement::new(PeIdentifier::new(id), transport, policy)
    };
    let policy = Some(PolicyType::WEIGHTED_RANDOM.into());
    Message::handle_resolution_response("bench", policy, (0..elements).map(element).collect())
}

fn selection() -> Vec<Case> {
    const POLICIES: [(&str, Policy); 9] = [
        ("rr", Policy::RoundRobin),
        ("wrr", Policy::WeightedRoundRobin),
        ("rand", Policy::Random),
        ("wrand", Policy::WeightedRandom),
        ("prio", Policy::Priority),
        ("lu", Policy::LeastUsed),
        ("lud", Policy::LeastUsedDegradation),
        ("plu", Policy::PriorityLeastUsed),
        ("rlu", Policy::RandomizedLeastUsed),
    ];
    let mut cases = Vec::new();
    for (name, policy) in POLICIES {
        for n in [4, 16, 128, 1024] {
            let lists = [1, 2].map(|seed| members(n, seed));
            let mut rng = Rng::new(1);
            let mut selector = Selector::new();
            selector.refresh(policy, &lists[0]);
            let pick = move || _ = black_box(selector.pick(&mut rng, |_| false));
            cases.push((format!("selection/pick/{name}/{n}"), Box::new(pick) as Box<dyn FnMut()>));

            let mut selector = Selector::new();
            let mut round = 0;
            let refresh = move || {
                round += 1;
                selector.refresh(policy, black_box(&lists[round % 2]));
            };
            cases.push((format!("selection/refresh/{name}/{n}"), Box::new(refresh)));

            let lists = [1, 2].map(|seed| members(n, seed));
            let (mut selector, mut rng, mut round) = (Selector::new(), Rng::new(1), 0);
            let once_each = move || {
                round += 1;
                selector.refresh(policy, black_box(&lists[round % 2]));
                _ = black_box(selector.pick(&mut rng, |_| false));
            };
            cases.push((format!("selection/once_each/{name}/{n}"), Box::new(once_each)));

            if n < 1024 {
                continue;
            }
            let (list, mut selector) = (members(n, 1), Selector::new());
            let same = move || selector.refresh(policy, black_box(&list));
            cases.push((format!("selection/same/{name}/{n}"), Box::new(same)));

            let (mut selector, mut rng) = (Selector::new(), Rng::new(1));
            selector.refresh(policy, &members(n, 1));
            (0..n as usize).for_each(|at| selector.set_usable(at, at == 2));
            let marked = move || _ = black_box(selector.pick(&mut rng, |_| false));
            cases.push((format!("selection/marked/{name}/{n}"), Box::new(marked)));
        }
    }
    cases
}

fn members(n: u32, seed: u64) -> Vec<Member> {
    let mut rng = Rng::new(seed);
    (0..n).map(|id| Member::new(id, 1 + rng.below(100) as u32).with_degradation(10)).collect()
}
