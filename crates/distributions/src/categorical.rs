//! The distribution of one of finitely many categories.

use alloc::vec;
use alloc::vec::Vec;

use yuragi_numeric::rand_core::Rng;

use crate::distribution::{Distribution, Extent, Fit, Information, Scalar, check_support, divergence_term, put, whole};
use crate::error::range;
use crate::random::{choose, uniform};
use crate::{Data, Error};

/// Category k of 0 … K−1 with probability p_k.
///
/// ```
/// use yuragi_distributions::{Categorical, Distribution, Information};
/// # fn main() -> Result<(), yuragi_distributions::Error> {
/// let dice = Categorical::new(&[1.0; 6])?; // weights need not be normalised
/// assert!((dice.log_density(4.0) + 6f64.ln()).abs() < 1e-15);
/// assert!((dice.entropy() - 6f64.ln()).abs() < 1e-15);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Categorical {
    probabilities: Vec<f64>,
    cumulative: Vec<f64>,
}

/// More categories are refused when they are counted from data.
const MOST: u64 = 1 << 32;

impl Categorical {
    /// With probabilities proportional to `weights`.
    ///
    /// # Errors
    /// A weight that is negative or not finite, or a sum that is 0 or not finite.
    pub fn new(weights: &[f64]) -> Result<Self, Error> {
        for weight in weights {
            range("a weight", *weight, *weight >= 0.0 && weight.is_finite(), "finite and at least 0")?;
        }
        let total = yuragi_numeric::special::sum(weights.iter().copied());
        range("the sum of the weights", total, total > 0.0 && total.is_finite(), "finite and above 0")?;
        let probabilities: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        let cumulative = probabilities
            .iter()
            .scan(0.0, |sum, p| {
                *sum += p;
                Some(*sum)
            })
            .collect();
        Ok(Self { probabilities, cumulative })
    }

    /// p₀ … p_(K−1).
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }
}

impl Distribution for Categorical {
    type Point<'a> = f64;

    fn dimension(&self) -> usize {
        1
    }

    fn parameters(&self) -> usize {
        self.probabilities.len() - 1
    }

    fn log_density(&self, x: f64) -> f64 {
        let p = whole(x).and_then(|k| self.probabilities.get(usize::try_from(k).ok()?));
        p.map_or(f64::NEG_INFINITY, |p| libm::log(*p))
    }

    fn draw<R: Rng + ?Sized>(&self, rng: &mut R, point: &mut [f64]) {
        put(point, choose(&self.cumulative, uniform(rng)) as f64);
    }
}

impl Scalar for Categorical {
    fn cdf(&self, x: f64) -> f64 {
        if x.is_nan() {
            return x;
        }
        let categories = self.cumulative.iter().enumerate().take_while(|(k, _)| *k as f64 <= x);
        if x >= (self.cumulative.len() - 1) as f64 {
            1.0
        } else {
            categories.last().map_or(0.0, |(_, sum)| sum.min(1.0))
        }
    }

    fn extent(&self) -> Extent {
        Extent::Integers(0, self.probabilities.len() as i64 - 1)
    }
}

impl Information for Categorical {
    /// −Σ p_k ln p_k.
    fn entropy(&self) -> f64 {
        let terms = self.probabilities.iter().filter(|p| **p > 0.0).map(|p| -p * libm::log(*p));
        yuragi_numeric::special::sum(terms)
    }

    /// Σ p_k ln(p_k/q_k); the shorter distribution has probability 0 beyond its end.
    fn kl(&self, q: &Self) -> f64 {
        let categories = self.probabilities.len().max(q.probabilities.len());
        let at = |list: &[f64], k: usize| list.get(k).copied().unwrap_or(0.0);
        let terms = (0..categories).map(|k| divergence_term(at(&self.probabilities, k), at(&q.probabilities, k)));
        yuragi_numeric::special::sum(terms)
    }
}

impl Fit for Categorical {
    /// p_k is the share of category k; K is one more than the largest category of the data.
    fn fit(data: &Data<'_>) -> Result<Self, Error> {
        check_support(data, |x| whole(x).is_some_and(|k| k < MOST), "a whole number from 0 to 2^32")?;
        let most = data.values().iter().fold(0.0, |max: f64, x| max.max(*x));
        let mut counts = vec![0.0; most as usize + 1];
        for (row, weight) in data.weighted_rows() {
            counts[row[0] as usize] += weight;
        }
        Self::new(&counts)
    }
}
