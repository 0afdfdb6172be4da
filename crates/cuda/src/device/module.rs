use std::ffi::CString;
use std::sync::Arc;

use cudarc::driver::{result, sys};
use sha2::{Digest, Sha256};

use super::{Device, bind, failed};
use crate::CudaError;

/// Bytes of dynamic shared memory that a kernel may use without asking.
const SHARED_BY_DEFAULT: u32 = 48 * 1024;

/// Code that the driver has taken in; lives as long as its device.
#[derive(Debug)]
pub struct Module {
    handle: sys::CUmodule,
}

// SAFETY: the driver's handles may be used from any thread whose context is set.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

/// A kernel.
#[derive(Clone, Copy, Debug)]
pub struct Function(pub(super) sys::CUfunction);

// SAFETY: as for `Module`.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

impl Device {
    /// The module of a PTX text; equal texts are one module.
    pub fn module(&self, ptx: &str) -> Result<Arc<Module>, CudaError> {
        let hash: [u8; 32] = Sha256::digest(ptx.as_bytes()).into();
        let mut modules = self.modules();
        if let Some(module) = modules.get(&hash) {
            return Ok(module.clone());
        }
        bind(&self.context)?;
        let refused = |reason: &str| CudaError::Driver { what: "a module", reason: reason.into() };
        let text = CString::new(ptx).map_err(|_| refused("a text with a zero byte"))?;
        // SAFETY: the text ends with a zero byte.
        let handle = unsafe { result::module::load_data(text.as_ptr().cast()) };
        let module = Arc::new(Module { handle: handle.map_err(|e| failed("a module", e))? });
        modules.insert(hash, module.clone());
        Ok(module)
    }

    /// A kernel of a module, ready for so many bytes of dynamic shared memory.
    pub fn function(&self, module: &Module, name: &str, shared: u32) -> Result<Function, CudaError> {
        bind(&self.context)?;
        let text = CString::new(name).map_err(|_| CudaError::Driver { what: "a kernel", reason: name.into() })?;
        // SAFETY: the module is loaded.
        let function = unsafe { result::module::get_function(module.handle, text) };
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
        Ok(Function(function))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if bind(&self.context).is_ok() {
            for module in std::mem::take(&mut *self.modules()).into_values() {
                // SAFETY: blocks, recordings and plans hold the device, so nothing uses its code any more.
                let unloaded = unsafe { result::module::unload(module.handle) };
                self.context.record_err(unloaded);
            }
        }
    }
}
