//! The picture: who said what to whom, a line each, as the pool user saw it.
//!
//! Peers have names instead of addresses, so that two runs differ in their times only.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;

use asap_pu::wire::{Body, Message, PeIdentifier, Policy, PoolElement, StreamDecoder, Transport};
use asap_pu::{Action, ChannelId, Event, Instant, LossReason, Note, NoteKind, PassedOver, Payload};

use super::driver::Input;
use super::frame::Frame;

/// The names of the lanes, by the abbreviations of the RFCs.
const LANES: [&str; 6] = ["app", "PU", "PR", "PE a", "PE b", "PE c"];

/// The width of a lane, and of the time in front of the first.
const WIDTH: usize = 7;

/// Who takes part, by the place from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane(usize);

/// The lanes in one line.
type Row = [char; WIDTH * LANES.len()];

/// A peer in the picture: its lane and its name.
pub(crate) type Party = (Lane, String);

/// Draws while things happen.
pub(crate) struct Ladder<'a> {
    out: &'a mut dyn Write,
    colour: bool,
    parties: BTreeMap<SocketAddr, Party>,
    channels: BTreeMap<ChannelId, Party>,
    /// Holds what the registrar sent of a message that is not complete.
    stream: StreamDecoder,
}

/// How something is shown on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Strong,
    Faint,
    Trouble,
    Data,
    Asap,
}

impl Lane {
    pub(crate) const APPLICATION: Self = Self(0);
    pub(crate) const POOL_USER: Self = Self(1);
    pub(crate) const REGISTRAR: Self = Self(2);

    /// The lane of an element; they are numbered from 0xa.
    pub(crate) const fn element(identifier: PeIdentifier) -> Self {
        Self(identifier.get() as usize - 0xa + 3)
    }

    const fn column(self) -> usize {
        self.0 * WIDTH + WIDTH / 2
    }
}

/// What happens at the pool user.
impl<'a> Ladder<'a> {
    /// A picture of the pool user and these peers.
    pub(crate) fn new(
        out: &'a mut dyn Write,
        colour: bool,
        parties: BTreeMap<SocketAddr, Party>,
    ) -> Self {
        let stream = StreamDecoder::new(usize::MAX);
        Self { out, colour, parties, channels: BTreeMap::new(), stream }
    }

    /// What there is to see.
    pub(crate) fn title(&mut self, seed: u64) {
        self.print(Tone::Strong, &format!("Reliable Server Pooling on this machine, seed {seed}"));
        let legend = "\n\
            app   the application\n\
            PU    the pool user: this crate and its driver\n\
            PR    pool registrars, of which one is alive\n\
            PE    the pool elements, which count requests and keep the count in a cookie";
        self.print(Tone::Plain, legend);
    }

    /// A new part of the story.
    pub(crate) fn chapter(&mut self, title: &str) {
        self.print(Tone::Strong, &format!("\n{title}"));
        let names: String = LANES.iter().map(|name| format!("{name:^WIDTH$}")).collect();
        self.print(Tone::Faint, &format!("{:WIDTH$}{names}", ""));
    }

    /// The application calls the pool user.
    pub(crate) fn command(&mut self, now: Instant, call: &str, detail: &str) {
        self.rung(now, Lane::APPLICATION, Lane::POOL_USER, Tone::Plain, call, detail);
    }

    /// The pool user wants something done.
    pub(crate) fn action(&mut self, now: Instant, action: &Action) {
        match action {
            Action::Open { channel, to, .. } => {
                let party = self.party(to);
                self.channels.insert(*channel, party.clone());
                self.rung(now, Lane::POOL_USER, party.0, Tone::Plain, "open channel", &party.1);
            }
            Action::Send { channel, payload, .. } => {
                let Some((lane, _)) = self.channels.get(channel).cloned() else { return };
                match payload {
                    Payload::Control(message) => {
                        self.message(now, Lane::POOL_USER, lane, message);
                    }
                    Payload::Data { data, .. } => {
                        let text = text(data);
                        self.rung(now, Lane::APPLICATION, lane, Tone::Data, "data", &text);
                    }
                    _ => {}
                }
            }
            Action::Close { channel, .. } => {
                let Some((lane, name)) = self.channels.remove(channel) else { return };
                self.rung(now, Lane::POOL_USER, lane, Tone::Plain, "close channel", &name);
            }
            _ => {}
        }
    }

