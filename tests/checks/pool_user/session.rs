//! The book of one session: what was sent in it, what the application was told, in which order, and
//! for how long it looked for an element.

use core::time::Duration;
use std::collections::BTreeMap;

use asap_pu::wire::PeIdentifier;
use asap_pu::{
    ChannelId, Config, Event, Instant, LossReason, MessageId, PoolUser, SendError, SendErrorReason,
    SendOptions, SessionError, SessionId, SessionOptions, UndeliveredReason, Unsettled,
};
use bytes::Bytes;

use super::Moment;
use super::driver::{Channel, Driver};
use super::messages::{Between, Sent, Waited};

/// What kind of session it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Keeping,
    Choosing,
    AtAddress,
    Accepted,
}

/// What the application knows of a session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) kind: Kind,
    hold: bool,
    named: bool,
    /// Whether its end was read, or it was aborted.
    pub(super) over: bool,
    /// Since when it is closing.
    pub(super) closing: Option<Instant>,
    /// The element last heard of, whether the application heard that it was lost, and how often it
    /// has moved the session away, of which it is not told.
    heard: Option<Option<PeIdentifier>>,
    lost: bool,
    moves: usize,
    /// When the application last read that data may flow on another channel than the present one,
    /// if none has since, and whether it was told that a cookie went ahead.
    may_turn: Option<(Moment, Option<bool>)>,
    /// Where it chooses for each message: how many were sent before it held back the rest.
    pub(super) held: Option<usize>,
    /// Whether data may flow, where it is held back after a failover.
    pub(super) resumed: bool,
    /// The channel that data flows on, and when that came up.
    channel: Option<(ChannelId, Moment)>,
    /// The messages that took of its limits when another one was refused, and how much of them.
    refused: Option<BTreeMap<MessageId, (usize, usize)>>,
    /// What is read from here on has not happened before this.
    read_up_to: Moment,
    pub(super) messages: BTreeMap<MessageId, Sent>,
    /// For how long it has looked for an element without a channel coming up.
    search: Waited,
    rest: Rest,
    /// It is to end with an error, since messages came back on that account.
    must_fail: bool,
    /// Whether no element was lost since everything there was to say was read.
    has_heard_all: bool,
    /// Why the application turned it away from elements, and how often.
    words: Vec<LossReason>,
    /// How many channels it asked for since it last made progress, and when that was.
    calls: Calls,
    /// Where it chooses: the cookie of the element it lost last.
    owed: Owed,
}

/// Whether the element has closed the channel and nothing is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    No,
    Maybe,
    Yes,
}

#[derive(Debug)]
struct Calls {
    count: usize,
    since: Instant,
    /// Copies of messages to all may have asked for as many more.
    copies: usize,
}

/// The cookie that goes to whoever takes over, as far as it is known.
#[derive(Debug, PartialEq, Eq)]
enum Owed {
    Unknown,
    Known(Option<(Bytes, Moment)>),
}

impl Session {
    pub(super) fn new(id: SessionId, kind: Kind, options: SessionOptions) -> Self {
        let accepted = kind == Kind::Accepted;
        Self {
            id,
            kind,
            hold: options.hold_after_failover,
            named: options.element.is_some(),
            over: false,
            closing: None,
            heard: accepted.then_some(None),
            lost: false,
            moves: 0,
            may_turn: (!accepted).then_some((Moment::MAX, None)),
            held: None,
            resumed: true,
            channel: None,
            refused: None,
            read_up_to: 0,
            messages: BTreeMap::new(),
            search: Waited::default(),
            rest: Rest::No,
            must_fail: false,
            has_heard_all: true,
            words: Vec::new(),
            calls: Calls { count: 0, since: Instant::EPOCH, copies: 0 },
            owed: Owed::Known(None),
        }
    }

    const fn chooses(&self) -> bool {
        matches!(self.kind, Kind::Choosing)
    }

    /// Whether all its channels are to the element that it keeps.
    fn has_one_channel(&self) -> bool {
        !self.chooses() && !self.messages.values().any(Sent::is_to_all)
    }

