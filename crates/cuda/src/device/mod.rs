//! The driver: the only place of this crate where memory is touched that the compiler does not watch.
#![allow(unsafe_code)] // calls of the driver take raw addresses

mod context;
mod failure;
mod memory;
mod module;
#[cfg(feature = "nccl")]
mod nccl;
#[cfg(feature = "nccl")]
mod nccl_calls;
mod stream;
mod tensor;

pub use context::{Description, Device};
pub use memory::{Block, Pinned};
pub use module::Function;
#[cfg(feature = "nccl")]
pub use nccl::Nccl;
pub use stream::{Parameters, Recording, Replay};
pub use tensor::description;
