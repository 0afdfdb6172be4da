//! Copies and fills.

use std::sync::Arc;

use super::capture;
use super::error::{Code, Outcome};
use super::handle::Handle;
use super::pointer::{Buffer, In};
use super::stream::Stream;
use super::transfer::{Copy, Fill, Side, end, span};
use super::work::Work;

/// A call that returns when its work is done, on the default stream.
fn now(work: Work) -> Outcome {
    capture::forbid()?;
    let stream = Stream::of(Handle::NULL)?;
    stream.submit(work)?;
    stream.synchronise()
}

pub(super) fn copy_now(to: (u64, Side), from: (u64, Side), bytes: usize) -> Outcome {
    let stream = Stream::of(Handle::NULL)?;
    if bytes == 0 {
        return stream.synchronise();
    }
    now(Work::Copy(Copy::new(to, from, bytes)?))
}

fn copy_later(to: (u64, Side), from: (u64, Side), bytes: usize, stream: Handle) -> Outcome {
    let stream = Stream::of(stream)?;
    if bytes == 0 {
        return Ok(());
    }
    submit_copy(Copy::new(to, from, bytes)?, &stream)
}

fn submit_copy(copy: Copy, stream: &Arc<Stream>) -> Outcome {
    let must_be_done = copy.returns_to_lent_memory() && !stream.is_capturing();
    stream.submit(Work::Copy(copy))?;
    if must_be_done { stream.synchronise() } else { Ok(()) }
}

/// Fills `rows` rows of `columns` values.
struct Target {
    address: u64,
    pitch: usize,
    columns: usize,
    rows: usize,
}

impl Target {
    fn line(address: u64, columns: usize) -> Target {
        Target { address, pitch: 0, columns, rows: 1 }
    }

    /// The work, unless there is nothing to fill.
    fn fill(self, value: &[u8]) -> Outcome<Option<Work>> {
        let size = value.len();
        if self.columns == 0 || self.rows == 0 {
            return Ok(None);
        }
        if !self.address.is_multiple_of(size as u64) || !self.pitch.is_multiple_of(size) {
            return Err(Code::INVALID_VALUE.because(format_args!("{:#x} is not aligned to {size} bytes", self.address)));
        }
        let width = self.columns.checked_mul(size).ok_or(Code::INVALID_VALUE)?;
        if self.rows > 1 && self.pitch < width {
            return Err(Code::INVALID_VALUE.into());
        }
        let to = end(self.address, span(self.pitch, width, self.rows)?, Side::Device)?;
        let mut pattern = [0; 4];
        pattern[..size].copy_from_slice(value);
        Ok(Some(Work::Fill(Fill { to, pitch: self.pitch, pattern, size, columns: self.columns, rows: self.rows })))
    }

    fn now(self, value: &[u8]) -> Outcome {
        Stream::of(Handle::NULL)?;
        self.fill(value)?.map_or(Ok(()), now)
    }

    fn later(self, value: &[u8], stream: Handle) -> Outcome {
        let stream = Stream::of(stream)?;
        self.fill(value)?.map_or(Ok(()), |work| stream.submit(work))
    }
}

/// One side of a `CUDA_MEMCPY2D`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Rectangle {
    x_bytes: usize,
    y: usize,
    kind: u32,
    host: Buffer,
    device: u64,
    array: usize,
    pitch: usize,
}

/// `CUDA_MEMCPY2D`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Copy2d {
    from: Rectangle,
    to: Rectangle,
    width: usize,
    height: usize,
}

impl Rectangle {
    /// Its first byte's address and what it is, and the distance of its rows.
    fn first(&self, width: usize, height: usize) -> Outcome<(u64, Side, usize)> {
        let (base, side) = match self.kind {
            1 => (self.host.address() as u64, Side::Host),
            2 => (self.device, Side::Device),
            4 => (self.device, Side::Either),
            3 => return Err(Code::NOT_SUPPORTED.because("copies of arrays")),
            _ => return Err(Code::INVALID_VALUE.into()),
        };
        let pitch = if self.pitch == 0 { width } else { self.pitch };
        if height > 1 && pitch < width {
            return Err(Code::INVALID_VALUE.into());
        }
        let offset = self.y.checked_mul(pitch).and_then(|bytes| bytes.checked_add(self.x_bytes));
        let address = offset.and_then(|offset| base.checked_add(offset as u64)).ok_or(Code::INVALID_VALUE)?;
        Ok((address, side, pitch))
    }
}

impl Copy2d {
    /// The work, unless there is nothing to copy.
    fn copy(&self) -> Outcome<Option<Copy>> {
        let (width, rows) = (self.width, self.height);
        if width == 0 || rows == 0 {
            return Ok(None);
        }
        let (to, to_side, to_pitch) = self.to.first(width, rows)?;
        let (from, from_side, from_pitch) = self.from.first(width, rows)?;
        let to = end(to, span(to_pitch, width, rows)?, to_side)?;
        let from = end(from, span(from_pitch, width, rows)?, from_side)?;
        Ok(Some(Copy { to, to_pitch, from, from_pitch, width, rows }))
    }
}

