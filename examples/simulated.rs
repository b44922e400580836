//! An application, tested in the simulator: a work queue that must not lose a job while the workers
//! die under it. A quarter of an hour full of trouble takes a few milliseconds.
//!
//! ```text
//! cargo run --example simulated          # the whole transcript, and what came of it
//! cargo run --example simulated -- 42    # another seed, another run
//! cargo run --example simulated -- --html run.html     # the same as a page, for a browser
//! cargo run --example simulated -- --pcap run.pcapng   # its messages, for Wireshark
//! ```

#![allow(clippy::std_instead_of_alloc, reason = "examples have the standard library")]

mod drawing;
#[path = "drawing/timeline.rs"]
pub(crate) mod timeline;

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use asap_pu::capture::Capture;
use asap_pu::sim::{Fault, Record, Sim, UserId};
use asap_pu::wire::{PeIdentifier, Policy};
use asap_pu::{
    CommandError, Event, Failover, Instant, MessageId, Rng, SessionId, SessionOptions,
    UndeliveredReason,
};
use timeline::Timeline;

const USAGE: &str = "usage: simulated [SEED] [--html FILE] [--pcap FILE]";

const POOL: &str = "Workers";
const JOBS: u32 = 200;
/// An application that waits longer than this for a result believes that the worker hangs.
const TOO_LONG: Duration = Duration::from_secs(5);

/// The application under test: it hands out jobs and collects results.
struct WorkQueue {
    user: UserId,
    session: SessionId,
    /// Jobs that have no result yet: which they are, and when they were handed out the last time.
    open: BTreeMap<MessageId, (u32, Instant)>,
    results: BTreeMap<u32, u32>,
    failovers: usize,
}

/// What came of a run.
pub(crate) struct Outcome {
    results: BTreeMap<u32, u32>,
    /// How many jobs the workers did.
    done: u64,
    failovers: usize,
    took: Duration,
    hash: u64,
}

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let Options { seed, html, pcap } = Options::parse(std::env::args().skip(1)).ok_or(USAGE)?;
    let prints = html.is_none() && pcap.is_none();
    let seen = Arc::new(Mutex::new((Timeline::default(), Capture::new())));
    let sees = Arc::clone(&seen);
    let outcome = run(seed, move |record| {
        let (timeline, capture) = &mut *sees.lock().expect("nobody panics");
        timeline.record(record);
        record.capture(capture);
        if prints {
            println!("{record}");
        }
    })?;
    let (timeline, mut capture) = core::mem::take(&mut *seen.lock().expect("nobody panics"));
    if let Some(file) = html {
        let note = format!(
            "{} jobs in {:?}, {} failovers, seed {seed}",
            outcome.results.len(),
            outcome.took,
            outcome.failovers
        );
        std::fs::write(file, timeline.page("A work queue whose workers die", &note, ""))?;
    }
    if let Some(file) = pcap {
        std::fs::write(file, capture.take())?;
    }
    println!("\n{} jobs in {:?} of simulated time", outcome.results.len(), outcome.took);
    println!("{} failovers, {} jobs done in all", outcome.failovers, outcome.done);
    println!("transcript {:#018x}: seed {seed} gives it again", outcome.hash);
    assert!(outcome.is_complete(), "a job was lost");
    Ok(())
}

/// What the user asked for.
struct Options {
    seed: u64,
    html: Option<PathBuf>,
    pcap: Option<PathBuf>,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self { seed: 1, html: None, pcap: None };
        while let Some(argument) = args.next() {
            match &argument[..] {
                "--html" => options.html = Some(args.next()?.into()),
                "--pcap" => options.pcap = Some(args.next()?.into()),
                seed => options.seed = seed.parse().ok()?,
            }
        }
        Some(options)
    }
}

