//! What the driver and the peers do.

use core::net::SocketAddr;

use asap_pu::wire::{
    Body, Cause, CauseCode, Message, PeIdentifier, PoolHandle, ServerIdentifier, Transport,
};
use asap_pu::{
    Authentication, ChannelId, CloseReason, Instant, MessageId, PeerKind, PoolUser, Stats,
};
use bytes::Bytes;

use super::driver::Channel;
use super::session::Session;
use super::step::{Confirmation, Step, Unknown};
use super::{World, nth};

/// The driver, within its rules or not.
impl World {
    /// Whether it is for the driver to do.
    pub(super) fn drive(&mut self, now: Instant, step: &Step) -> bool {
        match *step {
            Step::Serve { fail, ref list } => {
                for _ in 0..2 {
                    self.settle();
                    self.drive(
                        now,
                        &Step::Connect {
                            fail,
                            authentication: Authentication::Verified,
                            reason: CloseReason::Failed,
                        },
                    );
                    self.settle();
                    while !self.driver.asked.is_empty() {
                        let list = list.clone();
                        self.peer(
                            now,
                            &Step::Answer { n: 0, list, updates: true, piecewise: false },
                        );
                    }
                }
            }
            Step::Connect { fail, authentication, reason } => {
                let opening = self.driver.live.iter().filter(|(_, channel)| !channel.up);
                let opening: Vec<_> = opening.map(|(channel, _)| *channel).collect();
                for (n, channel) in opening.into_iter().enumerate() {
                    if fail >> (n % 8) & 1 == 0 {
                        self.opened(now, channel, authentication);
                    } else {
                        self.closed(now, channel, reason);
                    }
                }
            }
            Step::Break { n, reason, gives_back, stays } => {
                if let Some(channel) = self.up(n, |_| true) {
                    let undelivered = self.driver.live[&channel].undelivered.clone();
                    for message in undelivered.into_iter().filter(|_| gives_back) {
                        self.confirmed(now, channel, message, Confirmation::Unsent);
                    }
                    if let Some(control) = self.driver.live[&channel].last_control.clone() {
                        if gives_back {
                            self.pu.handle_control_unsent(now, channel, &control);
                        }
                    }
                    if !stays {
                        self.closed(now, channel, reason);
                    }
                }
            }
            Step::GiveBack { n, m } => {
                if let Some(channel) = self.up(n, |channel| !channel.undelivered.is_empty()) {
                    let undelivered = self.driver.live[&channel].undelivered.iter();
                    let message = *nth(undelivered, m).expect("there is one");
                    self.confirmed(now, channel, message, Confirmation::Unsent);
                }
            }
            Step::Written(n) => {
                if let Some(channel) = self.up(n, |channel| !channel.unwritten.is_empty()) {
                    let message = self.driver.live[&channel].unwritten[0];
                    self.confirmed(now, channel, message, Confirmation::Written);
                }
            }
            Step::Delivered(n) => {
                if let Some(channel) = self.up(n, |channel| !channel.undelivered.is_empty()) {
                    let message = self.driver.live[&channel].undelivered[0];
                    self.confirmed(now, channel, message, Confirmation::Delivered);
                }
            }
            Step::Opened { n, authentication } => {
                if let Some(channel) = self.any(n) {
                    self.opened(now, channel, authentication);
                }
            }
            Step::Closed { n, reason } => {
                if let Some(channel) = self.any(n) {
                    self.closed(now, channel, reason);
                }
            }
            Step::Again { n, m, delivered } => {
                if let Some(channel) = self.up(n, |channel| !channel.handed.is_empty()) {
                    let handed = self.driver.live[&channel].handed.keys();
                    let message = nth(handed, m).copied().expect("there is one");
                    let how =
                        if delivered { Confirmation::Delivered } else { Confirmation::Written };
                    self.confirmed(now, channel, message, how);
                }
            }
            Step::TooLate { n, m, how } => {
                let message = nth(self.application.message_names(), m).copied();
                let gone = self.any(n).filter(|channel| !self.driver.live.contains_key(channel));
                if let (Some(channel), Some(message)) = (gone, message) {
                    self.confirmed(now, channel, message, how);
                }
            }
            _ => return false,
        }
        true
    }

