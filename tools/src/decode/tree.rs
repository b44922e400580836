//! A message with all its parameters, each with its offset and length:
//!
//! ```text
//!        0   52  ASAP_REGISTRATION (0x1)
//!        4    6    pool handle (0x9): "rr"
//!       12   40    pool element (0xa): 0x00000103, home 0x00000000, life 60000
//!       28   16      SCTP transport (0x4): port 7000, data plus control (0x1)
//!       36    8        IPv4 address (0x1): 10.0.0.13
//!       44    8      pool member selection policy (0x8): Round Robin
//! ```
//!
//! It follows the headers and does not ask whether a parameter may stand where it does. So a
//! malformed message is shown too, up to the header that leads nowhere.

use std::fmt;
use std::ops::Range;

use asap_pu::wire::{
    Cause, CauseCode, MessageType, Parameter, ParameterType, PeIdentifier, PolicyType,
    ServerIdentifier, TransportUse,
};

/// The length of every header (RFC 5354 §3, §4).
const HEADER: usize = 4;
/// A message, an element, a transport, an address: nothing that has a meaning lies deeper.
const MAX_DEPTH: usize = 4;
/// So many bytes without a meaning are shown.
const HEX_SHOWN: usize = 32;

/// The structure of a message.
pub(crate) struct Tree<'a> {
    message: &'a [u8],
    rows: Vec<Row>,
}

struct Row {
    offset: usize,
    length: usize,
    depth: usize,
    text: String,
}

/// The first of some bytes, in hex.
struct Hex<'a>(&'a [u8]);

impl<'a> Tree<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        let mut tree = Self { message, rows: Vec::new() };
        // Where it leads nowhere, there is nothing more to show.
        let _: Option<()> = tree.message();
        tree
    }

    fn message(&mut self) -> Option<()> {
        let &[kind, flags, l0, l1] = self.message.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let kind = MessageType::new(kind);
        let server = match kind {
            MessageType::ENDPOINT_KEEP_ALIVE | MessageType::SERVER_ANNOUNCE => {
                self.message.get(HEADER..).and_then(|value| word(value, 0))
            }
            _ => None,
        };
        let mut text = kind.to_string();
        if flags != 0 {
            text += &format!(", flags {flags:#04x}");
        }
        if let Some(server) = server {
            text += &format!(", server {}", ServerIdentifier::new(server));
        }
        self.rows.push(Row { offset: 0, length, depth: 0, text });
        let parameters = HEADER + if server.is_some() { 4 } else { 0 };
        self.each(parameters..length.min(self.message.len()), 1, Self::parameter)
    }

    /// Goes through the headers in a range; `None` if one leads out of it.
    fn each(
        &mut self,
        range: Range<usize>,
        depth: usize,
        show: fn(&mut Self, usize, &'a [u8], usize) -> Option<()>,
    ) -> Option<()> {
        let container = self.message.get(..range.end)?;
        let mut offset = range.start;
        while offset < range.end {
            let here = &container[offset..];
            let &[_, _, l0, l1] = here.first_chunk()?;
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            let tlv = here.get(..length).filter(|tlv| tlv.len() >= HEADER)?;
            show(self, offset, tlv, depth)?;
            offset += length.next_multiple_of(4);
        }
        Some(())
    }

    fn parameter(&mut self, offset: usize, tlv: &'a [u8], depth: usize) -> Option<()> {
        let kind = ParameterType::new(code(tlv)?);
        let length = tlv.len();
        let container = if depth < MAX_DEPTH { fields(kind, &tlv[HEADER..]) } else { None };
        let text = match &container {
            Some((0, _)) => kind.to_string(),
            Some((_, fields)) => format!("{kind}: {fields}"),
            None => format!("{kind}: {}", leaf(kind, tlv)),
        };
        self.rows.push(Row { offset, length, depth, text });
        let Some((fields, _)) = container else { return Some(()) };
        let nested = offset + HEADER + fields..offset + length;
        match kind {
            ParameterType::OPERATION_ERROR => self.each(nested, depth + 1, Self::cause),
            _ => self.each(nested, depth + 1, Self::parameter),
        }
    }

    fn cause(&mut self, offset: usize, tlv: &'a [u8], depth: usize) -> Option<()> {
        let cause = Cause::new(CauseCode::new(code(tlv)?), &tlv[HEADER..]);
        let mut text = cause.to_string();
        if !cause.info.is_empty() {
            text += &format!(": {}", Hex(cause.info));
        }
        self.rows.push(Row { offset, length: tlv.len(), depth, text });
        Some(())
    }
}

impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows.iter().try_for_each(|Row { offset, length, depth, text }| {
            writeln!(f, "    {offset:>5} {length:>5}  {:1$}{text}", "", depth * 2)
        })
    }
}

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> =
            self.0.iter().take(HEX_SHOWN).map(|byte| format!("{byte:02x}")).collect();
        f.write_str(if self.0.is_empty() { "empty" } else { "" })?;
        f.write_str(&shown.join(" "))?;
        f.write_str(if self.0.len() > HEX_SHOWN { " ..." } else { "" })
    }
}

/// What stands in front of the parameters in a container, in bytes and in words; `None` if it is
/// not a container, or too short to be one.
fn fields(kind: ParameterType, value: &[u8]) -> Option<(usize, String)> {
    let port = || word(value, 0).map(|word| word >> 16);
    Some(match kind {
        ParameterType::SCTP_TRANSPORT => {
            let [_, _, u0, u1] = *value.first_chunk()?;
            let transport_use = TransportUse::new(u16::from_be_bytes([u0, u1]));
            (4, format!("port {}, {transport_use}", port()?))
        }
        ParameterType::TCP_TRANSPORT
        | ParameterType::UDP_TRANSPORT
        | ParameterType::UDP_LITE_TRANSPORT => (4, format!("port {}", port()?)),
        ParameterType::DCCP_TRANSPORT => {
            (8, format!("port {}, service code {:#010x}", port()?, word(value, 1)?))
        }
        ParameterType::POOL_ELEMENT => {
            let identifier = PeIdentifier::new(word(value, 0)?);
            let home = ServerIdentifier::new(word(value, 1)?);
            let life = i32::from_be_bytes(word(value, 2)?.to_be_bytes());
            (12, format!("{identifier}, home {home}, life {life}"))
        }
        ParameterType::SERVER_INFORMATION => {
            (4, format!("server {}", ServerIdentifier::new(word(value, 0)?)))
        }
        ParameterType::OPERATION_ERROR => (0, String::new()),
        _ => return None,
    })
}

/// The value of a parameter that has no others in it.
fn leaf(kind: ParameterType, tlv: &[u8]) -> String {
    let value = &tlv[HEADER..];
    match Parameter::decode(tlv) {
        Ok(Parameter::Ipv4Address(address)) => address.to_string(),
        Ok(Parameter::Ipv6Address(address)) => address.to_string(),
        Ok(Parameter::Policy(policy)) => policy.to_string(),
        Ok(Parameter::PoolHandle(handle)) => format!("{handle:?}"),
        Ok(Parameter::PeIdentifier(identifier)) => identifier.to_string(),
        Ok(Parameter::PeChecksum(checksum)) => format!("{checksum:#06x}"),
        Ok(Parameter::ElementsWanted(wanted)) => wanted.to_string(),
        // A response may name its policy without values (RFC 5352 §2.2.6).
        Err(_) if kind == ParameterType::POLICY && value.len() == 4 => {
            word(value, 0).map(PolicyType::new).map(|policy| policy.to_string()).unwrap_or_default()
        }
        _ => Hex(value).to_string(),
    }
}

/// What the type of a parameter, or the code of a cause, is.
fn code(tlv: &[u8]) -> Option<u16> {
    tlv.first_chunk().copied().map(u16::from_be_bytes)
}

/// The number in the given group of four bytes.
fn word(value: &[u8], index: usize) -> Option<u32> {
    value.get(index * 4..)?.first_chunk().copied().map(u32::from_be_bytes)
}
