//! The names of samplers.

use super::churn::Churn;
use crate::error::{Error, range};
use crate::names::plain;
use crate::schedule::Spacing;
use alloc::{format, string::String, vec::Vec};
use core::{fmt, str::FromStr};

/// The samplers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Ancestral sampling from the posterior q(z_s | z_t, x₀).
    Ddpm,
    /// Denoising diffusion implicit models; deterministic at `eta` 0.
    Ddim {
        /// The share of the ancestral noise, 0 to 1.
        eta: f64,
    },
    /// Pseudo numerical methods (Liu et al. 2022): Adams–Bashforth of fourth
    /// order on ε, begun with Runge–Kutta steps of four evaluations.
    Pndm,
    /// The same begun with one step that is taken twice: the PLMS of the
    /// original Stable Diffusion.
    Plms,
    /// Euler's method on the probability-flow ODE: first order.
    Euler,
    /// Euler's method with ancestral noise.
    EulerAncestral,
    /// Heun's method: second order, two evaluations a step.
    Heun,
    /// The linear multistep method, Adams–Bashforth of fourth order in σ/α.
    Lms,
    /// DPM-Solver-2 (Lu et al. 2022; Karras et al. 2022): the midpoint method,
    /// two evaluations a step.
    Dpm2,
    /// The same with ancestral noise.
    Dpm2Ancestral,
    /// The second-order multistep DPM-Solver++.
    DpmPlusPlus2M,
    /// The third-order multistep DPM-Solver++, by the formula in use: it counts
    /// the second difference of estimates once, where the third order needs it
    /// twice, and so converges at the second.
    DpmPlusPlus3M,
    /// The second-order multistep DPM-Solver++ for the reverse SDE, with
    /// ancestral noise.
    DpmPlusPlus2MSde,
    /// The third-order multistep DPM-Solver++ for the reverse SDE.
    DpmPlusPlus3MSde,
    /// The second-order singlestep DPM-Solver++; its steps go in pairs.
    DpmPlusPlus2S,
    /// The third-order singlestep DPM-Solver++; its steps go in threes.
    DpmPlusPlus3S,
    /// The second-order singlestep DPM-Solver++ with ancestral noise, two
    /// evaluations a step.
    DpmPlusPlus2SAncestral,
    /// DPM-Solver++ of the reverse SDE, two evaluations a step.
    DpmPlusPlusSde,
    /// The second-order multistep DPM-Solver, in ε.
    Dpm2M,
    /// The third-order multistep DPM-Solver, in ε, by the same formula.
    Dpm3M,
    /// The unified predictor–corrector of second order, B(h) = e^h − 1 (Zhao
    /// et al. 2023).
    UniPc,
    /// The exponential integrator of second order in ln(σ/α) (Zhang and Chen
    /// 2023).
    Deis,
    /// The stochastic Adams method with predictor and corrector of second
    /// order, and noise at timesteps from 200 to 800 (Xue et al. 2023).
    SaSolver,
    /// Adams–Bashforth of fourth order on ε, begun with the lower orders.
    Ipndm,
    /// Latent consistency models: back to x₀ and fresh noise at every step.
    Lcm,
    /// Trajectory consistency distillation (Zheng et al. 2024): back to a
    /// share of the next step's time, and noise up to that step.
    Tcd {
        /// How far beyond the next step it goes back, 0 to 1: γ of the paper,
        /// `eta` in diffusers. 0 adds no noise.
        gamma: f64,
    },
    /// Euler's, Heun's or the midpoint method, each step after some fresh
    /// noise (Karras et al. 2022, algorithm 2): `heun:40:0.05:50:1.003` is
    /// Heun's with S_churn, S_tmin, S_tmax and S_noise, `euler:40` all steps
    /// of Euler's.
    Stochastic {
        /// The method.
        method: Stochastic,
        /// The noise.
        churn: Churn,
    },
}

/// The methods of [`Kind::Stochastic`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stochastic {
    /// [`Kind::Euler`].
    Euler,
    /// [`Kind::Heun`].
    Heun,
    /// [`Kind::Dpm2`].
    Midpoint,
}

/// The names of samplers, as [`FromStr`] reads them.
pub const NAMES: &str = "ddpm, ddim, ddim:ETA, pndm, plms, euler, euler-a, heun, lms, dpm2, dpm2-a, dpm++2m, dpm++3m, \
dpm++2m-sde, dpm++3m-sde, dpm++2s, dpm++3s, dpm++2s-a, dpm++sde, dpm2m, dpm3m, unipc, deis, sa-solver, ipndm, lcm, tcd, tcd:GAMMA, \
euler:CHURN, heun:CHURN, dpm2:CHURN, and these with :SIGMA_MIN:SIGMA_MAX:NOISE behind CHURN";

