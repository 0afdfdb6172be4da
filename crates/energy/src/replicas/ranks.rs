use super::contract::Replicas;
use super::reads::{Betas, Reads, check_parents};
use crate::draw::Draws;
use crate::dynamics::Replica;
use crate::error::{Error, index, length};
use crate::problem::Problem;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::Range;
use yuragi_graph::{Collective, Lost};

/// Reads shared out among ranks, each of which sweeps its own: the same reads on any number of them.
///
/// Every rank runs the same sampler on such a batch. Sweeps need no word between them; energies, and at last the
/// configurations, are gathered on all ranks, and [`resample`](Replicas::resample) moves only what a slot of another rank
/// is to hold. Ranks without a read take part as well.
///
/// ```
/// use yuragi_energy::{Bonds, Problem, dynamics::Metropolis, replicas::{Ranks, Replicas, batch, group}};
/// use yuragi_graph::Alone; // one rank; others come from an engine such as MPI
/// let square = Problem::lattice(&[8, 8], Bonds::Uniform(1.0), &[])?;
/// let here = |reads| batch(&square, Metropolis, reads, 1).map(|own| own as Box<dyn Replicas>);
/// let all = Ranks::new(&Alone, &square, 100, 1, group(&square, &Metropolis), here)?;
/// assert_eq!(all.configurations()?, batch(&square, Metropolis, 100, 1)?.configurations()?);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub struct Ranks<'a> {
    collective: &'a dyn Collective,
    problem: &'a Problem,
    reads: Reads,
    draws: Draws,
    /// Where the slots of each rank begin and end.
    shares: Vec<Range<usize>>,
    /// Those of this rank, if it has any.
    own: Option<Box<dyn Replicas + 'a>>,
    /// All configurations, since they were asked for and as long as they stay.
    gathered: RefCell<Option<Vec<u8>>>,
}

impl<'a> Ranks<'a> {
    /// Shares reads out in groups of so many that are not parted, as [`group`](super::group) tells; `here` makes those of
    /// this rank. The seed is the one that `here` gives them.
    ///
    /// # Errors
    /// Read numbers that do not fit, and those of `here`.
    pub fn new(
        collective: &'a dyn Collective,
        problem: &'a Problem,
        reads: impl Into<Reads>,
        seed: u64,
        group: u32,
        here: impl FnOnce(Reads) -> Result<Box<dyn Replicas + 'a>, Error>,
    ) -> Result<Self, Error> {
        let reads = reads.into().check()?;
        // Where there are fewer groups than ranks, the groups are parted, which changes no read.
        let unit = if reads.count.div_ceil(group.max(1)) as usize >= collective.size() { group as usize } else { 1 };
        let share = |rank| collective.share(reads.count as usize, unit, rank);
        let shares: Vec<Range<usize>> = (0..collective.size()).map(share).collect();
        let slots = share(collective.rank());
        let of = Reads { first: reads.first + slots.start as u32, count: slots.len() as u32 };
        let own = if slots.is_empty() { None } else { Some(here(of)?) };
        Ok(Self { collective, problem, reads, draws: Draws::new(seed), shares, own, gathered: RefCell::new(None) })
    }

    fn slots(&self) -> Range<usize> {
        self.shares[self.collective.rank()].clone()
    }

    fn owner(&self, slot: usize) -> usize {
        self.shares.partition_point(|share| share.end <= slot)
    }

    /// A number of each read, on all ranks.
    fn numbers(
        &mut self,
        all: &mut [f64],
        of: impl FnOnce(&mut dyn Replicas, &mut [f64]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        length("the energies", all.len(), self.len())?;
        let mut here = alloc::vec![0.0; self.slots().len()];
        if let Some(own) = &mut self.own {
            of(&mut **own, &mut here)?;
        }
        let found = self.collective.gather_numbers(&here)?;
        length("what ranks sent", found.len(), all.len())?;
        all.copy_from_slice(&found);
        Ok(())
    }
}

impl core::fmt::Debug for Ranks<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Ranks").field("reads", &self.reads).field("shares", &self.shares).finish_non_exhaustive()
    }
}

impl From<Lost> for Error {
    fn from(lost: Lost) -> Self {
        Self::Device(alloc::string::ToString::to_string(&lost))
    }
}

