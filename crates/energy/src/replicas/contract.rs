use super::reads::{Betas, Reads, parents};
use crate::draw::Draws;
use crate::dynamics::Replica;
use crate::error::{Error, index, length};
use crate::problem::Problem;
use alloc::vec::Vec;
use core::ops::Range;
use yuragi_graph::{Alone, Collective};

/// All-coupled problems sum their local fields anew before every sweep whose number is a multiple of this.
pub const REFRESH: u32 = 128;

/// A batch of reads. Slot i of the batch is read `first + i`, whatever configuration it holds: it draws as that read.
///
/// An implementation is right if every method leaves the same configurations and energies as
/// [`ScalarReplicas`](super::ScalarReplicas), bit for bit. What a slot holds is its [`Replica`]: the configuration, the
/// direction of a lifted chain, and of all-coupled spins the local fields, to which each flip adds in the order of the
/// sites and which are summed anew by [`REFRESH`].
///
/// Samplers need no more. Annealing is sweeps; the work of a protocol is [`energies`](Self::energies) between them;
/// population annealing adds [`branch`](Self::branch), which is a [`resample`](Self::resample) where one rank holds all. Replica exchange moves temperatures, not configurations: it
/// sweeps at [`Betas::Each`] and decides by [`kept_energies`](Self::kept_energies), one number a slot. Where a batch is
/// parted, such as over threads or devices, [`state`](Self::state) and [`set_state`](Self::set_state) carry slots across.
pub trait Replicas {
    /// The problem.
    fn problem(&self) -> &Problem;

    /// The numbers of the reads.
    fn reads(&self) -> Reads;

    /// What they draw from; samplers draw their own decisions from it, too.
    fn draws(&self) -> Draws;

    /// The number of reads.
    fn len(&self) -> usize {
        self.reads().count as usize
    }

    /// True without reads.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One sweep of every read, drawn as sweep number `sweep`.
    ///
    /// # Errors
    /// What [`Betas::check`] refuses.
    fn sweep(&mut self, sweep: u32, betas: Betas<'_>) -> Result<(), Error>;

    /// E of every read.
    ///
    /// # Errors
    /// `energies` not as long as there are reads.
    fn energies(&mut self, energies: &mut [f64]) -> Result<(), Error>;

    /// E of every read as its chain keeps it: of all-coupled spins by
    /// [`Problem::kept_energy`](crate::Problem::kept_energy) from the local fields, which costs N and not N² and is rounded
    /// in single precision; otherwise what [`energies`](Self::energies) gives.
    ///
    /// # Errors
    /// `energies` not as long as there are reads.
    fn kept_energies(&mut self, energies: &mut [f64]) -> Result<(), Error>;

    /// Slot i takes the state that slot `parents[i]` had.
    ///
    /// # Errors
    /// `parents` not as long as there are reads, or a parent that does not exist.
    fn resample(&mut self, parents: &[u32]) -> Result<(), Error>;

    /// The ranks that share the slots out: one, unless the batch says otherwise.
    fn collective(&self) -> &dyn Collective {
        &Alone
    }

    /// The slots that this rank holds.
    fn share(&self) -> Range<usize> {
        0..self.len()
    }

    /// E of every read of this rank's share.
    ///
    /// # Errors
    /// `energies` not as long as the share.
    fn share_energies(&mut self, energies: &mut [f64]) -> Result<(), Error> {
        self.energies(energies)
    }

    /// Replaces all slots by children of what they held, in order: so many of each slot of this rank's share, the first of
    /// them in slot `first`. A label goes with each slot.
    ///
    /// # Errors
    /// `children` or `labels` not as long as the share, or children of all ranks that are not as many as there are reads.
    fn branch(&mut self, children: &[u32], first: usize, labels: &mut Vec<u32>) -> Result<(), Error> {
        length("the numbers of children", children.len(), self.len())?;
        length("the labels", labels.len(), self.len())?;
        let parents = parents(children);
        length("the children", first + parents.len(), self.len())?;
        self.resample(&parents)?;
        *labels = parents.iter().map(|&parent| labels[parent as usize]).collect();
        Ok(())
    }

    /// Copies out the configuration of slot `slot`.
    ///
    /// # Errors
    /// No such slot, or `values` not as long as there are variables.
    fn values(&self, slot: usize, values: &mut [u8]) -> Result<(), Error>;

    /// Copies out the configurations of all slots, one after another.
    ///
    /// # Errors
    /// More values than memory can address.
    fn configurations(&self) -> Result<Vec<u8>, Error> {
        let n = self.problem().len();
        let bytes = n.checked_mul(self.len()).ok_or(Error::Overflow { what: "the number of values" })?;
        let mut values = alloc::vec![0; bytes];
        for (slot, values) in values.chunks_mut(n.max(1)).enumerate() {
            self.values(slot, values)?;
        }
        Ok(values)
    }

    /// Copies out all that slot `slot` holds.
    ///
    /// # Errors
    /// No such slot.
    fn state(&self, slot: usize) -> Result<Replica, Error>;

    /// Replaces all that slot `slot` holds.
    ///
    /// # Errors
    /// No such slot, or a state of another problem.
    fn set_state(&mut self, slot: usize, state: &Replica) -> Result<(), Error>;

    /// Replaces the configuration of slot `slot`; a lifted chain's direction becomes +1, local fields are summed anew.
    ///
    /// # Errors
    /// No such slot, or values that do not fit.
    fn set_values(&mut self, slot: usize, values: &[u8]) -> Result<(), Error> {
        index("slot", slot, self.len())?;
        let state = Replica::new(self.problem(), values)?;
        self.set_state(slot, &state)
    }
}
