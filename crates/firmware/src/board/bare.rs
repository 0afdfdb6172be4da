//! A microcontroller: one core, no interrupts, a debugger or an emulator that takes the output.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use core::ptr::{self, NonNull};

use linked_list_allocator as list;
use semihosting::io::Write;

use super::Console;

pub fn write(text: &str) {
    // Without a debugger there is nobody to tell.
    if let Ok(mut out) = semihosting::io::stdout() {
        let _ = out.write_all(text.as_bytes());
    }
}

/// Ends the program; an error is written and is the debugger's exit status 1.
pub fn end(result: Result<(), &'static str>) -> ! {
    match result {
        Ok(()) => semihosting::process::exit(0),
        Err(reason) => {
            Console.text("error: ").text(reason).text("\n");
            semihosting::process::exit(1)
        }
    }
}

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    let (file, line) = info.location().map_or(("?", 0), |location| (location.file(), location.line()));
    Console.text("panic at ").text(file).text(":").number(line.into()).text("\n");
    semihosting::process::exit(101)
}

unsafe extern "C" {
    static mut _stack_end: u32;
    static mut _stack_start: u32;
}

/// The most bytes of stack that were in use at once, by the paint that is left at its far end.
pub fn stack() -> Option<usize> {
    let (end, start) = (&raw const _stack_end, &raw const _stack_start);
    let mut word = end;
    // SAFETY: the linker's two symbols bound memory that is the stack's alone, painted at reset, in whole words; the
    // reads are volatile because the part in use belongs to others.
    unsafe {
        while word < start && ptr::read_volatile(word) == cortex_m_rt::STACK_PAINT_VALUE {
            word = word.add(1);
        }
        Some(start.byte_offset_from(word) as usize)
    }
}

unsafe extern "C" {
    /// Defined nowhere: a linker that meets a call of it stops.
    fn a_program_without_a_heap_allocates() -> *mut u8;
}

/// An allocator for programs that have none: what can reach it does not link.
#[derive(Debug)]
pub struct NoHeap;

// SAFETY: a program in which either function could be called does not link.
unsafe impl GlobalAlloc for NoHeap {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        // SAFETY: never linked.
        unsafe { a_program_without_a_heap_allocates() }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {
        // SAFETY: never linked.
        unsafe { a_program_without_a_heap_allocates() };
    }
}

/// A heap of so many bytes, which counts, and which can be closed.
pub struct Heap<const BYTES: usize> {
    memory: UnsafeCell<Aligned<BYTES>>,
    state: UnsafeCell<State>,
}

#[repr(align(16))]
struct Aligned<const BYTES: usize>(MaybeUninit<[u8; BYTES]>);

/// All zeros at first, so that the heap is no part of what lies in flash.
struct State {
    list: list::Heap,
    begun: bool,
    closed: bool,
    peak: usize,
    refused: usize,
}

// SAFETY: one core without interrupts: there is never a second user.
unsafe impl<const BYTES: usize> Sync for Heap<BYTES> {}

impl<const BYTES: usize> Heap<BYTES> {
    /// Nothing allocated yet.
    #[expect(clippy::new_without_default, reason = "for statics alone")]
    pub const fn new() -> Self {
        let state = State { list: list::Heap::empty(), begun: false, closed: false, peak: 0, refused: 0 };
        Self { memory: UnsafeCell::new(Aligned(MaybeUninit::uninit())), state: UnsafeCell::new(state) }
    }

    fn with<R>(&self, then: impl FnOnce(&mut State) -> R) -> R {
        // SAFETY: one core without interrupts, and nothing that `then` does allocates.
        let state = unsafe { &mut *self.state.get() };
        if !state.begun {
            // SAFETY: this memory is the list's alone from now on.
            unsafe { state.list.init(self.memory.get().cast(), BYTES) };
            state.begun = true;
        }
        then(state)
    }

    /// From now on nothing is given.
    pub fn close(&self) {
        self.with(|state| state.closed = true);
    }

    /// The most bytes that were given at once.
    pub fn peak(&self) -> usize {
        self.with(|state| state.peak)
    }

    /// Requests since it was closed.
    pub fn refused(&self) -> usize {
        self.with(|state| state.refused)
    }
}

// SAFETY: memory comes from the list's own part of `memory`.
unsafe impl<const BYTES: usize> GlobalAlloc for Heap<BYTES> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.with(|state| {
            if state.closed {
                state.refused += 1;
                return ptr::null_mut();
            }
            let given = state.list.allocate_first_fit(layout).map_or(ptr::null_mut(), NonNull::as_ptr);
            state.peak = state.peak.max(state.list.used());
            given
        })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some(pointer) = NonNull::new(pointer) else { return };
        // SAFETY: the caller gives back what `alloc` gave.
        self.with(|state| unsafe { state.list.deallocate(pointer, layout) });
    }
}
