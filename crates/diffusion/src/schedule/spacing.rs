//! Where on a schedule a shorter ladder's points lie.

use crate::error::{Error, range};
use alloc::vec::Vec;
use core::{fmt, str::FromStr};

/// Which noise levels a ladder visits.
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
    /// Equal steps from the last timestep to 0, which is left out, at
    /// fractional timesteps: the `SGM Uniform` of web interfaces.
    SgmUniform,
    /// Karras et al. 2022: equal steps of (σ/α)^(1/ρ); fractional timesteps.
    Karras {
        /// The exponent ρ, commonly 7.
        rho: f64,
    },
    /// Equal steps of ln(σ/α); fractional timesteps.
    Exponential,
    /// σ/α at quantiles of the beta distribution with both shapes equal (Lee
    /// et al. 2024, arXiv 2407.12173): denser at both ends.
    Beta {
        /// The shape, commonly 0.6.
        shape: f64,
    },
}

impl Spacing {
    /// The legal names, as [`FromStr`] reads them.
    pub const NAMES: &str = "trailing, leading, linspace, sgm-uniform, karras, exponential, beta";

    /// `steps` values from `max` to `min`, for spacings of σ/α itself; `None`
    /// for those of timesteps.
    pub(crate) fn values(self, steps: usize, min: f64, max: f64) -> Result<Option<Vec<f64>>, Error> {
        let check = |steps: usize| {
            range("the number of steps", steps as f64, steps >= 1, "at least 1")?;
            range("sigma_min", min, min > 0.0, "positive")?;
            range("sigma_max", max, max > min && max.is_finite(), "finite and above sigma_min")
        };
        let values: Vec<f64> = match self {
            Self::Trailing | Self::Leading { .. } | Self::Linspace | Self::SgmUniform => return Ok(None),
            Self::Karras { rho } => {
                check(steps)?;
                range("rho", rho, rho > 0.0 && rho.is_finite(), "positive and finite")?;
                let root = |sigma| libm::pow(sigma, 1.0 / rho);
                linspace(root(max), root(min), steps).map(|root| libm::pow(root, rho)).collect()
            }
            Self::Exponential => {
                check(steps)?;
                linspace(libm::log(max), libm::log(min), steps).map(libm::exp).collect()
            }
            Self::Beta { shape } => {
                check(steps)?;
                range("the beta distribution's shape", shape, (0.1..=10.0).contains(&shape), "from 0.1 to 10")?;
                linspace(1.0, 0.0, steps).map(|p| min + beta_quantile(p, shape) * (max - min)).collect()
            }
        };
        // The first is exact.
        Ok(Some(values.into_iter().enumerate().map(|(i, value)| if i == 0 { max } else { value }).collect()))
    }
}

impl fmt::Display for Spacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Trailing => "trailing",
            Self::Leading { .. } => "leading",
            Self::Linspace => "linspace",
            Self::SgmUniform => "sgm-uniform",
            Self::Karras { .. } => "karras",
            Self::Exponential => "exponential",
            Self::Beta { .. } => "beta",
        })
    }
}

/// Reads a name however its letters are cased and its words are joined; with
/// the common exponents, and no offset.
impl FromStr for Spacing {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Ok(match &*crate::names::plain(name) {
            "trailing" => Self::Trailing,
            "leading" => Self::Leading { offset: 0 },
            "linspace" => Self::Linspace,
            "sgmuniform" => Self::SgmUniform,
            "karras" => Self::Karras { rho: 7.0 },
            "exponential" | "polyexponential" => Self::Exponential,
            "beta" => Self::Beta { shape: 0.6 },
            _ => return Err(Error::Name { what: "schedule", got: name.into(), legal: Self::NAMES }),
        })
    }
}

/// `n` values from `start` to `end`, both included; only `start` if n = 1.
pub(crate) fn linspace(start: f64, end: f64, n: usize) -> impl Iterator<Item = f64> {
    (0..n).map(move |i| if i == 0 { start } else { start + (end - start) * (i as f64 / (n - 1) as f64) })
}

/// The x of \[0, 1\] below which Beta(a, a) has the mass p.
fn beta_quantile(p: f64, a: f64) -> f64 {
    if p >= 0.5 {
        return if p == 0.5 { 0.5 } else { 1.0 - beta_quantile(1.0 - p, a) };
    }
    // The mass grows like x^a: bisection in its logarithm.
    let (mut low, mut high) = (-800.0, libm::log(0.5));
    if p <= beta_mass(libm::exp(low), a) {
        return 0.0;
    }
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if beta_mass(libm::exp(middle), a) < p { low = middle } else { high = middle }
    }
    libm::exp(0.5 * (low + high))
}

/// The mass of Beta(a, a) below x ≤ ½, by the series
/// xᵃ(1−x)ᵃ/(a·B)·Σ Π (2a+n)/(a+1+n)·x (DLMF 8.17.7, 8.17.8).
fn beta_mass(x: f64, a: f64) -> f64 {
    let log_beta = 2.0 * libm::lgamma(a) - libm::lgamma(2.0 * a);
    let (mut term, mut sum) = (1.0, 0.0);
    for n in 0..400 {
        sum += term;
        term *= (2.0 * a + f64::from(n)) / (a + 1.0 + f64::from(n)) * x;
        if term < 1e-17 * sum {
            break;
        }
    }
    libm::exp(a * (libm::log(x) + libm::log1p(-x)) - log_beta) / a * sum
}
