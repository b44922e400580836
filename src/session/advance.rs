//! The one step: what follows from how things stand.
//!
//! Every input changes what it is about and then calls [`advance`](Sessions::advance), which looks
//! at the session as it is. So no input has to know what else may follow from it, and a state that
//! was reached in another way is treated alike.

use super::link::{Facts, Link};
use super::options::{LossReason, UndeliveredReason};
use super::search::{Next, Search, Step};
use super::{
    Busy, Env, Gate, Life, MAX_SPARE, Mode, Need, Pool, Session, SessionTimer, Sessions, Wake,
};
use crate::cache::Freshness;
use crate::channel::ChannelUser;
use crate::context::Context;
use crate::error::{ResolveError, SessionError};
use crate::id::{LinkId, PoolId, SessionId};
use crate::journal::NoteKind;
use crate::slab::Slab;
use crate::wire::{PeIdentifier, Transport};
use crate::{Instant, Security, StaleAnswers};

impl Sessions {
    /// Does what follows from how the session stands.
    pub(super) fn advance(&mut self, env: &mut Env<'_>, id: SessionId) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        if session.is_served() {
            return self.pass_on(env, id);
        }
        if !session.is_over() {
            if let Some(busy) = &mut session.busy {
                let limit = env.ctx.config.sessions.session_deadline;
                let notices = &mut busy.inbox.with_journal(&mut env.ctx.journal, id);
                busy.queue.expire(env.now, limit, notices);
            }
            if matches!(session.life(), Life::Closing(until) if *until <= env.now) {
                self.end(env, id, Some(SessionError::DeadlineReached));
            } else if session.mode == Mode::Choose {
                self.assign(env, id);
            } else {
                self.find_for_keeps(env, id);
            }
        }
        self.finish(env, id);
    }

    /// Looks for the element that the session is to keep, unless it has one.
    fn find_for_keeps(&mut self, env: &mut Env<'_>, id: SessionId) {
        let Self { slab, links, .. } = self;
        let Some(session) = slab.get_mut(id.0) else { return };
        let link = session.kept.and_then(|link| links.get(link.0));
        let waits = session.busy.as_ref().is_some_and(|busy| busy.queue.waiting() > 0);
        if link.is_some_and(|link| link.up.is_some()) || session.rests && !waits {
            return;
        }
        let (calls, element) = (link.is_some(), session.element);
        let rested = core::mem::take(&mut session.rests);
        if rested {
            self.refresh_stale_list(env, id);
        }
        let Self { slab, spare, .. } = self;
        let Some(session) = slab.get_mut(id.0) else { return };
        let search = Busy::of(&mut session.busy, spare).search(env.now);
        if rested {
            search.first = element;
        }
        let since = *search.since.get_or_insert(env.now);
        if env.now >= since + env.ctx.config.sessions.session_deadline {
            self.end(env, id, Some(SessionError::DeadlineReached));
        } else if !calls {
            if let Some(next) = self.find(env, id) {
                self.call(env, id, next);
            }
        }
    }

    /// The choice of another element is a hit on the cache: where the list is stale it is asked for,
    /// and the session goes on meanwhile (§3.3 C2).
    pub(super) fn refresh_stale_list(&mut self, env: &Env<'_>, id: SessionId) {
        let session = self.slab.get(id.0).filter(|session| session.has_stale_list(env));
        let handle = session.and_then(|session| session.handle(env.cache)).cloned();
        self.needs.extend(handle.map(|handle| Need::LookUp { handle }));
    }

    /// Turns to the next element that the session is to keep.
    fn call(&mut self, env: &mut Env<'_>, id: SessionId, next: Next) {
        let Next { element, to, by_policy } = next;
        let Some(session) = self.slab.get_mut(id.0) else { return };
        let Some(busy) = &mut session.busy else { return };
        let former = session.element.replace(element);
        if former.is_some_and(|former| former != element) {
            let reason = UndeliveredReason::ElementLost(session.left.unwrap_or(LossReason::Closed));
            let notices = &mut busy.inbox.with_journal(&mut env.ctx.journal, id);
            busy.queue.element_left(reason, notices);
        }
        if self.is_drained(id) {
            return;
        }
        let Some(session) = self.slab.get_mut(id.0) else { return };
        let there = session.extra.as_mut().and_then(|extra| extra.links.remove(&element));
        let link = there.unwrap_or_else(|| self.open_link(env, id, Some(element), to));
        let Some(session) = self.slab.get_mut(id.0) else { return };
        session.kept = Some(link);
        self.count_turn(link, by_policy);
        let cookie_echoed = self.take_over(env, link);
        let Some(found) = self.links.get(link.0).filter(|_| there.is_some()) else { return };
        if found.up.is_some() {
            self.serves(env, link, cookie_echoed);
        } else if let Some(extra) = self.slab.get_mut(id.0).and_then(|s| s.extra.as_mut()) {
            extra.calling -= 1;
        }
    }

    /// Hands messages that wait to the links that lead to the elements chosen for them.
    fn assign(&mut self, env: &mut Env<'_>, id: SessionId) {
        let session = self.slab.get(id.0);
        if session.is_some_and(|session| !matches!(session.pool, Pool::Known(_))) {
            // The pool is resolved ahead of the first message.
            self.find(env, id);
            return;
        }
        while self.assign_one(env, id) {}
        if let Some(Session { busy: Some(busy), .. }) = self.slab.get_mut(id.0) {
            if let Some(search) = &mut busy.search {
                search.checked = false;
            }
        }
    }

    /// Does so with the next one; says whether there was one, and somebody for it.
    fn assign_one(&mut self, env: &mut Env<'_>, id: SessionId) -> bool {
        let Some(session) = self.slab.get_mut(id.0) else { return false };
        let Some(busy) = session.busy.as_deref_mut().filter(|_| session.gate == Gate::Open) else {
            return false;
        };
        let Some(head) = busy.queue.head() else { return false };
        let (message, options) = (head.id, head.options);
        if options.to.is_all() {
            return self.copy_to_all(env, id, None);
        }
        let goes_on = options.failover.goes_on();
        let last = session.extra.as_ref().and_then(|extra| extra.last);
        let meant = last.filter(|_| options.to == super::Recipient::SameAsLast);
        let named = busy.search.as_ref().and_then(|search| search.named);
        let link = match meant {
            Some((_, Some(reason))) if !goes_on => {
                let reason = UndeliveredReason::ElementLost(reason);
                let notices = &mut busy.inbox.with_journal(&mut env.ctx.journal, id);
                busy.queue.return_head(reason, notices);
                return true;
            }
            Some((element, None)) => session.link_to(element),
            _ => None,
        };
        let (link, element) = match link.zip(meant) {
            Some((link, (element, _))) => (link, element),
            None => {
                let Some(Next { element, to, by_policy }) = self.find(env, id) else {
                    return false;
                };
                let was_named = named.is_some_and(|(named, _)| named != element);
                let Some(session) = self.slab.get_mut(id.0) else { return false };
                if was_named && !goes_on {
                    if let Some(Busy { queue, inbox, .. }) = session.busy.as_deref_mut() {
                        let notices = &mut inbox.with_journal(&mut env.ctx.journal, id);
                        queue.return_head(UndeliveredReason::NotListed, notices);
                    }
                    return true;
                }
                let there = self.one_that_is_up(env, id, element);
                let element = there.unwrap_or(element);
                let link = self.link_to(env, id, element, to);
                self.count_turn(link, by_policy);
                (link, element)
            }
        };
        let Some(session) = self.slab.get_mut(id.0) else { return false };
        session.extra().last = Some((element, None));
        if let Some(busy) = &mut session.busy {
            let is_up = self.links.get(link.0).is_some_and(|link| link.up.is_some());
            busy.queue.assign_head(env.now, link, is_up);
        }
        self.take_over(env, link);
        let Self { slab, links, .. } = self;
        let queue = slab.get(id.0).and_then(|session| Some(&session.busy.as_ref()?.queue));
        let is_assigned = |next| queue.is_some_and(|queue| queue.assigned_to(next, link).is_some());
        if let Some(link) = links.get_mut(link.0) {
            link.chosen = true;
            link.prune(env.ctx.config.limits.max_queued_messages, is_assigned);
            link.assign(message);
            link.wake(&mut env.ctx.channels);
        }
        true
    }

    /// An element that has failed is chosen where no other is left. One that the session has a
    /// channel to, and that is still listed, is better than that.
    fn one_that_is_up(
        &self,
        env: &Env<'_>,
        id: SessionId,
        chosen: PeIdentifier,
    ) -> Option<PeIdentifier> {
        let session = self.slab.get(id.0)?;
        let Pool::Known(pool) = session.pool else { return None };
        let pool = env.cache.get(pool).filter(|pool| pool.is_marked(env.now, chosen))?;
        let mut up = session.links().filter_map(|link| {
            let link = self.links.get(link.0).filter(|link| link.up.is_some())?;
            link.element.filter(|element| pool.element(*element).is_some())
        });
        up.next()
    }

    /// Whom to turn to next; `None` where that has to wait, or the session is over.
    fn find(&mut self, env: &mut Env<'_>, id: SessionId) -> Option<Next> {
        loop {
            let Self { slab, spare, .. } = self;
            let session = slab.get_mut(id.0).filter(|session| !session.is_over())?;
            let has_stale_list = session.has_stale_list(env);
            let Session { mode, pool, asked, element, busy, extra, .. } = session;
            let Busy { queue, inbox, search } = Busy::of(busy, spare);
            let chooses = *mode == Mode::Choose;
            let ready = search.as_ref().is_none_or(|search| search.step == Step::Ready);
            let (Pool::Known(pool), true) = (&*pool, ready) else {
                match search.as_ref().map(|search| search.step) {
                    Some(Step::Resolving(until)) if until.is_none_or(|at| at > env.now) => {}
                    Some(Step::Pausing { until, .. }) if until > env.now => {}
                    Some(Step::Pausing { anew: true, .. }) => self.resolve(env, id, true),
                    Some(Step::Ready) | None => self.resolve(env, id, false),
                    Some(Step::Resolving(_) | Step::Pausing { .. }) => {
                        if let Some(search) = search {
                            search.step = Step::Ready;
                        }
                        continue;
                    }
                }
                return None;
            };
            let checked = *asked || search.as_ref().is_some_and(|search| search.checked);
            if chooses && has_stale_list && !checked {
                // Each choice is a hit on the cache, which has a stale list refreshed (§3.3 C2).
                self.resolve(env, id, false);
                return None;
            }
            let Some(pool) = env.cache.get_mut(*pool) else {
                self.resolve(env, id, false);
                return None;
            };
            let Some(search) = search else {
                let chosen = Next::by_policy(env.now, env.ctx, pool, &[]);
                if chosen.is_some() {
                    return chosen;
                }
                self.end(env, id, Some(SessionError::NoUsableElement));
                return None;
            };
            if let Some((named, looked)) = search.named {
                let is_listed = pool.hand_out(named);
                if !is_listed && has_stale_list && !looked {
                    // It may have come since.
                    search.named = Some((named, true));
                    self.resolve(env, id, true);
                    return None;
                }
                search.named = None;
                search.first = Some(named).filter(|_| is_listed);
                if !is_listed {
                    let reason = pool.why_not(named);
                    let (session, element) = (id, named);
                    env.ctx.note(|| NoteKind::ElementPassedOver { session, element, reason });
                }
                if !is_listed && element.take().is_some() {
                    let notices = &mut inbox.with_journal(&mut env.ctx.journal, id);
                    queue.element_left(UndeliveredReason::NotListed, notices);
                }
            }
            // A choice that nobody has failed before is the policy's.
            let advised = !chooses || !search.tried.is_empty();
            let preferred = extra.as_ref().filter(|_| advised);
            let preferred = preferred.map_or(&[][..], |extra| &extra.preferred);
            let chosen = search.choose(env.now, env.ctx, id, pool, preferred);
            if chosen.is_some() {
                return chosen;
            }
            if search.tried.is_empty() {
                self.end(env, id, Some(SessionError::NoUsableElement));
            } else if search.round_over(env.now, env.ctx, id) {
                continue;
            } else if chooses {
                let notices = &mut inbox.with_journal(&mut env.ctx.journal, id);
                queue.give_up(UndeliveredReason::AllElementsFailed, notices);
            } else {
                self.end(env, id, Some(SessionError::AllElementsFailed));
            }
            return None;
        }
    }

    /// The link of a session to an element, new if there is none.
    pub(super) fn link_to(
        &mut self,
        env: &mut Env<'_>,
        id: SessionId,
        element: PeIdentifier,
        to: Transport,
    ) -> LinkId {
        if let Some(link) = self.slab.get(id.0).and_then(|session| session.link_to(element)) {
            return link;
        }
        let link = self.open_link(env, id, Some(element), to);
        if let Some(session) = self.slab.get_mut(id.0) {
            let extra = session.extra();
            extra.links.insert(element, link);
            extra.calling += 1;
        }
        link
    }

    /// The element that a link leads to was chosen for its turn. While it is not known whether it can
    /// be reached, that may yet be taken back.
    fn count_turn(&mut self, link: LinkId, by_policy: bool) {
        if let Some(link) = self.links.get_mut(link.0).filter(|link| link.up.is_none()) {
            link.turns = link.turns.saturating_add(u8::from(by_policy));
        }
    }

    /// Takes back the choices that a link came of, which never came up.
    pub(super) fn take_back(&self, env: &mut Env<'_>, link: &Link) {
        let session = self.slab.get(link.session.0);
        let Some(Session { pool: Pool::Known(pool), .. }) = session else { return };
        if let (Some(pool), Some(element)) = (env.cache.get_mut(*pool), link.element) {
            (0..link.turns).for_each(|_| pool.take_back(element));
        }
    }

    /// Asks for a channel.
    pub(super) fn open_link(
        &mut self,
        env: &mut Env<'_>,
        id: SessionId,
        element: Option<PeIdentifier>,
        to: Transport,
    ) -> LinkId {
        let facts = Facts::of(env.ctx, &to);
        LinkId(self.links.insert_with(|key| {
            let user = ChannelUser::Session(LinkId(key));
            let noted = env.ctx.journal.is_on().then(|| to.clone());
            let channel = env.ctx.channels.open(user, to, Security::None);
            if let Some(transport) = noted {
                let session = id;
                env.ctx.note(|| NoteKind::ElementTried { session, element, channel, transport });
            }
            Link::new(id, element, channel, facts)
        }))
    }

    /// Asks for the elements of the session's pool. With a list that may serve it waits for no longer than
    /// an element may take to come up, and then goes on with that (CACHE-8): what serves is what it has where
    /// it asks `anew`, since one that failed may be back, and a stale list as far as one may be used.
    pub(super) fn resolve(&mut self, env: &mut Env<'_>, id: SessionId, anew: bool) {
        let Self { slab, spare, needs, .. } = self;
        let Some(session) = slab.get_mut(id.0) else { return };
        let (stale_answers, bound) =
            (env.ctx.config.cache.stale_answers, env.ctx.config.sessions.connect_timeout);
        if let (Pool::Named(handle), StaleAnswers::Fallback) = (&session.pool, stale_answers) {
            if let Some(pool) = env.cache.find(handle.as_bytes()) {
                env.cache.pin(pool);
                session.pool = Pool::Known(pool);
            }
        }
        let serves = anew || stale_answers != StaleAnswers::Withheld;
        let until = (matches!(session.pool, Pool::Known(_)) && serves).then(|| env.now + bound);
        let search = Busy::of(&mut session.busy, spare).search(env.now);
        search.step = Step::Resolving(until);
        let asked = core::mem::replace(&mut session.asked, true);
        if let Some(handle) = session.handle(env.cache).cloned().filter(|_| !asked) {
            let session = id;
            env.ctx.note(|| NoteKind::SessionResolves { session, handle: handle.clone() });
            needs.push_back(Need::Resolve { session, handle, anew });
        }
    }

    /// The pool of a session was resolved.
    pub(crate) fn resolved(&mut self, env: &mut Env<'_>, id: SessionId, pool: PoolId) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        if !session.take_answer() {
            return;
        }
        // Often it is the same one, which stays pinned meanwhile.
        env.cache.pin(pool);
        let former = core::mem::replace(&mut session.pool, Pool::Known(pool));
        if let Pool::Known(former) = former {
            env.cache.unpin(former);
        }
        self.advance(env, id);
    }

    /// The pool of a session could not be resolved; one that has a list from before goes on with it
    /// (CACHE-8).
    pub(crate) fn unresolved(&mut self, env: &mut Env<'_>, id: SessionId, error: ResolveError) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        if !session.take_answer() {
            return;
        }
        if !matches!(session.pool, Pool::Known(_)) {
            self.end(env, id, Some(SessionError::Unresolved(error)));
        }
        self.advance(env, id);
    }

    /// An element of the session's pool failed: marks it, and has it reported if that is an event
    /// of its own.
    pub(super) fn failed(&mut self, env: &mut Env<'_>, id: SessionId, element: PeIdentifier) {
        let Some(Session { pool: Pool::Known(pool), .. }) = self.slab.get(id.0) else { return };
        let Some(pool) = env.cache.get_mut(*pool) else { return };
        if pool.mark(env.now, env.ctx, element) {
            let handle = pool.handle().clone();
            self.needs.push_back(Need::Report { handle, identifier: element });
        }
    }

    /// Whether a session is closing and has nothing left to hand over, or to hear of.
    pub(super) fn is_drained(&self, id: SessionId) -> bool {
        let Some(session) = self.slab.get(id.0) else { return false };
        let silent = |link: LinkId| {
            self.links.get(link.0).is_none_or(|link| !link.facts.confirms.includes_delivered())
        };
        matches!(session.life(), Life::Closing(_))
            && session.busy.as_ref().is_none_or(|busy| busy.queue.is_drained(silent))
    }

    /// The last thing in every step: ends what is drained, sets clock and timer, and passes on what is
    /// there.
    pub(super) fn finish(&mut self, env: &mut Env<'_>, id: SessionId) {
        if self.slab.get(id.0).is_some_and(|session| !session.is_served()) {
            if self.is_drained(id) {
                self.end(env, id, None);
            }
            let Self { slab, links, timers, .. } = self;
            if let Some(session) = slab.get_mut(id.0).filter(|session| !session.is_over()) {
                let wakes = session.wakes(env, links);
                timers.set(&mut session.timer, wakes, Wake::Session(id));
                session.extra.take_if(|extra| extra.is_empty());
            }
        }
        self.pass_on(env, id);
    }

    /// Lets what waits flow, tells of room, has the application told, and leaves the memory that an
    /// idle session does not need to others.
    fn pass_on(&mut self, env: &mut Env<'_>, id: SessionId) {
        let Self { slab, links, spare, .. } = self;
        let Some(session) = slab.get_mut(id.0) else { return };
        #[cfg(any(test, debug_assertions))]
        session.check(links);
        let Session { busy: Some(busy), gate, kept, .. } = session else {
            return session.note(&mut env.ctx.events, id);
        };
        let Busy { queue, inbox, .. } = &mut **busy;
        inbox.room |= queue.take_room(&env.ctx.config);
        if queue.waiting() > 0 && *gate == Gate::Open {
            if let Some(link) = kept.and_then(|link| links.get(link.0)) {
                env.ctx.channels.touch(link.channel);
            }
        }
        #[cfg(any(test, debug_assertions))]
        if queue.capacity() <= 64 {
            queue.check();
            inbox.check();
        }
        session.note(&mut env.ctx.events, id);
        if let Some(mut idle) = session.busy.take_if(|busy| busy.is_idle()) {
            if spare.len() < MAX_SPARE && idle.is_small() {
                idle.queue.reset();
                spare.push(idle);
            }
        }
    }
}

