//! What a program without the standard library needs beside its own code: an allocator, a panic handler, and a place
//! where it begins.
#![no_std]

mod driver;
mod messages;

pub use driver::Driver;
pub use messages::{ANNOUNCE, ANSWER, POOL, REPORT, REQUEST};

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::CStr;
#[cfg(not(target_os = "none"))]
use core::ffi::{c_char, c_int};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Gives out memory from a fixed block and never takes it back; counts what a better one would hold.
pub struct Memory {
    block: UnsafeCell<[u8; BLOCK]>,
    used: AtomicUsize,
    held: AtomicUsize,
    most: AtomicUsize,
}

const BLOCK: usize = 64 << 10;

impl Memory {
    const fn new() -> Self {
        let block = UnsafeCell::new([0; BLOCK]);
        let (used, held, most) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        Self { block, used, held, most }
    }

    /// How many bytes are held at present.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// How many were held at most at one time.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

// SAFETY: `used` hands each byte of the block out once.
unsafe impl Sync for Memory {}

// SAFETY: what is returned lies in the block, is aligned, and is given to nobody else.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.block.get() as usize;
        let mut place = 0;
        let fits = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            place = (base + used).next_multiple_of(layout.align()) - base;
            place.checked_add(layout.size()).filter(|end| *end <= BLOCK)
        });
        if fits.is_err() {
            return core::ptr::null_mut();
        }
        let held = self.held.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        self.most.fetch_max(held, Ordering::Relaxed);
        (base + place) as *mut u8
    }

    unsafe fn dealloc(&self, _: *mut u8, layout: Layout) {
        self.held.fetch_sub(layout.size(), Ordering::Relaxed);
    }
}

#[global_allocator]
pub static MEMORY: Memory = Memory::new();

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Makes a function the program: on a hosted target its answer, whether all came out right, becomes the exit status. A
/// bare target has nowhere to exit to; there it is linked only.
#[macro_export]
macro_rules! program {
    ($is_right:ident) => {
        #[cfg(not(target_os = "none"))]
        #[unsafe(no_mangle)]
        extern "C" fn main() -> core::ffi::c_int {
            if $is_right() { 0 } else { 1 }
        }

        #[cfg(target_os = "none")]
        #[unsafe(no_mangle)]
        extern "C" fn _start() -> ! {
            core::hint::black_box($is_right());
            loop {}
        }
    };
}

/// The precompiled `alloc` of hosted targets can unwind and names this function; with `panic = "abort"` nothing calls it.
#[cfg(not(target_os = "none"))]
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

// The C library brings the code that calls `main`, and `memcpy`.
#[cfg(not(target_os = "none"))]
#[link(name = "c")]
unsafe extern "C" {}

/// Prints a line of a table where there is somewhere to print to.
#[cfg(not(target_os = "none"))]
pub fn print(what: &CStr, bytes: usize) {
    unsafe extern "C" {
        fn printf(format: *const c_char, ...) -> c_int;
    }
    // SAFETY: the format takes a string and a number of that size.
    unsafe { printf(c"%s %zu\n".as_ptr(), what.as_ptr(), bytes) };
}

/// Prints a line of a table where there is somewhere to print to.
#[cfg(target_os = "none")]
pub fn print(what: &CStr, bytes: usize) {
    core::hint::black_box((what, bytes));
}
