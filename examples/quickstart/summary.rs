//! Did it all happen? Each step is looked at from both sides: by what the pool user told, and by
//! what its peers saw.

use std::collections::BTreeMap;

use asap_pu::wire::PeIdentifier;
use asap_pu::{Event, PoolUser, ResolveError};

use super::cast::POOL;
use super::element::{Element, Fate};
use super::ladder::{Ladder, Tone};
use super::registrar::Registrar;

/// Everything that is known in the end.
pub(crate) struct Outcome {
    pub(crate) pool_user: PoolUser,
    pub(crate) events: Vec<Event>,
    /// The numbers that the application got for its requests.
    pub(crate) counts: Vec<u32>,
    pub(crate) registrar: Registrar,
    pub(crate) elements: BTreeMap<PeIdentifier, Element>,
}

/// What should have happened, and whether it did: by the word of the pool user and of its peers.
type Step = (&'static str, bool, bool);

impl Outcome {
    /// Draws the table, and says whether everything is ticked.
    pub(crate) fn show(&self, ladder: &mut Ladder<'_>) -> bool {
        let steps = self.steps();
        let tick = |happened| if happened { '✓' } else { '✗' };
        ladder.print(Tone::Strong, &format!("\n{:62}PU  peers", "What happened"));
        for (what, told, seen) in &steps {
            let line = format!("{what:62}{}    {}", tick(*told), tick(*seen));
            ladder.print(if *told && *seen { Tone::Plain } else { Tone::Trouble }, &line);
        }
        steps.iter().all(|(_, told, seen)| *told && *seen)
    }

    fn steps(&self) -> Vec<Step> {
        let Self { registrar, counts, .. } = self;
        let stats = self.pool_user.stats();
        let path = self.path();
        let [first, second, third] = path[..] else {
            return vec![("A session went through all three elements", false, false)];
        };
        let [a, b, c] = [first, second, third].map(|identifier| &self.elements[&identifier]);
        let misunderstood = stats.malformed + stats.unknown_messages + stats.unexpected_messages;
        let mistakes = misunderstood + stats.misuses;
        vec![
            (
                "Two dead registrars were passed over, a third became the home",
                (stats.hunt_attempts, stats.homes_found, stats.homes_lost) == (3, 1, 0),
                registrar.users == 1,
            ),
            (
                "A pool was resolved, and a session opened at an element",
                (stats.requests_sent, stats.requests_repeated) == (2, 0),
                registrar.resolved == [POOL.into()],
            ),
            (
                "Seven requests were counted without a gap",
                counts.iter().copied().eq(1..=7),
                [&a.served[..], &b.served, &c.served].concat().into_iter().eq(1..=7),
            ),
            (
                "It was killed, and the next one went on from the cookie",
                self.failed_over(first, second),
                (a.fate, b.restored) == (Some(Fate::Die), a.served.last().copied()),
            ),
            (
                "That one hung, was given up, and the third one went on",
                self.failed_over(second, third),
                (b.fate, c.restored) == (Some(Fate::Hang), b.served.last().copied()),
            ),
            (
                "Both failures were reported to the registrar",
                (stats.failures, stats.reports_sent) == (2, 2),
                registrar.reports == [first, second],
            ),
            (
                "A pool that nobody has heard of was refused as such",
                self.told(|event| {
                    let unknown = &ResolveError::UnknownPoolHandle;
                    matches!(event, Event::ResolutionFailed { error, .. } if error == unknown)
                }),
                registrar.refused == ["nobody".into()],
            ),
            (
                "Everything was closed in good order",
                self.told(|event| matches!(event, Event::SessionEnded { error: None, .. }))
                    && (self.pool_user.channel_count(), mistakes) == (0, 0),
                registrar.left && c.left,
            ),
        ]
    }

    /// The elements that the session was at, one after the other.
    fn path(&self) -> Vec<PeIdentifier> {
        let elements = self.events.iter().filter_map(|event| match event {
            Event::Connected { element, .. } => *element,
            Event::FailedOver { to, .. } => Some(*to),
            _ => None,
        });
        elements.collect()
    }

    fn failed_over(&self, lost: PeIdentifier, next: PeIdentifier) -> bool {
        self.told(|event| match event {
            Event::FailedOver { from, to, cookie_echoed, .. } => {
                (*from, *to, *cookie_echoed) == (Some(lost), next, true)
            }
            _ => false,
        })
    }

    fn told(&self, what: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(what)
    }
}
