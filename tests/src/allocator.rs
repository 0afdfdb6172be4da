//! An allocator that counts, to prove where nothing is allocated and how much memory a run takes.
#![allow(unsafe_code)] // an allocator is unsafe to implement; every call goes on to the system's

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

thread_local! {
    /// Has an address of its own on each thread.
    static PLACE: u8 = const { 0 };
}

/// The system's allocator, counting calls and bytes of all threads but the program's first, on which a test's harness waits
/// and may say that a test is slow, unless that one runs the test ([`Counting::count_here`]). Install it with `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting {
    first: AtomicUsize,
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
        let [first, calls, live, peak] = [const { AtomicUsize::new(0) }; 4];
        Counting { first, calls, live, peak }
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

    /// Counts this thread in any case: a harness with one thread runs its tests on the program's first.
    pub fn count_here(&self) {
        if !self.counts() {
            self.first.store(usize::MAX, Relaxed);
        }
    }

    /// Whether this thread counts. The first one to ask is the program's first.
    fn counts(&self) -> bool {
        let Ok(own) = PLACE.try_with(|place| std::ptr::from_ref(place).addr()) else { return true };
        match self.first.compare_exchange(0, own, Relaxed, Relaxed) {
            Ok(_) => false,
            Err(first) => first != own,
        }
    }

    fn took(&self, bytes: usize) {
        if !self.counts() {
            return;
        }
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
        if self.counts() {
            self.live.fetch_sub(layout.size(), Relaxed);
        }
        // SAFETY: passed on to the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}
