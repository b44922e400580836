//! A session's messages: each is in one place, and ends in one fate.
//!
//! ```text
//!             ┌────────── given back, or its element lost ─────────┐
//!             ▼                                                    │
//!  sent ─▶ waiting ──▶ assigned to a link ──▶ out: handed over ────┴──▶ done
//!             └─────────────▲ (only where elements are chosen             ▲
//!             │               for each message)                           │
//!             └── waited or was handed over too long or too often ────────┘
//! ```
//!
//! All messages of a session stand in one store in the order of sending, each with its place. So
//! what is put back is in its order without any sorting, and how much a session holds is the sum
//! over the store. A message counts against the session's limits until its fate is settled, and
//! where the application is to hear of it, until it has.
//!
//! A message may wait for an element for a limited time in all, however often it was handed over
//! and put back. So the queue has a clock of its own, which runs only while the session looks for
//! an element; that no message waits for longer is then one comparison with the oldest of them.

use alloc::collections::VecDeque;
use core::time::Duration;

use bytes::Bytes;

use super::inbox::Notices;
use super::options::{LossReason, UndeliveredReason, Unsettled};
use super::{Failover, SendOptions};
#[cfg(test)]
use crate::explorer;
use crate::id::{LinkId, MessageId};
use crate::misuse::Input;
use crate::{Config, Confirms, Instant};

/// The messages of one session.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Queue {
    /// In the order of sending. Settled ones are gaps until they can be swept out.
    messages: VecDeque<Message>,
    gaps: usize,
    load: Load,
    waiting: usize,
    assigned: usize,
    /// No message before this one waits.
    first_waiting: MessageId,
    /// No message waits since the clock showed less.
    oldest: Duration,
    /// How much there was when a message was refused, if none of room was told of since.
    refused: Option<Load>,
    clock: Clock,
}

/// One message.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Message {
    pub(super) id: MessageId,
    pub(super) data: Bytes,
    pub(super) options: SendOptions,
    sent: Instant,
    place: Place,
    /// How often it was handed over.
    handovers: u32,
    /// Whether it was handed over at an element that is lost, and nobody knows what became of it.
    uncertain: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// For an element, since the clock showed this.
    Waiting(Duration),
    /// For its turn on a link, and for an element since the clock showed this, or, where the link
    /// is up, for so long before.
    Assigned(LinkId, Wait),
    /// Handed over on a link.
    Out {
        link: LinkId,
        written: bool,
        delivered: bool,
        waited: Duration,
    },
    /// One copy for each element: so many results are open, and so many not read.
    Copied {
        open: usize,
        unread: usize,
    },
    /// The application has to read of it.
    Done(Fate),
    Settled,
}

/// For how long a message that is assigned has waited for an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Since(Duration),
    Had(Duration),
}

/// What became of a message, where the application is to hear of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(super) enum Fate {
    Sent { delivered: bool },
    Returned(UndeliveredReason),
    Lost(UndeliveredReason),
}

/// How much there is of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(super) struct Load {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// What it has told of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confirmation {
    Written,
    Delivered,
    Unsent,
}

/// How many bytes a message leaves free in the window of its link; `None` if it was known to be
/// written.
pub(super) type Room = Option<usize>;

/// What bounds the fate of a message on a link.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) confirms: Confirms,
    pub(super) max_handovers: u32,
}

/// Shows for how long the session has looked for an element.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
struct Clock {
    shown: Duration,
    /// Since when it runs, if it does.
    runs: Option<Instant>,
}

impl Queue {
    /// Takes a message in, or gives it back where there is no room.
    pub(super) fn push(
        &mut self,
        now: Instant,
        config: &Config,
        id: MessageId,
        data: Bytes,
        options: SendOptions,
    ) -> Result<(), Bytes> {
        let bytes = self.load.bytes.saturating_add(data.len());
        if self.load.messages >= config.limits.max_queued_messages
            || bytes > config.limits.max_queued_bytes
        {
            self.refused = Some(self.load);
            return Err(data);
        }
        self.load = Load { messages: self.load.messages + 1, bytes };
        let (sent, place, handovers, uncertain) = (now, Place::Settled, 0, false);
        self.messages.push_back(Message { id, data, options, sent, place, handovers, uncertain });
        let since = self.clock.at(now);
        self.put(self.messages.len() - 1, Place::Waiting(since));
        Ok(())
    }

    /// The message whose turn is next.
    pub(super) fn head(&mut self) -> Option<&Message> {
        let index = self.head_index()?;
        self.messages.get(index)
    }

    fn head_index(&mut self) -> Option<usize> {
        if self.waiting == 0 {
            return None;
        }
        let mut index = match self.messages.front() {
            Some(first) if first.id >= self.first_waiting => 0,
            _ => self.messages.partition_point(|message| message.id < self.first_waiting),
        };
        while !matches!(self.messages.get(index)?.place, Place::Waiting(_)) {
            index += 1;
        }
        self.first_waiting = self.messages[index].id;
        Some(index)
    }

