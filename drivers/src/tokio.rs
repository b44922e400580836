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
//!
//! A peer that is gone without a word, cut off or without power, answers to nothing: the system is
//! asked to find out, by keep-alives where nothing is on its way. A peer that is there and takes
//! nothing of what is written to it has failed as well; one that takes a little at a time has not.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io::{
    self,
    ErrorKind::{AddrNotAvailable, BrokenPipe, TimedOut, Unsupported},
};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use asap_pu::wire::{Protocol, Transport};
use asap_pu::{
    Action, Authentication, Capabilities, ChannelId, CloseReason, Config, ConfigError, Confirms,
    Event, Instant, MessageId, Payload, PeerKind, PoolUser, Security,
};
#[cfg(feature = "tls")]
use rustls::ClientConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::time::{self, timeout};

use crate::host::{LINGER, LastFailure, Seen, Sleep, Watcher, Zone, join, show};
#[cfg(feature = "tls")]
use crate::tls;

/// How much is read at once.
const READ_LEN: usize = 16 << 10;

/// How many inputs wait for the driver before the tasks have to.
const MAX_INPUTS: usize = 64;

/// How long a peer's host may say nothing, and a peer accept nothing of what is written to it, before
/// it counts as failed.
const SILENCE: Duration = Duration::from_secs(20);

/// How long a peer may take to close its side once this side is closed.
const HALF_CLOSED: Duration = Duration::from_secs(2);

