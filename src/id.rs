//! The names by which the machine, its driver and its application speak of things.
//!
//! Each is given out once: a name that outlived its thing is recognised as such and means nothing.

use core::fmt;

use crate::slab::Key;

/// Declares names of one kind: `as_u64` for logs and tables of the user's own, and in tests of
/// applications a way to make some up.
macro_rules! names {
    ($( $(#[$doc:meta])* $name:ident, $word:literal; )*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[cfg_attr(not(test), derive(Hash))]
        pub struct $name(pub(crate) Key);

        impl $name {
            /// A number that no other thing of its kind has or will have.
            #[must_use]
            pub const fn as_u64(self) -> u64 {
                self.0.as_u64()
            }

            /// The name with this number, to make up events and actions in tests.
            #[cfg(feature = "test-util")]
            #[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
            #[must_use]
            pub const fn from_u64(number: u64) -> Self {
                Self(Key::from_u64(number))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($word, " {}"), self.0)
            }
        }
    )* };
}

names! {
    /// Names a channel between the machine and its driver.
    ChannelId, "channel";
    /// Names a resolution that the application asked for.
    RequestId, "request";
    /// Names a pool in the cache, for as long as it stays there.
    PoolId, "pool";
    /// Names a session.
    SessionId, "session";
}

/// Names a link of a session: one element over one channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(not(test), derive(Hash))]
pub(crate) struct LinkId(pub(crate) Key);

impl fmt::Debug for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {}", self.0)
    }
}

/// Names an application message within its session, in the order of sending.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MessageId(pub(crate) u64);

impl MessageId {
    /// How many messages were sent in its session before it.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The name with this number, to make up events and actions in tests.
    #[cfg(feature = "test-util")]
    #[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {}", self.0)
    }
}
