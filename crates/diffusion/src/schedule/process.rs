//! The continuous processes of Song et al. 2021.

use super::Point;

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
    /// Sub-variance preserving (Song et al. 2021, equation 13): f = −½β(t),
    /// g² = β(t)·(1 − e^(−2∫β)), so that σ = 1 − α².
    SubVariancePreserving {
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
            Self::VariancePreserving { beta_min, beta_max } | Self::SubVariancePreserving { beta_min, beta_max } => {
                -0.5 * (beta_min + t * (beta_max - beta_min))
            }
            Self::VarianceExploding { .. } => 0.0,
        }
    }

    /// g²(t), the rate at which noise enters.
    pub fn diffusion(self, t: f64) -> f64 {
        match self {
            Self::VariancePreserving { .. } => -2.0 * self.drift(t),
            Self::SubVariancePreserving { .. } => {
                let alpha = self.point(t).alpha;
                -2.0 * self.drift(t) * (1.0 - alpha * alpha * alpha * alpha)
            }
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
            Self::SubVariancePreserving { beta_min, beta_max } => {
                let integral = t * (beta_min + 0.5 * t * (beta_max - beta_min));
                Point { time: t, alpha: libm::exp(-0.5 * integral), sigma: -libm::expm1(-integral) }
            }
            Self::VarianceExploding { sigma_min, sigma_max } => {
                Point { time: t, alpha: 1.0, sigma: sigma_min * libm::pow(sigma_max / sigma_min, t) }
            }
        }
    }

    /// The time at which σ/α is `ratio`.
    pub(crate) fn time(self, ratio: f64) -> f64 {
        // ∫β = t·(β_min + ½t·(β_max − β_min)), a quadratic in t.
        let solve = |integral: f64, low: f64, high: f64| {
            2.0 * integral / (low + libm::sqrt(low * low + 2.0 * integral * (high - low)))
        };
        match self {
            Self::VariancePreserving { beta_min, beta_max } => solve(libm::log1p(ratio * ratio), beta_min, beta_max),
            Self::SubVariancePreserving { beta_min, beta_max } => {
                solve(-2.0 * libm::log(2.0 / (ratio + libm::hypot(ratio, 2.0))), beta_min, beta_max)
            }
            Self::VarianceExploding { sigma_min, sigma_max } => {
                libm::log(ratio / sigma_min) / libm::log(sigma_max / sigma_min)
            }
        }
    }

    /// dx/dt of the reverse process at noise share `lambda`: 1 is the drift
    /// of the reverse SDE, 0 the probability-flow ODE.
    pub fn reverse_drift(self, t: f64, x: f64, score: f64, lambda: f64) -> f64 {
        self.drift(t) * x - 0.5 * (1.0 + lambda * lambda) * self.diffusion(t) * score
    }
}
