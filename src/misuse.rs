//! The mistakes of drivers, and how they are noticed.
//!
//! Input is always accepted ([`PoolUser`](crate::PoolUser)), so that a driver which makes one of these
//! mistakes is not told so by any `Err`: its pool user only works worse, or waits. Each mistake is
//! counted in [`Stats::misuses`](crate::Stats::misuses) and told in the journal, as
//! [`NoteKind::Misused`]. Most are seen in the input itself; three are things
//! that a driver does *not* do, which time tells.

use core::fmt;
use core::time::Duration;

use thiserror::Error;

use crate::Instant;
use crate::channel::Channels;
use crate::context::Context;
use crate::id::{ChannelId, MessageId};
use crate::journal::{NoteKind, named};

/// How long an action may wait for the driver before that is a mistake.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long a driver may go without having confirmed anything of what it declared.
const SILENCE: Duration = Duration::from_secs(60);

named! {
/// A mistake of the driver, one for each rule that it may break.
///
/// A driver is clean if none of these is ever noted, whatever the network does: input that was under
/// way when an [`Action::Close`](crate::Action::Close) came is none as long as that has not been
/// polled, nor is [`handle_closed`](crate::PoolUser::handle_closed) after it. The simulator panics on the
/// first (`Sim::set_strict`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Misuse {
    /// A call came with an earlier time than one before; it counts as the same time.
    #[error("time went backwards by {by:?}")]
    TimeWentBack {
        /// By how much.
        by: Duration,
    },
    /// An action waits, which [`poll_timeout`](crate::PoolUser::poll_timeout) says by being due, and
    /// [`poll_action`](crate::PoolUser::poll_action) was not called for ten seconds.
    #[error("actions wait since {since:?} and were not polled")]
    NotPolled {
        /// Since when.
        since: Instant,
    },
    /// Input on a channel that there is not: the driver has told its end, has polled
    /// [`Action::Close`](crate::Action::Close), or never had it.
    #[error("{input} on {channel:?}, which has ended or never was")]
    UnknownChannel {
        /// The channel.
        channel: ChannelId,
        /// What came.
        input: Input,
    },
    /// Input on a channel before [`handle_opened`](crate::PoolUser::handle_opened).
    #[error("{input} on {channel:?}, of which it was not told that it is up")]
    BeforeOpened {
        /// The channel.
        channel: ChannelId,
        /// What came.
        input: Input,
    },
    /// [`handle_opened`](crate::PoolUser::handle_opened) a second time for the same channel, or for one
    /// that was accepted.
    #[error("{channel:?} was opened a second time")]
    OpenedTwice {
        /// The channel.
        channel: ChannelId,
    },
    /// What a registrar sent over TCP came in as application data; it belongs to
    /// [`handle_stream`](crate::PoolUser::handle_stream). (Over SCTP it is for the peer to say, by the
    /// payload protocol identifier, so that it may be the peer that is mistaken.)
    #[error("data on {channel:?}, which leads to a registrar")]
    DataOfRegistrar {
        /// The channel.
        channel: ChannelId,
    },
    /// What an element sent came in as the byte stream of a registrar; it belongs to
    /// [`handle_data`](crate::PoolUser::handle_data) or, where control messages can be told from data,
    /// [`handle_control`](crate::PoolUser::handle_control).
    #[error("a registrar's byte stream on {channel:?}, which leads to an element")]
    StreamOfElement {
        /// The channel.
        channel: ChannelId,
    },
    /// A control message came from an element over a transport of which it was not declared that
    /// control messages can be told from data. (Over SCTP it is for the peer to say.)
    #[error("a control message on {channel:?}, where none was declared to come")]
    ControlNotDeclared {
        /// The channel.
        channel: ChannelId,
    },
    /// It was told what became of a message, of which the driver had declared that it would not tell.
    #[error("{input} of {message:?} on {channel:?}, which was not declared")]
    ConfirmationNotDeclared {
        /// The channel.
        channel: ChannelId,
        /// The message.
        message: MessageId,
        /// What was told.
        input: Input,
    },
    /// It was told what became of a message that is not handed over on this channel, or a second
    /// time. (A message that the application has confirmed meanwhile is none of those.)
    #[error("{input} of {message:?} on {channel:?}, which is not waited for")]
    ConfirmationNotAwaited {
        /// The channel.
        channel: ChannelId,
        /// The message.
        message: MessageId,
        /// What was told.
        input: Input,
    },
    /// The driver has declared that it tells of each message that it was written, and has told of none
    /// in the minute since the first was handed over on this channel, which is up.
    #[error("no message was ever told to be written, not in the minute since {since:?} on {channel:?}")]
    NeverWritten {
        /// The channel.
        channel: ChannelId,
        /// When the first message was handed over.
        since: Instant,
    },
    /// The driver has declared that it tells of each message whether it was delivered, and has told of
    /// none in the minute since the first was handed over on this channel, which is up and has brought
    /// an answer.
    #[error("no message was ever told to be delivered, not in the minute since {since:?} on {channel:?}")]
    NeverDelivered {
        /// The channel.
        channel: ChannelId,
        /// When the first message was handed over.
        since: Instant,
    },
}
}

