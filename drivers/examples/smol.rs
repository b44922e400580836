//! A second runtime in a page: the same client and the same driver for TCP, on smol.
//!
//! `cargo run --example smol -- 192.0.2.1:3863 EchoPool` sends each line of the standard input to a pool
//! whose elements answer a line with a line, and prints the answers.

use std::error::Error;
use std::io;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use asap_pu::{Config, Registrar};
use asap_pu_tokio::runtime::{Runtime, tune};
use asap_pu_tokio::{Client, Lines, tcp};
use smol::io::{AsyncBufReadExt, BufReader};
use smol::stream::StreamExt;
use smol::{Async, Timer, Unblock};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};

/// All that the driver wants of smol.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Smol;

impl Runtime for Smol {
    type Stream = Compat<Async<TcpStream>>;
    type Socket = Async<UdpSocket>;

    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn sleep(&self, time: Duration) {
        Timer::after(time).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(task).detach();
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<Self::Stream> {
        let stream = Async::<TcpStream>::connect(to).await?;
        tune(&stream)?;
        Ok(stream.compat())
    }

    fn socket(&self, socket: UdpSocket) -> io::Result<Self::Socket> {
        Async::new(socket)
    }

    fn poll_receive(
        &self,
        socket: &Self::Socket,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        loop {
            match socket.get_ref().recv_from(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(socket.poll_readable(context))?;
                }
                received => return Poll::Ready(received),
            }
        }
    }
}

/// A client of this registrar, on smol.
pub(crate) async fn client(registrar: SocketAddr) -> Result<Client, Box<dyn Error>> {
    let mut config = Config::default();
    config.discovery.registrars.push(Registrar::tcp(registrar));
    let driver = tcp::Driver::on(Smol, config, std::process::id().into())?;
    let (client, run) = Client::over(driver);
    smol::spawn(run).detach();
    client.connected().await?;
    Ok(client)
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [registrar, pool] = &args[..] else {
        return Err("usage: smol REGISTRAR-ADDRESS POOL-HANDLE".into());
    };
    smol::block_on(async {
        let client = client(registrar.parse()?).await?;
        let session = client.session(&**pool).codec(Lines).open().await?;
        let mut lines = BufReader::new(Unblock::new(io::stdin())).lines();
        while let Some(line) = lines.next().await {
            let answer = session.request(line? + "\n").await?;
            println!("{}", String::from_utf8_lossy(&answer));
        }
        session.close().await?;
        client.shut_down().await;
        Ok(())
    })
}
