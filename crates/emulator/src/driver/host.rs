//! Memory of the host that the driver knows: pinned, registered and managed.
//!
//! A kernel sees only the machine's own memory. So what the driver allocates here is allocated there too, and mapped
//! into the host's address space under the same address. The machine's copy is brought up to date before a launch
//! that may see it, and what the launch changed comes back after it. Registered memory is its program's, at an address
//! of its own choice, and stays out of kernels' sight.

use std::collections::BTreeMap;
use std::ptr;
use std::sync::Mutex;

use super::context::Context;
use super::device::machine;
use super::error::{Code, Outcome};
use super::handle::Handle;
use super::pages::Pages;
use super::pointer::{Buffer, Out};
use super::stream::Stream;
use super::{capture, lock, memory};

/// `CU_MEMHOSTALLOC_PORTABLE`, `.._DEVICEMAP` and `.._WRITECOMBINED`.
const ALLOC_FLAGS: u32 = 7;
/// `CU_MEMHOSTREGISTER_PORTABLE`, `.._DEVICEMAP`, `.._IOMEMORY` and `.._READ_ONLY`.
const REGISTER_FLAGS: u32 = 15;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pinned,
    Registered,
    Managed,
}

/// A range of the host's memory, as others may know it.
#[derive(Clone)]
pub struct Region {
    pub address: usize,
    pub bytes: usize,
    pub context: Handle,
    pub by: &'static str,
    kind: Kind,
    flags: u32,
}

impl Region {
    pub fn is_managed(&self) -> bool {
        self.kind == Kind::Managed
    }

    fn holds(&self, address: u64) -> bool {
        (self.address as u64..self.address as u64 + self.bytes as u64).contains(&address)
    }
}

/// Zeroed bytes that the host and the machine have under one address.
struct Block {
    address: u64,
    _pages: Pages,
}