    /// Gives the next message to a link, on which it waits for its turn.
    pub(super) fn assign_head(&mut self, now: Instant, link: LinkId, is_up: bool) {
        if let Some(index) = self.head_index() {
            if let Place::Waiting(since) = self.messages[index].place {
                let wait = match is_up {
                    true => Wait::Had(self.waited(now, index)),
                    false => Wait::Since(since),
                };
                self.put(index, Place::Assigned(link, wait));
            }
        }
    }

    /// A link is up: what is assigned to it has its element.
    pub(super) fn link_up(&mut self, now: Instant, link: LinkId) {
        if self.assigned == 0 {
            return;
        }
        for index in 0..self.messages.len() {
            if matches!(self.messages[index].place, Place::Assigned(on, _) if on == link) {
                let had = Wait::Had(self.waited(now, index));
                self.messages[index].place = Place::Assigned(link, had);
            }
        }
    }

    /// Makes one copy for each element of the next message, which has so many open results.
    pub(super) fn copy_head(&mut self, open: usize) {
        if let Some(index) = self.head_index() {
            self.put(index, Place::Copied { open, unread: 0 });
            if open == 0 {
                self.settle(index);
                self.sweep();
            }
        }
    }

    /// The next message may go nowhere.
    pub(super) fn return_head(&mut self, reason: UndeliveredReason, notices: &mut Notices<'_>) {
        if let Some(index) = self.head_index() {
            self.fail(index, reason, notices);
        }
    }

    /// A message whose turn it is on a link, unless it was withdrawn or confirmed meanwhile.
    pub(super) fn assigned_to(&self, id: MessageId, link: LinkId) -> Option<&Message> {
        let message = self.messages.get(self.find(id)?)?;
        let is_assigned = match message.place {
            Place::Assigned(on, _) => on == link,
            // The turn of a copy comes before its result.
            Place::Copied { .. } => true,
            _ => false,
        };
        is_assigned.then_some(message)
    }

    /// A message is handed over on a link; what it says, whether it was handed over before, and whether
    /// it is done with that.
    pub(super) fn hand_over(
        &mut self,
        now: Instant,
        id: MessageId,
        link: LinkId,
        confirms: Confirms,
        notices: &mut Notices<'_>,
    ) -> Option<(Bytes, bool, bool)> {
        let index = self.find(id)?;
        let message = &mut self.messages[index];
        let again = message.handovers > 0;
        message.handovers = message.handovers.saturating_add(1);
        let written = !confirms.includes_written();
        let done = written && !message.options.failover.repeats();
        let data = if !done {
            let data = message.data.clone();
            let waited = self.waited(now, index);
            self.put(index, Place::Out { link, written, delivered: false, waited });
            data
        } else {
            let data = core::mem::take(&mut message.data);
            self.load.bytes -= data.len();
            self.succeed(index, false, notices);
            data
        };
        Some((data, again, done))
    }

    /// What the driver tells of a message that was handed over on a link; `None` if that was not
    /// waited for, else what it leaves free in the window, and whether it is done.
    pub(super) fn apply_confirmation(
        &mut self,
        now: Instant,
        id: MessageId,
        link: LinkId,
        confirmation: Confirmation,
        limits: Limits,
        notices: &mut Notices<'_>,
    ) -> Option<(Room, bool)> {
        let index = self.find(id)?;
        let message = &mut self.messages[index];
        let room = message.room_on(link)?;
        let Place::Out { written, delivered, .. } = &mut message.place else { return None };
        let failover = message.options.failover;
        let mut done = false;
        match confirmation {
            Confirmation::Written if *written => return None,
            Confirmation::Delivered | Confirmation::Unsent if *delivered => return None,
            Confirmation::Written | Confirmation::Delivered => {
                *written = true;
                *delivered = confirmation == Confirmation::Delivered;
                done = match confirmation {
                    Confirmation::Delivered => failover != Failover::Unconfirmed,
                    _ => !limits.confirms.includes_delivered() && !failover.repeats(),
                };
                if done {
                    self.succeed(index, confirmation == Confirmation::Delivered, notices);
                }
            }
            Confirmation::Unsent if failover.goes_on() => {
                self.put_back(now, index, limits.max_handovers, notices);
            }
            Confirmation::Unsent => self.fail(index, UndeliveredReason::NotSent, notices),
        }
        Some((room, done))
    }

