#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "sctp")]
#[cfg_attr(docsrs, doc(cfg(feature = "sctp")))]
pub mod any_sctp;
mod client;
mod drive;
#[cfg(any(feature = "tcp", feature = "sctp-kernel", feature = "sctp"))]
mod host;
#[cfg(all(
    feature = "tcp",
    any(all(unix, feature = "sctp"), all(target_os = "linux", feature = "sctp-kernel"))
))]
mod on_tokio;
#[cfg(feature = "tcp")]
#[cfg_attr(docsrs, doc(cfg(feature = "tcp")))]
pub mod runtime;
#[cfg(all(target_os = "linux", feature = "sctp-kernel"))]
#[cfg_attr(docsrs, doc(cfg(feature = "sctp-kernel")))]
pub mod sctp;
#[cfg(feature = "sctp")]
#[cfg_attr(docsrs, doc(cfg(feature = "sctp")))]
pub mod sctp_userspace;
#[cfg(feature = "sim")]
#[cfg_attr(docsrs, doc(cfg(feature = "sim")))]
pub mod sim;
#[cfg(feature = "tcp")]
#[cfg_attr(docsrs, doc(cfg(feature = "tcp")))]
pub mod tcp;
#[cfg(feature = "tls")]
mod tls;

#[cfg(feature = "tcp")]
#[cfg_attr(docsrs, doc(cfg(feature = "tcp")))]
pub use client::Builder;
pub use client::{
    Change, Client, Codec, Element, Error, Lines, Messages, Pool, Received, Run, Session,
    SessionBuilder, Undelivered, Watch, block_on,
};
pub use drive::Drive;
#[cfg(feature = "tls")]
pub use host::trust;
#[cfg(any(feature = "tcp", feature = "sctp-kernel", feature = "sctp"))]
pub use host::{ANNOUNCE_GROUP, ANNOUNCE_GROUP_V6, Passed, Seen, Watcher};
