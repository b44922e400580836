//! Resolving pool handles: requests, T1, answers, the cache and the choice (RFC 5352 §3.3, §3.5, §3.7.2).

mod lab;

use core::time::Duration;

use asap_pu::wire::{
    Body, CauseCode, Message, OverallPolicy, PeIdentifier, Policy, PolicyType, PoolElement,
    Transport,
};
use asap_pu::{Action, CommandError, Event, PoolId, RequestId, ResolveError, StaleAnswers};
use lab::*;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn resolved(event: Event) -> (RequestId, PoolId) {
    match event {
        Event::Resolved { request, pool, .. } => (request, pool),
        other => panic!("{other:?}"),
    }
}

fn failed(event: Event) -> (RequestId, ResolveError) {
    match event {
        Event::ResolutionFailed { request, error, .. } => (request, error),
        other => panic!("{other:?}"),
    }
}

/// [RES-1] [RES-12] [HUNT-2]: with no home the hunt comes first; then the request goes out, asking for 128 elements.
#[test]
fn the_first_resolution_hunts_asks_and_answers() {
    let mut lab = Lab::knowing(&[REGISTRAR]);
    let request = lab.pu.resolve(lab.now, POOL).unwrap();
    let registrar = lab.open_one();
    lab.up(registrar.channel);
    let expected = Message::handle_resolution(false, POOL, Some(128));
    assert_eq!(lab.controls(), [(registrar.channel, expected)]);
    assert_eq!(lab.pu.poll_timeout(), Some(lab.now + secs(15)), "T1 [RES-2]");

    lab.answer(registrar.channel, POOL, &[element(1), element(2)]);
    let events = lab.events();
    let (of, pool) = resolved(events[1].clone());
    assert_eq!((events.len(), of), (2, request));
    assert_eq!(lab.pu.poll_timeout(), None, "T1 stopped [RES-2]");
    let listed: Vec<_> =
        lab.pu.pool(pool).unwrap().elements().map(|e| e.identifier().get()).collect();
    assert_eq!(listed, [1, 2]);
    assert_eq!(lab.pu.find_pool(POOL.as_bytes()), Some(pool));
}

/// [RES-3]: T1 15 s, the request again, after two repetitions every waiter is told once.
#[test]
fn a_silent_home_fails_a_request_after_45_seconds() {
    let (mut lab, home) = Lab::at_home();
    let requests = [POOL; 2].map(|handle| lab.pu.resolve(lab.now, handle).unwrap());
    assert_eq!(lab.requests().len(), 1, "one message for both [RES-9]");
    let began = lab.now;
    for sent_at in [15, 30] {
        assert!(lab.actions().is_empty() && lab.events().is_empty());
        lab.wait_until(began + secs(sent_at));
        assert_eq!(lab.requests(), [(home, POOL.into())]);
    }
    assert!(lab.events().is_empty());
    lab.wait_until(began + secs(45));
    assert!(lab.actions().is_empty());
    let told: Vec<_> = lab.events().into_iter().map(failed).collect();
    assert_eq!(told, requests.map(|request| (request, ResolveError::NotAnswered)));
    assert_eq!(lab.pu.poll_timeout(), None);
}

/// [RES-4]: after T1 the hunt goes on beside the home; an alternate that comes up is adopted and asked.
#[test]
fn an_alternate_takes_over_from_a_silent_home() {
    let mut lab = Lab::knowing(&["192.0.2.1:3863", "192.0.2.2:3863"]);
    lab.pu.start(lab.now);
    let tried = lab.opens();
    lab.up(tried[0].channel);
    lab.actions();
    lab.events();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.wait();
    let mut actions = lab.actions();
    let alternate = opened(actions.remove(1));
    assert_eq!(control(actions.remove(0)).0, tried[0].channel, "again at the home");
    assert_eq!(alternate.to, tried[1].to);
    lab.up(alternate.channel);
    let actions = lab.actions();
    assert!(matches!(actions[0], Action::Close { channel, .. } if channel == tried[0].channel));
    assert_eq!(control(actions[1].clone()).0, alternate.channel);
    lab.answer(alternate.channel, POOL, &[element(1)]);
    assert!(matches!(lab.events()[..], [Event::RegistrarFound { .. }, Event::Resolved { .. }]));
}

