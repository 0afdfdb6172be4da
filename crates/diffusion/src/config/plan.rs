//! From a configuration to a ladder and a sampler.

use super::plms::Plms;
use super::timesteps::{Defaults, interpolate, single};
use super::{AlgorithmType, BetaSchedule, Config, PredictionType, SolverType, TimestepSpacing, VarianceType};
use crate::clip::Clip;
use crate::error::{Error, range};
use crate::parameterization::Prediction;
use crate::sampler::{Choice, Churn, Ends, Form, Kind, Method, SaSolver, Sampler, Solver, UniPc, Variance};
use crate::schedule::{Clock, Coordinate, Discrete, Input, Ladder, Point, Spacing, linspace};
use alloc::{format, string::String, vec::Vec};

/// A generation as a configuration means it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The noise levels.
    pub ladder: Ladder,
    /// What the network predicts.
    pub prediction: Prediction,
    pub(super) clips: Clips,
    pub(super) method: Method,
    /// The timesteps of PLMS, of which a tail is made anew.
    pub(super) plms: Option<Plms>,
}

/// How estimates are clipped, before the picture's size is known.
#[derive(Clone, Copy, Debug)]
pub(super) enum Clips {
    No,
    Static(f32),
    Dynamic { quantile: f32, most: f32 },
}

impl Plan {
    /// A sampler on any ladder, without clipping.
    ///
    /// # Errors
    /// An η or γ outside 0 to 1.
    pub fn new(kind: Kind, ladder: Ladder, prediction: Prediction) -> Result<Self, Error> {
        kind.check()?;
        Ok(Self { ladder, prediction, clips: Clips::No, method: kind.into(), plms: None })
    }

    /// The sampler for states of `len` values that hold pictures of `picture`
    /// values.
    ///
    /// # Errors
    /// As [`Sampler::predicting`].
    pub fn sampler(&self, len: usize, picture: usize) -> Result<Sampler, Error> {
        let clip = match self.clips {
            Clips::No => Clip::None,
            Clips::Static(bound) => Clip::Static { bound },
            Clips::Dynamic { quantile, most } => Clip::Dynamic { quantile, most, picture },
        };
        Sampler::derived(&self.method, &self.ladder, self.prediction, clip, len, picture)
    }

    /// The last `steps` steps alone, for a picture that is already there;
    /// diffuse it to the sampler's first [`request`](Sampler::request). Of n
    /// steps, pipelines of diffusers take ⌊n·strength⌋.
    ///
    /// # Errors
    /// `steps` outside 1 to the ladder's.
    pub fn tail(&self, steps: usize) -> Result<Self, Error> {
        let mut tail = self.clone();
        let whole = self.ladder.steps();
        tail.ladder = self.ladder.tail(steps)?;
        if let (Some(plms), true) = (&self.plms, steps < whole) {
            tail.method = Method::Moves(plms.moves(whole - steps));
        }
        Ok(tail)
    }
}

/// Which of diffusers' families a scheduler is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Discrete,
    Flow,
    Edm,
    Consistency,
    Trigonometric,
}

/// How a scheduler holds the state, and finds its noise levels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum World {
    /// By ᾱ of whole timesteps.
    Alpha,
    /// x/α at σ/α, the network's input scaled.
    Sigma,
    /// x at σ/α.
    Lambda,
}

pub(super) fn world(kind: Kind) -> World {
    match kind.plain() {
        Kind::Ddpm | Kind::Ddim { .. } | Kind::Pndm | Kind::Plms | Kind::Ipndm | Kind::Lcm | Kind::Tcd { .. } => {
            World::Alpha
        }
        Kind::Euler
        | Kind::EulerAncestral
        | Kind::Heun
        | Kind::Lms
        | Kind::Dpm2
        | Kind::Dpm2Ancestral
        | Kind::DpmPlusPlus2SAncestral
        | Kind::DpmPlusPlusSde => World::Sigma,
        _ => World::Lambda,
    }
}

