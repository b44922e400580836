//! The client in simulated worlds: an application's tasks, unchanged, in virtual time and among any failures.

#[path = "../examples/fifty_tasks/work.rs"]
mod work;

use std::time::Duration;

use asap_pu::sim::Fault;
use asap_pu::wire::{PeIdentifier, Policy};
use asap_pu::{Config, Failover};
use asap_pu_tokio::sim::{self, World};
use asap_pu_tokio::{Error, Lines};
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
        for Trouble { after, element, fault, lasts } in troubles {
            let world = world.clone();
            tokio::spawn(async move {
                sleep(after).await;
                world.with(|sim| sim.fail(elements[element], fault));
                sleep(lasts).await;
                world.with(|sim| sim.heal(elements[element]));
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
            let elements = world.with(|sim| {
                sim.listen_on_tcp(POOL);
                sim.registrar();
                [(); 4].map(|()| sim.element(POOL, Policy::RoundRobin))
            });
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
        let elements = world.with(|sim| {
            sim.listen_on_tcp(POOL);
            sim.registrar();
            [(); 3].map(|()| sim.element(POOL, Policy::RoundRobin))
        });
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
        let [a, b] = world.with(|sim| {
            sim.listen_on_tcp(POOL);
            sim.registrar();
            [(); 2].map(|()| sim.element(POOL, Policy::RoundRobin))
        });
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
