//! Matrix products of a warp: which lane holds which element, and the product itself.

use yuragi_numeric::simd::{Task, vectorize};

use super::warp::Warp;
use crate::{
    arithmetic::{
        Rounding, bits_f32, from_f8, half_from_f32, half_to_f32, odd_f32,
        tensor_core::{self, Columns, Numbers, Row},
        to_f16,
    },
    program::{Element, Lanes, MatrixProduct, Slot},
};

/// The most rows of A, columns of B, and depth of a product.
const ROWS: usize = 16;
const COLUMNS: usize = 8;
const DEPTH: usize = 32;

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
                let mut elements = [0.0; 32];
                for lane in 0..32 {
                    elements[lane] = read(registers[lane], i);
                }
                put(number, i, &elements);
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
    vectorize(Multiply { warp, product, active });
}

struct Multiply<'a> {
    warp: &'a mut Warp,
    product: &'a MatrixProduct,
    active: u32,
}

impl Task for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Multiply { warp, product, active } = self;
        match least_power(product.a_of) {
            Some(least) => multiply_as_tensor_cores(warp, product, active, least),
            None => multiply_exactly(warp, product, active),
        }
    }
}

/// Of formats whose sums are exact, or known to be no better than exact ones that are rounded once.
fn multiply_exactly(warp: &mut Warp, product: &MatrixProduct, active: u32) {
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
#[inline(always)]
fn multiply_as_tensor_cores(warp: &mut Warp, product: &MatrixProduct, active: u32, least: f64) {
    let (m, k, half_sum) = (product.m, product.k, product.half_sum);
    // Of each register, of each element in it, those of all lanes; B has half as many as A of 16 rows.
    let (per, halves) = (per(product.a_of), m / 8);
    let (mut a, mut b) = ([[Numbers::<32>::default(); 2]; 4], [[Numbers::<32>::default(); 2]; 2]);
    spread(warp, &product.a, product.a_of, |number, i, all| a[number % 4][i % 2] = Numbers::new(*all, least));
    spread(warp, &product.b, product.b_of, |number, i, all| b[number % 2][i % 2] = Numbers::new(*all, least));
    // A register of C holds two columns of a row in half precision, or one; its lanes four columns of eight rows.
    let mut c = [[0.0_f64; COLUMNS]; ROWS];
    for (number, &slot) in product.c.iter().enumerate() {
        let (first, second) = if half_sum { (8 * number, 0) } else { (8 * (number / 2), number % 2) };
        let register = warp.get(slot);
        for lane in 0..32 {
            let to = &mut c[(first + lane / 4) % ROWS];
            let column = 2 * (lane % 4);
            if half_sum {
                to[column] = half_to_f32(register[lane] as u16).into();
                to[column + 1] = half_to_f32((register[lane] >> 16) as u16).into();
            } else {
                to[column + second] = f32::from_bits(register[lane] as u32).into();
            }
        }
    }
    let c_least = if half_sum { LEAST_HALF } else { LEAST_SINGLE };
    let mut finite = true;
    for number in 0..4 {
        for i in 0..2 {
            finite &= a[number][i].is_finite();
            finite &= number >= 2 || b[number % 2][i].is_finite();
        }
    }
    for row in &c {
        for x in row {
            finite &= x.is_finite();
        }
    }
    // Depths in the order of registers, elements and lanes: any will do for both factors.
    let mut columns = [Columns::default(); tensor_core::DEPTH];
    for depth in 0..k.min(tensor_core::DEPTH) {
        let b = &b[depth / 4 / per % 2][depth / 4 % per];
        columns[depth] = Numbers::picked(b, |column| 4 * column + depth % 4);
    }
    let columns = &columns[..k.min(tensor_core::DEPTH)];
    // Two rows at once, of as many bits each as their registers have.
    let mut bits = [[0_u64; COLUMNS]; ROWS];
    for first in (0..m.min(ROWS)).step_by(2) {
        let (mut rows, mut before) = ([Row::default(); 2], [Columns::default(); 2]);
        for i in 0..2 {
            let number = first + i;
            for part in 0..k / 4 {
                let a = &a[(halves * (part / per) + number / 8) % 4][part % per];
                rows[i].put(4 * part % tensor_core::DEPTH, a, 4 * (number % 8));
            }
            before[i] = Numbers::new(c[number], c_least);
        }
        let sums = match finite {
            true => tensor_core::sums(&rows, columns, &before),
            false => tensor_core::any_sums(&rows, columns, &before),
        };
        for i in 0..2 {
            for column in 0..COLUMNS {
                let sum = sums[i][column];
                bits[first + i][column] = match half_sum {
                    true => half_from_f32(odd_f32(sum)).into(),
                    false => tensor_core::to_f32(sum).into(),
                };
            }
        }
    }
    put_sums(warp, product, active, |_, row, column| match half_sum {
        true => bits[row][column] | bits[row][column + 1] << 16,
        false => bits[row][column],
    });
}

/// Adds the products of rows of A and columns of B, of this depth and least power, to sums of another; rows lie one
/// behind the other, of B those of each depth.
pub(super) struct AddProducts<'a> {
    pub sums: &'a mut [f64],
    pub a: &'a [f64],
    pub b: &'a [f64],
    pub depth: usize,
    /// The least powers of two of the factors' format and of the sums'.
    pub least: f64,
    pub sums_least: f64,
}

