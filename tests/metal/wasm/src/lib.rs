//! A whole lookup in a WebAssembly module that imports nothing: not even memory.
//!
//! JavaScript calls [`run`], and reads what it wrote from [`text`] and [`text_len`] on.
#![no_std]

use core::fmt;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

use metal_world::Found;

/// Atomic, so that it can be written without `unsafe`; there is only one thread.
static TEXT: [AtomicU8; 4_096] = [const { AtomicU8::new(0) }; 4_096];
static LEN: AtomicUsize = AtomicUsize::new(0);

struct Log;

impl fmt::Write for Log {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let place = TEXT.get(LEN.load(Relaxed)).ok_or(fmt::Error)?;
            place.store(byte, Relaxed);
            LEN.fetch_add(1, Relaxed);
        }
        Ok(())
    }
}

/// Looks for peers; returns how many it found, or none if any was missed.
#[unsafe(no_mangle)]
pub extern "C" fn run() -> u32 {
    LEN.store(0, Relaxed);
    match metal_world::run(&mut Log) {
        Ok(found) if found == Found::ALL => found.again + found.second + found.tracked,
        _ => 0,
    }
}

/// Where the text begins.
#[unsafe(no_mangle)]
pub extern "C" fn text() -> *const AtomicU8 {
    TEXT.as_ptr()
}

/// How many bytes it has.
#[unsafe(no_mangle)]
pub extern "C" fn text_len() -> usize {
    LEN.load(Relaxed)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
