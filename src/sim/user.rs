//! The driver of the pool users in a simulation. It does what any other driver does, and knows no
//! more of a [`PoolUser`] than that it has three ways in and three ways out.

use alloc::collections::BTreeMap;

use super::host::Place;
use super::network::{Packet, Way};
use super::transcript::What;
use super::{Host, Occurrence, Sim, UserId};
use crate::slab::Key;
use crate::wire::Protocol;
use crate::{Action, ChannelId, Confirms, Instant, NoteKind, Payload, PoolUser};

/// A pool user and its driver.
#[derive(Debug)]
pub(super) struct User {
    pub(super) pool_user: PoolUser,
    pub(super) place: Place,
    pub(super) channels: BTreeMap<ChannelId, Key>,
    /// The earliest time at which it will be looked after.
    pub(super) wakes: Option<Instant>,
    pub(super) touched: bool,
}

impl Sim {
    /// Does what a pool user wants of the network.
    pub(super) fn carry_out(&mut self, user: UserId) {
        while let Some(action) = self.users[user].pool_user.poll_action() {
            match action {
                Action::Open { channel, to, security, .. } => {
                    self.open(user, channel, &to, &security);
                }
                Action::Send { channel, payload } => self.send(user, channel, payload),
                Action::Close { channel } => self.close(user, channel),
            }
        }
    }

    /// Tells why a pool user did what it did.
    ///
    /// # Panics
    /// It was misused, and the simulation is strict.
    pub(super) fn read_notes(&mut self, user: UserId) {
        while let Some(note) = self.users[user].pool_user.poll_note() {
            self.note(user, None, &What::Notes(&note));
            let misused = matches!(note.what, NoteKind::Misused { .. });
            assert!(!(self.strict && misused), "{}: {note}", Host::from(user));
        }
        // Where it keeps no notes.
        let misuses = self.users[user].pool_user.stats().misuses;
        assert!(!self.strict || misuses == 0, "{}: {misuses} mistakes", Host::from(user));
    }

    fn send(&mut self, user: UserId, channel: ChannelId, payload: Payload) {
        let Some(&link) = self.users[user].channels.get(&channel) else { return };
        let Some((peer, protocol)) = self.links.get(link).map(|link| (link.peer, link.protocol))
        else {
            return;
        };
        let peer = Some(peer);
        let packet = match payload {
            Payload::Control(message) => {
                self.note(user, peer, &What::SendsControl(&message));
                Packet::Control(message)
            }
            Payload::Data { message, data, .. } => {
                self.note(user, peer, &What::SendsData(message, &data));
                if self.confirms(user, protocol).includes_written() {
                    self.call(user, |pu, now| pu.handle_written(now, channel, message));
                }
                Packet::Data(message, data)
            }
        };
        self.push(link, Way::ToPeer, packet);
    }

    /// What the driver of a pool user tells of messages.
    pub(super) fn confirms(&self, user: UserId, protocol: Protocol) -> Confirms {
        self.pool_user(user).capabilities().confirms(protocol)
    }

    /// Sees to it that a pool user is looked after when its next deadline comes.
    pub(super) fn set_alarm(&mut self, user: UserId) {
        let now = self.now;
        let found = &mut self.users[user];
        let Some(at) = found.pool_user.poll_timeout() else { return };
        if found.wakes.is_none_or(|wakes| at < wakes) {
            found.wakes = Some(at);
            self.later(at - now, Occurrence::Wake(user));
        }
    }

    pub(super) fn wake(&mut self, user: UserId) {
        let found = &mut self.users[user];
        if found.wakes.is_none_or(|at| at > self.now) {
            return;
        }
        found.wakes = None;
        if found.pool_user.poll_timeout().is_none_or(|at| at > self.now) {
            return self.set_alarm(user);
        }
        self.note(user, None, &What::Wakes);
        self.call(user, |pu, now| pu.handle_timeout(now));
    }
}
