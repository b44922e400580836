//! What allocates nothing: reading what was received, writing into a buffer that is large enough,
//! choosing, serving from the cache, refreshing a pool, waiting, and sending a request again.

use core::hint::black_box;
use core::time::Duration;

use allocation_counter::measure;
use asap_pu::selection::{Member, PolicyKind as Chosen, Selector};
use asap_pu::wire::{
    BodyRef, Message, MessageRef, Notes, PeIdentifier, Policy, PoolElement, PoolHandle,
    StreamDecoder, Transport, TransportRef, TransportUse, encode_cookie_echo,
    encode_endpoint_unreachable, encode_handle_resolution,
};
use asap_pu::{Event, HomeSearch, Rng, SendOptions, SessionOptions, SessionState, StaleAnswers};

mod lab;
mod support;
use lab::{Lab, POOL, REGISTRAR, config, mapped, resolved, response, three};
use support::vectors;

const POLICIES: [Chosen; 10] = [
    Chosen::RoundRobin,
    Chosen::WeightedRoundRobin,
    Chosen::Random,
    Chosen::WeightedRandom,
    Chosen::Priority,
    Chosen::LeastUsed,
    Chosen::LeastUsedDegradation,
    Chosen::PriorityLeastUsed,
    Chosen::RandomizedLeastUsed,
    Chosen::Listed,
];

/// [CORE-8]: decoding, and everything that views offer but values of their own.
#[test]
fn decoding_allocates_nothing() {
    let mut messages: Vec<Vec<u8>> = vectors().into_iter().map(|(_, bytes)| bytes).collect();
    messages.push(large_response());
    for bytes in &messages {
        let info = measure(|| read(bytes));
        assert_eq!(info.count_total, 0);
    }
}

/// [CORE-8]: an error on the way, and an unknown parameter at any depth that is not to be reported.
#[test]
fn faults_and_skipped_parameters_allocate_nothing() {
    let mut bytes = large_response();
    let end = bytes.len();
    // The type of the last policy becomes one that may be skipped, and the policy is missing; then that
    // of the last transport, and so is the transport.
    for (place, skipped, is_taken) in [(end - 12, 1, true), (end - 48, 2, false)] {
        bytes[place] = 0x80;
        let info = measure(|| {
            let mut notes = Notes::default();
            assert_eq!(MessageRef::decode(&bytes, &mut notes).is_ok(), is_taken);
            assert_eq!(notes.skipped, skipped);
        });
        assert_eq!(info.count_total, 0);
    }
}

/// [CORE-8]: the messages that a pool user sends.
#[test]
fn encoding_into_a_large_buffer_allocates_nothing() {
    let mut buf = Vec::with_capacity(256);
    let info = measure(|| {
        for _ in 0..10 {
            buf.clear();
            encode_handle_resolution(&mut buf, b"pool", false, Some(128)).unwrap();
            encode_endpoint_unreachable(&mut buf, b"pool", PeIdentifier::new(1)).unwrap();
            encode_cookie_echo(&mut buf, b"state").unwrap();
        }
    });
    assert_eq!(info.count_total, 0);
}

/// [TLV-21]: messages that lie whole in the input are not copied.
#[test]
fn whole_messages_of_a_stream_allocate_nothing() {
    let stream: Vec<u8> = vectors().into_iter().flat_map(|(_, bytes)| bytes).collect();
    let info = measure(|| {
        let mut decoder = StreamDecoder::new(65_535);
        let mut input = &stream[..];
        while let Some(message) = decoder.next(&mut input).unwrap() {
            black_box(message);
        }
    });
    assert_eq!(info.count_total, 0);
}

