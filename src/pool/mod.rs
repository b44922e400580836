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

use alloc::boxed::Box;
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
use crate::few::Few;
use crate::journal::{MarkEnd, NoteKind, PassedOver};
use crate::ordered::Map;
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
    elements: Few<Element>,
    /// The user transports of all elements, encoded one behind the other.
    transports: Encoded,
    /// The places of the elements, sorted by identifier.
    by_identifier: Few<u32>,
    selector: Selector,
    beside: Option<Box<Beside>>,
    fetched: Instant,
    authentication: Authentication,
}

/// What is kept beside the list of a pool, if there is anything to be kept.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
struct Beside {
    /// The elements that were handed out and are not listed at present, sorted.
    absent: Vec<PeIdentifier>,
    marks: Map<PeIdentifier, Mark>,
    /// When the first of them ends.
    marks_end: Option<Instant>,
    /// The elements that are marked and could be handed out, the oldest failure first; empty while
    /// nothing is marked.
    failed: Failed,
    /// How many failures there were, also of elements that were marked, and choices among those.
    failures: u64,
}

/// Transports, encoded one behind the other. One with an address stands in its place.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
enum Encoded {
    Short([u8; Self::SHORT]),
    Long(Box<[u8]>),
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
            elements: Few::default(),
            transports: Encoded::default(),
            by_identifier: Few::default(),
            selector: Selector::new(),
            beside: None,
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
        self.mark_of(identifier).map(|mark| mark.until).filter(|until| *until > now)
    }

    /// The elements that were found unreachable and are passed over at `now`, and until when each is;
    /// also those that are not listed at present.
    pub fn marks(&self, now: Instant) -> impl Iterator<Item = (PeIdentifier, Instant)> {
        let marks = self.beside.iter().flat_map(|beside| beside.marks.iter());
        let marks = marks.filter(move |(_, mark)| mark.until > now);
        marks.map(|(identifier, mark)| (*identifier, mark.until))
    }

    /// What is kept on the heap, in bytes.
    pub(crate) fn heap_size(&self) -> usize {
        self.handle.heap_size()
            + self.elements.heap_size()
            + self.transports.heap_size()
            + self.by_identifier.heap_size()
            + self.beside.as_ref().map_or(0, |beside| size_of::<Beside>() + beside.heap_size())
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
        let used = used.chain(self.beside.iter().flat_map(|beside| beside.absent.iter().copied()));
        let mut absent = Vec::new();
        for identifier in used.filter(|id| scratch.index_of(*id).is_none()) {
            if let Err(at) = absent.binary_search(&identifier) {
                absent.insert(at, identifier);
            }
        }
        absent.truncate(ctx.config.limits.max_elements);
        if self.beside.is_some() || !absent.is_empty() {
            self.beside.get_or_insert_default().absent = absent;
        }
        self.elements.replace(&scratch.elements);
        self.transports.replace(&scratch.transports);
        self.by_identifier.fill_with(scratch.by_identifier.len(), 0);
        for (kept, (_, place)) in self.by_identifier.iter_mut().zip(&scratch.by_identifier) {
            *kept = *place;
        }
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
        let failed = || self.beside.as_ref().and_then(|beside| beside.failed.oldest(skip));
        let index = self.selector.pick(&mut ctx.rng, skip).or_else(failed)?;
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
        if let Some(beside) = self.beside.as_ref().filter(|_| chosen.len() < wanted) {
            chosen.extend(beside.failed.in_order(skip).take(wanted - chosen.len()));
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
            None => {
                let absent = &self.beside.as_ref()?.absent;
                absent.binary_search(&identifier).is_ok().then_some(true)
            }
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
        let beside = self.beside.get_or_insert_default();
        let failure = beside.next_failure();
        if let Some(mark) = beside.marks.get_mut(&identifier).filter(|mark| mark.until > now) {
            // The same event, and yet the others failed longer ago.
            mark.failure = failure;
            self.tell(identifier);
            return false;
        }
        let max = ctx.config.limits.max_elements;
        if beside.marks.len() >= max {
            self.end_marks(now, ctx);
            let full = self.beside.as_ref().filter(|beside| beside.marks.len() >= max);
            let marks = full.into_iter().flat_map(|beside| beside.marks.iter());
            let oldest = marks.min_by_key(|(_, mark)| mark.failure).map(|(oldest, _)| *oldest);
            if let Some(oldest) = oldest {
                self.unmark(ctx, oldest, MarkEnd::TooMany);
                ctx.stats.marks_forgotten += 1;
            }
        }
        let transport = self.index_of(identifier).map(|index| fingerprint(self.encoded(index)));
        let until = now + ctx.config.cache.failure_mark;
        let beside = self.beside.get_or_insert_default();
        beside.marks.insert(identifier, Mark { failure, until, transport });
        beside.marks_end = Some(beside.marks_end.map_or(until, |end| end.min(until)));
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
        let marks = self.beside.as_mut().map(|beside| &mut beside.marks);
        if marks.and_then(|marks| marks.remove(&identifier)).is_some() {
            self.tell(identifier);
            let (pool, element) = (&self.handle, identifier);
            ctx.note(|| NoteKind::MarkEnded { handle: pool.clone(), element, reason });
        }
    }

    /// Ends the marks whose time is over, and those of elements that have moved.
    fn end_marks(&mut self, now: Instant, ctx: &mut Context) {
        for index in 0..self.elements.len() {
            self.selector.set_usable(index, self.elements[index].supported);
        }
        let Some(mut beside) = self.beside.take() else { return };
        (beside.marks_end, beside.failed) = (None, Failed::default());
        for (element, mark) in core::mem::take(&mut beside.marks) {
            let moved = match (self.index_of(element), mark.transport) {
                (Some(index), Some(transport)) => fingerprint(self.encoded(index)) != transport,
                _ => false,
            };
            let reason = match mark.until <= now {
                true => MarkEnd::Expired,
                false if moved => MarkEnd::Moved,
                false => {
                    let end = beside.marks_end.map_or(mark.until, |end| end.min(mark.until));
                    beside.marks_end = Some(end);
                    beside.marks.insert(element, mark);
                    continue;
                }
            };
            let pool = &self.handle;
            ctx.note(|| NoteKind::MarkEnded { handle: pool.clone(), element, reason });
        }
        let marked: Vec<_> = beside.marks.keys().copied().collect();
        if !marked.is_empty() || !beside.absent.is_empty() {
            self.beside = Some(beside);
        }
        marked.into_iter().for_each(|identifier| self.tell(identifier));
    }

    /// Ends the marks whose time has come, if it has for any.
    fn look_at_marks(&mut self, now: Instant, ctx: &mut Context) {
        let end = self.beside.as_ref().and_then(|beside| beside.marks_end);
        if end.is_some_and(|end| end <= now) {
            self.end_marks(now, ctx);
        }
    }

    /// Tells the selector whether an element is in the choice, and has it stand among the failed
    /// where it is not.
    fn tell(&mut self, identifier: PeIdentifier) {
        let Some(index) = self.index_of(identifier) else { return };
        let failure = self.mark_of(identifier).map(|mark| mark.failure);
        let supported = self.elements[index].supported;
        self.selector.set_usable(index, supported && failure.is_none());
        if let Some(beside) = &mut self.beside {
            beside.failed.set(self.elements.len(), index, failure.filter(|_| supported));
        }
    }

    /// One that was handed out although it is marked has now been tried later than the others.
    fn was_tried(&mut self, index: usize) {
        let identifier = self.elements[index].identifier;
        let Some(beside) = self.beside.as_mut().filter(|it| it.marks_end.is_some()) else { return };
        if beside.marks.contains_key(&identifier) {
            let failure = beside.next_failure();
            if let Some(mark) = beside.marks.get_mut(&identifier) {
                mark.failure = failure;
            }
            beside.failed.set(self.elements.len(), index, Some(failure));
        }
    }

    fn mark_of(&self, identifier: PeIdentifier) -> Option<&Mark> {
        self.beside.as_ref()?.marks.get(&identifier)
    }

    fn index_of(&self, identifier: PeIdentifier) -> Option<usize> {
        let identifier_at = |place: &u32| self.elements[*place as usize].identifier;
        let found = self.by_identifier.binary_search_by_key(&identifier, identifier_at).ok()?;
        Some(self.by_identifier[found] as usize)
    }

    fn encoded(&self, index: usize) -> &[u8] {
        &self.transports.bytes()[self.elements[index].range()]
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
            .field("marks", &self.beside.as_ref().map_or(0, |beside| beside.marks.len()))
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

impl Encoded {
    /// As long as one with an IPv6 address.
    const SHORT: usize = 28;

    fn replace(&mut self, bytes: &[u8]) {
        let mut short = [0; Self::SHORT];
        match (&mut *self, short.get_mut(..bytes.len())) {
            (_, Some(begin)) => {
                begin.copy_from_slice(bytes);
                *self = Self::Short(short);
            }
            (Self::Long(kept), _) if kept.len() == bytes.len() => kept.copy_from_slice(bytes),
            _ => *self = Self::Long(bytes.into()),
        }
    }

    /// All that were taken over, and perhaps nothing behind them.
    const fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes) => bytes,
            Self::Long(bytes) => bytes,
        }
    }

    const fn heap_size(&self) -> usize {
        match self {
            Self::Short(_) => 0,
            Self::Long(bytes) => bytes.len(),
        }
    }
}

