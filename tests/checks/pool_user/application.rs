//! The application's book: what it asked for, what it was told, and what may come of it.

use std::collections::{BTreeMap, BTreeSet};

use asap_pu::wire::{PeIdentifier, PoolHandle};
use asap_pu::{
    ChannelId, Config, Event, Instant, MessageId, PoolUser, RequestId, SessionId, SessionOptions,
};
use bytes::Bytes;

use super::Moment;
use super::driver::Driver;
use super::session::{Kind, Session};

/// What the application knows.
#[derive(Debug, Default)]
pub(super) struct Application {
    /// The resolutions whose end was not read, and when each was asked for.
    pub(super) requests: BTreeMap<RequestId, Instant>,
    pub(super) ended_requests: Vec<RequestId>,
    /// How many subscriptions of each pool may still be told to have ended.
    subscribed: BTreeMap<PoolHandle, usize>,
    /// Every session there ever was, in the order of opening.
    pub(super) sessions: Vec<Session>,
    /// Data that elements sent and the application has not read, each under a number of its own:
    /// on which channel it came, and when.
    unread: BTreeMap<Bytes, (ChannelId, Moment)>,
    /// How many bytes were read since the counting began.
    pub(super) read: usize,
    /// The elements that anybody has listed.
    pub(super) listed: BTreeSet<PeIdentifier>,
}

impl Application {
    pub(super) fn opened(&mut self, id: SessionId, kind: Kind, options: SessionOptions) {
        assert!(self.sessions.iter().all(|known| known.id != id), "a name used twice");
        self.sessions.push(Session::new(id, kind, options));
    }

    pub(super) fn session(&mut self, id: SessionId) -> &mut Session {
        self.sessions.iter_mut().find(|known| known.id == id).expect("a session that was opened")
    }

    /// The sessions whose end was not read.
    pub(super) fn alive(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().filter(|session| !session.over)
    }

    pub(super) fn alive_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.sessions.iter_mut().filter(|session| !session.over)
    }

    /// The one session there is, where there can be no other.
    pub(super) fn sole(&self, config: &Config) -> Option<SessionId> {
        let alive = (config.limits.max_sessions == 1).then(|| self.alive().next());
        alive.flatten().map(|session| session.id)
    }

    pub(super) fn subscribed(&mut self, handle: &str) {
        *self.subscribed.entry(handle.into()).or_default() += 1;
    }

    /// A subscription has ended, by the application's wish or as it reads.
    pub(super) fn unsubscribed(&mut self, handle: &[u8]) {
        let left = self.subscribed.get_mut(handle).and_then(|count| count.checked_sub(1));
        let left = left.expect("[RES-11] one end for each subscription");
        self.subscribed.insert(handle.into(), left);
    }

    pub(super) fn will_receive(&mut self, data: Bytes, channel: ChannelId, at: Moment) {
        self.unread.insert(data, (channel, at));
    }

    pub(super) fn shut_down(&mut self, now: Instant) {
        for session in self.alive_mut() {
            session.closing.get_or_insert(now);
        }
    }

    /// [RES-13] [SESSION-4] [SESSION-17]: once all there is to say has been read, nothing is left
    /// untold, nothing outlasts its deadline, and the pool user wants to be woken up by then, at
    /// `next`.
    pub(super) fn is_settled(&self, now: Instant, pu: &PoolUser, driver: &Driver) {
        let (config, next) = (pu.config(), pu.poll_timeout());
        for (request, asked) in &self.requests {
            let until = *asked + config.resolution.request_deadline;
            assert!(now < until, "{request:?} outlasts its deadline");
            assert!(next.is_some_and(|next| next <= until), "{request:?} nobody wakes up");
        }
        for session in self.alive() {
            session.is_settled(now, pu, driver, next);
        }
        let is_over = |(channel, _): &(ChannelId, Moment)| {
            let owner = driver.channel(*channel).and_then(|found| found.owner);
            owner.is_none_or(|owner| self.alive().all(|session| session.id != owner))
        };
        assert!(self.unread.values().all(is_over), "data is not told");
    }

    /// Reads one event.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        at: Moment,
        pu: &PoolUser,
        driver: &mut Driver,
        event: &Event,
    ) {
        match event {
            Event::Resolved { request, pool, .. } => {
                self.end(*request);
                assert!(pu.pool(*pool).is_none_or(|pool| pool.elements().len() > 0), "[RES-7]");
            }
            Event::ResolutionFailed { request, .. } => self.end(*request),
            Event::PoolChanged { pool, joined, left, altered, .. } => {
                assert!(joined + left + altered > 0, "a change without a change");
                let pool = pu.pool(*pool).expect("a pool that is there");
                let known = self.subscribed.get(pool.handle()).copied().unwrap_or(0);
                assert!(known > 0, "nobody asked");
            }
            Event::SubscriptionEnded { handle, .. } => self.unsubscribed(handle.as_bytes()),
            Event::Connected { session, .. }
            | Event::ElementLost { session, .. }
            | Event::FailedOver { session, .. }
            | Event::Received { session, .. }
            | Event::Dropped { session, .. }
            | Event::CookieTooLong { session, .. }
            | Event::Copied { session, .. }
            | Event::CookieEchoed { session, .. }
            | Event::Room { session, .. }
            | Event::Sent { session, .. }
            | Event::Returned { session, .. }
            | Event::Lost { session, .. }
            | Event::SessionEnded { session, .. } => {
                let arrived = match event {
                    Event::Received { data, .. } if !data.starts_with(b"sent") => {
                        self.read += data.len();
                        Some(self.unread.remove(data).expect("received once"))
                    }
                    _ => None,
                };
                let session = self.session(*session);
                assert!(!session.over, "[SESSION-13] nothing refers to an ended session");
                session.hear(now, at, pu, driver, event, arrived);
            }
            _ => {}
        }
    }

    fn end(&mut self, request: RequestId) {
        assert!(self.requests.remove(&request).is_some(), "[RES-13] one end for each request");
        self.ended_requests.push(request);
    }

    /// A channel has ended, whoever's it is if that is not known.
    pub(super) fn channel_ended(&mut self, owner: Option<SessionId>, channel: ChannelId) {
        for session in self.alive_mut().filter(|it| owner.is_none_or(|owner| it.id == owner)) {
            let closing = session.closing.is_some();
            session.messages.values_mut().for_each(|sent| sent.channel_ended(channel, closing));
        }
    }

    /// The names of all messages that were ever sent.
    pub(super) fn message_names(&self) -> impl Iterator<Item = &MessageId> + Clone {
        self.sessions.iter().flat_map(|it| it.messages.keys())
    }
}
