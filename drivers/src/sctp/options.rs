//! The options that every association has, laid out for the kernel as its C headers have them.

use std::io;

use socket2::Socket;

use super::association::{
    SCTP_ASSOC_CHANGE, SCTP_PARTIAL_DELIVERY_EVENT, SCTP_SEND_FAILED_EVENT, SCTP_SENDER_DRY_EVENT,
};
use super::sys::set_option;

/// How soon a silent peer counts as lost, in milliseconds. With the kernel's own values that takes
/// minutes; with these, its next address is tried after one or two seconds, and it is lost after ten
/// if anything is on its way, and after forty if heartbeats have to find out. Seven packets in a row
/// have to be lost for that, and five while an association is set up: where one of five is lost, few
/// end by chance.
const RTO_INFO: RtoInfo = RtoInfo { association: 0, initial: 500, max: 1_500, min: 500 };
const PEER_ADDRESSES: PeerAddresses = PeerAddresses {
    association: 0,
    every_address: [0; 128],
    heartbeat: 4_000,
    retransmissions: 1,
    unchanged: [0; 2],
    flags: SPP_HB_ENABLE,
    unset: [0; 6],
};
const ASSOCIATION: AssociationParameters =
    AssociationParameters { association: 0, retransmissions: 6, unchanged: 0, unset: [0; 3] };

/// What is to be heard of.
const EVENTS: [u16; 4] =
    [SCTP_ASSOC_CHANGE, SCTP_PARTIAL_DELIVERY_EVENT, SCTP_SENDER_DRY_EVENT, SCTP_SEND_FAILED_EVENT];

// Options and flags of RFC 6458, with Linux's numbers.
const SCTP_RTOINFO: libc::c_int = 0;
const SCTP_ASSOCINFO: libc::c_int = 1;
const SCTP_NODELAY: libc::c_int = 3;
const SCTP_PEER_ADDR_PARAMS: libc::c_int = 9;
const SCTP_RECVRCVINFO: libc::c_int = 32;
const SCTP_EVENT: libc::c_int = 127;
const SPP_HB_ENABLE: u32 = 0x1;

/// `struct sctp_rtoinfo` (RFC 6458 §8.1.1).
#[repr(C)]
struct RtoInfo {
    association: i32,
    initial: u32,
    max: u32,
    min: u32,
}

/// `struct sctp_assocparams` (RFC 6458 §8.1.2).
#[repr(C)]
struct AssociationParameters {
    association: i32,
    retransmissions: u16,
    unchanged: u16,
    unset: [u32; 3],
}

/// `struct sctp_paddrparams` (RFC 6458 §8.1.12), which Linux packs.
#[repr(C, packed(2))]
struct PeerAddresses {
    association: i32,
    every_address: [u8; 128],
    heartbeat: u32,
    retransmissions: u16,
    /// The path's MTU and the delay of acknowledgements.
    unchanged: [u32; 2],
    flags: u32,
    /// IPv6 flow label, DSCP, padding.
    unset: [u8; 6],
}

/// `struct sctp_event` (RFC 6458 §6.2.2).
#[repr(C)]
struct Subscription {
    association: i32,
    kind: u16,
    on: u8,
    padding: u8,
}

/// Sets them all.
pub(super) fn set(socket: &Socket) -> io::Result<()> {
    set_option(socket, SCTP_NODELAY, &1_u32)?;
    set_option(socket, SCTP_RECVRCVINFO, &1_u32)?;
    set_option(socket, SCTP_RTOINFO, &RTO_INFO)?;
    set_option(socket, SCTP_ASSOCINFO, &ASSOCIATION)?;
    set_option(socket, SCTP_PEER_ADDR_PARAMS, &PEER_ADDRESSES)?;
    EVENTS.into_iter().try_for_each(|kind| {
        let event = Subscription { association: 0, kind, on: 1, padding: 0 };
        set_option(socket, SCTP_EVENT, &event)
    })
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    /// The options' structures have the sizes that the kernel insists on.
    #[test]
    fn options_have_the_kernels_sizes() {
        assert_eq!(size_of::<RtoInfo>(), 16);
        assert_eq!(size_of::<AssociationParameters>(), 20);
        assert_eq!(size_of::<PeerAddresses>(), 156);
        assert_eq!(size_of::<Subscription>(), 8);
        assert_eq!(offset_of!(PeerAddresses, flags), 146);
    }
}
