//! Sums of tensor cores, with the bits that an H100 gives for f16, bf16 and tf32 in `mma` and `wgmma` alike.
//!
//! All products of an instruction and the accumulator are added at once. The largest exponent among them is taken,
//! where a product's is the sum of its factors' exponents; each term is cut toward zero 25 bits below it; and what is
//! left is added exactly. The caller rounds the sum once: toward zero to f32, or to the nearest f16.

use super::float::bits_f32;

/// Columns that are summed together.
pub(crate) const TOGETHER: usize = 8;
/// The last bit that a term keeps: 25 below the largest exponent.
const LAST: f64 = 1.0 / (1 << 25) as f64;

/// The power of two at or below a number, at least that of its format's subnormal numbers; 0 of 0.
#[inline(always)]
fn power(x: f64, least: f64) -> f64 {
    let power = f64::from_bits(x.to_bits() & 0x7ff0_0000_0000_0000).max(least);
    if x == 0.0 { 0.0 } else { power }
}

/// The most products of one sum.
pub(crate) const DEPTH: usize = 16;

/// Numbers, with their powers of two and their signs.
#[derive(Clone, Copy)]
#[repr(align(64))] // so that no vector of them lies in two lines of the cache
pub(crate) struct Numbers<const N: usize> {
    values: [f64; N],
    powers: [f64; N],
    signs: [u64; N],
}

/// Some columns' factors at one depth, or their accumulators.
pub(crate) type Columns = Numbers<TOGETHER>;
/// A row's factors at all depths.
pub(crate) type Row = Numbers<DEPTH>;

impl<const N: usize> Default for Numbers<N> {
    fn default() -> Self {
        Numbers { values: [0.0; N], powers: [0.0; N], signs: [0; N] }
    }
}

impl<const N: usize> Numbers<N> {
    /// In a format with this least power.
    #[inline(always)]
    pub fn new(values: [f64; N], least: f64) -> Self {
        let mut all = Numbers { values, ..Numbers::default() };
        for (i, value) in values.iter().enumerate() {
            all.powers[i] = power(*value, least);
            all.signs[i] = value.to_bits() & SIGN;
        }
        all
    }

    /// Takes four numbers of another list over.
    #[inline(always)]
    pub fn put<const M: usize>(&mut self, at: usize, other: &Numbers<M>, from: usize) {
        for i in 0..4 {
            self.values[at + i] = other.values[from + i];
            self.powers[at + i] = other.powers[from + i];
            self.signs[at + i] = other.signs[from + i];
        }
    }

    /// Those that a function names by their places in another list.
    #[inline(always)]
    pub fn picked<const M: usize>(other: &Numbers<M>, place: impl Fn(usize) -> usize) -> Self {
        let mut all = Numbers::default();
        for i in 0..N {
            let from = place(i);
            (all.values[i], all.powers[i], all.signs[i]) = (other.values[from], other.powers[from], other.signs[from]);
        }
        all
    }

    /// Whether none of them is endless or no number.
    #[inline(always)]
    pub fn is_finite(&self) -> bool {
        let mut finite = true;
        for x in &self.values {
            finite &= x.is_finite();
        }
        finite
    }
}

const SIGN: u64 = 1 << 63;

/// The exact sums of some rows' products with some columns, and of accumulators, after all of them were cut. Rows do not
/// wait for each other, so that two take little longer than one.
///
/// A sum begins as 1.5·2^52 units: whatever is added is rounded to the nearest unit, and that sum is exact. So that a term
/// is cut toward zero, half a unit, less a 2^25th, is taken from its magnitude before: it has at most 24 significant bits
/// and is below 2^27 units, so that it never lies in the middle.
#[inline(always)]
pub(crate) fn sums<const ROWS: usize>(a: &[Row; ROWS], b: &[Columns], c: &[Columns; ROWS]) -> [[f64; TOGETHER]; ROWS] {
    let mut largest = [[0.0; TOGETHER]; ROWS];
    for row in 0..ROWS {
        largest[row] = c[row].powers;
    }
    for (depth, b) in b.iter().take(DEPTH).enumerate() {
        for row in 0..ROWS {
            for (largest, b) in largest[row].iter_mut().zip(&b.powers) {
                let power = a[row].powers[depth] * b;
                *largest = if power > *largest { power } else { *largest };
            }
        }
    }
    let (mut half, mut zero) = ([[0_u64; TOGETHER]; ROWS], [[0.0; TOGETHER]; ROWS]);
    let mut all = [[0.0; TOGETHER]; ROWS];
    for row in 0..ROWS {
        for i in 0..TOGETHER {
            let unit = largest[row][i] * LAST;
            half[row][i] = (unit * (0.5 - LAST)).to_bits();
            zero[row][i] = unit * (3_u64 << 51) as f64;
            all[row][i] = zero[row][i] + (c[row].values[i] - f64::from_bits(half[row][i] ^ c[row].signs[i]));
        }
    }
    for (depth, b) in b.iter().take(DEPTH).enumerate() {
        for row in 0..ROWS {
            let (a, sign) = (a[row].values[depth], a[row].signs[depth]);
            for i in 0..TOGETHER {
                let half = f64::from_bits(half[row][i] ^ sign ^ b.signs[i]);
                all[row][i] += a * b.values[i] - half;
            }
        }
    }
    for row in 0..ROWS {
        for i in 0..TOGETHER {
            all[row][i] -= zero[row][i];
        }
    }
    all
}

/// The same with numbers that may be endless or none: no finite number has a part in such a sum, and others are as
/// [`sums`] gives them.
#[inline(always)]
pub(crate) fn any_sums<const ROWS: usize>(
    a: &[Row; ROWS],
    b: &[Columns],
    c: &[Columns; ROWS],
) -> [[f64; TOGETHER]; ROWS] {
    let mut sums = sums::<ROWS>(a, b, c);
    for ((sums, a), c) in sums.iter_mut().zip(a).zip(c) {
        for (i, sum) in sums.iter_mut().enumerate() {
            let terms = a.values.iter().zip(b).map(|(a, b)| a * b.values[i]).chain([c.values[i]]);
            let endless = terms.filter(|term| !term.is_finite()).reduce(|sum, term| sum + term);
            *sum = endless.unwrap_or(*sum);
        }
    }
    sums
}

/// A sum as f32: cut toward zero, endless beyond the largest number.
#[inline(always)]
pub(crate) fn to_f32(sum: f64) -> u32 {
    let near = sum as f32;
    let is_more = (f64::from(near).abs() > sum.abs()) & (sum.abs() < 2.0 * 2f64.powi(127));
    bits_f32(f32::from_bits(near.to_bits() - u32::from(is_more)))
}
