//! What all distributions can do.

use alloc::vec;
use alloc::vec::Vec;

use yuragi_numeric::rand_core::Rng;

use crate::{Data, Error};

/// A point as formulas take it: `f64` in one dimension, `&[f64]` in several.
pub trait Point<'a>: Copy {
    /// The point whose coordinates these are.
    fn of(coordinates: &'a [f64]) -> Self;
}

impl Point<'_> for f64 {
    fn of(coordinates: &[f64]) -> Self {
        coordinates.first().copied().unwrap_or(f64::NAN)
    }
}

impl<'a> Point<'a> for &'a [f64] {
    fn of(coordinates: &'a [f64]) -> Self {
        coordinates
    }
}

/// A probability distribution: its density and its samples.
///
/// Logarithms are natural. "Density" means probability for a discrete distribution, whose points are
/// whole numbers held in `f64`.
pub trait Distribution {
    /// `f64` in one dimension, `&[f64]` in several.
    type Point<'a>: Point<'a>;

    /// The number of coordinates of a point.
    fn dimension(&self) -> usize;

    /// The number of free parameters, as [`score::aic`](crate::score::aic) and
    /// [`score::bic`](crate::score::bic) count them.
    fn parameters(&self) -> usize;

    /// ln q(x): −∞ outside the support, where NaN and points of another dimension are, too.
    fn log_density(&self, x: Self::Point<'_>) -> f64;

    /// Draws a point and writes it to the first [`dimension`](Self::dimension) places of `point`; a
    /// slice that is too short is left as it is.
    fn draw<R: Rng + ?Sized>(&self, rng: &mut R, point: &mut [f64]);

    /// Draws `n` points: their coordinates, point after point.
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R, n: usize) -> Vec<f64> {
        let dimension = self.dimension();
        let mut points = vec![0.0; n.saturating_mul(dimension)];
        points.chunks_exact_mut(dimension.max(1)).for_each(|point| self.draw(rng, point));
        points
    }
}

/// A distribution over numbers.
pub trait Scalar: for<'a> Distribution<Point<'a> = f64> {
    /// The probability of values up to and including `x`; NaN gives NaN.
    fn cdf(&self, x: f64) -> f64;

    /// Where nearly all of the probability is: see [`Extent`].
    fn extent(&self) -> Extent;
}

/// Where all but about 10⁻¹⁷ of a distribution's probability lies.
#[derive(Clone, Debug, PartialEq)]
pub enum Extent {
    /// Between the least and the greatest of these numbers. The density is smooth between neighbours,
    /// and not much narrower than the distance of the nearest two.
    Reals(Vec<f64>),
    /// On the whole numbers from the first to the last.
    Integers(i64, i64),
}

/// Closed forms of information theory, in nats.
pub trait Information: Distribution {
    /// −∫ p ln p.
    fn entropy(&self) -> f64;

    /// The Kullback–Leibler divergence D(p‖q) = ∫ p ln(p/q) of `self` = p from q: at least 0, and ∞
    /// where p has probability that q has not.
    fn kl(&self, q: &Self) -> f64;
}

/// Maximum likelihood in closed form: the member of a family that is nearest to the empirical
/// distribution P₀ in D(P₀‖q).
pub trait Fit: Distribution + Sized {
    /// Maximises Σ wᵢ ln q(xᵢ).
    ///
    /// # Errors
    /// Data of another dimension or with missing values, a point outside the support, or a likelihood
    /// without a maximum.
    fn fit(data: &Data<'_>) -> Result<Self, Error>;
}

/// p ln(p/q) − p + q: never negative, for ln t ≤ t − 1 (which is Gibbs' inequality), and with the sum of
/// p ln(p/q) over a whole distribution. The limits are q at p = 0 and ∞ at q = 0.
pub(crate) fn divergence_term(p: f64, q: f64) -> f64 {
    if p == 0.0 {
        return q;
    }
    let excess = (q - p) / p;
    // Near −1 the excess has lost the digits of q.
    let log = if excess > -0.5 && excess < 1e300 { libm::log1p(excess) } else { libm::log(q) - libm::log(p) };
    ((q - p) - p * log).max(0.0)
}

/// The same from the logarithms, so that ln(p/q) is exact where both underflow.
pub(crate) fn divergence_log_term(log_p: f64, log_q: f64) -> f64 {
    let (p, q) = (libm::exp(log_p), libm::exp(log_q));
    if p == 0.0 || log_q == f64::NEG_INFINITY {
        return divergence_term(p, q);
    }
    // p(q/p − 1 − ln(q/p)).
    let log_ratio = log_q - log_p;
    if log_ratio < 1.0 { p * (libm::expm1(log_ratio) - log_ratio) } else { q - p - p * log_ratio }.max(0.0)
}

/// Writes the point of a scalar distribution.
pub(crate) fn put(point: &mut [f64], x: f64) {
    if let Some(place) = point.first_mut() {
        *place = x;
    }
}

/// The whole number that `x` is, from 0 up.
pub(crate) fn whole(x: f64) -> Option<u64> {
    ((0.0..9_007_199_254_740_992.0).contains(&x) && libm::floor(x) == x).then_some(x as u64)
}

/// The first point that is not legal, as an error.
pub(crate) fn check_support(data: &Data<'_>, legal: impl Fn(f64) -> bool, words: &'static str) -> Result<(), Error> {
    data.complete(1)?;
    match data.values().iter().position(|x| !legal(*x)) {
        Some(row) => Err(Error::Value { row, column: 0, value: data.values()[row], legal: words }),
        None => Ok(()),
    }
}
