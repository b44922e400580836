//! The session machine as the router sees it: not there before the first session.
//!
//! RFC 5351 has two levels, and an application that owns its connections uses the first one only (§4.1).
//! So the router reaches sessions through a table of functions that comes with the first of them: a
//! program that never opens a session holds no memory for them, and its linker leaves the machine out, a
//! third of all on a small device (`no-std/size`). What is asked of sessions before there are any has the
//! answer none.

use alloc::boxed::Box;

use super::{Confirmation, Env, Need, Sessions};
use crate::Instant;
use crate::channel::{CloseReason, Payload};
use crate::context::Context;
use crate::error::ResolveError;
use crate::event::Event;
use crate::id::{LinkId, MessageId, PoolId, SessionId};
use crate::wire::{BodyRef, PeIdentifier};

/// The sessions, if there have ever been any.
#[derive(Default)]
pub(crate) struct SessionLevel(Option<Box<dyn Machine>>);

/// Declares what the router asks of the machine, all of which that has under the same name.
macro_rules! machine {
    (
        steps: $( fn $step:ident($($arg:ident: $type:ty),*) $(-> $result:ty)?; )*
        views: $( fn $view:ident($($seen:ident: $seen_type:ty),*) -> $shown:ty; )*
    ) => {
        trait Machine: Send + Sync {
            fn sessions(&self) -> &Sessions;
            fn sessions_mut(&mut self) -> &mut Sessions;
            $( fn $step(&mut self, $($arg: $type),*) $(-> $result)?; )*
            $( fn $view(&self, $($seen: $seen_type),*) -> $shown; )*
        }

        impl Machine for Sessions {
            fn sessions(&self) -> &Sessions {
                self
            }
            fn sessions_mut(&mut self) -> &mut Sessions {
                self
            }
            $( fn $step(&mut self, $($arg: $type),*) $(-> $result)? { self.$step($($arg),*) } )*
            $( fn $view(&self, $($seen: $seen_type),*) -> $shown { self.$view($($seen),*) } )*
        }

        impl SessionLevel {
            $( pub(crate) fn $step(&mut self, $($arg: $type),*) $(-> $result)? {
                self.0.as_mut().map(|machine| machine.$step($($arg),*)).unwrap_or_default()
            } )*
            $( pub(crate) fn $view(&self, $($seen: $seen_type),*) -> $shown {
                self.0.as_ref().map(|machine| machine.$view($($seen),*)).unwrap_or_default()
            } )*
        }
    };
}

machine! {
    steps:
    fn called(env: &Env<'_>, link: LinkId);
    fn opened(env: &mut Env<'_>, link: LinkId);
    fn closed(env: &mut Env<'_>, link: LinkId, reason: CloseReason);
    fn received(env: &mut Env<'_>, link: LinkId, data: &[u8]);
    fn control(env: &mut Env<'_>, link: LinkId, body: &BodyRef<'_>);
    fn confirmed(
        env: &mut Env<'_>, link: LinkId, message: MessageId, confirmation: Confirmation
    ) -> bool;
    fn pull(env: &mut Env<'_>, link: LinkId) -> Option<Payload>;
    fn resolved(env: &mut Env<'_>, session: SessionId, pool: PoolId);
    fn unresolved(env: &mut Env<'_>, session: SessionId, error: ResolveError);
    fn element_failed(env: &mut Env<'_>, pool: PoolId, element: PeIdentifier);
    fn handle_timeout(env: &mut Env<'_>);
    fn close_all(env: &mut Env<'_>);
    fn next_event(env: &mut Env<'_>, session: SessionId) -> Option<Event>;
    fn poll_need() -> Option<Need>;

    views:
    fn has_control(link: LinkId) -> bool;
    fn is_mapped(link: LinkId) -> bool;
    fn exists(session: SessionId) -> bool;
    fn live() -> usize;
    fn needs_any() -> bool;
    fn next_timeout() -> Option<Instant>;
}

impl SessionLevel {
    /// The machine, to look at.
    pub(crate) fn get(&self) -> Option<&Sessions> {
        self.0.as_ref().map(|machine| machine.sessions())
    }

    /// The machine, for commands; the first one brings it in.
    pub(crate) fn get_mut(&mut self, ctx: &Context) -> &mut Sessions {
        self.0.get_or_insert_with(|| Box::new(Sessions::new(ctx))).sessions_mut()
    }

    /// Every session there is.
    pub(crate) fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.get().into_iter().flat_map(Sessions::ids)
    }
}

#[cfg(test)]
impl Clone for SessionLevel {
    fn clone(&self) -> Self {
        Self(self.get().map(|sessions| Box::new(sessions.clone()) as Box<dyn Machine>))
    }
}

#[cfg(test)]
impl core::hash::Hash for SessionLevel {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.get().hash(state);
    }
}
