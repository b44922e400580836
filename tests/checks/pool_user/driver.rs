//! The driver's book: which channels there are and were, what went over them, and how they ended.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use asap_pu::wire::{Body, Message, PeIdentifier, PoolHandle, Protocol, Transport};
use asap_pu::{
    Capabilities, ChannelId, CloseReason, Config, Confirms, Instant, LossReason, MessageId,
    PeerKind, Security, SessionId, Stats,
};
use bytes::Bytes;

use super::Moment;
use super::messages::Between;
use super::step::Element;

/// What the driver knows.
#[derive(Debug, Default)]
pub(super) struct Driver {
    /// What it can do.
    pub(super) capabilities: Capabilities,
    /// Every channel there ever was.
    pub(super) known: BTreeSet<ChannelId>,
    /// Those that the pool user has closed.
    closed: BTreeSet<ChannelId>,
    /// Those being set up or up.
    pub(super) live: BTreeMap<ChannelId, Channel>,
    /// Those to elements that are no more.
    gone: BTreeMap<ChannelId, Channel>,
    /// Elements that somebody had a reason to find unreachable.
    blamed: BTreeSet<PeIdentifier>,
    /// What registrars were asked and have not answered.
    pub(super) asked: BTreeMap<(ChannelId, PoolHandle), Bytes>,
    /// How often each element was reported, and each pool asked for.
    reports: BTreeMap<(PoolHandle, PeIdentifier), u64>,
    requests: BTreeMap<PoolHandle, u64>,
}

/// A channel that is being set up or up.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) peer: PeerKind,
    /// Where it leads; nowhere in particular where the peer opened it.
    to: Option<Transport>,
    /// What the driver tells of messages on it, and whether control messages can be told from data.
    pub(super) confirms: Confirms,
    carries_control: bool,
    /// Whose it is, where that is known.
    pub(super) owner: Option<SessionId>,
    /// Since when the driver sets it up.
    called: Instant,
    pub(super) up: bool,
    /// Since when it is up.
    since: Instant,
    since_moment: Moment,
    /// How it ended, or may have ended by the pool user's doing.
    ends: Vec<(LossReason, Moment)>,
    /// Whether its end was read.
    told: bool,
    /// The cookie of each session when the channel came up.
    cookies: BTreeMap<SessionId, Bytes>,
    /// The cookies that it heard, and whether the first came before all else.
    pub(super) echoes: Vec<Bytes>,
    echo_was_first: bool,
    /// The latest cookie that came on it or went over it; none after one that was too long.
    pub(super) cookie: Option<Bytes>,
    pub(super) cookie_lost: bool,
    /// Whether anything was sent that a cookie comes before.
    talked: bool,
    /// How often it was told that something was not understood.
    errors: u64,
    /// What was handed over, and how long each is.
    pub(super) handed: BTreeMap<MessageId, SessionId>,
    lengths: BTreeMap<MessageId, usize>,
    pub(super) unwritten: Vec<MessageId>,
    pub(super) undelivered: Vec<MessageId>,
    /// The last message that was for one element, and those that came back since they were sent.
    last: Option<MessageId>,
    /// The last control message.
    pub(super) last_control: Option<Bytes>,
    pub(super) back: BTreeSet<MessageId>,
}

impl Channel {
    fn new(peer: PeerKind, to: Option<Transport>, confirms: Confirms, control: bool) -> Self {
        Self {
            peer,
            up: to.is_none(),
            to,
            confirms,
            carries_control: control,
            owner: None,
            called: Instant::EPOCH,
            since: Instant::EPOCH,
            since_moment: 0,
            ends: Vec::new(),
            told: false,
            cookies: BTreeMap::new(),
            echoes: Vec::new(),
            echo_was_first: false,
            cookie: None,
            cookie_lost: false,
            talked: false,
            errors: 0,
            handed: BTreeMap::new(),
            lengths: BTreeMap::new(),
            unwritten: Vec::new(),
            undelivered: Vec::new(),
            last: None,
            last_control: None,
            back: BTreeSet::new(),
        }
    }

    /// The element that it leads to; `None` where the peer opened it.
    pub(super) fn element(&self) -> Option<PeIdentifier> {
        self.to.as_ref().map(Element::at)
    }

    pub(super) const fn has_control(&self) -> bool {
        self.carries_control
    }

    pub(super) fn was_opened(&self) -> bool {
        self.to.is_some()
    }

    /// When it came up.
    pub(super) const fn came_up_at(&self) -> Moment {
        self.since_moment
    }

    /// Whether it is up beyond doubt: nobody has done anything that may have ended it.
    pub(super) fn surely_up(&self) -> bool {
        self.up && self.ends.is_empty()
    }

