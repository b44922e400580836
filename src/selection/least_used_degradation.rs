//! Least used with degradation (RFC 5356 §5.2): the lowest load, to which each choice adds.
//!
//! The text has a counter in each entry, and the lowest load + counter × degradation is chosen.
//! Here the sum itself is kept, and a choice adds the degradation to it; a counter is set to 0 by
//! setting the sum to the load. A pick changes one sum, so the sums play a [`Tournament`], with the
//! time of the last choice behind the sum: among equals goes the one that was not chosen for
//! longest, which is round robin also where equals come and go.

use alloc::vec::Vec;

use super::carry::Finder;
use super::tournament::{Key as _, Tournament};
use super::{Member, heap};

/// When a member was chosen last that never was.
const NEVER: u32 = 0;

#[derive(Debug, Default)]
pub(super) struct LeastUsedDegradation {
    members: Vec<Member>,
    sums: Tournament<u128>,
    /// The number of choices so far.
    choices: u32,
}

impl LeastUsedDegradation {
    pub(super) fn refresh(&mut self, members: &[Member]) {
        let mut old = Finder::new(&self.members, |m| m.id);
        let keys: Vec<u128> = members
            .iter()
            .map(|m| match old.find(m.id) {
                Some(at) => {
                    let (sum, chosen) = parts(self.sums.key(at));
                    key(if self.members[at] == *m { sum } else { m.value.into() }, chosen)
                }
                None => key(m.value.into(), NEVER),
            })
            .collect();
        self.sums.fill(keys.into_iter());
        self.members.clear();
        self.members.extend(members);
    }

    #[inline]
    pub(super) fn pick(&mut self, skip: impl Fn(usize) -> bool) -> Option<usize> {
        let at = self.backup(skip)?;
        if self.choices == u32::MAX {
            self.forget_times();
        }
        self.choices += 1;
        let (sum, _) = parts(self.sums.key(at));
        let sum = sum.saturating_add(self.members[at].degradation.into());
        self.sums.set(at, key(sum, self.choices));
        Some(at)
    }

    #[inline]
    pub(super) fn backup(&self, skip: impl Fn(usize) -> bool) -> Option<usize> {
        let at = self.sums.winner();
        if at < self.members.len() && !skip(at) {
            return Some(at);
        }
        self.sums.lowest(|at| !skip(at))
    }

    pub(super) fn heap_size(&self) -> usize {
        heap(&self.members) + self.sums.heap_size()
    }

    /// After four billion choices the turns of equals begin anew.
    #[cold]
    fn forget_times(&mut self) {
        self.choices = NEVER;
        self.sums.change(|sum| if sum == u128::ABSENT { sum } else { key(parts(sum).0, NEVER) });
    }
}

/// Sums are compared first, then the times.
const fn key(sum: u64, chosen: u32) -> u128 {
    (sum as u128) << 64 | (chosen as u128) << 32
}

const fn parts(key: u128) -> (u64, u32) {
    ((key >> 64) as u64, (key >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// [SELECT-5] Also after more choices than are counted equals take turns.
    #[test]
    fn turns_go_on_when_the_times_are_used_up() {
        let mut chooser = LeastUsedDegradation::default();
        chooser.refresh(&[7, 9, 7, 7].map(|load| Member::new(load, load)));
        chooser.choices = u32::MAX - 1;
        let picked: Vec<_> = (0..8).filter_map(|_| chooser.pick(|_| false)).collect();
        assert_eq!(picked, [0, 2, 0, 3, 2, 0, 3, 2], "all but the second choice are forgotten");
        assert_eq!(chooser.pick(|at| at != 1), Some(1));
    }
}
