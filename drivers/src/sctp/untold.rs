//! What the kernel has taken and not yet told the fate of.
//!
//! The kernel can be asked to say when everything sent has been acknowledged ("sender dry", RFC 6458
//! §6.1.10). Its answer waits to be read like a message, so it says nothing about what was sent
//! after it was given; and until it is asked no more, it may give it again. So one question is
//! asked at a time, about what was sent by then, and the next one only when everything has been
//! read and no answer to the former one can be left.

use std::collections::VecDeque;
use std::mem;

/// Messages by the contexts under which the kernel has them, in the order of sending.
#[derive(Debug)]
pub(super) struct Untold<M> {
    messages: VecDeque<(u32, M)>,
    last_context: u32,
    question: Question,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Open,
    /// About what was sent up to this context.
    Asked(u32),
    /// Answered, but another answer may be waiting.
    Answered,
}

impl<M> Untold<M> {
    pub(super) const fn new() -> Self {
        Self { messages: VecDeque::new(), last_context: 0, question: Question::Open }
    }

    /// The context for the next message.
    pub(super) const fn next_context(&self) -> u32 {
        self.last_context.wrapping_add(1)
    }

    /// The kernel has taken a message under that context.
    pub(super) fn taken(&mut self, message: M) {
        self.last_context = self.next_context();
        self.messages.push_back((self.last_context, message));
    }

    /// Whether the kernel is to be asked.
    pub(super) fn ask(&mut self) -> bool {
        let ask = self.question == Question::Open && !self.messages.is_empty();
        if ask {
            self.question = Question::Asked(self.last_context);
        }
        ask
    }

    /// The kernel's answer: everything was acknowledged that was sent before the question.
    pub(super) fn acknowledged(&mut self) -> impl Iterator<Item = M> + use<'_, M> {
        let question = mem::replace(&mut self.question, Question::Answered);
        let covered = |(context, _): &_| match question {
            Question::Asked(last) => last.wrapping_sub(*context) <= u32::MAX / 2,
            Question::Open | Question::Answered => false,
        };
        let covered = self.messages.partition_point(covered);
        self.messages.drain(..covered).map(|(_, message)| message)
    }

    /// Everything has been read: no answer is waiting.
    pub(super) fn all_read(&mut self) {
        if self.question == Question::Answered {
            self.question = Question::Open;
        }
    }

    /// What was sent under a context was not acknowledged; the message, unless that was said of a
    /// former fragment of it.
    pub(super) fn failed(&mut self, context: u32) -> Option<M> {
        let found = self.messages.iter().position(|(of, _)| *of == context)?;
        self.messages.remove(found).map(|(_, message)| message)
    }

    /// What is left when the association is lost and all that failed has been told.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = M> + use<M> {
        mem::take(&mut self.messages).into_iter().map(|(_, message)| message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer covers what was sent before its question, however late it is read.
    #[test]
    fn an_answer_covers_what_was_sent_before_the_question() {
        let mut untold = Untold::new();
        assert!(!untold.ask(), "there is nothing to ask about");
        untold.taken('a');
        untold.taken('b');
        assert!(untold.ask());
        untold.taken('c');
        assert!(!untold.ask(), "one question at a time");
        assert_eq!(untold.acknowledged().collect::<String>(), "ab");
        assert_eq!(untold.acknowledged().count(), 0, "the same answer again");
        assert!(!untold.ask(), "another answer may be waiting");
        untold.all_read();
        assert!(untold.ask());
        assert_eq!(untold.acknowledged().collect::<String>(), "c");
    }

    /// A message fails once, whatever its fragments; what is not mentioned has arrived.
    #[test]
    fn what_did_not_fail_has_arrived() {
        let mut untold = Untold::new();
        "abc".chars().for_each(|message| untold.taken(message));
        assert_eq!(untold.failed(2), Some('b'));
        assert_eq!(untold.failed(2), None);
        assert_eq!(untold.rest().collect::<String>(), "ac");
    }

    /// Contexts start over after 2³² messages.
    #[test]
    fn contexts_start_over() {
        let mut untold = Untold { last_context: u32::MAX - 1, ..Untold::new() };
        untold.taken('a');
        untold.taken('b');
        assert_eq!(untold.next_context(), 1);
        assert!(untold.ask());
        assert_eq!(untold.acknowledged().collect::<String>(), "ab");
    }
}
