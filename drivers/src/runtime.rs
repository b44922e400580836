//! What the driver for TCP needs of an async runtime. For tokio it is here; for another one it is a page,
//! as `examples/smol.rs` shows.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub use crate::tcp::tune;

/// An async runtime: tasks, time and sockets.
///
/// Streams have tokio's traits, which need no tokio to run; those with the traits of the `futures` crates
/// get them from `tokio_util::compat`.
pub trait Runtime: Clone + Debug + Send + Sync + Unpin + 'static {
    /// A TCP connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// A UDP socket.
    type Socket: Debug + Send + Sync;

    /// The time by its clock, which may be one for tests.
    fn now(&self) -> Instant;

    /// Is over after so much time by that clock.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// Runs a task beside what else is running. Where the runtime ends, it is dropped.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// Opens a TCP connection, and [`tune`]s it.
    fn connect(&self, to: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Takes over a socket that does not block.
    ///
    /// # Errors
    /// The runtime cannot watch it.
    fn socket(&self, socket: std::net::UdpSocket) -> io::Result<Self::Socket>;

    /// The next datagram: how long it is, and where it comes from.
    fn poll_receive(
        &self,
        socket: &Self::Socket,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>>;
}

/// The tokio runtime in whose context things are called.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Tokio;

impl Runtime for Tokio {
    type Stream = tokio::net::TcpStream;
    type Socket = tokio::net::UdpSocket;

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<Self::Stream> {
        let stream = tokio::net::TcpStream::connect(to).await?;
        tune(&stream)?;
        Ok(stream)
    }

    fn socket(&self, socket: std::net::UdpSocket) -> io::Result<Self::Socket> {
        tokio::net::UdpSocket::from_std(socket)
    }

    fn poll_receive(
        &self,
        socket: &Self::Socket,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut read = ReadBuf::new(buffer);
        let received = socket.poll_recv_from(context, &mut read);
        received.map_ok(|source| (read.filled().len(), source))
    }
}
