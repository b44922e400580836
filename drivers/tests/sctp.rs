//! The `sctp` driver, against registrars and elements on SCTP sockets of this host. Where its kernel
//! has none, each test says so and passes.

#![cfg(target_os = "linux")]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use asap_pu::wire::{ASAP_PPID, Message, PeIdentifier, Policy, PoolElement};
use asap_pu::wire::{Transport, TransportUse};
use asap_pu::{
    Config, Event, Failover, LossReason, Registrar, SessionError, SessionId, UndeliveredReason,
};
use asap_pu_tokio::sctp::{Association, Driver, Incoming};
use socket2::{Domain, Protocol, Socket, Type};

const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than a peer's kernel takes.
const SHORTLY: Duration = Duration::from_millis(300);
/// What data is marked with here.
const PPID: u32 = 33;

fn driver() -> Option<Driver> {
    driver_with(Config::default())
}

fn driver_with(config: Config) -> Option<Driver> {
    let driver = Driver::new(config, 1);
    if driver.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unsupported) {
        println!("no SCTP here");
        return None;
    }
    let mut driver = driver.unwrap();
    driver.mark_data(PPID).unwrap();
    Some(driver)
}

/// A peer that serves one association in a thread of its own, with a window for sixteen messages of
/// a thousand bytes.
fn peer<T: Send + 'static>(
    serve: impl FnOnce(Association) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::SCTP)).unwrap();
    listener.set_recv_buffer_size(0x4000).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(1).unwrap();
    let at = listener.local_addr().unwrap().as_socket().unwrap();
    let accept = move || Association::over(listener.accept().unwrap().0).unwrap();
    (at, thread::spawn(move || serve(accept())))
}

/// What comes next of all that says something.
fn next(association: &mut Association) -> Incoming {
    loop {
        match association.receive(&mut [0; 4096]) {
            Ok(Incoming::Dry | Incoming::Other) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(1));
            }
            incoming => return incoming.unwrap(),
        }
    }
}

fn say(association: &Association, ppid: u32, data: &[u8]) {
    association.send(data, ppid, 0, false).unwrap();
}

fn transport(at: SocketAddr) -> Transport {
    Transport::sctp(at.port(), TransportUse::DATA_PLUS_CONTROL, [at.ip()])
}

/// A session with whatever is there; it is up when this returns.
fn session(driver: &mut Driver, at: SocketAddr) -> SessionId {
    let now = driver.now();
    let session = driver.user().open_session_at(now, transport(at), Default::default()).unwrap();
    assert!(matches!(driver.event(PATIENCE), Some(Event::Connected { .. })));
    session
}

fn send(driver: &mut Driver, session: SessionId, data: impl Into<Vec<u8>>) {
    let now = driver.now();
    driver
        .user()
        .session_mut(now, session)
        .unwrap()
        .send(data.into(), Failover::Undelivered)
        .unwrap();
}

fn received(driver: &mut Driver) -> Vec<u8> {
    let event = driver.event(PATIENCE);
    let Some(Event::Received { data, .. }) = event else { panic!("{event:?}") };
    data.to_vec()
}

/// [TLV-22]: what is marked with 11 is ASAP, and nothing else is, in both directions. Data may be
/// longer than a packet, than a window and than what is read at once.
#[test]
fn a_pool_is_resolved_and_served() {
    let Some(mut driver) = driver() else { return };
    let long: Vec<_> = (0..100_000_u32).map(|n| n as u8).collect();
    let (element, serving) = peer(|mut user| {
        say(&user, ASAP_PPID, &Message::cookie("state").to_bytes().unwrap());
        let Incoming::Message { ppid: PPID, data } = next(&mut user) else { panic!() };
        say(&user, 0, &data);
        next(&mut user)
    });
    let (registrar, answering) = peer(move |mut user| {
        assert!(matches!(next(&mut user), Incoming::Message { ppid: ASAP_PPID, .. }));
        let id = PeIdentifier::new(1);
        let element = PoolElement::new(id, transport(element), Policy::RoundRobin);
        let answer = Message::handle_resolution_response("EchoPool", None, vec![element]);
        [0, ASAP_PPID].iter().for_each(|ppid| say(&user, *ppid, &answer.to_bytes().unwrap()));
        next(&mut user)
    });
    assert!(driver.mark_data(ASAP_PPID).is_err());
    let now = driver.now();
    let registrar = Registrar::sctp(registrar.port(), [registrar.ip()]);
    driver.user().registrars_mut(now).add(registrar).unwrap();
    let session = driver.user().open_session(now, "EchoPool", Default::default()).unwrap();
    send(&mut driver, session, long.clone());
    assert!(matches!(driver.event(PATIENCE), Some(Event::RegistrarFound { .. })));
    assert!(matches!(driver.event(PATIENCE), Some(Event::Connected { .. })));
    assert!(received(&mut driver) == long);
    let stats = driver.user().stats();
    assert_eq!((stats.cookies, stats.answers, stats.unexpected_messages), (1, 1, 1));
    assert!(driver.shut_down(PATIENCE));
    assert_eq!(
        [serving, answering].map(|peer| peer.join().unwrap()),
        [const { Incoming::Ended }; 2]
    );
}