    /// Whether it may have channels besides the one to the element that it keeps.
    pub(super) fn has_links(&self) -> bool {
        !self.has_one_channel()
    }

    /// Whether an event that names `element` may be about `channel`.
    fn is_about(&self, element: Option<PeIdentifier>, channel: &Channel) -> bool {
        match element {
            None if self.kind == Kind::AtAddress => channel.was_opened(),
            element => channel.element() == element,
        }
    }
}

/// What it reads.
impl Session {
    /// [SESSION-20]: what is read now has not happened before what was read earlier.
    fn in_order(&mut self, (first, last): Between, event: &Event) {
        let up_to = self.read_up_to;
        assert!(last >= up_to, "[SESSION-20] at {last}, read after {up_to}: {event:?}");
        self.read_up_to = up_to.max(first);
    }

    pub(super) fn hear(
        &mut self,
        now: Instant,
        at: Moment,
        pu: &PoolUser,
        driver: &mut Driver,
        event: &Event,
        arrived: Option<(ChannelId, Moment)>,
    ) {
        match event {
            Event::Connected { element, .. } => {
                assert_eq!(self.heard.replace(*element), None, "connected once");
                self.turns_to(*element, None, at, driver, event);
            }
            Event::ElementLost { element, reason, .. } => {
                if self.chooses() {
                    self.held = self.hold.then_some(self.messages.len());
                } else {
                    assert_eq!(Some(*element), self.heard, "another one was lost");
                    assert!(!core::mem::replace(&mut self.lost, true), "lost twice");
                    self.may_turn = None;
                }
                let between =
                    driver.loss_read(self.id, |channel| self.is_about(*element, channel), *reason);
                let went_on = self.channel.is_some_and(|(_, up)| up > between.1);
                assert!(!went_on || self.chooses(), "[SESSION-10] data goes before the news");
                self.in_order(between, event);
            }
            Event::FailedOver { from, to, cookie_echoed, .. } => {
                assert_eq!(self.heard.replace(Some(*to)), Some(*from), "from where it was");
                if !self.lost {
                    self.moves = self.moves.checked_sub(1).expect("[SESSION-20] the loss first");
                }
                self.resumed = !self.hold;
                self.turns_to(Some(*to), Some(*cookie_echoed), at, driver, event);
            }
            Event::Received { element, data, .. } => match arrived {
                Some((channel, came)) => {
                    let found = driver.channel(channel).expect("a channel that was there");
                    assert!(found.may_belong_to(self.id), "[SESSION-12] on a channel of its own");
                    assert!(self.is_about(*element, found), "[SESSION-12] from that element");
                    if self.has_one_channel() {
                        assert_eq!(self.heard, Some(*element), "[SESSION-20] heard of it before");
                        assert!(!self.lost, "[SESSION-20] data before the loss");
                    }
                    self.in_order((came, came), event);
                }
                None => self.message(data).own_copy(),
            },
            Event::Room { .. } => {
                let refused = self.refused.take().expect("room that nobody waits for");
                let gone = |(message, load): (&MessageId, &(usize, usize))| {
                    self.messages[message].load()[0] < *load
                };
                assert!(refused.iter().any(gone), "[SESSION-15] nothing became free");
            }
            Event::Copied { message, element, failure, .. } => {
                let reason = *failure;
                let between = self.sent_as(*message).copied(*element, reason);
                self.in_order(between, event);
                self.ends_for(*message, reason, now, pu.config(), driver);
            }
            Event::Sent { message, delivered, .. } => {
                let closing = self.closing.is_some();
                let between = self.sent_as(*message).receipt_read(*delivered, closing);
                self.in_order(between, event);
            }
            Event::Returned { message, data, reason, .. } => {
                let since = self.sent_as(*message).returned(data);
                self.in_order((since, Moment::MAX), event);
                self.ends_for(*message, Some(*reason), now, pu.config(), driver);
            }
            Event::Lost { message, data, reason, .. } => {
                let since = self.sent_as(*message).lost(data);
                self.in_order((since, Moment::MAX), event);
                self.ends_for(*message, Some(*reason), now, pu.config(), driver);
            }
            Event::SessionEnded { error, .. } => {
                self.ended(error.as_ref(), now, pu.config(), driver);
            }
            _ => {}
        }
    }

