//! The weighted round robins of others, written from their published descriptions, and how evenly
//! all of them serve.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use asap_pu::Rng;
use asap_pu::selection::{Member, PolicyKind, Selector};

/// An order of turns in proportion to weights.
pub trait Wrr {
    fn new(weights: &[u32]) -> Self;
    fn pick(&mut self) -> usize;
}

/// nginx's smooth weighted round robin: each turn all gain their weight, the highest is served and
/// loses the sum.
pub struct SmoothWrr {
    weights: Vec<i64>,
    current: Vec<i64>,
    sum: i64,
}

/// The same over lists that change: what each should have had so far less the turns that it had goes on
/// with it. So nobody strays by two turns, whatever weights come.
#[derive(Default)]
pub struct Carried {
    list: Vec<Member>,
    lags: Vec<f64>,
    shares: Vec<f64>,
}

/// Envoy's earliest deadline first: a member served at time t has its next deadline at t +
/// 1/weight.
pub struct Edf {
    queue: BinaryHeap<Deadline>,
    served: u64,
}

struct Deadline {
    at: f64,
    /// Equal deadlines in the order of their entry.
    since: u64,
    member: usize,
    weight: f64,
}

/// The same in a four-ary heap of whole numbers, written down for speed: the root is served and sinks.
/// Strays as far as [`Edf`].
pub struct FourAry {
    /// Deadline and position.
    heap: Vec<(u64, u32)>,
    strides: Vec<u64>,
}

/// Earliest deadlines among those that are due, in two four-ary heaps: what keeps everybody within one
/// turn of its share costs a second heap, and about one move a turn between them.
pub struct TwoHeaps {
    /// Deadline and position of those that are due.
    due: Vec<(u64, u32)>,
    /// From when on the others are.
    waiting: Vec<(u64, u32)>,
    weights: Vec<u64>,
    /// The turns that each had, of a cycle.
    served: Vec<u64>,
    sum: u64,
    time: u64,
}

/// The same by looking at all deadlines, each packed with its position into one number.
pub struct DeadlineScan {
    keys: Vec<u128>,
    strides: Vec<u128>,
}

/// Interleaved weighted round robin: in round r those are served whose weight is at least r.
pub struct Interleaved {
    weights: Vec<u32>,
    /// Who is left of this round, with the turns that remain.
    now: VecDeque<(usize, u32)>,
    next: VecDeque<(usize, u32)>,
}

/// The circular list of RFC 5356 §4.2.2, taken literally: a slot for each turn, spread by their
/// ideal moments.
pub struct SlotExpansion {
    slots: Vec<u32>,
    next: usize,
}

impl Wrr for SmoothWrr {
    fn new(weights: &[u32]) -> Self {
        let weights: Vec<i64> = weights.iter().copied().map(i64::from).collect();
        Self { current: vec![0; weights.len()], sum: weights.iter().sum(), weights }
    }

    fn pick(&mut self) -> usize {
        let mut best = 0;
        let mut highest = i64::MIN;
        for (at, (current, weight)) in self.current.iter_mut().zip(&self.weights).enumerate() {
            *current += weight;
            if *current > highest {
                highest = *current;
                best = at;
            }
        }
        self.current[best] -= self.sum;
        best
    }
}

impl Carried {
    pub fn refresh(&mut self, list: &[Member]) {
        if self.list == list {
            return;
        }
        if !self.list.iter().map(|m| m.id).eq(list.iter().map(|m| m.id)) {
            let known: BTreeMap<u32, f64> =
                self.list.iter().map(|m| m.id).zip(self.lags.iter().copied()).collect();
            self.lags = list.iter().map(|m| known.get(&m.id).copied().unwrap_or(0.0)).collect();
        }
        let turn = 1.0 / list.iter().map(|m| u64::from(m.value)).sum::<u64>() as f64;
        self.shares.clear();
        self.shares.extend(list.iter().map(|m| f64::from(m.value) * turn));
        self.list.clear();
        self.list.extend_from_slice(list);
    }

    pub fn pick(&mut self) -> usize {
        let (mut best, mut highest) = (0, f64::MIN);
        for (at, (lag, share)) in self.lags.iter_mut().zip(&self.shares).enumerate() {
            *lag += share;
            if *lag > highest {
                (best, highest) = (at, *lag);
            }
        }
        self.lags[best] -= 1.0;
        best
    }
}

