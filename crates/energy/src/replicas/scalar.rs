use super::contract::{REFRESH, Replicas};
use super::reads::{Betas, Reads, check_parents};
use crate::draw::{self, Draws, ReadDraws, Source, Stream};
use crate::dynamics::{Dynamics, Replica};
use crate::error::{Error, index, length};
use crate::problem::{Problem, Variables};
use alloc::vec::Vec;

/// One read after another: the definition that other implementations must equal.
#[derive(Clone, Debug)]
pub struct ScalarReplicas<'a, D: Dynamics> {
    problem: &'a Problem,
    dynamics: D,
    plan: D::Plan,
    draws: Draws,
    first: u32,
    replicas: Vec<Replica>,
    spare: Vec<Replica>,
}

impl<'a, D: Dynamics> ScalarReplicas<'a, D> {
    /// Reads in uniform random configurations, with random directions if the chain is lifted.
    ///
    /// # Errors
    /// A problem that the chain is not for, or reads whose numbers do not fit.
    pub fn new(problem: &'a Problem, dynamics: D, reads: Reads, seed: u64) -> Result<Self, Error> {
        let reads = reads.check()?;
        let plan = dynamics.plan(problem)?;
        let draws = Draws::new(seed);
        let mut values = alloc::vec![0; problem.len()];
        let start = |read: u32| {
            let mut source = ReadDraws { draws, sweep: 0, read };
            start(problem, &mut source, &mut values);
            let up = source.chance(0, Stream::Turn, 1 << 31);
            Ok(Replica::new(problem, &values)?.with_direction(up || !D::LIFTED))
        };
        let replicas = (reads.first..reads.first + reads.count).map(start).collect::<Result<_, Error>>()?;
        Ok(Self { problem, dynamics, plan, draws, first: reads.first, replicas, spare: Vec::new() })
    }
}

/// The configuration that a read begins with.
fn start(problem: &Problem, source: &mut ReadDraws, values: &mut [u8]) {
    match problem.variables() {
        Variables::Spin => draw::start(source, values),
        Variables::Potts(q) => {
            for (site, value) in (0..).zip(values) {
                *value = source.below(site, Stream::Start, q.into()) as u8;
            }
        }
    }
}

impl<D: Dynamics> Replicas for ScalarReplicas<'_, D> {
    fn problem(&self) -> &Problem {
        self.problem
    }

    fn reads(&self) -> Reads {
        Reads { first: self.first, count: self.replicas.len() as u32 }
    }

    fn draws(&self) -> Draws {
        self.draws
    }

    fn sweep(&mut self, sweep: u32, betas: Betas<'_>) -> Result<(), Error> {
        betas.check(self.len())?;
        for (i, (read, replica)) in (self.first..).zip(&mut self.replicas).enumerate() {
            if sweep.is_multiple_of(REFRESH) {
                replica.refresh(self.problem);
            }
            let mut source = ReadDraws { draws: self.draws, sweep, read };
            self.dynamics.sweep(&self.plan, self.problem, replica, betas.of(i), &mut source);
        }
        Ok(())
    }

    fn energies(&mut self, energies: &mut [f64]) -> Result<(), Error> {
        length("the energies", energies.len(), self.len())?;
        for (energy, replica) in energies.iter_mut().zip(&self.replicas) {
            *energy = self.problem.energy_of(replica.values());
        }
        Ok(())
    }

    fn kept_energies(&mut self, energies: &mut [f64]) -> Result<(), Error> {
        length("the energies", energies.len(), self.len())?;
        for (energy, replica) in energies.iter_mut().zip(&self.replicas) {
            *energy = match replica.fields() {
                [] => self.problem.energy_of(replica.values()),
                fields => self.problem.kept_energy(replica.values(), fields)?,
            };
        }
        Ok(())
    }

    fn resample(&mut self, parents: &[u32]) -> Result<(), Error> {
        check_parents(parents, self.len())?;
        if self.spare.len() != self.replicas.len() {
            self.spare = self.replicas.clone();
        }
        for (child, &parent) in self.spare.iter_mut().zip(parents) {
            child.copy_from(&self.replicas[parent as usize]);
        }
        core::mem::swap(&mut self.spare, &mut self.replicas);
        Ok(())
    }

    fn values(&self, slot: usize, values: &mut [u8]) -> Result<(), Error> {
        index("slot", slot, self.len())?;
        length("the configuration", values.len(), self.problem.len())?;
        values.copy_from_slice(self.replicas[slot].values());
        Ok(())
    }

    fn state(&self, slot: usize) -> Result<Replica, Error> {
        index("slot", slot, self.len())?;
        Ok(self.replicas[slot].clone())
    }

    fn set_state(&mut self, slot: usize, state: &Replica) -> Result<(), Error> {
        index("slot", slot, self.len())?;
        self.problem.check(state.values())?;
        length("the local fields", state.fields().len(), self.replicas[slot].fields().len())?;
        self.replicas[slot].copy_from(state);
        Ok(())
    }
}
