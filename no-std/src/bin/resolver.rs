//! The resolver level (RFC 5351 §4.1): resolves a pool handle, selects an element, finds it unreachable, selects another.
#![no_std]
#![no_main]

use asap_pu::Event;
use asap_pu::wire::PeIdentifier;
use no_std::{Driver, POOL};

fn run() -> Option<bool> {
    let mut driver = Driver::new()?;
    driver.user.resolve(driver.now, POOL).ok()?;
    let Event::RegistrarFound { .. } = driver.event()? else { return None };
    let Event::Resolved { pool, .. } = driver.event()? else { return None };
    let first = driver.user.pool_mut(driver.now, pool).ok()?.select(&[]).ok()?.identifier();
    let second = driver.user.pool_mut(driver.now, pool).ok()?.fail_over(first).ok()?;
    let second = (second.identifier(), second.transport().port());
    driver.change_registrar();
    driver.user.refresh(driver.now, POOL).ok()?;
    while !matches!(driver.event()?, Event::Resolved { .. }) {}
    let third = driver.user.pool_mut(driver.now, pool).ok()?.select(&[]).ok()?.identifier();
    driver.user.shut_down(driver.now);
    while driver.event().is_some() {}
    let right =
        (PeIdentifier::new(0x11), (PeIdentifier::new(0x12), Some(7)), PeIdentifier::new(0x13));
    Some((first, second, third) == right && driver.reports == 1)
}

fn is_right() -> bool {
    run() == Some(true)
}

no_std::program!(is_right);
