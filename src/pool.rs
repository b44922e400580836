//! One resolved pool: its elements, what they are worth, which of them failed, and the choice among them.
//!
//! A registrar lists some or all elements of a pool; each new list replaces the former one (RFC 5352 §3.3). What must
//! outlive a list is kept beside it: the policy's own state (in [`Selector`]), which elements were ever used, and the
//! *failure marks*. A mark says that an element was found unreachable. While it lasts the element is passed over although
//! the registrar may still list it, and further failures of it are the same event, which is reported once (RFC 5352
//! §3.5). It ends by time, by proven contact, by a changed address, or by the user; absence from a list does not end it,
//! because a list may be a part of the pool.
//!
//! Choosing has three steps: by policy among the elements that are neither marked nor excluded; where there are none, the
//! one whose mark is the oldest; never one that the caller excluded.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use crate::channel::Authentication;
use crate::context::Context;
use crate::error::CommandError;
use crate::selection::{self, Member, Selector};
use crate::wire::{
    Elements, PeIdentifier, Policy, PolicyType, PoolElementRef, PoolHandle, Protocol,
    ServerIdentifier, Transport, TransportRef,
};
use crate::{Instant, Rng};

/// A resolved pool.
///
/// Lists and describes its elements; [`PoolUser::select`](crate::PoolUser::select) chooses among them.
pub struct Pool {
    handle: PoolHandle,
    policy: PolicyType,
    elements: Vec<Element>,
    /// The user transports of all elements, encoded one behind the other.
    transports: Vec<u8>,
    /// The places of the elements, sorted by identifier.
    by_identifier: Vec<(PeIdentifier, u32)>,
    /// The elements that were handed out and are not listed at present, sorted.
    absent: Vec<PeIdentifier>,
    /// How many elements the driver cannot speak to.
    unspoken: usize,
    selector: Selector,
    marks: BTreeMap<PeIdentifier, Mark>,
    fetched: Instant,
    authentication: Authentication,
}

/// What is kept of a pool element.
#[derive(Debug, Clone, Copy)]
struct Element {
    identifier: PeIdentifier,
    home: ServerIdentifier,
    /// What the policy knows of it.
    value: u32,
    degradation: u32,
    /// Where its transport begins in `transports`.
    start: u32,
    len: u16,
    protocol: Protocol,
    /// Whether the driver can speak its transport.
    spoken: bool,
    /// Whether it was ever handed out, so that its failure may be reported (RFC 5352 §3.5).
    used: bool,
}

/// An element was found unreachable.
#[derive(Debug)]
struct Mark {
    since: Instant,
    until: Instant,
    /// Where the element was when it failed, if it was listed then.
    transport: Option<Box<[u8]>>,
}

/// What a new list changed, in elements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) joined: u32,
    pub(crate) left: u32,
    /// Other values, or another transport.
    pub(crate) altered: u32,
}

/// One element of a [`Pool`].
#[derive(Clone, Copy)]
pub struct ElementRef<'a> {
    pool: &'a Pool,
    index: usize,
}

/// A list that is being taken in, as a pool keeps it; the room is reused for the next one.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    members: Vec<Member>,
    elements: Vec<Element>,
    transports: Vec<u8>,
    by_identifier: Vec<(PeIdentifier, u32)>,
}

impl Pool {
    pub(crate) fn new(handle: PoolHandle, now: Instant) -> Self {
        Self {
            handle,
            policy: PolicyType::ROUND_ROBIN,
            elements: Vec::new(),
            transports: Vec::new(),
            by_identifier: Vec::new(),
            absent: Vec::new(),
            unspoken: 0,
            selector: Selector::new(),
            marks: BTreeMap::new(),
            fetched: now,
            authentication: Authentication::None,
        }
    }

    /// The pool handle.
    #[must_use]
    pub fn handle(&self) -> &PoolHandle {
        &self.handle
    }

