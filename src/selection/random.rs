//! The random policies (RFC 5356 §4.3, §4.4, §5.4).
//!
//! *Random* draws a position. *Weighted random* lays the weights end to end, draws a point on that line and looks up
//! the member on whose stretch the point lies. *Randomized least used* is the same with 0xffffffff − load as
//! the weight.
//!
//! A member that is passed over must give its chances to the others in proportion. Drawing again does that, and costs
//! nothing while few are passed over. With weights a single failed member may own nearly the whole line, so each
//! rejected member is remembered and the next draw is made on the line without its stretch: as many draws as
//! members were met that are passed over. Where that is not enough a scan sums up what is left.

use alloc::vec::Vec;

use super::{Member, heap};
use crate::Rng;

/// Draws that [`uniform`] makes before it counts; 16 misses in a row are rare unless most are passed over.
const DRAWS: usize = 16;

/// Rejected members that a weighted draw remembers before it scans.
const REMEMBERED: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Random {
    len: usize,
}

#[derive(Debug, Default)]
pub(super) struct WeightedRandom {
    /// Where the stretch of each member ends; the last is the sum of all weights.
    ends: Vec<u64>,
}

impl Random {
    pub(super) fn refresh(&mut self, members: &[Member]) {
        self.len = members.len();
    }

    #[inline]
    pub(super) fn pick(&self, rng: &mut Rng, skip: impl Fn(usize) -> bool) -> Option<usize> {
        uniform(rng, self.len, |at| !skip(at))
    }
}

impl WeightedRandom {
    pub(super) fn refresh(&mut self, weights: impl Iterator<Item = u32>) {
        let mut end = 0;
        self.ends.clear();
        self.ends.extend(weights.map(|weight| {
            end += u64::from(weight);
            end
        }));
    }

    #[inline]
    pub(super) fn pick(&self, rng: &mut Rng, skip: impl Fn(usize) -> bool) -> Option<usize> {
        let total = *self.ends.last()?;
        if total == 0 {
            return uniform(rng, self.ends.len(), |at| !skip(at));
        }
        let at = self.member_at(rng.below(total));
        if skip(at) { self.pick_again(at, rng, skip) } else { Some(at) }
    }

    pub(super) fn heap_size(&self) -> usize {
        heap(&self.ends)
    }

    /// Goes on after the first draw met `rejected`.
    #[cold]
    fn pick_again(
        &self,
        mut rejected: usize,
        rng: &mut Rng,
        skip: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        // The stretches of the members rejected so far, in the order of the line.
        let mut gaps = [(0, 0); REMEMBERED];
        let mut left = *self.ends.last()?;
        for known in 0..REMEMBERED {
            let gap = (self.start(rejected), self.weight(rejected));
            let place = gaps[..known].partition_point(|known| *known < gap);
            gaps.copy_within(place..known, place + 1);
            gaps[place] = gap;
            left -= gap.1;
            if left == 0 {
                return self.pick_weightless(rng, skip);
            }
            let mut point = rng.below(left);
            for (start, weight) in &gaps[..=known] {
                if *start <= point {
                    point += weight;
                }
            }
            let at = self.member_at(point);
            if !skip(at) {
                return Some(at);
            }
            rejected = at;
        }
        let weights =
            || (0..self.ends.len()).filter(|&at| !skip(at)).map(|at| (at, self.weight(at)));
        let left: u64 = weights().map(|(_, weight)| weight).sum();
        let mut point = rng.below(left);
        for (at, weight) in weights() {
            if point < weight {
                return Some(at);
            }
            point -= weight;
        }
        self.pick_weightless(rng, skip)
    }

    /// When no member with weight is left.
    fn pick_weightless(&self, rng: &mut Rng, skip: impl Fn(usize) -> bool) -> Option<usize> {
        uniform(rng, self.ends.len(), |at| self.weight(at) == 0 && !skip(at))
    }

    /// The member on whose stretch `point` lies; `point` is below the sum of all weights.
    #[inline]
    fn member_at(&self, point: u64) -> usize {
        self.ends.partition_point(|&end| end <= point)
    }

    fn start(&self, at: usize) -> u64 {
        if at == 0 { 0 } else { self.ends[at - 1] }
    }

    fn weight(&self, at: usize) -> u64 {
        self.ends[at] - self.start(at)
    }
}

/// A position of `0..len` that is `usable`, all of them with the same chance.
#[inline]
pub(super) fn uniform(rng: &mut Rng, len: usize, usable: impl Fn(usize) -> bool) -> Option<usize> {
    if len == 0 {
        return None;
    }
    for _ in 0..DRAWS {
        let at = rng.below(len as u64) as usize;
        if usable(at) {
            return Some(at);
        }
    }
    let count = (0..len).filter(|&at| usable(at)).count();
    let nth = rng.below(count as u64) as usize;
    (0..len).filter(|&at| usable(at)).nth(nth)
}
