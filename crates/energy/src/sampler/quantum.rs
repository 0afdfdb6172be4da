use super::progress::{Hook, report};
use crate::draw::{Draws, Stream, threshold};
use crate::error::{Error, counter, range};
use crate::parallel::beside;
use crate::problem::{Couplings, Problem, Variables};
use crate::replicas::Reads;
use crate::replicas::lanes::{Lanes, compare, sign};
use crate::replicas::planes::{Keys, site_planes};
use crate::sample_set::SampleSet;
use crate::schedule::Schedule;
use alloc::vec::Vec;
use core::ops::ControlFlow;
use core::sync::atomic::{AtomicBool, Ordering};
use yuragi_numeric::elementary::exp;
use yuragi_numeric::simd::{Task, vectorize};

/// How a path-integral quantum annealing is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantumSettings {
    /// The inverse temperature β, which stays.
    pub beta: f64,
    /// The number of Trotter slices P.
    pub slices: u32,
    /// The transverse field Γ of the first sweep and of the last, falling linearly.
    pub transverse: (f64, f64),
    /// The number of sweeps of all slices.
    pub sweeps: u32,
    /// Threads that reads are spread over, at most; the samples do not depend on them.
    pub threads: usize,
}

/// Path-integral quantum annealing of H = E(σᶻ) − Γ Σ_k σᵏₓ, whose transverse field Γ is taken away.
///
/// By the Suzuki–Trotter formula P copies of the spins at β/P, each coupled with the same spin of the
/// next copy by K = −½ ln tanh(βΓ/P), have the quantum partition function up to O(1/P²). A sweep is
/// Metropolis at each spin of each copy, then an attempt to flip all copies of each spin at once. A read
/// gives its copy of lowest energy.
///
/// # Errors
/// Potts variables, no slice, β not positive, Γ not positive, rising or not finite, more slices × spins
/// than the counters hold, or [`Error::Cancelled`].
///
/// ```
/// use yuragi_energy::{Bonds, Problem, sampler::{QuantumSettings, quantum_anneal, quiet}};
/// let ring = Problem::lattice(&[12], Bonds::Uniform(1.0), &[])?;
/// let settings = QuantumSettings { beta: 8.0, slices: 8, transverse: (3.0, 1e-3), sweeps: 200, threads: 1 };
/// let samples = quantum_anneal(&ring, settings, 20, 1, &mut quiet)?;
/// assert_eq!(samples.best().map(|sample| sample.energy), Some(-12.0));
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub fn quantum_anneal(
    problem: &Problem,
    settings: QuantumSettings,
    reads: impl Into<Reads>,
    seed: u64,
    hook: Hook<'_>,
) -> Result<SampleSet, Error> {
    let all = reads.into().check()?;
    let threads = u32::try_from(settings.threads).unwrap_or(u32::MAX).max(1);
    let share = all.count.div_ceil(threads).checked_next_multiple_of(TOGETHER).unwrap_or(all.count).max(1);
    let own = |first: u32| Reads { first: all.first + first, count: share.min(all.count - first) };
    let rest: Vec<Reads> = (0..all.count).step_by(share as usize).skip(1).map(own).collect();
    let cancelled = AtomicBool::new(false);
    let here = || {
        let first = quantum_reads(problem, settings, own(0), seed, hook);
        cancelled.store(first.is_err(), Ordering::Relaxed);
        first
    };
    let there = |reads: Reads| {
        let mut stop =
            |_| if cancelled.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        quantum_reads(problem, settings, reads, seed, &mut stop)
    };
    let parts = beside(here, rest, &there).into_iter().collect::<Result<_, Error>>()?;
    SampleSet::joined(parts, problem, &Schedule::linear(settings.beta, settings.beta, settings.sweeps)?)
}

/// Reads that share a word.
const TOGETHER: u32 = 32;

