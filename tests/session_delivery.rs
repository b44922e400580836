//! What becomes of a message: the guarantee for each kind of transport, windows, cookies and cards
//! (RFC 5352 §3.8, §3.9, §6.5.5).

mod lab;

use asap_pu::wire::{CauseCode, EncodeError, Message, PoolElement};
use asap_pu::{
    Action, ChannelId, CommandError, Confirms, Event, Failover, Identity, MessageId, Payload,
    SendErrorReason, SendOptions, SessionId, SessionOptions,
};
use bytes::Bytes;
use lab::*;

const ALL: [Failover; 3] = [Failover::Never, Failover::Unsent, Failover::Undelivered];

/// A driver whose transport tells what became of each message, as SCTP does.
fn confirming() -> Setup {
    let mut config = mapped();
    config.confirm(Confirms::Delivered);
    config
}

/// A driver that confirms what it has written, within a window.
fn windowed(messages: usize, bytes: usize) -> Setup {
    let mut config = mapped();
    config.confirm(Confirms::Written);
    (config.limits.window_messages, config.limits.window_bytes) = (messages, bytes);
    config
}

/// What was given back.
fn undelivered(events: &[Event]) -> Vec<MessageId> {
    let back = events.iter().filter_map(|event| match event {
        Event::Returned { message, .. } => Some(*message),
        _ => None,
    });
    back.collect()
}

/// Six messages, two of each kind, of which the first three are handed over; then the element dies.
/// What the next element gets, and what comes back.
fn lose_half_sent(
    config: Setup,
    before_loss: impl FnOnce(&mut Lab, ChannelId, &[MessageId]),
) -> (Vec<String>, Vec<usize>) {
    let (mut lab, _, session, first) = Lab::in_session(config, Default::default(), &three());
    let early = ["never 1", "unsent 1", "always 1"];
    let late = ["never 2", "unsent 2", "always 2"];
    let mut ids = Vec::new();
    for (data, failover) in early.into_iter().zip(ALL) {
        ids.push(send(&mut lab, session, data, failover));
    }
    assert_eq!(lab.data().len(), 3);
    for (data, failover) in late.into_iter().zip(ALL) {
        ids.push(send(&mut lab, session, data, failover));
    }
    before_loss(&mut lab, first.channel, &ids);
    let second = fail_over(&mut lab, &first);
    let back = undelivered(&lab.events());
    let sent = lab.data();
    assert!(sent.iter().all(|(channel, _)| *channel == second.channel));
    let back = back.iter().map(|id| ids.iter().position(|other| other == id).unwrap());
    (sent.into_iter().map(|(_, data)| data).collect(), back.collect())
}

/// [SESSION-3] [SESSION-5] [SESSION-15]: over a silent transport, what was handed over is lost with the element, unless
/// it may arrive twice; what was not handed over goes on or comes back.
#[test]
fn the_guarantee_of_a_silent_transport() {
    let (sent, back) = lose_half_sent(mapped(), |_, _, _| {});
    assert_eq!(sent, ["always 1", "unsent 2", "always 2"]);
    assert_eq!(back, [3], "the one for this element alone that was not handed over");
}

/// [SESSION-3] [SESSION-5]: over a transport that confirms, what it gives back counts as never sent.
#[test]
fn the_guarantee_of_a_transport_that_confirms() {
    let (sent, back) = lose_half_sent(confirming(), |lab, channel, ids| {
        for id in &ids[..3] {
            lab.pu.handle_unsent(lab.now, channel, *id);
        }
        assert_eq!(lab.pu.stats().messages_unsent, 3);
    });
    assert_eq!(sent, ["unsent 1", "always 1", "unsent 2", "always 2"]);
    assert_eq!(back, [0, 3]);
}

/// [SESSION-3] [SESSION-5]: what was delivered goes nowhere else; what has an unknown fate only where it may arrive twice.
#[test]
fn what_was_delivered_is_not_sent_again() {
    let (sent, back) = lose_half_sent(confirming(), |lab, channel, ids| {
        lab.pu.handle_delivered(lab.now, channel, ids[2]);
    });
    assert_eq!((sent, back), (vec!["unsent 2".into(), "always 2".into()], vec![3]));
    let (sent, _) = lose_half_sent(confirming(), |lab, channel, ids| {
        lab.pu.handle_unsent(lab.now, channel, ids[1]);
    });
    assert_eq!(sent, ["unsent 1", "always 1", "unsent 2", "always 2"]);
}

