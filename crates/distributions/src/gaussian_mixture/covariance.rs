//! Covariances of a mixture: their four forms, their floor, and what densities and draws need of them.

use alloc::vec;
use alloc::vec::Vec;

use yuragi_numeric::linalg;

use super::block::{pack, padded};
use super::pass::{EMPTY, Moments, Packed, Pattern, Shape};
use crate::Error;
use crate::error::range;
use crate::multivariate::{LN_2PI, check_covariance, factorize};

/// What the components' covariances may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Covariance {
    /// Any, each component its own: K·d·(d+1)/2 parameters, held as K×d×d.
    #[default]
    Full,
    /// Axis-aligned, each component its own variances: K·d, held as K×d.
    Diagonal,
    /// Any, shared by all components: d·(d+1)/2, held as d×d.
    Tied,
    /// σ²I, each component its own: K values.
    Spherical,
}

impl Covariance {
    /// How many numbers hold the covariances of `k` components in `d` dimensions.
    pub fn len(self, k: usize, d: usize) -> usize {
        match self {
            Self::Full => k.saturating_mul(d).saturating_mul(d),
            Self::Diagonal => k.saturating_mul(d),
            Self::Tied => d.saturating_mul(d),
            Self::Spherical => k,
        }
    }

    /// How many of them are free parameters.
    pub(super) fn parameters(self, k: usize, d: usize) -> usize {
        match self {
            Self::Full => k * (d * (d + 1) / 2),
            Self::Diagonal => k * d,
            Self::Tied => d * (d + 1) / 2,
            Self::Spherical => k,
        }
    }

    /// The numbers of component `k`.
    pub(super) fn part(self, values: &[f64], k: usize, d: usize) -> &[f64] {
        match self {
            Self::Full => &values[k * d * d..][..d * d],
            Self::Diagonal => &values[k * d..][..d],
            Self::Tied => values,
            Self::Spherical => &values[k..=k],
        }
    }

    /// Component k's covariance as a d×d matrix.
    pub(super) fn matrix(self, values: &[f64], k: usize, d: usize) -> Vec<f64> {
        let part = self.part(values, k, d);
        match self {
            Self::Full | Self::Tied => part.to_vec(),
            Self::Diagonal | Self::Spherical => {
                let mut matrix = vec![0.0; d * d];
                (0..d).for_each(|j| matrix[j * d + j] = part[j.min(part.len() - 1)]);
                matrix
            }
        }
    }

    /// Refuses covariances that are not finite, not symmetric or not positive.
    pub(super) fn check(self, values: &[f64], d: usize) -> Result<(), Error> {
        match self {
            Self::Full | Self::Tied => values.chunks_exact(d * d).try_for_each(|matrix| check_covariance(matrix, d)),
            Self::Diagonal | Self::Spherical => values.iter().try_for_each(|variance| {
                range("a variance", *variance, (1e-280..=1e280).contains(variance), "from 1e-280 to 1e280")
            }),
        }
    }

    /// The M step: the likeliest covariances that stay at or above the floors.
    ///
    /// `moments` are about the old means, and `shifts` are the new means minus those (0 for a component
    /// that has no points, which keeps its `old` covariance).
    pub(super) fn estimate(
        self,
        moments: &Moments,
        shifts: &[f64],
        old: &[f64],
        floors: &[f64],
    ) -> Result<Vec<f64>, Error> {
        let (d, k) = (floors.len(), moments.counts.len());
        let floor = floors.iter().fold(0.0, |max: f64, floor| max.max(*floor));
        let occupied = |k: usize| moments.counts[k] > EMPTY * moments.counts.iter().sum::<f64>();
        let mut new = old.to_vec();
        match self {
            Self::Full => {
                for k in (0..k).filter(|k| occupied(*k)) {
                    let matrix = &mut new[k * d * d..][..d * d];
                    let (n, shift) = (moments.counts[k], &shifts[k * d..][..d]);
                    fill_symmetric(matrix, d, |i, j| moments.second.at(k, d, i, j) / n - shift[i] * shift[j]);
                    raise(matrix, floors, k)?;
                }
            }
            Self::Tied => {
                let n: f64 = moments.counts.iter().sum();
                fill_symmetric(&mut new, d, |i, j| {
                    let terms = (0..k).map(|k| {
                        let shift = &shifts[k * d..][..d];
                        moments.second.at(k, d, i, j) - moments.counts[k] * shift[i] * shift[j]
                    });
                    terms.sum::<f64>() / n
                });
                raise(&mut new, floors, 0)?;
            }
            Self::Diagonal | Self::Spherical => {
                for k in (0..k).filter(|k| occupied(*k)) {
                    let (n, shift) = (moments.counts[k], &shifts[k * d..][..d]);
                    let variance = |j: usize| moments.second.at(k, d, j, j) / n - shift[j] * shift[j];
                    if self == Self::Diagonal {
                        (0..d).for_each(|j| new[k * d + j] = variance(j).max(floors[j]));
                    } else {
                        new[k] = ((0..d).map(variance).sum::<f64>() / d as f64).max(floor);
                    }
                    let least = self.part(&new, k, d).iter().position(|variance| *variance < 1e-280);
                    if let Some(coordinate) = least {
                        return Err(Error::Singular { component: k, coordinate });
                    }
                }
            }
        }
        Ok(new)
    }

