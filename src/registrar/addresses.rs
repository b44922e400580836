//! The list of registrar addresses: configured ones for good, announced ones while they are
//! announced (RFC 5352 §3.6).
//!
//! The list also knows in which order addresses are to be tried. A hunt goes in *rounds*, and each
//! address is tried once in a round: first those whose last try is the longest ago, among those
//! never tried a random one, and last the home that was just lost. The addresses of one server are
//! tried one after the other in the order in which it announced them.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::array;
use core::net::SocketAddr;

use super::MAX_CHANNELS;
use crate::config::Registrar;
use crate::context::Context;
use crate::error::CommandError;
use crate::reach::Origin;
use crate::timers::Timers;
use crate::wire::{ServerIdentifier, Transport, TransportUse, Transports};
use crate::{Config, Instant, Rng};

/// All addresses that may lead to a registrar.
#[derive(Debug)]
pub(super) struct Addresses {
    list: BTreeMap<AddressId, Address>,
    next: AddressId,
    announced: usize,
    /// T7-ENRPoutdate of the announced ones.
    t7: Timers<AddressId>,
    /// Registrars that are not who they should be, and until when they are left alone.
    barred: VecDeque<(Transport, Instant)>,
    round: u64,
    tries: u64,
}

/// Names an address in the list, in the order of their arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AddressId(u64);

/// One address; with SCTP the several addresses of one peer.
#[derive(Debug)]
struct Address {
    registrar: Registrar,
    /// Who announced it; what is not authenticated must not change how configured addresses are
    /// tried.
    server: Option<ServerIdentifier>,
    announced: bool,
    /// Whether it understands how many elements are wanted, as far as is known.
    takes_wanted: bool,
    outdates: Option<Instant>,
    /// When it was tried last, as a running number; 0 is never.
    tried: u64,
    /// The round in which it was tried last.
    round: Option<u64>,
}

impl Addresses {
    pub(super) fn new(config: &Config) -> Self {
        let mut this = Self {
            list: BTreeMap::new(),
            next: AddressId(0),
            announced: 0,
            t7: Timers::new(),
            barred: VecDeque::new(),
            round: 0,
            tries: 0,
        };
        for Registrar { transport, security } in &config.registrars {
            let security = security.clone();
            if let Some(transport) = config.reachable(Origin::Here, transport.clone()) {
                this.insert(Registrar { transport, security }, None);
            }
        }
        this
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Everyone, in the order of their arrival.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Registrar> {
        self.list.values().map(|address| &address.registrar)
    }

    /// When the next announced address outdates.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.t7.next()
    }

    /// Takes a registrar in for good.
    pub(super) fn add(&mut self, ctx: &Context, registrar: Registrar) -> Result<(), CommandError> {
        let found = self.find(&registrar.transport);
        let is_kept = found.and_then(|id| self.list.get(&id)).is_some_and(|it| !it.announced);
        if !is_kept && self.list.len() - self.announced >= ctx.config.max_registrars {
            return Err(CommandError::TooManyRegistrars);
        }
        let Some(id) = found else {
            self.insert(registrar, None);
            return Ok(());
        };
        if let Some(address) = self.list.get_mut(&id) {
            self.t7.set(&mut address.outdates, None, id);
            self.announced -= usize::from(core::mem::take(&mut address.announced));
            address.server = None;
            address.registrar = registrar;
        }
        Ok(())
    }

    /// Takes an address in that `server` has announced, if there is room, and restarts its T7
    /// (HUNT-7, HUNT-9).
    pub(super) fn announce(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        transport: Transport,
        server: ServerIdentifier,
    ) {
        let id = match self.find(&transport) {
            Some(id) => id,
            None if self.announced >= ctx.config.max_announced => {
                ctx.stats.announced_full += 1;
                return;
            }
            None => {
                let security = ctx.config.announced_security.clone();
                self.insert(Registrar { transport, security }, Some(server))
            }
        };
        let Some(address) = self.list.get_mut(&id) else { return };
        if address.announced {
            address.server = Some(server);
            self.t7.set(&mut address.outdates, Some(now + ctx.config.t7_outdate), id);
        }
    }

    /// Forgets the addresses whose T7 has run out; says whether there were any.
    pub(super) fn outdate(&mut self, now: Instant, ctx: &mut Context) -> bool {
        let mut any = false;
        while let Some(id) = self.t7.pop_due(now) {
            ctx.stats.announced_outdated += 1;
            self.forget(id);
            any = true;
        }
        any
    }

    /// Takes a registrar out; says whether it was there.
    pub(super) fn remove(&mut self, transport: &Transport) -> bool {
        let found = self.find(transport);
        found.map(|id| self.forget(id)).is_some()
    }

    fn forget(&mut self, id: AddressId) {
        if let Some(mut gone) = self.list.remove(&id) {
            self.t7.set(&mut gone.outdates, None, id);
            self.announced -= usize::from(gone.announced);
        }
    }

    fn find(&self, transport: &Transport) -> Option<AddressId> {
        let same = |address: &Address| address.registrar.transport == *transport;
        self.list.iter().find(|(_, address)| same(address)).map(|(id, _)| *id)
    }

    /// Leaves a registrar alone that is not who it should be; announces do not change that
    /// (HUNT-10).
    pub(super) fn bar(&mut self, now: Instant, ctx: &mut Context, transport: Transport) {
        ctx.stats.registrars_barred += 1;
        self.barred.retain(|(other, until)| *until > now && *other != transport);
        if self.barred.len() >= ctx.config.max_barred {
            self.barred.pop_front();
            ctx.stats.bars_forgotten += 1;
        }
        self.barred.push_back((transport, now + ctx.config.bar_time));
    }

