//! A simulation as a page: hosts as lanes, messages as arrows, and over time what failed, what was thought of it,
//! and what became of messages.

use core::fmt::Write as _;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use asap_pu::sim::{Fault, Host, Record, What};
use asap_pu::{Event, Instant, NoteKind};

use super::drawing::{COLORS, page};

/// What can be shown and hidden.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Asap,
    Data,
    Channel,
    Event,
    Fate,
    Reason,
    Pool,
    Failure,
    Mark,
    Failover,
}

/// What each is called, with its colour, in the same order.
const KINDS: [(&str, &str); 10] = [
    ("asap", COLORS[0]),
    ("data", COLORS[2]),
    ("channels", COLORS[6]),
    ("events", COLORS[4]),
    ("fates", COLORS[3]),
    ("reasons", "#bbbbbb"),
    ("pools", COLORS[7]),
    ("failures", COLORS[5]),
    ("marks", COLORS[1]),
    ("failovers", COLORS[3]),
];

/// Collects what happens in a simulation.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// Lanes by their hosts: pool users first, then registrars, then elements.
    lanes: BTreeSet<Host>,
    events: Vec<Entry>,
    spans: Vec<Span>,
    /// What is wrong with a host, and since when.
    ailing: BTreeMap<Host, (Instant, Fault)>,
    /// Marks that a pool user has set on an element, by their spans.
    marks: BTreeMap<(Host, Host), usize>,
    /// Sessions without an element, by their user and themselves.
    searches: BTreeMap<(Host, asap_pu::SessionId), Instant>,
    now: Option<Instant>,
}

/// A moment.
#[derive(Debug)]
struct Entry {
    at: Instant,
    kind: Kind,
    host: Host,
    with: Option<Host>,
    words: String,
    /// Whether an arrow leads away from the host.
    is_away: bool,
}

/// A stretch of time.
#[derive(Debug)]
struct Span {
    kind: Kind,
    host: Host,
    from: Instant,
    to: Instant,
    words: String,
}

impl Timeline {
    /// Takes in what happened.
    pub(crate) fn record(&mut self, record: &Record<'_>) {
        let &Record { at, host, with, what, .. } = record;
        self.now = Some(at);
        self.lanes.extend([host].into_iter().chain(with));
        let (kind, is_away) = match what {
            What::SendsControl(_) => (Kind::Asap, true),
            What::GetsControl(_) | What::GetsStream(_) => (Kind::Asap, false),
            What::SendsData(..) => (Kind::Data, true),
            What::GetsData(_) => (Kind::Data, false),
            What::Opens | What::Closes => (Kind::Channel, true),
            What::Told(event) => (kind_of(event), false),
            What::Notes(note) => {
                self.note(host, at, &note.what);
                (Kind::Reason, false)
            }
            What::Joins(_) | What::Leaves(_) | What::Unlisted(_) | What::Announces(_) => {
                (Kind::Pool, false)
            }
            What::Fails(fault) => {
                self.heal(host, at);
                self.ailing.insert(host, (at, fault));
                (Kind::Failure, false)
            }
            What::Heals => {
                self.heal(host, at);
                (Kind::Failure, false)
            }
            What::Severed | What::Mended | What::Moves(_) => (Kind::Failure, true),
            What::Wakes => return,
            _ => (Kind::Channel, false),
        };
        self.events.push(Entry { at, kind, host, with, words: what.to_string(), is_away });
    }

    /// Without the hosts that no pool user had to do with.
    #[allow(dead_code, reason = "only some simulations have too many hosts for a page")]
    pub(crate) fn of_those_called(mut self) -> Self {
        let called: BTreeSet<_> = self.events.iter().filter_map(|entry| entry.with).collect();
        let matters = |host: &Host| matches!(host, Host::User(_)) || called.contains(host);
        self.lanes.retain(matters);
        self.events.retain(|entry| matters(&entry.host));
        self.spans.retain(|span| matters(&span.host));
        self.ailing.retain(|host, _| matters(host));
        self
    }

    /// What is wrong with a host ends here.
    fn heal(&mut self, host: Host, at: Instant) {
        if let Some((from, fault)) = self.ailing.remove(&host) {
            let words = format!("{fault:?}");
            self.spans.push(Span { kind: Kind::Failure, host, from, to: at, words });
        }
    }

