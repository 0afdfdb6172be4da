//! The C face: the functions of the CUDA driver API, exported under their names, so that the crate's cdylib can stand
//! in for `libcuda.so.1`.
//!
//! A program that loads it (cudarc does so by itself) finds one device, and its kernels run checked on the CPU.
//! Work is done in the order of its stream, on the thread that submits it; only what comes after a host function
//! that still runs waits in a queue. An error of a kernel is therefore returned by its own launch; it then sticks to
//! the context, as on a GPU.
//!
//! Handles are numbers, looked up in tables of what is alive: a wrong or destroyed one gives an error. No panic
//! crosses the boundary: [`guard`] surrounds every function.
#![allow(unsafe_code, non_snake_case)]

mod capture;
mod context;
mod copy;
mod device;
mod error;
mod event;
mod exports;
mod function;
mod graph;
mod handle;
mod host;
mod launch;
mod memory;
mod module;
mod occupancy;
mod pages;
mod pointer;
mod pool;
mod report;
mod stream;
mod symbols;
mod tensor;
mod work;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use error::{Code, Outcome};

/// Defines functions of the driver: exported under their names, guarded, and found by [`symbols`].
macro_rules! exported {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block)*) => {
        $(
            $(#[$doc])*
            // SAFETY: the name is the CUDA driver's, which this library stands in for; nothing else has it.
            #[unsafe(no_mangle)]
            #[allow(clippy::too_many_arguments)]
            pub extern "C" fn $name($($argument: $type),*) -> $crate::driver::error::Code {
                $crate::driver::guard(stringify!($name), move || -> $crate::driver::error::Outcome { $body })
            }
        )*

        /// The address of a function of this file.
        pub fn symbol(name: &str) -> Option<*const ()> {
            match name {
                $(stringify!($name) => Some($name as *const ()),)*
                _ => None,
            }
        }
    };
}
use exported;

/// Runs the body of an exported function: the one place where errors become codes, and where panics end.
fn guard(name: &'static str, body: impl FnOnce() -> Outcome) -> Code {
    let error = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return Code::SUCCESS,
        Ok(Err(error)) => error,
        Err(_) => Code::UNKNOWN.because("a panic inside the emulator, which is a bug of it"),
    };
    if let Some(message) = error.message {
        report::say_once(&format!("{name}: {message} ({})", error.code));
    }
    error.code
}

/// Locks a table. One that a panic left behind is still used: each change of it is a single step.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
