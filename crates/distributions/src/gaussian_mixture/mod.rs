//! Mixtures of multivariate normal distributions, learned by expectation–maximisation.

mod block;
mod covariance;
mod fit;
mod kmeans;
mod mixture;
mod pass;
mod scale;

pub use covariance::Covariance;
pub use fit::{Begin, Fitted, Options, Start};
pub use mixture::{Expected, GaussianMixture};
