//! What a client keeps for one session: what is to be read, who waits to send, and which requests have no
//! answer yet.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll};
use std::time::Duration;

use asap_pu::wire::PeIdentifier;
use asap_pu::{
    Event, Instant, MessageId, SendErrorReason, SendOptions, SessionError, SessionId, SessionState,
    UndeliveredReason,
};
use bytes::{Bytes, BytesMut};

use super::state::{Slot, Waiters, command_to};
use super::{Codec, Error, Undelivered};
use crate::Drive;

/// How many bytes of a session may be unread before its elements are slowed down, with what it takes to
/// keep them, and how long an answer may be.
const MAX_UNREAD: usize = 1 << 20;

/// How many bytes may be unread of those elements that cannot be slowed down.
const MAX_DROPPABLE: usize = 16 << 20;

/// How many notices other than data may be unread; beyond that the oldest is dropped.
const MAX_NOTICES: usize = 256;

pub(crate) struct Desk {
    session: SessionId,
    inbox: VecDeque<Event>,
    /// How much memory of that is data, in bytes, and how many are not.
    unread: usize,
    notices: usize,
    /// Data and undelivered messages that nobody was told of.
    dropped: u64,
    /// Whether the driver was told to read no more for now.
    is_paused: bool,
    readers: Waiters,
    writers: Waiters,
    exchange: Option<Exchange>,
    /// How it ended, if it has.
    end: Option<End>,
    /// Whether the application has let go of it.
    is_dropped: bool,
    pub(super) element: Option<PeIdentifier>,
}

/// Requests and their answers.
struct Exchange {
    codec: Box<dyn Codec>,
    /// How long an element may owe an answer, and until when this one may.
    patience: Option<Duration>,
    due: Option<Instant>,
    /// What has come from the element and is no whole answer yet.
    received: BytesMut,
    asked: BTreeMap<MessageId, Asked>,
    /// Why what came was no answer.
    complaint: Option<String>,
}

/// A request that was sent.
struct Asked {
    request: Bytes,
    /// None where nobody waits for the answer any more, which may still come.
    slot: Option<Slot<Result<Bytes, Error>>>,
}

#[derive(Debug, Clone)]
enum End {
    Closed,
    Failed(SessionError),
    /// The client is no more.
    Gone,
}

impl From<&End> for Error {
    fn from(end: &End) -> Self {
        match end {
            End::Closed => Self::SessionClosed,
            End::Failed(error) => Self::SessionEnded(error.clone()),
            End::Gone => Self::Gone,
        }
    }
}

impl Desk {
    pub(super) fn new(
        session: SessionId,
        codec: Option<Box<dyn Codec>>,
        patience: Option<Duration>,
    ) -> Self {
        let exchange = codec.map(|codec| Exchange {
            codec,
            patience,
            due: None,
            received: BytesMut::new(),
            asked: BTreeMap::new(),
            complaint: None,
        });
        Self {
            session,
            inbox: VecDeque::new(),
            unread: 0,
            notices: 0,
            dropped: 0,
            is_paused: false,
            readers: Waiters::default(),
            writers: Waiters::default(),
            exchange,
            end: None,
            is_dropped: false,
            element: None,
        }
    }

    /// Until when its element may owe an answer.
    pub(super) fn due(&self) -> Option<Instant> {
        self.exchange.as_ref()?.due
    }

    /// Whether nobody has a use for it any more.
    pub(super) fn is_finished(&self) -> bool {
        self.is_dropped && self.end.is_some()
    }

    /// The client is no more.
    pub(super) fn abandon(&mut self) {
        self.finish(End::Gone);
    }

    /// The application lets go of it: what is queued still goes.
    pub(super) fn release(&mut self, drive: &mut dyn Drive) {
        self.is_dropped = true;
        self.inbox.clear();
        // What comes is read, since the element may not close while it is not.
        self.unread = 0;
        self.resume_reading(drive);
        let session = self.session;
        command_to(drive, |user, now| {
            // One that is closing or over is on its way.
            let _ = user.session_mut(now, session).and_then(|mut session| session.close());
        });
    }

