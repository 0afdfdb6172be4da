//! The normal numbers that PyTorch draws from a seed, so that a seed given elsewhere gives the same picture here.
//!
//! | generator | `torch.Generator` | agreement |
//! |---|---|---|
//! | [`Cpu`] | `device="cpu"` | `torch.randn` in f32 to the last bit, as 2.15 draws it on processors with AVX2 |
//! | [`Cuda`] | `device="cuda"` | the same random words; numbers within 10⁻⁶, for a GPU takes its own logarithm and sine |
//!
//! A generator is stateful as PyTorch's is: what a call draws depends on the calls before, and a call for 20 numbers is
//! not two calls for 10.

mod cpu;
mod cuda;

pub use cpu::Cpu;
pub use cuda::{Cuda, Launch};

#[cfg(test)]
mod tests;
