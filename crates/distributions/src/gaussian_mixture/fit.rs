//! From data to a mixture.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use yuragi_numeric::philox::{self, Philox};

use super::kmeans::Points;
use super::pass::Moments;
use super::{Covariance, GaussianMixture, floors};
use crate::em::{Ascent, End, Limits, Progress, ascend};
use crate::error::range;
use crate::{Data, Error};

/// At most so many of Lloyd's iterations before EM takes over.
const LLOYD: usize = 30;

/// How a mixture is learned.
///
/// ```
/// use yuragi_distributions::{Covariance, Options, em::Limits};
/// let options = Options {
///     covariance: Covariance::Diagonal,
///     restarts: 5,
///     limits: Limits { iterations: 200, tolerance: 1e-6 },
///     ..Options::default()
/// };
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// What the covariances may be; full by default.
    pub covariance: Covariance,
    /// Where components start; k-means by default.
    pub start: Start,
    /// How many starts are tried, the best result being kept; 1 by default.
    pub restarts: usize,
    /// Equal seeds give equal results; 0 by default.
    pub seed: u64,
    /// The least variance a component may have in any direction, as a share of the data's: see
    /// [`GaussianMixture::set_floors`]. 10⁻⁶ by default. With 0, a component that collapses is an error.
    pub floor: f64,
    /// When to stop; by default after 100 iterations, or when one adds less than 10⁻³ nats a point.
    pub limits: Limits,
    /// Threads, with the feature `std`; results do not depend on it. 1 by default.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            covariance: Covariance::Full,
            start: Start::KMeans,
            restarts: 1,
            seed: 0,
            floor: 1e-6,
            limits: Limits::default(),
            threads: 1,
        }
    }
}

/// Where components start. Distances are measured in units of each coordinate's standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// k-means++, then Lloyd's iterations.
    KMeans,
    /// k-means++ alone: every point belongs to its nearest seed.
    KMeansPlusPlus,
}

/// A mixture that was learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The mixture.
    pub mixture: GaussianMixture,
    /// Its ascent.
    pub ascent: Ascent,
    /// Which of the restarts it came from, counted from 0.
    pub restart: usize,
}

impl GaussianMixture {
    /// Learns `components` components by EM.
    ///
    /// Components that start with no point (when fewer points differ than there are components) have
    /// the weight 0 and stay out.
    ///
    /// # Errors
    /// No component or more than points, no restart, a floor outside [0, 1], or, with a floor of 0 or
    /// one lost in rounding, a covariance that becomes singular.
    pub fn fit(data: &Data<'_>, components: usize, options: &Options) -> Result<Fitted, Error> {
        Self::fit_with(data, components, options, |_, _| ControlFlow::Continue(()))
    }

    /// [`fit`](Self::fit), telling `hook` the restart and its progress before every iteration and after the
    /// last. [`ControlFlow::Break`] ends all: the best mixture so far is returned, with
    /// [`End::Cancelled`] if it is the one that was interrupted.
    ///
    /// # Errors
    /// Those of [`fit`](Self::fit).
    pub fn fit_with(
        data: &Data<'_>,
        components: usize,
        options: &Options,
        mut hook: impl FnMut(usize, Progress) -> ControlFlow<()>,
    ) -> Result<Fitted, Error> {
        let legal = (1..=data.len()).contains(&components);
        range("the number of components", components as f64, legal, "from 1 to the number of points")?;
        range("the number of restarts", options.restarts as f64, options.restarts >= 1, "at least 1")?;
        let floors = floors(data, options.floor)?;
        let points = Points::new(data);
        let mut best: Option<Fitted> = None;
        for restart in 0..options.restarts {
            let mut rng = Philox::new(philox::key(options.seed), restart as u32);
            let mut centres = points.seeds(components, &mut rng);
            let iterations = if options.start == Start::KMeans { LLOYD } else { 0 };
            let labels = points.lloyd(&mut centres, iterations);
            let means = points.restored(&centres);
            let moments = hard_moments(&points, data, &labels, &means, options.covariance);
            let mut mixture = start(&moments, means, &floors, options)?;
            let ascent = ascend(&mut mixture, data, &options.limits, |progress| hook(restart, progress))?;
            let cancelled = ascent.end == End::Cancelled;
            if best.as_ref().is_none_or(|best| ascent.bound() > best.ascent.bound()) {
                best = Some(Fitted { mixture, ascent, restart });
            }
            if cancelled {
                break;
            }
        }
        best.ok_or(Error::Degenerate { what: "the mixture", why: "no start was made" })
    }
}

/// The moments about `means` when every point belongs to one component alone.
fn hard_moments(points: &Points<'_>, data: &Data<'_>, labels: &[usize], means: &[f64], kind: Covariance) -> Moments {
    let d = data.dimension();
    let full = matches!(kind, Covariance::Full | Covariance::Tied);
    let mut moments = Moments::zero(means.len() / d, d, full);
    let mut z = vec![0.0; d];
    for (i, label) in labels.iter().enumerate() {
        let weight = data.weight(i);
        let mean = &means[label * d..][..d];
        z.iter_mut().zip(points.original(i)).zip(mean).for_each(|((z, x), mean)| *z = x - mean);
        moments.counts[*label] += weight;
        for (i, zi) in z.iter().enumerate() {
            moments.add_first(*label, d, i, weight * zi);
            for (j, zj) in z[..=i].iter().enumerate().skip(if full { 0 } else { i }) {
                moments.second.add(*label, d, i, j, weight * zi * zj);
            }
        }
    }
    moments
}

/// The mixture of these moments; a component without points takes the covariance of all.
fn start(moments: &Moments, mut means: Vec<f64>, floors: &[f64], options: &Options) -> Result<GaussianMixture, Error> {
    let (d, kind) = (floors.len(), options.covariance);
    let k = moments.counts.len();
    let mut shifts = vec![0.0; k * d];
    for (k, count) in moments.counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
        for j in 0..d {
            shifts[k * d + j] = moments.first(k, d, j) / count;
            means[k * d + j] += shifts[k * d + j];
        }
    }
    let mut spare = vec![0.0; kind.len(k, d)];
    for (place, value) in spare.iter_mut().enumerate() {
        let (row, column) = (place / d % d, place % d);
        *value = match kind {
            Covariance::Full | Covariance::Tied if row != column => 0.0,
            Covariance::Spherical => 1.0,
            _ => floors[column].max(1e-200),
        };
    }
    let covariances = kind.estimate(moments, &shifts, &spare, floors)?;
    let total: f64 = moments.counts.iter().sum();
    let weights = moments.counts.iter().map(|count| count / total).collect();
    GaussianMixture::build(kind, weights, means, covariances, floors.to_vec(), options.threads)
}