/// A schedule of σ/α, as diffusers tabulates it.
struct Table {
    sigmas: Vec<f64>,
    logs: Vec<f64>,
}

impl Table {
    fn new(discrete: &Discrete) -> Self {
        let sigma = |a: &f64| single(libm::sqrt(single(single(1.0 - a) / a)));
        let sigmas: Vec<f64> = discrete.alpha_bars().iter().map(sigma).collect();
        let logs = sigmas.iter().map(|sigma| single(libm::log(*sigma))).collect();
        Self { sigmas, logs }
    }

    fn time(&self, sigma: f64) -> f64 {
        crate::schedule::timestep(&self.logs, libm::log(sigma.max(1e-10)))
    }
}

impl Config {
    /// The generation of `steps` steps by a sampler of the caller's choice, as
    /// its scheduler's `from_config` makes it of this configuration; without a
    /// choice, by the configuration's own scheduler.
    ///
    /// A spacing in the choice overrules the configuration's. DPM-Solvers and
    /// UniPC that are chosen by name have the order of their name.
    ///
    /// # Errors
    /// No steps or more than the schedule has; values outside their range; a
    /// scheduler that is not known, or that cannot do what the configuration
    /// says.
    pub fn plan(&self, choice: Option<Choice>, steps: usize) -> Result<Plan, Error> {
        let class = self.class_name.as_deref().unwrap_or_default();
        let family = match class {
            _ if class.starts_with("FlowMatch") => Family::Flow,
            _ if class.starts_with("EDM") => Family::Edm,
            "CMStochasticIterativeScheduler" => Family::Consistency,
            "SCMScheduler" => Family::Trigonometric,
            _ => Family::Discrete,
        };
        let (choice, own) = match choice {
            Some(choice) => (choice, false),
            None => (self.own()?.into(), true),
        };
        choice.kind.check()?;
        let method = self.method(choice.kind, own, family)?;
        match family {
            Family::Flow => self.flow(choice, method, steps),
            Family::Edm => self.edm(choice, method, steps),
            Family::Consistency | Family::Trigonometric if !own => Err(Error::Setting {
                key: "_class_name".into(),
                got: class.into(),
                legal: "that of another scheduler: consistency models have a sampler of their own",
            }),
            Family::Consistency => self.consistency(steps),
            Family::Trigonometric => self.trigonometric(steps),
            Family::Discrete if own && choice.kind == Kind::Ipndm => self.sines(steps),
            Family::Discrete => match world(choice.kind) {
                World::Alpha => self.alpha(choice, method, steps),
                World::Sigma => self.sigma(choice, method, steps),
                World::Lambda => self.lambda(choice, method, steps),
            },
        }
    }

