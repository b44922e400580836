//! Registrars: the list of known ones, the hunt, and the home registrar (RFC 5352 §3.6, §3.7).
//!
//! A pool user knows addresses of registrars: configured ones for good, announced ones until
//! T7-ENRPoutdate runs out. When somebody needs a registrar and there is none, the machine *hunts*.
//! It sets up channels to as many as three addresses at once (SH1) and starts T5-Serverhunt (SH2).
//! An address that fails is replaced by the next one at once, but each is tried once in a round
//! only (SH4). When T5 expires, all attempts are given up, T5 doubles up to its cap,
//! and a new round begins with the addresses whose last try is the longest ago (SH5). The first
//! channel that comes up leads to the *home registrar*; the others are closed, T5 stops (SH3, SH6).
//!
//! A home that does not answer in time is doubted: the hunt goes on beside it, with two channels,
//! until it answers or an alternate comes up (§3.7.2). If a request ends before that, the home is
//! left: its channel may be dead without anyone having noticed, so that it is opened anew like any
//! other. If the request was given up sooner, the home is in doubt again as soon as somebody asks. A
//! home whose channel is lost while somebody waits is hunted for anew, the lost one last (§3.7.1). A
//! home that closes a channel which nobody needs has done nothing wrong: the same address is tried
//! first when the need arises; one whose idle channel broke is tried last. A home that refuses three
//! requests in a row is left, if another registrar is known.
//!
//! So there are two things, each of which may be there or not: a *home*, and a *search* for one. What
//! belongs to a search, its timer and its attempts, ends with it; a home beside which is searched is
//! in doubt.
//!
//! ```text
//!    home   search
//!    ────   ──────────────────────────────────────────────────────────────────────────────
//!    –      –          Idle: until one is needed
//!    –      Listening  none is known; ends with an announce, or after a wait in vain
//!    –      Reopening  the former home alone; goes on as Hunting when it fails or T5 expires
//!    –      Hunting    three addresses at once; a new round whenever T5 expires
//!    yes    –          Home
//!    yes    Hunting    Doubted, since T1: two addresses at once; ends with an answer, or with
//!                      the home, which leaves the search behind
//! ```
//!
//! Nothing spins: an address that accepts a channel and closes it again is not tried a second time
//! in its round, and after such a home T5 keeps what it has grown to until a valid answer comes or
//! RETRAN.max has passed (HUNT-6). Every other hunt starts with the initial T5 (HUNT-17; to let it
//! grow over hunts would be the other reading, under which an outage of hours ago makes a request
//! wait a minute for the fourth of five registrars). A search that ends because nobody waits any
//! longer leaves its round behind: one that begins before T5 would have run out goes on with it. Many
//! pool users that lose one registrar do not move in step: among addresses that were never tried the
//! generator chooses, and T5 is shortened to 75–100 % (HUNT-12).
//!
//! What the driver could not do for reasons of its own ([`CloseReason::Local`]) is held against no
//! registrar: another one is not tried in its stead, and the next round tries again.
//!
//! A registrar may say in an ASAP_ENDPOINT_KEEP_ALIVE that it wants to be the home (§2.2.7).
//! Channels to registrars other than the home are closed as soon as they are up, so that the only
//! one that can be heard to say this is the home itself: it stays what it is. One in doubt stays in
//! doubt, because a sign of life is not the answer that is waited for, and a registrar that gives
//! only such signs must not keep its users from finding another one.
//!
//! How long it takes until a failure is noticed and repaired stands in `docs/failures.md`.

mod addresses;
mod bars;
mod search;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use self::addresses::{AddressId, Addresses, announced_transports};
pub use self::search::HomeSearch;
use crate::channel::{Authentication, ChannelUser, CloseReason};
use crate::config::{Registrar, Security};
use crate::context::Context;
use crate::error::CommandError;
use crate::event::{Entry, Event};
#[cfg(test)]
use crate::explorer::ahead;
use crate::id::ChannelId;
use crate::journal::{HomeLossReason, NoteKind, PassedOver, Peer};
use crate::reach::Origin;
use crate::timers::{TimerKind, jitter};
use crate::wire::{ServerIdentifier, Transport, Transports};
use crate::{Instant, LossReason};