    /// The application reads that it goes on at an element.
    fn turns_to(
        &mut self,
        element: Option<PeIdentifier>,
        echoed: Option<bool>,
        at: Moment,
        driver: &Driver,
        event: &Event,
    ) {
        (self.lost, self.may_turn) = (false, Some((at, echoed)));
        let there =
            driver.channels_of(self.id).filter(|(_, it)| it.up && self.is_about(element, it));
        let mut up: Vec<_> = there.map(|(channel, it)| (it.came_up_at(), channel)).collect();
        up.sort_unstable();
        let (first, last) = (up.first(), up.last());
        let (Some(&(first, _)), Some(&(_, newest))) = (first, last) else {
            panic!("[SESSION-10] nobody is there: {event:?}")
        };
        let went = echoed.is_some() && self.channel.is_some_and(|(on, _)| on == newest);
        assert!(!went, "[SESSION-10] data goes before the news");
        self.in_order((first, Moment::MAX), event);
    }

    fn sent_as(&mut self, message: MessageId) -> &mut Sent {
        self.messages.get_mut(&message).expect("a message that was sent")
    }

    /// The message whose own copy this is.
    fn message(&mut self, data: &Bytes) -> &mut Sent {
        let mut all = self.messages.values_mut();
        all.find(|sent| sent.data == *data).expect("a message that was sent")
    }

    /// [SESSION-17]: a message did not arrive, for a reason that there is.
    fn ends_for(
        &mut self,
        message: MessageId,
        reason: Option<UndeliveredReason>,
        now: Instant,
        config: &Config,
        driver: &Driver,
    ) {
        let Some(reason) = reason else { return };
        let deadline = config.sessions.session_deadline;
        let closes = self.closing.is_some_and(|closing| now >= closing + deadline);
        let searched = !self.chooses() && self.search.at_most >= deadline;
        let sent = &self.messages[&message];
        let is_possible = match reason {
            UndeliveredReason::DeadlineReached => {
                let waited = sent.waited.at_most >= deadline;
                self.must_fail |= !waited;
                waited || closes || searched
            }
            UndeliveredReason::AllElementsFailed => {
                self.must_fail |= !self.chooses();
                let mut channels = driver.channels_of(self.id);
                channels.any(|(_, it)| !it.surely_up()) || !self.words.is_empty()
            }
            UndeliveredReason::SessionEnded => {
                self.must_fail = true;
                true
            }
            UndeliveredReason::NotListed => self.named && sent.may_end_with(reason, |_, _| false),
            UndeliveredReason::ElementLost(lost) if sent.is_to_all() => {
                // An element that the driver cannot speak to is not called at all.
                lost == LossReason::Refused || self.has_lost(None, lost, driver)
            }
            UndeliveredReason::ElementLost(lost) if self.channel_is_all() => {
                self.has_lost(None, lost, driver)
            }
            UndeliveredReason::NotSent if sent.is_to_all() => true,
            reason => {
                sent.may_end_with(reason, |channel, reason| self.has_lost(channel, reason, driver))
            }
        };
        assert!(is_possible, "[SESSION-17] not for that reason: {reason:?}, {sent:?}");
    }

    /// Whether it has lost an element for that reason: on a channel, or any.
    fn has_lost(&self, channel: Option<ChannelId>, reason: LossReason, driver: &Driver) -> bool {
        driver.ended(self.id, channel, reason) || channel.is_none() && self.words.contains(&reason)
    }

    /// Whether it has no pool to turn to when its channel is lost.
    fn channel_is_all(&self) -> bool {
        matches!(self.kind, Kind::AtAddress | Kind::Accepted)
    }

