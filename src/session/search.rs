//! The search for an element: whom to turn to next, and when (RFC 5352 §3.7, §6.5.2).
//!
//! A search belongs to whoever waits: a session without its element, or the message whose turn it
//! is. It goes over the pool in *rounds*. In a round each element is tried once: the one asked for,
//! then those that a business card prefers, then the policy's choices among the others. After a
//! round there is a pause, and the registrar is asked for its newest list.
//!
//! What ends a search is *progress*, not a channel that comes up: a message that is delivered,
//! confirmed or answered, or a channel that has lasted for `sessions.stable_after`. Until then a search that
//! has to go on does so from where it was, so that elements which accept a channel and end it, over
//! and over, are called less and less often: two in a row make no difference, from the third on
//! there are pauses, each twice as long as the one before.

use alloc::vec::Vec;
use core::time::Duration;

use super::card::Preferred;
use super::options::LossReason;
use crate::context::Context;
use crate::id::SessionId;
use crate::journal::{NoteKind, PassedOver, PauseReason};
use crate::pool::Pool;
use crate::time::nanos;
use crate::timers::jitter;
use crate::wire::{PeIdentifier, Transport};
use crate::{Instant, Rng};

/// So many elements in a row may come up and end before any progress, and the next one is called at
/// once.
const MAX_FLAPS: u32 = 2;

/// So many elements that are passed over for their marks are noted in one choice.
const MAX_TOLD: usize = 8;

/// Whom to turn to.
pub(super) struct Next {
    pub(super) element: PeIdentifier,
    pub(super) to: Transport,
    /// Whether this is the element's turn by the policy, which it gives back where it cannot be reached.
    pub(super) by_policy: bool,
}

/// Who was tried, and what is next.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) struct Search {
    pub(super) step: Step,
    /// The element that the session was opened on, if it has not been looked for yet, and whether
    /// a newer list was asked for on its account.
    pub(super) named: Option<(PeIdentifier, bool)>,
    /// The element to be tried before others.
    pub(super) first: Option<PeIdentifier>,
    /// The elements that were tried in this round.
    pub(super) tried: Vec<PeIdentifier>,
    /// How many rounds were in vain.
    pub(super) rounds: u32,
    pauses: u32,
    /// How many elements in a row came up and ended before any progress.
    flaps: u32,
    /// Whether an element that had closed in good order was called again.
    recalled: bool,
    /// Whether the list was looked at for those who wait (RFC 5352 §3.3 C2).
    pub(super) checked: bool,
    /// Since when a session that keeps its element has none.
    pub(super) since: Option<Instant>,
    /// Whether there was a pause since an element was lost for the last time.
    paused: bool,
    /// When an element came up, or was lost, for the last time.
    last: Instant,
}

/// What a search waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(super) enum Step {
    /// For nothing.
    Ready,
    /// For a list of the pool, if need be without end, since the resolver bounds it.
    Resolving(Option<Instant>),
    /// For the end of a pause, after which it may ask for a newer list.
    Pausing { until: Instant, anew: bool },
}

impl Next {
    /// The policy's choice, none of `tried`.
    pub(super) fn by_policy(
        now: Instant,
        ctx: &mut Context,
        pool: &mut Pool,
        tried: &[PeIdentifier],
    ) -> Option<Self> {
        let chosen = pool.select(now, ctx, tried)?;
        let (element, to) = (chosen.identifier(), chosen.transport().to_owned());
        // One that has failed was handed out for want of others.
        Some(Self { element, to, by_policy: !pool.is_marked(now, element) })
    }
}

impl Search {
    pub(super) const fn begin(now: Instant) -> Self {
        Self {
            step: Step::Ready,
            named: None,
            first: None,
            tried: Vec::new(),
            rounds: 0,
            pauses: 0,
            flaps: 0,
            recalled: false,
            checked: false,
            since: None,
            paused: false,
            last: now,
        }
    }

    /// For another element than `from`, and `to` before all others.
    pub(super) fn elsewhere(
        now: Instant,
        from: Option<PeIdentifier>,
        to: Option<PeIdentifier>,
    ) -> Self {
        Self { first: to, tried: from.into_iter().collect(), ..Self::begin(now) }
    }

    /// Whom to turn to: the element asked for, else the first of those that a card prefers, else the
    /// policy's choice; none of those that were tried in this round.
    pub(super) fn choose(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        session: SessionId,
        pool: &mut Pool,
        preferred: &[Preferred],
    ) -> Option<Next> {
        let pass_over = |ctx: &mut Context, element, reason| {
            ctx.note(|| NoteKind::ElementPassedOver { session, element, reason });
        };
        let listed = |pool: &mut Pool, identifier| {
            let to = pool.hand_out(identifier).then(|| pool.element(identifier)).flatten()?;
            Some(Next { element: identifier, to: to.transport().to_owned(), by_policy: false })
        };
        if let Some(first) = self.first.take() {
            let found = listed(pool, first);
            if found.is_some() {
                return found;
            }
            pass_over(ctx, first, pool.why_not(first));
        }
        for Preferred { identifier, transport } in preferred {
            let marked = pool.marked_until(now, *identifier);
            let failed = match self.tried.contains(identifier) {
                true => Some(PassedOver::Tried),
                false => marked.map(|until| PassedOver::Marked { until }),
            };
            if let Some(reason) = failed {
                pass_over(ctx, *identifier, reason);
                continue;
            }
            let found = listed(pool, *identifier).or_else(|| {
                // Where the card says it is, if that is trusted and the registrar does not know.
                let to = transport.as_deref().filter(|_| pool.element(*identifier).is_none())?;
                Some(Next { element: *identifier, to: to.clone(), by_policy: false })
            });
            if found.is_some() {
                return found;
            }
            pass_over(ctx, *identifier, pool.why_not(*identifier));
        }
        let chosen = Next::by_policy(now, ctx, pool, &self.tried);
        if ctx.journal.is_on() {
            let chosen = chosen.as_ref().map(|chosen| chosen.element);
            for (element, reason) in self.passed_over(now, pool, chosen) {
                pass_over(ctx, element, reason);
            }
        }
        chosen
    }

