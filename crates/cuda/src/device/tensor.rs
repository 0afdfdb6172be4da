use std::ffi::c_void;
use std::ptr;

use cudarc::driver::sys;
use yuragi_graph::DType;

use super::failure::failed;
use crate::{CudaError, launch::Tensor};

/// What the hardware is told of a tensor that begins at this address: a kernel's parameter.
pub fn description(tensor: &Tensor, address: u64) -> Result<[u64; 16], CudaError> {
    let axes = tensor.axes();
    let element = match tensor.dtype() {
        DType::BF16 => sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
        DType::F16 | DType::F32 | DType::I32 | DType::U32 => sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
    };
    let extents: Vec<u64> = axes.iter().map(|axis| axis.extent as u64).collect();
    let strides: Vec<u64> = axes.iter().skip(1).map(|axis| (axis.stride * tensor.dtype().size()) as u64).collect();
    let lengths: Vec<u32> = axes.iter().map(|axis| axis.length as u32).collect();
    let steps = vec![1; axes.len()];
    let mut map = sys::CUtensorMap { opaque: [0; 16] };
    // SAFETY: the driver reads as many numbers as there are axes, one less of strides, and writes one description; the
    // address is a number to it.
    let encoded = unsafe {
        sys::cuTensorMapEncodeTiled(
            &raw mut map,
            element,
            axes.len() as u32,
            ptr::without_provenance_mut::<c_void>(address as usize),
            extents.as_ptr(),
            strides.as_ptr(),
            lengths.as_ptr(),
            steps.as_ptr(),
            sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
            sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
            sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
            sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
        )
    };
    encoded.result().map_err(|error| failed("the description of a tensor", error))?;
    Ok(map.opaque)
}
