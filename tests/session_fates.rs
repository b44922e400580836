//! What becomes of each message, told once (RFC 5352 §6.5.5, §6.7).

mod lab;

use asap_pu::wire::Protocol;
use asap_pu::{
    CloseReason, CommandError, Confirms, Event, Failover, LossReason, MessageId, Recipient,
    SendErrorReason, SendOptions, SessionOptions, UndeliveredReason,
};
use lab::*;

/// A driver that tells what was delivered and given back, and what was written.
fn confirming() -> Setup {
    let mut config = config(&[REGISTRAR]);
    config.confirm(Confirms::Delivered);
    config
}

fn writing() -> Setup {
    let mut config = config(&[REGISTRAR]);
    config.confirm(Confirms::Written);
    config
}

/// The fate that one event tells: of which message, whether it is lost, and why.
fn fate(event: &Event) -> Option<(MessageId, bool, UndeliveredReason)> {
    match event {
        Event::Returned { message, reason, .. } => Some((*message, false, *reason)),
        Event::Lost { message, reason, .. } => Some((*message, true, *reason)),
        _ => None,
    }
}

fn fates(lab: &mut Lab) -> Vec<(MessageId, bool, UndeliveredReason)> {
    lab.events().iter().filter_map(fate).collect()
}

const WISHES: [Failover; 4] =
    [Failover::Never, Failover::Unsent, Failover::Undelivered, Failover::Unconfirmed];

/// [SESSION-17]: no loss is silent. What was handed over and not known to be done when its element is
/// lost, is told to be lost, unless it goes again; what waited goes on or comes back.
#[test]
fn no_loss_is_silent() {
    for (config, kept) in [(confirming(), 2), (writing(), 2), (config(&[REGISTRAR]), 0)] {
        let (mut lab, _, session, one) = Lab::in_session(config, Default::default(), &three());
        let out = WISHES.map(|wish| send(&mut lab, session, "out", wish));
        assert_eq!(lab.data().len(), 4);
        let waiting = WISHES.map(|wish| send(&mut lab, session, "waiting", wish));
        let two = fail_over(&mut lab, &one);
        let why = UndeliveredReason::ElementLost(LossReason::Broken);
        let mut expected: Vec<_> = out[..kept].iter().map(|id| (*id, true, why)).collect();
        expected.push((waiting[0], false, why));
        assert_eq!(fates(&mut lab), expected);
        let again = ["out", "out", "waiting", "waiting", "waiting"];
        assert_eq!(lab.data(), again.map(|data| (two.channel, data.into())));
    }
}

/// [SESSION-19]: what a transport took was not necessarily read. A message that goes again until the
/// application confirms it does so although it was delivered; one that goes again unless it was
/// delivered does not.
#[test]
fn a_message_may_go_again_until_it_is_confirmed() {
    let (mut lab, _, session, one) = Lab::in_session(confirming(), Default::default(), &three());
    let ids = [Failover::Undelivered, Failover::Unconfirmed, Failover::Unconfirmed]
        .map(|wish| send(&mut lab, session, "request", wish));
    assert_eq!(lab.data().len(), 3);
    ids.iter().for_each(|id| lab.pu.handle_delivered(lab.now, one.channel, *id));
    assert!(lab.pu.session_mut(lab.now, session).unwrap().confirm(ids[2]));
    let two = fail_over(&mut lab, &one);
    lab.events();
    assert_eq!(lab.data(), [(two.channel, "request".into())]);
    lab.pu.handle_delivered(lab.now, two.channel, ids[1]);
    lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
    assert_eq!((lab.actions(), lab.events()), (vec![], vec![]), "closing waits for the answer");
    assert!(lab.pu.session_mut(lab.now, session).unwrap().confirm(ids[1]));
    assert!(!lab.pu.session_mut(lab.now, session).unwrap().confirm(ids[1]));
    assert!(matches!(lab.event(), Event::SessionEnded { error: None, .. }));
}

