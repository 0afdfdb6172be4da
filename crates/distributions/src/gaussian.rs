//! The normal distribution.

use alloc::vec::Vec;
use core::f64::consts::{LN_2, PI, SQRT_2};

use yuragi_numeric::rand_core::Rng;

use crate::distribution::{Distribution, Extent, Fit, Information, Scalar, put};
use crate::error::range;
use crate::random::standard_normal;
use crate::{Data, Error};

/// N(μ, σ²): q(x) = exp(−(x−μ)²/2σ²)/Z with Z = √(2πσ²).
///
/// ```
/// use yuragi_distributions::{Data, Distribution, Fit, Gaussian};
/// # fn main() -> Result<(), yuragi_distributions::Error> {
/// let q = Gaussian::fit(&Data::scalars(&[1.0, 2.0, 6.0])?)?;
/// assert_eq!(q.mean(), 3.0);
/// assert!((q.variance() - 14.0 / 3.0).abs() < 1e-15); // 1/n, not 1/(n−1)
/// assert!((q.log_density(3.0) + q.partition_function().ln()).abs() < 1e-15);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gaussian {
    mean: f64,
    deviation: f64,
}

impl Gaussian {
    /// With mean μ and standard deviation σ.
    ///
    /// # Errors
    /// A mean that is not finite, or a deviation outside [10⁻¹⁵⁰, 10¹⁵⁰].
    pub fn new(mean: f64, deviation: f64) -> Result<Self, Error> {
        range("the mean", mean, mean.is_finite(), "finite")?;
        range("the deviation", deviation, (1e-150..=1e150).contains(&deviation), "from 1e-150 to 1e150")?;
        Ok(Self { mean, deviation })
    }

    /// μ.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// σ.
    pub fn deviation(&self) -> f64 {
        self.deviation
    }

    /// σ².
    pub fn variance(&self) -> f64 {
        self.deviation * self.deviation
    }

    /// Z = ∫ exp(−(x−μ)²/2σ²) dx = √(2πσ²).
    pub fn partition_function(&self) -> f64 {
        libm::sqrt(2.0 * PI) * self.deviation
    }

    /// ½∫ |p − q|, between the points where the densities cross.
    pub fn total_variation(&self, other: &Self) -> f64 {
        let (narrow, wide) = if self.deviation <= other.deviation { (self, other) } else { (other, self) };
        // In units of the narrower, from its mean, with ratio u of deviations and shift t in units of the
        // wider: ln p − ln q = −z²/2 + (uz−t)²/2 − ln u crosses zero at the roots of
        // (1−u²)z² + 2tuz − t² + 2 ln u; the narrower is larger between them.
        let u = narrow.deviation / wide.deviation;
        let t = (wide.mean - narrow.mean) / wide.deviation;
        let excess = (1.0 - u) * (1.0 + u);
        if t.abs() > 100.0 {
            return 1.0; // to 10⁻⁵⁰⁰
        }
        if excess == 0.0 {
            return libm::erf(t.abs() / (2.0 * SQRT_2));
        }
        let constant = t * t - 2.0 * if u > 0.5 { libm::log1p(u - 1.0) } else { libm::log(u) };
        let root = libm::sqrt(t * t * u * u + excess * constant);
        // The root of the sum without cancellation, and the other from the product −constant/excess.
        let large = if t >= 0.0 { -(t * u + root) } else { -t * u + root };
        let (a, b) = (large / excess, -constant / large);
        let (low, high) = (a.min(b), a.max(b));
        let wider = normal_between(u * low - t, u * high - t);
        (normal_between(low, high) - wider).clamp(0.0, 1.0)
    }
}

/// Φ(x), accurate in the lower tail.
pub(crate) fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x / SQRT_2)
}

/// Φ(high) − Φ(low), without cancellation in the upper tail.
fn normal_between(low: f64, high: f64) -> f64 {
    if low > 0.0 { normal_cdf(-low) - normal_cdf(-high) } else { normal_cdf(high) - normal_cdf(low) }
}

impl Distribution for Gaussian {
    type Point<'a> = f64;

    fn dimension(&self) -> usize {
        1
    }

    fn parameters(&self) -> usize {
        2
    }

    fn log_density(&self, x: f64) -> f64 {
        let z = (x - self.mean) / self.deviation;
        if z.is_nan() {
            return f64::NEG_INFINITY;
        }
        -0.5 * z * z - 0.5 * (LN_2 + libm::log(PI)) - libm::log(self.deviation)
    }

    fn draw<R: Rng + ?Sized>(&self, rng: &mut R, point: &mut [f64]) {
        put(point, self.mean + self.deviation * standard_normal(rng));
    }
}

impl Scalar for Gaussian {
    fn cdf(&self, x: f64) -> f64 {
        normal_cdf((x - self.mean) / self.deviation)
    }

    fn extent(&self) -> Extent {
        let marks: Vec<f64> =
            [-9.0, -6.0, -3.0, 0.0, 3.0, 6.0, 9.0].iter().map(|z| self.mean + z * self.deviation).collect();
        Extent::Reals(marks)
    }
}

impl Information for Gaussian {
    /// ½ ln(2πeσ²).
    fn entropy(&self) -> f64 {
        0.5 * (1.0 + libm::log(2.0 * PI)) + libm::log(self.deviation)
    }

    /// ln(σ_q/σ_p) + (σ_p² + (μ_p−μ_q)²)/2σ_q² − ½.
    fn kl(&self, q: &Self) -> f64 {
        let shift = (self.mean - q.mean) / q.deviation;
        0.5 * shift * shift + variance_divergence(self.deviation / q.deviation)
    }
}

/// ½(r² − 1 − ln r²): the divergence of two centred normal distributions whose deviations have ratio r.
pub(crate) fn variance_divergence(ratio: f64) -> f64 {
    let excess = (ratio - 1.0) * (ratio + 1.0);
    let log = if ratio > 0.5 { libm::log1p(excess) } else { 2.0 * libm::log(ratio) };
    (0.5 * (excess - log)).max(0.0)
}

impl Fit for Gaussian {
    /// μ = Σ wᵢxᵢ/Σ wᵢ and σ² = Σ wᵢ(xᵢ−μ)²/Σ wᵢ.
    ///
    /// # Errors
    /// Points that are all equal; see [`Fit::fit`].
    fn fit(data: &Data<'_>) -> Result<Self, Error> {
        data.complete(1)?;
        let mean = data.column_mean(|row| row[0]);
        let variance = data.column_mean(|row| (row[0] - mean) * (row[0] - mean));
        let scale = data.values().iter().fold(0.0, |max: f64, x| max.max(x.abs()));
        let deviation = libm::sqrt(variance);
        // A mean is rounded in its last places, so equal points seem to vary there.
        if deviation <= 4.0 * f64::EPSILON * scale || deviation < 1e-150 {
            return Err(Error::Degenerate { what: "the variance", why: "all points are equal" });
        }
        Self::new(mean, deviation)
    }
}
