//! The functions of NCCL that programs with several GPUs call, exported beside the driver's, so that the same library can
//! stand in for `libnccl.so.2`, too: ranks that are processes, each with the emulator's device, on one machine.
//!
//! The process that makes an id serves it: its thread takes what every rank sends and hands it on. Calls return when all is
//! done, in the order of ranks; a rank that is gone is an error of the communicator, as NCCL reports it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::copy::copy_now;
use super::error::Outcome;
use super::handle::Handle;
use super::pointer::{Out, Text};
use super::transfer::Side;

/// `ncclResult_t`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Status(i32);

impl Status {
    const SUCCESS: Status = Status(0);
    const CUDA: Status = Status(1);
    const SYSTEM: Status = Status(2);
    const INVALID_ARGUMENT: Status = Status(4);
    const INVALID_USAGE: Status = Status(5);
    const REMOTE: Status = Status(6);
}

/// `ncclUniqueId`: the address of the thread that serves it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Id([u8; 128]);

const MARK: &[u8; 8] = b"emulated";

/// A rank's line to the thread that serves its id.
struct Ranks {
    rank: usize,
    size: usize,
    line: Mutex<TcpStream>,
    state: Mutex<Status>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

static ALIVE: Mutex<BTreeMap<Handle, Arc<Ranks>>> = Mutex::new(BTreeMap::new());

thread_local! {
    /// What was asked for since a group was begun, and how many groups are.
    static GROUP: RefCell<(usize, Vec<(Handle, Ask)>)> = const { RefCell::new((0, Vec::new())) };
}

/// What a rank asks for, with places in its device's memory.
#[derive(Clone, Copy)]
enum Ask {
    Send {
        from: u64,
        bytes: usize,
        peer: usize,
    },
    Receive {
        to: u64,
        bytes: usize,
        peer: usize,
    },
    Broadcast {
        from: u64,
        to: u64,
        bytes: usize,
        root: usize,
    },
    Gather {
        from: u64,
        to: u64,
        bytes: usize,
    },
    /// Single numbers.
    Sum {
        from: u64,
        to: u64,
        numbers: usize,
    },
}

fn read(address: u64, bytes: usize) -> Outcome<Vec<u8>> {
    let mut host = vec![0u8; bytes];
    copy_now((host.as_mut_ptr() as u64, Side::Host), (address, Side::Device), bytes)?;
    Ok(host)
}

fn write(address: u64, bytes: &[u8]) -> Outcome {
    copy_now((address, Side::Device), (bytes.as_ptr() as u64, Side::Host), bytes.len())
}

fn put(line: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    line.write_all(&(bytes.len() as u64).to_le_bytes())?;
    line.write_all(bytes)
}

fn take(line: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    line.read_exact(&mut length)?;
    let mut bytes = Vec::new();
    line.take(u64::from_le_bytes(length)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Brings ranks together, then hands parcels on, round after round, until one leaves.
fn serve(listener: &TcpListener) -> io::Result<()> {
    let mut lines: Vec<Option<TcpStream>> = Vec::new();
    while lines.is_empty() || lines.iter().any(Option::is_none) {
        let (mut line, _) = listener.accept()?;
        let said = take(&mut line)?;
        let number = |at: usize| {
            said.get(4 * at..4 * at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
        };
        let (rank, size) = (number(0), number(1));
        if lines.is_empty() {
            lines.resize_with(size, || None);
        }
        let fits = size == lines.len() && lines.get(rank).is_some_and(Option::is_none);
        if !fits {
            put(&mut line, b"no")?;
            continue;
        }
        lines[rank] = Some(line);
    }
    let mut lines: Vec<TcpStream> = lines.into_iter().flatten().collect();
    lines.iter_mut().try_for_each(|line| put(line, b"yes"))?;
    loop {
        // Of each rank as many parcels as there are ranks.
        let mut parcels: Vec<Vec<Vec<u8>>> = Vec::new();
        let count = lines.len();
        for line in &mut lines {
            parcels.push((0..count).map(|_| take(line)).collect::<io::Result<_>>()?);
        }
        for (to, line) in lines.iter_mut().enumerate() {
            for from in &parcels {
                put(line, from.get(to).map_or(&[][..], Vec::as_slice))?;
            }
        }
    }
}

impl Ranks {
    /// Sends a parcel to each rank, and gives what each sent here.
    fn exchange(&self, parcels: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Status> {
        let mut line = locked(&self.line);
        let mut round = || -> io::Result<Vec<Vec<u8>>> {
            parcels.iter().try_for_each(|parcel| put(&mut line, parcel))?;
            (0..self.size).map(|_| take(&mut line)).collect()
        };
        round().map_err(|_| Status::REMOTE)
    }

    /// Does what was asked for, all together.
    fn run(&self, asks: &[Ask]) -> Result<(), Status> {
        let refused = |_| Status::CUDA;
        let mut parcels = vec![Vec::new(); self.size];
        for &ask in asks {
            match ask {
                Ask::Send { from, bytes, peer } => {
                    parcels.get_mut(peer).ok_or(Status::INVALID_ARGUMENT)?.extend(read(from, bytes).map_err(refused)?);
                }
                Ask::Broadcast { from, bytes, root, .. } if root == self.rank => {
                    let all = read(from, bytes).map_err(refused)?;
                    parcels.iter_mut().for_each(|parcel| parcel.extend_from_slice(&all));
                }
                Ask::Receive { .. } | Ask::Broadcast { .. } => {}
                Ask::Gather { from, bytes, .. } | Ask::Sum { from, numbers: bytes, .. } => {
                    let bytes = if matches!(ask, Ask::Sum { .. }) { 4 * bytes } else { bytes };
                    let all = read(from, bytes).map_err(refused)?;
                    parcels.iter_mut().for_each(|parcel| parcel.extend_from_slice(&all));
                }
            }
        }
        let found = self.exchange(&parcels)?;
        let mut read_so_far = vec![0; self.size];
        let mut next = |from: usize, bytes: usize| -> Result<&[u8], Status> {
            let start = *read_so_far.get(from).ok_or(Status::INVALID_ARGUMENT)?;
            read_so_far[from] += bytes;
            // Of another length than was sent: NCCL would wait, or write what is wrong.
            found[from].get(start..start + bytes).ok_or(Status::INVALID_USAGE)
        };
        for &ask in asks {
            match ask {
                Ask::Send { .. } => {}
                Ask::Receive { to, bytes, peer } => write(to, next(peer, bytes)?).map_err(refused)?,
                Ask::Broadcast { to, bytes, root, .. } => write(to, next(root, bytes)?).map_err(refused)?,
                Ask::Gather { to, bytes, .. } => {
                    for from in 0..self.size {
                        write(to + (from * bytes) as u64, next(from, bytes)?).map_err(refused)?;
                    }
                }
                Ask::Sum { to, numbers, .. } => {
                    let mut sums = vec![0.0f32; numbers];
                    for from in 0..self.size {
                        let values = next(from, 4 * numbers)?.chunks_exact(4);
                        sums.iter_mut()
                            .zip(values)
                            .for_each(|(sum, b)| *sum += f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                    }
                    let bytes: Vec<u8> = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
                    write(to, &bytes).map_err(refused)?;
                }
            }
        }
        Ok(())
    }
}

fn ranks_of(handle: Handle) -> Result<Arc<Ranks>, Status> {
    locked(&ALIVE).get(&handle).cloned().ok_or(Status::INVALID_ARGUMENT)
}

/// What is asked for at once by one communicator; a rank that is gone is told later, as NCCL does.
fn done(handle: Handle, asks: &[Ask]) -> Status {
    let ranks = match ranks_of(handle) {
        Ok(ranks) => ranks,
        Err(status) => return status,
    };
    match ranks.run(asks) {
        Ok(()) => Status::SUCCESS,
        Err(Status::REMOTE) => {
            *locked(&ranks.state) = Status::REMOTE;
            Status::SUCCESS
        }
        Err(status) => status,
    }
}

fn ask(handle: Handle, ask: Result<Ask, Status>) -> Status {
    let ask = match ask {
        Ok(ask) => ask,
        Err(status) => return status,
    };
    let waits = GROUP.with_borrow_mut(|(depth, asks)| {
        if *depth > 0 {
            asks.push((handle, ask));
        }
        *depth > 0
    });
    if waits { Status::SUCCESS } else { done(handle, &[ask]) }
}

/// The bytes of an element of an `ncclDataType_t`.
fn size_of(kind: i32) -> Result<usize, Status> {
    match kind {
        0 | 1 => Ok(1),
        2 | 3 | 7 => Ok(4),
        4 | 5 | 8 => Ok(8),
        6 | 9 => Ok(2),
        _ => Err(Status::INVALID_ARGUMENT),
    }
}

fn peer(number: i32) -> Result<usize, Status> {
    usize::try_from(number).map_err(|_| Status::INVALID_ARGUMENT)
}

/// Exports functions of NCCL.
macro_rules! exported {
    ($(fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty $body:block)*) => {
        $(
            // SAFETY: the name is NCCL's, which this library stands in for; nothing else has it.
            #[unsafe(no_mangle)]
            #[allow(clippy::too_many_arguments)]
            pub extern "C" fn $name($($argument: $type),*) -> $result $body
        )*
    };
}

exported! {
    fn ncclGetVersion(version: Out<i32>) -> Status {
        version.put_if_wanted(22_703);
        Status::SUCCESS
    }

    fn ncclGetUniqueId(id: Out<Id>) -> Status {
        let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) else { return Status::SYSTEM };
        let Ok(SocketAddr::V4(address)) = listener.local_addr() else { return Status::SYSTEM };
        // When a rank is gone its thread ends, and with it the others' lines.
        thread::spawn(move || drop(serve(&listener)));
        let mut bytes = [0; 128];
        bytes[..8].copy_from_slice(MARK);
        bytes[8..10].copy_from_slice(&address.port().to_le_bytes());
        id.put_if_wanted(Id(bytes));
        Status::SUCCESS
    }

    fn ncclCommInitRank(place: Out<Handle>, size: i32, id: Id, rank: i32) -> Status {
        let (Ok(size), Ok(rank)) = (peer(size), peer(rank)) else { return Status::INVALID_ARGUMENT };
        if id.0[..8] != *MARK || rank >= size {
            return Status::INVALID_ARGUMENT;
        }
        let port = u16::from_le_bytes([id.0[8], id.0[9]]);
        let join = || -> io::Result<Option<TcpStream>> {
            let mut line = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            line.set_nodelay(true)?;
            put(&mut line, &[(rank as u32).to_le_bytes(), (size as u32).to_le_bytes()].concat())?;
            Ok(Some(()).filter(|()| take(&mut line).is_ok_and(|said| said == b"yes")).map(|()| line))
        };
        let line = match join() {
            Ok(Some(line)) => line,
            Ok(None) => return Status::INVALID_USAGE,
            Err(_) => return Status::SYSTEM,
        };
        let handle = Handle::fresh();
        let ranks = Ranks { rank, size, line: Mutex::new(line), state: Mutex::new(Status::SUCCESS) };
        locked(&ALIVE).insert(handle, Arc::new(ranks));
        place.put_if_wanted(handle);
        Status::SUCCESS
    }

    fn ncclCommDestroy(ranks: Handle) -> Status {
        if locked(&ALIVE).remove(&ranks).is_some() { Status::SUCCESS } else { Status::INVALID_ARGUMENT }
    }

    fn ncclCommAbort(ranks: Handle) -> Status {
        ncclCommDestroy(ranks)
    }

    fn ncclCommGetAsyncError(ranks: Handle, state: Out<Status>) -> Status {
        match ranks_of(ranks) {
            Ok(ranks) => {
                state.put_if_wanted(*locked(&ranks.state));
                Status::SUCCESS
            }
            Err(status) => status,
        }
    }

    fn ncclGetErrorString(status: Status) -> Text {
        let text: &'static CStr = match status {
            Status::SUCCESS => c"no error",
            Status::CUDA => c"unhandled cuda error",
            Status::SYSTEM => c"unhandled system error",
            Status::INVALID_ARGUMENT => c"invalid argument",
            Status::INVALID_USAGE => c"invalid usage",
            Status::REMOTE => c"remote process exited or there was a network error",
            _ => c"internal error",
        };
        Text::lasting(text)
    }

    fn ncclGetLastError(_ranks: Handle) -> Text {
        Text::lasting(c"")
    }

    fn ncclGroupStart() -> Status {
        GROUP.with_borrow_mut(|(depth, _)| *depth += 1);
        Status::SUCCESS
    }

    fn ncclGroupEnd() -> Status {
        let asks = GROUP.with_borrow_mut(|(depth, asks)| {
            if *depth == 0 {
                return None;
            }
            *depth -= 1;
            Some(if *depth == 0 { std::mem::take(asks) } else { Vec::new() })
        });
        let Some(asks) = asks else { return Status::INVALID_USAGE };
        let mut by_ranks = BTreeMap::<Handle, Vec<Ask>>::new();
        asks.into_iter().for_each(|(ranks, ask)| by_ranks.entry(ranks).or_default().push(ask));
        let failed = by_ranks.into_iter().map(|(ranks, asks)| done(ranks, &asks)).find(|status| *status != Status::SUCCESS);
        failed.unwrap_or(Status::SUCCESS)
    }

    fn ncclSend(from: u64, count: usize, kind: i32, to: i32, ranks: Handle, _stream: Handle) -> Status {
        let parcel = || Ok(Ask::Send { from, bytes: count * size_of(kind)?, peer: peer(to)? });
        ask(ranks, parcel())
    }

    fn ncclRecv(to: u64, count: usize, kind: i32, from: i32, ranks: Handle, _stream: Handle) -> Status {
        let parcel = || Ok(Ask::Receive { to, bytes: count * size_of(kind)?, peer: peer(from)? });
        ask(ranks, parcel())
    }

    fn ncclBroadcast(from: u64, to: u64, count: usize, kind: i32, root: i32, ranks: Handle, _stream: Handle) -> Status {
        let given = || Ok(Ask::Broadcast { from, to, bytes: count * size_of(kind)?, root: peer(root)? });
        ask(ranks, given())
    }

    fn ncclAllGather(from: u64, to: u64, count: usize, kind: i32, ranks: Handle, _stream: Handle) -> Status {
        ask(ranks, size_of(kind).map(|size| Ask::Gather { from, to, bytes: count * size }))
    }

    fn ncclAllReduce(from: u64, to: u64, count: usize, kind: i32, operation: i32, ranks: Handle, _stream: Handle) -> Status {
        // Sums of single numbers are all that is known here.
        let known = kind == 7 && operation == 0;
        ask(ranks, known.then_some(Ask::Sum { from, to, numbers: count }).ok_or(Status::INVALID_ARGUMENT))
    }
}
