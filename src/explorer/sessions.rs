//! What the application and the driver know of sessions, and what has to come of it.
//!
//! This is a model of its own, much smaller than the machine: of each message where it is and what
//! is owed of it, of each session whom the application believes it is connected to, and how long
//! what waits has waited. Each step changes it by the rules that the documentation gives, and each
//! event and each message that is handed over has to fit.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::step::{Kind, Step, Wish};
use super::world::{Channel, POOL, Peer, World, members, transport};
use crate::error::SendErrorReason;
use crate::id::{ChannelId, MessageId, SessionId};
use crate::session::{LossReason, UndeliveredReason, Unsettled};
use crate::wire::{Message as Asap, PeIdentifier, Policy, PoolElement, Protocol};
use crate::{
    CloseReason, CommandError, Event, Failover, Instant, Recipient, SendOptions, SessionError,
};

/// More calls than this for each session in no time are a storm.
const MANY_CALLS: u8 = 9;

/// A session as its application sees it.
#[derive(Debug, Clone, Hash)]
pub(super) struct Session {
    pub(super) id: SessionId,
    chooses: bool,
    origin: Origin,
    /// Whether it has a pool to turn to.
    pool: bool,
    holds: bool,
    over: bool,
    /// Closing, and until when at the latest.
    closing: Option<Instant>,
    heard: Heard,
    /// Whether the application has moved it since, and so knows that it is somewhere else.
    moved: bool,
    /// Whether data is held back until the application says so.
    held: bool,
    /// Whether its element has closed the channel, and nothing is to be sent.
    rests: bool,
    /// The element that closed and is to be called again before others.
    recall: Option<u32>,
    recalled: bool,
    /// Whether it did although something waited.
    closed_in_vain: bool,
    /// How many elements came up and were lost since time passed, and which ones were lost since one
    /// has shown that it serves.
    flaps: u8,
    lost: BTreeSet<u32>,
    /// The element that closed twice: it is the turn of another one.
    avoid: Option<u32>,
    /// For how long it has looked for an element to keep.
    looking: Duration,
    /// How many elements it lost since one has shown that it serves, and the reasons.
    losses: u32,
    reasons: BTreeSet<LossReason>,
    /// What the application has not read yet, in the order in which it happened.
    unread: VecDeque<News>,
    /// The cookie that goes to whoever takes over; where it keeps an element, also while it does.
    cookie: Option<Bytes>,
    /// Where elements are chosen: the cookies of lost ones that nobody has heard yet.
    cookies: BTreeSet<Bytes>,
    /// Whether a message was refused, and the application not told that there is room.
    refused: bool,
    /// Whether a message was given back because the session is over.
    has_to_end: bool,
    pub(super) messages: Vec<Message>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Origin {
    Pool,
    Address,
    /// By a peer; in the pool that it named, if it did.
    Accepted,
}

/// Whom the application believes the session to be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Heard {
    Nothing,
    Of(Option<u32>),
    /// That this one is lost.
    Lost(Option<u32>),
}

/// Something to be read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum News {
    Data(u8),
    Up(Option<u32>),
    Lost(Option<u32>, LossReason),
}

/// A message as its sender sees it.
#[derive(Debug, Clone, Hash)]
pub(super) struct Message {
    id: MessageId,
    wish: Wish,
    place: Place,
    handovers: u32,
    /// Whether it was handed over at an element that is lost.
    uncertain: bool,
    /// Whether it comes back from an element that is lost.
    moved: bool,
    /// Whether the transport has given it back and it has not gone again.
    given_back: bool,
    /// For how long it has waited for an element in all.
    waited: Duration,
    /// Whom it is for if it may go nowhere else.
    meant: Option<u32>,
    /// The elements of whose copies the application has heard.
    copies: BTreeSet<Option<u32>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Waiting,
    Out(ChannelId),
    /// One copy for each element.
    Copied,
    /// The application has to hear this of it.
    Owed(Fate),
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fate {
    Sent { delivered: bool },
    Returned(UndeliveredReason),
    Lost(UndeliveredReason),
}

/// Steps.
impl World {
    pub(super) fn session(&self, id: SessionId) -> usize {
        self.sessions.iter().position(|session| session.id == id).expect("a session")
    }

    fn live(&self) -> impl Iterator<Item = (usize, &Session)> {
        self.sessions.iter().enumerate().filter(|(_, session)| !session.over)
    }

    pub(super) fn possible_in_sessions(&self, may: &mut impl FnMut(Kind, Step)) {
        for (s, session) in self.live() {
            if session.closing.is_none() {
                (0..self.rules.wishes.len()).for_each(|wish| may(Kind::Send, Step::Send(s, wish)));
                may(Kind::Close, Step::Close(s));
            }
            for (m, message) in session.messages.iter().enumerate() {
                if message.place != Place::Done {
                    may(Kind::Withdraw, Step::Withdraw(s, m));
                    may(Kind::Confirm, Step::Confirm(s, m));
                }
            }
            if session.holds {
                may(Kind::Resume, Step::Resume(s));
            }
            may(Kind::GiveUp, Step::GiveUp(s));
            may(Kind::Move, Step::Move(s, 0));
            members(self.rules.lists[0]).for_each(|to| may(Kind::Move, Step::Move(s, to)));
            may(Kind::SetCookie, Step::SetCookie(s));
            may(Kind::Abort, Step::Abort(s));
        }
    }

