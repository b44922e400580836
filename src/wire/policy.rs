//! Policies: how the elements of a pool share its work, and what each element contributes to the
//! decision (RFC 5354 §3.8, RFC 5356).
//!
//! An element that a registrar lists, or that a business card does, may come without a policy, or with
//! values that do not fit it: what it has there means nothing to its users (RFC 5352 §2.2.6), so that it
//! is no reason to lose the list. The other reading is that of RFC 5354 §3.10, under which such a
//! parameter is malformed; it holds for an element that registers.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use super::error::{DecodeError, EncodeError};
use super::reader::{Reader, Tlv};
use super::writer::Writer;
use super::{ParameterType, PolicyType};

const MISREAD: EncodeError = EncodeError::Misread { parameter: Some(ParameterType::POLICY) };

/// The policy parameter of a pool element: the policy, and the element's values for it.
///
/// The layout of each standard policy's values belongs to the policy's number, so the variants are
/// fixed and can be written as literals. Weights, priorities and loads take any value; a load of
/// `0xffff_ffff` is 100 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[cfg_attr(feature = "arbitrary", arbitrary(bound = "B: From<Vec<u8>>"))]
#[non_exhaustive]
pub enum Policy<B = Bytes> {
    /// Each in turn (RFC 5356 §4.1).
    RoundRobin,
    /// Each in turn, as often as its weight says (RFC 5356 §4.2).
    WeightedRoundRobin {
        /// The element's capacity in relation to the others'; 0 is none.
        weight: u32,
    },
    /// Any, with the same probability (RFC 5356 §4.3).
    Random,
    /// Any, with a probability in proportion to its weight (RFC 5356 §4.4).
    WeightedRandom {
        /// The element's capacity in relation to the others'; 0 is none.
        weight: u32,
    },
    /// The one with the highest priority (RFC 5356 §4.5).
    Priority {
        /// Larger is more important.
        priority: u32,
    },
    /// The one with the least load (RFC 5356 §5.1).
    LeastUsed {
        /// How much of the element is in use.
        load: u32,
    },
    /// The one with the least load, where each choice adds to it (RFC 5356 §5.2).
    LeastUsedDegradation {
        /// How much of the element is in use.
        load: u32,
        /// How much more it is by each choice.
        degradation: u32,
    },
    /// The one with the least load after one more choice (RFC 5356 §5.3).
    PriorityLeastUsed {
        /// How much of the element is in use.
        load: u32,
        /// How much more it is by one choice.
        degradation: u32,
    },
    /// Any, with a probability in proportion to what is free (RFC 5356 §5.4).
    RandomizedLeastUsed {
        /// How much of the element is in use.
        load: u32,
    },
    /// A policy that the standard does not lay out: a private one, or a reserved number; or, in what was
    /// received, values that do not fit their policy.
    Other {
        /// Its number; that of a standard policy only where the values do not fit it.
        #[cfg_attr(feature = "arbitrary", arbitrary(with = arbitrary_private))]
        policy: PolicyType,
        /// Its values as received.
        #[cfg_attr(feature = "arbitrary", arbitrary(with = super::arbitrary_bytes))]
        values: B,
    },
    /// None: the element was listed without a policy parameter.
    Absent,
    /// A parameter too short for a policy's number.
    Truncated {
        /// What there is of it: three bytes at most.
        #[cfg_attr(feature = "arbitrary", arbitrary(with = arbitrary_truncated))]
        value: B,
    },
}

/// The policy parameter of a resolution response: which policy the whole pool has (RFC 5352
/// §2.2.6).
///
/// Values mean nothing here, and real registrars send those of the first element; they are kept as
/// received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[cfg_attr(feature = "arbitrary", arbitrary(bound = "B: From<Vec<u8>>"))]
#[non_exhaustive]
pub struct OverallPolicy<B = Bytes> {
    /// The policy of the pool.
    pub policy: PolicyType,
    /// What follows it.
    #[cfg_attr(feature = "arbitrary", arbitrary(with = super::arbitrary_bytes))]
    pub values: B,
}

