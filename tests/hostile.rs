//! Registrars that mean harm, or do not know better: memory stays bounded, everything is counted,
//! and what was asked for is not lost (RFC 5355 §2.7, §2.12).

mod lab;

use core::net::{IpAddr, SocketAddr};

use allocation_counter::measure;
use asap_pu::wire::{
    Body, Cause, CauseCode, Message, OverallPolicy, PeIdentifier, Policy, PolicyType, Transport,
    TransportUse,
};
use asap_pu::{ChannelId, CloseReason, Event, RequestId};
use lab::*;

/// A request that waits for its answer.
fn waiting() -> (Lab, ChannelId, RequestId) {
    let (mut lab, home) = Lab::at_home();
    let request = lab.pu.resolve(lab.now, POOL).unwrap();
    assert_eq!(lab.requests().len(), 1);
    (lab, home, request)
}

/// The request is still answered, or asked again when its time comes.
fn goes_on(mut lab: Lab, home: ChannelId, request: RequestId) {
    assert_eq!(lab.events(), []);
    assert_eq!(lab.wait(), secs(15));
    assert_eq!(lab.requests(), [(home, POOL.into())]);
    lab.answer(home, POOL, &[element(1)]);
    assert_eq!(resolved(lab.event()).0, request);
}

/// [RES-7] [RES-10] [TLV-9]: answers that are cut, for others, or say nothing leave the request as
/// it was.
#[test]
fn nonsense_is_no_answer() {
    let (mut lab, home, request) = waiting();
    let whole = response(POOL, &[1, 2, 3].map(element)).to_bytes().unwrap();
    for len in 0..whole.len() {
        let mut cut = whole[..len].to_vec();
        lab.pu.handle_control(lab.now, home, &cut);
        if let [_, _, a, b, ..] = &mut cut[..] {
            [*a, *b] = u16::try_from(len).unwrap().to_be_bytes();
            // Cut behind its first element it would be a shorter list.
            if len < 48 {
                lab.pu.handle_control(lab.now, home, &cut);
            }
        }
    }
    for handle in ["EchoPoo", "EchoPool2", "", "\0EchoPool"] {
        lab.answer(home, handle, &[element(66)]);
    }
    lab.answer(home, &"x".repeat(33), &[element(66)]);
    assert!(lab.pu.stats().malformed >= whole.len() as u64);
    assert_eq!(lab.pu.stats().answers_unsolicited, 5);
    goes_on(lab, home, request);
}

/// [RES-10] [CORE-6]: a flood of lists that nobody asked for leaves no trace but a number.
#[test]
fn a_flood_of_lists_leaves_nothing() {
    let (mut lab, home, request) = waiting();
    for n in 0..10_000_u32 {
        let handle = format!("pool {n}");
        match n % 3 {
            0 => lab.answer(home, &handle, &[element(n)]),
            1 => lab.receive(home, &refusal(&handle, CauseCode::UNKNOWN_POOL_HANDLE)),
            _ => lab.receive(home, &error(CauseCode::UNRECOGNIZED_MESSAGE, &n.to_be_bytes())),
        }
    }
    assert_eq!((lab.pu.pools().count(), lab.pu.cache_bytes()), (0, 0));
    assert_eq!(lab.pu.stats().answers_unsolicited, 6_667);
    assert!(lab.actions().is_empty());
    goes_on(lab, home, request);
}

/// [CACHE-6] [SELECT-7]: identifier 0, repeated identifiers and values of another policy are taken
/// for what they are, and an answer without a policy is Round Robin; each of them ends the process
/// of the reference pool user.
#[test]
fn odd_elements_are_elements() {
    let (mut lab, home, _) = waiting();
    let mut elements = [0, 5, 5, 9].map(element);
    elements[3].policy = Policy::LeastUsedDegradation { load: 1, degradation: 2 };
    lab.receive(home, &Message::handle_resolution_response(POOL, None, elements.to_vec()));
    let (_, pool) = resolved(lab.event());
    assert_eq!(lab.choose(pool), [0, 5, 9, 0]);
    assert_eq!(lab.pu.pool(pool).unwrap().policy(), PolicyType::ROUND_ROBIN);
    assert_eq!(lab.pu.stats().elements_dropped, 1);
}

