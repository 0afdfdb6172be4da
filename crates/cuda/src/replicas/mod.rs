//! Many reads of a spin problem on a device, with the bits of [`ScalarReplicas`](yuragi_energy::replicas::ScalarReplicas).
//!
//! | problem | a sweep |
//! |---|---|
//! | sparse, at most seven equal units of coupling and field about a site, one β | multi-spin coding: a thread has a site and 32 reads, or 64 |
//! | sparse, any couplings, a β for each read | a warp has 32 reads and visits site after site |
//! | all-coupled, up to 256 sites | a block has a read with its local fields |
//! | all-coupled, more sites in order | blocks visit 128 sites of 32 reads, while others add what flipped before to the fields of 128 reads |
//!
//! Sweeps are gathered and run, many in one launch, when something of the reads is asked for.

mod dense;
mod executor;
mod gpu;
mod memory;
mod schedule;
mod sparse;

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use yuragi_energy::{
    Error, Problem, Variables,
    draw::Draws,
    dynamics::{Replica, TwoState},
    replicas::{Betas, Reads, Replicas},
};

use crate::Device;
use dense::Dense;
pub use executor::{Argument, Executor, Kernel};
pub use gpu::Gpu;
use memory::Waiting;
use sparse::Sparse;

/// Spins on a device; see the [module](self).
pub struct CudaReplicas<'a, E: Executor> {
    problem: &'a Problem,
    reads: Reads,
    draws: Draws,
    state: RefCell<State<E>>,
}

struct State<E: Executor> {
    spins: Spins<E>,
    /// Sweeps that were asked for and not run yet.
    waiting: Waiting,
    /// How many are gathered.
    most: usize,
}

enum Spins<E: Executor> {
    Sparse(Sparse<E>),
    Dense(Dense<E>),
}

/// Spins that a launch visits at most, in about ten milliseconds.
const SPINS: usize = 1 << 33;
/// Sweeps of a launch at most.
const SWEEPS: usize = 256;

impl<'a, E: Executor> CudaReplicas<'a, E> {
    /// Reads in uniform random configurations.
    ///
    /// # Errors
    /// Potts variables, reads whose numbers do not fit, a problem that is too large, or what the device says.
    pub fn new(executor: E, problem: &'a Problem, chain: TwoState, reads: Reads, seed: u64) -> Result<Self, Error> {
        if problem.variables() != Variables::Spin {
            return Err(Error::Unsupported { what: "one bit a variable", needs: "spins" });
        }
        reads.first.checked_add(reads.count).ok_or(Error::Overflow { what: "the number of the last read" })?;
        let draws = Draws::new(seed);
        let key = draws.key();
        let spins = match problem.is_dense() {
            true => Spins::Dense(Dense::new(executor, problem, chain, reads, key)?),
            false => Spins::Sparse(Sparse::new(executor, problem, chain, reads, key)?),
        };
        let visited = problem.len().saturating_mul(reads.count.max(1) as usize);
        let most = (SPINS / visited.max(1)).clamp(1, SWEEPS);
        Ok(Self { problem, reads, draws, state: RefCell::new(State { spins, waiting: Waiting::default(), most }) })
    }

    fn check_slot(&self, slot: usize) -> Result<(), Error> {
        let count = self.len();
        if slot < count { Ok(()) } else { Err(Error::Index { what: "slot", index: slot, count }) }
    }
}

impl<'a> CudaReplicas<'a, Gpu> {
    /// Reads on a GPU, in uniform random configurations.
    ///
    /// # Errors
    /// As [`CudaReplicas::new`].
    pub fn on(
        device: &Arc<Device>,
        problem: &'a Problem,
        chain: TwoState,
        reads: Reads,
        seed: u64,
    ) -> Result<Self, Error> {
        Self::new(Gpu::new(device).map_err(Error::Device)?, problem, chain, reads, seed)
    }
}

fn check_length(what: &'static str, got: usize, expected: usize) -> Result<(), Error> {
    if got == expected { Ok(()) } else { Err(Error::Length { what, got, expected }) }
}

impl<E: Executor> State<E> {
    /// Runs the sweeps that wait.
    fn settle(&mut self) -> Result<(), Error> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.numbers.is_empty() {
            return Ok(());
        }
        match &mut self.spins {
            Spins::Sparse(spins) => spins.sweep(&waiting),
            Spins::Dense(spins) => spins.sweep(&waiting),
        }
    }
}