    /// Something came on a channel. Data shows when the application reads it, and what becomes of the
    /// channel when the pool user notes it.
    pub(crate) fn input(&mut self, now: Instant, channel: ChannelId, input: &Input) {
        let Some((lane, _)) = self.channels.get(&channel).cloned() else { return };
        match input {
            Input::Bytes(bytes) => {
                let (mut rest, mut messages) = (&bytes[..], Vec::new());
                while let Ok(Some(message)) = self.stream.next(&mut rest) {
                    messages.push(message.to_vec());
                }
                for message in messages {
                    self.message(now, lane, Lane::POOL_USER, &message);
                }
            }
            Input::Frame(Frame::Control(message)) => {
                self.message(now, lane, Lane::POOL_USER, message);
            }
            Input::Frame(Frame::Data(_)) | Input::Dialled(_) | Input::Ended(_) => {}
        }
    }

    /// The pool user has decided something, or knows what became of a channel.
    pub(crate) fn note(&mut self, note: &Note) {
        let (tone, what, detail) = match &note.what {
            NoteKind::ChannelUp { channel, .. } => {
                return self.channel(note.at, *channel, Tone::Plain, "channel up");
            }
            NoteKind::ChannelLost { channel, reason: LossReason::GivenUp, .. } => {
                let name = self.channels.get(channel).map(|(_, name)| name.clone());
                (Tone::Trouble, "gives up", name.unwrap_or_default())
            }
            NoteKind::ChannelLost { channel, reason, .. } => {
                let what = match reason {
                    LossReason::Refused => "refused",
                    LossReason::Closed => "channel closed",
                    _ => "channel broke",
                };
                return self.channel(note.at, *channel, Tone::Trouble, what);
            }
            NoteKind::HuntRound { round, .. } => {
                (Tone::Plain, "hunts", format!("for a home registrar, round {round}"))
            }
            NoteKind::ElementMarked { element, .. } => {
                (Tone::Trouble, "marks", format!("{} as unreachable", name(Some(*element))))
            }
            NoteKind::ElementPassedOver { element, reason, .. } => {
                let why = match reason {
                    PassedOver::Marked { .. } => "it is marked".into(),
                    other => other.to_string(),
                };
                (Tone::Plain, "passes over", format!("{}: {why}", name(Some(*element))))
            }
            NoteKind::MessagesPutBack { more, .. } => {
                (Tone::Plain, "puts back", format!("what waits for an answer ({})", more + 1))
            }
            NoteKind::PoolUnknown { handle, .. } => {
                (Tone::Trouble, "hears", format!("that there is no pool {handle:?}"))
            }
            _ => return,
        };
        self.decision(note.at, tone, what, &detail);
    }

    /// The application is told something.
    pub(crate) fn event(&mut self, now: Instant, event: &Event) {
        let mut from = Lane::POOL_USER;
        let (tone, what, detail) = match event {
            Event::RegistrarFound { transport, .. } => {
                (Tone::Plain, "RegistrarFound", self.party(transport).1)
            }
            Event::ResolutionFailed { error, .. } => {
                (Tone::Trouble, "ResolutionFailed", error.to_string())
            }
            Event::Connected { element, .. } => (Tone::Plain, "Connected", name(*element)),
            Event::ElementLost { element, .. } => (Tone::Trouble, "ElementLost", name(*element)),
            Event::FailedOver { from, to, cookie_echoed, .. } => {
                let cookie = if *cookie_echoed { "the cookie went ahead" } else { "no cookie" };
                let detail = format!("{} → {}, {cookie}", name(*from), name(Some(*to)));
                (Tone::Plain, "FailedOver", detail)
            }
            Event::Received { element: Some(element), data, .. } => {
                from = Lane::element(*element);
                (Tone::Data, "data", text(data))
            }
            Event::SessionEnded { error: None, .. } => {
                (Tone::Plain, "SessionEnded", "as asked".into())
            }
            other => (Tone::Trouble, "event", format!("{other:?}")),
        };
        self.rung(now, from, Lane::APPLICATION, tone, what, &detail);
    }
}

