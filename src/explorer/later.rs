//! What comes of a state: five ways in which the rest of the world goes on from there, for ever.
//!
//! In each of them everything has to come to its end or to rest within the time that the
//! configuration allows, and then, after the machine is shut down, nothing may be left of it.
//!
//! A state that was met before on the same way is not followed again: what comes of it is known.
//! One that is met twice by the same follower is a circle.

use std::collections::HashSet;

use super::world::{PROBE, Peer, World};
use crate::CloseReason;

/// How everybody behaves from here on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// As they should: registrars answer, elements accept and take what is sent, the application
    /// confirms it.
    Fair,
    /// Nobody says anything any more.
    Silent,
    /// What is up breaks, and nobody accepts.
    Refusing,
    /// Elements accept, and break the channel off.
    Flapping,
    /// Elements accept, take what is sent, and close the channel in good order.
    Closing,
}

pub(super) const WAYS: [Way; 5] =
    [Way::Fair, Way::Silent, Way::Refusing, Way::Flapping, Way::Closing];

/// What is known of each way.
#[derive(Debug, Default)]
pub(super) struct Known([HashSet<u64>; 10]);

/// How far a follower is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Everything goes on until it rests.
    GoesOn,
    /// The machine is shut down.
    Ends,
}

/// More steps than this are an endless story.
const MANY_STEPS: usize = 2_000;

impl World {
    /// Follows the world on a way to its end.
    pub(super) fn follow(mut self, way: Way, known: &mut Known) {
        self.settle();
        while self.dooms() {
            self.settle();
        }
        self.fair = way == Way::Fair;
        if self.fair && !self.shut_down && !self.rules.config.discovery.registrars.is_empty() {
            // Whoever asks now is answered.
            self.resolve(PROBE);
        }
        let (calls, unheard) = (self.calls, self.unheard_cookies());
        if !self.go(way, Part::GoesOn, known) {
            return;
        }
        if self.fair {
            self.confirm_all();
            self.settle();
            if self.fill_all() {
                if !self.go(way, Part::GoesOn, known) {
                    return;
                }
                let still = self.unheard_cookies();
                assert!(unheard == 0 || still < unheard, "nobody hears the cookie");
            }
            self.confirm_all();
            self.settle();
        }
        assert!(self.calls - calls < 60, "{} calls", self.calls - calls);
        if !self.shut_down {
            self.shut_down();
        }
        if !self.go(way, Part::Ends, known) {
            return;
        }
        assert!(self.requests.is_empty(), "shut down with {:?}", self.requests);
        assert!(self.user.sessions().next().is_none(), "shut down with sessions");
        assert!(self.channels.is_empty(), "shut down with channels");
    }

    /// Goes on until nothing is left to be done; says whether that was not known to happen.
    fn go(&mut self, way: Way, part: Part, known: &mut Known) -> bool {
        let index = 2 * way as usize + usize::from(part == Part::Ends);
        let config = &self.rules.config;
        let longest = config
            .sessions
            .session_deadline
            .max(config.resolution.request_deadline)
            .max(config.resolution.report_age);
        // Elements that come up and are lost are called after a pause each.
        let pauses = config.sessions.session_backoff_max * (self.rules.all_rounds() + 1);
        let until = self.now + longest + pauses;
        let mut met = HashSet::new();
        for _ in 0..MANY_STEPS {
            self.settle();
            if self.moves(way) {
                continue;
            }
            let left = match part {
                Part::GoesOn if !self.requests.is_empty() => Some("a request is not answered"),
                Part::GoesOn => self.unserved().filter(|_| !self.waits_for_driver()),
                Part::Ends if self.user.is_shut_down() => None,
                Part::Ends => Some("it is not shut down"),
            };
            let Some(left) = left else {
                let idle = self.asked.is_empty() && !self.is_any_closing();
                if part == Part::GoesOn && way == Way::Silent && idle {
                    self.linger();
                }
                return true;
            };
            let state = self.fingerprint(false);
            assert!(met.insert(state), "{left}, for ever");
            if !known.0[index].insert(state) {
                return false;
            }
            assert!(self.now <= until, "{left}, for too long");
            assert!(self.pass_to_deadline(), "{left}, and it waits for nothing");
        }
        panic!("it goes on and on");
    }

    /// Lets as much time pass as a session may wait; one that waits for nothing does not end.
    fn linger(&mut self) {
        let sessions = self.user.sessions().count();
        let until = self.now + self.rules.config.sessions.session_deadline;
        while self.now < until {
            self.pass_until(until);
            self.settle();
        }
        assert_eq!(self.user.sessions().count(), sessions, "a session ends that waits for nothing");
    }

    /// Does what somebody in the world does next; says whether there was anything.
    fn moves(&mut self, way: Way) -> bool {
        if self.resume_all() {
            return true;
        }
        if self.dooms() {
            return true;
        }
        let is_element = |peer| !matches!(peer, Peer::Registrar(_));
        let calling = self.channels.values().position(|channel| !channel.up);
        let up = self.channels.values().position(|c| c.up && is_element(c.peer));
        match way {
            Way::Silent => false,
            Way::Fair => {
                if let Some(k) = calling {
                    self.opened(k);
                } else if !self.asked.is_empty() {
                    self.answer(0, self.rules.lists[0]);
                } else {
                    return self.serve();
                }
                true
            }
            Way::Refusing => {
                let Some(k) = up.or(calling) else { return false };
                self.channel_ends(k, CloseReason::Failed);
                true
            }
            Way::Flapping | Way::Closing => {
                if way == Way::Closing && self.serve() {
                    return true;
                }
                if let Some(k) = up {
                    let reason = match way {
                        Way::Closing => CloseReason::Closed,
                        _ => CloseReason::Failed,
                    };
                    self.channel_ends(k, reason);
                } else if let Some(k) = calling {
                    self.opened(k);
                } else if !self.asked.is_empty() {
                    self.answer(0, self.rules.lists[0]);
                } else {
                    return false;
                }
                true
            }
        }
    }

    /// The driver ends a channel that is about to; says whether there was one.
    fn dooms(&mut self) -> bool {
        let doomed = self.channels.values().position(|channel| channel.doomed);
        doomed.map(|k| self.channel_ends(k, CloseReason::Failed)).is_some()
    }

    /// The driver and the transport do what they can; says whether that was anything.
    fn serve(&mut self) -> bool {
        let writes = self.confirms().tells_written();
        let confirms = self.confirms().tells_delivered();
        let unwritten = self.channels.iter().find(|(_, c)| writes && !c.unwritten.is_empty());
        if let Some(id) = unwritten.map(|(id, _)| *id) {
            self.written(id);
            return true;
        }
        let undelivered = self.channels.iter().find(|(_, c)| confirms && !c.undelivered.is_empty());
        if let Some(id) = undelivered.map(|(id, _)| *id) {
            self.delivered(id);
            return true;
        }
        self.fair && self.is_any_closing() && self.confirm_all()
    }
}
