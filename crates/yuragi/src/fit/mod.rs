//! Statistical models of tables: Gaussian mixtures, restricted Boltzmann machines and deep belief networks, learned and kept
//! in files.

mod belief;
mod file;
mod machine;
mod rows;
mod sample;

pub use belief::{Belief, Bounds};
pub use file::{Fitted, Layer, Mixture, Network};
pub use machine::{Machine, Options, Progress, Score, base_of};
pub use rows::{Binarize, Rows};
pub use sample::Drawn;
