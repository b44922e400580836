//! What parameters hold, in received bytes and as values of their own.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

use super::error::{DecodeError, EncodeError};
use super::notes::Listener;
use super::reader::Tlv;
use super::writer::Writer;
use super::{Cause, Causes, ParameterType, PeIdentifier, PoolHandle};

/// What a parameter holds, as a value of its own.
pub(super) trait Value: Sized {
    /// There are parameters inside, so that a message has to look into it to know whether it is
    /// sound as a whole.
    const HAS_PARAMETERS: bool = false;

    /// The same in received bytes.
    type View<'a>;

    /// Reads the value of a parameter; the listener is told of what is passed over inside.
    fn read<'a>(
        tlv: Tlv<'a>,
        listener: &mut impl Listener<'a>,
    ) -> Result<Self::View<'a>, DecodeError>;

    /// The value of its own that is the same as the view.
    fn own(view: Self::View<'_>) -> Self;

    /// Appends a parameter of this type with the value. What may be of several types knows itself
    /// of which it is.
    fn write(&self, parameter: ParameterType, w: &mut Writer<'_>) -> Result<(), EncodeError>;
}

/// Values of a fixed size.
macro_rules! fixed {
    ($($Type:ty: $from_bytes:expr, $to_bytes:expr;)+) => {$(
        impl Value for $Type {
            type View<'a> = Self;

            #[inline(always)]
            fn read<'a>(tlv: Tlv<'a>, _: &mut impl Listener<'a>) -> Result<Self, DecodeError> {
                let mut value = tlv.value();
                let bytes = value.array()?;
                value.end()?;
                Ok($from_bytes(bytes))
            }

            fn own(view: Self) -> Self {
                view
            }

            #[inline]
            fn write(&self, parameter: ParameterType, w: &mut Writer<'_>) -> Result<(), EncodeError> {
                w.value(parameter, &$to_bytes(*self))
            }
        }
    )+};
}

fixed! {
    u16: Self::from_be_bytes, Self::to_be_bytes;
    u32: Self::from_be_bytes, Self::to_be_bytes;
    PeIdentifier: |bytes| Self::new(u32::from_be_bytes(bytes)), |it: Self| it.get().to_be_bytes();
    Ipv4Addr: |bytes: [u8; 4]| Self::from(bytes), |it: Self| it.octets();
    Ipv6Addr: |bytes: [u8; 16]| Self::from(bytes), |it: Self| it.octets();
}

/// An address of either family, each of which has a type of its own.
impl Value for IpAddr {
    type View<'a> = Self;

    #[inline(always)]
    fn read<'a>(tlv: Tlv<'a>, listener: &mut impl Listener<'a>) -> Result<Self, DecodeError> {
        match tlv.parameter() {
            ParameterType::IPV4_ADDRESS => Ipv4Addr::read(tlv, listener).map(Self::V4),
            _ => Ipv6Addr::read(tlv, listener).map(Self::V6),
        }
    }

    fn own(view: Self) -> Self {
        view
    }

    fn write(&self, _: ParameterType, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self {
            Self::V4(v4) => v4.write(ParameterType::IPV4_ADDRESS, w),
            Self::V6(v6) => v6.write(ParameterType::IPV6_ADDRESS, w),
        }
    }
}

/// Values that are any bytes.
macro_rules! bytes {
    ($($Type:ty: $from_bytes:expr;)+) => {$(
        impl Value for $Type {
            type View<'a> = &'a [u8];

            #[inline(always)]
            fn read<'a>(tlv: Tlv<'a>, _: &mut impl Listener<'a>) -> Result<&'a [u8], DecodeError> {
                Ok(tlv.bytes())
            }

            fn own(view: &[u8]) -> Self {
                $from_bytes(view)
            }

            #[inline]
            fn write(&self, parameter: ParameterType, w: &mut Writer<'_>) -> Result<(), EncodeError> {
                w.value(parameter, self.as_ref())
            }
        }
    )+};
}

bytes! {
    PoolHandle: Self::from;
    Bytes: Self::copy_from_slice;
}

impl Value for Vec<Cause> {
    type View<'a> = Causes<'a>;

    fn read<'a>(tlv: Tlv<'a>, _: &mut impl Listener<'a>) -> Result<Causes<'a>, DecodeError> {
        Causes::parse(tlv)
    }

    fn own(view: Causes<'_>) -> Self {
        view.to_owned()
    }

    fn write(&self, parameter: ParameterType, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.parameter(parameter, |w| self.iter().try_for_each(|cause| cause.write(w)))
    }
}

/// Any number of parameters that hold the same kind of value: how a view goes through them.
macro_rules! list {
    ($(#[$meta:meta])+ $List:ident: $View:ty, $Value:ty) => {
        $(#[$meta])+
        #[derive(Clone, Copy)]
        pub struct $List<'a>(Walk<'a>);

        impl<'a> $List<'a> {
            /// Those among these parameters that have a slot. All have been decoded before.
            #[inline]
            pub(super) const fn new(parameters: Reader<'a>, slots: &'static [Slot]) -> Self {
                Self(Walk::new(parameters, slots))
            }

            /// The same as values of their own.
            #[must_use]
            pub fn to_owned(&self) -> Vec<$Value> {
                self.map(<$Value>::own).collect()
            }
        }

        impl<'a> Iterator for $List<'a> {
            type Item = $View;

            #[inline]
            fn next(&mut self) -> Option<$View> {
                // The bytes have been decoded before, so there is no error to come across.
                let (_, tlv) = self.0.next(&mut Silence).ok()??;
                <$Value>::read(tlv, &mut Silence).ok()
            }
        }

        impl fmt::Debug for $List<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(*self).finish()
            }
        }
    };
}

/// A value for a part of this type; `Bytes` are not `Arbitrary`.
#[cfg(feature = "arbitrary")]
macro_rules! any_value {
    ($u:ident, COOKIE) => {
        super::arbitrary_bytes($u)?
    };
    ($u:ident, $($types:tt)*) => {
        $u.arbitrary()?
    };
}

/// One of the variants of an enum.
#[cfg(feature = "arbitrary")]
pub(super) fn any_variant<'a, T>(
    u: &mut arbitrary::Unstructured<'a>,
    variants: &[fn(&mut arbitrary::Unstructured<'a>) -> arbitrary::Result<T>],
) -> arbitrary::Result<T> {
    u.choose(variants)?(u)
}

#[cfg(feature = "arbitrary")]
pub(super) use any_value;
pub(super) use list;