/// Confirmations for messages that are unknown, or settled, are counted and change nothing.
#[test]
fn confirmations_for_unknown_messages_are_counted() {
    let (mut lab, home, session, first) =
        Lab::in_session(confirming(), Default::default(), &three());
    let message = send(&mut lab, session, "one", Failover::Undelivered);
    lab.pu.handle_delivered(lab.now, first.channel, message);
    lab.pu.handle_written(lab.now, first.channel, message);
    lab.pu.handle_unsent(lab.now, first.channel, message);
    lab.pu.handle_delivered(lab.now, home, message);
    assert_eq!(lab.pu.stats().unknown_confirmations, 4);
    assert_eq!(lab.data(), [(first.channel, "one".into())], "it waits as before");
    lab.pu.handle_delivered(lab.now, first.channel, message);
    lab.pu.handle_delivered(lab.now, first.channel, message);
    assert_eq!(lab.pu.stats().unknown_confirmations, 5);
    assert!(!lab.pu.session_mut(lab.now, session).unwrap().confirm(message));
}

/// [SESSION-5]: the application confirms by its answers; then nothing is sent again.
#[test]
fn the_application_confirms_by_its_answers() {
    let (mut lab, _, session, first) = Lab::in_session(mapped(), Default::default(), &three());
    let ids = ["one", "two"].map(|data| send(&mut lab, session, data, Failover::Undelivered));
    lab.data();
    assert!(lab.pu.session_mut(lab.now, session).unwrap().confirm(ids[0]));
    let second = fail_over(&mut lab, &first);
    lab.events();
    assert_eq!(lab.data(), [(second.channel, "two".into())]);
}

/// [SESSION-5]: whether a message may overtake others is the driver's to heed.
#[test]
fn unordered_messages_say_so() {
    let (mut lab, _, session, _) = Lab::in_session(mapped(), Default::default(), &three());
    let mut options = SendOptions::default();
    options.unordered = true;
    lab.pu.session_mut(lab.now, session).unwrap().send("any time", options).unwrap();
    let actions = lab.actions();
    let [Action::Send { payload: Payload::Data { unordered, .. }, .. }] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert!(unordered);
}

/// [SESSION-15]: no more than a window of messages is handed over; each confirmed write lets another one go.
#[test]
fn the_window_holds_messages_back() {
    let (mut lab, _, session, first) =
        Lab::in_session(windowed(2, 1_000), Default::default(), &three());
    let ids = ["a", "b", "c", "d"].map(|data| send(&mut lab, session, data, Failover::Unsent));
    assert_eq!(lab.data().len(), 2);
    assert_eq!(lab.pu.session(session).map(|session| session.queued()), Some(2));
    lab.pu.handle_written(lab.now, first.channel, ids[1]);
    assert_eq!(lab.data(), [(first.channel, "c".into())]);
    lab.pu.handle_written(lab.now, first.channel, ids[1]);
    assert_eq!((lab.data().len(), lab.pu.stats().unknown_confirmations), (0, 1));
    let second = fail_over(&mut lab, &first);
    lab.events();
    assert_eq!(lab.data(), [(second.channel, "d".into())], "what was held back fails over");
}

/// [SESSION-15]: the window is one of bytes too, and each channel has its own.
#[test]
fn the_window_counts_bytes() {
    let (mut lab, home, session, first) =
        Lab::in_session(windowed(9, 10), Default::default(), &three());
    let id = send(&mut lab, session, "123456", Failover::Unsent);
    send(&mut lab, session, "12345", Failover::Unsent);
    assert_eq!(lab.data(), [(first.channel, "123456".into())]);
    let other = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    let second = lab.open_one();
    lab.up(second.channel);
    send(&mut lab, other, "1234567890", Failover::Unsent);
    assert_eq!(lab.data(), [(second.channel, "1234567890".into())]);
    lab.pu.handle_written(lab.now, home, id);
    assert_eq!((lab.data(), lab.pu.stats().unknown_confirmations), (vec![], 1));
    lab.pu.handle_delivered(lab.now, first.channel, id);
    assert_eq!(lab.data(), [(first.channel, "12345".into())], "delivered means written");
}

