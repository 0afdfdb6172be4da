//! Reads spread over threads: read r is the same on any number of them.

use super::exchange::{Exchange, exchange_reads, joined};
use super::jarzynski::Work;
use super::population::{Population, PopulationSettings, population_parts};
use super::progress::{Hook, quiet};
use super::quantum::{QuantumSettings, TOGETHER, quantum_reads};
use super::{anneal, jarzynski};
use crate::dynamics::Dynamics;
use crate::error::Error;
use crate::problem::Problem;
use crate::replicas::{Reads, group};
use crate::sample_set::SampleSet;
use crate::schedule::Schedule;
use alloc::vec::Vec;
use core::ops::ControlFlow;
use core::sync::atomic::{AtomicBool, Ordering};

/// [`anneal`](anneal()) on up to `threads` threads: the same samples, sooner. The hook is called on this thread, after
/// each sweep of its share.
///
/// # Errors
/// Those of [`anneal`](anneal()).
///
/// ```
/// use yuragi_energy::{Bonds, Problem, Schedule, dynamics::Metropolis, sampler::{anneal, anneal_on, quiet}};
/// let square = Problem::lattice(&[8, 8], Bonds::Uniform(1.0), &[])?;
/// let schedule = Schedule::linear(0.1, 2.0, 20)?;
/// let alone = anneal(&square, Metropolis, &schedule, 600, 1, &mut quiet)?;
/// assert_eq!(anneal_on(2, &square, Metropolis, &schedule, 600, 1, &mut quiet)?, alone);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub fn anneal_on<D: Dynamics>(
    threads: usize,
    problem: &Problem,
    dynamics: D,
    schedule: &Schedule,
    reads: u32,
    seed: u64,
    hook: Hook<'_>,
) -> Result<SampleSet, Error> {
    let run = |reads: Reads, hook: Hook<'_>| anneal::anneal_reads(problem, &dynamics, schedule, reads, seed, hook);
    SampleSet::joined(spread(threads, group(problem, &dynamics), reads, hook, &run)?, problem, schedule)
}

/// [`jarzynski`](jarzynski()) on up to `threads` threads: the same works, sooner. The hook is called on this thread,
/// after each sweep of its share.
///
/// # Errors
/// Those of [`jarzynski`](jarzynski()).
pub fn jarzynski_on<D: Dynamics>(
    threads: usize,
    problem: &Problem,
    dynamics: D,
    protocol: &Schedule,
    reads: u32,
    seed: u64,
    hook: Hook<'_>,
) -> Result<Work, Error> {
    let run =
        |reads: Reads, hook: Hook<'_>| jarzynski::jarzynski_reads(problem, &dynamics, protocol, reads, seed, hook);
    let parts = spread(threads, group(problem, &dynamics), reads, hook, &run)?;
    let (mut work, mut heat, mut samples) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        work.extend(part.work);
        heat.extend(part.heat);
        samples.push(part.samples);
    }
    Ok(Work { work, heat, samples: SampleSet::joined(samples, problem, protocol)? })
}

/// [`quantum_anneal`](super::quantum_anneal) on up to `threads` threads: the same samples, sooner. The hook is called on
/// this thread.
///
/// # Errors
/// Those of [`quantum_anneal`](super::quantum_anneal).
pub fn quantum_anneal_on(
    threads: usize,
    problem: &Problem,
    settings: QuantumSettings,
    reads: u32,
    seed: u64,
    hook: Hook<'_>,
) -> Result<SampleSet, Error> {
    let run = |reads: Reads, hook: Hook<'_>| quantum_reads(problem, settings, reads, seed, hook);
    let parts = spread(threads, TOGETHER, reads, hook, &run)?;
    SampleSet::joined(parts, problem, &Schedule::linear(settings.beta, settings.beta, settings.sweeps)?)
}

/// [`exchange`](super::exchange()) on up to `threads` threads, each with the whole ladder of its reads: the same result,
/// sooner. The hook is called on this thread, after each sweep of its share.
///
/// # Errors
/// Those of [`exchange`](super::exchange()).
#[expect(clippy::too_many_arguments, reason = "those of `exchange`, and the threads")]
pub fn exchange_on<D: Dynamics>(
    threads: usize,
    problem: &Problem,
    dynamics: D,
    betas: &[f64],
    (sweeps, discard): (u32, u32),
    reads: u32,
    seed: u64,
    hook: Hook<'_>,
) -> Result<Exchange, Error> {
    let run =
        |reads: Reads, hook: Hook<'_>| exchange_reads(problem, &dynamics, betas, (sweeps, discard), reads, seed, hook);
    joined(problem, betas, (sweeps, discard), &spread(threads, 1, reads, hook, &run)?)
}

/// [`population_anneal`](super::population_anneal) on up to `threads` threads: the same population, sooner. The hook is
/// called on this thread, after each sweep of its share.
///
/// # Errors
/// Those of [`population_anneal`](super::population_anneal).
pub fn population_anneal_on<D: Dynamics>(
    threads: usize,
    problem: &Problem,
    dynamics: D,
    settings: &PopulationSettings,
    members: u32,
    seed: u64,
    hook: Hook<'_>,
) -> Result<Population, Error> {
    population_parts(problem, &dynamics, settings, (members, threads), seed, hook)
}

/// What `run` makes of each share of the reads, in order; shares are multiples of `group`. A hook that cancels ends all of
/// them.
fn spread<T: Send>(
    threads: usize,
    group: u32,
    reads: u32,
    hook: Hook<'_>,
    run: &(impl Fn(Reads, Hook<'_>) -> Result<T, Error> + Sync),
) -> Result<Vec<T>, Error> {
    // Reads that share words are not parted.
    let threads = u32::try_from(threads).unwrap_or(u32::MAX).max(1);
    let share = reads.div_ceil(threads).max(1).checked_next_multiple_of(group).unwrap_or(reads);
    let count = |first: u32| share.min(reads - first);
    let rest: Vec<Reads> =
        (share..reads).step_by(share as usize).map(|first| Reads { first, count: count(first) }).collect();
    let cancelled = AtomicBool::new(false);
    let elsewhere = |reads: Reads| {
        run(reads, &mut |progress| {
            if cancelled.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { quiet(progress) }
        })
    };
    std::thread::scope(|scope| {
        let elsewhere = &elsewhere;
        let handles: Vec<_> = rest
            .into_iter()
            .map(|reads| {
                let spawned = std::thread::Builder::new().spawn_scoped(scope, move || elsewhere(reads));
                (reads, spawned.ok())
            })
            .collect();
        let first = run(Reads { first: 0, count: share.min(reads) }, hook);
        cancelled.store(first.is_err(), Ordering::Relaxed);
        let mut parts = alloc::vec![first];
        for (reads, handle) in handles {
            parts.push(match handle.map(std::thread::ScopedJoinHandle::join) {
                Some(Ok(part)) => part,
                Some(Err(panic)) => std::panic::resume_unwind(panic),
                // The system refused the thread.
                None => elsewhere(reads),
            });
        }
        parts.into_iter().collect()
    })
}
