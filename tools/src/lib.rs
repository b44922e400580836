#![doc = include_str!("../README.md")]
//!
//! # How it is built
//!
//! Each program is a function from arguments and streams to an exit status, so that tests call it as a shell
//! would; what is in `src/bin` hands it those of the process. This is no library for others: what can be
//! used elsewhere is in `asap-pu` and its drivers.

mod command_line;
mod failure;
mod link;
mod registrars;

pub mod connect;
pub mod decode;
pub mod lookup;