    /// [SESSION-4] [SESSION-18]: it ends for a reason that there is.
    fn ended(
        &mut self,
        error: Option<&SessionError>,
        now: Instant,
        config: &Config,
        driver: &Driver,
    ) {
        self.over = true;
        let deadline = config.sessions.session_deadline;
        let (id, closes) = (self.id, self.closing.is_some());
        assert!(error.is_some() || closes, "{id:?} ends without a reason");
        assert!(error.is_some() || !self.must_fail, "{id:?} ends in good order");
        self.messages.values().for_each(|sent| sent.is_over(error.is_none()));
        let channels = driver.channels_of(id);
        match error {
            Some(SessionError::DeadlineReached) => {
                let closed = self.closing.is_some_and(|closing| now >= closing + deadline);
                let searched = self.search.at_most >= deadline && !self.chooses();
                assert!(closed || searched, "[SESSION-18] a needless end: {:?}", self.search);
            }
            Some(SessionError::AllElementsFailed) => {
                assert!(!self.chooses(), "[SESSION-18] one that chooses goes on");
                let failed = channels.filter(|(_, channel)| !channel.surely_up()).count();
                let failed = failed + self.words.len();
                assert!(
                    failed >= config.sessions.max_rounds as usize,
                    "[SESSION-18] {failed} failed"
                );
            }
            Some(SessionError::ChannelLost(reason)) => {
                let is_so = self.channel_is_all() && self.has_lost(None, *reason, driver);
                assert!(is_so, "[SESSION-11] {reason}");
            }
            _ => {}
        }
        if error.is_some() && !closes && !self.channel_is_all() {
            assert_ne!(self.rest, Rest::Yes, "[SESSION-18] it rests");
            let mut channels = driver.channels_of(id).filter(|(_, it)| it.owner == Some(id));
            let is_up = self.has_one_channel() && channels.any(|(_, it)| it.surely_up());
            assert!(!is_up, "[SESSION-18] it is connected");
        }
    }
}

/// What is sent.
impl Session {
    /// How much its messages take of its limits, at least and at most.
    fn load(&self) -> [(usize, usize); 2] {
        let loads = self.messages.values().map(Sent::load);
        loads.fold([(0, 0); 2], |sum, load| {
            [0, 1].map(|which| (sum[which].0 + load[which].0, sum[which].1 + load[which].1))
        })
    }

    /// [SESSION-2] [SESSION-15] [SESSION-17]: a message is taken, or refused for a reason that there
    /// is.
    pub(super) fn sent(
        &mut self,
        pu: &PoolUser,
        at: Moment,
        (data, options): (Bytes, SendOptions),
        meant_for: Option<PeIdentifier>,
        sent: Result<MessageId, SendError>,
    ) {
        let config = pu.config();
        let [least, most] = self.load();
        let exceeds = |(messages, bytes): (usize, usize)| {
            messages >= config.limits.max_queued_messages
                || bytes + data.len() > config.limits.max_queued_bytes
        };
        match sent {
            Ok(id) => {
                assert!(!self.over && self.closing.is_none() && !exceeds(least), "[CORE-6]");
                let last = self.messages.last_key_value().map(|(last, _)| *last);
                assert!(last < Some(id), "named in the order of sending");
                let meant_for = meant_for.filter(|_| self.kind == Kind::Keeping);
                self.messages.insert(id, Sent::new(data, options, at, meant_for));
                self.wakes();
            }
            Err(SendError { reason, data: returned, .. }) => {
                assert_eq!(returned, data, "what is refused is given back");
                match reason {
                    SendErrorReason::Closing => assert!(!self.over),
                    SendErrorReason::QueueFull { waiting, unsettled, .. } => {
                        assert!(exceeds(most), "[SESSION-15] there is room");
                        let all = waiting + unsettled;
                        assert!(all >= least.0 && all <= most.0, "{all} of {least:?} to {most:?}");
                        assert_eq!(
                            Some(waiting),
                            pu.session(self.id).map(|session| session.queued())
                        );
                        let takes = self.messages.iter().map(|(id, sent)| (*id, sent.load()[1]));
                        self.refused = Some(takes.filter(|(_, load)| *load > (0, 0)).collect());
                    }
                    SendErrorReason::TooLong => {
                        assert!(data.len() > config.limits.max_queued_bytes, "[SESSION-2]");
                    }
                    _ => {}
                }
            }
        }
    }

