//! The messages and parameters of ASAP (RFC 5352, RFC 5354, RFC 5356) as bytes and as types.
//!
//! A pool is a group of servers that do the same work, known by a name, the *pool handle*. The
//! servers are its *pool elements*. Registrars keep the list, and ASAP is what everyone speaks with
//! them: elements register, users ask for a pool's elements and report those that do not answer.
//! There are fourteen messages, each one datagram or a piece of a stream:
//!
//! ```text
//! 05 00 00 0c              ASAP_HANDLE_RESOLUTION, no flags, 12 bytes
//!    00 09 00 08           a parameter: pool handle, 8 bytes
//!       65 63 68 6f        "echo"
//! ```
//!
//! A message is a type, flags, a length and parameters (RFC 5354 §4); a parameter is a type, a
//! length and a value, padded to a multiple of four bytes, and some contain parameters in turn
//! (§3). A response lists pool elements, an element has transports, a transport has addresses;
//! there it ends, so nothing here recurses.
//!
//! # Two families of types
//!
//! *Views* borrow: [`MessageRef`], [`BodyRef`], [`PoolElementRef`], [`TransportRef`]. Decoding one
//! checks everything in it at every depth, copies nothing and allocates nothing; iterating over
//! what it holds cannot fail afterwards. They are how a machine reads what it receives.
//!
//! *Values* own: [`Message`], [`Body`], [`PoolElement`], [`Transport`]. They can be built, kept,
//! compared and encoded, and they keep all there is in a message, reserved fields included. They
//! are for tools, tests and simulated peers. What does not fit on the wire, or would not be read
//! back as what it was, is refused on encoding.
//!
//! Small types without parameters inside serve both families, generic over their bytes: [`Policy`],
//! [`OverallPolicy`], [`Cause`], [`RawParameter`]. What a pool user sends in the course of its work
//! has functions that write into a buffer kept for the purpose: [`encode_handle_resolution`],
//! [`encode_endpoint_unreachable`], [`encode_cookie_echo`], [`encode_error`].
//!
//! ```
//! use asap_pu::wire::{
//!     BodyRef, Message, MessageRef, Notes, PeIdentifier, Policy, PoolElement, Transport,
//! };
//!
//! // A registrar answers ...
//! let transport = Transport::tcp("[fd00::7]:4242".parse()?);
//! let element = PoolElement::new(PeIdentifier::new(7), transport, Policy::RoundRobin);
//! let bytes = Message::handle_resolution_response("echo", None, vec![element]).to_bytes()?;
//!
//! // ... and a user reads it.
//! let message = MessageRef::decode(&bytes, &mut Notes::default())?;
//! let BodyRef::HandleResolutionResponse { handle, elements, .. } = message.body else { panic!() };
//! assert_eq!(handle, b"echo");
//! for element in elements {
//!     assert_eq!(element.transport.port(), Some(4242));
//!     assert!(element.transport.addresses().eq(["fd00::7".parse::<std::net::IpAddr>()?]));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where things are told
//!
//! What messages, parameters and policies there are, and what each consists of, stands in three
//! tables that read like the figures of the RFCs (`table.rs`). Code points, slots, views and values,
//! reading, writing and owning follow from them: of messages in `message.rs`, of parameters in
//! `parameter.rs` and `value.rs`. What may stand where, and what becomes of the rest, is in
//! `grammar.rs`; offsets, lengths and padding are computed in `reader.rs` and `writer.rs` alone.
//!
//! # What is not understood
//!
//! The two upper bits of a type say what to do with a parameter that is not known: drop the message
//! or skip the parameter, and report it or not (RFC 5354 §3). That holds at any depth and for the
//! whole message. A parameter that is known but not expected where it stands is ignored. What was
//! passed over is counted in [`Notes`], and what is to be reported is listed there; only what makes
//! a message void is a [`DecodeError`], which says where, in which parameter and why.
//!
//! # Where the texts leave room
//!
//! * A message's length covers the padding of its last parameter in practice and does not by the
//!   RFC's words; both are read, the former is written. The same last parameter may lack its
//!   padding.
//! * In a pool element the first transport is the user's and a later SCTP one is ASAP's, whatever
//!   the order of the other parameters. A second pool handle makes a message malformed; any other
//!   parameter that is there once too often is ignored.
//! * A transport without addresses, an operation error without causes and a business card without
//!   elements are in order as far as bytes go; they are read as empty. A resolution response
//!   without elements and without an operation error is malformed (RFC 5352 §2.2.6).
//! * The policy of an element that registers must have the values that its type lays out; one that is
//!   listed may lack them, or its policy, and costs nobody the list. Of a response's overall policy
//!   only the type counts, and anything may follow it.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod cause;
mod code_point;
mod element;
mod encode;
mod error;
mod grammar;
mod handle;
mod message;
mod notes;
mod parameter;
mod policy;
mod raw;
mod reader;
mod stream;
mod table;
mod transport;
mod value;
mod writer;

pub use cause::{Cause, Causes};
pub use code_point::{
    ASAP_PORT, ASAP_PPID, ASAP_TLS_PORT, CauseCode, MessageType, ParameterType, PeIdentifier,
    PolicyType, ServerIdentifier, TransportUse, UnknownAction,
};
pub use element::{Elements, PoolElement, PoolElementRef};
pub use encode::{
    ErrorReport, encode_cookie_echo, encode_endpoint_unreachable, encode_error,
    encode_handle_resolution,
};
pub use error::{DecodeError, EncodeError, Reason};
pub use grammar::Extra;
pub use handle::PoolHandle;
pub use message::{Body, BodyRef, Message, MessageRef};
pub use notes::Notes;
pub use parameter::{Parameter, ServerInformation};
pub use policy::{OverallPolicy, Policy};
pub use raw::RawParameter;
pub use stream::{FramingError, StreamDecoder};
pub use transport::{Addresses, IpTransport, Protocol, Transport, TransportRef, Transports};

/// `Bytes` are not `Arbitrary`, vectors are.
#[cfg(feature = "arbitrary")]
fn arbitrary_bytes<B: From<alloc::vec::Vec<u8>>>(
    u: &mut arbitrary::Unstructured<'_>,
) -> arbitrary::Result<B> {
    use arbitrary::Arbitrary as _;
    alloc::vec::Vec::arbitrary(u).map(B::from)
}