/// [SESSION-15]: an application whose message was refused hears when half of the queue is free.
#[test]
fn there_is_room_again() {
    let mut config = windowed(1, 1_000);
    config.limits.max_queued_messages = 4;
    let (mut lab, _, session, first) = Lab::in_session(config, Default::default(), &three());
    let ids = ["a", "b", "c", "d"].map(|data| send(&mut lab, session, data, Failover::Unsent));
    let refused = lab
        .pu
        .session_mut(lab.now, session)
        .unwrap()
        .send("e", SendOptions::default())
        .unwrap_err();
    assert!(is_full(&refused) && refused.data == "e");
    lab.data();
    lab.pu.handle_written(lab.now, first.channel, ids[0]);
    lab.data();
    assert_eq!(lab.events(), [], "one is out, and two wait");
    lab.pu.handle_written(lab.now, first.channel, ids[1]);
    lab.data();
    assert!(matches!(lab.event(), Event::Writable { session: of, .. } if of == session));
    lab.pu.handle_written(lab.now, first.channel, ids[2]);
    lab.data();
    assert_eq!(lab.events(), [], "told once");
}

/// [SESSION-8]: without a control channel the application hands the cookie in and takes it out itself.
#[test]
fn the_application_keeps_the_cookie_itself() {
    let (mut lab, _, session, first) =
        Lab::in_session(config(&[REGISTRAR]), Default::default(), &three());
    lab.pu.session_mut(lab.now, session).unwrap().set_cookie(Some(Bytes::from("mine"))).unwrap();
    fail_over(&mut lab, &first);
    assert_eq!(lab.actions(), [], "no control channel, no echo");
    assert!(matches!(lab.events().last(), Some(Event::FailedOver { cookie_echoed: false, .. })));
    assert_eq!(
        lab.pu.session(session).and_then(|session| session.cookie()),
        Some(&Bytes::from("mine"))
    );
    let refused =
        lab.pu.session_mut(lab.now, session).unwrap().set_cookie(Some(Bytes::from(vec![0; 4_097])));
    assert_eq!(refused, Err(CommandError::CookieTooLong { len: 4_097, max: 4_096 }));
    lab.pu.session_mut(lab.now, session).unwrap().set_cookie(None).unwrap();
    assert_eq!(lab.pu.session(session).and_then(|session| session.cookie()), None);
}

/// [SESSION-7] [SESSION-8]: a cookie that was handed in goes ahead where there is a control channel.
#[test]
fn a_cookie_that_was_handed_in_is_echoed() {
    let (mut lab, _, session, first) = Lab::in_session(mapped(), Default::default(), &three());
    lab.receive(first.channel, &Message::cookie("the element's"));
    lab.pu.session_mut(lab.now, session).unwrap().set_cookie(Some(Bytes::from("mine"))).unwrap();
    let second = fail_over(&mut lab, &first);
    assert_eq!(lab.controls(), [(second.channel, Message::cookie_echo("mine"))]);
}

/// The card of the first element, then its death; the address that the session turns to.
fn after_card(config: Setup, card: Vec<PoolElement>) -> (Lab, SessionId, Opened) {
    let (mut lab, _, session, first) = Lab::in_session(config, Default::default(), &three());
    lab.receive(first.channel, &Message::business_card(POOL, card));
    assert_eq!(lab.actions(), []);
    lab.fail(first.channel);
    let next = opens_among(&lab.actions()).remove(0);
    (lab, session, next)
}

/// [SESSION-9]: a card for the session's own pool sets the order of failover, over elements that the registrar lists, at
/// the addresses that the registrar lists.
#[test]
fn a_card_sets_the_order_of_failover() {
    let mut moved = element(3);
    moved.transport = asap_pu::wire::Transport::tcp("10.66.0.3:7".parse().unwrap());
    let (mut lab, _, next) = after_card(mapped(), vec![element(66), moved, element(2)]);
    assert_eq!(next.to, "10.0.0.3:7".parse().unwrap(), "not 66, and not where the card says");
    lab.fail(next.channel);
    assert_eq!(opens_among(&lab.actions())[0].to, "10.0.0.2:7".parse().unwrap());
    assert_eq!(lab.pu.stats().cards, 1);
}

