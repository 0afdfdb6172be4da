//! What the families other than products share: types by the names of their kernels, and sizes that kernels count in
//! 32 bits.

use thiserror::Error;
use yuragi_graph::DType;

/// Why there is no kernel for an operation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KernelError {
    /// An extent that the kernels cannot count.
    #[error("{what} is {extent}; at most {most} is possible")]
    TooLarge {
        /// Which.
        what: &'static str,
        /// Its value.
        extent: usize,
        /// The largest possible.
        most: usize,
    },
    /// An extent that must not be 0.
    #[error("{what} is 0; at least 1 is needed")]
    Empty {
        /// Which.
        what: &'static str,
    },
    /// Elements that the kernels do not compute with.
    #[error("{what} of {dtype:?} has no kernel; f32, f16 and bf16 have")]
    Type {
        /// The operation.
        what: &'static str,
        /// The elements.
        dtype: DType,
    },
    /// A type of the result that the elements do not give.
    #[error("{what} of {dtype:?} cannot be stored as {result:?}")]
    Result {
        /// The operation.
        what: &'static str,
        /// The elements.
        dtype: DType,
        /// The type asked for.
        result: DType,
    },
}

/// The extent as a kernel takes it, below 2^31.
pub(super) fn extent(what: &'static str, extent: usize) -> Result<u32, KernelError> {
    at_most(what, extent, (1 << 31) - 1)
}

/// The extent as a kernel takes it.
pub(super) fn at_most(what: &'static str, extent: usize, most: usize) -> Result<u32, KernelError> {
    match u32::try_from(extent) {
        Ok(small) if extent <= most => Ok(small),
        _ => Err(KernelError::TooLarge { what, extent, most }),
    }
}

/// A kernel's name: the operation's, then the elements'.
pub(super) fn function(operation: &'static str, dtype: DType) -> Result<String, KernelError> {
    let elements = match dtype {
        DType::F32 => "f32",
        DType::F16 => "f16",
        DType::BF16 => "bf16",
        DType::I32 | DType::U32 => return Err(KernelError::Type { what: operation, dtype }),
    };
    Ok(format!("{operation}_{elements}"))
}

/// The name of a kernel whose result may be of another type: single precision may be rounded to 16 bits.
pub(super) fn function_into(operation: &'static str, dtype: DType, result: DType) -> Result<String, KernelError> {
    let name = function(operation, dtype)?;
    match (dtype, result) {
        _ if dtype == result => Ok(name),
        (DType::F32, DType::F16) => Ok(name + "_f16"),
        (DType::F32, DType::BF16) => Ok(name + "_bf16"),
        _ => Err(KernelError::Result { what: operation, dtype, result }),
    }
}

/// Elements in 16 bytes.
pub(super) const fn lanes(dtype: DType) -> usize {
    16 / dtype.size()
}

/// Blocks of a grid whose threads stride over what there is to do.
pub(super) fn striding(work: usize, per_block: usize) -> u32 {
    const MOST: usize = 1 << 16;
    work.div_ceil(per_block).clamp(1, MOST) as u32
}