    /// Whether a driver is mistaken that tells this of a message where it [was not waited
    /// for](Self::apply_confirmation). Of one that is settled it may not know that.
    pub(super) fn is_mistaken(
        &self,
        id: MessageId,
        link: LinkId,
        confirmation: Confirmation,
    ) -> bool {
        match self.find(id).map(|index| self.messages[index].place) {
            Some(Place::Waiting(_) | Place::Assigned(..)) => true,
            // That it was written may be told after that it was delivered.
            Some(Place::Out { link: on, delivered, .. }) => {
                on != link || confirmation != Confirmation::Written || !delivered
            }
            _ => false,
        }
    }

    /// A message arrived, as the application says, wherever it went; `None` if that was not waited
    /// for, else the link that it is on.
    pub(super) fn confirm(&mut self, id: MessageId) -> Option<Option<(LinkId, Room)>> {
        let index = self.find(id)?;
        let message = &self.messages[index];
        let on = match message.place {
            Place::Out { link, .. } => message.room_on(link).map(|room| (link, room)),
            Place::Waiting(_) | Place::Assigned(..) if message.handovers > 0 => None,
            _ => return None,
        };
        self.settle(index);
        self.sweep();
        Some(on)
    }

    /// Takes a message back that is not handed over.
    pub(super) fn withdraw(&mut self, id: MessageId) -> Option<Bytes> {
        let index = self.find(id)?;
        let message = &mut self.messages[index];
        if !matches!(message.place, Place::Waiting(_) | Place::Assigned(..)) || message.uncertain {
            return None;
        }
        let data = message.data.clone();
        self.settle(index);
        self.sweep();
        Some(data)
    }

    /// A link is no more: what was on it waits again, is returned, or is lost.
    pub(super) fn link_lost(
        &mut self,
        now: Instant,
        link: LinkId,
        reason: LossReason,
        max_handovers: u32,
        notices: &mut Notices<'_>,
    ) {
        for index in 0..self.messages.len() {
            let message = &mut self.messages[index];
            let failover = message.options.failover;
            match message.place {
                Place::Assigned(on, _) if on == link && failover.goes_on() => {
                    self.put_back(now, index, u32::MAX, notices);
                }
                Place::Out { link: on, .. } if on == link && failover.repeats() => {
                    message.uncertain = true;
                    self.put_back(now, index, max_handovers, notices);
                }
                Place::Assigned(on, _) if on == link => {
                    self.fail(index, UndeliveredReason::ElementLost(reason), notices);
                }
                Place::Out { link: on, .. } if on == link => {
                    message.uncertain = true;
                    self.fail(index, UndeliveredReason::ElementLost(reason), notices);
                }
                _ => {}
            }
        }
        self.sweep();
    }

    /// What waits and may go nowhere but to an element that the session turns away from, is
    /// returned.
    pub(super) fn element_left(&mut self, reason: UndeliveredReason, notices: &mut Notices<'_>) {
        self.fail_waiting(reason, notices, |message| !message.options.failover.goes_on());
    }

    /// What waits finds no element.
    pub(super) fn give_up(&mut self, reason: UndeliveredReason, notices: &mut Notices<'_>) {
        self.fail_waiting(reason, notices, |_| true);
    }

    /// What has waited for an element for `limit` in all is given up, be it that it is assigned to a
    /// link, unless that is up.
    pub(super) fn expire(&mut self, now: Instant, limit: Duration, notices: &mut Notices<'_>) {
        let clock = self.clock.at(now);
        if self.waiting + self.assigned == 0 || clock.saturating_sub(self.oldest) < limit {
            return;
        }
        self.oldest = clock;
        for index in 0..self.messages.len() {
            let (Place::Waiting(since) | Place::Assigned(_, Wait::Since(since))) =
                self.messages[index].place
            else {
                continue;
            };
            if clock.saturating_sub(since) >= limit {
                self.fail(index, UndeliveredReason::DeadlineReached, notices);
            } else {
                self.oldest = self.oldest.min(since);
            }
        }
    }

    fn fail_waiting(
        &mut self,
        reason: UndeliveredReason,
        notices: &mut Notices<'_>,
        concerned: impl Fn(&Message) -> bool,
    ) {
        if self.waiting == 0 {
            return;
        }
        for index in 0..self.messages.len() {
            let message = &self.messages[index];
            if matches!(message.place, Place::Waiting(_)) && concerned(message) {
                self.fail(index, reason, notices);
            }
        }
    }

    /// The session is over. Where it is so in good order, what was handed over is done.
    pub(super) fn end(
        &mut self,
        orderly: bool,
        reason: UndeliveredReason,
        notices: &mut Notices<'_>,
    ) {
        for index in 0..self.messages.len() {
            match self.messages[index].place {
                Place::Waiting(_) | Place::Assigned(..) => self.fail(index, reason, notices),
                Place::Out { .. } if orderly => self.succeed_unswept(index, false, notices),
                Place::Out { .. } => {
                    self.messages[index].uncertain = true;
                    self.fail(index, reason, notices);
                }
                _ => {}
            }
        }
        self.sweep();
    }

