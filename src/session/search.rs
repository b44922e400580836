//! The search for an element: resolve, choose, connect, and all over again when that fails (RFC
//! 5352 §3.7, §6.5.2).

use alloc::vec::Vec;
use core::time::Duration;

use super::card::Preferred;
use super::{Gate, NOBODY, Need, Role, Session, Sessions, State};
use crate::Instant;
use crate::cache::Cache;
use crate::channel::ChannelUser;
use crate::config::Security;
use crate::context::Context;
use crate::error::{ResolveError, SessionError};
use crate::id::{PoolId, SessionId};
use crate::pool::Pool;
use crate::timers::jitter;
use crate::wire::{PeIdentifier, Transport, TransportUse};

/// So many elements in a row may come up and break off before any sign of life, and the next one is
/// called at once.
pub(super) const MAX_FLAPS: u8 = 2;

/// From the opening, or the loss of the former element, until one is up.
#[derive(Debug)]
pub(super) struct Search {
    /// The element that is to be tried before all others.
    pub(super) first: Option<PeIdentifier>,
    /// The elements tried in this round over the pool.
    pub(super) tried: Vec<PeIdentifier>,
    pub(super) attempts: u32,
    rounds: u32,
    /// When it is given up.
    pub(super) until: Option<Instant>,
    /// When the attempt, the pause or the wait for a turn is over.
    pub(super) step: Option<Instant>,
}

impl Search {
    pub(super) fn begin(now: Instant, ctx: &Context) -> Self {
        let until = Some(now + ctx.config.session_deadline);
        Self { first: None, tried: Vec::new(), attempts: 0, rounds: 0, until, step: None }
    }

    /// An attempt at `element` begins.
    pub(super) fn attempt(&mut self, now: Instant, ctx: &Context, element: PeIdentifier) {
        self.attempts = self.attempts.saturating_add(1);
        self.tried.push(element);
        self.step = Some(now + ctx.config.connect_timeout);
    }

    /// Whom to turn to: the element asked for, else the first of those that a card prefers, else
    /// the policy's choice. Says where that is only if the registrar does not.
    fn choose(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        pool: &mut Pool,
        preferred: &[Preferred],
    ) -> Option<(PeIdentifier, Option<Transport>)> {
        let first = self.first.take().filter(|first| pool.hand_out(*first));
        if let Some(first) = first {
            return Some((first, None));
        }
        let advised = preferred.iter().find_map(|Preferred { identifier, transport }| {
            if self.tried.contains(identifier) || pool.is_marked(now, *identifier) {
                return None;
            }
            if pool.hand_out(*identifier) {
                return Some((*identifier, None));
            }
            let trusted = transport.as_deref().filter(|_| pool.element(*identifier).is_none())?;
            Some((*identifier, Some(trusted.clone())))
        });
        advised.or_else(|| Some((pool.select(now, &mut ctx.rng, &self.tried)?.identifier(), None)))
    }
}

