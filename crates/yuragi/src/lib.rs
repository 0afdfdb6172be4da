#![cfg_attr(not(feature = "file"), no_std)]
#![deny(unsafe_code)]
//! Generative models on the computer you have: one library of what the crates hold, and with
//! feature `std` (the default) files, training and evaluation, models of tables; feature `builtin` (a default too) adds
//! a trained model. The third default, `cli`, is the program: an engine that embeds the library leaves it out. Of `std`,
//! feature `file` is what reads a trained model's file, and threads: `builtin` needs no more.

pub use yuragi_cpu as cpu;
#[cfg(feature = "cuda")]
pub use yuragi_cuda as cuda;
pub use yuragi_diffusion as diffusion;
pub use yuragi_distributions as distributions;
pub use yuragi_energy as energy;
pub use yuragi_graph as graph;
pub use yuragi_models as models;
pub use yuragi_nn as nn;
pub use yuragi_numeric as numeric;

#[cfg(feature = "file")]
pub use yuragi_io as io;

#[cfg(feature = "builtin")]
mod builtin;
#[cfg(feature = "file")]
pub mod decoder;
#[cfg(feature = "std")]
pub mod evaluate;
#[cfg(feature = "file")]
mod failure;
#[cfg(feature = "std")]
pub mod fit;
#[cfg(feature = "std")]
pub mod judge;
#[cfg(feature = "std")]
pub mod machine;
#[cfg(feature = "file")]
pub mod model;
#[cfg(feature = "std")]
pub mod ranks;
#[cfg(feature = "std")]
pub mod stable_diffusion;
#[cfg(feature = "std")]
pub mod train;
#[cfg(feature = "cuda")]
pub mod tuning;
#[cfg(feature = "std")]
pub mod variational;

#[cfg(all(feature = "builtin", feature = "std"))]
pub use builtin::builtin_judge;
#[cfg(feature = "builtin")]
pub use builtin::{builtin, builtin_decoder, builtin_file, builtin_whole};
#[cfg(feature = "file")]
pub use failure::Failure;

/// The README's examples, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
