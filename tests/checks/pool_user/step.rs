//! What can happen to a pool user, told in few bytes.

use arbitrary::{Arbitrary, Result, Unstructured};
use asap_pu::wire::Protocol;
use asap_pu::{Authentication, CloseReason, Failover, Recipient};

/// One call, or a few that belong together. A number `n` or `m` says which one of those there are.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    // The application.
    Start,
    Resolve(Handle),
    Cancel(u8),
    Populate(Handle),
    Subscribe(Handle),
    Unsubscribe(Handle),
    Purge(Handle),
    PurgeAll,
    AddRegistrar(u8),
    RemoveRegistrar(u8),
    OpenSession {
        handle: Handle,
        hold: bool,
        choose: bool,
        element: Option<Element>,
    },
    OpenAt(Element),
    Accept {
        control: bool,
        protocol: Protocol,
    },
    Send {
        n: u8,
        failover: Failover,
        to: Recipient,
        receipt: bool,
        len: u8,
    },
    Withdraw {
        n: u8,
        m: u8,
    },
    FailElement {
        handle: Handle,
        failed: Element,
    },
    Move {
        n: u8,
        to: Option<Element>,
    },
    SetCookie {
        n: u8,
        len: u16,
    },
    ForgetCookie(u8),
    SetCard(List),
    Confirm {
        n: u8,
        m: u8,
    },
    GiveUp(u8),
    Resume(u8),
    Close(u8),
    Abort(u8),
    Select {
        handle: Handle,
        avoid: Element,
    },
    SelectSeveral {
        handle: Handle,
        wanted: u8,
    },
    FailOver {
        handle: Handle,
        failed: Element,
    },
    ReportAt {
        handle: Handle,
        failed: Element,
    },
    Trust {
        handle: Handle,
        element: Element,
    },
    ShutDown,

    /// All sides do what is expected of them, a few rounds long.
    Serve {
        fail: u8,
        list: List,
    },

    // The driver, within its rules.
    /// Answers every open that was asked for: where the bit is set it fails.
    Connect {
        fail: u8,
        authentication: Authentication,
        reason: CloseReason,
    },
    /// The end of a channel that is up; what was not delivered on it is given back or swallowed.
    Break {
        n: u8,
        reason: CloseReason,
        gives_back: bool,
        /// It does not end; messages come back all the same.
        stays: bool,
    },
    /// A message comes back while its channel lives.
    GiveBack {
        n: u8,
        m: u8,
    },
    Written(u8),
    Delivered(u8),
    // The driver, within its rules or not.
    Opened {
        n: u8,
        authentication: Authentication,
    },
    Closed {
        n: u8,
        reason: CloseReason,
    },
    /// Confirms what was confirmed, and what never was.
    Again {
        n: u8,
        m: u8,
        delivered: bool,
    },
    /// On a channel that is no more.
    TooLate {
        n: u8,
        m: u8,
        how: Confirmation,
    },

    // Registrars.
    Answer {
        n: u8,
        list: List,
        updates: bool,
        piecewise: bool,
    },
    Refuse {
        n: u8,
        unknown: bool,
    },
    Misunderstand {
        n: u8,
        parameter: bool,
    },
    Unasked {
        n: u8,
        handle: Handle,
        list: List,
        updates: bool,
    },
    KeepAlive {
        n: u8,
        home: bool,
    },
    Announce {
        n: u8,
        listed: bool,
    },

    // Pool elements.
    Cookie {
        n: u8,
        len: u16,
    },
    Card {
        n: u8,
        handle: Handle,
        list: List,
    },
    Echo {
        n: u8,
        len: u16,
    },
    Data {
        n: u8,
        len: u8,
    },

    // Anyone.
    /// What is well formed and of a kind that nobody knows.
    Unknown {
        n: u8,
        what: Unknown,
    },
    Control {
        n: u8,
        bytes: Vec<u8>,
    },
    Stream {
        n: u8,
        bytes: Vec<u8>,
    },

    // The clock.
    Wait,
    Jump(u16),
    /// From here on the application's clock is behind, or is right.
    Late(bool),

    // Outputs.
    PollAction,
    PollEvent,
    Settle,
}

/// What a driver may say of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confirmation {
    Written,
    Delivered,
    Unsent,
}

/// A kind of message or parameter that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    Message(u8),
    /// In a cookie.
    Parameter(u16),
    /// In an error, which is not answered whatever is in it.
    InError(u16),
}

/// A pool handle, some of which are no good.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handle(pub(super) &'static str);

/// A pool element, one of a few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element(pub(super) u8);

/// What a registrar lists for a pool: each with the way to reach it and a policy value.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) policy: u8,
    pub(crate) elements: Vec<(Element, Reach, u32)>,
}

