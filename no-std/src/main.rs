//! A program without the standard library, with its own allocator and panic handler, that resolves a pool handle.
//!
//! That it links is the proof: the standard library brings a panic handler of its own, and two do not fit into one
//! program. On a hosted target it also runs, and its exit status says whether the resolution came out right. A bare target
//! has nowhere to exit to; there it is linked only.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};

use asap_pu::wire::{Message, PeIdentifier, Policy, PoolElement, Protocol, Transport};
use asap_pu::{
    Action, Authentication, Capabilities, Config, Confirms, Event, Instant, Payload, PoolUser,
    Registrar,
};

/// A driver that speaks TCP.
const TCP: Capabilities = Capabilities::NONE
    .with_registrars(Protocol::Tcp)
    .with_elements(Protocol::Tcp, Confirms::Nothing);

/// Gives out memory from a fixed block and never takes it back.
struct Bump {
    block: UnsafeCell<[u8; 1 << 20]>,
    used: AtomicUsize,
}

// SAFETY: `used` hands each byte of the block out once.
unsafe impl Sync for Bump {}

// SAFETY: what is returned lies in the block, is aligned, and is given to nobody else.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.block.get() as usize;
        let mut place = 0;
        let fits = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            place = (base + used).next_multiple_of(layout.align()) - base;
            place.checked_add(layout.size()).filter(|end| *end <= 1 << 20)
        });
        match fits {
            Ok(_) => (base + place) as *mut u8,
            Err(_) => core::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static MEMORY: Bump = Bump { block: UnsafeCell::new([0; 1 << 20]), used: AtomicUsize::new(0) };

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    loop {}
}

/// Finds a registrar, asks it, takes its answer and chooses an element; `None` where anything is not as it should be.
fn resolve() -> Option<PeIdentifier> {
    let now = Instant::EPOCH;
    let mut config = Config::default();
    config.discovery.registrars.push(Registrar::tcp("192.0.2.1:3863".parse().ok()?));
    let mut pool_user = PoolUser::new(config, TCP, 1).ok()?;
    pool_user.resolve(now, "EchoPool").ok()?;

    let Action::Open { channel, .. } = pool_user.poll_action()? else { return None };
    pool_user.handle_opened(now, channel, Authentication::None);
    let Action::Send { payload: Payload::Control(request), .. } = pool_user.poll_action()? else {
        return None;
    };
    if Message::decode(&request).ok()? != Message::handle_resolution(false, "EchoPool", Some(128)) {
        return None;
    }

    let transport = Transport::tcp("192.0.2.2:7".parse().ok()?);
    let element = PoolElement::new(PeIdentifier::new(0x17), transport, Policy::RoundRobin);
    let answer = Message::handle_resolution_response("EchoPool", None, vec![element]);
    pool_user.handle_stream(now, channel, &answer.to_bytes().ok()?);

    let Event::RegistrarFound { .. } = pool_user.poll_event()? else { return None };
    let Event::Resolved { pool, .. } = pool_user.poll_event()? else { return None };
    let element = pool_user.pool_mut(now, pool).ok()?.select(&[]).ok()?;
    Some(element.identifier())
}

fn is_right() -> bool {
    resolve() == Some(PeIdentifier::new(0x17))
}

#[cfg(not(target_os = "none"))]
#[unsafe(no_mangle)]
extern "C" fn main() -> core::ffi::c_int {
    if is_right() { 0 } else { 1 }
}

/// The precompiled `alloc` of hosted targets can unwind and names this function; with `panic = "abort"` nothing calls it.
#[cfg(not(target_os = "none"))]
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

// The C library brings the code that calls `main`, and `memcpy`.
#[cfg(not(target_os = "none"))]
#[link(name = "c")]
unsafe extern "C" {}

#[cfg(target_os = "none")]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    core::hint::black_box(is_right());
    loop {}
}
