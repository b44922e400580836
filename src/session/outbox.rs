//! A session's messages on their way out: what waits, what was handed over, what comes back.
//!
//! A message waits in the *queue* until the driver takes it. The driver takes no more than a
//! *window* of messages and bytes that it has not confirmed as written; the rest stays in the
//! queue, where it can still go elsewhere. A message is kept after that while it may have to be
//! sent again or may come back unsent, until somebody says that it was delivered. When the session
//! loses its element, those of the kept ones that may be sent again go back to the head of the
//! queue in their order, and those that may not go elsewhere are *returned*. All of them count
//! against the session's bounds until they are settled, so that a message is either refused at the
//! door or accounted for to the end.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use bytes::Bytes;

use super::{Failover, SendOptions};
use crate::Config;
use crate::id::MessageId;

/// The messages of one session.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Only while there is a message, so that an idle session is small.
    lanes: Option<Box<Lanes>>,
    next: u64,
}

#[derive(Debug, Default)]
struct Lanes {
    queue: VecDeque<Message>,
    /// Handed over and not settled.
    sent: VecDeque<Message>,
    returned: VecDeque<Message>,
    /// Handed over and not confirmed as written: the message and its length.
    window: VecDeque<(MessageId, usize)>,
    window_bytes: usize,
    load: Load,
    /// Whether a message was refused since the application heard of room.
    refused: bool,
}

/// One message.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) id: MessageId,
    pub(super) data: Bytes,
    pub(super) options: SendOptions,
    /// Whether it was handed over, at this element or a former one.
    handed_over: bool,
    /// Whether the transport gave it back.
    came_back: bool,
    /// Whether it is one copy of a message to all, which counts as one for all of its copies.
    pub(super) copy: bool,
}

/// How much an outbox holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// What holds for the channel that messages are handed over on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handover {
    /// Whether the driver tells what became of each message.
    pub(super) confirms_delivery: bool,
    /// The window in messages and bytes, if the driver confirms what it has written.
    pub(super) window: Option<Load>,
}

impl Outbox {
    /// Queues a message, or gives it back where there is no room.
    pub(super) fn push(
        &mut self,
        config: &Config,
        data: Bytes,
        options: SendOptions,
    ) -> Result<MessageId, Bytes> {
        let load = self.load();
        let fits = load.messages < config.max_queued_messages
            && load.bytes.saturating_add(data.len()) <= config.max_queued_bytes;
        if !fits {
            if let Some(lanes) = &mut self.lanes {
                lanes.refused = true;
            }
            return Err(data);
        }
        let id = MessageId(self.next);
        self.next += 1;
        self.admit(Message {
            id,
            data,
            options,
            handed_over: false,
            came_back: false,
            copy: false,
        });
        Ok(id)
    }

    /// Queues a message that was let in elsewhere.
    pub(super) fn admit(&mut self, message: Message) {
        let lanes = self.lanes.get_or_insert_default();
        lanes.load.add(&message);
        lanes.queue.push_back(message);
    }

    /// Hands the next message over, unless the window is full; says whether it was handed over
    /// before.
    ///
    /// A message to all stays on the books until its last copy is settled.
    pub(super) fn pull(&mut self, handover: Handover) -> Option<(Message, bool)> {
        let lanes = self.lanes.as_mut()?;
        if let Some(window) = handover.window {
            let next = lanes.queue.front()?;
            let bytes = lanes.window_bytes.saturating_add(next.data.len());
            let full = lanes.window.len() >= window.messages || bytes > window.bytes;
            if full && !lanes.window.is_empty() {
                return None;
            }
            lanes.window_bytes = bytes;
            lanes.window.push_back((next.id, next.data.len()));
        }
        let mut message = lanes.queue.pop_front()?;
        let again = core::mem::replace(&mut message.handed_over, true);
        message.came_back = false;
        let to_all = message.options.to.is_all();
        let always = message.options.failover == Failover::Always;
        if !to_all && (always || handover.confirms_delivery) {
            lanes.sent.push_back(message.clone());
        } else if !to_all || message.copy {
            lanes.load.subtract(&message);
        }
        self.tidy();
        Some((message, again))
    }

    /// The message whose turn is next.
    pub(super) fn front(&self) -> Option<&Message> {
        self.lanes.as_ref()?.queue.front()
    }

