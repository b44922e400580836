//! The worlds: from where each begins, and how often what may happen in it.

use alloc::vec::Vec;
use core::time::Duration;

use super::step::{Budget, Kind, Rules, Step, Wish};
use super::world::registrar;
use crate::session::SessionOptions;
use crate::wire::{PeIdentifier, Protocol};
use crate::{Capabilities, Config, Confirms, Failover, Recipient, StaleAnswers};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// What the user wishes and the driver can do.
#[derive(Debug)]
struct Setup {
    config: Config,
    capabilities: Capabilities,
}

/// A driver that tells nothing, and times that are short, none longer than what counts as long past.
fn plain(registrars: u8) -> Setup {
    let mut config = Config::default();
    config.discovery.registrars = (1..=registrars).map(registrar).collect();
    config.resolution.t1_request = secs(5);
    config.resolution.max_request_retransmit = 1;
    config.discovery.t5_hunt = secs(3);
    config.discovery.t5_max = secs(6);
    config.discovery.t7_outdate = secs(4);
    config.resolution.request_deadline = secs(15);
    config.cache.stale_cache_value = secs(20);
    config.cache.failure_mark = secs(10);
    config.resolution.report_age = secs(12);
    config.sessions.connect_timeout = secs(4);
    config.sessions.stable_after = secs(3);
    config.sessions.max_rounds = 2;
    config.sessions.max_handovers = 2;
    config.sessions.session_deadline = secs(20);
    config.sessions.session_backoff = secs(2);
    config.sessions.session_backoff_max = secs(8);
    config.resolution.elements_wanted = None;
    config.limits.max_cookie_len = 16;
    config.limits.max_queued_messages = 3;
    config.limits.max_notes = 0;
    Setup { config, capabilities: Capabilities::TCP }
}

/// The driver tells control messages from data.
fn mapped() -> Setup {
    let Setup { config, capabilities } = plain(1);
    Setup { config, capabilities: capabilities.with_control(Protocol::Tcp) }
}

/// The driver tells what became of each message, and writes one after the other.
fn confirming() -> Setup {
    one_by_one(mapped(), Confirms::Delivered)
}

/// The driver says what it has written, and no more.
fn writing() -> Setup {
    one_by_one(plain(1), Confirms::Written)
}

fn one_by_one(Setup { mut config, capabilities }: Setup, confirms: Confirms) -> Setup {
    config.limits.window_messages = 1;
    Setup { config, capabilities: capabilities.with_elements(Protocol::Tcp, confirms) }
}

/// The same, but for what `change` changes.
fn but(mut setup: Setup, change: impl FnOnce(&mut Config)) -> Setup {
    change(&mut setup.config);
    setup
}

/// A session holds one message.
fn tight(setup: Setup) -> Setup {
    but(setup, |config| config.limits.max_queued_messages = 1)
}

const fn one(failover: Failover) -> Wish {
    Wish { failover, to: Recipient::One, receipt: false }
}

const fn last(failover: Failover) -> Wish {
    Wish { failover, to: Recipient::SameAsLast, receipt: false }
}

const ALL: Wish = Wish { failover: Failover::Unsent, to: Recipient::All, receipt: false };

const NEVER: Wish = one(Failover::Never);
const UNSENT: Wish = one(Failover::Unsent);
const UNDELIVERED: Wish = one(Failover::Undelivered);
const UNCONFIRMED: Wish = one(Failover::Unconfirmed);

const fn receipt(wish: Wish) -> Wish {
    Wish { receipt: true, ..wish }
}

/// Elements 1 and 2, and what a registrar that knows less may say.
const PAIR: u8 = 0b110;
const FIRST: u8 = 0b010;
const OTHER: u8 = 0b1000;

/// Elements 1 to 4.
const FOUR: u8 = 0b11110;

/// With a home.
fn home() -> Vec<Step> {
    [Step::Start, Step::Opened(0)].to_vec()
}

/// With a session that knows its pool and waits for its element.
fn calling() -> Vec<Step> {
    let open = [Step::Open, Step::Answer(0, PAIR)];
    home().into_iter().chain(open).collect()
}

