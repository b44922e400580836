//! The client over SCTP, in a runtime: from user space, and where this host has it, from the kernel.

mod sctp_peer;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use asap_pu::{Event, SendOptions};
use asap_pu_tokio::sctp_userspace::Carrier;
use asap_pu_tokio::{Client, Messages};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(30);

/// [SESSION-1]: a pool over SCTP is served, what has arrived is told, and all is closed in good order; in a
/// runtime of several threads, which the client's work goes through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_is_served_from_user_space() {
    let (at, serving) = sctp_peer::peer("127.0.0.1:0");
    let registrar = SocketAddr::new(at.ip(), sctp_peer::PORT);
    let client = Client::builder().registrar(registrar).sctp_over(Carrier::Udp(at.port()));
    let client = client.connect().await.unwrap();
    let session = client.session("pool").codec(Messages).open().await.unwrap();
    for n in 0..200 {
        let request = format!("request {n}");
        let answer = timeout(PATIENCE, session.request(request.clone())).await.unwrap().unwrap();
        assert_eq!(answer, request);
    }
    session.close().await.unwrap();

    let session = client.session("pool").open().await.unwrap();
    let mut sending = SendOptions::default();
    sending.receipt = true;
    let message = session.send_with(vec![7; 100_000], sending).await.unwrap();
    let (mut received, mut delivered) = (0, false);
    while received < 100_000 || !delivered {
        match timeout(PATIENCE, session.event()).await.unwrap().unwrap() {
            Some(Event::Received { data, .. }) => received += data.len(),
            Some(Event::Sent { message: sent, delivered: told, .. }) if sent == message => {
                delivered = told;
            }
            _ => {}
        }
    }
    drop(session);
    timeout(PATIENCE, client.shut_down()).await.unwrap();
    serving.join().unwrap();
    while Handle::current().metrics().num_alive_tasks() > 0 {
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_host_that_takes_no_sctp_is_told() {
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::builder()
        .registrar(SocketAddr::new(closed.ip(), sctp_peer::PORT))
        .sctp_over(Carrier::Udp(closed.port()));
    let error = timeout(PATIENCE, client.connect()).await.unwrap().unwrap_err();
    let start = "no registrar can be reached: ";
    assert!(error.to_string().starts_with(start), "{error}");
}

/// Whichever SCTP it is, nobody at this address has one.
#[tokio::test]
async fn nobody_is_told_over_any_sctp() {
    let client = Client::builder().registrar("127.0.0.1:3863").sctp().start().unwrap();
    let error = timeout(PATIENCE, client.connected()).await;
    assert!(error.is_err() || error.unwrap().is_err());
    timeout(PATIENCE, client.shut_down()).await.unwrap();
}
