use super::progress::{Hook, report};
use crate::error::{Error, length, range};
use crate::replicas::{Betas, Replicas};
use crate::sample_set::SampleSet;
use crate::schedule::Schedule;
use crate::statistics::{Estimate, effective_sample_size, log_expectation, mean};
use alloc::vec::Vec;

/// The work and the heat of each read of a protocol, in units of temperature.
#[derive(Clone, Debug)]
pub struct Work {
    /// W = Σ_t (β_t − β_{t−1}) E(x_{t−1}): what changing β does at fixed x.
    pub work: Vec<f64>,
    /// Q = Σ_t β_t (E(x_t) − E(x_{t−1})): what changing x does at fixed β. W + Q = β_T E(x_T) − β_0 E(x_0).
    pub heat: Vec<f64>,
    /// The configurations at the end; its schedule is the protocol.
    pub samples: SampleSet,
}

impl Work {
    /// ln(Z(β_T)/Z(β_0)) = ln⟨e^−W⟩ with its standard error (Jarzynski, *PRL* 78, 2690 (1997)), by
    /// [`log_expectation`]: where the works of few reads decide the mean, as after fast protocols, the error says so.
    pub fn log_ratio(&self) -> Estimate {
        log_expectation(&self.exponents())
    }

    /// ⟨W⟩, which is at least ΔF = −ln(Z(β_T)/Z(β_0)): the second law.
    pub fn mean_work(&self) -> Estimate {
        mean(&self.work)
    }

    /// The number of reads that weights e^−W are worth.
    pub fn effective_reads(&self) -> f64 {
        effective_sample_size(&self.exponents())
    }

    fn exponents(&self) -> Vec<f64> {
        self.work.iter().map(|work| -work).collect()
    }
}

/// Jarzynski's equality, or annealed importance sampling (Neal, *Stat. Comput.* 11, 125 (2001)): every
/// read starts from the uniform distribution, β = 0, in which a new batch stands, and follows the protocol, whose first β
/// is 0. Each later β is one change of β, which does work, then one sweep, which exchanges heat. The
/// chain needs balance only.
///
/// [`Work::log_ratio`] then estimates ln Z(β_T) − N ln q.
///
/// # Errors
/// A protocol that does not begin with β = 0, what the reads report, or [`Error::Cancelled`].
///
/// ```
/// use yuragi_energy::{Bonds, Problem, Schedule, dynamics::Metropolis, exact, replicas::batch, sampler::{jarzynski, quiet}};
/// let square = Problem::lattice(&[4, 4], Bonds::Uniform(1.0), &[])?;
/// let protocol = Schedule::linear(0.0, 0.4, 50)?;
/// let estimate = jarzynski(&mut *batch(&square, Metropolis, 1000, 1)?, &protocol, &mut quiet)?.log_ratio();
/// let log_z = 16.0 * 2f64.ln() + estimate.value;
/// assert!((log_z - exact::finite_square_log_z(4, 4, 0.4)?).abs() < 4.0 * estimate.error);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub fn jarzynski(replicas: &mut dyn Replicas, protocol: &Schedule, hook: Hook<'_>) -> Result<Work, Error> {
    let first = protocol.beta(0);
    range("the protocol's first beta", first.into(), first == 0.0, "0, where the start is drawn exactly")?;
    follow(replicas, protocol, hook)
}

/// The same from given configurations, one a read, that must be drawn from equilibrium at the protocol's
/// first β. With the protocol reversed, −[`Work::log_ratio`] estimates ln(Z(β_T)/Z(β_0)), too: reverse
/// annealed importance sampling.
///
/// # Errors
/// As [`jarzynski()`]; `starts` that are not one configuration for each read.
pub fn jarzynski_from(
    replicas: &mut dyn Replicas,
    protocol: &Schedule,
    starts: &[u8],
    hook: Hook<'_>,
) -> Result<Work, Error> {
    let n = replicas.problem().len();
    length("the starts", starts.len(), replicas.len() * n)?;
    for (slot, start) in starts.chunks(n).enumerate() {
        replicas.set_values(slot, start)?;
    }
    follow(replicas, protocol, hook)
}

fn follow(replicas: &mut dyn Replicas, protocol: &Schedule, hook: Hook<'_>) -> Result<Work, Error> {
    let reads = replicas.len();
    let (mut work, mut heat) = (alloc::vec![0.0; reads], alloc::vec![0.0; reads]);
    let (mut before, mut after) = (alloc::vec![0.0; reads], alloc::vec![0.0; reads]);
    replicas.energies(&mut before)?;
    for sweep in 1..protocol.sweeps() {
        let beta = protocol.beta(sweep);
        let change = f64::from(beta) - f64::from(protocol.beta(sweep - 1));
        replicas.sweep(sweep, Betas::Same(beta))?;
        replicas.energies(&mut after)?;
        for i in 0..reads {
            work[i] += change * before[i];
            heat[i] += f64::from(beta) * (after[i] - before[i]);
        }
        core::mem::swap(&mut before, &mut after);
        report(hook, sweep.into(), u64::from(protocol.sweeps()) - 1)?;
    }
    let samples = SampleSet::new(replicas.problem(), replicas.configurations()?, protocol.clone())?;
    Ok(Work { work, heat, samples })
}
