//! The client in simulated worlds: an application's tasks, unchanged, in virtual time and among any failures.

#[path = "../examples/fifty_tasks/work.rs"]
mod work;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use asap_pu::sim::Fault;
use asap_pu::wire::{PeIdentifier, Policy};
use asap_pu::{
    Config, Event, Failover, PoolUser, Recipient, SendOptions, SessionId, SessionOptions,
};
use asap_pu_tokio::sim::{self, SimDriver, World};
use asap_pu_tokio::{Client, Drive, Error, Lines, tcp};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout};

const POOL: &str = "EchoPool";

/// Something goes wrong with an element after a while, and right again.
#[derive(Debug, Clone)]
struct Trouble {
    after: Duration,
    element: usize,
    fault: Fault,
    lasts: Duration,
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let faults = prop_oneof![
        Just(Fault::Crash),
        Just(Fault::Doomed),
        Just(Fault::Mortal),
        Just(Fault::Refuse),
        Just(Fault::Cut),
        Just(Fault::Hang),
        Just(Fault::Close),
        Just(Fault::Break),
        (1_u64..2_000).prop_map(|millis| Fault::Delay(Duration::from_millis(millis))),
        (1_u64..200).prop_map(|millis| Fault::Tidy(Duration::from_millis(millis))),
    ];
    // The first is always well.
    (0_u64..400, 1_usize..4, faults, 0_u64..3_000).prop_map(|(after, element, fault, lasts)| {
        Trouble {
            after: Duration::from_millis(after),
            element,
            fault,
            lasts: Duration::from_millis(lasts),
        }
    })
}

/// What came of a run.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    answered: u32,
    took: Duration,
    hash: u64,
}

/// A registrar, and a pool of so many elements over TCP.
fn pool<const N: usize>(world: &World) -> [PeIdentifier; N] {
    world.with(|sim| {
        sim.listen_on_tcp(POOL);
        sim.registrar();
        [(); N].map(|()| sim.element(POOL, Policy::RoundRobin))
    })
}