    pub(super) fn apply_to_session(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Open => {
                let opened = self.user.open_session(now, POOL, self.rules.options);
                self.add(opened, Origin::Pool);
            }
            Step::OpenAt => {
                let opened = self.user.open_session_at(now, transport(1), self.rules.options);
                self.add(opened, Origin::Address);
            }
            Step::Accept => {
                let control = self.has_control();
                let options = self.rules.options;
                let accepted = self.user.accept(now, Protocol::Tcp, control, options);
                let Ok((id, channel)) = accepted else { return };
                self.add(Ok(id), Origin::Accepted);
                let session = Some(self.sessions.len() - 1);
                let due = Some(now + self.rules.config.sessions.stable_after);
                let up = Channel { session, up: true, due, ..Channel::new(Peer::Caller) };
                assert!(self.channels.insert(channel, up).is_none(), "{channel:?} twice");
            }
            Step::Send(s, wish) => self.send_message(s, self.rules.wishes[wish]),
            Step::Withdraw(s, m) => {
                let Message { id, place, uncertain, .. } = self.sessions[s].messages[m];
                let withdrawn =
                    self.user.session_mut(now, self.sessions[s].id).unwrap().withdraw(id);
                let waits = place == Place::Waiting && !uncertain;
                assert_eq!(withdrawn.is_ok(), waits, "{withdrawn:?} of one that is {place:?}");
                if waits {
                    self.sessions[s].messages[m].done();
                }
            }
            Step::Confirm(s, m) => self.confirm(s, m),
            Step::Resume(s) => {
                if self.user.session_mut(now, self.sessions[s].id).unwrap().resume().is_ok() {
                    self.sessions[s].held = false;
                }
            }
            Step::GiveUp(s) => {
                let _ = self.user.session_mut(now, self.sessions[s].id).unwrap().give_up();
            }
            Step::FailElement(number) => {
                let Some(pool) = self.user.find_pool(POOL.as_bytes()) else { return };
                if self
                    .user
                    .pool_mut(now, pool)
                    .unwrap()
                    .fail_element(PeIdentifier::new(number))
                    .is_ok()
                {
                    self.mark(number);
                }
            }
            Step::Move(s, to) => {
                let listed = |to: &u32| *to > 0;
                let to = Some(to).filter(listed).map(PeIdentifier::new);
                let kept = self.user.kept_channel(self.sessions[s].id);
                let _ = self.user.session_mut(now, self.sessions[s].id).unwrap().move_to(to);
                if self.user.kept_channel(self.sessions[s].id) != kept {
                    // It is a search of its own.
                    let session = &mut self.sessions[s];
                    // In which that element counts as tried.
                    (session.looking, session.losses) = (Duration::ZERO, 1);
                    (session.recalled, session.closed_in_vain) = (false, false);
                    session.avoid = None;
                    session.lost.clear();
                }
            }
            Step::SetCookie(s) => {
                self.made += 1;
                let cookie = Bytes::from([self.made].to_vec());
                let set = self
                    .user
                    .session_mut(self.now, self.sessions[s].id)
                    .unwrap()
                    .set_cookie(Some(cookie.clone()));
                assert_eq!(set, Ok(()));
                let at = self.user.responsible_channel(self.sessions[s].id);
                let session = &mut self.sessions[s];
                if !session.chooses {
                    session.cookie = Some(cookie);
                } else if let Some(channel) = at.and_then(|at| self.channels.get_mut(&at)) {
                    // One that is being called gets it as if it took over.
                    session.cookies.extend((!channel.up).then(|| cookie.clone()));
                    channel.cookie = Some(cookie);
                } else {
                    session.cookies = [cookie].into();
                }
            }
            Step::Close(s) => {
                assert_eq!(
                    self.user.session_mut(now, self.sessions[s].id).unwrap().close(),
                    Ok(())
                );
                self.close(s);
            }
            Step::Abort(s) => self.abort(s),
            Step::Data(k) => {
                self.made += 1;
                let id = self.nth(k).0;
                self.heard_on(id);
                if let Some(s) = self.channels[&id].session.filter(|_| !self.channels[&id].gone) {
                    self.sessions[s].unread.push_back(News::Data(self.made));
                }
                self.user.handle_data(now, id, &[self.made]);
            }
            Step::Cookie(k) => {
                self.made += 1;
                let cookie = Bytes::from([self.made].to_vec());
                let id = self.nth(k).0;
                self.control_on(id, &Asap::cookie(cookie.clone()));
                let has_control = self.has_control();
                if let Some(channel) = self.channels.get_mut(&id).filter(|_| has_control) {
                    channel.cookie = Some(cookie.clone());
                    let session = channel.session.map(|s| &mut self.sessions[s]);
                    if let Some(session) = session.filter(|s| !s.chooses && channel.kept) {
                        session.cookie = Some(cookie);
                    }
                }
            }
            Step::Card(k, own) => {
                let id = self.nth(k).0;
                let two = PeIdentifier::new(2);
                let two = PoolElement::new(two, transport(2), Policy::RoundRobin);
                let elements = if own { [two].to_vec() } else { Vec::new() };
                self.control_on(id, &Asap::business_card(POOL, elements));
                let has_control = self.has_control();
                let channel = self.channels.get(&id).filter(|_| has_control);
                if let Some(s) = channel.and_then(|c| c.session.filter(|_| c.peer == Peer::Caller))
                {
                    self.sessions[s].pool = true;
                }
            }
            Step::Written(k) => {
                let id = self.nth(k).0;
                self.written(id);
            }
            Step::Delivered(k) => {
                let id = self.nth(k).0;
                self.delivered(id);
            }
            Step::Unsent(k) => {
                let id = self.nth(k).0;
                self.unsent(id);
            }
            other => unreachable!("{other:?}"),
        }
    }

    fn add(&mut self, opened: Result<SessionId, CommandError>, origin: Origin) {
        let Ok(id) = opened else { return };
        assert!(self.sessions.iter().all(|session| session.id != id), "{id:?} twice");
        let options = self.rules.options;
        self.sessions.push(Session {
            id,
            chooses: options.choose_per_message && origin == Origin::Pool,
            origin,
            pool: origin == Origin::Pool,
            holds: options.hold_after_failover,
            over: false,
            closing: None,
            heard: if origin == Origin::Accepted { Heard::Of(None) } else { Heard::Nothing },
            moved: false,
            held: false,
            rests: false,
            recall: None,
            recalled: false,
            closed_in_vain: false,
            flaps: 0,
            lost: BTreeSet::new(),
            avoid: None,
            looking: Duration::ZERO,
            losses: 0,
            reasons: BTreeSet::new(),
            unread: VecDeque::new(),
            cookie: None,
            cookies: BTreeSet::new(),
            refused: false,
            has_to_end: false,
            messages: Vec::new(),
        });
    }

    pub(super) fn send_message(&mut self, s: usize, wish: Wish) {
        let session = &mut self.sessions[s];
        let m = session.messages.len();
        let mut options = SendOptions::from(wish.failover);
        (options.to, options.receipt) = (wish.to, wish.receipt);
        let data = Bytes::from([s as u8, m as u8].to_vec());
        let count = session.count();
        let max = self.rules.config.limits.max_queued_messages;
        match self.user.session_mut(self.now, session.id).unwrap().send(data, options) {
            Ok(id) => {
                assert!(count < max, "a message beyond the limit");
                // What was before it rested may be forgotten by now.
                session.closed_in_vain &= !session.rests;
                session.rests = false;
                session.messages.push(Message {
                    id,
                    wish,
                    place: Place::Waiting,
                    handovers: 0,
                    uncertain: false,
                    moved: false,
                    given_back: false,
                    waited: Duration::ZERO,
                    meant: match session.believes() {
                        // One that reads seldom may not know of a loss.
                        Heard::Of(element) if !session.chooses && self.rules.eager => element,
                        _ => None,
                    },
                    copies: BTreeSet::new(),
                });
            }
            Err(error) => match error.reason {
                SendErrorReason::QueueFull { waiting, unsettled } => {
                    session.refused = true;
                    let waits = |message: &&Message| message.place == Place::Waiting;
                    let expected = session.messages.iter().filter(waits).count();
                    assert_eq!(waiting + unsettled, count, "messages in a full queue");
                    assert_eq!(waiting, expected, "messages that wait");
                    assert_eq!(count, max, "refused although there is room");
                }
                reason => assert!(session.closing.is_some(), "{reason:?}"),
            },
        }
    }