/// [SELECT-9] [CORE-5]: an element on a transport that the driver does not speak, of whatever kind,
/// is passed over.
#[test]
fn elements_on_other_transports_are_passed_over() {
    let (mut lab, home, _) = waiting();
    let at = "10.0.0.1:7".parse().unwrap();
    let mut elements = [1, 2, 3, 4, 5].map(element);
    let others = [
        Transport::opaque("bus"),
        Transport::udp(at),
        Transport::udp_lite(at),
        Transport::dccp(at, 7),
    ];
    for (element, other) in elements.iter_mut().zip(others) {
        element.transport = other;
    }
    lab.answer(home, POOL, &elements);
    let (_, pool) = resolved(lab.event());
    assert_eq!(lab.pu.pool(pool).unwrap().elements().len(), 5);
    assert_eq!(lab.choose(pool), [5, 5]);
}

/// [CACHE-6] [SELECT-2]: a list as large as a message can be, of weights as large as numbers can
/// be, stays within the limits.
#[test]
fn the_largest_list_is_bounded() {
    let (mut lab, home, _) = waiting();
    let elements = (0..1_480).map(|id| {
        let mut element = element(id);
        element.policy = Policy::WeightedRoundRobin { weight: u32::MAX - id };
        element
    });
    let policy = OverallPolicy::new(PolicyType::WEIGHTED_ROUND_ROBIN, Default::default());
    let message = Message::handle_resolution_response(POOL, Some(policy), elements.collect());
    assert!(message.to_bytes().unwrap().len() > 65_000);
    lab.receive(home, &message);
    let (_, pool) = resolved(lab.event());
    assert_eq!(lab.pu.pool(pool).unwrap().elements().len(), 1_024);
    assert_eq!(lab.pu.stats().elements_cut, 1_480 - 1_024);
    assert!(lab.pu.cache_bytes() < 128 * 1_024, "{}", lab.pu.cache_bytes());
    assert_eq!(lab.choose(pool), [0]);
}

/// [RES-6] [RES-7]: a refusal that lists elements too is a refusal; its causes arrive, whatever
/// they are.
#[test]
fn a_refusal_with_elements_is_a_refusal() {
    let (mut lab, home, request) = waiting();
    let causes =
        [0x0010, 0x1000, 0xf000].map(|code| Cause::new(CauseCode::new(code), [1][..].into()));
    let mut message = Message::handle_resolution_failure(POOL, causes.to_vec());
    if let Body::HandleResolutionResponse { elements, .. } = &mut message.body {
        elements.push(element(1));
    }
    lab.receive(home, &message);
    let (of, error) = failed(lab.event());
    let codes = causes.map(|cause| cause.code).to_vec();
    assert_eq!((of, error), (request, asap_pu::ResolveError::Rejected(codes)));
}

/// [RES-6] [CORE-6]: of a refusal with causes by the thousand each of those who wait keeps a few.
#[test]
fn a_refusal_with_thousands_of_causes_is_cut() {
    let (mut lab, home, _) = waiting();
    let waiters = 1 + (0..1_000).map(|_| lab.pu.resolve(lab.now, POOL).unwrap()).count();
    let cause = |code| Cause::new(CauseCode::new(code), Default::default());
    let causes = (0x100..0x3000).map(cause).collect();
    let message = Message::handle_resolution_failure(POOL, causes).to_bytes().unwrap();
    let used = measure(|| lab.pu.handle_control(lab.now, home, &message));
    assert!(used.bytes_current <= waiters as i64 * 256, "{} bytes", used.bytes_current);
    let first = lab.pu.poll_event().map(failed);
    let codes = (0x100..0x110).map(CauseCode::new).collect();
    assert_eq!(first.map(|(_, error)| error), Some(asap_pu::ResolveError::Rejected(codes)));
}

