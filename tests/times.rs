//! Every time of the configuration, changed and waited for: none is a constant [CORE-6].
//!
//! Each test has the name of the field; the first one holds them against those of [`Config`].

mod lab;

use core::time::Duration;

use asap_pu::wire::CauseCode;
use asap_pu::{
    Action, CloseReason, Config, Event, Failover, Instant, SessionError, SessionOptions,
    StaleAnswers, TimerKind,
};
use lab::*;

/// [CORE-6]: a field that holds a time has a test here.
#[test]
fn every_time_is_waited_for() {
    let (source, config) = (include_str!("times.rs"), format!("{:#?}", Config::default()));
    let fields = config.lines().filter_map(|line| line.trim_start().split_once(": "));
    let is_time = |value: &str| {
        let number = value.trim_end_matches([',', 's', 'm', 'n', 'µ']);
        number.len() < value.trim_end_matches(',').len() && number.parse::<f64>().is_ok()
    };
    let times: Vec<_> = fields.filter(|(_, value)| is_time(value)).collect();
    assert_eq!(times.len(), 21, "{times:?}");
    for (time, _) in times {
        assert!(source.contains(&format!("#[test]\nfn {time}() {{")), "{time} has no test");
    }
}

/// What is due next, and how soon, once the driver has done all that it was asked for.
fn next(lab: &mut Lab) -> (Duration, TimerKind) {
    lab.actions();
    let (at, kind) = lab.pu.next_timer().expect("a deadline");
    (at - lab.now, kind)
}

/// Whether it was `nominal`, shortened by a quarter at most.
fn is_about(time: Duration, nominal: u64) -> bool {
    time <= secs(nominal) && time >= secs(nominal) * 3 / 4
}

/// [RES-2]: a request waits for its answer.
#[test]
fn t1_request() {
    let (mut lab, _) = at_home(|c| c.resolution.t1_request = secs(7));
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert_eq!(next(&mut lab), (secs(7), TimerKind::Request));
}

/// [HUNT-4]: the first round of a hunt.
#[test]
fn t5_hunt() {
    let mut lab = with(|c| c.discovery.t5_hunt = secs(3));
    lab.pu.registrars_mut(lab.now).find_home();
    let (first, kind) = next(&mut lab);
    assert!(is_about(first, 3) && kind == TimerKind::Hunt, "{first:?}");
}

/// [HUNT-4]: rounds grow no longer than that.
#[test]
fn t5_max() {
    let mut lab = with(|c| c.discovery.t5_max = secs(13));
    lab.pu.registrars_mut(lab.now).find_home();
    for nominal in [10, 13, 13] {
        lab.actions();
        let round = lab.wait();
        assert!(is_about(round, nominal), "{round:?} of {nominal}");
    }
}

/// [HUNT-7]: an announced registrar is known.
#[test]
fn t7_outdate() {
    let mut lab = with(|c| c.discovery.t7_outdate = secs(17));
    announce(&mut lab, "10.0.0.1:3863", 1, vec![]);
    assert_eq!(next(&mut lab), (secs(17), TimerKind::Outdate));
}

/// [HUNT-13]: zero waits for none.
#[test]
fn announce_wait() {
    for wait in [2, 0] {
        let mut lab =
            with(|c| (c.discovery.registrars, c.discovery.announce_wait) = (vec![], secs(wait)));
        lab.pu.resolve(lab.now, POOL).unwrap();
        match wait {
            0 => assert_eq!(lab.events().len(), 2, "told, and failed"),
            _ => assert_eq!(next(&mut lab), (secs(wait), TimerKind::AnnounceWait)),
        }
    }
}

/// [RES-13]: a request ends.
#[test]
fn request_deadline() {
    let mut lab = with(|c| c.resolution.request_deadline = secs(19));
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.wait_until(Instant::EPOCH + secs(19));
    assert!(matches!(lab.events().last(), Some(Event::ResolutionFailed { .. })));
}

/// [RES-15]: the same handle is asked for again.
#[test]
fn resolution_interval() {
    let (mut lab, home) = at_home(|c| c.resolution.resolution_interval = secs(3));
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.receive(home, &refusal(POOL, CauseCode::UNKNOWN_POOL_HANDLE));
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert_eq!(next(&mut lab), (secs(3), TimerKind::Request));
}

