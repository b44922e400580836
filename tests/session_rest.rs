//! What a session remembers of elements that have not failed: an orderly close between two messages, a list that grew old, cookies
//! and cards of links beside the one that served (RFC 5352 §6.5, §6.7).

mod lab;

use asap_pu::wire::{Body, Message};
use asap_pu::{Action, CloseReason, Confirms, Event, Failover, Payload, Recipient};
use lab::*;

/// What is sent on control channels among the actions.
fn controls(actions: &[Action]) -> Vec<Message> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Send { payload: Payload::Control(bytes), .. } => {
                Some(Message::decode(bytes).unwrap())
            }
            _ => None,
        })
        .collect()
}

/// The hosts that are called next, one per message, in a session that chooses for each.
fn called(lab: &mut Lab, session: asap_pu::SessionId, messages: usize) -> Vec<String> {
    let mut hosts = Vec::new();
    for _ in 0..messages {
        send(lab, session, "next", Failover::Unsent);
        hosts.extend(settle(lab).iter().map(|open| open.to.ip().to_string()));
        lab.actions();
        lab.events();
    }
    hosts
}

/// [SESSION-1] [SESSION-17]: elements that answer and close in good order have not failed: the policy
/// goes on choosing among all of them.
#[test]
fn elements_that_close_after_each_answer_take_turns() {
    let (mut lab, _, session) = choosing_lab(mapped());
    let mut called = Vec::new();
    for _ in 0..6 {
        let message = send(&mut lab, session, "x", Failover::Unconfirmed);
        let open = lab.open_one();
        called.push(open.to.ip().to_string());
        lab.up(open.channel);
        assert_eq!(lab.data().len(), 1);
        lab.pu.handle_data(lab.now, open.channel, b"answer");
        assert!(lab.pu.session_mut(lab.now, session).unwrap().confirm(message));
        lab.pu.handle_closed(lab.now, open.channel, CloseReason::Closed);
        lab.events();
        lab.secs(1);
        lab.pu.handle_timeout(lab.now);
    }
    let turns = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
    assert_eq!(called, [turns, turns].concat());
}

