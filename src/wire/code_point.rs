//! The numbers that the RFCs give names to, each kind a type of its own.
//!
//! A code point is a number with meaning attached by a registry, and registries grow. So none of
//! them is an `enum`: each is a newtype with the assigned values as constants, and an unassigned
//! value is a value like any other, kept, shown in hex and written back unchanged.
//!
//! Those of messages, parameters and policies come from the [tables](super::table).
//!
//! The two upper bits of message and parameter types are a promise to the future: they tell a
//! receiver that does not know the type what to do with it (RFC 5354 §3, §4). [`UnknownAction`] is
//! that instruction.

use core::fmt;

use super::table::{messages, parameters, policies};

/// The payload protocol identifier that marks an SCTP user message as ASAP (RFC 5352 §8.3).
/// Application data never carries it.
pub const ASAP_PPID: u32 = 11;
/// The port of ASAP over SCTP, TCP and UDP (RFC 5352 §8.2).
pub const ASAP_PORT: u16 = 3863;
/// The port of ASAP over TLS, for SCTP and TCP (RFC 5352 §8.2).
pub const ASAP_TLS_PORT: u16 = 3864;

macro_rules! code_points {
    (
        $(#[$meta:meta])*
        $name:ident($int:ty), $rfc:literal {
            $($constant:ident = $value:literal, $label:literal, $section:literal;)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub struct $name($int);

        impl $name {
            $(
                #[doc = concat!($label, ", `", stringify!($value), "` (", $rfc, " §", $section, ").")]
                pub const $constant: Self = Self($value);
            )*

            /// The code point with this value, assigned or not.
            #[must_use]
            #[inline]
            pub const fn new(value: $int) -> Self {
                Self(value)
            }

            /// The value as it stands in a message.
            #[must_use]
            #[inline]
            pub const fn get(self) -> $int {
                self.0
            }

            /// What the RFC calls it; `None` for a value that this crate has no name for.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($label),)*
                    _ => None,
                }
            }
        }

        /// The name and the value in hex, or the value alone where there is no name.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => write!(f, "{name} ({:#x})", self.0),
                    None => write!(f, "{:#x}", self.0),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

macro_rules! message_types {
    ($($(#[$meta:meta])+
        $NAME:ident = $value:literal, $label:literal, $section:literal:
        $Variant:ident $(, fn $constructor:ident)? $(, where $rule:ident)? {$($parts:tt)+}
    )+) => {
        code_points! {
            /// What a message is: the first byte of it.
            ///
            /// ```
            /// use asap_pu::wire::MessageType;
            ///
            /// assert_eq!(MessageType::COOKIE.to_string(), "ASAP_COOKIE (0xb)");
            /// assert_eq!(MessageType::new(0x4f).to_string(), "0x4f");
            /// ```
            MessageType(u8), "RFC 5352" { $($NAME = $value, $label, $section;)+ }
        }
    };
}
messages!(message_types);

macro_rules! parameter_types {
    ($($(#[$meta:meta])+ $Variant:ident($($forms:tt)+) {
        $($NAME:ident = $value:literal, $label:literal, $section:literal;)+
    })+) => {
        code_points! {
            /// What a parameter is: the first two bytes of it.
            ///
            /// All but one come from RFC 5354. [`ELEMENTS_WANTED`](Self::ELEMENTS_WANTED) is an
            /// extension of the reference implementation, which real registrars understand and all
            /// others skip.
            ParameterType(u16), "RFC 5354" { $($($NAME = $value, $label, $section;)+)+ }
        }

        // Each type that is known has a bit of its own.
        const _: () = assert!(
            [$($($value),+),+].len() == (0_u32 $($(| 1 << ($value & 31))+)+).count_ones() as usize
        );

        impl ParameterType {
            /// The set of this type alone; the empty set if the type is not known.
            #[inline]
            pub(super) const fn bit(self) -> u32 {
                match self.0 {
                    $($($value)|+)|+ => 1 << (self.0 & 31),
                    _ => 0,
                }
            }
        }
    };
}
parameters!(parameter_types);

macro_rules! policy_types {
    ($($(#[$meta:meta])+
        $NAME:ident = $value:literal, $label:literal, $section:literal:
        $Variant:ident $({$($values:tt)+})?;
    )+) => {
        code_points! {
            /// How a pool user chooses among the elements of a pool.
            PolicyType(u32), "RFC 5356" { $($NAME = $value, $label, $section;)+ }
        }
    };
}
policies!(policy_types);

code_points! {
    /// Why an operation failed, or what a receiver could not make sense of.
    CauseCode(u16), "RFC 5354" {
        UNSPECIFIED = 0x0, "Unspecified Error", "3.12.1";
        UNRECOGNIZED_PARAMETER = 0x1, "Unrecognized Parameter", "3.12.2";
        UNRECOGNIZED_MESSAGE = 0x2, "Unrecognized Message", "3.12.3";
        INVALID_VALUES = 0x3, "Invalid Values", "3.12.4";
        NON_UNIQUE_PE_IDENTIFIER = 0x4, "Non-unique PE Identifier", "3.12.5";
        INCONSISTENT_POOL_POLICY = 0x5, "Inconsistent Pooling Policy", "3.12.6";
        LACK_OF_RESOURCES = 0x6, "Lack of Resources", "3.12.7";
        INCONSISTENT_TRANSPORT_TYPE = 0x7, "Inconsistent Transport Type", "3.12.8";
        INCONSISTENT_DATA_CONTROL = 0x8, "Inconsistent Data/Control Configuration", "3.12.9";
        UNKNOWN_POOL_HANDLE = 0x9, "Unknown Pool Handle", "3.12.11";
        SECURITY = 0xa, "Rejected due to security considerations", "3.12.10";
    }
}

code_points! {
    /// What an SCTP transport is for: the data of the application alone, or the control channel of
    /// ASAP too.
    TransportUse(u16), "RFC 5354" {
        DATA_ONLY = 0x0, "data only", "3.4";
        DATA_PLUS_CONTROL = 0x1, "data plus control", "3.4";
    }
}

/// What a receiver does with a message or parameter whose type it does not know (RFC 5354 §3, §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnknownAction {
    /// Drop the whole message.
    Discard,
    /// Drop the whole message and report what was not understood.
    DiscardAndReport,
    /// Pass over the parameter.
    Skip,
    /// Pass over the parameter and report it.
    SkipAndReport,
}

impl MessageType {
    /// What to do with a message of this type if the type is not known; never one of the skipping
    /// actions, since the patterns `10` and `11` are reserved and such messages are dropped.
    #[must_use]
    pub const fn unknown_action(self) -> UnknownAction {
        match self.0 >> 6 {
            0b01 => UnknownAction::DiscardAndReport,
            _ => UnknownAction::Discard,
        }
    }
}

impl ParameterType {
    /// What to do with a parameter of this type if the type is not known, or not expected in its
    /// place.
    #[must_use]
    pub const fn unknown_action(self) -> UnknownAction {
        match self.0 >> 14 {
            0b00 => UnknownAction::Discard,
            0b01 => UnknownAction::DiscardAndReport,
            0b10 => UnknownAction::Skip,
            _ => UnknownAction::SkipAndReport,
        }
    }
}

impl PolicyType {
    /// Whether the type is for private use, outside the standard: the upper bit is set (RFC 5356
    /// §7.1).
    #[must_use]
    pub const fn is_private(self) -> bool {
        self.0 >> 31 == 1
    }
}

impl TransportUse {
    /// Whether the transport carries a control channel. Values other than the two assigned ones
    /// mean data only.
    #[must_use]
    pub const fn carries_control(self) -> bool {
        self.0 == Self::DATA_PLUS_CONTROL.0
    }
}

macro_rules! identifiers {
    ($($(#[$meta:meta])* $name:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub struct $name(u32);

        impl $name {
            /// The identifier with this value.
            #[must_use]
            #[inline]
            pub const fn new(value: u32) -> Self {
                Self(value)
            }

            /// The value as it stands in a message.
            #[must_use]
            #[inline]
            pub const fn get(self) -> u32 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#010x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

identifiers! {
    /// Names a pool element within its pool; chosen by the element when it starts. Any value is
    /// valid, 0 included.
    PeIdentifier;
    /// Names a pool registrar among the registrars.
    ServerIdentifier;
}

impl ServerIdentifier {
    /// Stands for "not determined" where an element's home registrar is named (RFC 5354 §3.10).
    pub const UNDETERMINED: Self = Self(0);
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    /// [TLV-5] and [TLV-6]: the upper bits name the action; the reserved patterns of messages mean
    /// drop.
    #[test]
    fn the_upper_bits_are_an_instruction() {
        use UnknownAction::{Discard, DiscardAndReport, Skip, SkipAndReport};
        let of_message = [0x3f, 0x7f, 0xbf, 0xff].map(|t| MessageType::new(t).unknown_action());
        assert_eq!(of_message, [Discard, DiscardAndReport, Discard, Discard]);
        let of_parameter =
            [0x3fff, 0x7fff, 0xbfff, 0xffff].map(|t| ParameterType::new(t).unknown_action());
        assert_eq!(of_parameter, [Discard, DiscardAndReport, Skip, SkipAndReport]);
        assert_eq!(ParameterType::ELEMENTS_WANTED.unknown_action(), Skip);
    }

    /// [TLV-14]: a transport use that is neither 0 nor 1 is kept and means data only.
    #[test]
    fn only_one_transport_use_carries_control() {
        assert!(TransportUse::DATA_PLUS_CONTROL.carries_control());
        assert!(!TransportUse::DATA_ONLY.carries_control());
        assert!(!TransportUse::new(2).carries_control());
        assert_eq!(TransportUse::new(2).get(), 2);
    }

    #[test]
    fn what_has_no_name_is_shown_in_hex() {
        assert_eq!(ParameterType::SCTP_TRANSPORT.to_string(), "SCTP transport (0x4)");
        assert_eq!(PolicyType::new(0xb000_1001).to_string(), "0xb0001001");
        assert!(PolicyType::new(0xb000_1001).is_private());
        assert!(!PolicyType::LEAST_USED.is_private());
        assert_eq!(PeIdentifier::new(0x103).to_string(), "0x00000103");
    }
}
