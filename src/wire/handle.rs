//! Pool handles: the names of pools.

use alloc::string::String;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

use bytes::Bytes;

/// The name of a pool: any bytes, compared as bytes (RFC 5354 §3.9).
///
/// Nothing says that a handle is text, or that it has no zeros in it; it is shown escaped. Cloning
/// is cheap: a short handle, as nearly all are, stands in its place, and a long one is shared.
///
/// ```
/// use asap_pu::wire::PoolHandle;
///
/// let handle = PoolHandle::new("echo\0");
/// assert_eq!(handle.len(), 5);
/// assert_eq!(handle.to_string(), r"echo\x00");
/// ```
#[derive(Clone)]
pub struct PoolHandle(Storage);

/// How many bytes a handle may have that stands in its place: as many as leave it as small as what it
/// takes to share one.
const SHORT: usize = 23;

#[derive(Clone)]
enum Storage {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Bytes),
}

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
        match &self.0 {
            Storage::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or(bytes),
            Storage::Long(bytes) => bytes,
        }
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that it has on the heap, which all its clones share.
    pub(crate) const fn heap_size(&self) -> usize {
        match &self.0 {
            Storage::Short { .. } => 0,
            // Beside the bytes there is a count of owners.
            Storage::Long(bytes) => bytes.len().saturating_add(size_of::<[usize; 3]>()),
        }
    }

    fn short(bytes: &[u8]) -> Option<Self> {
        let mut short = [0; SHORT];
        short.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let len = u8::try_from(bytes.len()).ok()?;
        Some(Self(Storage::Short { len, bytes: short }))
    }
}

impl PartialEq for PoolHandle {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for PoolHandle {}

impl PartialOrd for PoolHandle {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PoolHandle {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for PoolHandle {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
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
        Self::short(bytes).unwrap_or_else(|| Self(Storage::Long(Bytes::copy_from_slice(bytes))))
    }
}

impl<const N: usize> From<&[u8; N]> for PoolHandle {
    fn from(bytes: &[u8; N]) -> Self {
        Self::from(bytes.as_slice())
    }
}

impl From<Vec<u8>> for PoolHandle {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Bytes::from(bytes))
    }
}

impl From<Bytes> for PoolHandle {
    fn from(bytes: Bytes) -> Self {
        Self::short(&bytes).unwrap_or(Self(Storage::Long(bytes)))
    }
}

impl AsRef<[u8]> for PoolHandle {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// A map from handles can be asked with bytes from a packet.
impl Borrow<[u8]> for PoolHandle {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for PoolHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_bytes().escape_ascii(), f)
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

    /// [TLV-15]: of whatever length, a handle is its bytes; and none is larger than what is shared.
    #[test]
    fn a_handle_may_be_long() {
        for len in [0, 1, SHORT - 1, SHORT, SHORT + 1, 0xffff] {
            let bytes = alloc::vec![7; len];
            let handle = PoolHandle::from(&bytes[..]);
            assert_eq!(handle.as_bytes(), bytes);
            assert_eq!((handle.len(), handle.is_empty()), (len, len == 0));
            assert_eq!(handle, PoolHandle::from(bytes));
            assert!(handle < PoolHandle::from(alloc::vec![7; len + 1]));
        }
        assert_eq!(size_of::<PoolHandle>(), size_of::<Bytes>().max(SHORT + 1 + size_of::<usize>()));
    }
}
