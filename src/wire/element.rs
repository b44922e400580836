//! Pool elements: the servers behind a pool handle (RFC 5354 §3.10).

use alloc::vec::Vec;
use core::fmt;

use super::error::{DecodeError, EncodeError, Reason};
use super::grammar::{self, Extra, Slot, Walk};
use super::notes::{Listener, Silence};
use super::raw::RawParameter;
use super::reader::{Reader, Tlv};
use super::value::{Value, list};
use super::writer::Writer;
use super::{
    IpTransport, ParameterType, PeIdentifier, Policy, Protocol, ServerIdentifier, Transport,
    TransportRef,
};

/// What follows the fields.
const SLOTS: &[Slot] = &[
    Slot::one(Protocol::PARAMETERS),
    Slot::one(&[ParameterType::POLICY]),
    Slot::one(&[ParameterType::SCTP_TRANSPORT]),
];

/// A pool element in received bytes.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct PoolElementRef<'a> {
    /// Names the element within its pool; 0 is valid.
    pub identifier: PeIdentifier,
    /// The registrar that looks after the element.
    pub home: ServerIdentifier,
    /// How long the registration lasts: seconds, -1 for ever. Real registrars write milliseconds,
    /// so nothing should be derived from it.
    pub registration_life: i32,
    /// Where the element serves its users: the first transport.
    pub transport: TransportRef<'a>,
    /// The element's policy and its values for it, if it has any.
    pub policy: Policy<&'a [u8]>,
    /// Where the element speaks ASAP: an SCTP transport behind the first one.
    pub asap_transport: Option<TransportRef<'a>>,
    encoded: &'a [u8],
}

list! {
    /// The pool elements of a message, in the order received.
    Elements: PoolElementRef<'a>, PoolElement
}

/// A pool element as a value of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub struct PoolElement {
    /// Names the element within its pool; 0 is valid.
    pub identifier: PeIdentifier,
    /// The registrar that looks after the element.
    pub home: ServerIdentifier,
    /// How long the registration lasts: seconds, -1 for ever.
    pub registration_life: i32,
    /// Where the element serves its users.
    pub transport: Transport,
    /// The element's policy and its values for it, if it has any.
    pub policy: Policy,
    /// Where the element speaks ASAP, over SCTP.
    pub asap_transport: Option<IpTransport>,
    /// Parameters inside that have no meaning there.
    pub extra: Vec<RawParameter>,
}

impl<'a> PoolElementRef<'a> {
    /// Parameters inside that have no meaning there.
    #[must_use]
    pub fn extra(&self) -> Extra<'a> {
        let parameters = self.encoded.get(16..).unwrap_or_default();
        Extra::new(Walk::new(Reader::new(parameters), SLOTS))
    }

    /// The same element as a value of its own.
    #[must_use]
    pub fn to_owned(&self) -> PoolElement {
        PoolElement {
            identifier: self.identifier,
            home: self.home,
            registration_life: self.registration_life,
            transport: self.transport.to_owned(),
            policy: self.policy.to_owned(),
            asap_transport: self.asap_transport.and_then(TransportRef::to_ip),
            extra: self.extra().map(|raw| raw.to_owned()).collect(),
        }
    }
}

/// Asks for the policy that an element needs to register, with values that fit (RFC 5354 §3.10).
pub(super) fn check_policy(tlv: Tlv<'_>) -> Result<(), DecodeError> {
    let mut value = tlv.value();
    value.array::<12>()?;
    let mut walk = Walk::new(value, SLOTS);
    while let Some((slot, tlv)) = walk.next(&mut Silence)? {
        if slot == 1 {
            return Policy::read(tlv, &mut Silence).map(|_| ());
        }
    }
    Err(tlv.error(Reason::Missing(ParameterType::POLICY)))
}

impl PoolElement {
    /// An element with an undetermined home and a registration that lasts for ever.
    #[must_use]
    pub fn new(identifier: PeIdentifier, transport: Transport, policy: Policy) -> Self {
        Self {
            identifier,
            home: ServerIdentifier::UNDETERMINED,
            registration_life: -1,
            transport,
            policy,
            asap_transport: None,
            extra: Vec::new(),
        }
    }
}

impl Value for PoolElement {
    const HAS_PARAMETERS: bool = true;

    type View<'a> = PoolElementRef<'a>;

    #[inline(always)]
    fn read<'a>(
        tlv: Tlv<'a>,
        listener: &mut impl Listener<'a>,
    ) -> Result<PoolElementRef<'a>, DecodeError> {
        let mut value = tlv.value();
        let identifier = PeIdentifier::new(value.u32()?);
        let home = ServerIdentifier::new(value.u32()?);
        let registration_life = i32::from_be_bytes(value.array()?);
        let (mut transport, mut policy, mut asap_transport) = (None, Policy::Absent, None);
        let mut walk = Walk::new(value, SLOTS);
        while let Some((slot, tlv)) = walk.next(listener)? {
            match slot {
                0 => transport = Some(Transport::read(tlv, listener)?),
                1 => policy = Policy::listed(tlv.value()),
                _ => asap_transport = Some(Transport::read(tlv, listener)?),
            }
        }
        let Some(transport) = transport else {
            return Err(tlv.error(Reason::MissingTransport));
        };
        let encoded = tlv.encoded;
        Ok(PoolElementRef {
            identifier,
            home,
            registration_life,
            transport,
            policy,
            asap_transport,
            encoded,
        })
    }

    fn own(view: PoolElementRef<'_>) -> Self {
        view.to_owned()
    }

    fn write(&self, parameter: ParameterType, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.parameter(parameter, |w| {
            w.u32(self.identifier.get());
            w.u32(self.home.get());
            w.bytes(&self.registration_life.to_be_bytes());
            grammar::write(w, parameter, SLOTS, &self.extra, |w| {
                self.transport.write(self.transport.protocol().parameter(), w)?;
                self.policy.write(ParameterType::POLICY, w)?;
                self.asap_transport.iter().try_for_each(|it| it.write(Protocol::Sctp, None, w))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_takes_the_first_free_slot() {
        use ParameterType as P;
        let mut walk = Walk::new(Reader::new(&[]), SLOTS);
        let places = [P::POLICY, P::SCTP_TRANSPORT, P::TCP_TRANSPORT, P::SCTP_TRANSPORT, P::POLICY]
            .map(|parameter| walk.place(parameter));
        assert_eq!(places, [Some(1), Some(0), None, Some(2), None]);
    }
}