    /// The sampler's numbers; by the configuration if the scheduler is its own.
    fn method(&self, kind: Kind, own: bool, family: Family) -> Result<Method, Error> {
        let ends = |lower| Ends {
            lower: self.lower_order_final.unwrap_or(lower),
            euler: self.euler_at_final.unwrap_or(false),
        };
        let order = |of_name| if own { self.solver_order.unwrap_or(2) } else { of_name };
        let heun = self.solver_type == Some(SolverType::Heun);
        let solver = |solver: Solver, lower| {
            let (form, sde) = match self.algorithm_type.filter(|_| own) {
                None => (solver.form, solver.sde),
                Some(AlgorithmType::DpmSolver) => (Form::Noise, false),
                Some(AlgorithmType::SdeDpmSolver) => (Form::Noise, true),
                Some(AlgorithmType::SdeDpmSolverPlusPlus) => (Form::Data, true),
                Some(_) => (Form::Data, false),
            };
            Solver { form, sde, order: order(solver.order), heun, ends: ends(lower), flawed: own }
        };
        let churns = own && self.s_churn.is_some_and(|amount| amount != 0.0);
        Ok(match (kind, Method::from(kind)) {
            (Kind::Ddpm, _) if !churns => match self.variance_type.unwrap_or(VarianceType::FixedSmall) {
                VarianceType::FixedSmall => Method::Ddpm(Variance::Small),
                VarianceType::FixedLarge => Method::Ddpm(Variance::Large),
                VarianceType::Learned => Method::Ddpm(Variance::Learned),
                VarianceType::LearnedRange => Method::Ddpm(Variance::LearnedRange),
            },
            (Kind::Euler, _) if churns && matches!(family, Family::Discrete | Family::Edm) => {
                let before = family == Family::Discrete && self.prediction_type == Some(PredictionType::Velocity);
                Method::LateEuler { churn: self.churn()?, before }
            }
            _ if churns => {
                let legal = "0: of these schedulers only EulerDiscreteScheduler and EDMEulerScheduler take it";
                let got = self.s_churn.unwrap_or_default();
                return Err(Error::Setting { key: "s_churn".into(), got: format!("{got}"), legal });
            }
            (Kind::Ddim { eta }, _) => Method::Ddim { eta, raw: world(kind) == World::Alpha },
            (Kind::Lms, _) => Method::Lms { whole: true },
            (Kind::Lcm, _) => Method::Lcm { scaling: Some(self.timestep_scaling.unwrap_or(10.0)), deviation: 1.0 },
            (_, Method::Multistep(of_name)) => Method::Multistep(solver(of_name, true)),
            (_, Method::Singlestep(of_name)) => Method::Singlestep(solver(of_name, false)),
            (_, Method::UniPc(_)) => Method::UniPc(UniPc {
                order: order(2),
                form: if self.predict_x0.unwrap_or(true) { Form::Data } else { Form::Noise },
                exponential: self.solver_type != Some(SolverType::Bh1),
                lower_final: self.lower_order_final.unwrap_or(true),
            }),
            (_, Method::SaSolver(of_name)) if own => Method::SaSolver(SaSolver {
                predictor: self.predictor_order.unwrap_or(2),
                corrector: self.corrector_order.unwrap_or(2),
                form: if self.algorithm_type == Some(AlgorithmType::NoisePrediction) {
                    Form::Noise
                } else {
                    Form::Data
                },
                lower_final: self.lower_order_final.unwrap_or(of_name.lower_final),
            }),
            (_, Method::Deis { .. }) => Method::Deis { order: order(2), ends: Ends { euler: false, ..ends(true) } },
            (_, method) => method,
        })
    }

    /// The arguments of Euler's step.
    fn churn(&self) -> Result<Churn, Error> {
        let usual = Churn::default();
        let churn = Churn {
            amount: self.s_churn.unwrap_or(usual.amount),
            from: self.s_tmin.unwrap_or(usual.from),
            to: self.s_tmax.unwrap_or(usual.to),
            noise: self.s_noise.unwrap_or(usual.noise),
        };
        churn.check()?;
        Ok(churn)
    }

    pub(super) fn prediction(&self) -> Prediction {
        match self.prediction_type.unwrap_or(PredictionType::Epsilon) {
            PredictionType::Epsilon => Prediction::Epsilon,
            PredictionType::Sample => Prediction::Sample,
            PredictionType::Velocity => Prediction::Velocity,
            PredictionType::Flow => Prediction::Flow,
        }
    }

    /// Clipping, of a scheduler that may threshold and, by a default, clips.
    pub(super) fn clips(&self, thresholds: bool, clips: Option<bool>) -> Result<Clips, Error> {
        if thresholds && self.thresholding == Some(true) {
            let (quantile, most) =
                (self.dynamic_thresholding_ratio.unwrap_or(0.995) as f32, self.sample_max_value.unwrap_or(1.0) as f32);
            Clip::Dynamic { quantile, most, picture: 1 }.check(0)?;
            return Ok(Clips::Dynamic { quantile, most });
        }
        match clips {
            Some(default) if self.clip_sample.unwrap_or(default) => {
                let bound = self.clip_sample_range.unwrap_or(1.0) as f32;
                Clip::Static { bound }.check(0)?;
                Ok(Clips::Static(bound))
            }
            _ => Ok(Clips::No),
        }
    }

