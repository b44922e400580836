//! Unreachable elements: failure marks, and reports of them (RFC 5352 §3.5, §6.9.2; RFC 5355
//! §2.13).

mod lab;

use core::net::IpAddr;

use asap_pu::wire::{Body, Message, PeIdentifier, Transport, TransportUse};
use asap_pu::{
    Action, ChannelId, CloseReason, CommandError, Event, Payload, PeerKind, SessionOptions,
};
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
    assert_eq!(
        lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(one),
        Err(CommandError::NeverUsed)
    );
    assert_eq!(lab.pu.pool_mut(lab.now, pool).unwrap().select(&[]).unwrap().identifier(), one);
    assert_eq!(lab.pu.pool_mut(lab.now, pool).unwrap().fail_over(one).unwrap().identifier(), two);
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(one).unwrap();
    let sent = lab.controls();
    assert_eq!(sent, [(home, Message::endpoint_unreachable(POOL, one))]);

    let chosen = |lab: &mut Lab| {
        lab.pu.pool_mut(lab.now, pool).unwrap().select(&[]).unwrap().identifier().get()
    };
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
        lab.pu.pool_mut(lab.now, pool).unwrap().select(&[]).unwrap();
    }
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(two).unwrap();
    lab.secs(1);
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(one).unwrap();
    assert_eq!(lab.pu.pool_mut(lab.now, pool).unwrap().select(&[]).unwrap().identifier(), two);
    assert_eq!(lab.pu.pool_mut(lab.now, pool).unwrap().select(&[two]).unwrap().identifier(), one);
    let none = lab.pu.pool_mut(lab.now, pool).unwrap().select(&[one, two]);
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
    lab.pu.handle_closed(lab.now, home, CloseReason::Failed);
    for id in (1..=100).map(PeIdentifier::new) {
        lab.pu.pool_mut(lab.now, pool).unwrap().select(&[]).unwrap();
        lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id).unwrap();
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
        lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(one).unwrap();
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
        lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(one).unwrap();
        lab.actions();
        lab.pu.pool_mut(lab.now, pool).unwrap().clear_failure(one);
        lab.now += core::time::Duration::from_millis(100);
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
    lab.pu.handle_closed(lab.now, home, CloseReason::Failed);
    let began = lab.now;
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(PeIdentifier::new(1)).unwrap();
    while lab.pu.poll_timeout().is_some() {
        lab.wait();
        for action in lab.actions() {
            if let Action::Open { channel, .. } = action {
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
    let mut fail =
        |transport| lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable_at(&transport);
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
    let told = lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable_at(&element(1).transport);
    assert_eq!(told, Err(CommandError::NeverUsed));
    assert!(lab.actions().is_empty());
}

/// [REPORT-5]: where all have failed, those that failed longest ago come first, and one that fails
/// again is the last one from then on.
#[test]
fn those_that_failed_take_turns() {
    let (mut lab, home) = Lab::at_home();
    let pool = lab.pool(home, &three());
    let mut at = lab.pu.pool_mut(lab.now, pool).unwrap().select(&[]).unwrap().identifier();
    let mut tried = Vec::new();
    for _ in 0..9 {
        at = lab.pu.pool_mut(lab.now, pool).unwrap().fail_over(at).unwrap().identifier();
        tried.push(at.get());
    }
    assert_eq!(tried, [2, 3, 1, 2, 3, 1, 2, 3, 1]);
}

/// The elements that reports among `actions` are about.
fn reported(actions: &[Action]) -> Vec<u32> {
    let reports = actions.iter().filter_map(|action| match action {
        Action::Send { payload: Payload::Control(bytes), .. } => {
            match Message::decode(bytes).unwrap().body {
                Body::EndpointUnreachable { identifier, .. } => Some(identifier.get()),
                _ => None,
            }
        }
        _ => None,
    });
    reports.collect()
}

/// What is reported while every channel that is asked for comes up at once.
fn reported_to_anyone(lab: &mut Lab) -> Vec<u32> {
    let mut all = Vec::new();
    while let actions @ [_, ..] = &lab.actions()[..] {
        all.extend(reported(actions));
        opens_among(actions).iter().for_each(|open| lab.up(open.channel));
    }
    all
}

/// [REPORT-8]: a report that the driver has not fetched when its home is lost goes to the next one.
#[test]
fn a_report_survives_its_home() {
    let (mut lab, home) = Lab::at_home();
    let pool = lab.pool(home, &three());
    lab.choose::<1>(pool);
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(1)).unwrap();
    lab.fail(home);
    assert_eq!(lab.pu.stats().reports_sent, 0);
    assert_eq!(reported_to_anyone(&mut lab), [1]);
    assert_eq!((lab.pu.stats().reports_sent, lab.pu.stats().reports_repeated), (1, 0));
}

/// [REPORT-8]: one that left within two seconds before its home was lost may not have arrived, and is
/// sent again, once; an older one is not.
#[test]
fn a_report_that_may_be_lost_is_sent_again_once() {
    for (after, again) in [(2, true), (3, false)] {
        let (mut lab, home) = Lab::at_home();
        let pool = lab.pool(home, &three());
        lab.choose::<2>(pool);
        for element in [1, 2] {
            lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(element)).unwrap();
        }
        assert_eq!(reported(&lab.actions()), [1, 2]);
        lab.secs(after);
        lab.fail(home);
        let expected: &[u32] = if again { &[1, 2] } else { &[] };
        assert_eq!(reported_to_anyone(&mut lab), expected);
        assert_eq!(lab.pu.stats().reports_sent, 2, "each counts once");
        assert_eq!(lab.pu.stats().reports_repeated, expected.len() as u64);
        if again {
            let home = home_of(&mut lab);
            lab.fail(home);
            assert_eq!(reported_to_anyone(&mut lab), [0; 0], "not a third time");
        }
    }
}