    /// L of every covariance, or the deviations: in the same places.
    pub(super) fn factors(self, values: &[f64], d: usize) -> Result<Vec<f64>, Error> {
        match self {
            Self::Full | Self::Tied => {
                let mut factors = Vec::with_capacity(values.len());
                for (k, matrix) in values.chunks_exact(d * d).enumerate() {
                    factors.extend(factorize(matrix, d, k)?);
                }
                Ok(factors)
            }
            Self::Diagonal | Self::Spherical => Ok(values.iter().map(|variance| libm::sqrt(*variance)).collect()),
        }
    }
}

/// Fills a symmetric matrix (d×d) from its lower triangle.
fn fill_symmetric(matrix: &mut [f64], d: usize, entry: impl Fn(usize, usize) -> f64) {
    for i in 0..d {
        for j in 0..=i {
            let value = entry(i, j);
            (matrix[i * d + j], matrix[j * d + i]) = (value, value);
        }
    }
}

/// Makes Σ − diag(floors) positive semidefinite. In coordinates in which the floors are 1, that is to
/// raise eigenvalues below 1 to 1: the likeliest covariance of those that respect the floors, for the
/// likelihood −ln det Σ − tr(Σ⁻¹S) separates in the eigenvectors of S and falls on either side of S.
fn raise(matrix: &mut [f64], floors: &[f64], component: usize) -> Result<(), Error> {
    let d = floors.len();
    if floors.contains(&0.0) {
        return Ok(());
    }
    let scales: Vec<f64> = floors.iter().map(|floor| libm::sqrt(*floor)).collect();
    let mut work = vec![0.0; d * d];
    fill_symmetric(&mut work, d, |i, j| matrix[i * d + j] / scales[i] / scales[j]);
    let mut above = work.clone();
    (0..d).for_each(|j| above[j * d + j] -= 1.0);
    if linalg::cholesky(&mut above, d).is_ok() {
        return Ok(());
    }
    let (mut values, mut vectors) = (vec![0.0; d], vec![0.0; d * d]);
    linalg::symmetric_eigen(&mut work, d, &mut values, &mut vectors)
        .map_err(|_| Error::Singular { component, coordinate: 0 })?;
    fill_symmetric(matrix, d, |i, j| {
        let terms = values.iter().zip(vectors.chunks_exact(d)).map(|(value, v)| value.max(1.0) * v[i] * v[j]);
        terms.sum::<f64>() * scales[i] * scales[j]
    });
    Ok(())
}

/// The parts of a mixture that densities are computed from.
pub(super) struct Parts<'a> {
    pub kind: Covariance,
    pub d: usize,
    pub weights: &'a [f64],
    pub means: &'a [f64],
    pub covariances: &'a [f64],
    pub factors: &'a [f64],
}

