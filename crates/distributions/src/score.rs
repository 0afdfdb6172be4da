//! The log-likelihood as the score of a model, and criteria that charge for parameters.

use yuragi_numeric::special::Sum;

use crate::distribution::Point;
use crate::{Data, Distribution};

/// (1/n) Σ ln q(xᵢ), weighted: minus the cross-entropy of P₀ and q, so that the model with the larger
/// value is nearer to the empirical distribution in D(P₀‖q). −∞ if a point is outside the support.
///
/// Unlike a criterion below it says nothing about points that were not seen.
///
/// ```
/// use yuragi_distributions::{Data, Gaussian, score};
/// # fn main() -> Result<(), yuragi_distributions::Error> {
/// let data = Data::scalars(&[-1.0, 0.0, 1.0])?;
/// let near = score::log_likelihood(&Gaussian::new(0.0, 1.0)?, &data);
/// let far = score::log_likelihood(&Gaussian::new(3.0, 1.0)?, &data);
/// assert!((near - far - 4.5).abs() < 1e-12);
/// # Ok(())
/// # }
/// ```
pub fn log_likelihood<D: Distribution>(q: &D, data: &Data<'_>) -> f64 {
    let mut sum = Sum::default();
    for (row, weight) in data.weighted_rows().filter(|(_, weight)| *weight > 0.0) {
        let log_density = if row.len() == q.dimension() { q.log_density(D::Point::of(row)) } else { f64::NEG_INFINITY };
        sum += weight * log_density;
    }
    sum.value() / data.total_weight()
}

/// Akaike's criterion 2p − 2 Σ ln q(xᵢ) (1974): the smaller, the better the model is expected to do on
/// new data.
pub fn aic<D: Distribution>(q: &D, data: &Data<'_>) -> f64 {
    aic_of(log_likelihood(q, data), q.parameters(), data.total_weight())
}

/// Schwarz's criterion p ln n − 2 Σ ln q(xᵢ) (1978): the smallest names the true model among the
/// compared ones as n grows. n is the total weight.
pub fn bic<D: Distribution>(q: &D, data: &Data<'_>) -> f64 {
    bic_of(log_likelihood(q, data), q.parameters(), data.total_weight())
}

/// Akaike's criterion of a mean log-likelihood over data of total weight `n`; see [`aic`].
pub fn aic_of(mean: f64, parameters: usize, n: f64) -> f64 {
    2.0 * parameters as f64 - 2.0 * n * mean
}

/// Schwarz's criterion of a mean log-likelihood over data of total weight `n`; see [`bic`].
pub fn bic_of(mean: f64, parameters: usize, n: f64) -> f64 {
    parameters as f64 * libm::log(n) - 2.0 * n * mean
}
