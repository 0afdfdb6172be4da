//! Noise schedules, and the ladders of noise levels that samplers walk down.

use crate::error::{Error, range};
use alloc::vec::Vec;
use core::f64::consts::FRAC_PI_2;

/// One noise level: `x = alpha·x₀ + sigma·ε`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// What the network is told: the timestep of a discrete schedule, σ on a
    /// Karras ladder, t ∈ \[0, 1\] in flow matching.
    pub time: f64,
    /// The signal's coefficient α ≥ 0.
    pub alpha: f64,
    /// The noise's standard deviation σ ≥ 0.
    pub sigma: f64,
}

impl Point {
    /// The signal-to-noise ratio α²/σ².
    pub fn snr(self) -> f64 {
        let ratio = self.alpha / self.sigma;
        ratio * ratio
    }

    /// λ = ln(α/σ), half the log-SNR.
    pub fn lambda(self) -> f64 {
        libm::log(self.alpha / self.sigma)
    }
}

/// A discrete variance-preserving process: `z_t = √(1−β_t)·z_{t−1} + √β_t·ε`
/// for t = 0 … T−1, hence α² = ᾱ_t = Π(1−β) and σ² = 1 − ᾱ_t.
#[derive(Clone, Debug, PartialEq)]
pub struct Discrete {
    betas: Vec<f64>,
    alpha_bars: Vec<f64>,
}

impl Discrete {
    /// β from `start` to `end` in equal steps (Ho et al. 2020: 1000 steps from
    /// 1e-4 to 0.02).
    ///
    /// # Errors
    /// No steps, or a β outside (0, 1).
    pub fn linear(steps: usize, start: f64, end: f64) -> Result<Self, Error> {
        Self::from_betas(linspace(start, end, steps))
    }

    /// √β in equal steps (Stable Diffusion: 1000 steps from 0.00085 to 0.012).
    ///
    /// # Errors
    /// No steps, or a β outside (0, 1).
    pub fn scaled_linear(steps: usize, start: f64, end: f64) -> Result<Self, Error> {
        for (what, beta) in [("the first beta", start), ("the last beta", end)] {
            range(what, beta, beta > 0.0 && beta < 1.0, "in (0, 1)")?;
        }
        let roots = linspace(libm::sqrt(start), libm::sqrt(end), steps);
        Self::from_betas(roots.map(|root| root * root))
    }

    /// ᾱ ∝ cos²(π/2·(t/T + s)/(1 + s)), s = 0.008, β at most 0.999 (Nichol and
    /// Dhariwal 2021).
    ///
    /// # Errors
    /// No steps.
    pub fn cosine(steps: usize) -> Result<Self, Error> {
        let alpha_bar = |t: usize| {
            let cos = libm::cos((t as f64 / steps as f64 + 0.008) / 1.008 * FRAC_PI_2);
            cos * cos
        };
        Self::from_betas((0..steps).map(|t| (1.0 - alpha_bar(t + 1) / alpha_bar(t)).min(0.999)))
    }

    /// Any β₀ … β_{T−1}.
    ///
    /// # Errors
    /// No β, or a β outside (0, 1).
    pub fn from_betas(betas: impl IntoIterator<Item = f64>) -> Result<Self, Error> {
        let betas: Vec<f64> = betas.into_iter().collect();
        range("the number of timesteps", 0.0, !betas.is_empty(), "at least 1")?;
        let mut alpha_bar = 1.0;
        let alpha_bars = betas
            .iter()
            .map(|&beta| {
                range("beta", beta, beta > 0.0 && beta < 1.0, "in (0, 1)")?;
                alpha_bar *= 1.0 - beta;
                Ok(alpha_bar)
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self { betas, alpha_bars })
    }

    /// β_t, one for every timestep.
    pub fn betas(&self) -> &[f64] {
        &self.betas
    }

    /// ᾱ_t, one for every timestep, strictly decreasing.
    pub fn alpha_bars(&self) -> &[f64] {
        &self.alpha_bars
    }

    /// The noise level of timestep `t`, if there is one.
    pub fn point(&self, t: usize) -> Option<Point> {
        let alpha_bar = *self.alpha_bars.get(t)?;
        Some(Point { time: t as f64, alpha: libm::sqrt(alpha_bar), sigma: libm::sqrt(1.0 - alpha_bar) })
    }

    /// A ladder of `steps` timesteps and the clean end.
    ///
    /// # Errors
    /// `steps` outside 1 ..= T.
    pub fn ladder(&self, steps: usize, spacing: Spacing) -> Result<Ladder, Error> {
        let total = self.betas.len();
        range("the number of steps", steps as f64, (1..=total).contains(&steps), "from 1 to the schedule's timesteps")?;
        let (total_f, last) = (total as f64, total - 1);
        let share = |i: usize| i as f64 / steps as f64;
        let points: Vec<Point> = match spacing {
            Spacing::Trailing => {
                (0..steps).filter_map(|i| self.point(libm::rint(total_f - total_f * share(i)) as usize - 1)).collect()
            }
            Spacing::Leading { offset } => {
                let room = last - (total / steps) * (steps - 1);
                range("the offset", offset as f64, offset <= room, "small enough to stay within the schedule")?;
                (0..steps).rev().filter_map(|i| self.point((total / steps) * i + offset)).collect()
            }
            Spacing::Linspace => {
                linspace(last as f64, 0.0, steps).filter_map(|t| self.point(libm::rint(t) as usize)).collect()
            }
            Spacing::Karras { rho } => {
                let sigma = |t: usize| {
                    let alpha_bar = self.alpha_bars[t];
                    libm::sqrt((1.0 - alpha_bar) / alpha_bar)
                };
                karras_sigmas(steps, sigma(0), sigma(last), rho)?.map(|sigma| self.at_noise_to_signal(sigma)).collect()
            }
        };
        Ladder::new(points.into_iter().chain([CLEAN]), Coordinate::Sigma)
    }

    /// The point with σ/α = `ratio`; its timestep lies between the two whose
    /// logarithms of σ/α enclose it.
    fn at_noise_to_signal(&self, ratio: f64) -> Point {
        let log = |t: usize| 0.5 * libm::log(1.0 / self.alpha_bars[t] - 1.0);
        let target = libm::log(ratio);
        let above = self.alpha_bars.partition_point(|&a| 0.5 * libm::log(1.0 / a - 1.0) < target);
        let time = match above {
            0 => 0.0,
            t if t == self.alpha_bars.len() => (t - 1) as f64,
            t => (t - 1) as f64 + (target - log(t - 1)) / (log(t) - log(t - 1)),
        };
        let alpha = 1.0 / libm::sqrt(1.0 + ratio * ratio);
        Point { time, alpha, sigma: ratio * alpha }
    }
}

/// Which timesteps of a discrete schedule a shorter ladder visits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spacing {
    /// Equal steps that end at the last timestep (Lin et al. 2023).
    Trailing,
    /// Equal whole steps that begin at `offset` (the original DDIM; Stable
    /// Diffusion takes offset 1).
    Leading {
        /// The first timestep.
        offset: usize,
    },
    /// Equal steps with both ends, rounded.
    Linspace,
    /// Karras et al. 2022: equal steps of (σ/α)^(1/ρ); fractional timesteps.
    Karras {
        /// The exponent ρ, commonly 7.
        rho: f64,
    },
}

