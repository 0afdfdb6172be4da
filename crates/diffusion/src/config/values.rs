//! The values of a configuration by their keys.

use super::{AlgorithmType, BetaSchedule, Config, PredictionType, SolverType, TimestepSpacing, VarianceType};
use crate::error::Error;
use alloc::{format, string::String, vec::Vec};

/// A value as JSON has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// `null`, and an empty list.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A string.
    Text(&'a str),
    /// A list of numbers.
    Numbers(&'a [f64]),
}

/// The value, or what would be legal.
type Read<T> = Result<Option<T>, &'static str>;

impl Value<'_> {
    fn bool(self) -> Read<bool> {
        match self {
            Self::Null => Ok(None),
            Self::Bool(value) => Ok(Some(value)),
            _ => Err("true or false"),
        }
    }

    fn number(self) -> Read<f64> {
        match self {
            Self::Null => Ok(None),
            Self::Number(value) if value.is_finite() => Ok(Some(value)),
            _ => Err("a finite number"),
        }
    }

    fn count(self) -> Read<usize> {
        match self {
            Self::Null => Ok(None),
            Self::Number(value) if (0.0..=1e6).contains(&value) && libm::floor(value) == value => {
                Ok(Some(value as usize))
            }
            _ => Err("a whole number from 0 to 1000000"),
        }
    }

    fn one_of<T: Copy>(self, all: &[(&str, T)], legal: &'static str) -> Read<T> {
        match self {
            Self::Null => Ok(None),
            Self::Text(text) => all.iter().find(|(name, _)| *name == text).map(|(_, value)| Some(*value)).ok_or(legal),
            _ => Err(legal),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Bool(value) => format!("{value}"),
            Self::Number(value) => format!("{value}"),
            Self::Text(text) => format!("{text:?}"),
            Self::Numbers(all) => format!("a list of {} numbers", all.len()),
        }
    }
}

impl Config {
    /// Takes the value of one key of the file; whether the key means anything
    /// to a sampler.
    ///
    /// # Errors
    /// [`Error::Setting`]: a value that the key cannot have.
    pub fn set(&mut self, key: &str, value: Value<'_>) -> Result<bool, Error> {
        let taken = self.take(key, value);
        taken.map_err(|legal| Error::Setting { key: key.into(), got: value.text(), legal })
    }

