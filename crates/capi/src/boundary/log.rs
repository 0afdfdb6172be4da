//! What the library would say.

use std::{
    ffi::{CString, c_char, c_void},
    panic,
    sync::{Mutex, Once, PoisonError},
};

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum yuragi_level {
    /// What was taken for granted.
    YURAGI_INFO = 0,
    /// What may not be what was meant, such as a word that the model never met.
    YURAGI_WARNING = 1,
    /// A mistake in the library.
    YURAGI_ERROR = 2,
}

pub use yuragi_level::{YURAGI_ERROR, YURAGI_INFO, YURAGI_WARNING};

/// Takes one line of the log, which is gone when it returns. It may be called from any thread that calls the library or
/// belongs to it, and may call the library.
pub type yuragi_logger = Option<unsafe extern "C" fn(user: *mut c_void, level: yuragi_level, line: *const c_char)>;

struct Logger {
    call: unsafe extern "C" fn(*mut c_void, yuragi_level, *const c_char),
    user: *mut c_void,
}

// SAFETY: the header asks for a function, and a `user`, that any thread may use.
unsafe impl Send for Logger {}

static LOGGER: Mutex<Option<Logger>> = Mutex::new(None);

/// Sets what takes the lines.
pub fn set(logger: yuragi_logger, user: *mut c_void) {
    *LOGGER.lock().unwrap_or_else(PoisonError::into_inner) = logger.map(|call| Logger { call, user });
}

/// Has panics go to the log instead of standard error.
pub fn take_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| panic::set_hook(Box::new(|info| log(YURAGI_ERROR, &info.to_string()))));
}

/// Says a line.
pub fn log(level: yuragi_level, line: &str) {
    let logger = LOGGER.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((call, user)) = logger.as_ref().map(|logger| (logger.call, logger.user)) else { return };
    // The function may set another logger.
    drop(logger);
    if let Ok(line) = CString::new(line.replace('\0', " ")) {
        // SAFETY: the caller's word for the function.
        unsafe { call(user, level, line.as_ptr()) };
    }
}