/// SH1: "An ASAP Endpoint MUST NOT establish more than three associations or connections."
const MAX_CHANNELS: usize = 3;

/// How many requests in a row a home may refuse before another one is tried (decision 42).
const MAX_REFUSALS: u32 = 3;

/// The registrar machine.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Registrars {
    addresses: Addresses,
    /// The home registrar, if there is one. One that is searched beside is in doubt.
    home: Option<Home>,
    search: Option<Search>,
    /// When T5 ends the present round, also if the search is broken off before.
    round_ends: Instant,
    /// Which round of the present hunt it is, from 1 on.
    round: u32,
    /// What T5-Serverhunt is set to next, before jitter.
    t5: Duration,
    /// When a home was lost last that had given no valid answer.
    fell: Option<Instant>,
    /// Whether a request or a report waits for a registrar.
    wanted: bool,
    /// Whether the application asked for a home and has not got one.
    started: bool,
    /// Whether somebody waits although no registrar is known and none has announced itself in
    /// time.
    hopeless: bool,
    /// The home whose idle channel ended, first when one is needed.
    preferred: Option<Transport>,
    /// What the application has not heard.
    notice: Option<Event>,
}

/// What the registrar machine needs of the other machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Those who wait for a registrar to be told that none is known.
    FailAll,
}

/// The search for a home.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
struct Search {
    stage: Stage,
    /// T5-Serverhunt, or the end of the wait for an announce.
    deadline: Instant,
    /// The channels that are being set up.
    attempts: Vec<Attempt>,
    /// Whether the application was told that it goes on in vain.
    in_vain: bool,
}

/// How far a search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
enum Stage {
    /// No registrar is known; an announce would help.
    Listening,
    /// The former home is tried before anyone else.
    Reopening,
    /// Up to three addresses are tried.
    Hunting,
}

/// The home registrar. It is known by its transport, as the list may forget its address and take it
/// in again meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) struct Home {
    pub(crate) channel: ChannelId,
    pub(crate) transport: Transport,
    pub(crate) authentication: Authentication,
    /// Whether it understands how many elements are wanted (RES-14).
    pub(crate) takes_wanted: bool,
    /// Since when it is the home.
    pub(crate) since: Instant,
    /// Whether it has given a valid answer since it became the home.
    proven: bool,
    /// Whether it has left a request unanswered since its last valid answer.
    silent: bool,
    /// How many requests in a row it has refused.
    refusals: u32,
}

/// What a home that is lost has to answer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blame {
    /// Nothing: the driver had to give its channel up.
    Nothing,
    /// It closed a channel, which is its right as long as nobody waits.
    Leaving,
    /// It failed, or left a request unanswered: it is tried last.
    Failing,
    /// It refuses whatever is asked: it is not tried before T5 expires.
    Refusing,
}

/// A channel that is being set up.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
struct Attempt {
    channel: ChannelId,
    transport: Transport,
    /// Whether the registrar has to be authenticated.
    secured: bool,
}

impl Registrars {
    pub(crate) fn new(ctx: &mut Context) -> Self {
        Self {
            addresses: Addresses::new(ctx),
            home: None,
            search: None,
            round_ends: Instant::EPOCH,
            round: 0,
            t5: ctx.config.discovery.t5_hunt,
            fell: None,
            wanted: false,
            started: false,
            hopeless: false,
            preferred: None,
            notice: None,
        }
    }

    /// The channel to the home registrar.
    pub(crate) const fn home(&self) -> Option<&Home> {
        self.home.as_ref()
    }

