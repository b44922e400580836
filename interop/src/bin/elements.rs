//! Pool elements to order: registers any number of them with a real registrar, with any policy, and
//! answers its keep-alives as long as it runs. They serve nobody.
//!
//! `elements REGISTRAR OWN HANDLE,IDENTIFIER,POLICY[,VALUE]...` where `REGISTRAR` and `OWN` are
//! `ADDRESS,...:PORT` and numbers may be hexadecimal. One line tells of each registration.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use std::{env, io, thread};

use asap_pu::wire::{
    ASAP_PPID, Body, Message, ParameterType, PeIdentifier, Policy, PolicyType, PoolElement,
    PoolHandle, Transport, TransportUse,
};
use asap_pu_tokio::sctp::{Association, Incoming};

/// Real registrars take the registration's life for milliseconds.
const LIFE: i32 = 300_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = env::args().skip(1).collect();
    let [registrar, own, elements @ ..] = &args[..] else {
        return Err("usage: elements REGISTRAR OWN HANDLE,IDENTIFIER,POLICY[,VALUE]...".into());
    };
    let ((port, addresses), own) = (parse(registrar)?, parse(own)?);
    let at: Vec<_> = addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
    let mut association = Association::connect(&at)?;
    let mut buffer = vec![0; 0x1_0000];
    loop {
        match association.receive(&mut buffer) {
            Ok(Incoming::Up) => {
                for element in elements {
                    let (handle, element) = element_of(element, &own)?;
                    send(&association, Message::registration(handle, element))?;
                }
            }
            Ok(Incoming::Message { ppid: ASAP_PPID, data }) => {
                if let Some(answer) = answer(&data)? {
                    send(&association, answer)?;
                }
            }
            Ok(Incoming::Lost | Incoming::Ended) => return Err("the registrar is gone".into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn send(association: &Association, message: Message) -> Result<(), Box<dyn Error>> {
    let bytes = message.to_bytes()?;
    while let Err(error) = association.send(&bytes, ASAP_PPID, 0, false) {
        if error.kind() != io::ErrorKind::WouldBlock {
            return Err(error.into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// What an element says to a message of its registrar.
fn answer(bytes: &[u8]) -> Result<Option<Message>, Box<dyn Error>> {
    let message = Message::decode(bytes)?;
    Ok(match message.body {
        Body::RegistrationResponse { rejected, handle, identifier, causes, .. } => {
            let outcome = if rejected { "refused" } else { "registered" };
            println!("{outcome} {handle} {identifier} {causes:?}");
            None
        }
        // Real registrars name the element that they mean.
        Body::EndpointKeepAlive { handle, .. } => {
            let named = message.extra.iter().find(|p| p.parameter == ParameterType::PE_IDENTIFIER);
            let identifier = named.and_then(|p| p.value[..].try_into().ok());
            let identifier = PeIdentifier::new(identifier.map_or(0, u32::from_be_bytes));
            Some(Message::endpoint_keep_alive_ack(handle, identifier))
        }
        _ => None,
    })
}

fn element_of(
    text: &str,
    (port, addresses): &(u16, Vec<IpAddr>),
) -> Result<(PoolHandle, PoolElement), Box<dyn Error>> {
    let mut fields = text.split(',');
    let handle = fields.next().ok_or("no handle")?;
    let numbers: Vec<_> = fields.map(number).collect::<Result<_, _>>()?;
    let [identifier, policy, values @ ..] = &numbers[..] else {
        return Err(format!("{text}: no identifier and policy").into());
    };
    let at = Transport::sctp(*port, TransportUse::DATA_ONLY, addresses.iter().copied());
    let policy = policy_of(PolicyType::new(*policy), values);
    let mut element = PoolElement::new(PeIdentifier::new(*identifier), at, policy);
    element.registration_life = LIFE;
    Ok((handle.into(), element))
}

fn policy_of(policy: PolicyType, values: &[u32]) -> Policy {
    let value = |n: usize| values.get(n).copied().unwrap_or(0);
    let (load, degradation) = (value(0), value(1));
    match policy {
        PolicyType::ROUND_ROBIN => Policy::RoundRobin,
        PolicyType::WEIGHTED_ROUND_ROBIN => Policy::WeightedRoundRobin { weight: value(0) },
        PolicyType::RANDOM => Policy::Random,
        PolicyType::WEIGHTED_RANDOM => Policy::WeightedRandom { weight: value(0) },
        PolicyType::PRIORITY => Policy::Priority { priority: value(0) },
        PolicyType::LEAST_USED => Policy::LeastUsed { load },
        PolicyType::LEAST_USED_DEGRADATION => Policy::LeastUsedDegradation { load, degradation },
        PolicyType::PRIORITY_LEAST_USED => Policy::PriorityLeastUsed { load, degradation },
        PolicyType::RANDOMIZED_LEAST_USED => Policy::RandomizedLeastUsed { load },
        policy => {
            let values: Vec<_> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
            Policy::Other { policy, values: values.into() }
        }
    }
}

/// `ADDRESS,...:PORT`.
fn parse(text: &str) -> Result<(u16, Vec<IpAddr>), Box<dyn Error>> {
    let (addresses, port) = text.rsplit_once(':').ok_or("no port")?;
    let addresses = addresses.split(',').map(str::parse).collect::<Result<_, _>>()?;
    Ok((port.parse()?, addresses))
}

fn number(text: &str) -> Result<u32, Box<dyn Error>> {
    Ok(match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16)?,
        None => text.parse()?,
    })
}