    /// The pool's policy, as its registrar named it (RFC 5352 §2.2.6).
    #[must_use]
    pub fn policy(&self) -> PolicyType {
        self.policy
    }

    /// Whether elements are chosen by [`policy`](Self::policy); where not, because the policy is unknown here, they
    /// are taken in the registrar's order.
    #[must_use]
    pub fn follows_policy(&self) -> bool {
        self.selector.policy() != selection::Policy::Listed
    }

    /// The elements, in the registrar's order.
    pub fn elements(&self) -> impl ExactSizeIterator<Item = ElementRef<'_>> {
        (0..self.elements.len()).map(|index| ElementRef { pool: self, index })
    }

    /// The element with this identifier, if it is listed.
    #[must_use]
    pub fn element(&self, identifier: PeIdentifier) -> Option<ElementRef<'_>> {
        self.index_of(identifier).map(|index| ElementRef { pool: self, index })
    }

    /// When the registrar gave the list.
    #[must_use]
    pub fn fetched(&self) -> Instant {
        self.fetched
    }

    /// Whether the registrar that gave the list was authenticated (RFC 5352 §9.3).
    #[must_use]
    pub fn authentication(&self) -> Authentication {
        self.authentication
    }

    /// Whether an element was found unreachable and is passed over at `now`.
    #[must_use]
    pub fn is_marked(&self, now: Instant, identifier: PeIdentifier) -> bool {
        self.marks.get(&identifier).is_some_and(|mark| mark.until > now)
    }

    /// What is kept on the heap, in bytes, failure marks left out.
    pub(crate) fn heap_size(&self) -> usize {
        fn heap<T>(buffer: &Vec<T>) -> usize {
            buffer.capacity() * size_of::<T>()
        }
        self.handle.len()
            + heap(&self.elements)
            + heap(&self.transports)
            + heap(&self.by_identifier)
            + heap(&self.absent)
            + self.selector.heap_size()
    }

    /// Takes in a new list and says what changed, if `told` wants to know; `None` if no element of
    /// it can be used, and then nothing has changed.
    pub(crate) fn refresh(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        scratch: &mut Scratch,
        list: (PolicyType, Elements<'_>),
        authentication: Authentication,
        told: bool,
    ) -> Option<Change> {
        let (policy, elements) = list;
        scratch.clear();
        for element in elements {
            if !is_usable(&element) {
                ctx.stats.elements_dropped += 1;
            } else if scratch.elements.len() == ctx.config.max_elements {
                ctx.stats.elements_cut += 1;
            } else {
                let used = self.was_used(element.identifier) == Some(true);
                scratch.push(ctx, policy, &element, used);
            }
        }
        if scratch.elements.is_empty() {
            return None;
        }
        scratch.drop_repeated(ctx);
        let change = if told { scratch.compare(self) } else { Change::default() };
        let used = self.elements.iter().filter(|e| e.used).map(|e| e.identifier);
        let used = used.chain(self.absent.iter().copied());
        let mut absent: Vec<_> = used.filter(|id| scratch.index_of(*id).is_none()).collect();
        absent.sort_unstable();
        absent.truncate(ctx.config.max_elements);
        self.absent = absent;
        replace(&mut self.elements, &scratch.elements);
        replace(&mut self.transports, &scratch.transports);
        replace(&mut self.by_identifier, &scratch.by_identifier);
        self.unspoken = self.elements.iter().filter(|e| !e.spoken).count();
        self.selector.refresh(selection_policy(policy), &scratch.members);
        self.policy = policy;
        self.fetched = now;
        self.authentication = authentication;
        self.end_marks(now);
        Some(change)
    }

    /// The choice by policy, or the oldest failure where nothing else is left; never one of `avoid`.
    pub(crate) fn select(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        avoid: &[PeIdentifier],
    ) -> Option<PeIdentifier> {
        let Self { elements, marks, selector, .. } = self;
        let index = if marks.is_empty() && avoid.is_empty() && self.unspoken == 0 {
            selector.pick(rng, |_| false)
        } else {
            let out = |e: &Element| !e.spoken || avoid.contains(&e.identifier);
            let marked = |e: &Element| marks.get(&e.identifier).filter(|mark| mark.until > now);
            selector.pick(rng, |i| out(&elements[i]) || marked(&elements[i]).is_some()).or_else(
                || {
                    let left = elements.iter().enumerate().filter(|(_, e)| !out(e));
                    left.min_by_key(|(_, e)| marked(e).map(|mark| mark.since))
                        .map(|(index, _)| index)
                },
            )
        }?;
        let element = &mut self.elements[index];
        element.used = true;
        Some(element.identifier)
    }

    /// Hands out the element asked for instead of choosing; says whether it is listed and can be spoken to.
    pub(crate) fn hand_out(&mut self, identifier: PeIdentifier) -> bool {
        let found = self.index_of(identifier).filter(|&index| self.elements[index].spoken);
        if let Some(index) = found {
            self.elements[index].used = true;
        }
        found.is_some()
    }

    /// Whether an element is left beside `avoid`, marked or not.
    pub(crate) fn has_other_than(&self, avoid: PeIdentifier) -> bool {
        self.elements.iter().any(|e| e.spoken && e.identifier != avoid)
    }

    /// Whether an element was ever handed out.
    pub(crate) fn was_used(&self, identifier: PeIdentifier) -> Option<bool> {
        match self.index_of(identifier) {
            Some(index) => Some(self.elements[index].used),
            None => self.absent.binary_search(&identifier).is_ok().then_some(true),
        }
    }

    /// The one element that is reached at `transport`: by the same protocol, port and one of its
    /// addresses (§6.9.2).
    pub(crate) fn element_at(&self, transport: &Transport) -> Result<PeIdentifier, CommandError> {
        let protocol = transport.protocol();
        let reached = |element: &ElementRef<'_>| {
            let other = element.transport();
            let port = other.port();
            other.protocol() == protocol
                && transport.socket_addrs().any(|at| {
                    port == Some(at.port()) && other.addresses().any(|address| address == at.ip())
                })
        };
        let mut found = self.elements().filter(reached).map(|element| element.identifier());
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => Err(CommandError::AmbiguousAddress),
            (None, _) => Err(CommandError::UnknownElement),
        }
    }

    /// Marks an element as failed; says whether this is an event of its own (REPORT-2).
    pub(crate) fn mark(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        identifier: PeIdentifier,
    ) -> bool {
        if self.is_marked(now, identifier) {
            return false;
        }
        if self.marks.len() >= ctx.config.max_elements {
            self.end_marks(now);
            if self.marks.len() >= ctx.config.max_elements {
                self.marks.pop_first();
            }
        }
        let transport = self.index_of(identifier).map(|index| self.encoded(index).into());
        let until = now + ctx.config.failure_mark;
        self.marks.insert(identifier, Mark { since: now, until, transport });
        ctx.stats.failures += 1;
        true
    }

    /// Ends the mark of an element that was reached after all.
    pub(crate) fn unmark(&mut self, identifier: PeIdentifier) {
        self.marks.remove(&identifier);
    }

    /// Ends the marks whose time is over, and those of elements that have moved.
    fn end_marks(&mut self, now: Instant) {
        let mut marks = core::mem::take(&mut self.marks);
        marks.retain(|identifier, mark| {
            let moved = match (self.index_of(*identifier), &mark.transport) {
                (Some(index), Some(transport)) => *self.encoded(index) != **transport,
                _ => false,
            };
            mark.until > now && !moved
        });
        self.marks = marks;
    }

    fn index_of(&self, identifier: PeIdentifier) -> Option<usize> {
        place_of(&self.by_identifier, identifier)
    }

    fn encoded(&self, index: usize) -> &[u8] {
        &self.transports[self.elements[index].range()]
    }
}

