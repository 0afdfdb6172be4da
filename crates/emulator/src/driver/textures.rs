//! Texture and surface objects.

use std::sync::Arc;

use super::array::{self, Array};
use super::context::Context;
use super::error::{Code, Outcome};
use super::handle::{Handle, Table};
use super::machine::machine;
use super::pointer::{Buffer, In, Out};
use super::stream;
use crate::texture::{AddressMode, Sampling, Texels, Texture};

static OBJECTS: Table<Object> = Table::new(Code::INVALID_VALUE);

/// A texture or surface object: what it was made of. Its handle is the machine's number of it.
struct Object {
    context: Handle,
    resource: Resource,
    texture: Option<Descriptor>,
    number: u64,
}

/// `CUDA_RESOURCE_DESC`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Resource {
    kind: u32,
    padding: u32,
    /// By kind: an array; or an address, format and channels, and then the bytes, or width, height and pitch.
    parts: [u64; 16],
    flags: u32,
    end: u32,
}

/// `CUresourcetype`.
const ARRAY: u32 = 0;
const MIPMAPPED: u32 = 1;
const LINEAR: u32 = 2;
const PITCHED: u32 = 3;

/// `CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT` and `.._TEXTURE_PITCH_ALIGNMENT`.
const ALIGN: u64 = 512;
const PITCH_ALIGN: u64 = 32;

/// `CUDA_TEXTURE_DESC`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Descriptor {
    address: [u32; 3],
    filter: u32,
    flags: u32,
    anisotropy: u32,
    mipmaps: [u32; 4],
    border: [f32; 4],
    reserved: [i32; 12],
}

/// `CU_TRSF_...`
const READ_AS_INTEGER: u32 = 1;
const NORMALIZED_COORDINATES: u32 = 2;
const SRGB: u32 = 0x10;

impl Resource {
    fn texels(&self) -> Outcome<(Texels, Option<Arc<Array>>)> {
        let [address, kind, first, second, third, ..] = self.parts;
        let (format, channels) = (kind as u32, kind >> 32);
        let plain = |width: u64, height: u64, pitch: u64, linear: bool| {
            if !address.is_multiple_of(ALIGN) {
                let why = format!("a texture at {address:#x}, which is no multiple of {ALIGN}");
                return Err(Code::INVALID_VALUE.because(why));
            }
            let dimensions = if linear { 1 } else { 2 };
            let extents = [width, height, 1];
            let format = array::format(format)?;
            Ok((Texels { address, dimensions, extents, pitches: [pitch, 0], format, channels, linear }, None))
        };
        match self.kind {
            ARRAY => {
                let array = array::find(Handle(address as usize))?;
                Ok((array.texels, Some(array)))
            }
            LINEAR => {
                let texel = (channels * array::format(format)?.bytes()).max(1);
                plain(first / texel, 1, 0, true)
            }
            PITCHED => {
                let row = channels.saturating_mul(array::format(format)?.bytes()).saturating_mul(first);
                if third < row || !third.is_multiple_of(PITCH_ALIGN) {
                    let why = format!(
                        "a texture with rows of {row} bytes, {third} from one to the next; legal are multiples of \
                         {PITCH_ALIGN} of at least that"
                    );
                    return Err(Code::INVALID_VALUE.because(why));
                }
                plain(first, second, third, false)
            }
            MIPMAPPED => Err(Code::NOT_SUPPORTED.because("mipmaps")),
            _ => Err(Code::INVALID_VALUE.into()),
        }
    }
}

impl Descriptor {
    fn sampling(&self) -> Outcome<Sampling> {
        let mode = |number: u32| match number {
            0 => Ok(AddressMode::Wrap),
            1 => Ok(AddressMode::Clamp),
            2 => Ok(AddressMode::Mirror),
            3 => Ok(AddressMode::Border),
            _ => Err(Code::INVALID_VALUE),
        };
        let [x, y, z] = self.address;
        if self.filter > 1 {
            return Err(Code::INVALID_VALUE.into());
        }
        if self.flags & SRGB != 0 {
            return Err(Code::NOT_SUPPORTED.because("textures in sRGB"));
        }
        Ok(Sampling {
            address: [mode(x)?, mode(y)?, mode(z)?],
            linear: self.filter == 1,
            normalised: self.flags & NORMALIZED_COORDINATES != 0,
            integers: self.flags & READ_AS_INTEGER != 0,
            border: self.border,
        })
    }
}

/// Makes an object: of a texture or, with no descriptor, of a surface.
fn create(out: Out<u64>, resource: In<Resource>, texture: Option<Descriptor>) -> Outcome {
    let place = out.place()?;
    let context = Context::usable()?.handle;
    let resource = resource.get()?;
    let (texels, array) = resource.texels()?;
    if texture.is_none() && !array.as_ref().is_some_and(|array| array.is_for_surfaces()) {
        return Err(
            Code::INVALID_VALUE.because("a surface is of an array that was made for it (CUDA_ARRAY3D_SURFACE_LDST)")
        );
    }
    let sampling = texture.map(|texture| texture.sampling()).transpose()?;
    let what = if texture.is_some() { "texture" } else { "surface" };
    let made = machine()?.create_texture(Texture { texels, sampling });
    let number = made.map_err(|why| Code::INVALID_VALUE.because(format_args!("a {what} with {why}")))?;
    OBJECTS.insert(Handle(number as usize), Arc::new(Object { context, resource, texture, number }));
    place.put(number);
    Ok(())
}

/// An object of a texture, or of a surface.
fn find(object: u64, is_texture: bool) -> Outcome<Arc<Object>> {
    Context::usable()?;
    let found = OBJECTS.get(Handle(object as usize))?;
    if found.texture.is_some() == is_texture { Ok(found) } else { Err(Code::INVALID_VALUE.into()) }
}

fn destroy(object: u64, is_texture: bool) -> Outcome {
    find(object, is_texture)?;
    // Kernels find it when they run.
    let context = Context::current()?.handle;
    stream::all_of(context).iter().filter(|stream| !stream.is_capturing()).for_each(|stream| stream.drain());
    machine()?.destroy_texture(object);
    OBJECTS.remove(Handle(object as usize)).map(drop)
}

pub fn remove_of(context: Handle) {
    for object in OBJECTS.remove_all(|object| object.context == context) {
        if let Ok(machine) = machine() {
            machine.destroy_texture(object.number);
        }
    }
}

super::boundary::exported! {
    fn cuTexObjectCreate(out: Out<u64>, resource: In<Resource>, texture: In<Descriptor>, view: Buffer) {
        if !view.is_null() {
            return Err(Code::NOT_SUPPORTED.because("views of textures in another format"));
        }
        create(out, resource, Some(texture.get()?))
    }

    fn cuTexObjectDestroy(object: u64) {
        destroy(object, true)
    }

    fn cuTexObjectGetResourceDesc(out: Out<Resource>, object: u64) {
        out.place()?.put(find(object, true)?.resource);
        Ok(())
    }

    fn cuTexObjectGetTextureDesc(out: Out<Descriptor>, object: u64) {
        out.place()?.put(find(object, true)?.texture.ok_or(Code::INVALID_VALUE)?);
        Ok(())
    }

    fn cuSurfObjectCreate(out: Out<u64>, resource: In<Resource>) {
        create(out, resource, None)
    }

    fn cuSurfObjectDestroy(object: u64) {
        destroy(object, false)
    }

    fn cuSurfObjectGetResourceDesc(out: Out<Resource>, object: u64) {
        out.place()?.put(find(object, false)?.resource);
        Ok(())
    }
}
