//! Least loaded, where each choice adds to the load, the two ways one would write it down.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

const DEGRADATION: u64 = 10;

pub struct ByScan(Vec<u64>);

/// Load, number of the choice since when it is so (equals take turns), position.
pub struct ByHeap(BinaryHeap<Reverse<(u64, u64, usize)>>, u64);

impl ByScan {
    pub fn new(loads: &[u32]) -> Self {
        Self(loads.iter().copied().map(u64::from).collect())
    }

    pub fn pick(&mut self) -> usize {
        let mut best = 0;
        for at in 1..self.0.len() {
            if self.0[at] < self.0[best] {
                best = at;
            }
        }
        self.0[best] += DEGRADATION;
        best
    }
}

impl ByHeap {
    pub fn new(loads: &[u32]) -> Self {
        let loads = loads.iter().copied().map(u64::from).enumerate();
        Self(loads.map(|(at, load)| Reverse((load, at as u64, at))).collect(), 1 << 32)
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