/// Tasks ask their questions, while all that happens.
fn live(seed: u64, tasks: u32, questions: u32, troubles: Vec<Trouble>) -> Result<Outcome, Error> {
    sim::run(seed, async |world: World| {
        let (registrar, elements) = world.with(|sim| {
            sim.listen_on_tcp(POOL);
            let registrar = sim.registrar();
            sim.registrar();
            (registrar, [(); 4].map(|()| sim.element(POOL, Policy::RoundRobin)))
        });
        let start = Instant::now();
        let client = world.client(work::config())?;
        let hung = Arc::new(Mutex::new([false; 4]));
        for Trouble { after, element, fault, lasts } in troubles {
            let (world, hung) = (world.clone(), hung.clone());
            let becomes = move |fault| {
                let is_hung = &mut hung.lock().unwrap()[element];
                world.with(|sim| {
                    // A process that hangs is started again: one that went on would have left out what it
                    // took meanwhile, and no answer behind that would be where it belongs.
                    if *is_hung {
                        sim.fail(elements[element], Fault::Crash);
                    }
                    match fault {
                        Some(fault) => sim.fail(elements[element], fault),
                        None => sim.heal(elements[element]),
                    }
                });
                *is_hung = fault == Some(Fault::Hang);
            };
            tokio::spawn(async move {
                sleep(after).await;
                becomes(Some(fault));
                sleep(lasts).await;
                becomes(None);
            });
        }
        world.with(|sim| sim.fail(registrar, Fault::Mortal));
        let answered =
            timeout(Duration::from_secs(600), work::work(&client, POOL, tasks, questions));
        let answered = answered.await.expect("it comes to an end")?;
        client.shut_down().await;
        Ok(Outcome { answered, took: start.elapsed(), hash: world.with(|sim| sim.hash()) })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// [SESSION-3] [SESSION-19]: whatever goes wrong with elements, as long as one of them is well no question is lost, and
    /// each gets its own answer. The same seed gives the same run.
    #[test]
    fn tasks_lose_nothing_among_any_failures(
        seed: u64,
        tasks in 1_u32..51,
        troubles in prop::collection::vec(trouble(), 0..12),
    ) {
        let outcome = live(seed, tasks, 4, troubles.clone()).unwrap();
        prop_assert_eq!(outcome.answered, tasks * 4);
        prop_assert_eq!(live(seed, tasks, 4, troubles).unwrap(), outcome);
    }

    /// Tasks that are dropped at any time leave nothing behind that is still to be sent.
    #[test]
    fn dropped_requests_leave_nothing(
        seed: u64,
        lives in prop::collection::vec(0_u64..60, 1..40),
        troubles in prop::collection::vec(trouble(), 0..6),
    ) {
        let left = sim::run(seed, async |world: World| {
            let elements = pool::<4>(&world);
            let client = world.client(work::config())?;
            let session = client.session(POOL).codec(Lines).open().await?;
            for (life, trouble) in lives.iter().zip(troubles.into_iter().map(Some).chain([const { None }; 40])) {
                if let Some(Trouble { element, fault, .. }) = trouble {
                    world.with(|sim| sim.fail(elements[element], fault));
                }
                let _ = timeout(Duration::from_millis(*life), session.request("dropped\n")).await;
                // The next is answered all the same, by its own answer.
                assert_eq!(session.request("kept\n").await?, "kept");
            }
            let id = session.id();
            let left = client.with(|user, _| {
                let session = user.session(id).expect("it is open");
                session.queued() + session.unconfirmed()
            })?;
            drop(session);
            client.shut_down().await;
            Ok::<_, Error>(left)
        });
        prop_assert_eq!(left.unwrap(), 0);
    }
}

/// A whole quarter of an hour of an outage takes no time, and whoever waits is told when its own is over.
#[test]
fn an_outage_of_everything_is_told_in_time() {
    sim::run(1, async |world: World| {
        let elements = pool::<3>(&world);
        let client = world.client(Config::default()).unwrap();
        let session = client.session(POOL).codec(Lines).open().await.unwrap();
        world.with(|sim| elements.into_iter().for_each(|element| sim.fail(element, Fault::Crash)));
        let start = Instant::now();
        let error = session.request("?\n").await.unwrap_err();
        assert!(matches!(error, Error::SessionEnded(_) | Error::Undelivered(_)), "{error}");
        assert!(start.elapsed() <= Duration::from_secs(61), "{:?}", start.elapsed());
        world.with(|sim| elements.into_iter().for_each(|element| sim.heal(element)));
        sleep(Duration::from_secs(900)).await;
        let session = client.session(POOL).codec(Lines).open().await.unwrap();
        assert_eq!(session.request("!\n").await.unwrap(), "!");
    });
}

/// Applications that own their connections hear of a pool's changes in a simulated world, too, also two of
/// them.
#[test]
fn a_watch_hears_of_changes() {
    sim::run(1, async |world: World| {
        let leaving: PeIdentifier = world.with(|sim| {
            sim.grant_updates();
            sim.registrar();
            sim.element(POOL, Policy::RoundRobin);
            sim.element(POOL, Policy::RoundRobin)
        });
        let clients = [(); 2].map(|()| world.client(Config::default()).unwrap());
        let mut watches = Vec::new();
        for client in &clients {
            watches.push(client.resolve(POOL).await.unwrap().watch().unwrap());
        }
        sleep(Duration::from_secs(60)).await;
        world.with(|sim| sim.leave(leaving));
        for watch in &mut watches {
            loop {
                if watch.changed().await.unwrap().left == 1 {
                    break;
                }
            }
        }
    });
}

/// Messages that nobody waits an answer for are confirmed by the application itself.
#[test]
fn an_application_confirms_by_itself() {
    sim::run(3, async |world: World| {
        let [a, b] = pool::<2>(&world);
        let client = world.client(Config::default()).unwrap();
        let session = client.session(POOL).sending(Failover::Unconfirmed).open().await.unwrap();
        let first = session.send("one").await.unwrap();
        let second = session.send("two").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        assert!(session.confirm(first));
        assert!(!session.confirm(first));
        world.with(|sim| sim.fail(a, Fault::Crash));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(world.with(|sim| sim.served(b)), 1, "only what was not confirmed goes again");
        assert!(session.confirm(second));
    });
}

/// A request that nobody waits for any more is owed by no element but the one that had it: while the session
/// has none, and where it was moved.
#[test]
fn an_abandoned_request_is_owed_by_no_other_element() {
    for is_moved in [false, true] {
        sim::run(1, async |world: World| {
            let elements = pool::<2>(&world);
            let client = world.client(Config::default()).unwrap();
            let session = client.session(POOL).codec(Lines).open().await.unwrap();
            let had = session.element().unwrap();
            let other = *elements.iter().find(|element| **element != had).unwrap();
            world.with(|sim| sim.fail(had, Fault::Hang));
            let (mut first, mut second, mut third) = (
                Box::pin(session.request("first\n")),
                Box::pin(session.request("second\n")),
                Box::pin(session.request("third\n")),
            );
            let asking = async { tokio::join!(&mut first, &mut second, &mut third) };
            assert!(timeout(Duration::from_secs(1), asking).await.is_err(), "it hangs");
            if is_moved {
                drop(first);
                session.command(|session| session.move_to(None)).unwrap().unwrap();
            } else {
                world.with(|sim| {
                    sim.fail(other, Fault::Refuse);
                    sim.fail(had, Fault::Crash);
                });
                sleep(Duration::from_millis(100)).await;
                assert_eq!(session.element(), None);
                drop(first);
                world.with(|sim| sim.heal(other));
            }
            let (second, third) = tokio::join!(second, third);
            assert_eq!(
                (&second.unwrap()[..], &third.unwrap()[..]),
                (&b"second"[..], &b"third"[..])
            );
            assert_eq!(session.element(), Some(other));
        });
    }
}

/// An element that hangs is left, however impatient those are who ask it.
#[test]
fn impatient_callers_leave_an_element_that_hangs() {
    sim::run(1, async |world: World| {
        pool::<2>(&world);
        let client = world.client(Config::default()).unwrap();
        let session = client.session(POOL).codec(Lines).open().await.unwrap();
        let hung = session.element().unwrap();
        world.with(|sim| sim.fail(hung, Fault::Hang));
        let mut tries = 0;
        while timeout(Duration::from_secs(2), session.request("?\n")).await.is_err() {
            tries += 1;
            assert!(tries < 5, "it is never left");
        }
        assert_ne!(session.element(), Some(hung));
    });
}

/// An answer is a sign of life, also where nobody waits for it any more.
#[test]
fn an_answer_to_nobody_is_a_sign_of_life() {
    sim::run(1, async |world: World| {
        pool::<2>(&world);
        let client = world.client(Config::default()).unwrap();
        let session = client.session(POOL).codec(Lines).open().await.unwrap();
        let slow = session.element().unwrap();
        world.with(|sim| sim.fail(slow, Fault::Delay(Duration::from_secs(4))));
        let first = async {
            let first = timeout(Duration::from_millis(2500), session.request("first\n")).await;
            assert!(first.is_err(), "it is slow");
        };
        let second = async {
            sleep(Duration::from_secs(2)).await;
            session.request("second\n").await
        };
        let ((), second) = tokio::join!(first, second);
        assert_eq!(second.unwrap(), "second");
        assert_eq!(session.element(), Some(slow));
    });
}

/// Who chooses for each message owes answers by several elements at once, which no session can watch.
#[test]
fn a_session_that_chooses_per_message_makes_no_requests() {
    sim::run(1, async |world: World| {
        let client = world.client(Config::default()).unwrap();
        let mut options = SessionOptions::default();
        options.choose_per_message = true;
        let refused = client.session(POOL).options(options).codec(Lines).open().await;
        assert!(matches!(refused, Err(Error::ChoosesPerMessage)));
    });
}

/// A request is for one element, however the session's messages are sent.
#[test]
fn a_request_is_for_one_element() {
    sim::run(1, async |world: World| {
        let elements = pool::<2>(&world);
        let client = world.client(Config::default()).unwrap();
        let mut sending = SendOptions::default();
        sending.to = Recipient::All;
        let session = client.session(POOL).sending(sending).codec(Lines).open().await.unwrap();
        let answer = timeout(Duration::from_secs(60), session.request("?\n")).await;
        assert_eq!(answer.expect("it ends").unwrap(), "?");
        sleep(Duration::from_secs(1)).await;
        let served: usize =
            world.with(|sim| elements.map(|it| sim.served(it) as usize).iter().sum());
        assert_eq!(served, 1);
    });
}

/// A driver that can slow elements down, and tells whether it was to.
struct Slowing(SimDriver, Arc<AtomicBool>);

impl Drive for Slowing {
    fn call(&mut self, command: &mut dyn FnMut(&mut PoolUser, asap_pu::Instant)) {
        self.0.call(command);
    }

    fn poll_event(
        &mut self,
        context: &mut Context<'_>,
        until: Option<asap_pu::Instant>,
    ) -> Poll<Option<Event>> {
        self.0.poll_event(context, until)
    }

    fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.0.poll_closed(context)
    }

    fn no_registrar(&self) -> String {
        self.0.no_registrar()
    }

    fn set_reading(&mut self, _: SessionId, reading: bool) -> bool {
        self.1.fetch_or(!reading, Ordering::Relaxed);
        true
    }
}

/// What is unread is bounded by the memory that it takes, be the messages as short as they may.
#[test]
fn short_messages_that_nobody_reads_slow_their_sender() {
    sim::run(1, async |world: World| {
        pool::<1>(&world);
        let is_slowed = Arc::new(AtomicBool::new(false));
        let driver = world.driver(Config::default(), tcp::CAPABILITIES).unwrap();
        let (client, run) = Client::over(Slowing(driver, is_slowed.clone()));
        tokio::spawn(run);
        let session = client.session(POOL).open().await.unwrap();
        let mut sent = 0;
        while !is_slowed.load(Ordering::Relaxed) {
            session.send("x").await.unwrap();
            sleep(Duration::from_millis(100)).await;
            sent += 1;
            assert!(sent <= (1 << 20) / 32, "they are shorter than what is kept of each");
        }
    });
}

/// A session can be printed within a command, which has the client locked.
#[test]
fn a_session_can_be_printed_within_a_command() {
    sim::run(1, async |world: World| {
        pool::<1>(&world);
        let client = world.client(Config::default()).unwrap();
        let session = client.session(POOL).open().await.unwrap();
        let printed = client.with(|_, _| format!("{session:?}")).unwrap();
        assert!(printed.ends_with("in use"), "{printed}");
    });
}

/// Who closes the sink half leaves to the stream half what came.
#[test]
fn to_close_the_sink_leaves_what_is_to_be_read() {
    sim::run(1, async |world: World| {
        pool::<1>(&world);
        let client = world.client(Config::default()).unwrap();
        let mut session = client.session(POOL).open().await.unwrap();
        SinkExt::send(&mut session, Bytes::from_static(b"x")).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        SinkExt::close(&mut session).await.unwrap();
        assert_eq!(session.next().await.unwrap().unwrap().data, "x");
        assert!(session.next().await.is_none());
    });
}
