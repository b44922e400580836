//! The random policies (RFC 5356 §4.3, §4.4, §5.4).
//!
//! *Random* draws a position. *Weighted random* lays the weights end to end, draws a point on that
//! line and looks up the member on whose stretch the point lies. *Randomized least used* is the
//! same with 0xffffffff − load as the weight.
//!
//! Short lists are looked up by counting the ends up to the point, longer ones by bisection; after
//! some picks from the same list a guide is made, which cuts the line into equal pieces and knows
//! on whose stretch each begins (the cutpoint method of Chen and Asau, 1974). With it a lookup
//! takes the same few steps at any length of the list, and other than an alias table it is exact in
//! integers and costs little more to make than the sums.
//!
//! A member that is passed over must give its chances to the others in proportion. Drawing again
//! does that, and costs nothing while few are passed over. With weights a single failed member may
//! own nearly the whole line, so each rejected member is remembered and the next draw is made on
//! the line without its stretch: as many draws as members were met that are passed over. Where that
//! is not enough a scan sums up what is left.

use alloc::vec::Vec;

use super::{Positions, heap};
use crate::Rng;

/// Draws that [`uniform`] makes before it counts; 16 misses in a row are rare unless most are
/// passed over.
const DRAWS: usize = 16;

/// Rejected members that a weighted draw remembers before it scans.
const REMEMBERED: usize = 16;

/// Lists up to this length are looked up by counting.
const SHORT: usize = 8;

/// Lookups by bisection before the guide is made: this many, or one for so many members. By then it
/// is not known whether many more will follow, but making it costs no more than what was spent.
const BISECTIONS: usize = 10;
const BISECTIONS_PER_MEMBERS: usize = 10;

#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) struct Random {
    len: usize,
    /// The positions in the choice, where not all are.
    some: Vec<u32>,
}

#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) struct WeightedRandom {
    /// Where the stretch of each member ends; the last is the sum of all weights.
    ends: Vec<u64>,
    /// The member on whose stretch each piece of the line begins; empty until it is worth making.
    guide: Vec<u32>,
    /// The length of a piece, as a power of two.
    shift: u32,
    /// Lookups by bisection since the refresh.
    bisections: u32,
    /// The members in the choice that have no weight.
    weightless: Vec<u32>,
}

impl Random {
    pub(super) fn arrange(&mut self, len: usize, out: &Positions) {
        self.len = len;
        self.some.clear();
        if !out.is_empty() {
            self.some.extend((0..len as u32).filter(|&at| !out.contains(at as usize)));
            self.len = if self.some.is_empty() { 0 } else { len };
        }
    }

    /// Makes room for a choice among some.
    pub(super) fn reserve(&mut self, len: usize) {
        // Of one there is no other part than none.
        if len > 1 {
            self.some.reserve_exact(len.saturating_sub(self.some.len()));
        }
    }

    #[inline]
    pub(super) fn pick(&self, rng: &mut Rng, skip: impl Fn(usize) -> bool) -> Option<usize> {
        if self.some.is_empty() {
            uniform(rng, self.len, |at| !skip(at))
        } else {
            uniform_of(rng, &self.some, skip)
        }
    }

    pub(super) fn heap_size(&self) -> usize {
        heap(&self.some)
    }
}

impl WeightedRandom {
    pub(super) fn refresh(&mut self, weights: impl ExactSizeIterator<Item = u32>) {
        self.ends.clear();
        self.ends.reserve_exact(weights.len());
        self.guide.clear();
        if weights.len() > SHORT {
            self.guide.reserve_exact(2 * weights.len() + 2);
        }
        self.weightless.clear();
        self.weightless.reserve_exact(weights.filter(|weight| *weight == 0).count());
    }

    /// Lays the weights of those in the choice end to end.
    pub(super) fn arrange(&mut self, weights: impl Iterator<Item = u32>, out: &Positions) {
        let mut weightless = 0;
        self.ends.clear();
        self.ends.extend(weights.map(|weight| {
            weightless += usize::from(weight == 0);
            u64::from(weight)
        }));
        self.weightless.clear();
        if weightless > 0 {
            let all = self.ends.iter().zip(0..).filter(|(weight, _)| **weight == 0);
            let positions = all.map(|(_, at)| at);
            self.weightless.extend(positions.filter(|at| !out.contains(*at as usize)));
        }
        out.iter().for_each(|at| self.ends[at] = 0);
        let mut end = 0;
        for weight in &mut self.ends {
            end += *weight;
            *weight = end;
        }
        self.guide.clear();
        self.bisections = 0;
    }

