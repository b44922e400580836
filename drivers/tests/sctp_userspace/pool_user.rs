//! A pool user, a registrar and elements, each with its own SCTP.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use asap_pu::wire::TransportUse;
use asap_pu::wire::{ASAP_PPID, Body, Message, PeIdentifier, Policy, PoolElement, Transport};
use asap_pu::{Config, Event, Failover, LossReason, Registrar, SessionId};
use asap_pu_tokio::sctp_userspace::{Event as Sctp, SctpPoolUser, Settings};

use crate::net::{FAIR, FOUL, Host, Machine, Net, PORT, Role, Weather};

const SECOND: Duration = Duration::from_secs(1);
/// What data is marked with here.
const PPID: u32 = 33;

fn transport(ip: &str) -> Transport {
    Transport::sctp(PORT, TransportUse::DATA_PLUS_CONTROL, [ip.parse().unwrap()])
}

/// A registrar that lists these elements for every pool, and notes who is reported.
fn registrar(elements: Vec<String>, reported: Rc<RefCell<Vec<u32>>>) -> Role {
    Box::new(move |endpoint, now, id, event| {
        let Sctp::Message { ppid: ASAP_PPID, data } = event else { return };
        match Message::decode(data).unwrap().body {
            Body::HandleResolution { handle, .. } => {
                let element = |(id, ip): (u32, &String)| {
                    PoolElement::new(PeIdentifier::new(id), transport(ip), Policy::RoundRobin)
                };
                let elements = (1..).zip(&elements).map(element).collect();
                let answer = Message::handle_resolution_response(handle, None, elements);
                endpoint.send(now, id, 0, ASAP_PPID, &answer.to_bytes().unwrap(), false);
            }
            Body::EndpointUnreachable { identifier, .. } => {
                reported.borrow_mut().push(identifier.get());
            }
            other => panic!("{other:?}"),
        }
    })
}

/// An element that numbers its answers, and leaves the number in a cookie.
fn element() -> Role {
    let mut answers = BTreeMap::<_, u8>::new();
    Box::new(move |endpoint, now, id, event| {
        let Sctp::Message { ppid, data } = event else { return };
        let answered = answers.entry(id).or_default();
        if *ppid == ASAP_PPID {
            let Body::CookieEcho { cookie, .. } = Message::decode(data).unwrap().body else {
                panic!()
            };
            *answered = cookie[0];
            return;
        }
        assert_eq!(*ppid, PPID);
        *answered += 1;
        let answer = [&[*answered][..], data].concat();
        endpoint.send(now, id, 0, PPID, &answer, false);
        let cookie = Message::cookie(vec![*answered]).to_bytes().unwrap();
        endpoint.send(now, id, 0, ASAP_PPID, &cookie, false);
    })
}

/// A pool user, a registrar at 10.0.0.1 that lists elements at these addresses, and those of them
/// that exist.
fn world(weather: Weather, listed: &[&str], existing: &[&str]) -> (Net, Rc<RefCell<Vec<u32>>>) {
    let mut config = Config::default();
    config.discovery.registrars = vec![Registrar::sctp(PORT, [[10, 0, 0, 1].into()])];
    let mut user = SctpPoolUser::new(config, 1, Settings::default(), 1).unwrap();
    user.mark_data(PPID).unwrap();
    let reported = Rc::new(RefCell::new(Vec::new()));
    let listed = listed.iter().map(|ip| (*ip).to_owned()).collect();
    let mut hosts = vec![
        Host::new(&["10.0.0.100"], Machine::User(user.into())),
        Host::endpoint(&["10.0.0.1"], 2).with(registrar(listed, reported.clone())),
    ];
    for (secret, ip) in (3..).zip(existing) {
        hosts.push(Host::endpoint(&[ip], secret).with(element()));
    }
    (Net::new(1, weather, hosts), reported)
}

/// The next event for which that holds; those before it are passed over.
fn next<T>(net: &mut Net, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
    let mut found = None;
    net.until(|net| {
        while let (None, Some(event)) = (&found, net.hosts[0].user().poll_event()) {
            found = wanted(&event);
        }
        found.is_some()
    });
    found.unwrap()
}

fn send(net: &mut Net, session: SessionId, data: &str) {
    let now = net.now;
    let user = net.hosts[0].user().user();
    user.session_mut(now, session)
        .unwrap()
        .send(data.as_bytes().to_vec(), Failover::Undelivered)
        .unwrap();
}

/// By whom the next answer is, its number, and what was asked.
fn answer(net: &mut Net) -> (u32, u8, String) {
    next(net, |event| match event {
        Event::Received { element, data, .. } => {
            let text = String::from_utf8(data[1..].to_vec()).unwrap();
            Some((element.unwrap().get(), data[0], text))
        }
        _ => None,
    })
}

