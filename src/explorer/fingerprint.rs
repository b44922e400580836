//! What tells one state from another, and what does not.
//!
//! A state is told by the hash of all it consists of, with three changes that make equals of states
//! which behave alike. Times count from now, and those long past are all the same. Names (of
//! channels, sessions, …) are numbered in the order in which the things stand, since a machine asks
//! of a name only whether it is the same. And what nothing depends on is left out: counters,
//! configuration, memory kept for reuse.
//!
//! Two states with one fingerprint must behave alike, or faults hide behind each other; that two
//! which behave alike have one fingerprint only keeps the worlds small. When in doubt, a field is
//! hashed.
//!
//! The types of the machine derive [`Hash`] in tests. Where something is to be left out, the type
//! says so with [`fingerprint`], which lists every field, so that a new one cannot be forgotten.

use alloc::vec::Vec;
use core::cell::RefCell;
use core::hash::{Hash, Hasher};
use core::time::Duration;
use std::hash::DefaultHasher;
use std::thread_local;

use crate::Instant;
use crate::id::{ChannelId, LinkId, PoolId, RequestId, SessionId};
use crate::slab::Key;

/// Times that are longer past than this are all the same. No time in a world's configuration may
/// be as long.
pub(super) const HORIZON: Duration = Duration::from_secs(40);

thread_local! {
    static VIEW: RefCell<View> = const { RefCell::new(View { now: Instant::EPOCH, names: Vec::new() }) };
}

/// From where a state is looked at.
struct View {
    now: Instant,
    /// The names that came up, each of which is known by its place in here.
    names: Vec<(Kind, Key)>,
}

/// What a name is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Channel,
    Session,
    Link,
    Pool,
    Request,
}

/// Takes the fingerprint of `things` as they are at `now`. The things in `slabs` are named in the
/// order in which they stand there, others when they are first met.
pub(super) fn of(
    now: Instant,
    slabs: impl Iterator<Item = (Kind, Key)>,
    things: &impl Hash,
) -> u64 {
    VIEW.with_borrow_mut(|view| {
        view.now = now;
        view.names.clear();
        view.names.extend(slabs);
    });
    let mut hasher = DefaultHasher::new();
    things.hash(&mut hasher);
    hasher.finish()
}

/// The time from which times are counted.
pub(crate) fn now() -> Instant {
    VIEW.with_borrow(|view| view.now)
}

/// How far ahead a time is. For what matters only until then: all that is past is the same.
pub(crate) fn ahead(at: Instant) -> Duration {
    at.since(now())
}

/// Implements [`Hash`] by some of the fields of a type and not by the `others`.
macro_rules! fingerprint {
    ($type:ty { $($field:ident),* $(,)? } others { $($other:ident),* $(,)? }) => {
        impl core::hash::Hash for $type {
            fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
                let Self { $($field,)* $($other: _,)* } = self;
                $($field.hash(state);)*
            }
        }
    };
}
pub(crate) use fingerprint;

fn name(kind: Kind, key: Key) -> usize {
    VIEW.with_borrow_mut(|view| {
        let known = view.names.iter().position(|name| *name == (kind, key));
        known.unwrap_or_else(|| {
            view.names.push((kind, key));
            view.names.len() - 1
        })
    })
}

impl Hash for Instant {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let now = now();
        let (ahead, past) = (self.since(now), now.since(*self).min(HORIZON));
        (ahead, past).hash(state);
    }
}

macro_rules! named {
    ($($name:ident: $kind:ident),*) => {$(
        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                name(Kind::$kind, self.0).hash(state);
            }
        }
    )*};
}

named!(ChannelId: Channel, SessionId: Session, LinkId: Link, PoolId: Pool, RequestId: Request);
