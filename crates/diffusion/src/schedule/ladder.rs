//! Ladders of noise levels.

use super::{Clock, Point, Sde, Spacing};
use crate::error::{Error, range};
use alloc::vec::Vec;

/// The coordinate in which a sampler of higher order takes the path to be
/// straight, if it is one that can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinate {
    /// σ/α, with x/α (Karras et al. 2022): variance preserving or exploding.
    Sigma,
    /// σ/(α+σ), with x/(α+σ): flow matching; defined at α = 0, too.
    Flow,
}

/// What a network reads of the state, and in which terms it answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input {
    /// The state as it is: x = α·x₀ + σ·ε.
    Plain,
    /// The state over √(α²s² + σ²), which has unit variance if the data have
    /// the standard deviation s. The network answers for data over s and for
    /// α, σ of unit variance (Karras et al. 2022; `EulerDiscreteScheduler`
    /// and its kin with s = 1).
    Scaled {
        /// The data's standard deviation s.
        data: f64,
    },
}

impl Input {
    /// The factor between the state and what the network reads; the factor
    /// between data and what it takes data to be; its own point.
    pub(crate) fn frame(self, at: Point) -> (f64, f64, Point) {
        match self {
            Self::Plain => (1.0, 1.0, at),
            Self::Scaled { data } => {
                let size = libm::hypot(at.alpha * data, at.sigma);
                (1.0 / size, data, Point { alpha: at.alpha * data / size, sigma: at.sigma / size, ..at })
            }
        }
    }
}

/// The noise levels that a sampler visits, noisiest first: `steps() + 1`
/// points, between which it takes `steps()` steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Ladder {
    points: Vec<Point>,
    /// Where the steps end, if not at the next point.
    ends: Vec<Point>,
    /// The first point that is visited.
    first: usize,
    coordinate: Coordinate,
    input: Input,
    clock: Clock,
    /// The standard deviation of the noise to begin from.
    start: f64,
}

impl Ladder {
    /// A ladder through `points`.
    ///
    /// # Errors
    /// Fewer than two points, a coefficient that is negative or not finite, or
    /// α/σ not strictly increasing (so that α may be 0 only at the first point
    /// and σ only at the last).
    pub fn new(points: impl IntoIterator<Item = Point>, coordinate: Coordinate) -> Result<Self, Error> {
        let points: Vec<Point> = points.into_iter().collect();
        range("the number of points", points.len() as f64, points.len() >= 2, "at least 2")?;
        for point in &points {
            for (what, value) in [("alpha", point.alpha), ("sigma", point.sigma)] {
                range(what, value, value >= 0.0 && value.is_finite(), "finite and at least 0")?;
            }
        }
        for pair in points.windows(2) {
            let rises = pair[1].alpha * pair[0].sigma > pair[0].alpha * pair[1].sigma;
            range("sigma", pair[1].sigma, rises, "such that alpha/sigma increases from point to point")?;
        }
        let start = libm::hypot(points[0].alpha, points[0].sigma);
        Ok(Self { points, ends: Vec::new(), first: 0, coordinate, input: Input::Plain, clock: Clock::Points, start })
    }

    /// Karras et al. 2022, equation 5: α = 1 and equal steps of σ^(1/ρ) from
    /// `sigma_max` to `sigma_min`, then 0; time = σ. EDM takes 0.002, 80, 7.
    ///
    /// ```
    /// let ladder = yuragi_diffusion::Ladder::karras(18, 0.002, 80.0, 7.0)?;
    /// assert_eq!(ladder.points()[0].sigma, 80.0);
    /// # Ok::<(), yuragi_diffusion::Error>(())
    /// ```
    ///
    /// # Errors
    /// No steps, or not 0 < `sigma_min` < `sigma_max` or 0 < `rho`, all finite.
    pub fn karras(steps: usize, sigma_min: f64, sigma_max: f64, rho: f64) -> Result<Self, Error> {
        Self::exploding(steps, sigma_min, sigma_max, Spacing::Karras { rho })
    }

