//! [CORE-11]: after shutting down nothing more comes out.

mod lab;

use asap_pu::wire::{Message, ServerIdentifier, Transport};
use asap_pu::{Action, Event, ResolveError, SessionOptions};
use lab::*;

/// Neither an action nor an event nor a deadline.
fn assert_silent(lab: &mut Lab) {
    assert_eq!((lab.actions(), lab.events(), lab.pu.poll_timeout()), (vec![], vec![], None));
    assert_eq!(lab.pu.channel_count(), 0);
    assert!(lab.pu.is_shut_down());
}

fn announce(lab: &mut Lab) {
    let at = "192.0.2.9:3863".parse().unwrap();
    let announce = Message::server_announce(ServerIdentifier::new(9), vec![Transport::tcp(at)]);
    lab.pu.handle_announce(lab.now, at, &announce.to_bytes().unwrap());
}

/// [CORE-11] [RES-13]: a resolution under way ends, and says why.
#[test]
fn resolutions_end() {
    let (mut lab, _) = Lab::at_home();
    let request = lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.pu.shut_down(lab.now);
    let event = lab.event();
    let Event::ResolutionFailed { request: of, error, .. } = event else { panic!("{event:?}") };
    assert_eq!((of, error), (request, ResolveError::ShutDown));
    assert!(!lab.pu.is_shut_down(), "the home is still there");
    lab.actions();
    assert_silent(&mut lab);
}

/// [CORE-11]: so does that of a session that is closed before its pool was resolved.
#[test]
fn what_sessions_wait_for_is_forgotten() {
    let (mut lab, _) = Lab::at_home();
    lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    lab.actions();
    lab.pu.shut_down(lab.now);
    lab.actions();
    lab.events();
    assert_silent(&mut lab);
}

/// [CORE-11]: a report without a registrar is not waited for.
#[test]
fn reports_that_cannot_go_are_dropped() {
    let (mut lab, home, _, first) =
        Lab::in_session(config(&[REGISTRAR]), SessionOptions::default(), &[element(1)]);
    lab.fail(home);
    lab.fail(first.channel);
    lab.pu.shut_down(lab.now);
    lab.actions();
    lab.events();
    assert_silent(&mut lab);
}

/// [CORE-11]: T7 of announced registrars does not outlive the machine, and later announces start nothing.
#[test]
fn announced_registrars_are_forgotten() {
    let (mut lab, _) = Lab::at_home();
    announce(&mut lab);
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.pu.shut_down(lab.now);
    lab.actions();
    lab.events();
    assert_silent(&mut lab);
    announce(&mut lab);
    assert_silent(&mut lab);
}

/// [CORE-11]: reports that wait for their turn are sent before the home is left.
#[test]
fn reports_that_wait_for_their_turn_are_sent() {
    let mut config = config(&[REGISTRAR]);
    config.limits.max_reports_per_second = 1;
    let (mut lab, home) = Lab::at_home_with(config);
    let pool = lab.pool(home, &three());
    lab.choose::<2>(pool);
    for n in [1, 2] {
        lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(n)).unwrap();
    }
    lab.pu.shut_down(lab.now);
    assert_eq!(lab.controls().len(), 1);
    assert!(!lab.pu.is_shut_down());
    assert_eq!(lab.wait(), secs(1));
    let actions = lab.actions();
    assert!(matches!(actions[..], [Action::Send { .. }, Action::Close { .. }]), "{actions:?}");
    assert!(lab.pu.is_shut_down());
}
