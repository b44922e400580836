//! TCP and TLS, on any async runtime; where no other is named, on tokio.
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

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
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
    Event, Instant, MessageId, Payload, PeerKind, PoolUser, Security, SessionId,
};
#[cfg(feature = "tls")]
use rustls::ClientConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedReceiver, UnboundedSender};
use tokio::sync::{oneshot, watch};

use crate::drive::Drive;
use crate::host::{LINGER, LastFailure, Passed, Seen, Sleep, Watcher, Zone, join, show, show_sent};
use crate::runtime::{Runtime, Tokio};
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
pub struct Driver<R: Runtime = Tokio> {
    user: PoolUser,
    runtime: R,
    /// What the pool user calls [`Instant::EPOCH`].
    start: std::time::Instant,
    sleep: Sleep,
    /// Wakes who awaits an event, and when.
    alarm: Option<(Instant, Timer)>,
    #[cfg(feature = "tls")]
    tls: Option<Arc<ClientConfig>>,
    /// The channels that the pool user asked for and has not closed.
    channels: BTreeMap<ChannelId, Channel>,
    inputs: Receiver<(ChannelId, Input)>,
    /// For the tasks of channels; none once there will be no more.
    to_inputs: Option<Sender<(ChannelId, Input)>>,
    /// Sessions whose application does not keep up.
    slow: BTreeSet<SessionId>,
    /// Where registrars announce themselves.
    announces: Vec<R::Socket>,
    zone: Zone,
    datagram: Box<[u8]>,
    failure: LastFailure,
    /// Where a copy goes of [what passes](crate::Watcher); nowhere if not changed.
    pub watcher: Option<Watcher>,
}

