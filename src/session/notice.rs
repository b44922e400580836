//! What the application is told of a session, made from what it knows and how things stand.

use core::mem;

use super::{Role, Session, Sessions, State};
use crate::Instant;
use crate::context::Context;
use crate::event::{Entry, Event};
use crate::id::SessionId;
use crate::wire::PeIdentifier;

/// What the application knows of a session, so that it is told the rest.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// How many notes are in the queue of events: one, and another one once the session is over,
    /// behind all that was received on it.
    notes: u8,
    /// The element, and how often one had come up by then; never, while it is the first one and the
    /// application has not heard of it.
    element: Option<(PeIdentifier, u32)>,
    /// Whether it knows that the element was lost.
    pub(super) lost: bool,
    /// How often an element has come up.
    ups: u32,
    pub(super) dropped: u32,
    pub(super) cookie_too_long: bool,
    pub(super) cookie_echoed: bool,
    /// Whether there is room again, as long as no other message was refused.
    pub(super) room: bool,
}

impl Sessions {
    /// What the application has to hear of a session next.
    pub(crate) fn notice(
        &mut self,
        now: Instant,
        ctx: &mut Context,
        session: SessionId,
    ) -> Option<Event> {
        let found = self.slab.get_mut(session.0)?;
        let heard = &mut found.heard;
        if mem::take(&mut heard.cookie_too_long) {
            return Some(Event::CookieTooLong { session });
        }
        let messages = mem::take(&mut heard.dropped).into();
        if messages > 0 {
            return Some(Event::Dropped { session, messages });
        }
        if let Some(event) = found.news_of_element(ctx, session) {
            return Some(event);
        }
        if let Some(event) = self.news_of_legs(now, ctx, session) {
            return Some(event);
        }
        let found = self.slab.get_mut(session.0)?;
        if let Some((message, data)) = found.outbox.pop_returned() {
            found.look_for_room(ctx, session);
            ctx.stats.messages_undelivered += 1;
            return Some(Event::Undelivered { session, message, data });
        }
        let over = matches!(found.state, State::Over(_));
        if mem::take(&mut found.heard.room) && !over {
            return Some(Event::Room { session });
        }
        found.heard.notes = found.heard.notes.saturating_sub(1);
        if let (State::Over(error), 0) = (&mut found.state, found.heard.notes) {
            let error = error.take().map(|error| *error);
            self.slab.remove(session.0);
            return Some(Event::SessionEnded { session, error });
        }
        None
    }
}

impl Session {
    /// Leaves word that the application has something to hear.
    pub(super) fn note(&mut self, ctx: &mut Context, id: SessionId) {
        if self.heard.notes == 0 {
            self.note_again(ctx, id);
        }
    }

    /// Leaves word behind everything that is in the queue.
    pub(super) fn note_again(&mut self, ctx: &mut Context, id: SessionId) {
        self.heard.notes += 1;
        ctx.events.push(Entry::Session(id));
    }

    /// Has the application told once there is room again after a message was refused.
    pub(super) fn look_for_room(&mut self, ctx: &mut Context, id: SessionId) {
        if self.outbox.take_room(&ctx.config) {
            self.heard.room = true;
            self.note(ctx, id);
        }
    }

    /// What the application has not heard of the one element that the session has.
    fn news_of_element(&mut self, ctx: &mut Context, session: SessionId) -> Option<Event> {
        if matches!(self.state, State::Over(_)) {
            return None;
        }
        let heard = &mut self.heard;
        // Data may have flowed to the first one, so whatever came up after it is a failover.
        if let Some((element, ups @ 0)) = &mut heard.element {
            *ups = 1;
            return Some(Event::Connected { session, element: *element });
        }
        match (&self.state, self.element) {
            (State::Up(channel), Some(element)) => {
                let (from, ups) = heard.element.replace((element, heard.ups))?;
                heard.lost = false;
                if ups == heard.ups {
                    return None;
                }
                let (channel, cookie_echoed) = (*channel, heard.cookie_echoed);
                self.told();
                ctx.channels.touch(channel);
                Some(Event::FailedOver { session, from, to: element, cookie_echoed })
            }
            (_, Some(element)) if self.role == Role::Choosing && heard.element.is_none() => {
                heard.element = Some((element, 1));
                Some(Event::Connected { session, element })
            }
            _ => {
                let lost = heard.element.filter(|_| self.role != Role::Choosing && !heard.lost);
                let (element, _) = lost?;
                heard.lost = true;
                Some(Event::ElementLost { session, element })
            }
        }
    }
}

impl Heard {
    /// An element came up; says whether that makes it a failover.
    pub(super) const fn came_up(&mut self, element: PeIdentifier) -> bool {
        let failover = self.ups > 0;
        if !failover {
            self.element = Some((element, 0));
        }
        self.ups = self.ups.wrapping_add(1);
        failover
    }

    /// The application handed the channel to `element` in itself and need not be told of it.
    pub(super) const fn up_already(&mut self, element: PeIdentifier) {
        self.ups = 1;
        self.element = Some((element, self.ups));
    }
}
