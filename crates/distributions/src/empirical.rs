//! The empirical distribution P₀ and the histogram.

use alloc::vec;
use alloc::vec::Vec;

use yuragi_numeric::rand_core::Rng;
use yuragi_numeric::special::Sum;

use crate::distribution::{Distribution, Extent, Information, Point, Scalar, put};
use crate::error::range;
use crate::random::{choose, uniform};
use crate::{Data, Error};

/// P₀(x) = (1/n) Σ δ(x − xᵢ): every point of the data with its share of the weight.
///
/// Its samples are the data, drawn with replacement (the bootstrap).
///
/// ```
/// use yuragi_distributions::{Data, Empirical};
/// # fn main() -> Result<(), yuragi_distributions::Error> {
/// let p0 = Empirical::new(&Data::scalars(&[3.0, 1.0, 1.0, 7.0])?)?;
/// assert_eq!(p0.mean(), [3.0]);
/// assert_eq!(p0.expectation(|x| x[0] * x[0]), 15.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Empirical {
    points: Vec<f64>,
    dimension: usize,
    shares: Vec<f64>,
    cumulative: Vec<f64>,
}

impl Empirical {
    /// Of the points of `data`.
    ///
    /// # Errors
    /// Missing values.
    pub fn new(data: &Data<'_>) -> Result<Self, Error> {
        data.complete(data.dimension())?;
        let total = data.total_weight();
        let shares: Vec<f64> = data.weighted_rows().map(|(_, weight)| weight / total).collect();
        let cumulative = shares
            .iter()
            .scan(Sum::default(), |sum, share| {
                *sum += *share;
                Some(sum.value())
            })
            .collect();
        Ok(Self { points: data.values().to_vec(), dimension: data.dimension(), shares, cumulative })
    }

    fn rows(&self) -> impl Iterator<Item = (&[f64], f64)> {
        self.points.chunks_exact(self.dimension).zip(self.shares.iter().copied())
    }

    /// ∫ P₀(x) f(x) dx = (1/n) Σ f(xᵢ).
    pub fn expectation(&self, f: impl Fn(&[f64]) -> f64) -> f64 {
        yuragi_numeric::special::sum(self.rows().map(|(x, share)| share * f(x)))
    }

    /// (1/n) Σ xᵢ.
    pub fn mean(&self) -> Vec<f64> {
        (0..self.dimension).map(|j| self.expectation(|x| x[j])).collect()
    }

    /// (1/n) Σ (xᵢ−μ)(xᵢ−μ)ᵀ, row by row.
    pub fn covariance(&self) -> Vec<f64> {
        let (d, mean) = (self.dimension, self.mean());
        let entry = |i: usize, j: usize| self.expectation(|x| (x[i] - mean[i]) * (x[j] - mean[j]));
        (0..d * d).map(|at| entry(at / d, at % d)).collect()
    }

    /// The share of points whose first coordinate is at most `x`.
    pub fn cdf(&self, x: f64) -> f64 {
        self.expectation(|point| if point[0] <= x { 1.0 } else { 0.0 })
    }

    /// −Σ P₀ ln P₀ over distinct points: ln n if all differ and count alike.
    pub fn entropy(&self) -> f64 {
        let terms = self.distinct().into_iter().filter(|(_, share)| *share > 0.0);
        yuragi_numeric::special::sum(terms.map(|(_, share)| -share * libm::log(share)))
    }

    /// −(1/n) Σ ln q(xᵢ): all of D(P₀‖q) that depends on q. ∞ if a point is outside q's support.
    pub fn cross_entropy<D: Distribution>(&self, q: &D) -> f64 {
        let rows = self.rows().filter(|(_, share)| *share > 0.0);
        -yuragi_numeric::special::sum(rows.map(|(x, share)| share * q.log_density(D::Point::of(x))))
    }

    /// D(P₀‖q) = Σ P₀ ln(P₀/q), for a discrete q. Against a density it is the same up to a constant that
    /// does not depend on q, and may be negative.
    pub fn kl<D: Distribution>(&self, q: &D) -> f64 {
        self.cross_entropy(q) - self.entropy()
    }

