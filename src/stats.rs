//! Counters of everything dropped, retried, failed over, suppressed and rejected.

/// What happened so far, readable at any time through [`PoolUser::stats`](crate::PoolUser::stats).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Messages from peers that did not decode.
    pub malformed: u64,
    /// Messages of a type that this side does not know.
    pub unknown_messages: u64,
    /// Parameters not understood and skipped as their type bits say.
    pub unknown_parameters: u64,
    /// Known parameters in a place where they are not expected.
    pub unexpected_parameters: u64,
    /// Known messages that do not belong on the channel they came on.
    pub unexpected_messages: u64,
    /// Input on channels that are unknown, ended or not up.
    pub unknown_channels: u64,
    /// ASAP_ERROR messages sent.
    pub errors_sent: u64,
    /// ASAP_ERROR messages not sent because their channel had its share.
    pub errors_suppressed: u64,
    /// Offending parameters that fitted into no report.
    pub errors_cut: u64,
    /// ASAP_ERROR messages received.
    pub errors_received: u64,
    /// Channels to registrars on which the parameter for the number of elements wanted was
    /// refused.
    pub wanted_refused: u64,
    /// Registrars left because they do not know the request.
    pub requests_unknown: u64,
    /// Keep-alives from the home that name it the home, which it is.
    pub homes_named: u64,
    /// Other keep-alives received; a pool user has no identity to acknowledge one with.
    pub keep_alives: u64,
    /// Control messages dropped because the driver left too many waiting.
    pub control_dropped: u64,
    /// Control messages that the driver gave back unsent.
    pub control_unsent: u64,
    /// Byte streams given up because their framing was lost.
    pub broken_streams: u64,

    /// Announces taken note of.
    pub announces: u64,
    /// Announces dropped: not accepted, or without a transport that can be used.
    pub announces_ignored: u64,
    /// Announced addresses turned away because the list was full.
    pub announced_full: u64,
    /// Announced addresses that T7-ENRPoutdate removed.
    pub announced_outdated: u64,
    /// Rounds of hunts begun: one for each hunt, and one for each time that T5-Serverhunt expired.
    pub hunts: u64,
    /// Channels to registrars asked for.
    pub hunt_attempts: u64,
    /// Times that T5-Serverhunt expired.
    pub t5_expired: u64,
    /// Times that a home registrar was found.
    pub homes_found: u64,
    /// Times that a home registrar was lost.
    pub homes_lost: u64,
    /// Registrars refused because they were not authenticated.
    pub registrars_barred: u64,
    /// Refused registrars forgotten before their time because there were too many.
    pub bars_forgotten: u64,

    /// Resolution requests sent for the first time.
    pub requests_sent: u64,
    /// Resolution requests sent again because T1-ENRPrequest expired.
    pub requests_repeated: u64,
    /// Resolution requests sent again because the home changed.
    pub requests_moved: u64,
    /// Resolution requests that had to wait because the same handle was asked for a moment before.
    pub requests_paused: u64,
    /// Answers used.
    pub answers: u64,
    /// Updates of subscribed pools, asked for by nobody in particular.
    pub updates: u64,
    /// Answers that nobody asked for.
    pub answers_unsolicited: u64,
    /// Answers without any element that could be used.
    pub answers_useless: u64,
    /// Answers that there is no such pool, from a registrar that may not know it yet.
    pub answers_disputed: u64,
    /// Requests that ended without an answer.
    pub requests_failed: u64,

    /// Resolutions served from the cache.
    pub cache_hits: u64,
    /// Resolutions that found their pool stale.
    pub cache_stale: u64,
    /// Resolutions refused at once because a registrar did not know the handle a moment before.
    pub cache_unknown: u64,
    /// Resolutions that found no pool.
    pub cache_misses: u64,
    /// Pools pushed out by others.
    pub cache_evicted: u64,
    /// Pools kept beside the limits, because sessions hold all others.
    pub cache_overfull: u64,
    /// Elements dropped because they could not be used, or repeated an identifier.
    pub elements_dropped: u64,
    /// Elements beyond the limit for one pool.
    pub elements_cut: u64,
    /// Elements whose policy values are missing, do not fit, or belong to another policy than the
    /// pool's.
    pub elements_revalued: u64,

    /// Elements found unreachable.
    pub failures: u64,
    /// Failure marks forgotten before their time because a pool had too many.
    pub marks_forgotten: u64,
    /// Unreachable reports sent, each counted once.
    pub reports_sent: u64,
    /// Unreachable reports that wait once more because their home was lost right after they were
    /// sent, or because the driver gave them back.
    pub reports_repeated: u64,
    /// Unreachable reports withdrawn because the element proved to be well before they were sent.
    pub reports_withdrawn: u64,
    /// Unreachable reports dropped: too many, too fast, or too old when a registrar was found.
    pub reports_dropped: u64,

    /// Failovers completed: sessions that go on at another element.
    pub failovers: u64,
    /// Channels that elements closed in good order.
    pub channels_closed: u64,
    /// Channels that were lost by trouble of the driver's own.
    pub local_failures: u64,
    /// Failovers put off because many began at once.
    pub failovers_spread: u64,
    /// Sessions moved to another element as the application asked.
    pub moves: u64,
    /// Business cards for the session's own pool.
    pub cards: u64,
    /// Elements of business cards beyond `max_card_elements`.
    pub card_elements_cut: u64,
    /// Business cards of other pools that led to no resolution: too many in a second, or an
    /// invalid handle.
    pub cards_ignored: u64,
    /// Business cards sent.
    pub cards_sent: u64,
    /// Cookies stored.
    pub cookies: u64,
    /// Cookies that were too long to store.
    pub cookies_too_long: u64,
    /// Messages received for the application.
    pub messages_received: u64,
    /// Messages received and dropped because the application left too many unread.
    pub messages_dropped: u64,
    /// Messages handed to the driver.
    pub messages_sent: u64,
    /// Messages handed to the driver again, for another element.
    pub messages_resent: u64,
    /// Messages given back to the application, certainly not delivered.
    pub messages_returned: u64,
    /// Messages of which nobody knows whether they were delivered.
    pub messages_lost: u64,
    /// Messages that the transport gave back unsent.
    pub messages_unsent: u64,
    /// Confirmations for messages that are not waited for.
    pub unknown_confirmations: u64,
    /// Mistakes of the driver, see [`Misuse`](crate::Misuse).
    pub misuses: u64,
}
