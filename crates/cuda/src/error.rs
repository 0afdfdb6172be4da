use thiserror::Error;

/// What went wrong between this process and a GPU.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CudaError {
    /// No CUDA driver is installed (`libcuda.so.1`, `nvcuda.dll`).
    #[error("no CUDA driver is installed on this machine")]
    NoDriver,
    /// The driver is there and has no device, or not so many.
    #[error("there is no CUDA device {ordinal}: the driver has {count} (numbers begin at 0)")]
    NoDevice {
        /// The number asked for.
        ordinal: usize,
        /// How many there are.
        count: usize,
    },
    /// The device is older than the kernels.
    #[error("CUDA device {name} has compute capability {}.{}; 8.0 or more is needed", .capability.0, .capability.1)]
    TooOld {
        /// The device's name.
        name: String,
        /// Its compute capability.
        capability: (i32, i32),
    },
    /// The driver is older than the kernels' code.
    #[error("the CUDA driver is too old for this program's kernels (it must know PTX 9.0: CUDA 13.0, driver 580)")]
    DriverTooOld,
    /// A block of memory could not be had.
    #[error("the GPU has not enough memory: {needed} bytes are needed for {what}, {free} of {total} are free")]
    OutOfMemory {
        /// What the memory is for.
        what: &'static str,
        /// Bytes asked for.
        needed: usize,
        /// Bytes free.
        free: usize,
        /// Bytes of the device.
        total: usize,
    },
    /// Somebody else has the device for himself.
    #[error("the GPU is in use by another process that does not share it")]
    Busy,
    /// A kernel failed, or the device is gone; its context cannot be used any more.
    #[error("the GPU failed and must be opened anew: {0}")]
    Lost(String),
    /// No NCCL is installed (`libnccl.so.2`).
    #[error("NCCL (libnccl.so.2), by which GPUs talk to each other, is not found on this machine")]
    NoNccl,
    /// The library of NCCL is older than what is used of it.
    #[error("NCCL is {0}.{1} here, must be 2.18 or newer")]
    NcclTooOld(i32, i32),
    /// What NCCL reports.
    #[error("NCCL refused {what}: {reason}")]
    Nccl {
        /// What was asked for.
        what: &'static str,
        /// NCCL's words for the error.
        reason: String,
    },
    /// Anything else that the driver reports.
    #[error("the CUDA driver refused {what}: {reason}")]
    Driver {
        /// What was asked for.
        what: &'static str,
        /// The driver's name and words for the error.
        reason: String,
    },
}