/// [RES-4]: if the doubted home answers meanwhile, the hunt ends.
#[test]
fn a_late_answer_ends_the_hunt() {
    let mut lab = Lab::knowing(&["192.0.2.1:3863", "192.0.2.2:3863"]);
    lab.pu.start(lab.now);
    let home = lab.opens()[0].clone();
    lab.up(home.channel);
    lab.actions();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.wait();
    let alternate = opened(lab.actions().remove(1));
    lab.answer(home.channel, POOL, &[element(1)]);
    let actions = lab.actions();
    assert!(matches!(actions[..], [Action::Close { channel, .. }] if channel == alternate.channel));
    assert_eq!(lab.pu.poll_timeout(), None);
}

/// [RES-13]: a request that reaches nobody ends at its deadline, and says so.
#[test]
fn a_request_ends_although_nobody_can_be_reached() {
    let mut lab = Lab::knowing(&[REGISTRAR]);
    let request = lab.pu.resolve(lab.now, POOL).unwrap();
    let began = lab.now;
    loop {
        for open in lab.actions() {
            if let Action::Open { channel, .. } = open {
                lab.fail(channel);
            }
        }
        lab.wait();
        if let Some(event) = lab.pu.poll_event() {
            assert_eq!(failed(event), (request, ResolveError::NoRegistrarReachable));
            break;
        }
    }
    assert_eq!(lab.now - began, secs(60));
    assert_eq!(lab.pu.poll_timeout(), None, "nobody waits, so nothing is hunted");
}

/// [RES-6]: refusals reach the user by name.
#[test]
fn refusals_are_told_by_name() {
    let (mut lab, home) = Lab::at_home();
    for (code, error) in [
        (CauseCode::UNKNOWN_POOL_HANDLE, ResolveError::UnknownPoolHandle),
        (CauseCode::LACK_OF_RESOURCES, ResolveError::Rejected(vec![CauseCode::LACK_OF_RESOURCES])),
    ] {
        let request = lab.pu.resolve(lab.now, "nowhere").unwrap();
        lab.actions();
        lab.receive(home, &refusal("nowhere", code));
        assert_eq!(failed(lab.event()), (request, error));
        lab.secs(1);
    }
}

/// [RES-8]: the policy is the response's own; without one it is Round Robin, whatever the elements say.
#[test]
fn the_policy_is_the_pools_own() {
    let (mut lab, home) = Lab::at_home();
    let weighted = |id: u32, weight| {
        let at = format!("10.0.0.{id}:7").parse().unwrap();
        PoolElement::new(
            PeIdentifier::new(id),
            Transport::tcp(at),
            Policy::WeightedRandom { weight },
        )
    };
    let elements = vec![weighted(1, 1), weighted(2, 0), weighted(3, 1)];
    lab.pu.resolve(lab.now, "rr").unwrap();
    lab.pu.resolve(lab.now, "wrand").unwrap();
    lab.receive(home, &Message::handle_resolution_response("rr", None, elements.clone()));
    let policy = OverallPolicy::new(PolicyType::WEIGHTED_RANDOM, Default::default());
    lab.receive(home, &Message::handle_resolution_response("wrand", Some(policy), elements));
    let [rr, wrand] = ["rr", "wrand"].map(|handle| lab.pu.find_pool(handle.as_bytes()).unwrap());
    assert_eq!(lab.pu.pool(rr).unwrap().policy(), PolicyType::ROUND_ROBIN);
    let mut choose = |pool| {
        let chosen = |_| lab.pu.select(lab.now, pool, &[]).unwrap().identifier().get();
        (0..300).map(chosen).collect::<Vec<_>>()
    };
    assert_eq!(choose(rr)[..4], [1, 2, 3, 1]);
    let drawn = choose(wrand);
    assert!(drawn.iter().all(|id| *id != 2), "weight 0 [SELECT-3]");
    let ones = drawn.iter().filter(|id| **id == 1).count();
    assert!((110..190).contains(&ones), "{ones} of 300");
    assert_eq!(lab.pu.stats().elements_revalued, 3);
}

