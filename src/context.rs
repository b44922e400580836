//! What every machine may use: what the user wishes and the driver can do, the way to the driver,
//! the way to the application, the generator, the counters and the
//! journal.

use bytes::Bytes;

use crate::channel::Channels;
use crate::event::Events;
#[cfg(test)]
use crate::explorer::told_by;
use crate::id::ChannelId;
use crate::journal::{Journal, NoteKind};
use crate::misuse::Watch;
use crate::{Capabilities, Config, Rng, Stats};

/// Handed to every call of a machine.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) capabilities: Capabilities,
    pub(crate) rng: Rng,
    pub(crate) stats: Stats,
    pub(crate) channels: Channels,
    pub(crate) events: Events,
    pub(crate) journal: Journal,
    pub(crate) watch: Watch,
}

impl Context {
    pub(crate) fn new(config: Config, capabilities: Capabilities, seed: u64) -> Self {
        Self {
            journal: Journal::new(config.limits.max_notes),
            watch: Watch::new(),
            config,
            capabilities,
            rng: Rng::new(seed),
            stats: Stats::default(),
            channels: Channels::new(),
            events: Events::new(),
        }
    }

    /// Notes what was decided, and why.
    #[inline]
    pub(crate) fn note(&mut self, what: impl FnOnce() -> NoteKind) {
        self.journal.note(what);
    }

    /// Queues a control message on a channel, within the bound for a driver that does not poll;
    /// says whether it had room.
    #[must_use]
    pub(crate) fn send_control(&mut self, channel: ChannelId, message: Bytes) -> bool {
        let has_room = self.channels.has_room(message.len(), self.config.limits.max_control_bytes);
        if has_room {
            self.channels.send_control(channel, message);
        } else {
            self.stats.control_dropped += 1;
        }
        has_room
    }
}

#[cfg(test)]
told_by!(Context { channels, events } others { config, capabilities, rng, stats, journal, watch });