    /// How the search for it stands.
    pub(crate) fn search(&self) -> HomeSearch {
        match (&self.home, self.stage()) {
            (None, None) => HomeSearch::Idle,
            (None, Some(Stage::Listening)) => HomeSearch::Listening,
            (None, Some(Stage::Reopening)) => HomeSearch::Reopening,
            (None, Some(Stage::Hunting)) => HomeSearch::Hunting,
            (Some(_), None) => HomeSearch::Home,
            (Some(_), Some(_)) => HomeSearch::Doubted,
        }
    }

    /// The present round of a hunt, and when it ends.
    pub(crate) fn round(&self) -> Option<(u32, Instant)> {
        let search = self.search.as_ref().filter(|search| search.stage != Stage::Listening)?;
        Some((self.round, search.deadline))
    }

    /// Those that a channel is being set up to.
    pub(crate) fn tried(&self) -> impl Iterator<Item = &Transport> {
        self.attempts().map(|attempt| &attempt.transport)
    }

    fn stage(&self) -> Option<Stage> {
        self.search.as_ref().map(|search| search.stage)
    }

    /// Everyone in the list, in the order of their arrival.
    pub(crate) fn known(&self) -> impl Iterator<Item = &Registrar> {
        self.addresses.iter()
    }

    /// Those that were announced, and until when they are believed.
    pub(crate) fn announced_until(&self) -> impl Iterator<Item = (&Registrar, Instant)> {
        self.addresses.announced()
    }

    /// Those that are not who they should be, and until when they are left alone.
    pub(crate) fn barred(&self, now: Instant) -> impl Iterator<Item = (&Transport, Instant)> {
        self.addresses.bars.iter(now)
    }

    /// A registrar that is not who it should be, of which the application has not heard.
    pub(crate) fn take_barred(&mut self) -> Option<Transport> {
        self.addresses.bars.take_untold()
    }

    /// Whether any registrar is known.
    pub(crate) fn knows_any(&self) -> bool {
        !self.addresses.is_empty()
    }

    pub(crate) fn next_timeout(&self) -> Option<(Instant, TimerKind)> {
        let t7 = self.addresses.next_timeout().map(|at| (at, TimerKind::Outdate));
        let own = self.search.as_ref().map(|search| match search.stage {
            Stage::Listening => (search.deadline, TimerKind::AnnounceWait),
            _ => (search.deadline, TimerKind::Hunt),
        });
        own.into_iter().chain(t7).min()
    }

    /// What the application has to hear, if anything.
    pub(crate) fn take_notice(&mut self) -> Option<Event> {
        self.notice.take()
    }

    /// What it needs next of the other machines.
    pub(crate) fn poll_need(&mut self) -> Option<Need> {
        core::mem::take(&mut self.hopeless).then_some(Need::FailAll)
    }

    /// Whether it needs anything of the other machines.
    pub(crate) fn needs_any(&self) -> bool {
        self.hopeless
    }

    /// The application wants a home before anyone needs it (HUNT-2).
    pub(crate) fn start(&mut self, now: Instant, ctx: &mut Context) {
        if self.home.is_none() {
            self.started = true;
            if self.search.is_none() {
                self.seek(now, ctx);
            }
        }
    }

    /// Says whether a request waits for a registrar, or a report, which is worth a hunt but no wait
    /// for an announce.
    pub(crate) fn set_wanted(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        by_request: bool,
        by_report: bool,
    ) {
        let wanted = by_request || by_report;
        self.wanted = wanted;
        let worth_a_hunt = (wanted || self.started) && self.knows_any();
        let needed = wanted || self.started;
        match (&self.home, self.stage()) {
            (None, None) if by_request || worth_a_hunt => self.seek(now, ctx),
            // Nobody waited for its answer any longer, which is no reason to trust it again.
            (Some(home), None) if by_request && home.silent => {
                home.note_doubt(ctx);
                self.begin_hunt(now, ctx);
                self.hunt(now, ctx);
            }
            (None, Some(Stage::Listening)) if !by_request && !self.started => self.end_hunt(ctx),
            (None, Some(Stage::Reopening)) if !needed => {
                let former = self.attempts().next().map(|attempt| attempt.transport.clone());
                self.preferred = former;
                self.end_hunt(ctx);
            }
            (None, Some(Stage::Hunting)) if !needed => self.end_hunt(ctx),
            (Some(_), Some(_)) if !wanted => self.end_hunt(ctx),
            _ => {}
        }
    }