    /// The timesteps' spacing and that of σ/α, if it has one.
    fn spacings(&self, choice: Choice, default: TimestepSpacing) -> Result<(TimestepSpacing, Option<Spacing>), Error> {
        let own = self.timestep_spacing.unwrap_or(default);
        Ok(match choice.spacing {
            None => (own, self.own_spacing()?),
            Some(Spacing::Linspace) => (TimestepSpacing::Linspace, None),
            Some(Spacing::Leading { .. }) => (TimestepSpacing::Leading, None),
            Some(Spacing::Trailing) => (TimestepSpacing::Trailing, None),
            Some(spacing) => (own, Some(spacing)),
        })
    }

    /// DDPM, DDIM, PNDM, LCM and TCD.
    fn alpha(&self, choice: Choice, method: Method, steps: usize) -> Result<Plan, Error> {
        let kind = choice.kind;
        let distilled = matches!(kind, Kind::Lcm | Kind::Tcd { .. });
        let plms = matches!(kind, Kind::Pndm | Kind::Plms);
        let unclip = self.class_name.as_deref() == Some("UnCLIPScheduler");
        let (start, end, schedule) = match (distilled, unclip) {
            (true, _) => (0.00085, 0.012, BetaSchedule::ScaledLinear),
            (_, true) => (1e-4, 0.02, BetaSchedule::Cosine),
            _ => (1e-4, 0.02, BetaSchedule::Linear),
        };
        let discrete = self.discrete(Defaults { start, end, schedule, zero_snr: (!plms).then_some(false) })?;
        let total = discrete.betas().len();
        let default = if unclip { TimestepSpacing::Linspace } else { TimestepSpacing::Leading };
        let (spacing, of_sigma) = self.spacings(choice, default)?;
        let clips = match kind {
            Kind::Ddpm | Kind::Ddim { .. } => self.clips(true, Some(true))?,
            Kind::Lcm => self.clips(true, Some(false))?,
            _ => Clips::No,
        };
        let prediction = self.prediction();
        // Spacings of σ/α, which these schedulers of diffusers do not have.
        if let (Some(spacing), Some(_)) = (of_sigma, choice.spacing) {
            let ladder = discrete.ladder(steps, spacing)?;
            let method = if plms { Method::from(kind) } else { method };
            return Ok(Plan { ladder, prediction, clips, method, plms: None });
        }
        let times: Vec<usize> = if distilled {
            self.distilled(total, steps)?
        } else {
            self.timesteps(spacing, steps, 0, total, true)?.into_iter().map(|t| t as usize).collect()
        };
        let first = discrete.point(0).unwrap_or(Point::CLEAN);
        let end = match kind {
            Kind::Ddim { .. } if self.set_alpha_to_one == Some(false) => first,
            Kind::Pndm | Kind::Plms if self.set_alpha_to_one != Some(true) => first,
            Kind::Tcd { .. } => first,
            // There the first β is divided by 1 − ᾱ, which is it but for the rounding of ᾱ.
            Kind::Ddpm if unclip => {
                let beta = single(Discrete::cosine(total)?.betas()[0]);
                Point { alpha: beta / single(1.0 - single(1.0 - beta)), ..Point::CLEAN }
            }
            _ => Point::CLEAN,
        };
        let points: Vec<Point> = times.iter().filter_map(|t| discrete.point(*t)).chain([end]).collect();
        let ratio = total / steps;
        let back = |t: &usize| t.checked_sub(ratio).and_then(|t| discrete.point(t)).unwrap_or(end);
        let ends: Vec<Point> = times.iter().map(back).collect();
        let logs = discrete.log_ratios();
        let ladder =
            Ladder::with_repeated_end(points, Coordinate::Sigma)?.with_clock(Clock::Table(logs)).with_start(1.0);
        let ladder = match kind {
            Kind::Ddim { .. } if ends != ladder.points()[1..] => ladder.with_ends(ends),
            _ => ladder,
        };
        if !plms {
            return Ok(Plan { ladder, prediction, clips, method, plms: None });
        }
        let plms = Plms { discrete, times: times.into_iter().rev().collect(), ratio, end };
        let skip = kind == Kind::Plms || self.skip_prk_steps == Some(true);
        let moves = if skip { plms.moves(0) } else { plms.runge_kutta()? };
        Ok(Plan { ladder, prediction, clips, method: Method::Moves(moves), plms: Some(plms).filter(|_| skip) })
    }

