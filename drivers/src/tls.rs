//! TLS: who a registrar must be (RFC 5352 §9.2), and whether it is.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Has the peer prove that it is `identity`.
pub(crate) async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    identity: &str,
    tls: Arc<ClientConfig>,
) -> io::Result<TlsStream<S>> {
    TlsConnector::from(tls).connect(reference(identity)?, stream).await
}

/// Whether a peer's certificate was refused, so that it is not who it should be.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.get_ref().and_then(|inner| inner.downcast_ref()),
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
    )
}

/// The name to look for among the subjectAltNames of a certificate (RFC 5352 §9.2): an address as it is,
/// a domain name with its labels in ACE. The rest of that section is what [`rustls`] does: names of the
/// same type are compared, `*` stands for one whole label, the left-most (with two or more behind it),
/// and the common name does not count.
fn reference(identity: &str) -> io::Result<ServerName<'static>> {
    if identity.parse::<IpAddr>().is_ok() {
        return ServerName::try_from(identity.to_owned()).map_err(io::Error::other);
    }
    // What RFC 3490 maps and its successors, by which the rest goes, do not.
    let mapped: String = identity
        .chars()
        .flat_map(|c| match c {
            'ß' => ['s', 's'].into_iter().take(2),
            'ς' => ['σ', ' '].into_iter().take(1),
            '\u{200c}' | '\u{200d}' => [' ', ' '].into_iter().take(0),
            c => [c, ' '].into_iter().take(1),
        })
        .collect();
    let to_ascii = Uts46::new().to_ascii(
        mapped.as_bytes(),
        AsciiDenyList::STD3,
        Hyphens::CheckFirstLast,
        DnsLength::VerifyAllowRootDot,
    );
    let name = to_ascii.map_err(|_| io::Error::other(format!("{identity:?} is no domain name")))?;
    ServerName::try_from(name.into_owned()).map_err(io::Error::other)
}
