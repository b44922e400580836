//! The policies that choose the best by a number.

use super::*;

/// [SELECT-4]
#[test]
fn priority_takes_the_highest_and_turns_among_equals() {
    let mut selector = selector(PolicyKind::Priority, &members(&[1, 9, 5, 9, 5]));
    assert_eq!(picks(&mut selector, 3, all), [1, 3, 1]);
    assert_eq!(picks(&mut selector, 3, |at| at == 3), [1, 1, 1]);
    assert_eq!(picks(&mut selector, 3, |at| at % 2 == 1), [2, 4, 2]);
    assert_eq!(picks(&mut selector, 2, all), [3, 1], "each group has its own turns");
}

/// [SELECT-5] The example of RFC 5356 §5.3.1: 50 % + 10 % comes before 50 % + 50 %.
#[test]
fn priority_least_used_looks_one_choice_ahead() {
    let percent = |n: u32| u32::MAX / 100 * n;
    let a = Member::new(1, percent(50)).with_degradation(percent(10));
    let b = Member::new(2, percent(50)).with_degradation(percent(50));
    assert_eq!(picks(&mut selector(PolicyKind::PriorityLeastUsed, &[b, a]), 3, all), [1, 1, 1]);
    // Beyond 100 % the sums do not wrap.
    let c = Member::new(3, percent(99)).with_degradation(u32::MAX);
    assert_eq!(picks(&mut selector(PolicyKind::PriorityLeastUsed, &[c, b]), 2, all), [1, 1]);
}

/// [SELECT-5] Loads 0 and 0x10, degradation 8, in the units that registrars use.
#[test]
fn degradation_counts_the_choices() {
    let unit = 0x0100_0000;
    let list = [0, 0x10].map(|load| Member::new(load, load * unit).with_degradation(8 * unit));
    let mut selector = selector(PolicyKind::LeastUsedDegradation, &list);
    assert_eq!(picks(&mut selector, 4, all), [0, 0, 1, 0]);
}

/// [SELECT-5] Sums go on beyond 100 %, and beyond 32 bits.
#[test]
fn degradation_does_not_wrap() {
    let list = [
        Member::new(1, 0).with_degradation(u32::MAX),
        Member::new(2, u32::MAX).with_degradation(u32::MAX),
        Member::new(3, u32::MAX).with_degradation(1),
    ];
    let mut selector = selector(PolicyKind::LeastUsedDegradation, &list);
    assert_eq!(picks(&mut selector, 6, all), [0, 1, 2, 0, 2, 2]);
}

/// [SELECT-5] Equal loads without degradation are plain round robin.
#[test]
fn equals_take_turns() {
    for policy in
        [PolicyKind::LeastUsed, PolicyKind::LeastUsedDegradation, PolicyKind::PriorityLeastUsed]
    {
        let mut selector = selector(policy, &members(&[5, 5, 9, 5]));
        assert_eq!(picks(&mut selector, 5, all), [0, 1, 3, 0, 1], "{policy:?}");
    }
}

/// [SELECT-5] [CACHE-5] A counter restarts when load or degradation changed, and only then.
#[test]
fn degradation_counters_survive_a_refresh() {
    let member = |id, load| Member::new(id, load).with_degradation(4);
    let mut selector = selector(PolicyKind::LeastUsedDegradation, &[member(1, 0), member(2, 6)]);
    assert_eq!(picks(&mut selector, 2, all), [0, 0]);
    // Sums are 8 and 6.
    selector.refresh(PolicyKind::LeastUsedDegradation, &[member(2, 6), member(3, 7), member(1, 0)]);
    assert_eq!(picks(&mut selector, 3, all), [0, 1, 2]);
    // Identifier 1 is updated and counts from 0 again.
    selector.refresh(PolicyKind::LeastUsedDegradation, &[member(2, 6), member(3, 7), member(1, 1)]);
    assert_eq!(picks(&mut selector, 3, all), [2, 2, 2]);
}