/// [RES-10]: what nobody asked for changes nothing.
#[test]
fn unsolicited_answers_change_nothing() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.answer(home, "another", &[element(1)]);
    assert_eq!((lab.pu.stats().answers_unsolicited, lab.pu.find_pool(b"another")), (1, None));
    lab.answer(home, POOL, &[element(1)]);
    lab.answer(home, POOL, &[element(2)]);
    assert_eq!(lab.pu.stats().answers_unsolicited, 2);
    let (_, pool) = resolved(lab.event());
    assert!(lab.pu.pool(pool).unwrap().element(PeIdentifier::new(2)).is_none());
}

/// [RES-7]: an answer with neither element nor error is none; T1 goes on.
#[test]
fn an_empty_answer_is_no_answer() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    let empty =
        [0x06, 0, 0, 0x10, 0, 0x09, 0, 0x0c, b'E', b'c', b'h', b'o', b'P', b'o', b'o', b'l'];
    lab.pu.handle_control(lab.now, home, &empty);
    let nowhere =
        PoolElement::new(PeIdentifier::new(1), Transport::opaque(vec![]), Policy::RoundRobin);
    lab.answer(home, POOL, &[nowhere]);
    assert_eq!((lab.pu.stats().malformed, lab.pu.stats().answers_useless), (1, 1));
    assert!(lab.events().is_empty());
    assert_eq!(lab.wait(), secs(15));
    assert_eq!(lab.requests(), [(home, POOL.into())]);
}

/// [CACHE-1] [CACHE-2]: a fresh pool is served without a message; a stale one is served and refreshed [CACHE-3].
#[test]
fn the_cache_is_asked_first() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.answer(home, POOL, &[element(1)]);
    let (_, pool) = resolved(lab.event());
    lab.secs(29);
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert!(matches!(lab.event(), Event::Resolved { pool: of, stale: false, .. } if of == pool));
    assert!(lab.actions().is_empty());
    lab.secs(1);
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert!(matches!(lab.event(), Event::Resolved { pool: of, stale: true, .. } if of == pool));
    assert_eq!(lab.requests(), [(home, POOL.into())]);
    lab.answer(home, POOL, &[element(1), element(2)]);
    assert!(lab.events().is_empty(), "nobody waited");
    assert_eq!(lab.pu.pool(pool).unwrap().elements().len(), 2);
    let stats = lab.pu.stats();
    assert_eq!((stats.cache_misses, stats.cache_hits, stats.cache_stale), (1, 1, 1));
}

/// [CACHE-3]: by configuration a stale pool is held back until it is refreshed.
#[test]
fn a_stale_pool_can_be_held_back() {
    let mut config = config(&[REGISTRAR]);
    config.stale_answers = StaleAnswers::Withheld;
    config.stale_cache_value = Duration::ZERO;
    let (mut lab, home) = Lab::at_home_with(config);
    for _ in 0..2 {
        lab.pu.resolve(lab.now, POOL).unwrap();
        assert_eq!(lab.requests().len(), 1);
        assert!(lab.events().is_empty());
        lab.answer(home, POOL, &[element(1)]);
        assert!(matches!(lab.event(), Event::Resolved { stale: false, .. }));
        lab.secs(1);
    }
}

