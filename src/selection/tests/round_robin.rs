use super::*;

/// [SELECT-1]
#[test]
fn goes_round_beginning_with_the_first() {
    let mut selector = selector(PolicyKind::RoundRobin, &members(&[0, 0, 0]));
    assert_eq!(picks(&mut selector, 7, all), [0, 1, 2, 0, 1, 2, 0]);
}

/// [SELECT-1] Goes on behind the member chosen last though the registrar turned the list.
#[test]
fn goes_on_after_a_refresh() {
    let mut list = members(&[0, 0, 0, 0]);
    let mut selector = selector(PolicyKind::RoundRobin, &list);
    assert_eq!(picks(&mut selector, 2, all), [0, 1]);
    list.rotate_left(1);
    selector.refresh(PolicyKind::RoundRobin, &list);
    assert_eq!(picks(&mut selector, 1, all), [1], "identifier 2");
    list.remove(1);
    selector.refresh(PolicyKind::RoundRobin, &list);
    assert_eq!(picks(&mut selector, 2, all), [1, 2], "2 is gone, and 3 had no turn yet");
}
