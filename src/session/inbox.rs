//! What the application has to read of a session, in the order in which it happened.
//!
//! Data of an element is read before the loss of that element, and that before what follows
//! (SESSION-20). It stays bounded also where nobody reads: data is bounded in bytes over all
//! sessions, the fates of messages by the messages that a session may have, and what is told of
//! elements by the rule that no data flows to a new one before the application has heard of it: an
//! element that is lost before that, and has said nothing, leaves no trace.

use alloc::collections::VecDeque;

use bytes::Bytes;

use super::options::{LossReason, UndeliveredReason};
use super::queue::Fate;
use crate::id::{MessageId, SessionId};
use crate::journal::{Journal, NoteKind};
use crate::wire::PeIdentifier;

/// What is to be read.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) struct Inbox {
    notices: VecDeque<Notice>,
    /// How much of it closes the gate until it is read.
    gates: usize,
    /// How many messages were dropped since the application was told, and whether a cookie was too
    /// long: told where that happened for the first time.
    dropped: u32,
    cookie_too_long: bool,
    /// Whether there is room again, as long as no other message was refused.
    pub(super) room: bool,
}

/// One thing to be read.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) enum Notice {
    Connected(Option<PeIdentifier>),
    FailedOver {
        from: Option<PeIdentifier>,
        to: PeIdentifier,
        cookie_echoed: bool,
    },
    Lost {
        element: Option<PeIdentifier>,
        reason: LossReason,
        closes_gate: bool,
    },
    Received {
        element: Option<PeIdentifier>,
        data: Bytes,
    },
    CookieEchoed(Bytes),
    Copied(MessageId, Option<PeIdentifier>, Option<UndeliveredReason>),
    /// The queue knows which.
    Fate(MessageId),
    Dropped(u32),
    CookieTooLong,
}

/// Who is told what becomes of a session's messages: the application, when it reads, and the journal.
#[derive(Debug)]
pub(super) struct Notices<'a> {
    inbox: &'a mut Inbox,
    journal: &'a mut Journal,
    session: SessionId,
}

impl Notices<'_> {
    /// A message waits for an element once more.
    pub(super) fn put_back(&mut self, message: MessageId) {
        let session = self.session;
        self.journal.note(|| NoteKind::MessagesPutBack { session, message, more: 0 });
    }

    /// A message has met its fate, which the queue keeps until it is read.
    pub(super) fn fate(&mut self, message: MessageId, fate: Fate) {
        note_fate(self.journal, self.session, message, fate);
        self.inbox.push(Notice::Fate(message));
    }
}

/// Notes the fate of a message; of one that was sent there is nothing to explain.
pub(super) fn note_fate(journal: &mut Journal, session: SessionId, message: MessageId, fate: Fate) {
    match fate {
        Fate::Sent { .. } => {}
        Fate::Returned(reason) => {
            journal.note(|| NoteKind::MessagesReturned { session, message, more: 0, reason });
        }
        Fate::Lost(reason) => {
            journal.note(|| NoteKind::MessagesLost { session, message, more: 0, reason });
        }
    }
}

impl Inbox {
    /// Tells the journal too, what becomes of messages of `session`.
    pub(super) const fn with_journal<'a>(
        &'a mut self,
        journal: &'a mut Journal,
        session: SessionId,
    ) -> Notices<'a> {
        Notices { inbox: self, journal, session }
    }

    pub(super) fn push(&mut self, notice: Notice) {
        self.gates += usize::from(notice.closes_gate());
        self.notices.push_back(notice);
    }

    pub(super) fn pop(&mut self) -> Option<Notice> {
        let notice = self.notices.pop_front()?;
        self.gates -= usize::from(notice.closes_gate());
        Some(match notice {
            Notice::Dropped(_) => Notice::Dropped(core::mem::take(&mut self.dropped)),
            Notice::CookieTooLong => {
                self.cookie_too_long = false;
                notice
            }
            notice => notice,
        })
    }

    /// A message was dropped.
    pub(super) fn push_dropped(&mut self) {
        if self.dropped == 0 {
            self.push(Notice::Dropped(0));
        }
        self.dropped = self.dropped.saturating_add(1);
    }

    pub(super) fn push_cookie_too_long(&mut self) {
        if !core::mem::replace(&mut self.cookie_too_long, true) {
            self.push(Notice::CookieTooLong);
        }
    }

    /// Takes back that there was a failover, if it is the last that there is to be read; says where
    /// from.
    pub(super) fn take_back_failover(&mut self) -> Option<Option<PeIdentifier>> {
        let Some(Notice::FailedOver { from, .. }) = self.notices.back() else { return None };
        let from = *from;
        self.notices.pop_back();
        self.gates -= 1;
        Some(from)
    }

    /// Whether something is unread that closes the gate.
    pub(super) const fn closes_gate(&self) -> bool {
        self.gates > 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.notices.is_empty() && !self.room
    }

    /// How many bytes of data came that nobody has read, each as `cost` has it.
    pub(super) fn unread(&self, cost: impl Fn(usize) -> usize) -> usize {
        let data = self.notices.iter().filter_map(Notice::data);
        data.map(|data| cost(data.len())).sum()
    }

    pub(super) fn capacity(&self) -> usize {
        self.notices.capacity()
    }

    #[cfg(any(test, debug_assertions))]
    pub(super) fn check(&self) {
        assert_eq!(self.gates, self.notices.iter().filter(|notice| notice.closes_gate()).count());
    }
}

impl Notice {
    /// Whether no data goes to another element before it is read.
    const fn closes_gate(&self) -> bool {
        matches!(self, Self::FailedOver { .. } | Self::Lost { closes_gate: true, .. })
    }

    /// What came from the peer.
    pub(super) const fn data(&self) -> Option<&Bytes> {
        match self {
            Self::Received { data, .. } | Self::CookieEchoed(data) => Some(data),
            _ => None,
        }
    }
}
