//! Schedules and timesteps as diffusers has them, in single precision.

use super::{BetaSchedule, Config, TimestepSpacing};
use crate::error::{Error, range};
use crate::schedule::{Discrete, Spacing};
use alloc::vec::Vec;

/// A value as single precision keeps it.
pub(super) fn single(value: f64) -> f64 {
    f64::from(value as f32)
}

/// `torch.linspace` in single precision: from both ends, one rounding a value.
fn linspace(start: f64, end: f64, n: usize) -> Vec<f64> {
    let (start, end) = (single(start), single(end));
    let step = single(single(end - start) / n.saturating_sub(1).max(1) as f64);
    let value = |i: usize| if i < n / 2 || n == 1 { start + step * i as f64 } else { end - step * (n - 1 - i) as f64 };
    (0..n).map(|i| single(value(i))).collect()
}

/// Π(1−β): factors and results rounded, the product itself not.
fn products(betas: &[f64]) -> Vec<f64> {
    let mut product = 1.0;
    let next = |beta: &f64| {
        product *= single(1.0 - beta);
        single(product)
    };
    betas.iter().map(next).collect()
}

/// Where β comes from unless a file says so.
#[derive(Clone, Copy)]
pub(super) struct Defaults {
    pub start: f64,
    pub end: f64,
    pub schedule: BetaSchedule,
    /// Whether the scheduler knows `rescale_betas_zero_snr`, and keeps 2⁻²⁴ of
    /// the signal then.
    pub zero_snr: Option<bool>,
}

impl Config {
    pub(super) fn train_steps(&self) -> Result<usize, Error> {
        let steps = self.trained_betas.as_ref().map(Vec::len).or(self.num_train_timesteps).unwrap_or(1000);
        range("num_train_timesteps", steps as f64, (1..=1_000_000).contains(&steps), "from 1 to 1000000")?;
        Ok(steps)
    }

    /// The discrete schedule.
    pub(super) fn discrete(&self, defaults: Defaults) -> Result<Discrete, Error> {
        let (start, end) = (self.beta_start.unwrap_or(defaults.start), self.beta_end.unwrap_or(defaults.end));
        let n = self.train_steps()?;
        for (what, beta) in [("beta_start", start), ("beta_end", end)] {
            range(what, beta, self.trained_betas.is_some() || beta > 0.0 && beta < 1.0, "in (0, 1)")?;
        }
        let of_alpha_bar = |alpha_bar: &dyn Fn(f64) -> f64| -> Vec<f64> {
            let at = |t: usize| alpha_bar(t as f64 / n as f64);
            (0..n).map(|t| single((1.0 - at(t + 1) / at(t)).min(0.999))).collect()
        };
        let mut betas = match (&self.trained_betas, self.beta_schedule.unwrap_or(defaults.schedule)) {
            (Some(betas), _) => betas.iter().map(|beta| single(*beta)).collect(),
            (None, BetaSchedule::Linear) => linspace(start, end, n),
            (None, BetaSchedule::ScaledLinear) => {
                let roots = linspace(libm::sqrt(start), libm::sqrt(end), n);
                roots.into_iter().map(|root| single(root * root)).collect()
            }
            (None, BetaSchedule::Cosine) => of_alpha_bar(&|t| {
                let cos = libm::cos((t + 0.008) / 1.008 * core::f64::consts::FRAC_PI_2);
                cos * cos
            }),
            (None, BetaSchedule::Exponential) => of_alpha_bar(&|t| libm::exp(-12.0 * t)),
            (None, BetaSchedule::Laplace) => of_alpha_bar(&|t| {
                let lambda = -0.5 * libm::copysign(1.0, 0.5 - t) * libm::log(1.0 - 2.0 * libm::fabs(0.5 - t) + 1e-6);
                let snr = libm::exp(lambda);
                libm::sqrt(snr / (1.0 + snr))
            }),
            (None, BetaSchedule::Sigmoid) => {
                let sigmoid = |x: f64| single(1.0 / (1.0 + libm::exp(-x)));
                let spread = single(end - start);
                linspace(-6.0, 6.0, n).into_iter().map(|x| single(single(sigmoid(x) * spread) + start)).collect()
            }
        };
        let zero_snr = defaults.zero_snr.filter(|_| self.rescale_betas_zero_snr == Some(true));
        if zero_snr.is_some() {
            betas = without_terminal_signal(&betas)?;
        }
        let mut alpha_bars = products(&betas);
        if let (Some(true), Some(last)) = (zero_snr, alpha_bars.last_mut()) {
            *last = 1.0 / f64::from(1 << 24);
        }
        Discrete::from_alpha_bars(alpha_bars)
    }