/// [SESSION-17] [SESSION-18]: a message that kills who receives it is handed over so often and no
/// more, and then is lost.
#[test]
fn a_deadly_message_does_not_kill_the_pool() {
    for options in [SessionOptions::default(), choosing()] {
        let (mut lab, home) = Lab::at_home();
        let session = lab.pu.open_session(lab.now, POOL, options).unwrap();
        let deadly = send(&mut lab, session, "deadly", Failover::Unconfirmed);
        lab.actions();
        lab.answer(home, POOL, &(1..=20).map(element).collect::<Vec<_>>());
        let mut killed = 0;
        let fate = loop {
            let actions = lab.actions();
            opens_among(&actions).iter().for_each(|open| lab.up(open.channel));
            for (channel, _) in data_among(&actions) {
                killed += 1;
                lab.fail(channel);
            }
            if let Some(fate) = fates(&mut lab).pop() {
                break fate;
            }
            if actions.is_empty() {
                lab.wait();
            }
        };
        assert_eq!(fate, (deadly, true, UndeliveredReason::TooManyHandovers));
        assert_eq!(killed, 5);
    }
}

/// [SESSION-17]: what comes back while its channel lives goes again by itself, so often and no more;
/// what may not go again is returned. Nothing stays on the books.
#[test]
fn what_comes_back_goes_again_or_is_returned() {
    for options in [SessionOptions::default(), choosing()] {
        for wish in WISHES {
            let (mut lab, home) = Lab::at_home_with(confirming());
            let session = lab.pu.open_session(lab.now, POOL, options).unwrap();
            lab.actions();
            lab.answer(home, POOL, &[element(1)]);
            let mut tries = 0;
            for _ in 0..600 {
                send(&mut lab, session, "", wish);
                loop {
                    let actions = lab.actions();
                    opens_among(&actions).iter().for_each(|open| lab.up(open.channel));
                    for action in &actions {
                        if let asap_pu::Action::Send {
                            channel,
                            payload: asap_pu::Payload::Data { message, .. },
                            ..
                        } = action
                        {
                            tries += 1;
                            lab.pu.handle_unsent(lab.now, *channel, *message);
                        }
                    }
                    if actions.is_empty() {
                        break;
                    }
                }
                let told = fates(&mut lab);
                let reason = match wish {
                    Failover::Never => UndeliveredReason::NotSent,
                    _ => UndeliveredReason::TooManyHandovers,
                };
                assert!(matches!(told[..], [(_, false, why)] if why == reason), "{told:?}");
            }
            assert_eq!(tries, if wish == Failover::Never { 600 } else { 3_000 });
            assert_eq!(lab.pu.session(session).map(|session| session.queued()), Some(0));
        }
    }
}

/// [SESSION-19]: a message can be taken back until it is handed over.
#[test]
fn a_message_can_be_withdrawn() {
    for options in [SessionOptions::default(), choosing()] {
        let (mut lab, home) = Lab::at_home_with(writing());
        let session = lab.pu.open_session(lab.now, POOL, options).unwrap();
        let ids = ["a", "b", "c", "d"].map(|data| send(&mut lab, session, data, Failover::Never));
        assert_eq!(lab.pu.session_mut(lab.now, session).unwrap().withdraw(ids[0]).unwrap(), "a");
        lab.actions();
        lab.answer(home, POOL, &[element(1)]);
        assert_eq!(lab.pu.session_mut(lab.now, session).unwrap().withdraw(ids[1]).unwrap(), "b");
        let one = lab.open_one();
        lab.up(one.channel);
        assert_eq!(lab.pu.session_mut(lab.now, session).unwrap().withdraw(ids[2]).unwrap(), "c");
        assert_eq!(lab.data(), [(one.channel, "d".into())]);
        for id in ids {
            let refused = lab.pu.session_mut(lab.now, session).unwrap().withdraw(id);
            assert_eq!(refused, Err(CommandError::NotWaiting));
        }
        lab.pu.handle_written(lab.now, one.channel, ids[3]);
        assert_eq!(fates(&mut lab), []);
        lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
        assert!(matches!(lab.event(), Event::SessionEnded { error: None, .. }));
    }
}

