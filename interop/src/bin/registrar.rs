//! A registrar that misbehaves. What it does follows from the pool handle that it is asked for; in
//! most cases it does something wrong first and gives a proper answer afterwards, so that what is
//! asked is whether the pool user is still there to read it.
//!
//! `registrar ADDRESS:PORT`. One line tells of each message received.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use std::{env, io, mem, thread};

use asap_pu::wire::{
    ASAP_PPID, Body, Message, MessageType, PeIdentifier, Policy, PolicyType, PoolElement,
    Transport, TransportUse,
};
use asap_pu_tokio::sctp::{Association, Incoming};
use socket2::{Domain, Protocol, Socket, Type};

/// What is sent in answer to a resolution: messages with their payload protocol identifiers, or the
/// end of the association.
type Answer = Option<Vec<(u32, Vec<u8>)>>;

fn main() -> Result<(), Box<dyn Error>> {
    let at: SocketAddr = env::args().nth(1).ok_or("usage: registrar ADDRESS:PORT")?.parse()?;
    let listener = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::SCTP))?;
    listener.bind(&at.into())?;
    listener.listen(8)?;
    listener.set_nonblocking(true)?;
    let (mut users, mut hung_up) = (Vec::new(), false);
    let mut buffer = vec![0; 0x1_0000];
    println!("listening");
    loop {
        if let Ok((socket, _)) = listener.accept() {
            println!("accepted");
            users.push(Association::over(socket)?);
        }
        users.retain_mut(|user| {
            loop {
                match user.receive(&mut buffer) {
                    Ok(Incoming::Message { data, .. }) => {
                        let Some(answer) = answer(&data, &mut hung_up) else { break false };
                        for (ppid, message) in answer {
                            // What has no room waits, however slow the user is.
                            let is_full =
                                |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
                            while user.send(&message, ppid, 0, false).is_err_and(is_full) {
                                thread::sleep(Duration::from_millis(1));
                            }
                        }
                    }
                    Ok(Incoming::Ended | Incoming::Lost) => break false,
                    Ok(_) => {}
                    Err(error) => break error.kind() == io::ErrorKind::WouldBlock,
                }
            }
        });
        thread::sleep(Duration::from_millis(5));
    }
}

/// What comes of one message. The end of the association comes once: the question asked again is
/// answered.
fn answer(bytes: &[u8], hung_up: &mut bool) -> Answer {
    let body = match Message::decode(bytes) {
        Ok(message) => message.body,
        Err(error) => {
            println!("not understood: {error}");
            return Some(Vec::new());
        }
    };
    let Body::HandleResolution { handle, .. } = body else {
        println!("received {body:?}");
        return Some(Vec::new());
    };
    println!("asked for {handle}");
    let name = handle.to_string();
    let proper = || list(&name, Some(PolicyType::ROUND_ROBIN), vec![element(1), element(2)]);
    let asap =
        |messages: Vec<Vec<u8>>| Some(messages.into_iter().map(|m| (ASAP_PPID, m)).collect());
    match name.as_str() {
        "zero" => {
            asap(vec![list(&name, Some(PolicyType::ROUND_ROBIN), vec![element(0), element(2)])])
        }
        "mixed" => {
            let mut other = element(2);
            other.policy = Policy::WeightedRandom { weight: 7 };
            asap(vec![list(&name, Some(PolicyType::ROUND_ROBIN), vec![element(1), other])])
        }
        "nopolicy" => asap(vec![list(&name, None, vec![element(1), element(2)])]),
        "twin" => asap(vec![list(&name, None, vec![element(1), element(1), element(2)])]),
        "nowhere" => {
            let mut nowhere = element(1);
            nowhere.transport = Transport::sctp(7, TransportUse::DATA_ONLY, []);
            asap(vec![list(&name, None, vec![nowhere, element(2)])])
        }
        "long" => asap(vec![list(&"x".repeat(33), None, vec![element(9)]), proper()]),
        "other" => asap(vec![list("another", None, vec![element(9)]), proper()]),
        "empty" => asap(vec![nothing(&name), proper()]),
        "twice" => asap(vec![proper(), proper()]),
        "cut" => {
            let whole = proper();
            let cuts = (0..whole.len()).step_by(3).map(|len| whole[..len.max(1)].to_vec());
            asap(cuts.chain([proper()]).collect())
        }
        "noise" => {
            let noise = (0..200_u32).map(|n| {
                (0..n % 97 + 1).map(|m| (n.wrapping_mul(0x9e37_79b9) >> (m % 24)) as u8).collect()
            });
            asap(noise.chain([proper()]).collect())
        }
        // Unknown message types, one to be dropped and one to be reported.
        "unknown" => asap(vec![vec![0x3f, 0, 0, 4], vec![0x4f, 0, 0, 4], proper()]),
        // Not marked as ASAP.
        "unmarked" => Some(vec![(0, list(&name, None, vec![element(9)])), (ASAP_PPID, proper())]),
        "hangup" if !mem::replace(hung_up, true) => None,
        _ => asap(vec![proper()]),
    }
}

fn list(handle: &str, policy: Option<PolicyType>, elements: Vec<PoolElement>) -> Vec<u8> {
    let message = Message::handle_resolution_response(handle, policy.map(Into::into), elements);
    message.to_bytes().expect("it is short").to_vec()
}

/// Neither elements nor an error, which `wire` refuses to write: the request, sent back as a response.
fn nothing(handle: &str) -> Vec<u8> {
    let request = Message::handle_resolution(false, handle, None).to_bytes();
    let mut bytes = request.expect("it is short").to_vec();
    bytes[0] = MessageType::HANDLE_RESOLUTION_RESPONSE.get();
    bytes
}

fn element(identifier: u32) -> PoolElement {
    let at = [Ipv4Addr::new(10, 0, 0, 11).into()];
    let at = Transport::sctp(7, TransportUse::DATA_ONLY, at);
    PoolElement::new(PeIdentifier::new(identifier), at, Policy::RoundRobin)
}
