use super::batch::{batch, group};
use super::contract::Replicas;
use super::reads::{Betas, Reads, check_parents};
use crate::draw::Draws;
use crate::dynamics::{Dynamics, Replica};
use crate::error::{Error, index, length};
use crate::parallel::beside;
use crate::problem::Problem;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::RefCell;

/// Reads in parts, each with a thread to itself under the feature `std`: the same reads, sooner.
///
/// Sweeps are gathered until there is enough of them to be worth threads, or until something of the reads is asked for.
///
/// ```
/// use yuragi_energy::replicas::{Threads, batch};
/// use yuragi_energy::{Bonds, Problem, Schedule, dynamics::Metropolis, sampler::{anneal, quiet}};
/// let square = Problem::lattice(&[8, 8], Bonds::Uniform(1.0), &[])?;
/// let schedule = Schedule::linear(0.1, 2.0, 20)?;
/// let alone = anneal(&mut *batch(&square, Metropolis, 600, 1)?, &schedule, &mut quiet)?;
/// assert_eq!(anneal(&mut Threads::new(2, &square, Metropolis, 600, 1)?, &schedule, &mut quiet)?, alone);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub struct Threads<'a> {
    problem: &'a Problem,
    reads: Reads,
    draws: Draws,
    /// Sweeps that are gathered.
    most: usize,
    state: RefCell<State<'a>>,
}

struct State<'a> {
    parts: Vec<Part<'a>>,
    waiting: Vec<Sweep>,
    /// Spins that a sweep visits.
    visits: usize,
}

/// Neighbouring slots.
struct Part<'a> {
    number: usize,
    /// The first slot.
    first: usize,
    replicas: Box<dyn Replicas + Send + 'a>,
}

struct Sweep {
    number: u32,
    betas: Own,
}

enum Own {
    Same(f32),
    Each(Vec<f32>),
}

/// Spins that are visited between two looks at the hook.
const GATHERED: usize = 1 << 21;
/// Sweeps between them.
const SWEEPS: usize = 256;
/// Spins whose visit is not worth a thread.
const FEW: usize = 1 << 14;

impl<'a> Threads<'a> {
    /// Reads in uniform random configurations, on at most so many threads.
    ///
    /// # Errors
    /// As [`batch`](super::batch()).
    pub fn new<D: Dynamics + Copy + 'a>(
        threads: usize,
        problem: &'a Problem,
        dynamics: D,
        reads: impl Into<Reads>,
        seed: u64,
    ) -> Result<Self, Error> {
        let reads = reads.into().check()?;
        // Reads that share words are not parted.
        let threads = u32::try_from(threads).unwrap_or(u32::MAX).max(1);
        let share = reads.count.div_ceil(threads).checked_next_multiple_of(group(problem, &dynamics));
        let share = share.unwrap_or(reads.count).max(1);
        let part = |(number, first): (usize, u32)| {
            let own = Reads { first: reads.first + first, count: share.min(reads.count - first) };
            Ok(Part { number, first: first as usize, replicas: batch(problem, dynamics, own, seed)? })
        };
        let parts = (0..reads.count).step_by(share as usize).enumerate().map(part).collect::<Result<_, Error>>()?;
        let visits = problem.len().saturating_mul(reads.count as usize).max(1);
        let most = (GATHERED / visits).clamp(1, SWEEPS);
        let state = RefCell::new(State { parts, waiting: Vec::new(), visits });
        Ok(Self { problem, reads, draws: Draws::new(seed), most, state })
    }
}

impl<'a> State<'a> {
    /// Runs the sweeps that wait, then this, for each part.
    fn each<R: Send>(&mut self, then: impl Fn(&mut Part<'a>) -> Result<R, Error> + Sync) -> Result<Vec<R>, Error> {
        let waiting = core::mem::take(&mut self.waiting);
        let run = |part: &mut Part<'a>| {
            for Sweep { number, betas } in &waiting {
                let betas = match betas {
                    Own::Same(beta) => Betas::Same(*beta),
                    Own::Each(all) => Betas::Each(&all[part.first..part.first + part.replicas.len()]),
                };
                part.replicas.sweep(*number, betas)?;
            }
            then(part)
        };
        if self.visits.saturating_mul(waiting.len() + 1) < FEW {
            return self.parts.iter_mut().map(run).collect();
        }
        let Some((first, rest)) = self.parts.split_first_mut() else { return Ok(Vec::new()) };
        beside(|| run(first), rest.iter_mut().collect(), &run).into_iter().collect()
    }

