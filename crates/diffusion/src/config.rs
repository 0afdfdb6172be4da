//! What a `scheduler_config.json` of diffusers means.
//!
//! [`Config`] holds the file's values, each under its key there, and
//! [`Config::plan`] does what `XScheduler.from_config(config)` and
//! `set_timesteps(steps)` do in diffusers 0.42: from the values that the file
//! has, and from the scheduler's own defaults for those that it has not,
//! follow the ladder of noise levels, the sampler on it, and what the network
//! reads and predicts. The states are then diffusers' step by step, with the
//! ways of each of its schedulers:
//!
//! - Euler, Heun, LMS, DPM2, their ancestral forms and DPM++ SDE keep x/α and
//!   scale what the network reads; all others keep x.
//! - Schedules are held in single precision, and β from 0 to 1 as there.
//! - DDIM and PNDM step by T/steps timesteps, rounded down, also where the
//!   network's timesteps lie otherwise.
//! - DDIM keeps the network's ε where it clips x₀.
//! - PNDM takes its first step twice, or three of four evaluations, and
//!   combines v as it is.
//! - LMS, begun late, takes the slopes before its beginning for 0.
//! - DPM-Solver and DEIS lower their order at the end of fewer than 15 steps.
//! - The third-order SDE solver gives one term another sign than its source.
//! - DEIS, UniPC and SA-Solver cut fractional timesteps off; DEIS and
//!   SA-Solver do not end at data.
//! - IPNDM has a schedule of its own, and takes x₀ for 0 where it begins.
//! - LCM and TCD take every k-th of the timesteps of their distillation.
//! - Consistency models keep x where data have the least noise, and end there.
//! - The network of `learned` and `learned_range` tells DDPM's variance, too:
//!   see [`Sampler::outputs`](crate::Sampler::outputs).
//! - Euler's `s_churn` adds its noise when the network has spoken.
//!
//! Of diffusers' other classes some are no samplers from noise to a picture
//! (inversions, RePaint's way back up, decoders), some draw discrete tokens,
//! sounds, films or proteins, and those of Score SDE and Karras VE are
//! deprecated: [`Kind::Stochastic`] is the latter's source.

mod continuous;
mod plan;
mod plms;
mod timesteps;
mod values;

pub use self::{plan::Plan, values::Value};
use crate::error::Error;
use crate::sampler::Kind;
use alloc::{string::String, vec::Vec};

/// The values of a `scheduler_config.json`; `None` where the file has none.
///
/// ```
/// use yuragi_diffusion::{Config, config::Value};
/// # fn main() -> Result<(), yuragi_diffusion::Error> {
/// let mut config = Config::default();
/// config.set("_class_name", Value::Text("PNDMScheduler"))?;
/// config.set("beta_schedule", Value::Text("scaled_linear"))?;
/// config.set("beta_start", Value::Number(0.00085))?;
/// config.set("beta_end", Value::Number(0.012))?;
/// config.set("steps_offset", Value::Number(1.0))?;
/// config.set("skip_prk_steps", Value::Bool(true))?;
/// let plan = config.plan(Some("DPM++ 2M Karras".parse()?), 20)?;
/// assert_eq!(plan.ladder.points()[0].time, 999.0);
/// let sampler = plan.sampler(4 * 64 * 64, 4 * 64 * 64)?;
/// assert_eq!(sampler.evaluations(), 20);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the keys are documented by diffusers")]
pub struct Config {
    /// `_class_name`, without which a scheduler must be chosen.
    pub class_name: Option<String>,
    pub num_train_timesteps: Option<usize>,
    pub beta_start: Option<f64>,
    pub beta_end: Option<f64>,
    pub beta_schedule: Option<BetaSchedule>,
    pub trained_betas: Option<Vec<f64>>,
    pub rescale_betas_zero_snr: Option<bool>,
    pub prediction_type: Option<PredictionType>,
    pub timestep_spacing: Option<TimestepSpacing>,
    pub timestep_continuous: Option<bool>,
    pub steps_offset: Option<usize>,
    pub set_alpha_to_one: Option<bool>,
    pub clip_sample: Option<bool>,
    pub clip_sample_range: Option<f64>,
    pub thresholding: Option<bool>,
    pub dynamic_thresholding_ratio: Option<f64>,
    pub sample_max_value: Option<f64>,
    pub use_karras_sigmas: Option<bool>,
    pub use_exponential_sigmas: Option<bool>,
    pub use_beta_sigmas: Option<bool>,
    pub use_lu_lambdas: Option<bool>,
    pub use_flow_sigmas: Option<bool>,
    pub flow_shift: Option<f64>,
    /// `shift` of the flow-matching schedulers.
    pub shift: Option<f64>,
    pub sigma_min: Option<f64>,
    pub sigma_max: Option<f64>,
    pub sigma_data: Option<f64>,
    pub sigma_schedule_exponential: Option<bool>,
    pub rho: Option<f64>,
    pub interpolation_log_linear: Option<bool>,
    pub final_sigmas_zero: Option<bool>,
    pub algorithm_type: Option<AlgorithmType>,
    pub solver_order: Option<usize>,
    pub solver_type: Option<SolverType>,
    pub predictor_order: Option<usize>,
    pub corrector_order: Option<usize>,
    pub predict_x0: Option<bool>,
    pub lower_order_final: Option<bool>,
    pub euler_at_final: Option<bool>,
    pub lambda_min_clipped: Option<f64>,
    pub variance_type: Option<VarianceType>,
    pub skip_prk_steps: Option<bool>,
    pub original_inference_steps: Option<usize>,
    pub timestep_scaling: Option<f64>,
    pub stochastic_sampling: Option<bool>,
    /// The four arguments of some schedulers' `step`; `s_noise` is a value of
    /// the file of consistency models, too.
    pub s_churn: Option<f64>,
    pub s_tmin: Option<f64>,
    pub s_tmax: Option<f64>,
    pub s_noise: Option<f64>,
    /// Of consistency models, which clip unless it is false.
    pub clip_denoised: Option<bool>,
}

