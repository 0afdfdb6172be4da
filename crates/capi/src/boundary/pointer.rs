//! Pointers of the caller: followed here, or refused.

use std::{
    ffi::{CStr, c_char},
    mem::forget,
    panic::{AssertUnwindSafe, catch_unwind},
    slice,
    sync::{Arc, Mutex, MutexGuard, TryLockError},
};

use super::log::take_panics;
use crate::failure::{Answer, YURAGI_BUSY, YURAGI_INTERNAL, YURAGI_MEMORY, YURAGI_NULL, YURAGI_OK, YURAGI_RANGE};
use crate::failure::{YURAGI_TEXT, failure, keep, yuragi_status};

/// Runs the body of an exported function: failures are kept for `yuragi_last_error`, and nothing unwinds.
pub fn guard(body: impl FnOnce() -> Answer) -> yuragi_status {
    value_or(body).err().unwrap_or(YURAGI_OK)
}

/// The same where there is something to return.
pub fn value_or<T>(body: impl FnOnce() -> Answer<T>) -> Result<T, yuragi_status> {
    take_panics();
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(failure)) => {
            keep(&failure.message);
            Err(failure.status)
        }
        Err(panic) => {
            // Its destructor may be what panics next.
            forget(panic);
            keep("a mistake in the library; what was asked for was not done");
            Err(YURAGI_INTERNAL)
        }
    }
}

fn null(what: &str) -> crate::failure::Failure {
    failure(YURAGI_NULL, format_args!("{what} is NULL"))
}

/// What a handle stands for, kept alive for the call.
///
/// # Safety
/// NULL, or what [`give`] gave and [`free`] has not taken back.
pub unsafe fn held<T>(what: &str, handle: *const T) -> Answer<Arc<T>> {
    if handle.is_null() {
        return Err(null(what));
    }
    // SAFETY: the handle is a reference that `give` has counted.
    unsafe {
        Arc::increment_strong_count(handle);
        Ok(Arc::from_raw(handle))
    }
}

/// Hands a new handle out.
///
/// # Safety
/// NULL, or room for a pointer.
pub unsafe fn give<T>(out: *mut *mut T, make: impl FnOnce() -> Answer<T>) -> Answer {
    if out.is_null() {
        return Err(null("the place for the new handle"));
    }
    // SAFETY: not null, and the caller's word for the rest. A caller that overlooks a failure finds NULL.
    unsafe { out.write(std::ptr::null_mut()) };
    let handle = Arc::into_raw(Arc::new(make()?)).cast_mut();
    // SAFETY: as above.
    unsafe { out.write(handle) };
    Ok(())
}

/// Takes a handle back; nothing if it is NULL.
///
/// # Safety
/// As [`held`]; the handle is not used again.
pub unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: the reference that `give` has counted.
        let held = AssertUnwindSafe(unsafe { Arc::from_raw(handle) });
        // A destructor that panics leaks what is left.
        if let Err(panic) = catch_unwind(move || drop(held)) {
            forget(panic);
        }
    }
}

/// The inside of a handle, for this call alone.
pub fn locked<'a, T>(what: &str, mutex: &'a Mutex<T>) -> Answer<MutexGuard<'a, T>> {
    mutex.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => failure(YURAGI_BUSY, format_args!("another call works on {what}")),
        TryLockError::Poisoned(_) => broken(what),
    })
}

/// What a handle is after a mistake in this library.
pub fn broken(what: &str) -> crate::failure::Failure {
    failure(YURAGI_INTERNAL, format_args!("{what} was broken by an earlier mistake in the library; free it"))
}

/// A text.
///
/// # Safety
/// NULL, or bytes that end with 0 and stay as they are during the call.
pub unsafe fn text<'a>(what: &str, text: *const c_char) -> Answer<&'a str> {
    if text.is_null() {
        return Err(null(what));
    }
    // SAFETY: not null, and the caller's word for the rest.
    let bytes = unsafe { CStr::from_ptr(text) };
    bytes.to_str().map_err(|error| failure(YURAGI_TEXT, format_args!("{what} is not UTF-8: {error}")))
}

/// A text that may be left out.
///
/// # Safety
/// As [`text`].
pub unsafe fn text_or<'a>(what: &str, given: *const c_char, otherwise: &'a str) -> Answer<&'a str> {
    // SAFETY: passed on to the caller.
    if given.is_null() { Ok(otherwise) } else { unsafe { text(what, given) } }
}

/// Whether so many elements may lie there.
fn lies<T>(what: &str, items: *const T, count: usize) -> Answer {
    if items.is_null() {
        return Err(null(what));
    }
    if !items.is_aligned() {
        return Err(failure(YURAGI_RANGE, format_args!("{what} does not lie at a multiple of {}", align_of::<T>())));
    }
    if count > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(failure(YURAGI_RANGE, format_args!("{what} has {count} elements, more than memory can hold")));
    }
    Ok(())
}

/// Elements that are read; none may be NULL.
///
/// # Safety
/// So many elements, which nothing writes during the call.
pub unsafe fn items<'a, T>(what: &str, items: *const T, count: usize) -> Answer<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    lies(what, items, count)?;
    // SAFETY: checked as far as can be, and the caller's word for the rest.
    Ok(unsafe { slice::from_raw_parts(items, count) })
}

/// Elements that are written.
///
/// # Safety
/// Room for so many elements that nothing else uses during the call, with any bits in them.
pub unsafe fn room<'a, T>(what: &str, items: *mut T, count: usize) -> Answer<&'a mut [T]> {
    if count == 0 {
        return Ok(&mut []);
    }
    lies(what, items, count)?;
    // SAFETY: as above; the types that C gives take any bits.
    Ok(unsafe { slice::from_raw_parts_mut(items, count) })
}

/// What one pointer points to.
///
/// # Safety
/// As [`items`].
pub unsafe fn item<'a, T>(what: &str, place: *const T) -> Answer<&'a T> {
    lies(what, place, 1)?;
    // SAFETY: as for `items`.
    Ok(unsafe { &*place })
}

/// Writes what the caller asked for, unless the place is NULL.
///
/// # Safety
/// NULL, or room for one.
pub unsafe fn tell<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: not null, and the caller's word for the rest.
        unsafe { place.write_unaligned(value) };
    }
}

/// Whether so many bytes could be had now.
pub fn afford(what: &str, bytes: usize) -> Answer {
    let mut trial = Vec::<u8>::new();
    let there = trial.try_reserve_exact(bytes).is_ok();
    // The trial must not be taken for one that can be left out.
    std::hint::black_box(&trial);
    there.then_some(()).ok_or_else(|| failure(YURAGI_MEMORY, format_args!("{what} needs {bytes} bytes of memory")))
}

/// A count that does not exceed another.
pub fn counted(what: &str, count: usize, most: usize) -> Answer {
    (1..=most)
        .contains(&count)
        .then_some(())
        .ok_or_else(|| failure(YURAGI_RANGE, format_args!("{what} is {count}; legal is 1 to {most}")))
}
