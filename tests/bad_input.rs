//! Bad input is a counted drop: nothing pending is lost, and what asks for a report gets one.

mod lab;

use core::time::Duration;

use asap_pu::wire::{Body, Cause, CauseCode, Message, ParameterType, RawParameter};
use asap_pu::{Action, Capabilities, Event, Instant, SessionOptions};
use bytes::Bytes;
use lab::*;
use proptest::prelude::*;

/// A pool user at home with a resolution under way.
fn asking() -> (Lab, asap_pu::ChannelId) {
    let (mut lab, home) = Lab::at_home();
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert_eq!(lab.requests().len(), 1);
    (lab, home)
}

fn is_resolved(lab: &mut Lab) -> bool {
    lab.events().iter().any(|event| matches!(event, Event::Resolved { .. }))
}

/// What an ASAP_ERROR reports.
fn reported(message: Message) -> Vec<Cause> {
    match message.body {
        Body::Error { causes, .. } => causes,
        other => panic!("{other:?}"),
    }
}

/// [TLV-5]: unknown messages are dropped, silently or with a report, as their upper bits say.
#[test]
fn unknown_messages() {
    let (mut lab, home) = asking();
    for silent in [0x0f, 0x80, 0xc0] {
        lab.pu.handle_control(lab.now, home, &[silent, 0, 0, 4]);
    }
    assert!(lab.actions().is_empty());
    let unknown = [0x4f, 0, 0, 8, 1, 2, 3, 4];
    lab.pu.handle_control(lab.now, home, &unknown);
    let [(on, error)] = <[_; 1]>::try_from(lab.controls()).unwrap();
    let cause = Cause::new(CauseCode::UNRECOGNIZED_MESSAGE, Bytes::copy_from_slice(&unknown));
    assert_eq!((on, reported(error)), (home, vec![cause]));
    assert_eq!(lab.pu.stats().unknown_messages, 4);
    lab.answer(home, POOL, &[element(1)]);
    assert!(is_resolved(&mut lab));
}

/// [TLV-6] [TLV-7]: unknown parameters skip or void their message, silently or with a report.
#[test]
fn unknown_parameters() {
    for (bits, used, told) in
        [(0x0000, false, false), (0x4000, false, true), (0x8000, true, false), (0xc000, true, true)]
    {
        let (mut lab, home) = asking();
        let mut bytes = response(POOL, &[element(1)]).to_bytes().unwrap().to_vec();
        let unknown = [((bits | 0x0123) >> 8) as u8, 0x23, 0, 6, 0xab, 0xcd];
        bytes.extend(unknown);
        bytes.extend([0, 0]);
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        bytes[2..4].copy_from_slice(&length);
        lab.pu.handle_control(lab.now, home, &bytes);
        let errors: Vec<_> = lab.controls().into_iter().map(|(_, m)| reported(m)).collect();
        let cause = Cause::new(CauseCode::UNRECOGNIZED_PARAMETER, Bytes::copy_from_slice(&unknown));
        let expected = if told { vec![vec![cause]] } else { vec![] };
        assert_eq!((is_resolved(&mut lab), errors), (used, expected), "{bits:#06x}");
        let stats = lab.pu.stats();
        assert_eq!((stats.unknown_parameters, stats.malformed), (used.into(), (!used).into()));
    }
}

/// Decision 10: a known parameter where none is expected is ignored and counted.
#[test]
fn unexpected_parameters() {
    let (mut lab, home) = asking();
    let mut message = response(POOL, &[element(1)]);
    message.extra = vec![RawParameter::new(ParameterType::COOKIE, Bytes::from("?"))];
    lab.receive(home, &message);
    assert!(is_resolved(&mut lab));
    assert_eq!((lab.pu.stats().unexpected_parameters, lab.pu.stats().malformed), (1, 0));
}

