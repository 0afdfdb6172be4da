use cudarc::driver::{CudaContext, DriverError, sys::CUresult};

use crate::CudaError;

pub(super) fn bind(context: &CudaContext) -> Result<(), CudaError> {
    context.bind_to_thread().map_err(|e| failed("its context", e))
}

/// The driver's error in this crate's words. A driver must be there.
pub(super) fn failed(what: &'static str, error: DriverError) -> CudaError {
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
