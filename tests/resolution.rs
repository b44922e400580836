//! Resolving pool handles: requests, T1, answers and errors (RFC 5352 §3.3, §3.7.2).

mod lab;

use asap_pu::wire::{
    Cause, CauseCode, Message, OverallPolicy, PeIdentifier, Policy, PolicyType, PoolElement,
    Transport,
};
use asap_pu::{Action, CloseReason, CommandError, Event, HomeSearch, ResolveError, TimerKind};
use lab::*;

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

/// [RES-3] [RES-16]: T1 15 s, the request again, after two repetitions every waiter is told once, and
/// the home is left.
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
    assert!(matches!(lab.actions()[..], [Action::Close { channel, .. }] if channel == home));
    let told: Vec<_> = lab.events().into_iter().map(failed).collect();
    assert_eq!(told, requests.map(|request| (request, ResolveError::NotAnswered)));
    assert_eq!(lab.pu.poll_timeout(), None);
}

/// [RES-4]: after T1 the hunt goes on beside the home; an alternate that comes up is adopted and asked.
#[test]
fn an_alternate_takes_over_from_a_silent_home() {
    let mut lab = Lab::knowing(&["192.0.2.1:3863", "192.0.2.2:3863"]);
    lab.pu.registrars_mut(lab.now).find_home();
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
    lab.pu.registrars_mut(lab.now).find_home();
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
        if lab.now == began {
            assert_eq!(lab.event(), Event::NoRegistrarReachable, "told at once");
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
        let chosen =
            |_| lab.pu.pool_mut(lab.now, pool).unwrap().select(&[]).unwrap().identifier().get();
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

/// [TLV-15]: a handle that is empty or too long is refused to the caller; a cancelled request is
/// not told.
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

/// [TLV-15]: whatever command a handle is given to.
#[test]
fn every_command_checks_its_handle() {
    let mut lab = Lab::knowing(&[REGISTRAR]);
    let long = "x".repeat(33);
    let too_long = CommandError::HandleTooLong { len: 33, max: 32 };
    for (handle, error) in [("", CommandError::EmptyHandle), (&*long, too_long)] {
        let options = Default::default();
        assert_eq!(lab.pu.resolve(lab.now, handle).unwrap_err(), error);
        assert_eq!(lab.pu.populate(lab.now, handle).unwrap_err(), error);
        assert_eq!(lab.pu.subscribe(lab.now, handle).unwrap_err(), error);
        assert_eq!(lab.pu.open_session(lab.now, handle, options).unwrap_err(), error);
    }
    assert_eq!((lab.actions(), lab.events()), (vec![], vec![]));
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

/// [RES-12] [RES-14]: a registrar that refuses the parameter for the number of elements wanted is
/// asked again at once without it, and from then on, also when it is the home again; nothing fails.
#[test]
fn a_refused_parameter_is_left_out() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.pu.resolve(lab.now, "other").unwrap();
    assert_eq!(lab.requests().len(), 2);
    let wanted = [0x80, 0x3f, 0x00, 0x08, 0x00, 0x00, 0x00, 0x80];
    let refused = error(CauseCode::UNRECOGNIZED_PARAMETER, &wanted);
    lab.receive(home, &refused);
    lab.receive(home, &refused);
    let plain = |handle| (home, Message::handle_resolution(false, handle, None));
    assert_eq!(lab.controls(), [plain(POOL), plain("other")]);
    assert_eq!((lab.pu.stats().wanted_refused, lab.pu.stats().errors_received), (1, 2));
    lab.answer(home, POOL, &[element(1)]);
    resolved(lab.event());

    lab.pu.handle_closed(lab.now, home, CloseReason::Closed);
    let again = lab.open_one();
    lab.up(again.channel);
    let plain = Message::handle_resolution(false, "other", None);
    assert_eq!(lab.controls(), [(again.channel, plain)], "remembered for this registrar");
}

/// [RES-14]: a registrar that does not know the request is left for another one.
#[test]
fn a_registrar_that_does_not_know_the_request_is_left() {
    let mut lab = Lab::knowing(&["192.0.2.1:3863", "192.0.2.2:3863"]);
    let request = lab.pu.resolve(lab.now, POOL).unwrap();
    let tried = lab.opens();
    lab.up(tried[0].channel);
    lab.events();
    let sent = Message::handle_resolution(false, POOL, Some(128)).to_bytes().unwrap();
    lab.receive(tried[0].channel, &error(CauseCode::UNRECOGNIZED_MESSAGE, &sent));
    let actions = lab.actions();
    let closed = |action: &&Action| matches!(action, Action::Close { .. });
    assert_eq!(actions.iter().filter(closed).count(), 2, "the alternate, then this home");
    let next = opened(actions.last().unwrap().clone());
    assert_eq!(next.to, tried[1].to);
    lab.up(next.channel);
    assert_eq!(lab.requests(), [(next.channel, POOL.into())]);
    lab.answer(next.channel, POOL, &[element(1)]);
    let events = lab.events();
    assert_eq!(resolved(events.last().unwrap().clone()).0, request);
    assert_eq!(lab.pu.stats().requests_unknown, 1);
}

/// [RES-14]: an ASAP_ERROR that matches nothing that was sent is counted, and that is all.
#[test]
fn other_errors_are_counted() {
    let (mut lab, home) = Lab::at_home();
    let request = lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    let timer = lab.pu.next_timer();
    let other = Message::handle_resolution(false, "other", Some(128)).to_bytes().unwrap();
    let report = Message::endpoint_unreachable(POOL, PeIdentifier::new(1)).to_bytes().unwrap();
    for (code, info) in [
        (CauseCode::UNRECOGNIZED_MESSAGE, &other[..]),
        (CauseCode::UNRECOGNIZED_MESSAGE, &report[..]),
        (CauseCode::UNRECOGNIZED_MESSAGE, &[0x05]),
        (CauseCode::UNRECOGNIZED_PARAMETER, &[0x80, 0x3f, 0x00, 0x08, 0x00, 0x00, 0x00, 0x03]),
        (CauseCode::UNRECOGNIZED_PARAMETER, &[0x80, 0x3f]),
        (CauseCode::LACK_OF_RESOURCES, &[]),
    ] {
        lab.receive(home, &error(code, info));
    }
    assert_eq!(lab.pu.stats().errors_received, 6);
    assert_eq!((lab.actions(), lab.events(), lab.pu.next_timer()), (vec![], vec![], timer));
    lab.answer(home, POOL, &[element(1)]);
    assert_eq!(resolved(lab.event()).0, request);
}

/// [RES-15]: an application that asks in a loop, although nothing stays fresh, causes two requests
/// a second.
#[test]
fn the_rate_of_requests_for_a_pool_is_limited() {
    let mut config = config(&[REGISTRAR]);
    config.cache.stale_cache_value = core::time::Duration::ZERO;
    let (mut lab, home) = Lab::at_home_with(config);
    let mut sent = 0;
    for _ in 0..1_000 {
        lab.pu.resolve(lab.now, POOL).unwrap();
        for (channel, handle) in lab.requests() {
            sent += 1;
            lab.answer(channel, &handle, &[element(1)]);
        }
        lab.events();
        lab.now += core::time::Duration::from_millis(10);
        lab.pu.handle_timeout(lab.now);
    }
    assert_eq!(sent, 20, "in ten seconds");
    assert_eq!(lab.pu.stats().requests_paused, 20);
    let _ = home;
}

/// [RES-15]: pools that no registrar knows are no exception; who asks too early waits for the rest
/// of the interval.
#[test]
fn the_rate_of_requests_for_an_unknown_pool_is_limited() {
    let (mut lab, home) = Lab::at_home();
    let began = lab.now;
    for turn in 0..5 {
        let request = lab.pu.resolve(lab.now, "nowhere").unwrap();
        if turn > 0 {
            assert!(lab.actions().is_empty());
            assert_eq!(lab.pu.next_timer().unwrap().1, TimerKind::Request);
            lab.wait();
        }
        assert_eq!(lab.requests(), [(home, "nowhere".into())]);
        lab.receive(home, &refusal("nowhere", CauseCode::UNKNOWN_POOL_HANDLE));
        assert_eq!(failed(lab.event()), (request, ResolveError::UnknownPoolHandle));
    }
    assert_eq!(lab.now - began, secs(2));
}

/// [RES-13]: each way to end without an answer has its name.
#[test]
fn every_request_ends_and_says_why() {
    // Nobody known, nobody announced.
    let mut lab = Lab::new(asap_pu::Config::default());
    let request = lab.pu.resolve(lab.now, POOL).unwrap();
    assert_eq!(lab.wait(), secs(5));
    let ends = lab.events();
    assert_eq!(ends[0], Event::NoRegistrarKnown);
    assert_eq!(failed(ends[1].clone()), (request, ResolveError::NoRegistrarKnown));

    // A home that goes each time it is asked, until the deadline.
    let mut lab = Lab::knowing(&[REGISTRAR]);
    let request = lab.pu.resolve(lab.now, POOL).unwrap();
    let end = lab.now + secs(60);
    while lab.now < end {
        for action in lab.actions() {
            if let Action::Open { channel, .. } = action {
                lab.up(channel);
                lab.fail(channel);
            }
        }
        lab.wait();
    }
    let last = lab.events().pop().unwrap();
    assert_eq!(failed(last), (request, ResolveError::NotAnswered));

    // The user's word; then nothing more is heard of it.
    let (mut lab, home) = Lab::at_home();
    let request = lab.pu.resolve(lab.now, POOL).unwrap();
    lab.pu.cancel(lab.now, request).unwrap();
    lab.answer(home, POOL, &[element(1)]);
    assert_eq!(lab.events(), []);
}

/// [RES-10]: answers on channels that are not the home's change nothing, be they another
/// registrar's or an element's.
#[test]
fn an_answer_on_the_wrong_channel_is_none() {
    let mut config = config(&[REGISTRAR, "192.0.2.2:3863"]);
    config.tell_control();
    let mut lab = Lab::new(config);
    let session = lab.pu.open_session(lab.now, "session", Default::default()).unwrap();
    let tried = lab.opens();
    lab.up(tried[0].channel);
    lab.actions();
    lab.answer(tried[0].channel, "session", &[element(7)]);
    let peer = lab.open_one();
    lab.up(peer.channel);
    lab.events();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    for wrong in [tried[1].channel, peer.channel] {
        lab.answer(wrong, POOL, &[element(66)]);
    }
    assert_eq!((lab.events(), lab.pu.find_pool(POOL.as_bytes())), (vec![], None));
    assert_eq!(lab.pu.stats().unknown_channels, 1, "the alternate was closed");
    assert_eq!(lab.pu.stats().unexpected_messages, 1, "an element does not list pools");
    assert!(lab.pu.session(session).and_then(|session| session.element()).is_some());
}

/// [RES-2] [CORE-10]: what the next timer is for can be asked.
#[test]
fn timers_say_what_they_are_for() {
    let mut lab = Lab::knowing(&[REGISTRAR]);
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert_eq!(lab.pu.registrars().home_search(), HomeSearch::Hunting);
    assert_eq!(lab.pu.next_timer(), Some((lab.now, TimerKind::Action)));
    let registrar = lab.open_one();
    assert_eq!(lab.pu.next_timer().unwrap().1, TimerKind::Hunt);
    lab.up(registrar.channel);
    lab.requests();
    assert_eq!(lab.pu.registrars().home_search(), HomeSearch::Home);
    assert_eq!(lab.pu.next_timer(), Some((lab.now + secs(15), TimerKind::Request)));
    lab.wait();
    assert_eq!(lab.pu.registrars().home_search(), HomeSearch::Doubted);
    lab.actions();
    lab.answer(registrar.channel, POOL, &[element(1)]);
    assert_eq!((lab.pu.registrars().home_search(), lab.pu.next_timer()), (HomeSearch::Home, None));
}

/// [RES-12]: the parameter can be left out.
#[test]
fn the_number_of_elements_need_not_be_asked_for() {
    let mut config = config(&[REGISTRAR]);
    config.resolution.elements_wanted = None;
    let (mut lab, home) = Lab::at_home_with(config);
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert_eq!(lab.controls(), [(home, Message::handle_resolution(false, POOL, None))]);
}

/// [TLV-23]: elements without a policy, or with values that do not fit, are elements, each with the
/// cautious values of the pool's policy.
#[test]
fn an_element_without_a_policy_is_an_element() {
    let policies = [
        Policy::Absent,
        Policy::Truncated { value: vec![0, 0].into() },
        Policy::Other { policy: PolicyType::LEAST_USED, values: vec![5].into() },
        Policy::LeastUsed { load: 5 },
    ];
    let elements: Vec<_> = (1..)
        .zip(policies)
        .map(|(id, policy)| {
            let mut element = element(id);
            element.policy = policy;
            element
        })
        .collect();
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.requests();
    let overall = OverallPolicy::new(PolicyType::LEAST_USED, Default::default());
    lab.receive(home, &Message::handle_resolution_response(POOL, Some(overall), elements));
    let (_, pool) = resolved(lab.event());
    let stats = lab.pu.stats();
    assert_eq!((stats.malformed, stats.elements_revalued), (0, 3));
    let loads: Vec<_> =
        lab.pu.pool(pool).unwrap().elements().map(|element| element.member().value).collect();
    assert_eq!(loads, [u32::MAX, u32::MAX, u32::MAX, 5]);
    assert_eq!(lab.choose(pool), [4, 4, 4]);
}

/// [RES-6]: Unknown Pool Handle is told apart wherever it stands among the causes.
#[test]
fn unknown_pool_handle_is_found_among_other_causes() {
    let (mut lab, home) = Lab::at_home();
    for codes in [[0x6, 0x9], [0x9, 0x6], [0x9, 0x9]] {
        lab.pu.resolve(lab.now, POOL).unwrap();
        assert_eq!(lab.requests().len(), 1);
        let causes = codes.map(|code| Cause::new(CauseCode::new(code), Default::default()));
        lab.receive(home, &Message::handle_resolution_failure(POOL, causes.to_vec()));
        assert_eq!(failed(lab.event()).1, ResolveError::UnknownPoolHandle);
        lab.secs(1);
    }
}

/// [RES-8]: values of another policy count as full load, and as no degradation (decision 12).
#[test]
fn values_of_another_policy_are_full_load() {
    let least_used = PolicyType::LEAST_USED;
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.requests();
    let mut loaded = element(1);
    loaded.policy = Policy::LeastUsed { load: u32::MAX - 1 };
    let mut other = element(3);
    other.policy = Policy::LeastUsedDegradation { load: 5, degradation: 7 };
    let list = vec![element(2), loaded, other];
    let overall = OverallPolicy::new(least_used, Default::default());
    lab.receive(home, &Message::handle_resolution_response(POOL, Some(overall), list));
    let (_, pool) = resolved(lab.event());
    assert_eq!(lab.choose::<3>(pool), [1, 1, 1]);
    assert_eq!(lab.pu.stats().elements_revalued, 2);
}
