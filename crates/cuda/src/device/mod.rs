//! The driver: the only place of this crate where memory is touched that the compiler does not watch.
#![allow(unsafe_code)] // calls of the driver take raw addresses

mod memory;
mod module;
mod stream;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::{
    CudaContext, CudaStream, DriverError, result,
    sys::{self, CUdevice_attribute_enum as Attribute, CUresult},
};

pub use memory::{Block, Pinned};
pub use module::{Function, Module};
pub use stream::{Recording, Replay};

use crate::CudaError;

/// A GPU: a context of the driver, a stream in which everything is ordered, and the modules loaded so far.
pub struct Device {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    modules: Mutex<HashMap<[u8; 32], Arc<Module>>>,
    name: String,
    capability: (i32, i32),
    processors: u32,
}

/// What a device is, without opening it for work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The number by which it is chosen.
    pub ordinal: usize,
    /// The maker's name.
    pub name: String,
    /// Major and minor compute capability.
    pub capability: (i32, i32),
    /// Bytes of its memory.
    pub memory: usize,
    /// Bytes free now.
    pub free: usize,
    /// The newest CUDA version that the driver knows: major, minor.
    pub driver: (i32, i32),
}

impl Device {
    /// How many devices the driver has.
    pub fn count() -> Result<usize, CudaError> {
        initialise()?;
        let count = result::device::get_count().map_err(|e| failed("the number of devices", e))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Opens a device by its number: its primary context, and a stream of its own.
    pub fn open(ordinal: usize) -> Result<Arc<Device>, CudaError> {
        let count = Device::count()?;
        if ordinal >= count {
            return Err(CudaError::NoDevice { ordinal, count });
        }
        let context = CudaContext::new(ordinal).map_err(|e| failed("a context", e))?;
        let stream = context.new_stream().map_err(|e| failed("a stream", e))?;
        Device::within(context, stream)
    }

    /// Works in a caller's context and stream.
    pub fn within(context: Arc<CudaContext>, stream: Arc<CudaStream>) -> Result<Arc<Device>, CudaError> {
        bind(&context)?;
        let name = context.name().map_err(|e| failed("the device's name", e))?;
        let capability = context.compute_capability().map_err(|e| failed("the device's capability", e))?;
        if capability.0 < 8 {
            return Err(CudaError::TooOld { name, capability });
        }
        let processors = context
            .attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
            .map_err(|e| failed("the device's attributes", e))?;
        let processors = u32::try_from(processors).unwrap_or(1).max(1);
        Ok(Arc::new(Device { context, stream, modules: Mutex::default(), name, capability, processors }))
    }

    /// The maker's name of the device.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Streaming multiprocessors.
    pub fn processors(&self) -> u32 {
        self.processors
    }

    /// What the device is, and how much of its memory is free now.
    pub fn description(&self) -> Result<Description, CudaError> {
        let (free, memory) = self.memory()?;
        let mut version = 0;
        // SAFETY: the driver writes one integer.
        let known = unsafe { sys::cuDriverGetVersion(&mut version) }.result();
        known.map_err(|e| failed("the driver's version", e))?;
        Ok(Description {
            ordinal: self.context.ordinal(),
            name: self.name.clone(),
            capability: self.capability,
            memory,
            free,
            driver: (version / 1000, version % 1000 / 10),
        })
    }

    /// Bytes free, and bytes in all.
    pub fn memory(&self) -> Result<(usize, usize), CudaError> {
        bind(&self.context)?;
        self.context.mem_get_info().map_err(|e| failed("the size of its memory", e))
    }

    /// Waits until everything asked for so far is done.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        self.stream.synchronize().map_err(|e| failed("waiting for the device", e))
    }

    fn modules(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<Module>>> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("name", &self.name).field("capability", &self.capability).finish()
    }
}

/// Every driver of this machine, by the names that are looked for; none is an error of its own, never a panic.
fn initialise() -> Result<(), CudaError> {
    // SAFETY: looks for a shared library and runs nothing of it but its loader's hooks.
    if !unsafe { sys::is_culib_present() } {
        return Err(CudaError::NoDriver);
    }
    match result::init() {
        Ok(()) => Ok(()),
        Err(DriverError(CUresult::CUDA_ERROR_NO_DEVICE)) => Err(CudaError::NoDevice { ordinal: 0, count: 0 }),
        Err(DriverError(CUresult::CUDA_ERROR_STUB_LIBRARY)) => Err(CudaError::NoDriver),
        Err(error) => Err(failed("to start", error)),
    }
}

fn bind(context: &CudaContext) -> Result<(), CudaError> {
    context.bind_to_thread().map_err(|e| failed("its context", e))
}

/// The driver's error in this crate's words. A driver must be there.
fn failed(what: &'static str, error: DriverError) -> CudaError {
    let words = |error: DriverError| {
        let name = error.error_name().map_or("unknown error".into(), |n| n.to_string_lossy());
        let text = error.error_string().map_or(String::new(), |s| format!(": {}", s.to_string_lossy()));
        format!("{name}{text}")
    };
    match error.0 {
        CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION => CudaError::DriverTooOld,
        CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE => CudaError::Busy,
        CUresult::CUDA_ERROR_ILLEGAL_ADDRESS
        | CUresult::CUDA_ERROR_MISALIGNED_ADDRESS
        | CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION
        | CUresult::CUDA_ERROR_INVALID_ADDRESS_SPACE
        | CUresult::CUDA_ERROR_INVALID_PC
        | CUresult::CUDA_ERROR_ASSERT
        | CUresult::CUDA_ERROR_LAUNCH_FAILED
        | CUresult::CUDA_ERROR_LAUNCH_TIMEOUT
        | CUresult::CUDA_ERROR_HARDWARE_STACK_ERROR
        | CUresult::CUDA_ERROR_ECC_UNCORRECTABLE
        | CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED
        | CUresult::CUDA_ERROR_SYSTEM_NOT_READY => CudaError::Lost(words(error)),
        _ => CudaError::Driver { what, reason: words(error) },
    }
}
