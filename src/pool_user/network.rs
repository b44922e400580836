//! What comes from the network: channel events, messages, announces.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{PoolUser, Waiter};
use crate::Instant;
use crate::channel::{Authentication, ChannelUser, CloseReason};
use crate::context::Context;
use crate::error::ResolveError;
use crate::id::{ChannelId, MessageId};
use crate::journal::{HomeLossReason, NoteKind};
use crate::misuse::{Input, Misuse};
use crate::reach::Origin;
use crate::session::Confirmation;
use crate::wire::{
    self, BodyRef, Cause, CauseCode, Causes, DecodeError, MessageRef, Notes, PolicyType,
    PoolHandle, Protocol, RawParameter, Reason,
};

/// How many causes of a refusal are told: more than there are codes, and few, since everyone who
/// waits gets a copy.
const MAX_CODES: usize = 16;

/// Input from the network. It is always accepted; what does not fit is counted in
/// [`Stats`](crate::Stats).
impl PoolUser {
    /// A channel that [`Action::Open`](crate::Action::Open) asked for is up. Who is authenticated counts
    /// for registrars only; an element that is not who it should be is told with
    /// [`CloseReason::Unauthenticated`].
    pub fn handle_opened(
        &mut self,
        now: Instant,
        channel: ChannelId,
        authentication: Authentication,
    ) {
        let now = self.advance(now);
        match self.ctx.channels.opened(channel) {
            Some(ChannelUser::Registrar) => {
                self.registrars.opened(now, &mut self.ctx, channel, authentication);
            }
            Some(ChannelUser::Session(link)) => {
                let (sessions, mut env) = self.session_machine(now);
                sessions.opened(&mut env, link);
            }
            None => self.ctx.unknown_channel(channel, Input::Opened),
        }
        self.route(now);
    }

    /// A channel is no more, or could not be set up.
    pub fn handle_closed(&mut self, now: Instant, channel: ChannelId, reason: CloseReason) {
        let now = self.advance(now);
        match self.ctx.channels.closed(channel) {
            Some(ChannelUser::Registrar) => {
                self.registrars.closed(now, &mut self.ctx, channel, reason);
            }
            Some(ChannelUser::Session(link)) => {
                let (sessions, mut env) = self.session_machine(now);
                sessions.closed(&mut env, link, reason);
            }
            // The machine has closed it and the driver did not know yet.
            None => {}
        }
        self.route(now);
    }

    /// One whole ASAP message came: over SCTP a user message with payload protocol identifier 11
    /// ([`ASAP_PPID`](wire::ASAP_PPID)), or what the driver's own mapping calls a control message.
    pub fn handle_control(&mut self, now: Instant, channel: ChannelId, message: &[u8]) {
        let now = self.advance(now);
        match self.ctx.channels.user(channel) {
            Some(ChannelUser::Session(link)) if !self.sessions.has_control(link) => {
                self.ctx.stats.unexpected_messages += 1;
                if self.sessions.is_mapped(link) {
                    self.ctx.misuse(Misuse::ControlNotDeclared { channel });
                }
            }
            Some(user) => self.handle_asap(now, channel, user, message),
            None => self.ctx.unknown_channel(channel, Input::Control),
        }
        self.route(now);
    }

    /// Bytes came from a registrar over a byte stream (TCP, TLS), cut anywhere.
    pub fn handle_stream(&mut self, now: Instant, channel: ChannelId, mut bytes: &[u8]) {
        let now = self.advance(now);
        let max_len = self.ctx.config.limits.max_message_len;
        if self.ctx.channels.user(channel).is_none() {
            self.ctx.unknown_channel(channel, Input::Stream);
        }
        while let Some(user) = self.ctx.channels.user(channel) {
            if user != ChannelUser::Registrar {
                self.ctx.stats.unexpected_messages += 1;
                self.ctx.misuse(Misuse::StreamOfElement { channel });
                break;
            }
            match self.ctx.channels.next_in_stream(channel, max_len, &mut bytes) {
                Ok(Some(message)) => self.handle_asap(now, channel, user, &message),
                Ok(None) => break,
                Err(_) => {
                    self.ctx.stats.broken_streams += 1;
                    self.registrars.leave(now, &mut self.ctx, HomeLossReason::Framing);
                }
            }
        }
        self.route(now);
    }