/// [TLV-7]: one report has one cause for each parameter; those that do not fit are left out, and
/// where none fits nothing is sent. Both are counted.
#[test]
fn a_report_has_room_for_what_fits() {
    const LONGEST: usize = 0xfffc;
    // A response with unknown parameters behind it that ask to be reported: short ones, of nothing
    // but a header, which grows by that of the cause in the report; before them one that fills up.
    let with_unknown = |short: usize| {
        let mut bytes = response(POOL, &[element(1)]).to_bytes().unwrap().to_vec();
        let long = LONGEST - bytes.len() - 4 * short;
        bytes.extend([0xc1, 0x23]);
        bytes.extend(u16::try_from(long).unwrap().to_be_bytes());
        bytes.resize(bytes.len() + long - 4, 0xab);
        bytes.extend([0xc1, 0x24, 0, 4].repeat(short));
        bytes[2..4].copy_from_slice(&u16::try_from(LONGEST).unwrap().to_be_bytes());
        (bytes, 4 + 4 + (4 + long))
    };
    for short in [1, 2, 100] {
        let (mut lab, home) = asking();
        let (bytes, begun) = with_unknown(short);
        lab.pu.handle_control(lab.now, home, &bytes);
        let [(_, error)] = <[_; 1]>::try_from(lab.controls()).unwrap();
        let room = (LONGEST - begun) / (4 + 4);
        assert_eq!(reported(error).len(), 1 + short.min(room), "{short} short ones");
        assert!(is_resolved(&mut lab));
        let cut = short.saturating_sub(room) as u64;
        assert_eq!((lab.pu.stats().errors_cut, cut > 0), (cut, short == 100));
    }

    let (mut lab, home) = asking();
    let mut unknown = vec![0; LONGEST];
    unknown[..4].copy_from_slice(&[0x4f, 0, 0xff, 0xfc]);
    lab.pu.handle_control(lab.now, home, &unknown);
    assert_eq!(lab.actions(), []);
    assert_eq!((lab.pu.stats().errors_sent, lab.pu.stats().errors_cut), (0, 1));
}

/// [TLV-8]: an error is never answered with an error, nothing is reported into a multicast, and a channel gets four
/// reports in ten seconds.
#[test]
fn reports_are_limited() {
    let (mut lab, home) = asking();
    let mut error = Message::error(vec![Cause::new(CauseCode::UNSPECIFIED, Bytes::new())]);
    error.extra = vec![RawParameter::new(ParameterType::new(0xc123), Bytes::from("?"))];
    lab.receive(home, &error);
    assert_eq!((lab.actions(), lab.pu.stats().errors_received), (vec![], 1));

    let unknown = [0x4f, 0, 0, 4];
    lab.pu.handle_announce(lab.now, "10.0.0.1:3863".parse().unwrap(), &unknown);
    assert!(lab.actions().is_empty());

    for _ in 0..10 {
        lab.pu.handle_control(lab.now, home, &unknown);
    }
    assert_eq!(lab.controls().len(), 4);
    assert_eq!((lab.pu.stats().errors_sent, lab.pu.stats().errors_suppressed), (4, 6));
    lab.now += Duration::from_secs(10);
    lab.pu.handle_control(lab.now, home, &unknown);
    assert_eq!(lab.controls().len(), 1);
}

/// [TLV-21]: a byte stream that lost its framing is not trusted further; the request goes to another registrar.
#[test]
fn a_broken_stream_is_left() {
    let mut lab = Lab::knowing(&["192.0.2.1:3863", "192.0.2.2:3863"]);
    lab.pu.resolve(lab.now, POOL).unwrap();
    let tried = lab.opens();
    lab.up(tried[0].channel);
    lab.actions();
    lab.pu.handle_stream(lab.now, tried[0].channel, &[6, 0, 0]);
    lab.pu.handle_stream(lab.now, tried[0].channel, &[3, 1, 2, 3]);
    assert_eq!(lab.pu.stats().broken_streams, 1);
    let actions = lab.actions();
    let closed =
        |a: &Action| matches!(a, Action::Close { channel, .. } if *channel == tried[0].channel);
    assert!(actions.iter().any(closed));
    let next = actions.into_iter().find(|a| matches!(a, Action::Open { .. })).map(opened).unwrap();
    assert_eq!(next.to, tried[1].to);
    lab.up(next.channel);
    assert!(lab.actions().iter().any(|action| matches!(action, Action::Send { .. })));
    let answer = response(POOL, &[element(1)]).to_bytes().unwrap();
    for byte in answer.iter() {
        lab.pu.handle_stream(lab.now, next.channel, &[*byte]);
    }
    assert!(is_resolved(&mut lab));
}