/// [SESSION-17]: a receipt tells what is silent otherwise.
#[test]
fn a_receipt_tells_what_is_done() {
    let mut options = SendOptions::default();
    options.receipt = true;
    for (config, delivered) in
        [(config(&[REGISTRAR]), false), (writing(), false), (confirming(), true)]
    {
        let (mut lab, _, session, one) =
            Lab::in_session(config.clone(), Default::default(), &three());
        let sent = lab.pu.session_mut(lab.now, session).unwrap().send("x", options).unwrap();
        lab.data();
        if config.capabilities.confirms(Protocol::Tcp) >= Confirms::Written {
            assert_eq!(lab.events(), []);
            lab.pu.handle_written(lab.now, one.channel, sent);
        }
        if delivered {
            assert_eq!(lab.events(), []);
            lab.pu.handle_delivered(lab.now, one.channel, sent);
        }
        let told = lab.event();
        let Event::Sent { message, delivered: it, .. } = told else { panic!("{told:?}") };
        assert_eq!((message, it), (sent, delivered));
    }
}

/// [SESSION-17]: a full queue says whether messages that wait fill it, or such as are not settled.
#[test]
fn a_full_queue_says_what_fills_it() {
    let mut config = confirming();
    (config.limits.max_queued_messages, config.limits.window_messages) = (4, 1);
    let (mut lab, _, session, one) = Lab::in_session(config, Default::default(), &three());
    let fill = |lab: &mut Lab, wish| {
        while lab.pu.session_mut(lab.now, session).unwrap().send("x", wish).is_ok() {}
        let refused = lab.pu.session_mut(lab.now, session).unwrap().send("x", wish).unwrap_err();
        let SendErrorReason::QueueFull { waiting, unsettled, .. } = refused.reason else {
            panic!("{refused:?}")
        };
        (waiting, unsettled)
    };
    assert_eq!(fill(&mut lab, Failover::Unconfirmed), (4, 0));
    for n in 0..3 {
        assert_eq!(lab.data().len(), 1);
        assert_eq!(fill(&mut lab, Failover::Unconfirmed), (3 - n, n + 1));
        lab.pu.handle_delivered(lab.now, one.channel, message(n as u64));
    }
    lab.data();
    assert_eq!(fill(&mut lab, Failover::Unsent), (0, 4), "delivered, and not confirmed");
}

/// The identifier of the message that is sent as number `n` on a session.
fn message(n: u64) -> MessageId {
    let (mut lab, _, session, _) =
        Lab::in_session(config(&[REGISTRAR]), Default::default(), &three());
    (0..=n).map(|_| send(&mut lab, session, "", Failover::Unsent)).last().unwrap()
}

