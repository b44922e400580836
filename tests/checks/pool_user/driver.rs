//! The driver's book: which channels there are and what went over them.

use std::collections::{BTreeMap, BTreeSet};

use asap_pu::wire::{Body, Message, PeIdentifier, PoolHandle, Protocol, Transport};
use asap_pu::{ChannelId, Config, Instant, MessageId, PeerKind, Security, SessionId, Stats};
use bytes::Bytes;

use super::step::Element;

/// What the driver knows.
#[derive(Debug, Default)]
pub(super) struct Driver {
    /// Every channel there ever was.
    pub(super) known: BTreeSet<ChannelId>,
    /// Those that the pool user has closed.
    closed: BTreeSet<ChannelId>,
    /// Those being set up or up.
    pub(super) live: BTreeMap<ChannelId, Channel>,
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
    pub(super) up: bool,
    /// The cookie of each session when the channel came up.
    cookies: BTreeMap<SessionId, Bytes>,
    echo: Option<Bytes>,
    /// Whether anything was sent that a cookie comes before.
    talked: bool,
    /// How often it was told that something was not understood.
    errors: u64,
    /// What was handed over: each message once.
    pub(super) handed: BTreeMap<MessageId, SessionId>,
    pub(super) unwritten: Vec<MessageId>,
    /// How long each is that was handed over.
    lengths: BTreeMap<MessageId, usize>,
    pub(super) undelivered: Vec<MessageId>,
    /// The last message that was for one element.
    last: Option<MessageId>,
    /// The last control message.
    pub(super) control: Option<Bytes>,
}

impl Channel {
    fn new(peer: PeerKind, to: Option<Transport>) -> Self {
        Self {
            peer,
            up: to.is_none(),
            to,
            cookies: BTreeMap::new(),
            echo: None,
            talked: false,
            errors: 0,
            handed: BTreeMap::new(),
            unwritten: Vec::new(),
            lengths: BTreeMap::new(),
            undelivered: Vec::new(),
            last: None,
            control: None,
        }
    }

    pub(super) fn protocol(&self) -> Option<Protocol> {
        self.to.as_ref().map(Transport::protocol)
    }

    /// The element that it leads to; 0 where the peer opened it.
    pub(super) fn element(&self) -> PeIdentifier {
        self.to.as_ref().map_or(PeIdentifier::new(0), Element::at)
    }

    /// Whether control messages can be told from data on it.
    fn has_control(&self, config: &Config) -> bool {
        match &self.to {
            Some(Transport::Sctp(sctp)) => sctp.transport_use.carries_control(),
            Some(to) => config.control_mapping.contains(to.protocol()),
            None => true,
        }
    }

    /// The driver hears that it is up, while the sessions have these cookies.
    pub(super) fn came_up(&mut self, cookies: BTreeMap<SessionId, Bytes>) {
        (self.up, self.cookies) = (true, cookies);
    }

    /// A message is handed over; `keeping` where the session has no other channel for it.
    pub(super) fn take(
        &mut self,
        config: &Config,
        session: SessionId,
        message: MessageId,
        keeping: bool,
        len: usize,
    ) {
        assert!(self.peer == PeerKind::Element, "data for a registrar");
        if keeping {
            assert!(self.last < Some(message), "in the order of sending");
            self.last = Some(message);
            if self.to.is_some() && self.has_control(config) {
                let cookie = self.cookies.get(&session);
                assert_eq!(self.echo.as_ref(), cookie, "[SESSION-7] the latest cookie first");
            }
        }
        let is_latest = self.echo.is_none() || self.echo.as_ref() == self.cookies.get(&session);
        assert!(is_latest, "[SESSION-7] the latest cookie");
        self.talked = true;
        assert!(self.handed.insert(message, session).is_none(), "handed over twice");
        self.unwritten.push(message);
        self.undelivered.push(message);
        if config.confirms_writes {
            self.lengths.insert(message, len);
            let bytes: usize = self.unwritten.iter().map(|it| self.lengths[it]).sum();
            let fits = self.unwritten.len() == 1 || bytes <= config.window_bytes;
            assert!(fits && self.unwritten.len() <= config.window_messages, "[SESSION-15]");
        }
    }
}

impl Driver {
    pub(super) fn accept(&mut self, channel: ChannelId) {
        self.name(channel);
        self.live.insert(channel, Channel::new(PeerKind::Element, None));
    }

