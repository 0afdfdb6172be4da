//! Samplers over batches of reads: each takes a problem, a chain, temperatures, the number of reads and
//! a seed.
//!
//! | sampler | gives | reference |
//! |---|---|---|
//! | [`anneal`] | low energies | Kirkpatrick, Gelatt and Vecchi 1983 |
//! | [`quantum_anneal`] | low energies, by a transverse field | Martoňák, Santoro and Tosatti 2002 |
//! | [`temper`] | equilibrium at every temperature | Marinari and Parisi 1992 |
//! | [`exchange`] | equilibrium at every temperature | Hukushima and Nemoto 1996 |
//! | [`jarzynski()`] | ratios of partition functions | Jarzynski 1997; Neal 2001 |
//! | [`population_anneal`] | log Z(β), equilibrium, low energies | Hukushima and Iba 2003; Machta 2010 |
//!
//! With the feature `std`, `anneal_on` and `jarzynski_on` spread reads over threads.
//!
//! Every one calls a hook after each sweep, which may cancel it; [`quiet`] is the one that does nothing.

mod anneal;
mod exchange;
mod jarzynski;
mod population;
mod quantum;
mod resample;
mod tempering;
#[cfg(feature = "std")]
mod threads;

use crate::error::{Error, range};
use crate::replicas::Replicas;
use alloc::vec::Vec;
pub use anneal::{Annealing, adaptive_schedule, anneal};
use core::ops::ControlFlow;
pub use exchange::{Exchange, exchange};
pub use jarzynski::{Work, jarzynski, jarzynski_from};
pub use population::{Population, PopulationSettings, PopulationStep, population_anneal};
pub use quantum::{QuantumSettings, quantum_anneal};
pub use resample::{Resampling, resample};
pub use tempering::{Tempering, temper, tempering_weights, weights_from_energies};
#[cfg(feature = "std")]
pub use threads::{anneal_on, jarzynski_on};

/// How far a sampler is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Sweeps done.
    pub done: u64,
    /// Sweeps in all.
    pub total: u64,
}

/// What a sampler calls after each sweep; `Break` cancels it.
pub type Hook<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// The hook that does nothing.
pub fn quiet(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

pub(crate) fn report(hook: Hook<'_>, done: u64, total: u64) -> Result<(), Error> {
    match hook(Progress { done, total }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}

/// The configurations of all slots, one after another.
pub(crate) fn configurations(replicas: &dyn Replicas) -> Result<Vec<u8>, Error> {
    let n = replicas.problem().len();
    let bytes = n.checked_mul(replicas.len()).ok_or(Error::Overflow { what: "the number of values" })?;
    let mut values = alloc::vec![0; bytes];
    for (slot, values) in values.chunks_mut(n).enumerate() {
        replicas.values(slot, values)?;
    }
    Ok(values)
}

/// `Ok` for two or more inverse temperatures, strictly ascending, at least 0 and finite in f32.
pub(crate) fn check_ladder(betas: &[f64]) -> Result<(), Error> {
    range("the number of temperatures", betas.len() as f64, betas.len() >= 2, "at least 2")?;
    for (i, &beta) in betas.iter().enumerate() {
        let legal = beta <= f64::from(f32::MAX) && if i == 0 { beta >= 0.0 } else { beta > betas[i - 1] };
        range("beta", beta, legal, "at least 0, finite within f32, and above the one before")?;
    }
    Ok(())
}

/// min{1, exp(x)} as the threshold of a draw.
pub(crate) fn metropolis_threshold(x: f64) -> u64 {
    crate::draw::threshold(yuragi_numeric::elementary::exp(x.min(0.0) as f32))
}
