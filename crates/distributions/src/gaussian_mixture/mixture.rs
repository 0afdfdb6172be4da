//! The model: densities, draws, and the two steps of EM.

use alloc::vec;
use alloc::vec::Vec;

use yuragi_numeric::rand_core::Rng;

use super::covariance::{Covariance, Parts, Spread};
use super::pass::{EMPTY, Moments, Packed, Pass, Pattern};
use crate::distribution::Distribution;
use crate::em::ExpectationMaximization;
use crate::error::{length, range};
use crate::multivariate::{self, LN_2PI};
use crate::random::uniform;
use crate::{Categorical, Data, Error, Going, Single, Team, score};

/// q(x) = Σ_k C_k N(x; μ_k, Σ_k), Σ_k C_k = 1.
///
/// Everything is computed with ln q(x, k), so that no density underflows. A point farther than 10¹⁵⁰
/// standard deviations counts as that far. With missing values, densities are those of the coordinates
/// that are there, and a point without any has density 1.
///
/// ```
/// use yuragi_distributions::{Data, Distribution, GaussianMixture, Options};
/// use yuragi_numeric::philox::Philox;
/// # fn main() -> Result<(), yuragi_distributions::Error> {
/// let truth = GaussianMixture::new(&[0.7, 0.3], &[0.0, 0.0, 6.0, 6.0], &[1.0, 2.0], Default::default());
/// assert!(truth.is_err()); // two covariances of 2×2 have 8 values
/// let identity = [1.0, 0.0, 0.0, 1.0];
/// let truth = GaussianMixture::new(&[0.7, 0.3], &[0.0, 0.0, 6.0, 6.0], &[identity; 2].concat(), Default::default())?;
/// let points = truth.sample(&mut Philox::new([1, 0], 0), 1000);
///
/// let data = Data::new(&points, 2)?;
/// let fitted = GaussianMixture::fit(&data, 2, &Options::default())?;
/// let gamma = fitted.mixture.responsibilities(&data)?;
/// assert!((gamma[0] + gamma[1] - 1.0).abs() < 1e-12);
/// assert!(fitted.mixture.bic(&data)? < GaussianMixture::fit(&data, 1, &Options::default())?.mixture.bic(&data)?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianMixture {
    kind: Covariance,
    weights: Vec<f64>,
    means: Vec<f64>,
    covariances: Vec<f64>,
    /// L of every covariance, or the deviations, in the places of the covariances.
    factors: Vec<f64>,
    /// The least variance of every coordinate that learning leaves.
    floors: Vec<f64>,
    /// The components whose covariance was raised to them.
    floored: Vec<bool>,
    threads: usize,
    packed: Packed,
}

impl GaussianMixture {
    /// With C_k proportional to `weights` (K), `means` (K×d), and `covariances` held as `kind` says.
    ///
    /// # Errors
    /// No component, lengths that do not fit, a weight that is negative or not finite or a sum that is 0
    /// or not finite, a mean that is not finite or not below 10¹⁴⁰ in size, or a covariance that is not
    /// symmetric and positive definite beyond rounding.
    pub fn new(weights: &[f64], means: &[f64], covariances: &[f64], kind: Covariance) -> Result<Self, Error> {
        let k = weights.len();
        range("the number of components", k as f64, k >= 1, "at least 1")?;
        let d = means.len() / k;
        range("the dimension", d as f64, d >= 1, "at least 1")?;
        length("the means", means.len(), k * d)?;
        length("the covariances", covariances.len(), kind.len(k, d))?;
        for mean in means {
            range("a mean", *mean, mean.abs() < crate::data::LIMIT, "finite and below 1e140 in size")?;
        }
        kind.check(covariances, d)?;
        let weights = Categorical::new(weights)?.probabilities().to_vec();
        let factors = kind.factors(covariances, d)?;
        let spread = Spread { covariances: covariances.to_vec(), factors, floored: vec![false; k] };
        Self::build((kind, weights, means.to_vec()), spread, vec![0.0; d], (1, &|| true))
    }