/// How a pool element is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    Tcp,
    /// With a control channel.
    Sctp,
    /// Which the driver does not speak.
    Udp,
    /// Which the driver speaks at times, without an address.
    Opaque,
}

impl<'a> Arbitrary<'a> for Step {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.arbitrary::<u8>()? % 160 {
            0..2 => Self::Start,
            2..10 => Self::Resolve(u.arbitrary()?),
            10 => Self::Cancel(u.arbitrary()?),
            11 => Self::Populate(u.arbitrary()?),
            12..14 => Self::Subscribe(u.arbitrary()?),
            14 => Self::Unsubscribe(u.arbitrary()?),
            15 => Self::Purge(u.arbitrary()?),
            16 => rare(u)?,
            17 => Self::AddRegistrar(u.arbitrary()?),
            18..26 => {
                let (handle, options) = (u.arbitrary()?, u.arbitrary::<u8>()?);
                let element = if options & 4 > 0 { Some(u.arbitrary()?) } else { None };
                let (hold, choose) = (options & 1 > 0, options & 2 > 0);
                Self::OpenSession { handle, hold, choose, element }
            }
            26 => Self::OpenAt(u.arbitrary()?),
            27 => {
                let protocol = *u.choose(&[Protocol::Tcp, Protocol::Sctp, Protocol::Opaque])?;
                Self::Accept { control: u.arbitrary()?, protocol }
            }
            28..40 => {
                let (n, how, len) = (u.arbitrary()?, u.arbitrary::<u8>()?, u.arbitrary()?);
                let failover = match how % 4 {
                    0 => Failover::Never,
                    1 => Failover::Unsent,
                    2 => Failover::Undelivered,
                    _ => Failover::Unconfirmed,
                };
                let to = match how / 4 % 16 {
                    0 => Recipient::All,
                    1 => Recipient::AllAndSelf,
                    2 | 3 => Recipient::SameAsLast,
                    _ => Recipient::One,
                };
                Self::Send { n, failover, to, receipt: how >= 0xc0, len }
            }
            40..42 => Self::Move { n: u.arbitrary()?, to: u.arbitrary()? },
            42 => Self::SetCookie { n: u.arbitrary()?, len: u.arbitrary()? },
            43 => Self::ForgetCookie(u.arbitrary()?),
            44 => Self::SetCard(u.arbitrary()?),
            45..47 => Self::Confirm { n: u.arbitrary()?, m: u.arbitrary()? },
            47..49 => Self::GiveUp(u.arbitrary()?),
            49..51 => Self::Resume(u.arbitrary()?),
            51..53 => Self::Close(u.arbitrary()?),
            53 => Self::Abort(u.arbitrary()?),
            54..57 => Self::Select { handle: u.arbitrary()?, avoid: u.arbitrary()? },
            57 => Self::SelectSeveral { handle: u.arbitrary()?, wanted: u.arbitrary()? },
            58..60 => Self::FailOver { handle: u.arbitrary()?, failed: u.arbitrary()? },
            60 => Self::ReportAt { handle: u.arbitrary()?, failed: u.arbitrary()? },
            61 => Self::Trust { handle: u.arbitrary()?, element: u.arbitrary()? },
            62..70 => Self::Serve { fail: few(u)?, list: u.arbitrary()? },
            70..79 => {
                let (fail, authentication) = (few(u)?, authentication(u)?);
                Self::Connect { fail, authentication, reason: reason(u)? }
            }
            79..84 => {
                let (n, reason) = (u.arbitrary()?, reason(u)?);
                let how = u.arbitrary::<u8>()?;
                Self::Break { n, reason, gives_back: how & 1 > 0, stays: how & 7 == 7 }
            }
            84..89 => Self::Written(u.arbitrary()?),
            89..92 => Self::Delivered(u.arbitrary()?),
            92 => Self::Opened { n: u.arbitrary()?, authentication: authentication(u)? },
            93 => Self::Closed { n: u.arbitrary()?, reason: reason(u)? },
            94 => {
                let how = [Confirmation::Written, Confirmation::Delivered, Confirmation::Unsent];
                let (n, m) = (u.arbitrary()?, u.arbitrary()?);
                match u.arbitrary()? {
                    true => Self::TooLate { n, m, how: *u.choose(&how)? },
                    false => Self::Again { n, m, delivered: u.arbitrary()? },
                }
            }
            95..109 => {
                let (n, list, how) = (u.arbitrary()?, u.arbitrary()?, u.arbitrary::<u8>()?);
                Self::Answer { n, list, updates: how & 1 > 0, piecewise: how & 2 > 0 }
            }
            109 => Self::Refuse { n: u.arbitrary()?, unknown: u.arbitrary()? },
            110 => Self::Misunderstand { n: u.arbitrary()?, parameter: u.arbitrary()? },
            111 => {
                let (n, handle, list) = (u.arbitrary()?, u.arbitrary()?, u.arbitrary()?);
                Self::Unasked { n, handle, list, updates: u.arbitrary()? }
            }
            112 => Self::KeepAlive { n: u.arbitrary()?, home: u.arbitrary()? },
            113 => Self::Announce { n: u.arbitrary()?, listed: u.arbitrary()? },
            114..117 => Self::Cookie { n: u.arbitrary()?, len: u.arbitrary()? },
            117..119 => {
                Self::Card { n: u.arbitrary()?, handle: u.arbitrary()?, list: u.arbitrary()? }
            }
            119 => Self::Echo { n: u.arbitrary()?, len: u.arbitrary()? },
            120..123 => Self::Data { n: u.arbitrary()?, len: u.arbitrary()? },
            123 => Self::Control { n: u.arbitrary()?, bytes: bytes(u)? },
            124 => Self::Stream { n: u.arbitrary()?, bytes: bytes(u)? },
            125..132 => Self::Wait,
            132 => Self::Jump(u.arbitrary()?),
            133 => Self::Late(u.arbitrary()?),
            134..140 => Self::PollAction,
            140..144 => Self::PollEvent,
            144..146 => Self::Withdraw { n: u.arbitrary()?, m: u.arbitrary()? },
            146 => Self::FailElement { handle: u.arbitrary()?, failed: u.arbitrary()? },
            147..150 => Self::GiveBack { n: u.arbitrary()?, m: u.arbitrary()? },
            159 => Self::Unknown { n: u.arbitrary()?, what: u.arbitrary()? },
            _ => Self::Settle,
        })
    }
}