/// With a session at its element.
fn up() -> Vec<Step> {
    calling().into_iter().chain([Step::Opened(1)]).collect()
}

fn world(name: &'static str, setup: Setup, budget: &[(Kind, u8)]) -> Rules {
    Rules {
        name,
        config: setup.config,
        capabilities: setup.capabilities,
        options: SessionOptions::default(),
        chance: 0,
        eager: true,
        stays: false,
        wishes: [UNSENT].to_vec(),
        lists: [PAIR].to_vec(),
        before: Vec::new(),
        budget: Budget::new(budget),
    }
}

/// With a session that chooses an element for each message, and has one.
fn chosen() -> Vec<Step> {
    calling().into_iter().chain([Step::Send(0, 0), Step::Opened(1)]).collect()
}

/// With two sessions at their elements.
fn two() -> Vec<Step> {
    up().into_iter().chain([Step::Open, Step::Opened(2)]).collect()
}

fn holding() -> SessionOptions {
    SessionOptions { hold_after_failover: true, ..SessionOptions::default() }
}

fn choosing() -> SessionOptions {
    SessionOptions { choose_per_message: true, ..SessionOptions::default() }
}

fn named(element: u32) -> SessionOptions {
    SessionOptions { element: Some(PeIdentifier::new(element)), ..SessionOptions::default() }
}

/// All ways to send to one.
fn wishes() -> Vec<Wish> {
    [NEVER, UNSENT, UNDELIVERED, UNCONFIRMED].to_vec()
}

/// Worlds that are gone through with every change.
pub(super) fn small() -> Vec<Rules> {
    use Kind::*;
    [
        Rules {
            before: home(),
            ..world(
                "registrar",
                plain(1),
                &[
                    (Resolve, 1),
                    (Cancel, 1),
                    (Timer, 4),
                    (Opened, 2),
                    (HomeEnds, 2),
                    (Answer, 1),
                    (Refuse, 1),
                ],
            )
        },
        Rules {
            before: up(),
            wishes: wishes(),
            ..world(
                "kept",
                plain(1),
                &[
                    (Send, 1),
                    (Timer, 2),
                    (Opened, 1),
                    (Failed, 2),
                    (Closed, 1),
                    (GiveUp, 1),
                    (Close, 1),
                ],
            )
        },
        Rules {
            before: up(),
            wishes: [NEVER, UNSENT, receipt(UNDELIVERED), UNCONFIRMED].to_vec(),
            ..world(
                "confirming",
                confirming(),
                &[
                    (Send, 2),
                    (Opened, 1),
                    (Failed, 1),
                    (Written, 1),
                    (Delivered, 1),
                    (Unsent, 1),
                    (Close, 1),
                ],
            )
        },
        Rules {
            before: up(),
            wishes: [UNSENT, receipt(UNDELIVERED)].to_vec(),
            ..world(
                "cookies",
                mapped(),
                &[
                    (Send, 1),
                    (Opened, 2),
                    (Failed, 1),
                    (Closed, 1),
                    (Cookie, 2),
                    (SetCookie, 1),
                    (Move, 1),
                ],
            )
        },
        Rules {
            before: chosen(),
            options: choosing(),
            wishes: [UNSENT, NEVER, last(Failover::Undelivered)].to_vec(),
            ..world(
                "choosing",
                mapped(),
                &[
                    (Send, 1),
                    (Timer, 2),
                    (Opened, 1),
                    (Failed, 2),
                    (Closed, 1),
                    (GiveUp, 1),
                    (Cookie, 1),
                    (Close, 1),
                ],
            )
        },
        Rules {
            before: up(),
            wishes: [NEVER, UNCONFIRMED].to_vec(),
            ..world(
                "ends",
                plain(1),
                &[
                    (Send, 1),
                    (Opened, 1),
                    (Closed, 2),
                    (Local, 1),
                    (Impostor, 1),
                    (FailElement, 1),
                    (Withdraw, 1),
                    (Confirm, 1),
                ],
            )
        },
        Rules {
            before: up(),
            options: holding(),
            wishes: [UNSENT, UNCONFIRMED].to_vec(),
            ..world(
                "held",
                plain(1),
                &[(Send, 1), (Timer, 1), (Opened, 1), (Failed, 1), (Resume, 1), (Move, 1)],
            )
        },
        Rules {
            before: up(),
            wishes: [ALL, UNSENT].to_vec(),
            ..world(
                "copies",
                plain(1),
                &[(Send, 1), (Timer, 1), (Opened, 1), (Failed, 1), (Close, 1)],
            )
        },
        Rules {
            before: chosen(),
            options: SessionOptions { hold_after_failover: true, ..choosing() },
            wishes: [UNSENT, UNCONFIRMED].to_vec(),
            ..world(
                "chosen, held",
                plain(1),
                &[(Send, 1), (Opened, 1), (Failed, 1), (Closed, 1), (Resume, 1), (Confirm, 1)],
            )
        },
        Rules {
            before: up(),
            eager: false,
            wishes: [UNSENT].to_vec(),
            ..world(
                "lazily",
                plain(1),
                &[(Send, 1), (Opened, 1), (Failed, 1), (Closed, 1), (Data, 2)],
            )
        },
        Rules {
            before: up(),
            wishes: [UNSENT, UNCONFIRMED].to_vec(),
            ..world("full", tight(plain(1)), &[(Send, 2), (Opened, 1), (Failed, 1), (Confirm, 1)])
        },
        Rules {
            before: [home(), [Step::Open, Step::Answer(0, FOUR), Step::Opened(1)].to_vec()]
                .concat(),
            lists: [FOUR].to_vec(),
            wishes: [UNCONFIRMED].to_vec(),
            ..world("four", plain(1), &[(Send, 1), (Opened, 1), (Failed, 1), (Closed, 1)])
        },
    ]
    .to_vec()
}