    pub(super) fn confirm(&mut self, s: usize, m: usize) {
        let Message { id, place, handovers, ref wish, .. } = self.sessions[s].messages[m];
        let awaited = self.user.session_mut(self.now, self.sessions[s].id).unwrap().confirm(id);
        let to_one = !wish.is_to_all();
        let expected = match place {
            Place::Out(_) => true,
            Place::Waiting => handovers > 0,
            _ => false,
        };
        assert_eq!(awaited, expected && to_one, "confirmed while {place:?}");
        if awaited {
            if let Place::Out(channel) = place {
                self.proves(channel, false);
                if let Some(channel) = self.channels.get_mut(&channel) {
                    channel.unwritten.retain(|it| *it != (s, m));
                    channel.undelivered.retain(|it| *it != (s, m));
                }
            }
            self.sessions[s].messages[m].done();
        }
    }

    fn close(&mut self, s: usize) {
        let until = self.now + self.rules.config.sessions.session_deadline;
        self.sessions[s].closing.get_or_insert(until);
    }

    pub(super) fn sessions_close(&mut self) {
        let live: Vec<_> = self.live().map(|(s, _)| s).collect();
        live.into_iter().for_each(|s| self.close(s));
    }

    fn abort(&mut self, s: usize) {
        let session = &mut self.sessions[s];
        let unsettled =
            self.user.session_mut(self.now, session.id).expect("a session that is there").abort();
        assert!(unsettled.is_sorted_by_key(|it| it.message), "not in order: {unsettled:?}");
        let mut unsettled = unsettled.into_iter().peekable();
        for (m, message) in session.messages.iter_mut().enumerate() {
            let is_told = |told: &Unsettled| told.message == message.id;
            if message.wish.is_to_all() {
                // It is among them if copies of it are open, and then some may have gone.
                _ = unsettled.next_if(is_told);
                continue;
            }
            let handed_over = match message.place {
                Place::Done | Place::Copied | Place::Owed(Fate::Sent { .. }) => continue,
                Place::Out(_) | Place::Owed(Fate::Lost(_)) => true,
                Place::Waiting | Place::Owed(Fate::Returned(_)) => message.uncertain,
            };
            let told = unsettled.next().expect("another message that was not done");
            assert_eq!((told.message, told.handed_over), (message.id, handed_over));
            assert_eq!(told.data, [s as u8, m as u8][..], "what it says");
        }
        assert_eq!(unsettled.next(), None, "a message that was done");
        session.end();
    }

    fn control_on(&mut self, id: ChannelId, message: &Asap) {
        if self.has_control() {
            self.heard_on(id);
        }
        let message = message.to_bytes().expect("a short message");
        self.user.handle_control(self.now, id, &message);
    }

    /// The driver has written the oldest message.
    pub(super) fn written(&mut self, id: ChannelId) {
        let channel = self.channels.get_mut(&id).expect("a channel");
        let (s, m) = channel.unwritten.remove(0);
        let message = &mut self.sessions[s].messages[m];
        let silent = !self.rules.capabilities.confirms(Protocol::Tcp).tells_delivered();
        if message.place == Place::Out(id) && silent && !message.repeats() {
            message.succeed(false);
            channel.answers = true;
        }
        channel.answers |= silent && message.wish.is_to_all();
        self.user.handle_written(self.now, id, self.sessions[s].messages[m].id);
    }

    /// The transport has delivered the oldest message.
    pub(super) fn delivered(&mut self, id: ChannelId) {
        let channel = self.channels.get_mut(&id).expect("a channel");
        let (s, m) = channel.undelivered.remove(0);
        channel.unwritten.retain(|it| *it != (s, m));
        let gone = channel.gone;
        let message = &mut self.sessions[s].messages[m];
        // What is to be confirmed says nothing before it is.
        let confirmed = message.wish.failover == Failover::Unconfirmed;
        let is_done = message.place == Place::Out(id) && !confirmed;
        if is_done {
            message.succeed(true);
        }
        if (is_done || message.wish.is_to_all()) && !gone {
            self.proves(id, false);
        }
        self.user.handle_delivered(self.now, id, self.sessions[s].messages[m].id);
    }

    /// The transport gives the newest message back.
    fn unsent(&mut self, id: ChannelId) {
        let channel = self.channels.get_mut(&id).expect("a channel");
        let (s, m) = channel.undelivered.pop().expect("a message");
        channel.unwritten.retain(|it| *it != (s, m));
        channel.doomed = !self.rules.stays;
        let max = self.rules.config.sessions.max_handovers;
        let confirms = self.confirms().tells_written();
        let message = &mut self.sessions[s].messages[m];
        if message.place == Place::Out(id) && confirms {
            if message.wish.failover == Failover::Never {
                message.place = Place::Owed(Fate::Returned(UndeliveredReason::NotSent));
            } else {
                message.given_back = true;
                message.put_back(max);
            }
        }
        self.user.handle_unsent(self.now, id, self.sessions[s].messages[m].id);
    }
}

/// What the channels of sessions come to.
impl World {
    pub(super) fn called(&mut self, s: usize, peer: Peer) {
        self.calls += 1;
        self.calls_at_once += 1;
        let many = MANY_CALLS * self.sessions.len() as u8;
        assert!(self.calls_at_once <= many, "{} calls in no time", self.calls_at_once);
        let session = &mut self.sessions[s];
        assert!(!session.over, "a call for a session that is over");
        assert!(!session.rests, "a call although the session rests");
        let Peer::Element(element) = peer else { return };
        let many = session.flaps > 2 && !session.chooses;
        assert!(!many, "a third element in a row is called without a pause");
        assert_ne!(session.avoid.take(), Some(element), "called again after it closed twice");
        if let Some(recall) = session.recall.take() {
            let listed = self.user.lists(POOL, recall);
            assert!(element == recall || !listed, "{element} is called before {recall}");
        }
    }

