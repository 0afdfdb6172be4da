//! An operating system, or a browser.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::process::ExitCode;

pub fn write(text: &str) {
    // A reader that went away is no failure of the program's.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// What the program leaves with; an error is written.
pub fn end(result: Result<(), &'static str>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            let _ = writeln!(std::io::stderr(), "error: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Not known here.
pub fn stack() -> Option<usize> {
    None
}

/// The system's heap, which counts, and which can be closed. A microcontroller's is of so many bytes.
#[derive(Debug)]
pub struct Heap<const BYTES: usize> {
    open: AtomicBool,
    live: AtomicUsize,
    peak: AtomicUsize,
    refused: AtomicUsize,
}

impl<const BYTES: usize> Heap<BYTES> {
    /// Nothing allocated yet.
    #[expect(clippy::new_without_default, reason = "for statics alone")]
    pub const fn new() -> Self {
        Self {
            open: AtomicBool::new(true),
            live: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        }
    }

    /// From now on nothing is given.
    pub fn close(&self) {
        self.open.store(false, Relaxed);
    }

    /// The most bytes that were given at once.
    pub fn peak(&self) -> usize {
        self.peak.load(Relaxed)
    }

    /// Requests since it was closed.
    pub fn refused(&self) -> usize {
        self.refused.load(Relaxed)
    }
}

// SAFETY: memory comes from the system's allocator under its own contract; counting touches none of it.
unsafe impl<const BYTES: usize> GlobalAlloc for Heap<BYTES> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !self.open.load(Relaxed) {
            self.refused.fetch_add(1, Relaxed);
            return core::ptr::null_mut();
        }
        let live = self.live.fetch_add(layout.size(), Relaxed) + layout.size();
        self.peak.fetch_max(live, Relaxed);
        // SAFETY: passed on to the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.live.fetch_sub(layout.size(), Relaxed);
        // SAFETY: passed on to the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}