impl Wrr for Edf {
    fn new(weights: &[u32]) -> Self {
        let deadline = |(member, &weight): (usize, &u32)| Deadline {
            at: 1.0 / f64::from(weight),
            since: member as u64,
            member,
            weight: weight.into(),
        };
        Self {
            queue: weights
                .iter()
                .enumerate()
                .filter(|(_, weight)| **weight > 0)
                .map(deadline)
                .collect(),
            served: weights.len() as u64,
        }
    }

    fn pick(&mut self) -> usize {
        let Some(mut first) = self.queue.peek_mut() else { return 0 };
        self.served += 1;
        first.at += 1.0 / first.weight;
        first.since = self.served;
        first.member
    }
}

impl Wrr for FourAry {
    fn new(weights: &[u32]) -> Self {
        let strides: Vec<u64> = weights.iter().map(|&weight| stride(weight)).collect();
        let mut heap: Vec<(u64, u32)> = strides.iter().copied().zip(0..).collect();
        for at in (0..heap.len().div_ceil(4)).rev() {
            let key = heap[at];
            sink(&mut heap, at, key);
        }
        Self { heap, strides }
    }

    #[inline]
    fn pick(&mut self) -> usize {
        let (deadline, at) = self.heap[0];
        sink(&mut self.heap, 0, (deadline + self.strides[at as usize], at));
        at as usize
    }
}

impl Wrr for TwoHeaps {
    fn new(weights: &[u32]) -> Self {
        let weights: Vec<u64> = weights.iter().copied().map(u64::from).collect();
        let sum: u64 = weights.iter().sum();
        let mut due: Vec<_> = weights.iter().map(|weight| sum.div_ceil(*weight)).zip(0..).collect();
        for at in (0..due.len().div_ceil(4)).rev() {
            let key = due[at];
            sink(&mut due, at, key);
        }
        let (waiting, served) = (Vec::with_capacity(due.len()), vec![0; due.len()]);
        Self { due, waiting, weights, served, sum, time: 0 }
    }

    fn pick(&mut self) -> usize {
        self.time += 1;
        let (_, at) = self.due[0];
        let (weight, served) = (self.weights[at as usize], &mut self.served[at as usize]);
        *served += 1;
        let from = (*served * self.sum).div_ceil(weight);
        if from <= self.time {
            sink(&mut self.due, 0, (((*served + 1) * self.sum).div_ceil(weight), at));
        } else {
            if let Some(last) = self.due.pop().filter(|_| !self.due.is_empty()) {
                sink(&mut self.due, 0, last);
            }
            rise(&mut self.waiting, (from, at));
        }
        while self.waiting.first().is_some_and(|(from, _)| *from <= self.time) {
            let (_, at) = self.waiting[0];
            if let Some(last) = self.waiting.pop().filter(|_| !self.waiting.is_empty()) {
                sink(&mut self.waiting, 0, last);
            }
            let turn = self.served[at as usize] + 1;
            rise(&mut self.due, ((turn * self.sum).div_ceil(self.weights[at as usize]), at));
        }
        at as usize
    }
}

/// Puts another key in.
fn rise<K: Copy + Ord>(heap: &mut Vec<K>, key: K) {
    let mut at = heap.len();
    heap.push(key);
    while at > 0 && key < heap[(at - 1) / 4] {
        heap[at] = heap[(at - 1) / 4];
        at = (at - 1) / 4;
    }
    heap[at] = key;
}

/// Puts a key in at `at`, and lower where those below come first.
#[inline]
pub fn sink<K: Copy + Ord>(heap: &mut [K], mut at: usize, key: K) {
    loop {
        let first = 4 * at + 1;
        let below = match heap.get(first..first + 4) {
            Some(four) => {
                let left = usize::from(four[1] < four[0]);
                let right = 2 + usize::from(four[3] < four[2]);
                first + if four[right] < four[left] { right } else { left }
            }
            None => match (first..heap.len()).min_by_key(|&below| heap[below]) {
                Some(below) => below,
                None => break,
            },
        };
        if heap[below] >= key {
            break;
        }
        heap[at] = heap[below];
        at = below;
    }
    heap[at] = key;
}

/// How far the deadlines of a weight are apart.
fn stride(weight: u32) -> u64 {
    (1 << 40) / u64::from(weight)
}

impl Wrr for DeadlineScan {
    fn new(weights: &[u32]) -> Self {
        let strides: Vec<u128> =
            weights.iter().map(|&weight| u128::from(stride(weight)) << 32).collect();
        Self { keys: strides.iter().zip(0..).map(|(stride, at)| stride | at).collect(), strides }
    }