impl Replicas for Ranks<'_> {
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
        self.gathered.replace(None);
        let slots = self.slots();
        match &mut self.own {
            Some(own) => own.sweep(
                sweep,
                match betas {
                    Betas::Same(beta) => Betas::Same(beta),
                    Betas::Each(betas) => Betas::Each(&betas[slots]),
                },
            ),
            None => Ok(()),
        }
    }

    fn energies(&mut self, energies: &mut [f64]) -> Result<(), Error> {
        self.numbers(energies, |own, here| own.energies(here))
    }

    fn kept_energies(&mut self, energies: &mut [f64]) -> Result<(), Error> {
        self.numbers(energies, |own, here| own.kept_energies(here))
    }

    fn resample(&mut self, parents: &[u32]) -> Result<(), Error> {
        check_parents(parents, self.len())?;
        self.gathered.replace(None);
        let (rank, slots) = (self.collective.rank(), self.slots());
        // Every rank knows the parents, so each sends what others will want, once, in the order of slots.
        let foreign = |to: usize, from: usize| -> Vec<usize> {
            let wanted = parents[self.shares[to].clone()].iter().map(|&parent| parent as usize);
            let mut wanted: Vec<usize> = wanted.filter(|parent| self.shares[from].contains(parent)).collect();
            wanted.sort_unstable();
            wanted.dedup();
            wanted
        };
        let mut parcels = alloc::vec![Vec::new(); self.shares.len()];
        for (to, parcel) in parcels.iter_mut().enumerate().filter(|(to, _)| *to != rank) {
            for slot in foreign(to, rank) {
                if let Some(own) = &self.own {
                    own.state(slot - slots.start)?.write(parcel);
                }
            }
        }
        let mut states = BTreeMap::new();
        for (from, parcel) in self.collective.exchange(&parcels)?.iter().enumerate().filter(|(from, _)| *from != rank) {
            let wanted = foreign(rank, from);
            let each = parcel.len() / wanted.len().max(1);
            length("what a rank sent", parcel.len(), each * wanted.len())?;
            for (slot, bytes) in wanted.into_iter().zip(parcel.chunks(each.max(1))) {
                states.insert(slot, Replica::read(self.problem, bytes)?);
            }
        }
        let Some(own) = &mut self.own else { return Ok(()) };
        let parents = &parents[slots.clone()];
        let local = |&parent: &u32| (parent as usize).checked_sub(slots.start).filter(|&at| at < slots.len());
        let within: Vec<u32> = parents.iter().map(|parent| local(parent).unwrap_or(0) as u32).collect();
        own.resample(&within)?;
        for (slot, parent) in parents.iter().enumerate() {
            if let Some(state) = states.get(&(*parent as usize)) {
                own.set_state(slot, state)?;
            }
        }
        Ok(())
    }

    fn values(&self, slot: usize, values: &mut [u8]) -> Result<(), Error> {
        index("slot", slot, self.len())?;
        let n = self.problem.len();
        length("the values", values.len(), n)?;
        let mut gathered = self.gathered.borrow_mut();
        if gathered.is_none() {
            *gathered = Some(self.configurations()?);
        }
        if let Some(all) = &*gathered {
            values.copy_from_slice(&all[slot * n..][..n]);
        }
        Ok(())
    }

    fn configurations(&self) -> Result<Vec<u8>, Error> {
        let here = self.own.as_ref().map_or(Ok(Vec::new()), |own| own.configurations())?;
        let all = self.collective.gather(&here)?.concat();
        length("what ranks sent", all.len(), self.problem.len() * self.len())?;
        Ok(all)
    }

    fn state(&self, slot: usize) -> Result<Replica, Error> {
        index("slot", slot, self.len())?;
        let (mut bytes, owner) = (Vec::new(), self.owner(slot));
        if let Some(own) = self.own.as_ref().filter(|_| owner == self.collective.rank()) {
            own.state(slot - self.slots().start)?.write(&mut bytes);
        }
        self.collective.broadcast(owner, &mut bytes)?;
        Replica::read(self.problem, &bytes)
    }

    fn set_state(&mut self, slot: usize, state: &Replica) -> Result<(), Error> {
        index("slot", slot, self.len())?;
        self.gathered.replace(None);
        let (slots, here) = (self.slots(), self.owner(slot) == self.collective.rank());
        match self.own.as_mut().filter(|_| here) {
            Some(own) => own.set_state(slot - slots.start, state),
            None => Ok(()),
        }
    }
}
