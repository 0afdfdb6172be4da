//! What a decoder says of data: p(x | z), independent numbers of one law each.

use alloc::string::String;
use core::{fmt, str::FromStr};

use yuragi_graph::{Tensor, op::Distribution};
use yuragi_nn::{Scope, init, loss};

/// The levels of 8-bit data, which [`Likelihood::Logistic`] and the diffusion model take as
/// x = (2·level + 1)/256 − 1, the middles of 256 bins that fill −1..1.
pub const LEVELS: usize = 256;
/// Half the width of a bin.
pub const HALF_BIN: f32 = 1.0 / LEVELS as f32;
/// What the logarithm of a scale is held to, up and down.
const LOG_SCALE: f32 = 7.0;

/// A law of single numbers, of which the decoder gives one parameter for each number; the scale, where there is one,
/// is learned for each column.
///
/// ```
/// use yuragi_models::likelihood::Likelihood;
/// assert_eq!("logistic".parse(), Ok(Likelihood::Logistic));
/// assert!("poisson".parse::<Likelihood>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Likelihood {
    /// 0 or 1, of the logit that is given.
    #[default]
    Bernoulli,
    /// Real numbers about the mean that is given.
    Gaussian,
    /// 8-bit levels: the logistic law about the mean that is given, summed over each of 256 bins; the outer two reach
    /// to infinity (Kingma et al. 2016; Salimans et al. 2017).
    Logistic,
}

impl Likelihood {
    /// All of them.
    pub const ALL: [Likelihood; 3] = [Likelihood::Bernoulli, Likelihood::Gaussian, Likelihood::Logistic];

    /// The name in settings and flags.
    pub fn name(self) -> &'static str {
        match self {
            Likelihood::Bernoulli => "bernoulli",
            Likelihood::Gaussian => "gaussian",
            Likelihood::Logistic => "logistic",
        }
    }

    /// ln p(x | parameters) of every number: parameters `[.., D]`, x the same or broadcast. Nats; densities for real
    /// numbers, probabilities for the others. Declares `log_scale [D]`.
    #[track_caller]
    pub fn log_density<'g>(self, s: &Scope<'g>, parameters: Tensor<'g>, x: Tensor<'g>) -> Tensor<'g> {
        match self {
            Likelihood::Bernoulli => -loss::bernoulli(parameters, x),
            Likelihood::Gaussian => {
                let log_scale = self.log_scale(s, parameters.dim(-1));
                let standard = (x - parameters) / log_scale.exp();
                -(standard * standard * 0.5 + log_scale + HALF_LN_TAU)
            }
            Likelihood::Logistic => logistic(x, parameters, self.log_scale(s, parameters.dim(-1))),
        }
    }

    /// The mean of the law.
    #[track_caller]
    pub fn mean(self, parameters: Tensor<'_>) -> Tensor<'_> {
        match self {
            Likelihood::Bernoulli => parameters.sigmoid(),
            Likelihood::Gaussian | Likelihood::Logistic => parameters,
        }
    }

    /// A draw; levels are drawn by inversion and rounded to the middle of their bin.
    #[track_caller]
    pub fn sample<'g>(self, s: &Scope<'g>, parameters: Tensor<'g>, key: Tensor<'g>, stream: u32) -> Tensor<'g> {
        let (b, shape) = (s.builder(), parameters.shape());
        let noise = |law| b.random(law, key, stream, &shape);
        match self {
            Likelihood::Bernoulli => noise(Distribution::Uniform).less(parameters.sigmoid()),
            Likelihood::Gaussian => {
                parameters + noise(Distribution::Normal) * self.log_scale(s, parameters.dim(-1)).exp()
            }
            Likelihood::Logistic => {
                let u = noise(Distribution::Uniform) * (1.0 - 1e-6) + 0.5e-6;
                let x = parameters + (u / (1.0 - u)).ln() * self.log_scale(s, parameters.dim(-1)).exp();
                let fill = |value: f32| b.fill(&[1], value, x.dtype());
                let level = ((x + 1.0) / (2.0 * HALF_BIN)).floor();
                let level = level.maximum(fill(0.0)).minimum(fill((LEVELS - 1) as f32));
                level * (2.0 * HALF_BIN) + (HALF_BIN - 1.0)
            }
        }
    }

    fn log_scale<'g>(self, s: &Scope<'g>, columns: usize) -> Tensor<'g> {
        let begin = if self == Likelihood::Logistic { yuragi_graph::Init::Constant(-2.0) } else { init::ZERO };
        let log_scale = s.param("log_scale", &[columns], begin);
        let bound = |value| s.builder().fill(&[1], value, log_scale.dtype());
        log_scale.maximum(bound(-LOG_SCALE)).minimum(bound(LOG_SCALE))
    }
}

/// ½·ln 2π.
pub(crate) const HALF_LN_TAU: f32 = 0.918_938_5;

/// ln of the logistic law's share of the bin about x, with a = (x + h − μ)/s and b = (x − h − μ)/s:
/// σ(a) − σ(b) = σ(a)·σ(−b)·(1 − e^(b−a)), which loses no digits. The lowest bin has only σ(a), the highest σ(−b).
#[track_caller]
fn logistic<'g>(x: Tensor<'g>, mean: Tensor<'g>, log_scale: Tensor<'g>) -> Tensor<'g> {
    let fill = |value: f32| x.builder().fill(&[1], value, x.dtype());
    let inverse = (-log_scale).exp();
    let (a, b) = ((x - mean + HALF_BIN) * inverse, (x - mean - HALF_BIN) * inverse);
    let above_lowest = fill(2.0 * HALF_BIN - 1.0).less(x);
    let below_highest = x.less(fill(1.0 - 2.0 * HALF_BIN));
    // 1 − e^(−2t) = 2·tanh t/(1 + tanh t).
    let t = (inverse * HALF_BIN).tanh();
    let width = (t * 2.0 / (t + 1.0)).ln();
    width * above_lowest * below_highest - (-a).softplus() * below_highest - b.softplus() * above_lowest
}

impl FromStr for Likelihood {
    type Err = String;

    fn from_str(text: &str) -> Result<Likelihood, String> {
        let found = Likelihood::ALL.into_iter().find(|law| law.name() == text);
        found.ok_or_else(|| "it must be bernoulli, gaussian or logistic".into())
    }
}

impl fmt::Display for Likelihood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