    /// A channel is about to come up.
    pub(super) fn channel_up(&mut self, id: ChannelId) {
        let stable = self.now + self.rules.config.sessions.stable_after;
        let has_control = self.has_control();
        let channel = self.channels.get_mut(&id).expect("a channel");
        channel.up = true;
        let Some(s) = channel.session.filter(|_| !channel.gone) else { return };
        channel.due = Some(stable);
        let session = &mut self.sessions[s];
        if session.chooses {
            if session.heard == Heard::Nothing {
                session.unread.push_back(News::Up(channel.element()));
            }
        } else if channel.kept {
            let element = channel.element().filter(|_| session.origin != Origin::Address);
            session.unread.push_back(News::Up(element));
            session.looking = Duration::ZERO;
            channel.echo = session.cookie.clone().filter(|_| has_control);
        }
    }

    /// A session keeps an element from here on that it had a channel to.
    pub(super) fn adopted(&mut self, id: ChannelId) {
        let has_control = self.has_control();
        let channel = self.channels.get_mut(&id).expect("a channel");
        let Some(session) = channel.session.map(|s| &mut self.sessions[s]) else { return };
        if session.chooses || channel.peer == Peer::Caller {
            return;
        }
        session.unread.push_back(News::Up(channel.element()));
        session.looking = Duration::ZERO;
        channel.echo = session.cookie.clone().filter(|_| has_control);
        // The cookie is the first that it hears as the one that takes over.
        channel.talked &= channel.echo.is_none();
    }

    /// The driver is about to say that a channel has ended.
    pub(super) fn channel_lost(&mut self, id: ChannelId, reason: CloseReason) {
        let channel = &self.channels[&id];
        let reason = match reason {
            CloseReason::Closed => LossReason::Closed,
            CloseReason::Failed if channel.up => LossReason::Broken,
            CloseReason::Failed => LossReason::Refused,
            CloseReason::Unauthenticated => LossReason::Unauthenticated,
            CloseReason::Local => LossReason::Local,
        };
        if !channel.gone {
            self.lose(id, reason);
        }
    }

    /// The machine has let go of a channel: for this reason, if it did not end its session.
    pub(super) fn channel_left(&mut self, id: ChannelId, cause: Option<LossReason>) {
        let channel = &self.channels[&id];
        let Some(s) = channel.session else { return };
        let session = &self.sessions[s];
        let is_late = channel.due.is_some_and(|due| due <= self.now);
        // Where the session's own deadline comes at the same time, that comes first.
        let ends = session.looking >= self.rules.config.sessions.session_deadline
            && !session.chooses
            || session.closing.is_some_and(|until| until <= self.now);
        let applies = match cause {
            Some(LossReason::TimedOut) => !channel.up && is_late && !ends,
            _ => self.given_up.contains(&id),
        };
        let is_over = self.user.session_is_over(session.id);
        assert!(applies || is_over, "a channel is given up without a reason: {cause:?}");
        if is_over && applies {
            // It may have come to its end just before.
            self.contested.extend(self.channels[&id].element());
        }
        if let Some(reason) = cause.filter(|_| applies) {
            self.lose(id, reason);
        }
    }

    /// Which channels the application is about to give up.
    pub(super) fn note_given_up(&mut self, step: Step) {
        let user = &self.user;
        self.given_up = match step {
            Step::GiveUp(s) => user.responsible_channel(self.sessions[s].id).into_iter().collect(),
            Step::Move(s, _) => user.kept_channel(self.sessions[s].id).into_iter().collect(),
            Step::FailElement(number) => {
                let element = PeIdentifier::new(number);
                let leads = |id: &ChannelId| user.channel_element(*id) == Some(element);
                user.channel_ids().filter(leads).collect()
            }
            _ => Vec::new(),
        };
        // One that the driver has not heard of.
        let unknown = self.given_up.iter().find(|id| !self.channels.contains_key(id)).copied();
        if let Some(id) = unknown.filter(|_| !matches!(step, Step::Move(..))) {
            let (session, element) = (self.user.session_of(id), self.user.channel_element(id));
            let (Some(session), Some(element)) = (session, element) else { return };
            let (session, peer) = (self.session(session), Peer::Element(element.get()));
            let kept = self.user.kept_channel(self.sessions[session].id) == Some(id);
            let channel = Channel { session: Some(session), kept, ..Channel::new(peer) };
            self.channels.insert(id, channel);
            self.lose(id, LossReason::GivenUp);
            self.channels.remove(&id);
        }
    }

    /// A session loses a channel.
    fn lose(&mut self, id: ChannelId, reason: LossReason) {
        let channel = self.channels[&id].clone();
        let Some(s) = channel.session else { return };
        let fails = !matches!(reason, LossReason::Closed | LossReason::Local | LossReason::Moved);
        let known = channel.element().filter(|_| self.sessions[s].origin != Origin::Address);
        if let Some(element) = known.filter(|_| fails) {
            self.mark(element);
        }
        let max = self.rules.config.sessions.max_handovers;
        let session = &mut self.sessions[s];
        let concerns = channel.kept || session.chooses;
        for message in &mut session.messages {
            if message.place == Place::Out(id) {
                message.uncertain = true;
                if message.repeats() {
                    message.put_back(max);
                } else {
                    let lost = UndeliveredReason::ElementLost(reason);
                    message.place = Place::Owed(Fate::Lost(lost));
                }
            }
            if concerns && message.place == Place::Waiting && !message.wish.is_to_all() {
                let never = message.wish.failover == Failover::Never;
                if never && channel.kept && fails {
                    let returned = UndeliveredReason::ElementLost(reason);
                    message.place = Place::Owed(Fate::Returned(returned));
                }
            }
        }
        if !concerns {
            return;
        }
        session.losses += 1;
        session.reasons.insert(reason);
        if session.chooses {
            let calls = |c: &Channel| c.session == Some(s) && !c.up && !c.gone;
            if channel.cookie.is_some() && !self.channels.values().any(calls) {
                // The latest one counts, unless a former one has gone with a call.
                session.cookies.clear();
            }
            session.cookies.extend(channel.cookie);
        }
        if channel.up {
            let told = (known, reason);
            // The application knows that it moved the session.
            if session.chooses || reason != LossReason::Moved {
                session.unread.push_back(News::Lost(told.0, told.1));
            } else {
                session.moved = true;
            }
        }
        if channel.kept {
            let waits = session.messages.iter().any(|m| m.place == Place::Waiting);
            session.rests = channel.up && reason == LossReason::Closed && !waits;
            session.rests &= session.pool;
            let again = reason == LossReason::Closed && !session.recalled;
            let flapped = channel.up && !channel.proven && reason != LossReason::Moved;
            session.flaps += u8::from(flapped && !session.rests);
            session.lost.extend(known);
            let alone = session.lost.len() == 1 && self.rules.lists.len() == 1;
            let twice = reason == LossReason::Closed && !again && session.closed_in_vain;
            session.avoid = known.filter(|_| twice && alone && session.pool && !session.rests);
            session.recall = known.filter(|element| again && self.user.lists(POOL, *element));
            session.closed_in_vain |= again && !session.rests;
            session.recalled |= again && !(session.rests && channel.proven);
        }
    }

