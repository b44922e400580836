//! What sessions make of calls in an unlucky order. Most were found by fuzzing.

mod lab;

use asap_pu::wire::Protocol;
use asap_pu::{Action, Event, Failover, Payload, Protocols, SessionOptions};
use lab::*;

/// [SESSION-3] [SESSION-13]: the last message was handed over, and comes back before the session
/// is closed. It goes to the next element first.
#[test]
fn a_closing_session_sends_again_what_came_back() {
    let mut config = config(&[REGISTRAR]);
    config.confirms_delivery = Protocols::NONE.with(Protocol::Tcp);
    let (mut lab, _, session, element) =
        Lab::in_session(config, SessionOptions::default(), &three());
    let message = send(&mut lab, session, "last", Failover::Unsent);
    lab.pu.close(lab.now, session).unwrap();
    let handed = lab.pu.poll_action();
    assert!(matches!(handed, Some(Action::Send { payload: Payload::Data { .. }, .. })));
    lab.pu.handle_unsent(lab.now, element.channel, message);

    let next = fail_over(&mut lab, &element);
    assert!(matches!(lab.events()[..], [Event::FailedOver { .. }]));
    assert_eq!(data_among(&lab.actions()), [(next.channel, "last".into())]);
    assert!(matches!(lab.event(), Event::SessionEnded { error: None, .. }));
}

/// [SESSION-15] [CORE-9]: room that was there when nobody read, and is gone, is not told.
#[test]
fn room_is_told_as_it_stands() {
    let mut config = config(&[REGISTRAR]);
    config.max_queued_messages = 2;
    let (mut lab, _, session, element) =
        Lab::in_session(config, SessionOptions::default(), &three());
    let refused = |lab: &mut Lab| lab.pu.send(lab.now, session, "more", Failover::Never).is_err();
    send(&mut lab, session, "a", Failover::Unsent);
    send(&mut lab, session, "b", Failover::Unsent);
    assert!(refused(&mut lab));
    assert_eq!(lab.data().len(), 2, "there is room");
    send(&mut lab, session, "c", Failover::Unsent);
    send(&mut lab, session, "d", Failover::Unsent);
    assert!(refused(&mut lab), "it is gone");
    assert!(lab.events().is_empty());

    assert_eq!(lab.data(), [(element.channel, "c".into()), (element.channel, "d".into())]);
    assert!(matches!(lab.events()[..], [Event::Room { .. }]));
}

/// [SESSION-13]: a session that is closing ends in good order when the application confirms the
/// last message, which waited to be sent again.
#[test]
fn a_confirmed_message_is_the_last_one_too() {
    let (mut lab, _, session, element) =
        Lab::in_session(config(&[REGISTRAR]), SessionOptions::default(), &three());
    let message = send(&mut lab, session, "last", Failover::Always);
    assert_eq!(lab.data().len(), 1);
    lab.fail(element.channel);
    lab.pu.close(lab.now, session).unwrap();
    lab.actions();
    lab.events();
    assert!(lab.pu.confirm(lab.now, session, message));
    assert!(matches!(lab.event(), Event::SessionEnded { error: None, .. }));
}
