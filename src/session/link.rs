//! Links: one element, or one address, over one channel.
//!
//! A link carries messages of its session and holds none: it knows the identifiers of those whose
//! turn it is to serve, and how much of its window the driver has not written yet. The link that a
//! session *keeps* takes what waits at the moment when the driver polls, so that a driver which is
//! slow, or whose window is full, leaves it where it can still fail over. Other links are *assigned*
//! messages: by a session that chooses an element for each, and copies of messages to all.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use super::queue::{Load, Room};
use crate::Confirms;
use crate::channel::Channels;
use crate::context::Context;
use crate::id::{ChannelId, MessageId, SessionId};
use crate::journal::Peer;
use crate::wire::{PeIdentifier, Protocol, Transport, TransportUse};
use crate::{Config, Instant};

/// One element over one channel.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) struct Link {
    pub(super) session: SessionId,
    /// Whom it leads to; `None` if only the address or the channel is known.
    pub(super) element: Option<PeIdentifier>,
    pub(super) channel: ChannelId,
    /// Since when the channel is up.
    pub(super) up: Option<Instant>,
    pub(super) facts: Facts,
    /// Whether it was chosen for a message, and not only for copies of messages to all.
    pub(super) chosen: bool,
    /// How often the policy chose its element before the channel was up.
    pub(super) turns: u8,
    /// Whether a message that was handed over on it is done, so that what is heard may be an answer.
    pub(super) answers: bool,
    /// Whether the element has shown that it serves.
    pub(super) proven: bool,
    /// The end of the wait for the channel; once that is up, when it has proven stable.
    pub(super) timer: Option<Instant>,
    /// The latest cookie that came on it, or that it was given to take over from.
    pub(super) cookie: Option<Box<Bytes>>,
    /// Only where messages are assigned, or the driver confirms writes.
    lane: Option<Box<Lane>>,
}

/// What holds for everything on a channel.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(test, derive(Hash))]
pub(super) struct Facts {
    pub(super) protocol: Protocol,
    /// Whether it carries control messages.
    pub(super) control: bool,
    pub(super) confirms: Confirms,
}

/// What is assigned to a link, and what is on the way.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, Hash))]
struct Lane {
    /// Handed over and not written yet.
    window: Load,
    /// Messages that have not had their turn.
    queue: VecDeque<MessageId>,
    /// Copies of messages to all that were handed over, and their lengths in the window.
    copies: Vec<(MessageId, Room)>,
}

impl Link {
    pub(super) fn new(
        session: SessionId,
        element: Option<PeIdentifier>,
        channel: ChannelId,
        facts: Facts,
    ) -> Self {
        Self {
            session,
            element,
            channel,
            up: None,
            facts,
            chosen: false,
            turns: 0,
            answers: false,
            proven: false,
            timer: None,
            cookie: None,
            lane: None,
        }
    }

    /// Who is at the other end, for a note.
    pub(super) const fn peer(&self) -> Peer {
        Peer::Element { session: self.session, element: self.element }
    }

    /// Whether a message of `len` bytes may be handed over; a long one goes alone.
    pub(super) fn has_room(&self, config: &Config, len: usize) -> bool {
        let Load { messages, bytes } = self.lane.as_ref().map_or(Load::default(), |l| l.window);
        messages == 0
            || messages < config.limits.window_messages
                && bytes.saturating_add(len) <= config.limits.window_bytes
    }

    /// A message of `len` bytes was handed over.
    pub(super) fn hand_over(&mut self, len: usize) {
        if self.facts.confirms.includes_written() {
            let window = &mut self.lane().window;
            window.messages += 1;
            window.bytes = window.bytes.saturating_add(len);
        }
    }

    /// A message leaves the window.
    pub(super) fn free(&mut self, room: Room) {
        if let Some(len) = room {
            let window = &mut self.lane().window;
            window.messages -= 1;
            window.bytes -= len;
        }
    }

    fn lane(&mut self) -> &mut Lane {
        self.lane.get_or_insert_default()
    }

    pub(super) fn assign(&mut self, message: MessageId) {
        self.lane().queue.push_back(message);
    }

    /// Forgets assigned messages that need no turn any more, when those are the most: no more than
    /// `limit` can need one.
    pub(super) fn prune(&mut self, limit: usize, is_assigned: impl Fn(MessageId) -> bool) {
        if let Some(lane) = self.lane.as_mut().filter(|lane| lane.queue.len() / 2 > limit) {
            lane.queue.retain(|message| is_assigned(*message));
        }
    }

    /// The assigned message whose turn is next.
    pub(super) fn next(&self) -> Option<MessageId> {
        self.lane.as_ref()?.queue.front().copied()
    }

    /// Lets the driver's next poll ask for what is assigned, if the channel is up.
    pub(super) fn wake(&self, channels: &mut Channels) {
        if self.up.is_some() && self.next().is_some() {
            channels.touch(self.channel);
        }
    }

    /// It has had its turn, or needs none.
    pub(super) fn pass_next(&mut self) {
        if let Some(lane) = &mut self.lane {
            lane.queue.pop_front();
        }
    }

    /// A copy is out, of which the driver will tell.
    pub(super) fn await_copy(&mut self, message: MessageId, len: usize) {
        let room = self.facts.confirms.includes_written().then_some(len);
        self.lane().copies.push((message, room));
    }

    /// The driver tells of a copy; `None` if that was not waited for. Where it is `done`, nothing
    /// more will be told.
    pub(super) fn confirm_copy(&mut self, message: MessageId, done: bool) -> Option<Room> {
        let copies = &mut self.lane.as_mut()?.copies;
        let index = copies.iter().position(|(id, _)| *id == message)?;
        let room = match done {
            true => copies.remove(index).1,
            false => Some(copies[index].1.take()?),
        };
        Some(room)
    }

    /// What was assigned and has no result yet: first what was handed over.
    pub(super) fn take_lane(&mut self) -> (Vec<MessageId>, VecDeque<MessageId>) {
        let Lane { queue, copies, .. } = self.lane.take().map(|lane| *lane).unwrap_or_default();
        (copies.into_iter().map(|(message, _)| message).collect(), queue)
    }
}

impl Facts {
    /// What holds on a channel to `to`. Control messages can be told from data (SESSION-6) over SCTP
    /// where the element says so, over other transports where the driver does.
    pub(super) fn of(ctx: &Context, to: &Transport) -> Self {
        let control = match to {
            Transport::Sctp(sctp) => sctp.transport_use == TransportUse::DATA_PLUS_CONTROL,
            other => ctx.capabilities.separates_control(other.protocol()),
        };
        Self::over(ctx, to.protocol(), control)
    }

    /// What holds on a channel over `protocol`.
    pub(super) fn over(ctx: &Context, protocol: Protocol, control: bool) -> Self {
        Self { protocol, control, confirms: ctx.capabilities.confirms(protocol) }
    }
}
