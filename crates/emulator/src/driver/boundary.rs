//! The C boundary: how functions are exported, and where errors and panics end.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::{Code, Outcome};
use super::report;

/// Defines functions of the driver: exported under their names, guarded, and found by [`symbols`].
macro_rules! exported {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block)*) => {
        $(
            $(#[$doc])*
            // SAFETY: the name is the CUDA driver's, which this library stands in for; nothing else has it.
            #[unsafe(no_mangle)]
            #[allow(clippy::too_many_arguments)]
            pub extern "C" fn $name($($argument: $type),*) -> $crate::driver::error::Code {
                $crate::driver::boundary::guard(stringify!($name), move || -> $crate::driver::error::Outcome { $body })
            }
        )*

        $(
            /// The same for a program whose default streams are those of its threads.
            #[allow(clippy::too_many_arguments)]
            mod $name {
                #[allow(unused_imports)]
                use super::*;

                pub extern "C" fn per_thread($($argument: $type),*) -> $crate::driver::error::Code {
                    $crate::driver::stream::per_thread(|| super::$name($($argument),*))
                }
            }
        )*

        /// The address of the form of a function of this file for default streams of each thread.
        pub fn per_thread_symbol(name: &str) -> Option<*const ()> {
            match name {
                $(stringify!($name) => Some($name::per_thread as *const ()),)*
                _ => None,
            }
        }

        /// The address of a function of this file.
        pub fn symbol(name: &str) -> Option<*const ()> {
            match name {
                $(stringify!($name) => Some($name as *const ()),)*
                _ => None,
            }
        }
    };
}
pub(super) use exported;

/// Runs the body of an exported function: the one place where errors become codes, and where panics end.
pub fn guard(name: &'static str, body: impl FnOnce() -> Outcome) -> Code {
    guard_naming(name, |code| code.to_string(), body)
}

/// The same, with other names of the codes.
pub fn guard_naming(name: &'static str, named: impl Fn(Code) -> String, body: impl FnOnce() -> Outcome) -> Code {
    if let Some((_, code)) = report::settings().refused.iter().find(|(refused, _)| refused == name) {
        return Code::of(*code);
    }
    let error = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return Code::SUCCESS,
        Ok(Err(error)) => error,
        Err(_) => Code::UNKNOWN.because("a panic inside the emulator, which is a bug of it"),
    };
    if let Some(message) = error.message {
        report::say_once(&format!("{name}: {message} ({})", named(error.code)));
    }
    error.code
}