    /// T1-ENRPrequest of a request to the home expired: hunt beside it (§3.7.2).
    pub(crate) fn doubt(&mut self, now: Instant, ctx: &mut Context) {
        self.suspect();
        if let Some(home) = self.home.as_ref().filter(|_| self.search.is_none()) {
            home.note_doubt(ctx);
            self.begin_hunt(now, ctx);
            self.begin_round(now, ctx);
            self.hunt(now, ctx);
        }
    }

    /// The home has left a request unanswered for so long, although nobody waits for it any more.
    pub(crate) const fn suspect(&mut self) {
        if let Some(home) = &mut self.home {
            home.silent = true;
        }
    }

    /// A request to the home ended without an answer. If it has been silent all the time, its
    /// channel may be dead without anyone having noticed, and a new one may work: it is left
    /// (decision 39). Says whether it was.
    pub(crate) fn abandoned(&mut self, now: Instant, ctx: &mut Context) -> bool {
        let is_silent = self.home.as_ref().is_some_and(|home| home.silent);
        if is_silent {
            self.leave(now, ctx, HomeLossReason::Silent);
        }
        is_silent
    }

    /// A valid answer came from the home.
    pub(crate) fn answered(&mut self, ctx: &mut Context) {
        if let Some(home) = &mut self.home {
            (home.proven, home.silent, home.refusals) = (true, false, 0);
            if self.search.is_some() {
                let Home { channel, transport, .. } = &*home;
                let (channel, transport) = (*channel, transport);
                ctx.note(|| NoteKind::HomeAnswered { channel, transport: transport.clone() });
            }
            self.t5 = ctx.config.discovery.t5_hunt;
            self.fell = None;
            self.stop(ctx);
        }
    }

    /// The home refused a request for other reasons than that there is no such pool. It answers,
    /// and yet another one may do better (decision 42).
    pub(crate) fn refused(&mut self, now: Instant, ctx: &mut Context) {
        let before = self.home.as_ref().map_or(0, |home| home.refusals);
        self.answered(ctx);
        let Some(home) = &mut self.home else { return };
        home.refusals = before.saturating_add(1);
        if home.refusals >= MAX_REFUSALS
            && self.addresses.knows_other(now, &ctx.config, &home.transport)
        {
            let gone = self.lose(now, ctx, Blame::Refusing, HomeLossReason::Refusals);
            gone.iter().for_each(|home| ctx.channels.close(home.channel));
            self.start(now, ctx);
        }
    }

    /// The driver reports that a channel to a registrar is up.
    pub(crate) fn opened(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        channel: ChannelId,
        authentication: Authentication,
    ) {
        let Some(attempt) = self.take_attempt(|attempt| attempt.channel == channel) else { return };
        ctx.note(|| NoteKind::ChannelUp { channel, peer: attempt.peer() });
        let secured = attempt.secured || ctx.config.discovery.authenticated_only;
        if secured && authentication != Authentication::Verified {
            ctx.channels.close(channel);
            self.addresses.bars.add(now, ctx, attempt.transport);
            self.go_on(now, ctx);
            return;
        }
        if !self.addresses.may_be_home(&ctx.config, &attempt.transport) {
            let Attempt { transport, .. } = attempt;
            ctx.note(|| NoteKind::RegistrarPassedOver { transport, reason: PassedOver::Unsecured });
            ctx.channels.close(channel);
            self.go_on(now, ctx);
            return;
        }
        if let Some(former) = self.home.take() {
            ctx.channels.close(former.channel);
            former.note_loss(ctx, HomeLossReason::Replaced);
            self.addresses.demote(&former.transport);
        }
        self.stop(ctx);
        self.started = false;
        self.preferred = None;
        ctx.stats.homes_found += 1;
        let Attempt { channel, transport, .. } = attempt;
        ctx.note(|| NoteKind::HomeFound { channel, transport: transport.clone() });
        self.enqueue_notice(
            ctx,
            Event::RegistrarFound { transport: transport.clone(), authentication },
        );
        let takes_wanted = self.addresses.takes_wanted(&transport);
        self.home = Some(Home {
            channel,
            transport,
            authentication,
            takes_wanted,
            since: now,
            proven: false,
            silent: false,
            refusals: 0,
        });
    }

