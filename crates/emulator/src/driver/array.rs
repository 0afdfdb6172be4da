//! Arrays: memory whose elements textures and surfaces find by coordinates.

use std::sync::Arc;

use super::context::Context;
use super::error::{Code, Outcome};
use super::handle::{Handle, Table};
use super::machine::{machine, refusal};
use super::pointer::{In, Out};
use super::{capture, stream};
use crate::texture::{TexelFormat, Texels, Texture};

static ARRAYS: Table<Array> = Table::new(Code::INVALID_HANDLE);

/// An array, and how its program described it.
pub struct Array {
    pub texels: Texels,
    context: Handle,
    given: Descriptor3d,
}

impl Drop for Array {
    fn drop(&mut self) {
        if let Ok(machine) = machine() {
            // It is the array's own, and known to nobody else.
            let _ = machine.free(self.texels.address);
        }
    }
}

/// `CUDA_ARRAY_DESCRIPTOR`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Descriptor {
    width: usize,
    height: usize,
    format: u32,
    channels: u32,
}

/// `CUDA_ARRAY3D_DESCRIPTOR`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Descriptor3d {
    width: usize,
    height: usize,
    depth: usize,
    format: u32,
    channels: u32,
    flags: u32,
}

/// `CUDA_ARRAY3D_...`: that surfaces may use it.
const SURFACE_LDST: u32 = 2;
/// Every row begins at a multiple of this.
const ROW_ALIGN: u64 = 32;

/// The format of a `CUarray_format`.
pub fn format(number: u32) -> Outcome<TexelFormat> {
    Ok(match number {
        0x01 => TexelFormat::U8,
        0x02 => TexelFormat::U16,
        0x03 => TexelFormat::U32,
        0x08 => TexelFormat::S8,
        0x09 => TexelFormat::S16,
        0x0a => TexelFormat::S32,
        0x10 => TexelFormat::F16,
        0x20 => TexelFormat::F32,
        _ => return Err(Code::NOT_SUPPORTED.because(format_args!("texels of the format {number:#x}"))),
    })
}

impl Array {
    /// Whether surfaces may use it.
    pub fn is_for_surfaces(&self) -> bool {
        self.given.flags & SURFACE_LDST != 0
    }

    fn new(given: Descriptor3d) -> Outcome<Array> {
        let context = Context::usable()?.handle;
        capture::forbid()?;
        for (flag, what) in [
            (1, "layered arrays"),
            (4, "cube maps"),
            (8, "gathers of textures"),
            (0x10, "depth textures"),
            (0x40, "sparse arrays"),
        ] {
            if given.flags & flag != 0 {
                return Err(Code::NOT_SUPPORTED.because(format_args!("{what} (array flag {flag:#x})")));
            }
        }
        let dimensions = match (given.height, given.depth) {
            (0, 0) => 1,
            (_, 0) => 2,
            (0, _) => return Err(Code::INVALID_VALUE.into()),
            _ => 3,
        };
        let extents = [given.width as u64, given.height.max(1) as u64, given.depth.max(1) as u64];
        let (format, channels) = (format(given.format)?, u64::from(given.channels));
        let row =
            extents[0].checked_mul(channels * format.bytes()).and_then(|row| row.checked_next_multiple_of(ROW_ALIGN));
        let row = row.ok_or(Code::INVALID_VALUE)?;
        let slice = row.checked_mul(extents[1]).ok_or(Code::INVALID_VALUE)?;
        let texels = Texels { address: 0, dimensions, extents, pitches: [row, slice], format, channels, linear: false };
        let checked = Texture { texels, sampling: None }.check();
        checked.map_err(|why| Code::INVALID_VALUE.because(format_args!("an array with {why}")))?;
        let bytes = slice.checked_mul(extents[2]).ok_or(Code::INVALID_VALUE)?;
        let address = machine()?.allocate(bytes).map_err(|error| refusal(&error))?;
        Ok(Array { texels: Texels { address, ..texels }, context, given })
    }
}

pub fn find(handle: Handle) -> Outcome<Arc<Array>> {
    Context::usable()?;
    ARRAYS.get(handle)
}

pub fn remove_of(context: Handle) {
    ARRAYS.remove_all(|array| array.context == context);
}

fn create(out: Out<Handle>, given: Descriptor3d) -> Outcome {
    let place = out.place()?;
    place.put(ARRAYS.add(Arc::new(Array::new(given)?)));
    Ok(())
}

super::boundary::exported! {
    fn cuArrayCreate_v2(out: Out<Handle>, descriptor: In<Descriptor>) {
        let Descriptor { width, height, format, channels } = descriptor.get()?;
        create(out, Descriptor3d { width, height, depth: 0, format, channels, flags: 0 })
    }

    fn cuArray3DCreate_v2(out: Out<Handle>, descriptor: In<Descriptor3d>) {
        create(out, descriptor.get()?)
    }

    fn cuArrayGetDescriptor_v2(out: Out<Descriptor>, array: Handle) {
        let Descriptor3d { width, height, format, channels, .. } = find(array)?.given;
        out.place()?.put(Descriptor { width, height, format, channels });
        Ok(())
    }

    fn cuArray3DGetDescriptor_v2(out: Out<Descriptor3d>, array: Handle) {
        out.place()?.put(find(array)?.given);
        Ok(())
    }

    fn cuArrayDestroy(array: Handle) {
        let context = Context::current()?;
        capture::forbid()?;
        stream::all_of(context.handle).iter().filter(|stream| !stream.is_capturing()).for_each(|stream| stream.drain());
        drop(ARRAYS.remove(array)?);
        context.check()
    }
}
