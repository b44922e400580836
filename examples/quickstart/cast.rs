//! Everybody but the application and its pool user.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::mpsc::{self, Sender};

use asap_pu::wire::{PeIdentifier, Policy, PoolElement, Transport};

use super::element::{Element, Fate};
use super::ladder::{Lane, Party, name};
use super::peer::Peer;
use super::registrar::Registrar;

/// The pool.
pub(crate) const POOL: &str = "counter";

/// Its elements, and how much each of them can bear.
const ELEMENTS: [(PeIdentifier, u32); 3] =
    [(PeIdentifier::new(0xa), 3), (PeIdentifier::new(0xb), 2), (PeIdentifier::new(0xc), 1)];

/// Two registrars that are dead: nobody listens on the first ports there are.
pub(crate) const DEAD: [SocketAddr; 2] = [loopback(1), loopback(2)];

/// The peers at work.
pub(crate) struct Cast {
    pub(crate) registrar: Peer<Registrar>,
    elements: BTreeMap<PeIdentifier, (Peer<Element>, Sender<Fate>)>,
}

impl Cast {
    /// Starts everybody.
    pub(crate) fn assemble() -> io::Result<Self> {
        let (mut elements, mut listed) = (BTreeMap::new(), Vec::new());
        for (identifier, weight) in ELEMENTS {
            let (fate, fates) = mpsc::channel();
            let element = Peer::start(Element::new(fates))?;
            let transport = Transport::tcp(element.address);
            listed.push(PoolElement::new(identifier, transport, Policy::WeightedRandom { weight }));
            elements.insert(identifier, (element, fate));
        }
        let registrar = Peer::start(Registrar::new(POOL, listed))?;
        Ok(Self { registrar, elements })
    }

    /// Where everybody is, and by what name the ladder knows them.
    pub(crate) fn parties(&self) -> BTreeMap<SocketAddr, Party> {
        let registrars = DEAD.into_iter().chain([self.registrar.address]).zip(1..);
        let registrars =
            registrars.map(|(at, number)| (at, (Lane::REGISTRAR, format!("registrar {number}"))));
        let elements = self.elements.iter().map(|(identifier, (element, _))| {
            (element.address, (Lane::element(*identifier), name(Some(*identifier))))
        });
        registrars.chain(elements).collect()
    }

    /// Lets an element meet its fate at its next message.
    pub(crate) fn strike(&self, element: PeIdentifier, fate: Fate) {
        // One that is dead already has nothing to fear.
        let _ = self.elements[&element].1.send(fate);
    }

    /// Ends everybody, and returns them with what they saw.
    pub(crate) fn dismiss(self) -> io::Result<(Registrar, BTreeMap<PeIdentifier, Element>)> {
        let elements = self.elements.into_iter();
        let elements: io::Result<_> =
            elements.map(|(identifier, (element, _))| Ok((identifier, element.stop()?))).collect();
        Ok((self.registrar.stop()?, elements?))
    }
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