    /// Takes out all that is not done, for an application that wants to hear no more.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Unsettled> {
        let messages = core::mem::take(&mut self.messages).into_iter();
        *self = Self::default();
        messages.filter_map(|Message { id: message, data, place, uncertain, .. }| {
            let handed_over = match place {
                Place::Settled | Place::Copied { open: 0, .. } | Place::Done(Fate::Sent { .. }) => {
                    None
                }
                // Some copies may have gone.
                Place::Copied { .. } | Place::Out { .. } | Place::Done(Fate::Lost(_)) => Some(true),
                _ => Some(uncertain),
            };
            handed_over.map(|handed_over| Unsettled { message, data, handed_over })
        })
    }

    /// Whether a message is one to all, of which some results are open.
    pub(super) fn is_copied(&self, id: MessageId) -> bool {
        let found = self.find(id).map(|index| self.messages[index].place);
        matches!(found, Some(Place::Copied { open: 1.., .. }))
    }

    /// The result of one copy is known.
    pub(super) fn copy_done(&mut self, id: MessageId) {
        let index = self.find(id);
        let place = index.and_then(|index| self.messages.get_mut(index)).map(|it| &mut it.place);
        if let Some(Place::Copied { open, unread }) = place {
            (*open, *unread) = (*open - 1, *unread + 1);
        }
    }

    /// The application has read the result of one copy.
    pub(super) fn copy_read(&mut self, id: MessageId) {
        let Some(index) = self.find(id) else { return };
        let Place::Copied { open, unread } = &mut self.messages[index].place else { return };
        *unread -= 1;
        if (*open, *unread) == (0, 0) {
            self.settle(index);
            self.sweep();
        }
    }

    /// What became of a message that the application reads of.
    pub(super) fn take_done(&mut self, id: MessageId) -> Option<(Fate, Bytes)> {
        let index = self.find(id)?;
        let Place::Done(fate) = self.messages[index].place else { return None };
        let data = core::mem::take(&mut self.messages[index].data);
        self.load.bytes -= data.len();
        self.settle(index);
        self.sweep();
        Some((fate, data))
    }

    /// Whether there is room again after a message was refused: half of both limits. Says so once.
    pub(super) fn take_room(&mut self, config: &Config) -> bool {
        let Load { messages, bytes } = self.load;
        let has_room = messages <= config.limits.max_queued_messages / 2
            && bytes <= config.limits.max_queued_bytes / 2;
        let is_free =
            |then: &mut Load| has_room && (messages < then.messages || bytes < then.bytes);
        self.refused.take_if(is_free).is_some()
    }

    /// Lets the clock run, or stand still.
    pub(super) fn run_clock(&mut self, now: Instant, runs: bool) {
        if runs != self.clock.runs.is_some() {
            self.clock = Clock { shown: self.clock.at(now), runs: runs.then_some(now) };
        }
    }

    /// When the next message has waited for `limit`, if the clock goes on running.
    pub(super) fn next_expiry(&self, now: Instant, limit: Duration) -> Option<Instant> {
        let waits = self.waiting + self.assigned > 0 && self.clock.runs.is_some();
        let waited = self.clock.at(now).saturating_sub(self.oldest);
        waits.then(|| now + limit.saturating_sub(waited))
    }

    /// How many messages wait for an element.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many messages wait for their turn on a link.
    pub(super) const fn assigned(&self) -> usize {
        self.assigned
    }

    /// How many messages are handed over and not settled.
    pub(super) const fn unsettled(&self) -> usize {
        self.load.messages - self.waiting - self.assigned
    }

    /// How many messages are handed over and have not met their fate.
    pub(super) fn unconfirmed(&self) -> usize {
        self.messages.iter().filter(|message| message.place.is_out()).count()
    }

    /// Since when the oldest message waits for its fate.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let is_open = |place: &Place| {
            place.is_out() || matches!(place, Place::Waiting(_) | Place::Assigned(..))
        };
        self.messages.iter().find(|message| is_open(&message.place)).map(|message| message.sent)
    }

    /// Whether everything was handed over, and nobody will tell more of what is out: on a link that
    /// is `silent` no more than that it was written, of a message that waits to be confirmed nothing
    /// but that.
    pub(super) fn is_drained(&self, silent: impl Fn(LinkId) -> bool) -> bool {
        let is_open = |message: &Message| match message.place {
            Place::Out { link, written, .. } => {
                let repeats = message.options.failover == Failover::Unconfirmed;
                repeats || !written || !silent(link)
            }
            Place::Copied { open, .. } => open > 0,
            _ => false,
        };
        self.waiting + self.assigned == 0 && !self.messages.iter().any(is_open)
    }

    /// Whether there is nothing that must be remembered.
    pub(super) fn is_idle(&self) -> bool {
        self.messages.is_empty() && self.refused.is_none()
    }

    /// Makes one that is idle as new, but for the memory it has.
    pub(super) fn reset(&mut self) {
        self.clock = Clock::default();
    }

    pub(super) fn capacity(&self) -> usize {
        self.messages.capacity()
    }

    /// Panics where the counts do not add up.
    #[cfg(any(test, debug_assertions))]
    pub(super) fn check(&self) {
        let count = |of: fn(&Place) -> bool| self.messages.iter().filter(|m| of(&m.place)).count();
        let bytes = self.messages.iter().map(|message| message.data.len()).sum();
        let gaps = count(|place| *place == Place::Settled);
        assert_eq!(self.load, Load { messages: self.messages.len() - gaps, bytes });
        assert_eq!(self.waiting, count(|place| matches!(place, Place::Waiting(_))));
        assert_eq!(self.assigned, count(|place| matches!(place, Place::Assigned(..))));
        assert_eq!(self.gaps, gaps);
        assert!(self.messages.iter().is_sorted_by_key(|message| message.id));
        assert!(gaps <= self.messages.len() / 2, "they are swept out");
        for message in &self.messages {
            match message.place {
                Place::Waiting(since) => {
                    assert!(message.id >= self.first_waiting && since >= self.oldest);
                }
                Place::Assigned(_, Wait::Since(since)) => assert!(since >= self.oldest),
                _ => {}
            }
        }
    }

    fn find(&self, id: MessageId) -> Option<usize> {
        // Without gaps that were swept out, this is where it is.
        let guess = id.0.checked_sub(self.messages.front()?.id.0)?;
        let guess = usize::try_from(guess).ok()?;
        if self.messages.get(guess).is_some_and(|message| message.id == id) {
            return Some(guess);
        }
        self.messages.binary_search_by_key(&id, |message| message.id).ok()
    }

    /// Moves a message to another place.
    fn put(&mut self, index: usize, place: Place) {
        let message = &mut self.messages[index];
        match core::mem::replace(&mut message.place, place) {
            Place::Waiting(_) => self.waiting -= 1,
            Place::Assigned(..) => self.assigned -= 1,
            _ => {}
        }
        match place {
            Place::Waiting(since) => {
                let first = message.id;
                let alone = self.waiting == 0;
                self.first_waiting = if alone { first } else { self.first_waiting.min(first) };
                let alone = alone && self.assigned == 0;
                self.oldest = if alone { since } else { self.oldest.min(since) };
                self.waiting += 1;
            }
            Place::Assigned(..) => self.assigned += 1,
            _ => {}
        }
    }

    /// For how long a message has waited for an element in all.
    fn waited(&self, now: Instant, index: usize) -> Duration {
        match self.messages[index].place {
            Place::Waiting(since) | Place::Assigned(_, Wait::Since(since)) => {
                self.clock.at(now).saturating_sub(since)
            }
            Place::Out { waited, .. } | Place::Assigned(_, Wait::Had(waited)) => waited,
            _ => Duration::ZERO,
        }
    }

    /// A message waits for an element once more.
    fn put_back(
        &mut self,
        now: Instant,
        index: usize,
        max_handovers: u32,
        notices: &mut Notices<'_>,
    ) {
        if self.messages[index].handovers >= max_handovers {
            return self.fail(index, UndeliveredReason::TooManyHandovers, notices);
        }
        let since = self.clock.at(now).saturating_sub(self.waited(now, index));
        notices.put_back(self.messages[index].id);
        self.put(index, Place::Waiting(since));
    }

    /// A message was not delivered, or nobody knows.
    fn fail(&mut self, index: usize, reason: UndeliveredReason, notices: &mut Notices<'_>) {
        let fate = match self.messages[index].uncertain {
            true => Fate::Lost(reason),
            false => Fate::Returned(reason),
        };
        self.tell(index, fate, notices);
    }

    fn succeed(&mut self, index: usize, delivered: bool, notices: &mut Notices<'_>) {
        self.succeed_unswept(index, delivered, notices);
        self.sweep();
    }

    /// A message is done; nobody hears of it unless that was asked for.
    fn succeed_unswept(&mut self, index: usize, delivered: bool, notices: &mut Notices<'_>) {
        let message = &mut self.messages[index];
        self.load.bytes -= core::mem::take(&mut message.data).len();
        if message.options.receipt {
            self.tell(index, Fate::Sent { delivered }, notices);
        } else {
            self.settle(index);
        }
    }

    fn tell(&mut self, index: usize, fate: Fate, notices: &mut Notices<'_>) {
        self.put(index, Place::Done(fate));
        notices.fate(self.messages[index].id, fate);
    }

    fn settle(&mut self, index: usize) {
        self.put(index, Place::Settled);
        let data = core::mem::take(&mut self.messages[index].data);
        self.load.messages -= 1;
        self.load.bytes -= data.len();
        self.gaps += 1;
    }

    /// Sweeps gaps out: those in front at once, the others when they are the half of all, so that
    /// each costs its share.
    fn sweep(&mut self) {
        while self.messages.front().is_some_and(|message| message.place == Place::Settled) {
            self.messages.pop_front();
            self.gaps -= 1;
        }
        if self.gaps > self.messages.len() / 2 {
            self.messages.retain(|message| message.place != Place::Settled);
            self.gaps = 0;
        }
    }
}