    pub(super) fn hear(&mut self, event: Event, drive: &mut dyn Drive) {
        match &event {
            Event::Writable { .. } => return self.writers.wake(),
            Event::SessionEnded { error, .. } => {
                return self.finish(error.clone().map_or(End::Closed, End::Failed));
            }
            Event::Connected { element, .. } => self.element = *element,
            Event::FailedOver { to, .. } => self.element = Some(*to),
            Event::ElementLost { .. } => self.element = None,
            Event::Dropped { messages, .. } => self.dropped += messages,
            _ => {}
        }
        let session = self.session;
        if let Some(exchange) = &mut self.exchange {
            match &event {
                Event::Received { data, .. } => {
                    let unclaimed = exchange.receive(session, data, drive);
                    for answer in unclaimed {
                        let mut unclaimed = event.clone();
                        if let Event::Received { data, .. } = &mut unclaimed {
                            *data = answer;
                        }
                        self.put(unclaimed, false, drive);
                    }
                    return;
                }
                Event::Connected { .. } | Event::FailedOver { .. } => exchange.change(drive),
                Event::Returned { message, .. } | Event::Lost { message, .. }
                    if exchange.asked.contains_key(message) =>
                {
                    if let Some(undelivered) = undelivered(&event) {
                        exchange.fail(undelivered);
                        exchange.wait(drive);
                    }
                    return;
                }
                _ => {}
            }
        }
        if !self.is_dropped {
            self.put(event, true, drive);
        }
    }

    /// Puts something in to be read, within bounds. `is_slowed` says whether it is for the sender to wait
    /// if nobody reads.
    fn put(&mut self, event: Event, is_slowed: bool, drive: &mut dyn Drive) {
        match &event {
            Event::Received { data, .. } => {
                let unread = self.unread + room(data);
                let is_much = unread > MAX_UNREAD;
                if is_much && is_slowed && !self.is_paused {
                    self.is_paused = drive.set_reading(self.session, false);
                }
                let bound = if is_slowed { MAX_DROPPABLE } else { MAX_UNREAD };
                if is_much && !self.is_paused && unread > bound {
                    self.dropped += 1;
                } else {
                    self.unread = unread;
                    self.inbox.push_back(event);
                }
            }
            _ => {
                self.notices += 1;
                self.inbox.push_back(event);
                if self.notices > MAX_NOTICES {
                    let is_notice = |event: &Event| !matches!(event, Event::Received { .. });
                    let oldest = self.inbox.iter().position(is_notice);
                    let oldest = oldest.and_then(|at| self.inbox.remove(at));
                    self.dropped += u64::from(oldest.as_ref().and_then(undelivered).is_some());
                    self.notices -= 1;
                }
            }
        }
        self.readers.wake();
    }

    /// Waits until there is an element.
    pub(super) fn poll_element(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        match &self.end {
            Some(end) => Poll::Ready(Err(end.into())),
            None if self.element.is_some() => Poll::Ready(Ok(())),
            None => self.readers.add(context),
        }
    }

    /// Waits until the session is over. What is to be read is left to others, but is no good end where it tells
    /// of a message that was not delivered.
    pub(super) fn poll_end(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        let Some(end) = &self.end else { return self.readers.add(context) };
        match (self.inbox.iter().find_map(undelivered), end) {
            (Some(undelivered), _) => Poll::Ready(Err(undelivered.into())),
            (None, End::Closed) => Poll::Ready(Ok(())),
            (None, end) => Poll::Ready(Err(end.into())),
        }
    }

    /// What is to be read next; `None` when the session is closed and all is read.
    pub(super) fn poll_read(
        &mut self,
        context: &Context<'_>,
        drive: Option<&mut dyn Drive>,
    ) -> Poll<Result<Option<Event>, Error>> {
        if self.dropped > 0 {
            return Poll::Ready(Err(Error::Dropped(std::mem::take(&mut self.dropped))));
        }
        if let Some(event) = self.inbox.pop_front() {
            match &event {
                Event::Received { data, .. } => self.unread -= room(data),
                _ => self.notices -= 1,
            }
            if let Some(drive) = drive.filter(|_| self.unread <= MAX_UNREAD / 2) {
                self.resume_reading(drive);
            }
            return Poll::Ready(Ok(Some(event)));
        }
        match &self.end {
            None => self.readers.add(context),
            Some(End::Closed) => Poll::Ready(Ok(None)),
            Some(end) => Poll::Ready(Err(end.into())),
        }
    }

