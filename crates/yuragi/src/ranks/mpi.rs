use std::{fmt, thread};

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

/// Bytes that are sent at once: MPI counts in 31 bits.
const PIECE: usize = 1 << 30;

/// The status of a rank that panicked, as Rust has it.
const PANICKED: u8 = 101;

impl Mpi {
    /// Joins the world, in which this is to be rank `rank` of `size`.
    pub fn join((rank, size): (usize, usize)) -> Result<Mpi, Failure> {
        let (universe, _) = mpi::initialize_with_threading(Threading::Funneled)
            .ok_or_else(|| Failure::new("MPI was begun before: ranks are joined once"))?;
        let mpi = Mpi { world: universe.world(), _universe: universe };
        if (mpi.rank(), mpi.size()) != (rank, size) {
            let (r, s) = (mpi.rank(), mpi.size());
            return Err(Failure::new(format!(
                "the launcher started this as rank {rank} of {size}, and MPI knows it as {r} of {s}: start it by the launcher of \
                 the MPI that it was built with"
            )));
        }
        Ok(mpi)
    }

    /// The lengths of all ranks' bytes.
    fn lengths(&self, own: usize) -> Vec<u64> {
        let mut lengths = vec![0u64; self.size()];
        self.world.all_gather_into(&(own as u64), &mut lengths);
        lengths
    }

    /// Gives the bytes of rank `from`, whose length all know, to all.
    fn send(&self, from: usize, bytes: &mut [u8]) {
        let root = self.world.process_at_rank(from as Count);
        bytes.chunks_mut(PIECE).for_each(|piece| root.broadcast_into(piece));
    }

    /// One round of [`exchange`](Collective::exchange), of at most [`PIECE`] bytes from and to each rank.
    fn round(&self, sent: &[&[u8]], found: &mut [Vec<u8>]) {
        let lengths: Vec<Count> = sent.iter().map(|parcel| parcel.len() as Count).collect();
        let mut coming = vec![0; sent.len()];
        self.world.all_to_all_into(&lengths, &mut coming);
        // The address of nothing is one that MPI reads as something else: no buffer is empty.
        let (mut out, mut block) = (sent.concat(), vec![0u8; total(&coming).max(1)]);
        out.reserve(1);
        let mut into = PartitionMut::new(&mut block, &*coming, places(&coming));
        self.world.all_to_all_varcount_into(&Partition::new(&out, &*lengths, places(&lengths)), &mut into);
        found.iter_mut().zip(parcels(&block, &coming)).for_each(|(found, parcel)| found.extend(parcel));
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        // Others would wait for a rank that unwinds.
        if thread::panicking() {
            self.abort(PANICKED);
        }
    }
}

impl fmt::Debug for Mpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank(), self.size())
    }
}

fn total(lengths: &[Count]) -> usize {
    lengths.iter().map(|length| *length as usize).sum()
}

/// The parcels of these lengths, one after another.
fn parcels(block: &[u8], lengths: &[Count]) -> Vec<Vec<u8>> {
    let parcel = |(place, length): (Count, &Count)| block[place as usize..][..*length as usize].to_vec();
    places(lengths).into_iter().zip(lengths).map(parcel).collect()
}

/// Where parcels of these lengths begin.
fn places(lengths: &[Count]) -> Vec<Count> {
    let after = lengths.iter().scan(0, |all, length| {
        *all += length;
        Some(*all)
    });
    after.zip(lengths).map(|(after, length)| after - length).collect()
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
        let most = sent.iter().map(Vec::len).max().unwrap_or(0);
        let most = self.lengths(most).into_iter().max().unwrap_or(0) as usize;
        let piece = PIECE / self.size();
        let mut found = vec![Vec::new(); sent.len()];
        for first in (0..most.max(1)).step_by(piece) {
            let part = |parcel: &'_ Vec<u8>| first.min(parcel.len())..(first + piece).min(parcel.len());
            let parts: Vec<&[u8]> = sent.iter().map(|parcel| &parcel[part(parcel)]).collect();
            self.round(&parts, &mut found);
        }
        Ok(found)
    }

    fn gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, Lost> {
        let lengths = self.lengths(own.len());
        let total: u64 = lengths.iter().sum();
        if total <= PIECE as u64 {
            let lengths: Vec<Count> = lengths.iter().map(|length| *length as Count).collect();
            // The address of nothing is one that MPI reads as something else: no buffer is empty.
            let (mut out, mut block) = (own.to_vec(), vec![0u8; (total as usize).max(1)]);
            out.reserve(1);
            self.world.all_gather_varcount_into(&out, &mut PartitionMut::new(&mut block, &*lengths, places(&lengths)));
            return Ok(parcels(&block, &lengths));
        }
        let mut found: Vec<Vec<u8>> = Vec::with_capacity(lengths.len());
        for (from, length) in lengths.into_iter().enumerate() {
            let mut bytes = if from == self.rank() { own.to_vec() } else { vec![0; length as usize] };
            self.send(from, &mut bytes);
            found.push(bytes);
        }
        Ok(found)
    }

    fn broadcast(&self, from: usize, bytes: &mut Vec<u8>) -> Result<(), Lost> {
        let lengths = self.lengths(bytes.len());
        let length = lengths.get(from).ok_or_else(|| Lost::new("there is no such rank"))?;
        bytes.resize(*length as usize, 0);
        self.send(from, bytes);
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
