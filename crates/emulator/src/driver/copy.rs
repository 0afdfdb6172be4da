//! Copies and fills.

use std::sync::Arc;

use super::array;
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

pub(super) fn copy_later(to: (u64, Side), from: (u64, Side), bytes: usize, stream: Handle) -> Outcome {
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
    array: Handle,
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

/// One side of a `CUDA_MEMCPY3D`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Cuboid {
    x_bytes: usize,
    y: usize,
    z: usize,
    level: usize,
    kind: u32,
    host: Buffer,
    device: u64,
    array: Handle,
    reserved: usize,
    pitch: usize,
    height: usize,
}

/// `CUDA_MEMCPY3D`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Copy3d {
    from: Cuboid,
    to: Cuboid,
    width: usize,
    height: usize,
    depth: usize,
}

/// Where one side of a copy begins, what it is, and the distances of its rows and slices.
struct Begin {
    address: u64,
    side: Side,
    pitch: usize,
    slice: usize,
}

impl Cuboid {
    /// Where a copy of so many bytes, rows and slices begins.
    fn first(&self, width: usize, height: usize, depth: usize) -> Outcome<Begin> {
        let (base, side) = match self.kind {
            1 => (self.host.address() as u64, Side::Host),
            2 => (self.device, Side::Device),
            4 => (self.device, Side::Either),
            3 => return self.first_of_array(width, height, depth),
            _ => return Err(Code::INVALID_VALUE.into()),
        };
        let ends = self.x_bytes.checked_add(width).zip(self.y.checked_add(height));
        let (row, column) = ends.ok_or(Code::INVALID_VALUE)?;
        let pitch = if self.pitch == 0 { row } else { self.pitch };
        let rows = if self.height == 0 { column } else { self.height };
        if pitch < row || rows < column {
            return Err(Code::INVALID_VALUE.because(format_args!(
                "a copy to the ends of {row} bytes and {column} rows, of rows of {pitch} bytes and slices of {rows} rows"
            )));
        }
        let slice = pitch.checked_mul(rows).ok_or(Code::INVALID_VALUE)?;
        let offset = self.z.checked_mul(slice).zip(self.y.checked_mul(pitch)).and_then(|(z, y)| z.checked_add(y));
        let offset = offset.and_then(|bytes| bytes.checked_add(self.x_bytes));
        let address = offset.and_then(|offset| base.checked_add(offset as u64)).ok_or(Code::INVALID_VALUE)?;
        Ok(Begin { address, side, pitch, slice })
    }

    fn first_of_array(&self, width: usize, height: usize, depth: usize) -> Outcome<Begin> {
        let texels = array::find(self.array)?.texels;
        let texel = texels.texel_bytes();
        let ends = [(self.x_bytes, width), (self.y, height), (self.z, depth)];
        let most = [texels.extents[0] * texel, texels.extents[1], texels.extents[2]];
        let fits = |((first, count), most): (&(usize, usize), &u64)| {
            first.checked_add(*count).is_some_and(|end| end as u64 <= *most)
        };
        if !ends.iter().zip(&most).all(fits) || self.level != 0 {
            let [x, y, z] = most;
            let why = format!("a copy goes past the ends of an array of {x} bytes, {y} rows and {z} slices");
            return Err(Code::INVALID_VALUE.because(why));
        }
        if ![self.x_bytes, width].iter().all(|&bytes| (bytes as u64).is_multiple_of(texel)) {
            let why = format!("a copy of {width} bytes from byte {} on, where texels have {texel}", self.x_bytes);
            return Err(Code::INVALID_VALUE.because(why));
        }
        let address = texels.address_of(self.x_bytes as u64, self.y as u64, self.z as u64);
        let [pitch, slice] = texels.pitches.map(|bytes| bytes as usize);
        Ok(Begin { address, side: Side::Device, pitch, slice })
    }
}

impl Copy3d {
    /// The work, unless there is nothing to copy.
    fn copy(&self) -> Outcome<Option<Copy>> {
        let (width, rows, slices) = (self.width, self.height, self.depth);
        if width == 0 || rows == 0 || slices == 0 {
            return Ok(None);
        }
        let whole = |begin: &Begin| {
            let bytes = span(begin.slice, span(begin.pitch, width, rows)?, slices)?;
            end(begin.address, bytes, begin.side)
        };
        let (to, from) = (self.to.first(width, rows, slices)?, self.from.first(width, rows, slices)?);
        Ok(Some(Copy {
            to: whole(&to)?,
            to_pitch: to.pitch,
            from: whole(&from)?,
            from_pitch: from.pitch,
            width,
            rows,
            slices,
            to_slice: to.slice,
            from_slice: from.slice,
        }))
    }
}

