//! The Poisson distribution.

use yuragi_numeric::rand_core::Rng;
use yuragi_numeric::special::Sum;

use crate::distribution::{Distribution, Extent, Fit, Information, Scalar, check_support, put, whole};
use crate::error::range;
use crate::random::{open_uniform, uniform};
use crate::{Data, Error};

/// Count k with probability λᵏ e^(−λ)/k!.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Poisson {
    rate: f64,
}

impl Poisson {
    /// With rate λ, the mean and the variance.
    ///
    /// # Errors
    /// A rate outside [0, 10⁹].
    pub fn new(rate: f64) -> Result<Self, Error> {
        range("the rate", rate, (0.0..=1e9).contains(&rate), "from 0 to 1e9")?;
        Ok(Self { rate })
    }

    /// λ.
    pub fn rate(&self) -> f64 {
        self.rate
    }
}

/// ln k! − (k ln k − k), for k ≥ 1: ½ ln 2πk and Stirling's series.
fn stirling_rest(k: f64) -> f64 {
    if k < 16.0 {
        return libm::lgamma(k + 1.0) - (k * libm::log(k) - k);
    }
    let r = 1.0 / (k * k);
    let series = (1.0 / 12.0 - r * (1.0 / 360.0 - r * (1.0 / 1260.0 - r * (1.0 / 1680.0 - r / 1188.0)))) / k;
    0.5 * libm::log(2.0 * core::f64::consts::PI * k) + series
}

impl Distribution for Poisson {
    type Point<'a> = f64;

    fn dimension(&self) -> usize {
        1
    }

    fn parameters(&self) -> usize {
        1
    }

    fn log_density(&self, x: f64) -> f64 {
        match whole(x) {
            None => f64::NEG_INFINITY,
            Some(0) => -self.rate,
            Some(_) if self.rate == 0.0 => f64::NEG_INFINITY,
            Some(_) => {
                // k ln λ − λ − ln k! = −k(t − 1 − ln t) − rest with t = λ/k: no large terms cancel.
                let excess = (self.rate - x) / x;
                let log = if excess > -0.5 { libm::log1p(excess) } else { libm::log(self.rate / x) };
                -x * (excess - log) - stirling_rest(x)
            }
        }
    }

    fn draw<R: Rng + ?Sized>(&self, rng: &mut R, point: &mut [f64]) {
        put(point, if self.rate < 10.0 { by_search(self.rate, rng) } else { by_rejection(self, rng) });
    }
}

/// The least k whose running probability exceeds a uniform draw.
fn by_search<R: Rng + ?Sized>(rate: f64, rng: &mut R) -> f64 {
    let (u, mut k, mut p) = (uniform(rng), 0.0, libm::exp(-rate));
    let mut sum = p;
    while sum <= u && p > 0.0 {
        k += 1.0;
        p *= rate / k;
        sum += p;
    }
    k
}

/// Transformed rejection (Hörmann, *The transformed rejection method for generating Poisson random
/// variables*, 1993, algorithm PTRS), for λ ≥ 10.
fn by_rejection<R: Rng + ?Sized>(q: &Poisson, rng: &mut R) -> f64 {
    let b = 0.931 + 2.53 * libm::sqrt(q.rate);
    let a = -0.059 + 0.02483 * b;
    let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    let v_r = 0.9277 - 3.6224 / (b - 2.0);
    loop {
        let u = uniform(rng) - 0.5;
        let v = open_uniform(rng);
        let us = 0.5 - u.abs();
        let k = libm::floor((2.0 * a / us + b) * u + q.rate + 0.43);
        if us >= 0.07 && v <= v_r {
            return k;
        }
        let inside = k >= 0.0 && (us >= 0.013 || v <= us);
        if inside && libm::log(v * inverse_alpha / (a / (us * us) + b)) <= q.log_density(k) {
            return k;
        }
    }
}

/// Σ over the extent of p(k)·f(k).
fn expectation(q: &Poisson, f: impl Fn(f64) -> f64) -> f64 {
    let (low, high) = bounds(q.rate);
    let mut sum = Sum::default();
    for k in low..=high {
        let x = k as f64;
        sum += libm::exp(q.log_density(x)) * f(x);
    }
    sum.value()
}

/// Outside lies less than 10⁻¹⁷ of the probability (Chernoff's bound).
fn bounds(rate: f64) -> (i64, i64) {
    let width = 9.0 * libm::sqrt(rate);
    (libm::floor((rate - width).max(0.0)) as i64, libm::ceil(rate + width + 28.0) as i64)
}

impl Scalar for Poisson {
    /// Summed upwards from the nearer end, so that a tail keeps its relative accuracy.
    fn cdf(&self, x: f64) -> f64 {
        if x.is_nan() {
            return x;
        }
        if x < 0.0 {
            return 0.0;
        }
        let (low, high) = bounds(self.rate);
        let last = libm::floor(x.min(high as f64 + 1.0)) as i64;
        let p = |k: i64| libm::exp(self.log_density(k as f64));
        if x < self.rate {
            yuragi_numeric::special::sum((low.min(last)..=last).map(p))
        } else {
            1.0 - yuragi_numeric::special::sum((last + 1..=high).map(p))
        }
    }

    fn extent(&self) -> Extent {
        let (low, high) = bounds(self.rate);
        Extent::Integers(low, high)
    }
}

impl Information for Poisson {
    /// Summed over all but 10⁻¹⁷ of the probability.
    fn entropy(&self) -> f64 {
        if self.rate == 0.0 { 0.0 } else { expectation(self, |k| -self.log_density(k)) }
    }

    /// λ_p ln(λ_p/λ_q) − λ_p + λ_q.
    fn kl(&self, q: &Self) -> f64 {
        crate::distribution::divergence_term(self.rate, q.rate)
    }
}

impl Fit for Poisson {
    /// λ is the mean.
    fn fit(data: &Data<'_>) -> Result<Self, Error> {
        check_support(data, |x| whole(x).is_some(), "a whole number from 0 up")?;
        Self::new(data.column_mean(|row| row[0]))
    }
}
