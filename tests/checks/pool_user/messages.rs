//! The book of one message: where it was handed over, what was said of it, what became of it.
//!
//! The rules are those of [`Failover`]: from what the driver and the application have said follows
//! when a message is done, whether it waits, and which ends are still possible.

use core::time::Duration;
use std::collections::BTreeMap;

use asap_pu::wire::PeIdentifier;
use asap_pu::{
    ChannelId, Confirms, Failover, Instant, LossReason, Recipient, SendOptions, UndeliveredReason,
};
use bytes::Bytes;

use super::Moment;
use super::step::Confirmation;

/// A message that was taken.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) data: Bytes,
    pub(super) options: SendOptions,
    pub(super) at: Moment,
    /// The element that the session had when it was sent.
    meant_for: Option<PeIdentifier>,
    handovers: Vec<Handover>,
    /// Whether it may be handed over no more.
    is_spent: bool,
    fate: Option<Fate>,
    /// The pool user has let on that it does not wait any more, so its fate is to be read.
    is_decided: bool,
    /// Of a message to all: the elements whose copy has met its fate.
    copies: BTreeMap<Option<PeIdentifier>, Option<UndeliveredReason>>,
    /// How often this node got its own copy.
    own_copies: usize,
    /// For how long it has waited for an element, at least and at most.
    pub(super) waited: Waited,
}

/// A time that is not known exactly.
#[derive(Debug, Default)]
pub(super) struct Waited {
    pub(super) at_least: Duration,
    pub(super) at_most: Duration,
}

#[derive(Debug)]
struct Handover {
    channel: ChannelId,
    element: Option<PeIdentifier>,
    confirms: Confirms,
    at: Moment,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Out {
        written: bool,
        delivered: bool,
    },
    /// Of a copy: the driver has said all that it says.
    Done(Moment),
    /// The transport gave it back.
    Back(Moment),
    /// The channel ended while it was out; perhaps since all was done that was to be done in the
    /// session.
    Gone {
        at_end: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done { delivered: bool, at: Moment, told: bool },
    Returned,
    Lost,
    Confirmed,
    Withdrawn,
    Aborted,
}

/// When something happened, in the order of calls: not before the first, not after the second.
pub(super) type Between = (Moment, Moment);

impl Sent {
    pub(super) const fn new(
        data: Bytes,
        options: SendOptions,
        at: Moment,
        meant_for: Option<PeIdentifier>,
    ) -> Self {
        Self {
            data,
            options,
            at,
            meant_for,
            handovers: Vec::new(),
            is_spent: false,
            fate: None,
            is_decided: false,
            copies: BTreeMap::new(),
            own_copies: 0,
            waited: Waited { at_least: Duration::ZERO, at_most: Duration::ZERO },
        }
    }

    /// Whether there is one copy for each element.
    pub(super) const fn is_to_all(&self) -> bool {
        matches!(self.options.to, Recipient::All | Recipient::AllAndSelf)
    }

    const fn repeats(&self) -> bool {
        matches!(self.options.failover, Failover::Undelivered | Failover::Unconfirmed)
    }

    /// Whether nothing became of it yet, as far as the driver and the application know.
    pub(super) const fn is_open(&self) -> bool {
        self.fate.is_none()
    }

    fn is_out(&self) -> bool {
        matches!(self.handovers.last(), Some(Handover { state: State::Out { .. }, .. }))
    }

    /// The channel it was handed over on last, if it may still be there.
    pub(super) fn out_on(&self) -> Option<ChannelId> {
        self.handovers.last().filter(|_| self.is_out()).map(|last| last.channel)
    }

    /// Whether it waits to be handed over, as far as is known.
    pub(super) fn waits(&self) -> bool {
        self.is_open()
            && !self.is_out()
            && match self.is_to_all() {
                true => !self.is_copied(),
                false => self.goes_on(),
            }
    }

    /// Whether it goes again, after what became of it where it was handed over last.
    fn goes_on(&self) -> bool {
        match self.handovers.last().map(|it| it.state) {
            Some(State::Gone { .. }) => self.repeats() && !self.is_spent,
            Some(State::Back(_)) => self.options.failover != Failover::Never && !self.is_spent,
            _ => true,
        }
    }

    /// Whether copies of it are known to be made.
    fn is_copied(&self) -> bool {
        !self.handovers.is_empty() || !self.copies.is_empty() || self.own_copies > 0
    }

