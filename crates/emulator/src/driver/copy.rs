//! Copies and fills.

use std::sync::Arc;

use super::capture;
use super::device::machine;
use super::error::{Code, Outcome};
use super::handle::Handle;
use super::pointer::{Buffer, In};
use super::stream::Stream;
use super::work::Work;
use super::{host, memory};

/// One end of a copy.
#[derive(Clone)]
enum End {
    Device(u64),
    Host(usize),
    /// A host's bytes that were read early, since the caller only lent them.
    Kept(Arc<[u8]>),
}

/// Rows of bytes, at one distance here and at another there.
#[derive(Clone)]
pub struct Copy {
    to: End,
    to_pitch: usize,
    from: End,
    from_pitch: usize,
    width: usize,
    rows: usize,
}

/// What an address is said to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Host,
    Device,
    /// As the address itself tells.
    Either,
}

/// What an address is. Managed and pinned memory is the host's; device memory is known to the machine; and anything
/// else is the host's where a host's address is legal. Device memory must hold all `span` bytes.
fn end(address: u64, span: usize, side: Side) -> Outcome<End> {
    let outside = |what: &str| Code::INVALID_VALUE.because(format_args!("{span} bytes at {address:#x} {what}"));
    let host = usize::try_from(address).map_err(|_| Code::INVALID_VALUE)?;
    if let Some(region) = host::find(address) {
        let fits = span <= region.bytes - (host - region.address);
        return if fits { Ok(End::Host(host)) } else { Err(outside("go past the end of their allocation")) };
    }
    if let Some((base, bytes)) = machine()?.allocation(address) {
        let fits = span as u64 <= bytes - (address - base);
        return if fits { Ok(End::Device(address)) } else { Err(outside("go past the end of their allocation")) };
    }
    match side {
        Side::Device => Err(outside("lie in no live allocation of the device")),
        Side::Host | Side::Either if address == 0 => Err(Code::INVALID_VALUE.into()),
        Side::Host | Side::Either => Ok(End::Host(host)),
    }
}

/// The bytes from the first to the last of some rows.
fn span(pitch: usize, width: usize, rows: usize) -> Outcome<usize> {
    let before = rows.saturating_sub(1).checked_mul(pitch);
    before.and_then(|bytes| bytes.checked_add(width)).ok_or(Code::INVALID_VALUE.into())
}

impl Copy {
    fn new(to: (u64, Side), from: (u64, Side), bytes: usize) -> Outcome<Copy> {
        let (to, from) = (end(to.0, bytes, to.1)?, end(from.0, bytes, from.1)?);
        Ok(Copy { to, to_pitch: bytes, from, from_pitch: bytes, width: bytes, rows: 1 })
    }

    /// The same copy, with a source that its caller only lends until the call returns read now.
    pub fn detached(self) -> Copy {
        let lent = match &self.from {
            End::Host(address) if host::find(*address as u64).is_none() => *address,
            _ => return self,
        };
        let bytes = span(self.from_pitch, self.width, self.rows).unwrap_or(0);
        // SAFETY: this runs inside the call that was given the source, which its caller lets be read until then.
        let kept: Arc<[u8]> = unsafe { host::with_bytes(lent, bytes, |bytes| bytes.into()) };
        Copy { from: End::Kept(kept), ..self }
    }

    /// Whether the result is wanted in memory that is only lent until the call returns.
    fn returns_to_lent_memory(&self) -> bool {
        matches!(self.to, End::Host(address) if host::find(address as u64).is_none())
    }

    pub fn run(&self) -> Outcome {
        (0..self.rows).try_for_each(|row| self.run_row(row))
    }

    fn run_row(&self, row: usize) -> Outcome {
        let (machine, width) = (machine()?, self.width);
        let (to, from) = (row * self.to_pitch, row * self.from_pitch);
        let result = match (&self.to, &self.from) {
            (End::Device(target), End::Device(source)) => {
                machine.copy(target + to as u64, source + from as u64, width as u64)
            }
            // SAFETY: the program gave these bytes of its memory to be read when the stream comes to the copy.
            (End::Device(target), End::Host(source)) => unsafe {
                host::with_bytes(source + from, width, |bytes| machine.write(target + to as u64, bytes))
            },
            (End::Device(target), End::Kept(bytes)) => {
                machine.write(target + to as u64, bytes.get(from..from + width).unwrap_or_default())
            }
            // SAFETY: the program gave these bytes of its memory to be written when the stream comes to the copy.
            (End::Host(target), End::Device(source)) => unsafe {
                host::with_bytes_mut(target + to, width, |bytes| machine.read(source + from as u64, bytes))
            },
            (End::Host(target), End::Host(source)) => {
                let (target, source) = (target + to, source + from);
                // SAFETY: as above for both; the ranges may overlap, as for `memmove`.
                unsafe {
                    let source: *const u8 = std::ptr::with_exposed_provenance(source);
                    source.copy_to(std::ptr::with_exposed_provenance_mut(target), width);
                }
                Ok(())
            }
            (End::Host(target), End::Kept(bytes)) => {
                let kept = bytes.get(from..from + width).unwrap_or_default();
                // SAFETY: as above.
                unsafe { host::with_bytes_mut(target + to, kept.len(), |bytes| bytes.copy_from_slice(kept)) };
                Ok(())
            }
            (End::Kept(_), _) => Ok(()),
        };
        result.map_err(|error| memory::refusal(&error))
    }
}

/// Rows of a repeated pattern of 1, 2 or 4 bytes.
#[derive(Clone)]
pub struct Fill {
    to: End,
    pitch: usize,
    pattern: [u8; 4],
    size: usize,
    columns: usize,
    rows: usize,
}

impl Fill {
    pub fn run(&self) -> Outcome {
        let pattern = &self.pattern[..self.size];
        for row in 0..self.rows {
            let offset = row * self.pitch;
            match &self.to {
                End::Device(address) => {
                    let filled = machine()?.fill(address + offset as u64, pattern, self.columns as u64);
                    filled.map_err(|error| memory::refusal(&error))?;
                }
                // SAFETY: `end` found the address in a region of pinned or managed memory that holds all rows.
                End::Host(address) => unsafe {
                    host::with_bytes_mut(address + offset, self.columns * self.size, |bytes| {
                        bytes.chunks_exact_mut(self.size).for_each(|unit| unit.copy_from_slice(pattern));
                    });
                },
                End::Kept(_) => {}
            }
        }
        Ok(())
    }
}

/// A call that returns when its work is done, on the default stream.
fn now(work: Work) -> Outcome {
    capture::forbid()?;
    let stream = Stream::of(Handle::NULL)?;
    stream.submit(work)?;
    stream.synchronise()
}

fn copy_now(to: (u64, Side), from: (u64, Side), bytes: usize) -> Outcome {
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

super::exported! {
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
