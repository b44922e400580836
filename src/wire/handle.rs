//! Pool handles: the names of pools.

use alloc::string::String;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;

use bytes::Bytes;

/// The name of a pool: any bytes, compared as bytes (RFC 5354 §3.9).
///
/// Nothing says that a handle is text, or that it has no zeros in it; it is shown escaped. Cloning
/// is cheap.
///
/// ```
/// use asap_pu::wire::PoolHandle;
///
/// let handle = PoolHandle::new("echo\0");
/// assert_eq!(handle.len(), 5);
/// assert_eq!(handle.to_string(), r"echo\x00");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolHandle(Bytes);

impl PoolHandle {
    /// The handle made of these bytes. What a peer or a configuration accepts is narrower than what
    /// can be written down; the length is checked where a handle is used.
    #[must_use]
    pub fn new(bytes: impl Into<Self>) -> Self {
        bytes.into()
    }

    /// The bytes.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for PoolHandle {
    fn from(name: &str) -> Self {
        Self::from(name.as_bytes())
    }
}

impl From<String> for PoolHandle {
    fn from(name: String) -> Self {
        Self::from(name.into_bytes())
    }
}

impl From<&[u8]> for PoolHandle {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl<const N: usize> From<&[u8; N]> for PoolHandle {
    fn from(bytes: &[u8; N]) -> Self {
        Self::from(bytes.as_slice())
    }
}

impl From<Vec<u8>> for PoolHandle {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<Bytes> for PoolHandle {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for PoolHandle {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A map from handles can be asked with bytes from a packet.
impl Borrow<[u8]> for PoolHandle {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for PoolHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.escape_ascii(), f)
    }
}

impl fmt::Debug for PoolHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(feature = "arbitrary")]
impl<'a> arbitrary::Arbitrary<'a> for PoolHandle {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        Vec::arbitrary(u).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::format;

    use super::*;

    /// [TLV-15]: any bytes, shown escaped, compared as bytes.
    #[test]
    fn a_handle_is_bytes() {
        let handle = PoolHandle::new(&[0x00, 0xff, b'a']);
        assert_eq!(format!("{handle} {handle:?}"), r#"\x00\xffa "\x00\xffa""#);
        assert!(handle < PoolHandle::new("a"));
        assert_eq!(BTreeMap::from([(handle, 7)]).get(&[0x00, 0xff, b'a'][..]), Some(&7));
    }
}
