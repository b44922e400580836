//! Pools that are kept up to date (RFC 5352 §2.2.5), and what the application hears of their
//! changes.

mod lab;

use asap_pu::wire::{
    Body, CauseCode, Message, PeIdentifier, PoolElement, ServerIdentifier, Transport,
};
use asap_pu::{
    ChannelId, CloseReason, CommandError, Config, Event, HomeSearch, ResolveError, TimerKind,
};
use lab::*;

/// A list with the A bit.
fn granted(handle: &str, elements: &[PoolElement]) -> Message {
    let mut message = response(handle, elements);
    if let Body::HandleResolutionResponse { updates, .. } = &mut message.body {
        *updates = true;
    }
    message
}

/// A pool user that subscribes to the pool, whose home grants updates.
fn subscribed(elements: &[PoolElement]) -> (Lab, ChannelId) {
    let (mut lab, home) = Lab::at_home();
    lab.pu.subscribe(lab.now, POOL).unwrap();
    assert_eq!(lab.controls(), [(home, Message::handle_resolution(true, POOL, Some(128)))]);
    lab.receive(home, &granted(POOL, elements));
    assert!(matches!(lab.event(), Event::PoolChanged { .. }));
    (lab, home)
}

fn changed(event: Event) -> (u32, u32, u32) {
    match event {
        Event::PoolChanged { joined, left, altered, .. } => (joined, left, altered),
        other => panic!("{other:?}"),
    }
}

/// [RES-11] [CACHE-9]: updates replace the cached pool; the application hears what came, left and
/// changed; nobody asks again within `subscription_check`, however stale the list is.
#[test]
fn granted_updates_replace_the_pool() {
    let (mut lab, home) = subscribed(&[element(1), element(2)]);
    assert_eq!(lab.pu.subscription(POOL.as_bytes()), Some(true));
    let until_check = lab.pu.poll_timeout().unwrap() - lab.now;
    assert!((225..=300).contains(&until_check.as_secs()), "{until_check:?}");
    lab.secs(200);
    let mut moved = element(2);
    moved.transport = element(9).transport;
    lab.receive(home, &granted(POOL, &[moved, element(3), element(4)]));
    assert_eq!(changed(lab.event()), (2, 1, 1));
    assert_eq!(lab.pu.stats().updates, 1);
    lab.secs(200);
    lab.pu.handle_timeout(lab.now);
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert!(matches!(lab.event(), Event::Resolved { stale: false, .. }));
    assert!(lab.actions().is_empty());
}

/// [CACHE-9] [CORE-9]: changes that the application has not read add up to one event; a list that
/// changes nothing causes none.
#[test]
fn unread_changes_add_up() {
    let (mut lab, home) = subscribed(&[element(1)]);
    for n in 2..1_000 {
        lab.receive(home, &granted(POOL, &[element(n % 250)]));
    }
    assert_eq!(changed(lab.event()), (998, 998, 0));
    lab.receive(home, &granted(POOL, &[element(999 % 250)]));
    assert_eq!(lab.events(), []);
}

/// [RES-11]: a registrar that grants nothing, as real ones do, is asked again whenever the list has
/// become stale.
#[test]
fn without_updates_the_pool_is_asked_for_again() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.subscribe(lab.now, POOL).unwrap();
    for n in 1..4 {
        assert_eq!(lab.requests(), [(home, POOL.into())]);
        lab.answer(home, POOL, &[element(n)]);
        assert!(changed(lab.event()).0 == 1);
        assert_eq!(lab.pu.subscription(POOL.as_bytes()), Some(false));
        assert_eq!(lab.pu.next_timer().unwrap().1, TimerKind::Subscription);
        let stale = lab.wait();
        assert!(stale <= secs(30) && stale >= secs(30) * 3 / 4, "{stale:?}");
    }
}