    /// The driver reports that a channel to a registrar is no more or did not come up.
    pub(crate) fn closed(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        channel: ChannelId,
        reason: CloseReason,
    ) {
        if let Some(attempt) = self.take_attempt(|attempt| attempt.channel == channel) {
            attempt.note_loss(ctx, LossReason::of(reason, false));
            match reason {
                CloseReason::Unauthenticated => {
                    self.addresses.bars.add(now, ctx, attempt.transport);
                }
                // The driver could not even try, which it could not elsewhere either: T5 is the
                // pause before it is asked again.
                CloseReason::Local => {
                    self.addresses.put_back(&attempt.transport);
                    return;
                }
                CloseReason::Closed | CloseReason::Failed => {}
            }
            self.go_on(now, ctx);
        } else if let Some(home) = self.home.as_ref().filter(|home| home.channel == channel) {
            // Before the hunt begins, so that it does not begin there.
            if reason == CloseReason::Unauthenticated {
                let impostor = home.transport.clone();
                self.addresses.bars.add(now, ctx, impostor);
            }
            let blame = match reason {
                CloseReason::Local => Blame::Nothing,
                CloseReason::Closed => Blame::Leaving,
                CloseReason::Failed | CloseReason::Unauthenticated => Blame::Failing,
            };
            let reason = HomeLossReason::Channel(LossReason::of(reason, true));
            self.lose(now, ctx, blame, reason);
        }
    }

    /// The home does not know the parameter that says how many elements are wanted; says whether
    /// that is news.
    pub(crate) fn refused_wanted(&mut self) -> bool {
        let Some(home) = &mut self.home else { return false };
        self.addresses.refused_wanted(&home.transport);
        core::mem::take(&mut home.takes_wanted)
    }

    /// The home is no good: it broke its byte stream, or does not know what a resolution is.
    pub(crate) fn leave(&mut self, now: Instant, ctx: &mut Context, reason: HomeLossReason) {
        if let Some(home) = self.lose(now, ctx, Blame::Failing, reason) {
            ctx.channels.close(home.channel);
        }
    }

    /// An ASAP_SERVER_ANNOUNCE came by multicast (§2.2.10). It has no `transports` if none of any kind
    /// is in it.
    pub(crate) fn announced(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        source: SocketAddr,
        server: ServerIdentifier,
        transports: Option<Transports<'_>>,
    ) {
        let mut usable = 0_u32;
        if ctx.config.discovery.accept_announces {
            let port = ctx.config.discovery.announced_security.default_port();
            let origin = Origin::of(source.ip());
            for transport in announced_transports(source, port, transports) {
                if let Some(transport) = ctx.capabilities.reachable_registrar(origin, transport) {
                    usable += 1;
                    self.addresses.announce(now, ctx, transport, server);
                }
            }
        }
        if usable == 0 {
            ctx.stats.announces_ignored += 1;
            return;
        }
        ctx.stats.announces += 1;
        match self.stage() {
            Some(Stage::Listening) if self.knows_any() => self.end_listening(now, ctx),
            _ => self.fill(now, ctx),
        }
    }

    /// Takes a registrar into the list for good, if it is not there (HUNT-16).
    pub(crate) fn add(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        registrar: Registrar,
    ) -> Result<(), CommandError> {
        self.addresses.add(ctx, registrar)?;
        match self.stage() {
            Some(Stage::Listening) => self.end_listening(now, ctx),
            _ => self.fill(now, ctx),
        }
        Ok(())
    }