    pub(super) fn open(
        &mut self,
        config: &Config,
        channel: ChannelId,
        peer: PeerKind,
        to: &Transport,
        security: &Security,
    ) {
        self.name(channel);
        self.live.insert(channel, Channel::new(peer, Some(to.clone())));
        match peer {
            PeerKind::Registrar => {
                let registrars: Vec<_> =
                    self.live.values().filter(|it| it.peer == PeerKind::Registrar).collect();
                assert!(registrars.len() <= 3, "[HUNT-3]");
                let here = registrars.iter().filter(|it| it.to.as_ref() == Some(to));
                assert_eq!(here.count(), 1, "a registrar is not tried beside itself");
                assert!(config.registrar_protocols.contains(to.protocol()), "[HUNT-15]");
                let configured = config.registrars.iter().find(|known| known.transport == *to);
                assert!(configured.is_none_or(|known| known.security == *security), "[HUNT-14]");
            }
            _ => assert!(config.element_protocols.contains(to.protocol()), "[SELECT-9]"),
        }
    }

    /// A control message goes out on `channel`.
    pub(super) fn control(&mut self, config: &Config, channel: ChannelId, bytes: &Bytes) {
        let found = self.live.get_mut(&channel).expect("a channel that lives");
        let message = Message::decode(bytes).expect("what is sent can be read");
        found.control = Some(bytes.clone());
        match (found.peer, message.body) {
            (PeerKind::Registrar, Body::HandleResolution { handle, .. }) => {
                *self.requests.entry(handle.clone()).or_default() += 1;
                self.asked.insert((channel, handle), bytes.clone());
            }
            (PeerKind::Registrar, Body::EndpointUnreachable { handle, identifier, .. }) => {
                *self.reports.entry((handle, identifier)).or_default() += 1;
            }
            (PeerKind::Element, Body::CookieEcho { cookie, .. }) => {
                assert!(found.has_control(config) && !found.talked, "[SESSION-7] first of all");
                assert_eq!(found.echo.replace(cookie), None, "[SESSION-7] once a channel");
            }
            (PeerKind::Element, Body::BusinessCard { .. }) => {
                assert!(found.has_control(config) && config.identity.is_some(), "[SESSION-9]");
                found.talked = true;
            }
            (_, Body::Error { causes, .. }) => {
                assert!(
                    !causes.is_empty()
                        && (found.peer == PeerKind::Registrar || found.has_control(config))
                );
                (found.talked, found.errors) = (true, found.errors + 1);
            }
            (peer, other) => panic!("{other:?} for a {peer:?}"),
        }
    }

    /// A message of a session has arrived, so it was written.
    pub(super) fn written(&mut self, session: SessionId, message: MessageId) {
        for channel in self.live.values_mut() {
            if channel.handed.get(&message) == Some(&session) {
                channel.unwritten.retain(|unwritten| *unwritten != message);
            }
        }
    }

    /// The pool user's last word on a channel. The driver may have closed it meanwhile.
    pub(super) fn close(&mut self, channel: ChannelId) {
        assert!(self.known.contains(&channel) && self.closed.insert(channel), "closed once");
        self.end(channel);
    }

    pub(super) fn end(&mut self, channel: ChannelId) -> Option<Channel> {
        self.asked.retain(|(on, _), _| *on != channel);
        self.live.remove(&channel)
    }

    /// [REPORT-2] [REPORT-4] [RES-15]: what was sent is in proportion to what happened, and to the
    /// time.
    pub(super) fn is_moderate(&self, now: Instant, config: &Config, stats: &Stats) {
        let times = |interval: core::time::Duration| {
            now.since(Instant::EPOCH)
                .as_nanos()
                .checked_div(interval.as_nanos())
                .map_or(u64::MAX, |n| n as u64)
        };
        let reports: u64 = self.reports.values().sum();
        let again = stats.reports_repeated;
        assert!(reports <= stats.failures + again, "[REPORT-2] one report for each failure");
        let most = times(config.report_interval).saturating_add(1 + again);
        // What was reported is remembered for as many elements as a pool may have.
        if config.max_elements > 30 {
            let worst = self.reports.values().max().copied().unwrap_or(0);
            assert!(worst <= most, "[REPORT-4] {worst} reports of one element");
        }
        let per_second = u64::from(config.max_reports_per_second);
        let seconds = times(core::time::Duration::from_secs(1));
        assert!(reports <= per_second * (seconds + 1), "[REPORT-4]");
        let most = u64::from(config.max_error_reports)
            * times(core::time::Duration::from_secs(10)).saturating_add(1);
        assert!(self.live.values().all(|channel| channel.errors <= most), "[TLV-8]");
        let most = times(config.resolution_interval).saturating_add(1 + stats.requests_moved);
        // Pauses are remembered for as many pools as may be asked for.
        if config.max_requests > 30 {
            let worst = self.requests.values().max().copied().unwrap_or(0);
            assert!(worst <= most, "[RES-15] {worst} requests for one pool");
        }
    }

    fn name(&mut self, channel: ChannelId) {
        assert!(self.known.insert(channel), "a name used twice");
    }
}