    /// Something was heard on a channel.
    fn heard_on(&mut self, id: ChannelId) {
        let channel = &self.channels[&id];
        if channel.answers && !channel.gone {
            self.proves(id, false);
        }
    }

    /// The peer of a channel has shown that it serves, be it that it `is_stable`.
    fn proves(&mut self, id: ChannelId, is_stable: bool) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if core::mem::replace(&mut channel.proven, true) {
            return;
        }
        channel.due = None;
        let Some(s) = channel.session else { return };
        let session = &mut self.sessions[s];
        if let Some(element) = channel.element().filter(|_| session.origin != Origin::Address) {
            self.marks.remove(&element);
        }
        if channel.kept || session.chooses && !is_stable {
            session.losses = 0;
            session.recalled = false;
            (session.flaps, session.closed_in_vain, session.avoid) = (0, false, None);
            session.lost.clear();
        }
    }

    /// Channels that have been up for long enough serve.
    pub(super) fn prove_stable(&mut self) {
        let now = self.now;
        let stable = |channel: &Channel| {
            channel.up && !channel.gone && channel.due.is_some_and(|due| due <= now)
        };
        let stable = self.channels.iter().filter(|(_, channel)| stable(channel));
        let stable: Vec<_> = stable.map(|(id, _)| *id).collect();
        stable.into_iter().for_each(|id| self.proves(id, true));
    }

    /// So much time is about to pass.
    pub(super) fn sessions_wait(&mut self, time: Duration) {
        let is_up = |s: usize, kept: bool| {
            let mut up = self.channels.values().filter(|c| c.session == Some(s) && c.up && !c.gone);
            up.any(|channel| channel.kept || !kept)
        };
        let up: Vec<_> =
            self.sessions.iter().enumerate().map(|(s, it)| is_up(s, !it.chooses)).collect();
        for (session, is_up) in self.sessions.iter_mut().zip(up) {
            session.flaps = if time.is_zero() { session.flaps } else { 0 };
            // Where an element is chosen for each message, one of them may wait while others go.
            if session.over || session.rests || is_up && !session.chooses {
                continue;
            }
            session.looking += time;
            let waiting = session.messages.iter_mut().filter(|m| m.place == Place::Waiting);
            waiting.for_each(|message| message.waited += time);
        }
    }

    /// Data is handed over.
    pub(super) fn handed_over(&mut self, id: ChannelId, name: MessageId, data: &[u8]) {
        let (s, m) = (usize::from(data[0]), usize::from(data[1]));
        let (writes, confirms) =
            (self.confirms().tells_written(), self.confirms().tells_delivered());
        let channel = self.channels.get_mut(&id).expect("a channel");
        let session = &mut self.sessions[s];
        assert_eq!(channel.session, Some(s), "data of another session");
        assert!(!session.over, "data of a session that is over");
        channel.unwritten.push((s, m));
        channel.undelivered.push((s, m));
        if writes {
            let open = channel.unwritten.len();
            assert!(
                open <= self.rules.config.limits.window_messages,
                "{open} messages in the window"
            );
        } else {
            channel.unwritten.clear();
        }
        let before: Vec<_> = session.messages[..m].iter().filter(|b| b.comes_first()).collect();
        let overtakes = before.first().map(|message| message.id);
        let believes = session.believes();
        let message = &mut session.messages[m];
        assert_eq!(message.id, name, "the message's name");
        if message.wish.is_to_all() {
            assert!(matches!(message.place, Place::Waiting | Place::Copied), "{:?}", message.place);
            assert!(!message.copies.contains(&channel.element()), "a second copy for one element");
            message.place = Place::Copied;
            return;
        }
        assert_eq!(message.place, Place::Waiting, "handed over");
        let never = message.wish.failover == Failover::Never;
        assert!(!(never && message.handovers > 0), "handed over again against its sender's wish");
        assert!(!message.uncertain || message.repeats(), "handed over again");
        let waits = session.unread.iter().any(|news| matches!(news, News::Lost(..)));
        if session.chooses {
            if message.moved {
                assert!(!waits, "data goes elsewhere before the loss is read");
                assert!(!session.held, "data goes elsewhere though it is held back");
            }
        } else {
            assert!(channel.kept, "data to another element");
            let to = channel.element().filter(|_| session.origin != Origin::Address);
            // A first connection keeps nobody waiting.
            let knows = believes == Heard::Of(to) || believes == Heard::Nothing;
            assert!(knows, "data before the application knows: {believes:?}");
            assert!(!session.held, "data though it is held back");
            assert_eq!(overtakes, None, "a message is overtaken");
            assert!(!(never && message.meant.is_some_and(|it| Some(it) != to)), "for another one");
        }
        message.handovers += 1;
        message.given_back = false;
        assert!(
            message.handovers <= self.rules.config.sessions.max_handovers,
            "handed over too often"
        );
        channel.last = Some(m);
        message.place = Place::Out(id);
        if !confirms && !writes && !message.repeats() {
            message.succeed(false);
            channel.answers = true;
        }
        if !confirms {
            // Nobody will tell; what goes back is of no use for a silent transport.
            channel.undelivered.clear();
        }
    }

    /// The cookie of a lost element is echoed to one that is chosen, where that need not be the
    /// first thing on its channel.
    pub(super) fn echoed_to_chosen(&mut self, id: ChannelId, cookie: &Bytes) -> bool {
        let channel = self.channels.get_mut(&id).expect("a channel");
        let Some(session) = channel.session.map(|s| &mut self.sessions[s]) else { return false };
        if session.chooses {
            assert!(session.cookies.remove(cookie), "a cookie that nobody needs");
            channel.cookie.get_or_insert_with(|| cookie.clone());
        }
        session.chooses
    }

    /// How many cookies of lost elements nobody has heard.
    pub(super) fn unheard_cookies(&self) -> usize {
        if self.has_control() { self.live().map(|(_, s)| s.cookies.len()).sum() } else { 0 }
    }
}