    fn opened(&mut self, now: Instant, channel: ChannelId, authentication: Authentication) {
        let at = self.happens();
        let alive: Vec<_> = self.application.alive().map(|session| session.id).collect();
        let cookies = alive.iter().filter_map(|id| {
            Some((*id, self.pu.session(*id).and_then(|session| session.cookie())?.clone()))
        });
        let cookies = cookies.collect();
        let Self { pu, driver, application, latest, .. } = self;
        let waits = driver.live.get(&channel).filter(|found| !found.up);
        let (comes_up, element) = (waits.is_some(), waits.and_then(Channel::element));
        let marks = |pu: &PoolUser| {
            let element = element.unwrap_or(PeIdentifier::new(0));
            pu.pools().map(|(_, pool)| pool.is_marked(*latest, element)).collect::<Vec<_>>()
        };
        let elements = |pu: &PoolUser| {
            alive
                .iter()
                .map(|id| pu.session(*id).and_then(|session| session.element()))
                .collect::<Vec<_>>()
        };
        let (marked, before) = (marks(pu), elements(pu));
        let unknown = pu.stats().unknown_channels;
        pu.handle_opened(now, channel, authentication);
        // Else the pool user has closed it, and the driver does not know yet.
        let counts = pu.stats().unknown_channels == unknown;
        assert!(!counts || comes_up, "what is up comes up once");
        if counts {
            let found = driver.live.get_mut(&channel).expect("a channel that lives");
            found.came_up(*latest, at, cookies);
            application.alive_mut().for_each(Session::may_be_up);
        }
        assert_eq!(marked, marks(pu), "[SESSION-18] a channel that comes up is no progress");
        let after = elements(pu);
        let mut found = alive.iter().zip(before.iter().zip(&after)).filter(|(_, (b, a))| b != a);
        if let (Some(one), None) = (found.next().map(|it| *it.0), found.next()) {
            driver.live.get_mut(&channel).expect("it is up").owner = Some(one);
        }
    }

    fn closed(&mut self, now: Instant, channel: ChannelId, reason: CloseReason) {
        let at = self.happens();
        self.sees_progress();
        self.driver.fail(channel, reason, at);
        let gone = self.driver.channel(channel);
        let gone = gone.filter(|it| !self.driver.live.contains_key(&channel) && it.is_new_end(at));
        let unmarked = gone.is_some_and(|gone| {
            let element = gone.element();
            let mut pools = self.pu.pools().map(|(_, pool)| pool);
            pools.any(|pool| element.is_some_and(|it| !pool.is_marked(self.latest, it)))
        });
        if let Some(gone) = gone {
            self.application.channel_ended(gone.owner, channel);
            for session in self.application.alive_mut().filter(|it| gone.may_belong_to(it.id)) {
                session.channel_ended(gone);
                if gone.owner.is_some() {
                    session.owes(gone.cookie.as_ref(), gone.cookie_lost, at);
                } else {
                    session.owes_unknown();
                }
            }
        }
        let before = self.pu.stats().failures;
        self.pu.handle_closed(now, channel, reason);
        let events = self.pu.stats().failures - before;
        assert!(events <= u64::from(unmarked), "[REPORT-2] one event until the mark ends");
        let blameless = matches!(reason, CloseReason::Closed | CloseReason::Local);
        assert!(events == 0 || !blameless, "[REPORT-7] [REPORT-9]");
    }

    /// Says what became of a message. It counts only where the message was handed over.
    fn confirmed(
        &mut self,
        now: Instant,
        channel: ChannelId,
        message: MessageId,
        how: Confirmation,
    ) {
        let at = self.happens();
        let before = self.pu.stats().unknown_confirmations;
        match how {
            Confirmation::Written => self.pu.handle_written(now, channel, message),
            Confirmation::Delivered => self.pu.handle_delivered(now, channel, message),
            Confirmation::Unsent => self.pu.handle_unsent(now, channel, message),
        }
        let counts = self.pu.stats().unknown_confirmations == before;
        let Some(found) = self.driver.live.get_mut(&channel) else {
            return assert!(!counts, "the channel is no more");
        };
        found.unwritten.retain(|unwritten| *unwritten != message);
        if how != Confirmation::Written {
            found.undelivered.retain(|undelivered| *undelivered != message);
        }
        let session = self.application.session(found.handed[&message]);
        let sent = session.messages.get_mut(&message).expect("a message that was sent");
        let is_news = sent.is_news(channel, how);
        // Its session may have ended, or given the message up with its deadline, unread.
        assert!(!counts || is_news, "{how:?} counts for {sent:?}");
        if counts {
            sent.hear(channel, how, at);
            match how {
                Confirmation::Unsent => drop(found.back.insert(message)),
                Confirmation::Delivered => session.progressed(self.latest),
                Confirmation::Written => {}
            }
        }
    }

