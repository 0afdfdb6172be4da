use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::{
    CudaContext, CudaStream, DriverError, result,
    sys::{self, CUdevice_attribute_enum as Attribute, CUresult},
};
use sha2::{Digest, Sha256};

use super::{
    failure::{bind, failed},
    module::{Function, Module},
};
use crate::{CudaError, dependent};

/// A GPU: a context of the driver, a stream in which everything is ordered, and the modules loaded so far.
pub struct Device {
    pub(super) context: Arc<CudaContext>,
    pub(super) stream: Arc<CudaStream>,
    modules: Mutex<Modules>,
    name: String,
    capability: (i32, i32),
    processors: u32,
}

/// Modules by their texts' hashes, and whether their kernels were made to wait for the launch before theirs.
type Modules = HashMap<([u8; 32], bool), Arc<Module>>;

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
        if driver_version()? < NEEDED {
            return Err(CudaError::DriverTooOld);
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

    /// Whether it runs the kernels for sm_90a: compute capability 9.0.
    pub fn is_hopper(&self) -> bool {
        self.capability == (9, 0)
    }

    /// Whether a launch may begin there while the one before it ends: compute capability 9.0 or more.
    pub fn has_dependent_launches(&self) -> bool {
        self.capability >= (9, 0)
    }

    /// What the device is, and how much of its memory is free now.
    pub fn description(&self) -> Result<Description, CudaError> {
        let (free, memory) = self.memory()?;
        let version = driver_version()?;
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

    /// The module of a PTX text; equal texts are one module. With `dependent`, its kernels may begin while the launch before
    /// theirs ends, where this device and the text can have that.
    pub fn module(&self, ptx: &str, dependent: bool) -> Result<Arc<Module>, CudaError> {
        let dependent = dependent && self.has_dependent_launches();
        let key = (Sha256::digest(ptx.as_bytes()).into(), dependent);
        let mut modules = self.modules();
        if let Some(module) = modules.get(&key) {
            return Ok(module.clone());
        }
        bind(&self.context)?;
        let waiting = if dependent { dependent::form(ptx) } else { None };
        let module = Arc::new(Module::load(waiting.as_deref().unwrap_or(ptx), waiting.is_some())?);
        modules.insert(key, module.clone());
        Ok(module)
    }

    /// A kernel of a module, ready for so many bytes of dynamic shared memory.
    pub fn function(&self, module: &Module, name: &str, shared: u32) -> Result<Function, CudaError> {
        bind(&self.context)?;
        module.function(name, shared)
    }

    fn modules(&self) -> MutexGuard<'_, Modules> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if bind(&self.context).is_ok() {
            for module in std::mem::take(&mut *self.modules()).into_values() {
                self.context.record_err(module.unload());
            }
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("name", &self.name).field("capability", &self.capability).finish()
    }
}

/// The CUDA version that the PTX of the kernels is written in: 1000·major + 10·minor.
const NEEDED: i32 = 13_000;

/// The newest CUDA version that the driver knows: 1000·major + 10·minor.
fn driver_version() -> Result<i32, CudaError> {
    let mut version = 0;
    // SAFETY: the driver writes one integer.
    let known = unsafe { sys::cuDriverGetVersion(&mut version) }.result();
    known.map_err(|e| failed("the driver's version", e))?;
    Ok(version)
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
