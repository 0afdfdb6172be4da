//! Matrix products of a warp: which lane holds which element, and the product itself.

use yuragi_numeric::simd::{Task, vectorize};

use super::{
    elements::{element, least_exponent, per},
    fragments::Fragments,
    warp::Warp,
};
use crate::{
    arithmetic::{
        Rounding, bits_f32, half_from_f32, half_to_f32, odd_f32,
        tensor_core::{self, Factors, LANES, LEAST_HALF},
        to_f16,
    },
    program::{Element, Lanes, MatrixProduct, Slot},
};

/// The most rows of A, columns of B, and depth of a product.
const ROWS: usize = 16;
const COLUMNS: usize = 8;
const DEPTH: usize = 32;

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

/// D = A·B + C. A lane is (group = lane / 4, place = lane % 4): its registers of A hold rows `group`
/// and `group + 8`, those of B column `group`, and of both the elements of depth that `place` and the
/// register's number give; its sums are those of rows `group`, `group + 8` and columns `2·place`,
/// `2·place + 1` (PTX ISA, matrix fragments of `mma`).
pub(super) fn multiply(warp: &mut Warp, fragments: &mut Fragments, product: &MatrixProduct, active: u32) {
    match least_exponent(product.a_of) {
        Some(_) => vectorize(Multiply { warp, fragments, product, active }),
        None => multiply_exactly(warp, product, active),
    }
}

/// The sums of 16-bit formats and tf32, bit for bit as hardware forms them.
struct Multiply<'a> {
    warp: &'a mut Warp,
    fragments: &'a mut Fragments,
    product: &'a MatrixProduct,
    active: u32,
}

impl Task for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Multiply { warp, fragments, product, active } = self;
        let depth = product.k.min(tensor_core::DEPTH);
        let (rows, columns) = fragments.of(warp, &product.a, &product.b, product.a_of);
        let mut values = [[0; 32]; 4];
        for (number, rows) in rows.iter().enumerate() {
            let mut before = [0.0; LANES];
            // The even columns in half of the lanes, the odd ones in the others.
            let (even, odd) = before.split_at_mut(LANES / 2);
            if product.half_sum {
                let register = warp.get(product.c[number]);
                for (to, shift) in [(even, 0), (odd, 16)] {
                    to.iter_mut().zip(register).for_each(|(to, from)| *to = half_to_f32((from >> shift) as u16));
                }
                let sums = tensor_core::sums(rows, columns, &before, depth, LEAST_HALF);
                let mut halves = [0; LANES];
                for lane in 0..LANES {
                    halves[lane] = half_from_f32(odd_f32(sums[lane])).into();
                }
                for lane in 0..32 {
                    values[number][lane] = halves[lane] | halves[LANES / 2 + lane] << 16;
                }
            } else {
                for (i, to) in [even, odd].into_iter().enumerate() {
                    let register = warp.get(product.c[2 * number + i]);
                    for (to, from) in to.as_chunks_mut::<16>().0.iter_mut().zip(register.as_chunks::<16>().0) {
                        *to = from.map(|bits| f32::from_bits(bits as u32));
                    }
                }
                let sums = tensor_core::single_sums(rows, columns, &before, depth);
                for (i, sums) in sums.chunks_exact(LANES / 2).enumerate() {
                    values[2 * number + i].iter_mut().zip(sums).for_each(|(to, sum)| *to = u64::from(*sum));
                }
            }
        }
        for (&slot, values) in product.d.iter().zip(&values) {
            warp.set(slot, active, values);
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

/// Adds the products of rows of A, of which eight are together, and columns of B, of which so many are, of this depth and
/// least exponent, to sums of another; rows lie one behind the other, of B those of each depth.
pub(super) struct AddProducts<'a> {
    pub sums: &'a mut [f64],
    pub a: &'a [f64],
    pub b: &'a [f64],
    pub depth: usize,
    /// The least exponents of the factors' format and of the sums'.
    pub least: i16,
    pub sums_least: i16,
}

impl Task for AddProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        const TOGETHER: usize = LANES / COLUMNS;
        let AddProducts { sums, a, b, depth: k, least, sums_least } = self;
        let n = b.len() / k;
        let mut rows = vec![Factors::NONE; a.len() / (TOGETHER * k)];
        for (rows, a) in rows.iter_mut().zip(a.chunks_exact(TOGETHER * k)) {
            for (row, a) in a.chunks_exact(k).enumerate() {
                let lanes = COLUMNS * row..COLUMNS * (row + 1);
                for (depth, &a) in a.iter().enumerate().take(tensor_core::DEPTH) {
                    let exponent = tensor_core::exponent(a as f32, least);
                    rows.put(depth, lanes.clone(), [a as f32; COLUMNS], [exponent; COLUMNS]);
                }
            }
        }
        for first in (0..n).step_by(COLUMNS) {
            let mut columns = Factors::NONE;
            for (depth, b) in b.chunks_exact(n).enumerate().take(tensor_core::DEPTH) {
                let values: [f32; COLUMNS] = std::array::from_fn(|i| b[first + i] as f32);
                columns.put(depth, 0..LANES, values, values.map(|x| tensor_core::exponent(x, least)));
            }
            for (rows, sums) in rows.iter().zip(sums.chunks_exact_mut(TOGETHER * n)) {
                let mut before = [0.0; LANES];
                for (before, sums) in before.chunks_exact_mut(COLUMNS).zip(sums.chunks_exact(n)) {
                    before.iter_mut().zip(&sums[first..]).for_each(|(to, sum)| *to = *sum as f32);
                }
                let after = tensor_core::sums(rows, &columns, &before, k, sums_least);
                for (sums, after) in sums.chunks_exact_mut(n).zip(after.chunks_exact(COLUMNS)) {
                    sums[first..][..COLUMNS].copy_from_slice(after);
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
