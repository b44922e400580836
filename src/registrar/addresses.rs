//! The list of registrar addresses: configured ones for good, announced ones while they are
//! announced (RFC 5352 §3.6).
//!
//! The list also knows in which order addresses are to be tried. A hunt goes in *rounds*, and each
//! address is tried once in a round: first those whose last try is the longest ago, among those
//! never tried a random one, and last the home that was just lost, which counts as just tried. The
//! addresses of one server are tried one after the other in the order in which it announced them.
//!
//! Whoever can send a datagram can make the list as long as it may be, and ever new. So of the
//! channels that are set up at once two are for those that are kept, as long as there are any to try,
//! and the third for those that were announced: neither kind can keep the other from being tried. And
//! nothing here takes longer than the logarithm of the length: addresses are found by their transport,
//! and those that may be tried in the present round stand in the order in which they are, grouped by
//! server, so that the ones of the servers that are being tried are passed over at once.

use alloc::vec::Vec;
use core::array;
use core::mem;
use core::net::SocketAddr;

use super::MAX_CHANNELS;
use super::bars::Bars;
use crate::config::{Registrar, Security};
use crate::context::Context;
use crate::error::CommandError;
use crate::journal::{NoteKind, PassedOver};
use crate::ordered::{Map, Set};
use crate::reach::Origin;
use crate::timers::Timers;
use crate::wire::{ServerIdentifier, Transport, TransportUse, Transports};
use crate::{Config, Instant, Rng};

/// All addresses that may lead to a registrar.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Addresses {
    list: Map<AddressId, Address>,
    by_transport: Map<Transport, AddressId>,
    next: AddressId,
    groups: Map<GroupId, Group>,
    /// The groups with addresses that may be tried in this round, in the order of trying: those that
    /// are kept, and those that were announced.
    kept: Set<Turn>,
    announced: Set<Turn>,
    /// How many are announced, and how many of the others do without TLS.
    announced_len: usize,
    unsecured: usize,
    /// T7-ENRPoutdate of the announced ones.
    t7: Timers<AddressId>,
    pub(super) bars: Bars,
    tries: u64,
}

/// How many channels are for addresses that are kept, where there are announced ones as well.
const FOR_KEPT: usize = 2;

/// Names an address in the list, in the order of their arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(test, derive(Hash))]
pub(super) struct AddressId(u64);

/// One address; with SCTP the several addresses of one peer.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Address {
    registrar: Registrar,
    group: GroupId,
    /// Whether it understands how many elements are wanted, as far as is known.
    takes_wanted: bool,
    outdates: Option<Instant>,
    /// When it was tried last, as a running number; 0 is never.
    tried: u64,
    /// Whether it was tried in this round.
    is_spent: bool,
}

/// Addresses of which no two are tried at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(test, derive(Hash))]
enum GroupId {
    /// One that is kept for good. What is not authenticated must not change how it is tried.
    Kept(AddressId),
    /// Those that a server has announced.
    Of(ServerIdentifier),
}

#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
struct Group {
    /// How many addresses it has.
    len: usize,
    /// Those that may be tried in this round, in the order of trying.
    open: Set<(u64, AddressId)>,
    /// What decides between groups that were never tried.
    draw: u64,
}

/// When a group has its turn: when its next address was tried last, then by chance.
type Turn = (u64, u64, GroupId);