impl Task for AddProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let AddProducts { sums, a, b, depth: k, least, sums_least } = self;
        let n = b.len() / k;
        let finite = a.iter().chain(b).chain(&*sums).fold(true, |finite, x| finite & x.is_finite());
        let mut columns = [Columns::default(); tensor_core::DEPTH];
        let columns = &mut columns[..k.min(tensor_core::DEPTH)];
        for first in (0..n).step_by(tensor_core::TOGETHER) {
            for (columns, b) in columns.iter_mut().zip(b.chunks_exact(n)) {
                *columns = Numbers::new(std::array::from_fn(|i| b[first + i]), least);
            }
            for (a, sums) in a.chunks(2 * k).zip(sums.chunks_mut(2 * n)) {
                let (mut rows, mut before) = ([Row::default(); 2], [Columns::default(); 2]);
                for (i, (a, sums)) in a.chunks(k).zip(sums.chunks(n)).enumerate() {
                    let (mut values, mut earlier) = ([0.0; tensor_core::DEPTH], [0.0; tensor_core::TOGETHER]);
                    values[..columns.len()].copy_from_slice(&a[..columns.len()]);
                    earlier.copy_from_slice(&sums[first..][..tensor_core::TOGETHER]);
                    (rows[i], before[i]) = (Numbers::new(values, least), Numbers::new(earlier, sums_least));
                }
                let after = match finite {
                    true => tensor_core::sums(&rows, columns, &before),
                    false => tensor_core::any_sums(&rows, columns, &before),
                };
                for (sums, after) in sums.chunks_mut(n).zip(&after) {
                    sums[first..][..tensor_core::TOGETHER].copy_from_slice(after);
                }
            }
        }
    }
}

/// Writes what a function gives of a register of C, the row and the (first) column of its sum.
#[inline(always)]
fn put_sums(warp: &mut Warp, product: &MatrixProduct, active: u32, f: impl Fn(u64, usize, usize) -> u64) {
    for (number, (&from, &to)) in product.c.iter().zip(&product.d).enumerate() {
        let c = *warp.get(from);
        let (half, second) = if product.half_sum { (number, 0) } else { (number / 2, number % 2) };
        let mut values: Lanes = [0; 32];
        for lane in 0..32 {
            values[lane] = f(c[lane], lane / 4 + 8 * half, 2 * (lane % 4) + second);
        }
        warp.set(to, active, &values);
    }
}