    /// Whether nobody has done anything that may have ended it.
    pub(super) fn surely_lives(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether it may be a channel of that session.
    pub(super) fn may_belong_to(&self, session: SessionId) -> bool {
        self.peer == PeerKind::Element && self.owner.is_none_or(|owner| owner == session)
    }

    /// Whether it has been up for so long that its element is known to serve.
    pub(super) fn is_stable(&self, now: Instant, config: &Config) -> bool {
        self.up && now >= self.since + config.sessions.stable_after
    }

    /// Whether it ended with that reason, or may have.
    pub(super) fn may_have_ended(&self, reason: LossReason) -> bool {
        self.ends.iter().any(|(known, _)| *known == reason)
    }

    /// Whether it ended with that reason beyond doubt.
    pub(super) fn has_ended_with(&self, reason: LossReason) -> bool {
        matches!(self.ends[..], [(known, _)] if known == reason)
    }

    /// Whether it ended at that moment.
    pub(super) fn is_new_end(&self, at: Moment) -> bool {
        self.ends.last().is_some_and(|(_, moment)| *moment == at)
    }

    /// The driver hears that it is up, while the sessions have these cookies.
    pub(super) fn came_up(
        &mut self,
        now: Instant,
        at: Moment,
        cookies: BTreeMap<SessionId, Bytes>,
    ) {
        (self.up, self.cookies, self.since, self.since_moment) = (true, cookies, now, at);
    }

    /// A message is handed over.
    pub(super) fn take(
        &mut self,
        config: &Config,
        session: SessionId,
        message: MessageId,
        len: usize,
    ) {
        assert!(self.peer == PeerKind::Element, "data for a registrar");
        assert!(self.owner.replace(session).is_none_or(|owner| owner == session), "one owner");
        self.talked = true;
        let known = self.handed.insert(message, session);
        assert!(known.is_none() || self.back.remove(&message), "handed over twice");
        self.unwritten.push(message);
        self.undelivered.push(message);
        if self.confirms >= Confirms::Written {
            self.lengths.insert(message, len);
            let bytes: usize = self.unwritten.iter().map(|it| self.lengths[it]).sum();
            let fits = self.unwritten.len() == 1 || bytes <= config.limits.window_bytes;
            assert!(fits && self.unwritten.len() <= config.limits.window_messages, "[SESSION-15]");
        }
    }

    /// A message that is for the element that the session keeps is handed over, in the order of
    /// sending but for those that came back.
    pub(super) fn take_in_order(&mut self, message: MessageId, came_back: bool) {
        assert!(self.last < Some(message) || came_back, "in the order of sending");
        self.last = self.last.max(Some(message));
    }

    /// [SESSION-7] [SESSION-21]: on a channel that was opened for a session to keep its element, the
    /// latest cookie came first.
    pub(super) fn was_greeted(&self, session: SessionId) {
        if self.carries_control && self.was_opened() {
            let cookie = self.cookies.get(&session);
            assert_eq!(self.echoes.first(), cookie, "[SESSION-7] the latest cookie");
            let first = self.echoes.is_empty() || self.echo_was_first && self.echoes.len() == 1;
            assert!(first, "[SESSION-7] first of all, and once");
        }
    }
}

/// The reason with which a channel is lost when the driver closes it.
const fn loss(reason: CloseReason, was_up: bool) -> LossReason {
    match reason {
        CloseReason::Closed => LossReason::Closed,
        CloseReason::Unauthenticated => LossReason::Unauthenticated,
        CloseReason::Local => LossReason::Local,
        _ if was_up => LossReason::Broken,
        _ => LossReason::Refused,
    }
}

impl Driver {
    pub(super) fn new(capabilities: Capabilities) -> Self {
        Self { capabilities, ..Self::default() }
    }

    pub(super) fn accept(
        &mut self,
        now: Instant,
        channel: ChannelId,
        session: SessionId,
        protocol: Protocol,
        control: bool,
    ) {
        self.name(channel);
        let confirms = self.capabilities.confirms(protocol);
        let mut accepted = Channel::new(PeerKind::Element, None, confirms, control);
        (accepted.owner, accepted.since) = (Some(session), now);
        self.live.insert(channel, accepted);
    }

