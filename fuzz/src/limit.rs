//! Ends the process that asks for more memory than the small files of a fuzzer need, so that a count that can't be true
//! is a finding. libFuzzer's own limits see only memory that is used, or need a sanitizer.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes at once: a page of a Parquet file may have 16 MiB, and a vector grows twofold.
const MOST_AT_ONCE: usize = 40 << 20;

/// Bytes in all.
const MOST: usize = 256 << 20;

struct Limited;

#[global_allocator]
static LIMITED: Limited = Limited;

static HELD: AtomicUsize = AtomicUsize::new(0);

fn take(size: usize) {
    let held = HELD.fetch_add(size, Ordering::Relaxed).saturating_add(size);
    if size > MOST_AT_ONCE || held > MOST {
        // Printing it takes memory once more.
        HELD.store(0, Ordering::Relaxed);
        eprintln!("{size} bytes are asked for at once, {held} in all");
        std::process::abort();
    }
}

fn give(size: usize) {
    HELD.fetch_sub(size, Ordering::Relaxed);
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size);
        give(layout.size());
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        give(layout.size());
        unsafe { System.dealloc(at, layout) }
    }
}