/// How it is drawn.
impl Ladder<'_> {
    /// A line of its own.
    pub(crate) fn print(&mut self, tone: Tone, line: &str) {
        let line = tone.paint(self.colour, line.trim_end());
        // Whoever closed the other end has seen enough.
        let _ = writeln!(self.out, "{line}");
    }

    fn message(&mut self, now: Instant, from: Lane, to: Lane, message: &[u8]) {
        match Message::decode(message) {
            Ok(message) => {
                let name = message.message_type().name().unwrap_or("unknown message");
                self.rung(now, from, to, Tone::Asap, name, &fields(&message));
            }
            Err(error) => {
                self.rung(now, from, to, Tone::Trouble, "not ASAP", &error.to_string());
            }
        }
    }

    /// Something became of a channel.
    fn channel(&mut self, now: Instant, channel: ChannelId, tone: Tone, what: &str) {
        let Some((lane, name)) = self.channels.get(&channel).cloned() else { return };
        self.rung(now, lane, Lane::POOL_USER, tone, what, &name);
    }

    /// What the pool user does all by itself.
    fn decision(&mut self, now: Instant, tone: Tone, what: &str, detail: &str) {
        let mut row = Self::row();
        row[Lane::POOL_USER.column()] = '●';
        self.line(now, &row, tone, what, detail);
    }

    fn rung(&mut self, now: Instant, from: Lane, to: Lane, tone: Tone, what: &str, detail: &str) {
        let mut row = Self::row();
        let (first, last) = (from.column().min(to.column()), from.column().max(to.column()));
        for place in &mut row[first + 1..last] {
            *place = if *place == '│' { '┼' } else { '─' };
        }
        if from < to {
            (row[first], row[last - 1]) = ('├', '▶');
        } else {
            (row[first + 1], row[last]) = ('◀', '┤');
        }
        self.line(now, &row, tone, what, detail);
    }

    /// The lanes, with nothing between them.
    fn row() -> Row {
        let mut row = [' '; WIDTH * LANES.len()];
        for lane in 0..LANES.len() {
            row[Lane(lane).column()] = '│';
        }
        row
    }

    fn line(&mut self, now: Instant, row: &Row, tone: Tone, what: &str, detail: &str) {
        let time = format!("{:>6.3} ", now.since(Instant::EPOCH).as_secs_f64());
        let line = [
            Tone::Faint.paint(self.colour, &time),
            Tone::Faint.paint(self.colour, &String::from_iter(row)),
            tone.paint(self.colour, what),
        ];
        self.print(Tone::Plain, &format!("{}  {detail}", line.concat()));
    }

    fn party(&self, to: &Transport) -> Party {
        let known = to.socket_addrs().find_map(|at| self.parties.get(&at).cloned());
        known.unwrap_or((Lane::REGISTRAR, "somebody".into()))
    }
}

impl Tone {
    fn paint(self, colour: bool, text: &str) -> String {
        let code = match self {
            Self::Plain => return text.into(),
            _ if !colour => return text.into(),
            Self::Strong => 1,
            Self::Faint => 2,
            Self::Trouble => 31,
            Self::Data => 32,
            Self::Asap => 36,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// The name of an element in the picture.
pub(crate) fn name(element: Option<PeIdentifier>) -> String {
    element.map_or("nobody".into(), |element| format!("element {:x}", element.get()))
}

/// What a message says, in short.
fn fields(message: &Message) -> String {
    match &message.body {
        Body::HandleResolution { handle, wanted: Some(wanted), .. } => {
            format!("{handle:?}, up to {wanted} elements")
        }
        Body::HandleResolutionResponse { causes: Some(causes), .. } => {
            let names = causes.iter().map(|cause| cause.code.name().unwrap_or("unknown"));
            names.collect::<Vec<_>>().join(", ")
        }
        Body::HandleResolutionResponse { policy: Some(policy), elements, .. } => {
            let name = policy.policy.name().unwrap_or("unknown policy");
            format!("{name}: {}", elements.iter().map(listed).collect::<Vec<_>>().join(", "))
        }
        Body::EndpointUnreachable { identifier, .. } => name(Some(*identifier)),
        Body::Cookie { cookie, .. } | Body::CookieEcho { cookie, .. } => text(cookie),
        _ => String::new(),
    }
}

fn listed(element: &PoolElement) -> String {
    let weight = match element.policy {
        Policy::WeightedRandom { weight } => weight,
        _ => 1,
    };
    format!("{:x}×{weight}", element.identifier.get())
}

fn text(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}