    pub(super) fn open(
        &mut self,
        config: &Config,
        now: Instant,
        channel: ChannelId,
        peer: PeerKind,
        to: &Transport,
        security: &Security,
    ) -> &mut Channel {
        self.name(channel);
        let control = match to {
            Transport::Sctp(sctp) => sctp.transport_use.carries_control(),
            _ => self.capabilities.tells_control(to.protocol()),
        };
        let confirms = self.capabilities.confirms(to.protocol());
        let mut opened = Channel::new(peer, Some(to.clone()), confirms, control);
        opened.called = now;
        self.live.insert(channel, opened);
        match peer {
            PeerKind::Registrar => {
                let registrars: Vec<_> =
                    self.live.values().filter(|it| it.peer == PeerKind::Registrar).collect();
                assert!(registrars.len() <= 3, "[HUNT-3]");
                let here = registrars.iter().filter(|it| it.to.as_ref() == Some(to));
                assert_eq!(here.count(), 1, "a registrar is not tried beside itself");
                assert!(self.capabilities.reaches_registrars(to.protocol()), "[HUNT-15]");
                let configured =
                    config.discovery.registrars.iter().find(|known| known.transport == *to);
                assert!(configured.is_none_or(|known| known.security == *security), "[HUNT-14]");
            }
            _ => assert!(self.capabilities.reaches_elements(to.protocol()), "[SELECT-9]"),
        }
        self.live.get_mut(&channel).expect("just opened")
    }

    /// A control message goes out on `channel`.
    pub(super) fn control(&mut self, config: &Config, channel: ChannelId, bytes: &Bytes) {
        let found = self.live.get_mut(&channel).expect("a channel that lives");
        let message = Message::decode(bytes).expect("what is sent can be read");
        found.last_control = Some(bytes.clone());
        match (found.peer, message.body) {
            (PeerKind::Registrar, Body::HandleResolution { handle, .. }) => {
                *self.requests.entry(handle.clone()).or_default() += 1;
                self.asked.insert((channel, handle), bytes.clone());
            }
            (PeerKind::Registrar, Body::EndpointUnreachable { handle, identifier, .. }) => {
                assert!(self.blamed.contains(&identifier), "[REPORT-7] [REPORT-9] {identifier}");
                *self.reports.entry((handle, identifier)).or_default() += 1;
            }
            (PeerKind::Element, Body::CookieEcho { cookie, .. }) => {
                assert!(found.carries_control, "[SESSION-6]");
                found.echo_was_first |= !found.talked;
                found.talked = true;
                found.cookie.get_or_insert_with(|| cookie.clone());
                found.echoes.push(cookie);
            }
            (PeerKind::Element, Body::BusinessCard { .. }) => {
                assert!(found.carries_control && config.sessions.identity.is_some(), "[SESSION-9]");
                found.talked = true;
            }
            (_, Body::Error { causes, .. }) => {
                assert!(
                    !causes.is_empty()
                        && (found.peer == PeerKind::Registrar || found.carries_control)
                );
                (found.talked, found.errors) = (true, found.errors + 1);
            }
            (peer, other) => panic!("{other:?} for a {peer:?}"),
        }
    }

    /// A message of a session has arrived, so it was written.
    pub(super) fn written(&mut self, channel: ChannelId, message: MessageId) {
        if let Some(channel) = self.live.get_mut(&channel) {
            channel.unwritten.retain(|unwritten| *unwritten != message);
        }
    }

    /// The pool user's last word on a channel. The driver may have closed it meanwhile.
    pub(super) fn close(&mut self, channel: ChannelId) {
        assert!(self.known.contains(&channel) && self.closed.insert(channel), "closed once");
        self.end(channel);
    }

    /// A channel is no more.
    pub(super) fn end(&mut self, channel: ChannelId) {
        self.asked.retain(|(on, _), _| *on != channel);
        let gone = self.live.remove(&channel);
        if let Some(gone) = gone.filter(|gone| gone.peer == PeerKind::Element) {
            self.gone.insert(channel, gone);
        }
    }

    /// The driver ends a channel, or never brings it up.
    pub(super) fn fail(&mut self, channel: ChannelId, reason: CloseReason, at: Moment) {
        let Some(found) = self.live.get_mut(&channel) else { return };
        let reason = loss(reason, found.up);
        found.ends.push((reason, at));
        let failed = !matches!(reason, LossReason::Closed | LossReason::Local);
        if let Some(element) = found.element().filter(|_| failed) {
            self.blamed.insert(element);
        }
        self.end(channel);
    }

    /// Channels may end by the application's word.
    pub(super) fn may_end(
        &mut self,
        which: impl Fn(&Channel) -> bool,
        reason: LossReason,
        at: Moment,
    ) {
        for channel in self.live.values_mut().filter(|channel| which(channel)) {
            channel.ends.push((reason, at));
            if reason == LossReason::GivenUp {
                self.blamed.extend(channel.element());
            }
        }
    }

    /// Somebody says that an element cannot be reached.
    pub(super) fn blame(&mut self, element: PeIdentifier) {
        self.blamed.insert(element);
    }

    /// [REPORT-7] [REPORT-9]: nobody is found unreachable without a reason.
    pub(super) fn has_blamed(&self, element: PeIdentifier) -> bool {
        self.blamed.contains(&element)
    }