    /// Application data came from a pool element: one message, or with a byte stream any piece of
    /// it.
    pub fn handle_data(&mut self, now: Instant, channel: ChannelId, data: &[u8]) {
        let now = self.advance(now);
        match self.ctx.channels.user(channel) {
            Some(ChannelUser::Session(link)) => {
                let (sessions, mut env) = self.session_machine(now);
                sessions.received(&mut env, link, data);
                self.serve_sessions(now);
            }
            Some(ChannelUser::Registrar) => {
                self.ctx.stats.unexpected_messages += 1;
                let home = self.registrars.home().map(|home| home.transport.protocol());
                if home == Some(Protocol::Tcp) {
                    self.ctx.misuse(Misuse::DataOfRegistrar { channel });
                }
            }
            None => self.ctx.unknown_channel(channel, Input::Data),
        }
    }

    /// A datagram came on the multicast channel of the registrars, from `source` (RFC 5352
    /// §2.2.10).
    pub fn handle_announce(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        let now = self.advance(now);
        let mut notes = Notes::default();
        let decoded = MessageRef::decode(datagram, &mut notes);
        self.count(&notes);
        let is_transport = |raw: RawParameter<&[u8]>| Protocol::of(raw.parameter).is_some();
        match decoded.map(|message| (message.body, message.extra())) {
            Ok((BodyRef::ServerAnnounce { server, transports, .. }, mut extra)) => {
                // Of a kind that no registrar uses is not the same as none.
                let any = transports.clone().next().is_some() || extra.any(is_transport);
                let transports = any.then_some(transports);
                self.registrars.announced(now, &mut self.ctx, source, server, transports);
            }
            Ok(_) => self.ctx.stats.unexpected_messages += 1,
            Err(error) => self.count_refused(&error),
        }
        self.route(now);
    }

    /// The driver has written an application message: it is with the transport, and there is room
    /// for another one in the channel's window. For transports declared as
    /// [`Confirms::Written`](crate::Confirms::Written) or [`Delivered`](crate::Confirms::Delivered).
    pub fn handle_written(&mut self, now: Instant, channel: ChannelId, message: MessageId) {
        self.handle_confirmation(now, channel, message, Confirmation::Written);
    }

    /// The transport confirmed that an application message arrived. Drivers of transports that
    /// cannot tell leave it out; the application can say it instead, with
    /// [`confirm`](crate::SessionMut::confirm).
    pub fn handle_delivered(&mut self, now: Instant, channel: ChannelId, message: MessageId) {
        self.handle_confirmation(now, channel, message, Confirmation::Delivered);
    }

    /// The transport gives back an application message that it has not sent, as SCTP does when an
    /// association fails (RFC 6458 §6.1.11), and then to be said before
    /// [`handle_closed`](Self::handle_closed); for transports declared as
    /// [`Confirms::Written`](crate::Confirms::Written) or [`Delivered`](crate::Confirms::Delivered).
    /// While the channel lives, the message goes again by itself, up to `sessions.max_handovers`
    /// times; else to the next element, or back to the application, as its sender wished.
    pub fn handle_unsent(&mut self, now: Instant, channel: ChannelId, message: MessageId) {
        self.handle_confirmation(now, channel, message, Confirmation::Unsent);
    }

    /// The transport gives back a control message that it has not sent, by the bytes of its
    /// [`Payload::Control`](crate::Payload::Control); likewise to be said before
    /// [`handle_closed`](Self::handle_closed). A registrar to which something cannot be sent is left
    /// (RFC 5352 §3.7.1): requests that wait for its answer go to the next home, and so does a
    /// report, once.
    pub fn handle_control_unsent(&mut self, now: Instant, channel: ChannelId, message: &[u8]) {
        let now = self.advance(now);
        let Some(user) = self.ctx.channels.user(channel) else {
            self.ctx.unknown_channel(channel, Input::ControlUnsent);
            return;
        };
        self.ctx.stats.control_unsent += 1;
        if user == ChannelUser::Registrar {
            let decoded = MessageRef::decode(message, &mut Notes::default());
            if let Ok(BodyRef::EndpointUnreachable { handle, identifier }) = decoded.map(|m| m.body)
            {
                self.reports.unsent(&mut self.ctx, channel, handle, identifier);
            }
            self.registrars.leave(now, &mut self.ctx, HomeLossReason::NotSent);
        }
        self.route(now);
    }
}

