//! Fresh noise before each step (Karras et al. 2022, algorithm 2).

use super::linear::Linear;
use super::program::noise;
use crate::error::{Error, range};
use crate::schedule::{Ladder, Point};
use core::f64::consts::SQRT_2;
use core::fmt;

/// How much noise every step of a sampler of the probability-flow ODE adds
/// before it begins: σ/α is raised by the factor 1 + γ, γ = min(S_churn/N,
/// √2 − 1) for N steps, where it is from S_tmin to S_tmax. The paper takes
/// (80, 0.05, 1, 1.007) for CIFAR-10 and (40, 0.05, 50, 1.003) for ImageNet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Churn {
    /// S_churn, at least 0; 0 adds none.
    pub amount: f64,
    /// S_tmin, at least 0.
    pub from: f64,
    /// S_tmax, at least `from`; may be infinite.
    pub to: f64,
    /// S_noise, the deviation of the noise added, at least 0; commonly a
    /// little above 1, for what the network takes away too much.
    pub noise: f64,
}

impl Default for Churn {
    /// None.
    fn default() -> Self {
        Self { amount: 0.0, from: 0.0, to: f64::INFINITY, noise: 1.0 }
    }
}

impl Churn {
    /// Checks the numbers.
    pub(crate) fn check(self) -> Result<(), Error> {
        let Self { amount, from, to, noise } = self;
        range("the churn", amount, amount >= 0.0 && amount.is_finite(), "finite and at least 0")?;
        range("the churn's least sigma", from, from >= 0.0 && from.is_finite(), "finite and at least 0")?;
        range("the churn's largest sigma", to, to >= from, "at least the least")?;
        range("the churn's noise", noise, noise >= 0.0 && noise.is_finite(), "finite and at least 0")
    }

    /// The point to which the beginning of the step at `place` is raised.
    pub(super) fn raised(self, ladder: &Ladder, place: usize) -> Point {
        let (from, to) = ladder.step(place);
        let gamma = self.gamma(ladder, from.ratio());
        if gamma == 0.0 { from } else { ladder.clock().between(from, to, from.ratio() * (1.0 + gamma)) }
    }

    /// γ at σ/α; 0 where there is no signal.
    pub(super) fn gamma(self, ladder: &Ladder, ratio: f64) -> f64 {
        let steps = ladder.whole().0.len() - 1;
        let inside = ratio.is_finite() && (self.from..=self.to).contains(&ratio);
        if inside { (self.amount / steps as f64).min(SQRT_2 - 1.0) } else { 0.0 }
    }

    /// x at `to`, as noise lifts it there from x at `from`.
    pub(super) fn lift(self, x: Linear, from: Point, to: Point) -> Linear {
        if from == to { x } else { x * (to.alpha / from.alpha) + noise() * self.added(from, to) }
    }

    /// The deviation of the noise that [`lift`](Self::lift) adds.
    pub(super) fn added(self, from: Point, to: Point) -> f64 {
        let (low, high) = (from.ratio(), to.ratio());
        self.noise * to.alpha * libm::sqrt((high - low) * (high + low))
    }

    /// Where the step at `place` of a ladder begins and ends, and where the
    /// next one begins.
    pub(super) fn step(self, ladder: &Ladder, place: usize) -> (Point, Point, Point) {
        let (_, to) = ladder.step(place);
        let next = place + 1;
        let after = if next == ladder.places().end { to } else { self.raised(ladder, next) };
        (self.raised(ladder, place), to, after)
    }

    /// The deviation of the noise to begin from.
    pub(super) fn start(self, ladder: &Ladder) -> f64 {
        let (at, to) = (ladder.points()[0], self.raised(ladder, ladder.places().start));
        if at == to {
            return ladder.start();
        }
        libm::hypot(ladder.start() * to.alpha / at.alpha, self.added(at, to))
    }
}

/// As names of samplers end: `:S_CHURN`, and `:S_TMIN:S_TMAX:S_NOISE` unless
/// they are usual.
impl fmt::Display for Churn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { amount, from, to, noise } = *self;
        write!(f, ":{amount}")?;
        if *self != (Self { amount, ..Self::default() }) {
            write!(f, ":{from}:{to}")?;
        }
        if noise == 1.0 { Ok(()) } else { write!(f, ":{noise}") }
    }
}