    /// A mixture of parts that fit.
    pub(super) fn build(
        (kind, weights, means): (Covariance, Vec<f64>, Vec<f64>),
        spread: Spread,
        floors: Vec<f64>,
        (threads, going): (usize, Going<'_>),
    ) -> Result<Self, Error> {
        let (d, Spread { covariances, factors, floored }) = (floors.len(), spread);
        let parts = Parts { kind, d, weights: &weights, means: &means, covariances: &covariances, factors: &factors };
        let packed = parts.pack(threads, going)?;
        Ok(Self { kind, weights, means, covariances, factors, floors, floored, threads, packed })
    }

    /// Adds to every mean.
    pub(super) fn shift(&mut self, by: &[f64]) {
        for mean in self.means.chunks_exact_mut(by.len()) {
            mean.iter_mut().zip(by).for_each(|(mean, by)| *mean += by);
        }
        self.packed.set_means(&self.means);
    }

    /// C_k.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// μ_k, K×d.
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// What the covariances may be.
    pub fn covariance_kind(&self) -> Covariance {
        self.kind
    }

    /// The covariances as [`Covariance`] holds them.
    pub fn covariances(&self) -> &[f64] {
        &self.covariances
    }

    /// Σ_k as a d×d matrix, whatever its kind.
    pub fn covariance(&self, k: usize) -> Option<Vec<f64>> {
        (k < self.weights.len()).then(|| self.kind.matrix(&self.covariances, k, self.floors.len()))
    }

    /// The least variance of every coordinate (d values) that learning leaves; 0 for none, as [`new`](Self::new) has it.
    /// Variances along the axes stay at or above it. A full or tied covariance in which a coordinate's variance given those
    /// before it is below its floor (or lost in rounding) has the floors added to its diagonal, so that no direction has less.
    pub fn floors(&self) -> &[f64] {
        &self.floors
    }

    /// For every component, whether its covariance has been raised to the [`floors`](Self::floors).
    pub fn floored(&self) -> &[bool] {
        &self.floored
    }

    pub(super) fn replace_floors(&mut self, floors: Vec<f64>) {
        self.floors = floors;
    }

    /// How many threads passes over data take, with the feature `std`; results do not depend on it.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            kind: self.kind,
            d: self.floors.len(),
            weights: &self.weights,
            means: &self.means,
            covariances: &self.covariances,
            factors: &self.factors,
        }
    }

    fn pass<T>(&self, data: &Data<'_>, f: impl FnOnce(Pass<'_>) -> Result<T, Error>) -> Result<T, Error> {
        self.pass_while(data, &|| true, f)
    }

    fn pass_while<T>(
        &self,
        data: &Data<'_>,
        going: Going<'_>,
        f: impl FnOnce(Pass<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        length("a point", data.dimension(), self.floors.len())?;
        let pattern = |group: usize| -> Result<Pattern, Error> {
            let groups = data.missing().map_or(&[][..], |missing| &missing.groups);
            self.parts().pattern(groups.get(group).map_or(&[], |(lacks, _)| lacks), going)
        };
        f(Pass { packed: &self.packed, data, threads: self.threads, labels: None, pattern: &pattern, going })
    }

    /// ln q(xᵢ) of every point.
    ///
    /// # Errors
    /// Data of another dimension.
    pub fn score_samples(&self, data: &Data<'_>) -> Result<Vec<f64>, Error> {
        self.pass(data, |pass| pass.scores())
    }

    /// (1/n) Σ ln q(xᵢ), weighted.
    ///
    /// # Errors
    /// Data of another dimension.
    pub fn log_likelihood(&self, data: &Data<'_>) -> Result<f64, Error> {
        let scores = self.score_samples(data)?;
        let terms = scores.iter().enumerate().map(|(i, score)| data.weight(i) * score);
        Ok(yuragi_numeric::special::sum(terms) / data.total_weight())
    }

    /// γ_ik = q(k|xᵢ), K for every point, summing to 1.
    ///
    /// # Errors
    /// Data of another dimension.
    pub fn responsibilities(&self, data: &Data<'_>) -> Result<Vec<f64>, Error> {
        self.pass(data, |pass| pass.responsibilities())
    }

    /// The component with the largest γ_ik for every point; the first among equals.
    ///
    /// # Errors
    /// Data of another dimension.
    pub fn predict(&self, data: &Data<'_>) -> Result<Vec<usize>, Error> {
        let gamma = self.responsibilities(data)?;
        let largest = |gamma: &[f64]| (0..gamma.len()).fold(0, |best, k| if gamma[k] > gamma[best] { k } else { best });
        Ok(gamma.chunks_exact(self.weights.len()).map(largest).collect())
    }

    /// The points with missing coordinates replaced by their expectation given those that are there.
    ///
    /// # Errors
    /// Data of another dimension.
    pub fn impute(&self, data: &Data<'_>) -> Result<Vec<f64>, Error> {
        self.pass(data, |pass| pass.imputed())
    }

    /// Akaike's criterion; see [`score::aic`].
    ///
    /// # Errors
    /// Data of another dimension.
    pub fn aic(&self, data: &Data<'_>) -> Result<f64, Error> {
        Ok(score::aic_of(self.log_likelihood(data)?, self.parameters(), data.total_weight()))
    }

    /// Schwarz's criterion; see [`score::bic`].
    ///
    /// # Errors
    /// Data of another dimension.
    pub fn bic(&self, data: &Data<'_>) -> Result<f64, Error> {
        Ok(score::bic_of(self.log_likelihood(data)?, self.parameters(), data.total_weight()))
    }

    /// Draws `n` points (n×d) and the components that they came from.
    pub fn sample_labelled<R: Rng + ?Sized>(&self, rng: &mut R, n: usize) -> (Vec<f64>, Vec<usize>) {
        let d = self.floors.len();
        let mut points = vec![0.0; n.saturating_mul(d)];
        let labels = points.chunks_exact_mut(d).map(|point| self.draw_labelled(rng, point)).collect();
        (points, labels)
    }

    fn draw_labelled<R: Rng + ?Sized>(&self, rng: &mut R, point: &mut [f64]) -> usize {
        let mut rest = uniform(rng);
        let chosen = self.weights.iter().position(|weight| {
            rest -= weight;
            rest < 0.0
        });
        let last = || self.weights.iter().rposition(|weight| *weight > 0.0);
        let k = chosen.or_else(last).unwrap_or(0);
        let d = self.floors.len();
        let (mean, factor) = (&self.means[k * d..][..d], self.kind.part(&self.factors, k, d));
        match self.kind {
            Covariance::Full | Covariance::Tied => multivariate::draw(mean, factor, rng, point),
            Covariance::Diagonal | Covariance::Spherical => {
                for (j, (place, mean)) in point.iter_mut().zip(mean).enumerate() {
                    *place = mean + factor[j.min(factor.len() - 1)] * crate::random::standard_normal(rng);
                }
            }
        }
        k
    }

    /// ln q(x, k) for every k, as [`em`](crate::em) takes it; −∞ for a point of another dimension or NaN.
    pub fn log_joint(&self, x: &[f64]) -> Vec<f64> {
        let d = self.floors.len();
        let term = |k: usize| {
            let (mean, part) = (&self.means[k * d..][..d], self.kind.part(&self.factors, k, d));
            if x.len() != d || x.iter().any(|x| x.is_nan()) {
                return f64::NEG_INFINITY;
            }
            let mut y: Vec<f64> = x.iter().zip(mean).map(|(x, mean)| x - mean).collect();
            let mut log_det = 0.0;
            for i in 0..d {
                let deviation = match self.kind {
                    Covariance::Full | Covariance::Tied => {
                        let row = &part[i * d..][..=i];
                        y[i] -= row[..i].iter().zip(&y).map(|(l, y)| l * y).sum::<f64>();
                        row[i]
                    }
                    Covariance::Diagonal | Covariance::Spherical => part[i.min(part.len() - 1)],
                };
                y[i] /= deviation;
                log_det += libm::log(deviation);
            }
            let distance: f64 = y.iter().map(|y| y * y).sum();
            let distance = if distance < 1e300 { distance } else { 1e300 };
            libm::log(self.weights[k]) - 0.5 * (d as f64 * LN_2PI + distance) - log_det
        };
        (0..self.weights.len()).map(term).collect()
    }
}

