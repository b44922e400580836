//! Who there is: registrars, and pools of twenty elements each, every fifth pool of one policy.

use asap_pu::sim::{Record, Sim, UserId};
use asap_pu::wire::{PeIdentifier, Policy, ServerIdentifier, Transport};

pub(crate) const ELEMENTS_PER_POOL: usize = 20;
pub(crate) const POLICIES: [&str; 5] =
    ["Round Robin", "Weighted Round Robin", "Random", "Weighted Random", "Least Used"];

/// Everybody but the pool users, and the world they are in.
pub(crate) struct Scene {
    pub(crate) sim: Sim,
    pub(crate) registrars: Vec<ServerIdentifier>,
    pub(crate) pools: Vec<Pool>,
}

/// A pool, and how the work in it is and should be shared.
pub(crate) struct Pool {
    pub(crate) handle: String,
    /// Where its policy stands in [`POLICIES`].
    pub(crate) policy: usize,
    pub(crate) members: Vec<Member>,
}

pub(crate) struct Member {
    pub(crate) element: PeIdentifier,
    weight: u32,
    /// The number of sessions that the registrars know of.
    told: usize,
    /// How often it got a session.
    pub(crate) chosen: u64,
    /// How often it should have, had each choice been shared out as the policy wants it.
    pub(crate) ideal: f64,
}

impl Scene {
    pub(crate) fn new(
        seed: u64,
        registrars: usize,
        pools: usize,
        log: impl FnMut(&Record<'_>) + Send + 'static,
    ) -> Self {
        let mut sim = Sim::new(seed);
        sim.log(log);
        let registrars = (0..registrars).map(|_| sim.registrar()).collect();
        let pools = (0..pools).map(|at| Pool::new(&mut sim, at)).collect();
        sim.announce();
        Self { sim, registrars, pools }
    }

    /// The registrar that listens there.
    pub(crate) fn registrar_at(&self, transport: &Transport) -> Option<ServerIdentifier> {
        let listens = |server: &&ServerIdentifier| {
            let at = self.sim.registrar_at(**server).transport;
            at.socket_addrs().next() == transport.socket_addrs().next()
        };
        self.registrars.iter().find(listens).copied()
    }

    /// Whether any element of a pool would serve a user.
    pub(crate) fn anyone_serves(&self, pool: usize, user: UserId) -> bool {
        self.pools[pool].members.iter().any(|member| self.sim.serves(member.element, user))
    }

    /// Takes note that a session went to an element, and whom it might have gone to.
    pub(crate) fn chosen(&mut self, pool: usize, element: PeIdentifier, user: UserId) {
        let Self { sim, pools, .. } = self;
        let members = &mut pools[pool].members;
        let there = |member: &Member| {
            sim.serves(member.element, user) && sim.is_listed(member.element)
                || member.element == element
        };
        let sum: u32 = members.iter().filter(|m| there(m)).map(|m| m.weight).sum();
        for member in members.iter_mut().filter(|member| there(member)) {
            member.ideal += f64::from(member.weight) / f64::from(sum);
            member.chosen += u64::from(member.element == element);
        }
    }

    /// Elements whose policy wants it tell the registrars how many sessions they have.
    pub(crate) fn tell_loads(&mut self) {
        let Self { sim, pools, .. } = self;
        let by_load = pools.iter_mut().filter(|pool| POLICIES[pool.policy] == "Least Used");
        for member in by_load.flat_map(|pool| &mut pool.members) {
            let sessions = sim.sessions(member.element);
            if core::mem::replace(&mut member.told, sessions) != sessions {
                let load = u32::try_from(sessions << 20).unwrap_or(u32::MAX);
                sim.revalue(member.element, Policy::LeastUsed { load });
            }
        }
    }
}

impl Pool {
    fn new(sim: &mut Sim, at: usize) -> Self {
        let handle = format!("pool {at}");
        let policy = at % POLICIES.len();
        let member = |nth: usize| {
            let weighted = POLICIES[policy].starts_with("Weighted");
            let weight = if weighted { 1 + nth as u32 % 4 } else { 1 };
            let value = match POLICIES[policy] {
                "Weighted Round Robin" => Policy::WeightedRoundRobin { weight },
                "Random" => Policy::Random,
                "Weighted Random" => Policy::WeightedRandom { weight },
                "Least Used" => Policy::LeastUsed { load: 0 },
                _ => Policy::RoundRobin,
            };
            let element = sim.element(handle.as_str(), value);
            Member { element, weight, told: 0, chosen: 0, ideal: 0.0 }
        };
        let members = (0..ELEMENTS_PER_POOL).map(member).collect();
        Self { handle, policy, members }
    }
}
