use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use cudarc::driver::{
    DriverError,
    sys::{CUresult, cuStreamQuery},
};
use yuragi_graph::{Collective, Lost};

use super::{
    context::Device,
    failure::{bind, failed},
    memory::Block,
    nccl_calls::{BYTES, Calls, Comm, Id, SINGLES, SUCCESS, SUM, Stream, WORDS},
};
use crate::CudaError;

/// The ranks of several GPUs, which talk by NCCL: NVLink, PCIe or the network, as it finds them.
///
/// The library (`libnccl.so.2`) is looked for at run time. Ranks find each other by an [`id`](Self::id) of which one rank
/// makes all others know. As a [`Collective`] it carries bytes through the memory of the GPU; numbers that are there already
/// are added up in place ([`CudaStore::sum`](crate::CudaStore::sum)), in NCCL's order.
///
/// What NCCL itself notices of a rank that is gone, over a network, is an error for those who wait for it; between GPUs of one
/// machine it may notice nothing, and the launcher must end them all. Which rank it was NCCL does not say.
pub struct Nccl {
    calls: &'static Calls,
    device: Arc<Device>,
    /// Null when the ranks have parted.
    ranks: Cell<Comm>,
    rank: usize,
    size: usize,
    /// What goes out, and what comes in.
    rooms: RefCell<[Option<Block>; 2]>,
}

/// The largest room that is kept: those of a file's rows are needed once, and the GPU's memory for other things.
const KEPT: usize = 16 << 20;

/// Gives large rooms back.
fn give_back(rooms: &mut [Option<Block>; 2]) {
    for room in rooms {
        *room = room.take().filter(|block| block.bytes() <= KEPT);
    }
}

/// Looks at the stream before it is worth sleeping between them, and how long.
const BUSY: Duration = Duration::from_millis(2);
const NAP: Duration = Duration::from_micros(50);

impl Nccl {
    /// `Ok` if there is an NCCL that is new enough.
    ///
    /// # Errors
    /// None, or one that is too old.
    pub fn check() -> Result<(), CudaError> {
        Calls::get().map(drop)
    }

    /// The bytes by which ranks find each other: one makes them, all use them, once.
    ///
    /// # Errors
    /// No NCCL, one that is too old, or what it reports.
    pub fn id() -> Result<Vec<u8>, CudaError> {
        let calls = Calls::get()?;
        let mut id = Id([0; 128]);
        // SAFETY: NCCL writes one id.
        calls.check("an id for ranks", unsafe { (calls.unique_id)(&mut id) }, std::ptr::null_mut())?;
        Ok(id.0.to_vec())
    }

    /// Joins the ranks of an id as rank `rank` of `size`, each with a GPU of its own; waits for all of them.
    ///
    /// # Errors
    /// No NCCL, one that is too old, bytes that are no id, or what it reports.
    pub fn join(device: &Arc<Device>, (rank, size): (usize, usize), id: &[u8]) -> Result<Nccl, CudaError> {
        const WHAT: &str = "to join ranks";
        let calls = Calls::get()?;
        let wrong = || CudaError::Nccl { what: WHAT, reason: "these bytes are no id".into() };
        let id = Id(id.try_into().map_err(|_| wrong())?);
        let [Ok(of), Ok(number)] = [size, rank].map(i32::try_from) else { return Err(wrong()) };
        bind(&device.context)?;
        let mut ranks = std::ptr::null_mut();
        // SAFETY: the context is current, and NCCL writes one pointer.
        calls.check(WHAT, unsafe { (calls.join)(&mut ranks, of, id, number) }, std::ptr::null_mut())?;
        Ok(Nccl { calls, device: device.clone(), ranks: Cell::new(ranks), rank, size, rooms: RefCell::default() })
    }