    fn resume_reading(&mut self, drive: &mut dyn Drive) {
        if std::mem::take(&mut self.is_paused) {
            drive.set_reading(self.session, true);
        }
    }

    /// Sends a message once there is room for it. With a request, the answer can be waited for.
    pub(super) fn poll_send(
        &mut self,
        context: &Context<'_>,
        data: &mut Bytes,
        options: SendOptions,
        is_request: bool,
        drive: &mut dyn Drive,
    ) -> Poll<Result<MessageId, Error>> {
        if let Some(end) = &self.end {
            return Poll::Ready(Err(end.into()));
        }
        let (session, copy) = (self.session, data.clone());
        let sent = command_to(drive, |user, now| {
            user.session_mut(now, session).map(|mut session| session.send(copy, options))
        });
        match sent {
            Ok(Ok(message)) => {
                let exchange = self.exchange.as_mut().filter(|_| is_request);
                if let Some(exchange) = exchange {
                    let asked = Asked { request: std::mem::take(data), slot: Some(Slot::new()) };
                    exchange.asked.insert(message, asked);
                    exchange.wait(drive);
                }
                Poll::Ready(Ok(message))
            }
            Ok(Err(error)) => match error.reason {
                SendErrorReason::QueueFull { .. } => self.writers.add(context),
                SendErrorReason::TooLong => Poll::Ready(Err(Error::TooLong(error.data))),
                _ => Poll::Ready(Err(Error::SessionClosed)),
            },
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }

    /// The answer to a request.
    pub(super) fn poll_answer(
        &mut self,
        context: &Context<'_>,
        message: MessageId,
    ) -> Poll<Result<Bytes, Error>> {
        let asked = self.exchange.as_mut().map(|exchange| &mut exchange.asked);
        let slot = asked.and_then(|asked| asked.get_mut(&message)?.slot.as_mut());
        // Whoever has the answer lets go of the question.
        slot.map_or(Poll::Ready(Err(Error::SessionClosed)), |slot| slot.poll(context))
    }

    /// Nobody waits for an answer any more: the request is taken back, or if it was handed over, counts
    /// as dealt with, so that it goes to no other element.
    pub(super) fn forget_answer(&mut self, message: MessageId, drive: &mut dyn Drive) {
        let Some(exchange) = &mut self.exchange else { return };
        let Some(asked) = exchange.asked.get_mut(&message) else { return };
        if asked.slot.take().is_none_or(|slot| slot.is_over()) || self.end.is_some() {
            exchange.asked.remove(&message);
            return;
        }
        let session = self.session;
        let is_taken_back = command_to(drive, |user, now| {
            let Ok(mut session) = user.session_mut(now, session) else { return true };
            session.withdraw(message).is_ok() || {
                session.confirm(message);
                false
            }
        });
        if is_taken_back {
            exchange.asked.remove(&message);
        }
        exchange.wait(drive);
    }

    pub(super) fn lose_patience(&mut self, now: Instant, drive: &mut dyn Drive) {
        let Some(exchange) = &mut self.exchange else { return };
        exchange.due = exchange.patience.map(|patience| now + patience);
        give_up(self.session, drive);
    }

    fn finish(&mut self, end: End) {
        if self.end.is_some() {
            return;
        }
        if let Some(exchange) = &mut self.exchange {
            exchange.due = None;
            exchange.asked.retain(|_, asked| asked.slot.is_some());
            let slots = exchange.asked.values_mut().filter_map(|asked| asked.slot.as_mut());
            slots.filter(|slot| !slot.is_over()).for_each(|slot| slot.fill(Err((&end).into())));
        }
        self.end = Some(end);
        self.element = None;
        self.readers.wake();
        self.writers.wake();
    }
}

impl Asked {
    /// Whether its element still owes the answer, be there somebody who waits for it or not.
    fn is_open(&self) -> bool {
        self.slot.as_ref().is_none_or(|slot| !slot.is_over())
    }
}

impl Exchange {
    /// The element owes an answer from here on, if it owes one, and has as long as it may have.
    fn begin(&mut self, drive: &mut dyn Drive) {
        self.due = None;
        self.wait(drive);
    }