/// [SESSION-9]: only where the configuration trusts them are a card's own addresses used, and only for elements that the
/// registrar does not list.
#[test]
fn the_addresses_of_a_card_are_used_only_if_trusted() {
    let mut config = mapped();
    config.sessions.trust_card_addresses = true;
    let (mut lab, _, next) = after_card(config, vec![element(66), element(2)]);
    assert_eq!(next.to, "10.0.0.66:7".parse().unwrap());
    lab.up(next.channel);
    let events = lab.events();
    assert!(matches!(events.last(), Some(Event::FailedOver { to, .. }) if *to == id(66)));
}

/// [SESSION-9] [HUNT-20]: what a card says of addresses is read as what a registrar says: an IPv4-mapped one
/// is an IPv4 address, and where nobody can be called is nobody.
#[test]
fn the_addresses_of_a_card_are_read_like_others() {
    let at = |id: u32, at: &str| {
        let mut element = element(id);
        element.transport = asap_pu::wire::Transport::tcp(at.parse().unwrap());
        element
    };
    let mut config = mapped();
    config.sessions.trust_card_addresses = true;
    let card = vec![at(65, "0.0.0.0:7"), at(66, "[::ffff:10.0.0.66]:7")];
    let (_, _, next) = after_card(config, card);
    assert_eq!(next.to, "10.0.0.66:7".parse().unwrap());
}

/// [SESSION-9]: elements that have failed are passed over although a card prefers them.
#[test]
fn a_card_does_not_bring_back_the_dead() {
    let (mut lab, home) = Lab::at_home_with(mapped());
    for _ in 0..2 {
        lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    }
    lab.actions();
    lab.answer(home, POOL, &three());
    let [one, two] = lab.opens().try_into().unwrap();
    lab.up(one.channel);
    lab.up(two.channel);
    lab.receive(two.channel, &Message::business_card(POOL, vec![element(1), element(3)]));
    lab.fail(one.channel);
    lab.actions();
    lab.fail(two.channel);
    assert_eq!(opens_among(&lab.actions())[0].to, "10.0.0.3:7".parse().unwrap());
}

/// [SESSION-9] [CORE-6]: of a card with thousands of elements the first ones count; the rest is counted.
#[test]
fn a_card_with_thousands_of_elements() {
    let mut card: Vec<_> = (100..1_500).map(element_at_any_address).collect();
    card.insert(1, element(3));
    let (lab, _, next) = after_card(mapped(), card);
    assert_eq!(next.to, "10.0.0.3:7".parse().unwrap());
    assert_eq!(lab.pu.stats().card_elements_cut, 1_401 - 32);
}

/// One of more elements than `element` has addresses for.
fn element_at_any_address(id: u32) -> PoolElement {
    let [_, _, high, low] = id.to_be_bytes();
    let mut element = element(1);
    element.identifier = asap_pu::wire::PeIdentifier::new(id);
    let at = core::net::SocketAddr::from(([10, 1, high, low], 7));
    element.transport = asap_pu::wire::Transport::tcp(at);
    element
}

/// [SESSION-9]: cards for other pools cause one resolution a second at most, of valid handles that the cache lacks.
#[test]
fn cards_of_other_pools_are_looked_up_slowly() {
    let (mut lab, home, _, first) = Lab::in_session(mapped(), Default::default(), &three());
    let card = |pool: &str| Message::business_card(pool, vec![element(2)]);
    let too_long = "a handle that is longer than thirty-two bytes";
    for pool in [too_long, "other", "another", "a third"] {
        lab.receive(first.channel, &card(pool));
    }
    assert_eq!((lab.requests(), lab.pu.stats().cards_ignored), (vec![(home, "other".into())], 3));
    lab.receive(home, &refusal("other", CauseCode::UNKNOWN_POOL_HANDLE));
    assert_eq!(lab.events(), [], "nobody asked");
    lab.secs(1);
    lab.receive(first.channel, &card("another"));
    assert_eq!(lab.requests(), [(home, "another".into())]);
    lab.answer(home, "another", &three());
    lab.secs(31);
    lab.receive(first.channel, &card("another"));
    assert_eq!(lab.requests(), [], "it is known, if not fresh");
    assert_eq!(lab.pu.stats().cards, 0);
}

/// [SESSION-6] [SESSION-9]: a card on a data-only transport is counted and ignored.
#[test]
fn a_card_needs_a_control_channel() {
    let (mut lab, _, _, first) =
        Lab::in_session(config(&[REGISTRAR]), Default::default(), &three());
    lab.receive(first.channel, &Message::business_card(POOL, vec![element(3)]));
    assert_eq!(lab.pu.stats().unexpected_messages, 1);
    assert_eq!(fail_over(&mut lab, &first).to, "10.0.0.2:7".parse().unwrap());
}

