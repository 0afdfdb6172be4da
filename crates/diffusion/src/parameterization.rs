//! What a network predicts, and the exact conversions between predictions
//! (Luo 2022, arXiv 2208.11970; Salimans and Ho 2022 for v).

use crate::error::{Error, length};
use crate::schedule::Point;
use core::fmt;
use core::str::FromStr;

/// What a network predicts from `x = α·x₀ + σ·ε`.
///
/// Every prediction is p = a·x₀ + b·ε with known (a, b); together with x it
/// determines x₀ and ε wherever α·b ≠ σ·a.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prediction {
    /// The clean sample x₀.
    Sample,
    /// The noise ε.
    Epsilon,
    /// v = α·ε − σ·x₀.
    Velocity,
    /// The flow u = ε − x₀.
    Flow,
    /// The score ∇ ln q(x) = −ε/σ.
    Score,
    /// −v: the F of elucidated diffusion (Karras et al. 2022), behind
    /// [`Input::Scaled`](crate::Input::Scaled).
    Edm,
}

/// The names of [`Prediction`]s, as [`FromStr`] reads them.
const NAMES: &str = "sample, epsilon, velocity, flow, score, edm";

impl Prediction {
    /// The name, as [`FromStr`] reads it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sample => "sample",
            Self::Epsilon => "epsilon",
            Self::Velocity => "velocity",
            Self::Flow => "flow",
            Self::Score => "score",
            Self::Edm => "edm",
        }
    }

    /// (a, b) of p = a·x₀ + b·ε.
    fn coefficients(self, point: Point) -> (f64, f64) {
        match self {
            Self::Sample => (1.0, 0.0),
            Self::Epsilon => (0.0, 1.0),
            Self::Velocity => (-point.sigma, point.alpha),
            Self::Flow => (-1.0, 1.0),
            Self::Score => (0.0, -1.0 / point.sigma),
            Self::Edm => (point.sigma, -point.alpha),
        }
    }

    /// (cₓ, cₚ) such that `to = cₓ·x + cₚ·self`.
    ///
    /// ```
    /// use yuragi_diffusion::{Point, Prediction};
    /// let point = Point { time: 0.0, alpha: 0.8, sigma: 0.6 };
    /// let (x, p) = Prediction::Epsilon.to(Prediction::Sample, point)?;
    /// assert_eq!((x, p), (1.0 / 0.8, -0.6 / 0.8));
    /// # Ok::<(), yuragi_diffusion::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Singular`] where `self` and x do not determine `to`.
    pub fn to(self, to: Self, point: Point) -> Result<(f64, f64), Error> {
        if self == to {
            return Ok((0.0, 1.0));
        }
        let Point { alpha, sigma, .. } = point;
        let ((a, b), (c, d)) = (self.coefficients(point), to.coefficients(point));
        let determinant = alpha * b - sigma * a;
        let pair = ((c * b - d * a) / determinant, (d * alpha - c * sigma) / determinant);
        if pair.0.is_finite() && pair.1.is_finite() {
            Ok(pair)
        } else {
            Err(Error::Singular { from: self.name(), to: to.name(), alpha, sigma })
        }
    }

    /// Converts `values`, predictions of this kind from `x`, to the kind `to`.
    ///
    /// # Errors
    /// [`Error::Length`] if `x` and `values` differ in length,
    /// [`Error::Singular`] where `self` and x do not determine `to`.
    pub fn convert(self, to: Self, point: Point, x: &[f32], values: &mut [f32]) -> Result<(), Error> {
        length("x", x.len(), values.len())?;
        let (cx, cp) = self.to(to, point)?;
        if self != to {
            let (cx, cp) = (cx as f32, cp as f32);
            for (p, x) in values.iter_mut().zip(x) {
                *p = cx * x + cp * *p;
            }
        }
        Ok(())
    }

    /// Writes the training target for the pair (x₀, ε).
    ///
    /// # Errors
    /// [`Error::Length`] if the three slices differ in length.
    pub fn target(self, point: Point, sample: &[f32], epsilon: &[f32], out: &mut [f32]) -> Result<(), Error> {
        length("the sample", sample.len(), out.len())?;
        length("the noise", epsilon.len(), out.len())?;
        let (a, b) = self.coefficients(point);
        let (a, b) = (a as f32, b as f32);
        for ((out, x0), e) in out.iter_mut().zip(sample).zip(epsilon) {
            *out = a * x0 + b * e;
        }
        Ok(())
    }

    /// The factor that turns a squared error of this prediction into that of
    /// x₀: training with it makes all predictions the same objective.
    ///
    /// # Errors
    /// [`Error::Singular`] where this prediction does not determine x₀.
    pub fn weight(self, point: Point) -> Result<f64, Error> {
        let (_, p) = self.to(Self::Sample, point)?;
        Ok(p * p)
    }
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Prediction {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let all = [Self::Sample, Self::Epsilon, Self::Velocity, Self::Flow, Self::Score, Self::Edm];
        let found = all.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name.trim()));
        found.ok_or_else(|| Error::Name { what: "prediction", got: name.into(), legal: NAMES })
    }
}