/// Every sampler: its name here, its name in web interfaces and its class in
/// diffusers, if it has one by itself.
const ALL: [(Kind, &str, &str, &str); 26] = [
    (Kind::Ddpm, "ddpm", "DDPM", "DDPMScheduler"),
    (Kind::Ddim { eta: 0.0 }, "ddim", "DDIM", "DDIMScheduler"),
    (Kind::Pndm, "pndm", "PNDM", "PNDMScheduler"),
    (Kind::Plms, "plms", "PLMS", ""),
    (Kind::Euler, "euler", "Euler", "EulerDiscreteScheduler"),
    (Kind::EulerAncestral, "euler-a", "Euler a", "EulerAncestralDiscreteScheduler"),
    (Kind::Heun, "heun", "Heun", "HeunDiscreteScheduler"),
    (Kind::Lms, "lms", "LMS", "LMSDiscreteScheduler"),
    (Kind::Dpm2, "dpm2", "DPM2", "KDPM2DiscreteScheduler"),
    (Kind::Dpm2Ancestral, "dpm2-a", "DPM2 a", "KDPM2AncestralDiscreteScheduler"),
    (Kind::DpmPlusPlus2M, "dpm++2m", "DPM++ 2M", "DPMSolverMultistepScheduler"),
    (Kind::DpmPlusPlus3M, "dpm++3m", "DPM++ 3M", ""),
    (Kind::DpmPlusPlus2MSde, "dpm++2m-sde", "DPM++ 2M SDE", ""),
    (Kind::DpmPlusPlus3MSde, "dpm++3m-sde", "DPM++ 3M SDE", ""),
    (Kind::DpmPlusPlus2S, "dpm++2s", "DPM++ 2S", "DPMSolverSinglestepScheduler"),
    (Kind::DpmPlusPlus3S, "dpm++3s", "DPM++ 3S", ""),
    (Kind::DpmPlusPlus2SAncestral, "dpm++2s-a", "DPM++ 2S a", ""),
    (Kind::DpmPlusPlusSde, "dpm++sde", "DPM++ SDE", "DPMSolverSDEScheduler"),
    (Kind::Dpm2M, "dpm2m", "DPM 2M", ""),
    (Kind::Dpm3M, "dpm3m", "DPM 3M", ""),
    (Kind::UniPc, "unipc", "UniPC", "UniPCMultistepScheduler"),
    (Kind::Deis, "deis", "DEIS", "DEISMultistepScheduler"),
    (Kind::SaSolver, "sa-solver", "SA-Solver", "SASolverScheduler"),
    (Kind::Ipndm, "ipndm", "IPNDM", "IPNDMScheduler"),
    (Kind::Lcm, "lcm", "LCM", "LCMScheduler"),
    (Kind::Tcd { gamma: TCD_GAMMA }, "tcd", "TCD", "TCDScheduler"),
];

/// What [`Kind::Tcd`] takes unless it is told: `TCDScheduler`'s η.
const TCD_GAMMA: f64 = 0.3;

/// Other spellings of some names.
const ALIASES: [(&str, Kind); 15] = [
    ("eulerancestral", Kind::EulerAncestral),
    ("keulera", Kind::EulerAncestral),
    ("dpm2ancestral", Kind::Dpm2Ancestral),
    ("kdpm2", Kind::Dpm2),
    ("kdpm2a", Kind::Dpm2Ancestral),
    ("kdpm2ancestral", Kind::Dpm2Ancestral),
    ("dpm++2sancestral", Kind::DpmPlusPlus2SAncestral),
    ("flowmatcheulerdiscrete", Kind::Euler),
    ("flowmatchheundiscrete", Kind::Heun),
    ("flowmatchlcm", Kind::Lcm),
    ("ddpmparallel", Kind::Ddpm),
    ("ddimparallel", Kind::Ddim { eta: 0.0 }),
    ("edmeuler", Kind::Euler),
    ("edmdpmsolvermultistep", Kind::DpmPlusPlus2M),
    ("unclip", Kind::Ddpm),
];

impl Kind {
    /// Every sampler, with the η and γ that their names alone mean.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.into_iter().map(|(kind, ..)| kind)
    }

    /// The sampler without fresh noise before its steps.
    pub(crate) fn plain(self) -> Self {
        match self {
            Self::Stochastic { method: Stochastic::Euler, .. } => Self::Euler,
            Self::Stochastic { method: Stochastic::Heun, .. } => Self::Heun,
            Self::Stochastic { method: Stochastic::Midpoint, .. } => Self::Dpm2,
            kind => kind,
        }
    }

    /// The name in web interfaces, which [`FromStr`] reads, too.
    pub fn label(self) -> String {
        match (self, self.entry()) {
            (Self::Stochastic { churn, .. }, (_, _, label, _)) => format!("{label}{churn}"),
            (Self::Ddim { eta }, _) if eta != 0.0 => format!("DDIM:{eta}"),
            (Self::Tcd { gamma }, _) if gamma != TCD_GAMMA => format!("TCD:{gamma}"),
            (_, (_, _, label, _)) => label.into(),
        }
    }

    fn entry(self) -> (Self, &'static str, &'static str, &'static str) {
        let same = |kind: Self| core::mem::discriminant(&kind) == core::mem::discriminant(&self.plain());
        ALL.into_iter().find(|(kind, ..)| same(*kind)).unwrap_or(ALL[0])
    }

    /// Checks η, γ and the churn.
    pub(crate) fn check(self) -> Result<(), Error> {
        match self {
            Self::Ddim { eta } => range("eta", eta, (0.0..=1.0).contains(&eta), "from 0 to 1"),
            Self::Tcd { gamma } => range("gamma", gamma, (0.0..=1.0).contains(&gamma), "from 0 to 1"),
            Self::Stochastic { churn, .. } => churn.check(),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, name, ..) = self.entry();
        match *self {
            Self::Ddim { eta } if eta != 0.0 => write!(f, "{name}:{eta}"),
            Self::Tcd { gamma } if gamma != TCD_GAMMA => write!(f, "{name}:{gamma}"),
            Self::Stochastic { churn, .. } => write!(f, "{name}{churn}"),
            _ => f.pad(name),
        }
    }
}

