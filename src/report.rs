//! Reports of unreachable pool elements (RFC 5352 §3.5): ASAP_ENDPOINT_UNREACHABLE to the home
//! registrar.
//!
//! Whether a failure is an event of its own is decided where the failure marks are kept, in the
//! pool: this machine gets one call per event. It keeps the report until there is a home registrar,
//! for `resolution.report_age` at most, sends no more than so many in a second (RFC 5355 §2.13) and no more
//! than one for an element in a `resolution.report_interval`, and drops and counts the rest.
//!
//! A report is not queued with the channel: it is made at the moment the driver polls. So it is
//! withdrawn if the element proves to be well before that, and it survives a home that is lost. Reports
//! are not acknowledged. One that left within the last [`RESEND`] before the home was lost, or that
//! the driver gives back, goes to the next home, once (§3.7.1). The other reading, that what was handed
//! to the transport has been sent, loses the report whenever the failure that it tells of has hit the
//! registrar too.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::Instant;
use crate::context::Context;
#[cfg(test)]
use crate::explorer::ahead;
use crate::id::{ChannelId, PoolId};
use crate::journal::{NoteKind, ReportDrop};
use crate::recent::Recent;
use crate::timers::TimerKind;
use crate::wire::{self, PeIdentifier, PoolHandle};

/// The time over which sent reports are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// How long after it left a report may be lost with its channel.
const RESEND: Duration = Duration::from_secs(2);

/// The report machine.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Reports {
    pending: VecDeque<Report>,
    /// What has left for the present home within [`RESEND`], and when.
    left: VecDeque<(Instant, Report)>,
    home: Option<ChannelId>,
    /// What was reported a moment ago.
    recent: Recent<(PoolHandle, PeIdentifier)>,
    /// The beginning of the current window, and how many were sent in it.
    window: (Instant, u32),
    buffer: Vec<u8>,
}

/// An element that was found unreachable.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(crate) struct Report {
    handle: PoolHandle,
    pub(crate) identifier: PeIdentifier,
    /// The pool that has the element's mark, if it is known.
    pub(crate) pool: Option<PoolId>,
    pub(crate) since: Instant,
    /// Whether it was sent before.
    again: bool,
}

