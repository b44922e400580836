//! Channels: the associations, connections or datagram paths that the driver keeps for the machine.
//!
//! The machine asks for a channel with [`Action::Open`] and names it; the driver answers with
//! [`handle_opened`](crate::PoolUser::handle_opened) or, whenever the channel ends or never comes
//! up, [`handle_closed`](crate::PoolUser::handle_closed). Between the two it carries out
//! [`Action::Send`] and hands in what arrives. [`Action::Close`] is the machine's last word on a
//! channel: the driver need not answer it and forgets the channel with it. What was on its way is
//! ignored; input that comes after it was polled is a mistake ([`Misuse`]).
//! Identifiers are not used again while either side may still speak of them.
//!
//! Nothing is queued here that a session could still take elsewhere. Control messages wait with
//! their channel, bounded in bytes over all of them; application data stays with its session and is pulled at the
//! moment the driver polls, so that a slow driver slows the session down instead of swallowing its
//! messages. The actions are bounded for the same reason: they derive from what the channels are,
//! and a channel that ends before the driver heard of it leaves no trace. One that it did hear of
//! has to be closed: so there are as many [`Action::Close`] waiting as the driver has opened or
//! accepted channels, at most.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::time::Duration;

use bytes::Bytes;

use crate::id::{ChannelId, LinkId, MessageId};
use crate::misuse::{Input, Misuse};
use crate::room::Room as _;
use crate::slab::Slab;
use crate::wire::{FramingError, StreamDecoder, Transport};
use crate::{Instant, Security};

/// The time over which the error reports of one channel are counted.
const ERROR_WINDOW: Duration = Duration::from_secs(10);

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Set up a channel, and answer with [`handle_opened`](crate::PoolUser::handle_opened) or
    /// [`handle_closed`](crate::PoolUser::handle_closed).
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    Open {
        /// The name of the new channel.
        channel: ChannelId,
        /// What kind of peer is called; registrars listen for control messages only.
        peer: PeerKind,
        /// Where the peer listens. An SCTP transport may have several addresses, all of the same
        /// peer.
        to: Transport,
        /// What the channel must be secured with.
        security: Security,
    },
    /// Send one message on an open channel.
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    Send {
        /// The channel.
        channel: ChannelId,
        /// The message.
        payload: Payload,
    },
    /// End a channel after what was sent on it; an attempt to set it up is given up. Expects no
    /// answer. How long the peer may take to have all of it is for the driver to bound, or else one
    /// that takes nothing more holds a descriptor for ever: half a minute in the drivers of this
    /// project.
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    Close {
        /// The channel, whose name is not used again.
        channel: ChannelId,
    },
}

/// The role of the peer at the other end of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PeerKind {
    /// A pool registrar (ENRP server).
    Registrar,
    /// A pool element.
    Element,
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Payload {
    /// One ASAP message: over SCTP a user message on stream 0 with payload protocol identifier 11
    /// ([`ASAP_PPID`](crate::wire::ASAP_PPID)), over a byte stream the bytes as they are.
    Control(Bytes),
    /// One application message: never with payload protocol identifier 11 (RFC 5352 §5).
    #[cfg_attr(not(feature = "test-util"), non_exhaustive)]
    Data {
        /// Names the message, for [`handle_delivered`](crate::PoolUser::handle_delivered).
        message: MessageId,
        /// The message.
        data: Bytes,
        /// Whether it may overtake others, where the transport can do that.
        unordered: bool,
    },
}

/// Whether the driver knows who is at the other end of a channel (RFC 5352 §9.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Authentication {
    /// Nobody checked.
    #[default]
    None,
    /// The peer proved that it is who [`Security`] asked for.
    Verified,
}

/// Why a channel is no more, or never came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer closed it in good order.
    Closed,
    /// It could not be set up, or broke.
    Failed,
    /// The peer is not who it should be (RFC 5355 §2.7).
    Unauthenticated,
    /// The driver had trouble of its own: no descriptors, its own link down, a limit of its own.
    /// Nobody is blamed for it, and it is tried again after a pause.
    Local,
}

/// Who in the machine uses a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) enum ChannelUser {
    Registrar,
    Session(LinkId),
}

/// What [`Channels::poll`] comes to.
#[derive(Debug)]
pub(crate) enum Next {
    /// Something for the driver.
    Action(Action),
    /// The driver is to open a channel for a session.
    Open { action: Action, link: LinkId },
    /// A session is to be asked for its next message; if it has one, the channel is ready again.
    Pull { channel: ChannelId, link: LinkId },
    /// The same for reports to a registrar.
    Report { channel: ChannelId },
}

