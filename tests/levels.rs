//! The examples of the two levels of use, over real sockets, with a registrar and elements of the
//! test's own.
#![allow(clippy::std_instead_of_alloc, reason = "tests have `std`")]
#![allow(clippy::duplicate_mod, reason = "both examples bring their driver")]
#![cfg(not(miri))]

#[path = "../examples/resolver_level.rs"]
#[allow(dead_code, reason = "only the example has a `main`")]
mod resolver_level;
#[path = "../examples/session_level.rs"]
#[allow(dead_code, reason = "only the example has a `main`")]
mod session_level;

use core::net::SocketAddr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use asap_pu::wire::{
    Body, Cause, CauseCode, Message, PeIdentifier, Policy, PoolElement, StreamDecoder, Transport,
};

const POOL: &str = "EchoPool";

/// A registrar that lists these elements, and tells which were reported.
fn registrar(elements: &[SocketAddr]) -> (String, Receiver<u32>) {
    let element = |(id, at): (usize, &SocketAddr)| {
        let id = PeIdentifier::new(1 + u32::try_from(id).unwrap());
        PoolElement::new(id, Transport::tcp(*at), Policy::RoundRobin)
    };
    let elements: Vec<_> = elements.iter().enumerate().map(element).collect();
    let (report, reports) = mpsc::channel();
    let at = serve(move |mut stream| {
        let (mut decoder, mut buffer) = (StreamDecoder::new(65_535), [0; 4096]);
        while let Ok(len @ 1..) = stream.read(&mut buffer) {
            let mut bytes = &buffer[..len];
            while let Some(message) = decoder.next(&mut bytes).unwrap() {
                match Message::decode(message).unwrap().body {
                    Body::HandleResolution { handle, .. } => {
                        let answer = match handle.as_bytes() == POOL.as_bytes() {
                            true => {
                                Message::handle_resolution_response(handle, None, elements.clone())
                            }
                            false => Message::handle_resolution_failure(
                                handle,
                                vec![Cause::new(
                                    CauseCode::UNKNOWN_POOL_HANDLE,
                                    Default::default(),
                                )],
                            ),
                        };
                        stream.write_all(&answer.to_bytes().unwrap()).unwrap();
                    }
                    Body::EndpointUnreachable { identifier, .. } => {
                        let _ = report.send(identifier.get());
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    });
    (at.to_string(), reports)
}

/// An element that answers so many lines of each connection, by its number and the line, and then
/// hears no more. With none to answer it hangs up.
fn element(number: usize, patience: usize) -> SocketAddr {
    serve(move |stream| {
        let mut writer = stream.try_clone().unwrap();
        for (count, line) in BufReader::new(stream).lines().map_while(Result::ok).enumerate() {
            match patience {
                0 => return,
                patience if count < patience => {
                    writer.write_all(format!("{number}: {line}\n").as_bytes()).unwrap();
                }
                _ => {}
            }
        }
    })
}

/// Where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn serve(with: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let with = Arc::new(with);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let with = Arc::clone(&with);
            thread::spawn(move || with(stream));
        }
    });
    at
}

/// [SESSION-1] [REPORT-1]: get primary, get next: elements that fail are reported, the one that lives answers.
#[test]
fn the_resolver_level() {
    let (registrar, reports) = registrar(&[nobody(), element(2, 0), element(3, 9)]);
    assert_eq!(resolver_level::run(&registrar, POOL).unwrap(), "3: hello\n");
    assert_eq!(reports.iter().take(2).collect::<Vec<_>>(), [1, 2]);
    let error = resolver_level::run(&registrar, "nowhere").unwrap_err();
    assert_eq!(error.to_string(), "no such pool");
}

/// [SESSION-1] [SESSION-3]: the pool as one server: every line is answered once, in order, by whoever is left.
#[test]
fn the_session_level() {
    let (registrar, reports) = registrar(&[nobody(), element(2, 2), element(3, 9)]);
    let mut answers = Vec::new();
    let lines = ["a", "b", "c", "d"];
    session_level::run(&registrar, POOL, &lines, |line| answers.push(line.to_owned())).unwrap();
    assert_eq!(answers, ["2: a", "2: b", "3: c", "3: d"]);
    assert_eq!(reports.iter().take(2).collect::<Vec<_>>(), [1, 2]);
    let error = session_level::run(&registrar, "nowhere", &lines, |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "the pool could not be resolved: no such pool");
}