/// Two registrars and four workers, of whom one after the other gets into trouble.
pub(crate) fn run(
    seed: u64,
    log: impl FnMut(&Record<'_>) + Send + 'static,
) -> Result<Outcome, Box<dyn core::error::Error>> {
    let mut sim = Sim::new(seed);
    sim.log(log);
    let registrars = [(); 2].map(|()| sim.registrar());
    let workers = [(); 4].map(|()| sim.element(POOL, Policy::LeastUsed { load: 0 }));
    sim.set_service(POOL, |_, job| {
        let job: u32 = core::str::from_utf8(job).ok()?.parse().ok()?;
        Some(format!("{job} squared is {}", job * job).into())
    });

    let user = sim.user(sim.config())?;
    let mut queue = WorkQueue::new(&mut sim, user)?;
    let mut chance = Rng::new(seed);
    for job in 0..JOBS {
        queue.hand_out(&mut sim, job)?;
        if job % 4 == 0 {
            let until = sim.now() + Duration::from_millis(chance.below(50));
            queue.work(&mut sim, until)?;
            queue.trouble(&mut sim, &mut chance, &workers);
        }
        match job % 40 {
            10 => sim.fail(registrars[0], Fault::Crash),
            20 => sim.heal(registrars[0]),
            _ => {}
        }
        let until = sim.now() + Duration::from_secs(chance.below(10));
        queue.work(&mut sim, until)?;
    }
    workers.into_iter().for_each(|worker| sim.heal(worker));
    let until = sim.now() + Duration::from_secs(120);
    queue.work(&mut sim, until)?;
    let WorkQueue { results, failovers, .. } = queue;
    let done = workers.into_iter().map(|worker| sim.served(worker)).sum();
    Ok(Outcome { results, done, failovers, took: sim.now() - Instant::EPOCH, hash: sim.hash() })
}

impl WorkQueue {
    fn new(sim: &mut Sim, user: UserId) -> Result<Self, CommandError> {
        let session = open(sim, user)?;
        let (open, results) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { user, session, open, results, failovers: 0 })
    }

    /// The worker that has the session gets into trouble, another one out of it.
    fn trouble(&self, sim: &mut Sim, chance: &mut Rng, workers: &[PeIdentifier]) {
        let faults = [Fault::Crash, Fault::Doomed, Fault::Cut, Fault::Hang, Fault::Refuse];
        let fault = faults[chance.below(faults.len() as u64) as usize];
        if let Some(worker) =
            sim.pool_user(self.user).session(self.session).and_then(|session| session.element())
        {
            sim.fail(worker, fault);
        }
        sim.heal(workers[chance.below(workers.len() as u64) as usize]);
    }

    /// A job may be done twice and must be done: it goes to the next worker until there is a
    /// result.
    fn hand_out(&mut self, sim: &mut Sim, job: u32) -> Result<(), Box<dyn core::error::Error>> {
        let (session, data) = (self.session, job.to_string());
        let message = sim.call(self.user, |pu, now| {
            let sent = pu.session_mut(now, session)?.send(data, Failover::Unconfirmed);
            sent.map_err(Box::<dyn core::error::Error>::from)
        })?;
        self.open.insert(message, (job, sim.now()));
        Ok(())
    }

    /// Collects results for a while, and loses patience with a worker that hangs.
    fn work(&mut self, sim: &mut Sim, until: Instant) -> Result<(), Box<dyn core::error::Error>> {
        loop {
            let late = self.open.values().map(|(_, since)| *since + TOO_LONG).min();
            match sim.next(late.unwrap_or(until).min(until)) {
                Some((_, event)) => self.react(sim, event)?,
                None if sim.now() >= until => return Ok(()),
                None => {
                    // While it has no worker there is nobody to give up.
                    let session = self.session;
                    let _ = sim.call(self.user, |pu, now| {
                        pu.session_mut(now, session).and_then(|mut session| session.give_up())
                    });
                    self.open.values_mut().for_each(|(_, since)| *since = sim.now());
                }
            }
        }
    }

    fn react(&mut self, sim: &mut Sim, event: Event) -> Result<(), Box<dyn core::error::Error>> {
        match event {
            Event::Received { data, .. } => {
                let (job, result) = result_in(&data).ok_or("not a result")?;
                let found = self.open.iter().find(|(_, (open, _))| *open == job);
                if let Some(message) = found.map(|(message, _)| *message) {
                    let session = self.session;
                    sim.call(self.user, |pu, now| {
                        Ok::<_, CommandError>(pu.session_mut(now, session)?.confirm(message))
                    })?;
                    self.open.remove(&message);
                    self.results.insert(job, result);
                }
            }
            Event::FailedOver { .. } => self.failovers += 1,
            // It waited too long for a worker, or was at too many: it is handed out anew.
            Event::Returned { message, reason, .. } | Event::Lost { message, reason, .. }
                if reason != UndeliveredReason::SessionEnded =>
            {
                let (job, _) = self.open.remove(&message).ok_or("given back twice")?;
                self.hand_out(sim, job)?;
            }
            // No worker could be found: what was not done is handed out in a new session.
            Event::SessionEnded { .. } => {
                self.session = open(sim, self.user)?;
                for (job, _) in core::mem::take(&mut self.open).into_values() {
                    self.hand_out(sim, job)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Outcome {
    /// Whether every job has its result.
    pub(crate) fn is_complete(&self) -> bool {
        (0..JOBS).all(|job| self.results.get(&job) == Some(&(job * job)))
    }
}

/// The job and its result.
fn result_in(answer: &[u8]) -> Option<(u32, u32)> {
    let (job, result) = core::str::from_utf8(answer).ok()?.split_once(" squared is ")?;
    Some((job.parse().ok()?, result.parse().ok()?))
}

fn open(sim: &mut Sim, user: UserId) -> Result<SessionId, CommandError> {
    sim.call(user, |pu, now| pu.open_session(now, POOL, SessionOptions::default()))
}
