use super::progress::{Hook, report};
use crate::dynamics::Dynamics;
use crate::error::Error;
use crate::problem::Problem;
use crate::replicas::{Betas, Replicas, batch};
use crate::sample_set::SampleSet;
use crate::schedule::Schedule;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Simulated annealing: every read makes one sweep at each β of the schedule.
///
/// # Errors
/// What the reads report, or [`Error::Cancelled`].
///
/// ```
/// use yuragi_energy::{Bonds, Problem, Schedule, dynamics::HeatBath, replicas::batch, sampler::{anneal, quiet}};
/// let ring = Problem::lattice(&[20], Bonds::Uniform(1.0), &[])?;
/// let schedule = Schedule::default_for(ring.beta_range(), 300)?;
/// let samples = anneal(&mut *batch(&ring, HeatBath, 50, 1)?, &schedule, &mut quiet)?;
/// assert_eq!(samples.best().map(|sample| sample.energy), Some(-20.0));
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub fn anneal(replicas: &mut dyn Replicas, schedule: &Schedule, hook: Hook<'_>) -> Result<SampleSet, Error> {
    for sweep in 0..schedule.sweeps() {
        replicas.sweep(sweep, Betas::Same(schedule.beta(sweep)))?;
        report(hook, u64::from(sweep) + 1, schedule.sweeps().into())?;
    }
    SampleSet::new(replicas.problem(), replicas.configurations()?, schedule.clone())
}

/// An annealing that is advanced sweep by sweep, for a caller with a clock of its own.
///
/// ```
/// use yuragi_energy::replicas::batch;
/// use yuragi_energy::{Bonds, Problem, Schedule, dynamics::Metropolis, sampler::Annealing};
/// let ring = Problem::lattice(&[8], Bonds::Uniform(1.0), &[])?;
/// let replicas = batch(&ring, Metropolis, 4, 1)?;
/// let mut annealing = Annealing::new(replicas, Schedule::linear(0.1, 3.0, 100)?);
/// while annealing.step()? { /* draw a frame */ }
/// assert_eq!(annealing.samples()?.len(), 4);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub struct Annealing<'a> {
    replicas: Box<dyn Replicas + Send + 'a>,
    schedule: Schedule,
    sweep: u32,
}

impl<'a> Annealing<'a> {
    /// At the beginning of the schedule.
    pub fn new(replicas: Box<dyn Replicas + Send + 'a>, schedule: Schedule) -> Self {
        Self { replicas, schedule, sweep: 0 }
    }

    /// The number of sweeps done.
    pub fn sweep(&self) -> u32 {
        self.sweep
    }

    /// One sweep of every read; false at the end of the schedule.
    ///
    /// # Errors
    /// What [`Replicas::sweep`] refuses.
    pub fn step(&mut self) -> Result<bool, Error> {
        if self.sweep == self.schedule.sweeps() {
            return Ok(false);
        }
        self.replicas.sweep(self.sweep, Betas::Same(self.schedule.beta(self.sweep)))?;
        self.sweep += 1;
        Ok(true)
    }

    /// The configurations as they stand, at any time.
    ///
    /// # Errors
    /// More values than memory can address.
    pub fn samples(&self) -> Result<SampleSet, Error> {
        SampleSet::new(self.replicas.problem(), self.replicas.configurations()?, self.schedule.clone())
    }
}

/// A schedule of constant thermodynamic speed, Δβ ∝ 1/σ_E(β), from `start` to `end`: slow where the
/// energy fluctuates, at a transition (Salamon, Nulton, Robinson, Pedersen, Ruppeiner and Liao, *Comput.
/// Phys. Commun.* 49, 423 (1988)). σ_E is that of single reads in time, so that reads which are frozen
/// apart do not count, measured in a pilot annealing of 32 reads with 8 sweeps at each of 32
/// temperatures; the draws of the pilot are those of the seed's complement.
///
/// # Errors
/// A β that is not positive and finite, or a problem that the chain is not for.
pub fn adaptive_schedule<D: Dynamics>(
    problem: &Problem,
    dynamics: D,
    (start, end): (f64, f64),
    sweeps: u32,
    seed: u64,
) -> Result<Schedule, Error> {
    const READS: usize = 32;
    const LEVELS: u32 = 32;
    const SWEEPS: u32 = 8;
    let pilot = Schedule::geometric(start, end, LEVELS)?;
    let mut replicas = batch(problem, dynamics, READS as u32, !seed)?;
    let mut energies = [0.0; READS];
    let mut ladder: Vec<(f64, f64)> = Vec::new();
    for level in 0..LEVELS {
        let (mut sums, mut squares) = ([0.0; READS], [0.0; READS]);
        let mut base = [0.0; READS];
        for sweep in 0..SWEEPS {
            replicas.sweep(level * SWEEPS + sweep, Betas::Same(pilot.beta(level)))?;
            replicas.energies(&mut energies)?;
            for i in 0..READS {
                if sweep == 0 {
                    base[i] = energies[i];
                }
                sums[i] += energies[i] - base[i];
                squares[i] += (energies[i] - base[i]) * (energies[i] - base[i]);
            }
        }
        let count = f64::from(SWEEPS);
        let variances = sums.iter().zip(&squares).map(|(sum, square)| (square - sum * sum / count) / (count - 1.0));
        let variance = variances.sum::<f64>() / READS as f64;
        ladder.push((pilot.beta(level).into(), libm::sqrt(variance.max(0.0))));
    }
    let largest = ladder.iter().map(|&(_, sigma)| sigma).fold(0.0, f64::max);
    // A read that does not move may be frozen, not in equilibrium.
    let floor = if largest > 0.0 { 0.05 * largest } else { 1.0 };
    let mut lengths = alloc::vec![0.0];
    for pair in ladder.windows(2) {
        let sigma = 0.5 * (pair[0].1.max(floor) + pair[1].1.max(floor));
        lengths.push(lengths.last().copied().unwrap_or(0.0) + sigma * (pair[1].0 - pair[0].0).abs());
    }
    let total = lengths.last().copied().unwrap_or(0.0);
    let beta = |sweep: u32| {
        let share = if sweeps <= 1 { 1.0 } else { f64::from(sweep) / f64::from(sweeps - 1) };
        let target = share * total;
        let above = lengths.partition_point(|&length| length < target).clamp(1, lengths.len() - 1);
        let width = lengths[above] - lengths[above - 1];
        let within = if width > 0.0 { ((target - lengths[above - 1]) / width).clamp(0.0, 1.0) } else { 1.0 };
        ladder[above - 1].0 + within * (ladder[above].0 - ladder[above - 1].0)
    };
    Schedule::steps((0..sweeps).map(beta))
}
