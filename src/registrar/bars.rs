//! Registrars that are not who they should be, and until when they are left alone (HUNT-10).

use core::net::SocketAddr;

use crate::Instant;
use crate::context::Context;
use crate::event::Entry;
use crate::journal::NoteKind;
use crate::ordered::Map;
use crate::wire::{Protocol, Transport};

/// All bars, bounded in number; each costs as much as any other, however many there are.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Bars {
    /// By running number, which is the order of their ends too.
    list: Map<u64, Bar>,
    /// The latest bar of each place.
    by_place: Map<Place, u64>,
    next: u64,
    /// The first one that the application has not heard of.
    unread: u64,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Bar {
    transport: Transport,
    until: Instant,
}

/// What tells one peer from another, whatever else its transport says.
type Place = (Protocol, SocketAddr);

impl Bars {
    pub(super) const fn new() -> Self {
        Self { list: Map::new(), by_place: Map::new(), next: 0, unread: 0 }
    }

    /// Leaves a registrar alone from here on; announces do not change that.
    pub(super) fn add(&mut self, now: Instant, ctx: &mut Context, transport: Transport) {
        let until = now + ctx.config.discovery.bar_time;
        ctx.stats.registrars_barred += 1;
        ctx.note(|| NoteKind::RegistrarBarred { transport: transport.clone(), until });
        while self.list.first_key_value().is_some_and(|(_, bar)| bar.until <= now) {
            self.drop_oldest();
        }
        let former = places(&transport).find_map(|place| self.by_place.get(&place).copied());
        if let Some(former) = former.filter(|id| self.is_at(*id, &transport)) {
            self.list.remove(&former);
        } else if self.list.len() >= ctx.config.limits.max_barred {
            self.drop_oldest();
            ctx.stats.bars_forgotten += 1;
        }
        for place in places(&transport) {
            self.by_place.insert(place, self.next);
        }
        let all_read = self.unread == self.next;
        self.list.insert(self.next, Bar { transport, until });
        self.next += 1;
        if all_read {
            ctx.events.push(Entry::Barred);
        }
    }

    /// Whether a transport leads to a registrar that is left alone.
    pub(super) fn has(&self, now: Instant, transport: &Transport) -> bool {
        self.until(now, transport).is_some()
    }

    /// Until when it is.
    pub(super) fn until(&self, now: Instant, transport: &Transport) -> Option<Instant> {
        places(transport).find_map(|place| {
            let bar = self.by_place.get(&place).and_then(|id| self.list.get(id))?;
            Some(bar.until).filter(|until| *until > now)
        })
    }

    /// Each registrar that is left alone, and until when.
    pub(super) fn iter(&self, now: Instant) -> impl Iterator<Item = (&Transport, Instant)> {
        let bars = self.list.values().filter(move |bar| bar.until > now);
        bars.map(|bar| (&bar.transport, bar.until))
    }

    /// The next registrar that the application has not heard of.
    pub(super) fn take_untold(&mut self) -> Option<Transport> {
        let (id, bar) = self.list.first_from(&self.unread).unzip();
        self.unread = id.map_or(self.next, |id| id + 1);
        bar.map(|bar| bar.transport.clone())
    }

    fn is_at(&self, id: u64, transport: &Transport) -> bool {
        self.list.get(&id).is_some_and(|bar| bar.transport == *transport)
    }

    fn drop_oldest(&mut self) {
        if let Some((id, gone)) = self.list.pop_first() {
            for place in places(&gone.transport) {
                if self.by_place.get(&place) == Some(&id) {
                    self.by_place.remove(&place);
                }
            }
        }
    }
}

fn places(transport: &Transport) -> impl Iterator<Item = Place> + use<'_> {
    transport.socket_addrs().map(|at| (transport.protocol(), at))
}

/// In the explorer's fingerprints: those that still count, and whether they were told.
#[cfg(test)]
impl core::hash::Hash for Bars {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        for (number, Bar { transport, until }) in self.list.iter() {
            let until = crate::explorer::ahead(*until);
            if !until.is_zero() || *number >= self.unread {
                (transport, until, *number >= self.unread).hash(state);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::time::Duration;

    use super::*;
    use crate::wire::TransportUse;
    use crate::{Capabilities, Config};

    fn sctp(last: &[u8]) -> Transport {
        Transport::sctp(
            3863,
            TransportUse::DATA_ONLY,
            last.iter().map(|last| [192, 0, 2, *last].into()),
        )
    }

    /// [HUNT-10]: a registrar is barred once however often it misbehaves, for the bar's time exactly.
    #[test]
    fn a_bar_is_renewed() {
        let mut ctx = Context::new(Config::default(), Capabilities::NONE, 1);
        let (mut bars, half) = (Bars::new(), ctx.config.discovery.bar_time / 2);
        let (start, one) = (Instant::EPOCH, sctp(&[1]));
        bars.add(start, &mut ctx, one.clone());
        bars.add(start + half, &mut ctx, one.clone());
        let until = start + half * 3;
        assert_eq!(bars.iter(start + half).collect::<Vec<_>>(), [(&one, until)]);
        let last = until - Duration::from_nanos(1);
        assert_eq!((bars.until(last, &one), bars.iter(last).count()), (Some(until), 1));
        assert_eq!((bars.until(until, &one), bars.iter(until).count()), (None, 0));
    }

    /// [HUNT-10]: of two that share a place each has its own bar, and the place that of the later one
    /// when the former has ended.
    #[test]
    fn a_shared_place_is_barred_as_long_as_either() {
        let mut ctx = Context::new(Config::default(), Capabilities::NONE, 1);
        let (mut bars, half) = (Bars::new(), ctx.config.discovery.bar_time / 2);
        let start = Instant::EPOCH;
        bars.add(start, &mut ctx, sctp(&[1, 2]));
        bars.add(start + half, &mut ctx, sctp(&[2, 3]));
        assert_eq!(bars.iter(start + half).count(), 2);
        let later = start + half * 2;
        bars.add(later, &mut ctx, sctp(&[9]));
        assert!(!bars.has(later, &sctp(&[1])));
        assert!(bars.has(later, &sctp(&[2])), "the later one has it too");
        assert!(bars.has(later, &sctp(&[3])));
    }
}
