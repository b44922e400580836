//! Endpoints among themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use asap_pu::{Instant, Rng};
use asap_pu_tokio::sctp_userspace::{
    AssociationId, Counters, Datagram, End, Endpoint, Event, Settings,
};

use crate::net::{FAIR, FOUL, Host, Net, PORT, Role};

const SECOND: Duration = Duration::from_secs(1);

/// The chunk types of RFC 9260 §3.2 that are looked for here.
const ABORT: u8 = 6;
const SHUTDOWN: u8 = 7;

fn two(seed: u64, weather: crate::net::Weather) -> Net {
    let hosts = [Host::endpoint(&["10.0.0.1"], 1), Host::endpoint(&["10.0.0.2"], 2)];
    Net::new(seed, weather, hosts)
}

/// An association of the first host with the second one, up on both sides.
fn up(net: &mut Net) -> AssociationId {
    let id = net.connect(0, 1);
    net.until(|net| !net.hosts[1].log.is_empty() && !net.hosts[0].log.is_empty());
    assert!(matches!(net.hosts[0].log[0].2, Event::Up));
    assert!(matches!(net.hosts[1].log[0].2, Event::Accepted { .. }));
    id
}

fn send(net: &mut Net, host: usize, id: AssociationId, name: u32, ppid: u32, data: &[u8]) {
    let now = net.now;
    net.hosts[host].sctp().send(now, id, name, ppid, data, false);
}

/// What a host received, as (payload protocol identifier, data).
fn received(host: &Host) -> Vec<(u32, Vec<u8>)> {
    let messages = host.log.iter().filter_map(|(_, _, event)| match event {
        Event::Message { ppid, data } => Some((*ppid, data.clone())),
        _ => None,
    });
    messages.collect()
}

/// What became of the messages that a host sent.
fn fates(host: &Host) -> BTreeMap<u32, Vec<&'static str>> {
    let mut fates: BTreeMap<u32, Vec<&'static str>> = BTreeMap::new();
    for (_, _, event) in &host.log {
        let (name, fate) = match event {
            Event::Written(name) => (name, "written"),
            Event::Delivered(name) => (name, "delivered"),
            Event::Unsent(name) => (name, "unsent"),
            _ => continue,
        };
        fates.entry(*name).or_default().push(fate);
    }
    fates
}

/// How the associations of a host ended, and when.
fn ends(host: &Host) -> Vec<(Instant, &End)> {
    let ends = host.log.iter().filter_map(|(at, _, event)| match event {
        Event::Ended(end) => Some((*at, end)),
        _ => None,
    });
    ends.collect()
}

/// How many packets went out that begin with such a chunk.
fn packets(net: &Net, kind: u8) -> usize {
    net.sent.iter().filter(|(_, datagram)| datagram.bytes[12] == kind).count()
}

/// Whoever hears something says it again.
fn echo() -> Role {
    Box::new(|endpoint, now, id, event| {
        if let Event::Message { ppid, data } = event {
            endpoint.send(now, id, 0, *ppid, data, false);
        }
    })
}

/// [TLV-22]: messages arrive whole, in their order, and marked as they were; those that are longer
/// than a packet too. All that was sent before a close arrives, however much it is, and the close
/// ends the association in good order.
#[test]
fn messages_arrive_and_the_end_is_in_good_order() {
    let mut net = two(1, FAIR);
    let id = up(&mut net);
    let long: Vec<_> = (0..100_000_u32).map(|n| n as u8).collect();
    send(&mut net, 0, id, 1, 11, b"control");
    send(&mut net, 0, id, 2, 0, &long);
    for name in 3..100 {
        send(&mut net, 0, id, name, 33, &[name as u8; 3_000]);
    }
    let now = net.now;
    net.hosts[0].sctp().close(now, id);
    net.until(|net| {
        net.hosts[0].sctp().associations() == 0 && net.hosts[1].sctp().associations() == 0
    });
    let got = received(&net.hosts[1]);
    assert_eq!(got[0], (11, b"control".to_vec()));
    assert!(got[1] == (0, long));
    let rest: Vec<_> = (3..100).map(|name| (33, vec![name as u8; 3_000])).collect();
    assert!(got[2..] == rest);
    assert!(matches!(ends(&net.hosts[1])[..], [(_, End::Closed)]));
    assert_eq!((packets(&net, ABORT), packets(&net, SHUTDOWN)), (0, 1));
    let longest = net.sent.iter().map(|(_, datagram)| datagram.bytes.len()).max().unwrap();
    assert!(longest <= 1_280 - 48, "{longest}");
}

