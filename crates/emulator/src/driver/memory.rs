//! Device memory: allocated at once or in the order of a stream, and asked about.

use std::sync::Arc;

use super::allocation::{self, GraphMemory, allocate, free};
use super::context::Context;
use super::error::{Code, Outcome};
use super::handle::Handle;
use super::machine::{machine, refusal};
use super::pointer::{Buffer, In, Out};
use super::region::{self, Region};
use super::stream::{self, Stream};
use super::work::Work;
use super::{capture, pool};

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
        let allocation = allocation::find(address);
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

/// `CUmemorytype`.
const HOST: u32 = 1;
const DEVICE: u32 = 2;

/// What is known of an address: its allocation's base and size, and the region of the host if it is one.
pub(super) fn describe(address: u64) -> Outcome<(u64, u64, Option<Region>)> {
    if let Some(region) = region::find(address) {
        return Ok((region.address as u64, region.bytes as u64, Some(region)));
    }
    let (base, bytes) = machine()?.allocation(address).ok_or(Code::INVALID_VALUE)?;
    Ok((base, bytes, None))
}

/// Puts a `CUpointer_attribute` of an address in its place, whose type depends on the attribute.
fn attribute(data: Buffer, attribute: i32, address: u64) -> Outcome {
    let (base, bytes, region) = describe(address)?;
    let managed = region.as_ref().is_some_and(|region| region.is_managed());
    let known = allocation::find(base);
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

super::boundary::exported! {
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
        stream::all_of(context.handle).iter().filter(|stream| !stream.is_capturing()).for_each(|stream| stream.drain());
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
        let used = machine.used().saturating_sub(region::pinned_bytes());
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