/// [RES-11]: a subscription to a pool that is just being asked for without the S bit asks once
/// more, with it.
#[test]
fn a_request_under_way_is_followed_by_the_subscription() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert_eq!(lab.controls(), [(home, Message::handle_resolution(false, POOL, Some(128)))]);
    lab.pu.subscribe(lab.now, POOL).unwrap();
    assert!(lab.actions().is_empty(), "one request for a handle at a time [RES-9]");
    lab.receive(home, &granted(POOL, &[element(1)]));
    assert_eq!(lab.pu.subscription(POOL.as_bytes()), Some(false), "nobody asked for updates yet");
    lab.wait();
    assert_eq!(lab.controls(), [(home, Message::handle_resolution(true, POOL, Some(128)))]);
    lab.receive(home, &granted(POOL, &[element(1)]));
    assert_eq!(lab.pu.subscription(POOL.as_bytes()), Some(true));
}

/// [RES-11]: a home that is lost is replaced at once, and the new one gets the S request; the pool
/// is served meanwhile.
#[test]
fn a_new_home_is_subscribed_to() {
    let mut lab = Lab::knowing(&["192.0.2.1:3863", "192.0.2.2:3863"]);
    lab.pu.subscribe(lab.now, POOL).unwrap();
    let tried = lab.opens();
    lab.up(tried[0].channel);
    lab.actions();
    lab.receive(tried[0].channel, &granted(POOL, &[element(1)]));
    lab.events();
    lab.secs(10);
    lab.fail(tried[0].channel);
    assert_eq!(lab.pu.subscription(POOL.as_bytes()), Some(false));
    let next = lab.opens();
    assert_eq!(next[0].to, tried[1].to);
    lab.up(next[0].channel);
    let sent = lab.actions().into_iter().filter_map(|action| match action {
        asap_pu::Action::Send { .. } => Some(control(action)),
        _ => None,
    });
    let request = Message::handle_resolution(true, POOL, Some(128));
    assert_eq!(sent.collect::<Vec<_>>(), [(next[0].channel, request)]);
    lab.receive(next[0].channel, &granted(POOL, &[element(1), element(2)]));
    assert_eq!(lab.events().pop().map(changed), Some((1, 0, 0)));
    assert_eq!(lab.pu.subscription(POOL.as_bytes()), Some(true));
}

/// [RES-11] [HUNT-6]: a registrar that grants updates, answers and goes, again and again, does not
/// make the pool user spin.
#[test]
fn a_registrar_that_answers_and_goes_is_not_run_after() {
    let mut lab = Lab::knowing(&[REGISTRAR]);
    lab.pu.subscribe(lab.now, POOL).unwrap();
    let (began, mut opens) = (lab.now, 0);
    for _ in 0..1_000 {
        match lab.pu.poll_action() {
            Some(asap_pu::Action::Open { channel, .. }) => {
                opens += 1;
                lab.up(channel);
            }
            Some(asap_pu::Action::Send { channel, .. }) => {
                lab.receive(channel, &granted(POOL, &[element(1)]));
                lab.pu.handle_closed(lab.now, channel, CloseReason::Closed);
            }
            Some(_) => {}
            None => drop(lab.wait()),
        }
    }
    let per_second = f64::from(opens) / (lab.now - began).as_secs_f64();
    assert!(per_second <= 2.5, "{per_second} a second");
}

/// [RES-11] [CACHE-8]: a negative answer ends the subscription and says so, also when it comes as
/// an update; the pool is gone.
#[test]
fn a_refusal_ends_the_subscription() {
    let (mut lab, home) = subscribed(&[element(1)]);
    lab.secs(30);
    lab.receive(home, &refusal(POOL, CauseCode::UNKNOWN_POOL_HANDLE));
    let Event::SubscriptionEnded { handle, error, .. } = lab.event() else { panic!() };
    assert_eq!((handle.as_bytes(), error), (POOL.as_bytes(), ResolveError::UnknownPoolHandle));
    assert_eq!(lab.pu.subscription(POOL.as_bytes()), None);
    assert_eq!((lab.pu.find_pool(POOL.as_bytes()), lab.pu.poll_timeout()), (None, None));
    lab.receive(home, &granted(POOL, &[element(1)]));
    assert_eq!((lab.pu.stats().answers_unsolicited, lab.events()), (1, vec![]));

    lab.pu.subscribe(lab.now, "refused").unwrap();
    lab.actions();
    lab.receive(home, &refusal("refused", CauseCode::LACK_OF_RESOURCES));
    let Event::SubscriptionEnded { error, .. } = lab.event() else { panic!() };
    assert_eq!(error, ResolveError::Rejected(vec![CauseCode::LACK_OF_RESOURCES]));
}