    /// Whether a message was sent that is for one element.
    pub(super) fn is_to_one(&self, message: MessageId) -> bool {
        self.messages.get(&message).is_some_and(|sent| !sent.is_to_all())
    }

    /// A message was handed to the driver on a channel.
    pub(super) fn handed_over(
        &mut self,
        driver: &mut Driver,
        config: &Config,
        at: Moment,
        (message, data, unordered): (MessageId, &Bytes, bool),
        channel: ChannelId,
    ) {
        assert!(!self.over, "[SESSION-13]");
        let found = driver.live.get_mut(&channel).expect("a channel that lives");
        let to_one = self.is_to_one(message);
        let place = self.messages.range(..message).count();
        assert!(self.held.is_none_or(|held| place < held), "data is held back");
        let element = match self.kind {
            Kind::AtAddress => None,
            _ => found.element(),
        };
        let confirms = found.confirms;
        found.take(config, self.id, message, data.len());
        if to_one && !self.chooses() {
            found.take_in_order(message, self.messages[&message].was_handed_over());
            self.flows(found, channel, element);
        }
        if to_one && self.chooses() {
            self.has_taken_over(driver, channel, message);
        }
        let sent = self.messages.get_mut(&message).expect("a message that was sent");
        assert_eq!((&sent.data, sent.options.unordered), (data, unordered));
        sent.handed_over(channel, element, confirms, at, config.sessions.max_handovers);
    }

    /// [SESSION-10]: data flows on a new channel once the application has read of it, and the cookie
    /// has gone ahead.
    fn flows(&mut self, found: &Channel, channel: ChannelId, element: Option<PeIdentifier>) {
        if self.channel.is_none_or(|(present, _)| present != channel) {
            if self.kind != Kind::Accepted || self.channel.is_some() {
                let (read, echoed) = self.may_turn.take().expect("data goes before the news");
                assert!(found.came_up_at() < read, "[SESSION-10] news of another channel");
                let is_echoed = !found.echoes.is_empty();
                assert!(echoed.is_none_or(|echoed| echoed == is_echoed), "[SESSION-7] was it?");
                if self.has_one_channel() {
                    found.was_greeted(self.id);
                }
            }
            self.channel = Some((channel, found.came_up_at()));
        }
        assert!(self.resumed, "data is held back");
        if self.kind == Kind::Keeping && self.heard.is_some() {
            assert_eq!(self.heard, Some(element), "data goes where the application knows");
        }
    }

    /// The application says that its element has failed.
    pub(super) fn given_up(&mut self) {
        self.words.push(LossReason::GivenUp);
        self.has_heard_all = false;
    }

    /// The application moves it: it calls anew, for as long as it may.
    pub(super) fn moved(&mut self, now: Instant) {
        self.words.push(LossReason::Moved);
        self.moves += 1;
        self.may_turn = self.may_turn.filter(|_| self.heard.is_none());
        self.progressed(now);
        self.wakes();
        self.search.at_least = Duration::ZERO;
    }

    /// Everything there was to say was read.
    pub(super) fn has_read_all(&mut self) {
        self.has_heard_all = true;
    }

    /// The application takes it away.
    pub(super) fn aborted(&mut self, returned: &[Unsettled]) {
        assert!(returned.is_sorted_by_key(|unsettled| unsettled.message), "in order");
        self.over = true;
        for (id, sent) in &mut self.messages {
            let back = returned.iter().find(|unsettled| unsettled.message == *id);
            let closing = self.closing.is_some();
            sent.aborted(closing, back.map(|unsettled| (&unsettled.data, unsettled.handed_over)));
        }
        assert!(returned.iter().all(|unsettled| self.messages.contains_key(&unsettled.message)));
    }
}

