//! A session's messages on their way out: what waits, what was handed over, what comes back.
//!
//! A message waits in the *queue* until the driver takes it. Whether it is kept after that depends on its [`Failover`]: only
//! one that may be sent again is, until somebody says that it was delivered. When the session loses its element, the
//! kept ones go back to the head of the queue in their order, and those that may not go elsewhere are *returned*. All
//! three count against the session's bounds, so that a message is either refused at the door or accounted for to the end.

use alloc::collections::VecDeque;

use bytes::Bytes;

use super::{Failover, SendOptions};
use crate::Config;
use crate::channel::Payload;
use crate::id::MessageId;

/// The messages of one session.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Message>,
    /// Handed over, to be sent again if the element is lost.
    sent: VecDeque<Message>,
    returned: VecDeque<Message>,
    bytes: usize,
    next: u64,
}

#[derive(Debug)]
struct Message {
    id: MessageId,
    data: Bytes,
    options: SendOptions,
    handed_over: bool,
}

impl Outbox {
    /// Queues a message, or gives it back where there is no room.
    pub(super) fn push(
        &mut self,
        config: &Config,
        data: Bytes,
        options: SendOptions,
    ) -> Result<MessageId, Bytes> {
        let messages = self.queue.len() + self.sent.len() + self.returned.len();
        let bytes = self.bytes.saturating_add(data.len());
        if messages >= config.max_queued_messages || bytes > config.max_queued_bytes {
            return Err(data);
        }
        let id = MessageId(self.next);
        self.next += 1;
        self.bytes = bytes;
        self.queue.push_back(Message { id, data, options, handed_over: false });
        Ok(id)
    }

    /// Hands the next message over; says whether it was handed over before.
    pub(super) fn pull(&mut self) -> Option<(Payload, bool)> {
        let mut message = self.queue.pop_front()?;
        let again = core::mem::replace(&mut message.handed_over, true);
        let payload = Payload::Data {
            message: message.id,
            data: message.data.clone(),
            unordered: message.options.unordered,
        };
        match message.options.failover {
            Failover::Always => self.sent.push_back(message),
            Failover::Never | Failover::Unsent => self.bytes -= message.data.len(),
        }
        Some((payload, again))
    }

    /// A message has arrived; says whether it was waited for.
    pub(super) fn delivered(&mut self, id: MessageId) -> bool {
        let found = self.sent.iter().position(|message| message.id == id);
        let gone = found.and_then(|index| self.sent.remove(index));
        self.bytes -= gone.as_ref().map_or(0, |message| message.data.len());
        gone.is_some()
    }

    /// The element that everything was meant for is lost.
    pub(super) fn element_lost(&mut self) {
        while let Some(message) = self.sent.pop_back() {
            self.queue.push_front(message);
        }
        for message in core::mem::take(&mut self.queue) {
            match message.options.failover {
                Failover::Never => self.returned.push_back(message),
                Failover::Unsent | Failover::Always => self.queue.push_back(message),
            }
        }
    }

    /// There will be no further element.
    pub(super) fn give_back(&mut self) {
        self.returned.append(&mut self.sent);
        self.returned.append(&mut self.queue);
    }

    /// The next message to be given back.
    pub(super) fn pop_returned(&mut self) -> Option<(MessageId, Bytes)> {
        let message = self.returned.pop_front()?;
        self.bytes -= message.data.len();
        Some((message.id, message.data))
    }

    /// Whether nothing waits to be handed over.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many messages wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
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
        Deliver(u64),
        Lose,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let failover =
            prop_oneof![Just(Failover::Never), Just(Failover::Unsent), Just(Failover::Always)];
        let step = prop_oneof![
            4 => failover.prop_map(Step::Push),
            4 => Just(Step::Pull),
            2 => (0..40_u64).prop_map(Step::Deliver),
            1 => Just(Step::Lose),
        ];
        prop::collection::vec(step, 0..80)
    }

    proptest! {
        /// [SESSION-2] [SESSION-5]: nothing is lost, doubled or reordered beyond what its options say, whatever
        /// happens, and the bound in bytes is kept to the byte.
        #[test]
        fn every_message_is_accounted_for(steps in steps()) {
            let config = Config { max_queued_messages: 20, max_queued_bytes: 20, ..Config::default() };
            let mut outbox = Outbox::default();
            let mut options = Vec::new();
            let mut handed: Vec<Vec<u64>> = vec![Vec::new()];
            let mut confirmed = Vec::new();
            for step in steps {
                match step {
                    Step::Push(failover) => {
                        let pushed = outbox.push(
                            &config,
                            Bytes::from_static(b"x"),
                            SendOptions { failover, ..SendOptions::default() },
                        );
                        if let Ok(id) = pushed {
                            prop_assert_eq!(id.0, options.len() as u64);
                            options.push(failover);
                        }
                    }
                    Step::Pull => {
                        if let Some((Payload::Data { message, .. }, again)) = outbox.pull() {
                            let before = handed.iter().flatten().any(|id| *id == message.0);
                            prop_assert_eq!(again, before);
                            handed.last_mut().unwrap().push(message.0);
                        }
                    }
                    Step::Deliver(id) => {
                        if outbox.delivered(MessageId(id)) {
                            confirmed.push(id);
                        }
                    }
                    Step::Lose => {
                        outbox.element_lost();
                        handed.push(Vec::new());
                    }
                }
                prop_assert!(outbox.bytes <= 20);
            }
            outbox.give_back();
            let returned: Vec<u64> =
                core::iter::from_fn(|| outbox.pop_returned()).map(|(id, _)| id.0).collect();
            prop_assert_eq!(outbox.bytes, 0);
            for sent in &handed {
                prop_assert!(sent.is_sorted(), "order at one element: {:?}", sent);
            }
            for (id, failover) in options.iter().enumerate() {
                let id = id as u64;
                let times = handed.iter().flatten().filter(|other| **other == id).count();
                let back = returned.iter().filter(|other| **other == id).count();
                match failover {
                    Failover::Never | Failover::Unsent => prop_assert_eq!(times + back, 1),
                    Failover::Always if confirmed.contains(&id) => {
                        prop_assert!(times >= 1 && back == 0);
                    }
                    Failover::Always => prop_assert_eq!(back, 1),
                }
            }
        }
    }
}