impl Default for Encoded {
    fn default() -> Self {
        Self::Short([0; Self::SHORT])
    }
}

impl Beside {
    const fn next_failure(&mut self) -> u64 {
        self.failures += 1;
        self.failures
    }

    fn heap_size(&self) -> usize {
        self.absent.capacity() * size_of::<PeIdentifier>()
            + self.marks.heap_size()
            + self.failed.heap_size()
    }
}

impl Element {
    /// Where its transport is.
    fn range(&self) -> Range<usize> {
        let start = self.start as usize;
        start..start + usize::from(self.len)
    }
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
        let Self { handle, policy, elements, transports, .. } = self;
        (handle, policy, elements, transports).hash(state);
        let Self { selector, fetched, authentication, .. } = self;
        (selector, fetched, authentication).hash(state);
        let none = Beside::default();
        let Beside { absent, marks, failed, .. } = self.beside.as_deref().unwrap_or(&none);
        absent.hash(state);
        failed.in_order(|_| false).for_each(|index| index.hash(state));
        for (identifier, mark) in marks.iter() {
            let until = ahead(mark.until);
            if !until.is_zero() {
                let before = marks.values().filter(|other| other.failure < mark.failure);
                (identifier, until, mark.transport, before.count()).hash(state);
            }
        }
    }
}