impl Reports {
    pub(crate) const fn new() -> Self {
        Self {
            pending: VecDeque::new(),
            left: VecDeque::new(),
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
        let oldest = self.pending.front()?.since + ctx.config.resolution.report_age;
        // What a home may have in this window, the driver is called for at once.
        let next_window = self.home.map(|_| self.window.0 + WINDOW);
        Some((next_window.into_iter().fold(oldest, Instant::min), TimerKind::Report))
    }

    /// An element failed: one call per event (REPORT-2).
    pub(crate) fn unreachable(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        (handle, pool): (PoolHandle, Option<PoolId>),
        identifier: PeIdentifier,
    ) {
        let key = (handle.clone(), identifier);
        let report = Report { handle, identifier, pool, since: now, again: false };
        if self.pending.len() >= ctx.config.limits.max_pending_reports {
            return report.drop(ctx, ReportDrop::TooMany);
        }
        if self.recent.until(now, &key).is_some() {
            return report.drop(ctx, ReportDrop::TooSoon);
        }
        let again = now + ctx.config.resolution.report_interval;
        self.recent.remember(now, again, ctx.config.limits.max_elements, key);
        self.pending.push_back(report);
        self.call(now, ctx);
    }

    /// Takes back what is no longer true (REPORT-8): an element that proved to be well is as good as
    /// never reported.
    pub(crate) fn withdraw(&mut self, ctx: &mut Context, is_well: impl Fn(&Report) -> bool) {
        let Self { pending, recent, .. } = self;
        pending.retain(|report| {
            let withdrawn = is_well(report);
            if withdrawn {
                ctx.stats.reports_withdrawn += 1;
                report.note(ctx, |handle, element| NoteKind::ReportWithdrawn { handle, element });
                recent.forget(&(report.handle.clone(), report.identifier));
            }
            !withdrawn
        });
    }

    /// Says which channel leads to the home registrar, if any.
    pub(crate) fn set_home(&mut self, now: Instant, ctx: &mut Context, home: Option<ChannelId>) {
        if core::mem::replace(&mut self.home, home) == home {
            return;
        }
        while let Some((at, report)) = self.left.pop_back() {
            if now.since(at) <= RESEND {
                self.repeat(ctx, report);
            }
        }
        self.call(now, ctx);
    }

    /// The driver gives back a report that it has not sent on `channel`.
    pub(crate) fn unsent(
        &mut self,
        ctx: &mut Context,
        channel: ChannelId,
        handle: &[u8],
        identifier: PeIdentifier,
    ) {
        let is_it = |it: &Report| it.handle.as_bytes() == handle && it.identifier == identifier;
        let index = self.left.iter().position(|(_, report)| is_it(report));
        let index = index.filter(|_| self.home == Some(channel));
        if let Some((_, report)) = index.and_then(|index| self.left.remove(index)) {
            self.repeat(ctx, report);
        }
    }

    /// Lets a report wait once more, before the others, which are younger.
    fn repeat(&mut self, ctx: &mut Context, report: Report) {
        if report.again {
            return;
        }
        if self.pending.len() >= ctx.config.limits.max_pending_reports {
            return report.drop(ctx, ReportDrop::TooMany);
        }
        ctx.stats.reports_repeated += 1;
        report.note(ctx, |handle, element| NoteKind::ReportRepeated { handle, element });
        self.pending.push_front(Report { again: true, ..report });
    }

    /// Drops what is too old, and lets the driver poll for what may be sent.
    pub(crate) fn handle_timeout(&mut self, now: Instant, ctx: &mut Context) {
        self.expire(now, ctx);
        self.call(now, ctx);
    }

    /// The next report, if there is one that may be sent on `channel`.
    pub(crate) fn pull(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        channel: ChannelId,
    ) -> Option<Bytes> {
        self.expire(now, ctx);
        if self.home != Some(channel) || self.pending.is_empty() {
            return None;
        }
        self.turn_window(now);
        while self.window.1 < ctx.config.limits.max_reports_per_second {
            let report = self.pending.pop_front()?;
            let Report { handle, identifier, .. } = &report;
            self.buffer.clear();
            let encoded =
                wire::encode_endpoint_unreachable(&mut self.buffer, handle.as_bytes(), *identifier);
            if encoded.is_err() {
                report.drop(ctx, ReportDrop::TooLong);
                continue;
            }
            self.window.1 += 1;
            ctx.stats.reports_sent += u64::from(!report.again);
            report.note(ctx, |handle, element| NoteKind::ReportSent { handle, element, channel });
            let over = |(at, _): &(Instant, Report)| now.since(*at) > RESEND;
            while self.left.front().is_some_and(over)
                || self.left.len() >= ctx.config.limits.max_pending_reports
            {
                self.left.pop_front();
            }
            self.left.push_back((now, report));
            return Some(Bytes::copy_from_slice(&self.buffer));
        }
        None
    }

    fn turn_window(&mut self, now: Instant) {
        if now.since(self.window.0) >= WINDOW {
            self.window = (now, 0);
        }
    }

    fn expire(&mut self, now: Instant, ctx: &mut Context) {
        let age = ctx.config.resolution.report_age;
        while self.pending.front().is_some_and(|oldest| now.since(oldest.since) >= age) {
            let oldest = self.pending.pop_front();
            oldest.iter().for_each(|report| report.drop(ctx, ReportDrop::TooOld));
        }
    }

    /// Lets the driver poll the home's channel for reports.
    fn call(&mut self, now: Instant, ctx: &mut Context) {
        self.turn_window(now);
        let may_go = self.is_waiting() && self.window.1 < ctx.config.limits.max_reports_per_second;
        if let Some(home) = self.home.filter(|_| may_go) {
            ctx.channels.touch(home);
        }
    }
}

impl Report {
    /// It will not be sent.
    fn drop(&self, ctx: &mut Context, reason: ReportDrop) {
        ctx.stats.reports_dropped += 1;
        self.note(ctx, |handle, element| NoteKind::ReportDropped { handle, element, reason });
    }

    fn note(&self, ctx: &mut Context, what: impl FnOnce(PoolHandle, PeIdentifier) -> NoteKind) {
        ctx.note(|| what(self.handle.clone(), self.identifier));
    }
}

/// In the explorer's fingerprints: without a window that is over, or what left long ago.
#[cfg(test)]
impl core::hash::Hash for Reports {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        let window = ahead(self.window.0 + WINDOW);
        let sent = if window.is_zero() { 0 } else { self.window.1 };
        (&self.pending, self.home, &self.recent, window, sent).hash(state);
        for (at, report) in &self.left {
            let counts = ahead(*at + RESEND);
            if !counts.is_zero() {
                (counts, report).hash(state);
            }
        }
    }
}