/// A pool user in touch with the world.
#[derive(Debug)]
pub struct Driver {
    user: PoolUser,
    /// What the pool user calls [`Instant::EPOCH`].
    start: time::Instant,
    sleep: Sleep,
    #[cfg(feature = "tls")]
    tls: Option<Arc<ClientConfig>>,
    /// The channels that the pool user asked for and has not closed.
    channels: BTreeMap<ChannelId, Channel>,
    inputs: Receiver<(ChannelId, Input)>,
    to_inputs: Sender<(ChannelId, Input)>,
    /// Where registrars announce themselves.
    announces: Vec<UdpSocket>,
    zone: Zone,
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
    /// To drop it tells the task that the channel is closed, whatever is queued.
    _open: oneshot::Sender<()>,
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

/// TCP, each message told when it is written.
const TCP: Capabilities = Capabilities::NONE
    .with_registrars(Protocol::Tcp)
    .with_elements(Protocol::Tcp, Confirms::Written);
/// With TLS it authenticates registrars.
const CAPABILITIES: Capabilities =
    if cfg!(feature = "tls") { TCP.with_authentication() } else { TCP };

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
            sleep: Sleep::observe(),
            #[cfg(feature = "tls")]
            tls: None,
            channels: BTreeMap::new(),
            inputs,
            to_inputs,
            announces: Vec::new(),
            zone: Zone::default(),
            datagram: vec![0; 0x1_0000].into(),
            failure: LastFailure::default(),
            watcher: None,
        })
    }

    /// The same driver, able to speak TLS: `tls` says whose certificates to trust, and holds the
    /// pool user's own if it has one. Without it, channels that are to be secured fail.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    #[must_use]
    pub fn with_tls(self, tls: impl Into<Arc<ClientConfig>>) -> Self {
        Self { tls: Some(tls.into()), ..self }
    }

    /// Listens to what registrars announce to the multicast `group` (RFC 5352 §2.2.10), such as
    /// [`ANNOUNCE_GROUP`](crate::ANNOUNCE_GROUP), and to other groups as before. The interface is the
    /// one with this address, or of an IPv6 group the one that its scope names
    /// ([`SocketAddrV6::scope_id`](std::net::SocketAddrV6::scope_id)); where that is unspecified, the system chooses. Other programs on
    /// the host can do the same.
    ///
    /// # Errors
    /// The socket cannot be had, or the group not be joined.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn listen(&mut self, group: impl Into<SocketAddr>, interface: Ipv4Addr) -> io::Result<()> {
        let group = group.into();
        self.announces.push(UdpSocket::from_std(join(group, interface)?)?);
        self.zone.learn(group);
        Ok(())
    }

    /// Looks for link-local addresses on the interface with this index. An announce from such an
    /// address says itself where it came in.
    pub fn find_link_local(&mut self, interface: u32) {
        self.zone = Zone(interface);
    }

    /// The pool user, for commands and to look at. Its actions and events are the driver's.
    pub fn user(&mut self) -> &mut PoolUser {
        &mut self.user
    }

    /// The time as the pool user sees it, which goes on while the machine sleeps.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::EPOCH + self.start.elapsed() + self.sleep.so_far()
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
                (len, source) = announce(&self.announces, &mut self.datagram) => {
                    let (now, datagram) = (self.now(), &self.datagram[..len]);
                    show(&self.watcher, || Seen::Announced(source, datagram.to_vec()));
                    self.zone.learn(source);
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
        crate::host::trace(&mut self.user);
        while let Some(action) = self.user.poll_action() {
            match action {
                Action::Open { channel, peer, to, security, .. } => {
                    let (queue, payloads) = mpsc::unbounded_channel();
                    let (open, closed) = oneshot::channel();
                    let at = to.socket_addrs().next().map(|at| self.zone.complete(at));
                    let connecting = connect(
                        at,
                        security,
                        #[cfg(feature = "tls")]
                        self.tls.clone(),
                    );
                    let inputs = self.to_inputs.clone();
                    tokio::spawn(async move {
                        let carried = carry(connecting, channel, payloads, &inputs);
                        let ended = until_late(carried, closed).await;
                        let _ = inputs.send((channel, Input::Ended(ended))).await;
                    });
                    self.channels.insert(channel, Channel { peer, to, queue, _open: open });
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
            to.write_all(&bytes).await?;
            to.flush().await?;
            if let Some(message) = message {
                let _ = inputs.send((channel, Input::Written(message))).await;
            }
        }
        to.shutdown().await
    };
    let written = tokio::select! {
        ended = &mut reading => return ended,
        written = writing => written,
    };
    // A system that closes with something unread cuts off what was just written, and what came
    // before a failure counts.
    match (written, timeout(HALF_CLOSED, reading).await) {
        // Where the peer had closed in good order, that it takes nothing more is no failure. A reset of
        // a connection that it had not closed is told to the write alone.
        (Err(error), Ok(Ok(()))) if error.kind() == BrokenPipe => Ok(()),
        (written, _) => written,
    }
}

/// Lets a channel live, but not long after it was closed.
async fn until_late(
    carried: impl Future<Output = io::Result<()>>,
    closed: oneshot::Receiver<()>,
) -> io::Result<()> {
    tokio::select! {
        ended = carried => ended,
        () = async { let _ = closed.await; time::sleep(LINGER).await } => Err(TimedOut.into()),
    }
}

/// The next datagram that comes to any of the sockets, and from where.
async fn announce(sockets: &[UdpSocket], buffer: &mut [u8]) -> (usize, SocketAddr) {
    poll_fn(|context| {
        for socket in sockets {
            let mut read = ReadBuf::new(buffer);
            // An error that a datagram has caused is no end: the next turn looks again.
            if let Poll::Ready(Ok(source)) = socket.poll_recv_from(context, &mut read) {
                return Poll::Ready((read.filled().len(), source));
            }
        }
        Poll::Pending
    })
    .await
}

/// A connection that fails once its peer takes nothing of what is written to it, below whatever buffers
/// that.
struct Watched<S> {
    stream: S,
    /// Ends when the peer has taken nothing for too long.
    stalled: Option<Pin<Box<time::Sleep>>>,
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn new(stream: S) -> Self {
        Self { stream, stalled: None }
    }

    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(time::sleep(SILENCE)));
        stalled.as_mut().poll(context).map(|()| Err(TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut_down = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, shut_down)
    }
}

/// Has the system find out about a peer whose host is gone without a word. Where it cannot say after
/// which time what was sent counts as lost, its own value applies to that, many minutes in most.
fn watch_host(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(SILENCE / 2).with_interval(SILENCE / 4);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(SILENCE))?;
    Ok(())
}

/// Connects, and has the peer prove who it is where `security` asks for it.
async fn connect(
    at: Option<SocketAddr>,
    security: Security,
    #[cfg(feature = "tls")] tls: Option<Arc<ClientConfig>>,
) -> io::Result<(Box<dyn Stream>, Authentication)> {
    let stream = TcpStream::connect(at.ok_or(AddrNotAvailable)?).await?;
    stream.set_nodelay(true)?;
    watch_host(&stream)?;
    let stream = Watched::new(stream);
    match security {
        Security::None => Ok((Box::new(stream), Authentication::None)),
        #[cfg(feature = "tls")]
        Security::Tls { identity, .. } => {
            let tls = tls.ok_or_else(|| {
                io::Error::new(Unsupported, "TLS is wanted, but no certificate is trusted")
            })?;
            let stream = tls::secure(stream, &identity, tls).await?;
            Ok((Box::new(stream), Authentication::Verified))
        }
        other => Err(io::Error::new(Unsupported, format!("{other:?} is not spoken here"))),
    }
}

