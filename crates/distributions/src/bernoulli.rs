//! The distribution of one binary unit.

use yuragi_numeric::rand_core::Rng;

use crate::distribution::{Distribution, Extent, Fit, Information, Scalar, check_support, divergence_term, put};
use crate::error::range;
use crate::random::uniform;
use crate::{Data, Error};

/// 1 with probability p, otherwise 0.
///
/// ```
/// use yuragi_distributions::{Bernoulli, Data, Distribution, Fit};
/// # fn main() -> Result<(), yuragi_distributions::Error> {
/// let q = Bernoulli::fit(&Data::scalars(&[1.0, 0.0, 1.0, 1.0])?)?;
/// assert_eq!(q.probability(), 0.75);
/// assert_eq!(q.log_density(0.5), f64::NEG_INFINITY); // neither 0 nor 1
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bernoulli {
    probability: f64,
}

impl Bernoulli {
    /// With the probability of a 1.
    ///
    /// # Errors
    /// A probability outside [0, 1].
    pub fn new(probability: f64) -> Result<Self, Error> {
        range("the probability", probability, (0.0..=1.0).contains(&probability), "in [0, 1]")?;
        Ok(Self { probability })
    }

    /// p.
    pub fn probability(&self) -> f64 {
        self.probability
    }
}

impl Distribution for Bernoulli {
    type Point<'a> = f64;

    fn dimension(&self) -> usize {
        1
    }

    fn parameters(&self) -> usize {
        1
    }

    fn log_density(&self, x: f64) -> f64 {
        if x == 1.0 {
            libm::log(self.probability)
        } else if x == 0.0 {
            libm::log1p(-self.probability)
        } else {
            f64::NEG_INFINITY
        }
    }

    /// 1 if r < p, r uniform on [0, 1).
    fn draw<R: Rng + ?Sized>(&self, rng: &mut R, point: &mut [f64]) {
        put(point, if uniform(rng) < self.probability { 1.0 } else { 0.0 });
    }
}

impl Scalar for Bernoulli {
    fn cdf(&self, x: f64) -> f64 {
        match x {
            x if x < 0.0 => 0.0,
            x if x < 1.0 => 1.0 - self.probability,
            x if x.is_nan() => x,
            _ => 1.0,
        }
    }

    fn extent(&self) -> Extent {
        Extent::Integers(0, 1)
    }
}

impl Information for Bernoulli {
    /// −p ln p − (1−p) ln(1−p).
    fn entropy(&self) -> f64 {
        let p = self.probability;
        if p == 0.0 || p == 1.0 { 0.0 } else { -p * libm::log(p) - (1.0 - p) * libm::log1p(-p) }
    }

    fn kl(&self, q: &Self) -> f64 {
        let (p, q) = (self.probability, q.probability);
        divergence_term(p, q) + divergence_term(1.0 - p, 1.0 - q)
    }
}

impl Fit for Bernoulli {
    /// p is the mean.
    fn fit(data: &Data<'_>) -> Result<Self, Error> {
        check_support(data, |x| x == 0.0 || x == 1.0, "0 or 1")?;
        Self::new(data.column_mean(|row| row[0]).min(1.0))
    }
}
