//! The Laplace distribution, whose maximum likelihood is least absolute error.

use alloc::vec::Vec;
use core::f64::consts::{E, LN_2};

use yuragi_numeric::rand_core::Rng;

use crate::distribution::{Distribution, Extent, Fit, Information, Scalar, put};
use crate::error::range;
use crate::random::open_uniform;
use crate::{Data, Error};

/// Density exp(−|x−m|/b)/2b.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Laplace {
    location: f64,
    scale: f64,
}

impl Laplace {
    /// With location m and scale b; the mean absolute deviation from m is b.
    ///
    /// # Errors
    /// A location that is not finite, or a scale outside [10⁻³⁰⁰, 10³⁰⁰].
    pub fn new(location: f64, scale: f64) -> Result<Self, Error> {
        range("the location", location, location.is_finite(), "finite")?;
        range("the scale", scale, (1e-300..=1e300).contains(&scale), "from 1e-300 to 1e300")?;
        Ok(Self { location, scale })
    }

    /// m, the median.
    pub fn location(&self) -> f64 {
        self.location
    }

    /// b.
    pub fn scale(&self) -> f64 {
        self.scale
    }
}

impl Distribution for Laplace {
    type Point<'a> = f64;

    fn dimension(&self) -> usize {
        1
    }

    fn parameters(&self) -> usize {
        2
    }

    fn log_density(&self, x: f64) -> f64 {
        let distance = (x - self.location).abs() / self.scale;
        if distance.is_nan() { f64::NEG_INFINITY } else { -distance - LN_2 - libm::log(self.scale) }
    }

    /// The difference of two exponential draws.
    fn draw<R: Rng + ?Sized>(&self, rng: &mut R, point: &mut [f64]) {
        let (a, b) = (libm::log(open_uniform(rng)), libm::log(open_uniform(rng)));
        put(point, self.location + self.scale * (a - b));
    }
}

impl Scalar for Laplace {
    fn cdf(&self, x: f64) -> f64 {
        let z = (x - self.location) / self.scale;
        if z < 0.0 { 0.5 * libm::exp(z) } else { 1.0 - 0.5 * libm::exp(-z) }
    }

    fn extent(&self) -> Extent {
        let marks = [-40.0, -14.0, -6.0, -2.0, 0.0, 2.0, 6.0, 14.0, 40.0];
        Extent::Reals(marks.iter().map(|z| self.location + z * self.scale).collect::<Vec<_>>())
    }
}

impl Information for Laplace {
    /// ln(2be).
    fn entropy(&self) -> f64 {
        libm::log(2.0 * E) + libm::log(self.scale)
    }

    /// With distance δ = |m_p − m_q|: ln(b_q/b_p) + (b_p e^(−δ/b_p) + δ)/b_q − 1.
    fn kl(&self, q: &Self) -> f64 {
        let distance = (self.location - q.location).abs() / self.scale;
        let ratio = self.scale / q.scale;
        // (r − 1 − ln r) + r(e^(−d) − 1 + d): both parts are at least 0.
        let log = if ratio > 0.5 { libm::log1p(ratio - 1.0) } else { libm::log(self.scale) - libm::log(q.scale) };
        (ratio - 1.0 - log).max(0.0) + ratio * (libm::expm1(-distance) + distance).max(0.0)
    }
}

impl Fit for Laplace {
    /// m is the median (of an even number of points the lower of the middle two), b the mean distance from it.
    ///
    /// # Errors
    /// Points that are all equal; see [`Fit::fit`].
    fn fit(data: &Data<'_>) -> Result<Self, Error> {
        data.complete(1)?;
        let mut points: Vec<(f64, f64)> = data.weighted_rows().map(|(row, weight)| (row[0], weight)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let half = 0.5 * data.total_weight();
        let mut below = 0.0;
        let median = points.iter().find(|(_, weight)| {
            below += weight;
            *weight > 0.0 && below >= half
        });
        let location = median.or(points.last()).map_or(0.0, |(x, _)| *x);
        let scale = data.column_mean(|row| (row[0] - location).abs());
        if scale < 1e-300 {
            return Err(Error::Degenerate { what: "the scale", why: "all points are equal" });
        }
        Self::new(location, scale)
    }
}