/// What the application reads.
impl World {
    pub(super) fn read_of_session(&mut self, event: Event) {
        match event {
            Event::Connected { session, element } => {
                let session = self.reader(session);
                assert_eq!(session.heard, Heard::Nothing, "connected");
                let element = element.map(PeIdentifier::get);
                session.heard = Heard::Of(element);
                session.read_up(element, true);
            }
            Event::FailedOver { session, from, to, .. } => {
                let session = self.reader(session);
                let from = from.map(PeIdentifier::get);
                assert_eq!(session.believes(), Heard::Lost(from), "a failover from {from:?}");
                session.moved = false;
                let to = Some(to.get());
                session.heard = Heard::Of(to);
                session.held = session.holds;
                session.read_up(to, false);
            }
            Event::ElementLost { session, element, reason } => {
                let session = self.reader(session);
                let element = element.map(PeIdentifier::get);
                if session.chooses {
                    session.held = session.holds;
                } else {
                    assert_eq!(session.heard, Heard::Of(element), "the loss of {element:?}");
                    session.heard = Heard::Lost(element);
                }
                session.read_loss(element, reason);
            }
            Event::Received { session, element, data, .. } => {
                let session = self.reader(session);
                if !session.chooses {
                    let from = element.map(PeIdentifier::get);
                    assert_eq!(session.heard, Heard::Of(from), "data of {from:?}");
                }
                session.read_data(data[0]);
            }
            Event::Room { session } => {
                let max = self.rules.config.limits.max_queued_messages;
                let session = self.reader(session);
                assert!(session.refused, "room that nobody waits for");
                assert!(session.count() <= max / 2, "room, and there is none");
                session.refused = false;
            }
            Event::Copied { session, message, element, failure } => {
                let expected = self.copies_of(session);
                let message = self.reader(session).message(message);
                assert!(message.wish.is_to_all(), "a copy of a message to one");
                assert!(
                    failure.is_some() || message.place == Place::Copied,
                    "a copy that was not handed over"
                );
                let is_open = matches!(message.place, Place::Waiting | Place::Copied);
                assert!(is_open, "a copy while {:?}", message.place);
                let element = element.map(PeIdentifier::get);
                assert!(message.copies.insert(element), "one copy told twice");
                assert!(expected.contains(&element), "a copy for {element:?}");
                message.place = Place::Copied;
                if message.copies == expected {
                    message.done();
                }
            }
            Event::Sent { session, message, delivered } => {
                let session = self.reader(session);
                let is_closing = session.closing.is_some();
                let message = session.message(message);
                assert!(message.wish.receipt, "a receipt that nobody asked for");
                let fits = match message.place {
                    Place::Owed(Fate::Sent { delivered: owed }) => owed == delivered,
                    // The session was closed and had nothing left to say.
                    Place::Out(_) => is_closing && !delivered,
                    _ => false,
                };
                assert!(fits, "a receipt ({delivered}) while {:?}", message.place);
                message.done();
            }
            Event::Returned { session, message, data, reason } => {
                let s = self.session(session);
                let m = self.find_message(s, message, &data);
                self.returned(s, m, reason);
            }
            Event::Lost { session, message, data, reason } => {
                let s = self.session(session);
                let m = self.find_message(s, message, &data);
                self.lost(s, m, reason);
            }
            Event::SessionEnded { session, error } => self.ended(session, error),
            Event::CookieEchoed { session, .. } => {
                self.reader(session);
            }
            other => panic!("{other:?}"),
        }
    }

    fn reader(&mut self, session: SessionId) -> &mut Session {
        let s = self.session(session);
        let session = &mut self.sessions[s];
        assert!(!session.over, "an event of a session that is over");
        session
    }

    fn find_message(&self, s: usize, name: MessageId, data: &[u8]) -> usize {
        let session = &self.sessions[s];
        assert!(!session.over, "an event of a session that is over");
        let m = session.messages.iter().position(|message| message.id == name);
        let m = m.expect("a message that was sent");
        assert_eq!(data, [s as u8, m as u8], "what it says");
        m
    }

    /// For whom there are copies of a message to all.
    fn copies_of(&self, session: SessionId) -> BTreeSet<Option<u32>> {
        let s = self.session(session);
        if !self.sessions[s].pool {
            return [None].into();
        }
        let of_session = self.channels.values().filter(|c| c.session == Some(s) && c.kept);
        let kept = of_session.map(|channel| channel.element());
        let pool = self.user.find_pool(POOL.as_bytes()).filter(|_| self.sessions[s].pool);
        let pool = pool.and_then(|pool| self.user.pool(pool));
        let listed = pool.into_iter().flat_map(|pool| pool.elements());
        listed.map(|element| Some(element.identifier().get())).chain(kept).collect()
    }

    /// A message comes back that was certainly not delivered.
    fn returned(&mut self, s: usize, m: usize, reason: UndeliveredReason) {
        let config = &self.rules.config;
        let is_late = self.sessions[s].closing.is_some_and(|until| until <= self.now);
        let session = &mut self.sessions[s];
        let message = &mut session.messages[m];
        let never = message.wish.failover == Failover::Never;
        let all_rounds = self.rules.all_rounds();
        assert!(!message.uncertain, "returned, and it may have been delivered");
        let fits = match (message.place, reason) {
            (Place::Owed(owed), _) => owed == Fate::Returned(reason),
            (Place::Waiting, UndeliveredReason::DeadlineReached) => {
                let looked = session.looking >= config.sessions.session_deadline;
                session.has_to_end |= is_late || looked && !session.chooses;
                is_late || looked || message.waited >= config.sessions.session_deadline
            }
            (Place::Waiting, UndeliveredReason::AllElementsFailed) => {
                session.has_to_end |= !session.chooses;
                session.losses >= all_rounds
            }
            (Place::Waiting, UndeliveredReason::NotListed) => {
                never && self.rules.options.element.is_some()
            }
            (Place::Waiting, UndeliveredReason::ElementLost(lost)) => {
                session.has_to_end |= !session.pool;
                session.reasons.contains(&lost) && (never || !session.pool)
            }
            (Place::Waiting, UndeliveredReason::NoRecipient) => message.wish.is_to_all(),
            (Place::Waiting, UndeliveredReason::SessionEnded) => {
                session.has_to_end = true;
                true
            }
            _ => false,
        };
        assert!(fits, "returned for {reason:?}: {message:?}");
        let is_needless = match reason {
            UndeliveredReason::AllElementsFailed => session.losses < all_rounds,
            UndeliveredReason::NoRecipient
            | UndeliveredReason::TooManyHandovers
            | UndeliveredReason::SessionEnded => true,
            UndeliveredReason::ElementLost(_) => !never,
            _ => false,
        };
        assert!(!(self.fair && is_needless), "fair, and yet returned for {reason:?}");
        message.done();
    }

