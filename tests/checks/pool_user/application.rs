//! The application's book: what it asked for, what it was told, and what may come of it.

use std::collections::{BTreeMap, BTreeSet};

use asap_pu::wire::{PeIdentifier, PoolHandle};
use asap_pu::{
    ChannelId, Config, Event, Failover, Instant, MessageId, PoolUser, Protocols, Recipient,
    RequestId, SendError, SendErrorReason, SendOptions, SessionError, SessionId, SessionOptions,
};
use bytes::Bytes;

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
    /// Data that elements sent and the application has not read, each under a number of its own.
    unread: BTreeSet<Bytes>,
    /// How many bytes were read since the counting began.
    pub(super) read: usize,
}

/// What the application knows of a session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) kind: Kind,
    hold: bool,
    /// Whether its end was read, or it was aborted.
    pub(super) over: bool,
    /// Since when it is closing.
    pub(super) closing: Option<Instant>,
    /// Since when it has no element, as far as the application heard.
    pub(super) searching: Option<Instant>,
    /// The element last heard of, and whether the application heard that it was lost.
    heard: Option<PeIdentifier>,
    lost: bool,
    /// Whether data may flow on a channel other than the present one.
    may_turn: bool,
    /// Where it chooses for each message: how many were sent before it held back the rest.
    pub(super) held: Option<usize>,
    /// Whether data may flow, where it is held back after a failover.
    pub(super) resumed: bool,
    /// The channel that data flows on.
    channel: Option<ChannelId>,
    refused: bool,
    /// The last message that was given back, of those that came one after the other.
    pub(super) last_back: Option<MessageId>,
    pub(super) messages: BTreeMap<MessageId, Sent>,
}

/// What kind of session it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Keeping,
    Choosing,
    AtAddress,
    Accepted,
}

/// What became of a message.
#[derive(Debug)]
pub(super) struct Sent {
    data: Bytes,
    options: SendOptions,
    /// The element that the session had when it was sent.
    meant_for: Option<PeIdentifier>,
    /// The channels it was handed over on.
    on: BTreeSet<ChannelId>,
    /// How many handovers the transport has not taken back.
    out: usize,
    /// Delivered, as the transport or the application said.
    settled: bool,
    /// Given back.
    back: bool,
    /// Of a message to all: the elements whose copy has met its fate.
    copies: BTreeSet<PeIdentifier>,
}

impl Application {
    pub(super) fn opened(&mut self, now: Instant, id: SessionId, kind: Kind, o: SessionOptions) {
        assert!(self.sessions.iter().all(|known| known.id != id), "a name used twice");
        let accepted = kind == Kind::Accepted;
        self.sessions.push(Session {
            id,
            kind,
            hold: o.hold_after_failover,
            over: false,
            closing: None,
            searching: matches!(kind, Kind::Keeping | Kind::AtAddress).then_some(now),
            heard: accepted.then_some(PeIdentifier::new(0)),
            lost: false,
            may_turn: !accepted,
            held: None,
            resumed: true,
            channel: None,
            refused: false,
            last_back: None,
            messages: BTreeMap::new(),
        });
    }

    pub(super) fn session(&mut self, id: SessionId) -> &mut Session {
        self.sessions.iter_mut().find(|known| known.id == id).expect("a session that was opened")
    }

    /// The sessions whose end was not read.
    pub(super) fn alive(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().filter(|session| !session.over)
    }