    /// Every k-th of the timesteps that a consistency model was distilled at.
    fn distilled(&self, total: usize, steps: usize) -> Result<Vec<usize>, Error> {
        let origin = self.original_inference_steps.unwrap_or(50);
        let legal = (1..=total).contains(&origin);
        range("original_inference_steps", origin as f64, legal, "from 1 to the schedule's timesteps")?;
        let legal = (1..=origin).contains(&steps);
        range(
            "the number of steps",
            steps as f64,
            legal,
            "from 1 to the original_inference_steps of the distillation",
        )?;
        let k = total / origin;
        Ok((0..steps).map(|i| (origin - i * origin / steps) * k - 1).collect())
    }

    /// Euler, Heun, LMS, DPM2, DPM++ SDE and their kin.
    fn sigma(&self, choice: Choice, method: Method, steps: usize) -> Result<Plan, Error> {
        let kind = choice.kind.plain();
        let euler = matches!(kind, Kind::Euler | Kind::EulerAncestral | Kind::DpmPlusPlus2SAncestral);
        let (start, end) = if euler || kind == Kind::Lms { (1e-4, 0.02) } else { (0.00085, 0.012) };
        let zero_snr = euler.then_some(true);
        let discrete = self.discrete(Defaults { start, end, schedule: BetaSchedule::Linear, zero_snr })?;
        let table = Table::new(&discrete);
        let (spacing, of_sigma) = self.spacings(choice, TimestepSpacing::Linspace)?;
        let of_sigma = of_sigma.filter(|_| kind != Kind::EulerAncestral || choice.spacing.is_some());
        let mut times = self.timesteps(spacing, steps, 0, discrete.betas().len(), false)?;
        let mut sigmas: Vec<f64> = times.iter().map(|t| interpolate(&table.sigmas, *t)).collect();
        let mut last = if kind == Kind::Euler && self.final_sigmas_zero == Some(false) { table.sigmas[0] } else { 0.0 };
        if self.interpolation_log_linear == Some(true) && kind == Kind::Euler {
            // One more than there are steps: they end there.
            let (low, high) = (table.logs[0], table.logs[table.logs.len() - 1]);
            sigmas = linspace(high, low, steps + 1).map(libm::exp).take(steps).collect();
            last = if of_sigma.is_none() { table.sigmas[0] } else { last };
        }
        if let Some(spacing) = of_sigma {
            sigmas = self.respaced(spacing, &table, &sigmas, steps)?;
            times = sigmas.iter().map(|sigma| table.time(*sigma)).collect();
            if matches!((kind, spacing), (Kind::Dpm2 | Kind::Dpm2Ancestral, Spacing::Karras { .. })) {
                times.iter_mut().for_each(|t| *t = libm::rint(*t));
            }
        }
        let continuous = kind == Kind::Euler
            && self.timestep_continuous == Some(true)
            && self.prediction_type == Some(PredictionType::Velocity);
        let point = |(time, sigma): (f64, f64)| {
            let sigma = single(sigma);
            Point { time: if continuous { 0.25 * libm::log(sigma) } else { time }, alpha: 1.0, sigma }
        };
        let largest = sigmas.iter().copied().fold(0.0, f64::max);
        let points: Vec<Point> = times.into_iter().zip(sigmas).chain([(0.0, last)]).map(point).collect();
        let (start, clock) = (
            if spacing == TimestepSpacing::Leading { libm::hypot(largest, 1.0) } else { largest },
            if continuous { Clock::QuarterLog } else { Clock::Table(table.logs) },
        );
        let ladder = Ladder::with_repeated_end(points, Coordinate::Sigma)?
            .with_clock(clock)
            .with_input(Input::Scaled { data: 1.0 })
            .with_start(start);
        let clips = if kind == Kind::Heun { self.clips(false, Some(false))? } else { Clips::No };
        Ok(Plan { ladder, prediction: self.prediction(), clips, method, plms: None })
    }

