//! Business cards: whom to turn to if an element fails, as the element itself says (RFC 5352 §3.9).
//!
//! A card has two purposes. It names the pool that its sender belongs to, which is news only where
//! the sender called this node; and it lists elements in the order in which to try them. The list
//! is advice about elements that the registrar lists too: they are known by identifier, and the
//! addresses in the card are not used unless `sessions.trust_card_addresses` says so, because anyone who can
//! send a card could send this user anywhere.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Env, Mode, Pool, Sessions};
use crate::context::Context;
use crate::error::CommandError;
use crate::id::LinkId;
use crate::wire::{Elements, Message, PeIdentifier, PoolElement, PoolHandle, Transport};

/// An element that a card recommends.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) struct Preferred {
    pub(super) identifier: PeIdentifier,
    /// Where the card says it is, if that is to be trusted.
    pub(super) transport: Option<Box<Transport>>,
}

impl Sessions {
    /// Makes the business card of this node and sends it wherever there is a control channel to an
    /// element.
    pub(crate) fn set_card(
        &mut self,
        ctx: &mut Context,
        elements: Vec<PoolElement>,
    ) -> Result<(), CommandError> {
        let identity = ctx.config.sessions.identity.as_ref().ok_or(CommandError::NoIdentity)?;
        let card = Message::business_card(identity.handle.clone(), elements).to_bytes();
        let card = card.map_err(CommandError::InvalidCard)?;
        for (_, link) in self.links.iter().filter(|(_, link)| link.up.is_some()) {
            if link.facts.control {
                let sent = ctx.send_control(link.channel, card.clone());
                ctx.stats.cards_sent += u64::from(sent);
            }
        }
        self.card = Some(card);
        Ok(())
    }

    /// The card of this node before it recommends anyone.
    pub(crate) fn plain_card(ctx: &Context) -> Option<Bytes> {
        let identity = ctx.config.sessions.identity.as_ref()?;
        Message::business_card(identity.handle.clone(), Vec::new()).to_bytes().ok()
    }

    /// An element has sent its card. Whom it recommends counts for a session that has no element of
    /// its own, or has this one.
    pub(super) fn card_received(
        &mut self,
        env: &mut Env<'_>,
        id: LinkId,
        handle: &[u8],
        elements: Elements<'_>,
    ) {
        let Some(link) = self.links.get(id.0) else { return };
        let Some(session) = self.slab.get_mut(link.session.0) else { return };
        let chooses = session.mode == Mode::Choose;
        if session.kept != Some(id) && !chooses {
            env.ctx.stats.unexpected_messages += 1;
            return;
        }
        let valid = env.ctx.config.limits.allow_handle_len(handle.len());
        if session.accepted && valid {
            session.pool = Pool::Named(PoolHandle::from(handle).into());
        }
        let accepted = session.accepted;
        let own = session.handle(env.cache).is_some_and(|own| own.as_bytes() == handle);
        if own {
            env.ctx.stats.cards += 1;
            let max = env.ctx.config.limits.max_card_elements;
            // A link that was chosen leads to an element that the registrar lists.
            let trusted = env.ctx.config.sessions.trust_card_addresses && !chooses;
            let mut listed = elements;
            let preferred = listed.by_ref().take(max).map(|element| Preferred {
                identifier: element.identifier,
                transport: Some(element.transport.to_owned())
                    .filter(|_| trusted)
                    .and_then(|transport| env.ctx.capabilities.reachable_element(transport))
                    .map(Box::new),
            });
            session.extra().preferred = preferred.collect();
            env.ctx.stats.card_elements_cut += listed.count() as u64;
        }
        if !own || accepted {
            self.look_up(env, handle);
        }
    }
}
