//! From data to a mixture.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use yuragi_numeric::philox::{self, Philox};

use super::covariance::Covariance;
use super::kmeans::Points;
use super::mixture::{Expected, GaussianMixture};
use super::pass::{Moments, hard_moments};
use super::scale::Scale;
use crate::em::{Ascent, End, ExpectationMaximization, Limits, Progress, ascend};
use crate::error::{length, range};
use crate::{Data, Error, Going, Single, Team};

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
    /// The least variance a component may have in any direction, as a share of the data's local variance: see
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

/// What is known of a mixture before it is learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Begin<'a> {
    /// The number of components, which start where [`Options::start`] says.
    Components(usize),
    /// The means (K×d) that components start with: with equal weights and one covariance, that of the points about their
    /// nearest mean. There is nothing to draw, so one start is made.
    Means(&'a [f64]),
}

/// A mixture that was learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The mixture.
    pub mixture: GaussianMixture,
    /// Its ascent. If that was stopped within an iteration, its last bound is that before the iteration.
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
        hook: impl FnMut(usize, Progress) -> ControlFlow<()>,
    ) -> Result<Fitted, Error> {
        Self::fit_while(data, Begin::Components(components), options, &|| true, hook)
    }

    /// [`fit_with`](Self::fit_with), from given means if there are any, as long as `going` gives true: it is asked inside
    /// iterations, too, on any thread, after some 10⁸ operations at the most. What was learned is kept as if the hook had
    /// broken.
    ///
    /// # Errors
    /// Those of [`fit`](Self::fit); means of another dimension or not finite; [`Error::Stopped`] if that was before there
    /// was a mixture.
    ///
    /// ```
    /// use core::ops::ControlFlow;
    /// use yuragi_distributions::{Begin, Data, GaussianMixture, Options};
    /// let points = [-1.1, -0.9, -1.0, 4.0, 4.3, 3.9];
    /// let (data, begin) = (Data::scalars(&points)?, Begin::Means(&[5.0, 0.0]));
    /// let fitted = GaussianMixture::fit_while(&data, begin, &Options::default(), &|| true, |_, _| ControlFlow::Continue(()))?;
    /// assert!(fitted.mixture.means()[0] > 4.0 && fitted.mixture.means()[1] < -0.9);
    /// # Ok::<(), yuragi_distributions::Error>(())
    /// ```
    pub fn fit_while(
        data: &Data<'_>,
        begin: Begin<'_>,
        options: &Options,
        going: Going<'_>,
        hook: impl FnMut(usize, Progress) -> ControlFlow<()>,
    ) -> Result<Fitted, Error> {
        Self::fit_on(&Single, data, begin, options, going, hook)
    }

    /// [`fit_while`](Self::fit_while) by a team of processes, all of which have all data: they share the sums over points of
    /// every E step, and end with the same bits as one process. What is drawn and Lloyd's iterations are everyone's own.
    /// `going` and `hook` must tell all of them the same.
    ///
    /// # Errors
    /// Those of [`fit_while`](Self::fit_while), or a process that is gone.
    pub fn fit_on(
        team: &dyn Team,
        data: &Data<'_>,
        begin: Begin<'_>,
        options: &Options,
        going: Going<'_>,
        mut hook: impl FnMut(usize, Progress) -> ControlFlow<()>,
    ) -> Result<Fitted, Error> {
        let d = data.dimension();
        let components = match begin {
            Begin::Components(components) => components,
            Begin::Means(means) => {
                length("the last mean", means.len() % d, 0)?;
                for mean in means {
                    range("a mean", *mean, mean.abs() < crate::data::LIMIT, "finite and below 1e140 in size")?;
                }
                means.len() / d
            }
        };
        let legal = (1..=data.len()).contains(&components);
        range("the number of components", components as f64, legal, "from 1 to the number of points")?;
        range("the number of restarts", options.restarts as f64, options.restarts >= 1, "at least 1")?;
        let scale = Scale::of(data, going)?;
        let floors = scale.floors(options.floor)?;
        // About a point of their own, so that an offset takes no places of differences.
        let centred: Vec<f64> =
            data.rows().flat_map(|row| row.iter().zip(&scale.centres).map(|(x, c)| x - c)).collect();
        let data = data.moved(&centred);
        let points = Points::new(&data);
        let mut best: Option<Fitted> = None;
        let restarts = if matches!(begin, Begin::Means(_)) { 1 } else { options.restarts };
        for restart in 0..restarts {
            let started = match begin {
                Begin::Means(means) => {
                    let means: Vec<f64> = means.iter().enumerate().map(|(i, x)| x - scale.centres[i % d]).collect();
                    given(&points, &data, means, &floors, options, (team, going))
                }
                Begin::Components(_) => {
                    let mut rng = Philox::new(philox::key(options.seed), restart as u32);
                    drawn(&points, &data, components, &floors, options, &mut rng, (team, going))
                }
            };
            let mut watched = match started {
                Err(Error::Stopped) => break,
                started => Watched { mixture: started?, team, going },
            };
            let mut bounds = Vec::new();
            let ascent = ascend(&mut watched, &data, &options.limits, |progress| {
                bounds.push(progress.bound);
                hook(restart, progress)
            });
            let ascent = match ascent {
                Err(Error::Stopped) if bounds.is_empty() => break,
                Err(Error::Stopped) => Ascent { bounds, end: End::Cancelled },
                ascent => ascent?,
            };
            let cancelled = ascent.end == End::Cancelled;
            if best.as_ref().is_none_or(|best| ascent.bound() > best.ascent.bound()) {
                best = Some(Fitted { mixture: watched.mixture, ascent, restart });
            }
            if cancelled {
                break;
            }
        }
        let mut best = best.ok_or(Error::Stopped)?;
        best.mixture.shift(&scale.centres);
        Ok(best)
    }

    /// Sets [`floors`](Self::floors) to `share` of the local variance of every coordinate of the data: what the densest
    /// tenth of windows of √n neighbouring values would make of all, or the whole variance if that is smaller. It does
    /// not depend on distances between clusters or on outliers. A coordinate that is constant in the data takes part with
    /// the least variance of the others, or with 1.
    ///
    /// # Errors
    /// Data of another dimension, or a share outside [0, 1].
    pub fn set_floors(&mut self, data: &Data<'_>, share: f64) -> Result<(), Error> {
        length("a point", data.dimension(), self.floors().len())?;
        self.replace_floors(Scale::of(data, &|| true)?.floors(share)?);
        Ok(())
    }
}

