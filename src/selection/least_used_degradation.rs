//! Least used with degradation (RFC 5356 §5.2): the lowest load, to which each choice adds.
//!
//! The text has a counter in each entry, and the lowest load + counter × degradation is chosen.
//! Here the sum itself is kept, and a choice adds the degradation to it; a counter is set to 0 by
//! setting the sum to the load. A pick changes one sum, so the sums play a [`Tournament`], with the
//! time of the last choice behind the sum: among equals goes the one that was not chosen for
//! longest, which is round robin also where equals come and go. One that joins has its turn
//! where it has it with the [ranked](super::ranked) policies.

use super::carry::{Absent, are_same};
use super::tournament::Tournament;
use super::{Member, Positions};

/// When a member was chosen last that never was.
const NEVER: u32 = 0;

/// The largest sum, above which is room for [`OUT`].
const MAX_SUM: u64 = u64::MAX >> 1;

/// Makes the key of a member that is not in the choice higher than that of any that is.
const OUT: u128 = 1 << 127;

#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) struct LeastUsedDegradation {
    /// Of each member, the sum, the number of its last choice, and its position.
    sums: Tournament<u128>,
    absent: Absent<u128>,
    /// The number of choices so far.
    choices: u32,
}

impl LeastUsedDegradation {
    pub(super) fn refresh(&mut self, old: &[Member], new: &[Member]) {
        let now = self.count();
        let adapt = |old: &Member, new: &Member, known: u128| {
            if old == new { known } else { loaded(known, new.value) }
        };
        if are_same(old, new) {
            for (known, (old, new)) in self.sums.keys_mut().iter_mut().zip(old.iter().zip(new)) {
                *known = adapt(old, new, *known);
            }
            return;
        }
        let joined = |m: &Member, before: Option<u128>| {
            key(m.value.into(), before.map_or(now, |known| parts(known).1), 0)
        };
        let known = &self.sums.keys()[..old.len()];
        let carried = self.absent.carry(known, old, new, joined, adapt);
        self.sums.seat(carried.iter().enumerate().map(|(at, known)| {
            let (sum, chosen) = parts(*known);
            key(sum, chosen, at)
        }));
    }

    /// Says who is out of the choice.
    pub(super) fn arrange(&mut self, len: usize, out: &Positions) {
        let keys = &mut self.sums.keys_mut()[..len];
        keys.iter_mut().for_each(|key| *key &= !OUT);
        out.iter().for_each(|at| keys[at] |= OUT);
        self.sums.play();
    }

    #[inline]
    pub(super) fn pick(
        &mut self,
        members: &[Member],
        skip: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let chosen = self.next(skip)?;
        let at = position(chosen);
        let now = self.count();
        let (sum, _) = parts(chosen);
        let sum = (sum + u64::from(members[at].degradation)).min(MAX_SUM);
        self.sums.set(at, key(sum, now, at));
        Some(at)
    }

    pub(super) fn backup(&self, skip: impl Fn(usize) -> bool) -> Option<usize> {
        self.next(skip).map(position)
    }

    /// The key of the member to choose.
    #[inline]
    fn next(&self, skip: impl Fn(usize) -> bool) -> Option<u128> {
        let lowest = self.sums.lowest();
        if lowest >= OUT {
            None
        } else if skip(position(lowest)) {
            self.sums.lowest_of(|key| key < OUT && !skip(position(key)))
        } else {
            Some(lowest)
        }
    }

    /// The choice of the member at `at` was none: its load is not as high as that.
    pub(super) fn take_back(&mut self, member: &Member, at: usize) {
        let known = self.sums.key(at);
        let (sum, chosen) = parts(known);
        let before = sum.saturating_sub(member.degradation.into()).max(member.value.into());
        self.sums.set(at, key(before, chosen, at) | known & OUT);
    }

    pub(super) fn heap_size(&self) -> usize {
        self.sums.heap_size() + self.absent.heap_size()
    }

    /// The number of a choice, or of a list that comes between two.
    #[inline]
    fn count(&mut self) -> u32 {
        if self.choices == u32::MAX {
            self.forget_times();
        }
        self.choices += 1;
        self.choices
    }

    /// After four billion choices the turns of equals begin anew.
    #[cold]
    fn forget_times(&mut self) {
        self.choices = NEVER;
        // Also those that fill up the first round: they stay out.
        for (at, known) in self.sums.keys_mut().iter_mut().enumerate() {
            *known = key(parts(*known).0, NEVER, at) | *known & OUT;
        }
        self.sums.play();
    }
}

/// Sums are compared first, then the times, then the positions.
const fn key(sum: u64, chosen: u32, at: usize) -> u128 {
    (sum as u128) << 64 | (chosen as u128) << 32 | at as u128
}

/// The same with another load, and nothing added to it.
const fn loaded(key: u128, load: u32) -> u128 {
    (load as u128) << 64 | key as u64 as u128
}

const fn position(key: u128) -> usize {
    key as u32 as usize
}

const fn parts(key: u128) -> (u64, u32) {
    ((key >> 64) as u64 & MAX_SUM, (key >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// [SELECT-5] Also after more choices than are counted equals take turns.
    #[test]
    fn turns_go_on_when_the_times_are_used_up() {
        let mut chooser = LeastUsedDegradation::default();
        let members = [7, 9, 7, 7].map(|load| Member::new(load, load));
        chooser.refresh(&[], &members);
        chooser.choices = u32::MAX - 1;
        let picked: Vec<_> = (0..8).filter_map(|_| chooser.pick(&members, |_| false)).collect();
        assert_eq!(picked, [0, 2, 0, 3, 2, 0, 3, 2], "all but the second choice are forgotten");
        assert_eq!(chooser.pick(&members, |at| at != 1), Some(1));
    }
}
