//! [CORE-3]: proof that the driver in `stack.rs` builds without the standard library: this crate has none.
#![no_std]
#![allow(dead_code, reason = "nobody uses it here")]

mod stack;
