//! Diffusion: noise schedules, the forward process, parameterisations,
//! samplers and guidance.
//!
//! Everything meets in one view, the [`Point`]: at noise level (α, σ) a
//! sample is `x = α·x₀ + σ·ε` with ε standard normal. Variance-preserving,
//! variance-exploding and flow-matching models differ only in the [`Ladder`]
//! of points that a [`Sampler`] walks down, from noise to data.
//!
//! | module | holds |
//! |---|---|
//! | [`schedule`] | points; discrete VP schedules; the ladders that samplers walk down |
//! | [`forward`] | q(z_t \| x), the posterior q(z_s \| z_t, x), the terms of the bound |
//! | [`parameterization`] | x₀, ε, v, u and score, with exact conversions |
//! | [`sampler`] | one stepping machine for every sampler |
//! | [`config`] | generations as diffusers' configurations mean them |
//! | [`rng`] | the generators that noise comes from, PyTorch's among them |
//! | [`guidance`] | classifier-free and classifier guidance |
//! | [`likelihood`] | ln p(x) by the probability-flow ODE |
//! | [`sde`] | the continuous VP, sub-VP and VE processes; Langevin dynamics |
//!
//! A network that is never wrong, for data that are all zero:
//!
//! ```
//! use yuragi_diffusion::{Discrete, Kind, Sampler, Spacing};
//! # fn main() -> Result<(), yuragi_diffusion::Error> {
//! let ladder = Discrete::scaled_linear(1000, 0.00085, 0.012)?.ladder(20, Spacing::Trailing)?;
//! let mut picture = [f32::NAN; 12];
//! let mut sampler = Sampler::new(Kind::DpmPlusPlus2M, &ladder, picture.len())?;
//! let mut noise = [42, 0]; // the key of seed 42
//! sampler.start(&mut picture, &mut noise)?;
//! while let Some(point) = sampler.request() {
//!     let x0 = picture.map(|_| 0.0); // a network reads (picture, point.time)
//!     sampler.advance(&mut picture, &x0, &mut noise)?;
//! }
//! assert_eq!(picture, [0.0; 12]);
//! # Ok(())
//! # }
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod clip;
pub mod config;
mod error;
pub mod forward;
pub mod guidance;
pub mod likelihood;
mod names;
pub mod parameterization;
pub mod rng;
pub mod sampler;
pub mod schedule;
pub mod sde;

pub use clip::Clip;
pub use config::Config;
pub use error::Error;
pub use parameterization::Prediction;
pub use rng::{Rng, Source};
pub use sampler::{Choice, Kind, Noise, Sampler};
pub use schedule::{Coordinate, Discrete, Input, Ladder, Point, Sde, Spacing};