/// The channel to the home, from a request that goes there.
fn home_of(lab: &mut Lab) -> ChannelId {
    lab.pu.resolve(lab.now, "which").unwrap();
    lab.requests()[0].0
}

/// [REPORT-8]: the driver gives a report back, and another registrar gets it; given back once more, it
/// is dropped.
#[test]
fn a_report_that_comes_back_goes_to_another_registrar() {
    let mut lab = Lab::knowing(&FIVE[..3]);
    lab.pu.resolve(lab.now, POOL).unwrap();
    let mut home = lab.opens().remove(0);
    lab.up(home.channel);
    lab.actions();
    lab.answer(home.channel, POOL, &three());
    let pool = lab.events().into_iter().find_map(|event| match event {
        Event::Resolved { pool, .. } => Some(pool),
        _ => None,
    });
    let pool = pool.unwrap();
    lab.choose::<2>(pool);
    for element in [2, 1] {
        lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(element)).unwrap();
    }
    let report = Message::endpoint_unreachable(POOL, id(1));
    for time in [1, 2] {
        assert_eq!(lab.controls().pop(), Some((home.channel, report.clone())), "time {time}");
        // So late that what left with it is taken for sent.
        lab.secs(3);
        lab.pu.handle_control_unsent(lab.now, home.channel, &report.to_bytes().unwrap());
        let actions = lab.actions();
        assert!(matches!(actions[0], Action::Close { channel, .. } if channel == home.channel));
        let next = opens_among(&actions);
        if time == 1 {
            assert_eq!(next.len(), 3, "the former home is the last one: {next:?}");
            assert_eq!(next[2].to, home.to);
            home = next[0].clone();
            lab.up(home.channel);
            let closed = [lab.pu.poll_action(), lab.pu.poll_action()];
            assert!(closed.iter().all(|a| matches!(a, Some(Action::Close { .. }))));
        }
    }
    let stats = lab.pu.stats();
    assert_eq!((stats.reports_sent, stats.reports_repeated, stats.control_unsent), (2, 1, 2));
}

