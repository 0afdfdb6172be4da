//! Schedules of networks that read a continuous time: flow matching, elucidated
//! diffusion and consistency models (Song et al. 2023; Lu and Song 2024).

use super::plan::{Clips, Plan, World, world};
use super::timesteps::single;
use super::{Config, PredictionType};
use crate::error::{Error, range};
use crate::parameterization::Prediction;
use crate::sampler::{Choice, Kind, Method};
use crate::schedule::{Clock, Coordinate, Input, Ladder, Point, Spacing, linspace};
use alloc::{format, vec::Vec};

impl Config {
    /// Flow matching: t·1000 for the network, which predicts the flow.
    pub(super) fn flow(&self, choice: Choice, method: Method, steps: usize) -> Result<Plan, Error> {
        let total = self.train_steps()?;
        range("the number of steps", steps as f64, (1..=total).contains(&steps), "from 1 to the schedule's timesteps")?;
        let shift = self.shift.unwrap_or(1.0);
        range("shift", shift, shift > 0.0 && shift.is_finite(), "positive and finite")?;
        let bend = |s: f64| shift * s / (1.0 + (shift - 1.0) * s);
        // Both ends are bent, and then everything once more.
        let least = single(bend(1.0 / total as f64));
        let mut sigmas: Vec<f64> = linspace(1.0, least, steps).map(bend).collect();
        let spacing = match choice.spacing {
            None => self.own_spacing()?,
            spacing => spacing,
        };
        if let (Some(spacing), true) = (spacing, steps >= 2) {
            let (max, min) = (self.sigma_max.unwrap_or(sigmas[0]), self.sigma_min.unwrap_or(sigmas[steps - 1]));
            if let Some(values) = spacing.values(steps, min, max)? {
                sigmas = values;
            }
        }
        let point = |sigma: f64| {
            let sigma = single(sigma);
            Point { time: sigma * total as f64, alpha: 1.0 - sigma, sigma }
        };
        let points: Vec<Point> = sigmas.into_iter().chain([0.0]).map(point).collect();
        let ladder = Ladder::new(points, Coordinate::Flow)?.with_clock(Clock::Share(total as f64)).with_start(1.0);
        let random = choice.kind == Kind::Euler && self.stochastic_sampling == Some(true);
        let method = match (random, choice.kind) {
            (true, _) | (_, Kind::Lcm) => Method::Lcm { scaling: None, deviation: 1.0 },
            // With their own starts and ends.
            (_, Kind::Pndm | Kind::Plms) => Method::from(choice.kind),
            _ => method,
        };
        Ok(Plan { ladder, prediction: Prediction::Flow, clips: Clips::No, method, plms: None })
    }

    /// Elucidated diffusion.
    pub(super) fn edm(&self, choice: Choice, method: Method, steps: usize) -> Result<Plan, Error> {
        range("the number of steps", steps as f64, (1..=10_000).contains(&steps), "from 1 to 10000")?;
        let (min, max) = (self.sigma_min.unwrap_or(0.002), self.sigma_max.unwrap_or(80.0));
        let data = self.sigma_data.unwrap_or(0.5);
        range("sigma_data", data, data > 0.0 && data.is_finite(), "positive and finite")?;
        let own = match self.sigma_schedule_exponential {
            Some(true) => Spacing::Exponential,
            _ => Spacing::Karras { rho: self.rho.unwrap_or(7.0) },
        };
        let spacing = choice.spacing.unwrap_or(own);
        let sigmas = match spacing.values(steps, min, max)? {
            Some(values) => values,
            None => linspace(max, min, steps).collect(),
        };
        let zero = self.final_sigmas_zero != Some(false);
        let end = if zero { 0.0 } else { sigmas[steps - 1] };
        let point = |sigma: f64| {
            let sigma = single(sigma);
            Point { time: if sigma > 0.0 { 0.25 * libm::log(sigma) } else { 0.0 }, alpha: 1.0, sigma }
        };
        let points: Vec<Point> = sigmas.into_iter().chain([end]).map(point).collect();
        let prediction = match self.prediction() {
            Prediction::Epsilon => Prediction::Edm,
            Prediction::Velocity => Prediction::Velocity,
            _ => {
                let legal = "epsilon or v_prediction behind the preconditioning of EDM";
                return Err(Error::Setting {
                    key: "prediction_type".into(),
                    got: format!("{}", self.prediction()),
                    legal,
                });
            }
        };
        let ladder = Ladder::with_repeated_end(points, Coordinate::Sigma)?
            .with_clock(Clock::QuarterLog)
            .with_input(Input::Scaled { data })
            .with_start(libm::hypot(max, 1.0));
        let (clips, method) = match (world(choice.kind), method) {
            (World::Lambda, method) => (self.clips(true, None)?, method),
            (_, Method::Moves(_)) => (Clips::No, Method::from(choice.kind)),
            (_, method) => (Clips::No, method),
        };
        Ok(Plan { ladder, prediction, clips, method, plms: None })
    }

