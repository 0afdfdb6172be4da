//! cudarc as it is, against the driver that the crate's cdylib poses as.
//!
//! Each test starts this program again with `LD_LIBRARY_PATH` pointing to the emulator as `libcuda.so`, and there runs
//! an ignored test, which is plain cudarc code. With `YURAGI_TEST_ON_GPU` set, the machine's own driver is used.
#![cfg(target_os = "linux")]
#![allow(unsafe_code)]

#[path = "../common/mod.rs"]
mod common;
mod dependent;
mod events;
mod findings;
mod graphs;
mod handles;
mod harness;
mod kernels;
mod launches;
mod memory;
mod modules;
mod properties;
mod runtime;
mod shipped;
mod tensors;
mod textures;