/// Which call of the driver it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Input {
    /// [`handle_opened`](crate::PoolUser::handle_opened).
    Opened,
    /// [`handle_control`](crate::PoolUser::handle_control).
    Control,
    /// [`handle_stream`](crate::PoolUser::handle_stream).
    Stream,
    /// [`handle_data`](crate::PoolUser::handle_data).
    Data,
    /// [`handle_written`](crate::PoolUser::handle_written).
    Written,
    /// [`handle_delivered`](crate::PoolUser::handle_delivered).
    Delivered,
    /// [`handle_unsent`](crate::PoolUser::handle_unsent).
    Unsent,
    /// [`handle_control_unsent`](crate::PoolUser::handle_control_unsent).
    ControlUnsent,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opened => "handle_opened",
            Self::Control => "handle_control",
            Self::Stream => "handle_stream",
            Self::Data => "handle_data",
            Self::Written => "handle_written",
            Self::Delivered => "handle_delivered",
            Self::Unsent => "handle_unsent",
            Self::ControlUnsent => "handle_control_unsent",
        })
    }
}

/// What a driver owes, and since when.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Watch {
    unpolled: Unpolled,
    pub(crate) written: Owed,
    pub(crate) delivered: Owed,
}

#[derive(Debug, Clone, Copy)]
enum Unpolled {
    No,
    Since(Instant),
    Told,
}

/// Whether a driver confirms what it has declared to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owed {
    /// Nothing was handed over that it would confirm.
    Nothing,
    /// Since the first was handed over, and whether the channel has shown that it works.
    Since(Instant, ChannelId, bool),
    /// It has confirmed something, so that it knows how; or was told that it does not.
    Settled,
}

impl Owed {
    /// A message was handed over that the driver is to confirm; `works` if that alone shows that it
    /// can.
    pub(crate) const fn owe(&mut self, now: Instant, channel: ChannelId, works: bool) {
        if let Self::Nothing = self {
            *self = Self::Since(now, channel, works);
        }
    }

    /// The peer has answered.
    pub(crate) fn heard(&mut self, channel: ChannelId) {
        if let Self::Since(_, on, works) = self {
            *works |= *on == channel;
        }
    }

    pub(crate) const fn settle(&mut self) {
        *self = Self::Settled;
    }

    /// The channel and the time of the first, if that is too long ago.
    fn due(&mut self, now: Instant, channels: &Channels) -> Option<(ChannelId, Instant)> {
        let Self::Since(since, channel, works) = *self else { return None };
        if now.since(since) < SILENCE {
            return None;
        }
        let is_up = channels.user(channel).is_some();
        *self = if is_up && works { Self::Settled } else { Self::Nothing };
        (is_up && works).then_some((channel, since))
    }
}

impl Watch {
    pub(crate) const fn new() -> Self {
        Self { unpolled: Unpolled::No, written: Owed::Nothing, delivered: Owed::Nothing }
    }

    /// The driver has asked for the next action.
    pub(crate) const fn polled(&mut self) {
        self.unpolled = Unpolled::No;
    }
}

impl Context {
    /// Counts and notes a mistake of the driver.
    pub(crate) fn misuse(&mut self, misuse: Misuse) {
        self.stats.misuses += 1;
        self.journal.note(|| NoteKind::Misused { misuse });
    }

    /// Time has come to `now`, from `former`; what the driver did not do meanwhile.
    #[inline]
    pub(crate) fn time_passes(&mut self, former: Instant, now: Instant) {
        if now > former {
            self.journal.now = now;
            self.look_back(former, now);
        } else if now < former {
            self.misuse(Misuse::TimeWentBack { by: former - now });
        }
    }

    fn look_back(&mut self, former: Instant, now: Instant) {
        self.watch.unpolled = match self.watch.unpolled {
            _ if !self.channels.has_action() => Unpolled::No,
            Unpolled::No => Unpolled::Since(former),
            Unpolled::Since(since) if now.since(since) >= PATIENCE => {
                self.misuse(Misuse::NotPolled { since });
                Unpolled::Told
            }
            other => other,
        };
        if let Some((channel, since)) = self.watch.written.due(now, &self.channels) {
            self.misuse(Misuse::NeverWritten { channel, since });
        }
        if let Some((channel, since)) = self.watch.delivered.due(now, &self.channels) {
            self.misuse(Misuse::NeverDelivered { channel, since });
        }
    }

    /// Input came on a channel that is not up, or was opened twice.
    pub(crate) fn unknown_channel(&mut self, channel: ChannelId, input: Input) {
        self.stats.unknown_channels += 1;
        if let Some(misuse) = self.channels.mistake(channel, input) {
            self.misuse(misuse);
        }
    }
}