    /// One of the channels that are up, or of all that ever were.
    fn any(&self, n: u8) -> Option<ChannelId> {
        let all = || nth(self.driver.known.iter().rev(), n / 4).copied();
        if n % 4 > 0 { self.up(n / 4, |_| true).or_else(all) } else { all() }
    }

    /// One of the channels that are up.
    fn up(&self, n: u8, which: impl Fn(&Channel) -> bool) -> Option<ChannelId> {
        let up = self.driver.live.iter().filter(|(_, channel)| channel.up && which(channel));
        nth(up.map(|(channel, _)| channel), n).copied()
    }
}

/// Registrars, pool elements, and who pretends to be one.
impl World {
    pub(super) fn peer(&mut self, now: Instant, step: &Step) {
        match *step {
            Step::Answer { n, ref list, updates, piecewise } => {
                if let Some((channel, handle)) = nth(self.driver.asked.keys(), n).cloned() {
                    self.driver.asked.remove(&(channel, handle.clone()));
                    let message = granting(list.response(text(&handle)), updates);
                    if !piecewise {
                        return self.receive(now, channel, &message);
                    }
                    let listed = list.elements.iter().map(|(element, ..)| element.identifier());
                    self.application.listed.extend(listed);
                    for piece in message.to_bytes().unwrap_or_default().chunks(7) {
                        self.pu.handle_stream(now, channel, piece);
                    }
                }
            }
            Step::Refuse { n, unknown } => {
                if let Some((channel, handle)) = nth(self.driver.asked.keys(), n).cloned() {
                    let code = match unknown {
                        true => CauseCode::UNKNOWN_POOL_HANDLE,
                        false => CauseCode::new(0xa),
                    };
                    let cause = Cause::new(code, Bytes::new());
                    let message = Message::handle_resolution_failure(handle, vec![cause]);
                    self.receive(now, channel, &message);
                }
            }
            Step::Misunderstand { n, parameter } => {
                let asked = nth(self.driver.asked.iter(), n);
                if let Some((channel, request)) = asked.map(|((channel, _), it)| (*channel, it)) {
                    let cause = match parameter {
                        true => {
                            let wanted = request.slice(request.len() - 8..);
                            Cause::new(CauseCode::UNRECOGNIZED_PARAMETER, wanted)
                        }
                        false => Cause::new(CauseCode::UNRECOGNIZED_MESSAGE, request.clone()),
                    };
                    self.receive(now, channel, &Message::error(vec![cause]));
                }
            }
            Step::Unasked { n, handle, ref list, updates } => {
                if let Some(channel) = self.any(n) {
                    self.receive(now, channel, &granting(list.response(handle.0), updates));
                }
            }
            Step::KeepAlive { n, home } => {
                if let Some(channel) = self.any(n) {
                    let server = ServerIdentifier::new(1);
                    self.receive(now, channel, &Message::endpoint_keep_alive(home, server, "a"));
                }
            }
            Step::Announce { n, listed } => {
                let at = |port| SocketAddr::from(([10, 1, 0, n % 8], port));
                let listed = listed.then(|| Transport::tcp(at(3863))).into_iter().collect();
                let message = Message::server_announce(ServerIdentifier::new(n.into()), listed);
                self.pu.handle_announce(now, at(1_000), &message.to_bytes().unwrap());
            }
            Step::Cookie { n, len } => {
                if let Some(channel) = self.up(n, |found| found.peer == PeerKind::Element) {
                    let (cookie, before) = (self.make(len), *self.pu.stats());
                    self.receive(now, channel, &Message::cookie(cookie.clone()));
                    let after = self.pu.stats();
                    let stored = after.cookies > before.cookies;
                    let found = self.driver.live.get_mut(&channel).expect("it is up");
                    if stored {
                        (found.cookie, found.cookie_lost) = (Some(cookie.clone()), false);
                    } else if after.cookies_too_long > before.cookies_too_long {
                        (found.cookie, found.cookie_lost) = (None, true);
                    }
                    if found.owner.is_none_or(|owner| self.application.session(owner).has_links()) {
                        return;
                    }
                    let mut alive = self.application.alive();
                    let found = alive.any(|it| {
                        self.pu.session(it.id).and_then(|session| session.cookie()) == Some(&cookie)
                    });
                    assert_eq!(stored, found, "[SESSION-7] the latest one replaces the former");
                }
            }
            Step::Card { n, handle, ref list } => {
                if let Some(channel) = self.up(n, |found| found.peer == PeerKind::Element) {
                    self.receive(now, channel, &Message::business_card(handle.0, list.elements()));
                }
            }
            Step::Echo { n, len } => {
                if let Some(channel) = self.any(n) {
                    let cookie = self.make(len);
                    self.receive(now, channel, &Message::cookie_echo(cookie));
                }
            }
            Step::Data { n, len } => {
                if let Some(channel) = self.any(n) {
                    let (data, at) = (self.make(len.into()), self.happens());
                    self.hears(channel);
                    let before = self.pu.stats().messages_received;
                    self.pu.handle_data(now, channel, &data);
                    if self.pu.stats().messages_received > before {
                        self.application.will_receive(data, channel, at);
                    }
                }
            }
            Step::Unknown { n, what } => {
                if let Some(channel) = self.any(n) {
                    self.unknown(now, channel, what);
                }
            }
            Step::Control { n, ref bytes } => {
                if let Some(channel) = self.any(n).filter(|_| !names_strangers(bytes)) {
                    self.happens();
                    self.hears(channel);
                    self.pu.handle_control(now, channel, bytes);
                }
            }
            Step::Stream { n, ref bytes } => {
                let channel = self.any(n).filter(|_| !names_strangers(bytes));
                let _ = channel.map(|channel| self.pu.handle_stream(now, channel, bytes));
            }
            _ => {}
        }
    }