impl PoolUser {
    /// The driver told what became of a message; counts what nobody waits for.
    fn handle_confirmation(
        &mut self,
        now: Instant,
        channel: ChannelId,
        message: MessageId,
        confirmation: Confirmation,
    ) {
        let now = self.advance(now);
        let awaited = match self.ctx.channels.user(channel) {
            Some(ChannelUser::Session(link)) => {
                let (sessions, mut env) = self.session_machine(now);
                sessions.confirmed(&mut env, link, message, confirmation)
            }
            user => {
                let input = confirmation.into();
                let misuse = match user {
                    Some(_) => Some(Misuse::ConfirmationNotAwaited { channel, message, input }),
                    None => self.ctx.channels.mistake(channel, input),
                };
                misuse.into_iter().for_each(|misuse| self.ctx.misuse(misuse));
                false
            }
        };
        self.ctx.stats.unknown_confirmations += u64::from(!awaited);
        self.serve_sessions(now);
    }

    /// An ASAP message came on a channel.
    fn handle_asap(&mut self, now: Instant, channel: ChannelId, user: ChannelUser, message: &[u8]) {
        let mut notes = Notes::default();
        let decoded = MessageRef::decode(message, &mut notes);
        self.count(&notes);
        match &decoded {
            Ok(message) => match (user, &message.body) {
                (user, BodyRef::Error { causes, .. }) => {
                    self.ctx.stats.errors_received += 1;
                    if user == ChannelUser::Registrar {
                        self.handle_error(now, channel, *causes);
                    }
                }
                (ChannelUser::Registrar, body) => self.handle_registrar(now, channel, body),
                (ChannelUser::Session(link), body) => {
                    let (sessions, mut env) = self.session_machine(now);
                    sessions.control(&mut env, link, body);
                }
            },
            Err(error) => self.count_refused(error),
        }
        self.report_errors(now, channel, notes.report);
    }

    /// A message came from a registrar.
    fn handle_registrar(&mut self, now: Instant, channel: ChannelId, body: &BodyRef<'_>) {
        match body {
            BodyRef::HandleResolutionResponse {
                updates, handle, policy, elements, causes, ..
            } => {
                self.resolver.heard();
                if !self.resolver.expects(handle, channel) {
                    self.ctx.stats.answers_unsolicited += 1;
                    return;
                }
                if let Some(causes) = causes {
                    self.handle_refusal(now, handle, *causes);
                    return;
                }
                let home = self.registrars.home();
                let authentication = home.map_or(Authentication::None, |home| home.authentication);
                let policy = policy.map_or(PolicyType::ROUND_ROBIN, |policy| policy.policy);
                let origin = home.map(|home| Origin::of_peer(&home.transport)).unwrap_or_default();
                let list = (policy, *elements);
                let Self { cache, ctx, resolver, .. } = self;
                let told = resolver.subscription(handle).is_some();
                cache.set_origin(origin);
                match cache.store(now, ctx, handle, list, authentication, told) {
                    Some(pool) => {
                        match resolver.is_unanswered(handle, channel) {
                            true => self.ctx.stats.answers += 1,
                            false => self.ctx.stats.updates += 1,
                        }
                        self.registrars.answered(&mut self.ctx);
                        let waiters = self.resolver.finish(now, &mut self.ctx, handle, *updates);
                        for waiter in waiters {
                            self.answer(now, waiter, pool, false);
                        }
                    }
                    None => {
                        self.ctx.stats.answers_useless += 1;
                        self.ctx.note(|| NoteKind::ListUnusable { handle: (*handle).into() });
                        self.cache.outdate(handle);
                        if !self.resolver.is_unanswered(handle, channel) {
                            self.resolver.hasten(now, &mut self.ctx, handle);
                        }
                    }
                }
            }
            // Only the home's channel is ever up, so the home is whom this names (HUNT-11).
            BodyRef::EndpointKeepAlive { home: true, .. } => self.ctx.stats.homes_named += 1,
            BodyRef::EndpointKeepAlive { .. } => self.ctx.stats.keep_alives += 1,
            _ => self.ctx.stats.unexpected_messages += 1,
        }
    }