/// An element that sends garbage on its control channel loses nothing but that message.
#[test]
fn garbage_from_an_element() {
    let mut config = config(&[REGISTRAR]);
    config.tell_control();
    let (mut lab, _, session, element) =
        Lab::in_session(config, Default::default(), &[element(1), element(2)]);
    lab.receive(element.channel, &Message::cookie("kept"));
    let unasked = response(POOL, &[lab::element(9)]).to_bytes().unwrap();
    for garbage in [&[][..], &[0x0b], &[0x0b, 0, 0, 5, 1], &[0xff; 100], &unasked] {
        lab.pu.handle_control(lab.now, element.channel, garbage);
    }
    lab.pu.handle_stream(lab.now, element.channel, &[1, 2, 3]);
    assert_eq!(
        lab.pu.session(session).and_then(|session| session.cookie()),
        Some(&Bytes::from("kept"))
    );
    assert_eq!((lab.actions(), lab.events()), (vec![], vec![]));
    assert_eq!((lab.pu.stats().malformed, lab.pu.stats().unexpected_messages), (4, 2));
    lab.pu.handle_data(lab.now, element.channel, b"still here");
    assert!(matches!(lab.event(), Event::Received { .. }));
}

/// [CORE-5]: calls on what is unknown or ended are errors or counted, and change nothing.
#[test]
fn what_has_ended_is_unknown() {
    let (mut lab, home) = asking();
    lab.fail(home);
    lab.wait();
    let again = lab.open_one();
    lab.pu.handle_control(lab.now, home, &[0x4f, 0, 0, 4]);
    lab.pu.handle_data(lab.now, again.channel, b"not up yet");
    lab.up(home);
    lab.fail(home);
    assert_eq!(lab.pu.stats().unknown_channels, 3);
    assert!(lab.actions().is_empty());
    lab.up(again.channel);
    lab.up(again.channel);
    assert_eq!(lab.requests(), [(again.channel, POOL.into())]);
}

/// A configuration that contradicts itself says which field does.
#[test]
fn contradictions_are_named() {
    use asap_pu::ConfigError;
    let broken = |change: fn(&mut Setup)| {
        let mut config = config(&[REGISTRAR]);
        change(&mut config);
        config.validate().unwrap_err()
    };
    let none = broken(|c| {
        c.discovery.registrars.clear();
        c.discovery.accept_announces = false;
    });
    assert_eq!(none, ConfigError::NoRegistrar);
    let unspoken = broken(|c| c.capabilities = Capabilities::NONE);
    assert_eq!(unspoken, ConfigError::NoRegistrarProtocol);
    assert_eq!(broken(|c| c.limits.max_pools = 0), ConfigError::Zero("limits.max_pools"));
    assert_eq!(
        broken(|c| c.discovery.t5_max = Duration::from_secs(9)),
        ConfigError::Exceeds("discovery.t5_hunt", "discovery.t5_max")
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever else comes, the answer that was asked for is still taken afterwards.
    #[test]
    fn a_pending_request_survives_noise(
        noise in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..60),
                (0..100_usize, any::<u8>()).prop_map(|(at, value)| {
                    let mut bytes = response("other", &[element(1), element(2)]).to_bytes().unwrap().to_vec();
                    let at = at % bytes.len();
                    bytes[at] = value;
                    bytes
                }),
            ],
            0..20,
        ),
    ) {
        let (mut lab, home) = asking();
        for bytes in &noise {
            lab.pu.handle_control(lab.now, home, bytes);
        }
        lab.answer(home, POOL, &[element(1)]);
        prop_assert!(is_resolved(&mut lab));
    }
}

/// [CORE-4]: time that goes back stands still.
#[test]
fn time_that_goes_back_stands_still() {
    let (mut lab, _) = Lab::at_home();
    lab.secs(100);
    lab.pu.handle_timeout(lab.now);
    lab.pu.resolve(Instant::EPOCH, POOL).unwrap();
    lab.requests();
    assert_eq!(lab.pu.poll_timeout(), Some(lab.now + secs(15)));
}

/// [CORE-4]: a clock that wrapped below its start jumps to the end of time, where nothing spins.
#[test]
fn the_end_of_time_is_survived() {
    let (mut lab, home) = Lab::at_home();
    lab.pu.subscribe(lab.now, POOL).unwrap();
    lab.actions();
    let mut list = response(POOL, &three());
    if let Body::HandleResolutionResponse { updates, .. } = &mut list.body {
        *updates = true;
    }
    lab.receive(home, &list);
    lab.pu.subscribe(lab.now, "another").unwrap();
    lab.pu.resolve(lab.now, "a third").unwrap();
    lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    lab.now = Instant::from_millis(u64::MAX);
    for _ in 0..10 {
        lab.pu.handle_timeout(lab.now);
        lab.actions();
        lab.events();
    }
}
