use super::ladder::{check_ladder, metropolis_threshold};
use super::progress::{Hook, report};
use crate::draw::Stream;
use crate::error::{Error, range};
use crate::replicas::{Betas, Replicas};
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

/// Replica exchange, or parallel tempering (Hukushima and Nemoto, *J. Phys. Soc. Jpn.* 65, 1604 (1996)): so many
/// neighbouring replicas as there are temperatures make a read, one at each. After each sweep, neighbouring levels k, k + 1
/// (k even after even sweeps, odd after odd ones) exchange with probability min{1, exp((β_k − β_{k+1})(E_k − E_{k+1}))}. The
/// first `discard` sweeps are not counted. The number of the first replica must be a whole number of ladders, too, as
/// [`Reads::times`](crate::Reads::times) gives it.
///
/// # Errors
/// A ladder that does not ascend, replicas that are not whole ladders, or [`Error::Cancelled`].
///
/// ```
/// use yuragi_energy::{Bonds, Problem, Reads, dynamics::HeatBath, replicas::batch, sampler::{exchange, quiet}};
/// let square = Problem::lattice(&[4, 4], Bonds::Uniform(1.0), &[])?;
/// let betas = [0.2, 0.3, 0.4];
/// let mut replicas = batch(&square, HeatBath, Reads::from(10).times(betas.len())?, 1)?;
/// let found = exchange(&mut *replicas, &betas, (200, 50), &mut quiet)?;
/// assert_eq!((found.samples.len(), found.energies.len(), found.acceptance.len()), (10, 3, 2));
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub fn exchange(
    replicas: &mut dyn Replicas,
    betas: &[f64],
    (sweeps, discard): (u32, u32),
    hook: Hook<'_>,
) -> Result<Exchange, Error> {
    check_ladder(betas)?;
    let (levels, reads, draws) = (betas.len(), replicas.reads(), replicas.draws());
    for (what, number) in [("the number of replicas", reads.count), ("the first replica", reads.first)] {
        range(
            what,
            number.into(),
            (number as usize).is_multiple_of(levels),
            "a multiple of the number of temperatures",
        )?;
    }
    let first = reads.first / levels as u32;
    // The slot of each level, read by read.
    let mut slots: Vec<usize> = (0..replicas.len()).collect();
    let mut own: Vec<f32> = (0..slots.len()).map(|slot| betas[slot % levels] as f32).collect();
    let mut energies = alloc::vec![0.0; slots.len()];
    let mut sums = alloc::vec![0.0; slots.len()];
    let (mut tried, mut accepted) = (alloc::vec![0u64; levels - 1], alloc::vec![0u64; levels - 1]);
    for sweep in 0..sweeps {
        replicas.sweep(sweep, Betas::Each(&own))?;
        replicas.kept_energies(&mut energies)?;
        for ((read, slots), sums) in (first..).zip(slots.chunks_mut(levels)).zip(sums.chunks_mut(levels)) {
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
    let n = replicas.problem().len();
    let mut values = alloc::vec![0; n * (slots.len() / levels)];
    for (values, slots) in values.chunks_mut(n).zip(slots.chunks(levels)) {
        replicas.values(slots[levels - 1], values)?;
    }
    replicas.energies(&mut energies)?;
    let mut means = alloc::vec![0.0; levels];
    for read in sums.chunks(levels) {
        means.iter_mut().zip(read).for_each(|(sum, own)| *sum += own);
    }
    let counted = f64::from(sweeps.saturating_sub(discard)) * (slots.len() / levels) as f64;
    means.iter_mut().for_each(|mean| *mean /= counted);
    Ok(Exchange {
        energies: means,
        acceptance: accepted.iter().zip(&tried).map(|(&a, &t)| a as f64 / t as f64).collect(),
        last_energies: slots.iter().map(|&slot| energies[slot]).collect(),
        samples: SampleSet::new(replicas.problem(), values, Schedule::steps(betas.iter().copied())?)?,
    })
}
