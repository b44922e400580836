//! Counters of everything dropped, retried, failed over, suppressed and rejected.

use core::ops::Sub;

/// Declares the counters.
macro_rules! counters {
    ($( $(#[$doc:meta])* $name:ident, )*) => {
        /// What happened so far, readable at any time through
        /// [`PoolUser::stats`](crate::PoolUser::stats).
        ///
        /// ```
        /// # use asap_pu::Stats;
        /// # let (before, after) = (Stats::default(), Stats::default());
        /// for (name, count) in (after - before).iter().filter(|(_, count)| *count > 0) {
        ///     println!("{name} +{count}");
        /// }
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct Stats {
            $( $(#[$doc])* pub $name: u64, )*
        }

        impl Stats {
            /// All counters by name.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$( (stringify!($name), self.$name), )*].into_iter()
            }
        }

        /// What happened since an earlier time.
        impl Sub for Stats {
            type Output = Self;

            fn sub(self, earlier: Self) -> Self {
                Self { $( $name: self.$name.saturating_sub(earlier.$name), )* }
            }
        }
    };
}

counters! {
    /// Messages from peers that did not decode.
    malformed,
    /// Messages of a type that this side does not know.
    unknown_messages,
    /// Parameters not understood and skipped as their type bits say.
    unknown_parameters,
    /// Known parameters in a place where they are not expected.
    unexpected_parameters,
    /// Known messages that do not belong on the channel they came on.
    unexpected_messages,
    /// Input on channels that are unknown, ended or not up.
    unknown_channels,
    /// ASAP_ERROR messages sent.
    errors_sent,
    /// ASAP_ERROR messages not sent because their channel had its share.
    errors_suppressed,
    /// Offending parameters that fitted into no report.
    errors_cut,
    /// ASAP_ERROR messages received.
    errors_received,
    /// Channels to registrars on which the parameter for the number of elements wanted was
    /// refused.
    wanted_refused,
    /// Registrars left because they do not know the request.
    requests_unknown,
    /// Keep-alives from the home that name it the home, which it is.
    homes_named,
    /// Other keep-alives received; a pool user has no identity to acknowledge one with.
    keep_alives,
    /// Control messages dropped because the driver left too many waiting.
    control_dropped,
    /// Control messages that the driver gave back unsent.
    control_unsent,
    /// Byte streams given up because their framing was lost.
    broken_streams,

    /// Announces taken note of.
    announces,
    /// Announces dropped: not accepted, or without a transport that can be used.
    announces_ignored,
    /// Announced addresses dropped because the list was full.
    announced_full,
    /// Announced addresses that T7-ENRPoutdate removed.
    announced_outdated,
    /// Rounds of hunts begun: one for each hunt, and one for each time that T5-Serverhunt expired.
    hunts,
    /// Channels to registrars asked for.
    hunt_attempts,
    /// Times that T5-Serverhunt expired.
    t5_expired,
    /// Times that a home registrar was found.
    homes_found,
    /// Times that a home registrar was lost.
    homes_lost,
    /// Registrars refused because they were not authenticated.
    registrars_barred,
    /// Refused registrars forgotten before their time because there were too many.
    bars_forgotten,

    /// Resolution requests sent for the first time.
    requests_sent,
    /// Resolution requests sent again because T1-ENRPrequest expired.
    requests_repeated,
    /// Resolution requests sent again because the home changed.
    requests_moved,
    /// Resolution requests that had to wait because the same handle was asked for a moment before.
    requests_paused,
    /// Answers used.
    answers,
    /// Updates of subscribed pools, asked for by nobody in particular.
    updates,
    /// Answers that nobody asked for.
    answers_unsolicited,
    /// Answers without any element that could be used.
    answers_useless,
    /// Answers that there is no such pool, from a registrar that may not know it yet.
    answers_disputed,
    /// Requests that ended without an answer.
    requests_failed,

    /// Resolutions served from the cache.
    cache_hits,
    /// Resolutions that found their pool stale.
    cache_stale,
    /// Resolutions refused at once because a registrar did not know the handle a moment before.
    cache_unknown,
    /// Resolutions that found no pool.
    cache_misses,
    /// Pools pushed out by others.
    cache_evicted,
    /// Pools kept beside the limits, because sessions hold all others.
    cache_overfull,
    /// Elements dropped because they could not be used, or repeated an identifier.
    elements_dropped,
    /// Elements beyond the limit for one pool.
    elements_cut,
    /// Elements whose policy values are missing, do not fit, or belong to another policy than the
    /// pool's.
    elements_revalued,

    /// Elements found unreachable.
    failures,
    /// Failure marks forgotten before their time because a pool had too many.
    marks_forgotten,
    /// Unreachable reports sent, each counted once.
    reports_sent,
    /// Unreachable reports that wait once more because their home was lost right after they were
    /// sent, or because the driver gave them back.
    reports_repeated,
    /// Unreachable reports withdrawn because the element proved to be well before they were sent.
    reports_withdrawn,
    /// Unreachable reports dropped: too many, too fast, or too old when a registrar was found.
    reports_dropped,

    /// Failovers completed: sessions that go on at another element.
    failovers,
    /// Channels that elements closed in good order.
    channels_closed,
    /// Channels that were lost by trouble of the driver's own.
    local_failures,
    /// Failovers put off because many began at once.
    failovers_spread,
    /// Sessions moved to another element as the application asked.
    moves,
    /// Business cards for the session's own pool.
    cards,
    /// Elements of business cards beyond `limits.max_card_elements`.
    card_elements_cut,
    /// Business cards of other pools that led to no resolution: too many in a second, or an
    /// invalid handle.
    cards_ignored,
    /// Business cards sent.
    cards_sent,
    /// Cookies stored.
    cookies,
    /// Cookies that were too long to store.
    cookies_too_long,
    /// Messages received for the application.
    messages_received,
    /// Messages received and dropped because the application left too many unread.
    messages_dropped,
    /// Messages handed to the driver.
    messages_sent,
    /// Messages handed to the driver again, for another element.
    messages_resent,
    /// Messages given back to the application, certainly not delivered.
    messages_returned,
    /// Messages of which nobody knows whether they were delivered.
    messages_lost,
    /// Messages that the transport gave back unsent.
    messages_unsent,
    /// Confirmations for messages that are not waited for.
    unknown_confirmations,
    /// Mistakes of the driver, see [`Misuse`](crate::Misuse).
    misuses,
}
