//! Unreachable elements: failure marks, and reports of them (RFC 5352 §3.5, §6.9.2; RFC 5355
//! §2.13).

mod lab;

use core::net::IpAddr;

use asap_pu::CommandError;
use asap_pu::wire::{Body, Message, PeIdentifier, Transport, TransportUse};
use lab::*;

/// [REPORT-1] [REPORT-2] [REPORT-3] [REPORT-5]: an element that was used and failed is reported
/// once, and passed over until its mark ends.
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

/// [REPORT-5]: when every element has failed, the one that failed the longest ago is tried rather
/// than none; those that the caller excluded never are.
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

/// [REPORT-2]: an event ends with the mark, and what happens later is another one.
#[test]
fn the_next_event_is_reported_again() {
    let (mut lab, home) = Lab::at_home();
    let pool = lab.pool(home, &[element(1)]);
    let one = PeIdentifier::new(1);
    assert_eq!(lab.choose(pool), [1]);
    for reports in [1, 0, 1] {
        lab.pu.report_unreachable(lab.now, pool, one).unwrap();
        assert_eq!(lab.controls().len(), reports);
        lab.secs(30);
    }
}

/// [REPORT-4]: an element that comes and goes is reported once in an interval, however often it was
/// reached in between.
#[test]
fn an_element_that_flaps_is_not_reported_each_time() {
    let (mut lab, home) = Lab::at_home();
    let pool = lab.pool(home, &[element(1)]);
    let one = PeIdentifier::new(1);
    lab.choose::<1>(pool);
    for _ in 0..100 {
        lab.pu.report_unreachable(lab.now, pool, one).unwrap();
        lab.pu.trust(pool, one);
        lab.now = lab.now + core::time::Duration::from_millis(100);
    }
    let stats = lab.pu.stats();
    assert_eq!((stats.failures, stats.reports_sent, stats.reports_dropped), (100, 10, 90));
}

/// [REPORT-1] [REPORT-4]: a report that found no registrar in a minute says nothing about the
/// present, and goes.
#[test]
fn reports_grow_old() {
    let (mut lab, home) = Lab::at_home();
    let pool = lab.pool(home, &[element(1)]);
    lab.choose::<1>(pool);
    lab.pu.handle_closed(lab.now, home, asap_pu::CloseReason::Failed);
    let began = lab.now;
    lab.pu.report_unreachable(lab.now, pool, PeIdentifier::new(1)).unwrap();
    while lab.pu.poll_timeout().is_some() {
        lab.wait();
        for action in lab.actions() {
            if let asap_pu::Action::Open { channel, .. } = action {
                lab.fail(channel);
            }
        }
    }
    assert_eq!(lab.now - began, secs(60), "and with it the hunt");
    assert_eq!((lab.pu.stats().reports_dropped, lab.pu.stats().reports_sent), (1, 0));
}

/// [REPORT-6]: a failure told by address is that of the element that is reached there; where there
/// is none or more than one, nothing is sent.
#[test]
fn a_failure_is_told_by_address() {
    let (mut lab, home) = Lab::at_home();
    let [one, two] = ["192.0.2.1", "192.0.2.2"].map(|at| at.parse::<IpAddr>().unwrap());
    let sctp = |addresses: &[IpAddr]| {
        Transport::sctp(7, TransportUse::DATA_ONLY, addresses.iter().copied())
    };
    let mut elements = [1, 2, 3, 3].map(element);
    elements[0].transport = sctp(&[one, two]);
    elements[3].identifier = PeIdentifier::new(4);
    let pool = lab.pool(home, &elements);
    lab.choose::<2>(pool);
    let mut fail = |transport| lab.pu.report_unreachable_at(lab.now, pool, &transport);
    assert_eq!(fail(sctp(&[two])), Ok(PeIdentifier::new(1)), "one of its addresses");
    assert_eq!(fail(Transport::tcp("192.0.2.2:7".parse().unwrap())), UNKNOWN, "no TCP there");
    assert_eq!(fail(Transport::tcp("10.0.0.2:8".parse().unwrap())), UNKNOWN, "another port");
    let ambiguous = Err(CommandError::AmbiguousAddress);
    assert_eq!(fail(element(3).transport), ambiguous, "two are reached there");
    assert_eq!(fail(element(2).transport), Ok(PeIdentifier::new(2)));
    let reported: Vec<_> = [1, 2].map(PeIdentifier::new).into();
    let reports = reported.into_iter().map(|id| (home, Message::endpoint_unreachable(POOL, id)));
    assert_eq!(lab.controls(), reports.collect::<Vec<_>>());
}

const UNKNOWN: Result<PeIdentifier, CommandError> = Err(CommandError::UnknownElement);

/// [REPORT-3] [REPORT-6]: hearsay about an element that was never used is not reported, by address
/// neither.
#[test]
fn hearsay_is_not_reported() {
    let (mut lab, home) = Lab::at_home();
    let pool = lab.pool(home, &[element(1)]);
    let told = lab.pu.report_unreachable_at(lab.now, pool, &element(1).transport);
    assert_eq!(told, Err(CommandError::NeverUsed));
    assert!(lab.actions().is_empty());
}

/// [REPORT-5]: where all have failed, those that failed longest ago come first, and one that fails
/// again is the last one from then on.
#[test]
fn those_that_failed_take_turns() {
    let (mut lab, home) = Lab::at_home();
    let pool = lab.pool(home, &three());
    let mut at = lab.pu.select(lab.now, pool, &[]).unwrap().identifier();
    let mut tried = Vec::new();
    for _ in 0..9 {
        at = lab.pu.fail_over(lab.now, pool, at).unwrap().identifier();
        tried.push(at.get());
    }
    assert_eq!(tried, [2, 3, 1, 2, 3, 1, 2, 3, 1]);
}