    /// How much of the session's limits it takes, at least and at most.
    pub(super) fn load(&self) -> [(usize, usize); 2] {
        let all = (1, self.data.len());
        match self.fate {
            None if self.is_to_all() => {
                // Where this node is the only element, nobody tells of other copies.
                let alone = self.options.to == Recipient::AllAndSelf;
                [if self.is_copied() || alone { (0, 0) } else { all }, all]
            }
            None => [all, all],
            Some(Fate::Done { told: false, .. }) if self.options.receipt => [(1, 0); 2],
            Some(_) => [(0, 0); 2],
        }
    }

    /// It is handed over on a channel.
    pub(super) fn handed_over(
        &mut self,
        channel: ChannelId,
        element: Option<PeIdentifier>,
        confirms: Confirms,
        at: Moment,
        max_handovers: u32,
    ) {
        assert!(self.is_open() && !self.is_decided, "sent after its end");
        let written = confirms < Confirms::Written;
        let mut state = State::Out { written, delivered: false };
        if self.is_to_all() {
            let anew = self.handovers.iter().all(|it| it.channel != channel);
            assert!(anew && !self.copies.contains_key(&element), "one copy for each element");
            if written && confirms < Confirms::Delivered {
                state = State::Done(at);
            }
        } else {
            assert!(!self.is_out(), "handed over twice");
            if written && confirms < Confirms::Delivered && !self.repeats() {
                self.fate = Some(Fate::Done { delivered: false, at, told: false });
            }
        }
        self.handovers.push(Handover { channel, element, confirms, at, state });
        if self.is_to_all() {
            return;
        }
        let times = self.handovers.len();
        assert!(times <= max_handovers as usize, "[SESSION-18] handed over {times} times");
        self.is_spent = times == max_handovers as usize;
        match self.options.failover {
            Failover::Never => {
                assert_eq!(times, 1, "[SESSION-5] at one element");
                let meant_for = self.meant_for;
                assert!(meant_for.is_none_or(|it| Some(it) == element), "[SESSION-5] at that one");
            }
            Failover::Unsent => {
                let sent = self.handovers.iter().filter(|it| !matches!(it.state, State::Back(_)));
                assert_eq!(sent.count(), 1, "[SESSION-5] at most once");
            }
            _ => {}
        }
    }

    /// The driver says something of it on a channel where it was handed over; whether that is news.
    pub(super) fn is_news(&self, channel: ChannelId, how: Confirmation) -> bool {
        let handover = self.handovers.iter().rev().find(|it| it.channel == channel);
        match handover.map(|it| it.state) {
            Some(State::Out { written, delivered }) if self.is_open() => match how {
                Confirmation::Written => !written,
                _ => !delivered,
            },
            _ => false,
        }
    }

    /// The driver says news of it.
    pub(super) fn hear(&mut self, channel: ChannelId, how: Confirmation, at: Moment) {
        let (to_all, repeats) = (self.is_to_all(), self.repeats());
        let unconfirmed = self.options.failover == Failover::Unconfirmed;
        let handover = self.handovers.iter_mut().rev().find(|it| it.channel == channel);
        let handover = handover.expect("it was handed over there");
        let delivered = how == Confirmation::Delivered;
        let is_last_word = delivered || handover.confirms < Confirms::Delivered;
        if how == Confirmation::Unsent {
            handover.state = State::Back(at);
        } else if to_all && is_last_word {
            handover.state = State::Done(at);
        } else {
            handover.state = State::Out { written: true, delivered };
            let done = if delivered { !unconfirmed } else { is_last_word && !repeats };
            if done && !to_all {
                self.fate = Some(Fate::Done { delivered, at, told: false });
            }
        }
    }

    /// A channel has ended, and what was out there with it, be it since its session was `closing`.
    pub(super) fn channel_ended(&mut self, channel: ChannelId, closing: bool) {
        let at_end = closing && self.is_done_by_closing();
        let on_it = self.handovers.iter_mut().filter(|it| it.channel == channel);
        for handover in on_it.filter(|it| matches!(it.state, State::Out { .. })) {
            handover.state = State::Gone { at_end };
        }
    }

    /// The application confirms it; `news` if the pool user waited for that. Says on which channel
    /// it was.
    pub(super) fn confirmed(&mut self, news: bool, closing: bool) -> Option<ChannelId> {
        let may_be = self.is_open() && !self.is_to_all() && !self.handovers.is_empty();
        assert!(!news || may_be && !self.is_decided, "confirmed what is not out");
        self.is_decided |= may_be && !news && !closing;
        let on = self.out_on();
        if news {
            self.fate = Some(Fate::Confirmed);
        }
        on.filter(|_| news)
    }

