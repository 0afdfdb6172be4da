//! Memory: allocated, copied, filled, and variables of the program.

use super::super::copy::{
    Rows, copy_later, copy_now, copy_rows, cuMemsetD2D8_v2, cuMemsetD2D8Async, cuMemsetD8_v2, cuMemsetD8Async,
};
use super::super::error::{Code, Outcome};
use super::super::handle::Handle;
use super::super::host::{
    cuMemAllocManaged, cuMemFreeHost, cuMemHostAlloc, cuMemHostGetDevicePointer_v2, cuMemHostRegister_v2,
    cuMemHostUnregister,
};
use super::super::memory::{
    cuMemAlloc_v2, cuMemAllocAsync, cuMemAllocPitch_v2, cuMemFree_v2, cuMemFreeAsync, cuMemGetInfo_v2, describe,
};
use super::super::pointer::{Buffer, Out};
use super::super::transfer::Side;
use super::error::INVALID_DIRECTION;
use super::{binaries, done};

/// The sides of a `cudaMemcpyKind`: to and from.
fn sides(kind: i32) -> Outcome<(Side, Side)> {
    Ok(match kind {
        0 => (Side::Host, Side::Host),
        1 => (Side::Device, Side::Host),
        2 => (Side::Host, Side::Device),
        3 => (Side::Device, Side::Device),
        4 => (Side::Either, Side::Either),
        _ => return Err(INVALID_DIRECTION.into()),
    })
}

/// So many bytes from one place to another, in a stream or at once.
fn copy(to: u64, from: u64, bytes: usize, kind: i32, stream: Option<Handle>) -> Outcome {
    let (to_side, from_side) = sides(kind)?;
    match stream {
        Some(stream) => copy_later((to, to_side), (from, from_side), bytes, stream),
        None => copy_now((to, to_side), (from, from_side), bytes),
    }
}

/// Bytes of a variable from an offset on.
fn part(symbol: Buffer, offset: usize, bytes: usize) -> Outcome<u64> {
    let (address, all) = binaries::variable(symbol)?;
    match offset.checked_add(bytes) {
        Some(end) if end <= all => Ok(address + offset as u64),
        _ => Err(Code::INVALID_VALUE.because(format_args!("{bytes} bytes from {offset} on of a variable of {all}"))),
    }
}

fn address(buffer: Buffer) -> u64 {
    buffer.address() as u64
}

/// `cudaPointerAttributes`.
#[repr(C)]
pub struct PointerAttributes {
    kind: u32,
    device: i32,
    on_device: u64,
    on_host: u64,
    reserved: [i64; 8],
}

