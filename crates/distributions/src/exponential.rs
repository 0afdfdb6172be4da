//! The exponential distribution.

use alloc::vec::Vec;

use yuragi_numeric::rand_core::Rng;

use crate::distribution::{Distribution, Extent, Fit, Information, Scalar, check_support, put};
use crate::error::range;
use crate::random::open_uniform;
use crate::{Data, Error};

/// Density λ e^(−λx) for x ≥ 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exponential {
    rate: f64,
}

impl Exponential {
    /// With rate λ, so that the mean is 1/λ.
    ///
    /// # Errors
    /// A rate outside [10⁻³⁰⁰, 10³⁰⁰].
    pub fn new(rate: f64) -> Result<Self, Error> {
        range("the rate", rate, (1e-300..=1e300).contains(&rate), "from 1e-300 to 1e300")?;
        Ok(Self { rate })
    }

    /// λ.
    pub fn rate(&self) -> f64 {
        self.rate
    }
}

impl Distribution for Exponential {
    type Point<'a> = f64;

    fn dimension(&self) -> usize {
        1
    }

    fn parameters(&self) -> usize {
        1
    }

    fn log_density(&self, x: f64) -> f64 {
        if x >= 0.0 { libm::log(self.rate) - self.rate * x } else { f64::NEG_INFINITY }
    }

    fn draw<R: Rng + ?Sized>(&self, rng: &mut R, point: &mut [f64]) {
        put(point, -libm::log(open_uniform(rng)) / self.rate);
    }
}

impl Scalar for Exponential {
    fn cdf(&self, x: f64) -> f64 {
        if x < 0.0 { 0.0 } else { -libm::expm1(-self.rate * x) }
    }

    fn extent(&self) -> Extent {
        Extent::Reals([0.0, 2.0, 6.0, 14.0, 40.0].iter().map(|x| x / self.rate).collect::<Vec<_>>())
    }
}

impl Information for Exponential {
    /// 1 − ln λ.
    fn entropy(&self) -> f64 {
        1.0 - libm::log(self.rate)
    }

    /// λ_q/λ_p − 1 − ln(λ_q/λ_p).
    fn kl(&self, q: &Self) -> f64 {
        let excess = (q.rate - self.rate) / self.rate;
        let log = if excess > -0.5 { libm::log1p(excess) } else { libm::log(q.rate) - libm::log(self.rate) };
        (excess - log).max(0.0)
    }
}

impl Fit for Exponential {
    /// λ = 1/mean.
    ///
    /// # Errors
    /// Points that are all 0; see [`Fit::fit`].
    fn fit(data: &Data<'_>) -> Result<Self, Error> {
        check_support(data, |x| x >= 0.0, "at least 0")?;
        let mean = data.column_mean(|row| row[0]);
        if mean == 0.0 {
            return Err(Error::Degenerate { what: "the rate", why: "all points are 0" });
        }
        Self::new(1.0 / mean)
    }
}