/// A peer whose certificate was refused is not who it should be.
fn reason(error: &io::Error) -> CloseReason {
    #[cfg(feature = "tls")]
    if tls::is_refusal(error) {
        return CloseReason::Unauthenticated;
    }
    crate::host::reason(error)
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use std::future::pending;

    use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
    use rustls::{RootCertStore, ServerConfig};
    use tokio::io::{DuplexStream, duplex};
    use tokio_rustls::client::TlsStream;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    /// A peer that takes a hundred bytes now and then is slow, and has not failed, however long all
    /// of it takes; one that takes nothing more has. TLS, which has a buffer of its own in between,
    /// makes no difference.
    #[tokio::test(start_paused = true)]
    async fn a_peer_has_failed_when_it_takes_nothing_more() {
        for secured in [false, true] {
            let (to, mut peer) = duplex(100);
            let to = Watched::new(to);
            let mut to: Box<dyn Stream> = match secured {
                false => Box::new(to),
                true => Box::new(secure(to, &mut peer).await),
            };
            let reading = async {
                for _ in 0..100 {
                    time::sleep(SILENCE - Duration::from_secs(1)).await;
                    let _ = peer.read(&mut [0; 100]).await.unwrap();
                }
                pending::<()>().await;
            };
            let writing = async {
                to.write_all(&[0; 5_000]).await.unwrap();
                to.flush().await.unwrap();
                to.write_all(&[0; 100_000]).await.unwrap_err()
            };
            tokio::select! {
                () = reading => {}
                error = writing => assert_eq!(error.kind(), TimedOut),
            }
        }
    }

    /// What was sent before a channel was closed is waited for, but not as long as the peer likes.
    #[tokio::test(start_paused = true)]
    async fn a_closed_channel_ends() {
        let (stream, mut peer) = duplex(100);
        let stream: Box<dyn Stream> = Box::new(Watched::new(stream));
        let connecting = std::future::ready(Ok((stream, Authentication::None)));
        let (inputs, mut heard) = mpsc::channel(MAX_INPUTS);
        let (queue, payloads) = mpsc::unbounded_channel();
        let (open, closed) = oneshot::channel();
        let mut driver = Driver::new(Config::default(), 1).unwrap();
        let at = Transport::tcp(([192, 0, 2, 1], 7).into());
        driver.user.open_session_at(Instant::EPOCH, at, Default::default()).unwrap();
        let Some(Action::Open { channel, .. }) = driver.user.poll_action() else { panic!() };
        let living = tokio::spawn(async move {
            until_late(carry(connecting, channel, payloads, &inputs), closed).await
        });
        assert!(matches!(heard.recv().await, Some((_, Input::Opened(_)))));
        queue.send(Payload::Control(vec![0; 5_000].into())).unwrap();
        drop((queue, open));
        let mut taken = 0;
        loop {
            match peer.read(&mut [0; 100]).await.unwrap() {
                0 => break,
                len => taken += len,
            }
            time::sleep(SILENCE - Duration::from_secs(1)).await;
        }
        assert!((200..1_000).contains(&taken), "{taken}");
        assert_eq!(living.await.unwrap().unwrap_err().kind(), TimedOut);
    }

    /// TLS over one end of a pipe, whose other end shows what it makes of what is written.
    async fn secure(
        to: Watched<DuplexStream>,
        peer: &mut DuplexStream,
    ) -> TlsStream<Watched<DuplexStream>> {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["pr.example".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let server = ServerConfig::builder().with_no_client_auth();
        let mut server = server.with_single_cert(vec![cert.into()], key).unwrap();
        // Nobody would read them.
        server.send_tls13_tickets = 0;
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("pr.example").unwrap();
        let connector = TlsConnector::from(Arc::new(client));
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let (client, server) = tokio::join!(connector.connect(name, to), acceptor.accept(peer));
        server.unwrap();
        client.unwrap()
    }
}