/// The coordinate in which a second-order sampler takes the path to be
/// straight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinate {
    /// σ/α, with x/α (Karras et al. 2022): variance preserving or exploding.
    Sigma,
    /// σ/(α+σ), with x/(α+σ): flow matching; defined at α = 0, too.
    Flow,
}

/// The end of most ladders: data without noise.
const CLEAN: Point = Point { time: 0.0, alpha: 1.0, sigma: 0.0 };

/// The noise levels that a sampler visits, noisiest first: `steps() + 1`
/// points, between which it takes `steps()` steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Ladder {
    points: Vec<Point>,
    coordinate: Coordinate,
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
        Ok(Self { points, coordinate })
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
        let sigmas = karras_sigmas(steps, sigma_min, sigma_max, rho)?;
        let points = sigmas.map(|sigma| Point { time: sigma, alpha: 1.0, sigma });
        Self::new(points.chain([CLEAN]), Coordinate::Sigma)
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
        range("the shift", shift, shift > 0.0 && shift.is_finite(), "positive and finite")?;
        let points = (0..=steps).map(|i| {
            let t = 1.0 - i as f64 / steps as f64;
            let t = shift * t / (1.0 + (shift - 1.0) * t);
            Point { time: t, alpha: 1.0 - t, sigma: t }
        });
        Self::new(points, Coordinate::Flow)
    }

    /// The noise levels, noisiest first.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The coordinate of second-order samplers.
    pub fn coordinate(&self) -> Coordinate {
        self.coordinate
    }

    /// The number of steps: one less than the points.
    pub fn steps(&self) -> usize {
        self.points.len() - 1
    }

    /// The last `steps` steps alone, for a picture that is already there
    /// (diffuse it to the first point with [`forward::perturb`](crate::forward::perturb)).
    ///
    /// # Errors
    /// `steps` outside 1 ..= `self.steps()`.
    pub fn tail(&self, steps: usize) -> Result<Self, Error> {
        let legal = (1..=self.steps()).contains(&steps);
        range("the number of steps", steps as f64, legal, "from 1 to the ladder's steps")?;
        Ok(Self { points: self.points[self.steps() - steps..].to_vec(), ..*self })
    }
}

/// `n` values from `start` to `end`, both included; only `start` if n = 1.
fn linspace(start: f64, end: f64, n: usize) -> impl Iterator<Item = f64> {
    (0..n).map(move |i| if i == 0 { start } else { start + (end - start) * (i as f64 / (n - 1) as f64) })
}

fn karras_sigmas(steps: usize, min: f64, max: f64, rho: f64) -> Result<impl Iterator<Item = f64>, Error> {
    range("the number of steps", steps as f64, steps >= 1, "at least 1")?;
    range("sigma_min", min, min > 0.0, "positive")?;
    range("sigma_max", max, max > min && max.is_finite(), "finite and above sigma_min")?;
    range("rho", rho, rho > 0.0 && rho.is_finite(), "positive and finite")?;
    let root = move |sigma| libm::pow(sigma, 1.0 / rho);
    let roots = linspace(root(max), root(min), steps);
    Ok(roots.enumerate().map(move |(i, root)| if i == 0 { max } else { libm::pow(root, rho) }))
}
