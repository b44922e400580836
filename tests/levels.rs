//! The `std` driver and the examples of the two levels of use on it, over real sockets, with a
//! registrar and elements of the test's own.
#![allow(clippy::std_instead_of_alloc, reason = "tests have `std`")]
#![allow(clippy::duplicate_mod, reason = "each example brings its driver")]
#![cfg(not(miri))]

#[path = "../examples/resolver_level.rs"]
#[allow(dead_code, reason = "only the example has a `main`")]
mod resolver_level;
#[path = "../examples/session_level.rs"]
#[allow(dead_code, reason = "only the example has a `main`")]
mod session_level;
#[path = "../examples/std/main.rs"]
#[allow(dead_code, reason = "only the example has a `main`")]
mod std_driver;

use core::iter;
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use core::time::Duration;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

use asap_pu::wire::{
    Body, Cause, CauseCode, Message, PeIdentifier, Policy, PoolElement, ServerIdentifier,
    StreamDecoder, Transport,
};
use asap_pu::{Config, ConfigError, Event, Failover, Registrar, SessionOptions};

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

/// A listener that takes nobody in: as many wait before it as may.
fn mute() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let knock = || TcpStream::connect_timeout(&at, Duration::from_millis(200)).ok();
    (listener, iter::from_fn(knock).collect())
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

