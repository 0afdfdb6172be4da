//! Memory from the caller.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::UnsafeCell,
    ffi::c_void,
    sync::atomic::{AtomicU8, Ordering::*},
};

use super::pointer::{guard, item};
use crate::failure::{YURAGI_NULL, YURAGI_ORDER, failure, yuragi_status};

/// Where the library's memory comes from.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct yuragi_allocator {
    /// `size` bytes, at least 1, at a multiple of `alignment`, a power of two; NULL if there are none. What the library
    /// can do without is then refused with YURAGI_MEMORY; where it cannot, it ends the process, as Rust does.
    pub allocate: Option<unsafe extern "C" fn(user: *mut c_void, size: usize, alignment: usize) -> *mut c_void>,
    /// Takes back what `allocate` gave for these numbers.
    pub release: Option<unsafe extern "C" fn(user: *mut c_void, memory: *mut c_void, size: usize, alignment: usize)>,
    /// Given to both.
    pub user: *mut c_void,
}

/// Has all of the library's memory come from these functions, which several threads may call at the same time. This must
/// be the first call of the library: once it has memory of the system, as after a refusal, it answers YURAGI_ORDER. `user`
/// is used as long as the library is loaded. Threads that the library starts take their stacks from the system.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_set_allocator(allocator: *const yuragi_allocator) -> yuragi_status {
    // A refusal's line takes memory, and so makes the choice for the system.
    guard(|| {
        // SAFETY: the caller's word.
        let allocator = *unsafe { item("the allocator", allocator) }?;
        let (Some(allocate), Some(release)) = (allocator.allocate, allocator.release) else {
            return Err(failure(YURAGI_NULL, "a function of the allocator is NULL"));
        };
        if HEAP.state.compare_exchange(UNTOUCHED, CHOOSING, AcqRel, Acquire).is_err() {
            return Err(failure(YURAGI_ORDER, "the allocator must be set once, before every other call"));
        }
        // SAFETY: only the thread that left `UNTOUCHED` writes, and nobody reads before `CALLERS`.
        unsafe { *HEAP.callers.get() = Some(Callers { allocate, release, user: allocator.user }) };
        HEAP.state.store(CALLERS, Release);
        Ok(())
    })
}

#[derive(Clone, Copy)]
struct Callers {
    allocate: unsafe extern "C" fn(*mut c_void, usize, usize) -> *mut c_void,
    release: unsafe extern "C" fn(*mut c_void, *mut c_void, usize, usize),
    user: *mut c_void,
}

struct Heap {
    state: AtomicU8,
    callers: UnsafeCell<Option<Callers>>,
}

/// Nothing was allocated and nothing chosen.
const UNTOUCHED: u8 = 0;
/// Memory comes from the system.
const SYSTEM: u8 = 1;
const CHOOSING: u8 = 2;
/// Memory comes from the caller.
const CALLERS: u8 = 3;

#[global_allocator]
static HEAP: Heap = Heap { state: AtomicU8::new(UNTOUCHED), callers: UnsafeCell::new(None) };

// SAFETY: `callers` is written once, before `state` lets anybody read it.
unsafe impl Sync for Heap {}

impl Heap {
    /// The caller's functions, unless memory comes from the system, which it does from the first use on.
    fn callers(&self) -> Option<Callers> {
        let mut state = self.state.load(Acquire);
        while state == UNTOUCHED {
            state = match self.state.compare_exchange(UNTOUCHED, SYSTEM, AcqRel, Acquire) {
                Ok(_) => SYSTEM,
                Err(other) => other,
            };
        }
        while state == CHOOSING {
            std::hint::spin_loop();
            state = self.state.load(Acquire);
        }
        // SAFETY: written before `CALLERS` was, and not again.
        if state == CALLERS { unsafe { *self.callers.get() } } else { None }
    }
}

// SAFETY: memory is the system's, or the caller's, whose word is taken that it is such memory.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.callers() {
            // SAFETY: as the header asks; `layout` is not empty.
            Some(c) => unsafe { (c.allocate)(c.user, layout.size(), layout.align()).cast() },
            // SAFETY: passed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        match self.callers() {
            // SAFETY: `alloc` gave it for this layout.
            Some(c) => unsafe { (c.release)(c.user, memory.cast(), layout.size(), layout.align()) },
            // SAFETY: passed on.
            None => unsafe { System.dealloc(memory, layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if self.callers().is_none() {
            // SAFETY: passed on; the system's pages are zeros without being written.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: passed on.
        let memory = unsafe { self.alloc(layout) };
        if !memory.is_null() {
            // SAFETY: so many bytes are there.
            unsafe { memory.write_bytes(0, layout.size()) };
        }
        memory
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if self.callers().is_none() {
            // SAFETY: passed on.
            return unsafe { System.realloc(memory, layout, size) };
        }
        // SAFETY: the caller of `realloc` has checked that the size fits the alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: `size` is not 0.
        let there = unsafe { self.alloc(new) };
        if !there.is_null() {
            // SAFETY: both have that many bytes, and are apart.
            unsafe {
                memory.copy_to_nonoverlapping(there, layout.size().min(size));
                self.dealloc(memory, layout);
            }
        }
        there
    }
}
