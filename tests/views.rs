//! What can be seen of a pool user from outside: each view in the situations that it tells apart.

mod lab;

use asap_pu::wire::{Body, Message, Protocol, Transport};
use asap_pu::{
    Authentication, CloseReason, Confirms, Failover, HeldBack, HomeSearch, Instant, LossReason,
    Recipient, SendOptions, SessionId, SessionOptions, SessionRef, SessionState, SessionTimer,
};
use lab::*;

impl Lab {
    fn session(&self, session: SessionId) -> SessionRef<'_> {
        self.pu.session(session).expect("it was not read that the session is over")
    }

    /// What a session waits for, and for how long from now.
    fn next_step(&self, session: SessionId) -> Option<(u64, SessionTimer)> {
        let next = self.session(session).next_step();
        next.map(|(at, what)| ((at - self.now).as_secs(), what))
    }

    fn state(&self, session: SessionId) -> SessionState {
        self.session(session).state()
    }
}

fn at(secs: u64) -> Instant {
    Instant::EPOCH + core::time::Duration::from_secs(secs)
}

/// [CORE-10]: a session on its way to an element, and how long it has been so.
#[test]
fn a_session_finds_its_element() {
    let (mut lab, home) = Lab::at_home_with(mapped());
    lab.secs(1);
    let session = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    assert_eq!(lab.state(session), SessionState::Resolving);
    assert_eq!(lab.next_step(session), Some((60, SessionTimer::Deadline)));
    lab.secs(1);
    lab.actions();
    lab.answer(home, POOL, &three());
    let element = lab.open_one();
    let view = lab.session(session);
    assert_eq!((view.state(), view.since()), (SessionState::Calling, Some(at(1))));
    assert_eq!((view.calling(), view.element()), (Some(id(1)), None));
    assert_eq!(lab.next_step(session), Some((5, SessionTimer::Connect)));
    lab.secs(3);
    lab.up(element.channel);
    let view = lab.session(session);
    assert_eq!((view.state(), view.since()), (SessionState::Up, Some(at(5))));
    assert_eq!((view.calling(), view.element()), (None, Some(id(1))));
    assert_eq!(view.elements().collect::<Vec<_>>(), [(id(1), at(5))]);
    assert_eq!((view.next_step(), view.last_loss(), view.held_back()), (None, None, None));
}

/// [CORE-10]: the rounds of a search in vain, what it pauses for, and how it ends.
#[test]
fn a_session_searches_in_vain() {
    let (mut lab, home) = Lab::at_home_with(mapped());
    let session = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    lab.actions();
    lab.answer(home, POOL, &[element(1), element(2)]);
    let first = lab.open_one();
    assert_eq!(lab.session(session).tried(), []);
    lab.fail(first.channel);
    let view = lab.session(session);
    assert_eq!((view.tried(), view.rounds()), (&[id(1)][..], 0));
    assert_eq!(view.last_loss(), Some(LossReason::Refused));
    let second = opens_among(&lab.actions()).pop().unwrap();
    lab.secs(5);
    lab.pu.handle_timeout(lab.now);
    assert_eq!(second.to, "10.0.0.2:7".parse().unwrap());
    let view = lab.session(session);
    assert_eq!((view.state(), view.rounds()), (SessionState::Pausing, 1));
    assert_eq!((view.tried(), view.last_loss()), (&[][..], Some(LossReason::TimedOut)));
    assert_eq!(lab.next_step(session), Some((0, SessionTimer::Pause)), "within a second");
    let marks: Vec<_> = lab.pu.pools().flat_map(|(_, pool)| pool.marks(lab.now)).collect();
    assert_eq!(marks, [(id(1), at(60)), (id(2), at(65))]);
    let later: Vec<_> = lab.pu.pools().flat_map(|(_, pool)| pool.marks(at(60))).collect();
    assert_eq!(later, [(id(2), at(65))]);

    lab.actions();
    lab.wait();
    assert_eq!(lab.state(session), SessionState::Resolving, "for the newest list");
    assert_eq!(lab.next_step(session), Some((5, SessionTimer::List)));
    while lab.state(session) != SessionState::Over {
        // Whatever it waits for, something is done by then.
        let next = lab.session(session).next_step().unwrap().0;
        assert!(next >= lab.pu.poll_timeout().unwrap());
        for open in opens_among(&lab.actions()) {
            lab.fail(open.channel);
        }
        if lab.state(session) != SessionState::Over {
            lab.wait();
        }
    }
    let view = lab.session(session);
    assert_eq!((view.next_step(), view.since(), view.tried()), (None, None, &[][..]));
    lab.events();
    assert!(lab.pu.session(session).is_none());
}

