//! Registrars and elements for the tests, on sockets of this host, and whoever vouches for them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use asap_pu::wire::{
    Body, Cause, CauseCode, Message, PeIdentifier, Policy, PoolElement, StreamDecoder, Transport,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use socket2::SockRef;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_rustls::TlsAcceptor;

/// Any port of this host.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The pool that every registrar here knows.
pub(crate) const POOL: &str = "EchoPool";

/// A registrar that serves as long as the runtime does.
pub(crate) struct Peer {
    /// Where it listens.
    pub(crate) at: SocketAddr,
    /// What it heard of, in order.
    pub(crate) heard: UnboundedReceiver<Heard>,
}

/// What a registrar heard of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Somebody asked for a pool.
    Question,
    /// An element was reported.
    Report(u32),
    /// A connection was closed in good order.
    End,
}

/// Somebody whose certificates are believed, or not.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Whoever trusts this authority.
    pub(crate) fn believer(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
    }

    /// Someone whom it calls by this name, until the end of that year.
    pub(crate) fn vouch(&self, name: &str, until: i32) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(until, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let config = ServerConfig::builder().with_no_client_auth();
        Arc::new(config.with_single_cert(vec![certificate.into()], key).unwrap())
    }

    /// The certificate to trust it by.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }
}

/// A registrar that lists these elements, over TLS if it can show who it is.
pub(crate) async fn registrar(elements: &[SocketAddr], tls: Option<Arc<ServerConfig>>) -> Peer {
    list(ANYWHERE, elements, tls).await
}

/// The same at this address.
pub(crate) async fn registrar_at(at: SocketAddr, elements: &[SocketAddr]) -> Peer {
    list(at, elements, None).await
}

async fn list(at: SocketAddr, elements: &[SocketAddr], tls: Option<Arc<ServerConfig>>) -> Peer {
    let element = |(id, at): (u32, &SocketAddr)| {
        PoolElement::new(PeIdentifier::new(id), Transport::tcp(*at), Policy::RoundRobin)
    };
    let elements: Vec<_> = (1..).zip(elements).map(element).collect();
    let (tell, heard) = mpsc::unbounded_channel();
    let at = serve_at(at, move |stream| {
        let (elements, tell, tls) = (elements.clone(), tell.clone(), tls.clone());
        async move {
            match tls {
                None => answer(stream, elements, tell).await,
                Some(tls) => {
                    if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
                        answer(stream, elements, tell).await;
                    }
                }
            }
        }
    });
    Peer { at: at.await, heard }
}

/// An element that answers so many lines of each connection, by its number and the line, and then
/// hangs up in good order.
pub(crate) async fn element(number: usize, patience: usize) -> SocketAddr {
    serve(move |stream| async move {
        let (from, mut to) = stream.into_split();
        let mut lines = BufReader::new(from).lines();
        for _ in 0..patience {
            let Ok(Some(line)) = lines.next_line().await else { return };
            to.write_all(format!("{number}: {line}\n").as_bytes()).await.unwrap();
        }
    })
    .await
}

/// An element that dies after so many answers: its connections are broken off.
pub(crate) async fn mortal(number: usize, answers: usize) -> SocketAddr {
    serve(move |stream| async move {
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        let mut lines = BufReader::new(stream).lines();
        for _ in 0..answers {
            let Ok(Some(line)) = lines.next_line().await else { return };
            let answer = format!("{number}: {line}\n");
            lines.get_mut().write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

/// Whether this process has a network of its own, with a loopback interface and another one, `d0`, where
/// fe80::1 is. If not, the test is run once more in a process that has, or where such networks cannot be
/// had, that is said.
#[cfg(target_os = "linux")]
pub(crate) fn has_own_network(test: &str) -> bool {
    const OWN: &str = "ASAP_PU_OWN_NETWORK";
    const PREPARE: &str = "ip link set lo up && ip link add d0 type veth peer name d1 \
                           && ip address add fe80::1/64 dev d0 nodad \
                           && ip link set d1 up && ip link set d0 up";
    if std::env::var_os(OWN).is_some() {
        return true;
    }
    let within = |script: &str, arguments: &[&std::ffi::OsStr]| {
        let mut command = std::process::Command::new("unshare");
        command.args(["-rn", "sh", "-c", script]).args(arguments).env(OWN, "").output()
    };
    if !within(PREPARE, &[]).is_ok_and(|prepared| prepared.status.success()) {
        println!("no networks of one's own here");
        return false;
    }
    let script = format!("{PREPARE} && exec \"$0\" --exact \"$1\" --nocapture");
    let this = std::env::current_exe().unwrap();
    let told = within(&script, &[this.as_os_str(), test.as_ref()]).unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    false
}

/// Where nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    elements: Vec<PoolElement>,
    tell: UnboundedSender<Heard>,
) {
    let (mut decoder, mut buffer) = (StreamDecoder::new(65_535), [0; 4096]);
    while let Ok(len) = stream.read(&mut buffer).await {
        if len == 0 {
            let _ = tell.send(Heard::End);
            return;
        }
        let mut bytes = &buffer[..len];
        while let Some(message) = decoder.next(&mut bytes).unwrap() {
            match Message::decode(message).unwrap().body {
                Body::HandleResolution { handle, .. } => {
                    let _ = tell.send(Heard::Question);
                    let unknown = Cause::new(CauseCode::UNKNOWN_POOL_HANDLE, Default::default());
                    let answer = match handle.as_bytes() == POOL.as_bytes() {
                        true => Message::handle_resolution_response(handle, None, elements.clone()),
                        false => Message::handle_resolution_failure(handle, vec![unknown]),
                    };
                    stream.write_all(&answer.to_bytes().unwrap()).await.unwrap();
                }
                Body::EndpointUnreachable { identifier, .. } => {
                    let _ = tell.send(Heard::Report(identifier.get()));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

async fn serve<F: Future<Output = ()> + Send + 'static>(
    with: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    serve_at(ANYWHERE, with).await
}

async fn serve_at<F: Future<Output = ()> + Send + 'static>(
    at: SocketAddr,
    with: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind(at).await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(with(stream));
        }
    });
    at
}
