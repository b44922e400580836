#![doc = include_str!("../README.md")]
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod cache;
mod capabilities;
pub mod capture;
mod channel;
mod config;
mod context;
mod error;
mod event;
#[cfg(test)]
mod explorer;
mod few;
mod id;
mod journal;
#[cfg(doc)]
pub mod manual;
mod misuse;
mod ordered;
mod pool;
mod pool_user;
mod reach;
mod recent;
mod registrar;
mod report;
mod resolver;
mod rng;
mod room;
pub mod selection;
mod session;
#[cfg(feature = "sim")]
#[cfg_attr(docsrs, doc(cfg(feature = "sim")))]
pub mod sim;
mod slab;
mod stats;
mod time;
mod timers;
pub mod wire;

pub use capabilities::{Capabilities, Confirms};
pub use channel::{Action, Authentication, CloseReason, Payload, PeerKind};
pub use config::{
    CacheConfig, Config, ConfigError, DiscoveryConfig, Identity, Limits, MakePolicy, Registrar,
    ResolutionConfig, Security, SessionConfig, StaleAnswers,
};
pub use error::{CommandError, ResolveError, SendError, SendErrorReason, SessionError};
pub use event::Event;
pub use id::{ChannelId, MessageId, PoolId, RequestId, SessionId};
pub use journal::{
    HomeLossReason, MarkEnd, Note, NoteKind, PassedOver, PauseReason, Peer, ReportDrop,
};
pub use misuse::{Input, Misuse};
pub use pool::{ElementRef, Pool};
pub use pool_user::{PoolMut, PoolUser, RegistrarsMut, RegistrarsRef, SessionMut};
pub use registrar::HomeSearch;
pub use rng::Rng;
pub use session::{
    Failover, HeldBack, LossReason, Recipient, SendOptions, SessionOptions, SessionRef,
    SessionState, SessionTimer, UndeliveredReason, Unsettled,
};
pub use stats::Stats;
#[cfg(feature = "std")]
pub use time::Epoch;
pub use time::Instant;
pub use timers::TimerKind;
