//! The client, over real sockets: what it does, and what comes of what people do wrong.

#[path = "../examples/fifty_tasks/peers.rs"]
mod fifty;
#[allow(dead_code, reason = "other tests need more of it")]
mod peers;
#[path = "../examples/fifty_tasks/work.rs"]
mod work;

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use asap_pu::wire::PeIdentifier;
use asap_pu::{Config, ConfigError, Event, Failover, ResolveError, SessionError};
use asap_pu_tokio::{Client, Codec, Error, Lines, Pool, Run, Session, Watch};
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{sleep, timeout};

use peers::{Authority, POOL, element, mortal, nobody, registrar};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client of a registrar that lists these elements.
async fn client(elements: &[std::net::SocketAddr]) -> Client {
    let registrar = registrar(elements, None).await;
    Client::builder().registrar(registrar.at).connect().await.unwrap()
}

/// Waits until there are no more tasks than so many, which is the proof that none is left.
async fn until_tasks(left: usize) {
    let alone = async {
        while Handle::current().metrics().num_alive_tasks() > left {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let tasks = || Handle::current().metrics().num_alive_tasks();
    timeout(PATIENCE, alone).await.unwrap_or_else(|_| panic!("{} tasks are left", tasks()));
}

/// A server that reads and says nothing, and one that says the same to everything.
async fn mute() -> std::net::SocketAddr {
    saying(b"").await
}

async fn saying(what: &'static [u8]) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while stream.read(&mut [0; 4096]).await.is_ok_and(|len| len > 0) {
                    if stream.write_all(what).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    at
}

#[test]
fn handles_can_be_shared_by_threads() {
    fn is_shared<T: Send + Sync + 'static>() {}
    fn is_sent(_: impl Send) {}
    is_shared::<Client>();
    is_shared::<Session>();
    is_shared::<Session<Lines>>();
    is_shared::<Pool>();
    is_shared::<Watch>();
    is_shared::<Error>();
    is_sent(|run: Run| run);
    is_sent(|client: Client| async move {
        let session = client.session(POOL).codec(Lines).open().await?;
        session.request("a\n").await?;
        session.send("b\n").await?;
        session.recv().await?;
        client.resolve(POOL).await?.select().await?;
        session.close().await?;
        client.shut_down().await;
        Ok::<_, Error>(())
    });
}

/// [SESSION-1]: what the first page of the documentation shows.
#[tokio::test]
async fn a_pool_is_one_server() {
    let client = client(&[nobody().await, mortal(2, 2).await, element(3, 9).await]).await;
    let session = client.session(POOL).open().await.unwrap();
    assert_eq!(session.element(), Some(PeIdentifier::new(2)));
    session.send("a\n").await.unwrap();
    let answer = session.recv().await.unwrap().unwrap();
    assert_eq!((&answer.data[..], answer.element), (&b"2: a\n"[..], Some(PeIdentifier::new(2))));
    session.close().await.unwrap();

    let session = client.session(POOL).codec(Lines).open().await.unwrap();
    let mut answers = Vec::new();
    for request in ["a\n", "b\n", "c\n", "d\n"] {
        answers.push(session.request(request).await.unwrap());
    }
    assert!(answers.iter().all(|answer| answer.len() == 4), "{answers:?}");
    assert_eq!(answers.last().unwrap(), "3: d");
    client.shut_down().await;
    assert!(matches!(session.request("e\n").await, Err(Error::Gone)));
}

/// [SESSION-1] [REPORT-1]: applications that own their connections select, and select again.
#[tokio::test]
async fn elements_are_selected_and_failed_over() {
    let listed = [nobody().await, nobody().await];
    let mut registrar = registrar(&listed, None).await;
    let client = Client::builder().registrar(registrar.at).connect().await.unwrap();
    let pool = client.resolve(POOL).await.unwrap();
    let mut watch = pool.watch().unwrap();
    assert_eq!(pool.elements().await.unwrap().len(), 2);
    let first = pool.select().await.unwrap();
    let second = pool.fail_over(&first).await.unwrap();
    let mut found = [first.address().unwrap(), second.address().unwrap()];
    found.sort();
    let mut expected = listed;
    expected.sort();
    assert_eq!(found, expected);
    loop {
        let heard = timeout(PATIENCE, registrar.heard.recv()).await.unwrap().unwrap();
        if heard == peers::Heard::Report(first.identifier.get()) {
            break;
        }
    }
    // Nothing has changed in it, and then the client is gone.
    client.clone().shut_down().await;
    assert!(matches!(watch.changed().await, Err(Error::Gone)));
    assert!(matches!(pool.select().await, Err(Error::Gone)));
}

/// [SESSION-3] [SESSION-19]: fifty tasks on one client, elements killed and hung meanwhile: every question is answered, with
/// its own answer.
#[tokio::test]
async fn fifty_tasks_lose_nothing() {
    let mut elements = Vec::new();
    for _ in 0..4 {
        elements.push(fifty::Element::new().await.unwrap());
    }
    let at = fifty::registrar(&elements).await.unwrap();
    let client = Client::builder().registrar(at).config(work::config()).connect().await.unwrap();
    let trouble = async {
        for (n, health) in
            [fifty::Health::Dead, fifty::Health::Hung].into_iter().cycle().enumerate()
        {
            elements[n % 4].set(health);
            sleep(Duration::from_millis(100)).await;
            elements[n % 4].set(fifty::Health::Well);
        }
    };
    let answered = tokio::select! {
        answered = timeout(PATIENCE, work::work(&client, POOL, 50, 40)) => answered.unwrap(),
        () = trouble => unreachable!(),
    };
    assert_eq!(answered.unwrap(), 2_000);
    assert!(client.with(|user, _| user.stats().failovers).unwrap() > 5);
    client.shut_down().await;
}

/// [SESSION-15]: what is to be sent waits for room instead of failing, and comes in order.
#[tokio::test]
async fn a_full_queue_is_waited_for() {
    let mut config = Config::default();
    config.limits.max_queued_messages = 4;
    let at = registrar(&[element(1, 1_000).await], None).await.at;
    let client = Client::builder().registrar(at).config(config).connect().await.unwrap();
    let session = client.session(POOL).open().await.unwrap();
    let sending = async {
        for n in 0..200 {
            session.send(format!("{n}\n")).await.unwrap();
        }
    };
    let receiving = async {
        let mut received = Vec::new();
        while received.iter().filter(|byte| **byte == b'\n').count() < 200 {
            received.extend_from_slice(&session.recv().await.unwrap().unwrap().data);
        }
        String::from_utf8(received).unwrap()
    };
    let ((), received) =
        timeout(PATIENCE, async { tokio::join!(sending, receiving) }).await.unwrap();
    let expected: String = (0..200).map(|n| format!("1: {n}\n")).collect();
    assert_eq!(received, expected);
}

/// An application that does not read slows the element down; nothing is dropped.
#[tokio::test]
async fn who_does_not_read_is_not_written_to() {
    const ALL: usize = 64 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (sent, has_sent) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for _ in 0..ALL >> 16 {
            stream.write_all(&[7; 1 << 16]).await.unwrap();
            sent.send_modify(|sent| *sent += 1 << 16);
        }
    });
    let client = client(&[at]).await;
    let session = client.session(POOL).open().await.unwrap();
    // Another session is not held up by it.
    let mut before = 0;
    loop {
        sleep(Duration::from_millis(300)).await;
        let now = *has_sent.borrow();
        if now == before && now > 0 {
            break;
        }
        before = now;
    }
    assert!(before < ALL / 2, "{before} bytes were taken in");
    client.resolve(POOL).await.unwrap();
    let mut received = 0;
    while received < ALL {
        received += session.recv().await.unwrap().unwrap().data.len();
    }
    assert_eq!(received, ALL);
}