impl Block {
    fn new(bytes: usize) -> Outcome<Block> {
        let machine = machine()?;
        let address = machine.allocate(bytes as u64).map_err(|error| memory::refusal(&error))?;
        match Pages::map(address, bytes) {
            Ok(pages) => Ok(Block { address, _pages: pages }),
            Err(error) => {
                machine.free(address).map_err(|error| memory::refusal(&error))?;
                Err(error)
            }
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Ok(machine) = machine() {
            // It was allocated there, so the machine knows it.
            let _ = machine.free(self.address);
        }
    }
}

struct Entry {
    region: Region,
    /// What to give back at the end; registered memory has none.
    block: Option<Block>,
}

static REGIONS: Mutex<BTreeMap<usize, Entry>> = Mutex::new(BTreeMap::new());
/// One launch at a time has host memory in the machine.
static MIRRORED: Mutex<()> = Mutex::new(());

/// The region that holds an address.
pub fn find(address: u64) -> Option<Region> {
    let regions = lock(&REGIONS);
    let (_, entry) = regions.range(..=usize::try_from(address).ok()?).next_back()?;
    entry.region.holds(address).then(|| entry.region.clone())
}

fn add(context: &Context, bytes: usize, kind: Kind, flags: u32, by: &'static str) -> Outcome<usize> {
    if bytes == 0 {
        return Err(Code::INVALID_VALUE.into());
    }
    let block = Block::new(bytes)?;
    let address = block.address as usize;
    let region = Region { address, bytes, context: context.handle, by, kind, flags };
    lock(&REGIONS).insert(address, Entry { region, block: Some(block) });
    Ok(address)
}

/// Bytes of the machine that are pinned memory of the host, and no device memory to its program.
pub fn pinned_bytes() -> u64 {
    lock(&REGIONS).values().filter(|entry| entry.region.kind == Kind::Pinned).map(|e| e.region.bytes as u64).sum()
}

/// Takes a region out that begins at an address and is of one of some kinds.
fn take(address: usize, kinds: &[Kind]) -> Option<Entry> {
    let mut regions = lock(&REGIONS);
    let known = regions.get(&address).is_some_and(|entry| kinds.contains(&entry.region.kind));
    if known { regions.remove(&address) } else { None }
}

/// Frees managed memory; false if none begins there.
pub fn free_managed(address: u64) -> bool {
    usize::try_from(address).is_ok_and(|address| take(address, &[Kind::Managed]).is_some())
}

/// Takes out what belongs to a context, and gives those that its program should have freed.
pub fn release_of(context: Handle) -> Vec<Region> {
    let mut regions = lock(&REGIONS);
    let theirs: Vec<usize> = regions.iter().filter(|(_, e)| e.region.context == context).map(|(&a, _)| a).collect();
    let gone: Vec<Entry> = theirs.iter().filter_map(|address| regions.remove(address)).collect();
    drop(regions);
    gone.iter().filter(|entry| entry.region.kind != Kind::Registered).map(|entry| entry.region.clone()).collect()
}

/// What was never freed.
pub fn forgotten() -> Vec<Region> {
    let Ok(regions) = REGIONS.try_lock() else { return Vec::new() };
    let owned = regions.values().filter(|entry| entry.region.kind != Kind::Registered);
    owned.map(|entry| entry.region.clone()).collect()
}

/// Lets a function read bytes of the host.
///
/// # Safety
/// The bytes are readable, and nobody writes them until the function returns.
pub unsafe fn with_bytes<R>(address: usize, bytes: usize, f: impl FnOnce(&[u8]) -> R) -> R {
    if bytes == 0 {
        return f(&[]);
    }
    // SAFETY: the caller promises what a slice needs; its first address was a pointer of the program.
    f(unsafe { std::slice::from_raw_parts(ptr::with_exposed_provenance(address), bytes) })
}

/// Lets a function write bytes of the host.
///
/// # Safety
/// The bytes are writable, and nobody else touches them until the function returns.
pub unsafe fn with_bytes_mut<R>(address: usize, bytes: usize, f: impl FnOnce(&mut [u8]) -> R) -> R {
    if bytes == 0 {
        return f(&mut []);
    }
    // SAFETY: the caller promises what a slice needs; its first address was a pointer of the program.
    f(unsafe { std::slice::from_raw_parts_mut(ptr::with_exposed_provenance_mut(address), bytes) })
}

/// Runs a launch with the host memory that it may see: all that is managed, and what its parameters point into.
pub fn mirrored<R>(params: &[u8], launch: impl FnOnce() -> R) -> Outcome<R> {
    let pointers: Vec<u64> = params.as_chunks::<8>().0.iter().map(|&word| u64::from_le_bytes(word)).collect();
    let seen = |entry: &Entry| {
        let region = &entry.region;
        entry.block.is_some() && (region.is_managed() || pointers.iter().any(|&address| region.holds(address)))
    };
    if !lock(&REGIONS).values().any(seen) {
        return Ok(launch());
    }
    let _one = lock(&MIRRORED);
    let machine = machine()?;
    let mut before: Vec<(Region, Vec<u8>)> = Vec::new();
    for entry in lock(&REGIONS).values().filter(|entry| seen(entry)) {
        let (address, bytes) = (entry.region.address, entry.region.bytes);
        // SAFETY: the region is alive while the table is locked, and a program does not write memory that it has
        // given to a kernel.
        let copy = unsafe { with_bytes(address, bytes, <[u8]>::to_vec) };
        machine.write(address as u64, &copy).map_err(|error| memory::refusal(&error))?;
        before.push((entry.region.clone(), copy));
    }
    let result = launch();
    for (region, old) in before {
        let mut new = vec![0; region.bytes];
        machine.read(region.address as u64, &mut new).map_err(|error| memory::refusal(&error))?;
        let regions = lock(&REGIONS);
        if regions.get(&region.address).is_none_or(|entry| entry.region.bytes != region.bytes) {
            continue;
        }
        // SAFETY: as for the reading; only bytes that the kernel changed are written, so that the program may use
        // the others.
        unsafe {
            let first: *mut u8 = ptr::with_exposed_provenance_mut(region.address);
            for (i, (&new, _)) in new.iter().zip(&old).enumerate().filter(|(_, (new, old))| new != old) {
                first.add(i).write(new);
            }
        }
    }
    Ok(result)
}

/// The managed region that holds a range.
fn managed(address: u64, bytes: usize) -> Outcome<Region> {
    let region = find(address).filter(Region::is_managed).ok_or(Code::INVALID_VALUE)?;
    let end = address.checked_add(bytes as u64).ok_or(Code::INVALID_VALUE)?;
    if end <= region.address as u64 + region.bytes as u64 { Ok(region) } else { Err(Code::INVALID_VALUE.into()) }
}

/// `CUmemLocation`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Location {
    kind: i32,
    id: i32,
}

