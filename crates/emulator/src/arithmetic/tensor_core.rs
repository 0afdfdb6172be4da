//! Sums of tensor cores, with the bits that an H100 gives for f16, bf16 and tf32 in `mma` and `wgmma` alike.
//!
//! All products of an instruction and the accumulator are added at once. The largest exponent among them is taken,
//! where a product's is the sum of its factors' exponents; each term is cut toward zero 25 bits below it; and what is
//! left is added exactly. The caller rounds the sum once: toward zero to f32, or to the nearest f16.

use super::float::{self, Rounding, bits_f32};

/// Columns that are summed together.
pub(crate) const TOGETHER: usize = 8;
/// Bits below the largest exponent that a term keeps.
const KEPT: i32 = 25;
/// The exponent of zero: no sum of two finite numbers' exponents is as small, also not with one of them.
const NONE: i32 = -10_000;
/// No finite product has as large an exponent.
const ENDLESS: i32 = 512;

/// A number's exponent, at least that of its format's subnormal numbers.
#[inline(always)]
pub(crate) fn exponent(x: f64, least: i32) -> i32 {
    if x == 0.0 { NONE } else { ((x.to_bits() >> 52 & 0x7ff) as i32 - 1023).max(least) }
}

/// Factors with their exponents: of some columns at one depth.
pub(crate) type Columns = ([f64; TOGETHER], [i32; TOGETHER]);

/// Some columns' factors at one depth, in a format with this least exponent.
#[inline(always)]
pub(crate) fn columns(b: [f64; TOGETHER], least: i32) -> Columns {
    (b, b.map(|b| exponent(b, least)))
}

/// The exact sums of a row's products with some columns, and of accumulators, after all of them were cut.
#[inline(always)]
pub(crate) fn sums(a: &[(f64, i32)], b: &[Columns], (c, c_exponents): &Columns) -> [f64; TOGETHER] {
    let mut largest = *c_exponents;
    for ((_, a), (_, b)) in a.iter().zip(b) {
        largest.iter_mut().zip(b).for_each(|(largest, b)| *largest = (a + b).max(*largest));
    }
    let power = |exponent: i32| f64::from_bits(((1023 + exponent) as u64) << 52);
    let scale = largest.map(|e| power(KEPT - e.clamp(-ENDLESS, ENDLESS)));
    // A term has at most 27 bits.
    let cut = |x: f64, scale: f64| (x * scale) as i32;
    let mut all: [i64; TOGETHER] = std::array::from_fn(|i| cut(c[i], scale[i]).into());
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        let mut eight = [0_i32; TOGETHER];
        for ((a, _), (b, _)) in a.iter().zip(b) {
            (0..TOGETHER).for_each(|i| eight[i] += cut(a * b[i], scale[i]));
        }
        all.iter_mut().zip(eight).for_each(|(all, eight)| *all += i64::from(eight));
    }
    std::array::from_fn(|i| match largest[i] {
        ENDLESS.. => a.iter().zip(b).fold(c[i], |sum, ((a, _), (b, _))| sum + a * b[i]),
        ..-5000 => 0.0,
        e => all[i] as f64 * power(e - KEPT),
    })
}

/// A sum as f32: cut toward zero, endless beyond the largest number.
#[inline(always)]
pub(crate) fn to_f32(sum: f64) -> u32 {
    let rounding = if sum.abs() >= 2.0 * 2f64.powi(127) { Rounding::Nearest } else { Rounding::Zero };
    bits_f32(float::to_f32(sum, rounding))
}