    /// `steps` values of σ/α in another spacing, between the ends of those
    /// given, or of the file.
    fn respaced(&self, spacing: Spacing, table: &Table, sigmas: &[f64], steps: usize) -> Result<Vec<f64>, Error> {
        let (max, min) = match sigmas {
            [max, .., min] => (*max, *min),
            _ => (table.sigmas[table.sigmas.len() - 1], table.sigmas[0]),
        };
        let (min, max) = (self.sigma_min.unwrap_or(min), self.sigma_max.unwrap_or(max));
        Ok(match spacing.values(steps, min, max)? {
            Some(values) => values,
            // SGM uniform: equal fractional timesteps, logarithms between them.
            None => {
                let last = (table.logs.len() - 1) as f64;
                let time = |i: usize| last * (1.0 - i as f64 / steps as f64);
                (0..steps).map(|i| libm::exp(interpolate(&table.logs, time(i)))).collect()
            }
        })
    }

    /// DPM-Solver, DEIS and UniPC.
    fn lambda(&self, choice: Choice, method: Method, steps: usize) -> Result<Plan, Error> {
        let (multistep, singlestep) = (matches!(method, Method::Multistep(_)), matches!(method, Method::Singlestep(_)));
        let (unipc, deis) = (matches!(method, Method::UniPc(_)), matches!(method, Method::Deis { .. }));
        let adams = matches!(method, Method::SaSolver(_));
        let zero_snr = (multistep || unipc).then_some(true);
        let defaults = Defaults { start: 1e-4, end: 0.02, schedule: BetaSchedule::Linear, zero_snr };
        let discrete = self.discrete(defaults)?;
        let table = Table::new(&discrete);
        let total = discrete.betas().len();
        let (spacing, of_sigma) = self.spacings(choice, TimestepSpacing::Linspace)?;
        let spacing = if singlestep { TimestepSpacing::Linspace } else { spacing };
        // How many timesteps have at least the smallest λ.
        let smallest = self.lambda_min_clipped.filter(|_| multistep || singlestep || adams);
        let usable = smallest.map_or(total, |smallest| table.logs.iter().filter(|log| -**log >= smallest).count());
        range("lambda_min_clipped", smallest.unwrap_or(0.0), usable >= 2, "such that timesteps remain")?;
        let more = if spacing == TimestepSpacing::Trailing { 0 } else { 1 };
        let mut times = self.timesteps(spacing, steps, more, usable, true)?;
        let flow = self.use_flow_sigmas == Some(true);
        let mut sigmas: Vec<f64> = times.iter().map(|t| interpolate(&table.sigmas, *t)).collect();
        let lu = multistep && of_sigma.is_none() && self.use_lu_lambdas == Some(true);
        let mut repeats = false;
        if let Some(spacing) = of_sigma.or(lu.then_some(Spacing::Exponential)) {
            let ends = [table.sigmas[total - 1], table.sigmas[0]];
            sigmas = self.respaced(spacing, &table, &ends, steps)?;
            let whole = |t: f64| match spacing {
                Spacing::Karras { .. } if multistep && self.beta_schedule == Some(BetaSchedule::Cosine) => {
                    libm::trunc(t)
                }
                Spacing::Karras { .. } => libm::rint(t),
                Spacing::Exponential if lu && self.beta_schedule != Some(BetaSchedule::Cosine) => libm::rint(t),
                _ => libm::trunc(t),
            };
            times = sigmas.iter().map(|sigma| whole(table.time(*sigma))).collect();
            repeats = deis || unipc || adams;
        } else if flow {
            let shift = self.flow_shift.unwrap_or(1.0);
            range("flow_shift", shift, shift > 0.0 && shift.is_finite(), "positive and finite")?;
            let bend = |s: f64| shift * s / (1.0 + (shift - 1.0) * s);
            let least = 1.0 / total as f64;
            sigmas = if unipc {
                linspace(1.0, least, steps + 1).take(steps).map(bend).collect()
            } else {
                linspace(1.0, least, steps + 1)
                    .map(|a| bend(1.0 - a))
                    .collect::<Vec<_>>()
                    .into_iter()
                    .rev()
                    .take(steps)
                    .collect()
            };
            if let Some(first) = sigmas.first_mut().filter(|s| unipc && libm::fabs(**s - 1.0) < 1e-6) {
                *first -= 1e-6;
            }
            times = sigmas.iter().map(|sigma| libm::trunc(sigma * total as f64)).collect();
            repeats = deis || unipc || adams;
        }
        let smallest = if repeats { sigmas[sigmas.len() - 1] } else { table.sigmas[0] };
        let zero = !deis && !adams && self.final_sigmas_zero != Some(false);
        let flow = flow && of_sigma.is_none();
        let point = |(time, sigma): (f64, f64)| {
            let sigma = single(sigma);
            if flow {
                return Point { time, alpha: 1.0 - sigma, sigma };
            }
            let alpha = 1.0 / libm::hypot(1.0, sigma);
            Point { time, alpha, sigma: sigma * alpha }
        };
        let end = if zero { 0.0 } else { smallest };
        let points: Vec<Point> = times.into_iter().zip(sigmas).chain([(0.0, end)]).map(point).collect();
        let clock = if flow { Clock::Share(total as f64) } else { Clock::Table(table.logs) };
        let ladder = Ladder::with_repeated_end(points, Coordinate::Sigma)?.with_clock(clock).with_start(1.0);
        let plain = matches!(method, Method::UniPc(UniPc { form: Form::Noise, .. }));
        let clips = if plain { Clips::No } else { self.clips(true, None)? };
        self.ends_where_it_can(&method, &ladder)?;
        Ok(Plan { ladder, prediction: self.prediction(), clips, method, plms: None })
    }

