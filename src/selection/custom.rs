//! Policies of the user's own, for the private types of RFC 5356 §7.1.

use alloc::boxed::Box;
use core::fmt::Debug;

use crate::Rng;

/// A policy that RFC 5356 does not define, of a private type (0x80000000 and above) for instance.
///
/// A pool user follows it once it stands in [`Config::custom_policies`](crate::Config). Often it is
/// a known policy over other numbers, and then it can hold a [`Selector`](super::Selector) and
/// translate. The reference implementation's private type 0xb0001001 is an example: random, with
/// chances in proportion to what a member has unused *after* one more choice.
///
/// ```
/// use asap_pu::Rng;
/// use asap_pu::selection::{CustomPolicy, Member, PolicyKind, Selector};
///
/// const RANDOMIZED_PRIORITY_LEAST_USED: u32 = 0xb000_1001;
///
/// #[derive(Debug, Default)]
/// struct RandomizedPriorityLeastUsed(Selector);
///
/// impl CustomPolicy for RandomizedPriorityLeastUsed {
///     fn refresh(&mut self, members: &mut dyn Iterator<Item = (u32, &[u8])>) {
///         let load = |(id, raw): (u32, &[u8])| {
///             // Load and degradation; whoever sends something else counts as fully loaded.
///             let load = match *raw {
///                 [a, b, c, d, e, f, g, h] => u32::from_be_bytes([a, b, c, d])
///                     .saturating_add(u32::from_be_bytes([e, f, g, h])),
///                 _ => u32::MAX,
///             };
///             Member::new(id, load)
///         };
///         let members: Vec<_> = members.map(load).collect();
///         self.0.refresh(PolicyKind::RandomizedLeastUsed, &members);
///     }
///
///     fn pick(&mut self, rng: &mut Rng, skip: &dyn Fn(usize) -> bool) -> Option<usize> {
///         self.0.pick(rng, skip)
///     }
/// }
///
/// let mut selector = Selector::new();
/// selector.refresh_custom(
///     RANDOMIZED_PRIORITY_LEAST_USED,
///     || Box::<RandomizedPriorityLeastUsed>::default(),
///     &mut [(1, &[0xff; 8][..]), (2, &[0x10, 0, 0, 0, 1, 0, 0, 0])].into_iter(),
/// );
/// assert_eq!(selector.policy(), PolicyKind::Custom(RANDOMIZED_PRIORITY_LEAST_USED));
/// assert_eq!(selector.pick(&mut Rng::new(1), |_| false), Some(1));
/// ```
pub trait CustomPolicy: Debug + Send + Sync {
    /// Takes over a whole list: of each member its identifier, and the raw values of its policy
    /// parameter as received (what follows the policy type; of any length, also none).
    fn refresh(&mut self, members: &mut dyn Iterator<Item = (u32, &[u8])>);

    /// Chooses a member by its position in the list, none for which `skip` is true; `None` where
    /// all are skipped.
    fn pick(&mut self, rng: &mut Rng, skip: &dyn Fn(usize) -> bool) -> Option<usize>;

    /// Chooses a further member of the same call as a backup for the one picked; `skip` is true for
    /// those handed out.
    ///
    /// Does what [`pick`](Self::pick) does unless a policy has state that a backup must not move.
    fn backup(&mut self, rng: &mut Rng, skip: &dyn Fn(usize) -> bool) -> Option<usize> {
        self.pick(rng, skip)
    }
}

/// A custom policy, held to its contract: a pick that is not in the list or is to be skipped counts
/// as none.
#[derive(Debug)]
pub(super) struct Custom {
    policy: Box<dyn CustomPolicy>,
    len: usize,
}

#[cfg(test)]
impl Clone for Custom {
    fn clone(&self) -> Self {
        unimplemented!("the explorer's worlds have no policies of the user's own")
    }
}

#[cfg(test)]
impl core::hash::Hash for Custom {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.len.hash(state);
    }
}

impl Custom {
    pub(super) fn new(policy: Box<dyn CustomPolicy>) -> Self {
        Self { policy, len: 0 }
    }

    /// Returns the number of members.
    pub(super) fn refresh(&mut self, members: &mut dyn Iterator<Item = (u32, &[u8])>) -> usize {
        let mut len = 0;
        let mut counted = members.inspect(|_| len += 1);
        self.policy.refresh(&mut counted);
        // A policy that stopped early still has the whole list before it.
        counted.by_ref().for_each(drop);
        self.len = len;
        len
    }

    pub(super) fn pick(&mut self, rng: &mut Rng, skip: &dyn Fn(usize) -> bool) -> Option<usize> {
        let picked = self.policy.pick(rng, skip);
        self.checked(picked, skip)
    }

    pub(super) fn backup(&mut self, rng: &mut Rng, skip: &dyn Fn(usize) -> bool) -> Option<usize> {
        let picked = self.policy.backup(rng, skip);
        self.checked(picked, skip)
    }

    fn checked(&self, picked: Option<usize>, skip: &dyn Fn(usize) -> bool) -> Option<usize> {
        picked.filter(|&at| at < self.len && !skip(at))
    }
}
