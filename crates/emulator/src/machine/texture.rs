//! Reads and writes of textures and surfaces by the lanes of a warp.

use super::{
    access::{Reach, element, put},
    block::Block,
    engine::Engine,
    lanes::each,
    span::Span,
    traffic::distinct,
    warp::Warp,
};
use crate::{
    finding::Kind,
    memory::{Memory, shadow::Manner},
    program::{Inst, Lanes, Op, Outside},
    texture::{Coordinate, Texels, Texture},
};

/// A lane's object and coordinates.
struct Asked<'e> {
    texture: &'e Texture,
    at: [u64; 3],
}

impl<'e> Reach<'_, 'e> {
    /// What a lane asks for, if its object is there and has so many dimensions.
    fn asked(&mut self, warp: &Warp, lane: usize, object: u32, at: &[u32], surface: bool) -> Option<Asked<'e>> {
        let (handle, engine) = (warp.get(object)[lane], self.engine);
        let none = Span { memory: Memory::Global, address: handle, bytes: 0 };
        let what = if surface { "surface" } else { "texture" };
        let found = engine.textures.get(&handle).filter(|texture| texture.sampling.is_none() == surface);
        let Some(texture) = found else {
            let note = |_: &mut Self| format!("{handle:#x} is no {what} object");
            self.report(Kind::OutOfBounds, lane, none, false, None, note);
            return None;
        };
        if texture.texels.dimensions != at.len() {
            let note = |_: &mut Self| {
                format!("{} coordinates; the {what} has {} dimensions", at.len(), texture.texels.dimensions)
            };
            self.report(Kind::Illegal, lane, none, false, None, note);
            return None;
        }
        let mut place = [0; 3];
        place.iter_mut().zip(at).for_each(|(place, &slot)| *place = warp.get(slot)[lane]);
        Some(Asked { texture, at: place })
    }

    /// Counts a request for elements of so many bytes.
    fn count_elements(&mut self, addresses: &[u64], bytes: u64, write: bool) {
        if addresses.is_empty() {
            return;
        }
        let mut sectors: Vec<u64> = addresses.iter().map(|address| address / 32).collect();
        let count = distinct(&mut sectors);
        let moved = addresses.len() as u64 * bytes;
        self.count_sectors(&sectors[..count], moved);
        *(if write { &mut self.counters.global_written } else { &mut self.counters.global_read }) += moved;
    }
}

impl Block {
    /// `tex`
    pub(super) fn fetch(&mut self, engine: &Engine<'_>, number: usize, inst: &Inst, at: usize, active: u32) {
        let Op::Fetch(fetch) = &inst.op else { return };
        self.events += 1;
        let (warp, mut reach) = self.reach(engine, number, at);
        let mut values: [Lanes; 4] = [[0; 32]; 4];
        let (mut touched, mut bytes) = (Vec::new(), 1);
        each(active, |lane| {
            let Some(Asked { texture, at }) = reach.asked(warp, lane, fetch.object, &fetch.coordinates, false) else {
                return;
            };
            let none = Span { memory: Memory::Global, address: texture.texels.address, bytes: 0 };
            if texture.gives_integers() != fetch.integers {
                let gives = if fetch.integers { "floating-point numbers" } else { "integers" };
                let note =
                    |_: &mut Reach<'_, '_>| format!("the texture gives {gives}, which this instruction does not take");
                reach.report(Kind::Illegal, lane, none, false, None, note);
                return;
            }
            if texture.texels.linear && !fetch.by_integers {
                let note = |_: &mut Reach<'_, '_>| "texels in plain memory are found by integers".into();
                reach.report(Kind::Illegal, lane, none, false, None, note);
                return;
            }
            bytes = texture.texels.texel_bytes();
            let coordinate = |x: u64| match fetch.by_integers {
                true => Coordinate::Integer(x as u32 as i32),
                false => Coordinate::Float(f32::from_bits(x as u32)),
            };
            let channels = texture.fetch(at.map(coordinate), |address| {
                touched.push(address);
                let span = Span { memory: Memory::Global, address, bytes: bytes as usize };
                if !reach.may_touch(warp, lane, span, false) {
                    return [0; 4];
                }
                reach.read(warp, lane, span, Manner::Weak)
            });
            channels.iter().zip(&mut values).for_each(|(&channel, values)| values[lane] = channel.into());
        });
        reach.count_elements(&touched, bytes, false);
        drop(reach);
        for (slot, values) in fetch.d.iter().zip(&values) {
            slot.iter().for_each(|&slot| warp.set(slot, active, values));
        }
    }