/// The path MTU that was given is not exceeded.
#[test]
fn packets_keep_to_the_path_mtu() {
    let settings = Settings { path_mtu: 576, ..Settings::default() };
    let mut net = two(1, FAIR);
    *net.hosts[0].sctp() = Endpoint::new(settings, 9).unwrap();
    net.hosts[0].sctp().listen(PORT);
    let id = up(&mut net);
    send(&mut net, 0, id, 1, 0, &[7; 10_000]);
    net.until(|net| !received(&net.hosts[1]).is_empty());
    let sizes = net.sent.iter().filter(|(from, _)| *from == net.hosts[0].at[0]);
    assert!(sizes.map(|(_, datagram)| datagram.bytes.len()).max().unwrap() <= 576 - 48);
    // Nor what a route takes, of associations from then on.
    net.hosts[1].sctp().set_route_mtu(600);
    let (_, theirs, _) = net.hosts[1].log[0];
    let now = net.now;
    net.hosts[1].sctp().close(now, theirs);
    net.run(SECOND);
    let sent = net.sent.len();
    let id = net.connect(1, 0);
    net.run(SECOND);
    send(&mut net, 1, id, 1, 0, &[7; 10_000]);
    net.run(SECOND);
    assert_eq!(received(&net.hosts[0]).len(), 1);
    let longest = net.sent[sent..].iter().map(|(_, datagram)| datagram.bytes.len()).max().unwrap();
    assert!((500..=600 - 48).contains(&longest), "{longest}");
    for path_mtu in [0, 575, 9_001] {
        let settings = Settings { path_mtu, ..Settings::default() };
        assert_eq!(
            Endpoint::<u32>::new(settings, 9).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}

/// Loss, reordering and doubled packets are not noticed: every message arrives once, in order, and
/// has one fate.
#[test]
fn foul_weather_is_not_noticed() {
    for seed in 0..10 {
        let mut net = two(seed, FOUL);
        net.hosts[1].role = echo();
        // It may take more than one attempt, as it may with a real network.
        let id = loop {
            let id = net.connect(0, 1);
            net.until(|net| !net.hosts[0].log.is_empty());
            match net.hosts[0].log.pop().unwrap().2 {
                Event::Up => break id,
                end => assert!(matches!(end, Event::Ended(End::Unanswered)), "{end:?}"),
            }
        };
        let messages: Vec<_> = (1..=100_u32).map(|n| (n, vec![n as u8; 20 * n as usize])).collect();
        for (name, data) in &messages {
            send(&mut net, 0, id, *name, *name, data);
        }
        net.until(|net| received(&net.hosts[0]).len() >= 100 && fates(&net.hosts[0]).len() >= 100);
        net.run(5 * SECOND);
        assert!(received(&net.hosts[0]) == messages, "seed {seed}");
        assert!(received(&net.hosts[1]) == messages, "seed {seed}");
        for (name, fate) in fates(&net.hosts[0]) {
            assert_eq!(fate, ["written", "delivered"], "seed {seed}, message {name}");
        }
    }
}

/// Two hundred associations over one socket do not get in each other's way.
#[test]
fn many_associations_share_a_socket() {
    let mut net = two(3, FAIR);
    net.hosts[1].role = echo();
    let ids: Vec<_> = (0..200).map(|_| net.connect(0, 1)).collect();
    net.until(|net| net.hosts[0].log.len() == 200);
    for (name, id) in (0..).zip(&ids) {
        send(&mut net, 0, *id, name, name, &name.to_be_bytes());
    }
    net.until(|net| received(&net.hosts[0]).len() == 200);
    for (_, id, event) in &net.hosts[0].log {
        let Event::Message { ppid, data } = event else { continue };
        let name = ids.iter().position(|of| of == id).unwrap() as u32;
        assert_eq!((*ppid, &data[..]), (name, &name.to_be_bytes()[..]));
    }
    let now = net.now;
    ids.iter().for_each(|id| net.hosts[0].sctp().close(now, *id));
    net.until(|net| net.hosts[0].sctp().associations() == 0);
    net.run(2 * SECOND);
    assert_eq!(net.hosts[1].sctp().associations(), 0);
    assert_eq!(packets(&net, ABORT), 0);
}

/// What became of each message is told when the peer is cut off: what was acknowledged is delivered,
/// what was never on its way is unsent, and of the rest nobody knows. It is noticed within ten
/// seconds (docs/interop.md).
#[test]
fn fates_are_told_when_the_peer_is_cut_off() {
    for seed in 0..10 {
        let mut net = two(seed, FAIR);
        let id = up(&mut net);
        for name in 0..500 {
            send(&mut net, 0, id, name, name, &[0; 1_500]);
        }
        net.run(Duration::from_millis(15 + 7 * seed));
        net.hosts[1].is_cut = true;
        let cut = net.now;
        net.until(|net| !ends(&net.hosts[0]).is_empty());
        let (at, end) = ends(&net.hosts[0])[0];
        assert!(matches!(end, End::Silent), "{end:?}");
        assert!(at.since(cut) <= 10 * SECOND, "{:?}", at.since(cut));
        let arrived: BTreeSet<_> =
            received(&net.hosts[1]).into_iter().map(|(name, _)| name).collect();
        let fates = fates(&net.hosts[0]);
        let is = |name: &u32, fate| fates.get(name).is_some_and(|of| of.contains(&fate));
        let first_unsent = (0..500).find(|name| is(name, "unsent")).expect("some of them waited");
        for name in 0..500 {
            assert!(!is(&name, "delivered") || arrived.contains(&name), "{name} has not arrived");
            assert_eq!(is(&name, "unsent"), name >= first_unsent, "{name}");
            assert!(!is(&name, "unsent") || !is(&name, "written") && !arrived.contains(&name));
        }
        // Of no more than one message some bytes were on their way and others not.
        let written = (0..500).filter(|name| is(name, "written")).count() as u32;
        assert!(first_unsent - written <= 1, "{first_unsent} {written}");
    }
}

/// An idle peer that is cut off is noticed within forty seconds, by heartbeats; one that is well is not
/// disturbed in ten minutes.
#[test]
fn heartbeats_notice_a_peer_that_is_cut_off() {
    let mut net = two(5, FAIR);
    up(&mut net);
    net.run(600 * SECOND);
    assert!(ends(&net.hosts[0]).is_empty() && ends(&net.hosts[1]).is_empty());
    net.hosts[1].is_cut = true;
    let cut = net.now;
    net.until(|net| !ends(&net.hosts[0]).is_empty());
    let (at, end) = ends(&net.hosts[0])[0];
    assert!(
        matches!(end, End::Silent) && at.since(cut) <= 40 * SECOND,
        "{end:?} {:?}",
        at.since(cut)
    );
}

/// A peer that takes nothing more, because its process stands still, is there as long as its host says
/// so (RFC 9260 §6.1): what it does not take waits.
#[test]
fn a_peer_with_a_shut_window_is_not_lost() {
    let mut net = two(5, FAIR);
    let id = up(&mut net);
    net.hosts[1].is_cut = true;
    let (init, from) = (net.sent[0].1.bytes.clone(), net.hosts[1].at[0]);
    let (tag, first) = (&init[16..20], u32::from_be_bytes(init[28..32].try_into().unwrap()));
    let none = [&first.wrapping_sub(1).to_be_bytes()[..], &[0; 8]].concat();
    let shut = [&init[2..4], &init[..2], tag, &[0; 4], &[3, 0, 0, 16], &none].concat();
    let shut = seal(shut);
    for name in 0..10 {
        send(&mut net, 0, id, name, 0, &[0; 1_000]);
    }
    for _ in 0..120 {
        net.run(SECOND / 2);
        let now = net.now;
        net.hosts[0].sctp().handle_datagram(now, from, &shut);
    }
    assert!(ends(&net.hosts[0]).is_empty());
    let now = net.now;
    net.until(|net| !ends(&net.hosts[0]).is_empty());
    let (at, end) = ends(&net.hosts[0])[0];
    assert!(
        matches!(end, End::Silent) && at.since(now) <= 12 * SECOND,
        "{end:?} {:?}",
        at.since(now)
    );
}

/// If the host slept, or its clock jumps, timers that are overdue fire once and go on from there.
#[test]
fn a_sleep_ends_nothing() {
    let mut net = two(6, FAIR);
    let id = up(&mut net);
    send(&mut net, 0, id, 1, 0, b"before");
    net.run(SECOND / 1000);
    let sent = net.sent.len();
    net.now += 3600 * SECOND;
    send(&mut net, 0, id, 2, 0, b"after");
    net.run(3 * SECOND);
    assert!(ends(&net.hosts[0]).is_empty() && ends(&net.hosts[1]).is_empty());
    assert_eq!(received(&net.hosts[1]).len(), 2);
    assert!(net.sent.len() - sent < 20, "{} packets", net.sent.len() - sent);
}

/// What has come is read before timers that wait for it fire: an application that takes its time makes
/// nobody send again.
#[test]
fn nothing_is_sent_again_whose_acknowledgement_was_not_read() {
    let mut net = two(6, FAIR);
    let id = up(&mut net);
    net.run(SECOND);
    send(&mut net, 0, id, 1, 0, b"once");
    net.run(Duration::from_millis(15));
    let answer = net.sent.last().unwrap().1.clone();
    assert_eq!((answer.bytes[12], answer.to), (3, net.hosts[0].at[0]));
    let (sent, from) = (net.sent.len(), net.hosts[1].at[0]);
    net.now += 10 * SECOND;
    let now = net.now;
    net.hosts[0].sctp().handle_datagram(now, from, &answer.bytes);
    net.run(Duration::from_millis(1));
    let again = net.sent[sent..].iter().filter(|(_, datagram)| datagram.bytes[12] == 0).count();
    assert_eq!((again, &fates(&net.hosts[0])[&1][..]), (0, &["written", "delivered"][..]));
}

/// A peer whose process or host was exchanged knows nothing of the association and says so.
#[test]
fn a_peer_that_lost_its_memory_breaks_it_off() {
    let mut net = two(7, FAIR);
    let id = up(&mut net);
    net.hosts[1] = Host::endpoint(&["10.0.0.2"], 3);
    let now = net.now;
    send(&mut net, 0, id, 1, 0, b"hello?");
    net.until(|net| !ends(&net.hosts[0]).is_empty());
    let (at, end) = ends(&net.hosts[0])[0];
    assert!(matches!(end, End::Aborted(_)) && at.since(now) < SECOND, "{end:?}");
    assert_eq!(fates(&net.hosts[0])[&1], ["written"]);
}

/// A peer that begins anew on the same ports has forgotten what was said: that is an end, and the
/// next attempt is a new association.
#[test]
fn a_peer_that_restarts_is_noticed() {
    // Two secrets that lead to the same port.
    let port = |secret| {
        let mut endpoint = Endpoint::<u32>::new(Settings::default(), secret).unwrap();
        endpoint.connect(Instant::EPOCH, [([10, 0, 0, 2], PORT).into()]).unwrap();
        let init = endpoint.poll_datagram().unwrap().bytes;
        u16::from_be_bytes([init[0], init[1]])
    };
    let again = (2..).find(|secret| port(*secret) == port(1)).unwrap();
    let mut net = two(8, FAIR);
    up(&mut net);
    net.hosts[0] = Host::endpoint(&["10.0.0.1"], again);
    net.connect(0, 1);
    net.until(|net| !ends(&net.hosts[1]).is_empty() && !ends(&net.hosts[0]).is_empty());
    assert!(matches!(ends(&net.hosts[1])[..], [(_, End::Restarted)]));
    net.hosts[0].log.clear();
    net.hosts[1].log.clear();
    up(&mut net);
}

/// The addresses of a peer are called one after the other: those that are refused at once, those that
/// are silent within a second.
#[test]
fn addresses_are_called_one_after_the_other() {
    let mut net = two(9, FAIR);
    net.hosts[1] = Host::endpoint(&["10.0.0.2", "10.0.0.3", "fd00::3"], 2);
    let now = net.now;
    let ips = ["10.0.0.8", "10.0.0.9", "fd00::3"].map(|ip| ip.parse().unwrap());
    net.hosts[0].at.push("[fd00::1]:9899".parse().unwrap());
    net.hosts[0].sctp().connect(now, ips.map(|ip| SocketAddr::new(ip, PORT))).unwrap();
    net.until(|net| net.sent.iter().any(|(_, datagram)| datagram.to.ip() == ips[1]));
    let refused = net.sent.last().unwrap().1.clone();
    let (at, why) = (net.now, io::Error::from(io::ErrorKind::HostUnreachable));
    net.hosts[0].sctp().handle_unreachable(at, refused.to, &refused.bytes, why);
    net.until(|net| net.sent.len() == 3);
    assert_eq!((net.now, net.sent[2].1.to.ip()), (at, ips[2]));
    net.until(|net| !net.hosts[0].log.is_empty());
    assert!(matches!(net.hosts[0].log[0].2, Event::Up));
    assert!(net.now.since(now) < SECOND);
}

/// Where every address is refused, that is told at once, with the reason; where nobody answers, before
/// a session gives up by itself.
#[test]
fn who_cannot_be_reached_is_told_with_a_reason() {
    let mut net = two(10, FAIR);
    net.connect(0, 1);
    net.until(|net| !net.sent.is_empty());
    let Datagram { to, bytes } = net.sent[0].1.clone();
    let (now, refused) = (net.now, || io::Error::from(io::ErrorKind::ConnectionRefused));
    // Not by somebody who has not seen the packet.
    let mut forged = bytes.clone();
    forged[16..20].copy_from_slice(&[1, 2, 3, 4]);
    net.hosts[0].sctp().handle_unreachable(now, to, &forged, refused());
    net.hosts[0].sctp().handle_unreachable(now, to, &bytes[..15], refused());
    net.run(Duration::ZERO);
    assert!(net.hosts[0].log.is_empty());
    // As much of it as ICMP has to quote.
    net.hosts[0].sctp().handle_unreachable(now, to, &bytes[..20], refused());
    net.run(Duration::ZERO);
    let (at, end) = ends(&net.hosts[0])[0];
    assert_eq!(at, now);
    assert!(matches!(end, End::Unreachable(why) if why.kind() == io::ErrorKind::ConnectionRefused));

    net.hosts[1].is_cut = true;
    let now = net.now;
    net.connect(0, 1);
    net.until(|net| ends(&net.hosts[0]).len() == 2);
    let (at, end) = ends(&net.hosts[0])[1];
    assert!(matches!(end, End::Unanswered) && at.since(now) < 5 * SECOND, "{end:?}");
    net.hosts[1].is_cut = false;

    // SCTP is there, and nobody listens.
    *net.hosts[1].sctp() = Endpoint::new(Settings::default(), 4).unwrap();
    let now = net.now;
    net.connect(0, 1);
    net.until(|net| ends(&net.hosts[0]).len() == 3);
    let (at, end) = ends(&net.hosts[0])[2];
    assert!(matches!(end, End::Unreachable(_)) && at.since(now) < SECOND, "{end:?}");
    assert_eq!(net.hosts[0].sctp().associations(), 0);
}

/// RFC 6951 §5.4: a middlebox that forgets a binding and makes a new one changes the peer's UDP port
/// in the middle; both sides go on.
#[test]
fn a_rebound_port_is_taken_up() {
    let mut net = two(11, FAIR);
    net.hosts[1].role = echo();
    let id = up(&mut net);
    for (host, name) in [(0, 1), (1, 2), (0, 3)] {
        let old = net.hosts[host].at[0].port();
        net.hosts[host].at[0].set_port(old + 1);
        send(&mut net, 0, id, name, 0, &[name as u8; 5_000]);
        if host == 1 {
            // Until it says something nobody can know: here, its heartbeat.
            net.run(20 * SECOND);
        }
        net.until(|net| received(&net.hosts[0]).len() == name as usize);
    }
    assert_eq!(net.hosts[1].sctp().counters().rebound, 2);
    assert_eq!(net.hosts[0].sctp().counters().rebound, 1);
    assert!(ends(&net.hosts[0]).is_empty() && ends(&net.hosts[1]).is_empty());
}

/// Packets that are cut, damaged, or made by somebody who has not seen the association are counted
/// and dropped, and harm nobody: also those that would end it or set it up.
#[test]
fn bad_packets_are_counted_and_dropped() {
    let mut net = two(12, FAIR);
    let id = up(&mut net);
    send(&mut net, 0, id, 1, 0, b"hello");
    net.run(SECOND);
    let (from, seen): (Vec<_>, Vec<_>) =
        net.sent.iter().map(|(from, datagram)| (*from, datagram.bytes.clone())).unzip();
    let before = *net.hosts[0].sctp().counters();
    let now = net.now;
    let mut damaged = 0;
    for (from, bytes) in from.iter().zip(&seen) {
        for len in 0..bytes.len() {
            net.hosts[0].sctp().handle_datagram(now, *from, &bytes[..len]);
            damaged += 1;
        }
        let mut rng = Rng::new(1);
        for _ in 0..1_000 {
            let mut bytes = bytes.clone();
            let (at, bit) = (rng.below(bytes.len() as u64) as usize, rng.below(8));
            bytes[at] ^= 1 << bit;
            net.hosts[0].sctp().handle_datagram(now, *from, &bytes);
            damaged += 1;
        }
    }
    let after = *net.hosts[0].sctp().counters();
    assert_eq!(after, Counters { damaged: before.damaged + damaged, ..before });

    // With the ports, and without the tag.
    let ports = &seen[1][..4];
    for chunk in [
        vec![ABORT, 0, 0, 4],
        vec![ABORT, 1, 0, 4],
        vec![14, 1, 0, 4],
        vec![SHUTDOWN, 0, 0, 8, 0, 0, 0, 0],
        vec![0, 3, 0, 17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0],
        [&[10, 0, 0, 52][..], &forged_cookie()].concat(),
    ] {
        for tag in [[0; 4], 77_u32.to_be_bytes()] {
            let packet = seal([ports, &tag, &[0; 4], &chunk].concat());
            net.hosts[0].sctp().handle_datagram(now, from[1], &packet);
        }
    }
    // Somebody who sends as the peer begins anew, again and again, from another port.
    let elsewhere = SocketAddr::new(from[1].ip(), 5_000);
    for tag in 1..20 {
        let init =
            [&[1, 0, 0, 20, 0, 0, 0, tag][..], &[0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]].concat();
        let packet = seal([ports, &[0; 4], &[0; 4], &init].concat());
        net.hosts[0].sctp().handle_datagram(now, elsewhere, &packet);
    }
    assert_eq!(net.hosts[0].sctp().counters().rebound, 0);
    let strangers = net.hosts[0].sctp().counters().strangers;
    assert_eq!(strangers, before.strangers + 12);
    send(&mut net, 0, id, 2, 0, b"still there");
    net.run(SECOND);
    assert_eq!(received(&net.hosts[1]).len(), 2);
    assert!(ends(&net.hosts[0]).is_empty());
}

/// Between containers Linux leaves checksums out, and several packets in one: they are read all the
/// same.
#[test]
fn packets_that_no_network_card_has_finished_are_read() {
    let mut net = two(18, FAIR);
    let id = up(&mut net);
    net.run(SECOND);
    net.hosts[1].is_cut = true;
    let before = net.sent.len();
    for name in 1..=2 {
        send(&mut net, 0, id, name, name, &[name as u8; 1_000]);
        net.run(Duration::ZERO);
    }
    let (from, now) = (net.hosts[0].at[0], net.now);
    let [(_, first), (_, second)] = &net.sent[before..] else { panic!() };
    let mut both = [&first.bytes[..], &second.bytes[12..]].concat();
    both[8..12].fill(0);
    net.hosts[1].sctp().handle_datagram(now, from, &both);
    net.run(Duration::ZERO);
    assert_eq!(received(&net.hosts[1]), [(1, vec![1; 1_000]), (2, vec![2; 1_000])]);
}

/// The library's cookies carry no signature, so that anybody could make one: nobody but who was
/// answered is believed, and who calls believes none.
#[test]
fn a_forged_cookie_sets_nothing_up() {
    let mut net = two(13, FAIR);
    net.hosts[1].is_cut = true;
    net.connect(0, 1);
    net.until(|net| !net.sent.is_empty());
    let (from, init) = (net.hosts[1].at[0], net.sent[0].1.bytes.clone());
    let ports = [&init[2..4], &init[..2]].concat();
    let cookie = forged_cookie();
    let chunk = [&[10, 0, 0, 52][..], &cookie].concat();
    let now = net.now;
    for tag in [&init[16..20], &cookie[12..16]] {
        let packet = seal([&ports[..], tag, &[0; 4], &chunk].concat());
        net.hosts[0].sctp().handle_datagram(now, from, &packet);
        let packet = seal([&[0, 99, 0, PORT as u8][..], tag, &[0; 4], &chunk].concat());
        net.hosts[1].sctp().handle_datagram(now, from, &packet);
    }
    net.run(SECOND);
    assert!(net.hosts[0].log.is_empty() && net.hosts[1].log.is_empty());
}

/// A cookie that no packet can hold ends the attempt; the library would take it.
#[test]
fn a_cookie_that_is_too_long_is_refused() {
    let mut net = two(14, FAIR);
    net.hosts[1].is_cut = true;
    net.connect(0, 1);
    net.until(|net| !net.sent.is_empty());
    let init = net.sent[0].1.bytes.clone();
    let (tag, len) = (&init[16..20], 4_000_u16);
    let header =
        [&[2, 0][..], &(20 + 4 + len).to_be_bytes(), &[0, 0, 0, 5, 0, 1, 0, 0, 0, 1, 0, 1]]
            .concat();
    let cookie =
        [&[0, 0, 0, 1, 0, 7][..], &(4 + len).to_be_bytes(), &vec![1; len as usize]].concat();
    let packet = [&init[2..4], &init[..2], tag, &[0; 4], &header, &cookie].concat();
    let (now, from) = (net.now, net.hosts[1].at[0]);
    net.hosts[0].sctp().handle_datagram(now, from, &seal(packet));
    net.run(Duration::ZERO);
    assert!(matches!(ends(&net.hosts[0])[..], [(_, End::Violation(_))]));
}

/// What waits when the peer shuts down is given back; what was sent before is acknowledged first.
#[test]
fn what_waits_when_the_peer_shuts_down_is_given_back() {
    let mut net = two(15, FAIR);
    let id = up(&mut net);
    for name in 0..1_000 {
        send(&mut net, 0, id, name, name, &[0; 1_000]);
    }
    net.run(Duration::from_millis(45));
    let (_, theirs, _) = net.hosts[1].log[0];
    let now = net.now;
    net.hosts[1].sctp().close(now, theirs);
    net.run(Duration::from_millis(30));
    send(&mut net, 0, id, 1_000, 0, b"too late");
    net.until(|net| !ends(&net.hosts[0]).is_empty());
    assert!(matches!(ends(&net.hosts[0])[..], [(_, End::Closed)]));
    let fates = fates(&net.hosts[0]);
    let delivered = (0..=1_000).take_while(|name| fates[name] == ["written", "delivered"]).count();
    assert!((1..=1_000).contains(&delivered), "{delivered}");
    // One may have been cut in two.
    for name in delivered as u32 + 1..=1_000 {
        assert_eq!(fates[&name], ["unsent"], "{name}");
    }
}

/// What cannot be sent is given back at once, and disturbs nobody.
#[test]
fn what_cannot_be_sent_is_given_back() {
    let mut net = two(16, FAIR);
    let id = up(&mut net);
    send(&mut net, 0, id, 1, 0, b"");
    send(&mut net, 0, id, 2, 0, &vec![0; 0x2_0001]);
    send(&mut net, 0, id, 3, 0, &vec![0; 0x2_0000]);
    net.run(5 * SECOND);
    let fates = fates(&net.hosts[0]);
    assert_eq!((&fates[&1][..], &fates[&2][..]), (&["unsent"][..], &["unsent"][..]));
    assert_eq!(fates[&3], ["written", "delivered"]);
}

/// The same secret and the same inputs give the same packets, whatever else uses random numbers.
#[test]
fn the_same_secret_gives_the_same_packets() {
    let run = |noise| {
        fastrand::seed(noise);
        let mut net = two(17, FOUL);
        let id = net.connect(0, 1);
        send(&mut net, 0, id, 1, 0, &[1; 10_000]);
        net.run(20 * SECOND);
        assert_eq!(fastrand::get_seed(), {
            fastrand::seed(noise);
            fastrand::get_seed()
        });
        net.sent
    };
    let (one, other) = (run(1), run(2));
    assert!(one == other && one.len() > 20);
}

/// A cookie as the library makes them, out of nothing.
fn forged_cookie() -> Vec<u8> {
    let mut cookie =
        [&1_684_230_979_u32.to_be_bytes()[..], &1_414_558_256_u32.to_be_bytes()].concat();
    cookie.extend([0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0, 8, 0, 1, 0, 0]);
    cookie.resize(48, 0);
    cookie[44..48].copy_from_slice(&[0, 1, 0, 1]);
    cookie
}

/// The packet with its checksum, CRC32c bit by bit.
fn seal(mut packet: Vec<u8>) -> Vec<u8> {
    let mut crc = !0_u32;
    for byte in &packet {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    packet[8..12].copy_from_slice(&(!crc).to_le_bytes());
    packet
}