    /// Takes the next message out for good, but leaves it on the books.
    pub(super) fn take_front(&mut self) -> Option<Message> {
        self.lanes.as_mut()?.queue.pop_front()
    }

    /// Gives back a message that was taken out, and is still on the books.
    pub(super) fn return_one(&mut self, message: Message) {
        self.lanes.get_or_insert_default().give_back(message);
    }

    /// Takes something off the books.
    pub(super) fn release(&mut self, load: Load) {
        if let Some(lanes) = &mut self.lanes {
            lanes.load.messages = lanes.load.messages.saturating_sub(load.messages);
            lanes.load.bytes = lanes.load.bytes.saturating_sub(load.bytes);
        }
        self.tidy();
    }

    /// A message was written; says whether that was waited for.
    pub(super) fn written(&mut self, id: MessageId) -> bool {
        let written = self.lanes.as_mut().is_some_and(|lanes| lanes.leave_window(id));
        self.tidy();
        written
    }

    /// A message has arrived, so it was written; says whether either was waited for.
    ///
    /// Word of it may come after the element was lost, when the message waits for the next one.
    pub(super) fn delivered(&mut self, id: MessageId) -> bool {
        let Some(lanes) = &mut self.lanes else { return false };
        let written = lanes.leave_window(id);
        let arrived = |message: &Message| message.id == id && message.handed_over;
        let lines = [&mut lanes.sent, &mut lanes.queue, &mut lanes.returned];
        let gone = lines.into_iter().find_map(|line| {
            let found = line.iter().position(arrived);
            found.and_then(|index| line.remove(index))
        });
        if let Some(gone) = &gone {
            lanes.load.subtract(gone);
        }
        self.tidy();
        written || gone.is_some()
    }

    /// The transport gives a message back, which it has not sent; says whether it was kept.
    pub(super) fn unsent(&mut self, id: MessageId) -> bool {
        let Some(lanes) = &mut self.lanes else { return false };
        lanes.leave_window(id);
        let found = lanes.sent.iter_mut().find(|message| message.id == id);
        found.map(|message| message.came_back = true).is_some()
    }

    /// The element that everything was meant for is lost.
    pub(super) fn element_lost(&mut self) {
        let Some(lanes) = &mut self.lanes else { return };
        lanes.window.clear();
        lanes.window_bytes = 0;
        let sent = core::mem::take(&mut lanes.sent).into_iter();
        let queue = core::mem::take(&mut lanes.queue);
        for message in sent.chain(queue) {
            let waits = message.came_back || !message.handed_over;
            match message.options.failover {
                _ if message.copy => lanes.queue.push_back(message),
                Failover::Never if waits => lanes.give_back(message),
                Failover::Unsent if waits => lanes.queue.push_back(message),
                Failover::Always => lanes.queue.push_back(message),
                // It may have arrived.
                Failover::Never | Failover::Unsent => lanes.load.subtract(&message),
            }
        }
        self.tidy();
    }

    /// Takes over what a leg of the session had left when it ended, but for copies; those are
    /// handed to `copy`.
    pub(super) fn take_back(&mut self, leg: Self, mut copy: impl FnMut(Message)) {
        let Some(leg) = leg.lanes else { return };
        let lanes = self.lanes.get_or_insert_default();
        for message in leg.queue {
            if message.copy { copy(message) } else { lanes.queue.push_back(message) }
        }
        lanes.queue.make_contiguous().sort_unstable_by_key(|message| message.id);
        leg.returned.into_iter().for_each(|message| lanes.give_back(message));
        self.tidy();
    }

    /// All has been said: returns what has not gone, or was given back by the transport.
    pub(super) fn give_back_unsent(&mut self) {
        let Some(lanes) = &mut self.lanes else { return };
        let sent = core::mem::take(&mut lanes.sent).into_iter();
        for message in sent.chain(core::mem::take(&mut lanes.queue)) {
            match message.handed_over && !message.came_back {
                true => lanes.sent.push_back(message),
                false => lanes.give_back(message),
            }
        }
    }

    /// There will be no further element: returns what has not gone, or may have to go again, in
    /// order.
    pub(super) fn give_back(&mut self) {
        self.element_lost();
        let Some(lanes) = &mut self.lanes else { return };
        for message in core::mem::take(&mut lanes.queue) {
            lanes.give_back(message);
        }
    }

