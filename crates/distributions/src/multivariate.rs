//! The multivariate normal distribution.

use alloc::vec;
use alloc::vec::Vec;

use yuragi_numeric::linalg;
use yuragi_numeric::rand_core::Rng;
use yuragi_numeric::special::sum;

use crate::distribution::{Distribution, Fit, Information};
use crate::error::{length, range};
use crate::parallel::Going;
use crate::random::standard_normal;
use crate::{Data, Error};

/// ln 2π.
pub(crate) const LN_2PI: f64 = 1.837_877_066_409_345_5;

/// N(μ, Σ): q(x) = exp(−½(x−μ)ᵀΣ⁻¹(x−μ))/Z with Z = √((2π)ᵈ det Σ).
///
/// ```
/// use yuragi_distributions::{Distribution, MultivariateGaussian};
/// # fn main() -> Result<(), yuragi_distributions::Error> {
/// let q = MultivariateGaussian::new(&[1.0, -1.0], &[2.0, 1.0, 1.0, 2.0])?;
/// assert!((q.log_det() - 3f64.ln()).abs() < 1e-15);
/// let z = 2.0 * std::f64::consts::PI * 3f64.sqrt();
/// assert!((q.log_density(&[1.0, -1.0]) + z.ln()).abs() < 1e-15);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MultivariateGaussian {
    mean: Vec<f64>,
    covariance: Vec<f64>,
    /// L, lower triangular, with Σ = L·Lᵀ.
    factor: Vec<f64>,
    /// L⁻¹.
    whitening: Vec<f64>,
    log_det: f64,
}

/// Σ = Σ_k λ_k v_k v_kᵀ.
#[derive(Clone, Debug, PartialEq)]
pub struct PrincipalAxes {
    /// The variances λ_k along the axes, ascending.
    pub variances: Vec<f64>,
    /// The unit vectors v_k, one after another.
    pub axes: Vec<f64>,
}

impl PrincipalAxes {
    /// ln det Σ = Σ_k ln λ_k.
    pub fn log_det(&self) -> f64 {
        sum(self.variances.iter().map(|variance| libm::log(*variance)))
    }
}

/// The share of a variance that may be rounding alone in Cholesky's pivots.
pub(crate) fn lost(d: usize) -> f64 {
    4.0 * d as f64 * f64::EPSILON
}

/// What of a mixture's component, or of a single Gaussian, made a matrix computation impossible.
pub(crate) fn singular(error: linalg::Error, component: usize) -> Error {
    match error {
        linalg::Error::NotPositiveDefinite { row, .. } | linalg::Error::Singular { row } => {
            Error::Singular { component, coordinate: row }
        }
        linalg::Error::Stopped => Error::Stopped,
        _ => Error::Singular { component, coordinate: 0 },
    }
}

/// L with Σ = L·Lᵀ, unless a pivot is so small that it may be rounding alone.
pub(crate) fn factorize(covariance: &[f64], d: usize, component: usize) -> Result<Vec<f64>, Error> {
    factorize_while(covariance, d, component, &|| true)
}

/// [`factorize`] that can be stopped.
pub(crate) fn factorize_while(
    covariance: &[f64],
    d: usize,
    component: usize,
    going: Going<'_>,
) -> Result<Vec<f64>, Error> {
    length("the covariance", covariance.len(), d.saturating_mul(d))?;
    let mut factor = covariance.to_vec();
    linalg::cholesky_above(&mut factor, d, |i| lost(d) * covariance[i * d + i], &mut || going())
        .map_err(|error| singular(error, component))?;
    Ok(factor)
}

/// Refuses a covariance (d×d) that is not finite or not symmetric to a few roundings.
pub(crate) fn check_covariance(covariance: &[f64], d: usize) -> Result<(), Error> {
    length("the covariance", covariance.len(), d.saturating_mul(d))?;
    for i in 0..d {
        for j in 0..=i {
            let (a, b) = (covariance[i * d + j], covariance[j * d + i]);
            range("a covariance", a, a.abs() <= 1e280, "finite and at most 1e280 in size")?;
            let scale = libm::sqrt((covariance[i * d + i] * covariance[j * d + j]).abs());
            range("a covariance", b, (a - b).abs() <= 1e-12 * scale, "equal to its mirror image")?;
        }
    }
    Ok(())
}

impl MultivariateGaussian {
    /// With mean μ (d values) and covariance Σ (d×d, row by row).
    ///
    /// # Errors
    /// No coordinate, a mean that is not finite, or a covariance of another size, not symmetric, or
    /// not positive definite beyond rounding.
    pub fn new(mean: &[f64], covariance: &[f64]) -> Result<Self, Error> {
        let d = mean.len();
        range("the dimension", d as f64, d >= 1, "at least 1")?;
        for value in mean {
            range("the mean", *value, value.is_finite(), "finite")?;
        }
        check_covariance(covariance, d)?;
        let factor = factorize(covariance, d, 0)?;
        let mut whitening = factor.clone();
        let singular = |_| Error::Singular { component: 0, coordinate: 0 };
        linalg::invert_lower(&mut whitening, d).map_err(singular)?;
        let log_det = linalg::log_det(&factor, d).map_err(singular)?;
        Ok(Self { mean: mean.to_vec(), covariance: covariance.to_vec(), factor, whitening, log_det })
    }

    /// μ.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Σ, row by row.
    pub fn covariance(&self) -> &[f64] {
        &self.covariance
    }

