//! Allocations of device memory: made, given back, asked about, and reported when they are forgotten.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::sync::{Arc, Mutex, Once, TryLockError};

use super::context::Context;
use super::device::machine;
use super::error::{Code, Outcome};
use super::handle::Handle;
use super::host::{self, Region};
use super::pointer::{Buffer, In, Out};
use super::stream::Stream;
use super::work::Work;
use super::{capture, lock, pool, report};
use crate::memory::MemoryError;

/// An allocation that its program must give back.
#[derive(Clone)]
struct Allocation {
    bytes: u64,
    context: Handle,
    /// The function that made it.
    by: &'static str,
    /// The pool that counts it.
    pool: Option<Handle>,
    /// The graph's hold on it, if a graph owns it.
    graph: Option<Arc<GraphMemory>>,
}

static LIVE: Mutex<BTreeMap<u64, Allocation>> = Mutex::new(BTreeMap::new());

/// Memory that a graph allocates: it has one address for all replays, and goes with the last node that names it.
pub struct GraphMemory {
    address: u64,
    bytes: u64,
    context: Handle,
    by: &'static str,
}

impl GraphMemory {
    /// The graph has come to the allocation.
    pub fn hold(self: &Arc<Self>) {
        let (bytes, context, by) = (self.bytes, self.context, self.by);
        lock(&LIVE).insert(self.address, Allocation { bytes, context, by, pool: None, graph: Some(self.clone()) });
    }

    /// The graph has come to the end of its use.
    pub fn release(&self) {
        lock(&LIVE).remove(&self.address);
    }
}

impl Drop for GraphMemory {
    fn drop(&mut self) {
        if let Ok(machine) = machine() {
            // An address that is unknown to the machine has gone already.
            let _ = machine.free(self.address);
        }
    }
}

/// What the API says for an error of the machine's memory.
pub fn refusal(error: &MemoryError) -> super::error::Error {
    match error {
        MemoryError::OutOfMemory { .. } => Code::OUT_OF_MEMORY.because(error),
        MemoryError::OutOfBounds { .. } | MemoryError::NotAllocated(_) => Code::INVALID_VALUE.because(error),
    }
}

fn allocate(context: &Context, bytes: usize, by: &'static str, pool: Option<Handle>) -> Outcome<u64> {
    let bytes = bytes as u64;
    let address = machine()?.allocate(bytes).map_err(|error| refusal(&error))?;
    lock(&LIVE).insert(address, Allocation { bytes, context: context.handle, by, pool, graph: None });
    if let Some(pool) = pool {
        pool::grow(pool, bytes);
    }
    Ok(address)
}

/// Gives an allocation back; null is one that nobody made.
pub fn free(address: u64) -> Outcome {
    if address == 0 {
        return Ok(());
    }
    let removed = lock(&LIVE).remove(&address);
    let Some(allocation) = removed else {
        if host::free_managed(address) {
            return Ok(());
        }
        return Err(Code::INVALID_VALUE.because(format_args!("no live allocation begins at {address:#x}")));
    };
    if let Some(pool) = allocation.pool {
        pool::shrink(pool, allocation.bytes);
    }
    match allocation.graph {
        // The graph keeps the address for its next replay.
        Some(_) => Ok(()),
        None => machine()?.free(address).map_err(|error| refusal(&error)),
    }
}

/// Allocates in the order of a stream, in a graph if the stream captures one.
fn allocate_in_order(out: Out<u64>, bytes: usize, by: &'static str, pool: Handle, stream: Handle) -> Outcome {
    let place = out.place()?;
    let stream = Stream::of(stream)?;
    let context = stream.context()?;
    if bytes == 0 {
        place.put(0);
        return Ok(());
    }
    if !stream.is_capturing() {
        place.put(allocate(&context, bytes, by, Some(pool))?);
        return Ok(());
    }
    let address = machine()?.allocate(bytes as u64).map_err(|error| refusal(&error))?;
    let memory = Arc::new(GraphMemory { address, bytes: bytes as u64, context: context.handle, by });
    stream.submit(Work::Hold(memory.clone()))?;
    memory.hold();
    place.put(address);
    Ok(())
}

fn free_in_order(address: u64, stream: Handle) -> Outcome {
    let stream = Stream::of(stream);
    let capturing = stream.as_ref().is_ok_and(|stream| stream.is_capturing());
    if capturing && address != 0 {
        let allocation = lock(&LIVE).get(&address).cloned();
        let memory = allocation.and_then(|allocation| allocation.graph).ok_or_else(|| {
            Code::INVALID_VALUE.because(format_args!("{address:#x} was not allocated in this capture"))
        })?;
        stream?.submit(Work::Release(memory.clone()))?;
        memory.release();
        return Ok(());
    }
    match stream {
        Ok(stream) => stream.submit(Work::Free(address)),
        // After an error nothing is in order any more, and yet memory that is given back is no leak.
        Err(error) => {
            free(address)?;
            Err(error)
        }
    }
}