    /// The next message to be given back.
    pub(super) fn pop_returned(&mut self) -> Option<(MessageId, Bytes)> {
        let lanes = self.lanes.as_mut()?;
        let message = lanes.returned.pop_front()?;
        lanes.load.subtract(&message);
        self.tidy();
        Some((message.id, message.data))
    }

    /// Whether there is room again after a message was refused: half of both bounds. Says so once.
    pub(super) fn take_room(&mut self, config: &Config) -> bool {
        let load = self.load();
        let Some(lanes) = self.lanes.as_mut().filter(|lanes| lanes.refused) else { return false };
        lanes.refused = load.messages > config.max_queued_messages / 2
            || load.bytes > config.max_queued_bytes / 2;
        let room = !lanes.refused;
        self.tidy();
        room
    }

    /// Whether nothing waits to be handed over.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is a message of which nobody has said what became of it.
    pub(super) fn awaits_word(&self) -> bool {
        let mut sent = self.lanes.iter().flat_map(|lanes| &lanes.sent);
        sent.any(|message| !message.came_back)
    }

    /// How many messages wait.
    pub(super) fn len(&self) -> usize {
        self.lanes.as_ref().map_or(0, |lanes| lanes.queue.len())
    }

    /// What is on the books.
    pub(super) fn load(&self) -> Load {
        self.lanes.as_ref().map_or(Load::default(), |lanes| lanes.load)
    }

    fn tidy(&mut self) {
        let idle = |lanes: &mut Box<Lanes>| {
            lanes.load == Load::default()
                && lanes.queue.is_empty()
                && lanes.window.is_empty()
                && !lanes.refused
        };
        self.lanes.take_if(idle);
    }
}

impl Lanes {
    /// In the order of sending, whatever is returned first.
    fn give_back(&mut self, message: Message) {
        let place = self.returned.partition_point(|other| other.id < message.id);
        self.returned.insert(place, message);
    }

    fn leave_window(&mut self, id: MessageId) -> bool {
        let found = self.window.iter().position(|(other, _)| *other == id);
        let gone = found.and_then(|index| self.window.remove(index));
        self.window_bytes -= gone.map_or(0, |(_, len)| len);
        gone.is_some()
    }
}

impl Message {
    /// A copy for one element of a message to all.
    pub(super) fn to_copy(&self) -> Self {
        Self { copy: true, handed_over: false, ..self.clone() }
    }

    /// Whether it may go to another element than the one it is meant for.
    pub(super) fn fails_over(&self) -> bool {
        self.options.failover != Failover::Never
    }

    /// What the message counts for.
    pub(super) fn load(&self) -> Load {
        if self.copy {
            return Load::default();
        }
        Load { messages: 1, bytes: self.data.len() }
    }
}

impl Load {
    fn add(&mut self, message: &Message) {
        let Self { messages, bytes } = message.load();
        (self.messages, self.bytes) = (self.messages + messages, self.bytes + bytes);
    }

    fn subtract(&mut self, message: &Message) {
        let Self { messages, bytes } = message.load();
        (self.messages, self.bytes) = (self.messages - messages, self.bytes - bytes);
    }