    /// Nobody knows what became of a message that was handed over.
    fn lost(&mut self, s: usize, m: usize, reason: UndeliveredReason) {
        let (config, all_rounds) = (&self.rules.config, self.rules.all_rounds());
        let is_late = self.sessions[s].closing.is_some_and(|until| until <= self.now);
        let session = &mut self.sessions[s];
        let message = &mut session.messages[m];
        let was_out = message.uncertain || matches!(message.place, Place::Out(_));
        let fits = match (message.place, reason) {
            (Place::Owed(owed), _) => {
                owed == Fate::Lost(reason) || message.uncertain && owed == Fate::Returned(reason)
            }
            (Place::Waiting, UndeliveredReason::DeadlineReached) => {
                let looked = session.looking >= config.sessions.session_deadline;
                session.has_to_end |= is_late || looked && !session.chooses;
                was_out && (is_late || looked || message.waited >= config.sessions.session_deadline)
            }
            (Place::Out(_), UndeliveredReason::DeadlineReached) => {
                session.has_to_end = true;
                is_late
            }
            (Place::Waiting, UndeliveredReason::AllElementsFailed) => {
                session.has_to_end |= !session.chooses;
                was_out && session.losses >= all_rounds
            }
            (Place::Waiting, UndeliveredReason::ElementLost(lost)) => {
                session.has_to_end |= !session.pool;
                was_out && session.reasons.contains(&lost) && !session.pool
            }
            (Place::Waiting | Place::Out(_), UndeliveredReason::SessionEnded) => {
                session.has_to_end = true;
                was_out
            }
            _ => false,
        };
        assert!(fits, "lost for {reason:?}: {message:?}");
        let is_needless = reason == UndeliveredReason::AllElementsFailed;
        let is_needless = is_needless && session.losses < all_rounds;
        assert!(!(self.fair && is_needless), "fair, and yet lost for {reason:?}");
        message.done();
    }

    fn ended(&mut self, session: SessionId, error: Option<SessionError>) {
        let s = self.session(session);
        let session = &self.sessions[s];
        assert!(!session.over, "ended twice");
        for message in &session.messages {
            // In good order what was handed over is done, but for what was to be confirmed.
            let is_done = match message.place {
                Place::Done => true,
                Place::Out(_) => {
                    let confirmed = message.wish.failover == Failover::Unconfirmed;
                    error.is_none() && !message.wish.receipt && !confirmed
                }
                _ => false,
            };
            assert!(is_done, "the session ends ({error:?}) without a word of {message:?}");
        }
        let is_late = session.closing.is_some_and(|until| until <= self.now);
        let deadline = self.rules.config.sessions.session_deadline;
        let fits = match &error {
            None => session.closing.is_some() && !is_late || self.shut_down,
            Some(SessionError::DeadlineReached) => {
                is_late || !session.chooses && session.looking >= deadline
            }
            Some(SessionError::AllElementsFailed) => {
                !session.chooses && session.losses >= self.rules.all_rounds()
            }
            Some(SessionError::ChannelLost(reason)) => {
                !session.pool && session.reasons.contains(reason)
            }
            Some(SessionError::Unresolved(_)) => true,
            Some(SessionError::NoUsableElement) => false,
        };
        assert!(fits, "it ends with {error:?}: {session:?}");
        let all_rounds = self.rules.all_rounds();
        let is_needless = match error {
            None | Some(SessionError::DeadlineReached) => false,
            Some(SessionError::AllElementsFailed) => session.losses < all_rounds,
            _ => true,
        };
        assert!(!(self.fair && is_needless), "fair, and yet it ends with {error:?}");
        self.sessions[s].end();
    }
}

/// What has to hold.
impl World {
    /// Whenever everything was polled and read.
    pub(super) fn check_sessions(&self) {
        let known: BTreeSet<_> = self.live().map(|(_, session)| session.id).collect();
        let there: BTreeSet<_> = self.user.sessions().collect();
        assert_eq!(known, there, "the sessions that there are");
        let config = &self.rules.config;
        for (s, session) in self.live() {
            assert!(!session.has_to_end, "a message said that the session is over");
            // Of what was up, and lost before anybody could read of it, nobody has to hear.
            let matters = |news: &News| match news {
                News::Data(_) => true,
                News::Lost(..) => session.chooses,
                News::Up(_) => false,
            };
            let unread: Vec<_> = session.unread.iter().filter(|news| matters(news)).collect();
            assert!(unread.is_empty(), "nobody is told of {unread:?}");
            let has_room = session.count() <= config.limits.max_queued_messages / 2;
            assert!(!(session.refused && has_room), "nobody is told that there is room");
            let is_late = session.closing.is_some_and(|until| until <= self.now);
            assert!(!is_late, "a session that is to close is late");
            if !session.chooses {
                assert!(session.looking < config.sessions.session_deadline, "the session is late");
            }
            let kept = self.channels.values().find(|c| c.session == Some(s) && c.up && c.kept);
            let is_up = session.believes();
            let connected = matches!(is_up, Heard::Of(_));
            if !session.chooses {
                assert_eq!(kept.is_some(), connected, "whether it is connected: {is_up:?}");
            }
            for message in &session.messages {
                let Message { place, waited, .. } = message;
                assert!(!matches!(place, Place::Owed(_)), "nobody is told of {message:?}");
                if !session.chooses {
                    assert!(*waited < config.sessions.session_deadline, "{message:?} is late");
                }
                if let Place::Out(channel) = place {
                    assert!(self.channels.contains_key(channel), "{message:?} is nowhere");
                }
            }
            let late = |c: &Channel| !c.up && c.due.is_some_and(|due| due <= self.now);
            assert!(!self.channels.values().any(late), "an element has not come up in time");
            let idle = |c: &Channel| c.echo.is_none();
            assert!(self.channels.values().all(idle), "a cookie that is not echoed");
        }
    }