/// A mixture whose steps can be stopped.
struct Watched<'a> {
    mixture: GaussianMixture,
    team: &'a dyn Team,
    going: Going<'a>,
}

impl ExpectationMaximization<Data<'_>> for Watched<'_> {
    type Expectation = Expected;
    type Error = Error;

    fn expectation(&self, data: &Data<'_>) -> Result<(f64, Expected), Error> {
        self.mixture.expect(data, (self.team, self.going))
    }

    fn maximization(&mut self, data: &Data<'_>, expected: Expected) -> Result<(), Error> {
        self.mixture.maximize(data, expected, self.going)
    }
}

/// The mixture of clusters about seeds that are drawn.
fn drawn(
    points: &Points<'_>,
    data: &Data<'_>,
    components: usize,
    floors: &[f64],
    options: &Options,
    rng: &mut Philox,
    (team, going): (&dyn Team, Going<'_>),
) -> Result<GaussianMixture, Error> {
    let mut centres = points.seeds(components, rng, going)?;
    let iterations = if options.start == Start::KMeans { LLOYD } else { 0 };
    let labels = points.lloyd(&mut centres, iterations, going)?;
    let mut means = points.restored(&centres);
    // Means first, then moments about them: those about a rounded centre of few points far away are lost in rounding.
    let d = floors.len();
    let diagonal = Options { covariance: Covariance::Diagonal, ..*options };
    let rough = moments_of(points, data, &labels, &means, &diagonal, (team, going))?;
    means.iter_mut().zip(shifts(&rough, d)).for_each(|(mean, shift)| *mean += shift);
    let moments = moments_of(points, data, &labels, &means, options, (team, going))?;
    let shifts = shifts(&moments, d);
    means.iter_mut().zip(&shifts).for_each(|(mean, shift)| *mean += shift);
    let total: f64 = moments.counts.iter().sum();
    let weights = moments.counts.iter().map(|count| count / total).collect();
    let kind = options.covariance;
    let spare = spare(kind, components, floors);
    let spread = kind.estimate(&moments, &shifts, &spare, floors, (options.threads, going))?;
    GaussianMixture::build((kind, weights, means), spread, floors.to_vec(), (options.threads, going))
}

/// The mixture with these means, and with the covariance of points about their nearest.
fn given(
    points: &Points<'_>,
    data: &Data<'_>,
    means: Vec<f64>,
    floors: &[f64],
    options: &Options,
    (team, going): (&dyn Team, Going<'_>),
) -> Result<GaussianMixture, Error> {
    let (d, kind) = (floors.len(), options.covariance);
    let k = means.len() / d;
    let labels = points.lloyd(&mut points.standardized(&means), 0, going)?;
    let moments = moments_of(points, data, &labels, &means, options, (team, going))?.pooled(d);
    let work = (options.threads, going);
    let spread = kind.estimate(&moments, &vec![0.0; d], &spare(kind, 1, floors), floors, work)?.repeated(kind, k);
    GaussianMixture::build((kind, vec![1.0 / k as f64; k], means), spread, floors.to_vec(), work)
}

/// The moments about `means` when every point belongs to one component alone.
fn moments_of(
    points: &Points<'_>,
    data: &Data<'_>,
    labels: &[usize],
    means: &[f64],
    options: &Options,
    (team, going): (&dyn Team, Going<'_>),
) -> Result<Moments, Error> {
    let full = matches!(options.covariance, Covariance::Full | Covariance::Tied);
    let filled: Vec<f64>;
    let data = if data.has_missing() {
        filled = (0..data.len()).flat_map(|i| points.original(i)).collect();
        &data.filled(&filled)
    } else {
        data
    };
    hard_moments(data, labels, means, full, (options.threads, team, going))
}

/// The new means minus those that moments are about; 0 without points.
fn shifts(moments: &Moments, d: usize) -> Vec<f64> {
    let mut shifts = vec![0.0; moments.counts.len() * d];
    for (k, count) in moments.counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
        (0..d).for_each(|j| shifts[k * d + j] = moments.first(k, d, j) / count);
    }
    shifts
}

/// The covariances of components without points.
fn spare(kind: Covariance, k: usize, floors: &[f64]) -> Vec<f64> {
    let d = floors.len();
    let value = |place: usize| {
        let (row, column) = (place / d % d, place % d);
        match kind {
            Covariance::Full | Covariance::Tied if row != column => 0.0,
            Covariance::Spherical => 1.0,
            _ => floors[column].max(1e-200),
        }
    };
    (0..kind.len(k, d)).map(value).collect()
}