    /// What has gone since there was `before`.
    pub(super) fn freed_since(self, before: Self) -> Self {
        Self { messages: before.messages - self.messages, bytes: before.bytes - self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Push(Failover),
        Pull,
        Write(u64),
        Deliver(u64),
        ComeBack(u64),
        Lose,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let failover =
            prop_oneof![Just(Failover::Never), Just(Failover::Unsent), Just(Failover::Always)];
        let id = || 0..40_u64;
        let step = prop_oneof![
            4 => failover.prop_map(Step::Push),
            4 => Just(Step::Pull),
            2 => id().prop_map(Step::Write),
            2 => id().prop_map(Step::Deliver),
            1 => id().prop_map(Step::ComeBack),
            1 => Just(Step::Lose),
        ];
        prop::collection::vec(step, 0..80)
    }

    /// What becomes of one message.
    #[derive(Default)]
    struct Fate {
        /// How often it was handed over and not given back.
        gone: usize,
        confirmed: bool,
        /// Whether it is with the driver, at the element of this number.
        at: Option<usize>,
    }

    proptest! {
        /// [SESSION-2] [SESSION-5] [SESSION-15]: nothing is lost, doubled or reordered beyond what
        /// its options say, whatever happens, the bounds are kept to the byte, and the window is
        /// never exceeded.
        #[test]
        fn every_message_is_accounted_for(steps in steps(), confirms_delivery: bool) {
            let limits = Config { max_queued_messages: 20, ..Config::default() };
            let config = Config { max_queued_bytes: 20, ..limits };
            let window = Some(Load { messages: 3, bytes: 3 });
            let mut outbox = Outbox::default();
            let mut options = Vec::new();
            let mut fates: Vec<Fate> = Vec::new();
            let mut element = 0;
            let mut unwritten = 0;
            let mut last = None;
            for step in steps {
                match step {
                    Step::Push(failover) => {
                        let sent = SendOptions { failover, ..SendOptions::default() };
                        if let Ok(id) = outbox.push(&config, Bytes::from_static(b"x"), sent) {
                            prop_assert_eq!(id.0, options.len() as u64);
                            options.push(failover);
                            fates.push(Fate::default());
                        }
                    }
                    Step::Pull => {
                        let pulled = outbox.pull(Handover { confirms_delivery, window });
                        if let Some((message, _)) = pulled {
                            prop_assert!(last < Some(message.id), "order at one element");
                            last = Some(message.id);
                            unwritten += 1;
                            let fate = &mut fates[message.id.0 as usize];
                            (fate.gone, fate.at) = (fate.gone + 1, Some(element));
                        }
                    }
                    Step::Write(id) => unwritten -= usize::from(outbox.written(MessageId(id))),
                    Step::Deliver(id) => {
                        let before = outbox.written(MessageId(id));
                        unwritten -= usize::from(before);
                        if outbox.delivered(MessageId(id)) {
                            // The latest word counts, also of a driver that contradicts itself.
                            let fate = &mut fates[id as usize];
                            fate.gone += usize::from(fate.at.is_none());
                            fate.confirmed = true;
                        }
                    }
                    Step::ComeBack(id) => {
                        unwritten -= usize::from(outbox.written(MessageId(id)));
                        let with_driver =
                            fates.get(id as usize).is_some_and(|fate| fate.at == Some(element));
                        if with_driver && outbox.unsent(MessageId(id)) {
                            let fate = &mut fates[id as usize];
                            (fate.gone, fate.at) = (fate.gone - 1, None);
                        }
                    }
                    Step::Lose => {
                        outbox.element_lost();
                        (element, unwritten, last) = (element + 1, 0, None);
                    }
                }
                prop_assert!(unwritten <= 3);
                prop_assert!(outbox.load().bytes <= 20);
            }
            outbox.give_back();
            let returned: Vec<u64> =
                core::iter::from_fn(|| outbox.pop_returned()).map(|(id, _)| id.0).collect();
            prop_assert!(returned.is_sorted(), "in order");
            outbox.take_room(&config);
            prop_assert!(outbox.lanes.is_none(), "nothing is left");
            for (id, (failover, fate)) in options.iter().zip(&fates).enumerate() {
                let back = returned.iter().filter(|other| **other == id as u64).count();
                match failover {
                    // Also one that came back unsent, if somebody knows better.
                    _ if fate.confirmed => prop_assert_eq!(back, 0),
                    Failover::Never | Failover::Unsent => prop_assert_eq!(fate.gone + back, 1),
                    Failover::Always => prop_assert_eq!(back, 1),
                }
            }
        }
    }

    /// [SESSION-15]: a message that is longer than the window goes alone; nothing else goes until it
    /// is written.
    #[test]
    fn a_message_longer_than_the_window_goes_alone() {
        let mut outbox = Outbox::default();
        let config = Config::default();
        for data in ["long", "s"] {
            outbox.push(&config, Bytes::from(data), SendOptions::default()).unwrap();
        }
        let window = Some(Load { messages: 9, bytes: 2 });
        let handover = Handover { confirms_delivery: false, window };
        let pull = |outbox: &mut Outbox| outbox.pull(handover).map(|(message, _)| message.id.0);
        assert_eq!((pull(&mut outbox), pull(&mut outbox)), (Some(0), None));
        assert!(outbox.written(MessageId(0)) && !outbox.written(MessageId(0)));
        assert_eq!(vec![pull(&mut outbox), pull(&mut outbox)], [Some(1), None]);
    }
}