/// [REPORT-1]: where no element answers, that is reported too.
#[test]
fn elements_are_reported_also_if_none_is_left() {
    let (registrar, reports) = registrar(&[nobody(), element(2, 0)]);
    assert!(resolver_level::run(&registrar, POOL).is_err());
    assert_eq!(reports.iter().take(2).collect::<Vec<_>>(), [1, 2]);
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

/// Nobody announces anything there.
const QUIET: (SocketAddrV4, Ipv4Addr) =
    (SocketAddrV4::new(Ipv4Addr::new(239, 0, 0, 50), 0), Ipv4Addr::LOCALHOST);

/// The smallest program: who is in the pool.
#[test]
fn the_std_driver() {
    let (registrar, _) = registrar(&[([192, 0, 2, 1], 7).into(), ([192, 0, 2, 2], 7).into()]);
    let listing = std_driver::run(&registrar, QUIET, POOL).unwrap();
    assert_eq!(listing, "0x00000001: [192.0.2.1:7]\n0x00000002: [192.0.2.2:7]\n");
}

/// [HUNT-7]: a registrar that announces itself by multicast is found.
#[test]
#[cfg_attr(target_os = "macos", ignore = "a source address does not choose the interface there")]
fn the_std_driver_hears_announces() {
    let (registrar, _) = registrar(&[([192, 0, 2, 1], 7).into()]);
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let group = SocketAddrV4::new(Ipv4Addr::new(239, 0, 0, 50), port);
    let server = ServerIdentifier::new(0x5afe);
    let announce =
        Message::server_announce(server, vec![Transport::tcp(registrar.parse().unwrap())]);
    let (found, searching) = mpsc::channel::<()>();
    let announcer = thread::spawn(move || {
        // A source address chooses the interface.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        while searching
            .recv_timeout(Duration::from_millis(20))
            .is_err_and(|e| e == RecvTimeoutError::Timeout)
        {
            socket.send_to(&announce.to_bytes().unwrap(), group).unwrap();
        }
    });
    let listing = std_driver::run("announced", (group, Ipv4Addr::LOCALHOST), POOL).unwrap();
    assert_eq!(listing, "0x00000001: [192.0.2.1:7]\n");
    drop(found);
    announcer.join().unwrap();
}

/// What cannot go well is told in one line that says what is wrong.
#[test]
fn the_std_driver_says_what_is_wrong() {
    let error =
        |registrar: &str, pool| std_driver::run(registrar, QUIET, pool).unwrap_err().to_string();
    let at = nobody().to_string();
    let refused = error(&at, POOL);
    assert!(refused.starts_with(&format!("no registrar can be reached: TCP {at}: ")), "{refused}");
    let hint = "example.org is no address of a registrar, which is like 192.0.2.1:3863";
    assert_eq!(error("example.org", POOL), hint);
    assert_eq!(error(&at, ""), "the pool handle is empty");
    assert_eq!(error(&registrar(&[]).0, "nowhere"), "no such pool");
}

/// A program that has a loop of its own, and only looks in, is served too.
#[test]
fn the_std_driver_can_be_looked_in_on() {
    let (registrar, _) = registrar(&[nobody()]);
    let mut config = Config::default();
    config.discovery.registrars.push(Registrar::tcp(registrar.parse().unwrap()));
    let mut driver = std_driver::driver::Driver::new(config, 1).unwrap();
    let now = driver.now();
    driver.user().resolve(now, POOL).unwrap();
    while !matches!(driver.event(Duration::ZERO), Some(Event::Resolved { .. })) {
        thread::yield_now();
    }
}

/// What was not reached yet holds nobody up who wants it no more.
#[test]
fn the_std_driver_does_not_wait_for_those_who_do_not_answer() {
    let (listener, _waiting) = mute();
    let mut config = Config::default();
    config.discovery.registrars.push(Registrar::tcp(listener.local_addr().unwrap()));
    let mut driver = std_driver::driver::Driver::new(config, 1).unwrap();
    let now = driver.now();
    driver.user().registrars_mut(now).find_home();
    driver.event(Duration::from_millis(100));
    assert!(driver.shut_down(Duration::from_secs(2)));
}

/// A registrar that was reached and gives no answer is told from one that is not there.
#[test]
fn the_std_driver_says_that_a_registrar_hung_up() {
    let registrar = serve(|mut stream| drop(stream.read(&mut [0; 64]))).to_string();
    let error = std_driver::run(&registrar, QUIET, POOL).unwrap_err().to_string();
    assert_eq!(error, format!("no registrar can be reached: TCP {registrar}: it hung up"));
}

/// [HUNT-14]: a channel that is to be secured is not opened without.
#[test]
fn the_std_driver_refuses_tls() {
    let (registrar, _) = registrar(&[nobody()]);
    let mut config = Config::default();
    config
        .discovery
        .registrars
        .push(Registrar::tcp(registrar.parse().unwrap()).with_tls("pr.example"));
    let refused = std_driver::driver::Driver::new(config, 1).err();
    assert_eq!(refused, Some(ConfigError::NoAuthentication("discovery.registrars")));
}

/// [SESSION-3]: an element whose host is cut off without a word is noticed, whether something is on its
/// way to it or not. Takes place in a process with a network of its own, where such can be had.
#[cfg(target_os = "linux")]
#[test]
fn the_std_driver_notices_an_element_that_is_cut_off() {
    const OWN: &str = "ASAP_PU_OWN_NETWORK";
    if std::env::var_os(OWN).is_none() {
        let within = |script: &str| {
            let mut unshare = std::process::Command::new("unshare");
            let this = std::env::current_exe().unwrap();
            unshare.args(["-rn", "sh", "-c", script]).arg(this).env(OWN, "").output()
        };
        if !within("ip link set lo up").is_ok_and(|prepared| prepared.status.success()) {
            println!("no networks of one's own here");
            return;
        }
        let test = "the_std_driver_notices_an_element_that_is_cut_off";
        let told = within(&format!("ip link set lo up && exec \"$0\" --exact {test} --nocapture"));
        let told = told.unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        return;
    }
    let at = element(1, usize::MAX);
    let mut driver = std_driver::driver::Driver::new(Config::default(), 1).unwrap();
    let sessions = [(); 2].map(|()| {
        let (now, options) = (driver.now(), SessionOptions::default());
        driver.user().open_session_at(now, Transport::tcp(at), options).unwrap()
    });
    let send = |driver: &mut std_driver::driver::Driver, session| {
        let now = driver.now();
        driver.user().session_mut(now, session).unwrap().send("hello\n", Failover::Never).unwrap();
    };
    sessions.iter().for_each(|session| send(&mut driver, *session));
    for _ in sessions {
        while !matches!(driver.event(Duration::from_secs(60)), Some(Event::Received { .. })) {}
    }
    let cut = std::process::Command::new("ip").args(["link", "set", "lo", "down"]).status();
    assert!(cut.unwrap().success());
    send(&mut driver, sessions[0]);
    let mut ended = Vec::new();
    while ended.len() < 2 {
        match driver.event(Duration::from_secs(60)) {
            Some(Event::SessionEnded { session, .. }) => ended.push(session),
            Some(_) => {}
            None => panic!("nothing is noticed but of {ended:?}"),
        }
    }
}
