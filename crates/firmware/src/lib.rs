//! Programs for a microcontroller, and the digests that every platform must draw.
//!
//! The programs in `src/bin` are the same on a microcontroller (`thumbv7em-none-eabihf`, an Arm MPS2 board with the AN386
//! image, its output by semihosting) and on a computer:
//!
//! | program | does | heap |
//! |---|---|---|
//! | `glass` | anneals a ±J glass of 64 spins to its least energy, which it works out exactly, too | none |
//! | `gibbs` | samples a restricted Boltzmann machine, and compares its means with those of all states | none |
//! | `denoise` | draws points of a learned curve by a diffusion model, in memory known before it runs | fixed |
//! | `digests` | draws with every generator and sampler, and prints a number for each | fixed |
//!
//! Each ends with an error where its result is wrong.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(not(target_os = "none"))]
extern crate std;

pub mod board;
pub mod digests;
pub mod glass;
pub mod spiral;
pub mod stripes;
