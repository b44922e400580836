//! The session level (RFC 5351 §4.2): a message goes to an element, past one that refuses, and comes back as an echo.
#![no_std]
#![no_main]

use asap_pu::{Event, Failover, SessionOptions};
use no_std::{Driver, POOL};

fn run() -> Option<bool> {
    let mut driver = Driver::new()?;
    let session = driver.user.open_session(driver.now, POOL, SessionOptions::default()).ok()?;
    let sent = driver.user.session_mut(driver.now, session).ok()?;
    let sent = { sent }.send("hello", Failover::Unconfirmed).ok()?;
    let echo = loop {
        match driver.event()? {
            Event::Received { data, .. } => break data,
            Event::Returned { .. } | Event::Lost { .. } | Event::SessionEnded { .. } => {
                return None;
            }
            _ => {}
        }
    };
    let mut at = driver.user.session_mut(driver.now, session).ok()?;
    let confirmed = at.confirm(sent);
    // No answer to the next one: whoever has it is as good as dead.
    at.send("hello again", Failover::Undelivered).ok()?;
    at.give_up().ok()?;
    while !matches!(driver.event()?, Event::FailedOver { .. }) {}
    driver.user.session_mut(driver.now, session).ok()?.close().ok()?;
    while !matches!(driver.event()?, Event::SessionEnded { .. }) {}
    driver.user.shut_down(driver.now);
    while driver.event().is_some() {}
    Some(echo == "hello" && confirmed && driver.called == 3 && driver.reports == 1)
}

fn is_right() -> bool {
    run() == Some(true)
}

no_std::program!(is_right);
