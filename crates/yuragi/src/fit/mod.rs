//! Statistical models of tables: Gaussian mixtures, restricted and deep Boltzmann machines and deep belief networks,
//! learned and kept in files.

mod belief;
mod course;
mod deep;
mod file;
mod machine;
mod processes;
mod rows;
mod sample;

pub use belief::{Belief, Bounds};
pub use deep::{Deep, DeepOptions, DeepScore};
pub use file::{Fitted, Layer, Mixture, Network, Stack};
pub use machine::{Machine, Options, Progress, Score, base_of};
pub use processes::Processes;
pub use rows::{Binarize, Meaning, Rows};
pub use sample::Drawn;

/// The standard deviation of a machine's first weights (Hinton, *A practical guide to training restricted Boltzmann machines*,
/// 2010).
pub const WEIGHTS: f32 = 0.01;
