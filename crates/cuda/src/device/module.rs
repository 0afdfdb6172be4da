use std::ffi::CString;

use cudarc::driver::{DriverError, result, sys};

use super::failure::failed;
use crate::CudaError;

/// Bytes of dynamic shared memory that a kernel may use without asking.
const SHARED_BY_DEFAULT: u32 = 48 * 1024;

/// Code that the driver has taken in; lives as long as its device.
#[derive(Debug)]
pub struct Module {
    handle: sys::CUmodule,
    /// Whether its kernels wait for the launch before theirs.
    waits: bool,
}

// SAFETY: the driver's handles may be used from any thread whose context is set.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

/// A kernel.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    pub(super) handle: sys::CUfunction,
    /// Whether it waits for the launch before its own, and may begin before that is over.
    pub(super) waits: bool,
}

// SAFETY: as for `Module`.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

impl Module {
    /// Has the driver take in a text, whose kernels may wait for the launch before theirs; the device's context must be current.
    pub(super) fn load(ptx: &str, waits: bool) -> Result<Module, CudaError> {
        let refused = |reason: &str| CudaError::Driver { what: "a module", reason: reason.into() };
        let text = CString::new(ptx).map_err(|_| refused("a text with a zero byte"))?;
        // SAFETY: the text ends with a zero byte.
        let handle = unsafe { result::module::load_data(text.as_ptr().cast()) };
        Ok(Module { handle: handle.map_err(|e| failed("a module", e))?, waits })
    }

    /// A kernel, ready for so many bytes of dynamic shared memory; the device's context must be current.
    pub(super) fn function(&self, name: &str, shared: u32) -> Result<Function, CudaError> {
        let text = CString::new(name).map_err(|_| CudaError::Driver { what: "a kernel", reason: name.into() })?;
        // SAFETY: the module is loaded.
        let function = unsafe { result::module::get_function(self.handle, text) };
        let function = function.map_err(|e| match failed("a kernel", e) {
            CudaError::Driver { what, reason } => CudaError::Driver { what, reason: format!("{name}: {reason}") },
            other => other,
        })?;
        if shared > SHARED_BY_DEFAULT {
            let attribute = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            let bytes = i32::try_from(shared).unwrap_or(i32::MAX);
            // SAFETY: the function belongs to a loaded module.
            let set = unsafe { result::function::set_function_attribute(function, attribute, bytes) };
            set.map_err(|e| failed("shared memory", e))?;
        }
        Ok(Function { handle: function, waits: self.waits })
    }

    /// Takes the code from the device, whose context must be current.
    pub(super) fn unload(&self) -> Result<(), DriverError> {
        // SAFETY: blocks, recordings and plans hold the device, so nothing uses its code any more.
        unsafe { result::module::unload(self.handle) }
    }
}