fn quantum_reads(
    problem: &Problem,
    settings: QuantumSettings,
    reads: Reads,
    seed: u64,
    hook: Hook<'_>,
) -> Result<SampleSet, Error> {
    let QuantumSettings { beta, slices, transverse: (first, last), sweeps, .. } = settings;
    if problem.variables() != Variables::Spin {
        return Err(Error::Unsupported { what: "quantum annealing", needs: "spins" });
    }
    range("beta", beta, beta > 0.0 && beta <= f64::from(f32::MAX), "positive and finite within f32")?;
    range("the number of slices", f64::from(slices), slices > 0, "at least 1")?;
    range("the last transverse field", last, last > 0.0 && last.is_finite(), "positive and finite")?;
    range("the first transverse field", first, first >= last && first.is_finite(), "finite and not below the last")?;
    let (n, p) = (problem.len(), slices as usize);
    let spins = n.checked_mul(p).ok_or(Error::Overflow { what: "the number of slices times variables" })?;
    counter("the number of slices times variables", spins)?;
    spins.checked_mul(reads.count as usize).ok_or(Error::Overflow { what: "the number of values" })?;

    let draws = Draws::new(seed);
    let keys = Keys::new(draws);
    let mut groups: Vec<Group> =
        groups(reads).map(|(number, active)| Group::new(number, active, spins, draws)).collect();
    let share = (beta / f64::from(slices)) as f32;
    for sweep in 0..sweeps {
        let part = if sweeps == 1 { 1.0 } else { f64::from(sweep) / f64::from(sweeps - 1) };
        let gamma = first + (last - first) * part;
        let coupling = -0.5 * libm::log(libm::tanh(beta * gamma / f64::from(slices)));
        // A field so weak that the copies never part still leaves finite numbers.
        let coupling = (coupling as f32).min(1e4);
        for (i, group) in groups.iter_mut().enumerate() {
            if i > 0 {
                report(hook, sweep.into(), sweeps.into())?;
            }
            vectorize(Chain { problem, draws, keys: &keys, sweep, share, coupling, group });
        }
        report(hook, u64::from(sweep) + 1, sweeps.into())?;
    }
    let mut best = Vec::with_capacity(n * reads.count as usize);
    let mut slice = alloc::vec![0; n];
    for group in &groups {
        for lane in (0..TOGETHER).filter(|lane| group.active >> lane & 1 == 1) {
            let start = best.len();
            let mut lowest = f64::INFINITY;
            for words in group.words.chunks(n) {
                slice.iter_mut().zip(words).for_each(|(value, word)| *value = (word >> lane & 1) as u8);
                let energy = problem.energy_of(&slice);
                if best.len() == start || energy < lowest {
                    best.truncate(start);
                    best.extend_from_slice(&slice);
                    lowest = energy;
                }
            }
        }
    }
    SampleSet::new(problem, best, Schedule::linear(beta, beta, sweeps)?)
}

/// The numbers of the groups of 32 reads, and which of their reads are meant.
fn groups(reads: Reads) -> impl Iterator<Item = (u32, u32)> {
    let last = reads.first + reads.count;
    (reads.first / TOGETHER..last.div_ceil(TOGETHER)).map(move |group| {
        let meant = |read: &u32| (reads.first..last).contains(&(TOGETHER * group + read));
        (group, (0..TOGETHER).filter(meant).fold(0, |mask, read| mask | 1 << read))
    })
}

/// 32 reads: one bit of a word each.
struct Group {
    number: u32,
    active: u32,
    /// Slice by slice.
    words: Vec<u32>,
}

impl Group {
    fn new(number: u32, active: u32, spins: usize, draws: Draws) -> Self {
        // u < 2³¹ where the highest bit is 0.
        let word = |site: u32| !draws.planes(0, site, Stream::Start, 0, number)[0] & active;
        Self { number, active, words: (0..spins as u32).map(word).collect() }
    }
}

/// One sweep of one group.
struct Chain<'a> {
    problem: &'a Problem,
    draws: Draws,
    keys: &'a Keys,
    sweep: u32,
    /// β/P.
    share: f32,
    /// K.
    coupling: f32,
    group: &'a mut Group,
}

