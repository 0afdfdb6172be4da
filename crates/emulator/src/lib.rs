//! Executes PTX on the CPU, checks every access harder than a GPU does, and poses as the CUDA driver.
#![deny(unsafe_code)]

pub mod counters;
mod decode;
mod device;
mod driver;
pub mod finding;
mod machine;
mod memory;
pub mod ptx;
mod tensor_map;

pub use decode::DecodeError;
pub use device::{
    Arguments, Attributes, Device, Kernel, Launch, LaunchError, LoadError, Module, ParamLayout, Properties, Report,
};
pub use memory::{Memory, MemoryError};
pub use tensor_map::{Swizzle, TENSOR_MAP_BYTES, TensorMap, TensorMapError};
