#![deny(unsafe_code)]
//! The CUDA backend: any graph of this workspace on an NVIDIA GPU.
//!
//! A plan is made without a device: [`kernels`] turn the costly operations into launches of committed PTX, and
//! elementwise loops become PTX of their own. Only then a driver takes part.

pub mod kernels;
pub mod launch;
pub mod ptx;
