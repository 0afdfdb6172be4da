//! Matrix products of a warp: which lane holds which element, and the product itself.

use super::warp::Warp;
use crate::{
    arithmetic::{Rounding, bits_f32, from_f8, tensor_core, to_f16},
    program::{Element, Lanes, MatrixProduct, Slot},
};

/// The most rows of A, columns of B, and depth of a product.
const ROWS: usize = 16;
const COLUMNS: usize = 8;
const DEPTH: usize = 32;

/// A number in half precision, without a branch for subnormal ones.
#[inline(always)]
fn half_to_f32(bits: u16) -> f32 {
    let (magnitude, sign) = (u32::from(bits & 0x7fff) << 13, u32::from(bits & 0x8000) << 16);
    let endless = if magnitude >= 0x0f80_0000 { 0x7f80_0000 | magnitude } else { 0 };
    // 2^112 moves the exponent to where single precision has it.
    let scaled = (f32::from_bits(magnitude) * f32::from_bits(0x7780_0000)).to_bits();
    f32::from_bits(if endless == 0 { scaled } else { endless } | sign)
}

/// One element of a register.
#[inline(always)]
pub(crate) fn element(register: u64, place: usize, of: Element) -> f64 {
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

/// Calls `put` with a register's number, an element's place in it, and that element of all lanes.
#[inline(always)]
fn spread(warp: &Warp, slots: &[Slot], of: Element, mut put: impl FnMut(usize, usize, &[f64; 32])) {
    // One loop for each type, so that none asks for the type of an element.
    #[inline(always)]
    fn all<const PER: usize>(
        warp: &Warp,
        slots: &[Slot],
        read: impl Fn(u64, usize) -> f64,
        put: &mut impl FnMut(usize, usize, &[f64; 32]),
    ) {
        for (number, &slot) in slots.iter().enumerate() {
            let registers = warp.get(slot);
            for i in 0..PER {
                put(number, i, &std::array::from_fn(|lane| read(registers[lane], i)));
            }
        }
    }
    match of {
        Element::F16 => all::<2>(warp, slots, |r, i| element(r, i, Element::F16), &mut put),
        Element::BF16 => all::<2>(warp, slots, |r, i| element(r, i, Element::BF16), &mut put),
        Element::TF32 => all::<1>(warp, slots, |r, i| element(r, i, Element::TF32), &mut put),
        Element::F64 => all::<1>(warp, slots, |r, i| element(r, i, Element::F64), &mut put),
        Element::S8 => all::<4>(warp, slots, |r, i| element(r, i, Element::S8), &mut put),
        Element::U8 => all::<4>(warp, slots, |r, i| element(r, i, Element::U8), &mut put),
        Element::E4M3 => all::<4>(warp, slots, |r, i| element(r, i, Element::E4M3), &mut put),
        Element::E5M2 => all::<4>(warp, slots, |r, i| element(r, i, Element::E5M2), &mut put),
    }
}

/// Elements of one register.
fn per(of: Element) -> usize {
    match of {
        Element::F16 | Element::BF16 => 2,
        Element::TF32 | Element::F64 => 1,
        Element::S8 | Element::U8 | Element::E4M3 | Element::E5M2 => 4,
    }
}

/// D = A·B + C. A lane is (group = lane / 4, place = lane % 4): its registers of A hold rows `group`
/// and `group + 8`, those of B column `group`, and of both the elements of depth that `place` and the
/// register's number give; its sums are those of rows `group`, `group + 8` and columns `2·place`,
/// `2·place + 1` (PTX ISA, matrix fragments of `mma`).
pub(crate) fn multiply(warp: &mut Warp, product: &MatrixProduct, active: u32) {
    let MatrixProduct { m, k, a_of, b_of, half_sum, saturate, .. } = *product;
    // A row by row, B by depth.
    let (mut a, mut b) = ([[0.0; DEPTH]; ROWS], [[0.0; COLUMNS]; DEPTH]);
    let halves = m / 8;
    let (a_per, b_per) = (per(a_of), per(b_of));
    spread(warp, &product.a, a_of, |number, i, elements| {
        let (first, depth) = (8 * (number % halves), 4 * a_per * (number / halves) + i);
        for (row, group) in a[first..].iter_mut().zip(elements.chunks_exact(4)) {
            row[depth..].iter_mut().step_by(a_per).zip(group).for_each(|(to, x)| *to = *x);
        }
    });
    spread(warp, &product.b, b_of, |number, i, elements| {
        let depth = 4 * b_per * number + i;
        for (place, row) in b[depth..].iter_mut().step_by(b_per).take(4).enumerate() {
            row.iter_mut().zip(elements[place..].iter().step_by(4)).for_each(|(to, x)| *to = *x);
        }
    });
    if let Some(least) = least_power(a_of) {
        return multiply_as_tensor_cores(warp, product, active, &a, &b, least);
    }
    let mut sums = [[0.0; COLUMNS]; ROWS];
    if a_of != Element::F64 {
        for (a, to) in a.iter().zip(&mut sums).take(m) {
            let mut sums = [0.0; COLUMNS];
            for (a, b) in a.iter().zip(&b).take(k) {
                sums.iter_mut().zip(b).for_each(|(sum, b)| *sum += a * b);
            }
            *to = sums;
        }
    }
    match a_of {
        // Sums of integers are exact in f64.
        Element::S8 | Element::U8 => put_sums(warp, product, active, |c, row, column| {
            let sum = sums[row][column] as i64 + i64::from(c as i32);
            let kept = if saturate { sum.clamp(i32::MIN.into(), i32::MAX.into()) } else { sum };
            u64::from(kept as u32)
        }),
        Element::F64 => put_sums(warp, product, active, |c, row, column| {
            (0..k).fold(f64::from_bits(c), |sum, i| a[row][i].mul_add(b[i][column], sum)).to_bits()
        }),
        _ if half_sum => put_sums(warp, product, active, |c, row, column| {
            let part = |c: u64, column: usize| -> u64 {
                to_f16(f64::from(half_to_f32(c as u16)) + sums[row][column], Rounding::Nearest).into()
            };
            part(c, column) | part(c >> 16, column + 1) << 16
        }),
        _ => put_sums(warp, product, active, |c, row, column| {
            bits_f32((f64::from(f32::from_bits(c as u32)) + sums[row][column]) as f32).into()
        }),
    }
}

/// The least power of two of a format whose sums are known to the bit.
pub(super) fn least_power(of: Element) -> Option<f64> {
    match of {
        Element::F16 => Some(LEAST_HALF),
        Element::BF16 | Element::TF32 => Some(LEAST_SINGLE),
        // Of the 8-bit formats only the exact sum is known, rounded once.
        Element::E4M3 | Element::E5M2 | Element::F64 | Element::S8 | Element::U8 => None,
    }
}

/// The least powers of two of normal numbers in half and single precision.
pub(super) const LEAST_HALF: f64 = 1.0 / (1_u64 << 14) as f64;
pub(super) const LEAST_SINGLE: f64 = f32::MIN_POSITIVE as f64;

/// The sums of 16-bit formats and tf32, bit for bit as hardware forms them.
fn multiply_as_tensor_cores(
    warp: &mut Warp,
    product: &MatrixProduct,
    active: u32,
    a: &[[f64; DEPTH]; ROWS],
    b: &[[f64; COLUMNS]; DEPTH],
    least: f64,
) {
    let (k, half_sum) = (product.k, product.half_sum);
    let mut c = [[0.0; COLUMNS]; ROWS];
    each_sum(product, |number, place, row, column| {
        let register = warp.get(product.c[number])[place];
        match half_sum {
            true => (0..2).for_each(|i| c[row][column + i] = half_to_f32((register >> (16 * i)) as u16).into()),
            false => c[row][column] = f32::from_bits(register as u32).into(),
        }
    });
    let c_least = if half_sum { LEAST_HALF } else { LEAST_SINGLE };
    let all = a.as_flattened().iter().chain(b.as_flattened()).chain(c.as_flattened());
    let finite = all.fold(true, |finite, x| finite & x.is_finite());
    let b: [tensor_core::Columns; DEPTH] = std::array::from_fn(|depth| tensor_core::columns(b[depth], least));
    for (a, c) in a.iter().zip(&mut c) {
        let a: [(f64, f64); DEPTH] = std::array::from_fn(|i| (a[i], tensor_core::power(a[i], least)));
        let before = tensor_core::columns(*c, c_least);
        *c = match finite {
            true => tensor_core::sums(&a[..k], &b[..k], &before),
            false => tensor_core::any_sums(&a[..k], &b[..k], &before),
        };
    }
    put_sums(warp, product, active, |_, row, column| match half_sum {
        true => (0..2).map(|i| u64::from(to_f16(c[row][column + i], Rounding::Nearest)) << (16 * i)).sum(),
        false => tensor_core::to_f32(c[row][column]).into(),
    });
}

/// Adds the products of rows of A and columns of B, of this depth and least power, to sums of another; rows lie one
/// behind the other, of B those of each depth.
pub(super) fn add_as_tensor_cores(sums: &mut [f64], a: &[f64], b: &[f64], (k, least): (usize, f64), sums_least: f64) {
    let n = b.len() / k;
    let finite = a.iter().chain(b).chain(&*sums).fold(true, |finite, x| finite & x.is_finite());
    let a: Vec<(f64, f64)> = a.iter().map(|&a| (a, tensor_core::power(a, least))).collect();
    let mut columns = vec![tensor_core::Columns::default(); k];
    for first in (0..n).step_by(tensor_core::TOGETHER) {
        for (columns, b) in columns.iter_mut().zip(b.chunks_exact(n)) {
            *columns = tensor_core::columns(std::array::from_fn(|i| b[first + i]), least);
        }
        for (a, sums) in a.chunks_exact(k).zip(sums.chunks_exact_mut(n)) {
            let before = tensor_core::columns(std::array::from_fn(|i| sums[first + i]), sums_least);
            let after = match finite {
                true => tensor_core::sums(a, &columns, &before),
                false => tensor_core::any_sums(a, &columns, &before),
            };
            sums[first..][..tensor_core::TOGETHER].copy_from_slice(&after);
        }
    }
}

/// Calls a function with each register of C, each lane, and the row and the (first) column of its sum.
fn each_sum(product: &MatrixProduct, mut f: impl FnMut(usize, usize, usize, usize)) {
    for number in 0..product.c.len() {
        let (half, second) = if product.half_sum { (number, 0) } else { (number / 2, number % 2) };
        (0..32).for_each(|lane| f(number, lane, lane / 4 + 8 * half, 2 * (lane % 4) + second));
    }
}

/// Writes what a function gives of a register of C, the row and the (first) column of its sum.
#[inline(always)]
fn put_sums(warp: &mut Warp, product: &MatrixProduct, active: u32, f: impl Fn(u64, usize, usize) -> u64) {
    for (number, (&from, &to)) in product.c.iter().zip(&product.d).enumerate() {
        let c = *warp.get(from);
        let (half, second) = if product.half_sum { (number, 0) } else { (number / 2, number % 2) };
        let values: Lanes = std::array::from_fn(|lane| f(c[lane], lane / 4 + 8 * half, 2 * (lane % 4) + second));
        warp.set(to, active, &values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_number_is_read_as_it_is() {
        for bits in 0..=u16::MAX {
            let (want, got) = (half::f16::from_bits(bits).to_f32(), half_to_f32(bits));
            assert!(want.to_bits() == got.to_bits() || want.is_nan() && got.is_nan(), "{bits:#x}");
        }
    }
}