    /// Whether a registrar understands how many elements are wanted, as far as is known.
    pub(super) fn takes_wanted(&self, transport: &Transport) -> bool {
        let found = self.find(transport).and_then(|id| self.list.get(&id));
        found.is_none_or(|address| address.takes_wanted)
    }

    /// A registrar said that it does not; this lasts as long as its address is in the list.
    pub(super) fn refused_wanted(&mut self, transport: &Transport) {
        if let Some(address) = self.find_mut(transport) {
            address.takes_wanted = false;
        }
    }

    /// From here on, every address may be tried again.
    pub(super) fn begin_round(&mut self) {
        self.round += 1;
    }

    /// Tries this one last, as if it had just been tried.
    pub(super) fn demote(&mut self, transport: &Transport) {
        self.tries += 1;
        let tries = self.tries;
        if let Some(address) = self.find_mut(transport) {
            address.tried = tries;
        }
    }

    /// The same, and not in the present round.
    pub(super) fn pass_over(&mut self, transport: &Transport) {
        self.demote(transport);
        let round = self.round;
        if let Some(address) = self.find_mut(transport) {
            address.round = Some(round);
        }
    }

    /// Whether a registrar beside this one may be tried.
    pub(super) fn knows_other(&self, now: Instant, transport: &Transport) -> bool {
        let busy = [self.find(transport)];
        self.list.keys().any(|id| self.is_free(now, *id, &busy))
    }

    /// The address to try next, while channels to `busy` are up or being set up.
    pub(super) fn choose<'a>(
        &self,
        now: Instant,
        rng: &mut Rng,
        mut busy: impl Iterator<Item = &'a Transport>,
    ) -> Option<AddressId> {
        let busy: [_; MAX_CHANNELS] = array::from_fn(|_| self.find(busy.next()?));
        let rank = |address: &Address| address.tried;
        let untried = || self.list.iter().filter(|(_, a)| a.round != Some(self.round));
        let open = || untried().filter(|(id, _)| self.is_free(now, **id, &busy));
        let best = open().map(|(_, a)| rank(a)).min()?;
        let equals: Vec<_> = open().filter(|(_, a)| rank(a) == best).collect();
        let drawn = usize::try_from(rng.below(equals.len() as u64)).ok()?;
        let server = equals[drawn].1.server;
        let first = equals.iter().find(|(_, a)| server.is_some() && a.server == server);
        Some(*first.unwrap_or(&equals[drawn]).0)
    }

    /// The address of a registrar, if it may be tried while there is no channel to any.
    pub(super) fn find_free(&self, now: Instant, transport: &Transport) -> Option<AddressId> {
        self.find(transport).filter(|id| self.is_free(now, *id, &[]))
    }

    /// Whether an address may be tried: it is not barred, and no channel to its server is up or
    /// being set up.
    fn is_free(&self, now: Instant, id: AddressId, busy: &[Option<AddressId>]) -> bool {
        let Some(address) = self.list.get(&id) else { return false };
        let same = |other: &AddressId| {
            let server = self.list.get(other).and_then(|other| other.server);
            *other == id || (server.is_some() && server == address.server)
        };
        let transport = &address.registrar.transport;
        !self.barred.iter().any(|(barred, until)| same_place(barred, transport) && *until > now)
            && !busy.iter().flatten().any(same)
    }

    /// Notes that an address is tried, and says how.
    pub(super) fn take_up(&mut self, id: AddressId) -> Option<Registrar> {
        let address = self.list.get_mut(&id)?;
        self.tries += 1;
        address.tried = self.tries;
        address.round = Some(self.round);
        Some(address.registrar.clone())
    }

    /// An attempt was given up through no fault of its address, which may be tried again.
    pub(super) fn put_back(&mut self, transport: &Transport) {
        if let Some(address) = self.find_mut(transport) {
            address.round = None;
        }
    }

    fn find_mut(&mut self, transport: &Transport) -> Option<&mut Address> {
        self.list.values_mut().find(|address| address.registrar.transport == *transport)
    }

    fn insert(&mut self, registrar: Registrar, server: Option<ServerIdentifier>) -> AddressId {
        let id = self.next;
        self.next = AddressId(id.0 + 1);
        let announced = server.is_some();
        let address = Address {
            registrar,
            server,
            announced,
            takes_wanted: true,
            outdates: None,
            tried: 0,
            round: None,
        };
        self.list.insert(id, address);
        self.announced += usize::from(announced);
        id
    }
}

/// Whether two transports lead to the same peer, whatever else they say.
fn same_place(one: &Transport, other: &Transport) -> bool {
    let mut places = one.socket_addrs();
    one.protocol() == other.protocol() && places.any(|at| other.socket_addrs().any(|a| a == at))
}

/// The addresses in an announce. One without any means SCTP at its source: the customary `port` by
/// the RFC, the datagram's own port in practice, which is therefore the first to try (HUNT-8).
pub(super) fn announced_transports(
    source: SocketAddr,
    port: u16,
    transports: Option<Transports<'_>>,
) -> Vec<Transport> {
    if let Some(listed) = transports {
        return listed.map(|transport| transport.to_owned()).collect();
    }
    let mut ports = alloc::vec![source.port(), port];
    ports.dedup();
    let at = |port| Transport::sctp(port, TransportUse::DATA_ONLY, [source.ip()]);
    ports.into_iter().map(at).collect()
}
