//! A pool that is reached through a gateway, over a single link.
//!
//! `cargo run --example wrapped` prints every frame on the link. The driver to copy is `driver.rs`;
//! the far end of the link is in `gateway.rs`.
#![allow(clippy::std_instead_of_alloc, reason = "programs have `std`")]

mod driver;
mod gateway;

use core::error::Error;
use std::collections::VecDeque;
use std::sync::mpsc;
use std::thread;

use asap_pu::wire::ASAP_PORT;
use asap_pu::{Config, Event, Failover, Registrar};
use driver::Driver;

fn main() -> Result<(), Box<dyn Error>> {
    let (sums, frames) = run()?;
    frames.iter().for_each(|frame| println!("{frame}"));
    println!("the sums: {sums:?}");
    Ok(())
}

/// Has a pool of adders sum up the numbers from 1 to 5. What an adder knows is in its cookie, so
/// that the next one goes on where the former has died. Returns the sums and what passed over the
/// link.
pub(crate) fn run() -> Result<(Vec<String>, Vec<String>), Box<dyn Error>> {
    let mut config = Config::default();
    config.discovery.registrars.push(Registrar::tcp(([192, 0, 2, 1], ASAP_PORT).into()));
    let ((to_gateway, from_driver), (to_driver, from_gateway)) = (mpsc::channel(), mpsc::channel());
    let gateway = thread::spawn(|| gateway::run((to_driver, from_driver)));
    let mut driver = Driver::new(config, (to_gateway, from_gateway))?;

    let session = driver.user.open_session(driver.now(), "Adders", Default::default())?;
    let (mut waiting, mut sums) = (VecDeque::new(), Vec::new());
    for number in 1..=5 {
        let (now, number) = (driver.now(), number.to_string());
        waiting
            .push_back(driver.user.session_mut(now, session)?.send(number, Failover::Unconfirmed)?);
    }
    while let Some(first) = waiting.front() {
        match driver.event()? {
            Some(Event::Received { data, .. }) => {
                driver.user.session_mut(driver.now(), session)?.confirm(*first);
                waiting.pop_front();
                sums.push(String::from_utf8(data.into())?);
            }
            Some(Event::Returned { reason, .. } | Event::Lost { reason, .. }) => {
                return Err(format!("a number was not added: {reason}").into());
            }
            Some(Event::SessionEnded { error: Some(error), .. }) => return Err(error.into()),
            _ => {}
        }
    }
    driver.shut_down()?;
    let Driver { frames, link, .. } = driver;
    drop(link); // The gateway hears of nobody any more.
    gateway.join().expect("the gateway does not panic");
    Ok((sums, frames))
}
