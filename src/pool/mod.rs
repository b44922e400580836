//! One resolved pool: its elements, what they are worth, which of them failed, and the choice among
//! them.
//!
//! A registrar lists some or all elements of a pool; each new list replaces the former one (RFC
//! 5352 §3.3). What must outlive a list is kept beside it: the policy's own state (in
//! [`Selector`]), which elements were ever used, and the *failure marks*. A mark says that an
//! element was found unreachable. While it lasts the element is passed over although the registrar
//! may still list it, and further failures of it are the same event, which is reported once (RFC
//! 5352 §3.5). It ends by time, by proven contact, by a changed address, or by the user; absence
//! from a list does not end it, because a list may be a part of the pool.
//!
//! Choosing has three steps: by policy among the elements that are neither marked nor excluded;
//! where there are none, the one whose mark is the oldest; never one that the caller excluded. One
//! that is handed out although it is marked is the last of the marked from then on, so that the choice
//! goes round among them and does not try one for ever that may be gone for good (decision 50).
//!
//! The selector is told who is marked when that changes, and the marked ones stand in an order of
//! their own, so that a choice costs the same however many are marked.

mod failed;
mod list;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use self::failed::Failed;
pub(crate) use self::list::Scratch;
use crate::Instant;
use crate::channel::Authentication;
use crate::context::Context;
use crate::error::CommandError;
#[cfg(test)]
use crate::explorer::ahead;
use crate::journal::{MarkEnd, NoteKind, PassedOver};
use crate::selection::{self, Member, Selector};
use crate::wire::{
    Elements, PeIdentifier, PolicyType, PoolHandle, Protocol, ServerIdentifier, Transport,
    TransportRef,
};

/// A resolved pool.
///
/// Lists and describes its elements; [`PoolMut::select`](crate::PoolMut::select) chooses among
/// them.
#[cfg_attr(test, derive(Clone))]
pub struct Pool {
    handle: PoolHandle,
    policy: PolicyType,
    /// Of each element of the selector's list, what the selector does not know.
    elements: Vec<Element>,
    /// The user transports of all elements, encoded one behind the other.
    transports: Vec<u8>,
    /// The places of the elements, sorted by identifier.
    by_identifier: Vec<u32>,
    /// The elements that were handed out and are not listed at present, sorted.
    absent: Vec<PeIdentifier>,
    selector: Selector,
    marks: BTreeMap<PeIdentifier, Mark>,
    /// When the first of them ends.
    marks_end: Option<Instant>,
    /// The elements that are marked and could be handed out, the oldest failure first; empty while
    /// nothing is marked.
    failed: Failed,
    /// How many failures there were, also of elements that were marked, and choices among those.
    failures: u64,
    fetched: Instant,
    authentication: Authentication,
}

/// What is kept of a pool element.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(test, derive(Hash))]
struct Element {
    identifier: PeIdentifier,
    home: ServerIdentifier,
    /// Where its transport begins in `transports`.
    start: u32,
    len: u16,
    protocol: Protocol,
    /// Whether the driver can speak its transport.
    supported: bool,
    /// Whether it was ever handed out, so that its failure may be reported (RFC 5352 §3.5).
    used: bool,
}

/// An element was found unreachable.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Mark {
    /// Which of the pool's failures was its last one.
    failure: u64,
    until: Instant,
    /// Where the element was when it failed, if it was listed then: the [`fingerprint`] of its
    /// transport, which may be as long as a message.
    transport: Option<u64>,
}

/// What a new list changed, in elements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
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