    /// Takes a registrar out of the list, and leaves it if it is the home (HUNT-16); says whether
    /// it was known.
    pub(crate) fn remove(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        transport: &Transport,
    ) -> bool {
        let listed = self.addresses.remove(transport);
        let tried = self.take_attempt(|attempt| attempt.transport == *transport);
        if let Some(attempt) = &tried {
            attempt.close(ctx);
            self.go_on(now, ctx);
        }
        let is_home = self.home.as_ref().is_some_and(|home| home.transport == *transport);
        if is_home {
            self.leave(now, ctx, HomeLossReason::Removed);
            self.start(now, ctx);
        }
        listed || tried.is_some() || is_home
    }

    /// Something is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant, ctx: &mut Context) {
        if self.addresses.outdate(now, ctx) {
            self.fill(now, ctx);
        }
        if self.search.as_ref().is_some_and(|search| search.deadline <= now) {
            self.handle_deadline(now, ctx);
        }
    }

    /// Ends everything: attempts and the home.
    pub(crate) fn shut_down(&mut self, ctx: &mut Context) {
        self.stop(ctx);
        self.started = false;
        if let Some(home) = self.home.take() {
            ctx.channels.close(home.channel);
            let reason = HomeLossReason::ShutDown;
            ctx.note(|| home.loss(reason));
        }
    }

    fn handle_deadline(&mut self, now: Instant, ctx: &mut Context) {
        if self.stage() == Some(Stage::Listening) {
            self.search = None;
            self.hopeless = true;
            return;
        }
        ctx.stats.t5_expired += 1;
        self.enqueue_unreachable(ctx);
        self.give_up_attempts(ctx, |attempt, ctx| {
            ctx.channels.close(attempt.channel);
            attempt.note_loss(ctx, LossReason::TimedOut);
        });
        self.t5 = self.t5.saturating_mul(2).min(ctx.config.discovery.t5_max);
        self.round = self.round.saturating_add(1);
        self.begin_round(now, ctx);
        self.hunt(now, ctx);
    }

    /// Begins to look for a home.
    fn seek(&mut self, now: Instant, ctx: &mut Context) {
        self.begin_hunt(now, ctx);
        let preferred = self.preferred.take();
        let free = |former: &Transport| self.addresses.find_free(now, &ctx.config, former);
        if let Some(id) = preferred.as_ref().and_then(free) {
            self.enter(Stage::Reopening, self.round_ends);
            self.attempt(ctx, id);
        } else if self.knows_any() {
            self.hunt(now, ctx);
        } else {
            self.listen(now, ctx);
        }
    }

    /// No registrar is known: waits for an announce, if any can come.
    fn listen(&mut self, now: Instant, ctx: &mut Context) {
        self.stop(ctx);
        self.enqueue_notice(ctx, Event::NoRegistrarKnown);
        let waits =
            ctx.config.discovery.accept_announces && !ctx.config.discovery.announce_wait.is_zero();
        let until = waits.then(|| now + ctx.config.discovery.announce_wait);
        ctx.note(|| NoteKind::AnnounceAwaited { until });
        if let Some(until) = until {
            self.enter(Stage::Listening, until);
        } else {
            self.started = false;
            self.hopeless = true;
        }
    }

    /// A registrar became known.
    fn end_listening(&mut self, now: Instant, ctx: &mut Context) {
        self.begin_hunt(now, ctx);
        self.hunt(now, ctx);
    }

    /// Runs a round of the hunt from its start.
    fn hunt(&mut self, now: Instant, ctx: &mut Context) {
        ctx.stats.hunts += 1;
        self.enter(Stage::Hunting, self.round_ends);
        let (round, ends) = (self.round, self.round_ends);
        ctx.note(|| NoteKind::HuntRound { round, ends });
        self.fill(now, ctx);
    }

    /// An attempt ended without success: the next address takes its place (SH4).
    fn go_on(&mut self, now: Instant, ctx: &mut Context) {
        if let Some(Search { stage: stage @ Stage::Reopening, .. }) = &mut self.search {
            *stage = Stage::Hunting;
        }
        self.fill(now, ctx);
    }

    /// The home's channel is gone; hunts if anyone waits.
    fn lose(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        blame: Blame,
        reason: HomeLossReason,
    ) -> Option<Home> {
        let home = self.home.take()?;
        home.note_loss(ctx, reason);
        if !home.proven && blame != Blame::Nothing {
            self.fell = Some(now);
        }
        let is_searched = self.search.is_some();
        if !is_searched {
            self.begin_hunt(now, ctx);
            if home.proven {
                self.begin_round(now, ctx);
            }
        }
        let is_needed = is_searched || self.wanted;
        match blame {
            Blame::Nothing | Blame::Leaving if !is_needed => {
                self.preferred = Some(home.transport.clone());
            }
            Blame::Nothing => {}
            Blame::Leaving | Blame::Failing => self.addresses.demote(&home.transport),
            Blame::Refusing => self.addresses.pass_over(&home.transport),
        }
        if is_needed {
            self.enqueue_notice(ctx, Event::RegistrarLost);
        }
        match is_searched {
            true => self.fill(now, ctx),
            false if is_needed => self.hunt(now, ctx),
            false => {}
        }
        Some(home)
    }

    /// Goes to a stage of the search, which may begin with it.
    fn enter(&mut self, stage: Stage, deadline: Instant) {
        match &mut self.search {
            Some(search) => (search.stage, search.deadline) = (stage, deadline),
            None => {
                let attempts = Vec::new();
                self.search = Some(Search { stage, deadline, attempts, in_vain: false });
            }
        }
    }

    /// Nobody waits for a registrar.
    fn end_hunt(&mut self, ctx: &mut Context) {
        self.stop(ctx);
        ctx.note(|| NoteKind::HuntEnded);
    }

    /// Ends the search.
    fn stop(&mut self, ctx: &mut Context) {
        self.give_up_attempts(ctx, Attempt::close);
        self.search = None;
    }

    /// Gives up all attempts, which is not held against their addresses.
    fn give_up_attempts(&mut self, ctx: &mut Context, end: impl Fn(&Attempt, &mut Context)) {
        for attempt in self.search.iter_mut().flat_map(|search| search.attempts.drain(..)) {
            end(&attempt, ctx);
            self.addresses.put_back(&attempt.transport);
        }
    }

    /// A new hunt starts with the initial T5 (decision 40), and goes on with the round of the former
    /// one for no longer than that. Only a registrar that accepts and gives no answer must not make
    /// the pool user run after it: for RETRAN.max after such a home was lost, T5 keeps what it has
    /// grown to.
    fn begin_hunt(&mut self, now: Instant, ctx: &mut Context) {
        self.round = 1;
        if self.fell.is_none_or(|at| now.since(at) >= ctx.config.discovery.t5_max) {
            self.t5 = ctx.config.discovery.t5_hunt;
            if self.round_ends > now {
                self.round_ends = self.round_ends.min(now + jitter(&mut ctx.rng, self.t5));
            }
        }
        if self.round_ends <= now {
            self.begin_round(now, ctx);
        }
    }

    /// From here on, every address may be tried again.
    fn begin_round(&mut self, now: Instant, ctx: &mut Context) {
        self.addresses.begin_round();
        self.round_ends = now + jitter(&mut ctx.rng, self.t5);
    }

    /// Sets up as many channels as there may be (SH1). If the last address is gone, an announce has
    /// to come.
    fn fill(&mut self, now: Instant, ctx: &mut Context) {
        if self.stage() != Some(Stage::Hunting) {
            return;
        }
        let breadth = MAX_CHANNELS - usize::from(self.home.is_some());
        while self.attempts().count() < breadth {
            let Self { addresses, home, search, .. } = &mut *self;
            let home = home.as_ref().map(|home| &home.transport);
            let tried = search.iter().flat_map(|search| &search.attempts);
            let busy = tried.map(|attempt| &attempt.transport).chain(home);
            let Some(id) = addresses.choose(now, ctx, busy) else { break };
            self.attempt(ctx, id);
        }
        if self.attempts().next().is_none() {
            match self.home.is_none() && !self.knows_any() {
                true => self.listen(now, ctx),
                false => self.enqueue_unreachable(ctx),
            }
        }
    }

    fn attempt(&mut self, ctx: &mut Context, address: AddressId) {
        let Some(search) = &mut self.search else { return };
        let Some(Registrar { transport, security }) = self.addresses.begin_attempt(address) else {
            return;
        };
        let user = ChannelUser::Registrar;
        let secured = security != Security::None;
        let channel = ctx.channels.open(user, transport.clone(), security);
        ctx.stats.hunt_attempts += 1;
        ctx.note(|| NoteKind::RegistrarTried { channel, transport: transport.clone() });
        search.attempts.push(Attempt { channel, transport, secured });
    }

    fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.search.iter().flat_map(|search| &search.attempts)
    }

    fn take_attempt(&mut self, which: impl FnMut(&Attempt) -> bool) -> Option<Attempt> {
        let attempts = &mut self.search.as_mut()?.attempts;
        let index = attempts.iter().position(which)?;
        Some(attempts.swap_remove(index))
    }

    /// No registrar came up in a whole round.
    fn enqueue_unreachable(&mut self, ctx: &mut Context) {
        let Some(search) = self.search.as_mut().filter(|_| self.home.is_none()) else { return };
        let is_hunt = search.stage == Stage::Hunting;
        if is_hunt && !core::mem::replace(&mut search.in_vain, true) {
            let round = self.round;
            ctx.note(|| NoteKind::HuntInVain { round });
            self.enqueue_notice(ctx, Event::NoRegistrarReachable);
        }
    }

    /// Leaves word for the application; a later word replaces one that was not read.
    fn enqueue_notice(&mut self, ctx: &mut Context, event: Event) {
        if self.notice.replace(event).is_none() {
            ctx.events.push(Entry::Registrar);
        }
    }
}

