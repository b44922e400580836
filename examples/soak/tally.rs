//! What was counted, what was promised, and whether it held.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use super::scene::{POLICIES, Scene};
use super::trouble::{KINDS, Kind};

/// How far the load of an element may stray from its ideal share, for each of [`POLICIES`], in
/// standard deviations of a random choice. Only a random choice keeps to those by itself. The others
/// choose by turns or by load, each user on its own: the sessions of an element that dies go to its
/// neighbour in the list all at once, a user's first turn of Weighted Round Robin goes to whom its
/// list begins with, and loads are known as they were a while ago. So these bounds are twice what
/// was seen with other seeds, and a tenth of what a policy that always chooses the same would show.
const BOUNDS: [f64; POLICIES.len()] = [10.0, 12.0, 6.0, 6.0, 30.0];

/// The longest that a session may look for an element (`session_deadline`).
const SEARCH: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    answers: u64,
    /// Requests that a session which ended gave back to the application.
    pub(crate) given_back: u64,
    /// Requests that a session which ended did not give back.
    pub(crate) swallowed: u64,
    /// Elements given up because they let their user wait.
    pub(crate) given_up: u64,
    slowest: Duration,
    pub(crate) sessions: u64,
    pub(crate) sessions_failed: u64,
    pub(crate) failovers: u64,
    /// How long new sessions took to find their first element.
    pub(crate) connected: Vec<Duration>,
    pub(crate) longest_search: Duration,
    /// Elements lost that nothing ailed.
    pub(crate) unexplained_losses: u64,
    /// Sessions that ended although nothing ailed their registrar or all of their elements.
    pub(crate) unexplained_ends: u64,
    recoveries: BTreeMap<Kind, Vec<Duration>>,
}

/// How the whole went.
pub(crate) struct Statement {
    pub(crate) title: String,
    pub(crate) hash: u64,
    tally: Tally,
    mishaps: BTreeMap<Kind, u64>,
    loads: Vec<Load>,
    resolutions: u64,
    lost: u64,
}

/// How the sessions were shared out in the pools of one policy.
struct Load {
    policy: &'static str,
    sessions: u64,
    /// The mean and the worst deviation from the ideal, as a share of it.
    mean: f64,
    worst: f64,
    /// The worst deviation in standard deviations of a random choice.
    sigmas: f64,
}

impl Tally {
    pub(crate) fn answered(&mut self, after: Duration) {
        self.answers += 1;
        self.slowest = self.slowest.max(after);
    }

    pub(crate) fn recovered(&mut self, kind: Kind, after: Duration) {
        self.recoveries.entry(kind).or_default().push(after);
    }
}

impl Statement {
    pub(crate) fn new(
        title: String,
        mut tally: Tally,
        mishaps: BTreeMap<Kind, u64>,
        scene: &Scene,
        users: &[asap_pu::sim::UserId],
        lost: usize,
    ) -> Self {
        tally.connected.sort_unstable();
        tally.recoveries.values_mut().for_each(|times| times.sort_unstable());
        let loads = (0..POLICIES.len()).map(|policy| Load::new(policy, scene)).collect();
        let resolutions =
            users.iter().map(|user| scene.sim.pool_user(*user).stats().requests_sent).sum();
        let (hash, lost) = (scene.sim.hash(), lost as u64);
        Self { title, hash, tally, mishaps, loads, resolutions, lost }
    }