impl<B> Policy<B> {
    /// The policy's number; 0, which is reserved, where there is none.
    #[must_use]
    #[inline]
    pub const fn policy_type(&self) -> PolicyType {
        match self {
            Self::RoundRobin => PolicyType::ROUND_ROBIN,
            Self::WeightedRoundRobin { .. } => PolicyType::WEIGHTED_ROUND_ROBIN,
            Self::Random => PolicyType::RANDOM,
            Self::WeightedRandom { .. } => PolicyType::WEIGHTED_RANDOM,
            Self::Priority { .. } => PolicyType::PRIORITY,
            Self::LeastUsed { .. } => PolicyType::LEAST_USED,
            Self::LeastUsedDegradation { .. } => PolicyType::LEAST_USED_DEGRADATION,
            Self::PriorityLeastUsed { .. } => PolicyType::PRIORITY_LEAST_USED,
            Self::RandomizedLeastUsed { .. } => PolicyType::RANDOMIZED_LEAST_USED,
            Self::Other { policy, .. } => *policy,
            Self::Absent | Self::Truncated { .. } => PolicyType::new(0),
        }
    }
}

/// The policy's name and the element's values for it, loads in percent.
///
/// ```
/// use asap_pu::wire::Policy;
///
/// let policy: Policy = Policy::WeightedRandom { weight: 3 };
/// assert_eq!(policy.to_string(), "Weighted Random, weight 3");
/// let policy: Policy = Policy::LeastUsed { load: u32::MAX / 4 };
/// assert_eq!(policy.to_string(), "Least Used, load 25.0%");
/// ```
impl<B: AsRef<[u8]>> fmt::Display for Policy<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |load: &u32| f64::from(*load) / f64::from(u32::MAX) * 100.0;
        let hex = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        };
        match (self, self.policy_type().name()) {
            (Self::Absent, _) => return f.write_str("no policy"),
            (Self::Truncated { value }, _) => {
                f.write_str("truncated policy ")?;
                return hex(f, value.as_ref());
            }
            (_, Some(name)) => f.write_str(name)?,
            (_, None) => write!(f, "{}", self.policy_type())?,
        }
        match self {
            Self::RoundRobin | Self::Random | Self::Absent | Self::Truncated { .. } => Ok(()),
            Self::WeightedRoundRobin { weight } | Self::WeightedRandom { weight } => {
                write!(f, ", weight {weight}")
            }
            Self::Priority { priority } => write!(f, ", priority {priority}"),
            Self::LeastUsed { load } | Self::RandomizedLeastUsed { load } => {
                write!(f, ", load {:.1}%", percent(load))
            }
            Self::LeastUsedDegradation { load, degradation }
            | Self::PriorityLeastUsed { load, degradation } => {
                let (load, degradation) = (percent(load), percent(degradation));
                write!(f, ", load {load:.1}%, degradation {degradation:.1}%")
            }
            Self::Other { values, .. } => {
                let values = values.as_ref();
                f.write_str(if values.is_empty() { "" } else { ", values " })?;
                hex(f, values)
            }
        }
    }
}

impl<'a> Policy<&'a [u8]> {
    /// The policy of an element that is listed, whose values need not fit.
    #[inline(always)]
    pub(super) fn parse_listed(tlv: Tlv<'a>) -> Self {
        Self::read(tlv.value()).unwrap_or_else(|_| {
            let mut value = tlv.value();
            match value.u32() {
                Ok(number) => Self::Other { policy: PolicyType::new(number), values: value.rest() },
                Err(_) => Self::Truncated { value: tlv.bytes() },
            }
        })
    }

    #[inline(always)]
    pub(super) fn parse(tlv: Tlv<'a>) -> Result<Self, DecodeError> {
        Self::read(tlv.value())
    }