/// [CORE-10]: messages that wait, that are on the way and that are done, and how old the oldest is.
#[test]
fn messages_are_counted_where_they_are() {
    let mut setup = mapped();
    setup.confirm(Confirms::Delivered);
    let (mut lab, _, session, element) =
        Lab::in_session(setup, SessionOptions::default(), &three());
    let load = |lab: &Lab| {
        let view = lab.session(session);
        (view.queued(), view.unconfirmed(), view.oldest())
    };
    assert_eq!(load(&lab), (0, 0, None));
    let mut receipt = SendOptions::default();
    receipt.receipt = true;
    let first = lab.pu.session_mut(lab.now, session).unwrap().send("one", receipt).unwrap();
    lab.secs(2);
    let second = send(&mut lab, session, "two", Failover::Unsent);
    assert_eq!(load(&lab), (2, 0, Some(at(0))));
    lab.pu.poll_action();
    assert_eq!(load(&lab), (1, 1, Some(at(0))));
    lab.pu.handle_delivered(lab.now, element.channel, first);
    assert_eq!(load(&lab), (1, 0, Some(at(2))), "its receipt is unread, which is no message");
    lab.actions();
    assert_eq!(load(&lab), (0, 1, Some(at(2))));
    lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
    assert!(lab.session(session).is_closing());
    assert_eq!(lab.state(session), SessionState::Up);
    assert_eq!(lab.next_step(session), Some((60, SessionTimer::Close)));
    lab.pu.handle_delivered(lab.now, element.channel, second);
    assert_eq!((lab.state(session), load(&lab)), (SessionState::Over, (0, 0, None)));
    assert!(!lab.session(session).is_closing());
}

/// [CORE-10]: a message that is put back has not become younger.
#[test]
fn a_message_grows_old_over_failovers() {
    let options = SessionOptions::default();
    let (mut lab, _, session, element) = Lab::in_session(mapped(), options, &three());
    send(&mut lab, session, "again", Failover::Unconfirmed);
    lab.actions();
    lab.secs(3);
    fail_over(&mut lab, &element);
    let view = lab.session(session);
    assert_eq!((view.queued(), view.unconfirmed(), view.oldest()), (1, 0, Some(at(0))));
    assert_eq!((view.last_loss(), view.element()), (Some(LossReason::Broken), Some(id(2))));
    assert_eq!(view.since(), Some(at(3)));
    assert_eq!(lab.next_step(session).unwrap().1, SessionTimer::Stable);
}

/// [CORE-10]: why nothing is sent after a failover.
#[test]
fn what_holds_data_back() {
    let mut options = SessionOptions::default();
    options.hold_after_failover = true;
    let (mut lab, _, session, element) = Lab::in_session(mapped(), options, &three());
    fail_over(&mut lab, &element);
    assert_eq!(lab.session(session).held_back(), Some(HeldBack::Unread));
    lab.events();
    assert_eq!(lab.session(session).held_back(), Some(HeldBack::NotResumed));
    lab.pu.session_mut(lab.now, session).unwrap().resume().unwrap();
    assert_eq!(lab.session(session).held_back(), None);
}