/// The time it takes.
impl Session {
    /// Something is to be sent, so it does not rest.
    fn wakes(&mut self) {
        match core::mem::replace(&mut self.rest, Rest::No) {
            Rest::Yes => self.search = Waited::default(),
            Rest::Maybe => self.search.at_least = Duration::ZERO,
            Rest::No => {}
        }
    }

    /// A channel has come up that is or may be its own.
    pub(super) fn may_be_up(&mut self) {
        self.search.at_least = Duration::ZERO;
    }

    /// A channel has ended that is or may be its own. If that was in good order and nothing waits,
    /// it rests.
    pub(super) fn channel_ended(&mut self, channel: &Channel) {
        self.has_heard_all = false;
        let is_closed = channel.up && channel.may_have_ended(LossReason::Closed);
        let waits = self.messages.values().any(Sent::waits);
        if is_closed && !waits && !self.chooses() {
            let surely = channel.owner == Some(self.id)
                && channel.has_ended_with(LossReason::Closed)
                && self.has_one_channel();
            self.rest = if surely { Rest::Yes } else { Rest::Maybe };
        }
    }

    /// Time passes.
    pub(super) fn passes(&mut self, time: Duration, driver: &Driver) {
        let id = self.id;
        let none = driver.none_is_up();
        let mut up = driver.channels_of(id).filter(|(_, it)| it.owner == Some(id));
        let surely = self.has_one_channel() && up.any(|(_, it)| it.surely_up());
        if surely || !none {
            self.search.at_least = Duration::ZERO;
        }
        if surely {
            (self.search, self.rest) = (Waited::default(), Rest::No);
        } else if self.rest != Rest::Yes {
            self.search.at_most += time;
            if none && self.rest == Rest::No {
                self.search.at_least += time;
            }
        }
        // Where it chooses, what was lost may have to be read first.
        let looks = none && self.rest == Rest::No && !(self.chooses() && self.hold);
        let may_read = self.chooses() && !self.has_heard_all;
        for sent in self.messages.values_mut() {
            let channel = sent.out_on().and_then(|on| driver.live.get(&on));
            let is_out = channel.is_some_and(Channel::surely_up);
            if sent.is_open() && !is_out && !surely {
                sent.waits_for(time, looks && !may_read && sent.waits() && !sent.is_to_all());
            }
        }
    }

    /// [SESSION-18]: it asks for a channel.
    pub(super) fn calls(&mut self, now: Instant, config: &Config, listed: usize) {
        self.calls.count += 1;
        let round = listed + 3;
        let time = now - self.calls.since;
        let most = round * most_rounds(time, config) + listed * self.calls.copies;
        let count = self.calls.count;
        assert!(count <= most, "[SESSION-18] {count} calls in {time:?}, of at most {most}");
    }

    /// It has made progress, so that it may call anew.
    pub(super) fn progressed(&mut self, now: Instant) {
        let copies = self.messages.values().filter(|sent| sent.is_to_all() && sent.waits()).count();
        self.calls = Calls { count: 0, since: now, copies };
    }
}

/// How many rounds over a pool there may be in some time: the pauses between them grow, and are
/// forgotten after a while without a loss.
fn most_rounds(time: Duration, config: &Config) -> usize {
    let nth = |n: u32| {
        let doubled =
            config.sessions.session_backoff.saturating_mul(2_u32.saturating_pow(n.min(31)));
        doubled.min(config.sessions.session_backoff_max) * 3 / 4
    };
    let rounds = |time: Duration| {
        let (mut rounds, mut spent) = (1_u32, nth(0));
        while spent <= time && rounds < 100_000 {
            spent += nth(rounds);
            rounds += 1;
        }
        rounds as usize
    };
    let forgotten = time.as_nanos() / config.sessions.stable_after.as_nanos().max(1);
    let forgotten = usize::try_from(forgotten).unwrap_or(usize::MAX);
    rounds(time).saturating_mul(forgotten.saturating_add(1))
}