    /// [TLV-5] [TLV-6] [TLV-8]: the bits of what is not known say what becomes of it.
    fn unknown(&mut self, now: Instant, channel: ChannelId, what: Unknown) {
        let parameter = |kind: u16| [&kind.to_be_bytes()[..], &[0, 8, 1, 2, 3, 4]].concat();
        let with = |message: Message, kind| {
            let mut bytes = [&message.to_bytes().unwrap()[..], &parameter(kind)].concat();
            let length = u16::try_from(bytes.len()).unwrap();
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            bytes
        };
        let (bytes, is_read, is_reported) = match what {
            Unknown::Message(kind) => (vec![kind, 0, 0, 4], false, kind >> 6 == 1),
            Unknown::Parameter(kind) => {
                let (is_read, is_reported) = (kind >> 15 == 1, kind >> 14 & 1 == 1);
                (with(Message::cookie(self.make(4)), kind), is_read, is_reported)
            }
            Unknown::InError(kind) => {
                let causes = vec![Cause::new(CauseCode::new(0xa), Bytes::new())];
                (with(Message::error(causes), kind), kind >> 15 == 1, false)
            }
        };
        let told = |it: &Stats| it.errors_sent + it.errors_suppressed + it.control_dropped;
        let before = *self.pu.stats();
        self.hears(channel);
        self.pu.handle_control(now, channel, &bytes);
        let after = self.pu.stats();
        assert!(is_reported || told(after) == told(&before), "{what:?} is reported");
        assert!(is_read || after.cookies == before.cookies, "{what:?} is read over");
    }

    /// Something is heard on a channel: progress, if anything was handed over there.
    fn hears(&mut self, channel: ChannelId) {
        let found = self.driver.live.get(&channel).filter(|found| !found.handed.is_empty());
        if let Some(owner) = found.and_then(|found| found.owner) {
            self.application.session(owner).progressed(self.latest);
        }
    }

    /// A message arrives, if it can be said at all.
    fn receive(&mut self, now: Instant, channel: ChannelId, message: &Message) {
        if let Ok(bytes) = message.to_bytes() {
            self.happens();
            self.hears(channel);
            if let Body::HandleResolutionResponse { elements, .. }
            | Body::BusinessCard { elements, .. } = &message.body
            {
                let listed = elements.iter().map(|element| element.identifier);
                self.application.listed.extend(listed);
            }
            self.pu.handle_control(now, channel, &bytes);
        }
    }

    pub(super) fn number(&mut self) -> u32 {
        self.made += 1;
        self.made
    }

    /// Bytes like no others.
    pub(super) fn make(&mut self, len: u16) -> Bytes {
        let mut bytes = self.number().to_be_bytes().to_vec();
        bytes.resize(4 + usize::from(len % 2_500), 0);
        bytes.into()
    }
}

/// Whether it is a list or a card: those that are known here are told by steps of their own.
fn names_strangers(bytes: &[u8]) -> bool {
    let body = Message::decode(bytes).map(|message| message.body);
    matches!(body, Ok(Body::HandleResolutionResponse { .. } | Body::BusinessCard { .. }))
}

/// The response, with the promise of updates.
fn granting(mut response: Message, granted: bool) -> Message {
    if let Body::HandleResolutionResponse { updates, .. } = &mut response.body {
        *updates = granted;
    }
    response
}

fn text(handle: &PoolHandle) -> &str {
    core::str::from_utf8(handle.as_bytes()).expect("a handle of these tests")
}