impl<'a> Arbitrary<'a> for Handle {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(match u.arbitrary::<u8>()? % 64 {
            0 => "",
            1 => "a handle that is longer than thirty-two bytes",
            2..20 => "b",
            _ => "a",
        }))
    }
}

impl<'a> Arbitrary<'a> for Unknown {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let told = u.arbitrary::<u8>()?;
        // What to do with it is in the upper two bits.
        let bits = told << 6;
        let parameter = u16::from_be_bytes([bits | 0x3f, 0xff]);
        Ok(match told >> 2 & 3 {
            0 => Self::Message(bits | 0x3f),
            1 => Self::InError(parameter),
            _ => Self::Parameter(parameter),
        })
    }
}

impl<'a> Arbitrary<'a> for Element {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(u.arbitrary::<u8>()? % 6))
    }
}

impl<'a> Arbitrary<'a> for List {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let head = u.arbitrary::<u8>()?;
        let element = |u: &mut Unstructured<'a>| {
            let told = u.arbitrary::<u8>()?;
            let reach = match told / 6 % 8 {
                0 => Reach::Udp,
                1 => Reach::Sctp,
                2 => Reach::Opaque,
                _ => Reach::Tcp,
            };
            Ok((Element(told % 6), reach, u32::from(told / 48)))
        };
        let elements = (0..head % 5).map(|_| element(u)).collect::<Result<_>>()?;
        Ok(Self { policy: head / 5 % 16, elements })
    }
}

/// What would end most runs if it came often.
fn rare(u: &mut Unstructured<'_>) -> Result<Step> {
    Ok(match u.arbitrary::<u8>()? {
        0..16 => Step::ShutDown,
        16..80 => Step::PurgeAll,
        80..160 => Step::RemoveRegistrar(u.arbitrary()?),
        160.. => Step::Settle,
    })
}

/// Bits, a quarter of them set.
fn few(u: &mut Unstructured<'_>) -> Result<u8> {
    Ok(u.arbitrary::<u8>()? & u.arbitrary::<u8>()?)
}

/// Whether the driver knows who is at the other end.
fn authentication(u: &mut Unstructured<'_>) -> Result<Authentication> {
    let verified = u.ratio(3, 4)?;
    Ok(if verified { Authentication::Verified } else { Authentication::None })
}

fn reason(u: &mut Unstructured<'_>) -> Result<CloseReason> {
    Ok(match u.arbitrary::<u8>()? {
        0..16 => CloseReason::Unauthenticated,
        16..80 => CloseReason::Closed,
        80..120 => CloseReason::Local,
        120.. => CloseReason::Failed,
    })
}

fn bytes(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let len = u.arbitrary_len::<u8>()?.min(60);
    Ok(u.bytes(len)?.to_vec())
}