/// [CORE-10]: an element that closes its channel is no failure, and nothing is waited for.
#[test]
fn a_session_rests() {
    let options = SessionOptions::default();
    let (mut lab, _, session, element) = Lab::in_session(mapped(), options, &three());
    lab.pu.handle_closed(lab.now, element.channel, CloseReason::Closed);
    let view = lab.session(session);
    assert_eq!((view.state(), view.last_loss()), (SessionState::Resting, Some(LossReason::Closed)));
    assert_eq!((view.since(), view.element(), view.elements().count()), (None, None, 0));
    send(&mut lab, session, "hello", Failover::Unsent);
    assert_eq!(lab.session(session).calling(), Some(id(1)));
}

/// [CORE-10]: a session that chooses for each message, and one that has sent to all.
#[test]
fn sessions_with_many_elements() {
    let (mut lab, home) = Lab::at_home_with(mapped());
    let session = lab.pu.open_session(lab.now, POOL, choosing()).unwrap();
    assert_eq!(lab.state(session), SessionState::Resolving);
    lab.actions();
    lab.answer(home, POOL, &three());
    assert_eq!((lab.state(session), lab.next_step(session)), (SessionState::Choosing, None));
    lab.pu.session_mut(lab.now, session).unwrap().send("all", to(Recipient::All)).unwrap();
    assert_eq!((lab.session(session).queued(), lab.session(session).unconfirmed()), (0, 1));
    let opens = opens_among(&lab.actions());
    assert_eq!(lab.next_step(session), Some((5, SessionTimer::Connect)));
    lab.secs(1);
    opens[1..].iter().for_each(|open| lab.up(open.channel));
    let view = lab.session(session);
    assert_eq!(view.elements().collect::<Vec<_>>(), [(id(2), at(1)), (id(3), at(1))]);
    assert_eq!((view.element(), view.state()), (None, SessionState::Choosing));
}

/// [CORE-10]: sessions without a pool.
#[test]
fn sessions_past_the_pools() {
    let mut lab = Lab::new(mapped());
    let there = Transport::tcp("10.0.0.9:7".parse().unwrap());
    let options = SessionOptions::default();
    let session = lab.pu.open_session_at(lab.now, there, options).unwrap();
    let view = lab.session(session);
    assert_eq!((view.state(), view.handle(), view.calling()), (SessionState::Calling, None, None));
    let (session, _) = lab.pu.accept(lab.now, Protocol::Tcp, true, options).unwrap();
    let view = lab.session(session);
    assert_eq!((view.state(), view.since()), (SessionState::Up, Some(Instant::EPOCH)));
}

/// [CORE-10] [HUNT-3]: the rounds of a hunt, whom it tries, and the home that comes of it.
#[test]
fn the_hunt_and_the_home() {
    let mut lab = Lab::knowing(&FIVE);
    assert_eq!(lab.pu.registrars().hunt(), None);
    lab.pu.registrars_mut(lab.now).find_home();
    for round in 1..4 {
        let registrars = lab.pu.registrars();
        let (n, ends) = registrars.hunt().unwrap();
        assert_eq!((n, registrars.tried().count()), (round, 3));
        assert_eq!(registrars.home_search(), HomeSearch::Hunting);
        lab.actions();
        assert_eq!(lab.pu.poll_timeout(), Some(ends));
        lab.wait();
    }
    let one = opens_among(&lab.actions()).remove(0);
    assert!(lab.pu.registrars().tried().any(|tried| tried.socket_addrs().eq([one.to])));
    lab.up(one.channel);
    let registrars = lab.pu.registrars();
    assert_eq!((registrars.home_since(), registrars.hunt()), (Some(lab.now), None));
    assert_eq!(registrars.home_authentication(), Some(Authentication::None));
    assert!(registrars.home().unwrap().socket_addrs().eq([one.to]));
    assert_eq!(registrars.tried().count(), 0);

    // Beside a home that is doubted there is a hunt too, which is another one.
    lab.events();
    lab.actions();
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.wait();
    let registrars = lab.pu.registrars();
    assert_eq!(registrars.home_search(), HomeSearch::Doubted);
    assert_eq!((registrars.hunt().unwrap().0, registrars.tried().count()), (1, 2));
}

