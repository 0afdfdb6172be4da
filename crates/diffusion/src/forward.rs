//! The forward process and the variational bound (Kingma et al. 2021; Luo
//! 2022). Terms of the bound are in nats, summed over the values of one
//! sample.

use crate::error::{Error, length, range};
use crate::schedule::Point;
use core::f64::consts::{LN_2, PI};
use yuragi_numeric::special::{Sum, sum};

/// z ← α·x + σ·ε: a draw from q(z | x) = N(α·x, σ²·I), given standard normal ε.
///
/// ```
/// use yuragi_diffusion::{Point, forward::perturb};
/// let mut z = [0.0; 2];
/// perturb(Point { time: 0.0, alpha: 0.8, sigma: 0.6 }, &[1.0, 2.0], &[0.0, 1.0], &mut z)?;
/// assert_eq!(z, [0.8, 2.2]);
/// # Ok::<(), yuragi_diffusion::Error>(())
/// ```
///
/// # Errors
/// Slices that differ in length.
pub fn perturb(point: Point, x: &[f32], noise: &[f32], z: &mut [f32]) -> Result<(), Error> {
    length("x", x.len(), z.len())?;
    length("the noise", noise.len(), z.len())?;
    let (alpha, sigma) = (point.alpha as f32, point.sigma as f32);
    for ((z, x), n) in z.iter_mut().zip(x).zip(noise) {
        *z = alpha * x + sigma * n;
    }
    Ok(())
}

/// The posterior q(z_s | z_t, x) = N(`z`·z_t + `x`·x, `variance`·I), s < t.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Posterior {
    /// The coefficient of z_t.
    pub z: f64,
    /// The coefficient of x.
    pub x: f64,
    /// The variance.
    pub variance: f64,
}

impl Posterior {
    /// The posterior of the less noisy `s` given the noisier `t`. For adjacent
    /// timesteps of a variance-preserving process its mean is
    /// \[√α_t(1−ᾱ_{t−1})·z_t + √ᾱ_{t−1}(1−α_t)·x\]/(1−ᾱ_t) and its variance
    /// (1−α_t)(1−ᾱ_{t−1})/(1−ᾱ_t).
    ///
    /// # Errors
    /// `s` not less noisy than `t`, or coefficients that are negative or not
    /// finite.
    pub fn new(t: Point, s: Point) -> Result<Self, Error> {
        check_order(t, s)?;
        let ratio = t.alpha / s.alpha;
        let shrink = s.sigma * s.sigma / (t.sigma * t.sigma);
        let share = 1.0 - ratio * ratio * shrink;
        Ok(Self { z: ratio * shrink, x: s.alpha * share, variance: s.sigma * s.sigma * share })
    }

    /// Writes the mean for z_t and x (or a network's estimate of it).
    ///
    /// # Errors
    /// Slices that differ in length.
    pub fn mean(&self, z_t: &[f32], x: &[f32], out: &mut [f32]) -> Result<(), Error> {
        length("z_t", z_t.len(), out.len())?;
        length("x", x.len(), out.len())?;
        let (cz, cx) = (self.z as f32, self.x as f32);
        for ((out, z), x) in out.iter_mut().zip(z_t).zip(x) {
            *out = cz * z + cx * x;
        }
        Ok(())
    }
}

fn check_order(t: Point, s: Point) -> Result<(), Error> {
    for (what, value) in [("alpha", t.alpha), ("sigma", t.sigma), ("alpha", s.alpha), ("sigma", s.sigma)] {
        range(what, value, value >= 0.0 && value.is_finite(), "finite and at least 0")?;
    }
    range("sigma", s.sigma, s.alpha * t.sigma > t.alpha * s.sigma, "such that alpha/sigma is above that of t")
}

/// D(q(z_T | x) ‖ N(0, I)) = ½ Σ(α²x² + σ² − 1 − ln σ²): the prior term.
pub fn prior_term(last: Point, x: &[f32]) -> f64 {
    let variance = last.sigma * last.sigma;
    let constant = variance - 1.0 - libm::log(variance);
    0.5 * sum(x.iter().map(|&x| {
        let mean = last.alpha * f64::from(x);
        mean * mean + constant
    }))
}

/// D(q(z_s | z_t, x) ‖ q(z_s | z_t, x̂)) = ½(SNR_s − SNR_t)·‖x − x̂‖²: one path
/// term, for a network's estimate x̂.
///
/// # Errors
/// `s` not less noisy than `t`, or slices that differ in length.
pub fn path_term(t: Point, s: Point, x: &[f32], estimate: &[f32]) -> Result<f64, Error> {
    check_order(t, s)?;
    length("the estimate", estimate.len(), x.len())?;
    let square = sum(x.iter().zip(estimate).map(|(x, y)| {
        let difference = f64::from(*x) - f64::from(*y);
        difference * difference
    }));
    Ok(0.5 * (s.snr() - t.snr()) * square)
}

/// −E ln p(x | z₀) = n/2·(1 + ln(2π·σ²/α²)) for the Gaussian decoder
/// p(x | z₀) = N(z₀/α, σ²/α²·I) and n values: the reconstruction term of
/// continuous data.
pub fn gaussian_reconstruction_term(first: Point, values: usize) -> f64 {
    0.5 * values as f64 * (1.0 + libm::log(2.0 * PI) - libm::log(first.snr()))
}

/// −ln p(x | z₀) for data on `levels` equal levels from −1 to 1, with
/// p(x | z₀) ∝ N(z₀; α·x, σ²) over the levels (Kingma et al. 2021, section
/// 3.3): the reconstruction term of pictures.
///
/// # Errors
/// Slices that differ in length, fewer than two levels, or σ = 0.
pub fn discrete_reconstruction_term(first: Point, levels: u32, x: &[f32], z: &[f32]) -> Result<f64, Error> {
    length("z", z.len(), x.len())?;
    range("the number of levels", f64::from(levels), levels >= 2, "at least 2")?;
    range("sigma", first.sigma, first.sigma > 0.0, "positive")?;
    let mut total = Sum::default();
    for (&x, &z) in x.iter().zip(z) {
        let log_density = |x: f64| {
            let distance = (f64::from(z) - first.alpha * x) / first.sigma;
            -0.5 * distance * distance
        };
        let level = |k: u32| -1.0 + 2.0 * f64::from(k) / f64::from(levels - 1);
        let max = (0..levels).map(|k| log_density(level(k))).fold(f64::NEG_INFINITY, f64::max);
        let normalizer = max + libm::log(sum((0..levels).map(|k| libm::exp(log_density(level(k)) - max))));
        total += normalizer - log_density(f64::from(x));
    }
    Ok(total.value())
}

/// The variational bound on −ln p(x), in nats.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bound {
    /// −E ln p(x | z₀).
    pub reconstruction: f64,
    /// D(q(z_T | x) ‖ p(z_T)).
    pub prior: f64,
    /// The sum of the path terms.
    pub path: f64,
}

impl Bound {
    /// The sum of the three terms.
    pub fn total(self) -> f64 {
        self.reconstruction + self.prior + self.path
    }

    /// The bound in bits for each of `values` values.
    pub fn bits_per_dim(self, values: usize) -> f64 {
        self.total() / (LN_2 * values as f64)
    }
}
