//! The messages and parameters of ASAP (RFC 5352, RFC 5354, RFC 5356) as bytes and as types.