impl Task for Chain<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { problem, draws, keys, sweep, share, coupling, group } = self;
        let n = problem.len();
        let Group { number, active, words } = group;
        let number = *number;
        let draw = Draw { draws, sweep, number, active: *active };
        let slices = words.len() / n;
        // Each spin of each slice.
        for slice in 0..slices {
            let (previous, next) = ((slice + slices - 1) % slices * n, (slice + 1) % slices * n);
            let at = slice * n;
            for first in (0..n).step_by(8) {
                let high = high_planes(keys, sweep, (at + first) as u32, Stream::Accept, number);
                for (place, k) in (first..n.min(first + 8)).enumerate() {
                    let own = words[at + k];
                    let fields = local_fields(problem, &words[at..at + n], k);
                    let mut rises = [0.0; 32];
                    for (lane, rise) in rises.iter_mut().enumerate() {
                        *rise = signed(2.0 * share * fields[lane], own, lane);
                    }
                    if slices > 1 {
                        let (before, after) = (words[previous + k], words[next + k]);
                        for (lane, rise) in rises.iter_mut().enumerate() {
                            let neighbours = signed(1.0, before, lane) + signed(1.0, after, lane);
                            *rise += signed(2.0 * coupling * neighbours, own, lane);
                        }
                    }
                    words[at + k] ^= draw.accepted((at + k) as u32, Stream::Accept, &rises, &high, place);
                }
            }
        }
        // Each spin in all slices together.
        for first in (0..n).step_by(8) {
            let high = high_planes(keys, sweep, first as u32, Stream::Line, number);
            for (place, k) in (first..n.min(first + 8)).enumerate() {
                let mut rises = [0.0; 32];
                for slice in words.chunks(n) {
                    let (own, fields) = (slice[k], local_fields(problem, slice, k));
                    for (lane, rise) in rises.iter_mut().enumerate() {
                        *rise += signed(2.0 * share * fields[lane], own, lane);
                    }
                }
                let flips = draw.accepted(k as u32, Stream::Line, &rises, &high, place);
                words.chunks_mut(n).for_each(|slice| slice[k] ^= flips);
            }
        }
    }
}

/// x for a bit that is 1, −x for one that is 0.
#[inline(always)]
fn signed(x: f32, bits: u32, lane: usize) -> f32 {
    f32::from_bits(x.to_bits() ^ sign(bits, lane))
}

/// The eight highest bits of the draws of eight sites.
#[inline(always)]
fn high_planes(keys: &Keys, sweep: u32, first: u32, stream: Stream, group: u32) -> [[u32; 8]; 8] {
    let mut sites = [0; 8];
    for (i, site) in (0..).zip(&mut sites) {
        *site = first.wrapping_add(i);
    }
    let mut planes = [[0; 8]; 8];
    planes[..4].copy_from_slice(&site_planes(keys, sweep, &sites, stream, 0, group));
    planes[4..].copy_from_slice(&site_planes(keys, sweep, &sites, stream, 1, group));
    planes
}

/// What decides a group's moves.
struct Draw {
    draws: Draws,
    sweep: u32,
    number: u32,
    active: u32,
}

impl Draw {
    /// Where a rise of β·energy is accepted, by the planes of the site at `place` and, where those leave it open, all bits.
    #[inline(always)]
    fn accepted(&self, site: u32, stream: Stream, rises: &Lanes<f32>, planes: &[[u32; 8]; 8], place: usize) -> u32 {
        let mut probabilities = [1.0; 32];
        for (probability, rise) in probabilities.iter_mut().zip(rises) {
            let less = exp(-rise);
            *probability = if *rise > 0.0 { less } else { 1.0 };
        }
        let mut high = [0; 8];
        for (high, plane) in high.iter_mut().zip(planes) {
            *high = plane[place];
        }
        let (below, tied) = compare(&probabilities, high);
        let (mut below, mut tied) = (below & self.active, tied & self.active);
        while tied != 0 {
            let lane = tied.trailing_zeros();
            tied &= tied - 1;
            let threshold = threshold(probabilities[lane as usize]);
            let hit = self.draws.chance(self.sweep, site, stream, TOGETHER * self.number + lane, threshold);
            below |= u32::from(hit) << lane;
        }
        below
    }
}

/// λ_k of every read, added in the order of the neighbours.
#[inline(always)]
fn local_fields(problem: &Problem, words: &[u32], k: usize) -> Lanes<f32> {
    let mut sums = [problem.rounded_fields()[k]; 32];
    match problem.table() {
        Couplings::Sparse { starts, columns, rounded, .. } => {
            let row = starts[k]..starts[k + 1];
            for (&l, weight) in columns[row.clone()].iter().zip(&rounded[row]) {
                let bits = words[l as usize];
                for (lane, sum) in sums.iter_mut().enumerate() {
                    *sum += signed(*weight, bits, lane);
                }
            }
        }
        Couplings::Dense { len, rounded, .. } => {
            for (&bits, weight) in words.iter().zip(&rounded[k * len..][..*len]) {
                for (lane, sum) in sums.iter_mut().enumerate() {
                    *sum += signed(*weight, bits, lane);
                }
            }
        }
    }
    sums
}

#[cfg(test)]
#[path = "quantum_tests.rs"]
mod tests;
