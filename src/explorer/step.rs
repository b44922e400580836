//! What can happen in a world, how often, and under which rules.

use alloc::vec::Vec;

use crate::session::SessionOptions;
use crate::{Capabilities, Config, Failover, Recipient};

/// One thing that happens. A number `k` counts the channels, requests or sessions that it can
/// happen to, in the order of their names; `s` counts sessions, `m` the messages of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The next deadline comes.
    Timer,
    /// Half of the time until then passes.
    Half,
    /// The driver polls once; the application reads once. Only where they are lazy.
    PollAction,
    PollEvent,

    Start,
    Resolve,
    Cancel(usize),
    Subscribe,
    Unsubscribe,
    AddRegistrar(u8),
    RemoveRegistrar(u8),
    Announce(u8),
    Purge,
    Report(u32),
    FailElement(u32),
    ShutDown,

    Open,
    OpenAt,
    Accept,
    /// In one of the ways that the rules know.
    Send(usize, usize),
    Withdraw(usize, usize),
    Confirm(usize, usize),
    Resume(usize),
    GiveUp(usize),
    /// To this element, or to any where it is 0.
    Move(usize, u32),
    SetCookie(usize),
    Close(usize),
    Abort(usize),

    Opened(usize),
    /// The channel ends: by failure, in good order, by trouble of the driver's own, or because the
    /// peer is not who it should be.
    Failed(usize),
    Closed(usize),
    Local(usize),
    Impostor(usize),
    /// A registrar lists the elements whose bits are set.
    Answer(usize, u8),
    Refuse(usize),
    Update(u8),
    Data(usize),
    Cookie(usize),
    /// A business card, with or without an element of its own.
    Card(usize, bool),
    Written(usize),
    Delivered(usize),
    /// The transport gives back what was handed over last.
    Unsent(usize),
}

/// What kind of step that is, for the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Timer,
    Half,
    Start,
    Resolve,
    Cancel,
    Subscribe,
    Unsubscribe,
    AddRegistrar,
    RemoveRegistrar,
    Announce,
    Purge,
    Report,
    FailElement,
    ShutDown,
    Open,
    OpenAt,
    Accept,
    Send,
    Withdraw,
    Confirm,
    Resume,
    GiveUp,
    Move,
    SetCookie,
    Close,
    Abort,
    Opened,
    /// Of an element's channel.
    Failed,
    Closed,
    Local,
    Impostor,
    /// Of a registrar's channel, whichever way.
    HomeEnds,
    Answer,
    Refuse,
    Update,
    Data,
    Cookie,
    Card,
    Written,
    Delivered,
    Unsent,
}

/// How many kinds there are.
const KINDS: usize = Kind::Unsent as usize + 1;

/// How often each kind of step may still happen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Budget([u8; KINDS]);

/// How a message may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Wish {
    pub(super) failover: Failover,
    pub(super) to: Recipient,
    pub(super) receipt: bool,
}

/// What holds in a world from its beginning.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) name: &'static str,
    pub(super) config: Config,
    pub(super) capabilities: Capabilities,
    pub(super) options: SessionOptions,
    /// What the generator draws, in eighths of the bound.
    pub(super) chance: u64,
    /// Whether everything is polled and read at once.
    pub(super) eager: bool,
    /// Whether a channel may live on that has given something back; else it is about to end.
    pub(super) stays: bool,
    /// How messages are sent.
    pub(super) wishes: Vec<Wish>,
    /// The lists that a registrar may answer with, as bits of the elements; the first one is the
    /// whole pool.
    pub(super) lists: Vec<u8>,
    /// What has happened before exploring begins; all is polled and read at once.
    pub(super) before: Vec<Step>,
    pub(super) budget: Budget,
}

impl Rules {
    /// How many elements have to be lost until nobody is left to be tried.
    pub(super) fn all_rounds(&self) -> u32 {
        let shortest = self.lists.iter().map(|bits| bits.count_ones()).min();
        self.config.sessions.max_rounds * shortest.unwrap_or(0)
    }
}

impl Budget {
    pub(super) fn new(of: &[(Kind, u8)]) -> Self {
        let mut budget = Self([0; KINDS]);
        for (kind, times) in of {
            budget.0[*kind as usize] = *times;
        }
        budget
    }

    pub(super) const fn has(&self, kind: Kind) -> bool {
        self.0[kind as usize] > 0
    }

    pub(super) const fn spend(&mut self, kind: Kind) {
        self.0[kind as usize] = self.0[kind as usize].saturating_sub(1);
    }
}