/// Frees what a context's program forgot, and says so.
pub fn release_of(context: &Context) {
    let forgotten: Vec<(u64, Allocation)> = {
        let mut live = lock(&LIVE);
        let addresses: Vec<u64> = live.iter().filter(|(_, a)| a.context == context.handle).map(|(&a, _)| a).collect();
        addresses.into_iter().filter_map(|address| Some((address, live.remove(&address)?))).collect()
    };
    let regions = host::release_of(context.handle);
    if !context.is_spoiled() {
        report_leaks(&forgotten, &regions, "were not freed before their context ended");
    }
    for (address, allocation) in forgotten {
        if let Some(pool) = allocation.pool {
            pool::shrink(pool, allocation.bytes);
        }
        if let (None, Ok(machine)) = (allocation.graph, machine()) {
            // It is in no table any more, so there is nobody to tell of an error.
            let _ = machine.free(address);
        }
    }
}

/// At most this many allocations are listed.
const LISTED: usize = 10;

fn report_leaks(forgotten: &[(u64, Allocation)], regions: &[Region], what: &str) {
    let lines: Vec<String> = (forgotten.iter().filter(|(_, allocation)| allocation.graph.is_none()))
        .map(|(address, a)| format!("  {} bytes at {address:#x}, from {}", a.bytes, a.by))
        .chain(
            regions
                .iter()
                .map(|region| format!("  {} bytes at {:#x}, from {}", region.bytes, region.address, region.by)),
        )
        .collect();
    if lines.is_empty() || report::settings().check == report::Check::Off {
        return;
    }
    let more = lines.len().saturating_sub(LISTED);
    let mut text = format!("leak: {} allocations {what}\n", lines.len());
    text.extend(lines.iter().take(LISTED).map(|line| format!("{line}\n")));
    if more > 0 {
        text.push_str(&format!("  and {more} more\n"));
    }
    report::say(&text);
}

unsafe extern "C" {
    /// Of the C library: calls a function when the process exits.
    fn atexit(function: extern "C" fn()) -> c_int;
}

/// Sees to it that what is never freed is reported when the process exits.
pub fn report_leaks_at_exit() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        // SAFETY: `atexit` takes any function that may be called once at exit or when this library is unloaded, and
        // the one given does not unwind. If it has no room, only the report is lost.
        let _ = unsafe { atexit(report_at_exit) };
    });
}