    /// Cholesky's L with Σ = L·Lᵀ, row by row, zero above the diagonal.
    pub fn factor(&self) -> &[f64] {
        &self.factor
    }

    /// ln det Σ, from Cholesky's factor.
    pub fn log_det(&self) -> f64 {
        self.log_det
    }

    /// ln Z = ½(d ln 2π + ln det Σ).
    pub fn log_partition(&self) -> f64 {
        0.5 * (self.mean.len() as f64 * LN_2PI + self.log_det)
    }

    /// (x−μ)ᵀΣ⁻¹(x−μ), the squared Mahalanobis distance; ∞ for a point of another dimension or NaN.
    pub fn distance(&self, x: &[f64]) -> f64 {
        let d = self.mean.len();
        if x.len() != d {
            return f64::INFINITY;
        }
        let rows = self.whitening.chunks_exact(d).enumerate();
        let squares = rows.map(|(i, row)| {
            let terms = row[..=i].iter().zip(x.iter().zip(&self.mean));
            let y: f64 = terms.map(|(w, (x, mean))| w * (x - mean)).sum();
            y * y
        });
        let distance: f64 = squares.sum();
        if distance.is_nan() { f64::INFINITY } else { distance }
    }

    /// Eigenvalues and eigenvectors of Σ, by Jacobi's method.
    ///
    /// # Errors
    /// A covariance too large to be squared: 10¹⁵⁰ and above.
    pub fn principal_axes(&self) -> Result<PrincipalAxes, Error> {
        let d = self.mean.len();
        let (mut work, mut variances, mut axes) = (self.covariance.clone(), vec![0.0; d], vec![0.0; d * d]);
        linalg::symmetric_eigen(&mut work, d, &mut variances, &mut axes).map_err(|_| Error::Range {
            what: "a covariance",
            value: self.covariance.iter().fold(0.0, |max: f64, x| max.max(x.abs())),
            legal: "below 1e150 in size",
        })?;
        Ok(PrincipalAxes { variances, axes })
    }
}

impl Distribution for MultivariateGaussian {
    type Point<'a> = &'a [f64];

    fn dimension(&self) -> usize {
        self.mean.len()
    }

    fn parameters(&self) -> usize {
        let d = self.mean.len();
        d + d * (d + 1) / 2
    }

    fn log_density(&self, x: &[f64]) -> f64 {
        -0.5 * self.distance(x) - self.log_partition()
    }

    fn draw<R: Rng + ?Sized>(&self, rng: &mut R, point: &mut [f64]) {
        draw(&self.mean, &self.factor, rng, point);
    }
}

/// μ + L·z, z standard normal.
pub(crate) fn draw<R: Rng + ?Sized>(mean: &[f64], factor: &[f64], rng: &mut R, point: &mut [f64]) {
    let d = mean.len();
    let Some(point) = point.get_mut(..d) else { return };
    point.iter_mut().for_each(|z| *z = standard_normal(rng));
    // From the last row up, since row i needs z₀ … z_i.
    for i in (0..d).rev() {
        let row = &factor[i * d..][..=i];
        let offset: f64 = row.iter().zip(&*point).map(|(l, z)| l * z).sum();
        point[i] = mean[i] + offset;
    }
}

impl Information for MultivariateGaussian {
    /// ½ ln((2πe)ᵈ det Σ).
    fn entropy(&self) -> f64 {
        0.5 * self.mean.len() as f64 + self.log_partition()
    }

    /// ½(tr(Σ_q⁻¹Σ_p) + (μ_p−μ_q)ᵀΣ_q⁻¹(μ_p−μ_q) − d − ln det(Σ_q⁻¹Σ_p)); ∞ between dimensions.
    fn kl(&self, q: &Self) -> f64 {
        let d = self.mean.len();
        if q.mean.len() != d {
            return f64::INFINITY;
        }
        // M = L_q⁻¹L_p is lower triangular, so the trace of MMᵀ and its determinant split into diagonal
        // terms m² − 1 − ln m² ≥ 0 and squares of the rest.
        let mut divergence = 0.0;
        for i in 0..d {
            for j in 0..=i {
                let m: f64 = (j..=i).map(|k| q.whitening[i * d + k] * self.factor[k * d + j]).sum();
                divergence += if i == j { crate::gaussian::variance_divergence(m) } else { 0.5 * m * m };
            }
        }
        divergence + 0.5 * q.distance(&self.mean)
    }
}

impl Fit for MultivariateGaussian {
    /// μ = Σ wᵢxᵢ/Σ wᵢ and Σ = Σ wᵢ(xᵢ−μ)(xᵢ−μ)ᵀ/Σ wᵢ.
    ///
    /// # Errors
    /// Points that lie in a plane of lower dimension; see [`Fit::fit`].
    fn fit(data: &Data<'_>) -> Result<Self, Error> {
        let d = data.dimension();
        data.complete(d)?;
        let mean = data.means();
        let mut covariance = vec![0.0; d * d];
        for i in 0..d {
            for j in 0..=i {
                let value = data.column_mean(|row| (row[i] - mean[i]) * (row[j] - mean[j]));
                (covariance[i * d + j], covariance[j * d + i]) = (value, value);
            }
            // The mean is rounded in its last places, so equal coordinates seem to vary there.
            let scale = data.rows().fold(0.0, |max: f64, row| max.max(row[i].abs()));
            if libm::sqrt(covariance[i * d + i]) <= 4.0 * f64::EPSILON * scale {
                return Err(Error::Singular { component: 0, coordinate: i });
            }
        }
        Self::new(&mean, &covariance)
    }
}
