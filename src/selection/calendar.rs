//! A calendar: who has something to do at which moment.
//!
//! It has as many days as there are members, or up to twice as many, and is used over and over: a
//! day holds all whose moment is that day in this round or in a later one. One moment after the
//! other is looked up, so each entry is met at most once a round, and the cost of a day is constant
//! on average.

use alloc::vec::Vec;

use super::heap;

/// The end of a day's list.
const END: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(super) struct Calendar {
    /// The first entry of each day.
    days: Vec<u32>,
    /// Of each member, the next entry of the same day.
    next: Vec<u32>,
    /// Of each member, the lowest 32 bits of its moment.
    moments: Vec<u32>,
}

impl Calendar {
    /// Begins anew, empty, for so many members.
    pub(super) fn clear(&mut self, members: usize) {
        self.days.clear();
        self.days.resize(members.next_power_of_two(), END);
        self.next.resize(members, END);
        self.moments.resize(members, 0);
    }

    /// Enters a member that has no entry.
    #[inline]
    pub(super) fn enter(&mut self, member: usize, moment: u64) {
        let day = self.day(moment);
        self.next[member] = self.days[day];
        self.days[day] = member as u32;
        self.moments[member] = moment as u32;
    }

    /// Takes out those whose moment it is. Moments that are 2³² apart look alike: `is_it` knows.
    #[inline]
    pub(super) fn take(
        &mut self,
        moment: u64,
        is_it: impl Fn(usize) -> bool,
        mut out: impl FnMut(usize),
    ) {
        let day = self.day(moment);
        let mut entry = core::mem::replace(&mut self.days[day], END);
        while entry != END {
            let member = entry as usize;
            entry = self.next[member];
            if self.moments[member] == moment as u32 && is_it(member) {
                out(member);
            } else {
                self.next[member] = self.days[day];
                self.days[day] = member as u32;
            }
        }
    }

    pub(super) fn heap_size(&self) -> usize {
        heap(&self.days) + heap(&self.next) + heap(&self.moments)
    }

    fn day(&self, moment: u64) -> usize {
        moment as usize & (self.days.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn a_day_serves_this_round_and_keeps_the_later_ones() {
        let mut calendar = Calendar::default();
        calendar.clear(5);
        let moments = [3, 11, 3, 3 + (1 << 32), 4];
        for (member, moment) in moments.into_iter().enumerate() {
            calendar.enter(member, moment);
        }
        for now in [3, 4, 11, 3 + (1 << 32)] {
            let mut out = Vec::new();
            calendar.take(now, |member| moments[member] == now, |member| out.push(member));
            out.sort_unstable();
            let due: Vec<_> = (0..5).filter(|&member| moments[member] == now).collect();
            assert_eq!(out, due, "{now}");
        }
    }
}