/// A session is a stream and a sink, as the combinators of `futures` want them.
#[tokio::test]
async fn a_session_is_a_stream_and_a_sink() {
    let client = client(&[element(1, 3).await]).await;
    let session = client.session(POOL).open().await.unwrap();
    let (mut sink, stream) = session.split();
    let lines = ["a\n", "b\n", "c\n"].map(|line| Ok(Bytes::from(line)));
    sink.send_all(&mut futures_util::stream::iter(lines)).await.unwrap();
    let mut received = Vec::new();
    let mut stream = stream;
    while received.len() < 15 {
        received.extend_from_slice(&stream.next().await.unwrap().unwrap().data);
    }
    assert_eq!(received, b"1: a\n1: b\n1: c\n");
    sink.close().await.unwrap();
    assert!(stream.next().await.is_none());
}

/// [SESSION-19]: a request that is dropped while it waits is taken back, and one that an element has goes to no
/// other; the next answer is the next request's.
#[tokio::test]
async fn a_dropped_request_is_taken_back_or_abandoned() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let client = client(&[at]).await;
    let session = client.session(POOL).codec(Lines).open().await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut buffer = [0; 64];

    // An element has it.
    let mut first = Box::pin(session.request("first\n"));
    tokio::select! {
        answer = &mut first => panic!("{answer:?}"),
        len = stream.read(&mut buffer) => assert_eq!(&buffer[..len.unwrap()], b"first\n"),
    }
    drop(first);
    let view = |user: &mut asap_pu::PoolUser, _| {
        let session = user.session(session.id()).unwrap();
        session.queued() + session.unconfirmed()
    };
    assert_eq!(client.with(view).unwrap(), 0);
    let second = session.request("second\n");
    let answering = async {
        let len = stream.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..len], b"second\n");
        stream.write_all(b"to the first\nto the second\n").await.unwrap();
    };
    let (second, ()) = tokio::join!(second, answering);
    assert_eq!(second.unwrap(), "to the second");

    // An element has it, and dies: nobody is to get it again.
    let third = Box::pin(session.request("third\n"));
    tokio::select! {
        _ = third => panic!("nobody answers"),
        len = stream.read(&mut buffer) => assert_eq!(&buffer[..len.unwrap()], b"third\n"),
    }
    drop(stream);
    let fourth = session.request("fourth\n");
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let len = stream.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..len], b"fourth\n");
        stream.write_all(b"to the fourth\n").await.unwrap();
        stream
    };
    let (fourth, _stream) = tokio::join!(fourth, serving);
    assert_eq!(fourth.unwrap(), "to the fourth");

    // Nobody has it: it has no element to go to.
    let waiting = client.session(POOL).codec(Lines).open().await.unwrap();
    let id = waiting.id();
    let hold = |user: &mut asap_pu::PoolUser, now| user.session_mut(now, id).unwrap().give_up();
    let mut request = Box::pin(waiting.request("never\n"));
    client.with(hold).unwrap().unwrap();
    poll_fn(|context| {
        assert!(request.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    drop(request);
    let queued = client.with(|user, _| user.session(id).unwrap().queued()).unwrap();
    assert_eq!(queued, 0);
}

/// [SESSION-17]: what is not delivered is told, each message once and in order, and the session goes on.
#[tokio::test]
async fn an_undelivered_message_is_told() {
    // It is never read from.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&[listener.local_addr().unwrap()]).await;
    let session = client.session(POOL).sending(Failover::Never).open().await.unwrap();
    let mut sent = Vec::new();
    while let Ok(message) =
        timeout(Duration::from_millis(300), session.send(vec![7; 100 << 10])).await
    {
        sent.push(message.unwrap());
    }
    session.give_up().unwrap();
    let mut told = Vec::new();
    while told.last() != sent.last() {
        match timeout(PATIENCE, session.recv()).await.unwrap() {
            Err(Error::Undelivered(undelivered)) => {
                assert_eq!(undelivered.data.len(), 100 << 10);
                told.push(undelivered.message);
            }
            other => panic!("{other:?}"),
        }
        if told.len() == 2 {
            session.send("again\n").await.unwrap();
        }
    }
    assert!(told.len() > 1 && sent.ends_with(&told), "{told:?} of {sent:?}");
}

/// [HUNT-14]: a registrar is authenticated, or is none, and it is said why.
#[tokio::test]
async fn a_registrar_is_asked_over_tls() {
    let authority = Authority::new("authority");
    let at = registrar(&[nobody().await], Some(authority.vouch("pr.example", 4000))).await.at;
    let asking = |identity| {
        Client::builder().registrar_with_tls(at, identity).tls(authority.believer()).connect()
    };
    let client = asking("pr.example").await.unwrap();
    client.resolve(POOL).await.unwrap();
    let error = asking("other.example").await.unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
    let error = Client::builder().registrar_with_tls(at, "pr.example").connect().await.unwrap_err();
    assert!(error.to_string().contains("no certificate is trusted"), "{error}");
}

// What people do wrong.

#[tokio::test]
async fn a_wrong_address_is_told_by_its_name() {
    for wrong in ["", "pool", "10.0.0.1:", "10.0.0.1:70000", "10.0.0:3863", "127.0.0.1:0", "::1:x"]
    {
        let error = Client::builder().registrar(wrong).connect().await.unwrap_err();
        assert!(matches!(&error, Error::Address(at) if at == wrong), "{wrong}: {error}");
        assert!(error.to_string().contains("192.0.2.1:3863"), "{error}");
    }
    let error = Client::builder().connect().await.unwrap_err();
    assert!(matches!(error, Error::Config(ConfigError::NoRegistrar)), "{error}");
    let mut config = Config::default();
    config.resolution.t1_request = Duration::ZERO;
    let error = Client::builder().registrar("127.0.0.1").config(config).start().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the configuration is wrong: resolution.t1_request: must not be zero"
    );
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

/// Where no registrar is, connecting fails and says which; who cannot wait for one is told when its time is
/// over.
#[tokio::test]
async fn without_a_registrar_there_is_an_error() {
    let at = nobody().await;
    let error = Client::builder().registrar(at).connect().await.unwrap_err();
    let start = format!("no registrar can be reached: TCP {at}: ");
    assert!(error.to_string().starts_with(&start), "{error}");
    until_tasks(0).await;

    let mut config = Config::default();
    config.resolution.request_deadline = Duration::from_millis(300);
    config.resolution.t1_request = Duration::from_millis(200);
    config.resolution.resolution_interval = Duration::from_millis(100);
    let client = Client::builder().registrar(at).config(config).start().unwrap();
    let error = client.resolve(POOL).await.unwrap_err();
    assert!(matches!(error, Error::Unresolved(ResolveError::NoRegistrarReachable)), "{error}");
    let error = client.session(POOL).open().await.unwrap_err();
    assert!(matches!(error, Error::SessionEnded(SessionError::Unresolved(_))), "{error}");
    assert!(matches!(client.connected().await, Err(Error::NoRegistrar(_))));
    client.shut_down().await;
    until_tasks(0).await;
}

#[tokio::test]
async fn a_pool_that_is_not_there_is_an_error() {
    let client = client(&[nobody().await]).await;
    let error = client.resolve("NoSuchPool").await.unwrap_err();
    assert_eq!(error.to_string(), "the pool could not be resolved: no such pool");
    let error = client.session("NoSuchPool").open().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::SessionEnded(SessionError::Unresolved(ResolveError::UnknownPoolHandle))
        ),
        "{error}"
    );
    for handle in ["", &"x".repeat(33)] {
        assert!(matches!(client.resolve(handle).await, Err(Error::Refused(_))));
        assert!(matches!(client.session(handle).open().await, Err(Error::Refused(_))));
        let client = client.clone();
        let pool = client.resolve(POOL).await.unwrap();
        assert!(matches!(pool.command(|pool| pool.select(&[]).map(|_| ())).await, Ok(())));
    }
}

