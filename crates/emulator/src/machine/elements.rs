//! Elements of matrices in registers.

use crate::{
    arithmetic::{
        from_f8, half_to_f32,
        tensor_core::{LEAST_HALF, LEAST_SINGLE},
    },
    program::Element,
};

/// One element of a register.
#[inline(always)]
pub(super) fn element(register: u64, place: usize, of: Element) -> f64 {
    let byte = (register >> (8 * place)) as u8;
    match of {
        Element::F16 => half_to_f32((register >> (16 * place)) as u16).into(),
        Element::BF16 => f32::from_bits(((register >> (16 * place)) as u32) << 16).into(),
        // The hardware reads only the upper 19 bits.
        Element::TF32 => f32::from_bits(register as u32 & 0xffff_e000).into(),
        Element::F64 => f64::from_bits(register),
        Element::S8 => (byte as i8).into(),
        Element::U8 => byte.into(),
        Element::E4M3 => from_f8(byte, 4).into(),
        Element::E5M2 => from_f8(byte, 5).into(),
    }
}

/// Elements of one register.
#[inline(always)]
pub(super) fn per(of: Element) -> usize {
    match of {
        Element::F16 | Element::BF16 => 2,
        Element::TF32 | Element::F64 => 1,
        Element::S8 | Element::U8 | Element::E4M3 | Element::E5M2 => 4,
    }
}

/// The least exponent of a format whose sums are known to the bit.
#[inline(always)]
pub(super) fn least_exponent(of: Element) -> Option<i16> {
    match of {
        Element::F16 => Some(LEAST_HALF),
        Element::BF16 | Element::TF32 => Some(LEAST_SINGLE),
        // Of the 8-bit formats only the exact sum is known, rounded once.
        Element::E4M3 | Element::E5M2 | Element::F64 | Element::S8 | Element::U8 => None,
    }
}