/// Reads the name here, in web interfaces or of diffusers' class, however its
/// letters are cased and its words are joined: `Euler a`, `euler_a`,
/// `k_euler_a` and `EulerAncestralDiscreteScheduler` are one.
impl FromStr for Kind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        // Numbers keep their signs, which joined words lose.
        let (words, numbers) = name.split_once(':').map_or((name, None), |(words, numbers)| (words, Some(numbers)));
        let text = plain(words);
        let text = text.strip_suffix("scheduler").unwrap_or(&text);
        let named = |text: &str| {
            let is = |name: &str| {
                let name = plain(name);
                !name.is_empty() && name.strip_suffix("scheduler").unwrap_or(&name) == text
            };
            let entry = ALL.into_iter().find(|(_, here, _, class)| is(here) || is(class));
            let alias = ALIASES.into_iter().find(|(alias, _)| *alias == text).map(|(_, kind)| kind);
            entry.map(|(kind, ..)| kind).or(alias)
        };
        let unknown = || Error::Name { what: "sampler", got: name.into(), legal: NAMES };
        let kind = named(text).or_else(|| named(text.strip_prefix('k')?)).ok_or_else(unknown)?;
        let Some(numbers) = numbers else { return Ok(kind) };
        let numbers = numbers.split(':').map(|number| number.trim().parse().ok());
        let numbers = numbers.collect::<Option<Vec<f64>>>().ok_or_else(unknown)?;
        let churn = match numbers[..] {
            [amount] => Some(Churn { amount, ..Churn::default() }),
            [amount, from, to] => Some(Churn { amount, from, to, ..Churn::default() }),
            [amount, from, to, noise] => Some(Churn { amount, from, to, noise }),
            _ => None,
        };
        let stochastic = |method| churn.map(|churn| Self::Stochastic { method, churn });
        let kind = match (kind, &numbers[..]) {
            (Self::Ddim { .. }, [eta]) => Some(Self::Ddim { eta: *eta }),
            (Self::Tcd { .. }, [gamma]) => Some(Self::Tcd { gamma: *gamma }),
            (Self::Euler, _) => stochastic(Stochastic::Euler),
            (Self::Heun, _) => stochastic(Stochastic::Heun),
            (Self::Dpm2, _) => stochastic(Stochastic::Midpoint),
            _ => None,
        };
        let kind = kind.ok_or_else(unknown)?;
        kind.check()?;
        Ok(kind)
    }
}

/// A sampler and the spacing that its name may end with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The sampler.
    pub kind: Kind,
    /// The spacing, if the name says one.
    pub spacing: Option<Spacing>,
}

impl From<Kind> for Choice {
    fn from(kind: Kind) -> Self {
        Self { kind, spacing: None }
    }
}

impl Choice {
    /// The name in web interfaces: `DPM++ 2M Karras`.
    pub fn label(self) -> String {
        let spacing = match self.spacing {
            None => return self.kind.label(),
            Some(Spacing::SgmUniform) => "SGM Uniform".into(),
            Some(spacing) => {
                let name = format!("{spacing}");
                name[..1].to_ascii_uppercase() + &name[1..]
            }
        };
        format!("{} {spacing}", self.kind.label())
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.spacing {
            None => self.kind.fmt(f),
            Some(spacing) => write!(f, "{}-{spacing}", self.kind),
        }
    }
}

/// Reads a sampler's name, with or without a spacing's behind it:
/// `DPM++ 2M Karras`, `dpmpp_2m_karras`, `euler-sgm-uniform`.
impl FromStr for Choice {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let whole = name.parse::<Kind>();
        if let Ok(kind) = whole {
            return Ok(kind.into());
        }
        // Where the spacing's name begins is not marked.
        let splits = name.char_indices().skip(1).map(|(i, _)| name.split_at(i));
        for (kind, spacing) in splits {
            if let (Ok(kind), Ok(spacing)) = (kind.parse(), spacing.parse()) {
                return Ok(Self { kind, spacing: Some(spacing) });
            }
        }
        Err(whole.err().unwrap_or(Error::Name { what: "sampler", got: name.into(), legal: NAMES }))
    }
}