/// [SELECT-10]: choosing, whatever the policy, the size of the list and the members passed over.
#[test]
fn picks_allocate_nothing() {
    for policy in POLICIES {
        // Small weights, whose cycles are written down, and large ones.
        for largest in [3, 1_000_000] {
            for n in [1, 4, 100, 3_000] {
                let mut selector = Selector::new();
                selector.refresh(policy, &members(n, largest));
                let mut rng = Rng::new(1);
                let allocated = measure(|| {
                    for pick in 0..3_000 {
                        selector.pick(&mut rng, |_| false);
                        selector.pick(&mut rng, |at| (at + pick) % 3 == 0);
                    }
                    for pick in 0..20 {
                        selector.pick(&mut rng, |at| at % 50 != pick);
                        selector.pick(&mut rng, |_| true);
                        selector.pick_many(&mut rng, 5, |at| at == pick, |_| ());
                    }
                });
                assert_eq!(allocated.count_total, 0, "{policy:?}, {n} members up to {largest}");
            }
        }
    }
}

/// [SELECT-10]: a refresh allocates a few times at most, however long the list, and not at all when nothing
/// changed.
#[test]
fn refreshes_allocate_a_constant_number_of_times() {
    for policy in POLICIES {
        for n in [10, 100, 1_000] {
            let mut list = members(n, 1_000_000);
            let mut selector = Selector::new();
            selector.refresh(policy, &list);
            for _ in 0..3 {
                selector.pick(&mut Rng::new(1), |_| false);
                list.rotate_left(n / 3);
                list.swap(0, n / 2);
                list.swap(1, n - 1);
                list[n - 2] = Member::new(0xffff_0000, 7);
                let allocated = measure(|| selector.refresh(policy, &list));
                assert!(allocated.count_total <= 6, "{policy:?} {n} {}", allocated.count_total);
            }
            let allocated = measure(|| selector.refresh(policy, &list));
            assert!(allocated.count_total <= 1, "{policy:?} {n} {}", allocated.count_total);
        }
    }
}

/// [CACHE-1] [CORE-8] [SELECT-10]: a hit, a choice and what comes with it, among a thousand pools.
#[test]
fn a_hit_allocates_nothing() {
    let (mut lab, home) = Lab::at_home_with(config(&[REGISTRAR]));
    let elements: Vec<_> = (0..10).map(lab::element).collect();
    for n in 0..1_000 {
        let handle = format!("pool {n}");
        lab.pu.populate(lab.now, handle.as_str()).unwrap();
        lab.answer(home, &handle, &elements);
    }
    lab.actions();
    lab.events();
    let handle = PoolHandle::from("pool 500");
    let pool = lab.pu.find_pool(handle.as_bytes()).unwrap();
    let mut hits = || {
        for _ in 0..1_000 {
            let request = lab.pu.resolve(lab.now, handle.clone()).unwrap();
            let told = lab.pu.poll_event();
            assert!(matches!(told, Some(Event::Resolved { request: of, .. }) if of == request));
            lab.pu.pool_mut(lab.now, pool).unwrap().select(&[]).unwrap();
        }
    };
    hits();
    assert_eq!(measure(hits).count_total, 0);
}

/// [CORE-8]: polls and timeouts with nothing to do, with no deadline ahead and with many.
#[test]
fn idleness_allocates_nothing() {
    let session = || Lab::in_session(mapped(), SessionOptions::default(), &three()).0;
    let mut asking = Lab::knowing(&[REGISTRAR]);
    asking.pu.resolve(asking.now, POOL).unwrap();
    let mut subscribed = session();
    for n in 0..100 {
        subscribed.pu.subscribe(subscribed.now, format!("pool {n}").as_str()).unwrap();
    }
    for mut lab in [Lab::knowing(&[]), Lab::at_home().0, session(), asking, subscribed] {
        lab.actions();
        lab.events();
        let deadline = lab.pu.next_timer();
        let idle = measure(|| {
            for millis in 0..1_000 {
                lab.pu.handle_timeout(lab.now + Duration::from_millis(millis));
                assert!(lab.pu.poll_action().is_none() && lab.pu.poll_event().is_none());
                assert_eq!(lab.pu.next_timer(), deadline);
            }
        });
        assert_eq!(idle.count_total, 0, "{deadline:?}");
    }
}

