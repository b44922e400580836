//! What a channel of the pool user is here.

use std::collections::VecDeque;
use std::io;
#[cfg(feature = "tcp")]
use std::os::fd::AsFd;

use asap_pu::wire::{ASAP_PPID, Transport};
use asap_pu::{Payload, PeerKind};
#[cfg(feature = "tcp")]
use rustix::event::epoll::{self, EventData, EventFlags};

use super::association::{Association, Incoming};

/// An association and the messages on their way through it.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) peer: PeerKind,
    pub(super) to: Transport,
    pub(super) association: Association,
    /// What the kernel had no room for.
    pub(super) waiting: VecDeque<Payload>,
    /// What the kernel has taken and not yet told the fate of, by context.
    pub(super) taken: VecDeque<(u32, Payload)>,
    last_context: u32,
    /// It was told to be lost; what became of its messages comes behind that.
    pub(super) is_lost: bool,
    /// What is waited for by [`watch`](Self::watch), if anything is.
    #[cfg(feature = "tcp")]
    watched: Option<EventFlags>,
}

impl Channel {
    pub(super) fn new(peer: PeerKind, to: Transport, association: Association) -> Self {
        let (waiting, taken) = (VecDeque::new(), VecDeque::new());
        Self {
            peer,
            to,
            association,
            waiting,
            taken,
            last_context: 0,
            is_lost: false,
            #[cfg(feature = "tcp")]
            watched: None,
        }
    }

    /// Has this channel make an epoll readable: when there is something to read, and where something waits,
    /// when there is room.
    #[cfg(feature = "tcp")]
    pub(super) fn watch(&mut self, readiness: &impl AsFd) {
        let wanted = match self.waiting.is_empty() {
            true => EventFlags::IN,
            false => EventFlags::IN | EventFlags::OUT,
        };
        let (socket, data) = (&self.association, EventData::new_u64(0));
        // What cannot be watched is looked at whenever something else happens.
        let _ = match self.watched.replace(wanted) {
            Some(before) if before == wanted => Ok(()),
            Some(_) => epoll::modify(readiness, socket, data, wanted),
            None => epoll::add(readiness, socket, data, wanted),
        };
    }

    /// Gives the kernel what waits, as far as it has room, and tells what it has taken and what it has
    /// refused, because it is empty for instance. Fails where the association is no more; what waits
    /// then goes on waiting.
    pub(super) fn write(
        &mut self,
        data_ppid: u32,
        mut told: impl FnMut(Payload, bool),
    ) -> io::Result<()> {
        while let Some(payload) = self.waiting.pop_front() {
            let context = self.last_context.wrapping_add(1);
            let sent = match &payload {
                Payload::Control(message) => {
                    self.association.send(message, ASAP_PPID, context, false)
                }
                Payload::Data { data, unordered, .. } => {
                    self.association.send(data, data_ppid, context, *unordered)
                }
                _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
            };
            match sent {
                Ok(()) => {
                    self.last_context = context;
                    self.taken.push_back((context, payload.clone()));
                    told(payload, true);
                }
                Err(error) if is_refusal(&error) => told(payload, false),
                Err(error) => {
                    self.waiting.push_front(payload);
                    return match error.kind() {
                        io::ErrorKind::WouldBlock => Ok(()),
                        _ => Err(error),
                    };
                }
            }
        }
        Ok(())
    }

    /// What the kernel has under a context, unless that was said of a former fragment of it.
    pub(super) fn take(&mut self, context: u32) -> Option<Payload> {
        let found = self.taken.iter().position(|(of, _)| *of == context)?;
        self.taken.remove(found).map(|(_, payload)| payload)
    }

    /// Writes what waits, then shuts the association down, and until it is reads what comes for
    /// nobody: a socket that is closed with something unread breaks it off, with what was written
    /// last. Says whether there is more to do.
    pub(super) fn finish(&mut self, data_ppid: u32, buffer: &mut [u8]) -> bool {
        if self.write(data_ppid, |_, _| {}).is_err() {
            return false;
        }
        if self.waiting.is_empty() && self.association.shut_down().is_err() {
            return false;
        }
        for _ in 0..super::BURST {
            match self.association.receive(buffer) {
                Ok(Incoming::Ended | Incoming::Lost) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }
}

/// Whether the kernel refuses a message as it is, too long or empty, or for want of memory; the
/// association stands.
fn is_refusal(error: &io::Error) -> bool {
    let refusals = [libc::EMSGSIZE, libc::EINVAL, libc::ENOMEM, libc::ENOBUFS];
    error.raw_os_error().is_some_and(|code| refusals.contains(&code))
}
