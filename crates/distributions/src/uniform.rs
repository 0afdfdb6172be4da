//! The uniform distribution on an interval.

use alloc::vec;

use yuragi_numeric::rand_core::Rng;

use crate::distribution::{Distribution, Extent, Fit, Information, Scalar, put};
use crate::error::range;
use crate::random::uniform;
use crate::{Data, Error};

/// Density 1/(high − low) on [low, high].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Uniform {
    low: f64,
    high: f64,
}

impl Uniform {
    /// On [`low`, `high`].
    ///
    /// # Errors
    /// Not `low` < `high`, both finite with a finite distance.
    pub fn new(low: f64, high: f64) -> Result<Self, Error> {
        range("the lower end", low, low.is_finite(), "finite")?;
        range("the upper end", high, high > low && (high - low).is_finite(), "finite and above the lower end")?;
        Ok(Self { low, high })
    }

    /// The lower end.
    pub fn low(&self) -> f64 {
        self.low
    }

    /// The upper end.
    pub fn high(&self) -> f64 {
        self.high
    }
}

impl Distribution for Uniform {
    type Point<'a> = f64;

    fn dimension(&self) -> usize {
        1
    }

    fn parameters(&self) -> usize {
        2
    }

    fn log_density(&self, x: f64) -> f64 {
        let inside = (self.low..=self.high).contains(&x);
        if inside { -libm::log(self.high - self.low) } else { f64::NEG_INFINITY }
    }

    fn draw<R: Rng + ?Sized>(&self, rng: &mut R, point: &mut [f64]) {
        put(point, (self.low + (self.high - self.low) * uniform(rng)).min(self.high));
    }
}

impl Scalar for Uniform {
    fn cdf(&self, x: f64) -> f64 {
        ((x - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    fn extent(&self) -> Extent {
        Extent::Reals(vec![self.low, self.high])
    }
}

impl Information for Uniform {
    fn entropy(&self) -> f64 {
        libm::log(self.high - self.low)
    }

    /// ln of the ratio of lengths where q covers p, otherwise ∞.
    fn kl(&self, q: &Self) -> f64 {
        let covered = q.low <= self.low && self.high <= q.high;
        if covered { libm::log((q.high - q.low) / (self.high - self.low)).max(0.0) } else { f64::INFINITY }
    }
}

impl Fit for Uniform {
    /// From the least point to the greatest; weights do not matter, except that points of weight 0 are left out.
    ///
    /// # Errors
    /// Points that are all equal; see [`Fit::fit`].
    fn fit(data: &Data<'_>) -> Result<Self, Error> {
        data.complete(1)?;
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for (row, _) in data.weighted_rows().filter(|(_, weight)| *weight > 0.0) {
            (low, high) = (low.min(row[0]), high.max(row[0]));
        }
        if low == high {
            return Err(Error::Degenerate { what: "the interval", why: "all points are equal" });
        }
        Self::new(low, high)
    }
}
