//! What registrar and elements have in common: a thread that serves one connection after another.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// What a peer does with a connection.
pub(crate) trait Serve: Send + 'static {
    /// Serves one pool user until it leaves; breaks off where the peer dies of it.
    fn serve(&mut self, stream: TcpStream) -> io::Result<ControlFlow<()>>;
}

/// A peer at work.
pub(crate) struct Peer<S> {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<S>>,
}

impl<S: Serve> Peer<S> {
    /// Lets `service` listen on a free port of this machine.
    pub(crate) fn start(mut service: S) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) || service.serve(stream?)?.is_break() {
                    break;
                }
            }
            Ok(service)
        });
        Ok(Self { address, stopping, thread })
    }

    /// Ends the peer once its last user has left, and returns it with what it saw.
    pub(crate) fn stop(self) -> io::Result<S> {
        self.stopping.store(true, Ordering::Relaxed);
        if !self.thread.is_finished() {
            // A user that it waits for wakes it up. It may have come to its end meanwhile.
            let _ = TcpStream::connect(self.address);
        }
        self.thread.join().map_err(|_| io::Error::other("a peer panicked"))?
    }
}
