//! Scalar mathematics and reproducible randomness: the same bits on every
//! platform.
//!
//! Everything here that is in f32 uses only `+ − × ÷ √` in a fixed order,
//! never a fused multiply-add (but for [`torch`], which computes each in
//! software as another library's hardware did), so x86, ARM, wasm and CUDA (`--fmad=false`)
//! agree to the last bit.
//!
//! | module | holds |
//! |---|---|
//! | [`philox`] | the counter-based generator Philox4x32-10 |
//! | [`mt19937`] | the Mersenne Twister |
//! | [`torch`] | the normal numbers that PyTorch draws from a seed |
//! | [`fnv`] | the hash FNV-1a |
//! | [`fill`] | uniform and normal noise as a pure function of (key, stream, index) |
//! | [`elementary`] | branch-free f32 `exp ln sin cos tanh sigmoid erf` that vectorise |
//! | [`Real`], [`Single`] | what formulas are written in, so that they can be computed or recorded |
//! | [`double`] | branch-free f64 `exp ln` that vectorise |
//! | [`linalg`] | small dense matrices in place: Cholesky, triangular systems, symmetric eigenvalues |
//! | [`level()`] | a share as one of a byte's levels |
//! | [`simd`] | loops compiled for every vector unit, with equal bits |
//! | [`special`] | f64 log-sum-exp, log 2cosh, softplus, compensated sums |
//! | `groups` (feature `alloc`) | weights in 4 to 8 bits with a scale for each group |
//! | `tree` (feature `alloc`) | sums of numbered parts in one tree, whoever adds which |
#![no_std]
#![deny(unsafe_code)]

#[cfg(any(feature = "alloc", test))]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

pub mod double;
pub mod elementary;
pub mod fill;
pub mod fnv;
#[cfg(any(feature = "alloc", test))]
pub mod groups;
mod level;
pub mod linalg;
pub mod mt19937;
pub mod philox;
mod real;
pub mod simd;
mod single;
pub mod special;
pub mod torch;
#[cfg(any(feature = "alloc", test))]
pub mod tree;

pub use half::{bf16, f16};
pub use level::level;
pub use rand_core;
pub use real::Real;
pub use single::{Single, Word};