/// [CACHE-2]: a list is fresh.
#[test]
fn stale_cache_value() {
    let (mut lab, home) = at_home(|c| {
        (c.cache.stale_cache_value, c.cache.stale_answers) = (secs(4), StaleAnswers::Withheld);
    });
    lab.pool(home, &three());
    lab.secs(3);
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert_eq!(lab.events().len(), 1);
    lab.secs(1);
    lab.pu.resolve(lab.now, POOL).unwrap();
    assert_eq!((lab.events().len(), lab.requests().len()), (0, 1));
}

/// [CACHE-7]: an unknown handle is remembered.
#[test]
fn negative_cache_value() {
    let (mut lab, home) = at_home(|c| c.cache.negative_cache_value = secs(4));
    for (wait, asked) in [(0, 1), (3, 0), (1, 1)] {
        lab.secs(wait);
        lab.pu.resolve(lab.now, POOL).unwrap();
        assert_eq!(lab.requests().len(), asked, "after {wait} s more");
        lab.receive(home, &refusal(POOL, CauseCode::UNKNOWN_POOL_HANDLE));
        lab.events();
    }
}

/// [HUNT-10]: an impostor is barred.
#[test]
fn bar_time() {
    let mut lab = with(|c| c.discovery.bar_time = secs(25));
    lab.pu.registrars_mut(lab.now).find_home();
    let open = lab.open_one();
    lab.pu.handle_closed(lab.now, open.channel, CloseReason::Unauthenticated);
    let began = lab.now;
    while !lab.actions().iter().any(|action| matches!(action, Action::Open { .. })) {
        lab.wait();
    }
    let barred = lab.now - began;
    assert!(barred >= secs(25) && barred <= secs(25 + 40), "{barred:?}");
}

/// [REPORT-5]: an element is passed over.
#[test]
fn failure_mark() {
    let (mut lab, home) = at_home(|c| c.cache.failure_mark = secs(6));
    let pool = lab.pool(home, &three());
    lab.choose::<1>(pool);
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(1)).unwrap();
    let marked = |after| lab.pu.pool(pool).unwrap().is_marked(lab.now + secs(after), id(1));
    assert_eq!([0, 5, 6].map(marked), [true, true, false]);
}

/// [REPORT-4]: an element is reported again.
#[test]
fn report_interval() {
    let (mut lab, home) = at_home(|c| c.resolution.report_interval = secs(5));
    let pool = lab.pool(home, &three());
    lab.choose::<1>(pool);
    for reports in [1, 0, 0, 1] {
        lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(1)).unwrap();
        assert_eq!(lab.controls().len(), reports);
        lab.pu.pool_mut(lab.now, pool).unwrap().trust(id(1));
        lab.secs(2);
    }
}

/// [REPORT-1]: a report waits for a registrar.
#[test]
fn report_age() {
    let (mut lab, home) = at_home(|c| c.resolution.report_age = secs(8));
    let pool = lab.pool(home, &three());
    lab.choose::<1>(pool);
    lab.fail(home);
    lab.pu.pool_mut(lab.now, pool).unwrap().report_unreachable(id(1)).unwrap();
    lab.wait_until(lab.now + secs(8));
    lab.actions();
    assert_eq!((lab.pu.stats().reports_dropped, lab.pu.poll_timeout()), (1, None));
}

/// [RES-17]: a home that was found a moment ago is not believed that a known pool does not exist.
#[test]
fn registrar_grace() {
    for (age, is_known) in [(1, true), (6, true), (7, false)] {
        let (mut lab, home) = at_home(|c| c.discovery.registrar_grace = secs(7));
        lab.pool(home, &three());
        lab.secs(age);
        lab.pu.refresh(lab.now, POOL).unwrap();
        assert_eq!(lab.requests(), [(home, POOL.into())]);
        lab.receive(home, &refusal(POOL, CauseCode::UNKNOWN_POOL_HANDLE));
        assert_eq!(lab.pu.find_pool(POOL.as_bytes()).is_some(), is_known, "{age} s");
    }
}

/// [RES-18]: updates that were granted are trusted without a word.
#[test]
fn subscription_check() {
    let (mut lab, home) = at_home(|c| c.resolution.subscription_check = secs(100));
    lab.pu.subscribe(lab.now, POOL).unwrap();
    lab.actions();
    let mut list = response(POOL, &three());
    let asap_pu::wire::Body::HandleResolutionResponse { updates, .. } = &mut list.body else {
        panic!()
    };
    *updates = true;
    lab.receive(home, &list);
    let (check, kind) = next(&mut lab);
    assert!(is_about(check, 100) && kind == TimerKind::Subscription, "{check:?}");
}