    #[inline]
    fn pick(&mut self) -> usize {
        let at = self.keys.iter().min().map_or(0, |key| *key as u32 as usize);
        self.keys[at] += self.strides[at];
        at
    }
}

impl Wrr for Interleaved {
    fn new(weights: &[u32]) -> Self {
        let now = weights.iter().copied().enumerate().filter(|(_, weight)| *weight > 0).collect();
        Self { weights: weights.to_vec(), now, next: VecDeque::with_capacity(weights.len()) }
    }

    fn pick(&mut self) -> usize {
        if self.now.is_empty() {
            std::mem::swap(&mut self.now, &mut self.next);
        }
        if self.now.is_empty() {
            *self = Self::new(&self.weights);
        }
        let Some((at, turns)) = self.now.pop_front() else { return 0 };
        if turns > 1 {
            self.next.push_back((at, turns - 1));
        }
        at
    }
}

impl Wrr for SlotExpansion {
    fn new(weights: &[u32]) -> Self {
        let mut slots: Vec<(f64, u32)> = (0..)
            .zip(weights)
            .flat_map(|(at, &weight)| {
                (0..weight).map(move |turn| ((f64::from(turn) + 0.5) / f64::from(weight), at))
            })
            .collect();
        slots.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        Self { slots: slots.into_iter().map(|(_, at)| at).collect(), next: 0 }
    }

    fn pick(&mut self) -> usize {
        let at = self.slots[self.next];
        self.next = if self.next + 1 == self.slots.len() { 0 } else { self.next + 1 };
        at as usize
    }
}

impl Ord for Deadline {
    /// The earliest is the greatest, as the heap wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.total_cmp(&self.at).then(other.since.cmp(&self.since))
    }
}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Deadline {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Deadline {}

struct Ours(Selector);

impl Wrr for Ours {
    fn new(weights: &[u32]) -> Self {
        let members: Vec<_> =
            (0..).zip(weights).map(|(id, &weight)| Member::new(id, weight)).collect();
        let mut selector = Selector::new();
        selector.refresh(PolicyKind::WeightedRoundRobin, &members);
        Self(selector)
    }

    fn pick(&mut self) -> usize {
        self.0.pick(&mut Rng::new(0), |_| false).unwrap_or_default()
    }
}

/// Prints for each order how far a prefix of a cycle strays from the ideal share, in turns, and the
/// longest run of one member.
pub fn print() {
    let ones = |large: u32, count| [vec![large], vec![1; count]].concat();
    let mut rng = Rng::new(42);
    let random: Vec<u32> = (0..100).map(|_| 1 + rng.below(100) as u32).collect();
    let sets = [
        ("5, 1, 1", vec![5, 1, 1]),
        ("10, 9, 8, five 1s", [vec![10, 9, 8], vec![1; 5]].concat()),
        ("20, twenty 1s", ones(20, 20)),
        ("100, a hundred 1s", ones(100, 100)),
        ("a hundred of 1 to 100", random),
        ("1 40 40 1 40 40 1 5 2 5 5 3", vec![1, 40, 40, 1, 40, 40, 1, 5, 2, 5, 5, 3]),
    ];
    println!("\norder: farthest from the ideal share in turns / longest run");
    for (name, weights) in sets {
        print!("{name:<34}");
        print!(" ours {}", quality::<Ours>(&weights));
        print!(" | smooth {}", quality::<SmoothWrr>(&weights));
        print!(" | edf {}", quality::<Edf>(&weights));
        print!(" | two-heaps {}", quality::<TwoHeaps>(&weights));
        print!(" | interleaved {}", quality::<Interleaved>(&weights));
        println!(" | slots {}", quality::<SlotExpansion>(&weights));
    }
}

fn quality<T: Wrr>(weights: &[u32]) -> String {
    let sum: f64 = weights.iter().copied().map(f64::from).sum();
    let mut order = T::new(weights);
    let mut served = vec![0.0; weights.len()];
    let (mut farthest, mut longest, mut run, mut last) = (0.0_f64, 0, 0, usize::MAX);
    for turn in 0..sum as usize {
        let at = order.pick();
        served[at] += 1.0;
        run = if at == last { run + 1 } else { 1 };
        last = at;
        longest = longest.max(run);
        for (served, weight) in served.iter().zip(weights) {
            farthest = farthest.max((served - (turn + 1) as f64 * f64::from(*weight) / sum).abs());
        }
    }
    format!("{farthest:.2}/{longest}")
}
