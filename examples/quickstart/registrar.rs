//! A small registrar: it knows one pool, answers those who ask for it, and listens to complaints.
//!
//! Real registrars take registrations, check on their elements and agree with each other by ENRP.
//! What a pool user sees of them is this.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::ops::ControlFlow;

use asap_pu::wire::{
    Body, CauseCode, Message, PeIdentifier, PoolElement, PoolHandle, StreamDecoder,
};

use super::peer::Serve;

/// The registrar, and what it saw.
pub(crate) struct Registrar {
    pool: PoolHandle,
    elements: Vec<PoolElement>,
    /// How many pool users came.
    pub(crate) users: usize,
    /// The handles that it listed elements for.
    pub(crate) resolved: Vec<PoolHandle>,
    /// The handles that it had never heard of.
    pub(crate) refused: Vec<PoolHandle>,
    /// The elements reported as unreachable, in the order of the reports.
    pub(crate) reports: Vec<PeIdentifier>,
    /// Whether its user left in good order.
    pub(crate) left: bool,
}

impl Registrar {
    /// A registrar that knows one pool.
    pub(crate) fn new(pool: &str, elements: Vec<PoolElement>) -> Self {
        Self {
            pool: pool.into(),
            elements,
            users: 0,
            resolved: Vec::new(),
            refused: Vec::new(),
            reports: Vec::new(),
            left: false,
        }
    }

    fn answer(&mut self, message: Message) -> Option<Message> {
        match message.body {
            Body::HandleResolution { handle, .. } if handle == self.pool => {
                self.resolved.push(handle.clone());
                // Some dissectors ask for the values here too.
                let policy = self.elements.first().map(|element| (&element.policy).into());
                Some(Message::handle_resolution_response(handle, policy, self.elements.clone()))
            }
            Body::HandleResolution { handle, .. } => {
                self.refused.push(handle.clone());
                let causes = vec![CauseCode::UNKNOWN_POOL_HANDLE.into()];
                Some(Message::handle_resolution_failure(handle, causes))
            }
            Body::EndpointUnreachable { identifier, .. } => {
                self.reports.push(identifier);
                None
            }
            _ => None,
        }
    }
}

impl Serve for Registrar {
    fn serve(&mut self, mut stream: TcpStream) -> io::Result<ControlFlow<()>> {
        self.users += 1;
        let mut decoder = StreamDecoder::new(usize::MAX);
        let mut buffer = [0; 4096];
        loop {
            let len = stream.read(&mut buffer)?;
            if len == 0 {
                self.left = true;
                return Ok(ControlFlow::Continue(()));
            }
            let mut received = &buffer[..len];
            while let Some(bytes) = decoder.next(&mut received).map_err(io::Error::other)? {
                let message = Message::decode(bytes).map_err(io::Error::other)?;
                if let Some(answer) = self.answer(message) {
                    stream.write_all(&answer.to_bytes().map_err(io::Error::other)?)?;
                }
            }
        }
    }
}