impl Sessions {
    /// Asks for the elements of the session's pool.
    pub(super) fn resolve(&mut self, cache: &Cache, id: SessionId, anew: bool) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        session.state = State::Resolving;
        if let Some(search) = &mut session.search {
            search.step = None;
        }
        session.rearm(&mut self.timers, id);
        let asked = core::mem::replace(&mut session.asked, true);
        if let Some(handle) = session.handle(cache).cloned().filter(|_| !asked) {
            self.needs.push_back(Need::Resolve { session: id, handle, anew });
        }
    }

    /// Asks for the elements of the session's pool although it knows some, and goes on with those if
    /// no registrar answers as fast as an element has to (CACHE-8): one that failed may be back.
    fn resolve_anew(&mut self, now: Instant, ctx: &Context, cache: &Cache, id: SessionId) {
        self.resolve(cache, id, true);
        let Some(session) = self.slab.get_mut(id.0) else { return };
        if let Some(search) = &mut session.search {
            search.step = Some(now + ctx.config.connect_timeout);
        }
        session.rearm(&mut self.timers, id);
    }

    /// The pool of a session was resolved.
    pub(crate) fn resolved(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
        pool: PoolId,
    ) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        session.asked = false;
        if session.state != State::Resolving {
            return;
        }
        if session.pool != Some(pool) {
            cache.pin(pool);
            if let Some(former) = session.pool.replace(pool) {
                cache.unpin(former);
            }
        }
        session.extra().handle = None;
        session.tidy();
        self.proceed(now, ctx, cache, id);
    }

    /// The pool of a session could not be resolved; one that has a list from before goes on with it
    /// (CACHE-8).
    pub(crate) fn unresolved(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
        error: ResolveError,
    ) {
        if let Some(session) = self.slab.get_mut(id.0) {
            session.asked = false;
        }
        match self.slab.get(id.0) {
            Some(Session { state: State::Resolving, pool: Some(_), .. }) => {
                self.proceed(now, ctx, cache, id);
            }
            Some(Session { state: State::Resolving, .. }) => {
                self.end(ctx, cache, id, Some(SessionError::Unresolved(error)));
            }
            _ => {}
        }
    }

    /// Goes on with the elements that are known.
    fn proceed(&mut self, now: Instant, ctx: &mut Context, cache: &mut Cache, id: SessionId) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        if let Some(search) = &mut session.search {
            search.step = None;
        }
        if session.role == Role::Choosing {
            session.state = State::Choosing;
            if session.outbox.is_empty() {
                session.search.take_if(|search| search.first.is_none());
                // What may be left is whom the first message is for. Until there is one, nobody
                // waits.
                if let Some(search) = &mut session.search {
                    search.until = None;
                }
            }
            self.dispatch(now, ctx, cache, id);
        } else {
            self.connect(now, ctx, cache, id);
        }
    }

    /// Goes to the next element.
    pub(super) fn connect(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
    ) {
        let asked = self.slab.get(id.0).and_then(|session| session.search.as_ref()?.first);
        let Some((element, trusted)) = self.choose(now, ctx, cache, id) else { return };
        let Some(session) = self.slab.get_mut(id.0) else { return };
        let pool = session.pool.and_then(|pool| cache.get(pool));
        let listed = || Some(pool?.element(element)?.transport().to_owned());
        let Some(to) = trusted.or_else(listed) else { return };
        if asked.is_some_and(|asked| asked != element) {
            // The element asked for is not there: what was meant for it alone comes back.
            session.outbox.element_lost();
            session.note(ctx, id);
            if self.is_drained(id) {
                return self.end(ctx, cache, id, None);
            }
        }
        let Some(session) = self.slab.get_mut(id.0) else { return };
        session.call(ctx, id, element, to);
        if let Some(search) = &mut session.search {
            search.attempt(now, ctx, element);
        }
        session.rearm(&mut self.timers, id);
    }

    /// Whom to turn to next. Where there is nobody, the session pauses or is over.
    pub(super) fn choose(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
    ) -> Option<(PeIdentifier, Option<Transport>)> {
        let session = self.slab.get_mut(id.0)?;
        let Some(pool) = session.pool.and_then(|pool| cache.get_mut(pool)) else {
            self.resolve(cache, id, false);
            return None;
        };
        if session.search.is_none() {
            if let Some(chosen) = pool.select(now, &mut ctx.rng, &[]) {
                return Some((chosen.identifier(), None));
            }
        }
        let search = session.search.get_or_insert_with(|| Search::begin(now, ctx).into());
        if search.attempts >= ctx.config.max_attempts {
            self.end(ctx, cache, id, Some(SessionError::AllElementsFailed));
            return None;
        }
        let preferred = session.extra.as_ref().map_or(&[][..], |extra| &extra.preferred);
        let chosen = search.choose(now, ctx, pool, preferred);
        if chosen.is_some() {
            return chosen;
        }
        if search.tried.is_empty() {
            self.end(ctx, cache, id, Some(SessionError::NoUsableElement));
            return None;
        }
        search.tried.clear();
        let doubled = 2_u32.saturating_pow(search.rounds.min(16));
        let pause = ctx.config.session_backoff.saturating_mul(doubled);
        search.rounds += 1;
        search.step = Some(now + jitter(&mut ctx.rng, pause));
        session.state = State::Pausing;
        session.rearm(&mut self.timers, id);
        None
    }

    /// The channel of a session is no more, or did not come up in time.
    pub(crate) fn lost(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
    ) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        let has_handle = session.handle(cache).is_some();
        match session.role {
            Role::Leg(owner) => return self.leg_lost(now, ctx, cache, id, owner),
            Role::Keeping | Role::Choosing => {}
            Role::Accepted if has_handle => {}
            Role::AtAddress | Role::Accepted => {
                session.outbox.element_lost();
                // There is no pool, so there are no copies to wait for.
                let done = session.draining().is_some() && session.outbox.is_empty();
                let error = (!done).then_some(SessionError::ChannelLost);
                return self.end(ctx, cache, id, error);
            }
        }
        let Some(element) = session.element else { return };
        let was_up = matches!(session.state, State::Up(_));
        session.outbox.element_lost();
        if self.is_drained(id) {
            self.failed(now, ctx, cache, id, element);
            self.end(ctx, cache, id, None);
            return;
        }
        let Some(session) = self.slab.get_mut(id.0) else { return };
        if was_up {
            session.flaps = session.flaps.saturating_add(1);
            let mut search = Search::begin(now, ctx);
            search.tried.extend(session.pool.map(|_| element));
            session.search = Some(search.into());
        }
        session.role = Role::Keeping;
        session.note(ctx, id);
        session.look_for_room(ctx, id);
        // The choice of the next one is a hit on the cache: a stale list is refreshed, and the
        // session goes on meanwhile (§3.3 C2).
        if was_up && session.has_stale_list(now, ctx, cache) {
            let handle = session.handle(cache).cloned();
            self.needs.extend(handle.map(|handle| Need::LookUp { handle }));
        }
        self.failed(now, ctx, cache, id, element);
        self.turn_away(now, ctx, cache, id);
    }

    /// An element of the session's pool failed: marks it, and has it reported if that is an event
    /// of its own.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &mut Cache,
        id: SessionId,
        element: PeIdentifier,
    ) {
        let Some(pool) = self.slab.get(id.0).and_then(|session| session.pool) else { return };
        let Some(pool) = cache.get_mut(pool) else { return };
        if pool.mark(now, ctx, element) {
            let handle = pool.handle().clone();
            self.needs.push_back(Need::Report { handle, identifier: element });
        }
    }

    /// Leaves a failed element for another one: at once, or in its turn where many do so, or after
    /// a pause where elements come up and break off at once, one after the other.
    fn turn_away(&mut self, now: Instant, ctx: &mut Context, cache: &mut Cache, id: SessionId) {
        let spread = ctx.config.failover_spread;
        let lost = self.failovers.count(now, spread);
        let is_crowd = lost > ctx.config.failover_burst && !spread.is_zero();
        let Some(session) = self.slab.get_mut(id.0) else { return };
        let begins = session.search.as_ref().is_some_and(|search| search.attempts == 0);
        let wait = if begins && session.flaps > MAX_FLAPS {
            jitter(&mut ctx.rng, ctx.config.session_backoff)
        } else if is_crowd {
            ctx.stats.failovers_spread += 1;
            let nanos = u64::try_from(spread.as_nanos()).unwrap_or(u64::MAX);
            Duration::from_nanos(ctx.rng.below(nanos))
        } else {
            return self.connect(now, ctx, cache, id);
        };
        session.state = State::Yielding;
        if let Some(search) = &mut session.search {
            search.step = Some(now + wait);
        }
        session.rearm(&mut self.timers, id);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, ctx: &mut Context, cache: &mut Cache) {
        while let Some(id) = self.timers.pop_due(now) {
            let Some(session) = self.slab.get_mut(id.0) else { continue };
            session.timer = None;
            let until = session.search.as_ref().and_then(|search| search.until);
            if until.into_iter().chain(session.draining()).any(|at| at <= now) {
                self.end(ctx, cache, id, Some(SessionError::DeadlineReached));
                continue;
            }
            let step = session.search.as_ref().and_then(|search| search.step);
            let step_is_over = step.is_some_and(|at| at <= now);
            match session.state {
                State::Connecting(channel) if step_is_over => {
                    ctx.channels.close(channel);
                    self.lost(now, ctx, cache, id);
                }
                State::Yielding if step_is_over => self.connect(now, ctx, cache, id),
                State::Pausing if step_is_over => self.resolve_anew(now, ctx, cache, id),
                State::Resolving if step_is_over => self.proceed(now, ctx, cache, id),
                State::Choosing if session.chooses_from_a_stale_list(now, ctx, cache) => {
                    // From here on its message waits for an element.
                    let begin = || Search::begin(now, ctx).into();
                    let search = session.search.get_or_insert_with(begin);
                    search.until.get_or_insert(now + ctx.config.session_deadline);
                    self.resolve(cache, id, false);
                }
                _ => self.dispatch(now, ctx, cache, id),
            }
        }
    }
}