impl Pool {
    pub(crate) fn new(handle: PoolHandle, now: Instant) -> Self {
        Self {
            handle,
            policy: PolicyType::ROUND_ROBIN,
            elements: Vec::new(),
            transports: Vec::new(),
            by_identifier: Vec::new(),
            absent: Vec::new(),
            selector: Selector::new(),
            marks: BTreeMap::new(),
            marks_end: None,
            failed: Failed::default(),
            failures: 0,
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

    /// Whether elements are chosen by [`policy`](Self::policy); where not, because the policy is
    /// unknown here, they are taken in the registrar's order.
    #[must_use]
    pub fn follows_policy(&self) -> bool {
        self.selector.policy() != selection::PolicyKind::Listed
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
        self.marked_until(now, identifier).is_some()
    }

    /// Until when it is.
    pub(crate) fn marked_until(&self, now: Instant, identifier: PeIdentifier) -> Option<Instant> {
        self.marks.get(&identifier).map(|mark| mark.until).filter(|until| *until > now)
    }

    /// The elements that were found unreachable and are passed over at `now`, and until when each is;
    /// also those that are not listed at present.
    pub fn marks(&self, now: Instant) -> impl Iterator<Item = (PeIdentifier, Instant)> {
        let marks = self.marks.iter().filter(move |(_, mark)| mark.until > now);
        marks.map(|(identifier, mark)| (*identifier, mark.until))
    }

    /// What is kept on the heap, in bytes; of failure marks, in nodes that are filled to two thirds.
    pub(crate) fn heap_size(&self) -> usize {
        fn heap<T>(buffer: &Vec<T>) -> usize {
            buffer.capacity() * size_of::<T>()
        }
        self.handle.len()
            + heap(&self.elements)
            + heap(&self.transports)
            + heap(&self.by_identifier)
            + heap(&self.absent)
            + self.failed.heap_size()
            + self.marks.len() * size_of::<(PeIdentifier, Mark)>() * 3 / 2
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
        if !scratch.take_in(ctx, self, policy, elements) {
            return None;
        }
        let compares = told || ctx.journal.is_on();
        let change = if compares { scratch.compare(self) } else { Change::default() };
        ctx.note(|| NoteKind::ListReplaced {
            handle: self.handle.clone(),
            elements: u32::try_from(scratch.elements.len()).unwrap_or(u32::MAX),
            joined: change.joined,
            left: change.left,
            altered: change.altered,
            unsupported: scratch.unsupported(),
        });
        let used = self.elements.iter().filter(|e| e.used).map(|e| e.identifier);
        let used = used.chain(self.absent.iter().copied());
        let mut absent: Vec<_> = used.filter(|id| scratch.index_of(*id).is_none()).collect();
        absent.sort_unstable();
        absent.truncate(ctx.config.limits.max_elements);
        self.absent = absent;
        replace(&mut self.elements, &scratch.elements);
        replace(&mut self.transports, &scratch.transports);
        let places = scratch.by_identifier.iter().map(|(_, place)| *place);
        self.by_identifier.clear();
        make_room(&mut self.by_identifier, places.len());
        self.by_identifier.extend(places);
        match ctx.config.custom_policy(policy) {
            Some(make) => {
                let mut members = scratch.raw_values(policy, elements);
                self.selector.refresh_custom(policy.get(), make, &mut members);
            }
            None => self.selector.refresh(policy.into(), &scratch.members),
        }
        self.policy = policy;
        self.fetched = now;
        self.authentication = authentication;
        self.end_marks(now, ctx);
        Some(if told { change } else { Change::default() })
    }

    /// The choice by policy, or the oldest failure where nothing else is left; never one of
    /// `avoid`.
    pub(crate) fn select(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        avoid: &[PeIdentifier],
    ) -> Option<ElementRef<'_>> {
        self.look_at_marks(now, ctx);
        let elements = &self.elements;
        let skip = |index: usize| avoid.contains(&elements[index].identifier);
        let index = self.selector.pick(&mut ctx.rng, skip).or_else(|| self.failed.oldest(skip))?;
        self.elements[index].used = true;
        self.was_tried(index);
        Some(ElementRef { pool: self, index })
    }

    /// As many as `wanted` different elements: the choice and its backups by policy, then those
    /// that have failed, the oldest failure first; none of `avoid`.
    pub(crate) fn select_several(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        wanted: usize,
        avoid: &[PeIdentifier],
    ) -> Vec<ElementRef<'_>> {
        self.look_at_marks(now, ctx);
        let elements = &self.elements;
        let skip = |index: usize| avoid.contains(&elements[index].identifier);
        let mut chosen = Vec::new();
        self.selector.pick_many(&mut ctx.rng, wanted, skip, |index| chosen.push(index));
        if chosen.len() < wanted {
            chosen.extend(self.failed.in_order(skip).take(wanted - chosen.len()));
        }
        if let Some(first) = chosen.first() {
            self.was_tried(*first);
        }
        for &index in &chosen {
            self.elements[index].used = true;
        }
        chosen.into_iter().map(|index| ElementRef { pool: self, index }).collect()
    }