fn on_host(buffer: Buffer) -> (u64, Side) {
    (buffer.address() as u64, Side::Host)
}

fn on_device(address: u64) -> (u64, Side) {
    (address, Side::Device)
}

fn on_either(address: u64) -> (u64, Side) {
    (address, Side::Either)
}

super::boundary::exported! {
    fn cuMemcpy(to: u64, from: u64, bytes: usize) {
        copy_now(on_either(to), on_either(from), bytes)
    }

    fn cuMemcpyAsync(to: u64, from: u64, bytes: usize, stream: Handle) {
        copy_later(on_either(to), on_either(from), bytes, stream)
    }

    fn cuMemcpyHtoD_v2(to: u64, from: Buffer, bytes: usize) {
        copy_now(on_device(to), on_host(from), bytes)
    }

    fn cuMemcpyHtoDAsync_v2(to: u64, from: Buffer, bytes: usize, stream: Handle) {
        copy_later(on_device(to), on_host(from), bytes, stream)
    }

    fn cuMemcpyDtoH_v2(to: Buffer, from: u64, bytes: usize) {
        copy_now(on_host(to), on_device(from), bytes)
    }

    fn cuMemcpyDtoHAsync_v2(to: Buffer, from: u64, bytes: usize, stream: Handle) {
        copy_later(on_host(to), on_device(from), bytes, stream)
    }

    fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) {
        copy_now(on_device(to), on_device(from), bytes)
    }

    fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle) {
        copy_later(on_device(to), on_device(from), bytes, stream)
    }

    fn cuMemcpyPeer(to: u64, _to_context: Handle, from: u64, _from_context: Handle, bytes: usize) {
        copy_now(on_device(to), on_device(from), bytes)
    }

    fn cuMemcpyPeerAsync(
        to: u64,
        _to_context: Handle,
        from: u64,
        _from_context: Handle,
        bytes: usize,
        stream: Handle,
    ) {
        copy_later(on_device(to), on_device(from), bytes, stream)
    }

    fn cuMemcpy2D_v2(copy: In<Copy2d>) {
        let copy = copy.get()?.copy()?;
        copy.map_or(Ok(()), |copy| now(Work::Copy(copy)))
    }

    fn cuMemcpy2DUnaligned_v2(copy: In<Copy2d>) {
        let copy = copy.get()?.copy()?;
        copy.map_or(Ok(()), |copy| now(Work::Copy(copy)))
    }

    fn cuMemcpy2DAsync_v2(copy: In<Copy2d>, stream: Handle) {
        let copy = copy.get()?.copy()?;
        let stream = Stream::of(stream)?;
        copy.map_or(Ok(()), |copy| submit_copy(copy, &stream))
    }

    fn cuMemsetD8_v2(to: u64, value: u8, count: usize) {
        Target::line(to, count).now(&[value])
    }

    fn cuMemsetD16_v2(to: u64, value: u16, count: usize) {
        Target::line(to, count).now(&value.to_le_bytes())
    }

    fn cuMemsetD32_v2(to: u64, value: u32, count: usize) {
        Target::line(to, count).now(&value.to_le_bytes())
    }

    fn cuMemsetD8Async(to: u64, value: u8, count: usize, stream: Handle) {
        Target::line(to, count).later(&[value], stream)
    }

    fn cuMemsetD16Async(to: u64, value: u16, count: usize, stream: Handle) {
        Target::line(to, count).later(&value.to_le_bytes(), stream)
    }

    fn cuMemsetD32Async(to: u64, value: u32, count: usize, stream: Handle) {
        Target::line(to, count).later(&value.to_le_bytes(), stream)
    }

    fn cuMemsetD2D8_v2(address: u64, pitch: usize, value: u8, columns: usize, rows: usize) {
        Target { address, pitch, columns, rows }.now(&[value])
    }

    fn cuMemsetD2D16_v2(address: u64, pitch: usize, value: u16, columns: usize, rows: usize) {
        Target { address, pitch, columns, rows }.now(&value.to_le_bytes())
    }

    fn cuMemsetD2D32_v2(address: u64, pitch: usize, value: u32, columns: usize, rows: usize) {
        Target { address, pitch, columns, rows }.now(&value.to_le_bytes())
    }

    fn cuMemsetD2D8Async(address: u64, pitch: usize, value: u8, columns: usize, rows: usize, stream: Handle) {
        Target { address, pitch, columns, rows }.later(&[value], stream)
    }

    fn cuMemsetD2D16Async(address: u64, pitch: usize, value: u16, columns: usize, rows: usize, stream: Handle) {
        Target { address, pitch, columns, rows }.later(&value.to_le_bytes(), stream)
    }

    fn cuMemsetD2D32Async(address: u64, pitch: usize, value: u32, columns: usize, rows: usize, stream: Handle) {
        Target { address, pitch, columns, rows }.later(&value.to_le_bytes(), stream)
    }
}