/// [SESSION-1] [SESSION-17]: idle links that close in good order, in any order, narrow no choice.
#[test]
fn idle_links_that_close_narrow_no_choice() {
    let (mut lab, _, session) = choosing_lab(mapped());
    let mut opens = Vec::new();
    for _ in 0..3 {
        send(&mut lab, session, "x", Failover::Unsent);
        opens.extend(settle(&mut lab));
    }
    lab.actions();
    lab.events();
    lab.secs(20);
    lab.pu.handle_timeout(lab.now);
    for open in opens.iter().rev() {
        lab.pu.handle_closed(lab.now, open.channel, CloseReason::Closed);
    }
    lab.actions();
    lab.events();
    let mut hosts = called(&mut lab, session, 3);
    hosts.sort();
    assert_eq!(hosts, ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
}

/// [SESSION-3] [CACHE-3]: a session whose element closed in good order long ago asks for a new list
/// when it goes on.
#[test]
fn a_rested_session_refreshes_its_list() {
    let (mut lab, _, session, one) = Lab::in_session(mapped(), Default::default(), &three());
    lab.pu.handle_data(lab.now, one.channel, b"bye");
    lab.pu.handle_closed(lab.now, one.channel, CloseReason::Closed);
    lab.events();
    lab.secs(3600);
    lab.pu.handle_timeout(lab.now);
    lab.actions();
    send(&mut lab, session, "x", Failover::Unsent);
    let asked = controls(&lab.actions());
    assert!(
        asked.iter().any(|message| matches!(message.body, Body::HandleResolution { .. })),
        "{asked:?}"
    );
}

/// [SESSION-9]: a card is for failovers; what the policy chooses while nobody fails is the policy's.
#[test]
fn a_card_rules_no_ordinary_choice() {
    let (mut lab, _, session) = choosing_lab(mapped());
    send(&mut lab, session, "one", Failover::Unsent);
    let one = lab.open_one();
    lab.up(one.channel);
    lab.actions();
    lab.receive(one.channel, &Message::business_card(POOL, vec![element(3)]));
    assert_eq!(called(&mut lab, session, 2), ["10.0.0.2", "10.0.0.3"]);
}

/// [SESSION-7] [SESSION-21]: the cookie of an element that got a copy does not push out that of the one
/// that served.
#[test]
fn the_cookie_of_a_copy_pushes_out_none() {
    let (mut lab, _, session) = choosing_lab(mapped());
    send(&mut lab, session, "one", Failover::Unsent);
    let one = lab.open_one();
    lab.up(one.channel);
    lab.actions();
    lab.receive(one.channel, &Message::cookie("served"));
    lab.pu.session_mut(lab.now, session).unwrap().send("all", to(Recipient::All)).unwrap();
    let others = settle(&mut lab);
    lab.actions();
    lab.receive(others[0].channel, &Message::cookie("copy"));
    lab.fail(one.channel);
    lab.fail(others[0].channel);
    lab.actions();
    lab.events();
    send(&mut lab, session, "two", Failover::Unsent);
    assert_eq!(controls(&lab.actions()), [Message::cookie_echo("served")]);
}

/// [SESSION-4]: many links that end at once for a reason of the driver's own are one trouble and cost
/// one pause.
#[test]
fn one_trouble_of_the_driver_is_one_pause() {
    let (mut lab, home) = Lab::at_home_with(mapped());
    let elements: Vec<_> = (1..=10).map(element).collect();
    let session = lab.pu.open_session(lab.now, POOL, choosing()).unwrap();
    lab.actions();
    lab.answer(home, POOL, &elements);
    let mut opens = Vec::new();
    for _ in 0..10 {
        send(&mut lab, session, "x", Failover::Unsent);
        opens.extend(settle(&mut lab));
    }
    lab.actions();
    lab.events();
    assert_eq!(opens.len(), 10);
    lab.secs(1);
    lab.pu.handle_timeout(lab.now);
    for open in &opens {
        lab.pu.handle_closed(lab.now, open.channel, CloseReason::Local);
    }
    lab.actions();
    lab.events();
    send(&mut lab, session, "next", Failover::Unsent);
    let began = lab.now;
    while opens_among(&lab.actions()).is_empty() {
        lab.wait();
        assert!(lab.now - began <= secs(2), "one pause of about a second");
    }
}

/// [SESSION-4] [SESSION-15]: time that a message spends in the window of a link that is up is not time
/// without an element.
#[test]
fn time_in_a_window_is_not_time_without_an_element() {
    let mut config = mapped();
    config.confirm(Confirms::Written);
    config.limits.window_messages = 1;
    let (mut lab, home) = Lab::at_home_with(config);
    let elements: Vec<_> = (1..=30).map(element).collect();
    let session = lab.pu.open_session(lab.now, POOL, choosing()).unwrap();
    lab.actions();
    lab.answer(home, POOL, &elements);
    send(&mut lab, session, "first", Failover::Unsent);
    let one = lab.open_one();
    lab.up(one.channel);
    assert_eq!(lab.data().len(), 1);
    lab.events();
    lab.pu
        .session_mut(lab.now, session)
        .unwrap()
        .send("in the window", to(Recipient::SameAsLast))
        .unwrap();
    // Others are called, and do not come up, for longer than a search may take.
    while lab.now < asap_pu::Instant::EPOCH + secs(70) {
        if lab.pu.session(session).map(|session| session.queued()) == Some(1) {
            send(&mut lab, session, "other", Failover::Never);
        }
        lab.actions();
        lab.answer(home, POOL, &elements);
        lab.actions();
        lab.secs(1);
        lab.pu.handle_timeout(lab.now);
        lab.events();
    }
    lab.fail(one.channel);
    let returned =
        |event: &Event| matches!(event, Event::Returned { data, .. } if data == "in the window");
    assert!(!lab.events().iter().any(returned), "it goes to another element");
}

/// [SESSION-19] [CORE-6]: messages that were given to a link and withdrawn leave nothing behind there.
#[test]
fn withdrawn_messages_leave_nothing_on_a_link() {
    let (mut lab, _, session) = choosing_lab(mapped());
    let used = allocation_counter::measure(|| {
        for _ in 0..100_000 {
            let message = send(&mut lab, session, "x", Failover::Unsent);
            lab.pu.session_mut(lab.now, session).unwrap().withdraw(message).unwrap();
        }
    });
    assert!(used.bytes_current < 100_000, "{} bytes stay", used.bytes_current);
}
