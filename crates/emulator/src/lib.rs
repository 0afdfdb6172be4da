//! Executes PTX on the CPU, checks every access harder than a GPU does, and poses as the CUDA driver.
#![deny(unsafe_code)]

mod arguments;
mod arithmetic;
pub mod counters;
mod decode;
mod device;
mod driver;
pub mod finding;
mod machine;
mod memory;
mod module;
mod program;
mod properties;
pub mod ptx;
mod report;
mod tensor_map;

pub use arguments::Arguments;
pub use decode::DecodeError;
pub use device::{Device, Launch, LaunchError};
pub use memory::{Memory, MemoryError};
pub use module::{Attributes, Kernel, LoadError, Module};
pub use program::ParamLayout;
pub use properties::Properties;
pub use report::Report;
pub use tensor_map::{Swizzle, TENSOR_MAP_BYTES, TensorMap, TensorMapError};