/// All channels, and the actions that follow from them.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Channels {
    slab: Slab<Channel>,
    /// Channels with something for the driver, each listed once.
    ready: VecDeque<ChannelId>,
    /// Channels that the driver heard of and is to close.
    closing: VecDeque<ChannelId>,
    /// What the control messages that wait on all channels cost.
    waiting: usize,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
struct Channel {
    user: ChannelUser,
    phase: Phase,
    in_ready: bool,
    /// Only where there is any of it: most channels are up, and carry data and nothing else.
    extra: Option<Box<Extra>>,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
struct Extra {
    /// Where to, as long as the driver has not heard of it.
    to: Option<(Transport, Security)>,
    control: VecDeque<Bytes>,
    stream: Option<StreamDecoder>,
    error_reports: (Instant, u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
enum Phase {
    /// The driver has not heard of it.
    Wanted,
    Opening,
    Open,
}

impl Channels {
    pub(crate) const fn new() -> Self {
        Self { slab: Slab::new(), ready: VecDeque::new(), closing: VecDeque::new(), waiting: 0 }
    }

    pub(crate) fn open(
        &mut self,
        user: ChannelUser,
        to: Transport,
        security: Security,
    ) -> ChannelId {
        let mut channel = Channel { user, phase: Phase::Wanted, in_ready: true, extra: None };
        channel.extra().to = Some((to, security));
        let channel = ChannelId(self.slab.insert(channel));
        self.ready.push_back(channel);
        channel
    }

    /// A channel that a peer has opened.
    pub(crate) fn accept(&mut self, user: ChannelUser) -> ChannelId {
        let phase = Phase::Open;
        ChannelId(self.slab.insert(Channel { user, phase, in_ready: false, extra: None }))
    }

    /// The machine is done with a channel.
    pub(crate) fn close(&mut self, channel: ChannelId) {
        let Some(gone) = self.remove(channel) else { return };
        match gone.phase {
            Phase::Wanted => self.sweep(),
            Phase::Opening | Phase::Open => self.closing.push_back(channel),
        }
    }

    /// Keeps the list of ready channels in proportion to the channels there are, also for a driver
    /// that never polls.
    fn sweep(&mut self) {
        if self.ready.len() > 2 * self.slab.len() + 16 {
            self.ready.retain(|channel| self.slab.get(channel.0).is_some());
        }
    }

    /// The driver reports that a channel is up; its user, or `None` where that makes no sense.
    pub(crate) fn opened(&mut self, channel: ChannelId) -> Option<ChannelUser> {
        let found = self.slab.get_mut(channel.0)?;
        if found.phase != Phase::Opening {
            return None;
        }
        found.phase = Phase::Open;
        let user = found.user;
        if self.has_control(channel) {
            self.touch(channel);
        }
        Some(user)
    }

    /// The driver reports that a channel is no more; whose it was.
    pub(crate) fn closed(&mut self, channel: ChannelId) -> Option<ChannelUser> {
        if self.slab.get(channel.0)?.phase == Phase::Wanted {
            return None;
        }
        let gone = self.remove(channel).map(|gone| gone.user);
        self.sweep();
        gone
    }

    fn remove(&mut self, channel: ChannelId) -> Option<Channel> {
        let gone = self.slab.remove(channel.0)?;
        let control = gone.extra.iter().flat_map(|extra| &extra.control);
        self.waiting -= control.map(|message| cost(message.len())).sum::<usize>();
        Some(gone)
    }

    /// Who uses a channel, be it up or not.
    pub(crate) fn whose(&self, channel: ChannelId) -> Option<ChannelUser> {
        self.slab.get(channel.0).map(|channel| channel.user)
    }

    /// Who uses a channel that is up.
    pub(crate) fn user(&self, channel: ChannelId) -> Option<ChannelUser> {
        self.slab.get(channel.0).filter(|c| c.phase == Phase::Open).map(|c| c.user)
    }

    /// The driver's mistake where `input` came on a channel and finds no use for it; none where the
    /// driver has not heard yet that the channel is closed.
    pub(crate) fn mistake(&self, channel: ChannelId, input: Input) -> Option<Misuse> {
        match self.slab.get(channel.0).map(|found| found.phase) {
            None if self.closing.contains(&channel) => None,
            None | Some(Phase::Wanted) => Some(Misuse::UnknownChannel { channel, input }),
            Some(Phase::Opening) => Some(Misuse::BeforeOpened { channel, input }),
            Some(Phase::Open) => Some(Misuse::OpenedTwice { channel }),
        }
    }

    /// Whether a control message of `len` bytes fits beside those that wait on all channels.
    pub(crate) const fn has_room(&self, len: usize, limit: usize) -> bool {
        self.waiting.saturating_add(cost(len)) <= limit
    }

    /// Queues a control message; what was queued while the channel is set up goes out once it is
    /// up.
    pub(crate) fn send_control(&mut self, channel: ChannelId, message: Bytes) {
        let Some(found) = self.slab.get_mut(channel.0) else { return };
        self.waiting += cost(message.len());
        let control = &mut found.extra().control;
        control.for_one_more();
        control.push_back(message);
        self.touch(channel);
    }

    /// Lets the next poll ask the user of `channel` for data.
    pub(crate) fn touch(&mut self, channel: ChannelId) {
        if let Some(found) = self.slab.get_mut(channel.0) {
            if !core::mem::replace(&mut found.in_ready, true) {
                self.ready.push_back(channel);
            }
        }
    }

    /// Whether one more ASAP_ERROR may answer this channel (TLV-8).
    pub(crate) fn may_report_error(
        &mut self,
        now: Instant,
        channel: ChannelId,
        limit: u32,
    ) -> bool {
        let Some(found) = self.slab.get_mut(channel.0) else { return false };
        let (since, count) = &mut found.extra().error_reports;
        if *count == 0 || now.since(*since) >= ERROR_WINDOW {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= limit
    }

    /// The next message of a byte stream, cut from `input` (TLV-21).
    ///
    /// # Errors
    /// The stream lost its framing and is not to be trusted further.
    pub(crate) fn next_in_stream(
        &mut self,
        channel: ChannelId,
        max_len: usize,
        input: &mut &[u8],
    ) -> Result<Option<Bytes>, FramingError> {
        let Some(found) = self.slab.get_mut(channel.0) else { return Ok(None) };
        let stream = found.extra().stream.get_or_insert_with(|| StreamDecoder::new(max_len));
        Ok(stream.next(input)?.map(Bytes::copy_from_slice))
    }

    /// What is next.
    pub(crate) fn poll(&mut self) -> Option<Next> {
        if let Some(channel) = self.closing.pop_front() {
            return Some(Next::Action(Action::Close { channel }));
        }
        while let Some(channel) = self.ready.pop_front() {
            let Some(found) = self.slab.get_mut(channel.0) else { continue };
            found.in_ready = false;
            match found.phase {
                Phase::Wanted => {
                    found.phase = Phase::Opening;
                    let Some((to, security)) = found.extra().to.take() else { continue };
                    found.extra.take_if(|extra| extra.control.is_empty());
                    let open = |peer| Action::Open { channel, peer, to, security };
                    return Some(match found.user {
                        ChannelUser::Registrar => Next::Action(open(PeerKind::Registrar)),
                        ChannelUser::Session(link) => {
                            Next::Open { action: open(PeerKind::Element), link }
                        }
                    });
                }
                Phase::Opening => {}
                Phase::Open => {
                    let control = found.extra.as_mut().and_then(|extra| extra.control.pop_front());
                    if let Some(message) = control {
                        self.waiting -= cost(message.len());
                        let payload = Payload::Control(message);
                        self.touch(channel);
                        return Some(Next::Action(Action::Send { channel, payload }));
                    }
                    return Some(match found.user {
                        ChannelUser::Session(link) => Next::Pull { channel, link },
                        ChannelUser::Registrar => Next::Report { channel },
                    });
                }
            }
        }
        None
    }

    /// Whether something may wait for the driver.
    pub(crate) fn has_action(&self) -> bool {
        !self.closing.is_empty() || !self.ready.is_empty()
    }

    /// Whether control messages still wait on `channel`.
    pub(crate) fn has_control(&self, channel: ChannelId) -> bool {
        let extra = self.slab.get(channel.0).and_then(|found| found.extra.as_ref());
        extra.is_some_and(|extra| !extra.control.is_empty())
    }

    /// Whether there is no channel, nor one that the driver is still to close.
    pub(crate) fn is_idle(&self) -> bool {
        self.slab.len() == 0 && self.closing.is_empty()
    }

    /// How many channels are being set up or are up.
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }
}

/// What a control message that waits counts for: a short one costs something too.
const fn cost(len: usize) -> usize {
    len + size_of::<Bytes>()
}

impl Channel {
    fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_with(|| {
            let error_reports = (Instant::EPOCH, 0);
            Box::new(Extra { to: None, control: VecDeque::new(), stream: None, error_reports })
        })
    }
}

/// For the explorer.
#[cfg(test)]
impl Channels {
    /// All channels that are being set up or are up.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ChannelId> {
        self.slab.iter().map(|(key, _)| ChannelId(key))
    }
}

/// In the explorer's fingerprints: without the names of channels that are no more.
#[cfg(test)]
impl core::hash::Hash for Channels {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        let ready = self.ready.iter().filter(|channel| self.slab.get(channel.0).is_some());
        ready.for_each(|channel| channel.hash(state));
        (&self.slab, &self.closing, self.waiting).hash(state);
    }
}