#[test]
fn an_address_where_nobody_is_is_told() {
    let Some(mut driver) = driver() else { return };
    let now = driver.now();
    driver.user().registrars_mut(now).add(Registrar::sctp(1, [[127, 0, 0, 1].into()])).unwrap();
    driver.user().resolve(now, "EchoPool").unwrap();
    assert_eq!(driver.event(PATIENCE), Some(Event::NoRegistrarReachable));
    let why = driver.no_registrar();
    assert!(why.contains("127.0.0.1:1: Connection refused"), "{why}");
}

/// What was said last arrives, however much the peer has to say, and nothing is broken off.
#[test]
fn a_session_is_closed_while_the_element_speaks() {
    let Some(mut driver) = driver() else { return };
    let (told, wait) = mpsc::channel();
    let (at, serving) = peer(move |mut user| {
        (0..200).for_each(|n| say(&user, PPID, &[n]));
        told.send(()).unwrap();
        [next(&mut user), next(&mut user)]
    });
    let session = session(&mut driver, at);
    wait.recv().unwrap();
    send(&mut driver, session, "goodbye");
    let now = driver.now();
    driver.user().session_mut(now, session).unwrap().close().unwrap();
    assert!(driver.shut_down(PATIENCE));
    let goodbye = Incoming::Message { ppid: PPID, data: b"goodbye".into() };
    assert_eq!(serving.join().unwrap(), [goodbye, Incoming::Ended]);
}

/// What the element's kernel acknowledged does not come back when the element dies, and the rest
/// does; also if the driver notices at once that there was an acknowledgement and then a death.
#[test]
fn an_element_dies_with_messages_on_their_way() {
    for at_once in [false, true] {
        let Some(mut driver) = driver() else { return };
        let (die, death) = mpsc::channel::<()>();
        let (at, serving) = peer(move |user| {
            (0..3).for_each(|n| say(&user, PPID, &[n]));
            // It breaks off then, for something is unread.
            death.recv().unwrap_err();
        });
        let session = session(&mut driver, at);
        thread::sleep(SHORTLY);
        // Three have come, so the driver reads no further until three have been told.
        assert_eq!(received(&mut driver), [0]);
        send(&mut driver, session, "acknowledged");
        assert_eq!(received(&mut driver), [1]);
        thread::sleep(SHORTLY);
        (0..120).for_each(|n| send(&mut driver, session, vec![n; 1_000]));
        assert_eq!(received(&mut driver), [2]);
        if !at_once {
            assert_eq!(driver.event(SHORTLY), None);
        }
        drop(die);
        serving.join().unwrap();
        thread::sleep(SHORTLY);
        let mut returned = Vec::new();
        while let Some(event) = driver.event(SHORTLY) {
            if let Event::Returned { data, .. } = event {
                returned.push(data[0]);
            }
        }
        assert!((1..30).contains(&returned[0]), "{returned:?}");
        assert_eq!(returned, (returned[0]..120).collect::<Vec<_>>());
        let stats = driver.user().stats();
        assert_eq!((stats.messages_sent, stats.unknown_confirmations), (121, 0));
        assert!(stats.messages_unsent > 60, "{stats:?}");
    }
}