/// A pool of elements that nobody answers at ends a session in the time that it may take.
#[tokio::test]
async fn a_pool_of_the_dead_ends_a_session() {
    let mut config = Config::default();
    config.sessions.session_deadline = Duration::from_millis(500);
    config.sessions.session_backoff = Duration::from_millis(50);
    config.sessions.failover_spread = Duration::from_millis(50);
    let at = registrar(&[nobody().await, nobody().await], None).await.at;
    let client = Client::builder().registrar(at).config(config).connect().await.unwrap();
    let error = client.session(POOL).open().await.unwrap_err();
    assert!(matches!(error, Error::SessionEnded(_)), "{error}");
}

/// Never an answer for anybody.
struct Never;

impl Codec for Never {
    fn decode(&mut self, received: &mut BytesMut) -> Result<Option<Bytes>, String> {
        Lines.decode(received)
    }

    fn answers(&self, _: &[u8], _: &[u8]) -> bool {
        false
    }
}

/// It understands nothing.
struct Lost;

impl Codec for Lost {
    fn decode(&mut self, _: &mut BytesMut) -> Result<Option<Bytes>, String> {
        Err("not a frame".to_owned())
    }
}

/// [SESSION-18]: a codec that finds no answer, or for which nothing is one, ends in an error that says so,
/// after as many elements as a message may be at.
#[tokio::test]
async fn a_codec_that_never_matches_is_an_error() {
    let at = registrar(&[saying(b"what?\n").await], None).await.at;
    let mut config = Config::default();
    config.sessions.max_handovers = 3;
    config.sessions.session_backoff = Duration::from_millis(20);
    let client = Client::builder().registrar(at).config(config).connect().await.unwrap();
    let session = client.session(POOL).codec(Never).patience(Duration::from_millis(100));
    let session = session.open().await.unwrap();
    let error = session.request("?\n").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "a message was lost, and may have arrived or not: it was handed over too often"
    );
    // What nobody had asked for can be read.
    assert_eq!(session.recv().await.unwrap().unwrap().data, "what?");

    let session = client.session(POOL).codec(Lost).open().await.unwrap();
    let error = session.request("?\n").await.unwrap_err();
    assert_eq!(error.to_string(), "the answers of the elements make no sense: not a frame");
}

