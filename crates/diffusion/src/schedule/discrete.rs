//! Discrete variance-preserving processes.

use super::{Clock, Coordinate, Ladder, Point, Spacing, clock::timestep, linspace};
use crate::error::{Error, range};
use alloc::vec::Vec;
use core::f64::consts::FRAC_PI_2;

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
        Self::from_alpha_bar(steps, |t| {
            let cos = libm::cos((t + 0.008) / 1.008 * FRAC_PI_2);
            cos * cos
        })
    }

    /// ᾱ(t/T) of any falling function of \[0, 1\], β at most 0.999.
    ///
    /// # Errors
    /// No steps, or a function that does not fall.
    pub fn from_alpha_bar(steps: usize, alpha_bar: impl Fn(f64) -> f64) -> Result<Self, Error> {
        let at = |t: usize| alpha_bar(t as f64 / steps as f64);
        Self::from_betas((0..steps).map(|t| (1.0 - at(t + 1) / at(t)).min(0.999)))
    }

    /// β = `start` + (`end` − `start`)·sigmoid, from −6 to 6 in equal steps
    /// (GeoDiff).
    ///
    /// # Errors
    /// No steps, or a β outside (0, 1).
    pub fn sigmoid(steps: usize, start: f64, end: f64) -> Result<Self, Error> {
        Self::from_betas(linspace(-6.0, 6.0, steps).map(|x| start + (end - start) / (1.0 + libm::exp(-x))))
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

    /// The schedule with the last timestep's signal taken away: √ᾱ is moved
    /// and stretched so that it ends at 0 and begins where it did (Lin et al.
    /// 2023, algorithm 1). Its network must not predict ε, which says nothing
    /// where there is no signal.
    ///
    /// # Errors
    /// Fewer than two timesteps.
    pub fn zero_terminal_snr(&self) -> Result<Self, Error> {
        let (n, roots) = (self.betas.len(), self.alpha_bars.iter().map(|a| libm::sqrt(*a)));
        range("the number of timesteps", n as f64, n >= 2, "at least 2")?;
        let (first, last) = (libm::sqrt(self.alpha_bars[0]), libm::sqrt(self.alpha_bars[n - 1]));
        let alpha_bars: Vec<f64> = roots
            .map(|root| {
                let moved = (root - last) * first / (first - last);
                moved * moved
            })
            .collect();
        let before = [1.0].into_iter().chain(alpha_bars.iter().copied());
        let betas = alpha_bars.iter().zip(before).map(|(a, before)| 1.0 - a / before).collect();
        Ok(Self { betas, alpha_bars })
    }

    /// ᾱ as given, falling; the last may be 0.
    pub(crate) fn from_alpha_bars(alpha_bars: Vec<f64>) -> Result<Self, Error> {
        range("the number of timesteps", 0.0, !alpha_bars.is_empty(), "at least 1")?;
        let mut before = 1.0;
        let mut betas = Vec::with_capacity(alpha_bars.len());
        for &alpha_bar in &alpha_bars {
            range(
                "alpha_bar",
                alpha_bar,
                alpha_bar < before && alpha_bar >= 0.0,
                "falling from below 1 and at least 0",
            )?;
            betas.push(1.0 - alpha_bar / before);
            before = alpha_bar;
        }
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
    /// `steps` outside 1 ..= T; an offset that leaves the schedule; for
    /// spacings of σ/α, a last timestep without signal.
    pub fn ladder(&self, steps: usize, spacing: Spacing) -> Result<Ladder, Error> {
        let total = self.betas.len();
        range("the number of steps", steps as f64, (1..=total).contains(&steps), "from 1 to the schedule's timesteps")?;
        let (total_f, last) = (total as f64, total - 1);
        let share = |i: usize| i as f64 / steps as f64;
        let logs = self.log_ratios();
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
            Spacing::SgmUniform => (0..steps)
                .map(|i| {
                    let t = last as f64 * (1.0 - share(i));
                    let (below, part) = (libm::floor(t) as usize, t - libm::floor(t));
                    let log = logs[below] + if part > 0.0 { part * (logs[below + 1] - logs[below]) } else { 0.0 };
                    self.at_log_ratio(&logs, log)
                })
                .collect(),
            Spacing::Karras { .. } | Spacing::Exponential | Spacing::Beta { .. } => spacing
                .values(steps, libm::exp(logs[0]), libm::exp(logs[last]))?
                .unwrap_or_default()
                .into_iter()
                .map(|ratio| self.at_log_ratio(&logs, libm::log(ratio)))
                .collect(),
        };
        Ok(Ladder::new(points.into_iter().chain([Point::CLEAN]), Coordinate::Sigma)?.with_clock(Clock::Table(logs)))
    }

    /// ln(σ/α) of every timestep; infinite where there is no signal.
    pub(crate) fn log_ratios(&self) -> Vec<f64> {
        self.alpha_bars.iter().map(|a| 0.5 * libm::log(1.0 / a - 1.0)).collect()
    }

    /// The point with ln(σ/α) = `log`; its timestep lies between the two that
    /// enclose it.
    fn at_log_ratio(&self, logs: &[f64], log: f64) -> Point {
        let ratio = libm::exp(log);
        let alpha = 1.0 / libm::hypot(1.0, ratio);
        let sigma = if alpha == 0.0 { 1.0 } else { ratio * alpha };
        Point { time: timestep(logs, log), alpha, sigma }
    }
}