    /// What is given back from here on need not come behind what was given back before.
    pub(super) fn something_happens(&mut self) {
        self.sessions.iter_mut().for_each(|session| session.last_back = None);
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

    pub(super) fn will_receive(&mut self, data: Bytes) {
        self.unread.insert(data);
    }

    pub(super) fn shut_down(&mut self, now: Instant) {
        for session in self.sessions.iter_mut().filter(|session| !session.over) {
            session.closing.get_or_insert(now);
        }
    }

    /// [RES-13] [SESSION-4]: nothing outlasts its deadline, once all there is to say has been read,
    /// and the pool user wants to be woken up by then, at `next`.
    pub(super) fn is_in_time(
        &self,
        now: Instant,
        turned: Instant,
        config: &Config,
        next: Option<Instant>,
    ) {
        let told = |at: Instant| next.is_some_and(|next| next <= at);
        for (request, asked) in &self.requests {
            assert!(now < *asked + config.request_deadline, "{request:?} outlasts its deadline");
            assert!(told(*asked + config.request_deadline), "{request:?} nobody wakes up");
        }
        for session in self.alive() {
            let (id, deadline) = (session.id, config.session_deadline);
            let is_free = session.messages.values().all(|sent| sent.is_done(config));
            assert!(!is_free || !session.refused, "{id:?} has room and nobody knows");
            let closes = session.closing.map(|closing| closing + deadline);
            assert!(closes.is_none_or(|at| now < at), "{id:?} does not close");
            assert!(closes.is_none_or(told), "{id:?} closing: nobody wakes up");
            let found = session.searching.map(|since| since.max(turned) + deadline);
            assert!(found.is_none_or(|at| now < at), "{id:?} searches for ever");
            assert!(found.is_none_or(told), "{id:?} searching: nobody wakes up");
        }
    }

    /// Reads one event.
    pub(super) fn hear(&mut self, now: Instant, pu: &PoolUser, event: &Event) {
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
            | Event::Undelivered { session, .. }
            | Event::SessionEnded { session, .. } => {
                if let Event::Received { data, .. } = event {
                    let copied = data.starts_with(b"sent");
                    assert!(copied || self.unread.remove(data), "received once");
                    self.read += if copied { 0 } else { data.len() };
                }
                let session = self.session(*session);
                assert!(!session.over, "[SESSION-13] nothing refers to an ended session");
                session.hear(now, event);
            }
            _ => {}
        }
    }

    fn end(&mut self, request: RequestId) {
        assert!(self.requests.remove(&request).is_some(), "[RES-13] one end for each request");
        self.ended_requests.push(request);
    }
}

impl Session {
    fn hear(&mut self, now: Instant, event: &Event) {
        match event {
            Event::Connected { element, .. } => {
                assert_eq!(self.heard.replace(*element), None, "connected once");
                (self.searching, self.lost, self.may_turn) = (None, false, true);
            }
            Event::ElementLost { .. } if self.kind == Kind::Choosing => {
                self.held = self.hold.then_some(self.messages.len());
            }
            Event::ElementLost { element, .. } => {
                assert_eq!(Some(*element), self.heard, "another one was lost");
                assert!(!core::mem::replace(&mut self.lost, true), "lost twice");
                self.searching = Some(now);
            }
            Event::FailedOver { from, to, .. } => {
                assert_eq!(self.heard.replace(*to), Some(*from), "from where it was");
                (self.searching, self.lost, self.may_turn) = (None, false, true);
                self.resumed = !self.hold;
            }
            Event::Room { .. } => {
                assert!(core::mem::take(&mut self.refused), "room that nobody waits for");
            }
            Event::Copied { message, element, .. } => {
                let sent = self.messages.get_mut(message).expect("a message that was sent");
                assert!(sent.options.is_to_all() && !sent.back);
                assert!(sent.copies.insert(*element), "one fate for each copy");
            }
            Event::Undelivered { message, data, .. } => {
                assert!(self.last_back < Some(*message), "in order");
                self.last_back = Some(*message);
                self.given_back(*message, data);
                return;
            }
            Event::SessionEnded { error, .. } => self.ended(error.as_ref()),
            _ => {}
        }
        self.last_back = None;
    }

    pub(super) fn sent(
        &mut self,
        data: Bytes,
        options: SendOptions,
        meant_for: Option<PeIdentifier>,
        sent: Result<MessageId, SendError>,
    ) {
        match sent {
            Ok(id) => {
                assert!(!self.over && self.closing.is_none());
                let last = self.messages.last_key_value().map(|(last, _)| *last);
                assert!(last < Some(id), "named in the order of sending");
                let sent = Sent {
                    data,
                    options,
                    meant_for,
                    on: BTreeSet::new(),
                    out: 0,
                    settled: false,
                    back: false,
                    copies: BTreeSet::new(),
                };
                self.messages.insert(id, sent);
            }
            Err(SendError { reason, data: returned, .. }) => {
                assert_eq!(returned, data, "what is refused is given back");
                match reason {
                    SendErrorReason::UnknownSession => assert!(self.over),
                    SendErrorReason::Closing => assert!(!self.over),
                    SendErrorReason::QueueFull => self.refused = true,
                    _ => {}
                }
            }
        }
    }

    /// Whether a message was sent that is for one element.
    pub(super) fn is_to_one(&self, message: MessageId) -> bool {
        self.messages.get(&message).is_some_and(|sent| !sent.options.is_to_all())
    }