impl Addresses {
    pub(super) fn new(ctx: &mut Context) -> Self {
        let Context { config, capabilities, rng, .. } = ctx;
        let mut this = Self {
            list: Map::new(),
            by_transport: Map::new(),
            next: AddressId(0),
            groups: Map::new(),
            kept: Set::new(),
            announced: Set::new(),
            announced_len: 0,
            unsecured: 0,
            t7: Timers::new(),
            bars: Bars::new(),
            tries: 0,
        };
        for Registrar { transport, security } in &config.discovery.registrars {
            let security = security.clone();
            let transport = capabilities.reachable_registrar(Origin::Here, transport.clone());
            if let Some(transport) = transport.filter(|it| !this.by_transport.contains_key(it)) {
                this.insert(rng, Registrar { transport, security }, None);
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

    /// Those that were announced, in the order of their arrival, and until when they are believed.
    pub(super) fn announced(&self) -> impl Iterator<Item = (&Registrar, Instant)> {
        let listed = self.list.values();
        listed.filter_map(|address| Some((&address.registrar, address.outdates?)))
    }

    /// When the next announced address outdates.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.t7.next()
    }

    /// Takes a registrar in for good.
    pub(super) fn add(
        &mut self,
        ctx: &mut Context,
        registrar: Registrar,
    ) -> Result<(), CommandError> {
        let found = self.find(&registrar.transport);
        let is_kept = found.is_some_and(|id| self.is_kept(id));
        if !is_kept && self.list.len() - self.announced_len >= ctx.config.limits.max_registrars {
            return Err(CommandError::TooManyRegistrars);
        }
        let Some(id) = found else {
            self.insert(&mut ctx.rng, registrar, None);
            return Ok(());
        };
        self.count(id, usize::wrapping_sub);
        self.regroup(&mut ctx.rng, id, GroupId::Kept(id));
        if let Some(address) = self.list.get_mut(&id) {
            self.t7.set(&mut address.outdates, None, id);
            address.registrar = registrar;
        }
        self.count(id, usize::wrapping_add);
        self.check();
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
            None if self.announced_len >= ctx.config.limits.max_announced => {
                ctx.stats.announced_full += 1;
                return;
            }
            None => {
                let security = ctx.config.discovery.announced_security.clone();
                self.insert(&mut ctx.rng, Registrar { transport, security }, Some(server))
            }
        };
        if !self.is_kept(id) {
            self.regroup(&mut ctx.rng, id, GroupId::Of(server));
            if let Some(address) = self.list.get_mut(&id) {
                self.t7.set(&mut address.outdates, Some(now + ctx.config.discovery.t7_outdate), id);
            }
        }
        self.check();
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
        found.is_some_and(|id| self.forget(id).is_some())
    }

    fn find(&self, transport: &Transport) -> Option<AddressId> {
        self.by_transport.get(transport).copied()
    }

    fn find_mut(&mut self, transport: &Transport) -> Option<&mut Address> {
        self.list.get_mut(self.by_transport.get(transport)?)
    }

    fn is_kept(&self, id: AddressId) -> bool {
        self.list.get(&id).is_some_and(|address| address.is_kept())
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

    /// Whether a registrar may become the home (HUNT-19): one that was announced and does without TLS
    /// may not where all others demand it.
    pub(super) fn may_be_home(&self, config: &Config, transport: &Transport) -> bool {
        self.takes_announced(config) || self.find(transport).is_some_and(|id| self.is_kept(id))
    }

    fn takes_announced(&self, config: &Config) -> bool {
        config.discovery.announced_security != Security::None
            || config.discovery.announced_unsecured
            || self.unsecured > 0
            || self.list.len() == self.announced_len
    }

    /// From here on, every address may be tried again.
    pub(super) fn begin_round(&mut self) {
        let mut next = AddressId(0);
        while let Some((&id, address)) = self.list.first_from(&next) {
            next = AddressId(id.0 + 1);
            if address.is_spent {
                self.open(id);
            }
        }
    }

    /// Tries this one last, as if it had just been tried.
    pub(super) fn demote(&mut self, transport: &Transport) {
        if let Some(id) = self.find(transport) {
            let is_spent = self.close(id);
            self.tries += 1;
            if let Some(address) = self.list.get_mut(&id) {
                (address.tried, address.is_spent) = (self.tries, is_spent);
            }
            if !is_spent {
                self.open(id);
            }
        }
    }

    /// The same, and not in the present round.
    pub(super) fn pass_over(&mut self, transport: &Transport) {
        if let Some(id) = self.find(transport) {
            self.begin_attempt(id);
        }
    }

    /// Whether a registrar beside this one may be tried.
    pub(super) fn knows_other(&self, now: Instant, config: &Config, transport: &Transport) -> bool {
        let group = self.find(transport).and_then(|id| self.list.get(&id)).map(|it| it.group);
        let mut others = self.list.values().filter(|address| Some(address.group) != group);
        others.any(|address| {
            let is_barred = self.bars.has(now, &address.registrar.transport);
            !is_barred && (address.is_kept() || self.takes_announced(config))
        })
    }

    /// The address to try next, while channels to `busy` are up or being set up.
    pub(super) fn choose<'a>(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        mut busy: impl Iterator<Item = &'a Transport>,
    ) -> Option<AddressId> {
        let busy: [_; MAX_CHANNELS] = array::from_fn(|_| {
            let id = self.find(busy.next()?)?;
            self.list.get(&id).map(|address| address.group)
        });
        let is_kept = |group: &&GroupId| matches!(group, GroupId::Kept(_));
        let for_kept = busy.iter().flatten().filter(is_kept).count() < FOR_KEPT;
        loop {
            let free = |turns: &Set<Turn>| {
                turns.iter().find(|(.., group)| !busy.contains(&Some(*group))).copied()
            };
            let announced = free(&self.announced).filter(|_| self.takes_announced(&ctx.config));
            let kept = free(&self.kept);
            let (.., group) = if for_kept { kept.or(announced) } else { announced.or(kept) }?;
            let (_, id) = *self.groups.get(&group)?.open.first()?;
            let transport = &self.list.get(&id)?.registrar.transport;
            let Some(until) = self.bars.until(now, transport) else { return Some(id) };
            let reason = PassedOver::Barred { until };
            let at = transport;
            ctx.note(|| NoteKind::RegistrarPassedOver { transport: at.clone(), reason });
            self.spend(id);
        }
    }

    /// The address of a registrar, if it may be tried while there is no channel to any.
    pub(super) fn find_free(
        &self,
        now: Instant,
        config: &Config,
        transport: &Transport,
    ) -> Option<AddressId> {
        let is_free = !self.bars.has(now, transport) && self.may_be_home(config, transport);
        self.find(transport).filter(|_| is_free)
    }

    /// Notes that an address is tried, and says how.
    pub(super) fn begin_attempt(&mut self, id: AddressId) -> Option<Registrar> {
        self.spend(id);
        let address = self.list.get_mut(&id)?;
        self.tries += 1;
        address.tried = self.tries;
        Some(address.registrar.clone())
    }

    /// An attempt was given up through no fault of its address, which may be tried again.
    pub(super) fn put_back(&mut self, transport: &Transport) {
        if let Some(id) = self.find(transport) {
            self.open(id);
        }
    }

    fn insert(
        &mut self,
        rng: &mut Rng,
        registrar: Registrar,
        server: Option<ServerIdentifier>,
    ) -> AddressId {
        let id = self.next;
        self.next = AddressId(id.0 + 1);
        let group = server.map_or(GroupId::Kept(id), GroupId::Of);
        self.by_transport.insert(registrar.transport.clone(), id);
        let address = Address {
            registrar,
            group,
            takes_wanted: true,
            outdates: None,
            tried: 0,
            is_spent: false,
        };
        self.list.insert(id, address);
        self.count(id, usize::wrapping_add);
        self.join(rng, id);
        id
    }

    /// An address comes, or goes.
    fn count(&mut self, id: AddressId, change: fn(usize, usize) -> usize) {
        let Some(Address { group, registrar, .. }) = self.list.get(&id) else { return };
        let is_unsecured = registrar.security == Security::None;
        match group {
            GroupId::Of(_) => self.announced_len = change(self.announced_len, 1),
            GroupId::Kept(_) => self.unsecured = change(self.unsecured, is_unsecured.into()),
        }
    }

    fn forget(&mut self, id: AddressId) -> Option<Address> {
        self.part(id);
        self.count(id, usize::wrapping_sub);
        let mut gone = self.list.remove(&id)?;
        self.by_transport.remove(&gone.registrar.transport);
        self.t7.set(&mut gone.outdates, None, id);
        self.check();
        Some(gone)
    }

    /// Panics in tests where what is counted is not what is there; a long list is taken on trust.
    fn check(&self) {
        const FEW: usize = 32;
        if !cfg!(any(test, debug_assertions)) || self.list.len() > FEW {
            return;
        }
        let with =
            |which: &dyn Fn(&Address) -> bool| self.list.values().filter(|it| which(it)).count();
        assert_eq!(self.announced_len, with(&|it| !it.is_kept()));
        assert_eq!(
            self.unsecured,
            with(&|it| it.is_kept() && it.registrar.security == Security::None)
        );
        assert_eq!(self.t7.len(), with(&|it| it.outdates.is_some()));
        assert_eq!(with(&|it| it.outdates.is_some() && it.is_kept()), 0);
        for (id, group) in self.groups.iter() {
            assert_eq!(group.len, with(&|it| it.group == *id));
        }
    }

    /// An address is not in the group any more in which it was.
    fn regroup(&mut self, rng: &mut Rng, id: AddressId, group: GroupId) {
        if self.list.get(&id).is_some_and(|address| address.group != group) {
            let is_spent = self.part(id);
            if let Some(address) = self.list.get_mut(&id) {
                address.group = group;
            }
            self.join(rng, id);
            if is_spent {
                self.spend(id);
            }
        }
    }

    /// Takes an address into its group.
    fn join(&mut self, rng: &mut Rng, id: AddressId) {
        let Some(address) = self.list.get(&id) else { return };
        if !self.groups.contains_key(&address.group) {
            let draw = rng.next_u64();
            self.groups.insert(address.group, Group { draw, ..Group::default() });
        }
        if let Some(group) = self.groups.get_mut(&address.group) {
            group.len += 1;
        }
        self.open(id);
    }

    /// Takes an address out of its group, and says whether it was tried in this round.
    fn part(&mut self, id: AddressId) -> bool {
        let is_spent = self.close(id);
        let Some(address) = self.list.get(&id) else { return false };
        if let Some(group) = self.groups.get_mut(&address.group) {
            group.len -= 1;
            if group.len == 0 {
                self.groups.remove(&address.group);
            }
        }
        is_spent
    }

    /// An address may be tried in this round.
    fn open(&mut self, id: AddressId) {
        self.set_open(id, true);
    }

    /// An address may not be tried in this round, for whatever reason. Says whether it was tried.
    fn close(&mut self, id: AddressId) -> bool {
        self.set_open(id, false)
    }

    /// An address was tried in this round, or counts as such.
    fn spend(&mut self, id: AddressId) {
        self.close(id);
        if let Some(address) = self.list.get_mut(&id) {
            address.is_spent = true;
        }
    }

    /// Changes what may be tried of a group, and so when the group has its turn. Says whether the
    /// address was tried in this round; it does not count as such from here on.
    fn set_open(&mut self, id: AddressId, is_open: bool) -> bool {
        let Self { list, groups, kept, announced, .. } = self;
        let Some(Address { group, tried, is_spent, .. }) = list.get_mut(&id) else { return false };
        let was_spent = mem::take(is_spent);
        let turns = match group {
            GroupId::Kept(_) => kept,
            GroupId::Of(_) => announced,
        };
        let Some(found) = groups.get_mut(group) else { return was_spent };
        let turn = |found: &Group| {
            let first = found.open.first();
            first.map(|(tried, _)| (*tried, found.draw, *group))
        };
        let before = turn(found);
        if is_open {
            found.open.insert((*tried, id));
        } else {
            found.open.remove(&(*tried, id));
        }
        let after = turn(found);
        if before != after {
            if let Some(before) = before {
                turns.remove(&before);
            }
            if let Some(after) = after {
                turns.insert(after);
            }
        }
        was_spent
    }
}

impl Address {
    const fn is_kept(&self) -> bool {
        matches!(self.group, GroupId::Kept(_))
    }
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

/// In the explorer's fingerprints: the order of the tries that are past, and of those that are to
/// come.
#[cfg(test)]
impl core::hash::Hash for Addresses {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        for (id, address) in self.list.iter() {
            let Address { registrar, group, takes_wanted, outdates, tried, is_spent } = address;
            let before = |other: &&Address| other.tried > 0 && other.tried < *tried;
            let rank = (*tried > 0).then(|| self.list.values().filter(before).count());
            let transport = &registrar.transport;
            (id, transport, &registrar.security, group, takes_wanted).hash(state);
            (outdates, rank, is_spent).hash(state);
        }
        self.kept.iter().for_each(|(_, _, group)| group.hash(state));
        self.announced.iter().for_each(|(_, _, group)| group.hash(state));
        self.bars.hash(state);
    }
}
