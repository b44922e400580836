//! TCP and TLS, in an async application on tokio.
//!
//! The application owns the [`Driver`] and awaits [`Driver::event`], which does all the work that
//! is the pool user's. Each channel has a task of its own: it connects, checks with TLS who is
//! there where the pool user asks for that (RFC 5352 §9.2), and then reads and writes until one
//! side closes. Tasks and driver share nothing but queues:
//!
//! ```text
//!             ┌────────┐ ─ Payload ─▶ ┌────────────────────┐
//!  Event ◀─── │ Driver │              │ task for a channel │ ◀─ bytes ─▶ registrar or element
//!             └────────┘ ◀── Input ── └────────────────────┘
//!                 ▲ announces
//! ```
//!
//! All that happens comes through one bounded queue, so that an application which does not ask for
//! events slows its peers down instead of filling memory. What is to be written waits in a queue
//! for each channel, which the pool user keeps short: as each write is confirmed, it hands over no more
//! data than its window allows, and control messages are few.
//!
//! Elements speak plain TCP: data only, in pieces of any size (RFC 5354 §3.5).

use std::collections::BTreeMap;
use std::future::pending;
use std::io::{
    self,
    ErrorKind::{AddrNotAvailable, BrokenPipe, ConnectionReset, Unsupported, WriteZero},
};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use asap_pu::wire::{Protocol, Transport};
use asap_pu::{
    Action, Authentication, Capabilities, ChannelId, CloseReason, Config, ConfigError, Confirms,
    Event, Instant, MessageId, Payload, PeerKind, PoolUser, Security,
};
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedReceiver, UnboundedSender};
use tokio::time::{self, timeout};
use tokio_rustls::TlsConnector;

use crate::{LastFailure, Seen, Watcher, join, show};

/// How much is read at once.
const READ_LEN: usize = 16 << 10;

/// How many inputs wait for the driver before the tasks have to.
const MAX_INPUTS: usize = 64;

/// How long a peer may accept nothing of what is written to it before it counts as failed.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a peer may take to close its side once this side is closed.
const LINGER: Duration = Duration::from_secs(2);

/// A pool user in touch with the world.
#[derive(Debug)]
pub struct Driver {
    user: PoolUser,
    /// What the pool user calls [`Instant::EPOCH`].
    start: time::Instant,
    tls: Option<Arc<ClientConfig>>,
    /// The channels that the pool user asked for and has not closed.
    channels: BTreeMap<ChannelId, Channel>,
    inputs: Receiver<(ChannelId, Input)>,
    to_inputs: Sender<(ChannelId, Input)>,
    /// Where registrars announce themselves.
    announces: Option<UdpSocket>,
    datagram: Box<[u8]>,
    failure: LastFailure,
    /// Where a copy goes of what is exchanged with registrars; nowhere if not changed.
    pub watcher: Option<Watcher>,
}

/// The driver's end of a channel; to drop it is to close the channel behind what is queued.
#[derive(Debug)]
struct Channel {
    peer: PeerKind,
    to: Transport,
    queue: UnboundedSender<Payload>,
}

/// What happens on a channel.
#[derive(Debug)]
enum Input {
    Opened(Authentication),
    Received(Vec<u8>),
    Written(MessageId),
    /// The peer has closed the channel, or it failed.
    Ended(io::Result<()>),
}

/// What TCP and TLS have in common.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// TCP, each message told when it is written, and TLS that authenticates registrars.
const CAPABILITIES: Capabilities = Capabilities::NONE
    .with_registrars(Protocol::Tcp)
    .with_elements(Protocol::Tcp, Confirms::Written)
    .with_authentication();

impl Driver {
    /// A driver around a new pool user. The seed should differ from process to process, so
    /// that not all choose the same element first.
    ///
    /// # Errors
    /// The configuration contradicts itself, or lists a registrar that is not reached over TCP.
    pub fn new(config: Config, seed: u64) -> Result<Self, ConfigError> {
        let (to_inputs, inputs) = mpsc::channel(MAX_INPUTS);
        Ok(Self {
            user: PoolUser::new(config, CAPABILITIES, seed)?,
            start: time::Instant::now(),
            tls: None,
            channels: BTreeMap::new(),
            inputs,
            to_inputs,
            announces: None,
            datagram: vec![0; 0x1_0000].into(),
            failure: LastFailure::default(),
            watcher: None,
        })
    }

    /// The same driver, able to speak TLS: `tls` says whose certificates to trust, and holds the
    /// pool user's own if it has one. Without it, channels that are to be secured fail.
    #[must_use]
    pub fn with_tls(self, tls: impl Into<Arc<ClientConfig>>) -> Self {
        Self { tls: Some(tls.into()), ..self }
    }

