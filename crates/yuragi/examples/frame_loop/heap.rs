//! An engine's heap: open while it loads, closed while it runs.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

/// The system's memory, as long as it is given out: a closed heap refuses, and what cannot do without memory ends the
/// program.
pub struct Heap {
    closed: AtomicBool,
    pieces: AtomicUsize,
    bytes: AtomicUsize,
}

impl Heap {
    pub const fn new() -> Heap {
        Heap { closed: AtomicBool::new(false), pieces: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    /// From now on nothing is given out.
    pub fn close(&self) {
        self.closed.store(true, Relaxed);
    }

    /// From now on memory is given out again.
    pub fn open(&self) {
        self.closed.store(false, Relaxed);
    }

    /// Opens the heap for one call; returns what it gave, the pieces that it took, and their bytes.
    pub fn opened<T>(&self, call: impl FnOnce() -> T) -> (T, usize, usize) {
        let (pieces, bytes) = (self.pieces.load(Relaxed), self.bytes.load(Relaxed));
        self.open();
        let result = call();
        self.close();
        (result, self.pieces.load(Relaxed) - pieces, self.bytes.load(Relaxed) - bytes)
    }
}

// SAFETY: memory is the system's, or there is none.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.closed.load(Relaxed) {
            return std::ptr::null_mut();
        }
        self.pieces.fetch_add(1, Relaxed);
        self.bytes.fetch_add(layout.size(), Relaxed);
        // SAFETY: passed on to the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: passed on to the caller.
        unsafe { System.dealloc(memory, layout) }
    }
}
