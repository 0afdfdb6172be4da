//! An allocator that counts, to prove where nothing is allocated and how much memory a run takes.
#![allow(unsafe_code)] // an allocator is unsafe to implement; every call goes on to the system's

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The system's allocator, counting calls of all threads and bytes. Install it with `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting {
    calls: AtomicUsize,
    live: AtomicUsize,
    peak: AtomicUsize,
}

impl Default for Counting {
    fn default() -> Counting {
        Counting::new()
    }
}

impl Counting {
    /// Nothing counted yet.
    pub const fn new() -> Counting {
        Counting { calls: AtomicUsize::new(0), live: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }

    /// Allocations and growths so far.
    pub fn calls(&self) -> usize {
        self.calls.load(Relaxed)
    }

    /// Bytes allocated now.
    pub fn live(&self) -> usize {
        self.live.load(Relaxed)
    }

    /// Most bytes allocated at once since [`Counting::forget_peak`].
    pub fn peak(&self) -> usize {
        self.peak.load(Relaxed)
    }

    /// Begins a new peak at what is allocated now.
    pub fn forget_peak(&self) {
        self.peak.store(self.live(), Relaxed);
    }

    fn took(&self, bytes: usize) {
        self.calls.fetch_add(1, Relaxed);
        let live = self.live.fetch_add(bytes, Relaxed) + bytes;
        self.peak.fetch_max(live, Relaxed);
    }
}

// SAFETY: memory comes from the system's allocator under its own contract; counting touches none of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.took(layout.size());
        // SAFETY: passed on to the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.live.fetch_sub(layout.size(), Relaxed);
        // SAFETY: passed on to the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}