    /// What is left to be done for sessions, if anything.
    pub(super) fn unserved(&self) -> Option<&'static str> {
        for (s, session) in self.live() {
            if session.closing.is_some() {
                return Some("a session is closing");
            }
            let of_session = |channel: &&Channel| channel.session == Some(s) && channel.up;
            let on_its_way = |m: usize| {
                let mut up = self.channels.values().filter(of_session);
                up.any(|c| c.undelivered.contains(&(s, m)) || c.unwritten.contains(&(s, m)))
            };
            for (m, message) in session.messages.iter().enumerate() {
                let is_open = message.place == Place::Copied && !on_its_way(m);
                if message.place == Place::Waiting || is_open {
                    return Some("a message waits");
                }
            }
            let kept = self.channels.values().any(|c| c.session == Some(s) && c.up && c.kept);
            if !session.chooses && !session.rests && !kept {
                return Some("a session has no element");
            }
        }
        None
    }

    pub(super) fn is_any_closing(&self) -> bool {
        self.live().any(|(_, session)| session.closing.is_some())
    }

    /// Whether something of a session waits for its driver, whom nothing moves.
    pub(super) fn waits_for_driver(&self) -> bool {
        let window = self.rules.config.limits.window_messages;
        self.channels
            .values()
            .any(|c| c.up && !c.unwritten.is_empty() && c.unwritten.len() >= window)
    }

    /// The application says that data may flow wherever it is held back; says whether it was.
    pub(super) fn resume_all(&mut self) -> bool {
        let held: Vec<_> = self.live().filter(|(_, s)| s.held).map(|(s, _)| s).collect();
        let now = self.now;
        let mut any = false;
        for s in held {
            if self.user.session_mut(now, self.sessions[s].id).unwrap().resume().is_ok() {
                self.sessions[s].held = false;
                any = true;
            }
        }
        any
    }

    /// The application says of all that was handed over that it has arrived.
    pub(super) fn confirm_all(&mut self) -> bool {
        let out = |m: &Message| matches!(m.place, Place::Out(_)) && !m.wish.is_to_all();
        let all = self.live().flat_map(|(s, session)| {
            let messages = session.messages.iter().enumerate();
            messages.filter(|(_, message)| out(message)).map(move |(m, _)| (s, m))
        });
        let all: Vec<_> = all.collect();
        for (s, m) in &all {
            // A session that is closing may be over after any of them.
            if !self.user.session_is_over(self.sessions[*s].id) {
                self.confirm(*s, *m);
            }
        }
        !all.is_empty()
    }

    /// Fills the queue of every session that is left, to see that nothing else is in it; says
    /// whether there is any.
    pub(super) fn fill_all(&mut self) -> bool {
        let open = self.live().filter(|(_, session)| session.closing.is_none());
        let open: Vec<_> = open.map(|(s, _)| s).collect();
        let to = Recipient::One;
        let wish = Wish { failover: Failover::Unconfirmed, to, receipt: false };
        for s in &open {
            let held: Vec<_> = self.sessions[*s].messages.iter().filter(|m| m.counts()).collect();
            assert!(held.is_empty(), "on the books: {held:?}");
            for _ in 0..self.rules.config.limits.max_queued_messages {
                self.send_message(*s, wish);
            }
            assert!(!self.sessions[*s].refused, "a queue that is empty is full");
        }
        !open.is_empty()
    }
}

impl Wish {
    fn is_to_all(&self) -> bool {
        matches!(self.to, Recipient::All | Recipient::AllAndSelf)
    }
}

impl Session {
    /// How many messages count against its limit.
    fn count(&self) -> usize {
        self.messages.iter().filter(|message| message.counts()).count()
    }

    fn message(&mut self, id: MessageId) -> &mut Message {
        self.messages.iter_mut().find(|message| message.id == id).expect("a message that was sent")
    }

    /// Whom the application believes it to be connected to.
    fn believes(&self) -> Heard {
        match self.heard {
            Heard::Of(element) if self.moved => Heard::Lost(element),
            heard => heard,
        }
    }

    /// It is over, and nothing of it matters any more.
    fn end(&mut self) {
        self.over = true;
        self.messages.clear();
        self.unread.clear();
        self.reasons.clear();
        (self.rests, self.held, self.recalled, self.refused) = (false, false, false, false);
        (self.looking, self.losses) = (Duration::ZERO, 0);
        (self.closing, self.recall, self.cookie) = (None, None, None);
        self.cookies.clear();
        self.lost.clear();
        (self.flaps, self.avoid, self.closed_in_vain) = (0, None, false);
        (self.heard, self.moved, self.has_to_end) = (Heard::Nothing, false, false);
    }

    /// The application hears of data.
    fn read_data(&mut self, data: u8) {
        while let Some(news) = self.unread.pop_front() {
            match news {
                News::Data(next) => return assert_eq!(next, data, "data in another order"),
                // Nobody hears of elements that were lost before anybody could.
                News::Up(_) | News::Lost(..) => {}
            }
        }
        panic!("data that did not come");
    }

    fn read_up(&mut self, element: Option<u32>, first: bool) {
        while let Some(news) = self.unread.pop_front() {
            match news {
                News::Data(_) => panic!("an element that follows is told before the data"),
                // Of failovers that nobody has read, the last one counts.
                News::Up(up) if up == element => {
                    if first || !self.unread.contains(&News::Up(element)) {
                        return;
                    }
                }
                News::Up(_) | News::Lost(..) => {}
            }
        }
        panic!("{element:?} did not come up");
    }

    fn read_loss(&mut self, element: Option<u32>, reason: LossReason) {
        match self.unread.pop_front() {
            Some(News::Data(_)) => panic!("a loss is told before the data"),
            Some(News::Lost(lost, why)) => {
                assert_eq!((lost, why), (element, reason), "who was lost, and why");
            }
            Some(News::Up(_)) => panic!("a loss is told, and not that it came up"),
            None => panic!("nobody was lost"),
        }
    }
}

impl Message {
    fn counts(&self) -> bool {
        self.place != Place::Done
    }

    /// Whether it goes again although it may have arrived.
    fn repeats(&self) -> bool {
        matches!(self.wish.failover, Failover::Undelivered | Failover::Unconfirmed)
    }

    /// Whether it has to go before those that were sent later.
    fn comes_first(&self) -> bool {
        self.place == Place::Waiting && !self.wish.is_to_all()
    }

    fn put_back(&mut self, max_handovers: u32) {
        self.moved |= self.uncertain;
        self.place = if self.handovers < max_handovers {
            Place::Waiting
        } else {
            let reason = UndeliveredReason::TooManyHandovers;
            Place::Owed(if self.uncertain { Fate::Lost(reason) } else { Fate::Returned(reason) })
        };
    }

    fn succeed(&mut self, delivered: bool) {
        if self.wish.receipt {
            self.place = Place::Owed(Fate::Sent { delivered });
        } else {
            self.done();
        }
    }

    /// It has met its fate, and nothing else of it matters any more.
    fn done(&mut self) {
        self.place = Place::Done;
        (self.handovers, self.waited, self.meant) = (0, Duration::ZERO, None);
        (self.uncertain, self.moved, self.given_back) = (false, false, false);
        self.copies.clear();
    }
}
