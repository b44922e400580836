//! What the application is told of a session, made from what it knows and how things stand.

use core::mem;

use super::{Gate, Session, Sessions, State};
use crate::context::Context;
use crate::event::{Entry, Event};
use crate::id::SessionId;
use crate::wire::PeIdentifier;

/// What the application knows of a session, so that it is told the rest.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Whether a note is in the queue of events.
    noted: bool,
    /// The element, and how often one had come up by then.
    pub(super) element: Option<(PeIdentifier, u32)>,
    /// Whether it was told that the element was lost.
    lost: bool,
    /// How often an element has come up.
    pub(super) ups: u32,
    pub(super) dropped: u64,
    pub(super) cookie_too_long: bool,
    pub(super) cookie_echoed: bool,
}

impl Sessions {
    /// What the application has to hear of a session next.
    pub(crate) fn notice(&mut self, ctx: &mut Context, session: SessionId) -> Option<Event> {
        let found = self.slab.get_mut(session.0)?;
        let heard = &mut found.heard;
        if mem::take(&mut heard.cookie_too_long) {
            return Some(Event::CookieTooLong { session });
        }
        let messages = mem::take(&mut heard.dropped);
        if messages > 0 {
            return Some(Event::Dropped { session, messages });
        }
        if let (State::Up(channel), Some(element)) = (&found.state, found.element) {
            let before = heard.element.replace((element, heard.ups));
            heard.lost = false;
            match before {
                None => {
                    found.gate = Gate::Open;
                    ctx.channels.touch(*channel);
                    return Some(Event::Connected { session, element });
                }
                Some((from, ups)) if ups != heard.ups => {
                    let hold = found.options.hold_after_failover;
                    found.gate = if hold { Gate::Held } else { Gate::Open };
                    ctx.channels.touch(*channel);
                    let cookie_echoed = heard.cookie_echoed;
                    return Some(Event::FailedOver { session, from, to: element, cookie_echoed });
                }
                Some(_) => {}
            }
        } else if let Some((element, _)) = heard.element.filter(|_| !heard.lost) {
            if !matches!(found.state, State::Over(_)) {
                heard.lost = true;
                return Some(Event::ElementLost { session, element });
            }
        }
        if let Some((message, data)) = found.outbox.pop_returned() {
            ctx.stats.messages_undelivered += 1;
            return Some(Event::Undelivered { session, message, data });
        }
        found.heard.noted = false;
        if let State::Over(error) = &mut found.state {
            let error = error.take();
            self.slab.remove(session.0);
            return Some(Event::SessionEnded { session, error });
        }
        None
    }
}

impl Session {
    /// Leaves word that the application has something to hear.
    pub(super) fn note(&mut self, ctx: &mut Context, id: SessionId) {
        if !mem::replace(&mut self.heard.noted, true) {
            ctx.events.push(Entry::Session(id));
        }
    }
}