    #[inline(always)]
    fn read(mut value: Reader<'a>) -> Result<Self, DecodeError> {
        let policy = match PolicyType::new(value.u32()?) {
            PolicyType::ROUND_ROBIN => Self::RoundRobin,
            PolicyType::WEIGHTED_ROUND_ROBIN => Self::WeightedRoundRobin { weight: value.u32()? },
            PolicyType::RANDOM => Self::Random,
            PolicyType::WEIGHTED_RANDOM => Self::WeightedRandom { weight: value.u32()? },
            PolicyType::PRIORITY => Self::Priority { priority: value.u32()? },
            PolicyType::LEAST_USED => Self::LeastUsed { load: value.u32()? },
            PolicyType::LEAST_USED_DEGRADATION => {
                Self::LeastUsedDegradation { load: value.u32()?, degradation: value.u32()? }
            }
            PolicyType::PRIORITY_LEAST_USED => {
                Self::PriorityLeastUsed { load: value.u32()?, degradation: value.u32()? }
            }
            PolicyType::RANDOMIZED_LEAST_USED => Self::RandomizedLeastUsed { load: value.u32()? },
            policy => return Ok(Self::Other { policy, values: value.rest() }),
        };
        value.end()?;
        Ok(policy)
    }

    /// The same policy as a value of its own.
    #[must_use]
    pub fn to_owned(&self) -> Policy {
        match *self {
            Self::RoundRobin => Policy::RoundRobin,
            Self::WeightedRoundRobin { weight } => Policy::WeightedRoundRobin { weight },
            Self::Random => Policy::Random,
            Self::WeightedRandom { weight } => Policy::WeightedRandom { weight },
            Self::Priority { priority } => Policy::Priority { priority },
            Self::LeastUsed { load } => Policy::LeastUsed { load },
            Self::LeastUsedDegradation { load, degradation } => {
                Policy::LeastUsedDegradation { load, degradation }
            }
            Self::PriorityLeastUsed { load, degradation } => {
                Policy::PriorityLeastUsed { load, degradation }
            }
            Self::RandomizedLeastUsed { load } => Policy::RandomizedLeastUsed { load },
            Self::Other { policy, values } => {
                Policy::Other { policy, values: Bytes::copy_from_slice(values) }
            }
            Self::Absent => Policy::Absent,
            Self::Truncated { value } => Policy::Truncated { value: Bytes::copy_from_slice(value) },
        }
    }
}

impl<B: AsRef<[u8]>> Policy<B> {
    /// Appends the policy of an element that is listed, if it has any.
    pub(super) fn write_listed(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self {
            Self::Absent => Ok(()),
            Self::Truncated { value } if value.as_ref().len() < 4 => {
                w.value(ParameterType::POLICY, value.as_ref())
            }
            Self::Other { policy, values } => w.parameter(ParameterType::POLICY, |w| {
                w.u32(policy.get());
                w.bytes(values.as_ref());
                match self.is_misread() {
                    true => Err(MISREAD),
                    false => Ok(()),
                }
            }),
            sound => sound.write(w),
        }
    }

    /// Whether the values fit the policy after all, so that it would be read as another one.
    fn is_misread(&self) -> bool {
        let Self::Other { policy, values } = self else { return false };
        let fits = match *policy {
            PolicyType::ROUND_ROBIN | PolicyType::RANDOM => 0,
            PolicyType::LEAST_USED_DEGRADATION | PolicyType::PRIORITY_LEAST_USED => 8,
            _ => 4,
        };
        policy.name().is_some() && values.as_ref().len() == fits
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.parameter(ParameterType::POLICY, |w| {
            w.u32(self.policy_type().get());
            self.write_values(w)
        })
    }