/// [CORE-10]: looking at everything there is to see.
#[test]
fn looking_allocates_nothing() {
    let (mut lab, ..) = Lab::in_session(mapped(), SessionOptions::default(), &three());
    let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
    let one = PeIdentifier::new(1);
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(one).unwrap();
    lab.pu.subscribe(lab.now, "other").unwrap();
    let pu = &lab.pu;
    let looked = measure(|| {
        assert!(pu.registrars().home().is_some() && pu.next_timer().is_some());
        assert_eq!(
            (pu.registrars().iter().count(), pu.registrars().home_search()),
            (1, HomeSearch::Home)
        );
        assert_eq!((pu.channel_count(), pu.subscription(b"other")), (2, Some(false)));
        for (id, pool) in pu.pools() {
            assert_eq!(pu.pool(id).map(|pool| pool.elements().len()), Some(3));
            assert!(pool.is_marked(lab.now, one));
            for element in pool.elements() {
                black_box((element.identifier(), element.transport().addresses().count()));
            }
        }
        for session in pu.sessions() {
            assert_eq!(
                pu.session(session).and_then(|session| session.handle()).map(PoolHandle::as_bytes),
                Some(POOL.as_bytes())
            );
            assert_eq!(
                (
                    pu.session(session).and_then(|session| session.element()),
                    pu.session(session).map(|session| session.queued())
                ),
                (Some(one), Some(0))
            );
            assert_eq!(pu.session(session).and_then(|session| session.cookie()), None);
            let view = pu.session(session).unwrap();
            assert_eq!((view.state(), view.since()), (SessionState::Up, Some(lab.now)));
            assert_eq!(
                (view.elements().count(), view.calling(), view.is_closing()),
                (1, None, false)
            );
            assert_eq!((view.unconfirmed(), view.oldest(), view.held_back()), (0, None, None));
            assert_eq!((view.tried(), view.rounds(), view.last_loss()), (&[][..], 0, None));
            assert_eq!(view.next_step(), None);
        }
        let registrars = pu.registrars();
        assert_eq!((registrars.home_since(), registrars.hunt()), (Some(lab.now), None));
        assert_eq!((registrars.announced().count(), registrars.barred().count()), (0, 0));
        assert_eq!((registrars.tried().count(), pu.subscriptions().count()), (0, 1));
        assert_eq!(pu.pools().flat_map(|(_, pool)| pool.marks(lab.now)).count(), 1);
        assert!(pu.cache_bytes() > 0 && !pu.is_shut_down());
        black_box((pu.stats(), pu.config()));
    });
    assert_eq!(looked.count_total, 0);
}

/// [RES-3] [CORE-8]: what was sent is sent again as it is.
#[test]
fn a_retransmission_allocates_nothing() {
    let (mut lab, home) = Lab::at_home();
    // Whatever grows with the first use has grown.
    let pool = lab.pool(home, &three());
    lab.pu.pool_mut(lab.now, pool).unwrap().purge();
    lab.secs(1);
    lab.pu.resolve(lab.now, POOL).unwrap();
    let first = lab.pu.poll_action();
    assert!(first.is_some());
    while lab.pu.stats().requests_repeated < 2 {
        lab.now = lab.pu.poll_timeout().unwrap();
        let again = measure(|| {
            // T1, and T5 of the hunt beside it, which finds nobody else.
            lab.pu.handle_timeout(lab.now);
            let action = lab.pu.poll_action();
            assert!(action.is_none() || action == first, "{action:?}");
        });
        assert_eq!(again.count_total, 0);
    }
}

