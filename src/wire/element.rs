//! Pool elements: the servers behind a pool handle (RFC 5354 §3.10).

use alloc::vec::Vec;
use core::fmt;

use super::error::{DecodeError, EncodeError, Reason};
use super::grammar::{self, Extra, Walk};
use super::notes::{Listener, Silence};
use super::parameter::RawParameter;
use super::reader::{Reader, Tlv};
use super::writer::Writer;
use super::{
    ParameterType, PeIdentifier, Policy, SctpTransport, ServerIdentifier, Transport, TransportRef,
};

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

/// The pool elements of a message, in the order received.
#[derive(Clone, Copy)]
pub struct Elements<'a>(Walk<'a>);

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
    /// Where the element speaks ASAP.
    pub asap_transport: Option<SctpTransport>,
    /// Parameters inside that have no meaning there.
    pub extra: Vec<RawParameter>,
}

impl<'a> PoolElementRef<'a> {
    #[inline(always)]
    pub(super) fn parse(
        tlv: Tlv<'a>,
        listener: &mut impl Listener<'a>,
    ) -> Result<Self, DecodeError> {
        let mut value = tlv.value();
        let identifier = PeIdentifier::new(value.u32()?);
        let home = ServerIdentifier::new(value.u32()?);
        let registration_life = i32::from_be_bytes(value.array()?);
        let (mut transport, mut policy, mut asap_transport) = (None, Policy::Absent, None);
        let mut walk = Walk::new(value, grammar::POOL_ELEMENT);
        while let Some((slot, tlv)) = walk.next(listener)? {
            match slot {
                0 => transport = Some(TransportRef::parse(tlv, listener)?),
                1 => policy = Policy::parse_listed(tlv),
                _ => asap_transport = Some(TransportRef::parse(tlv, listener)?),
            }
        }
        let Some(transport) = transport else {
            return Err(tlv.error(Reason::MissingTransport));
        };
        Ok(Self {
            identifier,
            home,
            registration_life,
            transport,
            policy,
            asap_transport,
            encoded: tlv.encoded,
        })
    }

    /// An element that registers, which has a policy with values that fit (RFC 5354 §3.10).
    pub(super) fn parse_registering(tlv: Tlv<'a>) -> Result<Self, DecodeError> {
        let element = Self::parse(tlv, &mut Silence)?;
        let mut value = tlv.value();
        value.array::<12>()?;
        let mut walk = Walk::new(value, grammar::POOL_ELEMENT);
        while let Some((slot, tlv)) = walk.next(&mut Silence)? {
            if slot == 1 {
                Policy::parse(tlv)?;
                return Ok(element);
            }
        }
        Err(tlv.error(Reason::Missing(ParameterType::POLICY)))
    }

    /// Parameters inside that have no meaning there.
    #[must_use]
    pub fn extra(&self) -> Extra<'a> {
        let parameters = self.encoded.get(16..).unwrap_or_default();
        Extra::new(Walk::new(Reader::new(parameters), grammar::POOL_ELEMENT))
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
            asap_transport: match self.asap_transport.map(|transport| transport.to_owned()) {
                Some(Transport::Sctp(transport)) => Some(transport),
                _ => None,
            },
            extra: self.extra().map(|raw| raw.to_owned()).collect(),
        }
    }
}

impl<'a> Elements<'a> {
    /// The elements among these parameters, all of which have been decoded before.
    #[inline]
    pub(super) const fn new(parameters: Reader<'a>) -> Self {
        Self(Walk::new(parameters, grammar::ELEMENTS))
    }

    /// The same elements as values of their own.
    #[must_use]
    pub fn to_owned(&self) -> Vec<PoolElement> {
        self.map(|element| element.to_owned()).collect()
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = PoolElementRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<PoolElementRef<'a>> {
        // The bytes have been decoded before, so there is no error to come across.
        let (_, tlv) = self.0.next(&mut Silence).ok()??;
        PoolElementRef::parse(tlv, &mut Silence).ok()
    }
}

impl fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

impl PoolElement {
    /// An element with an undetermined home and a registration that lasts for ever.
    #[must_use]
    pub fn new(identifier: PeIdentifier, transport: impl Into<Transport>, policy: Policy) -> Self {
        Self {
            identifier,
            home: ServerIdentifier::UNDETERMINED,
            registration_life: -1,
            transport: transport.into(),
            policy,
            asap_transport: None,
            extra: Vec::new(),
        }
    }

    /// Whether an element that registers may have such a policy.
    pub(super) fn can_register(&self) -> bool {
        match self.policy {
            Policy::Absent | Policy::Truncated { .. } => false,
            Policy::Other { policy, .. } => policy.name().is_none(),
            _ => true,
        }
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.parameter(ParameterType::POOL_ELEMENT, |w| {
            w.u32(self.identifier.get());
            w.u32(self.home.get());
            w.bytes(&self.registration_life.to_be_bytes());
            let within = Some(ParameterType::POOL_ELEMENT);
            w.parameters(within, grammar::POOL_ELEMENT, &self.extra, |w| {
                self.transport.write(w)?;
                self.policy.write_listed(w)?;
                self.asap_transport.iter().try_for_each(|transport| transport.write(w))
            })
        })
    }
}
