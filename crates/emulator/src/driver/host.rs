//! The functions of the host's memory: pinned, registered and managed.

use super::capture;
use super::context::Context;
use super::error::{Code, Outcome};
use super::handle::Handle;
use super::pointer::{Buffer, Out};
use super::region::{self, Kind, Region, add, find, take};
use super::stream::{self, Stream};

/// `CU_MEMHOSTALLOC_PORTABLE`, `.._DEVICEMAP` and `.._WRITECOMBINED`.
const ALLOC_FLAGS: u32 = 7;
/// `CU_MEMHOSTREGISTER_PORTABLE`, `.._DEVICEMAP`, `.._IOMEMORY` and `.._READ_ONLY`.
const REGISTER_FLAGS: u32 = 15;

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

super::boundary::exported! {
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
        stream::all_of(context.handle).iter().filter(|stream| !stream.is_capturing()).for_each(|stream| stream.drain());
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
        region::register(Region { address, bytes, context, by: "cuMemHostRegister", kind: Kind::Registered, flags })
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
