use super::ladder::{check_ladder, metropolis_threshold};
use super::progress::{Hook, report};
use crate::draw::Stream;
use crate::error::{Error, length, range};
use crate::replicas::{Betas, Replicas};
use crate::sample_set::SampleSet;
use crate::schedule::Schedule;
use alloc::vec::Vec;

/// What simulated tempering gives.
#[derive(Clone, Debug)]
pub struct Tempering {
    /// How often each temperature was visited, over all reads and counted sweeps.
    pub occupancy: Vec<u64>,
    /// The mean energy at each temperature; NaN where there was none.
    pub energies: Vec<f64>,
    /// The level of each read at the end.
    pub levels: Vec<u32>,
    /// The configurations at the end; its schedule holds the ladder.
    pub samples: SampleSet,
}

/// g_{k+1} = g_k + ½(⟨E⟩_{k+1} + ⟨E⟩_k)(β_{k+1} − β_k), g_0 = 0: the trapezoidal rule for −ln Z(β_k), up
/// to a constant.
///
/// # Errors
/// Lengths that differ, or a ladder that does not ascend.
pub fn weights_from_energies(betas: &[f64], energies: &[f64]) -> Result<Vec<f64>, Error> {
    check_ladder(betas)?;
    length("the mean energies", energies.len(), betas.len())?;
    let mut weights = alloc::vec![0.0];
    let mut weight = 0.0;
    for (betas, energies) in betas.windows(2).zip(energies.windows(2)) {
        weight += 0.5 * (energies[0] + energies[1]) * (betas[1] - betas[0]);
        weights.push(weight);
    }
    Ok(weights)
}

/// Measures ⟨E⟩ at each temperature in turn, from hot to cold, and gives the weights g for [`temper`].
/// Of the `sweeps` at each temperature the first half is not counted. Reads of another seed than the walk's keep the two
/// independent.
///
/// # Errors
/// A ladder that does not ascend, no read, fewer than 2 sweeps, or what the reads report.
pub fn tempering_weights(replicas: &mut dyn Replicas, betas: &[f64], sweeps: u32) -> Result<Vec<f64>, Error> {
    check_ladder(betas)?;
    let reads = replicas.reads().count;
    range("the number of reads", reads.into(), reads > 0, "at least 1")?;
    range("the number of sweeps", sweeps.into(), sweeps >= 2, "at least 2")?;
    let total = sweeps.checked_mul(betas.len() as u32).ok_or(Error::Overflow { what: "the number of sweeps" })?;
    let mut energies = alloc::vec![0.0; reads as usize];
    let mut sums = alloc::vec![0.0; betas.len()];
    for sweep in 0..total {
        let level = (sweep / sweeps) as usize;
        replicas.sweep(sweep, Betas::Same(betas[level] as f32))?;
        if sweep % sweeps >= sweeps / 2 {
            replicas.energies(&mut energies)?;
            sums[level] += energies.iter().sum::<f64>();
        }
    }
    let count = f64::from(sweeps - sweeps / 2) * f64::from(reads);
    let means: Vec<f64> = sums.iter().map(|sum| sum / count).collect();
    weights_from_energies(betas, &means)
}

/// Simulated tempering (Marinari and Parisi, *Europhys. Lett.* 19, 451 (1992)): each read walks in
/// temperature as well, with π(x, k) ∝ exp(−β_k E(x) + g_k).
///
/// After each sweep a neighbouring temperature k′ is proposed, up or down with probability ½ (at the ends of
/// the ladder the only neighbour), and accepted with min{1, exp(−(β′ − β)E + g′ − g) q(k′→k)/q(k→k′)}.
/// Reads start at uniform random levels; the first `discard` sweeps are not counted.
///
/// # Errors
/// A ladder that does not ascend, weights of another length, or not finite, what the reads report, or
/// [`Error::Cancelled`].
pub fn temper(
    replicas: &mut dyn Replicas,
    (betas, weights): (&[f64], &[f64]),
    (sweeps, discard): (u32, u32),
    hook: Hook<'_>,
) -> Result<Tempering, Error> {
    check_ladder(betas)?;
    length("the weights", weights.len(), betas.len())?;
    weights.iter().try_for_each(|&g| range("a weight", g, g.is_finite(), "finite"))?;
    let (draws, reads, top) = (replicas.draws(), replicas.reads(), betas.len() - 1);
    let start = |read: u32| {
        let word = draws.word(0, 0, Stream::Choice, read);
        ((u64::from(word) * betas.len() as u64) >> 32) as u32
    };
    let mut levels: Vec<u32> = (reads.first..reads.first + reads.count).map(start).collect();
    let mut energies = alloc::vec![0.0; replicas.len()];
    let mut own = alloc::vec![0.0f32; replicas.len()];
    let (mut occupancy, mut sums) = (alloc::vec![0u64; betas.len()], alloc::vec![0.0; betas.len()]);
    for sweep in 0..sweeps {
        for (beta, &level) in own.iter_mut().zip(&levels) {
            *beta = betas[level as usize] as f32;
        }
        replicas.sweep(sweep, Betas::Each(&own))?;
        replicas.kept_energies(&mut energies)?;
        for ((read, level), &energy) in (reads.first..).zip(&mut levels).zip(&energies) {
            let from = *level as usize;
            if sweep >= discard {
                occupancy[from] += 1;
                sums[from] += energy;
            }
            let up = draws.chance(sweep, 0, Stream::Direction, read, 1 << 31);
            let to = if from == 0 || (up && from < top) { from + 1 } else { from - 1 };
            let ways = |level: usize| if level == 0 || level == top { 1.0f64 } else { 0.5 };
            let gain = -(betas[to] - betas[from]) * energy + weights[to] - weights[from];
            let threshold = metropolis_threshold(gain + libm::log(ways(to) / ways(from)));
            if draws.chance(sweep, 0, Stream::Exchange, read, threshold) {
                *level = to as u32;
            }
        }
        report(hook, u64::from(sweep) + 1, sweeps.into())?;
    }
    let energies = sums.iter().zip(&occupancy).map(|(sum, &count)| sum / count as f64).collect();
    let samples =
        SampleSet::new(replicas.problem(), replicas.configurations()?, Schedule::steps(betas.iter().copied())?)?;
    Ok(Tempering { occupancy, energies, levels, samples })
}
