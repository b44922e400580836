//! The pool user side of ASAP (RFC 5352) as pure state machines.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod rng;
pub mod selection;
mod time;
pub mod wire;

pub use rng::Rng;
#[cfg(feature = "std")]
pub use time::Epoch;
pub use time::Instant;