    /// The application has taken it back, or the pool user would not.
    pub(super) fn withdrawn(&mut self, data: Option<&Bytes>) {
        match data {
            Some(data) => {
                assert!(self.waits() && !self.is_decided, "withdrawn though it does not wait");
                assert!(!self.may_have_arrived(), "withdrawn though it was sent");
                assert_eq!(*data, self.data);
                self.fate = Some(Fate::Withdrawn);
            }
            None => {
                self.is_decided |= !self.is_to_all() && self.waits() && !self.may_have_arrived()
            }
        }
    }

    pub(super) fn was_handed_over(&self) -> bool {
        !self.handovers.is_empty()
    }

    /// Whether it was handed over and the transport has not given it back.
    fn may_have_arrived(&self) -> bool {
        self.handovers.iter().any(|it| !matches!(it.state, State::Back(_)))
    }

    /// The receipt is read; when it became due.
    pub(super) fn receipt_read(&mut self, delivered: bool, closing: bool) -> Between {
        assert!(self.options.receipt && !self.is_to_all(), "a receipt that nobody asked for");
        if closing && self.is_done_by_closing() {
            let at = self.handovers.last().map_or(self.at, |last| last.at);
            self.fate = Some(Fate::Done { delivered: false, at, told: false });
        }
        let Some(Fate::Done { delivered: known, at, told: told @ false }) = &mut self.fate else {
            panic!("[SESSION-17] a receipt for what is not done: {self:?}")
        };
        assert_eq!(*known, delivered, "[SESSION-17]");
        *told = true;
        (*at, if closing { Moment::MAX } else { *at })
    }

    /// Whether nobody would tell more of it, so that it is done when its session is closed.
    fn is_done_by_closing(&self) -> bool {
        self.is_open()
            && matches!(
                self.handovers.last(),
                Some(Handover {
                    state: State::Out { written: true, .. } | State::Gone { at_end: true },
                    confirms: Confirms::Nothing | Confirms::Written,
                    ..
                })
            )
            && self.options.failover != Failover::Unconfirmed
    }

    /// It comes back; since when that is possible.
    pub(super) fn returned(&mut self, data: &Bytes) -> Moment {
        assert!(self.is_open(), "[SESSION-17] a second fate: {self:?}");
        assert_eq!(self.data, *data);
        assert!(!self.may_have_arrived(), "[SESSION-17] given back though it was sent: {self:?}");
        self.fate = Some(Fate::Returned);
        self.since()
    }

    /// It is lost; since when that is possible.
    pub(super) fn lost(&mut self, data: &Bytes) -> Moment {
        assert!(self.is_open() && !self.is_to_all(), "[SESSION-17] a second fate: {self:?}");
        assert_eq!(self.data, *data);
        assert!(self.may_have_arrived(), "[SESSION-17] lost though it was not sent: {self:?}");
        self.fate = Some(Fate::Lost);
        self.since()
    }

    fn since(&self) -> Moment {
        let last = self.handovers.last();
        last.map_or(self.at, |last| match last.state {
            State::Back(at) | State::Done(at) => at,
            _ => last.at,
        })
    }

    /// The reasons for its end that are possible, but for those of its session. `ends` says which
    /// reasons there were for a channel to end, or for any of the session's.
    pub(super) fn may_end_with(
        &self,
        reason: UndeliveredReason,
        ends: impl Fn(Option<ChannelId>, LossReason) -> bool,
    ) -> bool {
        let times = self.handovers.len();
        match reason {
            UndeliveredReason::ElementLost(reason) => {
                let sent =
                    |it: &&Handover| matches!(it.state, State::Gone { .. } | State::Out { .. });
                let on = self.handovers.last().filter(sent).map(|it| it.channel);
                let goes_on = self.options.failover != Failover::Never;
                !(goes_on && on.is_none()) && ends(on, reason)
            }
            UndeliveredReason::TooManyHandovers => self.is_spent,
            UndeliveredReason::NotSent => {
                let back =
                    matches!(self.handovers.last(), Some(it) if matches!(it.state, State::Back(_)));
                back && self.options.failover == Failover::Never
            }
            UndeliveredReason::NotListed => self.options.failover == Failover::Never && times == 0,
            UndeliveredReason::NoRecipient => self.is_to_all(),
            _ => false,
        }
    }