    /// Distinct points with their shares.
    fn distinct(&self) -> Vec<(&[f64], f64)> {
        let mut rows: Vec<(&[f64], f64)> = self.rows().collect();
        let order = |a: &[f64], b: &[f64]| {
            let mut pairs = a.iter().zip(b).map(|(a, b)| a.total_cmp(b));
            pairs.find(|order| order.is_ne()).unwrap_or(core::cmp::Ordering::Equal)
        };
        rows.sort_by(|a, b| order(a.0, b.0));
        rows.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        rows
    }
}

impl Distribution for Empirical {
    type Point<'a> = &'a [f64];

    fn dimension(&self) -> usize {
        self.dimension
    }

    /// 0: nothing was fitted.
    fn parameters(&self) -> usize {
        0
    }

    /// The logarithm of the share of points equal to `x`.
    fn log_density(&self, x: &[f64]) -> f64 {
        libm::log(yuragi_numeric::special::sum(self.rows().filter(|(point, _)| *point == x).map(|(_, share)| share)))
    }

    fn draw<R: Rng + ?Sized>(&self, rng: &mut R, point: &mut [f64]) {
        let i = choose(&self.cumulative, uniform(rng));
        if let Some(point) = point.get_mut(..self.dimension) {
            point.copy_from_slice(&self.points[i * self.dimension..][..self.dimension]);
        }
    }
}

/// A density that is constant on each of equally wide bins.
///
/// With fixed bins its total variation to the binned law falls like n^(−1/2); to a smooth density, with
/// a bin width proportional to n^(−1/3), like n^(−1/3) (Scott 1979).
///
/// ```
/// use yuragi_distributions::{Data, Distribution, Histogram};
/// # fn main() -> Result<(), yuragi_distributions::Error> {
/// let histogram = Histogram::of(&Data::scalars(&[0.1, 0.2, 0.3, 0.9])?, 0.0, 1.0, 2)?;
/// assert_eq!(histogram.counts(), [3.0, 1.0]);
/// assert!((histogram.log_density(0.4) - 1.5f64.ln()).abs() < 1e-15);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    low: f64,
    high: f64,
    counts: Vec<f64>,
    inside: f64,
    outside: f64,
}

impl Histogram {
    /// Of the points of `data`, in `bins` bins from `low` to `high`. A bin has its lower end and, but
    /// for the last, not its upper end. Points outside are left out, and their weight is kept.
    ///
    /// # Errors
    /// Data that are not one-dimensional, no bin, not `low` < `high`, both finite with a finite
    /// distance, or no point inside.
    pub fn of(data: &Data<'_>, low: f64, high: f64, bins: usize) -> Result<Self, Error> {
        data.complete(1)?;
        range("the lower end", low, low.is_finite(), "finite")?;
        range("the upper end", high, high > low && (high - low).is_finite(), "finite and above the lower end")?;
        range("the number of bins", bins as f64, (1..=1 << 24).contains(&bins), "from 1 to 2^24")?;
        let mut histogram = Self { low, high, counts: vec![0.0; bins], inside: 0.0, outside: 0.0 };
        for (row, weight) in data.weighted_rows() {
            match histogram.bin(row[0]) {
                Some(bin) => {
                    histogram.counts[bin] += weight;
                    histogram.inside += weight;
                }
                None => histogram.outside += weight,
            }
        }
        range("the weight inside", histogram.inside, histogram.inside > 0.0, "above 0")?;
        Ok(histogram)
    }