    /// Hands out the element asked for instead of choosing; says whether it is listed and can be
    /// spoken to.
    pub(crate) fn hand_out(&mut self, identifier: PeIdentifier) -> bool {
        let found = self.index_of(identifier).filter(|&index| self.elements[index].supported);
        if let Some(index) = found {
            self.elements[index].used = true;
        }
        found.is_some()
    }

    /// Whether the driver speaks to an element; `None` if it is not listed.
    pub(crate) fn is_supported(&self, identifier: PeIdentifier) -> Option<bool> {
        self.index_of(identifier).map(|index| self.elements[index].supported)
    }

    /// Why an element that was asked for is not [handed out](Self::hand_out).
    pub(crate) fn why_not(&self, identifier: PeIdentifier) -> PassedOver {
        match self.index_of(identifier) {
            Some(_) => PassedOver::NotSupported,
            None => PassedOver::NotListed,
        }
    }

    /// Whether an element is left beside `avoid` that has not failed.
    pub(crate) fn has_other_than(&self, now: Instant, avoid: PeIdentifier) -> bool {
        let is_left = |e: &Element| e.supported && e.identifier != avoid;
        self.elements.iter().any(|e| is_left(e) && !self.is_marked(now, e.identifier))
    }

    /// Whether an element was ever handed out.
    pub(crate) fn was_used(&self, identifier: PeIdentifier) -> Option<bool> {
        match self.index_of(identifier) {
            Some(index) => Some(self.elements[index].used),
            None => self.absent.binary_search(&identifier).is_ok().then_some(true),
        }
    }

