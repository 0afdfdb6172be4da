//! Versions and words.

use std::ffi::{CStr, c_char, c_void};

use super::{log, pointer::guard};
use crate::failure::{last, yuragi_status};

/// This library's version, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn yuragi_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// The meaning of a status, in a few words; never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn yuragi_status_text(status: i32) -> *const c_char {
    let known = yuragi_status::ALL.iter().find(|(known, _)| *known as i32 == status);
    known.map_or(c"no status of this library", |(_, text): &(_, &CStr)| *text).as_ptr()
}

/// One line about the last call of this thread that failed: what, where, and what would be legal. Empty if none did.
/// It lies there until the thread's next call that fails.
#[unsafe(no_mangle)]
pub extern "C" fn yuragi_last_error() -> *const c_char {
    last().cast()
}

/// Sets what takes the library's lines; NULL for nobody, as in the beginning. A line that another thread says at the same
/// time may still go to the former one. The library itself never prints.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_set_log(logger: log::yuragi_logger, user: *mut c_void) -> yuragi_status {
    guard(|| {
        log::set(logger, user);
        Ok(())
    })
}