/// [SESSION-9]: a pool user that is no element sends no card; one that is begins every control channel with it, after
/// the cookie, and a new card goes to all that are up.
#[test]
fn a_node_that_is_an_element_sends_its_card() {
    let (mut lab, ..) = Lab::in_session(mapped(), Default::default(), &three());
    assert_eq!(lab.actions(), []);
    assert_eq!(lab.pu.set_card(vec![]), Err(CommandError::NoIdentity));

    let mut config = mapped();
    config.sessions.identity = Some(Identity::new("MyPool", id(5)));
    let (mut lab, _, _, first) = Lab::in_session(config.clone(), Default::default(), &three());
    assert_eq!(lab.controls(), [(first.channel, Message::business_card("MyPool", vec![]))]);
    lab.pu.set_card(vec![element(6), element(7)]).unwrap();
    let card = Message::business_card("MyPool", vec![element(6), element(7)]);
    assert_eq!(lab.controls(), [(first.channel, card.clone())]);
    lab.receive(first.channel, &Message::cookie("state"));
    let second = fail_over(&mut lab, &first);
    let echo = Message::cookie_echo("state");
    assert_eq!(lab.controls(), [(second.channel, echo), (second.channel, card)]);
    assert_eq!(lab.pu.stats().cards_sent, 3);
    let many = vec![element(1); 3_000];
    assert!(matches!(
        lab.pu.set_card(many),
        Err(CommandError::InvalidCard(EncodeError::TooLong { .. }))
    ));

    config.capabilities = TCP;
    let (mut lab, ..) = Lab::in_session(config, Default::default(), &three());
    assert_eq!(lab.actions(), [], "no control channel");
}

/// [SESSION-5]: what the application confirms after the element was lost is not sent again.
#[test]
fn what_was_confirmed_after_the_loss_is_not_sent_again() {
    let (mut lab, _, session, first) =
        Lab::in_session(config(&[REGISTRAR]), SessionOptions::default(), &three());
    let message = send(&mut lab, session, "request", Failover::Undelivered);
    lab.data();
    lab.pu.handle_data(lab.now, first.channel, b"answer");
    lab.fail(first.channel);
    lab.events();
    assert!(lab.pu.session_mut(lab.now, session).unwrap().confirm(message));
    let second = opens_among(&lab.actions()).remove(0);
    lab.up(second.channel);
    lab.events();
    assert_eq!(data_among(&lab.actions()), []);
    assert!(!lab.pu.session_mut(lab.now, session).unwrap().confirm(message));
}

/// [SESSION-2]: a message that never fits is refused as such.
#[test]
fn a_message_that_never_fits_says_so() {
    let mut config = config(&[REGISTRAR]);
    config.limits.max_queued_bytes = 10;
    let (mut lab, _, session, _) = Lab::in_session(config, SessionOptions::default(), &three());
    let refused = lab
        .pu
        .session_mut(lab.now, session)
        .unwrap()
        .send(vec![0; 11], Failover::Unsent)
        .unwrap_err();
    assert_eq!((refused.reason, refused.data.len()), (SendErrorReason::TooLong, 11));
}

/// [SESSION-15]: half of the bytes.
#[test]
fn there_is_room_when_half_of_the_bytes_are_free() {
    let mut config = config(&[REGISTRAR]);
    config.confirm(Confirms::Written);
    (config.limits.window_messages, config.limits.max_queued_bytes) = (1, 8);
    let (mut lab, _, session, first) = Lab::in_session(config, SessionOptions::default(), &three());
    let mut ids = Vec::new();
    for data in ["12", "34", "56", "78"] {
        ids.push(send(&mut lab, session, data, Failover::Unsent));
    }
    assert!(lab.pu.session_mut(lab.now, session).unwrap().send("9", Failover::Unsent).is_err());
    lab.data();
    lab.pu.handle_written(lab.now, first.channel, ids[0]);
    lab.data();
    assert_eq!(lab.events(), [], "two bytes are out, and four wait");
    lab.pu.handle_written(lab.now, first.channel, ids[1]);
    lab.data();
    assert!(matches!(lab.event(), Event::Writable { .. }));
}