/// [CORE-6]: what is remembered of an element that failed does not depend on how many addresses it
/// claims to have.
#[test]
fn a_failure_mark_is_small() {
    let (mut lab, home) = Lab::at_home();
    let addresses = (0..8_000_u32).map(|n| IpAddr::from(n.to_be_bytes()));
    let mut large = element(1);
    large.transport = Transport::sctp(7, TransportUse::DATA_ONLY, addresses);
    let pool = lab.pool(home, &[large, element(2)]);
    assert_eq!(lab.choose(pool), [1, 2]);
    let used = measure(|| {
        for id in [1, 2].map(PeIdentifier::new) {
            lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id).unwrap();
        }
    });
    assert!(used.bytes_current <= 4_096, "{} bytes", used.bytes_current);
}

/// [HUNT-9] [CORE-6]: announces from anywhere, with any content, during a hunt and with a home.
#[test]
fn a_flood_of_announces_is_bounded() {
    let (mut lab, home, request) = waiting();
    for n in 0..10_000_u32 {
        let [_, b, c, d] = n.to_be_bytes();
        let at = SocketAddr::from(([10, b, c, d], 3863));
        announce(&mut lab, &at.to_string(), n, vec![Transport::tcp(at); 3]);
        lab.pu.handle_announce(lab.now, at, &n.to_be_bytes());
    }
    assert_eq!(lab.pu.registrars().iter().count(), 1 + 64);
    assert_eq!(lab.pu.stats().malformed + lab.pu.stats().unknown_messages, 10_000);
    lab.fail(home);
    assert_eq!(lab.opens().len(), 3);
    assert!(lab.events().iter().all(|event| matches!(event, Event::RegistrarLost)));
    let _ = request;
}

/// [HUNT-6] [RES-13]: a registrar that answers one request and closes, over and over, is reopened
/// once for each request and no more.
#[test]
fn a_registrar_that_closes_after_each_answer_serves() {
    let mut lab = Lab::knowing(&[REGISTRAR]);
    for n in 0..100 {
        let request = lab.pu.resolve(lab.now, format!("pool {n}").as_str()).unwrap();
        let open = lab.open_one();
        lab.up(open.channel);
        for (channel, handle) in lab.requests() {
            lab.answer(channel, &handle, &[element(1)]);
        }
        lab.pu.handle_closed(lab.now, open.channel, CloseReason::Closed);
        assert_eq!(lab.events().pop().map(resolved).unwrap().0, request);
    }
    assert_eq!(lab.pu.stats().hunt_attempts, 100);
}

/// [REPORT-5]: a registrar that lists a failed element again and again does not bring it back.
#[test]
fn a_failed_element_does_not_come_straight_back() {
    let mut config = config(&[REGISTRAR]);
    config.cache.stale_cache_value = secs(5);
    let (mut lab, home) = Lab::at_home_with(config);
    let pool = lab.pool(home, &[1, 2].map(element));
    let one = PeIdentifier::new(1);
    assert_eq!(lab.choose(pool), [1]);
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(one).unwrap();
    lab.actions();
    for _ in 0..11 {
        lab.secs(5);
        lab.pu.resolve(lab.now, POOL).unwrap();
        lab.answer(home, POOL, &[1, 2].map(element));
        assert_eq!(lab.choose(pool), [2, 2, 2]);
    }
    lab.secs(5);
    assert!(lab.choose::<2>(pool).contains(&1), "a minute later");
}

/// [TLV-21] [HUNT-6]: a home that breaks its byte stream is left, and has no precedence when one is needed again.
#[test]
fn a_broken_stream_is_left() {
    let mut lab = Lab::knowing(&FIVE);
    lab.pu.registrars_mut(lab.now).find_home();
    let home = lab.opens().remove(0);
    lab.up(home.channel);
    lab.actions();
    lab.pu.handle_stream(lab.now, home.channel, &[0x06, 0, 0, 3]);
    assert_eq!((lab.actions().len(), lab.pu.stats().broken_streams), (1, 1));
    lab.pu.resolve(lab.now, POOL).unwrap();
    let next = lab.opens();
    assert_eq!(next.len(), 3);
    assert!(next.iter().all(|open| open.to != home.to));
}