/// [CACHE-5] [CORE-8]: a refresh, of whatever size; the first list of a pool makes room, by
/// doubling.
#[test]
fn a_refresh_allocates_nothing() {
    let allocations = |size: u32| {
        let mut config = config(&[REGISTRAR]);
        config.cache.stale_cache_value = Duration::ZERO;
        config.cache.stale_answers = StaleAnswers::Withheld;
        let (mut lab, home) = Lab::at_home_with(config);
        let elements: Vec<_> = (0..size).map(lab::element).collect();
        let answer = response(POOL, &elements).to_bytes().unwrap();
        let mut counts = [0; 3];
        for count in &mut counts {
            lab.secs(1);
            lab.pu.resolve(lab.now, POOL).unwrap();
            lab.actions();
            *count = measure(|| lab.pu.handle_control(lab.now, home, &answer)).count_total;
            resolved(lab.event());
        }
        counts
    };
    let (small, large) = (allocations(16), allocations(128));
    assert_eq!((&small[1..], &large[1..]), (&[0, 0][..], &[0, 0][..]));
    assert!(large[0] < small[0] + 20, "{small:?} {large:?}");
}

/// [CORE-8]: a message out and its answer in allocate nothing but the bytes of the answer, whether one
/// session or a thousand have them under way.
#[test]
fn a_round_trip_allocates_the_answer() {
    let (mut lab, home) = lab::at_home(|config| config.limits.max_sessions = 1_000);
    lab.pool(home, &three());
    let open = |_| lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    let sessions: Vec<_> = (0..1_000).map(open).collect();
    let channels: Vec<_> = lab.opens().iter().map(|open| open.channel).collect();
    channels.iter().for_each(|channel| lab.up(*channel));
    lab.events();
    for at_once in [1, 1_000] {
        let mut trips = || {
            for session in &sessions[..at_once] {
                lab.pu
                    .session_mut(lab.now, *session)
                    .unwrap()
                    .send("request", SendOptions::default())
                    .unwrap();
            }
            while lab.pu.poll_action().is_some() {}
            for channel in &channels[..at_once] {
                lab.pu.handle_data(lab.now, *channel, b"answer");
            }
            while lab.pu.poll_event().is_some() {}
        };
        trips();
        assert_eq!(measure(trips).count_total, at_once as u64);
    }
}

fn read(bytes: &[u8]) {
    let mut notes = Notes::default();
    let message = MessageRef::decode(bytes, &mut notes).unwrap();
    black_box(message.extra().count());
    match message.body {
        BodyRef::Registration { element, .. } => read_transport(element.transport),
        BodyRef::HandleResolutionResponse { elements, causes, .. } => {
            for element in elements {
                read_transport(element.transport);
                black_box((element.policy, element.extra().count()));
            }
            black_box(causes.map(Iterator::count));
        }
        BodyRef::ServerAnnounce { transports, .. } => transports.for_each(read_transport),
        body => {
            black_box(body);
        }
    }
}

fn read_transport(transport: TransportRef<'_>) {
    black_box((transport.port(), transport.transport_use(), transport.service_code()));
    black_box((transport.addresses().count(), transport.extra().count()));
    black_box(TransportRef::decode(transport.encoded())).unwrap();
}

fn large_response() -> Vec<u8> {
    let element = |number: u32| {
        let addresses = [[10, 0, 0, 1].into(), [0_u16; 8].into()];
        let transport = Transport::sctp(4242, TransportUse::DATA_ONLY, addresses);
        PoolElement::new(
            PeIdentifier::new(number),
            transport,
            Policy::Priority { priority: number },
        )
    };
    let elements = (0..128).map(element).collect();
    Message::handle_resolution_response("large", None, elements).to_bytes().unwrap().to_vec()
}

fn members(n: usize, largest: u64) -> Vec<Member> {
    let mut rng = Rng::new(n as u64);
    (0..n as u32)
        .map(|id| Member::new(id, 1 + rng.below(largest) as u32).with_degradation(3))
        .collect()
}