impl Distribution for GaussianMixture {
    type Point<'a> = &'a [f64];

    fn dimension(&self) -> usize {
        self.floors.len()
    }

    fn parameters(&self) -> usize {
        let (k, d) = (self.weights.len(), self.floors.len());
        k - 1 + k * d + self.kind.parameters(k, d)
    }

    fn log_density(&self, x: &[f64]) -> f64 {
        yuragi_numeric::special::log_sum_exp(&self.log_joint(x))
    }

    fn draw<R: Rng + ?Sized>(&self, rng: &mut R, point: &mut [f64]) {
        if let Some(point) = point.get_mut(..self.floors.len()) {
            self.draw_labelled(rng, point);
        }
    }
}

/// What the E step found: N_k = Σᵢ γ_ik, and the points' first and second moments under γ.
#[derive(Clone, Debug)]
pub struct Expected(Moments);

impl Expected {
    /// N_k, which sum to the data's total weight.
    pub fn counts(&self) -> &[f64] {
        &self.0.counts
    }
}

impl GaussianMixture {
    /// The E step.
    pub(super) fn expect(
        &self,
        data: &Data<'_>,
        (team, going): (&dyn Team, Going<'_>),
    ) -> Result<(f64, Expected), Error> {
        let moments = self.pass_while(data, going, |pass| pass.moments(team))?;
        Ok((moments.log_likelihood.value() / data.total_weight(), Expected(moments)))
    }

    /// The M step.
    pub(super) fn maximize(
        &mut self,
        data: &Data<'_>,
        Expected(moments): Expected,
        going: Going<'_>,
    ) -> Result<(), Error> {
        length("a point", data.dimension(), self.floors.len())?;
        let (k, d) = (self.weights.len(), self.floors.len());
        let total: f64 = moments.counts.iter().sum();
        let (mut means, mut shifts) = (self.means.clone(), vec![0.0; k * d]);
        for k in (0..k).filter(|k| moments.counts[*k] > EMPTY * total) {
            for j in 0..d {
                shifts[k * d + j] = moments.first(k, d, j) / moments.counts[k];
                means[k * d + j] += shifts[k * d + j];
            }
        }
        let work = (self.threads, going);
        let spread = self.kind.estimate(&moments, &shifts, &self.covariances, &self.floors, work)?;
        let weights = moments.counts.iter().map(|count| count / total).collect();
        *self = Self::build((self.kind, weights, means), spread, self.floors.clone(), work)?;
        Ok(())
    }
}

impl ExpectationMaximization<Data<'_>> for GaussianMixture {
    type Expectation = Expected;
    type Error = Error;

    fn expectation(&self, data: &Data<'_>) -> Result<(f64, Expected), Error> {
        self.expect(data, (&Single, &|| true))
    }

    /// C_k = N_k/n (with Lagrange's multiplier for Σ C_k = 1), and μ_k and Σ_k as the moments weighted
    /// by γ, Σ_k raised to the [`floors`](Self::floors). Every part maximises the bound, so it never falls, but for what
    /// the floors take.
    fn maximization(&mut self, data: &Data<'_>, expected: Expected) -> Result<(), Error> {
        self.maximize(data, expected, &|| true)
    }
}