    /// With Scott's bin width 3.49 σ n^(−1/3) (1979) from the least point to the greatest.
    ///
    /// # Errors
    /// Data that are not one-dimensional, or points that are all equal.
    pub fn scott(data: &Data<'_>) -> Result<Self, Error> {
        let gaussian = <crate::Gaussian as crate::Fit>::fit(data)?;
        let (low, high) =
            data.values().iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(*x), h.max(*x)));
        let width = 3.49 * gaussian.deviation() / libm::cbrt(data.total_weight());
        let bins = libm::ceil((high - low) / width).clamp(1.0, 1e6);
        Self::of(data, low, high, bins as usize)
    }

    fn bin(&self, x: f64) -> Option<usize> {
        if !(self.low..=self.high).contains(&x) {
            return None;
        }
        let bins = self.counts.len();
        Some((((x - self.low) / (self.high - self.low) * bins as f64) as usize).min(bins - 1))
    }

    /// The lower end of bin `i`, the last upper end for `i` = the number of bins.
    fn edge(&self, i: usize) -> f64 {
        self.low + (self.high - self.low) * (i as f64 / self.counts.len() as f64)
    }

    /// The ends of the bins, one more than there are bins.
    pub fn edges(&self) -> Vec<f64> {
        (0..=self.counts.len()).map(|i| self.edge(i)).collect()
    }

    /// The weight in every bin.
    pub fn counts(&self) -> &[f64] {
        &self.counts
    }

    /// The weight of points outside all bins.
    pub fn outside(&self) -> f64 {
        self.outside
    }

    /// The share of the weight in every bin, of that inside.
    pub fn probabilities(&self) -> Vec<f64> {
        self.counts.iter().map(|count| count / self.inside).collect()
    }

    /// The probabilities of `law` in the same bins; they sum to less than 1 if it goes beyond them.
    pub fn binned<D: Scalar>(&self, law: &D) -> Vec<f64> {
        let cdf: Vec<f64> = self.edges().into_iter().map(|x| law.cdf(x)).collect();
        cdf.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// ½ Σ |h_b − P_b| to the binned law; what the law has outside counts as a bin where h is 0.
    pub fn total_variation_to_binned<D: Scalar>(&self, law: &D) -> f64 {
        let binned = self.binned(law);
        let beyond = 1.0 - yuragi_numeric::special::sum(binned.iter().copied());
        let terms = self.probabilities().into_iter().zip(binned).map(|(h, p)| (h - p).abs());
        0.5 * (yuragi_numeric::special::sum(terms) + beyond.max(0.0))
    }
}

impl Distribution for Histogram {
    type Point<'a> = f64;

    fn dimension(&self) -> usize {
        1
    }

    fn parameters(&self) -> usize {
        self.counts.len() - 1
    }

    fn log_density(&self, x: f64) -> f64 {
        let Some(bin) = self.bin(x) else { return f64::NEG_INFINITY };
        let width = (self.high - self.low) / self.counts.len() as f64;
        libm::log(self.counts[bin] / self.inside) - libm::log(width)
    }

    fn draw<R: Rng + ?Sized>(&self, rng: &mut R, point: &mut [f64]) {
        let mut rest = uniform(rng) * self.inside;
        let chosen = self.counts.iter().position(|count| {
            rest -= count;
            rest < 0.0
        });
        let last = || self.counts.iter().rposition(|count| *count > 0.0);
        let bin = chosen.or_else(last).unwrap_or(0);
        let (low, high) = (self.edge(bin), self.edge(bin + 1));
        put(point, (low + (high - low) * uniform(rng)).min(high));
    }
}

impl Scalar for Histogram {
    fn cdf(&self, x: f64) -> f64 {
        let Some(bin) = self.bin(x) else { return if x.is_nan() { x } else { f64::from(x > self.high) } };
        let (low, high) = (self.edge(bin), self.edge(bin + 1));
        let before: f64 = self.counts[..bin].iter().sum();
        let share = ((x - low) / (high - low)).clamp(0.0, 1.0);
        ((before + share * self.counts[bin]) / self.inside).min(1.0)
    }

    fn extent(&self) -> Extent {
        Extent::Reals(self.edges())
    }
}

impl Information for Histogram {
    fn entropy(&self) -> f64 {
        let width = (self.high - self.low) / self.counts.len() as f64;
        let shares = self.probabilities().into_iter().filter(|p| *p > 0.0);
        yuragi_numeric::special::sum(shares.map(|p| -p * libm::log(p))) + libm::log(width)
    }

    /// Between histograms of the same bins; by quadrature otherwise.
    fn kl(&self, q: &Self) -> f64 {
        if self.edges() == q.edges() {
            let terms = self.probabilities().into_iter().zip(q.probabilities());
            return yuragi_numeric::special::sum(terms.map(|(p, q)| crate::distribution::divergence_term(p, q)));
        }
        crate::divergence::Divergence::KullbackLeibler.by_quadrature(self, q)
    }
}
