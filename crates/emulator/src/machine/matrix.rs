//! Matrix products of a warp: which lane holds which element, and the product itself.

use super::{
    float::{Rounding, bits_f32, from_f8, to_f16},
    program::{Element, Lanes, MatrixProduct},
    warp::Warp,
};

/// The most rows of A, columns of B, and depth of a product.
const ROWS: usize = 16;
const COLUMNS: usize = 8;
const DEPTH: usize = 32;

/// Elements of one register.
fn per(of: Element) -> usize {
    match of {
        Element::F16 | Element::BF16 => 2,
        Element::TF32 | Element::F64 => 1,
        Element::S8 | Element::U8 | Element::E4M3 | Element::E5M2 => 4,
    }
}

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
    for (number, &slot) in product.a.iter().enumerate() {
        for (lane, &register) in warp.get(slot).iter().enumerate() {
            let (group, place) = (lane / 4, lane % 4);
            let (row, depth) = (group + 8 * (number % halves), 4 * a_per * (number / halves) + a_per * place);
            (0..a_per).for_each(|i| a[row][depth + i] = element(register, i, a_of));
        }
    }
    for (number, &slot) in product.b.iter().enumerate() {
        for (lane, &register) in warp.get(slot).iter().enumerate() {
            let depth = 4 * b_per * number + b_per * (lane % 4);
            (0..b_per).for_each(|i| b[depth + i][lane / 4] = element(register, i, b_of));
        }
    }
    let mut sums = [[0.0; COLUMNS]; ROWS];
    if a_of != Element::F64 {
        for (a, sums) in a.iter().zip(&mut sums).take(m) {
            for (a, b) in a.iter().zip(&b).take(k) {
                sums.iter_mut().zip(b).for_each(|(sum, b)| *sum += a * b);
            }
        }
    }
    let whole = matches!(a_of, Element::S8 | Element::U8);
    let sum = |c: u64, row: usize, column: usize| -> u64 {
        let products: f64 = sums[row][column];
        if whole {
            // Sums of integers are exact in f64.
            let sum = products as i64 + i64::from(c as i32);
            let kept = if saturate { sum.clamp(i32::MIN.into(), i32::MAX.into()) } else { sum };
            return u64::from(kept as u32);
        }
        match a_of {
            Element::F64 => (0..k).fold(f64::from_bits(c), |sum, i| a[row][i].mul_add(b[i][column], sum)).to_bits(),
            _ if half_sum => to_f16(f64::from(half_to_f32(c as u16)) + products, Rounding::Nearest).into(),
            _ => bits_f32((f64::from(f32::from_bits(c as u32)) + products) as f32).into(),
        }
    };
    for (number, (&from, &to)) in product.c.iter().zip(&product.d).enumerate() {
        let c = *warp.get(from);
        let values: Lanes = std::array::from_fn(|lane| {
            let (group, place) = (lane / 4, lane % 4);
            if half_sum {
                let row = group + 8 * number;
                let part = |i: usize| sum(c[lane] >> (16 * i) & 0xffff, row, 2 * place + i) << (16 * i);
                return part(0) | part(1);
            }
            sum(c[lane], group + 8 * (number / 2), 2 * place + number % 2)
        });
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