impl Home {
    fn note_doubt(&self, ctx: &mut Context) {
        let Self { channel, transport, .. } = self;
        ctx.note(|| NoteKind::HomeDoubted { channel: *channel, transport: transport.clone() });
    }

    fn note_loss(&self, ctx: &mut Context, reason: HomeLossReason) {
        ctx.stats.homes_lost += 1;
        ctx.note(|| self.loss(reason));
    }

    fn loss(&self, reason: HomeLossReason) -> NoteKind {
        NoteKind::HomeLost { channel: self.channel, transport: self.transport.clone(), reason }
    }
}

impl Attempt {
    /// It is of no more use.
    fn close(&self, ctx: &mut Context) {
        ctx.channels.close(self.channel);
        ctx.note(|| NoteKind::ChannelClosed { channel: self.channel, peer: self.peer() });
    }

    fn note_loss(&self, ctx: &mut Context, reason: LossReason) {
        let channel = self.channel;
        ctx.note(|| NoteKind::ChannelLost { channel, peer: self.peer(), reason });
    }

    fn peer(&self) -> Peer {
        Peer::Registrar { transport: self.transport.clone() }
    }
}

/// In the explorer's fingerprints: of the end of a round only whether it has come.
#[cfg(test)]
impl core::hash::Hash for Registrars {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        let Self { addresses, home, search, round_ends, t5, fell, .. } = self;
        (addresses, home, search, ahead(*round_ends), t5, fell).hash(state);
        let Self { wanted, started, hopeless, preferred, notice, .. } = self;
        (wanted, started, hopeless, preferred, notice).hash(state);
    }
}
