//! Why a call did not do what it was asked to.

use std::{cell::RefCell, fmt};

/// What a function answers.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum yuragi_status {
    /// It did what it was asked to.
    YURAGI_OK = 0,
    /// A pointer that must not be is NULL.
    YURAGI_NULL = 1,
    /// A text is not UTF-8.
    YURAGI_TEXT = 2,
    /// A number, a name or a length outside its legal range.
    YURAGI_RANGE = 3,
    /// A buffer is too short.
    YURAGI_BUFFER = 4,
    /// Too early or too late: what is asked for is not there yet, or no more.
    YURAGI_ORDER = 5,
    /// Another call works on this handle.
    YURAGI_BUSY = 6,
    /// A file that cannot be opened.
    YURAGI_FILE = 7,
    /// A file or a text that is not what it should be.
    YURAGI_FORMAT = 8,
    /// A graph that cannot be built or run.
    YURAGI_GRAPH = 9,
    /// There is not enough memory.
    YURAGI_MEMORY = 10,
    /// It was cancelled.
    YURAGI_CANCELLED = 11,
    /// This library was built without it.
    YURAGI_UNSUPPORTED = 12,
    /// A mistake in this library; the handle is good for nothing but to be freed. A library that was built to be small
    /// (`cargo xtask capi`) says its line to the log as YURAGI_ERROR, and ends the process.
    YURAGI_INTERNAL = 13,
}

pub use yuragi_status::*;

impl yuragi_status {
    /// Every status with its meaning, in order.
    pub const ALL: [(yuragi_status, &std::ffi::CStr); 14] = [
        (YURAGI_OK, c"success"),
        (YURAGI_NULL, c"a pointer is NULL"),
        (YURAGI_TEXT, c"a text is not UTF-8"),
        (YURAGI_RANGE, c"a value is out of range"),
        (YURAGI_BUFFER, c"a buffer is too short"),
        (YURAGI_ORDER, c"called too early or too late"),
        (YURAGI_BUSY, c"another call works on this handle"),
        (YURAGI_FILE, c"a file cannot be opened"),
        (YURAGI_FORMAT, c"a file or a text is not what it should be"),
        (YURAGI_GRAPH, c"a graph cannot be built or run"),
        (YURAGI_MEMORY, c"not enough memory"),
        (YURAGI_CANCELLED, c"cancelled"),
        (YURAGI_UNSUPPORTED, c"not a part of this library"),
        (YURAGI_INTERNAL, c"a mistake in the library"),
    ];
}

/// A status and one line that says what, where, and what would be legal.
#[derive(Debug, Clone)]
pub struct Failure {
    pub status: yuragi_status,
    pub message: String,
}

/// What a call gives.
pub type Answer<T = ()> = Result<T, Failure>;

/// A failure with this line.
pub fn failure(status: yuragi_status, message: impl fmt::Display) -> Failure {
    Failure { status, message: message.to_string() }
}

/// The longest line that is kept, its final 0 included.
const LONGEST: usize = 1024;

thread_local! {
    /// The last failure's line on this thread, ended by 0.
    static LAST: RefCell<[u8; LONGEST]> = const { RefCell::new([0; LONGEST]) };
}

/// Keeps a line for whoever asks after it, cut between two letters if it is too long.
pub fn keep(message: &str) {
    LAST.with_borrow_mut(|last| {
        let end = message.floor_char_boundary(LONGEST - 1);
        last[..end].copy_from_slice(&message.as_bytes()[..end]);
        // No 0 within the line.
        last[..end].iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
        last[end] = 0;
    });
}

/// Where that line is, until this thread's next failure.
pub fn last() -> *const u8 {
    LAST.with(|last| last.as_ptr().cast())
}