/// `beta_schedule`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BetaSchedule {
    /// β in equal steps.
    Linear,
    /// √β in equal steps.
    ScaledLinear,
    /// `squaredcos_cap_v2`: Nichol and Dhariwal's.
    Cosine,
    /// `exp`: ᾱ = e^(−12t).
    Exponential,
    /// Hang and Gu 2024.
    Laplace,
    /// GeoDiff's.
    Sigmoid,
}

/// `prediction_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PredictionType {
    /// ε.
    Epsilon,
    /// x₀.
    Sample,
    /// v; `trigflow` of consistency models in continuous time, too.
    Velocity,
    /// ε − x₀.
    Flow,
}

/// `timestep_spacing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestepSpacing {
    /// Both ends.
    Linspace,
    /// From `steps_offset` on.
    Leading,
    /// Up to the last timestep.
    Trailing,
}

/// `algorithm_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlgorithmType {
    /// `dpmsolver`.
    DpmSolver,
    /// `dpmsolver++`.
    DpmSolverPlusPlus,
    /// `sde-dpmsolver`.
    SdeDpmSolver,
    /// `sde-dpmsolver++`.
    SdeDpmSolverPlusPlus,
    /// `deis`.
    Deis,
    /// SA-Solver in x₀.
    DataPrediction,
    /// SA-Solver in ε.
    NoisePrediction,
}

/// `solver_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SolverType {
    /// DPM-Solver's midpoint form.
    Midpoint,
    /// DPM-Solver's Heun form.
    Heun,
    /// DEIS.
    LogRho,
    /// UniPC with B(h) = h.
    Bh1,
    /// UniPC with B(h) = e^h − 1.
    Bh2,
}

/// `variance_type` of DDPM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VarianceType {
    /// `fixed_small` and `fixed_small_log`: the posterior's.
    FixedSmall,
    /// `fixed_large`: β.
    FixedLarge,
    /// `learned`: the network's own.
    Learned,
    /// `learned_range`: between the two, where the network says.
    LearnedRange,
}

impl Config {
    /// That of Stable Diffusion's checkpoints, which come without a file of
    /// their own: PNDM without Runge–Kutta steps, √β in equal steps from
    /// 0.00085 to 0.012, timesteps from 1 on.
    pub fn stable_diffusion(prediction: PredictionType) -> Self {
        Self {
            class_name: Some("PNDMScheduler".into()),
            num_train_timesteps: Some(1000),
            beta_start: Some(0.00085),
            beta_end: Some(0.012),
            beta_schedule: Some(BetaSchedule::ScaledLinear),
            prediction_type: Some(prediction),
            steps_offset: Some(1),
            set_alpha_to_one: Some(false),
            clip_sample: Some(false),
            skip_prk_steps: Some(true),
            ..Self::default()
        }
    }

    /// The sampler of the configuration's own scheduler; of DPM-Solvers the one
    /// with its order and equation.
    ///
    /// # Errors
    /// A scheduler that is not known.
    pub fn own(&self) -> Result<Kind, Error> {
        use AlgorithmType::{DpmSolver, DpmSolverPlusPlus, SdeDpmSolverPlusPlus};
        let kind = match self.class_name.as_deref().unwrap_or_default() {
            // These draw as latent consistency models do, on noise levels of their own.
            "CMStochasticIterativeScheduler" | "SCMScheduler" => Kind::Lcm,
            class => class.parse()?,
        };
        let algorithm = self.algorithm_type.unwrap_or(DpmSolverPlusPlus);
        Ok(match (kind, algorithm, self.solver_order.unwrap_or(2)) {
            (Kind::DpmPlusPlus2M, DpmSolverPlusPlus, 3) => Kind::DpmPlusPlus3M,
            (Kind::DpmPlusPlus2M, SdeDpmSolverPlusPlus, 2) => Kind::DpmPlusPlus2MSde,
            (Kind::DpmPlusPlus2M, SdeDpmSolverPlusPlus, 3) => Kind::DpmPlusPlus3MSde,
            (Kind::DpmPlusPlus2M, DpmSolver, 2) => Kind::Dpm2M,
            (Kind::DpmPlusPlus2M, DpmSolver, 3) => Kind::Dpm3M,
            (Kind::DpmPlusPlus2S, DpmSolverPlusPlus, 3) => Kind::DpmPlusPlus3S,
            (kind, ..) => kind,
        })
    }
}
