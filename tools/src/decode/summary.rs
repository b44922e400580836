//! A message on one line: its name, and what somebody who follows a conversation wants to know.

use std::fmt;

use asap_pu::wire::{Body, Cause, Message, PeIdentifier, PoolElement, PoolHandle};

/// A cookie is shown up to this many bytes.
const COOKIE_SHOWN: usize = 24;
/// The identifiers of so many elements are listed.
const ELEMENTS_SHOWN: usize = 4;

/// Shows a message on one line.
pub(crate) struct Summary<'a>(pub(crate) &'a Message);

struct Of<'a>(&'a PoolHandle, PeIdentifier);
struct Elements<'a>(&'a [PoolElement]);
struct Causes<'a>(&'a Option<Vec<Cause>>);
struct Cookie<'a>(&'a [u8]);
/// Words that are said if their flag is set.
struct If(bool, &'static str);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.message_type().name().unwrap_or_default();
        write!(f, "{:<26} ", name.trim_start_matches("ASAP_"))?;
        match &self.0.body {
            Body::Registration { handle, element, .. } => {
                let PoolElement { identifier, transport, policy, .. } = element;
                write!(f, "{} at {transport}; {policy}", Of(handle, *identifier))
            }
            Body::RegistrationResponse { rejected, handle, identifier, causes, .. } => {
                let of = Of(handle, *identifier);
                write!(f, "{of}{}{}", If(*rejected, ", rejected"), Causes(causes))
            }
            Body::DeregistrationResponse { handle, identifier, causes, .. } => {
                write!(f, "{}{}", Of(handle, *identifier), Causes(causes))
            }
            Body::HandleResolution { subscribe, handle, wanted, .. } => {
                write!(f, "{handle:?}")?;
                wanted.iter().try_for_each(|wanted| write!(f, ", {wanted} wanted"))?;
                write!(f, "{}", If(*subscribe, ", subscribe"))
            }
            Body::HandleResolutionResponse {
                updates, handle, policy, elements, causes, ..
            } => {
                write!(f, "{handle:?}")?;
                policy.iter().try_for_each(|it| match it.policy.name() {
                    Some(name) => write!(f, ", {name}"),
                    None => write!(f, ", policy {}", it.policy),
                })?;
                let updates = If(*updates, ", updates will come");
                write!(f, "{}{updates}{}", Elements(elements), Causes(causes))
            }
            Body::EndpointKeepAlive { home, server, handle, .. } => {
                write!(f, "{handle:?} by server {server}{}", If(*home, ", the new home"))
            }
            Body::Deregistration { handle, identifier, .. }
            | Body::EndpointKeepAliveAck { handle, identifier, .. }
            | Body::EndpointUnreachable { handle, identifier, .. } => {
                write!(f, "{}", Of(handle, *identifier))
            }
            Body::ServerAnnounce { server, transports, .. } => {
                write!(f, "server {server}")?;
                transports.iter().try_for_each(|transport| write!(f, ", {transport}"))
            }
            Body::Cookie { cookie, .. } | Body::CookieEcho { cookie, .. } => {
                write!(f, "{}", Cookie(cookie))
            }
            Body::BusinessCard { handle, elements, .. } => {
                write!(f, "{handle:?}{}", Elements(elements))
            }
            Body::Error { causes, .. } => {
                let causes: Vec<_> = causes.iter().map(ToString::to_string).collect();
                f.write_str(&causes.join(", "))
            }
            other => write!(f, "{other:?}"),
        }?;
        self.0.extra.iter().try_for_each(|extra| write!(f, " + {}", extra.parameter))
    }
}

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.0, self.1)
    }
}

impl fmt::Display for Elements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => return Ok(()),
            [_] => write!(f, ", 1 element:")?,
            elements => write!(f, ", {} elements:", elements.len())?,
        }
        let shown = self.0.iter().take(ELEMENTS_SHOWN);
        shown.into_iter().try_for_each(|element| write!(f, " {}", element.identifier))?;
        write!(f, "{}", If(self.0.len() > ELEMENTS_SHOWN, " ..."))
    }
}

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().flatten().try_for_each(|cause| write!(f, ", error: {cause}"))
    }
}

impl fmt::Display for Cookie<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..COOKIE_SHOWN).unwrap_or(self.0);
        write!(f, "{} bytes: \"{}\"", self.0.len(), shown.escape_ascii())?;
        write!(f, "{}", If(self.0.len() > COOKIE_SHOWN, " ..."))
    }
}

impl fmt::Display for If {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { self.1 } else { "" })
    }
}