impl<'a> ElementRef<'a> {
    /// Its identifier in the pool.
    #[must_use]
    pub fn identifier(&self) -> PeIdentifier {
        self.pool.elements[self.index].identifier
    }

    /// The registrar that looks after it; 0 where undetermined (RFC 5354 §3.10).
    #[must_use]
    pub fn home(&self) -> ServerIdentifier {
        self.pool.elements[self.index].home
    }

    /// What it counts for under the pool's policy: its weight, priority or load (RFC 5356). Values
    /// that belong to another policy are replaced by cautious ones: weight 1, priority 0, load
    /// 0xffffffff.
    #[must_use]
    pub fn member(&self) -> Member {
        let Element { identifier, value, degradation, .. } = self.pool.elements[self.index];
        Member::new(identifier.get(), value).with_degradation(degradation)
    }

    /// Where it serves.
    #[must_use]
    pub fn transport(&self) -> TransportRef<'a> {
        let protocol = self.pool.elements[self.index].protocol;
        TransportRef::kept(protocol, self.pool.encoded(self.index))
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elements: Vec<_> = self.elements().collect();
        f.debug_struct("Pool")
            .field("handle", &self.handle)
            .field("policy", &self.policy)
            .field("elements", &elements)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ElementRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:?}", self.identifier(), self.transport())
    }
}