/// [HUNT-9] [HUNT-5]: whoever floods the list with announces, ever new ones, at whatever size of the
/// table, does not keep the configured registrars from being tried: one that works is found within a
/// request although four others are silent, and at once where it is the only one.
#[test]
fn a_flood_of_announces_hides_no_configured_registrar() {
    for max_announced in [1, 64, 10_000] {
        for silent in [0, 4] {
            let mut config = config(&FIVE[..=silent]);
            config.limits.max_announced = max_announced;
            let mut lab = Lab::new(config);
            let works: SocketAddr = FIVE[silent].parse().unwrap();
            let mut spoofed = 0_u32;
            let mut flood = |lab: &mut Lab, n: usize| {
                for _ in 0..n {
                    spoofed += 1;
                    let [_, b, c, d] = spoofed.to_be_bytes();
                    let at = SocketAddr::from(([10, b, c, d], 3863));
                    announce(lab, &at.to_string(), spoofed, vec![Transport::tcp(at)]);
                }
            };
            flood(&mut lab, 2 * max_announced);
            assert_eq!(lab.pu.registrars().iter().count(), silent + 1 + max_announced);
            lab.pu.resolve(lab.now, POOL).unwrap();
            let began = lab.now;
            'found: loop {
                for open in opens_among(&lab.actions()) {
                    if open.to == works {
                        lab.up(open.channel);
                        break 'found;
                    }
                }
                assert!(lab.pu.channel_count() <= 3);
                lab.now += core::time::Duration::from_secs(1);
                lab.pu.handle_timeout(lab.now);
                flood(&mut lab, 20);
            }
            let worst = if silent == 0 { 0 } else { 31 };
            assert!(lab.now - began <= secs(worst), "{:?} with {max_announced}", lab.now - began);
        }
    }
}

/// [HUNT-9]: nor do silent configured ones keep an announced one that works from being tried.
#[test]
fn silent_configured_registrars_hide_no_announced_one() {
    let mut lab = Lab::knowing(&FIVE);
    let works: SocketAddr = "10.0.0.1:3863".parse().unwrap();
    announce(&mut lab, "10.0.0.1:3863", 7, vec![Transport::tcp(works)]);
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert!(lab.opens().iter().any(|open| open.to == works));
}

/// [HUNT-6] [RES-16]: a registrar that answers and refuses in turn is kept, and costs one channel.
#[test]
fn a_registrar_that_refuses_every_other_time_is_kept() {
    let mut lab = Lab::knowing(&FIVE);
    lab.pu.resolve(lab.now, "first").unwrap();
    let home = lab.opens().remove(0).channel;
    lab.up(home);
    lab.actions();
    lab.answer(home, "first", &three());
    lab.events();
    for n in 0..100 {
        lab.secs(31);
        lab.pu.resolve(lab.now, POOL).unwrap();
        assert_eq!(lab.requests(), [(home, POOL.into())]);
        match n % 3 {
            0 => lab.answer(home, POOL, &three()),
            _ => lab.receive(home, &refusal(POOL, CauseCode::LACK_OF_RESOURCES)),
        }
        lab.events();
    }
    assert_eq!((lab.pu.stats().homes_found, lab.pu.channel_count()), (1, 1));
}

/// [CACHE-5] [CORE-6]: a registrar that alternates between two lists makes nothing grow, and what is chosen
/// is always of the latest one.
#[test]
fn a_registrar_that_alternates_between_two_lists() {
    let (mut lab, home) = Lab::at_home();
    let lists = [[1, 2, 3].map(element), [4, 5, 6].map(element)];
    lab.pu.subscribe(lab.now, POOL).unwrap();
    lab.requests();
    lab.answer(home, POOL, &lists[0]);
    let mut bytes = Vec::new();
    for n in 1..500 {
        lab.wait();
        assert_eq!(lab.requests(), [(home, POOL.into())]);
        lab.answer(home, POOL, &lists[n % 2]);
        let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
        let [chosen] = lab.choose::<1>(pool);
        assert!(lists[n % 2].iter().any(|element| element.identifier == id(chosen)));
        let _ = lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(chosen));
        lab.actions();
        bytes.push(lab.pu.cache_bytes());
    }
    let (early, late) = (&bytes[..50], &bytes[50..]);
    assert!(late.iter().max() <= early.iter().max(), "{bytes:?}");
    assert_eq!(lab.events().len(), 1, "what changed in all");
}
