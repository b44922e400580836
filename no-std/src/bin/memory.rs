//! What a small pool user holds in memory: prints the bytes of itself and of what it has on the heap, after each step.
//! On a bare target it is linked only.
#![no_std]
#![no_main]

use asap_pu::{Event, PoolUser};
use no_std::{Driver, MEMORY, POOL, print};

fn run() -> Option<bool> {
    let mut driver = Driver::new()?;
    let told = |step| print(step, size_of::<PoolUser>() + MEMORY.held());
    told(c"begun");
    driver.user.registrars_mut(driver.now).find_home();
    let Event::RegistrarFound { .. } = driver.event()? else { return None };
    told(c"home");
    driver.user.resolve(driver.now, POOL).ok()?;
    let Event::Resolved { pool, .. } = driver.event()? else { return None };
    driver.user.pool_mut(driver.now, pool).ok()?.select(&[]).ok()?;
    told(c"pool-of-three");
    print(c"most", size_of::<PoolUser>() + MEMORY.most());
    Some(true)
}

fn is_right() -> bool {
    run() == Some(true)
}

no_std::program!(is_right);
