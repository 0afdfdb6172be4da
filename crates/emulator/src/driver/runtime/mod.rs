//! The library as the CUDA runtime (`libcudart.so`), for programs that `nvcc -cudart shared` linked to it. NVIDIA's own
//! runtime asks the driver for tables of undocumented functions, which the emulator does not have.
//!
//! Numbers of errors, attributes, flags and streams are the driver's wherever both have them; what is wrong with the form
//! of a launch, or with what the program's addresses stand for, has errors of the runtime alone.

mod binaries;
mod device;
mod error;
mod launch;
mod memory;
mod order;

use std::cell::Cell;
use std::sync::OnceLock;

use super::boundary::guard_naming;
use super::context::current;
use super::contexts::{cuCtxSetCurrent, cuDevicePrimaryCtxRetain};
use super::device::cuInit;
use super::error::{Code, Outcome};
use super::handle::Handle;
use super::pointer::Out;

/// Defines functions of the runtime, exported under their names: each makes the device's primary context, remembers its
/// error, and ends panics.
macro_rules! exported {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block)*) => {
        $(
            $(#[$doc])*
            // SAFETY: the name is the CUDA runtime's, which this library stands in for; nothing else has it.
            #[unsafe(no_mangle)]
            #[allow(clippy::too_many_arguments)]
            pub extern "C" fn $name($($argument: $type),*) -> $crate::driver::error::Code {
                $crate::driver::runtime::call(stringify!($name), move || -> $crate::driver::error::Outcome { $body })
            }
        )*
    };
}
use exported;

thread_local! {
    /// The error of the last function that had one and that nobody asked for.
    static LAST: Cell<Code> = const { Cell::new(Code::SUCCESS) };
}

/// Runs a function's body in the primary context, and remembers its error.
fn call(name: &'static str, body: impl FnOnce() -> Outcome) -> Code {
    let code = guard_naming(name, error::name, || {
        ready()?;
        body()
    });
    // What is not done yet is no error.
    if code != Code::SUCCESS && code != Code::NOT_READY {
        LAST.set(code);
    }
    code
}

/// The error that was remembered, which is then forgotten or not.
fn last(forget: bool) -> Code {
    if forget { LAST.replace(Code::SUCCESS) } else { LAST.get() }
}

/// An outcome of a function of the driver, which has said its error already.
fn done(code: Code) -> Outcome {
    if code == Code::SUCCESS { Ok(()) } else { Err(code.into()) }
}

/// Makes the device's primary context once, and current where the thread has none.
fn ready() -> Outcome {
    static PRIMARY: OnceLock<Result<Handle, Code>> = OnceLock::new();
    let primary = PRIMARY.get_or_init(|| {
        let mut handle = Handle::NULL;
        for code in [cuInit(0), cuDevicePrimaryCtxRetain(Out::to(&mut handle), 0)] {
            done(code).map_err(|error| error.code)?;
        }
        Ok(handle)
    });
    match primary {
        Ok(_) if current() != Handle::NULL => Ok(()),
        Ok(handle) => done(cuCtxSetCurrent(*handle)),
        Err(code) => Err((*code).into()),
    }
}
