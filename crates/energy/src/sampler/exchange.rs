use super::ladder::{check_ladder, metropolis_threshold};
use super::progress::{Hook, report};
use crate::draw::{Draws, Stream};
use crate::dynamics::Dynamics;
use crate::error::Error;
use crate::problem::Problem;
use crate::replicas::{Betas, Reads, batch};
use crate::sample_set::SampleSet;
use crate::schedule::Schedule;
use alloc::vec::Vec;

/// What replica exchange gives.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The mean energy at each temperature, over all reads and counted sweeps.
    pub energies: Vec<f64>,
    /// The share of exchanges between level k and k + 1 that were accepted, among all tried.
    pub acceptance: Vec<f64>,
    /// For each read the energies at the end, level by level.
    pub last_energies: Vec<f64>,
    /// For each read its configuration at the coldest level; its schedule holds the ladder.
    pub samples: SampleSet,
}

/// Replica exchange, or parallel tempering (Hukushima and Nemoto, *J. Phys. Soc. Jpn.* 65, 1604 (1996)): a
/// read is one replica at each temperature. After each sweep, neighbouring levels k, k + 1 (k even after
/// even sweeps, odd after odd ones) exchange with probability min{1, exp((β_k − β_{k+1})(E_k − E_{k+1}))}. The
/// first `discard` sweeps are not counted.
///
/// Replica number k of read r draws as read r·K + k of the chain, K being the number of temperatures.
///
/// # Errors
/// A ladder that does not ascend, reads × temperatures above the counters, a problem that the chain is not for,
/// or [`Error::Cancelled`].
pub fn exchange<D: Dynamics>(
    problem: &Problem,
    dynamics: D,
    betas: &[f64],
    (sweeps, discard): (u32, u32),
    reads: u32,
    seed: u64,
    hook: Hook<'_>,
) -> Result<Exchange, Error> {
    let reads = Reads { first: 0, count: reads };
    let found = exchange_reads(problem, dynamics, betas, (sweeps, discard), reads, seed, hook)?;
    joined(problem, betas, (sweeps, discard), &[found])
}

/// What some reads gave.
pub(super) struct Part {
    /// Of each read, level by level, the sum of the counted energies: added up in the order of the reads, whoever ran them.
    sums: Vec<f64>,
    accepted: Vec<u64>,
    tried: Vec<u64>,
    last_energies: Vec<f64>,
    values: Vec<u8>,
}

pub(super) fn exchange_reads<D: Dynamics>(
    problem: &Problem,
    dynamics: D,
    betas: &[f64],
    (sweeps, discard): (u32, u32),
    reads: Reads,
    seed: u64,
    hook: Hook<'_>,
) -> Result<Part, Error> {
    check_ladder(betas)?;
    let levels = crate::error::counter("the number of temperatures", betas.len())?;
    let overflow = Error::Overflow { what: "the number of reads times temperatures" };
    let [first, count] = [reads.first, reads.count].map(|reads| reads.checked_mul(levels));
    let (Some(first), Some(count)) = (first, count) else { return Err(overflow) };
    let draws = Draws::new(seed);
    let mut replicas = batch(problem, dynamics, Reads { first, count }, seed)?;
    let levels = betas.len();
    // The slot of each level, read by read.
    let mut slots: Vec<usize> = (0..count as usize).collect();
    let mut own: Vec<f32> = (0..slots.len()).map(|slot| betas[slot % levels] as f32).collect();
    let mut energies = alloc::vec![0.0; slots.len()];
    let mut sums = alloc::vec![0.0; slots.len()];
    let (mut tried, mut accepted) = (alloc::vec![0u64; levels - 1], alloc::vec![0u64; levels - 1]);
    for sweep in 0..sweeps {
        replicas.sweep(sweep, Betas::Each(&own))?;
        replicas.kept_energies(&mut energies)?;
        for ((read, slots), sums) in (reads.first..).zip(slots.chunks_mut(levels)).zip(sums.chunks_mut(levels)) {
            if sweep >= discard {
                sums.iter_mut().zip(slots.iter()).for_each(|(sum, &slot)| *sum += energies[slot]);
            }
            for k in ((sweep % 2) as usize..levels - 1).step_by(2) {
                let gain = (betas[k] - betas[k + 1]) * (energies[slots[k]] - energies[slots[k + 1]]);
                tried[k] += 1;
                if draws.chance(sweep, k as u32, Stream::Exchange, read, metropolis_threshold(gain)) {
                    accepted[k] += 1;
                    slots.swap(k, k + 1);
                    own[slots[k]] = betas[k] as f32;
                    own[slots[k + 1]] = betas[k + 1] as f32;
                }
            }
        }
        report(hook, u64::from(sweep) + 1, sweeps.into())?;
    }
    let n = problem.len();
    let mut values = alloc::vec![0; n * reads.count as usize];
    for (values, slots) in values.chunks_mut(n).zip(slots.chunks(levels)) {
        replicas.values(slots[levels - 1], values)?;
    }
    replicas.energies(&mut energies)?;
    let last_energies = slots.iter().map(|&slot| energies[slot]).collect();
    Ok(Part { sums, accepted, tried, last_energies, values })
}

/// All reads together.
pub(super) fn joined(
    problem: &Problem,
    betas: &[f64],
    (sweeps, discard): (u32, u32),
    parts: &[Part],
) -> Result<Exchange, Error> {
    let levels = betas.len();
    let mut sums = alloc::vec![0.0; levels];
    let (mut tried, mut accepted) = (alloc::vec![0u64; levels - 1], alloc::vec![0u64; levels - 1]);
    let (mut last_energies, mut values) = (Vec::new(), Vec::new());
    for part in parts {
        for read in part.sums.chunks(levels) {
            sums.iter_mut().zip(read).for_each(|(sum, own)| *sum += own);
        }
        tried.iter_mut().zip(&part.tried).for_each(|(sum, own)| *sum += own);
        accepted.iter_mut().zip(&part.accepted).for_each(|(sum, own)| *sum += own);
        last_energies.extend_from_slice(&part.last_energies);
        values.extend_from_slice(&part.values);
    }
    let reads = (last_energies.len() / levels) as f64;
    let counted = f64::from(sweeps.saturating_sub(discard)) * reads;
    Ok(Exchange {
        energies: sums.iter().map(|sum| sum / counted).collect(),
        acceptance: accepted.iter().zip(&tried).map(|(&a, &t)| a as f64 / t as f64).collect(),
        last_energies,
        samples: SampleSet::new(problem, values, Schedule::steps(betas.iter().copied())?)?,
    })
}