super::exported! {
    fn cuMemHostAlloc(out: Out<usize>, bytes: usize, flags: u32) {
        let place = out.place()?;
        let context = Context::usable()?;
        if flags & !ALLOC_FLAGS != 0 {
            return Err(Code::INVALID_VALUE.into());
        }
        capture::forbid()?;
        place.put(add(&context, bytes, Kind::Pinned, flags, "cuMemHostAlloc")?);
        Ok(())
    }

    fn cuMemAllocHost_v2(out: Out<usize>, bytes: usize) {
        let place = out.place()?;
        let context = Context::usable()?;
        capture::forbid()?;
        place.put(add(&context, bytes, Kind::Pinned, 0, "cuMemAllocHost")?);
        Ok(())
    }

    fn cuMemFreeHost(address: usize) {
        let context = Context::current()?;
        capture::forbid()?;
        context.streams().iter().filter(|stream| !stream.is_capturing()).for_each(|stream| stream.drain());
        if take(address, &[Kind::Pinned]).is_none() {
            return Err(Code::INVALID_VALUE.because(format_args!("no pinned memory begins at {address:#x}")));
        }
        context.check()
    }

    fn cuMemHostRegister_v2(buffer: Buffer, bytes: usize, flags: u32) {
        let context = Context::usable()?.handle;
        let address = buffer.address();
        if buffer.is_null() || bytes == 0 || flags & !REGISTER_FLAGS != 0 || address.checked_add(bytes).is_none() {
            return Err(Code::INVALID_VALUE.into());
        }
        let mut regions = lock(&REGIONS);
        let meets = |other: &Region| other.address < address + bytes && address < other.address + other.bytes;
        if regions.values().any(|entry| meets(&entry.region)) {
            return Err(Code::HOST_MEMORY_ALREADY_REGISTERED.into());
        }
        let region = Region { address, bytes, context, by: "cuMemHostRegister", kind: Kind::Registered, flags };
        regions.insert(address, Entry { region, block: None });
        Ok(())
    }

    fn cuMemHostUnregister(address: usize) {
        Context::current()?;
        take(address, &[Kind::Registered]).map(|_| ()).ok_or(Code::HOST_MEMORY_NOT_REGISTERED.into())
    }

    fn cuMemHostGetDevicePointer_v2(out: Out<u64>, buffer: Buffer, flags: u32) {
        let place = out.place()?;
        Context::usable()?;
        let address = buffer.address() as u64;
        let region = find(address).filter(|_| flags == 0).ok_or(Code::INVALID_VALUE)?;
        if region.kind == Kind::Registered {
            return Err(Code::NOT_SUPPORTED.because("kernels that use registered memory; allocate it pinned"));
        }
        place.put(address);
        Ok(())
    }

    fn cuMemHostGetFlags(out: Out<u32>, buffer: Buffer) {
        let place = out.place()?;
        Context::usable()?;
        place.put(find(buffer.address() as u64).ok_or(Code::INVALID_VALUE)?.flags);
        Ok(())
    }

    fn cuMemAllocManaged(out: Out<u64>, bytes: usize, flags: u32) {
        let place = out.place()?;
        let context = Context::usable()?;
        if !matches!(flags, 1 | 2) {
            return Err(Code::INVALID_VALUE.into());
        }
        capture::forbid()?;
        place.put(add(&context, bytes, Kind::Managed, flags, "cuMemAllocManaged")? as u64);
        Ok(())
    }

    /// Memory is where it is needed; the stream's order is kept by its own work.
    fn cuStreamAttachMemAsync(stream: Handle, address: u64, bytes: usize, flags: u32) {
        Stream::of(stream)?;
        if !matches!(flags, 1 | 2 | 4) {
            return Err(Code::INVALID_VALUE.into());
        }
        managed(address, bytes).map(|_| ())
    }

    fn cuMemPrefetchAsync(address: u64, bytes: usize, _device: i32, stream: Handle) {
        Stream::of(stream)?;
        managed(address, bytes).map(|_| ())
    }

    fn cuMemPrefetchAsync_v2(address: u64, bytes: usize, location: Location, flags: u32, stream: Handle) {
        Stream::of(stream)?;
        if flags != 0 || !matches!(location.kind, 1..=4) || location.kind == 1 && location.id != 0 {
            return Err(Code::INVALID_VALUE.into());
        }
        managed(address, bytes).map(|_| ())
    }

    fn cuMemAdvise(address: u64, bytes: usize, advice: i32, _device: i32) {
        Context::usable()?;
        if !(1..=6).contains(&advice) {
            return Err(Code::INVALID_VALUE.into());
        }
        managed(address, bytes).map(|_| ())
    }

    fn cuMemAdvise_v2(address: u64, bytes: usize, advice: i32, _location: Location) {
        Context::usable()?;
        if !(1..=6).contains(&advice) {
            return Err(Code::INVALID_VALUE.into());
        }
        managed(address, bytes).map(|_| ())
    }
}