/// [REPORT-8] [RES-5]: a request that the driver gives back goes to another registrar at once.
#[test]
fn a_request_that_comes_back_goes_to_another_registrar() {
    let mut lab = Lab::knowing(&FIVE[..2]);
    lab.pu.resolve(lab.now, POOL).unwrap();
    let [first, second] = lab.opens().try_into().unwrap();
    lab.up(first.channel);
    let sent = lab.actions().into_iter().filter(|a| matches!(a, Action::Send { .. }));
    let [(_, request)] = sent.map(control).collect::<Vec<_>>().try_into().unwrap();
    lab.pu.handle_control_unsent(lab.now, first.channel, &request.to_bytes().unwrap());
    let next = opens_among(&lab.actions()).remove(0);
    assert_eq!(next.to, second.to);
    lab.up(next.channel);
    let sent = lab.actions().into_iter().filter(|a| matches!(a, Action::Send { .. }));
    assert_eq!(sent.map(control).collect::<Vec<_>>(), [(next.channel, request)]);
}

/// [REPORT-8]: what a driver gives back may be anything, of any channel.
#[test]
fn nonsense_that_comes_back_is_counted() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.handle_control_unsent(lab.now, home, b"");
    assert!(matches!(lab.actions()[..], [Action::Close { channel, .. }] if channel == home));
    lab.pu.handle_control_unsent(lab.now, home, b"nonsense");
    assert_eq!((lab.pu.stats().control_unsent, lab.pu.stats().unknown_channels), (1, 1));
}

/// [REPORT-8]: an element that is trusted, or reached again, before its report could leave was never
/// reported; when it fails anew, that is news.
#[test]
fn a_report_that_is_out_of_date_is_withdrawn() {
    let (mut lab, home) = Lab::at_home();
    let pool = lab.pool(home, &three());
    lab.choose::<2>(pool);
    lab.fail(home);
    for element in [1, 2] {
        lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(element)).unwrap();
    }
    lab.pu.pool_mut(lab.now, pool).unwrap().clear_failure(id(2));
    assert_eq!(reported_to_anyone(&mut lab), [1]);
    assert_eq!(lab.pu.stats().reports_withdrawn, 1);
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(2)).unwrap();
    assert_eq!(reported_to_anyone(&mut lab), [2]);
}

/// [REPORT-8]: a pool user whose own network was away says nothing of an element that it reaches again
/// before its registrar.
#[test]
fn an_outage_of_ones_own_is_not_reported() {
    let (mut lab, home, session, one) =
        Lab::in_session(config(&[REGISTRAR]), SessionOptions::default(), &[element(1)]);
    lab.pu.handle_data(lab.now, one.channel, b"hello");
    lab.fail(home);
    lab.fail(one.channel);
    let began = lab.now;
    while lab.pu.session(session).and_then(|session| session.element()).is_none() {
        for action in lab.actions() {
            match action {
                Action::Open { channel, peer: PeerKind::Element, .. }
                    if lab.now - began >= secs(20) =>
                {
                    lab.up(channel);
                    lab.pu.handle_data(lab.now, channel, b"hello again");
                }
                action => assert_eq!(reported(&[action]), [0; 0]),
            }
        }
        lab.events();
        if lab.pu.session(session).and_then(|session| session.element()).is_none() {
            lab.wait();
        }
    }
    let mut registrar = None;
    while registrar.is_none() {
        lab.wait();
        registrar = opens_among(&lab.actions()).pop();
        if lab.pu.poll_timeout().is_none() {
            break;
        }
    }
    if let Some(registrar) = registrar {
        lab.up(registrar.channel);
    }
    assert_eq!(reported_to_anyone(&mut lab), [0; 0]);
    assert_eq!((lab.pu.stats().reports_sent, lab.pu.stats().reports_withdrawn), (0, 1));
}

/// [REPORT-3] [CACHE-5]: a refresh does not forget that an element was handed out.
#[test]
fn a_used_element_can_be_reported_after_a_refresh() {
    let (mut lab, home) = Lab::at_home();
    let pool = lab.pool(home, &three());
    let [one] = lab.choose::<1>(pool);
    lab.secs(31);
    lab.pu.refresh(lab.now, POOL).unwrap();
    assert_eq!(lab.requests().len(), 1);
    lab.answer(home, POOL, &[3, 1, 2].map(element));
    assert_eq!(lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(one)), Ok(()));
    let never = lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(2));
    assert_eq!(never, Err(CommandError::NeverUsed));
}
