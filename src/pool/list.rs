//! A registrar's list on its way into a pool: what can be used of it, in the form in which the pool
//! keeps it.
//!
//! Elements that nobody can use are dropped, of elements with the same identifier the first one
//! counts, and what exceeds the bound is cut. Policy values that are missing, do not fit, or belong to
//! another policy than the pool's are replaced by cautious ones (decisions 12 and 47).

use alloc::vec::Vec;

use super::{Change, Element, Pool};
use crate::context::Context;
use crate::reach::Origin;
use crate::selection::{self, Member};
use crate::wire::{Elements, PeIdentifier, Policy, PolicyType, PoolElementRef};

/// A list that is being taken in, as a pool keeps it; the room is reused for the next one.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Scratch {
    /// Where the registrar is that lists the elements.
    pub(crate) origin: Origin,
    pub(super) members: Vec<Member>,
    pub(super) elements: Vec<Element>,
    pub(super) transports: Vec<u8>,
    /// Identifiers and places, in order.
    pub(super) by_identifier: Vec<(u32, u32)>,
}

impl Scratch {
    /// Takes in a new list for `pool`; says whether any element of it can be used.
    pub(super) fn take_in(
        &mut self,
        ctx: &mut Context,
        pool: &Pool,
        policy: PolicyType,
        elements: Elements<'_>,
    ) -> bool {
        self.members.clear();
        self.elements.clear();
        self.transports.clear();
        self.by_identifier.clear();
        for element in elements {
            if !self.is_usable(&element) {
                ctx.stats.elements_dropped += 1;
            } else if self.elements.len() == ctx.config.limits.max_elements {
                ctx.stats.elements_cut += 1;
            } else {
                let used = pool.was_used_at(self.elements.len(), element.identifier);
                self.push(ctx, policy, &element, used);
            }
        }
        self.drop_repeated(ctx);
        !self.elements.is_empty()
    }

    /// Of each element that was taken in from `list`, its identifier and its raw values for the
    /// pool's policy; none where its values belong to another one.
    pub(super) fn raw_values<'a>(
        &self,
        policy: PolicyType,
        list: Elements<'a>,
    ) -> impl Iterator<Item = (u32, &'a [u8])> {
        // What was taken in stands in the order of the list.
        let mut kept = self.elements.iter().map(|element| element.identifier).peekable();
        let usable = list.filter(|element| self.is_usable(element));
        usable.filter_map(move |element| {
            let identifier = kept.next_if_eq(&element.identifier)?;
            let values = match element.policy {
                Policy::Other { policy: of, values } if of == policy => values,
                _ => &[],
            };
            Some((identifier.get(), values))
        })
    }

    fn push(
        &mut self,
        ctx: &mut Context,
        policy: PolicyType,
        element: &PoolElementRef<'_>,
        used: bool,
    ) {
        let left: Vec<u8>;
        let encoded = if self.origin.takes_all(element.transport) {
            element.transport.encoded()
        } else {
            let Some(callable) = self.origin.callable(element.transport.to_owned()) else { return };
            left = callable.to_encoded();
            &left
        };
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
        self.by_identifier.push((element.identifier.get(), place));
        self.elements.push(Element {
            identifier: element.identifier,
            home: element.home,
            start,
            len,
            protocol,
            supported: ctx.capabilities.reaches_elements(protocol),
            used,
        });
    }

    /// Whether an element can be used by anyone: it says where it is (decision 11), and somebody can be
    /// called there (decision 46).
    fn is_usable(&self, element: &PoolElementRef<'_>) -> bool {
        let transport = element.transport;
        self.origin.takes_all(transport) || self.origin.callable(transport.to_owned()).is_some()
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
        // Of each place, whether it is kept, and how many before it are.
        let mut kept = alloc::vec![(false, 0); listed];
        self.by_identifier.iter().for_each(|(_, place)| kept[*place as usize].0 = true);
        let mut before = 0;
        for (is_kept, place) in &mut kept {
            *place = before;
            before += u32::from(*is_kept);
        }
        let mut is_kept = kept.iter().map(|(is_kept, _)| *is_kept);
        self.elements.retain(|_| is_kept.next().unwrap_or(false));
        let mut is_kept = kept.iter().map(|(is_kept, _)| *is_kept);
        self.members.retain(|_| is_kept.next().unwrap_or(false));
        for (_, place) in &mut self.by_identifier {
            *place = kept[*place as usize].1;
        }
    }

    /// How many elements have no transport that the driver speaks.
    pub(super) fn unsupported(&self) -> u32 {
        let unsupported = self.elements.iter().filter(|element| !element.supported).count();
        u32::try_from(unsupported).unwrap_or(u32::MAX)
    }

    pub(super) fn index_of(&self, identifier: PeIdentifier) -> Option<usize> {
        let id = identifier.get();
        let found = self.by_identifier.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.by_identifier[found].1 as usize)
    }

    /// What this list changes in a pool.
    pub(super) fn compare(&self, pool: &Pool) -> Change {
        let mut change = Change::default();
        let members = pool.selector.members();
        for (new, member) in self.elements.iter().zip(&self.members) {
            let Some(old) = pool.index_of(new.identifier) else {
                change.joined += 1;
                continue;
            };
            let same = *member == members[old]
                && new.home == pool.elements[old].home
                && self.transports[new.range()] == *pool.encoded(old);
            change.altered += u32::from(!same);
        }
        // As many are in both lists as did not join.
        let stayed = self.elements.len() - change.joined as usize;
        change.left = u32::try_from(pool.elements.len() - stayed).unwrap_or(u32::MAX);
        change
    }
}

/// The selection's name for a policy; unknown ones are served in the registrar's order.
///
/// ```
/// use asap_pu::{selection::PolicyKind, wire::PolicyType};
///
/// assert_eq!(PolicyKind::from(PolicyType::PRIORITY), PolicyKind::Priority);
/// assert_eq!(PolicyKind::from(PolicyType::new(0xb000_1001)), PolicyKind::Listed);
/// ```
impl From<PolicyType> for selection::PolicyKind {
    fn from(policy: PolicyType) -> Self {
        match policy {
            PolicyType::ROUND_ROBIN => Self::RoundRobin,
            PolicyType::WEIGHTED_ROUND_ROBIN => Self::WeightedRoundRobin,
            PolicyType::RANDOM => Self::Random,
            PolicyType::WEIGHTED_RANDOM => Self::WeightedRandom,
            PolicyType::PRIORITY => Self::Priority,
            PolicyType::LEAST_USED => Self::LeastUsed,
            PolicyType::LEAST_USED_DEGRADATION => Self::LeastUsedDegradation,
            PolicyType::PRIORITY_LEAST_USED => Self::PriorityLeastUsed,
            PolicyType::RANDOMIZED_LEAST_USED => Self::RandomizedLeastUsed,
            _ => Self::Listed,
        }
    }
}

/// What an element counts for under the pool's policy, and whether its values are of that policy:
/// others are replaced by cautious ones (decision 12).
fn member(policy: PolicyType, element: &PoolElementRef<'_>) -> (Member, bool) {
    let own = match element.policy {
        Policy::Absent | Policy::Truncated { .. } => false,
        Policy::Other { policy, .. } if policy.name().is_some() => false,
        other => other.policy_type() == policy,
    };
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
