//! SCTP in user space, two of them against each other in virtual time: no socket, no clock, the same
//! on every host.

mod any_inputs;
mod endpoint;
mod net;
mod pool_user;
#[path = "../sctp_peer/mod.rs"]
mod sctp_peer;
mod sockets;
