//! Fifty tasks on one client, each with a hundred questions, while the elements that answer them are killed
//! and hang, one after the other. Nothing is lost: what an element has not answered goes to another one.
//!
//! ```text
//! cargo run --features sim --example fifty_tasks                                # on sockets of this host
//! cargo run --features sim --release --example fifty_tasks -- --simulated 1000  # so often, in virtual time
//! ```
//!
//! [`work`] is the application, and the same in both.

mod peers;
mod work;

use std::error::Error;
use std::time::{Duration, Instant};

use asap_pu::{sim::Fault, wire::Policy};
use asap_pu_tokio::{Client, sim};

use peers::{Element, Health};
use work::work;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => tokio::runtime::Runtime::new()?.block_on(on_sockets()),
        ["--simulated", runs] => simulated(runs.parse()?, 50),
        ["--simulated", runs, tasks] => simulated(runs.parse()?, tasks.parse()?),
        _ => Err("usage: fifty_tasks [--simulated RUNS [TASKS]]".into()),
    }
}

/// Fifty tasks, or how many it shall be, with two questions each, so many times.
fn simulated(runs: u64, tasks: u32) -> Result<(), Box<dyn Error>> {
    let (start, mut answered, mut lived) = (Instant::now(), 0, Duration::ZERO);
    for seed in 0..runs {
        let (of_run, took) = sim::run(seed, async |world| {
            let elements = world.with(|sim| {
                sim.registrar();
                sim.listen_on_tcp("EchoPool");
                [(); 4].map(|()| sim.element("EchoPool", Policy::RoundRobin))
            });
            let (client, begun) = (world.client(work::config())?, tokio::time::Instant::now());
            let trouble = async {
                for (element, fault) in elements.into_iter().zip([Fault::Doomed, Fault::Hang]) {
                    world.with(|sim| sim.fail(element, fault));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            let (answered, ()) = tokio::join!(work(&client, "EchoPool", tasks, 2), trouble);
            client.shut_down().await;
            Ok::<_, asap_pu_tokio::Error>((answered?, begun.elapsed()))
        })?;
        answered += u64::from(of_run);
        lived += took;
    }
    let took = start.elapsed();
    let rate = runs as f64 / took.as_secs_f64();
    println!("{runs} runs, {lived:?} in all, took {took:?}: {rate:.0} runs a second");
    println!("{answered} questions answered of {}", runs * u64::from(tasks) * 2);
    Ok(())
}

async fn on_sockets() -> Result<(), Box<dyn Error>> {
    let mut elements = Vec::new();
    for _ in 0..4 {
        elements.push(Element::new().await?);
    }
    let registrar = peers::registrar(&elements).await?;
    let client = Client::builder().registrar(registrar).config(work::config()).connect().await?;

    let trouble = async {
        for (n, health) in [Health::Dead, Health::Hung].into_iter().cycle().enumerate() {
            let element = &elements[n % elements.len()];
            element.set(health);
            println!("{} is {health:?}", element.at);
            tokio::time::sleep(Duration::from_millis(150)).await;
            element.set(Health::Well);
        }
    };
    let answered = tokio::select! {
        answered = work(&client, "EchoPool", 50, 100) => answered?,
        () = trouble => unreachable!("there is no end of it"),
    };
    let (failovers, resent) =
        client.with(|user, _| (user.stats().failovers, user.stats().messages_resent))?;
    println!("{answered} questions answered, after {failovers} failovers; {resent} sent again");
    client.shut_down().await;
    Ok(())
}
