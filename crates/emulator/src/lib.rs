//! Executes PTX on the CPU, checks every access harder than a GPU does, and poses as the CUDA driver.
//!
//! Results are those of an H100 to the last bit wherever that was measured, the sums of tensor cores among them. The
//! same tests are asked of the machine's own driver by
//! `YURAGI_TEST_ON_GPU=1 cargo test --release -p yuragi-emulator --test semantics --test cudarc`.
//!
//! # Where a GPU may do otherwise
//! - Which NaN an operation on f64 gives: the ISA says no more than that it is one. (f32 and f16 have one NaN.)
//! - Approximations (`.approx`) are more exact here, and sums of 8-bit formats in `mma` and `wgmma` are exact sums,
//!   rounded once.
//! - Where static shared variables lie, what a register or a byte holds that nothing wrote, in which order blocks and
//!   warps run.
//! - A wrong address is found to the byte here; a GPU notices it only outside of the pages that it maps.
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
mod profile;
mod program;
mod properties;
pub mod ptx;
mod report;
mod tensor_map;
mod texture;

pub use arguments::Arguments;
pub use device::{Device, Launch, LaunchError};
pub use machine::MOST_PRINTED;
pub use memory::{Memory, MemoryError};
pub use module::{Attributes, Kernel, LoadError, Module};
pub use profile::{KernelProfile, LineProfile, Profile};
pub use program::{DecodeError, ParamLayout};
pub use properties::Properties;
pub use report::Report;
pub use tensor_map::{Swizzle, TENSOR_MAP_BYTES, TensorMap, TensorMapError};
pub use texture::{AddressMode, Sampling, TexelFormat, Texels, Texture, TextureError};