impl Change {
    /// What two changes, one after the other, come to.
    pub(crate) fn add(&mut self, later: Self) {
        self.joined = self.joined.saturating_add(later.joined);
        self.left = self.left.saturating_add(later.left);
        self.altered = self.altered.saturating_add(later.altered);
    }
}

impl Scratch {
    fn clear(&mut self) {
        self.members.clear();
        self.elements.clear();
        self.transports.clear();
        self.by_identifier.clear();
    }

    fn push(
        &mut self,
        ctx: &mut Context,
        policy: PolicyType,
        element: &PoolElementRef<'_>,
        used: bool,
    ) {
        let encoded = element.transport.encoded();
        let protocol = element.transport.protocol();
        let (Ok(start), Ok(len), Ok(place)) = (
            u32::try_from(self.transports.len()),
            u16::try_from(encoded.len()),
            u32::try_from(self.elements.len()),
        ) else {
            return;
        };
        let (member, own) = member(policy, element);
        ctx.stats.elements_revalued += u64::from(!own);
        self.members.push(member);
        self.transports.extend_from_slice(encoded);
        self.by_identifier.push((element.identifier, place));
        self.elements.push(Element {
            identifier: element.identifier,
            home: element.home,
            value: member.value,
            degradation: member.degradation,
            start,
            len,
            protocol,
            spoken: ctx.config.element_protocols.contains(protocol),
            used,
        });
    }

    /// Keeps the first of elements with the same identifier (decision 11) and sorts the places.
    fn drop_repeated(&mut self, ctx: &mut Context) {
        self.by_identifier.sort_unstable();
        let listed = self.by_identifier.len();
        self.by_identifier.dedup_by_key(|(identifier, _)| *identifier);
        let repeated = listed - self.by_identifier.len();
        if repeated == 0 {
            return;
        }
        ctx.stats.elements_dropped += repeated as u64;
        let mut places: Vec<u32> = self.by_identifier.iter().map(|(_, place)| *place).collect();
        places.sort_unstable();
        let keep = |place: usize| places.binary_search(&(place as u32)).is_ok();
        let mut place = 0..;
        self.elements.retain(|_| place.next().is_some_and(keep));
        let mut place = 0..;
        self.members.retain(|_| place.next().is_some_and(keep));
        for (_, place) in &mut self.by_identifier {
            *place = places.binary_search(place).unwrap_or(0) as u32;
        }
    }

    fn index_of(&self, identifier: PeIdentifier) -> Option<usize> {
        place_of(&self.by_identifier, identifier)
    }

