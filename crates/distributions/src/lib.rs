//! Distributions: density, sampling, maximum likelihood; how far one is from another; mixtures, and
//! expectation–maximisation for any model with latent variables.
//!
//! Data come from an unknown P(x). What is known of it is the empirical distribution
//! P₀(x) = (1/n) Σ δ(x − xᵢ), and a model q_θ is learned by bringing D(P₀‖q_θ) to its least:
//!
//! ```
//! use yuragi_distributions::{Data, Distribution, Fit, Gaussian, score};
//! use yuragi_numeric::philox::Philox;
//! # fn main() -> Result<(), yuragi_distributions::Error> {
//! let p = Gaussian::new(170.0, 6.0)?;
//! let samples = p.sample(&mut Philox::new([7, 0], 0), 10_000);
//! let data = Data::scalars(&samples)?;
//! let q = Gaussian::fit(&data)?; // the nearest to P₀
//! assert!((q.mean() - 170.0).abs() < 0.3);
//! assert!(score::log_likelihood(&q, &data) >= score::log_likelihood(&p, &data));
//! # Ok(())
//! # }
//! ```
//!
//! | module or type | holds |
//! |---|---|
//! | [`Gaussian`], [`MultivariateGaussian`], [`Bernoulli`], [`Categorical`], [`Uniform`], [`Exponential`], [`Laplace`], [`Poisson`] | the families, one file each |
//! | [`Independent`] | coordinates with a family each |
//! | [`Empirical`], [`Histogram`] | P₀, and densities that are counted |
//! | [`Mixture`], [`GaussianMixture`] | sums of any family; of normal distributions, fast and from its own start |
//! | [`divergence`] | Kullback–Leibler, its reverse, Jensen–Shannon, total variation |
//! | [`score`] | log-likelihood, AIC, BIC |
//! | [`em`] | the variational bound, and EM as a trait |
//! | [`random`] | draws in f64 from any generator |
//!
//! With the feature `std`, loops run on the widest vector units of the machine, and mixtures on
//! threads; results are the same bits without.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod bernoulli;
mod categorical;
mod data;
mod distribution;
pub mod divergence;
pub mod em;
mod empirical;
mod error;
mod exponential;
mod gaussian;
mod gaussian_mixture;
mod independent;
mod laplace;
mod mixture;
mod multivariate;
mod parallel;
mod poisson;
mod quadrature;
pub mod random;
pub mod score;
mod uniform;

pub use bernoulli::Bernoulli;
pub use categorical::Categorical;
pub use data::Data;
pub use distribution::{Distribution, Extent, Fit, Information, Point, Scalar};
pub use empirical::{Empirical, Histogram};
pub use error::Error;
pub use exponential::Exponential;
pub use gaussian::Gaussian;
pub use gaussian_mixture::{Begin, Covariance, Expected, Fitted, GaussianMixture, Options, Start};
pub use independent::Independent;
pub use laplace::Laplace;
pub use mixture::Mixture;
pub use multivariate::{MultivariateGaussian, PrincipalAxes};
pub use parallel::{Going, Single, Team};
pub use poisson::Poisson;
pub use uniform::Uniform;
