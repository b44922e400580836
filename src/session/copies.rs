//! Messages to all elements of a pool (RFC 5352 §6.5.5, `ASAP_SEND_TO_ALL`).
//!
//! When its turn comes, such a message becomes one copy for each element that is listed then, each
//! on the link that leads there. Copies do not fail over; the application hears what became of each,
//! and the message counts against the session's limits until it has read the last result.

use alloc::vec::Vec;

use bytes::Bytes;

use super::inbox::Notice;
use super::options::{LossReason, Recipient, UndeliveredReason};
use super::{Env, Pool, Sessions};
use crate::id::{LinkId, MessageId, SessionId};
use crate::journal::{NoteKind, PassedOver};
use crate::wire::PeIdentifier;

impl Sessions {
    /// Makes the copies of the message whose turn it is, one of them for `kept`, the link that a
    /// session keeps; says that its turn is over.
    pub(super) fn copy_to_all(
        &mut self,
        env: &mut Env<'_>,
        id: SessionId,
        kept: Option<LinkId>,
    ) -> bool {
        let Some(session) = self.slab.get_mut(id.0) else { return false };
        let Some(busy) = &mut session.busy else { return false };
        let Some(head) = busy.queue.head() else { return false };
        let (message, data, to) = (head.id, head.data.clone(), head.options.to);
        let pool = match session.pool {
            Pool::Known(pool) => env.cache.get(pool),
            _ => None,
        };
        let own = env.ctx.config.sessions.identity.as_ref();
        let own = own.filter(|own| pool.is_some_and(|pool| *pool.handle() == own.handle));
        let own = own.map(|own| own.identifier);
        let served = kept.and(session.element);
        let others: Vec<PeIdentifier> = pool
            .into_iter()
            .flat_map(|pool| pool.elements().map(|element| element.identifier()))
            .filter(|element| Some(*element) != own && (kept.is_none() || Some(*element) != served))
            .collect();
        let copies = others.len() + usize::from(kept.is_some());
        let own = own.filter(|_| to == Recipient::AllAndSelf);
        if copies == 0 && own.is_none() {
            let notices = &mut busy.inbox.with_journal(&mut env.ctx.journal, id);
            busy.queue.return_head(UndeliveredReason::NoRecipient, notices);
            return true;
        }
        busy.queue.copy_head(copies);
        if let Some(link) = kept.and_then(|link| self.links.get_mut(link.0)) {
            link.assign(message);
        }
        for element in others {
            self.copy_to(env, id, element, message);
        }
        if let Some(own) = own {
            self.receive(env, id, &data, |data| Notice::Received { element: Some(own), data });
        }
        true
    }

    fn copy_to(
        &mut self,
        env: &mut Env<'_>,
        id: SessionId,
        element: PeIdentifier,
        message: MessageId,
    ) {
        let Some(session) = self.slab.get(id.0) else { return };
        let there = session.link_to(element);
        let to = match session.pool {
            Pool::Known(pool) => env.cache.get_mut(pool).and_then(|pool| {
                let supported = pool.hand_out(element);
                pool.element(element)
                    .filter(|_| supported)
                    .map(|found| found.transport().to_owned())
            }),
            _ => None,
        };
        let link = there.or_else(|| Some(self.link_to(env, id, element, to?)));
        match link.and_then(|link| self.links.get_mut(link.0)) {
            Some(link) => {
                link.assign(message);
                link.wake(&mut env.ctx.channels);
            }
            // The driver does not speak its transport.
            None => {
                let reason = PassedOver::NotSupported;
                env.ctx.note(|| NoteKind::ElementPassedOver { session: id, element, reason });
                let failure = UndeliveredReason::ElementLost(LossReason::Refused);
                self.copied(id, Some(element), message, Some(failure));
            }
        }
    }

    /// One copy has met its fate.
    pub(super) fn copied(
        &mut self,
        id: SessionId,
        element: Option<PeIdentifier>,
        message: MessageId,
        failure: Option<UndeliveredReason>,
    ) {
        let session = self.slab.get_mut(id.0);
        if let Some(busy) = session.and_then(|session| session.busy.as_mut()) {
            busy.queue.copy_done(message);
            busy.inbox.push(Notice::Copied(message, element, failure));
        }
    }

    /// Something came for the application; it is dropped and counted where too much is unread.
    pub(super) fn receive(
        &mut self,
        env: &mut Env<'_>,
        id: SessionId,
        data: &[u8],
        notice: impl FnOnce(Bytes) -> Notice,
    ) {
        let Self { slab, spare, .. } = self;
        let Some(session) = slab.get_mut(id.0) else { return };
        let inbox = &mut super::Busy::of(&mut session.busy, spare).inbox;
        if env.ctx.events.reserve(data.len(), env.ctx.config.limits.max_unread_bytes) {
            env.ctx.stats.messages_received += 1;
            inbox.push(notice(Bytes::copy_from_slice(data)));
        } else {
            env.ctx.stats.messages_dropped += 1;
            inbox.push_dropped();
        }
    }

    /// Ends all links of a session that is over; whose copies are still open, hears so.
    pub(super) fn end_links(
        &mut self,
        env: &mut Env<'_>,
        id: SessionId,
        reason: UndeliveredReason,
    ) {
        let Some(session) = self.slab.get_mut(id.0) else { return };
        let links: Vec<_> = session.links().collect();
        session.kept = None;
        if let Some(extra) = &mut session.extra {
            extra.links.clear();
            extra.calling = 0;
        }
        for id in links {
            let Some(link) = self.take_link(id) else { continue };
            env.ctx.channels.close(link.channel);
            env.ctx.note(|| NoteKind::ChannelClosed { channel: link.channel, peer: link.peer() });
            self.end_lane(link, reason);
        }
    }

    /// A link is no more: the copies on it that are open have failed.
    pub(super) fn end_lane(&mut self, mut link: super::Link, reason: UndeliveredReason) {
        let (out, queued) = link.take_lane();
        for message in out.into_iter().chain(queued) {
            let session = self.slab.get(link.session.0);
            let queue = session.and_then(|session| Some(&session.busy.as_ref()?.queue));
            if queue.is_some_and(|queue| queue.is_copied(message)) {
                self.copied(link.session, link.element, message, Some(reason));
            }
        }
    }
}