    /// Whether the element of a new list was ever handed out. Most lists keep their order, so its
    /// place there is where it is looked for first.
    fn was_used_at(&self, place: usize, identifier: PeIdentifier) -> bool {
        match self.elements.get(place) {
            Some(element) if element.identifier == identifier => element.used,
            _ => self.was_used(identifier) == Some(true),
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
        self.failures += 1;
        let failure = self.failures;
        if let Some(mark) = self.marks.get_mut(&identifier).filter(|mark| mark.until > now) {
            // The same event, and yet the others failed longer ago.
            mark.failure = failure;
            self.tell(identifier);
            return false;
        }
        if self.marks.len() >= ctx.config.limits.max_elements {
            self.end_marks(now, ctx);
            let oldest = self.marks.iter().min_by_key(|(_, mark)| mark.failure);
            if let Some(oldest) = oldest.map(|(oldest, _)| *oldest) {
                if self.marks.len() >= ctx.config.limits.max_elements {
                    self.unmark(ctx, oldest, MarkEnd::TooMany);
                    ctx.stats.marks_forgotten += 1;
                }
            }
        }
        let transport = self.index_of(identifier).map(|index| fingerprint(self.encoded(index)));
        let until = now + ctx.config.cache.failure_mark;
        self.marks.insert(identifier, Mark { failure, until, transport });
        self.marks_end = Some(self.marks_end.map_or(until, |end| end.min(until)));
        self.tell(identifier);
        ctx.stats.failures += 1;
        let (pool, element) = (&self.handle, identifier);
        ctx.note(|| NoteKind::ElementMarked { handle: pool.clone(), element, until });
        true
    }

    /// Takes back a choice by policy, of an element that could not be reached.
    pub(crate) fn take_back(&mut self, identifier: PeIdentifier) {
        if let Some(index) = self.index_of(identifier) {
            self.selector.take_back(index);
        }
    }

    /// Ends the mark of an element that was reached after all.
    pub(crate) fn unmark(&mut self, ctx: &mut Context, identifier: PeIdentifier, reason: MarkEnd) {
        if self.marks.remove(&identifier).is_some() {
            self.tell(identifier);
            let (pool, element) = (&self.handle, identifier);
            ctx.note(|| NoteKind::MarkEnded { handle: pool.clone(), element, reason });
        }
    }

    /// Ends the marks whose time is over, and those of elements that have moved.
    fn end_marks(&mut self, now: Instant, ctx: &mut Context) {
        let mut marks = core::mem::take(&mut self.marks);
        marks.retain(|identifier, mark| {
            let moved = match (self.index_of(*identifier), mark.transport) {
                (Some(index), Some(transport)) => fingerprint(self.encoded(index)) != transport,
                _ => false,
            };
            let reason = match mark.until <= now {
                true => MarkEnd::Expired,
                false if moved => MarkEnd::Moved,
                false => return true,
            };
            let (pool, element) = (&self.handle, *identifier);
            ctx.note(|| NoteKind::MarkEnded { handle: pool.clone(), element, reason });
            false
        });
        self.marks = marks;
        self.marks_end = self.marks.values().map(|mark| mark.until).min();
        self.failed = Failed::default();
        for index in 0..self.elements.len() {
            self.selector.set_usable(index, self.elements[index].supported);
        }
        let marked: Vec<_> = self.marks.keys().copied().collect();
        marked.into_iter().for_each(|identifier| self.tell(identifier));
    }

    /// Ends the marks whose time has come, if it has for any.
    fn look_at_marks(&mut self, now: Instant, ctx: &mut Context) {
        if self.marks_end.is_some_and(|end| end <= now) {
            self.end_marks(now, ctx);
        }
    }

    /// Tells the selector whether an element is in the choice, and has it stand among the failed
    /// where it is not.
    fn tell(&mut self, identifier: PeIdentifier) {
        let Some(index) = self.index_of(identifier) else { return };
        let failure = self.marks.get(&identifier).map(|mark| mark.failure);
        let supported = self.elements[index].supported;
        self.selector.set_usable(index, supported && failure.is_none());
        self.failed.set(self.elements.len(), index, failure.filter(|_| supported));
    }

    /// One that was handed out although it is marked has now been tried later than the others.
    fn was_tried(&mut self, index: usize) {
        let identifier = self.elements[index].identifier;
        if self.marks_end.is_none() {
            return;
        }
        if let Some(mark) = self.marks.get_mut(&identifier) {
            self.failures += 1;
            mark.failure = self.failures;
            self.failed.set(self.elements.len(), index, Some(self.failures));
        }
    }

    fn index_of(&self, identifier: PeIdentifier) -> Option<usize> {
        let identifier_at = |place: &u32| self.elements[*place as usize].identifier;
        let found = self.by_identifier.binary_search_by_key(&identifier, identifier_at).ok()?;
        Some(self.by_identifier[found] as usize)
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
        self.pool.selector.members()[self.index]
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
            .field("fetched", &self.fetched)
            .field("marks", &self.marks.len())
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
    make_room(kept, new.len());
    kept.extend_from_slice(new);
}

/// Makes room for so many, and no more than twice that.
fn make_room<T>(kept: &mut Vec<T>, len: usize) {
    if kept.capacity() / 2 > len {
        *kept = Vec::new();
    }
    kept.reserve_exact(len);
}

/// The FNV-1a hash, which two transports share by chance only, or by their registrar's intention;
/// the worse for it, a mark then lasts for its time.
fn fingerprint(transport: &[u8]) -> u64 {
    transport.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// In the explorer's fingerprints: of the marks those that count, and in which order they came.
#[cfg(test)]
impl core::hash::Hash for Pool {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        let Self { handle, policy, elements, transports, absent, .. } = self;
        (handle, policy, elements, transports, absent).hash(state);
        let Self { selector, fetched, authentication, .. } = self;
        (selector, fetched, authentication).hash(state);
        self.failed.in_order(|_| false).for_each(|index| index.hash(state));
        for (identifier, mark) in &self.marks {
            let until = ahead(mark.until);
            if !until.is_zero() {
                let before = self.marks.values().filter(|other| other.failure < mark.failure);
                (identifier, until, mark.transport, before.count()).hash(state);
            }
        }
    }
}
