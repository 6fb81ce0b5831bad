//! A whole lookup on a Cortex-M4: no operating system, no allocator, 64 KiB of RAM.
//!
//! Prints by semihosting what was found in the network inside of the image, and how much of the RAM
//! was used: what was linked into it, and the part of the stack that no longer looks as it was
//! painted before the start. The exit status says whether all was found.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use cortex_m_rt::{ExceptionFrame, entry, exception};
use metal_world::Found;
use semihosting::{print, println, process};

struct Log;

impl core::fmt::Write for Log {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        print!("{text}");
        Ok(())
    }
}

#[entry]
fn main() -> ! {
    let found = metal_world::run(&mut Log);
    let (linked, stack) = memory_used();
    println!("ram: {linked} bytes linked, {stack} bytes of stack");
    if found == Ok(Found::ALL) {
        println!("all was found");
        process::exit(0)
    }
    println!("not all was found");
    process::exit(1)
}

/// Bytes of statics, and the most that the stack had.
fn memory_used() -> (usize, usize) {
    unsafe extern "C" {
        static __sdata: u32;
        static _stack_end: u32;
        static _stack_start: u32;
    }
    let (ram, end, start) = (&raw const __sdata, &raw const _stack_end, &raw const _stack_start);
    let mut lowest = end;
    // SAFETY: from its end up to its start, where it begins to grow down, the stack is readable RAM.
    while lowest < start && unsafe { lowest.read_volatile() } == cortex_m_rt::STACK_PAINT_VALUE {
        lowest = lowest.wrapping_add(1);
    }
    (end.addr() - ram.addr(), start.addr() - lowest.addr())
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    println!("hard fault at {:#x}", frame.pc());
    process::exit(2)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("{info}");
    process::exit(101)
}
