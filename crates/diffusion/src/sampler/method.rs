//! Samplers with all their numbers.

use super::adams::{self, SaSolver};
use super::churn::Churn;
use super::kind::{Kind, Stochastic};
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
    Euler(Churn),
    /// With `before`, an answer is taken for one before the noise was added.
    LateEuler {
        churn: Churn,
        before: bool,
    },
    Heun(Churn),
    /// With `whole`, a tail's polynomials go through the steps before it, too,
    /// as if the slopes there were 0.
    Lms {
        whole: bool,
    },
    Midpoint {
        ancestral: bool,
        churn: Churn,
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
        deviation: f64,
    },
    Consistency {
        least: f64,
        data: f64,
        deviation: f64,
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
            Kind::Heun => Self::Heun(Churn::default()),
            Kind::Lms => Self::Lms { whole: false },
            Kind::Dpm2 => Self::Midpoint { ancestral: false, churn: Churn::default() },
            Kind::Dpm2Ancestral => Self::Midpoint { ancestral: true, churn: Churn::default() },
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
            Kind::Stochastic { method: Stochastic::Euler, churn } => Self::Euler(churn),
            Kind::Stochastic { method: Stochastic::Heun, churn } => Self::Heun(churn),
            Kind::Stochastic { method: Stochastic::Midpoint, churn } => Self::Midpoint { ancestral: false, churn },
            Kind::Lcm => Self::Lcm { scaling: None, deviation: 1.0 },
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
            Self::Euler(churn) => onestep::euler(program, *churn),
            Self::LateEuler { churn, before } => onestep::late_euler(program, *churn, *before),
            Self::Heun(churn) => onestep::heun(program, *churn),
            Self::Lms { whole } => multistep::lms(program, *whole),
            Self::Midpoint { ancestral, churn } => onestep::midpoint(program, *ancestral, *churn),
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
            Self::Lcm { scaling, deviation } => onestep::lcm(program, *scaling, *deviation),
            Self::Consistency { least, data, deviation } => onestep::consistency(program, *least, *data, *deviation),
            Self::Tcd { gamma } => onestep::tcd(program, *gamma),
        }
    }
}
