use std::fmt;

use mpi::{
    Count, Threading,
    datatype::{Partition, PartitionMut},
    environment::Universe,
    topology::SimpleCommunicator,
    traits::{Communicator, CommunicatorCollectives, Root},
};
use yuragi_graph::{Collective, Lost};

use crate::Failure;

/// All ranks of MPI's world. Only the thread that joined calls it.
pub struct Mpi {
    world: SimpleCommunicator,
    /// Ends MPI when it is dropped, after the world.
    _universe: Universe,
}

impl Mpi {
    pub fn join() -> Result<Mpi, Failure> {
        let (universe, _) = mpi::initialize_with_threading(Threading::Funneled)
            .ok_or_else(|| Failure::new("MPI was begun before: ranks are joined once"))?;
        Ok(Mpi { world: universe.world(), _universe: universe })
    }
}

impl fmt::Debug for Mpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank(), self.size())
    }
}

/// Where parcels of these lengths begin, and how long all are.
fn places(lengths: &[Count]) -> Result<(Vec<Count>, usize), Lost> {
    let mut all: Count = 0;
    let mut begin = |length: &Count| {
        let begins = all;
        all = all.checked_add(*length)?;
        Some(begins)
    };
    let places = lengths.iter().map(&mut begin).collect::<Option<_>>();
    places.map(|places| (places, all as usize)).ok_or_else(too_much)
}

/// Has an address.
static NOTHING: [u8; 1] = [0];

fn length(bytes: usize) -> Result<Count, Lost> {
    Count::try_from(bytes).map_err(|_| too_much())
}

fn too_much() -> Lost {
    Lost::new("ranks send more than 2 GiB at once: give each of them less")
}

/// The parcels of these lengths that lie in one block.
fn parcels(mut block: &[u8], lengths: &[Count]) -> Vec<Vec<u8>> {
    let mut take = |length: &Count| {
        let (parcel, rest) = block.split_at(*length as usize);
        block = rest;
        parcel.to_vec()
    };
    lengths.iter().map(&mut take).collect()
}

impl Collective for Mpi {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn size(&self) -> usize {
        self.world.size() as usize
    }

    fn exchange(&self, sent: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Lost> {
        if sent.len() != self.size() {
            return Err(Lost::new("not as many parcels as ranks"));
        }
        let lengths = sent.iter().map(|parcel| length(parcel.len())).collect::<Result<Vec<_>, _>>()?;
        let mut coming = vec![0; sent.len()];
        self.world.all_to_all_into(&lengths, &mut coming);
        let ((from, _), (to, all)) = (places(&lengths)?, places(&coming)?);
        let (mut out, mut block) = (sent.concat(), vec![0u8; all.max(1)]);
        out.reserve(1); // the address of nothing is one that MPI reads as something else
        let mut into = PartitionMut::new(&mut block, &*coming, to);
        self.world.all_to_all_varcount_into(&Partition::new(&out, lengths, from), &mut into);
        Ok(parcels(&block, &coming))
    }

    fn gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, Lost> {
        let mut lengths = vec![0; self.size()];
        self.world.all_gather_into(&length(own.len())?, &mut lengths);
        let (to, all) = places(&lengths)?;
        let mut block = vec![0u8; all.max(1)];
        let own = if own.is_empty() { &NOTHING[..0] } else { own };
        self.world.all_gather_varcount_into(own, &mut PartitionMut::new(&mut block, &*lengths, to));
        Ok(parcels(&block, &lengths))
    }

    fn broadcast(&self, from: usize, bytes: &mut Vec<u8>) -> Result<(), Lost> {
        if from >= self.size() {
            return Err(Lost::new("there is no such rank"));
        }
        let root = self.world.process_at_rank(from as Count);
        let mut length = length(bytes.len())?;
        root.broadcast_into(&mut length);
        bytes.resize(length as usize, 0);
        root.broadcast_into(bytes.as_mut_slice());
        Ok(())
    }

    fn barrier(&self) -> Result<(), Lost> {
        self.world.barrier();
        Ok(())
    }

    fn abort(&self, status: u8) {
        self.world.abort(status.into());
    }
}