/// [CACHE-6]: the pool used the longest ago makes room; a pool with a session never does.
#[test]
fn the_cache_is_bounded() {
    let mut config = config(&[REGISTRAR]);
    config.max_pools = 3;
    let (mut lab, home) = Lab::at_home_with(config);
    lab.pu.open_session(lab.now, "pinned", Default::default()).unwrap();
    let store = |lab: &mut Lab, handle: &str| {
        if handle != "pinned" {
            lab.pu.resolve(lab.now, handle).unwrap();
        }
        lab.answer(home, handle, &[element(1)]);
        lab.pu.find_pool(handle.as_bytes()).unwrap()
    };
    lab.actions();
    store(&mut lab, "pinned");
    let a = store(&mut lab, "a");
    store(&mut lab, "b");
    lab.pu.select(lab.now, a, &[]).unwrap();
    store(&mut lab, "c");
    let kept =
        ["pinned", "a", "b", "c"].map(|handle| lab.pu.find_pool(handle.as_bytes()).is_some());
    assert_eq!(kept, [true, true, false, true]);
    assert_eq!(lab.pu.stats().cache_evicted, 1);
}

/// [CACHE-6]: elements beyond the limit are left out, the first ones count; repeated identifiers likewise.
#[test]
fn a_pool_is_bounded() {
    let mut config = config(&[REGISTRAR]);
    config.max_elements = 4;
    let (mut lab, home) = Lab::at_home_with(config);
    lab.pu.resolve(lab.now, POOL).unwrap();
    let ids = [5, 0, 5, 3, 9, 7, 8];
    let mut elements = ids.map(element).to_vec();
    elements[2].transport = Transport::tcp("10.9.9.9:7".parse().unwrap());
    lab.answer(home, POOL, &elements);
    let (_, pool) = resolved(lab.event());
    let found: Vec<_> = (lab.pu.pool(pool).unwrap().elements())
        .map(|e| (e.identifier().get(), e.transport().addresses().next().unwrap().to_string()))
        .collect();
    assert_eq!(found, [(5, "10.0.0.5".into()), (0, "10.0.0.0".into()), (3, "10.0.0.3".into())]);
    assert_eq!((lab.pu.stats().elements_dropped, lab.pu.stats().elements_cut), (1, 3));
    let chosen: Vec<_> =
        (0..4).map(|_| lab.pu.select(lab.now, pool, &[]).unwrap().identifier().get()).collect();
    assert_eq!(chosen, [5, 0, 3, 5]);
}

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

/// [TLV-15]: a handle that is empty or too long is refused to the caller; a cancelled request is not told.
#[test]
fn handles_are_checked_and_requests_can_be_cancelled() {
    let (mut lab, home) = Lab::at_home();
    assert_eq!(lab.pu.resolve(lab.now, ""), Err(CommandError::EmptyHandle));
    let long = [b'x'; 33];
    let error = CommandError::HandleTooLong { len: 33, max: 32 };
    assert_eq!(lab.pu.resolve(lab.now, &long[..]), Err(error));
    let request = lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    assert_eq!(lab.pu.cancel(lab.now, request), Ok(()));
    assert_eq!(lab.pu.cancel(lab.now, request), Err(CommandError::UnknownRequest));
    lab.answer(home, POOL, &[element(1)]);
    assert_eq!((lab.events(), lab.pu.stats().answers_unsolicited), (vec![], 1));
    assert_eq!(lab.pu.poll_timeout(), None);
}

/// [RES-9]: ten thousand waiters cause one message, and each gets its answer.
#[test]
fn many_waiters_cause_one_message() {
    let (mut lab, home) = Lab::at_home();
    let requests: Vec<_> = (0..10_000).map(|_| lab.pu.resolve(lab.now, POOL).unwrap()).collect();
    assert_eq!(lab.requests().len(), 1);
    lab.answer(home, POOL, &[element(1)]);
    let told: Vec<_> = lab.events().into_iter().map(|event| resolved(event).0).collect();
    assert_eq!(told, requests);
}