/// [CORE-10] [HUNT-9] [HUNT-10]: for how long an announced registrar is believed, and one that is not
/// who it should be is left alone.
#[test]
fn announced_and_barred() {
    let mut lab = with(|config| config.discovery.accept_announces = true);
    lab.secs(1);
    let there = Transport::tcp("192.0.2.9:3863".parse().unwrap());
    announce(&mut lab, "192.0.2.9:3863", 9, vec![there.clone()]);
    let known = lab.pu.registrars().announced().map(|(one, until)| (one.transport.clone(), until));
    let t7 = lab.pu.config().discovery.t7_outdate;
    assert_eq!(known.collect::<Vec<_>>(), [(there, at(1) + t7)]);

    let mut lab = with(|config| config.discovery.authenticated_only = true);
    lab.pu.registrars_mut(lab.now).find_home();
    let one = lab.open_one();
    lab.secs(1);
    lab.up(one.channel);
    let registrars = lab.pu.registrars();
    let barred: Vec<_> = registrars.barred().map(|(_, until)| until - lab.now).collect();
    assert_eq!(barred, [lab.pu.config().discovery.bar_time]);
    assert_eq!(registrars.announced().count(), 0);
}

/// [CORE-10] [RES-11]: what is subscribed to, and what was granted.
#[test]
fn subscriptions_are_listed() {
    let (mut lab, home) = Lab::at_home();
    assert_eq!(lab.pu.subscriptions().count(), 0);
    lab.pu.subscribe(lab.now, POOL).unwrap();
    lab.pu.subscribe(lab.now, "Other").unwrap();
    let mut granted = response(POOL, &three());
    if let Body::HandleResolutionResponse { updates, .. } = &mut granted.body {
        *updates = true;
    }
    lab.receive(home, &granted);
    let listed = |lab: &Lab| -> Vec<_> {
        lab.pu.subscriptions().map(|(handle, granted)| (handle.to_string(), granted)).collect()
    };
    assert_eq!(listed(&lab), [(POOL.to_owned(), true), ("Other".to_owned(), false)]);
    lab.pu.unsubscribe(lab.now, POOL.as_bytes());
    assert_eq!(listed(&lab), [("Other".to_owned(), false)]);
}

/// [CORE-10]: a pool user fits on a screen of 24 lines however much it knows, and shows nothing of
/// what is sent, received or kept for others.
#[test]
fn debug_is_short_and_keeps_secrets() {
    const SECRET: &str = "XYZZY";
    let (mut lab, home, session, element) =
        Lab::in_session(mapped(), SessionOptions::default(), &three());
    for n in 0..50 {
        lab.pu.subscribe(lab.now, format!("Pool {n}")).unwrap();
        lab.pu.open_session(lab.now, format!("Pool {n}"), SessionOptions::default()).unwrap();
        lab.pu.handle_data(lab.now, element.channel, SECRET.as_bytes());
        send(&mut lab, session, SECRET, Failover::Unconfirmed);
        lab.receive(element.channel, &Message::cookie(SECRET.as_bytes().to_vec()));
    }
    lab.pu.poll_action();
    for n in 0..20 {
        lab.answer(home, &format!("Pool {n}"), &(1..=200).map(lab::element).collect::<Vec<_>>());
    }
    lab.fail(element.channel);
    assert!(lab.session(session).cookie().is_some());
    let (short, long) = (format!("{:?}", lab.pu), format!("{:#?}", lab.pu));
    assert!(short.len() <= 24 * 80, "{} characters: {short}", short.len());
    let view = format!("{:?}", lab.session(session));
    let mutable = format!("{:?}", lab.pu.session_mut(lab.now, session).unwrap());
    let in_numbers = format!("{:?}", SECRET.as_bytes());
    for shown in [&short, &long, &view, &mutable] {
        assert!(!shown.contains(SECRET) && !shown.contains(&in_numbers), "{shown}");
    }
    for expected in ["sessions: 51", "192.0.2.1:3863", "next_timer: Some", "failures: 1"] {
        assert!(short.contains(expected), "{expected} in {short}");
    }
}
