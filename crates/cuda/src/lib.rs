#![deny(unsafe_code)]
//! The CUDA backend: any graph of this workspace on an NVIDIA GPU, with nothing installed but its driver.
//!
//! A plan is made without a device: [`lower`] turns a graph into launches over one arena. For costly operations
//! [`kernels`] choose among the committed files of `kernels/ptx`; loops over elements become PTX of their own, which
//! [`ptx`] writes from the very formulas that the processor runs. Only then a driver takes part ([`Cuda`]): a whole run
//! is captured once and replayed as one graph of launches.
//!
//! With the feature `nccl` several GPUs work together through `Nccl`. [`replicas`] brings Markov chains of spins to the GPU.

mod arguments;
mod backend;
mod batch;
pub mod dependent;
mod device;
mod error;
pub mod kernels;
pub mod launch;
pub mod lower;
mod plan;
pub mod ptx;
pub mod replicas;
mod splice;
mod store;
mod tuning;

pub use backend::Cuda;
#[cfg(feature = "nccl")]
pub use device::Nccl;
pub use device::{Description, Device};
pub use error::CudaError;
pub use plan::{CudaPlan, CudaState};
pub use store::CudaStore;