    /// One who owes an answer has to give it in time; one more to answer does not buy more of it.
    fn wait(&mut self, drive: &mut dyn Drive) {
        self.due = match (self.asked.values().any(Asked::is_open), self.patience) {
            (true, Some(patience)) => {
                self.due.or_else(|| Some(command_to(drive, |_, now| now + patience)))
            }
            _ => None,
        };
    }

    /// There is an element, to which no data has gone yet. What another one has begun to say, and not
    /// ended, is no answer; nor will any come to what nobody waits for, which goes to no other.
    fn change(&mut self, drive: &mut dyn Drive) {
        self.received.clear();
        self.asked.retain(|_, asked| asked.slot.is_some());
        self.begin(drive);
    }

    fn fail(&mut self, undelivered: Undelivered) {
        // What ended the session is told by that.
        if undelivered.reason == UndeliveredReason::SessionEnded {
            return;
        }
        let Some(asked) = self.asked.get_mut(&undelivered.message) else { return };
        match (&mut asked.slot, &self.complaint) {
            (None, _) => drop(self.asked.remove(&undelivered.message)),
            (Some(slot), Some(complaint)) => slot.fill(Err(Error::Codec(complaint.clone()))),
            (Some(slot), None) => slot.fill(Err(Error::Undelivered(undelivered))),
        }
    }

    /// Cuts what has come into answers, and hands them to those who wait; what nobody waits for comes back.
    fn receive(&mut self, session: SessionId, data: &[u8], drive: &mut dyn Drive) -> Vec<Bytes> {
        let Self { codec, received, asked, .. } = self;
        received.extend_from_slice(data);
        let (mut unclaimed, mut is_answer) = (Vec::new(), false);
        let complaint = loop {
            let answer = match codec.decode(received) {
                Ok(Some(answer)) => answer,
                Ok(None) if received.len() <= MAX_UNREAD => break None,
                Ok(None) => break Some(format!("one has no end after {MAX_UNREAD} bytes")),
                Err(complaint) => break Some(complaint),
            };
            let found = asked
                .iter_mut()
                .find(|(_, asked)| asked.is_open() && codec.answers(&asked.request, &answer));
            match found {
                Some((&message, Asked { slot: Some(slot), .. })) => {
                    // No other element needs to see it.
                    command_to(drive, |user, now| {
                        user.session_mut(now, session).map(|mut s| s.confirm(message))
                    })
                    .ok();
                    slot.fill(Ok(answer));
                    is_answer = true;
                }
                Some((&message, Asked { slot: None, .. })) => {
                    asked.remove(&message);
                    is_answer = true;
                }
                None => unclaimed.push(answer),
            }
        };
        if is_answer {
            self.complaint = None;
            self.begin(drive);
        }
        if let Some(complaint) = complaint {
            self.received.clear();
            self.complaint = Some(complaint);
            give_up(session, drive);
        }
        unclaimed
    }
}

/// How much memory unread data takes: of short messages most is the event around them.
const fn room(data: &Bytes) -> usize {
    size_of::<Event>() + data.len()
}

/// The element of a session has failed, if it has one that is up.
fn give_up(session: SessionId, drive: &mut dyn Drive) {
    command_to(drive, |user, now| {
        let state = user.session(session).map(|session| session.state());
        if let Some(SessionState::Up | SessionState::Choosing) = state {
            // One that chooses may have nobody at the moment.
            let _ = user.session_mut(now, session).and_then(|mut session| session.give_up());
        }
    });
}

/// The message that an event says is not delivered.
pub(super) fn undelivered(event: &Event) -> Option<Undelivered> {
    match event {
        Event::Returned { message, data, reason, .. } => Some(Undelivered {
            message: *message,
            data: data.clone(),
            reason: *reason,
            may_have_arrived: false,
        }),
        Event::Lost { message, data, reason, .. } => Some(Undelivered {
            message: *message,
            data: data.clone(),
            reason: *reason,
            may_have_arrived: true,
        }),
        _ => None,
    }
}
