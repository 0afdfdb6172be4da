//! Independent coordinates.

use alloc::vec::Vec;

use yuragi_numeric::rand_core::Rng;

use crate::distribution::{Distribution, Fit, Information, Scalar};
use crate::error::range;
use crate::{Data, Error};

/// q(x) = Π_j q_j(x_j): coordinate j has a scalar distribution of its own.
///
/// ```
/// use yuragi_distributions::{Bernoulli, Data, Distribution, Fit, Independent};
/// # fn main() -> Result<(), yuragi_distributions::Error> {
/// let pixels = Data::new(&[0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0], 2)?;
/// let q = Independent::<Bernoulli>::fit(&pixels)?;
/// assert!((q.log_density(&[1.0, 1.0]) - 0.25f64.ln()).abs() < 1e-15);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Independent<D> {
    factors: Vec<D>,
}

impl<D: Scalar> Independent<D> {
    /// The product of `factors`.
    ///
    /// # Errors
    /// No factor.
    pub fn new(factors: Vec<D>) -> Result<Self, Error> {
        range("the dimension", factors.len() as f64, !factors.is_empty(), "at least 1")?;
        Ok(Self { factors })
    }

    /// The coordinates' distributions.
    pub fn factors(&self) -> &[D] {
        &self.factors
    }
}

impl<D: Scalar> Distribution for Independent<D> {
    type Point<'a> = &'a [f64];

    fn dimension(&self) -> usize {
        self.factors.len()
    }

    fn parameters(&self) -> usize {
        self.factors.iter().map(D::parameters).sum()
    }

    fn log_density(&self, x: &[f64]) -> f64 {
        if x.len() != self.factors.len() {
            return f64::NEG_INFINITY;
        }
        self.factors.iter().zip(x).map(|(q, x)| q.log_density(*x)).sum()
    }

    fn draw<R: Rng + ?Sized>(&self, rng: &mut R, point: &mut [f64]) {
        if point.len() >= self.factors.len() {
            self.factors.iter().zip(point.chunks_exact_mut(1)).for_each(|(q, place)| q.draw(rng, place));
        }
    }
}

impl<D: Scalar + Information> Information for Independent<D> {
    fn entropy(&self) -> f64 {
        self.factors.iter().map(D::entropy).sum()
    }

    fn kl(&self, q: &Self) -> f64 {
        if self.factors.len() != q.factors.len() {
            return f64::INFINITY;
        }
        self.factors.iter().zip(&q.factors).map(|(p, q)| p.kl(q)).sum()
    }
}

impl<D: Scalar + Fit> Fit for Independent<D> {
    /// Every coordinate by itself.
    fn fit(data: &Data<'_>) -> Result<Self, Error> {
        data.complete(data.dimension())?;
        let weights: Vec<f64> = data.weighted_rows().map(|(_, weight)| weight).collect();
        let fit = |j: usize| {
            let column: Vec<f64> = data.rows().map(|row| row[j]).collect();
            D::fit(&Data::scalars(&column)?.weighted(&weights)?).map_err(|error| match error {
                Error::Value { row, value, legal, .. } => Error::Value { row, column: j, value, legal },
                other => other,
            })
        };
        Self::new((0..data.dimension()).map(fit).collect::<Result<_, _>>()?)
    }
}