impl Confirms {
    /// Whether the driver is to tell this of messages.
    pub(super) fn tells(self, confirmation: Confirmation) -> bool {
        match confirmation {
            Confirmation::Written | Confirmation::Unsent => self.includes_written(),
            Confirmation::Delivered => self.includes_delivered(),
        }
    }
}

impl From<Confirmation> for Input {
    fn from(confirmation: Confirmation) -> Self {
        match confirmation {
            Confirmation::Written => Self::Written,
            Confirmation::Delivered => Self::Delivered,
            Confirmation::Unsent => Self::Unsent,
        }
    }
}

impl Message {
    /// What it leaves free in the window of `link`, if it was handed over there.
    fn room_on(&self, link: LinkId) -> Option<Room> {
        match self.place {
            Place::Out { link: on, written, .. } if on == link => {
                Some((!written).then_some(self.data.len()))
            }
            _ => None,
        }
    }
}

impl Place {
    const fn is_out(&self) -> bool {
        matches!(self, Self::Out { .. } | Self::Copied { open: 1.., .. })
    }
}

impl Clock {
    fn at(&self, now: Instant) -> Duration {
        self.shown + self.runs.map_or(Duration::ZERO, |since| now.since(since))
    }
}

/// In the explorer's fingerprints: for how long each message has waited, whatever the clock shows,
/// and without gaps.
#[cfg(test)]
impl core::hash::Hash for Queue {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        let now = explorer::now();
        for (index, message) in self.messages.iter().enumerate() {
            let Message { id, data, options, sent: _, place, handovers, uncertain } = message;
            let waited = self.waited(now, index);
            let place = match *place {
                Place::Settled => continue,
                Place::Waiting(_) => (0, None, None),
                Place::Assigned(link, _) => (1, Some(link), None),
                Place::Out { link, written, delivered, .. } => {
                    (2 + u32::from(written) + 2 * u32::from(delivered), Some(link), None)
                }
                Place::Copied { open, unread } => (6, None, Some((open, unread))),
                Place::Done(fate) => {
                    fate.hash(state);
                    (7, None, None)
                }
            };
            (id, data, options, place, handovers, uncertain, waited).hash(state);
        }
        let oldest = self.clock.at(now).saturating_sub(self.oldest);
        (self.waiting, self.assigned, self.refused, self.clock.runs.is_some()).hash(state);
        (self.waiting > 0).then_some((oldest, self.first_waiting)).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::super::inbox::{Inbox, Notice};
    use super::*;
    use crate::id::SessionId;
    use crate::journal::Journal;
    use crate::slab::Slab;