    /// IPNDM by its own schedule, σ = sin²(πt/2), of a network that predicts v
    /// and reads t.
    fn sines(&self, steps: usize) -> Result<Plan, Error> {
        range("the number of steps", steps as f64, (1..=10_000).contains(&steps), "from 1 to 10000")?;
        let own = self.trained_betas.as_ref();
        let legal = own.is_none_or(|betas| betas.len() > steps && betas.iter().all(|b| (0.0..=1.0).contains(b)));
        range("trained_betas", own.map_or(0.0, |betas| betas.len() as f64), legal, "one more than steps, from 0 to 1")?;
        let point = |i: usize| {
            let sine = libm::sin(single(1.0 - i as f64 / steps as f64) * core::f64::consts::FRAC_PI_2);
            let sigma = single(own.map_or(if i == steps { 0.0 } else { sine * sine }, |betas| betas[i]));
            let alpha = single(libm::sqrt(single(1.0 - single(sigma * sigma))));
            Point { time: libm::atan2(sigma, alpha) * core::f64::consts::FRAC_2_PI, alpha, sigma }
        };
        let ladder = Ladder::new((0..=steps).map(point), Coordinate::Sigma)?.with_start(1.0);
        let method = Method::Ipndm { blind: true };
        Ok(Plan { ladder, prediction: Prediction::Velocity, clips: Clips::No, method, plms: None })
    }

    /// DPM-Solver in ε must not end at data.
    fn ends_where_it_can(&self, method: &Method, ladder: &Ladder) -> Result<(), Error> {
        let ends_at_data = ladder.points().last().is_some_and(|p| p.sigma == 0.0);
        match method {
            Method::Multistep(s) | Method::Singlestep(s) if s.form == Form::Noise && s.sde && ends_at_data => {
                let legal = "sigma_min for solvers of the SDE in epsilon";
                Err(Error::Setting { key: "final_sigmas_type".into(), got: String::from("zero"), legal })
            }
            _ => Ok(()),
        }
    }
}
