//! A registrar and elements on sockets of this host, that can be killed, hung and healed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use asap_pu::wire::{Body, Message, PeIdentifier, Policy, PoolElement, StreamDecoder, Transport};
use socket2::SockRef;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Well,
    /// It takes whatever comes, and says nothing.
    Hung,
    /// Its connections broke, and new ones are refused.
    Dead,
}

/// An element that answers each line with the same line.
pub(crate) struct Element {
    pub(crate) at: SocketAddr,
    health: watch::Sender<Health>,
}

impl Element {
    pub(crate) async fn new() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (at, (health, is)) = (listener.local_addr()?, watch::channel(Health::Well));
        tokio::spawn(live(listener, at, is));
        Ok(Self { at, health })
    }

    pub(crate) fn set(&self, health: Health) {
        self.health.send_replace(health);
    }
}

/// A registrar that lists these elements for any pool.
pub(crate) async fn registrar(elements: &[Element]) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    let element = |(id, element): (u32, &Element)| {
        PoolElement::new(PeIdentifier::new(id), Transport::tcp(element.at), Policy::RoundRobin)
    };
    let elements: Vec<_> = (1..).zip(elements).map(element).collect();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(list(stream, elements.clone()));
        }
    });
    Ok(at)
}

async fn list(mut stream: TcpStream, elements: Vec<PoolElement>) -> io::Result<()> {
    let (mut decoder, mut buffer) = (StreamDecoder::new(65_535), [0; 4096]);
    loop {
        let len = stream.read(&mut buffer).await?;
        if len == 0 {
            return Ok(());
        }
        let mut bytes = &buffer[..len];
        while let Ok(Some(message)) = decoder.next(&mut bytes) {
            if let Ok(Message { body: Body::HandleResolution { handle, .. }, .. }) =
                Message::decode(message)
            {
                let list = Message::handle_resolution_response(handle, None, elements.clone());
                stream.write_all(&list.to_bytes().map_err(io::Error::other)?).await?;
            }
        }
    }
}

async fn live(listener: TcpListener, at: SocketAddr, mut health: watch::Receiver<Health>) {
    let mut listener = Some(listener);
    loop {
        match &listener {
            Some(open) => tokio::select! {
                accepted = open.accept() => if let Ok((stream, _)) = accepted {
                    tokio::spawn(serve(stream, health.clone()));
                },
                changed = health.changed() => if changed.is_err() { return },
            },
            None if health.changed().await.is_err() => return,
            None => {}
        }
        let is_dead = *health.borrow() == Health::Dead;
        if is_dead {
            listener = None;
        }
        while !is_dead && listener.is_none() {
            listener = TcpListener::bind(at).await.ok();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn serve(stream: TcpStream, mut health: watch::Receiver<Health>) -> io::Result<()> {
    // A dead process's connections are reset.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    let (from, mut to) = stream.into_split();
    let mut lines = BufReader::new(from).lines();
    let mut death = health.clone();
    tokio::select! {
        _ = death.wait_for(|health| *health == Health::Dead) => Ok(()),
        served = async {
            while let Some(line) = lines.next_line().await? {
                if *health.borrow_and_update() == Health::Hung {
                    std::future::pending().await
                }
                // Not at once, so that some are always under way.
                tokio::time::sleep(Duration::from_millis(1)).await;
                to.write_all(format!("{line}\n").as_bytes()).await?;
            }
            Ok(())
        } => served,
    }
}
