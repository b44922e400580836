//! The registrars that are known: what an application can look at, and what it can change.

use core::fmt;

use super::{Ending, PoolUser};
use crate::Instant;
use crate::channel::Authentication;
use crate::config::Registrar;
use crate::error::CommandError;
use crate::reach::Origin;
use crate::registrar::{self, HomeSearch};
use crate::wire::Transport;

/// What is known of registrars, see [`PoolUser::registrars`].
#[derive(Clone, Copy)]
pub struct RegistrarsRef<'a> {
    pub(super) machine: &'a registrar::Registrars,
    pub(super) now: Instant,
}

/// Commands that concern registrars, see [`PoolUser::registrars_mut`].
#[derive(Debug)]
pub struct RegistrarsMut<'a> {
    pub(super) user: &'a mut PoolUser,
    pub(super) now: Instant,
}

impl<'a> RegistrarsRef<'a> {
    /// Where the home registrar listens, if there is one.
    #[must_use]
    pub fn home(&self) -> Option<&'a Transport> {
        self.machine.home().map(|home| &home.transport)
    }

    /// Since when it is the home.
    #[must_use]
    pub fn home_since(&self) -> Option<Instant> {
        self.machine.home().map(|home| home.since)
    }

    /// Whether the home registrar was authenticated (RFC 5352 §9.3).
    #[must_use]
    pub fn home_authentication(&self) -> Option<Authentication> {
        self.machine.home().map(|home| home.authentication)
    }

    /// How the search for a home registrar stands.
    #[must_use]
    pub fn home_search(&self) -> HomeSearch {
        self.machine.search()
    }

    /// The present round of the hunt, counted from 1, and when T5-Serverhunt ends it (RFC 5352 §3.6
    /// SH5); none while nothing is hunted for.
    #[must_use]
    pub fn hunt(&self) -> Option<(u32, Instant)> {
        self.machine.round()
    }

    /// The registrars that the hunt tries at the moment, three at most.
    pub fn tried(&self) -> impl Iterator<Item = &'a Transport> + use<'a> {
        self.machine.tried()
    }

    /// All known registrars, configured and announced ones, in the order in which they became
    /// known.
    pub fn iter(&self) -> impl Iterator<Item = &'a Registrar> + use<'a> {
        self.machine.known()
    }

    /// The registrars that were announced, and until when each is believed (T7-ENRPoutdate). One that is
    /// the home works until it fails.
    pub fn announced(&self) -> impl Iterator<Item = (&'a Registrar, Instant)> + use<'a> {
        self.machine.announced_until()
    }

    /// The registrars that were not who they should be, and until when each is left alone (RFC 5352
    /// §9.2).
    pub fn barred(&self) -> impl Iterator<Item = (&'a Transport, Instant)> + use<'a> {
        self.machine.barred(self.now)
    }
}

impl fmt::Debug for RegistrarsRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Any transport may be as long as a message.
        let home = self.home().map(|home| (home.protocol(), home.socket_addrs().next()));
        f.debug_struct("RegistrarsRef")
            .field("home", &home)
            .field("home_since", &self.home_since())
            .field("home_search", &self.home_search())
            .field("hunt", &self.hunt())
            .field("known", &self.iter().count())
            .field("announced", &self.announced().count())
            .field("barred", &self.barred().count())
            .finish_non_exhaustive()
    }
}

impl RegistrarsMut<'_> {
    /// Finds a home registrar before anyone needs it (RFC 5352 §3.6). Without this call the hunt
    /// begins at first need.
    pub fn find_home(&mut self) {
        let Self { user, now } = self;
        if user.ending == Ending::No {
            user.registrars.start(*now, &mut user.ctx);
            user.route(*now);
        }
    }

    /// Takes a registrar into the list for good.
    ///
    /// # Errors
    /// Its transport is not one that the driver can reach a registrar on, or secure, or there are too
    /// many.
    pub fn add(&mut self, registrar: Registrar) -> Result<(), CommandError> {
        let Self { user, now } = self;
        let Registrar { transport, security } = registrar;
        let can = &user.ctx.capabilities;
        let reachable = can.reachable_registrar(Origin::Here, transport);
        let Some(transport) = reachable.filter(|_| can.can_secure(&security)) else {
            return Err(CommandError::UnusableTransport);
        };
        let added = user.registrars.add(*now, &mut user.ctx, Registrar { transport, security });
        user.route(*now);
        added
    }

    /// Takes a registrar out of the list, and hunts for another one if it is the home; says whether
    /// it was known.
    pub fn remove(&mut self, transport: &Transport) -> bool {
        let Self { user, now } = self;
        let transport = Origin::Here.callable(transport.clone());
        let known = transport.is_some_and(|at| user.registrars.remove(*now, &mut user.ctx, &at));
        user.route(*now);
        known
    }
}