    /// What was promised, and whether it held.
    pub(crate) fn promises(&self) -> [(&'static str, bool); 6] {
        let Tally { unexplained_losses, unexplained_ends, longest_search, swallowed, .. } =
            self.tally;
        let shared = self.loads.iter().zip(BOUNDS).all(|(load, bound)| load.sigmas < bound);
        [
            ("every request was answered in the end, none was lost", self.lost == 0),
            ("sessions that ended gave back what they had not delivered", swallowed == 0),
            ("no element was lost to a session that nothing ailed", unexplained_losses == 0),
            ("no session ended for want of what it could have reached", unexplained_ends == 0),
            ("no search for an element took longer than a minute", longest_search <= SEARCH),
            ("each policy shared the sessions out within its bound", shared),
        ]
    }

    pub(crate) fn holds(&self) -> bool {
        self.promises().iter().all(|(_, held)| *held)
    }

    /// How long it took to recover from each kind of failure, in order.
    pub(crate) fn recoveries(&self) -> impl Iterator<Item = (Kind, &[Duration])> {
        self.tally.recoveries.iter().map(|(kind, times)| (*kind, &times[..]))
    }
}

impl Load {
    /// Only of random choices can be said how far they may stray. Where users take turns, each on
    /// its own, an element gets those of its neighbour in the list when that one fails; and those
    /// that choose by load know it as it was a while ago.
    fn new(policy: usize, scene: &Scene) -> Self {
        let pools = scene.pools.iter().filter(|pool| pool.policy == policy);
        let mut load =
            Self { policy: POLICIES[policy], sessions: 0, mean: 0.0, worst: 0.0, sigmas: 0.0 };
        let mut members = 0.0;
        for member in pools.flat_map(|pool| &pool.members).filter(|member| member.ideal > 0.0) {
            let off = (member.chosen as f64 - member.ideal).abs();
            load.sessions += member.chosen;
            load.mean += off / member.ideal;
            load.worst = load.worst.max(off / member.ideal);
            load.sigmas = load.sigmas.max(off / member.ideal.sqrt());
            members += 1.0;
        }
        load.mean /= f64::max(members, 1.0);
        load
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { requests, answers, given_back, given_up, sessions, .. } = &self.tally;
        let Tally { sessions_failed, failovers, slowest, .. } = &self.tally;
        writeln!(f, "{}\n", self.title)?;
        writeln!(f, "{requests:>12} requests, {answers} answered, {} lost", self.lost)?;
        writeln!(f, "{:>12} the longest wait for an answer", Seconds(*slowest))?;
        writeln!(f, "{sessions:>12} sessions, {sessions_failed} of them failed, gave back")?;
        writeln!(f, "{given_back:>12} requests, which new sessions got answered")?;
        writeln!(f, "{failovers:>12} failovers; {given_up} times an application lost patience")?;
        writeln!(f, "{:>12} resolutions\n", self.resolutions)?;

        writeln!(f, "time to recover             mishaps  outages   median     99 %    worst")?;
        for kind in KINDS {
            let mishaps = self.mishaps.get(&kind).copied().unwrap_or(0);
            let times = self.tally.recoveries.get(&kind).map_or(&[][..], |times| times);
            write!(f, "  {:<25} {mishaps:>7} {:>8}", kind.name(), times.len())?;
            writeln!(f, " {}", Spread(times))?;
        }
        let connected = &self.tally.connected[..];
        let times = Spread(connected);
        writeln!(f, "  {:<25}         {:>8} {times}\n", "a new session", connected.len())?;

        writeln!(
            f,
            "load against the policy's ideal   sessions     mean    worst   sigmas    bound"
        )?;
        for (Load { policy, sessions, mean, worst, sigmas }, bound) in self.loads.iter().zip(BOUNDS)
        {
            let (mean, worst) = (mean * 100.0, worst * 100.0);
            write!(f, "  {policy:<24}       {sessions:>9} {mean:>6.1} % {worst:>6.1} %")?;
            writeln!(f, " {sigmas:>8.1} {bound:>8.1}")?;
        }
        writeln!(f)?;
        for (promise, held) in self.promises() {
            writeln!(f, "{}  {promise}", if held { "held  " } else { "BROKEN" })?;
        }
        writeln!(f, "\ntranscript {:#018x}", self.hash)
    }
}

/// The median, the 99th percentile and the worst of times in order.
struct Spread<'a>(&'a [Duration]);

impl fmt::Display for Spread<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(last) = self.0.len().checked_sub(1) else { return Ok(()) };
        let at = [last / 2, last * 99 / 100, last];
        let [median, most, worst] = at.map(|at| Seconds(self.0[at]));
        write!(f, "{median:>8} {most:>8} {worst:>8}")
    }
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.2} s", self.0.as_secs_f64()))
    }
}
