//! Noise schedules, and the ladders of noise levels that samplers walk down.

mod clock;
mod discrete;
mod ladder;
mod process;
mod spacing;

pub(crate) use self::{
    clock::{Clock, timestep},
    spacing::linspace,
};
pub use self::{
    discrete::Discrete,
    ladder::{Coordinate, Input, Ladder},
    process::Sde,
    spacing::Spacing,
};

/// One noise level: `x = alpha·x₀ + sigma·ε`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// What the network is told: the timestep of a discrete schedule, σ on a
    /// Karras ladder, t ∈ \[0, 1\] in flow matching.
    pub time: f64,
    /// The signal's coefficient α ≥ 0.
    pub alpha: f64,
    /// The noise's standard deviation σ ≥ 0.
    pub sigma: f64,
}

impl Point {
    /// The end of most ladders: data without noise.
    pub(crate) const CLEAN: Self = Self { time: 0.0, alpha: 1.0, sigma: 0.0 };

    /// The signal-to-noise ratio α²/σ².
    pub fn snr(self) -> f64 {
        let ratio = self.alpha / self.sigma;
        ratio * ratio
    }

    /// λ = ln(α/σ), half the log-SNR.
    pub fn lambda(self) -> f64 {
        libm::log(self.alpha / self.sigma)
    }

    /// σ/α, infinite where there is no signal.
    pub fn ratio(self) -> f64 {
        self.sigma / self.alpha
    }

    /// σ/(α+σ), the noise's share: 0 for data, 1 for noise, and t itself in
    /// flow matching.
    pub fn share(self) -> f64 {
        self.sigma / (self.alpha + self.sigma)
    }
}