    /// Asks for something, each by a call that gives NCCL's code, and waits until the GPU has done it.
    fn run(&self, what: &'static str, ask: impl FnOnce(&Calls, Comm, Stream) -> i32) -> Result<(), CudaError> {
        let (calls, ranks) = (self.calls, self.ranks.get());
        if ranks.is_null() {
            return Err(CudaError::Nccl { what, reason: "the ranks have parted".into() });
        }
        bind(&self.device.context)?;
        calls.check(what, ask(calls, ranks, self.device.stream.cu_stream().cast()), ranks)?;
        let started = Instant::now();
        loop {
            let mut state = SUCCESS;
            // SAFETY: the ranks are joined, and NCCL writes one number.
            let asked = calls.check(what, unsafe { (calls.state)(ranks, &mut state) }, ranks);
            if let Err(error) = asked.and_then(|()| calls.check(what, state, ranks)) {
                // What was asked for would be waited for without end.
                self.part();
                return Err(error);
            }
            // SAFETY: the stream is the device's own.
            match unsafe { cuStreamQuery(self.device.stream.cu_stream()) } {
                CUresult::CUDA_SUCCESS => return Ok(()),
                CUresult::CUDA_ERROR_NOT_READY => {}
                error => return Err(failed("waiting for ranks", DriverError(error))),
            }
            if started.elapsed() < BUSY { thread::yield_now() } else { thread::sleep(NAP) }
        }
    }

    /// Leaves the ranks, whatever they are doing.
    fn part(&self) {
        let ranks = self.ranks.replace(std::ptr::null_mut());
        if !ranks.is_null() {
            // SAFETY: they were joined, and are used no more.
            unsafe { (self.calls.abort)(ranks) };
        }
    }

    /// A room of at least so many bytes.
    fn room<'a>(
        &self,
        rooms: &'a mut [Option<Block>; 2],
        which: usize,
        bytes: usize,
    ) -> Result<&'a mut Block, CudaError> {
        let room = &mut rooms[which];
        if room.as_ref().is_none_or(|block| block.bytes() < bytes) {
            *room = None;
            *room = Some(Block::new(&self.device, bytes.max(1).next_power_of_two(), "what ranks send each other")?);
        }
        match room {
            Some(block) => Ok(block),
            None => Err(CudaError::Lost("there is no room".into())),
        }
    }

    /// A number of each rank.
    fn lengths(&self, own: usize) -> Result<Vec<usize>, CudaError> {
        let mut rooms = self.rooms.borrow_mut();
        let out = self.room(&mut rooms, 0, 8)?;
        out.write(&(own as u64).to_le_bytes())?;
        let out = out.pointer();
        let into = self.room(&mut rooms, 1, 8 * self.size)?;
        let to = into.pointer();
        self.run("to gather numbers", |calls, ranks, stream| {
            // SAFETY: 8 bytes go out, 8 for each rank come in.
            unsafe { (calls.all_gather)(out, to, 1, WORDS, ranks, stream) }
        })?;
        let mut bytes = vec![0; 8 * self.size];
        into.read(&mut bytes)?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes) as usize).collect())
    }

    /// Sends parcels to ranks and receives so many bytes from each.
    fn swap(&self, sent: &[&[u8]], coming: &[usize]) -> Result<Vec<Vec<u8>>, CudaError> {
        let mut rooms = self.rooms.borrow_mut();
        let all = sent.concat();
        let out = self.room(&mut rooms, 0, all.len())?;
        out.write(&all)?;
        let mut from = out.pointer();
        let total: usize = coming.iter().sum();
        let into = self.room(&mut rooms, 1, total)?;
        let mut to = into.pointer();
        self.run("to exchange bytes", |calls, ranks, stream| {
            // SAFETY: every parcel lies in the room that goes out, and has its place in the one that comes in.
            unsafe {
                let mut code = (calls.group_start)();
                for (peer, (parcel, &length)) in (0..).zip(sent.iter().zip(coming)) {
                    if code == SUCCESS && !parcel.is_empty() {
                        code = (calls.send)(from, parcel.len(), BYTES, peer, ranks, stream);
                    }
                    if code == SUCCESS && length > 0 {
                        code = (calls.receive)(to, length, BYTES, peer, ranks, stream);
                    }
                    from += parcel.len() as u64;
                    to += length as u64;
                }
                // A group that was begun is ended, whatever came between.
                let ended = (calls.group_end)();
                if code == SUCCESS { ended } else { code }
            }
        })?;
        let mut bytes = vec![0; total];
        into.read(&mut bytes)?;
        give_back(&mut rooms);
        let mut rest = bytes.as_slice();
        let parcel = |&length: &usize| {
            let (parcel, after) = rest.split_at(length);
            rest = after;
            parcel.to_vec()
        };
        Ok(coming.iter().map(parcel).collect())
    }

    fn exchanged(&self, parcels: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, CudaError> {
        let lengths: Vec<[u8; 8]> = parcels.iter().map(|parcel| (parcel.len() as u64).to_le_bytes()).collect();
        let lengths: Vec<&[u8]> = lengths.iter().map(<[u8; 8]>::as_slice).collect();
        let coming = self.swap(&lengths, &vec![8; self.size])?;
        let number = |bytes: &Vec<u8>| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes) as usize);
        let coming: Vec<usize> = coming.iter().map(number).collect();
        self.swap(&parcels.iter().map(Vec::as_slice).collect::<Vec<&[u8]>>(), &coming)
    }

    fn gathered(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, CudaError> {
        let coming = self.lengths(own.len())?;
        self.swap(&vec![own; self.size], &coming)
    }

    fn given(&self, from: usize, bytes: &mut Vec<u8>) -> Result<(), CudaError> {
        let length = self.lengths(bytes.len())?[from];
        bytes.resize(length, 0);
        let mut rooms = self.rooms.borrow_mut();
        let room = self.room(&mut rooms, 0, length)?;
        room.write(bytes)?;
        let at = room.pointer();
        self.broadcast_at(from, at, length)?;
        self.room(&mut rooms, 0, length)?.read(bytes)?;
        give_back(&mut rooms);
        Ok(())
    }

    /// Gives all ranks the bytes that rank `from` has at an address.
    fn broadcast_at(&self, from: usize, at: u64, bytes: usize) -> Result<(), CudaError> {
        self.run("to give bytes to all", |calls, ranks, stream| {
            // SAFETY: in place, as long as the caller says.
            unsafe { (calls.broadcast)(at, at, bytes, BYTES, from as i32, ranks, stream) }
        })
    }

    /// Refuses memory of another GPU.
    fn check_place(&self, what: &'static str, block: &Block) -> Result<(), CudaError> {
        if block.is_of(&self.device) {
            return Ok(());
        }
        Err(CudaError::Nccl { what, reason: "the numbers are on another GPU than the ranks'".into() })
    }

    /// Adds up the single numbers of a block over all ranks, in place.
    pub(crate) fn sum_block(&self, block: &mut Block) -> Result<(), CudaError> {
        self.check_place("to add numbers up", block)?;
        let (at, count) = (block.pointer(), block.bytes() / 4);
        self.run("to add numbers up", |calls, ranks, stream| {
            // SAFETY: in place, as many numbers as the block has.
            unsafe { (calls.all_reduce)(at, at, count, SINGLES, SUM, ranks, stream) }
        })
    }
}