/// [SESSION-20] [SESSION-17]: that an association is lost is noticed, however many messages came
/// before, and behind all of them; what was to be written meanwhile is given back.
#[test]
fn the_end_is_noticed_behind_any_number_of_messages() {
    for messages in 60..=66 {
        let Some(mut driver) = driver() else { return };
        let (tell, told) = mpsc::channel();
        let (at, serving) = peer(move |user| {
            told.recv().unwrap();
            (0..messages).for_each(|n| say(&user, PPID, &[n]));
            thread::sleep(SHORTLY);
            // It breaks off then, for something is unread.
        });
        let session = session(&mut driver, at);
        send(&mut driver, session, "never read");
        assert_eq!(driver.event(SHORTLY), None);
        tell.send(()).unwrap();
        serving.join().unwrap();
        thread::sleep(SHORTLY);
        let now = driver.now();
        driver
            .user()
            .session_mut(now, session)
            .unwrap()
            .send("too late", Failover::Unsent)
            .unwrap();
        let (mut heard, mut returned) = (0, Vec::new());
        loop {
            match driver.event(PATIENCE) {
                Some(Event::Received { .. }) => heard += 1,
                Some(Event::Returned { data, reason, .. }) => returned.push((data, reason)),
                Some(Event::SessionEnded { error, .. }) => {
                    assert_eq!(error, Some(SessionError::ChannelLost(LossReason::Broken)));
                    break;
                }
                Some(Event::ElementLost { .. }) => {
                    assert_eq!(heard, messages, "heard of a lost one")
                }
                Some(other) => panic!("{other:?}"),
                None => panic!("behind {messages} messages nothing was noticed"),
            }
        }
        assert_eq!(heard, messages);
        let lost = UndeliveredReason::ElementLost(LossReason::Broken);
        assert_eq!(returned, [("too late".into(), lost)]);
    }
}

/// [SESSION-17]: what the kernel refuses while the association stands comes back, and what follows
/// it goes on.
#[test]
fn what_is_refused_comes_back() {
    let Some(mut driver) = driver() else { return };
    let (at, serving) = peer(move |mut user| {
        let heard = next(&mut user);
        (user, heard)
    });
    let session = session(&mut driver, at);
    let now = driver.now();
    // An empty message.
    driver.user().session_mut(now, session).unwrap().send("", Failover::Unsent).unwrap();
    send(&mut driver, session, "hello");
    let event = driver.event(PATIENCE);
    assert!(matches!(&event, Some(Event::Returned { data, .. }) if data.is_empty()), "{event:?}");
    assert_eq!(driver.event(SHORTLY), None);
    let (_user, heard) = serving.join().unwrap();
    assert_eq!(heard, Incoming::Message { ppid: PPID, data: b"hello".into() });
}

/// [REPORT-8]: what a registrar was to be asked and what never left comes back when it dies, so that it is
/// left and the rest goes to another one.
#[test]
fn questions_that_never_left_come_back() {
    let mut config = Config::default();
    config.limits.max_handle_len = 1_000;
    let Some(mut driver) = driver_with(config) else { return };
    let (die, death) = mpsc::channel::<()>();
    // It breaks off then, for something is unread.
    let (at, serving) = peer(move |_user| death.recv().unwrap_err());
    let now = driver.now();
    driver.user().registrars_mut(now).add(Registrar::sctp(at.port(), [at.ip()])).unwrap();
    for n in 0..60 {
        driver.user().resolve(now, &*format!("{n:0>1000}")).unwrap();
    }
    assert!(matches!(driver.event(PATIENCE), Some(Event::RegistrarFound { .. })));
    assert_eq!(driver.event(SHORTLY), None);
    assert_eq!(driver.user().stats().requests_sent, 60);
    drop(die);
    serving.join().unwrap();
    while driver.user().stats().homes_lost == 0 {
        driver.event(SHORTLY);
    }
    assert_eq!(driver.user().stats().control_unsent, 1);
}

/// [REPORT-7] [SESSION-20]: a peer that speaks and shuts the association down in good order has
/// closed it, and has all that it acknowledged.
#[test]
fn an_element_speaks_and_closes() {
    let Some(mut driver) = driver() else { return };
    let (at, serving) = peer(move |mut user| {
        let asked = next(&mut user);
        say(&user, PPID, b"the time is noon");
        user.shut_down().unwrap();
        (asked, next(&mut user))
    });
    let session = session(&mut driver, at);
    send(&mut driver, session, "what time is it?");
    assert_eq!(received(&mut driver), b"the time is noon");
    let event = driver.event(PATIENCE);
    let Some(Event::ElementLost { reason, .. }) = event else { panic!("{event:?}") };
    assert_eq!(reason, LossReason::Closed);
    let event = driver.event(PATIENCE);
    let Some(Event::SessionEnded { error, .. }) = event else { panic!("{event:?}") };
    assert_eq!(error, Some(SessionError::ChannelLost(LossReason::Closed)));
    assert_eq!(driver.user().stats().messages_lost, 0, "it was acknowledged");
    let (asked, end) = serving.join().unwrap();
    assert_eq!(asked, Incoming::Message { ppid: PPID, data: b"what time is it?".into() });
    assert_eq!(end, Incoming::Ended);
}
