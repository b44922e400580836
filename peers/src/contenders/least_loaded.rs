//! Least loaded, where each choice adds to the load and equals take turns, the two ways one would
//! write it down.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use asap_pu::selection::Member;

use crate::order::sink;

const DEGRADATION: u64 = 10;

/// Load, and the number of the last choice, of each member.
pub struct ByScan(Vec<(u64, u64)>, u64);

/// Load, number of the last choice, position.
pub struct ByHeap(BinaryHeap<Reverse<(u64, u64, usize)>>, u64);

/// The same, packed into one number each.
#[derive(Default)]
pub struct ByPackedScan(Vec<u128>, u128);

/// The same over lists that change: a member keeps what was added to its load until that is another.
#[derive(Default)]
pub struct CarriedScan {
    list: Vec<Member>,
    keys: ByPackedScan,
}

/// The same numbers in a four-ary heap.
pub struct ByFourAry(Vec<u128>, u128);

impl ByPackedScan {
    pub fn new(loads: &[u32]) -> Self {
        Self(packed(loads), 0)
    }

    pub fn pick(&mut self) -> usize {
        let lowest = self.0.iter().copied().fold(u128::MAX, u128::min);
        let at = lowest as u32 as usize;
        self.1 += 1;
        self.0[at] = chosen(lowest, self.1);
        at
    }
}

impl CarriedScan {
    pub fn refresh(&mut self, list: &[Member]) {
        if self.list == list {
            return;
        }
        let load = |m: &Member| u128::from(m.value) << 64;
        if self.list.iter().map(|m| m.id).eq(list.iter().map(|m| m.id)) {
            for (key, (old, new)) in self.keys.0.iter_mut().zip(self.list.iter().zip(list)) {
                if old != new {
                    *key = load(new) | u128::from(*key as u64);
                }
            }
        } else {
            let known: BTreeMap<u32, (Member, u128)> =
                self.list.iter().zip(&self.keys.0).map(|(m, key)| (m.id, (*m, *key))).collect();
            let keys = list.iter().zip(0..).map(|(m, at)| {
                let (old, key) = known.get(&m.id).copied().unwrap_or((*m, load(m)));
                (if old == *m { key } else { load(m) | u128::from(key as u64) }) >> 32 << 32 | at
            });
            self.keys.0 = keys.collect();
        }
        self.list.clear();
        self.list.extend_from_slice(list);
    }

    pub fn pick(&mut self) -> usize {
        self.keys.pick()
    }
}

impl ByFourAry {
    pub fn new(loads: &[u32]) -> Self {
        let mut heap = packed(loads);
        for at in (0..heap.len().div_ceil(4)).rev() {
            let key = heap[at];
            sink(&mut heap, at, key);
        }
        Self(heap, 0)
    }

    pub fn pick(&mut self) -> usize {
        let lowest = self.0[0];
        self.1 += 1;
        sink(&mut self.0, 0, chosen(lowest, self.1));
        lowest as u32 as usize
    }
}

fn packed(loads: &[u32]) -> Vec<u128> {
    loads.iter().zip(0..).map(|(&load, at)| u128::from(load) << 64 | at).collect()
}

fn chosen(key: u128, now: u128) -> u128 {
    let load = (key >> 64) + u128::from(DEGRADATION);
    load << 64 | now << 32 | u128::from(key as u32)
}

impl ByScan {
    pub fn new(loads: &[u32]) -> Self {
        Self(loads.iter().map(|&load| (load.into(), 0)).collect(), 0)
    }

    pub fn pick(&mut self) -> usize {
        let mut best = 0;
        for at in 1..self.0.len() {
            if self.0[at] < self.0[best] {
                best = at;
            }
        }
        self.1 += 1;
        self.0[best] = (self.0[best].0 + DEGRADATION, self.1);
        best
    }
}

impl ByHeap {
    pub fn new(loads: &[u32]) -> Self {
        let loads = loads.iter().enumerate();
        Self(loads.map(|(at, &load)| Reverse((load.into(), 0, at))).collect(), 0)
    }

    pub fn pick(&mut self) -> usize {
        self.1 += 1;
        let Some(mut top) = self.0.peek_mut() else { return 0 };
        let Reverse((load, since, at)) = &mut *top;
        *load += DEGRADATION;
        *since = self.1;
        *at
    }
}