impl Drop for Nccl {
    fn drop(&mut self) {
        if thread::panicking() {
            // Others would wait for a rank that unwinds.
            self.part();
        }
        let ranks = self.ranks.replace(std::ptr::null_mut());
        if !ranks.is_null() && bind(&self.device.context).is_ok() {
            // SAFETY: they were joined, are used no more, and nothing that was asked for is still to be done.
            unsafe { (self.calls.destroy)(ranks) };
        }
    }
}

impl fmt::Debug for Nccl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {} on {:?}", self.rank, self.size, self.device)
    }
}

fn lost(error: CudaError) -> Lost {
    Lost::new(error.to_string())
}

impl Collective for Nccl {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn exchange(&self, parcels: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Lost> {
        if parcels.len() != self.size {
            return Err(Lost::new("not as many parcels as ranks"));
        }
        self.exchanged(parcels).map_err(lost)
    }

    fn gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, Lost> {
        self.gathered(own).map_err(lost)
    }

    fn broadcast(&self, from: usize, bytes: &mut Vec<u8>) -> Result<(), Lost> {
        if from >= self.size {
            return Err(Lost::new("there is no such rank"));
        }
        self.given(from, bytes).map_err(lost)
    }

    fn barrier(&self) -> Result<(), Lost> {
        self.lengths(0).map(drop).map_err(lost)
    }

    fn abort(&self, _: u8) {
        self.part();
    }
}