/// [RES-11]: a registrar that does not answer does not end a subscription; it is asked again.
#[test]
fn silence_does_not_end_a_subscription() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.subscribe(lab.now, POOL).unwrap();
    let began = lab.now;
    for _ in 0..3 {
        assert_eq!(lab.requests(), [(home, POOL.into())]);
        lab.wait_until(lab.now + secs(15));
    }
    assert_eq!(lab.now, began + secs(45));
    assert_eq!(lab.events(), [Event::RegistrarLost], "nobody waited for the list");
    let [again] = opens_among(&lab.actions()).try_into().unwrap();
    lab.up(again.channel);
    lab.events();
    assert_eq!(lab.requests(), [(again.channel, POOL.into())]);
    lab.answer(again.channel, POOL, &[element(1)]);
    assert_eq!(changed(lab.event()), (1, 0, 0));
}

/// [RES-10] [RES-11]: after unsubscribing, updates are nobody's and the pool ages.
#[test]
fn unsubscribing_lets_the_pool_age() {
    let (mut lab, home) = subscribed(&[element(1)]);
    assert!(lab.pu.unsubscribe(lab.now, POOL.as_bytes()));
    assert!(!lab.pu.unsubscribe(lab.now, POOL.as_bytes()));
    lab.receive(home, &granted(POOL, &[element(2)]));
    assert_eq!(lab.pu.stats().answers_unsolicited, 1);
    lab.secs(30);
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert!(matches!(lab.event(), Event::Resolved { stale: true, .. }));
}

/// [RES-11] [CORE-6]: subscriptions are bounded, those whose end was not read included.
#[test]
fn subscriptions_are_bounded() {
    let mut config = config(&[REGISTRAR]);
    config.limits.max_subscriptions = 2;
    let (mut lab, home) = Lab::at_home_with(config);
    lab.pu.subscribe(lab.now, "a").unwrap();
    lab.pu.subscribe(lab.now, "b").unwrap();
    lab.pu.subscribe(lab.now, "b").unwrap();
    let full = Err(CommandError::TooManySubscriptions);
    assert_eq!(lab.pu.subscribe(lab.now, "c"), full);
    lab.actions();
    lab.receive(home, &refusal("a", CauseCode::UNKNOWN_POOL_HANDLE));
    assert_eq!(lab.pu.subscribe(lab.now, "c"), full);
    assert!(matches!(lab.event(), Event::SubscriptionEnded { .. }));
    assert_eq!(lab.pu.subscribe(lab.now, "c"), Ok(()));
}

/// [RES-11] [HUNT-13]: where no registrar is known a subscription sleeps, and wakes when one is
/// announced.
#[test]
fn a_subscription_sleeps_without_registrar() {
    let mut lab = Lab::new(Config::default());
    lab.pu.subscribe(lab.now, POOL).unwrap();
    assert_eq!(lab.events(), [Event::NoRegistrarKnown]);
    assert_eq!(lab.wait(), secs(5));
    assert_eq!((lab.events(), lab.pu.poll_timeout()), (vec![], None));
    assert_eq!(lab.pu.registrars().home_search(), HomeSearch::Idle);
    let announce = Message::server_announce(ServerIdentifier::new(1), vec![]);
    let source = "10.0.0.1:3863".parse().unwrap();
    lab.pu.handle_announce(lab.now, source, &announce.to_bytes().unwrap());
    let registrar = lab.open_one();
    lab.up(registrar.channel);
    assert_eq!(lab.requests(), [(registrar.channel, POOL.into())]);
    lab.receive(registrar.channel, &granted(POOL, &[element(1)]));
    let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
    assert!(lab.pu.pool(pool).unwrap().element(PeIdentifier::new(1)).is_some());
}