    /// What happens to a queue that hands its messages to one link after the other.
    #[derive(Debug, Clone)]
    enum Step {
        Push(Failover, bool),
        /// Assigns the next message to the link, whose turn it is at once or later.
        Assign(bool),
        HandOver,
        Tell(Confirmation, u64),
        Confirm(u64),
        Withdraw(u64),
        Lose,
        LeaveElement,
        Wait(u64),
        Read,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let failover = prop_oneof![
            Just(Failover::Never),
            Just(Failover::Unsent),
            Just(Failover::Undelivered),
            Just(Failover::Unconfirmed)
        ];
        let confirmation = prop_oneof![
            Just(Confirmation::Written),
            Just(Confirmation::Delivered),
            Just(Confirmation::Unsent)
        ];
        let id = || 0..24_u64;
        let step = prop_oneof![
            5 => (failover, any::<bool>()).prop_map(|(f, receipt)| Step::Push(f, receipt)),
            2 => any::<bool>().prop_map(Step::Assign),
            4 => Just(Step::HandOver),
            4 => (confirmation, id()).prop_map(|(confirmation, id)| Step::Tell(confirmation, id)),
            1 => id().prop_map(Step::Confirm),
            1 => id().prop_map(Step::Withdraw),
            1 => Just(Step::Lose),
            1 => Just(Step::LeaveElement),
            1 => (0..40_u64).prop_map(Step::Wait),
            2 => Just(Step::Read),
        ];
        prop::collection::vec(step, 0..120)
    }

    const MAX_HANDOVERS: u32 = 3;
    const LIMIT: Duration = Duration::from_secs(60);

