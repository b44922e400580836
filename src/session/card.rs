//! Business cards: whom to turn to if an element fails, as the element itself says (RFC 5352 §3.9).
//!
//! A card has two purposes. It names the pool that its sender belongs to, which is news only where
//! the sender called this node; and it lists elements in the order in which to try them. The list
//! is advice about elements that the registrar lists too: they are known by identifier, and the
//! addresses in the card are not used unless `trust_card_addresses` says so, because anyone who can
//! send a card could send this user anywhere.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Role, Sessions, State};
use crate::Instant;
use crate::cache::Cache;
use crate::context::Context;
use crate::error::CommandError;
use crate::id::SessionId;
use crate::wire::{Elements, Message, PeIdentifier, PoolElement, PoolHandle, Transport};

/// An element that a card recommends.
#[derive(Debug)]
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
        let identity = ctx.config.identity.as_ref().ok_or(CommandError::NoIdentity)?;
        let card = Message::business_card(identity.handle.clone(), elements).to_bytes();
        let card = card.map_err(|_| CommandError::CardTooLong)?;
        for (_, session) in self.slab.iter() {
            if let State::Up(channel) = session.state {
                if session.control {
                    let sent = ctx.send_control(channel, card.clone());
                    ctx.stats.cards_sent += u64::from(sent);
                }
            }
        }
        self.card = Some(card);
        Ok(())
    }

    /// The card of this node before it recommends anyone.
    pub(crate) fn plain_card(ctx: &Context) -> Option<Bytes> {
        let identity = ctx.config.identity.as_ref()?;
        Message::business_card(identity.handle.clone(), Vec::new()).to_bytes().ok()
    }

    /// The element of a session has sent its card. What a leg receives is its session's, where that
    /// has no element of its own.
    pub(super) fn card_received(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        cache: &Cache,
        id: SessionId,
        handle: &[u8],
        elements: Elements<'_>,
    ) {
        let owner = self.owner(id);
        let Some(session) = self.slab.get_mut(owner.0) else { return };
        if owner != id && session.role != Role::Choosing {
            ctx.stats.unexpected_messages += 1;
            return;
        }
        let valid = (1..=ctx.config.max_handle_len).contains(&handle.len());
        if session.role == Role::Accepted && valid {
            session.extra().handle = Some(PoolHandle::from(handle));
        }
        let own = session.handle(cache).is_some_and(|own| own.as_bytes() == handle);
        if own {
            ctx.stats.cards += 1;
            let max = ctx.config.max_card_elements;
            // A leg leads to an element that the registrar lists.
            let trusted = ctx.config.trust_card_addresses && session.role != Role::Choosing;
            let mut listed = elements;
            let preferred = listed.by_ref().take(max).map(|element| Preferred {
                identifier: element.identifier,
                transport: Some(element.transport.to_owned())
                    .filter(|transport| trusted && ctx.config.can_call(transport))
                    .map(Box::new),
            });
            session.extra().preferred = preferred.collect();
            session.tidy();
            ctx.stats.card_elements_cut += listed.count() as u64;
        }
        if !own || session.role == Role::Accepted {
            self.look_up(now, ctx, cache, handle);
        }
    }
}