/// A client may be let go of in any state: everything ends, and no task is left.
#[tokio::test]
async fn a_client_dropped_in_any_state_leaves_nothing() {
    let elements = [nobody().await, element(2, 1_000).await, mute().await];
    let registrar = registrar(&elements, None).await;
    sleep(Duration::from_millis(50)).await;
    let tasks = Handle::current().metrics().num_alive_tasks();
    let mut config = Config::default();
    config.sessions.session_deadline = Duration::from_secs(2);
    config.sessions.failover_spread = Duration::from_millis(10);
    for after in 0..40 {
        let client = Client::builder().registrar(registrar.at).config(config.clone());
        let client = client.start().unwrap();
        let life = async {
            client.connected().await?;
            let pool = client.resolve(POOL).await?;
            let _watch = pool.watch()?;
            pool.select().await?;
            let one = client.session(POOL).open().await?;
            one.send("a\n").await?;
            let other = client.session(POOL).codec(Lines).patience(None).open().await?;
            let _ = tokio::join!(other.request("b\n"), other.request("c\n"), one.recv());
            pending::<Result<(), Error>>().await
        };
        let mut life = pin!(life);
        for _ in 0..after {
            tokio::select! {
                biased;
                ended = &mut life => panic!("{ended:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
        // `life` goes first where it is not pinned here; the client goes in any case.
        drop(client.clone());
    }
    until_tasks(tasks).await;
}

/// Handles that outlive the runtime on which their client ran say so, whatever they wait for.
#[test]
fn a_runtime_that_shuts_down_is_told() {
    let of_peers = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let at = of_peers.block_on(async { registrar(&[mute().await], None).await.at });
    let of_client: Runtime =
        Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (client, session, mut watch) = of_client.block_on(async {
        let client = Client::builder().registrar(at).connect().await.unwrap();
        let session = client.session(POOL).codec(Lines).patience(None).open().await.unwrap();
        let watch = client.resolve(POOL).await.unwrap().watch().unwrap();
        (client, Arc::new(session), watch)
    });
    let (asking, reading) = (session.clone(), session.clone());
    let waiting = of_peers.spawn(async move { asking.request("?\n").await.map(drop) });
    let reading = of_peers.spawn(async move {
        loop {
            // It has heard of its element.
            if let Err(error) = reading.event().await {
                return error;
            }
        }
    });
    std::thread::sleep(Duration::from_millis(100));
    of_client.shutdown_timeout(PATIENCE);
    of_peers.block_on(async {
        assert!(matches!(timeout(PATIENCE, waiting).await.unwrap().unwrap(), Err(Error::Gone)));
        assert!(matches!(timeout(PATIENCE, reading).await.unwrap().unwrap(), Error::Gone));
        assert!(matches!(session.send("?\n").await, Err(Error::Gone)));
        assert!(matches!(session.recv().await, Err(Error::Gone)));
        loop {
            match timeout(PATIENCE, watch.changed()).await.unwrap() {
                Ok(_) => {}
                Err(error) => break assert!(matches!(error, Error::Gone)),
            }
        }
        assert!(matches!(client.resolve(POOL).await, Err(Error::Gone)));
        assert!(matches!(client.connected().await, Err(Error::Gone)));
        client.shut_down().await;
    });
}

/// [SESSION-13]: shutting down waits for what is queued, also of sessions that are dropped and not closed.
#[tokio::test]
async fn shutting_down_waits_for_what_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let mut received = Vec::new();
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_to_end(&mut received).await.unwrap();
        received.len()
    });
    let client = client(&[at]).await;
    let session = client.session(POOL).open().await.unwrap();
    for _ in 0..100 {
        session.send(vec![7; 10_000]).await.unwrap();
    }
    drop(session);
    client.shut_down().await;
    assert_eq!(served.await.unwrap(), 1_000_000);
}