impl Parts<'_> {
    pub fn pack(&self) -> Result<Packed, Error> {
        let (d, k) = (self.d, self.weights.len());
        let width = padded(d);
        let mut means = vec![0.0; k * width];
        for (padded, mean) in means.chunks_exact_mut(width).zip(self.means.chunks_exact(d)) {
            padded[..d].copy_from_slice(mean);
        }
        let mut log_scales = vec![0.0; k];
        let shape = match self.kind {
            Covariance::Full | Covariance::Tied => {
                let mut panels = Vec::new();
                for (k, factor) in self.factors.chunks_exact(d * d).enumerate() {
                    let (whitening, log_scale) = invert(factor, d, k)?;
                    panels.extend(pack(&whitening, d));
                    match self.kind {
                        Covariance::Tied => log_scales.fill(log_scale),
                        _ => log_scales[k] = log_scale,
                    }
                }
                Shape::Full(panels)
            }
            Covariance::Diagonal | Covariance::Spherical => {
                let mut scales = vec![0.0; k * width];
                for (k, scales) in scales.chunks_exact_mut(width).enumerate() {
                    let part = self.kind.part(self.factors, k, d);
                    for (j, scale) in scales[..d].iter_mut().enumerate() {
                        let deviation = part[j.min(part.len() - 1)];
                        *scale = 1.0 / deviation;
                        log_scales[k] -= libm::log(deviation);
                    }
                }
                Shape::Diagonal(scales)
            }
        };
        let constant = |(weight, log_scale): (&f64, &f64)| libm::log(*weight) - 0.5 * d as f64 * LN_2PI + log_scale;
        let constants = self.weights.iter().zip(&log_scales).map(constant).collect();
        Ok(Packed { d, means, constants, shape })
    }

    /// The model for points that lack some coordinates.
    pub fn pattern(&self, lacks: &[bool]) -> Result<Pattern, Error> {
        let (d, k) = (self.d, self.weights.len());
        let given: Vec<usize> = (0..d).filter(|j| !lacks[*j]).collect();
        let lacking: Vec<usize> = (0..d).filter(|j| lacks[*j]).collect();
        let (o, m) = (given.len(), lacking.len());
        let (mut regression, mut remainder) = (Vec::with_capacity(k), Vec::with_capacity(k));
        let width = padded(o);
        let mut means = vec![0.0; k * width];
        let mut panels = Vec::new();
        let mut constants = Vec::with_capacity(k);
        for k in 0..k {
            let sigma = self.kind.matrix(self.covariances, k, d);
            let block = |rows: &[usize], columns: &[usize]| -> Vec<f64> {
                rows.iter().flat_map(|i| columns.iter().map(move |j| (*i, *j))).map(|(i, j)| sigma[i * d + j]).collect()
            };
            let factor = factorize(&block(&given, &given), o, k)?;
            let (whitening, log_scale) = invert(&factor, o, k)?;
            let mut coefficients = block(&lacking, &given);
            let mut spread = block(&lacking, &lacking);
            // With A = Σ_mo L⁻ᵀ: Σ_mo Σ_oo⁻¹ = A L⁻¹, and the remainder is Σ_mm − AAᵀ.
            for row in coefficients.chunks_exact_mut(o.max(1)) {
                solve(linalg::solve_lower(&factor, o, row), k)?;
            }
            for i in 0..m {
                for j in 0..m {
                    let rows = (&coefficients[i * o..][..o], &coefficients[j * o..][..o]);
                    spread[i * m + j] -= rows.0.iter().zip(rows.1).map(|(a, b)| a * b).sum::<f64>();
                }
                spread[i * m + i] = spread[i * m + i].max(0.0);
            }
            for row in coefficients.chunks_exact_mut(o.max(1)) {
                solve(linalg::solve_lower_transposed(&factor, o, row), k)?;
            }
            for (place, j) in means[k * width..].iter_mut().zip(&given) {
                *place = self.means[k * d + j];
            }
            panels.extend(pack(&whitening, o));
            constants.push(libm::log(self.weights[k]) - 0.5 * o as f64 * LN_2PI + log_scale);
            regression.push(coefficients);
            remainder.push(spread);
        }
        let marginal = Packed { d: o, means, constants, shape: Shape::Full(panels) };
        Ok(Pattern { marginal, given, lacking, regression, remainder })
    }
}

/// L⁻¹ and −ln det L.
fn invert(factor: &[f64], d: usize, component: usize) -> Result<(Vec<f64>, f64), Error> {
    let mut whitening = factor.to_vec();
    solve(linalg::invert_lower(&mut whitening, d), component)?;
    let log_det = linalg::log_det(factor, d).map_err(|_| Error::Singular { component, coordinate: 0 })?;
    Ok((whitening, -0.5 * log_det))
}

fn solve(result: Result<(), linalg::Error>, component: usize) -> Result<(), Error> {
    result.map_err(|error| match error {
        linalg::Error::Singular { row } => Error::Singular { component, coordinate: row },
        _ => Error::Singular { component, coordinate: 0 },
    })
}
