//! Covariances of a mixture: their four forms, their floor, and what densities and draws need of them.

use alloc::vec;
use alloc::vec::Vec;

use yuragi_numeric::linalg;

use super::block::{pack, padded};
use super::pass::{EMPTY, Moments, Packed, Pattern, Shape};
use crate::error::range;
use crate::multivariate::{LN_2PI, check_covariance, factorize, factorize_while};
use crate::parallel::{self, Going};
use crate::{Error, multivariate};

/// Covariances with their factors, and which components' were raised to the floors.
pub(super) struct Spread {
    pub covariances: Vec<f64>,
    pub factors: Vec<f64>,
    pub floored: Vec<bool>,
}

impl Spread {
    /// That of `k` components for each of these.
    pub fn repeated(self, kind: Covariance, k: usize) -> Self {
        let numbers = |values: Vec<f64>| if kind == Covariance::Tied { values } else { values.repeat(k) };
        Self { covariances: numbers(self.covariances), factors: numbers(self.factors), floored: self.floored.repeat(k) }
    }
}

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

    /// The M step: the likeliest covariances, raised to the floors.
    ///
    /// `moments` are about the old means, and `shifts` are the new means minus those (0 for a component
    /// that has no points, which keeps its `old` covariance).
    pub(super) fn estimate(
        self,
        moments: &Moments,
        shifts: &[f64],
        old: &[f64],
        floors: &[f64],
        (threads, going): (usize, Going<'_>),
    ) -> Result<Spread, Error> {
        let (d, count) = (floors.len(), moments.counts.len());
        let total: f64 = moments.counts.iter().sum();
        let occupied = |k: usize| moments.counts[k] > EMPTY * total;
        match self {
            Self::Full => {
                let parts = parallel::map(threads, count, |k| {
                    let old = &old[k * d * d..][..d * d];
                    if !occupied(k) {
                        return Ok((old.to_vec(), factorize_while(old, d, k, going)?, false));
                    }
                    let (n, shift) = (moments.counts[k], &shifts[k * d..][..d]);
                    let entry = |i: usize, j: usize| moments.second.at(k, d, i, j) / n - shift[i] * shift[j];
                    raised(d, entry, floors, k, going)
                });
                let mut spread = Spread { covariances: Vec::new(), factors: Vec::new(), floored: Vec::new() };
                for part in parts {
                    let (covariance, factor, floored) = part?;
                    // One component alone takes its matrices as they are: they may be large.
                    if count == 1 {
                        return Ok(Spread { covariances: covariance, factors: factor, floored: vec![floored] });
                    }
                    spread.covariances.extend(covariance);
                    spread.factors.extend(factor);
                    spread.floored.push(floored);
                }
                Ok(spread)
            }
            Self::Tied => {
                let entry = |i: usize, j: usize| {
                    let terms = (0..count).map(|k| {
                        let shift = &shifts[k * d..][..d];
                        moments.second.at(k, d, i, j) - moments.counts[k] * shift[i] * shift[j]
                    });
                    terms.sum::<f64>() / total
                };
                let (covariances, factors, floored) = raised(d, entry, floors, 0, going)?;
                Ok(Spread { covariances, factors, floored: vec![floored; count] })
            }
            Self::Diagonal | Self::Spherical => {
                let (mut new, mut all) = (old.to_vec(), vec![false; count]);
                for k in (0..count).filter(|k| occupied(*k)) {
                    let (n, shift) = (moments.counts[k], &shifts[k * d..][..d]);
                    let variance = |j: usize| moments.second.at(k, d, j, j) / n - shift[j] * shift[j];
                    let mean = |f: &dyn Fn(usize) -> f64| (0..d).map(f).sum::<f64>() / d as f64;
                    if self == Self::Diagonal {
                        for (j, floor) in floors.iter().enumerate() {
                            all[k] |= variance(j) < *floor;
                            new[k * d + j] = variance(j).max(*floor);
                        }
                    } else {
                        let floor = mean(&|j| floors[j]);
                        all[k] = mean(&variance) < floor;
                        new[k] = mean(&variance).max(floor);
                    }
                    let least = self.part(&new, k, d).iter().position(|variance| *variance < 1e-280);
                    if let Some(coordinate) = least {
                        return Err(Error::Singular { component: k, coordinate });
                    }
                }
                let factors = self.factors(&new, d)?;
                Ok(Spread { covariances: new, factors, floored: all })
            }
        }
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

/// A covariance of these entries, its factor, and whether it had to be raised.
type Raised = (Vec<f64>, Vec<f64>, bool);

/// The covariance of these entries if every coordinate's variance given those before it is at or above its floor, and
/// beyond rounding; otherwise the same with the floors added to the diagonal. That costs two factorisations at most, of
/// which the first ends where it fails: with fewer points than coordinates, soon.
fn raised(
    d: usize,
    entry: impl Fn(usize, usize) -> f64,
    floors: &[f64],
    component: usize,
    going: Going<'_>,
) -> Result<Raised, Error> {
    let mut covariance = vec![0.0; d * d];
    fill_symmetric(&mut covariance, d, entry);
    let least: Vec<f64> = floors
        .iter()
        .enumerate()
        .map(|(j, floor)| floor.max(multivariate::lost(d) * covariance[j * d + j].abs()))
        .collect();
    let mut factor = covariance.clone();
    let fails = |error| multivariate::singular(error, component);
    match linalg::cholesky_above(&mut factor, d, |i| least[i], &mut || going()) {
        Ok(()) => return Ok((covariance, factor, false)),
        Err(linalg::Error::NotPositiveDefinite { .. }) if !floors.contains(&0.0) => {}
        Err(error) => return Err(fails(error)),
    }
    for (j, least) in least.iter().enumerate() {
        // Twice what rounding may take, where that is more than the floor.
        covariance[j * d + j] += if *least > floors[j] { 2.0 * least } else { *least };
    }
    factor.copy_from_slice(&covariance);
    linalg::cholesky_above(&mut factor, d, |i| multivariate::lost(d) * covariance[i * d + i], &mut || going())
        .map_err(fails)?;
    Ok((covariance, factor, true))
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
    pub fn pack(&self, threads: usize, going: Going<'_>) -> Result<Packed, Error> {
        let (d, k) = (self.d, self.weights.len());
        let width = padded(d);
        let mut log_scales = vec![0.0; k];
        let shape = match self.kind {
            Covariance::Full | Covariance::Tied => {
                let count = self.factors.len() / (d * d);
                let packs = parallel::map(threads, count, |k| {
                    let (whitening, log_scale) = invert(&self.factors[k * d * d..][..d * d], d, k, going)?;
                    Ok::<_, Error>((pack(&whitening, d).collect::<Vec<_>>(), log_scale))
                });
                let mut panels = Vec::new();
                for (k, packed) in packs.into_iter().enumerate() {
                    let (packed, log_scale) = packed?;
                    panels.extend(packed);
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
        let mut packed = Packed { d, means: vec![0.0; k * width], constants, shape };
        packed.set_means(self.means);
        Ok(packed)
    }

    /// The model for points that lack some coordinates.
    pub fn pattern(&self, lacks: &[bool], going: Going<'_>) -> Result<Pattern, Error> {
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
            let factor = factorize_while(&block(&given, &given), o, k, going)?;
            let (whitening, log_scale) = invert(&factor, o, k, going)?;
            let mut coefficients = block(&lacking, &given);
            let mut spread = block(&lacking, &lacking);
            // With A = Σ_mo L⁻ᵀ: Σ_mo Σ_oo⁻¹ = A L⁻¹, and the remainder is Σ_mm − AAᵀ.
            let asked = || if going() { Ok(()) } else { Err(Error::Stopped) };
            for row in coefficients.chunks_exact_mut(o.max(1)) {
                asked()?;
                solve(linalg::solve_lower(&factor, o, row), k)?;
            }
            for i in 0..m {
                asked()?;
                for j in 0..m {
                    let rows = (&coefficients[i * o..][..o], &coefficients[j * o..][..o]);
                    spread[i * m + j] -= rows.0.iter().zip(rows.1).map(|(a, b)| a * b).sum::<f64>();
                }
                spread[i * m + i] = spread[i * m + i].max(0.0);
            }
            for row in coefficients.chunks_exact_mut(o.max(1)) {
                asked()?;
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
fn invert(factor: &[f64], d: usize, component: usize, going: Going<'_>) -> Result<(Vec<f64>, f64), Error> {
    let mut whitening = factor.to_vec();
    solve(linalg::invert_lower_while(&mut whitening, d, &mut || going()), component)?;
    let log_det = linalg::log_det(factor, d).map_err(|_| Error::Singular { component, coordinate: 0 })?;
    Ok((whitening, -0.5 * log_det))
}

fn solve(result: Result<(), linalg::Error>, component: usize) -> Result<(), Error> {
    result.map_err(|error| multivariate::singular(error, component))
}