    fn take(&mut self, key: &str, value: Value<'_>) -> Result<bool, &'static str> {
        match key {
            "_class_name" => {
                self.class_name = match value {
                    Value::Null => None,
                    Value::Text(name) => Some(name.into()),
                    _ => return Err("the name of a scheduler"),
                }
            }
            "num_train_timesteps" => self.num_train_timesteps = value.count()?,
            "beta_start" => self.beta_start = value.number()?,
            "beta_end" => self.beta_end = value.number()?,
            "beta_schedule" => {
                let all = [
                    ("linear", BetaSchedule::Linear),
                    ("scaled_linear", BetaSchedule::ScaledLinear),
                    ("squaredcos_cap_v2", BetaSchedule::Cosine),
                    ("exp", BetaSchedule::Exponential),
                    ("laplace", BetaSchedule::Laplace),
                    ("sigmoid", BetaSchedule::Sigmoid),
                ];
                self.beta_schedule =
                    value.one_of(&all, "linear, scaled_linear, squaredcos_cap_v2, exp, laplace or sigmoid")?;
            }
            "trained_betas" => {
                self.trained_betas = match value {
                    Value::Null => None,
                    Value::Numbers(all) => Some(Vec::from(all)),
                    _ => return Err("a list of numbers"),
                }
            }
            "rescale_betas_zero_snr" => self.rescale_betas_zero_snr = value.bool()?,
            "prediction_type" => {
                let all = [
                    ("epsilon", PredictionType::Epsilon),
                    ("sample", PredictionType::Sample),
                    ("original_sample", PredictionType::Sample),
                    ("v_prediction", PredictionType::Velocity),
                    ("flow_prediction", PredictionType::Flow),
                    ("trigflow", PredictionType::Velocity),
                ];
                self.prediction_type =
                    value.one_of(&all, "epsilon, sample, v_prediction, flow_prediction or trigflow")?;
            }
            "timestep_spacing" => {
                let all = [
                    ("linspace", TimestepSpacing::Linspace),
                    ("leading", TimestepSpacing::Leading),
                    ("trailing", TimestepSpacing::Trailing),
                ];
                self.timestep_spacing = value.one_of(&all, "linspace, leading or trailing")?;
            }
            "timestep_type" => {
                let all = [("discrete", false), ("continuous", true)];
                self.timestep_continuous = value.one_of(&all, "discrete or continuous")?;
            }
            "steps_offset" => self.steps_offset = value.count()?,
            "set_alpha_to_one" => self.set_alpha_to_one = value.bool()?,
            "clip_sample" => self.clip_sample = value.bool()?,
            "clip_sample_range" => self.clip_sample_range = value.number()?,
            "thresholding" => self.thresholding = value.bool()?,
            "dynamic_thresholding_ratio" => self.dynamic_thresholding_ratio = value.number()?,
            "sample_max_value" => self.sample_max_value = value.number()?,
            "use_karras_sigmas" => self.use_karras_sigmas = value.bool()?,
            "use_exponential_sigmas" => self.use_exponential_sigmas = value.bool()?,
            "use_beta_sigmas" => self.use_beta_sigmas = value.bool()?,
            "use_lu_lambdas" => self.use_lu_lambdas = value.bool()?,
            "use_flow_sigmas" => self.use_flow_sigmas = value.bool()?,
            "flow_shift" => self.flow_shift = value.number()?,
            "shift" => self.shift = value.number()?,
            "sigma_min" => self.sigma_min = value.number()?,
            "sigma_max" => self.sigma_max = value.number()?,
            "sigma_data" => self.sigma_data = value.number()?,
            "sigma_schedule" => {
                let all = [("karras", false), ("exponential", true)];
                self.sigma_schedule_exponential = value.one_of(&all, "karras or exponential")?;
            }
            "rho" => self.rho = value.number()?,
            "interpolation_type" => {
                let all = [("linear", false), ("log_linear", true)];
                self.interpolation_log_linear = value.one_of(&all, "linear or log_linear")?;
            }
            "final_sigmas_type" => {
                let all = [("zero", true), ("sigma_min", false)];
                self.final_sigmas_zero = value.one_of(&all, "zero or sigma_min")?;
            }
            "algorithm_type" => {
                let all = [
                    ("dpmsolver", AlgorithmType::DpmSolver),
                    ("dpmsolver++", AlgorithmType::DpmSolverPlusPlus),
                    ("sde-dpmsolver", AlgorithmType::SdeDpmSolver),
                    ("sde-dpmsolver++", AlgorithmType::SdeDpmSolverPlusPlus),
                    ("deis", AlgorithmType::Deis),
                    ("data_prediction", AlgorithmType::DataPrediction),
                    ("noise_prediction", AlgorithmType::NoisePrediction),
                ];
                self.algorithm_type = value.one_of(
                    &all,
                    "dpmsolver, dpmsolver++, sde-dpmsolver, sde-dpmsolver++, deis, data_prediction or noise_prediction",
                )?;
            }
            "solver_order" => self.solver_order = value.count()?,
            "solver_type" => {
                let all = [
                    ("midpoint", SolverType::Midpoint),
                    ("heun", SolverType::Heun),
                    ("logrho", SolverType::LogRho),
                    ("bh1", SolverType::Bh1),
                    ("bh2", SolverType::Bh2),
                ];
                self.solver_type = value.one_of(&all, "midpoint, heun, logrho, bh1 or bh2")?;
            }
            "predictor_order" => self.predictor_order = value.count()?,
            "corrector_order" => self.corrector_order = value.count()?,
            "predict_x0" => self.predict_x0 = value.bool()?,
            "lower_order_final" => self.lower_order_final = value.bool()?,
            "euler_at_final" => self.euler_at_final = value.bool()?,
            // JSON has no infinity; Python writes one that some readers keep.
            "lambda_min_clipped" => {
                self.lambda_min_clipped = match value {
                    Value::Number(value) if value == f64::NEG_INFINITY => None,
                    value => value.number()?,
                }
            }
            "variance_type" => {
                let all = [
                    ("fixed_small", VarianceType::FixedSmall),
                    ("fixed_small_log", VarianceType::FixedSmall),
                    ("fixed_large", VarianceType::FixedLarge),
                    ("learned", VarianceType::Learned),
                    ("learned_range", VarianceType::LearnedRange),
                ];
                self.variance_type =
                    value.one_of(&all, "fixed_small, fixed_small_log, fixed_large, learned or learned_range")?;
            }
            "skip_prk_steps" => self.skip_prk_steps = value.bool()?,
            "original_inference_steps" => self.original_inference_steps = value.count()?,
            "timestep_scaling" => self.timestep_scaling = value.number()?,
            "s_churn" => self.s_churn = value.number()?,
            "s_tmin" => self.s_tmin = value.number()?,
            // JSON has no infinity here, either.
            "s_tmax" => {
                self.s_tmax = match value {
                    Value::Number(f64::INFINITY) => None,
                    value => value.number()?,
                }
            }
            "s_noise" => self.s_noise = value.number()?,
            "clip_denoised" => self.clip_denoised = value.bool()?,
            "stochastic_sampling" => self.stochastic_sampling = value.bool()?,
            // What no sampler here does must not be asked for.
            "disable_corrector" | "solver_p" | "shift_terminal" => match value {
                Value::Null => {}
                _ => return Err("null: it is not supported"),
            },
            "use_dynamic_shifting" | "invert_sigmas" => match value.bool()? {
                None | Some(false) => {}
                Some(true) => return Err("false: it is not supported"),
            },
            _ => return Ok(false),
        }
        Ok(true)
    }
}
