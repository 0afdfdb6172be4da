//! Mixtures of any family.

use alloc::vec;
use alloc::vec::Vec;

use yuragi_numeric::rand_core::Rng;
use yuragi_numeric::special::log_sum_exp;

use crate::distribution::{Distribution, Extent, Fit, Point, Scalar};
use crate::em::{self, ExpectationMaximization};
use crate::error::{length, range};
use crate::random::uniform;
use crate::{Categorical, Data, Error};

/// q(x) = Σ_k C_k q_k(x), Σ_k C_k = 1: component z = k is chosen first, then x from it.
///
/// It learns by [`em::ascend`] from where it was put; components of equal parameters stay equal. For
/// Gaussian components [`GaussianMixture`](crate::GaussianMixture) is faster and finds its own start.
///
/// ```
/// use core::ops::ControlFlow::Continue;
/// use yuragi_distributions::{Data, Mixture, Poisson, em};
/// # fn main() -> Result<(), yuragi_distributions::Error> {
/// let counts = [0.0, 1.0, 1.0, 2.0, 19.0, 20.0, 20.0, 22.0];
/// let mut mixture = Mixture::new(&[1.0, 1.0], vec![Poisson::new(5.0)?, Poisson::new(10.0)?])?;
/// let limits = em::Limits { iterations: 50, tolerance: 1e-9 };
/// em::ascend(&mut mixture, &Data::scalars(&counts)?, &limits, |_| Continue(()))?;
/// assert!((mixture.components()[0].rate() - 1.0).abs() < 1e-3);
/// assert!((mixture.weights()[1] - 0.5).abs() < 1e-3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture<D> {
    weights: Vec<f64>,
    components: Vec<D>,
}

impl<D: Distribution> Mixture<D> {
    /// With C_k proportional to `weights`.
    ///
    /// # Errors
    /// No component, components of different dimensions, not one weight each, a weight that is negative or
    /// not finite, or a sum that is 0 or not finite.
    pub fn new(weights: &[f64], components: Vec<D>) -> Result<Self, Error> {
        range("the number of components", components.len() as f64, !components.is_empty(), "at least 1")?;
        length("the weights", weights.len(), components.len())?;
        for component in &components {
            length("a component's point", component.dimension(), components[0].dimension())?;
        }
        Ok(Self { weights: Categorical::new(weights)?.probabilities().to_vec(), components })
    }

    /// C_k.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// q_k.
    pub fn components(&self) -> &[D] {
        &self.components
    }

    /// ln q(x, z = k) = ln C_k + ln q_k(x) for every k, as [`em`] takes it.
    pub fn log_joint(&self, x: D::Point<'_>) -> Vec<f64> {
        let terms = self.weights.iter().zip(&self.components);
        terms
            .map(|(weight, q)| if *weight > 0.0 { libm::log(*weight) + q.log_density(x) } else { f64::NEG_INFINITY })
            .collect()
    }

    /// γ_ik = q(z = k|xᵢ): one row of K for every point. Uniform where q(xᵢ) is 0.
    ///
    /// # Errors
    /// Data of another dimension or with missing values.
    pub fn responsibilities(&self, data: &Data<'_>) -> Result<Vec<f64>, Error> {
        data.complete(self.dimension())?;
        let mut out = vec![0.0; data.len() * self.components.len()];
        for (row, r) in data.rows().zip(out.chunks_exact_mut(self.components.len())) {
            em::posterior(&self.log_joint(D::Point::of(row)), r)?;
        }
        Ok(out)
    }
}

impl<D: Distribution> Distribution for Mixture<D> {
    type Point<'a> = D::Point<'a>;

    fn dimension(&self) -> usize {
        self.components.first().map_or(0, D::dimension)
    }

    fn parameters(&self) -> usize {
        self.components.iter().map(D::parameters).sum::<usize>() + self.components.len() - 1
    }

    fn log_density(&self, x: Self::Point<'_>) -> f64 {
        log_sum_exp(&self.log_joint(x))
    }

    fn draw<R: Rng + ?Sized>(&self, rng: &mut R, point: &mut [f64]) {
        let mut rest = uniform(rng);
        let chosen = self.weights.iter().position(|weight| {
            rest -= weight;
            rest < 0.0
        });
        let last = || self.weights.iter().rposition(|weight| *weight > 0.0);
        if let Some(component) = chosen.or_else(last).and_then(|k| self.components.get(k)) {
            component.draw(rng, point);
        }
    }
}

impl<D: Scalar> Scalar for Mixture<D> {
    fn cdf(&self, x: f64) -> f64 {
        self.weights.iter().zip(&self.components).map(|(weight, q)| weight * q.cdf(x)).sum()
    }

    fn extent(&self) -> Extent {
        let mut reals = Vec::new();
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        for component in &self.components {
            match component.extent() {
                Extent::Reals(marks) => reals.extend(marks),
                Extent::Integers(first, last) => (low, high) = (low.min(first), high.max(last)),
            }
        }
        reals.sort_by(f64::total_cmp);
        if reals.is_empty() { Extent::Integers(low, high) } else { Extent::Reals(reals) }
    }
}

impl<D: Fit> ExpectationMaximization<Data<'_>> for Mixture<D> {
    /// γ, one list of n for every component.
    type Expectation = Vec<Vec<f64>>;
    type Error = Error;

    fn expectation(&self, data: &Data<'_>) -> Result<(f64, Self::Expectation), Error> {
        data.complete(self.dimension())?;
        let mut gamma = vec![Vec::with_capacity(data.len()); self.components.len()];
        let mut r = vec![0.0; self.components.len()];
        let mut bound = yuragi_numeric::special::Sum::default();
        for (i, (row, weight)) in data.weighted_rows().enumerate() {
            let evidence = em::posterior(&self.log_joint(D::Point::of(row)), &mut r)?;
            if evidence == f64::NEG_INFINITY && weight > 0.0 {
                return Err(Error::Value { row: i, column: 0, value: row[0], legal: "where a component has density" });
            }
            if weight > 0.0 {
                bound += weight * evidence;
            }
            gamma.iter_mut().zip(&r).for_each(|(gamma, r)| gamma.push(weight * r));
        }
        Ok((bound.value() / data.total_weight(), gamma))
    }

    /// C_k = Σᵢ γ_ik/n, and every component by maximum likelihood with the weights γ_ik. A component
    /// that has lost all points keeps its parameters.
    fn maximization(&mut self, data: &Data<'_>, gamma: Self::Expectation) -> Result<(), Error> {
        let totals: Vec<f64> = gamma.iter().map(|gamma| yuragi_numeric::special::sum(gamma.iter().copied())).collect();
        let components = self.components.iter_mut().zip(&gamma).zip(&totals);
        for ((component, gamma), _) in components.filter(|(_, total)| **total > 1e-14 * data.total_weight()) {
            *component = D::fit(&data.reweighted(gamma)?)?;
        }
        self.weights = Categorical::new(&totals)?.probabilities().to_vec();
        Ok(())
    }
}