    /// Listens to what registrars announce to the multicast `group` (RFC 5352 §2.2.10), on the
    /// interface with this address or, where that is unspecified, the one that the system chooses.
    /// Other programs on the host can do the same.
    ///
    /// # Errors
    /// The socket cannot be had, or the group not be joined.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn listen(&mut self, group: SocketAddrV4, interface: Ipv4Addr) -> io::Result<()> {
        self.announces = Some(UdpSocket::from_std(join(group, interface)?)?);
        Ok(())
    }

    /// The pool user, for commands and to look at. Its actions and events are the driver's.
    pub fn user(&mut self) -> &mut PoolUser {
        &mut self.user
    }

    /// The time as the pool user sees it.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::EPOCH + self.start.elapsed()
    }

    /// What to tell people where [`Event::NoRegistrarReachable`] is the end.
    #[must_use]
    pub fn no_registrar(&self) -> String {
        self.failure.to_string()
    }

    /// Runs until the pool user has something to tell. `None` if there is nothing within `patience`,
    /// or nothing to come after a [`shut_down`](PoolUser::shut_down).
    ///
    /// It may be dropped at any time without a loss. While nobody awaits it nothing moves: no
    /// deadline is met, and peers are read from only as far as the queue goes.
    pub async fn event(&mut self, patience: Duration) -> Option<Event> {
        let end = self.now() + patience;
        let mut is_over = false;
        loop {
            self.act();
            let event = self.user.poll_event();
            if event.is_some() || is_over || self.user.is_shut_down() {
                return event;
            }
            let wake = self.user.poll_timeout().map_or(end, |at| at.min(end));
            let left = wake.since(self.now());
            tokio::select! {
                Some((channel, input)) = self.inputs.recv() => self.take(channel, input),
                Ok((len, source)) = async {
                    match &self.announces {
                        Some(socket) => socket.recv_from(&mut self.datagram).await,
                        None => pending().await,
                    }
                } => {
                    let (now, datagram) = (self.now(), &self.datagram[..len]);
                    show(&self.watcher, || Seen::Announced(source, datagram.to_vec()));
                    self.user.handle_announce(now, source, datagram);
                }
                () = time::sleep(left) => {}
            }
            self.user.handle_timeout(self.now());
            is_over = self.now() >= end;
        }
    }

    /// Shuts the pool user down and waits until everything is written and closed, `patience` at
    /// most; says whether it came to that. Events are passed over: who wants them tells the pool
    /// user first and reads on until there are none.
    ///
    /// A driver that is dropped instead closes its channels too, but nobody waits for it.
    pub async fn shut_down(mut self, patience: Duration) -> bool {
        let end = self.now() + patience;
        self.user.shut_down(self.now());
        while !self.user.is_shut_down() {
            if self.now() >= end {
                return false;
            }
            self.event(end.since(self.now())).await;
        }
        let left = end.since(self.now());
        // Each task holds a sender until it is through.
        let Self { mut inputs, to_inputs, .. } = self;
        drop(to_inputs);
        timeout(left, async { while inputs.recv().await.is_some() {} }).await.is_ok()
    }

    /// Does what the pool user asks for.
    fn act(&mut self) {
        while let Some(action) = self.user.poll_action() {
            match action {
                Action::Open { channel, peer, to, security, .. } => {
                    let (queue, payloads) = mpsc::unbounded_channel();
                    let connecting = connect(to.clone(), security, self.tls.clone());
                    let inputs = self.to_inputs.clone();
                    tokio::spawn(async move {
                        let ended = carry(connecting, channel, payloads, &inputs).await;
                        let _ = inputs.send((channel, Input::Ended(ended))).await;
                    });
                    self.channels.insert(channel, Channel { peer, to, queue });
                }
                Action::Send { channel, payload, .. } => {
                    if let Payload::Control(message) = &payload {
                        show(&self.watcher, || Seen::Sent(message.to_vec()));
                    }
                    if let Some(found) = self.channels.get(&channel) {
                        // If the task is gone it has said why.
                        let _ = found.queue.send(payload);
                    }
                }
                Action::Close { channel, .. } => drop(self.channels.remove(&channel)),
                _ => {}
            }
        }
    }

    /// Hands in what happened, unless the pool user has closed the channel meanwhile.
    fn take(&mut self, channel: ChannelId, input: Input) {
        let now = self.now();
        let Some(found) = self.channels.get(&channel) else { return };
        match input {
            Input::Opened(authentication) => self.user.handle_opened(now, channel, authentication),
            Input::Received(bytes) => match found.peer {
                PeerKind::Registrar => {
                    show(&self.watcher, || Seen::Streamed(bytes.clone()));
                    self.user.handle_stream(now, channel, &bytes);
                }
                _ => self.user.handle_data(now, channel, &bytes),
            },
            Input::Written(message) => self.user.handle_written(now, channel, message),
            Input::Ended(outcome) => {
                let (reason, why) = match outcome {
                    Ok(()) => (CloseReason::Closed, "it hung up".to_owned()),
                    Err(error) => (reason(&error), error.to_string()),
                };
                if found.peer == PeerKind::Registrar {
                    self.failure.set(&found.to, why);
                }
                self.channels.remove(&channel);
                self.user.handle_closed(now, channel, reason);
            }
        }
    }
}