impl Session {
    /// Whether the list of its pool has become stale (RFC 5352 §3.3 C2).
    fn has_stale_list(&self, now: Instant, ctx: &Context, cache: &Cache) -> bool {
        let pool = self.pool.and_then(|pool| cache.get(pool));
        pool.is_some_and(|pool| now.since(pool.fetched()) >= ctx.config.stale_cache_value)
    }

    /// Whether the next message is to go to an element of a stale list.
    fn chooses_from_a_stale_list(&self, now: Instant, ctx: &Context, cache: &Cache) -> bool {
        self.gate == Gate::Open
            && !self.asked
            && !self.outbox.is_empty()
            && self.has_stale_list(now, ctx, cache)
    }

    /// Asks for a channel to an element.
    pub(super) fn call(
        &mut self,
        ctx: &mut Context,
        id: SessionId,
        element: PeIdentifier,
        to: Transport,
    ) {
        self.element = Some(element);
        self.control = is_control(ctx, &to);
        self.confirms = ctx.config.confirms_delivery.contains(to.protocol());
        let user = ChannelUser::Session(id);
        self.state = State::Connecting(ctx.channels.open(user, to, Security::None));
    }

    /// The element as the application is told of it.
    pub(super) fn peer(&self) -> PeIdentifier {
        self.element.unwrap_or(NOBODY)
    }

    /// Lets data flow, or not, once the application has heard of a failover.
    pub(super) const fn told(&mut self) {
        self.gate = if self.hold_after_failover { Gate::Held } else { Gate::Open };
    }
}

/// Whether control messages can be told from data on a transport (SESSION-6): SCTP where the
/// element says so, others where the driver does.
fn is_control(ctx: &Context, to: &Transport) -> bool {
    match to {
        Transport::Sctp(sctp) => sctp.transport_use == TransportUse::DATA_PLUS_CONTROL,
        other => ctx.config.control_mapping.contains(other.protocol()),
    }
}
