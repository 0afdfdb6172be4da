use super::ladder::{check_ladder, metropolis_threshold};
use super::progress::{Hook, report};
use crate::draw::{Draws, Stream};
use crate::error::{Error, length, range};
use crate::replicas::{Betas, Replicas};
use crate::sample_set::SampleSet;
use crate::schedule::Schedule;
use alloc::boxed::Box;
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

/// Replica exchange that is advanced sweep by sweep, for a caller with a clock of its own, who may change the
/// temperatures on the way. Steps with exchanges are those of [`exchange`], bit for bit.
///
/// ```
/// use yuragi_energy::{Bonds, Problem, dynamics::Metropolis, replicas::batch, sampler::Exchanging};
/// let square = Problem::lattice(&[4, 4], Bonds::Uniform(1.0), &[])?;
/// let mut ladder = Exchanging::new(batch(&square, Metropolis, 3, 1)?, &[0.2, 0.3, 0.4])?;
/// for frame in 0..100 {
///     ladder.step(true)?;
///     // draw the configuration of each level
/// }
/// ladder.set_betas(&[0.5, 0.7, 0.9])?;
/// ladder.step(true)?;
/// assert_eq!((ladder.sweep(), ladder.slots().len()), (101, 3));
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub struct Exchanging<'a> {
    replicas: Box<dyn Replicas + Send + 'a>,
    levels: Levels,
}

impl<'a> Exchanging<'a> {
    /// At the beginning: the first replica of each read at the first temperature, and so on.
    ///
    /// # Errors
    /// A ladder that does not ascend, or replicas that are not whole ladders.
    pub fn new(replicas: Box<dyn Replicas + Send + 'a>, betas: &[f64]) -> Result<Self, Error> {
        let levels = Levels::new(&*replicas, betas)?;
        Ok(Self { replicas, levels })
    }

    /// One sweep of every replica and, if they are asked for, the exchanges after it.
    ///
    /// # Errors
    /// What the replicas report, or more sweeps than their counter holds.
    pub fn step(&mut self, exchanges: bool) -> Result<(), Error> {
        self.levels.run(&mut *self.replicas)?;
        if exchanges {
            self.levels.exchange();
        }
        self.levels.sweep = self.levels.sweep.checked_add(1).ok_or(Error::Overflow { what: "the number of sweeps" })?;
        Ok(())
    }

    /// Other temperatures from the next sweep on, level by level.
    ///
    /// # Errors
    /// Another number of temperatures, or a ladder that does not ascend.
    pub fn set_betas(&mut self, betas: &[f64]) -> Result<(), Error> {
        length("betas", betas.len(), self.levels.betas.len())?;
        self.levels.set(betas)
    }

    /// The number of sweeps done.
    pub fn sweep(&self) -> u32 {
        self.levels.sweep
    }

    /// The replica at each level, read by read: the slot that [`replicas`](Self::replicas) has it in.
    pub fn slots(&self) -> &[usize] {
        &self.levels.slots
    }

    /// The energy of each replica after the last sweep, slot by slot.
    pub fn energies(&self) -> &[f64] {
        &self.levels.energies
    }

    /// How many exchanges between level k and k + 1 were accepted, and tried.
    pub fn exchanges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.levels.accepted.iter().copied().zip(self.levels.tried.iter().copied())
    }

    /// The replicas.
    pub fn replicas(&self) -> &dyn Replicas {
        &*self.replicas
    }
}

/// Which replica is at which temperature.
struct Levels {
    betas: Vec<f64>,
    draws: Draws,
    first: u32,
    sweep: u32,
    /// The slot of each level, read by read.
    slots: Vec<usize>,
    /// The β of each slot.
    own: Vec<f32>,
    energies: Vec<f64>,
    tried: Vec<u64>,
    accepted: Vec<u64>,
}