super::exported! {
    fn cudaMalloc(out: Out<u64>, bytes: usize) {
        if bytes == 0 {
            out.place()?.put(0);
            return Ok(());
        }
        done(cuMemAlloc_v2(out, bytes))
    }

    fn cudaMallocAsync(out: Out<u64>, bytes: usize, stream: Handle) {
        done(cuMemAllocAsync(out, bytes, stream))
    }

    fn cudaMallocManaged(out: Out<u64>, bytes: usize, flags: u32) {
        done(cuMemAllocManaged(out, bytes, flags))
    }

    fn cudaMallocPitch(out: Out<u64>, pitch: Out<usize>, width: usize, height: usize) {
        done(cuMemAllocPitch_v2(out, pitch, width, height, 4))
    }

    fn cudaMallocHost(out: Out<usize>, bytes: usize) {
        done(cuMemHostAlloc(out, bytes, 0))
    }

    fn cudaHostAlloc(out: Out<usize>, bytes: usize, flags: u32) {
        done(cuMemHostAlloc(out, bytes, flags))
    }

    fn cudaHostRegister(buffer: Buffer, bytes: usize, flags: u32) {
        done(cuMemHostRegister_v2(buffer, bytes, flags))
    }

    fn cudaHostUnregister(buffer: Buffer) {
        done(cuMemHostUnregister(buffer.address()))
    }

    fn cudaHostGetDevicePointer(out: Out<u64>, buffer: Buffer, flags: u32) {
        done(cuMemHostGetDevicePointer_v2(out, buffer, flags))
    }

    fn cudaFree(buffer: Buffer) {
        done(cuMemFree_v2(address(buffer)))
    }

    fn cudaFreeAsync(buffer: Buffer, stream: Handle) {
        done(cuMemFreeAsync(address(buffer), stream))
    }

    fn cudaFreeHost(buffer: Buffer) {
        if buffer.is_null() {
            return Ok(());
        }
        done(cuMemFreeHost(buffer.address()))
    }

    fn cudaMemGetInfo(free: Out<usize>, total: Out<usize>) {
        done(cuMemGetInfo_v2(free, total))
    }

    fn cudaMemcpy(to: Buffer, from: Buffer, bytes: usize, kind: i32) {
        copy(address(to), address(from), bytes, kind, None)
    }

    fn cudaMemcpyAsync(to: Buffer, from: Buffer, bytes: usize, kind: i32, stream: Handle) {
        copy(address(to), address(from), bytes, kind, Some(stream))
    }

    fn cudaMemcpy2D(to: Buffer, to_pitch: usize, from: Buffer, from_pitch: usize, width: usize, height: usize, kind: i32) {
        let (to_side, from_side) = sides(kind)?;
        let to = Rows { address: address(to), side: to_side, pitch: to_pitch };
        copy_rows(to, Rows { address: address(from), side: from_side, pitch: from_pitch }, width, height, None)
    }

    fn cudaMemcpy2DAsync(
        to: Buffer,
        to_pitch: usize,
        from: Buffer,
        from_pitch: usize,
        width: usize,
        height: usize,
        kind: i32,
        stream: Handle,
    ) {
        let (to_side, from_side) = sides(kind)?;
        let to = Rows { address: address(to), side: to_side, pitch: to_pitch };
        copy_rows(to, Rows { address: address(from), side: from_side, pitch: from_pitch }, width, height, Some(stream))
    }

    fn cudaMemset(buffer: Buffer, value: i32, bytes: usize) {
        done(cuMemsetD8_v2(address(buffer), value as u8, bytes))
    }

    fn cudaMemsetAsync(buffer: Buffer, value: i32, bytes: usize, stream: Handle) {
        done(cuMemsetD8Async(address(buffer), value as u8, bytes, stream))
    }

    fn cudaMemset2D(buffer: Buffer, pitch: usize, value: i32, width: usize, height: usize) {
        done(cuMemsetD2D8_v2(address(buffer), pitch, value as u8, width, height))
    }

    fn cudaMemset2DAsync(buffer: Buffer, pitch: usize, value: i32, width: usize, height: usize, stream: Handle) {
        done(cuMemsetD2D8Async(address(buffer), pitch, value as u8, width, height, stream))
    }

    fn cudaMemcpyToSymbol(symbol: Buffer, from: Buffer, bytes: usize, offset: usize, kind: i32) {
        copy(part(symbol, offset, bytes)?, address(from), bytes, kind, None)
    }

    fn cudaMemcpyToSymbolAsync(symbol: Buffer, from: Buffer, bytes: usize, offset: usize, kind: i32, stream: Handle) {
        copy(part(symbol, offset, bytes)?, address(from), bytes, kind, Some(stream))
    }

    fn cudaMemcpyFromSymbol(to: Buffer, symbol: Buffer, bytes: usize, offset: usize, kind: i32) {
        copy(address(to), part(symbol, offset, bytes)?, bytes, kind, None)
    }

    fn cudaMemcpyFromSymbolAsync(to: Buffer, symbol: Buffer, bytes: usize, offset: usize, kind: i32, stream: Handle) {
        copy(address(to), part(symbol, offset, bytes)?, bytes, kind, Some(stream))
    }

    fn cudaGetSymbolAddress(out: Out<u64>, symbol: Buffer) {
        out.place()?.put(binaries::variable(symbol)?.0);
        Ok(())
    }

    fn cudaGetSymbolSize(out: Out<usize>, symbol: Buffer) {
        out.place()?.put(binaries::variable(symbol)?.1);
        Ok(())
    }

    /// Hints change nothing here.
    fn cudaMemPrefetchAsync(buffer: Buffer) {
        describe(address(buffer)).map(drop)
    }

    fn cudaMemAdvise(buffer: Buffer) {
        describe(address(buffer)).map(drop)
    }

    fn cudaPointerGetAttributes(out: Out<PointerAttributes>, buffer: Buffer) {
        let at = address(buffer);
        // Memory of the host that nobody made known, and by what it is known: pinned, of the device, managed.
        let (kind, on_device, on_host) = match describe(at) {
            Err(_) => (0, 0, at),
            Ok((.., None)) => (2, at, 0),
            Ok((.., Some(region))) => (if region.is_managed() { 3 } else { 1 }, at, at),
        };
        out.place()?.put(PointerAttributes { kind, device: 0, on_device, on_host, reserved: [0; 8] });
        Ok(())
    }
}
