//! A day among failures: ten thousand pool users, a thousand elements in fifty pools, ten
//! registrars, and something going wrong every two seconds, all in the simulator.
//!
//! Pools have twenty elements and one of five policies. Each pool user runs an application that
//! makes one request after the other, some to a session; none may be lost. What fails does so for
//! 20 s to 5 min: elements crash, die of a request, fall silent, hang, refuse, are slow, leave their
//! pool; registrars crash, hang, lie, are impostors; now and then a part of everything, a twentieth,
//! is cut off from the rest. In the end all is well again, and a statement says what was promised
//! and whether it held. What could be reached when is known from the book that is kept of all
//! failures, not from what the pool users made of it.
//!
//! ```text
//! cargo run --release --example soak                 # the whole day, some minutes
//! cargo run --release --example soak -- --hours 1 --users 1000 --seed 2 --svg recovery.svg
//! cargo run --release --example soak -- --hours 0.1 --users 20 --html soak.html   # what happened, too
//! ```
#![allow(clippy::std_instead_of_alloc, reason = "examples have the standard library")]

mod chart;
mod crowd;
#[path = "../drawing/mod.rs"]
mod drawing;
mod scene;
mod tally;
#[path = "../drawing/timeline.rs"]
mod timeline;
mod trouble;

use core::time::Duration;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use asap_pu::Instant;
use asap_pu::sim::{Host, Record, What};
use crowd::Crowd;
use scene::{ELEMENTS_PER_POOL, Scene};
pub(crate) use tally::Statement;
use tally::Tally;
use timeline::Timeline;
use trouble::Trouble;

const REGISTRARS: usize = 10;
const USERS_PER_POOL: usize = 200;
/// What the page shows of it all.
const SHOWN_USERS: u32 = 10;
const SHOWN_TIME: Duration = Duration::from_secs(600);
/// How often elements tell their load.
const LOADS: Duration = Duration::from_secs(30);
/// How long everything is well before the end.
const QUIET: Duration = Duration::from_secs(600);

/// How large the run is.
pub(crate) struct Options {
    pub(crate) users: usize,
    pub(crate) hours: f64,
    pub(crate) seed: u64,
    pub(crate) svg: Option<PathBuf>,
    /// A page with the same picture, and everything that happened to those who come first in it.
    pub(crate) html: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        eprintln!("usage: soak [--users N] [--hours N] [--seed N] [--svg FILE] [--html FILE]");
        return ExitCode::from(2);
    };
    let seen = Arc::new(Mutex::new(Timeline::default()));
    let sees = Arc::clone(&seen);
    let wanted = options.html.is_some();
    let statement = run(&options, progress, move |record| {
        if wanted && is_shown(record) {
            sees.lock().expect("nobody panics").record(record);
        }
    });
    print!("{statement}");
    let svg = chart::svg(&statement);
    let page = || {
        core::mem::take(&mut *seen.lock().expect("nobody panics")).of_those_called().page(
            "A day among failures",
            &statement.title,
            &svg,
        )
    };
    let files = [
        options.svg.as_ref().map(|file| (file, svg.clone())),
        options.html.as_ref().map(|file| (file, page())),
    ];
    for (file, content) in files.into_iter().flatten() {
        if let Err(error) = std::fs::write(file, content) {
            eprintln!("{}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    }
    if statement.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether a page can hold it: the first minutes of the first users, and of all others.
fn is_shown(record: &Record<'_>) -> bool {
    let is_early = record.at < Instant::EPOCH + SHOWN_TIME;
    let is_first = !matches!(record.host, Host::User(_)) || record.host.number() <= SHOWN_USERS;
    let is_routine = matches!(record.what, What::Announces(_) | What::Joins(_));
    is_early && is_first && !is_routine
}

/// Simulates it all; `progress` hears which share of it is done, and `log` what happens.
pub(crate) fn run(
    options: &Options,
    progress: impl Fn(f64),
    log: impl FnMut(&Record<'_>) + Send + 'static,
) -> Statement {
    let Options { users, hours, seed, .. } = *options;
    let pools = users.div_ceil(USERS_PER_POOL).max(scene::POLICIES.len());
    let elements = pools * ELEMENTS_PER_POOL;
    let mut scene = Scene::new(seed, REGISTRARS, pools, log);
    let mut crowd = Crowd::new(&mut scene, seed ^ 1, users);
    let mut trouble = Trouble::new(seed ^ 2, &scene);
    let mut tally = Tally::default();

    let end = Instant::EPOCH + Duration::from_secs_f64(hours * 3_600.0);
    let mut loads = Instant::EPOCH;
    let quiet = end + QUIET;
    while scene.sim.now() < quiet {
        let now = scene.sim.now();
        if now >= loads {
            scene.tell_loads();
            loads = now + LOADS;
            progress(now.as_nanos() as f64 / quiet.as_nanos() as f64);
        }
        if now >= end && !crowd.closing {
            crowd.closing = true;
            trouble.end(&mut scene, &crowd.ids);
        }
        trouble.act(&mut scene, &crowd.ids);
        crowd.act(&mut scene, &trouble, &mut tally);
        let last = if crowd.closing { quiet } else { end };
        let until = last.min(loads).min(trouble.due());
        // A reaction may bring an earlier alarm.
        while let Some((user, event)) = scene.sim.next(until.min(crowd.due())) {
            crowd.react(user, event, &mut scene, &trouble, &mut tally);
        }
    }
    progress(1.0);
    let title = format!(
        "{users} pool users, {elements} elements in {pools} pools, {REGISTRARS} registrars, \
         {hours} h, seed {seed}"
    );
    Statement::new(title, tally, trouble.mishaps, &scene, &crowd.ids, crowd.waiting())
}

/// A bar for those who wait.
fn progress(share: f64) {
    let mut out = io::stderr();
    if out.is_terminal() {
        let done = (share * 50.0) as usize;
        let bar = "█".repeat(done) + &"·".repeat(50 - done);
        let end = if share < 1.0 { "" } else { "\n" };
        let _ = write!(out, "\r{bar} {:3.0} %{end}", share * 100.0).and_then(|()| out.flush());
    }
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self { users: 10_000, hours: 24.0, seed: 1, svg: None, html: None };
        while let Some(option) = args.next() {
            let value = args.next()?;
            match &option[..] {
                "--users" => options.users = value.parse().ok().filter(|users| *users > 0)?,
                // A million is more than a century, and nobody waits for that.
                "--hours" => {
                    let hours = value.parse().ok();
                    options.hours = hours.filter(|hours| *hours > 0.0 && *hours <= 1e6)?;
                }
                "--seed" => options.seed = value.parse().ok()?,
                "--svg" => options.svg = Some(value.into()),
                "--html" => options.html = Some(value.into()),
                _ => return None,
            }
        }
        Some(options)
    }
}