    fn note(&mut self, user: Host, at: Instant, what: &NoteKind) {
        match what {
            NoteKind::ElementMarked { element, until, .. } => {
                let (host, words) = (Host::from(*element), format!("marked by {user}"));
                self.marks.insert((user, host), self.spans.len());
                self.spans.push(Span { kind: Kind::Mark, host, from: at, to: *until, words });
            }
            NoteKind::MarkEnded { element, .. } => {
                if let Some(mark) = self.marks.remove(&(user, Host::from(*element))) {
                    self.spans[mark].to = at;
                }
            }
            NoteKind::FailoverBegan { session, .. } => {
                self.searches.entry((user, *session)).or_insert(at);
            }
            NoteKind::FailedOver { session, .. } | NoteKind::SessionEnded { session, .. } => {
                if let Some(from) = self.searches.remove(&(user, *session)) {
                    let words = format!("{what}");
                    self.spans.push(Span { kind: Kind::Failover, host: user, from, to: at, words });
                }
            }
            _ => {}
        }
    }

    /// The page, with another drawing above if there is one.
    pub(crate) fn page(mut self, title: &str, note: &str, drawing: &str) -> String {
        let now = self.now.unwrap_or(Instant::EPOCH);
        for host in self.ailing.keys().copied().collect::<Vec<_>>() {
            self.heal(host, now);
        }
        let content = format!(
            "{drawing}<header><h1>{title}</h1><span class='note'>{note}</span></header>\n\
             <div id='controls'><span id='kinds'></span>\n\
             <input id='find' type='search' placeholder='only what says …'>\n\
             <button id='all'>all of it</button> <span id='count' class='note'></span></div>\n\
             <div id='lanes'><canvas id='canvas'></canvas></div><div id='tip'></div>\n\
             <div class='note'>Wheel: zoom. Drag, arrows: move. Click: the record. An arrow stands where a pool \
             user sent or got a message. Over a lane: failures (high), marks that pool users set (below), \
             failovers (above).</div>\n\
             <div id='list'><table><tbody id='rows'></tbody></table></div>\n\
             <script>\nconst data = {};\n{}</script>\n",
            self.data(now),
            include_str!("timeline.js")
        );
        page(title, &content)
    }

    /// Everything as JSON.
    fn data(&self, now: Instant) -> String {
        let lane = |host: Host| self.lanes.iter().position(|other| *other == host);
        let lane = |host: Host| lane(host).map_or(-1, |lane| lane as i64);
        let lanes: Vec<_> = self.lanes.iter().map(|host| text(&host.to_string())).collect();
        let kinds = KINDS.map(|(name, color)| format!("[{},{}]", text(name), text(color)));
        let mut out = String::new();
        _ = write!(out, "{{\"lanes\":[{}],\"kinds\":[{}]", lanes.join(","), kinds.join(","));
        out.push_str(",\"events\":[");
        for (nth, entry) in self.events.iter().enumerate() {
            let Entry { at, kind, host, with, words, is_away } = entry;
            let (comma, kind) = (if nth == 0 { "" } else { "," }, *kind as usize);
            let (at, host, with) = (seconds(*at), lane(*host), with.map_or(-1, lane));
            let words = text(words);
            _ = write!(out, "{comma}\n[{at},{kind},{host},{with},{words},{is_away}]");
        }
        out.push_str("],\"spans\":[");
        for (nth, span) in self.spans.iter().enumerate() {
            let Span { kind, host, from, to, words } = span;
            let (comma, kind) = (if nth == 0 { "" } else { "," }, *kind as usize);
            let (host, from, to) = (lane(*host), seconds(*from), seconds(now.min(*to)));
            let words = text(words);
            _ = write!(out, "{comma}\n[{kind},{host},{from},{to},{words}]");
        }
        out.push_str("]}");
        out
    }
}

/// What happens to a message in the end is its fate.
fn kind_of(event: &Event) -> Kind {
    match event {
        Event::Sent { .. } | Event::Returned { .. } | Event::Lost { .. } => Kind::Fate,
        _ => Kind::Event,
    }
}

fn seconds(at: Instant) -> f64 {
    let since: Duration = at.since(Instant::EPOCH);
    since.as_secs_f64()
}

/// A string of JSON that can stand in a script.
fn text(words: &str) -> String {
    let mut out = String::from("\"");
    for letter in words.chars() {
        match letter {
            '"' | '\\' => _ = write!(out, "\\{letter}"),
            // The end of a script, where it is none, and what ends a line for some.
            '<' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}