    /// `suld` and `sust`
    pub(super) fn surface(&mut self, engine: &Engine<'_>, number: usize, inst: &Inst, at: usize, active: u32) {
        let Op::Surface(access) = &inst.op else { return };
        self.events += 1;
        let (warp, mut reach) = self.reach(engine, number, at);
        let whole = access.bytes * access.registers.len();
        let mut values = vec![[0; 32]; access.registers.len()];
        let mut touched = Vec::new();
        each(active, |lane| {
            let Some(Asked { texture, at }) = reach.asked(warp, lane, access.object, &access.coordinates, true) else {
                return;
            };
            let place = at.map(|x| i64::from(x as u32 as i32));
            let (address, inside) = element_at(&texture.texels, place, whole as u64, access.outside);
            let span = Span { memory: Memory::Global, address, bytes: whole };
            if !inside && access.outside == Outside::Zero {
                return;
            }
            if !inside && access.outside == Outside::Trap {
                let note = |_: &mut Reach<'_, '_>| {
                    let Texels { extents: [x, y, z], .. } = texture.texels;
                    format!(
                        "outside of a surface of {x}×{y}×{z} elements of {} bytes (the first coordinate counts bytes)",
                        texture.texels.texel_bytes()
                    )
                };
                reach.report(Kind::OutOfBounds, lane, span, access.store, None, note);
                return;
            }
            touched.push(address);
            if !reach.may_touch(warp, lane, span, access.store) {
                return;
            }
            if access.store {
                let mut words = [0; 4];
                for (i, slot) in access.registers.iter().enumerate() {
                    let value = slot.map_or(0, |slot| warp.get(slot)[lane]);
                    put(&mut words, i, access.bytes, value);
                }
                reach.write(warp, lane, span, &words, Manner::Weak);
            } else {
                let words = reach.read(warp, lane, span, Manner::Weak);
                for (i, values) in values.iter_mut().enumerate() {
                    values[lane] = element(&words, i, access.bytes) & (u64::MAX >> (64 - 8 * access.bytes));
                }
            }
        });
        reach.count_elements(&touched, whole as u64, access.store);
        drop(reach);
        if !access.store {
            for (slot, values) in access.registers.iter().zip(&values) {
                slot.iter().for_each(|&slot| warp.set(slot, active, values));
            }
        }
    }

    /// `txq` and `suq`
    pub(super) fn query(&mut self, engine: &Engine<'_>, number: usize, inst: &Inst, at: usize, active: u32) {
        let Op::Query(query) = &inst.op else { return };
        let mut values = [0; 32];
        let mut unknown = 0;
        let warp = &self.warps[number];
        each(active, |lane| match engine.textures.get(&warp.get(query.object)[lane]) {
            // A dimension that is not there has no texels.
            Some(texture) if query.axis < texture.texels.dimensions => {
                values[lane] = texture.texels.extents[query.axis]
            }
            Some(_) => {}
            None => unknown |= 1 << lane,
        });
        if unknown != 0 {
            self.problem(engine, Kind::OutOfBounds, number, unknown, at, "there is no such object".into());
        }
        self.warps[number].set(query.d, active, &values);
    }
}

/// The address of bytes of a surface at coordinates of which the first counts bytes, or of the nearest ones inside; and
/// whether they lie inside.
fn element_at(texels: &Texels, place: [i64; 3], bytes: u64, outside: Outside) -> (u64, bool) {
    let [x, y, z] = place;
    let row = texels.extents[0] * texels.texel_bytes();
    let most = [row.saturating_sub(bytes), texels.extents[1] - 1, texels.extents[2] - 1];
    let inside =
        [x, y, z].iter().zip(&most).all(|(&x, &most)| u64::try_from(x).is_ok_and(|x| x <= most)) && bytes <= row;
    let [x, y, z] = match outside {
        Outside::Clamp => std::array::from_fn(|axis| place[axis].clamp(0, most[axis] as i64) as u64),
        _ => place.map(|x| x.max(0) as u64),
    };
    let address = texels.address.wrapping_add(x).wrapping_add(y.wrapping_mul(texels.pitches[0]));
    (address.wrapping_add(z.wrapping_mul(texels.pitches[1])), inside)
}
