//! Unreachable elements: failure marks, and reports of them (RFC 5352 §3.5, §6.9.2; RFC 5355 §2.13).

mod lab;

use asap_pu::CommandError;
use asap_pu::wire::{Body, Message, PeIdentifier};
use lab::*;

/// [REPORT-1] [REPORT-2] [REPORT-3] [REPORT-5]: an element that was used and failed is reported once, and passed over
/// until its mark ends.
#[test]
fn a_failed_element_is_reported_once_and_passed_over() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.answer(home, POOL, &[element(1), element(2), element(3)]);
    let (_, pool) = resolved(lab.event());
    let [one, two] = [1, 2].map(PeIdentifier::new);
    assert_eq!(lab.pu.report_unreachable(lab.now, pool, one), Err(CommandError::NeverUsed));
    assert_eq!(lab.pu.select(lab.now, pool, &[]).unwrap().identifier(), one);
    assert_eq!(lab.pu.fail_over(lab.now, pool, one).unwrap().identifier(), two);
    lab.pu.report_unreachable(lab.now, pool, one).unwrap();
    let sent = lab.controls();
    assert_eq!(sent, [(home, Message::endpoint_unreachable(POOL, one))]);

    let chosen = |lab: &mut Lab| lab.pu.select(lab.now, pool, &[]).unwrap().identifier().get();
    assert_eq!([(); 3].map(|()| chosen(&mut lab)), [3, 2, 3]);
    lab.secs(60);
    assert_eq!(chosen(&mut lab), 1, "its mark has ended");
}

/// [REPORT-5]: when every element has failed, the one that failed the longest ago is tried rather than none; those that
/// the caller excluded never are.
#[test]
fn when_all_have_failed_the_oldest_failure_is_tried() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.answer(home, POOL, &[element(1), element(2)]);
    let (_, pool) = resolved(lab.event());
    let [one, two] = [1, 2].map(PeIdentifier::new);
    for _ in 0..2 {
        lab.pu.select(lab.now, pool, &[]).unwrap();
    }
    lab.pu.report_unreachable(lab.now, pool, two).unwrap();
    lab.secs(1);
    lab.pu.report_unreachable(lab.now, pool, one).unwrap();
    assert_eq!(lab.pu.select(lab.now, pool, &[]).unwrap().identifier(), two);
    assert_eq!(lab.pu.select(lab.now, pool, &[two]).unwrap().identifier(), one);
    let none = lab.pu.select(lab.now, pool, &[one, two]);
    assert_eq!(none.map(|e| e.identifier()), Err(CommandError::NoElementLeft));
}

/// [REPORT-1] [REPORT-4]: reports wait for a home, are sent ten in a second, and are bounded.
#[test]
fn reports_wait_and_are_bounded() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    let elements: Vec<_> = (1..=100).map(element).collect();
    lab.answer(home, POOL, &elements);
    let (_, pool) = resolved(lab.event());
    lab.actions();
    lab.pu.handle_closed(lab.now, home, asap_pu::CloseReason::Failed);
    for id in (1..=100).map(PeIdentifier::new) {
        lab.pu.select(lab.now, pool, &[]).unwrap();
        lab.pu.report_unreachable(lab.now, pool, id).unwrap();
    }
    assert_eq!(lab.pu.stats().reports_dropped, 36, "64 are kept");
    let again = lab.open_one();
    lab.up(again.channel);
    let mut sent = Vec::new();
    for _ in 0..7 {
        let batch = lab.controls();
        assert!(batch.len() <= 10);
        sent.extend(batch.into_iter().map(|(_, message)| match message.body {
            Body::EndpointUnreachable { identifier, .. } => identifier.get(),
            other => panic!("{other:?}"),
        }));
        if sent.len() < 64 {
            assert!(lab.wait() <= secs(1));
        }
    }
    assert_eq!(sent, (1..=64).collect::<Vec<_>>());
    assert_eq!(lab.pu.poll_timeout(), None);
}