impl<E: Executor> fmt::Debug for CudaReplicas<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CudaReplicas").field("reads", &self.reads).finish_non_exhaustive()
    }
}

impl<E: Executor> Replicas for CudaReplicas<'_, E> {
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
        if self.is_empty() {
            return Ok(());
        }
        let state = self.state.get_mut();
        let each = matches!(betas, Betas::Each(_));
        if state.waiting.each != each {
            state.settle()?;
        }
        state.waiting.each = each;
        state.waiting.numbers.push(sweep);
        match betas {
            Betas::Same(beta) => state.waiting.betas.push(beta),
            Betas::Each(betas) => state.waiting.betas.extend(betas),
        }
        if state.waiting.numbers.len() == state.most { state.settle() } else { Ok(()) }
    }

    fn energies(&mut self, energies: &mut [f64]) -> Result<(), Error> {
        check_length("the energies", energies.len(), self.len())?;
        let offset = self.problem.offset();
        let state = self.state.get_mut();
        state.settle()?;
        match &mut state.spins {
            Spins::Sparse(spins) => spins.energies(offset, energies),
            Spins::Dense(spins) => spins.energies(offset, energies),
        }
    }

    fn kept_energies(&mut self, energies: &mut [f64]) -> Result<(), Error> {
        check_length("the energies", energies.len(), self.len())?;
        let (problem, state) = (self.problem, self.state.get_mut());
        state.settle()?;
        match &mut state.spins {
            Spins::Sparse(spins) => spins.energies(problem.offset(), energies),
            Spins::Dense(spins) => spins.kept_energies(problem.offset(), energies),
        }
    }

    fn resample(&mut self, parents: &[u32]) -> Result<(), Error> {
        check_length("the parents", parents.len(), self.len())?;
        parents.iter().try_for_each(|&parent| self.check_slot(parent as usize))?;
        let state = self.state.get_mut();
        state.settle()?;
        match &mut state.spins {
            Spins::Sparse(spins) => spins.resample(parents),
            Spins::Dense(spins) => spins.resample(parents),
        }
    }

    fn values(&self, slot: usize, values: &mut [u8]) -> Result<(), Error> {
        self.check_slot(slot)?;
        check_length("the configuration", values.len(), self.problem.len())?;
        let mut state = self.state.borrow_mut();
        state.settle()?;
        match &state.spins {
            Spins::Sparse(spins) => spins.values(slot, values),
            Spins::Dense(spins) => spins.values(slot, values),
        }
    }

    fn configurations(&self) -> Result<Vec<u8>, Error> {
        let bytes = self.problem.len().checked_mul(self.len());
        let mut values = vec![0; bytes.ok_or(Error::Overflow { what: "the number of values" })?];
        let mut state = self.state.borrow_mut();
        state.settle()?;
        match &state.spins {
            Spins::Sparse(spins) => spins.configurations(&mut values)?,
            Spins::Dense(spins) => spins.configurations(&mut values)?,
        }
        Ok(values)
    }

    fn state(&self, slot: usize) -> Result<Replica, Error> {
        let mut values = vec![0; self.problem.len()];
        self.values(slot, &mut values)?;
        let replica = Replica::new(self.problem, &values)?;
        match &self.state.borrow().spins {
            Spins::Sparse(_) => Ok(replica),
            Spins::Dense(spins) => replica.with_fields(spins.fields(slot)?),
        }
    }

    fn set_state(&mut self, slot: usize, state: &Replica) -> Result<(), Error> {
        let kept = if self.problem.is_dense() { self.problem.len() } else { 0 };
        check_length("the local fields", state.fields().len(), kept)?;
        self.set_values(slot, state.values())?;
        match &mut self.state.get_mut().spins {
            Spins::Sparse(_) => Ok(()),
            Spins::Dense(spins) => spins.set_fields(slot, state.fields()),
        }
    }

    fn set_values(&mut self, slot: usize, values: &[u8]) -> Result<(), Error> {
        self.check_slot(slot)?;
        check_length("the configuration", values.len(), self.problem.len())?;
        if let Some(&value) = values.iter().find(|&&value| value > 1) {
            return Err(Error::Index { what: "value", index: value.into(), count: 2 });
        }
        let state = self.state.get_mut();
        state.settle()?;
        match &mut state.spins {
            Spins::Sparse(spins) => spins.set_values(slot, values),
            Spins::Dense(spins) => spins.set_values(slot, values),
        }
    }
}