/// The driver's end of a channel; to drop it is to close the channel behind what is queued.
#[derive(Debug)]
struct Channel {
    peer: PeerKind,
    to: Transport,
    queue: UnboundedSender<Payload>,
    /// The session that it is for, if it is for one, and whether it is read.
    session: Option<SessionId>,
    reading: watch::Sender<bool>,
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

type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What TCP and TLS have in common.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

const TCP: Capabilities = Capabilities::NONE
    .with_registrars(Protocol::Tcp)
    .with_elements(Protocol::Tcp, Confirms::Written);
/// What this driver can do: TCP, each message told when it is written; with TLS it authenticates registrars.
pub const CAPABILITIES: Capabilities =
    if cfg!(feature = "tls") { TCP.with_authentication() } else { TCP };

impl Driver {
    /// A driver around a new pool user, on tokio; otherwise as [`on`](Self::on).
    ///
    /// # Errors
    /// As [`on`](Self::on).
    pub fn new(config: Config, seed: u64) -> Result<Self, ConfigError> {
        Self::on(Tokio, config, seed)
    }
}

impl<R: Runtime> Driver<R> {
    /// A driver around a new pool user, on this runtime. The seed should differ from process to process,
    /// so that not all choose the same element first.
    ///
    /// # Errors
    /// The configuration contradicts itself, or lists a registrar that is not reached over TCP.
    pub fn on(runtime: R, config: Config, seed: u64) -> Result<Self, ConfigError> {
        let (to_inputs, inputs) = mpsc::channel(MAX_INPUTS);
        Ok(Self {
            user: PoolUser::new(config, CAPABILITIES, seed)?,
            start: runtime.now(),
            runtime,
            sleep: Sleep::observe(),
            alarm: None,
            #[cfg(feature = "tls")]
            tls: None,
            channels: BTreeMap::new(),
            inputs,
            to_inputs: Some(to_inputs),
            slow: BTreeSet::new(),
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
    /// Tokio's does outside of a runtime.
    pub fn listen(&mut self, group: impl Into<SocketAddr>, interface: Ipv4Addr) -> io::Result<()> {
        let group = group.into();
        self.announces.push(self.runtime.socket(join(group, interface)?)?);
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
        Instant::EPOCH
            + self.runtime.now().saturating_duration_since(self.start)
            + self.sleep.so_far()
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
        poll_fn(|context| self.poll_event(context, Some(end))).await
    }

    /// Shuts the pool user down and waits until everything is written and closed, `patience` at
    /// most; says whether it came to that. Events are passed over: who wants them tells the pool
    /// user first and reads on until there are none.
    ///
    /// A driver that is dropped instead closes its channels too, but nobody waits for it.
    pub async fn shut_down(mut self, patience: Duration) -> bool {
        let runtime = self.runtime.clone();
        self.user.shut_down(self.now());
        tokio::select! {
            () = async {
                while poll_fn(|context| self.poll_event(context, None)).await.is_some() {}
                poll_fn(|context| self.poll_closed(context)).await;
            } => true,
            () = runtime.sleep(patience) => false,
        }
    }

    /// Takes in what has come, if anything has.
    fn receive(&mut self, context: &mut Context<'_>) -> bool {
        if let Poll::Ready(Some((channel, input))) = self.inputs.poll_recv(context) {
            self.take(channel, input);
            return true;
        }
        for socket in &self.announces {
            let received = self.runtime.poll_receive(socket, context, &mut self.datagram);
            // An error that a datagram has caused is no end.
            if let Poll::Ready(received) = received {
                if let Ok((len, source)) = received {
                    let (now, datagram) = (self.now(), &self.datagram[..len]);
                    show(&self.watcher, || Seen {
                        at: now,
                        peer: source,
                        what: Passed::Announced(datagram.to_vec()),
                    });
                    self.zone.learn(source);
                    self.user.handle_announce(now, source, datagram);
                }
                return true;
            }
        }
        false
    }

    /// Whether it is that time; if not, it will be woken then.
    fn poll_alarm(&mut self, context: &mut Context<'_>, at: Instant) -> Poll<()> {
        let left = at.since(self.now());
        if left.is_zero() {
            return Poll::Ready(());
        }
        let timer = match &mut self.alarm {
            Some((set, timer)) if *set == at => timer,
            alarm => {
                let runtime = self.runtime.clone();
                let timer: Timer = Box::pin(async move { runtime.sleep(left).await });
                &mut alarm.insert((at, timer)).1
            }
        };
        let due = timer.as_mut().poll(context);
        if due.is_ready() {
            self.alarm = None;
        }
        due
    }

    /// Does what the pool user asks for.
    fn act(&mut self) {
        crate::host::trace(&mut self.user);
        while let Some(action) = self.user.poll_action() {
            match action {
                Action::Open { channel, peer, to, security, .. } => {
                    let (queue, payloads) = mpsc::unbounded_channel();
                    let (open, closed) = oneshot::channel();
                    let session = self.user.session_of(channel);
                    let is_read = session.is_none_or(|session| !self.slow.contains(&session));
                    let (reading, is_read) = watch::channel(is_read);
                    let at = to.socket_addrs().next().map(|at| self.zone.complete(at));
                    let connecting = connect(
                        self.runtime.clone(),
                        at,
                        security,
                        #[cfg(feature = "tls")]
                        self.tls.clone(),
                    );
                    let (runtime, inputs) = (self.runtime.clone(), self.to_inputs.clone());
                    self.runtime.spawn(async move {
                        let Some(inputs) = inputs else { return };
                        let tell = Teller { channel, inputs };
                        let carried = carry(&runtime, connecting, payloads, is_read, &tell);
                        tell.say(Input::Ended(until_late(&runtime, carried, closed).await)).await;
                    });
                    let new = Channel { peer, to, queue, session, reading, _open: open };
                    self.channels.insert(channel, new);
                }
                Action::Send { channel, payload, .. } => {
                    if let Some(found) = self.channels.get(&channel) {
                        show_sent(&self.watcher, self.now(), &found.to, &payload);
                        // If the task is gone it has said why.
                        let _ = found.queue.send(payload);
                    }
                }
                Action::Close { channel, .. } => {
                    if let Some(closed) = self.channels.remove(&channel) {
                        show(&self.watcher, || Seen::on(&closed.to, self.now(), Passed::Ended));
                    }
                }
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
                    let what = || Passed::Streamed(bytes.clone());
                    show(&self.watcher, || Seen::on(&found.to, now, what()));
                    self.user.handle_stream(now, channel, &bytes);
                }
                _ => {
                    let what = || Passed::ReceivedData(bytes.clone());
                    show(&self.watcher, || Seen::on(&found.to, now, what()));
                    self.user.handle_data(now, channel, &bytes);
                }
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
                show(&self.watcher, || Seen::on(&found.to, now, Passed::Ended));
                self.channels.remove(&channel);
                self.user.handle_closed(now, channel, reason);
            }
        }
    }
}

impl<R: Runtime> Drive for Driver<R> {
    fn call(&mut self, command: &mut dyn FnMut(&mut PoolUser, Instant)) {
        let now = self.now();
        command(&mut self.user, now);
    }

    fn poll_event(
        &mut self,
        context: &mut Context<'_>,
        until: Option<Instant>,
    ) -> Poll<Option<Event>> {
        loop {
            self.act();
            let event = self.user.poll_event();
            if event.is_some() || self.user.is_shut_down() {
                return Poll::Ready(event);
            }
            if self.receive(context) {
                continue;
            }
            let wake = self.user.poll_timeout();
            match wake.into_iter().chain(until).min() {
                Some(at) if self.poll_alarm(context, at).is_pending() => return Poll::Pending,
                None => return Poll::Pending,
                Some(_) => {}
            }
            let now = self.now();
            if wake.is_none_or(|at| at > now) && until.is_some_and(|end| end <= now) {
                return Poll::Ready(None);
            }
            self.user.handle_timeout(now);
        }
    }

    fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // Each task holds a sender until it is through, and lasts no longer than `LINGER`.
        self.to_inputs = None;
        loop {
            match self.inputs.poll_recv(context) {
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn no_registrar(&self) -> String {
        self.no_registrar()
    }

    fn set_reading(&mut self, session: SessionId, reading: bool) -> bool {
        match reading {
            true => self.slow.remove(&session),
            false => self.slow.insert(session),
        };
        for channel in self.channels.values().filter(|channel| channel.session == Some(session)) {
            channel.reading.send_replace(reading);
        }
        true
    }
}

impl<R: Runtime> fmt::Debug for Driver<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("runtime", &self.runtime)
            .field("channels", &self.channels)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// A task's way to tell the driver what happens on its channel. If the driver is gone it need not be told
/// anything.
struct Teller {
    channel: ChannelId,
    inputs: Sender<(ChannelId, Input)>,
}

impl Teller {
    async fn say(&self, input: Input) {
        let _ = self.inputs.send((self.channel, input)).await;
    }
}

/// The life of a channel: until its peer closes it, it fails, or the driver drops its end, with which the
/// payloads come to their end.
async fn carry(
    runtime: &impl Runtime,
    connecting: impl Future<Output = io::Result<(Box<dyn Stream>, Authentication)>>,
    mut payloads: UnboundedReceiver<Payload>,
    mut is_read: watch::Receiver<bool>,
    tell: &Teller,
) -> io::Result<()> {
    let (stream, authentication) = tokio::select! {
        connected = connecting => connected?,
        // Nothing is sent before the channel is up: this is its end.
        _ = payloads.recv() => return Ok(()),
    };
    tell.say(Input::Opened(authentication)).await;
    let (mut from, mut to) = tokio::io::split(stream);
    let mut reading = pin!(async {
        let mut buffer = vec![0; READ_LEN];
        loop {
            // Once the driver has closed it, it is read to its end.
            let _ = is_read.wait_for(|is_read| *is_read).await;
            match from.read(&mut buffer).await? {
                0 => return Ok(()),
                len => tell.say(Input::Received(buffer[..len].to_vec())).await,
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
                tell.say(Input::Written(message)).await;
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
    let read = tokio::select! {
        read = reading => Some(read),
        () = runtime.sleep(HALF_CLOSED) => None,
    };
    match (written, read) {
        // Where the peer had closed in good order, that it takes nothing more is no failure. A reset of
        // a connection that it had not closed is told to the write alone.
        (Err(error), Some(Ok(()))) if error.kind() == BrokenPipe => Ok(()),
        (written, _) => written,
    }
}

/// Lets a channel live, but not long after it was closed.
async fn until_late(
    runtime: &impl Runtime,
    carried: impl Future<Output = io::Result<()>>,
    closed: oneshot::Receiver<()>,
) -> io::Result<()> {
    tokio::select! {
        ended = carried => ended,
        () = async { let _ = closed.await; runtime.sleep(LINGER).await } => Err(TimedOut.into()),
    }
}

/// A connection that fails once its peer takes nothing of what is written to it, below whatever buffers
/// that.
struct Watched<S, R> {
    stream: S,
    runtime: R,
    /// Ends when the peer has taken nothing for too long.
    stalled: Option<Timer>,
}

impl<S: AsyncWrite + Unpin, R: Runtime> Watched<S, R> {
    fn new(stream: S, runtime: R) -> Self {
        Self { stream, runtime, stalled: None }
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
        let Self { stalled, runtime, .. } = self;
        let stalled = stalled.get_or_insert_with(|| {
            let runtime = runtime.clone();
            Box::pin(async move { runtime.sleep(SILENCE).await })
        });
        stalled.as_mut().poll(context).map(|()| Err(TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin, R: Runtime> AsyncRead for Watched<S, R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin, R: Runtime> AsyncWrite for Watched<S, R> {
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

/// Has the system send small messages at once, and find out about a peer whose host is gone without a word.
/// Where it cannot say after which time what was sent counts as lost, its own value applies to that, many
/// minutes in most.
///
/// # Errors
/// The system does not know these options.
pub fn tune<'s>(stream: impl Into<SockRef<'s>>) -> io::Result<()> {
    let socket = stream.into();
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(SILENCE / 2).with_interval(SILENCE / 4);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(SILENCE))?;
    Ok(())
}

/// Connects, and has the peer prove who it is where `security` asks for it.
async fn connect(
    runtime: impl Runtime,
    at: Option<SocketAddr>,
    security: Security,
    #[cfg(feature = "tls")] tls: Option<Arc<ClientConfig>>,
) -> io::Result<(Box<dyn Stream>, Authentication)> {
    let stream = runtime.connect(at.ok_or(AddrNotAvailable)?).await?;
    let stream = Watched::new(stream, runtime);
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
    use tokio::time;
    use tokio_rustls::client::TlsStream;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;
    use crate::runtime::Tokio;

    /// A peer that takes a hundred bytes now and then is slow, and has not failed, however long all
    /// of it takes; one that takes nothing more has. TLS, which has a buffer of its own in between,
    /// makes no difference.
    #[tokio::test(start_paused = true)]
    async fn a_peer_has_failed_when_it_takes_nothing_more() {
        for secured in [false, true] {
            let (to, mut peer) = duplex(100);
            let to = Watched::new(to, Tokio);
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
        let stream: Box<dyn Stream> = Box::new(Watched::new(stream, Tokio));
        let connecting = std::future::ready(Ok((stream, Authentication::None)));
        let (inputs, mut heard) = mpsc::channel(MAX_INPUTS);
        let (queue, payloads) = mpsc::unbounded_channel();
        let (open, closed) = oneshot::channel();
        let (_reading, is_read) = watch::channel(true);
        let mut driver = Driver::on(Tokio, Config::default(), 1).unwrap();
        let at = Transport::tcp(([192, 0, 2, 1], 7).into());
        driver.user.open_session_at(Instant::EPOCH, at, Default::default()).unwrap();
        let Some(Action::Open { channel, .. }) = driver.user.poll_action() else { panic!() };
        let living = tokio::spawn(async move {
            let tell = Teller { channel, inputs };
            let carried = carry(&Tokio, connecting, payloads, is_read, &tell);
            until_late(&Tokio, carried, closed).await
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
        to: Watched<DuplexStream, Tokio>,
        peer: &mut DuplexStream,
    ) -> TlsStream<Watched<DuplexStream, Tokio>> {
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
