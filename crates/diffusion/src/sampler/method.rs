//! Samplers with all their numbers.

use super::adams::{self, SaSolver};
use super::kind::Kind;
use super::multistep::{self, Ends, Form, Solver};
use super::onestep::{self, Variance};
use super::pndm::{self, Moves};
use super::program::Program;
use super::unipc::{self, UniPc};
use crate::error::Error;

/// What a [`Kind`] or a diffusers configuration comes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Method {
    Ddpm(Variance),
    /// With `raw`, ε stays what the output is where x₀ is clipped.
    Ddim {
        eta: f64,
        raw: bool,
    },
    Heun,
    /// With `whole`, a tail's polynomials go through the steps before it, too,
    /// as if the slopes there were 0.
    Lms {
        whole: bool,
    },
    Midpoint {
        ancestral: bool,
    },
    TwoStage {
        noisy_middle: bool,
    },
    Pndm {
        runge_kutta: bool,
    },
    Moves(Moves),
    Multistep(Solver),
    Singlestep(Solver),
    UniPc(UniPc),
    Deis {
        order: usize,
        ends: Ends,
    },
    SaSolver(SaSolver),
    /// With `blind`, x₀ is taken for 0 where there is no signal.
    Ipndm {
        blind: bool,
    },
    Lcm {
        scaling: Option<f64>,
    },
    Tcd {
        gamma: f64,
    },
}

impl From<Kind> for Method {
    fn from(kind: Kind) -> Self {
        let plus_plus =
            |order, sde| Solver { form: Form::Data, sde, order, heun: false, ends: Ends::default(), flawed: false };
        match kind {
            Kind::Ddpm => Self::Ddpm(Variance::Small),
            Kind::Ddim { eta } => Self::Ddim { eta, raw: false },
            Kind::Pndm => Self::Pndm { runge_kutta: true },
            Kind::Plms => Self::Pndm { runge_kutta: false },
            Kind::Euler => Self::Ddim { eta: 0.0, raw: false },
            Kind::EulerAncestral => Self::Ddim { eta: 1.0, raw: false },
            Kind::Heun => Self::Heun,
            Kind::Lms => Self::Lms { whole: false },
            Kind::Dpm2 => Self::Midpoint { ancestral: false },
            Kind::Dpm2Ancestral => Self::Midpoint { ancestral: true },
            Kind::DpmPlusPlus2M => Self::Multistep(plus_plus(2, false)),
            Kind::DpmPlusPlus3M => Self::Multistep(plus_plus(3, false)),
            Kind::DpmPlusPlus2MSde => Self::Multistep(plus_plus(2, true)),
            Kind::DpmPlusPlus3MSde => Self::Multistep(Solver { heun: true, ..plus_plus(3, true) }),
            Kind::DpmPlusPlus2S => Self::Singlestep(plus_plus(2, false)),
            Kind::DpmPlusPlus3S => Self::Singlestep(Solver { heun: true, ..plus_plus(3, false) }),
            Kind::DpmPlusPlus2SAncestral => Self::TwoStage { noisy_middle: false },
            Kind::DpmPlusPlusSde => Self::TwoStage { noisy_middle: true },
            Kind::Dpm2M => Self::Multistep(Solver { form: Form::Noise, ..plus_plus(2, false) }),
            Kind::Dpm3M => Self::Multistep(Solver { form: Form::Noise, ..plus_plus(3, false) }),
            Kind::UniPc => Self::UniPc(UniPc { order: 2, form: Form::Data, exponential: true, lower_final: true }),
            Kind::Deis => Self::Deis { order: 2, ends: Ends::default() },
            Kind::SaSolver => Self::SaSolver(SaSolver::default()),
            Kind::Ipndm => Self::Ipndm { blind: false },
            Kind::Lcm => Self::Lcm { scaling: None },
            Kind::Tcd { gamma } => Self::Tcd { gamma },
        }
    }
}

impl Method {
    /// Derives the updates.
    pub fn derive(&self, program: &mut Program<'_>) -> Result<(), Error> {
        match self {
            Self::Ddpm(variance) => onestep::ddpm(program, *variance),
            Self::Ddim { eta, raw } => onestep::ddim(program, *eta, *raw),
            Self::Heun => onestep::heun(program),
            Self::Lms { whole } => multistep::lms(program, *whole),
            Self::Midpoint { ancestral } => onestep::midpoint(program, *ancestral),
            Self::TwoStage { noisy_middle } => onestep::two_stage(program, *noisy_middle),
            Self::Pndm { runge_kutta } => {
                let moves = Moves::along(program.ladder, *runge_kutta);
                pndm::pndm(program, &moves)
            }
            Self::Moves(moves) => pndm::pndm(program, moves),
            Self::Multistep(solver) => multistep::dpm(program, *solver),
            Self::Singlestep(solver) => multistep::singlestep(program, *solver),
            Self::UniPc(solver) => unipc::unipc(program, *solver),
            Self::Deis { order, ends } => multistep::deis(program, *order, *ends),
            Self::SaSolver(solver) => adams::sa_solver(program, *solver),
            Self::Ipndm { blind } => adams::ipndm(program, *blind),
            Self::Lcm { scaling } => onestep::lcm(program, *scaling),
            Self::Tcd { gamma } => onestep::tcd(program, *gamma),
        }
    }
}
