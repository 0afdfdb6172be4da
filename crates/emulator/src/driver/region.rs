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
use super::error::{Code, Outcome};
use super::handle::Handle;
use super::lock::lock;
use super::machine::{machine, refusal};
use super::pages::Pages;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
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
    pub kind: Kind,
    pub flags: u32,
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
        let address = machine.allocate(bytes as u64).map_err(|error| refusal(&error))?;
        match Pages::map(address, bytes) {
            Ok(pages) => Ok(Block { address, _pages: pages }),
            Err(error) => {
                machine.free(address).map_err(|error| refusal(&error))?;
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

pub struct Entry {
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

/// Makes a region of memory that both have.
pub fn add(context: &Context, bytes: usize, kind: Kind, flags: u32, by: &'static str) -> Outcome<usize> {
    if bytes == 0 {
        return Err(Code::INVALID_VALUE.into());
    }
    let block = Block::new(bytes)?;
    let address = block.address as usize;
    let region = Region { address, bytes, context: context.handle, by, kind, flags };
    lock(&REGIONS).insert(address, Entry { region, block: Some(block) });
    Ok(address)
}

/// Notes memory of the program's own.
pub fn register(region: Region) -> Outcome {
    let mut regions = lock(&REGIONS);
    let (begin, end) = (region.address, region.address + region.bytes);
    if regions.values().any(|entry| entry.region.address < end && begin < entry.region.address + entry.region.bytes) {
        return Err(Code::HOST_MEMORY_ALREADY_REGISTERED.into());
    }
    regions.insert(begin, Entry { region, block: None });
    Ok(())
}

/// Bytes of the machine that are pinned memory of the host, and no device memory to its program.
pub fn pinned_bytes() -> u64 {
    lock(&REGIONS).values().filter(|entry| entry.region.kind == Kind::Pinned).map(|e| e.region.bytes as u64).sum()
}

/// Takes a region out that begins at an address and is of one of some kinds.
pub fn take(address: usize, kinds: &[Kind]) -> Option<Entry> {
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
        machine.write(address as u64, &copy).map_err(|error| refusal(&error))?;
        before.push((entry.region.clone(), copy));
    }
    let result = launch();
    for (region, old) in before {
        let mut new = vec![0; region.bytes];
        machine.read(region.address as u64, &mut new).map_err(|error| refusal(&error))?;
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