/// A pool is resolved and served; its element is cut off, with a message on its way; another one takes
/// over with the cookie, answers that message and counts on. The failure is reported. The end is in
/// good order.
#[test]
fn a_session_fails_over_with_its_cookie() {
    for weather in [FAIR, Weather { loss: 10, ..FOUL }] {
        let ips = ["10.0.0.11", "10.0.0.12"];
        let (mut net, reported) = world(weather, &ips, &ips);
        let now = net.now;
        let session =
            net.hosts[0].user().user().open_session(now, "pool", Default::default()).unwrap();
        for n in 1..4 {
            send(&mut net, session, &format!("message {n}"));
            assert_eq!(answer(&mut net), (1, n, format!("message {n}")));
        }
        net.run(2 * SECOND);
        net.hosts[2].is_cut = true;
        let cut = net.now;
        send(&mut net, session, "message 4");
        next(&mut net, |event| {
            matches!(event, Event::ElementLost { reason: LossReason::Broken, .. }).then_some(())
        });
        assert!(net.now.since(cut) <= 15 * SECOND, "{:?}", net.now.since(cut));
        let echoed = next(&mut net, |event| match event {
            Event::FailedOver { cookie_echoed, .. } => Some(*cookie_echoed),
            _ => None,
        });
        assert!(echoed);
        assert_eq!(answer(&mut net), (2, 4, "message 4".to_owned()));
        net.until(|_| *reported.borrow() == [1]);
        let now = net.now;
        net.hosts[0].user().user().shut_down(now);
        net.until(|net| net.hosts[0].user().is_shut_down());
    }
}

/// [RES-12]: an answer of 128 elements takes several packets, of which some are lost and others
/// overtake each other.
#[test]
fn an_answer_of_128_elements_arrives_whole() {
    for weather in [FAIR, FOUL] {
        let ips: Vec<_> = (1..=128).map(|n| format!("10.0.1.{n}")).collect();
        let ips: Vec<_> = ips.iter().map(String::as_str).collect();
        let (mut net, _) = world(weather, &ips, &[]);
        let now = net.now;
        net.hosts[0].user().user().resolve(now, "pool").unwrap();
        let pool = next(&mut net, |event| match event {
            Event::Resolved { pool, .. } => Some(*pool),
            _ => None,
        });
        let user = net.hosts[0].user().user();
        assert_eq!(user.pool(pool).unwrap().elements().count(), 128);
    }
}

/// An element that is listed and cannot be reached this way is passed over before five seconds are
/// gone, and what to do about that is said.
#[test]
fn an_element_that_takes_no_sctp_over_udp_is_passed_over_with_a_reason() {
    let (mut net, reported) = world(FAIR, &["10.0.0.11", "10.0.0.12"], &["10.0.0.12"]);
    let now = net.now;
    let session = net.hosts[0].user().user().open_session(now, "pool", Default::default()).unwrap();
    send(&mut net, session, "hello");
    assert_eq!(answer(&mut net), (2, 1, "hello".to_owned()));
    assert!(net.now.since(now) < 6 * SECOND, "{:?}", net.now.since(now));
    let why = net.hosts[0].user().element_failure().unwrap().to_owned();
    assert!(why.contains("SCTP 10.0.0.11:7") && why.contains("net.sctp.udp_port"), "{why}");
    net.until(|_| *reported.borrow() == [1]);
}

/// A hundred sessions in foul weather, and then one of two elements is gone: every message is
/// answered.
#[test]
fn a_hundred_sessions_survive_a_cut() {
    let ips = ["10.0.0.11", "10.0.0.12"];
    let (mut net, _) = world(Weather { loss: 5, ..FOUL }, &ips, &ips);
    let mut open: BTreeMap<_, _> = BTreeMap::new();
    for _ in 0..100 {
        let now = net.now;
        let session =
            net.hosts[0].user().user().open_session(now, "pool", Default::default()).unwrap();
        open.insert(session, 0);
        send(&mut net, session, "hello");
    }
    for round in 1..4 {
        while open.values().any(|answers| *answers < round) {
            let session = next(&mut net, |event| match event {
                Event::Received { session, .. } => Some(*session),
                Event::SessionEnded { error, .. } => panic!("{error:?}"),
                _ => None,
            });
            *open.get_mut(&session).unwrap() += 1;
        }
        if round == 1 {
            net.hosts[2].is_cut = true;
        }
        for session in open.keys().copied().collect::<Vec<_>>() {
            send(&mut net, session, "and again");
        }
    }
}
