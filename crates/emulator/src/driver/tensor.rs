//! Descriptions of tensors for bulk copies.

use super::error::{Code, Outcome};
use super::machine::machine;
use super::pointer::{Buffer, In, Out};
use crate::tensor_map::{Swizzle, TENSOR_MAP_BYTES, TensorMap};

/// A `CUtensorMap`.
type Description = [u8; TENSOR_MAP_BYTES];

/// Bytes of the elements of each `CUtensorMapDataType`; those that are packed from parts of bytes are not there.
const ELEMENT_BYTES: [u64; 13] = [1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4];
/// Each `CUtensorMapSwizzle`.
const SWIZZLES: [Swizzle; 4] = [Swizzle::None, Swizzle::Bytes32, Swizzle::Bytes64, Swizzle::Bytes128];
/// A description begins at a multiple of this.
const ALIGN: usize = 64;

fn named<T: Copy>(values: &[T], number: i32, what: &str) -> Outcome<T> {
    let value = usize::try_from(number).ok().and_then(|index| values.get(index));
    value.copied().ok_or_else(|| Code::NOT_SUPPORTED.because(format_args!("a tensor of {what} {number}")))
}

/// Puts the description in its place.
fn put(place: Buffer, map: &TensorMap) -> Outcome {
    if !place.address().is_multiple_of(ALIGN) {
        return Err(Code::INVALID_VALUE.because(format_args!("a description must lie at a multiple of {ALIGN} bytes")));
    }
    let bytes = map.encode().map_err(|error| Code::INVALID_VALUE.because(error))?;
    place.out::<Description>().place()?.put(bytes);
    Ok(())
}

super::boundary::exported! {
    fn cuTensorMapEncodeTiled(
        place: Buffer,
        data_type: i32,
        rank: u32,
        address: Buffer,
        extents: In<u64>,
        strides: In<u64>,
        box_extents: In<u32>,
        element_strides: In<u32>,
        interleave: i32,
        swizzle: i32,
        _promotion: i32,
        fill: i32,
    ) {
        machine()?;
        if place.is_null() || !(1..=5).contains(&rank) {
            return Err(Code::INVALID_VALUE.into());
        }
        let rank = rank as usize;
        if interleave != 0 || fill != 0 || element_strides.all(rank)?.iter().any(|&stride| stride != 1) {
            return Err(Code::NOT_SUPPORTED.because("tensors with interleaving, element strides or a NaN fill"));
        }
        let map = TensorMap {
            address: address.address() as u64,
            element_bytes: named(&ELEMENT_BYTES, data_type, "type")?,
            extents: extents.all(rank)?,
            strides: strides.all(rank - 1)?,
            box_extents: box_extents.all(rank)?.into_iter().map(u64::from).collect(),
            swizzle: named(&SWIZZLES, swizzle, "swizzle")?,
        };
        put(place, &map)
    }

    fn cuTensorMapReplaceAddress(place: Out<Description>, address: Buffer) {
        machine()?;
        let map = TensorMap::decode(&place.get()?).ok_or(Code::INVALID_VALUE)?;
        let map = TensorMap { address: address.address() as u64, ..map };
        place.place()?.put(map.encode().map_err(|error| Code::INVALID_VALUE.because(error))?);
        Ok(())
    }
}