/// [SESSION-20]: what happened first is read first, whatever it is, by an application that reads late.
#[test]
fn what_happened_first_is_read_first() {
    let (mut lab, _, session, one) = Lab::in_session(writing(), Default::default(), &three());
    lab.pu.handle_data(lab.now, one.channel, b"of the first");
    send(&mut lab, session, "out", Failover::Unsent);
    send(&mut lab, session, "waits", Failover::Never);
    lab.pu.poll_action();
    let two = fail_over(&mut lab, &one);
    lab.pu.handle_data(lab.now, two.channel, b"of the second");
    lab.pu.handle_closed(lab.now, two.channel, CloseReason::Closed);
    lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
    let told: Vec<_> = lab
        .events()
        .iter()
        .map(|event| match event {
            Event::Received { data, .. } => String::from_utf8(data.to_vec()).unwrap(),
            Event::ElementLost { element, reason, .. } => {
                format!("{:?} {reason:?}", element.unwrap())
            }
            Event::FailedOver { .. } => "failed over".into(),
            Event::Lost { .. } => "lost".into(),
            Event::Returned { .. } => "returned".into(),
            Event::SessionEnded { error: None, .. } => "ended".into(),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        "of the first",
        "lost",
        "0x00000001 Broken",
        "returned",
        "failed over",
        "of the second",
        "0x00000002 Closed",
        "ended",
    ];
    assert_eq!(told, expected);
}

/// [SESSION-20] [CORE-9]: an application that reads nothing while elements come and go, is told of the
/// losses and failovers that it has to know of, and no more.
#[test]
fn what_was_not_heard_of_leaves_no_trace() {
    let (mut lab, _, _, one) = Lab::in_session(writing(), Default::default(), &three());
    let mut channel = fail_over(&mut lab, &one).channel;
    let end = lab.now + secs(300);
    while lab.now < end {
        lab.fail(channel);
        loop {
            let opens = opens_among(&lab.actions());
            if let Some(open) = opens.first() {
                channel = open.channel;
                lab.up(channel);
                break;
            }
            lab.wait();
        }
    }
    let told = lab.events();
    let of_session: Vec<_> =
        told.iter().filter(|event| !matches!(event, Event::NoRegistrarReachable)).collect();
    assert!(
        matches!(of_session[..], [Event::ElementLost { .. }, Event::FailedOver { .. }]),
        "{told:?}"
    );
}

/// [SESSION-17] [SESSION-5]: each copy of a message to all has one result, and where the driver tells,
/// that is what it says.
#[test]
fn each_copy_has_one_result() {
    let (mut lab, _, session) = choosing_lab(confirming());
    let all =
        lab.pu.session_mut(lab.now, session).unwrap().send("all", to(Recipient::All)).unwrap();
    let opens = settle(&mut lab);
    assert_eq!(data_among(&lab.actions()).len(), 3);
    lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
    let early = lab.events();
    assert!(matches!(early[..], [Event::Connected { .. }]), "nobody has told: {early:?}");
    lab.pu.handle_written(lab.now, opens[0].channel, all);
    lab.pu.handle_delivered(lab.now, opens[0].channel, all);
    lab.pu.handle_unsent(lab.now, opens[1].channel, all);
    for open in &opens[..2] {
        lab.pu.handle_delivered(lab.now, open.channel, all);
        lab.pu.handle_unsent(lab.now, open.channel, all);
    }
    lab.fail(opens[2].channel);
    assert_eq!(lab.pu.stats().unknown_confirmations, 4);
    let mut results = Vec::new();
    for event in lab.events() {
        match event {
            Event::Copied { element, failure, .. } => results.push((element.unwrap(), failure)),
            Event::ElementLost { .. } | Event::SessionEnded { error: None, .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let lost = UndeliveredReason::ElementLost(LossReason::Broken);
    let expected = [(id(1), None), (id(2), Some(UndeliveredReason::NotSent)), (id(3), Some(lost))];
    assert_eq!(results, expected);
}

/// [SESSION-17]: what is handed over when a session ends by itself is lost, what waits is returned.
#[test]
fn an_end_tells_of_everything() {
    let (mut lab, _) = Lab::at_home_with(writing());
    let at = element(1).transport;
    let session = lab.pu.open_session_at(lab.now, at, SessionOptions::default()).unwrap();
    let mut ids = WISHES.map(|wish| send(&mut lab, session, "out", wish)).to_vec();
    let one = lab.open_one();
    lab.up(one.channel);
    assert_eq!(lab.data().len(), 4);
    ids.extend(WISHES.map(|wish| send(&mut lab, session, "waits", wish)));
    lab.fail(one.channel);
    let mut told = fates(&mut lab);
    told.sort_unstable_by_key(|(id, ..)| *id);
    let why = UndeliveredReason::ElementLost(LossReason::Broken);
    let expected: Vec<_> = ids.iter().enumerate().map(|(n, id)| (*id, n < 4, why)).collect();
    assert_eq!(told, expected);
}

/// [CORE-12]: a loop that polls actions, then events, and then sleeps until `poll_timeout` or the next
/// input, never sleeps on work: reading of a failover lets data flow.
#[test]
fn a_loop_never_sleeps_on_work() {
    let (mut lab, _, session, one) =
        Lab::in_session(config(&[REGISTRAR]), Default::default(), &three());
    send(&mut lab, session, "x", Failover::Undelivered);
    lab.data();
    let two = fail_over(&mut lab, &one);
    assert_eq!(data_among(&lab.actions()), [], "not before it is told");
    let at = lab.pu.poll_timeout().expect("it may prove stable");
    assert!(at > lab.now);
    lab.events();
    assert_eq!(lab.pu.poll_timeout(), Some(lab.now), "there is work");
    assert_eq!(lab.data(), [(two.channel, "x".into())]);
    assert_eq!(lab.pu.poll_timeout(), Some(at));
}