/// Cookies, where it chooses.
impl Session {
    /// The element of a channel is lost.
    pub(super) fn owes(&mut self, cookie: Option<&Bytes>, cleared: bool, at: Moment) {
        self.owed = match (&self.owed, cookie) {
            (Owed::Unknown, _) => Owed::Unknown,
            (_, Some(cookie)) => Owed::Known(Some((cookie.clone(), at))),
            (_, None) if cleared => Owed::Unknown,
            (Owed::Known(owed), None) => Owed::Known(owed.clone().map(|(cookie, _)| (cookie, at))),
        };
    }

    /// The application has put another one in its place.
    pub(super) fn owes_unknown(&mut self) {
        self.owed = Owed::Unknown;
    }

    /// [SESSION-21]: a message that was sent after an element was lost goes out on the only channel
    /// there is. So that has taken over, and has got the cookie.
    fn has_taken_over(&mut self, driver: &Driver, channel: ChannelId, message: MessageId) {
        let Owed::Known(Some((cookie, lost))) = &self.owed else { return };
        let mut live = driver.channels_of(self.id).filter(|(id, _)| driver.live.contains_key(id));
        let is_only = live.all(|(id, _)| id == channel);
        let found = &driver.live[&channel];
        if !is_only || self.messages[&message].at <= *lost || !found.has_control() {
            return;
        }
        assert!(found.echoes.contains(cookie), "[SESSION-21] the cookie of the lost element");
        self.owed = Owed::Known(None);
    }
}

/// What holds when everything there is to say was read.
impl Session {
    pub(super) fn is_settled(
        &self,
        now: Instant,
        pu: &PoolUser,
        driver: &Driver,
        next: Option<Instant>,
    ) {
        let (id, config) = (self.id, pu.config());
        let deadline = config.sessions.session_deadline;
        let told = |at: Instant| next.is_some_and(|next| next <= at);
        self.messages.values().for_each(Sent::is_told);
        assert!(!self.must_fail, "[SESSION-17] {id:?} goes on");
        let [_, most] = self.load();
        let has_room = most.0 <= config.limits.max_queued_messages / 2
            && most.1 <= config.limits.max_queued_bytes / 2;
        let shrunk = self.refused.as_ref().is_some_and(|refused| {
            let before = refused.values().fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
            most.0 < before.0 || most.1 < before.1
        });
        assert!(!(has_room && shrunk), "{id:?} has room and nobody knows");
        let waiting = self.messages.values().filter(|sent| sent.waits() && !sent.is_to_all());
        let to_all = self.messages.values().filter(|sent| sent.is_to_all() && sent.waits());
        let (waiting, to_all) = (waiting.count(), to_all.count());
        let queued = pu.session(id).map(|session| session.queued()).expect("it is not over");
        assert!(queued >= waiting && queued <= waiting + to_all, "{queued} of {waiting}");
        for sent in self.messages.values().filter(|sent| sent.waits()) {
            let until = sent.waits_until(now, deadline);
            let looks = driver.none_is_up() && !sent.waited.at_least.is_zero();
            assert!(!looks || told(until), "[SESSION-18] {id:?} nobody wakes up for {sent:?}");
        }
        let closes = self.closing.map(|closing| closing + deadline);
        assert!(closes.is_none_or(|at| now < at), "{id:?} does not close");
        assert!(closes.is_none_or(told), "{id:?} closing: nobody wakes up");
        if !self.chooses() && !self.search.at_least.is_zero() {
            let left = deadline.checked_sub(self.search.at_least).filter(|left| !left.is_zero());
            let left = left.unwrap_or_else(|| panic!("[SESSION-4] {id:?} searches for ever"));
            assert!(told(now + left), "{id:?} searching: nobody wakes up");
        }
    }
}