    /// What is known of one message from outside.
    #[derive(Debug, Clone, Copy, Default)]
    struct Seen {
        handovers: u32,
        /// Handed over on the link that there is, and not given back.
        out: bool,
        written: bool,
        delivered: bool,
        /// Handed over on a link that is lost.
        uncertain: bool,
        confirmed: bool,
        withdrawn: bool,
        waited: Duration,
        told: Option<Fate>,
    }

    fn confirms() -> impl Strategy<Value = Confirms> {
        prop_oneof![Just(Confirms::Nothing), Just(Confirms::Written), Just(Confirms::Delivered)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// [SESSION-17] [SESSION-19] [SESSION-2] [SESSION-5]: whatever happens, each message ends in
        /// one fate, which is one that may be; the limits hold to the byte; the order is kept; no
        /// message is handed over too often or waits too long.
        #[test]
        fn every_message_has_one_fate(steps in steps(), confirms in confirms()) {
            let mut config = Config::default();
            config.limits.max_queued_messages = 12;
            config.limits.max_queued_bytes = 12;
            let limits = Limits { confirms, max_handovers: MAX_HANDOVERS };
            let mut links = Slab::new();
            let mut link = LinkId(links.insert(()));
            let (mut queue, mut inbox) = (Queue::default(), Inbox::default());
            let (mut journal, session) = (Journal::new(0), SessionId(Slab::new().insert(())));
            let mut now = Instant::EPOCH;
            let mut seen: Vec<Seen> = vec![];
            let mut wishes: Vec<(Failover, bool)> = vec![];
            let mut lane: VecDeque<MessageId> = VecDeque::new();
            let mut last_out = None;
            queue.run_clock(now, true);
            for step in steps {
                match step {
                    Step::Push(failover, receipt) => {
                        let id = MessageId(seen.len() as u64);
                        let options = SendOptions { receipt, ..failover.into() };
                        let load = queue.load;
                        match queue.push(now, &config, id, Bytes::from_static(b"1"), options) {
                            Ok(()) => {
                                seen.push(Seen::default());
                                wishes.push((failover, receipt));
                            }
                            Err(_) => prop_assert_eq!((load.messages, load.bytes), (12, load.bytes)),
                        }
                    }
                    Step::Assign(later) => {
                        if let Some(head) = queue.head().map(|head| head.id) {
                            queue.assign_head(now, link, false);
                            lane.push_back(head);
                            if !later {
                                lane.rotate_right(1);
                            }
                        }
                    }
                    Step::HandOver => {
                        let assigned = lane.pop_front();
                        let turn = assigned.and_then(|id| queue.assigned_to(id, link).map(|m| m.id));
                        let head = queue.head().map(|head| head.id);
                        let Some(id) = turn.or(head) else { continue };
                        if turn.is_none() {
                            prop_assert!(last_out < Some(id), "in the order of sending");
                            last_out = Some(id);
                        }
                        let it = &mut seen[id.0 as usize];
                        prop_assert!(it.told.is_none() && !it.confirmed && !it.withdrawn);
                        let (data, again, _) =
                            queue.hand_over(now, id, link, confirms, &mut inbox.with_journal(&mut journal, session)).unwrap();
                        prop_assert_eq!(data, "1");
                        prop_assert_eq!(again, it.handovers > 0);
                        it.handovers += 1;
                        prop_assert!(it.handovers <= MAX_HANDOVERS);
                        (it.out, it.written, it.delivered) = (true, !confirms.includes_written(), false);
                    }
                    Step::Tell(confirmation, n) => {
                        let heard = queue.apply_confirmation(now, MessageId(n), link, confirmation, limits, &mut inbox.with_journal(&mut journal, session));
                        let Some(it) = seen.get_mut(n as usize) else {
                            prop_assert_eq!(heard, None);
                            continue;
                        };
                        let Some((room, _)) = heard else { continue };
                        prop_assert!(it.out);
                        prop_assert_eq!(room.is_some(), !it.written);
                        match confirmation {
                            Confirmation::Written => it.written = true,
                            Confirmation::Delivered => (it.written, it.delivered) = (true, true),
                            Confirmation::Unsent => {
                                it.out = false;
                                last_out = last_out.min(n.checked_sub(1).map(MessageId));
                            }
                        }
                    }
                    Step::Confirm(n) => {
                        if queue.confirm(MessageId(n)).is_some() {
                            let it = &mut seen[n as usize];
                            prop_assert!(it.handovers > 0 && it.told.is_none());
                            it.confirmed = true;
                        }
                    }
                    Step::Withdraw(n) => {
                        if queue.withdraw(MessageId(n)).is_some() {
                            let it = &mut seen[n as usize];
                            prop_assert!(!it.out && !it.uncertain);
                            it.withdrawn = true;
                        }
                    }
                    Step::Lose => {
                        queue.link_lost(now, link, LossReason::Broken, MAX_HANDOVERS, &mut inbox.with_journal(&mut journal, session));
                        link = LinkId(links.insert(()));
                        lane.clear();
                        last_out = None;
                        for it in &mut seen {
                            it.uncertain |= it.out;
                            it.out = false;
                        }
                    }
                    Step::LeaveElement => {
                        let reason = UndeliveredReason::ElementLost(LossReason::Closed);
                        queue.element_left(reason, &mut inbox.with_journal(&mut journal, session));
                    }
                    Step::Wait(secs) => {
                        now += Duration::from_secs(secs);
                        for it in seen.iter_mut().filter(|it| !it.out) {
                            it.waited += Duration::from_secs(secs);
                        }
                        queue.expire(now, LIMIT, &mut inbox.with_journal(&mut journal, session));
                        let next = queue.next_expiry(now, LIMIT);
                        prop_assert!(next.is_none_or(|at| at > now), "it is in the future");
                    }
                    Step::Read => {
                        while let Some(Notice::Fate(id)) = inbox.pop() {
                            let (fate, data) = queue.take_done(id).expect("told once");
                            let it = &mut seen[id.0 as usize];
                            prop_assert!(it.told.is_none() && !it.confirmed && !it.withdrawn);
                            it.told = Some(fate);
                            let returned = matches!(fate, Fate::Returned(_) | Fate::Lost(_));
                            prop_assert_eq!(data.len(), usize::from(returned));
                            let failover = wishes[id.0 as usize].0;
                            match fate {
                                Fate::Sent { delivered } => {
                                    prop_assert!(wishes[id.0 as usize].1 && it.handovers > 0);
                                    prop_assert!(!delivered || it.delivered);
                                }
                                Fate::Lost(_) => prop_assert!(it.uncertain),
                                Fate::Returned(_) => prop_assert!(!it.uncertain),
                            }
                            match fate {
                                Fate::Returned(UndeliveredReason::DeadlineReached)
                                | Fate::Lost(UndeliveredReason::DeadlineReached) => {
                                    prop_assert!(it.waited >= LIMIT, "not before its time");
                                }
                                Fate::Returned(UndeliveredReason::TooManyHandovers)
                                | Fate::Lost(UndeliveredReason::TooManyHandovers) => {
                                    prop_assert!(failover.goes_on());
                                    prop_assert_eq!(it.handovers, MAX_HANDOVERS);
                                }
                                Fate::Lost(UndeliveredReason::ElementLost(_)) => {
                                    prop_assert!(!failover.repeats());
                                }
                                Fate::Returned(UndeliveredReason::ElementLost(_)) => {
                                    prop_assert_eq!(failover, Failover::Never);
                                }
                                _ => {}
                            }
                        }
                    }
                }
                queue.check();
            }
            // In the end nothing is left over.
            queue.end(false, UndeliveredReason::SessionEnded, &mut inbox.with_journal(&mut journal, session));
            while let Some(notice) = inbox.pop() {
                let Notice::Fate(id) = notice else { panic!("{notice:?}") };
                prop_assert!(queue.take_done(id).is_some());
                prop_assert!(seen[id.0 as usize].told.is_none());
            }
            prop_assert_eq!(queue.load, Load::default());
            prop_assert!(queue.messages.is_empty());
        }
    }

    /// [SESSION-17]: the words of a driver are heard once, and in any order.
    #[test]
    fn words_are_heard_once() {
        let confirms = Confirms::Delivered;
        let limits = Limits { confirms, max_handovers: 5 };
        let link = LinkId(Slab::new().insert(()));
        let (mut queue, mut inbox) = (Queue::default(), Inbox::default());
        let (mut journal, session) = (Journal::new(0), SessionId(Slab::new().insert(())));
        let notices = &mut inbox.with_journal(&mut journal, session);
        let (now, id) = (Instant::EPOCH, MessageId(0));
        let options = Failover::Unconfirmed.into();
        queue.push(now, &Config::default(), id, Bytes::from_static(b"ab"), options).unwrap();
        let mut hear = |queue: &mut Queue, confirmation| {
            queue.apply_confirmation(now, id, link, confirmation, limits, notices)
        };
        assert_eq!(hear(&mut queue, Confirmation::Delivered), None, "it is not out");
        queue
            .hand_over(
                now,
                id,
                link,
                confirms,
                &mut Inbox::default().with_journal(&mut Journal::new(0), session),
            )
            .unwrap();
        assert_eq!(
            hear(&mut queue, Confirmation::Delivered),
            Some((Some(2), false)),
            "which frees its room"
        );
        assert_eq!(hear(&mut queue, Confirmation::Written), None);
        assert_eq!(hear(&mut queue, Confirmation::Unsent), None);
        assert_eq!(queue.confirm(id), Some(Some((link, None))));
        assert_eq!(queue.confirm(id), None);
        assert!(queue.is_idle());
    }
}