impl Session {
    /// Whether it has its element and nothing else: nobody to look for, nothing to wait for or to end.
    /// Then only messages come and go. (While an element is called there is a search.)
    fn is_served(&self) -> bool {
        self.mode == Mode::Keep
            && self.kept.is_some()
            && self.timer.is_none()
            && self.extra.is_none()
            && self.busy.as_ref().is_none_or(|busy| busy.search.is_none())
    }

    /// Lets the clock of its queue run if it looks for an element, forgets a search that nobody waits
    /// for, and says when there is something to do next.
    fn wakes(&mut self, env: &Env<'_>, links: &Slab<Link>) -> Option<Instant> {
        let Env { now, ctx, .. } = env;
        let (looks, is_up) = (self.looks(links), self.is_up(links));
        if let Some(busy) = &mut self.busy {
            let Busy { queue, search, .. } = &mut **busy;
            queue.run_clock(*now, looks);
            search.take_if(|search| {
                let fades = || !is_up && search.fades(ctx).is_some_and(|at| at <= *now);
                !looks && (search.is_blank() || fades())
            });
        }
        self.next_step(*now, ctx, links).map(|(at, _)| at)
    }

    /// What it waits for by itself, whatever its links do, and until when.
    pub(super) fn next_step(
        &self,
        now: Instant,
        ctx: &Context,
        links: &Slab<Link>,
    ) -> Option<(Instant, SessionTimer)> {
        let closes = match self.life() {
            Life::Closing(until) => Some((*until, SessionTimer::Close)),
            _ => None,
        };
        let Some(Busy { queue, search, .. }) = self.busy.as_deref() else { return closes };
        let (seeks, looks, is_up) = (self.seeks(links), self.looks(links), self.is_up(links));
        let deadline = ctx.config.sessions.session_deadline;
        let searches = search.as_ref().map(|search| {
            let step = match search.step {
                Step::Resolving(until) if seeks => until.map(|at| (at, SessionTimer::List)),
                Step::Pausing { until, .. } if seeks => Some((until, SessionTimer::Pause)),
                _ => None,
            };
            let ends = search.since.filter(|_| seeks);
            let ends = ends.map(|since| (since + deadline, SessionTimer::Deadline));
            // While an element is kept, what it shows decides.
            let fades = search.fades(ctx).filter(|_| !looks && !is_up);
            [step, ends, fades.map(|at| (at, SessionTimer::Forget))]
        });
        let expires = queue.next_expiry(now, deadline).map(|at| (at, SessionTimer::Message));
        [closes, expires].into_iter().chain(searches.into_iter().flatten()).flatten().min()
    }