    #[inline]
    pub(super) fn pick(&mut self, rng: &mut Rng, skip: impl Fn(usize) -> bool) -> Option<usize> {
        let total = *self.ends.last()?;
        if total == 0 {
            return uniform_of(rng, &self.weightless, skip);
        }
        if self.ends.len() > SHORT && self.guide.is_empty() {
            self.bisections += 1;
            if self.bisections as usize > BISECTIONS.max(self.ends.len() / BISECTIONS_PER_MEMBERS) {
                self.make_guide();
            }
        }
        let at = self.member_at(rng.below(total));
        if skip(at) { self.pick_again(at, rng, skip) } else { Some(at) }
    }

    pub(super) fn heap_size(&self) -> usize {
        heap(&self.ends) + heap(&self.guide) + heap(&self.weightless)
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
                return uniform_of(rng, &self.weightless, skip);
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
        uniform_of(rng, &self.weightless, skip)
    }

    /// The member on whose stretch `point` lies; `point` is below the sum of all weights.
    #[inline]
    fn member_at(&self, point: u64) -> usize {
        if self.ends.len() <= SHORT {
            return self.ends.iter().map(|&end| usize::from(end <= point)).sum();
        }
        let Some(&at) = self.guide.get((point >> self.shift) as usize) else {
            return self.bisect(0, point);
        };
        // Mostly it is this one or one of the two behind it: nothing that a processor could guess
        // wrong.
        let mut at = at as usize;
        at += usize::from(self.ends[at] <= point);
        at += usize::from(self.ends[at] <= point);
        if self.ends[at] <= point { self.bisect(at, point) } else { at }
    }

    /// The same among the members from `from` on.
    fn bisect(&self, from: usize, point: u64) -> usize {
        from + self.ends[from..].partition_point(|&end| end <= point)
    }

    /// Cuts the line into pieces, as many as there are members or up to twice as many.
    #[cold]
    fn make_guide(&mut self) {
        let Some(&total) = self.ends.last() else { return };
        let length = total / self.ends.len() as u64;
        self.shift = length.checked_ilog2().unwrap_or(0);
        self.guide.resize((total >> self.shift) as usize + 2, 0);
        // Behind the end of a stretch pieces begin on the next one, and so on up to the next end.
        let round_up = (1 << self.shift) - 1;
        for (end, next) in self.ends.iter().zip(1..) {
            self.guide[((end + round_up) >> self.shift) as usize] = next;
        }
        let mut at = 0;
        for first in &mut self.guide {
            at = at.max(*first);
            *first = at;
        }
    }

    fn start(&self, at: usize) -> u64 {
        if at == 0 { 0 } else { self.ends[at - 1] }
    }

    fn weight(&self, at: usize) -> u64 {
        self.ends[at] - self.start(at)
    }
}

/// One of these positions that is not to be skipped, all of them with the same chance.
pub(super) fn uniform_of(
    rng: &mut Rng,
    positions: &[u32],
    skip: impl Fn(usize) -> bool,
) -> Option<usize> {
    let at = uniform(rng, positions.len(), |at| !skip(positions[at] as usize))?;
    Some(positions[at] as usize)
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

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// [SELECT-3] The guide finds what bisection finds, at both ends of each stretch and
        /// anywhere.
        #[test]
        fn the_guide_is_exact(
            weights in vec(prop_oneof![0..3_u32, 0..200_u32, any::<u32>()], 9..80),
            points in vec(any::<u64>(), 50),
        ) {
            let mut random = WeightedRandom::default();
            random.refresh(weights.iter().copied());
            random.arrange(weights.into_iter(), &Positions::default());
            let total = random.ends[random.ends.len() - 1];
            prop_assume!(total > 0);
            let ends = random.ends.iter().flat_map(|&end| [end.saturating_sub(1), end]);
            let points: Vec<u64> = ends.chain(points).map(|point| point % total).collect();
            let capacity = random.guide.capacity();
            random.make_guide();
            prop_assert_eq!(random.guide.capacity(), capacity, "the refresh made room for it");
            for point in points {
                prop_assert_eq!(random.member_at(point), random.bisect(0, point), "{}", point);
            }
        }
    }
}