/// [RES-11]: a subscription outlives the request that it found under way.
#[test]
fn a_subscription_outlives_the_request_it_joined() {
    let (mut lab, home) = Lab::at_home();
    let request = lab.pu.resolve(lab.now, POOL).unwrap();
    lab.requests();
    lab.pu.subscribe(lab.now, POOL).unwrap();
    lab.pu.cancel(lab.now, request).unwrap();
    lab.answer(home, POOL, &[element(1)]);
    assert_eq!(lab.pu.stats().answers, 1);
    assert!(lab.pu.poll_timeout().is_some(), "it asks again");
}

/// [CACHE-9]: a change that was not read is not told to an application that has unsubscribed since.
#[test]
fn changes_are_told_to_those_who_subscribe() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.subscribe(lab.now, POOL).unwrap();
    lab.actions();
    lab.answer(home, POOL, &[element(1)]);
    assert!(lab.pu.unsubscribe(lab.now, POOL.as_bytes()));
    assert_eq!(lab.events(), []);
}

/// [CACHE-4] [CACHE-9]: what changed in a pool is forgotten with it, also where a session holds it on.
#[test]
fn a_purged_pool_tells_of_no_change() {
    let (mut lab, home, _, _) =
        Lab::in_session(config(&[REGISTRAR]), Default::default(), &[element(1)]);
    lab.secs(31);
    lab.pu.subscribe(lab.now, POOL).unwrap();
    lab.actions();
    lab.answer(home, POOL, &three());
    let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
    lab.pu.pool_mut(lab.now, pool).unwrap().purge();
    assert_eq!(lab.events(), []);
}

/// [RES-11] [CACHE-9]: the end of a subscription is the last that is told of it.
#[test]
fn no_change_comes_behind_the_end() {
    let (mut lab, home) = Lab::at_home();
    for handle in ["b", POOL] {
        lab.pu.subscribe(lab.now, handle).unwrap();
    }
    lab.actions();
    lab.receive(home, &refusal("b", CauseCode::new(0xa)));
    lab.answer(home, POOL, &three());
    lab.secs(31);
    lab.pu.handle_timeout(lab.now);
    lab.actions();
    lab.receive(home, &refusal(POOL, CauseCode::new(0xa)));
    let told = lab.events();
    assert!(
        matches!(told[..], [Event::SubscriptionEnded { .. }, Event::SubscriptionEnded { .. }]),
        "{told:?}"
    );
}

/// [RES-11]: an update of no use is not waited for to be told again: the pool is asked for within
/// the time in which a list becomes stale, not when the subscription is checked next.
#[test]
fn a_useless_update_is_followed_by_a_request() {
    let (mut lab, home) = subscribed(&three());
    lab.secs(40);
    let mut nowhere = element(2);
    nowhere.transport = Transport::opaque(vec![]);
    lab.receive(home, &granted(POOL, &[nowhere]));
    assert_eq!(lab.pu.stats().answers_useless, 1);
    let Config { resolution, cache, .. } = Config::default();
    assert!(resolution.subscription_check > cache.stale_cache_value * 2, "else it shows nothing");
    assert!(lab.wait() <= cache.stale_cache_value * 5 / 4);
    assert_eq!(lab.controls(), [(home, Message::handle_resolution(true, POOL, Some(128)))]);
}

/// [CORE-11]: nothing is subscribed to any more once the pool user shuts down.
#[test]
fn a_shutdown_ends_subscriptions() {
    let (mut lab, _) = subscribed(&three());
    lab.pu.shut_down(lab.now);
    assert_eq!(lab.pu.subscriptions().count(), 0);
}
