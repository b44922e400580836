//! Least loaded, where each choice adds to the load and equals take turns, the two ways one would
//! write it down.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

const DEGRADATION: u64 = 10;

/// Load, and the number of the last choice, of each member.
pub struct ByScan(Vec<(u64, u64)>, u64);

/// Load, number of the last choice, position.
pub struct ByHeap(BinaryHeap<Reverse<(u64, u64, usize)>>, u64);

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