/// [SESSION-20]: what happens beside the data is there for whoever wants it, in its place.
#[tokio::test]
async fn events_tell_where_elements_change() {
    let client = client(&[mortal(1, 1).await, element(2, 9).await]).await;
    let session = client.session(POOL).sending(Failover::Unconfirmed).open().await.unwrap();
    let mut told = Vec::new();
    session.send("a\n").await.unwrap();
    while let Some(event) = session.event().await.unwrap() {
        let word = match event {
            Event::Connected { .. } => "connected",
            Event::Received { .. } => "received",
            Event::ElementLost { .. } => "lost",
            Event::FailedOver { .. } => "failed over",
            other => panic!("{other:?}"),
        };
        told.push(word);
        if told.ends_with(&["failed over", "received"]) {
            break;
        }
    }
    assert_eq!(told, ["connected", "received", "lost", "failed over", "received"]);
}

/// Where registrars announce themselves, connecting waits for one as long as it may; a search begun anew is told
/// of by its own end.
#[tokio::test]
async fn an_announce_is_waited_for() {
    let mut config = Config::default();
    config.discovery.announce_wait = Duration::from_millis(300);
    let start = tokio::time::Instant::now();
    let builder = Client::builder().announces(([239, 0, 0, 51], 0), std::net::Ipv4Addr::LOCALHOST);
    let client = builder.config(config.clone()).start().unwrap();
    let error = timeout(PATIENCE, client.connected()).await.unwrap().unwrap_err();
    assert!(error.to_string().starts_with("no registrar is known"), "{error}");
    assert!(start.elapsed() >= config.discovery.announce_wait);

    let registrar = registrar(&[], None).await;
    let add = |user: &mut asap_pu::PoolUser, now| {
        user.registrars_mut(now).add(asap_pu::Registrar::tcp(registrar.at))
    };
    client.with(add).unwrap().unwrap();
    timeout(PATIENCE, client.connected()).await.unwrap().unwrap();
    client.shut_down().await;
}