impl Levels {
    fn new(replicas: &dyn Replicas, betas: &[f64]) -> Result<Self, Error> {
        check_ladder(betas)?;
        let (count, reads) = (betas.len(), replicas.reads());
        for (what, number) in [("the number of replicas", reads.count), ("the first replica", reads.first)] {
            let whole = (number as usize).is_multiple_of(count);
            range(what, number.into(), whole, "a multiple of the number of temperatures")?;
        }
        let slots: Vec<usize> = (0..replicas.len()).collect();
        let mut levels = Self {
            betas: Vec::new(),
            draws: replicas.draws(),
            first: reads.first / count as u32,
            sweep: 0,
            own: alloc::vec![0.0; slots.len()],
            energies: alloc::vec![0.0; slots.len()],
            slots,
            tried: alloc::vec![0; count - 1],
            accepted: alloc::vec![0; count - 1],
        };
        levels.set(betas)?;
        Ok(levels)
    }

    fn set(&mut self, betas: &[f64]) -> Result<(), Error> {
        check_ladder(betas)?;
        self.betas.clear();
        self.betas.extend_from_slice(betas);
        for (level, &slot) in self.slots.iter().enumerate() {
            self.own[slot] = betas[level % betas.len()] as f32;
        }
        Ok(())
    }

    /// One sweep, and the energies after it.
    fn run(&mut self, replicas: &mut dyn Replicas) -> Result<(), Error> {
        replicas.sweep(self.sweep, Betas::Each(&self.own))?;
        replicas.kept_energies(&mut self.energies)
    }

    /// The exchanges after a sweep.
    fn exchange(&mut self) {
        let Self { betas, sweep, slots, energies, .. } = self;
        for (read, slots) in (self.first..).zip(slots.chunks_mut(betas.len())) {
            for k in ((*sweep % 2) as usize..betas.len() - 1).step_by(2) {
                let gain = (betas[k] - betas[k + 1]) * (energies[slots[k]] - energies[slots[k + 1]]);
                self.tried[k] += 1;
                if self.draws.chance(*sweep, k as u32, Stream::Exchange, read, metropolis_threshold(gain)) {
                    self.accepted[k] += 1;
                    slots.swap(k, k + 1);
                    self.own[slots[k]] = betas[k] as f32;
                    self.own[slots[k + 1]] = betas[k + 1] as f32;
                }
            }
        }
    }
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
    let mut levels = Levels::new(replicas, betas)?;
    let mut means = alloc::vec![0.0; betas.len()];
    let mut sums = alloc::vec![0.0; levels.slots.len()];
    for sweep in 0..sweeps {
        levels.sweep = sweep;
        levels.run(replicas)?;
        if sweep >= discard {
            sums.iter_mut().zip(&levels.slots).for_each(|(sum, &slot)| *sum += levels.energies[slot]);
        }
        levels.exchange();
        report(hook, u64::from(sweep) + 1, sweeps.into())?;
    }
    let Levels { slots, mut energies, tried, accepted, .. } = levels;
    let n = replicas.problem().len();
    let mut values = alloc::vec![0; n * (slots.len() / betas.len())];
    for (values, slots) in values.chunks_mut(n).zip(slots.chunks(betas.len())) {
        replicas.values(slots[betas.len() - 1], values)?;
    }
    replicas.energies(&mut energies)?;
    for read in sums.chunks(betas.len()) {
        means.iter_mut().zip(read).for_each(|(sum, own)| *sum += own);
    }
    let counted = f64::from(sweeps.saturating_sub(discard)) * (slots.len() / betas.len()) as f64;
    means.iter_mut().for_each(|mean| *mean /= counted);
    Ok(Exchange {
        energies: means,
        acceptance: accepted.iter().zip(&tried).map(|(&a, &t)| a as f64 / t as f64).collect(),
        last_energies: slots.iter().map(|&slot| energies[slot]).collect(),
        samples: SampleSet::new(replicas.problem(), values, Schedule::steps(betas.iter().copied())?)?,
    })
}