    /// What this list changes in a pool.
    fn compare(&self, pool: &Pool) -> Change {
        let mut change = Change::default();
        for new in &self.elements {
            let Some(old) = pool.index_of(new.identifier) else {
                change.joined += 1;
                continue;
            };
            let values = |e: &Element| (e.value, e.degradation, e.home);
            let same = values(new) == values(&pool.elements[old])
                && self.transports[new.range()] == *pool.encoded(old);
            change.altered += u32::from(!same);
        }
        // As many are in both lists as did not join.
        let stayed = self.elements.len() - change.joined as usize;
        change.left = u32::try_from(pool.elements.len() - stayed).unwrap_or(u32::MAX);
        change
    }
}

impl Element {
    /// Where its transport is.
    fn range(&self) -> Range<usize> {
        let start = self.start as usize;
        start..start + usize::from(self.len)
    }
}

/// Takes over a list with no more room than it needs.
fn replace<T: Copy>(kept: &mut Vec<T>, new: &[T]) {
    kept.clear();
    if kept.capacity() / 2 > new.len() {
        *kept = Vec::new();
    }
    kept.reserve_exact(new.len());
    kept.extend_from_slice(new);
}

fn place_of(by_identifier: &[(PeIdentifier, u32)], identifier: PeIdentifier) -> Option<usize> {
    let found = by_identifier.binary_search_by_key(&identifier, |(id, _)| *id).ok()?;
    Some(by_identifier[found].1 as usize)
}

/// Whether an element can be used by anyone: it says where it is (decision 11).
fn is_usable(element: &PoolElementRef<'_>) -> bool {
    let transport = element.transport;
    transport.addresses().next().is_some()
        || transport.opaque().is_some_and(|data| !data.is_empty())
}

/// The selection's name for a policy; unknown ones are served in the registrar's order.
fn selection_policy(policy: PolicyType) -> selection::Policy {
    match policy {
        PolicyType::ROUND_ROBIN => selection::Policy::RoundRobin,
        PolicyType::WEIGHTED_ROUND_ROBIN => selection::Policy::WeightedRoundRobin,
        PolicyType::RANDOM => selection::Policy::Random,
        PolicyType::WEIGHTED_RANDOM => selection::Policy::WeightedRandom,
        PolicyType::PRIORITY => selection::Policy::Priority,
        PolicyType::LEAST_USED => selection::Policy::LeastUsed,
        PolicyType::LEAST_USED_DEGRADATION => selection::Policy::LeastUsedDegradation,
        PolicyType::PRIORITY_LEAST_USED => selection::Policy::PriorityLeastUsed,
        PolicyType::RANDOMIZED_LEAST_USED => selection::Policy::RandomizedLeastUsed,
        _ => selection::Policy::Listed,
    }
}

/// What an element counts for under the pool's policy, and whether its values are of that policy: others are
/// replaced by cautious ones (decision 12).
fn member(policy: PolicyType, element: &PoolElementRef<'_>) -> (Member, bool) {
    let own = element.policy.policy_type() == policy;
    let (value, degradation) = match element.policy {
        Policy::WeightedRoundRobin { weight } | Policy::WeightedRandom { weight } if own => {
            (weight, 0)
        }
        Policy::Priority { priority } if own => (priority, 0),
        Policy::LeastUsed { load } | Policy::RandomizedLeastUsed { load } if own => (load, 0),
        Policy::LeastUsedDegradation { load, degradation }
        | Policy::PriorityLeastUsed { load, degradation }
            if own =>
        {
            (load, degradation)
        }
        _ => match policy {
            PolicyType::WEIGHTED_ROUND_ROBIN | PolicyType::WEIGHTED_RANDOM => (1, 0),
            PolicyType::PRIORITY => (0, 0),
            _ => (0xffff_ffff, 0),
        },
    };
    (Member::new(element.identifier.get(), value).with_degradation(degradation), own)
}