/// [SESSION-3]: an element may take to come up.
#[test]
fn connect_timeout() {
    let (mut lab, home) = at_home(|c| c.sessions.connect_timeout = secs(2));
    lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    lab.actions();
    lab.answer(home, POOL, &three());
    assert_eq!(next(&mut lab), (secs(2), TimerKind::Session));
}

/// [SESSION-4] [SESSION-13]: of a search, and of a closing.
#[test]
fn session_deadline() {
    for closing in [false, true] {
        let (mut lab, home) = at_home(|c| {
            (c.sessions.session_deadline, c.sessions.connect_timeout) = (secs(11), secs(100));
        });
        let session = lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
        lab.actions();
        lab.answer(home, POOL, &three());
        if closing {
            let element = lab.open_one();
            lab.up(element.channel);
            lab.events();
            send(&mut lab, session, "never confirmed", Failover::Unconfirmed);
            lab.pu.session_mut(lab.now, session).unwrap().close().unwrap();
        }
        lab.actions();
        assert_eq!(lab.wait(), secs(11));
        let Some(Event::SessionEnded { error, .. }) = lab.events().pop() else { panic!() };
        assert_eq!(error, Some(SessionError::DeadlineReached));
    }
}

/// [SESSION-4]: the first pause.
#[test]
fn session_backoff() {
    let (mut lab, home) = at_home(|c| c.sessions.session_backoff = secs(4));
    lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    lab.actions();
    lab.answer(home, POOL, &[element(1)]);
    let only = lab.open_one();
    lab.fail(only.channel);
    lab.actions();
    let (pause, _) = next(&mut lab);
    assert!(is_about(pause, 4), "{pause:?}");
}

/// [SESSION-18]: pauses grow no longer than that.
#[test]
fn session_backoff_max() {
    let (mut lab, home) = at_home(|c| c.sessions.session_backoff_max = secs(3));
    let began = lab.now;
    lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    lab.actions();
    let mut pauses = Vec::new();
    let mut failed = began;
    while pauses.len() < 5 {
        for action in lab.actions() {
            match action {
                Action::Open { channel, .. } => {
                    pauses.push(lab.now - failed);
                    lab.fail(channel);
                    failed = lab.now;
                }
                Action::Send { .. } => lab.answer(home, POOL, &[element(1)]),
                _ => {}
            }
        }
        if lab.pu.poll_timeout().is_some_and(|at| at > lab.now) {
            lab.wait();
        }
    }
    for (pause, nominal) in pauses[1..].iter().zip([1, 2, 3, 3]) {
        assert!(is_about(*pause, nominal), "{pauses:?}");
    }
}

/// [SESSION-18]: an element serves, so that what was remembered of the search does not count.
#[test]
fn stable_after() {
    for (lasts, pauses) in [(6, true), (7, false)] {
        let (mut lab, _, _, mut serves) = Lab::in_session(
            with(|c| (c.sessions.stable_after, c.cache.failure_mark) = (secs(7), secs(0)))
                .pu
                .config()
                .clone(),
            SessionOptions::default(),
            &three(),
        );
        for _ in 0..2 {
            serves = fail_over(&mut lab, &serves);
        }
        lab.secs(lasts);
        lab.pu.handle_timeout(lab.now);
        lab.fail(serves.channel);
        let called = !opens_among(&lab.actions()).is_empty();
        assert_eq!(called, !pauses, "after {lasts} s");
    }
}

/// [SESSION-3]: zero puts none off.
#[test]
fn failover_spread() {
    for spread in [9, 0] {
        let (mut lab, home) = at_home(|c| {
            (c.sessions.failover_burst, c.sessions.failover_spread) = (0, secs(spread));
        });
        for _ in 0..40 {
            lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
        }
        lab.actions();
        lab.answer(home, POOL, &[element(1), element(2)]);
        // First connections are never put off.
        let opens = lab.opens();
        opens.iter().for_each(|open| lab.up(open.channel));
        opens.iter().for_each(|open| lab.fail(open.channel));
        let (put_off, began) = (lab.pu.stats().failovers_spread, lab.now);
        let at_once = opens_among(&lab.actions()).len() as u64;
        assert_eq!((put_off, at_once), if spread == 0 { (0, 40) } else { (40, 0) });
        let mut later = 0;
        while later < put_off {
            lab.wait();
            later += opens_among(&lab.actions()).len() as u64;
        }
        let last = lab.now - began;
        assert!(last <= secs(spread) && last >= secs(spread) / 2, "{last:?}");
    }
}
