//! A parameter as it came: what is kept of those that have no meaning where they stand.

use bytes::Bytes;

use super::ParameterType;
use super::error::EncodeError;
use super::writer::Writer;

/// A parameter as it came: its type and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct RawParameter<B = Bytes> {
    /// The type.
    pub parameter: ParameterType,
    /// The value, without padding.
    pub value: B,
}

impl<B> RawParameter<B> {
    /// A parameter of this type with this value.
    pub const fn new(parameter: ParameterType, value: B) -> Self {
        Self { parameter, value }
    }
}

impl RawParameter<&[u8]> {
    /// The same parameter as a value of its own.
    #[must_use]
    pub fn to_owned(&self) -> RawParameter {
        RawParameter { parameter: self.parameter, value: Bytes::copy_from_slice(self.value) }
    }
}

impl RawParameter {
    pub(super) fn as_ref(&self) -> RawParameter<&[u8]> {
        RawParameter { parameter: self.parameter, value: &self.value }
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.value(self.parameter, &self.value)
    }
}

/// One of an unknown type that may be skipped, so that it can stand anywhere.
#[cfg(feature = "arbitrary")]
impl<'a> arbitrary::Arbitrary<'a> for RawParameter {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        let parameter = ParameterType::new(u.arbitrary::<u16>()? | 0x8000);
        if parameter.name().is_some() {
            return Err(arbitrary::Error::IncorrectFormat);
        }
        Ok(Self { parameter, value: super::arbitrary_bytes(u)? })
    }
}
