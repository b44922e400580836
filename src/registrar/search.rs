//! How the search for a home registrar stands, for those who look at it from outside.

/// How the search for a home registrar stands (RFC 5352 §3.6, §3.7), see
/// [`RegistrarsRef::home_search`](crate::RegistrarsRef::home_search).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HomeSearch {
    /// There is no home, and nobody needs one.
    Idle,
    /// One is needed and no registrar is known: waits for an announce.
    Listening,
    /// The former home is tried before anyone else.
    Reopening,
    /// Up to three registrars are tried at once.
    Hunting,
    /// There is a home.
    Home,
    /// There is a home that has not answered in time; others are tried beside it.
    Doubted,
}