    /// A registrar answered that it will not or cannot resolve a handle (RES-6).
    fn handle_refusal(&mut self, now: Instant, handle: &[u8], causes: Causes<'_>) {
        self.ctx.stats.answers += 1;
        let codes = causes.map(|cause| cause.code);
        let unknown = codes.clone().any(|code| code == CauseCode::UNKNOWN_POOL_HANDLE);
        match unknown {
            true => self.registrars.answered(&mut self.ctx),
            false => self.registrars.refused(now, &mut self.ctx),
        }
        let error = match unknown {
            true => ResolveError::UnknownPoolHandle,
            false => ResolveError::Rejected(codes.take(MAX_CODES).collect()),
        };
        if !unknown {
            let why = &error;
            self.ctx
                .note(|| NoteKind::RequestRefused { handle: handle.into(), error: why.clone() });
        }
        if unknown {
            let was_known = self.cache.find(handle).is_some() || self.resolver.was_listed(handle);
            if was_known && self.dispute(now, handle) {
                return;
            }
            self.ctx.note(|| NoteKind::PoolUnknown { handle: handle.into() });
            self.cache.store_unknown(now, &self.ctx, handle);
        }
        if self.resolver.subscription(handle).is_some() {
            // Its end is the last that is told of it.
            self.cache.forget_change(handle);
        }
        for waiter in self.resolver.refuse(&mut self.ctx, handle, &error) {
            self.fail(now, waiter, PoolHandle::from(handle), error.clone());
        }
    }

    /// The home does not know a pool that was known; says whether that is not believed yet.
    fn dispute(&mut self, now: Instant, handle: &[u8]) -> bool {
        let Some(since) = self.registrars.home().map(|home| home.since) else { return false };
        let waiter = Waiter::Refresh;
        let waiters = self.resolver.dispute(now, &mut self.ctx, handle, since, waiter);
        let Some(waiters) = waiters else { return false };
        self.ctx.stats.answers_disputed += 1;
        self.cache.outdate(handle);
        for waiter in waiters {
            self.answer_disputed(now, waiter, handle);
        }
        true
    }

    /// A registrar did not understand something that was sent to it (RES-14). What matches no
    /// request has been counted, and T1 covers whatever else it may mean.
    fn handle_error(&mut self, now: Instant, channel: ChannelId, causes: Causes<'_>) {
        for cause in causes {
            match cause.code {
                CauseCode::UNRECOGNIZED_PARAMETER => {
                    let refused =
                        self.ctx.config.resolution.elements_wanted.is_some_and(|wanted| {
                            let [a, b, c, d] = wanted.to_be_bytes();
                            cause.info == [0x80, 0x3f, 0x00, 0x08, a, b, c, d]
                        });
                    if refused && self.registrars.refused_wanted() {
                        self.ctx.stats.wanted_refused += 1;
                    }
                }
                CauseCode::UNRECOGNIZED_MESSAGE => {
                    let message = MessageRef::decode(cause.info, &mut Notes::default());
                    let refused = message.is_ok_and(|message| match message.body {
                        BodyRef::HandleResolution { handle, .. } => {
                            self.resolver.is_unanswered(handle, channel)
                        }
                        _ => false,
                    });
                    if refused {
                        self.ctx.stats.requests_unknown += 1;
                        self.registrars.leave(now, &mut self.ctx, HomeLossReason::UnknownRequest);
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    /// Answers what was not understood (TLV-5 to TLV-8).
    fn report_errors(&mut self, now: Instant, channel: ChannelId, causes: Vec<Cause<&[u8]>>) {
        if causes.is_empty() {
            return;
        }
        let Context { config, stats, channels, .. } = &mut self.ctx;
        if !channels.may_report_error(now, channel, config.limits.max_error_reports) {
            stats.errors_suppressed += 1;
            return;
        }
        let mut message = Vec::new();
        let report = wire::encode_error(&mut message, causes);
        stats.errors_cut += report.left_out as u64;
        if report.included > 0 {
            let sent = self.ctx.send_control(channel, message.into());
            self.ctx.stats.errors_sent += u64::from(sent);
        }
    }

    fn count(&mut self, notes: &Notes<'_>) {
        self.ctx.stats.unknown_parameters += notes.skipped as u64;
        self.ctx.stats.unexpected_parameters += notes.unexpected as u64;
    }

    fn count_refused(&mut self, error: &DecodeError) {
        match error.reason() {
            Reason::UnknownMessage(_) => self.ctx.stats.unknown_messages += 1,
            _ => self.ctx.stats.malformed += 1,
        }
    }
}