/// Worlds that take a while.
pub(super) fn large() -> Vec<Rules> {
    use Kind::*;
    let spread = but(plain(1), |config| config.sessions.failover_burst = 1);
    let stale = |answers| {
        but(plain(1), |config| {
            config.cache.stale_cache_value = secs(1);
            config.cache.stale_answers = answers;
        })
    };
    let trusting = but(mapped(), |config| config.sessions.trust_card_addresses = true);
    [
        // Registrars and resolutions.
        Rules {
            ..world(
                "registrars",
                plain(2),
                &[
                    (Start, 1),
                    (Resolve, 1),
                    (Cancel, 1),
                    (Timer, 4),
                    (Opened, 2),
                    (HomeEnds, 2),
                    (Answer, 1),
                    (Refuse, 1),
                ],
            )
        },
        Rules {
            before: home(),
            ..world(
                "registrars, three",
                plain(3),
                &[
                    (Resolve, 1),
                    (Timer, 3),
                    (Opened, 1),
                    (HomeEnds, 2),
                    (RemoveRegistrar, 1),
                    (AddRegistrar, 1),
                ],
            )
        },
        Rules {
            ..world(
                "registrars, announced",
                plain(0),
                &[
                    (Start, 1),
                    (Resolve, 1),
                    (Timer, 4),
                    (Half, 1),
                    (Opened, 2),
                    (HomeEnds, 1),
                    (Answer, 1),
                    (Announce, 2),
                ],
            )
        },
        Rules {
            eager: false,
            ..world(
                "registrars, lazily",
                plain(2),
                &[(Resolve, 1), (Cancel, 1), (Timer, 3), (Opened, 2), (HomeEnds, 1), (Answer, 1)],
            )
        },
        Rules {
            before: home().into_iter().chain([Step::Subscribe]).collect(),
            lists: [PAIR, FIRST].to_vec(),
            ..world(
                "subscription",
                plain(2),
                &[
                    (Timer, 3),
                    (Opened, 1),
                    (HomeEnds, 1),
                    (Answer, 1),
                    (Refuse, 1),
                    (Update, 1),
                    (Unsubscribe, 1),
                ],
            )
        },
        Rules {
            before: up(),
            ..world(
                "shutting down",
                plain(2),
                &[
                    (Timer, 3),
                    (Opened, 1),
                    (HomeEnds, 1),
                    (Failed, 1),
                    (Closed, 1),
                    (Answer, 1),
                    (ShutDown, 1),
                    (Send, 1),
                    (Resolve, 1),
                ],
            )
        },
        // A session that keeps its element.
        Rules {
            before: home(),
            wishes: wishes(),
            ..world(
                "kept, from the start",
                plain(1),
                &[
                    (Open, 1),
                    (Send, 1),
                    (Timer, 3),
                    (Opened, 2),
                    (Failed, 2),
                    (Closed, 1),
                    (Answer, 2),
                    (Close, 1),
                ],
            )
        },
        Rules {
            before: up(),
            wishes: wishes(),
            ..world(
                "kept, longer",
                plain(1),
                &[(Send, 2), (Timer, 2), (Opened, 2), (Failed, 1), (Closed, 2), (Data, 1)],
            )
        },
        Rules {
            before: up(),
            wishes: wishes(),
            lists: [PAIR, FIRST, OTHER].to_vec(),
            ..world(
                "kept, other lists",
                plain(1),
                &[
                    (Send, 1),
                    (Timer, 3),
                    (Opened, 1),
                    (Failed, 2),
                    (Answer, 2),
                    (Refuse, 1),
                    (Abort, 1),
                ],
            )
        },
        Rules {
            before: up(),
            wishes: wishes(),
            ..world(
                "kept, whatever ends it",
                plain(1),
                &[
                    (Send, 1),
                    (Timer, 1),
                    (Opened, 1),
                    (Closed, 1),
                    (Local, 1),
                    (Impostor, 1),
                    (FailElement, 1),
                    (Move, 1),
                ],
            )
        },
        Rules {
            before: up(),
            wishes: wishes(),
            ..world(
                "confirming, longer",
                confirming(),
                &[
                    (Send, 2),
                    (Opened, 1),
                    (Failed, 1),
                    (Closed, 1),
                    (Close, 1),
                    (Written, 2),
                    (Delivered, 2),
                    (Confirm, 1),
                ],
            )
        },
        Rules {
            before: up(),
            stays: true,
            wishes: wishes().into_iter().map(receipt).collect(),
            ..world(
                "given back",
                confirming(),
                &[
                    (Send, 2),
                    (Opened, 1),
                    (Failed, 1),
                    (Written, 2),
                    (Unsent, 3),
                    (Withdraw, 1),
                    (Abort, 1),
                ],
            )
        },
        Rules {
            before: up(),
            wishes: [NEVER, receipt(UNSENT), UNDELIVERED, receipt(UNCONFIRMED)].to_vec(),
            ..world(
                "writing",
                writing(),
                &[
                    (Send, 2),
                    (Opened, 1),
                    (Failed, 1),
                    (Closed, 1),
                    (Close, 1),
                    (Written, 2),
                    (Confirm, 1),
                    (Withdraw, 1),
                ],
            )
        },
        Rules {
            before: up(),
            wishes: [UNSENT, UNCONFIRMED].to_vec(),
            ..world(
                "cookies, longer",
                mapped(),
                &[
                    (Send, 1),
                    (Timer, 1),
                    (Opened, 2),
                    (Failed, 2),
                    (Closed, 1),
                    (Cookie, 2),
                    (Card, 1),
                    (Move, 1),
                ],
            )
        },
        Rules {
            before: up(),
            options: holding(),
            wishes: [UNSENT, UNCONFIRMED].to_vec(),
            ..world(
                "holding",
                plain(1),
                &[
                    (Send, 1),
                    (Timer, 2),
                    (Opened, 2),
                    (Failed, 2),
                    (Closed, 1),
                    (Close, 1),
                    (Resume, 2),
                ],
            )
        },
        Rules {
            before: home(),
            options: named(2),
            wishes: [NEVER, UNSENT, UNCONFIRMED].to_vec(),
            lists: [PAIR, FIRST].to_vec(),
            ..world(
                "named",
                stale(StaleAnswers::Served),
                &[
                    (Open, 1),
                    (Send, 1),
                    (Timer, 3),
                    (Opened, 1),
                    (Failed, 2),
                    (Closed, 1),
                    (Answer, 2),
                    (Refuse, 1),
                ],
            )
        },
        Rules {
            before: up(),
            wishes: wishes(),
            ..world(
                "tight",
                tight(plain(1)),
                &[
                    (Send, 2),
                    (Timer, 1),
                    (Opened, 1),
                    (Failed, 2),
                    (Close, 1),
                    (GiveUp, 1),
                    (Confirm, 1),
                ],
            )
        },
        Rules {
            before: up(),
            wishes: [NEVER, receipt(UNSENT), UNCONFIRMED, ALL].to_vec(),
            ..world(
                "tight, confirming",
                tight(confirming()),
                &[
                    (Send, 2),
                    (Opened, 1),
                    (Failed, 1),
                    (Close, 1),
                    (Written, 2),
                    (Delivered, 1),
                    (Unsent, 1),
                    (Withdraw, 1),
                ],
            )
        },
        Rules {
            before: up(),
            eager: false,
            wishes: wishes(),
            ..world(
                "kept, lazily",
                mapped(),
                &[(Send, 1), (Opened, 1), (Failed, 1), (Closed, 1), (GiveUp, 1), (Data, 1)],
            )
        },
        Rules {
            before: calling(),
            eager: false,
            wishes: [UNSENT].to_vec(),
            ..world(
                "kept, lazily, from the start",
                plain(1),
                &[(Send, 1), (Timer, 1), (Opened, 2), (Failed, 1), (Move, 1), (GiveUp, 1)],
            )
        },
        // One that chooses for each message.
        Rules {
            before: home(),
            options: choosing(),
            wishes: wishes(),
            ..world(
                "choosing, from the start",
                plain(1),
                &[
                    (Open, 1),
                    (Send, 1),
                    (Timer, 2),
                    (Opened, 2),
                    (Failed, 2),
                    (Closed, 1),
                    (Answer, 1),
                    (Close, 1),
                ],
            )
        },
        Rules {
            before: chosen(),
            options: choosing(),
            wishes: [
                UNSENT,
                NEVER,
                UNDELIVERED,
                UNCONFIRMED,
                last(Failover::Never),
                last(Failover::Unsent),
            ]
            .to_vec(),
            ..world(
                "choosing, longer",
                plain(1),
                &[(Send, 2), (Timer, 1), (Opened, 1), (Failed, 2), (Closed, 1), (Abort, 1)],
            )
        },
        Rules {
            before: chosen(),
            options: choosing(),
            wishes: [UNSENT, NEVER, last(Failover::Undelivered), UNCONFIRMED].to_vec(),
            ..world(
                "choosing, confirming",
                confirming(),
                &[
                    (Send, 2),
                    (Opened, 1),
                    (Failed, 2),
                    (Close, 1),
                    (Written, 1),
                    (Delivered, 1),
                    (Unsent, 1),
                ],
            )
        },
        Rules {
            before: chosen(),
            options: SessionOptions { hold_after_failover: true, ..choosing() },
            wishes: [UNSENT, last(Failover::Unconfirmed), NEVER].to_vec(),
            ..world(
                "choosing, holding",
                plain(1),
                &[(Send, 2), (Timer, 1), (Opened, 2), (Failed, 2), (Close, 1), (Resume, 1)],
            )
        },
        Rules {
            before: chosen(),
            options: choosing(),
            wishes: [UNSENT, last(Failover::Never)].to_vec(),
            lists: [PAIR, FIRST].to_vec(),
            ..world(
                "choosing, stale",
                stale(StaleAnswers::Withheld),
                &[
                    (Send, 1),
                    (Timer, 3),
                    (Half, 1),
                    (Opened, 1),
                    (Failed, 2),
                    (Answer, 1),
                    (Refuse, 1),
                    (Close, 1),
                ],
            )
        },
        Rules {
            before: chosen(),
            options: choosing(),
            wishes: [UNSENT, UNCONFIRMED].to_vec(),
            ..world(
                "choosing, cookies",
                mapped(),
                &[(Send, 1), (Opened, 2), (Failed, 2), (Closed, 1), (Cookie, 2), (Data, 1)],
            )
        },
        Rules {
            before: home(),
            options: SessionOptions { element: Some(PeIdentifier::new(2)), ..choosing() },
            wishes: [NEVER, UNSENT, last(Failover::Unsent)].to_vec(),
            lists: [PAIR, FIRST].to_vec(),
            ..world(
                "choosing, named",
                plain(1),
                &[
                    (Open, 1),
                    (Send, 1),
                    (Timer, 2),
                    (Opened, 2),
                    (Failed, 2),
                    (Answer, 2),
                    (Close, 1),
                ],
            )
        },
        Rules {
            before: chosen(),
            eager: false,
            options: choosing(),
            wishes: [UNSENT, last(Failover::Undelivered)].to_vec(),
            ..world(
                "choosing, lazily",
                plain(1),
                &[(Send, 1), (Timer, 1), (Opened, 2), (Failed, 2), (Close, 1)],
            )
        },
        // To all.
        Rules {
            before: up(),
            wishes: [ALL, UNSENT].to_vec(),
            ..world(
                "to all",
                plain(1),
                &[(Send, 2), (Timer, 1), (Opened, 2), (Failed, 2), (Closed, 1), (Move, 1)],
            )
        },
        Rules {
            before: chosen(),
            options: choosing(),
            wishes: [UNSENT, ALL, NEVER].to_vec(),
            ..world(
                "to all, choosing",
                plain(1),
                &[(Send, 2), (Timer, 1), (Opened, 2), (Failed, 2), (Close, 1), (Abort, 1)],
            )
        },
        Rules {
            before: up(),
            wishes: [ALL, UNDELIVERED].to_vec(),
            ..world(
                "to all, confirming",
                confirming(),
                &[
                    (Send, 2),
                    (Timer, 1),
                    (Opened, 1),
                    (Failed, 1),
                    (Close, 1),
                    (Written, 2),
                    (Delivered, 2),
                    (Unsent, 2),
                    (Abort, 1),
                ],
            )
        },
        // Without a pool from the start.
        Rules {
            before: home().into_iter().chain([Step::Accept]).collect(),
            wishes: wishes(),
            ..world(
                "accepted",
                mapped(),
                &[
                    (Send, 1),
                    (Timer, 2),
                    (Opened, 1),
                    (Failed, 2),
                    (Closed, 1),
                    (Answer, 1),
                    (Card, 1),
                    (Cookie, 1),
                ],
            )
        },
        Rules {
            before: [Step::OpenAt].to_vec(),
            wishes: wishes().into_iter().chain([ALL]).collect(),
            ..world(
                "at an address",
                confirming(),
                &[
                    (Send, 2),
                    (Timer, 2),
                    (Opened, 1),
                    (Failed, 1),
                    (Closed, 1),
                    (Local, 1),
                    (Close, 1),
                    (GiveUp, 1),
                    (Written, 1),
                    (Delivered, 1),
                    (Unsent, 1),
                    (Abort, 1),
                ],
            )
        },
        // Two sessions.
        Rules {
            before: two(),
            wishes: [UNSENT, UNCONFIRMED].to_vec(),
            ..world(
                "crowd",
                spread,
                &[(Send, 2), (Timer, 1), (Opened, 1), (Failed, 2), (GiveUp, 1), (FailElement, 1)],
            )
        },
        Rules {
            before: up(),
            lists: [FIRST].to_vec(),
            ..world(
                "cards",
                trusting,
                &[(Send, 1), (Timer, 2), (Opened, 2), (Failed, 2), (Card, 2), (Move, 1)],
            )
        },
    ]
    .to_vec()
}