    fn write_values(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self {
            Self::RoundRobin | Self::Random => {}
            Self::Absent | Self::Truncated { .. } => return Err(MISREAD),
            Self::WeightedRoundRobin { weight: value }
            | Self::WeightedRandom { weight: value }
            | Self::Priority { priority: value }
            | Self::LeastUsed { load: value }
            | Self::RandomizedLeastUsed { load: value } => w.u32(*value),
            Self::LeastUsedDegradation { load, degradation }
            | Self::PriorityLeastUsed { load, degradation } => {
                w.u32(*load);
                w.u32(*degradation);
            }
            Self::Other { policy, values } => {
                if policy.name().is_some() {
                    return Err(MISREAD);
                }
                w.bytes(values.as_ref());
            }
        }
        Ok(())
    }
}

impl<B> OverallPolicy<B> {
    /// The policy with these values; none are needed.
    pub const fn new(policy: PolicyType, values: B) -> Self {
        Self { policy, values }
    }
}

impl<'a> OverallPolicy<&'a [u8]> {
    pub(super) fn parse(tlv: Tlv<'a>) -> Result<Self, DecodeError> {
        let mut value = tlv.value();
        Ok(Self { policy: PolicyType::new(value.u32()?), values: value.rest() })
    }

    /// The same policy as a value of its own.
    #[must_use]
    pub fn to_owned(&self) -> OverallPolicy {
        OverallPolicy { policy: self.policy, values: Bytes::copy_from_slice(self.values) }
    }
}

impl<B: AsRef<[u8]>> OverallPolicy<B> {
    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.parameter(ParameterType::POLICY, |w| {
            w.u32(self.policy.get());
            w.bytes(self.values.as_ref());
            Ok(())
        })
    }
}

/// The policy by its type alone, which is all that the RFC asks for. The reference implementation
/// and Wireshark expect values behind it; [`OverallPolicy::new`] takes some.
impl From<PolicyType> for OverallPolicy {
    fn from(policy: PolicyType) -> Self {
        Self { policy, values: Bytes::new() }
    }
}

/// The policy with the values that an element has, as the reference implementation sends it.
impl From<&Policy> for OverallPolicy {
    fn from(policy: &Policy) -> Self {
        let mut values = Vec::new();
        // One that is none has no values either.
        let _ = Writer::whole(&mut values, |w| policy.write_values(w));
        Self { policy: policy.policy_type(), values: values.into() }
    }
}

#[cfg(feature = "arbitrary")]
fn arbitrary_private(u: &mut arbitrary::Unstructured<'_>) -> arbitrary::Result<PolicyType> {
    u.arbitrary().map(|number: u32| PolicyType::new(number | 0x8000_0000))
}

#[cfg(feature = "arbitrary")]
fn arbitrary_truncated<B: From<Vec<u8>>>(
    u: &mut arbitrary::Unstructured<'_>,
) -> arbitrary::Result<B> {
    let len = u.int_in_range(0..=3)?;
    Ok(u.bytes(len)?.to_vec().into())
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    /// Values of policies that are not known are shown as they are.
    #[test]
    fn a_policy_is_shown_with_its_values() {
        let show = |policy: Policy<&[u8]>| policy.to_string();
        assert_eq!(show(Policy::RoundRobin), "Round Robin");
        assert_eq!(show(Policy::Priority { priority: 7 }), "Priority, priority 7");
        assert_eq!(
            show(Policy::PriorityLeastUsed { load: 0, degradation: u32::MAX }),
            "Priority Least Used, load 0.0%, degradation 100.0%"
        );
        let policy = PolicyType::new(0xb000_1001);
        assert_eq!(show(Policy::Other { policy, values: &[0, 0x1f] }), "0xb0001001, values 001f");
        assert_eq!(show(Policy::Other { policy, values: &[] }), "0xb0001001");
        let policy = PolicyType::WEIGHTED_ROUND_ROBIN;
        let shown = "Weighted Round Robin, values 07";
        assert_eq!(show(Policy::Other { policy, values: &[7] }), shown);
        assert_eq!(show(Policy::Absent), "no policy");
        assert_eq!(show(Policy::Truncated { value: &[0, 1] }), "truncated policy 0001");
    }
}