    /// A message was handed to the driver, on the channel to `element`.
    pub(super) fn handed_over(
        &mut self,
        message: MessageId,
        data: &Bytes,
        unordered: bool,
        channel: ChannelId,
        element: PeIdentifier,
    ) {
        assert!(!self.over, "[SESSION-13]");
        let to_one = self.is_to_one(message);
        let place = self.messages.range(..message).count();
        assert!(self.held.is_none_or(|held| place < held), "data is held back");
        if to_one && self.kind != Kind::Choosing {
            self.flows(channel, element);
        }
        let sent = self.messages.get_mut(&message).expect("a message that was sent");
        assert_eq!((&sent.data, sent.options.unordered), (data, unordered));
        assert!(!sent.back, "given back and sent");
        assert!(sent.on.insert(channel), "twice on one channel");
        sent.out += 1;
        if to_one {
            assert!(!sent.settled, "sent again after it was delivered");
            match sent.options.failover {
                Failover::Never => {
                    assert_eq!(sent.on.len(), 1, "[SESSION-5] at one element");
                    let meant_for = sent.meant_for.filter(|_| self.kind == Kind::Keeping);
                    assert!(meant_for.is_none_or(|it| it == element), "[SESSION-5] at that one");
                }
                Failover::Unsent => assert_eq!(sent.out, 1, "[SESSION-5] at most once"),
                _ => {}
            }
        }
    }

    /// [SESSION-10]: data flows on a new channel once the application has read of it.
    fn flows(&mut self, channel: ChannelId, element: PeIdentifier) {
        if self.channel != Some(channel) {
            if self.kind != Kind::Accepted || self.channel.is_some() {
                assert!(core::mem::take(&mut self.may_turn), "data goes before the news");
            }
            self.channel = Some(channel);
        }
        assert!(self.resumed, "data is held back");
        if matches!(self.kind, Kind::Keeping) && self.heard.is_some() {
            assert_eq!(self.heard, Some(element), "data goes where the application knows");
        }
    }

    /// The transport says that it has not sent a message.
    pub(super) fn unsent(&mut self, message: MessageId) {
        let sent = self.messages.get_mut(&message).expect("a message that was sent");
        sent.out = sent.out.checked_sub(1).expect("taken back more often than handed over");
    }

    /// The transport or the application says that a message has arrived.
    pub(super) fn delivered(&mut self, message: MessageId) {
        self.messages.get_mut(&message).expect("a message that was sent").settled = true;
    }

    fn given_back(&mut self, message: MessageId, data: &Bytes) {
        let sent = self.messages.get_mut(&message).expect("a message that was sent");
        assert_eq!(sent.data, *data);
        assert!(!core::mem::replace(&mut sent.back, true), "given back twice");
        // Of a message to all, one copy may have arrived.
        let is_settled = sent.settled && !sent.options.is_to_all();
        assert!(!is_settled, "given back though it was delivered");
        // A message to all comes back while one of its copies is still to be made.
        if sent.options.failover != Failover::Always && !sent.options.is_to_all() {
            assert_eq!(sent.out, 0, "given back though it was sent");
        }
    }

    pub(super) fn moved(&mut self, now: Instant) {
        (self.lost, self.searching) = (true, Some(now));
    }

    /// The application takes it away. A message to all, of which copies are under way, is none that
    /// could come back.
    pub(super) fn aborted(&mut self, returned: &[(MessageId, Bytes)]) {
        returned.iter().for_each(|(message, data)| self.given_back(*message, data));
        self.over = true;
        self.messages.retain(|_, sent| !sent.options.is_to_all());
        self.accounts();
    }

    fn ended(&mut self, error: Option<&SessionError>) {
        self.over = true;
        assert!(error.is_some() || self.closing.is_some(), "it ends without a reason");
        self.accounts();
    }

    /// [SESSION-4]: each message was sent or has come back.
    fn accounts(&self) {
        for (id, sent) in &self.messages {
            // A message to all has no fate where nobody is listed.
            let gone = sent.out > 0 || sent.settled || sent.options.is_to_all();
            assert!(gone || sent.back, "{id:?} of {:?} is lost: {sent:?}", self.id);
        }
    }
}

impl Sent {
    /// Whether it is off the books of its session.
    fn is_done(&self, config: &Config) -> bool {
        let may_come_back = self.options.failover == Failover::Always
            || config.confirms_delivery != Protocols::NONE;
        !self.options.is_to_all() && (self.back || self.settled || self.out > 0 && !may_come_back)
    }
}

/// Whether there is one copy for each element.
trait ToAll {
    fn is_to_all(&self) -> bool;
}

impl ToAll for SendOptions {
    fn is_to_all(&self) -> bool {
        matches!(self.to, Recipient::All | Recipient::AllAndSelf)
    }
}