impl Copy2d {
    /// The work, unless there is nothing to copy.
    fn copy(&self) -> Outcome<Option<Copy>> {
        let side = |side: &Rectangle| {
            let Rectangle { x_bytes, y, kind, host, device, array, pitch } = *side;
            Cuboid { x_bytes, y, z: 0, level: 0, kind, host, device, array, reserved: 0, pitch, height: 0 }
        };
        let (to, from) = (side(&self.to), side(&self.from));
        Copy3d { from, to, width: self.width, height: self.height, depth: 1 }.copy()
    }
}

/// Rows in memory, one at each distance.
pub(super) struct Rows {
    pub address: u64,
    pub side: Side,
    pub pitch: usize,
}

/// Copies so many bytes of so many rows, in a stream or at once.
pub(super) fn copy_rows(to: Rows, from: Rows, width: usize, rows: usize, stream: Option<Handle>) -> Outcome {
    if width > to.pitch.min(from.pitch) {
        return Err(Code::INVALID_VALUE.because(format_args!("rows of {width} bytes at less distance")));
    }
    let side = |one: Rows| {
        let kind = match one.side {
            Side::Device => 2,
            Side::Host | Side::Either => 4,
        };
        Cuboid { pitch: one.pitch, ..row(kind, 0, None, one.address, Handle::NULL) }
    };
    let copy = Copy3d { from: side(from), to: side(to), width, height: rows, depth: 1 }.copy()?;
    match stream {
        Some(stream) => all_later(copy, stream),
        None => all_now(copy),
    }
}

/// A side of a copy of a row.
fn row(kind: u32, x_bytes: usize, host: Option<Buffer>, device: u64, array: Handle) -> Cuboid {
    let host = host.unwrap_or(Buffer::NULL);
    Cuboid { x_bytes, y: 0, z: 0, level: 0, kind, host, device, array, reserved: 0, pitch: 0, height: 0 }
}

fn row_of_array(array: Handle, x_bytes: usize) -> Cuboid {
    row(3, x_bytes, None, 0, array)
}

fn row_of_host(host: Buffer) -> Cuboid {
    row(1, 0, Some(host), 0, Handle::NULL)
}

fn row_of_device(device: u64) -> Cuboid {
    row(2, 0, None, device, Handle::NULL)
}

/// A copy of a row.
fn copy_row(to: Cuboid, from: Cuboid, bytes: usize) -> Outcome<Option<Copy>> {
    Copy3d { from, to, width: bytes, height: 1, depth: 1 }.copy()
}

fn all_now(copy: Option<Copy>) -> Outcome {
    copy.map_or(Ok(()), |copy| now(Work::Copy(copy)))
}

fn all_later(copy: Option<Copy>, stream: Handle) -> Outcome {
    let stream = Stream::of(stream)?;
    copy.map_or(Ok(()), |copy| submit_copy(copy, &stream))
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
        all_now(copy.get()?.copy()?)
    }

    fn cuMemcpy2DUnaligned_v2(copy: In<Copy2d>) {
        all_now(copy.get()?.copy()?)
    }

    fn cuMemcpy2DAsync_v2(copy: In<Copy2d>, stream: Handle) {
        all_later(copy.get()?.copy()?, stream)
    }

    fn cuMemcpy3D_v2(copy: In<Copy3d>) {
        all_now(copy.get()?.copy()?)
    }

    fn cuMemcpy3DAsync_v2(copy: In<Copy3d>, stream: Handle) {
        all_later(copy.get()?.copy()?, stream)
    }

    fn cuMemcpyHtoA_v2(to: Handle, offset: usize, from: Buffer, bytes: usize) {
        all_now(copy_row(row_of_array(to, offset), row_of_host(from), bytes)?)
    }

    fn cuMemcpyHtoAAsync_v2(to: Handle, offset: usize, from: Buffer, bytes: usize, stream: Handle) {
        all_later(copy_row(row_of_array(to, offset), row_of_host(from), bytes)?, stream)
    }

    fn cuMemcpyAtoH_v2(to: Buffer, from: Handle, offset: usize, bytes: usize) {
        all_now(copy_row(row_of_host(to), row_of_array(from, offset), bytes)?)
    }

    fn cuMemcpyAtoHAsync_v2(to: Buffer, from: Handle, offset: usize, bytes: usize, stream: Handle) {
        all_later(copy_row(row_of_host(to), row_of_array(from, offset), bytes)?, stream)
    }

    fn cuMemcpyDtoA_v2(to: Handle, offset: usize, from: u64, bytes: usize) {
        all_now(copy_row(row_of_array(to, offset), row_of_device(from), bytes)?)
    }

    fn cuMemcpyAtoD_v2(to: u64, from: Handle, offset: usize, bytes: usize) {
        all_now(copy_row(row_of_device(to), row_of_array(from, offset), bytes)?)
    }

    fn cuMemcpyAtoA_v2(to: Handle, to_offset: usize, from: Handle, from_offset: usize, bytes: usize) {
        all_now(copy_row(row_of_array(to, to_offset), row_of_array(from, from_offset), bytes)?)
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