    /// One copy has met its fate; when that was.
    pub(super) fn copied(
        &mut self,
        element: Option<PeIdentifier>,
        failure: Option<UndeliveredReason>,
    ) -> Between {
        assert!(self.is_to_all() && self.is_open(), "[SESSION-17] a copy of what is none");
        let anew = self.copies.insert(element, failure).is_none();
        assert!(anew, "[SESSION-17] one fate for each copy");
        let state = self.handovers.iter().find(|it| it.element == element).map(|it| it.state);
        let (since, ever) = (self.since(), Moment::MAX);
        match (failure, state) {
            (None, Some(State::Done(at)))
            | (Some(UndeliveredReason::NotSent), Some(State::Back(at))) => (at, at),
            (None | Some(UndeliveredReason::NotSent), _) => panic!("not so: {self:?}"),
            (Some(_), Some(State::Done(_) | State::Back(_))) => panic!("it was done: {self:?}"),
            (Some(_), _) => (since.min(self.at), ever),
        }
    }

    /// This node hears itself.
    pub(super) fn own_copy(&mut self) {
        self.own_copies += 1;
        assert!(self.own_copies == 1 && self.options.to == Recipient::AllAndSelf);
    }

    /// [SESSION-17]: whatever has happened to it was told. Everything there is to say has been read.
    pub(super) fn is_told(&self) {
        if self.is_to_all() {
            let told = |it: &Handover| match it.state {
                State::Out { .. } => true,
                _ => self.copies.contains_key(&it.element),
            };
            assert!(self.handovers.iter().all(told), "[SESSION-17] a silent copy: {self:?}");
            return;
        }
        assert!(!(self.is_decided && self.is_open()), "[SESSION-17] no fate: {self:?}");
        match self.fate {
            Some(Fate::Done { told, .. }) => {
                assert!(told || !self.options.receipt, "[SESSION-17] no receipt: {self:?}");
            }
            Some(_) => {}
            None => {
                let at_end = matches!(
                    self.handovers.last(),
                    Some(Handover { state: State::Gone { at_end: true }, .. })
                );
                assert!(at_end || self.goes_on(), "[SESSION-17] silently lost: {self:?}");
            }
        }
    }

    /// [SESSION-17]: the session is over, in good order or not, and so is this.
    pub(super) fn is_over(&self, orderly: bool) {
        self.is_told();
        if self.is_to_all() {
            let told = |it: &Handover| self.copies.contains_key(&it.element);
            assert!(self.handovers.iter().all(told), "[SESSION-17] a silent copy: {self:?}");
            assert!(
                !self.is_open() || self.is_copied() || self.options.to == Recipient::AllAndSelf
            );
        } else if self.is_open() {
            let done = orderly && self.is_done_by_closing() && !self.options.receipt;
            assert!(done, "[SESSION-17] silently lost: {self:?}");
        }
    }

    /// It comes back as its session is aborted: `Some` says whether it was handed over, `None` that
    /// it did not come back.
    pub(super) fn aborted(&mut self, closing: bool, back: Option<(&Bytes, bool)>) {
        match back {
            Some((data, handed_over)) => {
                assert!(self.is_open(), "[SESSION-17] a second fate: {self:?}");
                assert_eq!(*data, self.data);
                let is_so = match self.is_to_all() {
                    true => handed_over || self.handovers.is_empty(),
                    false => handed_over == self.may_have_arrived(),
                };
                assert!(is_so, "[SESSION-17] handed over: {handed_over}, {self:?}");
            }
            None if self.is_to_all() || closing && self.is_done_by_closing() => {}
            None => assert!(!self.is_open(), "[SESSION-17] silently lost: {self:?}"),
        }
        self.fate.get_or_insert(Fate::Aborted);
    }

    /// Time passes while it waits, or may do so.
    pub(super) fn waits_for(&mut self, time: Duration, surely: bool) {
        self.waited.at_most += time;
        if surely {
            self.waited.at_least += time;
        }
    }

    /// [SESSION-4] [SESSION-18]: it does not wait for ever; and says when it must be given up.
    pub(super) fn waits_until(&self, now: Instant, deadline: Duration) -> Instant {
        let left = deadline.checked_sub(self.waited.at_least).filter(|left| !left.is_zero());
        let left = left.unwrap_or_else(|| panic!("[SESSION-18] it waits for too long: {self:?}"));
        now + left
    }
}
