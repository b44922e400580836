//! The driver on sockets of this host.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::mpsc;
use std::time::Duration;

use asap_pu::{Config, Event, Failover, Registrar};
use asap_pu_tokio::Passed;
use asap_pu_tokio::sctp_userspace::{Carrier, Driver, Settings};

use crate::net::PORT;
use crate::sctp_peer::peer;

const PATIENCE: Duration = Duration::from_secs(30);

fn driver(port: u16, registrar: impl Into<std::net::IpAddr>) -> Driver {
    let mut config = Config::default();
    config.discovery.registrars = vec![Registrar::sctp(PORT, [registrar.into()])];
    let settings = Settings { carrier: Carrier::Udp(port), ..Settings::default() };
    Driver::new(config, 1, settings).unwrap()
}

/// Over UDP, with IPv4 and where there is it with IPv6: a pool is resolved and served, and all is
/// closed in good order.
#[test]
fn a_pool_is_resolved_and_served_over_udp() {
    for at in ["127.0.0.1:0", "[::1]:0"] {
        if UdpSocket::bind(at).is_err() {
            println!("no {at} here");
            continue;
        }
        let (at, serving) = peer(at);
        let mut driver = driver(at.port(), at.ip());
        let (to, seen) = mpsc::channel();
        driver.watcher = Some(to);
        let now = driver.now();
        let session = driver.user().open_session(now, "pool", Default::default()).unwrap();
        driver
            .user()
            .session_mut(now, session)
            .unwrap()
            .send(b"hello".to_vec(), Failover::Undelivered)
            .unwrap();
        assert!(matches!(driver.event(PATIENCE), Some(Event::RegistrarFound { .. })));
        assert!(matches!(driver.event(PATIENCE), Some(Event::Connected { .. })));
        let event = driver.event(PATIENCE);
        assert!(
            matches!(&event, Some(Event::Received { data, .. }) if data[..] == *b"hello"),
            "{event:?}"
        );
        assert!(driver.shut_down(PATIENCE));
        serving.join().unwrap();
        // Question and answer, and what was sent and came back.
        let (asap, data): (Vec<_>, Vec<_>) = seen
            .iter()
            .partition(|seen| matches!(seen.what, Passed::Sent(_) | Passed::Received(_)));
        assert_eq!((asap.len(), data.len()), (2, 2));
    }
}

/// A host that takes no SCTP over UDP says so by ICMP, where the system tells that: at once, and with
/// what to do about it.
#[cfg(target_os = "linux")]
#[test]
fn a_refused_port_is_told_at_once() {
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut driver = driver(closed.port(), closed.ip());
    let now = driver.now();
    driver.user().resolve(now, "pool").unwrap();
    assert_eq!(driver.event(PATIENCE), Some(Event::NoRegistrarReachable));
    assert!(driver.now().since(now) < Duration::from_secs(2));
    let why = driver.no_registrar();
    let port = closed.port();
    assert!(why.contains(&format!("SCTP over UDP port {port} is refused")), "{why}");
    assert!(why.contains("net.sctp.udp_port") && why.lines().count() == 1, "{why}");
}

/// Plain IP takes a privilege, and a kernel without SCTP; either is said in one line.
#[test]
fn plain_ip_works_or_says_in_one_line_why_not() {
    let settings = Settings { carrier: Carrier::Ip, ..Settings::default() };
    let mut config = Config::default();
    config.discovery.registrars = vec![Registrar::sctp(PORT, [[127, 0, 0, 1].into()])];
    match Driver::new(config, 1, settings) {
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported));
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
            println!("{error}");
        }
        // Nobody is there: it hears its own packets, and is not disturbed by them.
        Ok(mut driver) => {
            let now = driver.now();
            driver.user().resolve(now, "pool").unwrap();
            assert!(matches!(driver.event(PATIENCE), Some(Event::NoRegistrarReachable)));
            let counters = driver.endpoint().counters();
            assert!(counters.strangers > 0 && counters.damaged == 0, "{counters:?}");
        }
    }
}