/// The life of a channel: until its peer closes it, it fails, or the driver drops its end. If the
/// driver is gone it need not be told anything, and the payloads have come to their end.
async fn carry(
    connecting: impl Future<Output = io::Result<(Box<dyn Stream>, Authentication)>>,
    channel: ChannelId,
    mut payloads: UnboundedReceiver<Payload>,
    inputs: &Sender<(ChannelId, Input)>,
) -> io::Result<()> {
    let (stream, authentication) = tokio::select! {
        connected = connecting => connected?,
        // Nothing is sent before the channel is up: this is its end.
        _ = payloads.recv() => return Ok(()),
    };
    let _ = inputs.send((channel, Input::Opened(authentication))).await;
    let (mut from, mut to) = tokio::io::split(stream);
    let mut reading = pin!(async {
        let mut buffer = vec![0; READ_LEN];
        loop {
            match from.read(&mut buffer).await? {
                0 => return Ok(()),
                len => {
                    let received = Input::Received(buffer[..len].to_vec());
                    let _ = inputs.send((channel, received)).await;
                }
            }
        }
    });
    let writing = async {
        while let Some(payload) = payloads.recv().await {
            let (bytes, message) = match payload {
                Payload::Control(bytes) => (bytes, None),
                Payload::Data { data, message, .. } => (data, Some(message)),
                _ => continue,
            };
            write(&mut to, &bytes).await?;
            if let Some(message) = message {
                let _ = inputs.send((channel, Input::Written(message))).await;
            }
        }
        timeout(WRITE_TIMEOUT, to.shutdown()).await?
    };
    let written = tokio::select! {
        ended = &mut reading => return ended,
        written = writing => written,
    };
    // A system that closes with something unread cuts off what was just written, and what came
    // before a failure counts.
    match (written, timeout(LINGER, reading).await) {
        // Where the peer had closed in good order, that it takes nothing more is no failure.
        (Err(error), Ok(Ok(()))) if matches!(error.kind(), BrokenPipe | ConnectionReset) => Ok(()),
        (written, _) => written,
    }
}

/// Writes all of it, however slowly the peer reads, as long as it does.
async fn write(to: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match timeout(WRITE_TIMEOUT, to.write(bytes)).await?? {
            0 => return Err(WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    timeout(WRITE_TIMEOUT, to.flush()).await?
}

/// Connects, and has the peer prove who it is where `security` asks for it.
async fn connect(
    to: Transport,
    security: Security,
    tls: Option<Arc<ClientConfig>>,
) -> io::Result<(Box<dyn Stream>, Authentication)> {
    let at = to.socket_addrs().next().ok_or(AddrNotAvailable)?;
    let stream = TcpStream::connect(at).await?;
    stream.set_nodelay(true)?;
    let identity = match security {
        Security::None => return Ok((Box::new(stream), Authentication::None)),
        Security::Tls { identity, .. } => String::from(identity),
        other => {
            return Err(io::Error::new(Unsupported, format!("{other:?} is not spoken here")));
        }
    };
    let tls = tls.ok_or_else(|| {
        io::Error::new(Unsupported, "TLS is wanted, but no certificate is trusted")
    })?;
    let name = reference(&identity)?;
    let stream = TlsConnector::from(tls).connect(name, stream).await?;
    Ok((Box::new(stream), Authentication::Verified))
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

/// A peer whose certificate was refused is not who it should be.
fn reason(error: &io::Error) -> CloseReason {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            CloseReason::Unauthenticated
        }
        _ => crate::reason(error),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    /// A peer that takes a hundred bytes now and then is slow, and has not failed, however long all
    /// of it takes; one that takes nothing more has.
    #[tokio::test(start_paused = true)]
    async fn a_peer_has_failed_when_it_takes_nothing_more() {
        let (mut to, mut peer) = duplex(100);
        let reading = async {
            for _ in 0..50 {
                time::sleep(WRITE_TIMEOUT - Duration::from_secs(1)).await;
                peer.read_exact(&mut [0; 100]).await.unwrap();
            }
            pending::<()>().await;
        };
        let writing = async {
            write(&mut to, &[0; 5_000]).await.unwrap();
            write(&mut to, &[0; 5_000]).await.unwrap_err()
        };
        tokio::select! {
            () = reading => {}
            error = writing => assert_eq!(error.kind(), io::ErrorKind::TimedOut),
        }
    }
}