    /// The time is another one. Channels that have not come up may be given up.
    pub(super) fn passes(&mut self, now: Instant, config: &Config, at: Moment) {
        for channel in self.live.values_mut() {
            let element = channel.element().filter(|_| channel.peer == PeerKind::Element);
            if !channel.up && now >= channel.called + config.sessions.connect_timeout {
                channel.ends.push((LossReason::TimedOut, at));
                self.blamed.extend(element);
            }
        }
    }

    /// [SESSION-3]: nobody is waited for longer than `connect_timeout`.
    pub(super) fn gives_up_in_time(&self, now: Instant, config: &Config) {
        let mut waiting = self.live.values().filter(|it| it.peer == PeerKind::Element && !it.up);
        assert!(waiting.all(|it| now < it.called + config.sessions.connect_timeout), "[SESSION-3]");
    }

    /// A channel, be it that it is no more.
    pub(super) fn channel(&self, channel: ChannelId) -> Option<&Channel> {
        self.live.get(&channel).or_else(|| self.gone.get(&channel))
    }

    /// All channels that may be or have been a session's.
    pub(super) fn channels_of(
        &self,
        session: SessionId,
    ) -> impl Iterator<Item = (ChannelId, &Channel)> {
        let all = self.live.iter().chain(&self.gone);
        let all = all.map(|(channel, found)| (*channel, found));
        all.filter(move |(_, found)| found.may_belong_to(session))
    }

    /// Whether a channel of a session has ended for a reason: the one named, or any.
    pub(super) fn ended(
        &self,
        session: SessionId,
        channel: Option<ChannelId>,
        reason: LossReason,
    ) -> bool {
        match channel.and_then(|channel| self.channel(channel)) {
            Some(found) => found.may_have_ended(reason),
            None => self.channels_of(session).any(|(_, found)| found.may_have_ended(reason)),
        }
    }

    /// The application reads that a session lost an element: when that was. There was such an end,
    /// of a channel that was up, and it was not read before.
    pub(super) fn loss_read(
        &mut self,
        session: SessionId,
        leads_there: impl Fn(&Channel) -> bool,
        reason: LossReason,
    ) -> Between {
        let all = self.live.values_mut().chain(self.gone.values_mut());
        let mut ended: Vec<_> = all
            .filter(|it| {
                it.may_belong_to(session)
                    && it.up
                    && !it.told
                    && it.may_have_ended(reason)
                    && leads_there(it)
            })
            .collect();
        let ends = ended.iter().flat_map(|it| it.ends.iter().filter(|(of, _)| *of == reason));
        let (first, last) = (ends.clone().map(|end| end.1).min(), ends.map(|end| end.1).max());
        let between = first.zip(last).unwrap_or_else(|| panic!("[SESSION-17] lost: {reason:?}"));
        if let [one] = &mut ended[..] {
            one.told = true;
        }
        between
    }

    /// Whether any channel to an element is up, as far as the driver knows.
    pub(super) fn none_is_up(&self) -> bool {
        !self.live.values().any(|it| it.peer == PeerKind::Element && it.up)
    }

    /// [REPORT-2] [REPORT-4] [RES-15]: what was sent is in proportion to what happened, and to the
    /// time.
    pub(super) fn is_moderate(&self, now: Instant, config: &Config, stats: &Stats) {
        let times = |interval: Duration| {
            now.since(Instant::EPOCH)
                .as_nanos()
                .checked_div(interval.as_nanos())
                .map_or(u64::MAX, |n| n as u64)
        };
        let reports: u64 = self.reports.values().sum();
        let again = stats.reports_repeated;
        assert!(reports <= stats.failures + again, "[REPORT-2] one report for each failure");
        let most = times(config.resolution.report_interval).saturating_add(1 + again);
        // What was reported is remembered for as many elements as a pool may have.
        if config.limits.max_elements > 30 {
            let worst = self.reports.values().max().copied().unwrap_or(0);
            assert!(worst <= most, "[REPORT-4] {worst} reports of one element");
        }
        let per_second = u64::from(config.limits.max_reports_per_second);
        let seconds = times(Duration::from_secs(1));
        assert!(reports <= per_second * (seconds + 1), "[REPORT-4]");
        let most = u64::from(config.limits.max_error_reports)
            * times(Duration::from_secs(10)).saturating_add(1);
        assert!(self.live.values().all(|channel| channel.errors <= most), "[TLV-8]");
        let most =
            times(config.resolution.resolution_interval).saturating_add(1 + stats.requests_moved);
        // Pauses are remembered for as many pools as may be asked for.
        if config.limits.max_requests > 30 {
            let worst = self.requests.values().max().copied().unwrap_or(0);
            assert!(worst <= most, "[RES-15] {worst} requests for one pool");
        }
    }

    fn name(&mut self, channel: ChannelId) {
        assert!(self.known.insert(channel), "a name used twice");
    }
}
