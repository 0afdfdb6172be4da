//! The machine behind the driver.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{Code, Error, Outcome};
use super::report;
use crate::{device::Device, memory::MemoryError, properties::Properties};

/// The CUDA version that the driver says it has: 13.0.
pub const VERSION: i32 = 13_000;

/// Bytes of shared memory that a block has without asking, and that CUDA keeps of each.
pub const SHARED_PER_BLOCK: u32 = 48 << 10;
pub const SHARED_RESERVED: u32 = 1 << 10;

static INITIALISED: AtomicBool = AtomicBool::new(false);

/// The machine behind the driver, once `cuInit` has been called.
pub fn machine() -> Outcome<&'static Device> {
    static MACHINE: OnceLock<Device> = OnceLock::new();
    if !INITIALISED.load(Ordering::Acquire) {
        return Err(Code::NOT_INITIALIZED.into());
    }
    Ok(MACHINE.get_or_init(|| {
        let check = report::settings().check != report::Check::Off;
        Device::new(Properties { check, ..report::settings().device.clone() })
    }))
}

/// The device of an ordinal or a `CUdevice`, which are the same number.
pub fn device(ordinal: i32) -> Outcome<&'static Device> {
    let machine = machine()?;
    if ordinal == 0 { Ok(machine) } else { Err(Code::INVALID_DEVICE.into()) }
}

/// `cuInit` was called.
pub fn initialise() {
    INITIALISED.store(true, Ordering::Release);
}

/// What the API says for an error of the machine's memory.
pub fn refusal(error: &MemoryError) -> Error {
    match error {
        MemoryError::OutOfMemory { .. } => Code::OUT_OF_MEMORY.because(error),
        MemoryError::OutOfBounds { .. } | MemoryError::NotAllocated(_) => Code::INVALID_VALUE.because(error),
    }
}
