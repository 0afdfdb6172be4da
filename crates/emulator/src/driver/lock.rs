//! Locks.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a table. One that a panic left behind is still used: each change of it is a single step.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