    fn settle(&mut self) -> Result<(), Error> {
        if self.waiting.is_empty() { Ok(()) } else { self.each(|_| Ok(())).map(|_| ()) }
    }

    /// The part of a slot.
    fn part(&mut self, slot: usize) -> Result<&mut Part<'a>, Error> {
        self.settle()?;
        let after = self.parts.partition_point(|part| part.first <= slot);
        Ok(&mut self.parts[after.max(1) - 1])
    }

    /// A number of each read.
    fn numbers(
        &mut self,
        all: &mut [f64],
        of: impl Fn(&mut Part<'a>, &mut [f64]) -> Result<(), Error> + Sync,
    ) -> Result<(), Error> {
        let found = self.each(|part| {
            let mut own = alloc::vec![0.0; part.replicas.len()];
            of(part, &mut own).map(|()| own)
        })?;
        all.iter_mut().zip(found.into_iter().flatten()).for_each(|(to, from)| *to = from);
        Ok(())
    }
}

impl core::fmt::Debug for Threads<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Threads").field("reads", &self.reads).finish_non_exhaustive()
    }
}

impl Replicas for Threads<'_> {
    fn problem(&self) -> &Problem {
        self.problem
    }

    fn reads(&self) -> Reads {
        self.reads
    }

    fn draws(&self) -> Draws {
        self.draws
    }

    fn sweep(&mut self, sweep: u32, betas: Betas<'_>) -> Result<(), Error> {
        betas.check(self.len())?;
        let betas = match betas {
            Betas::Same(beta) => Own::Same(beta),
            Betas::Each(betas) => Own::Each(betas.to_vec()),
        };
        let state = self.state.get_mut();
        state.waiting.push(Sweep { number: sweep, betas });
        if state.waiting.len() == self.most { state.settle() } else { Ok(()) }
    }

    fn energies(&mut self, energies: &mut [f64]) -> Result<(), Error> {
        length("the energies", energies.len(), self.len())?;
        self.state.get_mut().numbers(energies, |part, own| part.replicas.energies(own))
    }

    fn kept_energies(&mut self, energies: &mut [f64]) -> Result<(), Error> {
        length("the energies", energies.len(), self.len())?;
        self.state.get_mut().numbers(energies, |part, own| part.replicas.kept_energies(own))
    }

    fn resample(&mut self, parents: &[u32]) -> Result<(), Error> {
        check_parents(parents, self.len())?;
        let state = self.state.get_mut();
        state.settle()?;
        // What comes from other parts, before any part changes.
        let mut foreign = Vec::with_capacity(state.parts.len());
        for number in 0..state.parts.len() {
            let part = &state.parts[number];
            let own = part.first..part.first + part.replicas.len();
            let mut states = BTreeMap::new();
            for &parent in &parents[own.clone()] {
                let slot = parent as usize;
                if !own.contains(&slot) && !states.contains_key(&parent) {
                    let from = state.part(slot)?;
                    states.insert(parent, from.replicas.state(slot - from.first)?);
                }
            }
            foreign.push(states);
        }
        state.each(|part| {
            let own = part.first..part.first + part.replicas.len();
            let parents = &parents[own.clone()];
            let within = |&parent: &u32| (parent as usize).checked_sub(own.start).filter(|&at| at < own.len());
            let local: Vec<u32> = parents.iter().map(|parent| within(parent).unwrap_or(0) as u32).collect();
            part.replicas.resample(&local)?;
            for (slot, parent) in parents.iter().enumerate() {
                if let Some(state) = foreign[part.number].get(parent) {
                    part.replicas.set_state(slot, state)?;
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    fn values(&self, slot: usize, values: &mut [u8]) -> Result<(), Error> {
        index("slot", slot, self.len())?;
        let mut state = self.state.borrow_mut();
        let part = state.part(slot)?;
        part.replicas.values(slot - part.first, values)
    }

    fn configurations(&self) -> Result<Vec<u8>, Error> {
        let parts = self.state.borrow_mut().each(|part| part.replicas.configurations())?;
        Ok(parts.concat())
    }

    fn state(&self, slot: usize) -> Result<Replica, Error> {
        index("slot", slot, self.len())?;
        let mut state = self.state.borrow_mut();
        let part = state.part(slot)?;
        part.replicas.state(slot - part.first)
    }

    fn set_state(&mut self, slot: usize, state: &Replica) -> Result<(), Error> {
        index("slot", slot, self.len())?;
        let part = self.state.get_mut().part(slot)?;
        part.replicas.set_state(slot - part.first, state)
    }
}