    /// α = 1 and σ from `sigma_max` to `sigma_min`, then 0; time = σ.
    /// Spacings of timesteps take σ in equal steps.
    ///
    /// # Errors
    /// No steps, or not 0 < `sigma_min` < `sigma_max`, all finite; or numbers
    /// of the spacing outside their range.
    pub fn exploding(steps: usize, sigma_min: f64, sigma_max: f64, spacing: Spacing) -> Result<Self, Error> {
        let values = match spacing.values(steps, sigma_min, sigma_max)? {
            Some(values) => values,
            None => super::linspace(sigma_max, sigma_min, steps).collect(),
        };
        let points = values.into_iter().map(|sigma| Point { time: sigma, alpha: 1.0, sigma });
        Ok(Self::new(points.chain([Point::CLEAN]), Coordinate::Sigma)?.with_clock(Clock::Ratio))
    }

    /// Elucidated diffusion (Karras et al. 2022): [`karras`](Self::karras)
    /// with the paper's preconditioning for data of standard deviation
    /// `data`. The network reads x·c_in and time ¼ ln σ, and answers
    /// [`Prediction::Edm`](crate::Prediction::Edm), so that
    /// D = c_skip·x + c_out·F.
    ///
    /// # Errors
    /// As [`karras`](Self::karras); `data` not positive and finite.
    pub fn edm(steps: usize, sigma_min: f64, sigma_max: f64, rho: f64, data: f64) -> Result<Self, Error> {
        range("the data's deviation", data, data > 0.0 && data.is_finite(), "positive and finite")?;
        let mut ladder = Self::karras(steps, sigma_min, sigma_max, rho)?;
        ladder.points.iter_mut().filter(|p| p.sigma > 0.0).for_each(|p| p.time = 0.25 * libm::log(p.sigma));
        Ok(ladder.with_clock(Clock::QuarterLog).with_input(Input::Scaled { data }))
    }

    /// Rectified flow (Liu et al. 2022; Lipman et al. 2022): α = 1 − t and
    /// σ = t, from t = 1 to t = 0 in equal steps that `shift` s bends to
    /// s·t/(1 + (s−1)·t) (Esser et al. 2024); 1 bends nothing.
    ///
    /// ```
    /// let ladder = yuragi_diffusion::Ladder::flow(4, 3.0)?;
    /// assert_eq!(ladder.points()[2].sigma, 0.75);
    /// # Ok::<(), yuragi_diffusion::Error>(())
    /// ```
    ///
    /// # Errors
    /// No steps, or a shift that is not positive and finite.
    pub fn flow(steps: usize, shift: f64) -> Result<Self, Error> {
        range("the number of steps", steps as f64, steps >= 1, "at least 1")?;
        let times = (0..=steps).map(|i| 1.0 - i as f64 / steps as f64);
        Self::flow_times(times, shift)
    }

    /// The same with t itself spaced from 1 to 1/1000, then 0; spacings of
    /// timesteps are those of [`flow`](Self::flow).
    ///
    /// # Errors
    /// As [`flow`](Self::flow), or numbers of the spacing outside their range.
    pub fn flow_spaced(steps: usize, shift: f64, spacing: Spacing) -> Result<Self, Error> {
        match spacing.values(steps, 1e-3, 1.0)? {
            Some(times) => Self::flow_times(times.into_iter().chain([0.0]), shift),
            None => Self::flow(steps, shift),
        }
    }

    fn flow_times(times: impl Iterator<Item = f64>, shift: f64) -> Result<Self, Error> {
        range("the shift", shift, shift > 0.0 && shift.is_finite(), "positive and finite")?;
        let points = times.map(|t| {
            let t = shift * t / (1.0 + (shift - 1.0) * t);
            Point { time: t, alpha: 1.0 - t, sigma: t }
        });
        Ok(Self::new(points, Coordinate::Flow)?.with_clock(Clock::Share(1.0)))
    }