extern "C" fn report_at_exit() {
    let _ = std::panic::catch_unwind(|| {
        // Another thread that is still at work may hold the lock for ever.
        let live = match LIVE.try_lock() {
            Ok(live) => live,
            Err(TryLockError::Poisoned(live)) => live.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let forgotten: Vec<_> = live.iter().filter(|(_, a)| !Context::is_spoiled_handle(a.context)).collect();
        let forgotten: Vec<_> = forgotten.into_iter().map(|(&address, a)| (address, a.clone())).collect();
        drop(live);
        report_leaks(&forgotten, &host::forgotten(), "were not freed before the process ended");
    });
}

/// `CUmemorytype`.
const HOST: u32 = 1;
const DEVICE: u32 = 2;

/// What is known of an address: its allocation's base and size, and the region of the host if it is one.
fn describe(address: u64) -> Outcome<(u64, u64, Option<Region>)> {
    if let Some(region) = host::find(address) {
        return Ok((region.address as u64, region.bytes as u64, Some(region)));
    }
    let (base, bytes) = machine()?.allocation(address).ok_or(Code::INVALID_VALUE)?;
    Ok((base, bytes, None))
}

/// Puts a `CUpointer_attribute` of an address in its place, whose type depends on the attribute.
fn attribute(data: Buffer, attribute: i32, address: u64) -> Outcome {
    let (base, bytes, region) = describe(address)?;
    let managed = region.as_ref().is_some_and(|region| region.is_managed());
    let known = lock(&LIVE).get(&base).cloned();
    let context = region.as_ref().map(|r| r.context).or(known.as_ref().map(|a| a.context)).unwrap_or(Handle::NULL);
    match attribute {
        1 => data.out::<Handle>().place()?.put(context),
        2 => data.out::<u32>().place()?.put(if region.is_none() || managed { DEVICE } else { HOST }),
        3 => data.out::<u64>().place()?.put(address),
        4 => {
            let host = if region.is_some() { address } else { 0 };
            data.out::<u64>().place()?.put(host);
            if host == 0 {
                return Err(Code::INVALID_VALUE.into());
            }
        }
        6 => data.out::<u32>().place()?.put(0),
        7 => data.out::<u64>().place()?.put(base),
        8 => data.out::<u32>().place()?.put(managed.into()),
        9 => data.out::<i32>().place()?.put(0),
        10 | 15 => data.out::<u32>().place()?.put(0),
        11 => data.out::<u64>().place()?.put(base),
        12 => data.out::<usize>().place()?.put(bytes as usize),
        13 => data.out::<u32>().place()?.put(1),
        14 => data.out::<u64>().place()?.put(0),
        // Read and write.
        16 => data.out::<u32>().place()?.put(3),
        17 => data.out::<Handle>().place()?.put(known.and_then(|a| a.pool).unwrap_or(Handle::NULL)),
        _ => return Err(Code::INVALID_VALUE.into()),
    }
    Ok(())
}

super::exported! {
    fn cuMemAlloc_v2(out: Out<u64>, bytes: usize) {
        let place = out.place()?;
        let context = Context::usable()?;
        if bytes == 0 {
            return Err(Code::INVALID_VALUE.into());
        }
        capture::forbid()?;
        place.put(allocate(&context, bytes, "cuMemAlloc", None)?);
        Ok(())
    }

    fn cuMemAllocPitch_v2(out: Out<u64>, pitch: Out<usize>, width: usize, height: usize, element: u32) {
        let (place, pitch) = (out.place()?, pitch.place()?);
        let context = Context::usable()?;
        if width == 0 || height == 0 || !matches!(element, 4 | 8 | 16) {
            return Err(Code::INVALID_VALUE.into());
        }
        capture::forbid()?;
        let row = width.checked_next_multiple_of(512).ok_or(Code::OUT_OF_MEMORY)?;
        let bytes = row.checked_mul(height).ok_or(Code::OUT_OF_MEMORY)?;
        place.put(allocate(&context, bytes, "cuMemAllocPitch", None)?);
        pitch.put(row);
        Ok(())
    }

    fn cuMemFree_v2(address: u64) {
        let context = Context::current()?;
        capture::forbid()?;
        // It is safe to free only when nothing that uses it is still to run.
        context.streams().iter().filter(|stream| !stream.is_capturing()).for_each(|stream| stream.drain());
        free(address)?;
        context.check()
    }

    fn cuMemAllocAsync(out: Out<u64>, bytes: usize, stream: Handle) {
        allocate_in_order(out, bytes, "cuMemAllocAsync", pool::current(), stream)
    }

    fn cuMemAllocFromPoolAsync(out: Out<u64>, bytes: usize, pool: Handle, stream: Handle) {
        pool::check(pool)?;
        allocate_in_order(out, bytes, "cuMemAllocFromPoolAsync", pool, stream)
    }

    fn cuMemFreeAsync(address: u64, stream: Handle) {
        free_in_order(address, stream)
    }

    fn cuMemGetInfo_v2(free: Out<usize>, total: Out<usize>) {
        Context::usable()?;
        let machine = machine()?;
        let used = machine.used().saturating_sub(host::pinned_bytes());
        free.put_if_wanted(machine.total().saturating_sub(used) as usize);
        total.put_if_wanted(machine.total() as usize);
        Ok(())
    }

    fn cuMemGetAddressRange_v2(base: Out<u64>, bytes: Out<usize>, address: u64) {
        Context::usable()?;
        let (start, len, _) = describe(address).map_err(|_| Code::NOT_FOUND)?;
        base.put_if_wanted(start);
        bytes.put_if_wanted(len as usize);
        Ok(())
    }

    fn cuPointerGetAttribute(data: Buffer, kind: i32, address: u64) {
        Context::usable()?;
        attribute(data, kind, address)
    }

    /// Attributes that an address lacks are set to 0; an address of nothing has no attribute.
    fn cuPointerGetAttributes(count: u32, kinds: In<i32>, data: In<Buffer>, address: u64) {
        Context::usable()?;
        let known = describe(address).is_ok();
        for i in 0..count as usize {
            let (kind, place) = (kinds.at(i)?, data.at(i)?);
            if known && attribute(place, kind, address).is_ok() {
                continue;
            }
            match kind {
                2 | 6 | 8 | 9 | 10 | 13 | 15 | 16 => place.out::<u32>().put_if_wanted(0),
                1 | 3 | 4 | 7 | 11 | 12 | 14 | 17 => place.out::<u64>().put_if_wanted(0),
                _ => return Err(Code::INVALID_VALUE.into()),
            }
        }
        Ok(())
    }
}
