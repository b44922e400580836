//! Very many sessions: what an idle one costs, and what the death of an element costs the others.

mod lab;

use allocation_counter::measure;
use asap_pu::wire::{PeIdentifier, Policy, PoolElement, Protocol, Transport};
use asap_pu::{ChannelId, Failover, Instant, PoolUser, SendOptions, SessionOptions};
use lab::*;

const SESSIONS: usize = 100_000;
const ELEMENTS: u32 = 1_000;

fn large() -> Setup {
    let mut config = mapped();
    config.limits.max_sessions = SESSIONS;
    config.cache.stale_cache_value = secs(3_600);
    config
}

fn many_elements() -> Vec<PoolElement> {
    let element = |id: u32| {
        let [_, _, high, low] = id.to_be_bytes();
        let at = core::net::SocketAddr::from(([10, 0, high, low], 7));
        PoolElement::new(PeIdentifier::new(id), Transport::tcp(at), Policy::RoundRobin)
    };
    (1..=ELEMENTS).map(element).collect()
}

/// A pool user that knows a pool of very many elements.
fn at_pool() -> Lab {
    let (mut lab, home) = Lab::at_home_with(large());
    lab.pu.resolve(lab.now, POOL).unwrap();
    lab.actions();
    lab.answer(home, POOL, &many_elements());
    lab.events();
    lab
}

/// Opens sessions, each of which sends a message; the channels they are on.
fn open(lab: &mut Lab, sessions: usize, options: SessionOptions) -> Vec<ChannelId> {
    let mut open = || {
        let session = lab.pu.open_session(lab.now, POOL, options).unwrap();
        let element = lab.open_one();
        lab.up(element.channel);
        lab.pu
            .session_mut(lab.now, session)
            .unwrap()
            .send("hello", SendOptions::default())
            .unwrap();
        assert_eq!((lab.actions().len(), lab.events().len()), (1, 1));
        element.channel
    };
    (0..sessions).map(|_| open()).collect()
}

/// [CORE-8]: a hundred thousand idle sessions on a thousand elements cost at most 256 bytes each, their channels included,
/// and a step with nothing to do allocates nothing.
#[test]
fn an_idle_session_is_small() {
    let mut lab = at_pool();
    let used = measure(|| drop(open(&mut lab, SESSIONS, SessionOptions::default())));
    let each = usize::try_from(used.bytes_current).unwrap() / SESSIONS;
    println!("{each} bytes an idle session");
    assert!(each <= 256, "{each} bytes");

    let idle = measure(|| {
        assert!(lab.pu.poll_action().is_none() && lab.pu.poll_event().is_none());
        lab.pu.handle_timeout(lab.now + secs(1));
        assert_eq!(lab.pu.poll_timeout(), None);
    });
    assert_eq!(idle.count_total, 0);
}

/// [SESSION-1]: who uses the resolver level alone pays nothing for sessions.
#[test]
fn without_sessions_nothing_is_paid_for_them() {
    let mut lab = at_pool();
    let pool = lab.pu.find_pool(POOL.as_bytes()).unwrap();
    let first = lab.pu.pool_mut(lab.now, pool).unwrap().select(&[]).unwrap().identifier();
    let used = measure(|| {
        for _ in 0..1_000 {
            lab.pu.pool_mut(lab.now, pool).unwrap().select(&[]).unwrap();
        }
    });
    assert_eq!(used.count_total, 0);
    let next = lab.pu.pool_mut(lab.now, pool).unwrap().fail_over(first).unwrap().identifier();
    assert_ne!(next, first);
    assert_eq!((lab.pu.channel_count(), lab.controls().len()), (1, 1), "the home, and one report");
}

/// [SESSION-3]: the death of an element costs in proportion to the sessions on it, whatever others there are.
#[test]
fn a_death_costs_those_who_notice() {
    let cost = |others: usize| {
        let mut lab = at_pool();
        let mut on_the_first = SessionOptions::default();
        on_the_first.element = Some(id(1));
        let dying = open(&mut lab, 1_000, on_the_first);
        open(&mut lab, others, SessionOptions::default());
        let used = measure(|| {
            for channel in dying {
                lab.fail(channel);
            }
            loop {
                for open in opens_among(&lab.actions()) {
                    lab.up(open.channel);
                }
                lab.events();
                if lab.pu.poll_timeout().is_none() {
                    break;
                }
                lab.wait();
            }
        });
        assert_eq!(lab.pu.stats().reports_sent, 1);
        used.count_total
    };
    let (alone, among_many) = (cost(0), cost(20_000));
    assert!(among_many <= alone + alone / 10, "{alone} allocations alone, {among_many} among many");
}

/// [CORE-6] [CORE-9]: channels that come and go leave nothing for a driver that does not poll.
#[test]
fn channels_that_end_leave_no_trace() {
    let options = SessionOptions::default();
    let (mut lab, _) = Lab::at_home();
    let mut growth = || {
        measure(|| {
            for _ in 0..1_000 {
                let (session, channel) =
                    lab.pu.accept(lab.now, Protocol::Tcp, false, options).unwrap();
                lab.pu.session_mut(lab.now, session).unwrap().send("x", Failover::Never).unwrap();
                lab.fail(channel);
                lab.events();
            }
        })
        .bytes_current
    };
    growth();
    assert_eq!(growth(), 0);
}

/// [CORE-6] [CORE-9]: what a driver that never polls leaves behind takes no memory.
#[test]
fn a_driver_that_never_polls_costs_nothing() {
    let mut config = config(&FIVE);
    config.resolution.request_deadline = secs(1_000_000);
    let mut lab = Lab::new(config);
    lab.pu.resolve(lab.now, POOL).unwrap();
    let mut rounds = |n| {
        measure(|| {
            (0..n).for_each(|_| {
                lab.wait();
            })
        })
        .bytes_current
    };
    rounds(100);
    assert_eq!(rounds(1_000), 0);
}

/// [CORE-8]: with very many sessions a poll with nothing to do does not look at them. Where it did,
/// this would not come to an end within a day.
#[test]
fn idle_polls_do_not_look_at_sessions() {
    let mut config = mapped();
    config.limits.max_sessions = 100_000;
    let (mut lab, home) = Lab::at_home_with(config);
    lab.pool(home, &three());
    for _ in 0..100_000 {
        lab.pu.open_session(lab.now, POOL, SessionOptions::default()).unwrap();
    }
    for open in lab.opens() {
        lab.up(open.channel);
    }
    lab.events();
    let idle = |pu: &mut PoolUser| {
        assert!(pu.poll_action().is_none() && pu.poll_event().is_none());
        assert!(pu.poll_timeout().is_none());
        pu.handle_timeout(Instant::EPOCH + secs(1));
    };
    (0..1_000_000).for_each(|_| idle(&mut lab.pu));
}