    /// Whom the policy has passed over: at its first choice in a round those that are marked, some of
    /// them if they are many, and at each the one that was tried last.
    fn passed_over(
        &self,
        now: Instant,
        pool: &Pool,
        chosen: Option<PeIdentifier>,
    ) -> impl Iterator<Item = (PeIdentifier, PassedOver)> {
        let is_first = self.tried.len() <= 1;
        let marked = pool.marks(now).filter(move |(element, _)| {
            is_first
                && Some(*element) != chosen
                && !self.tried.contains(element)
                && pool.element(*element).is_some()
        });
        let marked = marked.map(|(element, until)| (element, PassedOver::Marked { until }));
        let tried = self.tried.last().map(|element| (*element, PassedOver::Tried));
        tried.into_iter().chain(marked.take(MAX_TOLD))
    }

    /// An element was lost, after its channel had been up or before. Says whether there is a pause.
    pub(super) fn element_lost(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        session: SessionId,
        (element, reason): (Option<PeIdentifier>, LossReason),
        was_up: bool,
    ) -> bool {
        // Of many links that end at once all are one trouble.
        let pausing =
            self.paused && matches!(self.step, Step::Pausing { until, .. } if until > now);
        (self.last, self.paused) = (now, pausing);
        self.flaps += u32::from(was_up && reason != LossReason::Moved);
        match reason {
            LossReason::Closed if !self.recalled => {
                self.recalled = true;
                self.first = element;
            }
            // It may well be there.
            LossReason::Local => {}
            _ => self.tried.extend(element),
        }
        let pauses = reason == LossReason::Local || self.flaps > MAX_FLAPS;
        if pauses && !pausing {
            let why = match reason {
                LossReason::Local => PauseReason::Local,
                _ => PauseReason::Flapping,
            };
            self.pause(now, ctx, session, why);
        }
        pauses
    }

    /// An element came up.
    pub(super) const fn came_up(&mut self, now: Instant) {
        (self.last, self.since) = (now, None);
    }

    /// Every element was tried. Says whether there may be another round.
    pub(super) fn round_over(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        session: SessionId,
    ) -> bool {
        self.tried.clear();
        self.recalled = false;
        self.rounds += 1;
        let (round, of) = (self.rounds, ctx.config.sessions.max_rounds);
        ctx.note(|| NoteKind::RoundEnded { session, round, of });
        let goes_on = round < of;
        if !goes_on {
            self.rounds = 0;
        }
        if self.paused {
            self.step = Step::Pausing { until: now, anew: true };
        } else {
            self.pause(now, ctx, session, PauseReason::RoundEnded);
        }
        goes_on
    }

    /// Waits, twice as long as the last time, and after a round has a newer list asked for.
    fn pause(&mut self, now: Instant, ctx: &mut Context, session: SessionId, reason: PauseReason) {
        let doubled = 2_u32.saturating_pow(self.pauses.min(31));
        let nominal = ctx.config.sessions.session_backoff.saturating_mul(doubled);
        self.pauses += 1;
        self.paused = true;
        let pause = jitter(&mut ctx.rng, nominal.min(ctx.config.sessions.session_backoff_max));
        let (until, anew) = (now + pause, reason == PauseReason::RoundEnded);
        ctx.note(|| NoteKind::SessionPaused { session, until, reason });
        self.step = Step::Pausing { until, anew };
    }

    /// Waits for a turn somewhere within `spread`; until when.
    pub(super) fn yield_within(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        spread: Duration,
    ) -> Instant {
        let until = now + Duration::from_nanos(rng.below(nanos(spread)));
        self.step = Step::Pausing { until, anew: false };
        until
    }

    /// Forgets what came before some progress, but for the element that is still to be looked for.
    pub(super) fn progress(&mut self) {
        let step = match self.step {
            Step::Pausing { .. } => Step::Ready,
            other => other,
        };
        *self = Self { step, named: self.named, checked: self.checked, ..Self::begin(self.last) };
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_blank(&self) -> bool {
        self.step == Step::Ready
            && self.named.is_none()
            && self.first.is_none()
            && self.tried.is_empty()
            && !self.recalled
            && (self.rounds, self.pauses, self.flaps) == (0, 0, 0)
    }

    /// When what it remembers does not count any more if nobody waits: as long after an element came
    /// up, or was lost, as one has to last in order to serve.
    pub(super) fn fades(&self, ctx: &Context) -> Option<Instant> {
        let at = self.last + ctx.config.sessions.stable_after;
        match self.step {
            _ if self.named.is_some() => None,
            Step::Ready => Some(at),
            Step::Resolving(_) => None,
            Step::Pausing { until, .. } => Some(at.max(until)),
        }
    }
}
