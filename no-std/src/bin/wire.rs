//! The codec alone: asks who is in a pool, and reads the answer in place.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::hint::black_box;

use asap_pu::wire::{self, BodyRef, MessageRef, Notes};
use no_std::{ANSWER, POOL, REQUEST};

fn run() -> Option<bool> {
    let mut request = Vec::new();
    wire::encode_handle_resolution(&mut request, POOL.as_bytes(), false, Some(16)).ok()?;
    // As if it came from a network.
    let answer = black_box(&ANSWER[..]);
    let BodyRef::HandleResolutionResponse { handle, elements, .. } =
        MessageRef::decode(answer, &mut Notes::default()).ok()?.body
    else {
        return None;
    };
    let mut addresses = 0;
    for element in elements {
        addresses += element.transport.addresses().count();
    }
    Some(request == REQUEST && handle == POOL.as_bytes() && addresses == 3)
}

fn is_right() -> bool {
    run() == Some(true)
}

no_std::program!(is_right);
