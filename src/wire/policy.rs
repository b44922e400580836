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
use super::notes::Listener;
use super::reader::{Reader, Tlv};
use super::table::policies;
use super::value::Value;
use super::writer::Writer;
use super::{ParameterType, PolicyType};

macro_rules! laid_out {
    ($($(#[$meta:meta])+
        $NAME:ident = $number:literal, $label:literal, $section:literal:
        $Variant:ident $({$($(#[$what:meta])+ $value:ident: $shown:ident,)+})?;
    )+) => {
        /// The policy parameter of a pool element: the policy, and the element's values for it.
        ///
        /// The layout of each standard policy's values belongs to the policy's number, so the
        /// variants are fixed and can be written as literals. Weights, priorities and loads take
        /// any value; a load of `0xffff_ffff` is 100 %.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        #[cfg_attr(feature = "arbitrary", arbitrary(bound = "B: From<Vec<u8>>"))]
        #[non_exhaustive]
        pub enum Policy<B = Bytes> {
            $(
                $(#[$meta])+
                #[doc = concat!("(RFC 5356 §", $section, ").")]
                $Variant $({$($(#[$what])+ $value: u32,)+})?,
            )+
            /// A policy that the standard does not lay out: a private one, or a reserved number; or,
            /// in what was received, values that do not fit their policy.
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

        impl<B> Policy<B> {
            /// The policy's number; 0, which is reserved, where there is none.
            #[must_use]
            #[inline]
            pub const fn policy_type(&self) -> PolicyType {
                match self {
                    $(Self::$Variant { .. } => PolicyType::$NAME,)+
                    Self::Other { policy, .. } => *policy,
                    Self::Absent | Self::Truncated { .. } => PolicyType::new(0),
                }
            }
        }

        impl<'a> Policy<&'a [u8]> {
            #[inline(always)]
            fn parse(mut value: Reader<'a>) -> Result<Self, DecodeError> {
                let policy = match PolicyType::new(value.u32()?) {
                    $(PolicyType::$NAME => Self::$Variant $({$($value: value.u32()?,)+})?,)+
                    policy => return Ok(Self::Other { policy, values: value.rest() }),
                };
                value.end()?;
                Ok(policy)
            }

            /// The same policy as a value of its own.
            #[must_use]
            pub fn to_owned(&self) -> Policy {
                match *self {
                    $(Self::$Variant $({$($value),+})? => Policy::$Variant $({$($value),+})?,)+
                    Self::Other { policy, values } => {
                        Policy::Other { policy, values: Bytes::copy_from_slice(values) }
                    }
                    Self::Absent => Policy::Absent,
                    Self::Truncated { value } => {
                        Policy::Truncated { value: Bytes::copy_from_slice(value) }
                    }
                }
            }
        }

        impl<B: AsRef<[u8]>> Policy<B> {
            /// What follows the number.
            fn write_values(&self, w: &mut Writer<'_>) {
                match self {
                    $(Self::$Variant $({$($value),+})? => {$($(w.u32(*$value);)+)?})+
                    Self::Other { values, .. } => w.bytes(values.as_ref()),
                    Self::Absent | Self::Truncated { .. } => {}
                }
            }

            fn show_values(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$Variant $({$($value),+})? => {
                        $($($shown(f, stringify!($value), *$value)?;)+)?
                        Ok(())
                    })+
                    Self::Other { values, .. } if values.as_ref().is_empty() => Ok(()),
                    Self::Other { values, .. } => hex(f, ", values ", values.as_ref()),
                    Self::Absent | Self::Truncated { .. } => Ok(()),
                }
            }
        }
    };
}
policies!(laid_out);

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
        match (self, self.policy_type().name()) {
            (Self::Absent, _) => f.write_str("no policy")?,
            (Self::Truncated { value }, _) => hex(f, "truncated policy ", value.as_ref())?,
            (_, Some(name)) => f.write_str(name)?,
            (_, None) => write!(f, "{}", self.policy_type())?,
        }
        self.show_values(f)
    }
}

fn number(f: &mut fmt::Formatter<'_>, name: &str, value: u32) -> fmt::Result {
    write!(f, ", {name} {value}")
}

fn percent(f: &mut fmt::Formatter<'_>, name: &str, value: u32) -> fmt::Result {
    write!(f, ", {name} {:.1}%", f64::from(value) / f64::from(u32::MAX) * 100.0)
}

fn hex(f: &mut fmt::Formatter<'_>, name: &str, bytes: &[u8]) -> fmt::Result {
    f.write_str(name)?;
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl<'a> Policy<&'a [u8]> {
    /// The policy of an element that is listed, whose values need not fit.
    #[inline(always)]
    pub(super) fn listed(value: Reader<'a>) -> Self {
        Self::parse(value).unwrap_or_else(|_| {
            let mut values = value;
            match values.u32() {
                Ok(policy) => {
                    Self::Other { policy: PolicyType::new(policy), values: values.rest() }
                }
                Err(_) => Self::Truncated { value: value.rest() },
            }
        })
    }
}

impl Value for Policy {
    type View<'a> = Policy<&'a [u8]>;

    #[inline(always)]
    fn read<'a>(tlv: Tlv<'a>, _: &mut impl Listener<'a>) -> Result<Policy<&'a [u8]>, DecodeError> {
        Policy::parse(tlv.value())
    }

    fn own(view: Policy<&[u8]>) -> Self {
        view.to_owned()
    }

    /// Appends the policy, if there is any. Values that fit their policy after all are refused: they
    /// would be read as those of another variant.
    fn write(&self, parameter: ParameterType, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        if matches!(self, Self::Absent) {
            return Ok(());
        }
        w.parameter(parameter, |w| {
            let start = w.len();
            match self {
                Self::Truncated { value } => w.bytes(value),
                _ => w.u32(self.policy_type().get()),
            }
            self.write_values(w);
            match (self, Policy::listed(Reader::new(w.since(start)))) {
                (Self::Other { .. }, Policy::Other { .. })
                | (Self::Truncated { .. }, Policy::Truncated { .. }) => Ok(()),
                (Self::Other { .. } | Self::Truncated { .. }, _) => {
                    Err(EncodeError::Misread { parameter: Some(parameter) })
                }
                _ => Ok(()),
            }
        })
    }
}

impl<B> OverallPolicy<B> {
    /// The policy with these values; none are needed.
    pub const fn new(policy: PolicyType, values: B) -> Self {
        Self { policy, values }
    }
}

impl OverallPolicy<&[u8]> {
    /// The same policy as a value of its own.
    #[must_use]
    pub fn to_owned(&self) -> OverallPolicy {
        OverallPolicy { policy: self.policy, values: Bytes::copy_from_slice(self.values) }
    }
}

impl Value for OverallPolicy {
    type View<'a> = OverallPolicy<&'a [u8]>;

    fn read<'a>(
        tlv: Tlv<'a>,
        _: &mut impl Listener<'a>,
    ) -> Result<OverallPolicy<&'a [u8]>, DecodeError> {
        let mut value = tlv.value();
        Ok(OverallPolicy { policy: PolicyType::new(value.u32()?), values: value.rest() })
    }

    fn own(view: OverallPolicy<&[u8]>) -> Self {
        view.to_owned()
    }

    fn write(&self, parameter: ParameterType, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.parameter(parameter, |w| {
            w.u32(self.policy.get());
            w.bytes(&self.values);
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

/// The policy with the values that an element has, as the reference implementation sends it; round robin
/// where it has none.
impl From<&Policy> for OverallPolicy {
    fn from(policy: &Policy) -> Self {
        let values = match policy {
            Policy::Absent | Policy::Truncated { .. } => return PolicyType::ROUND_ROBIN.into(),
            Policy::Other { values, .. } => values.clone(),
            standard => {
                let mut values = Vec::new();
                // Nothing that a standard policy has is too long.
                let _: Result<(), EncodeError> = Writer::whole(&mut values, |w| {
                    standard.write_values(w);
                    Ok(())
                });
                values.into()
            }
        };
        Self { policy: policy.policy_type(), values }
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