    /// `CMStochasticIterativeScheduler`: the network reads 250·ln σ.
    pub(super) fn consistency(&self, steps: usize) -> Result<Plan, Error> {
        let total = self.num_train_timesteps.unwrap_or(40);
        range("num_train_timesteps", total as f64, (2..=1_000_000).contains(&total), "from 2 to 1000000")?;
        range("the number of steps", steps as f64, (1..=total).contains(&steps), "from 1 to the schedule's timesteps")?;
        let (min, max) = (self.sigma_min.unwrap_or(0.002), self.sigma_max.unwrap_or(80.0));
        range("sigma_min", min, min > 0.0, "positive")?;
        range("sigma_max", max, max > min && max.is_finite(), "finite and above sigma_min")?;
        let (data, rho) = (self.sigma_data.unwrap_or(0.5), self.rho.unwrap_or(7.0));
        range("sigma_data", data, data > 0.0 && data.is_finite(), "positive and finite")?;
        range("rho", rho, rho > 0.0 && rho.is_finite(), "positive and finite")?;
        let deviation = self.s_noise.unwrap_or(1.0);
        range("s_noise", deviation, deviation >= 0.0 && deviation.is_finite(), "finite and at least 0")?;
        let [low, high] = [min, max].map(|sigma| libm::pow(sigma, 1.0 / rho));
        let point = |sigma: f64| Point { time: 250.0 * libm::log(sigma), alpha: 1.0, sigma: single(sigma) };
        let ramp = |i: usize| (i * (total / steps)) as f64 / (total - 1) as f64;
        let sigmas = (0..steps).map(|i| libm::pow(high + ramp(i) * (low - high), rho)).chain([min]);
        let ladder = Ladder::with_repeated_end(sigmas.map(point).collect(), Coordinate::Sigma)?
            .with_clock(Clock::QuarterLog)
            .with_input(Input::Scaled { data })
            .with_start(max);
        let clips = if self.clip_denoised == Some(false) { Clips::No } else { Clips::Static(1.0) };
        let method = Method::Consistency { least: min, data, deviation };
        Ok(Plan { ladder, prediction: Prediction::Edm, clips, method, plms: None })
    }

    /// `SCMScheduler`: α = cos s and σ = sin s, of which the network reads s.
    pub(super) fn trigonometric(&self, steps: usize) -> Result<Plan, Error> {
        /// 1.5708, a little over π/2.
        const MOST: f64 = core::f64::consts::FRAC_PI_2 + 3.673_205_1e-6;
        const MIDDLE: f64 = 1.3;
        range("the number of steps", steps as f64, (1..=10_000).contains(&steps), "from 1 to 10000")?;
        if self.prediction_type.is_some_and(|of| of != PredictionType::Velocity) {
            let legal = "trigflow for SCMScheduler";
            return Err(Error::Setting { key: "prediction_type".into(), got: format!("{}", self.prediction()), legal });
        }
        let data = self.sigma_data.unwrap_or(0.5);
        range("sigma_data", data, data > 0.0 && data.is_finite(), "positive and finite")?;
        let times: Vec<f64> = match steps {
            2 => Vec::from([MOST, MIDDLE, 0.0]),
            _ => linspace(MOST, 0.0, steps + 1).collect(),
        };
        let point = |time: f64| {
            let time = single(time);
            Point { time, alpha: libm::cos(time).max(0.0), sigma: libm::sin(time) }
        };
        let ladder = Ladder::new(times.into_iter().map(point), Coordinate::Sigma)?.with_start(1.0);
        let method = Method::Lcm { scaling: None, deviation: data };
        Ok(Plan { ladder, prediction: Prediction::Velocity, clips: Clips::No, method, plms: None })
    }
}