    /// Whether the element that it keeps is connected.
    fn is_up(&self, links: &Slab<Link>) -> bool {
        self.kept.and_then(|link| links.get(link.0)).is_some_and(|link| link.up.is_some())
    }

    /// Whether it looks for an element, to keep or for the message whose turn it is.
    fn seeks(&self, links: &Slab<Link>) -> bool {
        let waits = || self.busy.as_ref().is_some_and(|busy| busy.queue.waiting() > 0);
        match self.mode {
            Mode::Keep => !self.is_up(links) && !self.rests,
            Mode::Choose => self.gate == Gate::Open && waits(),
        }
    }

    /// Whether it does, or has one for whom messages wait and who is not up.
    fn looks(&self, links: &Slab<Link>) -> bool {
        let assigned = || self.busy.as_ref().is_some_and(|busy| busy.queue.assigned() > 0);
        let calls = self.extra.as_ref().is_some_and(|extra| extra.calling > 0);
        self.seeks(links) || calls && assigned()
    }

    /// The resolver has an answer; says whether that is still waited for.
    fn take_answer(&mut self) -> bool {
        self.asked = false;
        let search = self.busy.as_mut().and_then(|busy| busy.search.as_mut());
        let waits = |search: &&mut Search| matches!(search.step, Step::Resolving(_));
        let Some(search) = search.filter(waits) else { return false };
        (search.step, search.checked) = (Step::Ready, true);
        true
    }

    /// Whether the list of its pool is to be asked for anew (RFC 5352 §3.3 C2), unless the router
    /// knows better.
    pub(super) fn has_stale_list(&self, env: &Env<'_>) -> bool {
        let Pool::Known(pool) = self.pool else { return false };
        let freshness = env.cache.freshness(env.now, &env.ctx.config, pool);
        freshness.is_some_and(|freshness| freshness != Freshness::Fresh)
    }

    /// The link to an element.
    pub(super) fn link_to(&self, element: PeIdentifier) -> Option<LinkId> {
        let kept = self.kept.filter(|_| self.element == Some(element));
        kept.or_else(|| self.extra.as_ref()?.links.get(&element).copied())
    }

    /// Remembers why the element that got the last message was lost.
    pub(super) fn last_lost(&mut self, element: PeIdentifier, reason: LossReason) {
        let last = self.extra.as_mut().and_then(|extra| extra.last.as_mut());
        if let Some((_, lost)) = last.filter(|(last, _)| *last == element) {
            *lost = Some(reason);
        }
    }
}
