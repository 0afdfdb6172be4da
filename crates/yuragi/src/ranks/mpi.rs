#![allow(unsafe_code)] // MPI reads and writes memory after the call that named it

use std::{fmt, mem, slice, thread};

use mpi::{
    Count, Tag, Threading,
    datatype::{Partition, PartitionMut},
    environment::Universe,
    request::{Request, StaticScope},
    topology::SimpleCommunicator,
    traits::{Communicator, CommunicatorCollectives, Destination, Equivalence, Root, Source},
};
use yuragi_graph::{Collective, Flight, Lost, Number, Rooms, Run, Swap};

use crate::Failure;

/// All ranks of MPI's world. Only the thread that joined calls it.
pub struct Mpi {
    world: SimpleCommunicator,
    /// Ends MPI when it is dropped, after the world.
    _universe: Universe,
}

/// Bytes or numbers that are sent at once: MPI counts in 31 bits.
const PIECE: usize = 1 << 30;

/// Tags that every MPI has.
const TAGS: u32 = 1 << 15;

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

    /// Begins to receive and to send runs of numbers in rooms, which were checked.
    fn fly<T: Number + Equivalence + 'static>(
        &self,
        mut rooms: Vec<Vec<T>>,
        (sent, coming, number): (&[Run], &[Run], u32),
    ) -> Flying<T> {
        let rooms_at: Vec<*mut T> = rooms.iter_mut().map(Vec::as_mut_ptr).collect();
        let tag = (number % TAGS) as Tag;
        let pieces = |run: &Run| {
            let (first, end) = (run.range.start, run.range.end);
            let at = rooms_at[run.room];
            (first..end).step_by(PIECE).map(move |from| (at.wrapping_add(from), PIECE.min(end - from)))
        };
        let mut requests = Vec::with_capacity(sent.len() + coming.len());
        for run in coming {
            let from = self.world.process_at_rank(run.rank as Count);
            requests.extend(pieces(run).map(|(at, length)| {
                // SAFETY: the run lies in its room, nothing else is made of it (both checked), and the rooms stay where they
                // are until MPI has done with them: see `Flying`.
                let to: &'static mut [T] = unsafe { slice::from_raw_parts_mut(at, length) };
                from.immediate_receive_into_with_tag(StaticScope, to, tag)
            }));
        }
        for run in sent {
            let to = self.world.process_at_rank(run.rank as Count);
            requests.extend(pieces(run).map(|(at, length)| {
                // SAFETY: the run lies in its room, nothing comes to it (both checked), and the rooms stay where they are.
                let from: &'static [T] = unsafe { slice::from_raw_parts(at, length) };
                to.immediate_send_with_tag(StaticScope, from, tag)
            }));
        }
        Flying { rooms, requests }
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

/// Numbers under way, in rooms that nobody touches until all requests have ended.
struct Flying<T: Number + 'static> {
    rooms: Vec<Vec<T>>,
    requests: Vec<Request<'static, [T], StaticScope>>,
}

impl<T: Number + 'static> Flight for Flying<T> {
    fn advance(&mut self) -> Result<bool, Lost> {
        self.requests = mem::take(&mut self.requests).into_iter().filter_map(|request| request.test().err()).collect();
        Ok(self.requests.is_empty())
    }

    fn land(mut self: Box<Self>) -> Result<Rooms, Lost> {
        self.requests.drain(..).for_each(Request::wait_without_status);
        Ok(T::rooms(mem::take(&mut self.rooms)))
    }
}

impl<T: Number + 'static> Drop for Flying<T> {
    fn drop(&mut self) {
        if self.requests.is_empty() {
            return;
        }
        // What failed on this rank may never end on others. MPI may still use the rooms: they are left to it.
        for request in self.requests.drain(..) {
            // SAFETY: the request is forgotten, and its memory with it.
            let _ = unsafe { request.into_raw() };
        }
        mem::forget(mem::take(&mut self.rooms));
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

    fn begin(&self, swap: Swap) -> Result<Box<dyn Flight + '_>, Lost> {
        swap.check(self.rank(), self.size())?;
        let runs = (&swap.sent[..], &swap.coming[..], swap.number);
        Ok(match swap.rooms {
            Rooms::Single(rooms) => Box::new(self.fly(rooms, runs)),
            Rooms::Double(rooms) => Box::new(self.fly(rooms, runs)),
        })
    }

    fn barrier(&self) -> Result<(), Lost> {
        self.world.barrier();
        Ok(())
    }

    fn abort(&self, status: u8) {
        self.world.abort(status.into());
    }
}
