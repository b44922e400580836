//! An element that is well and keeps no association that nobody uses: it echoes messages, and after
//! so many seconds of silence it ends an association in good order.
//!
//! `idle ADDRESS:PORT SECONDS`; it does not register, `elements` does. One line tells of each
//! association that begins or ends.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use std::{env, io, thread};

use asap_pu_tokio::sctp::{Association, Incoming};
use socket2::{Domain, Protocol, Socket, Type};

const SILENCE: &str = "ended for silence";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = env::args().skip(1).collect();
    let [at, patience] = &args[..] else { return Err("usage: idle ADDRESS:PORT SECONDS".into()) };
    let (at, patience) = (at.parse::<SocketAddr>()?, Duration::from_secs(patience.parse()?));
    let listener = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::SCTP))?;
    listener.bind(&at.into())?;
    listener.listen(16)?;
    loop {
        let association = Association::over(listener.accept()?.0)?;
        println!("begins");
        thread::spawn(move || match serve(association, patience) {
            Ok(end) => println!("{end}"),
            Err(error) => println!("breaks: {error}"),
        });
    }
}

/// How an association ends.
fn serve(mut association: Association, patience: Duration) -> io::Result<&'static str> {
    let (mut heard, mut buffer) = (Instant::now(), vec![0; 0x1_0000]);
    let mut end = "left by the user";
    loop {
        match association.receive(&mut buffer) {
            Ok(Incoming::Message { ppid, data }) => {
                heard = Instant::now();
                association.send(&data, ppid, 0, false)?;
            }
            Ok(Incoming::Ended) => return Ok(end),
            Ok(Incoming::Lost | Incoming::Restarted) => {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if heard.elapsed() >= patience && end != SILENCE {
                    association.shut_down()?;
                    end = SILENCE;
                }
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error),
        }
    }
}
