//! Reports of unreachable pool elements (RFC 5352 §3.5): ASAP_ENDPOINT_UNREACHABLE to the home registrar.
//!
//! Whether a failure is an event of its own is decided where the failure marks are kept, in the pool: this machine gets
//! one call per event. It keeps the report until there is a home registrar, for a minute at most, sends no more than so
//! many in a second (RFC 5355 §2.13), and drops and counts the rest. Reports are not acknowledged.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::Instant;
use crate::context::Context;
use crate::id::ChannelId;
use crate::wire::{self, PeIdentifier, PoolHandle};

/// How long a report waits for a registrar; an older one says nothing about the present.
const MAX_AGE: Duration = Duration::from_secs(60);

/// The time over which sent reports are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// The report machine.
#[derive(Debug)]
pub(crate) struct Reports {
    pending: VecDeque<Report>,
    home: Option<ChannelId>,
    /// The beginning of the current window, and how many were sent in it.
    window: (Instant, u32),
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Report {
    handle: PoolHandle,
    identifier: PeIdentifier,
    since: Instant,
}

impl Reports {
    pub(crate) const fn new() -> Self {
        Self {
            pending: VecDeque::new(),
            home: None,
            window: (Instant::EPOCH, 0),
            buffer: Vec::new(),
        }
    }

    /// Whether a report waits for a registrar or for its turn.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// When the next report may go, or the oldest one is too old.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let oldest = self.pending.front()?.since + MAX_AGE;
        Some(if self.home.is_some() { oldest.min(self.window.0 + WINDOW) } else { oldest })
    }

    /// An element failed: one call per event (REPORT-2).
    pub(crate) fn unreachable(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        handle: PoolHandle,
        identifier: PeIdentifier,
    ) {
        if self.pending.len() >= ctx.config.max_pending_reports {
            ctx.stats.reports_dropped += 1;
            return;
        }
        self.pending.push_back(Report { handle, identifier, since: now });
        self.flush(now, ctx);
    }

    /// Says which channel leads to the home registrar, if any.
    pub(crate) fn set_home(&mut self, now: Instant, ctx: &mut Context, home: Option<ChannelId>) {
        if core::mem::replace(&mut self.home, home) != home {
            self.flush(now, ctx);
        }
    }

    /// Sends what may be sent and drops what is too old.
    pub(crate) fn flush(&mut self, now: Instant, ctx: &mut Context) {
        while self.pending.front().is_some_and(|oldest| now.since(oldest.since) >= MAX_AGE) {
            self.pending.pop_front();
            ctx.stats.reports_dropped += 1;
        }
        let Some(home) = self.home else { return };
        if now.since(self.window.0) >= WINDOW {
            self.window = (now, 0);
        }
        while self.window.1 < ctx.config.max_reports_per_second {
            let Some(Report { handle, identifier, .. }) = self.pending.pop_front() else { return };
            self.buffer.clear();
            let encoded =
                wire::encode_endpoint_unreachable(&mut self.buffer, handle.as_bytes(), identifier);
            if encoded.is_ok() {
                ctx.send_control(home, Bytes::copy_from_slice(&self.buffer));
                ctx.stats.reports_sent += 1;
                self.window.1 += 1;
            }
        }
    }
}