/// SCTP has no TLS: whoever demands both is refused, not served without.
#[cfg(all(unix, feature = "sctp"))]
#[tokio::test]
async fn tls_over_sctp_is_refused() {
    let builder = Client::builder().registrar_with_tls("127.0.0.1", "pr.example").sctp();
    let error = builder.start().unwrap_err();
    assert!(matches!(error, Error::Config(_)), "{error}");
}

/// Link-local registrars are looked for on the one interface that they name.
#[tokio::test]
async fn link_local_registrars_are_on_one_interface() {
    let of = |zones: [u32; 2]| {
        let [one, other] = zones.map(|zone| format!("[fe80::1%{zone}]:3863"));
        Client::builder().registrar(one).registrar(other).start()
    };
    let told = of([1, 2]).unwrap_err().to_string();
    assert!(told.contains("[fe80::1%2]:3863"), "{told}");
    of([1, 1]).unwrap().shut_down().await;
}

/// [SESSION-13]: closing waits for the end also where something was not delivered before, and tells of
/// that then.
#[tokio::test]
async fn closing_waits_for_the_end_whatever_was_lost() {
    for as_sink in [false, true] {
        // It is never read from.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client(&[listener.local_addr().unwrap()]).await;
        let mut session = client.session(POOL).sending(Failover::Never).open().await.unwrap();
        let send = || session.send(vec![7; 100 << 10]);
        while timeout(Duration::from_millis(300), send()).await.is_ok() {}
        session.give_up().unwrap();
        session.send("again\n").await.unwrap();
        let id = session.id();
        let closing = async {
            if as_sink { SinkExt::close(&mut session).await } else { session.close().await }
        };
        let closed = timeout(PATIENCE, closing).await.unwrap();
        assert!(matches!(closed, Err(Error::Undelivered(_))), "{closed:?}");
        assert!(client.with(|user, _| user.session(id).is_none()).unwrap(), "it is over");
    }
}
