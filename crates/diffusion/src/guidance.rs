//! Guidance: steering a sampler with a condition.
//!
//! A guided sampler follows the guided field; what it samples is *not* the
//! density p(x)·p(c|x)^w at any noise level but the last.

use crate::error::{Error, length, range};
use crate::schedule::Point;
use alloc::{format, string::String};
use core::{fmt, str::FromStr};

/// The noise levels at which guidance acts (Kynkäänniemi et al. 2024): little
/// is lost, and much variety won, where it leaves the noisiest out. Counted in
/// the noise's [share](Point::share) σ/(α+σ), which is t in flow matching.
///
/// ```
/// use yuragi_diffusion::{Point, guidance::Interval};
/// let interval: Interval = "0.2:0.8".parse()?;
/// assert!(interval.contains(Point { time: 500.0, alpha: 0.6, sigma: 0.8 }));
/// assert!(!interval.contains(Point { time: 999.0, alpha: 0.1, sigma: 0.9 }));
/// # Ok::<(), yuragi_diffusion::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    low: f64,
    high: f64,
}

impl Default for Interval {
    /// All noise levels.
    fn default() -> Self {
        Self { low: 0.0, high: 1.0 }
    }
}

impl Interval {
    /// From the share `low` to `high`, both included.
    ///
    /// # Errors
    /// Not 0 ≤ `low` ≤ `high` ≤ 1.
    pub fn new(low: f64, high: f64) -> Result<Self, Error> {
        range("the interval's beginning", low, (0.0..=1.0).contains(&low), "from 0 to 1")?;
        range("the interval's end", high, (low..=1.0).contains(&high), "from its beginning to 1")?;
        Ok(Self { low, high })
    }

    /// Whether guidance acts at a noise level.
    pub fn contains(self, point: Point) -> bool {
        (self.low..=self.high).contains(&point.share())
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}:{}", self.low, self.high))
    }
}

/// Reads `LOW:HIGH`.
impl FromStr for Interval {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let number = |text: &str| text.trim().parse::<f64>().ok();
        let pair = text.split_once(':').and_then(|(low, high)| Some((number(low)?, number(high)?)));
        let wrong =
            || Error::Name { what: "interval", got: String::from(text), legal: "LOW:HIGH, two numbers from 0 to 1" };
        let (low, high) = pair.ok_or_else(wrong)?;
        Self::new(low, high)
    }
}

/// Classifier-free guidance (Ho and Salimans 2022):
/// `conditional ← unconditional + weight·(conditional − unconditional)`.
///
/// Holds for any [`Prediction`](crate::Prediction), all being affine in one
/// another. Weight 1 leaves the conditional prediction; a negative prompt
/// takes the place of no prompt.
///
/// ```
/// let mut x = [2.0];
/// yuragi_diffusion::guidance::classifier_free(&[1.0], &mut x, 7.5)?;
/// assert_eq!(x, [8.5]);
/// # Ok::<(), yuragi_diffusion::Error>(())
/// ```
///
/// # Errors
/// Slices that differ in length.
pub fn classifier_free(unconditional: &[f32], conditional: &mut [f32], weight: f32) -> Result<(), Error> {
    length("the unconditional prediction", unconditional.len(), conditional.len())?;
    for (c, u) in conditional.iter_mut().zip(unconditional) {
        *c = u + weight * (*c - u);
    }
    Ok(())
}

/// Rescaled guidance (Lin et al. 2023, section 3.4) for one picture:
/// [`classifier_free`], then scaled towards the standard deviation of the
/// conditional prediction by the share `rescale` (0 none, 1 all; 0.7 is
/// usual).
///
/// # Errors
/// Slices that differ in length.
pub fn classifier_free_rescaled(
    unconditional: &[f32],
    conditional: &mut [f32],
    weight: f32,
    rescale: f32,
) -> Result<(), Error> {
    if rescale == 0.0 {
        return classifier_free(unconditional, conditional, weight);
    }
    let before = standard_deviation(conditional);
    classifier_free(unconditional, conditional, weight)?;
    let after = standard_deviation(conditional);
    if after > 0.0 {
        let factor = rescale * (before / after) as f32 + (1.0 - rescale);
        conditional.iter_mut().for_each(|x| *x *= factor);
    }
    Ok(())
}

/// Classifier guidance (Dhariwal and Nichol 2021) on a prediction of x₀:
/// `sample ← sample + weight·σ²/α·gradient`, where `gradient` is
/// ∇ ln p(c | x) at the noisy x.
///
/// # Errors
/// Slices that differ in length, or [`Error::Singular`] where α = 0.
pub fn classifier(point: Point, gradient: &[f32], sample: &mut [f32], weight: f32) -> Result<(), Error> {
    length("the gradient", gradient.len(), sample.len())?;
    let (alpha, sigma) = (point.alpha, point.sigma);
    if alpha == 0.0 {
        return Err(Error::Singular { from: "score", to: "sample", alpha, sigma });
    }
    let scale = weight * (sigma * sigma / alpha) as f32;
    for (x, g) in sample.iter_mut().zip(gradient) {
        *x += scale * g;
    }
    Ok(())
}

fn standard_deviation(values: &[f32]) -> f64 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let square = values.iter().map(|x| (f64::from(*x) - mean) * (f64::from(*x) - mean)).sum::<f64>();
    libm::sqrt(square / n)
}
