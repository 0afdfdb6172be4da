//! The continuous processes of Song et al. 2021 and Langevin dynamics.

use crate::error::{Error, length, range};
use crate::sampler::Noise;
use crate::schedule::{Coordinate, Ladder, Point};

/// dx = f(t)·x dt + g(t) dw on t ∈ \[0, 1\].
///
/// Its reverse is dx = \[f·x − g²·s\] dt + g dw̄ with the score
/// s = ∇ ln q_t(x), and dx/dt = f·x − ½g²·s has the same marginals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sde {
    /// Variance preserving: f = −½β(t), g² = β(t), β linear in t.
    VariancePreserving {
        /// β(0), commonly 0.1.
        beta_min: f64,
        /// β(1), commonly 20.
        beta_max: f64,
    },
    /// Variance exploding: f = 0, σ(t) = σ_min·(σ_max/σ_min)^t.
    VarianceExploding {
        /// σ(0).
        sigma_min: f64,
        /// σ(1).
        sigma_max: f64,
    },
}

impl Sde {
    /// f(t).
    pub fn drift(self, t: f64) -> f64 {
        match self {
            Self::VariancePreserving { beta_min, beta_max } => -0.5 * (beta_min + t * (beta_max - beta_min)),
            Self::VarianceExploding { .. } => 0.0,
        }
    }

    /// g²(t), the rate at which noise enters.
    pub fn diffusion(self, t: f64) -> f64 {
        match self {
            Self::VariancePreserving { .. } => -2.0 * self.drift(t),
            Self::VarianceExploding { sigma_min, sigma_max } => {
                let sigma = self.point(t).sigma;
                2.0 * sigma * sigma * libm::log(sigma_max / sigma_min)
            }
        }
    }

    /// The noise level at time t. For the exploding process σ(0) = σ_min is
    /// counted as noise.
    pub fn point(self, t: f64) -> Point {
        match self {
            Self::VariancePreserving { beta_min, beta_max } => {
                let integral = t * (beta_min + 0.5 * t * (beta_max - beta_min));
                Point { time: t, alpha: libm::exp(-0.5 * integral), sigma: libm::sqrt(-libm::expm1(-integral)) }
            }
            Self::VarianceExploding { sigma_min, sigma_max } => {
                Point { time: t, alpha: 1.0, sigma: sigma_min * libm::pow(sigma_max / sigma_min, t) }
            }
        }
    }

    /// A ladder of equal steps in t from 1 to `end`.
    ///
    /// # Errors
    /// No steps, `end` outside \[0, 1), or parameters that are not positive
    /// and increasing.
    pub fn ladder(self, steps: usize, end: f64) -> Result<Ladder, Error> {
        range("the number of steps", steps as f64, steps >= 1, "at least 1")?;
        range("the end", end, (0.0..1.0).contains(&end), "in [0, 1)")?;
        let points = (0..=steps).map(|i| self.point(1.0 - (1.0 - end) * (i as f64 / steps as f64)));
        Ladder::new(points, Coordinate::Sigma)
    }

    /// dx/dt of the reverse process at noise share `lambda`: 1 is the drift
    /// of the reverse SDE, 0 the probability-flow ODE.
    pub fn reverse_drift(self, t: f64, x: f64, score: f64, lambda: f64) -> f64 {
        self.drift(t) * x - 0.5 * (1.0 + lambda * lambda) * self.diffusion(t) * score
    }
}

/// One step of unadjusted overdamped Langevin dynamics,
/// `x ← x + step·score + √(2·step)·n`; `stream` numbers the step.
///
/// For a Gaussian target of variance v its stationary variance is
/// v/(1 − step/(2v)).
///
/// # Errors
/// Slices that differ in length, or a step that is not positive and finite.
pub fn langevin(x: &mut [f32], score: &[f32], step: f64, stream: u32, noise: &mut impl Noise) -> Result<(), Error> {
    length("the score", score.len(), x.len())?;
    range("the step", step, step > 0.0 && step.is_finite(), "positive and finite")?;
    let (step, scale) = (step as f32, libm::sqrt(2.0 * step) as f32);
    let mut fresh = [0.0; 256];
    for (i, (x, score)) in x.chunks_mut(256).zip(score.chunks(256)).enumerate() {
        let fresh = &mut fresh[..x.len()];
        noise.fill(stream, i * 256, fresh);
        for ((x, score), n) in x.iter_mut().zip(score).zip(fresh) {
            *x += step * score + scale * *n;
        }
    }
    Ok(())
}