    /// ᾱ of each timestep on which a network was trained, as DDPM's scheduler
    /// has them.
    ///
    /// # Errors
    /// Values outside their range.
    pub fn alpha_bars(&self) -> Result<Vec<f64>, Error> {
        let defaults = Defaults { start: 1e-4, end: 0.02, schedule: BetaSchedule::Linear, zero_snr: Some(false) };
        Ok(self.discrete(defaults)?.alpha_bars().to_vec())
    }

    /// Timesteps, falling; `more` of them are laid out than are taken from the
    /// noisy end, and only the first `last` timesteps are used. Fractional
    /// ones are rounded where they must be `whole`.
    pub(super) fn timesteps(
        &self,
        spacing: TimestepSpacing,
        steps: usize,
        more: usize,
        last: usize,
        whole: bool,
    ) -> Result<Vec<f64>, Error> {
        let total = self.train_steps()?;
        range("the number of steps", steps as f64, (1..=total).contains(&steps), "from 1 to the schedule's timesteps")?;
        let all = steps + more;
        let times: Vec<f64> = match spacing {
            TimestepSpacing::Linspace => {
                let round = |t: f64| if whole { libm::rint(t) } else { single(t) };
                let rising: Vec<f64> = crate::schedule::linspace(0.0, (last - 1) as f64, all).map(round).collect();
                rising.into_iter().rev().take(steps).collect()
            }
            TimestepSpacing::Leading => {
                let (ratio, offset) = (last / all, self.steps_offset.unwrap_or(0));
                let times: Vec<f64> = (0..all).rev().map(|i| (i * ratio + offset) as f64).take(steps).collect();
                let most = (total - 1) as f64;
                range("steps_offset", offset as f64, times[0] <= most, "such that all timesteps are in the schedule")?;
                times
            }
            TimestepSpacing::Trailing => {
                let step = total as f64 / steps as f64;
                let count = (libm::ceil(last as f64 / step - 1e-9) as usize).clamp(1, steps);
                (0..count).map(|i| libm::rint(last as f64 - i as f64 * step) - 1.0).collect()
            }
        };
        Ok(times)
    }

    /// σ/α spaced otherwise than the timesteps, as the file says.
    pub(super) fn own_spacing(&self) -> Result<Option<Spacing>, Error> {
        let flags = [
            (self.use_karras_sigmas, Spacing::Karras { rho: 7.0 }),
            (self.use_exponential_sigmas, Spacing::Exponential),
            (self.use_beta_sigmas, Spacing::Beta { shape: 0.6 }),
        ];
        let mut chosen = flags.into_iter().filter(|(flag, _)| *flag == Some(true)).map(|(_, spacing)| spacing);
        let spacing = chosen.next();
        match chosen.next() {
            None => Ok(spacing),
            Some(_) => Err(Error::Setting {
                key: "use_karras_sigmas".into(),
                got: "true".into(),
                legal: "the only one of the spacings of sigma",
            }),
        }
    }
}

/// `rescale_zero_terminal_snr`.
fn without_terminal_signal(betas: &[f64]) -> Result<Vec<f64>, Error> {
    range("the number of timesteps", betas.len() as f64, betas.len() >= 2, "at least 2")?;
    let mut roots: Vec<f64> = products(betas).into_iter().map(|a| single(libm::sqrt(a))).collect();
    let (first, last) = (roots[0], roots[roots.len() - 1]);
    let stretch = single(first / single(first - last));
    for root in &mut roots {
        let moved = single(single(*root - last) * stretch);
        *root = single(moved * moved);
    }
    let before = [1.0].into_iter().chain(roots.iter().copied());
    Ok(roots.iter().zip(before).map(|(a, before)| single(1.0 - single(a / before))).collect())
}

/// `numpy.interp` of a table over its places.
pub(super) fn interpolate(table: &[f64], place: f64) -> f64 {
    let below = (libm::floor(place).max(0.0) as usize).min(table.len() - 1);
    let above = (below + 1).min(table.len() - 1);
    table[below] + (place - below as f64) * (table[above] - table[below])
}