    /// The same ladder for a network that reads `input`.
    pub fn with_input(self, input: Input) -> Self {
        Self { input, ..self }
    }

    pub(crate) fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The same with noise of this standard deviation to begin from.
    pub(crate) fn with_start(self, start: f64) -> Self {
        Self { start, ..self }
    }

    /// The same with steps that do not end where the next one begins.
    pub(crate) fn with_ends(self, ends: Vec<Point>) -> Self {
        Self { ends, ..self }
    }

    /// A ladder whose last two points may have the same noise, as those of
    /// some of diffusers' schedules have, within single precision.
    pub(crate) fn with_repeated_end(mut points: Vec<Point>, coordinate: Coordinate) -> Result<Self, Error> {
        let repeated = match points[..] {
            [.., a, b] => libm::fabs(a.ratio() - b.ratio()) <= 1e-6 * a.ratio(),
            _ => false,
        };
        let Some(last) = points.pop_if(|_| repeated) else {
            return Self::new(points, coordinate);
        };
        let before = points[points.len() - 1];
        let mut ladder = Self::new(points.into_iter().chain([Point::CLEAN]), coordinate)?;
        let end = ladder.points.len() - 1;
        ladder.points[end] = Point { time: last.time, ..before };
        Ok(ladder)
    }

    /// The noise levels, noisiest first.
    pub fn points(&self) -> &[Point] {
        &self.points[self.first..]
    }

    /// The coordinate of second-order samplers.
    pub fn coordinate(&self) -> Coordinate {
        self.coordinate
    }

    /// What the network reads.
    pub fn input(&self) -> Input {
        self.input
    }

    /// The standard deviation of the noise to begin from: √(α² + σ²) of the
    /// first point, which data of unit variance have there, unless a schedule
    /// says otherwise.
    pub fn start(&self) -> f64 {
        self.start
    }

    /// The number of steps: one less than the points.
    pub fn steps(&self) -> usize {
        self.points.len() - 1 - self.first
    }

    /// The last `steps` steps alone, for a picture that is already there
    /// (diffuse it to the first [`request`](crate::Sampler::request) with
    /// [`forward::perturb`](crate::forward::perturb)).
    ///
    /// # Errors
    /// `steps` outside 1 ..= `self.steps()`.
    pub fn tail(&self, steps: usize) -> Result<Self, Error> {
        let legal = (1..=self.steps()).contains(&steps);
        range("the number of steps", steps as f64, legal, "from 1 to the ladder's steps")?;
        let mut tail = self.clone();
        tail.first = self.points.len() - 1 - steps;
        let at = tail.points()[0];
        tail.start = libm::hypot(at.alpha, at.sigma);
        Ok(tail)
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// All points, also those before the first that is visited, and its place.
    pub(crate) fn whole(&self) -> (&[Point], usize) {
        (&self.points, self.first)
    }

    /// Where a step begins and ends; steps count from the whole ladder's first.
    pub(crate) fn step(&self, i: usize) -> (Point, Point) {
        (self.points[i], self.ends.get(i).copied().unwrap_or(self.points[i + 1]))
    }

    /// The places of the steps to be taken, in the whole ladder.
    pub(crate) fn places(&self) -> core::ops::Range<usize> {
        self.first..self.points.len() - 1
    }
}

impl Sde {
    /// A ladder of equal steps in t from 1 to `end`.
    ///
    /// # Errors
    /// No steps, `end` outside \[0, 1), or parameters that are not positive
    /// and increasing.
    pub fn ladder(self, steps: usize, end: f64) -> Result<Ladder, Error> {
        range("the number of steps", steps as f64, steps >= 1, "at least 1")?;
        range("the end", end, (0.0..1.0).contains(&end), "in [0, 1)")?;
        let points = (0..=steps).map(|i| self.point(1.0 - (1.0 - end) * (i as f64 / steps as f64)));
        Ok(Ladder::new(points, Coordinate::Sigma)?.with_clock(Clock::Process(self)))
    }
}
