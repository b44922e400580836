//! Reports of unreachable pool elements (RFC 5352 §3.5): ASAP_ENDPOINT_UNREACHABLE to the home
//! registrar.
//!
//! Whether a failure is an event of its own is decided where the failure marks are kept, in the
//! pool: this machine gets one call per event. It keeps the report until there is a home registrar,
//! for `report_age` at most, sends no more than so many in a second (RFC 5355 §2.13) and no more
//! than one for an element in a `report_interval`, and drops and counts the rest. Reports are not
//! acknowledged.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::Instant;
use crate::context::Context;
use crate::id::ChannelId;
use crate::recent::Recent;
use crate::timers::TimerKind;
use crate::wire::{self, PeIdentifier, PoolHandle};

/// The time over which sent reports are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// The report machine.
#[derive(Debug)]
pub(crate) struct Reports {
    pending: VecDeque<Report>,
    home: Option<ChannelId>,
    /// What was reported a moment ago.
    recent: Recent<(PoolHandle, PeIdentifier)>,
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
            recent: Recent::new(),
            window: (Instant::EPOCH, 0),
            buffer: Vec::new(),
        }
    }

    /// Whether a report waits for a registrar or for its turn.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// When the next report may go, or the oldest one is too old.
    pub(crate) fn next_timeout(&self, ctx: &Context) -> Option<(Instant, TimerKind)> {
        let oldest = self.pending.front()?.since + ctx.config.report_age;
        let next = match self.home {
            Some(_) => oldest.min(self.window.0 + WINDOW),
            None => oldest,
        };
        Some((next, TimerKind::Report))
    }

    /// An element failed: one call per event (REPORT-2).
    pub(crate) fn unreachable(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        handle: PoolHandle,
        identifier: PeIdentifier,
    ) {
        let key = (handle.clone(), identifier);
        let full = self.pending.len() >= ctx.config.max_pending_reports;
        if full || self.recent.until(now, &key).is_some() {
            ctx.stats.reports_dropped += 1;
            return;
        }
        let again = now + ctx.config.report_interval;
        self.recent.remember(now, again, ctx.config.max_elements, key);
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
        let age = ctx.config.report_age;
        while self.pending.front().is_some_and(|oldest| now.since(oldest.since) >= age) {
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
            let report = Bytes::copy_from_slice(&self.buffer);
            if encoded.is_ok() && ctx.send_control(home, report) {
                ctx.stats.reports_sent += 1;
                self.window.1 += 1;
            } else {
                ctx.stats.reports_dropped += 1;
            }
        }
    }
}
