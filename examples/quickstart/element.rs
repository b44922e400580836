//! A pool element: it echoes requests and numbers them, without remembering anything itself.
//!
//! The number of requests is the state of a session. After each one the element leaves it with its
//! user, in a *cookie*; should the element fail, the user gives the cookie to the next one, which
//! goes on from there (RFC 5352 §3.8). A real element would sign its cookies, so that users cannot
//! make up a state of their own.

use std::io;
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::sync::mpsc::Receiver;

use asap_pu::wire::{Body, Message};

use super::frame::Frame;
use super::peer::Serve;

/// What is to become of an element when it gets its next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is killed: its connection breaks, and nobody listens at its address.
    Die,
    /// It hangs: it reads on, and does not answer.
    Hang,
}

/// The element, and what it saw.
pub(crate) struct Element {
    fates: Receiver<Fate>,
    /// What has become of it.
    pub(crate) fate: Option<Fate>,
    /// The numbers of the requests that it answered.
    pub(crate) served: Vec<u32>,
    /// The count that it was given in a cookie.
    pub(crate) restored: Option<u32>,
    /// Whether its user left in good order.
    pub(crate) left: bool,
}

impl Element {
    /// An element in good health, until `fates` says otherwise.
    pub(crate) fn new(fates: Receiver<Fate>) -> Self {
        Self { fates, fate: None, served: Vec::new(), restored: None, left: false }
    }
}

impl Serve for Element {
    fn serve(&mut self, stream: TcpStream) -> io::Result<ControlFlow<()>> {
        stream.set_nodelay(true)?;
        let mut count = 0;
        // To look without reading: a message that is left unread makes the end an abrupt one.
        while stream.peek(&mut [0])? > 0 {
            self.fate = self.fate.or(self.fates.try_recv().ok());
            if self.fate == Some(Fate::Die) {
                return Ok(ControlFlow::Break(()));
            }
            match Frame::read(&stream)? {
                Some(Frame::Data(request)) if self.fate.is_none() => {
                    count += 1;
                    let cookie = Message::cookie(count.to_string()).to_bytes();
                    Frame::write_control(&stream, &cookie.map_err(io::Error::other)?)?;
                    let number = format!("{count}: ");
                    Frame::write_data(&stream, &[number.as_bytes(), &request].concat())?;
                    self.served.push(count);
                }
                Some(Frame::Control(message)) => {
                    let message = Message::decode(&message).map_err(io::Error::other)?;
                    if let Body::CookieEcho { cookie, .. } = message.body {
                        count = number_in(&cookie).ok_or(io::ErrorKind::InvalidData)?;
                        self.restored = Some(count);
                    }
                }
                Some(Frame::Data(_)) | None => {}
            }
        }
        self.left = true;
        Ok(ControlFlow::Continue(()))
    }
}

/// The number that stands at the beginning of a cookie or an answer.
pub(crate) fn number_in(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
