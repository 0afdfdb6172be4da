use super::contract::Replicas;
use super::reads::{Betas, Reads, check_parents};
use crate::draw::Draws;
use crate::dynamics::{Replica, pack, packed, unpack};
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
/// configurations, are gathered on all ranks, and [`resample`](Replicas::resample) and [`branch`](Replicas::branch) move only
/// what a slot of another rank is to hold, once to each rank, spins as bits. Ranks without a read take part as well.
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

/// The bytes before each state that moves: how many children, and their label.
const HEAD: usize = 8;

/// What two ranges have in common.
fn common(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    a.start.max(b.start)..a.end.min(b.end)
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
                    own.state(slot - slots.start)?.write(self.problem, parcel);
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

    fn collective(&self) -> &dyn Collective {
        self.collective
    }

    fn share(&self) -> Range<usize> {
        self.slots()
    }

    fn share_energies(&mut self, energies: &mut [f64]) -> Result<(), Error> {
        length("the energies", energies.len(), self.slots().len())?;
        self.own.as_mut().map_or(Ok(()), |own| own.energies(energies))
    }

    fn branch(&mut self, children: &[u32], first: usize, labels: &mut Vec<u32>) -> Result<(), Error> {
        let (rank, slots) = (self.collective.rank(), self.slots());
        length("the numbers of children", children.len(), slots.len())?;
        length("the labels", labels.len(), slots.len())?;
        self.gathered.replace(None);
        // Where the children of each slot go.
        let mut end = first;
        let born: Vec<Range<usize>> = children
            .iter()
            .map(|&count| {
                let start = end;
                end += count as usize;
                start..end
            })
            .collect();
        length("the children", self.len().max(end), self.len())?;
        // A parcel tells of each configuration that moves how often and with which label it comes, then what it is.
        let mut parcels = alloc::vec![Vec::new(); self.shares.len()];
        for (to, parcel) in parcels.iter_mut().enumerate().filter(|(to, _)| *to != rank) {
            for (slot, (born, label)) in born.iter().zip(&*labels).enumerate() {
                let there = common(born, &self.shares[to]);
                if let Some(own) = self.own.as_ref().filter(|_| !there.is_empty()) {
                    parcel.extend((there.len() as u32).to_le_bytes());
                    parcel.extend(label.to_le_bytes());
                    own.state(slot)?.write(self.problem, parcel);
                }
            }
        }
        let (mut within, mut next, mut states) = (Vec::with_capacity(slots.len()), Vec::new(), Vec::new());
        for (from, parcel) in self.collective.exchange(&parcels)?.iter().enumerate() {
            if from == rank {
                for (slot, (born, &label)) in (0..).zip(born.iter().zip(&*labels)) {
                    let here = common(born, &slots).len();
                    within.extend(core::iter::repeat_n(slot, here));
                    next.extend(core::iter::repeat_n(label, here));
                }
                continue;
            }
            for moved in parcel.chunks(HEAD + Replica::bytes(self.problem).iter().sum::<usize>()) {
                let (words, state) = moved.split_at(HEAD.min(moved.len()));
                let word = |at: usize| words.as_chunks::<4>().0.get(at).map_or(0, |bytes| u32::from_le_bytes(*bytes));
                let count = (word(0) as usize).min(slots.len() - within.len());
                states.push((within.len(), count, Replica::read(self.problem, state)?));
                // What is replaced below.
                within.extend(core::iter::repeat_n(0, count));
                next.extend(core::iter::repeat_n(word(1), count));
            }
        }
        length("the children", within.len(), slots.len())?;
        *labels = next;
        let Some(own) = &mut self.own else { return Ok(()) };
        own.resample(&within)?;
        for (at, count, state) in states {
            (at..at + count).try_for_each(|slot| own.set_state(slot, &state))?;
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
        let (n, mut here) = (self.problem.len().max(1), Vec::new());
        let own = self.own.as_ref().map_or(Ok(Vec::new()), |own| own.configurations())?;
        own.chunks(n).for_each(|values| pack(self.problem, values, &mut here));
        let all = self.collective.gather(&here)?.concat();
        let each = packed(self.problem);
        length("what ranks sent", all.len(), each * self.len())?;
        Ok(all.chunks(each.max(1)).flat_map(|bytes| unpack(self.problem, bytes)).collect())
    }

    fn state(&self, slot: usize) -> Result<Replica, Error> {
        index("slot", slot, self.len())?;
        let (mut bytes, owner) = (Vec::new(), self.owner(slot));
        if let Some(own) = self.own.as_ref().filter(|_| owner == self.collective.rank()) {
            own.state(slot - self.slots().start)?.write(self.problem, &mut bytes);
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
